"""The client's tasks driven step by step: their suspensions are numbered, and the caller is cancelled at one of them.

The recorder runs in the same process and loop. It is told apart by a context variable, which its tasks, its connections
and their callbacks inherit from its start.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from typing import Any, TypeVar

import nvrclient

_T = TypeVar("_T")

PACKAGE = str(Path(nvrclient.__file__).parent)


_is_recorder: contextvars.ContextVar[bool] = contextvars.ContextVar("is_recorder", default=False)


async def as_recorder(work: Coroutine[Any, Any, _T]) -> _T:
    """Run `work` so that it, and all that comes of it, does not count as the client."""
    context = contextvars.copy_context()
    context.run(_is_recorder.set, True)
    return await asyncio.create_task(work, context=context)


def is_recorder() -> bool:
    """Whether the recorder is running here."""
    return _is_recorder.get()


def is_client(path: str) -> bool:
    """Whether this is a file of the client."""
    return path.startswith(PACKAGE) and "/simulator/" not in path


class Steps:
    """Runs a piece of work in a task and numbers the suspensions of this and every other task of the client meanwhile.

    So the points are not only where the work itself waits: what it waits for goes on in tasks of its own, and each of
    their steps is another moment. At suspension number `cancel_at` (from 1; 0: never) the work is cancelled, and `times`
    - 1 more times, each at the next suspension; or, with `by_timeout`, a deadline round it is over. `count` is how many
    there were, `hit` says where the first was.
    """

    def __init__(self, *, cancel_at: int = 0, times: int = 1, by_timeout: bool = False) -> None:
        self.count = 0
        self.hit: str | None = None
        self._cancel_at = cancel_at
        self._times = times
        self._by_timeout = by_timeout
        self._deadline = asyncio.timeout(None)
        self._task: asyncio.Task[Any] | None = None
        self._work: Coroutine[Any, Any, Any] | None = None

    async def outcome(
        self, work: Coroutine[Any, Any, object], limit: float
    ) -> BaseException | None:
        """Return what `work` raised; AssertionError where it has not ended after `limit` seconds."""
        loop = asyncio.get_running_loop()
        before = loop.get_task_factory()
        loop.set_task_factory(self._make_task)  # type: ignore[arg-type]
        try:
            self._work = self._within_deadline(work)
            self._task = loop.create_task(self._work, name="scenario")
            await asyncio.wait((self._task,), timeout=limit)
        finally:
            loop.set_task_factory(before)
        task = self._task
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))
            return AssertionError(f"the scenario did not end within {limit:g} s")
        return asyncio.CancelledError() if task.cancelled() else task.exception()

    async def _within_deadline(self, work: Coroutine[Any, Any, object]) -> object:
        async with self._deadline:
            return await work

    def _make_task(
        self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **more: Any
    ) -> asyncio.Task[Any]:
        if not is_recorder():
            work = _driven(_Stepped(work, self._suspended))
        return asyncio.Task(work, loop=loop, **more)

    def _suspended(self, work: Coroutine[Any, Any, Any]) -> None:
        task = self._task
        if task is None or task.done():
            return
        self.count += 1
        if self._cancel_at <= self.count < self._cancel_at + self._times and self._cancel_at:
            if self.hit is None:
                own = work is self._work
                caller = "" if own else f", the caller at {place_of(self._work)}"
                self.hit = f"at {place_of(work)}{caller}"
            if self._by_timeout:
                self._deadline.reschedule(0)  # long ago: in the next turn of the loop
            else:
                task.cancel()


async def _driven(stepped: _Stepped) -> Any:
    return await stepped


class _Stepped:
    """Drives a coroutine, and says each time that it is suspended."""

    def __init__(
        self,
        work: Coroutine[Any, Any, Any],
        suspended: Callable[[Coroutine[Any, Any, Any]], None],
    ) -> None:
        self._work = work
        self._suspended = suspended

    def __await__(self) -> Generator[Any, Any, Any]:
        work = self._work
        thrown: BaseException | None = None
        while True:
            try:
                waits_for = work.send(None) if thrown is None else work.throw(thrown)
            except StopIteration as end:
                return end.value
            self._suspended(work)
            thrown = None
            try:
                yield waits_for
            except GeneratorExit:
                work.close()
                raise
            except BaseException as error:
                thrown = error


def place_of(work: Any) -> str:
    """Return file and line of the innermost frame of the client in a suspended coroutine; else of the innermost of all."""
    found = innermost = "nowhere"
    while work is not None:
        if inspect.iscoroutine(work):
            frame, work = work.cr_frame, work.cr_await
        elif inspect.isgenerator(work):
            frame, work = work.gi_frame, work.gi_yieldfrom
        elif inspect.isasyncgen(work):
            frame, work = work.ag_frame, work.ag_await
        else:
            break
        if frame is not None:
            innermost = f"{frame.f_code.co_filename}:{frame.f_lineno}"
            if is_client(innermost):
                found = innermost.removeprefix(PACKAGE)
    return found if found != "nowhere" else innermost
