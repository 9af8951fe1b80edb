"""Whether the recorder can be reached, and who may try while that is in doubt.

A recorder that restarts is met by every stream, keep-alive and playback of a session at once. While it is in doubt
whether it answers, those that work in the background send one command at a time, `PROBE_INTERVAL` apart, for all of
them; as soon as one is answered all go on. What a caller asks for himself goes out at once, and tells as well.

Keep-alives take every second turn, if they want it, and do not wait for an answer to what another is trying: a UID would
end meanwhile, and status.cgi is often answered where nothing else is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

PROBE_INTERVAL = 8.6
"""Seconds between two tries: a recorder that starts up sees seven connections a minute, however many streams wait, and one
more where a keep-alive was under way."""

STARTING_UP = 503
"""The status with which a recorder that starts up answers everything."""


class Reach:
    """See the module; belongs to the event loop that is running."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._probing: set[bool] = (
            set()
        )  # the kinds of turn that are under way: urgent ones, others
        self._next_at = 0.0
        self._queues: dict[bool, deque[object]] = {True: deque(), False: deque()}  # those who wait
        self._last_was_urgent = False
        self._changed: asyncio.Event | None = None  # there is one while somebody waits
        self.is_doubted = False

    def doubt(self) -> None:
        """Something broke that may have been the whole recorder: the next command may go out at once, alone."""
        if not self.is_doubted:
            self.is_doubted = True
            self._next_at = self._loop.time()

    def heard(self, status: int | None) -> None:
        """A command was answered with this status, or not (None)."""
        if status is None:
            self.doubt()
        elif self.is_doubted and status != STARTING_UP:
            self.is_doubted = False
            self._wake()

    @asynccontextmanager
    async def turn(self, *, urgent: bool = False) -> AsyncGenerator[None]:
        """Wait until a command may be sent in the background; in doubt, hold up the others meanwhile."""
        probes = await self._wait(urgent)
        try:
            yield
        finally:
            if probes:
                self._probing.discard(urgent)
                self._wake()

    def _is_next(self, place: object, urgent: bool) -> bool:
        """Whether nobody goes before this one: of its kind first come first served, of the kinds in turn."""
        if self._queues[urgent][0] is not place:
            return False
        others_first = bool(self._queues[not urgent]) and self._last_was_urgent == urgent
        return not others_first and not (urgent in self._probing if urgent else self._probing)

    async def _wait(self, urgent: bool) -> bool:
        """Wait; return whether the doubt is still there, and the turn taken is to clear it."""
        if not self.is_doubted:
            return False
        place = object()
        queue = self._queues[urgent]
        queue.append(place)
        try:
            while self.is_doubted:
                wait = self._next_at - self._loop.time()
                is_next = self._is_next(place, urgent)
                if is_next and wait <= 0:
                    self._probing.add(urgent)
                    self._last_was_urgent = urgent
                    self._next_at = self._loop.time() + PROBE_INTERVAL
                    return True
                if self._changed is None:
                    self._changed = asyncio.Event()
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait if is_next else None):
                        await self._changed.wait()
            return False
        finally:
            queue.remove(place)
            self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.set()
