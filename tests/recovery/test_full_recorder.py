"""FAULTS row 15: sixteen UIDs are in use, by others or by ourselves who died."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

import nvrclient
from nvrclient.simulator import SimulatedRecorder
from tests.clock import run_simulated, simulated_clock
from tests.end_to_end.test_live_video import watching
from tests.recovery.viewer import connect, light_recorder, until_live, viewing

IN_USE = 15.0
"""Seconds after a UID is free within which a stream that waits for one runs."""


def full_recorder(cameras: int = 1) -> SimulatedRecorder:
    """Make a recorder that answers a login beyond sixteen UIDs 503."""
    recorder = light_recorder(cameras)
    recorder._logins.readings = replace(recorder.readings, full_is_busy=True)
    return recorder


def asked_at(recorder: SimulatedRecorder) -> list[float]:
    """Return when logins with a credential were answered."""
    return [
        request.time
        for request in recorder.requests
        if request.cgi == "dlogin.cgi" and request.status in {200, 503}
    ]


def test_row_15_the_caller_is_told_when() -> None:
    async def scenario() -> None:
        recorder = full_recorder()
        async with recorder, AsyncExitStack() as others:
            for _ in range(16):
                await others.enter_async_context(connect(recorder))
            with pytest.raises(nvrclient.SessionLimitError, match="16 UIDs") as e:
                await connect(recorder)
            assert e.value.retry_after is not None
            assert 5.0 <= e.value.retry_after <= 90.0
            assert len(recorder.uids) == 16, "none of the others' was taken"

    run_simulated(scenario())


def test_row_15_streams_wait_for_a_uid_and_ask_seldom() -> None:
    """A running session loses its UID, and others have taken all sixteen before it is back."""

    async def scenario() -> None:
        recorder = full_recorder(4)
        clock = simulated_clock()
        async with watching(recorder) as nvr, viewing(nvr, 4) as viewers:
            await until_live(viewers, 10)
            async with AsyncExitStack() as others:
                for _ in range(15):
                    await others.enter_async_context(connect(recorder))
                latest = await connect(recorder) if len(recorder.uids) < 16 else None
                assert latest is None
                recorder.faults.forget_uid(recorder.uids[0])
                await others.enter_async_context(connect(recorder))
                recorder.requests.clear()
                began = clock.time()
                await asyncio.sleep(300)
                assert all(viewer.is_out for viewer in viewers)
                asked = [time - began for time in asked_at(recorder)]
                assert len(asked) >= 300 / 15
                waits = [after - before for before, after in zip(asked, asked[1:], strict=False)]
                assert 4.0 <= waits[0] <= 5.1
                assert 8.0 <= waits[1] <= 10.1
                assert all(12.0 <= wait <= 15.1 for wait in waits[2:])
                assert len(set(waits[2:])) > 3, "no jitter"
                assert nvr.stats.logins == 1
                recorder.faults.forget_uid(recorder.uids[0])
                free = clock.time()
                await until_live(viewers, IN_USE)
                assert clock.time() - free <= IN_USE
                assert len(recorder.uids) == 16

    run_simulated(scenario(), debug=False)


def test_row_15_after_a_client_that_died_with_all_of_them() -> None:
    """It cannot log out; 90 s later the recorder has forgotten its UIDs."""

    async def scenario() -> None:
        recorder = full_recorder(2)
        clock = simulated_clock()
        async with recorder:
            dead = await connect(recorder, max_uids=16)
            streams = [await dead.camera(1).live("h264", shared=False) for _ in range(16)]
            assert len(recorder.uids) == 16
            hole = recorder.faults.black_hole()
            await dead.aclose()
            assert {stream.state for stream in streams} == {"closed"}
            hole.heal()
            died = clock.time()
            nvr: nvrclient.Session | None = None
            while nvr is None:
                try:
                    nvr = await connect(recorder)
                except nvrclient.SessionLimitError as full:
                    await asyncio.sleep(full.retry_after)
            async with viewing(nvr, 2) as viewers:
                await until_live(viewers, 10)
                assert clock.time() - died <= 105.0
            await nvr.aclose()
        assert recorder.violations == []

    run_simulated(scenario(), debug=False)


def test_row_15_never_more_than_sixteen_after_a_black_hole() -> None:
    """UIDs that could not be given back are counted as long as the recorder may hold them: it would take one of ours."""

    async def scenario() -> None:
        recorder = light_recorder(16)
        clock = simulated_clock()
        async with watching(recorder, max_uids=16, stall_timeout=3.0) as nvr:
            kept = await nvr.camera(1).live("h264")
            more = [await nvr.camera(1).live("h264", shared=False) for _ in range(15)]
            assert len(recorder.uids) == 16
            hole = recorder.faults.black_hole()
            await asyncio.gather(*[stream.aclose() for stream in more])
            await asyncio.sleep(15)  # the logouts are not answered
            hole.heal()
            lost = clock.time()
            async with asyncio.timeout(20):
                while kept.state != "live":
                    await asyncio.sleep(0.1)
            tries = 0
            while True:
                try:
                    again = await nvr.camera(1).live("h264", shared=False)
                    break
                except nvrclient.SessionLimitError as full:
                    tries += 1
                    assert len(recorder.uids) <= 16
                    await asyncio.sleep(full.retry_after)
            assert 1 <= tries <= 2
            assert clock.time() - lost <= 90.0
            assert nvr.stats.uids_lost == 0, "it took one of its own"
            assert kept.stats.reconnects == 1
            await again.aclose()
            await kept.aclose()

    run_simulated(scenario(), debug=False)
