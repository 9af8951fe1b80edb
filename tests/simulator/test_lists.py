"""Logs and disks over HTTP: what comes, every switch, and how often they may be asked for."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from nvrclient.simulator import DiskSlot, ListReadings, LoggedEntry, Readings, SimulatedRecorder
from nvrclient.simulator.lists import disk_list, log_list
from tests.simulator import golden_files as golden
from tests.simulator.client import Viewer, watching

LOGS = {
    "ERR": ("KIND=ERR&HTML=as_errorlog.html", golden.ERROR_LOG),
    "EVENT": ("KIND=EVENT&HTML=as_eventlog.html", golden.EVENT_LOG),
}
TWO = [LoggedEntry(1, "2021/01/02 03:04:05", "A"), LoggedEntry(2, "2021/01/02 03:04:06", "B")]


async def ask(viewer: Viewer, query: str) -> httpx.Response:
    return await viewer.http.get(f"/cgi-bin/loglist.cgi?UID={viewer.uid}&{query}")


async def test_logs_and_disks_come() -> None:
    async with watching(SimulatedRecorder()) as viewer:
        for query, body in LOGS.values():
            answer = await ask(viewer, query)
            assert (answer.status_code, answer.content) == (200, body)
            assert answer.headers["content-type"] == "text/html"
        answer = await viewer.http.get("/cgi-bin/recordedtime.cgi")
        assert answer.headers["content-type"] == "text/plain"
        assert answer.text.startswith("Recording information\r\n\r\nDisk,Capacity,")
        assert viewer.recorder.violations == []


@pytest.mark.parametrize(
    ("cgi", "query"),
    [
        ("loglist.cgi", "KIND=ERR&HTML=as_eventlog.html"),
        ("loglist.cgi", "HTML=as_errorlog.html&KIND=ERR"),
        ("loglist.cgi", "KIND=ALL&HTML=as_errorlog.html"),
        ("recordedtime.cgi", "PC=AS60"),
    ],
)
async def test_what_is_not_a_command(cgi: str, query: str) -> None:
    async with watching(SimulatedRecorder()) as viewer:
        assert await viewer.get(cgi, query) == 400
        assert len(viewer.recorder.violations) == 1


async def test_the_content_is_what_a_test_says() -> None:
    async with watching(SimulatedRecorder(readings=Readings(information_interval=0))) as viewer:
        recorder = viewer.recorder
        recorder.error_log = []
        recorder.event_log = [*TWO]
        recorder.disks[1:] = [
            DiskSlot("EXT5-9", 8, 0, "", "2021/10/31 02:30:00", "2021/10/31 02:10:00", True)
        ]
        assert (await ask(viewer, LOGS["ERR"][0])).text == (
            "FILENAME=as_errorlog.html\r\nERROR_LOG_NO=0\r\nERROR_LOG=\r\n\r\n"
        )
        recorder.event_log.append(LoggedEntry(3, "2021/01/02 03:04:07", "C", "GMT-03:30", True))
        assert (await ask(viewer, LOGS["EVENT"][0])).text.endswith(
            ',"003","2021/01/02 03:04:07","1","C","GMT-03:30"\r\n\r\n'
        )
        disks = (await viewer.http.get("/cgi-bin/recordedtime.cgi")).text
        assert disks.endswith(
            "15:30:12\r\nEXT5-9,8GB,0GB,2021/10/31,1,02:30:00,2021/10/31,0,02:10:00\r\n"
        )


@pytest.mark.parametrize("doubled", [False, True])
async def test_the_doubled_path(doubled: bool) -> None:
    readings = Readings(lists=ListReadings(doubled_path=doubled))
    async with watching(SimulatedRecorder(readings=readings)) as viewer:
        answers = [
            (await viewer.http.get(path)).status_code
            for path in ("/cgi-bin/recordedtime.cgi", "/cgi-bin//cgi-bin/recordedtime.cgi")
        ]
        assert answers == ([404, 200] if doubled else [200, 404])
        assert viewer.recorder.violations == []


def log(**switches: object) -> str:
    readings = ListReadings(**switches)  # type: ignore[arg-type]
    return log_list("EVENT", TWO, readings).body.decode()


FIRST = '"001","2021/01/02 03:04:05","0","A","GMT+00:00"'
SECOND = '"002","2021/01/02 03:04:06","0","B","GMT+00:00"'


@pytest.mark.parametrize(
    ("switches", "text"),
    [
        ({}, f"{FIRST},{SECOND}"),
        ({"trailing_comma": True}, f"{FIRST},{SECOND},"),
        ({"separator": ",\r\n"}, f"{FIRST},{SECOND}".replace(",", ",\r\n")),
        ({"entry_separator": "\r\n,"}, f"{FIRST}\r\n,{SECOND}"),
        ({"breaks": (5, 10)}, f"{FIRST}\r\n,{SECOND}\r\n"),
        ({"date_separator": "\r\n"}, f"{FIRST},{SECOND}".replace(" ", "\r\n")),
    ],
)
def test_separators(switches: dict[str, object], text: str) -> None:
    head = "FILENAME=as_eventlog.html\r\nEVENT_LOG_NO=2\r\nEVENT_LOG="
    assert log(**switches) == f"{head}{text}\r\n\r\n"


def test_counts_and_empty_lists() -> None:
    assert "EVENT_LOG_NO=7\r\n" in log(log_count=7)
    without = log_list("EVENT", (), ListReadings(empty_log_line=False)).body
    assert without == b"FILENAME=as_eventlog.html\r\nEVENT_LOG_NO=0\r\n\r\n"
    assert log_list("EVENT", (), ListReadings(trailing_comma=True)).body.endswith(b"LOG=\r\n\r\n")


@pytest.mark.parametrize("quote", ['"', '""', '\\"', "&quot;"])
def test_texts_with_quotation_marks_and_commas(quote: str) -> None:
    entry = LoggedEntry(1, "2021/01/02 03:04:05", 'DOOR "A","B", ü')
    body = log_list("ERR", [entry], ListReadings(quote=quote, encoding="cp1252")).body
    assert f',"DOOR {quote}A{quote},{quote}B{quote}, ü",'.encode("cp1252") in body


def test_a_thousand_entries() -> None:
    entries = [LoggedEntry(n, "2021/01/02 03:04:05", "X") for n in range(1, 1001)]
    body = log_list("ERR", entries, ListReadings()).body.decode()
    assert "ERROR_LOG_NO=1000\r\n" in body
    assert body.endswith(',"1000","2021/01/02 03:04:05","0","X","GMT+00:00"\r\n\r\n')
    assert body.count('","') == 4999


def test_disks_without_the_space_of_the_print() -> None:
    slots = [DiskSlot("MAIN-1"), DiskSlot("MAIN-2", 4001, 3710)]
    lines = disk_list(slots, ListReadings(disk_space="")).body.split(b"\r\n")
    assert lines[3:] == [b"MAIN-1,,,,,,,,", b"MAIN-2,4001GB,3710GB,,,,,,", b""]


async def test_information_is_not_asked_for_too_often() -> None:
    readings = Readings(information_interval=0.4)
    async with watching(SimulatedRecorder(readings=readings)) as viewer:
        for query, _ in LOGS.values():  # the two kinds do not wait for each other
            assert (await ask(viewer, query)).status_code == 200
        assert await viewer.get("as_getinfo.cgi", "FILE=2") == 200
        assert await viewer.get("as_getinfo.cgi", "FILE=2") == 200
        assert (await viewer.http.get("/cgi-bin/recordedtime.cgi")).status_code == 200
        assert (await viewer.http.get("/cgi-bin/recordedtime.cgi")).status_code == 400
        await viewer.log_in()
        assert (await ask(viewer, LOGS["ERR"][0])).status_code == 400  # another UID is no excuse
        await asyncio.sleep(0.4)
        assert (await ask(viewer, LOGS["ERR"][0])).status_code == 200
        broken = viewer.recorder.violations
        assert [text.partition(": again after ")[0] for text in broken] == [
            "list disks",
            "list log ERR",
        ]


async def test_three_seconds_are_the_rule_and_a_switch_holds_for_the_cameras_too() -> None:
    async with watching(SimulatedRecorder(readings=Readings(getinfo_interval=3))) as viewer:
        recorder = viewer.recorder
        assert (await ask(viewer, LOGS["ERR"][0])).status_code == 200
        assert (await ask(viewer, LOGS["ERR"][0])).status_code == 400
        assert (await viewer.http.get("/cgi-bin/as_getinfo.cgi?FILE=2")).status_code == 200
        assert (
            await viewer.get("as_getinfo.cgi", "FILE=2") == 200
        )  # the second form is a second try
        assert await viewer.get("as_getinfo.cgi", "FILE=2") == 400
        assert all(text.endswith(", not 3") for text in recorder.violations)
        assert len(recorder.violations) == 2
