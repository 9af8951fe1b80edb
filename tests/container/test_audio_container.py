"""Playback audio: every open reading of 3.3.2, cuts, lies and garbage (docs/faults.md rows 56 to 63)."""

from __future__ import annotations

import itertools
import pickle
import random
import struct
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvrclient.container import audio
from nvrclient.container.audio import (
    MAX_AUDIO,
    MAX_BLOCKS,
    MAX_CHUNKS,
    AudioAnswer,
    AudioReader,
    RecordedAudio,
)
from nvrclient.errors import ProtocolError
from nvrclient.frames import Codec
from nvrclient.simulator import Clip
from tests.container.audio_writer import START, Form, aac, be, block, samples
from tests.simulator import golden_playback as golden

if TYPE_CHECKING:
    from collections.abc import Iterator

AAC_CLIPS = tuple(
    f"aac_{rate}k_{channels}" for rate in (48, 32, 16) for channels in ("stereo", "mono")
)
STEREO = Clip.load("aac_48k_stereo").units
MONO = Clip.load("aac_48k_mono").units
G711 = b"".join(Clip.load("pcmu").units)[:8000]


def read(body: bytes, reader: AudioReader | None = None) -> tuple[bytes, ...]:
    """Read an answer that must be in order, and give the blocks of its one piece."""
    answer = (reader or AudioReader()).read(body)
    assert answer.damage is None
    (piece,) = answer.pieces
    return piece.blocks


def blocks_of(answer: AudioAnswer) -> tuple[bytes, ...]:
    return tuple(found for piece in answer.pieces for found in piece.blocks)


def readings(**fixed: Any) -> Iterator[Form]:
    """Every combination of what the specification leaves open."""
    options: dict[str, tuple[Any, ...]] = {
        "au_header": (False, True),
        "extra_zero": (False, True),
        "length_from": (0, 4, 8, 12),
        "length_to_padding": (True, False),
        "wide_padding": (False, True),
        "size_row": (0, 1, 2),
        "block_id": (0xFF14, 0xFF04),
    }
    options |= {name: (value,) for name, value in fixed.items()}
    for values in itertools.product(*options.values()):
        form = Form(**dict(zip(options, values, strict=True)))
        if form.au_header or form.length_from < 12:
            yield form


def quiet_frames(amplitude: float, rate: int = 16_000, channels: int = 1) -> tuple[bytes, ...]:
    """Encode a quiet tone: all its frames of one channel begin with 0x00 by themselves."""
    av = pytest.importorskip("av")
    np = pytest.importorskip("numpy")
    context = av.CodecContext.create("aac", "w")
    context.sample_rate, context.format, context.bit_rate = rate, "fltp", 64_000
    context.layout = "mono" if channels == 1 else "stereo"
    made: list[bytes] = []
    for number in range(40):
        t = (np.arange(1024) + 1024 * number) / rate
        wave = (amplitude * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(
            np.stack([wave] * channels), format="fltp", layout=context.layout.name
        )
        frame.sample_rate, frame.pts = rate, 1024 * number
        made += [bytes(packet) for packet in context.encode(frame)]
    return tuple(made[1:])  # the first begins with the encoder's name


# Typed by hand from the tables of 3.3.2

G711_BY_HAND = """
    FF03 0007  00000006                      camera 7, 6 bytes
    65538D08   00 09 00 00                   2023-11-14 15:06:48 UTC, +09:00
    65538D09   00000000  00 09 00 00         one second later, reserved, +09:00
    01 000000  00000000                      G.711
""" + 28 * "00" + "D5 55 AA 2A 00 7F"  # fmt: skip

G726_BY_HAND = """
    FF03 0100  00000005                      camera 256, 5 bytes: 4 and a 0x00
    65538D08   00 05 1E 80
    65538D09   00000000  01 05 1E 01         -05:30
    00 000000  00000000                      G.726
""" + 28 * "00" + "00 12 34 56 78"  # fmt: skip

AAC_WITH_AU_BY_HAND = """
    FF13 0001  00000024  FF12 003C           camera 1, 36 bytes
    65538D08   00 00 00 00
    65538D09   00000000  00 00 00 00
    00000000   00000000
""" + 28 * "00" + """
    FF14 0014  01 01 0000                    20 bytes, 1 of them padding, AU header
    0010 0038  21 00 49 90 02 19 1C  00      7 bytes: 7 << 3 = 0x38
    FF14 0010  00 01 0000
    0010 0020  00 C8 00 0E
"""  # fmt: skip

AAC_BY_HAND = """
    FF13 0002  00000024  FF12 003C
    65538D08   00 00 00 00
    65538D09   00000000  00 00 00 00
    00000000   00000000
""" + 28 * "00" + """
    FF14 000C  00 00 0000  21 00 49 07       without a 0x00: not every block begins with one
    FF14 000C  02 00 0000  00 0E 0000        2 bytes of padding
    FF14 000C  00 00 0000  01 18 20 07
"""  # fmt: skip


def by_hand(text: str) -> bytes:
    lines = [line[:45] if line.startswith("    ") else line for line in text.split("\n")]
    body = bytes.fromhex(" ".join(lines))
    return body + bytes(-len(body) % 4096)


BY_HAND = [
    (G711_BY_HAND, 7, Codec.PCMU, 9, ["D555AA2A007F"]),
    (G726_BY_HAND, 256, Codec.G726, -5.5, ["12345678"]),
    (AAC_WITH_AU_BY_HAND, 1, Codec.AAC, 0, ["2100499002191C", "00C8000E"]),
    (AAC_BY_HAND, 2, Codec.AAC, 0, ["21004907", "000E", "01182007"]),
]


@pytest.mark.parametrize(("text", "camera", "codec", "hours", "blocks"), BY_HAND)
def test_typed_by_hand(
    text: str, camera: int, codec: Codec, hours: float, blocks: list[str]
) -> None:
    reader = AudioReader()
    (piece,) = reader.read(by_hand(text)).pieces
    start = datetime(2023, 11, 14, 15, 6, 48, tzinfo=UTC)
    assert piece == RecordedAudio(
        camera, codec, start, start + timedelta(seconds=1), tuple(map(bytes.fromhex, blocks))
    )
    assert piece.start.utcoffset() == piece.end.utcoffset() == timedelta(hours=hours)
    assert reader.padding_bad == 0


@pytest.mark.parametrize("name", golden.SOUNDS)
def test_golden_answers(name: str) -> None:
    expected = golden.SOUNDS[name]
    zone = timezone(timedelta(minutes=expected.zone))
    start, end = (datetime.fromtimestamp(at // 100, zone) for at in (expected.start, expected.end))
    reader = AudioReader()
    answer = reader.read(expected.body)
    assert answer == AudioAnswer(
        (RecordedAudio(expected.camera, Codec(expected.codec), start, end, expected.pieces),)
    )
    assert (
        answer.pieces[0].start.utcoffset()
        == answer.pieces[0].end.utcoffset()
        == zone.utcoffset(None)
    )
    assert reader.padding_bad == 0


# Open readings


@pytest.mark.parametrize("name", ["aac_48k_stereo", "aac_48k_mono", "aac_16k_mono"])
@pytest.mark.parametrize("first", [0, 120])
def test_every_combination_of_readings(name: str, first: int) -> None:
    frames = Clip.load(name).units[first : first + 8]
    for form in readings():
        assert read(aac(frames, form)) == frames, form


@pytest.mark.parametrize("padding", ["missing", "short", "double", "ones"])
@pytest.mark.parametrize("block_id", [0xFF14, 0xFF04])
def test_padding_to_4096_costs_nothing(padding: str, block_id: int) -> None:
    for form in readings(size_row=0, block_id=block_id):
        reader = AudioReader()
        assert read(aac(MONO[60:66], replace(form, padding=padding)), reader) == MONO[60:66], form
        assert reader.padding_bad == 1
    for row in range(3):
        reader = AudioReader()
        assert read(samples(G711, 1, Form(padding=padding, size_row=row)), reader) == (G711,)
        assert reader.padding_bad == 1


@pytest.mark.parametrize("name", AAC_CLIPS)
@pytest.mark.parametrize("au_header", [False, True])
@pytest.mark.parametrize("extra_zero", [False, True])
def test_every_second_of_every_clip(name: str, au_header: bool, extra_zero: bool) -> None:
    clip = Clip.load(name)
    step = clip.sample_rate // 1024 + 1
    reader = AudioReader()
    form = Form(au_header=au_header, extra_zero=extra_zero)
    for at in range(0, len(clip.units) - 1, step):
        frames = clip.units[at : at + step]
        assert read(aac(frames, form), reader) == frames
    assert reader.padding_bad == 0


@pytest.mark.parametrize(("name", "codec"), [("pcmu", 1), ("pcma", 1), ("g726", 0)])
@pytest.mark.parametrize("size_row", [0, 1, 2])
@pytest.mark.parametrize("extra_zero", [False, True])
def test_samples_of_every_clip(name: str, codec: int, size_row: int, extra_zero: bool) -> None:
    clip = Clip.load(name)
    data = b"".join(clip.units)
    second = 4000 if clip.codec is Codec.G726 else 8000
    reader = AudioReader(clip.codec if codec else Codec.PCMU)
    for at in range(0, len(data) - second, second):
        body = samples(
            data[at : at + second], codec, Form(size_row=size_row, extra_zero=extra_zero)
        )
        answer = reader.read(body)
        assert [piece.codec for piece in answer.pieces] == [clip.codec]
        assert blocks_of(answer) == (data[at : at + second],)


@pytest.mark.parametrize("amplitude", [0.0, 1 / 32768, 30 / 32768, 0.1])
@pytest.mark.parametrize("channels", [1, 2])
def test_frames_that_really_begin_with_zero(amplitude: float, channels: int) -> None:
    frames = quiet_frames(amplitude, channels=channels)
    assert amplitude == 0.0 or channels == 2 or sum(frame[0] == 0 for frame in frames) > 20
    zero_only = tuple(frame for frame in frames if frame[0] == 0)
    for some in filter(None, (frames, frames[5:], zero_only, zero_only[:2])):
        for form in readings(size_row=0, block_id=0xFF14, length_from=0):
            if form.extra_zero and not form.au_header and len(some) < 3:
                continue
            assert read(aac(some, form)) == some, form


def test_the_first_block_and_other_elements_do_not_vote() -> None:
    assert STEREO[0][0] >> 5 == 0b110
    fill = bytes.fromhex("C0 21 1B E4 07")  # a FIL element of no bytes before the sound
    for frames in ((STEREO[0], *STEREO[60:63]), (*STEREO[60:63], fill, STEREO[63])):
        for extra_zero in (False, True):
            assert read(aac(frames, Form(extra_zero=extra_zero))) == frames


def hand(*frames: str) -> tuple[bytes, ...]:
    return tuple(map(bytes.fromhex, frames))


@pytest.mark.parametrize(
    "frames",
    [
        hand("4C 07", "21 1B 07", "20 1A 07", "01 11 07", "00 11 07"),  # whatever the first is
        hand("21 07", "80 12 07", "A0 13 07", "DE 02 07", "21 1B 07"),  # DSE, PCE, FIL
    ],
)
def test_an_extra_zero_by_the_other_votes(frames: tuple[bytes, ...]) -> None:
    assert read(aac(frames, Form(extra_zero=True))) == frames


@pytest.mark.parametrize(
    "frames",
    [
        hand("00 21 07", "01 20 07", "01 01 07"),  # not every block begins with 00
        hand("00 14 07", "00 3F 07", "00 21 07"),
        hand("00 21 07", "00 21 07", "00"),
        hand("00 D4 07", "00 92 07", "00 A1 07"),  # nobody votes
        hand("00 D4 07"),
        hand("00"),
    ],
)
def test_zeros_that_are_not_extra(frames: tuple[bytes, ...]) -> None:
    for padding in ("aligned", "missing"):
        assert read(aac(frames, Form(padding=padding))) == frames


def test_without_votes_what_earlier_answers_showed_holds() -> None:
    only_fill = aac([STEREO[0]], Form(extra_zero=True))
    reader = AudioReader()
    assert read(only_fill) == (b"\0" + STEREO[0],)
    read(aac(STEREO[60:70], Form(extra_zero=True)), reader)
    assert read(only_fill, reader) == (STEREO[0],)
    quiet = bytes.fromhex("00 D4 07")
    assert read(only_fill, reader) == (STEREO[0],)
    read(aac([quiet, bytes.fromhex("00 4C 07"), quiet]), reader)
    assert read(only_fill, reader) == (b"\0" + STEREO[0],)
    assert read(aac([quiet, quiet]), reader) == (quiet, quiet)


def test_an_extra_zero_between_au_header_and_frame() -> None:
    form = Form(au_header=True, extra_zero=True, zero_behind_au=True)
    assert read(aac(MONO[60:80], form)) == MONO[60:80]


def au_block(size: int, data: str) -> bytes:
    """Write a block with an AU header of `size`, without padding."""
    written = be(16, 2) + be(size << 3, 2) + bytes.fromhex(data)
    return be(0xFF14, 2) + be(8 + len(written), 2) + bytes((0, 1, 0, 0)) + written


def with_first_block(first: bytes) -> bytes:
    whole = aac([], Form(padding="missing", size=len(first) + len(block(MONO[60], AU))))
    return whole + first + block(MONO[60], AU) + bytes(99)


AU = Form(au_header=True)


@pytest.mark.parametrize("frame", ["01 18 07", "00 18 07"])
def test_an_au_header_may_leave_padding_uncounted(frame: str) -> None:
    first = au_block(3, frame + "00")
    assert read(with_first_block(first)) == (bytes.fromhex(frame), MONO[60])


@pytest.mark.parametrize(
    "first",
    [
        au_block(2, "01 18 07"),
        au_block(4, "01 18 07"),
        au_block(1, "00 18 07"),
        au_block(0, ""),
        block(b"\x21" + au_block(3, "01 18 07")[8:]).replace(b"\0\0\0\0", b"\0\1\0\0"),
        be(0xFF14, 2) + be(8, 2) + bytes(4),
        be(0xFF14, 2) + be(8, 2) + bytes((0, 1, 0, 0)),
    ],
)
def test_an_au_header_that_does_not_fit(first: bytes) -> None:
    answer = AudioReader().read(with_first_block(first))
    assert blocks_of(answer) == (MONO[60],)
    assert answer.damage is not None
    assert answer.damage.offset == 68


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("00 D5 55 AA", "00 D5 55 AA"),
        ("00 D5 55 AA 2A", "D5 55 AA 2A"),
        ("00 00 55 AA 2A", "00 55 AA 2A"),
        ("00 00 55 AA", "00 00 55 AA"),
        ("12 00 00 AA 2A", "12 00 00 AA 2A"),
        ("00", "00"),
    ],
)
@pytest.mark.parametrize("codec", [0, 1])
def test_a_leading_zero_of_samples_goes_only_where_the_count_says_so(
    data: str, expected: str, codec: int
) -> None:
    for row in range(3):
        form = Form(size_row=row)
        assert read(samples(bytes.fromhex(data), codec, form)) == (bytes.fromhex(expected),)


def test_one_byte_more_than_the_second_holds() -> None:
    silence = bytes(8000)
    reader = AudioReader()
    assert read(samples(silence[:4000] + b"\x55" * 4000, 1), reader)[0][:4001] == bytes(4000) + b"U"
    assert read(samples(b"\0" + silence, 1), reader) == (silence,)


def test_a_size_in_another_row_that_does_not_fit_is_not_it() -> None:
    for index, offset in ((4, 20), (20, 32), (32, 4)):
        body = bytearray(samples(G711, 1, Form(size_row=(4, 20, 32).index(index))))
        for lie in (3, 2**31, 2**32 - 1, len(body)):
            body[offset : offset + 4] = be(lie, 4)
            assert read(bytes(body)) == (G711,), (index, offset, lie)
    for index, offset in ((4, 24), (24, 36), (36, 4)):
        body = bytearray(aac(STEREO[:20], Form(size_row=(4, 24, 36).index(index))))
        for lie in (3, 2**31, 2**32 - 1, len(body)):
            body[offset : offset + 4] = be(lie, 4)
            assert read(bytes(body)) == STEREO[:20], (index, offset, lie)


def test_a_reading_that_held_never_hides_another() -> None:
    forms = list(readings())
    random.Random(8).shuffle(forms)
    reader = AudioReader()
    for form in forms[:200]:
        assert read(aac(MONO[61:70], form), reader) == MONO[61:70], form
        assert read(samples(G711, 1, Form(size_row=form.size_row)), reader) == (G711,)


def test_the_reading_that_held_is_tried_first(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    walk = audio._walk

    def noted(*args: Any) -> Any:
        seen.append(args)
        return walk(*args)

    monkeypatch.setattr(audio, "_walk", noted)
    reader = AudioReader()
    body = aac(MONO[61:70], Form(length_from=8, length_to_padding=False, wide_padding=True))
    read(body, reader)
    assert len(seen) > 1
    seen.clear()
    read(body, reader)
    assert len(seen) == 1


def test_blocks_without_padding_under_every_reading_before() -> None:
    frames = tuple(frame for frame in MONO if len(frame) % 4 == 0)[:5]
    for before in readings(size_row=0, block_id=0xFF14):
        reader = AudioReader()
        read(aac(MONO[61:70], before), reader)
        for form in readings(size_row=0, block_id=0xFF14):
            assert read(aac(frames, form), reader) == frames, (before, form)
            read(aac(MONO[61:70], before), reader)


def test_the_row_that_held_comes_first() -> None:
    for row, other in ((1, 4), (2, 4), (2, 20)):
        reader = AudioReader()
        body = bytearray(samples(G711, 1, Form(size_row=row)))
        read(bytes(body), reader)
        body[other : other + 4] = be(8050, 4)  # fits too, with zeros of the padding
        assert read(bytes(body), reader) == (G711,)


# Times


@pytest.mark.parametrize(
    ("start_zone", "end_zone", "minutes"),
    [
        ("00 09 00 00", "00 09 00 00", 540),
        ("00 09 00 00", "01 03 1E 00", -210),  # the end's row is unambiguous
        ("00 09 00 00", "00 00 00 00", 0),
        ("00 09 00 00", "00 02 00 01", 120),  # summer time is a flag beside it
        ("00 03 1E 80", "07 FF FF 00", -210),  # no zone: then TZ info, sign in bit 7
        ("00 03 1E 01", "00 63 00 00", -210),  # or in bit 0
        ("00 03 1E 42", "00 00 63 00", 210),  # bits 6 and 1 are summer time
        ("00 FF FF 00", "02 00 00 00", 0),
    ],
)
def test_zone(start_zone: str, end_zone: str, minutes: int) -> None:
    zones = Form(start_zone=bytes.fromhex(start_zone), end_zone=bytes.fromhex(end_zone))
    for body in (samples(G711, 1, zones), aac(STEREO[:3], zones)):
        (piece,) = AudioReader().read(body).pieces
        assert piece.start == datetime.fromtimestamp(START, UTC)
        assert piece.start.tzinfo == piece.end.tzinfo == timezone(timedelta(minutes=minutes))


@pytest.mark.parametrize("seconds", [0, 2**31, 2**32 - 1])
def test_times_at_the_edge(seconds: int) -> None:
    for zone in (b"\x00\x0e\x3b\x00", b"\x01\x0e\x3b\x00"):
        (piece,) = (
            AudioReader()
            .read(samples(G711, 1, Form(start=seconds, end=seconds, end_zone=zone)))
            .pieces
        )
        assert piece.start.timestamp() == piece.end.timestamp() == seconds


# Nothing there, several chunks, garbage


@pytest.mark.parametrize(
    "body",
    [
        b"",
        bytes(1),
        bytes(8192),
        samples(b"", 1),
        samples(b"", 0),
        aac([]),
        aac([], Form(padding="missing")),
    ],
)
def test_nothing_there(body: bytes) -> None:
    assert AudioReader().read(body) == AudioAnswer((), None)


def test_nothing_there_although_an_unused_row_is_not_zero() -> None:
    reader = AudioReader()
    read(samples(G711, 1), reader)
    empty = bytearray(samples(b"", 1))
    empty[20:24] = be(5, 4)
    assert reader.read(bytes(empty)) == AudioAnswer()


@pytest.mark.parametrize("padding", ["aligned", "missing", "short", "double", "ones"])
def test_several_chunks(padding: str) -> None:
    form = Form(padding=padding)
    parts = [
        aac(STEREO[:40], form),
        samples(G711, 1, form),
        aac([], form),
        aac(STEREO[40:80], form),
        samples(G711[:4000], 0, form),
    ]
    reader = AudioReader()
    answer = reader.read(b"".join(parts))
    assert answer.damage is None
    assert [piece.codec for piece in answer.pieces] == ["AAC", "PCMU", "AAC", "G726"]
    assert blocks_of(answer) == (*STEREO[:40], G711, *STEREO[40:80], G711[:4000])
    assert reader.padding_bad == (0 if padding == "aligned" else 5)


def test_padding_counts_from_the_chunk() -> None:
    reader = AudioReader()
    parts = [aac(STEREO[:9], Form(padding="missing")), samples(G711, 1), aac(STEREO[9:20])]
    answer = reader.read(b"".join(parts))
    assert blocks_of(answer) == (*STEREO[:9], G711, *STEREO[9:20])
    assert reader.padding_bad == 1


def test_all_blocks_of_an_answer_vote() -> None:
    form = Form(extra_zero=True)
    answer = AudioReader().read(aac([STEREO[0]], form) + aac(STEREO[1:9], form))
    assert blocks_of(answer) == STEREO[:9]


@pytest.mark.parametrize("garbage", [b"\xff", b"garbage", b"\xff\x14\x00\x10" * 9, b"\0\0<html>"])
def test_trailing_garbage_loses_nothing(garbage: bytes) -> None:
    for body, expected in ((aac(STEREO[:47]), STEREO[:47]), (samples(G711, 1), (G711,))):
        reader = AudioReader()
        assert read(body + garbage, reader) == expected
        assert reader.padding_bad == 1


def test_leavings_of_another_answer_in_the_padding() -> None:
    body = aac(STEREO[:20], Form(padding="missing"))
    assert read(body + block(STEREO[20]) + block(STEREO[21]) + bytes(99)) == STEREO[:20]


def test_padding_of_a_block_need_not_be_zero() -> None:
    body = bytearray(aac([*STEREO[60:62], bytes.fromhex("21 1B 07"), STEREO[62]]))
    body[body.index(bytes.fromhex("21 1B 07 00")) + 3] = 0x99
    reader = AudioReader()
    assert read(bytes(body), reader) == (
        *STEREO[60:62], bytes.fromhex("21 1B 07"), STEREO[62],
    )  # fmt: skip
    assert reader.padding_bad == 1


# Damage


def damage_of(body: bytes) -> ProtocolError:
    answer = AudioReader().read(body)
    assert answer.damage is not None
    assert answer.damage.reading == "playback audio"
    assert answer.damage.offset is not None
    assert answer.damage.head == body[answer.damage.offset :][:32]
    assert str(answer.damage.offset) in str(answer.damage)
    return answer.damage


@pytest.mark.parametrize(
    ("body", "offset"),
    [
        (b"<html>No</html>", 0),
        (bytes.fromhex("FF15 0001") + bytes(100), 0),
        (b"\0" + samples(G711, 1), 0),
        (samples(G711, 1)[:63], 0),
        (aac(STEREO[:2])[:67], 0),
        (aac(STEREO[:2]).replace(b"\xff\x12", b"\xff\x11"), 8),
        (samples(G711, 2), 28),
        (samples(G711, 255), 28),
        (samples(G711, 1, Form(size=2**31)), 0),
        (samples(G711, 1, Form(size=2**32 - 1)), 0),
        (aac(STEREO[:2]).replace(b"\xff\x14", b"\xff\x15"), 68),
        (samples(G711, 1) + samples(G711, 2), 8192 + 28),
        (bytes.fromhex("FF03") + bytes(MAX_AUDIO), MAX_AUDIO),
    ],
)
def test_damage_says_where(body: bytes, offset: int) -> None:
    assert damage_of(body).offset == offset


def test_damage_keeps_what_was_before() -> None:
    answer = AudioReader().read(aac(STEREO[:9]) + samples(G711, 1)[:3000])
    assert blocks_of(answer) == STEREO[:9]
    assert answer.damage is not None


@pytest.mark.parametrize("size", [0, 1, 40, 2**31, 2**32 - 1, -1, 68])
def test_a_lie_about_the_size_spoils_no_frame(size: int) -> None:
    for form in readings(size_row=0, block_id=0xFF14):
        whole = aac(MONO[60:66], form)
        told = int.from_bytes(whole[4:8], "big")
        lie = replace(form, size=told + size if abs(size) in {1, 68} else size)
        answer = AudioReader().read(aac(MONO[60:66], lie))
        assert blocks_of(answer) == MONO[60:66], form
        assert answer.damage is not None


def test_a_lie_about_the_size_and_no_padding_costs_the_last_frame() -> None:
    lie = Form(size=5000, padding="missing")
    answer = AudioReader().read(aac(MONO[60:66], lie))
    assert blocks_of(answer) == MONO[60:65]
    assert answer.damage is not None


def test_the_first_damage_is_told() -> None:
    answer = AudioReader().read(aac(STEREO[:9], Form(size=5)) + samples(G711, 1)[:3000])
    assert blocks_of(answer) == STEREO[:9]
    assert answer.damage is not None
    assert answer.damage.offset == 68 + sum(len(block(frame)) for frame in STEREO[:9])


def test_a_lie_about_the_size_of_one_block() -> None:
    """Nothing shows how its Length is read: it is given whole or not at all."""
    for form in readings(size_row=0, block_id=0xFF14, extra_zero=False):
        for known in (False, True):
            reader = AudioReader()
            if known:
                read(aac(MONO[61:70], replace(form, length_from=8 - form.length_from % 8)), reader)
            answer = reader.read(aac([STEREO[62]], replace(form, size=9)))
            assert blocks_of(answer) in {(), (STEREO[62],)}, form


def test_a_last_block_that_contradicts_itself_needs_the_count() -> None:
    frame = bytes.fromhex("21 1B 07")
    body = aac([STEREO[60], frame]).replace(frame + b"\0", frame + b"\x99")
    assert read(body) == (STEREO[60], frame)
    answer = AudioReader().read(body[:4] + be(77, 4) + body[8:])
    assert blocks_of(answer) == (STEREO[60],)


def test_the_count_outweighs_what_contradicts_itself() -> None:
    frame = STEREO[60][:22] + b"\x07"
    body = aac([frame], Form(length_from=8)).replace(frame + b"\0", frame + b"\x99")
    assert read(body) == (frame,)


def test_a_cut_at_4096_is_no_padding() -> None:
    frame = b"\x21" * 4028
    for length_from in (0, 8):
        body = aac([frame], Form(length_from=length_from))
        assert read(body) == (frame,)
        assert AudioReader().read(body[:4096]).pieces == ()


def test_blocks_without_a_frame_are_dropped() -> None:
    good = Form(au_header=True)
    body = bytearray(aac(STEREO[:6], good))
    second = body.index(b"\xff\x14", 80)
    body[second + 10] = 0xF0  # the AU header's size is past the end
    fourth = second + len(block(STEREO[1], good) + block(STEREO[2], good))
    body[fourth + 10] = 0xF0
    answer = AudioReader().read(bytes(body))
    assert blocks_of(answer) == (STEREO[0], STEREO[2], *STEREO[4:6])
    assert answer.damage is not None
    assert answer.damage.offset == second
    empty = be(0xFF14, 2) + be(8, 2) + bytes(4)
    hollow = aac(STEREO[:2], Form(size=len(block(STEREO[0]) + block(STEREO[1])) + 8))
    end = 68 + len(block(STEREO[0]) + block(STEREO[1]))
    answer = AudioReader().read(hollow[:end] + empty + hollow[end + 8 :])
    assert blocks_of(answer) == STEREO[:2]
    assert answer.damage is not None
    assert answer.damage.offset == end


@pytest.mark.parametrize("au_info", [2, 3, 0x10, 0xFF])
def test_an_au_info_that_is_none(au_info: int) -> None:
    body = bytearray(aac(STEREO[60:66]))
    body[68 + 5] = au_info
    answer = AudioReader().read(bytes(body))
    assert blocks_of(answer) == STEREO[61:66]
    assert answer.damage is not None


def test_a_damaged_length_keeps_the_blocks_before() -> None:
    body = bytearray(aac(STEREO[:6]))
    third = 68 + len(block(STEREO[0]) + block(STEREO[1]))
    for length in (0, 7, 9, 50, 0xFFFF):
        body[third + 2 : third + 4] = be(length, 2)
        answer = AudioReader().read(bytes(body))
        assert blocks_of(answer) == STEREO[:2], length
        assert answer.damage is not None


# Cuts

CUT_FORMS = [
    Form(au_header=au_header, extra_zero=extra_zero, length_from=length_from, **more)
    for au_header in (False, True)
    for extra_zero in (False, True)
    for length_from in (0, 8)
    for more in ({}, {"length_to_padding": False, "wide_padding": True})
]


@pytest.mark.parametrize(
    "frames",
    [
        STEREO[:3],
        MONO[:3],
        MONO[60:63],
        tuple(frame for frame in MONO if len(frame) % 4 == 0)[:3],
        tuple(frame for frame in STEREO if len(frame) % 4 == 3)[:2],
    ],
)
def test_every_cut_of_aac(frames: tuple[bytes, ...]) -> None:
    for form in CUT_FORMS:
        whole = replace(form, padding="missing")
        body = aac(frames, whole)
        ends = [len(aac(frames[:count], whole)) for count in range(len(frames) + 1)]
        for cut in range(1, len(body)):
            answer = AudioReader().read(body[:cut])
            given = blocks_of(answer)
            assert given == frames[: len(given)], (form, cut)
            assert answer.damage is not None or cut == ends[0] - 4096
            # A block is known to be whole by the id of the next.
            followed = sum(cut >= end + 2 for end in ends[1:])
            told = form.au_header or (not form.extra_zero and any(f[0] for f in frames[:followed]))
            assert len(given) == followed or (not told and not given), (form, cut)
        assert read(body + bytes(7)) == frames


def test_every_cut_once_the_reading_is_known() -> None:
    for form in CUT_FORMS:
        reader = AudioReader()
        read(aac(STEREO[60:70], form), reader)
        whole = replace(form, padding="missing")
        for count in range(1, 4):
            cut = len(aac(STEREO[:count], whole)) + 2
            answer = reader.read(aac(STEREO[:4], whole)[:cut])
            assert blocks_of(answer) == STEREO[:count], (form, count)


def test_every_cut_of_samples() -> None:
    body = samples(G711[:300], 1, Form(padding="missing"))
    for cut in range(1, len(body)):
        answer = AudioReader().read(body[:cut])
        assert answer.pieces == ()
        assert answer.damage is not None
    for more in range(1, 5000, 500):
        assert read(body + bytes(more)) == (G711[:300],)


# Limits


def test_limits() -> None:
    small = bytes.fromhex("01 07")
    answer = AudioReader().read(aac([small] * MAX_BLOCKS))
    assert len(blocks_of(answer)) == MAX_BLOCKS
    assert answer.damage is None
    answer = AudioReader().read(aac([small] * (MAX_BLOCKS + 1)))
    assert len(blocks_of(answer)) == MAX_BLOCKS
    assert answer.damage is not None
    chunk = samples(G711[:8], 1, Form(padding="missing"))
    assert AudioReader().read(chunk * MAX_CHUNKS).damage is None
    answer = AudioReader().read(chunk * (MAX_CHUNKS + 1))
    assert len(answer.pieces) == MAX_CHUNKS
    assert answer.damage is not None
    assert answer.damage.offset == MAX_CHUNKS * len(chunk)


def test_hostile_answers_cost_linear_work(monkeypatch: pytest.MonkeyPatch) -> None:
    class Counter:
        calls = 0
        layout = struct.Struct(audio._BLOCK.format)

        def unpack_from(self, body: bytes, at: int) -> Any:
            self.calls += 1
            return self.layout.unpack_from(body, at)

    counter = Counter()
    monkeypatch.setattr(audio, "_BLOCK", counter)
    header = aac([], Form(size=77, padding="missing"))
    for length in (0, 8, 16, 0xFF14):
        piece = be(0xFF14, 2) + be(length, 2) + bytes(4)
        for chunks, blocks in ((1, 100_000), (200, 400)):
            counter.calls = 0
            assert AudioReader().read((header + piece * blocks) * chunks).damage is not None
            assert counter.calls <= 17 * (MAX_BLOCKS + 1) * MAX_CHUNKS
    for length in range(8):
        piece = be(0xFF14, 2) + be(length, 2) + bytes(4)
        assert audio._walk(piece * 99, 0, {}, audio._READINGS[0]).blocks == []
    nested = header * 10_000
    counter.calls = 0
    assert AudioReader().read(nested).damage is not None
    assert counter.calls == 0


# Anything

FRAMES = MONO[60:64]
CLEAN = [
    (aac(FRAMES, form), FRAMES)
    for form in (
        Form(),
        Form(au_header=True),
        Form(extra_zero=True),
        Form(extra_zero=True, wide_padding=True, length_from=8, size_row=2),
        Form(au_header=True, extra_zero=True, length_to_padding=False, size_row=1),
    )
] + [(samples(G711[:800], 1), (G711[:800],)), (samples(G711[:800], 0, Form(size_row=1)), (G711[:800],))]  # fmt: skip


def mutate(body: bytes, how: list[tuple[int, int, int]]) -> bytes:
    changed = bytearray(body)
    for kind, where, value in how:
        at = where % (len(changed) + 1)
        if kind == 0 and at < len(changed):
            changed[at] = value
        elif kind == 1:
            changed[at : at + value] = b""
        elif kind == 2:
            changed[at:at] = be(value * 257, 2)
        elif kind == 3:
            changed[at:] = b""
        elif kind == 4:
            changed[at % 112 : at % 112 + 4] = be(value << 24 | 0xFFFFFF, 4)
    return bytes(changed)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(CLEAN),
            st.lists(
                st.tuples(st.integers(0, 4), st.integers(0, 800), st.integers(0, 255)),
                min_size=1,
                max_size=4,
            ),
        ),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from(CLEAN),
)
def test_after_any_bad_input_a_clean_answer_is_exact(
    bad: list[tuple[tuple[bytes, tuple[bytes, ...]], list[tuple[int, int, int]]]],
    clean: tuple[bytes, tuple[bytes, ...]],
) -> None:
    reader = AudioReader()
    for (body, _), how in bad:
        answer = reader.read(mutate(body, how))
        assert all(blocks_of(answer)) or not answer.pieces
    assert read(clean[0], reader) == clean[1]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", b"\xff\x03", b"\xff\x13", CLEAN[0][0][:68]]))
def test_anything_at_all(data: bytes, front: bytes) -> None:
    reader = AudioReader()
    reader.read(front + data)
    assert read(CLEAN[0][0], reader) == FRAMES


def test_values() -> None:
    (piece,) = AudioReader(Codec.PCMA).read(samples(G711, 1)).pieces
    assert repr(piece) == (
        "<RecordedAudio PCMA camera=3 2023-11-14T22:13:20+00:00 1 blocks, 8000 bytes>"
    )
    assert pickle.loads(pickle.dumps(piece)) == piece
