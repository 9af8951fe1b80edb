"""User name and password: what may be sent of them, and when.

They answer the challenge of dlogin.cgi, once. A refusal latches: recorders lock accounts. Some recorders challenge
commands too: a fresh UID that is challenged at once is answered, since the password is known to be good then, and
such a recorder's commands carry the digest beforehand.
"""

from __future__ import annotations

import asyncio
import secrets
from math import inf

from nvrclient.commands import digest
from nvrclient.commands.command import Command
from nvrclient.errors import AuthenticationError, ConnectionFailedError
from nvrclient.options import Secret
from nvrclient.tasks import misuse
from nvrclient.transport.http import Authorization, Body, Reply

ACCEPTED_TIME = 5.0
"""Seconds for which an answer that was accepted is taken for right; then the next one goes alone."""

UNAUTHORIZED = 401

MAX_NONCES = 16
"""Nonces whose uses are remembered; a recorder has one or two at a time."""


class Credentials:
    """The one place that makes an Authorization. ``sent`` counts them."""

    def __init__(self, username: str, password: Secret) -> None:
        self.sent = 0
        self.proved = False  # dlogin.cgi has accepted them
        self.refused: str | None = None  # why they are not sent again
        self._username = username
        self._password = password
        self._challenge: digest.Challenge | None = None  # of a recorder that challenges commands
        # No command was refused with the answer it carried since the last login:
        self.settled = asyncio.Event()
        self.settled.set()
        self._accepted_at = -inf  # when it last took a command with its answer beforehand
        self._uses: dict[
            str, int
        ] = {}  # of the latest nonces: each pair of nonce and count is sent once

    def check(self) -> None:
        """Raise AuthenticationError where the recorder has refused them."""
        if self.refused is not None:
            raise AuthenticationError(self.refused)

    def answer(self, command: Command, challenge: digest.Challenge) -> Authorization:
        """Return the answer to a challenge.

        Raises TypeError for a password callable that returns no string, at the first login; ConnectionFailedError for
        one that raises, since it may heal.
        """
        try:
            password = Secret(self._password.reveal())  # asked for once, and shown by no traceback
        except Exception as failure:  # noqa: BLE001  it is the caller's
            if isinstance(failure, TypeError) and not self.proved:
                raise misuse(failure) from None
            raise ConnectionFailedError(
                f"login: the password callable raised {type(failure).__name__}"
            ) from None
        self.sent += 1
        count = self._uses.pop(challenge.nonce, 0) + 1
        self._uses[challenge.nonce] = count
        if len(self._uses) > MAX_NONCES:
            del self._uses[next(iter(self._uses))]
        return Authorization(
            digest.authorization(
                challenge,
                username=self._username,
                password=password.reveal(),
                method="GET",
                uri=command.target,
                nonce_count=count,
                cnonce=secrets.token_hex(8),
            )
        )

    def beforehand(self, command: Command) -> Authorization | None:
        """Return what a command with a UID carries, None with most recorders."""
        if self._challenge is None or self.refused is not None:
            return None
        return self.answer(command, self._challenge)

    def is_doubted(self, now: float) -> bool:
        """Whether commands carry an answer that was not accepted of late: the password may have changed."""
        return self._challenge is not None and now > self._accepted_at + ACCEPTED_TIME

    def met(self, answer: Reply | Body, now: float) -> None:
        """A command that carried its answer beforehand was answered."""
        if answer.status != UNAUTHORIZED:
            self._accepted_at = now
        elif not is_stale(answer):
            self._challenge = None  # the UID is gone, or the password another: a login will tell
            self.settled.clear()

    def challenge_in(self, answer: Reply | Body, *, fresh: bool) -> bool:
        """Take the challenge of a 401 to a command with a UID, if it is to be answered.

        It is for a `fresh` UID, and where the nonce of a recorder known to challenge is stale; any other 401 says that
        the UID is gone.
        """
        headers = answer.headers.get("www-authenticate", [])
        try:
            challenge = digest.parse_challenge(headers)
        except AuthenticationError:
            return False
        if not fresh and not (challenge.stale and self._challenge is not None):
            return False
        self._challenge = challenge
        return True

    def forget_challenge(self) -> None:
        """A command with a fresh answer was refused all the same."""
        self._challenge = None


def is_stale(answer: Reply | Body) -> bool:
    """Whether it is a 401 that says that only the nonce was too old (RFC 7616, 3.3)."""
    try:
        return (
            answer.status == UNAUTHORIZED
            and digest.parse_challenge(answer.headers.get("www-authenticate", [])).stale
        )
    except AuthenticationError:
        return False
