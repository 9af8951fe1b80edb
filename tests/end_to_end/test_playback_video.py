"""Pictures played back are, byte for byte and to 10 ms, what the encoder made, however the specification is read.

What is open in it is a switch of the simulated recorder. Always run: a set of readings in which every value of any
three switches of the containers meets every other, and every value of any two of the positions. NVRCLIENT_LONG=1 adds
the full product of the switches that act on each other: ``NVRCLIENT_LONG=1 python -m pytest -m long
tests/end_to_end/test_playback_video.py``.
"""

from __future__ import annotations

import os
from datetime import timedelta, timezone
from typing import Any

import pytest

from nvrclient import Codec, Session, VideoFrame
from nvrclient.simulator import (
    NASTY_CAMERA_INFORMATION,
    ChunkLength,
    Clip,
    PlaybackReadings,
    Regroup,
    SimulatedRecorder,
    VideoLength,
    ZoneBits,
    split_annex_b,
)
from tests.clock import run_simulated
from tests.end_to_end.media import numbers
from tests.end_to_end.recordings import (
    adds_up,
    are,
    at,
    brief,
    covering,
    every,
    frames_of,
    playing,
    read_as,
    recorded,
    recorder_of,
    rest_of,
    rises,
    run_many,
)

LONG = pytest.mark.skipif("NVRCLIENT_LONG" not in os.environ, reason="NVRCLIENT_LONG is not set")
VIDEOS = ("h264", "h265", "h265_slices", "h265_cra", "jpeg")

PLAIN_CAMERA_INFORMATION = bytes.fromhex("8001 0008 00010000 8002 0006 ABCD")

LAYOUT: dict[str, tuple[object, ...]] = {
    "chunk_length": tuple(ChunkLength),
    "video_length": tuple(VideoLength),
    "zone_bits": tuple(ZoneBits),
    "time_and_date": (True, False),
    "camera_information": (b"", PLAIN_CAMERA_INFORMATION, NASTY_CAMERA_INFORMATION),
    "gop_end_is_next": (False, True),
    "final_padding": (True, False),
    "gops_per_answer": (1, 2),
}
CONTAINERS = LAYOUT | {
    "camera_time": (False, True),
    "hidden_idr_starts_gop": (False, True),
    "hidden_idr_every_answer": (True, False),
    "jpeg_soi": (True, False),
    "jpeg_compression": (None, 0, 5),
    "padding_fill": (0, 0xA5),
    "reserved_fill": (0, 0xFF),
    "trailing": (b"", b"\r\n"),
}


async def compare(nvr: Session, recorder: SimulatedRecorder, camera: int) -> None:
    """Play a camera's whole recording and compare."""
    gops = list(recorder.recording(camera).gops())
    async with nvr.camera(camera).playback(gops[0].start, speed=None) as playback:
        items = await rest_of(playback)
        stats = playback.stats
    frames = frames_of(items)
    assert len(frames) == len(items)
    units = [unit for gop in gops for unit in gop.shown]
    shown = [frame for frame in frames if frame.shown]
    assert are(shown, units)
    hidden = [gop.pictures[0] for gop in gops if gop.hidden]
    assert all(frame.data in {unit.data for unit in hidden} for frame in frames if not frame.shown)
    assert rises(frames)
    assert frames[0].pts == 0
    assert {frame.time.utcoffset() for frame in frames if frame.time} == {
        gop.zone.utcoffset(None) for gop in gops
    }
    assert {frame.codec for frame in frames} == {gop.codec for gop in gops}
    assert stats.malformed == 0
    assert adds_up(stats)


def play_under(readings: list[dict[str, Any]], clip: Clip, **more: Any) -> None:
    """Compare a recording under each of these readings, one after the other on one session."""

    async def scenario() -> None:
        recorder = recorder_of(recorded(clip, 3, zone=timezone(-timedelta(hours=3.5)), **more))
        async with playing(recorder) as nvr:
            for row in readings:
                read_as(recorder, PlaybackReadings(**row))
                try:
                    await compare(nvr, recorder, 1)
                except Exception as error:
                    error.add_note(f"under {row}")
                    raise

    run_many(scenario())


@pytest.mark.parametrize("name", VIDEOS)
def test_every_reading_of_the_containers(name: str) -> None:
    """Every value of any three switches meets every other: three GOPs of video, a picture of JPEG each."""
    axes = CONTAINERS
    if (
        name == "jpeg"
    ):  # of one picture without padding, bytes behind it look like the end of a longer one
        axes = axes | {"trailing": (b"",)}
    play_under(covering(axes, 3), brief(name, 4 if name != "jpeg" else 2))


def test_every_reading_of_hidden_pictures() -> None:
    """The same two by two, where a hidden IDR stands in front of answers, and where answers have none."""
    for hidden in (True, False):
        play_under(covering(CONTAINERS, 2), brief("h264", 6), regroup=Regroup(2, hidden_idr=hidden))


@pytest.mark.long
@LONG
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", VIDEOS)
def test_the_full_product_of_the_containers(name: str) -> None:
    """All combinations of the switches that share in a container's layout."""
    play_under(list(every(LAYOUT)), brief(name, 4 if name != "jpeg" else 2))


@pytest.mark.parametrize("name", VIDEOS)
def test_pictures_are_the_encoders_and_decode(name: str) -> None:
    """A whole clip, as recorded: PyAV decodes every picture, and each is the one it should be."""

    async def scenario() -> list[VideoFrame]:
        clip = Clip.load(name)
        recorder = recorder_of(recorded(name, len(clip) / clip.fps))
        async with playing(recorder) as nvr:
            await compare(nvr, recorder, 1)
            async with nvr.camera(1).playback(at(0), speed=None) as playback:
                frames = frames_of(await rest_of(playback))
                assert playback.codec is clip.codec
                assert playback.format is not None
                assert (playback.format.width, playback.format.height) == (clip.width, clip.height)
        assert [frame.keyframe for frame in frames] == [
            n in clip.keyframes for n in range(len(clip))
        ]
        if clip.codec is not Codec.JPEG:
            assert [[unit.data.rstrip(b"\0") for unit in frame.nal_units] for frame in frames] == [
                [data.rstrip(b"\0") for data in split_annex_b(unit)] for unit in clip.units
            ]
        return frames

    frames = run_simulated(scenario())
    pictures = [frame.data for frame in frames]
    assert sorted(numbers(frames[0].codec, pictures)) == list(range(len(frames)))
