"""Camera control, logs and disks against the simulated recorder, which keeps the rules of chapters 1, 4 and 5."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import nvrclient
from nvrclient import CommandError, Session
from nvrclient.simulator import (
    CameraMove,
    DiskSlot,
    ListReadings,
    LoggedEntry,
    Readings,
    SimulatedRecorder,
)
from tests.clock import run_simulated
from tests.secrets import PASSWORD


def with_recorder(
    use: Callable[[SimulatedRecorder, Session], Awaitable[None]],
    *,
    readings: Readings | None = None,
    zone: ZoneInfo | None = None,
) -> None:
    """Run `use` on the simulated clock; no rule was broken and nothing is left in the end."""

    async def main() -> None:
        async with SimulatedRecorder(
            password=PASSWORD, readings=readings or Readings()
        ) as recorder:
            async with nvrclient.connect(recorder.url, "ADMIN", PASSWORD, timezone=zone) as nvr:
                await use(recorder, nvr)
            assert recorder.violations == []
            assert recorder.uids == ()

    run_simulated(main())


def pans(recorder: SimulatedRecorder, camera: int) -> list[int | None]:
    return [move.pan for move in recorder.camera_moves[camera] if isinstance(move, CameraMove)]


@pytest.mark.parametrize("needs_stream", [False, True])
def test_a_held_move_never_stands_still(needs_stream: bool) -> None:
    async def use(recorder: SimulatedRecorder, nvr: Session) -> None:
        async with nvr.camera(1).moving(pan=-7, zoom=2):
            for _ in range(60):
                await asyncio.sleep(0.25)
                assert recorder.camera_motion(1) == (-7, 0, 2)
        assert recorder.camera_motion(1) == (0, 0, 0)
        assert pans(recorder, 1)[-1] == 0

    with_recorder(use, readings=Readings(control_needs_stream=needs_stream))


def test_several_cameras_are_held_at_once_on_one_uid() -> None:
    async def use(recorder: SimulatedRecorder, nvr: Session) -> None:
        async def hold(camera: int) -> None:
            async with nvr.camera(camera).moving(pan=camera):
                await asyncio.sleep(10)

        holding = [asyncio.create_task(hold(camera)) for camera in (1, 2, 3, 4)]
        await asyncio.sleep(2)
        for _ in range(20):
            await asyncio.sleep(0.25)
            assert [recorder.camera_motion(camera)[0] for camera in (1, 2, 3, 4)] == [1, 2, 3, 4]
        await asyncio.gather(*holding)
        assert recorder.logins == 1
        assert [pans(recorder, camera)[-1] for camera in (1, 2, 3, 4)] == [0, 0, 0, 0]

    with_recorder(use)


def test_everything_at_once_breaks_no_rule() -> None:
    """Live streams come and go, UIDs are lost, and cameras are controlled all the while."""

    async def use(recorder: SimulatedRecorder, nvr: Session) -> None:
        dice = random.Random(4)
        done = 0

        async def watch(camera: int) -> None:
            for _ in range(3):
                await asyncio.sleep(dice.uniform(0, 2))
                async with nvr.camera(camera).live("h264" if camera % 3 == 1 else "h265"):
                    await asyncio.sleep(dice.uniform(0, 3))

        async def steer(camera: int) -> None:
            nonlocal done
            for number in range(1, 13):
                await asyncio.sleep(dice.uniform(0, 0.7))
                await nvr.camera(camera).move(number)
                done += 1

        async def forget() -> None:
            await asyncio.sleep(4)
            recorder.forget_uids()

        await asyncio.gather(
            *(watch(camera) for camera in (1, 2, 3)),
            *(steer(camera) for camera in (1, 2, 3)),
            forget(),
        )
        assert done == 36
        assert [pans(recorder, camera) for camera in (1, 2, 3)] == [list(range(1, 13))] * 3

    with_recorder(use)


async def test_the_pace_is_kept_in_real_time_over_tls() -> None:
    async with SimulatedRecorder(password=PASSWORD, tls=True) as recorder:
        pem = Path(recorder.certificate or "")
        async with nvrclient.connect(recorder.url, "ADMIN", PASSWORD, verify=pem) as nvr:
            await asyncio.gather(*(nvr.camera(1 + n % 4).move(n) for n in range(6)))
        assert sum(map(len, recorder.camera_moves.values())) == 6
        assert recorder.violations == []


def test_an_unknown_camera() -> None:
    async def use(recorder: SimulatedRecorder, nvr: Session) -> None:
        with pytest.raises(CommandError, match="HTTP 404") as caught:
            await nvr.camera(9).move(1)
        assert caught.value.command == "directctrl.cgi"

    with_recorder(use)


# Logs and disks


READINGS = [
    ListReadings(),
    ListReadings(separator="\r\n,", trailing_comma=True, date_separator="\r\n"),
    ListReadings(separator=",\r\n", entry_separator="\r\n,\r\n", empty_log_line=False),
    ListReadings(breaks=(1, 2, 7, 10), doubled_path=True, disk_space=""),
]


@pytest.mark.parametrize("lists", READINGS)
@pytest.mark.parametrize("count", [0, 1, 1000])
def test_logs_under_every_reading(lists: ListReadings, count: int) -> None:
    async def use(recorder: SimulatedRecorder, nvr: Session) -> None:
        kinds = ['CAM "NORTH", 3', "", 'A","B', "SITE(VMD)-1", "カメラ"]
        recorder.error_log[:] = [
            LoggedEntry(
                number,
                f"2024/04/24 {number // 60:02}:{number % 60:02}:30",
                kinds[number % 5],
                "GMT-03:30",
                number % 2 == 1,
            )
            for number in range(1, count + 1)
        ]
        found = await nvr.error_log()
        assert [one.number for one in found] == list(range(1, count + 1))
        for one in found:
            local = datetime(2024, 4, 24, one.number // 60, one.number % 60, 30, tzinfo=one.zone)
            assert (one.time, one.kind, one.summer_time) == (
                local,
                kinds[one.number % 5],
                one.number % 2 == 1,
            )
        assert [one.number for one in await nvr.event_log()] == [2, 1]
        assert len(await nvr.disks()) == 54

    with_recorder(use, readings=Readings(lists=lists))


def test_disks_with_the_recorders_zone() -> None:
    async def use(recorder: SimulatedRecorder, nvr: Session) -> None:
        recorder.disks[0] = DiskSlot(
            "MAIN-1",
            4001,
            0,
            "(R)",
            "2021/10/31 02:30:00",
            "2021/10/31 02:30:00",
            summer_time_from=True,
        )
        disk = (await nvr.disks())[0]
        assert disk.recorded_from is not None
        assert disk.recorded_to is not None
        assert disk.recorded_from.astimezone(UTC).hour == 0
        assert disk.recorded_to.astimezone(UTC).hour == 1
        assert (disk.remaining_gb, disk.flags) == (0, ("R",))

    with_recorder(use, zone=ZoneInfo("Europe/Rome"))


def test_asking_again_and_again_keeps_the_three_seconds() -> None:
    async def use(recorder: SimulatedRecorder, nvr: Session) -> None:
        for _ in range(5):
            await asyncio.gather(
                nvr.error_log(), nvr.event_log(), nvr.disks(), nvr.disks(), nvr.cameras()
            )

    with_recorder(use, readings=Readings(getinfo_interval=3.0))
