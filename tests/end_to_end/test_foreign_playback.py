"""Playback against a recorder that is not the simulator: what the specification leaves open, read otherwise."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar

import pytest

import nvrclient
from nvrclient import AudioFrame, Codec, Discontinuity, StreamItem, VideoFrame
from nvrclient.playback.playback import Playback
from tests.clock import run_simulated
from tests.end_to_end.foreign import NO, Query
from tests.end_to_end.foreign_playback import (
    T0,
    DiskRecorder,
    Group,
    Landing,
    after,
    at,
    before,
    following,
    late,
    record,
    speech,
    stamp,
)
from tests.end_to_end.servers import reply
from tests.secrets import PASSWORD

_T = TypeVar("_T")


@asynccontextmanager
async def playing(
    recorder: DiskRecorder, start: datetime | None = None, *, reconnect: bool = True
) -> AsyncGenerator[Playback]:
    async with (
        recorder,
        nvrclient.connect(recorder.url, "ADMIN", PASSWORD, reconnect=reconnect) as nvr,
        nvr.camera(1).playback(start, speed=None) as playback,
    ):
        yield playback
        stats = playback.stats
        counted = stats.frames_delivered + stats.frames_queued + sum(stats.dropped.values())
        assert stats.frames_received == counted
    assert not recorder.broken


def simulated(work: Coroutine[Any, Any, _T]) -> _T:
    return run_simulated(asyncio.wait_for(work, 1000))


async def take(playback: Playback, count: int = 1000) -> list[StreamItem]:
    items: list[StreamItem] = []
    async for item in playback:
        items.append(item)
        if len(items) == count:
            break
    return items


def shown(items: Sequence[StreamItem]) -> list[int]:
    """Return the times of the pictures to show, in hundredths from where recordings here begin."""
    return [
        stamp(item.time) - T0
        for item in items
        if isinstance(item, VideoFrame) and item.shown and item.time
    ]


def times(groups: Sequence[Group]) -> list[int]:
    return [picture.stamp - T0 for group in groups for picture in group.pictures]


def only_inside(landing: Landing) -> Landing:
    """A recorder that has nothing for a time at which nothing is recorded."""
    return lambda groups, when: (
        landing(groups, when) if groups[0].first - 100 < when <= groups[-1].end else len(groups)
    )


@pytest.mark.parametrize("landing", [late(100), after(1)])
def test_a_recorder_that_begins_late_and_has_nothing_before_its_recording_is_played_on(
    landing: Landing,
) -> None:
    async def scenario() -> None:
        recorder = DiskRecorder(*record(8))
        recorder.landing = only_inside(landing)
        async with playing(recorder, at(T0 + 40)) as playback:
            assert shown(await take(playback)) == list(range(100, 800, 20))

    simulated(scenario())


@pytest.mark.parametrize(
    ("answers", "delay"), [(1, 0.0), (1, 0.01), (2, 0.0), (2, 0.01), (3, 0.05)]
)
def test_a_recorder_that_hangs_up_unannounced_is_played(answers: int, delay: float) -> None:
    """After so many answers it closes the connection, a little later, and has not said that it would."""

    class HangingUp(DiskRecorder):
        def __init__(self, *groups: Group) -> None:
            super().__init__(*groups)
            self.answers = Counter[asyncio.StreamWriter]()

        async def answered(self, writer: asyncio.StreamWriter) -> bool:
            self.answers[writer] += 1
            if self.answers[writer] % answers:
                return False
            await asyncio.sleep(delay)
            return True

    async def scenario() -> None:
        groups = record(12)
        recorder = HangingUp(*groups)
        async with playing(recorder, at(T0)) as playback:
            assert shown(await take(playback)) == times(groups)
            assert not playback.stats.reconnects
        assert len(recorder.raw) < 2 * len(groups) + 12
        recorder.answers.clear()  # it refers to connections

    simulated(scenario())


def test_a_recorder_that_refuses_a_time_before_its_recording_is_played_on() -> None:
    class Refusing(DiskRecorder):
        def control(self, deck: Any, query: dict[str, str]) -> bytes:
            if query.get("TIMEF", "23111422132000") < "23111422132000":
                return reply("400 Bad Request")
            return super().control(deck, query)

    async def scenario() -> None:
        recorder = Refusing(*record(8))
        recorder.landing = late(100)
        async with playing(recorder, at(T0 + 40)) as playback:
            assert shown(await take(playback)) == list(range(100, 800, 20))

    simulated(scenario())


def test_reverse_from_the_end_where_the_recorder_has_nothing_behind_it() -> None:
    async def scenario() -> None:
        recorder = DiskRecorder(*record(40, codec=Codec.JPEG))
        recorder.reverse_landing = following
        async with playing(recorder, at(T0)) as playback:
            await take(playback)
            await playback.reverse()
            assert shown(await take(playback))[-36:] == list(range(700, -20, -20))

    simulated(scenario())


@pytest.mark.parametrize("landing", [before(0), before(1), before(2), following])
def test_reverse_leaves_no_short_gop_out_though_its_time_has_whole_seconds(
    landing: Landing,
) -> None:
    async def scenario(groups: list[Group], taken: int) -> None:
        recorder = DiskRecorder(*groups)
        recorder.reverse_landing = landing
        async with playing(recorder, at(T0)) as playback:
            last = shown(await take(playback, taken))[-1]
            await playback.reverse()
            earlier = [group for group in groups if group.end < last + T0]
            assert shown(await take(playback)) == times(earlier[::-1])

    simulated(scenario(record(40, codec=Codec.JPEG), 8))
    simulated(scenario(record(12, pictures=2), 17))


@pytest.mark.parametrize("codec", [Codec.H264, Codec.JPEG])
def test_a_turn_that_gave_nothing_yet_costs_no_picture(codec: Codec) -> None:
    async def scenario() -> None:
        recorder = DiskRecorder(*record(8 if codec is Codec.H264 else 40, codec=codec))
        async with playing(recorder, at(T0)) as playback:
            assert shown(await take(playback, 17))[-1] == 320
            await playback.reverse()
            assert shown([await playback.previous_frame()]) == [300]
            await playback.reverse()
            assert shown([await playback.next_frame()]) == [320]
            await playback.fast_reverse()
            await playback.forward()
            assert shown(await take(playback)) == list(range(340, 800, 20))

    simulated(scenario())


def test_steps_leave_no_jpeg_out_where_the_recorder_goes_on_from_what_it_gave() -> None:
    async def scenario() -> None:
        recorder = DiskRecorder(*record(40, codec=Codec.JPEG))
        recorder.stepping = "cursor"
        async with playing(recorder, at(T0 + 300)) as playback:
            await take(playback, 7)
            steps = [await playback.previous_frame() for _ in range(3)]
            steps += [await playback.next_frame() for _ in range(3)]
            assert shown(steps) == [400, 380, 360, 380, 400, 420]

    simulated(scenario())


class FaultyRecorder(DiskRecorder):
    """`fault(kind of command, how many of it)` returns an answer of its own, b"cut" for none, None for the right one."""

    def __init__(self, *groups: Group, fault: Callable[[str, int], bytes | None]) -> None:
        super().__init__(*groups)
        self.fault = fault
        self.counts: Counter[str] = Counter()

    async def before_answer(self, name: str, query: dict[str, str]) -> bytes | None:
        kind = query.get("PLAYCMD", name)
        self.counts[kind] += 1
        return self.fault(kind, self.counts[kind])


TOO_LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"


@pytest.mark.parametrize("answer", [b"cut", reply("503 Service Unavailable"), reply("500 Oops")])
def test_a_recorder_that_gives_no_more_answers_is_asked_ever_more_seldom(answer: bytes) -> None:
    async def scenario() -> None:
        recorder = FaultyRecorder(
            *record(20),
            fault=lambda kind, count: answer if kind == "camera" and 3 < count <= 30 else None,
        )
        async with playing(recorder, at(T0)) as playback:
            items = await take(playback)
            assert shown(items) == times(recorder.disk[1])
            told = [item.reason for item in items if isinstance(item, Discontinuity)]
            assert told == ["reconnect", "reconnect"]
            assert playback.stats.reconnects == 1
        assert asyncio.get_running_loop().time() > 1000 + 30

    simulated(scenario())


def test_a_connection_cut_at_the_first_request_is_made_again() -> None:
    async def scenario() -> None:
        recorder = FaultyRecorder(
            *record(3), fault=lambda kind, count: b"cut" if (kind, count) == ("camera", 1) else None
        )
        async with playing(recorder, at(T0)) as playback:
            assert shown(await take(playback)) == times(recorder.disk[1])

    simulated(scenario())


def test_a_recorder_that_cuts_every_first_request_is_an_error() -> None:
    async def scenario() -> None:
        recorder = FaultyRecorder(
            *record(3), fault=lambda kind, _count: b"cut" if kind == "camera" else None
        )
        async with playing(recorder, at(T0)) as playback:
            with pytest.raises(nvrclient.ConnectionFailedError):
                await take(playback)
        assert recorder.counts["camera"] == 2

    simulated(scenario())


def test_one_answer_that_claims_to_be_huge_is_told_and_played_past() -> None:
    async def scenario() -> None:
        recorder = FaultyRecorder(
            *record(8),
            fault=lambda kind, count: TOO_LARGE if (kind, count) == ("camera", 3) else None,
        )
        async with playing(recorder, at(T0)) as playback:
            items = await take(playback)
            assert shown(items) == times(recorder.disk[1])
            assert [item.reason for item in items if isinstance(item, Discontinuity)] == ["loss"]
            assert playback.stats.malformed == 1

    simulated(scenario())


@pytest.mark.parametrize(
    "answer",
    [
        b"cut",
        TOO_LARGE,
        reply("302 Found", b"", "Location: http://192.0.2.1/"),
        reply("401 Unauthorized"),
        reply("404 Not Found"),
        reply("200 OK", b"<html>", "Content-Type: text/html"),
    ],
)
def test_audio_that_never_comes_costs_no_picture(answer: bytes) -> None:
    async def scenario() -> None:
        recorder = FaultyRecorder(
            *record(8), fault=lambda kind, _count: answer if kind == "playaudio" else None
        )
        async with (
            recorder,
            nvrclient.connect(recorder.url, "ADMIN", PASSWORD) as nvr,
            nvr.camera(1).playback(at(T0), audio=True, speed=None) as playback,
        ):
            assert shown(await take(playback)) == times(recorder.disk[1])
            assert playback.stats.audio_problem

    simulated(scenario())


@pytest.mark.parametrize("answer", [b"cut", reply("503 Service Unavailable"), reply("204 No")])
def test_audio_comes_back_after_a_single_refusal(answer: bytes) -> None:
    async def scenario() -> None:
        recorder = FaultyRecorder(
            *record(8),
            fault=lambda kind, count: answer if (kind, count) == ("playaudio", 3) else None,
        )
        second = T0 // 100
        bodies = [speech(second + n, second + n + 1, bytes([65 + n]) * 8000) for n in range(8)]
        recorder.sounds[1] = [(T0 + 100 * n, body) for n, body in enumerate(bodies)]
        async with (
            recorder,
            nvrclient.connect(recorder.url, "ADMIN", PASSWORD) as nvr,
            nvr.camera(1).playback(at(T0), audio=True, speed=None) as playback,
        ):
            items = await take(playback)
            assert shown(items) == times(recorder.disk[1])
            heard = [item.data[:1] for item in items if isinstance(item, AudioFrame)]
            assert heard == [bytes([65 + n]) for n in range(8)]

    simulated(scenario())


def test_cameras_that_end_early_are_not_asked_for_ever_while_another_plays_on() -> None:
    async def scenario() -> None:
        groups = record(60, camera=2)
        recorder = DiskRecorder(camera1=record(6), camera2=groups[:2] + groups[50:])
        async with (
            recorder,
            nvrclient.connect(recorder.url, "ADMIN", PASSWORD) as nvr,
            nvr.playback([1, 2], at(T0), speed=None) as playback,
        ):
            given = shown(await take(playback))
            assert given == sorted(times(recorder.disk[1]) + times(recorder.disk[2]))
            assert len(recorder.sent("camera.*CAM=1")) < 16

    simulated(scenario())


def test_a_camera_that_begins_again_at_its_end_does_not_hold_the_others_up() -> None:
    async def scenario() -> None:
        later = record(6, camera=4, start=T0 + 304)
        recorder = DiskRecorder(camera3=record(2, camera=3, start=T0 + 3), camera4=later)
        recorder.at_end = "wrap"
        async with (
            recorder,
            nvrclient.connect(recorder.url, "ADMIN", PASSWORD) as nvr,
            nvr.playback([3, 4], at(T0 + 110), speed=None) as playback,
        ):
            assert shown(await take(playback)) == [*range(123, 200, 20), *times(later)]

    simulated(scenario())


def test_a_damaged_answer_while_the_recorder_is_sent_back_loses_nothing_but_itself() -> None:
    async def scenario() -> None:
        groups = record(8)
        recorder = DiskRecorder(*groups)
        recorder.landing = lambda groups, when: 3 if when >= T0 else 0
        given = recorder.given
        answers = iter(range(100))

        def damaging(group: Group, camera: int, operation: int) -> bytes:
            if next(answers) == 2:
                return reply("200 OK", b"junk" * 300)
            return given(group, camera, operation)

        recorder.given = damaging  # type: ignore[method-assign]
        async with playing(recorder, at(T0)) as playback:
            lost = [picture.stamp - T0 for picture in groups[1].pictures]
            expected = [time for time in times(groups) if time not in lost]
            assert shown(await take(playback)) == expected

    simulated(scenario())


def test_row_60_a_connection_that_is_lost_again_and_again_is_no_hot_loop() -> None:
    """After each position it gives the GOP that is known already, then it cuts the connection."""

    class Breaking(DiskRecorder):
        groups_asked = 0

        async def before_answer(self, name: str, query: Query) -> bytes | None:
            self.groups_asked += name == "camera"
            return (
                b"cut"
                if name == "camera" and self.groups_asked > 3 and self.groups_asked % 2
                else None
            )

    async def scenario() -> None:
        recorder = Breaking(*record(12))
        async with playing(recorder, at(T0)) as playback:
            reading = asyncio.ensure_future(take(playback))
            await asyncio.sleep(300)
            assert len(recorder.raw) < 400
            reading.cancel()
            await asyncio.wait((reading,))

    simulated(scenario())


@pytest.mark.parametrize("how", [b"cut", reply("500 Broken"), NO])
def test_row_60_a_gop_that_the_recorder_cannot_give_is_stepped_over(how: bytes) -> None:
    """A bad place on its disk: whatever becomes of the answer, playback is behind it in the end, and tells what is missing."""
    groups = record(12)
    bad = groups[5]

    class Damaged(DiskRecorder):
        async def before_answer(self, name: str, query: Query) -> bytes | None:
            deck = self.decks[query["UID"]]
            if name == "camera" and deck.next.get(1) == 5:
                if how is NO:
                    self.uids.discard(query["UID"])
                return how
            return None

    async def scenario() -> None:
        recorder = Damaged(*groups)
        async with playing(recorder, at(T0)) as playback:
            items = await take(playback)
            given = shown(items)
            lost = [picture.stamp - T0 for picture in bad.pictures]
            assert set(given) >= set(times(groups[:5]))
            assert set(given) & set(lost) == set()
            assert given == sorted(given)
            assert given[-1] == times(groups)[-1]
            told = [item.reason for item in items if isinstance(item, Discontinuity)]
            assert "loss" in told
        assert len(recorder.raw) < 130

    simulated(scenario())


@pytest.mark.parametrize("seconds", [20, 300])
@pytest.mark.parametrize("how", [b"cut", reply("503 Busy")])
def test_row_61_a_recorder_that_gives_nothing_for_a_while_costs_no_gop(
    how: bytes, seconds: int
) -> None:
    """It takes every position meanwhile; what comes after the place is no better, so the place is not given up."""

    class Troubled(DiskRecorder):
        well_at = 0.0
        groups_asked = 0

        async def before_answer(self, name: str, query: Query) -> bytes | None:
            loop = asyncio.get_running_loop()
            self.groups_asked += name == "camera"
            if self.groups_asked == 5 and not self.well_at:
                self.well_at = loop.time() + seconds
            return how if name == "camera" and loop.time() < self.well_at else None

    async def scenario() -> None:
        groups = record(60)
        recorder = Troubled(*groups)
        async with playing(recorder, at(T0 - 3000)) as playback:
            items = await take(playback)
            assert shown(items) == times(groups)
            assert "loss" not in [i.reason for i in items if isinstance(i, Discontinuity)]

    simulated(scenario())


@pytest.mark.parametrize("control", ["forward", "resume"])
def test_row_61_pressing_play_again_and_again_costs_no_gop(control: str) -> None:
    class Slow(DiskRecorder):
        async def before_answer(self, name: str, query: Query) -> bytes | None:
            if name == "camera":
                await asyncio.sleep(0.7)
            return None

    async def scenario() -> None:
        groups = record(20)
        async with playing(Slow(*groups), at(T0)) as playback:
            reading = asyncio.ensure_future(take(playback))
            for _ in range(12):
                await asyncio.sleep(0.4)
                await getattr(playback, control)()
            assert shown(await reading) == times(groups)

    simulated(scenario())


@pytest.mark.parametrize("bad", [{5}, set(range(5, 40))])
def test_row_60_a_camera_that_cannot_be_given_does_not_hold_up_the_others(bad: set[int]) -> None:
    """One bad GOP of camera 2 is stepped over; where all that is left of it is bad, camera 1 goes on alone."""

    class Damaged(DiskRecorder):
        async def before_answer(self, name: str, query: Query) -> bytes | None:
            deck = self.decks[query["UID"]]
            is_bad = name == "camera" and query["CAM"] == "2" and deck.next.get(2) in bad
            return b"cut" if is_bad else None

    async def scenario() -> None:
        groups = record(40)
        recorder = Damaged(camera1=groups, camera2=groups)
        async with (
            recorder,
            nvrclient.connect(recorder.url, "ADMIN", PASSWORD) as nvr,
            nvr.playback([1, 2], at(T0), speed=None) as playback,
        ):
            items = await take(playback)
        given = {n: shown([i for i in items if getattr(i, "camera", 0) == n]) for n in (1, 2)}
        assert given[2][: 5 * 5] == times(groups[:5])
        if len(bad) == 1:
            assert given[1][-1] == given[2][-1] == times(groups)[-1]
            assert all(len(one) >= len(times(groups)) - 8 * 5 for one in given.values())
        else:
            assert given[1] == times(groups)
            assert given[2] == times(groups[:5])
        assert "loss" in [item.reason for item in items if isinstance(item, Discontinuity)]
        assert len(recorder.raw) < 500

    simulated(scenario())
