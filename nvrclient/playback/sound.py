"""The audio of one camera: answers of playaudio.cgi -> audio frames with their times. Pure.

The recorder tells the time of an answer in whole seconds (3.3.2). So frames are timed by counting samples from the
first answer on; where the count and an answer disagree by more than that can explain, the answer is right: something
is missing in between.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from nvrclient.codec import aac
from nvrclient.container.audio import RecordedAudio
from nvrclient.frames import AudioFrame, Codec, Discontinuity

SLACK = 1.5
"""Seconds by which the count of samples may differ from an answer's whole seconds."""

DEFAULT_AAC_RATE = 48_000

MEASURED = 3
"""Answers by which the rate of raw AAC is found out, at most: whole seconds say little about one."""

TOLERANCE = 0.02
"""By how much a measured rate may miss one of AAC's table, which are 8 % apart; after `MEASURED` answers twice that."""

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
        self._held: list[tuple[RecordedAudio, float]] = []
        self._other_rate: tuple[int, int] = (0, 0)  # a rate measured since, and how often in a row
        self._last: tuple[datetime, datetime] | None = None
        self._aim: datetime | None = None
        self._format: tuple[Codec, int, int] | None = None
        self._since: datetime | None = None  # the end of the frame given last
        self._zero: datetime | None = None
        self._pts = -1  # of the frame given last
        self._clock: datetime | None = None  # where the count of samples stands
        self._clocks: dict[tuple[datetime, datetime, int], datetime] = {}  # where answers began

    def aim(self, at: datetime | None) -> None:
        """Expect audio from a time on, or from wherever the recorder begins."""
        self._drop("moved", self.held)
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
            self._drop("repeated", len(audio.blocks))
            return None
        self._last = audio.start, audio.end
        self.until = max(audio.end, audio.start)
        if audio.codec is not Codec.AAC:
            return [*self.finish(), *self._frames(audio, now)]
        if self._rate is None:
            self._held.append((audio, now))
            self._rate = self._measured()
            return self.finish() if self._rate is not None else []
        self._watch_rate(audio)
        return self._frames(audio, now)

    def finish(self) -> list[AudioFrame | Discontinuity]:
        """Return what was held back until the rate of AAC is known, with the best guess."""
        if not self._held:
            return []
        if self._rate is None:
            self._rate = self._measured(last=True) or DEFAULT_AAC_RATE
        held, self._held = self._held, []
        return [frame for audio, now in held for frame in self._frames(audio, now)]

    def _measured(self, *, last: bool = False) -> int | None:
        """Return the rate of AAC by what is held, None while it is not sure."""
        if len(self._held) < 2 and not last:
            return None
        first = self._held[0][0].start
        blocks = sum(len(audio.blocks) for audio, _ in self._held)
        newest = self._held[-1][0]
        by_ends = _rate(blocks, first, newest.end)
        by_starts = _rate(blocks - len(newest.blocks), first, newest.start)
        tolerance = 2 * TOLERANCE if last or len(self._held) >= MEASURED else TOLERANCE
        found = [aac.nearest_rate(rate, tolerance) for rate in (by_ends, by_starts) if rate]
        if len(found) == 2 and found[0] == found[1] and found[0]:
            return found[0]
        if last or len(self._held) >= MEASURED:
            return next((rate for rate in found if rate), DEFAULT_AAC_RATE)
        return None

    def _watch_rate(self, audio: RecordedAudio) -> None:
        """The rate may change in a recording: it has when `MEASURED` answers in a row say the same other one."""
        rate = aac.nearest_rate(_rate(len(audio.blocks), audio.start, audio.end), TOLERANCE)
        other, times = self._other_rate
        if self._asked_rate is not None or rate is None or rate == self._rate:
            self._other_rate = (0, 0)
        elif rate != other:
            self._other_rate = (rate, 1)
        elif times + 1 < MEASURED:
            self._other_rate = (rate, times + 1)
        else:
            self._rate, self._other_rate = rate, (0, 0)

    def _frames(self, audio: RecordedAudio, now: float) -> list[AudioFrame | Discontinuity]:
        key = audio.start, audio.end, len(audio.blocks)
        clock = self._clock or self._clocks.get(key)
        if clock is None or abs((clock - audio.start).total_seconds()) > SLACK:
            clock = audio.start
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
            time, clock = clock, clock + timedelta(seconds=samples / rate)
            if self._aim is not None and clock <= self._aim + _ROUNDING:
                self._drop("before start", 1)
                continue
            shape = audio.codec, rate, channels
            if self._format not in {None, shape}:
                given.append(Discontinuity("format", since=self._since, until=time))
                self._pts = round(self._pts * rate / self._format[1]) if self._format else -1
            self._format, self._since = shape, clock
            if self._zero is None:
                self._zero = time
            self._pts = max(round((time - self._zero).total_seconds() * rate), self._pts + 1)
            given.append(
                AudioFrame(
                    camera=self._camera,
                    codec=audio.codec,
                    data=data,
                    config=aac.config(rate, channels) if audio.codec is Codec.AAC else None,
                    pts=self._pts,
                    sample_rate=rate,
                    channels=channels,
                    time=time,
                    received_at=now,
                    lost=0,
                )
            )
        self._clock = clock
        return given

    def _drop(self, reason: str, count: int) -> None:
        if count:
            self.dropped[reason] = self.dropped.get(reason, 0) + count


def _rate(blocks: int, start: datetime, end: datetime) -> float:
    """Return the samples a second of AAC blocks between two times; 0 where they tell nothing."""
    seconds = (end - start).total_seconds()
    return blocks * aac.SAMPLES_PER_FRAME / seconds if seconds > 0 else 0.0
