"""A program killed in the middle of a download leaves no short file under a final name (docs/faults.md row 65).

Five kills at random moments; with NVRCLIENT_LONG=1 five hundred::

    NVRCLIENT_LONG=1 python -m pytest tests/download/test_kill.py --timeout 3600
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

import nvrclient
from nvrclient.download.manifest import MANIFEST
from nvrclient.simulator import (
    CameraSetup,
    DownloadReadings,
    Readings,
    Recording,
    Segment,
    SimulatedRecorder,
)
from tests.end_to_end.recordings import BEGIN, at, brief
from tests.secrets import PASSWORD

LONG = bool(os.environ.get("NVRCLIENT_LONG"))
HOURS = 3

CHILD = """
import asyncio, sys
from datetime import datetime
import nvrclient

async def main():
    url, password, start, end, to = sys.argv[1:]
    async with nvrclient.connect(url, "ADMIN", password) as nvr:
        print("ready", flush=True)
        await nvr.camera(1).download(datetime.fromisoformat(start), datetime.fromisoformat(end), to)
        print("done", flush=True)

asyncio.run(main())
"""


async def killed_after(seconds: float | None, url: str, to: Path) -> float:
    """Download in a program of its own and kill it so long after it began; return how long it took."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, url, PASSWORD, at(0).isoformat(), at(HOURS * 3600).isoformat(), str(to),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    assert await child.stdout.readline() == b"ready\n"
    began = time.monotonic()
    if seconds is None:
        assert await child.stdout.readline() == b"done\n"
    else:
        await asyncio.sleep(seconds)
        with suppress(ProcessLookupError):  # it was faster
            child.send_signal(signal.SIGKILL)
    took = time.monotonic() - began
    await child.communicate()
    return took


@pytest.mark.timeout(3600 if LONG else 60)
async def test_row_65_killed_at_random_moments(tmp_path: Path) -> None:
    rng = random.Random(65)
    setup = CameraSetup(
        "h264", recording=Recording((Segment(BEGIN, brief("h264"), duration=HOURS * 3600),))
    )
    readings = DownloadReadings(file_size=150_000, file_seconds=1200)
    async with SimulatedRecorder(
        cameras={1: setup}, password=PASSWORD, readings=Readings(downloads=readings), uid_lifetime=2
    ) as recorder:
        files = recorder.download_files(1, at(0), at(HOURS * 3600), "mp4")
        right = {str(file.name): file.data for file in files}
        assert len(right) == 3 * HOURS
        took = await killed_after(None, recorder.url, tmp_path / "whole")
        amid = 0
        for number in range(500 if LONG else 5):
            to = tmp_path / str(number)
            # The same folder two or three times: what one run left meets the next.
            for _ in range(rng.randint(1, 3)):
                await killed_after(rng.random() * took, recorder.url, to)
                left = list(to.iterdir()) if to.exists() else []
                whole = {path.name: path.read_bytes() for path in left if path.suffix == ".mp4"}
                assert whole.items() <= right.items()
                amid += any(path.suffix == ".part" for path in left)
            async with nvrclient.connect(recorder.url, "ADMIN", PASSWORD) as nvr:
                paths = await nvr.camera(1).download(at(0), at(HOURS * 3600), to)
            assert [path.name for path in paths] == list(right)
            assert {path.name for path in to.iterdir()} == {*right, MANIFEST}
            assert {path.name: path.read_bytes() for path in paths} == right
            for path in to.iterdir():
                path.unlink()
        assert amid or not LONG
