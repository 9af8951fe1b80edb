"""One live stream: takes units from a source and sends them, on time, over HTTP or UDP."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from nvrclient.simulator.http_server import BrokenOffError, Ending
from nvrclient.simulator.parts import PartWriter
from nvrclient.simulator.stream_faults import StreamFault, Trouble

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nvrclient.simulator.conditions import Conditions
    from nvrclient.simulator.http_server import Body
    from nvrclient.simulator.readings import Readings
    from nvrclient.simulator.relay import PacketAccount, UdpRelay
    from nvrclient.simulator.sources import Source

__all__ = ["HttpSink", "Sink", "Stream", "UdpSink"]

_BURST = 16  # packets sent at once: about 37 KB of a socket buffer, a sixth of Linux's default


class Sink(Protocol):
    """Where messages go."""

    async def send(self, messages: Sequence[bytes], seconds: float) -> None:
        """Send the messages of one unit, which may take ``seconds``; 0 = as fast as it goes."""
        ...

    async def send_husks(self, messages: Sequence[bytes], *, bare: bool) -> None:
        """Send what is left of messages without their content; ``bare``: as little as can be."""
        ...

    async def break_off(self, message: bytes, ending: Ending) -> None:
        """End the transport in the middle of a message."""
        ...


class HttpSink:
    """Sends each message as a part of an endless response; waits while the client does not read."""

    def __init__(
        self, body: Body, content_type: str, readings: Readings, account: PacketAccount
    ) -> None:
        self._body, self._account = body, account
        self._part = PartWriter(content_type, readings).part

    async def send(self, messages: Sequence[bytes], seconds: float) -> None:  # noqa: ARG002 - TCP paces itself
        """Send the messages of one unit."""
        self._account.deliver(len(messages))
        await self._body.write([self._part(message) for message in messages])

    async def send_husks(self, messages: Sequence[bytes], *, bare: bool) -> None:
        """Send parts without a body, or only the lines between parts."""
        self._account.lose(len(messages))
        empty = self._part(b"")
        await self._body.write([empty[: empty.index(b"\n") + 1] if bare else empty])

    async def break_off(self, message: bytes, ending: Ending) -> None:
        """End the connection in the middle of a part; raises ``BrokenOffError``."""
        await self._body.break_off(self._part(message), ending)


class UdpSink:
    """Sends each message as a datagram, in bursts with a pause between them.

    A large key frame is spread over half of its picture's time, and so is what a late sender has to make up
    for; without a pace a burst a millisecond goes out. Either way a receiver that keeps up finds room in a
    socket buffer of 200 KB.
    """

    def __init__(self, relay: UdpRelay, conditions: Conditions) -> None:
        self._relay, self._conditions = relay, conditions
        self._sent = 0
        self._burst_began = 0.0

    async def send(self, messages: Sequence[bytes], seconds: float) -> None:
        """Send the messages of one unit."""
        bursts = -(-len(messages) // _BURST)
        pause = max(seconds / 2 / bursts, 0.001)
        send, conditions = self._relay.send, self._conditions
        for message in messages:
            if self._sent == _BURST:
                await self._rest(pause)
            send(message, conditions.udp)
            self._sent += 1

    async def send_husks(self, messages: Sequence[bytes], *, bare: bool) -> None:  # noqa: ARG002 - there is one way
        """Send RTP headers without extension and payload."""
        await self.send([bytes([m[0] & 0xC0]) + m[1:12] for m in messages], 0)

    async def break_off(self, message: bytes, ending: Ending) -> None:
        """Do nothing: a datagram has no middle."""

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
    | units_sent | pictures, or pieces of audio, made so far |
    | account | what became of its packets |
    | trouble | what ails it |
    """

    def __init__(
        self,
        camera: int,
        comp: str,
        port: int,
        source: Source | None,
        pace: float | None,
        *,
        conditions: Conditions,
        account: PacketAccount,
    ) -> None:
        self.camera, self.comp, self.port = camera, comp, port
        self.transport = "udp" if port else "http"
        self.units_sent = 0
        self.source = source
        self.account = account
        self.trouble: Trouble | None = None
        self.relay: UdpRelay | None = None
        self.body: Body | None = None
        self.riders: list[Stream] = []  # audio whose parts travel in this stream's response
        self.rides = False
        self._path = conditions.path
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
            ended = await self._send(self.source, sink, end_after)
            if ended or end_closes:
                return
        await asyncio.Event().wait()

    async def _send(self, source: Source, sink: Sink, end_after: int | None) -> bool:
        """Send units; True when a fault ended the stream."""
        loop = asyncio.get_running_loop()
        interval = source.seconds_per_unit / self._pace if self._pace else 0.0
        # By an absolute schedule: what one unit was late does not delay the others.
        due = loop.time()
        while end_after is None or self.units_sent < end_after:
            await asyncio.sleep(max(due - loop.time(), 0))
            due += interval
            messages = source.messages(self.units_sent)
            self.units_sent += 1
            if self._path.is_dead:
                self.account.lose(len(messages))
            elif self.trouble is None:
                await sink.send(messages, interval)
            elif not self.trouble.lasts():
                self.trouble = None
                await sink.send(messages, interval)
            elif self.trouble.pictures:
                self.trouble.pictures -= 1
                await sink.send(messages, interval)
            elif await self._suffer(self.trouble, messages, sink):
                return True
            elif self.trouble.kind is StreamFault.FLOOD:
                due = loop.time() + 1 / self.trouble.rate
        return False

    async def _suffer(self, trouble: Trouble, messages: Sequence[bytes], sink: Sink) -> bool:
        """Do with a unit what ails the stream; True when that ends it."""
        kind, lose = trouble.kind, self.account.lose
        if kind is StreamFault.SILENCE:
            lose(len(messages))
        elif kind in {StreamFault.BOUNDARIES, StreamFault.EMPTY_PARTS}:
            await sink.send_husks(messages, bare=kind is StreamFault.BOUNDARIES)
        elif kind is StreamFault.NO_KEYFRAMES:
            assert self.source is not None
            if self.source.is_key(self.units_sent - 1):
                lose(len(messages))
            else:
                await sink.send(messages, 0)
        elif kind is StreamFault.FLOOD:
            await sink.send(messages, 0)
        else:
            lose(len(messages))
            if not self.rides:
                await self._end(kind, messages[0], sink)
            return True
        return False

    async def _end(self, kind: StreamFault, message: bytes, sink: Sink) -> None:
        if kind in {StreamFault.CUT, StreamFault.CUT_RST}:
            ending = Ending.FIN if kind is StreamFault.CUT else Ending.RST
            await sink.break_off(message, ending)
        elif kind is StreamFault.RST and self.body is not None:
            self.body.reset()
            raise BrokenOffError

    def stop(self) -> None:
        """Send nothing more."""
        self._stopped = True
        if self._task is not None:
            self._task.cancel()

    def __repr__(self) -> str:
        return f"<Stream camera={self.camera} {self.comp} {self.transport} units_sent={self.units_sent}>"
