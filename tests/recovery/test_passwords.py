"""FAULTS row 1 in a session that runs: the password changes, and one wrong credential goes out, ever."""

from __future__ import annotations

import asyncio

import pytest

import nvrclient
from nvrclient.simulator import AnswerFault
from tests.clock import run_simulated
from tests.end_to_end.test_live_video import watching
from tests.recovery.viewer import light_recorder, until_live, viewing
from tests.secrets import PASSWORD


@pytest.mark.parametrize("how", ["UIDs are forgotten", "they die at a keep-alive", "it reboots"])
def test_row_1_the_password_changes_under_sixteen_streams(how: str) -> None:
    async def scenario() -> None:
        recorder = light_recorder(16)
        async with watching(recorder) as nvr, viewing(nvr, 16) as viewers:
            await until_live(viewers, 10)
            recorder.password = "another"
            await asyncio.sleep(130)
            assert all(not viewer.gaps for viewer in viewers), "UIDs live on"
            if how == "UIDs are forgotten":
                recorder.faults.forget_uids()
            elif how == "it reboots":
                await recorder.faults.reboot().over()
            else:
                recorder.faults.spoil(AnswerFault.UID_LOST, "status.cgi", count=1)
            await asyncio.sleep(120)
            for viewer in viewers:
                assert isinstance(viewer.error, nvrclient.AuthenticationError)
                assert viewer.stream.state == "closed"
            for _ in range(3):
                with pytest.raises(nvrclient.AuthenticationError):
                    await nvr.error_log()
                with pytest.raises(nvrclient.AuthenticationError):
                    await nvr.camera(1).live("h264")
                with pytest.raises(nvrclient.AuthenticationError):
                    await nvr.camera(1).move(pan=1)
                await asyncio.sleep(3600)
            assert recorder.wrong_credentials == 1
            assert nvr.stats.credentials_sent == 2
            recorder.password = PASSWORD
            with pytest.raises(nvrclient.AuthenticationError):
                await nvr.error_log()
            assert recorder.credentials == 2, "until the caller opens a new session"

    run_simulated(scenario(), debug=False)


def test_row_1_a_locked_account() -> None:
    """The recorder refuses for a while what is right: that too is asked once."""

    async def scenario() -> None:
        recorder = light_recorder(4)
        async with watching(recorder) as nvr, viewing(nvr, 4) as viewers:
            await until_live(viewers, 10)
            seen = recorder.credentials
            recorder.faults.lock_account(60)
            recorder.faults.forget_uids()
            await asyncio.sleep(600)
            assert {type(viewer.error) for viewer in viewers} == {nvrclient.AuthenticationError}
            assert recorder.credentials == seen + 1

    run_simulated(scenario(), debug=False)
