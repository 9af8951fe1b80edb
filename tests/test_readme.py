"""The README's programs run, as printed, against the simulated recorder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text()
PYTHON = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
PYCON = re.findall(r"^```pycon\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)

RECORDER = """
import asyncio, sys
from nvrclient.simulator import SimulatedRecorder
async def main():
    async with SimulatedRecorder(tls=True, password="secret") as recorder:
        print(recorder.url, recorder.certificate, flush=True)
        await asyncio.to_thread(sys.stdin.read)
        print(len(recorder.uids), recorder.violations, flush=True)
asyncio.run(main())
"""


@pytest.fixture
def at_recorder() -> Iterator[tuple[str, str]]:
    """A recorder in a process of its own: what the README calls 192.0.2.10 and recorder.pem."""
    child = subprocess.Popen(
        [sys.executable, "-c", RECORDER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    url, certificate = child.stdout.readline().split()
    yield url, certificate
    out, _ = child.communicate("", timeout=10)
    assert out.strip().endswith("[]")


def run(code: str, at: tuple[str, str], *, until: str, module: str = "") -> str:
    """Run a program until it has printed `until`, then end it; returns what it printed."""
    url, certificate = at
    assert "https://192.0.2.10" in code
    code = code.replace("https://192.0.2.10", url).replace("recorder.pem", certificate)
    command = [sys.executable, "-W", "error", "-u"]
    command += ["-m", module] if module else ["-c", code]
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHON_BASIC_REPL": "1"},
    )
    assert child.stdout is not None
    assert child.stdin is not None
    if module:
        child.stdin.write(code)
    child.stdin.close()
    seen = ""
    for line in child.stdout:
        seen += line
        if re.search(until, seen):
            break
    child.terminate()
    child.stdout.close()
    child.wait(timeout=10)
    assert re.search(until, seen), seen
    assert "Traceback" not in seen, seen
    return seen


@pytest.mark.parametrize(
    ("number", "until"),
    [
        (0, r"H264 True \d+ bytes\n(.*\n){3}"),
        (1, r"key frame VideoFormat\((.*\n)+audio AAC 48000"),
        (3, r"<AudioFrame AAC(.*\n)+step (.*\n)+step (.*\n)+step (.*\n)+back reverse \S+ \S+ True"),
        (4, r"640 360 \d{4}"),
        (5, r"(\S+ \S+ 640 360\n){3}"),
        (6, r"CAM 3 COMMUNICATION ERROR\n(.*\n)+MAIN-1 4001 2021"),
        (7, r"recordings/001_\S+\.mp4 \d+\n(\d+ bytes\n)+001_\S+\.n3n is whole"),
    ],
)
def test_programs(
    number: int,
    until: str,
    at_recorder: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    run(PYTHON[number], at_recorder, until=until)


def test_fastapi(at_recorder: tuple[str, str]) -> None:
    drive = """
from fastapi.testclient import TestClient
with TestClient(app) as client:
    answer = client.get("/cameras/1/keyframe")
    print(answer.status_code, answer.headers["content-type"], answer.content[:4], flush=True)
"""
    code = "import warnings; warnings.simplefilter('ignore')\n" + PYTHON[2] + drive
    run(code, at_recorder, until=r"200 video/h264 b'\\x00\\x00\\x00\\x01'")


def test_repl(at_recorder: tuple[str, str]) -> None:
    lines = [line.removeprefix(">>> ") for line in PYCON[0].splitlines()]
    code = "\n".join(lines) + "\nprint('the', 'end')\n"
    seen = run(code, at_recorder, until="the end", module="asyncio")
    assert "CameraStatus(number=1, connected=True)" in seen
    assert "<VideoFrame keyframe H264 camera=1 pts=0" in seen
    assert "StreamStats(packets=" in seen


def test_every_program_is_run() -> None:
    assert len(PYTHON) == 8
    assert len(PYCON) == 1
    for name in ("demo", "tests"):
        assert f"<!-- {name} -->" in README
