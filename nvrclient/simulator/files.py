"""The files of a download (section 6.3): what they are called and what is in them, made as it is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from nvrclient.frames import Codec
from nvrclient.simulator.clips import loaded
from nvrclient.simulator.mp4 import mp4_pieces
from nvrclient.simulator.recording import AudioTrack, VideoTrack
from nvrclient.simulator.tape import Tape

if TYPE_CHECKING:
    from nvrclient.simulator.download_readings import DownloadReadings
    from nvrclient.simulator.recording import RecordedGop, RecordedSound, Recording, Segment

__all__ = ["NotAsMp4Error", "RecordedFile", "recorded_files"]

_BLOCK = 1 << 18


class NotAsMp4Error(Exception):
    """What was recorded is JPEG, which is status 2."""


@dataclass(frozen=True, slots=True)
class RecordedFile:
    """A file as a client should end up with it, under the names that the recorder sends.

    ``pieces`` makes what is in it, anew each time, a piece at a time.
    """

    name: str | bytes
    temp_name: str | bytes
    pieces: Callable[[], Iterator[bytes]] = field(repr=False)
    known_size: int | None = field(default=None, repr=False)

    @property
    def size(self) -> int:
        """How long it is; what is in it may have to be made to be counted."""
        return sum(map(len, self.pieces())) if self.known_size is None else self.known_size

    @property
    def data(self) -> bytes:
        """All that is in it."""
        return b"".join(self.pieces())


class _Stretch(NamedTuple):
    """Some GOPs of one segment."""

    segment: Segment
    tape: Tape[RecordedGop]
    numbers: range

    def gops(self) -> Iterator[RecordedGop]:
        return map(self.tape.item, self.numbers)

    def sounds(self) -> Iterator[RecordedSound]:
        if self.segment.audio is None:
            return iter(())
        track = AudioTrack(self.segment, loaded(self.segment.audio))
        begins = self.tape.begins(self.numbers[0])
        until = self.tape.item(self.numbers[-1]).until
        tape = Tape([(track, self.segment.ends)])
        # Whatever the clock says: a second of sound that has begun is there.
        return map(tape.item, _numbers(tape, begins, until, until + 100))


def recorded_files(
    recording: Recording,
    camera: int,
    start: int,
    end: int,
    kind: str,
    readings: DownloadReadings,
    now: int,
) -> list[RecordedFile]:
    """List the files of one request, of what was recorded by ``now``; times in hundredths of a second.

    In them are the GOPs that begin from ``start`` on and before ``end``. Raises ``NotAsMp4Error``.
    """
    seconds = None if kind == "LIST" else readings.file_seconds
    stretches = list(_stretches(recording, start, end, seconds, now))
    if kind.startswith("MP4") and any(_clip_codec(s.segment) is Codec.JPEG for s in stretches):
        raise NotAsMp4Error
    files: list[RecordedFile] = []
    for number, stretch in enumerate(stretches, 1):
        stamped = stretches[0] if readings.one_stamp else stretch
        stem = f"{camera:03}_{_stamp(stamped, readings)}_{number * 1000}_7f_00_01"
        for suffix, recorded in _contents(stretch, kind).items():
            name = f"{stem}.{suffix}"
            pieces, size = _replaced(name, readings) or (recorded, None)
            files.append(RecordedFile(name, f"{stem}.tmp", pieces, size))
    return files


def _replaced(
    name: str, readings: DownloadReadings
) -> tuple[Callable[[], Iterator[bytes]], int] | None:
    """Say what a file holds instead of what was recorded, and how long that is."""
    contents, size = readings.contents, readings.file_size
    if contents is not None:
        return lambda: iter((contents,)), len(contents)
    return None if size is None else (partial(_generated, size, name), size)


def _clip_codec(segment: Segment) -> Codec:
    return loaded(segment.video).codec


def _stretches(
    recording: Recording, start: int, end: int, file_seconds: float | None, now: int
) -> Iterator[_Stretch]:
    step = round(file_seconds * 100) if file_seconds else end - start
    for segment in recording.segments:
        # Answers of camera.cgi that part a GOP are nothing to a file.
        track = VideoTrack(replace(segment, regroup=None))
        tape = Tape([(track, segment.ends)])
        for begins in range(start, end, step):
            numbers = _numbers(tape, begins, min(begins + step, end), now)
            if numbers:
                yield _Stretch(segment, tape, numbers)


def _numbers(
    tape: Tape[RecordedGop] | Tape[RecordedSound], start: int, end: int, now: int
) -> range:
    """Number the items that begin from ``start`` on and before ``end``."""
    return range(tape.last_begun(start - 1, now) + 1, tape.last_begun(end - 1, now) + 1)


def _contents(stretch: _Stretch, kind: str) -> dict[str, Callable[[], Iterator[bytes]]]:
    """Say which files are made of a stretch, by their suffix."""
    clip = loaded(stretch.segment.video)
    audio = None if stretch.segment.audio is None else loaded(stretch.segment.audio).codec
    if kind.startswith("MP4"):
        with_audio = kind == "MP4" and audio is Codec.AAC
        return {
            "mp4": lambda: mp4_pieces(clip, stretch.gops(), stretch.sounds() if with_audio else ())
        }
    if kind == "LIST":
        return {"n3n": partial(_list, stretch)}
    files: dict[str, Callable[[], Iterator[bytes]]] = {"n3r": lambda: _pictures(stretch)}
    if kind == "N3" and audio is not None:
        files["n3a"] = lambda: (sound.data for sound in stretch.sounds())
    return files


def _pictures(stretch: _Stretch) -> Iterator[bytes]:
    """Write pictures one behind the other; what i-PRO's own formats look like inside nobody here knows."""
    for gop in stretch.gops():
        yield b"".join(picture.data for picture in gop.pictures)


def _list(stretch: _Stretch) -> Iterator[bytes]:
    for gop in stretch.gops():
        yield f"{gop.start:%Y-%m-%dT%H:%M:%S}Z {gop.codec} {len(gop.pictures)}\r\n".encode("ascii")


def _stamp(stretch: _Stretch, readings: DownloadReadings) -> str:
    """Write when a file begins, in local time."""
    segment = stretch.segment
    moment = datetime.fromtimestamp(stretch.tape.begins(stretch.numbers[0]) // 100, UTC)
    if readings.zone is not None:
        local = moment.astimezone(readings.zone)
    else:
        local = moment.astimezone(segment.zone) + timedelta(hours=segment.summer_time)
    return f"{local:%y%m%d%H%M%S}"


@cache
def _noise() -> bytes:
    return Random(63).randbytes(_BLOCK - 8)  # noqa: S311 - repeatable on purpose


def _generated(size: int, name: str) -> Iterator[bytes]:
    """Make so many bytes: blocks that tell which file and where they are, so that none can be missed."""
    first = Random(name).getrandbits(32) << 32  # noqa: S311
    for number in range(-(-size // _BLOCK)):
        block = (first + number).to_bytes(8, "big") + _noise()
        yield block[: size - number * _BLOCK]
