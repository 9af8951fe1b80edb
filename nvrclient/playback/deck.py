"""The recorder's side of one playback: a UID of its own, and the commands that move it, in their documented order.

Whoever calls sends one command at a time. Nothing is sent twice blindly: a command lost on the way may have moved
the recorder, so the position is told again (`place`).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

import anyio

from nvrclient.answers import check
from nvrclient.commands import playback as commands
from nvrclient.commands.command import Command, Uid
from nvrclient.connection import Connection
from nvrclient.errors import CommandError, NVRError, ProtocolError, SessionLimitError
from nvrclient.playback.motion import Motion
from nvrclient.playback.pages import is_redirect
from nvrclient.registered import registered_cameras
from nvrclient.transport.http import MAX_REPLY, Reply
from nvrclient.uids import UidGoneError, UidSlot

logger = logging.getLogger("nvrclient.playback")

MAX_GOP = 32 << 20
"""Bytes of an answer with video: ten seconds of a 4K camera at its highest rate."""

MAX_AUDIO = 1 << 20
"""Bytes of an answer with audio; a second of it is 16 KB."""

MAX_STEP = 8
"""Fastest step of fast forward and reverse (chapter 7, TLV 0x000D)."""

MAX_UIDS_GONE = 3
"""UIDs in a row that may be gone before anything was answered to them."""

STOP_TIME = 1.0
"""Seconds for STOP; then the UID is given back all the same."""

_COUNTS = (16, 32, 64, 128, 4, 8, 9, 24)
"""Cameras a recorder may support, where it does not say: the usual ones first."""


class Deck:
    """See the module. `open` it, move it, ask it for data, `close` it.

    ``is_proven``: the recorder knew the UID, since it brought pictures, or was in use before this playback took it.
    """

    def __init__(self, connection: Connection, cameras: Sequence[int]) -> None:
        self.cameras = tuple(cameras)
        self.paused = False
        self.is_proven = False
        self.patient = False  # it has played before: it waits for a UID that is free
        self._connection = connection
        self._slot: UidSlot | None = None
        self._started = False  # PLAY or GOTODATE was sent: STOP is owed

    @property
    def is_open(self) -> bool:
        """Whether it holds a UID that lives."""
        return self._slot is not None

    def __str__(self) -> str:
        return (
            f"playback of camera{'s'[: len(self.cameras) - 1]} {', '.join(map(str, self.cameras))}"
        )

    async def open(self) -> None:
        """Take a UID and say which cameras are played on it (3.2.3).

        Raises SessionLimitError, CommandError, UidGoneError, and what a login raises.
        """
        if self._slot is not None:
            return
        slot = await self._connection.lease_playback(patient=self.patient)
        slot.watchers.add(self._lost)
        self._slot, self._started, self.paused = slot, False, False
        self.is_proven = not slot.fresh
        try:
            await self._choose_cameras()
        except BaseException:
            self._release(stopped=True)
            raise

    async def place(self, position: datetime | None, motion: Motion, steps: int) -> None:
        """Play from a position in this motion, whatever the recorder did before; None: from where it begins."""
        await self.open()
        self._started = True
        if position is None:
            await self.send(commands.play, again=True)
        else:
            await self.send(lambda uid: commands.go_to(uid, position), again=True)
        self.paused = False
        if position is None or motion is Motion.FORWARD:
            return
        await self.move(position, motion, steps)

    async def bring(self, position: datetime | None, motion: Motion, steps: int) -> None:
        """As `place`, on another UID where the one at hand is gone. Raises SessionLimitError where none lives."""
        for left in range(MAX_UIDS_GONE, 0, -1):
            try:
                await self.place(position, motion, steps)
            except UidGoneError:
                if left == 1:
                    raise self.no_uid_lives() from None
            else:
                return

    def no_uid_lives(self) -> SessionLimitError:
        """Return what to raise where UIDs are gone as soon as they are issued."""
        return SessionLimitError(
            f"{self}: the recorder drops UIDs as soon as they are issued; do other clients take all"
            " sixteen?",
            retry_after=30.0,
        )

    async def move(self, position: datetime, motion: Motion, times: int) -> None:
        """Reverse once, or fast forward or reverse so many steps, from the picture at `position` (3.2.5, 3.2.9)."""
        if motion is Motion.REVERSE:
            await self.send(lambda uid: commands.reverse(uid, position))
            return
        forward = motion is Motion.FAST_FORWARD
        for _ in range(times):
            await self.send(lambda uid: commands.fast(uid, position, forward=forward))

    async def pause(self, shown: datetime) -> None:
        """Pause at the picture shown (3.2.6)."""
        await self.send(lambda uid: commands.pause(uid, shown))
        self.paused = True

    async def step(self, shown: datetime, *, forward: bool) -> None:
        """Say that the picture after or before the one shown is wanted (3.2.7)."""
        await self.send(lambda uid: commands.step(uid, shown, forward=forward))

    async def video(self, camera: int) -> Reply:
        """Ask for the next GOP (3.2.1). Errors as `send`, but 204 is an answer: nothing there."""
        return await self._ask(lambda uid: commands.next_gop(uid, camera), limit=MAX_GOP)

    async def audio(self, camera: int) -> Reply:
        """Ask for the next second of audio (3.2.2); as `video`."""
        return await self._ask(lambda uid: commands.next_audio(uid, camera), limit=MAX_AUDIO)

    async def send(self, make: Callable[[Uid], Command], *, again: bool = False) -> None:
        """Send a command under the UID, `again` if it is lost with its connection: twice it does what it does once.

        Raises UidGoneError where it is gone, or may be since the command was sent elsewhere; and for an answer that is an
        error.
        """
        try:
            await self._ask(make, limit=MAX_REPLY, again=again)
        except ProtocolError as error:
            if is_redirect(error) and self.suspect():
                raise UidGoneError from None
            raise

    async def _ask(
        self, make: Callable[[Uid], Command], *, limit: int, again: bool = False
    ) -> Reply:
        slot = self._slot
        if slot is None:
            raise UidGoneError
        reply = await self._connection.ask(make, slot, lane="playback", limit=limit, again=again)
        check(make(slot.uid), reply)
        return reply

    async def close(self, position: datetime | None) -> None:
        """Send STOP (3.2.10), where playback was started, and give the UID back; bounded in time."""
        slot = self._slot
        if slot is None:
            return
        stopped = not self._started
        try:
            if self._started:
                when = position or self._connection.host_time()
                with (
                    anyio.move_on_after(STOP_TIME, shield=True),
                    suppress(NVRError, UidGoneError, ValueError),
                ):
                    await self._ask(lambda uid: commands.stop(uid, when), limit=MAX_REPLY)
                    stopped = True
        finally:
            self._release(stopped=stopped)

    def suspect(self) -> bool:
        """The UID was answered as one may be that was forgotten. Give it up if it is proven; return whether it was.

        Recorders that forget a UID may answer it by anything. One that was issued since the last picture is kept: the
        next would be answered alike.
        """
        if self._slot is None or not self.is_proven or not self._connection.options.reconnect:
            return False
        self._connection.suspect(self._slot, math.inf)  # nothing else hangs on it
        return True

    def _release(self, *, stopped: bool) -> None:
        slot, self._slot = self._slot, None
        if slot is not None:
            slot.watchers.discard(self._lost)
            self._connection.release_playback(slot, stopped=stopped)

    def _lost(self, _error: NVRError | None) -> None:
        """The UID is gone: the next command takes another."""
        if self._slot is not None:
            self._slot.watchers.discard(self._lost)
            self._slot = None

    async def _choose_cameras(self) -> None:
        """Send MASK; its length is the number of cameras the recorder supports, found out where it does not say."""
        connection = self._connection
        if connection.channels is None and not connection.channels_asked:
            connection.channels_asked = True
            with suppress(NVRError):
                await registered_cameras(connection)
        known = () if connection.channels is None else (connection.channels,)
        counts = [count for count in (*known, *_COUNTS) if count >= max(self.cameras)]
        refused: CommandError | None = None
        for count in dict.fromkeys(counts or [max(self.cameras)]):
            try:
                await self.send(
                    lambda uid, n=count: commands.choose_cameras(uid, self.cameras, n),  # type: ignore[misc]
                    again=True,
                )
            except CommandError as error:
                refused = refused or error
                if error.status in {403, 404} or connection.options.channels is not None:
                    break
            else:
                connection.channels = count
                return
        assert refused is not None
        raise refused
