"""The values a caller receives: codecs, NAL units, frames, discontinuities and the recorder's information.

All of them are frozen and slotted, compare by value and pickle. A repr shows sizes, never payloads.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from enum import IntEnum, StrEnum
from typing import Literal, TypeAlias

__all__ = [
    "AudioFrame",
    "CameraStatus",
    "Codec",
    "Discontinuity",
    "Disk",
    "Gop",
    "LogEntry",
    "NalUnit",
    "Operation",
    "RecorderInfo",
    "StreamItem",
    "VideoFormat",
    "VideoFrame",
]


class Codec(StrEnum):
    """How video or audio is coded. Strings are accepted wherever a Codec is, in any case."""

    H264 = "H264"
    H265 = "H265"
    JPEG = "JPEG"
    AAC = "AAC"
    PCMU = "PCMU"
    PCMA = "PCMA"
    G726 = "G726"

    @classmethod
    def _missing_(cls, value: object) -> Codec | None:
        if isinstance(value, str):
            return cls.__members__.get(value.upper().replace(".", ""))
        return None

    @property
    def is_video(self) -> bool:
        """Whether this is a codec of pictures."""
        return self in _VIDEO


_VIDEO = frozenset({Codec.H264, Codec.H265, Codec.JPEG})


class Operation(IntEnum):
    """What the recorder was doing when it sent a picture (chapter 7, TLV 0x000D)."""

    UNDEFINED = 0x00
    LIVE = 0x01
    PLAYBACK = 0x02
    REVERSE = 0x03
    FAST_FORWARD = 0x04
    FAST_REVERSE = 0x05
    PAUSE = 0x06
    NEXT_IMAGE = 0x07
    PREVIOUS_IMAGE = 0x08
    DOWNLOADING = 0x41
    DOWNLOAD_COMPLETED = 0x42


@dataclass(frozen=True, slots=True)
class NalUnit:
    """One NAL unit of H.264 or H.265.

    ``data`` begins with the NAL unit header and carries no start code. ``type`` is nal_unit_type (H.264: 5 bits;
    H.265: 6 bits). ``rtp_timestamp`` is the raw 32-bit time stamp of the packets it came in.
    """

    data: bytes = field(repr=False)
    codec: Codec
    type: int
    rtp_timestamp: int

    @property
    def is_parameter_set(self) -> bool:
        """SPS or PPS; in H.265 VPS too."""
        if self.codec is Codec.H264:
            return 7 <= self.type <= 8
        return 32 <= self.type <= 34

    @property
    def is_idr(self) -> bool:
        """A slice of an instantaneous decoding refresh picture."""
        if self.codec is Codec.H264:
            return self.type == 5
        return 19 <= self.type <= 20

    @property
    def is_slice(self) -> bool:
        """Coded picture data (a VCL NAL unit), not a parameter set, delimiter or message."""
        if self.codec is Codec.H264:
            return 1 <= self.type <= 5
        return self.type <= 31

    def __repr__(self) -> str:
        return f"NalUnit({self.codec}, type={self.type}, {len(self.data)} bytes)"


@dataclass(frozen=True, slots=True)
class RecorderInfo:
    """The recorder's information about a picture (chapter 7). A field that was not sent is None.

    | field | TLV | value |
    |---|---|---|
    | camera | 0x0004 | camera number registered in the recorder |
    | compression | 0x0005 | 3 = H.264, 4 = H.265, as sent |
    | data_size | 0x0006 | bytes of video |
    | time | 0x0007, with 0x000A | recorder's clock, aware, in the recorder's zone |
    | summer_time | 0x0007 | whether summer time was in force; already part of neither ``time`` nor its zone |
    | frame_count | 0x0008 | pictures in the data |
    | frame_rate | 0x0009 | recording rate set, pictures per second |
    | frame_time | 0x000A | 10 ms units after ``time``'s whole second, 0…99 |
    | reserved | 0x000B | eight bytes as sent |
    | has_image | 0x000C | whether the data holds pictures |
    | operation | 0x000D | what the recorder is doing; an unknown number stays an int |
    | speed_step | 0x000D | step of fast forward or reverse, 1…8; 0 undefined |
    | camera_time | 0x0011, with 0x0012 | the camera's own clock, aware |
    | camera_summer_time | 0x0011 | as ``summer_time`` |
    | camera_frame_time | 0x0012 | as ``frame_time`` |
    | has_start_codes | 0x0027 | whether NAL units carry start codes |
    | long_term_reference | 0x0028 | 0x0000 none, 0x0010 in the stream, 0x0011 in this GOP too |
    | idr_display | 0x0029 | 0 other, 1 IDR to show, 2 IDR only to decode |

    ``unknown`` holds every other TLV by id; ``camera_info`` those of the camera's own chunk, whose ids the
    specification does not describe.
    """

    camera: int | None = None
    compression: int | None = None
    data_size: int | None = None
    time: datetime | None = None
    summer_time: bool | None = None
    frame_count: int | None = None
    frame_rate: float | None = None
    frame_time: int | None = None
    reserved: bytes | None = None
    has_image: bool | None = None
    operation: Operation | int | None = None
    speed_step: int | None = None
    camera_time: datetime | None = None
    camera_summer_time: bool | None = None
    camera_frame_time: int | None = None
    has_start_codes: bool | None = None
    long_term_reference: int | None = None
    idr_display: int | None = None
    unknown: dict[int, bytes] = field(default_factory=dict[int, bytes])
    camera_info: dict[int, bytes] = field(default_factory=dict[int, bytes])

    def __repr__(self) -> str:
        shown: list[str] = []
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, dict):
                value = {f"{key:#06x}": f"{len(data)} bytes" for key, data in value.items()}  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]
            if value is not None and value != {}:
                shown.append(f"{name}={value!s}")
        return f"RecorderInfo({', '.join(shown)})"


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """What a decoder must know of a video stream.

    ``width`` and ``height`` are the picture's size in pixels after cropping; ``codec_string`` is the RFC 6381
    name (``avc1.64001F``, ``hvc1.1.6.L93.B0``, ``jpeg``); ``parameter_sets`` are the NAL units VPS, SPS, PPS in
    that order without start codes, empty for JPEG.
    """

    codec: Codec
    width: int
    height: int
    codec_string: str
    parameter_sets: tuple[bytes, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """One picture: an access unit of H.264 or H.265, or one JPEG.

    | field | meaning |
    |---|---|
    | camera | camera number |
    | codec | ``Codec.H264``, ``H265`` or ``JPEG`` |
    | nal_units | the access unit's NAL units in decoding order; empty for JPEG |
    | keyframe | decoding can start here |
    | shown | False: decode, but do not show |
    | pts | presentation time in ticks of ``clock_rate``; 0 at the first frame of the stream, strictly rising |
    | clock_rate | ticks a second: 90 000 |
    | time | when the picture was taken by the recorder's clock, aware; None while the recorder has told none |
    | received_at | when its last byte came, by the event loop's monotonic clock, in seconds |
    | lost | packets missing between the last frame given and this one |
    | info | the recorder's information that came with it |
    | jpeg | the JPEG file, for ``Codec.JPEG``; else empty |
    """

    camera: int
    codec: Codec
    nal_units: tuple[NalUnit, ...]
    keyframe: bool
    shown: bool
    pts: int
    clock_rate: int
    time: datetime | None
    received_at: float
    lost: int
    info: RecorderInfo
    jpeg: bytes = field(default=b"", repr=False)

    @property
    def data(self) -> bytes:
        """The picture as bytes: Annex B (each NAL unit behind 00 00 00 01), or the JPEG file."""
        if self.codec is Codec.JPEG:
            return self.jpeg
        return b"".join([part for nal in self.nal_units for part in (_START_CODE, nal.data)])

    @property
    def size(self) -> int:
        """Bytes of coded data, start codes not counted."""
        return len(self.jpeg) + sum([len(nal.data) for nal in self.nal_units])

    def __repr__(self) -> str:
        kind = "keyframe " if self.keyframe else ""
        when = f" {self.time.isoformat(timespec='milliseconds')}" if self.time else ""
        hidden = "" if self.shown else " hidden"
        loss = f" lost={self.lost}" if self.lost else ""
        return (
            f"<VideoFrame {kind}{self.codec} camera={self.camera} pts={self.pts}{when}"
            f" {self.size} bytes{hidden}{loss}>"
        )


_START_CODE = b"\x00\x00\x00\x01"


@dataclass(frozen=True, slots=True)
class AudioFrame:
    """A piece of audio: one AAC access unit (1024 samples), or the samples of one packet or part.

    | field | meaning |
    |---|---|
    | camera | camera number |
    | codec | ``Codec.AAC``, ``PCMU``, ``PCMA`` or ``G726`` |
    | data | bare codec data: a raw AAC frame without ADTS, or samples |
    | config | AAC: the AudioSpecificConfig (ISO 14496-3) a decoder needs; else None |
    | pts | time in samples at ``sample_rate``; 0 at the first frame of the stream, strictly rising |
    | sample_rate, channels | in Hz; 1 or 2 |
    | time | by the recorder's clock, aware; None where none is known |
    | received_at | when it came, by the event loop's monotonic clock, in seconds |
    | lost | packets missing between the last audio frame and this one |
    """

    camera: int
    codec: Codec
    data: bytes = field(repr=False)
    config: bytes | None = field(repr=False)
    pts: int
    sample_rate: int
    channels: int
    time: datetime | None
    received_at: float
    lost: int

    @property
    def size(self) -> int:
        """Bytes of coded data."""
        return len(self.data)

    def __repr__(self) -> str:
        loss = f" lost={self.lost}" if self.lost else ""
        return (
            f"<AudioFrame {self.codec} camera={self.camera} pts={self.pts} {self.sample_rate} Hz"
            f" x{self.channels} {len(self.data)} bytes{loss}>"
        )


@dataclass(frozen=True, slots=True)
class Gop:
    """A group of pictures as the recorder keeps it: what one request of playback brings; for JPEG one picture.

    ``start`` and ``end`` are the times of its first and last picture as the recorder states them, exact to 10 ms,
    aware. ``frames`` are in recording order, which is decoding order; one with ``shown`` False is there for
    decoding only. ``info`` is the recorder's information about the whole.
    """

    camera: int
    codec: Codec
    start: datetime
    end: datetime
    frames: tuple[VideoFrame, ...] = field(repr=False)
    info: RecorderInfo = field(repr=False)

    def __repr__(self) -> str:
        return (
            f"<Gop {self.codec} camera={self.camera} {self.start.isoformat(timespec='milliseconds')}"
            f" {len(self.frames)} pictures, {sum(frame.size for frame in self.frames)} bytes>"
        )


DiscontinuityReason: TypeAlias = Literal["reconnect", "loss", "overflow", "format", "seek", "gap"]


@dataclass(frozen=True, slots=True)
class Discontinuity:
    """Something is missing, or changes, between the item before and the item after.

    | reason | what happened |
    |---|---|
    | reconnect | the stream broke; told at once with ``until`` None, and again when frames are back |
    | loss | packets were lost or damaged; the next picture is a key frame |
    | overflow | the consumer was too slow and whole GOPs were dropped |
    | format | codec or parameter sets change with the next frame |
    | seek, gap | playback moved, or nothing was recorded in between |

    ``since`` is the time of the last frame before and ``until`` of the first one after, by the recorder's clock
    (by this computer's clock where the recorder told none); ``lost`` counts the packets or, for an overflow, the
    frames that are missing.
    """

    reason: DiscontinuityReason
    since: datetime | None = None
    until: datetime | None = None
    lost: int = 0


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """A camera registered in the recorder: its number, and whether it is connected now."""

    number: int
    connected: bool


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line of the recorder's error or event log (5.1).

    ``number`` is the log's own; ``time`` is aware, ``local_time`` what the recorder's clock showed, ``zone`` how far
    that was from UTC, ``summer_time`` whether summer time was in force. ``kind`` says what happened, in the
    recorder's words.
    """

    number: int
    time: datetime
    local_time: datetime
    zone: tzinfo
    summer_time: bool
    kind: str


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk slot of the recorder (5.2): ``MAIN-1`` … ``MAIN-9``, ``EXT1-1`` … ``EXT5-9``.

    Sizes are in GB, None for an empty slot. ``flags`` are the letters behind a size in brackets, as sent: ``("R",)``.
    ``recorded_from`` and ``recorded_to`` are the times of the oldest and the newest recording, None where nothing
    was ever recorded: aware with the session's option ``timezone``; without it naive, in the recorder's local time.
    """

    name: str
    capacity_gb: int | None
    remaining_gb: int | None
    flags: tuple[str, ...]
    recorded_from: datetime | None
    recorded_to: datetime | None


StreamItem: TypeAlias = VideoFrame | AudioFrame | Discontinuity
