"""Single keys of the terminal, without blocking the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import Generator

try:
    import termios
    import tty
except ImportError:  # Windows: no keys
    termios = tty = None  # type: ignore[assignment]

RIGHT, LEFT = "→", "←"

_KEY = re.compile(r"\x1b[\[O]([A-Z])|\x1b\[[\d;]*~|[^\x1b]")
"""An arrow in either of its codes, another key with a code of its own, or a character."""

_CUT = re.compile(r"\x1b[\[O]?[\d;]*$")
"""The beginning of a code whose rest is still to come."""


@contextlib.contextmanager
def pressed() -> Generator[asyncio.Queue[str] | None]:
    """Give a queue of the keys pressed; None where there is no terminal in the foreground to press them in.

    The terminal is as it was afterwards, however the block is left.
    """
    if termios is None or tty is None or not _in_foreground():
        yield None
        return
    loop = asyncio.get_running_loop()
    fd = sys.stdin.fileno()
    keys: asyncio.Queue[str] = asyncio.Queue()
    text = ""

    def read() -> None:
        nonlocal text
        try:
            data = os.read(fd, 1024)
        except OSError:  # the terminal has gone
            data = b""
        if not data:
            loop.remove_reader(fd)
        text += data.decode(errors="replace")
        cut = _CUT.search(text)
        whole, text = (text[: cut.start()], cut.group()) if cut else (text, "")
        for key in _KEY.finditer(whole):
            keys.put_nowait({"C": RIGHT, "D": LEFT}.get(key[1], key[0]))

    before = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd)
        loop.add_reader(fd, read)
        yield keys
    finally:
        loop.remove_reader(fd)
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def _in_foreground() -> bool:
    """Whether stdin is a terminal that this program may change: one in the background would be stopped."""
    try:
        return sys.stdin.isatty() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):  # closed, or not the terminal of this session
        return False
