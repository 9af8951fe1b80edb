"""Sixty-four cameras of 4 Mbit/s each, at once and in real time, from a recorder in a process of its own.

| contender | what it does |
|---|---|
| ours | a session and 64 live streams, each with a consumer that takes every picture |
| the floor | asyncio alone: the same bytes are received and let go |

Each picture ends with the time at which its last packet was sent, on the clock that all processes of a machine share:
so it is known how late it reaches its consumer. All pictures are compared with the encoder's for some seconds before
anything is measured; a packet lost later is told, and is the machine's or ours. CPU time is that of the whole process.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
import pickle
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC
from itertools import count
from random import Random
from time import monotonic, monotonic_ns, perf_counter, process_time, sleep
from urllib.parse import parse_qs, urlsplit

import httpx

import nvrclient
from benchmarks.measurement import Row, WrongOutputError, peak_memory
from benchmarks.media import FPS, STARTED, encode
from benchmarks.server import Server
from nvrclient import Codec, LiveStream, VideoFrame
from nvrclient.simulator import Clip, Extension, Readings
from nvrclient.simulator.packets import Packing
from nvrclient.simulator.parts import PartWriter, multipart_type
from nvrclient.simulator.sources import Origin, PackedClip, VideoRtp

NAME = "cameras"

CAMERAS = 64
BIT_RATE = 4_000_000

MUST, AIM = 0.6, 0.4
"""Of one core: the rest is the application's."""

MUST_LATENCY, AIM_LATENCY = 50.0, 20.0
"""Milliseconds from the recorder's last packet of a picture to its consumer, for 99 of 100: one picture's time and
a half."""

MUST_MEMORY, AIM_MEMORY = 256.0, 64.0
"""MiB more at the peak than before: 4 MiB a stream, an eighth of what its consumers' buffers may hold."""

SECONDS_A_SECOND_OF_MEDIA = 4
"""So that the usual four seconds of media are a quarter of a minute; `--seconds 150` is ten minutes."""

FLOOR_SECONDS = 20.0
"""The floor is measured for no longer than this."""

PROVING = 1.5
"""Seconds for which every picture is compared, after each stream has begun."""

STAMP = 16
"""Bytes behind each picture: nanoseconds in hexadecimal digits, which look like no start code."""

BURST = 16
"""Packets of one camera sent at a stretch. A camera sends a large picture over half of its time, not at once."""


def run(rounds: int, seconds: float, say: Callable[[str], None]) -> list[Row]:  # noqa: ARG001 - one is long enough
    """Start the recorder, check every picture, then measure: over UDP and over HTTP."""
    clip = encode(Codec.H264, round(4 * FPS), BIT_RATE)
    length = seconds * SECONDS_A_SECOND_OF_MEDIA
    rate = sum(map(len, clip.units)) * 8 * clip.fps / len(clip) / 1e6
    say(f"{CAMERAS} x {rate:.1f} Mbit/s, {length:.0f} s each; {PROVING:g} s of it compared first")
    rows: list[Row] = []
    for transport in ("udp", "http"):
        with Server("benchmarks.cameras", data=pickle.dumps(clip)) as server:
            gc.collect()
            ours = asyncio.run(_ours(server.url, clip, transport, length))
        with Server("benchmarks.cameras", data=pickle.dumps(clip)) as server:
            gc.collect()
            floor = asyncio.run(_floor(server.url, transport, min(length, FLOOR_SECONDS)))
        case = f"{CAMERAS} x 4 Mbit/s, {transport.upper()}"
        ns = round(ours.cpu / ours.packets * 1e9)
        say(f"{transport}: {ours.packets / ours.seconds:.0f} packets/s, {ours.frames} pictures")

        def row(
            measured: str,
            ratio: float,
            must: float | None,
            aim: float | None,
            *,
            case: str = case,
            ns: int = ns,
        ) -> Row:
            value = round(ratio, 3)
            return Row(NAME, case, measured, "small", value, value, value, must, aim, ns)

        rows += [
            row("share of a core", ours.share, MUST, AIM),
            row("CPU ÷ asyncio alone", ours.share / floor, None, None),
            row("lost or dropped", ours.lost, 0, 0),
            row("ms late, median", ours.late(0.5), None, None),
            row("ms late, 99 of 100", ours.late(0.99), MUST_LATENCY, AIM_LATENCY),
            row("MiB more memory", ours.grown, MUST_MEMORY, AIM_MEMORY),
        ]
    return rows


# Ours


@dataclass
class _Measured:
    """What came while it was measured."""

    measuring: bool = False
    seconds: float = 0.0
    cpu: float = 0.0
    packets: int = 0
    lost: int = 0
    frames: int = 0
    grown: float = 0.0
    lateness: list[int] = field(default_factory=list[int])  # nanoseconds, of every picture

    @property
    def share(self) -> float:
        """Of one core."""
        return self.cpu / self.seconds

    def late(self, part: float) -> float:
        """Return the milliseconds that this part of the pictures was late at most."""
        return sorted(self.lateness)[int(part * (len(self.lateness) - 1))] / 1e6


async def _ours(url: str, clip: Clip, transport: str, seconds: float) -> _Measured:
    pictures = {data: place for place, data in enumerate(clip.annex_b)}
    measured = _Measured()
    before = peak_memory(reset=True)
    async with nvrclient.connect(url, "ADMIN", "secret", max_uids=4) as nvr:
        streams = await asyncio.gather(
            *(
                nvr.camera(number).live("h264", transport=transport)  # type: ignore[arg-type]
                for number in range(1, CAMERAS + 1)
            )
        )
        consumers = [
            asyncio.create_task(_consume(camera, stream, pictures, measured))
            for camera, stream in enumerate(streams, 1)
        ]
        await asyncio.sleep(PROVING)
        for consumer in consumers:
            if consumer.done():
                consumer.result()
        measured.measuring = True
        packets, lost = _counted(streams)
        began, cpu = perf_counter(), process_time()
        await asyncio.sleep(seconds)
        measured.cpu, measured.seconds = process_time() - cpu, perf_counter() - began
        after = _counted(streams)
        measured.packets, measured.lost = after[0] - packets, after[1] - lost
        measured.grown = peak_memory() - before
        for stream in streams:
            await stream.aclose()
        await asyncio.gather(*consumers)
    return measured


def _counted(streams: list[LiveStream]) -> tuple[int, int]:
    """Return the packets that came so far, and what did not or was dropped, of all streams."""
    stats = [stream.stats for stream in streams]
    lost = sum(one.lost + sum(one.dropped.values()) for one in stats)
    return sum(one.packets for one in stats), lost


async def _consume(
    camera: int, stream: LiveStream, pictures: dict[bytes, int], measured: _Measured
) -> None:
    last: int | None = None
    async for frame in stream:
        if not isinstance(frame, VideoFrame):
            last = None  # something was lost, which is counted
            continue
        data = frame.nal_units[-1].data
        if measured.measuring:
            measured.frames += 1
            measured.lateness.append(monotonic_ns() - int(data[-STAMP:], 16))
            continue
        place = pictures.get(frame.data[:-STAMP])
        if place is None or (last is not None and place != (last + 1) % len(pictures)):
            raise WrongOutputError(f"camera {camera}: picture {place} after {last}")
        last = place


# The floor


async def _floor(url: str, transport: str, seconds: float) -> float:
    """Return the share of a core that receiving the bytes alone takes."""
    with ExitStack() as stack:
        if transport == "udp":
            await _receive_datagrams(url, stack)
        else:
            await _receive_answers(url, stack)
        await asyncio.sleep(PROVING)
        began, cpu = perf_counter(), process_time()
        await asyncio.sleep(seconds)
        return (process_time() - cpu) / (perf_counter() - began)


async def _receive_datagrams(url: str, stack: ExitStack) -> None:
    async with httpx.AsyncClient() as client:
        for number in range(1, CAMERAS + 1):
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
            )
            stack.callback(transport.close)
            port = transport.get_extra_info("sockname")[1]
            await client.get(f"{url}/cgi-bin/push.cgi?CAM={number}&PORT={port}&CMD=START")


class _Unread(asyncio.Protocol):
    """Reads and lets go."""


async def _receive_answers(url: str, stack: ExitStack) -> None:
    where = urlsplit(url)
    assert where.hostname is not None
    assert where.port is not None
    for number in range(1, CAMERAS + 1):
        transport, _ = await asyncio.get_running_loop().create_connection(
            _Unread, where.hostname, where.port
        )
        stack.callback(transport.close)
        transport.write(b"GET /cgi-bin/push.cgi?CAM=%d&CMD=START HTTP/1.1\r\n\r\n" % number)


# The recorder


class _Sender(threading.Thread):
    """Sends all cameras' pictures when they are due."""

    def __init__(self, clip: Clip) -> None:
        super().__init__(daemon=True)
        self._clip = clip
        self._packed = PackedClip(clip, Packing())
        self._readings = Readings(extension=Extension.EVERY_PACKET)
        self._part = PartWriter("application/octet-stream", self._readings).part
        self._order = count()
        self._starting: list[tuple[int, Callable[[bytes], object], bool]] = []

    def add(self, camera: int, send: Callable[[bytes], object], *, parts: bool) -> None:
        """Send a camera's packets from now on, until `send` fails."""
        self._starting.append((camera, send, parts))

    def run(self) -> None:
        """Follow the clock."""
        due: list[tuple[float, int, Iterator[float]]] = []
        while True:
            while self._starting:
                begin = monotonic()
                camera = self._camera(begin, *self._starting.pop())
                heapq.heappush(due, (begin, next(self._order), camera))
            now = monotonic()
            if not due or due[0][0] > now:
                sleep(0.001)
                continue
            _, number, camera = heapq.heappop(due)
            with suppress(OSError, StopIteration):  # else it is gone
                heapq.heappush(due, (next(camera), number, camera))

    def _camera(
        self, begin: float, camera: int, send: Callable[[bytes], object], parts: bool
    ) -> Iterator[float]:
        """Send a burst at each step; yield when the next one is due."""
        origin = Origin(
            camera, STARTED, UTC, summer_time=False, readings=self._readings, random=Random(camera)
        )
        source = VideoRtp(self._clip, self._packed, origin)
        interval = 1 / self._clip.fps
        for number in count():
            messages = source.messages(number)
            bursts = range(0, len(messages), BURST)
            for place, first in enumerate(bursts):
                burst = messages[first : first + BURST]
                if place + 1 == len(bursts):
                    burst[-1] += b"%016x" % monotonic_ns()
                if parts:
                    send(b"".join(map(self._part, burst)))
                else:
                    for packet in burst:
                        send(packet)
                if place + 1 < len(bursts):
                    yield begin + (number + (place + 1) / len(bursts) / 2) * interval
            yield begin + (number + 1) * interval


class _Recorder:
    """Enough of a recorder to log in and start cameras: a thread for each connection."""

    def __init__(self, listener: socket.socket, clip: Clip) -> None:
        self._listener = listener
        self._uids = count(1)
        self._sender = _Sender(clip)
        self._sender.start()

    def serve(self) -> None:
        """Answer whoever connects."""
        while True:
            connection, peer = self._listener.accept()
            threading.Thread(target=self._talk, args=(connection, peer[0]), daemon=True).start()

    def _talk(self, connection: socket.socket, peer: str) -> None:
        with suppress(OSError), connection.makefile("rb") as requests:
            while line := requests.readline():
                while requests.readline().strip():
                    pass
                where = urlsplit(line.split()[1].decode())
                query = {key: values[0] for key, values in parse_qs(where.query).items()}
                if where.path.endswith("push.cgi") and query["CMD"] == "START":
                    camera, port = int(query["CAM"]), query.get("PORT")
                    if port is None:
                        _answer(connection, multipart_type(Readings()))
                        self._sender.add(camera, connection.sendall, parts=True)
                        requests.readline()  # until the client closes it
                        connection.close()
                        return
                    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                    datagrams.connect((peer, int(port)))
                    self._sender.add(camera, datagrams.send, parts=False)
                login = where.path.endswith("dlogin.cgi")
                body = b"UID=%d" % next(self._uids) if login else b"OK"
                _answer(connection, "text/plain", body)


def _answer(connection: socket.socket, content_type: str, body: bytes | None = None) -> None:
    length = "" if body is None else f"Content-Length: {len(body)}\r\n"
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n{length}\r\n"
    connection.sendall(head.encode() + (body or b""))


if __name__ == "__main__":
    _Recorder(socket.socket(fileno=int(sys.argv[1])), pickle.loads(sys.stdin.buffer.read())).serve()
