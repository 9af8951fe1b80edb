"""When pictures are due, by a clock that the test moves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from nvrclient.playback.pacer import LATE, Pacer

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def give(pacer: Pacer, time: datetime, now: float, *, jump: bool = False) -> float:
    """Give a picture as soon as it is due; returns when that was."""
    due = pacer.due(time, now, jump=jump, interval=0.2)
    pacer.given(time, due, jump=jump, interval=0.2)
    return due


@pytest.mark.parametrize(("speed", "expected"), [(1.0, 0.2), (2.0, 0.1), (0.5, 0.4)])
def test_pictures_follow_each_other_at_the_pace_of_their_times(
    speed: float, expected: float
) -> None:
    pacer, now = Pacer(speed), 100.0
    dues = [now := give(pacer, after(0.2 * n), now) for n in range(50)]
    assert dues == pytest.approx([100 + expected * n for n in range(50)])


def test_without_a_speed_nothing_waits() -> None:
    pacer = Pacer(None)
    assert [give(pacer, after(n), 5.0) for n in range(5)] == [5.0] * 5


def test_a_jump_costs_one_interval() -> None:
    pacer = Pacer(1.0)
    give(pacer, after(0), 100.0)
    assert give(pacer, after(3600), 100.0, jump=True) == pytest.approx(100.2)
    assert give(pacer, after(3600.2), 100.2) == pytest.approx(100.4)
    assert give(pacer, after(-5), 100.4, jump=True) == pytest.approx(100.6)


def test_a_consumer_a_little_late_catches_up() -> None:
    pacer = Pacer(1.0)
    give(pacer, after(0), 100.0)
    pacer.given(after(0.2), 100.9, jump=False, interval=0.2)
    assert pacer.due(after(0.4), 100.9, jump=False, interval=0.2) == 100.9
    assert pacer.due(after(2), 100.9, jump=False, interval=0.2) == 102.0


def test_a_consumer_far_behind_goes_on_from_where_it_is() -> None:
    pacer = Pacer(1.0)
    give(pacer, after(0), 100.0)
    late = 100.2 + LATE + 5
    pacer.given(after(0.2), late, jump=False, interval=0.2)
    assert pacer.due(after(0.4), late, jump=False, interval=0.2) == pytest.approx(late + 0.2)


def test_after_a_restart_the_next_is_due_at_once() -> None:
    pacer = Pacer(1.0)
    give(pacer, after(0), 100.0)
    pacer.restart()
    assert give(pacer, after(900), 101.0) == 101.0
