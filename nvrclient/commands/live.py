"""Live streams: set up, start, stop (specification 2.1.2, 2.2.2)."""

from __future__ import annotations

from nvrclient.commands.command import Command, Uid
from nvrclient.frames import Codec

Comp = str
"""COMP: H264, H265, JPEG or AUDIO."""

AUDIO: Comp = "AUDIO"


def comp_of(codec: Codec) -> Comp:
    """Return the COMP that asks for `codec`; every audio codec is AUDIO."""
    return codec.value if codec.is_video else AUDIO


def set_up(uid: Uid) -> Command:
    """Make the UID one of live streams (2.1.2.1): once, before its first START."""
    return Command("hdrctl.cgi", (("UID", uid.value), ("SCREEN", "16X"), ("PC", "AS60")))


def start(uid: Uid, camera: int, comp: Comp, port: int | None) -> Command:
    """Start a live stream: RTP to UDP `port` (2.1.2.2), or with None as the answer's body (2.2.2.2)."""
    return _push(uid, camera, "START", comp, _way(port))


def stop(uid: Uid, camera: int, comp: Comp, port: int | None) -> tuple[Command, ...]:
    """Stop it: the command to send, and the one to try where that is refused.

    Over HTTP the sequence of 2.2.1.1 prints STOP without INTERNETMODE=ON, the table of 2.2.2.2 with it.
    """
    if port is not None:
        return (_push(uid, camera, "STOP", comp, _way(port)),)
    return (_push(uid, camera, "STOP", comp, ()), _push(uid, camera, "STOP", comp, _way(None)))


def _push(
    uid: Uid, camera: int, action: str, comp: Comp, way: tuple[tuple[str, str], ...]
) -> Command:
    query = (("UID", uid.value), ("CAM", str(camera)), ("CMD", action), ("COMP", comp))
    return Command("push.cgi", query + way)


def _way(port: int | None) -> tuple[tuple[str, str], ...]:
    return (("INTERNETMODE", "ON"),) if port is None else (("PORT", str(port)),)
