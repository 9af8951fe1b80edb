"""The command ``nvrclient`` (extra ``cli``: typer and rich). Arguments and printing only."""

from __future__ import annotations

import sys
from importlib.util import find_spec

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit."""
    if any(find_spec(name) is None for name in ("typer", "rich")):
        sys.stderr.write(
            "nvrclient: the command line needs typer and rich: pip install 'nvrclient[cli]'\n"
        )
        raise SystemExit(2)
    from nvrclient.cli.app import app

    app(prog_name="nvrclient")
