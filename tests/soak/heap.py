"""How many bytes the heap of this process holds, exactly: what Python's allocator and C's have handed out.

RSS is no measure: it never shrinks again after a peak and moves by whole arenas. tracemalloc would take most of the
processor. Python's allocator counts what it has handed out (objects up to 512 bytes), and so does glibc's (larger ones,
and what C libraries take); both are asked, after a collection, and nothing is counted twice, since the arenas of
Python's allocator are mapped and not taken from glibc's.
"""

from __future__ import annotations

import ctypes
import gc
import os
import re
import sys
import tempfile


class _MallInfo(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks",
            "fordblks", "keepcost",
        )
    ]  # fmt: skip


def heap_bytes() -> tuple[int, int]:
    """Return the bytes in use by the main thread's allocations: all, and those of Python's allocator alone.

    The second has no buffers of connections in it, whose number changes with the idle ones.
    """
    gc.collect()
    mallinfo = ctypes.CDLL(None).mallinfo2
    mallinfo.restype = _MallInfo
    info = mallinfo()
    small = _in_python()
    return small + int(info.uordblks) + int(info.hblkhd), small


def _in_python() -> int:
    """Read what Python's allocator says of itself; it says it to file descriptor 2 only."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with tempfile.TemporaryFile("w+") as said:
            os.dup2(said.fileno(), 2)
            try:
                sys._debugmallocstats()
            finally:
                os.dup2(kept, 2)
            said.seek(0)
            found = re.search(r"# bytes in allocated blocks\s*=\s*([\d,]+)", said.read())
    finally:
        os.close(kept)
    assert found is not None
    return int(found[1].replace(",", ""))


def slope(samples: list[tuple[float, float]]) -> float:
    """Return by how much y rises for each x, by least squares."""
    count = len(samples)
    mean_x = sum(x for x, _ in samples) / count
    mean_y = sum(y for _, y in samples) / count
    above = sum((x - mean_x) * (y - mean_y) for x, y in samples)
    return above / sum((x - mean_x) ** 2 for x, _ in samples)
