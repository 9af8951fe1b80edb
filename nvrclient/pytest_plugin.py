"""The pytest fixture ``simulated_recorder``: a recorder on loopback for the tests of programs that use nvrclient.

pytest finds it by itself where nvrclient is installed (``-p no:nvrclient`` leaves it out)::

    async def test_my_service(simulated_recorder):
        async with nvrclient.connect(
            simulated_recorder.url, simulated_recorder.username, simulated_recorder.password
        ) as nvr:
            ...
            simulated_recorder.run(lambda recorder: recorder.forget_uids())  # as a reboot does

The fixture is synchronous, and the recorder runs on a thread and event loop of its own: so it serves plain tests,
pytest-asyncio's, anyio's, and programs in other processes. ``@pytest.mark.simulated_recorder(cameras=1, tls=True)`` gives
it options, those of `SimulatedRecorder` (tls needs the extra ``simulator``).
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Future
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import pytest

if TYPE_CHECKING:
    from nvrclient.simulator import SimulatedRecorder

__all__ = ["RecorderThread", "simulated_recorder"]

_T = TypeVar("_T")

MARK = "simulated_recorder"


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        f"{MARK}(**options): options of nvrclient's SimulatedRecorder for the fixture {MARK}",
    )


@pytest.fixture
def simulated_recorder(request: pytest.FixtureRequest) -> Generator[RecorderThread]:
    """A simulated i-PRO recorder, open while the test runs: url, username, password, certificate, run(…)."""
    options: dict[str, Any] = {}
    for mark in reversed(list(request.node.iter_markers(MARK))):  # the nearest has the last word
        if mark.args:
            raise pytest.UsageError(f"@pytest.mark.{MARK} takes options by name only")
        options |= mark.kwargs
    with RecorderThread(**options) as recorder:
        yield recorder


class RecorderThread:
    """A `SimulatedRecorder` on a thread and event loop of its own; ``with`` it, in a fixture of any scope.

    ``url``, ``username``, ``password`` and ``certificate`` (a PEM path, None without TLS) are what a client needs.
    Everything else goes through `run`.
    """

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._opened: Future[SimulatedRecorder] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve()),
            name="nvrclient simulated recorder",
            daemon=True,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told_to_end: asyncio.Event | None = None
        self.url = ""
        self.username = ""
        self.password = ""
        self.certificate: str | None = None

    def __repr__(self) -> str:
        return f"<RecorderThread {self.url or 'closed'}>"

    def __enter__(self) -> Self:
        self._thread.start()
        recorder = self._opened.result()  # raises what opening it raised
        self.url, self.certificate = recorder.url, recorder.certificate
        self.username, self.password = recorder.username, recorder.password
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._loop is not None and self._told_to_end is not None:
            self._loop.call_soon_threadsafe(self._told_to_end.set)
        self._thread.join()
        self._loop = None

    def run(self, work: Callable[[SimulatedRecorder], Awaitable[_T] | _T]) -> _T:
        """Call `work` with the SimulatedRecorder, in its thread; return what it returns, awaited if need be.

        This is how a test asks it anything (``run(lambda recorder: recorder.requests)``) or has something happen
        (``run(lambda recorder: recorder.drop_connections())``). It blocks the caller until it is done. Raises
        what `work` raises, RuntimeError when the recorder is closed.
        """
        if self._loop is None:
            raise RuntimeError("the simulated recorder is not open")

        async def call() -> _T:
            result: Any = work(self._opened.result())
            value: _T = await result if inspect.isawaitable(result) else result
            return value

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result()

    async def _serve(self) -> None:
        try:
            from nvrclient.simulator import SimulatedRecorder  # noqa: PLC0415  most test runs need none

            async with SimulatedRecorder(**self._options) as recorder:
                self._loop, self._told_to_end = asyncio.get_running_loop(), asyncio.Event()
                self._opened.set_result(recorder)
                await self._told_to_end.wait()
        except BaseException as error:
            if self._opened.done():
                raise
            self._opened.set_exception(error)
