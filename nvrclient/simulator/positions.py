"""What a UID plays back, and where it is: the position is the UID's, with a reel for each camera's video and audio."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, TypeAlias

from nvrclient.simulator.playback_readings import (
    Landing,
    PlaybackReadings,
    PlayStart,
    Resume,
    ReverseStart,
    StepStart,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from nvrclient.simulator.recording import RecordedGop
    from nvrclient.simulator.tape import Tape

__all__ = ["Doing", "Playback", "Reel"]

HIGHEST_STEP = 8

# Where a camera begins after a command: on its tape, as of now, after the last GOP sent.
_Start: TypeAlias = "Callable[[Tape[RecordedGop], int, int | None], int]"


class Doing(IntEnum):
    """What is being done, as TLV 0x000D says it; stopped is its "undefined"."""

    STOPPED = 0x00
    PLAYBACK = 0x02
    REVERSE = 0x03
    FAST_FORWARD = 0x04
    FAST_REVERSE = 0x05
    PAUSE = 0x06
    NEXT_IMAGE = 0x07
    PREVIOUS_IMAGE = 0x08


_COMMANDS = {
    "PLAY": Doing.PLAYBACK,
    "GOTODATE": Doing.PLAYBACK,
    "BPLAY": Doing.REVERSE,
    "FF": Doing.FAST_FORWARD,
    "REW": Doing.FAST_REVERSE,
    "PAUSE": Doing.PAUSE,
    "NEXTFRAME": Doing.NEXT_IMAGE,
    "PREVFRAME": Doing.PREVIOUS_IMAGE,
    "STOP": Doing.STOPPED,
}

_MOVING = frozenset({Doing.PLAYBACK, Doing.REVERSE, Doing.FAST_FORWARD, Doing.FAST_REVERSE})
_STEPPING = frozenset({Doing.NEXT_IMAGE, Doing.PREVIOUS_IMAGE})
_BACKWARDS = frozenset({Doing.REVERSE, Doing.FAST_REVERSE, Doing.PREVIOUS_IMAGE})


@dataclass(slots=True)
class Reel:
    """Where one camera's video, or audio, is: numbers of its tape's items; None: a command has yet to be followed.

    ``first`` is where it began after the last command, ``ready`` the loop's time from which the next item is
    given when there is a pace, ``waits`` the answers without pictures given at the gap ahead.
    """

    sent: int | None = None
    next: int | None = None
    first: int = 0
    ready: float | None = None
    waits: int = 0


@dataclass(slots=True, eq=False)
class Playback:
    """The playback of one UID, from MASK on.

    | field | meaning |
    |---|---|
    | cameras | those of MASK |
    | doing, step | as TLV 0x000D says |
    | time | TIMEF of the last command that had one, in hundredths of a second |
    """

    cameras: frozenset[int]
    doing: Doing = Doing.STOPPED
    step: int = 0
    time: int | None = None
    stopped_at: int | None = None
    _start: _Start | None = field(default=None, repr=False)
    _landing: _Start | None = field(default=None, repr=False)  # where it was last told to be
    _reels: dict[tuple[int, bool], Reel] = field(
        default_factory=dict[tuple[int, bool], Reel], repr=False
    )

    @property
    def is_playing(self) -> bool:
        """Whether PLAY or GOTODATE came and STOP did not."""
        return self.doing is not Doing.STOPPED

    @property
    def stride(self) -> int:
        """How many GOPs on the next one is."""
        many = 2**self.step if self.step else 1
        return -many if self.doing in _BACKWARDS else many

    def reel(self, camera: int, *, audio: bool = False) -> Reel:
        """Give a camera's reel."""
        return self._reels.setdefault((camera, audio), Reel())

    def begin(self, reel: Reel, tape: Tape[RecordedGop], now: int) -> int:
        """Find the next GOP of a camera's video."""
        if reel.next is None:
            assert self._start is not None
            reel.next = reel.first = self._start(tape, now, reel.sent)
        return reel.next

    def follow(self, command: str, time: int | None, readings: PlaybackReadings) -> str | None:
        """Follow a PLAYCMD: None, or the rule that it breaks."""
        doing = _COMMANDS[command]
        paused = self.doing in _STEPPING or self.doing is Doing.PAUSE
        if command in {"BPLAY", "FF", "REW", "PAUSE"} and self.doing not in _MOVING:
            return f"while {self.doing.name}, not while playing back"
        if doing in _STEPPING and not paused:
            return f"while {self.doing.name}, not in pause"
        was = self.doing
        self.step = min(self.step + 1, HIGHEST_STEP) if was is doing and self.step else 0
        if command in {"FF", "REW"}:
            self.step = self.step or 1
        self.doing = doing
        if doing is Doing.STOPPED:
            self.stopped_at = time
        if doing is Doing.STOPPED or doing is Doing.PAUSE:
            # What was to come stays to come: a pause ends with a command that says where to go on.
            self.time = time
            return None
        for reel in self._reels.values():
            reel.next = reel.ready = None
            if command == "GOTODATE" or was is Doing.STOPPED:
                reel.sent = None
        if command == "PLAY" and was is not Doing.STOPPED:
            self._start = self._resumed(readings)
        elif command == "PLAY":
            self._start = self._landing = self._played(readings)
        else:
            assert time is not None
            self._start = self._positioned(command, time, readings)
            if doing not in _STEPPING:
                self._landing = self._start
            self.time = time
        return None

    def _on(self, tape: Tape[RecordedGop], now: int, sent: int | None, by: int) -> int:
        """Go on from the last one sent; before any was, begin where it was last told to."""
        assert self._landing is not None
        return self._landing(tape, now, None) if sent is None else sent + by

    def _resumed(self, readings: PlaybackReadings) -> _Start:
        at = self.time

        def resume(tape: Tape[RecordedGop], now: int, sent: int | None) -> int:
            if readings.resume is Resume.AT_TIME and at is not None:
                return tape.holding(at, now)
            return self._on(tape, now, sent, 1)

        return resume

    def _played(self, readings: PlaybackReadings) -> _Start:
        at, where = self.stopped_at, readings.play_start

        def begin(tape: Tape[RecordedGop], now: int, _: int | None) -> int:
            if where is PlayStart.NEWEST:
                return max(tape.count(now) - 1, 0)
            if where is PlayStart.LAST_SEGMENT:
                return tape.last_track
            if where is PlayStart.STOPPED and at is not None:
                return tape.holding(at, now)
            return 0

        return begin

    def _positioned(self, command: str, time: int, readings: PlaybackReadings) -> _Start:
        stride = self.stride

        def land(tape: Tape[RecordedGop], now: int, _: int | None) -> int:
            number = tape.holding(time, now)
            if readings.landing is Landing.BEFORE:
                return max(number - 1, 0)
            if readings.landing is Landing.HOLDING or number >= tape.count(now):
                return number
            begins = tape.item(number).begins
            if readings.landing is Landing.NEXT:
                return number if begins >= time else number + 1
            around = [n for n in (number - 1, number, number + 1) if 0 <= n < tape.count(now)]
            return min(around, key=lambda n: abs(tape.item(n).begins - time))

        def reverse(tape: Tape[RecordedGop], now: int, _: int | None) -> int:
            number = tape.last_begun(time, now)
            return number if readings.reverse_start is ReverseStart.HOLDING else number - 1

        def jump(tape: Tape[RecordedGop], now: int, _: int | None) -> int:
            forward = command == "FF"
            held = tape.holding(time, now) if forward else tape.last_begun(time, now)
            return held + stride

        def step(tape: Tape[RecordedGop], now: int, sent: int | None) -> int:
            held = tape.last_begun(time, now)
            if readings.step_start is StepStart.HOLDING:
                return max(held, 0)
            if readings.step_start is StepStart.BESIDE_TIME:
                return held + stride
            return self._on(tape, now, sent, stride)

        return {"GOTODATE": land, "BPLAY": reverse, "FF": jump, "REW": jump}.get(command, step)
