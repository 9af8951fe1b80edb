"""An event loop whose clock jumps: hours pass in seconds, and real sockets of one process work under it.

When nothing is ready, time moves to the next timer at once. It stands still while a job of `run_in_executor` (or
`asyncio.to_thread`, or anyio's) or a child process of asyncio is pending, and while the loopback has something under way.

There are three clocks, as on a computer. `loop.time()` is the monotonic one, which every timer follows. `wall()` runs
with it and can be set (`set_wall`); `boot_time()` runs with it too, and goes on while the computer sleeps (`sleep`).
"""

from __future__ import annotations

import _socket
import asyncio
import selectors
import socket
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, TypeVar

from anyio._backends._asyncio import WorkerThread

_T = TypeVar("_T")

BEGIN = 1000.0
"""What the monotonic clock says first."""

BEGIN_OF_WALL = 1_767_225_600.0
"""What the wall clock says first: midnight UTC of 2026-01-01."""

_POLL = 0.005
"""Real seconds between two looks at what another thread does."""


class _JumpingSelector(selectors.DefaultSelector):  # type: ignore[valid-type, misc]
    loop: SimulatedClockLoop

    def __init__(self) -> None:
        super().__init__()
        # What is sent over the loopback stands in one queue of the kernel: once this datagram is here, so is what was
        # sent before it. The plain type: tests replace methods of socket.socket.
        self._canary = _socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._canary.bind(("127.0.0.1", 0))
        self._canary.connect(self._canary.getsockname())
        self._canary.settimeout(1.0)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.loop.is_waiting or timeout is None:
            return super().select(1.0 if timeout is None else _POLL)
        self._canary.send(b"x")
        self._canary.recv(1)
        ready = super().select(0)
        if not ready:
            self.loop.advance(timeout)
        return ready

    def close(self) -> None:
        super().close()
        self._canary.close()


class _Watched(Executor):
    """An executor that remembers the last job it was given."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.last: Future[Any] | None = None

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.last = self._executor.submit(fn, *args, **kwargs)
        return self.last


class SimulatedClockLoop(asyncio.SelectorEventLoop):
    """See the module."""

    def __init__(self) -> None:
        selector = _JumpingSelector()
        selector.loop = self
        self.jumps = 0
        self._now = BEGIN
        self._wall_offset = BEGIN_OF_WALL - BEGIN
        self._boot_offset = 0.0
        self._counting = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._jobs = 0
        self._children = 0
        super().__init__(selector)

    # The clocks

    def time(self) -> float:
        """Return the monotonic clock, in seconds."""
        return self._now

    def wall(self) -> float:
        """Return the wall clock, in Unix seconds."""
        return self._now + self._wall_offset

    def boot_time(self) -> float:
        """Return the clock that goes on while the computer sleeps, in seconds."""
        return self._now + self._boot_offset

    def set_wall(self, seconds: float) -> None:
        """Set the wall clock to so many Unix seconds; nothing else changes."""
        self._wall_offset = seconds - self._now

    def sleep(self, seconds: float) -> None:
        """Have the computer sleep: when it wakes, the wall clock and the boot-time clock have gone on alone."""
        self._wall_offset += seconds
        self._boot_offset += seconds

    def advance(self, seconds: float) -> None:
        """Have all clocks go on, as when the loop was held up for so long."""
        self._now += seconds
        self.jumps += 1

    # What it stands still for

    @property
    def is_waiting(self) -> bool:
        """Whether a thread or a child process is at work."""
        if self._jobs > 0 or self._children > 0:
            return True
        return threading.active_count() > 1 and any(
            isinstance(thread, WorkerThread)
            and thread.loop is self
            and thread not in thread.idle_workers
            for thread in threading.enumerate()
        )

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Any, *args: Any
    ) -> asyncio.Future[Any]:
        if executor is None:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(thread_name_prefix="asyncio")
                self.set_default_executor(self._pool)  # so that it ends with the loop
            executor = self._pool
        watched = _Watched(executor)
        self._count(1)
        try:
            future = super().run_in_executor(watched, func, *args)
        except BaseException:
            self._count(-1)
            raise
        assert watched.last is not None
        # Called after the loop was told of the result, and also for a job that nobody waits for any more.
        watched.last.add_done_callback(lambda _: self._count(-1))
        return future

    def _count(self, more: int) -> None:
        with self._counting:
            self._jobs += more

    async def _make_subprocess_transport(self, *args: Any, **kwargs: Any) -> Any:
        self._children += 1
        try:
            return await super()._make_subprocess_transport(*args, **kwargs)  # type: ignore[misc]
        except BaseException:
            self._children -= 1
            raise

    def _child_watcher_callback(
        self, *args: Any
    ) -> None:  # from the thread or the loop that saw it end
        super()._child_watcher_callback(*args)  # type: ignore[misc]
        self.call_soon_threadsafe(self._child_ended)

    def _child_ended(self) -> None:
        self._children -= 1


def simulated_clock() -> SimulatedClockLoop:
    """Return the running loop, where it is one with a simulated clock."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulatedClockLoop)
    return loop


def run_simulated(work: Coroutine[Any, Any, _T], *, debug: bool = True) -> _T:
    """Run `work` on a loop with a simulated clock."""
    with asyncio.Runner(debug=debug, loop_factory=SimulatedClockLoop) as runner:
        return runner.run(work)
