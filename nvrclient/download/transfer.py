"""One request to the recorder: from the queue for its turn to the end of the answer (specification 6.3.1)."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import suppress
from functools import partial

from nvrclient.answers import check
from nvrclient.asked import MAX_NEW_UIDS
from nvrclient.commands import download as commands
from nvrclient.commands.command import Uid
from nvrclient.commands.download import Request
from nvrclient.connection import Connection
from nvrclient.container.download import DownloadReader, FileEvent, Refused, refusal
from nvrclient.download.stall import StallClock
from nvrclient.errors import (
    CommandError,
    ConnectionFailedError,
    DownloadError,
    NVRError,
    ProtocolError,
    RecorderBusyError,
    SessionLimitError,
    TruncatedDownloadError,
    UnsupportedMediaError,
)
from nvrclient.transport.http import Body
from nvrclient.turns import Turn
from nvrclient.uids import UidGoneError, UidSlot

logger = logging.getLogger("nvrclient.download")

STALLS = 6.0
"""Times the session's `stall_timeout` without a byte after which an answer counts as broken: 30 s where it is 5."""

PREPARING = 24.0
"""The same before its first byte, 120 s: a recorder may put an hour's file together before it sends any of it."""

BUSY_DELAYS = (3.0, 4.5, 7.0, 10.0)
"""Seconds from a refusal for too many at once to the next try; the last is repeated. No less than 3 s (1.3)."""

BUSY_TIME = 300.0
"""Seconds for which this goes on: another's download of an hour is over by then, or will take much longer."""


FAREWELL = 0.5
"""Seconds for a recorder to end a complete answer, so that it is not cut off in its last words."""


class Transfer:
    """See the module. `open` it, take events by `next`, `close` it; it sends nothing before and holds nothing after."""

    def __init__(self, connection: Connection, request: Request) -> None:
        self.request = request
        self._connection = connection
        self._turn: Turn | None = None
        self._slot: UidSlot | None = None
        self._body: Body | None = None
        self._reader = DownloadReader()
        self._events: deque[FileEvent] = deque()
        self._clock = StallClock(PREPARING * connection.options.stall_timeout)

    async def open(self) -> bool:
        """Wait for the turn, send the command, and wait for the first file; False where nothing is recorded.

        Raises RecorderBusyError when others have the recorder's places for `BUSY_TIME`, UnsupportedMediaError,
        SessionLimitError, CommandError, ConnectionFailedError, ProtocolError, DownloadError.
        """
        self._turn = await self._connection.download_turns.take()
        loop = self._connection.loop
        until = loop.time() + BUSY_TIME
        tries = 0
        while True:
            begun = loop.time()
            try:
                recorded = await self._begin()
            except (RecorderBusyError, SessionLimitError) as error:
                if self._slot is None:  # no UID: the recorder was not asked
                    raise
                delay = error.retry_after or BUSY_DELAYS[min(tries, len(BUSY_DELAYS) - 1)]
                await self._end_answer()
                if loop.time() + delay > until:
                    error.retry_after = delay
                    raise
                if not tries:
                    logger.info("%s: the recorder is busy, waiting", self.request)
            else:
                self._turn.accepted()
                return recorded
            tries += 1
            self._turn.refused()
            await asyncio.sleep(max(BUSY_DELAYS[0] - (loop.time() - begun), delay))

    async def next(self) -> FileEvent | None:
        """Return what comes next; None behind the last file.

        Raises TruncatedDownloadError where it breaks off or pauses for too long, and as `open`. Cancelling it ends the
        transfer: only `close` is left.
        """
        event = await self._next()
        if isinstance(event, Refused):
            self._refused(event)
            return None
        return event

    async def close(self) -> None:
        """Close the connection, give UID and turn back; bounded in time whatever the recorder does. Safe to repeat."""
        try:
            await self._end_answer()
        finally:
            if self._turn is not None:
                self._turn.end()

    async def _begin(self) -> bool:
        """Send the command; return whether files follow."""
        command = partial(commands.download, request=self.request)
        preparing = PREPARING * self._connection.options.stall_timeout
        self._reader, self._clock = DownloadReader(), StallClock(preparing)
        self._events.clear()
        until = self._connection.stats.logins + MAX_NEW_UIDS
        while self._body is None:
            self._slot = await self._connection.lease_download()
            try:
                self._body = await self._connection.stream(command, self._slot, timeout=preparing)
            except UidGoneError:
                self._connection.release_download(self._slot)
                self._slot = None
                if self._connection.stats.logins >= until:
                    raise CommandError(
                        f"{self.request}: the recorder refuses UIDs that it has just issued (HTTP 401)",
                        command="httpdl.cgi",
                        status=401,
                    ) from None
        body = self._body
        check(command(Uid("")), body)
        if status := refusal({name: values[0] for name, values in body.headers.items()}):
            self._refused(Refused(status))  # an answer without parts may say so in its own headers
            return False
        if body.status == 204 or body.headers.get("content-length") == ["0"]:
            return False
        event = await self._next()
        if isinstance(event, Refused):
            self._refused(event)
            return False
        if event is not None:
            self._events.appendleft(event)
        return True

    async def _next(self) -> FileEvent | None:
        while not self._events:
            if self._reader.finished or self._body is None:
                return None
            piece = await self._read(self._body)
            try:
                if piece:
                    self._clock.seconds = STALLS * self._connection.options.stall_timeout
                    self._events.extend(self._reader.feed(piece))
                else:
                    self._events.extend(self._reader.close())
            except DownloadError as error:
                told: NVRError = type(error)(f"{self.request}: {error}")
            except ProtocolError as error:
                told = ProtocolError(
                    f"{self.request}: {error}",
                    reading=error.reading,
                    offset=error.offset,
                    head=error.head,
                )
            else:
                continue
            raise told
        return self._events.popleft()

    async def _read(self, body: Body) -> bytes:
        """Return the next bytes, none at the end."""
        if self._reader.failed:
            return b""
        try:
            return await self._clock.wait(body.read())
        except TimeoutError:
            broken = f"not a byte came for {self._clock.seconds:g} s"
        except ConnectionFailedError as error:
            broken = str(error)
        raise TruncatedDownloadError(f"{self.request}: {broken}")

    def _refused(self, refused: Refused) -> None:
        """Raise what a status means; none for a time without recording."""
        match refused.status:
            case "1":
                if self._reader.open_file is None:
                    return
                error: NVRError = TruncatedDownloadError(
                    f"{self.request}: the recorder says that nothing is recorded, in the middle of a file"
                )
            case "2":
                error = UnsupportedMediaError(
                    f"{self.request}: recorded in a codec that MP4 cannot hold (JPEG); download kind="
                    '"n3", or play it'
                )
            case "3" if self._reader.open_file is not None:
                error = TruncatedDownloadError(
                    f"{self.request}: the recorder has no place for it any more, in the middle of a file"
                )
            case "3":
                error = RecorderBusyError(
                    f"{self.request}: the recorder gives two downloads at a time, and others than this"
                    " session have them"
                )
            case status:
                error = DownloadError(
                    f"{self.request}: the recorder refuses with status {status[:20]!a}, which is not"
                    " specified (X-RecData-Satus)"
                )
        raise error

    async def _end_answer(self) -> None:
        self._clock.stop()
        body, self._body = self._body, None
        slot, self._slot = self._slot, None
        try:
            if body is not None:
                if self._reader.finished:
                    await _see_off(body)
                await body.aclose()
        finally:
            if slot is not None:
                self._connection.release_download(slot)


async def _see_off(body: Body) -> None:
    """Read an answer on to its end: a closing mark, no more."""
    with suppress(ConnectionFailedError, TimeoutError):
        async with asyncio.timeout(FAREWELL):
            while await body.read():
                pass
