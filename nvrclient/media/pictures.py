"""Pictures of a playback as they are to be shown: decoded, in display order, backward too."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Self

from anyio import to_thread

from nvrclient.frames import Discontinuity, Gop, VideoFrame
from nvrclient.media.decode import Picture, VideoDecoder
from nvrclient.playback import Playback

__all__ = ["Pictures", "pictures"]

MAX_HELD = 256 << 20
"""Bytes of decoded pictures held in reverse: 86 pictures of 1920x1080. Of a longer GOP the rest is decoded again."""

CATCH_UP = 1.0
"""Seconds by which pictures in reverse may be late and still catch up; later the pace goes on from where it is."""

_BACKWARD = frozenset({"reverse", "fast reverse"})
_HALTED = frozenset({"paused", "reconnecting", "ended"})

LOOK = 0.05
"""Seconds between two looks at a playback that pauses while pictures of its GOP wait."""


def pictures(playback: Playback, *, conceal: bool = False) -> Pictures:
    """Return an iterator over the decoded pictures of an open playback, in the order in which they are shown.

    Forward they come as they are decoded; hidden frames give none. In reverse and fast reverse each GOP is decoded as
    a whole and its pictures come from the last to the first, at the pace of the playback; its `position` is the end
    of that GOP meanwhile. Audio is left out.

    At most 256 MiB of decoded pictures are held: a GOP of which more would have to be is decoded several times.
    `conceal` is VideoDecoder's. RuntimeError for a playback that is not open.
    """
    return Pictures(playback, conceal=conceal)


class Pictures:
    """What `pictures` returns. Decoding runs in a worker thread; cancelling the wait for a picture loses none.

    Raises what iterating the playback and what VideoDecoder.decode raise; it can be iterated further, and goes on
    at the next key frame.
    """

    def __init__(self, playback: Playback, *, conceal: bool) -> None:
        self._playback = playback
        self._gops = playback.gops()
        self._conceal = conceal
        self._decoders: dict[int, VideoDecoder] = {}
        self._decoded: dict[int, VideoFrame] = {}  # by camera, what its decoder got last
        self._ready: deque[Picture] = deque()
        self._work: asyncio.Future[None] | None = None
        self._rest: tuple[Gop, VideoFrame | None] | None = None  # shown backward next, up to there
        self._state = ""
        self._taken: tuple[Gop | None, datetime | None] = None, None
        self._due: float | None = None  # of the next picture in reverse
        self._interval = 0.0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Picture:
        while True:
            if self._work is not None:
                await self._finish(self._work)
            self._drop_stale()
            if self._ready:
                if self._is_backward and not await self._is_due():
                    continue
                return self._ready.popleft()
            if self._rest is not None:
                await self._decode(self._backward)
            else:
                await self._take()

    @property
    def _is_backward(self) -> bool:
        return self._state in _BACKWARD

    async def _take(self) -> None:
        """Take the next frame, or in reverse the next GOP, and decode it."""
        playback = self._playback
        gop: Gop | None
        before: VideoFrame | None = None
        try:
            if playback.state in _BACKWARD:
                gop = await anext(self._gops)
                frames = gop.frames
            else:
                item = await anext(playback)
                if isinstance(item, Discontinuity):
                    await self._decode(self._forget if item.reason == "seek" else self._flush)
                    return
                if not isinstance(item, VideoFrame):
                    return
                gop, frames = playback.gop, (item,)
        except StopAsyncIteration:
            await self._decode(self._flush)
            if not self._ready:
                raise
            return
        self._state = playback.state
        self._taken = gop, playback.position
        if not self._is_backward:
            await self._decode(lambda: self._forward(gop, frames))
        elif gop is not None and any(frame.shown for frame in frames):
            # After a turn the first frame of a GOP comes by itself, after a step the first that is left of it.
            index = _index(gop, frames[0])
            if index:
                before = gop.frames[index - 1]
            self._rest = gop, before

    def _drop_stale(self) -> None:
        """After a control call nothing of the mode before it is given."""
        state = self._playback.state
        turned = self._is_backward and state not in {self._state, *_HALTED}
        if turned or state == "closed" or not self._is_where_it_was():
            self._ready.clear()
            self._rest = self._due = None

    def _is_where_it_was(self) -> bool:
        gop, position = self._taken
        return self._playback.gop is gop and self._playback.position == position

    async def _is_due(self) -> bool:
        """Whether the next picture is to be given now; if not, waits a while."""
        playback = self._playback
        if playback.state == "paused":
            self._due = None
            await asyncio.sleep(LOOK)  # the playback's own wait would bring the next GOP
            return False
        if playback.speed is None:
            return True
        now = asyncio.get_running_loop().time()
        due = self._due if self._due is not None else now
        if due > now:
            await asyncio.sleep(due - now)
            return False
        if len(self._ready) > 1:
            this, following = self._ready[0].time, self._ready[1].time
            if this is not None and following is not None:
                self._interval = max((this - following).total_seconds(), 0.0)
        self._due = max(due, now - CATCH_UP) + self._interval / playback.speed
        return True

    # Decoding, in a worker thread

    async def _decode(self, work: Callable[[], None]) -> None:
        self._work = asyncio.ensure_future(to_thread.run_sync(work))
        await self._finish(self._work)

    async def _finish(self, work: asyncio.Future[None]) -> None:
        try:
            await asyncio.shield(work)
        finally:
            if work.done():
                self._work = None

    def _decoder(self, camera: int) -> VideoDecoder:
        if camera not in self._decoders:
            self._decoders[camera] = VideoDecoder(conceal=self._conceal)
        return self._decoders[camera]

    def _forward(self, gop: Gop | None, frames: Sequence[VideoFrame]) -> None:
        for frame in frames:
            decoder = self._decoder(frame.camera)
            before = gop.frames[: _index(gop, frame)] if gop is not None else ()
            if before and before[-1] is not self._decoded.get(frame.camera):
                # After a step or a turn: the decoder has not seen all that this frame refers to, or more than that.
                decoder.reset()
                for one in before:
                    decoder.decode(replace(one, shown=False))
            self._decoded[frame.camera] = frame
            self._ready.extend(decoder.decode(frame))

    def _backward(self) -> None:
        assert self._rest is not None
        (gop, until), self._rest = self._rest, None
        decoder = self._decoder(gop.camera)
        decoder.reset()
        self._decoded.pop(gop.camera, None)
        held: deque[Picture] = deque()
        left_out: VideoFrame | None = None
        size = 0
        try:
            for picture in _all(decoder, gop.frames):
                if picture.frame is until:
                    break
                held.append(picture)
                size += _size(picture)
                while size > MAX_HELD and len(held) > 1:
                    size -= _size(held.popleft())
                    left_out = held[0].frame
        finally:
            self._ready.extend(reversed(held))
        if left_out is not None:
            self._rest = gop, left_out

    def _flush(self) -> None:
        for decoder in self._decoders.values():
            self._ready.extend(decoder.flush())

    def _forget(self) -> None:
        for decoder in self._decoders.values():
            decoder.reset()
        self._decoded.clear()


def _all(decoder: VideoDecoder, frames: Iterable[VideoFrame]) -> Iterator[Picture]:
    for frame in frames:
        yield from decoder.decode(frame)
    yield from decoder.flush()


def _index(gop: Gop, frame: VideoFrame) -> int:
    """Where a frame stands in a GOP; 0 where it is in another."""
    return next((index for index, one in enumerate(gop.frames) if one is frame), 0)


def _size(picture: Picture) -> int:
    return sum(plane.buffer_size for plane in picture.av_frame.planes)
