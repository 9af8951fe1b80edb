"""A small HTTP/1.1 server: commands with short answers, and responses without an end."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeAlias

from nvrclient.simulator.readings import Framing

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Sequence

__all__ = ["Answer", "Body", "EndlessAnswer", "HttpRequest", "HttpServer"]

_log = logging.getLogger(__name__)

_CHUNK = 4000


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What a client asks; ``headers`` by lower-case name. A repr shows neither query nor headers."""

    method: str
    path: str
    query: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    peer: str = ""

    @property
    def target(self) -> str:
        """The request target as it came."""
        return f"{self.path}?{self.query}" if self.query else self.path


@dataclass(frozen=True, slots=True)
class Answer:
    """A short answer; with ``cut_after`` the connection breaks behind so many bytes of the body."""

    status: int
    body: bytes = field(default=b"", repr=False)
    content_type: str = "text/plain"
    headers: tuple[str, ...] = field(default=(), repr=False)
    cut_after: int | None = None


@dataclass(frozen=True, slots=True)
class EndlessAnswer:
    """A 200 whose body ``send`` writes until it returns, is cancelled, or the client goes away."""

    content_type: str
    framing: Framing
    send: Callable[[Body], Awaitable[None]] = field(repr=False)
    status: int = 200


Handler: TypeAlias = "Callable[[HttpRequest], Answer | EndlessAnswer]"


class Body:
    """The body of an endless answer."""

    def __init__(self, writer: asyncio.StreamWriter, framing: Framing) -> None:
        self._writer, self._framing = writer, framing

    async def write(self, parts: Sequence[bytes]) -> None:
        """Write parts and wait while the client does not keep up. Cancelling loses none of them."""
        if self._framing is Framing.CHUNK_PER_PART:
            self._writer.write(b"".join(_chunk(part) for part in parts))
        elif self._framing is Framing.CHUNKED:
            data = b"".join(parts)
            pieces = (data[start : start + _CHUNK] for start in range(0, len(data), _CHUNK))
            self._writer.write(b"".join(_chunk(piece) for piece in pieces))
        else:
            self._writer.write(b"".join(parts))
        await self._writer.drain()

    async def flush(self) -> None:
        """Wait until the transport has handed on all that was written."""
        self._writer.transport.set_write_buffer_limits(0)
        await self._writer.drain()

    def finish(self) -> None:
        """Write what ends the body, if the framing has an end."""
        if self._framing is not Framing.CLOSE:
            self._writer.write(b"0\r\n\r\n")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class HttpServer:
    """Serves one address; ``handler`` answers each request."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._context: ssl.SSLContext | None = None
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self.accepted = 0

    async def start(self, host: str, port: int, context: ssl.SSLContext | None = None) -> int:
        """Listen; returns the port."""
        self._context = context
        self._server = await asyncio.start_server(self._accept, host, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def aclose(self) -> None:
        """Stop listening and cut every connection."""
        if self._server is not None:
            self._server.close()
        tasks = list(self._connections)
        self.drop_connections()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None
        await asyncio.sleep(
            0
        )  # a transport that was aborted closes its socket in the loop's next round

    def drop_connections(self) -> None:
        """Cut every connection at once, as a cable pulled and a recorder restarted would."""
        for writer in self._connections.values():
            writer.transport.abort()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of our own: in Python 3.11 the one that start_server makes reports a cancellation as an error.
        self.accepted += 1
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._connections[task] = writer
        task.add_done_callback(self._connections.pop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # TLS begins here and not in start_server, so that a client that never shakes hands is a connection
        # of ours like any other and can be cut. Until it has, wait_closed() would never return.
        if self._context is not None:
            try:
                await writer.start_tls(self._context, ssl_handshake_timeout=10)
            except (OSError, asyncio.CancelledError):
                writer.transport.abort()
                return
        try:
            while (request := await _read_request(reader, writer)) is not None:
                if not await self._answer(request, reader, writer):
                    break
            writer.close()
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            _log.debug("connection ended: %s", type(error).__name__)
            writer.transport.abort()
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            await _gone(writer)

    async def _answer(
        self, request: HttpRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Answer; True while the connection can carry another request."""
        answer = self._handler(request)
        if isinstance(answer, EndlessAnswer):
            await self._answer_endlessly(answer, reader, writer)
            return False
        keep = request.headers.get("connection", "").lower() != "close"
        head = [_status_line(answer.status), *answer.headers]
        if answer.status != HTTPStatus.NO_CONTENT:
            head += [f"Content-Type: {answer.content_type}", f"Content-Length: {len(answer.body)}"]
        head.append(f"Connection: {'keep-alive' if keep else 'close'}")
        body = answer.body[: answer.cut_after]
        writer.write("\r\n".join((*head, "", "")).encode("latin-1") + body)
        await writer.drain()
        return keep and answer.cut_after is None

    async def _answer_endlessly(
        self, answer: EndlessAnswer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        chunked = answer.framing is not Framing.CLOSE
        head = (
            _status_line(answer.status),
            f"Content-Type: {answer.content_type}",
            *(("Transfer-Encoding: chunked",) if chunked else ()),
            "Connection: close",
        )
        writer.write("\r\n".join((*head, "", "")).encode("latin-1"))
        body = Body(writer, answer.framing)
        sending = asyncio.ensure_future(answer.send(body))
        leaving = asyncio.ensure_future(reader.read(1))  # the client has nothing more to say
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            broke = sending.done() and not sending.cancelled() and sending.exception()
            if not (leaving.done() or broke):
                body.finish()
        finally:
            for future in (sending, leaving):
                future.cancel()
            results = await asyncio.gather(sending, leaving, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result


async def _read_request(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> HttpRequest | None:
    """Read the next request; None when the client has closed. ``ValueError`` for what is not HTTP."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    first, *lines = head.decode("latin-1")[:-4].split("\r\n")
    method, target, version = first.split(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError("not HTTP/1")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    await reader.readexactly(int(headers.get("content-length", "0")))
    path, _, query = target.partition("?")
    return HttpRequest(method, path, query, headers, writer.get_extra_info("peername")[0])


async def _gone(writer: asyncio.StreamWriter) -> None:
    """Wait until the transport is gone: at once after abort(), else until the client has what was written."""
    closing = asyncio.ensure_future(writer.wait_closed())
    try:
        await asyncio.wait({closing}, timeout=0.5)
    finally:
        writer.transport.abort()
        await asyncio.gather(closing, return_exceptions=True)


def _status_line(status: int) -> str:
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"
