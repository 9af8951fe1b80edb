"""An event loop whose clock jumps: hours pass in seconds, and real sockets of one process work under it.

When nothing is ready, time moves to the next timer at once. It stands still while a job in a thread is pending.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar

_T = TypeVar("_T")


class _JumpingSelector(selectors.DefaultSelector):  # type: ignore[valid-type, misc]
    loop: SimulatedClockLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.loop.jobs or timeout is None:
            return super().select(1.0 if timeout is None else 0.005)
        ready = super().select(0.0005)  # what another thread or the kernel has under way
        if not ready:
            self.loop.now += timeout
        return ready


class SimulatedClockLoop(asyncio.SelectorEventLoop):
    """See the module."""

    def __init__(self) -> None:
        selector = _JumpingSelector()
        selector.loop = self
        self.now = 1000.0
        self.jobs = 0
        super().__init__(selector)

    def time(self) -> float:
        return self.now

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Any, *args: Any
    ) -> asyncio.Future[Any]:
        self.jobs += 1
        future = super().run_in_executor(executor, func, *args)

        def done(_future: asyncio.Future[Any]) -> None:
            self.jobs -= 1

        future.add_done_callback(done)
        return future


def run_simulated(work: Coroutine[Any, Any, _T]) -> _T:
    """Run `work` on a loop with a simulated clock; debug mode is on."""
    with asyncio.Runner(debug=True, loop_factory=SimulatedClockLoop) as runner:
        return runner.run(work)
