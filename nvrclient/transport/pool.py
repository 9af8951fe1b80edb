"""A pool of connections: httpx's requests and answers over httpcore, on a network of our own.

`httpx.AsyncHTTPTransport` would be this, if it could be told which network to use. Errors stay httpcore's.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpcore
import httpx

from nvrclient.transport.network import Network


class Pool(httpx.AsyncBaseTransport):
    """At most `connections` at once, of which `kept` stay open while idle, for `idle` seconds."""

    def __init__(
        self,
        context: ssl.SSLContext | None,
        *,
        http2: bool,
        connections: int,
        kept: int,
        idle: float,
    ) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=connections,
            max_keepalive_connections=kept,
            keepalive_expiry=idle,
            http1=True,
            http2=http2,
            network_backend=Network(),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; return its answer once the headers are there. Raises httpcore's errors."""
        await self._drop(_has_more)
        url = request.url
        extensions: Any = request.extensions  # pyright: ignore[reportUnknownMemberType]
        answer = await self._pool.handle_async_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
                ),
                headers=request.headers.raw,
                extensions=extensions,
            )
        )
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_Stream(answer.stream),
            extensions=dict(answer.extensions),  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        )

    async def drop_idle(self) -> None:
        """Close the connections that nobody uses: a peer that went away without a word leaves them looking good."""
        await self._drop(lambda _connection: True)

    async def _drop(self, is_bad: Callable[[httpcore.AsyncConnectionInterface], bool]) -> None:
        for connection in self._pool.connections:
            if connection.is_idle() and is_bad(connection):
                await connection.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()


def _has_more(connection: httpcore.AsyncConnectionInterface) -> bool:
    """Whether more came with the last answer than belongs to it: it would be read as the beginning of the next one.

    Recorders may count a body without the line end behind it. httpcore keeps what came and tells nobody.
    """
    state = getattr(getattr(connection, "_connection", None), "_h11_state", None)
    return state is not None and bool(state.trailing_data[0])


class _Stream(httpx.AsyncByteStream):
    """The body of an answer."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._stream.__aiter__()  # type: ignore[no-any-return]

    async def aclose(self) -> None:
        await self._stream.aclose()
