"""What may be sent of user name and password, and when."""

from __future__ import annotations

import re

import pytest

from nvrclient.commands import digest
from nvrclient.commands.command import Command
from nvrclient.credentials import Credentials
from nvrclient.errors import ConnectionFailedError
from nvrclient.options import Secret
from nvrclient.transport.http import Reply
from tests.secrets import PASSWORD

COMMAND = Command("status.cgi", (("UID", "1"), ("PC", "AS60")))


def refusal(nonce: str, *, stale: bool = False) -> Reply:
    value = f'Digest realm="x", nonce="{nonce}", qop="auth"' + (", stale=true" if stale else "")
    return Reply(401, {"www-authenticate": [value]}, b"")


def pair(credentials: Credentials) -> tuple[str, str]:
    """Return nonce and count of what the next command carries."""
    authorization = credentials.beforehand(COMMAND)
    assert authorization is not None
    return tuple(
        re.findall(r'\bnonce="?(\w+)|\bnc=(\w+)', authorization.value)[n][n] for n in (0, 1)
    )  # type: ignore[return-value]


def test_row_3_each_pair_of_nonce_and_count_is_used_once() -> None:
    credentials = Credentials("ADMIN", Secret(PASSWORD))
    assert credentials.beforehand(COMMAND) is None
    assert credentials.challenge_in(refusal("a"), fresh=True)
    used = [pair(credentials) for _ in range(3)]
    # Two commands meet the same stale nonce: both take the new one, and go on counting.
    assert credentials.challenge_in(refusal("b", stale=True), fresh=False)
    used.append(pair(credentials))
    assert credentials.challenge_in(refusal("b", stale=True), fresh=False)
    used += [pair(credentials) for _ in range(2)]
    assert len(set(used)) == len(used)
    assert [count for nonce, count in used if nonce == "b"] == ["00000001", "00000002", "00000003"]


def test_only_a_fresh_uid_or_a_stale_nonce_is_answered() -> None:
    credentials = Credentials("ADMIN", Secret(PASSWORD))
    assert not credentials.challenge_in(refusal("a"), fresh=False)
    assert not credentials.challenge_in(
        refusal("a", stale=True), fresh=False
    )  # never challenged before
    assert not credentials.challenge_in(Reply(401, {}, b""), fresh=True)
    assert credentials.challenge_in(refusal("a"), fresh=True)
    assert not credentials.challenge_in(refusal("b"), fresh=False)  # the UID is gone
    credentials.refused = "refused"
    assert credentials.beforehand(COMMAND) is None
    assert credentials.sent == 0


def test_a_password_callable_that_fails() -> None:
    challenge = digest.parse_challenge(['Digest realm="x", nonce="a", qop="auth"'])

    def fails() -> str:
        raise OSError("the vault is away")

    with pytest.raises(ConnectionFailedError, match="OSError"):
        Credentials("ADMIN", Secret(fails)).answer(COMMAND, challenge)
    with pytest.raises(TypeError, match="no string"):
        Credentials("ADMIN", Secret(lambda: None)).answer(COMMAND, challenge)  # type: ignore[arg-type, return-value]
    with pytest.raises(TypeError, match="password"):
        Secret(b"bytes").check()  # type: ignore[arg-type]
    assert repr(Secret(PASSWORD)) == "<secret>"
