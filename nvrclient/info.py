"""Recorder information (chapter 7): TLV bytes -> RecorderInfo.

::

    offset  size
    0       2     id
    2       2     Length, counts these four bytes too
    4       L-4   data; the next TLV follows at once

Integers are big-endian. An id this table does not know is kept as bytes and skipped by its Length.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from struct import Struct
from typing import Any

from nvrclient.frames import Operation, RecorderInfo

_HEADER = Struct(">HH")
_U16 = Struct(">H")
_U32 = Struct(">I")
_TIME = Struct(">IBBBB")

NO_INFO = RecorderInfo()


def parse_info(data: bytes, camera_data: bytes = b"") -> RecorderInfo:
    """Read the recorder's TLVs in `data` and the camera's in `camera_data`.

    The walk ends at a Length under 4 or past the end, with what was read so far: in live video a damaged
    tail costs no picture. Never raises.
    """
    fields: dict[str, Any] = {}
    unknown: dict[int, bytes] = {}
    for tlv_id, value in walk_tlvs(data):
        read = _READERS.get(tlv_id)
        if read is None or len(value) < read[0]:
            unknown[tlv_id] = value
        else:
            read[1](value, fields)
    for clock, hundredths in (("time", "frame_time"), ("camera_time", "camera_frame_time")):
        if clock in fields and fields.get(hundredths, 100) < 100:
            fields[clock] += timedelta(milliseconds=10 * fields[hundredths])
    return RecorderInfo(**fields, unknown=unknown, camera_info=dict(walk_tlvs(camera_data)))


def walk_tlvs(data: bytes) -> list[tuple[int, bytes]]:
    """Return (id, data) of every whole TLV from the start of `data`; stops where the walk breaks."""
    found: list[tuple[int, bytes]] = []
    position, end = 0, len(data)
    while position + 4 <= end:
        tlv_id, length = _HEADER.unpack_from(data, position)
        if length < 4 or position + length > end:
            break
        found.append((tlv_id, data[position + 4 : position + length]))
        position += length
    return found


def zone_of(*, minus: bool, hours: int, minutes: int) -> timezone:
    """Return the zone of a recorder's time stamp; UTC where it is no zone (a day or more away)."""
    offset = timedelta(hours=hours, minutes=minutes)
    if offset >= timedelta(days=1):
        return UTC
    return timezone(-offset if minus else offset)


def _clock(prefix: str) -> Callable[[bytes, dict[str, Any]], None]:
    # seconds (4), zone sign 0 = + 1 = - (1), hours (1), minutes (1), summer time (1). The seconds are taken as
    # UTC; the zone is for display.
    def read(value: bytes, fields: dict[str, Any]) -> None:
        seconds, sign, hours, minutes, summer = _TIME.unpack_from(value)
        zone = zone_of(minus=sign == 1, hours=hours, minutes=minutes)
        try:
            fields[prefix + "time"] = datetime.fromtimestamp(seconds, zone)
        except (
            ValueError,
            OverflowError,
        ):  # year 10000 is out of reach; a strange C library is not
            fields[prefix + "time"] = datetime.fromtimestamp(0, UTC) + timedelta(seconds=seconds)
        fields[prefix + "summer_time"] = bool(summer)

    return read


def _number(
    name: str, convert: Callable[[int], Any] = int
) -> Callable[[bytes, dict[str, Any]], None]:
    def read(value: bytes, fields: dict[str, Any]) -> None:
        fields[name] = convert(_U16.unpack_from(value)[0])

    return read


def _data_size(value: bytes, fields: dict[str, Any]) -> None:
    fields["data_size"] = _U32.unpack_from(value)[0]


def _reserved(value: bytes, fields: dict[str, Any]) -> None:
    fields["reserved"] = value


def _status(value: bytes, fields: dict[str, Any]) -> None:
    number = value[0]
    try:
        fields["operation"] = Operation(number)
    except ValueError:
        fields["operation"] = number
    fields["speed_step"] = value[1]


# id -> (bytes of data it must have, reader). Section 7.1.2.
_READERS: dict[int, tuple[int, Callable[[bytes, dict[str, Any]], None]]] = {
    0x0004: (2, _number("camera")),
    0x0005: (2, _number("compression")),
    0x0006: (4, _data_size),
    0x0007: (8, _clock("")),
    0x0008: (2, _number("frame_count")),
    0x0009: (2, _number("frame_rate", lambda tenths: tenths / 10)),
    0x000A: (2, _number("frame_time")),
    0x000B: (0, _reserved),
    0x000C: (2, _number("has_image", bool)),
    0x000D: (2, _status),
    0x0011: (8, _clock("camera_")),
    0x0012: (2, _number("camera_frame_time")),
    0x0027: (2, _number("has_start_codes", bool)),
    0x0028: (2, _number("long_term_reference")),
    0x0029: (2, _number("idr_display")),
}
