"""Servers that are no recorder, or a broken one: raw sockets, so that nothing of the simulator helps the client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Serve = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(answer: Serve) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Serve requests with `answer(request line and headers, writer)`; yields the URL and the requests seen."""
    seen: list[bytes] = []
    tasks: set[asyncio.Task[None]] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                seen.append(request)
                await answer(request, writer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            tasks.discard(task)

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}", seen
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


def reply(status: str, body: bytes = b"", *headers: str) -> bytes:
    """Return an HTTP answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def logs_in(request: bytes) -> bytes | None:
    """Return what a plain recorder answers to all but push.cgi: dlogin without a challenge, 200 to the rest."""
    if b"dlogin.cgi" in request:
        return reply(
            "200 OK", b'<a href="./hdrctl.cgi?UID=13313&HTML=x">', "Content-Type: text/html"
        )
    if b"push.cgi" in request and b"CMD=START" in request:
        return None
    return reply("200 OK", b"OK")
