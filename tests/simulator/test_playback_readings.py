"""Every switch of ``PlaybackReadings`` does what it says: where commands lead, and what stands in the containers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, timedelta, timezone

import pytest

from nvrclient.frames import Codec
from nvrclient.simulator import (
    NASTY_CAMERA_INFORMATION,
    BlockLength,
    ChunkLength,
    Landing,
    Nothing,
    PlaybackReadings,
    PlayStart,
    Readings,
    RecordedSound,
    Recording,
    Resume,
    ReverseStart,
    Segment,
    SizeRow,
    StepStart,
    Unit,
    VideoLength,
    ZoneBits,
)
from nvrclient.simulator.gops import gop_chunk
from nvrclient.simulator.playaudio import sound_answer
from tests.simulator import golden_playback as golden
from tests.simulator.player import MIDNIGHT, TWO_SEGMENTS, playing, read, recorded
from tests.simulator.test_golden_playback import gop_of

h = bytes.fromhex

# Positions


@pytest.mark.parametrize(
    ("landing", "expected"),
    [
        # seconds asked for: 4, 5, 5.6 (never sent: whole seconds), in the gap, behind the end
        (Landing.HOLDING, {0: 0, 4: 4, 5: 4, 30: 60, 61: 60, 100: None}),
        (Landing.BEFORE, {0: 0, 4: 2, 5: 2, 30: 18, 61: 18, 100: 78}),
        (Landing.NEXT, {0: 0, 4: 4, 5: 6, 30: 60, 61: 62, 100: None}),
        (Landing.NEAREST, {0: 0, 4: 4, 30: 18, 50: 60, 61: 60}),
    ],
)
async def test_landing(landing: Landing, expected: dict[int, int | None]) -> None:
    async with playing(recorded(landing=landing)) as player:
        for time, start in expected.items():
            await player.does(("GOTODATE", time))
            assert await player.starts(1) == [start], time


async def test_landing_before_the_first() -> None:
    for landing in Landing:
        async with playing(recorded(landing=landing)) as player:
            await player.does(("GOTODATE", -1000))
            assert await player.starts(2) == [0, 2]


@pytest.mark.parametrize(
    ("where", "start"),
    [
        (PlayStart.OLDEST, 0),
        (PlayStart.LAST_SEGMENT, 60),
        (PlayStart.NEWEST, 78),
        (PlayStart.STOPPED, 0),
    ],
)
async def test_where_play_begins(where: PlayStart, start: int) -> None:
    async with playing(recorded(play_start=where)) as player:
        await player.does("PLAY")
        assert await player.starts(1) == [start]
        await player.does(("STOP", 65))
        await player.mask(1)
        await player.does("PLAY")
        assert await player.starts(1) == [64 if where is PlayStart.STOPPED else start]


async def test_where_play_goes_on() -> None:
    for resume, after_pause, after_reverse in (
        (Resume.AFTER_SENT, 8, 6),
        (Resume.AT_TIME, 2, 8),
    ):
        async with playing(recorded(resume=resume)) as player:
            await player.does(("GOTODATE", 0), "PLAY")
            assert await player.starts(4) == [0, 2, 4, 6]
            await player.does(("PAUSE", 3), "PLAY")  # two GOPs were waiting to be shown
            assert await player.starts(1) == [after_pause]
            await player.does(("BPLAY", 8))
            assert await player.starts(2) == [6, 4]
            await player.does("PLAY")
            assert await player.starts(1) == [after_reverse]


async def test_reverse() -> None:
    for where, first in ((ReverseStart.BEFORE, 4), (ReverseStart.HOLDING, 6)):
        async with playing(recorded(reverse_start=where)) as player:
            await player.does("PLAY", ("BPLAY", 7))
            assert await player.starts(2) == [first, first - 2]
            await player.does(("BPLAY", 40))
            assert await player.starts(1) == [16 if where is ReverseStart.BEFORE else 18]
            await player.does(("BPLAY", 63))
            assert await player.starts(3) == [*([62] if first == 6 else []), 60, 18, 16][:3]
            await player.does(("BPLAY", 2))
            assert (await player.starts(4))[-2:] == [None, None]
            assert (await player.gop()).information[0x000D][:2] == h("0300")


async def test_each_fast_forward_is_a_step_faster() -> None:
    recording = Recording((Segment(MIDNIGHT, "h264", duration=7200),))
    async with playing(recorded(recording)) as player:
        await player.does("PLAY")
        for step in (1, 2, 3):
            await player.does(("FF", 10))
            gop = await player.gop()
            assert gop.start == 1000 + 200 * 2**step
            assert gop.information[0x000D][:2] == bytes([4, step])
        assert await player.starts(2) == [42, 58]
        await player.does(*[("FF", 10.0)] * 9)
        assert (await player.gop()).information[0x000D][:2] == h("0408")
        await player.does(("REW", 100))
        gop = await player.gop()
        assert (gop.start, gop.information[0x000D][:2]) == (9600, h("0501"))
        assert await player.starts(2) == [92, 88]
        await player.does("PLAY")
        gop = await player.gop()
        assert (gop.start, gop.information[0x000D][:2]) == (9000, h("0200"))
        await player.does(("REW", 1))
        assert await player.starts(1) == [None]
        await player.does(("GOTODATE", 0), ("FF", 10), ("FF", 10), "PLAY")
        assert await player.starts(2) == [18, 20]  # nothing was sent since GOTODATE: where FF said


@pytest.mark.parametrize(
    ("step_start", "forward", "back"),
    [
        # Three GOPs were sent, from 4 on, when the picture of 5.07 was shown.
        (StepStart.BESIDE_SENT, [10, 12], [10, 8]),
        (StepStart.BESIDE_TIME, [6, 8], [2, 0]),
        (StepStart.HOLDING, [4, 6], [4, 2]),
    ],
)
async def test_stepping(step_start: StepStart, forward: list[int], back: list[int]) -> None:
    async with playing(recorded(step_start=step_start)) as player:
        await player.does(("GOTODATE", 4))
        assert await player.starts(3) == [4, 6, 8]
        await player.does(("PAUSE", 5), ("NEXTFRAME", 5), ("NEXTFRAME", 5.07))
        gop = await player.gop()
        assert [gop.start // 100, *await player.starts(1)] == forward
        assert gop.information[0x000D][:2] == h("0700")
        await player.does(("PREVFRAME", 5.07))
        gop = await player.gop()
        assert [gop.start // 100, *await player.starts(1)] == back
        assert gop.information[0x000D][:2] == h("0800")
        # Nothing was sent since: where GOTODATE said.
        await player.does(("GOTODATE", 14), ("PAUSE", 14), ("NEXTFRAME", 14.0))
        assert await player.starts(1) == [16 if step_start is StepStart.BESIDE_TIME else 14]


async def test_the_end() -> None:
    async with playing(recorded(end=Nothing.REPEAT)) as player:
        await player.does(("GOTODATE", 77))
        assert await player.starts(4) == [76, 78, 78, 78]
        assert (await player.sound())[0] == 76
        await player.does(("GOTODATE", 500))
        assert await player.starts(1) == [78]
        assert (await player.sound())[0] == 79
        await player.does(("BPLAY", 1))
        assert await player.starts(2) == [0, 0]
    for end, status in ((Nothing.NO_CONTENT, 204), (Nothing.EMPTY, 200)):
        async with playing(recorded(end=end)) as player:
            await player.does(("GOTODATE", 500))
            for cgi in ("camera.cgi", "playaudio.cgi"):
                answer = await player.ask(cgi, "CAM=1")
                assert (answer.status_code, answer.content) == (status, b"")


async def test_too_soon() -> None:
    recorder = recorded(too_soon=Nothing.REPEAT, pace=20)  # 2 s in 100 ms
    async with playing(recorder) as player:
        await player.does("PLAY")
        starts = [(await player.gop()).start for _ in range(3)]
        assert starts == [0, 0, 0]
        while len(set(starts)) < 3:
            starts.append((await player.gop()).start)
        assert len(starts) > 6
        assert starts == sorted(starts)
        sounds = [(await player.sound())[0] for _ in range(2)]
        assert sounds == [0, 0]
    async with playing(recorded(too_soon=Nothing.NO_IMAGE, pace=20)) as player:
        await player.does("PLAY")
        assert await player.starts(2) == [0, None]
        await player.does(("GOTODATE", 4))
        assert await player.starts(1) == [4]  # a command is followed at once


async def test_answers_at_a_gap() -> None:
    async with playing(recorded(gap_answers=2)) as player:
        await player.does(("GOTODATE", 16))
        assert await player.starts(6) == [16, 18, None, None, 60, 62]
        await player.does(("BPLAY", 62))
        assert await player.starts(4) == [60, None, None, 18]
        await player.does(("GOTODATE", 19))
        assert [(await player.sound())[1] == b"" for _ in range(5)] == [False] * 2 + [True] * 2 + [
            False
        ]


async def test_cameras_without_sound() -> None:
    silent = Recording((Segment(MIDNIGHT, "h264", duration=4),))
    for without, status in (
        (Nothing.NO_CONTENT, 204),
        (Nothing.EMPTY, 200),
        (Nothing.NO_IMAGE, 200),
    ):
        async with playing(recorded(silent, without_audio=without)) as player:
            await player.does("PLAY")
            answer = await player.ask("playaudio.cgi", "CAM=1")
            assert answer.status_code == status
            size = 4096 if without is Nothing.NO_IMAGE else 0
            assert len(answer.content) == size
            assert answer.content[:8] == (h("FF030001 00000000") if size else b"")


async def test_several_chunks_in_a_body() -> None:
    async with playing(recorded(gops_per_answer=3, trailing=b"bye")) as player:
        await player.does("PLAY")
        body = (await player.ask("camera.cgi", "CAM=1")).content
        gops = list(TWO_SEGMENTS.gops(until=MIDNIGHT + 6))
        assert body.endswith(b"bye")
        whole = b"".join(gop_chunk(gop, 1, 2, PlaybackReadings()) for gop in gops)
        assert body == whole + b"bye"
        assert (await player.ask("playaudio.cgi", "CAM=1")).content[-4:] == b"\0bye"
        await player.does(("GOTODATE", 76))
        assert len((await player.ask("camera.cgi", "CAM=1")).content) % 4096 == 3


# Containers, against the golden ones


def chunk(expected: golden.GoldenGop, **switches: object) -> bytes:
    readings = PlaybackReadings(**switches)  # type: ignore[arg-type]
    return gop_chunk(
        gop_of(expected), expected.camera, expected.operation, readings, step=expected.step
    )


def changed(body: bytes, *changes: tuple[int, str]) -> bytes:
    """A body with other bytes at some offsets."""
    for offset, other in changes:
        body = body[:offset] + h(other) + body[offset + len(h(other)) :]
    return body


def test_lengths_of_chunks() -> None:
    # 372 = 0174 bytes up to the final padding; of the JPEG 226 = 00E2
    for reading, h264, jpeg in (
        (ChunkLength.AFTER_HEADER, "0170", "00DC"),
        (ChunkLength.WHOLE, "0174", "00E2"),
        (ChunkLength.PADDED, "1000", "1000"),
        (ChunkLength.ZERO, "0000", "0000"),
    ):
        assert chunk(golden.H264, chunk_length=reading) == changed(golden.H264.body, (2, h264))
        assert chunk(golden.JPEG, chunk_length=reading) == changed(golden.JPEG.body, (4, jpeg))
    large = Recording((Segment(MIDNIGHT, "h264_large", gops=1),))
    body = gop_chunk(next(large.gops()), 1, 2, PlaybackReadings(chunk_length=ChunkLength.PADDED))
    assert len(body) > 0x10000
    assert int.from_bytes(body[2:4], "big") == len(body) % 0x10000


def test_lengths_of_video() -> None:
    # The Length of the first picture stands at 4 + 112 + 84 = 200, of the second at 200 + 136.
    for reading, first, second in (
        (VideoLength.PADDED, "00000020", "00000010"),
        (VideoLength.FROM_HEADER, "00000038", "00000028"),
    ):
        body = changed(golden.H264.body, (200, first), (336, second))
        assert chunk(golden.H264, video_length=reading) == body


def test_bits_of_the_zone() -> None:
    # TZ info of end and start: 4 + 112 + 39 and + 47; 156 more for the second picture.
    body = changed(golden.H265.body, *((p, "03") for p in (155, 163, 311 + 0, 319)))
    assert chunk(golden.H265, zone_bits=ZoneBits.LOW) == body
    sound = answer(golden.G711, zone_bits=ZoneBits.LOW)
    assert sound == changed(golden.G711.body, (15, "02"))
    sound = answer(golden.G726, zero_byte=True, zone_bits=ZoneBits.LOW)
    assert sound == changed(golden.G726.body, (15, "01"))


def test_times_of_a_gop() -> None:
    assert read(chunk(golden.H264, gop_end_is_next=True)).end == 14
    seen = read(chunk(golden.H264_HIDDEN_IDR, hidden_idr_starts_gop=True))
    assert (seen.start, seen.end, seen.times) == (0, 100, [0, 100])


def test_information_that_is_missing_or_more() -> None:
    body = chunk(golden.H264, time_and_date=False)
    assert body[:28] == changed(golden.H264.body, (2, "0068"))[:28]
    assert body[28:360] == golden.H264.body[40:372]
    body = chunk(golden.H264, camera_time=True)
    assert body[92:112] == h("0011 000C 65540A00 00 09 00 00  0012 0008 0000 0000")
    assert len(read(body).information) == 15
    assert body[112:392] == golden.H264.body[92:372]
    body = chunk(golden.JPEG, jpeg_compression=0)
    assert body[14:22] == h("0005 0008 0000 0000")
    body = chunk(golden.H264, camera_information=NASTY_CAMERA_INFORMATION)
    assert body.count(NASTY_CAMERA_INFORMATION) == 2
    plain = body[: 372 + 88].replace(NASTY_CAMERA_INFORMATION, b"")
    assert plain == changed(golden.H264.body[:372], (2, "00A0"))


def test_nasty_camera_information_is_well_formed() -> None:
    rest = NASTY_CAMERA_INFORMATION
    ids: list[str] = []
    while rest:
        ids.append(rest[:2].hex())
        rest = rest[int.from_bytes(rest[2:4], "big") :]
    assert ids == ["8003", "8004"]
    assert len(NASTY_CAMERA_INFORMATION) == 44


def test_jpeg_without_soi() -> None:
    # 10 - 2 = 8 bytes need no padding; the data stood at 6 + 104 + 104.
    expected = golden.JPEG.body[:214] + golden.JPEG.body[216:224]
    expected = changed(expected, (18, "00000008"), (192, "0000 00000008"))
    body = chunk(golden.JPEG, jpeg_soi=False)
    assert body == expected + bytes(4096 - 222)


def test_padding_and_what_is_reserved() -> None:
    assert chunk(golden.H264, final_padding=False) == golden.H264.body[:372]
    filled = chunk(golden.H264, padding_fill=0xAA)
    assert filled == golden.H264.body[:372] + b"\xaa" * 3724
    body = chunk(golden.H264, reserved_fill=0x55)
    assert body[68:76] == b"\x55" * 8  # 0x000B
    differing = {body[n] for n in range(len(body)) if body[n] != golden.H264.body[n]}
    assert differing == {0x55}
    assert sum(one != other for one, other in zip(body, golden.H264.body, strict=True)) == 8 + 2 * (
        12 + 16 + 16 + 3 + 8 + 16
    )
    assert answer(golden.G711, final_padding=False) == golden.G711.body[:68]
    sound = answer(golden.G711, reserved_fill=0x55)
    assert sound.count(0x55) == 1 + 4 + 3 + 4 + 28


def answer(
    expected: golden.GoldenSound, *, low_bits_first: bool = True, **switches: object
) -> bytes:
    playback = PlaybackReadings(au_header=expected.au_header)
    playback = replace(playback, **switches)  # type: ignore[arg-type]
    sound = RecordedSound(
        Codec(expected.codec),
        tuple(Unit(expected.start + 50 * n, piece) for n, piece in enumerate(expected.pieces)),
        expected.start,
        expected.end,
        zone=timezone(timedelta(minutes=expected.zone)) if expected.zone else UTC,
        summer_time=expected.summer_time,
    )
    readings = Readings(playback=playback, g726_low_bits_first=low_bits_first)
    return sound_answer(sound, expected.camera, readings)


def test_rows_of_the_audio_size() -> None:
    for row, g711, aac in ((SizeRow.MIDDLE, 20, 24), (SizeRow.LAST, 32, 36)):
        for expected, offset, size in (
            (golden.G711, g711, "00000004"),
            (golden.AAC_WITH_AU_HEADER, aac, "00000024"),
        ):
            body = changed(expected.body, (4, "00000000"), (offset, size))
            assert answer(expected, size_row=row) == body


def test_lengths_of_aac_blocks() -> None:
    # Blocks stand at 68 and 88.
    for reading, first, second in (
        (BlockLength.AFTER_ID, "0010", "000C"),
        (BlockLength.PADDED, "000C", "0008"),
        (BlockLength.WITHOUT_PADDING, "0012", "0010"),
        (BlockLength.FRAME, "000A", "0008"),
    ):
        body = changed(golden.AAC_WITH_AU_HEADER.body, (70, first), (90, second))
        assert answer(golden.AAC_WITH_AU_HEADER, block_length=reading) == body


def test_rows_of_aac_blocks() -> None:
    body = changed(golden.AAC_WITH_AU_HEADER.body, (72, "0002 01 00"), (92, "0000 01 00"))
    assert answer(golden.AAC_WITH_AU_HEADER, padding_two_bytes=True) == body


def test_the_zero_in_front() -> None:
    assert answer(golden.G711, zero_byte=True)[64:69] == h("00 FF7F8000")
    both = answer(golden.AAC_WITH_AU_HEADER, zero_byte=True)
    assert both[68:88] == h("FF14 0014 01 01 0000  00 0010 0030 01402280A37F 00")


def test_the_end_of_sound_and_the_order_of_g726() -> None:
    assert answer(golden.AAC_WITH_AU_HEADER, end_is_last_piece=True)[20:24] == h("65540A00")
    assert answer(golden.G726, low_bits_first=False)[64:68] == h("FFF70800")
