"""The logged-in connection to one recorder: which UIDs it holds, who uses them, how they are kept and given back.

This is the state behind a Session. Tasks of its own hold it; it never holds the caller's handles, so that a handle
that was dropped is noticed. There is one login at a time, with one answered challenge; a refusal latches: no other
credential is sent.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol

from nvrclient.answers import check
from nvrclient.commands import live, login
from nvrclient.commands.command import Uid
from nvrclient.errors import (
    ConnectionFailedError,
    NVRError,
    ProtocolError,
    SessionLimitError,
)
from nvrclient.frames import Codec
from nvrclient.keepalive import KeepAlive
from nvrclient.login import log_in
from nvrclient.options import Options, Secret
from nvrclient.pace import LoginPace, Pace
from nvrclient.pulse import Pulse
from nvrclient.stats import SessionStats
from nvrclient.tasks import seen_through, told
from nvrclient.transport.address import Address
from nvrclient.turns import Turns
from nvrclient.uids import UidGoneError, UidSlot, UidTable
from nvrclient.wire import Wire

logger = logging.getLogger("nvrclient.connection")

CLOSE_TIME = 1.5
"""Seconds for STOP and logout at the end; with the rest of closing it stays under 2 s whatever the peer does."""

DOUBTED_TIME = 0.7
"""The same where the recorder has not answered lately, perhaps to the STOPs of streams that were closed just before."""

HURRY_TIME = 0.3
"""The same for a caller in a hurry; a recorder that is there has answered by then."""

CONTROL_IDLE = 10.0
"""Seconds for which a UID that only camera control used is kept for the next command."""

MAX_DOWNLOADS = 2
"""Downloads at a time; recorders answer a third with status 3 (6.3.1)."""

MAX_STARTS = 4
"""STARTs under way at once: a recorder is not run over when all its streams come back."""


class Closable(Protocol):
    """Something that is closed with the connection."""

    async def aclose(self) -> None:
        """Close it; bounded in time."""
        ...


class Connection(Wire):
    """See the module."""

    def __init__(self, address: Address, username: str, password: Secret, options: Options) -> None:
        super().__init__(address, username, password, options)
        self.is_open = False
        self.streams: set[Closable] = set()
        self.codecs: dict[int, Codec] = {}  # found out, by camera
        self.snapshot_codecs: dict[int, Codec] = {}  # what gave the last snapshot, by camera
        self.forbidden: set[str] = set()  # commands that this user may not send
        self.channels = options.channels  # cameras the recorder supports, once known
        self.channels_asked = False
        self._table = UidTable(options.max_uids)
        self._uid_lock = asyncio.Lock()  # over asking for a UID
        self._setting_up: dict[int, asyncio.Lock] = {}  # UIDs, by their number
        self._login_lock = asyncio.Lock()
        self._logins = LoginPace()
        self._keepers: dict[UidSlot, tuple[KeepAlive, asyncio.Task[None]]] = {}
        self._pulse = Pulse(self._slept)
        self.rtp_ports_used: set[int] = set()
        self._next_rtp_port = 0  # index in the range
        self.pace = Pace(self, options.command_interval)
        self.starts = asyncio.Semaphore(MAX_STARTS)
        self.download_turns = Turns(min(MAX_DOWNLOADS, options.max_uids))
        self._closing: asyncio.Task[None] | None = None
        self._pid = os.getpid()

    # What it is

    def check_usable(self) -> None:
        """Raise RuntimeError where this is the wrong event loop or process, or the session is closed."""
        self.check_loop()
        if not self.is_open:
            raise RuntimeError("the session is closed; open one with nvrclient.connect(…)")

    def check_loop(self) -> None:
        """Raise RuntimeError where this is the wrong event loop or process."""
        if os.getpid() != self._pid:
            raise RuntimeError(
                "this session belongs to the process that opened it; open one after fork"
            )
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if here is not self.loop:
            raise RuntimeError(
                "this session belongs to another event loop, which is not the one running here; use"
                " it in that loop, or open one in this"
            )

    def free_rtp_ports(self) -> list[int] | None:
        """Return the ports of `rtp_ports` to try, or None for any.

        The one after the last taken comes first: what a recorder still sends to a port just freed must not be
        taken for a new stream.
        """
        ports = self.options.rtp_ports
        if ports is None:
            return None
        at = self._next_rtp_port % len(ports)
        free = [port for port in (*ports[at:], *ports[:at]) if port not in self.rtp_ports_used]
        self._next_rtp_port = ports.index(free[0]) + 1 if free else at
        return free

    def host_time(self) -> datetime:
        """Return this computer's time."""
        return datetime.now(UTC)

    def snapshot(self) -> SessionStats:
        """Return the statistics as they stand."""
        return replace(
            self.stats,
            credentials_sent=self._credentials.sent,
            loop_lag_max=self._pulse.lag_max,
        )

    # Opening and closing

    async def open(self) -> None:
        """Log in. Raises AuthenticationError, ConnectionFailedError, SessionLimitError, ProtocolError, CommandError."""
        self.is_open = True
        await self.client.open()
        async with self._uid_lock:
            await self._obtain()
        self.spawn(self._pulse.run(), "pulse")

    async def aclose(self) -> None:
        """Stop every stream, log out, free everything: at most 2 s whatever the recorder does. Safe to repeat.

        It is through when it returns, also where it is cancelled meanwhile: what cancels it may end the program next. A
        second cancellation leaves at once, the closing going on; a task that was cancelled twice already, as by a second
        Ctrl-C, waits `HURRY_TIME` at most. Raises RuntimeError in another event loop or process than its own.
        """
        self.check_loop()
        if self._closing is None:
            caller = asyncio.current_task()
            seconds = CLOSE_TIME
            if self.reach.is_doubted:
                seconds = DOUBTED_TIME
            if caller is not None and caller.cancelling() > 1:
                seconds = HURRY_TIME
            self.is_open = False
            self._closing = self.loop.create_task(self._close(seconds), name="nvrclient close")
        await seen_through(self._closing)

    async def _close(self, seconds: float) -> None:
        self._credentials.settled.set()  # nothing waits for a login any more
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await _all(stream.aclose() for stream in tuple(self.streams))
                async with self._login_lock:  # a login under way may still bring a UID to give back
                    await _all(self._log_out(slot) for slot in self._table)
        await self.end_tasks()
        await self.client.aclose()

    # UIDs

    async def lease_live(self, camera: int, *, patient: bool = False) -> UidSlot:
        """Return a UID for a live stream of `camera`, set up for live; give it back by `release`.

        Raises SessionLimitError when `max_uids` are in use, and what a login raises. `patient`: a login waits while the
        recorder has no UID free.
        """
        slot = await self._lease(
            lambda: self._table.for_live(camera),
            lambda slot: slot.cameras.add(camera),
            f"live stream of camera {camera}",
            patient=patient,
        )
        try:
            await self._set_up(slot)
        except BaseException:
            self.release(slot, camera)
            raise
        return slot

    async def _lease(
        self,
        find: Callable[[], UidSlot | None],
        take: Callable[[UidSlot], object],
        what: str,
        *,
        patient: bool = False,
    ) -> UidSlot:
        """Take the UID that `find` finds, or else a new one; who waits for his login holds up nobody else."""
        while True:
            if (slot := find()) is not None:  # also while another caller's login is under way
                take(slot)
                return slot
            async with self._uid_lock:
                wait, slot = 0.0, find()
                if slot is None:
                    self._credentials.check()
                    self._check_room(what)
                    wait = self._logins.wait(self.loop.time(), patient=patient)
                    if wait <= 0:
                        slot = await self._obtain()
                if slot is not None:
                    take(slot)
                    return slot
            await asyncio.sleep(wait)

    async def lease_control(self, camera: int, since: float) -> UidSlot:
        """Return a UID on which `camera` can be controlled, known to the recorder at monotonic time `since`.

        Give it back by `release_control`. Raises as `lease_live`.
        """
        slot = self._table.for_control(camera, since)
        if slot is not None and slot.set_up:  # nothing to wait for
            _controls(slot)
            return slot
        slot = await self._lease(
            lambda: self._table.for_control(camera, since),
            _controls,
            f"control of camera {camera}",
        )
        try:
            await self._set_up(slot)
        except BaseException:
            self.release_control(slot)
            raise
        return slot

    def release_control(self, slot: UidSlot) -> None:
        """Give a UID back that controlled a camera; it is kept for `CONTROL_IDLE` seconds, where nothing else wants it."""
        slot.controls -= 1
        slot.controlled_at = self.loop.time()
        self.loop.call_later(CONTROL_IDLE, self._spare_idle, slot, slot.controlled_at)

    def _spare_idle(self, slot: UidSlot, since: float) -> None:
        if slot.controlled_at == since:  # no command came after it
            self.spare(slot)

    async def _set_up(self, slot: UidSlot) -> None:
        """Make the UID one of live streams (2.1.2.1), once. Raises UidGoneError where it was lost meanwhile."""
        lock = self._setting_up.setdefault(slot.number, asyncio.Lock())
        async with lock if not slot.set_up else nullcontext():
            if slot.gone:
                raise UidGoneError
            if not slot.set_up:
                reply = await self.ask(live.set_up, slot)
                check(live.set_up(slot.uid), reply)
                slot.set_up = True

    async def lease_playback(self, *, patient: bool = False) -> UidSlot:
        """Return a UID for one playback, which alone moves it; give it back by `release_playback`; as `lease_live`."""
        return await self._lease(self._table.unused, _plays, "playback", patient=patient)

    def release_playback(self, slot: UidSlot, *, stopped: bool = True) -> None:
        """Give a UID back that played; as `release`. One that may not have `stopped` is logged out: it plays on."""
        slot.plays = False
        if stopped:
            self.spare(slot)
        elif slot in self._table and self._closing is None:
            self._dismiss(slot)

    async def lease_download(self) -> UidSlot:
        """Return a UID for one download; give it back by `release_download`; raises as `lease_live`.

        Whether downloads can share a UID, with each other or with streams, is not specified: one of its own cannot be
        wrong, and there are two downloads at a time at most.
        """
        return await self._lease(self._table.unused, _downloads, "download")

    def release_download(self, slot: UidSlot) -> None:
        """Give a UID back that downloaded; as `release`."""
        slot.downloads = False
        self.spare(slot)

    def release(self, slot: UidSlot, camera: int) -> None:
        """Give a UID back; one that nothing uses any more is logged out, unless it is the last."""
        slot.cameras.discard(camera)
        self.spare(slot)

    def is_live(self, camera: int) -> bool:
        """Whether a live stream of the camera hangs on one of the UIDs."""
        return any(camera in slot.cameras for slot in self._table)

    def spare(self, slot: UidSlot) -> None:
        """Log a UID out that nothing uses, unless it is the last."""
        if self._closing is None and self._table.is_spare(slot):
            self._dismiss(slot)

    def lose(self, slot: UidSlot, error: NVRError | None = None) -> None:
        """The recorder no longer knows this UID: tell all who use it; with `error` they end by it."""
        if slot in self._table:
            logger.info("UID #%d is gone; cameras %s", slot.number, sorted(slot.cameras))
            self._forget(slot)
            lived = self.loop.time() - slot.issued_at
            self._logins.lost(lived, replaced=slot.replaces)
            self.count(uids_lost=1)
            for watcher in tuple(slot.watchers):
                watcher(error)

    def suspect(self, slot: UidSlot, since: float) -> None:
        """A command of a UID was refused after monotonic time `since`, when all that ran on it broke off.

        Recorders that forget a UID may answer its commands by anything: it is given back, and another taken, unless
        it was issued since or has brought pictures.
        """
        if slot.pictures_at < since and slot in self._table:
            self.lose(slot)
            self._dismiss(slot)

    def _forget(self, slot: UidSlot) -> None:
        self._table.remove(slot)
        self._setting_up.pop(slot.number, None)
        _, keeping = self._keepers.pop(slot, (None, None))
        if keeping is not None and keeping is not asyncio.current_task():
            keeping.cancel()
        self.stats = replace(self.stats, uids=len(self._table))

    def _check_room(self, what: str) -> None:
        now = self.loop.time()
        if self._table.is_full(now):
            raise SessionLimitError(
                f"{what}: all {self.options.max_uids} UIDs of this session are in use (max_uids), or the"
                " recorder may hold sixteen for it still; close a stream first",
                retry_after=self._table.free_in(now),
            )

    async def _obtain(self) -> UidSlot:
        """Log in for one more UID; the caller holds the lock."""
        task = self.spawn(self._log_in_for_slot(), "login")
        try:
            return await self.result(task)
        except asyncio.CancelledError:  # the UID comes all the same, and nobody waits for it
            task.add_done_callback(self._give_back)
            raise

    def _give_back(self, task: asyncio.Task[UidSlot]) -> None:
        if not task.cancelled() and task.exception() is None:
            self.spare(task.result())

    async def _log_in_for_slot(self) -> UidSlot:
        """Log in and enter the UID, whether or not the caller still waits: so every UID issued is given back."""
        async with self._login_lock:
            self.count(commands=1)
            again = self._logins.begin(self.loop.time())
            sent = self._credentials.sent
            try:
                uid = await log_in(self.client, self._credentials, self.options.timeout)
            except NVRError as error:
                now = self.loop.time()
                if not isinstance(error, ConnectionFailedError):  # `reach` paces those
                    self._logins.refused(now)
                unclear = isinstance(error, ConnectionFailedError | ProtocolError)
                if unclear and self._credentials.sent > sent:
                    self._table.abandon(now)  # perhaps a UID was issued
                raise
            self._logins.issued(self.loop.time())
            self._settle()
            self._make_room_for(uid, again=again)
            slot = self._table.add(uid, self.loop.time())
            slot.replaces = again
            self._keep(slot)
            self.count(logins=1, relogins=int(again))
            self.stats = replace(self.stats, uids=len(self._table))
            return slot

    def _settle(self) -> None:
        """The password is right: UIDs that wait for this may be asked for it once more."""
        if not self._credentials.settled.is_set():
            for slot in self._table:
                slot.fresh = True
            self._credentials.settled.set()

    def _make_room_for(self, uid: Uid, *, again: bool) -> None:
        """See to it that no UID is held twice: a recorder that was restarted begins to count anew."""
        held = next((slot for slot in self._table if slot.uid == uid), None)
        if held is None:
            return
        if not again:
            raise SessionLimitError(
                "login: the recorder issued a UID that this session holds already; it seems to have no"
                " other for this user or address",
                retry_after=None,
            )
        self.lose(held)

    def _dismiss(self, slot: UidSlot) -> None:
        """Forget a UID at once, and log it out in the background."""
        self._forget(slot)
        self.spawn(self._log_out(slot), f"logout UID #{slot.number}")

    async def _log_out(self, slot: UidSlot) -> None:
        self._forget(slot)
        try:
            await self.ask(login.log_out, slot)
        except UidGoneError:
            pass
        except NVRError:
            self._table.abandon(slot.last_contact)

    # Keeping UIDs

    def _keep(self, slot: UidSlot) -> None:
        name = f"UID #{slot.number}"

        async def send() -> None:
            try:
                reply = await self.ask(login.keep_alive, slot, lane="keepalive")
                check(login.keep_alive(slot.uid), reply)
            except NVRError:
                self.count(keepalives_failed=1)
                raise
            self.count(keepalives=1)

        async def run() -> None:
            try:
                await keeper.run()
                self.lose(slot)
            except Exception as bug:  # noqa: BLE001  nobody awaits this task: its streams tell
                self._table.abandon(slot.last_contact)
                self.lose(slot, told(f"keep-alive of {name}", bug))

        keeper = KeepAlive(name, self.options.keepalive, self.reach, send, lambda: slot.alive_at)
        self._keepers[slot] = keeper, self.spawn(run(), f"keep-alive {name}")

    def _slept(self, seconds: float) -> None:
        """The machine slept: UIDs may be gone, and nothing may be there yet."""
        logger.info("the machine slept for %.0f s", seconds)
        self.reach.doubt()
        for keeper, _ in self._keepers.values():
            keeper.hurry()

    # Any UID

    async def any_uid(self, what: str) -> UidSlot:
        """Return a UID for a command that needs one, with a login if there is none. Raises as `lease_live`."""
        return await self._lease(self._table.any, lambda _slot: None, what)

    async def new_uid(self, what: str) -> UidSlot:
        """Return a UID that is issued now; `spare` it. Raises as `lease_live`."""
        return await self._lease(lambda: None, lambda _slot: None, what)

    @property
    def has_uids(self) -> bool:
        """Whether the session holds any."""
        return len(self._table) > 0


def _controls(slot: UidSlot) -> None:
    slot.controls += 1


def _plays(slot: UidSlot) -> None:
    slot.plays = True
    slot.set_up = False  # for live it is set up again afterwards (3.1.7)


def _downloads(slot: UidSlot) -> None:
    slot.downloads = True
    slot.set_up = False


async def _all(works: Any) -> None:
    """Run all at once and wait for all; what fails in one is no other's business."""
    await asyncio.gather(*works, return_exceptions=True)
