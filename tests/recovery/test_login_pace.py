"""LoginPace: when the next login may go out (FAULTS rows 13 to 15), as a pure table of times."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from nvrclient.pace import FIRST_REFUSAL, MAX_REFUSAL, RELOGIN_INTERVAL, SETTLED, LoginPace


def log_in(pace: LoginPace, now: float, *, patient: bool = True) -> float:
    """Wait as told, log in, get a UID; return when."""
    now += max(0.0, pace.wait(now, patient=patient))
    pace.begin(now)
    pace.issued(now)
    return now


def test_logins_that_replace_nothing_go_out_at_once() -> None:
    pace = LoginPace()
    for now in range(16):
        assert log_in(pace, now) == now
    assert pace.begin(16.0) is False


def test_row_13_uids_that_had_lived_are_replaced_at_once_all_of_them() -> None:
    pace = LoginPace()
    for _ in range(4):
        log_in(pace, 0.0)
    for _ in range(4):
        pace.lost(lived=100.0)
    assert [log_in(pace, 100.0) for _ in range(4)] == [100.0] * 4
    for _ in range(4):
        pace.lost(lived=RELOGIN_INTERVAL)
    assert [log_in(pace, 105.0) for _ in range(4)] == [105.0] * 4


def test_row_14_uids_lost_at_once_are_replaced_five_seconds_apart() -> None:
    pace = LoginPace()
    log_in(pace, 0.0)
    now, times = 0.1, []
    pace.lost(lived=0.1)
    for _ in range(10):
        now = log_in(pace, now)
        times.append(now)
        now += 0.1
        pace.lost(lived=0.1)
    assert times[0] == 0.1, "the first at once"
    assert all(after - before >= RELOGIN_INTERVAL for before, after in zip(times, times[1:]))  # noqa: B905


def test_a_login_that_replaces_says_so() -> None:
    pace = LoginPace()
    assert pace.begin(0.0) is False
    pace.issued(0.0)
    pace.lost(lived=50.0)
    pace.lost(lived=50.0)
    assert pace.begin(50.0) is True
    pace.issued(50.0)
    assert pace.begin(50.0) is True
    pace.issued(50.0)
    assert pace.begin(60.0) is False


def test_row_15_back_off_after_refusals() -> None:
    pace = LoginPace()
    now, waits = 0.0, []
    for _ in range(8):
        pace.begin(now)
        pace.refused(now)
        wait = pace.wait(now, patient=True)
        waits.append(wait)
        assert pace.wait(now, patient=False) <= 0, "a caller is told at once instead"
        now += wait
    bounds = [FIRST_REFUSAL, 2 * FIRST_REFUSAL] + [MAX_REFUSAL] * 6
    assert all(0.8 * most <= wait <= most for wait, most in zip(waits, bounds, strict=True))
    assert len(set(waits[2:])) > 1, "no jitter"
    log_in(pace, now)
    pace.refused(now)
    assert pace.wait(now, patient=True) <= FIRST_REFUSAL, "it begins anew after a success"


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(0, 40),
            st.sampled_from(["lost young", "lost old", "login", "login", "refused", "failed"]),
        ),
        max_size=60,
    )
)
def test_any_order_of_events(events: list[tuple[float, str]]) -> None:
    """Logins that replace UIDs lost young are 5 s apart, those of UIDs lost old go out at once, none waits for ever."""
    pace, now = LoginPace(), 0.0
    owed = 0  # UIDs lost that had lived, and are not replaced
    young = False  # UIDs were lost since the last login that brought one
    last: float | None = None
    for wait, event in events:
        now += wait
        if event.startswith("lost"):
            pace.lost(lived=1.0 if event == "lost young" else 30.0)
            young = True
            owed += event == "lost old"
            continue
        delay = max(0.0, pace.wait(now, patient=False))
        assert delay <= RELOGIN_INTERVAL + 1e-6
        if owed or not young:
            assert delay == 0.0
        now += delay
        if young and not owed and last is not None:
            assert now - last >= RELOGIN_INTERVAL - 1e-6
        if pace.begin(now):
            assert young
            last = now
        if event == "login":
            pace.issued(now)
            owed = max(0, owed - 1)
            young = owed > 0
        elif event == "refused":
            pace.refused(now)
            assert 0 < pace.wait(now, patient=True) <= MAX_REFUSAL


def test_uids_that_throw_each_other_out_are_replaced_ever_more_slowly() -> None:
    pace, now = LoginPace(), 0.0
    waits: list[float] = []
    for _ in range(8):
        pace.lost(lived=6.0, replaced=bool(waits))
        waits.append(log_in(pace, now) - now)
        now += waits[-1] + 6.0
    assert waits[:3] == [0.0, 0.0, 0.0]
    assert all(4.0 - 1e-6 <= wait <= MAX_REFUSAL for wait in waits[3:])
    assert waits == sorted(waits)
    assert waits[-1] == MAX_REFUSAL - 6.0
    pace.lost(lived=SETTLED, replaced=True)
    assert log_in(pace, now + SETTLED) == now + SETTLED
