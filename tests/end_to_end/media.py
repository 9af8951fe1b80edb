"""Judges of what arrived: the encoder's own bytes, and PyAV's decoders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import av
from av.codec.context import CodecContext
from av.video.frame import VideoFrame as Decoded

from nvrclient import AudioFrame, Codec, VideoFrame
from nvrclient.simulator import read_number

AV_NAMES = {Codec.H264: "h264", Codec.H265: "hevc", Codec.JPEG: "mjpeg"}


def split(annex_b: bytes) -> list[bytes]:
    """Return the NAL units of an access unit; each stands behind 00 00 00 01 or 00 00 01."""
    units: list[bytes] = []
    for piece in annex_b.split(b"\x00\x00\x01"):
        stripped = piece.rstrip(b"\x00")
        if stripped:
            units.append(stripped)
    return units


def nal_units(frames: Iterable[VideoFrame]) -> list[bytes]:
    """Return the NAL units of frames in order, without trailing zeros (Annex B cannot keep them)."""
    return [nal.data.rstrip(b"\x00") for frame in frames for nal in frame.nal_units]


def decode(codec: Codec, pictures: Sequence[bytes]) -> list[Decoded]:
    """Decode coded pictures one by one; raises where PyAV finds a fault."""
    context: Any = CodecContext.create(AV_NAMES[codec], "r")
    context.options = {"err_detect": "explode"}
    context.thread_count = 1
    decoded: list[Decoded] = []
    for data in pictures:
        decoded += context.decode(av.Packet(data))  # type: ignore[arg-type]
    decoded += context.decode(None)  # type: ignore[arg-type]
    return decoded


def numbers(codec: Codec, pictures: Sequence[bytes]) -> list[int]:
    """Return the number each decoded picture carries in its squares."""
    return [number_of(picture) for picture in decode(codec, pictures)]


def number_of(picture: Decoded) -> int:
    plane = picture.planes[0]
    return read_number(bytes(plane), picture.width, picture.height, plane.line_size)


def decode_aac(frames: Sequence[AudioFrame]) -> int:
    """Decode AAC with the configuration it came with; return the samples of one channel."""
    context: Any = CodecContext.create("aac", "r")
    context.extradata = frames[0].config
    context.options = {"err_detect": "explode"}
    samples = 0
    for frame in frames:
        for decoded in context.decode(av.Packet(frame.data)):  # type: ignore[arg-type]
            assert decoded.sample_rate == frame.sample_rate  # type: ignore[union-attr]
            assert decoded.layout.nb_channels == frame.channels  # type: ignore[union-attr]
            samples += decoded.samples  # type: ignore[union-attr]
    return samples
