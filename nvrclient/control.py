"""Camera control (specification chapter 4): which UID a command goes out under, in what order, and how a move is held.

The commands of a camera go out one after the other, in the order of the calls, each when the one before is answered:
so a stop never overtakes a move. Those of other cameras are not waited for, but for the pace of their UID.

They ride on the UID of the camera's live stream, or on another that is set up for live. A recorder that refuses the
latter gets a live stream of the camera, which is closed when no command has come for a while.

Nothing is sent twice blindly, since it may have been done: only a stop is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Self

import anyio

from nvrclient.answers import check
from nvrclient.commands import control as commands
from nvrclient.commands.command import Command, Uid
from nvrclient.connection import Connection
from nvrclient.errors import CommandError, ConnectionFailedError, NVRError
from nvrclient.live import LiveStream
from nvrclient.live.wanted import Wanted
from nvrclient.tasks import ANSWER_TIME
from nvrclient.uids import UidGoneError

logger = logging.getLogger("nvrclient.control")

HOLD_INTERVAL = 1.0
"""Seconds between two sendings of a held move; i-PRO cameras move for about 2 s (4.2.1)."""

STOP_TIME = 1.5
"""Seconds that leaving a held move may take, whatever the recorder does."""

STOP_PATIENCE = 1.0
"""Seconds that a stop waits for the answer to the command before it; a camera that moves comes first."""

CLOSE_TIME = 1.2
"""Seconds that a session being closed gives to a stop; the rest of its time is for logging out."""

STOP_TRIES = (0.7, None)
"""Seconds for the answer to a stop, try by try; None: the session's timeout."""

STREAM_IDLE = 10.0
"""Seconds for which a live stream that only camera control needs is kept for the next command."""

STREAM_BUFFER = 1 << 20
"""Bytes of its newest pictures held, which nobody takes."""

REFUSALS = frozenset(range(400, 500)) - {401}
"""Statuses of a command that was not carried out; 401 is about the UID."""

NOBODY = Uid("")
"""For a command that is looked at and not sent."""

Make = Callable[[Uid], Command]


class Controls:
    """Controls the cameras of one recorder. All handles of a camera share it, so that their commands keep their order."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._newest: dict[int, Sending] = {}  # command of each camera
        self._borrowed: dict[int, _BorrowedStream] = {}
        self._needs_stream = False  # the recorder takes commands only on the UID of a live stream

    async def send(
        self, camera: int, make: Make, *, tries: tuple[float | None, ...] = (None,)
    ) -> None:
        """Send a command and wait for its answer, `tries` by their seconds.

        Raises CommandError where it is refused, and with status None where it may have been done; SessionLimitError,
        ConnectionFailedError, AuthenticationError where it was not. Cancelling it takes back what was not sent yet.
        """
        self.connection.check_usable()
        await self.outcome(self.submit(camera, make, tries))

    async def stop(self, camera: int) -> None:
        """Send a stop, twice if need be; raises as `send`. Cancelling it does not take it back."""
        self.connection.check_usable()
        await self.connection.result(self.submit_stop(camera).task)

    def submit(
        self,
        camera: int,
        make: Make,
        tries: tuple[float | None, ...] = (None,),
        patience: float | None = None,
    ) -> Sending:
        """Send a command behind those of the same camera that were submitted before.

        `patience`: seconds after which it goes out all the same. What was not sent by then is taken back.

        Raises ValueError or TypeError for what it cannot hold.
        """
        make(NOBODY)
        sending = Sending(self._newest.get(camera))
        work = self._send_behind(camera, make, tries, patience, sending)
        sending.task = self.connection.spawn(work, f"control of camera {camera}")
        self._newest[camera] = sending

        def done(_task: asyncio.Task[None]) -> None:
            if self._newest.get(camera) is sending:
                del self._newest[camera]

        sending.task.add_done_callback(done)
        return sending

    def submit_stop(self, camera: int) -> Sending:
        """Send a stop behind the commands of the same camera that were submitted before."""
        return self.submit(
            camera, lambda uid: commands.stop(uid, camera), STOP_TRIES, STOP_PATIENCE
        )

    async def outcome(self, sending: Sending) -> None:
        """Wait for a command's outcome; raises as `send`.

        Cancelling it takes the command back if it was not sent yet; one that was has `ANSWER_TIME` for its answer.
        """
        try:
            await self.connection.result(sending.task)
        except ConnectionFailedError:
            if sending.is_taken_back:
                raise ConnectionFailedError(
                    "camera control: a stop was asked for meanwhile, so the command was not sent"
                ) from None
            raise
        except asyncio.CancelledError:
            if sending.sent:
                self.connection.loop.call_later(ANSWER_TIME, sending.task.cancel)
            else:
                sending.task.cancel()
            raise

    async def _send_behind(
        self,
        camera: int,
        make: Make,
        tries: tuple[float | None, ...],
        patience: float | None,
        sending: Sending,
    ) -> None:
        if sending.before is not None:
            await asyncio.wait((sending.before.task,), timeout=patience)
            sending.take_back_unsent()
            sending.before = None  # or the chain of a joystick would grow
        for timeout in tries[:-1]:
            try:
                return await self._send(camera, make, sending, timeout)
            except ConnectionFailedError:
                continue
            except CommandError as error:
                if error.status is not None:
                    raise
        return await self._send(camera, make, sending, tries[-1])

    async def _send(self, camera: int, make: Make, sending: Sending, timeout: float | None) -> None:
        """Send a command, with a live stream of the camera where the recorder wants one."""
        if self._needs_stream:
            await self._borrow_stream(camera)
        try:
            return await self._send_with_uid(camera, make, sending, timeout)
        except CommandError as refusal:
            if sending.on_stream or refusal.status not in REFUSALS:
                raise
            try:
                await self._borrow_stream(camera)
            except NVRError:
                raise refusal from None
        await self._send_with_uid(camera, make, sending, timeout)
        self._needs_stream = True
        return None

    async def _send_with_uid(
        self, camera: int, make: Make, sending: Sending, timeout: float | None
    ) -> None:
        """Send a command under a UID of the session; once more under a fresh one where that UID is gone."""
        since = 0.0
        for _ in range(2):
            try:
                return await self._send_once(camera, make, sending, timeout, since)
            except UidGoneError:
                since = self.connection.loop.time()
        shown = make(NOBODY)
        raise CommandError(
            f"{shown}: the recorder refuses a UID that it has just issued (HTTP 401); may this user"
            " control cameras?",
            command=shown.name,
            status=401,
        )

    async def _send_once(
        self, camera: int, make: Make, sending: Sending, timeout: float | None, since: float
    ) -> None:
        connection = self.connection
        slot = await connection.lease_control(camera, since)
        try:
            answered = await connection.pace.control(slot.number)
            sending.sent = True
            sending.on_stream = camera in slot.cameras
            try:
                reply = await connection.ask(make, slot, lane="control", timeout=timeout)
            finally:
                answered()
            check(make(slot.uid), reply)
        finally:
            connection.release_control(slot)

    async def _borrow_stream(self, camera: int) -> None:
        """See that there is a live stream of the camera, if only for its control. Raises what opening one raises."""
        borrowed = self._borrowed.get(camera)
        if borrowed is not None and not borrowed.is_over:
            borrowed.is_used()
        elif not self.connection.is_live(camera):
            codec = self.connection.codecs.get(camera)
            stream = LiveStream(
                self.connection,
                None,
                Wanted(camera, codec, False, "http", False, None, shared=True),
                when_full="latest",
                buffer_bytes=STREAM_BUFFER,
            )
            await stream
            self._borrowed[camera] = _BorrowedStream(self.connection, stream)


class Sending:
    """A command on its way: its task, whether it may have reached the recorder, and whether a live stream was there."""

    __slots__ = ("before", "is_taken_back", "on_stream", "sent", "task")

    task: asyncio.Task[None]

    def __init__(self, before: Sending | None) -> None:
        self.before = before  # the command of the same camera that goes out first
        self.sent = False
        self.is_taken_back = False
        self.on_stream = False

    def take_back_unsent(self) -> None:
        """Nothing that was submitted before, and has not gone out, goes out any more."""
        before = self.before
        while before is not None and not before.task.done():
            if not before.sent:
                before.is_taken_back = before.task.cancel()
            before = before.before


class _BorrowedStream:
    """A live stream that nobody watches; it is closed when it was not used for `STREAM_IDLE` seconds."""

    def __init__(self, connection: Connection, stream: LiveStream) -> None:
        self._connection = connection
        self._stream = stream
        self._timer: asyncio.TimerHandle | None = None
        connection.streams.add(self)
        self.is_used()

    @property
    def is_over(self) -> bool:
        """Whether it was closed, or has ended by itself."""
        return self._stream.state == "closed"

    def is_used(self) -> None:
        """A command needed it now."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._connection.loop.call_later(
            STREAM_IDLE, lambda: self._connection.spawn(self.aclose(), "close borrowed stream")
        )

    async def aclose(self) -> None:
        """Close it; safe to repeat."""
        if self._timer is not None:
            self._timer.cancel()
        self._connection.streams.discard(self)
        await self._stream.aclose()


class HeldMove:
    """A move that goes on while its block runs: ``async with camera.moving(pan=5):``; made by ``Camera.moving``.

    Entering raises as ``Camera.move``. The move is sent again every second, since a camera stops by itself after
    about two; a sending that fails is logged and made again. At the pace of 0.2 s up to eight moves can be held on one UID.

    Leaving sends a stop, whatever happened in the block, and takes 1.5 s at most, also when it is cancelled meanwhile.
    Where no answer to it came it raises, unless the block did; it is logged and still tried in either case. A session
    that is closed stops it too.
    """

    def __init__(self, controls: Controls, camera: int, move: Make) -> None:
        move(NOBODY)
        self._controls = controls
        self._camera = camera
        self._move = move
        self._entered = False
        self._ended = False
        self._holding: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<HeldMove camera={self._camera}>"

    async def __aenter__(self) -> Self:
        if self._entered:
            raise RuntimeError("a held move is entered once; make another with camera.moving(…)")
        connection = self._controls.connection
        connection.check_usable()
        self._entered = True
        connection.streams.add(self)  # closing the session stops the camera
        first = self._controls.submit(self._camera, self._move)
        try:
            await self._controls.outcome(first)
        except BaseException as error:
            if first.sent and _may_be_done(error):
                await self._end()
            self._ended = True
            connection.streams.discard(self)
            raise
        self._holding = connection.spawn(self._hold(), f"held move of camera {self._camera}")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        failure = await self._end()
        if failure is not None and error is None:
            raise failure

    async def aclose(self) -> None:
        """Stop the camera; safe to repeat, bounded in time. The block goes on without moving it."""
        await self._end(CLOSE_TIME)

    async def _hold(self) -> None:
        loop = self._controls.connection.loop
        due = loop.time()
        failing = False
        while not self._ended:
            due = max(due + HOLD_INTERVAL, loop.time())
            await asyncio.sleep(due - loop.time())
            try:
                await self._controls.outcome(
                    self._controls.submit(self._camera, self._move, (HOLD_INTERVAL,))
                )
            except NVRError as error:
                if not failing:
                    logger.warning("held move of camera %d: %s", self._camera, error)
                failing = True
            else:
                failing = False

    async def _end(self, patience: float = STOP_TIME) -> NVRError | None:
        """Send a stop and wait for its answer, `patience` seconds at most; return why there was none."""
        if self._ended:
            return None
        self._ended = True
        self._controls.connection.streams.discard(self)
        if self._holding is not None:
            self._holding.cancel()
        stop = self._controls.submit_stop(self._camera).task
        try:
            await _outlast(stop, patience)
        finally:
            failure = _failure(stop, self._camera)
            if failure is not None:
                logger.warning("camera %d may still be moving: %s", self._camera, failure)
        return failure


def _may_be_done(error: BaseException) -> bool:
    """Whether a move that ended so may have been done."""
    return not isinstance(error, NVRError) or (
        isinstance(error, CommandError) and error.status is None
    )


async def _outlast(task: asyncio.Task[None], seconds: float) -> None:
    """Wait until a task is done, `seconds` at most; a cancellation goes on afterwards, however often it came."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    cancelled: asyncio.CancelledError | None = None
    with anyio.CancelScope(shield=True):
        while not task.done() and loop.time() < until:
            try:
                await asyncio.wait((task,), timeout=until - loop.time())
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is not None:
        raise cancelled


def _failure(stop: asyncio.Task[None], camera: int) -> NVRError | None:
    """Return why a stop was not answered, or None where it was."""
    if not stop.done():
        return CommandError(
            f"camera {camera}: no answer to stop within {STOP_TIME:g} s; it is still being tried, and"
            " i-PRO cameras stop by themselves about 2 s after the last move",
            command="directctrl.cgi",
            status=None,
        )
    if stop.cancelled():
        return ConnectionFailedError(
            f"camera {camera}: the session was closed before it was stopped"
        )
    failure = stop.exception()
    return failure if failure is None or isinstance(failure, NVRError) else NVRError(str(failure))
