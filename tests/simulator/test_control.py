"""Camera control: its commands, their ranges and their pace, and what a camera was told."""

from __future__ import annotations

import asyncio

from nvrclient.simulator import CameraAction, CameraMove, Readings, SimulatedRecorder
from nvrclient.simulator.control import motion
from tests.simulator.client import Viewer, viewing, watching

AT_ONCE = Readings(control_interval=0)
HURRIED = Readings(control_interval=0.05)


async def move(viewer: Viewer, query: str) -> int:
    return await viewer.get("directctrl.cgi", f"CH=1&{query}&PC=AS60")


async def act(viewer: Viewer, query: str, camera: int = 1) -> int:
    return await viewer.get("camctl.cgi", f"CH={camera}&{query}&PC=AS60")


async def test_what_a_camera_was_told() -> None:
    async with watching(SimulatedRecorder(readings=AT_ONCE)) as viewer:
        recorder = viewer.recorder
        for query in ("PAN=15&TILT=-1&ZOOM=0", "PAN=256", "TILT=-256&ZOOM=4", "ZOOM=-4"):
            assert await move(viewer, query) == 200
        for query in (
            "CMD=CENTERING&CTRL=START&X=0&Y=32",
            "CMD=FOCUS&CTRL=NEAR&CTRL=START",
            "CMD=IRIS&CTRL=OPEN&CTRL=START",
            "CMD=PRESETPRG&NO=1",
            "CMD=PRESET&NO=256",
            "CMD=AUX1&CTRL=OPEN",
        ):
            assert await act(viewer, query) == 200
        told = recorder.camera_moves[1]
        assert [(m.pan, m.tilt, m.zoom) for m in told if isinstance(m, CameraMove)] == [
            (15, -1, 0),
            (256, None, None),
            (None, -256, 4),
            (None, None, -4),
        ]
        assert [(a.command, a.value) for a in told if isinstance(a, CameraAction)] == [
            ("CENTERING", (0, 32)),
            ("FOCUS", "NEAR"),
            ("IRIS", "OPEN"),
            ("PRESETPRG", 1),
            ("PRESET", 256),
            ("AUX1", "OPEN"),
        ]
        assert recorder.camera_moves[2] == []
        assert recorder.violations == []


WRONG = (
    ("directctrl.cgi", "PAN=257"),
    ("directctrl.cgi", "PAN=-257&TILT=0"),
    ("directctrl.cgi", "TILT=257"),
    ("directctrl.cgi", "ZOOM=5"),
    ("directctrl.cgi", "ZOOM=-5"),
    ("directctrl.cgi", "ZOOM=1&PAN=1"),
    ("directctrl.cgi", "PAN=+1"),
    ("directctrl.cgi", "PAN=01"),
    ("directctrl.cgi", "PAN=1.5"),
    ("directctrl.cgi", "PAN="),
    ("camctl.cgi", "CMD=CENTERING&CTRL=START&X=33&Y=0"),
    ("camctl.cgi", "CMD=CENTERING&CTRL=START&X=0&Y=-1"),
    ("camctl.cgi", "CMD=CENTERING&X=0&Y=0"),
    ("camctl.cgi", "CMD=FOCUS&CTRL=START&CTRL=FAR"),
    ("camctl.cgi", "CMD=FOCUS&CTRL=FAR"),
    ("camctl.cgi", "CMD=FOCUS&CTRL=OPEN&CTRL=START"),
    ("camctl.cgi", "CMD=IRIS&CTRL=AUTO&CTRL=START"),
    ("camctl.cgi", "CMD=PRESET&NO=0"),
    ("camctl.cgi", "CMD=PRESETPRG&NO=257"),
    ("camctl.cgi", "CMD=AUX9&CTRL=OPEN"),
    ("camctl.cgi", "CMD=AUX0&CTRL=OPEN"),
    ("camctl.cgi", "CMD=AUX1&CTRL=RESET"),
)


async def test_what_is_not_a_command() -> None:
    async with watching(SimulatedRecorder(readings=AT_ONCE)) as viewer:
        for cgi, query in WRONG:
            assert await viewer.get(cgi, f"CH=1&{query}&PC=AS60") == 400, query
        assert len(viewer.recorder.violations) == len(WRONG)
        assert viewer.recorder.camera_moves[1] == []


async def test_a_move_without_an_axis_is_none() -> None:
    async with watching(SimulatedRecorder()) as viewer:
        assert await viewer.get("directctrl.cgi", "CH=1&PC=AS60") == 400
        assert viewer.recorder.violations == ["pan/tilt/zoom of camera 1: no axis"]


async def test_it_wants_a_uid_set_up_for_live_and_a_camera() -> None:
    async with watching(SimulatedRecorder(readings=AT_ONCE)) as viewer:
        recorder = viewer.recorder
        assert await act(viewer, "CMD=PRESET&NO=1", camera=9) == 404
        await viewer.log_in()
        assert await move(viewer, "PAN=1") == 400
        assert "without hdrctl.cgi SCREEN=16X" in recorder.violations[0]
        assert await viewer.get("hdrctl.cgi", f"PC=AS60&MASK={'1':0<16}") == 200
        play = "PC=AS60&PLAYCMD=PLAY&2ND=OFF&TIMEF=AS60_UNKNOWN&NOTIME=ON"
        assert await viewer.get("hdrctl.cgi", play) == 200
        assert await move(viewer, "PAN=1") == 400
        assert "live and playback on one UID" in recorder.violations[1]


async def test_it_may_want_the_camera_live() -> None:
    readings = Readings(control_interval=0, control_needs_stream=True)
    async with watching(SimulatedRecorder(readings=readings)) as viewer:
        assert await move(viewer, "PAN=1") == 400
        async with viewer.live(1, "H264") as live:
            await live.parts(1)
            assert await move(viewer, "PAN=1") == 200
            assert await act(viewer, "CMD=PRESET&NO=1", camera=2) == 400
            assert await viewer.get("push.cgi", "CAM=1&CMD=STOP&COMP=H264") == 200
        assert viewer.recorder.violations == []


async def test_commands_of_one_uid_keep_apart() -> None:
    async with SimulatedRecorder(readings=HURRIED) as recorder, viewing(recorder) as viewer:
        assert await move(viewer, "PAN=1") == 200
        assert await act(viewer, "CMD=PRESET&NO=1", camera=2) == 400
        async with viewing(recorder) as other:
            assert await move(other, "PAN=1") == 200
        await asyncio.sleep(0.05)
        assert await move(viewer, "PAN=1") == 200
        assert len(recorder.violations) == 1
        assert "s after the one before on this UID" in recorder.violations[0]


async def test_how_a_camera_moves_now() -> None:
    async with watching(SimulatedRecorder(readings=AT_ONCE)) as viewer:
        recorder = viewer.recorder
        assert recorder.camera_motion(1) == (0, 0, 0)
        await move(viewer, "PAN=-3&ZOOM=1")
        assert recorder.camera_motion(1) == (-3, 0, 1)
        await act(viewer, "CMD=FOCUS&CTRL=FAR&CTRL=START")
        assert recorder.camera_motion(1) == (-3, 0, 1)
        await move(viewer, "PAN=0&TILT=0&ZOOM=0")
        assert recorder.camera_motion(1) == (0, 0, 0)


def test_a_move_ends_by_itself_after_two_seconds() -> None:
    told = [CameraMove(10, 5, None, None), CameraMove(11, None, 3, None)]
    seen = [motion(told, time) for time in (9, 10, 10.9, 11, 12.9, 13)]
    assert seen == [(0, 0, 0), (5, 0, 0), (5, 0, 0), (0, 3, 0), (0, 3, 0), (0, 0, 0)]
