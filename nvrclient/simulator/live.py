"""Live streams: the rules of START and STOP (sections 1.3, 2.1, 2.2), and the sending."""

from __future__ import annotations

import asyncio
import logging
import socket
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, TypeAlias

from nvrclient.frames import Codec
from nvrclient.simulator.http_server import Answer, EndlessAnswer
from nvrclient.simulator.packets import Packing
from nvrclient.simulator.parts import multipart_type
from nvrclient.simulator.readings import PushAnswer, Readings
from nvrclient.simulator.relay import PacketAccount, UdpRelay
from nvrclient.simulator.sources import (
    AudioParts,
    AudioRtp,
    JpegParts,
    Origin,
    PackedClip,
    Source,
    VideoRtp,
)
from nvrclient.simulator.stream import HttpSink, Sink, Stream, UdpSink

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from nvrclient.simulator.cameras import Camera
    from nvrclient.simulator.clips import Clip
    from nvrclient.simulator.conditions import Conditions
    from nvrclient.simulator.http_server import Body
    from nvrclient.simulator.uids import Uid

__all__ = ["LiveDesk", "Outcome"]

_log = logging.getLogger(__name__)

STREAMS_PER_UID = 16
_DONE = Answer(200, b"OK\r\n")

Outcome: TypeAlias = Answer | EndlessAnswer | str  # a string names the rule that was broken


@dataclass(frozen=True, slots=True)
class _Push:
    """A push.cgi command; ``port`` is 0 over HTTP."""

    camera: int
    comp: str
    port: int

    @property
    def is_audio(self) -> bool:
        return self.comp == "AUDIO"


@dataclass(slots=True)
class LiveDesk:
    """Starts and stops live streams. ``answers`` says per camera how START is answered."""

    host: str
    cameras: dict[int, Camera]
    readings: Readings
    pace: float | None
    origin: Callable[[int], Origin]
    answers: dict[int, PushAnswer]
    conditions: Conditions
    _packed: dict[tuple[Clip, Packing], PackedClip] = field(
        default_factory=dict[tuple["Clip", Packing], PackedClip]
    )
    _sending: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    async def aclose(self) -> None:
        """Wait until streams that were stopped have ended."""
        await asyncio.gather(*self._sending, return_exceptions=True)

    def start(self, uid: Uid, values: dict[str, str], peer: str) -> Outcome:
        """Carry out START."""
        push = _Push(int(values["CAM"]), values["COMP"], int(values.get("PORT", "0")))
        if "PORT" in values and not 0 < push.port < 65536:
            return "push.cgi START: no such port"
        broken = _broken_rule(uid, push)
        if broken is not None:
            return f"push.cgi START of camera {push.camera}, {push.comp}: {broken}"
        camera = self.cameras.get(push.camera)
        if camera is None:
            return Answer(404)
        uid.started.add((push.camera, push.comp))
        how = self.answers.get(push.camera, PushAnswer.OK)
        if how is PushAnswer.NO_CONTENT:
            return Answer(204)
        if how is PushAnswer.BUSY:
            return Answer(503)
        if how is PushAnswer.HTML:
            return Answer(200, b"<html><body>Please wait.</body></html>\r\n", "text/html")
        source = None if how is PushAnswer.SILENT else self._source(camera, push)
        stream = self._stream(uid, push, source)
        video = uid.stream(push.camera, audio=False)
        uid.streams.append(stream)
        if push.port:
            port = push.port
            if push.is_audio and self.readings.audio_to_video_port and video is not None:
                port = video.port or port
            self._spawn(self._send_over_udp(uid, stream, (peer, port)))
            return _DONE
        if push.is_audio and self.readings.audio_in_video and video is not None and video.body:
            video.riders.append(stream)
            stream.rides = True
            self._spawn(self._send_over_http(uid, stream, video.body))
            return _DONE

        async def send(body: Body) -> None:
            await self._send_over_http(uid, stream, body)

        return EndlessAnswer(
            multipart_type(self.readings),
            self.readings.framing,
            send,
            abandon=lambda: uid.end(stream),
        )

    def stop(self, uid: Uid, values: dict[str, str]) -> Outcome:
        """Carry out STOP."""
        push = _Push(int(values["CAM"]), values["COMP"], int(values.get("PORT", "0")))
        text = f"push.cgi STOP of camera {push.camera}, {push.comp}: "
        if (push.camera, push.comp) not in uid.started:
            return text + "it was never started on this UID"
        if self.readings.stop_needs_internetmode and not {"PORT", "INTERNETMODE"} & set(values):
            return Answer(400)
        stream = uid.stream(push.camera, audio=push.is_audio)
        if stream is None:
            return _DONE  # it ended by itself, or START was refused
        if (stream.comp, stream.port) != (push.comp, push.port):
            return text + f"started was {stream.comp} with port {stream.port}"
        if not push.is_audio and uid.stream(push.camera, audio=True) is not None:
            return text + "before its audio"
        uid.end(stream)
        return _DONE

    def _stream(self, uid: Uid, push: _Push, source: Source | None) -> Stream:
        """Make a stream, its account, and what ails it from the start."""
        conditions = self.conditions
        account = PacketAccount(push.camera, push.comp, "udp" if push.port else "http", uid.number)
        if isinstance(source, (VideoRtp, AudioRtp)):
            account.ssrc = source.writer.ssrc
            account.first_number = source.writer.sequence_number
        conditions.accounts.append(account)
        stream = Stream(
            push.camera,
            push.comp,
            push.port,
            source,
            self.pace,
            conditions=conditions,
            account=account,
        )
        trouble = conditions.troubles.get(push.camera)
        if trouble is not None and trouble.lasts():
            stream.trouble = replace(trouble)
        return stream

    def _source(self, camera: Camera, push: _Push) -> Source | None:
        """Choose what to send; None where the camera does not have what is asked for: silence."""
        origin = self.origin(push.camera)
        if push.comp == "JPEG":
            return JpegParts(camera.jpeg, origin)
        if push.is_audio:
            if camera.audio is None:
                return None
            return (AudioRtp if push.port else AudioParts)(camera.audio, origin)
        if camera.video.codec != Codec(push.comp):
            return None
        readings = self.readings
        packing = Packing(
            readings.packet_size,
            readings.aggregate,
            readings.single_slices,
            readings.start_codes,
        )
        key = camera.video, packing
        if key not in self._packed:
            self._packed[key] = PackedClip(camera.video, packing)
        return VideoRtp(camera.video, self._packed[key], origin)

    async def _send_over_http(self, uid: Uid, stream: Stream, body: Body) -> None:
        stream.body = body
        content_type = stream.source.content_type if stream.source else ""
        sink = HttpSink(body, content_type, self.readings, stream.account)
        await self._run(uid, stream, sink)

    async def _send_over_udp(self, uid: Uid, stream: Stream, address: tuple[str, int]) -> None:
        # A socket for each stream, as a recorder's senders have; bound to the address that answers commands.
        # Not asyncio's transport: a datagram goes out here and now, and at half the price.
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        sender = socket.socket(family, socket.SOCK_DGRAM)
        sender.setblocking(False)
        chance = Random(f"{self.conditions.seed} {len(self.conditions.accounts)}")  # noqa: S311
        stream.relay = UdpRelay(sender, address, stream.account, chance)
        try:
            sender.bind((self.host, 0))
            await self._run(uid, stream, UdpSink(stream.relay, self.conditions))
        finally:
            stream.relay.close()

    async def _run(self, uid: Uid, stream: Stream, sink: Sink) -> None:
        setup = self.cameras[stream.camera].setup
        try:
            await stream.run(sink, setup.end_after, end_closes=setup.end_closes)
        finally:
            if stream.trouble is not None:
                stream.trouble.over()
            uid.end(stream)

    def _spawn(self, sending: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(sending)
        self._sending.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, OSError):
            _log.debug("a stream ended by %s", type(error).__name__)
        elif error is not None:
            _log.error("a stream broke", exc_info=error)


def _broken_rule(uid: Uid, push: _Push) -> str | None:
    """Name the rule of section 1.3, 2.1 or 2.2 that a START breaks."""
    if uid.playback is not None and uid.playback.is_playing:
        return "live and playback on one UID: PLAYCMD=STOP comes first"
    if not uid.is_set_up:
        return "without hdrctl.cgi SCREEN=16X on this UID before"
    if uid.stream(push.camera, audio=push.is_audio) is not None:
        return "the camera is live on this UID already"
    if push.is_audio:
        if uid.stream(push.camera, audio=False) is None:
            return "audio without the camera's video"
    elif sum(not stream.is_audio for stream in uid.streams) >= STREAMS_PER_UID:
        return f"more than {STREAMS_PER_UID} streams on one UID"
    return None
