"""Which pictures of the recorder's answers are given, marked how, and what is told between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvrclient import Codec, Discontinuity, RecorderInfo, VideoFrame
from nvrclient.container.gop import RecordedGop, RecordedPicture
from nvrclient.playback.motion import Motion
from nvrclient.playback.track import PictureTrack
from nvrclient.simulator import Clip

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
INFO = RecorderInfo()
CLIP = Clip.load("h264").annex_b[:5]  # one IDR and four P: a GOP of a second at 5 pictures a second
P_ONLY = CLIP[1:]


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def gop(
    number: int,
    pictures: Sequence[bytes] = CLIP,
    *,
    interval: float = 0.2,
    info: RecorderInfo = INFO,
    codec: Codec = Codec.H264,
) -> RecordedGop:
    """Record GOP `number`, which begins at that second."""
    times = [at(number + n * interval) for n in range(len(pictures))]
    return RecordedGop(
        codec,
        times[0],
        times[-1],
        info,
        tuple(
            RecordedPicture(data, time, info) for data, time in zip(pictures, times, strict=True)
        ),
    )


def take(track: PictureTrack, gops: Iterable[RecordedGop]) -> list[VideoFrame | Discontinuity]:
    items: list[VideoFrame | Discontinuity] = []
    for one in gops:
        for group in track.take(one, 0.0).groups:
            items += [*group.before, *group.gop.frames]
    return items


def frames(items: Iterable[VideoFrame | Discontinuity]) -> list[VideoFrame]:
    return [item for item in items if isinstance(item, VideoFrame)]


def told(
    items: Iterable[VideoFrame | Discontinuity],
) -> list[tuple[str, datetime | None, datetime | None]]:
    return [
        (item.reason, item.since, item.until) for item in items if isinstance(item, Discontinuity)
    ]


def seconds(items: Iterable[VideoFrame | Discontinuity]) -> list[float]:
    return [round((f.time - NOON).total_seconds(), 2) for f in frames(items) if f.time]


def accounted(track: PictureTrack, given: int) -> bool:
    return track.received == given + sum(track.dropped.values()) + track.held


def forward(start: datetime | None = None) -> PictureTrack:
    track = PictureTrack(1)
    track.aim(Motion.FORWARD, at=start)
    return track


def test_each_picture_is_given_once_with_its_time_and_pts() -> None:
    track = forward()
    items = take(track, [gop(0), gop(1), gop(1), gop(0), gop(2)])
    assert [frame.data for frame in frames(items)] == list(CLIP) * 3
    assert seconds(items) == [round(n * 0.2, 2) for n in range(15)]
    assert [frame.pts for frame in frames(items)] == [18_000 * n for n in range(15)]
    assert told(items) == []
    assert track.dropped == {"repeated": 10}
    assert accounted(track, 15)


@given(
    st.lists(st.integers(0, 12), max_size=30),
    st.one_of(st.none(), st.floats(-2, 14)),
    st.sampled_from(list(Motion)),
)
def test_whatever_comes_is_given_once_in_order(
    numbers: list[int], start: float | None, motion: Motion
) -> None:
    track = PictureTrack(1)
    track.aim(motion, at=None if start is None else at(start))
    groups = [group for number in numbers for group in track.take(gop(number), 0.0).groups]
    times = [group.gop.start for group in groups]
    assert times == sorted(set(times), reverse=motion.is_backward)
    given_frames = [frame for group in groups for frame in group.gop.frames]
    for group in groups:
        pts = [frame.pts for frame in group.gop.frames]
        assert pts == sorted(set(pts))
    if motion is Motion.FORWARD:
        pts = [frame.pts for frame in given_frames]
        assert pts == sorted(set(pts))
        assert all(
            frame.shown == (start is None or frame.time >= at(start))
            for frame in given_frames
            if frame.time
        )
    assert accounted(track, len(given_frames))


@pytest.mark.parametrize(
    ("start", "begins", "hidden"),
    [(1.5, 1, 3), (1.0, 1, 0), (0.9, 1, 0), (0.8, 0, 4), (-5, 0, 0), (2.81, None, 0)],
)
def test_it_begins_with_the_gop_that_holds_the_start(
    start: float, begins: int | None, hidden: int
) -> None:
    items = take(track := forward(at(start)), [gop(0), gop(1), gop(2)])
    shown = [frame.shown for frame in frames(items)]
    assert shown == [False] * hidden + [True] * (len(shown) - hidden)
    if begins is None:
        assert items == []
        track.finish()
    else:
        assert seconds(items)[0] == begins
    assert accounted(track, len(shown))


def test_a_gap_is_told_and_counts_in_pts() -> None:
    items = take(forward(), [gop(0), gop(1), gop(60)])
    assert told(items) == [("gap", at(1.8), at(60))]
    assert frames(items)[-5].pts == 60 * 90_000


@pytest.mark.parametrize("missing", [0, 1])
def test_a_gop_that_is_missing_is_a_gap(missing: int) -> None:
    items = take(forward(), [gop(0), gop(1 + missing)])
    assert len(told(items)) == missing


def test_pictures_seconds_apart_are_no_gap() -> None:
    slow = [gop(10 * n, CLIP[:1]) for n in range(6)]
    items = take(forward(), slow)
    assert told(items)[1:] == []  # the first step of an unknown rate may be one
    rated = [replace(one, info=RecorderInfo(frame_rate=0.1)) for one in slow]
    assert told(take(forward(), rated)) == []


def test_in_fast_motion_a_jump_is_no_gap() -> None:
    track = PictureTrack(1)
    track.aim(Motion.FAST_FORWARD, at=at(0))
    items = take(track, [gop(0), gop(8), gop(8), gop(16)])
    assert seconds(items)[::5] == [0, 8, 16]
    assert told(items) == []


def test_in_reverse_gops_descend_and_pictures_rise() -> None:
    track = forward()
    group = track.take(gop(5), 0.0).groups[0]
    track.aim(Motion.REVERSE, behind=group.gop)
    items = take(track, [gop(5), gop(4), gop(3), gop(3), gop(1)])
    assert seconds(items)[::5] == [4, 3, 1]
    assert told(items) == [("gap", at(3), at(1.8))]


def test_reverse_from_a_time_hides_what_is_after_it() -> None:
    track = PictureTrack(1)
    track.aim(Motion.REVERSE, at=at(3.5))
    items = take(track, [gop(4), gop(3), gop(2)])
    assert seconds(items)[::5] == [3, 2]
    assert [frame.shown for frame in frames(items)] == [True] * 3 + [False] * 2 + [True] * 5


def test_a_hidden_idr_is_given_once_a_decoding_start() -> None:
    hides = RecorderInfo(idr_display=2, long_term_reference=0x11)
    shows = RecorderInfo(idr_display=1, long_term_reference=0x11)

    def behind_idr(number: int) -> RecordedGop:
        made = gop(number, P_ONLY, info=hides)
        idr = RecordedPicture(CLIP[0], at(0), hides)
        return replace(made, start=at(0), pictures=(idr, *made.pictures))

    track = forward()
    items = take(track, [gop(0, info=shows), behind_idr(1), behind_idr(2)])
    assert [frame.data for frame in frames(items)] == [*CLIP, *P_ONLY, *P_ONLY]
    assert all(frame.shown for frame in frames(items))
    assert track.dropped == {"for decoding only": 2}
    track.aim(Motion.FORWARD, at=at(3))
    items = take(track, [behind_idr(3), behind_idr(4), behind_idr(4)])
    assert [frame.shown for frame in frames(items)] == [False] + [True] * 8
    assert seconds(items)[:2] == [0, 3]
    assert told(items) == []
    assert track.dropped == {"for decoding only": 4, "repeated": 4}


def test_gops_without_an_idr_wait_for_one_behind_a_seek() -> None:
    track = forward(at(2))
    items = take(track, [gop(2, P_ONLY), gop(3), gop(4, P_ONLY)])
    assert seconds(items)[0] == 3
    assert len(frames(items)) == 9
    assert track.dropped == {"waiting for key frame": 4}


def test_the_gops_before_the_start_that_it_needs_are_given_hidden() -> None:
    track = forward(at(2.2))
    items = take(track, [gop(0), gop(1, P_ONLY), gop(2, P_ONLY), gop(3)])
    assert seconds(items)[0] == 0
    shown = [frame.shown for frame in frames(items)]
    assert shown == [False] * 10 + [True] * 8
    assert accounted(track, len(shown))


def test_in_reverse_gops_without_an_idr_come_behind_the_one_they_need() -> None:
    track = PictureTrack(1)
    track.aim(Motion.REVERSE, at=at(4))
    items = take(track, [gop(3, P_ONLY), gop(2, P_ONLY), gop(1), gop(0)])
    assert [second for second in seconds(items) if second % 1 == 0] == [1, 2, 3, 0]
    assert accounted(track, 18)


def test_damage_is_told_and_decoding_starts_anew() -> None:
    track = forward()
    items = take(track, [gop(0)])
    track.damage()
    items += take(track, [gop(2, P_ONLY), gop(3)])
    assert told(items) == [("loss", at(0.8), at(3))]
    assert seconds(items)[5] == 3
    assert track.finish() is None
    track.damage()
    ending = track.finish()
    assert ending is not None
    assert (ending.reason, ending.since, ending.lost) == ("loss", at(3.8), 1)


def test_another_codec_is_told_before_its_first_picture() -> None:
    other = Clip.load("h265").annex_b[:5]
    track = forward()
    items = take(track, [gop(0), gop(1, other, codec=Codec.H265), gop(2, other, codec=Codec.H265)])
    assert told(items) == [("format", at(0.8), at(1))]
    assert [frame.codec for frame in frames(items)][::5] == [Codec.H264, Codec.H265, Codec.H265]
    assert track.format is not None
    assert track.format.codec is Codec.H265


def test_jpeg_pictures_are_a_gop_each() -> None:
    pictures = Clip.load("jpeg").units[:6]
    answers = [
        replace(
            gop(0, [data], codec=Codec.JPEG),
            start=at(0.2 * n),
            end=at(0.2 * n),
            pictures=(RecordedPicture(data, at(0.2 * n), INFO),),
        )
        for n, data in enumerate(pictures)
    ]
    track = forward()
    items = take(track, answers)
    assert [frame.data for frame in frames(items)] == list(pictures)
    assert told(items) == []
    assert all(frame.keyframe and not frame.nal_units for frame in frames(items))
    assert track.format is not None
    assert track.format.codec_string == "jpeg"


def test_the_open_gop_of_a_cra_loses_its_leading_pictures_where_decoding_starts() -> None:
    clip = Clip.load("h265_cra").annex_b
    answers = [replace(gop(0, clip, interval=0.05, codec=Codec.H265))]
    whole = frames(take(forward(), answers))
    assert len(whole) == len(clip)


@pytest.mark.parametrize(
    ("begins", "aim", "motion", "misses"),
    [
        (1, 1.5, Motion.FORWARD, False),
        (1, 1.0, Motion.FORWARD, False),
        (2, 1.5, Motion.FORWARD, True),
        (1, 1.5, Motion.REVERSE, False),
        (0, 1.5, Motion.REVERSE, True),
        (9, 1.5, Motion.FAST_FORWARD, False),
    ],
)
def test_a_gop_that_does_not_hold_the_time_aimed_at_is_noticed(
    begins: int, aim: float, motion: Motion, misses: bool
) -> None:
    track = PictureTrack(1)
    track.aim(motion, at=at(aim))
    assert track.misses(gop(begins)) is misses


def test_a_gop_that_does_not_join_the_last_is_noticed() -> None:
    track = forward()
    group = track.take(gop(5), 0.0).groups[0]
    assert (track.misses(gop(6)), track.misses(gop(7))) == (False, True)
    track.aim(Motion.REVERSE, behind=group.gop)
    assert (track.misses(gop(4)), track.misses(gop(3))) == (False, True)
