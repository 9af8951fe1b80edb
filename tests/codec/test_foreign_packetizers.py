"""RTP made by others: ffmpeg and GStreamer, through a real socket, against the file that they sent.

What is compared is every NAL unit of the file but access unit delimiters, parameter sets and filler: packetizers drop, repeat or move
those (`IGNORED`). Zero bytes at the end of a NAL unit do not count: no NAL unit ends in one, and ffmpeg's parser leaves
the first byte of a start code 00 00 00 01 with the picture before it. The client alters nothing and hands it on.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nvrclient.codec.demuxer import Demuxer
from nvrclient.frames import Codec, Discontinuity, StreamItem, VideoFrame
from nvrclient.transport.udp import RtpReceiver
from tests.codec.foreign import (
    FFMPEG,
    GSTREAMER,
    completed,
    decoded,
    decoded_file,
    luma,
    need,
    running,
    split_stream,
)
from tests.rtp.stream import LONG

IGNORED = {Codec.H264: {7, 8, 9, 12}, Codec.H265: {32, 33, 34, 35, 38}}
"""NAL unit types that a packetizer may add, drop or repeat: parameter sets, delimiters, filler."""

PAYLOAD_TYPES = {Codec.H264: 98, Codec.H265: 101}

ENCODERS = {
    "h264": (Codec.H264, ["libx264", "-x264-params", "keyint=10:scenecut=0:bframes=0:aud=1"]),
    "h264-slices": (
        Codec.H264,
        ["libx264", "-x264-params", "keyint=10:scenecut=0:bframes=0:slices=4:sliced-threads=0"],
    ),
    "h265": (
        Codec.H265,
        ["libx265", "-x265-params", "keyint=10:scenecut=0:bframes=0:aud=1:log-level=error"],
    ),
    "h265-slices": (
        Codec.H265,
        ["libx265", "-x265-params", "keyint=10:bframes=0:slices=3:log-level=error"],
    ),
}
PICTURES = 30


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Files of three GOPs, with noise, so that key frames take many packets."""
    folder = tmp_path_factory.mktemp("foreign")

    def file(name: str) -> Path:
        need(FFMPEG)
        codec, encoder = ENCODERS[name]
        made = folder / f"{name}.{'h264' if codec is Codec.H264 else 'hevc'}"
        if not made.exists():
            completed(
                *(FFMPEG, "-v", "error", "-f", "lavfi"),
                *("-i", "testsrc2=size=320x176:rate=30,noise=alls=20:allf=t"),
                *("-frames:v", str(PICTURES), "-pix_fmt", "yuv420p", "-c:v", *encoder, str(made)),
            )
        return made

    return file


class Hearing:
    """A receiver on a free port, and a demuxer behind it."""

    def __init__(self, peer: str = "127.0.0.1") -> None:
        self.demuxer = Demuxer(1, lambda: datetime.now(UTC), settle=True)
        self.items: list[StreamItem] = []
        self.loop = asyncio.get_running_loop()
        self.heard_at: float | None = None
        self.receiver = RtpReceiver(peer, self.take, self.taken)

    def take(self, data: bytes) -> None:
        self.demuxer.push_packet(data, self.loop.time())

    def taken(self) -> None:
        self.heard_at = self.loop.time()
        self.items += self.demuxer.take()

    async def until_silent(self, gone: Callable[[], bool]) -> None:
        """Wait until the sender is gone and 0.3 s have passed without a packet."""
        async with asyncio.timeout(40):
            while True:
                await asyncio.sleep(0.02)
                self.demuxer.flush(self.loop.time())
                self.items += self.demuxer.take()
                last = self.heard_at
                if gone() and (last is None or self.loop.time() - last > 0.3):
                    return

    @property
    def frames(self) -> list[VideoFrame]:
        return [item for item in self.items if isinstance(item, VideoFrame)]


async def heard(command: Callable[[int], list[str]]) -> Hearing:
    hearing = Hearing()
    await hearing.receiver.open("127.0.0.1", None)
    try:
        with running(*command(hearing.receiver.port)) as process:
            await hearing.until_silent(lambda: process.poll() is not None)
            output = process.stdout.read().decode(errors="replace") if process.stdout else ""
            assert process.returncode == 0, output[-2000:]
    finally:
        hearing.receiver.close()
        await asyncio.sleep(0)
    return hearing


def judge(hearing: Hearing, file: Path, codec: Codec, *, pictures: int = PICTURES) -> None:
    assert hearing.receiver.kernel_dropped in {0, None}
    counters = hearing.demuxer.counters()
    assert (counters.lost, counters.malformed, counters.dropped) == (0, 0, {})
    assert not [item for item in hearing.items if isinstance(item, Discontinuity)]
    frames = hearing.frames
    assert len(frames) == pictures

    def counted(nals: list[bytes]) -> list[bytes]:
        def kind(nal: bytes) -> int:
            return nal[0] & 31 if codec is Codec.H264 else nal[0] >> 1 & 63

        return [nal.rstrip(b"\0") for nal in nals if kind(nal) not in IGNORED[codec]]

    sent = split_stream(file.read_bytes())
    received = [nal.data for frame in frames for nal in frame.nal_units]
    assert counted(received) == counted(sent)
    assert {frame.codec for frame in frames} == {codec}
    assert [n for n, frame in enumerate(frames) if frame.keyframe] == list(range(0, pictures, 10))
    assert all(a.pts < b.pts for a, b in zip(frames, frames[1:], strict=False))
    # Parameter sets may be repeated, never changed.
    sets = {nal.data for frame in frames for nal in frame.nal_units if nal.is_parameter_set}
    assert sets <= set(sent)
    shown = decoded(codec, [frame.data for frame in frames])
    assert [luma(frame) for frame in shown] == decoded_file(file)
    told = hearing.demuxer.video.format
    assert told is not None
    assert (told.width, told.height) == (320, 176)


@pytest.mark.parametrize("size", [1316, 300] if LONG else [700])
@pytest.mark.parametrize("name", ENCODERS)
async def test_ffmpeg(name: str, size: int, encoded: Callable[[str], Path]) -> None:
    """FU-A, single NAL units, and STAP-A or AP for the small ones."""
    codec, _ = ENCODERS[name]
    file = encoded(name)

    def command(port: int) -> list[str]:
        return [
            *(FFMPEG, "-v", "error", "-readrate", "8", "-r", "30", "-f"),
            *("h264" if codec is Codec.H264 else "hevc", "-i", str(file), "-c", "copy"),
            *("-f", "rtp", "-payload_type", str(PAYLOAD_TYPES[codec])),
            *("-sdp_file", str(file.with_suffix(".sdp"))),
            f"rtp://127.0.0.1:{port}?pkt_size={size}&rtcpport={spare_port()}",
        ]

    hearing = await heard(command)
    judge(hearing, file, codec)


def spare_port() -> int:
    """A port that nobody hears: for RTCP, which a recorder never sends."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


async def test_ffmpeg_rtcp_on_the_same_port_is_ignored(encoded: Callable[[str], Path]) -> None:
    file = encoded("h264")

    def command(port: int) -> list[str]:
        return [
            *(FFMPEG, "-v", "error", "-readrate", "8", "-r", "30", "-f", "h264", "-i", str(file)),
            *("-c", "copy", "-f", "rtp", "-payload_type", "98"),
            *("-sdp_file", str(file.with_suffix(".sdp"))),
            f"rtp://127.0.0.1:{port}?pkt_size=1200&rtcpport={port}",
        ]

    hearing = await heard(command)
    ignored = hearing.demuxer.counters().ignored
    assert set(ignored) == {"RTCP"}
    assert [frame.keyframe for frame in hearing.frames].count(True) == 3
    assert len(hearing.frames) == PICTURES


@pytest.mark.parametrize("aggregate", [0, 1, 2] if LONG else [1, 2])
@pytest.mark.parametrize("name", ENCODERS)
async def test_gstreamer(name: str, aggregate: int, encoded: Callable[[str], Path]) -> None:
    """None, what comes without delay, or all of a picture aggregated; parameter sets with every key frame."""
    need(GSTREAMER)
    codec, _ = ENCODERS[name]
    file = encoded(name)
    short = "h264" if codec is Codec.H264 else "h265"
    movie = file.with_suffix(".mp4")  # for the time stamps, which a byte stream has not
    if not movie.exists():
        completed(
            *(FFMPEG, "-v", "error", "-r", "60", "-f", "h264" if codec is Codec.H264 else "hevc"),
            *("-i", str(file), "-c", "copy", str(movie)),
        )

    def command(port: int) -> list[str]:
        pipeline = (
            f"filesrc location={movie} ! qtdemux ! {short}parse"
            f" ! rtp{short}pay aggregate-mode={aggregate} config-interval=-1 mtu=1000"
            f" pt={PAYLOAD_TYPES[codec]} ! udpsink host=127.0.0.1 port={port} sync=true"
        )
        return [GSTREAMER, "-q", *pipeline.split()]

    hearing = await heard(command)
    judge(hearing, file, codec)


async def test_several_senders_one_after_the_other(encoded: Callable[[str], Path]) -> None:
    """Row 30 with real senders: each process is an SSRC of its own; the codec changes with the third."""
    hearing = Hearing()
    await hearing.receiver.open("127.0.0.1", None)
    try:
        for name in ("h264", "h264-slices", "h265"):
            file = encoded(name)
            codec, _ = ENCODERS[name]
            with running(
                *(FFMPEG, "-v", "error", "-readrate", "8", "-r", "30", "-f"),
                *("h264" if codec is Codec.H264 else "hevc", "-i", str(file), "-c", "copy"),
                *("-f", "rtp", "-payload_type", str(PAYLOAD_TYPES[codec])),
                *("-sdp_file", str(file.with_suffix(".sdp"))),
                f"rtp://127.0.0.1:{hearing.receiver.port}?rtcpport={spare_port()}",
            ) as process:
                await hearing.until_silent(lambda gone=process: gone.poll() is not None)  # type: ignore[misc]
    finally:
        hearing.receiver.close()
        await asyncio.sleep(0)
    assert len(hearing.frames) == 3 * PICTURES
    reasons = [item.reason for item in hearing.items if isinstance(item, Discontinuity)]
    # The first two have the same parameter sets. Some time passes from one process to the next: it may be told.
    assert [reason for reason in reasons if reason != "loss"] == ["format"]
    assert hearing.demuxer.counters().ssrc_changes == 2
    assert hearing.demuxer.counters().lost == 0


async def test_a_stranger_on_the_port_is_not_heard(encoded: Callable[[str], Path]) -> None:
    """Row 31: datagrams from another address, while a real stream runs."""
    file = encoded("h264")
    stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        with suppress(OSError):
            stranger.bind(("127.0.0.2", 0))

        def command(port: int) -> list[str]:
            for _ in range(50):
                stranger.sendto(b"\x80\x62" + bytes(40), ("127.0.0.1", port))
            return [
                *(FFMPEG, "-v", "error", "-readrate", "8", "-r", "30", "-f", "h264"),
                *("-i", str(file), "-c", "copy", "-f", "rtp", "-payload_type", "98"),
                *("-sdp_file", str(file.with_suffix(".sdp"))),
                f"rtp://127.0.0.1:{port}?rtcpport={spare_port()}",
            ]

        hearing = await heard(command)
    finally:
        stranger.close()
    assert hearing.receiver.foreign == 50
    judge(hearing, file, Codec.H264)
