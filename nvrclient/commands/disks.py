"""The disks and what is recorded on them (specification 5.2)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from nvrclient.commands.command import Command
from nvrclient.errors import ProtocolError
from nvrclient.frames import Disk

RECORDED_TIME = Command("recordedtime.cgi")
"""The path that works in the field."""

RECORDED_TIME_AS_PRINTED = Command("recordedtime.cgi", directory="/cgi-bin//cgi-bin/")
"""The path as 5.2.1 prints it: the second try, on 404."""


@dataclass(frozen=True, slots=True)
class DiskList:
    """What an answer holds: the ``disks`` in its order, and how many lines were ``damaged`` and left out."""

    disks: list[Disk]
    damaged: int


_HEADER = re.compile(r"(?:^|\r)[ \t]*Disk[ \t]*,[ \t]*Capacity", re.IGNORECASE | re.MULTILINE)
_NAME = re.compile(r"[A-Z][A-Z0-9]{0,15}-[0-9]{1,3}")
_SIZE = re.compile(r"([0-9]{1,9})\s*GB\s*((?:\([^()]{1,16}\)\s*)*)")
_FLAG = re.compile(r"\(([^()]*)\)")
_DATE = re.compile(r"(?:20)?([0-9]{2}/[0-9]{2}/[0-9]{2})")


def parse_disks(body: bytes, zone: tzinfo | None) -> DiskList:
    """Read the disks; a damaged line is left out and counted.

    The times are the recorder's local time: aware with its `zone`, naive without. Raises ProtocolError where the
    answer is no list of disks.
    """
    text = body.decode("utf-8-sig", "replace")
    disks: list[Disk] = []
    damaged = 0
    for line in re.split(r"[\r\n]+", text):
        name, *fields = (field.strip() for field in line.split(","))
        if not fields or _NAME.fullmatch(name) is None:
            continue
        disk = _disk(name, fields, zone)
        if disk is None:
            damaged += 1
        else:
            disks.append(disk)
    if not disks and not damaged and _HEADER.search(text) is None:
        raise ProtocolError(
            "disks: the answer to recordedtime.cgi holds no list of disks",
            reading="the answer to recordedtime.cgi",
            offset=0,
            head=body,
        )
    return DiskList(disks, damaged)


def local_time(naive: datetime, zone: tzinfo | None, *, summer_time: bool) -> datetime:
    """Return a recorder's local time, aware where its zone is known.

    In the hour that comes twice a year the summer-time flag says which of the two it is.
    """
    if zone is None:
        return naive
    either = [naive.replace(tzinfo=zone, fold=fold) for fold in (0, 1)]
    return (max if summer_time else min)(either, key=lambda time: time.utcoffset() or timedelta())


def _disk(name: str, fields: list[str], zone: tzinfo | None) -> Disk | None:
    """Return the disk of one line, or None where a field is none of its kind."""
    capacity, remaining, *ends = [*fields, *[""] * (8 - len(fields))][:8]
    try:
        capacity_gb, flags = _size(capacity)
        remaining_gb, more = _size(remaining)
        return Disk(
            name=name,
            capacity_gb=capacity_gb,
            remaining_gb=remaining_gb,
            flags=(*flags, *more),
            recorded_from=_time(ends[:3], zone),
            recorded_to=_time(ends[3:], zone),
        )
    except ValueError:
        return None


def _size(text: str) -> tuple[int | None, tuple[str, ...]]:
    if not text:
        return None, ()
    size = _SIZE.fullmatch(text)
    if size is None:
        raise ValueError(text)
    return int(size[1]), tuple(_FLAG.findall(size[2]))


def _time(fields: list[str], zone: tzinfo | None) -> datetime | None:
    """Read date, summer time and time of day; None where all three are empty."""
    date, summer, clock = fields
    if not any(fields):
        return None
    day = _DATE.fullmatch(date)
    if day is None or summer not in {"0", "1"}:
        raise ValueError(date)
    naive = datetime.strptime(f"20{day[1]} {clock}", "%Y/%m/%d %H:%M:%S")  # noqa: DTZ007  the zone is an option
    return local_time(naive, zone, summer_time=summer == "1")
