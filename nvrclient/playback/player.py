"""The state behind a Playback: what the caller gets next, and when. Tasks hold this, and it never holds the caller's handle."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Literal, TypeAlias

from nvrclient.connection import Connection
from nvrclient.errors import NoRecordingError
from nvrclient.frames import (
    AudioFrame,
    Codec,
    Discontinuity,
    Gop,
    StreamItem,
    VideoFormat,
    VideoFrame,
)
from nvrclient.playback.course import Course
from nvrclient.playback.deck import Deck
from nvrclient.playback.fetcher import Fetcher
from nvrclient.playback.helm import Helm
from nvrclient.playback.lane import Lane
from nvrclient.playback.motion import Motion
from nvrclient.playback.pacer import Pacer
from nvrclient.playback.stepper import Stepper
from nvrclient.stream import StreamStats
from nvrclient.tasks import misuse

State: TypeAlias = Literal[
    "starting",
    "playing",
    "reverse",
    "fast forward",
    "fast reverse",
    "paused",
    "reconnecting",
    "ended",
    "closed",
]

CLOSE_PATIENCE = 0.3
"""Seconds that closing waits for what is under way, before it breaks it off and sends STOP."""

JUMP = 2.0
"""Seconds between two items that are waited for at any rate; more is skipped where the recording has a gap."""


class Player:
    """See the module."""

    def __init__(
        self,
        connection: Connection,
        cameras: Sequence[int],
        start: datetime | None,
        end: datetime | None,
        speed: float | None,
        *,
        audio: bool,
    ) -> None:
        options = connection.options
        law = Codec.PCMA if options.g711 == "alaw" else Codec.PCMU
        self.lanes = [Lane(camera, law, options.aac_rate, audio=audio) for camera in cameras]
        self.course = Course(start, end)
        self.pacer = Pacer(speed)
        self.is_closed = False
        self._connection = connection
        self._deck = Deck(connection, cameras)
        self._fetcher = Fetcher(connection, self._deck, self.lanes, self.course, self._wake)
        self._stepper = Stepper(connection, self._deck, self._fetcher, self.lanes, self._given)
        self.helm = Helm(
            connection,
            self.course,
            self.lanes,
            self._deck,
            self._fetcher,
            self._stepper,
            self._steered,
        )
        self._delivered = 0
        self._picture_at: float | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._paced: datetime | None = None  # the time of the item given last that was waited for
        self._closing: asyncio.Task[None] | None = None

    def __str__(self) -> str:
        return str(self._deck)

    # Opening and closing

    async def open(self) -> None:
        """Take a UID, choose the cameras, start at the time asked for."""
        self._connection.streams.add(self)
        self._connection.count(streams=1)
        await self.helm.open()

    async def aclose(self) -> None:
        """Send STOP, give the UID back, end the loop; bounded in time. Safe to repeat."""
        if self._closing is None:
            self._closing = self._connection.loop.create_task(self._close(), name=f"close {self}")
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        self.is_closed = True
        self._wake()
        try:
            await self.helm.close(CLOSE_PATIENCE)
            await self._fetcher.stop(CLOSE_PATIENCE)
            await self._deck.close(self.course.position)
        finally:
            for lane in self.lanes:
                lane.drop_queued("closed", hand=True)
            self._connection.streams.discard(self)
            self._connection.count(streams=-1)
            self._wake()

    # What the caller gets

    async def get(self) -> StreamItem:
        """Return the next item when it is due. Cancelling it loses nothing.

        Raises StopAsyncIteration at the end, NoRecordingError where nothing was found, and what cannot be mended.
        """
        while True:
            lane = await self._next_lane()
            if lane is None:
                return self._fetcher.outage.told.popleft()
            item = lane.next_item()
            first = lane.head() if isinstance(item, Discontinuity) else item
            if self.helm.moved and first is not None:
                return Discontinuity("seek", since=self.helm.moved.pop(), until=first.time)
            if isinstance(item, Discontinuity) or (isinstance(item, VideoFrame) and not item.shown):
                return self._give(lane)
            jump = isinstance(item, VideoFrame) and self._is_jump(lane, item)
            if await self._is_due(item.time, jump=jump, interval=lane.track.interval):
                return self._give(lane)

    async def get_gop(self) -> Gop:
        """Return the next whole GOP, when its first picture is due; otherwise as `get`."""
        while True:
            for one in self.lanes:
                one.drop_rest("not asked for")
                one.hearing.drop_queued("not asked for")
            lane = await self._next_lane()
            if lane is None:
                self._fetcher.outage.told.clear()
            elif not lane.groups:
                lane.tail.clear()
            else:
                group = lane.groups[0]
                shown = [frame.time for frame in group.gop.frames if frame.shown]
                first = shown[0] if shown else group.gop.start
                if await self._is_due(first, jump=group.jump, interval=lane.gop_length):
                    self.helm.moved.clear()
                    lane.take_gop()
                    for frame in group.gop.frames:
                        self._given(lane, frame)
                    return group.gop

    def uncount(self) -> None:
        """The item just got is left out by the caller's own choice: it counts as dropped."""
        self._delivered -= 1
        self.lanes[0].drop("not asked for", 1)

    async def _next_lane(self) -> Lane | None:
        """Wait for the lane that the next item comes from; None: something is to be told first."""
        while True:
            if self.is_closed or not self._connection.is_open:
                raise StopAsyncIteration
            if not (self.helm.is_paused or self.helm.is_busy):
                if self._fetcher.outage.told:
                    return None
                self._fetcher.start()
                lane = self._front()
                if lane is not None:
                    return lane
                if self._fetcher.failure is not None:
                    raise self._fetcher.failure
            await self._wait(None)

    async def _is_due(self, time: datetime | None, *, jump: bool, interval: float) -> bool:
        """Whether what was recorded at `time` is to be given now; if not, waits until it may be."""
        if time is None:
            return True
        now = self._connection.loop.time()
        due = self.pacer.due(time, now, jump=jump, interval=interval)
        if due > now:
            await self._wait(due - now)
            return False
        self.pacer.given(time, now, jump=jump, interval=interval)
        self._paced = time
        return True

    def _is_jump(self, lane: Lane, frame: VideoFrame) -> bool:
        """Whether time does not go on from the item before: in fast motion and reverse, and over a gap."""
        group = lane.following()
        if group is None or not group.jump:
            return False
        if frame is not next(one for one in group.gop.frames if one.shown):
            return False
        if self.course.motion is not Motion.FORWARD or self._paced is None or frame.time is None:
            return True
        return (frame.time - self._paced).total_seconds() > JUMP

    def _front(self) -> Lane | None:
        """Return the lane whose next item is the next by time; None while that is not known.

        Raises what ends the loop when there is nothing more.
        """
        failed = self._fetcher.failure is not None
        backward = self.course.motion.is_backward
        ready: list[tuple[datetime, Lane]] = []
        for lane in self.lanes:
            if self.course.end is not None and not backward:
                lane.cut(self.course.end)
            if lane.is_begun and backward:
                return lane  # a GOP that was begun is given whole
            time = lane.next_time(backward=backward)
            if not failed and lane.is_behind:
                return None
            if time is not None:
                ready.append((time, lane))
        if ready:
            choose = max if backward else min
            return choose(ready, key=lambda one: one[0])[1]
        for lane in self.lanes:
            if lane.tail:
                return lane
        if failed:
            return None
        self.helm.is_over = True
        if self.helm.found_any:
            raise StopAsyncIteration
        since = f" from {self.course.at.isoformat()} on" if self.course.at is not None else ""
        until = f" until {self.course.end.isoformat()}" if self.course.end is not None else ""
        what = (
            "what is recorded cannot be decoded: it holds no key frame"
            if any(lane.track.dropped.get("waiting for key frame") for lane in self.lanes)
            else "nothing is recorded"
        )
        raise NoRecordingError(f"{self}: {what}{since}{until}")

    def _give(self, lane: Lane) -> StreamItem:
        item = lane.take_item()
        if isinstance(item, VideoFrame):
            self._given(lane, item)
        elif isinstance(item, AudioFrame):
            self._delivered += 1
        self._fetcher.wake()
        return item

    def _given(self, lane: Lane, frame: VideoFrame) -> None:
        self._delivered += 1
        self.helm.found_any = True
        self._picture_at = self._connection.loop.time()
        if frame.shown:
            self.course.shown = frame
            self._stepper.shown_lane = lane
        self._fetcher.wake()

    async def _wait(self, timeout: float | None) -> None:
        """Wait until something changes, `timeout` seconds at most."""
        if self._waiter is not None:
            raise misuse(
                RuntimeError(
                    "this playback is being iterated already; it has one consumer at a time"
                )
            )
        self._waiter = self._connection.loop.create_future()
        try:
            async with asyncio.timeout(timeout):
                await self._waiter
        except TimeoutError:
            return
        finally:
            self._waiter = None

    def _steered(self) -> None:
        """A control call is over: time counts from the next picture on."""
        self.pacer.restart()
        self._paced = None
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # What it tells of itself

    @property
    def state(self) -> State:
        """What the playback is doing."""
        if self.is_closed:
            return "closed"
        if self.helm.is_paused:
            return "paused"
        if self.helm.is_over:
            return "ended"
        if self._fetcher.outage.is_on:
            return "reconnecting"
        if not self.helm.found_any:
            return "starting"
        return self.course.motion.value

    @property
    def gop(self) -> Gop | None:
        """The GOP that the picture given last is in."""
        lane = self._stepper.shown_lane or self.lanes[0]
        return lane.gop

    @property
    def format(self) -> VideoFormat | None:
        """What a decoder must know; of the camera whose picture was given last."""
        return (self._stepper.shown_lane or self.lanes[0]).track.format

    @property
    def codec(self) -> Codec | None:
        """The codec of the pictures; of the camera whose picture was given last."""
        return (self._stepper.shown_lane or self.lanes[0]).track.codec

    @property
    def stats(self) -> StreamStats:
        """The counters as they stand."""
        fetcher, lanes = self._fetcher, self.lanes
        dropped: dict[str, int] = {}
        received = self._stepper.again
        for lane in lanes:
            for track in (lane.track, lane.hearing.track):
                received += track.received
                for reason, count in track.dropped.items():
                    dropped[reason] = dropped.get(reason, 0) + count
        now = self._connection.loop.time()
        return StreamStats(
            packets=fetcher.answers,
            bytes=fetcher.bytes,
            frames_received=received,
            frames_delivered=self._delivered,
            frames_queued=sum(lane.queued for lane in lanes),
            dropped=dropped,
            malformed=fetcher.malformed,
            reconnects=fetcher.outage.count,
            bytes_queued=sum(lane.queued_bytes for lane in lanes),
            last_frame_age=now - self._picture_at if self._picture_at is not None else None,
            transport="http",
            audio_problem=next(filter(None, (lane.hearing.problem for lane in lanes)), None),
        )
