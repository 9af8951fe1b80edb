"""Playback video: every reading the specification leaves open, cuts, lies and hostile lengths (docs/faults.md part F)."""

from __future__ import annotations

import itertools
import random
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvrclient.container import gop
from nvrclient.container.gop import (
    MAX_DAMAGED,
    MAX_PICTURE,
    MAX_PICTURES,
    GopAnswer,
    GopReader,
)
from nvrclient.errors import ProtocolError
from nvrclient.frames import Codec, Operation
from nvrclient.simulator import Clip
from tests.container.gop_writer import Moment, Options, chunk, number_tlv, tlv, u16, u32, written
from tests.simulator.golden_playback import GOPS, GoldenGop

UNITS = {
    codec: Clip.load(name).units
    for codec, name in (("H264", "h264"), ("H265", "h265_slices"), ("JPEG", "jpeg"))
}
FAKE_HEADERS = b"\xff\x06\x00\x44" * 5 + b"\xff\x05" * 40 + b"\xff\x06\x00\x44"
A_FAKE = b"\xff\x06\x00\x44" + bytes(64) + b"\xff\x05\0\0\0\0\0\x08" + bytes(16) + b"\0\0\0\1fake"
NO_TLVS = b"\x80\x01\x00\x00\x0b\xadnot TLVs"
CAMERAS = {
    "none": b"",
    "TLVs": tlv(0x8001, b"\0\0\0\1") + tlv(0x8002, bytes(range(1, 9))),
    "fakes": tlv(0x8001, FAKE_HEADERS),
    "a whole fake": tlv(0x8001, b"1234" + A_FAKE),
    "a whole fake 12 bytes on": tlv(0x8001, b"12345678" + A_FAKE) + tlv(0x8002, b""),
    "no TLVs": NO_TLVS,
    "no TLVs, but like one": b"\x80\x01\x00\xc0xyz",
    "no TLVs, odd size": NO_TLVS + b"xyz",
}


def pictures(codec: str = "H264", count: int = 3) -> list[bytes]:
    """Real pictures of four sizes modulo 4, so that paddings of 0…3 bytes come."""
    return list(UNITS[codec][: 1 if codec == "JPEG" else count])


def small(count: int = 3) -> list[bytes]:
    """Pictures small enough to cut at every byte; lengths 9, 10, 11, … and so paddings 3, 2, 1, 0, …"""
    return [b"\0\0\0\1\x65" + bytes([n + 1]) * (4 + n) for n in range(count)]


def read(body: bytes, reader: GopReader | None = None) -> list[list[bytes]]:
    """Read a body in which all is well."""
    answer = (reader or GopReader()).read(body)
    assert answer.damage is None, answer.damage
    return datas(answer)


def datas(answer: GopAnswer) -> list[list[bytes]]:
    return [[picture.data for picture in one.pictures] for one in answer.gops]


# Typed by hand from the tables of 3.3.1, one row each.

H264_GOP = bytes.fromhex(
    "FF15 0024"
    "0004 0008 0001 0000"
    "0007 000C 65540A00 00 09 00 00"  # 2023-11-15 00:00:00 UTC, +09:00
    "0008 0008 0002 0000"
    "000C 0008 0001 0000"
    # first picture: camera information, reserved, stream header
    "8001 0008 00000001"
    "000000000000000000000000"
    "FF06 0044"
    "00000000000000000000000000000000"
    "65540A00 2D 09 00 00"  # end: 45 hundredths
    "65540A00 19 09 00 00"  # start: 25 hundredths
    "00000000000000000000000000000000"
    "65540A00 19 000000 0000000000000000"
    "FF05 0003 0000000D 00000000000000000000000000000000"
    "00000001 09F0"
    "00000001 65B841"
    "000000"
    # second picture, without camera information
    "000000000000000000000000"
    "FF06 0044"
    "00000000000000000000000000000000"
    "65540A00 2D 09 00 00"
    "65540A00 19 09 00 00"
    "00000000000000000000000000000000"
    "65540A00 2D 000000 0000000000000000"
    "FF05 0000 00000008 00000000000000000000000000000000"
    "00000001 419A2211"
)
H265_GOP = bytes.fromhex(
    "FF16 001C"
    "0005 0008 0004 0000"
    "0008 0008 0001 0000"
    "0027 0008 0001 0000"
    "000000000000000000000000"
    "FF06 0044"
    "00000000000000000000000000000000"
    "65540A01 05 03 1E C0"  # -03:30, summer time
    "65540A00 63 03 1E C0"
    "00000000000000000000000000000000"
    "65540A00 63 000000 0000000000000000"
    "FF05 0001 0000000B 00000000000000000000000000000000"
    "00000001 2601AFFE 000001"  # the last NAL unit is one byte of start code long: data is not looked into
    "00"
)
JPEG_FILE = bytes.fromhex(
    "FFD8FFC0 000B 08 0010 0020 01 01 11 00FFDA 0008 01 01 00 00 3F 001234 FF00 56FFD9"
)
JPEG_GOP = bytes.fromhex(
    "FFD8 FFFE 001A"
    "0007 000C 65540A00 01 05 00 01"
    "000C 0008 0001 0000"
    "8001 0008 00000001"
    "000000000000000000000000"
    "FF06 0044"
    "00000000000000000000000000000000"
    "00000000 00 00 00 00"
    "00000000 00 00 00 00"
    "00000000000000000000000000000000"
    "65540A00 07 000000 0000000000000000"
    f"FF05 0002 {len(JPEG_FILE):08X} 00000000000000000000000000000000"
)
NOON = datetime(2023, 11, 15, tzinfo=UTC)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4096)


def after(hundredths: int) -> datetime:
    return NOON + timedelta(milliseconds=10 * hundredths)


def test_an_h264_gop_typed_by_hand() -> None:
    reader = GopReader()
    (one,) = reader.read(padded(H264_GOP)).gops
    assert one.codec is Codec.H264
    assert (one.start, one.end) == (after(25), after(45))
    first, second = one.pictures
    assert first.data == bytes.fromhex("00000001 09F0 00000001 65B841")
    assert second.data == bytes.fromhex("00000001 419A2211")
    assert (first.time, second.time) == (after(25), after(45))
    for time in (one.start, one.end, first.time, second.time):
        assert time.utcoffset() == timedelta(hours=9)
    assert (one.info.camera, one.info.frame_count, one.info.has_image) == (1, 2, True)
    assert first.info == replace(one.info, camera_info={0x8001: b"\0\0\0\1"})
    assert second.info == one.info
    assert reader.padding_bad == 0


def test_an_h265_gop_typed_by_hand() -> None:
    body = bytearray(padded(H265_GOP))
    (one,) = GopReader().read(bytes(body)).gops
    assert one.codec is Codec.H265
    assert one.pictures[0].data == bytes.fromhex("00000001 2601AFFE 000001")
    assert (one.start, one.end) == (after(99), after(105))
    assert one.start.utcoffset() == one.pictures[0].time.utcoffset() == -timedelta(minutes=210)
    assert one.info.has_start_codes
    # The sign in bit 0, summer time in bit 1.
    at = body.index(b"\x03\x1e\xc0")
    body[at + 2] = body[at + 10] = 0x03
    assert GopReader().read(bytes(body)).gops == (one,)
    body[at + 2] = body[at + 10] = 0x42  # summer time alone
    (east,) = GopReader().read(bytes(body)).gops
    assert east.start == one.start
    assert east.start.utcoffset() == timedelta(minutes=210)


@pytest.mark.parametrize("soi", [JPEG_FILE[:2], b""])
def test_a_jpeg_typed_by_hand(soi: bytes) -> None:
    length = u32(len(soi) + len(JPEG_FILE) - 2)
    head = JPEG_GOP[:-20] + length + JPEG_GOP[-16:]
    reader = GopReader()
    (one,) = reader.read(padded(head + soi + JPEG_FILE[2:] + b"\0\0")).gops
    assert one.codec is Codec.JPEG
    assert [picture.data for picture in one.pictures] == [JPEG_FILE]
    assert one.start == one.end == one.pictures[0].time == after(7)  # GOP information says 0
    assert one.start.utcoffset() == -timedelta(hours=5)
    assert one.pictures[0].info.camera_info == {0x8001: b"\0\0\0\1"}
    assert (one.info.camera_info, one.info.summer_time) == ({}, True)
    assert reader.padding_bad == 0


CHUNK_LENGTHS = ("tlvs", "head", "all", "zero", "wild")
READINGS = [
    Options(codec=codec, counts=counts, chunk_length=length, stated_count=count, camera=camera)
    for codec, counts, count, camera, length in itertools.product(
        ("H264", "H265", "JPEG"),
        ("data", "padded", "packet"),
        (-1, None, 0),
        CAMERAS.values(),
        CHUNK_LENGTHS,
    )
]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("before", ["none", "data", "padded", "packet"])
def test_every_reading(before: str, count: int) -> None:
    """Under every combination the same GOP comes out, whatever reading was remembered."""
    remembered = chunk(small(2), Options(counts=before)) if before != "none" else b""
    for options in READINGS if before == "none" else READINGS[:: len(CHUNK_LENGTHS)]:
        reader = GopReader()
        assert read(remembered, reader) == ([small(2)] if remembered else [])
        sent = pictures(options.codec, count)
        answer = reader.read(chunk(sent, options))
        assert (answer.damage, datas(answer), reader.padding_bad) == (None, [sent], 0), options
        one = answer.gops[0]
        start = Moment(1_700_006_400, 25)
        assert one.codec is Codec[options.codec]
        assert one.start == one.pictures[0].time == after(25)
        assert one.end == one.pictures[-1].time == after(25 + 7 * (len(sent) - 1)), start
        assert (one.info.camera, one.info.operation) == (3, Operation.PLAYBACK)


@pytest.mark.parametrize("counts", ["data", "padded", "packet"])
@pytest.mark.parametrize("size", range(1, 30))
def test_a_single_picture_of_any_size(counts: str, size: int) -> None:
    """One picture, nothing remembered: the zeros behind it decide."""
    picture = b"\0\0\0\1" + bytes([7]) * size
    assert read(chunk([picture], Options(counts=counts))) == [[picture]]


@pytest.mark.parametrize("fill", [*range(4060, 4096), 0])
@pytest.mark.parametrize("counts", ["data", "padded", "packet"])
def test_a_chunk_that_fills_its_block(counts: str, fill: int) -> None:
    """Little final padding, or none: it cannot be mistaken for a part of the packet."""
    for count in (1, 2):
        for stated in (-1, None):
            options = Options(counts=counts, stated_count=stated)
            room = fill - len(chunk(small(count), replace(options, final=0)))
            sent = [*small(count)[:-1], small(count)[-1] + b"\x11" * (room % 4096)]
            for body in (chunk(sent, options), chunk(sent, options) * 2):
                assert set(map(tuple, read(body))) == {tuple(sent)}


@pytest.mark.parametrize("bits", ["high", "low"])
@pytest.mark.parametrize("zone", [0, 540, -210, 13 * 60, -12 * 60, 345])
@pytest.mark.parametrize("summer", [False, True])
@pytest.mark.parametrize("with_tlv", [False, True])
def test_zones(bits: str, zone: int, summer: bool, with_tlv: bool) -> None:
    start = Moment(1_700_006_400, 98, zone, summer)
    options = Options(tz_bits=bits, time_tlv=with_tlv, start=start, step=1)
    (one,) = GopReader().read(chunk(small(), options)).gops
    times = [picture.time for picture in one.pictures]
    assert times == [after(98), after(99), after(100)]
    assert (one.start, one.end) == (times[0], times[-1])
    for time in (one.start, one.end, *times):
        assert time.utcoffset() == timedelta(minutes=zone)


def test_the_recorders_own_zone_wins() -> None:
    east = Moment(1_700_006_400, 0, 60)
    options = Options(time_tlv=False, extra=east.tlv(), start=Moment(1_700_006_400, 0, -300))
    (one,) = GopReader().read(chunk(small(), options)).gops
    assert one.start.tzinfo == one.pictures[0].time.tzinfo == timezone(timedelta(hours=1))


def test_times_that_are_not_stated() -> None:
    """GOP information without seconds, pictures without, hundredths past 99; no time at all is 1970."""
    (one,) = GopReader().read(chunk(small(), Options(summary=False, time_tlv=False))).gops
    assert (one.start, one.end) == (one.pictures[0].time, one.pictures[-1].time)
    assert one.start == after(25)
    body = bytearray(chunk(small(), Options()))
    streams = [at for at in range(len(body)) if body.startswith(b"\xff\x06\x00\x44", at)]
    body[streams[1] + 52 : streams[1] + 57] = bytes(5)
    body[streams[2] + 56] = 100
    (one,) = GopReader().read(bytes(body)).gops
    assert [picture.time for picture in one.pictures] == [after(25), after(25), after(0)]
    nothing = Options(start=Moment(0), step=0, time_tlv=False)
    (one,) = GopReader().read(chunk(small(), nothing)).gops
    assert one.start == one.end == datetime(1970, 1, 1, tzinfo=UTC)
    told = Options(start=Moment(0), step=0, time_tlv=False, extra=Moment(1_700_006_400).tlv())
    (one,) = GopReader().read(chunk(small(), told)).gops
    assert one.start == one.end == NOON + timedelta(milliseconds=0)


def test_recorder_and_camera_information() -> None:
    """Unknown recorder ids are kept; camera ids, even the recorder's own, are the camera's."""
    camera = tlv(0x8001, b"one") + Moment(1).tlv() + number_tlv(0x000C, 0)
    extra = tlv(0x0099, b"new") + tlv(0x00F0, b"")
    (one,) = GopReader().read(chunk(small(), Options(extra=extra, camera=camera))).gops
    assert one.info.unknown == {0x99: b"new", 0xF0: b""}
    assert one.info.time == after(25)
    assert one.info.camera_info == {}
    for picture in one.pictures:
        assert list(picture.info.camera_info) == [0x8001, 0x0007, 0x000C]
        assert replace(picture.info, camera_info={}) == one.info
    (again,) = GopReader().read(chunk(small(), Options(camera=number_tlv(0x0008, 9)))).gops
    assert again.info.frame_count == 3
    assert again.pictures[2].info.camera_info == {8: b"\0\x09\0\0"}


def test_a_picture_without_a_stream_header_of_its_own() -> None:
    """The figure draws the stream header once; then the time of the picture before holds."""
    body, (_, second, third) = written(small(), Options())
    for header in (third, second):
        body = body[: header - 80] + body[header:]
    (one,) = GopReader().read(body).gops
    assert [picture.data for picture in one.pictures] == small()
    assert {picture.time for picture in one.pictures} == {after(25)}
    assert one.end == after(39)
    body, (first, *_) = written(small(), Options())
    damage = GopReader().read(body[: first - 80] + body[first:]).damage
    assert damage is not None
    assert "stream header" in str(damage)


@pytest.mark.parametrize("counts", ["data", "padded", "packet"])
@pytest.mark.parametrize("stated", [-1, None])
@pytest.mark.parametrize("length", ["tlvs", "head"])
@pytest.mark.parametrize(
    "gap", ["aligned", "none", "some", "double", "zeros and one byte", "garbage"]
)
def test_several_chunks(counts: str, stated: int | None, gap: str, length: str) -> None:
    options = Options(
        counts=counts, stated_count=stated, camera=CAMERAS["TLVs"], chunk_length=length
    )
    bare = replace(options, final=0)
    one = {
        "aligned": chunk(small(), options),
        "none": chunk(small(), bare),
        "some": chunk(small(), bare) + bytes(5),
        "double": chunk(small(), options) + bytes(4096),
        "zeros and one byte": chunk(small(), options)[:-1] + (b"\1" if stated else b"\0"),
        "garbage": chunk(small(), replace(options, final_fill=0xAA if stated else 0)),
    }[gap]
    sent = small(4)[::-1]
    reader = GopReader()
    assert read(one + one + chunk(sent, options), reader) == [small(), small(), sent]
    clean = gap == "aligned" or (stated is None and gap in {"garbage", "zeros and one byte"})
    assert bool(reader.padding_bad) != clean


@pytest.mark.parametrize(
    "body",
    [
        b"",
        bytes(1),
        bytes(4096),
        chunk([], Options(has_image=0)),
        chunk([], Options(has_image=0, stated_count=None)),
        chunk([], Options(has_image=None)),
        chunk([], Options(codec="JPEG", has_image=0)),
        chunk(small(), Options(has_image=0)),
        chunk([], Options(has_image=0, final=0)),
    ],
)
def test_nothing_there(body: bytes) -> None:
    assert GopReader().read(body) == GopAnswer((), None)
    one = chunk(small(), Options())
    assert read(padded(body) + one) == [small()]
    assert read(one + body) == [small()]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("counts", ["data", "padded", "packet"])
@pytest.mark.parametrize("written_zeros", [0, 1, 2, 3, 4, 7])
@pytest.mark.parametrize("camera", ["none", "TLVs", "no TLVs"])
def test_alignment_padding_that_is_not_as_counted(
    counts: str, written_zeros: int, camera: str, count: int
) -> None:
    """Missing, short, double: the pictures are the same, the counter tells."""
    for said in (0, 1, 2, 3, 5, 0xFFFF):
        if said == written_zeros or (camera == "no TLVs" and counts != "data"):
            continue  # nothing is miscounted; or nothing tells miscounted padding from information
        if counts != "data" and written_zeros > 3:
            continue
        options = Options(
            counts=counts, align=written_zeros, stated_align=said, camera=CAMERAS[camera]
        )
        if written_zeros > 3 and not (said == 0xFFFF or camera == "no TLVs"):
            continue
        reader = GopReader()
        read(chunk(small(), replace(options, align=None, stated_align=None)), reader)
        answer = reader.read(chunk(small(count), options))
        if written_zeros <= 3:
            assert (answer.damage, datas(answer)) == (None, [small(count)]), options
            if count > 1 and camera != "no TLVs":
                assert reader.padding_bad
        assert not answer.gops or datas(answer) == [small(count)]


def test_alignment_padding_that_is_not_zero() -> None:
    reader = GopReader()
    options = Options(align=3, align_fill=0x55)
    assert read(chunk(small(1), options), reader) == [small(1)]
    assert reader.padding_bad > 0


@pytest.mark.parametrize("size", [0, 1, 100, 4095, 4096, 8192 + 3])
@pytest.mark.parametrize("fill", [0, 0xAA, 0xFF])
@pytest.mark.parametrize("counts", ["data", "padded", "packet"])
@pytest.mark.parametrize("count", [1, 3])
def test_final_padding_of_any_kind(size: int, fill: int, counts: str, count: int) -> None:
    """With 0x0008 what follows the pictures is padding whatever it holds."""
    reader = GopReader()
    read(chunk(small(), Options(counts=counts)), reader)
    options = Options(counts=counts, final=size, final_fill=fill)
    assert read(chunk(small(count), options), reader) == [small(count)]
    assert reader.padding_bad >= 1


@given(st.binary(max_size=300), st.booleans())
def test_trailing_garbage_loses_nothing(garbage: bytes, padding: bool) -> None:
    body = chunk(small(), Options(final=None if padding else 0))
    answer = GopReader().read(body + garbage)
    assert datas(answer)[0] == small()
    assert answer.damage is None or gop._Scan(garbage).codec_at(garbage.find(b"\xff")) is not None


CUT = [
    Options(counts=counts, camera=camera, stated_count=count)
    for counts in ("data", "padded", "packet")
    for camera in (b"", tlv(0x8001, b"x" * 5), NO_TLVS)
    for count in (-1, None)
]


@pytest.mark.parametrize(
    "options", CUT, ids=lambda o: f"{o.counts} {o.stated_count} {o.camera.hex()}"
)
@pytest.mark.parametrize("remembers", [False, True])
@pytest.mark.parametrize("count", [1, 2])
def test_cut_at_every_byte(options: Options, remembers: bool, count: int) -> None:
    """A chunk that is cut is damage; nothing half comes out."""
    sent = [picture + b"\x5a" * 30 for picture in small(count)]  # more than a packet header has
    whole, good = chunk(sent, options), chunk(small(2), options)
    body, headers = written(sent, replace(options, final=0))
    last = headers[-1] + 24 + len(sent[-1])  # where the last picture's data end
    reader = GopReader()
    for cut in (*range(1, len(body)), *range(len(body), len(whole), 501)):
        if not remembers:
            reader = GopReader()
        elif cut % 16 == 1:
            assert read(good, reader) == [small(2)]
        answer = reader.read(whole[:cut])
        if answer.gops:
            assert (answer.damage, datas(answer)) == (None, [sent])
            assert cut >= last
        else:
            assert answer.damage is not None
            assert answer.damage.offset is not None
            assert cut < last or options.counts != "data" or cut < len(body)
    assert read(whole, reader) == [sent]


@pytest.mark.parametrize("options", CUT[::5], ids=lambda o: f"{o.counts} {o.stated_count}")
def test_whole_chunks_before_a_cut_are_kept(options: Options) -> None:
    before, body = chunk(small(2), options), chunk(small(1), replace(options, final=0))
    for cut in range(len(body)):
        answer = GopReader().read(before + body[:cut])
        assert datas(answer)[0] == small(2)
        if len(answer.gops) == 1:
            assert answer.damage is not None or cut < 2
            assert answer.damage is None or (answer.damage.offset or 0) >= len(before)
        else:
            assert (answer.damage, datas(answer)[1:]) == (None, [small(1)])


@pytest.mark.parametrize("clip", ["h264", "jpeg"])
def test_real_pictures_cut(clip: str) -> None:
    codec = {"h264": "H264", "jpeg": "JPEG"}[clip]
    sent = pictures(codec)
    for counts in ("data", "padded", "packet"):
        body = chunk(sent, Options(codec=codec, counts=counts, final=0))
        for cut in range(1, len(body) - 3, 97):
            answer = GopReader().read(body[:cut])
            assert (answer.gops, answer.damage is None) == ((), False)


WRONG = {
    "HTML": b"<html><body>busy</body></html>",
    "an unknown chunk": b"\xff\x17" + chunk(small(), Options())[2:],
    "audio": b"\xff\x03\x00\x01" + bytes(100),
    "half an id": b"\xff",
    "a chunk header": b"\xff\x15\x00\x20",
    "TLV Length 0": b"\xff\x15\x00\x20" + b"\0\4\0\0" + bytes(60),
    "TLV Length 3": b"\xff\x15\x00\x20" + b"\0\x99\0\3" + bytes(60),
    "TLV past the end": b"\xff\x15\x00\x20" + b"\0\4\xff\xff" + bytes(60),
    "TLVs and no picture": chunk([], Options(stated_count=2)),
    "TLVs, no count, no picture": chunk([], Options(stated_count=None, has_image=None)),
    "fewer pictures than stated": chunk(small(2), Options(stated_count=3)),
    "no JPEG": chunk([b"\0\0\0\1 no JPEG"], Options(codec="JPEG")),
    "a JPEG without its end": chunk([JPEG_FILE[:-2]], Options(codec="JPEG")),
    "an empty picture": chunk([b""], Options()),
    "an empty picture between": chunk([small()[0], b"", small()[1]], Options()),
}


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG)
def test_damage(body: bytes) -> None:
    """A typed error with offset and bytes; a clean chunk behind and a clean body later come out."""
    reader = GopReader()
    answer = reader.read(body)
    assert answer.gops == ()
    damage = answer.damage
    assert isinstance(damage, ProtocolError)
    assert damage.offset is not None
    assert damage.head == body[damage.offset :][:32]
    assert f"{len(body)} bytes" in str(damage)
    good = chunk(small(), Options())
    followed = reader.read(padded(body) + good)
    assert (datas(followed), str(followed.damage) != "None") == ([small()], True)
    assert read(good, reader) == [small()]


def test_bytes_behind_a_jpeg() -> None:
    """What follows EOI, and what a comment of the picture's own holds."""
    junk = chunk([JPEG_FILE + b"camera's own"], Options(codec="JPEG"))
    assert read(junk) == [[JPEG_FILE]]
    comment = JPEG_FILE[:2] + b"\xff\xfe\0\x06\0\1\0\4" + JPEG_FILE[2:]
    assert read(chunk([comment], Options(codec="JPEG"))) == [[comment]]


def test_a_length_that_takes_in_the_next_picture() -> None:
    """Without 0x0008 zeros behind it prove nothing: the GOP's end says that a picture is missing."""
    body, headers = written(small(2), Options(stated_count=None))
    for length in (headers[1] - headers[0], headers[1] - headers[0] + 300):
        lied = body[: headers[0] + 4] + u32(length) + body[headers[0] + 8 :]
        for behind in (b"", chunk(small(), Options())):
            answer = GopReader().read(lied + behind)
            assert answer.damage is not None
            assert datas(answer) == ([small()] if behind else [])


def test_zeros_that_are_not_zero_behind_a_single_picture() -> None:
    """A reading under which a picture ends in many zeros does not win by one odd byte of padding."""
    body = bytearray(chunk(small(1), Options(counts="packet")))
    at = body.index(small(1)[0]) + len(small(1)[0])
    body[at + 3] = 1
    assert read(bytes(body)) == [small(1)]


def test_jpeg_has_one_picture_whatever_it_says() -> None:
    for count in (0, 1, 30, None):
        options = Options(codec="JPEG", stated_count=count)
        assert read(chunk([JPEG_FILE], options) + b"\xaa" * 5000) == [[JPEG_FILE]]
        assert read(chunk([JPEG_FILE], replace(options, final_fill=0xAA))) == [[JPEG_FILE]]


@pytest.mark.parametrize("align", [4, 5, 12])
def test_more_padding_than_there_is_use_for(align: int) -> None:
    for count in (1, 3):
        reader = GopReader()
        assert read(chunk(small(count), Options(align=align)), reader) == [small(count)]
        assert reader.padding_bad == count


def test_zeros_a_camera_ends_its_pictures_with() -> None:
    """Three of them at most are taken for padding, where the reading has padding in L."""
    sent = [picture + bytes(8) for picture in small()]
    assert read(chunk(sent, Options())) == [sent]
    for counts in ("padded", "packet"):
        (found,) = read(chunk(sent, Options(counts=counts)))
        for data, picture in zip(found, sent, strict=True):
            assert picture[:-3] == data[: len(picture) - 3]
            assert not data[len(picture) - 8 :].strip(b"\0")


@pytest.mark.parametrize("left", range(4, 15))
def test_reserved_zeros_across_a_block(left: int) -> None:
    """They are no final padding, even where the padding before them is miscounted."""
    options = Options(stated_count=None, align=3, stated_align=0)
    first = small(1)[0]
    end = written([first], options)[1][0] + 24 + len(first)
    sent = [first + b"\x11" * (4096 - left - end), *small(2)]
    assert read(chunk(sent, options)) == [sent]


def test_garbage_behind_a_full_block_without_a_count() -> None:
    """No zero says that the chunk is whole."""
    options = Options(stated_count=None, final=0)
    room = -len(chunk(small(4), options)) % 4096
    full = chunk([*small(3), small(4)[3] + b"\x11" * room], options)
    assert len(full) % 4096 == 0
    assert GopReader().read(full + b"garbage").damage is not None


def test_a_chunk_found_behind_zeros_alone() -> None:
    good = chunk(small(), Options())
    for body in WRONG.values():
        answer = GopReader().read(body + b"\x01\0\0\0" + good)
        assert datas(answer) == [small()]
        assert answer.damage is not None


def test_a_broken_tlv_is_named() -> None:
    for broken in (b"\0\x99\0\3", b"\0\x28\0\0", b"\0\x28\xff\xff"):
        body = chunk(small(), Options(extra=broken))
        damage = GopReader().read(body).damage
        assert damage is not None
        assert (damage.offset, damage.head[:4]) == (body.index(broken), broken)
    damage = GopReader().read(WRONG["TLV Length 3"]).damage
    assert damage is not None
    assert (damage.offset, damage.head[:4]) == (4, b"\0\x99\0\3")
    damage = GopReader().read(WRONG["an unknown chunk"]).damage
    assert damage is not None
    assert (damage.offset, damage.head[:2]) == (0, b"\xff\x17")


@pytest.mark.parametrize("length", [0, 2**31, 2**32 - 1, MAX_PICTURE + 1, 30, 1])
@pytest.mark.parametrize("picture", [0, 1])
def test_hostile_lengths(length: int, picture: int) -> None:
    """Refused before any memory is taken; the next chunk is unharmed."""
    body, headers = written(small(2), Options())
    at = headers[picture] + 4
    body = body[:at] + u32(length) + body[at + 4 :]
    good = chunk(small(), Options())
    tracemalloc.start()
    answer = GopReader().read(body + good)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert datas(answer)[-1] == small()
    assert peak < 200_000
    if picture == 0 or length in {0, 2**31, 2**32 - 1, MAX_PICTURE + 1}:
        assert answer.damage is not None
        assert len(answer.gops) == 1


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gop, "MAX_PICTURES", 40)
    monkeypatch.setattr(gop, "MAX_PICTURE", 5000)
    most = [b"\0\0\0\1\x41"] * 40
    for counts in ("data", "padded", "packet"):
        assert read(chunk(most, Options(counts=counts))) == [most]
    for stated in (-1, None):
        answer = GopReader().read(chunk([*most, most[0]], Options(stated_count=stated)))
        assert answer.gops == ()
        assert "too many" in str(answer.damage)
    big = b"\0\0\0\1" + b"\x55" * 4996
    assert read(chunk([big], Options())) == [[big]]
    assert GopReader().read(chunk([big + b"\1"], Options())).damage is not None
    assert (MAX_PICTURES, MAX_PICTURE) == (4096, 8 << 20)


def test_search_behind_damage_is_bounded() -> None:
    bad, good = WRONG["fewer pictures than stated"], chunk(small(), Options())
    assert datas(GopReader().read(bad * (MAX_DAMAGED - 1) + good)) == [small()]
    assert datas(GopReader().read(bad * MAX_DAMAGED + good)) == []


def filled(piece: bytes, size: int) -> bytes:
    return (piece * (size // len(piece) + 1))[:size]


OPEN = chunk([], Options(stated_count=None, final=0))
ONE = chunk(small(1), Options(stated_count=None, final=0))
HOSTILE: dict[str, tuple[bytes, bytes]] = {
    "zeros": (b"", b"\0"),
    "chunk headers": (b"", b"\xff\x15"),
    "credible chunk headers": (b"", b"\xff\x15\0\0\0\4\0\4"),
    "chunks": (b"", OPEN),
    "stream headers": (OPEN, b"\xff\x06\x00\x44"),
    "stream and packet headers": (OPEN, b"\xff\x06\x00\x44\xff\x05"),
    "packet headers": (ONE, b"\xff\x05"),
    "TLVs of 4": (OPEN, b"\0\1\0\4"),
    "TLVs of 4 behind a picture": (ONE, b"\x80\1\0\4"),
    "TLVs over pictures": (OPEN, tlv(0x8001, ONE[len(OPEN) :])),
    "pictures": (OPEN, ONE[len(OPEN) :] + bytes(3)),
    "pictures and a zero": (OPEN, ONE[len(OPEN) :] + bytes(4)),
    "damaged chunks": (b"", padded(OPEN + b"\x80\1\x40\0")),
    "FF": (OPEN, b"\xff"),
}


@pytest.mark.parametrize(("begin", "piece"), HOSTILE.values(), ids=HOSTILE)
def test_work_is_linear(begin: bytes, piece: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the body is twice the bytes looked at, and never more than a few times the body."""
    looked = 0

    class Counted(gop._Scan):
        def skip_zeros(self, at: int, limit: int | None = None) -> int:
            nonlocal looked
            end = super().skip_zeros(at, limit)
            looked += end - at + 1
            return end

        def marks(self, start: int, at: int) -> Any:
            nonlocal looked
            last = at
            for mark in super().marks(start, at):
                looked += mark - last
                last = mark
                yield mark
            looked += len(self.body) - last

        def packet_at(self, at: int) -> Any:
            nonlocal looked
            looked += 16
            return super().packet_at(at)

    monkeypatch.setattr(gop, "_Scan", Counted)
    work: list[int] = []
    for size in (1 << 14, 1 << 15, 1 << 16):
        looked = 0
        GopReader().read(begin + filled(piece, size))
        work.append(looked)
        assert looked < 200 * size
    assert work[2] < 2.5 * work[1] + 10_000
    assert work[1] < 2.5 * work[0] + 10_000


ALPHABET = st.sampled_from([0, 1, 4, 5, 6, 0x15, 0x16, 0x44, 0x80, 0xD8, 0xFE, 0xFF])


class Mutated(bytes):
    """Bytes whose repr leaves the padding out."""

    def __repr__(self) -> str:
        return f"Mutated({self.rstrip(bytes(1)).hex(' ', 4)})"


@st.composite
def mutated(draw: st.DrawFn) -> Mutated:
    """A few chunks with bytes changed, but not where nothing can tell: in pictures and their padding, in the last
    Length and behind the last picture.
    """
    options = Options(
        codec=draw(st.sampled_from(["H264", "H265"])),
        counts=draw(st.sampled_from(["data", "padded", "packet"])),
        stated_count=draw(st.sampled_from([-1, None])),
        camera=draw(st.sampled_from([b"", CAMERAS["TLVs"], CAMERAS["fakes"]])),
    )
    body = bytearray()
    allowed: list[int] = []
    for count in draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)):
        one, headers = written(small(count), options)
        fixed = {
            at
            for header, data in zip(headers, small(count), strict=True)
            for at in range(header + 24, header + 27 + len(data))
        }
        end = headers[-1] + 2
        allowed += [len(body) + at for at in range(end) if at not in fixed]
        body += one
    for at in draw(st.lists(st.sampled_from(allowed), max_size=4)):
        body[at] = draw(ALPHABET | st.integers(0, 255))
    return Mutated(body)


@settings(max_examples=150, deadline=None)
@given(mutated())
def test_mutated_bodies(body: Mutated) -> None:
    """Never raises; every picture given out is one that was written; then a clean chunk comes out, same reader."""
    reader, sent = GopReader(), small(4)
    answer = reader.read(body)
    for found in datas(answer):
        assert found
        for data in found:
            # A Length can be made to take in just what stands before the next picture's headers. No less comes
            # out than was written, and nothing of another picture.
            (one,) = [one for one in sent if data.startswith(one)]
            assert len(data) <= len(one) + 3 + len(CAMERAS["fakes"]) + 12
    for options in (Options(counts="packet"), Options(), Options(counts="padded")):
        assert read(chunk(small(), options), reader) == [small()]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from([*WRONG.values(), *HOSTILE["chunks"]]) | st.binary(max_size=200)),
    st.randoms(use_true_random=False),
)
def test_any_bytes(parts: list[bytes], rng: random.Random) -> None:
    """Never raises and invents nothing: what comes out stands in the body."""
    body = bytearray(b"".join(parts))
    for _ in range(rng.randrange(4) if body else 0):
        body[rng.randrange(len(body))] = rng.randrange(256)
    reader = GopReader()
    answer = reader.read(bytes(body))
    for found in datas(answer):
        assert all(data in bytes(body) or data[2:] in bytes(body) for data in found)
    assert repr(answer)
    assert read(chunk(small(), Options()), reader) == [small()]


def test_damage_in_one_chunk_leaves_the_next() -> None:
    """Found again at a multiple of 4096 from the damaged one's start."""
    sent = pictures(count=5)
    body, headers = written(sent, Options())
    good = chunk(small(), Options())
    for header in headers:
        bad = bytearray(body)
        bad[header : header + 2] = b"\0\0"
        answer = GopReader().read(good + bytes(bad) + good)
        assert answer.damage is not None
        assert datas(answer) == [small(), small()]


def test_odd_camera_information_in_some_pictures() -> None:
    """TLVs that break in a later picture; known by how they begin."""
    whole = tlv(0x8001, b"abcd") + tlv(0x8002, b"efgh")
    body = chunk(small(), Options(camera=whole))
    at = [n for n in range(len(body)) if body.startswith(whole, n)][1] + 10
    broken = body[:at] + u16(0) + body[at + 2 :]
    (one,) = GopReader().read(broken).gops
    assert [picture.data for picture in one.pictures] == small()
    assert one.pictures[1].info.camera_info == {0x8001: b"abcd"}
    assert one.pictures[2].info.camera_info == {0x8001: b"abcd", 0x8002: b"efgh"}


@pytest.mark.parametrize("golden", GOPS.values(), ids=GOPS)
def test_the_simulators_goldens(golden: GoldenGop) -> None:
    """Messages typed by hand by somebody else."""
    reader = GopReader()
    answer = reader.read(golden.body)
    assert answer.damage is None
    if not golden.has_image:
        assert answer.gops == ()
        return
    (one,) = answer.gops
    zone = timezone(timedelta(minutes=golden.zone))
    stamps = [datetime.fromtimestamp(time // 100, zone) for time, _ in golden.pictures]
    times = [
        stamp + timedelta(milliseconds=10 * (time % 100))
        for stamp, (time, _) in zip(stamps, golden.pictures, strict=True)
    ]
    assert [picture.data for picture in one.pictures] == [data for _, data in golden.pictures]
    assert [picture.time for picture in one.pictures] == times
    assert (one.start - times[-1], one.end - times[-1]) == (
        timedelta(milliseconds=10 * (golden.start - golden.pictures[-1][0])),
        timedelta(milliseconds=10 * (golden.end - golden.pictures[-1][0])),
    )
    assert {time.tzinfo for time in (one.start, one.end, *times)} == {zone}
    info = one.info
    assert (info.camera, info.operation, info.speed_step) == (
        golden.camera,
        golden.operation,
        golden.step,
    )
    assert (info.frame_rate, info.summer_time) == (golden.fps, golden.summer_time)
    assert (info.long_term_reference, info.idr_display) == (golden.long_term, golden.idr_display)
    assert {str(one.codec), golden.codec} == {golden.codec}
    assert all(picture.info.camera_info == golden.camera_info for picture in one.pictures)
    assert reader.padding_bad == 0
