"""Recorder information (section 7.1): the TLVs that live video and audio carry.

Each begins::

     0               2               4
    +---------------+---------------+----------
    |  id           |  Length       | data …        Length counts its own four bytes and the id's
    +---------------+---------------+----------
"""

from __future__ import annotations

import struct
from datetime import UTC, timedelta, timezone

__all__ = ["audio_information", "camera_channel", "status", "time_and_date", "video_information"]

LIVE = 0x01


def camera_channel(camera: int) -> bytes:
    """Write 0x0004, the camera's number.

    ::

        | 0004 | 0008 | camera number (2) | reserved (2) |
    """
    return struct.pack(">HHHxx", 0x0004, 8, camera)


def time_and_date(
    seconds: int, zone: timezone = UTC, *, summer_time: bool = False, of_camera: bool = False
) -> bytes:
    """Write 0x0007, the recorder's time and date, or 0x0011, the camera's.

    ::

        | 0007 | 000C | Unix seconds (4) | 0 = + 1 = - (1) | hours (1) | minutes (1) | summer time (1) |
        | 0011 |
    """
    offset = zone.utcoffset(None)
    minutes = abs(offset) // timedelta(minutes=1)
    return struct.pack(
        ">HHIBBBB",
        0x0011 if of_camera else 0x0007,
        12,
        seconds,
        offset < timedelta(0),
        minutes // 60,
        minutes % 60,
        summer_time,
    )


def status(operation: int = LIVE, step: int = 0) -> bytes:
    """Write 0x000D, what the recorder is doing.

    ::

        | 000D | 0008 | operation (1) | step of FF/REW (1) | reserved (2) |
    """
    return struct.pack(">HHBBxx", 0x000D, 8, operation, step)


def camera_frame_time(hundredths: int) -> bytes:
    """Write 0x0012, the 10 ms units that refine 0x0011.

    ::

        | 0012 | 0008 | 10 ms units, 0…99 (2) | reserved (2) |
    """
    return struct.pack(">HHHxx", 0x0012, 8, hundredths)


def video_information(
    camera: int, time: float, zone: timezone = UTC, *, summer_time: bool = False
) -> bytes:
    """Write what live video carries: 0x0004, 0x0007, 0x000D; 28 bytes."""
    return (
        camera_channel(camera) + time_and_date(int(time), zone, summer_time=summer_time) + status()
    )


def audio_information(time: float, zone: timezone = UTC, *, summer_time: bool = False) -> bytes:
    """Write what live audio carries, by the camera's clock: 0x0011 and 0x0012; 20 bytes."""
    seconds, hundredths = divmod(int(time * 100), 100)
    return time_and_date(
        seconds, zone, summer_time=summer_time, of_camera=True
    ) + camera_frame_time(hundredths)
