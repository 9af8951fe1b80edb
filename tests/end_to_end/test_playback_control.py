"""Every way to move through a recording, in every order, however the recorder takes its commands.

What is open in the specification is a switch of the simulated recorder. Always run: a set of readings in which every
value of any two switches of positions meets every other. NVRCLIENT_LONG=1 adds their full product:
``NVRCLIENT_LONG=1 python -m pytest -m long tests/end_to_end/test_playback_control.py``.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import datetime
from itertools import pairwise
from typing import Any, TypeVar

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nvrclient import Discontinuity, NoRecordingError, Playback, VideoFrame
from nvrclient.frames import StreamItem
from nvrclient.playback.motion import Motion
from nvrclient.simulator import (
    Clip,
    Landing,
    Nothing,
    PlaybackReadings,
    PlayStart,
    RecordedGop,
    Recording,
    Resume,
    ReverseStart,
    Segment,
    StepStart,
    Unit,
)
from tests.clock import SimulatedClockLoop
from tests.end_to_end.recordings import (
    BEGIN,
    adds_up,
    are,
    at,
    brief,
    covering,
    every,
    frames_of,
    numbered_gops,
    pictures_of,
    playing,
    read_as,
    recorded,
    recorder_of,
    rest_of,
    run_many,
    seconds_of,
    sent,
    take,
    timef,
)

LONG = pytest.mark.skipif("NVRCLIENT_LONG" not in os.environ, reason="NVRCLIENT_LONG is not set")

MOVES: dict[str, tuple[object, ...]] = {
    "landing": tuple(Landing),
    "reverse_start": tuple(ReverseStart),
    "step_start": tuple(StepStart),
    "resume": tuple(Resume),
    "end": tuple(Nothing),
    "too_soon": (None, *Nothing),
}
POSITIONS = MOVES | {
    "play_start": tuple(PlayStart),
    "gops_per_answer": (1, 2),
    "gop_end_is_next": (False, True),
}


SETTLED = {name: values for name, values in POSITIONS.items() if name != "too_soon"}

_T = TypeVar("_T")

WITH_A_GAP = Recording(
    (Segment(BEGIN, brief("h264"), gops=5), Segment(BEGIN + 60, brief("h264"), gops=5))
)


class Expected:
    """What a playback has to give, by what was recorded: every picture in its turn."""

    def __init__(self, recording: Recording) -> None:
        self.gops = list(recording.gops())
        self.motion = Motion.FORWARD
        self.aim: datetime | None = None  # sent there, and nothing shown since
        self.gop: int | None = None  # the one at hand
        self.given = 0  # of its pictures
        self.shown: Unit | None = None
        self.moved = False
        self._outside: list[Unit] = []  # of the GOP at hand: on the other side of `aim`

    # What comes

    def next_gop(self) -> range:
        """Return the GOPs of which one comes when the one at hand is used up; none at the end."""
        last = len(self.gops) - 1
        if self.gop is not None:
            following = self.gop + (-1 if self.motion.is_backward else 1)
        else:
            following = self._holding()
        ahead = range(following + 1) if self.motion.is_backward else range(following, last + 1)
        if self.motion.is_fast or not ahead:
            return ahead
        return ahead[-1:] if self.motion.is_backward else ahead[:1]

    def _holding(self) -> int:
        assert self.aim is not None
        if self.motion.is_backward:
            begun = [n for n, gop in enumerate(self.gops) if gop.start <= self.aim]
            return begun[-1] if begun else -1
        ahead = [n for n, gop in enumerate(self.gops) if gop.until > self._hundredths()]
        return ahead[0] if ahead else len(self.gops)

    def _hundredths(self) -> int:
        assert self.aim is not None
        return round(self.aim.timestamp() * 100)

    def check(self, items: list[StreamItem]) -> None:
        """Hold items, as many as they are, to what was recorded."""
        for item in items:
            if isinstance(item, Discontinuity):
                assert item.reason == ("seek" if self.moved else "gap"), item
                self.moved = False
                continue
            assert isinstance(item, VideoFrame)
            if self.gop is None or self.given == len(self.gops[self.gop].pictures):
                found = [n for n in self.next_gop() if self.gops[n].pictures[0].time == item.time]
                assert found, (item, self.gop, self.next_gop())
                self.gop, self.given = found[0], 0
                self._outside = self._aim_at(self.gops[self.gop])
            unit = self.gops[self.gop].pictures[self.given]
            assert (item.time, item.data) == (unit.time, unit.data)
            assert item.shown is (unit not in self._outside), item
            self.given += 1
            self.moved = False
            if item.shown:
                self.shown = unit

    def _aim_at(self, gop: RecordedGop) -> list[Unit]:
        """Return the pictures of a GOP on the other side of the time that it was sent to."""
        if self.aim is None:
            return []
        if self.motion.is_backward:
            return [unit for unit in gop.pictures if unit.time > self.aim]
        return [unit for unit in gop.pictures if unit.time < self.aim]

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes."""
        left = self.gop is not None and self.given < len(self.gops[self.gop].pictures)
        return not left and not self.next_gop()

    @property
    def may_find_nothing(self) -> bool:
        """Whether there need not be more: what fast motion leaves out, and what comes before the beginning."""
        at_beginning = self.aim is not None and self.aim <= self.gops[0].start
        return self.motion.is_fast or (self.motion.is_backward and at_beginning)

    # What was done

    def seek(self, when: datetime) -> None:
        self.moved |= self.shown is not None
        self.motion, self.aim, self.gop, self.shown = Motion.FORWARD, when, None, None

    def resume(self) -> None:
        if self.gop is not None:
            self.aim = None

    def turn(self, motion: Motion, *, again: bool = False) -> None:
        """`again`: it was paused or over."""
        if motion is self.motion and not (motion.is_fast or again):
            return
        self.motion = motion
        self.moved |= self.shown is not None
        self.resume()
        if self.gop is None:
            return
        pictures = self.gops[self.gop].pictures
        if motion is not Motion.FORWARD:
            self.given = len(pictures)
        elif self.shown in pictures:
            self.given = pictures.index(self.shown) + 1

    def step(self, *, forward: bool) -> Unit | None:
        """Return the picture after or before the one shown, None at the end; it is shown then."""
        every_one = [
            (unit, n, index)
            for n, gop in enumerate(self.gops)
            for index, unit in enumerate(gop.pictures)
        ]
        if self.shown is not None:
            if forward:
                found = [one for one in every_one if one[0].time > self.shown.time][:1]
            else:
                found = [one for one in every_one if one[0].time < self.shown.time][-1:]
        else:
            assert self.aim is not None
            if forward:
                found = [one for one in every_one if one[0].time >= self.aim][:1]
            else:
                found = [one for one in every_one if one[0].time < self.aim][-1:]
        if not found:
            return None
        self.shown, self.gop, index = found[0]
        self.given = index + 1
        return self.shown


async def drive(playback: Playback, expected: Expected) -> None:
    """Move in every way, and have every picture in its turn."""

    async def given(count: int) -> None:
        expected.check([*await take(playback, count)])

    async def stepped(*, forward: bool) -> None:
        frame = await (playback.next_frame() if forward else playback.previous_frame())
        unit = expected.step(forward=forward)
        assert unit is not None
        assert (frame.time, frame.data, frame.shown) == (unit.time, unit.data, True)

    await given(6)
    await playback.pause()
    for forward in (True,) * 6 + (False,) * 8 + (True,) * 3:
        await stepped(forward=forward)
    await playback.resume()
    await given(3)
    await playback.reverse()
    expected.turn(Motion.REVERSE)
    await given(5)
    await playback.pause()
    await playback.resume()
    expected.check(await rest_of(playback))
    assert expected.is_over
    await playback.forward()
    expected.turn(Motion.FORWARD)
    await given(4)
    await playback.fast_forward()
    expected.turn(Motion.FAST_FORWARD)
    await given(2)
    await playback.forward()
    expected.turn(Motion.FORWARD)
    await given(5)
    await playback.seek(at(61.3))
    expected.seek(at(61.3))
    await given(4)
    await playback.fast_reverse()
    expected.turn(Motion.FAST_REVERSE)
    expected.check(await rest_of(playback))
    await playback.seek(at(63))
    expected.seek(at(63))
    expected.check(await rest_of(playback))
    assert expected.is_over
    assert adds_up(playback.stats)


def drive_under(readings: list[dict[str, Any]]) -> None:
    """Move through the recording with a gap under each of these readings, one after the other on one session."""

    async def scenario() -> None:
        recorder = recorder_of(WITH_A_GAP)
        async with playing(recorder) as nvr:
            for row in readings:
                read_as(recorder, PlaybackReadings(**row))
                try:
                    async with nvr.camera(1).playback(at(1.3), speed=None) as playback:
                        expected = Expected(WITH_A_GAP)
                        expected.aim = at(1.3)
                        await drive(playback, expected)
                except Exception as error:
                    error.add_note(f"under {row}")
                    raise

    run_many(scenario())


def test_every_way_to_move_under_every_reading() -> None:
    """Every value of any two switches meets every other."""
    drive_under(covering(POSITIONS, 2))


@pytest.mark.long
@LONG
@pytest.mark.timeout(900)
def test_the_full_product_of_the_positions() -> None:
    """All combinations of the switches that say where a command leads."""
    drive_under(list(every(MOVES)))


# Steps


def test_steps_as_the_specification_draws_them() -> None:
    """The figure of 3.1.4: GOPs of five pictures, 0.2 s apart; each step with the time of the picture shown."""
    recording = recorded(brief("h264", 5), 4, fps=5)

    async def scenario() -> None:
        recorder = recorder_of(recording)
        async with playing(recorder) as nvr:
            async with nvr.camera(1).playback(at(0), speed=None) as playback:
                await take(playback, 1)
                await asyncio.sleep(0.5)  # the next GOP is here
                since = len(recorder.requests)
                await playback.pause()
                frames = [await playback.next_frame() for _ in range(10)]
                assert are(frames, pictures_of(recording.gops())[1:11])
                back = [await playback.previous_frame() for _ in range(10)]
                assert are(back, pictures_of(recording.gops())[9::-1])
                assert (await playback.next_frame()).time == at(0.2)
                told = sent(recorder, since)
        shown = [at(n / 5) for n in range(11)]
        steps = [f"NEXTFRAME {timef(time, hundredths=True)}" for time in shown[:10]]
        steps += [f"PREVFRAME {timef(time, hundredths=True)}" for time in shown[:0:-1]]
        steps += [f"NEXTFRAME {timef(at(0), hundredths=True)}"]
        assert [one for one in told if "FRAME" in one] == steps
        assert told[0] == f"PAUSE {timef(at(0))}"
        # Asked for only when the pictures at hand are used up: from 1.8 s forward, from 2.0 and 1.0 back.
        places = [n for n, one in enumerate(told) if one == "camera.cgi"]
        assert {told[:place][-1] for place in places} - {"camera.cgi"} == {
            steps[9],
            steps[10],
            steps[15],
        }
        assert not any(one.startswith(("GOTODATE", "PLAY")) for one in told)

    run_many(scenario())


def test_a_pause_while_an_answer_is_under_way() -> None:
    """What it brings is not taken, so the recorder is told where to go on: before the pause, not in the steps."""

    async def scenario() -> None:
        recorder = recorder_of(numbered_gops(9))
        async with playing(recorder) as nvr:
            async with nvr.camera(1).playback(at(0), speed=None) as playback:
                await take(playback, 2)
                await playback.pause()
                steps = [await playback.next_frame() for _ in range(12)]
                assert are(steps, pictures_of(recorder.recording(1).gops())[2:14])
        told = sent(recorder)
        paused = told.index(f"PAUSE {timef(at(0))}")
        assert not any(one.startswith(("GOTODATE", "PAUSE")) for one in told[paused + 1 :]), told

    run_many(scenario())


@pytest.mark.parametrize("name", ["h264", "h265", "jpeg"])
@pytest.mark.parametrize("start", StepStart)
def test_twice_through_a_gop_boundary_and_back(name: str, start: StepStart) -> None:
    """Two steps forward and two back, over a boundary, lead to the same picture: time and time again."""
    clip = brief(name, 4 if name != "jpeg" else 8)
    recording = recorded(clip, 6)

    async def scenario() -> None:
        for too_soon in (None, Nothing.NO_IMAGE):
            readings = PlaybackReadings(step_start=start, too_soon=too_soon)
            recorder = recorder_of(recording, readings=readings)
            async with playing(recorder) as nvr:
                async with nvr.camera(1).playback(at(2), speed=None) as playback:
                    first = (await take(playback, 4))[-1]
                    for _ in range(3):
                        over = [await playback.next_frame() for _ in range(2)]
                        assert seconds_of(over) == [3.0, 3.25]
                        back = [await playback.previous_frame() for _ in range(2)]
                        assert seconds_of(back) == [3.0, 2.75]
                        assert back[-1].data == first.data
                    for time in (2.5, 2.25, 2.0, 1.75, 1.5):
                        assert seconds_of([await playback.previous_frame()]) == [time]
                    await playback.resume()
                    assert seconds_of(await take(playback, 3)) == [1.75, 2.0, 2.25]
                    assert adds_up(playback.stats)

    run_many(scenario())


def test_steps_end_where_the_recording_does() -> None:
    recording = numbered_gops(2)

    async def scenario() -> None:
        recorder = recorder_of(recording)
        async with playing(recorder) as nvr:
            async with nvr.camera(1).playback(at(0), speed=None) as playback:
                for _ in range(2):
                    await take(playback, 1)
                    with pytest.raises(NoRecordingError, match="before"):
                        await playback.previous_frame()
                    rest = [await playback.next_frame() for _ in range(7)]
                    assert are(rest, pictures_of(recording.gops())[1:])
                    with pytest.raises(NoRecordingError, match="after"):
                        await playback.next_frame()
                    assert seconds_of([await playback.previous_frame()]) == [1.5]
                    await playback.seek(at(0))

    run_many(scenario())


@pytest.mark.parametrize("command", ["pause", "step", "reverse", "fast_forward", "fast_reverse"])
def test_the_time_told_is_of_the_picture_last_given(command: str) -> None:
    """Not of the one last fetched, which is seconds further."""

    async def scenario() -> None:
        recorder = recorder_of(numbered_gops(20))
        async with playing(recorder) as nvr:
            async with nvr.camera(1).playback(at(5), speed=None) as playback:
                frames = await take(playback, 7)
                await asyncio.sleep(1)  # the next GOP is here
                since = len(recorder.requests)
                shown = frames[-1].time
                assert shown == at(6.5)
                if command == "step":
                    await playback.next_frame()
                else:
                    await getattr(playback, command)()
                told = sent(recorder, since)
        word = {
            "step": "PAUSE",
            "pause": "PAUSE",
            "reverse": "BPLAY",
            "fast_forward": "FF",
            "fast_reverse": "REW",
        }[command]
        moves = [one for one in told if one.startswith(word)]
        assert moves == [f"{word} {timef(at(6))}"]
        if command == "step":
            assert told[1] == f"NEXTFRAME {timef(at(6.5), hundredths=True)}"

    run_many(scenario())


# Fast


def test_fast_motion_leaves_gops_out_and_tells_no_gap() -> None:
    """Each call is a step faster; a jump in time is what was asked for."""

    async def scenario() -> None:
        recorder = recorder_of(numbered_gops(400))
        async with playing(recorder) as nvr:
            async with nvr.camera(1).playback(at(0), speed=None) as playback:
                await take(playback, 4)
                strides: list[float] = []
                for _ in range(3):
                    await playback.fast_forward()
                    items = [await anext(playback) for _ in range(1 + 4 * 4)]
                    assert [i.reason for i in items if isinstance(i, Discontinuity)] == ["seek"]
                    starts = seconds_of(frame for frame in frames_of(items) if frame.keyframe)
                    between = {after - before for before, after in pairwise(starts)}
                    assert len(between) == 1
                    strides += between
                assert strides == [2, 4, 8]
                position = playback.position
                await playback.fast_reverse()
                items = [await anext(playback) for _ in range(1 + 4 * 4)]
                frames = frames_of(items)
                assert [i.reason for i in items if isinstance(i, Discontinuity)] == ["seek"]
                assert all(frame.time < position for frame in frames)  # type: ignore[operator]
                first = seconds_of(frame for frame in frames if frame.keyframe)
                assert first == sorted(first, reverse=True)

    run_many(scenario())


# Every order


class Moving(RuleBasedStateMachine):
    """Any order of commands on one playback: no rule broken, no picture lost, doubled or in the wrong place."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=SimulatedClockLoop)
        self.stack = AsyncExitStack()
        self.expected = Expected(WITH_A_GAP)
        self.is_paused = False

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return self.runner.run(work)

    @initialize(readings=st.sampled_from(covering(SETTLED, 2)), start=st.sampled_from([0, 1.25]))
    def open(self, readings: dict[str, Any], start: float) -> None:
        async def opened() -> Playback:
            self.recorder = recorder_of(WITH_A_GAP, readings=PlaybackReadings(**readings))
            nvr = await self.stack.enter_async_context(playing(self.recorder))
            return await self.stack.enter_async_context(
                nvr.camera(1).playback(at(start), speed=None)
            )

        self.playback = self.run(opened())
        self.expected.aim = at(start)

    def teardown(self) -> None:
        try:
            self.run(self.stack.aclose())
        finally:
            self.runner.close()

    @precondition(lambda self: not self.is_paused)
    @rule(count=st.integers(1, 9))
    def take(self, count: int) -> None:
        """So many pictures, and on to the next that is shown."""

        async def taken() -> list[StreamItem]:
            items: list[StreamItem] = []
            try:
                async for item in self.playback:
                    items.append(item)
                    if len(frames_of(items)) >= count and frames_of(items)[-1].shown:
                        break
            except NoRecordingError:
                assert self.expected.may_find_nothing
            return items

        items = self.run(taken())
        self.expected.check(items)
        if not self.expected.may_find_nothing:
            assert len(frames_of(items)) >= count or self.expected.is_over

    @rule()
    def pause(self) -> None:
        self.run(self.playback.pause())
        self.is_paused = True

    @rule()
    def resume(self) -> None:
        self.run(self.playback.resume())
        self.expected.resume()
        self.is_paused = False

    @rule(motion=st.sampled_from(Motion))
    def turn(self, motion: Motion) -> None:
        calls = {
            Motion.FORWARD: self.playback.forward,
            Motion.REVERSE: self.playback.reverse,
            Motion.FAST_FORWARD: self.playback.fast_forward,
            Motion.FAST_REVERSE: self.playback.fast_reverse,
        }
        self.run(calls[motion]())
        self.expected.turn(motion, again=self.is_paused or self.expected.is_over)
        self.is_paused = False

    @rule(second=st.sampled_from([0, 0.5, 2.25, 4.75, 30, 60, 62.5, 64.75]))
    def seek(self, second: float) -> None:
        self.run(self.playback.seek(at(second)))
        self.expected.seek(at(second))
        self.is_paused = False

    @rule(forward=st.booleans())
    def step(self, forward: bool) -> None:
        call = self.playback.next_frame if forward else self.playback.previous_frame
        unit = self.expected.step(forward=forward)
        if unit is None:
            with pytest.raises(NoRecordingError):
                self.run(call())
        else:
            frame = self.run(call())
            assert (frame.time, frame.data, frame.shown) == (unit.time, unit.data, True)
        self.is_paused = True

    @invariant()
    def is_in_order(self) -> None:
        if hasattr(self, "playback"):
            assert self.recorder.violations == []
            assert adds_up(self.playback.stats)
            assert self.playback.stats.bytes_queued <= 4 * LARGEST_GOP


LARGEST_GOP = max(sum(len(unit.data) for unit in gop.pictures) for gop in WITH_A_GAP.gops())

TestMoving = Moving.TestCase
TestMoving.settings = settings(
    max_examples=1000 if "NVRCLIENT_LONG" in os.environ else 30,
    stateful_step_count=15,
    deadline=None,
    derandomize="NVRCLIENT_LONG" not in os.environ,
    database=None,
    suppress_health_check=list(HealthCheck),
)


# Independence


def recorded_apart(count: int) -> list[Recording]:
    return [recorded(brief(name), 12) for name in ("h264", "h265", "h265_slices", "h264")][:count]


async def consumed(playback: Playback, frames: list[VideoFrame]) -> None:
    async for item in playback:
        if isinstance(item, VideoFrame):
            frames.append(item)


def test_what_one_playback_does_changes_no_picture_of_another() -> None:
    """Three of the same camera and one of another, one sought, turned, paused, fast; live of that camera beside."""

    async def scenario() -> None:
        recorder = recorder_of(*recorded_apart(2))
        async with playing(recorder) as nvr, AsyncExitStack() as stack:
            live = await stack.enter_async_context(nvr.camera(1).live("h264"))
            steady = [
                await stack.enter_async_context(nvr.camera(number).playback(at(0), speed=2.0))
                for number in (1, 1, 2)
            ]
            moved = await stack.enter_async_context(nvr.camera(1).playback(at(0), speed=None))
            got: list[list[VideoFrame]] = [[] for _ in steady]
            live_frames: list[VideoFrame] = []

            async def watch() -> None:
                async for frame in live.video():
                    live_frames.append(frame)

            watching = asyncio.create_task(watch())
            tasks = [
                asyncio.create_task(consumed(one, frames))
                for one, frames in zip(steady, got, strict=True)
            ]
            while not all(task.done() for task in tasks):
                await take(moved, 2)
                await moved.fast_forward()
                await asyncio.sleep(0.1)
                await moved.reverse()
                await moved.pause()
                await moved.previous_frame()
                await asyncio.sleep(0.1)
                await moved.seek(at(5.5))
            await asyncio.gather(*tasks)
            for frames, playback in zip(got, steady, strict=True):
                stored = recorder.recording(playback.cameras[0])
                assert are(frames, pictures_of(stored.gops()))
                assert playback.stats.reconnects == 0
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            assert len(live_frames) > 60
            clip = Clip.load("h264")
            assert [u.data.rstrip(b"\0") for f in live_frames for u in f.nal_units] == [
                data.rstrip(b"\0")
                for n in range(len(live_frames))
                for data in clip.nal_units[n % 150]
            ]
            assert len(recorder.uids) == 5
            assert recorder.logins == 5

    run_many(scenario())


def test_sixteen_cameras_in_step_on_one_uid() -> None:
    """Items come in the order of time, each camera's pictures whole; one seek moves all."""
    names = ("h264", "h265", "h265_slices", "jpeg")
    recordings = [recorded(brief(names[n % 4]), 4) for n in range(16)]

    async def scenario() -> None:
        recorder = recorder_of(*recordings)
        async with playing(recorder) as nvr:
            async with nvr.playback(list(range(1, 17)), at(0), speed=None) as playback:
                for begin in (0, 2):
                    if begin:
                        await playback.seek(at(begin))
                    items = await rest_of(playback)
                    frames = frames_of(items)
                    times = seconds_of(frames)
                    assert times == sorted(times)
                    for camera, recording in enumerate(recordings, 1):
                        own = [frame for frame in frames if frame.camera == camera]
                        assert are(own, pictures_of(recording.gops(at(begin)))), camera
                    assert adds_up(playback.stats)
                await playback.seek(at(1))
                await take(playback, 16)
                stepped = [await playback.next_frame() for _ in range(16)]
                assert seconds_of(stepped) == [1.25] * 16
                assert {frame.camera for frame in stepped} == set(range(1, 17))
            assert recorder.logins == 1
            masks = [dict(r.params)["MASK"] for r in recorder.requests if "MASK" in dict(r.params)]
            assert masks == ["1" * 16]

    run_many(scenario())


def test_cameras_in_step_turn_together() -> None:
    recordings = [recorded(brief(name), 6) for name in ("h264", "h265", "jpeg")]

    async def scenario() -> None:
        recorder = recorder_of(*recordings)
        async with playing(recorder) as nvr:
            async with nvr.playback([1, 2, 3], at(3), speed=None) as playback:
                await take(playback, 6)
                await playback.reverse()
                frames = frames_of(await rest_of(playback))
                for camera, recording in enumerate(recordings, 1):
                    own = [frame for frame in frames if frame.camera == camera]
                    gops = [gop for gop in reversed(list(recording.gops())) if gop.start < at(3)]
                    assert are(own[-len(gops) * len(gops[0].pictures) :], pictures_of(gops)), camera
                assert adds_up(playback.stats)

    run_many(scenario())
