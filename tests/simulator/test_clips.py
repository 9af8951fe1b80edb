"""The clips are what their index says, and real decoders decode them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import pytest
from av.container import InputContainer

import nvrclient.simulator
from nvrclient.frames import Codec
from nvrclient.simulator import Clip, read_number, split_annex_b
from nvrclient.simulator.squares import cells

FOLDER = Path(nvrclient.simulator.__file__).parent / "clips"
PICTURES = ("h264", "h264_large", "h265", "h265_slices", "h265_cra", "jpeg")
SOUNDS = tuple(
    name for name in Clip.names() if name not in PICTURES and not Clip.load(name).codec.is_video
)
FORMATS = {Codec.H264: "h264", Codec.H265: "hevc", Codec.JPEG: "mjpeg"}


def opened(data: io.BytesIO, **options: Any) -> InputContainer:
    container = av.open(data, "r", **options)
    assert isinstance(container, InputContainer)
    return container


def kinds(codec: Codec, nals: tuple[bytes, ...]) -> list[int]:
    return [nal[0] & 31 if codec is Codec.H264 else nal[0] >> 1 & 63 for nal in nals]


def test_they_fit_the_wheel() -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) <= 2_600_000


@pytest.mark.parametrize("name", [*PICTURES, *SOUNDS])
def test_they_last_ten_seconds(name: str) -> None:
    clip = Clip.load(name)
    assert len(clip) * clip.seconds_per_unit >= 10


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_decode_and_carry_their_numbers(name: str) -> None:
    clip = Clip.load(name)
    numbers = []
    with opened(io.BytesIO(b"".join(clip.units)), format=FORMATS[clip.codec]) as container:
        for frame in container.decode(video=0):
            assert (frame.width, frame.height) == (clip.width, clip.height)
            luma = frame.planes[0]
            numbers.append(read_number(bytes(luma), frame.width, frame.height, luma.line_size))
    assert numbers == list(range(len(clip)))


@pytest.mark.parametrize("name", [name for name in PICTURES if name != "jpeg"])
def test_parameter_sets_are_at_key_frames_only(name: str) -> None:
    clip = Clip.load(name)
    h264 = clip.codec is Codec.H264
    delimiter, sets, sei = (9, [7, 8], 6) if h264 else (35, [32, 33, 34], 39)
    assert len(clip.keyframes) >= 4
    for index, nals in enumerate(clip.nal_units):
        found = kinds(clip.codec, nals)
        assert found[0] == delimiter
        assert sei in found
        if index in clip.keyframes:
            assert found[1 : 1 + len(sets)] == sets
            assert found[1 + len(sets)] == sei
        else:
            assert not set(found) & set(sets)
    # The index agrees with the bytes, and putting the NAL units together again loses nothing.
    again = Clip.video(clip.codec, clip.units, clip.fps)
    assert again.keyframes == clip.keyframes
    whole = b"".join(clip.units).replace(b"\0\0\0\1", b"\0\0\1")
    assert b"".join(b"\0\0\1" + nal for nals in clip.nal_units for nal in nals) == whole


def test_large_key_frame() -> None:
    clip = Clip.load("h264_large")
    assert max(len(clip.units[index]) for index in clip.keyframes) > 200_000


def test_slices() -> None:
    for nals in Clip.load("h265_slices").nal_units:
        assert len([kind for kind in kinds(Codec.H265, nals) if kind < 32]) == 4


def test_open_gop() -> None:
    clip = Clip.load("h265_cra")
    found = [kinds(clip.codec, nals)[-1] for nals in clip.nal_units]
    later = sorted(clip.keyframes)[1:]
    assert [found[index] for index in later] == [21] * len(later)  # CRA
    assert all({8, 9} & set(found[index + 1 : index + 4]) for index in later)  # RASL after each


@pytest.mark.parametrize("name", [name for name in PICTURES if name not in {"h265_cra", "jpeg"}])
def test_no_b_frames(name: str) -> None:
    clip = Clip.load(name)
    with opened(io.BytesIO(b"".join(clip.units)), format=FORMATS[clip.codec]) as container:
        found = {int(frame.pict_type) for frame in container.decode(video=0)}
    assert found == {1, 2}  # I and P


def test_jpeg_begins_with_a_comment_of_its_own() -> None:
    # The trap of live JPEG: FF D8 FF FE that is no camera chunk.
    assert all(unit.startswith(b"\xff\xd8\xff\xfe") for unit in Clip.load("jpeg").units)


def test_placeholder() -> None:
    clip = Clip.load("placeholder")
    assert 600 < len(clip.units[0]) < 800
    with opened(io.BytesIO(clip.units[0]), format="mjpeg") as container:
        [frame] = container.decode(video=0)
    assert (frame.width, frame.height) == (39, 37)


@pytest.mark.parametrize("name", [name for name in SOUNDS if name.startswith("aac")])
def test_aac_decodes(name: str) -> None:
    clip = Clip.load(name)
    rates = {48000: 3, 32000: 5, 16000: 8}  # ISO 14496-3 table 1.18
    decoder = av.CodecContext.create("aac", "r")
    # AudioSpecificConfig: object type 2 (5 bits), rate index (4), channels (4).
    config = 2 << 11 | rates[clip.sample_rate] << 7 | clip.channels << 3
    decoder.extradata = config.to_bytes(2, "big")
    samples = 0
    loud = 0
    for unit in clip.units:
        for frame in decoder.decode(av.Packet(unit)):
            samples += frame.samples
            loud += any(bytes(frame.planes[0]))
            assert (frame.sample_rate, frame.layout.nb_channels) == (
                clip.sample_rate,
                clip.channels,
            )
    assert samples == len(clip) * 1024
    assert loud > len(clip) * 0.9


@pytest.mark.parametrize(
    ("name", "demuxer", "options"),
    [("pcmu", "mulaw", {}), ("pcma", "alaw", {}), ("g726", "g726le", {"code_size": "4"})],
)
def test_samples_decode(name: str, demuxer: str, options: dict[str, str]) -> None:
    clip = Clip.load(name)
    data = io.BytesIO(b"".join(clip.units))
    if name != "g726":
        options = {"sample_rate": "8000"}
    with opened(data, format=demuxer, options=options) as container:
        frames = list(container.decode(audio=0))
    assert sum(frame.samples for frame in frames) == len(clip) * 320


def test_a_ruined_number_is_an_error() -> None:
    width, height = 640, 16
    rows = bytearray(width * height)
    for index, cell in enumerate(cells(1234)):
        for y in range(16):
            rows[y * width + index * 16 : y * width + index * 16 + 16] = bytes([cell * 255]) * 16
    assert read_number(rows, width, height, width) == 1234
    with pytest.raises(ValueError, match="carries no number"):
        read_number(bytes(len(rows)), width, height, width)
    with pytest.raises(ValueError, match="carries no number"):
        read_number(b"\xff" * len(rows), width, height, width)
    with pytest.raises(ValueError, match="neither black nor white"):
        read_number(b"\x80" * len(rows), width, height, width)
    with pytest.raises(ValueError, match="too small"):
        read_number(b"\x80" * 100, 10, 10, 10)
    for index in range(24):  # any one square turned over is noticed
        broken = bytearray(rows)
        for y in range(16):
            start = y * width + index * 16
            broken[start : start + 16] = bytes(255 - pixel for pixel in broken[start : start + 16])
        with pytest.raises(ValueError, match="carries no number"):
            read_number(broken, width, height, width)


def test_own_clips(tmp_path: Path) -> None:
    clip = Clip.load("h265")
    file = tmp_path / "own.h265"
    file.write_bytes(b"".join(clip.units))
    own = Clip.from_file(file, [len(unit) for unit in clip.units], "h265", 15)
    assert own.units == clip.units
    assert own.keyframes == clip.keyframes
    with pytest.raises(ValueError, match="add up"):
        Clip.from_file(file, [1, 2], "h265", 15)
    with pytest.raises(ValueError, match="no clip is called"):
        Clip.load("h266")
    with pytest.raises(ValueError, match="codec of pictures"):
        Clip.video("AAC", clip.units, 15)
    with pytest.raises(ValueError, match="codec of sound"):
        Clip.audio("H264", clip.units)
    sound = Clip.audio("AAC", Clip.load("aac_48k_stereo").units, 48000, 2)
    assert (sound.samples_per_unit, sound.channels, sound.seconds_per_unit) == (
        1024,
        2,
        1024 / 48000,
    )
    assert split_annex_b(b"\0\0\0\1\x09\x10\0\0\1\x65\x01\0") == (b"\x09\x10", b"\x65\x01")
