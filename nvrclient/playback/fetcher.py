"""Keeps the lanes of a playback filled: what to ask for next, what the answers mean, and how to go on after a break.

One request at a time is under way on a UID. It runs in a task of its own: a caller who is cancelled, or a control
command that comes in between, never breaks one off in the middle unless it takes longer than `PATIENCE`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar

from nvrclient.commands.times import FIRST_YEAR
from nvrclient.connection import Connection
from nvrclient.container.gop import GopAnswer, GopReader, RecordedGop
from nvrclient.errors import (
    AuthenticationError,
    CertificateMismatchError,
    CommandError,
    ConnectionFailedError,
    NVRError,
    ProtocolError,
    RecorderBusyError,
    SessionLimitError,
    StreamEndedError,
)
from nvrclient.playback.course import Course
from nvrclient.playback.deck import MAX_UIDS_GONE, Deck
from nvrclient.playback.lane import TRIES, Lane
from nvrclient.playback.motion import Motion
from nvrclient.playback.obstacle import PATIENT_TIMES, Obstacle
from nvrclient.playback.outage import Outage
from nvrclient.playback.pages import is_redirect, is_text
from nvrclient.tasks import BugError, told
from nvrclient.uids import UidGoneError

logger = logging.getLogger("nvrclient.playback")

PATIENCE = 1.0
"""Seconds that a control command waits for the answer under way, before it breaks it off."""

PROBES = (1.0, 10.0)
"""Seconds by which the recorder is sent further back, where what it gives first does not hold the time asked for."""

RETURNED = len(PROBES) + 1
"""Probes made once the recorder was sent back to the time asked for."""

LIVE_EDGE = 60.0
"""Seconds from now within which the recording may still be growing."""

SHORT_PATIENCE = 1.0
"""Seconds without anything new, at least, after which the recording has ended; a fifth more than a GOP where that is longer: a
recorder may give each only when it could have been watched."""

DRY_STEP = timedelta(seconds=10)
"""How far the other cameras play on before one that had nothing more is asked again."""

MAX_AHEAD = 64 << 20
"""Bytes queued in all lanes together beyond which only a lane that is empty is filled."""

SERVER_ERROR = 500
"""HTTP statuses from here on may heal; those below will not."""

NOTHING = GopAnswer((), None)
"""An answer without pictures, and nothing wrong with it."""

_FATAL = (AuthenticationError, CertificateMismatchError, BugError)
_BUSY = (SessionLimitError, RecorderBusyError, CommandError)
_T = TypeVar("_T")


class Fetcher:
    """See the module. `changed` is called when the caller may have something to take."""

    def __init__(
        self,
        connection: Connection,
        deck: Deck,
        lanes: Sequence[Lane],
        course: Course,
        changed: Callable[[], None],
    ) -> None:
        self.answers = 0
        self.bytes = 0
        self.malformed = 0
        self.failure: NVRError | None = None
        self.outage = Outage(str(deck))
        self.is_placed = False  # the recorder is where the course says
        self._connection = connection
        self._deck = deck
        self._lanes = lanes
        self._course = course
        self._changed = changed
        self._reader = GopReader()
        self._task: asyncio.Task[None] | None = None
        self._request: asyncio.Task[Any] | None = None
        self._work = asyncio.Event()
        self._probes = 0

    # Running

    def start(self) -> None:
        """Fill the lanes from now on."""
        if (self._task is None or self._task.done()) and self.failure is None:
            self._task = self._connection.spawn(self._run(), str(self._deck))

    def wake(self) -> None:
        """The caller has taken something: there may be room."""
        self._work.set()

    async def stop(self, patience: float = PATIENCE) -> None:
        """Ask for nothing more, and wait for the answer under way; what it brings is not taken."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
            self._task = None
        request, self._request = self._request, None
        if request is not None:
            await asyncio.wait((request,), timeout=patience)
            if not request.done():
                request.cancel()
                await asyncio.wait((request,))
            self.is_placed = False  # the recorder may go on behind what was not taken

    async def on_wire(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do something on the wire, in a task of its own: the only one at a time."""
        task = self._connection.spawn(work, f"{self._deck}: request")
        self._request = task
        result = await self._connection.result(task)
        self._request = None
        return result

    async def _run(self) -> None:
        try:
            while True:
                if not self.is_placed:
                    await self._recover(None)
                job = self._next_job()
                if job is None:
                    await self._rest()
                    continue
                try:
                    await self._fetch(*job)
                except (UidGoneError, ConnectionFailedError, *_BUSY) as broken:
                    await self._recover(broken, job[0])
                self._changed()
        except NVRError as error:
            self.failure = error
        except Exception as bug:  # noqa: BLE001  it is logged
            self.failure = told(str(self._deck), bug)
        finally:
            self._changed()

    def _next_job(self) -> tuple[Lane, Literal["video", "audio"]] | None:
        now = self._connection.loop.time()
        self._ask_again()
        for lane in sorted(self._lanes, key=lambda lane: lane.head() is not None):
            wants_video = lane.wants_video(now) and not self._is_past_end(lane)
            if not (wants_video or lane.wants_audio()):
                continue
            if (
                lane.is_behind or not self._is_full()
            ):  # counted last: this runs for every item taken
                return lane, "video" if wants_video else "audio"
        return None

    def _is_full(self) -> bool:
        return sum(lane.queued_bytes for lane in self._lanes) > MAX_AHEAD

    def _is_past_end(self, lane: Lane) -> bool:
        end, reached = self._course.end, lane.track.reached
        if end is None or reached is None or reached <= end or self._course.motion.is_backward:
            return False
        lane.is_over = True
        return True

    def _ask_again(self) -> None:
        """A camera that had nothing more may have, further on: ask when the others have played on."""
        front = self._shown_next()
        if front is None:
            return
        for lane in self._lanes:
            if lane.is_over and lane.over_at is not None and abs(front - lane.over_at) > DRY_STEP:
                lane.is_over, lane.over_at, lane.unanswered = False, None, TRIES - 1

    def _shown_next(self) -> datetime | None:
        """Return the time of the picture that is given next, where there is one."""
        heads = [frame.time for lane in self._lanes if (frame := lane.head()) and frame.time]
        choose = max if self._course.motion.is_backward else min
        return choose(heads, default=None)

    async def _rest(self) -> None:
        """Wait until there is room, or a lane is to be asked again."""
        now = self._connection.loop.time()
        due = [lane.retry_at for lane in self._lanes if not lane.is_over and lane.retry_at > now]
        self._work.clear()
        try:
            async with asyncio.timeout(min(due) - now if due else None):
                await self._work.wait()
        except TimeoutError:
            return

    # Answers

    async def _fetch(self, lane: Lane, kind: Literal["video", "audio"]) -> None:
        if kind == "audio":
            await self._fetch_audio(lane)
        elif await self.fetch_video(lane, probes=True):
            await self._probe()

    async def fetch_video(self, lane: Lane, *, probes: bool = False) -> bool:
        """Ask for the next GOP of a camera and take it.

        With `probes` returns whether an earlier one may have been left out; then it is put aside, not taken.

        Raises UidGoneError, ConnectionFailedError, CommandError; and what was wrong with `TRIES` answers in a row. Where
        those were no answers, perhaps the recorder has forgotten the UID: it counts as gone, if it was known before.
        """
        try:
            reply = await self.on_wire(self._deck.video(lane.camera))
        except _BUSY as refused:
            if _is_refusal(refused):
                raise
            lane.trouble = refused
            self._no_news(lane)
            return False
        except ProtocolError as unusable:
            self._count_damage(lane, unusable, is_none=is_redirect(unusable))
            return False
        self.outage.answered()
        now = self._connection.loop.time()
        self.answers += 1
        self.bytes += len(reply.body)
        answer = self._reader.read(reply.body)
        if answer.damage is not None and is_text(reply.body):
            self._count_damage(lane, answer.damage, is_none=True)
            return False
        lane.miss_unanswered()
        if probes and self._is_probe_due(lane, answer.gops):
            lane.stash += answer.gops
            return True
        if probes and lane.stash and answer == NOTHING and self._probes < RETURNED:
            self._probes = len(PROBES)  # that far back there is nothing, and perhaps nothing comes
            return True
        backward = lane.track.is_backward
        nearer = bool(answer.gops) and lane.comes_nearer(answer.gops[-1], backward=backward)
        progress = [self._admit(lane, gop, now) for gop in answer.gops]
        if answer == NOTHING:
            progress = [self._take(lane, gop, now) for gop in lane.stash]
            lane.stash.clear()
        if any(progress):
            lane.unanswered = lane.damaged = 0
            self._deck.is_proven = True
            self.outage.progressed()
            lane.trouble, lane.news_at, lane.is_placed = None, now, False
        if answer.damage is not None:
            self._count_damage(lane, answer.damage, nothing_new=not any(progress))
        elif any(progress):
            pass
        elif nearer:
            lane.unanswered = 0
        else:
            lane.trouble = None
            self._no_news(lane)
        return False

    def _count_damage(
        self, lane: Lane, damage: ProtocolError, *, nothing_new: bool = True, is_none: bool = False
    ) -> None:
        """An answer could not be read, or was none; raises what was wrong with it after `TRIES` in a row."""
        logger.warning("%s: %s", self._deck, damage)
        self.malformed += 1
        lane.damaged += nothing_new
        if is_none:
            lane.blank += 1
        else:
            lane.track.damage()
        if lane.damaged >= TRIES:
            if is_none and self._deck.suspect():
                for one in self._lanes:
                    one.damaged = 0
                raise UidGoneError
            raise damage

    def _is_probe_due(self, lane: Lane, gops: Sequence[RecordedGop]) -> bool:
        return (
            lane.is_placed
            and self._probes < len(PROBES)
            and self._course.position is not None
            and not self._deck.paused
            and bool(gops)
            and lane.track.misses(gops[0])
        )

    async def _probe(self) -> None:
        """Send the recorder further back than asked for, since what it gave first begins too late; in the end where it was."""
        position = self._front()
        assert position is not None
        motion, steps = self._course.motion, self._course.steps
        back = timedelta(seconds=PROBES[self._probes] if self._probes < len(PROBES) else 0.0)
        self._probes += 1
        moved = position + back if motion.is_backward else position - back
        if moved.year < FIRST_YEAR:
            return
        try:
            await self.on_wire(self._deck.place(moved, motion, steps))
        except CommandError:
            if not back:
                raise
            self._probes = RETURNED  # a recorder may refuse a time at which it has nothing
            await self.on_wire(self._deck.place(position, motion, steps))
        self._told_position()

    def _admit(self, lane: Lane, gop: RecordedGop, now: float) -> bool:
        """Take a GOP, and before it those put aside that come earlier."""
        progress = False
        backward = lane.track.is_backward
        while lane.stash:
            first = lane.stash[0]
            if (first.start, first.end) == (gop.start, gop.end):
                lane.stash.pop(0)
                break
            if first.end < gop.end if backward else first.start > gop.start:
                break
            progress |= self._take(lane, lane.stash.pop(0), now)
        return self._take(lane, gop, now) or progress

    def _take(self, lane: Lane, gop: RecordedGop, now: float) -> bool:
        taken = lane.track.take(gop, now)
        if taken.groups and self.outage.is_on:
            first = taken.groups[0]
            first.before.insert(0, self.outage.end(first.gop.frames[0].time))
        lane.groups.extend(taken.groups)
        return taken.progress

    def _no_news(self, lane: Lane) -> None:
        """The recorder had nothing new: ask again a little later, and take it for the end after `TRIES`."""
        now = self._connection.loop.time()
        lane.unanswered += 1
        at_edge = self._is_near_edge(lane)
        patience = max(SHORT_PATIENCE, 1.2 * lane.gop_length)
        stall = self._connection.options.stall_timeout
        patience = stall if at_edge else min(patience, stall)
        if lane.unanswered >= TRIES and (not at_edge or now - lane.news_at >= patience):
            if lane.trouble is not None:
                raise lane.trouble
            self._finish(lane, now)
            return
        lane.retry_at = now + (min(lane.gop_length, patience / 2) if at_edge else patience / 2)

    def _finish(self, lane: Lane, now: float) -> None:
        """There is no more of this camera in this direction."""
        for gop in lane.stash:
            self._take(lane, gop, now)
        lane.stash.clear()
        lane.is_over = True
        lane.over_at = self._shown_next() or lane.track.reached or self._course.at
        if told := lane.track.finish():
            lane.tail.append(told)

    def _is_near_edge(self, lane: Lane) -> bool:
        reached = lane.track.reached or self._course.at
        if reached is None or lane.track.is_backward:
            return False
        return (self._connection.host_time() - reached).total_seconds() < LIVE_EDGE

    async def _fetch_audio(self, lane: Lane) -> None:
        """Ask for the next second of audio. What is wrong with it costs no picture."""
        hearing, asked_for = lane.hearing, lane.video_until
        try:
            reply = await self.on_wire(self._deck.audio(lane.camera))
        except (SessionLimitError, RecorderBusyError) as busy:
            hearing.refused_for_now(str(busy), asked_for)
        except (CommandError, ProtocolError) as refused:
            hearing.refused(str(refused), asked_for)
        except (UidGoneError, ConnectionFailedError) as broken:
            hearing.broke_off(f"playaudio.cgi: {str(broken) or 'the UID is gone after it'}")
            raise
        else:
            self.answers += 1
            self.bytes += len(reply.body)
            now = self._connection.loop.time()
            end = self._course.end
            self.malformed += not hearing.take(reply.body, now, asked_for=asked_for, end=end)

    # Position

    def _front(self) -> datetime | None:
        """Return how far all lanes have got, in the direction of motion."""
        reached = [
            lane.track.reached or self._course.position for lane in self._lanes if not lane.is_over
        ]
        known = [time for time in reached if time is not None]
        if not known or len(known) < len(reached):
            return self._course.position
        return max(known) if self._course.motion.is_backward else min(known)

    def _told_position(self) -> None:
        self.is_placed = True
        for lane in self._lanes:
            lane.placed(self._connection.loop.time())

    def aimed(self) -> None:
        """The recorder was brought where the course says."""
        self.is_placed = True
        self._probes = self.outage.breaks = self.outage.stuck = 0
        self.failure = None

    async def place(self, position: datetime | None) -> None:
        """Bring the recorder to a position in the course's motion, on a new UID where the one at hand is gone."""
        await self._deck.bring(position, self._course.motion, self._course.steps)

    async def _where_to_go_on(self, asked: Lane | None) -> datetime | None:
        """Return how far the lanes have got, or where what `asked` cannot be given is over: then it is lost.

        Where it has no end that can be seen, and other cameras get past it, they go on alone.
        """
        front, stuck = self._front(), self.outage.stuck
        if front is None or asked is None or stuck < TRIES:
            return front
        others = [lane.camera for lane in self._lanes if lane is not asked and not lane.is_over]
        obstacle, times = Obstacle(self._deck, self._course, asked.camera, front), stuck - TRIES
        if (
            others
            and times >= PATIENT_TIMES
            and await self.on_wire(obstacle.is_passed_by(others[0]))
        ):
            asked.track.damage()
            self._finish(asked, self._connection.loop.time())
            asked.over_at, self.outage.stuck = None, 0  # it is not asked again
        elif (behind := await self.on_wire(obstacle.end(times))) is not None:
            front = behind
            for lane in self._lanes:
                lane.track.damage()
        else:
            return front
        self.malformed += 1
        return front

    async def place_forward(self, position: datetime) -> None:
        """Have the recorder play forward from a position, for a search: the course stays as it is."""
        await self.on_wire(self._deck.place(position, Motion.FORWARD, 1))

    async def _recover(
        self, broken: UidGoneError | NVRError | None, asked: Lane | None = None
    ) -> None:
        """Go on where the lanes have got to, after `asked` met what broke; a break mended at once is not told."""
        connection, outage = self._connection, self.outage
        seen_any = any(lane.track.received for lane in self._lanes)
        self._deck.patient = seen_any
        error: Exception | None = broken
        while True:
            if isinstance(error, _FATAL) or (
                error is not None and not connection.options.reconnect
            ):
                if isinstance(error, NVRError):
                    raise error
                raise StreamEndedError(
                    f"{self._deck}: the recorder no longer knows the playback's UID"
                )
            if isinstance(error, NVRError) and _is_refusal(error) and not outage.is_young:
                if not (seen_any and self._deck.suspect()):
                    raise error
                outage.begin(error, self._front())
            if (
                isinstance(error, NVRError)
                and not seen_any
                and (outage.breaks or isinstance(error, _BUSY))
            ):
                raise error
            if isinstance(error, UidGoneError):
                outage.uids_gone += 1
                if outage.uids_gone > MAX_UIDS_GONE:
                    raise self._deck.no_uid_lives()
            if error is not None:
                if outage.breaks or isinstance(error, UidGoneError):
                    outage.begin(error, self._front())
                self._changed()
                await outage.back_off()
                outage.breaks += 1
            logins = connection.stats.logins
            try:
                async with connection.reach.turn() if error is not None else nullcontext():
                    await self.on_wire(self.place(await self._where_to_go_on(asked)))
            except NVRError as failure:
                if is_redirect(failure) and connection.stats.logins > logins:
                    raise  # under a UID that was just issued
                error = failure
                continue
            self._told_position()
            outage.stuck += seen_any and broken is not None
            return


def _is_refusal(error: NVRError) -> bool:
    """Whether the recorder's answer says that asking again will not help."""
    return isinstance(error, CommandError) and (error.status or 0) < SERVER_ERROR
