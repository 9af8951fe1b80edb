"""What may share a UID, and what gets one of its own (docs/faults.md, row 17): against a recorder that notes every broken rule.

The long form tries a thousand times as many orders:
NVRCLIENT_LONG=1 python -m pytest -n0 tests/faults/test_uid_rules.py --timeout 3600
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import nvrclient
from nvrclient import LiveStream, Playback
from nvrclient.simulator import Readings, SimulatedRecorder, light_cameras
from tests.clock import run_simulated, simulated_clock
from tests.secrets import PASSWORD

LONG = bool(os.environ.get("NVRCLIENT_LONG"))

STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("live"), st.integers(1, 3), st.booleans(), st.sampled_from(["http", "udp"])
        ),
        st.tuples(st.just("play"), st.integers(1, 3)),
        st.tuples(st.just("close"), st.integers(0, 20)),
        st.tuples(st.just("move"), st.integers(1, 3)),
        st.tuples(st.just("wait"), st.sampled_from([0, 1, 61, 100])),
        st.tuples(st.just("together")),  # the next three at once
    ),
    max_size=14,
)


async def play_steps(steps: list[tuple[Any, ...]], max_uids: int) -> None:
    """Do it all, and look at the recorder's table after each step."""
    recorder = SimulatedRecorder(
        cameras=light_cameras(3),
        password=PASSWORD,
        readings=Readings(packet_size=700),
        clock=simulated_clock().wall,
    )
    held: list[LiveStream | Playback] = []

    async def step(kind: str, *how: Any) -> None:
        try:
            if kind == "live":
                camera, shared, transport = how
                stream = nvr.camera(camera).live(shared=shared, transport=transport)
                held.append(await stream)
                assert isinstance(await anext(stream), nvrclient.VideoFrame)
            elif kind == "play":
                playback = nvr.camera(how[0]).playback()
                held.append(await playback)
            elif kind == "close" and held:
                await held.pop(how[0] % len(held)).aclose()
            elif kind == "move":
                await nvr.camera(how[0]).move(pan=1)
            elif kind == "wait":
                await asyncio.sleep(how[0])
        except nvrclient.SessionLimitError:
            assert len(recorder.uids) <= max_uids  # told, and nothing was sent that may not be

    async with recorder:
        session = nvrclient.connect(recorder.url, "ADMIN", PASSWORD, max_uids=max_uids)
        async with session as nvr:
            at = 0
            while at < len(steps):
                count = 4 if steps[at][0] == "together" else 1
                await asyncio.gather(*(step(*one) for one in steps[at : at + count]))
                at += count
                judge(recorder, max_uids)
            for one in held:
                await one.aclose()
        await asyncio.sleep(1)
        assert recorder.uids == ()
        assert recorder.violations == []
        assert recorder.wrong_credentials == 0


def judge(recorder: SimulatedRecorder, max_uids: int) -> None:
    """Section 1.3: a camera once a UID, live and playback apart, no more UIDs than allowed."""
    assert recorder.violations == []
    assert len(recorder.uids) <= max_uids
    for uid in recorder.uids:
        video = [stream.camera for stream in uid.streams if not stream.is_audio]
        assert len(video) == len(set(video)) <= 16


def test_row_17_in_any_order_no_rule_is_broken() -> None:
    @settings(
        max_examples=20_000 if LONG else 20,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(STEPS, st.sampled_from([2, 3, 8]))
    @example([("live", 1, True, "http"), ("play", 1), ("live", 1, False, "udp"), ("move", 1)], 8)
    @example(
        [("together",), ("live", 1, False, "http"), ("live", 1, False, "http"), ("play", 1)], 3
    )
    def any_order(steps: list[tuple[Any, ...]], max_uids: int) -> None:
        run_simulated(play_steps(steps, max_uids), debug=False)

    any_order()


def test_row_17_live_and_playback_of_one_camera_have_uids_of_their_own() -> None:
    """And a second stream of it; a shared one hangs on the first."""

    async def scenario() -> None:
        recorder = SimulatedRecorder(cameras=1, password=PASSWORD, clock=simulated_clock().wall)
        async with recorder, nvrclient.connect(recorder.url, "ADMIN", PASSWORD) as nvr:
            camera = nvr.camera(1)
            async with camera.live("h264") as one, camera.live("h264") as shared:
                assert (len(recorder.uids), len(recorder.streams)) == (1, 1)
                async with camera.playback() as playback, camera.live("h264", shared=False) as own:
                    for stream in (one, shared, own, playback):
                        assert await anext(stream)
                    assert len(recorder.uids) == 3
                    assert sorted(len(uid.streams) for uid in recorder.uids) == [0, 1, 1]
            assert recorder.violations == []

    run_simulated(scenario(), debug=False)
