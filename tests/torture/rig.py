"""Runs one scenario with one thing going wrong at one point, and judges what is left."""

from __future__ import annotations

import asyncio
import gc
import logging
import shutil
import sys
import tempfile
import threading
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from nvrclient import NVRError, Session
from nvrclient.simulator import SimulatedRecorder
from tests.clock import simulated_clock
from tests.torture.scenarios import Scenario, Stage, connect, frames, make_recorder
from tests.torture.steps import Steps, as_recorder
from tests.torture.system_calls import SystemCalls

CLEAN_AFTER = 2.0
"""Seconds after which nothing may be left (FAULTS row 16)."""

UID_LIFETIME = 90.0
"""Seconds of a UID that a logout did not reach."""

Choice: TypeAlias = "Callable[[Kind, int], range | list[int]]"
"""Which points to try, of so many of a kind."""

LONGEST = 300.0
"""Seconds in which every scenario ends."""

OUTLIVED = {"asyncio_", "AnyIO worker"}
"""Threads of pools that belong to the event loop, by the beginning of their names."""


class Kind(Enum):
    """What goes wrong."""

    CANCELLED = "cancelled"
    CANCELLED_TWICE = "cancelled twice"
    TIMED_OUT = "timed out"
    OS_ERROR = "OSError"


@dataclass
class Unseen:
    """What went wrong without reaching anybody."""

    found: list[str] = field(default_factory=list)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note warnings, exceptions nobody retrieved or raised in `__del__`, and errors in the client's log."""
        loop = asyncio.get_running_loop()
        log = _Errors(self.found)
        hook, handler = sys.unraisablehook, loop.get_exception_handler()
        loop.set_exception_handler(lambda _, context: self.found.append(f"in the loop: {context}"))
        sys.unraisablehook = lambda args: self.found.append(
            f"{args.exc_value!r} in {args.object!r}"
        )
        logging.getLogger("nvrclient").addHandler(log)
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                yield
            self.found += [f"{w.category.__name__}: {w.message}" for w in caught]
        finally:
            logging.getLogger("nvrclient").removeHandler(log)
            sys.unraisablehook = hook
            loop.set_exception_handler(handler)


class _Errors(logging.Handler):
    def __init__(self, found: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        self._found.append(f"log: {record.getMessage()} {record.exc_info and record.exc_info[1]!r}")


@dataclass(frozen=True)
class Base:
    """What there is of tasks, threads and open files."""

    tasks: frozenset[asyncio.Task[Any]]
    threads: frozenset[threading.Thread]
    files: Counter[str]

    @classmethod
    def now(cls) -> Base:
        """Look."""
        return cls(
            frozenset(task for task in asyncio.all_tasks() if not task.done()),
            frozenset(
                thread
                for thread in threading.enumerate()
                if not thread.name.startswith(tuple(OUTLIVED))
            ),
            open_files(),
        )

    def left(self) -> list[str]:
        """Return what is there now and was not."""
        now = Base.now()
        return [
            *(f"task {task!r}" for task in now.tasks - self.tasks),
            *(f"thread {thread.name}" for thread in now.threads - self.threads),
            *(f"open file {name}" for name in now.files - self.files),
        ]


def open_files() -> Counter[str]:
    """Return what this process has open; sockets by their inodes."""
    found: Counter[str] = Counter()
    for fd in Path("/proc/self/fd").iterdir():
        try:
            found[str(fd.readlink())] += 1
        except OSError:
            continue
    return found


class Torture:
    """One scenario on one recorder. `points` says how many there are of a kind; `run` tries one."""

    def __init__(self, scenario: Scenario, recorder: SimulatedRecorder, folder: Path) -> None:
        self._scenario = scenario
        self._recorder = recorder
        self._folder = folder

    async def points(self, kind: Kind) -> int:
        """Run the scenario with nothing going wrong; return how many points it has."""
        await self.run(kind, 0)
        return self._count

    async def run(self, kind: Kind, point: int) -> str | None:
        """Run the scenario once; return where point number `point` (from 1) was, None where it has fewer.

        Raises AssertionError that names the scenario, the kind, the point and the place.
        """
        self._where: str | None = None
        problems: list[str] = []
        unseen = Unseen()
        self._recorder.requests.clear()
        base = Base.now()
        shutil.rmtree(self._folder, ignore_errors=True)
        with unseen.watching():
            await self._try(kind, point, problems)
            problems += await _until_nothing(lambda: self._left(base))
            gc.collect()
            await asyncio.sleep(0)
        problems += unseen.found
        problems += [rule for rule in self._recorder.violations if not _may_break(rule, kind)]
        self._recorder.violations.clear()
        if problems:
            raise AssertionError(
                f"{self._scenario.name}: {kind.value} at point {point} ({self._where}):\n    "
                + "\n    ".join(problems)
                + f'\n    again: python -m tests.torture "{self._scenario.name}" "{kind.value}" {point}'
            )
        return self._where if point else "no point"

    async def _try(self, kind: Kind, point: int, problems: list[str]) -> None:
        scenario, recorder = self._scenario, self._recorder
        nvr = await connect(recorder)
        stage = Stage(recorder, self._folder, nvr)
        lost_uid = False
        try:
            if scenario.before is not None:
                await scenario.before(stage)
            if kind is Kind.OS_ERROR:
                with SystemCalls(point) as calls:
                    outcome = await Steps().outcome(_coroutine(scenario, stage), LONGEST)
                    await asyncio.sleep(CLEAN_AFTER)  # what goes on behind it counts too
                self._count, self._where = calls.count, calls.hit
                lost_uid = calls.lost_uid
            else:
                times = 2 if kind is Kind.CANCELLED_TWICE else 1
                steps = Steps(cancel_at=point, times=times, by_timeout=kind is Kind.TIMED_OUT)
                outcome = await steps.outcome(_coroutine(scenario, stage), LONGEST)
                self._count, self._where = steps.count, steps.hit
            problems += _judge(outcome, kind, hit=self._where is not None)
            if not scenario.ends_session:
                problems += await _until_nothing(
                    lambda: [repr(one) for one in (*recorder.streams, *recorder.downloads)]
                )
            problems += await self._next_call(nvr)
        finally:
            await nvr.aclose()
            for stream in stage.kept:
                await stream.aclose()
        if lost_uid and len(recorder.uids) == 1:  # nobody keeps it alive
            await asyncio.sleep(UID_LIFETIME + 1)

    async def _next_call(self, nvr: Session) -> list[str]:
        """Use the session again, or another one where it is closed."""
        try:
            if nvr.is_open:
                await _use(nvr)
            else:
                async with connect(self._recorder) as another:
                    await _use(another)
        except Exception as error:
            return [f"the next call: {error!r}"]
        return []

    def _left(self, base: Base) -> list[str]:
        recorder = self._recorder
        return [
            *map(repr, (*recorder.uids, *recorder.streams, *recorder.downloads)),
            *base.left(),
        ]


async def _use(nvr: Session) -> None:
    async with asyncio.timeout(60):
        assert len(await nvr.cameras()) == 16
        async with nvr.camera(1).live("h264") as stream:
            await frames(stream, 1)


async def _coroutine(scenario: Scenario, stage: Stage) -> object:
    return await scenario.work(stage)


def _judge(outcome: BaseException | None, kind: Kind, *, hit: bool) -> list[str]:
    """Say what is wrong with how the scenario ended (FAULTS, promise 1)."""
    if kind is Kind.OS_ERROR and hit:
        right = outcome is None or isinstance(outcome, NVRError)
    elif kind is Kind.TIMED_OUT and hit:
        right = isinstance(outcome, TimeoutError)
    elif hit:
        right = isinstance(outcome, asyncio.CancelledError)
    else:
        right = outcome is None
    return [] if right else [f"it ended by {outcome!r}"]


def _may_break(rule: str, kind: Kind) -> bool:
    """Whether a rule was broken for want of knowing, which only an error of the system excuses.

    A START that may have gone out is stopped; the audio's START and the end of its video's connection can cross.
    """
    excused = ("it was never started", "audio without the camera's video")
    return kind is Kind.OS_ERROR and any(one in rule for one in excused)


async def _until_nothing(look: Callable[[], list[str]]) -> list[str]:
    """Wait until nothing is left, `CLEAN_AFTER` at most; return what is."""
    clock = simulated_clock()
    until = clock.time() + CLEAN_AFTER
    while found := look():
        if clock.time() >= until:
            return [f"left: {one}" for one in found]
        await asyncio.sleep(0.05)
    return []


@contextmanager
def quick() -> Iterator[None]:
    """Make collecting garbage cheap, by not looking at what is there already, and asyncio's debug mode.

    Of each future it notes the whole stack, with the text of every line: two frames without it are half of the time.
    What httpcore logs of each step, other tests search for secrets.
    """
    httpcore = logging.getLogger("httpcore")
    level = httpcore.level
    httpcore.setLevel(logging.INFO)
    plain = traceback.StackSummary.extract

    def brief(frames: Iterable[Any], **_: Any) -> traceback.StackSummary:
        return plain(islice(frames, 2), lookup_lines=False)

    traceback.StackSummary.extract = brief  # type: ignore[assignment]
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        httpcore.setLevel(level)
        traceback.StackSummary.extract = plain  # type: ignore[method-assign]


async def tortured(scenario: Scenario, choose: Choice) -> dict[Kind, tuple[int, list[str]]]:
    """Torture a scenario at the points that `choose(kind, how many there are)` names.

    Returns, by kind, how many points were tried, and what was found.
    """
    tried: dict[Kind, tuple[int, list[str]]] = {}
    recorder = make_recorder(**scenario.recorder)
    await as_recorder(recorder.start())
    try:
        with tempfile.TemporaryDirectory() as folder, quick():
            torture = Torture(scenario, recorder, Path(folder) / "files")
            await torture.points(Kind.OS_ERROR)  # makes what is made once
            moments = await torture.points(Kind.CANCELLED)
            calls = await torture.points(Kind.OS_ERROR)
            for kind in Kind:
                count, found = 0, []
                for point in choose(kind, calls if kind is Kind.OS_ERROR else moments):
                    try:
                        if await torture.run(kind, point) is None:
                            break
                    except AssertionError as problem:
                        found.append(str(problem))
                    count += 1
                tried[kind] = count, found
    finally:
        await as_recorder(recorder.aclose())
    return tried
