"""Every way to leave: cancelled anywhere, dropped, closed while the peer is frozen, dead or flooding; again and again.

The long forms, a thousand runs of each way (some minutes):
``NVRCLIENT_LONG=1 python -m pytest -n0 -p no:logging tests/end_to_end/test_leaving.py -k "row_16 or row_74" --timeout 1800``
(without what pytest keeps of a million log records).
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import signal
import socket
import ssl
import sys
import threading
import time
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

import nvrclient
from nvrclient import Session
from nvrclient.simulator import AnswerFault, DownloadReadings, Readings, SimulatedRecorder
from tests.end_to_end.servers import logs_in, serving
from tests.end_to_end.test_live_video import take, watching
from tests.end_to_end.test_process import child
from tests.secrets import PASSWORD

LONG = bool(os.environ.get("NVRCLIENT_LONG"))
WAYS = ("http", "https", "udp")
CLOSING = 2.0
"""Seconds that leaving may take, whatever the recorder does."""


def recorder_of(**options: Any) -> SimulatedRecorder:
    slow = Readings(downloads=DownloadReadings(file_size=3_000_000, bytes_per_second=5e6))
    return SimulatedRecorder(password=PASSWORD, **{"pace": 8.0, "readings": slow, **options})


def connected(recorder: SimulatedRecorder, **options: Any) -> Session:
    return nvrclient.connect(
        recorder.url, "ADMIN", PASSWORD, verify=recorder.certificate or True, **options
    )


def ago(minutes: float) -> datetime:
    return datetime.now(UTC) - timedelta(minutes=minutes)


async def freed(recorder: SimulatedRecorder, uids: int = 0) -> None:
    """Wait until the recorder holds no stream, no download and no more UIDs than that."""
    async with asyncio.timeout(CLOSING):
        while recorder.streams or recorder.downloads or len(recorder.uids) > uids:
            await asyncio.sleep(0.01)


# Cancelled


@pytest.mark.parametrize("way", WAYS)
async def test_row_16_cancelled_at_a_random_moment(way: str) -> None:
    """Whatever is under way, and whether cancelled once, twice or left by an exception: the recorder holds nothing."""
    rounds, dice = (334 if LONG else 3), random.Random(way)

    async def uses(recorder: SimulatedRecorder) -> None:
        transport = "udp" if way == "udp" else "http"
        async with connected(recorder) as nvr:
            async with nvr.camera(1).live("h264", transport=transport, audio=True) as stream:  # type: ignore[arg-type]
                await take(stream, 2)
                async with nvr.camera(2).playback(ago(10), speed=None) as playback:
                    await anext(playback)
                    async with nvr.camera(3).open_download(ago(60), ago(50)) as files:
                        await anext(files)
                        async with nvr.camera(1).moving(pan=3):
                            await asyncio.sleep(0.05)
                            if dice.random() < 0.2:
                                raise KeyError("the caller's")

    async with recorder_of(tls=way == "https") as recorder:
        began = time.monotonic()
        with suppress(KeyError):
            await uses(recorder)
        whole = time.monotonic() - began
        for _ in range(rounds):
            task = asyncio.create_task(uses(recorder))
            await asyncio.sleep(dice.uniform(0.0, whole))
            left_at = time.monotonic()
            for _ in range(dice.choice((1, 2))):
                task.cancel()
                await asyncio.sleep(dice.choice((0.0, 0.001, 0.01)))
            await asyncio.gather(task, return_exceptions=True)
            await freed(recorder)
            assert time.monotonic() - left_at < CLOSING
        assert recorder.violations == []
        moving = [recorder.camera_motion(number) for number in recorder.cameras]
        assert moving == [(0, 0, 0)] * len(moving)


@pytest.mark.parametrize("leave", ["scope", "group", "timeout in a scope", "closing cancelled"])
async def test_row_16_what_cancels_may_end_the_program_next(leave: str) -> None:
    """The session is through when its block is left: nobody may be there to wait for anything behind it."""

    async def use(recorder: SimulatedRecorder) -> None:
        async with connected(recorder) as nvr, nvr.camera(1).live("h264") as stream:
            await anext(stream)
            await asyncio.sleep(60)

    async with recorder_of() as recorder:
        if leave == "scope":
            with anyio.move_on_after(0.5):
                await use(recorder)
        elif leave == "timeout in a scope":
            with anyio.move_on_after(0.5):
                async with asyncio.timeout(30):
                    await use(recorder)
        elif leave == "group":
            with suppress(ExceptionGroup):
                async with anyio.create_task_group() as group:
                    group.start_soon(use, recorder)
                    await asyncio.sleep(0.5)
                    raise KeyError
        else:
            nvr = await connected(recorder)
            closing = asyncio.create_task(nvr.aclose())
            await asyncio.sleep(0)
            closing.cancel()
            with suppress(asyncio.CancelledError):
                await closing
        assert recorder.uids == ()


async def test_row_16_a_second_cancellation_leaves_at_once() -> None:
    async with recorder_of() as recorder:
        nvr = await connected(recorder)
        recorder.faults.spoil(AnswerFault.SLOW, "logout.cgi", delay=1.5)
        closing = asyncio.create_task(nvr.aclose())
        await asyncio.sleep(0.1)
        closing.cancel()
        assert not (await asyncio.wait((closing,), timeout=0.2))[0]
        closing.cancel()
        assert (await asyncio.wait((closing,), timeout=0.5))[0]
        await freed(recorder)
        await nvr.aclose()


# Closed, whatever the peer does


SERVES = """
import asyncio, sys
from nvrclient.simulator import SimulatedRecorder
async def main():
    async with SimulatedRecorder(password=sys.argv[1]) as recorder:
        print(recorder.url, flush=True)
        await asyncio.to_thread(sys.stdin.read)
asyncio.run(main())
"""


@asynccontextmanager
async def recorder_process() -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """A recorder in a process of its own, which can be frozen and killed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SERVES, PASSWORD),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip(), process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


@pytest.mark.parametrize("happens", [signal.SIGSTOP, signal.SIGKILL])
async def test_row_71_a_recorder_that_freezes_or_dies(happens: signal.Signals) -> None:
    """Everything is open; the session is closed twice, from other tasks than the one that opened it."""
    async with recorder_process() as (url, process), AsyncExitStack() as left_open:
        nvr = await nvrclient.connect(url, "ADMIN", PASSWORD)
        streams: list[nvrclient.LiveStream | nvrclient.Playback] = []

        async def consume(stream: nvrclient.LiveStream | nvrclient.Playback) -> None:
            async for _ in stream:
                pass

        for transport in ("http", "udp"):
            stream = await nvr.camera(1).live("h264", transport=transport, audio=True)  # type: ignore[arg-type]
            await take(stream, 1)
            streams.append(stream)
        streams.append(await nvr.camera(2).playback(ago(10)))
        loops = [asyncio.create_task(consume(stream)) for stream in streams]
        await left_open.enter_async_context(nvr.camera(1).moving(pan=3))
        process.send_signal(happens)
        await asyncio.sleep(0.1)
        began = time.monotonic()
        outcomes = await asyncio.gather(
            asyncio.create_task(nvr.aclose()), asyncio.create_task(nvr.aclose())
        )
        await nvr.aclose()
        assert time.monotonic() - began < CLOSING
        assert outcomes == [None, None]
        async with asyncio.timeout(1):
            await asyncio.gather(*loops)  # they ended, without an error
        for opened in streams:
            await opened.aclose()


async def test_row_71_closing_does_not_wait_for_a_frozen_peer() -> None:
    release = asyncio.Event()

    async def freezes(request: bytes, writer: asyncio.StreamWriter) -> None:
        plain = logs_in(request)
        if plain is None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace\r\n\r\n")
        elif b"dlogin" in request or b"hdrctl" in request:
            writer.write(plain)
        else:
            await release.wait()

    async with serving(freezes) as (url, _):
        nvr = await nvrclient.connect(url, "ADMIN", PASSWORD)
        stream = await nvr.camera(1).live("h264")
        waiting = asyncio.create_task(anext(stream, None))
        await asyncio.sleep(0.05)
        began = time.monotonic()
        await nvr.aclose()
        await stream.aclose()
        assert time.monotonic() - began < 2.0
        assert await waiting is None
        release.set()


async def test_row_71_closing_does_not_wait_for_a_frozen_tls_peer(tmp_path: Path) -> None:
    """A TLS server in a thread that logs the client in, starts a stream, and then never reads or writes again."""
    async with recorder_of(tls=True) as recorder:
        assert recorder.certificate
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        pem = Path(recorder.certificate)
        keys = list(pem.parent.glob("*"))
        for key in keys:
            try:
                context.load_cert_chain(pem, key)
            except ssl.SSLError:
                continue
            break
        listener = socket.create_server(("127.0.0.1", 0))
        frozen: list[socket.socket] = []

        def talk(plain: socket.socket) -> None:
            try:
                connection = context.wrap_socket(plain, server_side=True)
                frozen.append(connection)
                while request := connection.recv(65536):
                    answer = logs_in(request)
                    if b"STOP" in request or b"logout" in request:
                        return  # frozen: the connection stays open and nobody reads it
                    if answer is None:
                        connection.sendall(
                            b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace\r\n\r\n"
                        )
                        return
                    connection.sendall(answer)
            except OSError:
                plain.close()

        def serve() -> None:
            while True:
                try:
                    plain, _ = listener.accept()
                except OSError:
                    return
                talkers.append(threading.Thread(target=talk, args=(plain,)))
                talkers[-1].start()

        talkers: list[threading.Thread] = []
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            url = f"https://127.0.0.1:{listener.getsockname()[1]}"
            nvr = await nvrclient.connect(url, "ADMIN", PASSWORD, verify=recorder.certificate)
            stream = await nvr.camera(1).live("h264")
            began = time.monotonic()
            await nvr.aclose()
            assert time.monotonic() - began < 2.0
            await stream.aclose()
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            for connection in frozen:
                connection.close()
            for ended in (thread, *talkers):
                ended.join()


async def test_row_71_closing_while_reconnecting() -> None:
    recorder = recorder_of()
    async with recorder:
        nvr = await nvrclient.connect(recorder.url, "ADMIN", PASSWORD, stall_timeout=0.3)
        stream = await nvr.camera(1).live("h264")
        await take(stream, 2)
        await recorder._server.aclose()  # type: ignore[union-attr]
        async with asyncio.timeout(5):
            while stream.state != "reconnecting":
                await asyncio.sleep(0.02)
        began = time.monotonic()
        await asyncio.gather(nvr.aclose(), nvr.aclose(), stream.aclose())
        assert time.monotonic() - began < 2.0
        assert stream.state == "closed"
        left = [item async for item in stream]
        assert left == []


async def test_row_71_a_peer_that_floods() -> None:
    """What it sends never ends, in answer to STOP and logout too."""
    part = b"--x\r\nContent-Type: application/octet-stream\r\nContent-Length: 12\r\n\r\n" + bytes(
        12
    )
    flooded: list[int] = []

    async def floods(request: bytes, writer: asyncio.StreamWriter) -> None:
        plain = logs_in(request)
        if plain is not None and (b"dlogin" in request or b"SCREEN" in request):
            writer.write(plain)
            return
        flooded.append(0)
        kind = b"multipart/x-mixed-replace" if plain is None else b"text/html"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: " + kind + b"\r\n\r\n")
        while True:
            writer.write((part + b"\r\n") * 200)
            await writer.drain()
            flooded[-1] += 200

    async with serving(floods) as (url, _):
        nvr = await nvrclient.connect(url, "ADMIN", PASSWORD)
        stream = await nvr.camera(1).live("h264")
        await asyncio.sleep(0.2)
        began = time.monotonic()
        await stream.aclose()
        assert time.monotonic() - began < CLOSING
        began = time.monotonic()
        await nvr.aclose()
        assert time.monotonic() - began < CLOSING
    assert flooded[0] > 1000


# Dropped without being closed


async def _live(nvr: Session) -> object:
    stream = await nvr.camera(1).live("h264")
    await anext(stream)
    return stream


async def _udp(nvr: Session) -> object:
    stream = await nvr.camera(1).live("h264", transport="udp", audio=True)
    await anext(stream)
    return stream


async def _left_by_break(nvr: Session) -> object:
    stream = await nvr.camera(1).live("h264")
    async for _ in stream.video():
        break
    return stream


async def _playback(nvr: Session) -> object:
    playback = await nvr.camera(2).playback(ago(10), audio=True)
    await anext(playback)
    return playback


async def _download(nvr: Session) -> object:
    files = await nvr.camera(1).open_download(ago(60), ago(30))
    file = await anext(files)
    await anext(file)
    return files, file


HANDLES: dict[str, Callable[[Session], Awaitable[object]]] = {
    "live over http": _live,
    "live over udp": _udp,
    "live, left by break": _left_by_break,
    "playback": _playback,
    "download": _download,
}


class Ring:
    """Holds what is dropped in a cycle, so that only the collector finds it, in whatever thread it runs."""

    def __init__(self, held: object) -> None:
        self.held, self.ring = held, self


@pytest.mark.parametrize("name", HANDLES)
async def test_row_72_a_handle_dropped_without_close(name: str) -> None:
    recorder = recorder_of()
    async with watching(recorder, command_interval=0) as nvr:
        with pytest.warns(ResourceWarning, match=r"dropped without aclose\(\)"):
            await HANDLES[name](nvr)
            gc.collect()
        await freed(recorder, uids=1)
        ring = Ring(await HANDLES[name](nvr))
        with pytest.warns(ResourceWarning, match=r"dropped without aclose\(\)"):
            del ring
            await asyncio.to_thread(gc.collect)
        await freed(recorder, uids=1)
        assert nvr.is_open


async def test_row_72_a_session_dropped_with_everything_in_it() -> None:
    recorder = recorder_of()
    async with recorder:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            nvr = await connected(recorder, command_interval=0)
            held = Ring([nvr, *[await make(nvr) for make in HANDLES.values()]])
            assert len(recorder.streams) >= 2
            del nvr, held
            gc.collect()
            await freed(recorder)
            await asyncio.sleep(0.05)
        told = [str(one.message) for one in caught if one.category is ResourceWarning]
        assert len(told) == len(HANDLES) + 1, told
        assert all("dropped without aclose()" in text for text in told)


async def test_row_72_what_was_never_opened_is_dropped_in_silence() -> None:
    recorder = recorder_of()
    async with watching(recorder) as nvr:
        sent = len(recorder.requests)
        camera = nvr.camera(1)
        unopened = [
            nvrclient.connect(recorder.url, "ADMIN", PASSWORD),
            camera.live(),
            camera.playback(),
            camera.open_download(ago(60), ago(30)),
            camera.moving(pan=3),
        ]
        del unopened, camera
        gc.collect()
        await asyncio.sleep(0.05)
        assert len(recorder.requests) == sent


async def test_row_72_a_held_move_in_a_generator_that_is_dropped() -> None:
    recorder = recorder_of()
    async with watching(recorder) as nvr:

        async def holding() -> AsyncGenerator[None]:
            async with nvr.camera(1).moving(pan=5):
                yield

        generator = holding()
        await anext(generator)
        assert recorder.camera_motion(1) == (5, 0, 0)
        del generator
        gc.collect()
        async with asyncio.timeout(CLOSING):
            while recorder.camera_motion(1) != (0, 0, 0):
                await asyncio.sleep(0.01)


# Again and again

CYCLES = """
async def once(way):
    transport = "udp" if way == "udp" else "http"
    async with nvrclient.connect(url, "ADMIN", password, verify=verify) as nvr:
        async with nvr.camera(1).live("h264", transport=transport) as stream:
            await anext(stream)
            await anext(stream)

def held():
    gc.collect()
    return {
        "tasks": len(asyncio.all_tasks()),
        "descriptors": sorted(os.listdir("/proc/self/fd")),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "heap": tracemalloc.get_traced_memory()[0],
    }

async def main():
    for _ in range(warm_up):
        await once(way)
    gc.collect()
    tracemalloc.start()
    await once(way)
    before = held()
    for _ in range(rounds):
        await once(way)
    print(json.dumps([before, held()]), flush=True)

import gc, json, os, threading, tracemalloc
way, verify, warm_up, rounds = {arguments}
asyncio.run(main())
"""


@pytest.mark.parametrize("way", WAYS)
async def test_row_74_sessions_one_after_the_other_leave_nothing(way: str) -> None:
    """Connect, stream, close: no task, descriptor, thread or UID is left, and of the heap 100 KiB at most.

    In a process without a test runner, which keeps what is logged.
    """
    warm_up, rounds = (100, 1000) if LONG else (4, 6)
    async with recorder_of(tls=way == "https", pace=20.0) as recorder:
        arguments = repr((way, recorder.certificate or True, warm_up, rounds))
        program = CYCLES.replace("{arguments}", arguments)
        async with child(program, recorder.url) as process:
            assert process.stdout is not None
            async with asyncio.timeout(1800 if LONG else 60):
                line = await process.stdout.readline()
            before, after = json.loads(line)
        assert recorder.logins == warm_up + 1 + rounds
        assert recorder.uids == ()
        assert recorder.violations == []
    assert after.pop("heap") - before.pop("heap") < 100 << 10
    assert after == before


async def test_row_72_a_handle_dropped_after_its_session_was_closed_is_no_leak() -> None:
    async with recorder_of() as recorder:
        nvr = await connected(recorder)
        handles = [await make(nvr) for make in HANDLES.values()]
        await nvr.aclose()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            del handles
            gc.collect()


async def test_row_16_audio_is_not_started_when_its_video_is_being_stopped() -> None:
    """Cancelled so many turns of the loop after the video's START: audio is started before its connection ends, or not."""
    for turns in range(0, 40, 3):
        async with recorder_of() as recorder:
            async with connected(recorder, command_interval=0) as nvr:

                async def watches(nvr: Session = nvr) -> None:
                    async with nvr.camera(1).live("h264", audio=True) as stream:
                        await take(stream, 1000)

                task = asyncio.create_task(watches())
                while not recorder.streams:
                    await asyncio.sleep(0)
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                await freed(recorder, uids=1)
            assert recorder.violations == [], turns
