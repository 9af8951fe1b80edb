"""Logs, disks and cameras (chapter 5) against a raw recorder: what is asked, how often, and what is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import pytest

import nvrclient
from nvrclient import CommandError, Session
from tests.clock import run_simulated
from tests.commands.test_disks import EXAMPLE
from tests.commands.test_logs import ERROR_EXAMPLE, EVENT_EXAMPLE
from tests.end_to_end.foreign import ForeignRecorder, Query
from tests.end_to_end.servers import reply
from tests.end_to_end.test_foreign_recorder import connect


class Recorder(ForeignRecorder):
    """Answers as the specification prints."""

    logs: ClassVar[dict[str, str]] = {"ERR": ERROR_EXAMPLE, "EVENT": EVENT_EXAMPLE}

    async def recorded_time(self, target: str) -> bytes:
        return reply("200 OK", EXAMPLE.encode())

    async def _answer(
        self, name: str, query: Query, authorization: str | None, writer: asyncio.StreamWriter
    ) -> bytes | None:
        if name == "recordedtime":
            return await self.recorded_time(self.targets[-1])
        if name == "loglist" and query.get("UID") in self.uids:
            return reply("200 OK", self.logs[query["KIND"]].encode())
        return await super()._answer(name, query, authorization, writer)


def with_recorder(
    use: Callable[[Recorder, Session], Awaitable[None]],
    kind: type[Recorder] = Recorder,
    **options: Any,
) -> None:
    async def main() -> None:
        async with kind() as recorder:
            async with connect(recorder, **{"command_interval": 3.0, **options}) as nvr:
                await use(recorder, nvr)

    run_simulated(main())


def test_the_printed_logs() -> None:
    async def use(recorder: Recorder, nvr: Session) -> None:
        errors, events = await nvr.error_log(), await nvr.event_log()
        assert [(one.number, one.time, one.kind, one.summer_time) for one in errors] == [
            (1, datetime(2021, 11, 14, 11, 10, tzinfo=UTC), "CAM 3 COMMUNICATION ERROR", False),
            (2, datetime(2021, 11, 14, 11, 48, tzinfo=UTC), "CAM 3 COMMUNICATION RECOVERED", False),
        ]
        assert [(one.number, one.time, one.kind) for one in events] == [
            (2, datetime(2024, 4, 24, 2, 45, tzinfo=UTC), "SITE(VMD)-1"),
            (1, datetime(2024, 4, 24, 3, 30, tzinfo=UTC), "SITE(VMD)-2"),
        ]
        asked = [query for name, query in recorder.asked if name == "loglist"]
        assert [list(query) for query in asked] == [["UID", "KIND", "HTML"]] * 2

    with_recorder(use)


@pytest.mark.parametrize("zone", [None, ZoneInfo("Europe/Rome")])
def test_the_printed_disks(zone: ZoneInfo | None) -> None:
    async def use(recorder: Recorder, nvr: Session) -> None:
        disks = await nvr.disks()
        assert len(disks) == 54
        assert (disks[0].name, disks[0].capacity_gb, disks[0].remaining_gb) == (
            "MAIN-1",
            4001,
            1529,
        )
        assert disks[0].flags == ("R",)
        assert disks[0].recorded_from == datetime(2021, 11, 14, 13, tzinfo=zone)
        assert disks[0].recorded_to == datetime(2021, 12, 24, 15, 30, 12, tzinfo=zone)
        assert recorder.targets[-1] == "/cgi-bin/recordedtime.cgi"

    with_recorder(use, timezone=zone)


def test_the_path_as_printed_is_the_second_try() -> None:
    class AsPrinted(Recorder):
        async def recorded_time(self, target: str) -> bytes:
            if target != "/cgi-bin//cgi-bin/recordedtime.cgi":
                return reply("404 Not Found")
            return await super().recorded_time(target)

    async def use(recorder: Recorder, nvr: Session) -> None:
        assert len(await nvr.disks()) == 54

    with_recorder(use, AsPrinted)


@pytest.mark.parametrize("status", ["404 Not Found", "403 Forbidden", "500 Oops"])
def test_a_model_without_them(status: str) -> None:
    class Without(Recorder):
        async def recorded_time(self, target: str) -> bytes:
            return reply(status)

        async def getinfo(self, query: Query) -> bytes:
            return reply(status)

    async def use(recorder: Recorder, nvr: Session) -> None:
        with pytest.raises(CommandError) as caught:
            await nvr.disks()
        assert (caught.value.command, caught.value.status) == ("recordedtime.cgi", int(status[:3]))
        with pytest.raises(CommandError) as caught:
            await nvr.cameras()
        assert (caught.value.command, caught.value.status) == ("as_getinfo.cgi", int(status[:3]))

    with_recorder(use, Without)


def test_a_model_that_answers_but_lists_no_cameras() -> None:
    class Without(Recorder):
        async def getinfo(self, query: Query) -> bytes:
            return reply("200 OK", b"MODEL=WJ-NX300\r\n")

    async def use(recorder: Recorder, nvr: Session) -> None:
        with pytest.raises(CommandError, match="does not list its cameras"):
            await nvr.cameras()
        asked = [query for name, query in recorder.asked if name == "as_getinfo"]
        assert [list(query) for query in asked] == [["FILE"], ["UID", "FILE"]]

    with_recorder(use, Without)


def test_callers_share_an_answer_and_the_three_seconds() -> None:
    async def use(recorder: Recorder, nvr: Session) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for call, name in (
            (nvr.error_log, "loglist"),
            (nvr.disks, "recordedtime"),
            (nvr.cameras, "as_getinfo"),
        ):
            together = await asyncio.gather(*(call() for _ in range(5)))
            assert all(answer == together[0] for answer in together)
            assert together[0] is not together[1]  # each may change its own
            assert sum(one == name for one, _ in recorder.asked) == 1
        assert loop.time() - began < 1  # of different kinds
        await nvr.event_log()
        assert loop.time() - began < 1
        await nvr.error_log()
        assert 2.9 < loop.time() - began < 3.1

    with_recorder(use)


def test_a_caller_that_is_cancelled_costs_the_others_nothing() -> None:
    async def use(recorder: Recorder, nvr: Session) -> None:
        calls = [asyncio.create_task(nvr.error_log()) for _ in range(3)]
        await asyncio.sleep(0)
        calls[0].cancel()
        assert len((await asyncio.gather(*calls[1:]))[0]) == 2

    with_recorder(use)


def test_a_count_that_disagrees_is_told(caplog: pytest.LogCaptureFixture) -> None:
    class Lying(Recorder):
        logs: ClassVar[dict[str, str]] = {
            "ERR": ERROR_EXAMPLE.replace("NO=2", "NO=3"),
            "EVENT": EVENT_EXAMPLE.replace("GMT+09:00", "GMT", 1),
        }

        async def recorded_time(self, target: str) -> bytes:
            return reply("200 OK", EXAMPLE.replace("2021/12/24", "2021/24/12").encode())

    async def use(recorder: Recorder, nvr: Session) -> None:
        assert len(await nvr.error_log()) == 2
        assert len(await nvr.event_log()) == 1
        assert len(await nvr.disks()) == 53

    with caplog.at_level(logging.WARNING, "nvrclient.information"):
        with_recorder(use, Lying)
    assert [record.getMessage() for record in caplog.records] == [
        "error log: the recorder states 3 entries; 2 were read, damaged and left out: 0",
        "event log: the recorder states 2 entries; 1 were read, damaged and left out: 1",
        "disks: damaged lines left out: 1",
    ]


@pytest.mark.parametrize("body", [b"", b"<html>UID=5550000000000000001</html>", b"OK"])
def test_what_is_no_list_is_a_protocol_error(body: bytes) -> None:
    class Other(Recorder):
        logs: ClassVar[dict[str, str]] = {"ERR": body.decode(), "EVENT": body.decode()}

        async def recorded_time(self, target: str) -> bytes:
            return reply("200 OK", body)

    async def use(recorder: Recorder, nvr: Session) -> None:
        for call in (nvr.error_log, nvr.event_log, nvr.disks):
            with pytest.raises(nvrclient.ProtocolError):
                await call()

    with_recorder(use, Other)
