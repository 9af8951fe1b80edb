"""The two logs (5.1): the specification's examples to their values, and every kind of damage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nvrclient import LogEntry, ProtocolError
from nvrclient.commands.logs import ERRORS, EVENTS, LogKind, parse_log

ERROR_EXAMPLE = (
    "FILENAME=as_errorlog.html\r\n"
    "ERROR_LOG_NO=2\r\n"
    'ERROR_LOG="001","2021/11/14 14:10:00","0","CAM 3 COMMUNICATION ERROR","GMT+03:00","002"\r\n'
    ',"2021/11/14 14:48:00","0","CAM 3 COMMUNICATION RECOVERED","GMT+03:00"\r\n\r\n'
)
EVENT_EXAMPLE = (
    "FILENAME=as_eventlog.html\r\n"
    "EVENT_LOG_NO=2\r\n"
    'EVENT_LOG="001","2024/04/24 12:30:00","0","SITE(VMD)-2","GMT+09:00","002","2024/04/24\r\n'
    '11:45:00","0","SITE(VMD)-1","GMT+09:00" \r\n\r\n'
)


def entry(number: int, local: str, summer: bool, kind: str, minutes: int) -> LogEntry:
    zone = timezone(timedelta(minutes=minutes))
    when = datetime.fromisoformat(local)
    return LogEntry(number, when.replace(tzinfo=zone), when, zone, summer, kind)


def written(entries: list[LogEntry], between: str = ",") -> str:
    """Write entries as 5.1.1 says; `between` goes between fields."""
    fields: list[str] = []
    for one in entries:
        minutes = round((one.zone.utcoffset(None) or timedelta()) / timedelta(minutes=1))
        zone = f"GMT{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
        when = f"{one.local_time.year:04}{one.local_time:/%m/%d %H:%M:%S}"
        fields += [f"{one.number:03}", when, f"{one.summer_time:d}", one.kind, zone]
    return between.join(f'"{field}"' for field in fields)


def answer(entries: str, count: object, log: LogKind = ERRORS) -> bytes:
    return f"FILENAME={log.page}\r\n{log.key}_NO={count}\r\n{log.key}={entries}\r\n".encode()


def test_the_printed_error_log() -> None:
    found = parse_log(ERROR_EXAMPLE.encode(), ERRORS)
    assert (found.stated, found.damaged) == (2, 0)
    assert found.entries == [
        entry(1, "2021-11-14 14:10:00", False, "CAM 3 COMMUNICATION ERROR", 180),
        entry(2, "2021-11-14 14:48:00", False, "CAM 3 COMMUNICATION RECOVERED", 180),
    ]
    assert found.entries[0].time == datetime(2021, 11, 14, 11, 10, tzinfo=UTC)


def test_the_printed_event_log() -> None:
    found = parse_log(EVENT_EXAMPLE.encode(), EVENTS)
    assert (found.stated, found.damaged) == (2, 0)
    assert found.entries == [  # printed newest first, with a line break inside a time
        entry(2, "2024-04-24 11:45:00", False, "SITE(VMD)-1", 540),
        entry(1, "2024-04-24 12:30:00", False, "SITE(VMD)-2", 540),
    ]
    assert found.entries[1].time == datetime(2024, 4, 24, 3, 30, tzinfo=UTC)


def test_each_log_knows_its_own() -> None:
    with pytest.raises(ProtocolError, match=r"error log: .* holds no ERROR_LOG"):
        parse_log(EVENT_EXAMPLE.encode(), ERRORS)
    with pytest.raises(ProtocolError, match=r"event log: .* holds no EVENT_LOG"):
        parse_log(ERROR_EXAMPLE.encode(), EVENTS)


@pytest.mark.parametrize(
    "body", [b"", b"OK", b"<html>UID=13313</html>", b"ERROR_LOG", b"XERROR_LOG_NO=1", b"\xff\0"]
)
def test_what_is_no_log(body: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse_log(body, ERRORS)
    assert b"13313" not in caught.value.head


@pytest.mark.parametrize(
    "body",
    [
        b"ERROR_LOG_NO=0\r\nERROR_LOG=\r\n",
        b"ERROR_LOG_NO=0\r\n",
        b'ERROR_LOG_NO="0"\r\nERROR_LOG=""',
        b"ERROR_LOG=",
    ],
)
def test_no_entries(body: bytes) -> None:
    assert parse_log(body, ERRORS).entries == []


HOSTILE = [
    'A, B, "C"',
    '"',
    '","',
    '"",""',
    "",
    ",",
    'GATE "NORTH", 2","GMT',
    "GMT+03:00",
    "ERROR_LOG=",
    "001",
    "カメラ 3",
    "\x1b[31m",
]


@pytest.mark.parametrize("kind", HOSTILE)
def test_commas_quotes_and_line_breaks(kind: str) -> None:
    wanted = [
        entry(1, "2024-04-24 11:45:00", True, kind, -210),
        entry(2, "2024-04-24 12:45:00", False, kind, 0),
        entry(3, "2024-04-24 13:45:00", False, "X", 840),
    ]
    for between in (",", "\r\n,", ",\r\n", " ,\n\t", "\r\n,\r\n"):
        for tail in ("", ",", ",\r\n", "\r\n,\r\n", "\r\n</body></html>"):
            found = parse_log(answer(written(wanted, between) + tail, 3), ERRORS)
            assert sorted(found.entries, key=lambda one: one.number) == wanted
            assert (found.stated, found.damaged) == (3, 0)


def test_a_line_break_inside_a_text_is_a_space() -> None:
    text = written([entry(1, "2024-04-24 11:45:00", True, "CAM 3\r\nCOMMUNICATION", 0)])
    assert parse_log(answer(text, 1), ERRORS).entries[0].kind == "CAM 3 COMMUNICATION"


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_thousand_entries_in_either_order(newest_first: bool) -> None:
    start = datetime(2024, 3, 30, 22, tzinfo=UTC)
    wanted: list[LogEntry] = []
    for index in range(1000):
        local = (
            f"{start + timedelta(seconds=20 * (index // 3)):%Y-%m-%d %H:%M:%S}"  # three a second
        )
        number = 1000 - index if newest_first else index + 1
        wanted.append(entry(number, local, False, f"CAM {index} ERROR", 60))
    text = written(wanted[::-1] if newest_first else wanted)
    found = parse_log(answer(text, 1000), ERRORS)
    assert found.entries == wanted
    assert (found.stated, found.damaged) == (1000, 0)


GOOD = '"001","2021/11/14 14:10:00","0","FIRST","GMT+03:00"'
LAST = '"003","2021/11/14 14:48:00","0","LAST","GMT+03:00"'


@pytest.mark.parametrize(
    "damaged",
    [
        '"002","2021/13/14 14:20:00","0","X","GMT+03:00"',  # no such month
        '"002","2021/11/14 25:20:00","0","X","GMT+03:00"',
        '"002","0000/00/00 00:00:00","0","X","GMT+03:00"',
        '"002","2021/11/14 14:20:00","2","X","GMT+03:00"',  # no such flag
        '"002","2021/11/14 14:20:00","0","X","UTC+03:00"',
        '"002","2021/11/14 14:20:00","0","X","GMT+03:60"',
        '"002","2021/11/14 14:20:00","0","X","GMT+24:00"',
        '"002","0001/01/01 00:00:00","0","X","GMT+03:00"',  # before the first UTC there is
        '"002","2021/11/14 14:20:00","0","X"',  # a field is missing
        '"002","2021/11/14 14:20:00","0"',
        '"002","2021/11/14","0","X","GMT+03:00"',
        '"002"',
        '"002","2021/11/14 14:20:00","0","X',
    ],
)
def test_a_damaged_entry_costs_no_other(damaged: str) -> None:
    found = parse_log(answer(f"{GOOD},{damaged},{LAST}", 3), ERRORS)
    assert [one.kind for one in found.entries] == ["FIRST", "LAST"]
    assert (found.stated, found.damaged) == (3, 1)
    first = parse_log(answer(f"{damaged},{LAST}", 2), ERRORS)
    assert [one.kind for one in first.entries] == ["LAST"]
    assert first.damaged == 1


@pytest.mark.parametrize(("count", "stated"), [("7", 7), ("", None), ("x", None)])
def test_the_count_that_is_stated(count: str, stated: int | None) -> None:
    found = parse_log(answer(f"{GOOD},{LAST}", count), ERRORS)
    assert found.stated == stated
    assert len(found.entries) == 2


def test_a_cut_answer_gives_what_is_whole() -> None:
    whole = answer(f"{GOOD},{LAST}", 2)
    for end in range(whole.index(b"ERROR_LOG="), len(whole)):
        found = parse_log(whole[:end], ERRORS)
        assert [one.kind for one in found.entries] == ["FIRST", "LAST"][: len(found.entries)]


def test_zones() -> None:
    for text, hours in (("GMT-00:00", 0), ("GMT +05:30", 5.5), ("GMT-11:00", -11)):
        found = parse_log(answer(GOOD.replace("GMT+03:00", text), 1), ERRORS)
        assert found.entries[0].time.utcoffset() == timedelta(hours=hours)
        assert found.entries[0].time.replace(tzinfo=None) == found.entries[0].local_time


entries = st.builds(
    lambda when, number, summer, kind, minutes: LogEntry(
        number,
        when.replace(tzinfo=(zone := timezone(timedelta(minutes=minutes)))),
        when,
        zone,
        summer,
        kind,
    ),
    st.datetimes(datetime.fromisoformat("1970-01-02"), datetime.fromisoformat("2105-01-01")).map(
        lambda when: when.replace(microsecond=0)
    ),
    st.integers(0, 1000),
    st.booleans(),
    st.text(
        st.characters(codec="utf-8", exclude_characters="\r\n\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")
    ),
    st.integers(-23 * 60, 23 * 60),
)


@given(st.lists(entries, max_size=8), st.sampled_from([",", ",\r\n", "\n , "]))
def test_what_was_written_is_read(wanted: list[LogEntry], between: str) -> None:
    found = parse_log(answer(written(wanted, between), len(wanted)), ERRORS)
    assert found.damaged == 0
    key = lambda one: (one.time, one.number, one.kind)  # noqa: E731
    assert sorted(found.entries, key=key) == sorted(wanted, key=key)
    assert [one.time for one in found.entries] == sorted(one.time for one in wanted)


@given(
    st.binary(max_size=200)
    | st.lists(
        st.sampled_from(
            [
                GOOD,
                LAST,
                '"',
                ",",
                "\r\n",
                "ERROR_LOG=",
                "ERROR_LOG_NO=",
                "9",
                "GMT+03:00",
                "\0",
                "é",
            ]
        )
    ).map(lambda parts: "".join(parts).encode("latin-1"))
)
@example(b"ERROR_LOG_NO=" + b"9" * 10_000)
@example(b'ERROR_LOG="' + b" " * 100_000)
@example(b'ERROR_LOG="001","2021/11/14 14:10:00","0",' + b'"","GMT,' * 20_000)
def test_anything_is_a_log_or_a_protocol_error(body: bytes) -> None:
    try:
        found = parse_log(body, ERRORS)
    except ProtocolError:
        return
    assert {one.kind for one in found.entries} - {"FIRST", "LAST"} == set() or b"GMT" in body
    for one in found.entries:
        assert one.time.astimezone(UTC).tzinfo is UTC
