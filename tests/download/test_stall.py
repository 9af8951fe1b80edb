"""The stall clock: as asyncio.timeout, with one timer."""

from __future__ import annotations

import asyncio

import pytest

from nvrclient.download.stall import StallClock
from tests.clock import run_simulated


async def later(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "came"


def test_each_wait_has_all_of_the_time() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        clock = StallClock(10)
        for pause in (0, 1, 9, 25, 100):
            for wait in (0, 9.9, 9.9, 1):
                assert await clock.wait(later(wait)) == "came"
            await asyncio.sleep(pause)
            began = loop.time()
            with pytest.raises(TimeoutError):
                await clock.wait(later(50))
            assert 10 <= loop.time() - began < 10.1
            clock.stop()
            clock = StallClock(10)

    run_simulated(run())


def test_the_time_may_change() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        for seconds in (3.0, 100.0):
            clock = StallClock(30)
            await clock.wait(later(1))
            clock.seconds = seconds
            began = loop.time()
            with pytest.raises(TimeoutError):
                await clock.wait(later(500))
            assert seconds <= loop.time() - began < seconds + 0.1

    run_simulated(run())


def test_cancelling_is_no_timeout_and_errors_pass() -> None:
    async def run() -> None:
        clock = StallClock(10)
        task = asyncio.ensure_future(clock.wait(later(5)))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        async def fails() -> None:
            raise KeyError("mine")

        with pytest.raises(KeyError):
            await clock.wait(fails())
        # Cancelled in the turn of the loop in which the time is up: the caller's cancellation wins.
        clock = StallClock(10)
        task = asyncio.ensure_future(clock.wait(later(50)))
        asyncio.get_running_loop().call_later(10, task.cancel)
        with pytest.raises((asyncio.CancelledError, TimeoutError)):
            await task
        clock.stop()

    run_simulated(run())
