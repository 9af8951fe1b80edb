"""Live JPEG parts: chunks off, one valid JPEG out (specification 2.3.5; docs/faults.md row 54)."""

from __future__ import annotations

import os
import random
import struct
from fractions import Fraction
from functools import cache
from io import BytesIO

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvrclient.codec.jpeg import LiveJpeg, parse_live_jpeg
from nvrclient.errors import ProtocolError

LONG = bool(os.environ.get("NVRCLIENT_LONG"))
"""The long form of the tests: three times the examples."""

INFO = bytes.fromhex("0004 0008 0002 0000  0007 000c 6553f100 00 09 00 00  000d 0008 01 00 0000")
CAMERA = bytes.fromhex("8001 0006 ffd8  8002 0004  8003 0009 ffd9ffd8ff")


@cache
def picture(width: int = 640, height: int = 360, *, flat: bool = False) -> bytes:
    """Make a JPEG file with an encoder that is not ours: noise, or one grey."""
    codec = av.CodecContext.create("mjpeg", "w")
    assert isinstance(codec, av.VideoCodecContext)
    codec.width, codec.height, codec.pix_fmt = width, height, "yuvj420p"
    codec.time_base = Fraction(1, 25)
    frame = av.VideoFrame(width, height, "yuvj420p")
    for plane in frame.planes:
        grey = bytes([128]) * plane.buffer_size
        plane.update(grey if flat else random.Random(width * height).randbytes(plane.buffer_size))
    frame.pts = 0
    [data] = [bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)]]
    return data


def flat(width: int, height: int) -> bytes:
    return picture(width, height, flat=True)


def decoded_size(jpeg: bytes) -> tuple[int, int]:
    with av.open(BytesIO(jpeg), "r", format="jpeg_pipe") as container:
        [frame] = container.decode(video=0)
        assert isinstance(frame, av.VideoFrame)
        return frame.width, frame.height


def comment(content: bytes, counted: int = 2) -> bytes:
    return b"\xff\xfe" + struct.pack(">H", len(content) + counted) + content


def chunk(content: bytes, counted: int = 2) -> bytes:
    return b"\xff\xd8" + comment(content, counted)


@pytest.mark.parametrize("counted", [2, 0])
@pytest.mark.parametrize("soi", [True, False])
@pytest.mark.parametrize("camera", [CAMERA, b""])
@pytest.mark.parametrize("padding", [b"", b"\x00" * 3, b"\x00" * 512])
def test_chunks_come_off(counted: int, soi: bool, camera: bytes, padding: bytes) -> None:
    jpeg = picture()
    body = (
        chunk(INFO, counted)
        + (chunk(camera, counted) if camera else b"")
        + jpeg[0 if soi else 2 :]
        + padding
    )
    found = parse_live_jpeg(body)
    assert found == LiveJpeg(jpeg, INFO, camera, 640, 360, is_placeholder=False)
    assert decoded_size(found.jpeg) == (640, 360)
    assert "xff" not in repr(found)


def test_a_camera_chunk_without_soi_of_its_own() -> None:
    found = parse_live_jpeg(chunk(INFO) + comment(CAMERA) + picture())
    assert (found.jpeg, found.info_bytes, found.camera_bytes) == (picture(), INFO, CAMERA)


def test_a_plain_jpeg_is_kept_as_it_is() -> None:
    assert parse_live_jpeg(picture()) == LiveJpeg(
        picture(), b"", b"", 640, 360, is_placeholder=False
    )


OWN_COMMENTS = [
    b"Made by a camera",
    b"",
    b"\xff\xd8",
    b"\xff\xd9\xff\xd8\xff\xd8",
    b"\x00\x04\x00\x03",
    b"\x00\x04\x00\x02\x00\x04",
    b"\x00\x04\x00\x09abcd",
]


@pytest.mark.parametrize("own", OWN_COMMENTS)
@pytest.mark.parametrize("before", [b"", chunk(INFO), chunk(INFO) + chunk(CAMERA)])
def test_the_picture_s_own_comment_stays_in_it(own: bytes, before: bytes) -> None:
    jpeg = chunk(own) + picture()[2:]
    found = parse_live_jpeg(before + jpeg)
    assert found.jpeg == jpeg
    assert found.info_bytes == (INFO if before else b"")
    assert found.camera_bytes == (CAMERA if CAMERA in before else b"")
    assert decoded_size(found.jpeg) == (640, 360)


@pytest.mark.parametrize("content", OWN_COMMENTS)
def test_a_comment_that_an_soi_follows_is_a_chunk_whatever_it_holds(content: bytes) -> None:
    found = parse_live_jpeg(chunk(INFO) + chunk(content) + picture())
    assert (found.jpeg, found.info_bytes, found.camera_bytes) == (picture(), INFO, content)


def test_a_third_chunk_is_not_taken_for_the_picture() -> None:
    with pytest.raises(ProtocolError, match="FF D8"):
        parse_live_jpeg(chunk(INFO) + chunk(CAMERA) + chunk(CAMERA) + picture())


def test_the_length_that_ends_at_a_marker_is_believed() -> None:
    """A chunk by the rule whose Length, read the other way, ends at a marker as well: TLVs decide."""
    jpeg = b"\xff\xd8\xff\xfe\x00\x04ab" + picture()[2:]
    assert parse_live_jpeg(chunk(INFO) + jpeg).info_bytes == INFO
    assert parse_live_jpeg(chunk(INFO, 0) + jpeg).info_bytes == INFO
    trap = INFO + bytes.fromhex(
        "0004 0006 ffd8"
    )  # not counting itself, the Length ends before FF D8
    assert parse_live_jpeg(chunk(trap, 0) + picture()).info_bytes == trap


@pytest.mark.parametrize(("width", "height"), [(39, 37), (37, 39)])
def test_row_54_the_placeholder_is_known(width: int, height: int) -> None:
    small = parse_live_jpeg(flat(width, height))
    assert (small.width, small.height, small.is_placeholder) == (width, height, True)
    assert decoded_size(small.jpeg) == (width, height)
    large = parse_live_jpeg(chunk(INFO) + picture(width, height))
    assert len(large.jpeg) > 2048
    assert not large.is_placeholder


@pytest.mark.parametrize(("width", "height"), [(40, 37), (39, 39), (16, 16), (37, 37)])
def test_row_54_other_small_pictures_are_pictures(width: int, height: int) -> None:
    assert not parse_live_jpeg(flat(width, height)).is_placeholder


@pytest.mark.parametrize(
    "tail", [picture(), chunk(INFO) + picture(64, 48), b"\x00\x00x", b"\xff\xd9", b"\r\n"]
)
def test_row_54_what_follows_the_first_picture_is_left_out(tail: bytes) -> None:
    assert parse_live_jpeg(chunk(INFO) + picture() + tail).jpeg == picture()


def frame_header(jpeg: bytes) -> int:
    return jpeg.index(b"\xff\xc0")


@pytest.mark.parametrize(
    "size",
    [(0, 360), (640, 0), (65535, 65535), (16385, 360), (640, 16385)],
    ids=lambda size: f"{size[0]}x{size[1]}",
)
def test_row_54_sizes_that_cannot_be(size: tuple[int, int]) -> None:
    at = frame_header(picture())
    jpeg = picture()[: at + 5] + struct.pack(">HH", size[1], size[0]) + picture()[at + 9 :]
    with pytest.raises(ProtocolError, match=f"claims {size[0]} x {size[1]} pixels") as caught:
        parse_live_jpeg(chunk(INFO) + jpeg)
    assert caught.value.reading == "live JPEG"
    assert caught.value.head.startswith(b"\xff\xc0")
    assert caught.value.offset == len(chunk(INFO)) + at
    largest = picture()[: at + 5] + struct.pack(">HH", 16384, 16384) + picture()[at + 9 :]
    assert parse_live_jpeg(largest).height == 16384


def test_row_54_no_jpeg_at_all() -> None:
    at = frame_header(picture())
    length = 2 + int.from_bytes(picture()[at + 2 : at + 4], "big")
    headless = picture()[:at] + picture()[at + length :]
    scan = picture().index(b"\xff\xda")
    for body, message in {
        b"": "is empty",
        b"\xff": "does not begin",
        b"<html>": "does not begin",
        b"\xff\xd8": "no EOI",
        b"\xff\xd8\xff\xd9": "no frame header",
        b"\xff\xd8\xff\xff\xff": "no EOI",
        b"\xff\xd8ab": "no marker",
        chunk(INFO): "no EOI",
        chunk(INFO) + chunk(CAMERA): "no EOI",
        headless: "no frame header",
        picture()[:scan] + b"\xff\xd9": "no scan",
        picture()[:-2]: "no EOI",
        picture()[:-1]: "no EOI",
        picture()[:-2] + b"\x00" * 64: "no EOI",
        picture()[: at + 2] + b"\x00\x06" + picture()[at + 4 :]: "too short",
        picture()[: at + 2] + b"\x00\x01" + picture()[at + 4 :]: "broken segment",
        picture()[:2] + b"\xff\xe1\xff\xff" + picture()[2:400]: "broken segment",
    }.items():
        with pytest.raises(ProtocolError, match=message):
            parse_live_jpeg(body)


def test_row_54_cut_at_every_byte() -> None:
    body = chunk(INFO) + chunk(CAMERA) + flat(39, 37)
    for cut in range(len(body)):
        with pytest.raises(ProtocolError):
            parse_live_jpeg(body[:cut])
    assert parse_live_jpeg(body).is_placeholder


def test_segments_of_every_kind_are_walked() -> None:
    """Fill bytes, bare markers, a thumbnail with a frame of its own, restarts and a second scan."""
    thumbnail = b"\xff\xe1" + struct.pack(">H", len(flat(16, 16)) + 2) + flat(16, 16)
    jpeg = picture()
    scan = jpeg.index(b"\xff\xda")
    second = jpeg[scan:-2]
    built = (
        jpeg[:2]
        + b"\xff\xff\xff\x01"
        + thumbnail
        + jpeg[2:-2]
        + b"\xff\xd0\x12\xff\x00\xff\xff\xd1\x34\xff\xff"
        + second
        + b"\xff\xd9"
    )
    found = parse_live_jpeg(chunk(INFO) + built + b"\x00")
    assert (found.jpeg, found.width, found.height) == (built, 640, 360)


def test_the_first_frame_header_tells_the_size() -> None:
    at, jpeg = frame_header(picture()), picture()
    end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    second = jpeg[at : at + 5] + struct.pack(">HH", 0, 0) + jpeg[at + 9 : end]
    assert parse_live_jpeg(jpeg[:end] + second + jpeg[end:]).width == 640


def test_tables_before_the_frame_header_are_no_frame_header() -> None:
    at, jpeg = jpeg_tables(), picture()
    end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    moved = jpeg[:2] + jpeg[at:end] + jpeg[2:at] + jpeg[end:]
    assert parse_live_jpeg(moved) == LiveJpeg(moved, b"", b"", 640, 360, is_placeholder=False)


def jpeg_tables() -> int:
    return picture().index(b"\xff\xc4")


BODY = chunk(INFO) + chunk(CAMERA) + flat(39, 37)


@settings(max_examples=2000 if LONG else 700, deadline=None)
@given(st.data())
def test_row_54_mutations_raise_nothing_but_protocol_error(data: st.DataObject) -> None:
    body = bytearray(BODY)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(body)))
        take = data.draw(st.integers(0, 12))
        body[at : at + take] = data.draw(
            st.binary(max_size=12)
            | st.sampled_from([b"\xff\xd8", b"\xff\xd9", b"\xff\xfe", b"\xff\xff"])
        )
    caught: ProtocolError | None = None
    try:
        found = parse_live_jpeg(bytes(body))
    except ProtocolError as error:
        caught = error
    else:
        assert found.jpeg.startswith(b"\xff\xd8")
        assert not found.jpeg.startswith(b"\xff\xd8\xff\xd8")
        assert found.jpeg.endswith(b"\xff\xd9")
        assert 0 < found.width <= 16_384
        assert 0 < found.height <= 16_384
        assert len(found.jpeg) <= len(body) + 2
    if caught:
        assert caught.offset is not None
        assert bytes(body)[caught.offset :].startswith(caught.head)


@settings(max_examples=1000 if LONG else 400, deadline=None)
@given(st.binary(max_size=300))
def test_row_54_bytes_of_any_kind(data: bytes) -> None:
    for body in (data, b"\xff\xd8" + data, chunk(data), chunk(INFO) + b"\xff" + data):
        with pytest.raises(ProtocolError):
            parse_live_jpeg(body)


@settings(max_examples=500, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=20)), min_size=1, max_size=8),
    st.booleans(),
    st.booleans(),
)
def test_chunks_of_any_tlvs(tlvs: list[tuple[int, bytes]], soi: bool, counts_itself: bool) -> None:
    content = b"".join(struct.pack(">HH", key, len(value) + 4) + value for key, value in tlvs)
    jpeg = flat(16, 16)
    body = chunk(content, 2 if counts_itself else 0) + jpeg[0 if soi else 2 :]
    found = parse_live_jpeg(body)
    assert found.jpeg == jpeg
    assert found.info_bytes == content
    assert found.camera_bytes == b""
