"""The pictures of one camera: GOPs as the recorder gives them -> GOPs to give to the caller. Pure.

What is given once is not given again: camera.cgi asked too soon, or at the end of the recording, may repeat a GOP,
and after the recorder was told a position again it begins near it, not at it (3.2.1). Pictures outside the time asked
for, and an IDR that is there for decoding only, come marked ``shown=False``, once each time decoding starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise

from nvrclient.codec import annexb
from nvrclient.codec.jpeg import parse_live_jpeg
from nvrclient.codec.parameter_sets import video_format
from nvrclient.codec.random_access import SET_TYPES, has_slice, is_key, is_leading
from nvrclient.container.gop import RecordedGop, RecordedPicture
from nvrclient.errors import ProtocolError
from nvrclient.frames import Codec, Discontinuity, Gop, NalUnit, VideoFormat, VideoFrame
from nvrclient.playback.motion import Motion

CLOCK_RATE = 90_000

GAP = 0.5
"""Seconds without a picture that count as a gap in the recording, at least; and always three picture intervals."""

UNKNOWN_GAP = 3.0
"""The same while the picture interval is not known."""

MAX_HELD = 32 << 20
"""Bytes of GOPs held back until one is found that decoding can start at."""

HIDE = 2
"""TLV 0x0029: the IDR in front is for decoding only."""


@dataclass(slots=True)
class Group:
    """A GOP to give, and what is told before it.

    ``jump``: its time does not go on from the one before. ``apart``: another may lie between them.
    """

    gop: Gop
    before: list[Discontinuity]
    jump: bool
    apart: bool


@dataclass(slots=True)
class Taken:
    """What became of one GOP.

    ``groups`` can be given now. ``progress``: it brought something not seen before, if only for later.
    """

    groups: list[Group] = field(default_factory=list[Group])
    progress: bool = False


@dataclass(slots=True)
class _Picture:
    """A picture on its way."""

    recorded: RecordedPicture
    nal_units: tuple[tuple[int, bytes], ...]  # type and data
    key: bool
    leading: bool
    hidden: bool
    format: VideoFormat | None = None  # of a JPEG

    @property
    def time(self) -> datetime:
        return self.recorded.time


class PictureTrack:
    """See the module. `aim` it first, and again whenever the playback moves; `take` each GOP that comes.

    ``received`` counts the pictures that came, ``dropped`` those not given, by reason.
    """

    def __init__(self, camera: int) -> None:
        self.format: VideoFormat | None = None
        self.codec: Codec | None = None
        self.received = 0
        self.dropped: dict[str, int] = {}
        self.reached: datetime | None = (
            None  # up to here, in the direction of motion, all was taken
        )
        self.interval = 0.0  # seconds between pictures; 0: not known
        self._camera = camera
        self._motion = Motion.FORWARD
        self._aim: datetime | None = None
        self._hides = True
        self._cold = True  # decoding has to start with the next picture given
        self._last_key: tuple[datetime, bytes] | None = None
        self._taken: tuple[datetime, datetime] | None = None  # start and end of the GOP taken last
        self._seen: tuple[datetime, datetime] | None = None  # of the one that came last
        self._held: list[tuple[RecordedGop, list[_Picture]]] = []
        self._held_bytes = 0
        self._sets: dict[int, tuple[bytes, ...]] = {}
        self._zero: datetime | None = None  # where pts is 0
        self._last_pts: int | None = None
        self._last_time: datetime | None = None  # of the picture given last
        self._damaged = 0  # answers since then
        self._is_apart = False  # of the GOP taken last
        self._untold: list[Discontinuity] = []  # until a picture is given

    def aim(
        self,
        motion: Motion,
        *,
        behind: Gop | None = None,
        at: datetime | None = None,
        hides: bool = True,
    ) -> None:
        """Expect GOPs in this motion: those that follow the GOP `behind`; without one, those from the time `at` on.

        `hides`: pictures on the other side of `at` are marked ``shown=False``.
        """
        self._drop_held("moved")
        self._motion = motion
        self._aim = None if behind is not None else at
        self._hides = hides
        self._damaged = 0
        self._untold = []
        self._seen = None
        if behind is None:
            self.reached = self._taken = None
        else:
            times = [
                frame.time for frame in behind.frames if frame.time and not only_decodes(frame)
            ]
            self.reached = min(times) if motion.is_backward else max(times)
            self._taken = behind.start, behind.end
        if behind is None or motion is not Motion.FORWARD:
            self._cold = True
            self._last_pts = None

    @property
    def is_backward(self) -> bool:
        """Whether GOPs are expected in descending order."""
        return self._motion.is_backward

    def damage(self) -> None:
        """An answer could not be read: what it held is missing."""
        self._damaged += 1
        self._cold = True

    def finish(self) -> Discontinuity | None:
        """No more GOPs come: return what is to be told of answers that could not be read, if no picture followed."""
        backward = self._motion.is_backward
        self._drop_held("waiting for key frame" if backward else "before start")
        damaged, self._damaged = self._damaged, 0
        return Discontinuity("loss", since=self._last_time, lost=damaged) if damaged else None

    @property
    def held(self) -> int:
        """Pictures held back until one is found that decoding can start at."""
        return sum(len(pictures) for _, pictures in self._held)

    def misses(self, gop: RecordedGop) -> bool:
        """Whether a GOP neither holds the time aimed at nor joins what was taken: something may lie between.

        The recorder begins near the time it was told, not at it (3.2.1).
        """
        times = [picture.time for picture in gop.pictures[gop.info.idr_display == HIDE :]]
        if not times or self._motion.is_fast:
            return False
        between = self._between(times[0], max(times))
        if between is not None:
            interval = max(_interval(times, gop.info.frame_rate), self.interval)
            return between > _joint(interval)
        if self._aim is None:
            return False
        return max(times) < self._aim if self._motion.is_backward else times[0] > self._aim

    def take(self, gop: RecordedGop, now: float) -> Taken:
        """Take a GOP that came at monotonic time `now`."""
        self.received += len(gop.pictures)
        pictures = self._read(gop)
        shown = [picture for picture in pictures if not picture.hidden]
        taken = Taken()
        seen, self._seen = self._seen, (gop.start, gop.end)
        if not shown:
            self._drop("for decoding only", len(pictures))
            return taken
        if self.codec is not None and gop.codec is not self.codec:
            self._sets = {}
        new = self._new(gop, shown)
        if not new:
            self._drop("repeated", len(shown))
            self._drop("for decoding only", len(pictures) - len(shown))
            return taken
        self._drop("repeated", len(shown) - len(new))
        first, last = new[0].time, max(picture.time for picture in new)
        taken.progress = seen != self._seen
        interval = _interval([picture.time for picture in shown], gop.info.frame_rate)
        between = self._between(first, last)
        known = max(interval, self.interval)
        gap = between is not None and between > _gap_limit(known)
        self._is_apart = between is not None and between > _joint(known)
        self._untold += self._told_before(first, last, gap=gap)
        if not interval and between is not None and not (gap and self.interval):
            interval = abs(between)
        self.interval = interval or self.interval
        self.reached = first if self._motion.is_backward else last
        self._taken = gop.start, gop.end
        pictures = [picture for picture in pictures if picture.hidden] + new
        for chain in self._decodable(gop, pictures):
            group = self._group(*chain, now)
            if group is not None:
                group.before = self._told_now(group.gop) + group.before
                taken.groups.append(group)
        return taken

    # What is new

    def _new(self, gop: RecordedGop, shown: list[_Picture]) -> list[_Picture]:
        """Return the pictures not taken yet."""
        reached = self.reached
        if self._motion.is_backward:
            limit = reached or self._aim
            if limit is None or (reached is None and shown[0].time <= limit):
                return shown
            return [picture for picture in shown if picture.time < limit]
        if reached is None:
            if self._motion.is_fast and self._aim is not None:
                return shown if shown[-1].time >= self._aim else []
            return shown
        if self._motion.is_fast:
            return shown if shown[0].time > reached else []
        if shown[0].time == reached and (gop.start, gop.end) != self._taken:
            return shown  # two pictures of one hundredth of a second
        return [picture for picture in shown if picture.time > reached]

    def _between(self, first: datetime, last: datetime) -> float | None:
        """Return the seconds between what was taken and what comes; None in fast motion and at the beginning."""
        if self.reached is None or self._motion.is_fast:
            return None
        between = self.reached - last if self._motion.is_backward else first - self.reached
        return between.total_seconds()

    def _told_before(self, first: datetime, last: datetime, *, gap: bool) -> list[Discontinuity]:
        """Return what is to be told of what is missing before these pictures."""
        if self._damaged:
            damaged, self._damaged = self._damaged, 0
            return [Discontinuity("loss", since=self._last_time, until=first, lost=damaged)]
        reached = self.reached
        if not gap or reached is None:
            return []
        if self._aim is not None and not self._motion.is_backward and reached < self._aim:
            return []  # before the part asked for
        return [Discontinuity("gap", reached, last if self._motion.is_backward else first)]

    def _told_now(self, gop: Gop) -> list[Discontinuity]:
        """Return what is to be told before this GOP, the next that is given."""
        untold, self._untold = self._untold, []
        until = next((frame.time for frame in gop.frames if frame.shown), gop.end)
        return [replace(told, until=until) if told.reason == "loss" else told for told in untold]

    # What can be decoded

    def _decodable(
        self, gop: RecordedGop, pictures: list[_Picture]
    ) -> list[tuple[RecordedGop, list[_Picture]]]:
        """Return the GOPs that can be given now: this one, and those it had to wait for or that waited for it."""
        has_key = any(picture.key and self._has_sets(picture, gop.codec) for picture in pictures)
        if self._motion is Motion.FORWARD:
            last = max(picture.time for picture in pictures)
            # A GOP's end is its last picture's time, or when the next one begins.
            if self._aim is not None and last < self._aim and gop.end <= self._aim:
                if has_key:
                    self._drop_held("before start")
                if has_key or self._held:
                    self._hold(gop, pictures)
                else:
                    self._drop("waiting for key frame", len(pictures))
                return []
            if has_key:
                self._drop_held("before start")
            return [*self._release(), (gop, pictures)]
        if has_key:
            return [(gop, pictures), *reversed(self._release())]
        if self._motion is Motion.REVERSE:
            self._hold(gop, pictures)
        else:
            self._drop("waiting for key frame", len(pictures))
        return []

    def _hold(self, gop: RecordedGop, pictures: list[_Picture]) -> None:
        self._held.append((gop, pictures))
        self._held_bytes += sum(len(picture.recorded.data) for picture in pictures)
        if self._held_bytes > MAX_HELD:
            self._drop_held("waiting for key frame")

    def _release(self) -> list[tuple[RecordedGop, list[_Picture]]]:
        held, self._held, self._held_bytes = self._held, [], 0
        return held

    def _drop_held(self, reason: str) -> None:
        self._drop(reason, sum(len(pictures) for _, pictures in self._release()))

    def _has_sets(self, picture: _Picture, codec: Codec) -> bool:
        if codec is Codec.JPEG:
            return True
        present = {kind for kind, _ in picture.nal_units}
        return all(kind in present or kind in self._sets for kind in SET_TYPES[codec])

    # Frames

    def _read(self, gop: RecordedGop) -> list[_Picture]:
        """Look into each picture of a GOP; one that is none is dropped and counted."""
        hides = gop.info.idr_display == HIDE
        read: list[_Picture] = []
        for recorded in gop.pictures:
            if gop.codec is Codec.JPEG:
                try:
                    jpeg = parse_live_jpeg(recorded.data)
                except ProtocolError:
                    self._drop("malformed", 1)
                    continue
                size = VideoFormat(Codec.JPEG, jpeg.width, jpeg.height, "jpeg")
                read.append(_Picture(recorded, (), True, False, False, size))
                continue
            mask, shift = (0x1F, 0) if gop.codec is Codec.H264 else (0x3F, 1)
            units = [(data[0] >> shift & mask, data) for data in annexb.split(recorded.data)]
            types = {kind for kind, _ in units}
            if not has_slice(types, gop.codec):
                self._drop("malformed", 1)
                continue
            key = is_key(types, gop.codec)
            hidden = hides and key and not read
            leading = is_leading(types, gop.codec)
            read.append(_Picture(recorded, tuple(units), key, leading, hidden))
        return read

    def _group(self, gop: RecordedGop, pictures: list[_Picture], now: float) -> Group | None:
        """Make the frames of a GOP; None where none of them can be given."""
        if self._motion is not Motion.FORWARD:  # no GOP goes on from the one before
            self._cold = self._cold or any(picture.key for picture in pictures)
            self._last_pts = None
        self.codec = gop.codec
        before: list[Discontinuity] = []
        frames: list[VideoFrame] = []
        after_cra = False
        for picture in pictures:
            if self._cold and not (picture.key and self._has_sets(picture, gop.codec)):
                self._drop("waiting for key frame", 1)
                continue
            if picture.leading and after_cra:
                self._drop("leading", 1)
                continue
            if picture.key:
                key = picture.time, picture.recorded.data
                if picture.hidden and not self._cold and key == self._last_key:
                    self._drop("for decoding only", 1)
                    continue
                after_cra = self._cold and gop.codec is Codec.H265
                self._last_key = key
            self._cold = False
            if told := self._told_format(picture, gop.codec):
                before.append(told)
            frames.append(self._frame(picture, gop.codec, now))
        if not frames:
            return None
        return Group(
            Gop(self._camera, gop.codec, gop.start, gop.end, tuple(frames), gop.info),
            before,
            self._motion is not Motion.FORWARD or bool(self._untold),
            self._is_apart,
        )

    def _frame(self, picture: _Picture, codec: Codec, now: float) -> VideoFrame:
        time = picture.time
        if self._zero is None:
            self._zero = time
        pts = round((time - self._zero).total_seconds() * CLOCK_RATE)
        if self._last_pts is not None and pts <= self._last_pts:
            pts = self._last_pts + 1
        self._last_pts = pts
        self._last_time = time
        stamp = pts & 0xFFFFFFFF
        return VideoFrame(
            camera=self._camera,
            codec=codec,
            nal_units=tuple(NalUnit(data, codec, kind, stamp) for kind, data in picture.nal_units),
            keyframe=picture.key,
            shown=not picture.hidden and self._is_asked_for(time),
            pts=pts,
            clock_rate=CLOCK_RATE,
            time=time,
            received_at=now,
            lost=0,
            info=picture.recorded.info,
            jpeg=picture.recorded.data if codec is Codec.JPEG else b"",
        )

    def _is_asked_for(self, time: datetime) -> bool:
        if self._aim is None or not self._hides:
            return True
        return time <= self._aim if self._motion.is_backward else time >= self._aim

    def _told_format(self, picture: _Picture, codec: Codec) -> Discontinuity | None:
        """Take the picture's parameter sets; return what is to be told if the format changes with it."""
        if codec is Codec.JPEG:
            found = picture.format
        else:
            brought: dict[int, tuple[bytes, ...]] = {}
            for kind, data in picture.nal_units:
                if kind in SET_TYPES[codec] and data not in brought.get(kind, ()):
                    brought[kind] = (*brought.get(kind, ()), data)
            if all(self._sets.get(kind) == sets for kind, sets in brought.items()):
                return None
            self._sets.update(brought)
            found = video_format(
                codec, [data for kind in SET_TYPES[codec] for data in self._sets.get(kind, ())]
            )
        before, self.format = self.format, found
        if before is None or before == found:
            return None
        return Discontinuity("format", since=self._last_time, until=picture.time)

    def _drop(self, reason: str, count: int) -> None:
        if count:
            self.dropped[reason] = self.dropped.get(reason, 0) + count


def _interval(times: Sequence[datetime], rate: float | None) -> float:
    """Return the seconds between pictures, as measured or as the rate set says; 0 where neither is known."""
    between = sorted((b - a).total_seconds() for a, b in pairwise(times))
    measured = between[len(between) // 2] if between else 0.0
    return max(measured, 1 / rate if rate else 0.0)


def _gap_limit(interval: float) -> float:
    """Return the seconds between pictures that are a gap."""
    return max(GAP, 3 * interval) if interval else UNKNOWN_GAP


def _joint(interval: float) -> float:
    """Return the seconds between pictures beyond which another may lie between them."""
    return 1.5 * interval or UNKNOWN_GAP


def only_decodes(frame: VideoFrame) -> bool:
    """Whether a picture is never shown; one that is hidden since it lies before the start can be stepped to."""
    return frame.keyframe and not frame.shown and frame.info.idr_display == HIDE
