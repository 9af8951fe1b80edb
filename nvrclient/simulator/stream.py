"""One live stream: takes units from a source and sends them, on time, over HTTP or UDP."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from nvrclient.simulator.parts import PartWriter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nvrclient.simulator.http_server import Body
    from nvrclient.simulator.readings import Readings
    from nvrclient.simulator.sources import Source

__all__ = ["HttpSink", "Sink", "Stream", "UdpSink"]

_BURST = 16  # packets sent at once: about 37 KB of a socket buffer, a sixth of Linux's default


class Sink(Protocol):
    """Where messages go."""

    async def send(self, messages: Sequence[bytes], seconds: float) -> None:
        """Send the messages of one unit, which may take ``seconds``; 0 = as fast as it goes."""
        ...


class HttpSink:
    """Sends each message as a part of an endless response; waits while the client does not read."""

    def __init__(self, body: Body, content_type: str, readings: Readings) -> None:
        self._body = body
        self._part = PartWriter(content_type, readings).part

    async def send(self, messages: Sequence[bytes], seconds: float) -> None:  # noqa: ARG002 - TCP paces itself
        """Send the messages of one unit."""
        await self._body.write([self._part(message) for message in messages])


class UdpSink:
    """Sends each message as a datagram, in bursts with a pause between them.

    A large key frame is spread over half of its picture's time, and so is what a late sender has to make up
    for; without a pace a burst a millisecond goes out. Either way a receiver that keeps up finds room in a
    socket buffer of 200 KB.
    """

    def __init__(self, transport: asyncio.DatagramTransport, address: tuple[str, int]) -> None:
        self._transport, self._address = transport, address
        self._sent = 0
        self._burst_began = 0.0

    async def send(self, messages: Sequence[bytes], seconds: float) -> None:
        """Send the messages of one unit."""
        bursts = -(-len(messages) // _BURST)
        pause = max(seconds / 2 / bursts, 0.001)
        for message in messages:
            if self._sent == _BURST:
                await self._rest(pause)
            self._transport.sendto(message, self._address)
            self._sent += 1

    async def _rest(self, pause: float) -> None:
        """Wait until the last burst is long enough ago."""
        loop = asyncio.get_running_loop()
        wait = self._burst_began + pause - loop.time()
        if wait > 0:
            await asyncio.sleep(wait)
        self._sent, self._burst_began = 0, loop.time()


class Stream:
    """A live stream of one camera on one UID, from START until STOP or the end of its UID or connection.

    | field | meaning |
    |---|---|
    | camera, comp, transport | what was asked for: ``COMP`` and "http" or "udp" |
    | port | the client's, over UDP; else 0 |
    | body | of the response it travels in, over HTTP |
    | units_sent | pictures, or pieces of audio, sent so far |
    """

    def __init__(
        self, camera: int, comp: str, port: int, source: Source | None, pace: float | None
    ) -> None:
        self.camera, self.comp, self.port = camera, comp, port
        self.transport = "udp" if port else "http"
        self.units_sent = 0
        self.source = source
        self.body: Body | None = None
        self.riders: list[Stream] = []  # audio whose parts travel in this stream's response
        self._pace = pace
        self._task: asyncio.Task[None] | None = None
        self._stopped = False

    @property
    def is_audio(self) -> bool:
        """Whether this is the audio that belongs to a video stream."""
        return self.comp == "AUDIO"

    async def run(self, sink: Sink, end_after: int | None, *, end_closes: bool) -> None:
        """Send until stopped. Without a source, or at the end of one that does not close: silence."""
        self._task = asyncio.current_task()
        if self._stopped:
            return
        if self.source is not None:
            await self._send(self.source, sink, end_after)
            if end_closes:
                return
        await asyncio.Event().wait()

    async def _send(self, source: Source, sink: Sink, end_after: int | None) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        interval = source.seconds_per_unit / self._pace if self._pace else 0.0
        while end_after is None or self.units_sent < end_after:
            # By an absolute schedule: what one unit was late does not delay the others.
            wait = started + self.units_sent * interval - loop.time()
            await asyncio.sleep(max(wait, 0))
            await sink.send(source.messages(self.units_sent), interval)
            self.units_sent += 1

    def stop(self) -> None:
        """Send nothing more."""
        self._stopped = True
        if self._task is not None:
            self._task.cancel()

    def __repr__(self) -> str:
        return f"<Stream camera={self.camera} {self.comp} {self.transport} units_sent={self.units_sent}>"
