"""One live stream as the recorder sends it: START, what comes, STOP; over HTTP or over UDP.

A feed lives from one START to the next STOP. It puts what comes into the demuxer and calls `arrived` after each
piece of work.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

from nvrclient.codec.demuxer import Demuxer
from nvrclient.commands import live
from nvrclient.commands.command import Command, Uid
from nvrclient.connection import Connection, UidGoneError, check, retry_after
from nvrclient.container.multipart import PartReader
from nvrclient.errors import (
    CommandError,
    ConnectionFailedError,
    NVRError,
    ProtocolError,
    RecorderBusyError,
    SessionLimitError,
    StreamEndedError,
)
from nvrclient.frames import Codec
from nvrclient.transport.http import Body
from nvrclient.transport.udp import RtpReceiver
from nvrclient.uids import UidSlot

START_TRIES = 5
"""STARTs sent before a recorder that answers 204 (refused for now) counts as refusing."""

REFUSED_FOR_NOW = 204
"""The status of that answer."""

HEAD_TIME = 1.0
"""Seconds to wait for the first bytes of an answer that is no stream, for the message."""


class Feed(ABC):
    """`start` it, `run` it until it ends, `stop` it, always."""

    transport: str

    def __init__(
        self,
        connection: Connection,
        slot: UidSlot,
        camera: int,
        codec: Codec,
        demuxer: Demuxer,
        arrived: Callable[[], Awaitable[None] | None],
        *,
        audio: bool,
    ) -> None:
        self._connection = connection
        self._slot = slot
        self._camera = camera
        self._comps = [live.comp_of(codec)] + [live.AUDIO] * audio
        self._asked: list[str] = []  # COMPs that were started, video first
        self._demuxer = demuxer
        self._arrived = arrived

    async def start(self) -> None:
        """Send START, of the audio after the video's.

        Raises UidGoneError, CommandError (unknown camera), SessionLimitError, RecorderBusyError, ProtocolError (no
        stream), ConnectionFailedError.
        """
        for comp in self._comps:
            await self._start(comp)

    @abstractmethod
    async def run(self) -> None:
        """Take what comes until the recorder ends it. Raises StreamEndedError or ConnectionFailedError."""

    async def stop(self) -> None:
        """Send STOP, of the audio first; errors do not matter any more."""
        for comp in reversed(self._asked):
            with suppress(NVRError, UidGoneError):
                for command in live.stop(self._slot.uid, self._camera, comp, self._port(comp)):
                    reply = await self._connection.ask(_always(command), self._slot)
                    if reply.status < 400:
                        break

    @abstractmethod
    async def aclose(self) -> None:
        """Free every socket at once. Safe to repeat."""

    @abstractmethod
    def _port(self, comp: str) -> int | None:
        """The UDP port that COMP is sent to, None for HTTP."""

    @abstractmethod
    async def _send_start(self, comp: str, command: Command) -> tuple[int, float | None]:
        """Send START; return the status and the seconds to wait of a refusal. Raises what is no refusal for now."""

    async def _start(self, comp: str) -> None:
        """Send START, again while the recorder refuses it for now."""
        wait: float | None = None
        for attempt in range(1, START_TRIES + 1):
            await self._connection.pace_start(self._slot, self._camera, comp)
            status, wait = await self._connection.uninterrupted(
                self._send(comp), f"START {comp} of camera {self._camera}"
            )
            if status != REFUSED_FOR_NOW:
                return
            if attempt < START_TRIES:
                await asyncio.sleep(wait or min(2.0 ** (attempt - 1), 5.0))
        raise RecorderBusyError(
            f"live {comp} of camera {self._camera}: the recorder refused it {START_TRIES} times for"
            " now (HTTP 204), as it does when streams are started and stopped quickly; try again"
            " in a few seconds",
            retry_after=wait or 8.0,
        )

    async def _send(self, comp: str) -> tuple[int, float | None]:
        """Send one START and keep the account of what STOP is owed for: from sending it until it is refused."""
        self._asked.append(comp)
        command = live.start(self._slot.uid, self._camera, comp, self._port(comp))
        accepted = False
        try:
            status, wait = await self._send_start(comp, command)
            accepted = status != REFUSED_FOR_NOW
        except (SessionLimitError, CommandError, UidGoneError):
            raise
        except BaseException:
            accepted = True  # who knows
            raise
        finally:
            if not accepted:
                self._asked.remove(comp)
        return status, wait


class HttpFeed(Feed):
    """RTP packets, JPEGs and audio as parts of endless multipart answers (2.2, 2.3.3-2.3.5, 2.3.7)."""

    transport = "http"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._bodies: dict[str, Body] = {}

    def _port(self, comp: str) -> None:  # noqa: ARG002
        return None

    async def _send_start(self, comp: str, command: Command) -> tuple[int, float | None]:
        body = await self._connection.stream(_always(command), self._slot)
        try:
            check(command, body)
            if body.status != REFUSED_FOR_NOW:
                if comp != live.AUDIO:  # audio may come in the video's answer: any 200 will do
                    await self._check_is_stream(command, body)
                self._bodies[comp] = body
            return body.status, retry_after(body)
        finally:
            if self._bodies.get(comp) is not body:
                await body.aclose()

    async def _check_is_stream(self, command: Command, body: Body) -> None:
        if not body.content_type.startswith(("text/", "application/json")):
            return  # multipart/…; of an unusual type, or none, the parser finds out whether parts come
        head = b""
        with suppress(NVRError, TimeoutError):
            async with asyncio.timeout(HEAD_TIME):
                head = await body.read()
        raise ProtocolError(
            f"{command}: the recorder answered {body.content_type!a} instead of"
            f" a stream, beginning {head[:60]!r}. Is this an i-PRO recorder, and may this user watch"
            " this camera?",
            reading="multipart/… in the answer to START",
            offset=0,
            head=head,
        )

    async def run(self) -> None:
        """Read every answer until the video's ends."""
        readers = [self._read(comp, body) for comp, body in self._bodies.items()]
        if len(readers) == 1:
            await readers[0]
            return
        video, *others = [
            self._connection.spawn(reader, f"read {comp} of camera {self._camera}")
            for comp, reader in zip(self._bodies, readers, strict=True)
        ]
        try:
            await video
        finally:
            for task in (video, *others):
                task.cancel()
            await asyncio.wait((video, *others))

    async def _read(self, comp: str, body: Body) -> None:
        parts = PartReader()
        loop = self._connection.loop
        push = self._demuxer.push_part
        is_audio = comp == live.AUDIO
        bad = 0
        while True:
            try:
                piece = await body.read()
            except ConnectionFailedError:
                if is_audio:
                    return  # the video's answer goes on, and may carry the audio
                raise
            if not piece:
                break
            now = loop.time()
            for part in parts.feed(piece):
                push(part.content_type, part.body, now)
            if parts.desyncs + parts.bad_parts + parts.oversize != bad:
                self._demuxer.malformed_parts -= bad
                bad = parts.desyncs + parts.bad_parts + parts.oversize
                self._demuxer.malformed_parts += bad
            waited = self._arrived()
            if waited is not None:
                await waited
        for part in parts.close():
            push(part.content_type, part.body, loop.time())
        self._arrived()
        if is_audio:
            return
        cut = " in the middle of a part" if parts.truncated else ""
        raise StreamEndedError(
            f"live {comp} of camera {self._camera}: the recorder closed the stream{cut}"
        )

    async def aclose(self) -> None:
        """Close the connections."""
        bodies, self._bodies = list(self._bodies.values()), {}
        for body in bodies:
            await body.aclose()


class UdpFeed(Feed):
    """RTP over UDP (2.1, 2.3.1, 2.3.2, 2.3.6): a port for the video, one for the audio."""

    transport = "udp"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.receivers: dict[str, RtpReceiver] = {}
        self._good = 0

    def _port(self, comp: str) -> int | None:
        return self.receivers[comp].port if comp in self.receivers else 0

    async def start(self) -> None:
        """Take the ports, then send START as `Feed.start` says."""
        peer = self._connection.client.peer
        assert peer is not None  # the login was answered from there
        options = self._connection.options
        loop = self._connection.loop
        push = self._demuxer.push_packet
        for comp in self._comps:
            receiver = RtpReceiver(
                peer, lambda data: push(data, loop.time()), partial(self._taken, comp)
            )
            await receiver.open(options.rtp_host, options.rtp_ports)
            self.receivers[comp] = receiver
        await super().start()

    async def _send_start(self, comp: str, command: Command) -> tuple[int, float | None]:  # noqa: ARG002
        reply = await self._connection.ask(_always(command), self._slot)
        check(command, reply)
        return reply.status, retry_after(reply)

    def _taken(self, comp: str) -> None:
        receiver = self.receivers.get(comp)
        if receiver is not None and not receiver.locked and self._demuxer.good_packets > self._good:
            receiver.lock()
        self._good = self._demuxer.good_packets
        self._arrived()

    async def run(self) -> None:
        """Packets come by themselves: wait."""
        await self._connection.loop.create_future()

    async def aclose(self) -> None:
        """Free the ports."""
        for receiver in self.receivers.values():
            receiver.close()
        await asyncio.sleep(0)  # asyncio closes a socket in the next turn of the loop


def _always(command: Command) -> Callable[[Uid], Command]:
    return lambda _uid: command
