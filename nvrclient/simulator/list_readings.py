"""The switches of logs and disks: how this recorder writes what section 5 leaves open."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ListReadings"]


@dataclass(frozen=True, slots=True)
class ListReadings:
    r"""One reading of every doubt about logs and disks (specification 5); entries stand in the order in which a test gave them.

    | switch | meaning |
    |---|---|
    | separator | what stands between fields: "," or with line breaks, as ",\r\n" and "\r\n," |
    | entry_separator | what stands between entries; None: ``separator`` |
    | breaks | numbers of fields, from 1 over all entries, behind which a line break stands, in front of the separator |
    | date_separator | what stands between date and time |
    | trailing_comma | a separator stands behind the last field too |
    | quote | what a quotation mark inside a text is written as |
    | encoding | of texts |
    | log_count | what the count says; None: the truth |
    | empty_log_line | whether ERROR_LOG= or EVENT_LOG= is there when there are no entries |
    | doubled_path | recordedtime.cgi is found only under /cgi-bin//cgi-bin/, as printed, and else not under it |
    | disk_space | what stands at the end of a disk's line that has no range |
    """

    separator: str = ","
    entry_separator: str | None = None
    breaks: tuple[int, ...] = ()
    date_separator: str = " "
    trailing_comma: bool = False
    quote: str = '"'
    encoding: str = "utf-8"
    log_count: int | None = None
    empty_log_line: bool = True
    doubled_path: bool = False
    disk_space: str = " "
