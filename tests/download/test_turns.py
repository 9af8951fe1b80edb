"""Two at a time, first come first served (docs/faults.md row 67)."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from nvrclient.turns import Turn, Turns


async def settle() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


async def test_in_the_order_of_asking() -> None:
    turns, running, order = Turns(2), 0, list[int]()

    async def one(number: int) -> None:
        nonlocal running
        turn = await turns.take()
        running += 1
        assert running <= 2
        order.append(number)
        await asyncio.sleep(0.001 * (number % 3))
        running -= 1
        turn.end()
        turn.end()

    await asyncio.gather(*(one(number) for number in range(20)))
    assert order == list(range(20))


async def test_one_that_asks_again_goes_to_the_end() -> None:
    turns, order = Turns(2), list[str]()

    async def hours(name: str, count: int) -> None:
        for _ in range(count):
            turn = await turns.take()
            order.append(name)
            await asyncio.sleep(0.002)
            turn.end()

    await asyncio.gather(*(hours(name, 3) for name in "abcd"))
    assert "".join(order) == "abcdabcdabcd"


async def test_who_is_refused_is_not_overtaken() -> None:
    turns = Turns(2)
    first, second = await turns.take(), await turns.take()
    third = asyncio.ensure_future(turns.take())
    second.refused()
    first.end()
    await settle()
    assert not third.done()
    fourth = asyncio.ensure_future(turns.take())
    second.accepted()
    await settle()
    assert third.done()
    assert not fourth.done()
    third.result().refused()
    third.result().end()  # gave up: those behind it go on
    assert await fourth
    second.end()
    fourth.result().end()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("tecra"), st.integers(0, 9), st.booleans()), max_size=60))
def test_no_place_is_lost_or_doubled(steps: list[tuple[str, int, bool]]) -> None:
    """Taken, ended, cancelled (also just as the turn comes), refused and accepted in any order."""

    async def run() -> None:
        turns, held = Turns(2), list[Turn]()
        waiting: list[asyncio.Task[Turn]] = []

        def collect() -> None:
            for task in [task for task in waiting if task.done()]:
                waiting.remove(task)
                if not task.cancelled():
                    held.append(task.result())

        for step, index, at_once in steps:
            if step == "t":
                waiting.append(asyncio.ensure_future(turns.take()))
            elif step == "c" and waiting:
                waiting[index % len(waiting)].cancel()
            elif held and step == "e":
                held.pop(index % len(held)).end()
            elif held and step == "r":
                held[index % len(held)].refused()
            elif held and step == "a":
                held[index % len(held)].accepted()
            if not at_once:
                await settle()
                collect()
                assert len(held) <= 2
        await settle()
        collect()
        for task in waiting:
            task.cancel()
        await settle()
        for turn in held:
            turn.end()
        async with asyncio.timeout(1):
            both = [await turns.take(), await turns.take()]
        assert len(both) == 2

    asyncio.run(run())
