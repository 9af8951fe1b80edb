"""How things are timed: interleaved, in CPU time, medians of ratios, and nothing whose output is wrong."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import thread_time
from typing import Any, Literal

SLICE = 0.05
"""CPU seconds that a contender runs at a stretch: long against the clock's grain, short against what neighbours
on the machine do."""

Sink = Callable[[list[Any]], object]
"""Takes what a contender gives, piece by piece, as an application would, and lets go of it."""


class WrongOutputError(Exception):
    """A contender did not give what went in: its speed means nothing."""


@dataclass(frozen=True)
class Contender:
    """Something that can be timed: `run` does the whole job once and hands over what comes out."""

    name: str
    run: Callable[[Sink], None]


@dataclass(frozen=True)
class Target:
    """What the project wants of a ratio: the bound that must hold and the one it aims at."""

    must: float
    aim: float


@dataclass(frozen=True)
class Row:
    """One line of the table.

    | field | meaning |
    |---|---|
    | benchmark, case | what was run, on what |
    | measured | what the ratio is of: time ÷ floor is better when small, speed ÷ peer when large |
    | ratio, low, high | median, least and greatest of the rounds; None: not measured |
    | must, aim | the project's targets; None: it has none |
    | ns | CPU time of ours for one packet or part, on this machine at this moment |
    | skipped | why there is no ratio, or empty |
    """

    benchmark: str
    case: str
    measured: str
    better: Literal["small", "large"]
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    must: float | None = None
    aim: float | None = None
    ns: float | None = None
    skipped: str = ""

    def as_dict(self) -> dict[str, object]:
        """Return the fields, for JSON."""
        return asdict(self)

    @property
    def verdict(self) -> str:
        """How the ratio stands to the targets, in a word."""
        if self.ratio is None or self.must is None or self.aim is None:
            return ""
        sign = 1 if self.better == "small" else -1
        if sign * self.ratio <= sign * self.aim:
            return "aim met"
        return "met" if sign * self.ratio <= sign * self.must else "MISSED"


def pin_malloc() -> None:
    """Free one large block, so that glibc serves the next ones from its heap.

    Without it each block over 128 KiB is mapped and unmapped, page faults and all, until some block is freed: a
    ratio would then tell which side freed one first. It counts for the whole process, so for both sides.
    """
    block = bytearray(4 << 20)
    del block


def peak_memory(*, reset: bool = False) -> float:
    """Return the peak of resident memory in MiB since it was reset, where Linux tells it."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return 0.0
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def collected(contender: Contender) -> list[Any]:
    """Run a contender once and return all that it gave."""
    out: list[Any] = []
    contender.run(out.extend)
    return out


def check(contender: Contender, expected: list[Any]) -> None:
    """Hold a contender's output against what went in; raises WrongOutputError."""
    given = collected(contender)
    if given != expected:
        same = [one == other for one, other in zip(given, expected, strict=False)]
        where = f"the first that differs is number {[*same, False].index(False)}"
        raise WrongOutputError(
            f"{contender.name}: {len(given)} items came out, {len(expected)} were expected; {where}"
        )


def times(contenders: list[Contender], rounds: int) -> list[list[float]]:
    """Time each contender `rounds` times, in turn A B A B; return CPU seconds of one run each."""
    drop: Sink = lambda items: None  # noqa: E731, ARG005
    repeats = [max(1, round(SLICE / _time(contender, 1, drop))) for contender in contenders]
    measured: list[list[float]] = [[] for _ in contenders]
    for _ in range(rounds):
        for contender, repeat, into in zip(contenders, repeats, measured, strict=True):
            into.append(_time(contender, repeat, drop))
    return measured


def _time(contender: Contender, repeat: int, drop: Sink) -> float:
    """Return CPU seconds of one run.

    The collector stays on, since applications have it on, and starts empty each time: nobody pays for another's
    garbage, everybody for his own.
    """
    run = contender.run
    gc.collect()
    start = thread_time()
    for _ in range(repeat):
        run(drop)
    return (thread_time() - start) / repeat


def compare(
    benchmark: str,
    case: str,
    ours: Contender,
    floor: Contender,
    peers: list[tuple[Contender | str, Target | None]],
    *,
    floor_target: Target | None,
    items: int,
    rounds: int,
) -> list[Row]:
    """Time ours, the floor and the peers together; a peer that is a string is why it is skipped."""
    present = [peer for peer, _ in peers if isinstance(peer, Contender)]
    first, *others = times([ours, floor, *present], rounds)
    ns = median(first) / items * 1e9
    ratios = [own / other for own, other in zip(first, others[0], strict=True)]
    rows = [_row(benchmark, case, f"time ÷ {floor.name}", "small", ratios, floor_target, ns)]
    measured = iter(others[1:])
    for peer, target in peers:
        if isinstance(peer, str):
            name, _, reason = peer.partition(": ")
            rows.append(Row(benchmark, case, f"speed ÷ {name}", "large", skipped=reason))
            continue
        ratios = [other / own for own, other in zip(first, next(measured), strict=True)]
        rows.append(_row(benchmark, case, f"speed ÷ {peer.name}", "large", ratios, target, ns))
    return rows


def _row(
    benchmark: str,
    case: str,
    measured: str,
    better: Literal["small", "large"],
    ratios: list[float],
    target: Target | None,
    ns: float,
) -> Row:
    must, aim = (target.must, target.aim) if target is not None else (None, None)
    return Row(
        benchmark,
        case,
        measured,
        better,
        round(median(ratios), 3),
        round(min(ratios), 3),
        round(max(ratios), 3),
        must,
        aim,
        round(ns),
    )


def table(rows: list[Row]) -> str:
    """Lay the rows out as plain text."""
    lines: list[tuple[str, ...]] = [
        ("case", "measured", "ratio", "rounds", "must", "aim", "", "ours")
    ]
    for row in rows:
        sign = "≤" if row.better == "small" else "≥"
        if row.ratio is None:
            lines.append((row.case, row.measured, f"skipped: {row.skipped}"))
            continue
        lines.append(
            (
                row.case,
                row.measured,
                f"{row.ratio:.2f}",
                f"{row.low:.2f}…{row.high:.2f}",
                f"{sign} {row.must:g}" if row.must is not None else "-",
                f"{sign} {row.aim:g}" if row.aim is not None else "-",
                row.verdict,
                f"{row.ns:.0f} ns",
            )
        )
    # A reason may stick out of its column: nothing stands behind it.
    widths = [
        max(len(line[n]) for line in lines if n < 2 or len(line) > 3) for n in range(len(lines[0]))
    ]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=False)).rstrip()
        for line in lines
    )
