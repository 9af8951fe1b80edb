"""HTTP digest authentication, the client's side (RFC 7616, and RFC 2069 without qop).

Nonces and client nonces are the caller's: ``nonce_count`` is 1 for a nonce's first use and rises by one for each
next, so that no pair is used twice.

Secrets stay out of reprs, messages and the locals of frames that an error passes through: before an error is
raised, the arguments that hold them are let go.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import quote

from nvrclient.errors import AuthenticationError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MAX_CHALLENGE_LENGTH", "Challenge", "authorization", "parse_challenge"]

MAX_CHALLENGE_LENGTH = 8 << 10
"""Most characters of all WWW-Authenticate headers of an answer together; recorders send under 200."""

_HASHES = {  # weakest first: the position is the preference
    name: function
    for name, function in (("MD5", "md5"), ("SHA-256", "sha256"), ("SHA-512-256", "sha512_256"))
    if function in hashlib.algorithms_available
}

_MAX_NONCE_COUNT = 0xFFFF_FFFF  # nc has eight hexadecimal digits

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.6.2
_SEPARATORS = re.compile(r"[ \t,]*")
_EQUALS = re.compile(r"[ \t]*=[ \t]*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_BARE = re.compile(r'[^",]*')  # more than a token: recorders and cameras leave out quotes
_TOKEN68 = re.compile(
    r"[ \t]+[A-Za-z0-9._~+/-]+=*[ \t]*(?=,|$)"
)  # what Basic, NTLM and Negotiate may carry
_ESCAPED = re.compile(r"\\(.)")
_NOT_IN_HEADERS = re.compile(r"[^\t\x20-\x7e]")
_NOT_IN_NAMES = re.compile(
    r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]"
)  # control characters, and what has no UTF-8

_Parameters: TypeAlias = dict[str, str]


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a recorder asks for. ``nonce`` and ``opaque`` stay out of the repr.

    ``algorithm`` is as the recorder spells it, None where it names none (MD5 then); ``qop`` is ``auth``, or None
    from a recorder that knows only RFC 2069. ``stale`` says that the password was right and the nonce too old.
    """

    realm: str
    nonce: str = field(repr=False)
    algorithm: str | None = None
    qop: str | None = None
    opaque: str | None = field(default=None, repr=False)
    stale: bool = False
    userhash: bool = False
    charset: str | None = None


def parse_challenge(header_values: Iterable[str]) -> Challenge:
    """Choose the strongest digest among the challenges of an answer's WWW-Authenticate headers.

    Of two with equal hashes the first is taken. Raises AuthenticationError, whose message says what was asked for
    instead, if there is none that can be answered: Basic is never, nor ``qop=auth-int`` alone.
    """
    values = list(header_values)
    del header_values
    chosen: Challenge | str
    if not values:
        chosen = "the recorder refuses without saying what authentication it wants"
    elif sum(map(len, values)) > MAX_CHALLENGE_LENGTH:
        chosen = f"the recorder's challenge is over {MAX_CHALLENGE_LENGTH} characters long"
    else:
        chosen = _choose(values)
    del values
    if isinstance(chosen, str):
        raise AuthenticationError(chosen)
    return chosen


def authorization(
    challenge: Challenge,
    *,
    username: str,
    password: str,
    method: str,
    uri: str,
    nonce_count: int,
    cnonce: str,
) -> str:
    """Return the Authorization header's value that answers ``challenge`` for one request.

    ``uri`` is the request target as it goes out, with its query. ``nonce_count`` is 1…0xFFFFFFFF; ``cnonce`` is
    a random text. Raises ValueError for a user name with control characters, for a ``uri``, ``method`` or ``cnonce``
    that no header can hold, for a ``nonce_count`` outside its range, and for a challenge that is not `parse_challenge`'s.
    """
    fault = _fault(
        challenge, username=username, method=method, uri=uri, cnonce=cnonce, nonce_count=nonce_count
    )
    if fault:
        del challenge, password, uri, cnonce
        raise ValueError(fault)
    function = _HASHES[_hash_name(challenge.algorithm)]
    session = (challenge.algorithm or "").upper().endswith("-SESS")
    secret = _hash(function, username, challenge.realm, password)
    if session:
        secret = _hash(function, secret, challenge.nonce, cnonce)
    request = _hash(function, method, uri)
    count = f"{nonce_count:08x}"
    if challenge.qop:
        response = _hash(function, secret, challenge.nonce, count, cnonce, challenge.qop, request)
    else:
        response = _hash(function, secret, challenge.nonce, request)

    if challenge.userhash:
        fields = [f'username="{_hash(function, username, challenge.realm)}"']
    elif username.isascii():
        fields = [f"username={_quoted(username)}"]
    else:
        fields = [f"username*=UTF-8''{quote(username, safe='')}"]
    fields += [
        f"realm={_quoted(challenge.realm)}",
        f"nonce={_quoted(challenge.nonce)}",
        f"uri={_quoted(uri)}",
        f'response="{response}"',
    ]
    if challenge.algorithm:
        fields.append(f"algorithm={challenge.algorithm}")
    if challenge.qop:
        fields += [f"qop={challenge.qop}", f"nc={count}"]
    if challenge.qop or session:
        fields.append(f"cnonce={_quoted(cnonce)}")
    if challenge.opaque is not None:
        fields.append(f"opaque={_quoted(challenge.opaque)}")
    if challenge.userhash:
        fields.append("userhash=true")
    return f"Digest {', '.join(fields)}"


def _fault(
    challenge: Challenge, *, username: str, method: str, uri: str, cnonce: str, nonce_count: int
) -> str:
    """Return what is wrong with the arguments of `authorization`, or nothing."""
    if _NOT_IN_NAMES.search(username):
        return "a user name cannot hold control characters"
    if not _TOKEN.fullmatch(method):
        return "a method is letters without spaces"
    if _NOT_IN_HEADERS.search(uri + cnonce):
        return "uri and cnonce cannot hold anything but printable ASCII"
    asked = challenge.realm + challenge.nonce + (challenge.opaque or "")
    if _NOT_IN_HEADERS.search(asked) or _hash_name(challenge.algorithm) not in _HASHES:
        return "a challenge that parse_challenge would not have given"
    if not 1 <= nonce_count <= _MAX_NONCE_COUNT:
        return f"nonce_count is {nonce_count}, not 1…{_MAX_NONCE_COUNT:#x}"
    return ""


def _hash(function: str, *parts: str) -> str:
    # surrogatepass: a password that has no UTF-8 is refused by the recorder, not shown in a UnicodeEncodeError.
    data = ":".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.new(function, data, usedforsecurity=False).hexdigest()


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _choose(values: list[str]) -> Challenge | str:
    """Return the best challenge, or why there is none."""
    refusals: list[tuple[int, str]] = [(0, "the recorder's challenge cannot be read")]
    usable: list[tuple[int, Challenge]] = []
    for value in values:
        for scheme, parameters in _parse(value):
            if scheme != "digest":
                refusals.append(
                    (
                        1,
                        f"the recorder asks for {scheme.title()[:20]} authentication: set it to digest",
                    )
                )
                continue
            challenge = _read(parameters)
            if isinstance(challenge, str):
                refusals.append((2, challenge))
            else:
                usable.append((_strength(challenge), challenge))
    if usable:
        return max(usable, key=lambda item: item[0])[1]
    return max(refusals, key=lambda item: item[0])[1]


def _strength(challenge: Challenge) -> int:
    return list(_HASHES).index(_hash_name(challenge.algorithm))


def _hash_name(algorithm: str | None) -> str:
    return (algorithm or "MD5").upper().removesuffix("-SESS")


def _parse(value: str) -> list[tuple[str, _Parameters]]:
    """Split one header into challenges: scheme in lower case, parameters with lower-case names.

    A header that breaks the grammar yields nothing. Beyond the grammar, values need no quotes, and commas may be
    missing or doubled.
    """
    if _NOT_IN_HEADERS.search(value):
        return []
    challenges: list[tuple[str, _Parameters]] = []
    at = _end(_SEPARATORS, value, 0)
    last = ""
    while at < len(value):
        token = _TOKEN.match(value, at)
        if token is None:
            return []
        name = token[0].lower()
        at = token.end()
        if equals := _EQUALS.match(value, at):
            if not challenges or name in challenges[-1][1]:
                return []
            parameters = challenges[-1][1]
            if quoted := _QUOTED.match(value, equals.end()):
                parameters[name] = _ESCAPED.sub(r"\1", quoted[1])
                at = quoted.end()
            else:
                at = _end(_BARE, value, equals.end())
                parameters[name] = value[equals.end() : at].strip(" \t")
            last = name
        elif last == "qop" and name in {"auth", "auth-int"}:
            challenges[-1][1][last] += f",{name}"  # a list without its quotes: qop=auth,auth-int
        else:
            challenges.append((name, {}))
            last = ""
            if name != "digest":
                at = _end(_TOKEN68, value, at)
        at = _end(_SEPARATORS, value, at)
    return challenges


def _end(pattern: re.Pattern[str], value: str, at: int) -> int:
    found = pattern.match(value, at)
    return found.end() if found else at


def _read(parameters: _Parameters) -> Challenge | str:
    """Return a digest's challenge, or why it cannot be answered."""
    if "realm" not in parameters:
        return "the recorder's digest challenge has no realm"
    if not parameters.get("nonce"):
        return "the recorder's digest challenge has no nonce"
    algorithm = parameters.get("algorithm") or None
    if _hash_name(algorithm) not in _HASHES:
        return f"the recorder's digest algorithm is unknown ({str(algorithm)[:20]!r})"
    offered = {option.strip(" \t").lower() for option in parameters.get("qop", "").split(",")} - {
        ""
    }
    if offered and "auth" not in offered:
        return f"the recorder offers only digest with qop {', '.join(sorted(offered))[:40]!r}, not auth"
    return Challenge(
        realm=parameters["realm"],
        nonce=parameters["nonce"],
        algorithm=algorithm,
        qop="auth" if offered else None,
        opaque=parameters.get("opaque"),
        stale=parameters.get("stale", "").lower() == "true",
        userhash=parameters.get("userhash", "").lower() == "true",
        charset=parameters.get("charset"),
    )
