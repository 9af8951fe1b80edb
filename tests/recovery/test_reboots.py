"""FAULTS row 18: a recorder that restarts is not run over, and everything comes back."""

from __future__ import annotations

import asyncio

import pytest

from nvrclient.simulator import REBOOTS
from tests.clock import run_simulated, simulated_clock
from tests.end_to_end.test_live_video import watching
from tests.recovery.viewer import attempts_to_connect, light_recorder, most_in, until_live, viewing

AGAIN = 20.0
"""Seconds after the recorder answers again within which every stream gives pictures."""

CONNECTS = 8
"""Connections in any minute while it is away."""


@pytest.mark.parametrize("script", REBOOTS)
@pytest.mark.parametrize("cameras", [16, 64])
def test_row_18_all_streams_come_back_after_a_reboot(cameras: int, script: str) -> None:
    async def scenario() -> None:
        recorder = light_recorder(cameras)
        clock = simulated_clock()
        async with watching(recorder) as nvr, viewing(nvr, cameras) as viewers:
            await until_live(viewers, 30)
            await asyncio.sleep(10)
            with attempts_to_connect() as attempts:
                reboot = recorder.faults.reboot(REBOOTS[script])
                await reboot.over()
            assert reboot.ended is not None
            assert 2 <= most_in(attempts, 60.0) <= CONNECTS
            await asyncio.sleep(AGAIN + 10)
            for viewer in viewers:
                assert len(viewer.gaps) == 1
                gap = viewer.gaps[0]
                assert gap.told - reboot.began <= 6.0
                assert gap.back is not None
                assert gap.back - reboot.ended <= AGAIN
                assert gap.since is not None
                assert gap.until is not None
                assert gap.until > gap.since
                assert viewer.stream.stats.reconnects == 1
                assert viewer.stream.state == "live"
                assert clock.time() - viewer.frames[-1] < 2
            assert nvr.stats.relogins == nvr.stats.uids_lost == len(recorder.uids)
            assert recorder.logins == 2 * len(recorder.uids) == 2 * cameras // 16

    run_simulated(scenario(), debug=False)
