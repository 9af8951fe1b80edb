"""Which cameras the recorder has registered, and for how many it is made (as_getinfo.cgi: seen, not specified)."""

from __future__ import annotations

from nvrclient import asked
from nvrclient.answers import check
from nvrclient.commands import cameras
from nvrclient.connection import Connection
from nvrclient.errors import CommandError
from nvrclient.frames import CameraStatus


async def registered_cameras(connection: Connection) -> list[CameraStatus]:
    """Return the cameras, by number; asked at most once in `command_interval` seconds.

    Raises CommandError where the model does not tell, and what any command raises.
    """

    async def ask() -> list[CameraStatus]:
        reply = await connection.plain(cameras.BARE)
        found = cameras.parse_cameras(reply.body) if reply.status == 200 else []
        if not found:
            reply = await asked.ask(connection, cameras.with_uid)
            found = cameras.parse_cameras(reply.body) if reply.status == 200 else []
        if found:
            connection.channels = len(found)
            return found
        check(cameras.BARE, reply)
        raise CommandError(
            "cameras: this recorder does not list its cameras (as_getinfo.cgi); use their numbers",
            command="as_getinfo.cgi",
            status=reply.status,
        )

    return await connection.pace.inform("cameras", ask)
