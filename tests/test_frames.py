"""The values a caller receives: frozen, slotted, picklable, and with no payload in their repr."""

from __future__ import annotations

import dataclasses
import pickle
from datetime import UTC, datetime
from typing import Any

import pytest

from nvrclient.frames import (
    AudioFrame,
    CameraStatus,
    Codec,
    Discontinuity,
    NalUnit,
    Operation,
    RecorderInfo,
    VideoFormat,
    VideoFrame,
)

TIME = datetime(2024, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
SECRET = b"payload bytes"
IDR = NalUnit(b"\x65" + SECRET, Codec.H264, 5, 7)
VIDEO = VideoFrame(
    3, Codec.H264, (IDR,), True, True, 90_000, 90_000, TIME, 1.5, 2, RecorderInfo(camera=3)
)
JPEG = dataclasses.replace(VIDEO, codec=Codec.JPEG, nal_units=(), jpeg=b"\xff\xd8" + SECRET, lost=0)
SOUND = AudioFrame(3, Codec.AAC, SECRET, b"\x11\x88", 1024, 48_000, 1, TIME, 1.5, 1)
VALUES: list[Any] = [
    IDR,
    VIDEO,
    JPEG,
    SOUND,
    RecorderInfo(unknown={5: SECRET}, camera_info={6: SECRET}, operation=Operation.LIVE),
    VideoFormat(Codec.H264, 640, 360, "avc1.64001F", (SECRET,)),
    Discontinuity("loss", TIME, TIME, 3),
    CameraStatus(1, True),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values(value: Any) -> None:
    assert pickle.loads(pickle.dumps(value)) == value
    assert not hasattr(value, "__dict__")
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, dataclasses.fields(value)[0].name, 1)
    shown = repr(value)
    assert "payload" not in shown
    assert SECRET.hex() not in shown
    assert repr(SECRET)[2:-1] not in shown


def test_reprs() -> None:
    assert repr(IDR) == "NalUnit(H264, type=5, 14 bytes)"
    assert repr(VIDEO) == (
        "<VideoFrame keyframe H264 camera=3 pts=90000 2024-01-02T03:04:05.678+00:00 14 bytes lost=2>"
    )
    assert repr(dataclasses.replace(JPEG, keyframe=False, shown=False, time=None)) == (
        "<VideoFrame JPEG camera=3 pts=90000 15 bytes hidden>"
    )
    assert repr(SOUND) == "<AudioFrame AAC camera=3 pts=1024 48000 Hz x1 13 bytes lost=1>"
    assert repr(VALUES[4]) == (
        "RecorderInfo(operation=1, unknown={'0x0005': '13 bytes'},"
        " camera_info={'0x0006': '13 bytes'})"
    )


def test_data() -> None:
    two = dataclasses.replace(VIDEO, nal_units=(NalUnit(b"\x67\x42", Codec.H264, 7, 7), IDR))
    assert two.data == b"\0\0\0\1\x67\x42\0\0\0\1\x65" + SECRET
    assert two.size == 2 + 14
    assert JPEG.data == b"\xff\xd8" + SECRET
    assert JPEG.size == 15
    assert SOUND.size == 13


@pytest.mark.parametrize(
    ("codec", "slices", "sets", "idr"),
    [
        (Codec.H264, range(1, 6), {7, 8}, {5}),
        (Codec.H265, range(32), {32, 33, 34}, {19, 20}),
    ],
)
def test_nal_unit_types(codec: Codec, slices: range, sets: set[int], idr: set[int]) -> None:
    for kind in range(64 if codec is Codec.H265 else 32):
        nal = NalUnit(b"", codec, kind, 0)
        assert nal.is_slice == (kind in slices)
        assert nal.is_parameter_set == (kind in sets)
        assert nal.is_idr == (kind in idr)


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        ("H264", Codec.H264),
        ("h.265", Codec.H265),
        ("jpeg", Codec.JPEG),
        ("Aac", Codec.AAC),
        ("g.726", Codec.G726),
    ],
)
def test_codec_names(text: str, codec: Codec) -> None:
    assert Codec(text) is codec
    assert codec.is_video == (codec in {Codec.H264, Codec.H265, Codec.JPEG})


@pytest.mark.parametrize("name", ["H266", "", None, 264])
def test_no_codec(name: Any) -> None:
    with pytest.raises(ValueError, match="not a valid Codec"):
        Codec(name)
