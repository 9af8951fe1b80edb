"""Live video from the simulated recorder is, byte for byte, what the encoder made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

import nvrclient
from nvrclient import Codec, Discontinuity, LiveStream, Session, VideoFrame
from nvrclient.simulator import (
    CameraSetup,
    Clip,
    Extension,
    Framing,
    HeaderCase,
    Marker,
    Readings,
    SimulatedRecorder,
)
from tests.end_to_end.media import decode, nal_units, numbers, split
from tests.secrets import PASSWORD

WAYS = ("http", "https", "udp")


@asynccontextmanager
async def watching(recorder: SimulatedRecorder, **options: object) -> AsyncIterator[Session]:
    """A session with a simulated recorder that must not have been broken any rule of."""
    async with (
        recorder,
        nvrclient.connect(
            recorder.url,
            recorder.username,
            recorder.password,
            verify=recorder.certificate or True,
            **options,  # type: ignore[arg-type]
        ) as nvr,
    ):
        yield nvr
        assert recorder.violations == []
    assert recorder.uids == ()


def recorder_of(clip: str | Clip, way: str = "http", **options: object) -> SimulatedRecorder:
    jpeg = clip if (isinstance(clip, str) and clip == "jpeg") else None
    return SimulatedRecorder(
        cameras={1: CameraSetup("h264" if jpeg else clip, jpeg=jpeg)},
        tls=way == "https",
        password=PASSWORD,
        **{"pace": 8.0, **options},  # type: ignore[arg-type]
    )


async def take(stream: LiveStream, count: int) -> list[VideoFrame]:
    frames: list[VideoFrame] = []
    async for frame in stream.video():
        frames.append(frame)
        if len(frames) == count:
            break
    return frames


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["h264", "h264_large", "h265", "h265_slices", "h265_cra"])
async def test_pictures_are_the_encoders(name: str, way: str) -> None:
    clip = Clip.load(name)
    async with watching(recorder_of(name, way)) as nvr:
        transport = "udp" if way == "udp" else "http"
        async with nvr.camera(1).live(clip.codec, transport=transport) as stream:  # type: ignore[arg-type]
            frames = await take(stream, len(clip))
            stats = stream.stats
            assert stream.format is not None
            assert (stream.format.width, stream.format.height) == (clip.width, clip.height)
    sent = [unit for access_unit in clip.units for unit in split(access_unit)]
    assert nal_units(frames) == sent
    assert [frame.keyframe for frame in frames] == [n in clip.keyframes for n in range(len(clip))]
    assert all(before.pts < after.pts for before, after in pairwise(frames))
    assert frames[0].pts == 0
    assert all(before.time <= after.time for before, after in pairwise(frames))  # type: ignore[operator]
    assert sorted(numbers(clip.codec, [frame.data for frame in frames])) == list(range(len(clip)))
    assert (stats.lost, stats.malformed, dict(stats.dropped)) == (0, 0, {})
    assert stats.transport == transport


@pytest.mark.parametrize("way", ["http", "https"])
async def test_jpegs_are_the_encoders(way: str) -> None:
    clip = Clip.load("jpeg")
    async with (
        watching(recorder_of("jpeg", way)) as nvr,
        nvr.camera(1).live("jpeg") as stream,
    ):
        frames = await take(stream, len(clip))
        assert stream.codec is Codec.JPEG
    assert [frame.data for frame in frames] == list(clip.units)
    assert numbers(Codec.JPEG, [frame.data for frame in frames]) == list(range(len(clip)))
    assert frames[0].info.camera == 1
    assert all(frame.keyframe and not frame.nal_units for frame in frames)


READINGS = {
    "boundary as in RFC 2046": Readings(boundary_with_hyphens=False),
    "header names in capitals": Readings(header_case=HeaderCase.UPPER),
    "header names in lower case": Readings(header_case=HeaderCase.LOWER),
    "no CRLF after a body": Readings(crlf_after_body=False),
    "chunked": Readings(framing=Framing.CHUNKED),
    "a chunk a part": Readings(framing=Framing.CHUNK_PER_PART),
    "information on every packet": Readings(extension=Extension.EVERY_PACKET),
    "information at key frames": Readings(extension=Extension.KEYFRAMES),
    "no information": Readings(extension=Extension.NONE),
    "marker on every NAL unit": Readings(marker=Marker.EVERY_NAL_UNIT),
    "no marker": Readings(marker=Marker.MISSING),
    "padding and CSRC": Readings(padding=True, csrc=True),
    "aggregation": Readings(aggregate=True),
    "single slices": Readings(single_slices=True),
    "start codes": Readings(start_codes=True),
    "commands are challenged": Readings(challenge_commands=True, gone_uid_challenges=True),
    "nonces go stale": Readings(challenge_commands=True, nonce_uses=2),
    "SHA-256": Readings(sha256=True),
    "UIDs of one digit": Readings(uid_digits=1),
}


@pytest.mark.parametrize("way", ["http", "udp"])
@pytest.mark.parametrize("name", ["h264", "h265_slices"])
@pytest.mark.parametrize("reading", READINGS)
async def test_every_reading_of_the_specification(reading: str, name: str, way: str) -> None:
    clip = Clip.load(name)
    count = 40
    recorder = recorder_of(name, way, readings=READINGS[reading], pace=20.0)
    async with (
        watching(recorder) as nvr,
        nvr.camera(1).live(clip.codec, transport=way) as stream,  # type: ignore[arg-type]
    ):
        frames = await take(stream, count)
    sent = [unit for access_unit in clip.units[:count] for unit in split(access_unit)]
    assert nal_units(frames) == sent
    if reading == "no information":
        assert all(frame.time is None for frame in frames)
    else:
        assert all(frame.time is not None for frame in frames)
        assert all(frame.info.camera == 1 for frame in frames)


@pytest.mark.parametrize("way", ["http", "udp"])
async def test_nal_units_come_one_by_one(way: str) -> None:
    clip = Clip.load("h265_slices")
    sent = [unit for access_unit in clip.units[:40] for unit in split(access_unit)]
    got: list[bytes] = []
    async with (
        watching(recorder_of("h265_slices", way)) as nvr,
        nvr.camera(1).live("h265", transport=way) as stream,  # type: ignore[arg-type]
    ):
        async for unit in stream.nal_units():
            got.append(unit.data.rstrip(b"\x00"))
            if len(got) == len(sent):
                break
        stats = stream.stats
        assert stats.frames_received == (
            stats.frames_delivered + stats.frames_queued + sum(stats.dropped.values())
        )
    assert got == sent


@pytest.mark.parametrize(("name", "expected"), [("h264", "H264"), ("h265", "H265")])
async def test_the_codec_is_found_out_and_remembered(name: str, expected: str) -> None:
    recorder = recorder_of(name)
    async with watching(recorder, stall_timeout=0.6) as nvr:
        for _ in range(2):
            async with nvr.camera(1).live() as stream:
                (frame,) = await take(stream, 1)
                assert stream.codec == frame.codec == expected
    comps = [
        value
        for request in recorder.requests
        if ("CMD", "START") in request.params
        for key, value in request.params
        if key == "COMP"
    ]
    assert comps == {"H264": ["H264", "H264"], "H265": ["H264", "H265", "H265"]}[expected]


async def test_ipv6() -> None:
    clip = Clip.load("h264")
    for way in ("http", "udp"):
        async with (
            watching(recorder_of("h264", host="::1")) as nvr,
            nvr.camera(1).live("h264", transport=way) as stream,  # type: ignore[arg-type]
        ):
            frames = await take(stream, 20)
        assert nal_units(frames) == [unit for au in clip.units[:20] for unit in split(au)]


async def test_rtp_ports_are_taken_from_the_range() -> None:
    recorder = recorder_of("h264")
    async with (
        watching(recorder, rtp_ports=range(41000, 41100), rtp_host="127.0.0.1") as nvr,
        nvr.camera(1).live("h264", transport="udp") as stream,
    ):
        await take(stream, 5)
    ports = {
        int(value)
        for request in recorder.requests
        for key, value in request.params
        if key == "PORT"
    }
    assert len(ports) == 1
    assert ports <= set(range(41000, 41100))


async def test_joining_in_the_middle_starts_at_a_key_frame() -> None:
    recorder = recorder_of("h264", readings=Readings(start_at=7))
    clip = Clip.load("h264")
    first = min(n for n in clip.keyframes if n >= 7)
    async with watching(recorder) as nvr, nvr.camera(1).live("h264") as stream:
        frames = await take(stream, 10)
        assert dict(stream.stats.dropped) == {"waiting for key frame": first - 7}
    assert nal_units(frames) == [u for au in clip.units[first : first + 10] for u in split(au)]
    assert len(decode(Codec.H264, [frame.data for frame in frames])) == 10


async def test_shared_streams_take_one_stream_of_the_recorder() -> None:
    recorder = recorder_of("h264", pace=4.0)
    async with watching(recorder) as nvr:
        async with nvr.camera(1).live("h264") as first:
            early = await take(first, 10)
            async with nvr.camera(1).live("h264") as second:
                late = await take(second, 10)
                assert len(recorder.streams) == 1
                assert late[0].keyframe
                assert late[0].pts == 0
                assert late[0].nal_units == early[0].nal_units  # the newest GOP held
                await take(first, 5)
            assert len(recorder.streams) == 1
        assert recorder.streams == ()
        assert recorder.logins == 1


async def test_a_stream_of_ones_own_takes_another_uid() -> None:
    recorder = recorder_of("h264")
    async with watching(recorder) as nvr:
        async with (
            nvr.camera(1).live("h264") as first,
            nvr.camera(1).live("h264", shared=False) as second,
        ):
            await asyncio.gather(take(first, 5), take(second, 5))
            assert recorder.logins == 2
        await asyncio.sleep(0.2)
        assert len(recorder.uids) == 1  # the spare one was logged out


async def test_discontinuities_are_not_in_a_clean_stream() -> None:
    async with watching(recorder_of("h264")) as nvr, nvr.camera(1).live("h264") as stream:
        items = [item async for item, _ in _counted(stream, 40)]
    assert not any(isinstance(item, Discontinuity) for item in items)


async def _counted(stream: LiveStream, count: int) -> AsyncIterator[tuple[object, int]]:
    for number in range(count):
        yield await anext(stream), number
