"""Between the recorder and one consumer: a queue of items, bounded in bytes, that drops whole GOPs.

The account holds at every moment: received = delivered + queued + dropped.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, TypeAlias, get_args

from nvrclient.errors import BufferOverflowError, NVRError
from nvrclient.frames import AudioFrame, Discontinuity, NalUnit, StreamItem, VideoFrame

WhenFull: TypeAlias = Literal["gop", "latest", "block", "error"]

POLICIES: tuple[WhenFull, ...] = get_args(WhenFull)

OVERHEAD = 512
"""Bytes counted for an item besides its payload: about what the objects themselves take."""


class FrameBuffer:
    """What has come and was not consumed yet, for one consumer.

    `limit` bounds the payload held, in bytes. `so_far` returns the NAL units of the picture in progress, for a
    consumer that takes NAL units one by one.
    """

    def __init__(
        self,
        policy: WhenFull,
        limit: int,
        so_far: Callable[[], list[NalUnit]],
        *,
        audio: bool = True,
    ) -> None:
        self.policy: WhenFull = policy
        self.delivered = 0
        self.dropped: dict[str, int] = {}
        self.bytes = 0
        self._limit = limit
        self._so_far = so_far
        self.wants_audio = audio  # others may, on the same source, or the recorder send it unasked
        self.waits_for_keyframe = False  # it joined in the middle of a GOP
        self.pushed = 0  # frames that came
        self._items: deque[StreamItem] = deque()
        self._frames = 0  # frames among the items
        self._waiter: asyncio.Future[None] | None = None
        self._space = asyncio.Event()
        self._failure: NVRError | None = None
        self._ended = False
        self._cutting = False  # the GOP at hand did not fit: its rest is dropped
        self._overflow: Discontinuity | None = None  # told when frames go on
        self._video_base: int | None = None  # pts of the first frame, for a stream that joined late
        self._audio_base: int | None = None
        self._wants_nals = False
        self._nals: deque[NalUnit] = deque()  # of the picture being given NAL unit by NAL unit
        self._early: list[NalUnit] = []  # those given before their picture was whole

    # The source's side

    def push(self, item: StreamItem) -> None:
        """Take one item from the source; drops by the policy where it does not fit."""
        if self._ended:
            return
        if isinstance(item, Discontinuity):
            if item.reason == "reconnect" and self._video_base is self._audio_base is None:
                return  # nothing is missing before the first frame
            self._push_discontinuity(item)
        elif isinstance(item, VideoFrame):
            self.pushed += 1
            self.waits_for_keyframe = self.waits_for_keyframe and not item.keyframe
            if self.waits_for_keyframe:
                self._drop_count("waiting for key frame", 1)
                return
            self._push_frame(self._rebased(item), keyframe=item.keyframe)
        elif self.wants_audio:
            self.pushed += 1
            self._push_frame(self._rebased_audio(item), keyframe=False)
        self._wake()

    def poke(self) -> None:
        """NAL units of a picture in progress have come: wake a consumer that takes them one by one."""
        if self._wants_nals:
            self._wake()

    def end(self, failure: NVRError | None) -> None:
        """No more items: the consumer gets what is queued, then `failure`, or the end of its loop."""
        if not self._ended:
            self._ended = True
            self._failure = failure
            self._wake()
            self._free()

    @property
    def _holds_back(self) -> bool:
        """Whether the picture in progress will not be given."""
        return self._ended or self._cutting or self.waits_for_keyframe

    @property
    def is_full(self) -> bool:
        """Whether the policy "block" holds the source up."""
        return self.policy == "block" and not self._ended and self.bytes >= self._limit

    async def space(self) -> None:
        """Wait until there is room again."""
        while self.is_full:
            self._space.clear()
            await self._space.wait()

    @property
    def queued(self) -> int:
        """Frames that wait for the consumer."""
        return self._frames

    def takes(self, items: Sequence[StreamItem]) -> bool:
        """Whether these items fit, all at once, into the empty buffer."""
        return sum(
            item.size + OVERHEAD for item in items if not isinstance(item, Discontinuity)
        ) <= (self._limit)

    # The consumer's side

    async def get(self) -> StreamItem:
        """Return the next item; waits for it. Cancelling it loses nothing.

        Raises StopAsyncIteration at the end, or what ended the stream.
        """
        while not self._items:
            await self._wait()
        item = self._items.popleft()
        if not isinstance(item, Discontinuity):
            self._forget(item)
            self.delivered += 1
        return item

    async def get_nal(self) -> NalUnit:
        """Return the next NAL unit, as soon as it is whole; otherwise as `get`."""
        self._wants_nals = True
        while True:
            if self._nals:
                return self._nals.popleft()
            if self._items:
                item = await self.get()
                if isinstance(item, VideoFrame):
                    given = len(self._early) if self._is_early(item.nal_units) else 0
                    self._early = []
                    self._nals.extend(item.nal_units[given:])
                elif isinstance(item, AudioFrame):
                    self.uncount()
                continue
            units = self._so_far() if not self._holds_back else []
            if self._early and (not units or units[0] is not self._early[0]):
                self._early = []
            if len(units) > len(self._early):
                self._early = units[: len(self._early) + 1]
                return self._early[-1]
            await self._wait()

    def uncount(self, reason: str = "not asked for") -> None:
        """The item just got is left out by the consumer's own choice: it counts as dropped."""
        self.delivered -= 1
        self._drop_count(reason, 1)

    def clear(self) -> None:
        """Forget what is queued: the consumer has left."""
        self._drop_count("closed", self._frames)
        self._items.clear()
        self._frames = 0
        self.bytes = 0
        self._free()

    # Inside

    def _push_frame(self, frame: VideoFrame | AudioFrame, *, keyframe: bool) -> None:
        size = frame.size + OVERHEAD
        video = isinstance(frame, VideoFrame)
        if keyframe and self.policy == "latest":
            while self._drop_oldest_gop(all_of_it=True):
                pass
        if self._cutting and video:
            if not keyframe:
                self._lose(frame)
                return
            self._cutting = False
        if self.bytes + size > self._limit and self.policy != "block":
            if self.policy == "error":
                self._drop_count("overflow", 1)
                self.end(
                    BufferOverflowError(
                        f"a frame of {frame.size} bytes does not fit: {self._frames} frames,"
                        f" {self.bytes} bytes are waiting (buffer_bytes={self._limit}). Consume"
                        ' faster, raise buffer_bytes, or choose when_full="gop"'
                    )
                )
                return
            while self.bytes + size > self._limit and self._drop_oldest_gop(all_of_it=keyframe):
                pass
            if self.bytes + size > self._limit:
                self._cutting = True  # sound too: what goes on after an overflow is a key frame
                self._lose(frame)
                return
        if self._overflow is not None and (keyframe or not video):
            self._items.append(self._told_overflow(frame))
        self._items.append(frame)
        self._frames += 1
        self.bytes += size

    def _push_discontinuity(self, item: Discontinuity) -> None:
        """While frames are being dropped one discontinuity of each reason is enough: they take memory too."""
        items = self._items
        for index in range(len(items) - 1, -1, -1) if self._overflow is not None else ():
            before = items[index]
            if not isinstance(before, Discontinuity):
                break
            if before.reason == item.reason:
                items[index] = replace(item, since=before.since, lost=before.lost + item.lost)
                return
        items.append(item)

    def _drop_oldest_gop(self, *, all_of_it: bool) -> bool:
        """Drop the oldest GOP, whole; the one at hand only where a new one begins (`all_of_it`).

        What the discontinuities among it told (another format, say) stays, one of each reason.
        """
        items = self._items
        end = len(items) if all_of_it else 0
        past_a_frame = False
        for index, item in enumerate(items):
            if past_a_frame and isinstance(item, VideoFrame) and item.keyframe:
                end = index
                break
            past_a_frame = past_a_frame or not isinstance(item, Discontinuity)
        if not past_a_frame or not end:
            return False
        overflow: Discontinuity | None = None
        told: dict[str, Discontinuity] = {}
        for _ in range(end):
            item = items.popleft()
            if not isinstance(item, Discontinuity):
                self._forget(item)
                self._drop_count("overflow", 1)
                overflow = _one_more(overflow, item)
            elif item.reason != "overflow":
                told[item.reason] = item
            elif overflow is None:
                overflow = item
            else:
                overflow = replace(overflow, lost=overflow.lost + item.lost)
        assert overflow is not None
        following = next((item for item in items if not isinstance(item, Discontinuity)), None)
        items.extendleft(reversed(told.values()))
        if following is not None:
            items.appendleft(replace(overflow, until=following.time))
        elif self._overflow is None:
            self._overflow = overflow
        else:  # what did not fit in the first place came after what is dropped now
            self._overflow = replace(overflow, lost=overflow.lost + self._overflow.lost)
        return True

    def _lose(self, frame: VideoFrame | AudioFrame) -> None:
        self._drop_count("overflow", 1)
        self._overflow = _one_more(self._overflow, frame)

    def _told_overflow(self, before: VideoFrame | AudioFrame) -> Discontinuity:
        assert self._overflow is not None
        told, self._overflow = replace(self._overflow, until=before.time), None
        return told

    def _forget(self, frame: VideoFrame | AudioFrame) -> None:
        self._frames -= 1
        self.bytes -= frame.size + OVERHEAD
        self._free()

    def _drop_count(self, reason: str, count: int) -> None:
        if count:
            self.dropped[reason] = self.dropped.get(reason, 0) + count

    def _rebased(self, frame: VideoFrame) -> VideoFrame:
        """A stream's pts begin at 0, also for one that joined a running source."""
        if self._video_base is None:
            self._video_base = frame.pts
        return replace(frame, pts=frame.pts - self._video_base) if self._video_base else frame

    def _rebased_audio(self, frame: AudioFrame) -> AudioFrame:
        if self._audio_base is None:
            self._audio_base = frame.pts
        return replace(frame, pts=frame.pts - self._audio_base) if self._audio_base else frame

    def _is_early(self, units: tuple[NalUnit, ...]) -> bool:
        return bool(self._early) and bool(units) and units[0] is self._early[0]

    async def _wait(self) -> None:
        """Wait until something came. Raises what `get` raises at the end."""
        if self._ended:
            if self._failure is not None:
                raise self._failure
            raise StopAsyncIteration
        if self._waiter is not None:
            raise RuntimeError(
                "this stream is being iterated already; it has one consumer at a time"
            )
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _free(self) -> None:
        self._space.set()


def _one_more(overflow: Discontinuity | None, frame: VideoFrame | AudioFrame) -> Discontinuity:
    """Count a frame that is dropped."""
    if overflow is None:
        return Discontinuity("overflow", since=frame.time, lost=1)
    return replace(overflow, lost=overflow.lost + 1)
