"""Row 75: a day with sixteen cameras while everything goes wrong, in some minutes.

What must hold: every interruption is told at once and again when it is over; every picture is one that the encoder made,
in its place, or something was told; the accounts are exact; all sixteen are live at the end; no more logins than UIDs
lost; nothing left; no more memory. See `day` and `watcher`.

CI plays some minutes with each kind of fault. The day, one command for each seed (1, 2, 3):

    NVRCLIENT_LONG=1 python -m pytest -q -n0 -s tests/soak -k "day[1]" --timeout 7200 --show-capture=no

or ``python -m tests.soak.day 1``, with the hours as a second argument.
"""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from nvrclient.simulator import Schedule
from tests.clock import run_simulated
from tests.soak.day import Day, Report
from tests.soak.heap import heap_bytes, slope

LONG = bool(os.environ.get("NVRCLIENT_LONG"))


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(record.getMessage())


@contextmanager
def only_errors() -> Iterator[list[str]]:
    """Keep errors of the log, and nothing else: millions of records would be the largest thing in memory."""
    root, errors = logging.getLogger(), _Errors()
    handlers, level = root.handlers, root.level
    root.handlers = [errors]
    root.setLevel(logging.ERROR)
    try:
        yield errors.seen
    finally:
        root.handlers = handlers
        root.setLevel(level)


def a_day(seed: int, seconds: float = 24 * 3600.0) -> Report:
    """Run a day, each kind of fault twenty times, or a part of it."""
    random.seed(seed)  # the client's jitter
    schedule = Schedule(seed=seed, every=(40.0, 120.0))
    least = 20 if seconds >= 24 * 3600 else 0
    with only_errors() as errors:
        report = run_simulated(Day(seed, seconds, least, schedule).run(), debug=False)
    report.problems += [f"log: {one}" for one in errors]
    return report


@pytest.mark.skipif(not LONG, reason="takes some minutes a seed; its short form runs")
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_row_75_a_day(seed: int) -> None:
    report = a_day(seed)
    print(f"\nseed {seed}: {report}")
    assert not report.problems, str(report)


def test_row_75_some_minutes() -> None:
    """The same with each kind of fault once."""
    random.seed(4)
    schedule = Schedule(seed=4, every=(16.0, 20.0), lasting=(9.0, 12.0), patience=40.0)
    with only_errors() as errors:
        report = run_simulated(Day(4, 200.0, 1, schedule).run(), debug=False)
    assert not errors
    assert not report.problems, str(report)


def test_the_heap_is_measured() -> None:
    """Bytes more are seen, small and large ones, and their end."""
    before, _ = heap_bytes()
    small = [bytes(100) for _ in range(5000)]
    with_small, _ = heap_bytes()
    large = bytes(1_000_000)
    with_large, _ = heap_bytes()
    assert 500_000 <= with_small - before <= 1_200_000
    assert 1_000_000 <= with_large - with_small <= 1_100_000
    del small, large
    assert abs(heap_bytes()[0] - before) < 50_000
    assert slope([(0, 1.0), (1, 3.0), (2, 5.0)]) == pytest.approx(2.0)
