"""``nvrclient live``: what a camera sends, as a table or line by line."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

import nvrclient
from nvrclient.camera import MAX_CAMERA, TransportOption
from nvrclient.cli import recorder
from nvrclient.cli.exits import USAGE, fail, first_of, run, until_told
from nvrclient.cli.lines import json_line
from nvrclient.cli.meter import Meter
from nvrclient.cli.tables import bits, clock, keep_showing
from nvrclient.frames import StreamItem


def live(
    camera: Annotated[
        int,
        typer.Argument(
            help="Its number in the recorder.", min=1, max=MAX_CAMERA, show_default=False
        ),
    ],
    url: recorder.Url = "",
    username: recorder.Username = "",
    password: recorder.Password = "",
    verify: recorder.Verify = "",
    codec: Annotated[
        Literal["H264", "H265", "JPEG"] | None,
        typer.Option(
            case_sensitive=False, help="Found out when not given, which may take some seconds."
        ),
    ] = None,
    transport: Annotated[
        TransportOption, typer.Option(help="udp is RTP to a port of this computer.")
    ] = "http",
    audio: Annotated[bool, typer.Option("--audio", help="Take its audio too.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line for each frame.")
    ] = False,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="Stop after so long.", show_default=False)
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many pictures.", show_default=False)
    ] = None,
) -> None:
    """Take live video of a camera until Ctrl-C, and show what comes.

    In a terminal that is a table; with --json, or into a pipe or file, it is a line for each frame.
    """
    session = recorder.session(url, username, password, verify)
    console = Console(highlight=False)
    meter = Meter()

    async def command() -> None:
        async with session as nvr:
            try:
                stream = nvr.camera(camera).live(codec, transport=transport, audio=audio)
            except ValueError as error:
                fail(error, USAGE)
            async with stream:
                with until_told() as told:
                    endings: list[Awaitable[object]] = [told.wait()]
                    if as_json:
                        endings.append(_take(stream, meter, frames, json_line))
                    elif console.is_terminal:
                        endings.append(_take(stream, meter, frames, None))
                        endings.append(keep_showing(console, lambda: _table(camera, stream, meter)))
                    else:
                        endings.append(_take(stream, meter, frames, repr))
                    await first_of(*endings, seconds=seconds)

    run(command)


async def _take(
    stream: nvrclient.LiveStream,
    meter: Meter,
    frames: int | None,
    line: Callable[[StreamItem], str] | None,
) -> None:
    """Take items until there were `frames` pictures, and print a line for each."""
    async for item in stream:
        meter.take(item)
        if line is not None:
            typer.echo(line(item))
        if meter.pictures == frames:
            return


def _table(camera: int, stream: nvrclient.LiveStream, meter: Meter) -> Table:
    stats, shape, last = stream.stats, stream.format, meter.last
    fps, bit_rate = meter.rates(asyncio.get_running_loop().time())
    size = f" {shape.width}x{shape.height}" if shape is not None else ""
    rows = {
        "camera": camera,
        "codec": f"{stream.codec or 'finding out'}{size}",
        "transport": stats.transport or "",
        "state": stream.state,
        "pictures": f"{meter.pictures}, {fps:.1f} a second",
        "bit rate": bits(bit_rate),
        "audio": f"{meter.sounds} frames",
        "lost": f"{stats.lost} packets",
        "wall clock": clock(last.time) if last is not None else "",
    }
    table = Table.grid(padding=(0, 2))
    for name, value in rows.items():
        table.add_row(name, str(value))
    return table
