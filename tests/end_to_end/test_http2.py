"""http2=True against a real HTTP/2 server (hypercorn), and nothing secret in what h2 and hpack log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import hypercorn.asyncio
import pytest
from hypercorn.config import Config

import nvrclient
from nvrclient.simulator import Clip, SimulatedRecorder
from tests.conftest import WATCH
from tests.end_to_end.test_live_video import take
from tests.secrets import PASSWORD

Send = Callable[[dict[str, Any]], Awaitable[None]]


async def test_http2_is_spoken_where_it_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    # The server runs in this process and hpack logs what it decodes; what the client encodes is not spared.
    monkeypatch.setattr(
        WATCH,
        "spared",
        lambda record: record.name == "hpack.hpack" and str(record.msg).startswith("Decoded"),
    )
    pictures = Clip.load("jpeg").units[:5]
    versions: list[str] = []
    stopped = asyncio.Event()

    async def app(scope: dict[str, Any], _receive: object, send: Send) -> None:
        if scope["type"] != "http":
            return
        versions.append(scope["http_version"])
        query = scope["query_string"]
        kind = b"text/html"
        if b"CMD=START" in query:
            kind = b"multipart/x-mixed-replace; boundary=--myboundary"
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]}
        )
        if b"CMD=START" in query:
            for picture in pictures:
                head = f"--myboundary\r\nContent-type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                body = head.encode() + picture + b"\r\n"
                await send({"type": "http.response.body", "body": body, "more_body": True})
            await stopped.wait()
        else:
            if b"CMD=STOP" in query:
                stopped.set()
            await send({"type": "http.response.body", "body": b"./hdrctl.cgi?UID=13313&"})
        await send({"type": "http.response.body", "body": b""})

    async with SimulatedRecorder(tls=True, password=PASSWORD) as lender:  # of a certificate
        assert lender.certificate
        config = Config()
        config.bind = ["127.0.0.1:0"]
        config.certfile = lender.certificate
        config.keyfile = str(next(p for p in _keys(lender.certificate)))
        config.errorlog = None
        config.alpn_protocols = ["h2", "http/1.1"]
        sockets = config.create_sockets()
        port = sockets.secure_sockets[0].getsockname()[1]
        config.create_sockets = lambda: sockets  # type: ignore[method-assign]
        end = asyncio.Event()

        async def wait() -> None:
            await end.wait()

        server = asyncio.create_task(
            hypercorn.asyncio.serve(app, config, shutdown_trigger=wait)  # type: ignore[arg-type]
        )
        async with nvrclient.connect(
            f"https://127.0.0.1:{port}", "ADMIN", PASSWORD, verify=lender.certificate, http2=True
        ) as nvr:
            async with nvr.camera(1).live("jpeg") as stream:
                frames = await take(stream, 5)
        end.set()
        await server
    assert [frame.data for frame in frames] == list(pictures)
    assert set(versions) == {"2"}


def _keys(certificate: str) -> list[str]:
    from pathlib import Path

    holds_key = [
        path
        for path in sorted(Path(certificate).parent.iterdir())
        if "PRIVATE KEY" in path.read_text()
    ]
    return [str(path) for path in holds_key]
