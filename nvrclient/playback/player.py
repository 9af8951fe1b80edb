"""The state behind a Playback: what the caller gets next, and what a control call does.

Tasks hold this, and it never holds the caller's handle. Control calls run one at a time, each in a task that the
caller's cancellation does not reach, so that the recorder is never left between two commands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Literal, TypeAlias

from nvrclient.connection import Connection
from nvrclient.errors import ConnectionFailedError, NoRecordingError
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
from nvrclient.playback.deck import MAX_STEP, Deck
from nvrclient.playback.fetcher import Fetcher
from nvrclient.playback.lane import Lane
from nvrclient.playback.motion import Motion
from nvrclient.playback.pacer import Pacer
from nvrclient.playback.stepper import Stepper
from nvrclient.stream import StreamStats
from nvrclient.tasks import misuse
from nvrclient.uids import UidGoneError

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
        self._is_paused = False
        self._is_over = False
        self._control = asyncio.Lock()
        self._in_control = False
        self._controlling: asyncio.Task[None] | None = None  # the control call made last
        self._delivered = 0
        self._found_any = False  # since it was sent somewhere
        self._moved: list[datetime | None] = []  # a move that is told with the next picture
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

        async def change() -> None:
            self._aim(hold=False)
            await self._fetcher.place(self.course.position)
            self._fetcher.aimed()

        await self._controlled(change)

    async def aclose(self) -> None:
        """Send STOP, give the UID back, end the loop; bounded in time. Safe to repeat."""
        if self._closing is None:
            self._closing = self._connection.loop.create_task(self._close(), name=f"close {self}")
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        self.is_closed = True
        self._wake()
        try:
            if self._controlling is not None:  # a command under way decides what has to be undone
                await asyncio.wait((self._controlling,), timeout=CLOSE_PATIENCE)
                self._controlling.cancel()
                await asyncio.wait((self._controlling,))
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
            if self._moved and first is not None:
                return Discontinuity("seek", since=self._moved.pop(), until=first.time)
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
                    self._moved.clear()
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
            if not (self._is_paused or self._in_control):
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
        self._is_over = True
        if self._found_any:
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
        self._found_any = True
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

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # Control

    async def seek(self, when: datetime) -> None:
        """Go to a time and play forward from there."""

        async def change() -> None:
            self.course.at, self.course.motion, self.course.steps = when, Motion.FORWARD, 1
            self._note_move()
            self.course.shown = self._stepper.shown_lane = None
            self._found_any = False
            self._aim(hold=False)
            await self._steer(None)

        await self._controlled(change)

    async def pause(self) -> None:
        """Stop at the picture given last."""
        await self._controlled(self._pause)

    async def resume(self) -> None:
        """Go on in the direction it was going."""

        async def change() -> None:
            if self._is_paused or self._is_over:
                self._aim(hold=True, rest=True)
                await self._steer(None)

        await self._controlled(change)

    async def turn(self, motion: Motion) -> None:
        """Play in another direction, or a step faster in the same fast motion."""

        async def change() -> None:
            course, before = self.course, self.course.motion
            going = not (self._is_paused or self._is_over)
            faster = going and motion is before
            if faster and (not motion.is_fast or course.steps == MAX_STEP):
                return
            await self._find_position()
            course.motion = motion
            course.steps = course.steps + 1 if faster else 1
            same = motion is before and not motion.is_fast  # out of pause, as `resume`
            if not same:
                self._note_move()
            if motion is Motion.FORWARD:
                self._go_back()
            self._aim(hold=True, rest=same or motion is Motion.FORWARD)
            position = course.position
            assert position is not None
            # How the recorder takes a fast command in another direction is unsaid: it is sent forward first.
            direct = going and (
                motion is Motion.REVERSE or (motion.is_fast and before in {motion, Motion.FORWARD})
            )
            await self._steer((lambda: self._deck.move(position, motion, 1)) if direct else None)

        await self._controlled(change)

    async def step(self, *, forward: bool) -> VideoFrame:
        """Return the picture shown after or before the one given last, in pause."""
        found: list[VideoFrame] = []

        async def change() -> None:
            await self._pause()
            self._go_back()
            step = self._stepper.forward if forward else self._stepper.back
            position = self.course.position
            assert position is not None
            try:
                frame = await step(position)
            except (UidGoneError, ConnectionFailedError):
                await self._steer(None)
                await self._deck.pause(position)
                frame = await step(position)
            found.append(frame)

        await self._controlled(change)
        return found[0]

    async def _controlled(self, change: Callable[[], Awaitable[None]]) -> None:
        """Run a control call: one at a time, to its end whoever is cancelled, with nothing else on the wire."""
        if self.is_closed:
            raise RuntimeError("this playback is closed")

        async def run() -> None:
            async with self._control:
                if self.is_closed:
                    raise ConnectionFailedError(f"{self}: it was closed meanwhile")
                self._in_control = True
                try:
                    await self._fetcher.stop()
                    await change()
                except UidGoneError:
                    self._fetcher.is_placed = False
                    raise ConnectionFailedError(
                        f"{self}: the recorder dropped the playback's UID"
                    ) from None
                except BaseException:
                    self._fetcher.is_placed = False
                    raise
                finally:
                    self._in_control = False
                    self.pacer.restart()
                    self._paced = None
                    self._wake()

        task = self._controlling = self._connection.spawn(run(), f"{self}: control")
        try:
            await self._connection.result(task)
        except ConnectionFailedError:
            if task.cancelled() and self._connection.is_open:
                raise ConnectionFailedError(f"{self}: it was closed meanwhile") from None
            raise

    def _go_back(self) -> None:
        """Have the picture after the one given last come next: a turn may have left it out."""
        if self.course.shown is not None:
            for lane in self.lanes:
                self._stepper.again += lane.go_back_to(self.course.shown)

    def _note_move(self) -> None:
        """The next picture does not go on from the one given last: it is told."""
        if self.course.shown is not None and not self._moved:
            self._moved.append(self.course.shown.time)

    def _aim(self, *, hold: bool, rest: bool = False) -> None:
        """Have every lane go on from what it has at hand (`hold`), or from where the course was sent."""
        now = self._connection.loop.time()
        self._is_paused = self._is_over = False
        self._fetcher.failure = None
        for lane in self.lanes:
            lane.aim(self.course.motion, at=self.course.position, now=now, hold=hold, rest=rest)

    async def _steer(self, direct: Callable[[], Awaitable[None]] | None) -> None:
        """Bring the recorder where the course says: by a direct command where that is enough, else from scratch."""
        fetcher = self._fetcher
        try:
            if direct is not None and self._deck.is_open and fetcher.is_placed:
                await direct()
                fetcher.aimed()
                return
        except (UidGoneError, ConnectionFailedError):
            pass  # whether it was carried out is not known
        fetcher.is_placed = False
        try:
            await fetcher.place(self.course.position)
        except ConnectionFailedError:
            await fetcher.place(self.course.position)
        fetcher.aimed()

    async def _find_position(self) -> None:
        """Where playback began wherever the recorder does, learn where that is: from the first picture."""
        if self.course.position is not None:
            return
        if not self._fetcher.is_placed:
            await self._steer(None)
        for lane in self.lanes:
            await self._stepper.ask(lane, lambda lane=lane: lane.head() is not None)  # type: ignore[misc]
        heads = [frame.time for lane in self.lanes if (frame := lane.head()) and frame.time]
        if not heads:
            raise NoRecordingError(f"{self}: nothing is recorded")
        self.course.at = min(heads)

    async def _pause(self) -> None:
        if self._is_paused:
            return
        await self._find_position()
        position = self.course.position
        assert position is not None
        if self._is_over or not self._fetcher.is_placed:
            await self._steer(None)
        if self.course.motion is not Motion.FORWARD:
            # What was fetched ahead is not what a step needs, and the recorder may go on from there.
            for lane in self.lanes:
                lane.drop_queued("moved", hand=False)
            await self._fetcher.place_forward(position)
        try:
            await self._deck.pause(position)
        except (UidGoneError, ConnectionFailedError):
            await self._steer(None)
            await self._deck.pause(position)
        self._is_paused = True

    # What it tells of itself

    @property
    def state(self) -> State:
        """What the playback is doing."""
        if self.is_closed:
            return "closed"
        if self._is_paused:
            return "paused"
        if self._is_over:
            return "ended"
        if self._fetcher.outage.is_on:
            return "reconnecting"
        if not self._found_any:
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
