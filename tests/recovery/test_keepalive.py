"""KeepAlive on its own: on time, every 5 s after a failure, and gone only when the recorder says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvrclient import ConnectionFailedError, ProtocolError
from nvrclient.keepalive import RETRY, KeepAlive
from nvrclient.reach import PROBE_INTERVAL, Reach
from nvrclient.uids import UID_LIFETIME, UidGoneError
from tests.clock import run_simulated, simulated_clock

LOST = ConnectionFailedError("no answer")


class Line:
    """What `send` meets: `answer(n)` returns what the n-th keep-alive ends with after `takes` seconds."""

    def __init__(
        self,
        answer: Callable[[int], Exception | None] = lambda _number: None,
        *,
        takes: float = 0.0,
        interval: float = 60.0,
    ) -> None:
        self.times: list[float] = []
        self.takes = takes
        self.answer = answer
        self.reach = Reach()
        self.alive_at = 1e9  # its streams bring pictures
        self.keeper = KeepAlive("UID #1", interval, self.reach, self._send, lambda: self.alive_at)
        self.task = asyncio.create_task(self.keeper.run())

    async def _send(self) -> None:
        self.times.append(simulated_clock().time() - 1000.0)
        await asyncio.sleep(self.takes)
        error = self.answer(len(self.times))
        if error is not None:
            raise error

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.wait((self.task,))


def test_on_time_for_a_day_however_slow_the_answers() -> None:
    async def scenario() -> None:
        line = Line(takes=3.0)
        await asyncio.sleep(86404)
        assert line.times == [60.0 * n for n in range(1, 1441)], "it drifts"
        assert (line.keeper.answered, line.keeper.failed) == (1440, 0)
        await line.end()

    run_simulated(scenario(), debug=False)


def test_row_22_every_five_seconds_after_a_failure() -> None:
    async def scenario() -> None:
        line = Line(lambda number: LOST if number <= 4 else None)
        await asyncio.sleep(200)
        assert line.times[:5] == [60.0, 65.0, 70.0, 75.0, 80.0]
        assert line.times[5] == pytest.approx(140.0)
        assert (line.keeper.answered, line.keeper.failed) == (2, 4)
        assert not line.task.done()
        await line.end()

    run_simulated(scenario())


def test_row_22_nothing_but_a_401_ends_it_while_it_shows_life() -> None:
    async def scenario() -> None:
        answers = [LOST, ProtocolError("garbage", reading="x", offset=0, head=b""), LOST]
        line = Line(lambda number: [*answers, *[LOST] * 100, UidGoneError()][number - 1])
        await asyncio.sleep(60 + 5 * 100)
        assert not line.task.done(), "silence proves nothing"
        await asyncio.sleep(60)
        assert line.task.done()
        line.task.result()
        assert line.keeper.failed == 103

    run_simulated(scenario())


@pytest.mark.parametrize(
    ("error", "last"),
    [(ProtocolError("a login page", reading="x", offset=0, head=b""), 90.0), (LOST, 120.0)],
)
def test_row_22_without_life_a_refusal_ends_it_at_90_s_and_silence_at_120(
    error: Exception, last: float
) -> None:
    async def scenario() -> None:
        line = Line(lambda _number: error)
        line.alive_at = simulated_clock().time()
        await asyncio.sleep(300)
        assert line.task.done()
        assert line.times[-1] == last

    run_simulated(scenario())


def test_a_bug_is_not_hidden() -> None:
    async def scenario() -> None:
        line = Line(lambda _number: KeyError("bug"))
        await asyncio.sleep(61)
        with pytest.raises(KeyError):
            line.task.result()

    run_simulated(scenario())


def test_hurry() -> None:
    async def scenario() -> None:
        line = Line()
        await asyncio.sleep(20)
        line.keeper.hurry()
        line.keeper.hurry()
        await asyncio.sleep(1)
        assert line.times == [20.0]
        await asyncio.sleep(100)
        assert max(after - before for before, after in pairwise([0.0, *line.times])) <= 100.0
        assert line.keeper.failed == 0
        await line.end()

    run_simulated(scenario())


def test_short_intervals_are_tried_again_no_later() -> None:
    async def scenario() -> None:
        line = Line(lambda number: LOST if number < 3 else None, interval=2.0)
        await asyncio.sleep(7)
        assert line.times == [2.0, 4.0, 6.0]
        await line.end()

    run_simulated(scenario())


def test_in_doubt_it_waits_for_its_turn() -> None:
    async def scenario() -> None:
        line = Line()
        await asyncio.sleep(59)
        line.reach.doubt()
        async with line.reach.turn():
            await asyncio.sleep(3)  # another's turn, not answered
        await asyncio.sleep(10)
        assert line.times == [pytest.approx(59.0 + PROBE_INTERVAL)]
        await line.end()

    run_simulated(scenario())


@settings(max_examples=60, deadline=None)
@given(
    fails=st.lists(st.booleans(), min_size=1, max_size=200),
    takes=st.floats(0, 5),
)
def test_row_22_a_uid_lives_through_short_failures(fails: list[bool], takes: float) -> None:
    """As long as no more than four fail in a row, an answer comes every 90 s: whichever fail, however slowly."""

    async def scenario() -> None:
        answered = [0.0]

        def answer(number: int) -> Exception | None:
            lately = fails[max(0, number - 5) : number]
            if (
                number <= len(fails)
                and fails[number - 1]
                and not (len(lately) == 5 and all(lately))
            ):
                return LOST
            answered.append(simulated_clock().time() - 1000.0)
            return None

        line = Line(answer, takes=takes)
        # Reach is another's test: here the recorder is there, and answers somebody else all the time.
        while len(line.times) <= len(fails):
            await asyncio.sleep(30)
        most = max(after - before for before, after in pairwise(answered))
        assert most <= 60 + 4 * RETRY + takes + 0.1 < UID_LIFETIME
        await line.end()

    run_simulated(scenario(), debug=False)
