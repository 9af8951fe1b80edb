"""Downloads: the command, and the requests that a range is split into (specification 6.3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias, get_args

from nvrclient.commands.command import Command, Uid
from nvrclient.commands.times import in_utc

Kind: TypeAlias = Literal["mp4", "n3", "list"]
"""What is downloaded: MP4 files, i-PRO's own N3R and N3A, or the list of what is recorded (N3N)."""

LONGEST = timedelta(hours=1)
"""The longest range of one request (6.3.2)."""

_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Request:
    """One request: a camera, KIND, and at most an hour on whole minutes, in UTC."""

    camera: int
    kind: str
    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        """How long it is."""
        return self.end - self.start

    def __str__(self) -> str:
        return (
            f"download of camera {self.camera}, {self.start:%Y-%m-%d %H:%M} to {self.end:%H:%M} UTC,"
            f" as {self.kind}"
        )


def requests(
    camera: int, start: datetime, end: datetime, kind: Kind, *, audio: bool
) -> list[Request]:
    """Split a range into requests of at most an hour: START rounded down to the minute, END up, in UTC.

    Raises TypeError or ValueError for times without a zone, in the wrong order or outside what a recorder knows, and for
    an unknown kind.
    """
    if kind not in get_args(Kind):
        raise ValueError(f'kind: "mp4", "n3" or "list", not {kind!r}')
    first, until = _time("start", start), _time("end", end)
    if until <= first:
        raise ValueError(f"end: later than start ({start.isoformat()}), not {end.isoformat()}")
    word = kind.upper() if audio or kind == "list" else f"{kind.upper()}VO"
    at = first.replace(second=0, microsecond=0)
    last = until.replace(second=0, microsecond=0)
    if last < until:
        last = _time("end", last + _MINUTE)
    found: list[Request] = []
    while at < last:
        then = min(at + LONGEST, last)
        found.append(Request(camera, word, at, then))
        at = then
    return found


def download(uid: Uid, request: Request) -> Command:
    """Ask for the files of a request (6.3.2)."""
    return Command(
        "httpdl.cgi",
        (
            ("UID", uid.value),
            ("STARTTIME", f"{request.start:%y%m%d%H%M%S}"),
            ("ENDTIME", f"{request.end:%y%m%d%H%M%S}"),
            ("KIND", request.kind),
            ("CAM", str(request.camera)),
            ("PC", "AS60"),
        ),
    )


def _time(name: str, when: datetime) -> datetime:
    if not isinstance(when, datetime):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"{name}: a datetime with a time zone, not {type(when).__name__}")
    try:
        return in_utc(when)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
