"""Playback: which cameras, every way to move, and the requests for data (specification 3.1, 3.2).

No command but the data requests names a camera: position, direction and pause belong to the UID.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from nvrclient.commands.command import Command, Uid
from nvrclient.commands.times import in_utc

_PC = ("PC", "AS60")
_NO_TIME = ("NOTIME", "ON")


def time_field(when: datetime, *, hundredths: bool = False) -> str:
    """Return TIMEF, ``yymmddhhmmssff`` in UTC (3.2.5).

    ff, in units of 10 ms, is fixed 00 except where `hundredths` allows it (3.2.7). Raises ValueError for a time
    without a zone, and for a year that two digits cannot say.
    """
    utc = in_utc(when)
    return f"{utc:%y%m%d%H%M%S}{utc.microsecond // 10_000 if hundredths else 0:02}"


def choose_cameras(uid: Uid, cameras: Iterable[int], channels: int) -> Command:
    """Say which cameras are played on the UID (3.2.3): first, and again whenever they change.

    MASK has one digit for each of the `channels` cameras the recorder supports, camera 1 on the left.
    """
    wanted = frozenset(cameras)
    mask = "".join("1" if number in wanted else "0" for number in range(1, channels + 1))
    return Command("hdrctl.cgi", (("UID", uid.value), _PC, ("MASK", mask)))


def play(uid: Uid) -> Command:
    """Start playback wherever the recorder begins (3.2.4)."""
    return _move(uid, "PLAY", "AS60_UNKNOWN", _NO_TIME)


def go_to(uid: Uid, when: datetime) -> Command:
    """Start playback at a time (3.2.8)."""
    return _move(uid, "GOTODATE", time_field(when), ("SDBACKUP", "0"), _NO_TIME)


def reverse(uid: Uid, when: datetime) -> Command:
    """Play backwards from a time (3.2.5): each data request then brings the GOP before."""
    return _move(uid, "BPLAY", time_field(when), _NO_TIME)


def pause(uid: Uid, shown: datetime) -> Command:
    """Pause at the picture shown now (3.2.6)."""
    return _move(uid, "PAUSE", time_field(shown), ("SMOOTH", "OFF"), _NO_TIME)


def step(uid: Uid, shown: datetime, *, forward: bool) -> Command:
    """Go to the picture after or before the one shown now (3.2.7), in pause."""
    action = "NEXTFRAME" if forward else "PREVFRAME"
    return _move(uid, action, time_field(shown, hundredths=True), _NO_TIME)


def fast(uid: Uid, shown: datetime, *, forward: bool) -> Command:
    """Fast forward or reverse (3.2.9); each further one is a step faster."""
    return _move(uid, "FF" if forward else "REW", time_field(shown), ("SMOOTH", "OFF"), _NO_TIME)


def stop(uid: Uid, when: datetime) -> Command:
    """End playback (3.2.10)."""
    return _move(uid, "STOP", time_field(when))


def next_gop(uid: Uid, camera: int) -> Command:
    """Ask for the next GOP, or the next JPEG (3.2.1)."""
    return Command("camera.cgi", (("UID", uid.value), ("CAM", str(camera))))


def next_audio(uid: Uid, camera: int) -> Command:
    """Ask for about the next second of audio (3.2.2)."""
    return Command("playaudio.cgi", (("UID", uid.value), ("CAM", str(camera))))


def _move(uid: Uid, action: str, when: str, *more: tuple[str, str]) -> Command:
    query = (("UID", uid.value), _PC, ("PLAYCMD", action), ("2ND", "OFF"), ("TIMEF", when))
    return Command("hdrctl.cgi", query + more)
