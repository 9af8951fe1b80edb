"""Nothing goes to another host than the one the caller named (docs/faults.md, rows 5 and 8)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import pytest

import nvrclient
from nvrclient.simulator import SimulatedRecorder
from tests.end_to_end.foreign import ForeignRecorder, Query
from tests.end_to_end.servers import reply, serving
from tests.end_to_end.test_live_video import take
from tests.secrets import PASSWORD

LATER = datetime(2024, 1, 1, tzinfo=UTC)


class Attic:
    """A server that nobody may come to: counts who does."""

    def __init__(self) -> None:
        self.connections = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._came, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    def _came(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.transport.abort()


LOCATIONS = {
    "another port": "http://127.0.0.1:{port}/cgi-bin/{name}",
    "another host": "http://localhost:{port}/cgi-bin/{name}",
    "another scheme": "https://127.0.0.1:{port}/cgi-bin/{name}",
    "no scheme": "//127.0.0.1:{port}/",
    "a loop": "/cgi-bin/{name}",
    "line breaks": "http://127.0.0.1:{port}/\r\n\r\nGET http://127.0.0.1:{port}/ HTTP/1.1",
    "none": "",
}


class Mover(ForeignRecorder):
    """Answers one command with a redirect."""

    def __init__(self, name: str, status: int, location: str) -> None:
        super().__init__()
        self._moved = name
        self._redirect = reply(f"{status} Moved", b"", f"Location: {location}")

    async def _answer(
        self, name: str, query: Query, authorization: str | None, writer: asyncio.StreamWriter
    ) -> bytes | None:
        if name == self._moved:
            return self._redirect
        return await super()._answer(name, query, authorization, writer)


COMMANDS = ("dlogin", "status", "push", "camera", "httpdl", "directctrl", "loglist", "recordedtime")


async def use(nvr: nvrclient.Session, name: str, folder: Path) -> None:
    """Have a command of this name sent."""
    if name == "status":
        await nvr.command("status.cgi", {"PC": "AS60"})
    elif name == "push":
        await nvr.camera(1).live("h264")
    elif name == "camera":
        async with nvr.camera(1).playback() as playback:
            await anext(playback)
    elif name == "httpdl":
        await nvr.camera(1).download(LATER, LATER + timedelta(minutes=1), folder)
    elif name == "directctrl":
        await nvr.camera(1).move(pan=1)
    elif name == "loglist":
        await nvr.event_log()
    elif name == "recordedtime":
        await nvr.disks()


@pytest.mark.parametrize("where", LOCATIONS)
async def test_row_5_a_login_that_moves_is_not_followed(where: str) -> None:
    async with Attic() as attic:
        location = LOCATIONS[where].format(port=attic.port, name="dlogin.cgi?UID=-1")
        async with Mover("dlogin", 302, location) as recorder:
            with pytest.raises(nvrclient.NVRError) as caught:
                await nvrclient.connect(recorder.url, "ADMIN", PASSWORD)
            assert isinstance(
                caught.value, nvrclient.ProtocolError | nvrclient.ConnectionFailedError
            )
            assert str(caught.value).isprintable()
            assert (len(recorder.asked), recorder.credentials) == (1, 0)
        assert attic.connections == 0


@pytest.mark.parametrize("status", [301, 307])
@pytest.mark.parametrize("name", COMMANDS[1:])
async def test_row_5_no_command_that_moves_is_followed(
    name: str, status: int, tmp_path: Path
) -> None:
    async with Attic() as attic:
        location = f"http://localhost:{attic.port}/cgi-bin/{name}.cgi"
        async with Mover(name, status, location) as recorder:
            session = nvrclient.connect(
                recorder.url, "ADMIN", PASSWORD, reconnect=False, command_interval=0, timeout=3
            )
            async with session as nvr:
                with pytest.raises(nvrclient.ProtocolError, match="redirects elsewhere"):
                    await use(nvr, name, tmp_path)
                assert nvr.is_open
        assert attic.connections == 0


async def test_row_5_a_keepalive_that_moves_is_not_followed() -> None:
    async with Attic() as attic:
        async with Mover("status", 302, f"http://127.0.0.1:{attic.port}/") as recorder:
            session = nvrclient.connect(recorder.url, "ADMIN", PASSWORD, keepalive=0.1)
            async with session as nvr, nvr.camera(1).live("h264") as stream:
                await take(stream, 20)
                assert nvr.stats.keepalives_failed > 0
                assert stream.stats.reconnects == 0
        assert attic.connections == 0


# Row 8

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


@pytest.mark.parametrize("tls", [False, True])
async def test_row_8_nothing_of_the_environment_counts(
    tls: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy is never called, .netrc never read, another CA never trusted; a live stream comes all the same."""
    async with Attic() as attic, SimulatedRecorder(tls=tls, password=PASSWORD, pace=4) as recorder:
        for name in PROXIES:
            monkeypatch.setenv(name, f"http://127.0.0.1:{attic.port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.setenv("HOME", str(tmp_path))
        netrc = tmp_path / ".netrc"
        netrc.write_text("machine 127.0.0.1 login other password wrong\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        session = nvrclient.connect(
            recorder.url, "ADMIN", PASSWORD, verify=recorder.certificate or True
        )
        async with session as nvr:
            async with nvr.camera(1).live("h264") as stream:
                await take(stream, 2)
            async with nvr.camera(2).live("h265", transport="udp") as stream:
                await take(stream, 2)
        assert recorder.wrong_credentials == 0
        assert attic.connections == 0


async def test_row_8_a_ca_of_the_environment_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with SimulatedRecorder(tls=True, password=PASSWORD) as recorder:
        monkeypatch.setenv("SSL_CERT_FILE", str(recorder.certificate))
        monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(recorder.certificate))
        with pytest.raises(nvrclient.CertificateMismatchError):
            await nvrclient.connect(recorder.url, "ADMIN", PASSWORD)
        assert recorder.credentials == 0


async def test_row_8_an_answer_that_names_another_host_is_no_invitation() -> None:
    """Whatever addresses stand in answers, every connection goes to the URL of the caller, every datagram comes from there."""

    class Recorder(ForeignRecorder):
        def dlogin(self, authorization: str | None) -> bytes:
            answer = super().dlogin(authorization)
            there = f"http://127.0.0.1:{attic.port}".encode()
            body = answer.partition(b"\r\n\r\n")[2].replace(b"./", there + b"/cgi-bin/")
            return (
                reply(
                    "200 OK",
                    body,
                    f"Content-Location: {there.decode()}/x",
                    f"Link: <{there.decode()}>",
                    'Alt-Svc: h2=":' + str(attic.port) + '"',
                )
                if authorization
                else answer
            )

        async def start(self, query: Query, writer: asyncio.StreamWriter) -> bytes | None:
            if "PORT" not in query:
                return await super().start(query, writer)
            self.spawn(self.send_video(query))
            return reply("200 OK", f"ADDRESS=239.1.2.3\r\nPORT={attic.port}\r\n".encode())

    async with Attic() as attic, Recorder() as recorder:
        async with nvrclient.connect(recorder.url, "ADMIN", PASSWORD) as nvr:
            for number, transport in enumerate(("http", "udp"), 1):
                async with nvr.camera(number).live("h264", transport=transport) as stream:  # type: ignore[arg-type]
                    await take(stream, 3)
        assert attic.connections == 0
        assert recorder.uids == set()


async def test_row_5_the_attic_would_notice() -> None:
    """The judge of this file: one connection is counted."""
    async with Attic() as attic, serving(_nothing):
        _, writer = await asyncio.open_connection("127.0.0.1", attic.port)
        await asyncio.sleep(0.05)
        writer.transport.abort()
        assert attic.connections == 1


async def _nothing(_request: bytes, _writer: asyncio.StreamWriter) -> None: ...
