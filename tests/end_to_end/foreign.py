"""A recorder that is not the simulator: raw asyncio, written for the tests of one doubt at a time.

Its answers are methods to override, so that a test says in a line what its recorder does otherwise.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import socket
import struct
import time
from collections.abc import Iterator
from itertools import count
from typing import Self

from nvrclient.simulator import Clip
from tests.end_to_end.media import split
from tests.end_to_end.servers import reply
from tests.secrets import PASSWORD

Query = dict[str, str]

MULTIPART = (
    b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=--myboundary\r\n\r\n"
)
CHALLENGE = 'WWW-Authenticate: Digest realm="Network disk recorder", nonce="0a4f113b", qop="auth"'
NO = reply("401 Unauthorized")
OK = reply("200 OK", b"OK")
INTERVAL = 0.02


def part(body: bytes, kind: str = "application/octet-stream") -> bytes:
    head = f"--myboundary\r\nContent-type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body + b"\r\n"


def packets(clip: Clip, camera: int = 1, ssrc: int = 7) -> Iterator[list[bytes]]:
    """Yield the RTP packets of picture after picture of an H.264 clip: FU-A of 1000 bytes (RFC 6184 5.8)."""
    numbers = count(65_530)
    for picture in count():
        timestamp = (0xFFFF0000 + 6000 * picture) & 0xFFFFFFFF
        tlvs = struct.pack(">HHHH", 4, 8, camera, 0)
        tlvs += struct.pack(">HHI4B", 7, 12, int(time.time()), 0, 9, 0, 0)
        payloads: list[bytes] = []
        for nal in split(clip.units[picture % len(clip)]):
            if len(nal) <= 1000:
                payloads.append(nal)
                continue
            pieces = [nal[at : at + 1000] for at in range(1, len(nal), 1000)]
            for index, piece in enumerate(pieces):
                flags = 0x80 * (index == 0) | 0x40 * (index == len(pieces) - 1)
                payloads.append(bytes((nal[0] & 0xE0 | 28, flags | nal[0] & 0x1F)) + piece)
        yield [
            struct.pack(
                ">BBHII",
                0x90,
                98 | 0x80 * (index == len(payloads) - 1),
                next(numbers) & 0xFFFF,
                timestamp,
                ssrc,
            )
            + struct.pack(">HH", 0, len(tlvs) // 4)
            + tlvs
            + payload
            for index, payload in enumerate(payloads)
        ]


class ForeignRecorder:
    """`async with` it; see the module."""

    clip = Clip.load("h264")

    def __init__(self) -> None:
        self.asked: list[tuple[str, Query]] = []
        self.targets: list[str] = []  # as they came
        self.uids: set[str] = set()
        self.credentials = 0
        self.wrong = 0
        self.connections = 0
        self._issued = count(5_550_000_000_000_000_001)
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def starts(self, comp: str) -> int:
        return sum(q.get("CMD") == "START" and q.get("COMP") == comp for _, q in self.asked)

    # What a test overrides: None means that the connection was dealt with

    def dlogin(self, authorization: str | None) -> bytes:
        if authorization is None:
            return reply("401 Unauthorized", b"", CHALLENGE)
        self.credentials += 1
        if not self.right(authorization):
            self.wrong += 1
            return self.refuses()
        uid = str(next(self._issued))
        self.uids.add(uid)
        return reply("200 OK", f'<a href="./hdrctl.cgi?UID={uid}&HTML=x">'.encode())

    def refuses(self) -> bytes:
        return reply("401 Unauthorized", b"", CHALLENGE)

    async def status(self, _query: Query) -> bytes:
        return OK

    async def getinfo(self, query: Query) -> bytes:
        return reply("200 OK", b"CAM_CONNECT_01CH=1\r\nCAM_CONNECT_02CH=0\r\n")

    async def start(self, query: Query, writer: asyncio.StreamWriter) -> bytes | None:
        if query["COMP"] == "AUDIO":
            return await self.audio(query, writer)
        if "PORT" in query:
            self.spawn(self.send_video(query))
            return OK
        writer.write(MULTIPART)
        await self.video(query, writer)
        return None

    async def video(self, query: Query, writer: asyncio.StreamWriter) -> None:
        for picture in packets(self.clip, int(query["CAM"])):
            writer.write(b"".join(part(packet) for packet in picture))
            await writer.drain()
            await asyncio.sleep(INTERVAL)

    async def audio(self, query: Query, writer: asyncio.StreamWriter) -> bytes | None:
        if "PORT" in query:
            return OK  # and silence
        writer.write(MULTIPART)
        while True:
            writer.write(part(b"\0" + b"\xff" * 160, "audio/g.711"))
            await writer.drain()
            await asyncio.sleep(0.02)

    async def send_video(self, query: Query) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for picture in packets(self.clip, int(query["CAM"])):
                for packet in picture:
                    sock.sendto(packet, ("127.0.0.1", int(query["PORT"])))
                await asyncio.sleep(INTERVAL)

    # Inside

    def spawn(self, work: object) -> None:
        task = asyncio.ensure_future(work)  # type: ignore[call-overload]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def right(self, authorization: str) -> bool:
        """RFC 7616, MD5 and qop=auth."""
        field = dict(re.findall(r'(\w+)="?([^",]*)"?', authorization))
        secret = _md5(f"ADMIN:{field['realm']}:{PASSWORD}")
        request = _md5(f"GET:{field['uri']}")
        parts = (field["nonce"], field["nc"], field["cnonce"], "auth", request)
        return _md5(":".join((secret, *parts))) == field["response"]

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                target = head.split(" ")[1]
                self.targets.append(target)
                path, _, query_text = target.partition("?")
                query = dict(pair.split("=", 1) for pair in query_text.split("&") if "=" in pair)
                name = path.rpartition("/")[2].removesuffix(".cgi")
                found = re.search(r"^authorization: *(.*)\r$", head, re.MULTILINE | re.IGNORECASE)
                self.asked.append((name, query))
                answer = await self._answer(name, query, found[1] if found else None, writer)
                if answer is None:
                    return
                writer.write(answer)
                await writer.drain()
                if await self.answered(writer):
                    return
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def answered(self, _writer: asyncio.StreamWriter) -> bool:
        """Return whether the connection ends here."""
        return False

    async def _answer(
        self, name: str, query: Query, authorization: str | None, writer: asyncio.StreamWriter
    ) -> bytes | None:
        if name == "dlogin":
            return self.dlogin(authorization)
        if name == "as_getinfo":
            return await self.getinfo(query)
        if query.get("UID") not in self.uids:
            return NO
        if name == "logout":
            self.uids.discard(query["UID"])
        if name == "status":
            return await self.status(query)
        if query.get("CMD") == "START":
            return await self.start(query, writer)
        return OK


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()
