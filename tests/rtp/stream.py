"""RTP for tests: packets written straight from RFC 3550, 6184 and 7798, and a demuxer on a clock that stands still.

Nothing here uses the client's own code to make what the client is judged by: pictures are access units of real
encoders (`nvrclient.simulator.Clip`).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Literal, get_args

from nvrclient.codec.demuxer import Demuxer
from nvrclient.frames import (
    AudioFrame,
    Codec,
    Discontinuity,
    NalUnit,
    StreamItem,
    VideoFrame,
)
from nvrclient.rtp.packet import RtpPacket, parse_packet
from nvrclient.simulator import Clip

LONG = bool(os.environ.get("NVRCLIENT_LONG"))
"""The long form of the tests: the counts of docs/faults.md instead of a thousandth of them."""

HOST_TIME = datetime(2020, 1, 1, tzinfo=UTC)
RECORDER_TIME = 1_700_006_400  # 2023-11-15 00:00:00 UTC

Marker = Literal["last", "never", "every NAL unit", "early"]
MARKERS: tuple[Marker, ...] = get_args(Marker)


def rtp(
    sequence_number: int,
    timestamp: int,
    payload: bytes,
    *,
    marker: bool = False,
    payload_type: int = 98,
    ssrc: int = 0x1234,
    extension: bytes | None = None,
    csrc: int = 0,
    padding: int = 0,
) -> bytes:
    first = 0x80 | (0x20 if padding else 0) | (0x10 if extension is not None else 0) | csrc
    data = struct.pack(
        ">BBHII",
        first,
        payload_type | (0x80 if marker else 0),
        sequence_number & 0xFFFF,
        timestamp & 0xFFFFFFFF,
        ssrc,
    )
    data += bytes(4 * csrc)
    if extension is not None:
        data += struct.pack(">HH", 0, len(extension) // 4) + extension
    return data + payload + (bytes(padding - 1) + bytes([padding]) if padding else b"")


def packet(sequence_number: int, timestamp: int, payload: bytes = b"x", **fields: Any) -> RtpPacket:
    return parse_packet(rtp(sequence_number, timestamp, payload, **fields))


def video_information(seconds: float, camera: int = 1) -> bytes:
    """TLV 0x0004, 0x0007 and 0x000D, as live video carries them (specification 2.3)."""
    return (
        struct.pack(">HHHH", 4, 8, camera, 0)
        + struct.pack(">HHIBBBB", 7, 12, int(seconds), 0, 0, 0, 0)
        + struct.pack(">HHBBH", 13, 8, 1, 0, 0)
    )


def audio_information(seconds: float) -> bytes:
    """TLV 0x0011 and 0x0012, as live audio carries them (specification 2.3.6)."""
    whole = int(seconds + 1e-9)
    hundredths = int((seconds - whole) * 100 + 1e-6)
    return struct.pack(">HHIBBBB", 17, 12, whole, 0, 0, 0, 0) + struct.pack(
        ">HHHH", 18, 8, hundredths, 0
    )


def kind_of(codec: Codec, nal: bytes) -> int:
    return nal[0] & 31 if codec is Codec.H264 else nal[0] >> 1 & 63


def is_slice(codec: Codec, nal: bytes) -> bool:
    kind = kind_of(codec, nal)
    return 1 <= kind <= 5 if codec is Codec.H264 else kind < 32


def fragments(codec: Codec, nal: bytes, size: int) -> list[bytes]:
    """FU-A (RFC 6184 5.8) or FU (RFC 7798 4.4.3): two at least."""
    if codec is Codec.H264:
        head, kind, body = bytes([nal[0] & 0xE0 | 28]), nal[0] & 31, nal[1:]
    else:
        head, kind, body = bytes([nal[0] & 0x81 | 98, nal[1]]), nal[0] >> 1 & 63, nal[2:]
    size = min(size, (len(body) + 1) // 2)
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return [
        head
        + bytes([kind | (0x80 if n == 0 else 0) | (0x40 if n == len(pieces) - 1 else 0)])
        + piece
        for n, piece in enumerate(pieces)
    ]


@dataclass
class Sender:
    """One RTP stream, packed as the recorder packs: small NAL units alone, slices in fragments."""

    codec: Codec
    sequence_number: int = 1000
    timestamp: int = 50_000
    ssrc: int = 0x1234
    size: int = 1200
    whole_slices: bool = False

    @property
    def payload_type(self) -> int:
        return {Codec.H264: 98, Codec.H265: 101}.get(self.codec, 97)

    def one(self, payload: bytes, **fields: Any) -> bytes:
        fields.setdefault("ssrc", self.ssrc)
        fields.setdefault("payload_type", self.payload_type)
        written = rtp(self.sequence_number, self.timestamp, payload, **fields)
        self.sequence_number = (self.sequence_number + 1) & 0xFFFF
        return written

    def picture(
        self,
        nals: Sequence[bytes],
        ticks: int = 6000,
        *,
        marker: Marker = "last",
        extension: bytes | None = None,
    ) -> list[bytes]:
        """The packets of one picture; the time stamp goes on by `ticks` afterwards."""
        payloads: list[tuple[bytes, bool]] = []
        for number, nal in enumerate(nals):
            last = number == len(nals) - 1
            pieces = (
                fragments(self.codec, nal, self.size)
                if is_slice(self.codec, nal) and len(nal) > 8 and not self.whole_slices
                else [nal]
            )
            for at, piece in enumerate(pieces):
                ends = at == len(pieces) - 1
                payloads.append(
                    (
                        piece,
                        {
                            "last": last and ends,
                            "never": False,
                            "every NAL unit": ends,
                            "early": ends and not is_slice(self.codec, nal),
                        }[marker]
                        or (marker == "early" and last and ends),
                    )
                )
        packets = []
        for piece, marked in payloads:
            packets.append(self.one(piece, marker=marked, extension=extension))
            extension = None
        self.timestamp = (self.timestamp + ticks) & 0xFFFFFFFF
        return packets

    def clip(
        self,
        name: str,
        pictures: Iterable[int] | None = None,
        *,
        marker: Marker = "last",
        clock: float | None = None,
    ) -> list[list[bytes]]:
        """The packets of pictures of a clip, by picture; `clock`: the recorder's time in each first packet."""
        source = Clip.load(name)
        ticks = round(90_000 / source.fps)
        made = []
        for number, index in enumerate(range(len(source)) if pictures is None else pictures):
            extension = None if clock is None else video_information(clock + number / source.fps)
            made.append(
                self.picture(source.nal_units[index], ticks, marker=marker, extension=extension)
            )
        return made


@dataclass
class Pipe:
    """A demuxer and its clock: what is due by the clock is done before the next packet."""

    demuxer: Demuxer = field(default_factory=lambda: Demuxer(1, lambda: HOST_TIME))
    now: float = 1000.0
    items: list[StreamItem] = field(default_factory=list[StreamItem])

    @classmethod
    def new(cls, **options: Any) -> Pipe:
        return cls(Demuxer(1, lambda: HOST_TIME, **options))

    def push(self, *packets: bytes, step: float = 0.0) -> None:
        for data in packets:
            self.wait(step)
            self.demuxer.push_packet(data, self.now)
            self.items += self.demuxer.take()

    def wait(self, seconds: float) -> None:
        until = self.now + seconds
        for _ in range(1000):
            due = self.demuxer.deadline
            if due is None or due > until:
                break
            self.now = max(self.now, due)
            self.demuxer.flush(self.now)
            self.items += self.demuxer.take()
        else:
            raise AssertionError("the deadline does not move")
        self.now = max(self.now, until)

    def finish(self) -> None:
        self.wait(5.0)

    @property
    def frames(self) -> list[VideoFrame]:
        return [item for item in self.items if isinstance(item, VideoFrame)]

    @property
    def audio(self) -> list[AudioFrame]:
        return [item for item in self.items if isinstance(item, AudioFrame)]

    @property
    def told(self) -> list[Discontinuity]:
        return [item for item in self.items if isinstance(item, Discontinuity)]

    @property
    def nal_units(self) -> list[NalUnit]:
        return [nal for frame in self.frames for nal in frame.nal_units]

    @property
    def pictures(self) -> list[tuple[bytes, ...]]:
        return [tuple(nal.data for nal in frame.nal_units) for frame in self.frames]

    @property
    def dropped(self) -> dict[str, int]:
        return self.demuxer.counters().dropped

    def check(self, *, whole: bool = True, clock: bool = True) -> None:
        """What holds for every input whatever: the account, the order, the starts; `whole`: nothing is in progress;
        `clock`: the recorder's clock was told without damage and never set back."""
        counters = self.demuxer.counters()
        given = len(self.frames) + len(self.audio)
        assert counters.frames == given + sum(counters.dropped.values())
        videos = self.frames
        assert all(a.pts < b.pts for a, b in pairwise(videos))
        times = [frame.time for frame in videos if frame.time is not None]
        assert not clock or times == sorted(times)
        after_loss = True
        sets: set[int] = set()
        pending: Discontinuity | None = None
        for item in self.items:
            if isinstance(item, Discontinuity):
                if item.reason in {"loss", "reconnect"}:
                    after_loss, pending = True, item
                continue
            if isinstance(item, AudioFrame):
                continue
            assert after_loss or not item.lost, "what is lost is told before the frame"
            if after_loss and item.codec is not Codec.JPEG:
                assert item.keyframe
                sets |= {nal.type for nal in item.nal_units if nal.is_parameter_set}
                needed = {7, 8} if item.codec is Codec.H264 else {32, 33, 34}
                assert sets >= needed
            if pending is not None:
                assert pending.lost == item.lost
                assert pending.since is not None
                assert pending.until is not None
            after_loss, pending = False, None
        if whole:
            assert sum(f.lost for f in videos) + sum(f.lost for f in self.audio) == counters.lost


def pictures_of(name: str, indices: Iterable[int] | None = None) -> list[tuple[bytes, ...]]:
    clip = Clip.load(name)
    return [clip.nal_units[n] for n in (range(len(clip)) if indices is None else indices)]


def codec_of(name: str) -> Codec:
    return Clip.load(name).codec


def flat(packets: Iterable[Iterable[bytes]]) -> list[bytes]:
    return [data for picture in packets for data in picture]
