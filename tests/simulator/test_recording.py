"""What is recorded: the clips' own bytes, at times exact to 10 ms, and no more of it made than is asked for."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest

from nvrclient.simulator import (
    Clip,
    RecordedGop,
    Recording,
    Regroup,
    Segment,
    default_recording,
)

MIDNIGHT = 1_700_006_400


def joined(gops: list[RecordedGop]) -> list[bytes]:
    return [picture.data for gop in gops for picture in gop.shown]


@pytest.mark.parametrize("name", ["h264", "h264_large", "h265", "h265_slices", "h265_cra", "jpeg"])
def test_gops_are_the_clips(name: str) -> None:
    clip = Clip.load(name)
    gops = list(Recording((Segment(MIDNIGHT, name, duration=30),)).gops())
    pictures = joined(gops)
    assert pictures[: len(clip)] == list(clip.annex_b)
    assert pictures[len(clip) : 2 * len(clip)] == list(clip.annex_b)  # over and over
    starts = [sum(len(gop.pictures) for gop in gops[:n]) for n in range(len(gops))]
    assert {start % len(clip) for start in starts} == clip.keyframes
    for number, at in enumerate(picture.at for gop in gops for picture in gop.pictures):
        assert at == MIDNIGHT * 100 + round(number * 100 / clip.fps)
    for one, other in pairwise(gops):
        assert one.until == other.begins
        assert one.start <= one.end < other.start
    assert gops[-1].until <= (MIDNIGHT + 30) * 100


def test_every_nal_unit_stands_behind_a_start_code_of_four_bytes() -> None:
    clip = Clip.load("h264")
    for stored, nals in zip(clip.annex_b, clip.nal_units, strict=True):
        assert stored == b"".join(b"\0\0\0\1" + nal for nal in nals)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("aac_48k_stereo", {46, 47}),
        ("aac_32k_mono", {31, 32}),
        ("aac_16k_mono", {15, 16}),
        ("pcmu", {25}),
        ("g726", {25}),
    ],
)
def test_sounds_are_the_clips(name: str, counts: set[int]) -> None:
    clip = Clip.load(name)
    sounds = list(Recording((Segment(MIDNIGHT + 0.25, "h264", name, 30),)).sounds())
    assert len(sounds) == 30
    pieces = [piece for sound in sounds for piece in sound.pieces]
    assert [piece.data for piece in pieces] == [
        clip.units[n % len(clip)] for n in range(len(pieces))
    ]
    assert {len(sound.pieces) for sound in sounds} == counts
    assert {(sound.sample_rate, sound.channels) for sound in sounds} == {
        (clip.sample_rate, clip.channels)
    }
    for number, sound in enumerate(sounds):
        assert sound.begins == MIDNIGHT * 100 + 25 + 100 * number
        assert sound.until == sound.begins + 100
        assert all(sound.begins <= piece.at < sound.until for piece in sound.pieces)


def test_segments_gaps_and_rates() -> None:
    recording = Recording(
        (
            Segment(MIDNIGHT + 0.35, "h264", "aac_48k_mono", gops=3),
            Segment(MIDNIGHT + 6.35, "h265", duration=4.5, fps=30),  # no gap; one second a GOP
            Segment(MIDNIGHT + 100, "jpeg", "g726", duration=1),
        )
    )
    gops = list(recording.gops())
    assert [gop.begins - MIDNIGHT * 100 for gop in gops] == [
        *[35, 235, 435],
        *[635, 735, 835, 935],
        *[10000, 10020, 10040, 10060, 10080],
    ]
    assert [str(gop.codec) for gop in gops] == ["H264"] * 3 + ["H265"] * 4 + ["JPEG"] * 5
    assert {gop.fps for gop in gops} == {15, 30, 5}
    assert [sound.begins - MIDNIGHT * 100 for sound in recording.sounds()] == [
        *range(35, 635, 100),
        10000,
    ]
    assert gops[0].start == datetime(2023, 11, 15, microsecond=350_000, tzinfo=UTC)
    assert gops[0].end == gops[0].start + timedelta(seconds=1.93)
    # What is asked for by time: not over at one, begun before the other.
    assert list(recording.gops(MIDNIGHT + 2.35, MIDNIGHT + 4.35)) == gops[1:2]
    assert list(recording.gops(MIDNIGHT + 2.34, MIDNIGHT + 4.36)) == gops[0:3]
    assert list(recording.gops(gops[7].start)) == gops[7:]
    assert list(recording.gops(MIDNIGHT + 20, MIDNIGHT + 90)) == []
    assert list(recording.gops(until=gops[1].start)) == gops[:1]
    assert list(recording.gops(MIDNIGHT + 200)) == []
    assert list(Recording(()).gops()) == []


def test_a_recording_grows_by_what_is_complete() -> None:
    recording = Recording(
        (Segment(MIDNIGHT - 60, "h264", gops=2), Segment(MIDNIGHT, "h264", "pcmu"))
    )
    counts = [
        recording.video.count(MIDNIGHT * 100 + at) for at in (-1, 0, 100, 200, 399, 400, 360_000)
    ]
    assert counts == [2, 2, 2, 3, 3, 4, 1802]
    assert recording.audio.count(MIDNIGHT * 100 + 399) == 3
    assert len(list(recording.gops(until=MIDNIGHT + 10))) == 7
    with pytest.raises(ValueError, match="until when"):
        list(recording.gops())


@pytest.mark.parametrize("hidden_idr", [True, False])
def test_regrouped(hidden_idr: bool) -> None:
    clip = Clip.load("h264")  # 30 pictures a GOP
    segment = Segment(MIDNIGHT, "h264", duration=20, regroup=Regroup(12, hidden_idr))
    gops = list(Recording((segment,)).gops())
    assert joined(gops) == list(clip.annex_b) * 2
    assert [len(gop.shown) for gop in gops[:4]] == [12, 12, 6, 12]
    if hidden_idr:
        assert [gop.hidden for gop in gops[:4]] == [0, 1, 1, 0]
        assert [gop.long_term for gop in gops[:4]] == [0x10, 0x11, 0x11, 0x10]
        assert [gop.idr_display for gop in gops[:4]] == [1, 2, 2, 1]
        for gop in gops[1:3]:
            assert gop.pictures[0] == gops[0].pictures[0]
            assert gop.pictures[0].time < gop.start
            bare = gop.without_hidden()
            assert (bare.pictures, bare.hidden, bare.idr_display) == (gop.shown, 0, 0)
    else:
        assert not any(gop.hidden for gop in gops)
        assert [gop.long_term for gop in gops[:4]] == [0x10, 0x11, 0x10, 0x10]
        assert [gop.idr_display for gop in gops[:4]] == [1, 0, 0, 1]


def test_hours_cost_nothing() -> None:
    started = time.perf_counter()
    recording = Recording(
        tuple(Segment(MIDNIGHT + 40_000 * n, "h264", "pcmu", 36_000) for n in range(100))
    )
    gop = next(recording.gops(MIDNIGHT + 40_000 * 99 + 35_000))
    assert gop.begins == (MIDNIGHT + 40_000 * 99 + 35_000) * 100
    assert recording.video.count(0) == 100 * 18_000
    assert time.perf_counter() - started < 1


def test_the_default_has_one_gap_and_grows() -> None:
    recording = default_recording("h264", "pcmu", MIDNIGHT + 0.9, UTC, False)
    gops = recording.gops(MIDNIGHT - 5 * 3600, MIDNIGHT)
    ends = [(one.until, other.begins) for one, other in pairwise(gops) if one.until != other.begins]
    assert ends == [((MIDNIGHT - 7800) * 100, (MIDNIGHT - 7200) * 100)]
    first = next(islice(recording.gops(until=MIDNIGHT), 1))
    assert first.begins == (MIDNIGHT - 4 * 3600) * 100
    assert len(list(recording.gops(MIDNIGHT, MIDNIGHT + 60))) == 30


def test_wrong_recordings() -> None:
    for segments in (
        (Segment(MIDNIGHT, "h264"), Segment(MIDNIGHT + 60, "h264", gops=1)),
        (Segment(MIDNIGHT, "h264", duration=10), Segment(MIDNIGHT + 9, "h264")),
    ):
        with pytest.raises(ValueError, match="in order"):
            Recording(segments)
    headless = Clip.video("H264", Clip.load("h264").units[1:40], 15)
    for segment in (
        Segment(MIDNIGHT, "pcmu"),
        Segment(MIDNIGHT, headless),
        Segment(MIDNIGHT, "h266"),
    ):
        with pytest.raises(ValueError, match=r"key frame|no clip"):
            next(Recording((segment,)).gops(until=MIDNIGHT + 9))
    with pytest.raises(ValueError, match="audio is"):
        list(Recording((Segment(MIDNIGHT, "h264", "h264", 9),)).sounds())
