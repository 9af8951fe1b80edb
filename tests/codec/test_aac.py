"""Raw AAC: what stands in a frame and in front of it (ISO 14496-3, RFC 3640)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvrclient.codec import aac
from nvrclient.simulator import Clip

NAMES = [name for name in Clip.names() if name.startswith("aac")]


@pytest.mark.parametrize("name", NAMES)
def test_channels_of_real_frames(name: str) -> None:
    clip = Clip.load(name)
    assert {aac.channels_of(unit) for unit in clip.units} <= {clip.channels, None}
    assert aac.channels_of(clip.units[5]) == clip.channels


def bits(*fields: tuple[int, int]) -> bytes:
    """(value, width) one after the other, filled up with zeros."""
    text = "".join(f"{value:0{width}b}" for value, width in fields)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big") + bytes(4)


SCE, CPE, DSE, PCE, FIL, END = 0, 1, 4, 5, 6, 7


@pytest.mark.parametrize(
    ("frame", "channels"),
    [
        (bits((SCE, 3), (0, 4)), 1),
        (bits((CPE, 3), (0, 4)), 2),
        (bits((FIL, 3), (2, 4), (0xFFFF, 16), (CPE, 3)), 2),
        (bits((FIL, 3), (0, 4), (SCE, 3)), 1),
        # count 15 is followed by eight bits more: 15 + 5 - 1 = 19 bytes
        (bits((FIL, 3), (15, 4), (5, 8), ((1 << 152) - 1, 152), (CPE, 3)), 2),
        (bits((DSE, 3), (9, 4), (0, 1), (1, 8), (0xFF, 8), (CPE, 3)), 2),
        # aligned: 3 + 4 + 1 + 8 = 16 bits, so nothing to skip; after a FIL of 7 bits there is one bit
        (bits((DSE, 3), (9, 4), (1, 1), (1, 8), (0xFF, 8), (CPE, 3)), 2),
        (bits((FIL, 3), (0, 4), (DSE, 3), (0, 4), (1, 1), (1, 8), (1, 1), (0xFF, 8), (CPE, 3)), 2),
        (bits((DSE, 3), (0, 4), (0, 1), (255, 8), (1, 8), ((1 << 2048) - 1, 2048), (CPE, 3)), 2),
        (bits((PCE, 3)), None),
        (bits((END, 3)), None),
        (b"", None),
        (b"\xc0", None),
        (bits((FIL, 3), (14, 4)), None),
    ],
)
def test_channels_of_what_stands_in_front(frame: bytes, channels: int | None) -> None:
    assert aac.channels_of(frame) == channels


@given(st.binary(max_size=600))
def test_row_62_any_frame_has_one_two_or_no_channels(frame: bytes) -> None:
    assert aac.channels_of(frame) in {1, 2, None}


@pytest.mark.parametrize(
    ("rate", "channels", "config"),
    [
        (48000, 1, "1188"),
        (48000, 2, "1190"),
        (16000, 1, "1408"),
        (32000, 2, "1290"),
        (44100, 2, "1210"),
    ],
)
def test_config(rate: int, channels: int, config: str) -> None:
    assert aac.config(rate, channels) == bytes.fromhex(config)


@pytest.mark.parametrize(
    ("payload", "frames"),
    [
        ("0010 0030 0140 2280 a37f", ["0140 2280 a37f"]),
        ("0020 0010 0018 aabb ccddee", ["aabb", "ccddee"]),
        ("0010 0030 0140 2280 a3", None),
        ("0010 0030 0140 2280 a37f 00", None),
        ("0000", None),
        ("0000 0000", None),
        ("0010 0000", None),
        ("0011 0030 0140 2280 a37f", None),
        ("0008 30 0140 2280 a37f", None),
        ("ffff 0030", None),
        ("0010", None),
        ("", None),
    ],
)
def test_row_62_au_headers(payload: str, frames: list[str] | None) -> None:
    expected = None if frames is None else [bytes.fromhex(frame) for frame in frames]
    assert aac.access_units(bytes.fromhex(payload)) == expected


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=8), st.data())
def test_row_62_several_access_units(frames: list[bytes], data: st.DataObject) -> None:
    payload = (16 * len(frames)).to_bytes(2, "big")
    payload += b"".join((len(frame) << 3).to_bytes(2, "big") for frame in frames) + b"".join(frames)
    assert aac.access_units(payload) == frames
    assert aac.access_units(payload[: data.draw(st.integers(0, len(payload) - 1))]) is None
    assert aac.access_units(payload + b"\0") is None


@pytest.mark.parametrize(
    ("measured", "rate"),
    [
        (48000, 48000),
        (46200, 48000),
        (45900, 44100),
        (16300, 16000),
        (31000, 32000),
        (0, None),
        (-1, None),
        (54000, None),
        (1000, None),
    ],
)
def test_nearest_rate(measured: float, rate: int | None) -> None:
    assert aac.nearest_rate(measured, 0.043) == rate
