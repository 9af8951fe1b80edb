"""The audio of one camera: answers of playaudio.cgi -> audio frames with their times. Pure.

The recorder tells the time of an answer in whole seconds (3.3.2). So frames are timed by counting samples from the
first answer on; where the count and an answer disagree by more than that can explain, the answer is right: something
is missing in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import combinations
from math import log

from nvrclient.codec import aac
from nvrclient.container.audio import RecordedAudio
from nvrclient.frames import AudioFrame, Codec, Discontinuity

SLACK = 1.5
"""Seconds by which the count of samples may differ from an answer's whole seconds."""

DEFAULT_AAC_RATE = 48_000

MEASURED = 3
"""Answers by which the rate of raw AAC is found out: whole seconds say little about one."""

OTHER = 0.06
"""By how much the frames in an answer may differ from those before, and one frame more, without another rate behind
it; AAC's rates are 8 % apart."""

REMEMBERED = 64
"""Answers whose beginning is remembered: after a pause they come again, and are timed as before."""

_SAMPLES_IN_BYTE = {Codec.PCMU: 1, Codec.PCMA: 1, Codec.G726: 2}  # G.726 at 32 kbit/s
_SPEECH_RATE = 8000
_ROUNDING = timedelta(milliseconds=1)


def duration(frame: AudioFrame) -> timedelta:
    """Return how long a frame lasts."""
    if frame.codec is Codec.AAC:
        return timedelta(seconds=aac.SAMPLES_PER_FRAME / frame.sample_rate)
    return timedelta(seconds=frame.size * _SAMPLES_IN_BYTE[frame.codec] / frame.sample_rate)


class SoundTrack:
    """See the module. `take` each answer; `finish` when no more come, which releases what was held back.

    ``until`` is the time up to which audio was taken. `rate`: of raw AAC in Hz, None: found out.
    """

    def __init__(self, camera: int, rate: int | None) -> None:
        self.received = 0
        self.dropped: dict[str, int] = {}
        self.until: datetime | None = None
        self._camera = camera
        self._asked_rate = rate
        self._rate = rate  # of AAC, once known
        self._held: list[tuple[RecordedAudio, float]] = []  # until it is known
        self._last: tuple[datetime, datetime] | None = None
        self._aim: datetime | None = None
        self._format: tuple[Codec, int, int] | None = None
        self._since: datetime | None = None  # the end of the frame given last
        self._zero: _Clock | None = None
        self._pts = -1  # of the frame given last
        self._clock: _Clock | None = None
        self._clocks: dict[tuple[datetime, datetime, int], _Clock] = {}  # where answers began

    def aim(self, at: datetime | None) -> None:
        """Expect audio from a time on, or from wherever the recorder begins."""
        self.drop("moved", self.held)
        self._held = []
        self._aim = at
        self._last = self._clock = self.until = None

    def damage(self) -> Discontinuity:
        """An answer could not be read; return what is to be told."""
        self._clock = None
        return Discontinuity("loss", since=self.until, lost=1)

    @property
    def held(self) -> int:
        """Frames held back until the rate of AAC is known."""
        return sum(len(audio.blocks) for audio, _ in self._held)

    def take(self, audio: RecordedAudio, now: float) -> list[AudioFrame | Discontinuity] | None:
        """Take what came at monotonic time `now`; return what can be given. None: it was here before."""
        self.received += len(audio.blocks)
        if self._last is not None and audio.start <= self._last[0] and audio.end <= self._last[1]:
            self.drop("repeated", len(audio.blocks))
            return None
        self._last = audio.start, audio.end
        self.until = max(audio.end, audio.start)
        if audio.codec is not Codec.AAC:
            return [*self.finish(), *self._frames(audio, now)]
        if self._asked_rate is None and (self._held or self._is_other(audio)):
            self._held.append((audio, now))
            return self.finish() if len(self._held) >= MEASURED else []
        return self._frames(audio, now)

    def finish(self) -> list[AudioFrame | Discontinuity]:
        """Return what was held back until the rate of AAC is known, with the best guess."""
        if not self._held:
            return []
        self._rate = _measured([audio for audio, _ in self._held], self._rate)
        held, self._held = self._held, []
        return [frame for audio, now in held for frame in self._frames(audio, now)]

    def _is_other(self, audio: RecordedAudio) -> bool:
        """Whether the rate is to be found out, for the first time or since it may have changed."""
        if self._rate is None:
            return True
        expected = self._rate / aac.SAMPLES_PER_FRAME
        return abs(len(audio.blocks) - expected) > 1 + OTHER * expected

    def _frames(self, audio: RecordedAudio, now: float) -> list[AudioFrame | Discontinuity]:
        key = audio.start, audio.end, len(audio.blocks)
        clock = self._clock or self._clocks.get(key)
        if clock is None or abs((clock.time - audio.start).total_seconds()) > SLACK:
            clock = _Clock(audio.start)
        self._clocks[key] = clock
        while len(self._clocks) > REMEMBERED:
            del self._clocks[next(iter(self._clocks))]
        given: list[AudioFrame | Discontinuity] = []
        for data in audio.blocks:
            if audio.codec is Codec.AAC:
                rate = self._rate or DEFAULT_AAC_RATE
                samples = aac.SAMPLES_PER_FRAME
                before = self._format[2] if self._format and self._format[0] is Codec.AAC else 1
                channels = aac.channels_of(data) or before
            else:
                rate, channels = _SPEECH_RATE, 1
                samples = len(data) * _SAMPLES_IN_BYTE[audio.codec]
            began, clock = clock.at(rate), clock.at(rate).after(samples)
            if self._aim is not None and clock.time <= self._aim + _ROUNDING:
                self.drop("before start", 1)
                continue
            shape = audio.codec, rate, channels
            if self._format not in {None, shape}:
                given.append(Discontinuity("format", since=self._since, until=began.time))
                self._pts = round(self._pts * rate / self._format[1]) if self._format else -1
            self._format, self._since = shape, clock.time
            if self._zero is None:
                self._zero = began
            self._pts = max(began.samples_since(self._zero), self._pts + 1)
            given.append(
                AudioFrame(
                    camera=self._camera,
                    codec=audio.codec,
                    data=data,
                    config=aac.config(rate, channels) if audio.codec is Codec.AAC else None,
                    pts=self._pts,
                    sample_rate=rate,
                    channels=channels,
                    time=began.time,
                    received_at=now,
                    lost=0,
                )
            )
        self._clock = clock
        return given

    def drop(self, reason: str, count: int) -> None:
        """Count frames that are not given."""
        if count:
            self.dropped[reason] = self.dropped.get(reason, 0) + count


@dataclass(frozen=True, slots=True)
class _Clock:
    """A count of samples from a time on: sums of times would lose a little with every frame."""

    anchor: datetime
    samples: int = 0
    rate: int = 0

    @property
    def time(self) -> datetime:
        return self.anchor + timedelta(seconds=self.samples / self.rate if self.rate else 0.0)

    def at(self, rate: int) -> _Clock:
        """Go on in another rate."""
        return self if self.rate == rate else _Clock(self.time, 0, rate)

    def after(self, samples: int) -> _Clock:
        """Go on by so many samples."""
        return replace(self, samples=self.samples + samples)

    def samples_since(self, zero: _Clock) -> int:
        """Return the samples since another clock's time, at this one's rate."""
        seconds = (self.anchor - zero.time).total_seconds()
        return round(seconds * self.rate) + self.samples


def _measured(answers: Sequence[RecordedAudio], before: int | None) -> int:
    """Return the rate of raw AAC by the frames in answers and their times; `before`: what it was so far.

    Stated times are whole seconds, so two of them tell a duration to a second at best. Of the rates that can be, it
    is the one that makes an answer about a second long.
    """
    edges = [(0, answers[0].start)]
    for answer, following in zip(answers, (*answers[1:], None), strict=True):
        end = following.start if following is not None else answer.end
        edges.append((edges[-1][0] + len(answer.blocks), end))
    fitting = [rate for rate in aac.SAMPLE_RATES if _can_be(rate, edges)]
    blocks = sorted(len(answer.blocks) for answer in answers)
    usual = blocks[len(blocks) // 2] * aac.SAMPLES_PER_FRAME
    if before in fitting and (len(answers) < MEASURED or abs(before / usual - 1) <= OTHER):
        return before
    return min(fitting, key=lambda rate: abs(log(rate / usual)), default=before or DEFAULT_AAC_RATE)


def _can_be(rate: int, edges: Sequence[tuple[int, datetime]]) -> bool:
    """Whether frames at a rate can lie between times that are stated in whole seconds.

    An end may be the last frame's, not the one behind it.
    """
    frame = aac.SAMPLES_PER_FRAME / rate
    for (first, since), (last, until) in combinations(edges, 2):
        stated = (until - since).total_seconds()
        if abs((last - first) * frame - stated) > 1 + frame:
            return False
    return True
