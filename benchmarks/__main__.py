"""``python -m benchmarks [name …] [--rounds N] [--seconds S] [--json]``; see README.md beside this file."""

from __future__ import annotations

import argparse
import json
import sys
from importlib.metadata import version
from platform import python_version

from benchmarks import cameras, depacketizer, download, multipart, playback
from benchmarks.measurement import Row, WrongOutputError, pin_malloc, table

_BENCHMARKS = {
    module.NAME: module.run for module in (depacketizer, multipart, playback, download, cameras)
}


def main() -> int:
    """Run what was asked for; return 0 however slow it is, 1 when an output is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(_BENCHMARKS))
    parser.add_argument("--rounds", type=int, default=15, help="measurements of each (15)")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of the media (4)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    names: list[str] = options.names or list(_BENCHMARKS)
    for name in names:
        if name not in _BENCHMARKS:
            parser.error(f"no benchmark is called {name}; there are {', '.join(_BENCHMARKS)}")
    if options.rounds < 1 or options.seconds < 1:
        parser.error("--rounds and --seconds are 1 at least")

    pin_malloc()
    rows: list[Row] = []
    for name in names:
        say(f"{name}:")
        try:
            found = _BENCHMARKS[name](options.rounds, options.seconds, say)
        except WrongOutputError as wrong:
            say(f"wrong output, {wrong}")
            return 1
        rows += found
        if not options.json:
            print(f"{name}\n\n{table(found)}\n")
    if options.json:
        about = {"nvrclient": version("nvrclient"), "python": python_version()}
        print(json.dumps({**about, "rows": [row.as_dict() for row in rows]}, indent=2))
    return 0


def say(text: str) -> None:
    """Tell the reader what is going on, apart from the result."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
