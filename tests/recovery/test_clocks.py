"""FAULTS row 23: clocks that jump, and computers that sleep."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from nvrclient.simulator import Ending, Readings, SimulatedRecorder, light_cameras
from tests.clock import run_simulated, simulated_clock
from tests.end_to_end.test_live_video import watching
from tests.recovery.viewer import all_live, light_recorder, until_live, viewing
from tests.secrets import PASSWORD

AGAIN = 5.0
"""Seconds after waking up within which there is a login."""


@pytest.fixture
def sleepy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock that goes on in sleep is the simulated one."""
    monkeypatch.setattr("nvrclient.pulse.boot_time", lambda: simulated_clock().boot_time())


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 86400.0 * 365, -86400.0 * 365 * 50])
def test_row_23_the_computers_clock_is_set(jump: float, sleepy: None) -> None:
    """Daylight saving sets no clock in UTC; whoever sets it by hand does an hour, or what was 1970."""

    async def scenario() -> None:
        recorder = light_recorder(2)
        clock = simulated_clock()
        async with watching(recorder) as nvr, viewing(nvr, 2) as viewers:
            await until_live(viewers, 10)
            await asyncio.sleep(20)
            clock.set_wall(clock.wall() + jump)
            await asyncio.sleep(200)
            assert [viewer.gaps for viewer in viewers] == [[], []]
            assert (nvr.stats.keepalives, nvr.stats.uids_lost, recorder.logins) == (3, 0, 1)
            assert nvr.stats.loop_lag_max < 0.1
            assert all(len(viewer.frames) >= 220 for viewer in viewers)

    run_simulated(scenario())


@pytest.mark.parametrize("year", [1970, 2038, 2106])
def test_row_23_the_recorders_clock(year: int, sleepy: None) -> None:
    """Its times are given as they are; nothing waits for them."""
    begin = datetime(year, 1, 19, 3, 14, tzinfo=UTC)

    async def scenario() -> None:
        clock = simulated_clock()
        recorder = SimulatedRecorder(
            cameras=light_cameras(2),
            password=PASSWORD,
            readings=Readings(packet_size=1400),
            clock=lambda: begin.timestamp() + clock.time() - 1000.0,
        )
        async with watching(recorder) as nvr, viewing(nvr, 2) as viewers:
            await until_live(viewers, 10)
            await asyncio.sleep(30)
            recorder.faults.forget_uids()
            await asyncio.sleep(15)
            for viewer in viewers:
                (gap,) = viewer.gaps
                assert gap.since is not None
                assert gap.until is not None
                assert abs((gap.since - begin).total_seconds()) < 60
                assert 0 < (gap.until - gap.since).total_seconds() < 15
            assert recorder.logins == 2

    run_simulated(scenario())


def test_row_23_the_recorders_clock_is_set_while_streams_run() -> None:
    async def scenario() -> None:
        clock, shift = simulated_clock(), 0.0
        recorder = light_recorder(2)
        recorder._clock = lambda: clock.wall() + shift
        async with watching(recorder) as nvr, viewing(nvr, 2) as viewers:
            await until_live(viewers, 10)
            for shift in (3600.0, 0.0, -3600.0):  # noqa: B007  the recorder reads it
                recorder.faults.forget_uids()
                await asyncio.sleep(15)
                assert all_live(viewers)
            assert [len(viewer.gaps) for viewer in viewers] == [3, 3]
            assert nvr.stats.relogins == 3

    run_simulated(scenario())


@pytest.mark.parametrize("ending", Ending)
def test_row_23_the_computer_sleeps_for_ten_minutes(ending: Ending, sleepy: None) -> None:
    """Its UIDs are long gone when it wakes, and its connections in one way or another."""

    async def scenario() -> None:
        recorder = light_recorder(4)
        clock = simulated_clock()
        async with watching(recorder) as nvr, viewing(nvr, 4) as viewers:
            await until_live(viewers, 10)
            await asyncio.sleep(20.3)
            clock.sleep(600)
            recorder.faults.drop_connections(ending)
            recorder.faults.forget_uids()
            woken = clock.time()
            await asyncio.sleep(AGAIN)
            assert recorder.logins == 2
            assert recorder.login_times[1] - woken <= AGAIN
            await asyncio.sleep(AGAIN)
            assert all_live(viewers)
            assert [len(viewer.gaps) for viewer in viewers] == [1] * 4
            assert nvr.stats.relogins == nvr.stats.uids_lost == 1
            assert nvr.stats.loop_lag_max < 0.1

    run_simulated(scenario())


def test_row_23_a_short_sleep_costs_one_keepalive(sleepy: None) -> None:
    """The UID lives, and has its 90 s again."""

    async def scenario() -> None:
        recorder = light_recorder(2)
        clock = simulated_clock()
        async with watching(recorder) as nvr, viewing(nvr, 2) as viewers:
            await until_live(viewers, 10)
            await asyncio.sleep(20)
            clock.sleep(60)
            await asyncio.sleep(3)
            assert nvr.stats.keepalives == 1
            assert [viewer.gaps for viewer in viewers] == [[], []]
            assert (nvr.stats.uids_lost, recorder.logins) == (0, 1)

    run_simulated(scenario())


def test_row_23_nothing_is_there_yet_after_sleep(sleepy: None) -> None:
    """The network comes up seconds after the computer: nothing is given up meanwhile."""

    async def scenario() -> None:
        recorder = light_recorder(4)
        clock = simulated_clock()
        async with watching(recorder) as nvr, viewing(nvr, 4) as viewers:
            await until_live(viewers, 10)
            await asyncio.sleep(20)
            clock.sleep(600)
            recorder.faults.forget_uids()
            hole = recorder.faults.black_hole(12)
            await hole.over()
            assert hole.ended is not None
            await asyncio.sleep(15)
            assert all_live(viewers)
            assert [len(viewer.gaps) for viewer in viewers] == [1] * 4
            assert nvr.stats.relogins == 1

    run_simulated(scenario())


def test_row_23_an_idle_session_sleeps(sleepy: None) -> None:
    """Without a stream there is nothing to bring back: the loss is known, and the next command logs in."""

    async def scenario() -> None:
        recorder = light_recorder(1)
        clock = simulated_clock()
        async with watching(recorder) as nvr:
            await asyncio.sleep(20)
            clock.sleep(600)
            recorder.faults.forget_uids()
            await asyncio.sleep(AGAIN)
            assert nvr.stats.uids_lost == 1
            began = clock.time()
            await nvr.error_log()
            assert clock.time() - began <= AGAIN
            assert recorder.logins == 2

    run_simulated(scenario())
