"""The recorder's self-signed certificate (extra ``simulator``: cryptography)."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Certificate", "load_certificate", "make_certificate"]

_T = TypeVar("_T")


class Certificate:
    """The certificate that a recorder shows, in a folder of its own; ``renew()`` makes the first one too."""

    def __init__(self) -> None:
        self.path: Path | None = None
        self.context: ssl.SSLContext | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._made = 0

    async def renew(self, names: Sequence[str], *, expired: bool = False) -> None:
        """Make another, with another key, for the next connections."""
        if self._folder is None:
            self._folder = await _in_thread(lambda: tempfile.TemporaryDirectory(prefix="nvr-"))
        self._made += 1
        path = Path(self._folder.name) / f"recorder-{self._made}.pem"
        await _in_thread(lambda: make_certificate(path, names, expired=expired))
        self.context = await _in_thread(lambda: load_certificate(path, self.context))
        self.path = path

    async def aclose(self) -> None:
        """Remove the files."""
        folder, self._folder, self.path, self.context = self._folder, None, None, None
        if folder is not None:
            await _in_thread(folder.cleanup)


def make_certificate(path: Path, names: Sequence[str], *, expired: bool = False) -> None:
    """Write a new key, and a certificate of it for these names and addresses, as PEM files. Blocking."""
    # cryptography is an extra, and takes a while to import: only a recorder with TLS needs it.
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Network disk recorder")])
    alternatives: list[x509.GeneralName] = []
    for host in names:
        try:
            alternatives.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            alternatives.append(x509.DNSName(host))
    end = dt.datetime.now(dt.UTC) + dt.timedelta(days=-1 if expired else 365)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - dt.timedelta(days=366))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = _key_of(path)
    secret.touch(mode=0o600)
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def load_certificate(path: Path, context: ssl.SSLContext | None = None) -> ssl.SSLContext:
    """Put a certificate made here into a server's context; connections there are keep the old one."""
    if context is None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.num_tickets = 0  # a resumed session would hide a replaced certificate
    context.load_cert_chain(path, _key_of(path))
    return context


def _key_of(path: Path) -> Path:
    return path.with_suffix(".key")


async def _in_thread(work: Callable[[], _T]) -> _T:
    """Run blocking work in a thread that is gone afterwards (the loop's own executor keeps its threads)."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, "nvrclient-simulator") as executor:
        return await loop.run_in_executor(executor, work)
