"""What the tests know for themselves: an Annex B splitter, a slow reference depacketizer, and foreign senders.

None of it shares code with the client, and the splitter is the third of its kind here (client, simulator, tests).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import av
import pytest
from av.container import InputContainer

from nvrclient.frames import Codec

FFMPEG = "ffmpeg"
GSTREAMER = "gst-launch-1.0"


def split_stream(data: bytes) -> list[bytes]:
    """NAL units of an Annex B stream, by the grammar of annex B as a regular expression."""
    return [
        match[1].rstrip(b"\0")
        for match in re.finditer(rb"\x00\x00\x01(.*?)(?=\x00\x00\x01|\Z)", data, re.DOTALL)
    ]


# The reference depacketizer


@dataclass(frozen=True)
class Form:
    """How H.264 and H.265 differ in RTP."""

    codec: Codec
    header: int
    fu: int
    aggregate: int
    first_bad: int  # NAL unit types from here on are none in RTP
    type_mask: int

    def kind(self, data: bytes) -> int:
        return data[0] & 31 if self.codec is Codec.H264 else data[0] >> 1 & 63

    def is_unit(self, kind: int) -> bool:
        return (0 if self.codec is Codec.H265 else 1) <= kind < self.first_bad

    def rebuilt(self, data: bytes, kind: int) -> bytes:
        if self.codec is Codec.H264:
            return bytes([data[0] & 0b11100000 | kind])
        return bytes([data[0] & 0b10000001 | kind << 1, data[1]])


H264 = Form(Codec.H264, 1, 28, 24, 24, 31)
H265 = Form(Codec.H265, 2, 49, 48, 48, 63)


class Reference:
    """Row 49's table, one rule after the other, with a list of fragments and no thought of speed."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self.open: list[bytes] | None = None
        self.open_kind = -1

    def push(self, data: bytes) -> tuple[list[bytes], bool]:
        """The NAL units that a payload completes, and whether it is an error."""
        form = self.form
        if data == b"":
            return [], True
        if len(data) < form.header:
            return self.broken()
        if form.kind(data) == form.fu:
            return self.fragment(data)
        if self.open is not None:
            return self.broken()
        if form.kind(data) == form.aggregate:
            return self.aggregate(data[form.header :])
        return ([data], False) if form.is_unit(form.kind(data)) else ([], True)

    def broken(self) -> tuple[list[bytes], bool]:
        self.open = None
        return [], True

    def fragment(self, data: bytes) -> tuple[list[bytes], bool]:
        form = self.form
        if len(data) < form.header + 1:
            return self.broken()
        flags = data[form.header]
        kind, body = flags & form.type_mask, data[form.header + 1 :]
        error = False
        if flags & 0x80:
            error = self.open is not None
            self.open = None
            if not form.is_unit(kind):
                return [], True
            if error and flags & 0x40:
                return [], True
            self.open, self.open_kind = [form.rebuilt(data, kind), body], kind
        elif self.open is None or self.open_kind != kind:
            return self.broken()
        else:
            self.open.append(body)
        if flags & 0x40:
            unit = b"".join(self.open)
            self.open = None
            return [unit], error
        return [], error

    def aggregate(self, rest: bytes) -> tuple[list[bytes], bool]:
        units: list[bytes] = []
        while rest:
            size = int.from_bytes(rest[:2], "big")
            unit, whole = rest[2 : 2 + size], len(rest) >= 2 + size and len(rest) >= 2
            if not whole or size < self.form.header or not self.form.is_unit(self.form.kind(unit)):
                return [], True
            units.append(unit)
            rest = rest[2 + size :]
        return (units, False) if units else ([], True)


# Decoding


def decoded(codec: Codec, pictures: Iterable[bytes]) -> list[av.VideoFrame]:
    """Decode access units one by one with libavcodec; an error of the decoder fails."""
    context = av.CodecContext.create({Codec.H264: "h264", Codec.H265: "hevc"}[codec], "r")
    assert isinstance(context, av.VideoCodecContext)
    context.options = {"err_detect": "explode"}
    frames: list[av.VideoFrame] = []
    for picture in pictures:
        frames += context.decode(av.Packet(picture))
    return [*frames, *context.decode(None)]


def luma(frame: av.VideoFrame) -> bytes:
    plane = frame.planes[0]
    rows = bytes(plane)
    return b"".join(
        rows[y * plane.line_size : y * plane.line_size + frame.width] for y in range(frame.height)
    )


def decoded_file(path: Path) -> list[bytes]:
    """The luma of every picture of a file, decoded on its own."""
    with av.open(BytesIO(path.read_bytes()), "r", format=path.suffix[1:]) as container:
        assert isinstance(container, InputContainer)
        return [luma(frame) for frame in container.decode(video=0)]


# Foreign senders


def need(tool: str) -> None:
    """Skip without a tool; in CI every tool is there, and a missing one is a failure."""
    if shutil.which(tool) is None:
        reason = f"{tool} is not installed"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is gone when the block ends."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def completed(*command: str) -> None:
    done = subprocess.run(
        command, check=False, stdin=subprocess.DEVNULL, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
