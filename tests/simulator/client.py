"""The plainest client that can be: httpx with its own digest, and parts split by hand."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import httpx

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from nvrclient.simulator import SimulatedRecorder

DELIMITER = b"--myboundary\r\n"
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # for HTTP: trusts nobody, and is made once


@dataclass
class Viewer:
    """A client of one recorder."""

    recorder: SimulatedRecorder
    http: httpx.AsyncClient
    uid: str = ""

    async def log_in(self, password: str | None = None) -> httpx.Response:
        auth = httpx.DigestAuth(self.recorder.username, password or self.recorder.password)
        answer = await self.http.get("/cgi-bin/dlogin.cgi?UID=-1", auth=auth)
        found = re.findall(r"UID=(\d+)", answer.text)
        self.uid = found[0] if found else ""
        return answer

    async def get(self, cgi: str, query: str) -> int:
        """Send a command with the UID in front; returns the status."""
        answer = await self.http.get(f"/cgi-bin/{cgi}?UID={self.uid}&{query}".rstrip("&"))
        return answer.status_code

    async def set_up(self) -> None:
        assert (await self.log_in()).status_code == 200
        assert await self.get("hdrctl.cgi", "SCREEN=16X&PC=AS60") == 200

    @contextlib.asynccontextmanager
    async def live(self, camera: int, comp: str) -> AsyncIterator[Live]:
        url = f"/cgi-bin/push.cgi?UID={self.uid}&CAM={camera}&CMD=START&COMP={comp}&INTERNETMODE=ON"
        async with self.http.stream("GET", url) as response:
            live = Live(response)
            try:
                yield live
            finally:
                await live.chunks.aclose()

    async def parts(self, camera: int, comp: str, count: int) -> list[tuple[str, bytes]]:
        """Take live over HTTP until so many parts are there: content type and body of each; then STOP."""
        async with self.live(camera, comp) as live:
            assert live.response.status_code == 200
            parts = await live.parts(count)
        assert await self.get("push.cgi", f"CAM={camera}&CMD=STOP&COMP={comp}") == 200
        return parts


class Live:
    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.chunks = cast("AsyncGenerator[bytes]", response.aiter_raw())
        self.raw = b""

    async def parts(self, count: int) -> list[tuple[str, bytes]]:
        """Read until so many parts are whole."""
        parts: list[tuple[str, bytes]] = []
        while len(parts) < count:
            cut = self.raw.find(b"\r\n\r\n")
            size = re.search(rb"(?i)content-length: (\d+)", self.raw[:cut]) if cut > 0 else None
            if size and len(self.raw) >= cut + 4 + int(size[1]) + 2:
                kind = re.search(rb"(?i)content-type: (\S+)", self.raw[:cut])
                assert self.raw.startswith(DELIMITER)
                assert kind
                end = cut + 4 + int(size[1])
                parts.append((kind[1].decode(), self.raw[cut + 4 : end]))
                self.raw = self.raw[end:].removeprefix(b"\r\n")
            else:
                self.raw += await anext(self.chunks)
        return parts


@contextlib.asynccontextmanager
async def viewing(recorder: SimulatedRecorder) -> AsyncIterator[Viewer]:
    """A client that is logged in and has set up live."""
    context = (
        ssl.create_default_context(cafile=recorder.certificate) if recorder.certificate else PLAIN
    )
    async with httpx.AsyncClient(
        base_url=recorder.url,
        verify=context,
        trust_env=False,
        timeout=5,
    ) as http:
        viewer = Viewer(recorder, http)
        await viewer.set_up()
        yield viewer


@contextlib.asynccontextmanager
async def watching(recorder: SimulatedRecorder) -> AsyncIterator[Viewer]:
    """Open a recorder, and a client of it."""
    async with recorder, viewing(recorder) as viewer:
        yield viewer


def rtp_payload(packet: bytes) -> bytes:
    """The payload of an RTP packet; only for packets without padding."""
    start = 12 + 4 * (packet[0] & 0xF)
    if packet[0] & 0x10:
        start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4], "big")
    return packet[start:]


async def settle() -> None:
    """Let the recorder see what the network did."""
    for _ in range(10):
        await asyncio.sleep(0.005)
