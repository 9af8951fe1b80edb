"""Decoded pictures of a playback come in the order in which they are shown, forward and backward, none missing."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import pairwise

import pytest

import nvrclient
from nvrclient.media import Picture, Pictures, pictures
from nvrclient.simulator import (
    CameraSetup,
    Clip,
    Recording,
    Regroup,
    Segment,
    SimulatedRecorder,
    read_number,
)

subject = importlib.import_module(
    "nvrclient.media.pictures"
)  # the package gives the function this name
START = datetime(2025, 1, 2, 3, 0, tzinfo=UTC)
CLIPS = {
    1: "h264",
    2: "h265_slices",
    3: "h265_cra",  # B pictures, open GOPs
    4: "jpeg",
    5: "h264",  # several answers from one IDR, hidden in front of all but the first
}


def setup(number: int) -> CameraSetup:
    regroup = Regroup(6) if number == 5 else None
    segment = Segment(START.timestamp(), CLIPS[number], duration=8, regroup=regroup)
    return CameraSetup("h264", recording=Recording((segment,)))


@pytest.fixture
async def nvr() -> AsyncIterator[nvrclient.Session]:
    setups = {number: setup(number) for number in CLIPS}
    async with SimulatedRecorder(cameras=setups) as recorder:
        async with nvrclient.connect(recorder.url, recorder.username, recorder.password) as session:
            yield session
        assert recorder.violations == []


def number(picture: Picture) -> int:
    return read_number(picture.luma, picture.width, picture.height, picture.stride)


def steps(shown: list[Picture]) -> set[int]:
    """By how much the numbers rise, in clips that start over."""
    size = len(Clip.load(CLIPS[shown[0].camera]))
    return {(number(after) - number(before)) % size for before, after in pairwise(shown)}


def when(seconds: float) -> datetime:
    return datetime.fromtimestamp(START.timestamp() + seconds, UTC)


async def some(source: Pictures, count: int) -> list[Picture]:
    return [await anext(source) for _ in range(count)]


async def until_start(source: Pictures) -> list[Picture]:
    shown: list[Picture] = []
    async for picture in source:
        shown.append(picture)
        if picture.time == START:
            break
    return shown


@pytest.mark.parametrize("camera", [1, 2, 4, 5])
async def test_forward(nvr: nvrclient.Session, camera: int) -> None:
    async with nvr.camera(camera).playback(START, end=when(5), speed=None) as playback:
        shown = [picture async for picture in pictures(playback)]
    assert len(shown) == 5 * Clip.load(CLIPS[camera]).fps + 1
    assert steps(shown) == {1}
    assert all(one.frame.shown for one in shown)


async def test_forward_with_pictures_out_of_order(nvr: nvrclient.Session) -> None:
    async with nvr.camera(3).playback(START, speed=None) as playback:
        shown = [picture async for picture in pictures(playback)]
    assert [number(picture) for picture in shown] == list(range(93))  # three whole GOPs


@pytest.mark.parametrize("camera", [1, 2, 4])
async def test_reverse(nvr: nvrclient.Session, camera: int) -> None:
    clip = Clip.load(CLIPS[camera])
    async with nvr.camera(camera).playback(when(7), speed=None) as playback:
        await playback.reverse()
        shown = await until_start(pictures(playback))
    assert steps(shown) == {len(clip) - 1}
    assert len(shown) > 4 * clip.fps


async def test_reverse_with_pictures_out_of_order(nvr: nvrclient.Session) -> None:
    async with nvr.camera(3).playback(when(7), speed=None) as playback:
        await playback.reverse()
        numbers = [number(picture) for picture in await until_start(pictures(playback))]
    assert all(after < before for before, after in pairwise(numbers))
    assert numbers[-29:] == list(
        range(28, -1, -1)
    )  # of later GOPs the leading pictures need the one before


async def test_little_memory_for_a_long_gop(
    nvr: nvrclient.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "MAX_HELD", 4 * 640 * 360 * 3 // 2)
    most = 0
    async with nvr.camera(1).playback(when(5), speed=None) as playback:
        await playback.reverse()
        shown: list[Picture] = []
        source = pictures(playback)
        while not shown or shown[-1].time != START:
            shown.append(await anext(source))
            most = max(most, len(source._ready))
    assert steps(shown) == {len(Clip.load("h264")) - 1}
    assert most <= 3


async def test_there_and_back(nvr: nvrclient.Session) -> None:
    async with nvr.camera(1).playback(when(1), speed=None) as playback:
        source = pictures(playback)
        there = await some(source, 70)
        await playback.reverse()
        back = await some(source, 20)
        await playback.forward()
        again = await some(source, 20)
        await playback.seek(when(3.5))
        sought = await some(source, 5)
    size = len(Clip.load("h264"))
    assert steps(there) == steps(again) == steps(sought) == {1}
    assert steps(back) == {size - 1}
    assert back[0].time < there[-1].time  # type: ignore[operator]
    assert when(3.5) <= sought[0].time < when(3.6)  # type: ignore[operator]


async def test_pause_in_reverse_loses_none(nvr: nvrclient.Session) -> None:
    async with nvr.camera(1).playback(when(7), speed=None) as playback:
        await playback.reverse()
        source = pictures(playback)
        shown = await some(source, 10)
        await playback.pause()
        waiting = asyncio.ensure_future(anext(source))
        done, _ = await asyncio.wait([waiting], timeout=0.3)
        assert not done
        await playback.resume()
        shown += [await waiting, *await some(source, 40)]
    assert steps(shown) == {len(Clip.load("h264")) - 1}


async def test_on_from_a_step_back(nvr: nvrclient.Session) -> None:
    async with nvr.camera(1).playback(START, speed=None) as playback:
        source = pictures(playback)
        shown = await some(source, 20)
        for _ in range(8):
            stepped = await playback.previous_frame()
        await playback.resume()
        again = await some(source, 20)
    assert stepped.time == shown[-9].time
    assert number(again[0]) == number(shown[-8])
    assert steps(again) == {1}


async def test_a_wait_that_is_cancelled_loses_none(nvr: nvrclient.Session) -> None:
    shown: list[Picture] = []
    async with nvr.camera(1).playback(START, end=when(4), speed=None) as playback:
        source = pictures(playback)
        while True:
            waiting = asyncio.ensure_future(anext(source))
            for _ in range(len(shown) % 7):
                await asyncio.sleep(0)
            waiting.cancel()
            try:
                shown.append(await waiting)
            except asyncio.CancelledError:
                shown.append(await anext(source))
            except StopAsyncIteration:
                break
            if shown[-1].time == when(4):
                break
    assert steps(shown) == {1}


async def test_the_pace_in_reverse_is_the_playback_s(nvr: nvrclient.Session) -> None:
    clock = asyncio.get_running_loop().time
    async with nvr.camera(1).playback(when(7), speed=4.0) as playback:
        await playback.reverse()
        source = pictures(playback)
        first = await anext(source)
        begun = clock()
        last = (await some(source, 60))[-1]
        took = clock() - begun
    assert first.time is not None
    assert last.time is not None
    recorded = (first.time - last.time).total_seconds()
    assert took > recorded / 4 - subject.CATCH_UP


async def test_a_playback_that_is_not_open(nvr: nvrclient.Session) -> None:
    with pytest.raises(RuntimeError, match="not open"):
        pictures(nvr.camera(1).playback(START))
