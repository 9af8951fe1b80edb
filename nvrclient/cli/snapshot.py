"""``nvrclient snapshot``: one picture of a camera, as a JPEG file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from nvrclient.camera import MAX_CAMERA
from nvrclient.cli import recorder
from nvrclient.cli.exits import USAGE, fail, run

STDOUT = Path("-")


def snapshot(
    camera: Annotated[
        int,
        typer.Argument(
            help="Its number in the recorder.", min=1, max=MAX_CAMERA, show_default=False
        ),
    ],
    file: Annotated[
        Path,
        typer.Argument(
            help="Where to; one that is there is replaced once the picture has come. Not given, or -: standard output.",
            show_default=False,
        ),
    ] = STDOUT,
    url: recorder.Url = "",
    username: recorder.Username = "",
    password: recorder.Password = "",
    verify: recorder.Verify = "",
) -> None:
    """Take a picture of a camera, as JPEG.

    It is the camera's own JPEG where it sends one, otherwise made of its H.264 or H.265 (with nvrclient[media]).
    """
    if file == STDOUT and sys.stdout.isatty():
        fail("a picture is nothing for a terminal: name a file, or redirect the output", USAGE)
    if file.is_dir():
        fail(f"{file} is a folder; name a file", USAGE)
    session = recorder.session(url, username, password, verify)

    async def command() -> None:
        async with session as nvr:
            jpeg = await nvr.camera(camera).snapshot()
        if file == STDOUT:
            sys.stdout.buffer.write(jpeg)
            sys.stdout.buffer.flush()
            return
        part = file.with_name(f"{file.name}.part")
        try:
            part.write_bytes(jpeg)
            part.replace(file)  # never half a picture under the name asked for
        except OSError as error:
            part.unlink(missing_ok=True)
            fail(f"{file}: {error.strerror}", 1)

    run(command)
