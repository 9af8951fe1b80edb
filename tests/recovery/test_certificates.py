"""FAULTS rows 6 and 7: a certificate that changes by night, a handshake that never ends, dates that do not fit."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import nvrclient
from nvrclient.simulator import Ending, SimulatedRecorder
from nvrclient.simulator.certificate import load_certificate, make_certificate
from tests.clock import run_simulated, simulated_clock
from tests.end_to_end.test_live_video import watching
from tests.recovery.viewer import light_recorder, until_live, viewing
from tests.secrets import PASSWORD


def pin_of(path: str | Path | None) -> str:
    """Return the `verify` that pins this certificate."""
    assert path is not None
    der = ssl.PEM_cert_to_DER_cert(Path(path).read_text("ascii"))
    return "sha256:" + hashlib.sha256(der).hexdigest()


class Impostor:
    """Has taken the recorder's address with a certificate of its own; `heard` is what it could decrypt."""

    def __init__(self) -> None:
        self.heard = b""
        self.handshakes = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.handshakes += 1
        try:
            while data := await reader.read(65536):
                self.heard += data
        except OSError:
            pass
        finally:
            writer.transport.abort()


@asynccontextmanager
async def impostor_of(recorder: SimulatedRecorder, folder: Path) -> AsyncIterator[Impostor]:
    """Put somebody else in the recorder's place."""
    port = recorder.port
    make_certificate(folder / "another.pem", ["127.0.0.1"])
    impostor = Impostor()
    await recorder.aclose()
    server = await asyncio.start_server(
        impostor.serve, "127.0.0.1", port, ssl=load_certificate(folder / "another.pem")
    )
    try:
        yield impostor
    finally:
        server.close()
        await server.wait_closed()


# Row 6


@pytest.mark.parametrize("how", ["pin", "pem"])
def test_row_6_another_certificate_at_a_reconnect_by_night(how: str, tmp_path: Path) -> None:
    """The streams end by it, nothing is said to whoever shows it, and nothing is tried again."""

    async def scenario() -> None:
        recorder = light_recorder(4, tls=True)
        clock = simulated_clock()
        await recorder.start()
        pinned = tmp_path / "recorder.pem"
        pinned.write_text(Path(recorder.certificate or "").read_text())
        verify = pin_of(pinned) if how == "pin" else pinned
        session = nvrclient.connect(recorder.url, "ADMIN", PASSWORD, verify=verify)
        async with session as nvr, viewing(nvr, 4, "mixed") as viewers:
            await until_live(viewers, 10)
            sent = nvr.stats.credentials_sent
            async with impostor_of(recorder, tmp_path) as impostor:
                await asyncio.sleep(1200)
                for viewer in viewers:
                    assert isinstance(viewer.error, nvrclient.CertificateMismatchError)
                    assert viewer.stream.state == "closed"
                with pytest.raises(nvrclient.CertificateMismatchError):
                    await nvr.error_log()
                with pytest.raises(nvrclient.CertificateMismatchError):
                    await nvr.camera(1).live("h264")
                assert impostor.handshakes > 0
                assert impostor.heard == b""
                assert nvr.stats.credentials_sent == sent
                began = clock.time()
                await nvr.aclose()
                assert clock.time() - began <= 2.0
                assert impostor.heard == b""

    run_simulated(scenario(), debug=False)


def test_row_6_another_certificate_at_a_keepalive(tmp_path: Path) -> None:
    """Nobody watches; the keep-alive meets it, and the UID does not go out."""

    async def scenario() -> None:
        recorder = light_recorder(1, tls=True)
        await recorder.start()
        verify = pin_of(recorder.certificate)
        async with nvrclient.connect(recorder.url, "ADMIN", PASSWORD, verify=verify) as nvr:
            await asyncio.sleep(70)
            assert nvr.stats.keepalives == 1
            async with impostor_of(recorder, tmp_path) as impostor:
                await asyncio.sleep(300)
                assert nvr.stats.keepalives == 1
                assert nvr.stats.keepalives_failed > 0
                with pytest.raises(nvrclient.CertificateMismatchError):
                    await nvr.disks()
                assert impostor.handshakes > 0
                assert impostor.heard == b""

    run_simulated(scenario(), debug=False)


def test_row_6_the_same_recorder_with_its_own_certificate_again() -> None:
    """A reboot that changes nothing else is a reboot."""

    async def scenario() -> None:
        recorder = light_recorder(4, tls=True)
        async with (
            recorder,
            nvrclient.connect(
                recorder.url, "ADMIN", PASSWORD, verify=pin_of(recorder.certificate)
            ) as nvr,
            viewing(nvr, 4) as viewers,
        ):
            await until_live(viewers, 10)
            for ending in Ending:
                recorder.faults.drop_connections(ending)
                await asyncio.sleep(20)
                await until_live(viewers, 1)
            assert recorder.violations == []

    run_simulated(scenario(), debug=False)


# Row 7


def test_row_7_a_handshake_that_never_ends() -> None:
    async def scenario() -> None:
        recorder = light_recorder(1, tls=True)
        clock = simulated_clock()
        async with watching(recorder) as nvr:
            stalled = recorder.faults.stall_connections()
            began = clock.time()
            with pytest.raises(nvrclient.ConnectionFailedError, match="within 5 s"):
                await nvrclient.connect(
                    recorder.url, "ADMIN", PASSWORD, verify=pin_of(recorder.certificate)
                )
            assert clock.time() - began == pytest.approx(5.0, abs=0.1)
            stalled.heal()
            await nvr.error_log()

    run_simulated(scenario())


def test_row_7_a_handshake_that_never_ends_when_it_comes_back() -> None:
    async def scenario() -> None:
        recorder = light_recorder(2, tls=True)
        async with watching(recorder) as nvr, viewing(nvr, 2, "http") as viewers:
            await until_live(viewers, 10)
            stalled = recorder.faults.stall_connections(60)
            recorder.faults.drop_connections()
            await stalled.over()
            assert [len(viewer.gaps) for viewer in viewers] == [1, 1]
            await until_live(viewers, 15)
            assert recorder.logins == nvr.stats.logins

    run_simulated(scenario())


async def test_row_7_nothing_but_tls_1_0() -> None:
    """A recorder too old for this OpenSSL: it says so at once, and nothing goes out in the clear."""
    asked: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(65536))
        writer.write(bytes.fromhex("15 03 01 00 02 02 46"))  # fatal alert: protocol_version
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(nvrclient.ConnectionFailedError, match="TLS") as e:
            await nvrclient.connect(
                f"https://127.0.0.1:{port}", "ADMIN", PASSWORD, verify="sha256:" + "0" * 64
            )
    assert not isinstance(e.value, nvrclient.CertificateMismatchError)
    assert asked
    assert all(data[:1] == b"\x16" for data in asked), "a handshake, and nothing else"


def certificate_of(folder: Path, begin: datetime, end: datetime) -> tuple[Path, Path]:
    """Write a CA, and a certificate by it that holds from `begin` to `end`; return the two files."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    now = datetime.now(UTC)
    names = [
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]) for name in ("ca", "nvr")
    ]
    made: list[Path] = []
    for index, (since, until) in enumerate(
        [(now - timedelta(1), now + timedelta(1)), (begin, end)]
    ):
        builder = (
            x509.CertificateBuilder()
            .subject_name(names[index])
            .issuer_name(names[0])
            .public_key(keys[index].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(since)
            .not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca=not index, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        )
        path = folder / f"{index}.pem"
        path.write_bytes(
            builder.sign(keys[0], hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        )
        path.with_suffix(".key").write_bytes(
            keys[index].private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        made.append(path)
    return made[0], made[1]


@pytest.mark.parametrize("when", ["expired", "not yet", "now"])
async def test_row_7_dates_count_for_a_ca_and_not_for_a_pin(when: str, tmp_path: Path) -> None:
    """A certificate that is not valid yet is what a computer in 1970 sees."""
    now, days = datetime.now(UTC), timedelta(days=1)
    begin, end = {
        "expired": (now - 9 * days, now - days),
        "not yet": (now + days, now + 9 * days),
        "now": (now - days, now + days),
    }[when]
    authority, own = certificate_of(tmp_path, begin, end)
    async with SimulatedRecorder(tls=True, password=PASSWORD) as recorder:
        context = recorder._certificate.context
        assert context is not None
        context.load_cert_chain(own, own.with_suffix(".key"))
        url = recorder.url.replace("127.0.0.1", "localhost")
        async with nvrclient.connect(url, "ADMIN", PASSWORD, verify=pin_of(own)) as nvr:
            await nvr.error_log()
        async with nvrclient.connect(url, "ADMIN", PASSWORD, verify=own):
            pass
        by_authority = nvrclient.connect(url, "ADMIN", PASSWORD, verify=authority)
        if when == "now":
            async with by_authority:
                pass
            return
        seen = len(recorder.requests)
        with pytest.raises(nvrclient.CertificateMismatchError, match=r"expired|not yet valid"):
            await by_authority
        assert len(recorder.requests) == seen
