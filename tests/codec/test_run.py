"""Fragments taken in a run come out as if each had gone through every step: compared with a demuxer that makes no run."""

from __future__ import annotations

import os
from random import Random
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvrclient.codec import access_unit
from nvrclient.codec.run import FragmentRun
from nvrclient.frames import StreamItem
from tests.rtp.stream import MARKERS, Pipe, Sender, codec_of, flat

LONG = bool(os.environ.get("NVRCLIENT_LONG"))


def spoilt(random: Random, packets: list[bytes]) -> list[bytes]:
    """Lose, double, swap, change, cut and pad some of them."""
    out: list[bytes] = []
    for packet in packets:
        kind = random.random()
        changed = bytearray(packet)
        if kind < 0.02:
            continue
        if kind < 0.04:
            out.append(packet)
        elif kind < 0.06 and out:
            out.insert(-random.randrange(1, min(len(out), 5) + 1), packet)
            continue
        elif kind < 0.10:
            changed[random.randrange(min(len(changed), 60))] = random.randrange(256)
        elif kind < 0.11:
            del changed[random.randrange(len(changed)) :]
        elif kind < 0.12:
            changed[0] |= 0x20
            changed += b"\0\0\3"
        elif kind < 0.13:
            changed[1] ^= 0x80
        out.append(bytes(changed))
    return out


def told(pipe: Pipe) -> list[object]:
    """Return all that came out, and how it was counted."""
    counters = pipe.demuxer.counters()
    items: list[StreamItem] = pipe.items
    return [*items, counters, [item.nal_units for item in pipe.frames]]


@pytest.mark.parametrize("name", ["h264", "h265", "h264_large"])
@settings(max_examples=300 if LONG else 25, deadline=None)
@given(seed=st.integers(0, 1 << 30), settle=st.booleans(), clean=st.booleans())
def test_a_run_changes_nothing(name: str, seed: int, settle: bool, clean: bool) -> None:
    random = Random(seed)
    sender = Sender(
        codec_of(name), random.choice((1000, 0xFFF0)), size=random.choice((120, 300, 1200))
    )
    clock = random.choice((None, 1.7e9))
    pictures = range(12) if name == "h264_large" else range(40)
    packets = flat(sender.clip(name, pictures, marker=random.choice(MARKERS), clock=clock))
    if not clean:
        packets = spoilt(random, packets)
    interrupted = random.randrange(len(packets)) if random.random() < 0.3 else -1
    steps = [random.choice((0.0, 0.0, 0.001, 0.02, 0.15)) for _ in packets]
    runs, plain = Pipe.new(settle=settle), Pipe.new(settle=settle)
    for number, (packet, step) in enumerate(zip(packets, steps, strict=True)):
        for pipe in (runs, plain):
            if number == interrupted:
                pipe.demuxer.interrupt("reconnect")
            with mock.patch.object(
                FragmentRun, "take", (FragmentRun.take if pipe is runs else refuse)
            ):
                pipe.push(packet, step=step)
        one, other = runs.demuxer.video, plain.demuxer.video
        assert one.nal_units_so_far() == other.nal_units_so_far()
        assert (runs.demuxer.deadline, one.is_waiting) == (plain.demuxer.deadline, other.is_waiting)
    runs.finish()
    plain.finish()
    assert told(runs) == told(plain)


def refuse(_run: FragmentRun, _data: bytes) -> bool:
    """Take nothing."""
    return False


def test_most_packets_of_large_pictures_are_taken_in_runs() -> None:
    taken = 0

    def take(run: FragmentRun, data: bytes) -> bool:
        nonlocal taken
        took = real(run, data)
        taken += took
        return took

    real = FragmentRun.take
    packets = flat(Sender(codec_of("h264_large")).clip("h264_large", range(13)))
    pipe = Pipe()
    with mock.patch.object(FragmentRun, "take", take):
        pipe.push(*packets)
    assert taken > 0.8 * len(packets)


@pytest.mark.parametrize("limit", [50_000, 200_000])
def test_a_run_ends_where_a_picture_is_too_large(limit: int) -> None:
    """The bound of a picture's bytes holds inside a run too."""
    packets = flat(Sender(codec_of("h264_large")).clip("h264_large", range(14)))
    with mock.patch.object(access_unit, "MAX_ACCESS_UNIT", limit):
        pipe = Pipe()
        pipe.push(*packets)
        pipe.finish()
    assert pipe.dropped["oversize"]
    assert all(frame.size <= limit for frame in pipe.frames)
