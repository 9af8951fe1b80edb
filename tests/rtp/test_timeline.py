"""RTP time stamps on one line, and the recorder's clock beside them (docs/faults.md rows 27, 29, 63)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvrclient.rtp.timeline import Timeline, WallClock
from tests.rtp.stream import LONG

NOON = datetime(2024, 5, 6, 12, tzinfo=UTC)


@pytest.mark.parametrize("start", [0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_row_29_wraps(start: int) -> None:
    """Each picture is 13.9 h on, or nearly: thousands of wraps."""
    line = Timeline(90_000)
    step = 5_000_000  # 55.6 s
    for number in range(1_000_000 if LONG else 20_000):
        assert line.pts((start + number * step) & 0xFFFFFFFF, number * 55.6) == number * step


def test_row_27_pictures_out_of_order_never_turn_pts_back() -> None:
    line = Timeline(90_000)
    order = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8]
    pts = [line.pts(1000 + 3000 * n, number / 30) for number, n in enumerate(order)]
    assert pts == sorted(set(pts))
    assert pts[0] == 0
    assert pts[1] == 9000
    assert pts[4] == 18_000, "what was pushed up does not push the rest"


@pytest.mark.parametrize("jump", [-(1 << 30), -2_000_000, 20_000_000, 1 << 30])
def test_row_29_a_jump_counts_the_time_that_passed(jump: int) -> None:
    line = Timeline(90_000)
    for number in range(10):
        line.pts((5000 + 3000 * number) & 0xFFFFFFFF, 7 + number / 30)
    assert line.pts((5000 + 30_000 + jump) & 0xFFFFFFFF, 7 + 10 / 30) == 30_000
    assert line.pts((5000 + 33_000 + jump) & 0xFFFFFFFF, 7 + 11 / 30) == 33_000


def test_a_restart_counts_the_time_that_passed_and_never_none() -> None:
    line = Timeline(90_000)
    line.pts(7, 0.0)
    line.restart()
    assert line.pts(123_456, 2.0) == 180_000
    line.restart()
    assert line.pts(5, 2.0) == 180_001
    assert line.pts(3005, 2.1) == 183_001


def test_a_stream_that_rested_goes_on_by_its_time_stamps() -> None:
    line = Timeline(90_000)
    line.pts(0, 0.0)
    assert line.pts(90_000 * 3600, 3600.2) == 90_000 * 3600


@given(
    st.lists(
        st.tuples(st.integers(0, 0xFFFFFFFF), st.floats(0, 100, allow_nan=False), st.booleans()),
        max_size=40,
    )
)
def test_row_27_pts_rise_whatever_comes(steps: list[tuple[int, float, bool]]) -> None:
    line = Timeline(90_000)
    now, last = 0.0, -1
    for timestamp, step, restart in steps:
        now += step
        if restart:
            line.restart()
        pts = line.pts(timestamp, now)
        assert pts > last
        assert last >= 0 or pts == 0
        last = pts


# The recorder's clock


def test_no_time_before_it_was_told() -> None:
    clock = WallClock()
    assert clock.time(5.0) is None
    clock.tell(NOON, 5.0, exact=False)
    assert clock.time(5.0) == NOON
    assert clock.time(5.5) == NOON + timedelta(seconds=0.5)


@pytest.mark.parametrize("exact", [False, True])
def test_a_stray_value_is_not_believed_two_are(exact: bool) -> None:
    clock = WallClock()
    for second in range(10):
        clock.tell(NOON + timedelta(seconds=second), float(second), exact=exact)
    clock.tell(NOON + timedelta(hours=9), 10.0, exact=exact)
    assert clock.time(10.0) == NOON + timedelta(seconds=10)
    clock.tell(NOON + timedelta(seconds=11), 11.0, exact=exact)
    assert clock.time(11.0) == NOON + timedelta(seconds=11)
    for second in (12, 13):
        clock.tell(NOON + timedelta(hours=-3, seconds=second), float(second), exact=exact)
    assert clock.time(13.0) == NOON + timedelta(hours=-3, seconds=13)


def test_hundredths_are_exact() -> None:
    clock = WallClock()
    random = Random(1)
    for number in range(200):
        seconds = number / 15
        told = NOON + timedelta(milliseconds=10 * int(seconds * 100))
        clock.tell(told, seconds + random.uniform(-0.001, 0.001), exact=True)
        time = clock.time(seconds)
        assert time is not None
        assert abs((time - NOON).total_seconds() - seconds) < 0.012


def test_the_zone_is_the_recorders() -> None:
    from datetime import timezone

    zone = timezone(timedelta(hours=9))
    clock = WallClock()
    clock.tell(NOON.astimezone(zone), 0.0, exact=False)
    time = clock.time(0.25)
    assert time is not None
    assert time.utcoffset() == timedelta(hours=9)


def test_one_stray_time_does_not_move_the_clock() -> None:
    clock = WallClock()
    start = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
    clock.tell(start, 0.0, exact=False)
    clock.tell(datetime(1970, 1, 1, tzinfo=UTC), 0.5, exact=False)
    assert clock.time(0.5) == start + timedelta(seconds=0.5)
    clock.tell(start + timedelta(seconds=1), 1.0, exact=False)
    assert clock.time(1.0) == start + timedelta(seconds=1)
    for seconds in (2.0, 2.1):  # said twice, it is where the clock was set to
        clock.tell(start - timedelta(hours=1), seconds, exact=False)
    assert clock.time(2.1) == start - timedelta(hours=1)
