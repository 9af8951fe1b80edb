"""The options that say which recorder, and the session they make."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

import nvrclient
from nvrclient.cli.exits import USAGE, fail

Url = Annotated[
    str,
    typer.Option(
        "--url", envvar="NVR_URL", help="https://address or http://address.", show_default=False
    ),
]
Username = Annotated[
    str,
    typer.Option(
        "--username", "-u", envvar="NVR_USERNAME", help="As registered.", show_default=False
    ),
]
Password = Annotated[
    str,
    typer.Option(
        "--password",
        envvar="NVR_PASSWORD",
        help="Asked for when it is not given. NVR_PASSWORD is safer than the option: a shell keeps its history.",
        show_default=False,
    ),
]
Verify = Annotated[
    str,
    typer.Option(
        "--verify",
        envvar="NVR_VERIFY",
        help="How to trust an https recorder: a PEM file, sha256:<hex>, or off. Public authorities when not given.",
        show_default=False,
    ),
]


def session(url: str, username: str, password: str, verify: str) -> nvrclient.Session:
    """Make a session, not yet open; exit with one line where an option is missing or means nothing."""
    for value, option, variable in (
        (url, "--url", "NVR_URL"),
        (username, "--username", "NVR_USERNAME"),
    ):
        if not value:
            fail(f"no {option[2:]}: give {option} or set {variable}", USAGE)
    if password:
        _hide(password)
    elif sys.stdin.isatty():
        password = typer.prompt(f"Password of {username}", hide_input=True, err=True)
    else:
        fail("no password: set NVR_PASSWORD, give --password, or use a terminal", USAGE)
    try:
        return nvrclient.connect(url, username, password, verify=_verify(verify))
    except (ValueError, TypeError, OSError) as error:
        fail(error, USAGE)


def _verify(text: str) -> bool | str | Path:
    if not text:
        return True
    if text.lower() == "off":
        return False
    if text.startswith("sha256:"):
        return text
    if not Path(text).is_file():
        fail(f"--verify: {text!r} is no file; give a PEM file, sha256:<hex> or off", USAGE)
    return Path(text)


def _hide(password: str) -> None:
    """Take the password out of what `ps` shows, where the system lets a process write there (Linux)."""
    secret = os.fsencode(password)
    with suppress(OSError, ValueError, IndexError):
        # proc(5): the fields after the command's name in brackets; arg_start and arg_end are 48 and 49.
        fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        start, end = int(fields[45]), int(fields[46])
        with Path("/proc/self/mem").open("r+b", buffering=0) as memory:
            memory.seek(start)
            arguments = memory.read(end - start)
            for hidden in (secret, b"--password=" + secret):
                cover = hidden.replace(secret, b"*" * len(secret))
                arguments = arguments.replace(b"\0" + hidden + b"\0", b"\0" + cover + b"\0")
            memory.seek(start)
            memory.write(arguments)
