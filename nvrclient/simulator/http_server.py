"""A small HTTP/1.1 server: commands with short answers, and responses without an end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeAlias

from nvrclient.simulator.readings import Framing

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Sequence

    from nvrclient.simulator.conditions import Path

__all__ = [
    "Answer",
    "Body",
    "BrokenOffError",
    "Ending",
    "EndlessAnswer",
    "HttpRequest",
    "HttpServer",
    "Spoiled",
]

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
    """A 200 whose body ``send`` writes until it returns, is cancelled, or the client goes away.

    ``abandon`` undoes what led to it, and is called once it is over, or never began.
    """

    content_type: str
    framing: Framing
    send: Callable[[Body], Awaitable[None]] = field(repr=False)
    status: int = 200
    abandon: Callable[[], None] = field(default=lambda: None, repr=False)


class Ending(Enum):
    """How a connection ends."""

    FIN = "in order, once what was written has gone out"
    RST = "reset at once"
    SILENCE = "not at all: nothing is said any more, and whoever speaks is reset"


@dataclass(frozen=True, slots=True)
class Spoiled:
    """An answer that comes ``delay`` seconds late, or with an ``ending`` never; None: nothing was done."""

    answer: Answer | EndlessAnswer | None
    delay: float = 0.0
    ending: Ending | None = None
    over: Callable[[], None] = field(default=lambda: None, repr=False)


Handler: TypeAlias = "Callable[[HttpRequest], Answer | EndlessAnswer | Spoiled]"


class BrokenOffError(ConnectionError):
    """The sender broke the response off on purpose."""


class Body:
    """The body of an endless answer.

    Where ``misses_client()`` is False, it goes on, into nothing, when the client has gone.
    """

    def __init__(
        self,
        writer: asyncio.StreamWriter,
        framing: Framing,
        misses_client: Callable[[], bool] = lambda: True,
    ) -> None:
        self._writer, self._framing = writer, framing
        self.misses_client = misses_client
        self.muted = False

    async def write(self, parts: Sequence[bytes]) -> None:
        """Write parts and wait while the client does not keep up. Cancelling loses none of them."""
        if self.muted:
            return
        self._writer.write(self._framed(parts))
        try:
            await self._writer.drain()
        except OSError:
            if self.misses_client():
                raise
            self.muted = True

    def _framed(self, parts: Sequence[bytes]) -> bytes:
        if self._framing is Framing.CHUNK_PER_PART:
            return b"".join(_chunk(part) for part in parts)
        data = b"".join(parts)
        if self._framing is Framing.CHUNKED:
            pieces = (data[start : start + _CHUNK] for start in range(0, len(data), _CHUNK))
            return b"".join(_chunk(piece) for piece in pieces)
        return data

    async def break_off(self, part: bytes, ending: Ending) -> None:
        """Write half of a part and end the connection; always raises ``BrokenOffError``."""
        data = self._framed([part])
        self._writer.write(data[: len(data) // 2])
        await self.flush()
        if ending is Ending.RST:
            _reset(self._writer)
        raise BrokenOffError

    def reset(self) -> None:
        """Reset the connection."""
        _reset(self._writer)

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


@dataclass(slots=True, eq=False)
class _Connection:
    """A connection, and how it is to end when its task is cancelled."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    ending: Ending | None = None


class HttpServer:
    """Serves one address; ``handler`` answers each request. It outlives being closed, and its record goes on.

    | field | meaning |
    |---|---|
    | connected_at | when each connection was accepted, in the loop's time, those included that were reset at once |
    | serves_new | False: a new connection is accepted and never served; over TLS the handshake never ends |
    | notices_leaving | False: a client that closes the connection of a stream is not missed |
    """

    def __init__(self, handler: Handler, path: Path) -> None:
        self._handler, self._path = handler, path
        self._servers: list[asyncio.Server] = []
        self._context: ssl.SSLContext | None = None
        self._connections: dict[asyncio.Task[None], _Connection] = {}
        self._held: list[socket.socket] = []
        self._resets_new = False
        self.connected_at: list[float] = []
        self.serves_new = True
        self.notices_leaving = True

    async def start(self, host: str, port: int, context: ssl.SSLContext | None = None) -> int:
        """Listen; returns the port."""
        self._context = context
        server = await asyncio.start_server(self._accept, host, port)
        self._servers = [server]
        self._resets_new = False
        return int(server.sockets[0].getsockname()[1])

    async def aclose(self) -> None:
        """Stop listening and cut every connection."""
        for server in self._servers:
            server.close()
        for held in self._held:
            held.close()
        self._held.clear()
        tasks = list(self._connections)
        self.drop_connections()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for server in self._servers:
            await server.wait_closed()
        self._servers.clear()
        await asyncio.sleep(
            0
        )  # a transport that was aborted closes its socket in the loop's next round

    def drop_connections(self) -> None:
        """Cut every connection at once, as a cable pulled and a recorder restarted would."""
        for connection in self._connections.values():
            connection.writer.transport.abort()

    def end_connections(self, ending: Ending) -> None:
        """End every connection in one way; what was answered on it ends too."""
        for task, connection in self._connections.items():
            if connection.ending is None:
                connection.ending = ending
                task.cancel()

    def refuse(self, *, counted: bool = False) -> None:
        """Refuse connections: nothing listens; or, to have them counted, each is accepted and reset."""
        if counted:
            self._resets_new = True
            return
        listening = [sock for server in self._servers for sock in server.sockets]
        addresses = [(sock.family, sock.getsockname()) for sock in listening]
        for server in self._servers:
            server.close()
        self._servers.clear()
        for family, address in addresses:
            # Bound and not listening: the port refuses, and no connection that goes out meanwhile gets it.
            held = socket.socket(family, socket.SOCK_STREAM)
            self._held.append(held)
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                held.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            held.bind(address)

    async def accept_again(self) -> None:
        """Listen again where it did."""
        self._resets_new = False
        held, self._held = self._held, []
        for sock in held:
            sock.setblocking(False)
            self._servers.append(await asyncio.start_server(self._accept, sock=sock))

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of our own: in Python 3.11 the one that start_server makes reports a cancellation as an error.
        loop = asyncio.get_running_loop()
        self.connected_at.append(loop.time())
        if self._resets_new:
            _reset(writer)
            return
        connection = _Connection(reader, writer)
        task = loop.create_task(self._serve(connection))
        self._connections[task] = connection
        task.add_done_callback(self._connections.pop)

    async def _serve(self, connection: _Connection) -> None:
        writer = connection.writer
        try:
            await self._path.alive()
            if not self.serves_new:
                await connection.reader.read()
            elif await self._shakes_hands(writer):
                await self._converse(connection)
            else:
                return  # what waits for its end would wait forever: the handshake has taken its protocol
            writer.close()
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            _log.debug("connection ended: %s", type(error).__name__)
            if isinstance(error, BrokenOffError):
                writer.close()
            else:
                writer.transport.abort()
        except asyncio.CancelledError:
            await self._end(connection)
        await _gone(writer)

    async def _shakes_hands(self, writer: asyncio.StreamWriter) -> bool:
        """Begin TLS, if this server speaks it; False if that failed."""
        # TLS begins here and not in start_server, so that a client that never shakes hands is a connection
        # of ours like any other and can be cut. Until it has, wait_closed() would never return.
        if self._context is not None:
            try:
                await writer.start_tls(self._context, ssl_handshake_timeout=10)
            except (OSError, asyncio.CancelledError):
                writer.transport.abort()
                return False
        return True

    async def _converse(self, connection: _Connection) -> None:
        """Answer requests until one side has had enough."""
        reader, writer = connection.reader, connection.writer
        while (request := await _read_request(reader, writer)) is not None:
            await self._path.alive()
            if not await self._answer(request, reader, writer):
                break
        await self._path.alive()  # that the client has left is not heard either

    async def _end(self, connection: _Connection) -> None:
        """End a connection whose task was cancelled."""
        reader, writer = connection.reader, connection.writer
        if connection.ending is Ending.SILENCE:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                # What the recorder no longer knows it does not close. The client is told when it speaks.
                await self._path.alive()
                if not await reader.read(1):
                    connection.ending = Ending.FIN
        if connection.ending is Ending.FIN:
            writer.close()
        elif connection.ending is None:
            writer.transport.abort()
        else:
            _reset(writer)

    async def _answer(
        self, request: HttpRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Answer; True while the connection can carry another request."""
        answer = self._handler(request)
        if isinstance(answer, Spoiled):
            whole = await self._spoil(answer, reader, writer)
            if whole is None:
                return False
            answer = whole
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

    async def _spoil(
        self, spoiled: Spoiled, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Answer | EndlessAnswer | None:
        """Wait as long as the answer is late; the answer, or None where it never comes."""
        answer = spoiled.answer
        try:
            await asyncio.sleep(spoiled.delay)
            await self._path.alive()
            if spoiled.ending is None and answer is not None:
                whole, answer = answer, None
                return whole
            if spoiled.ending is Ending.SILENCE:
                await reader.read()
                await self._path.alive()
            elif spoiled.ending is Ending.RST:
                _reset(writer)
            return None
        finally:
            spoiled.over()
            if isinstance(answer, EndlessAnswer):
                answer.abandon()

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
        body = Body(writer, answer.framing, lambda: self.notices_leaving)
        sending = asyncio.ensure_future(answer.send(body))
        leaving = asyncio.ensure_future(self._left(reader, body))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            broke = sending.done() and not sending.cancelled() and sending.exception()
            if not (leaving.done() or broke):
                body.finish()
        finally:
            for future in (sending, leaving):
                future.cancel()
            results = await asyncio.gather(sending, leaving, return_exceptions=True)
            answer.abandon()
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _left(self, reader: asyncio.StreamReader, body: Body) -> None:
        """Wait until the client is heard leaving; it has nothing more to say."""
        with contextlib.suppress(OSError):
            await reader.read(1)
        body.muted = not self.notices_leaving
        await self._path.alive()
        if body.muted:
            await asyncio.Event().wait()


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


def _reset(writer: asyncio.StreamWriter) -> None:
    """Reset a connection: with no time to linger, closing sends RST and drops what was not sent."""
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):  # it is closed already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _status_line(status: int) -> str:
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"
