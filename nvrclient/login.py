"""Logging in at dlogin.cgi (6.1.1): one challenge, one answer."""

from __future__ import annotations

from nvrclient.answers import check
from nvrclient.commands import digest
from nvrclient.commands import login as commands
from nvrclient.commands.command import Uid
from nvrclient.credentials import UNAUTHORIZED, Credentials, is_stale
from nvrclient.errors import AuthenticationError, RecorderBusyError
from nvrclient.transport.http import HttpClient

MAX_STALE = 3
"""Nonces that may be stale in a row before a login is given up."""


async def log_in(client: HttpClient, credentials: Credentials, timeout: float) -> Uid:
    """Obtain a UID; a recorder that refuses the credentials is never sent them again.

    Raises AuthenticationError, SessionLimitError, RecorderBusyError, CommandError, ProtocolError, ConnectionFailedError.
    """
    credentials.check()
    command = commands.LOGIN
    reply = await client.get(command, None, timeout=timeout)
    sent = 0
    while reply.status == UNAUTHORIZED and sent < MAX_STALE:
        try:
            challenge = digest.parse_challenge(reply.headers.get("www-authenticate", []))
        except AuthenticationError:
            if sent:
                break
            if credentials.proved:  # it knew better before: it is starting up
                check(command, reply)
            raise
        if sent and not challenge.stale:
            break
        sent += 1
        # On a connection of its own: one used before may be dead, and a credential is not sent twice.
        answer = credentials.answer(command, challenge)
        reply = await client.get(command, answer, timeout=timeout, fresh=True)
    if sent and credentials.proved and is_stale(reply):
        raise RecorderBusyError(
            f"login at {client.address.url}: the recorder calls each nonce of its own stale; the"
            " password was right before, so it will be tried again"
        )
    if sent and reply.status in {401, 403}:
        credentials.refused = (
            f"login at {client.address.url}: the recorder refuses user name or password (HTTP"
            f" {reply.status}). Recorders lock an account after a few wrong tries, so this"
            " session sends them no more: correct them and open a new session"
        )
        credentials.settled.set()
        raise AuthenticationError(credentials.refused)
    check(command, reply)
    uid = commands.parse_uid(reply.body)
    credentials.proved = True
    return uid
