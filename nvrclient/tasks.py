"""Plain asyncio tasks, held and supervised by what is behind a session; no cancel scope stays open between calls."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

import anyio

from nvrclient.errors import ConnectionFailedError, NVRError
from nvrclient.uids import UidGoneError

logger = logging.getLogger("nvrclient.tasks")

ANSWER_TIME = 0.5
"""Seconds to wait for the answer to a START when its stream is closed already: then STOP is owed, or not."""

END_TIME = 0.3
"""Seconds that tasks have to end once they are cancelled."""

_T = TypeVar("_T")
_E = TypeVar("_E", bound=Exception)

_KNOWN = "_nvrclient_known"
"""Marks an exception that is not to be logged: it says whose mistake it is, the "caller" or a "bug" told already."""


class BugError(NVRError):
    """A bug of ours, told to the caller. It does not heal by trying again."""


def misuse(error: _E) -> _E:
    """Mark an error as the caller's own, which is raised as it is although it comes out of our tasks."""
    setattr(error, _KNOWN, "caller")
    return error


def is_misuse(error: BaseException) -> bool:
    """Whether it was marked by `misuse`."""
    return getattr(error, _KNOWN, None) == "caller"


@contextmanager
def bugs_told(what: str) -> Generator[None]:
    """Raise a bug that shows itself in this block as BugError; NVRErrors and the caller's own errors go through."""
    try:
        yield
    except (NVRError, UidGoneError):
        raise
    except Exception as failure:
        if is_misuse(failure):
            raise
        bug = told(what, failure)
    else:
        return
    raise bug


def told(what: str, bug: Exception) -> BugError:
    """Log a bug of ours, once however often it is met, and return the error that tells the caller of it."""
    if not hasattr(bug, _KNOWN):
        logger.error("%s: a bug in nvrclient", what, exc_info=bug)
        setattr(bug, _KNOWN, "bug")
    return BugError(
        f"{what}: a bug in nvrclient ({type(bug).__name__}); its traceback is in the log"
    )


async def seen_through(closing: asyncio.Task[None]) -> None:
    """Wait for a task that closes, also when cancelled meanwhile; then be cancelled. A second one leaves at once."""
    cancelled: asyncio.CancelledError | None = None
    while not closing.done():
        try:
            with anyio.CancelScope(shield=True):  # anyio's scopes cancel again and again
                await asyncio.wait((closing,))
        except asyncio.CancelledError as cancellation:
            if cancelled is not None:
                raise
            cancelled = cancellation
    closing.result()
    if cancelled is not None:
        raise cancelled


class Tasks:
    """The tasks of one event loop: the one that is running here."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, _T], name: str) -> asyncio.Task[_T]:
        """Run `work` in a task of this connection, which holds it until it is done."""
        task = self.loop.create_task(work, name=f"nvrclient {name}")
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        failure = None if task.cancelled() else task.exception()
        if isinstance(failure, Exception) and not isinstance(failure, NVRError | UidGoneError):
            told(_what(task), failure)

    async def shielded(self, work: Coroutine[Any, Any, _T], name: str) -> _T:
        """Run `work` in a task that the caller's cancellation does not reach, and return what it returns."""
        return await self.result(self.spawn(work, name))

    async def result(self, task: asyncio.Task[_T]) -> _T:
        """Wait for a task without handing it the caller's cancellation, or the caller the task's.

        Raises ConnectionFailedError where the task was cancelled because the session was closed, and BugError.
        """
        try:
            with bugs_told(_what(task)):
                return await asyncio.shield(task)
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if task.cancelled() and (caller is None or not caller.cancelling()):
                raise ConnectionFailedError("the session was closed meanwhile") from None
            raise

    async def uninterrupted(self, work: Coroutine[Any, Any, _T], name: str) -> _T:
        """Run `work` to its end also when cancelled meanwhile, `ANSWER_TIME` at most; then be cancelled.

        For a command whose outcome decides what has to be undone.
        """
        task = self.spawn(work, name)
        try:
            return await self.result(task)
        except asyncio.CancelledError:
            with anyio.CancelScope(shield=True):
                await asyncio.wait((task,), timeout=ANSWER_TIME)
            task.cancel()
            raise

    async def end_tasks(self) -> None:
        """Cancel every task but the one that asks, and wait `END_TIME` for them."""
        mine = asyncio.current_task()
        tasks = [task for task in self._tasks if task is not mine]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=END_TIME)


def _what(task: asyncio.Task[Any]) -> str:
    return task.get_name().removeprefix("nvrclient ")
