"""The event loop waits for nothing that can take long (docs/faults.md, row 77).

Times are for benchmarks: an idle machine is needed. Here it is what is called in the loop's own thread that counts:
files, name resolution, TLS contexts, sleeping, processes. And input that would take a parser long takes it no longer
in proportion.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
import pytest

import nvrclient
from nvrclient.simulator import CameraSetup, Clip, SimulatedRecorder
from tests.secrets import PASSWORD

BLOCKING = (
    *("open", "time.sleep", "subprocess.Popen", "shutil.", "os.listdir", "os.scandir", "os.mkdir"),
    *("os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.system"),
    *("socket.getaddrinfo", "socket.gethostbyname", "socket.getnameinfo", "fcntl.flock"),
)
"""Audit events (PEP 578) of what can take long."""

_watched: list[str] | None = None
_thread = 0


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if _watched is None or threading.get_ident() != _thread or not event.startswith(BLOCKING):
        return
    if event == "open" and str(args[0]).endswith(".py"):
        return  # asyncio's debug mode shows lines of the source
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if "importlib" in name or "/simulator/" in name:
            return  # a module is loaded once; the recorder is on the same loop
        if "/nvrclient/" in name:
            _watched.append(f"{event} {args[:1]} in {name}:{frame.f_lineno}")
            return
        frame = frame.f_back


sys.addaudithook(_audit)


@contextmanager
def watching_the_loop() -> Iterator[list[str]]:
    """Note what the library calls in this thread that can take long."""
    global _watched, _thread  # an audit hook cannot be taken off
    _watched, _thread = [], threading.get_ident()
    try:
        yield _watched
    finally:
        _watched = None


async def test_row_77_files_names_and_certificates_are_read_in_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logging in by name, streams, a playback, a snapshot, a download, logs and closing."""
    contexts: list[int] = []
    for module, name in ((ssl, "create_default_context"), (httpx, "create_ssl_context")):
        made = getattr(module, name)

        def noting(*args: Any, _made: Any = made, **options: Any) -> Any:
            contexts.append(threading.get_ident())
            return _made(*args, **options)

        monkeypatch.setattr(module, name, noting)
    recorder = SimulatedRecorder(cameras=4, tls=True, password=PASSWORD, pace=8.0)
    async with recorder:
        url = recorder.url.replace("127.0.0.1", "localhost")
        with watching_the_loop() as found:
            session = nvrclient.connect(
                url, "ADMIN", PASSWORD, verify=recorder.certificate or True, command_interval=0
            )
            async with session as nvr:
                for number, transport in enumerate(("http", "udp"), 1):
                    async with nvr.camera(number).live(transport=transport, audio=True) as stream:  # type: ignore[arg-type]
                        for _ in range(10):
                            await anext(stream)
                async with nvr.camera(1).playback(speed=None) as playback:
                    for _ in range(10):
                        await anext(playback)
                assert await nvr.camera(4).snapshot()
                await asyncio.gather(nvr.event_log(), nvr.disks(), nvr.cameras())
                end = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=10)
                paths = await nvr.camera(1).download(end - timedelta(minutes=1), end, tmp_path)
                assert paths
        assert found == []
    assert threading.get_ident() not in contexts
    assert contexts


async def test_row_77_a_blocking_call_would_be_found(tmp_path: Path) -> None:
    namespace: dict[str, Any] = {}
    source = "def block(path):\n    open(path).close()\n"
    path = tmp_path / "x"
    path.touch()
    exec(compile(source, "/x/nvrclient/blocks.py", "exec"), namespace)
    with watching_the_loop() as found:
        namespace["block"](path)
    assert len(found) == 1


async def test_row_77_a_picture_of_eight_mebibytes_leaves_others_their_turn() -> None:
    """While it comes, the loop is given back between its pieces: another task runs some dozen times."""
    clip = Clip.load("h264")
    key = clip.units[0] + bytes([1, 2, 3, 255]) * (7 << 18)  # its slice goes on for seven mebibytes
    big = Clip.video("h264", [key, *clip.units[1:5]], 15, name="big")
    turns = 0

    async def spin() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    recorder = SimulatedRecorder(cameras={1: CameraSetup(big)}, password=PASSWORD, pace=4.0)
    async with recorder, nvrclient.connect(recorder.url, "ADMIN", PASSWORD) as nvr:
        async with nvr.camera(1).live("h264") as stream:
            spinning = asyncio.create_task(spin())
            frame = await anext(stream)
            spinning.cancel()
            assert isinstance(frame, nvrclient.VideoFrame)
            assert frame.size > 7 << 20
    assert turns > 30
