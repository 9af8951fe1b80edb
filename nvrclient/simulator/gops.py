"""The containers of camera.cgi (section 3.3.1): a GOP of H.264 or H.265, or one JPEG."""

from __future__ import annotations

import struct
from datetime import timedelta, timezone
from typing import TYPE_CHECKING

from nvrclient.frames import Codec
from nvrclient.simulator.information import (
    camera_channel,
    camera_frame_time,
    status,
    time_and_date,
)
from nvrclient.simulator.playback_readings import (
    ChunkLength,
    PlaybackReadings,
    VideoLength,
    ZoneBits,
)

if TYPE_CHECKING:
    from nvrclient.simulator.recording import RecordedGop, Unit

__all__ = ["final_padding", "gop_chunk", "zone_info"]

_CHUNK_IDS = {
    Codec.H264: b"\xff\x15",
    Codec.H265: b"\xff\x16",
    Codec.JPEG: b"\xff\xd8\xff\xfe",
}
_COMPRESSION = {Codec.H264: 3, Codec.H265: 4}
_SOI = b"\xff\xd8"


def gop_chunk(
    gop: RecordedGop,
    camera: int,
    operation: int,
    readings: PlaybackReadings,
    *,
    step: int = 0,
    with_images: bool = True,
) -> bytes:
    """Write the chunk of one GOP; without images its information only, saying so.

    ::

        | FF15 or FF16, Length (2); JPEG: FFD8 FFFE Length (2)                              | once
        | recorder information TLVs                                                         | once
        | camera information TLVs                                                           | a picture
        | reserved (12)                                                                     | a picture
        | FF06 0044                                                                         | a picture
        | reserved (16) | end (4) | its detail (4) | start (4) | its detail (4)             | a picture
        | reserved (16) | time (4) | 10 ms (1) | reserved (3) | reserved (8)                | a picture
        | FF05 | zero-padding bytes (2) | Length of the data (4) | reserved (16)            | a picture
        | data | zero padding to 4 bytes                                                    | a picture
        | padding to a multiple of 4096                                                     | once
    """
    information = _information(gop, camera, operation, step, readings, with_images=with_images)
    packets: list[bytes] = []
    if with_images:
        group = _gop_information(gop, readings)
        packets = [_packet(gop.codec, unit, group, readings) for unit in gop.pictures]
    chunk_id = _CHUNK_IDS[gop.codec]
    header = len(chunk_id) + 2
    after = len(information) + sum(map(len, packets))
    padding = final_padding(header + after, readings)
    first = len(readings.camera_information) if packets else 0
    length = {
        # JPEG's rule counts the Length but not the marker in front of it; other Lengths here count their id.
        ChunkLength.INFORMATION: (2 if gop.codec is Codec.JPEG else 4) + len(information) + first,
        ChunkLength.AFTER_HEADER: after,
        ChunkLength.WHOLE: header + after,
        ChunkLength.PADDED: header + after + len(padding),
        ChunkLength.ZERO: 0,
    }[readings.chunk_length]
    return b"".join((chunk_id, struct.pack(">H", length & 0xFFFF), information, *packets, padding))


def final_padding(size: int, readings: PlaybackReadings) -> bytes:
    """Pad to a multiple of 4096 bytes."""
    return bytes([readings.padding_fill]) * (-size % 4096) if readings.final_padding else b""


def zone_info(zone: timezone, readings: PlaybackReadings, *, summer_time: bool) -> bytes:
    """Write the hours and minutes of a zone, and TZ info: sign and summer time, a bit each; 3 bytes."""
    offset = zone.utcoffset(None)
    minutes = abs(offset) // timedelta(minutes=1)
    sign, summer = (0x80, 0x40) if readings.zone_bits is ZoneBits.HIGH else (0x01, 0x02)
    info = (sign if offset < timedelta(0) else 0) | (summer if summer_time else 0)
    return bytes([minutes // 60, minutes % 60, info])


def _information(
    gop: RecordedGop,
    camera: int,
    operation: int,
    step: int,
    readings: PlaybackReadings,
    *,
    with_images: bool,
) -> bytes:
    """Write the recorder information (section 7.1), in the order of the table."""
    seconds, rest = divmod(gop.begins, 100)
    compression = _COMPRESSION.get(gop.codec, readings.jpeg_compression)
    when = time_and_date(seconds, gop.zone, summer_time=gop.summer_time)
    size = sum(len(_data(gop.codec, unit, readings)) for unit in gop.pictures) if with_images else 0
    written = [camera_channel(camera)]
    if compression is not None:
        written.append(_short(0x0005, compression))
    written.append(struct.pack(">HHI", 0x0006, 8, size))
    if readings.time_and_date:
        written.append(when)
    written += [
        _short(0x0008, len(gop.pictures) if with_images else 0),
        _short(0x0009, round(gop.fps * 10)),
        _short(0x000A, rest),
        struct.pack(">HH8s", 0x000B, 12, bytes([readings.reserved_fill]) * 8),
        _short(0x000C, int(with_images)),
        status(operation, step),
    ]
    if readings.camera_time:
        of_camera = time_and_date(seconds, gop.zone, summer_time=gop.summer_time, of_camera=True)
        written += [of_camera, camera_frame_time(rest)]
    written += [
        _short(0x0027, 1),
        _short(0x0028, gop.long_term),
        _short(0x0029, gop.idr_display),
    ]
    return b"".join(written)


def _short(tlv: int, value: int) -> bytes:
    """Write a TLV of one number: id, Length 8, number (2), reserved (2)."""
    return struct.pack(">HHHxx", tlv, 8, value)


def _gop_information(gop: RecordedGop, readings: PlaybackReadings) -> bytes:
    """Write what every picture repeats: reserved (16), and end and start of the GOP, 8 bytes each."""
    start = gop.pictures[0].at if readings.hidden_idr_starts_gop else gop.begins
    end = gop.until if readings.gop_end_is_next else gop.pictures[-1].at
    zone = zone_info(gop.zone, readings, summer_time=gop.summer_time)
    times = (struct.pack(">IB", time // 100, time % 100) + zone for time in (end, start))
    return bytes([readings.reserved_fill]) * 16 + b"".join(times)


def _packet(codec: Codec, unit: Unit, group: bytes, readings: PlaybackReadings) -> bytes:
    """Write one picture, from the camera's information to its padding."""
    fill = bytes([readings.reserved_fill])
    data = _data(codec, unit, readings)
    padding = -len(data) % 4
    length = {
        VideoLength.DATA: len(data),
        VideoLength.PADDED: len(data) + padding,
        VideoLength.FROM_HEADER: 24 + len(data) + padding,
    }[readings.video_length]
    return b"".join(
        (
            readings.camera_information,
            fill * 12,
            b"\xff\x06\x00\x44",
            group,
            fill * 16,
            struct.pack(">IB", unit.at // 100, unit.at % 100),
            fill * (3 + 8),
            struct.pack(">HHI", 0xFF05, padding, length),
            fill * 16,
            data,
            bytes(padding),
        )
    )


def _data(codec: Codec, unit: Unit, readings: PlaybackReadings) -> bytes:
    if codec is Codec.JPEG and not readings.jpeg_soi:
        return unit.data.removeprefix(_SOI)
    return unit.data
