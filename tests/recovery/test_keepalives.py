"""FAULTS rows 21 and 22: the consumer is busy, or answers to keep-alives are lost.

24 hours of each kind of bad answer, with a stream::

    NVRCLIENT_LONG=1 python -m pytest -q -n0 tests/recovery/test_keepalives.py --timeout 1200 --show-capture=no
"""

from __future__ import annotations

import asyncio
import os
import time
from itertools import pairwise

import pytest

from nvrclient.simulator import AnswerFault, SimulatedRecorder, light_cameras
from tests.clock import run_simulated, simulated_clock
from tests.end_to_end.test_live_video import watching
from tests.recovery.viewer import light_recorder, until_live, viewing
from tests.secrets import PASSWORD

LONG = bool(os.environ.get("NVRCLIENT_LONG"))

HOURS = 24 if LONG else 2

LOST = (
    AnswerFault.LOST_SILENCE,
    AnswerFault.LOST_RST,
    AnswerFault.LOST_FIN,
    AnswerFault.GARBAGE,
    AnswerFault.SLOW,
)
"""What befalls the answer alone: the recorder has had the keep-alive."""


# Row 21: the consumer is busy


@pytest.mark.parametrize("transport", ["http", "udp"])
def test_row_21_a_consumer_that_awaits_something_else(transport: str) -> None:
    async def scenario() -> None:
        recorder = light_recorder()
        async with watching(recorder) as nvr:
            async with nvr.camera(1).live("h264", transport=transport) as stream:  # type: ignore[arg-type]
                for _ in range(3):
                    await anext(stream)
                    await asyncio.sleep(120)
                assert stream.state == "live"
                assert stream.stats.reconnects == 0
            assert nvr.stats.uids_lost == 0
            assert nvr.stats.loop_lag_max < 0.1

    run_simulated(scenario())


@pytest.mark.parametrize("after", [5.0, 30.0, 59.5])
def test_row_21_a_consumer_that_blocks_the_loop(after: float) -> None:
    """For 25 s, just before a keep-alive is due or long before: the UID lives."""

    async def scenario() -> None:
        recorder = light_recorder(2)
        clock = simulated_clock()
        async with watching(recorder) as nvr, viewing(nvr, 2) as viewers:
            await until_live(viewers, 10)
            await asyncio.sleep(1000.0 + after - clock.time())
            clock.advance(25)
            await asyncio.sleep(120)
            assert nvr.stats.uids_lost == 0
            assert recorder.logins == 1
            assert [viewer.gaps for viewer in viewers] == [[], []]
            assert 24.0 <= nvr.stats.loop_lag_max <= 25.1

    run_simulated(scenario())


def test_row_21_a_loop_blocked_for_too_long() -> None:
    """The UID is gone: one login, all streams come back, and the statistics tell why."""

    async def scenario() -> None:
        recorder = light_recorder(4)
        clock = simulated_clock()
        async with watching(recorder) as nvr, viewing(nvr, 4) as viewers:
            await until_live(viewers, 10)
            await asyncio.sleep(30)
            clock.advance(100)
            woken = clock.time()
            await asyncio.sleep(12)
            for viewer in viewers:
                (gap,) = viewer.gaps
                assert gap.told - woken <= 6.0
                assert gap.back is not None
                assert gap.back - gap.told <= 5.0
            assert recorder.logins == 2
            assert nvr.stats.relogins == 1
            assert 99.0 <= nvr.stats.loop_lag_max <= 100.1

    run_simulated(scenario())


async def test_row_21_really_blocked() -> None:
    """Scaled: a UID lives 4.5 s, keep-alives come every 3 s, and the consumer blocks the loop for one."""
    recorder = SimulatedRecorder(cameras=light_cameras(1), password=PASSWORD, uid_lifetime=4.5)
    async with watching(recorder, keepalive=3.0) as nvr, nvr.camera(1).live("h264") as stream:
        await anext(stream)
        await asyncio.sleep(2.5)
        time.sleep(1.0)
        await asyncio.sleep(2.5)
        assert nvr.stats.keepalives >= 1
        assert nvr.stats.uids_lost == 0
        assert nvr.stats.relogins == 0
        assert stream.stats.reconnects == 0
        assert 0.5 <= nvr.stats.loop_lag_max < 2.0
    assert recorder.logins == 1


# Row 22: answers are lost


@pytest.mark.parametrize("fault", LOST)
def test_row_22_30_percent_of_answers_are_lost(fault: AnswerFault) -> None:
    async def scenario() -> None:
        recorder = light_recorder(1, seed=22)
        async with watching(recorder) as nvr:
            incident = recorder.faults.spoil(fault, "status.cgi", share=0.3, delay=12.0)
            for _ in range(HOURS):
                await asyncio.sleep(3600)
                recorder.requests.clear()
            assert incident.rule is not None
            assert incident.rule.hits > HOURS * 60 * 0.2
            stats = nvr.stats
            if fault in {AnswerFault.LOST_SILENCE, AnswerFault.SLOW}:
                assert stats.keepalives_failed == incident.rule.hits
            else:  # sent again at once on a new connection, or not looked into
                assert stats.keepalives_failed < incident.rule.hits
            assert (stats.logins, stats.relogins, stats.uids_lost) == (1, 0, 0)
            assert len(recorder.uids) == 1
            incident.heal()

    run_simulated(scenario(), debug=False)


@pytest.mark.parametrize("transport", ["http", "udp"])
def test_row_22_streams_do_not_notice(transport: str) -> None:
    async def scenario() -> None:
        recorder = light_recorder(2, seed=23)
        async with watching(recorder) as nvr, viewing(nvr, 2, transport) as viewers:
            await until_live(viewers, 10)
            lost = recorder.faults.spoil(AnswerFault.LOST_SILENCE, "status.cgi", share=0.3)
            for _ in range(48 if LONG else 1):
                await asyncio.sleep(1800)
                recorder.requests.clear()
            assert nvr.stats.keepalives_failed > 3
            assert recorder.logins == 1
            for viewer in viewers:
                assert viewer.gaps == []
                assert viewer.stream.stats.lost == 0
            lost.heal()

    run_simulated(scenario(), debug=False)


@pytest.mark.parametrize("status", [503, 500, 404])
def test_row_22_tried_again_every_five_seconds(status: int) -> None:
    """Five in a row: the UID has 90 s, and a keep-alive gets through before they are over."""

    async def scenario() -> None:
        recorder = light_recorder(2)
        clock = simulated_clock()
        async with watching(recorder) as nvr, viewing(nvr, 2) as viewers:
            await until_live(viewers, 10)
            recorder.requests.clear()
            recorder.faults.spoil(AnswerFault.STATUS, "status.cgi", count=5, status=status)
            await asyncio.sleep(1095.0 - clock.time())
            times = [r.time - 1000 for r in recorder.requests if r.cgi == "status.cgi"]
            assert times[0] == pytest.approx(60.0, abs=0.2)
            assert times[5] <= 86.0
            assert all(
                after - before == pytest.approx(5.0, abs=0.2)
                for before, after in pairwise(times[:6])
            )
            await asyncio.sleep(120)
            assert nvr.stats.keepalives_failed == 5
            assert (nvr.stats.uids_lost, recorder.logins) == (0, 1)
            assert [viewer.gaps for viewer in viewers] == [[], []]

    run_simulated(scenario())


def test_row_22_a_keepalive_that_hangs_is_tried_again_in_time() -> None:
    """Two without any answer, 10 s each: the third comes before the 90 s are over."""

    async def scenario() -> None:
        recorder = light_recorder(1)
        async with watching(recorder) as nvr, viewing(nvr, 1) as viewers:
            await until_live(viewers, 10)
            recorder.faults.spoil(AnswerFault.CUT_SILENCE, "status.cgi", count=2)
            await asyncio.sleep(200)
            assert nvr.stats.keepalives_failed == 2
            assert (nvr.stats.uids_lost, recorder.logins) == (0, 1)
            assert viewers[0].gaps == []

    run_simulated(scenario())
