"""Download: the files of a range as they come, for those who store them elsewhere. A thin handle on a `Fetch`."""

from __future__ import annotations

import asyncio
import warnings
import weakref
from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Self

from nvrclient.commands.download import Request
from nvrclient.connection import Connection
from nvrclient.container.download import FileBegin, FileData, FileEnd
from nvrclient.download.names import check_name, file_name, free_name, local_time
from nvrclient.download.transfer import Transfer
from nvrclient.errors import ConnectionFailedError, DownloadError, NoRecordingError
from nvrclient.stream import Openable
from nvrclient.tasks import bugs_told, misuse

MAX_FILES_PER_HOUR = 1000
"""Files of an hour asked for, where `max_files` does not say: one every 3.6 s. Recorders split an hour into a few."""

MAX_BYTES_PER_HOUR = 64 << 30
"""Bytes of an hour asked for, where `max_bytes` does not say: 150 Mbit/s, several times what a 4K camera sends."""


_PASSED_OVER = "this file was passed over: read each before asking for the next"


class Limits:
    """What a download may bring at most; `count` what it brings."""

    def __init__(
        self, requests: Sequence[Request], max_files: int | None, max_bytes: int | None
    ) -> None:
        for name, value in (("max_files", max_files), ("max_bytes", max_bytes)):
            if value is not None and value < 1:
                raise ValueError(f"{name}: 1 or more, not {value}")
        hours = len(requests)
        self.max_files = max_files if max_files is not None else hours * MAX_FILES_PER_HOUR
        self.max_bytes = max_bytes if max_bytes is not None else hours * MAX_BYTES_PER_HOUR
        self.files = 0
        self.bytes = 0

    def count(self, request: Request, *, files: int = 0, data: int = 0) -> None:
        """Add to what came. Raises DownloadError past a limit."""
        self.files += files
        self.bytes += data
        if self.files > self.max_files:
            raise DownloadError(f"{request}: more than {self.max_files} files (max_files)")
        if self.bytes > self.max_bytes:
            raise DownloadError(f"{request}: more than {self.max_bytes} bytes (max_bytes)")


class Fetch:
    """The state behind a `Download`: requests one after the other, one transfer at a time."""

    def __init__(self, connection: Connection, requests: Sequence[Request], limits: Limits) -> None:
        self.connection = connection
        self.limits = limits
        self.gaps: list[tuple[datetime, datetime]] = []
        self.file = 0  # the number of the file that has begun last
        self.begun: str | None = None  # its temporary name while data of it may come
        self.name = ""  # of the file that ended last, to store it under
        self.closed = False
        self._names: set[str] = set()  # of the files given
        self._requests = deque(requests)
        self._transfer: Transfer | None = None
        self._opening: asyncio.Task[bool] | None = None  # so that closing from elsewhere ends it
        self._done = False
        self._found = False
        self._busy = False
        self._given_up: BaseException | None = None

    @property
    def request(self) -> Request:
        """The request under way."""
        assert self._transfer is not None
        return self._transfer.request

    async def next(self) -> FileBegin | FileData | FileEnd | None:
        """Return what comes next; None at the end. What it raises, or a cancellation, ends the download."""
        if self._busy:
            raise RuntimeError("another task waits for this download already: it has one consumer")
        if self._done:
            return None
        if self._given_up is not None:
            raise self._given_up
        self._busy = True
        try:
            with bugs_told("download"):
                return await self._next()
        except BaseException as error:
            closed = self.closed and not self.connection.is_open
            ended = not isinstance(error, Exception)
            self._given_up = (
                DownloadError("download: it was cancelled; open another") if ended else error
            )
            await self.aclose()
            if ended or not closed:
                raise
        finally:
            self._busy = False
        raise ConnectionFailedError("download: the session was closed meanwhile")

    async def _next(self) -> FileBegin | FileData | FileEnd | None:
        while True:
            if self.closed:
                if self.connection.is_open:
                    raise misuse(RuntimeError("this download is closed; open another"))
                raise ConnectionFailedError("download: the session was closed meanwhile")
            transfer = self._transfer
            if transfer is None:
                if not self._requests:
                    break
                self._transfer = transfer = Transfer(self.connection, self._requests.popleft())
                self._opening = self.connection.spawn(transfer.open(), str(transfer.request))
                if not await self.connection.result(self._opening):
                    self.gaps.append((self.request.start, self.request.end))
                    await self._end_transfer()
                    continue
            match await transfer.next():
                case FileBegin() as event:
                    self.limits.count(self.request, files=1)
                    check_name(event.temporary)
                    self.file += 1
                    self.begun = event.temporary
                    self._found = True
                    return event
                case FileData() as event:
                    assert self.begun is not None
                    self.limits.count(self.request, data=len(event.data))
                    return event
                case FileEnd() as event:
                    self.begun = None
                    self.name = free_name(file_name(event.name), self._names.__contains__)
                    self._names.add(self.name)
                    if event.last:
                        await self._end_transfer()
                    return event
                case _:
                    await self._end_transfer()
        await self.aclose()
        self._done = self._found
        if self.gaps and not self._found:
            raise NoRecordingError(
                f"download: the recorder has nothing between {self.gaps[0][0].isoformat()} and"
                f" {self.gaps[-1][1].isoformat()}"
            )
        return None

    async def aclose(self) -> None:
        """Close the connection and give everything back; bounded in time. Cancelling it does not stop the closing."""
        self.closed = True
        self.connection.streams.discard(self)
        await self._end_transfer()

    async def _end_transfer(self) -> None:
        transfer, self._transfer = self._transfer, None
        opening, self._opening = self._opening, None
        if transfer is not None and opening is not None:
            work = self.connection.spawn(_end(transfer, opening), f"end of {transfer.request}")
            await self.connection.result(work)


async def _end(transfer: Transfer, opening: asyncio.Task[bool]) -> None:
    opening.cancel()
    await asyncio.wait((opening,))
    await transfer.close()


class Download(Openable):
    """The files of a range as they come; made by ``Camera.open_download``.

    ``async with`` it, then ``async for file in download`` and ``async for chunk in file``. It reads no faster than it
    is read. A file that is not read to its end is passed over. Iterating raises NoRecordingError where nothing at all
    is recorded (single requests without are in `gaps`), TruncatedDownloadError where an answer breaks off or pauses,
    UnsafeFileNameError, DownloadError past a limit, UnsupportedMediaError (MP4 of JPEG), RecorderBusyError,
    SessionLimitError, CommandError, ConnectionFailedError, ProtocolError. What it raises ends it, and so does
    cancelling a wait in it; closing it frees the recorder at once.
    """

    def __init__(
        self, connection: Connection, owner: object, requests: Sequence[Request], limits: Limits
    ) -> None:
        self.camera = requests[0].camera
        self.range = (requests[0].start, requests[-1].end)
        self._connection = connection
        self._owner = owner  # the session's handle lives as long as this one
        self._requests = tuple(requests)
        self._limits = limits
        self._fetch: Fetch | None = None
        self._closed = False
        self._finalizer: weakref.finalize[..., Download] | None = None

    def __repr__(self) -> str:
        start, end = self.range
        return f"<Download camera {self.camera}, {start.isoformat()} to {end.isoformat()}>"

    @property
    def total(self) -> timedelta:
        """How much is asked for: the range on whole minutes."""
        return self.range[1] - self.range[0]

    @property
    def gaps(self) -> tuple[tuple[datetime, datetime], ...]:
        """The requests, so far, in whose time nothing is recorded."""
        return tuple(self._fetch.gaps) if self._fetch is not None else ()

    async def _open(self) -> Self:
        self._connection.check_usable()
        if self._fetch is not None or self._closed:
            raise RuntimeError("this download was opened already; make another")
        self._fetch = fetch = Fetch(self._connection, self._requests, self._limits)
        self._connection.streams.add(fetch)
        self._finalizer = weakref.finalize(self, _dropped, self._connection, fetch, repr(self))
        self._finalizer.atexit = False  # the interpreter's end closes sockets by itself
        return self

    async def aclose(self) -> None:
        """Close the connection at once and free UID and turn; at most 2 s. Safe to repeat.

        Cancelling it does not stop the closing.
        """
        self._connection.check_loop()
        self._closed = True
        if self._finalizer is not None:
            self._finalizer.detach()
        if self._fetch is not None:
            await self._fetch.aclose()

    def __aiter__(self) -> Self:
        self._opened()
        return self

    async def __anext__(self) -> IncomingFile:
        fetch = self._opened()
        while (event := await fetch.next()) is not None:
            if isinstance(event, FileBegin):
                return IncomingFile(self, fetch, event.temporary)
        raise StopAsyncIteration

    def _opened(self) -> Fetch:
        if self._fetch is None:
            raise RuntimeError(
                "this download is not open: write `async with camera.open_download(…) as files:`"
                " around it"
            )
        if asyncio.get_running_loop() is not self._connection.loop:
            raise RuntimeError("this download belongs to another event loop")
        return self._fetch


class IncomingFile:
    """One file, as it comes: ``async for chunk in file``. It is whole when that loop has ended without an error.

    ``camera``; ``range``: the request it belongs to, at most an hour; ``temporary_name``: the recorder's, until the
    file is whole; ``local_time``: when it begins, by its name, in the recorder's local time, or None; ``bytes`` so far.
    """

    def __init__(self, download: Download, fetch: Fetch, temporary_name: str) -> None:
        request = fetch.request
        self.camera = request.camera
        self.range = (request.start, request.end)
        self.temporary_name = temporary_name
        self.local_time = local_time(temporary_name)
        self.bytes = 0
        self.name: str | None = None
        """None until it is whole; then the name to store it under: the recorder's, made safe, once in a download."""
        self.sent_name: str | None = None
        """None until it is whole; then the recorder's name."""
        self.is_last = False
        """Whether the request is complete with it."""
        self._download = download  # it lives as long as somebody reads a file of it
        self._fetch = fetch
        self._number = fetch.file

    def __repr__(self) -> str:
        return f"<IncomingFile {self.name or self.temporary_name!a} {self.bytes} bytes>"

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        fetch = self._fetch
        if self.name is not None:
            raise StopAsyncIteration
        if fetch.file != self._number or (fetch.begun is None and not fetch.closed):
            raise RuntimeError(_PASSED_OVER)
        event = await fetch.next()
        if isinstance(event, FileData):
            self.bytes += len(event.data)
            return event.data
        if event is None:  # the download has ended
            raise RuntimeError(_PASSED_OVER)
        assert isinstance(event, FileEnd)
        self.name, self.sent_name, self.is_last = fetch.name, event.name, event.last
        raise StopAsyncIteration


def _dropped(connection: Connection, fetch: Fetch, what: str) -> None:
    """A download's handle was dropped without being closed."""
    if not connection.is_open:  # it was closed with its session
        return
    if not connection.loop.is_closed():
        connection.loop.call_soon_threadsafe(
            lambda: connection.spawn(fetch.aclose(), f"close dropped {what}")
        )
    warnings.warn(f"{what} was dropped without aclose()", ResourceWarning, stacklevel=2)
