"""``nvrclient download``: recordings into a folder."""

from __future__ import annotations

import json
import sys
from collections import deque
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Annotated, Self

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, TextColumn

from nvrclient.camera import MAX_CAMERA
from nvrclient.cli import recorder
from nvrclient.cli.exits import INTERRUPTED, USAGE, fail, first_of, run, until_told
from nvrclient.cli.meter import WINDOW
from nvrclient.cli.times import read_time
from nvrclient.commands.download import Kind
from nvrclient.download import DownloadProgress


def download(
    camera: Annotated[
        int,
        typer.Argument(
            help="Its number in the recorder.", min=1, max=MAX_CAMERA, show_default=False
        ),
    ],
    start: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="2026-01-31T14:30:00+09:00; without a zone this computer's; 14:30 is today; -10m, -2h, -1d12h are"
            " before now.",
            show_default=False,
        ),
    ],
    end: Annotated[
        str, typer.Option(metavar="TIME", help="As --start; any time apart.", show_default=False)
    ],
    to: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="Where to; made where it is missing.", show_default=False
        ),
    ],
    url: recorder.Url = "",
    username: recorder.Username = "",
    password: recorder.Password = "",
    verify: recorder.Verify = "",
    kind: Annotated[
        Kind,
        typer.Option(help="n3 is i-PRO's own N3R and N3A; list what is recorded, as N3N."),
    ] = "mp4",
    no_audio: Annotated[bool, typer.Option("--no-audio", help="Without its sound.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line for each file.")
    ] = False,
) -> None:
    """Download what a camera recorded between two times.

    The path of each file is printed once it is whole. Ctrl-C keeps the whole files; the same command, run again, goes on
    behind them. In a terminal a bar shows how much of the time is there.
    """
    now = datetime.now(UTC)
    begins, ends = read_time("--start", start, now), read_time("--end", end, now)
    assert begins is not None
    assert ends is not None
    session = recorder.session(url, username, password, verify)

    async def command() -> None:
        with _Bar() as bar:

            def tell(progress: DownloadProgress) -> None:
                bar.show(progress)
                if progress.finished is not None:
                    line = json.dumps(progress.finished.as_dict())
                    bar.say(line if as_json else str(to / progress.finished.file))

            async with session as nvr:
                work = nvr.camera(camera).download(
                    begins, ends, to, kind=kind, audio=not no_audio, progress=tell
                )
                with until_told() as told:
                    try:
                        await first_of(work, told.wait())
                    except ValueError as error:
                        fail(error, USAGE)
        if told.is_set():
            fail("stopped; the whole files are kept, and the same command goes on", INTERRUPTED)

    run(command)


class _Bar:
    """The bar on stderr, in a terminal: recorded time that is there, bytes, their rate, and the time left."""

    def __init__(self) -> None:
        self._recent: deque[tuple[float, int]] = deque()  # when how many bytes were there
        self._began: tuple[float, timedelta] | None = (
            None  # when fetching did, and what was there already
        )
        console = Console(stderr=True)
        self._progress = Progress(
            BarColumn(20),
            TextColumn("{task.description}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("waiting for the recorder", total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def say(self, line: str) -> None:
        """Print a line on stdout; above the bar, where both are in a terminal."""
        if sys.stdout.isatty():
            self._progress.console.out(line, highlight=False)
        else:
            typer.echo(line)

    def show(self, progress: DownloadProgress) -> None:
        """Show how far it is."""
        now = monotonic()
        if self._began is None and progress.bytes:
            self._began = now, progress.covered
        self._recent.append((now, progress.bytes))
        while self._recent[0][0] < now - WINDOW:
            self._recent.popleft()
        begun, before = self._recent[0]
        parts = [f"{progress.covered} of {progress.total}", decimal(progress.bytes)]
        if now > begun:
            parts.append(f"{decimal(round((progress.bytes - before) / (now - begun)))}/s")
        if self._began is not None and progress.covered > self._began[1]:
            per_second = (now - self._began[0]) / (
                progress.covered - self._began[1]
            ).total_seconds()
            seconds = round(per_second * (progress.total - progress.covered).total_seconds())
            parts.append(f"{timedelta(seconds=seconds)} left")
        self._progress.update(
            self._task,
            total=progress.total.total_seconds(),
            completed=progress.covered.total_seconds(),
            description=", ".join(parts),
        )
