"""What a live stream sends: unit by unit, a clip made into RTP packets, JPEG parts or audio parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from nvrclient.frames import Codec
from nvrclient.simulator.information import audio_information, video_information
from nvrclient.simulator.packets import (
    AUDIO,
    Packing,
    Payload,
    RtpWriter,
    aac_payload,
    payload_type,
    payloads,
)
from nvrclient.simulator.parts import audio_body, audio_content_type, jpeg_body
from nvrclient.simulator.readings import Extension, Marker, Readings

if TYPE_CHECKING:
    from datetime import timezone
    from random import Random

    from nvrclient.simulator.clips import Clip

__all__ = ["AudioParts", "AudioRtp", "JpegParts", "Origin", "PackedClip", "Source", "VideoRtp"]

# Undocumented on a real recorder: made up here, two TLVs of a camera, for a parser to keep or skip.
CAMERA_INFORMATION = bytes.fromhex("8001 0008 00000001  8002 000C 0102030405060708")

SWAPPED_NIBBLES = bytes((byte & 0xF) << 4 | byte >> 4 for byte in range(256))


@dataclass(frozen=True, slots=True)
class Origin:
    """Where and when a stream begins: what every source needs to know."""

    camera: int
    started: float
    zone: timezone
    summer_time: bool
    readings: Readings
    random: Random = field(repr=False)


class Source(Protocol):
    """Something that a live stream can send."""

    content_type: str
    seconds_per_unit: float

    def messages(self, unit: int) -> list[bytes]:
        """Write a unit: the RTP packets of a picture or of one piece of audio, or one part's body."""
        ...

    def is_key(self, unit: int) -> bool:
        """Whether decoding can start at this unit."""
        ...


class PackedClip:
    """A clip's access units as RTP payloads, packed once for all streams that send it."""

    def __init__(self, clip: Clip, packing: Packing) -> None:
        self._clip, self._packing = clip, packing
        self._packed: list[tuple[Payload, ...] | None] = [None] * len(clip)

    def __getitem__(self, index: int) -> tuple[Payload, ...]:
        packed = self._packed[index]
        if packed is None:
            packed = payloads(self._clip.codec, self._clip.nal_units[index], self._packing)
            self._packed[index] = packed
        return packed


class VideoRtp:
    """H.264 or H.265 as RTP packets (sections 2.3.1, 2.3.2)."""

    content_type = "application/octet-stream"

    def __init__(self, clip: Clip, packed: PackedClip, origin: Origin) -> None:
        self._clip, self._packed, self._origin = clip, packed, origin
        readings = origin.readings
        self._writer = RtpWriter(
            payload_type(clip.codec), origin.random, csrc=readings.csrc, padding=readings.padding
        )
        self.seconds_per_unit = clip.seconds_per_unit

    def messages(self, unit: int) -> list[bytes]:
        """Write the packets of one picture. Time stamps rise in decoding order."""
        index = (self._origin.readings.start_at + unit) % len(self._clip)
        ticks = round(unit * self._origin.readings.video_clock * self.seconds_per_unit)
        information = self._information(unit, index)
        every = self._origin.readings.extension is Extension.EVERY_PACKET
        rule = self._origin.readings.marker
        packed = self._packed[index]
        last = len(packed) - 1
        packet = self._writer.packet
        written: list[bytes] = []
        for number, payload in enumerate(packed):
            marker = rule is Marker.LAST_PACKET and number == last
            marker = marker or (rule is Marker.EVERY_NAL_UNIT and payload.ends_nal_unit)
            written.append(packet(ticks, payload.data, marker=marker, information=information))
            if not every:
                information = b""
        return written

    def is_key(self, unit: int) -> bool:
        """Whether decoding can start at this picture."""
        index = (self._origin.readings.start_at + unit) % len(self._clip)
        return index in self._clip.keyframes

    @property
    def writer(self) -> RtpWriter:
        """What writes its packets."""
        return self._writer

    def _information(self, unit: int, index: int) -> bytes:
        where, origin = self._origin.readings.extension, self._origin
        if where is Extension.NONE:
            return b""
        if where is Extension.KEYFRAMES and index not in self._clip.keyframes:
            return b""
        time = origin.started + unit * self.seconds_per_unit
        return video_information(origin.camera, time, origin.zone, summer_time=origin.summer_time)


class AudioRtp:
    """Audio as RTP packets (section 2.3.6): AAC behind its AU header, samples as they are."""

    content_type = "application/octet-stream"

    def __init__(self, clip: Clip, origin: Origin) -> None:
        self._clip, self._origin = clip, origin
        readings = origin.readings
        self._writer = RtpWriter(AUDIO, origin.random, csrc=readings.csrc, padding=readings.padding)
        self.seconds_per_unit = clip.seconds_per_unit

    def messages(self, unit: int) -> list[bytes]:
        """Write one packet: the clock is the sampling rate."""
        origin = self._origin
        data = _audio(self._clip, unit, origin.readings)
        if self._clip.codec is Codec.AAC:
            data = aac_payload(data)
        information = b""
        if origin.readings.extension is not Extension.NONE:
            time = origin.started + unit * self.seconds_per_unit
            time += origin.readings.camera_clock_offset
            information = audio_information(time, origin.zone, summer_time=origin.summer_time)
        ticks = unit * self._clip.samples_per_unit
        return [self._writer.packet(ticks, data, marker=True, information=information)]

    def is_key(self, unit: int) -> bool:  # noqa: ARG002 - every one is
        """Whether decoding can start here."""
        return True

    @property
    def writer(self) -> RtpWriter:
        """What writes its packets."""
        return self._writer


class AudioParts:
    """Audio as parts of a response (section 2.3.7)."""

    def __init__(self, clip: Clip, origin: Origin) -> None:
        self._clip, self._readings = clip, origin.readings
        self.content_type = audio_content_type(
            clip.codec, clip.sample_rate, origin.readings.g711_content_type
        )
        self.seconds_per_unit = clip.seconds_per_unit

    def messages(self, unit: int) -> list[bytes]:
        """Write one part's body."""
        data = _audio(self._clip, unit, self._readings)
        return [audio_body(data, zero_byte=self._readings.audio_zero_byte)]

    def is_key(self, unit: int) -> bool:  # noqa: ARG002 - every one is
        """Whether decoding can start here."""
        return True


class JpegParts:
    """JPEG pictures as parts of a response (section 2.3.5)."""

    content_type = "image/jpeg"

    def __init__(self, clip: Clip, origin: Origin) -> None:
        self._clip, self._origin = clip, origin
        self.seconds_per_unit = clip.seconds_per_unit

    def messages(self, unit: int) -> list[bytes]:
        """Write one part's body."""
        origin, readings = self._origin, self._origin.readings
        time = origin.started + unit * self.seconds_per_unit
        return [
            jpeg_body(
                self._clip.units[(readings.start_at + unit) % len(self._clip)],
                video_information(origin.camera, time, origin.zone, summer_time=origin.summer_time),
                CAMERA_INFORMATION if readings.jpeg_camera_chunk else None,
                soi=readings.jpeg_soi,
                length_counts_itself=readings.jpeg_length_counts_itself,
            )
        ]

    def is_key(self, unit: int) -> bool:  # noqa: ARG002 - every one is
        """Whether decoding can start here."""
        return True


def _audio(clip: Clip, unit: int, readings: Readings) -> bytes:
    data = clip.units[unit % len(clip)]
    if clip.codec is Codec.G726 and not readings.g726_low_bits_first:
        return data.translate(SWAPPED_NIBBLES)
    return data
