"""One live stream as the recorder sends it: START, what comes, STOP; over HTTP or over UDP.

A feed lives from one START of the video to the next STOP. It puts what comes into the demuxer and calls `arrived`
after each piece of work. Audio has a task of its own beside it: it can be refused, end and come back without a
picture being lost.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from functools import partial
from typing import TypeAlias

import anyio

from nvrclient.answers import check, retry_after
from nvrclient.codec.demuxer import Demuxer
from nvrclient.commands import live
from nvrclient.commands.command import Command, Uid
from nvrclient.connection import Connection
from nvrclient.container.live import PartReader
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
from nvrclient.live.wanted import Transport
from nvrclient.transport.http import Body
from nvrclient.transport.udp import RtpReceiver
from nvrclient.uids import UidGoneError, UidSlot

logger = logging.getLogger("nvrclient.live")

START_TRIES = 5
"""STARTs sent before a recorder that answers 204 (refused for now) counts as refusing."""

STOP_TRIES = 3
"""STOPs that may be refused before START goes out all the same: perhaps there is nothing to stop."""

TOO_MANY, SERVER_ERROR = 429, 500
"""HTTP statuses that say nothing of what was asked for; those from the second on."""

REFUSED_FOR_NOW = 204
"""The status of that answer."""

MAX_WAIT = 8.0
"""Seconds between two STARTs at most, whatever the recorder asks for."""

HEAD_TIME = 1.0
"""Seconds to wait for the first bytes of an answer that does not say that it is a stream."""

PROVED = 2
"""Pictures, or pieces of audio, that a sender has brought before its socket hears nobody else."""

FIRST_AUDIO_WAIT, MAX_AUDIO_WAIT = 3.0, 30.0
"""Seconds before audio that was refused or has ended is asked for again, doubled each time."""


Space: TypeAlias = Callable[[], Awaitable[None]]
"""Waits until a consumer who holds the stream up has room again."""


class Feed(ABC):
    """`start` it, `run` it until it ends (and `hear` beside it for audio), `stop` and `aclose` it, always."""

    transport: Transport

    def __init__(
        self,
        connection: Connection,
        slot: UidSlot,
        camera: int,
        codec: Codec,
        demuxer: Demuxer,
        arrived: Callable[[], Space | None],
        *,
        patient: bool = False,
    ) -> None:
        self.audio_problem: str | None = None
        self._patient = patient  # one of many that come back together
        self.wants_audio = False
        # By a bug in a callback, which nobody awaits:
        self.failed: asyncio.Future[None] = connection.loop.create_future()
        self._connection = connection
        self._slot = slot
        self._camera = camera
        self._video = live.comp_of(codec)
        self._asked: list[str] = []  # COMPs that STOP is owed for, video first
        self._demuxer = demuxer
        self._arrived = arrived

    async def start(self) -> None:
        """Send START of the video, behind the STOPs that are owed.

        Raises UidGoneError, CommandError (unknown camera), SessionLimitError, RecorderBusyError, ProtocolError (no
        stream), ConnectionFailedError.
        """
        await self._settle()
        await self._start(self._video)

    @abstractmethod
    async def run(self) -> None:
        """Take what comes until the recorder ends it. Raises StreamEndedError or ProtocolError."""

    def fail(self, bug: Exception) -> None:
        """End the stream by a bug that a callback met."""
        if not self.failed.done():
            self.failed.set_exception(bug)
            self.failed.exception()  # retrieved, also where the stream is being stopped already

    def heard_out(self, hearing: asyncio.Task[None]) -> None:
        """The task of `hear` has ended: by a bug, where it was not cancelled and nothing refused the audio."""
        bug = None if hearing.cancelled() else hearing.exception()
        if isinstance(bug, Exception):
            self.fail(bug)

    async def hear(self) -> None:
        """Have the audio too, again when it ends; what is wrong with it stands in `audio_problem`.

        Whether audio comes in an answer of its own or in the video's is not specified: while it comes, it is not
        asked for again, wherever it comes.
        """
        wait = FIRST_AUDIO_WAIT
        while True:
            heard = self._demuxer.audio.received
            try:
                async with self._connection.reach.turn():
                    await self._start(live.AUDIO)
                problem = await self._hear_until_it_ends()
            except UidGoneError:
                return
            except CommandError as error:
                self._report(str(error))
                return  # this camera has none, or this user may not hear it
            except NVRError as error:
                problem = str(error)
            if self._demuxer.audio.received > heard:
                wait = FIRST_AUDIO_WAIT
            while True:
                heard = self._demuxer.audio.received
                await asyncio.sleep(wait)
                if self._demuxer.audio.received == heard:
                    break
                self.audio_problem = None
            self._report(problem)
            wait = min(2 * wait, MAX_AUDIO_WAIT)

    async def stop(self) -> None:
        """Send STOP, of the audio first; what is not answered stays owed. Errors do not matter any more."""
        self.owe_stop()
        with suppress(NVRError, UidGoneError):
            await self._settle()

    def owe_stop(self) -> None:
        """Leave STOP to the next START of this camera on this UID: nobody knows whether the recorder is there."""
        for comp in reversed(self._asked):
            self._slot.unstopped.setdefault(self._camera, []).append((comp, self._port(comp)))
        self._asked.clear()

    async def stop_audio(self) -> None:
        """Send STOP of the audio alone."""
        if live.AUDIO in self._asked:
            self._asked.remove(live.AUDIO)
            with suppress(NVRError, UidGoneError):
                await self._stop(live.AUDIO, self._port(live.AUDIO))

    async def _settle(self) -> None:
        """Send the STOPs that are owed for this camera. Raises UidGoneError, ConnectionFailedError and SessionLimitError."""
        owed = self._slot.unstopped.get(self._camera, [])
        while owed:
            try:
                await self._stop(*owed[0])
            except (SessionLimitError, RecorderBusyError, CommandError):
                self._slot.refused_stops[self._camera] += 1
                doubted = self._connection.reach.is_doubted
                if doubted or self._slot.refused_stops[self._camera] < STOP_TRIES:
                    raise
            del owed[0]
        self._slot.unstopped.pop(self._camera, None)
        self._slot.refused_stops.pop(self._camera, None)

    async def _stop(self, comp: str, port: int | None) -> None:
        for command in live.stop(self._slot.uid, self._camera, comp, port):
            reply = await self._connection.ask(_always(command), self._slot)
            if reply.status == TOO_MANY or reply.status >= SERVER_ERROR:
                check(command, reply)
            if reply.status < 400:
                return

    async def _hear_until_it_ends(self) -> str:
        """Take audio until the recorder ends it, or falls silent after some came; return what happened."""
        silence = self._connection.options.stall_timeout
        hearing = self._connection.spawn(self._hear(), f"hear camera {self._camera}")
        try:
            while True:
                heard = self._demuxer.audio.received
                await asyncio.wait((hearing,), timeout=silence)
                if hearing.done():
                    hearing.result()
                    return "the recorder closed the audio"
                if self._demuxer.audio.received > heard:
                    self.audio_problem = None
                elif heard:
                    await self.stop_audio()
                    return f"the audio fell silent for {silence:g} s"
                else:
                    self._report("no audio comes; has the camera a microphone?")
        finally:
            hearing.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.wait((hearing,))

    @abstractmethod
    async def aclose(self) -> None:
        """Free every socket at once. Safe to repeat."""

    @abstractmethod
    def _port(self, comp: str) -> int | None:
        """Return the UDP port that COMP is sent to, None for HTTP."""

    @abstractmethod
    async def _send_start(self, comp: str, command: Command) -> tuple[int, float | None]:
        """Send START; return the status and the seconds to wait of a refusal. Raises what is no refusal for now."""

    @abstractmethod
    async def _hear(self) -> None:
        """Take audio until the recorder ends it."""

    async def _start(self, comp: str) -> None:
        """Send START, again while the recorder refuses it for now."""
        wait: float | None = None
        for attempt in range(1, START_TRIES + 1):
            await self._connection.pace.start(self._slot.number, self._camera, comp)
            async with self._connection.starts if self._patient else nullcontext():
                status, wait = await self._connection.uninterrupted(
                    self._send(comp), f"START {comp} of camera {self._camera}"
                )
            if status != REFUSED_FOR_NOW:
                return
            if attempt < START_TRIES:
                await asyncio.sleep(min(wait or 2.0 ** (attempt - 1), MAX_WAIT))
        raise RecorderBusyError(
            f"live {comp} of camera {self._camera}: the recorder refused it {START_TRIES} times for"
            " now (HTTP 204), as it does when streams are started and stopped quickly; try again"
            " in a few seconds",
            retry_after=wait or MAX_WAIT,
        )

    async def _send(self, comp: str) -> tuple[int, float | None]:
        """Send one START and keep the account of what STOP is owed for: from sending it until it is refused."""
        if comp not in self._asked:
            self._asked.append(comp)
        self._connection.pace.started(self._slot.number, self._camera, comp)
        command = live.start(self._slot.uid, self._camera, comp, self._port(comp))
        accepted = True  # until told otherwise: who knows
        try:
            status, wait = await self._send_start(comp, command)
            accepted = status != REFUSED_FOR_NOW
            return status, wait
        except (SessionLimitError, CommandError, UidGoneError):
            accepted = False
            raise
        except ConnectionFailedError as error:
            accepted = error.sent
            raise
        finally:
            if not accepted:
                self._asked.remove(comp)

    def _report(self, problem: str) -> None:
        if problem != self.audio_problem:
            logger.warning("audio of camera %d: %s", self._camera, problem)
        self.audio_problem = problem


class HttpFeed(Feed):
    """RTP packets, JPEGs and audio as parts of endless multipart answers (2.2, 2.3.3-2.3.5, 2.3.7)."""

    transport: Transport = "http"

    def __init__(
        self,
        connection: Connection,
        slot: UidSlot,
        camera: int,
        codec: Codec,
        demuxer: Demuxer,
        arrived: Callable[[], Space | None],
        *,
        patient: bool = False,
    ) -> None:
        super().__init__(connection, slot, camera, codec, demuxer, arrived, patient=patient)
        self._bodies: dict[str, Body] = {}

    async def run(self) -> None:
        """Read the video's answer until it ends."""
        parts = PartReader()
        await self._read(self._bodies[self._video], parts)
        cut = " in the middle of a part" if parts.truncated else ""
        raise StreamEndedError(
            f"live {self._video} of camera {self._camera}: the recorder closed the stream{cut}"
        )

    async def aclose(self) -> None:
        """Close the connections."""
        bodies, self._bodies = list(self._bodies.values()), {}
        for body in bodies:
            await body.aclose()

    async def _hear(self) -> None:
        body = self._bodies[live.AUDIO]
        try:
            await self._read(body, PartReader(), hears=True)
        finally:
            await body.aclose()

    def _port(self, comp: str) -> None:  # noqa: ARG002
        return None

    async def _send_start(self, comp: str, command: Command) -> tuple[int, float | None]:
        hears = comp == live.AUDIO  # a user may see a camera and not hear it
        body = await self._connection.stream(_always(command), self._slot, unsure=hears)
        try:
            check(command, body)
            if body.status != REFUSED_FOR_NOW:
                if not hears:  # audio may come in the video's answer: any 200 will do
                    await self._check_is_stream(command, body)
                self._bodies[comp] = body
            return body.status, retry_after(body)
        finally:
            if self._bodies.get(comp) is not body:
                await body.aclose()

    async def _check_is_stream(self, command: Command, body: Body) -> None:
        if body.content_type.startswith("multipart/"):
            return
        empty = body.headers.get("content-length") == ["0"]
        if not empty and not body.content_type.startswith(("text/", "application/json")):
            return  # of an unusual type, or none: the parser finds out whether parts come
        head = b""
        with suppress(NVRError, TimeoutError):
            async with asyncio.timeout(HEAD_TIME):
                head = await body.read()
        if head.lstrip(b"\r\n").startswith(b"--"):
            body.put_back(head)
            return
        error = ProtocolError(
            f"{command}: the recorder answered {body.content_type or 'nothing'!a} instead of a"
            " stream. Is this an i-PRO recorder, and may this user watch this camera?",
            reading="multipart/… in the answer to START",
            offset=0,
            head=head,
        )
        head = b""  # it can hold the UID; the error's copy is masked
        raise error

    async def _read(self, body: Body, parts: PartReader, *, hears: bool = False) -> None:
        """Read an answer to its end; `hears`: it is the audio's. Raises StreamEndedError where it breaks off, ProtocolError where it has no parts."""
        demuxer, loop = self._demuxer, self._connection.loop
        bad = 0
        while True:
            try:
                piece = await body.read()
            except ConnectionFailedError as error:
                raise StreamEndedError(f"live stream of camera {self._camera}: {error}") from None
            now = loop.time()
            for part in parts.feed(piece) if piece else parts.close():
                demuxer.push_part(part.headers.get("content-type", ""), part.body, now, hears=hears)
                if demuxer.items and (space := self._arrived()) is not None:
                    await space()
            if parts.desyncs + parts.bad_parts + parts.oversize != bad:
                demuxer.malformed_parts -= bad
                bad = parts.desyncs + parts.bad_parts + parts.oversize
                demuxer.malformed_parts += bad
            if (space := self._arrived()) is not None:
                await space()
            if not piece:
                return


class UdpFeed(Feed):
    """RTP over UDP (2.1, 2.3.1, 2.3.2, 2.3.6): a port for the video, one for the audio.

    Which port the audio goes to is not specified: payload types are read on both. A socket is tied to the sender it
    hears once that is known to lose nothing: audio from another source port never reaches a tied socket.
    """

    transport: Transport = "udp"

    def __init__(
        self,
        connection: Connection,
        slot: UidSlot,
        camera: int,
        codec: Codec,
        demuxer: Demuxer,
        arrived: Callable[[], Space | None],
        *,
        patient: bool = False,
    ) -> None:
        super().__init__(connection, slot, camera, codec, demuxer, arrived, patient=patient)
        self.receivers: dict[str, RtpReceiver] = {}
        self._heard_on: dict[str, set[int]] = {}  # payload types, by COMP of the socket
        self._pictures_before = demuxer.video.frames
        self._audio_before = demuxer.audio.received

    async def start(self) -> None:
        """Take a port, then send START as `Feed.start` says."""
        await self._listen(self._video)
        await super().start()

    async def run(self) -> None:
        """Packets come by themselves: wait."""
        await self.failed

    async def hear(self) -> None:
        """Take a port for the audio, then as `Feed.hear`."""
        self.wants_audio = True
        while True:
            try:
                await self._listen(live.AUDIO)
            except ConnectionFailedError as error:
                self._report(str(error))
            else:
                return await super().hear()
            await asyncio.sleep(FIRST_AUDIO_WAIT)

    async def aclose(self) -> None:
        """Free the ports."""
        for receiver in self.receivers.values():
            receiver.close()
            self._connection.rtp_ports_used.discard(receiver.port)
        await asyncio.sleep(0)  # asyncio closes a socket in the next turn of the loop

    async def _hear(self) -> None:
        await self._connection.loop.create_future()

    async def _listen(self, comp: str) -> None:
        """Open the socket that COMP is to be sent to."""
        connection = self._connection
        peer = connection.client.peer
        assert peer is not None  # the login was answered from there
        receiver = RtpReceiver(
            peer,
            partial(self._take, comp),
            partial(self._taken, comp),
            partial(self._may_lock, comp),
        )
        await receiver.open(connection.options.rtp_host, connection.free_rtp_ports())
        connection.rtp_ports_used.add(receiver.port)
        self._heard_on[comp] = set()
        self.receivers[comp] = receiver

    def _port(self, comp: str) -> int | None:
        return self.receivers[comp].port

    async def _send_start(self, comp: str, command: Command) -> tuple[int, float | None]:
        reply = await self._connection.ask(
            _always(command), self._slot, once=True, unsure=comp == live.AUDIO
        )
        check(command, reply)
        return reply.status, retry_after(reply)

    def _take(self, comp: str, data: bytes) -> bool:
        try:
            payload_type = self._demuxer.push_packet(data, self._connection.loop.time())
        except Exception as bug:  # noqa: BLE001  nobody awaits a datagram: it ends the stream by `run`
            self.fail(bug)
            return False
        if payload_type is None:
            return False
        self._heard_on[comp].add(payload_type)
        return True

    def _taken(self, comp: str) -> None:
        receiver = self.receivers.get(comp)
        if receiver is not None and not receiver.locked and self._may_lock(comp):
            receiver.lock()
        self._arrived()

    def _may_lock(self, comp: str) -> bool:
        """Whether whoever sends to this socket has proved to be the recorder: one packet may be anybody's."""
        here = self._heard_on[comp]
        pictures = self._demuxer.video.frames - self._pictures_before
        if not here or (pictures < PROVED and comp == self._video):
            return False
        if not self.wants_audio:
            return True
        heard = self._demuxer.audio.received - self._audio_before
        return heard >= PROVED and len(here) == 1


def _always(command: Command) -> Callable[[Uid], Command]:
    return lambda _uid: command
