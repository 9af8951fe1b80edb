"""What is given of the pictures: decodable ones, their format, NAL units early, their clock (rows 37, 53, 63)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nvrclient.codec.demuxer import Demuxer
from nvrclient.frames import Codec, Discontinuity, NalUnit, StreamItem, VideoFrame
from nvrclient.live.buffer import FrameBuffer
from nvrclient.simulator import Clip, read_number
from tests.codec.foreign import decoded
from tests.rtp.stream import (
    LONG,
    MARKERS,
    RECORDER_TIME,
    Marker,
    Pipe,
    Sender,
    flat,
    kind_of,
    pictures_of,
    video_information,
)
from tests.simulator import golden


def numbers_in(pipe: Pipe) -> list[int]:
    """Decode every frame given; the numbers drawn into the pictures, in order of display."""
    frames = decoded(pipe.frames[0].codec, [frame.data for frame in pipe.frames])
    assert len(frames) == len(pipe.frames), "every frame decodes"
    read = []
    for frame in frames:
        plane = frame.planes[0]
        read.append(read_number(bytes(plane), frame.width, frame.height, plane.line_size))
    return read


# Open GOP


def leading(index: int) -> bool:
    return any(kind_of(Codec.H265, nal) in {8, 9} for nal in Clip.load("h265_cra").nal_units[index])


CRA = sorted(Clip.load("h265_cra").keyframes)


@pytest.mark.parametrize("start", [0, 1, *CRA[1:3], CRA[1] + 1])
@pytest.mark.parametrize("marker", ["last", "never"])
def test_row_37_starting_at_a_cra_leaves_out_what_refers_to_before_it(
    start: int, marker: Marker
) -> None:
    pipe = Pipe()
    pipe.push(*flat(Sender(Codec.H265).clip("h265_cra", range(start, 150), marker=marker)))
    pipe.finish()
    pipe.check()
    key = min(key for key in CRA if key >= start)
    after = min((k for k in CRA if k > key), default=150)
    end = 150 if marker == "last" else 149
    expected = [n for n in range(key, end) if not (key != 0 and n < after and leading(n))]
    assert pipe.pictures == pictures_of("h265_cra", expected)
    assert pipe.dropped.get("leading", 0) == end - key - len(expected)
    numbers = numbers_in(pipe)
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("broken", [5, 40, 70])
def test_row_37_resuming_at_a_cra(broken: int) -> None:
    pictures = Sender(Codec.H265).clip("h265_cra", range(150))
    pipe = Pipe()
    pipe.push(*flat([*pictures[:broken], pictures[broken][:-1], *pictures[broken + 1 :]]))
    pipe.finish()
    pipe.check()
    key = min(k for k in CRA if k > broken)
    after = min((k for k in CRA if k > key), default=150)
    expected = [*range(broken), *(n for n in range(key, 150) if n >= after or not leading(n))]
    assert pipe.pictures == pictures_of("h265_cra", expected)
    numbers_in(pipe)


@pytest.mark.parametrize("name", ["h264", "h264_large", "h265", "h265_slices"])
def test_row_26_what_is_given_after_losses_decodes(name: str) -> None:
    random = Random(11)
    codec = Clip.load(name).codec
    packets = flat(Sender(codec, size=600).clip(name))
    pipe = Pipe()
    pipe.push(*[data for n, data in enumerate(packets) if n == 0 or random.random() > 0.01])
    pipe.finish()
    pipe.check(whole=False)
    assert pipe.told
    numbers = numbers_in(pipe)
    place = {nals: index for index, nals in enumerate(Clip.load(name).nal_units)}
    assert numbers == [place[picture] for picture in pipe.pictures]


# Format


def test_row_53_the_format() -> None:
    pipe = Pipe()
    assert pipe.demuxer.video.format is None
    pipe.push(*flat(Sender(Codec.H264).clip("h264", range(3))))
    pipe.finish()
    told = pipe.demuxer.video.format
    assert told is not None
    assert (told.codec, told.width, told.height) == (Codec.H264, 640, 360)
    sets = [nal for nal in Clip.load("h264").nal_units[0] if nal[0] & 31 in {7, 8}]
    assert list(told.parameter_sets) == sets


@pytest.mark.parametrize("marker", MARKERS)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("h264", "h265_slices"),
        ("h265_slices", "h264"),
        ("h264", "h264_large"),
        ("h265_slices", "h265"),
    ],
)
@pytest.mark.parametrize("same_sender", [True, False])
def test_row_53_codec_or_parameter_sets_change(
    before: str, after: str, same_sender: bool, marker: Marker
) -> None:
    """One Discontinuity("format"), directly before the first new frame; every picture of both is given."""
    old = Sender(Clip.load(before).codec)
    pipe = Pipe()
    pipe.push(*flat(old.clip(before, range(33), marker=marker)), step=0.01)
    new = Sender(Clip.load(after).codec, old.sequence_number, old.timestamp)
    if not same_sender:
        new = Sender(Clip.load(after).codec, 5, 6, 7)
    pipe.push(*flat(new.clip(after, range(20), marker=marker)), step=0.01)
    pipe.finish()
    # A picture without a marker is over when the same sender's next one begins; of another sender nobody knows.
    known = marker != "never" or (same_sender and new.codec is old.codec)
    expected_before = pictures_of(before, range(33 if known else 32))
    expected_after = pictures_of(after, range(20 if marker != "never" else 19))
    assert pipe.pictures == expected_before + expected_after
    changes = [item for item in pipe.told if item.reason == "format"]
    assert len(changes) == 1
    at = pipe.items.index(changes[0])
    following = pipe.items[at + 1]
    assert isinstance(following, VideoFrame)
    assert tuple(nal.data for nal in following.nal_units) == expected_after[0]
    assert following.codec is new.codec
    assert following.keyframe
    told = pipe.demuxer.video.format
    assert told is not None
    assert (told.width, told.height) == (Clip.load(after).width, Clip.load(after).height)
    pipe.check()
    data = [frame.data for frame in pipe.frames]
    assert len(decoded(old.codec, data[: len(expected_before)])) == len(expected_before)
    assert len(decoded(new.codec, data[len(expected_before) :])) == len(expected_after)


def test_row_53_a_set_that_is_repeated_is_no_change() -> None:
    """Foreign packetizers repeat parameter sets now and then, twice in one picture too."""
    pipe = Pipe()
    sender = Sender(Codec.H264)
    for index in range(62):
        nals = list(Clip.load("h264").nal_units[index])
        if index == 30:
            nals[1:1] = [nal for nal in nals if nal[0] & 31 in {7, 8}]
        pipe.push(*sender.picture(nals))
    pipe.finish()
    assert len(pipe.frames) == 62
    assert not pipe.told


def without_sets(nals: Sequence[bytes]) -> list[bytes]:
    return [nal for nal in nals if nal[0] & 31 not in {7, 8}]


def test_later_key_frames_without_their_sets_are_given_the_sets_being_known() -> None:
    sender = Sender(Codec.H264)
    clip = Clip.load("h264").nal_units
    pictures = [sender.picture(clip[n] if n < 30 else without_sets(clip[n])) for n in range(95)]
    del pictures[40][0]
    pipe = Pipe()
    pipe.push(*flat(pictures))
    pipe.finish()
    expected = [*range(40), *range(60, 95)]
    assert [len(frame.nal_units) for frame in pipe.frames] == [
        len(clip[n] if n < 30 else without_sets(clip[n])) for n in expected
    ]
    pipe.check()
    late = Pipe()
    late.push(*flat(pictures[30:]))
    late.finish()
    assert not late.frames, "a stream starts at a key frame that brings its own"


@pytest.mark.parametrize("damage", ["slice", "picture before"])
def test_row_53_sets_seen_in_a_damaged_picture_retire_the_old_ones(damage: str) -> None:
    """Another resolution begins with a damaged key frame; the next one without sets cannot be decoded by the old."""
    sender = Sender(Codec.H264)
    old, new = Clip.load("h264").nal_units, Clip.load("h264_large").nal_units
    pictures = [sender.picture(old[n]) for n in range(5)]
    pictures.append(sender.picture(new[0]))
    pictures += [sender.picture(without_sets(new[n])) for n in range(13, 39)]
    if damage == "slice":
        del pictures[5][-3]
    else:
        del pictures[4][-1], pictures[5][0]
    pictures.append(sender.picture(new[39]))
    pipe = Pipe()
    pipe.push(*flat(pictures))
    pipe.finish()
    large = [picture for picture in pipe.pictures if picture not in old]
    assert large == [new[39]]
    assert [item.reason for item in pipe.told] == ["loss", "format"]
    pipe.check()


# JPEG


def test_jpeg_parts() -> None:
    pipe = Pipe()
    clip = Clip.load("jpeg")
    for unit in clip.units[:10]:
        pipe.demuxer.push_part("image/jpeg", golden.RECORDER_CHUNK + unit, pipe.now)
        pipe.demuxer.push_part("image/jpeg", b"no jpeg", pipe.now)
        pipe.now += 0.2
    placeholder = Clip.load("placeholder").units[0]
    pipe.demuxer.push_part("image/jpeg", golden.RECORDER_CHUNK + placeholder, pipe.now)
    pipe.items += pipe.demuxer.take()
    assert [frame.data for frame in pipe.frames] == list(clip.units[:10])
    assert [frame.pts for frame in pipe.frames] == [18_000 * n for n in range(10)]
    assert all(frame.keyframe and frame.info.camera == 1 for frame in pipe.frames)
    assert pipe.dropped == {"malformed": 10, "placeholder": 1}
    assert pipe.demuxer.counters().malformed == 10
    pipe.check()


# NAL units as soon as they are whole


class EarlyBird:
    """A source and a consumer that takes NAL units one by one, each as soon as it can be had."""

    def __init__(self) -> None:
        self.demuxer = Demuxer(1, lambda: datetime(2020, 1, 1, tzinfo=UTC))
        self.buffer = FrameBuffer("gop", 64 << 20, self.demuxer.video.nal_units_so_far)
        self.got: list[NalUnit] = []
        self.frames: list[VideoFrame] = []
        self.now = 0.0

    async def take(self) -> None:
        while True:
            self.got.append(await self.buffer.get_nal())

    def push(self, data: bytes) -> None:
        self.demuxer.push_packet(data, self.now)
        self.hand_out()

    def hand_out(self) -> None:
        items: list[StreamItem] = self.demuxer.take()
        self.frames += [item for item in items if isinstance(item, VideoFrame)]
        for item in items:
            self.buffer.push(item)
        self.buffer.poke()

    def finish(self) -> None:
        while (due := self.demuxer.deadline) is not None:
            self.now = max(self.now, due)
            self.demuxer.flush(self.now)
            self.hand_out()


def early(packets: Sequence[bytes], wakeups: Sequence[bool] | None = None) -> EarlyBird:
    """Push packet by packet; the consumer runs after each, or only where `wakeups` says so."""
    bird = EarlyBird()

    async def run() -> None:
        task = asyncio.ensure_future(bird.take())
        for number, data in enumerate(packets):
            bird.push(data)
            if wakeups is None or wakeups[number]:
                for _ in range(30):
                    await asyncio.sleep(0)
        bird.finish()
        bird.buffer.end(None)
        with pytest.raises(StopAsyncIteration):
            await task

    asyncio.run(run())
    return bird


@pytest.mark.parametrize("marker", MARKERS)
@pytest.mark.parametrize("name", ["h264", "h265_slices", "h265_cra"])
def test_nal_units_early_equal_those_of_the_pictures(name: str, marker: Marker) -> None:
    sender = Sender(Clip.load(name).codec, whole_slices=True)
    bird = early(flat(sender.clip(name, range(35), marker=marker)))
    pictures = pictures_of(name, range(35 if marker != "never" else 34))
    expected = [nal for picture in pictures for nal in picture]
    got = [nal.data for nal in bird.got]
    if marker == "never":  # those of the last picture were given, it never was
        assert got == [nal for picture in pictures_of(name, range(35)) for nal in picture]
    else:
        assert got == expected
    assert [nal for frame in bird.frames for nal in frame.nal_units] == bird.got[: len(expected)]


@pytest.mark.parametrize(
    ("name", "key", "size"), [("h265_slices", 30, 1200), ("h264_large", 13, 60)]
)
def test_nal_units_early_after_a_picture_lost_whole(name: str, key: int, size: int) -> None:
    """Nothing of what follows is given before the next key frame, as in video(): not even a delimiter."""
    sender = Sender(Clip.load(name).codec, size=size)
    pictures = sender.clip(name, range(key + 3))
    bird = early(flat([*pictures[:5], *pictures[6:]]))
    expected = pictures_of(name, [*range(5), key, key + 1, key + 2])
    assert [nal.data for nal in bird.got] == [nal for picture in expected for nal in picture]


def test_nal_units_come_before_their_picture_is_whole() -> None:
    bird = EarlyBird()
    seen = []

    async def run() -> None:
        task = asyncio.ensure_future(bird.take())
        for data in flat(Sender(Codec.H265, whole_slices=True).clip("h265_slices", range(2))):
            bird.push(data)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            seen.append(len(bird.got))
        task.cancel()

    asyncio.run(run())
    total = len(seen)
    # The first key frame can be given when it is known to be one: with its first slice.
    first = next(
        n for n, nal in enumerate(Clip.load("h265_slices").nal_units[0]) if nal[0] >> 1 < 32
    )
    assert seen[:first] == [0] * first
    assert seen[first + 6 :] == list(range(first + 7, total + 1))


@settings(max_examples=1000 if LONG else 40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 1 << 30),
    marker=st.sampled_from(MARKERS),
    name=st.sampled_from(["h264", "h265_slices", "h265_cra"]),
    whole_slices=st.booleans(),
)
def test_nal_units_early_under_loss(
    seed: int, marker: Marker, name: str, whole_slices: bool
) -> None:
    """What video() gives is given, in order, none twice; what is given besides is of pictures that broke later."""
    random = Random(seed)
    sender = Sender(Clip.load(name).codec, size=300, whole_slices=whole_slices)
    packets = flat(sender.clip(name, range(95), marker=marker))
    packets = [data for n, data in enumerate(packets) if n == 0 or random.random() > 0.01]
    wakeups = [random.random() < 0.8 for _ in packets]
    bird = early(packets, wakeups)
    got = bird.got
    assert len({id(nal) for nal in got}) == len(got), "none twice"
    source = [(n, data) for n, nals in enumerate(pictures_of(name, range(95))) for data in nals]
    place = {(n, data): index for index, (n, data) in enumerate(source)}
    stamps = [50_000 + n * 6000 for n in range(95)]
    order = [place[stamps.index(nal.rtp_timestamp), nal.data] for nal in got]
    assert order == sorted(set(order)), "in order"
    given = {id(nal) for frame in bird.frames for nal in frame.nal_units}
    assert given <= {id(nal) for nal in got}, "all of video()'s"
    # Besides: the beginning of a picture that broke, once each.
    broken = {nal.rtp_timestamp for nal in got if id(nal) not in given}
    whole = {nal.rtp_timestamp for frame in bird.frames for nal in frame.nal_units}
    assert not broken & whole
    # It restarts where video() does: after a broken picture with a key frame.
    previous: NalUnit | None = None
    for nal in got:
        if previous is not None and nal.rtp_timestamp != previous.rtp_timestamp in broken:
            index = stamps.index(nal.rtp_timestamp)
            assert index in Clip.load(name).keyframes
        previous = nal


# Recorder's clock


def run_clock(
    seconds: float,
    *,
    fps: float = 15,
    ppm: float = 0,
    every: int = 1,
    offset: float = 0.37,
    jump: tuple[float, float] | None = None,
) -> list[tuple[float, float]]:
    """Single-slice pictures whose time stamps drift against the recorder's clock; (truth, told) of each frame."""
    pipe = Pipe()
    sender = Sender(Codec.H264)
    key = [nal for nal in Clip.load("h264").nal_units[0] if nal[0] & 31 != 5] + [b"\x65\x88\x84"]
    truths = {}
    shift = 0.0
    for number in range(int(seconds * fps)):
        real = number / fps
        if jump is not None and real >= jump[0]:
            shift = jump[1]
        clock = RECORDER_TIME + offset + real + shift
        extension = video_information(clock) if number % every == 0 else None
        sender.timestamp = round(50_000 + real * 90_000 * (1 + ppm / 1e6)) & 0xFFFFFFFF
        truths[sender.timestamp] = clock
        payloads = (
            [
                *key,
            ]
            if number % every == 0
            else [b"\x61\x9a\x84"]
        )
        pipe.now = 1000.0 + real
        for n, nal in enumerate(payloads):
            pipe.demuxer.push_packet(
                sender.one(
                    nal, marker=n == len(payloads) - 1, extension=extension if n == 0 else None
                ),
                pipe.now,
            )
    pipe.items += pipe.demuxer.take()
    told = []
    for frame in pipe.frames:
        assert frame.time is not None
        told.append((truths[frame.nal_units[0].rtp_timestamp], frame.time.timestamp()))
    assert len(told) >= int(seconds * fps) - 1
    if jump is None or jump[1] > 0:
        assert all(b[1] >= a[1] for a, b in zip(told, told[1:], strict=False)), "never backwards"
    return told


@pytest.mark.parametrize("offset", [0.0, 0.37, 0.999])
@pytest.mark.parametrize("fps", [1, 5, 15, 25, 30])
def test_time_is_within_a_picture_interval_after_a_second_tick(fps: float, offset: float) -> None:
    for truth, told in run_clock(20, fps=fps, offset=offset):
        assert told <= truth + 1e-4
        if truth > RECORDER_TIME + offset + 1 + 1 / fps:
            assert truth - told <= 1 / fps + 1e-3


@pytest.mark.parametrize("ppm", [-100, 100])
def test_time_under_drift(ppm: float) -> None:
    """Two quartz clocks, 100 ppm apart: 8.6 s a day."""
    seconds = 2 * 86_400 if LONG else 2000
    for truth, told in run_clock(seconds, ppm=ppm, fps=5):
        if truth > RECORDER_TIME + 3:
            assert abs(truth - told) <= 1 / 5 + 0.01


@pytest.mark.parametrize("ppm", [-100, 0, 100])
def test_time_told_at_key_frames_only(ppm: float) -> None:
    """GOPs of 1.87 s: the ticks wander through the second, and the estimate closes in."""
    told = run_clock(600, fps=15, every=28, ppm=ppm)
    for truth, time in told:
        assert -0.05 <= truth - time <= 1.05
    for truth, time in told[-3000:]:
        assert abs(truth - time) <= 0.12


@pytest.mark.parametrize("by", [-3600.0, -60.0, 5.0, 3600.0])
def test_a_recorder_clock_that_is_set_is_followed(by: float) -> None:
    told = run_clock(20, jump=(10.0, by))
    for truth, time in told[-120:]:
        assert abs(truth - time) <= 1 / 15 + 0.01
    if by > 0:
        return
    back = sum(b[1] < a[1] for a, b in zip(told, told[1:], strict=False))
    assert back == 1


@pytest.mark.parametrize("by", [-0.8, 0.8])
def test_a_small_correction_never_turns_time_back(by: float) -> None:
    told = run_clock(60, jump=(10.0, by))
    times = [time for _, time in told]
    assert times == sorted(times)
    for truth, time in told[-150:]:
        assert abs(truth - time) <= 1 / 15 + 0.01


def test_time_is_none_while_the_recorder_has_told_none() -> None:
    pipe = Pipe()
    sender = Sender(Codec.H264)
    pipe.push(*flat(sender.clip("h264", range(5))))
    pipe.push(*flat(sender.clip("h264", range(5, 10), clock=RECORDER_TIME)))
    pipe.finish()
    assert [frame.time is None for frame in pipe.frames] == [True] * 5 + [False] * 5
    assert pipe.frames[-1].info.camera == 1
    later = pipe.demuxer.video.time_at(pipe.frames[-1].received_at + 2.0)
    assert later is not None
    assert pipe.frames[-1].time is not None
    assert (later - pipe.frames[-1].time) / timedelta(seconds=1) == pytest.approx(2.0)


def test_information_holds_until_the_next() -> None:
    pipe = Pipe()
    sender = Sender(Codec.H264)
    for index, nals in enumerate(pictures_of("h264", range(6))):
        extension = golden.VIDEO_INFORMATION if index in {0, 4} else None
        pipe.push(*sender.picture(nals, extension=extension))
    pipe.finish()
    assert [frame.info.camera for frame in pipe.frames] == [1] * 6


def test_an_outage_of_a_recorder_without_a_clock_is_told_by_this_computers() -> None:
    pipe = Pipe()
    pictures = Sender(Codec.H264).clip("h264", range(35))
    pipe.push(*flat([*pictures[:5], *pictures[6:]]))
    pipe.finish()
    [told] = pipe.told
    assert told == Discontinuity(
        "loss",
        since=datetime(2020, 1, 1, tzinfo=UTC),
        until=datetime(2020, 1, 1, tzinfo=UTC),
        lost=told.lost,
    )
    assert told.lost == len(pictures[5])
