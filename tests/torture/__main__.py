"""Torture by hand: ``python -m tests.torture [scenario [kind [point]]]``; without a point, every one."""

from __future__ import annotations

import sys
import time

from tests.clock import run_simulated
from tests.torture.rig import Kind, tortured
from tests.torture.scenarios import SCENARIOS


def main(arguments: list[str]) -> int:
    """Run what is named, or everything; return 0 where nothing was found."""
    names = arguments[:1] or list(SCENARIOS)
    kinds = {Kind(arguments[1])} if len(arguments) > 1 else set(Kind)
    total = problems = 0
    for name in names:

        def choose(kind: Kind, count: int) -> range | list[int]:
            if kind not in kinds:
                return []
            return [int(arguments[2])] if len(arguments) > 2 else range(1, count + 1)

        began = time.monotonic()
        outcome = run_simulated(tortured(SCENARIOS[name], choose))
        for kind, (count, found) in outcome.items():
            if kind in kinds:
                print(f"{name}: {kind.value}: {count} points, {len(found)} problems", flush=True)
                print("\n".join(found))
                total += count
                problems += len(found)
        print(f"{name}: {time.monotonic() - began:.1f} s", flush=True)
    print(f"{total} points, {problems} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
