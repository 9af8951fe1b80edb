"""``nvrclient logs``: the recorder's error log and event log."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from nvrclient.cli import recorder
from nvrclient.cli.exits import run
from nvrclient.cli.tables import plain_table, printable
from nvrclient.frames import LogEntry


def logs(
    url: recorder.Url = "",
    username: recorder.Username = "",
    password: recorder.Password = "",
    verify: recorder.Verify = "",
    errors: Annotated[
        bool | None,
        typer.Option("--errors/--events", help="Only one of the two.", show_default="both"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List what the recorder logged, oldest first."""
    session = recorder.session(url, username, password, verify)

    async def command() -> None:
        found: list[tuple[str, LogEntry]] = []
        async with session as nvr:
            if errors is not False:
                found += [("error", entry) for entry in await nvr.error_log()]
            if errors is not True:
                found += [("event", entry) for entry in await nvr.event_log()]
        found.sort(key=lambda one: one[1].time)
        if as_json:
            for log, entry in found:
                typer.echo(_json_line(log, entry))
            return
        table = plain_table("time", "log", "number", "what", right=["number"])
        for log, entry in found:
            when = f"{entry.local_time:%Y-%m-%d %H:%M:%S} {entry.time:%Z}"
            table.add_row(when, log, f"{entry.number:03}", Text(printable(entry.kind)))
        Console().print(table)

    run(command)


def _json_line(log: str, entry: LogEntry) -> str:
    return json.dumps(
        {
            "log": log,
            "number": entry.number,
            "time": entry.time.isoformat(),
            "local_time": entry.local_time.isoformat(),
            "summer_time": entry.summer_time,
            "kind": entry.kind,
        }
    )
