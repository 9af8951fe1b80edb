"""What the simulator's clips hold comes out of the decoders: every picture, in order, and every sample."""

from __future__ import annotations

import asyncio
import builtins
import importlib
import io
import random
import struct
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from math import pi, sin
from typing import Any, cast

import av
import pytest

import nvrclient.media.decode
from nvrclient.errors import ProtocolError, UnsupportedMediaError
from nvrclient.frames import AudioFrame, Codec, NalUnit, RecorderInfo, VideoFrame
from nvrclient.media import AudioDecoder, Picture, VideoDecoder
from nvrclient.simulator import Clip, read_number, split_annex_b

PICTURES = ("h264", "h264_large", "h265", "h265_slices", "h265_cra", "jpeg")
IN_ORDER = tuple(name for name in PICTURES if name != "h265_cra")
SOUNDS = tuple(name for name in Clip.names() if not Clip.load(name).codec.is_video)
START = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)

# ISO 14496-3 table 1.18.
RATE_INDEX = {48000: 3, 32000: 5, 16000: 8}


def frame(clip: Clip, index: int, data: bytes | None = None, *, shown: bool = True) -> VideoFrame:
    data = clip.units[index] if data is None else data
    jpeg = clip.codec is Codec.JPEG
    nals = () if jpeg else tuple(NalUnit(nal, clip.codec, 0, 0) for nal in split_annex_b(data))
    return VideoFrame(
        camera=1,
        codec=clip.codec,
        nal_units=nals,
        keyframe=index in clip.keyframes,
        shown=shown,
        pts=round(index * 90000 / clip.fps),
        clock_rate=90000,
        time=START + timedelta(seconds=index / clip.fps),
        received_at=0.0,
        lost=0,
        info=RecorderInfo(),
        jpeg=data if jpeg else b"",
    )


def frames(clip: Clip) -> list[VideoFrame]:
    return [frame(clip, index) for index in range(len(clip))]


def number(picture: Picture) -> int:
    return read_number(picture.luma, picture.width, picture.height, picture.stride)


def opened_again(jpeg: bytes) -> av.VideoFrame:
    with av.open(io.BytesIO(jpeg), "r", format="mjpeg") as container:
        [picture] = container.decode(video=0)
    return picture


def audio_frames(clip: Clip) -> list[AudioFrame]:
    config = None
    if clip.codec is Codec.AAC:
        bits = 2 << 11 | RATE_INDEX[clip.sample_rate] << 7 | clip.channels << 3
        config = bits.to_bytes(2, "big")
    return [
        AudioFrame(
            camera=1,
            codec=clip.codec,
            data=unit,
            config=config,
            pts=index * clip.samples_per_unit,
            sample_rate=clip.sample_rate,
            channels=clip.channels,
            time=START,
            received_at=0.0,
            lost=0,
        )
        for index, unit in enumerate(clip.units)
    ]


# Pictures


@pytest.mark.parametrize("name", IN_ORDER)
def test_one_frame_in_one_picture_out(name: str) -> None:
    clip = Clip.load(name)
    decoder = VideoDecoder()
    for index, coded in enumerate(frames(clip)):
        [picture] = decoder.decode(coded)
        assert number(picture) == index
        assert (picture.width, picture.height) == (clip.width, clip.height)
        assert picture.stride >= picture.width
        assert picture.frame is coded
        assert (picture.pts, picture.clock_rate, picture.time) == (coded.pts, 90000, coded.time)
        assert picture.keyframe == coded.keyframe
        assert (picture.camera, picture.codec) == (1, clip.codec)
    assert decoder.flush() == []
    assert decoder.skipped == 0


def test_reordered_pictures_come_in_order_of_showing() -> None:
    clip = Clip.load("h265_cra")
    decoder = VideoDecoder()
    pictures = [picture for coded in frames(clip) for picture in decoder.decode(coded)]
    held = decoder.flush()
    assert 0 < len(held) <= 4
    assert [number(picture) for picture in pictures + held] == list(range(len(clip)))
    assert {picture.pts for picture in pictures + held} == {coded.pts for coded in frames(clip)}


def test_leading_pictures_of_an_open_gop_are_left_out() -> None:
    clip = Clip.load("h265_cra")
    cra = sorted(clip.keyframes)[1]
    decoder = VideoDecoder()
    pictures = [picture for coded in frames(clip)[cra:] for picture in decoder.decode(coded)]
    numbers = [number(picture) for picture in pictures + decoder.flush()]
    assert numbers == list(range(numbers[0], len(clip)))
    assert cra <= numbers[0] <= cra + 8


def test_hidden_frames_are_decoded_and_not_shown() -> None:
    clip = Clip.load("h264")
    decoder = VideoDecoder()
    assert decoder.decode(frame(clip, 0, shown=False)) == []
    [picture] = decoder.decode(frame(clip, 1))
    assert number(picture) == 1


def test_it_waits_for_a_key_frame() -> None:
    clip = Clip.load("h264")
    decoder = VideoDecoder()
    assert decoder.decode(frame(clip, 28)) == decoder.decode(frame(clip, 29)) == []
    assert decoder.skipped == 2
    [picture] = decoder.decode(frame(clip, 30))
    assert number(picture) == 30


@pytest.mark.parametrize("name", ["h264", "h265"])
def test_a_reset_keeps_the_parameter_sets(name: str) -> None:
    # After a loss the key frame's sets may be the ones given before.
    clip = Clip.load(name)
    decoder = VideoDecoder()
    decoder.reset()  # of a decoder that has not begun
    decoder.decode(frame(clip, 0))
    decoder.reset()
    assert decoder.decode(frame(clip, 29)) == []
    bare = b"".join(
        b"\0\0\0\1" + nal
        for nal in clip.nal_units[30]
        if (nal[0] & 31 not in {7, 8} if name == "h264" else nal[0] >> 1 & 63 not in {32, 33, 34})
    )
    assert len(bare) < len(clip.units[30])
    [picture] = decoder.decode(frame(clip, 30, bare))
    assert number(picture) == 30


def test_the_codec_may_change() -> None:
    decoder = VideoDecoder()
    cra, jpeg, h264 = (Clip.load(name) for name in ("h265_cra", "jpeg", "h264"))
    first = [picture for coded in frames(cra)[:9] for picture in decoder.decode(coded)]
    *late, picture = decoder.decode(frame(jpeg, 3))
    assert [number(one) for one in first + late] == list(range(9))
    assert number(picture) == 3
    assert [number(one) for one in decoder.decode(frame(h264, 0))] == [0]


@pytest.mark.parametrize("name", ["h264", "h265", "h265_slices", "jpeg"])
def test_damage_is_an_error_and_the_next_key_frame_is_not(name: str) -> None:
    clip = Clip.load(name)
    keyframe = min(clip.keyframes - {0})
    pieces = [b""]
    if clip.codec is not Codec.H265:  # FFmpeg does not always notice a cut picture of H.265
        pieces.append(clip.units[1][: len(clip.units[1]) // 2])
    begins = clip.units[1][:4] if clip.codec is Codec.JPEG else clip.nal_units[1][-1][:2]
    noise = b"\0\0\0\1" * (clip.codec is not Codec.JPEG) + begins
    noise += random.Random(7).randbytes(400).replace(b"\0", b"\1")
    for data in (*pieces, noise):
        decoder = VideoDecoder()
        decoder.decode(frame(clip, 0))
        with pytest.raises(ProtocolError, match=f"{clip.codec} picture") as caught:
            decoder.decode(frame(clip, 1, data))
        assert caught.value.reading == f"{clip.codec} picture"
        if clip.codec is not Codec.JPEG and data:
            assert decoder.decode(frame(clip, 2)) == []
            assert decoder.skipped == 1
        [picture] = decoder.decode(frame(clip, keyframe))
        assert number(picture) == keyframe


@pytest.mark.skipif(
    av.library_versions["libavcodec"] < (62,), reason="FFmpeg 8 was the first to notice"
)
def test_a_missing_reference_is_an_error() -> None:
    clip = Clip.load("h265")
    decoder = VideoDecoder()
    decoder.decode(frame(clip, 0))
    with pytest.raises(ProtocolError, match="H265 picture"):
        decoder.decode(frame(clip, 5))


def test_damage_is_concealed_where_asked_for() -> None:
    clip = Clip.load("h264")
    decoder = VideoDecoder(conceal=True)
    decoder.decode(frame(clip, 0))
    [picture] = decoder.decode(frame(clip, 1, clip.units[1][:400]))
    assert picture.pts == 6000


def test_only_video_frames_are_pictures() -> None:
    [sound, *_] = audio_frames(Clip.load("pcmu"))
    with pytest.raises(TypeError, match="AudioFrame"):
        VideoDecoder().decode(cast("Any", sound))
    with pytest.raises(TypeError, match="VideoFrame"):
        AudioDecoder().decode(cast("Any", frame(Clip.load("jpeg"), 0)))


async def test_it_decodes_in_worker_threads() -> None:
    async def decode(name: str) -> list[int]:
        decoder = VideoDecoder()
        clip = Clip.load(name)
        return [
            number(picture)
            for coded in frames(clip)[:30]
            for picture in await decoder.decode_async(coded)
        ]

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(decode(name)) for name in ("h264", "h265", "jpeg")]
    assert [task.result() for task in tasks] == [list(range(30))] * 3


# JPEG


@pytest.mark.parametrize("name", PICTURES)
def test_a_jpeg_carries_the_number(name: str) -> None:
    clip = Clip.load(name)
    decoder = VideoDecoder()
    pictures = [picture for coded in frames(clip)[:6] for picture in decoder.decode(coded)]
    for index, picture in enumerate(pictures):
        jpeg = picture.to_jpeg()
        assert jpeg.startswith(b"\xff\xd8")
        assert jpeg.endswith(b"\xff\xd9")
        again = opened_again(jpeg)
        assert (again.width, again.height) == (clip.width, clip.height)
        assert again.format.name == "yuvj420p"
        luma = again.planes[0]
        assert read_number(bytes(luma), again.width, again.height, luma.line_size) == index


def test_a_jpeg_is_full_range() -> None:
    [picture] = VideoDecoder().decode(frame(Clip.load("h264"), 0))
    # Inside the first square (white) and the second (black): 235 and 16 of video are 255 and 0 of JPEG.
    white, black = 8 * picture.stride + 8, 8 * picture.stride + 24
    assert abs(picture.luma[white] - 235) < 4
    assert abs(picture.luma[black] - 16) < 4
    luma = bytes(opened_again(picture.to_jpeg()).planes[0])
    assert luma[white] > 250
    assert luma[black] < 5
    # A picture that is full range already stays as it is.
    [picture] = VideoDecoder().decode(frame(Clip.load("jpeg"), 0))
    again = bytes(opened_again(picture.to_jpeg(1)).planes[0])
    assert max(abs(a - b) for a, b in zip(picture.luma, again, strict=True)) <= 8


def test_a_jpeg_of_odd_size_and_of_any_quality() -> None:
    [picture] = VideoDecoder().decode(frame(Clip.load("placeholder"), 0))
    again = opened_again(picture.to_jpeg())
    assert (again.width, again.height) == (39, 37)
    [picture] = VideoDecoder().decode(frame(Clip.load("h264"), 0))
    sizes = [len(picture.to_jpeg(quality)) for quality in (1, 3, 10, 31)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 2 * sizes[-1]
    with pytest.raises(ValueError, match="quality"):
        picture.to_jpeg(0)


def test_a_jpeg_keeps_the_colours_of_hd() -> None:
    # BT.709 red in video range (Y 63, Cb 102, Cr 240) is red in a JPEG, whose matrix is BT.601.
    source = av.VideoFrame(64, 64, "yuv420p")
    for plane, value in zip(source.planes, (63, 102, 240), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    source.colorspace, source.color_range = 1, 1
    picture = Picture(frame(Clip.load("h264"), 0), source)
    y, cb, cr = (bytes(plane)[0] for plane in opened_again(picture.to_jpeg(1)).planes)
    red, green, blue = (
        y + 1.402 * (cr - 128),
        y - 0.344 * (cb - 128) - 0.714 * (cr - 128),
        y + 1.772 * (cb - 128),
    )
    assert red > 245
    assert abs(green) < 10
    assert abs(blue) < 10


# Audio


def pitch(samples: Iterable[int], rate: int, frequencies: Iterable[float]) -> float:
    """Return the frequency that a signal holds most of."""
    samples = list(samples)

    def energy(frequency: float) -> float:
        step = 2 * pi * frequency / rate
        real = sum(sample * sin(step * n + pi / 2) for n, sample in enumerate(samples))
        imaginary = sum(sample * sin(step * n) for n, sample in enumerate(samples))
        return real**2 + imaginary**2

    return max(frequencies, key=energy)


@pytest.mark.parametrize("name", SOUNDS)
def test_every_sample_is_decoded(name: str) -> None:
    clip = Clip.load(name)
    decoder = AudioDecoder()
    loud = 0
    for coded in audio_frames(clip):
        pcm = decoder.decode(coded)
        assert (pcm.sample_rate, pcm.channels) == (clip.sample_rate, clip.channels)
        assert pcm.samples == clip.samples_per_unit
        assert len(pcm.data) == 2 * clip.channels * clip.samples_per_unit
        assert (pcm.pts, pcm.time) == (coded.pts, coded.time)
        values = struct.unpack(f"={len(pcm.data) // 2}h", pcm.data)
        loud += max(map(abs, values)) > 1000
    assert loud > 0.7 * len(clip)


@pytest.mark.parametrize(
    ("name", "demuxer", "options"),
    [
        ("pcmu", "mulaw", {"sample_rate": "8000"}),
        ("pcma", "alaw", {"sample_rate": "8000"}),
        ("g726", "g726le", {"code_size": "4"}),
    ],
)
def test_samples_equal_those_of_the_whole_file(
    name: str, demuxer: str, options: dict[str, str]
) -> None:
    clip = Clip.load(name)
    decoder = AudioDecoder()
    ours = b"".join(decoder.decode(coded).data for coded in audio_frames(clip))
    with av.open(io.BytesIO(b"".join(clip.units)), "r", format=demuxer, options=options) as whole:
        theirs = b"".join(
            bytes(piece.planes[0])[: 2 * piece.samples] for piece in whole.decode(audio=0)
        )
    assert ours == theirs


def test_channels_are_interleaved() -> None:
    # Of a stereo clip whose channels differ, each decodes to what FFmpeg's planes hold.
    clip = Clip.load("aac_48k_stereo")
    coded = audio_frames(clip)
    assert coded[0].config is not None
    context = av.CodecContext.create("aac", "r")
    context.extradata = coded[0].config
    decoder = AudioDecoder()
    for one in coded[:20]:
        [planar] = context.decode(av.Packet(one.data))
        pcm = struct.unpack("=2048h", decoder.decode(one).data)
        for channel in (0, 1):
            plane = struct.unpack("=1024f", bytes(planar.planes[channel])[:4096])
            assert all(
                abs(ours - theirs * 32768) <= 1
                for ours, theirs in zip(pcm[channel::2], plane, strict=True)
            )


def test_the_format_of_audio_may_change() -> None:
    decoder = AudioDecoder()
    for name in ("aac_48k_stereo", "aac_16k_mono", "pcma", "g726", "aac_48k_stereo"):
        clip = Clip.load(name)
        pcm = decoder.decode(audio_frames(clip)[0])
        assert (pcm.sample_rate, pcm.channels) == (clip.sample_rate, clip.channels)
        decoder.reset()


def test_damaged_audio_is_an_error() -> None:
    coded = audio_frames(Clip.load("aac_48k_mono"))[0]
    decoder = AudioDecoder()
    for data in (b"\xff" * 40, coded.data[:20]):
        with pytest.raises(ProtocolError, match="AAC audio") as caught:
            decoder.decode(changed(coded, data=data))
        assert caught.value.reading == "AAC audio"
    assert decoder.decode(coded).samples == 1024
    with pytest.raises(UnsupportedMediaError, match="AudioSpecificConfig"):
        decoder.decode(changed(coded, config=None))


@pytest.mark.parametrize("codec", [Codec.PCMU, Codec.PCMA, Codec.G726, Codec.AAC])
def test_audio_without_samples_is_an_error(codec: Codec) -> None:
    coded = audio_frames(Clip.load(codec.lower() if codec is not Codec.AAC else "aac_16k_mono"))[0]
    with pytest.raises(ProtocolError, match=f"{codec} audio"):
        AudioDecoder().decode(changed(coded, data=b""))


def test_what_is_not_known_is_unsupported() -> None:
    sound = audio_frames(Clip.load("pcmu"))[0]
    with pytest.raises(UnsupportedMediaError, match="H264"):
        AudioDecoder().decode(changed(sound, codec=Codec.H264))


def changed(coded: AudioFrame, **fields: Any) -> AudioFrame:
    values = {name: getattr(coded, name) for name in AudioFrame.__slots__}
    return AudioFrame(**(values | fields))


def test_without_pyav_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name == "av" or name.startswith("av."):
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.delitem(sys.modules, "nvrclient.media.decode")
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match=r"pip install 'nvrclient\[media\]'"):
        importlib.import_module("nvrclient.media.decode")
    monkeypatch.undo()
    assert sys.modules["nvrclient.media.decode"] is nvrclient.media.decode
