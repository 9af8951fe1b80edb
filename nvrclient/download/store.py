"""Downloads into a folder: files whole or not at all, and an earlier run resumed (specification 6.3)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from nvrclient.commands.download import Request
from nvrclient.connection import Connection
from nvrclient.download.download import Download, IncomingFile, Limits
from nvrclient.download.folder import Folder
from nvrclient.download.manifest import StoredFile
from nvrclient.download.names import file_name
from nvrclient.download.worker import Worker
from nvrclient.errors import (
    CertificateMismatchError,
    ConnectionFailedError,
    NoRecordingError,
    TruncatedDownloadError,
)
from nvrclient.tasks import bugs_told, misuse

logger = logging.getLogger("nvrclient.download")

RETRIES = (3.0, 5.0, 10.0, 20.0, 30.0)
"""Seconds from a transfer that broke off to the next try: a recorder that restarts is back by the last. Each file that
becomes whole begins them anew."""

PROGRESS = 0.1
"""Seconds between two calls of `progress` while bytes come: what a display can show."""


@dataclass(frozen=True, slots=True)
class DownloadProgress:
    """How far a download is.

    ``file``: the file under way, by the recorder's temporary name, or the one that is whole now; ``bytes`` received so
    far; ``covered`` of ``total``, in recorded time; ``gaps``: requests without recording; ``finished``: the file that
    became whole, or was found whole, with this call.
    """

    file: str
    bytes: int
    covered: timedelta
    total: timedelta
    gaps: tuple[tuple[datetime, datetime], ...] = ()
    finished: StoredFile | None = None


class Store:
    """One download into one folder; `run` it, once."""

    def __init__(
        self,
        connection: Connection,
        owner: object,
        requests: Sequence[Request],
        limits: Limits,
        to: Path,
        progress: Callable[[DownloadProgress], object] | None,
    ) -> None:
        self._connection = connection
        self._owner = owner
        self._requests = requests
        self._limits = limits
        self._folder = Folder(to)
        self._worker = Worker()
        self._progress = progress
        self._told_at = -1.0
        self._bytes = 0
        self._done = timedelta()
        self._total = sum((request.length for request in requests), timedelta())
        self._gaps: list[tuple[datetime, datetime]] = []

    async def run(self) -> list[Path]:
        """Return the paths of all files of the range, in order. Cancelling it leaves whole files and nothing else."""
        with bugs_told(str(self._requests[0])):
            return await self._run()

    async def _run(self) -> list[Path]:
        try:
            await self._worker.run(self._folder.open)
            stored: list[StoredFile] = []
            for request in self._requests:
                stored += await self._request(request)
                self._done += request.length
            if not stored:
                raise NoRecordingError(
                    f"download of camera {self._requests[0].camera}: the recorder has nothing between"
                    f" {self._requests[0].start.isoformat()} and {self._requests[-1].end.isoformat()}"
                )
            self._tell(stored[-1].file)
        finally:
            closing = self._connection.spawn(
                self._worker.close(self._folder.close), "end of a download into a folder"
            )
            await self._connection.result(closing)
        return [self._folder.path / one.file for one in stored]

    async def _request(self, request: Request) -> list[StoredFile]:
        """Return the files of a request: an earlier run's, or fetched, tried again where the answer breaks off."""
        tries = 0
        while True:
            if not self._connection.is_open:
                raise ConnectionFailedError(f"{request}: the session was closed meanwhile")
            earlier = await self._worker.run(self._folder.recall, request)
            if _are_all(earlier):
                for one in earlier:
                    self._tell(one.file, finished=one)
                return earlier
            have, counted = len(earlier), (self._limits.files, self._limits.bytes)
            try:
                return await self._fetch(request, earlier)
            except (TruncatedDownloadError, ConnectionFailedError) as error:
                self._limits.files, self._limits.bytes = counted
                await self._worker.drop()
                await self._worker.run(self._folder.abandon)
                have = len(await self._worker.run(self._folder.recall, request)) - have
                tries = 0 if have > 0 else tries
                if not self._heals(error) or tries == len(RETRIES):
                    raise
                logger.warning("%s; trying again in %g s", error, RETRIES[tries])
            await asyncio.sleep(RETRIES[tries])
            tries += 1

    def _heals(self, error: Exception) -> bool:
        return (
            self._connection.is_open
            and self._connection.options.reconnect
            and not isinstance(error, CertificateMismatchError)
        )

    async def _fetch(self, request: Request, earlier: list[StoredFile]) -> list[StoredFile]:
        stored: list[StoredFile] = []
        asked = self._connection.host_time()
        first: datetime | None = None
        async with Download(self._connection, self._owner, (request,), self._limits) as files:
            try:
                async for file in files:
                    first = first or file.local_time
                    await self._receive(request, file, _covered(request, first, file.local_time))
                    one = await self._keep(request, file, asked, earlier, len(stored) + 1)
                    stored.append(one)
                    self._tell(one.file, finished=one)
            except NoRecordingError:
                logger.warning("%s: nothing is recorded", request)
                if earlier:  # it was recorded then, and is stored
                    return earlier
                self._gaps.append((request.start, request.end))
                await self._worker.run(self._folder.note_gap, request)
        return stored

    async def _receive(self, request: Request, file: IncomingFile, covered: timedelta) -> None:
        worker, write = self._worker, self._folder.write
        await worker.run(self._folder.begin, request)
        async for chunk in file:
            self._bytes += len(chunk)
            await worker.write(chunk, write)
            self._tell(file.temporary_name, covered, now=False)
        await worker.flush(write)

    async def _keep(
        self,
        request: Request,
        file: IncomingFile,
        asked: datetime,
        earlier: list[StoredFile],
        number: int,
    ) -> StoredFile:
        """Give a file its final name, unless an earlier run has stored it."""
        assert file.sent_name is not None
        for one in earlier:
            if one.sent_name == file.sent_name:
                earlier.remove(one)
                await self._worker.run(self._folder.abandon)
                return one
        return await self._worker.run(
            self._folder.finish,
            StoredFile(
                file=file_name(file.sent_name),
                camera=request.camera,
                kind=request.kind,
                range=(request.start, request.end),
                bytes=0,
                sha256="",
                sent_name=file.sent_name,
                number=number,
                is_last=file.is_last,
                asked=asked,
            ),
        )

    def _tell(
        self,
        file: str,
        covered: timedelta = timedelta(),
        *,
        finished: StoredFile | None = None,
        now: bool = True,
    ) -> None:
        """Call `progress`, not too often; what it raises ends the download."""
        if self._progress is None:
            return
        time = self._connection.loop.time()
        if now or time >= self._told_at + PROGRESS:
            self._told_at = time
            state = DownloadProgress(
                file, self._bytes, self._done + covered, self._total, tuple(self._gaps), finished
            )
            try:
                told = self._progress(state)
            except Exception as error:  # noqa: BLE001  the caller's
                raise misuse(error)  # noqa: B904  the same one
            if asyncio.iscoroutine(told):
                told.close()
                raise misuse(
                    TypeError("progress: a plain function, not an async one: nothing awaits it")
                )


def _are_all(files: Sequence[StoredFile]) -> bool:
    """Whether these are all files of a request."""
    numbers = [one.number for one in files]
    return bool(files) and files[-1].is_last and numbers == [*range(1, len(files) + 1)]


def _covered(request: Request, first: datetime | None, begins: datetime | None) -> timedelta:
    """Return how much of a request is over when a file begins, as far as the files' names tell."""
    if first is None or begins is None:
        return timedelta()
    return max(timedelta(), min(begins - first, request.length))
