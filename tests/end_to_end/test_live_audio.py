"""Live audio is the encoder's, and decodes with the configuration it comes with."""

from __future__ import annotations

from itertools import pairwise

import pytest

from nvrclient import AudioFrame, LiveStream, VideoFrame
from nvrclient.simulator import CameraSetup, Clip, Readings, SimulatedRecorder
from tests.end_to_end.media import decode_aac
from tests.end_to_end.test_live_video import watching
from tests.secrets import PASSWORD

CLIPS = (
    "aac_48k_stereo",
    "aac_48k_mono",
    "aac_32k_stereo",
    "aac_32k_mono",
    "aac_16k_stereo",
    "aac_16k_mono",
    "pcmu",
    "pcma",
    "g726",
)


async def heard(stream: LiveStream, count: int) -> list[AudioFrame]:
    frames: list[AudioFrame] = []
    async for frame in stream.audio():
        frames.append(frame)
        if len(frames) == count:
            break
    return frames


def recorder_of(name: str, **options: object) -> SimulatedRecorder:
    return SimulatedRecorder(
        cameras={1: CameraSetup("h264", name)},
        password=PASSWORD,
        **options,  # type: ignore[arg-type]
    )


WAYS = {
    "http": ("http", Readings()),
    "http, in the video's answer": ("http", Readings(audio_in_video=True)),
    "udp": ("udp", Readings()),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CLIPS)
async def test_audio_is_the_encoders(name: str, way: str) -> None:
    transport, readings = WAYS[way]
    clip = Clip.load(name)
    count = min(60, len(clip))
    recorder = recorder_of(name, readings=readings, pace=1.0 if transport == "udp" else 4.0)
    law = "alaw" if name == "pcma" else "mulaw"
    async with (
        watching(recorder, g711=law) as nvr,
        nvr.camera(1).live("h264", transport=transport, audio=True) as stream,  # type: ignore[arg-type]
    ):
        frames = await heard(stream, count)
    assert [frame.data for frame in frames] == list(clip.units[:count])
    assert {frame.codec for frame in frames} == {clip.codec}
    assert {frame.sample_rate for frame in frames} == {clip.sample_rate}
    assert {frame.channels for frame in frames} == {clip.channels}
    assert frames[0].pts == 0
    assert all(before.pts < after.pts for before, after in pairwise(frames))
    if name.startswith("aac"):
        assert decode_aac(frames) >= 1024 * (count - 1)
    else:
        assert all(frame.config is None for frame in frames)


async def test_audio_over_udp_runs_by_the_recorders_clock() -> None:
    recorder = recorder_of("pcmu", readings=Readings(camera_clock_offset=-3600.0))
    async with (
        watching(recorder) as nvr,
        nvr.camera(1).live("h264", transport="udp", audio=True) as stream,
    ):
        last_picture: VideoFrame | None = None
        apart: list[float] = []
        async for item in stream:
            if isinstance(item, VideoFrame):
                last_picture = item
            elif isinstance(item, AudioFrame) and last_picture is not None and item.time:
                assert last_picture.time is not None
                apart.append(abs((item.time - last_picture.time).total_seconds()))
            if len(apart) == 60:
                break
    assert max(apart) < 1.5  # whole seconds are all that live video tells at first


async def test_the_caller_can_say_the_codec() -> None:
    clip = Clip.load("g726")
    recorder = recorder_of("g726")
    async with (
        watching(recorder) as nvr,
        nvr.camera(1).live("h264", transport="udp", audio="g726") as stream,
    ):
        frames = await heard(stream, 5)
    assert [frame.data for frame in frames] == list(clip.units[:5])


@pytest.mark.parametrize("transport", ["http", "udp"])
async def test_audio_is_stopped_before_the_video(transport: str) -> None:
    recorder = recorder_of("pcmu")
    async with watching(recorder) as nvr:
        async with nvr.camera(1).live("h264", transport=transport, audio=True) as stream:  # type: ignore[arg-type]
            await heard(stream, 3)
        assert recorder.streams == ()
    sent = [
        (dict(request.params)["CMD"], dict(request.params)["COMP"])
        for request in recorder.requests
        if request.cgi == "push.cgi"
    ]
    assert sent == [("START", "H264"), ("START", "AUDIO"), ("STOP", "AUDIO"), ("STOP", "H264")]


async def test_audio_begins_with_the_first_picture_while_the_codec_is_found_out() -> None:
    clip = Clip.load("pcmu")
    recorder = SimulatedRecorder(cameras={1: CameraSetup("h265", "pcmu")}, password=PASSWORD)
    async with (
        watching(recorder, stall_timeout=0.6, command_interval=0.1) as nvr,
        nvr.camera(1).live(audio=True) as stream,
    ):
        items = [await anext(stream) for _ in range(30)]
        stats = stream.stats
    assert isinstance(items[0], VideoFrame)
    frames = [item for item in items if isinstance(item, AudioFrame)]
    assert frames[0].pts == 0
    assert [frame.data for frame in frames] == list(clip.units[: len(frames)])
    assert set(stats.dropped) == {"before the first picture"}
