"""Connections: what is read and sent, how they end, what cancelling leaves."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpcore
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from nvrclient.transport import network
from nvrclient.transport.network import BUFFER, Network

Talk = Callable[[socket.socket], object]


@contextmanager
def peer(talk: Talk, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server in a thread that does what the test says with each connection, and then closes it; yields its port."""
    ends = threading.Event()

    def serve() -> None:
        while True:
            plain, _ = listener.accept()
            if ends.is_set():
                plain.close()
                return
            connection = plain
            with suppress(OSError):
                if context is not None:
                    connection = context.wrap_socket(
                        plain, server_side=True, suppress_ragged_eofs=False
                    )
                talk(connection)
            connection.close()
            plain.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield port
        finally:
            ends.set()
            socket.create_connection(("127.0.0.1", port)).close()
            thread.join()


def until_closed(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


async def connected(port: int, host: str = "127.0.0.1") -> httpcore.AsyncNetworkStream:
    return await Network().connect_tcp(host, port, timeout=5.0)


async def everything(stream: httpcore.AsyncNetworkStream, size: int = 65536) -> bytes:
    got = b""
    while piece := await stream.read(size):
        assert len(piece) <= size
        got += piece
    return got


async def test_more_than_the_buffer_holds_arrives_in_order() -> None:
    sent = bytes(range(256)) * (BUFFER // 64)
    with peer(lambda connection: connection.sendall(sent)) as port:
        stream = await connected(port)
        await asyncio.sleep(0.1)  # the buffer fills up and TCP holds the peer up
        assert await everything(stream, 1000) == sent
        await stream.aclose()


async def test_large_requests_wait_for_a_slow_peer() -> None:
    seen = bytearray()

    def slow(connection: socket.socket) -> None:
        time.sleep(0.05)
        while piece := connection.recv(1 << 20):
            seen.extend(piece)

    sent = bytes(range(256)) * (1 << 15)
    with peer(slow) as port:
        stream = await connected(port)
        await stream.write(sent)
        while len(seen) < len(sent):
            await asyncio.sleep(0.01)
        await stream.aclose()
    assert seen == sent


async def test_a_reset_is_an_error_and_an_end_is_none() -> None:
    def reset(connection: socket.socket) -> None:
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with peer(reset) as port:
        stream = await connected(port)
        await stream.write(b"x")
        with pytest.raises(httpcore.ReadError) as caught:
            await stream.read(10)
        assert isinstance(caught.value.__cause__, ConnectionResetError)
        with pytest.raises(httpcore.WriteError):
            await stream.write(b"x")
        await stream.aclose()
        await stream.aclose()


async def test_deadlines() -> None:
    frozen = threading.Event()
    with peer(lambda _connection: frozen.wait(5)) as port:
        stream = await connected(port)
        with pytest.raises(httpcore.ReadTimeout):
            await stream.read(10, timeout=0.01)
        with pytest.raises(httpcore.WriteTimeout):
            await stream.write(bytes(64 << 20), timeout=0.05)
        await stream.aclose()
        stream = await connected(port)
        with pytest.raises(httpcore.ConnectTimeout):
            await stream.start_tls(ssl.create_default_context(), "localhost", timeout=0.05)
        frozen.set()


async def test_an_idle_connection_tells_that_it_was_closed() -> None:
    with peer(lambda connection: connection.recv(1)) as port:
        stream = await connected(port)
        assert not stream.get_extra_info("is_readable")
        await stream.write(b"x")
        async with asyncio.timeout(5):
            while not stream.get_extra_info("is_readable"):
                await asyncio.sleep(0.001)
        await stream.aclose()


async def test_cancelling_a_read_loses_nothing() -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(1)
        connection.sendall(b"all of it")

    with peer(answer) as port:
        stream = await connected(port)
        for _ in range(3):
            reading = asyncio.ensure_future(stream.read(100))
            await asyncio.sleep(0)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
        await stream.write(b"x")
        assert await everything(stream) == b"all of it"
        await stream.aclose()


async def test_a_name_whose_first_address_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    with peer(lambda connection: connection.sendall(b"here")) as port:
        silent = socket.create_server(("127.0.0.2", port), backlog=1)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:  # its queue is full: a further connection gets no answer
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.2", port))

        async def two(*_: object, **__: object) -> list[tuple[object, ...]]:
            return [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
                for address in ("127.0.0.2", "127.0.0.1")
            ]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", two)
        monkeypatch.setattr(network, "ATTEMPT_DELAY", 0.02)
        stream = await connected(port, "recorder.example")
        assert await stream.read(10) == b"here"
        assert stream.get_extra_info("server_addr")[0] == "127.0.0.1"
        await stream.aclose()
        for one in (silent, *fillers):
            one.close()


async def test_a_name_of_which_no_address_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    async def two(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in ("127.0.0.1", "127.0.0.2")
        ]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", two)
    with pytest.raises(httpcore.ConnectError) as caught:
        await connected(port, "recorder.example")
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_cancelled_at_any_moment_of_connecting(host: str) -> None:
    with peer(until_closed) as port:
        for turns in range(12):
            connecting = asyncio.ensure_future(Network().connect_tcp(host, port, timeout=5.0))
            for _ in range(turns):
                await asyncio.sleep(0.0005 if turns % 2 else 0)
            connecting.cancel()
            outcome = (await asyncio.gather(connecting, return_exceptions=True))[0]
            if isinstance(outcome, httpcore.AsyncNetworkStream):
                await outcome.aclose()
            else:
                assert isinstance(outcome, asyncio.CancelledError)
        await asyncio.sleep(0.01)  # `nothing_is_left` counts the sockets


class TestTls:
    @pytest.fixture
    def contexts(self, tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        return tls_contexts(tmp_path)

    @pytest.mark.parametrize("farewell", [True, False])
    async def test_the_end_with_and_without_a_farewell(
        self, contexts: tuple[ssl.SSLContext, ssl.SSLContext], farewell: bool
    ) -> None:
        ours, theirs = contexts
        sent = bytes(range(251)) * 6000

        def send(connection: socket.socket) -> None:
            assert isinstance(connection, ssl.SSLSocket)
            assert connection.recv(5) == b"hello"
            connection.sendall(sent)
            if farewell:
                connection.settimeout(0.2)
                connection.unwrap()
            else:
                connection.shutdown(socket.SHUT_WR)
                time.sleep(0.1)

        with peer(send, theirs) as port:
            plain = await connected(port)
            stream = await plain.start_tls(ours, "localhost", timeout=5.0)
            assert stream.get_extra_info("ssl_object").getpeercert(binary_form=True)
            await stream.write(b"hello")
            assert await everything(stream, 50_000) == sent
            assert await stream.read(1) == b""
            await stream.aclose()

    async def test_a_peer_that_speaks_no_tls(
        self, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
    ) -> None:
        page = b"HTTP/1.1 400 Bad Request\r\n\r\n"
        with peer(lambda connection: connection.sendall(page)) as port:
            plain = await connected(port)
            with pytest.raises(httpcore.ConnectError) as caught:
                await plain.start_tls(contexts[0], "localhost", timeout=5.0)
            assert isinstance(caught.value.__cause__, ssl.SSLError)

    async def test_a_certificate_that_is_not_trusted(
        self, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
    ) -> None:
        with peer(until_closed, contexts[1]) as port:
            plain = await connected(port)
            with pytest.raises(httpcore.ConnectError) as caught:
                await plain.start_tls(ssl.create_default_context(), "localhost", timeout=5.0)
            assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)

    async def test_damaged_records(self, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
        def spoil(connection: socket.socket) -> None:
            connection.recv(1)
            with socket.socket(fileno=connection.fileno()) as raw:
                raw.send(b"\x17\x03\x03\x00\x20" + bytes(32))
                raw.detach()
            time.sleep(0.05)

        with peer(spoil, contexts[1]) as port:
            stream = await (await connected(port)).start_tls(contexts[0], "localhost", timeout=5.0)
            await stream.write(b"x")
            with pytest.raises(httpcore.ReadError):
                await stream.read(100)
            await stream.aclose()


def tls_contexts(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a client's context and a server's, whose certificate the client trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    path.write_bytes(
        pem
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(path)
    return ssl.create_default_context(cadata=pem.decode()), theirs
