"""UIDs that a recorder has forgotten and answers by anything but 401: one login heals it, for streams and playback."""

from __future__ import annotations

import asyncio

import pytest

import nvrclient
from nvrclient import VideoFrame
from tests.end_to_end.foreign import NO, OK, Query
from tests.end_to_end.foreign_playback import T0, DiskRecorder, at, record, stamp
from tests.end_to_end.foreign_recovery import (
    AGAIN,
    LOGIN_PAGE,
    MoodyRecorder,
    all_live,
    connect,
    run,
    until,
    watching,
)
from tests.end_to_end.servers import reply
from tests.secrets import PASSWORD

ANSWERS = {
    "401": NO,
    "a login page": LOGIN_PAGE,
    "302": reply("302 Found", b"", "Location: /login.html"),
    "400": reply("400 Bad Request"),
    "403": reply("403 Forbidden"),
    "404": reply("404 Not Found"),
    "500": reply("500 Internal Server Error"),
    "200": OK,
}

EXPIRED = 180.0
"""Seconds after which a UID without an answer is certainly gone, and replaced."""


@pytest.mark.parametrize("answer", [*ANSWERS, "204", "503", "429", "closed"])
def test_streams_come_back_whatever_a_lost_uid_is_answered_by(answer: str) -> None:
    other = {
        "204": reply("204 No Content"),
        "503": reply("503 Service Unavailable", b"", "Retry-After: 120"),
        "429": reply("429 Too Many Requests"),
        "closed": None,
    }

    async def scenario() -> None:
        recorder = MoodyRecorder()
        recorder.unknown = {**ANSWERS, **other}[answer]
        async with recorder, connect(recorder) as nvr, watching(nvr, 3) as watches:
            recorder.forget_all()
            await asyncio.sleep(0.1)
            await until(lambda: all_live(watches), AGAIN if answer in ANSWERS else EXPIRED)
            assert [watch.reasons for watch in watches] == [["reconnect", "reconnect"]] * 3
            assert nvr.stats.logins == 2
            assert all(watch.stream.stats.reconnects == 1 for watch in watches)
        assert not recorder.broken

    run(scenario)


@pytest.mark.parametrize("answer", ["401", "400", "403", "404", "500"])
def test_a_playback_goes_on_whatever_a_lost_uid_is_answered_by(answer: str) -> None:
    class Forgetful(DiskRecorder):
        groups_asked = 0
        dead = ""

        async def _answer(
            self, name: str, query: Query, authorization: str | None, writer: asyncio.StreamWriter
        ) -> bytes | None:
            if name == "camera":
                self.groups_asked += 1
                if self.groups_asked == 4:
                    self.dead = query["UID"]
                    self.uids.discard(self.dead)
            if self.dead and query.get("UID") == self.dead:
                return ANSWERS[answer]
            return await super()._answer(name, query, authorization, writer)

    async def scenario() -> None:
        recorder = Forgetful(*record(12))
        async with (
            recorder,
            nvrclient.connect(recorder.url, "ADMIN", PASSWORD) as nvr,
            nvr.camera(1).playback(at(T0), speed=None) as playback,
        ):
            async with asyncio.timeout(150):
                shown = [
                    stamp(item.time) - T0
                    async for item in playback
                    if isinstance(item, VideoFrame) and item.shown and item.time
                ]
            assert shown == list(range(0, 1200, 20)), "each picture once"
        assert not recorder.broken

    run(scenario)


@pytest.mark.parametrize("answer", ["500", "404", "429", "closed"])
def test_a_stop_that_is_refused_for_a_while_keeps_no_stream_from_coming_back(answer: str) -> None:
    class Recorder(MoodyRecorder):
        deaf = False

        async def mood(self, name: str, query: Query) -> bytes | None:
            if self.deaf and query.get("CMD") == "STOP":
                return b"" if answer == "closed" else reply(f"{answer} No")
            return None

    async def scenario() -> None:
        recorder = Recorder()
        async with recorder, connect(recorder) as nvr, watching(nvr, 1) as [watch]:
            recorder.deaf = True
            await recorder.cut()
            await asyncio.sleep(60)
            recorder.deaf = False
            await until(lambda: watch.is_live, 2 * AGAIN)

    run(scenario)
