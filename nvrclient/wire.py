"""Commands to one recorder: sent under a UID or without one, answered, and what a 401 to them means.

A 401 to a command with a UID means that the UID is gone; only a fresh UID that is
challenged at once is answered, and a recorder that does this is remembered. Of commands that a user may not be allowed
(`unsure`) it may mean that instead: then status.cgi decides.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import replace
from typing import TypeVar

from nvrclient.commands import login
from nvrclient.commands.command import Command, Uid
from nvrclient.credentials import UNAUTHORIZED, Credentials
from nvrclient.errors import ConnectionFailedError, NVRError
from nvrclient.options import Options, Secret
from nvrclient.reach import Reach
from nvrclient.stats import SessionStats
from nvrclient.tasks import Tasks
from nvrclient.transport.address import Address
from nvrclient.transport.http import (
    MAX_REPLY,
    Authorization,
    Body,
    HttpClient,
    Lane,
    Reply,
)
from nvrclient.uids import UidGoneError, UidSlot

_A = TypeVar("_A", Reply, Body)

REFUSAL_TIME = 1.0
"""Seconds in which a recorder refuses a password."""


class Wire(Tasks):
    """See the module. `username` and `password` go to dlogin.cgi only, and to recorders as the module says."""

    def __init__(self, address: Address, username: str, password: Secret, options: Options) -> None:
        super().__init__()
        self.address = address
        self.options = options
        self.reach = Reach()
        self.client = HttpClient(
            address, verify=options.verify, http2=options.http2, reach=self.reach
        )
        self.stats = SessionStats()
        self._credentials = Credentials(username, password)
        self._doubted = asyncio.Lock()  # over commands whose answer to a challenge may be wrong now

    @abstractmethod
    def lose(self, slot: UidSlot, error: NVRError | None = None) -> None:
        """The recorder no longer knows this UID: tell all who use it; with `error` they end by it."""

    def count(self, **more: int) -> None:
        """Add to the statistics."""
        self.stats = replace(
            self.stats, **{name: getattr(self.stats, name) + value for name, value in more.items()}
        )

    async def ask(
        self,
        make: Callable[[Uid], Command],
        slot: UidSlot,
        *,
        lane: Lane = "commands",
        limit: int = MAX_REPLY,
        timeout: float | None = None,
        fresh: bool = False,
        once: bool = False,
        again: bool = False,
        unsure: bool = False,
    ) -> Reply:
        """Send a command that carries this UID; return the answer. Raises UidGoneError, and as `HttpClient.get`.

        `timeout` in seconds, where it is shorter than the session's. `unsure`: a 401 is returned where the UID lives.
        """
        seconds = min(self.options.timeout, timeout or self.options.timeout)

        async def send(command: Command, authorization: Authorization | None) -> Reply:
            return await self.client.get(
                command,
                authorization,
                timeout=seconds,
                lane=lane,
                limit=limit,
                fresh=fresh,
                once=once,
                again=again,
            )

        return await self._carry(make(slot.uid), slot, send, unsure=unsure)

    async def stream(
        self,
        make: Callable[[Uid], Command],
        slot: UidSlot,
        *,
        timeout: float | None = None,
        unsure: bool = False,
    ) -> Body:
        """Send a command that carries this UID and is answered by an endless body; raises as `ask`.

        `timeout` in seconds until the answer begins, the session's where it is None.
        """
        seconds = self.options.timeout if timeout is None else timeout

        async def send(command: Command, authorization: Authorization | None) -> Body:
            return await self.client.stream(command, authorization, timeout=seconds)

        return await self._carry(make(slot.uid), slot, send, unsure=unsure)

    async def plain(self, command: Command) -> Reply:
        """Send a command that carries no UID; return the answer. Raises as `HttpClient.get`."""
        self.count(commands=1)
        return await self.client.get(command, None, timeout=self.options.timeout)

    async def _carry(
        self,
        command: Command,
        slot: UidSlot,
        send: Callable[[Command, Authorization | None], Awaitable[_A]],
        *,
        unsure: bool,
    ) -> _A:
        """Send a command with a UID and sort out a 401 to it."""
        self.count(commands=1)
        credentials = self._credentials
        if not (slot.fresh or credentials.settled.is_set()):
            await self._settled(command)
        async with self._alone() if credentials.is_doubted(self.loop.time()) else nullcontext():
            beforehand = credentials.beforehand(command)
            answer = await send(command, beforehand)
            if beforehand is not None:
                credentials.met(answer, self.loop.time())
        if answer.status == UNAUTHORIZED:
            challenged = credentials.challenge_in(answer, fresh=slot.fresh)
            await _discard(answer)
            if challenged:
                answer = await send(command, credentials.beforehand(command))
            if answer.status == UNAUTHORIZED:
                if challenged:
                    await _discard(answer)
                    credentials.forget_challenge()
                if unsure and await self._is_known(slot):
                    return answer
                self.lose(slot)
                raise UidGoneError
        slot.fresh = False
        if answer.status < 400:
            slot.last_contact = self.loop.time()
        return answer

    @asynccontextmanager
    async def _alone(self) -> AsyncGenerator[None]:
        """Go one by one; but not behind one that hangs: a wrong password is refused at once."""
        lock, held = self._doubted, False
        with suppress(TimeoutError):
            async with asyncio.timeout(REFUSAL_TIME):
                held = await lock.acquire()
        try:
            yield
        finally:
            if held:
                lock.release()

    async def _settled(self, command: Command) -> None:
        """Wait until a login has told whether the password is right: without its answer a command would be refused.

        Raises AuthenticationError, and ConnectionFailedError where no login is to be had.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(self.options.timeout):
                await self._credentials.settled.wait()
            self._credentials.check()
            return
        raise ConnectionFailedError(
            f"{command}: the recorder refused the password for another command, and has not answered a"
            " login since",
            sent=False,
        )

    async def _is_known(self, slot: UidSlot) -> bool:
        """Whether the recorder takes status.cgi under this UID."""
        try:
            return (await self.ask(login.keep_alive, slot, lane="keepalive")).status < 400
        except (NVRError, UidGoneError):
            return False


async def _discard(answer: Reply | Body) -> None:
    if isinstance(answer, Body):
        await answer.aclose()
