"""A recorder that costs little time, and a consumer that notes when a stream was out and when it was back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from unittest import mock

import nvrclient
from nvrclient import Discontinuity, LiveStream, NVRError, Session, VideoFrame
from nvrclient.simulator import Readings, SimulatedRecorder, light_cameras
from tests.clock import SimulatedClockLoop, simulated_clock
from tests.secrets import PASSWORD

GOP = 5.0
"""Seconds from a key frame of the light cameras to the next."""


def light_recorder(cameras: int = 1, **options: object) -> SimulatedRecorder:
    """Make a recorder for tests of hours: a picture a second, on the simulated clock."""
    return SimulatedRecorder(
        cameras=light_cameras(cameras),
        password=PASSWORD,
        clock=simulated_clock().wall,
        readings=Readings(packet_size=1400),
        **options,  # type: ignore[arg-type]
    )


@dataclass(slots=True)
class Gap:
    """An outage as the consumer was told of it: at `told`, and over at `back`, by the loop's clock."""

    told: float
    since: datetime | None
    back: float | None = None
    until: datetime | None = None


class Viewer:
    """Takes everything a stream gives, in a task."""

    def __init__(self, camera: int, stream: LiveStream) -> None:
        self.stream = stream
        self.camera = camera
        self.frames: list[float] = []  # when they came
        self.keyframes: list[float] = []
        self.gaps: list[Gap] = []
        self.error: NVRError | None = None  # that the loop over it ended with
        self.ended_at: float | None = None
        self.task = asyncio.create_task(self._watch())

    @property
    def is_out(self) -> bool:
        """Whether the last that was told is that the stream is out."""
        return bool(self.gaps) and self.gaps[-1].back is None

    def back_after(self, time: float) -> float | None:
        """Return when the last outage that was told by now was over, in seconds after `time`."""
        back = self.gaps[-1].back if self.gaps else None
        return None if back is None else back - time

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async for item in self.stream:
                now = loop.time()
                if isinstance(item, VideoFrame):
                    assert not self.is_out, "a picture while the stream is told to be out"
                    self.frames.append(now)
                    if item.keyframe:
                        self.keyframes.append(now)
                elif isinstance(item, Discontinuity) and item.reason == "reconnect":
                    self._hear(item, now)
        except NVRError as error:
            self.error = error
        finally:
            self.ended_at = loop.time()

    def _hear(self, told: Discontinuity, now: float) -> None:
        if told.until is None:
            assert not self.is_out, "told twice to be out"
            self.gaps.append(Gap(now, told.since))
        else:
            assert self.is_out, "told to be back without having been out"
            self.gaps[-1].back, self.gaps[-1].until = now, told.until


def transport_of(camera: int) -> str:
    """Return how this camera is watched where both ways are mixed."""
    return "udp" if camera % 2 else "http"


def codec_of(camera: int) -> str:
    """Return the codec of a light camera."""
    return "h264" if camera % 2 else "h265"


@asynccontextmanager
async def viewing(
    nvr: Session, cameras: int | Sequence[int], transport: str = "mixed"
) -> AsyncIterator[list[Viewer]]:
    """Watch cameras 1…n; on leaving no viewer has met what it must not."""
    numbers = range(1, cameras + 1) if isinstance(cameras, int) else cameras
    async with AsyncExitStack() as stack:
        viewers: list[Viewer] = []
        for number in numbers:
            way = transport_of(number) if transport == "mixed" else transport
            live = nvr.camera(number).live(codec_of(number), transport=way)  # type: ignore[arg-type]
            viewers.append(Viewer(number, await stack.enter_async_context(live)))
        yield viewers
        for viewer in viewers:
            if viewer.task.done():
                viewer.task.result()
    for viewer in viewers:
        await viewer.task


def all_live(viewers: list[Viewer]) -> bool:
    """Whether every stream gives pictures."""
    return all(v.stream.state == "live" and not v.is_out for v in viewers)


async def until_live(viewers: list[Viewer], seconds: float) -> None:
    """Wait until every stream gives pictures."""
    async with asyncio.timeout(seconds):
        while not all_live(viewers):
            await asyncio.sleep(0.1)


@contextmanager
def attempts_to_connect() -> Iterator[list[float]]:
    """Note when a connection is asked for, whatever comes of it: the recorder does not see those that are refused."""
    times: list[float] = []
    create_connection = SimulatedClockLoop.create_connection

    def noting(self: SimulatedClockLoop, *args: Any, **kwargs: Any) -> Any:
        times.append(self.time())
        return create_connection(self, *args, **kwargs)

    with mock.patch.object(SimulatedClockLoop, "create_connection", noting):
        yield times


def most_in(times: Sequence[float], window: float) -> int:
    """Return how many of these times lie in one window, at most."""
    ordered = sorted(times)
    return max((sum(t <= u < t + window for u in ordered) for t in ordered), default=0)


def connect(recorder: SimulatedRecorder, **options: object) -> Session:
    """Make a session with a simulated recorder."""
    return nvrclient.connect(
        recorder.url,
        recorder.username,
        recorder.password,
        verify=recorder.certificate or True,
        **options,  # type: ignore[arg-type]
    )
