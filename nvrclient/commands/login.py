"""Login, logout, keep-alive (specification 6.1, 6.2)."""

from __future__ import annotations

import re

from nvrclient.commands.command import Command, Uid
from nvrclient.errors import ProtocolError

LOGIN = Command("dlogin.cgi", (("UID", "-1"),))

# "UID=13313", up to 19 digits, somewhere in HTML, perhaps escaped; the echo "UID=-1" is none. A form can carry it too;
# what may stand between name and value is bounded, so that a hostile page costs no more than its length.
_UID = re.compile(
    rb"""\bUID(?:\s*=\s*|%3D|&\#61;)["']?([0-9]{1,19})(?![0-9])"""
    rb"""|\bname=["']?UID["']?\s[^<>]{0,100}?value=["']?([0-9]{1,19})(?![0-9])""",
    re.IGNORECASE,
)


def parse_uid(body: bytes) -> Uid:
    """Return the UID that dlogin.cgi issued, out of its HTML.

    Raises ProtocolError where there is none: whatever answered is no recorder, or one of another make.
    """
    found = _UID.search(body)
    if found is None:
        raise ProtocolError(
            "login: the answer to dlogin.cgi holds no UID; is this an i-PRO recorder?",
            reading="UID=<digits> in the answer to dlogin.cgi",
            offset=0,
            head=body,
        )
    return Uid((found[1] or found[2]).decode("ascii"))


def log_out(uid: Uid) -> Command:
    """Release the UID (6.1.2)."""
    return Command("logout.cgi", (("UID", uid.value),))


def keep_alive(uid: Uid) -> Command:
    """Hold the UID for another 90 s (6.2)."""
    return Command("status.cgi", (("UID", uid.value), ("PC", "AS60")))
