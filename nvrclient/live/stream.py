"""LiveStream: what a caller opens, iterates and closes. A thin handle on a buffer and the source that fills it."""

from __future__ import annotations

import asyncio
import warnings
import weakref
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from nvrclient.codec.demuxer import MediaCounters
from nvrclient.connection import Connection
from nvrclient.errors import ConnectionFailedError, StreamStalledError
from nvrclient.frames import (
    Codec,
    NalUnit,
    VideoFormat,
)
from nvrclient.live.buffer import FrameBuffer, WhenFull
from nvrclient.live.source import LiveSource, State
from nvrclient.live.wanted import Wanted
from nvrclient.stream import ItemStream, StreamStats


class LiveStream(ItemStream):
    """Live video, and audio if asked for, of one camera; made by ``Camera.live``.

    ``async with`` it, or ``await`` it and call `aclose`. Then iterate it: items are VideoFrame, AudioFrame and
    Discontinuity. One consumer at a time; iterating a stream that is not open is a RuntimeError. A loop that is
    left can be taken up again; one that raised what cannot heal raises it again.

    Opening raises CommandError (unknown camera), RecorderBusyError, SessionLimitError, ProtocolError (no stream),
    ConnectionFailedError, AuthenticationError. Iterating raises StreamStalledError or UnsupportedMediaError when no
    picture ever comes, and with reconnect=False when it breaks later; see the session's option.

    Cancelling the wait for an item loses nothing. Leaving the block sends STOP, the audio's first.
    """

    def __init__(
        self,
        connection: Connection,
        owner: object,
        wanted: Wanted,
        *,
        when_full: WhenFull,
        buffer_bytes: int,
    ) -> None:
        self._connection = connection
        self._owner = owner  # the session's handle lives as long as this one
        self._wanted = wanted
        self._when_full: WhenFull = when_full
        self._buffer_bytes = buffer_bytes
        self._source: LiveSource | None = None
        self._buffer: FrameBuffer | None = None
        self._base = _Base()
        self._finalizer: weakref.finalize[..., LiveStream] | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<LiveStream camera={self._wanted.camera} {self.state}>"

    async def aclose(self) -> None:
        """Stop the stream (on the recorder, if nobody shares it) and free its memory; at most 2 s. Safe to repeat.

        Cancelling it does not stop the closing. A loop that waits in it ends.
        """
        self._connection.check_loop()
        self._closed = True
        if self._finalizer is not None:
            self._finalizer.detach()
        if self._buffer is not None and self._source is not None:
            self._buffer.clear()
            self._buffer.end(None)
            with suppress(ConnectionFailedError):  # the session is closed already
                await self._connection.shielded(
                    self._source.leave(self._buffer), f"close camera {self._wanted.camera}"
                )

    def nal_units(self) -> NalUnits:
        """Iterate NAL units, each as soon as it is whole: the first of a large picture comes before the last.

        They start, and start again after a loss, where `video` does. Of a picture that turns out damaged later
        the NAL units given stay given. JPEG has none.
        """
        return NalUnits(self, self._opened())

    @property
    def codec(self) -> Codec | None:
        """The codec of the video: found out with the first picture, the one asked for until then."""
        found = self._source.demuxer.video.codec if self._source is not None else None
        return found or self._wanted.codec

    @property
    def format(self) -> VideoFormat | None:
        """What a decoder must know, once the first picture has come."""
        return self._source.demuxer.video.format if self._source is not None else None

    @property
    def state(self) -> State:
        """One of "starting", "live", "waiting for key frame", "reconnecting" or "closed"."""
        if self._closed:
            return "closed"
        return self._source.state if self._source is not None else "starting"

    @property
    def stats(self) -> StreamStats:
        """The counters as they stand; all zero before the stream is open."""
        source, buffer = self._source, self._buffer
        if source is None or buffer is None:
            return StreamStats()
        now, base = source.demuxer.counters(audio=self._wanted.audio), self._base.media
        dropped = _less(now.dropped, base.dropped)
        early = source.early_audio.dropped - self._base.early_audio
        if early and self._wanted.audio:
            dropped["before the first picture"] = early
        for reason, count in buffer.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + count
        picture_at = source.demuxer.video.picture_at
        kernel = source.datagrams.dropped
        return StreamStats(
            packets=now.packets - base.packets,
            bytes=now.bytes - base.bytes,
            frames_received=buffer.pushed + sum(dropped.values()) - sum(buffer.dropped.values()),
            frames_delivered=buffer.delivered,
            frames_queued=buffer.queued,
            dropped=dropped,
            lost=now.lost - base.lost,
            reordered=now.reordered - base.reordered,
            late=now.late - base.late,
            duplicates=now.duplicates - base.duplicates,
            malformed=now.malformed - base.malformed,
            ignored=_less(now.ignored, base.ignored),
            foreign=source.datagrams.foreign - self._base.foreign,
            kernel_dropped=None if kernel is None else kernel - self._base.kernel,
            ssrc_changes=now.ssrc_changes - base.ssrc_changes,
            reconnects=source.reconnects - self._base.reconnects,
            stalls=source.stalls - self._base.stalls,
            bytes_queued=buffer.bytes,
            last_frame_age=(
                self._connection.loop.time() - picture_at if picture_at is not None else None
            ),
            transport=source.transport,
            fallback=source.fallback,
            audio_problem=source.audio_problem if self._wanted.audio else None,
        )

    async def _open(self) -> Self:
        self._connection.check_usable()
        if self._closed:
            raise RuntimeError("this stream is closed; make another with camera.live(…)")
        if self._buffer is not None:
            raise RuntimeError("this stream is open already")
        connection, wanted = self._connection, self._wanted
        running = [one for one in tuple(connection.streams) if isinstance(one, LiveSource)]
        source = next((one for one in running if one.serves(wanted)), None)
        if source is None and wanted.shared:
            for one in running:
                await one.stopped(wanted.camera)  # its UID can carry this camera again then
            connection.check_usable()
            running = [one for one in tuple(connection.streams) if isinstance(one, LiveSource)]
            source = next((one for one in running if one.serves(wanted)), None)
        if source is None:
            source = LiveSource(connection, wanted)
            source.start()
        buffer = FrameBuffer(
            self._when_full,
            self._buffer_bytes,
            source.demuxer.video.nal_units_so_far,
            audio=wanted.audio,
        )
        self._base = _Base(
            source.demuxer.counters(audio=wanted.audio),
            source.datagrams.foreign,
            source.datagrams.dropped or 0,
            source.reconnects,
            source.stalls,
            source.early_audio.dropped,
        )
        source.join(buffer, wanted)
        if source.is_out:  # it may never come back: nobody waits for a first picture without end
            patience = connection.options.stall_timeout + connection.options.timeout
            connection.loop.call_later(patience, _give_up, source, buffer, wanted.camera, patience)
        self._source, self._buffer = source, buffer
        try:
            await source.entered()
        except BaseException:
            await self.aclose()
            raise
        self._finalizer = weakref.finalize(self, _dropped, connection, source, buffer, repr(self))
        self._finalizer.atexit = False  # the interpreter's end closes sockets by itself
        return self

    def _opened(self) -> FrameBuffer:
        if self._buffer is None:
            raise RuntimeError(
                "this stream is not open: write `async with camera.live() as stream:` around the loop"
            )
        if asyncio.get_running_loop() is not self._connection.loop:
            raise RuntimeError("this stream belongs to another event loop")
        return self._buffer


class NalUnits:
    """A stream narrowed to its NAL units."""

    def __init__(self, stream: LiveStream, buffer: FrameBuffer) -> None:
        self._stream = stream  # it lives as long as somebody iterates it
        self._buffer = buffer

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> NalUnit:
        return await self._buffer.get_nal()


@dataclass(frozen=True, slots=True)
class _Base:
    """A source's counters when a stream joined it."""

    media: MediaCounters = field(default_factory=MediaCounters)
    foreign: int = 0
    kernel: int = 0
    reconnects: int = 0
    stalls: int = 0
    early_audio: int = 0


def _less(now: Mapping[str, int], base: Mapping[str, int]) -> dict[str, int]:
    less = {reason: count - base.get(reason, 0) for reason, count in now.items()}
    return {reason: count for reason, count in less.items() if count}


def _dropped(connection: Connection, source: LiveSource, buffer: FrameBuffer, name: str) -> None:
    """A stream's handle was dropped without being closed."""
    buffer.end(None)
    if not connection.is_open:  # it was closed with its session
        return
    if not connection.loop.is_closed():
        connection.loop.call_soon_threadsafe(
            lambda: connection.spawn(source.leave(buffer), f"close dropped {name}")
        )
    warnings.warn(f"{name} was dropped without aclose()", ResourceWarning, stacklevel=2)


def _give_up(source: LiveSource, buffer: FrameBuffer, camera: int, patience: float) -> None:
    """A stream that was joined while it was out is out still, and has given this consumer nothing."""
    if source.is_out and not buffer.pushed:
        buffer.end(
            StreamStalledError(
                f"live camera {camera}: its stream was broken when it was opened, and is not back after"
                f" {patience:g} s; is the recorder there?"
            )
        )
