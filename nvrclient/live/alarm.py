"""One timer that can be set anew with every packet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Alarm:
    """Calls `ring` when it is due, once each time it is `set`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._timer: asyncio.TimerHandle | None = None

    def set(self, due: float | None) -> None:
        """Ring at this time of the loop, and no more at another; None: not at all."""
        timer = self._timer
        if timer is not None and timer.when() != due:
            timer.cancel()
            self._timer = timer = None
        if due is not None and timer is None:
            self._timer = self._loop.call_at(due, self._rings)

    def _rings(self) -> None:
        self._timer = None
        self._ring()
