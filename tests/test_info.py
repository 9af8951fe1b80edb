"""Recorder information (chapter 7), each of the fifteen TLVs against a message typed by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvrclient.frames import Operation, RecorderInfo
from nvrclient.info import NO_INFO, parse_info, walk_tlvs
from tests.simulator import golden

NOON = datetime(2023, 11, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        (golden.CAMERA_CHANNEL, {"camera": 1}),
        (golden.CAMERA_CHANNEL_256, {"camera": 256}),
        (golden.COMPRESSION_H264, {"compression": 3}),
        (golden.COMPRESSION_H265, {"compression": 4}),
        (golden.DATA_SIZE, {"data_size": 123_456}),
        (golden.TIME_AND_DATE_UTC, {"time": NOON, "summer_time": False}),
        (golden.TIME_AND_DATE_PLUS_9, {"time": NOON, "summer_time": False}),
        (golden.TIME_AND_DATE_MINUS_3_30_SUMMER, {"time": NOON, "summer_time": True}),
        (golden.FRAME_NUMBER, {"frame_count": 30}),
        (golden.FRAME_RATE, {"frame_rate": 15.0}),
        (golden.FRAME_TIME, {"frame_time": 99}),
        (golden.RESERVED, {"reserved": bytes(range(1, 9))}),
        (golden.IMAGE_DATA_PRESENT, {"has_image": True}),
        (golden.IMAGE_DATA_ABSENT, {"has_image": False}),
        (golden.STATUS_LIVE, {"operation": Operation.LIVE, "speed_step": 0}),
        (golden.STATUS_FAST_FORWARD_3, {"operation": Operation.FAST_FORWARD, "speed_step": 3}),
        (golden.CAMERA_TIME_AND_DATE, {"camera_time": NOON, "camera_summer_time": False}),
        (golden.CAMERA_FRAME_TIME, {"camera_frame_time": 50}),
        (golden.START_CODE, {"has_start_codes": True}),
        (golden.LONG_TERM_REFERENCE, {"long_term_reference": 0x11}),
        (golden.IDR_HIDDEN, {"idr_display": 2}),
    ],
)
def test_each_tlv(data: bytes, fields: dict[str, Any]) -> None:
    """The field, and nothing but the field."""
    assert parse_info(data) == RecorderInfo(**fields)


@pytest.mark.parametrize(
    ("data", "zone"),
    [
        (golden.TIME_AND_DATE_UTC, timedelta(0)),
        (golden.TIME_AND_DATE_PLUS_9, timedelta(hours=9)),
        (golden.TIME_AND_DATE_MINUS_3_30_SUMMER, -timedelta(hours=3, minutes=30)),
        (bytes.fromhex("0007 000C 65540A00 00 18 00 00"), timedelta(0)),  # a day: no zone
        (bytes.fromhex("0007 000C 65540A00 01 FF FF 00"), timedelta(0)),
    ],
)
def test_the_zone_is_for_display(data: bytes, zone: timedelta) -> None:
    time = parse_info(data).time
    assert time == NOON
    assert time is not None
    assert time.utcoffset() == zone


def test_all_together() -> None:
    info = parse_info(golden.VIDEO_INFORMATION)
    assert info == RecorderInfo(
        camera=1, time=NOON, summer_time=False, operation=Operation.LIVE, speed_step=0
    )
    info = parse_info(golden.AUDIO_INFORMATION)
    assert info.camera_time == NOON + timedelta(milliseconds=500)
    assert info.camera_frame_time == 50
    # 0x000A refines 0x0007 wherever it stands, and says nothing beyond 99.
    for data in (
        golden.TIME_AND_DATE_PLUS_9 + golden.FRAME_TIME,
        golden.FRAME_TIME + golden.TIME_AND_DATE_PLUS_9,
    ):
        assert parse_info(data).time == NOON + timedelta(milliseconds=990)
    odd = parse_info(golden.TIME_AND_DATE_UTC + bytes.fromhex("000A 0008 0064 0000"))
    assert (odd.time, odd.frame_time) == (NOON, 100)
    # One refines its own clock only.
    mixed = parse_info(golden.TIME_AND_DATE_UTC + golden.CAMERA_FRAME_TIME)
    assert mixed.time == NOON
    assert mixed.camera_time is None


@pytest.mark.parametrize("number", range(256))
def test_operations(number: int) -> None:
    info = parse_info(bytes.fromhex("000D 0008") + bytes([number, 0, 0, 0]))
    known = {*range(9), 0x41, 0x42}
    assert info.operation == number
    assert isinstance(info.operation, Operation) == (number in known)


def test_the_years_ahead() -> None:
    time = parse_info(bytes.fromhex("0007 000C FFFFFFFF 00 09 00 00")).time
    assert time == datetime(2106, 2, 7, 6, 28, 15, tzinfo=UTC)
    assert parse_info(bytes.fromhex("0007 000C 00000000 01 0C 00 00")).time == datetime(
        1970, 1, 1, tzinfo=UTC
    )


@pytest.mark.parametrize(
    ("tail", "unknown"),
    [
        ("", {}),
        ("0099 0004", {0x99: b""}),
        ("0099 0007 010203", {0x99: b"\1\2\3"}),
        ("0099 0003", {}),
        ("0099 0000 0004 0008 0009 0000", {}),
        ("0099 0009 01020304", {}),
        ("0099 FFFF", {}),
        ("00", {}),
        ("0004 0005 01", {4: b"\1"}),  # known id, too short for its field: kept as bytes
    ],
)
def test_the_walk_ends_with_what_was_read(tail: str, unknown: dict[int, bytes]) -> None:
    info = parse_info(golden.FRAME_RATE + bytes.fromhex(tail))
    assert info == RecorderInfo(frame_rate=15.0, unknown=unknown)


def test_camera_information() -> None:
    info = parse_info(b"", golden.CAMERA_INFORMATION)
    assert info == RecorderInfo(camera_info={0x8001: b"\0\0\0\1", 0x8002: bytes(range(1, 9))})
    assert parse_info(b"") == NO_INFO


@given(st.binary(max_size=120), st.binary(max_size=40))
def test_any_bytes(data: bytes, camera: bytes) -> None:
    """Never raises; what was walked over fits into the data."""
    info = parse_info(data, camera)
    assert sum(4 + len(value) for _, value in walk_tlvs(data)) <= len(data)
    assert repr(info).startswith("RecorderInfo(")


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=20)), max_size=8))
def test_what_is_written_is_read(tlvs: list[tuple[int, bytes]]) -> None:
    data = b"".join(
        tlv_id.to_bytes(2, "big") + (4 + len(value)).to_bytes(2, "big") + value
        for tlv_id, value in tlvs
    )
    assert walk_tlvs(data) == tlvs


def test_zone_of_a_recorder() -> None:
    info = parse_info(golden.TIME_AND_DATE_PLUS_9)
    assert info.time is not None
    assert info.time.tzinfo == timezone(timedelta(hours=9))
