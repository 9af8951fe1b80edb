"""Decoders: VideoFrame → Picture, AudioFrame → Pcm. The one place that knows PyAV.

::

    decoder = VideoDecoder()
    async for item in stream:
        if isinstance(item, Discontinuity):
            decoder.reset()
        elif isinstance(item, VideoFrame):
            for picture in await decoder.decode_async(item):
                ...

FFmpeg conceals damage unless told otherwise, and for H.265 and JPEG it does not even mark it. Here damage that it
notices is an error, so that what was not sent is not shown.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# PyAV's stubs leave the type arguments of Packet out.

from __future__ import annotations

import io
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import cast

from anyio import to_thread

from nvrclient.errors import NVRError, ProtocolError, UnsupportedMediaError
from nvrclient.frames import AudioFrame, Codec, VideoFrame

try:
    import av
    from av.error import FFmpegError, PatchWelcomeError
    from av.video.reformatter import ColorRange, Colorspace
except ImportError as error:
    raise ImportError("nvrclient.media needs PyAV: pip install 'nvrclient[media]'") from error

__all__ = ["AudioDecoder", "Pcm", "Picture", "VideoDecoder"]

_VIDEO_NAMES = {Codec.H264: "h264", Codec.H265: "hevc", Codec.JPEG: "mjpeg"}
_AUDIO_NAMES = {Codec.AAC: "aac", Codec.PCMU: "pcm_mulaw", Codec.PCMA: "pcm_alaw"}

_EXPLODE = {"err_detect": "explode"}
"""FFmpeg's word for: damage is an error."""

_HELD = 32
"""Coded frames remembered for pictures still to come; a decoder reorders at most 16 (H.264 and H.265, annex A)."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One decoded picture.

    | field | meaning |
    |---|---|
    | frame | the VideoFrame it was coded in |
    | av_frame | the picture as PyAV's ``VideoFrame``, for ``to_ndarray()``, filters or an encoder |
    | width, height | in pixels, after cropping |
    | camera, codec, pts, clock_rate, time, keyframe | the frame's |
    """

    frame: VideoFrame
    av_frame: av.VideoFrame = field(repr=False)

    @property
    def width(self) -> int:
        """Pixels in a row."""
        return self.av_frame.width

    @property
    def height(self) -> int:
        """Rows."""
        return self.av_frame.height

    @property
    def camera(self) -> int:
        """Camera number."""
        return self.frame.camera

    @property
    def codec(self) -> Codec:
        """What it was coded in."""
        return self.frame.codec

    @property
    def pts(self) -> int:
        """Presentation time in ticks of ``clock_rate``."""
        return self.frame.pts

    @property
    def clock_rate(self) -> int:
        """Ticks a second."""
        return self.frame.clock_rate

    @property
    def time(self) -> datetime | None:
        """When it was taken, by the recorder's clock; None where none is known."""
        return self.frame.time

    @property
    def keyframe(self) -> bool:
        """Whether it was coded as a key frame."""
        return self.frame.keyframe

    @property
    def luma(self) -> bytes:
        """The luma plane: ``stride`` bytes for each row from the top, as coded (video range: black 16, white 235)."""
        return bytes(self.av_frame.planes[0])

    @property
    def stride(self) -> int:
        """Bytes from one row of ``luma`` to the next; at least ``width``."""
        return self.av_frame.planes[0].line_size

    def to_jpeg(self, quality: int = 3) -> bytes:
        """Return the picture as a JPEG file (full range, BT.601, 4:2:0); some milliseconds of CPU.

        `quality`: FFmpeg's quantizer scale, 1 (best) to 31.
        """
        if not 1 <= quality <= 31:
            raise ValueError(f"quality: 1 (best) to 31, not {quality}")
        encoder = av.CodecContext.create("mjpeg", "w")
        encoder.width, encoder.height = self.width, self.height
        encoder.pix_fmt = "yuvj420p"
        encoder.color_range = ColorRange.JPEG
        encoder.time_base = Fraction(1, self.clock_rate)
        encoder.options = {"qmin": str(quality), "qmax": str(quality)}
        full = self._full_range()
        full.pts = 0
        packets = [*encoder.encode(full), *encoder.encode(None)]
        return b"".join([bytes(packet) for packet in packets])

    def _full_range(self) -> av.VideoFrame:
        """Convert to what JFIF means: full range and BT.601. A stream that names no matrix keeps its own."""
        named = self.av_frame.colorspace in set(Colorspace)
        return self.av_frame.reformat(
            format="yuvj420p",
            src_colorspace=self.av_frame.colorspace if named else None,
            dst_colorspace=Colorspace.ITU601 if named else None,
            dst_color_range=ColorRange.JPEG,
        )


class VideoDecoder:
    """Decodes the VideoFrames of one stream: H.264, H.265 and JPEG.

    No picture is held back, except where the stream itself reorders (B frames); `flush` gives those. Frames with
    ``shown=False`` are decoded and give no picture. It begins at a key frame: frames before the first, or between an
    error or `reset` and the next, give no picture and are counted in ``skipped``.

    `conceal`: True gives damaged pictures as well as FFmpeg can repair them, instead of raising.

    One call at a time, from any thread.
    """

    def __init__(self, *, conceal: bool = False) -> None:
        self.skipped = 0
        self._conceal = conceal
        self._codec: Codec | None = None
        self._context: av.VideoCodecContext | None = None
        self._waiting = True  # for a key frame
        self._count = 0
        self._held: dict[int, VideoFrame] = {}  # by the number given to the decoder as pts

    def decode(self, frame: VideoFrame) -> list[Picture]:
        """Decode one frame; return the pictures that are ready, usually the one. Milliseconds of CPU.

        Raises ProtocolError for data that is damaged, UnsupportedMediaError for what FFmpeg cannot decode. The
        decoder then goes on at the next key frame by itself.
        """
        if not isinstance(frame, VideoFrame):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"VideoDecoder: a VideoFrame, not {type(frame).__name__}")
        pictures: list[Picture] = []
        if frame.codec is not self._codec or self._context is None:
            pictures = self.flush()
            self._context = self._open(frame.codec)
            self._codec = frame.codec
        if self._waiting and not frame.keyframe:
            self.skipped += 1
            return pictures
        if not frame.data:  # to FFmpeg an empty packet is the end of the stream
            raise _empty(f"{frame.codec} picture", frame)
        self._waiting = False
        self._count += 1
        self._held[self._count] = frame
        try:
            return pictures + self._pictures(self._context, frame)
        except NVRError:
            self.reset()
            raise

    async def decode_async(self, frame: VideoFrame) -> list[Picture]:
        """As `decode`, in a worker thread: the event loop goes on meanwhile.

        Cancelling it waits for the picture in hand, which is then lost.
        """
        return await to_thread.run_sync(self.decode, frame)

    def flush(self) -> list[Picture]:
        """Return the pictures still held back; the next frame to give is a key frame. Raises as `decode`."""
        if self._context is None or self._waiting:
            return []
        try:
            return self._pictures(self._context, None)
        finally:
            self.reset()

    def reset(self) -> None:
        """Forget what came, except parameter sets: call it at a Discontinuity. The next frame is a key frame."""
        if self._context is not None and self._context.is_open:
            self._context.flush_buffers()
        self._held.clear()
        self._waiting = True

    def _open(self, codec: Codec) -> av.VideoCodecContext:
        context = cast("av.VideoCodecContext", _create(_VIDEO_NAMES, codec))
        context.thread_type = "NONE"  # frame threads hold pictures back
        context.thread_count = 1
        if not self._conceal:
            context.options = _EXPLODE
        return context

    def _pictures(self, context: av.VideoCodecContext, frame: VideoFrame | None) -> list[Picture]:
        """Give the context a frame, or None for the end, and take its pictures."""
        reading = f"{self._codec} picture"
        where = f"{reading}: {frame or 'the last ones'!r}"
        packet = None
        if frame is not None:
            packet = av.Packet(frame.data)
            packet.pts = packet.dts = self._count
        try:
            decoded = context.decode(packet)
        except FFmpegError as error:
            raise _failure(error, reading, where, frame.data if frame else b"") from None
        pictures: list[Picture] = []
        for av_frame in decoded:
            if av_frame.is_corrupt and not self._conceal:
                raise ProtocolError(
                    f"decoding {where}: damaged, or a picture it refers to is missing; decoding goes"
                    " on at the next key frame",
                    reading=reading,
                )
            coded = self._held.pop(av_frame.pts, None) if av_frame.pts is not None else None
            if coded is not None and coded.shown:
                pictures.append(Picture(coded, av_frame))
        # Old ones gave no picture: they refer to one before the start (RASL).
        for number in [number for number in self._held if number <= self._count - _HELD]:
            del self._held[number]
        return pictures


@dataclass(frozen=True, slots=True)
class Pcm:
    """Decoded audio: 16-bit signed samples in this computer's byte order, channels interleaved.

    ``pts`` (in samples at the frame's rate) and ``time`` are those of the AudioFrame.
    """

    data: bytes = field(repr=False)
    sample_rate: int
    channels: int
    pts: int
    time: datetime | None

    @property
    def samples(self) -> int:
        """Samples per channel."""
        return len(self.data) // (2 * self.channels)


class AudioDecoder:
    """Decodes the AudioFrames of one stream: AAC, G.711 (both laws) and G.726 at 32 kbit/s.

    One call at a time. A frame takes microseconds: no thread is needed.
    """

    def __init__(self) -> None:
        self._kind: tuple[Codec, bytes | None, int, int] | None = None
        self._context: av.AudioCodecContext | None = None
        self._resampler: av.AudioResampler | None = None

    def decode(self, frame: AudioFrame) -> Pcm:
        """Decode one frame. A change of codec, rate or channels is taken as it comes.

        Raises ProtocolError for data that is damaged, UnsupportedMediaError for what FFmpeg cannot decode.
        """
        if not isinstance(frame, AudioFrame):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"AudioDecoder: an AudioFrame, not {type(frame).__name__}")
        kind = (frame.codec, frame.config, frame.sample_rate, frame.channels)
        if self._context is None or kind != self._kind:
            self._context, self._kind, self._resampler = _open_audio(frame), kind, None
        reading = f"{frame.codec} audio"
        if not frame.data:  # to FFmpeg an empty packet is the end of the stream
            raise _empty(reading, frame)
        pieces: list[bytes] = []
        rate, channels = frame.sample_rate, frame.channels
        try:
            for decoded in self._context.decode(av.Packet(frame.data)):
                rate, channels = decoded.sample_rate, decoded.layout.nb_channels
                if self._resampler is None:
                    self._resampler = av.AudioResampler("s16", decoded.layout, rate)
                for plain in self._resampler.resample(decoded):
                    used = plain.samples * channels * 2  # the plane is padded for alignment
                    pieces.append(bytes(plain.planes[0])[:used])
        except FFmpegError as error:
            self.reset()
            raise _failure(error, reading, f"{reading}: {frame!r}", frame.data) from None
        if not pieces:
            raise _empty(reading, frame)
        return Pcm(b"".join(pieces), rate, channels, frame.pts, frame.time)

    def reset(self) -> None:
        """Forget what came: call it at a Discontinuity."""
        self._context = self._resampler = self._kind = None


def _open_audio(frame: AudioFrame) -> av.AudioCodecContext:
    if frame.codec is Codec.G726:
        # The bits per sample can only be told to the demuxer: a context made alone refuses to open. RFC 3551
        # (4.5.4) packs the low bits first, which FFmpeg calls g726le.
        silence = io.BytesIO(bytes(64))
        container = av.open(silence, "r", format="g726le", options={"code_size": "4"})
        return container.streams.audio[0].codec_context
    if frame.codec is Codec.AAC and not frame.config:
        raise UnsupportedMediaError(
            f"decoding AAC audio: {frame!r} has no AudioSpecificConfig, and cannot be decoded without"
        )
    context = cast("av.AudioCodecContext", _create(_AUDIO_NAMES, frame.codec))
    context.sample_rate = frame.sample_rate
    context.layout = "mono" if frame.channels == 1 else "stereo"
    context.options = _EXPLODE
    if frame.config:
        context.extradata = frame.config
    return context


def _create(names: dict[Codec, str], codec: Codec) -> av.CodecContext:
    try:
        return av.CodecContext.create(names[codec], "r")
    except (KeyError, ValueError):
        raise UnsupportedMediaError(
            f"{codec}: this decoder, or the FFmpeg that PyAV was built with, does not know it"
        ) from None


def _empty(reading: str, frame: VideoFrame | AudioFrame) -> ProtocolError:
    return ProtocolError(f"decoding {reading}: {frame!r} holds nothing to decode", reading=reading)


def _failure(error: FFmpegError, reading: str, where: str, head: bytes) -> NVRError:
    if isinstance(error, (PatchWelcomeError, NotImplementedError)):
        return UnsupportedMediaError(f"decoding {where}: FFmpeg cannot decode it: {error.strerror}")
    return ProtocolError(f"decoding {where}: {error.strerror}", reading=reading, head=head)
