"""UIDs that a recorder has forgotten and answers by anything but 401: one login heals it, for streams and playback."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

import nvrclient
from nvrclient import AudioFrame, Discontinuity, Playback, ProtocolError, Session, VideoFrame
from tests.end_to_end.foreign import NO, OK, Query
from tests.end_to_end.foreign_playback import T0, DiskRecorder, at, record, speech, stamp
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

NO_ANSWERS = ("a login page", "302", "200")
"""Answers that are none, and no error either."""

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


class ForgetfulRecorder(DiskRecorder):
    """Forgets the UID of the n-th command of a kind, where `forgets` has (kind, n); answers it by `unknown` from then on."""

    def __init__(self, answer: str, *forgets: tuple[str, int]) -> None:
        super().__init__(*record(12))
        self.unknown = ANSWERS[answer]
        self.forgets = forgets
        self.counts: Counter[str] = Counter()

    async def _answer(
        self, name: str, query: Query, authorization: str | None, writer: asyncio.StreamWriter
    ) -> bytes | None:
        kind = query.get("PLAYCMD", name)
        self.counts[kind] += 1
        if (kind, self.counts[kind]) in self.forgets:
            self.forget_all()
        if name not in {"dlogin", "as_getinfo"} and query["UID"] not in self.uids:
            return self.unknown
        return await super()._answer(name, query, authorization, writer)

    def forget_all(self) -> None:
        self.uids.clear()
        self.decks.clear()


@asynccontextmanager
async def session(recorder: DiskRecorder, *, reconnect: bool = True) -> AsyncGenerator[Session]:
    async with (
        recorder,
        nvrclient.connect(recorder.url, "ADMIN", PASSWORD, reconnect=reconnect) as nvr,
    ):
        yield nvr
    assert not recorder.broken


async def rest_of(playback: Playback) -> tuple[list[int], list[str]]:
    """Return the times of the pictures that are still to come, from where the recording begins, and what is told."""
    shown: list[int] = []
    told: list[str] = []
    async with asyncio.timeout(2 * EXPIRED):
        async for item in playback:
            if isinstance(item, VideoFrame) and item.shown and item.time:
                shown.append(stamp(item.time) - T0)
            elif isinstance(item, Discontinuity):
                told.append(item.reason)
    stats = playback.stats
    counted = stats.frames_delivered + stats.frames_queued + sum(stats.dropped.values())
    assert stats.frames_received == counted
    return shown, told


async def first_frame(playback: Playback) -> VideoFrame:
    async for item in playback:
        if isinstance(item, VideoFrame) and item.shown:
            return item
    raise AssertionError("no picture came")


def shown_at(frame: VideoFrame) -> int:
    assert frame.time
    return stamp(frame.time) - T0


EVERY_PICTURE = list(range(0, 1200, 20))


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_playback_goes_on_whatever_a_lost_uid_is_answered_by(answer: str) -> None:
    async def scenario() -> None:
        recorder = ForgetfulRecorder(answer, ("camera", 4), ("camera", 14))
        async with session(recorder) as nvr, nvr.camera(1).playback(at(T0), speed=None) as playback:
            shown, told = await rest_of(playback)
            assert shown == EVERY_PICTURE
            assert told == ["reconnect"] * 4
            assert playback.stats.reconnects == nvr.stats.uids_lost == nvr.stats.relogins == 2
            assert nvr.stats.logins == 3, "one an outage"

    run(scenario)


@pytest.mark.parametrize("answer", ["401", *NO_ANSWERS])
def test_steps_and_pauses_go_on_whatever_a_lost_uid_is_answered_by(answer: str) -> None:
    async def scenario() -> None:
        recorder = ForgetfulRecorder(answer)
        async with session(recorder) as nvr, nvr.camera(1).playback(at(T0), speed=None) as playback:
            assert shown_at(await first_frame(playback)) == 0
            recorder.forget_all()
            await playback.pause()
            stepped: list[int] = []
            for number in range(24):  # over the ends of four GOPs
                if number == 12:
                    recorder.forget_all()
                stepped.append(shown_at(await playback.next_frame()))
            assert stepped == EVERY_PICTURE[1:25]
            assert shown_at(await playback.previous_frame()) == 460
            recorder.forget_all()
            await playback.resume()
            shown, _ = await rest_of(playback)
            assert shown == EVERY_PICTURE[24:]
            assert nvr.stats.logins == 4, "one an outage"

    run(scenario)


@pytest.mark.parametrize("answer", ["401", *NO_ANSWERS])
def test_a_uid_that_was_lost_before_the_playback_is_replaced(answer: str) -> None:
    async def scenario() -> None:
        recorder = ForgetfulRecorder(answer)
        async with session(recorder) as nvr:
            async with nvr.camera(1).playback(at(T0), speed=None) as playback:
                await first_frame(playback)
            recorder.forget_all()
            async with nvr.camera(1).playback(at(T0), speed=None) as playback:
                assert (await rest_of(playback))[0] == EVERY_PICTURE
            assert nvr.stats.logins == 2

    run(scenario)


@pytest.mark.parametrize("answer", NO_ANSWERS)
def test_a_recorder_that_never_answers_again_gets_one_login_and_the_caller_an_error(
    answer: str,
) -> None:
    """It knows each UID it issued, and answers camera.cgi on none."""

    class Recorder(DiskRecorder):
        groups_asked = 0

        async def before_answer(self, name: str, query: Query) -> bytes | None:
            self.groups_asked += name == "camera"
            return ANSWERS[answer] if name == "camera" and self.groups_asked > 3 else None

    async def scenario() -> None:
        recorder = Recorder(*record(12))
        async with session(recorder) as nvr, nvr.camera(1).playback(at(T0), speed=None) as playback:
            with pytest.raises(ProtocolError):
                await rest_of(playback)
            assert (nvr.stats.logins, recorder.groups_asked) == (2, 9)
            await playback.seek(at(T0))
            with pytest.raises(ProtocolError):
                await rest_of(playback)
            assert (nvr.stats.logins, recorder.groups_asked) == (2, 12)
            assert playback.stats.malformed == 9

    run(scenario)


def test_a_recorder_that_sends_each_command_elsewhere_gets_one_login_and_the_caller_an_error() -> (
    None
):
    class Recorder(DiskRecorder):
        moved = False

        async def before_answer(self, name: str, query: Query) -> bytes | None:
            self.moved = self.moved or self.decks[query["UID"]].next.get(1, 0) == 3
            return ANSWERS["302"] if self.moved else None

    async def scenario() -> None:
        recorder = Recorder(*record(12))
        async with session(recorder) as nvr, nvr.camera(1).playback(at(T0), speed=None) as playback:
            with pytest.raises(ProtocolError, match="redirects elsewhere"):
                await rest_of(playback)
            assert nvr.stats.logins == 2

    run(scenario)


@pytest.mark.parametrize("answer", NO_ANSWERS)
def test_a_playback_outlasts_a_recorder_that_starts_up_behind_pages(answer: str) -> None:
    """For a minute it answers every command alike, a login too."""

    class Recorder(ForgetfulRecorder):
        up_at = 0.0

        def forget_all(self) -> None:
            super().forget_all()
            self.up_at = asyncio.get_running_loop().time() + 60

        async def _answer(
            self, name: str, query: Query, authorization: str | None, writer: asyncio.StreamWriter
        ) -> bytes | None:
            answer = await super()._answer(name, query, authorization, writer)
            return answer if asyncio.get_running_loop().time() >= self.up_at else self.unknown

    async def scenario() -> None:
        recorder = Recorder(answer, ("camera", 4))
        async with session(recorder) as nvr, nvr.camera(1).playback(at(T0), speed=None) as playback:
            began = asyncio.get_running_loop().time()
            assert await rest_of(playback) == (EVERY_PICTURE, ["reconnect", "reconnect"])
            assert asyncio.get_running_loop().time() - began < 60 + AGAIN
            assert recorder.counts["dlogin"] < 16
            assert nvr.stats.logins == 2

    run(scenario)


@pytest.mark.parametrize("answer", NO_ANSWERS)
def test_two_answers_that_are_none_cost_no_login(answer: str) -> None:
    """The recorder knows the UID; it may have gone on behind them, so they are told."""

    class Recorder(DiskRecorder):
        groups_asked = 0

        async def before_answer(self, name: str, query: Query) -> bytes | None:
            self.groups_asked += name == "camera"
            return ANSWERS[answer] if name == "camera" and self.groups_asked in {4, 5, 9} else None

    async def scenario() -> None:
        recorder = Recorder(*record(12))
        async with session(recorder) as nvr, nvr.camera(1).playback(at(T0), speed=None) as playback:
            assert await rest_of(playback) == (EVERY_PICTURE, ["loss", "loss"])
            assert playback.stats.malformed == 3
            assert nvr.stats.logins == 1

    run(scenario)


@pytest.mark.parametrize("answer", NO_ANSWERS)
def test_without_reconnect_a_lost_uid_ends_the_playback(answer: str) -> None:
    async def scenario() -> None:
        recorder = ForgetfulRecorder(answer, ("camera", 4))
        async with (
            session(recorder, reconnect=False) as nvr,
            nvr.camera(1).playback(at(T0), speed=None) as playback,
        ):
            with pytest.raises(ProtocolError):
                await rest_of(playback)
            assert nvr.stats.logins == 1

    run(scenario)


@pytest.mark.parametrize("answer", ["401", "403", *NO_ANSWERS])
@pytest.mark.parametrize("first", ["camera", "playaudio"])
def test_the_audio_goes_on_too(first: str, answer: str) -> None:
    async def scenario() -> None:
        recorder = ForgetfulRecorder(answer, (first, 4))
        second = T0 // 100
        recorder.sounds[1] = [
            (T0 + 100 * n, speech(second + n, second + n + 1, bytes([65 + n]) * 8000))
            for n in range(12)
        ]
        async with (
            session(recorder) as nvr,
            nvr.camera(1).playback(at(T0), audio=True, speed=None) as playback,
        ):
            async with asyncio.timeout(150):
                items = [item async for item in playback]
            frames = [item for item in items if isinstance(item, VideoFrame) and item.shown]
            assert [shown_at(frame) for frame in frames] == EVERY_PICTURE
            heard = [item.data[:1] for item in items if isinstance(item, AudioFrame)]
            assert len(heard) >= 11, "a second of it may be missing, as after 401"
            assert heard == sorted(set(heard))
            assert playback.stats.audio_problem is None
            assert nvr.stats.logins == 2

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
