"""Everything a submission must pass: ``python -m tests`` in an environment with ``pip install -e '.[test]'``.

Debian's ffmpeg and GStreamer judge the media path as foreign packetizers. They are installed where this runs as
root on Debian; elsewhere the tests that need them skip and say so (in CI they fail).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

PYTHON = sys.executable

STEPS: Sequence[tuple[str, Sequence[str]]] = (
    ("format", (PYTHON, "-m", "ruff", "format", "--check", "--quiet", ".")),
    ("lint", (PYTHON, "-m", "ruff", "check", "--quiet", ".")),
    ("layers", (str(Path(PYTHON).with_name("lint-imports")),)),
    ("mypy", (PYTHON, "-m", "mypy")),
    ("pyright", (PYTHON, "-m", "pyright", "--pythonpath", PYTHON)),
    ("tests", (PYTHON, "-m", "pytest", "-q", "-n", "3")),  # most of their time is waiting
)

TOOLS = {"ffmpeg": ("ffmpeg",), "gst-launch-1.0": ("gstreamer1.0-tools", "gstreamer1.0-plugins-base",
         "gstreamer1.0-plugins-good", "gstreamer1.0-plugins-bad", "gstreamer1.0-libav")}  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """Run every step, or those named; return 0 only if all passed."""
    install_tools()
    failed: list[str] = []
    for name, command in STEPS:
        if arguments and name not in arguments:
            continue
        began = time.monotonic()
        code = subprocess.run(command, check=False).returncode
        print(
            f"--- {name}: {'ok' if code == 0 else 'FAILED'} in {time.monotonic() - began:.0f} s",
            flush=True,
        )
        if code != 0:
            failed.append(name)
    return 1 if failed else 0


def install_tools() -> None:
    """Install the foreign judges from Debian's packages, where that is possible and they are missing."""
    missing = [
        package
        for tool, packages in TOOLS.items()
        if not shutil.which(tool)
        for package in packages
    ]
    if not missing or os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    quiet = {
        "stdout": subprocess.DEVNULL,
        "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
    }
    subprocess.run(("apt-get", "update", "-qq"), check=False, **quiet)  # type: ignore[call-overload]
    subprocess.run(("apt-get", "install", "-y", "-qq", *missing), check=False, **quiet)  # type: ignore[call-overload]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
