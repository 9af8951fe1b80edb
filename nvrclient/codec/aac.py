"""Raw AAC-LC frames (ISO 14496-3): channels, AudioSpecificConfig, and the AU headers of RFC 3640."""

from __future__ import annotations

from math import log

SAMPLES_PER_FRAME = 1024

SAMPLE_RATES = (
    96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350,
)  # fmt: skip
"""samplingFrequencyIndex 0…12 (ISO 14496-3 table 1.18)."""

_SCE, _CPE, _DSE, _PCE, _FIL = 0, 1, 4, 5, 6


def config(sample_rate: int, channels: int) -> bytes:
    """Return the AudioSpecificConfig of AAC-LC: object type 2 (5 bits), rate index (4), channels (4), 000."""
    index = SAMPLE_RATES.index(sample_rate)
    return (2 << 11 | index << 7 | channels << 3).to_bytes(2, "big")


def nearest_rate(measured: float, tolerance: float) -> int | None:
    """Return the rate of the table within `tolerance` (0.04 = 4 %) of `measured`, or None."""
    if measured <= 0:
        return None
    best = min(SAMPLE_RATES, key=lambda rate: abs(log(rate / measured)))
    return best if abs(best / measured - 1) <= tolerance else None


def channels_of(frame: bytes) -> int | None:
    """Return 1 or 2 by the first channel element of a raw frame, None where there is none.

    Elements begin with a 3-bit id and follow each other bit by bit; fill elements, data streams and program
    configurations may stand first. A fill element is skipped by its count, a data stream too; what a program
    configuration holds is of no use here, so a frame that begins with one tells nothing.
    """
    bits = int.from_bytes(frame[:512], "big")
    left = 8 * min(len(frame), 512)

    def take(count: int) -> int:
        nonlocal left
        left -= count
        if left < 0:
            raise IndexError
        return bits >> left & ((1 << count) - 1)

    total = left
    try:
        while True:
            element = take(3)
            if element == _SCE:
                return 1
            if element == _CPE:
                return 2
            if element == _FIL:
                count = take(4)
                if count == 15:
                    count += take(8) - 1
                take(8 * count)
            elif element == _DSE:
                take(4)
                aligned = take(1)
                count = take(8)
                if count == 255:
                    count += take(8)
                if aligned:
                    take((8 - (total - left) % 8) % 8)
                take(8 * count)
            else:
                return None
    except IndexError:
        return None


def access_units(payload: bytes) -> list[bytes] | None:
    """Return the frames of an RTP payload in mode AAC-hbr (RFC 3640 3.3.6), or None where it is none.

    ::

        | AU-headers-length in bits (16) | size (13) index (3) | … | frame | …

    It is one only if the sizes fit the payload exactly.
    """
    if len(payload) < 4:
        return None
    bits = int.from_bytes(payload[:2], "big")
    count, rest = divmod(bits, 16)
    position = 2 + 2 * count
    if rest or not count or position > len(payload):
        return None
    sizes = [int.from_bytes(payload[at : at + 2], "big") >> 3 for at in range(2, position, 2)]
    if 0 in sizes or position + sum(sizes) != len(payload):
        return None
    frames: list[bytes] = []
    for size in sizes:
        frames.append(payload[position : position + size])
        position += size
    return frames
