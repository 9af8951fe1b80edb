"""Consumers that read late or never (docs/faults.md, row 69), end to end, on the simulated clock.

The long form lets one of sixteen not read for an hour instead of two minutes:
NVRCLIENT_LONG=1 python -m pytest -n0 tests/faults/test_slow_consumers.py
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import tracemalloc
from collections.abc import Coroutine
from typing import Any

import pytest

import nvrclient
from nvrclient import Discontinuity, LiveStream, StreamStats, VideoFrame
from nvrclient.live.buffer import POLICIES, WhenFull
from nvrclient.simulator import Readings, SimulatedRecorder, light_cameras
from tests.clock import run_simulated, simulated_clock
from tests.end_to_end.recordings import at, numbered_gops, playing
from tests.end_to_end.recordings import recorder_of as recorder_with
from tests.secrets import PASSWORD

LONG = bool(os.environ.get("NVRCLIENT_LONG"))
SECONDS = 3600 if LONG else 120
BUFFER = 100_000

ONE_READ = 80_000
"""Bytes that "block" can have beyond its bound: what one read of the connection brings, and what is counted for objects."""


def run(scenario: Coroutine[Any, Any, None]) -> None:
    run_simulated(scenario, debug=False)


def recorder_of(cameras: int) -> SimulatedRecorder:
    return SimulatedRecorder(
        cameras=light_cameras(cameras),
        password=PASSWORD,
        readings=Readings(packet_size=700),
        clock=simulated_clock().wall,
    )


def check(stats: StreamStats) -> None:
    """The account, which holds at every moment."""
    assert stats.frames_received == (
        stats.frames_delivered + stats.frames_queued + sum(stats.dropped.values())
    ), stats


async def read(stream: LiveStream, told: list[Discontinuity]) -> None:
    """Read all there is, keep what is no picture, and check the account after each."""
    async for item in stream:
        if isinstance(item, Discontinuity):
            told.append(item)
        check(stream.stats)


@pytest.mark.parametrize("policy", ["gop", "latest"] if LONG else ["gop"])
def test_row_69_one_of_sixteen_never_reads(policy: WhenFull) -> None:
    """It holds its bound in bytes, drops whole GOPs, begins with a key frame; memory is flat, the others lose nothing."""

    async def scenario() -> None:
        async with recorder_of(16) as recorder:
            async with nvrclient.connect(recorder.url, "ADMIN", PASSWORD) as nvr:
                streams = [
                    await nvr.camera(n).live(
                        transport="udp" if n % 2 else "http",
                        when_full=policy,
                        buffer_bytes=BUFFER,
                    )
                    for n in range(1, 17)
                ]
                lazy, others = streams[0], streams[1:]
                told_others: list[Discontinuity] = []
                reading = [asyncio.create_task(read(stream, told_others)) for stream in others]
                heap: list[int] = []
                for second in range(SECONDS):
                    await asyncio.sleep(1)
                    stats = lazy.stats
                    check(stats)
                    assert stats.bytes_queued <= BUFFER
                    if second in {SECONDS // 2, SECONDS - 1}:
                        recorder.requests.clear()
                        gc.collect()
                        heap.append(tracemalloc.get_traced_memory()[0])
                assert heap[1] - heap[0] < 1 << 20
                for stream in others:
                    check(stream.stats)
                    assert (stream.stats.lost, stream.stats.reconnects) == (0, 0)
                    assert not stream.stats.dropped
                    assert stream.stats.frames_delivered > SECONDS - 10
                for task in reading:
                    task.cancel()
                assert not told_others
                dropped = lazy.stats.dropped["overflow"]
                assert lazy.stats.dropped == {"overflow": dropped}
                told, first = await anext(lazy), await anext(lazy)
                assert isinstance(told, Discontinuity)
                assert (told.reason, told.lost) == ("overflow", dropped)
                assert isinstance(first, VideoFrame)
                assert first.keyframe
                assert dropped % 5 == 0, "whole GOPs"
                for stream in streams:
                    await stream.aclose()
            assert recorder.violations == []

    tracemalloc.start()
    try:
        run(scenario())
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("policy", POLICIES)
def test_row_69_reading_by_fits_and_starts(policy: WhenFull) -> None:
    """Whatever the order of waiting and reading: the bound holds, the account too, and what goes on is a key frame."""

    async def scenario() -> None:
        chance = random.Random(69)
        # Pictures of 2 KB, one a second: the buffer holds a GOP or two.
        async with recorder_of(2) as recorder:
            async with nvrclient.connect(recorder.url, "ADMIN", PASSWORD) as nvr:
                stream = await nvr.camera(1).live(
                    when_full=policy, buffer_bytes=40_000, shared=policy != "block"
                )
                items: list[VideoFrame | Discontinuity] = []
                failure: Exception | None = None
                for _ in range(200 if LONG else 60):
                    await asyncio.sleep(chance.choice((0, 0, 1, 5, 60)))
                    check(stream.stats)
                    more = ONE_READ if policy == "block" else 0
                    assert stream.stats.bytes_queued <= 40_000 + more
                    for _ in range(chance.choice((0, 1, 3, 20))):
                        try:
                            item = await anext(stream)
                        except nvrclient.BufferOverflowError as error:
                            failure = error
                            break
                        assert isinstance(item, VideoFrame | Discontinuity)
                        items.append(item)
                        check(stream.stats)
                    if failure is not None:
                        break
                stats = stream.stats
                await stream.aclose()
        assert (failure is not None) == (policy == "error")
        overflows = [i for i in items if isinstance(i, Discontinuity) and i.reason == "overflow"]
        assert bool(overflows) == (policy in {"gop", "latest"})
        for one, following in zip(items, items[1:], strict=False):
            if isinstance(one, Discontinuity) and isinstance(following, VideoFrame):
                assert following.keyframe
        if policy == "block":
            assert not stats.dropped
            assert stats.lost == 0
        assert recorder.violations == []

    run(scenario())


def test_row_69_a_playback_that_is_not_read_holds_little_and_asks_for_nothing() -> None:
    """Back-pressure: an hour without reading costs under 8 MiB, keeps its UID, and goes on with the next picture."""

    async def scenario() -> None:
        recorder = recorder_with(numbered_gops(7200), clock=simulated_clock().wall)
        async with playing(recorder) as nvr, nvr.camera(1).playback(at(0), speed=None) as playback:
            first = await anext(playback)
            assert isinstance(first, VideoFrame)
            await asyncio.sleep(10)
            gc.collect()
            before, asked = tracemalloc.get_traced_memory()[0], asked_for_pictures(recorder)
            for _ in range(60):
                await asyncio.sleep(60)
                check(playback.stats)
            gc.collect()
            assert tracemalloc.get_traced_memory()[0] - before < 1 << 20
            assert before - start < 8 << 20
            assert asked_for_pictures(recorder) == asked <= 30
            last = first
            for _ in range(100):
                item = await anext(playback)
                assert isinstance(item, VideoFrame)
                assert item.pts > last.pts
                last = item
            assert playback.stats.reconnects == 0

    tracemalloc.start()
    try:
        start = tracemalloc.get_traced_memory()[0]
        run(scenario())
    finally:
        tracemalloc.stop()


def asked_for_pictures(recorder: SimulatedRecorder) -> int:
    return sum(request.cgi == "camera.cgi" for request in recorder.requests)
