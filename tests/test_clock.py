"""The simulated clock itself: it jumps, stands still where it must, and loses nothing of real sockets."""

from __future__ import annotations

import asyncio
import socket
import sys
import time

import pytest
from anyio import to_thread

from tests.clock import SimulatedClockLoop, run_simulated, simulated_clock


def test_hours_pass_at_once() -> None:
    async def scenario() -> None:
        clock = simulated_clock()
        began, really = clock.time(), time.monotonic()
        await asyncio.sleep(24 * 3600)
        assert clock.time() - began == pytest.approx(24 * 3600)
        assert time.monotonic() - really < 1.0

    run_simulated(scenario())


def test_timers_fire_in_order_at_their_times() -> None:
    async def scenario() -> None:
        clock = simulated_clock()
        began = clock.time()
        seen: list[float] = []
        for delay in (7.0, 0.25, 86_400.0, 3.5, 0.001):
            clock.call_later(delay, lambda: seen.append(clock.time() - began))
        await asyncio.sleep(90_000)
        assert seen == pytest.approx([0.001, 0.25, 3.5, 7.0, 86_400.0])

    run_simulated(scenario())


@pytest.mark.parametrize("cancelled", [False, True])
def test_it_stands_still_while_a_thread_works(cancelled: bool) -> None:
    """Also for a job whose waiter has gone: it goes on in the thread."""

    async def scenario() -> None:
        clock = simulated_clock()
        began = clock.time()
        job = asyncio.ensure_future(asyncio.to_thread(time.sleep, 0.2))
        await asyncio.sleep(0)
        if cancelled:
            job.cancel()
        really = time.monotonic()
        await asyncio.sleep(1.0)
        assert time.monotonic() - really > 0.15
        assert clock.time() - began == pytest.approx(1.0)
        await asyncio.gather(job, return_exceptions=True)

    run_simulated(scenario())


def test_a_thread_is_faster_than_any_deadline() -> None:
    """Fifty jobs of a thread under a deadline of a millisecond: none runs into it."""

    async def scenario() -> None:
        for _ in range(50):
            async with asyncio.timeout(0.001):
                await asyncio.to_thread(time.sleep, 0.002)

    run_simulated(scenario())


def test_it_stands_still_while_a_thread_of_anyio_works() -> None:
    async def scenario() -> None:
        began = simulated_clock().time()
        for _ in range(3):
            async with asyncio.timeout(0.001):
                await to_thread.run_sync(time.sleep, 0.02)
        assert simulated_clock().time() == began

    run_simulated(scenario())


def test_it_stands_still_while_a_child_process_runs() -> None:
    async def scenario() -> None:
        clock = simulated_clock()
        began = clock.time()
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "import time; time.sleep(0.2)"
        )
        async with asyncio.timeout(0.001):
            assert await child.wait() == 0
        assert clock.time() == began
        await asyncio.sleep(5)
        assert clock.time() - began == pytest.approx(5)

    run_simulated(scenario())


def test_sockets_are_faster_than_any_deadline() -> None:
    """What is under way between two sockets of this process arrives before time moves."""

    async def scenario() -> None:
        loop = asyncio.get_running_loop()

        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(65536):
                writer.write(data)
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        one, other = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        for each in (one, other):
            each.setblocking(False)
            each.bind(("127.0.0.1", 0))
        for size in (1, 1000, 60_000) * 50:
            async with asyncio.timeout(0.001):
                writer.write(bytes(size))
                await reader.readexactly(size)
            async with asyncio.timeout(0.001):
                waiting = asyncio.ensure_future(loop.sock_recv(other, 65_536))
                await asyncio.sleep(0)
                one.sendto(bytes(size), other.getsockname())
                assert len(await waiting) == size
        for each in (one, other):
            each.close()
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    run_simulated(scenario())


def test_three_clocks_move_apart() -> None:
    async def scenario() -> None:
        clock = simulated_clock()
        wall, mono, boot = clock.wall(), clock.time(), clock.boot_time()

        def passed() -> tuple[float, float, float]:
            return (
                round(clock.wall() - wall, 3),
                round(clock.time() - mono, 3),
                round(clock.boot_time() - boot, 3),
            )

        await asyncio.sleep(10)
        assert passed() == (10, 10, 10)
        clock.set_wall(clock.wall() - 3600)
        assert passed() == (-3590, 10, 10)
        clock.sleep(600)
        assert passed() == (-2990, 10, 610)
        clock.advance(30)
        assert passed() == (-2960, 40, 640)

    run_simulated(scenario())


def test_an_exception_of_a_job_arrives() -> None:
    async def scenario() -> None:
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)
        assert not simulated_clock().is_waiting

    run_simulated(scenario())


def test_sixty_thousand_events_a_second() -> None:
    """Timers one after the other, each a jump of its own; the best of five tries, of processor time."""

    async def ticks(count: int) -> float:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        left = count

        def tick() -> None:
            nonlocal left
            left -= 1
            if left:
                loop.call_later(0.01, tick)
            else:
                done.set_result(None)

        began = time.process_time()
        loop.call_soon(tick)
        await done
        return count / (time.process_time() - began)

    def rate() -> float:
        with asyncio.Runner(loop_factory=SimulatedClockLoop) as runner:
            return runner.run(ticks(20_000))

    rates = [rate() for _ in range(5)]
    assert max(rates) >= 60_000, rates
