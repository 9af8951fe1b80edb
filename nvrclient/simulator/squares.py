"""The number of a picture, drawn as a row of black and white squares: the one place that knows the layout.

The row begins in the top left corner. A square is 1/40 of the picture's width (16 px of 640), white is 1::

    | 4 squares | 16 squares              | 4 squares                                       |
    | 1 0 1 0   | number, high bit first  | check: the number's four digits (hex) XORed, ^F |

Lead-in and check make a picture without squares, or a ruined one, an error instead of a wrong number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["cell_size", "cells", "read_number"]

_LEAD_IN = (1, 0, 1, 0)
_COUNT = 24


def cell_size(width: int) -> int:
    """Edge of one square, in pixels, in a picture ``width`` pixels wide."""
    return width // 40


def cells(number: int) -> tuple[int, ...]:
    """Draw the squares of a number 0…65535, left to right, 1 = white."""
    check = (number >> 12 ^ number >> 8 ^ number >> 4 ^ number ^ 0xF) & 0xF
    bits = number << 4 | check
    return _LEAD_IN + tuple(bits >> shift & 1 for shift in range(19, -1, -1))


def read_number(luma: Sequence[int], width: int, height: int, stride: int) -> int:
    """Read a picture's number from its luma plane, ``stride`` bytes a row.

    Only the inner half of each square is looked at, so that lossy coding of the edges does no harm.
    Raises ``ValueError`` where the picture carries no number.
    """
    size = cell_size(width)
    if size < 4 or height < size or len(luma) < stride * size:
        raise ValueError(f"a picture of {width}x{height} is too small to carry a number")
    inner = range(size // 4, size - size // 4)
    read: list[int] = []
    for index in range(_COUNT):
        total = sum(luma[y * stride + index * size + x] for y in inner for x in inner)
        mean = total / len(inner) ** 2
        if 80 < mean < 176:
            raise ValueError(f"square {index} is neither black nor white (mean {mean:.0f})")
        read.append(int(mean >= 128))
    number = int("".join(map(str, read[4:20])), 2)
    if tuple(read) != cells(number):
        raise ValueError("the picture carries no number: lead-in or check squares are wrong")
    return number
