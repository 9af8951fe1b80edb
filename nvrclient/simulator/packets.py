"""RTP packets (sections 2.3.1, 2.3.2, 2.3.6; RFC 3550, RFC 6184, RFC 7798, RFC 3640): writing only."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nvrclient.frames import Codec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from random import Random

__all__ = ["AUDIO", "Packing", "Payload", "RtpWriter", "payload_type", "payloads"]

AUDIO = 97

_HEADER = struct.Struct(">BBHII")
_START_CODE = b"\0\0\0\1"


def payload_type(codec: Codec) -> int:
    """Give the RTP payload type: 98 = H.264, 101 = H.265, 97 = audio."""
    return {Codec.H264: 98, Codec.H265: 101}.get(codec, AUDIO)


class RtpWriter:
    """Writes one RTP stream: its SSRC, and its sequence numbers and time stamps from a random start.

    ::

         0                   1                   2                   3
         0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
        +---+-+-+-------+-+-------------+-------------------------------+
        |V=2|P|X|  CC   |M|     PT      |       sequence number         |
        +---+-+-+-------+-+-------------+-------------------------------+
        |                           timestamp                           |
        +---------------------------------------------------------------+
        |                             SSRC                              |
        +---------------------------------------------------------------+
        |                        CSRC, CC times                         |
        +-------------------------------+-------------------------------+
        |   defined by profile = 0      | length in 32-bit words        |   with X
        +-------------------------------+-------------------------------+
        |                    recorder information                       |
        +---------------------------------------------------------------+
        | payload …                       | with P: zeros, and their number, itself counted |
    """

    def __init__(
        self, payload_type: int, random: Random, *, csrc: int = 0, padding: int = 0
    ) -> None:
        self.payload_type = payload_type
        self.sequence_number = random.getrandbits(16)
        self.first_timestamp = random.getrandbits(32)
        self.ssrc = random.getrandbits(32)
        self._csrc = b"".join(random.randbytes(4) for _ in range(csrc))
        self._first_byte = 0x80 | (0x20 if padding else 0) | csrc
        self._padding = bytes(padding - 1) + bytes([padding]) if padding else b""

    def packet(
        self, ticks: int, payload: bytes, *, marker: bool, information: bytes = b""
    ) -> bytes:
        """Write the next packet, ``ticks`` of the clock after the stream's first."""
        header = _HEADER.pack(
            self._first_byte | (0x10 if information else 0),
            self.payload_type | (0x80 if marker else 0),
            self.sequence_number,
            (self.first_timestamp + ticks) & 0xFFFFFFFF,
            self.ssrc,
        )
        self.sequence_number = (self.sequence_number + 1) & 0xFFFF
        if information:
            words = struct.pack(">HH", 0, len(information) // 4)
            return b"".join((header, self._csrc, words, information, payload, self._padding))
        return b"".join((header, self._csrc, payload, self._padding))


@dataclass(frozen=True, slots=True)
class Packing:
    """How NAL units become payloads; see the switches of the same names in ``Readings``."""

    size: int = 1400
    aggregate: bool = False
    single_slices: bool = False
    start_codes: bool = False


@dataclass(frozen=True, slots=True)
class Payload:
    """One RTP payload; ``ends_nal_unit`` is False for fragments but the last."""

    data: bytes
    ends_nal_unit: bool = True


def payloads(codec: Codec, nal_units: Sequence[bytes], packing: Packing) -> tuple[Payload, ...]:
    """Pack the NAL units of one picture: delimiter, parameter sets and SEI alone, slices in fragments."""
    packed: list[Payload] = []
    small: list[bytes] = []
    for nal in nal_units:
        alone = len(nal) <= packing.size - len(_START_CODE)
        if _is_slice(codec, nal) and not packing.single_slices:
            alone = len(nal) < 4  # too short for the two fragments that an FU needs
        if alone and packing.aggregate:
            small.append(nal)
            continue
        packed += _aggregate(codec, small, packing)
        small.clear()
        if alone:
            packed.append(Payload(_START_CODE + nal if packing.start_codes else nal))
        else:
            packed += _fragments(codec, nal, packing.size)
    return (*packed, *_aggregate(codec, small, packing))


def _is_slice(codec: Codec, nal: bytes) -> bool:
    if codec is Codec.H264:
        return 1 <= nal[0] & 0x1F <= 5
    return nal[0] >> 1 & 0x3F < 32


def _fragments(codec: Codec, nal: bytes, size: int) -> Iterable[Payload]:
    """Cut a NAL unit into fragmentation units.

    H.264, FU-A (RFC 6184 section 5.8)::

        | F, NRI of the NAL unit, type 28 | S E R, type of the NAL unit (5 bits) | fragment …

    H.265, FU (RFC 7798 section 4.4.3)::

        | F, type 49, LayerId, TID of the NAL unit (2 bytes) | S E, type of the NAL unit (6 bits) | fragment …

    S and E must not both be set: there are two fragments at least.
    """
    if codec is Codec.H264:
        header, kind, body = bytes([nal[0] & 0xE0 | 28]), nal[0] & 0x1F, nal[1:]
    else:
        header, kind, body = bytes([nal[0] & 0x81 | 49 << 1, nal[1]]), nal[0] >> 1 & 0x3F, nal[2:]
    step = min(size - len(header) - 1, (len(body) + 1) // 2)
    for start in range(0, len(body), step):
        last = start + step >= len(body)
        flags = (0x80 if start == 0 else 0) | (0x40 if last else 0)
        yield Payload(header + bytes([flags | kind]) + body[start : start + step], last)


def _aggregate(codec: Codec, nal_units: Sequence[bytes], packing: Packing) -> Iterable[Payload]:
    """Put NAL units together, as many as fit a packet.

    H.264, STAP-A (RFC 6184 section 5.7.1)::

        | F, highest NRI, type 24 | size (2) | NAL unit | size (2) | NAL unit | …

    H.265, AP (RFC 7798 section 4.4.2)::

        | F, type 48, lowest LayerId and TID (2 bytes) | size (2) | NAL unit | size (2) | NAL unit | …

    One NAL unit left over travels as it is: an AP holds two at least.
    """
    groups: list[list[bytes]] = []
    room = 0
    for nal in nal_units:
        if not groups or room < len(nal) + 2:
            groups.append([])
            room = packing.size - 2
        groups[-1].append(nal)
        room -= len(nal) + 2
    for group in groups:
        if len(group) == 1:
            yield Payload(group[0])
            continue
        if codec is Codec.H264:
            header = bytes([max(nal[0] & 0x60 for nal in group) | 24])
        else:
            low = min((nal[0] & 1) << 8 | nal[1] for nal in group)
            header = struct.pack(">H", 48 << 9 | low)
        yield Payload(header + b"".join(struct.pack(">H", len(nal)) + nal for nal in group))


def aac_payload(frame: bytes) -> bytes:
    """Put the 4-byte AU header section in front of an AAC frame (RFC 3640 section 3.2.1, AAC-hbr).

    ::

        | AU-headers-length in bits = 16 (2) | AU-size (13 bits), AU-Index = 0 (3 bits) | frame |
    """
    return struct.pack(">HH", 16, len(frame) << 3) + frame
