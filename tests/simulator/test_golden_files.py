"""The simulator's lists and downloads against answers typed by hand from the specification's examples."""

from __future__ import annotations

import pytest

from nvrclient.simulator import (
    DiskSlot,
    DownloadReadings,
    FileHeaders,
    ListReadings,
    LoggedEntry,
    RecordedFile,
    SimulatedRecorder,
)
from nvrclient.simulator.form_data import form_data, status_part
from nvrclient.simulator.lists import disk_list, log_list
from nvrclient.simulator.queries import Query, parse_query
from tests.simulator import golden_files as golden

FILES = (
    RecordedFile(golden.FIRST_NAME, golden.FIRST_TEMP, lambda: iter((golden.FIRST_FILE,))),
    RecordedFile(golden.SECOND_NAME, golden.SECOND_TEMP, lambda: iter((golden.SECOND_FILE,))),
)


def logged(entries: tuple[golden.GoldenEntry, ...]) -> list[LoggedEntry]:
    return [
        LoggedEntry(entry.number, entry.local_time, entry.kind, entry.zone, entry.summer_time)
        for entry in entries
    ]


@pytest.mark.parametrize(
    ("kind", "readings", "body"),
    [
        ("ERR", ListReadings(), golden.ERROR_LOG),
        ("ERR", ListReadings(breaks=(6,)), golden.ERROR_LOG_WRAPPED),
        ("EVENT", ListReadings(), golden.EVENT_LOG),
    ],
)
def test_logs(kind: str, readings: ListReadings, body: bytes) -> None:
    entries = golden.ERROR_ENTRIES if kind == "ERR" else golden.EVENT_ENTRIES
    answer = log_list(kind, logged(entries), readings)
    assert answer.body == body
    assert answer.content_type == "text/html"


def test_disks() -> None:
    slots = [
        DiskSlot(
            disk.name,
            disk.capacity_gb,
            disk.remaining_gb or 0,
            f"({disk.flags})" if disk.flags else "",
            disk.recorded_from,
            disk.recorded_to,
        )
        for disk in golden.DISKS
    ]
    answer = disk_list(slots, ListReadings())
    assert answer.body == golden.DISK_LIST
    assert answer.content_type == "text/plain"


def test_what_a_recorder_has_by_itself_is_what_is_printed() -> None:
    recorder = SimulatedRecorder()
    assert recorder.error_log == logged(golden.ERROR_ENTRIES)
    assert recorder.event_log == logged(golden.EVENT_ENTRIES)
    lines = disk_list(recorder.disks, ListReadings()).body.splitlines()
    assert len(lines) == 3 + 9 + 5 * 9
    assert set(golden.DISK_LIST.splitlines()) <= set(lines)


@pytest.mark.parametrize(
    ("readings", "crlf_after_body", "body"),
    [
        (DownloadReadings(part_size=10), True, golden.DOWNLOAD),
        (
            DownloadReadings(
                part_size=10,
                file_headers=FileHeaders.FIRST_PART,
                content_length=False,
                temp_header="X-Temp-Filename",
                status_header="X-RecData-Status",
                value="filename={}",
                closing_delimiter=False,
            ),
            False,  # without a length there has to be one
            golden.DOWNLOAD_OTHERWISE,
        ),
        (
            DownloadReadings(part_size=None, file_headers=FileHeaders.OWN_PART),
            False,
            golden.DOWNLOAD_APART,
        ),
    ],
)
def test_downloads(readings: DownloadReadings, crlf_after_body: bool, body: bytes) -> None:
    assert b"".join(form_data(FILES, readings, crlf_after_body=crlf_after_body)) == body


def test_a_download_of_nothing() -> None:
    assert status_part(1, DownloadReadings()) == golden.DOWNLOAD_OF_NOTHING


@pytest.mark.parametrize("command", golden.COMMANDS)
def test_commands_are_understood_only_as_they_are_printed(command: str) -> None:
    cgi, _, query = command.removeprefix("/cgi-bin/").partition("?")
    understood = parse_query(cgi, query)
    assert isinstance(understood, Query)
    pairs = query.split("&") if query else []
    for name, value in understood.values.items():
        assert f"{name}={value}" in pairs
    others = ["&".join((*pairs[:n], pair, *pairs[n + 1 :], "")) for n, pair in enumerate(pairs)]
    others += [
        "&".join((*pairs[:n], pairs[n + 1], pairs[n], *pairs[n + 2 :]))
        for n in range(len(pairs) - 1)
    ]
    others += ["&".join((*pairs, "X=1"))]
    for other in others:
        assert isinstance(parse_query(cgi, other), str), other
