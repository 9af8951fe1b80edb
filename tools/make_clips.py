"""Make the simulated recorder's clips with real encoders (needs PyAV; takes about a minute).

``python tools/make_clips.py`` writes every clip and ``index.json`` into the package;
``python tools/make_clips.py --hd FOLDER`` writes one heavy clip (1280x720, 25 pictures a second, more
than 2 Mbit/s), too large for the package, for tests of speed.

One thread and fixed seeds: the same libraries make the same bytes.
"""
# ruff: noqa: INP001 - a script, not a package

from __future__ import annotations

import argparse
import json
import math
import random
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av

from nvrclient.simulator.squares import cell_size, cells

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(__file__).parent.parent / "nvrclient" / "simulator" / "clips"
SECONDS = 10
SAMPLES = 320  # 40 ms of G.711 or G.726: one packet


@dataclass(frozen=True)
class VideoRecipe:
    """A clip of pictures: what is drawn and how it is encoded."""

    name: str
    codec: str
    encoder: str
    options: dict[str, str]
    fps: int = 15
    width: int = 640
    height: int = 360
    pictures: int = 150
    noisy: range = field(default=range(0))
    speed: float = 0.004
    pixels: str = "yuv420p"
    suffix: str = "bin"


@dataclass(frozen=True)
class AudioRecipe:
    """A clip of tones."""

    name: str
    codec: str
    encoder: str
    sample_rate: int
    channels: int
    bit_rate: int | None = None


def x264(crf: int, gop: int, **more: str) -> dict[str, str]:
    """Options of libx264: no B-frames, AUD at every picture, SEI (HRD) at key frames, sets at key frames only."""
    params = (
        f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes=0:threads=1:aud=1:nal-hrd=vbr"
        ":vbv-maxrate=20000:vbv-bufsize=20000"
    )
    return {"preset": "slow", "crf": str(crf), "x264-params": params, **more}


def x265(crf: int, gop: int, more: str = "bframes=0:open-gop=0") -> dict[str, str]:
    """Options of libx265, to the same effect; ``more`` decides on B-frames and slices."""
    params = (
        f"keyint={gop}:min-keyint={gop}:scenecut=0:aud=1:repeat-headers=1:info=0:hrd=1"
        f":vbv-maxrate=20000:vbv-bufsize=20000:pools=1:frame-threads=1:log-level=error:{more}"
    )
    return {"preset": "medium", "crf": str(crf), "x265-params": params}


VIDEO = (
    VideoRecipe("h264", "H264", "libx264", x264(15, 30)),
    VideoRecipe(
        "h264_large",
        "H264",
        "libx264",
        x264(24, 13),
        fps=5,
        width=1280,
        height=720,
        pictures=52,
        noisy=range(13),
        speed=0.00001,
    ),
    VideoRecipe("h265", "H265", "libx265", x265(17, 30)),
    VideoRecipe(
        "h265_slices", "H265", "libx265", x265(17, 30, "bframes=0:open-gop=0:slices=4:ctu=32")
    ),
    VideoRecipe("h265_cra", "H265", "libx265", x265(18, 32, "bframes=3:b-adapt=0:open-gop=1")),
    VideoRecipe(
        "jpeg",
        "JPEG",
        "mjpeg",
        {"qmin": "6", "qmax": "6"},
        fps=5,
        pictures=50,
        pixels="yuvj420p",
    ),
)
HD = VideoRecipe(
    "h264_hd",
    "H264",
    "libx264",
    x264(23, 40),
    fps=25,
    width=1280,
    height=720,
    pictures=250,
    noisy=range(250),
    speed=0.00001,
)
AUDIO = (
    *(
        AudioRecipe(f"aac_{rate // 1000}k_{name}", "AAC", "aac", rate, channels, bit_rate)
        for rate, bit_rate in ((48000, 32000), (32000, 24000), (16000, 20000))
        for name, channels in (("mono", 1), ("stereo", 2))
    ),
    AudioRecipe("pcmu", "PCMU", "pcm_mulaw", 8000, 1),
    AudioRecipe("pcma", "PCMA", "pcm_alaw", 8000, 1),
    # g726le packs the first sample into the low bits: the order of RFC 3551 section 4.5.4.
    AudioRecipe("g726", "G726", "g726le", 8000, 1, 32000),
)


class Plane:
    """One plane of a picture being drawn."""

    def __init__(self, plane: Any) -> None:
        self.plane, self.pixels = plane, bytearray(bytes(plane))
        self.width, self.height, self.stride = plane.width, plane.height, plane.line_size

    def fill(self, x: int, y: int, width: int, height: int, value: int) -> None:
        """Draw a rectangle, cut at the borders."""
        left, right = max(x, 0), min(x + width, self.width)
        if left < right:
            for row in range(max(y, 0), min(y + height, self.height)):
                start = row * self.stride
                self.pixels[start + left : start + right] = bytes([value]) * (right - left)

    def disc(self, x: int, y: int, radius: int, value: int) -> None:
        """Draw a filled circle."""
        for dy in range(-radius, radius + 1):
            half = math.isqrt(radius * radius - dy * dy)
            self.fill(x - half, y + dy, 2 * half + 1, 1, value)

    def noise(self, strength: int, rng: random.Random) -> None:
        """Add noise of up to ±strength to every pixel."""
        grain = rng.randbytes(len(self.pixels))
        span = 2 * strength + 1
        self.pixels = bytearray(
            max(16, min(235, pixel + noise % span - strength))
            for pixel, noise in zip(self.pixels, grain, strict=True)
        )

    def update(self) -> None:
        """Write what was drawn back into the picture."""
        self.plane.update(bytes(self.pixels))


def background(recipe: VideoRecipe) -> Iterator[av.VideoFrame]:
    """Yield a slowly turning gradient, from ffmpeg's own source."""
    graph = av.filter.Graph()
    source = graph.add(
        "gradients",
        f"size={recipe.width}x{recipe.height}:rate={recipe.fps}:seed=7:nb_colors=4:speed={recipe.speed}"
        ":c0=0x14304a:c1=0x2a6f7f:c2=0xd98e4a:c3=0x5a2f54",
    )
    last = graph.add("format", recipe.pixels)
    sink = graph.add("buffersink")
    source.link_to(last)
    last.link_to(sink)
    graph.configure()
    for _ in range(recipe.pictures):
        frame = sink.pull()
        assert isinstance(frame, av.VideoFrame)
        yield frame


def pictures(recipe: VideoRecipe) -> Iterator[av.VideoFrame]:
    """Draw the pictures: gradient, a sun that rises and sets, three planets, and the number in squares."""
    size, width, height = cell_size(recipe.width), recipe.width, recipe.height
    for number, frame in enumerate(background(recipe)):
        planes = [Plane(plane) for plane in frame.planes]
        angle = 2 * math.pi * number / recipe.pictures
        shapes = [(width // 2, height * 5 // 9, height // 7, (235, 80, 160))]
        for turns, distance, colour in (
            (1, 3.4, (90, 180, 90)),
            (2, 2.6, (160, 90, 190)),
            (3, 2.0, (200, 128, 60)),
        ):
            x = width / 2 + width / distance * math.cos(turns * angle) * 0.85
            y = height * 5 / 9 + height / distance * math.sin(turns * angle) * 0.62
            shapes.append((round(x), round(y), height // 22, colour))
        for x, y, radius, colour in shapes:
            planes[0].disc(x, y, radius, colour[0])
            for plane, value in zip(planes[1:], colour[1:], strict=True):
                plane.disc(x // 2, y // 2, radius // 2, value)
        if number in recipe.noisy:
            planes[0].noise(14, random.Random(1))  # noqa: S311
        planes[0].fill(0, 0, size * len(cells(number)), size, 16)
        for index, cell in enumerate(cells(number)):
            planes[0].fill(index * size, 0, size, size, 235 if cell else 16)
        for plane in planes[1:]:
            plane.fill(0, 0, size * len(cells(number)) // 2, size // 2, 128)
        for plane in planes:
            plane.update()
        frame.pts, frame.time_base = number, Fraction(1, recipe.fps)
        frame.pict_type = av.video.frame.PictureType.NONE  # the encoder decides, not the source
        yield frame


def encode_video(recipe: VideoRecipe) -> list[Any]:
    """Encode a recipe's pictures: one packet is one access unit in Annex B, or one JPEG."""
    context: Any = av.CodecContext.create(recipe.encoder, "w")
    context.width, context.height, context.pix_fmt = recipe.width, recipe.height, recipe.pixels
    context.time_base, context.framerate = Fraction(1, recipe.fps), Fraction(recipe.fps)
    context.thread_count = 1
    context.options = recipe.options
    packets: list[Any] = []
    for frame in pictures(recipe):
        packets += context.encode(frame)
    return [*packets, *context.encode(None)]


def tones(recipe: AudioRecipe, samples: int) -> Iterator[av.AudioFrame]:
    """Play a melody of decaying tones; the right channel plays it a fifth higher."""
    total = SECONDS * recipe.sample_rate // samples + 1
    for block in range(total):
        data = bytearray()
        for index in range(block * samples, (block + 1) * samples):
            seconds = index / recipe.sample_rate
            pitch = 220.0 * 2 ** ((0, 4, 7, 12, 7, 4)[int(seconds * 2) % 6] / 12)
            level = 9000 * math.exp(-3.0 * (seconds * 2 % 1))
            for channel in range(recipe.channels):
                value = level * math.sin(2 * math.pi * pitch * (1.5 if channel else 1.0) * seconds)
                data += round(value).to_bytes(2, "little", signed=True)
        frame = av.AudioFrame(
            format="s16", layout="stereo" if recipe.channels == 2 else "mono", samples=samples
        )
        frame.planes[0].update(bytes(data))
        frame.sample_rate, frame.pts = recipe.sample_rate, block * samples
        yield frame


def encode_audio(recipe: AudioRecipe) -> list[bytes]:
    """Encode tones: one packet is one raw AAC frame (no ADTS), or the samples of 40 ms."""
    context: Any = av.CodecContext.create(recipe.encoder, "w")
    context.sample_rate = recipe.sample_rate
    context.layout = "stereo" if recipe.channels == 2 else "mono"
    context.format = "fltp" if recipe.codec == "AAC" else "s16"
    if recipe.bit_rate:
        context.bit_rate = recipe.bit_rate * recipe.channels
    context.open()
    resampler = av.AudioResampler(
        format=context.format, layout=context.layout, rate=recipe.sample_rate
    )
    packets: list[Any] = []
    for frame in tones(recipe, 1024 if recipe.codec == "AAC" else SAMPLES):
        for piece in resampler.resample(frame):
            packets += context.encode(piece)
    frames = [bytes(packet) for packet in packets + context.encode(None)]
    if recipe.codec != "G726":
        return frames
    joined, size = b"".join(frames), SAMPLES // 2  # the encoder's packets are of its own length
    return [joined[start : start + size] for start in range(0, len(joined) - size + 1, size)]


def placeholder() -> bytes:
    """Encode the 39x37 picture of about 700 bytes that stands for 'this camera has no JPEG'."""
    context: Any = av.CodecContext.create("mjpeg", "w")
    context.width, context.height, context.pix_fmt = 39, 37, "yuvj420p"
    context.time_base = Fraction(1, 5)
    frame = av.VideoFrame(39, 37, "yuvj420p")
    for plane, value in zip(frame.planes, (96, 128, 128), strict=True):
        drawn = Plane(plane)
        drawn.fill(0, 0, 39, 37, value)
        if value == 96:
            drawn.disc(19, 18, 3, 160)
        drawn.update()
    return b"".join(bytes(packet) for packet in context.encode(frame) + context.encode(None))


def write_video(recipe: VideoRecipe, folder: Path) -> dict[str, object]:
    """Encode and write one clip of pictures; returns its entry of the index."""
    packets = encode_video(recipe)
    name = f"{recipe.name}.{recipe.codec.lower()}"
    (folder / name).write_bytes(b"".join(bytes(packet) for packet in packets))
    return {
        "file": name,
        "codec": recipe.codec,
        "fps": recipe.fps,
        "width": recipe.width,
        "height": recipe.height,
        "keyframes": [index for index, packet in enumerate(packets) if packet.is_keyframe],
        "sizes": [packet.size for packet in packets],
    }


def write_audio(recipe: AudioRecipe, folder: Path) -> dict[str, object]:
    """Encode and write one clip of sound; returns its entry of the index."""
    frames = encode_audio(recipe)
    name = f"{recipe.name}.{recipe.codec.lower()}"
    (folder / name).write_bytes(b"".join(frames))
    return {
        "file": name,
        "codec": recipe.codec,
        "sample_rate": recipe.sample_rate,
        "channels": recipe.channels,
        "sizes": [len(frame) for frame in frames],
    }


def write_index(index: dict[str, dict[str, object]], folder: Path) -> None:
    """Write the index, one clip a line."""
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in index.items())
    (folder / "index.json").write_text(f"{{\n{lines}\n}}\n", encoding="ascii")


def main() -> None:
    """Make the clips."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hd", type=Path, metavar="FOLDER", help="make only the heavy clip, there")
    hd: Path | None = parser.parse_args().hd
    folder = hd or PACKAGE
    folder.mkdir(parents=True, exist_ok=True)
    index = {recipe.name: write_video(recipe, folder) for recipe in ((HD,) if hd else VIDEO)}
    if not hd:
        index |= {recipe.name: write_audio(recipe, folder) for recipe in AUDIO}
        picture = placeholder()
        (folder / "placeholder.jpeg").write_bytes(picture)
        index["placeholder"] = {
            "file": "placeholder.jpeg",
            "codec": "JPEG",
            "fps": 5,
            "width": 39,
            "height": 37,
            "keyframes": [0],
            "sizes": [len(picture)],
        }
    write_index(index, folder)


if __name__ == "__main__":
    main()
