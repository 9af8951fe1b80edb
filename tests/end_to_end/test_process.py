"""Processes that end as processes do: killed, interrupted, forked; and event loops that are not the session's.

Each runs a real child process against a simulated recorder on loopback. The kill by its full figures (UIDs live 9 s):
``NVRCLIENT_LONG=1 python -m pytest -n0 tests/end_to_end/test_process.py -k row_15``
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nvrclient
from nvrclient import LiveStream, Session, SessionLimitError
from nvrclient.simulator import Readings, SimulatedRecorder
from tests.end_to_end.servers import logs_in, serving
from tests.end_to_end.test_live_video import take
from tests.secrets import PASSWORD

UID_LIFETIME, PATIENCE = (9.0, 10.5) if os.environ.get("NVRCLIENT_LONG") else (4.0, 7.0)
"""Seconds a UID lives after the last command, and until a new client works after the death of their owner."""

PREPARED = """
import asyncio, gc, os, signal, sys, time
import nvrclient
url, password = sys.argv[1:]
"""


def recorder_of(**options: object) -> SimulatedRecorder:
    return SimulatedRecorder(password=PASSWORD, **options)  # type: ignore[arg-type]


@asynccontextmanager
async def child(code: str, url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program in a process of its own, which is given `url` and `password`; it is killed if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-u", "-c", PREPARED + textwrap.dedent(code)),
        *(url, PASSWORD),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def told(process: asyncio.subprocess.Process) -> str:
    """Return the next line that the program prints."""
    assert process.stdout is not None
    async with asyncio.timeout(20):
        return (await process.stdout.readline()).decode().strip()


async def rest(process: asyncio.subprocess.Process) -> str:
    """Wait for the program's end; return what else it printed."""
    async with asyncio.timeout(20):
        out, _ = await process.communicate()
    return out.decode()


# Killed


async def test_row_15_a_new_client_works_soon_after_kill_9() -> None:
    """All 16 UIDs are held by a process that is killed; to follow ``retry_after`` is enough."""
    recorder = recorder_of(uid_lifetime=UID_LIFETIME, readings=Readings(full_is_busy=True))
    hold = """
        async def main():
            async with nvrclient.connect(url, "ADMIN", password, max_uids=16, keepalive=1.0) as nvr:
                streams = [await nvr.camera(1).live("h264", shared=False) for _ in range(16)]
                await asyncio.gather(*[anext(stream) for stream in streams])
                print("full", flush=True)
                await asyncio.sleep(60)

        asyncio.run(main())
        """
    async with recorder, child(hold, recorder.url) as process:
        assert await told(process) == "full"
        assert len(recorder.uids) == 16
        process.kill()
        await process.wait()
        killed = time.monotonic()
        refused = 0
        nvr: Session | None = None
        while nvr is None:
            try:
                nvr = await nvrclient.connect(recorder.url, "ADMIN", PASSWORD)
            except SessionLimitError as full:
                refused += 1
                await asyncio.sleep(full.retry_after or 0)
        async with nvr.camera(1).live("h264") as stream:
            await take(stream, 1)
        assert time.monotonic() - killed < PATIENCE
        assert refused > 0
        await nvr.aclose()
        assert recorder.uids == ()


# Ctrl-C

WATCH = """
    async def main():
        async with nvrclient.connect(url, "ADMIN", password) as nvr:
            async with nvr.camera(1).live("h264") as stream:
                async for frame in stream:
                    print("frame", flush=True)

    asyncio.run(main())
    """


async def test_row_78_the_first_ctrl_c_stops_the_stream_and_logs_out() -> None:
    async with recorder_of() as recorder, child(WATCH, recorder.url) as process:
        assert await told(process) == "frame"
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        out = await rest(process)
        assert time.monotonic() - began < 2.0
        sent = [dict(request.params).get("CMD", request.cgi) for request in recorder.requests]
        assert sent[-2:] == ["STOP", "logout.cgi"]
        assert recorder.uids == ()
        assert out.rstrip().endswith("KeyboardInterrupt")
        assert "Warning" not in out
        assert process.returncode == -signal.SIGINT


async def test_row_78_ctrl_c_while_logging_in() -> None:
    """The recorder does not answer dlogin: nothing is owed to it."""
    asked, never = asyncio.Event(), asyncio.Event()

    async def silent(_request: bytes, _writer: asyncio.StreamWriter) -> None:
        asked.set()
        await never.wait()

    async with serving(silent) as (url, _), child(WATCH, url) as process:
        await asked.wait()
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        out = await rest(process)
        assert time.monotonic() - began < 3.0
        assert out.rstrip().endswith("KeyboardInterrupt")
        assert "Warning" not in out


async def test_row_78_a_second_ctrl_c_does_not_wait() -> None:
    """The recorder answers neither STOP nor logout: the first Ctrl-C waits for them a little, the second does not."""
    never = asyncio.Event()

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        plain = logs_in(request)
        if plain is None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace\r\n\r\n")
            opened.set()
        elif b"dlogin" in request or b"SCREEN" in request:
            writer.write(plain)
        else:
            stopping.set()
            await never.wait()

    opened, stopping = asyncio.Event(), asyncio.Event()
    async with serving(answer) as (url, _), child(WATCH, url) as process:
        await opened.wait()
        await asyncio.sleep(0.1)
        process.send_signal(signal.SIGINT)
        await stopping.wait()
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        out = await rest(process)
        assert time.monotonic() - began < 1.3  # waiting for the session takes 1.5
        assert out.rstrip().endswith("KeyboardInterrupt")
        assert "Warning" not in out


# Other event loops and processes


def test_row_78_a_loop_that_stands_still_between_the_cells_of_a_notebook() -> None:
    """IPython runs each cell by ``run_until_complete``: nothing turns the loop in between."""
    loop = asyncio.new_event_loop()
    try:
        cell = loop.run_until_complete
        recorder = cell(_started(recorder_of(pace=2.0)))
        nvr: Session = cell(_opened(recorder.url))
        stream: LiveStream = cell(_watched(nvr))
        first = cell(anext(stream))
        time.sleep(0.5)
        assert cell(_count(stream, 5)) == 5
        assert stream.state == "live"
        assert stream.stats.reconnects == 0
        assert first is not None
        cell(stream.aclose())
        cell(nvr.aclose())
        assert recorder.uids == ()
        cell(recorder.aclose())
        cell(asyncio.sleep(0.05))
    finally:
        loop.close()


async def _started(recorder: SimulatedRecorder) -> SimulatedRecorder:
    return await recorder.start()


async def _opened(url: str) -> Session:
    return await nvrclient.connect(url, "ADMIN", PASSWORD)


async def _watched(nvr: Session) -> LiveStream:
    return await nvr.camera(1).live("h264")


async def _count(stream: LiveStream, count: int) -> int:
    return len(await take(stream, count))


async def test_row_78_a_session_of_an_earlier_asyncio_run() -> None:
    use = """
        async def first():
            nvr = await nvrclient.connect(url, "ADMIN", password)
            stream = await nvr.camera(1).live("h264")
            playback = await nvr.camera(2).playback()
            await anext(stream)
            return nvr, stream, playback

        async def second(nvr, stream, playback):
            for use in (
                lambda: nvr.camera(1),
                lambda: anext(stream),
                lambda: anext(playback),
                lambda: playback.pause(),
                lambda: nvr.cameras(),
            ):
                try:
                    await use()
                except RuntimeError as error:
                    assert "another event loop" in str(error), error
                else:
                    raise AssertionError

        nvr, stream, playback = asyncio.run(first())
        asyncio.run(second(nvr, stream, playback))
        print("fine", flush=True)
        os._exit(0)  # nobody closed it: ResourceWarning, which is row 72's business
        """
    async with recorder_of() as recorder, child(use, recorder.url) as process:
        assert await rest(process) == "fine\n"


async def test_row_78_closing_what_belongs_to_an_earlier_asyncio_run() -> None:
    """It cannot be closed any more; that is said, and nothing is left half begun."""
    use = """
        async def first():
            nvr = await nvrclient.connect(url, "ADMIN", password)
            stream = await nvr.camera(1).live("h264")
            playback = await nvr.camera(2).playback()
            await anext(stream)
            return nvr, stream, playback

        async def second(*opened):
            for one in opened:
                try:
                    await one.aclose()
                except RuntimeError as error:
                    assert "another event loop" in str(error), error
                else:
                    raise AssertionError

        opened = asyncio.run(first())
        asyncio.run(second(*opened))
        gc.collect()
        print("fine", flush=True)
        os._exit(0)
        """
    async with recorder_of() as recorder, child(use, recorder.url) as process:
        assert await rest(process) == "fine\n"


async def test_row_78_a_session_does_not_work_in_a_forked_process() -> None:
    """Neither does it hang there, nor do the parent's streams notice."""
    use = """
        import multiprocessing

        async def elsewhere(nvr, stream):
            for use in (lambda: nvr.camera(1), lambda: nvr.cameras(), lambda: anext(stream)):
                try:
                    await use()
                except RuntimeError as error:
                    assert "process" in str(error) or "event loop" in str(error), error
                else:
                    raise AssertionError
            print("refused", flush=True)

        def in_child(nvr, stream):
            asyncio.run(elsewhere(nvr, stream))
            gc.collect()

        async def main():
            async with nvrclient.connect(url, "ADMIN", password) as nvr:
                async with nvr.camera(1).live("h264") as stream:
                    await anext(stream)
                    fork = multiprocessing.get_context("fork")
                    process = fork.Process(target=in_child, args=(nvr, stream))
                    process.start()
                    await asyncio.to_thread(process.join, 10)
                    assert process.exitcode == 0, process.exitcode
                    for _ in range(10):
                        await anext(stream)
                    print(stream.state, stream.stats.reconnects, flush=True)

        asyncio.run(main())
        """
    async with recorder_of(pace=4.0) as recorder, child(use, recorder.url) as process:
        assert await rest(process) == "refused\nlive 0\n"
        assert recorder.logins == 1
        assert recorder.uids == ()
