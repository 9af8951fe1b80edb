"""Tables and numbers as a terminal shows them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table

REFRESH = 0.25
"""Seconds between two pictures of a live table."""


def plain_table(*columns: str, right: Iterable[str] = ()) -> Table:
    """Return an empty table; the columns named in `right` are numbers."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", no_wrap=True)
    return table


async def keep_showing(console: Console, table: Callable[[], Table]) -> None:
    """Show a table and draw it anew until cancelled; the last state stays on the screen."""
    with Live(console=console, auto_refresh=False, redirect_stdout=not console.stderr) as live:
        try:
            while True:
                live.update(table(), refresh=True)
                await asyncio.sleep(REFRESH)
        finally:
            live.update(table(), refresh=True)


def printable(text: str) -> str:
    """Write what a recorder sent so that a terminal only shows it: control characters are escaped."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text
    )


def bits(rate: float) -> str:
    """Write bits a second."""
    return f"{rate / 1e6:.2f} Mbit/s" if rate >= 1e6 else f"{rate / 1e3:.0f} kbit/s"


def clock(time: datetime | None) -> str:
    """Write the time of day to the millisecond, with its zone."""
    if time is None:
        return ""
    return f"{time:%H:%M:%S}.{time.microsecond // 1000:03} {time:%Z}"


def date_and_clock(time: datetime | None) -> str:
    """Write date and time of day, as `clock`."""
    return "" if time is None else f"{time:%Y-%m-%d} {clock(time)}"
