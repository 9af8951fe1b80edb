"""Keeps one UID alive: status.cgi on time, sooner after a failure and after the machine slept (6.2, 1.3).

A keep-alive without an answer proves nothing: the recorder may have had it. Its 401 says that the UID is gone; after
the life of a UID any other refusal does as well, and a while later no answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from nvrclient.errors import ConnectionFailedError, NVRError
from nvrclient.reach import Reach
from nvrclient.uids import UID_LIFETIME, UidGoneError

logger = logging.getLogger("nvrclient.keepalive")

SILENT = 120.0
"""Seconds without an answer after which a UID counts as gone: answers may be lost where commands are not."""

RETRY = 5.0
"""Seconds from a keep-alive that failed to the next; one that was not answered for as long is followed at once."""


class KeepAlive:
    """See the module. `send` sends one and raises what went wrong; `alive_at` tells when the UID last showed life.

    ``answered`` and ``failed`` count them.
    """

    def __init__(
        self,
        name: str,
        interval: float,
        reach: Reach,
        send: Callable[[], Awaitable[None]],
        alive_at: Callable[[], float],
    ) -> None:
        self.answered = 0
        self.failed = 0
        self._name = name
        self._interval = interval
        self._reach = reach
        self._send = send
        self._alive_at = alive_at
        self._hurry = asyncio.Event()

    def hurry(self) -> None:
        """Send one now: the UID may be gone."""
        self._hurry.set()

    async def run(self) -> None:
        """Keep the UID; return when it is gone."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._interval
        failing = False
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due - loop.time())):
                    await self._hurry.wait()
            self._hurry.clear()
            sent = loop.time()
            try:
                async with self._reach.turn(urgent=True):
                    await self._send()
            except UidGoneError:
                return
            except NVRError as error:
                self.failed += 1
                if not failing:
                    logger.warning("keep-alive of %s failed: %s", self._name, error)
                failing = True
                silent = isinstance(error, ConnectionFailedError)
                if loop.time() - self._alive_at() >= (SILENT if silent else UID_LIFETIME):
                    return
                due = sent + min(RETRY, self._interval)
            else:
                self.answered += 1
                failing = False
                due = max(due + self._interval, loop.time())
