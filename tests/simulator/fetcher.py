"""The plainest client of downloads: the query as it is printed, parts of the default reading split by hand."""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import httpx

from nvrclient.simulator import (
    CameraSetup,
    DownloadReadings,
    Readings,
    Recording,
    Segment,
    SimulatedRecorder,
)
from tests.simulator.client import PLAIN, Viewer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

MIDNIGHT = datetime(2023, 11, 15, tzinfo=UTC)
SECONDS = MIDNIGHT.timestamp()

# From 00:00 to 00:01, and from 00:02 to 00:03.
TWO_MINUTES = Recording(
    (
        Segment(SECONDS, "h264", "aac_48k_stereo", duration=60),
        Segment(SECONDS + 120, "h265", "pcmu", duration=60),
    )
)


class Part(NamedTuple):
    """One part: the X- headers by name, and its body."""

    names: dict[str, str]
    body: bytes


def parts_of(data: bytes) -> list[Part]:
    """Split a body of the default reading, to its very end."""
    parts: list[Part] = []
    while not data.startswith(b"--myboundary--\r\n"):
        head, _, data = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("utf-8", "surrogateescape").split("\r\n")
        assert first == "--myboundary"
        headers = dict(line.split(": ", 1) for line in lines)
        size = int(headers["Content-Length"])
        assert data[size : size + 2] == b"\r\n"
        names = {name: value for name, value in headers.items() if name.startswith("X-")}
        parts.append(Part(names, data[:size]))
        data = data[size + 2 :]
    assert data == b"--myboundary--\r\n"
    return parts


def files_of(data: bytes) -> list[tuple[str, bytes]]:
    """Follow the names of section 6.3.1: what a download ends up with."""
    files: list[tuple[str, bytes]] = []
    temp, held = "", b""
    for part in parts_of(data):
        if part.names:
            assert part.names["X-RecData-Satus"] == "0"
            now, previous = (
                re.fullmatch('filename = "(.*)"', part.names[name])[1]  # type: ignore[index]
                for name in ("X-Temp-FileName", "X-Prev-Filename")
            )
            if previous:
                files.append((previous, held))
                held = b""
            assert bool(previous) or temp in {"", now}
            temp = now
        held += part.body
    assert not temp
    assert not held
    return files


def query(minute: float = 0, minutes: float = 1, kind: str = "MP4", camera: int = 1) -> str:
    start = MIDNIGHT + timedelta(minutes=minute)
    end = start + timedelta(minutes=minutes)
    return f"STARTTIME={start:%y%m%d%H%M%S}&ENDTIME={end:%y%m%d%H%M%S}&KIND={kind}&CAM={camera}&PC=AS60"


class Fetcher(Viewer):
    """A client that downloads, on a UID that carries nothing else."""

    async def ask(self, query: str) -> httpx.Response:
        return await self.http.get(f"/cgi-bin/httpdl.cgi?UID={self.uid}&{query}")

    def stream(self, query: str) -> contextlib.AbstractAsyncContextManager[httpx.Response]:
        return self.http.stream("GET", f"/cgi-bin/httpdl.cgi?UID={self.uid}&{query}")

    async def status(self, query: str) -> str:
        """Ask for what brings one part, without a body or a name: its status."""
        answer = await self.ask(query)
        assert answer.status_code == 200
        (part,) = parts_of(answer.content)
        assert part.body == b""
        assert part.names["X-Temp-FileName"] == part.names["X-Prev-Filename"] == 'filename = ""'
        return part.names["X-RecData-Satus"]

    def expected(
        self, minute: float = 0, minutes: float = 1, kind: str = "MP4"
    ) -> list[tuple[str, bytes]]:
        start = MIDNIGHT + timedelta(minutes=minute)
        files = self.recorder.download_files(1, start, start + timedelta(minutes=minutes), kind)
        return [(str(file.name), file.data) for file in files]


def stored(
    recording: Recording = TWO_MINUTES,
    *,
    tls: bool = False,
    readings: Readings | None = None,
    **switches: object,
) -> SimulatedRecorder:
    """A recorder whose cameras have recorded this; ``switches`` are those of downloads."""
    return SimulatedRecorder(
        cameras={n: CameraSetup("h264") for n in (1, 2, 3)},
        recording=recording,
        tls=tls,
        readings=replace(readings or Readings(), downloads=DownloadReadings(**switches)),  # type: ignore[arg-type]
    )


@contextlib.asynccontextmanager
async def fetching(recorder: SimulatedRecorder) -> AsyncGenerator[Fetcher]:
    """A client that is logged in, of a recorder opened for it."""
    async with (
        recorder,
        httpx.AsyncClient(base_url=recorder.url, verify=PLAIN, trust_env=False, timeout=5) as http,
    ):
        fetcher = Fetcher(recorder, http)
        await fetcher.log_in()
        yield fetcher
