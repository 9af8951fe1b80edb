"""The disks (5.2): the specification's example to its values, and every kind of slot and damage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvrclient import Disk, ProtocolError
from nvrclient.commands.disks import local_time, parse_disks

HEADER = "Recording information\r\n\r\nDisk,Capacity,Remain capacity,Recorded time range\r\n"
RECORDED = "MAIN-1,4001GB(R),1529GB,2021/11/14,0,13:00:00,2021/12/24,0,15:30:12"
EXAMPLE = HEADER + "".join(
    f"{line}\r\n"
    for line in (
        RECORDED,
        *(f"MAIN-{slot},4001GB,3710GB,,,,,, " for slot in (2, 3, 4)),
        *(f"MAIN-{slot},,,,,,,, " for slot in range(5, 10)),
        *(f"EXT{unit}-{slot},,,,,,,, " for unit in range(1, 6) for slot in range(1, 10)),
    )
)
ROME = ZoneInfo("Europe/Rome")


def one(line: str, zone: tzinfo | None = None) -> Disk:
    found = parse_disks((HEADER + line).encode(), zone)
    assert found.damaged == 0
    assert len(found.disks) == 1
    return found.disks[0]


def test_the_printed_example() -> None:
    found = parse_disks(EXAMPLE.encode(), None)
    assert found.damaged == 0
    assert found.disks[:4] == [
        Disk(
            "MAIN-1",
            4001,
            1529,
            ("R",),
            datetime.fromisoformat("2021-11-14 13:00:00"),
            datetime.fromisoformat("2021-12-24 15:30:12"),
        ),
        *(Disk(f"MAIN-{slot}", 4001, 3710, (), None, None) for slot in (2, 3, 4)),
    ]
    assert [disk.name for disk in found.disks[4:]] == [
        *(f"MAIN-{slot}" for slot in range(5, 10)),
        *(f"EXT{unit}-{slot}" for unit in range(1, 6) for slot in range(1, 10)),
    ]
    assert all(
        (disk.capacity_gb, disk.remaining_gb, disk.flags, disk.recorded_from)
        == (None, None, (), None)
        for disk in found.disks[4:]
    )


def test_times_are_aware_with_a_zone() -> None:
    disk = one(RECORDED, ROME)
    assert disk.recorded_from == datetime(2021, 11, 14, 12, 0, tzinfo=UTC)
    assert disk.recorded_to == datetime(2021, 12, 24, 14, 30, 12, tzinfo=UTC)
    assert disk.recorded_from.tzinfo is ROME


def test_the_hour_that_comes_twice() -> None:
    disk = one("MAIN-1,1GB,1GB,2021/10/31,1,02:30:00,2021/10/31,0,02:30:00", ROME)
    assert disk.recorded_from is not None
    assert disk.recorded_to is not None
    assert disk.recorded_from.astimezone(UTC) == datetime(2021, 10, 31, 0, 30, tzinfo=UTC)
    assert disk.recorded_to.astimezone(UTC) == datetime(2021, 10, 31, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "zone", ["Europe/Rome", "Europe/Dublin", "Australia/Lord_Howe", "Asia/Tokyo"]
)
def test_summer_time_in_every_kind_of_zone(zone: str) -> None:
    """Dublin's summer time is its standard, and Lord Howe's moves half an hour."""
    where = ZoneInfo(zone)
    start = datetime(2021, 1, 1, 0, 15, tzinfo=UTC)
    standard = min(
        (start + timedelta(days=day)).astimezone(where).utcoffset() or timedelta()
        for day in (0, 180)
    )
    for hour in range(366 * 24):
        here = (start + timedelta(hours=hour)).astimezone(where)
        naive = here.replace(tzinfo=None, fold=0)
        told = local_time(naive, where, summer_time=here.utcoffset() != standard)
        assert told.astimezone(UTC) == here.astimezone(UTC)


@pytest.mark.parametrize(
    ("line", "sizes", "flags"),
    [
        ("MAIN-1,,,,,,,,", (None, None), ()),
        ("MAIN-1,,", (None, None), ()),
        ("MAIN-1,", (None, None), ()),
        (" EXT5-9 , 4001 GB (R) , 1529 GB ,,,,,,", (4001, 1529), ("R",)),
        ("MAIN-1,4001GB(R)(A),0GB(F),,,,,,", (4001, 0), ("R", "A", "F")),
        ("MAIN-1,4001GB,,,,,,,", (4001, None), ()),
        ("MAIN-1,4001GB,1529GB,,,,,,,,,", (4001, 1529), ()),
    ],
)
def test_slots(line: str, sizes: tuple[int | None, ...], flags: tuple[str, ...]) -> None:
    disk = one(line)
    assert (disk.capacity_gb, disk.remaining_gb) == sizes
    assert disk.flags == flags
    assert disk.recorded_from is disk.recorded_to is None


def test_a_year_in_two_digits() -> None:
    disk = one("MAIN-1,1GB,1GB,2021/11/14,0,13:00:00,21/12/24,1,15:30:12")
    assert disk.recorded_to == datetime.fromisoformat("2021-12-24 15:30:12")


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\r\n\r\n"])
def test_line_ends(end: str) -> None:
    assert parse_disks(EXAMPLE.replace("\r\n", end).encode(), None) == parse_disks(
        EXAMPLE.encode(), None
    )


@pytest.mark.parametrize(
    "damaged",
    [
        "MAIN-2,x,1529GB,,,,,,",
        "MAIN-2,4001,1529GB,,,,,,",
        "MAIN-2,-1GB,1529GB,,,,,,",
        "MAIN-2,1GB,1GB,2021/13/14,0,13:00:00,2021/12/24,0,15:30:12",
        "MAIN-2,1GB,1GB,2021/11/14,2,13:00:00,2021/12/24,0,15:30:12",
        "MAIN-2,1GB,1GB,2021/11/14,0,25:00:00,2021/12/24,0,15:30:12",
        "MAIN-2,1GB,1GB,2021/11/14,0,,2021/12/24,0,15:30:12",
        "MAIN-2,1GB,1GB,,,,1999/12/24,0,15:30:12",
        "MAIN-2,1GB,1GB,garbage",
    ],
)
def test_a_damaged_line_costs_no_other(damaged: str) -> None:
    found = parse_disks(f"{HEADER}{RECORDED}\r\n{damaged}\r\nMAIN-3,,,,,,,,".encode(), None)
    assert [disk.name for disk in found.disks] == ["MAIN-1", "MAIN-3"]
    assert found.damaged == 1


def test_a_recorder_without_slots() -> None:
    assert parse_disks(HEADER.encode(), None).disks == []


@pytest.mark.parametrize("body", [b"", b"OK", b"<html>UID=13313</html>", b"\xff\xfe", b"a,b,c"])
def test_what_is_no_list_of_disks(body: bytes) -> None:
    with pytest.raises(ProtocolError, match="recordedtime") as caught:
        parse_disks(body, None)
    assert b"13313" not in caught.value.head


@given(
    st.lists(
        st.sampled_from(
            [
                *RECORDED.split(","),
                ",",
                ",,",
                "\r\n",
                "MAIN-1,",
                "EXT1-1,4001GB,",
                HEADER,
                "GB",
                "\0",
            ]
        )
        | st.text(max_size=4)
    ),
    st.sampled_from([None, ROME]),
)
def test_anything_is_disks_or_a_protocol_error(parts: list[str], zone: tzinfo | None) -> None:
    body = "".join(parts)
    try:
        found = parse_disks(body.encode("utf-8", "surrogatepass"), zone)
    except ProtocolError:
        return
    for disk in found.disks:
        assert disk.name in body
        assert disk.capacity_gb is None or f"{disk.capacity_gb}GB" in body
        assert (disk.recorded_from is None) or (
            (disk.recorded_from.tzinfo is None) == (zone is None)
        )
