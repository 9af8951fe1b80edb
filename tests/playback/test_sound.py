"""The times, rates and repeats of recorded audio, answer by answer."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvrclient import AudioFrame, Codec, Discontinuity
from nvrclient.codec.aac import SAMPLE_RATES
from nvrclient.container.audio import RecordedAudio
from nvrclient.playback.sound import SLACK, SoundTrack

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MONO = bytes.fromhex("01402280a37ff8")  # an SCE; what it holds is no matter here


def floor(seconds: float) -> datetime:
    return NOON + timedelta(seconds=int(seconds // 1))


def aac(rate: int, seconds: int, offset: float = 0.0) -> list[RecordedAudio]:
    """Record AAC: answers of the frames that begin in a second, stated in whole seconds as recorders do."""
    frame = 1024 / rate
    answers: list[RecordedAudio] = []
    number = 0
    for second in range(seconds):
        first = number
        while number * frame < second + 1:
            number += 1
        start, end = offset + first * frame, offset + number * frame
        blocks = tuple(MONO + n.to_bytes(4, "big") for n in range(first, number))
        answers.append(RecordedAudio(1, Codec.AAC, floor(start), floor(end), blocks))
    return answers


def speech(start: int, seconds: int = 1, codec: Codec = Codec.PCMU) -> RecordedAudio:
    data = bytes((start + n) % 251 for n in range(8000 * seconds))
    return RecordedAudio(1, codec, floor(start), floor(start + seconds), (data,))


def take_all(track: SoundTrack, answers: Iterable[RecordedAudio]) -> list[AudioFrame]:
    items = [item for answer in answers for item in track.take(answer, 0.0) or ()]
    items += track.finish()
    return [item for item in items if isinstance(item, AudioFrame)]


@pytest.mark.parametrize("rate", SAMPLE_RATES)
@pytest.mark.parametrize("offset", [0.0, 0.37, 0.93, 0.99])
def test_the_rate_of_raw_aac_is_found_out(rate: int, offset: float) -> None:
    answers = aac(rate, 6, offset)
    track = SoundTrack(1, None)
    frames = take_all(track, answers)
    assert {frame.sample_rate for frame in frames} == {rate}
    assert [frame.data for frame in frames] == [data for one in answers for data in one.blocks]
    assert [frame.pts for frame in frames] == [1024 * n for n in range(len(frames))]
    for n, frame in enumerate(frames):
        assert frame.time is not None
        assert abs((frame.time - NOON).total_seconds() - offset - n * 1024 / rate) < 1.1


def test_a_rate_given_is_not_questioned() -> None:
    frames = take_all(SoundTrack(1, 16_000), aac(48_000, 5))
    assert {frame.sample_rate for frame in frames} == {16_000}


def test_one_answer_alone_is_given_in_the_end() -> None:
    track = SoundTrack(1, None)
    assert track.take(aac(32_000, 1)[0], 0.0) == []
    assert track.held == 32
    frames = [item for item in track.finish() if isinstance(item, AudioFrame)]
    assert {frame.sample_rate for frame in frames} == {32_000}
    assert track.held == 0


def test_a_rate_that_changes_is_told_and_pts_rise() -> None:
    track = SoundTrack(1, None)
    later = [
        RecordedAudio(
            1, a.codec, a.start + timedelta(seconds=10), a.end + timedelta(seconds=10), a.blocks
        )
        for a in aac(16_000, 8)
    ]
    items = [item for one in (*aac(48_000, 10), *later) for item in track.take(one, 0.0) or ()]
    told = [item for item in items if isinstance(item, Discontinuity)]
    frames = [item for item in items if isinstance(item, AudioFrame)]
    assert [item.reason for item in told] == ["format"]
    assert frames[-1].sample_rate == 16_000
    seconds = [frame.pts / frame.sample_rate for frame in frames]
    assert seconds == sorted(seconds)


def test_speech_is_eight_thousand_samples_a_second() -> None:
    track = SoundTrack(1, None)
    frames = take_all(track, [speech(n) for n in range(4)])
    assert [(f.pts, f.sample_rate, f.time) for f in frames] == [
        (8000 * n, 8000, floor(n)) for n in range(4)
    ]
    g726 = SoundTrack(1, None)
    data = RecordedAudio(1, Codec.G726, floor(0), floor(1), (bytes(4000),))
    second = RecordedAudio(1, Codec.G726, floor(1), floor(2), (bytes(4000),))
    assert [frame.pts for frame in take_all(g726, [data, second])] == [0, 8000]


def test_what_comes_again_is_given_once() -> None:
    track = SoundTrack(1, None)
    assert track.take(speech(0), 0.0)
    assert track.take(speech(0), 0.0) is None
    assert track.take(speech(1), 0.0)
    assert track.take(speech(0), 0.0) is None
    assert track.dropped == {"repeated": 2}
    assert track.received == 4


def test_a_gap_counts_in_pts() -> None:
    frames = take_all(SoundTrack(1, None), [speech(0), speech(1), speech(61)])
    assert [frame.pts for frame in frames] == [0, 8000, 61 * 8000]


@given(st.lists(st.floats(-0.4, 0.4), min_size=2, max_size=30))
def test_jitter_in_the_stated_seconds_moves_no_sample(jitter: list[float]) -> None:
    """Answers of about a second whose stated times wander within a second: pts go on sample by sample."""
    answers = [
        RecordedAudio(1, Codec.PCMU, floor(n + 0.5 + shift), floor(n + 1.5 + shift), (bytes(8000),))
        for n, shift in enumerate(jitter)
    ]
    frames = take_all(SoundTrack(1, None), answers)
    assert [frame.pts for frame in frames] == [8000 * n for n in range(len(frames))]


def test_audio_before_the_start_is_left_out() -> None:
    track = SoundTrack(1, None)
    track.aim(NOON + timedelta(seconds=2.5))
    frames = take_all(track, [speech(n) for n in range(5)])
    assert [frame.time for frame in frames] == [floor(2), floor(3), floor(4)]
    assert track.dropped == {"before start": 2}


def test_answers_that_come_again_after_a_pause_are_timed_as_before() -> None:
    track = SoundTrack(1, 48_000)
    answers = aac(48_000, 10, 0.6)
    first = take_all(track, answers[:6])
    until = first[-1].time
    assert until is not None
    track.aim(until + timedelta(seconds=1024 / 48_000))
    again = take_all(track, answers[4:])
    assert [frame.data for frame in (*first, *again)] == [d for a in answers for d in a.blocks]
    assert [frame.pts for frame in (*first, *again)] == [
        1024 * n for n in range(len(first) + len(again))
    ]


def test_a_stated_time_too_far_off_wins_over_the_count() -> None:
    track = SoundTrack(1, None)
    shift = int(SLACK) + 2
    frames = take_all(track, [speech(0), speech(1 + shift)])
    assert frames[1].time == floor(1 + shift)


def test_damage_is_told_and_the_next_answer_is_timed_anew() -> None:
    track = SoundTrack(1, None)
    track.take(speech(0), 0.0)
    told = track.damage()
    assert (told.reason, told.since, told.lost) == ("loss", floor(1), 1)
    taken = track.take(speech(2), 0.0)
    assert taken
    assert isinstance(taken[0], AudioFrame)
    assert taken[0].time == floor(2)
