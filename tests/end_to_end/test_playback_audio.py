"""Sound played back is, byte for byte, what the encoder made, however the specification is read.

Always run: a set of readings in which every value of any two switches of the audio containers meets every other, of
any three where 0x00 can mislead most.
NVRCLIENT_LONG=1 adds their full product: ``NVRCLIENT_LONG=1 python -m pytest -m long
tests/end_to_end/test_playback_audio.py``.
"""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from nvrclient import AudioFrame, Codec, Discontinuity, Session, VideoFrame
from nvrclient.simulator import (
    BlockLength,
    Clip,
    Nothing,
    PlaybackReadings,
    Recording,
    Segment,
    SimulatedRecorder,
    SizeRow,
    ZoneBits,
)
from tests.end_to_end.media import decode_aac
from tests.end_to_end.recordings import (
    BEGIN,
    adds_up,
    are,
    at,
    brief,
    covering,
    every,
    frames_of,
    numbered_gops,
    pictures_of,
    playing,
    read_as,
    recorded,
    recorder_of,
    rest_of,
    run_many,
    sent,
    take,
)

LONG = pytest.mark.skipif("NVRCLIENT_LONG" not in os.environ, reason="NVRCLIENT_LONG is not set")

AAC = tuple(f"aac_{rate}k_{way}" for rate in (48, 32, 16) for way in ("stereo", "mono"))
SAMPLES = ("pcmu", "pcma", "g726")

LAYOUT: dict[str, tuple[object, ...]] = {
    "size_row": tuple(SizeRow),
    "block_length": tuple(BlockLength),
    "zero_byte": (False, True),
    "au_header": (True, False),
    "padding_two_bytes": (False, True),
    "end_is_last_piece": (False, True),
    "final_padding": (True, False),
}
CONTAINERS = LAYOUT | {
    "zone_bits": tuple(ZoneBits),
    "reserved_fill": (0, 0xFF),
    "end": tuple(Nothing),
}
SAMPLE_CONTAINERS = {
    name: values
    for name, values in CONTAINERS.items()
    if name not in {"block_length", "au_header", "padding_two_bytes"}
}


def heard(items: list[Any]) -> list[AudioFrame]:
    return [item for item in items if isinstance(item, AudioFrame)]


async def compare(nvr: Session, recorder: SimulatedRecorder, clip: Clip) -> list[AudioFrame]:
    """Play the whole recording and compare its sound; the pictures are as without."""
    recording = recorder.recording(1)
    async with nvr.camera(1).playback(at(0), audio=True, speed=None) as playback:
        items = await rest_of(playback)
        assert adds_up(playback.stats)
        assert playback.stats.malformed == 0
        assert playback.stats.audio_problem is None
    frames, sounds = heard(items), list(recording.sounds())
    assert not any(isinstance(item, Discontinuity) for item in items)
    if clip.codec is Codec.AAC:
        assert [f.data for f in frames] == [p.data for sound in sounds for p in sound.pieces]
        assert {frame.channels for frame in frames} == {clip.channels}
        assert {frame.sample_rate for frame in frames} == {clip.sample_rate}
    else:
        assert b"".join(frame.data for frame in frames) == b"".join(s.data for s in sounds)
    assert {frame.codec for frame in frames} == {clip.codec}
    assert frames[0].pts == 0
    assert all(before.pts < after.pts for before, after in pairwise(frames))
    assert frames[0].time == at(0)
    assert are(frames_of(items), pictures_of(recording.gops()))
    times = [item.time for item in items if isinstance(item, VideoFrame | AudioFrame) and item.time]
    assert times == sorted(times)
    return frames


def play_under(readings: list[dict[str, Any]], clip: Clip) -> None:
    """Compare a recording under each of these readings, one after the other on one session."""

    async def scenario() -> None:
        recorder = recorder_of(numbered_gops(4, audio=clip))
        async with playing(recorder, g711="alaw" if clip.codec is Codec.PCMA else "mulaw") as nvr:
            for row in readings:
                read_as(recorder, PlaybackReadings(**row))
                try:
                    await compare(nvr, recorder, clip)
                except Exception as error:
                    error.add_note(f"under {row}")
                    raise

    run_many(scenario())


@pytest.mark.parametrize("name", AAC)
def test_every_reading_of_aac(name: str) -> None:
    """Every value of any three switches meets every other where frames begin 00 or 01 by themselves, else of two."""
    clip = Clip.load(name)
    assert any(unit[0] == 0 for unit in clip.units) is name.endswith("mono")
    play_under(covering(CONTAINERS, 3 if name == "aac_16k_mono" else 2), clip)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_reading_of_samples(name: str) -> None:
    """Every value of any two switches meets every other."""
    play_under(covering(SAMPLE_CONTAINERS, 2), Clip.load(name))


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_that_really_begin_with_zero(name: str) -> None:
    """A leading 0x00 is left out where the count says that it is extra, and stays where it is sound."""
    clip = Clip.load(name)
    zeros = Clip.audio(clip.codec, [b"\0\0" + unit[2:] for unit in clip.units], name="zeros")
    play_under(covering(SAMPLE_CONTAINERS, 2), zeros)


@pytest.mark.parametrize("zero_byte", [False, True])
@pytest.mark.parametrize("au_header", [False, True])
@pytest.mark.parametrize("name", ["aac_16k_mono", "aac_32k_mono"])
def test_aac_that_really_begins_with_zero(name: str, au_header: bool, zero_byte: bool) -> None:
    """Nothing but frames that begin with 0x00."""
    clip = Clip.load(name)
    zeros = Clip.audio(
        clip.codec,
        [unit for unit in clip.units if unit[0] == 0],
        clip.sample_rate,
        clip.channels,
        name="zeros",
    )
    play_under([{"au_header": au_header, "zero_byte": zero_byte}], zeros)


@pytest.mark.long
@LONG
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", AAC)
def test_the_full_product_of_aac(name: str) -> None:
    """All combinations of the switches that share in a container's layout."""
    play_under(list(every(LAYOUT)), Clip.load(name))


@pytest.mark.long
@LONG
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SAMPLES)
def test_the_full_product_of_samples(name: str) -> None:
    """All combinations of the switches that say something of samples."""
    play_under(list(every(SAMPLE_CONTAINERS)), Clip.load(name))


@pytest.mark.parametrize("name", AAC)
def test_aac_decodes_with_the_configuration_it_comes_with(name: str) -> None:
    async def scenario() -> None:
        clip = Clip.load(name)
        recorder = recorder_of(numbered_gops(9, audio=name))
        async with playing(recorder) as nvr:
            frames = await compare(nvr, recorder, clip)
        assert decode_aac(frames) == 1024 * len(frames)
        # The recorder tells whole seconds: frames are timed by counting samples.
        length = timedelta(seconds=1024 / clip.sample_rate)
        for number, frame in enumerate(frames):
            assert frame.time is not None
            assert abs(frame.time - (at(0) + number * length)) < timedelta(milliseconds=2)

    run_many(scenario())


def test_sound_begins_with_the_start_and_goes_on_after_a_seek_and_a_pause() -> None:
    """Sound before the start is left out, that of the start is there; nothing comes twice."""

    async def scenario() -> None:
        recorder = recorder_of(numbered_gops(12, audio="aac_16k_mono"))
        async with playing(recorder) as nvr:
            async with nvr.camera(1).playback(at(2.5), audio=True, speed=None) as playback:
                items = [await anext(playback) for _ in range(40)]
                assert abs(first_time(items) - at(2.5)) < timedelta(seconds=0.07)
                await playback.pause()
                await playback.resume()
                items += [await anext(playback) for _ in range(60)]
                times = [frame.time for frame in heard(items)]
                assert len(set(times)) == len(times)
                apart = [(b - a).total_seconds() for a, b in pairwise(times) if a and b]
                assert apart == pytest.approx([0.064] * len(apart), abs=0.003)
                await playback.seek(at(8))
                items = await rest_of(playback)
                assert abs(first_time(items) - at(8)) < timedelta(seconds=0.07)
                last = heard(items)[-1].time
                assert last is not None
                assert at(12) - last < timedelta(seconds=0.07)
                assert adds_up(playback.stats)

    run_many(scenario())


def first_time(items: list[Any]) -> Any:
    return heard(items)[0].time


@pytest.mark.parametrize("nothing", Nothing)
def test_row_63_a_camera_without_sound_plays_its_pictures(nothing: Nothing) -> None:
    async def scenario() -> None:
        recorder = recorder_of(numbered_gops(5), readings=PlaybackReadings(without_audio=nothing))
        async with playing(recorder) as nvr:
            async with nvr.camera(1).playback(at(0), audio=True, speed=None) as playback:
                items = await rest_of(playback)
        assert are(frames_of(items), pictures_of(recorder.recording(1).gops()))
        assert heard(items) == []

    run_many(scenario())


def test_row_63_sound_and_codec_change_inside() -> None:
    """Sound ends and pictures go on; another codec is told before its first frame; neither waits for the other."""
    recording = Recording(
        (
            Segment(BEGIN, brief("h264"), "pcmu", gops=3),
            Segment(BEGIN + 3, brief("h264"), gops=3),
            Segment(BEGIN + 6, brief("h264"), "aac_16k_mono", gops=4),
            Segment(BEGIN + 30, brief("h264"), "aac_16k_mono", gops=4),
        )
    )

    async def scenario() -> None:
        recorder = recorder_of(recording)
        async with playing(recorder) as nvr:
            async with nvr.camera(1).playback(at(0), audio=True, speed=None) as playback:
                items = await rest_of(playback)
                assert adds_up(playback.stats)
        assert are(frames_of(items), pictures_of(recording.gops()))
        frames = heard(items)
        kinds = [codec for codec, _ in pairwise([*(f.codec for f in frames), None])]
        assert set(kinds[: kinds.index(Codec.AAC)]) == {Codec.PCMU}
        sounds = list(recording.sounds())
        pcmu = b"".join(s.data for s in sounds if s.codec is Codec.PCMU)
        aac = [p.data for s in sounds if s.codec is Codec.AAC for p in s.pieces]
        assert b"".join(f.data for f in frames if f.codec is Codec.PCMU) == pcmu
        assert [f.data for f in frames if f.codec is Codec.AAC] == aac
        reasons = [item.reason for item in items if isinstance(item, Discontinuity)]
        assert reasons == ["format", "gap"]

    run_many(scenario())


def damaged(body: bytes) -> bytes:
    return bytes(n * 151 & 0xFF for n in range(len(body)))


def test_row_62_damaged_sound_costs_no_picture() -> None:
    async def scenario() -> None:
        recorder = recorder_of(recorded(brief("h264"), 8, "pcmu"))
        async with playing(recorder) as nvr:
            async with nvr.camera(1).playback(at(0), audio=True, speed=None) as playback:
                await take(playback, 3)
                while not sent(recorder)[-1].startswith("camera"):
                    await asyncio.sleep(0.1)
                    await take(playback, 1)
                recorder.playback_faults.append(damaged)  # of whatever is asked for next
                items = await rest_of(playback)
                stats = playback.stats
                assert stats.malformed == 1
                assert adds_up(stats)
        losses = [item for item in items if isinstance(item, Discontinuity)]
        assert [loss.reason for loss in losses] == ["loss"]

    run_many(scenario())


def test_sound_is_not_asked_for_in_reverse_fast_motion_and_steps() -> None:
    """The recorder's rules forbid it; it is there again when it plays on."""

    async def scenario() -> None:
        recorder = recorder_of(numbered_gops(20, audio="pcmu"))
        async with playing(recorder) as nvr:
            async with nvr.camera(1).playback(at(10), audio=True, speed=None) as playback:
                await take(playback, 9)
                for move in (playback.reverse, playback.fast_forward, playback.fast_reverse):
                    await move()
                    since = len(recorder.requests)
                    items = [await anext(playback) for _ in range(8)]
                    assert heard(items) == []
                    await playback.previous_frame()
                    assert "playaudio.cgi" not in sent(recorder, since)
                await playback.forward()
                items = [await anext(playback) for _ in range(12)]
                assert heard(items)

    run_many(scenario())
