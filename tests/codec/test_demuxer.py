"""The media path from datagrams to frames under every fault of docs/faults.md rows 26 to 37, 53 and 55.

Ground truth are access units of real encoders; `Pipe.check` holds the promises that every run must keep.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nvrclient.frames import Codec, Discontinuity, VideoFrame
from nvrclient.rtp.reorder import MAX_WAITING
from nvrclient.simulator import Clip
from tests.rtp.stream import (
    LONG,
    MARKERS,
    Marker,
    Pipe,
    Sender,
    codec_of,
    flat,
    is_slice,
    pictures_of,
    rtp,
)
from tests.simulator import golden

CLIPS = ("h264", "h264_large", "h265", "h265_slices", "h265_cra")
FEW = range(95)  # three GOPs and a bit of the clips with a key frame every 30


def judge(pipe: Pipe, name: str, *, whole: bool = True) -> list[int]:
    """Every frame is a source picture, byte for byte, and one whose references were given; which they are."""
    pipe.check(whole=whole)
    place = {nals: index for index, nals in enumerate(Clip.load(name).nal_units)}
    found = [place[picture] for picture in pipe.pictures]
    for number, frame in enumerate(pipe.frames):
        assert frame.keyframe == (found[number] in Clip.load(name).keyframes)
        if not frame.keyframe:
            assert found[number] == found[number - 1] + 1, "its reference was not given"
    return found


# A clean stream


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("marker", MARKERS)
@pytest.mark.parametrize("whole_slices", [False, True])
def test_a_clean_stream(name: str, marker: Marker, whole_slices: bool) -> None:
    """Row 53 too: the marker where it belongs, never, on every NAL unit, or early on what comes before the slices."""
    pipe = Pipe()
    sender = Sender(codec_of(name), whole_slices=whole_slices)
    for picture in sender.clip(name, marker=marker, clock=1_700_000_000):
        pipe.push(*picture)
        pipe.wait(1 / 15)
    pipe.finish()
    expected = pictures_of(name)
    if marker == "never":  # nothing says that the last one is over
        expected.pop()
    assert pipe.pictures == expected
    assert not pipe.told
    assert not pipe.dropped
    pipe.check()
    counters = pipe.demuxer.counters()
    assert (counters.lost, counters.malformed, counters.ignored) == (0, 0, {})


@pytest.mark.parametrize("name", ["h264", "h265_slices"])
def test_delay_is_one_picture_at_most(name: str) -> None:
    """A marker that was found true ends the picture at once: nothing waits for the next one."""
    pipe = Pipe()
    for number, picture in enumerate(Sender(codec_of(name)).clip(name, range(20))):
        pipe.push(*picture)
        assert len(pipe.frames) == (number + 1 if number else 0)
        pipe.now += 1 / 15


def test_the_first_picture_does_not_wait_for_the_second() -> None:
    pipe = Pipe()
    pipe.push(*flat(Sender(Codec.H264).clip("h264", [0])))
    assert not pipe.frames
    pipe.wait(0.11)
    assert len(pipe.frames) == 1


def test_golden_packets() -> None:
    """Both real first packets, and the counters of what is no media."""
    pipe = Pipe()
    pipe.push(golden.H265_FIRST_PACKET, golden.H264_PADDED_PACKET, golden.H264_LAST_PACKET)
    counters = pipe.demuxer.counters()
    assert counters.packets == 3
    assert counters.bytes == sum(
        map(len, (golden.H265_FIRST_PACKET, golden.H264_PADDED_PACKET, golden.H264_LAST_PACKET))
    )


def test_parts_by_their_content_type() -> None:
    pipe = Pipe()
    packets = flat(Sender(Codec.H264).clip("h264", range(3)))
    for data in packets:
        pipe.demuxer.push_part("Application/Octet-Stream; x=1", data, pipe.now)
    pipe.demuxer.push_part("text/plain", b"hello", pipe.now)
    pipe.items += pipe.demuxer.take()
    pipe.finish()
    assert len(pipe.frames) == 3
    counters = pipe.demuxer.counters()
    assert counters.ignored == {"content type": 1}
    assert counters.packets == len(packets) + 1


# Row 26: loss


def lossy(
    packets: Sequence[bytes], random: Random, rate: float, burst: int
) -> tuple[list[bytes], int]:
    """Take packets away in bursts, never the first or the last one; how many."""
    kept = [packets[0]]
    index = 1
    while index < len(packets) - 1:
        if random.random() < rate / (burst / 2 + 0.5):
            index += random.randint(1, burst)
        else:
            kept.append(packets[index])
            index += 1
    kept.append(packets[-1])
    return kept, len(packets) - len(kept)


@settings(max_examples=1000 if LONG else 20, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 1 << 30),
    rate=st.sampled_from([0.001, 0.01, 0.05]),
    burst=st.sampled_from([1, 1, 5, 200]),
    settle=st.booleans(),
    whole_slices=st.booleans(),
)
@pytest.mark.parametrize("marker", MARKERS)
@pytest.mark.parametrize("name", ["h264", "h265_slices", "h264_large"])
def test_row_26_loss(
    name: str,
    marker: Marker,
    seed: int,
    rate: float,
    burst: int,
    settle: bool,
    whole_slices: bool,
) -> None:
    random = Random(seed)
    size = 1200 if name == "h264_large" else 250
    sender = Sender(codec_of(name), random.randrange(65536), size=size, whole_slices=whole_slices)
    pictures = sender.clip(name, None if name == "h264_large" else FEW, marker=marker)
    clean = flat(pictures[pictures_before_last_key(name) :])
    kept, injected = lossy(flat(pictures), random, rate, burst)
    pipe = Pipe.new(settle=settle)
    pipe.push(*kept, step=0.001)
    # A clean GOP at the end (row 55), from the next numbers on.
    for data in renumbered(clean, kept[-1], 6000):
        pipe.push(data, step=0.001)
    pipe.finish()
    found = judge(pipe, name)
    counters = pipe.demuxer.counters()
    assert counters.lost == injected
    assert (counters.late, counters.duplicates, counters.reordered) == (0, 0, 0)
    tail = found[-(len(pictures) - pictures_before_last_key(name)) :]
    if marker == "never":
        tail = found[-(len(pictures) - pictures_before_last_key(name)) + 1 :]
    assert tail[0] == pictures_before_last_key(name)
    if injected == 0:
        assert not counters.dropped


def pictures_before_last_key(name: str) -> int:
    keys = Clip.load(name).keyframes
    limit = len(Clip.load(name)) if name == "h264_large" else len(FEW)
    return max(key for key in keys if key < limit)


def renumbered(packets: Sequence[bytes], last: bytes, ticks: int) -> list[bytes]:
    """The same packets, following on `last` in number and time."""
    number = int.from_bytes(last[2:4], "big") + 1
    shift = int.from_bytes(last[4:8], "big") + ticks - int.from_bytes(packets[0][4:8], "big")
    return [
        data[:2]
        + ((number + n) & 0xFFFF).to_bytes(2, "big")
        + ((int.from_bytes(data[4:8], "big") + shift) & 0xFFFFFFFF).to_bytes(4, "big")
        + last[8:12]
        + data[12:]
        for n, data in enumerate(packets)
    ]


@pytest.mark.parametrize("marker", MARKERS)
@pytest.mark.parametrize("name", ["h264", "h265_slices"])
def test_row_26_each_packet_lost_in_turn(name: str, marker: Marker) -> None:
    """Of the first 12 pictures of a stream, every packet once: the first picture is no exception."""
    sizes = [len(picture) for picture in Sender(codec_of(name), size=400).clip(name, range(12))]
    for missing in range(1, sum(sizes)):
        pictures = Sender(codec_of(name), size=400).clip(name, range(33), marker=marker)
        packets = flat(pictures)
        del packets[missing]
        pipe = Pipe()
        pipe.push(*packets, step=0.005)
        pipe.finish()
        found = judge(pipe, name)
        assert pipe.demuxer.counters().lost == 1
        last = 32 if marker != "never" else 31
        assert found[-1] == last
        assert found[-(last - 29) :] == list(range(30, last + 1))
        broken = next(n for n in range(12) if sum(sizes[: n + 1]) > missing)
        # The one before is whole for sure only if a marker, found true before, ended it.
        at_front = missing == sum(sizes[:broken])
        known = broken > 1 and marker in {"last", "early"}
        known = known or (broken > 1 and name == "h264" and marker == "every NAL unit")
        given = list(range(broken if known or not at_front else broken - 1))
        assert found[: -(last - 29)] == given
        [told] = pipe.told if given else [Discontinuity("loss", lost=1)]
        assert (told.reason, told.lost) == ("loss", 1)


@pytest.mark.parametrize("marker", MARKERS)
def test_row_26_the_picture_after_the_first_is_lost_whole(marker: Marker) -> None:
    """The marker of the first picture is not believed yet: the loss belongs to what follows it all the same."""
    pictures = Sender(Codec.H265).clip("h265_slices", range(33), marker=marker)
    pipe = Pipe()
    pipe.push(*flat([pictures[0], *pictures[2:]]))
    pipe.finish()
    found = judge(pipe, "h265_slices")
    assert set(found) - {0} >= {30, 31}
    assert not set(found) & set(range(1, 30))


@pytest.mark.parametrize("gone", [1, 2, 3])
def test_row_26_trailing_slices_of_a_key_frame_lost_with_a_marker_on_each(gone: int) -> None:
    """A marker on every NAL unit says nothing: three of four slices are no picture."""
    pictures = Sender(Codec.H265, whole_slices=True).clip(
        "h265_slices", range(62), marker="every NAL unit"
    )
    for number in (0, 30):
        packets = [*pictures]
        packets[number] = pictures[number][:-gone]
        pipe = Pipe()
        pipe.push(*flat(packets), step=0.002)
        pipe.finish()
        found = judge(pipe, "h265_slices")
        assert number not in found
        assert pipe.demuxer.counters().lost == gone
        assert found == [*range(number), *range(number + 30, 62)]


def test_row_26_a_marker_with_a_loss_behind_it_is_not_found_true() -> None:
    """First slice with a marker, the rest lost: nobody knows yet what this sender's markers mean."""
    sender = Sender(Codec.H265, whole_slices=True)
    pictures = sender.clip("h265_slices", [0, 30, 31, 32], marker="every NAL unit")
    pipe = Pipe()
    pipe.push(*flat([pictures[0][:-3], *pictures[1:]]), step=0.002)
    pipe.finish()
    assert judge(pipe, "h265_slices") == [30, 31, 32]
    assert pipe.dropped == {"loss": 1}


def test_row_26_silence_behind_a_gap_ends_no_picture() -> None:
    """Slice, gap, slice that waits: the wait for the gap is no silence after a marker."""
    pictures = Sender(Codec.H265, whole_slices=True).clip(
        "h265_slices", range(62), marker="every NAL unit"
    )
    pipe = Pipe()
    pipe.push(*flat(pictures[:30]), step=0.002)
    first, *rest = pictures[30][-4:]
    pipe.push(*pictures[30][:-4], first)
    pipe.wait(0.01)
    pipe.push(*rest[1:])  # the second slice is gone
    pipe.demuxer.flush(
        pipe.now + 0.095
    )  # 0.105 s after the marker, 0.095 s after the gap: as audio may ask
    pipe.wait(0.2)
    pipe.push(*flat(pictures[31:]), step=0.002)
    pipe.finish()
    assert judge(pipe, "h265_slices") == [*range(30), 60, 61]


def without_delimiters(name: str, indices: Sequence[int]) -> list[list[bytes]]:
    nals = Clip.load(name).nal_units
    return [[nal for nal in nals[n] if nal[0] & 31 != 9] for n in indices]


def test_row_26_after_a_loss_a_picture_counts_only_if_its_first_packet_was_seen() -> None:
    """With a delimiter that is seen; without one only the packet before it says so."""
    source = pictures_of("h264", [0, 1, 30, 31, 60, 61])
    for delimited in (True, False):
        sender = Sender(Codec.H264)
        nals = source if delimited else without_delimiters("h264", [0, 1, 30, 31, 60, 61])
        pictures = [sender.picture(one) for one in nals]
        lost_before = Pipe()
        lost_before.push(*flat([pictures[0], pictures[1][:-1], *pictures[2:]]))
        lost_before.finish()
        seen = Pipe()
        seen.push(*flat([pictures[0], pictures[1][:-2], [pictures[1][-1]], *pictures[2:]]))
        seen.finish()
        assert [frame.keyframe for frame in seen.frames] == [True, True, False, True, False]
        expected = [True, True, False, True, False] if delimited else [True, True, False]
        assert [frame.keyframe for frame in lost_before.frames] == expected
        for pipe in (lost_before, seen):
            pipe.check()
            assert pipe.demuxer.counters().lost == 1


# Rows 27, 28: order and copies


@settings(max_examples=500 if LONG else 25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 1 << 30),
    distance=st.integers(1, MAX_WAITING),
    start=st.integers(0xFF00, 0xFFFF) | st.integers(0, 0xFFFF),
    copies=st.floats(0, 0.5),
)
@pytest.mark.parametrize("marker", ["last", "every NAL unit"])
def test_row_27_28_reordered_and_copied(
    marker: Marker, seed: int, distance: int, start: int, copies: float
) -> None:
    """Everything arrives, up to 32 places from home and several times, the very first packets too."""
    random = Random(seed)
    sender = Sender(Codec.H265, start, 0xFFFFFFFF - 90_000, size=300)
    packets = flat(sender.clip("h265_slices", range(35), marker=marker))
    order = sorted(range(len(packets)), key=lambda n: n + random.uniform(0, distance))
    pipe = Pipe.new(settle=True)
    copied = 0
    for place, number in enumerate(order):
        pipe.push(packets[number], step=0.0005)
        if random.random() < copies:
            pipe.push(packets[order[random.randint(max(0, place - 60), place)]])
            copied += 1
    pipe.finish()
    assert pipe.pictures == pictures_of("h265_slices", range(35))
    pipe.check()
    counters = pipe.demuxer.counters()
    assert (counters.lost, counters.late, counters.ignored) == (0, 0, {})
    assert counters.duplicates == copied
    assert not pipe.told


def test_row_28_copies_a_lap_later_change_nothing() -> None:
    """65,536 packets later the numbers are the same: the time stamps are not."""
    clip = Clip.load("h264")
    sender = Sender(Codec.H264, size=60, sequence_number=0xFFFF)
    packets: list[bytes] = []
    pictures = 0
    while len(packets) < 65_536 + 4000:
        packets += sender.picture(clip.nal_units[pictures % len(clip)], 6000)
        pictures += 1
    plain, copied = Pipe(), Pipe()
    for number, data in enumerate(packets):
        for pipe in (plain, copied):
            pipe.demuxer.push_packet(data, pipe.now)
            pipe.now += 0.002
        if number >= 65_536:
            copied.demuxer.push_packet(packets[number - 65_536 + number % 2], copied.now)
    for pipe in (plain, copied):
        pipe.finish()
        pipe.items += pipe.demuxer.take()
        pipe.check()
    assert copied.pictures == plain.pictures
    assert len(plain.pictures) == pictures
    assert [frame.pts for frame in copied.frames] == [frame.pts for frame in plain.frames]
    assert not copied.told


# Rows 29, 30, 31: numbers, senders


@pytest.mark.parametrize("start", [*range(0xFFF8, 0x10000), 0])
@pytest.mark.parametrize("timestamp", [0xFFFFFFFF, 0xFFFFFFFF - 3000, 0xFFFFFFFF - 6000 * 29])
def test_row_29_both_wraps(start: int, timestamp: int) -> None:
    pipe = Pipe.new(settle=True)
    pipe.push(*flat(Sender(Codec.H264, start, timestamp).clip("h264", FEW)))
    pipe.finish()
    assert pipe.pictures == pictures_of("h264", FEW)
    assert [frame.pts for frame in pipe.frames] == [6000 * n for n in FEW]
    assert pipe.demuxer.counters().lost == 0


@pytest.mark.parametrize("jump", [3200, 20_000, 40_000, 60_000])
@pytest.mark.parametrize("restart", [None, 123_456_789, 0xFFFFFFF0])
def test_row_29_a_jump_costs_at_most_one_gop(jump: int, restart: int | None) -> None:
    sender = Sender(Codec.H264)
    pipe = Pipe()
    pipe.push(*flat(sender.clip("h264", range(35))), step=0.01)
    sender.sequence_number = (sender.sequence_number + jump) & 0xFFFF
    sender.timestamp = sender.timestamp if restart is None else restart
    pipe.push(*flat(sender.clip("h264", range(35, 95))), step=0.01)
    pipe.finish()
    found = judge(pipe, "h264")
    assert found == [*range(35), *range(60, 95)]
    assert [item.reason for item in pipe.told] == ["loss"]


@pytest.mark.parametrize("marker", MARKERS)
@pytest.mark.parametrize("same_times", [False, True])
def test_row_30_a_new_sender_at_every_gop(marker: Marker, same_times: bool) -> None:
    """All GOPs out, pts rising by the time that passed, nothing lost."""
    random = Random(5)
    pipe = Pipe()
    sender = Sender(Codec.H265)
    count = 1000 if LONG else 20
    expected = []
    for gop in range(count):
        numbers = range(30 * (gop % 5), 30 * (gop % 5) + 30)
        pipe.push(*flat(sender.clip("h265", numbers, marker=marker)), step=0.02)
        expected += pictures_of("h265", numbers if marker != "never" else numbers[:-1])
        sender = replace(sender, ssrc=gop + 77, sequence_number=random.randrange(65_536))
        if not same_times:
            sender.timestamp = random.randrange(1 << 32)
    pipe.finish()
    assert pipe.pictures == expected
    pipe.check()
    assert pipe.demuxer.counters().ssrc_changes == count - 1
    assert pipe.demuxer.counters().lost == 0


@pytest.mark.parametrize("ahead", [-2.0, 0.0, 20.0, 10_000.0])
def test_row_30_the_time_that_passed_counts_not_the_other_senders_time_stamps(ahead: float) -> None:
    pipe = Pipe()
    sender = Sender(Codec.H264)
    for picture in sender.clip("h264", range(30)):
        pipe.push(*picture)
        pipe.wait(1 / 15)
    sender.ssrc = 9
    sender.timestamp = round(sender.timestamp + ahead * 90_000) & 0xFFFFFFFF
    for picture in sender.clip("h264", range(30, 60)):
        pipe.push(*picture)
        pipe.wait(1 / 15)
    pipe.finish()
    pts = [frame.pts for frame in pipe.frames]
    assert pts[:30] == [6000 * n for n in range(30)]
    assert pts[30] == pytest.approx(6000 * 30, abs=6000)  # to a picture: the first came late
    assert [after - pts[30] for after in pts[30:]] == [6000 * n for n in range(30)]


@pytest.mark.parametrize("fps", [1, 15])
@pytest.mark.parametrize("missing", [0, 30])
@pytest.mark.parametrize("change", ["sender", "sequence"])
def test_row_30_what_is_missing_between_two_senders_is_told(
    fps: int, missing: int, change: str
) -> None:
    """No number tells of it where the next one begins with a key frame; the time that passed does."""
    pipe = Pipe()
    sender = Sender(Codec.H264)
    for picture in sender.clip("h264", range(30)):
        pipe.push(*picture)
        pipe.wait(1 / fps)
    pipe.wait(missing / fps)
    if change == "sender":
        sender.ssrc = 9
    else:
        sender.sequence_number = (sender.sequence_number + 20_000) & 0xFFFF
    for picture in sender.clip("h264", range(30 + missing, 90)):
        pipe.push(*picture)
        pipe.wait(1 / fps)
    pipe.finish()
    assert judge(pipe, "h264") == [*range(30), *range(30 + missing, 90)]
    assert [item.reason for item in pipe.told] == (["loss"] if missing else [])


@pytest.mark.parametrize("first", range(1, len(Clip.load("h265_slices").nal_units[0])))
def test_row_30_the_first_packets_of_a_new_sender_are_lost(first: int) -> None:
    """Where a sender began is not known: a key frame without its first slice is no key frame."""
    old, new = Sender(Codec.H265, whole_slices=True), Sender(Codec.H265, ssrc=9, whole_slices=True)
    pipe = Pipe()
    pipe.push(*flat(old.clip("h265_slices", range(40))))
    pipe.push(*flat(new.clip("h265_slices", range(62)))[first:])
    pipe.finish()
    found = judge_parts(pipe, "h265_slices")
    assert found[:40] == list(range(40))
    # Delimiter and parameter sets may be missing (they were given before); a slice may not.
    nals = Clip.load("h265_slices").nal_units[0]
    slices_seen = sum(is_slice(Codec.H265, nal) for nal in nals[first:]) == 4
    assert found[40:] == [*range(0 if slices_seen else 30, 62)]


def judge_parts(pipe: Pipe, name: str) -> list[int]:
    """As `judge`, for pictures that may lack NAL units in front of their slices."""
    codec = codec_of(name)

    def slices(nals: Sequence[bytes]) -> tuple[bytes, ...]:
        return tuple(nal for nal in nals if is_slice(codec, nal))

    place = {slices(nals): index for index, nals in enumerate(Clip.load(name).nal_units)}
    return [place[slices(picture)] for picture in pipe.pictures]


def test_row_30_same_time_stamp_another_sender() -> None:
    """Pictures of two senders are never one, whatever their time stamps."""
    pipe = Pipe()
    old = Sender(Codec.H264)
    pipe.push(*flat(old.clip("h264", range(3))))
    new = Sender(Codec.H264, ssrc=9, timestamp=old.timestamp)
    pipe.push(*flat(old.clip("h264", [3]))[:-1])  # its last packet is missing
    pipe.push(*flat(new.clip("h264", range(30, 40))))
    pipe.finish()
    assert judge(pipe, "h264") == [0, 1, 2, *range(30, 40)]
    assert pipe.dropped == {"loss": 1}


def naming(sender: Sender, camera: int, pictures: Sequence[int]) -> list[list[bytes]]:
    """Return pictures whose first packets name a camera (TLV 0x0004)."""
    extension = struct.pack(">HHHH", 4, 8, camera, 0)
    nals = Clip.load("h264").nal_units
    return [sender.picture(nals[number], extension=extension) for number in pictures]


def test_row_31_another_cameras_sender_is_not_heard() -> None:
    """A stream that was never stopped goes on to this port: beside ours, and alone before ours is back."""
    pipe = Pipe()
    theirs = Sender(Codec.H264, ssrc=9)
    pipe.push(*flat(naming(Sender(Codec.H264), 1, range(30))))
    pipe.push(*flat(naming(theirs, 2, range(30))))
    pipe.demuxer.interrupt("reconnect")
    strange = flat(naming(theirs, 2, range(30, 60)))
    pipe.push(*strange[1:])  # the packet that names it is lost; it is known already
    pipe.push(*flat(naming(Sender(Codec.H264, ssrc=10), 1, range(30, 60))))
    pipe.finish()
    assert judge(pipe, "h264") == list(range(60))
    ignored = pipe.demuxer.counters().ignored
    assert set(ignored) == {"another camera"}
    assert ignored["another camera"] > 2 * 30


def test_row_30_recorders_that_number_otherwise_are_heard() -> None:
    """The number counts only where it was once that of the camera asked for."""
    pipe = Pipe()
    for ssrc, camera in enumerate((17, 18, 0), 1):
        pictures = range(30 * ssrc, 30 * ssrc + 30)
        pipe.push(*flat(naming(Sender(Codec.H264, ssrc=ssrc), camera, pictures)))
    pipe.finish()
    assert judge(pipe, "h264") == list(range(30, 120))
    assert not pipe.demuxer.counters().ignored


@pytest.mark.parametrize("kind", ["ssrc", "payload type", "audio", "unknown payload type", "rtcp"])
def test_row_31_32_strangers_in_between(kind: str) -> None:
    pipe = Pipe()
    packets = flat(Sender(Codec.H264).clip("h264", FEW))
    for number, data in enumerate(packets):
        pipe.push(data, step=0.001)
        other = {
            "ssrc": {"ssrc": 666},
            "payload type": {"payload_type": 101},
            "audio": {"payload_type": 97, "ssrc": 4},
            "unknown payload type": {"payload_type": 50},
            "rtcp": {"payload_type": 72, "marker": True},
        }[kind]
        pipe.push(rtp(40_000 + number, number * 6000, b"\x7c\x85attack", **other))  # type: ignore[arg-type]
    pipe.finish()
    assert pipe.pictures == pictures_of("h264", FEW)
    assert not pipe.told
    counters = pipe.demuxer.counters()
    assert counters.lost == 0
    ignored = {
        "ssrc": "stray",
        "payload type": "stray",
        "unknown payload type": "payload type",
        "rtcp": "RTCP",
    }
    if kind in {"ssrc", "payload type"}:
        assert len(packets) - 1 <= counters.ignored[ignored[kind]] <= len(packets)
    elif kind != "audio":
        assert counters.ignored == {ignored[kind]: len(packets)}


# Rows 32, 33: what is no packet


GOOD = Sender(Codec.H264).one(b"\x09\x10", extension=bytes(8))


@pytest.mark.parametrize(
    ("reason", "data"),
    [
        ("malformed", b""),
        ("malformed", GOOD[:11]),
        ("malformed", b"\x00" + GOOD[1:]),
        ("malformed", bytes.fromhex("0001 0000 2112a442") + bytes(12)),  # STUN
        ("RTCP", bytes([0x80, 200]) + bytes(26)),
        ("malformed", b"\x8f" + bytes([98]) + bytes(20)),
        ("malformed", b"\x90" + GOOD[1:14] + b"\xff\xff" + GOOD[16:]),
        ("malformed", b"\xb0" + GOOD[1:-1] + b"\x00"),
        ("malformed", b"\xb0" + GOOD[1:-1] + b"\xff"),
        ("payload type", rtp(5, 5, b"copy", payload_type=50)),
        ("payload type", rtp(5, 5, b"copy", payload_type=96)),
    ],
)
def test_row_32_33_counted_once_and_the_next_is_used(reason: str, data: bytes) -> None:
    pipe = Pipe()
    for picture in Sender(Codec.H264).clip("h264", range(3)):
        for good in picture:
            pipe.push(data, good)
    pipe.finish()
    counters = pipe.demuxer.counters()
    assert pipe.pictures == pictures_of("h264", range(3))
    bad = counters.packets // 2
    assert counters.malformed == (bad if reason == "malformed" else 0)
    assert counters.ignored == ({} if reason == "malformed" else {reason: bad})
    assert counters.lost == 0


@settings(max_examples=3000 if LONG else 80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
@pytest.mark.parametrize("name", ["h264", "h265_slices"])
def test_row_33_55_one_field_of_a_real_packet_mutated(name: str, data: st.DataObject) -> None:
    """A field, a byte, a cut: nothing is raised, what comes out is whole, and the next GOP is byte-exact."""
    codec = codec_of(name)
    sender = Sender(codec, size=500)
    pictures = sender.clip(name, range(30), clock=1_700_000_000)
    packets = flat(pictures)
    pipe = Pipe()
    renumbers = False
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(packets) - 1))
        packet = bytearray(packets[at])
        field = data.draw(
            st.sampled_from(["0", "1", "2:4", "4:8", "8:12", "12:16", "16:", "cut", "any"])
        )
        if field == "cut":
            packet = packet[: data.draw(st.integers(0, len(packet)))]
        elif field == "any":
            packet = packet or bytearray(1)
            packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
        else:
            first, _, end = field.partition(":")
            stop = int(end) if end else int(first) + 1
            packet[int(first) : stop] = data.draw(
                st.binary(min_size=stop - int(first), max_size=stop - int(first))
            )
        renumbers = renumbers or packet[2:8] != packets[at][2:8]
        packets[at] = bytes(packet)
    pipe.push(*packets, step=0.001)
    last = replace(sender).one(b"")
    pipe.push(*renumbered(flat(Sender(codec).clip(name, range(30, 62))), last, 6000), step=0.001)
    pipe.finish()
    # A wrong number can be the right one of the next GOP, a wrong time stamp makes another sender of the rest; the
    # GOP after it is whole whatever happened.
    assert pipe.pictures[-2:] == pictures_of(name, [60, 61])
    assert renumbers or pipe.pictures[-32:] == pictures_of(name, range(30, 62))
    pipe.check(whole=False, clock=False)


@settings(max_examples=3000 if LONG else 60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 1 << 30),
    settle=st.booleans(),
)
@pytest.mark.parametrize("name", ["h264", "h265"])
def test_row_55_garbage_then_a_clean_stream(name: str, seed: int, settle: bool) -> None:
    """Any mix of wild packets, then a sender of its own: its GOPs come out byte-exact from the first one."""
    random = Random(seed)
    codec = codec_of(name)
    pipe = Pipe.new(settle=settle)
    real = flat(Sender(codec, size=300).clip(name, range(10), marker=random.choice(MARKERS)))
    for _ in range(random.randrange(120)):
        data = bytearray(random.choice(real))
        for _ in range(random.choice([0, 1, 1, 3])):
            data[random.randrange(min(len(data), 20))] = random.randrange(256)
        pipe.push(bytes(data), step=random.choice([0, 0, 0.01, 0.3]))
    pipe.wait(1)
    before = len(pipe.frames)
    pipe.push(*flat(Sender(codec, ssrc=0xC1EA, timestamp=99).clip(name, range(35))), step=0.001)
    pipe.finish()
    clean = [
        f for f in pipe.frames[before:] if f.nal_units[0].rtp_timestamp in range(99, 99 + 6000 * 35)
    ]
    assert [tuple(nal.data for nal in frame.nal_units) for frame in clean][-35:] == pictures_of(
        name, range(35)
    )
    pipe.check(whole=False)


# Row 37: the start


@pytest.mark.parametrize("name", ["h264", "h265", "h265_slices", "h264_large"])
@pytest.mark.parametrize("whole_slices", [False, True])
@pytest.mark.parametrize("settle", [False, True])
def test_row_37_each_of_the_first_ten_packets_lost(
    name: str, whole_slices: bool, settle: bool
) -> None:
    """Nothing is given before a key frame that is whole with its parameter sets."""
    codec = codec_of(name)
    clip = Clip.load(name)
    second = sorted(clip.keyframes)[1]
    for missing in range(10):
        pictures = Sender(codec, size=900, whole_slices=whole_slices).clip(name, range(second + 3))
        packets = flat(pictures)
        del packets[missing]
        pipe = Pipe.new(settle=settle)
        pipe.push(*packets, step=0.001)
        pipe.finish()
        pipe.check()
        found = judge_parts(pipe, name)
        in_first = missing < len(pictures[0])
        if missing == 0:  # the delimiter: what follows brings its parameter sets
            assert found == list(range(second + 3))
            assert pipe.demuxer.counters().lost == 0
        elif in_first:
            assert found == list(range(second, second + 3))
            assert pipe.dropped["waiting for key frame"] > 0
        else:
            assert found[-3:] == list(range(second, second + 3))
        assert pipe.frames[0].keyframe


@pytest.mark.parametrize("gone", range(1, 8))
@pytest.mark.parametrize("name", ["h264", "h265_slices"])
def test_row_37_the_first_packets_all_lost(name: str, gone: int) -> None:
    packets = flat(Sender(codec_of(name), whole_slices=True).clip(name, range(33)))
    pipe = Pipe()
    pipe.push(*packets[gone:])
    pipe.finish()
    pipe.check()
    assert judge_parts(pipe, name) == (list(range(33)) if gone < 2 else [30, 31, 32])


def test_row_37_joining_in_the_middle_of_a_gop() -> None:
    pipe = Pipe()
    pipe.push(*flat(Sender(Codec.H264).clip("h264", range(20, 35))))
    assert pipe.demuxer.video.is_waiting is False
    pipe.finish()
    assert judge(pipe, "h264") == list(range(30, 35))
    assert pipe.dropped == {"waiting for key frame": 10}
    assert not pipe.told


# Interruption


@pytest.mark.parametrize("marker", MARKERS)
def test_interruption_is_told_at_once_and_again(marker: Marker) -> None:
    pipe = Pipe.new(settle=True)
    pipe.push(*flat(Sender(Codec.H264).clip("h264", range(10), marker=marker, clock=1_700_000_000)))
    pipe.wait(0.5)
    pipe.push(*flat(Sender(Codec.H264, sequence_number=1100).clip("h264", [10]))[:1])
    for _ in range(3):  # several tries to reconnect are one outage
        pipe.demuxer.interrupt("reconnect")
    pipe.wait(20)
    at = pipe.now
    pipe.push(*flat(Sender(Codec.H264, 7, 7, 8).clip("h264", FEW, clock=1_700_000_030)))
    pipe.finish()
    pipe.items += pipe.demuxer.take()
    told = [item for item in pipe.told if item.reason == "reconnect"]
    assert [item.until is None for item in told] == [True, False]
    assert told[0].since == told[1].since is not None
    index = next(n for n, item in enumerate(pipe.items) if item is told[1])
    frame = pipe.items[index + 1]
    assert isinstance(frame, VideoFrame)
    assert frame.keyframe
    assert told[1].until == frame.time
    before = [item for item in pipe.items[:index] if isinstance(item, VideoFrame)][-1]
    gap = frame.received_at - before.received_at
    assert frame.received_at >= at
    assert frame.pts - before.pts == pytest.approx(gap * 90_000, abs=9000)
    pipe.check(whole=False)


def test_after_an_interruption_a_stream_starts_anew_with_sets_of_its_own() -> None:
    pipe = Pipe()
    pipe.push(*flat(Sender(Codec.H264).clip("h264", range(5))))
    pipe.demuxer.interrupt("reconnect")
    sender = Sender(Codec.H264, 7, 7, 8)
    pipe.push(*sender.picture(without_sets("h264", 30)))
    pipe.push(*flat(sender.clip("h264", range(31, 62))))
    pipe.finish()
    assert judge(pipe, "h264") == [*range(5), 60, 61]
    assert pipe.dropped == {"waiting for key frame": 30}


def without_sets(name: str, index: int) -> list[bytes]:
    return [nal for nal in Clip.load(name).nal_units[index] if nal[0] & 31 not in {7, 8}]


def test_interrupted_before_anything_was_given_tells_nothing() -> None:
    pipe = Pipe()
    pipe.demuxer.interrupt("reconnect")
    pipe.push(*flat(Sender(Codec.H264).clip("h264", [1, 2])))
    pipe.demuxer.interrupt("reconnect")
    pipe.push(*flat(Sender(Codec.H264).clip("h264", range(3))))
    pipe.finish()
    assert not pipe.told
    assert judge(pipe, "h264") == [0, 1, 2]
