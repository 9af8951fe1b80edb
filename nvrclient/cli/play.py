"""``nvrclient play``: what a camera recorded, as a table or line by line, steered by keys."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

import nvrclient
from nvrclient.camera import MAX_CAMERA
from nvrclient.cli import recorder
from nvrclient.cli.exits import USAGE, fail, first_of, run, until_told
from nvrclient.cli.keys import LEFT, RIGHT, pressed
from nvrclient.cli.lines import json_line
from nvrclient.cli.meter import Meter
from nvrclient.cli.tables import bits, clock, date_and_clock, keep_showing
from nvrclient.cli.times import read_time
from nvrclient.errors import NoRecordingError
from nvrclient.frames import Discontinuity, StreamItem, VideoFrame

KEYS = {
    "space": "pause, and go on",
    "→ or .": "next picture",
    "← or ,": "previous picture",
    "p": "play forward",
    "r": "reverse",
    "f": "fast forward; again: faster",
    "b": "fast reverse; again: faster",
    "q": "quit",
    "?": "these keys, and hide them",
}


def play(
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
    start: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="2026-01-31T14:30:00+09:00; without a zone this computer's; 14:30 is today; -10m, -2h, -1d12h are"
            " before now. When not given: where the recorder begins; with --reverse now.",
            show_default=False,
        ),
    ] = None,
    end: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Stop there; as --start.", show_default=False),
    ] = None,
    speed: Annotated[
        str, typer.Option(metavar="NUMBER|max", help="1 is as recorded; max as fast as it comes.")
    ] = "1",
    audio: Annotated[bool, typer.Option("--audio", help="Take its audio too.")] = False,
    reverse: Annotated[bool, typer.Option("--reverse", help="Play backward.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line for each frame.")
    ] = False,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="Stop after so long.", show_default=False)
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option(min=1, help="Stop after so many pictures shown.", show_default=False),
    ] = None,
) -> None:
    """Play what a camera recorded until it ends, or until Ctrl-C or q, and show what comes.

    A recording that still grows is followed; --end stops it.

    In a terminal that is a table; with --json, or into a pipe or file, it is a line for each frame. In a terminal
    keys steer it: space pauses, → and ← step, r reverse, f and b fast, p plays forward, q quits, ? names them.
    """
    now = datetime.now(UTC)
    if reverse and end is not None:
        fail(
            "--end is where playing forward ends: with --reverse give --seconds or --frames", USAGE
        )
    begins = read_time("--start", start, now) or (now if reverse else None)
    ends = read_time("--end", end, now)
    pace = _speed(speed)
    session = recorder.session(url, username, password, verify)
    console = Console(stderr=True, highlight=False)

    async def command() -> None:
        async with session as nvr:
            try:
                playback = nvr.camera(camera).playback(begins, end=ends, audio=audio, speed=pace)
            except ValueError as error:
                fail(error, USAGE)
            line = json_line if as_json else None if sys.stdout.isatty() else repr
            view = View(playback, line, frames)
            async with playback:
                with until_told() as told, pressed() as keys:
                    if reverse:
                        await playback.reverse()
                    endings: list[Awaitable[object]] = [told.wait(), view.take()]
                    if _has_room(console, lines=line is not None):
                        view.is_table = True
                        endings.append(keep_showing(console, view.table))
                    if keys is not None:
                        view.help = "? names them"
                        endings.append(view.steer(keys))
                    await first_of(*endings, seconds=seconds)

    run(command)


@dataclass(eq=False)
class View:
    """One playback: its items taken and printed, keys obeyed, and the table that tells of it."""

    playback: nvrclient.Playback
    line: Callable[[StreamItem], str] | None
    frames: int | None
    is_table: bool = False
    help: str = ""
    said: str = ""
    shown: int = 0
    gaps: int = 0
    gap: str = ""
    meter: Meter = field(default_factory=Meter)

    async def take(self) -> None:
        """Take items until `frames` pictures were shown."""
        async for item in self.playback:
            self._take(item)
            if self.shown == self.frames:
                return

    def _take(self, item: StreamItem) -> None:
        self.meter.take(item, asyncio.get_running_loop().time())  # it was fetched ahead
        if self.line is not None:
            typer.echo(self.line(item))
        if isinstance(item, VideoFrame):
            self.shown += item.shown
        elif isinstance(item, Discontinuity) and item.reason != "seek":
            self.gaps += 1
            self.gap = f", the last: {item.reason} {clock(item.since)} … {clock(item.until)}"

    async def steer(self, keys: asyncio.Queue[str]) -> None:
        """Do what the keys say, until q, or a step has taken the last of `frames` pictures."""
        playback = self.playback
        while (key := await keys.get()) != "q" and self.shown != self.frames:
            self.said = ""
            try:
                if key == " ":
                    await (playback.resume() if playback.state == "paused" else playback.pause())
                elif key in {RIGHT, "."}:
                    self._stepped(await playback.next_frame())
                elif key in {LEFT, ","}:
                    self._stepped(await playback.previous_frame())
                elif key == "r":
                    await playback.reverse()
                elif key == "f":
                    await playback.fast_forward()
                elif key == "b":
                    await playback.fast_reverse()
                elif key == "p":
                    await playback.forward()
                elif key == "?":
                    self._help()
            except NoRecordingError as error:
                self._say(str(error))

    def _stepped(self, frame: VideoFrame) -> None:
        self._take(frame)
        gop = self.playback.gop
        frames = [one.pts for one in gop.frames] if gop is not None else []
        if frame.pts in frames:
            self.said = f"picture {frames.index(frame.pts) + 1} of {len(frames)} in its GOP"

    def _help(self) -> None:
        lines = "\n".join(f"{key:8}{meaning}" for key, meaning in KEYS.items())
        if not self.is_table:
            typer.echo(lines, err=True)
        else:
            self.help = "? names them" if self.help == lines else lines

    def _say(self, text: str) -> None:
        self.said = text
        if not self.is_table:
            typer.echo(f"nvrclient: {text}", err=True)

    def table(self) -> Table:
        """Tell how it stands."""
        playback, meter = self.playback, self.meter
        shape, last = playback.format, meter.last
        fps, bit_rate = meter.rates(asyncio.get_running_loop().time())
        size = f" {shape.width}x{shape.height}" if shape is not None else ""
        rows = {
            "camera": playback.cameras[0],
            "codec": f"{playback.codec or ''}{size}",
            "recorded": date_and_clock(playback.position),
            "state": self._state(last),
            "step": self.said,
            "pictures": f"{meter.pictures}, {fps:.1f} a second",
            "bytes": f"{meter.bytes / 1e6:.2f} MB, {bits(bit_rate)}",
            "audio": f"{meter.sounds} frames",
            "gaps": f"{self.gaps}{self.gap}",
            "keys": self.help,
        }
        table = Table.grid(padding=(0, 2))
        for name, value in rows.items():
            if value != "":
                table.add_row(name, str(value))
        return table

    def _state(self, last: VideoFrame | None) -> str:
        playback = self.playback
        if playback.state.startswith("fast") and last is not None and last.info.speed_step:
            return f"{playback.state}, step {last.info.speed_step}"
        if playback.state not in {"playing", "reverse"} or playback.speed == 1:
            return playback.state
        pace = "as fast as it comes" if playback.speed is None else f"{playback.speed:g} times"
        return f"{playback.state}, {pace}"


def _has_room(console: Console, *, lines: bool) -> bool:
    """Whether a table on stderr is seen, and disturbs no lines: those in a pipe may end in the same terminal."""
    if not lines or not console.is_terminal:
        return console.is_terminal
    try:
        return stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode)
    except (OSError, ValueError):
        return False


def _speed(text: str) -> float | None:
    """Read a NUMBER or max; exit where it is neither. What numbers can mean, the playback says."""
    if text == "max":
        return None
    try:
        return float(text)
    except ValueError:
        fail(f"--speed: a number or max, not {text!r}", USAGE)
