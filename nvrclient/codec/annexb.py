"""Annex B byte streams (ITU-T H.264 and H.265): NAL units behind start codes."""

from __future__ import annotations

_START_CODE = b"\x00\x00\x01"


def has_start_code(data: bytes) -> bool:
    """Whether `data` begins with a start code, 00 00 01 or 00 00 00 01."""
    return data.startswith((_START_CODE, b"\x00" + _START_CODE))


def split(data: bytes) -> list[bytes]:
    """Return the NAL units of `data`, which may begin with or without a start code; empty ones are left out.

    Zero bytes before a start code belong to the start code (leading_zero_8bits, trailing_zero_8bits). Inside a
    NAL unit 00 00 01 cannot occur: emulation prevention forbids it.
    """
    pieces = data.split(_START_CODE)
    last = pieces.pop()
    if not pieces:
        return [last] if last else []
    units = [unit for piece in pieces if (unit := piece.rstrip(b"\x00"))]
    if last:
        units.append(last)
    return units
