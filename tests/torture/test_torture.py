"""Row 70: whatever a caller does can be cancelled, once and twice, or run into a deadline at any moment, and any system
call may fail.

Afterwards nothing is left (tasks, threads, open files, UIDs, streams), nothing but CancelledError or an NVRError reached
the caller, nothing went wrong unseen, and the next call works. See `rig` for how it is judged, `steps` and
`system_calls` for what a point is.

CI tries some points of each scenario and kind, chosen by a seed, in asyncio's debug mode. All of them, more than 2,000,
with their numbers:

    NVRCLIENT_LONG=1 python -m pytest -q -n0 -s tests/torture --timeout 1200 --show-capture=no

One alone: ``python -m tests.torture "live UDP" OSError 5``, as a failure says.
"""

from __future__ import annotations

import asyncio
import os
import random

import pytest

from tests.clock import run_simulated
from tests.torture.rig import Choice, Kind, tortured
from tests.torture.scenarios import SCENARIOS, Scenario, Stage, frames

LONG = bool(os.environ.get("NVRCLIENT_LONG"))

SAMPLE = {Kind.CANCELLED: 8, Kind.CANCELLED_TWICE: 8, Kind.OS_ERROR: 8, Kind.TIMED_OUT: 2}
"""Points of each scenario in CI; running into a deadline is another cancellation, a turn of the loop later."""

LEAST = 2000
"""Points in the long form, in all."""

_tried: dict[str, int] = {}


def run(scenario: Scenario, choose: Choice) -> dict[Kind, tuple[int, list[str]]]:
    """Torture a scenario."""
    return run_simulated(tortured(scenario, choose))


@pytest.mark.parametrize("name", SCENARIOS)
def test_row_70_nothing_is_left_and_the_next_call_works(name: str) -> None:
    def choose(kind: Kind, count: int) -> list[int]:
        every = range(1, count + 1)
        if LONG:
            return list(every)
        wanted = 2 if SCENARIOS[name].akin else SAMPLE[kind]
        return random.Random(f"{name} {kind}").sample(every, min(wanted, count))

    outcome = run(SCENARIOS[name], choose)
    for kind, (count, _) in outcome.items():
        if LONG:
            print(f"\n{name}: {kind.value}: {count} points", end="")
        assert count >= (2 if SCENARIOS[name].akin else min(SAMPLE[kind], 5)), (name, kind)
    _tried[name] = sum(count for count, _ in outcome.values())
    problems = [one for _, found in outcome.values() for one in found]
    assert not problems, f"{len(problems)} of {_tried[name]} points:\n" + "\n".join(problems)


@pytest.mark.skipif(not LONG, reason="counts the points of the long form")
def test_row_70_more_than_two_thousand_points() -> None:
    print(f"\n{sum(_tried.values())} points in all", end="")
    assert set(_tried) == set(SCENARIOS), "run it with the tests before it, in one process"
    assert sum(_tried.values()) >= LEAST


# The rig finds what it is there for

_left: list[asyncio.Future[None]] = []


async def _leaves_a_stream(stage: Stage) -> None:
    stream = await stage.nvr.camera(1).live("h264")
    await frames(stream, 1)  # cancelled here, or failing, nobody closes it
    await stream.aclose()


async def _leaves_a_task(stage: Stage) -> None:
    async with stage.nvr.camera(1).live("h264") as stream:
        try:
            await frames(stream, 2)
        except asyncio.CancelledError:
            _left.append(asyncio.ensure_future(asyncio.sleep(50)))
            raise


async def _lets_errors_through(stage: Stage) -> None:
    try:
        async with stage.nvr.camera(1).live("h264") as stream:
            await frames(stream, 2)
    except Exception as error:
        raise OSError("as it came") from error


async def _swallows_a_cancellation(stage: Stage) -> None:
    try:
        async with stage.nvr.camera(1).live("h264") as stream:
            await frames(stream, 2)
    except asyncio.CancelledError:
        pass


@pytest.mark.parametrize(
    ("work", "kind", "what"),
    [
        (_leaves_a_stream, Kind.CANCELLED, "left: <Stream"),
        (_leaves_a_task, Kind.CANCELLED, "left: task"),
        (_lets_errors_through, Kind.OS_ERROR, "as it came"),
        (_swallows_a_cancellation, Kind.CANCELLED_TWICE, "it ended by None"),
    ],
)
def test_the_rig_finds(work, kind: Kind, what: str) -> None:  # type: ignore[no-untyped-def]
    """Callers that do what the client must not do are found."""
    wrong = Scenario("a caller's mistake", work)
    outcome = run(wrong, lambda one, count: range(1, count + 1, 2) if one is kind else [])
    assert any(what in problem for problem in outcome[kind][1])
