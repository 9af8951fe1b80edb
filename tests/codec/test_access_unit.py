"""Where a picture begins and ends, and how much of one is kept (docs/faults.md rows 52, 53)."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable, Iterator
from random import Random

import pytest

from nvrclient.codec.access_unit import MAX_ACCESS_UNIT, SILENCE, Assembler
from nvrclient.codec.h264 import H264Depacketizer
from nvrclient.codec.h265 import H265Depacketizer
from nvrclient.frames import Codec
from nvrclient.simulator import Clip
from tests.rtp.stream import Pipe, Sender, flat, packet, pictures_of

LONG = bool(os.environ.get("NVRCLIENT_LONG"))
VOLUME = (1 << 30) if LONG else (48 << 20)
"""Bytes that go in: 1 GiB, or six times what one picture may be."""

SLICE = b"\x61\x9a" + bytes(range(2, 250))


def endless_fragments(size: int) -> Iterator[bytes]:
    yield b"\x7c\x85" + bytes(size)
    while True:
        yield b"\x7c\x05" + bytes(size)


def large_fragmented_units(size: int) -> Iterator[bytes]:
    """Each NAL unit just under the limit."""
    while True:
        yield b"\x7c\x85" + bytes(size)
        for _ in range(MAX_ACCESS_UNIT // size - 2):
            yield b"\x7c\x05" + bytes(size)
        yield b"\x7c\x45" + bytes(size)


def whole_units(size: int) -> Iterator[bytes]:
    while True:
        yield b"\x65\x88" + bytes([3]) * size


def parameter_sets(size: int) -> Iterator[bytes]:
    while True:
        yield b"\x67" + bytes([3]) * size


def aggregates(size: int) -> Iterator[bytes]:
    while True:
        yield b"\x78" + b"\x00\x04\x65\x88\x01\x01" * (size // 6)


def starts_only(size: int) -> Iterator[bytes]:
    while True:
        yield b"\x7c\x85" + bytes(size)


@pytest.mark.parametrize(
    ("payloads", "moving_time"),
    [
        (endless_fragments, False),
        (large_fragmented_units, False),
        (whole_units, False),
        (parameter_sets, False),
        (parameter_sets, True),
        (aggregates, False),
        (starts_only, False),
    ],
)
def test_row_52_a_picture_that_never_ends(
    payloads: Callable[[int], Iterator[bytes]], moving_time: bool
) -> None:
    """No marker, one time stamp (or NAL units that are no picture, with a moving one): memory stays bounded."""
    pipe = Pipe()
    pipe.push(*flat(Sender(Codec.H264, 65_000).clip("h264", range(2))))
    pipe.wait(1)
    pipe.items.clear()
    sender = Sender(Codec.H264, pipe_next(pipe), 500_000)
    tracemalloc.start()
    try:
        begun, _ = tracemalloc.get_traced_memory()
        volume = 0
        for payload in payloads(60_000):
            data = sender.one(payload)
            volume += len(data)
            pipe.demuxer.push_packet(data, pipe.now)
            if moving_time:
                sender.timestamp += 3000
            if volume > VOLUME:
                break
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (
        peak - begun < 17 << 20
    )  # the largest unit in pieces and whole, 8 MiB each, and some change
    # The next key frame is good (rows 52, 55).
    sender.timestamp += 6000
    pipe.push(*flat(sender.clip("h264", range(30, 33))))
    pipe.finish()
    expected = pictures_of("h264", range(30, 33))
    assert pipe.pictures[-2:] == expected[1:]
    assert pipe.pictures[-3][-len(expected[0]) :] == expected[0]
    assert moving_time or pipe.pictures[-3] == expected[0]
    counters = pipe.demuxer.counters()
    assert counters.dropped["oversize"] >= 1
    if not moving_time:
        assert counters.dropped["oversize"] == counters.malformed == 1 or payloads is starts_only
    assert counters.frames == len(pipe.frames) + 2 + sum(counters.dropped.values())


def pipe_next(pipe: Pipe) -> int:
    expected: int = pipe.demuxer.video.reorder._expected
    return expected


@pytest.mark.parametrize("count", [1024, 1025, 5000])
def test_row_52_a_thousand_nal_units_are_a_picture_more_are_none(count: int) -> None:
    assembler = Assembler(H264Depacketizer())
    done = []
    for number in range(count):
        done += assembler.push(packet(number, 7, SLICE), 0.0)
    done += assembler.push(packet(count, 8, SLICE), 0.0)
    [unit] = done
    assert unit.damage == ("" if count == 1024 else "oversize")
    assert assembler.malformed == ({} if count == 1024 else {"oversize": 1})
    assert len(unit.nal_units) <= 1024


def test_silence_ends_a_picture_whose_marker_is_not_believed_yet() -> None:
    assembler = Assembler(H264Depacketizer())
    assert assembler.push(packet(1, 7, SLICE, marker=True), 5.0) == []
    assert assembler.deadline == pytest.approx(5.0 + SILENCE)
    assert assembler.flush(5.0 + SILENCE / 2) == []
    [unit] = assembler.flush(5.0 + SILENCE)
    assert [nal.data for nal in unit.nal_units] == [SLICE]
    assert assembler.deadline is None
    assert assembler.in_progress is None


def test_row_53_a_marker_that_turns_out_early_is_believed_no_more() -> None:
    """A stream that marked pictures, then begins to mark slices: one picture is damaged, none is cut after that."""
    pipe = Pipe()
    sender = Sender(Codec.H265)
    pipe.push(*flat(sender.clip("h265_slices", range(10))), step=0.001)
    pipe.push(*flat(sender.clip("h265_slices", range(10, 95), marker="every NAL unit")), step=0.001)
    pipe.finish()
    whole = pictures_of("h265_slices")
    good = [picture for picture in pipe.pictures if picture in whole]
    assert len(pipe.pictures) - len(good) <= 1
    assert pipe.pictures[:10] == whole[:10]
    assert pipe.pictures[-65:] == whole[30:95]
    assert pipe.dropped["early marker"] == 1
    assert pipe.demuxer.counters().malformed == 1


@pytest.mark.parametrize("name", ["h264", "h265_slices"])
def test_row_53_markers_at_random(name: str) -> None:
    """Markers that mean nothing at all: time stamps decide, and after a while nothing is cut."""
    random = Random(9)
    sender = Sender(Clip.load(name).codec, size=300)
    packets = [bytearray(data) for data in flat(sender.clip(name, range(95)))]
    for data in packets:
        data[1] = data[1] & 0x7F | random.choice([0, 0x80])
    pipe = Pipe()
    pipe.push(*map(bytes, packets), step=0.001)
    pipe.finish()
    assert pipe.pictures[-34:] == pictures_of(name, range(60, 94)) or pipe.pictures[
        -35:
    ] == pictures_of(name, range(60, 95))
    pipe.check()


def test_parameter_sets_with_a_time_stamp_of_their_own_belong_to_the_next_picture() -> None:
    pipe = Pipe()
    sender = Sender(Codec.H264)
    for nals in pictures_of("h264", range(3)):
        front = [nal for nal in nals if nal[0] & 31 > 5]
        pipe.push(*sender.picture(front, 10, marker="never"))
        pipe.push(*sender.picture([nal for nal in nals if nal[0] & 31 <= 5], 5990))
    pipe.finish()
    assert pipe.pictures == pictures_of("h264", range(3))
    pipe.check()


def test_a_sender_that_breaks_off_in_front_of_the_slices() -> None:
    """A delimiter and a lost rest are one broken picture, not the front of the next."""
    pipe = Pipe()
    sender = Sender(Codec.H264)
    pictures = sender.clip("h264", range(33))
    pipe.push(*flat([*pictures[:5], pictures[5][:1], *pictures[6:]]))
    pipe.finish()
    assert pipe.pictures == [*pictures_of("h264", range(5)), *pictures_of("h264", range(30, 33))]
    assert pipe.dropped["loss"] == 1
    pipe.check()


def test_units_of_what_is_no_picture_come_out_only_with_one() -> None:
    assembler = Assembler(H265Depacketizer())
    done = []
    for number in range(10):
        done += assembler.push(packet(number, number, b"\x46\x01\x50", marker=True), 0.0)
    assert not done
    assert assembler.deadline is None
    assert [unit.damage for unit in assembler.close()] == ["interrupted"]
