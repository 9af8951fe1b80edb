"""``nvrclient disks``: the recorder's disks and what is recorded on them."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from nvrclient.cli import recorder
from nvrclient.cli.exits import run
from nvrclient.cli.tables import plain_table, printable


def disks(
    url: recorder.Url = "",
    username: recorder.Username = "",
    password: recorder.Password = "",
    verify: recorder.Verify = "",
    empty: Annotated[
        bool, typer.Option("--all", help="Show the slots without a disk too; --json always does.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List the disks: sizes, and from when to when they are recorded, in the recorder's local time."""
    session = recorder.session(url, username, password, verify)

    async def command() -> None:
        async with session as nvr:
            found = await nvr.disks()
        if as_json:
            for disk in found:
                typer.echo(json.dumps(asdict(disk), default=datetime.isoformat))
            return
        table = plain_table(
            "disk", "GB", "GB free", "flags", "recorded from", "to", right=["GB", "GB free"]
        )
        for disk in found:
            if empty or disk.capacity_gb is not None:
                table.add_row(
                    disk.name,
                    _number(disk.capacity_gb),
                    _number(disk.remaining_gb),
                    Text(printable(" ".join(disk.flags))),
                    _time(disk.recorded_from),
                    _time(disk.recorded_to),
                )
        Console().print(table)

    run(command)


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _time(value: datetime | None) -> str:
    return "" if value is None else f"{value:%Y-%m-%d %H:%M:%S}"
