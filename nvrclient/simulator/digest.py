"""Digest authentication (RFC 7616), the server's half."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

__all__ = ["REALM", "DigestGuard", "Verdict"]

REALM = "Network disk recorder"

_KEPT = 1000  # nonces, the latest: an older one is stale; a recorder runs for months

_FIELD = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]*))')


class Verdict(Enum):
    """What is to be said to a credential."""

    ACCEPTED = "accepted"
    STALE = "right, with a nonce that is no longer good"
    REPLAYED = "a pair of nonce and count that was used before"
    WRONG = "wrong"


@dataclass(slots=True)
class _Nonce:
    issued: float
    counts: set[str] = field(default_factory=set[str])


class DigestGuard:
    """Issues challenges and judges the answers; each pair of nonce and nonce count is good once."""

    def __init__(
        self,
        username: str,
        password: str,
        random: Random,
        *,
        realm: str = REALM,
        sha256: bool = False,
        nonce_uses: int | None = None,
        nonce_lifetime: float | None = None,
    ) -> None:
        self._username, self._password, self._random = username, password, random
        self._realm = realm
        self._sha256, self._uses, self._lifetime = sha256, nonce_uses, nonce_lifetime
        self._nonces: dict[str, _Nonce] = {}

    @property
    def password(self) -> str:
        """The password; a change holds for the next credential."""
        return self._password

    @password.setter
    def password(self, password: str) -> None:
        self._password = password

    def challenge(self, now: float, *, stale: bool = False) -> str:
        """Write a WWW-Authenticate header with a new nonce."""
        nonce = f"{self._random.getrandbits(128):032x}"
        self._nonces[nonce] = _Nonce(now)
        if len(self._nonces) > _KEPT:
            del self._nonces[next(iter(self._nonces))]
        algorithm = "SHA-256" if self._sha256 else "MD5"
        return (
            f'Digest realm="{self._realm}", nonce="{nonce}", algorithm={algorithm}, qop="auth"'
            f"{', stale=true' if stale else ''}"
        )

    def judge(self, authorization: str, method: str, target: str, now: float) -> Verdict:
        """Judge an Authorization header that came with this request."""
        scheme, _, rest = authorization.partition(" ")
        found = {name.lower(): quoted or bare for name, quoted, bare in _FIELD.findall(rest)}
        nonce = self._nonces.get(found.get("nonce", ""))
        expected = {
            "username": self._username,
            "realm": self._realm,
            "uri": target,
            "qop": "auth",
            "response": self._response(method, target, found),
        }
        if scheme.lower() != "digest" or any(found.get(k) != v for k, v in expected.items()):
            return Verdict.WRONG
        if found.get("algorithm", "MD5").upper() != ("SHA-256" if self._sha256 else "MD5"):
            return Verdict.WRONG
        if not re.fullmatch(r"[0-9a-fA-F]{8}", found.get("nc", "")) or not found.get("cnonce"):
            return Verdict.WRONG
        if nonce is None:
            return Verdict.STALE
        if found["nc"] in nonce.counts:
            return Verdict.REPLAYED
        spent = self._uses is not None and len(nonce.counts) >= self._uses
        old = self._lifetime is not None and now - nonce.issued > self._lifetime
        if spent or old:
            return Verdict.STALE
        nonce.counts.add(found["nc"])
        return Verdict.ACCEPTED

    def _response(self, method: str, target: str, found: dict[str, str]) -> str:
        """Compute the response (RFC 7616 section 3.4.1, qop=auth)."""
        secret = self._hash(f"{self._username}:{self._realm}:{self._password}")
        counted = ":".join(found.get(name, "") for name in ("nonce", "nc", "cnonce", "qop"))
        return self._hash(f"{secret}:{counted}:{self._hash(f'{method}:{target}')}")

    def _hash(self, text: str) -> str:
        algorithm = hashlib.sha256 if self._sha256 else hashlib.md5
        return algorithm(text.encode()).hexdigest()
