"""Which cameras the recorder knows: as_getinfo.cgi, seen in the field and not in the specification."""

from __future__ import annotations

import re

from nvrclient.commands.command import Command, Uid
from nvrclient.frames import CameraStatus

_LINE = re.compile(rb"(?:^|\r)[ \t]*CAM_CONNECT_0*([0-9]{1,3})CH\s*=\s*\"?([0-9])", re.MULTILINE)


BARE = Command("as_getinfo.cgi", (("FILE", "2"),))
"""The form seen in the field: it carries no UID."""


def with_uid(uid: Uid) -> Command:
    """The form of newer models, where the bare one shows no cameras."""
    return Command("as_getinfo.cgi", (("UID", uid.value), ("FILE", "2")))


def parse_cameras(body: bytes) -> list[CameraStatus]:
    """Return the cameras of lines ``CAM_CONNECT_01CH=1`` (1 = connected), by number; other lines are skipped."""
    found = {int(number): state == b"1" for number, state in _LINE.findall(body)}
    return [CameraStatus(number, connected) for number, connected in sorted(found.items())]
