"""Reach: while it is in doubt whether the recorder answers, one command at a time tries, 8 s apart."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvrclient.reach import PROBE_INTERVAL, STARTING_UP, Reach
from tests.clock import run_simulated, simulated_clock


class Recorder:
    """Answers from a given time on; `tries` are (begin, end) of what was tried."""

    def __init__(self, reach: Reach, back_at: float, takes: float = 0.0) -> None:
        self.reach = reach
        self.back_at = back_at
        self.takes = takes
        self.tries: list[tuple[float, float]] = []

    async def ask(self) -> bool:
        clock = simulated_clock()
        began = clock.time()
        await asyncio.sleep(self.takes)
        answers = clock.time() >= self.back_at
        self.reach.heard(200 if answers else None)
        self.tries.append((began, clock.time()))
        return answers


async def work(recorder: Recorder) -> float:
    """Try in turn until it is answered; return when."""
    while True:
        async with recorder.reach.turn():
            if await recorder.ask():
                return simulated_clock().time()
        await asyncio.sleep(random.uniform(0, 1))


def test_without_doubt_nobody_waits() -> None:
    async def scenario() -> None:
        reach = Reach()
        recorder = Recorder(reach, back_at=0.0, takes=1.0)
        assert set(await asyncio.gather(*[work(recorder) for _ in range(50)])) == {1001.0}

    run_simulated(scenario())


@pytest.mark.parametrize("takes", [0.0, 5.0, 7.9])
@pytest.mark.parametrize("workers", [1, 64])
def test_row_18_one_at_a_time_for_all(workers: int, takes: float) -> None:
    async def scenario() -> None:
        reach = Reach()
        reach.doubt()
        recorder = Recorder(reach, back_at=1100.0, takes=takes)
        done = await asyncio.gather(*[work(recorder) for _ in range(workers)])
        failed = [one for one in recorder.tries if one[1] < 1100.0]
        assert all(before[1] <= after[0] for before, after in pairwise(failed)), "two at once"
        apart = [after[0] - before[0] for before, after in pairwise(failed)]
        assert min(apart) >= PROBE_INTERVAL - 1e-6
        assert len(failed) >= 100 / (PROBE_INTERVAL + 1) - 1, "it tries too seldom"
        assert failed[0][0] == 1000.0, "the first goes out at once"
        assert max(done) <= 1100.0 + PROBE_INTERVAL + 1 + 2 * takes
        assert not reach.is_doubted

    run_simulated(scenario(), debug=False)


def test_starting_up_is_no_answer() -> None:
    async def scenario() -> None:
        reach = Reach()
        reach.doubt()
        reach.heard(STARTING_UP)
        assert reach.is_doubted
        for status in (200, 204, 400, 401, 404):
            reach.doubt()
            reach.heard(status)
            assert not reach.is_doubted
        reach.heard(STARTING_UP)
        assert not reach.is_doubted, "busy with one thing, and there"
        reach.heard(None)
        assert reach.is_doubted

    run_simulated(scenario())


def test_what_a_caller_is_answered_lets_all_go_on() -> None:
    async def scenario() -> None:
        reach = Reach()
        reach.doubt()
        recorder = Recorder(reach, back_at=1003.0)
        waiting = [asyncio.create_task(work(recorder)) for _ in range(10)]
        await asyncio.sleep(3.0)
        assert len(recorder.tries) == 1
        reach.heard(200)  # what a caller asked for himself
        assert all(1003.0 <= when <= 1004.0 for when in await asyncio.gather(*waiting))

    run_simulated(scenario())


def test_one_that_is_cancelled_gives_its_turn_on() -> None:
    async def scenario() -> None:
        reach = Reach()
        reach.doubt()
        recorder = Recorder(reach, back_at=1009.0, takes=60.0)
        hanging = asyncio.create_task(work(recorder))
        await asyncio.sleep(1)
        recorder.takes = 0.0
        others = [asyncio.create_task(work(recorder)) for _ in range(4)]
        await asyncio.sleep(1)
        others[0].cancel()  # one that waits
        hanging.cancel()  # the one whose turn it is
        done = await asyncio.gather(*others[1:])
        assert max(done) <= 1000.0 + 2 * PROBE_INTERVAL + 1

    run_simulated(scenario())


def test_doubted_again_at_once() -> None:
    """It answered one command and is gone: the next may go out at once, and alone."""

    async def scenario() -> None:
        reach = Reach()
        clock = simulated_clock()
        reach.doubt()
        async with reach.turn():
            reach.heard(200)
        reach.heard(None)
        reach.doubt()
        async with asyncio.timeout(0.01):
            async with reach.turn():
                pass
        began = clock.time()
        async with reach.turn():
            assert clock.time() - began == pytest.approx(PROBE_INTERVAL)

    run_simulated(scenario())


@settings(max_examples=60, deadline=None)
@given(
    workers=st.integers(1, 12),
    events=st.lists(
        st.tuples(
            st.floats(0, 30),
            st.sampled_from(["doubt", "lost", "busy", "answered", "cancel"]),
        ),
        max_size=25,
    ),
    takes=st.floats(0, 20),
)
def test_any_order_of_events(workers: int, events: list[tuple[float, str]], takes: float) -> None:
    """In doubt there are never two at once or within 8 s; in the end everybody gets through."""

    async def scenario() -> None:
        reach, clock, chance = Reach(), simulated_clock(), random.Random(0)
        inside = 0
        begun: list[float] = []  # in the doubt that lasts

        async def visits() -> None:
            nonlocal inside
            for _ in range(4):
                async with reach.turn():
                    if reach.is_doubted:
                        assert not begun or clock.time() - begun[-1] >= PROBE_INTERVAL - 1e-6
                        begun.append(clock.time())
                        inside += 1
                        try:
                            assert inside == 1
                            await asyncio.sleep(takes)
                        finally:
                            inside -= 1
                await asyncio.sleep(chance.random())

        tasks = [asyncio.create_task(visits()) for _ in range(workers)]
        for wait, event in events:
            await asyncio.sleep(wait)
            if event == "cancel":
                chance.choice(tasks).cancel()
            elif event == "answered":
                reach.heard(200)
                begun.clear()
            elif event == "busy":
                reach.heard(STARTING_UP)
            else:
                reach.heard(None) if event == "lost" else reach.doubt()
        reach.heard(200)
        await asyncio.sleep(takes + 10)
        for task in tasks:
            assert task.done()
            if not task.cancelled():
                task.result()

    run_simulated(scenario(), debug=False)
