"""Connections for httpcore, on asyncio's own transports.

httpcore's network layer for asyncio opens a cancel scope and goes through four objects for each read: a third of the
time of a stream or a download. Here the event loop receives into a buffer that stays, and a read takes from it.

A connection is always being read, so one that the recorder has closed is known before it is used again. Closing it
waits for nobody: asyncio would wait thirty seconds for a TLS peer's farewell.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import httpcore

BUFFER = 256 << 10
"""Bytes received and not read yet, for each connection; then TCP holds the peer up."""

READ_ON = BUFFER // 2
"""Bytes of free space that are worth receiving into."""

RECORD = 16 << 10
"""Bytes that a TLS record holds at most (RFC 8446, 5.1)."""

ATTEMPT_DELAY = 0.25
"""Seconds until the next address of a host name is tried beside the one before (RFC 8305)."""


class Network(httpcore.AsyncNetworkBackend):
    """Opens connections; see the module."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002  none are asked for
    ) -> httpcore.AsyncNetworkStream:
        """Connect within `timeout` seconds. Raises httpcore's ConnectTimeout and ConnectError."""
        try:
            async with asyncio.timeout(timeout):
                if _is_address(host):
                    return await _connect(host, port, local_address)
                return await _connect_by_name(host, port, local_address)
        except TimeoutError as failure:
            if failure.errno is None:
                raise httpcore.ConnectTimeout from failure
            raise httpcore.ConnectError from failure  # the system's own ETIMEDOUT
        except OSError as failure:
            raise httpcore.ConnectError from failure


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


async def _connect(host: str, port: int, local_address: str | None) -> NetworkStream:
    transport, inbox = await asyncio.get_running_loop().create_connection(
        _Inbox, host, port, local_addr=(local_address, 0) if local_address else None
    )
    return NetworkStream(transport, inbox)


async def _connect_by_name(host: str, port: int, local_address: str | None) -> NetworkStream:
    """Connect to the first address of a name that answers; each is tried a little after the one before.

    asyncio's own way of doing this leaks a socket when it is cancelled.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    tries: list[asyncio.Task[NetworkStream]] = []
    winner: NetworkStream | None = None
    try:
        while winner is None:
            if len(tries) < len(addresses):
                tries.append(loop.create_task(_connect(addresses[len(tries)], port, local_address)))
            waits = [one for one in tries if not one.done()]
            if not waits:
                return tries[0].result()  # none answers: raises what the first met
            patience = ATTEMPT_DELAY if len(tries) < len(addresses) else None
            done, _ = await asyncio.wait(
                waits, timeout=patience, return_when=asyncio.FIRST_COMPLETED
            )
            winner = next((one.result() for one in done if one.exception() is None), None)
        return winner
    finally:
        for one in tries:
            if not one.cancel() and not one.cancelled() and one.exception() is None:
                connected = one.result()
                if connected is not winner:
                    connected.abort()


class NetworkStream(httpcore.AsyncNetworkStream):
    """One connection."""

    def __init__(self, transport: asyncio.Transport, inbox: _Inbox) -> None:
        self._transport = transport
        self._inbox = inbox

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what has come, at most `max_bytes`; empty at the end.

        Raises httpcore's ReadTimeout and ReadError. Cancelling it loses nothing.
        """
        inbox = self._inbox
        if inbox.is_empty:
            try:
                async with asyncio.timeout(timeout):
                    await inbox.wait()
            except TimeoutError as failure:
                raise httpcore.ReadTimeout from failure
            if inbox.is_empty and inbox.failure is not None:
                raise httpcore.ReadError from inbox.failure
        return inbox.take(max_bytes)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of `buffer`. Raises httpcore's WriteTimeout and WriteError."""
        inbox = self._inbox
        if not inbox.lost.done():
            self._transport.write(buffer)
            try:
                async with asyncio.timeout(timeout):
                    await inbox.can_write.wait()
            except TimeoutError as failure:
                raise httpcore.WriteTimeout from failure
        if inbox.lost.done():
            raise httpcore.WriteError from inbox.failure

    async def aclose(self) -> None:
        """Close the connection; what is not sent yet is given up. Safe to repeat."""
        self.abort()
        await asyncio.shield(self._inbox.lost)  # in the next turn of the loop

    def abort(self) -> None:
        """Begin to close, without waiting for the next turn of the loop."""
        self._transport.abort()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Shake hands within `timeout` seconds. Raises httpcore's ConnectTimeout and ConnectError."""
        encrypted = TlsStream(self, ssl_context, server_hostname)
        try:
            async with asyncio.timeout(timeout):
                await encrypted.shake_hands()
        except BaseException as failure:
            await self.aclose()
            if isinstance(failure, TimeoutError):
                raise httpcore.ConnectTimeout from failure
            if isinstance(failure, OSError | httpcore.NetworkError):  # ssl.SSLError is an OSError
                raise httpcore.ConnectError from failure
            raise
        return encrypted

    def get_extra_info(self, info: str) -> Any:
        """Return one of httpcore's names for what is known of a connection, None for others."""
        if info == "server_addr":
            return self._transport.get_extra_info("peername")
        if info == "client_addr":
            return self._transport.get_extra_info("sockname")
        if info == "socket":
            return self._transport.get_extra_info("socket")
        if (
            info == "is_readable"
        ):  # asked of idle connections: those with nothing to say are still good
            return not self._inbox.is_empty or self._inbox.at_end
        return None


class TlsStream(httpcore.AsyncNetworkStream):
    """A connection under TLS. Recorders, as most devices, hang up without a farewell: that is its end all the same."""

    def __init__(
        self, under: NetworkStream, ssl_context: ssl.SSLContext, server_hostname: str | None
    ) -> None:
        self._under = under
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = ssl_context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=server_hostname
        )

    async def shake_hands(self) -> None:
        """Agree on keys. Raises ssl.SSLError and httpcore's ReadError and WriteError."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush(None)
                await self._receive(None)
            else:
                return await self._flush(None)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """As `NetworkStream.read`: the records that are there, joined."""
        records: list[bytes] = []
        left = max_bytes
        while left:
            try:
                record = self._tls.read(min(left, RECORD))
            except ssl.SSLWantReadError:
                if records:
                    break
                await self._flush(timeout)  # an answer of TLS's own
                await self._receive(timeout)
                continue
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                break
            except ssl.SSLError as failure:
                raise httpcore.ReadError from failure
            if not record:
                break
            records.append(record)
            left -= len(record)
        return b"".join(records)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """As `NetworkStream.write`."""
        try:
            self._tls.write(buffer)  # a memory BIO takes all of it
        except ssl.SSLError as failure:
            raise httpcore.WriteError from failure
        await self._flush(timeout)

    async def aclose(self) -> None:
        """As `NetworkStream.aclose`."""
        await self._under.aclose()

    def get_extra_info(self, info: str) -> Any:
        """As `NetworkStream.get_extra_info`, and "ssl_object"."""
        return self._tls if info == "ssl_object" else self._under.get_extra_info(info)

    async def _receive(self, timeout: float | None) -> None:
        piece = await self._under.read(BUFFER, timeout)
        if piece:
            self._incoming.write(piece)
        else:
            self._incoming.write_eof()

    async def _flush(self, timeout: float | None) -> None:
        if self._outgoing.pending:
            await self._under.write(self._outgoing.read(), timeout)


class _Inbox(asyncio.BufferedProtocol):
    """What a connection has received and nobody has read yet."""

    def __init__(self) -> None:
        self.at_end = False
        self.failure: Exception | None = None
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.can_write = asyncio.Event()
        self.can_write.set()
        self._transport: asyncio.Transport | None = None
        self._buffer = memoryview(bytearray(BUFFER))
        self._start = self._end = 0
        self._held = False
        self._waiter: asyncio.Future[None] | None = None

    # The reader's side

    @property
    def is_empty(self) -> bool:
        return self._start == self._end

    async def wait(self) -> None:
        """Wait until something has come, or nothing will any more."""
        if not self.at_end:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def take(self, count: int) -> bytes:
        end = min(self._end, self._start + count)
        taken = bytes(self._buffer[self._start : end])
        self._start = end
        if self._start == self._end:
            self._start = self._end = 0
            self._hold(held=False)
        return taken

    # The event loop's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        return self._buffer[self._end :]

    def buffer_updated(self, nbytes: int) -> None:
        self._end += nbytes
        if BUFFER - self._end < READ_ON:
            self._hold(held=True)
        self._wake()

    def eof_received(self) -> None:
        self.at_end = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.failure = exc
        self.at_end = True
        self.can_write.set()
        if not self.lost.done():
            self.lost.set_result(None)
        self._wake()

    def pause_writing(self) -> None:
        self.can_write.clear()

    def resume_writing(self) -> None:
        self.can_write.set()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _hold(self, *, held: bool) -> None:
        """Stop receiving, or go on."""
        if held != self._held and self._transport is not None and not self.lost.done():
            self._held = held
            with suppress(RuntimeError):  # it is closing
                self._transport.pause_reading() if held else self._transport.resume_reading()
