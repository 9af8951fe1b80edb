"""What the recorder tells of itself: its logs (specification 5.1) and its disks (5.2).

Each is asked for at most once in `command_interval` seconds; callers that ask together share one answer.
"""

from __future__ import annotations

import logging

from nvrclient import asked
from nvrclient.answers import check
from nvrclient.commands import disks, logs
from nvrclient.commands.command import Uid
from nvrclient.connection import Connection
from nvrclient.frames import Disk, LogEntry

logger = logging.getLogger("nvrclient.information")

NOT_FOUND = 404


async def read_log(connection: Connection, log: logs.LogKind) -> list[LogEntry]:
    """Return a log's entries, by time. Raises ProtocolError where the answer is none, and what any command raises."""

    async def ask() -> list[LogEntry]:
        reply = await asked.ask(connection, lambda uid: logs.log_list(uid, log))
        check(logs.log_list(Uid(""), log), reply)
        found = logs.parse_log(reply.body, log)
        if found.damaged or found.stated not in {None, len(found.entries)}:
            logger.warning(
                "%s: the recorder states %s entries; %d were read, damaged and left out: %d",
                log.name,
                "no number of" if found.stated is None else found.stated,
                len(found.entries),
                found.damaged,
            )
        return found.entries

    return await connection.pace.inform(log.name, ask)


async def list_disks(connection: Connection) -> list[Disk]:
    """Return the disk slots in the recorder's order. Raises as `read_log`."""

    async def ask() -> list[Disk]:
        command = disks.RECORDED_TIME
        reply = await connection.plain(command)
        if reply.status == NOT_FOUND:
            command = disks.RECORDED_TIME_AS_PRINTED
            reply = await connection.plain(command)
        check(command, reply)
        found = disks.parse_disks(reply.body, connection.options.timezone)
        if found.damaged:
            logger.warning("disks: damaged lines left out: %d", found.damaged)
        return found.disks

    return await connection.pace.inform("disks", ask)
