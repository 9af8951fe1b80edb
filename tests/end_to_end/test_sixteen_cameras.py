"""Sixteen cameras at once, the recorder in a process of its own: nothing lost, every frame given.

The short form runs some seconds; NVRCLIENT_LONG=1 runs a minute over each transport.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import nvrclient
from nvrclient import Discontinuity, Session, VideoFrame
from tests.secrets import PASSWORD

SECONDS = 60 if os.environ.get("NVRCLIENT_LONG") else 6
CAMERAS = 16

RECORDER = """
import asyncio, json, sys
from nvrclient.simulator import CameraSetup, Clip, SimulatedRecorder

async def main(units, sizes, password, cameras):
    data = open(units, "rb").read()
    pictures, at = [], 0
    for size in sizes:
        pictures.append(data[at:at + size]); at += size
    clip = Clip.video("h264", pictures, 25, width=1280, height=720)
    setups = {number: CameraSetup(clip) for number in range(1, cameras + 1)}
    async with SimulatedRecorder(cameras=setups, password=password) as recorder:
        print(recorder.url, flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        print(json.dumps({"violations": recorder.violations, "uids": len(recorder.uids),
                          "streams": len(recorder.streams)}), flush=True)

given = json.loads(sys.argv[1])
asyncio.run(main(given["units"], given["sizes"], given["password"], given["cameras"]))
"""


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[int]]:
    """Four seconds of 1280x720 at 25 pictures a second, over 2 Mbit/s, key frames over 60 KB, by libx264."""
    import av
    import numpy as np

    folder = tmp_path_factory.mktemp("load")
    container = av.open(str(folder / "load.h264"), "w", format="h264")
    stream = container.add_stream("libx264", rate=25)
    stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
    stream.options = {
        "preset": "ultrafast",
        "x264-params": "keyint=50:min-keyint=50:scenecut=0:bframes=0:aud=1:repeat-headers=1:qp=30",
    }
    random = np.random.default_rng(1)
    ground = random.integers(0, 255, (720, 1280, 3), dtype=np.uint8)
    sizes: list[int] = []
    units = bytearray()
    for number in range(100):
        picture = ground.copy()
        picture[100:220, number * 8 : number * 8 + 120] = 255
        picture[300:430, 200:400] = random.integers(0, 255, (130, 200, 3), dtype=np.uint8)
        for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
            sizes.append(packet.size)
            units += bytes(packet)
    for packet in stream.encode():
        sizes.append(packet.size)
        units += bytes(packet)
    container.close()
    assert len(sizes) == 100
    assert 8 * len(units) / 4 >= 2_000_000
    assert min(sizes[0], sizes[50]) >= 60_000
    path = folder / "units"
    path.write_bytes(units)
    return path, sizes


@pytest.mark.parametrize("transport", ["http", "udp"])
async def test_sixteen_cameras(transport: str, load: tuple[Path, list[int]]) -> None:
    units, sizes = load
    given = {"units": str(units), "sizes": sizes, "password": PASSWORD, "cameras": CAMERAS}
    child = subprocess.Popen(
        [sys.executable, "-c", RECORDER, json.dumps(given)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    url = (await asyncio.to_thread(child.stdout.readline)).strip()
    try:
        asyncio.get_running_loop().set_debug(False)  # sixteen streams are watched as users run them
        async with nvrclient.connect(url, "ADMIN", PASSWORD) as nvr:
            counts = await asyncio.gather(
                *[_watch(nvr, number, transport, sizes) for number in range(1, CAMERAS + 1)]
            )
            assert nvr.stats.logins == 1
    finally:
        out, _ = child.communicate("\n", timeout=10)
    assert json.loads(out) == {"violations": [], "uids": 0, "streams": 0}
    assert all(count >= 25 * SECONDS for count in counts)


async def _watch(nvr: Session, number: int, transport: str, sizes: list[int]) -> int:
    """Take `SECONDS` of one camera: every picture, in order, by its size."""
    count = 0
    async with nvr.camera(number).live("h264", transport=transport) as stream:  # type: ignore[arg-type]
        async for item in stream:
            assert not isinstance(item, Discontinuity), (item, stream.stats)
            assert isinstance(item, VideoFrame)
            assert len(item.data) == pytest.approx(sizes[count % len(sizes)], abs=8)
            count += 1
            if count == 25 * SECONDS:
                break
        stats = stream.stats
    assert (stats.lost, stats.malformed, stats.kernel_dropped or 0, dict(stats.dropped)) == (
        0,
        0,
        0,
        {},
    )
    return count
