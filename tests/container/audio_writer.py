"""Playback audio answers written from the tables of 3.3.2.1 and 3.3.2.2, every open reading an option.

Written apart from the parser and from the simulator: it shares nothing with either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

START = 1_700_000_000  # 2023-11-14 22:13:20 UTC


def be(value: int, size: int) -> bytes:
    return value.to_bytes(size, "big")


@dataclass(frozen=True)
class Form:
    """How a recorder might write; the defaults are the likeliest."""

    au_header: bool = False
    extra_zero: bool = False
    zero_behind_au: bool = False  # the extra 0x00 between the AU header and the frame
    length_from: int = 0  # offset in the block from which Length counts
    length_to_padding: bool = True  # Length counts the padding
    wide_padding: bool = False  # padding (2), AU info (1), reserved (1)
    size_row: int = 0  # which of the three rows holds the data size
    padding: str = "aligned"  # aligned, missing, short, double, ones
    block_id: int = 0xFF14
    camera: int = 3
    start: int = START
    end: int = START + 1
    start_zone: bytes = bytes((0, 0, 0, 0))  # reserved, hours, minutes, TZ info
    end_zone: bytes = bytes((0, 0, 0, 0))  # sign, hours, minutes, summer
    size: int | None = None  # a lie about the data size


def block(frame: bytes, form: Form = Form()) -> bytes:
    zero = b"\x00" if form.extra_zero else b""
    header = be(16, 2) + be(len(frame) << 3, 2) if form.au_header else b""
    data = header + zero + frame if form.zero_behind_au else zero + header + frame
    pad = -len(data) % 4
    length = 8 + len(data) + pad - form.length_from
    if not form.length_to_padding:
        length -= pad
    au_info = int(form.au_header)
    info = be(pad, 2) + bytes((au_info, 0)) if form.wide_padding else bytes((pad, au_info, 0, 0))
    return be(form.block_id, 2) + be(length, 2) + info + data + bytes(pad)


def aac(frames: Sequence[bytes], form: Form = Form()) -> bytes:
    data = b"".join(block(frame, form) for frame in frames)
    return _chunk(0xFF13, be(0xFF12, 2) + be(0x3C, 2), 0, data, form)


def samples(data: bytes, codec: int, form: Form = Form()) -> bytes:
    """Write G.726 (codec 0) or G.711 (codec 1)."""
    return _chunk(0xFF03, b"", codec, (b"\x00" if form.extra_zero else b"") + data, form)


def _chunk(chunk_id: int, stream_row: bytes, codec: int, data: bytes, form: Form) -> bytes:
    size = len(data) if form.size is None else form.size
    rows = [be(size if row == form.size_row else 0, 4) for row in range(3)]
    written = (
        be(chunk_id, 2) + be(form.camera, 2) + rows[0] + stream_row
        + be(form.start, 4) + form.start_zone + be(form.end, 4) + rows[1] + form.end_zone
        + bytes((codec, 0, 0, 0)) + rows[2] + bytes(28) + data
    )  # fmt: skip
    fill = -len(written) % 4096
    return (
        written
        + {
            "aligned": bytes(fill),
            "missing": b"",
            "short": bytes(fill // 2),
            "double": bytes(fill + 4096),
            "ones": b"\xa5" * fill,
        }[form.padding]
    )
