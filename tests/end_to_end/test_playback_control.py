"""Every way to move through a recording, in every order, however the recorder takes its commands.

What is open in the specification is a switch of the simulated recorder. Always run: a set of readings in which every
value of any two switches of positions meets every other. NVRCLIENT_LONG=1 adds their full product:
``NVRCLIENT_LONG=1 python -m pytest -m long tests/end_to_end/test_playback_control.py``.
"""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

import pytest

from nvrclient import Discontinuity, Playback, VideoFrame
from nvrclient.frames import StreamItem
from nvrclient.playback.motion import Motion
from nvrclient.simulator import (
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
from tests.end_to_end.recordings import (
    BEGIN,
    adds_up,
    at,
    brief,
    covering,
    every,
    playing,
    read_as,
    recorder_of,
    rest_of,
    run_many,
    take,
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
    "gap_answers": (0, 2),
    "gops_per_answer": (1, 2),
    "gop_end_is_next": (False, True),
}


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

    # What was done

    def seek(self, when: datetime) -> None:
        self.moved = self.shown is not None
        self.motion, self.aim, self.gop, self.shown = Motion.FORWARD, when, None, None

    def resume(self) -> None:
        if self.gop is not None:
            self.aim = None

    def turn(self, motion: Motion) -> None:
        going_on = self.motion is motion and not motion.is_fast
        if motion is self.motion is Motion.FORWARD:
            return
        self.motion = motion
        self.moved = self.shown is not None
        self.resume()
        if self.gop is not None and motion is not Motion.FORWARD and not going_on:
            self.given = len(self.gops[self.gop].pictures)

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
