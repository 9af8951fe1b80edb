"""The error log and the event log (specification 5.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from nvrclient.commands.command import Command, Uid
from nvrclient.errors import ProtocolError
from nvrclient.frames import LogEntry


@dataclass(frozen=True, slots=True)
class LogKind:
    """One of the two logs: how it is asked for, and what its answer calls it."""

    name: str
    kind: str
    page: str
    key: str


ERRORS = LogKind("error log", "ERR", "as_errorlog.html", "ERROR_LOG")
EVENTS = LogKind("event log", "EVENT", "as_eventlog.html", "EVENT_LOG")


@dataclass(frozen=True, slots=True)
class LogList:
    """What an answer holds.

    ``entries``: those that are whole, by time; ``stated``: how many it says there are, None where it does not say;
    ``damaged``: how many were left out.
    """

    entries: list[LogEntry]
    stated: int | None
    damaged: int


def log_list(uid: Uid, log: LogKind) -> Command:
    """Ask for a log (5.1.1, 5.1.2)."""
    query = (("UID", uid.value), ("KIND", log.kind), ("HTML", log.page))
    return Command("loglist.cgi", query)


# An entry is five quoted fields: number, local time, summer time, kind, zone. Spaces and line breaks stand anywhere
# between them, and inside the second (5.1.2). Only the kind is free text, with commas and quotes of its own: so an
# entry begins where three fields of the right form stand, and its kind ends before a zone that ends the entry.
_BETWEEN = r"\s*,\s*"
_BEGINNING = re.compile(
    r'"\s*([0-9]{1,4})\s*"'
    rf'{_BETWEEN}"\s*([0-9]{{4}}/[0-9]{{1,2}}/[0-9]{{1,2}}\s+[0-9]{{1,2}}:[0-9]{{2}}:[0-9]{{2}})\s*"'
    rf'{_BETWEEN}"\s*([01])\s*"{_BETWEEN}(?=")'
)
_REST = re.compile(rf'"(.*?)"{_BETWEEN}"\s*GMT\s*([+-])([0-9]{{1,2}}):([0-9]{{2}})\s*"', re.DOTALL)
_LINE_BREAKS = re.compile(r"[\r\n]+")


def parse_log(body: bytes, log: LogKind) -> LogList:
    """Read a log. A damaged entry is left out and counted, those around it are kept.

    UTC is the local time less the zone; summer time is already part of the local time [open]. Raises ProtocolError where the
    answer is no such log at all.
    """
    text = body.decode("utf-8", "replace")
    count = re.search(rf"\b{log.key}_NO\s*=[\s\"]*([0-9]{{1,9}})", text)
    start = re.search(rf"\b{log.key}\s*=", text)
    if start is None and count is None:
        raise ProtocolError(
            f"{log.name}: the answer to loglist.cgi holds no {log.key}",
            reading=f"{log.key} in the answer to loglist.cgi",
            offset=0,
            head=body,
        )
    entries: list[LogEntry] = []
    damaged = 0
    if start is not None:
        text = text[start.end() :]
        beginnings = list(_BEGINNING.finditer(text))
        bounds = [*(beginning.start() for beginning in beginnings), len(text)]
        damaged += _holds_fields(text[: bounds[0]])
        for beginning, end in zip(beginnings, bounds[1:], strict=True):
            rest = _REST.match(text, beginning.end(), end)
            entry = _entry(beginning, rest) if rest is not None else None
            if rest is None or entry is None:
                damaged += 1
                continue
            entries.append(entry)
            damaged += _holds_fields(text[rest.end() : end])
    if entries and entries[0].time > entries[-1].time:
        entries.reverse()  # the newest came first: entries of one second keep their order too
    entries.sort(key=lambda entry: entry.time)
    return LogList(entries, None if count is None else int(count[1]), damaged)


def _holds_fields(text: str) -> bool:
    """Whether there is a field that is not empty, where none should be."""
    return '"' in text and bool(text.strip('", \t\r\n'))


def _entry(beginning: re.Match[str], rest: re.Match[str]) -> LogEntry | None:
    """Return the entry, or None where its date or zone is none."""
    number, when, summer = beginning.groups()
    kind, sign, hours, minutes = rest.groups()
    try:
        local = datetime.strptime(" ".join(when.split()), "%Y/%m/%d %H:%M:%S")  # noqa: DTZ007  its zone stands apart
        zone = _zone(sign, int(hours), int(minutes))
        time = local.replace(tzinfo=zone)
        time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return LogEntry(
        number=int(number),
        time=time,
        local_time=local,
        zone=zone,
        summer_time=summer == "1",
        kind=_in_one_line(kind),
    )


def _in_one_line(text: str) -> str:
    lines = _LINE_BREAKS.split(text)
    return " ".join(line.strip() for line in lines) if len(lines) > 1 else text


def _zone(sign: str, hours: int, minutes: int) -> tzinfo:
    if minutes > 59:
        raise ValueError(minutes)
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if sign == "-" else offset)
