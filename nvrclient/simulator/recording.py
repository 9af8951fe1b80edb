"""What a camera has recorded: hours of pictures and sound, made from clips the moment they are asked for.

Times are whole hundredths of a second since the Unix epoch, the finest the wire can say; ``Unit.time``,
``start`` and ``end`` give the same as datetimes. Nothing here is the wire's: a test compares what a client
gave with what ``Recording.gops()`` and ``Recording.sounds()`` say was recorded.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from nvrclient.simulator.clips import Clip, loaded
from nvrclient.simulator.tape import Tape, whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nvrclient.frames import Codec

__all__ = [
    "RecordedGop",
    "RecordedSound",
    "Recording",
    "Regroup",
    "Segment",
    "Unit",
    "default_recording",
    "hundredths",
]


def hundredths(time: float | datetime) -> int:
    """Give a time in hundredths of a second since the Unix epoch, rounded."""
    return round((time.timestamp() if isinstance(time, datetime) else time) * 100)


def _moment(time: int) -> datetime:
    return datetime.fromtimestamp(time // 100, UTC) + timedelta(milliseconds=time % 100 * 10)


@dataclass(frozen=True, slots=True)
class Unit:
    """A picture (Annex B behind four-byte start codes, or a JPEG file) or a piece of sound, and when it began."""

    at: int
    data: bytes = field(repr=False)

    @property
    def time(self) -> datetime:
        """When it began, aware."""
        return _moment(self.at)


@dataclass(frozen=True, slots=True)
class RecordedGop:
    """What one answer of camera.cgi brings: a group of pictures, or one JPEG.

    | field | meaning |
    |---|---|
    | pictures | in recording order, the hidden ones in front |
    | until | when the next one would begin, gap or not |
    | fps, zone, summer_time | as recorded |
    | hidden | how many pictures at the front are there for decoding only |
    | long_term, idr_display | what TLVs 0x0028 and 0x0029 say |
    """

    codec: Codec
    pictures: tuple[Unit, ...]
    until: int
    fps: float = 15
    zone: timezone = UTC
    summer_time: bool = False
    hidden: int = 0
    long_term: int = 0
    idr_display: int = 0

    @property
    def begins(self) -> int:
        """When the first picture to show was taken."""
        return self.pictures[self.hidden].at

    @property
    def start(self) -> datetime:
        """When the first picture to show was taken, aware."""
        return _moment(self.begins)

    @property
    def end(self) -> datetime:
        """When the last picture was taken, aware."""
        return self.pictures[-1].time

    def __repr__(self) -> str:
        return f"<RecordedGop {self.codec} {self.start:%F %T}.{self.begins % 100:02} {len(self.pictures)} pictures>"

    @property
    def shown(self) -> tuple[Unit, ...]:
        """The pictures to show."""
        return self.pictures[self.hidden :]

    def without_hidden(self) -> RecordedGop:
        """Leave out what is there for decoding only."""
        if not self.hidden:
            return self
        return replace(self, pictures=self.shown, hidden=0, idr_display=0)


@dataclass(frozen=True, slots=True)
class RecordedSound:
    """What one answer of playaudio.cgi brings: the AAC frames, or pieces of samples, that begin in one second."""

    codec: Codec
    pieces: tuple[Unit, ...]
    begins: int
    until: int
    sample_rate: int = 8000
    channels: int = 1
    zone: timezone = UTC
    summer_time: bool = False

    @property
    def start(self) -> datetime:
        """When it begins, aware."""
        return _moment(self.begins)

    @property
    def end(self) -> datetime:
        """When the next one begins, aware."""
        return _moment(self.until)

    @property
    def data(self) -> bytes:
        """All of it."""
        return b"".join(piece.data for piece in self.pieces)

    def __repr__(self) -> str:
        return f"<RecordedSound {self.codec} {self.start:%F %T}.{self.begins % 100:02} {len(self.pieces)} pieces>"


@dataclass(frozen=True, slots=True)
class Regroup:
    """Cut each encoded GOP into answers of so many pictures, as of a stream with long-term reference P.

    With ``hidden_idr`` the GOP's IDR stands, hidden, in front of every answer but its own; without it the
    later answers have none. Either way the pictures decode in order, each given once.
    """

    pictures: int
    hidden_idr: bool = True


@dataclass(frozen=True)
class Segment:
    """A stretch without a gap: clips over and over, from ``start`` (Unix seconds, exact to 10 ms).

    | field | meaning |
    |---|---|
    | video, audio | clips, as such or by name |
    | duration, gops | its length in seconds, or in answers of camera.cgi; with neither it grows while the recorder's clock runs |
    | fps | pictures a second, where not the clip's |
    | zone, summer_time | what its pictures say of the zone |
    | regroup | how encoded GOPs become answers, where not one to one |

    Only what is whole is recorded: a GOP or second of sound that would end behind the segment's end is not.
    """

    start: float
    video: Clip | str
    audio: Clip | str | None = None
    duration: float | None = None
    gops: int | None = None
    fps: float | None = None
    zone: timezone = UTC
    summer_time: bool = False
    regroup: Regroup | None = None

    @property
    def grows(self) -> bool:
        """Whether it has no end yet."""
        return self.duration is None and self.gops is None

    @cached_property
    def begins(self) -> int:
        """When it begins."""
        return hundredths(self.start)

    @cached_property
    def ends(self) -> int | None:
        """When it ends."""
        if self.duration is not None:
            return self.begins + hundredths(self.duration)
        return None if self.gops is None else VideoTrack(self).begins(self.gops)


class VideoTrack:
    """The pictures of one segment, an answer of camera.cgi each."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.clip = clip = loaded(segment.video)
        if not clip.codec.is_video or 0 not in clip.keyframes:
            raise ValueError("what is recorded is a clip of pictures that begins with a key frame")
        self._fps = segment.fps or clip.fps
        keys = [*sorted(clip.keyframes), len(clip)]
        # Each answer of the clip: its GOP's first picture, its own first, and the one after its last.
        self._parts: list[tuple[int, int, int]] = []
        for key, end in pairwise(keys):
            size = segment.regroup.pictures if segment.regroup else end - key
            self._parts += [(key, first, min(first + size, end)) for first in range(key, end, size)]

    def _time(self, picture: int) -> int:
        return self.segment.begins + round(picture * 100 / self._fps)

    def begins(self, number: int) -> int:
        """When an answer's first picture to show was taken."""
        loop, part = divmod(number, len(self._parts))
        return self._time(loop * len(self.clip) + self._parts[part][1])

    def count(self, until: int) -> int:
        """Count the answers that end by a time."""
        seconds = max(until - self.segment.begins, 0) / 100
        loops = int(seconds * self._fps / len(self.clip)) + 2
        return whole(self.begins, loops * len(self._parts), until)

    def item(self, number: int) -> RecordedGop:
        """Make an answer's GOP."""
        segment, clip = self.segment, self.clip
        loop, part = divmod(number, len(self._parts))
        key, first, end = self._parts[part]
        indices = list(range(first, end))
        hidden = long_term = idr_display = 0
        if segment.regroup:
            nth = (first - key) // segment.regroup.pictures
            hidden = int(segment.regroup.hidden_idr and nth > 0)
            indices = [key] * hidden + indices
            # Hidden IDR: what follows it leans on it. No IDR: one with, one without such a picture.
            long_term = 0x0011 if hidden or nth % 2 else 0x0010
            idr_display = 2 if hidden else int(nth == 0)
        units = clip.annex_b
        pictures = tuple(Unit(self._time(loop * len(clip) + n), units[n]) for n in indices)
        return RecordedGop(
            clip.codec,
            pictures,
            self.begins(number + 1),
            self._fps,
            segment.zone,
            segment.summer_time,
            hidden,
            long_term,
            idr_display,
        )


class AudioTrack:
    """The sound of one segment, a second each."""

    def __init__(self, segment: Segment, clip: Clip) -> None:
        if clip.codec.is_video:
            raise ValueError("a recording's audio is AAC, G.711 or G.726")
        self.segment, self.clip = segment, clip

    def begins(self, number: int) -> int:
        """When a second begins."""
        return self.segment.begins + 100 * number

    def count(self, until: int) -> int:
        """Count the seconds that end by a time."""
        return max(until - self.segment.begins, 0) // 100

    def item(self, number: int) -> RecordedSound:
        """Make a second of sound."""
        segment, clip = self.segment, self.clip
        rate, samples = clip.sample_rate, clip.samples_per_unit
        first, end = (-(-second * rate // samples) for second in (number, number + 1))
        return RecordedSound(
            clip.codec,
            tuple(
                Unit(segment.begins + n * samples * 100 // rate, clip.units[n % len(clip)])
                for n in range(first, end)
            ),
            self.begins(number),
            self.begins(number + 1),
            rate,
            clip.channels,
            segment.zone,
            segment.summer_time,
        )


@dataclass(frozen=True)
class Recording:
    """Segments in order of time; between them there may be gaps. ``Recording(())`` is a camera never recorded."""

    segments: tuple[Segment, ...]

    def __post_init__(self) -> None:
        for one, other in pairwise(self.segments):
            if one.ends is None or one.ends > other.begins:
                raise ValueError("segments are in order, and only the last one can grow")

    @cached_property
    def video(self) -> Tape[RecordedGop]:
        """The pictures."""
        return Tape([(VideoTrack(segment), segment.ends) for segment in self.segments])

    @cached_property
    def audio(self) -> Tape[RecordedSound]:
        """The sound."""
        return Tape(
            [
                (AudioTrack(segment, loaded(segment.audio)), segment.ends)
                for segment in self.segments
                if segment.audio is not None
            ]
        )

    def gops(
        self, since: float | datetime | None = None, until: float | datetime | None = None
    ) -> Iterator[RecordedGop]:
        """List the GOPs, as camera.cgi brings them, not over at ``since`` and begun before ``until``.

        A GOP is over when the next one would begin. Each end may lie open, the later only of a recording that
        does not grow.
        """
        return self.video.between(_hundredths(since), _hundredths(until))

    def sounds(
        self, since: float | datetime | None = None, until: float | datetime | None = None
    ) -> Iterator[RecordedSound]:
        """List the seconds of sound, as playaudio.cgi brings them, as ``gops()`` does."""
        return self.audio.between(_hundredths(since), _hundredths(until))


def _hundredths(time: float | datetime | None) -> int | None:
    return None if time is None else hundredths(time)


def default_recording(
    video: Clip | str, audio: Clip | str | None, now: float, zone: timezone, summer_time: bool
) -> Recording:
    """Record a camera from four hours ago on, with ten minutes missing two hours ago, and go on recording."""
    begin = now // 1 - 4 * 3600
    first = Segment(begin, video, audio, 6600, zone=zone, summer_time=summer_time)
    return Recording((first, replace(first, start=begin + 7200, duration=None)))
