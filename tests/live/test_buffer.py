"""The queue between source and consumer: its account, its bound and its four policies (docs/faults.md row 69)."""

from __future__ import annotations

import asyncio
import os
import tracemalloc
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nvrclient.errors import BufferOverflowError, StreamEndedError
from nvrclient.frames import (
    AudioFrame,
    Codec,
    Discontinuity,
    NalUnit,
    RecorderInfo,
    StreamItem,
    VideoFrame,
)
from nvrclient.live.buffer import OVERHEAD, POLICIES, FrameBuffer, WhenFull

LONG = bool(os.environ.get("NVRCLIENT_LONG"))
EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
INFO = RecorderInfo()


def picture(number: int, *, keyframe: bool, size: int = 500) -> VideoFrame:
    nal = NalUnit(bytes(size), Codec.H264, 5 if keyframe else 1, number)
    time = EPOCH + timedelta(seconds=number / 10)
    return VideoFrame(
        1, Codec.H264, (nal,), keyframe, True, number, 90_000, time, 0.0, 0, INFO
    )  # fmt: skip


def sound(number: int, size: int = 100) -> AudioFrame:
    time = EPOCH + timedelta(seconds=number / 10)
    return AudioFrame(1, Codec.PCMU, bytes(size), None, number, 8000, 1, time, 0.0, 0)


def nothing() -> list[NalUnit]:
    return []


def buffer_of(policy: WhenFull, limit: int) -> FrameBuffer:
    return FrameBuffer(policy, limit, nothing)


def at_once(coroutine: Coroutine[Any, Any, StreamItem]) -> StreamItem | None:
    """Run a get that needs not wait; None where it would, or at the end."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        item: StreamItem = done.value
        return item
    except StopAsyncIteration:
        return None
    except RuntimeError as error:
        if "no running event loop" not in str(error):
            raise
        return None
    finally:
        coroutine.close()
    raise AssertionError("it waited")


def drain(buffer: FrameBuffer) -> list[StreamItem]:
    items = []
    while buffer._items:
        item = at_once(buffer.get())
        assert item is not None
        items.append(item)
    return items


def frames_of(items: list[StreamItem]) -> list[VideoFrame | AudioFrame]:
    return [item for item in items if not isinstance(item, Discontinuity)]


# Row 69, by hand


def test_row_69_gop_drops_the_oldest_gops_whole() -> None:
    buffer = buffer_of("gop", 9 * (500 + OVERHEAD))  # three GOPs of three
    for number in range(30):
        buffer.push(picture(number, keyframe=number % 3 == 0))
    items = drain(buffer)
    told = items[0]
    assert isinstance(told, Discontinuity)
    assert (told.reason, told.lost) == ("overflow", 21)
    assert told.until == EPOCH + timedelta(seconds=2.1)
    assert [frame.pts for frame in frames_of(items)] == list(range(21, 30))
    assert len(items) == 10
    assert buffer.dropped == {"overflow": 21}


def test_row_69_latest_keeps_the_newest_gop_only() -> None:
    buffer = buffer_of("latest", 1 << 20)
    for number in range(30):
        buffer.push(picture(number, keyframe=number % 3 == 0))
    items = drain(buffer)
    assert isinstance(items[0], Discontinuity)
    assert (items[0].reason, items[0].lost) == ("overflow", 27)
    assert [frame.pts for frame in frames_of(items)] == [27, 28, 29]


def test_row_69_a_gop_larger_than_the_buffer_loses_its_tail() -> None:
    buffer = buffer_of("gop", 4 * (500 + OVERHEAD))
    for number in range(20):
        buffer.push(picture(number, keyframe=number % 10 == 0))
    first = drain(buffer)
    assert isinstance(first[0], Discontinuity)
    assert first[0].lost == 10
    assert [frame.pts for frame in frames_of(first)] == [10, 11, 12, 13]
    buffer.push(picture(20, keyframe=True))
    told, frame = drain(buffer)
    assert isinstance(told, Discontinuity)
    assert told.lost == 6
    assert isinstance(frame, VideoFrame)
    assert frame.pts == 20


def test_row_69_a_picture_larger_than_the_buffer_is_dropped() -> None:
    buffer = buffer_of("gop", 2000)
    buffer.push(picture(0, keyframe=True, size=5000))
    buffer.push(picture(1, keyframe=False, size=10))  # refers to it
    assert not drain(buffer)
    buffer.push(picture(2, keyframe=True, size=10))
    told, frame = drain(buffer)
    assert isinstance(told, Discontinuity)
    assert told.lost == 2
    assert isinstance(frame, VideoFrame)


def test_row_69_error_gives_what_is_queued_then_raises() -> None:
    async def run() -> None:
        buffer = buffer_of("error", 3 * (500 + OVERHEAD))
        for number in range(5):
            buffer.push(picture(number, keyframe=number == 0))
        for number in range(3):
            item = await buffer.get()
            assert isinstance(item, VideoFrame)
            assert item.pts == number
        with pytest.raises(BufferOverflowError, match="buffer_bytes"):
            await buffer.get()
        assert buffer.dropped == {"overflow": 1}

    asyncio.run(run())


def test_row_69_block_holds_the_source_up() -> None:
    async def run() -> None:
        buffer = buffer_of("block", 3 * (500 + OVERHEAD))
        for number in range(5):
            buffer.push(picture(number, keyframe=number == 0))
        assert buffer.is_full
        waiting = asyncio.ensure_future(buffer.space())
        await asyncio.sleep(0)
        for number in range(3):
            assert not waiting.done()
            item = await buffer.get()
            assert isinstance(item, VideoFrame)
            assert item.pts == number
            await asyncio.sleep(0)
        await asyncio.wait_for(waiting, 1)
        assert not buffer.is_full
        assert not buffer.dropped

    asyncio.run(run())


@pytest.mark.parametrize("release", ["end", "clear"])
def test_a_source_held_up_goes_on_when_the_consumer_leaves(release: str) -> None:
    async def run() -> None:
        buffer = buffer_of("block", 100)
        buffer.push(picture(0, keyframe=True))
        waiting = asyncio.ensure_future(buffer.space())
        await asyncio.sleep(0)
        if release == "end":
            buffer.end(None)
        else:
            buffer.clear()
        await asyncio.wait_for(waiting, 1)

    asyncio.run(run())


def test_what_discontinuities_told_survives_a_drop() -> None:
    buffer = buffer_of("gop", 6 * (500 + OVERHEAD))
    for number in range(30):
        if number == 6:
            buffer.push(Discontinuity("format"))
        if number == 27:
            buffer.push(Discontinuity("loss", lost=4))
        buffer.push(picture(number, keyframe=number % 3 == 0))
    items = drain(buffer)
    reasons = [item.reason for item in items if isinstance(item, Discontinuity)]
    assert reasons == ["overflow", "format", "loss"]
    assert isinstance(items[2], VideoFrame)
    assert items[2].pts == 24
    assert items.index(Discontinuity("loss", lost=4)) == 5  # before 27, where it was


def test_a_discontinuity_before_the_key_frame_that_starts_the_rest_stays_before_it() -> None:
    buffer = buffer_of("gop", 4 * (500 + OVERHEAD))
    for number in range(6):
        if number == 3:
            buffer.push(Discontinuity("loss", lost=2))
        buffer.push(picture(number, keyframe=number % 3 == 0))
    items = drain(buffer)
    assert [item.reason for item in items if isinstance(item, Discontinuity)] == [
        "overflow",
        "loss",
    ]
    assert [frame.pts for frame in frames_of(items)] == [3, 4, 5]


def test_losses_are_told_where_they_are() -> None:
    """A tail that did not fit and older GOPs dropped for the sake of audio are two gaps."""
    unit = 500 + OVERHEAD
    buffer = buffer_of("gop", 5 * unit)
    for number in range(6):
        buffer.push(picture(number, keyframe=number % 3 == 0))
    buffer.push(picture(6, keyframe=False))  # 0…2 go, 3…6 stay
    buffer.push(picture(7, keyframe=False))
    buffer.push(picture(8, keyframe=False))  # the tail that does not fit
    first = drain(buffer)
    assert [frame.pts for frame in frames_of(first)] == [3, 4, 5, 6, 7]
    assert isinstance(first[0], Discontinuity)
    assert first[0].lost == 3
    buffer.push(picture(9, keyframe=True))
    second = drain(buffer)
    assert isinstance(second[0], Discontinuity)
    assert second[0].lost == 1


def test_row_69_memory_is_flat_for_a_consumer_that_never_reads() -> None:
    """Whatever comes, discontinuities too: a recorder that changes the format at every part fills nothing."""
    limit = 200_000
    buffer = buffer_of("gop", limit)
    tracemalloc.start()
    try:
        peaks = []
        for quarter in range(4):
            for number in range(quarter * 1500, (quarter + 1) * 1500):
                buffer.push(Discontinuity("format"))
                buffer.push(Discontinuity("loss", lost=1))
                if number % 2:
                    buffer.push(sound(number))
                else:
                    buffer.push(picture(number, keyframe=False))
            peaks.append(tracemalloc.get_traced_memory()[0])
        assert peaks[3] < peaks[1] + 50_000
        assert peaks[3] < 4 * limit
    finally:
        tracemalloc.stop()


# Row 69, any order of events


class Model:
    """Pushes and reads at random and checks every promise after each step."""

    def __init__(self, policy: WhenFull, limit: int) -> None:
        self.policy = policy
        self.limit = limit
        self.buffer = buffer_of(policy, limit)
        self.pushed: list[VideoFrame | AudioFrame] = []
        self.got: list[StreamItem] = []
        self.pushed_discontinuities: set[str] = set()
        self.ended = False

    def push(self, item: StreamItem) -> None:
        before = sum(self.buffer.dropped.values())
        if not self.buffer._ended:
            if isinstance(item, Discontinuity):
                if item.reason != "reconnect" or self.pushed:  # nothing is missing before the first
                    self.pushed_discontinuities.add(item.reason)
            else:
                self.pushed.append(item)
        self.buffer.push(item)
        if self.policy == "block":
            assert sum(self.buffer.dropped.values()) == before

    def read(self, count: int) -> None:
        for _ in range(count):
            if not self.buffer._items:
                break
            item = at_once(self.buffer.get())
            assert item is not None
            self.got.append(item)

    def check(self) -> None:
        buffer = self.buffer
        dropped = sum(buffer.dropped.values())
        given = len(frames_of(self.got))
        queued = frames_of(list(buffer._items))
        assert buffer.delivered == given
        assert buffer.queued == len(queued)
        assert len(self.pushed) == given + buffer.queued + dropped
        assert buffer.pushed == len(self.pushed)
        assert buffer.bytes == sum(frame.size + OVERHEAD for frame in queued)
        if self.policy != "block":
            assert buffer.bytes <= self.limit
        if self.policy == "latest":
            assert sum(isinstance(f, VideoFrame) and f.keyframe for f in queued) <= 1

    def finish(self) -> None:
        """Read everything and judge the output as a whole."""
        if not self.buffer._ended:
            self.push(picture(1_000_000, keyframe=True, size=0))
        self.read(1 << 30)
        self.check()
        base: dict[bool, int] = {}
        for frame in self.pushed:
            base.setdefault(isinstance(frame, VideoFrame), frame.pts)
        numbers = {id(frame): index for index, frame in enumerate(self.pushed)}
        by_key = {(type(f), f.pts - base[isinstance(f, VideoFrame)]): f for f in self.pushed}
        told = 0
        last = -1
        last_video: int | None = None
        videos = [f for f in self.pushed if isinstance(f, VideoFrame)]
        place = {id(frame): index for index, frame in enumerate(videos)}
        for item in self.got:
            if isinstance(item, Discontinuity):
                told += item.lost if item.reason == "overflow" else 0
                continue
            source = by_key[type(item), item.pts]
            assert replace(item, pts=source.pts) == source
            number = numbers[id(source)]
            assert number - last - 1 == told, "the frames missing here are told here"
            last, told = number, 0
            if isinstance(source, VideoFrame):
                at = place[id(source)]
                if at != (0 if last_video is None else last_video + 1):
                    assert source.keyframe, "goes on at a key frame"
                last_video = at


events = st.lists(
    st.one_of(
        st.tuples(st.just("key"), st.integers(0, 1200)),
        st.tuples(st.just("delta"), st.integers(0, 600)),
        st.tuples(st.just("delta"), st.integers(0, 600)),
        st.tuples(st.just("audio"), st.integers(0, 300)),
        st.tuples(st.sampled_from(["format", "loss", "reconnect"]), st.just(0)),
        st.tuples(st.just("read"), st.integers(1, 6)),
    ),
    max_size=80,
)


@pytest.mark.parametrize("policy", POLICIES)
@settings(
    max_examples=3000 if LONG else 150, deadline=None, suppress_health_check=list(HealthCheck)
)
@given(events=events, limit=st.integers(1000, 12_000))
def test_row_69_any_order_of_events(
    policy: WhenFull, events: list[tuple[Any, int]], limit: int
) -> None:
    model = Model(policy, limit)
    for number, (kind, value) in enumerate(events):
        if kind == "read":
            model.read(value)
        elif kind == "audio":
            model.push(sound(number, value))
        elif kind in {"key", "delta"}:
            model.push(picture(number, keyframe=kind == "key", size=value))
        else:
            model.push(Discontinuity(kind))
        model.check()
    model.finish()
    got = {item.reason for item in model.got if isinstance(item, Discontinuity)}
    if not model.buffer._ended:
        assert got >= model.pushed_discontinuities, "no kind of news is swallowed"


# pts


def test_pts_begin_at_zero_for_one_that_joins_late() -> None:
    buffer = buffer_of("gop", 1 << 20)
    for number in range(100, 104):
        buffer.push(picture(number, keyframe=number == 100))
        buffer.push(sound(7 * number))
    items = frames_of(drain(buffer))
    assert [item.pts for item in items if isinstance(item, VideoFrame)] == [0, 1, 2, 3]
    assert [item.pts for item in items if isinstance(item, AudioFrame)] == [0, 7, 14, 21]


# Waiting and ending


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def test_get_waits_and_cancelling_it_loses_nothing() -> None:
    async def body() -> None:
        buffer = buffer_of("gop", 1 << 20)
        first = asyncio.ensure_future(buffer.get())
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        second = asyncio.ensure_future(buffer.get())
        await asyncio.sleep(0)
        buffer.push(picture(0, keyframe=True))
        second.cancel()  # woken, and cancelled before it ran
        with pytest.raises(asyncio.CancelledError):
            await second
        assert buffer.queued == 1
        assert isinstance(await buffer.get(), VideoFrame)
        assert (buffer.delivered, buffer.queued) == (1, 0)

    run(body)


def test_two_consumers_at_once_are_a_misuse() -> None:
    async def body() -> None:
        buffer = buffer_of("gop", 1 << 20)
        first = asyncio.ensure_future(buffer.get())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="one consumer"):
            await buffer.get()
        buffer.push(picture(0, keyframe=True))
        assert isinstance(await first, VideoFrame)

    run(body)


def test_the_end_comes_after_what_is_queued() -> None:
    async def body() -> None:
        buffer = buffer_of("gop", 1 << 20)
        buffer.push(picture(0, keyframe=True))
        buffer.end(StreamEndedError("over"))
        buffer.end(None)  # the first end holds
        buffer.push(picture(1, keyframe=True))
        assert buffer.queued == 1
        assert isinstance(await buffer.get(), VideoFrame)
        for _ in range(2):
            with pytest.raises(StreamEndedError, match="over"):
                await buffer.get()
        quiet = buffer_of("gop", 1 << 20)
        waiting = asyncio.ensure_future(quiet.get_nal())
        await asyncio.sleep(0)
        quiet.end(None)
        with pytest.raises(StopAsyncIteration):
            await waiting

    async def wrapped() -> None:
        try:
            await body()
        except StopAsyncIteration as stop:
            raise AssertionError from stop

    run(wrapped)


def test_clear_counts_what_was_queued() -> None:
    buffer = buffer_of("gop", 1 << 20)
    for number in range(4):
        buffer.push(picture(number, keyframe=number == 0))
    assert at_once(buffer.get()) is not None
    buffer.clear()
    assert buffer.dropped == {"closed": 3}
    assert (buffer.pushed, buffer.delivered, buffer.queued, buffer.bytes) == (4, 1, 0, 0)


def test_uncount_moves_a_frame_from_given_to_dropped() -> None:
    buffer = buffer_of("gop", 1 << 20)
    buffer.push(sound(0))
    assert at_once(buffer.get()) is not None
    buffer.uncount()
    assert (buffer.delivered, buffer.dropped, buffer.pushed) == (0, {"not asked for": 1}, 1)
