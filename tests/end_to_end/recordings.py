"""What recorders of the playback tests have recorded, and how tests run through every reading of the specification."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import combinations, pairwise, product
from typing import Any

import nvrclient
from nvrclient import Codec, Playback, Session, StreamStats, VideoFrame
from nvrclient.frames import StreamItem
from nvrclient.simulator import (
    CameraSetup,
    Clip,
    PlaybackReadings,
    Readings,
    RecordedGop,
    Recording,
    Segment,
    SimulatedRecorder,
    Unit,
)
from tests.clock import SimulatedClockLoop
from tests.secrets import PASSWORD

BEGIN = 1_700_006_400
"""Midnight UTC of 2023-11-15: recordings begin here, long before now."""


def at(seconds: float) -> datetime:
    """Return the time so many seconds after `BEGIN`."""
    return datetime.fromtimestamp(BEGIN, UTC) + timedelta(seconds=seconds)


@cache
def brief(name: str, pictures: int = 4, gops: int = 2) -> Clip:
    """Return the beginnings of a clip's first GOPs, at four pictures a second: a GOP of four lasts one."""
    clip = Clip.load(name)
    if clip.codec is Codec.JPEG:
        return Clip.video(clip.codec, clip.units[: pictures * gops], 4, name=name)
    starts = sorted(clip.keyframes)[:gops]
    units = [unit for key in starts for unit in clip.units[key : key + pictures]]
    return Clip.video(clip.codec, units, 4, name=name)


def recorded(
    clip: Clip | str, seconds: float, audio: Clip | str | None = None, **more: Any
) -> Recording:
    """Return a recording without a gap that begins at `BEGIN`."""
    return Recording((Segment(BEGIN, clip, audio, seconds, **more),))


def numbered_gops(seconds: float, **more: Any) -> Recording:
    """Return a recording in GOPs of a second each, of which every picture's time tells which one it is."""
    return recorded(brief("h264"), seconds, **more)


def recorder_of(
    *recordings: Recording, readings: PlaybackReadings | None = None, **options: Any
) -> SimulatedRecorder:
    """Return a recorder whose cameras 1, 2, … have these recordings."""
    return SimulatedRecorder(
        cameras={
            number: CameraSetup("h264", recording=recording)
            for number, recording in enumerate(recordings, 1)
        },
        password=PASSWORD,
        readings=Readings(playback=readings or PlaybackReadings()),
        **options,
    )


@asynccontextmanager
async def playing(recorder: SimulatedRecorder, **options: Any) -> AsyncGenerator[Session]:
    """A session with a simulated recorder that is left without a UID, and no rule of which may be broken."""
    async with (
        recorder,
        nvrclient.connect(recorder.url, recorder.username, PASSWORD, **options) as nvr,
    ):
        yield nvr
        assert recorder.violations == []
    assert recorder.uids == ()


def read_as(recorder: SimulatedRecorder, readings: PlaybackReadings) -> None:
    """Have an open recorder read what the specification leaves open in this way from now on."""
    assert recorder._playback is not None
    recorder._playback.readings = Readings(playback=readings)


def run_many(work: Coroutine[Any, Any, object]) -> None:
    """Run `work` on a simulated clock without asyncio's debug mode, which takes half of the time."""
    with asyncio.Runner(loop_factory=SimulatedClockLoop) as runner:
        runner.run(work)


# What was recorded


def pictures_of(gops: Iterable[RecordedGop]) -> list[Unit]:
    """Return the pictures of GOPs without those for decoding only."""
    return [unit for gop in gops for unit in gop.shown]


def are(frames: Iterable[VideoFrame], units: Iterable[Unit]) -> bool:
    """Whether these are those pictures, byte for byte and at their times, in order, each once."""
    return [(frame.time, frame.data) for frame in frames] == [(u.time, u.data) for u in units]


def seconds_of(frames: Iterable[VideoFrame]) -> list[float]:
    """Return the times of pictures in seconds after `BEGIN`."""
    return [seconds(frame) for frame in frames]


def seconds(frame: VideoFrame) -> float:
    """Return the time of a picture in seconds after `BEGIN`."""
    assert frame.time is not None
    return (frame.time - at(0)).total_seconds()


# What was given


async def rest_of(playback: Playback) -> list[StreamItem]:
    """Return all items up to the end."""
    return [item async for item in playback]


async def take(playback: Playback, count: int) -> list[VideoFrame]:
    """Return the next pictures, hidden ones too."""
    frames: list[VideoFrame] = []
    while len(frames) < count:
        item = await anext(playback)
        if isinstance(item, VideoFrame):
            frames.append(item)
    return frames


def frames_of(items: Iterable[object]) -> list[VideoFrame]:
    """Return the pictures among items."""
    return [item for item in items if isinstance(item, VideoFrame)]


def rises(frames: Sequence[VideoFrame]) -> bool:
    """Whether pts strictly rises."""
    return all(before.pts < after.pts for before, after in pairwise(frames))


def adds_up(stats: StreamStats) -> bool:
    """Whether what was received is what was given, is queued or was dropped."""
    given = stats.frames_delivered + stats.frames_queued
    return stats.frames_received == given + sum(stats.dropped.values())


def sent(recorder: SimulatedRecorder, since: int = 0) -> list[str]:
    """Return what was sent of playback from the request `since` on: PLAYCMD with TIMEF, MASK, or the command's name."""
    told: list[str] = []
    for request in recorder.requests[since:]:
        params = dict(request.params)
        if "PLAYCMD" in params:
            told.append(f"{params['PLAYCMD']} {params['TIMEF']}")
        elif "MASK" in params:
            told.append("MASK")
        elif request.cgi in {"camera.cgi", "playaudio.cgi"}:
            told.append(request.cgi)
    return told


def timef(time: datetime, *, hundredths: bool = False) -> str:
    """Return a time as it stands on the wire."""
    return f"{time:%y%m%d%H%M%S}{time.microsecond // 10_000 if hundredths else 0:02}"


# Every reading


def every(axes: Mapping[str, Sequence[object]]) -> Iterator[dict[str, Any]]:
    """Return the full product of the axes."""
    for values in product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


def covering(axes: Mapping[str, Sequence[object]], strength: int) -> list[dict[str, Any]]:
    """Return rows in which every combination of values of any `strength` axes stands at least once.

    Greedy, and the same in every run.
    """
    names = list(axes)
    chosen = random.Random(strength)
    missing = {
        tuple(zip(some, values, strict=True))
        for some in combinations(range(len(names)), strength)
        for values in product(*(range(len(axes[names[axis]])) for axis in some))
    }
    rows: list[dict[str, Any]] = []
    for first in sorted(missing):
        if first not in missing:
            continue
        fixed = dict(first)
        row = [
            fixed.get(axis, chosen.randrange(len(axes[name]))) for axis, name in enumerate(names)
        ]
        for axis in (axis for axis in range(len(names)) if axis not in fixed):
            gains = [
                _gain(row, axis, value, missing, strength)
                for value in range(len(axes[names[axis]]))
            ]
            row[axis] = gains.index(max(gains))
        missing -= {
            tuple((axis, row[axis]) for axis in some)
            for some in combinations(range(len(names)), strength)
        }
        rows.append({name: axes[name][row[axis]] for axis, name in enumerate(names)})
    return rows


def _gain(
    row: list[int],
    axis: int,
    value: int,
    missing: set[tuple[tuple[int, int], ...]],
    strength: int,
) -> int:
    tried = [*row[:axis], value, *row[axis + 1 :]]
    others = [other for other in range(len(row)) if other != axis]
    return sum(
        tuple((one, tried[one]) for one in sorted((*some, axis))) in missing
        for some in combinations(others, strength - 1)
    )
