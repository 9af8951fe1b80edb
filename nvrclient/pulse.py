"""The pulse of an event loop: how late it wakes what sleeps, and whether the machine slept meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

BEAT = 1.0
"""Seconds between two looks."""

SLEPT = 5.0
"""Seconds by which the clock that goes on in sleep must have run ahead: less is the clocks' own difference."""


def boot_time() -> float:
    """Return seconds of a clock that goes on while the machine sleeps, where the system has one."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class Pulse:
    """Watches; ``lag_max`` is the most seconds by which the loop was late. `slept` is called after a sleep with its seconds."""

    def __init__(self, slept: Callable[[float], None]) -> None:
        self.lag_max = 0.0
        self._slept = slept

    async def run(self) -> None:
        """Beat for ever."""
        loop = asyncio.get_running_loop()
        while True:
            awake_at, real = loop.time(), boot_time()
            await asyncio.sleep(BEAT)
            passed = loop.time() - awake_at
            self.lag_max = max(self.lag_max, passed - BEAT)
            asleep = boot_time() - real - passed
            if asleep > SLEPT:
                self._slept(asleep)
