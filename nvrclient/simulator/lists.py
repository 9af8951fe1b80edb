"""Logs and disks (section 5), and how often they may be asked for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nvrclient.simulator.http_server import Answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nvrclient.simulator.list_readings import ListReadings
    from nvrclient.simulator.readings import Readings

__all__ = [
    "DEFAULT_DISKS",
    "DEFAULT_ERRORS",
    "DEFAULT_EVENTS",
    "DiskSlot",
    "Intervals",
    "LoggedEntry",
    "disk_list",
    "log_list",
]

_TOLERANCE = 0.005
_LOGS = {"ERR": ("as_errorlog.html", "ERROR_LOG"), "EVENT": ("as_eventlog.html", "EVENT_LOG")}


@dataclass(frozen=True, slots=True)
class LoggedEntry:
    """A line of a log; ``time`` is local, ``YYYY/MM/DD HH:MM:SS``, ``zone`` as it is written."""

    number: int
    time: str
    kind: str
    zone: str = "GMT+00:00"
    summer_time: bool = False


@dataclass(frozen=True, slots=True)
class DiskSlot:
    """A slot for a disk; ``capacity_gb`` None: there is none in it; ``recorded_from`` None: never recorded.

    Times are local, ``YYYY/MM/DD HH:MM:SS``, with whether they are summer time; ``flags`` stands behind the capacity, as "(R)".
    """

    name: str
    capacity_gb: int | None = None
    remaining_gb: int = 0
    flags: str = ""
    recorded_from: str | None = None
    recorded_to: str | None = None
    summer_time_from: bool = False
    summer_time_to: bool = False


# What the specification prints.
DEFAULT_ERRORS = (
    LoggedEntry(1, "2021/11/14 14:10:00", "CAM 3 COMMUNICATION ERROR", "GMT+03:00"),
    LoggedEntry(2, "2021/11/14 14:48:00", "CAM 3 COMMUNICATION RECOVERED", "GMT+03:00"),
)
DEFAULT_EVENTS = (
    LoggedEntry(1, "2024/04/24 12:30:00", "SITE(VMD)-2", "GMT+09:00"),
    LoggedEntry(2, "2024/04/24 11:45:00", "SITE(VMD)-1", "GMT+09:00"),
)
DEFAULT_DISKS = (
    DiskSlot(
        "MAIN-1",
        4001,
        1529,
        "(R)",
        "2021/11/14 13:00:00",
        "2021/12/24 15:30:12",
    ),
    *(DiskSlot(f"MAIN-{slot}", 4001, 3710) for slot in (2, 3, 4)),
    *(DiskSlot(f"MAIN-{slot}") for slot in range(5, 10)),
    *(DiskSlot(f"EXT{unit}-{slot}") for unit in range(1, 6) for slot in range(1, 10)),
)


@dataclass(slots=True)
class Intervals:
    """When information was last asked for, and from where."""

    readings: Readings
    _asked: dict[tuple[str, ...], float] = field(default_factory=dict[tuple[str, ...], float])

    def ask(self, *what: str) -> str | None:
        """Note that ``peer, action, kind`` is asked for: None, or the rule that it breaks."""
        readings, action = self.readings, what[1]
        interval = readings.information_interval
        if action == "list cameras":
            interval = readings.getinfo_interval
        now = asyncio.get_running_loop().time()
        last, self._asked[what] = self._asked.get(what), now
        if last is None or now - last >= interval - _TOLERANCE:
            return None
        return f"{' '.join(what[1:]).rstrip()}: again after {now - last:.3f} s, not {interval:g}"


def log_list(kind: str, entries: Sequence[LoggedEntry], readings: ListReadings) -> Answer:
    """Write a log (sections 5.1.1, 5.1.2).

    ::

        FILENAME=as_errorlog.html CRLF
        ERROR_LOG_NO=<count> CRLF
        ERROR_LOG="001","2021/11/14 14:10:00","0","<kind>","GMT+03:00","002",… CRLF CRLF
    """
    filename, name = _LOGS[kind]
    between = readings.separator
    written: list[str] = []
    field_number = 0
    for entry in entries:
        if written:
            written.append(
                between if readings.entry_separator is None else readings.entry_separator
            )
        fields = (
            f"{entry.number:03}",
            entry.time.replace(" ", readings.date_separator),
            str(int(entry.summer_time)),
            entry.kind.replace('"', readings.quote),
            entry.zone,
        )
        for number, text in enumerate(fields):
            field_number += 1
            written.append((between if number else "") + f'"{text}"')
            if field_number in readings.breaks:
                written.append("\r\n")
    if readings.trailing_comma and written:
        written.append(between)
    count = len(entries) if readings.log_count is None else readings.log_count
    lines = [f"FILENAME={filename}", f"{name}_NO={count}"]
    if written or readings.empty_log_line:
        lines.append(f"{name}={''.join(written)}")
    body = "\r\n".join((*lines, "", ""))
    headers = ("Cache-Control: no-cache",)
    return Answer(200, body.encode(readings.encoding), "text/html", headers)


def disk_list(disks: Sequence[DiskSlot], readings: ListReadings) -> Answer:
    """Write the disks (section 5.2.1).

    ::

        Recording information CRLF CRLF
        Disk,Capacity,Remain capacity,Recorded time range CRLF
        MAIN-1,4001GB(R),1529GB,2021/11/14,0,13:00:00,2021/12/24,0,15:30:12 CRLF
        MAIN-2,4001GB,3710GB,,,,,, CRLF        never recorded
        MAIN-3,,,,,,,, CRLF                    no disk
    """
    lines = ["Recording information", "", "Disk,Capacity,Remain capacity,Recorded time range"]
    for disk in disks:
        sizes = ("", "")
        if disk.capacity_gb is not None:
            sizes = (f"{disk.capacity_gb}GB{disk.flags}", f"{disk.remaining_gb}GB")
        span = ("",) * 5 + (readings.disk_space,)
        if disk.recorded_from is not None and disk.recorded_to is not None:
            span = (
                *_moment(disk.recorded_from, disk.summer_time_from),
                *_moment(disk.recorded_to, disk.summer_time_to),
            )
        lines.append(",".join((disk.name, *sizes, *span)))
    return Answer(200, "\r\n".join((*lines, "")).encode("utf-8"))


def _moment(time: str, summer_time: bool) -> tuple[str, str, str]:
    date, _, clock = time.partition(" ")
    return date, str(int(summer_time)), clock
