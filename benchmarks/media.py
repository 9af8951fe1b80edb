"""The media of a run: real pictures, encoded once, and the packets and parts that a recorder makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from fractions import Fraction
from functools import cache
from random import Random

import av
from av.video.codeccontext import VideoCodecContext

from nvrclient import Codec
from nvrclient.simulator import Clip, Extension, Readings
from nvrclient.simulator.information import video_information
from nvrclient.simulator.packets import Packing
from nvrclient.simulator.parts import PartWriter, jpeg_body
from nvrclient.simulator.sources import Origin, PackedClip, VideoRtp

WIDTH, HEIGHT, FPS = 1920, 1080, 30
BIT_RATE = 8_000_000
NOISE = 8  # in steps of brightness: gives key frames of some 300 KB at this rate, as a street at dusk does
STARTED = 1_700_000_000.0  # the recorder's clock at the first picture

_GOP = f"keyint={2 * FPS}:min-keyint={2 * FPS}:scenecut=0:bframes=0:aud=1"
_ENCODERS = {
    Codec.H264: ("libx264", {"preset": "ultrafast", "x264-params": _GOP}),
    Codec.H265: (
        "libx265",
        {"preset": "ultrafast", "x265-params": f"{_GOP}:repeat-headers=1:log-level=error"},
    ),
    Codec.JPEG: ("mjpeg", {"qmin": "4", "qmax": "4"}),
}


@dataclass(frozen=True)
class Video:
    """A clip and its RTP packets, picture by picture.

    A packet is 12 bytes of header, 4 + 28 of recorder information as the header extension, and up to 1400 of
    payload.
    """

    clip: Clip
    pictures: list[list[bytes]]

    @property
    def packets(self) -> int:
        """How many packets there are."""
        return sum(map(len, self.pictures))

    def __str__(self) -> str:
        sizes = [len(unit) for unit in self.clip.units]
        rate = sum(sizes) * 8 * FPS / len(sizes) / 1e6
        return (
            f"{self.clip.codec} {WIDTH}x{HEIGHT}, {rate:.1f} Mbit/s: {len(sizes)} pictures, the largest of"
            f" {max(sizes) // 1000} KB, {self.packets} packets"
        )


@cache
def encode(codec: Codec, pictures: int, bit_rate: int = BIT_RATE) -> Clip:
    """Encode a moving test picture with noise, once a run."""
    graph = av.filter.Graph()
    steps = [
        graph.add("testsrc2", f"size={WIDTH}x{HEIGHT}:rate={FPS}"),
        graph.add("noise", f"alls={NOISE}:allf=t:all_seed=7"),
        graph.add("format", "yuvj420p" if codec is Codec.JPEG else "yuv420p"),
        graph.add("buffersink"),
    ]
    graph.link_nodes(*steps).configure()
    name, options = _ENCODERS[codec]
    encoder = av.CodecContext.create(name, "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.width, encoder.height = WIDTH, HEIGHT
    encoder.pix_fmt = "yuvj420p" if codec is Codec.JPEG else "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, FPS), Fraction(FPS)
    encoder.bit_rate = bit_rate
    encoder.options = options
    units: list[bytes] = []
    for number in range(pictures):
        frame = steps[-1].pull()
        assert isinstance(frame, av.VideoFrame)
        frame.pts, frame.time_base = number, Fraction(1, FPS)
        frame.pict_type = av.video.frame.PictureType.NONE  # the encoder decides, not the source
        units += map(bytes, encoder.encode(frame))
    units += map(bytes, encoder.encode(None))
    return Clip.video(codec, units, FPS, width=WIDTH, height=HEIGHT)


def rtp(clip: Clip) -> Video:
    """Pack a clip of H.264 or H.265 as the simulated recorder does."""
    readings = Readings(extension=Extension.EVERY_PACKET)
    origin = Origin(1, STARTED, UTC, summer_time=False, readings=readings, random=Random(1))
    source = VideoRtp(clip, PackedClip(clip, Packing()), origin)
    return Video(clip, [source.messages(number) for number in range(len(clip))])


def jpeg_parts(clip: Clip) -> list[bytes]:
    """Return the bodies of live JPEG parts."""
    information = video_information(1, STARTED)
    return [jpeg_body(unit, information) for unit in clip.units]


def multipart(content_type: str, bodies: list[bytes]) -> list[bytes]:
    """Write parts as the recorder does, and the closing delimiter that parsers of finite bodies wait for."""
    writer = PartWriter(content_type, Readings())
    return [*map(writer.part, bodies), b"--myboundary--\r\n"]
