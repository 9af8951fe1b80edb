"""Commands that any UID of a session will do for: the caller's own, lists, logs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from nvrclient.commands.command import Command, Uid
from nvrclient.connection import Connection
from nvrclient.credentials import UNAUTHORIZED
from nvrclient.errors import CommandError, SessionLimitError
from nvrclient.transport.http import Lane, Reply
from nvrclient.uids import UidGoneError, UidSlot

MAX_NEW_UIDS = 2
"""UIDs issued for one command and gone before it, after which the recorder refuses the command, not the UID."""


async def ask(
    connection: Connection, command: Callable[[Uid], Command], *, once: bool = False
) -> Reply:
    """Send a command under any UID of the session, with a login if all it held are gone.

    `once`: whatever happens to it, on a connection of its own, which no recorder has closed in the meantime.
    """
    shown = command(Uid(""))
    until = connection.stats.logins + MAX_NEW_UIDS
    while connection.has_uids or connection.stats.logins < until:
        slot = await connection.any_uid(str(shown))
        try:
            reply = await _ask(connection, command, slot, once=once)
            if reply.status == UNAUTHORIZED and shown.name not in connection.forbidden:
                # Without room for another UID nothing tells: it is refused.
                with suppress(SessionLimitError):
                    return await _ask_anew(connection, command, slot, once=once)
        except UidGoneError:
            continue
        return reply
    raise CommandError(
        f"{shown}: the recorder refuses a UID that it has just issued (HTTP 401)",
        command=shown.name,
        status=UNAUTHORIZED,
    )


async def _ask(
    connection: Connection, command: Callable[[Uid], Command], slot: UidSlot, *, once: bool
) -> Reply:
    lane: Lane = "control" if once else "commands"
    return await connection.ask(command, slot, lane=lane, fresh=once, unsure=True)


async def _ask_anew(
    connection: Connection, command: Callable[[Uid], Command], slot: UidSlot, *, once: bool
) -> Reply:
    """Send a command again under a new UID, which was answered 401 under one that status.cgi knows.

    Either the user may not do that, which is remembered, or status.cgi knows any UID, and that one is gone.
    """
    shown = command(Uid(""))
    new = await connection.new_uid(str(shown))
    try:
        reply = await _ask(connection, command, new, once=once)
        if reply.status == UNAUTHORIZED:
            connection.forbidden.add(shown.name)
        else:
            connection.lose(slot)
        return reply
    finally:
        connection.spare(new)
