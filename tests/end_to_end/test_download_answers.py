"""Downloads from a recorder that is not the simulator: answers typed by hand, cut by TCP as no simulator cuts them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import nvrclient
from nvrclient import (
    ConnectionFailedError,
    NoRecordingError,
    ProtocolError,
    Session,
    TruncatedDownloadError,
)
from nvrclient.download.manifest import MANIFEST
from tests.clock import run_simulated
from tests.end_to_end.foreign import ForeignRecorder, Query
from tests.end_to_end.recordings import at
from tests.end_to_end.servers import reply
from tests.secrets import PASSWORD

BODIES = {f"00{n}.mp4": random.Random(n).randbytes(70_000 * n + 1) for n in (1, 2, 3)}
HEAD = b'HTTP/1.1 200 OK\r\nContent-Type: multipart/form-data; boundary="--myboundary"\r\n'


def part(temp: str, prev: str, body: bytes = b"", *, sized: bool = True) -> bytes:
    """Write one part as 6.3.1 prints its headers."""
    length = f"Content-Length: {len(body)}\r\n" if sized else ""
    return (
        (
            "--myboundary\r\n"
            f'X-Temp-FileName: filename = "{temp}"\r\nX-Prev-Filename: filename = "{prev}"\r\n'
            f"X-RecData-Satus: 0\r\n{length}\r\n"
        ).encode()
        + body
        + b"\r\n"
    )


def answer(*, sized: bool = True) -> bytes:
    out, last = b"", ""
    for name, body in BODIES.items():
        out += part(f"{name[:3]}.tmp", last, body, sized=sized)
        last = name
    return out + part("", last, sized=sized) + b"--myboundary--\r\n"


class Recorder(ForeignRecorder):
    """Answers httpdl.cgi with `pieces`, a write each; with a length at HTTP level or by closing."""

    def __init__(self, pieces: list[bytes], *, length: bool = False, chunked: bool = False) -> None:
        super().__init__()
        self.pieces = pieces
        self.length = length
        self.chunked = chunked
        self.raw: bytes | None = None
        self.silence = 0.0
        self.missing = 0  # bytes that the length tells of, and that never come
        self.ended = asyncio.Event()

    async def _answer(
        self, name: str, query: Query, authorization: str | None, writer: asyncio.StreamWriter
    ) -> bytes | None:
        if name != "httpdl" or query["UID"] not in self.uids:
            return await super()._answer(name, query, authorization, writer)
        await asyncio.sleep(self.silence)
        if self.raw is not None:
            return self.raw
        head = HEAD
        if self.length:
            head += b"Content-Length: %d\r\n" % (sum(map(len, self.pieces)) + self.missing)
        elif self.chunked:
            head += b"Transfer-Encoding: chunked\r\n"
        else:
            head += b"Connection: close\r\n"
        first, *rest = self.pieces
        for piece in (head + b"\r\n" + self._chunk(first), *map(self._chunk, rest)):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.001)
        if self.chunked:
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        if not self.length and not self.chunked:
            writer.write_eof()
            await asyncio.sleep(0.1)
            return None
        self.ended.set()
        return b""

    def _chunk(self, piece: bytes) -> bytes:
        return b"%x\r\n%s\r\n" % (len(piece), piece) if self.chunked else piece


@asynccontextmanager
async def session(recorder: Recorder, **options: object) -> AsyncGenerator[Session]:
    async with recorder:
        async with nvrclient.connect(recorder.url, "ADMIN", PASSWORD, **options) as nvr:
            yield nvr
        assert recorder.uids == set()


def kept(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != MANIFEST}


@pytest.mark.parametrize("sized", [True, False])
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("size", [1 << 20, 65_536, 197])
async def test_cut_anywhere(size: int, framing: str, sized: bool, tmp_path: Path) -> None:
    """All at once, too: the first read then brings headers and data together."""
    data = answer(sized=sized)
    if size < 1000:  # the beginning and the end in small pieces
        cuts = [*range(0, 3000, size), 100_000, *range(len(data) - 1500, len(data), size)]
    else:
        cuts = [*range(0, len(data), size)]
    pieces = [data[one:other] for one, other in zip(cuts, [*cuts[1:], len(data)], strict=True)]
    assert b"".join(pieces) == data
    recorder = Recorder(pieces, length=framing == "length", chunked=framing == "chunked")
    async with session(recorder, reconnect=False) as nvr:
        paths = await nvr.camera(1).download(at(0), at(3600), tmp_path)
        assert kept(tmp_path) == BODIES
        assert [path.name for path in paths] == list(BODIES)
        got = {}
        async with nvr.camera(1).open_download(at(0), at(3600)) as files:
            async for file in files:
                body = b"".join([chunk async for chunk in file])
                got[file.name] = body
        assert got == BODIES


@pytest.mark.parametrize("sized", [True, False])
async def test_row_65_the_connection_ends_anywhere(sized: bool, tmp_path: Path) -> None:
    """Whatever came before the cut is whole or not there."""
    data = answer(sized=sized)
    marks = [
        data.index(word, at)
        for at in (0, 80_000, len(data) - 400)
        for word in (b"X-Temp", b"X-Prev", b"\r\n\r\n")
    ]
    for number, cut in enumerate(sorted({0, 1, 40, *marks, *range(len(data) - 60, len(data), 7)})):
        to = tmp_path / str(number)
        recorder = Recorder([data[:cut]] if cut else [b""])
        async with session(recorder, reconnect=False) as nvr:
            try:
                await nvr.camera(1).download(at(0), at(3600), to)
                assert cut > len(data) - 30
            except TruncatedDownloadError:
                pass
        assert kept(to).items() <= BODIES.items(), cut


def test_a_recorder_may_prepare_for_a_while(tmp_path: Path) -> None:
    """100 s before the headers is no failure; 130 s is one."""

    async def run() -> None:
        recorder = Recorder([answer()], length=True)
        async with session(recorder, reconnect=False) as nvr:
            recorder.silence = 100
            await nvr.camera(1).download(at(0), at(3600), tmp_path)
            assert kept(tmp_path) == BODIES
            recorder.silence = 130
            with pytest.raises(ConnectionFailedError, match="no whole answer within 120 s"):
                await nvr.camera(1).download(at(3600), at(7200), tmp_path)

    run_simulated(run())


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (reply("204 No Content"), NoRecordingError),
        (reply("200 OK", b"", "Content-Type: multipart/form-data"), NoRecordingError),
        (reply("200 OK", b"<html>UID=5 is busy</html>", "Content-Type: text/html"), ProtocolError),
        (reply("200 OK", b"<html>" + b"x" * 90_000, "Content-Type: text/html"), ProtocolError),
        (reply("302 Found", b"", "Location: http://192.0.2.1/"), ProtocolError),
    ],
)
async def test_answers_that_are_no_download(
    raw: bytes, error: type[Exception], tmp_path: Path
) -> None:
    recorder = Recorder([])
    recorder.raw = raw
    async with session(recorder) as nvr:
        with pytest.raises(error):
            await nvr.camera(1).download(at(0), at(3600), tmp_path)
        assert kept(tmp_path) == {}


async def test_a_complete_answer_is_heard_out_and_one_that_stays_open_is_not(
    tmp_path: Path,
) -> None:
    recorder = Recorder([answer()], chunked=True)
    async with session(recorder) as nvr:
        await nvr.camera(1).download(at(0), at(3600), tmp_path)
        await asyncio.wait_for(recorder.ended.wait(), 1)

    recorder = Recorder([answer()], length=True)
    recorder.missing = 10
    loop = asyncio.get_running_loop()
    async with session(recorder) as nvr:
        began = loop.time()
        await nvr.camera(1).download(at(3600), at(7200), tmp_path / "b")
        assert loop.time() - began < 2
        assert kept(tmp_path / "b") == BODIES
