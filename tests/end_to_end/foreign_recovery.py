"""A recorder with moods, written from the specification alone, and a consumer that believes nothing it is told.

The recorder is raw asyncio. What it does with a UID it does not know, how it issues UIDs, how it behaves at a START:
each is one attribute or one method, so that a test says in a line what its recorder does otherwise.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import struct
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from typing import Any, Self

import nvrclient
from nvrclient import AudioFrame, Codec, Discontinuity, LiveStream, NVRError, VideoFrame
from nvrclient.simulator import Clip
from tests.clock import run_simulated, simulated_clock
from tests.conftest import open_sockets
from tests.end_to_end.foreign import MULTIPART, NO, OK, ForeignRecorder, Query, part
from tests.end_to_end.media import split
from tests.end_to_end.servers import reply
from tests.secrets import PASSWORD

PICTURES = 2.0
"""Pictures a second: enough to see every outage, and light."""

GOP = 4
"""Pictures from one key frame to the next."""

LOGIN_PAGE = reply(
    "200 OK",
    b"<html><head><title>Login</title></head><body>Your session has expired.</body></html>",
    "Content-Type: text/html",
)


class Sender:
    """One camera's encoder: the RTP packets of picture after picture; it can be another one after a restart."""

    def __init__(
        self,
        codec: str = "h264",
        camera: int = 1,
        *,
        ssrc: int = 7,
        sequence: int = 65_530,
        ticks: float = 0.0,
    ) -> None:
        self.clip = Clip.load(codec).with_short_gops(GOP, PICTURES)
        self.camera = camera
        self.ssrc = ssrc
        self.ticks = ticks  # added to the time in every RTP header
        self.payload_type = 98 if self.clip.codec is Codec.H264 else 101
        self.numbers = count(sequence)
        self.at = 0

    def picture(self) -> list[bytes]:
        """Return the packets of the next picture, as taken now."""
        clock = simulated_clock()
        ticks = clock.time() * 90_000 + self.ticks
        tlvs = struct.pack(">HHHH", 4, 8, self.camera, 0)
        tlvs += struct.pack(">HHI4B", 7, 12, int(clock.wall()) & 0xFFFFFFFF, 0, 9, 0, 0)
        payloads: list[bytes] = []
        for nal in split(self.clip.units[self.at % len(self.clip)]):
            payloads += self._fragments(nal)
        self.at += 1
        return [
            struct.pack(
                ">BBHII",
                0x90,
                self.payload_type | 0x80 * (index == len(payloads) - 1),
                next(self.numbers) & 0xFFFF,
                int(ticks) & 0xFFFFFFFF,
                self.ssrc,
            )
            + struct.pack(">HH", 0, len(tlvs) // 4)
            + tlvs
            + payload
            for index, payload in enumerate(payloads)
        ]

    def _fragments(self, nal: bytes) -> Iterator[bytes]:
        """RFC 6184 5.8 and RFC 7798 4.4.3, pieces of 1300 bytes."""
        if len(nal) <= 1300:
            yield nal
            return
        header = 1 if self.payload_type == 98 else 2
        pieces = [nal[at : at + 1300] for at in range(header, len(nal), 1300)]
        for index, piece in enumerate(pieces):
            flags = 0x80 * (index == 0) | 0x40 * (index == len(pieces) - 1)
            if header == 1:
                yield bytes((nal[0] & 0xE0 | 28, flags | nal[0] & 0x1F)) + piece
            else:
                yield bytes((nal[0] & 0x81 | 49 << 1, nal[1], flags | nal[0] >> 1 & 0x3F)) + piece


SOON = 5.0
"""Seconds within which streams are back after their UID was lost (FAULTS row 13)."""

AGAIN = 20.0
"""Seconds within which streams are back after the recorder answers again (FAULTS row 18)."""

ENDINGS = frozenset({"only headers", "one part", "one picture", "in a part"})
"""Manners in which the stream ends by FIN as soon as that was sent."""

MANNERS = (*sorted(ENDINGS), "empty parts", "other parts", "line ends", "no key frames", "silence")


class MoodyRecorder(ForeignRecorder):
    """See the module.

    ``running`` holds the streams by (UID, camera): whether the connection lives does not matter, only STOP, the loss
    of the UID or a restart ends one. ``broken`` are the rules of the specification that the client broke. `unknown`
    answers a command with a UID that it does not know; None closes the connection. `manner` is how a stream behaves
    after START, one of `MANNERS`; None as it should.
    """

    def __init__(self) -> None:
        super().__init__()
        self.codec = "h264"
        self.cameras = 64
        self.max_uids = 16
        self.unknown: bytes | None = NO
        self.manner: str | None = None
        self.running: dict[tuple[str, str], asyncio.StreamWriter | None] = {}
        self.broken: list[str] = []
        self.requests: list[tuple[float, str, Query]] = []
        self._order: list[str] = []  # UIDs, oldest first
        self._sending: set[asyncio.StreamWriter] = set()
        self._port = 0

    # UIDs

    def new_uid(self) -> str:
        return str(next(self._issued))

    def dlogin(self, authorization: str | None) -> bytes:
        if authorization is None:
            return super().dlogin(None)
        self.credentials += 1
        if not self.right(authorization):
            self.wrong += 1
            return self.refuses()
        while len(self.uids) >= self.max_uids:
            self.forget(self._order[0])
        uid = self.new_uid()
        self.uids.add(uid)
        self._order = [one for one in self._order if one != uid] + [uid]
        return reply("200 OK", f'<a href="./hdrctl.cgi?UID={uid}&HTML=x">'.encode())

    def forget(self, uid: str) -> None:
        """The UID is no longer known; its streams end."""
        self.uids.discard(uid)
        self._order = [one for one in self._order if one != uid]
        for key in [key for key in self.running if key[0] == uid]:
            writer = self.running.pop(key)
            if writer is not None:
                self._end(writer)

    def forget_all(self) -> None:
        """No UID is known any more; all streams end."""
        for uid in tuple(self.uids):
            self.forget(uid)

    def _end(self, writer: asyncio.StreamWriter) -> None:
        self._sending.discard(writer)
        writer.close()

    # Restarts

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def down(self) -> None:
        """Nothing listens any more, connections are cut, UIDs and streams are forgotten."""
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.uids.clear()
        self._order.clear()
        self.running.clear()
        self._sending.clear()

    async def up(self) -> None:
        """It listens again, on the same port."""
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", self._port)

    # Streams

    async def start(self, query: Query, writer: asyncio.StreamWriter) -> bytes | None:
        if query["COMP"] == "AUDIO":
            return await super().start(query, writer)
        key = (query["UID"], query["CAM"])
        if key in self.running:
            self.broken.append(f"camera {key[1]} started twice on one UID")
            return reply("503 Service Unavailable")
        if int(query["CAM"]) > self.cameras:
            return reply("404 Not Found")
        self.running[key] = None if "PORT" in query else writer
        if query["COMP"] == self.codec.upper():
            return await super().start(query, writer)
        if "PORT" in query:  # another codec than the camera's: silence [field]
            return OK
        writer.write(MULTIPART)
        await asyncio.sleep(3600)
        return None

    def sender(self, query: Query) -> Sender:
        """Return what encodes for this START."""
        return Sender(self.codec, int(query["CAM"]))

    async def video(self, query: Query, writer: asyncio.StreamWriter) -> None:
        manner, sender = self.manner, self.sender(query)
        self._sending.add(writer)
        while writer in self._sending and manner == self.manner:
            picture = b"".join(part(packet) for packet in sender.picture())
            if manner == "one part":
                picture = picture[: picture.index(b"\r\n--myboundary") + 2]
            elif manner == "in a part":
                picture = picture[:3000]
            elif manner == "empty parts":
                picture = part(b"") * 3
            elif manner == "other parts":
                picture = part(b"heartbeat", "text/plain")
            elif manner == "line ends":
                picture = b"\r\n"
            elif manner == "silence" or (manner == "no key frames" and sender.at % GOP == 1):
                picture = b""
            if manner != "only headers":
                await self.put(writer, picture)
            if manner in ENDINGS:
                break
            await asyncio.sleep(1 / PICTURES)
        self._end(writer)

    async def put(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data)
        await writer.drain()

    async def send_video(self, query: Query) -> None:
        key = (query["UID"], query["CAM"])
        sender = self.sender(query)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            while key in self.running or self.sends_on(query):
                for packet in sender.picture():
                    sock.sendto(packet, ("127.0.0.1", int(query["PORT"])))
                await asyncio.sleep(1 / PICTURES)

    def sends_on(self, query: Query) -> bool:
        """Whether it sends to this port although the stream was stopped."""
        return False

    async def cut(self, *, reset: bool = False) -> None:
        """The connections of all streams break, by FIN or RST; for the recorder they run on."""
        for writer in tuple(self._sending):
            self._sending.discard(writer)
            if reset and not writer.is_closing():
                writer.transport.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
                writer.transport.abort()
            else:
                writer.close()

    # All answers

    async def mood(self, name: str, query: Query) -> bytes | None:
        """Return an answer that comes before any thought, b"" to close the connection, None for the usual one."""
        return None

    async def _answer(
        self, name: str, query: Query, authorization: str | None, writer: asyncio.StreamWriter
    ) -> bytes | None:
        self.requests.append((asyncio.get_running_loop().time(), name, query))
        early = await self.mood(name, query)
        if early is not None:
            return early or None
        if name not in {"dlogin", "as_getinfo"} and query.get("UID") not in self.uids:
            return self.unknown
        if query.get("CMD") == "STOP" and query["COMP"] != "AUDIO":
            ended = self.running.pop((query["UID"], query["CAM"]), None)
            if ended is not None:
                self._end(ended)
        if name == "logout":
            self.forget(query["UID"])
            return OK
        return await super()._answer(name, query, authorization, writer)

    def count(self, name: str, since: float = 0.0) -> int:
        """Return how often a command came."""
        return sum(asked == name and when >= since for when, asked, _ in self.requests)


class Watch:
    """Takes everything a stream gives, and checks each promise of it as it goes.

    ``outages`` are (told, over) by the loop's clock, over None while it lasts; ``reasons`` all that was told.
    """

    def __init__(self, stream: LiveStream) -> None:
        self.stream = stream
        self.frames: list[VideoFrame] = []
        self.sounds = 0
        self.outages: list[tuple[float, float | None]] = []
        self.reasons: list[str] = []
        self.error: BaseException | None = None
        self.broken: list[str] = []
        self._needs_key = True
        self._sound_pts = -1
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            async for item in self.stream:
                self._check(item)
                self.check_account()
        except Exception as error:
            self.error = error

    def _check(self, item: VideoFrame | AudioFrame | Discontinuity) -> None:
        now = asyncio.get_running_loop().time()
        if isinstance(item, Discontinuity):
            self.reasons.append(item.reason)
            self._needs_key = True
            if item.reason == "reconnect":
                out = bool(self.outages) and self.outages[-1][1] is None
                if item.until is None:
                    if out:
                        self.broken.append("told twice to be out")
                    self.outages.append((now, None))
                elif out:
                    self.outages[-1] = (self.outages[-1][0], now)
                else:
                    self.broken.append("told to be back, and never to be out")
        elif isinstance(item, AudioFrame):
            self.sounds += 1
            if item.pts <= self._sound_pts:
                self.broken.append("pts of sound do not rise")
            self._sound_pts = item.pts
        else:
            self._check_frame(item)

    def _check_frame(self, frame: VideoFrame) -> None:
        if self.outages and self.outages[-1][1] is None:
            self.broken.append("a frame while told to be out")
        if not self.frames and frame.pts != 0:
            self.broken.append(f"the first pts is {frame.pts}")
        if self.frames and frame.pts <= self.frames[-1].pts:
            self.broken.append(f"pts {self.frames[-1].pts} → {frame.pts}")
        if self._needs_key and not frame.keyframe:
            self.broken.append("no key frame after a break")
        if frame.keyframe and frame.codec is not Codec.JPEG:
            own = {unit.type for unit in frame.nal_units if unit.is_parameter_set}
            known = self.stream.format is not None and self.stream.format.parameter_sets
            if not own and (not self.frames or not known):
                self.broken.append("a key frame without parameter sets")
        self._needs_key = False
        self.frames.append(frame)

    def check_account(self) -> None:
        stats = self.stream.stats
        accounted = stats.frames_delivered + stats.frames_queued + sum(stats.dropped.values())
        if stats.frames_received != accounted:
            self.broken.append(f"account: {stats}")

    @property
    def is_live(self) -> bool:
        return self.stream.state == "live" and bool(self.frames) and not self.is_out

    @property
    def is_out(self) -> bool:
        return bool(self.outages) and self.outages[-1][1] is None

    def check(self) -> None:
        """Nothing promised was broken."""
        self.check_account()
        assert not self.broken, self.broken[:5]
        assert self.error is None or isinstance(self.error, NVRError), repr(self.error)


def all_live(watches: Iterable[Watch]) -> bool:
    """Whether every stream gives pictures."""
    return all(watch.is_live for watch in watches)


@asynccontextmanager
async def watching(
    nvr: nvrclient.Session, cameras: int, transport: str = "http"
) -> AsyncIterator[list[Watch]]:
    """Watch cameras 1…n until they give pictures, and on; on leaving, no promise was broken."""
    async with AsyncExitStack() as stack:
        watches = [
            await stack.enter_async_context(
                watched(nvr.camera(number).live("h264", transport=transport))  # type: ignore[arg-type]
            )
            for number in range(1, cameras + 1)
        ]
        await until(lambda: all_live(watches), 10)
        yield watches


@asynccontextmanager
async def watched(stream: LiveStream) -> AsyncIterator[Watch]:
    """Open a stream and watch it; on leaving, no promise was broken."""
    async with stream:
        watch = Watch(stream)
        try:
            yield watch
        finally:
            watch.check_account()
    await watch.task
    watch.check()


async def until(condition: Callable[[], bool], seconds: float) -> float:
    """Wait until `condition()`; return for how long."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.05)
    return loop.time() - began


def connect(recorder: MoodyRecorder, **options: Any) -> nvrclient.Session:
    """Make a session with it."""
    return nvrclient.connect(recorder.url, "ADMIN", PASSWORD, **options)


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a scenario on the simulated clock; it leaves no task, no socket, no warning and no unseen exception."""

    async def judged() -> None:
        unseen: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))
        sockets = open_sockets()
        await scenario()
        for _ in range(5):  # asyncio closes what was aborted in a later turn of the loop
            await asyncio.sleep(0)
        gc.collect()
        await asyncio.sleep(0)
        left = {task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()}}
        assert not left
        assert not unseen, unseen[:3]
        assert not open_sockets() - sockets

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run_simulated(judged(), debug=False)
