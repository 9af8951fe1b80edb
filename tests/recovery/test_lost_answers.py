"""FAULTS row 12: the recorder moves a camera and its answer is lost. It is not told twice, and the caller learns that it may be done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from nvrclient import Camera, CommandError, ConnectionFailedError
from nvrclient.simulator import RESET, AnswerFault
from tests.clock import run_simulated, simulated_clock
from tests.end_to_end.test_live_video import watching
from tests.recovery.viewer import light_recorder

COMMANDS: dict[str, Callable[[Camera], Awaitable[None]]] = {
    "move": lambda camera: camera.move(pan=5, tilt=-3),
    "zoom": lambda camera: camera.move(zoom=2),
    "center": lambda camera: camera.center_on(10, 20),
    "focus": lambda camera: camera.focus("near"),
    "save preset": lambda camera: camera.save_preset(7),
    "go to preset": lambda camera: camera.goto_preset(7),
    "aux": lambda camera: camera.aux(1, "open"),
}

CONTROL = ["camctl.cgi", "directctrl.cgi"]


@pytest.mark.parametrize(
    "fault",
    [
        AnswerFault.LOST_FIN,
        AnswerFault.LOST_RST,
        AnswerFault.LOST_SILENCE,
        AnswerFault.CUT_FIN,
        AnswerFault.CUT_RST,
        AnswerFault.CUT_SILENCE,
    ],
)
@pytest.mark.parametrize("used_before", [False, True])
def test_row_12_an_answer_that_is_lost(used_before: bool, fault: AnswerFault) -> None:
    """Also where the connection had been used before, which a recorder may close at any time."""

    async def scenario() -> None:
        recorder = light_recorder()
        clock = simulated_clock()
        async with watching(recorder) as nvr:
            camera = nvr.camera(1)
            for name, command in COMMANDS.items():
                if used_before:
                    await camera.iris("open")
                    await asyncio.sleep(1)
                recorder.camera_moves[1].clear()
                incident = recorder.faults.spoil(fault, CONTROL)
                began = clock.time()
                with pytest.raises(CommandError, match="may have been") as e:
                    await command(camera)
                assert e.value.status is None
                assert clock.time() - began <= 10.1
                incident.heal()
                await asyncio.sleep(30)
                assert incident.rule is not None
                assert incident.rule.hits == 1, name
                assert len(recorder.camera_moves[1]) == fault.is_carried_out, name

    run_simulated(scenario(), debug=False)


def test_row_12_a_command_that_went_nowhere_says_so() -> None:
    """The recorder is away, and nothing could be sent: it was not done, and is not done later."""

    async def scenario() -> None:
        recorder = light_recorder()
        async with watching(recorder) as nvr:
            reboot = recorder.faults.reboot(RESET)
            await asyncio.sleep(1)
            with pytest.raises(ConnectionFailedError):
                await nvr.camera(1).move(pan=5)
            await reboot.over()
            await asyncio.sleep(60)
            assert recorder.camera_moves[1] == []
            await nvr.camera(1).move(pan=5)
            assert len(recorder.camera_moves[1]) == 1
            assert recorder.logins == 2

    run_simulated(scenario())


def test_row_12_any_command_of_the_callers() -> None:
    """What it does is not known: it goes out once."""

    async def scenario() -> None:
        recorder = light_recorder()
        async with watching(recorder) as nvr:
            lost = recorder.faults.spoil(AnswerFault.LOST_RST, "status.cgi")
            with pytest.raises(CommandError) as e:
                await nvr.command("status.cgi", {"PC": "AS60"})
            assert e.value.status is None
            assert lost.rule is not None
            assert lost.rule.hits == 1
            lost.heal()

    run_simulated(scenario())
