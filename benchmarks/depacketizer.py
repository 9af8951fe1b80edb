"""RTP packets to pictures: parse, reorder, depacketizer, access unit, frame.

| contender | what it does |
|---|---|
| ours | `Demuxer.push_packet` for each packet, `take` after each picture |
| slice and join | the least that gives the same NAL units in Python: it knows how long the headers are, checks nothing, and slices each fragment once and joins each NAL unit once |
| aiortc | its RtpPacket.parse, depayload and JitterBuffer, as its receiver calls them; H.264 only |
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module

from benchmarks import media
from benchmarks.measurement import Contender, Row, Sink, Target, check, compare
from nvrclient import Codec, VideoFrame
from nvrclient.codec.demuxer import Demuxer

NAME = "depacketizer"

FLOOR_TARGET = Target(must=2.5, aim=2.0)
"""Order, loss, bounds and everything in a frame may cost at most one and a half times the copying itself; aimed
at is to cost no more than the copying."""

AIORTC_TARGET = Target(must=4.5, aim=6.0)
"""The best-known pure Python receiver, with its own reorder buffer: several cameras on the processor that it takes
for one."""

_PAYLOAD = 12 + 4 + 28


def run(rounds: int, seconds: float, say: Callable[[str], None]) -> list[Row]:
    """Make the media, check every contender, time them."""
    rows: list[Row] = []
    for codec in (Codec.H264, Codec.H265):
        video = media.rtp(media.encode(codec, round(seconds * media.FPS)))
        say(str(video))
        contenders = ours(video), floor(video)
        expected = [list(units) for units in video.clip.nal_units]
        check(_nal_units_of(contenders[0]), expected)
        check(contenders[1], expected)
        peer = aiortc(video) if codec is Codec.H264 else "aiortc: it has no H.265"
        if isinstance(peer, Contender):
            # It ends a picture with the next one's first packet: the last stays inside.
            check(peer, [_annexb(units) for units in expected[:-1]])
        rows += compare(
            NAME,
            str(codec),
            *contenders,
            [(peer, AIORTC_TARGET)],
            floor_target=FLOOR_TARGET,
            items=video.packets,
            rounds=rounds,
        )
    return rows


def ours(video: media.Video) -> Contender:
    """The library's path, as for datagrams: the very first packets may be out of order."""

    def run(sink: Sink) -> None:
        demuxer = Demuxer(1, lambda: datetime.now(UTC), settle=True)
        push = demuxer.push_packet
        for number, packets in enumerate(video.pictures):
            now = number / media.FPS
            for packet in packets:
                push(packet, now)
            sink(demuxer.take())

    return Contender("nvrclient", run)


def _nal_units_of(contender: Contender) -> Contender:
    """Make a contender of frames one of NAL units as bytes; anything but a frame stays, and shows."""

    def run(sink: Sink) -> None:
        def unwrap(items: list[object]) -> None:
            sink(
                [
                    [nal.data for nal in item.nal_units] if isinstance(item, VideoFrame) else item
                    for item in items
                ]
            )

        contender.run(unwrap)

    return Contender(contender.name, run)


def floor(video: media.Video) -> Contender:
    """Slice and join only."""
    of = _floor_h264 if video.clip.codec is Codec.H264 else _floor_h265
    return Contender("slice and join", of(video))


def _floor_h264(video: media.Video) -> Callable[[Sink], None]:
    def run(sink: Sink) -> None:
        parts: list[bytes] = []
        for packets in video.pictures:
            units: list[bytes] = []
            for packet in packets:
                if packet[_PAYLOAD] & 0x1F != 28:
                    units.append(packet[_PAYLOAD:])
                    continue
                flags = packet[_PAYLOAD + 1]
                if flags & 0x80:
                    parts = [bytes((packet[_PAYLOAD] & 0xE0 | flags & 0x1F,))]
                parts.append(packet[_PAYLOAD + 2 :])
                if flags & 0x40:
                    units.append(b"".join(parts))
            sink([units])

    return run


def _floor_h265(video: media.Video) -> Callable[[Sink], None]:
    def run(sink: Sink) -> None:
        parts: list[bytes] = []
        for packets in video.pictures:
            units: list[bytes] = []
            for packet in packets:
                if packet[_PAYLOAD] >> 1 != 49:
                    units.append(packet[_PAYLOAD:])
                    continue
                flags = packet[_PAYLOAD + 2]
                if flags & 0x80:
                    parts = [bytes(((flags & 0x3F) << 1, packet[_PAYLOAD + 1]))]
                parts.append(packet[_PAYLOAD + 3 :])
                if flags & 0x40:
                    units.append(b"".join(parts))
            sink([units])

    return run


def aiortc(video: media.Video) -> Contender | str:
    """The peer, or why it is not there."""
    try:
        codecs = import_module("aiortc.codecs")
        rtp = import_module("aiortc.rtp")
        buffers = import_module("aiortc.jitterbuffer")
        parameters = import_module("aiortc.rtcrtpparameters")
    except ImportError as error:
        return f"aiortc: not installed ({error})"
    codec = parameters.RTCRtpCodecParameters(
        mimeType="video/H264", clockRate=90_000, payloadType=98
    )
    parse, depayload = rtp.RtpPacket.parse, codecs.depayload

    def run(sink: Sink) -> None:
        add = buffers.JitterBuffer(capacity=512, is_video=True).add
        for packets in video.pictures:
            given: list[bytes] = []
            for data in packets:
                packet = parse(data)
                packet._data = depayload(codec, packet.payload)
                _, frame = add(packet)
                if frame is not None:
                    given.append(frame.data)
            sink(given)

    return Contender("aiortc", run)


def _annexb(units: list[bytes]) -> bytes:
    return b"".join(b"\0\0\0\1" + unit for unit in units)
