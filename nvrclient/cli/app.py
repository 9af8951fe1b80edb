"""The commands by name, and what ``nvrclient --help`` says."""

from __future__ import annotations

import warnings
from typing import Annotated

import typer

import nvrclient
from nvrclient.cli.cameras import cameras
from nvrclient.cli.demo import demo
from nvrclient.cli.disks import disks
from nvrclient.cli.download import download
from nvrclient.cli.exits import EXIT_CODES, show_warning
from nvrclient.cli.live import live
from nvrclient.cli.logs import logs
from nvrclient.cli.play import play
from nvrclient.cli.ptz import ptz
from nvrclient.cli.simulate import simulate
from nvrclient.cli.snapshot import snapshot

app = typer.Typer(
    help="Live and recorded video and audio of i-PRO network disk recorders.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,  # it would show local variables, and with them passwords
)

for _command in (demo, simulate, cameras, live, snapshot, play, download, ptz, logs, disks):
    app.command(epilog=EXIT_CODES)(_command)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nvrclient {nvrclient.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version_wanted: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    warnings.showwarning = show_warning
