"""A download to disk, over HTTP from a server in a process of its own.

| contender | what it does |
|---|---|
| ours | `Camera.download`: parts, files, SHA-256, a thread for the disk, fsync, final name, manifest |
| httpx | bare httpx: the same body to one file, written as it comes, and fsync |

The two take turns; a ratio is of wall-clock time, since a thread of ours works beside the loop. The files are compared
with what the server sent before anything is timed, and after. Memory is what the process has grown by at its peak.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from time import perf_counter

import httpx

import nvrclient
from benchmarks.measurement import Row, WrongOutputError, peak_memory
from benchmarks.server import Server

NAME = "download"

MUST = 0.8
"""Of the speed of bare httpx: what parsing, hashing and safe names may cost."""

AIM = 1.0
"""The disk's thread works while the loop reads: it should cost nothing."""

MUST_MEMORY, AIM_MEMORY = 32.0, 16.0
"""MiB more at the peak than before; two batches of 1 MiB and the sockets' buffers are what is needed."""

BYTES_A_SECOND_OF_MEDIA = 256 << 20
"""So that the usual four seconds of media are a gigabyte."""

PARTS = 256 << 10
"""Bytes of a part."""

START = datetime(2023, 11, 15, tzinfo=UTC)
END = START + timedelta(hours=1)


def run(rounds: int, seconds: float, say: Callable[[str], None]) -> list[Row]:
    """Start the server, check both contenders' files, time them."""
    size = round(seconds * BYTES_A_SECOND_OF_MEDIA) // PARTS * PARTS
    rounds = min(rounds, 5)  # a gigabyte each
    say(f"{size >> 20} MiB in parts of {PARTS >> 10} KiB, {rounds} rounds")
    with (
        tempfile.TemporaryDirectory(dir=Path.cwd()) as scratch,
        Server("benchmarks.download", str(size)) as server,
    ):
        to = Path(scratch)
        _ours(server.url, to / "ours")  # what is imported and allocated once
        _check(to / "ours", size)
        _bare(server.url, to / "bare")
        ours: list[float] = []
        bare: list[float] = []
        grown: list[float] = []
        for _ in range(rounds):
            before = peak_memory(reset=True)
            ours.append(_ours(server.url, to / "ours"))
            grown.append(peak_memory() - before)
            _check(to / "ours", size)
            bare.append(_bare(server.url, to / "bare"))
    ratios = [other / own for own, other in zip(ours, bare, strict=True)]
    parts = size // PARTS
    say(f"{size / median(ours) / 1e6:.0f} MB/s; bare httpx {size / median(bare) / 1e6:.0f} MB/s")
    case = f"{size >> 20} MiB"
    return [
        Row(
            NAME, case, "speed ÷ bare httpx to disk", "large", round(median(ratios), 3), round(min(ratios), 3),
            round(max(ratios), 3), MUST, AIM, round(median(ours) / parts * 1e9),
        ),
        Row(
            NAME, case, "MiB more memory", "small", round(median(grown), 1), round(min(grown), 1), round(max(grown), 1),
            MUST_MEMORY, AIM_MEMORY, round(median(ours) / parts * 1e9),
        ),
    ]  # fmt: skip


def _ours(url: str, to: Path) -> float:
    """Download by the library; return the seconds from the request to the whole file on the disk."""
    shutil.rmtree(to, ignore_errors=True)

    async def download() -> float:
        async with nvrclient.connect(url, "ADMIN", "secret") as nvr:
            began = perf_counter()
            await nvr.camera(1).download(START, END, to)
            return perf_counter() - began

    gc.collect()
    return asyncio.run(download())


def _bare(url: str, to: Path) -> float:
    """Fetch the same body by httpx alone."""

    async def fetch() -> float:
        transport = httpx.AsyncHTTPTransport(trust_env=False)
        async with httpx.AsyncClient(transport=transport, timeout=None) as client:
            began = perf_counter()
            with to.open("wb", buffering=0) as file:
                async with client.stream("GET", f"{url}/cgi-bin/httpdl.cgi?UID=1") as response:
                    async for piece in response.aiter_raw():
                        file.write(piece)
                os.fsync(file.fileno())
            return perf_counter() - began

    to.unlink(missing_ok=True)
    gc.collect()
    return asyncio.run(fetch())


def _check(folder: Path, size: int) -> None:
    """Hold the file against what the server sends."""
    [path] = folder.glob("*.mp4")
    expected = hashlib.sha256()
    for number in range(size // PARTS):
        expected.update(_block(number))
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").digest() != expected.digest():
            raise WrongOutputError(
                f"{path.name}: {path.stat().st_size} bytes, or other ones than were sent"
            )


_NOISE = hashlib.shake_256(b"download").digest(PARTS - 8)


def _block(number: int) -> bytes:
    """Return one part's body: no two are alike."""
    return number.to_bytes(8, "big") + _NOISE


def _serve(listener: socket.socket, size: int) -> None:
    """Answer one connection after the other: enough of a recorder to log in and download."""
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_talk, args=(connection, size), daemon=True).start()


def _talk(connection: socket.socket, size: int) -> None:
    with connection, connection.makefile("rb") as requests:
        while line := requests.readline():
            while requests.readline().strip():
                pass
            if b"httpdl.cgi" not in line:
                body = b"UID=1"
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
                )
                continue
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: multipart/form-data\r\nConnection: close\r\n\r\n"
            )
            head = b"X-Temp-FileName: 001.tmp\r\nX-Prev-Filename: \r\nX-RecData-Satus: 0\r\n"
            head = b"--myboundary\r\n%sContent-Length: %d\r\n\r\n" % (head, PARTS)
            for number in range(size // PARTS):
                _send(connection, head + number.to_bytes(8, "big"), _NOISE, b"\r\n")
            connection.sendall(
                b"--myboundary\r\nX-Prev-Filename: 001.mp4\r\n\r\n\r\n--myboundary--\r\n"
            )
            return


def _send(connection: socket.socket, *pieces: bytes) -> None:
    """Send pieces without joining them: the server's work is not what is measured, and it takes a core."""
    sent = connection.sendmsg(pieces)
    for piece in pieces:
        if sent < len(piece):
            connection.sendall(memoryview(piece)[sent:])
        sent = max(0, sent - len(piece))


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
