"""The logged-in connection to one recorder: logins, UIDs and their keep-alive, commands, tasks, closing.

This is the state behind a Session. Tasks of its own hold it; it never holds the caller's handles, so that a handle
that was dropped is noticed.

Credentials (WIRE chapter 1): one login at a time, one answered challenge each. A refusal latches: no other
credential is sent. A 401 to a command with a UID means that the UID is gone; only a fresh UID that is challenged at
once is answered, and a recorder that does this is remembered.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from nvrclient.answers import check
from nvrclient.commands import live, login
from nvrclient.commands.command import Command, Uid
from nvrclient.credentials import Credentials
from nvrclient.errors import (
    CommandError,
    NVRError,
    SessionLimitError,
)
from nvrclient.frames import Codec
from nvrclient.login import log_in
from nvrclient.options import Options, Secret
from nvrclient.pace import Pace
from nvrclient.tasks import Tasks
from nvrclient.transport.http import (
    MAX_REPLY,
    Address,
    Authorization,
    Body,
    HttpClient,
    Lane,
    Reply,
)
from nvrclient.turns import Turns
from nvrclient.uids import UidGoneError, UidSlot, UidTable

logger = logging.getLogger("nvrclient.connection")

CLOSE_TIME = 1.5
"""Seconds for STOP and logout at the end; with the rest of closing it stays under 2 s whatever the peer does."""

RELOGIN_INTERVAL = 5.0
"""Seconds between logins after UIDs were lost: the first is made at once."""

UID_LIFETIME = 90.0
"""Seconds a UID lives after the last command that carried it (1.3)."""

LIFETIME_MARGIN = 5.0
"""Seconds before that at which a UID without a good answer counts as lost."""

CONTROL_IDLE = 10.0
"""Seconds for which a UID that only camera control used is kept for the next command."""

MAX_DOWNLOADS = 2
"""Downloads at a time; recorders answer a third with status 3 (6.3.1)."""

KEEPALIVE_RETRY = 5.0
"""Seconds to the next keep-alive after one that failed."""

_A = TypeVar("_A", Reply, Body)


@dataclass(frozen=True, slots=True)
class SessionStats:
    """What a session has done so far.

    ``logins`` (UIDs obtained), ``relogins`` (of these, after a UID was lost), ``credentials_sent``,
    ``keepalives`` (answered), ``keepalives_failed``, ``commands`` (sent), ``uids`` (held now),
    ``uids_lost``, ``streams`` (open now).
    """

    logins: int = 0
    relogins: int = 0
    credentials_sent: int = 0
    keepalives: int = 0
    keepalives_failed: int = 0
    commands: int = 0
    uids: int = 0
    uids_lost: int = 0
    streams: int = 0


class Closable(Protocol):
    """Something that is closed with the connection."""

    async def aclose(self) -> None:
        """Close it; bounded in time."""
        ...


class Connection(Tasks):
    """See the module. `username` and `password` are used at dlogin.cgi only (and as the module says)."""

    def __init__(self, address: Address, username: str, password: Secret, options: Options) -> None:
        super().__init__()
        self.address = address
        self.options = options
        self.client = HttpClient(address, verify=options.verify, http2=options.http2)
        self.stats = SessionStats()
        self.is_open = False
        self.streams: set[Closable] = set()
        self.codecs: dict[int, Codec] = {}  # found out, by camera
        self.channels = options.channels  # cameras the recorder supports, once known
        self.channels_asked = False
        self._credentials = Credentials(username, password)
        self._table = UidTable(options.max_uids)
        self._uid_lock = asyncio.Lock()  # over choosing a UID
        self._login_lock = asyncio.Lock()
        self._lost_uids = 0  # since the last login
        self._last_relogin: float | None = None
        self._keepers: dict[UidSlot, asyncio.Task[None]] = {}
        self.rtp_ports_used: set[int] = set()
        self._next_rtp_port = 0  # index in the range
        self.pace = Pace(self, options.command_interval)
        self.download_turns = Turns(min(MAX_DOWNLOADS, options.max_uids))
        self._closing: asyncio.Task[None] | None = None
        self._pid = os.getpid()

    # What it is

    def check_usable(self) -> None:
        """Raise RuntimeError where this is the wrong event loop or process, or the session is closed."""
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
        if not self.is_open:
            raise RuntimeError("the session is closed; open one with nvrclient.connect(…)")

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

    def count(self, **more: int) -> None:
        """Add to the statistics."""
        self.stats = replace(
            self.stats, **{name: getattr(self.stats, name) + value for name, value in more.items()}
        )

    def snapshot(self) -> SessionStats:
        """Return the statistics as they stand."""
        return replace(self.stats, credentials_sent=self._credentials.sent)

    # Opening and closing

    async def open(self) -> None:
        """Log in. Raises AuthenticationError, ConnectionFailedError, SessionLimitError, ProtocolError, CommandError."""
        self.is_open = True
        await self.client.open()
        async with self._uid_lock:
            await self._obtain()

    async def aclose(self) -> None:
        """Stop every stream, log out, free everything: at most 2 s whatever the recorder does. Safe to repeat.

        Cancelling it does not stop the closing.
        """
        if self._closing is None:
            self.is_open = False
            self._closing = self.loop.create_task(self._close(), name="nvrclient close")
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIME):
                await _all(stream.aclose() for stream in tuple(self.streams))
                async with self._login_lock:  # a login under way may still bring a UID to give back
                    await _all(self._log_out(slot) for slot in self._table)
        await self.end_tasks()
        await self.client.aclose()

    # UIDs

    async def lease_live(self, camera: int) -> UidSlot:
        """Return a UID for a live stream of `camera`, set up for live; give it back by `release`.

        Raises SessionLimitError when `max_uids` are in use, and what a login raises.
        """
        async with self._uid_lock:
            slot = self._table.for_live(camera) or await self._obtain_for(
                f"live stream of camera {camera}"
            )
            slot.cameras.add(camera)
            try:
                await self._set_up(slot)
            except BaseException:
                self.release(slot, camera)
                raise
            return slot

    async def lease_control(self, camera: int, since: float) -> UidSlot:
        """Return a UID on which `camera` can be controlled, known to the recorder at monotonic time `since`.

        Give it back by `release_control`. Raises as `lease_live`.
        """
        slot = self._table.for_control(camera, since)
        if slot is not None and slot.set_up:  # nothing to wait for
            slot.controls += 1
            return slot
        async with self._uid_lock:
            slot = self._table.for_control(camera, since) or await self._obtain_for(
                f"control of camera {camera}"
            )
            slot.controls += 1
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
            self._spare(slot)

    async def _set_up(self, slot: UidSlot) -> None:
        """Make the UID one of live streams (2.1.2.1), once."""
        if not slot.set_up:
            reply = await self.ask(live.set_up, slot)
            check(live.set_up(slot.uid), reply)
            slot.set_up = True

    async def lease_playback(self) -> UidSlot:
        """Return a UID for one playback, which alone moves it; give it back by `release_playback`; raises as `lease_live`."""
        async with self._uid_lock:
            slot = self._table.unused() or await self._obtain_for("playback")
            slot.plays = True
            slot.set_up = False  # for live it is set up again afterwards (3.1.7)
            return slot

    def release_playback(self, slot: UidSlot) -> None:
        """Give a UID back that played; as `release`."""
        slot.plays = False
        self._spare(slot)

    async def lease_download(self) -> UidSlot:
        """Return a UID for one download; give it back by `release_download`; raises as `lease_live`.

        Whether downloads can share a UID, with each other or with streams, is not specified: one of its own cannot be
        wrong, and there are two downloads at a time at most.
        """
        async with self._uid_lock:
            slot = self._table.unused() or await self._obtain_for("download")
            slot.downloads = True
            slot.set_up = False
            return slot

    def release_download(self, slot: UidSlot) -> None:
        """Give a UID back that downloaded; as `release`."""
        slot.downloads = False
        self._spare(slot)

    def release(self, slot: UidSlot, camera: int) -> None:
        """Give a UID back; one that nothing uses any more is logged out, unless it is the last."""
        slot.cameras.discard(camera)
        self._spare(slot)

    def is_live(self, camera: int) -> bool:
        """Whether a live stream of the camera hangs on one of the UIDs."""
        return any(camera in slot.cameras for slot in self._table)

    def _spare(self, slot: UidSlot) -> None:
        if self._closing is None and self._table.is_spare(slot):
            self._forget(slot)
            self.spawn(self._log_out(slot), f"logout UID #{slot.number}")

    def lose(self, slot: UidSlot) -> None:
        """The recorder no longer knows this UID: tell all who use it."""
        if slot in self._table:
            logger.info("UID #%d is gone; cameras %s", slot.number, sorted(slot.cameras))
            self._forget(slot)
            self._lost_uids += 1
            self.count(uids_lost=1)
            for watcher in tuple(slot.watchers):
                watcher()

    def _forget(self, slot: UidSlot) -> None:
        self._table.remove(slot)
        keeper = self._keepers.pop(slot, None)
        if keeper is not None and keeper is not asyncio.current_task():
            keeper.cancel()
        self.stats = replace(self.stats, uids=len(self._table))

    async def _obtain_for(self, what: str) -> UidSlot:
        if self._table.full:
            raise SessionLimitError(
                f"{what}: all {self.options.max_uids} UIDs of this session are in use (max_uids);"
                " close a stream first",
                retry_after=None,
            )
        return await self._obtain()

    async def _obtain(self) -> UidSlot:
        """Log in for one more UID; the caller holds the lock."""
        again = self._lost_uids > 0
        if again and self._credentials.refused is None:
            if self._last_relogin is not None:
                wait = self._last_relogin + RELOGIN_INTERVAL - self.loop.time()
                if wait > 0:
                    await asyncio.sleep(wait)
            self._last_relogin = self.loop.time()
        task = self.spawn(self._log_in_for_slot(again=again), "login")
        try:
            return await self.result(task)
        except asyncio.CancelledError:  # the UID comes all the same, and nobody waits for it
            task.add_done_callback(self._give_back)
            raise

    def _give_back(self, task: asyncio.Task[UidSlot]) -> None:
        if not task.cancelled() and task.exception() is None:
            self._spare(task.result())

    async def _log_in_for_slot(self, *, again: bool) -> UidSlot:
        """Log in and enter the UID, whether or not the caller still waits: so every UID issued is given back."""
        async with self._login_lock:
            self.count(commands=1)
            uid = await log_in(self.client, self._credentials, self.options.timeout)
            self._lost_uids = 0
            slot = self._table.add(uid, self.loop.time())
            name = f"keep-alive UID #{slot.number}"
            self._keepers[slot] = self.spawn(self._keep_alive(slot), name)
            self.count(logins=1, relogins=int(again))
            self.stats = replace(self.stats, uids=len(self._table))
            return slot

    async def _log_out(self, slot: UidSlot) -> None:
        self._forget(slot)
        with suppress(NVRError, UidGoneError):
            await self.ask(login.log_out, slot)

    async def _keep_alive(self, slot: UidSlot) -> None:
        """Hold a UID: status.cgi every `keepalive` seconds, sooner after a failure, until it is lost."""
        interval = self.options.keepalive
        due = self.loop.time() + interval
        failing = False
        while True:
            await asyncio.sleep(due - self.loop.time())
            try:
                reply = await self.ask(login.keep_alive, slot, lane="keepalive")
                check(login.keep_alive(slot.uid), reply)
            except UidGoneError:
                return
            except NVRError as error:
                self.count(keepalives_failed=1)
                if not failing:
                    logger.warning("keep-alive of UID #%d failed: %s", slot.number, error)
                failing = True
                if self.loop.time() - slot.last_contact > UID_LIFETIME - LIFETIME_MARGIN:
                    self.lose(slot)
                    return
                due = self.loop.time() + min(KEEPALIVE_RETRY, interval)
            else:
                failing = False
                self.count(keepalives=1)
                due = max(due + interval, self.loop.time())

    # Commands

    async def ask(
        self,
        make: Callable[[Uid], Command],
        slot: UidSlot,
        *,
        lane: Lane = "commands",
        limit: int = MAX_REPLY,
        timeout: float | None = None,
        fresh: bool = False,
    ) -> Reply:
        """Send a command that carries this UID; return the answer. Raises UidGoneError, and as `HttpClient.get`.

        `timeout` in seconds, where it is shorter than the session's.
        """
        seconds = min(self.options.timeout, timeout or self.options.timeout)

        async def send(command: Command, authorization: Authorization | None) -> Reply:
            return await self.client.get(
                command, authorization, timeout=seconds, lane=lane, limit=limit, fresh=fresh
            )

        return await self._carry(make(slot.uid), slot, send)

    async def stream(
        self, make: Callable[[Uid], Command], slot: UidSlot, *, timeout: float | None = None
    ) -> Body:
        """Send a command that carries this UID and is answered by an endless body; raises as `ask`.

        `timeout` in seconds until the answer begins, the session's where it is None.
        """
        seconds = self.options.timeout if timeout is None else timeout

        async def send(command: Command, authorization: Authorization | None) -> Body:
            return await self.client.stream(command, authorization, timeout=seconds)

        return await self._carry(make(slot.uid), slot, send)

    async def command(self, command: Callable[[Uid], Command], *, once: bool = False) -> Reply:
        """Send a command under any UID of the session, with one more login if that one is gone.

        `once`: whatever happens to it, on a connection of its own, which no recorder has closed in the meantime.
        """
        shown = command(Uid(""))
        for _ in range(2):
            slot = self._table.any()
            if slot is None:
                async with self._uid_lock:
                    slot = self._table.any() or await self._obtain()
            try:
                return await self.ask(
                    command, slot, lane="control" if once else "commands", fresh=once
                )
            except UidGoneError:
                continue
        raise CommandError(
            f"{shown}: the recorder refuses a UID that it has just issued (HTTP 401)",
            command=shown.name,
            status=401,
        )

    async def plain(self, command: Command) -> Reply:
        """Send a command that carries no UID; return the answer. Raises as `HttpClient.get`."""
        self.count(commands=1)
        return await self.client.get(command, None, timeout=self.options.timeout)

    async def _carry(
        self,
        command: Command,
        slot: UidSlot,
        send: Callable[[Command, Authorization | None], Awaitable[_A]],
    ) -> _A:
        """Send a command with a UID and sort out a 401 to it."""
        self.count(commands=1)
        credentials = self._credentials
        answer = await send(command, credentials.beforehand(command))
        if answer.status == 401:
            challenged = credentials.challenge_in(answer, fresh=slot.fresh)
            await _discard(answer)
            if challenged:
                answer = await send(command, credentials.beforehand(command))
            if answer.status == 401:
                if challenged:
                    await _discard(answer)
                    credentials.forget_challenge()
                self.lose(slot)
                raise UidGoneError
        slot.fresh = False
        if answer.status < 400:
            slot.last_contact = self.loop.time()
        return answer


async def _discard(answer: Reply | Body) -> None:
    if isinstance(answer, Body):
        await answer.aclose()


async def _all(works: Any) -> None:
    """Run all at once and wait for all; what fails in one is no other's business."""
    await asyncio.gather(*works, return_exceptions=True)
