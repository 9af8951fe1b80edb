"""FAULTS rows 24 and 25, and UDP that never arrives: how streams are started."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import suppress
from itertools import pairwise

import pytest

import nvrclient
from nvrclient.simulator import AnswerFault, SimulatedRecorder
from tests.clock import run_simulated, simulated_clock
from tests.end_to_end.test_live_video import watching
from tests.recovery.viewer import light_recorder, until_live, viewing


def sent(recorder: SimulatedRecorder, cmd: str) -> list[float]:
    """Return when this CMD of push.cgi was answered."""
    return [request.time for request in recorder.requests if ("CMD", cmd) in request.params]


@pytest.mark.parametrize("transport", ["http", "udp"])
@pytest.mark.parametrize("refusals", [1, 4])
def test_row_24_refused_for_now_and_then_accepted(refusals: int, transport: str) -> None:
    async def scenario() -> None:
        recorder = light_recorder()
        clock = simulated_clock()
        async with watching(recorder) as nvr:
            recorder.faults.refuse_starts(204, count=refusals)
            began = clock.time()
            async with nvr.camera(1).live("h264", transport=transport) as stream:  # type: ignore[arg-type]
                await anext(stream)
                starts = sent(recorder, "START")
                assert len(starts) == refusals + 1
                assert all(2.999 < after - before <= 8.1 for before, after in pairwise(starts))
                assert clock.time() - began <= 8.1 * refusals + 1

    run_simulated(scenario())


@pytest.mark.parametrize("transport", ["http", "udp"])
def test_row_24_refused_when_it_comes_back(transport: str) -> None:
    """A stream that ran is not given up, however often START is refused: it waits longer from five tries to five tries."""

    async def scenario() -> None:
        recorder = light_recorder()
        async with watching(recorder) as nvr, viewing(nvr, 1, transport) as viewers:
            await until_live(viewers, 10)
            refusal = recorder.faults.refuse_starts(204, count=None)
            recorder.requests.clear()
            recorder.faults.forget_uids()
            await asyncio.sleep(300)
            starts = sent(recorder, "START")
            assert 300 / 8.1 / 2 <= len(starts) <= 300 / 3
            assert min(after - before for before, after in pairwise(starts)) > 2.999, starts
            refusal.heal()
            await until_live(viewers, 20)
            assert len(viewers[0].gaps) == 1

    run_simulated(scenario())


def test_row_24_a_hundred_starts_and_stops_in_a_second() -> None:
    """Whoever opens and closes a stream a hundred times in a second costs the recorder four requests at most."""

    async def scenario() -> None:
        recorder = light_recorder()
        clock = simulated_clock()
        async with watching(recorder) as nvr:
            await nvr.camera(1).live("h264", shared=False).aclose()
            recorder.requests.clear()
            began = clock.time()

            async def churn() -> None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.01), nvr.camera(1).live("h264"):
                        pass

            for number in range(100):
                await churn()
                await asyncio.sleep(max(0.0, began + (number + 1) * 0.01 - clock.time()))
            assert clock.time() - began <= 1.1
            assert len(recorder.requests) <= 4
            await asyncio.sleep(10)
            starts, stops = sent(recorder, "START"), sent(recorder, "STOP")
            assert recorder.streams == ()
            assert all(start - stop >= 2.0 for stop in stops for start in starts if start > stop)
            async with nvr.camera(1).live("h264") as stream:
                await anext(stream)

    run_simulated(scenario())


def test_row_24_a_hundred_that_come_and_go_share_one() -> None:
    async def scenario() -> None:
        recorder = light_recorder()
        clock = simulated_clock()
        async with watching(recorder) as nvr:
            began = clock.time()

            async def come_and_go(number: int) -> None:
                await asyncio.sleep(number / 100)
                async with nvr.camera(1).live("h264"):
                    await asyncio.sleep(0.05)

            await asyncio.gather(*[come_and_go(number) for number in range(100)])
            push = [request for request in recorder.requests if request.cgi == "push.cgi"]
            assert clock.time() - began <= 1.2
            assert len(push) == 2, "one START, one STOP"

    run_simulated(scenario())


def test_row_24_starts_three_seconds_apart_also_where_they_wait_for_each_other() -> None:
    """No more than four are in flight: one that waited for that, and was refused, is not sent again sooner."""

    async def scenario() -> None:
        recorder = light_recorder(16)
        async with watching(recorder) as nvr, viewing(nvr, 16) as viewers:
            await until_live(viewers, 10)
            for camera in range(1, 17):
                if camera % 4:
                    recorder.faults.slow_starts(4.0, camera)
                else:
                    recorder.faults.refuse_starts(204, camera, count=3)
            recorder.requests.clear()
            recorder.faults.forget_uids()
            await asyncio.sleep(90)
            starts = defaultdict(list)
            for request in recorder.requests:
                if ("CMD", "START") in request.params and request.fault is AnswerFault.STATUS:
                    starts[dict(request.params)["CAM"]].append(request.time)
            assert len(starts) == 4
            assert min(b - a for times in starts.values() for a, b in pairwise(times)) > 2.999
            recorder.faults.heal()
            await until_live(viewers, 60)

    run_simulated(scenario(), debug=False)


@pytest.mark.parametrize("tls", [True, False])
def test_row_7_a_start_that_never_went_out_is_not_stopped(tls: bool) -> None:
    """No connection was made for it: there is nothing to STOP (the simulated recorder notes one as a broken rule)."""

    async def scenario() -> None:
        recorder = light_recorder(1, tls=tls)
        clock = simulated_clock()
        async with watching(recorder) as nvr:
            stalled = recorder.faults.stall_connections() if tls else None
            if not tls:
                recorder._server.refuse()
            began = clock.time()
            with pytest.raises(nvrclient.ConnectionFailedError):
                await nvr.camera(1).live("h264")
            assert clock.time() - began <= 10.1
            if stalled is not None:
                stalled.heal()
            else:
                await recorder._server.accept_again()
            async with nvr.camera(1).live("h264") as stream:
                await anext(stream)

    run_simulated(scenario())


@pytest.mark.parametrize("transport", ["http", "udp", "mixed"])
def test_row_25_64_streams_that_fail_together(transport: str) -> None:
    async def scenario() -> None:
        recorder = light_recorder(64)
        clock = simulated_clock()
        async with watching(recorder) as nvr, viewing(nvr, 64, transport) as viewers:
            await until_live(viewers, 30)
            await asyncio.sleep(6)
            assert len(recorder.uids) == 4
            recorder.faults.slow_starts(1.0)
            recorder.requests.clear()
            recorder.faults.forget_uids()
            began = clock.time()
            await asyncio.sleep(6)
            await until_live(viewers, 40)
            told = max(viewer.gaps[-1].told for viewer in viewers)
            assert told - began <= 6.0
            assert clock.time() - told <= 30.0
            assert 2 <= recorder.max_starts_seen <= 4
            assert len(sent(recorder, "START")) == 64
            assert recorder.logins == 8
            assert nvr.stats.relogins == 4
            assert len(recorder.uids) == 4
            order = [
                int(dict(request.params)["CAM"])
                for request in recorder.requests
                if request.cgi == "push.cgi"
            ]
            assert order != sorted(order), "no jitter"

    run_simulated(scenario(), debug=False)


# UDP that never arrives


def test_udp_that_never_arrives() -> None:
    """ "auto" turns to HTTP within `stall_timeout` and says why; it stays there."""

    async def scenario() -> None:
        recorder = light_recorder()
        clock = simulated_clock()
        async with watching(recorder) as nvr:
            firewall = recorder.faults.block_udp()
            began = clock.time()
            async with nvr.camera(1).live("h264", transport="auto") as stream:
                await anext(stream)
                assert clock.time() - began <= 5.0 + 1.0
                assert stream.stats.transport == "http"
                assert "over UDP" in (stream.stats.fallback or "")
                assert "firewall" in (stream.stats.fallback or "")
                firewall.heal()
                recorder.faults.drop_connections()
                await asyncio.sleep(10)
                assert stream.state == "live"
                assert stream.stats.transport == "http"
            with_udp = nvr.camera(1).live("h264", transport="udp")
            async with with_udp as stream:
                await anext(stream)

    run_simulated(scenario())


def test_udp_that_does_not_arrive_any_more() -> None:
    """A stream that ran over UDP comes back over UDP."""

    async def scenario() -> None:
        recorder = light_recorder()
        async with watching(recorder) as nvr:
            async with nvr.camera(1).live("h264", transport="udp") as stream:
                await anext(stream)
                await recorder.faults.block_udp(60).over()
                async with asyncio.timeout(20):
                    while stream.state != "live":
                        await anext(stream)
                assert stream.stats.transport == "udp"
                assert stream.stats.stalls >= 1
                assert stream.stats.reconnects == 1

    run_simulated(scenario())


def test_row_25_starts_that_a_caller_waits_for_are_not_held_up() -> None:
    """Streams that come back do not stand in the way of one that is opened."""

    async def scenario() -> None:
        recorder = light_recorder(17)
        clock = simulated_clock()
        async with watching(recorder) as nvr, viewing(nvr, 16) as viewers:
            await until_live(viewers, 10)
            recorder.faults.slow_starts(2.0)
            recorder.faults.forget_uids()
            async with asyncio.timeout(10):
                while not any(viewer.is_out for viewer in viewers):
                    await asyncio.sleep(0.1)
            began = clock.time()
            async with nvr.camera(17).live("h264") as stream:
                await anext(stream)
                assert clock.time() - began <= 4.0
            with pytest.raises(nvrclient.CommandError):
                await nvr.camera(18).live("h264")

    run_simulated(scenario(), debug=False)
