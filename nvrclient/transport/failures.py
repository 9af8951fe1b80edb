"""What went wrong below us, in words of our own: those of httpcore, ssl and the system can hold URLs."""

from __future__ import annotations

import os
import socket
import ssl

import httpcore


def why_failed(failure: Exception) -> str:
    """Return what happened, for an exception of httpcore, ssl or the operating system."""
    reasons: list[str] = []
    link: BaseException | None = failure
    while link is not None and len(reasons) < 8:
        if isinstance(link, ssl.SSLError):
            reasons.append(f"TLS: {(link.reason or 'handshake failed').lower().replace('_', ' ')}")
        elif isinstance(link, socket.gaierror):
            reasons.append("the host name cannot be resolved")
        elif isinstance(link, OSError) and link.errno:
            reasons.append(os.strerror(link.errno).lower())
        elif isinstance(link, httpcore.RemoteProtocolError):
            reasons.append("the answer is not HTTP, or the connection was cut in the middle of it")
        link = link.__cause__ or link.__context__
    return reasons[-1] if reasons else _PLAIN.get(type(failure), type(failure).__name__)


_PLAIN: dict[type[Exception], str] = {
    httpcore.ConnectError: "no connection",
    httpcore.ReadError: "the connection broke while reading",
    httpcore.WriteError: "the connection broke while sending",
    httpcore.PoolTimeout: "too many commands are waiting for answers",
}


def verification_error(failure: BaseException) -> str | None:
    """Return why the certificate was not trusted, where that is what failed."""
    link: BaseException | None = failure
    while link is not None:
        if isinstance(link, ssl.SSLCertVerificationError):
            return link.verify_message.rstrip(".")
        link = link.__cause__ or link.__context__
    return None
