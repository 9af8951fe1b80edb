"""`ptz`, `logs` and `disks` against a simulated recorder."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator

import pytest

from nvrclient.cli.tables import printable
from nvrclient.simulator import (
    CameraAction,
    CameraMove,
    DiskSlot,
    LoggedEntry,
    Readings,
    SimulatedRecorder,
)
from tests.cli.programs import PATIENCE, Ended, interrupt, run_inside, started
from tests.secrets import PASSWORD, secrets_in


@pytest.fixture
async def recorder() -> AsyncIterator[SimulatedRecorder]:
    async with SimulatedRecorder(password=PASSWORD) as simulated:
        yield simulated
        assert simulated.violations == []
        await asyncio.sleep(0.05)
        assert [*simulated.streams, *simulated.uids] == []


async def ask(recorder: SimulatedRecorder, *arguments: str) -> Ended:
    """Run a command in a thread of this process: starting a process takes longer than all the rest."""
    ended = await asyncio.to_thread(
        run_inside,
        *arguments,
        NVR_URL=recorder.url,
        NVR_USERNAME=recorder.username,
        NVR_PASSWORD=recorder.password,
        COLUMNS="120",
    )
    assert not secrets_in(ended.out + ended.err)
    return ended


async def test_ptz(recorder: SimulatedRecorder) -> None:
    told = {
        "move --pan -5 --zoom 4": (-5, None, 4),
        "move --tilt 256 --steps 256": (None, 256, None),
        "stop": (0, 0, 0),
        "center 5 30": ("CENTERING", (5, 30)),
        "center 5 30 --mirror": ("CENTERING", (27, 30)),
        "focus near": ("FOCUS", "NEAR"),
        "iris reset": ("IRIS", "RESET"),
        "preset save 256": ("PRESETPRG", 256),
        "preset goto 1": ("PRESET", 1),
        "aux 8 close": ("AUX8", "CLOSE"),
    }
    for arguments in told:
        ended = await ask(recorder, "ptz", "2", *arguments.split())
        assert (ended.code, ended.out, ended.err) == (0, "", "")
    moves = [
        (move.command, move.value)
        if isinstance(move, CameraAction)
        else (move.pan, move.tilt, move.zoom)
        for move in recorder.camera_moves[2]
    ]
    assert moves == list(told.values())


async def test_ptz_holds_a_move(recorder: SimulatedRecorder) -> None:
    assert (await ask(recorder, "ptz", "1", "move", "--pan", "5", "--for", "1.3")).code == 0
    moves = recorder.camera_moves[1]
    assert [move.pan for move in moves if isinstance(move, CameraMove)] == [5, 5, 0]


async def test_ctrl_c_stops_a_held_move(recorder: SimulatedRecorder) -> None:
    def use() -> Ended:
        options = ("move", "--pan", "5", "--for", "60")
        access = {
            "NVR_URL": recorder.url,
            "NVR_USERNAME": recorder.username,
            "NVR_PASSWORD": recorder.password,
        }
        with started("ptz", "1", *options, **access) as process:
            moving.wait(PATIENCE)
            ended, seconds = interrupt(process)
            assert seconds < 3
            return ended

    moving = threading.Event()
    program = asyncio.create_task(asyncio.to_thread(use))
    while not recorder.camera_moves[1]:
        await asyncio.sleep(0.02)
    moving.set()
    ended = await program
    assert ended.code == 130
    assert ended.err == ""
    last = recorder.camera_moves[1][-1]
    assert isinstance(last, CameraMove)
    assert (last.pan, last.tilt, last.zoom) == (0, 0, 0)


async def test_ptz_usage(recorder: SimulatedRecorder) -> None:
    messages = {
        "move": "give pan, tilt or zoom",
        "move --pan 17": "pan: -16…16, not 17",
        "move --pan 1 --steps 8": "steps: 16 or 256, not 8",
        "move 5": "usage: nvrclient ptz 1 move --pan 5",
        "center 5": "usage: nvrclient ptz 1 center X Y",
        "center 5 x": "'x' is no whole number",
        "focus closer": 'focus: one of "near", "far", "auto"',
        "preset 5": "usage: nvrclient ptz 1 preset save|goto NUMBER",
        "preset save 0": "preset: 1…256, not 0",
        "aux 9 open": "aux: 1…8, not 9",
    }
    for arguments, message in messages.items():
        ended = await ask(recorder, "ptz", "1", *arguments.split())
        assert ended.code == 2
        assert ended.err.startswith("nvrclient: ")
        assert message in ended.err
    assert recorder.camera_moves[1] == []


async def test_ptz_refused(recorder: SimulatedRecorder) -> None:
    ended = await ask(recorder, "ptz", "9", "stop")
    assert ended.code == 7
    assert "directctrl.cgi CH=9" in ended.err


async def test_logs(recorder: SimulatedRecorder) -> None:
    recorder.error_log.append(
        LoggedEntry(3, "2030/01/02 03:04:05", "[red]\x1b[31m \u202e", "GMT-03:30")
    )
    shown = (await ask(recorder, "logs")).out
    rows = [re.split(r"\s{2,}", line.strip()) for line in shown.splitlines() if ":" in line]
    assert [row[0] for row in rows] == [
        "2021-11-14 14:10:00 UTC+03:00",
        "2021-11-14 14:48:00 UTC+03:00",
        "2024-04-24 11:45:00 UTC+09:00",
        "2024-04-24 12:30:00 UTC+09:00",
        "2030-01-02 03:04:05 UTC-03:30",
    ]
    assert (
        "error      001   CAM 3 COMMUNICATION ERROR" in re.sub(" +", lambda m: m[0], shown)
        or "001" in shown
    )
    assert "\x1b" not in shown
    assert r"[red]\x1b[31m \u202e" in shown


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ((), ["error 1", "error 2", "event 2", "event 1"]),
        (("--errors",), ["error 1", "error 2"]),
        (("--events",), ["event 2", "event 1"]),
    ],
)
async def test_logs_json(
    recorder: SimulatedRecorder, options: tuple[str, ...], wanted: list[str]
) -> None:
    ended = await ask(recorder, "logs", "--json", *options)
    entries = [json.loads(line) for line in ended.out.splitlines()]
    assert [f"{one['log']} {one['number']}" for one in entries] == wanted
    if "--events" not in options:
        assert entries[0] == {
            "log": "error",
            "number": 1,
            "time": "2021-11-14T14:10:00+03:00",
            "local_time": "2021-11-14T14:10:00",
            "summer_time": False,
            "kind": "CAM 3 COMMUNICATION ERROR",
        }


async def test_disks() -> None:
    readings = Readings(information_interval=0.0)
    async with SimulatedRecorder(password=PASSWORD, readings=readings) as recorder:
        shown = (await ask(recorder, "disks")).out
        everything = (await ask(recorder, "disks", "--all")).out
    assert re.search(r"MAIN-1 +4001 +1529 +R +2021-11-14 13:00:00 +2021-12-24 15:30:12", shown)
    assert re.search(r"MAIN-4 +4001 +3710", shown)
    assert "MAIN-5" not in shown
    assert "EXT5-9" in everything


async def test_disks_json(recorder: SimulatedRecorder) -> None:
    recorder.disks[1] = DiskSlot("MAIN-2", 10, 5, "(R)(X)")
    disks = [json.loads(line) for line in (await ask(recorder, "disks", "--json")).out.splitlines()]
    assert len(disks) == 54
    assert disks[0] == {
        "name": "MAIN-1",
        "capacity_gb": 4001,
        "remaining_gb": 1529,
        "flags": ["R"],
        "recorded_from": "2021-11-14T13:00:00",
        "recorded_to": "2021-12-24T15:30:12",
    }
    assert disks[1]["flags"] == ["R", "X"]
    assert disks[-1]["capacity_gb"] is None


def test_printable() -> None:
    assert printable("CAM 3 \u00e9 \u30ab") == "CAM 3 \u00e9 \u30ab"
    assert printable("\n\x1b\u202e\U000e0001") == r"\n\x1b\u202e\U000e0001"
