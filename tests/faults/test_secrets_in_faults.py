"""Nothing secret leaves, whatever goes wrong (docs/faults.md, row 4).

Every fault here is met with sentinel secrets. Searched are log records of every library at DEBUG, messages, chains,
notes and the local variables of the library's frames in tracebacks, pickles, reprs, counters, warnings, and what a
dump of the tasks shows. That the log of the whole run is searched too is tests/conftest.py's part.
"""

from __future__ import annotations

import asyncio
import io
import logging
import pickle
import re
import traceback
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import nvrclient
from nvrclient import NVRError, Session
from nvrclient.simulator import AnswerFault, PushAnswer, Readings, SimulatedRecorder
from tests.secrets import PASSWORD, secrets_in

Fault = Callable[[SimulatedRecorder, Session, Path], Awaitable[object]]


class Searched:
    """Everything that was shown, and the secrets that must not be in it."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, str]] = []
        self.secrets: set[str] = {PASSWORD}

    def add(self, where: str, text: str) -> None:
        self.shown.append((where, text))

    def error(self, error: BaseException) -> None:
        """Look at an error as a debugger or an error tracker would."""
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        link: traceback.TracebackException | None = told
        while link is not None:
            self.add("message", "".join(link.format_exception_only()))
            for frame in link.stack:
                if "/nvrclient/" in frame.filename and "/simulator/" not in frame.filename:
                    self.add(f"local variables of {frame.name}", repr(frame.locals))
            link = link.__cause__ or link.__context__
        self.add("arguments", repr(error.args) + repr(vars(error)))
        self.add("pickle of an error", pickle.dumps(error).decode("latin-1"))

    def value(self, value: object) -> None:
        """Look at a value that a caller was given."""
        self.add("repr", repr(value) + str(value))
        with suppress(TypeError, AttributeError):
            self.add("pickle", pickle.dumps(value).decode("latin-1"))

    def tasks(self) -> None:
        """Look at what a dump of all tasks shows."""
        for task in asyncio.all_tasks():
            out = io.StringIO()
            task.print_stack(file=out)
            self.add("task", repr(task) + out.getvalue())

    def judge(self) -> None:
        assert len(self.shown) > 5
        for where, text in self.shown:
            assert secrets_in(text) == [], where
            assert not [s for s in self.secrets if s in text], where


class _Everything(logging.Handler):
    def __init__(self, searched: Searched) -> None:
        super().__init__(logging.DEBUG)
        self._searched = searched

    def emit(self, record: logging.LogRecord) -> None:
        self._searched.add(f"log of {record.name}", self.format(record) + repr(record.args))


@contextmanager
def searching(searched: Searched) -> Iterator[None]:
    handler = _Everything(searched)
    logging.getLogger().addHandler(handler)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
        for warning in caught:
            searched.add("warning", str(warning.message))
    finally:
        logging.getLogger().removeHandler(handler)


BEGIN = datetime(2024, 1, 1, tzinfo=UTC)


async def stream_then(nvr: Session, harm: Callable[[], object], transport: str = "http") -> None:
    async with nvr.camera(1).live("h264", transport=transport) as stream:  # type: ignore[arg-type]
        await anext(stream)
        harm()
        async for _ in stream:
            pass


def lost(recorder: SimulatedRecorder) -> None:
    recorder.password = "another"
    recorder.faults.forget_uids()


async def spoiled(recorder: SimulatedRecorder, nvr: Session, fault: AnswerFault) -> None:
    recorder.faults.spoil(fault, ("loglist.cgi", "push.cgi", "status.cgi"), count=3)
    outcomes = await asyncio.gather(
        nvr.event_log(),
        nvr.command("status.cgi", {"PC": "AS60"}),
        nvr.camera(1).live("h264")._open(),
        return_exceptions=True,
    )
    for outcome in outcomes:
        if isinstance(outcome, nvrclient.LiveStream):
            await outcome.aclose()
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome


async def html(recorder: SimulatedRecorder, nvr: Session) -> None:
    recorder.push_answers[1] = PushAnswer.HTML
    await nvr.camera(1).live("h264")


async def play(recorder: SimulatedRecorder, nvr: Session) -> None:
    recorder.faults.spoil(AnswerFault.GARBAGE, "camera.cgi")
    async with nvr.camera(1).playback() as playback:
        async for _ in playback:
            pass


async def download(recorder: SimulatedRecorder, nvr: Session, folder: Path) -> None:
    recorder.faults.spoil(AnswerFault.GARBAGE, "httpdl.cgi")
    await nvr.camera(1).download(BEGIN, BEGIN + timedelta(minutes=1), folder)


async def move(recorder: SimulatedRecorder, nvr: Session) -> None:
    recorder.faults.spoil(AnswerFault.LOST_RST, "directctrl.cgi")
    await nvr.camera(1).move(pan=1)


async def closed(nvr: Session) -> None:
    await nvr.aclose()
    await nvr.disks()


FAULTS: dict[str, Fault] = {
    "password changed": lambda r, n, _: stream_then(n, lambda: lost(r)),
    "UID lost": lambda r, n, _: stream_then(n, r.faults.forget_uids),
    "connections reset": lambda r, n, _: stream_then(n, r.faults.drop_connections),
    "UDP blocked": lambda r, n, _: stream_then(n, r.faults.block_udp, "udp"),
    "unknown camera": lambda _r, n, _: n.camera(99).live("h264")._open(),
    "unknown command": lambda _r, n, _: n.command("nothing.cgi"),
    "answers lost": lambda r, n, _: spoiled(r, n, AnswerFault.LOST_RST),
    "garbage": lambda r, n, _: spoiled(r, n, AnswerFault.GARBAGE),
    "503": lambda r, n, _: spoiled(r, n, AnswerFault.STATUS),
    "silence": lambda r, n, _: spoiled(r, n, AnswerFault.CUT_SILENCE),
    "HTML": lambda r, n, _: html(r, n),
    "playback": lambda r, n, _: play(r, n),
    "download": download,
    "move": lambda r, n, _: move(r, n),
    "closed": lambda _r, n, _: closed(n),
}


@pytest.mark.parametrize("challenges", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
async def test_row_4_nothing_secret_is_shown_by_a_fault(
    fault: str, challenges: bool, tmp_path: Path
) -> None:
    searched = Searched()
    recorder = SimulatedRecorder(
        password=PASSWORD,
        cameras=1,
        pace=8.0,
        readings=Readings(
            challenge_commands=challenges, uid_digits=15, gone_uid_challenges=challenges
        ),
    )
    with searching(searched):
        async with recorder:
            session = nvrclient.connect(
                recorder.url,
                "ADMIN",
                PASSWORD,
                reconnect=False,
                stall_timeout=0.4,
                command_interval=0,
                timeout=1.0,
            )
            searched.value(session)
            async with session as nvr:
                uids = [uid.value for uid in recorder.uids]
                searched.secrets |= {*uids, *recorder._guard._nonces}
                error: BaseException | None = None
                try:
                    await FAULTS[fault](recorder, nvr, tmp_path)
                except (NVRError, RuntimeError) as failure:
                    error = failure
                searched.secrets |= {uid.value for uid in recorder.uids}
                searched.secrets |= {*recorder._guard._nonces}
                searched.tasks()
                searched.value(nvr.stats)
                searched.value(nvr)
            assert error is not None, "it goes wrong"
            searched.error(error)
    searched.judge()


def leak_in_a_local() -> BaseException:
    """Return an error with a secret in a frame that looks like the library's."""

    def leaky(secret: str) -> None:
        raise NVRError(str(len(secret)))

    leaky.__code__ = leaky.__code__.replace(co_filename="/x/nvrclient/leaky.py")
    try:
        leaky(PASSWORD)
    except NVRError as error:
        return error
    raise AssertionError


def noted() -> BaseException:
    error = NVRError("quiet")
    error.add_note(f"by the way: {PASSWORD}")
    return error


def caused() -> BaseException:
    error = NVRError("quiet")
    error.__cause__ = ValueError("GET /cgi-bin/status.cgi?UID=12345")
    return error


PLANTED: dict[str, Callable[[Searched], object]] = {
    "local variable": lambda s: s.error(leak_in_a_local()),
    "note": lambda s: s.error(noted()),
    "cause": lambda s: s.error(caused()),
    "argument": lambda s: s.error(ValueError("x", PASSWORD)),
    "pickle": lambda s: s.value({"password": PASSWORD}),
    "log record": lambda _s: logging.getLogger("planted").debug(
        "the word is %s", 987_654_321_012_345
    ),
    "warning": lambda _s: warnings.warn(f"beware of {987_654_321_012_345}", stacklevel=1),
}


@pytest.mark.parametrize("where", PLANTED)
def test_row_4_each_planted_leak_is_found(where: str) -> None:
    searched = Searched()
    searched.secrets.add("987654321012345")  # a UID, which the judge of the whole run does not know
    for _ in range(6):
        searched.add("nothing", "")
    with searching(searched):
        PLANTED[where](searched)
    with pytest.raises(AssertionError):
        searched.judge()
    assert re.fullmatch(r"[0-9]+", min(searched.secrets))
