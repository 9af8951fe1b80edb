"""A client that is nothing but sockets, for recorders whose answers are spoiled."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx

from tests.simulator.client import PLAIN, Viewer

if TYPE_CHECKING:
    from nvrclient.simulator import SimulatedRecorder

LONG = 30.0  # seconds of the simulated clock: what has not come by then does not come


@dataclass
class Wire:
    """One TCP connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, path: str) -> None:
        """Send a request."""
        self.writer.write(f"GET /cgi-bin/{path} HTTP/1.1\r\n\r\n".encode())
        await self.writer.drain()

    async def answer(self) -> tuple[int, bytes]:
        """Read a whole answer; status 0 = the connection ended in order before one came."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise
            return 0, b""
        size = re.search(rb"Content-Length: (\d+)", head)
        return int(head.split()[1]), await self.reader.readexactly(int(size[1]) if size else 0)

    async def fate(self, seconds: float = LONG) -> str:
        """What becomes of the connection: "open" (nothing comes), "more", "closed", or "reset"."""
        try:
            async with asyncio.timeout(seconds):
                return "more" if await self.reader.read(1) else "closed"
        except TimeoutError:
            return "open"
        except ConnectionResetError:
            return "reset"

    async def drain(self, seconds: float = LONG) -> tuple[bytes, str]:
        """All that comes until the connection ends, or for so long; and what became of it."""
        data = b""
        try:
            async with asyncio.timeout(seconds):
                while piece := await self.reader.read(65536):
                    data += piece
                return data, "closed"
        except TimeoutError:
            return data, "open"
        except ConnectionResetError:
            return data, "reset"


@contextlib.asynccontextmanager
async def wired(recorder: SimulatedRecorder) -> AsyncIterator[Wire]:
    """A connection to the recorder."""
    reader, writer = await asyncio.open_connection(recorder.host, recorder.port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def logged_in(recorder: SimulatedRecorder) -> str:
    """A UID that is set up for live."""
    async with httpx.AsyncClient(base_url=recorder.url, verify=PLAIN, trust_env=False) as http:
        viewer = Viewer(recorder, http)
        await viewer.set_up()
        return viewer.uid


async def status(recorder: SimulatedRecorder, path: str) -> int:
    """The status of a command on a connection of its own; 0: closed, -1: reset or refused, -2: silence."""
    try:
        async with wired(recorder) as wire, asyncio.timeout(LONG):
            await wire.ask(path)
            return (await wire.answer())[0]
    except (ConnectionResetError, ConnectionRefusedError):
        return -1
    except TimeoutError:
        return -2


def start(uid: str, camera: int, port: int = 0, comp: str = "H264") -> str:
    """START, over UDP with a port."""
    way = f"PORT={port}" if port else "INTERNETMODE=ON"
    return f"push.cgi?UID={uid}&CAM={camera}&CMD=START&COMP={comp}&{way}"


def stop(uid: str, camera: int, comp: str = "H264") -> str:
    """STOP over HTTP."""
    return f"push.cgi?UID={uid}&CAM={camera}&CMD=STOP&COMP={comp}"


@dataclass
class Receiver:
    """A UDP socket and the packets that came to it."""

    udp: socket.socket
    packets: list[bytes] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.udp.getsockname()[1])

    @property
    def numbers(self) -> list[int]:
        """The sequence numbers, as they came."""
        return [int.from_bytes(packet[2:4], "big") for packet in self.packets]

    def take(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self.packets.append(self.udp.recv(4096))


@contextlib.contextmanager
def receiving(host: str = "127.0.0.1") -> Iterator[Receiver]:
    """A receiver that takes packets as they come."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind((host, 0))
        udp.setblocking(False)
        receiver = Receiver(udp)
        loop.add_reader(udp, receiver.take)
        try:
            yield receiver
        finally:
            loop.remove_reader(udp)


def bodies(data: bytes) -> list[bytes]:
    """The whole parts' bodies in what a response brought, its head included."""
    found: list[bytes] = []
    at = data.find(b"--myboundary")
    while match := re.compile(rb"--myboundary\r\n.*?(\d+)\r\n\r\n", re.DOTALL).match(data, at):
        end = match.end() + int(match[1])
        if end > len(data):
            break
        found.append(data[match.end() : end])
        at = end + 2
    return found
