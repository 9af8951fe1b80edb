"""Pulse: how late the event loop wakes, and whether the computer slept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nvrclient.pulse import SLEPT, Pulse
from tests.clock import run_simulated, simulated_clock


@pytest.fixture(autouse=True)
def boot_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nvrclient.pulse.boot_time", lambda: simulated_clock().boot_time())


@asynccontextmanager
async def beating() -> AsyncIterator[tuple[Pulse, list[float]]]:
    slept: list[float] = []
    pulse = Pulse(slept.append)
    task = asyncio.create_task(pulse.run())
    await asyncio.sleep(0.5)
    yield pulse, slept
    assert not task.done()
    task.cancel()
    await asyncio.wait((task,))


def test_row_23_sleep_is_found_when_it_wakes() -> None:
    async def scenario() -> None:
        async with beating() as (pulse, slept):
            simulated_clock().sleep(600)
            await asyncio.sleep(1.1)
            assert slept == [pytest.approx(600.0)]
            await asyncio.sleep(100)
            assert len(slept) == 1
            assert pulse.lag_max == pytest.approx(0.0, abs=1e-6), "sleep is no lag"

    run_simulated(scenario())


def test_row_21_lag_is_no_sleep() -> None:
    async def scenario() -> None:
        async with beating() as (pulse, slept):
            simulated_clock().advance(30)
            await asyncio.sleep(2)
            assert 29.0 <= pulse.lag_max <= 30.0
            simulated_clock().advance(3)
            await asyncio.sleep(2)
            assert 29.0 <= pulse.lag_max <= 30.0, "the most there was"
            assert slept == []

    run_simulated(scenario())


def test_row_23_the_wall_clock_is_none_of_its_business() -> None:
    async def scenario() -> None:
        clock = simulated_clock()
        async with beating() as (pulse, slept):
            for shift in (3600, -3600, 10**9):
                clock.set_wall(clock.wall() + shift)
                await asyncio.sleep(5)
            assert slept == []
            assert pulse.lag_max < 0.01

    run_simulated(scenario())


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["sleep", "block"]),
            st.floats(0, 1000).filter(lambda s: abs(s - SLEPT) > 0.01),
        ),
        max_size=12,
    )
)
def test_any_sleeps_and_blocks(events: list[tuple[str, float]]) -> None:
    """Every sleep is told once, with its length; no block is."""

    async def scenario() -> None:
        clock = simulated_clock()
        async with beating() as (pulse, slept):
            for kind, seconds in events:
                clock.sleep(seconds) if kind == "sleep" else clock.advance(seconds)
                await asyncio.sleep(2.5)
            long = [seconds for kind, seconds in events if kind == "sleep" and seconds > SLEPT]
            assert slept == pytest.approx(long, abs=1e-3)
            blocked = max((seconds for kind, seconds in events if kind == "block"), default=0.0)
            assert blocked - 1.0 - 1e-3 <= pulse.lag_max <= blocked + 1e-3

    run_simulated(scenario(), debug=False)
