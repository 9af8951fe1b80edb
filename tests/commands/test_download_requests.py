"""What a range is split into: hours on whole minutes, in UTC, whatever the clocks do (specification 6.3.2)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvrclient.commands.command import Uid
from nvrclient.commands.download import download, requests

ROME = ZoneInfo("Europe/Rome")
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def printed(start: datetime, end: datetime) -> list[tuple[str, str]]:
    """Return STARTTIME and ENDTIME of every request."""
    found = [
        dict(download(Uid("1"), one).query) for one in requests(1, start, end, "mp4", audio=True)
    ]
    return [(query["STARTTIME"], query["ENDTIME"]) for query in found]


def test_rounded_outward_to_minutes() -> None:
    at = datetime(2023, 11, 15, 10, 4, 31, 5, tzinfo=UTC)
    assert printed(at, at + timedelta(seconds=1)) == [("231115100400", "231115100500")]
    assert printed(at, at + MINUTE) == [("231115100400", "231115100600")]
    whole = at.replace(second=0, microsecond=0)
    assert printed(whole, whole + MINUTE) == [("231115100400", "231115100500")]
    assert printed(whole, whole + timedelta(microseconds=1)) == [("231115100400", "231115100500")]


def test_five_hours_are_five_requests_without_gap_or_overlap() -> None:
    at = datetime(2023, 12, 31, 21, 30, tzinfo=UTC)
    assert printed(at, at + 5 * HOUR) == [
        ("231231213000", "231231223000"),
        ("231231223000", "231231233000"),
        ("231231233000", "240101003000"),
        ("240101003000", "240101013000"),
        ("240101013000", "240101023000"),
    ]


def test_the_night_that_summer_time_begins() -> None:
    """From 01:30 to 03:30 by the clock on the wall is one hour."""
    assert printed(
        datetime(2024, 3, 31, 1, 30, tzinfo=ROME), datetime(2024, 3, 31, 3, 30, tzinfo=ROME)
    ) == [("240331003000", "240331013000")]


def test_the_night_that_summer_time_ends() -> None:
    """From 01:30 to 03:30 by the clock on the wall is three hours; 02:30 comes twice."""
    assert printed(
        datetime(2024, 10, 27, 1, 30, tzinfo=ROME), datetime(2024, 10, 27, 3, 30, tzinfo=ROME)
    ) == [
        ("241026233000", "241027003000"),
        ("241027003000", "241027013000"),
        ("241027013000", "241027023000"),
    ]
    twice = datetime(2024, 10, 27, 2, 30, tzinfo=ROME)
    assert printed(twice, twice.replace(fold=1)) == [("241027003000", "241027013000")]
    assert printed(twice.replace(minute=45), twice.replace(minute=15, fold=1)) == [
        ("241027004500", "241027011500")
    ]


@given(
    st.datetimes(datetime(2001, 1, 1), datetime(2098, 1, 1)),  # noqa: DTZ001  the strategy wants it
    st.timedeltas(timedelta(microseconds=1), timedelta(days=3)),
    st.integers(-14 * 60, 14 * 60),
)
def test_any_range_is_covered_once(start: datetime, length: timedelta, offset: int) -> None:
    begin = start.replace(tzinfo=timezone(timedelta(minutes=offset)))
    found = requests(1, begin, begin + length, "mp4", audio=True)
    assert found[0].start <= begin < found[0].start + MINUTE
    assert found[-1].end - MINUTE < begin + length <= found[-1].end
    for one, other in zip(found, found[1:], strict=False):
        assert one.end == other.start
        assert one.length == HOUR
    for one in found:
        assert timedelta(0) < one.length <= HOUR
        assert one.start.second == one.start.microsecond == one.end.second == 0


@pytest.mark.parametrize(
    ("kind", "audio", "word"),
    [
        ("mp4", True, "MP4"),
        ("mp4", False, "MP4VO"),
        ("n3", True, "N3"),
        ("n3", False, "N3VO"),
        ("list", True, "LIST"),
        ("list", False, "LIST"),
    ],
)
def test_kinds(kind: str, audio: bool, word: str) -> None:
    at = datetime(2023, 11, 15, tzinfo=UTC)
    assert requests(3, at, at + HOUR, kind, audio=audio)[0].kind == word


def test_what_can_mean_nothing() -> None:
    at = datetime(2023, 11, 15, 10, tzinfo=UTC)
    naive = at.replace(tzinfo=None)
    for wrong in ((naive, at), (at, naive)):
        with pytest.raises(
            ValueError, match=r"^(start|end): .*no time zone; give it one: when.asti"
        ):
            requests(1, *wrong, "mp4", audio=True)
    with pytest.raises(TypeError, match="start: a datetime"):
        requests(1, date(2023, 11, 15), at, "mp4", audio=True)
    for end in (at, at - HOUR):
        with pytest.raises(ValueError, match="end: later than start"):
            requests(1, at, end, "mp4", audio=True)
    with pytest.raises(ValueError, match='kind: "mp4", "n3" or "list"'):
        requests(1, at, at + HOUR, "avi", audio=True)
    with pytest.raises(ValueError, match="2000…2099"):
        requests(1, at, datetime(2101, 1, 1, tzinfo=UTC), "mp4", audio=True)
