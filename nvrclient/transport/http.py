"""HTTP and HTTPS: the one place that knows httpx.

httpx is used one floor below its client: `Pool`. The client's conveniences are what must not
happen here: it logs every URL (which holds the UID), follows redirects, keeps cookies and reads the environment.

Each endless response has a transport of its own that is closed with it, since httpx 0.28 loses a pooled connection
when a reading task is cancelled twice. Commands share one pool, keep-alives have another: a slow command never
delays a keep-alive.

An error is made where httpx's exception is caught, and raised one call higher: so neither its chain nor the local
variables of its frames hold an URL or a header.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar

import anyio
import httpcore
import httpx

from nvrclient.commands.command import Command
from nvrclient.errors import (
    CertificateMismatchError,
    CommandError,
    ConnectionFailedError,
    NVRError,
    ProtocolError,
)
from nvrclient.reach import Reach
from nvrclient.transport import silence, tls
from nvrclient.transport.address import Address
from nvrclient.transport.failures import verification_error, why_failed
from nvrclient.transport.pool import Pool

MAX_REPLY = 1 << 20
"""Bytes of an answer to a command: a thousand log entries are 100 KB."""

CONNECT_TIMEOUT = 5.0
"""Seconds for TCP and TLS; a recorder is on the local network."""

HANGS_UP = 300.0
"""Seconds for which a recorder that closed a kept connection under a command is taken for one that does so."""

LOOK_TIME = 1.0
"""Seconds that there are at least to see the certificate that a refused peer shows."""

KEEP_IDLE = 5.0
"""Seconds that an idle connection is used again. Recorders close theirs unannounced, and a request on a closed one
is lost."""

Lane: TypeAlias = Literal["commands", "keepalive", "playback", "control"]

CONNECTIONS: dict[Lane, int] = {"commands": 8, "keepalive": 8, "playback": 16, "control": 16}
"""Connections at once; each playback has one request under way, and there are at most sixteen (1.3)."""


@dataclass(frozen=True, slots=True)
class Authorization:
    """A digest header's value: secret, so a repr hides it."""

    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer: status, headers with lower-case names (repeated ones in a list), body."""

    status: int
    headers: Mapping[str, list[str]] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def content_type(self) -> str:
        """The Content-Type, lower-case, without parameters."""
        return _content_type(self.headers)


class Body:
    """An endless answer. `read` its pieces; `aclose` it from any task, however often."""

    def __init__(self, response: httpx.Response, transport: Pool) -> None:
        self.status = response.status_code
        self.headers = _headers(response)
        self._response = response
        self._transport = transport
        self._pieces: AsyncIterator[bytes] = response.aiter_raw()
        self._put_back = b""
        self._network = response.extensions.get("network_stream")
        self.peer = _peer(self._network)

    @property
    def content_type(self) -> str:
        """The Content-Type, lower-case, without parameters."""
        return _content_type(self.headers)

    async def read(self) -> bytes:
        """Return the next piece; empty at the end of the answer. Raises ConnectionFailedError.

        Cancelling it ends the answer: only `aclose` is left.
        """
        if self._put_back:
            piece, self._put_back = self._put_back, b""
            return piece
        try:
            async for piece in self._pieces:
                if piece:
                    return piece
        except Exception as failure:  # noqa: BLE001  whatever the layers below raise becomes one of ours
            error = ConnectionFailedError(f"reading the stream: {why_failed(failure)}")
        else:
            return b""
        raise error

    def put_back(self, piece: bytes) -> None:
        """Give back what was read, to be read again."""
        self._put_back = piece

    async def aclose(self) -> None:
        """Close the connection at once; a peer that has stopped answering does not delay it."""
        with anyio.move_on_after(1.0, shield=True), suppress(Exception):
            if self._network is not None:
                await self._network.aclose()
            await self._pieces.aclose()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue,reportUnknownMemberType]
            await self._response.aclose()
            await self._transport.aclose()


_A = TypeVar("_A", Reply, Body)


class HttpClient:
    """Requests to one recorder. `open` it before use; `aclose` frees every connection at once.

    `reach` is told of every answer, and where none came.
    """

    def __init__(
        self,
        address: Address,
        *,
        verify: tls.Verify,
        http2: bool,
        reach: Reach,
    ) -> None:
        self.address = address
        self._reach = reach
        self.peer: str | None = None  # IP address the recorder answered from
        self._verify: tls.Verify = verify
        self._http2 = http2
        self._trust: tls.Trust | None = None
        self._pools: dict[Lane, Pool] = {}
        self._hung_up_at: float | None = None  # when it closed a kept connection under a command

    async def open(self) -> None:
        """Load certificates (in a thread). Raises ConnectionFailedError for a PEM file that cannot be read."""
        if self.address.scheme == "https":
            self._trust = await asyncio.to_thread(_load_trust, self._verify)

    async def get(
        self,
        command: Command,
        authorization: Authorization | None,
        *,
        timeout: float,
        lane: Lane = "commands",
        limit: int = MAX_REPLY,
        fresh: bool = False,
        once: bool = False,
        again: bool = False,
    ) -> Reply:
        """Send one command and return the whole answer, whatever its status.

        Recorders close idle connections unannounced: a command that was lost on one used before is sent once more on
        a new one, unless it is in doubt whether the recorder can be reached; with `fresh` it has one of its own from the
        start, and with `once` it is not sent again. What playback sends moves the
        recorder's position, so on its lane nothing is sent twice but what may be sent `again`. On lane "control" nothing is sent twice either, and where
        a command went out and no answer came CommandError says so, its status None. A recorder that was seen to close
        kept connections gets a new one for each of those.

        Raises ConnectionFailedError (CertificateMismatchError) when no whole answer comes within `timeout` seconds,
        ProtocolError when it is over `limit` bytes or redirects elsewhere. Cancelling it closes the
        connection; the recorder may have carried the command out.
        """
        deadline = asyncio.get_running_loop().time() + timeout
        outcome = None
        fresh = fresh or ((once or lane in {"playback", "control"}) and self._hangs_up)
        if not fresh:
            outcome = await self._get(command, authorization, timeout, limit, lane, once=once)
            if isinstance(outcome, CertificateMismatchError) and self._turn_to_authority():
                outcome = await self._get(command, authorization, timeout, limit, lane, once=once)
        goes_once = lane == "playback" and not again
        if outcome is None and (fresh or not (goes_once or self._reach.is_doubted)):
            own = self._transport(0)
            left = max(0.0, deadline - asyncio.get_running_loop().time())
            try:
                outcome = await self._get(command, authorization, left, limit, lane, own)
            finally:
                await own.aclose()
        if outcome is None:
            outcome = ConnectionFailedError(
                f"{command} at {self.address.url}: the connection was closed before an answer came"
            )
        return self._told(outcome)

    async def stream(
        self, command: Command, authorization: Authorization | None, *, timeout: float
    ) -> Body:
        """Send one command and return its endless answer once the headers are there; errors as in `get`."""
        outcome = await self._stream(command, authorization, timeout)
        if isinstance(outcome, CertificateMismatchError) and self._turn_to_authority():
            outcome = await self._stream(command, authorization, timeout)
        return self._told(outcome)

    def _told(self, outcome: _A | NVRError) -> _A:
        """Tell how it went; raise an error, one call above where it was made."""
        if not isinstance(outcome, NVRError):
            self._reach.heard(outcome.status)
            return outcome
        if isinstance(
            outcome, ConnectionFailedError | CommandError
        ):  # a command that may have been done
            self._reach.heard(None)
        elif isinstance(outcome, ProtocolError):
            self._reach.heard(0)  # something answered, however it may be read
        raise outcome

    async def aclose(self) -> None:
        """Close every pooled connection at once."""
        pools, self._pools = list(self._pools.values()), {}
        with anyio.move_on_after(1.0, shield=True), suppress(Exception):
            for pool in pools:
                await pool.aclose()

    @property
    def _hangs_up(self) -> bool:
        """Whether the recorder was seen to close connections that it had not said it would."""
        hung_up_at = self._hung_up_at
        return hung_up_at is not None and asyncio.get_running_loop().time() < hung_up_at + HANGS_UP

    def _turn_to_authority(self) -> bool:
        if self._trust is None or not self._trust.turn_to_authority():
            return False
        self._pools.clear()  # nothing was ever connected under the old context
        return True

    async def _get(
        self,
        command: Command,
        authorization: Authorization | None,
        timeout: float,
        limit: int,
        lane: Lane,
        own: Pool | None = None,
        *,
        once: bool = False,
    ) -> Reply | NVRError | None:
        """Return the answer, or what went wrong; None where a connection used before was closed in the meantime."""
        stages: set[str] = set()
        began = asyncio.get_running_loop().time()
        pool = own or self._pool(lane)
        try:
            async with asyncio.timeout(timeout):
                if self._reach.is_doubted:
                    await pool.drop_idle()
                response = await self._send(pool, command, authorization, timeout, stages)
                self.peer = _peer(response.extensions.get("network_stream")) or self.peer
                try:
                    body = await _read_all(response, command, limit)
                finally:
                    await response.aclose()
        except NVRError as error:
            return error.with_traceback(None)
        except Exception as failure:  # noqa: BLE001  whatever the layers below raise becomes one of ours
            # A timeout says nothing of the connection.
            lost = not stages & {"connected", "answered"} and not isinstance(failure, TimeoutError)
            if lost:
                self._hung_up_at = asyncio.get_running_loop().time()
            if lane == "control" and "sent" in stages:
                return CommandError(
                    f"{await self._explain(command, failure, timeout, stages, began)}. It went out and may have been"
                    " done, so it was not sent again",
                    command=command.name,
                    status=None,
                )
            if lost and not (once and "sent" in stages):
                return None
            return await self._explain(command, failure, timeout, stages, began)
        if 300 <= response.status_code < 400:
            return self._redirected(command, response.status_code)
        return Reply(response.status_code, _headers(response), body)

    async def _stream(
        self, command: Command, authorization: Authorization | None, timeout: float
    ) -> Body | NVRError:
        transport = self._transport(0)
        stages: set[str] = set()
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(timeout):
                response = await self._send(transport, command, authorization, timeout, stages)
            if not 300 <= response.status_code < 400:
                body = Body(response, transport)
                self.peer = body.peer or self.peer
                return body
            await response.aclose()
            outcome: NVRError = self._redirected(command, response.status_code)
        except NVRError as error:
            outcome = error.with_traceback(None)
        except Exception as failure:  # noqa: BLE001  whatever the layers below raise becomes one of ours
            outcome = await self._explain(command, failure, timeout, stages, began)
        except BaseException:
            with anyio.move_on_after(1.0, shield=True):
                await transport.aclose()
            raise
        await transport.aclose()
        return outcome

    def _redirected(self, command: Command, status: int) -> ProtocolError:
        return ProtocolError(
            f"{command}: the recorder at {self.address.url} redirects elsewhere (HTTP {status});"
            " redirects are not followed. Give the URL it serves on: recorders set to HTTPS redirect"
            " http:// to https://",
            reading="the answer to a command",
        )

    async def _send(
        self,
        transport: Pool,
        command: Command,
        authorization: Authorization | None,
        timeout: float,
        stages: set[str],
    ) -> httpx.Response:
        """Send a request; `stages` gets "connected" for a new connection, "sent" and "answered" by the headers."""

        async def trace(event: str, info: Mapping[str, Any]) -> None:
            if event == "connection.connect_tcp.started":
                stages.add("connected")
            elif event.endswith("send_request_headers.started"):
                stages.add("sent")
            elif event.endswith("receive_response_headers.complete"):
                stages.add("answered")
            await self._check_certificate(event, info)

        headers = {"User-Agent": "nvrclient", "Accept": "*/*", "Accept-Encoding": "identity"}
        if authorization is not None:
            headers["Authorization"] = authorization.value
        request = httpx.Request(
            "GET",
            self.address.url + command.target,
            headers=headers,
            extensions={
                "timeout": {
                    "connect": min(CONNECT_TIMEOUT, timeout),
                    "read": None,  # the deadline of the whole command rules
                    "write": timeout,
                    "pool": timeout,
                },
                "trace": trace,
            },
        )
        token = silence.OURS.set(True)
        try:
            return await transport.handle_async_request(request)
        finally:
            silence.OURS.reset(token)

    async def _check_certificate(self, event: str, info: Mapping[str, Any]) -> None:
        """Check the certificate as soon as there is one: the request is not sent yet."""
        if event == "connection.start_tls.complete" and self._trust is not None:
            network = info["return_value"]
            tls_object = network.get_extra_info("ssl_object")
            try:
                self._trust.check(tls_object.getpeercert(binary_form=True))
            except CertificateMismatchError:
                await network.aclose()
                raise

    def _pool(self, lane: Lane) -> Pool:
        pool = self._pools.get(lane)
        if pool is None:
            pool = self._pools[lane] = self._transport(CONNECTIONS[lane])
        return pool

    def _transport(self, kept: int) -> Pool:
        return Pool(
            self._trust.context if self._trust is not None else None,
            http2=self._http2,
            connections=kept or 1,
            kept=kept,
            idle=KEEP_IDLE,
        )

    async def _explain(
        self, command: Command, failure: Exception, timeout: float, stages: set[str], began: float
    ) -> NVRError:
        doing = f"{command} at {self.address.url}"
        if (why := verification_error(failure)) is not None:
            left = max(LOOK_TIME, began + timeout - asyncio.get_running_loop().time())
            shown = await tls.shown_fingerprint(self.address.host, self.address.port, left)
            return tls.mismatch(why, shown)
        if isinstance(failure, TimeoutError | httpcore.TimeoutException):
            reason = (
                f"no connection within {min(CONNECT_TIMEOUT, timeout):.3g} s; is the address right,"
                " and the recorder on?"
                if isinstance(failure, httpcore.ConnectTimeout)
                else f"no whole answer within {timeout:.3g} s"
            )
        else:
            reason = why_failed(failure)
        return ConnectionFailedError(f"{doing}: {reason}", sent="sent" in stages)


async def _read_all(response: httpx.Response, command: Command, limit: int) -> bytes:
    """Return the body, decoded, at most `limit` bytes."""
    stated = response.headers.get("content-length", "")
    if len(stated) > 9 or (stated.isdecimal() and int(stated) > limit):
        raise _refuse(command, f"it is larger than {limit} bytes", b"")
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if coding in {"", "identity"}:
        decode = None
    elif coding in {"gzip", "deflate"}:
        decode = zlib.decompressobj(zlib.MAX_WBITS | 32)
    else:
        raise _refuse(command, f"its coding {coding[:20]!a} was not asked for", b"")
    body = bytearray()
    async for piece in response.aiter_raw():
        try:
            body += piece if decode is None else decode.decompress(piece, limit + 1)
        except zlib.error:
            raise _refuse(command, f"it is not {coding}", piece) from None
        if len(body) > limit:
            raise _refuse(command, f"it is larger than {limit} bytes", bytes(body[:32]))
    return bytes(body)


def _refuse(command: Command, why: str, head: bytes) -> ProtocolError:
    return ProtocolError(
        f"{command}: the answer cannot be used: {why}",
        reading="the answer to a command",
        offset=0,
        head=head,
    )


def _headers(response: httpx.Response) -> dict[str, list[str]]:
    headers: dict[str, list[str]] = {}
    for name, value in response.headers.multi_items():
        headers.setdefault(name.lower(), []).append(value)
    return headers


def _content_type(headers: Mapping[str, list[str]]) -> str:
    return headers.get("content-type", [""])[0].partition(";")[0].strip().lower()


def _peer(network: Any) -> str | None:
    address = network.get_extra_info("server_addr") if network is not None else None
    return str(address[0]) if address else None


def _load_trust(verify: tls.Verify) -> tls.Trust:
    return tls.load(verify, httpx.create_ssl_context(trust_env=False))
