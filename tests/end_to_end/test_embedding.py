"""Where applications put a session: a FastAPI lifespan, an aiohttp app, a pytest fixture, the asyncio REPL."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import cast

import aiohttp
import httpx
import pytest
import uvicorn
from aiohttp import web
from fastapi import FastAPI

import nvrclient
from nvrclient import Session
from nvrclient.simulator import Clip, SimulatedRecorder
from tests.end_to_end.test_live_video import take
from tests.secrets import PASSWORD

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
async def recorder() -> AsyncIterator[SimulatedRecorder]:
    async with SimulatedRecorder(cameras=8, password=PASSWORD, pace=4.0) as simulated:
        yield simulated
        assert simulated.violations == []
        assert simulated.uids == ()


@pytest.fixture
async def nvr(recorder: SimulatedRecorder) -> AsyncIterator[Session]:
    """A session in a fixture: set up and torn down outside the test's own task."""
    async with nvrclient.connect(recorder.url, "ADMIN", PASSWORD) as session:
        yield session


async def test_pytest_fixture(nvr: Session) -> None:
    async with nvr.camera(1).live("h264") as stream:
        assert len(await take(stream, 3)) == 3


async def test_fastapi_lifespan(recorder: SimulatedRecorder) -> None:
    sessions: list[Session] = []

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with nvrclient.connect(recorder.url, "ADMIN", PASSWORD) as session:
            sessions.append(session)
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/keyframe")
    async def keyframe() -> dict[str, int]:
        async with sessions[0].camera(1).live("h264") as stream:
            async for frame in stream.video():
                return {"bytes": frame.size}
        raise AssertionError

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", ws="none"))
    serving = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with httpx.AsyncClient(trust_env=False) as client:
        answers = await asyncio.gather(
            *[client.get(f"http://127.0.0.1:{port}/keyframe") for _ in range(3)]
        )
    assert all(answer.json()["bytes"] > 1000 for answer in answers)
    server.should_exit = True
    await serving
    assert not sessions[0].is_open


async def test_aiohttp_app(recorder: SimulatedRecorder) -> None:
    session_key = web.AppKey("nvr", Session)

    async def with_recorder(app: web.Application) -> AsyncIterator[None]:
        app[session_key] = await nvrclient.connect(recorder.url, "ADMIN", PASSWORD)
        yield
        await app[session_key].aclose()

    async def keyframe(request: web.Request) -> web.Response:
        async with request.app[session_key].camera(1).live("h264") as stream:
            (frame,) = await take(stream, 1)
            return web.Response(body=frame.data)

    app = web.Application()
    app.cleanup_ctx.append(with_recorder)
    app.router.add_get("/keyframe", keyframe)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    async with aiohttp.ClientSession() as client:
        async with client.get(f"http://127.0.0.1:{port}/keyframe") as answer:
            assert (await answer.read()).startswith(b"\0\0\0\1")
    await runner.cleanup()


# The programs in examples/, as they stand there


def environment_of(recorder: SimulatedRecorder) -> dict[str, str]:
    return os.environ | {
        "NVR_URL": recorder.url,
        "NVR_USERNAME": recorder.username,
        "NVR_PASSWORD": recorder.password,
        "NVR_VERIFY": recorder.certificate or "",
        "PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", ""))),
    }


@asynccontextmanager
async def program(
    recorder: SimulatedRecorder, *arguments: str, fds: Sequence[int] = ()
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run Python with these arguments in a process of its own; it is killed if it still runs in the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-u", *arguments),
        env=environment_of(recorder),
        pass_fds=fds,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@asynccontextmanager
async def web_server(
    recorder: SimulatedRecorder, *arguments: str
) -> AsyncIterator[tuple[httpx.AsyncClient, asyncio.subprocess.Process]]:
    """Run a web server on a socket that it inherits, whose number replaces FD; yields a client of it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.fileno()
        command = [argument.replace("FD", str(number)) for argument in arguments]
        async with (
            program(recorder, *command, fds=(number,)) as process,
            httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{listener.getsockname()[1]}",
                trust_env=False,
                timeout=20,
            ) as client,
        ):
            yield client, process


async def ended(process: asyncio.subprocess.Process, within: float) -> str:
    """Send SIGTERM, as a service manager does; return what the program printed."""
    process.terminate()
    began = time.monotonic()
    async with asyncio.timeout(20):
        out, _ = await process.communicate()
    assert time.monotonic() - began < within, out
    return out.decode()


async def streams_become(recorder: SimulatedRecorder, count: int) -> None:
    async with asyncio.timeout(2):
        while len(recorder.streams) != count:
            await asyncio.sleep(0.01)


async def read_until(chunks: AsyncIterator[bytes], mark: bytes, count: int) -> None:
    """Read on until `mark` has come so often."""
    seen = b""
    async with asyncio.timeout(10):
        while seen.count(mark) < count:
            seen += await anext(chunks)


@asynccontextmanager
async def getting(client: httpx.AsyncClient, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
    """Get an answer that does not end; yields what comes of it."""
    async with client.stream("GET", path) as answer:
        assert answer.status_code == 200
        async with aclosing(cast("AsyncGenerator[bytes]", answer.aiter_raw())) as chunks:
            yield chunks


FASTAPI = (
    "-m",
    "uvicorn",
    "--fd",
    "FD",
    "--timeout-graceful-shutdown",
    "1",
    "examples.fastapi_app:app",
)
SERVE = """
import socket
from aiohttp import web
from examples.aiohttp_app import make_app
web.run_app(make_app(), sock=socket.socket(fileno=FD), print=None)
"""
AIOHTTP = ("-c", SERVE)


@pytest.mark.parametrize(
    ("server", "path", "mark"),
    [
        (FASTAPI, "/cameras/4/mjpeg", b"--frame\r\nContent-Type: image/jpeg\r\n"),
        (AIOHTTP, "/cameras/1/video?codec=h264", b"\0\0\0\1\x67"),
    ],
    ids=["fastapi", "aiohttp"],
)
async def test_clients_come_and_go_and_the_service_ends(
    recorder: SimulatedRecorder, server: tuple[str, ...], path: str, mark: bytes
) -> None:
    async with web_server(recorder, *server) as (client, process):
        async with getting(client, path) as first:
            await read_until(first, mark, 2)
            async with getting(client, path) as second:
                await read_until(second, mark, 2)
                assert len(recorder.streams) == 1  # both have it
            await read_until(first, mark, 2)  # the other has left
            assert len(recorder.streams) == 1
        await streams_become(recorder, 0)
        unknown = await client.get(path.replace("/cameras/", "/cameras/9"))
        assert unknown.status_code == 502
        assert "not this camera" in unknown.text
        other = re.sub("[14]", lambda number: str(int(number[0]) + 4), path, count=1)
        async with getting(client, other) as third, getting(client, other):
            await read_until(third, mark, 1)
            out = await ended(process, within=4.0)
    assert recorder.uids == ()
    assert "Warning" not in out
    assert "never" not in out


async def test_snapshots_from_a_service(recorder: SimulatedRecorder) -> None:
    async with web_server(recorder, *FASTAPI) as (client, process):
        answers = await asyncio.gather(
            *[client.get(f"/cameras/{number}/snapshot.jpg") for number in (1, 4, 4)]
        )
        assert [answer.status_code for answer in answers] == [200, 200, 200]
        assert {answer.headers["content-type"] for answer in answers} == {"image/jpeg"}
        assert all(answer.content.startswith(b"\xff\xd8\xff") for answer in answers)
        assert answers[1].content in Clip.load("jpeg").units
        out = await ended(process, within=4.0)
    assert "Traceback" not in out


async def test_video_is_saved_until_ctrl_c_or_for_some_seconds(
    recorder: SimulatedRecorder, tmp_path: Path
) -> None:
    save, file, brief = "examples/save_video.py", tmp_path / "video.h264", tmp_path / "brief.h264"
    async with (
        program(recorder, save, "1", str(file)) as until_told,
        program(recorder, save, "1", str(brief), "--seconds", "0.5") as for_a_while,
    ):
        async with asyncio.timeout(20):
            while not file.exists() or file.stat().st_size < 100_000:
                await asyncio.sleep(0.05)
        until_told.send_signal(signal.SIGINT)
        outputs = [(await process.communicate())[0] for process in (until_told, for_a_while)]
        assert [until_told.returncode, for_a_while.returncode] == [0, 0]
    sent = b"".join(Clip.load("h264").annex_b * 10)
    for path, out in zip((file, brief), outputs, strict=True):
        told = re.fullmatch(rb"\S+: H264, (\d+) pictures, (\d+) bytes\n", out)
        assert told, out
        assert path.stat().st_size == int(told[2]) > 0
        assert sent.startswith(path.read_bytes())


async def test_cameras_are_watched_through_an_outage(recorder: SimulatedRecorder) -> None:
    async with program(recorder, "examples/watch_cameras.py") as process:
        assert process.stdout is not None

        async def told(*patterns: str) -> None:
            waited = set(patterns)
            async with asyncio.timeout(20):
                while waited:
                    line = (await process.stdout.readline()).decode()  # type: ignore[union-attr]
                    waited -= {pattern for pattern in waited if re.search(pattern, line)}

        await told(r"camera 1 sends VideoFormat\(codec=<Codec.H264", r"camera 4 sends")
        recorder.drop_connections()
        await told("camera 1 is lost", "camera 4 is lost", "camera 1 is back; missing since")
        process.send_signal(signal.SIGINT)
        await process.communicate()
    assert process.returncode == 0


# The asyncio REPL


CTRL_C = "\x03"


def test_row_78_the_asyncio_repl() -> None:
    """`python -m asyncio` in a pseudo-terminal, typed as a person would, Ctrl-C included."""
    prompt = r"\n>>> $"
    dialogue = [
        ("import nvrclient\n", prompt),
        ("from nvrclient.simulator import SimulatedRecorder\n", prompt),
        ("recorder = await SimulatedRecorder().start()\n", prompt),
        ("nvr = await nvrclient.connect(recorder.url, 'ADMIN', recorder.password)\n", prompt),
        ("stream = await nvr.camera(1).live('h264')\n", prompt),
        ("frame = await anext(stream)\n", prompt),
        ("print('key', frame.keyframe, stream.state)\n", f"key True live(.|\n)*{prompt}"),
        ("async for frame in stream: last = frame; print('got it')\n\n", r"(got it(.|\n)*){3}"),
        (CTRL_C, f"KeyboardInterrupt(.|\n)*{prompt}"),
        ("frame = await anext(stream)\n", prompt),
        ("print('later', frame.pts > last.pts, stream.state)\n", f"later True live(.|\n)*{prompt}"),
        ("await stream.aclose(); await nvr.aclose()\n", prompt),
        ("print('uids', len(recorder.uids))\n", f"uids 0(.|\n)*{prompt}"),
        ("await recorder.aclose()\n", prompt),
    ]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-W", "error", "-m", "asyncio"])
    try:
        _read_until(terminal, r">>> $")
        for typed, answered in dialogue:
            os.write(terminal, typed.encode())
            seen = _read_until(terminal, answered)
            assert "Traceback" not in seen or typed == CTRL_C, seen
            assert "Warning" not in seen, seen
        os.write(terminal, b"exit()\n")
        with suppress(OSError):  # Linux says so when the other side has ended
            seen = _read_until(terminal, "never shown")
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def _read_until(terminal: int, pattern: str) -> str:
    """Read what the terminal shows until it holds `pattern`; return it."""
    seen = ""
    deadline = time.monotonic() + 20
    while not re.search(pattern, seen):
        assert time.monotonic() < deadline, seen
        if select.select([terminal], [], [], 0.2)[0]:
            seen += os.read(terminal, 65536).decode(errors="replace").replace("\r", "")
    return seen


# What is not needed


def test_no_optional_package_is_needed_to_import() -> None:
    code = """
import sys
for name in ("av", "typer", "rich", "cryptography", "numpy", "pytest"):
    sys.modules[name] = None
import nvrclient, nvrclient.simulator
print("fine")
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("fine\n", "")
