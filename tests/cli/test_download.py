"""``nvrclient download``, run as a program of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from nvrclient.simulator import (
    CameraSetup,
    DownloadFault,
    DownloadReadings,
    Readings,
    Recording,
    Segment,
    SimulatedRecorder,
)
from tests.cli.programs import Terminal, interrupt, run, started
from tests.end_to_end.recordings import BEGIN, at, brief
from tests.secrets import PASSWORD

RANGE = ("--start", "2023-11-15T00:00:00Z", "--end", "2023-11-15T02:00:00+00:00")


@pytest.fixture
async def recorder() -> AsyncIterator[SimulatedRecorder]:
    hours = [
        Segment(BEGIN + begins, brief("h264"), duration=3600) for begins in (0, 3600, 2 * 86400)
    ]
    readings = Readings(downloads=DownloadReadings(file_size=300_000, file_seconds=1800))
    setup = CameraSetup("h264", recording=Recording(tuple(hours)))
    async with SimulatedRecorder(
        cameras={1: setup}, password=PASSWORD, readings=readings
    ) as simulated:
        yield simulated
        async with asyncio.timeout(2):
            while simulated.uids:
                await asyncio.sleep(0.01)
        assert simulated.violations == []


def access(recorder: SimulatedRecorder) -> dict[str, str]:
    return {
        "NVR_URL": recorder.url,
        "NVR_USERNAME": recorder.username,
        "NVR_PASSWORD": recorder.password,
    }


def whole(recorder: SimulatedRecorder, to: Path) -> bool:
    files = recorder.download_files(1, at(0), at(7200), "MP4")
    return {path.name: path.read_bytes() for path in to.glob("*.mp4")} == {
        str(file.name): file.data for file in files
    }


async def test_paths_or_lines(recorder: SimulatedRecorder, tmp_path: Path) -> None:
    ended = await run("download", "1", *RANGE, "--to", str(tmp_path), **access(recorder))
    assert (ended.code, ended.err) == (0, "")
    paths = ended.out.splitlines()
    assert len(paths) == 4
    assert whole(recorder, tmp_path)
    # Run again: nothing is fetched, the same is told.
    ended = await run("download", "1", *RANGE, "--to", str(tmp_path), "--json", **access(recorder))
    assert (ended.code, ended.err) == (0, "")
    entries = [json.loads(line) for line in ended.out.splitlines()]
    assert [str(tmp_path / entry["file"]) for entry in entries] == paths
    assert {entry["bytes"] for entry in entries} == {300_000}
    assert sum(request.cgi == "httpdl.cgi" for request in recorder.requests) == 2


async def test_kinds_gaps_and_exit_codes(recorder: SimulatedRecorder, tmp_path: Path) -> None:
    to = ("--to", str(tmp_path / "new"))
    days = ("--start", "2023-11-15T01:00:00Z", "--end", "2023-11-15T04:00:00Z")
    ended = await run("download", "1", *days, *to, "--kind", "n3", "--no-audio", **access(recorder))
    assert ended.code == 0, ended
    assert [Path(line).suffix for line in ended.out.splitlines()] == [".n3r", ".n3r"]
    assert ended.err.splitlines() == [
        "download of camera 1, 2023-11-15 02:00 to 03:00 UTC, as N3VO: nothing is recorded",
        "download of camera 1, 2023-11-15 03:00 to 04:00 UTC, as N3VO: nothing is recorded",
    ]
    nothing = ("--start", "2023-11-15T05:00:00Z", "--end", "2023-11-15T06:00:00Z")
    ended = await run("download", "1", *nothing, *to, **access(recorder))
    assert ended.code == 8
    assert "\nnvrclient: download of camera 1: the recorder has nothing between" in ended.err
    recorder.rename_download = lambda _: "../x.mp4"
    ended = await run("download", "1", *RANGE, *to, **access(recorder))
    assert ended.code == 9
    assert len(ended.err.splitlines()) == 1, ended


@pytest.mark.parametrize(
    "arguments",
    [
        ("--start", "yesterday", "--end", "-1h", "--to", "x"),
        ("--start", "-1h", "--end", "-2h", "--to", "x"),
        ("--start", "-1h", "--to", "x"),
        ("--start", "-2h", "--end", "-1h", "--to", "x", "--kind", "avi"),
    ],
)
async def test_usage(
    arguments: tuple[str, ...], recorder: SimulatedRecorder, tmp_path: Path
) -> None:
    ended = await run("download", "1", *arguments, **access(recorder))
    assert ended.code == 2, ended
    assert list(tmp_path.iterdir()) == []


async def test_ctrl_c_keeps_what_is_whole(recorder: SimulatedRecorder, tmp_path: Path) -> None:
    recorder.download_faults += [None, DownloadFault(stall_at=400_000)]
    command = ("download", "1", *RANGE, "--to", str(tmp_path))
    with started(*command, **access(recorder)) as process:

        def third() -> None:
            assert process.stdout is not None
            for _ in range(3):
                process.stdout.readline()

        await asyncio.to_thread(third)
        ended, seconds = await asyncio.to_thread(interrupt, process)
    assert ended.code == 130
    assert "the whole files are kept" in ended.err
    assert seconds < 3
    assert len(list(tmp_path.glob("*.mp4"))) == 3
    assert list(tmp_path.glob("*.part")) == []
    ended = await run(*command, **access(recorder))
    assert ended.code == 0
    assert whole(recorder, tmp_path)


async def test_the_bar(recorder: SimulatedRecorder, tmp_path: Path) -> None:
    def use() -> str:
        command = ("download", "1", *RANGE, "--to", str(tmp_path))
        with closing(Terminal(*command, **access(recorder))) as terminal:
            assert terminal.ended() == 0, terminal.text
            assert whole(recorder, tmp_path)
            return terminal.text

    text = await asyncio.to_thread(use)
    assert "2:00:00 of 2:00:00, 1.2 MB, " in text
    assert "/s" in text
    assert "0:00:00 left" in text
