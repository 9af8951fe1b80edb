"""Downloads (section 6.3): their rules, how many run at a time, and the sending."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

from nvrclient.simulator.files import NotAsMp4Error, RecordedFile, recorded_files
from nvrclient.simulator.form_data import form_data, status_part
from nvrclient.simulator.http_server import Answer, EndlessAnswer
from nvrclient.simulator.recording import hundredths

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from nvrclient.simulator.download_readings import DownloadFault
    from nvrclient.simulator.http_server import Body
    from nvrclient.simulator.queries import Query
    from nvrclient.simulator.readings import Readings
    from nvrclient.simulator.recording import Recording
    from nvrclient.simulator.uids import Uid

__all__ = ["Download", "DownloadDesk", "FileNames"]

FileNames: TypeAlias = "Callable[[str], str | bytes]"

_HOUR = timedelta(hours=1)
NOTHING_RECORDED, NOT_AS_MP4, TOO_MANY = 1, 2, 3


@dataclass(slots=True, eq=False)
class Download:
    """A download that is going on: what was asked for, and how many bytes of the body were written."""

    camera: int
    start: datetime
    end: datetime
    kind: str
    bytes_sent: int = 0
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    def stop(self) -> None:
        """Send nothing more; the connection closes."""
        if self.task is not None:
            self.task.cancel()


@dataclass(slots=True)
class DownloadDesk:
    """Carries out httpdl.cgi. ``statuses`` says per camera what the status header says instead of files."""

    recordings: dict[int, Recording]
    readings: Readings
    clock: Callable[[], float]
    faults: list[DownloadFault | None]
    statuses: dict[int, int | str]
    rename: Callable[[], FileNames | None]
    running: list[Download] = field(default_factory=list[Download])
    most: int = 0

    def answer(self, uid: Uid, query: Query) -> Answer | EndlessAnswer | str:
        """Carry out a download; a string names the rule that was broken."""
        values = query.values
        text = f"httpdl.cgi of camera {values['CAM']}: "
        start, end = _time(values["STARTTIME"]), _time(values["ENDTIME"])
        if start is None or end is None:
            return text + "STARTTIME and ENDTIME are no dates and times that end in 00"
        if not start < end <= start + _HOUR:
            return text + "ENDTIME is not after STARTTIME, by an hour at most"
        if not self.readings.downloads.any_uid and uid.is_busy:
            return text + "live and playback on its UID: STOP comes first"
        download = Download(int(values["CAM"]), start, end, values["KIND"])
        if download.camera not in self.recordings:
            return Answer(404)
        self.most = max(self.most, len(self.running) + 1)
        fault = self._fault(download)
        if fault is not None and fault.http_status is not None:
            headers = () if fault.retry_after is None else (f"Retry-After: {fault.retry_after}",)
            return Answer(fault.http_status, headers=headers)
        files: list[RecordedFile] = []
        status = self.statuses.get(download.camera)
        if status is None and len(self.running) >= self.readings.downloads.limit:
            status = TOO_MANY
        if status is None:
            try:
                files = self.files(download.camera, start, end, download.kind)
                status = None if files else NOTHING_RECORDED
            except NotAsMp4Error:
                status = NOT_AS_MP4
        if status is not None:
            return self._endless(_refused(status_part(status, self.readings.downloads)))
        pieces = form_data(
            files, self.readings.downloads, fault, crlf_after_body=self.readings.crlf_after_body
        )
        self.running.append(download)
        uid.downloads.append(download)

        async def send(body: Body) -> None:
            download.task = asyncio.current_task()
            try:
                if download in uid.downloads:  # its UID may have gone since
                    await self._send(download, pieces, fault, body)
            finally:
                leave()

        def leave() -> None:
            if download in self.running:
                self.running.remove(download)
            if download in uid.downloads:
                uid.downloads.remove(download)

        return self._endless(send, leave)

    def files(self, camera: int, start: datetime, end: datetime, kind: str) -> list[RecordedFile]:
        """List the files of one request, under the names that are sent."""
        files = recorded_files(
            self.recordings[camera],
            camera,
            hundredths(start),
            hundredths(end),
            kind,
            self.readings.downloads,
            hundredths(self.clock()),
        )
        rename = self.rename()
        if rename is None:
            return files
        return [
            replace(file, name=rename(str(file.name)), temp_name=rename(str(file.temp_name)))
            for file in files
        ]

    def expected(
        self, camera: int, start: datetime, end: datetime, kind: str
    ) -> list[RecordedFile]:
        """List the files of requests hour by hour; an hour that gets status 2 has none."""
        files: list[RecordedFile] = []
        while start < end:
            until = min(start + _HOUR, end)
            with contextlib.suppress(NotAsMp4Error):
                files += self.files(camera, start, until, kind.upper())
            start = until
        return files

    def _fault(self, download: Download) -> DownloadFault | None:
        """Take the first fault that is meant for a download."""
        for number, fault in enumerate(self.faults):
            if fault is None or (
                fault.camera in {None, download.camera}
                and (fault.start is None or fault.start == download.start)
            ):
                return self.faults.pop(number)
        return None

    def _endless(
        self, send: Callable[[Body], Awaitable[None]], abandon: Callable[[], None] = lambda: None
    ) -> EndlessAnswer:
        hyphens = "--" if self.readings.boundary_with_hyphens else ""
        boundary = f"{hyphens}{self.readings.downloads.boundary}"
        return EndlessAnswer(
            f"multipart/form-data; boundary={boundary}",
            self.readings.framing,
            send,
            abandon=abandon,
        )

    async def _send(
        self, download: Download, pieces: Iterator[bytes], fault: DownloadFault | None, body: Body
    ) -> None:
        """Send a body, until a fault says otherwise."""
        ends = () if fault is None else (fault.cut_at, fault.close_at, fault.stall_at)
        end = min((n for n in ends if n is not None), default=None)
        rate = self.readings.downloads.bytes_per_second
        began = asyncio.get_running_loop().time()
        for whole in pieces:
            piece = whole if end is None else whole[: end - download.bytes_sent]
            if piece:  # a chunk of nothing would end the body
                await body.write((piece,))
            download.bytes_sent += len(piece)
            wait = 0.0
            if rate is not None:
                wait = began + download.bytes_sent / rate - asyncio.get_running_loop().time()
            await asyncio.sleep(max(wait, 0))  # in any case: a transport that takes all never waits
            if fault is not None and download.bytes_sent == end:
                await body.flush()
                if end == fault.cut_at:
                    raise ConnectionResetError("this download was to be cut")
                if end == fault.stall_at:
                    await asyncio.Event().wait()
                return


def _refused(part: bytes) -> Callable[[Body], Awaitable[None]]:
    async def send(body: Body) -> None:
        await body.write((part,))

    return send


def _time(value: str) -> datetime | None:
    """Read yymmddhhmmss, UTC; None where there is no such time, or its seconds are not 00."""
    year, month, day, hour, minute, second = (int(value[n : n + 2]) for n in range(0, 12, 2))
    try:
        moment = datetime(2000 + year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return None if second else moment
