"""Writes playback video (§3.3.1) for the tests, every open reading an option; shares nothing with the parser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

CHUNK_HEADS = {"H264": b"\xff\x15", "H265": b"\xff\x16", "JPEG": b"\xff\xd8\xff\xfe"}


def u16(number: int) -> bytes:
    return number.to_bytes(2, "big")


def u32(number: int) -> bytes:
    return number.to_bytes(4, "big")


def tlv(tlv_id: int, data: bytes) -> bytes:
    return u16(tlv_id) + u16(4 + len(data)) + data


def number_tlv(tlv_id: int, number: int) -> bytes:
    return tlv(tlv_id, u16(number) + b"\0\0")


@dataclass(frozen=True)
class Moment:
    """Unix seconds and hundredths; zone as signed minutes."""

    seconds: int
    hundredths: int = 0
    zone: int = 0
    summer: bool = False

    def later(self, hundredths: int) -> Moment:
        seconds, rest = divmod(self.seconds * 100 + self.hundredths + hundredths, 100)
        return replace(self, seconds=seconds, hundredths=rest)

    def detail(self, bits: str) -> bytes:
        sign, summer = (0x80, 0x40) if bits == "high" else (0x01, 0x02)
        info = (sign if self.zone < 0 else 0) | (summer if self.summer else 0)
        return bytes([self.hundredths, *divmod(abs(self.zone), 60), info])

    def tlv(self, tlv_id: int = 0x0007) -> bytes:
        zone = bytes([self.zone < 0, *divmod(abs(self.zone), 60), self.summer])
        return tlv(tlv_id, u32(self.seconds) + zone)


@dataclass(frozen=True)
class Options:
    """How one recorder writes. ``spans`` are where pictures' data stand, filled by `write`."""

    codec: str = "H264"
    counts: str = "data"  # what a picture's Length covers: data, padded, packet
    chunk_length: str = "tlvs"  # what the chunk's Length covers: tlvs, head, all, zero, wild
    tz_bits: str = "high"
    stated_count: int | None = -1  # TLV 0x0008; -1 = the truth, None = none
    time_tlv: bool = True
    has_image: int | None = 1
    extra: bytes = b""  # recorder TLVs of unknown ids
    camera: bytes = b""  # camera information before every picture
    reserved: bytes = bytes(12)
    align: int | None = None  # padding written behind a picture; None = to 4
    stated_align: int | None = None  # padding said in the packet header; None = what is written
    align_fill: int = 0
    final: int | None = None  # final padding; None = to 4096
    final_fill: int = 0
    summary: bool = True  # GOP information has times
    start: Moment = field(default_factory=lambda: Moment(1_700_006_400, 25, 540))
    step: int = 7  # hundredths between pictures


def chunk(pictures: Sequence[bytes], options: Options = Options()) -> bytes:
    return written(pictures, options)[0]


def written(pictures: Sequence[bytes], o: Options) -> tuple[bytes, list[int]]:
    """Return a chunk, and where each picture's packet header stands in it."""
    count = len(pictures) if o.stated_count == -1 else o.stated_count
    times = [o.start.later(o.step * n) for n in range(len(pictures))]
    recorder = number_tlv(0x0004, 3)
    if o.codec != "JPEG":
        recorder += number_tlv(0x0005, 3 if o.codec == "H264" else 4)
    recorder += tlv(0x0006, u32(sum(map(len, pictures))))
    recorder += o.start.tlv() if o.time_tlv else b""
    recorder += number_tlv(0x0008, count) if count is not None else b""
    recorder += number_tlv(0x0009, 150) + number_tlv(0x000A, o.start.hundredths)
    recorder += tlv(0x000B, bytes(8)) + o.extra
    recorder += number_tlv(0x000C, o.has_image) if o.has_image is not None else b""
    recorder += tlv(0x000D, b"\2\0\0\0") + number_tlv(0x0027, 1)
    head = CHUNK_HEADS[o.codec]
    rest = b""
    headers: list[int] = []
    at = len(head) + 2 + len(recorder)
    for data, time in zip(pictures, times, strict=True):
        align = -len(data) % 4 if o.align is None else o.align
        said = align if o.stated_align is None else o.stated_align
        length = len(data) + {"data": 0, "padded": align, "packet": 24 + align}[o.counts]
        first, last = (times[0], times[-1]) if o.summary else (Moment(0), Moment(0))
        rest += o.camera + o.reserved + b"\xff\x06\x00\x44"
        rest += bytes(16) + u32(last.seconds) + last.detail(o.tz_bits)
        rest += u32(first.seconds) + first.detail(o.tz_bits)
        rest += bytes(16) + u32(time.seconds) + bytes([time.hundredths]) + bytes(11)
        headers.append(at + len(rest))
        rest += b"\xff\x05" + u16(said) + u32(length) + bytes(16)
        rest += data + bytes([o.align_fill]) * align
    covered = {
        "tlvs": len(recorder),
        "head": len(head) + 2 + len(recorder),
        "all": at + len(rest) & 0xFFFF,
        "zero": 0,
        "wild": 0xFFFF,
    }[o.chunk_length]
    whole = head + u16(covered) + recorder + rest
    final = -len(whole) % 4096 if o.final is None else o.final
    return whole + bytes([o.final_fill]) * final, headers
