"""Row 76: sixty-four cameras of 4 Mbit/s each, half over UDP and half over HTTP.

On the simulated clock, where the machine is never too slow: what is lost or late here, the library has lost or held
back. What it costs is measured by ``python -m benchmarks cameras`` (``--seconds 150`` for the row's ten minutes).
"""

from __future__ import annotations

import asyncio

import nvrclient
from benchmarks.measurement import peak_memory
from nvrclient import Session, VideoFrame
from nvrclient.simulator import CameraSetup, Clip, Readings, SimulatedRecorder
from tests.clock import run_simulated, simulated_clock
from tests.secrets import PASSWORD

CAMERAS = 64
BIT_RATE = 4_000_000
SECONDS = 3.0
MAX_LATE = 0.05
MAX_GROWTH = 256.0  # MiB


async def watch(nvr: Session, number: int, pictures: dict[bytes, int]) -> list[float]:
    """Look at every picture for some seconds; return when each came, less its time in the stream."""
    clock = simulated_clock()
    times: list[float] = []
    last: int | None = None
    async with nvr.camera(number).live("h264", transport="udp" if number % 2 else "http") as stream:
        until = clock.time() + SECONDS
        async for item in stream:
            assert isinstance(item, VideoFrame), item
            place = pictures[item.data]
            assert last is None or place == (last + 1) % len(pictures)
            last = place
            times.append(clock.time() - item.pts / item.clock_rate)
            if clock.time() >= until:
                break
        stats = stream.stats
        assert stats.lost == 0
        assert not stats.kernel_dropped
        assert not stats.dropped
    return times


def test_row_76_nothing_is_lost_or_held_back() -> None:
    large = Clip.load("h264_large")
    clip = Clip.video("h264", large.units, BIT_RATE / 8 * len(large) / sum(map(len, large.units)))
    pictures = {data: place for place, data in enumerate(clip.annex_b)}

    async def scenario() -> list[list[float]]:
        recorder = SimulatedRecorder(
            cameras={number: CameraSetup(clip) for number in range(1, CAMERAS + 1)},
            password=PASSWORD,
            readings=Readings(packet_size=1400),
            clock=simulated_clock().wall,
        )
        async with recorder, nvrclient.connect(recorder.url, "ADMIN", PASSWORD) as nvr:
            watching = [watch(nvr, number, pictures) for number in range(1, CAMERAS + 1)]
            watched = await asyncio.gather(*watching)
            assert nvr.stats.logins == CAMERAS / 16
        began = {
            int(value): request.time
            for request in recorder.requests
            if ("CMD", "START") in request.params
            for name, value in request.params
            if name == "CAM"
        }
        return [[time - began[number] for time in times] for number, times in enumerate(watched, 1)]

    before = peak_memory(reset=True)
    all_late = run_simulated(scenario(), debug=False)
    assert peak_memory() - before <= MAX_GROWTH
    for late in all_late:
        assert len(late) >= clip.fps * SECONDS * 0.9
        late.sort()
        assert late[0] > -0.001, "before it was sent: the times are not what they seem"
        assert late[len(late) // 2] <= 0.005, (
            "a picture is given when it is whole, not with the next one"
        )
        assert late[int(0.99 * len(late))] <= MAX_LATE
