"""Parameter sets of real encoders: size as the decoder says, codec string as the MP4 muxer's avcC and hvcC say."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from io import BytesIO

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvrclient.codec.parameter_sets import MAX_DIMENSION, video_format
from nvrclient.frames import Codec, VideoFormat

LONG = bool(os.environ.get("NVRCLIENT_LONG"))
"""The long form of the tests: three times the examples."""

ENCODERS = {Codec.H264: "libx264", Codec.H265: "libx265"}
FORMATS = {Codec.H264: "h264", Codec.H265: "hevc"}


@dataclass(frozen=True)
class Case:
    codec: Codec
    width: int
    height: int
    pixels: str = "yuv420p"
    params: str = ""
    profile: str = ""


LISTS = ",".join(["17"] * 8 + ["30"] * 8)
H264, H265 = Codec.H264, Codec.H265
CASES = [
    *(Case(codec, *size) for codec in (H264, H265) for size in (
        (1920, 1080), (638, 358), (64, 64), (66, 70), (1280, 720), (640, 480), (2560, 1440), (3840, 2160), (352, 288),
    )),
    *(Case(H264, 638, 358, profile=profile) for profile in ("baseline", "main", "high")),
    Case(H264, 639, 357, "yuv444p"),
    Case(H264, 638, 357, "yuv422p"),
    Case(H264, 639, 357, "gray"),
    Case(H264, 638, 358, "yuv420p10le"),
    Case(H264, 1920, 1080, params="tff=1"),
    Case(H264, 638, 356, params="bff=1"),
    Case(H264, 638, 354, "yuv422p", params="tff=1"),
    Case(H264, 1920, 1080, params="fake-interlaced=1"),
    Case(H264, 638, 358, params="cqm=jvt"),
    Case(H264, 638, 358, params=f"cqm4={LISTS}"),
    Case(H264, 638, 358, params="cqm8=" + ",".join(str(10 + index) for index in range(64))),
    Case(H264, 639, 357, "yuv444p", params="cqm8=" + ",".join(str(80 - index) for index in range(64))),
    Case(H264, 638, 358, params="bframes=0:keyint=1"),  # pic_order_cnt_type 2
    Case(H264, 638, 358, params="level=5.1"),
    Case(H264, 638, 358, params="level=1b:keyint=1"),
    Case(H265, 639, 357, "yuv444p"),
    Case(H265, 638, 357, "yuv422p"),
    Case(H265, 639, 357, "gray"),
    Case(H265, 638, 358, "yuv420p10le"),
    Case(H265, 638, 358, "yuv422p10le"),
    Case(H265, 638, 358, params="temporal-layers=3:bframes=7:rc-lookahead=20"),
    Case(H265, 1920, 1080, params="level-idc=5.1:high-tier=1"),
    Case(H265, 1920, 1080, params="interlace=tff"),
    Case(H265, 638, 358, params="keyint=1:profile=mainstillpicture"),
    Case(H265, 638, 358, "yuv444p", params="profile=main444-intra:keyint=1"),
]  # fmt: skip


@cache
def encode(case: Case, container: str) -> bytes:
    """Write one picture with a real encoder, as Annex B or as an MP4 file."""
    out = BytesIO()
    name = ENCODERS[case.codec]
    with av.open(out, "w", format=FORMATS[case.codec] if container == "annexb" else "mp4") as file:
        stream = file.add_stream(name, rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = case.width, case.height, case.pixels
        stream.codec_context.thread_count = 1
        # B-frames would need more pictures than libx265 is given: it then writes time stamps of chance.
        quiet = "log-level=none:frame-threads=1:pools=1:bframes=0"
        params = case.params if case.codec is H264 else f"{quiet}:{case.params}"
        options = {"preset": "ultrafast", f"{name[3:]}-params": params}
        if case.profile:
            options["profile"] = case.profile
        stream.options = {**options}
        for number in range(24 if "bframes" in case.params else 2):
            frame = av.VideoFrame(case.width, case.height, case.pixels)
            for plane in frame.planes:
                plane.update(bytes([90]) * plane.buffer_size)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return out.getvalue()


def parameter_sets(case: Case) -> tuple[bytes, ...]:
    nals = [nal.rstrip(b"\x00") for nal in re.split(rb"\x00\x00\x01", encode(case, "annexb"))[1:]]
    found: dict[bytes, None] = {}
    for nal in nals:
        kind = nal[0] & 31 if case.codec is H264 else nal[0] >> 1
        if kind in {7, 8, 32, 33, 34} and (case.codec is H264) == (kind < 32):
            found[nal] = None
    return tuple(found)


def decoded(data: bytes, form: str) -> tuple[int, int, bytes]:
    with av.open(BytesIO(data), "r", format=form) as file:
        stream = file.streams.video[0]
        frame = next(file.decode(stream))
        return frame.width, frame.height, bytes(stream.codec_context.extradata or b"")


def named(codec: Codec, record: bytes) -> str:
    """Name a codec by its decoder configuration record (ISO/IEC 14496-15), where the fields have fixed places."""
    assert record[0] == 1
    if codec is H264:
        return "avc1." + record[1:4].hex().upper()
    flags = sum(1 << bit for bit in range(32) if record[2 + bit // 8] >> (7 - bit % 8) & 1)
    constraints = record[6:12]
    while constraints and not constraints[-1]:
        constraints = constraints[:-1]
    space = ["", "A", "B", "C"][record[1] >> 6]
    tier = "H" if record[1] & 0x20 else "L"
    return f"hvc1.{space}{record[1] & 31}.{flags:X}.{tier}{record[12]}" + "".join(
        f".{byte:X}" for byte in constraints
    )


@pytest.mark.parametrize("case", CASES, ids=str)
def test_real_streams(case: Case) -> None:
    sets = parameter_sets(case)
    assert len(sets) == (2 if case.codec is H264 else 3)
    width, height, _ = decoded(encode(case, "annexb"), FORMATS[case.codec])
    *_, record = decoded(encode(case, "mp4"), "mp4")
    found = video_format(case.codec, sets)
    assert found == VideoFormat(case.codec, width, height, named(case.codec, record), sets)
    assert (width, height) == (case.width, case.height)
    assert video_format(case.codec, iter(sets[::-1])) == found


def test_cropping_on_every_side() -> None:
    """Not compared with libavcodec, which keeps columns on the left so that rows stay aligned."""
    found = video_format(H264, parameter_sets(Case(H264, 640, 360, params="crop-rect=6,4,10,2")))
    assert found is not None
    assert (found.width, found.height) == (640 - 6 - 10, 360 - 4 - 2)


def test_the_cases_reach_what_they_are_for() -> None:
    names = {video_format(case.codec, parameter_sets(case)).codec_string for case in CASES}  # type: ignore[union-attr]
    profiles = {name.split(".")[1][:2] for name in names if name.startswith("avc1")}
    assert {"42", "4D", "64", "6E", "7A", "F4"} <= profiles
    assert {name.split(".")[1] for name in names if name.startswith("hvc1")} >= {"1", "2", "4"}
    assert any(".H" in name for name in names)
    layered = parameter_sets(
        Case(H265, 638, 358, params="temporal-layers=3:bframes=7:rc-lookahead=20")
    )[1]
    assert layered[2] >> 1 & 7 >= 1


def test_the_name_that_iso_14496_15_prints() -> None:
    built = bytes.fromhex("4201 01 01600000 03 00 b00000 03 0000 03 005d a0 0280 80 2d16")
    found = video_format(H265, [b"\x40\x01x", built, b"\x44\x01x"])
    assert found is not None
    assert found.codec_string == "hvc1.1.6.L93.B0"
    assert (found.width, found.height) == (1280, 720)


def bits(*fields: int | tuple[int, int]) -> bytes:
    """Write an RBSP: ints as ue, pairs as (value, bits); with emulation prevention."""
    text = ""
    for item in fields:
        if isinstance(item, tuple):
            text += f"{item[0]:0{item[1]}b}" if item[1] else ""
        else:
            code = f"{item + 1:b}"
            text += "0" * (len(code) - 1) + code
    text += "1" + "0" * (-(len(text) + 1) % 8)
    raw = int(text, 2).to_bytes(len(text) // 8, "big")
    return re.sub(rb"\x00\x00(?=[\x00-\x03])", b"\x00\x00\x03", raw)


def h264(*fields: int | tuple[int, int], profile: int = 100) -> VideoFormat | None:
    return video_format(
        H264, [bits((0x67, 8), (profile, 8), (0, 8), (31, 8), 0, *fields), b"\x68\xce"]
    )


TAIL = (0, 2, 1, (0, 1), 119, 67, (1, 1), (1, 1))  # 1920 x 1088, frames


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ((1, 0, 0, (0, 1), (0, 1), *TAIL, (0, 1)), (1920, 1088)),
        ((1, 0, 0, (0, 1), (0, 1), *TAIL, (1, 1), 0, 0, 0, 4), (1920, 1080)),
        ((0, 0, 0, (0, 1), (0, 1), *TAIL, (1, 1), 1, 2, 3, 4), (1917, 1081)),
        ((2, 0, 0, (0, 1), (0, 1), *TAIL, (1, 1), 1, 2, 3, 4), (1914, 1081)),
        ((3, (0, 1), 0, 0, (0, 1), (0, 1), *TAIL, (1, 1), 1, 2, 3, 4), (1917, 1081)),
        ((3, (1, 1), 0, 0, (0, 1), (0, 1), *TAIL, (1, 1), 1, 2, 3, 4), (1917, 1081)),
        # pic_order_cnt_type 1 with a cycle of three, fields
        ((1, 0, 0, (0, 1), (0, 1), 0, 1, (0, 1), 3, 4, 3, 1, 2, 9, 1, (0, 1), 119, 33, (0, 1), (1, 1), (1, 1), (1, 1), 0, 0, 0, 2), (1920, 1080)),
        # every scaling list: default at once (-8), flat, and one that stops half way
        ((1, 0, 0, (0, 1), (1, 1), *[(1, 1), 16] * 3, (0, 1), (0, 1), (1, 1), *[0] * 16, (1, 1), *[0] * 10, 16, (0, 1), *TAIL, (0, 1)), (1920, 1088)),
        ((3, (0, 1), 0, 0, (0, 1), (1, 1), *[(1, 1), 16] * 12, *TAIL, (0, 1)), (1920, 1088)),
    ],
)  # fmt: skip
def test_h264_fields_no_encoder_here_writes(
    fields: tuple[int | tuple[int, int], ...], size: tuple[int, int]
) -> None:
    found = h264(*fields)
    assert found is not None
    assert (found.width, found.height) == size
    assert found.codec_string == "avc1.64001F"


@pytest.mark.parametrize(
    "fields",
    [
        (4, 0, 0, (0, 1), (0, 1), *TAIL, (0, 1)),  # chroma_format_idc
        (
            1,
            0,
            0,
            (0, 1),
            (0, 1),
            0,
            1,
            (0, 1),
            0,
            0,
            256,
            *[0] * 256,
            1,
            (0, 1),
            9,
            9,
            (1, 1),
            (1, 1),
            (0, 1),
        ),
        (1, 0, 0, (0, 1), (0, 1), *TAIL, (1, 1), 500, 460, 0, 0),  # nothing is left
        (1, 0, 0, (0, 1), (0, 1), *TAIL, (1, 1), 0, 0, 0, 5000),
        (1, 0, 0, (0, 1), (0, 1), 0, 2, 1, (0, 1), 1 << 20, 67, (1, 1), (1, 1), (0, 1)),
        (
            1,
            0,
            0,
            (0, 1),
            (0, 1),
            0,
            2,
            1,
            (0, 1),
            119,
            MAX_DIMENSION // 16,
            (1, 1),
            (1, 1),
            (0, 1),
        ),
        ((0, 33), (1, 33)),  # 33 leading zeros
    ],
)
def test_h264_damage_is_none(fields: tuple[int | tuple[int, int], ...]) -> None:
    assert h264(*fields) is None


def h265(space: int = 0, constraints: int = 0, layers: tuple[int, ...] = (), chroma: int = 1, window: tuple[int, ...] = ()) -> VideoFormat | None:  # fmt: skip
    fill = [(0, 2 * (8 - len(layers)))] if layers else []
    sps = bits(
        (0x4201, 16), (0, 4), (len(layers), 3), (1, 1), (space, 2), (1, 1), (2, 5), (0x20000000, 32), (constraints, 48), (120, 8),
        *[(layer, 2) for layer in layers], *fill, *[(0, 88 * (layer >> 1) + 8 * (layer & 1)) for layer in layers],
        0, chroma, *([(0, 1)] if chroma == 3 else []), 640, 360, (bool(window), 1), *window,
    )  # fmt: skip
    return video_format(H265, [b"\x40\x01x", sps, b"\x44\x01x"])


def test_h265_fields_no_encoder_here_writes() -> None:
    for layers in ((), (0,), (3,), (1, 2), (3, 3, 3), (1,) * 6, (3, 0) * 3):
        found = h265(layers=layers, window=(1, 2, 3, 4))
        assert found is not None
        assert (found.width, found.height) == (640 - 6, 360 - 14)
    for chroma, size in ((0, (637, 353)), (1, (634, 346)), (2, (634, 353)), (3, (637, 353))):
        found = h265(chroma=chroma, window=(1, 2, 3, 4))
        assert found is not None
        assert (found.width, found.height) == size
    assert h265(chroma=4) is None
    for space, constraints, name in (
        (0, 0, "hvc1.2.4.H120"),
        (1, 0xB00000000000, "hvc1.A2.4.H120.B0"),
        (2, 0x900800000000, "hvc1.B2.4.H120.90.8"),
        (3, 0x000000000001, "hvc1.C2.4.H120.0.0.0.0.0.1"),
    ):
        found = h265(space, constraints)
        assert found is not None
        assert found.codec_string == name


@pytest.mark.parametrize("case", [Case(H264, 638, 358), Case(H265, 638, 358)], ids=str)
def test_sets_that_are_missing(case: Case) -> None:
    sets = parameter_sets(case)
    for index in range(len(sets)):
        assert video_format(case.codec, sets[:index] + sets[index + 1 :]) is None
    assert video_format(case.codec, ()) is None
    assert video_format(case.codec, (b"", *sets)) == video_format(case.codec, sets)
    other = b"\x09\x10" if case.codec is H264 else b"\x46\x01\x10"  # an access unit delimiter
    assert video_format(case.codec, (other, *sets)) == video_format(case.codec, sets)
    assert video_format(H265 if case.codec is H264 else H264, sets) is None
    assert video_format(Codec.JPEG, sets) is None
    assert video_format(Codec.AAC, sets) is None


@pytest.mark.parametrize("codec", [H264, H265])
def test_the_first_of_several_sps_is_read_and_all_are_kept(codec: Codec) -> None:
    first, second = parameter_sets(Case(codec, 638, 358)), parameter_sets(Case(codec, 1920, 1080))
    found = video_format(codec, (*first, *second))
    assert found is not None
    assert (found.width, found.height) == (638, 358)
    assert len(found.parameter_sets) == len(first) * 2
    assert found.parameter_sets[-3 if codec is H265 else -4 :].index(first[-1]) >= 0


@pytest.mark.parametrize(
    "case", [Case(H264, 638, 358, params=f"cqm4={LISTS}"), Case(H265, 638, 358)], ids=str
)
def test_an_sps_cut_anywhere_raises_nothing(case: Case) -> None:
    sets = list(parameter_sets(case))
    at = 0 if case.codec is H264 else 1
    whole = sets[at]
    answers = [
        video_format(case.codec, [*sets[:at], whole[:cut], *sets[at + 1 :]])
        for cut in range(len(whole) + 1)
    ]
    assert answers[0] is None
    assert answers[1] is None
    assert answers[-1] is not None
    sizes = [(answer.width, answer.height) for answer in answers if answer]
    assert set(sizes) == {(638, 358)}


@settings(max_examples=2000 if LONG else 600, deadline=None)
@given(st.data(), st.sampled_from([Case(H264, 638, 358), Case(H265, 638, 358)]))
def test_mutations_raise_nothing(data: st.DataObject, case: Case) -> None:
    sets = [bytearray(nal) for nal in parameter_sets(case)]
    for _ in range(data.draw(st.integers(1, 8))):
        nal = data.draw(st.sampled_from(sets))
        at = data.draw(st.integers(0, len(nal)))
        nal[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    found = video_format(case.codec, [bytes(nal) for nal in sets])
    if found:
        assert 0 < found.width <= MAX_DIMENSION
        assert 0 < found.height <= MAX_DIMENSION
        assert re.fullmatch(
            r"avc1\.[0-9A-F]{6}|hvc1\.[ABC]?[0-9]+\.[0-9A-F]+\.[LH][0-9]+(\.[0-9A-F]{1,2})*",
            found.codec_string,
        )


@settings(max_examples=1000 if LONG else 400, deadline=None)
@given(st.sampled_from(list(Codec)), st.lists(st.binary(max_size=60), max_size=4))
def test_bytes_of_any_kind_raise_nothing(codec: Codec, nals: list[bytes]) -> None:
    video_format(codec, nals)
    video_format(codec, [b"\x67" + nal for nal in nals] + [b"\x68"])
    video_format(codec, [b"\x42\x01" + nal for nal in nals] + [b"\x40", b"\x44"])
