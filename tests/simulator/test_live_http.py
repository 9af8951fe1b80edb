"""Live over HTTP: what is sent is the clip, byte for byte."""

from __future__ import annotations

import asyncio

import pytest

from nvrclient.simulator import CameraSetup, Clip, Readings, SimulatedRecorder
from tests.simulator import golden
from tests.simulator.client import rtp_payload, settle, viewing, watching


def show(
    video: str,
    audio: str | None = None,
    jpeg: str | None = None,
    *,
    readings: Readings | None = None,
    pace: float | None = None,
) -> SimulatedRecorder:
    """A recorder with one camera, whose clock stands at the golden messages' time."""
    setup = CameraSetup(video, audio, jpeg)
    return SimulatedRecorder(
        cameras={1: setup},
        readings=readings or Readings(),
        pace=pace,
        clock=lambda: 1_700_006_400.0,
    )


def joined(codec: str, packets: list[bytes]) -> list[bytes]:
    """NAL units out of RTP packets that come in order and complete: single ones, and FU-A or FU."""
    units: list[bytes] = []
    for payload in map(rtp_payload, packets):
        if codec == "H264" and payload[0] & 0x1F == 28:
            header, flags, body = bytes([payload[0] & 0xE0 | payload[1] & 0x1F]), payload[1], 2
        elif codec == "H265" and payload[0] >> 1 == 49:
            header = bytes([payload[0] & 0x81 | (payload[2] & 0x3F) << 1, payload[1]])
            flags, body = payload[2], 3
        else:
            units.append(payload)
            continue
        if flags & 0x80:
            units.append(header)
        units[-1] += payload[body:]
    return units


@pytest.mark.parametrize("options", [{}, {"tls": True}, {"host": "::1"}])
async def test_h264_is_the_clip(options: dict[str, object]) -> None:
    async with SimulatedRecorder(pace=None, **options) as recorder:  # type: ignore[arg-type]
        async with viewing(recorder) as viewer:
            parts = await viewer.parts(1, "H264", 400)
            assert {kind for kind, _ in parts} == {"application/octet-stream"}
            sent = [nal for unit in Clip.load("h264").nal_units for nal in unit]
            read = joined("H264", [body for _, body in parts])
            assert read[:200] == sent[:200]
            await settle()
            assert recorder.streams == ()
            assert await viewer.get("logout.cgi", "") == 200
        assert recorder.violations == []
        assert recorder.uids == ()
        assert recorder.credentials == 1


@pytest.mark.parametrize(
    ("clip", "comp", "payload_type"),
    [
        ("h264_large", "H264", 98),
        ("h265", "H265", 101),
        ("h265_slices", "H265", 101),
        ("h265_cra", "H265", 101),
    ],
)
async def test_each_clip_arrives_whole_and_starts_over(
    clip: str, comp: str, payload_type: int
) -> None:
    loaded = Clip.load(clip)
    sent = [nal for unit in loaded.nal_units for nal in unit]
    async with show(clip) as recorder, viewing(recorder) as viewer:
        parts = await viewer.parts(1, comp, 1600)
        read = joined(comp, [body for _, body in parts])[:-1]
        assert len(read) > len(sent)
        assert read == (sent * 4)[: len(read)]
        assert {body[1] & 0x7F for _, body in parts} == {payload_type}


@pytest.mark.parametrize("name", [n for n in Clip.names() if not Clip.load(n).codec.is_video])
async def test_audio_is_the_clip_behind_one_zero(name: str) -> None:
    clip = Clip.load(name)
    async with show("h264", name) as recorder, viewing(recorder) as viewer:
        async with viewer.live(1, "H264"):
            parts = await viewer.parts(1, "AUDIO", 30)
            assert await viewer.get("push.cgi", "CAM=1&CMD=STOP&COMP=H264") == 200
        assert [body for _, body in parts] == [b"\0" + unit for unit in clip.units[:30]]
        kinds = {"AAC": f"audio/{clip.sample_rate // 1000}kaac-lc", "G726": "audio/g.726-32k"}
        assert {kind for kind, _ in parts} == {kinds.get(clip.codec, "audio/g.711")}
        assert recorder.violations == []


async def test_audio_can_ride_in_the_videos_response() -> None:
    riding = show("h264", "pcmu", readings=Readings(audio_in_video=True), pace=10)
    async with riding as recorder, viewing(recorder) as viewer:
        async with viewer.live(1, "H264") as live:
            await live.parts(1)
            query = "CAM=1&CMD=START&COMP=AUDIO&INTERNETMODE=ON"
            assert await viewer.get("push.cgi", query) == 200
            parts = await live.parts(100)
            sound = [body for kind, body in parts if kind == "audio/g.711"]
            assert sound == [b"\0" + unit for unit in Clip.load("pcmu").units[: len(sound)]]
            assert 10 < len(sound) < 90
            assert await viewer.get("push.cgi", "CAM=1&CMD=STOP&COMP=AUDIO") == 200
            await live.parts(100)
            assert await viewer.get("push.cgi", query) == 200
        await settle()
        assert recorder.streams == ()  # both end with the response
        assert recorder.violations == []


async def test_a_camera_without_sound_is_silent() -> None:
    async with (
        watching(show("h264")) as viewer,
        viewer.live(1, "H264"),
        viewer.live(1, "AUDIO") as sound,
    ):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sound.parts(1), 0.1)


@pytest.mark.parametrize(
    ("readings", "chunks", "start"),
    [
        (Readings(), [golden.RECORDER_CHUNK, golden.CAMERA_CHUNK], 0),
        (Readings(jpeg_camera_chunk=False), [golden.RECORDER_CHUNK], 0),
        (Readings(jpeg_soi=False), [golden.RECORDER_CHUNK, golden.CAMERA_CHUNK], 2),
        (Readings(jpeg_soi=False, jpeg_camera_chunk=False), [golden.RECORDER_CHUNK], 2),
    ],
)
async def test_jpeg(readings: Readings, chunks: list[bytes], start: int) -> None:
    clip = Clip.load("jpeg")
    async with watching(show("h264", jpeg="jpeg", readings=readings)) as viewer:
        parts = await viewer.parts(1, "JPEG", 4)
    assert [kind for kind, _ in parts] == ["image/jpeg"] * 4
    head = b"".join(chunks)
    assert [body for _, body in parts] == [head + unit[start:] for unit in clip.units[:4]]


async def test_a_camera_without_jpeg_sends_the_placeholder() -> None:
    async with show("h264") as recorder, viewing(recorder) as viewer:
        parts = await viewer.parts(1, "JPEG", 3)
        picture = Clip.load("placeholder").units[0]
        assert all(body.endswith(picture) for _, body in parts)
        assert recorder.violations == []
