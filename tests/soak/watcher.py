"""One of the sixteen consumers: looks at every item, and keeps what it needs to judge the day."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from nvrclient import AudioFrame, Discontinuity, LiveStream, VideoFrame

MAX_TOLD = 60.0
"""Seconds for which what was told is taken for the answer to one fault."""


@dataclass(slots=True)
class Outage:
    """From when it was told that the stream is out until it was told that it is back."""

    told: float
    back: float | None = None


class Watcher:
    """Takes everything a stream gives. `problems` is what was wrong with it, at most ten of them."""

    def __init__(self, camera: int, stream: LiveStream, pictures: Mapping[bytes, int]) -> None:
        self.camera = camera
        self.stream = stream
        self.outages: list[Outage] = []
        self.told: list[tuple[float, str]] = []  # every Discontinuity: when, and its reason
        self.frames = 0
        self.problems: list[str] = []
        self.last_frame = 0.0
        self._pictures = pictures  # the encoder's, and their places in the clip
        self._place: int | None = None  # of the last picture, where the next one must follow
        self._pts = -1
        self.task = asyncio.create_task(self._watch(), name=f"watcher {camera}")

    @property
    def is_out(self) -> bool:
        """Whether the last that was told is that the stream is out."""
        return bool(self.outages) and self.outages[-1].back is None

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        async for item in self.stream:
            if isinstance(item, VideoFrame):
                self._look(item)
                self.last_frame = loop.time()
            elif isinstance(item, Discontinuity):
                self._hear(item, loop.time())
            else:
                assert isinstance(item, AudioFrame)
                self._wrong("audio that was not asked for")

    def _look(self, frame: VideoFrame) -> None:
        self.frames += 1
        place = self._pictures.get(frame.data)
        if place is None:
            self._wrong(f"a picture of {len(frame.data)} bytes that the encoder did not make")
            return
        if self._place is None:
            if not frame.keyframe:
                self._wrong("it goes on with a picture that is no key frame")
        elif place != (self._place + 1) % len(self._pictures):
            self._wrong(f"picture {place} after {self._place}, and nothing was told")
        if frame.pts <= self._pts:
            self._wrong(f"pts {frame.pts} after {self._pts}")
        if self.is_out:
            self._wrong("a picture while the stream is told to be out")
        self._place, self._pts = place, frame.pts

    def _hear(self, told: Discontinuity, now: float) -> None:
        self._place = None
        self.told.append((now, told.reason))
        if told.reason != "reconnect":
            return
        if told.until is None:
            if self.is_out:
                self._wrong("told twice to be out")
            else:
                self.outages.append(Outage(now))
        elif not self.is_out:
            self._wrong("told to be back without having been out")
        else:
            self.outages[-1].back = now
            if told.since is not None and told.since > told.until:
                self._wrong("an outage that ended before it began")

    def check(self) -> None:
        """Look at the account, which holds at every moment."""
        stats = self.stream.stats
        accounted = stats.frames_delivered + stats.frames_queued + sum(stats.dropped.values())
        if stats.frames_received != accounted:
            self._wrong(f"{stats.frames_received} received, {accounted} accounted for: {stats}")
        if stats.frames_delivered < self.frames:
            self._wrong(f"{stats.frames_delivered} delivered, {self.frames} seen")
        if self.task.done():
            self._wrong(f"the loop over the stream has ended: {self.task}")

    def finish(self) -> None:
        """Look at the whole day."""
        self.check()
        reconnects = self.stream.stats.reconnects
        if reconnects < len(self.outages):
            self._wrong(f"{reconnects} reconnects, {len(self.outages)} outages told")
        for before, after in pairwise(self.outages):
            if before.back is None or before.back > after.told:
                self._wrong("outages that overlap")

    def forget(self, before: float) -> None:
        """Forget what was told long ago: memory is measured."""
        while self.outages and self.outages[0].back is not None and self.outages[0].back < before:
            del self.outages[0]
        while self.told and self.told[0][0] < before:
            del self.told[0]

    def was_told(self, since: float, until: float) -> float | None:
        """Return when it was told first, in this time, that the stream is out; None: it was not."""
        return next((o.told for o in self.outages if since <= o.told <= until), None)

    def was_out_at(self, time: float) -> bool:
        """Whether the stream was told to be out at this time."""
        return any(o.told <= time and (o.back is None or o.back > time) for o in self.outages)

    def is_back_by(self, told: float) -> float | None:
        """Return when the outage told at this time was told to be over."""
        return next((o.back for o in self.outages if o.told == told), None)

    def _wrong(self, what: str) -> None:
        if len(self.problems) < 10:
            now = asyncio.get_running_loop().time()
            self.problems.append(f"camera {self.camera} at {now:.1f}: {what}")
