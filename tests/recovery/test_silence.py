"""FAULTS rows 19 and 20: a stream that falls silent, sends nothing worth having, or whose path is dead."""

from __future__ import annotations

import asyncio

import pytest

import nvrclient
from nvrclient.simulator import Ending, PushAnswer, StreamFault
from tests.clock import run_simulated, simulated_clock
from tests.end_to_end.test_live_video import watching
from tests.recovery.viewer import GOP, all_live, light_recorder, until_live, viewing

STALL = 5.0
"""The session's `stall_timeout`."""

WAYS = ("http", "udp")


@pytest.mark.parametrize("transport", WAYS)
def test_row_19_silence_from_the_start(transport: str) -> None:
    async def scenario() -> None:
        recorder = light_recorder()
        clock = simulated_clock()
        async with watching(recorder) as nvr:
            recorder.push_answers[1] = PushAnswer.SILENT
            began = clock.time()
            async with nvr.camera(1).live("h264", transport=transport) as stream:  # type: ignore[arg-type]
                with pytest.raises(nvrclient.StreamStalledError, match="codec the camera's"):
                    await anext(stream)
            assert clock.time() - began <= STALL + 0.1
            assert recorder.streams == ()

    run_simulated(scenario())


@pytest.mark.parametrize(
    "fault", [StreamFault.SILENCE, StreamFault.BOUNDARIES, StreamFault.EMPTY_PARTS]
)
@pytest.mark.parametrize("transport", WAYS)
def test_row_19_a_stream_that_gives_nothing_any_more(transport: str, fault: StreamFault) -> None:
    """The recorder is well, and answers keep-alives: it is started anew, at once."""

    async def scenario() -> None:
        recorder = light_recorder(2)
        clock = simulated_clock()
        async with watching(recorder, keepalive=10) as nvr, viewing(nvr, 2, transport) as viewers:
            await until_live(viewers, 10)
            await asyncio.sleep(12)
            ailing, well = viewers
            keepalives = nvr.stats.keepalives
            recorder.faults.disturb(fault, 1)
            began = clock.time()
            await asyncio.sleep(10 + GOP)
            (gap,) = ailing.gaps
            assert STALL - 1 <= gap.told - began <= STALL + 1
            assert gap.back is not None
            assert gap.back - began <= 10 + GOP
            assert ailing.keyframes[-1] >= gap.back
            assert ailing.stream.stats.stalls == ailing.stream.stats.reconnects == 1
            assert (well.gaps, well.stream.stats.stalls) == ([], 0)
            assert nvr.stats.keepalives > keepalives
            assert nvr.stats.relogins == 0
            assert all_live(viewers)

    run_simulated(scenario())


@pytest.mark.parametrize("transport", WAYS)
def test_row_19_silent_again_after_each_start(transport: str) -> None:
    """It goes on as long as it lasts, and no faster than every few seconds."""

    async def scenario() -> None:
        recorder = light_recorder(1)
        clock = simulated_clock()
        async with watching(recorder) as nvr, viewing(nvr, 1, transport) as viewers:
            await until_live(viewers, 10)
            silence = recorder.faults.disturb(StreamFault.SILENCE, 1, seconds=300)
            recorder.requests.clear()
            await silence.over()
            ended = clock.time()
            stalls = viewers[0].stream.stats.stalls
            assert len(viewers[0].gaps) == 1
            assert viewers[0].stream.stats.reconnects == 1
            starts = [r.time for r in recorder.requests if ("CMD", "START") in r.params]
            assert 300 / 30 <= len(starts) <= 300 / STALL
            assert stalls in range(len(starts) - 1, len(starts) + 2)
            await until_live(viewers, STALL + 15 + GOP)
            assert clock.time() - ended <= STALL + 15 + GOP

    run_simulated(scenario(), debug=False)


@pytest.mark.parametrize("transport", WAYS)
def test_row_19_pictures_and_no_key_frame(transport: str) -> None:
    """Three GOPs without a key frame, and the stream is started anew: then one comes at once."""

    async def scenario() -> None:
        recorder = light_recorder(1)
        clock = simulated_clock()
        async with watching(recorder) as nvr, viewing(nvr, 1, transport) as viewers:
            await until_live(viewers, 10)
            await asyncio.sleep(3 * GOP)
            (viewer,) = viewers
            recorder.faults.disturb(StreamFault.NO_KEYFRAMES, 1)
            began, seen = clock.time(), len(viewer.frames)
            async with asyncio.timeout(60):
                while not viewer.gaps:
                    await asyncio.sleep(0.1)
            assert len(viewer.frames) - seen <= GOP, "pictures that nothing can be made of"
            assert viewer.gaps[0].told - began <= 4 * GOP + 1
            await until_live(viewers, 5)
            assert viewer.stream.stats.stalls == 1
            await asyncio.sleep(120)
            assert viewer.stream.stats.stalls == viewer.stream.stats.reconnects == 1
            assert clock.time() - viewer.frames[-1] < 2

    run_simulated(scenario())


# Row 20


@pytest.mark.parametrize("seconds", [7.0, 20.0, 61.0, 300.0])
def test_row_20_a_black_hole(seconds: float) -> None:
    async def scenario() -> None:
        recorder = light_recorder(16)
        clock = simulated_clock()
        async with watching(recorder) as nvr, viewing(nvr, 16) as viewers:
            await until_live(viewers, 10)
            await asyncio.sleep(20)
            hole = recorder.faults.black_hole(seconds)
            await hole.over()
            assert hole.ended is not None
            await asyncio.sleep(20)
            for viewer in viewers:
                gap = viewer.gaps[0]
                assert gap.told - hole.began <= 10
                assert len(viewer.gaps) == 1
                assert gap.back is not None
                assert gap.back - hole.ended <= 15
            assert all_live(viewers)
            assert nvr.stats.relogins == (1 if seconds > 90 else 0)
            assert clock.time() - max(viewer.frames[-1] for viewer in viewers) < 2

    run_simulated(scenario(), debug=False)


@pytest.mark.parametrize("answered", [False, True])
def test_row_20_silence_before_the_answer_to_start(*, answered: bool) -> None:
    """Over UDP pictures may come before START is answered: told as soon as they stop, whatever becomes of START."""

    async def scenario() -> None:
        recorder = light_recorder()
        clock = simulated_clock()
        async with watching(recorder) as nvr, viewing(nvr, 1, "udp") as [viewer]:
            await until_live([viewer], 10)
            await asyncio.sleep(10)
            recorder.faults.slow_starts(9.0, seconds=15)
            recorder.faults.forget_uids()
            async with asyncio.timeout(60):
                while len(viewer.gaps) < 1 or viewer.is_out:
                    await asyncio.sleep(0.1)
            began = clock.time()
            if answered:
                recorder.faults.disturb(StreamFault.SILENCE)
            else:
                recorder.faults.black_hole(30)
            await asyncio.sleep(6.5)
            assert len(viewer.gaps) == 2
            assert viewer.is_out
            assert viewer.gaps[1].told - began <= 6
            assert viewer.stream.state == "reconnecting"
            await until_live([viewer], 60)
            assert len(viewer.gaps) == viewer.stream.stats.reconnects == 2

    run_simulated(scenario())


def test_row_20_commands_in_a_black_hole_end_in_time() -> None:
    async def scenario() -> None:
        recorder = light_recorder(1)
        clock = simulated_clock()
        async with watching(recorder) as nvr:
            hole = recorder.faults.black_hole()
            began = clock.time()
            with pytest.raises(nvrclient.ConnectionFailedError):
                await nvr.disks()
            assert clock.time() - began <= 10.1
            began = clock.time()
            with pytest.raises(nvrclient.ConnectionFailedError):
                await nvr.camera(1).live("h264")
            assert clock.time() - began <= 20.1
            hole.heal()
            async with nvr.camera(1).live("h264") as stream:
                await anext(stream)

    run_simulated(scenario())


def test_row_20_half_open_connections() -> None:
    """The recorder has forgotten its connections and says nothing; datagrams go on."""

    async def scenario() -> None:
        recorder = light_recorder(4)
        async with watching(recorder) as nvr, viewing(nvr, 4) as viewers:
            await until_live(viewers, 10)
            dropped = recorder.faults.drop_connections(Ending.SILENCE)
            await asyncio.sleep(6 + 15)
            for viewer in viewers:
                if viewer.camera % 2:
                    assert viewer.gaps == []
                else:
                    assert [gap.told - dropped.began <= 10 for gap in viewer.gaps] == [True]
            assert all_live(viewers)
            assert nvr.stats.relogins == 0

    run_simulated(scenario())
