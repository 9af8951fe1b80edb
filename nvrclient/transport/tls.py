"""Whom to trust: the option `verify` -> a TLS context and a check of the certificate that was shown.

A pin is checked after the handshake and before the first byte of a request, on every connection.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import ssl
import warnings
from pathlib import Path
from typing import TypeAlias

from nvrclient.errors import CertificateMismatchError, ConnectionFailedError

Verify: TypeAlias = "bool | str | Path | ssl.SSLContext"

_FINGERPRINT = re.compile(r"sha256:((?:[0-9a-f]{2}:?){32})", re.IGNORECASE)


class Trust:
    """What makes the recorder's certificate acceptable.

    `context` is the TLS context for the handshake; `pins` are SHA-256 fingerprints of which the certificate must
    have one, or None where the handshake itself verifies. `authority`, if there is one, verifies where no pin
    fits: a PEM file may hold the recorder's own certificate or that of the CA that signed it.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        pins: frozenset[str] | None = None,
        authority: ssl.SSLContext | None = None,
    ) -> None:
        self.context = context
        self._pins = pins
        self._authority = authority

    def check(self, certificate: bytes | None) -> None:
        """Check the certificate (DER) of a connection just made. Raises CertificateMismatchError."""
        if self._pins is None:
            return
        fingerprint = hashlib.sha256(certificate or b"").hexdigest()
        if fingerprint in self._pins:
            self._authority = None  # it is the recorder's own: from here on no other will do
            return
        raise mismatch("it is not the one that verify= names", fingerprint)

    def turn_to_authority(self) -> bool:
        """After a failed check: verify by the CA from here on. False where there is none to turn to."""
        if self._authority is None:
            return False
        self.context, self._pins, self._authority = self._authority, None, None
        return True


def mismatch(why: str, fingerprint: str | None) -> CertificateMismatchError:
    """Return the error for a certificate that is not trusted, with the option that would trust it."""
    advice = (
        f' It has sha256 {fingerprint}; if that is your recorder, write verify="sha256:{fingerprint}".'
        if fingerprint
        else ""
    )
    return CertificateMismatchError(
        f"the recorder's certificate is not trusted: {why}.{advice} Nothing was sent to it."
    )


def warn_if_unverified(verify: Verify) -> None:
    """Warn, once a process by Python's rules, that verify=False trusts anyone."""
    if verify is False:
        warnings.warn(
            "verify=False: anyone on the network can pose as the recorder and receive its password;"
            ' give verify="recorder.pem" or verify="sha256:…" instead',
            stacklevel=3,
        )


def check_verify(verify: Verify) -> None:
    """Refuse an option that can mean nothing. Raises ValueError or TypeError."""
    if isinstance(verify, str) and verify.lower().startswith("sha256:"):
        if not _FINGERPRINT.fullmatch(verify):
            raise ValueError('verify: write "sha256:" and 64 hexadecimal digits')
    elif not isinstance(verify, bool | str | Path | ssl.SSLContext):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(
            "verify: True, False, the path of a PEM file, an ssl.SSLContext, or 'sha256:<hex>'"
        )


def load(verify: Verify, public: ssl.SSLContext) -> Trust:
    """Return the trust that `verify` asks for; `public` verifies by the public authorities. Reads files: call it in a thread.

    Raises ConnectionFailedError where the PEM file cannot be read.
    """
    if isinstance(verify, ssl.SSLContext):
        return Trust(verify)
    if verify is True:
        return Trust(public)
    if verify is False:
        return Trust(_unverified())
    found = _FINGERPRINT.fullmatch(str(verify))
    if found is not None:
        return Trust(_unverified(), frozenset({found[1].replace(":", "").lower()}))
    try:
        text = Path(verify).read_text("ascii")
        pins = frozenset(
            hashlib.sha256(ssl.PEM_cert_to_DER_cert(block + ssl.PEM_FOOTER)).hexdigest()
            for block in re.findall(rf"{ssl.PEM_HEADER}[^-]+", text)
        )
        authority = ssl.create_default_context(cafile=str(verify)) if pins else None
    except (OSError, ValueError, ssl.SSLError) as failure:
        raise _unreadable(verify, type(failure).__name__) from None
    if authority is None:
        raise _unreadable(verify, "no certificate in it")
    # Without a CA among them, only the certificates themselves can be meant.
    return Trust(_unverified(), pins, authority if authority.get_ca_certs() else None)


def _unreadable(verify: Verify, why: str) -> ConnectionFailedError:
    return ConnectionFailedError(f"verify: cannot read {str(verify)!r} as PEM ({why})")


async def shown_fingerprint(host: str, port: int, timeout: float) -> str | None:
    """Return the SHA-256 of the certificate that is shown at `host`, for a message; None if none comes."""
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(host, port, ssl=_unverified())
            try:
                tls = writer.get_extra_info("ssl_object")
                certificate: bytes | None = tls.getpeercert(binary_form=True)
            finally:
                writer.transport.abort()
    except (OSError, ssl.SSLError, TimeoutError):
        return None
    return hashlib.sha256(certificate).hexdigest() if certificate else None


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
