"""The containers of playaudio.cgi (section 3.3.2): about one second of G.711, G.726 or AAC-LC."""

from __future__ import annotations

import struct
from datetime import timedelta
from typing import TYPE_CHECKING

from nvrclient.frames import Codec
from nvrclient.simulator.gops import final_padding, zone_info
from nvrclient.simulator.packets import aac_payload
from nvrclient.simulator.playback_readings import BlockLength, PlaybackReadings, SizeRow
from nvrclient.simulator.sources import SWAPPED_NIBBLES

if TYPE_CHECKING:
    from nvrclient.simulator.readings import Readings
    from nvrclient.simulator.recording import RecordedSound

__all__ = ["sound_answer"]


def sound_answer(
    sound: RecordedSound, camera: int, readings: Readings, *, with_sound: bool = True
) -> bytes:
    """Write the answer that brings a second of sound; without sound its header only, size 0.

    ::

        | FF03 | camera number (2)                                                   |
        | audio data size (4)                                                        |
        | start (4)                                                                  |
        | reserved (1) | zone hours (1) | zone minutes (1) | TZ info (1)             |
        | end (4)                                                                    |
        | reserved (4)                                                               |
        | zone sign (1) | zone hours (1) | zone minutes (1) | summer time (1)        |
        | 0 = G.726, 1 = G.711 (1) | reserved (3)                                    |
        | reserved (4)                                                               |
        | reserved (28)                                                              |
        | samples                                                                    |
        | padding to a multiple of 4096                                              |

    AAC-LC begins FF13, has FF12 003C behind the size, and nothing in the codec's row.
    """
    playback = readings.playback
    aac = sound.codec is Codec.AAC
    data = sound.data if with_sound else b""
    if aac and data:
        data = _blocks(sound, playback)
    elif data:
        swapped = sound.codec is Codec.G726 and not readings.g726_low_bits_first
        data = bytes(playback.zero_byte) + (data.translate(SWAPPED_NIBBLES) if swapped else data)
    fill = bytes([playback.reserved_fill])
    size, nothing = struct.pack(">I", len(data)), fill * 4
    row = playback.size_row
    zone = zone_info(sound.zone, playback, summer_time=sound.summer_time)
    minus = sound.zone.utcoffset(None) < timedelta(0)
    end = sound.pieces[-1].at if playback.end_is_last_piece and sound.pieces else sound.until
    codec = bytes([sound.codec is not Codec.G726]) + fill * 3
    header = b"".join(
        (
            struct.pack(">HH", 0xFF13 if aac else 0xFF03, camera),
            size if row is SizeRow.FIRST else nothing,
            b"\xff\x12\x00\x3c" if aac else b"",
            struct.pack(">I", sound.begins // 100),
            fill + zone,
            struct.pack(">I", end // 100),
            size if row is SizeRow.MIDDLE else nothing,
            bytes([minus, *zone[:2], sound.summer_time]),
            nothing if aac else codec,
            size if row is SizeRow.LAST else nothing,
            fill * 28,
        )
    )
    return b"".join((header, data, final_padding(len(header) + len(data), playback)))


def _blocks(sound: RecordedSound, readings: PlaybackReadings) -> bytes:
    """Write AAC frames in blocks.

    ::

        | FF14 | Length (2)                                                          |
        | padding size (1) | 1 = with AU header (1) | reserved (2)                   |
        | AU header (4), if there | AAC frame | zero padding to 4 bytes              |
    """
    written: list[bytes] = []
    fill = bytes([readings.reserved_fill])
    for piece in sound.pieces:
        frame = aac_payload(piece.data) if readings.au_header else piece.data
        frame = bytes(readings.zero_byte) + frame
        padding = -len(frame) % 4
        length = {
            BlockLength.WHOLE: 8 + len(frame) + padding,
            BlockLength.AFTER_ID: 4 + len(frame) + padding,
            BlockLength.PADDED: len(frame) + padding,
            BlockLength.WITHOUT_PADDING: 8 + len(frame),
            BlockLength.FRAME: len(frame),
        }[readings.block_length]
        row = bytes([padding, readings.au_header]) + fill * 2
        if readings.padding_two_bytes:
            row = bytes([0, padding, readings.au_header]) + fill
        written += (struct.pack(">HH", 0xFF14, length), row, frame, bytes(padding))
    return b"".join(written)
