"""Audio of a playback goes on where the pictures do, whatever was played in between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import nvrclient
from nvrclient import AudioFrame, Playback
from nvrclient.simulator import CameraSetup, Recording, Segment, SimulatedRecorder

START = datetime(2025, 1, 2, 3, 0, tzinfo=UTC)
PIECE = timedelta(milliseconds=30)
"""More than one AAC frame of 1024 samples at 48 kHz lasts."""


def recorder() -> SimulatedRecorder:
    segment = Segment(START.timestamp(), "h264", "aac_48k_stereo", duration=60)
    return SimulatedRecorder(cameras={1: CameraSetup("h264", recording=Recording((segment,)))})


async def pictures(playback: Playback, count: int) -> None:
    for _ in range(count):
        await anext(playback.video())


async def next_sound(playback: Playback) -> datetime:
    async for item in playback:
        if isinstance(item, AudioFrame):
            assert item.time is not None
            return item.time
    raise AssertionError("no audio")


def position(playback: Playback) -> datetime:
    assert playback.position is not None
    return playback.position


async def test_audio_goes_on_at_the_picture_after_a_turn_or_steps() -> None:
    async with (
        recorder() as simulated,
        nvrclient.connect(simulated.url, simulated.username, simulated.password) as nvr,
        nvr.camera(1).playback(START, audio=True, speed=None) as playback,
    ):
        await pictures(playback, 20)
        await playback.fast_forward()
        await pictures(playback, 70)
        await playback.forward()
        ahead = position(playback)
        assert abs(await next_sound(playback) - ahead) <= PIECE
        await pictures(playback, 40)
        await playback.reverse()
        await pictures(playback, 75)
        await playback.forward()
        back = position(playback)
        assert back < ahead
        assert abs(await next_sound(playback) - back) <= PIECE
        await playback.pause()
        for _ in range(15):
            await playback.next_frame()
        await playback.resume()
        assert abs(await next_sound(playback) - position(playback)) <= PIECE
