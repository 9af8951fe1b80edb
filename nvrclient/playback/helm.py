"""The helm of a playback: what a control call does, and what was asked for last.

Control calls run one at a time, each in a task that the caller's cancellation does not reach, so that the recorder is
never left between two commands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from nvrclient.connection import Connection
from nvrclient.errors import ConnectionFailedError, NoRecordingError
from nvrclient.frames import VideoFrame
from nvrclient.playback.course import Course
from nvrclient.playback.deck import MAX_STEP, Deck
from nvrclient.playback.fetcher import Fetcher
from nvrclient.playback.lane import Lane
from nvrclient.playback.motion import Motion
from nvrclient.playback.stepper import Stepper
from nvrclient.uids import UidGoneError


class Helm:
    """See the module.

    ``is_busy`` while a call is under way, when nothing is given. ``is_over`` when there was no more to give, ``found_any``
    when something was since it was sent somewhere; ``moved`` holds where it was before a move that is told with the next
    picture. `done` is called after each call.
    """

    def __init__(
        self,
        connection: Connection,
        course: Course,
        lanes: Sequence[Lane],
        deck: Deck,
        fetcher: Fetcher,
        stepper: Stepper,
        done: Callable[[], None],
    ) -> None:
        self.is_busy = False
        self.is_paused = False
        self.is_over = False
        self.found_any = False
        self.moved: list[datetime | None] = []
        self._connection = connection
        self._course = course
        self._lanes = lanes
        self._deck = deck
        self._fetcher = fetcher
        self._stepper = stepper
        self._done = done
        self._is_closed = False
        self._turn = asyncio.Lock()
        self._call: asyncio.Task[None] | None = None  # made last

    async def open(self) -> None:
        """Take a UID, choose the cameras, start at the time asked for."""

        async def change() -> None:
            self._aim(hold=False)
            await self._fetcher.place(self._course.position)
            self._fetcher.aimed()

        await self._run(change)

    async def close(self, patience: float) -> None:
        """Take no more calls; wait for the one under way, and break it off after so many seconds."""
        self._is_closed = True
        if self._call is not None:  # it decides what has to be undone
            await asyncio.wait((self._call,), timeout=patience)
            self._call.cancel()
            await asyncio.wait((self._call,))

    async def seek(self, when: datetime) -> None:
        """Go to a time and play forward from there."""

        async def change() -> None:
            self._course.at, self._course.motion, self._course.steps = when, Motion.FORWARD, 1
            self._note_move()
            self._course.shown = self._stepper.shown_lane = None
            self.found_any = False
            self._aim(hold=False)
            await self._steer(None)

        await self._run(change)

    async def pause(self) -> None:
        """Stop at the picture given last."""
        await self._run(self._pause)

    async def resume(self) -> None:
        """Go on in the direction it was going."""

        async def change() -> None:
            if self.is_paused or self.is_over:
                self._aim(hold=True, rest=True)
                await self._steer(None)

        await self._run(change)

    async def turn(self, motion: Motion) -> None:
        """Play in another direction, or a step faster in the same fast motion."""

        async def change() -> None:
            course, before = self._course, self._course.motion
            going = not (self.is_paused or self.is_over)
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

        await self._run(change)

    async def step(self, *, forward: bool) -> VideoFrame:
        """Return the picture shown after or before the one given last, in pause."""
        found: list[VideoFrame] = []

        async def change() -> None:
            await self._pause()
            self._go_back()
            step = self._stepper.forward if forward else self._stepper.back
            position = self._course.position
            assert position is not None
            try:
                frame = await step(position)
            except (UidGoneError, ConnectionFailedError):
                await self._steer(None)
                await self._deck.pause(position)
                frame = await step(position)
            found.append(frame)

        await self._run(change)
        return found[0]

    async def _run(self, change: Callable[[], Awaitable[None]]) -> None:
        """Make a change: one at a time, to its end whoever is cancelled, with nothing else on the wire."""
        if self._is_closed:
            raise RuntimeError("this playback is closed")

        async def run() -> None:
            async with self._turn:
                if self._is_closed:
                    raise ConnectionFailedError(f"{self._deck}: it was closed meanwhile")
                self.is_busy = True
                try:
                    await self._fetcher.stop()
                    await change()
                except UidGoneError:
                    self._fetcher.is_placed = False
                    raise ConnectionFailedError(
                        f"{self._deck}: the recorder dropped the playback's UID"
                    ) from None
                except BaseException:
                    self._fetcher.is_placed = False
                    raise
                finally:
                    self.is_busy = False
                    self._done()

        task = self._call = self._connection.spawn(run(), f"{self._deck}: control")
        try:
            await self._connection.result(task)
        except ConnectionFailedError:
            if task.cancelled() and self._connection.is_open:
                raise ConnectionFailedError(f"{self._deck}: it was closed meanwhile") from None
            raise

    # Where it goes

    def _go_back(self) -> None:
        """Have the picture after the one given last come next: a turn may have left it out."""
        if self._course.shown is not None:
            for lane in self._lanes:
                self._stepper.again += lane.go_back_to(self._course.shown)

    def _note_move(self) -> None:
        """The next picture does not go on from the one given last: it is told."""
        if self._course.shown is not None and not self.moved:
            self.moved.append(self._course.shown.time)

    def _aim(self, *, hold: bool, rest: bool = False) -> None:
        """Have every lane go on from what it has at hand (`hold`), or from where the course was sent."""
        now = self._connection.loop.time()
        self.is_paused = self.is_over = False
        self._fetcher.failure = None
        for lane in self._lanes:
            lane.aim(self._course.motion, at=self._course.position, now=now, hold=hold, rest=rest)

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
            await fetcher.place(self._course.position)
        except ConnectionFailedError:
            await fetcher.place(self._course.position)
        fetcher.aimed()

    async def _find_position(self) -> None:
        """Where playback began wherever the recorder does, learn where that is: from the first picture."""
        if self._course.position is not None:
            return
        if not self._fetcher.is_placed:
            await self._steer(None)
        for lane in self._lanes:
            await self._stepper.ask(lane, lambda lane=lane: lane.head() is not None)  # type: ignore[misc]
        heads = [frame.time for lane in self._lanes if (frame := lane.head()) and frame.time]
        if not heads:
            raise NoRecordingError(f"{self._deck}: nothing is recorded")
        self._course.at = min(heads)

    async def _pause(self) -> None:
        if self.is_paused:
            return
        await self._find_position()
        position = self._course.position
        assert position is not None
        if self.is_over or not self._fetcher.is_placed:
            await self._steer(None)
        if self._course.motion is not Motion.FORWARD:
            # What was fetched ahead is not what a step needs, and the recorder may go on from there.
            for lane in self._lanes:
                lane.drop_queued("moved", hand=False)
            await self._fetcher.place_forward(position)
        try:
            await self._deck.pause(position)
        except (UidGoneError, ConnectionFailedError):
            await self._steer(None)
            await self._deck.pause(position)
        self.is_paused = True
