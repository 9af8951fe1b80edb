"""Pictures played back are, byte for byte and to 10 ms, what the encoder made, however the specification is read.

What is open in it is a switch of the simulated recorder. Always run: a set of readings in which every value of any
three switches of the containers meets every other, and every value of any two of the positions. NVRCLIENT_LONG=1 adds
the full product of the switches that act on each other: ``NVRCLIENT_LONG=1 python -m pytest -m long
tests/end_to_end/test_playback_video.py``.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

import nvrclient
from nvrclient import (
    AudioFrame,
    Codec,
    Discontinuity,
    NoRecordingError,
    Playback,
    Session,
    VideoFrame,
)
from nvrclient.connection import Connection
from nvrclient.simulator import (
    NASTY_CAMERA_INFORMATION,
    ChunkLength,
    Clip,
    Landing,
    Nothing,
    PlaybackReadings,
    PlayStart,
    RecordedGop,
    Recording,
    Regroup,
    Segment,
    SimulatedRecorder,
    VideoLength,
    ZoneBits,
    split_annex_b,
)
from tests.clock import run_simulated
from tests.end_to_end.media import numbers
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
    rises,
    run_many,
    seconds_of,
    sent,
    take,
)
from tests.secrets import PASSWORD

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
    """Every value of any three switches meets every other, of two for H.265: GOPs of four pictures, or single JPEGs."""
    axes = CONTAINERS
    if (
        name == "jpeg"
    ):  # of one picture without padding, bytes behind it look like the end of a longer one
        axes = axes | {"trailing": (b"",)}
    strength = 3 if name in {"h264", "jpeg"} else 2  # what differs between codecs is not the layout
    play_under(covering(axes, strength), brief(name, 4 if name != "jpeg" else 2))


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


# Where it begins and ends


@pytest.mark.parametrize("landing", Landing)
@pytest.mark.parametrize("second", [2.0, 2.5, 3.75])
def test_it_begins_with_the_gop_that_holds_the_start(landing: Landing, second: float) -> None:
    """Pictures before the start are there for the decoder, marked; nothing is left out and nothing else comes."""

    async def scenario() -> None:
        recorder = recorder_of(numbered_gops(6), readings=PlaybackReadings(landing=landing))
        async with playing(recorder) as nvr:
            async with nvr.camera(1).playback(at(second), speed=None) as playback:
                frames = frames_of(await rest_of(playback))
        assert are(frames, pictures_of(recorder.recording(1).gops(at(second))))
        assert [frame.shown for frame in frames] == [time >= second for time in seconds_of(frames)]
        assert frames[0].keyframe

    run_many(scenario())


@pytest.mark.parametrize("where", PlayStart)
def test_without_a_start_it_begins_where_the_recorder_does(where: PlayStart) -> None:
    recording = Recording(
        (Segment(BEGIN, brief("h264"), gops=3), Segment(BEGIN + 50, brief("h264"), gops=3))
    )
    first = {PlayStart.OLDEST: 0, PlayStart.LAST_SEGMENT: 3, PlayStart.NEWEST: 5}.get(where, 0)

    async def scenario() -> None:
        recorder = recorder_of(recording, readings=PlaybackReadings(play_start=where))
        async with playing(recorder) as nvr, nvr.camera(1).playback(speed=None) as playback:
            frames = frames_of(await rest_of(playback))
        assert are(frames, pictures_of(list(recording.gops())[first:]))
        assert all(frame.shown for frame in frames)
        assert [told for told in sent(recorder) if told.startswith("PLAY")] == ["PLAY AS60_UNKNOWN"]

    run_many(scenario())


@pytest.mark.parametrize("nothing", Nothing)
def test_row_60_the_end_of_the_recording_ends_the_loop(nothing: Nothing) -> None:
    """At its end the recorder repeats itself or has nothing to say; it is asked three times."""

    async def scenario() -> None:
        recorder = recorder_of(numbered_gops(3), readings=PlaybackReadings(end=nothing))
        async with playing(recorder) as nvr:
            async with nvr.camera(1).playback(at(0), speed=None) as playback:
                frames = frames_of(await rest_of(playback))
                assert playback.state == "ended"
                assert await rest_of(playback) == []
        assert are(frames, pictures_of(recorder.recording(1).gops()))
        assert sent(recorder).count("camera.cgi") == 3 + 3

    run_many(scenario())


def growing(monkeypatch: pytest.MonkeyPatch, until: float) -> SimulatedRecorder:
    """A recorder that records a GOP a second, 100 at first, up to `until` seconds; the clocks agree."""

    def clock() -> float:
        return BEGIN + min(100 + asyncio.get_running_loop().time() - 1000, until)

    def host_time(_: Connection) -> datetime:
        return datetime.fromtimestamp(clock(), UTC)

    monkeypatch.setattr(Connection, "host_time", host_time)
    return recorder_of(
        Recording((Segment(BEGIN, brief("h264")),)),
        clock=clock,
    )


def test_row_60_near_the_live_edge_it_waits_for_what_is_still_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It goes on while the recording grows; it ends after three answers without news, and stall_timeout."""

    async def scenario() -> None:
        recorder = growing(monkeypatch, 120.5)
        loop = asyncio.get_running_loop()
        async with playing(recorder, stall_timeout=8.0) as nvr:
            async with nvr.camera(1).playback(at(97), speed=None) as playback:
                frames = [item async for item in playback if isinstance(item, VideoFrame)]
                ended = loop.time()
                # Seen at 1021 at the earliest: the GOP of second 119 is whole at 120.
                assert 8.0 <= ended - frames[-1].received_at <= 10.0
                answers = [
                    request.time
                    for request in recorder.requests
                    if request.cgi == "camera.cgi" and request.time > frames[-1].received_at
                ]
                assert len(answers) >= 3
        assert are(frames, pictures_of(recorder.recording(1).gops(at(97), at(120))))

    run_many(scenario())


def test_far_from_the_live_edge_the_end_is_not_waited_for() -> None:
    async def scenario() -> None:
        recorder = recorder_of(numbered_gops(3))
        async with playing(recorder, stall_timeout=30.0) as nvr:
            async with nvr.camera(1).playback(at(0), speed=None) as playback:
                await rest_of(playback)
                assert asyncio.get_running_loop().time() - 1000 < 3

    run_many(scenario())


@pytest.mark.parametrize("audio", [False, True])
@pytest.mark.parametrize("until", [3.0, 3.5, 3.6])
def test_end_is_the_last_time_given(until: float, audio: bool) -> None:
    async def scenario() -> None:
        recorder = recorder_of(numbered_gops(6, audio="pcmu"))
        async with playing(recorder) as nvr:
            async with nvr.camera(1).playback(
                at(1), end=at(until), audio=audio, speed=None
            ) as playback:
                items = await rest_of(playback)
                assert playback.state == "ended"
                assert adds_up(playback.stats)
        wanted = [u for u in pictures_of(recorder.recording(1).gops(at(1))) if u.time <= at(until)]
        assert are(frames_of(items), wanted)
        sounds = [item for item in items if isinstance(item, AudioFrame)]
        assert all(at(1) <= sound.time <= at(until) for sound in sounds if sound.time)
        assert bool(sounds) is audio
        assert sent(recorder).count("camera.cgi") <= 4

    run_many(scenario())


@pytest.mark.parametrize("nothing", Nothing)
@pytest.mark.parametrize(
    ("recording", "start"), [(Recording(()), 0), (numbered_gops(3), 1000), (Recording(()), None)]
)
def test_row_60_where_nothing_is_recorded(
    recording: Recording, start: float | None, nothing: Nothing
) -> None:
    async def scenario() -> None:
        recorder = recorder_of(recording, readings=PlaybackReadings(end=nothing))
        async with playing(recorder) as nvr:
            begin = None if start is None else at(start)
            async with nvr.camera(1).playback(begin, speed=None) as playback:
                with pytest.raises(NoRecordingError, match=r"camera 1.*nothing is recorded"):
                    await anext(playback)
                assert sent(recorder).count("camera.cgi") <= 12
                if start:  # it can still be sought
                    await playback.seek(at(1))
                    assert seconds_of(await take(playback, 2)) == [1.0, 1.25]

    run_many(scenario())


def test_row_61_a_gap_is_told_with_its_two_ends() -> None:
    recording = Recording(
        (
            Segment(BEGIN, brief("h264"), gops=3),
            Segment(BEGIN + 10.6, brief("h264"), gops=2),
            Segment(BEGIN + 4000, brief("h264"), gops=2),
        )
    )

    async def scenario() -> None:
        for gap_answers in (0, 1, 2):
            recorder = recorder_of(recording, readings=PlaybackReadings(gap_answers=gap_answers))
            async with playing(recorder) as nvr:
                async with nvr.camera(1).playback(at(0), speed=None) as playback:
                    items = await rest_of(playback)
            assert are(frames_of(items), pictures_of(recording.gops()))
            assert rises(frames_of(items))
            assert [item for item in items if isinstance(item, Discontinuity)] == [
                Discontinuity("gap", at(2.75), at(10.6)),
                Discontinuity("gap", at(12.35), at(4000)),
            ]
            places = [n for n, item in enumerate(items) if isinstance(item, Discontinuity)]
            assert places == [12, 21]

    run_many(scenario())


def test_a_start_in_a_gap_begins_behind_it_and_tells_none() -> None:
    recording = Recording(
        (Segment(BEGIN, brief("h264"), gops=3), Segment(BEGIN + 50, brief("h264"), gops=3))
    )

    async def scenario() -> None:
        for landing in Landing:
            recorder = recorder_of(recording, readings=PlaybackReadings(landing=landing))
            async with playing(recorder) as nvr:
                async with nvr.camera(1).playback(at(30), speed=None) as playback:
                    items = await rest_of(playback)
            assert are(frames_of(items), pictures_of(recording.gops(at(30)))), landing
            assert len(items) == len(frames_of(items)), landing

    run_many(scenario())


def test_row_60_a_repeated_gop_is_dropped_and_counted() -> None:
    async def scenario() -> None:
        recorder = recorder_of(numbered_gops(6), readings=PlaybackReadings(too_soon=Nothing.REPEAT))
        async with playing(recorder) as nvr:
            async with nvr.camera(1).playback(at(0), speed=None) as playback:
                items = await rest_of(playback)
                stats = playback.stats
        assert are(frames_of(items), pictures_of(recorder.recording(1).gops()))
        assert len(items) == len(frames_of(items))
        assert stats.dropped["repeated"] == stats.frames_received - stats.frames_delivered > 0
        assert adds_up(stats)

    run_many(scenario())


# Hidden pictures, long-term reference


@pytest.mark.parametrize("every_answer", [True, False])
@pytest.mark.parametrize("name", ["h264", "h265"])
def test_a_hidden_idr_comes_once_each_time_decoding_starts(name: str, every_answer: bool) -> None:
    """Each answer has the IDR in front that its pictures lean on; played on it is not needed again."""
    clip = Clip.load(name)
    recording = recorded(name, 4, regroup=Regroup(8))
    readings = PlaybackReadings(hidden_idr_every_answer=every_answer)

    async def scenario() -> None:
        recorder = recorder_of(recording, readings=readings)
        async with playing(recorder) as nvr:
            async with nvr.camera(1).playback(at(0), speed=None) as playback:
                frames = frames_of(await rest_of(playback))
                assert are(
                    frames, pictures_of(recording.gops())
                )  # decoding starts once, with a shown one
                assert all(frame.shown for frame in frames)
                for _ in range(2):
                    await playback.seek(at(1.2))
                    frames = frames_of(await rest_of(playback))
                    wanted = [u for u in pictures_of(recording.gops()) if u.time >= at(1.2)]
                    assert are([frame for frame in frames if frame.shown], wanted)
                    assert frames[0].data == clip.annex_b[0]
                    assert not frames[0].shown
                    assert [frame.data for frame in frames].count(clip.annex_b[0]) == 1
                    # The GOP of 8 pictures that holds 1.2, or the one before, with which the IDR comes.
                    assert seconds_of(frames)[1] == (1.07 if every_answer else 0.53)
                assert adds_up(playback.stats)

    run_many(scenario())


def test_a_gop_without_an_idr_is_given_behind_those_it_leans_on() -> None:
    """Long-term reference without hidden IDR: after a seek everything begins with a GOP that has one."""
    recording = recorded("h264", 6, regroup=Regroup(8, hidden_idr=False))

    async def scenario() -> None:
        recorder = recorder_of(recording)
        async with playing(recorder) as nvr:
            async with nvr.camera(1).playback(at(0), speed=None) as playback:
                assert are(frames_of(await rest_of(playback)), pictures_of(recording.gops()))
                for second in (0.3, 0.7, 1.9, 2.0, 3.3):
                    await playback.seek(at(second))
                    items = await rest_of(playback)
                    frames = frames_of(items)
                    assert frames[0].keyframe
                    begins = seconds_of(frames)[0]
                    assert begins % 2 == 0
                    assert are(frames, pictures_of(recording.gops(at(begins))))
                    assert [f.shown for f in frames] == [t >= second for t in seconds_of(frames)]
                    assert len(numbers(Codec.H264, [frame.data for frame in frames])) == len(frames)

    run_many(scenario())


# What changes inside


def test_a_change_of_codec_is_told_before_its_first_picture() -> None:
    recording = Recording(
        (
            Segment(BEGIN, brief("h264"), gops=2),
            Segment(BEGIN + 2, brief("h265"), gops=2),
            Segment(BEGIN + 4, brief("jpeg"), gops=4),
            Segment(BEGIN + 5, brief("h264"), gops=2),
        )
    )

    async def scenario() -> None:
        recorder = recorder_of(recording)
        async with playing(recorder) as nvr:
            async with nvr.camera(1).playback(at(0), speed=None) as playback:
                items = await rest_of(playback)
                assert adds_up(playback.stats)
        frames = frames_of(items)
        assert are(frames, pictures_of(recording.gops()))
        assert rises(frames)
        assert [frame.codec for frame in frames] == [
            *[Codec.H264] * 8,
            *[Codec.H265] * 8,
            *[Codec.JPEG] * 4,
            *[Codec.H264] * 8,
        ]
        told = [(n, item) for n, item in enumerate(items) if isinstance(item, Discontinuity)]
        assert told == [
            (8, Discontinuity("format", at(1.75), at(2))),
            (17, Discontinuity("format", at(3.75), at(4))),
            (22, Discontinuity("format", at(4.75), at(5))),
        ]

    run_many(scenario())


@pytest.mark.parametrize("with_time", [True, False])
@pytest.mark.parametrize("bits", ZoneBits)
def test_row_61_summer_time_ends_inside_the_recording(bits: ZoneBits, with_time: bool) -> None:
    """The hour that the local clock shows twice is played through once."""
    summer, winter = timezone(timedelta(hours=-3.5)), timezone(timedelta(hours=-4.5))
    recording = Recording(
        (
            Segment(BEGIN, brief("h264"), gops=3, zone=summer, summer_time=True),
            Segment(BEGIN + 3, brief("h264"), gops=3, zone=winter),
        )
    )

    async def scenario() -> None:
        readings = PlaybackReadings(zone_bits=bits, time_and_date=with_time)
        recorder = recorder_of(recording, readings=readings)
        async with playing(recorder) as nvr:
            async with nvr.camera(1).playback(at(0), speed=None) as playback:
                items = await rest_of(playback)
        frames = frames_of(items)
        assert len(items) == len(frames)
        assert are(frames, pictures_of(recording.gops()))
        assert rises(frames)
        offsets = [frame.time.utcoffset() for frame in frames if frame.time]
        assert offsets == [summer.utcoffset(None)] * 12 + [winter.utcoffset(None)] * 12
        if with_time:
            assert [frame.info.summer_time for frame in frames] == [True] * 12 + [False] * 12

    run_many(scenario())


# When things are given and asked for


@pytest.mark.parametrize("speed", [0.5, 1.0, 4.0])
def test_pictures_are_given_at_the_pace_they_were_recorded(speed: float) -> None:
    recording = Recording(
        (Segment(BEGIN, brief("h264"), gops=3), Segment(BEGIN + 600, brief("h264"), gops=2))
    )

    async def scenario() -> None:
        recorder = recorder_of(recording)
        loop = asyncio.get_running_loop()
        async with playing(recorder) as nvr:
            async with nvr.camera(1).playback(at(0), speed=speed) as playback:
                given = [
                    (item, loop.time()) async for item in playback if isinstance(item, VideoFrame)
                ]
        begun = given[0][1]
        due = [n * 0.25 / speed for n in range(20)]  # a gap is not waited for
        assert [when - begun for _, when in given] == pytest.approx(due, abs=0.02)

    run_many(scenario())


@pytest.mark.parametrize("name", ["h264", "jpeg"])
def test_the_next_gop_is_fetched_while_the_caller_is_busy_with_this_one(name: str) -> None:
    """One GOP ahead and no more, ten pictures of JPEG, however long the caller takes."""
    ahead = 10 if name == "jpeg" else 1

    async def scenario() -> None:
        recorder = recorder_of(recorded(brief(name), 30))
        gops = list(recorder_gops(recorder))
        async with playing(recorder) as nvr:
            async with nvr.camera(1).playback(at(0), speed=None) as playback:
                for number in range(3):
                    await take(playback, 1 if name == "jpeg" or not number else 4)
                    await asyncio.sleep(0.5)
                    assert sent(recorder).count("camera.cgi") == number + 1 + ahead
                    queued = [u for gop in gops[number : number + 1 + ahead] for u in gop.pictures]
                    assert 0 < playback.stats.bytes_queued <= sum(len(u.data) for u in queued)
                await asyncio.sleep(30)
                assert sent(recorder).count("camera.cgi") == 3 + ahead
                assert adds_up(playback.stats)

    run_many(scenario())


def recorder_gops(recorder: SimulatedRecorder) -> list[RecordedGop]:
    recording = recorder.cameras[1].recording
    assert recording is not None
    return list(recording.gops())


def test_whole_gops() -> None:
    async def scenario() -> None:
        recording = recorded("h265", 8)
        recorder = recorder_of(recording)
        async with playing(recorder) as nvr:
            async with nvr.camera(1).playback(at(0), speed=None) as playback:
                gops = [gop async for gop in playback.gops()]
                assert adds_up(playback.stats)
        assert len(gops) == 4
        for gop, stored in zip(gops, recording.gops(), strict=True):
            assert are(gop.frames, stored.pictures)
            assert (gop.start, gop.end, gop.codec) == (stored.start, stored.end, stored.codec)
            assert (gop.info.frame_count, gop.info.frame_rate) == (30, 15)

    run_many(scenario())


# A recorder as it comes


@pytest.mark.parametrize("camera", [1, 2, 3, 4])
def test_the_recording_that_every_simulated_recorder_has(camera: int) -> None:
    """Four hours until now, with ten minutes missing two hours ago."""

    async def scenario() -> None:
        recorder = SimulatedRecorder(password=PASSWORD)
        async with playing(recorder) as nvr:
            missing = recorder.recording(camera).segments[1].start - 600
            begin = datetime.fromtimestamp(missing - 4, UTC)
            async with nvr.camera(camera).playback(begin, audio=True, speed=None) as playback:
                items = [await anext(playback) for _ in range(400)]
            gaps = [item for item in items if isinstance(item, Discontinuity)]
            frames = frames_of(items)
            stored = pictures_of(recorder.recording(camera).gops(begin, missing + 700))
            assert are(frames, stored[: len(frames)])
            assert [gap.reason for gap in gaps].count("gap") >= 1
            assert (gaps[0].until - gaps[0].since).total_seconds() > 590  # type: ignore[operator]
            assert any(isinstance(item, AudioFrame) for item in items)

    run_many(scenario())


# Misuse


async def test_a_time_without_a_zone_is_refused_with_the_way_out() -> None:
    naive = datetime(2023, 11, 15, 12)  # noqa: DTZ001
    async with playing(recorder_of(numbered_gops(3))) as nvr:
        refusals: tuple[Callable[[], Playback], ...] = (
            lambda: nvr.camera(1).playback(naive),
            lambda: nvr.camera(1).playback(at(0), end=naive),
            lambda: nvr.playback([1], naive),
        )
        for refused in refusals:
            with pytest.raises(ValueError, match=r"no time zone.*when\.astimezone\(\)"):
                refused()
        with pytest.raises(TypeError, match="datetime with a time zone"):
            nvr.camera(1).playback("2023-11-15")  # type: ignore[arg-type]
        async with nvr.camera(1).playback(at(0)) as playback:
            with pytest.raises(ValueError, match="no time zone"):
                await playback.seek(naive)
            assert seconds_of(await take(playback, 1)) == [0.0]  # it is as it was


async def test_what_can_mean_nothing_is_refused() -> None:
    async with playing(recorder_of(numbered_gops(3))) as nvr:
        for wrong in (0.0, -1.0, float("inf"), float("nan")):
            with pytest.raises(ValueError, match="speed"):
                nvr.camera(1).playback(at(0), speed=wrong)
        with pytest.raises(ValueError, match="later than start"):
            nvr.camera(1).playback(at(1), end=at(1))
        with pytest.raises(ValueError, match="1 to 16"):
            nvr.playback(range(1, 18), at(0))
        with pytest.raises(ValueError, match="different"):
            nvr.playback([1, 1], at(0))
        playback = nvr.camera(1).playback(at(0))
        with pytest.raises(RuntimeError, match="async with"):
            await anext(playback)


async def test_an_unknown_camera() -> None:
    async with playing(recorder_of(numbered_gops(3))) as nvr:
        async with nvr.camera(2).playback(at(0)) as playback:
            with pytest.raises(nvrclient.CommandError, match="404"):
                await anext(playback)
