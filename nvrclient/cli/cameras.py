"""``nvrclient cameras``: which cameras the recorder has."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console

from nvrclient.cli import recorder
from nvrclient.cli.exits import run
from nvrclient.cli.tables import plain_table


def cameras(
    url: recorder.Url = "",
    username: recorder.Username = "",
    password: recorder.Password = "",
    verify: recorder.Verify = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List the cameras registered in the recorder, and whether they are connected."""
    session = recorder.session(url, username, password, verify)

    async def command() -> None:
        async with session as nvr:
            found = await nvr.cameras()
        if as_json:
            for camera in found:
                typer.echo(json.dumps({"number": camera.number, "connected": camera.connected}))
            return
        table = plain_table("camera", "connected")
        for camera in found:
            table.add_row(str(camera.number), "yes" if camera.connected else "no")
        Console().print(table)

    run(command)
