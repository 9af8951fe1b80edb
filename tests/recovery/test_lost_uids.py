"""FAULTS rows 13 and 14: UIDs that are lost, once in a while or again and again.

The day with 200 losses::

    NVRCLIENT_LONG=1 python -m pytest -q -n0 tests/recovery/test_lost_uids.py --timeout 1200 --show-capture=no
"""

from __future__ import annotations

import asyncio
import os
import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

import nvrclient
from nvrclient.simulator import AnswerFault
from tests.clock import run_simulated, simulated_clock
from tests.end_to_end.test_live_video import watching
from tests.recovery.viewer import all_live, light_recorder, most_in, until_live, viewing

LONG = bool(os.environ.get("NVRCLIENT_LONG"))

SEEN = 6.0
"""Seconds within which a stream that fell silent is known to be out (row 19)."""

AGAIN = 5.0
"""Seconds from then on within which it is back."""


def test_row_13_uids_lost_at_random_times() -> None:
    losses, seconds = (200, 86400.0) if LONG else (8, 900.0)

    async def scenario() -> None:
        recorder = light_recorder(4)
        clock, chance = simulated_clock(), random.Random(13)
        async with watching(recorder) as nvr, viewing(nvr, 4) as viewers:
            await until_live(viewers, 10)
            times = sorted(chance.sample(range(int(seconds / 20)), losses))
            for count, time in enumerate(times, 1):
                await asyncio.sleep(1000.0 + 20 * time + chance.random() * 5 - clock.time() + 20)
                lost = clock.time()
                recorder.faults.forget_uids()
                await asyncio.sleep(SEEN + AGAIN + 0.5)
                for viewer in viewers:
                    assert len(viewer.gaps) == count
                    gap = viewer.gaps[-1]
                    assert gap.told - lost <= SEEN
                    assert gap.back is not None
                    assert gap.back - gap.told <= AGAIN
                    assert gap.since is not None
                    assert gap.until is not None
                    assert 0 < (gap.until - gap.since).total_seconds() <= SEEN + AGAIN + 1
                recorder.requests.clear()
                recorder.faults.accounts.clear()
            assert nvr.stats.uids_lost == nvr.stats.relogins == losses
            assert recorder.logins == 1 + losses
            assert recorder.wrong_credentials == 0
            assert [viewer.stream.stats.reconnects for viewer in viewers] == [losses] * 4

    run_simulated(scenario(), debug=False)


def test_row_13_the_keepalive_tells() -> None:
    """Over UDP silence would be seen seconds later."""

    async def scenario() -> None:
        recorder = light_recorder(3)
        clock = simulated_clock()
        async with watching(recorder) as nvr, viewing(nvr, 3, "udp") as viewers:
            await until_live(viewers, 10)
            recorder.faults.spoil(AnswerFault.UID_LOST, "status.cgi", count=1)
            await asyncio.sleep(1060.5 - clock.time())
            assert [round(viewer.gaps[0].told - 1060, 1) for viewer in viewers] == [0.0] * 3
            await asyncio.sleep(AGAIN)
            assert all_live(viewers)
            assert recorder.logins == 2
            assert nvr.stats.relogins == 1

    run_simulated(scenario())


@pytest.mark.parametrize("cgi", ["push.cgi", "camctl.cgi", "loglist.cgi"])
def test_row_13_any_command_tells(cgi: str) -> None:
    async def scenario() -> None:
        recorder = light_recorder(3)
        async with watching(recorder) as nvr, viewing(nvr, 2, "udp") as viewers:
            await until_live(viewers, 10)
            cgis = ["camctl.cgi", "directctrl.cgi"] if cgi == "camctl.cgi" else cgi
            recorder.faults.spoil(AnswerFault.UID_LOST, cgis, count=1)
            if cgi == "push.cgi":
                async with nvr.camera(3).live("h264") as third:
                    await anext(third)
            elif cgi == "camctl.cgi":
                await nvr.camera(1).move(pan=1)
            else:
                await nvr.error_log()
            assert recorder.faults.log[-1].ended is not None
            assert all(viewer.is_out for viewer in viewers) or all_live(viewers)
            await asyncio.sleep(AGAIN)
            assert all_live(viewers)
            assert [len(viewer.gaps) for viewer in viewers] == [1, 1]
            assert nvr.stats.relogins == 1
            assert recorder.logins == 2

    run_simulated(scenario())


def test_row_13_one_of_two_uids_is_lost() -> None:
    """The streams on the other know nothing of it."""

    async def scenario() -> None:
        recorder = light_recorder(18)
        async with watching(recorder) as nvr, viewing(nvr, 18) as viewers:
            await until_live(viewers, 10)
            first, second = recorder.uids
            spared = {stream.camera for stream in second.streams}
            recorder.faults.forget_uid(first)
            await asyncio.sleep(SEEN + AGAIN)
            assert all_live(viewers)
            for viewer in viewers:
                assert len(viewer.gaps) == (0 if viewer.camera in spared else 1)
            assert recorder.logins == 3
            assert len(recorder.uids) == 2

    run_simulated(scenario())


@pytest.mark.parametrize("uids", [1, 2, 3, 8])
@pytest.mark.parametrize("what", ["error log", "move", "live", "playback", "download"])
def test_row_13_commands_after_all_uids_are_lost(uids: int, what: str) -> None:
    """One login, whatever is asked first, however many UIDs the session held."""

    async def scenario() -> None:
        recorder = light_recorder(2)
        async with watching(recorder, max_uids=16) as nvr:
            streams = [
                await nvr.camera(1).live("h264", transport="udp", shared=False) for _ in range(uids)
            ]
            await asyncio.sleep(6)  # they have lived: they are replaced at once
            assert len(recorder.uids) == uids
            recorder.faults.forget_uids()
            now = datetime.fromtimestamp(simulated_clock().wall(), UTC) - timedelta(minutes=30)
            if what == "error log":
                await nvr.error_log()
            elif what == "move":
                await nvr.camera(1).move(pan=1)
            elif what == "live":
                async with nvr.camera(2).live("h265") as stream:
                    await anext(stream)
            elif what == "playback":
                async with nvr.camera(2).playback(now) as playback:
                    await anext(aiter(playback))
            else:
                async with nvr.camera(2).open_download(now, now + timedelta(minutes=1)) as files:
                    await anext(aiter(files))
            await asyncio.sleep(20)
            assert {stream.state for stream in streams} == {"live"}
            for stream in streams:
                await stream.aclose()

    run_simulated(scenario(), debug=False)


# Again and again


@pytest.mark.parametrize("every", [2, 3])
def test_row_14_uids_stolen_again_and_again(every: int) -> None:
    async def scenario() -> None:
        recorder = light_recorder(4)
        clock = simulated_clock()
        async with watching(recorder) as nvr, viewing(nvr, 4) as viewers:
            await until_live(viewers, 10)
            await asyncio.sleep(20)
            theft = recorder.faults.steal_uids(every)
            began, before = clock.time(), recorder.logins
            recorder.faults.forget_uids()
            await asyncio.sleep(600)
            logins = recorder.login_times[before:]
            assert logins[0] - began <= SEEN + 1
            assert all(after - time >= 5.0 - 1e-6 for time, after in pairwise(logins[1:]))
            assert most_in(logins[1:], 60.0) <= 12
            assert len(logins) > 10, "it gives up"
            theft.heal()
            await asyncio.sleep(20)
            assert all_live(viewers)
            assert recorder.wrong_credentials == 0

    run_simulated(scenario(), debug=False)


def test_row_14_the_caller_is_told() -> None:
    async def scenario() -> None:
        recorder = light_recorder(2)
        clock = simulated_clock()
        async with watching(recorder) as nvr:
            recorder.faults.spoil(
                AnswerFault.UID_LOST, "push.cgi", params={"CMD": "START"}, count=None
            )
            began = clock.time()
            with pytest.raises(nvrclient.SessionLimitError) as e:
                await nvr.camera(1).live("h264")
            assert e.value.retry_after is not None
            assert "dropped 3 UIDs" in str(e.value)
            assert clock.time() - began <= 60
            recorder.faults.heal()

    run_simulated(scenario())


def test_row_14_information_is_asked_for_every_three_seconds_also_behind_a_login() -> None:
    """A command that waited for a login counts from when it was sent."""

    async def scenario() -> None:
        recorder = light_recorder(1)
        async with watching(recorder) as nvr:
            for _ in range(2):
                recorder.faults.forget_uids()
                await nvr.camera(1).move(pan=1)
            recorder.faults.forget_uids()
            await nvr.error_log()
            await nvr.error_log()

    run_simulated(scenario())
