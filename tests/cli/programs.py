"""Runs the real command in processes of its own: into pipes, and in a pseudo-terminal."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from typer.testing import CliRunner

from nvrclient.cli.app import app

COMMAND = (sys.executable, "-W", "error", "-W", "default::UserWarning", "-m", "nvrclient")
PATIENCE = 20.0
"""Seconds until a program counts as hanging: far more than any takes."""


@dataclass(frozen=True)
class Ended:
    """How a program ended."""

    code: int
    out: str
    err: str


def environment(**variables: str) -> dict[str, str]:
    """The tests' own environment with other NVR_ variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NVR_")}
    return kept | {"COLUMNS": "100"} | variables


async def run(*arguments: str, **variables: str) -> Ended:
    """Run the command to its end, without a terminal."""
    return await asyncio.to_thread(run_blocking, *arguments, **variables)


def run_blocking(*arguments: str, **variables: str) -> Ended:
    done = subprocess.run(
        [*COMMAND, *arguments],
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def run_inside(*arguments: str, **variables: str) -> Ended:
    """Run a command in this process, without a terminal: for what ends before anything is connected."""
    cleared = dict.fromkeys(("NVR_URL", "NVR_USERNAME", "NVR_PASSWORD", "NVR_VERIFY"))
    done = CliRunner().invoke(app, arguments, env=cleared | variables)
    return Ended(done.exit_code, done.stdout, done.stderr)


@contextmanager
def started(*arguments: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Start the command without a terminal; it is killed if it still runs in the end."""
    with subprocess.Popen(
        [*COMMAND, *arguments],
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def interrupt(process: subprocess.Popen[str]) -> tuple[Ended, float]:
    """Send what Ctrl-C sends; return how the program ended, and after how many seconds."""
    before = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    return Ended(process.returncode, out, err), time.monotonic() - before


_TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    " os.execv(sys.argv[1], sys.argv[1:])"
)
"""Makes the terminal the controlling one, so that Ctrl-C is a signal, and becomes the command."""


class Terminal:
    """The command in a pseudo-terminal of 80x24."""

    def __init__(self, *arguments: str, **variables: str) -> None:
        self.text = ""
        self._fd, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "-c", _TAKE_TERMINAL, *COMMAND, *arguments],
            env=environment(TERM="xterm-256color", **variables) | {"COLUMNS": "80"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def read_until(self, pattern: str) -> None:
        """Wait until what was written holds `pattern`."""
        limit = time.monotonic() + PATIENCE
        while not re.search(pattern, self.text):
            assert time.monotonic() < limit, f"no {pattern!r} in {self.text[-2000:]!r}"
            assert self._read(0.2), f"ended without {pattern!r}: {self.text[-2000:]!r}"

    def type(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def ended(self) -> int:
        """Wait for the end; return the exit code."""
        limit = time.monotonic() + PATIENCE
        while self._read(0.2):
            assert time.monotonic() < limit, f"still running: {self.text[-2000:]!r}"
        return self._process.wait(PATIENCE)

    def close(self) -> None:
        """Kill what still runs and free the terminal."""
        with self._process:
            self._process.kill()
        os.close(self._fd)

    def _read(self, timeout: float) -> bool:
        """Read what there is; False at the end."""
        if not select.select([self._fd], [], [], timeout)[0]:
            return True
        try:
            self.text += os.read(self._fd, 65536).decode(errors="replace")
        except OSError:  # Linux: EIO when the other side is closed
            return False
        return True
