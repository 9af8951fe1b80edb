"""Where applications put a session: a FastAPI lifespan, an aiohttp app, a pytest fixture, the asyncio REPL."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import select
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiohttp
import httpx
import pytest
import uvicorn
from aiohttp import web
from fastapi import FastAPI

import nvrclient
from nvrclient import Session
from nvrclient.simulator import SimulatedRecorder
from tests.end_to_end.test_live_video import take
from tests.secrets import PASSWORD


@pytest.fixture
async def recorder() -> AsyncIterator[SimulatedRecorder]:
    async with SimulatedRecorder(password=PASSWORD, pace=4.0) as simulated:
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


def _child(code: str, **more: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **more,  # type: ignore[call-overload]
    )


def test_row_78_the_asyncio_repl() -> None:
    """`python -m asyncio` in a pseudo-terminal, typed as a person would."""
    lines = [
        "import nvrclient",
        "from nvrclient.simulator import SimulatedRecorder",
        "recorder = await SimulatedRecorder().start()",
        "nvr = await nvrclient.connect(recorder.url, 'ADMIN', recorder.password)",
        "stream = await nvr.camera(1).live('h264')",
        "frame = await anext(stream)",
        "print('key', frame.keyframe, stream.state)",
        "await stream.aclose(); await nvr.aclose(); print('uids', len(recorder.uids))",
        "await recorder.aclose()",
        "exit()",
    ]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-W", "error", "-m", "asyncio"])
    seen = ""

    def read_until(pattern: str) -> None:
        nonlocal seen
        deadline = time.monotonic() + 20
        while not re.search(pattern, seen):
            assert time.monotonic() < deadline, seen
            if select.select([terminal], [], [], 0.2)[0]:
                try:
                    seen += os.read(terminal, 65536).decode(errors="replace")
                except OSError:
                    return

    try:
        read_until(r">>> $")
        for line in lines:
            seen = ""
            os.write(terminal, line.encode() + b"\n")
            if line == "exit()":
                read_until("never printed")
                break
            read_until(r"\n>>> $")
            assert "Traceback" not in seen, seen
            if line.startswith("print('key'"):
                assert "key True live" in seen
            if "uids" in line:
                assert "uids 0" in seen
        assert "Warning" not in seen, seen
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def test_no_optional_package_is_needed_to_import() -> None:
    code = """
        import sys
        for name in ("av", "typer", "rich", "cryptography", "numpy"):
            sys.modules[name] = None
        import nvrclient, nvrclient.simulator
        print("fine")
        """
    out, _ = _child(code).communicate(timeout=20)
    assert out == "fine\n"
