"""The stall clock of a transfer: how long nothing may come."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class StallClock:
    """Ends a wait in which nothing comes for `seconds`; what passes between two waits does not count.

    It does what ``asyncio.timeout`` does, with one timer for all waits: one for each would cost a download a tenth of
    its speed.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[Any] | None = None  # that waits now
        self._deadline = 0.0
        self._is_over = False

    async def wait(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Return what `work` returns. Raises TimeoutError when it takes longer than `seconds`."""
        task = self._task = asyncio.current_task()
        assert task is not None
        cancelled = task.cancelling()
        self._deadline = self._loop.time() + self.seconds
        if self._timer is None or self._timer.when() > self._deadline:
            self.stop()
            self._timer = self._loop.call_at(self._deadline, self._look)
        try:
            return await work
        except asyncio.CancelledError:
            if not self._is_over or task.uncancel() > cancelled:
                raise
        finally:
            self._task = None
        raise TimeoutError

    def stop(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._task is None:
            return  # the next wait starts it again
        if self._deadline <= self._loop.time():
            self._is_over = True
            self._task.cancel()
        else:
            self._timer = self._loop.call_at(self._deadline, self._look)
