"""A recorder that downloads, is controlled and tells about itself, and is not the simulator: raw asyncio.

What a test wants otherwise is a method to override: `files` writes the answer to httpdl.cgi, `control` what a camera's
command is answered by, `log` and `recorded` what it tells. ``broken`` collects what section 1.3 does not allow.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nvrclient
from nvrclient import Session
from tests.end_to_end.foreign import NO, OK, ForeignRecorder, Query
from tests.end_to_end.servers import reply
from tests.secrets import PASSWORD

DELIMITER = b"--myboundary"
MULTIPART = "Content-Type: multipart/form-data; boundary=myboundary"


def part(
    body: bytes = b"",
    *headers: str,
    temporary: str | None = None,
    finished: str | None = None,
    status: str | None = "0",
    length: int | None = -1,
) -> bytes:
    """Return a part; a name that is None has no header. ``length``: None leaves it out, -1 is true."""
    lines = list(headers)
    if temporary is not None:
        lines.append(f'X-Temp-FileName: filename = "{temporary}"')
    if finished is not None:
        lines.append(f'X-Prev-Filename: filename = "{finished}"')
    if status is not None:
        lines.append(f"X-RecData-Satus: {status}")
    if length is not None:
        lines.append(f"Content-Length: {len(body) if length < 0 else length}")
    head = b"\r\n".join([DELIMITER, *(line.encode("latin-1") for line in lines)])
    return head + b"\r\n\r\n" + body + b"\r\n"


def answer(*parts: bytes, closing: bytes = DELIMITER + b"--\r\n") -> bytes:
    """Return the whole answer, with its length."""
    return reply("200 OK", b"".join(parts) + closing, MULTIPART)


def whole(files: dict[str, bytes]) -> bytes:
    """Return an answer with these files, in the plainest form."""
    parts: list[bytes] = []
    before = ""
    for name, data in files.items():
        temporary = f"{name.rpartition('.')[0]}.tmp"
        parts.append(part(data, temporary=temporary, finished=before))
        before = name
    return answer(*parts, part(temporary="", finished=before))


class FilesRecorder(ForeignRecorder):
    """`async with` it; see the module."""

    def __init__(self, *answers: bytes) -> None:
        super().__init__()
        self.answers = list(answers)  # to httpdl.cgi, one after the other; the last again and again
        self.commands: list[tuple[float, str, Query]] = []  # of camera control, when they came
        self.running = 0  # downloads
        self.most = 0
        self.broken: list[str] = []

    @property
    def downloads(self) -> list[Query]:
        return [query for name, query in self.asked if name == "httpdl"]

    async def files(self, query: Query, writer: asyncio.StreamWriter) -> bytes | None:
        """Answer httpdl.cgi; None: it was dealt with, and the connection ends."""
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def control(self, name: str, query: Query, writer: asyncio.StreamWriter) -> bytes | None:
        return OK

    async def log(self, query: Query) -> bytes:
        return OK

    async def recorded(self) -> bytes:
        return OK

    async def _answer(
        self, name: str, query: Query, authorization: str | None, writer: asyncio.StreamWriter
    ) -> bytes | None:
        if name == "recordedtime":
            return await self.recorded()
        if name in {"httpdl", "directctrl", "camctl", "loglist"} and (
            query.get("UID") not in self.uids
        ):
            return NO
        if name == "loglist":
            return await self.log(query)
        if name in {"directctrl", "camctl"}:
            self.commands.append((asyncio.get_running_loop().time(), name, query))
            return await self.control(name, query, writer)
        if name == "httpdl":
            self.running += 1
            self.most = max(self.most, self.running)
            try:
                return await self.files(query, writer)
            finally:
                self.running -= 1
        return await super()._answer(name, query, authorization, writer)


@asynccontextmanager
async def session(recorder: FilesRecorder, **options: Any) -> AsyncGenerator[Session]:
    """A session that leaves the recorder no UID and no download."""
    async with recorder:
        async with nvrclient.connect(recorder.url, "ADMIN", PASSWORD, **options) as nvr:
            yield nvr
        async with asyncio.timeout(5):
            while recorder.uids or recorder.running:
                await asyncio.sleep(0.05)
        assert recorder.broken == []


def kept(folder: Path, but: Iterable[str] = ("nvrclient-manifest.json",)) -> dict[str, bytes]:
    """Return the files in a folder, without the manifest."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in but}
