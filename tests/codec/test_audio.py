"""Audio over RTP and as parts: what it is, its data, its time (specification 2.3.6, 2.3.7; docs/faults.md rows 62, 63)."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nvrclient.codec import audio
from nvrclient.codec.demuxer import Demuxer
from nvrclient.frames import AudioFrame, Codec, Discontinuity, StreamItem
from nvrclient.rtp.packet import parse_packet
from nvrclient.simulator import Clip
from tests.rtp.stream import (
    LONG,
    RECORDER_TIME,
    Pipe,
    Sender,
    audio_information,
    flat,
    rtp,
)
from tests.simulator import golden

AAC = [name for name in Clip.names() if name.startswith("aac")]
TELEPHONE = ["pcmu", "pcma", "g726"]


def aac_payload(*frames: bytes) -> bytes:
    """RFC 3640 AAC-hbr: AU-headers-length in bits, 13 bits of size and 3 of index each, the frames."""
    headers = b"".join((len(frame) << 3).to_bytes(2, "big") for frame in frames)
    return (8 * len(headers)).to_bytes(2, "big") + headers + b"".join(frames)


class Talk:
    """A pipe, and a sender of a clip's audio in real time."""

    def __init__(self, *, ssrc: int = 0xA0D10, timestamp: int = 0xFFFFF000, **options: Any) -> None:
        self.pipe = Pipe.new(**options)
        self.sender = Sender(Codec.AAC, 0xFFF0, timestamp, ssrc=ssrc)
        self.sent: list[bytes] = []
        self.began = self.pipe.now

    def say(
        self,
        name: str,
        units: Iterable[int],
        *,
        clock: bool = False,
        ticks: int | None = None,
        rate: int | None = None,
        lose: frozenset[int] = frozenset(),
        per_packet: int = 1,
    ) -> None:
        clip = Clip.load(name)
        numbers = list(units)
        seconds = clip.seconds_per_unit
        if rate is not None:
            seconds = 1024 / rate
        for at in range(0, len(numbers), per_packet):
            frames = [clip.units[n % len(clip)] for n in numbers[at : at + per_packet]]
            payload = aac_payload(*frames) if clip.codec is Codec.AAC else frames[0]
            information = None
            if clock:
                information = audio_information(RECORDER_TIME + self.pipe.now - self.began)
            data = self.sender.one(payload, marker=True, extension=information)
            self.sender.timestamp += (ticks or clip.samples_per_unit) * len(frames)
            self.sender.timestamp &= 0xFFFFFFFF
            if at not in lose:
                self.pipe.push(data)
                self.sent += frames
            self.pipe.wait(seconds * len(frames))

    def finish(self) -> list[AudioFrame]:
        self.pipe.finish()
        self.pipe.check()
        frames = self.pipe.audio
        assert all(a.pts < b.pts for a, b in zip(frames, frames[1:], strict=False))
        return frames


def is_of(frames: list[AudioFrame], name: str) -> None:
    """Every frame names the clip's codec, rate, channels and configuration."""
    clip = Clip.load(name)
    for frame in frames:
        assert (frame.codec, frame.sample_rate, frame.channels) == (
            clip.codec,
            clip.sample_rate,
            clip.channels,
        )
        if clip.codec is Codec.AAC:
            index = {48000: 3, 44100: 4, 32000: 5, 16000: 8}[clip.sample_rate]
            config = (2 << 11 | index << 7 | clip.channels << 3).to_bytes(2, "big")
            assert frame.config == config
        else:
            assert frame.config is None


# Over RTP


@pytest.mark.parametrize("clock", [False, True])
@pytest.mark.parametrize("settle", [False, True])
@pytest.mark.parametrize("name", AAC)
def test_aac_is_found_out(name: str, settle: bool, clock: bool) -> None:
    """Rate by the camera's clock within a second, by arrival within three; from then on at once."""
    talk = Talk(settle=settle)
    talk.say(name, range(20), clock=clock)
    clip = Clip.load(name)
    rest = int((0.9 if clock else 2.8) / clip.seconds_per_unit)
    if clip.seconds_per_unit * 20 < 0.5:
        assert not talk.pipe.audio
    talk.say(name, range(20, max(rest, 20)), clock=clock)
    assert talk.pipe.audio
    talk.say(name, range(max(rest, 20), 160), clock=clock)
    assert [frame.data for frame in talk.pipe.audio][-1] == talk.sent[-1]
    frames = talk.finish()
    assert [frame.data for frame in frames] == talk.sent
    is_of(frames, name)
    assert [frame.pts for frame in frames] == [1024 * n for n in range(160)]
    assert not talk.pipe.told


@pytest.mark.parametrize("rate", [48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 8_000])
@pytest.mark.parametrize("clock", [False, True])
@pytest.mark.parametrize("settle", [False, True])
@pytest.mark.parametrize("ticks", [1024, None])
def test_aac_rates_of_the_table_under_jitter(
    rate: int, clock: bool, settle: bool, ticks: int | None
) -> None:
    """Also with time stamps of a 90 kHz clock; arrival blurred by 20 ms."""
    random = Random(rate)
    talk = Talk(settle=settle)
    per_frame = ticks or round(90_000 * 1024 / rate)
    for number in range(int(4 * rate / 1024)):
        late = random.uniform(0, 0.02)
        talk.pipe.now += late
        talk.say("aac_48k_mono", [number], clock=clock, rate=rate, ticks=per_frame)
        talk.pipe.now -= late
    frames = talk.finish()
    assert {frame.sample_rate for frame in frames} == {rate}
    assert [frame.data for frame in frames] == talk.sent
    steps = {b.pts - a.pts for a, b in zip(frames, frames[1:], strict=False)}
    assert steps <= {1023, 1024, 1025}


def test_aac_rate_by_the_caller() -> None:
    talk = Talk(aac_rate=16_000)
    talk.say("aac_16k_mono", range(2))
    assert len(talk.pipe.audio) == 2
    is_of(talk.pipe.audio, "aac_16k_mono")


def test_aac_until_the_rate_is_known_48_khz_is_taken_after_three_seconds() -> None:
    """Two packets and silence: no rate can be measured."""
    talk = Talk()
    talk.say("aac_48k_mono", range(2))
    assert talk.pipe.demuxer.deadline == pytest.approx(talk.began + audio.MAX_HELD)
    frames = talk.finish()
    assert [frame.sample_rate for frame in frames] == [48_000, 48_000]


@pytest.mark.parametrize("name", TELEPHONE)
@pytest.mark.parametrize("law", ["mulaw", "alaw"])
@pytest.mark.parametrize("settle", [False, True])
def test_g711_and_g726_are_told_apart(name: str, law: str, settle: bool) -> None:
    talk = Talk(law=law, settle=settle)
    talk.say(name, range(60))
    frames = talk.finish()
    assert [frame.data for frame in frames] == talk.sent
    expected = Codec.G726 if name == "g726" else Codec.PCMA if law == "alaw" else Codec.PCMU
    assert {(f.codec, f.sample_rate, f.channels, f.config) for f in frames} == {
        (expected, 8000, 1, None)
    }
    assert [frame.pts for frame in frames] == [320 * n for n in range(60)]


@pytest.mark.parametrize("codec", [Codec.PCMU, Codec.PCMA, Codec.G726])
def test_a_codec_that_the_caller_names_is_taken_at_its_word(codec: Codec) -> None:
    talk = Talk(audio_codec=codec)
    talk.say("pcmu", [0])
    assert [frame.codec for frame in talk.pipe.audio] == [codec]


def test_the_first_packets_lost_do_not_confuse_the_codec() -> None:
    """A gap doubles the time stamps' step: G.711 with every second packet lost is no G.726."""
    talk = Talk()
    talk.say("pcmu", range(40), lose=frozenset(range(1, 30, 2)))
    frames = talk.finish()
    assert {frame.codec for frame in frames} == {Codec.PCMU}
    assert sum(frame.lost for frame in frames) == 15
    assert frames[1].pts == 640


@pytest.mark.parametrize("per_packet", [2, 3, 7])
@pytest.mark.parametrize("clock", [False, True])
def test_row_62_several_access_units_a_packet(per_packet: int, clock: bool) -> None:
    talk = Talk()
    lost = 42  # divisible by all of them
    talk.say(
        "aac_32k_stereo",
        range(21 * 7),
        per_packet=per_packet,
        clock=clock,
        lose=frozenset({lost}),
    )
    frames = talk.finish()
    assert [frame.data for frame in frames] == talk.sent
    is_of(frames, "aac_32k_stereo")
    heard = [n for n in range(21 * 7) if not lost <= n < lost + per_packet]
    assert [frame.pts for frame in frames] == [1024 * n for n in heard]
    assert [n for n, frame in enumerate(frames) if frame.lost] == [lost]


def test_row_62_wrong_au_headers_are_counted_and_harm_nothing() -> None:
    talk = Talk()
    talk.say("aac_16k_mono", range(60))
    good = Clip.load("aac_16k_mono").units[60]
    bad = [
        b"\x00\x10\x00\x08" + good,
        b"\x00\x11" + aac_payload(good)[2:],
        b"\xff\xff" + good,
        good,
        b"\x00\x10\x00\x00",
        b"\x00",
        b"",
    ]
    for payload in bad:
        talk.pipe.push(talk.sender.one(payload))
        talk.sender.timestamp += 1024
        talk.pipe.wait(0.064)
        talk.say("aac_16k_mono", [61])
    before = talk.pipe.demuxer.counters()
    assert before.dropped == {"malformed": len(bad)}
    assert before.malformed == len(bad)
    frames = talk.finish()
    assert [frame.data for frame in frames] == talk.sent
    is_of(frames, "aac_16k_mono")
    assert not talk.pipe.told
    assert [b.pts - a.pts for a, b in zip(frames[59:], frames[60:], strict=False)] == [2048] * 7


def test_lost_packets() -> None:
    talk = Talk(settle=True)
    lose = frozenset({5, 6, 40, 70})
    talk.say("aac_48k_stereo", range(150), lose=lose, clock=True)
    frames = talk.finish()
    assert [frame.data for frame in frames] == talk.sent
    assert [n for n, frame in enumerate(frames) if frame.lost] == [5, 38, 67]
    assert sum(frame.lost for frame in frames) == 4 == talk.pipe.demuxer.counters().lost
    assert [frame.pts // 1024 for frame in frames] == [n for n in range(150) if n not in lose]


def test_unknown_audio_is_held_for_three_seconds_and_then_counted() -> None:
    talk = Talk()
    random = Random(1)
    sent = 0
    while talk.pipe.now < talk.began + 10:
        talk.pipe.push(talk.sender.one(random.randbytes(77)))
        talk.sender.timestamp += 1000
        talk.pipe.wait(0.05)
        sent += 1
        held = sent - talk.pipe.demuxer.counters().frames
        assert held <= 62
    talk.finish()
    assert not talk.pipe.items
    assert talk.pipe.demuxer.counters().dropped == {"unknown audio": sent}


@pytest.mark.parametrize("size", [100, 60_000])
def test_what_is_held_is_bounded_whatever_the_clock_says(size: int) -> None:
    pipe = Pipe()
    sender = Sender(Codec.AAC)
    tracemalloc.start()
    try:
        for number in range(2000):
            data = sender.one(bytes([number & 255]) * size)
            sender.timestamp += 1000 * (number % 3 + 1)
            pipe.demuxer.push_packet(data, pipe.now)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 << 20
    assert pipe.demuxer.counters().frames > 1400


# Row 63: changes


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("aac_48k_stereo", "aac_16k_mono"),
        ("aac_16k_mono", "aac_48k_stereo"),
        ("aac_32k_mono", "aac_32k_stereo"),
        ("aac_48k_mono", "pcmu"),
        ("pcmu", "aac_48k_mono"),
        ("pcmu", "g726"),
        ("g726", "pcmu"),
    ],
)
@pytest.mark.parametrize("clock", [False, True])
def test_row_63_another_sender_with_another_format(before: str, after: str, clock: bool) -> None:
    talk = Talk()
    talk.say(before, range(200), clock=clock)
    count = len(talk.sent)
    talk.sender = Sender(Codec.AAC, 5, 77, ssrc=0xB)
    talk.say(after, range(200), clock=clock)
    frames = talk.finish()
    assert [frame.data for frame in frames] == talk.sent
    is_of(frames[:count], before)
    is_of(frames[count:], after)
    [told] = talk.pipe.told
    assert told.reason == "format"
    assert talk.pipe.items.index(told) == count
    gap = (frames[count].pts - frames[count - 1].pts) / frames[count].sample_rate
    assert 0 < gap < 0.3


@pytest.mark.parametrize(("before", "after"), [("pcmu", "aac_48k_mono"), ("aac_48k_mono", "pcmu")])
def test_row_63_the_same_sender_with_another_codec(before: str, after: str) -> None:
    talk = Talk()
    talk.say(before, range(200))
    count = len(talk.sent)
    talk.say(after, range(200))
    frames = talk.finish()
    is_of(frames[:count], before)
    is_of(frames[count:], after)
    assert [frame.data for frame in frames[:count]] == talk.sent[:count]
    given = [frame.data for frame in frames[count:]]
    assert given == talk.sent[-len(given) :]
    assert len(given) >= 197
    assert [item.reason for item in talk.pipe.told] == ["format"]


def test_row_63_another_sender_while_the_rate_is_being_found_out() -> None:
    """Time stamps of two senders measure nothing."""
    talk = Talk()
    talk.say("aac_16k_mono", range(20))
    talk.sender = Sender(Codec.AAC, 5, 0x80000000, ssrc=0xB)
    talk.say("aac_16k_mono", range(20, 100))
    frames = talk.finish()
    assert [frame.data for frame in frames] == talk.sent
    is_of(frames[20:], "aac_16k_mono")


def test_row_63_a_reconnect_counts_the_gap() -> None:
    talk = Talk(aac_rate=48_000)
    talk.say("aac_48k_mono", range(50))
    talk.pipe.demuxer.interrupt("reconnect")
    talk.pipe.wait(20)
    talk.sender = Sender(Codec.AAC, 5, 77, ssrc=0xB)
    talk.say("aac_48k_mono", range(50))
    frames = talk.finish()
    assert [frame.data for frame in frames] == talk.sent
    assert (frames[50].pts - frames[49].pts) / 48_000 == pytest.approx(20, abs=0.1)
    assert not talk.pipe.told


def test_interrupted_while_held_is_counted() -> None:
    talk = Talk()
    talk.say("aac_48k_mono", range(10), lose=frozenset({4}))
    talk.pipe.demuxer.interrupt("reconnect")
    assert talk.pipe.demuxer.counters().dropped == {"interrupted": 9}
    talk.say("aac_48k_mono", range(150), clock=True)
    talk.finish()


@settings(max_examples=1000 if LONG else 40, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 1 << 30), settle=st.booleans())
def test_row_62_55_garbage_then_a_clean_sender(seed: int, settle: bool) -> None:
    random = Random(seed)
    pipe = Pipe.new(settle=settle)
    sender = Sender(Codec.AAC)
    clip = Clip.load("aac_16k_mono")
    for _ in range(random.randrange(80)):
        payload = bytearray(aac_payload(*random.choices(clip.units, k=random.randint(1, 3))))
        for _ in range(random.choice([0, 1, 3])):
            payload[random.randrange(min(len(payload), 8))] = random.randrange(256)
        cut = bytes(payload[: random.choice([None, 0, 1, 3, 50])])
        pipe.push(sender.one(cut, ssrc=random.choice([1, 1, 1, 2])))
        sender.timestamp += random.choice([1024, 320, 0, 1 << 31])
        sender.sequence_number += random.choice([0, 0, 0, 1, 5000])
        pipe.wait(random.choice([0, 0.02, 1]))
    video = flat(Sender(Codec.H264).clip("h264", range(3)))
    pipe.push(*video)
    clean = Sender(Codec.AAC, ssrc=0xC1EA)
    for unit in clip.units[:60]:
        pipe.push(clean.one(aac_payload(unit)))
        clean.timestamp += 1024
        pipe.wait(0.064)
    pipe.finish()
    pipe.check(whole=False)
    assert [frame.data for frame in pipe.audio[-60:]] == list(clip.units[:60])
    assert {frame.sample_rate for frame in pipe.audio[-60:]} == {16_000}
    assert len(pipe.frames) == 3, "video is untouched"


# Golden


def test_golden_packets() -> None:
    pipe = Pipe.new(audio_codec=Codec.PCMU)
    pipe.push(golden.G711_PACKET)
    assert [(f.data, f.codec) for f in pipe.audio] == [(golden.SAMPLES, Codec.PCMU)]
    pipe = Pipe.new(aac_rate=48_000)
    pipe.push(golden.AAC_PACKET)
    [frame] = pipe.audio
    assert (frame.data, frame.codec, frame.config) == (
        golden.AAC_FRAME,
        Codec.AAC,
        bytes.fromhex("1188"),
    )


@pytest.mark.parametrize("part", [golden.AAC_PART, golden.G726_PART])
def test_golden_parts(part: bytes) -> None:
    head, _, body = part.partition(b"\r\n\r\n")
    content_type = head.split(b"Content-Type: ")[1].split(b"\r\n")[0].decode()
    pipe = Pipe()
    pipe.demuxer.push_part(content_type, body[:-2], pipe.now)
    [frame] = pipe.demuxer.take()
    assert isinstance(frame, AudioFrame)
    if part is golden.AAC_PART:
        assert (frame.codec, frame.sample_rate, frame.data) == (Codec.AAC, 48_000, golden.AAC_FRAME)
    else:
        assert (frame.codec, frame.sample_rate, frame.data) == (Codec.G726, 8_000, golden.SAMPLES)


# As parts


class Parts:
    def __init__(self, **options: Any) -> None:
        self.demuxer = Demuxer(1, lambda: datetime(2020, 1, 1, tzinfo=UTC), **options)
        self.now = 100.0
        self.items: list[StreamItem] = []

    def push(self, content_type: str, body: bytes, step: float = 0.0) -> None:
        self.demuxer.push_part(content_type, body, self.now)
        self.items += self.demuxer.take()
        self.now += step
        counters = self.demuxer.counters()
        assert counters.frames == len(self.frames) + sum(counters.dropped.values())

    @property
    def frames(self) -> list[AudioFrame]:
        return [item for item in self.items if isinstance(item, AudioFrame)]


NAMES = {
    "aac_48k_mono": "audio/48kaac-lc",
    "aac_48k_stereo": "audio/48kAAC-LC; x=y",
    "aac_32k_mono": "audio/32kaac-lc",
    "aac_32k_stereo": "Audio/32kaac-lc",
    "aac_16k_mono": "audio/16kaac-lc",
    "aac_16k_stereo": "audio/16kaac-lc",
    "pcmu": "audio/g.711-64k",
    "g726": "audio/g.726-32k",
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("zero", [True, False])
def test_parts(name: str, zero: bool) -> None:
    """With the 0x00 in front that the specification prints, and from a recorder that leaves it out."""
    clip = Clip.load(name)
    parts = Parts()
    for unit in clip.units[:100]:
        parts.push(NAMES[name], (b"\0" if zero else b"") + unit, clip.seconds_per_unit)
    is_of(parts.frames, name)
    assert [frame.data for frame in parts.frames] == list(clip.units[:100])
    step = clip.samples_per_unit
    assert [frame.pts for frame in parts.frames] == [step * n for n in range(100)]
    assert all(frame.time is None for frame in parts.frames)


@pytest.mark.parametrize(
    ("content_type", "codec", "rate"),
    [
        ("audio/g.711", Codec.PCMA, 8000),
        ("audio/g.711-ulaw", Codec.PCMU, 8000),
        ("audio/pcma", Codec.PCMA, 8000),
        ("audio/basic", Codec.PCMU, 8000),
        ("audio/44.1kaac-lc", Codec.AAC, 44_100),
        ("audio/22kaac-lc", Codec.AAC, 22_050),
        ("audio/8kaac-lc", Codec.AAC, 8_000),
    ],
)
def test_names_of_parts(content_type: str, codec: Codec, rate: int) -> None:
    parts = Parts(law="alaw")
    parts.push(content_type, b"\0\x01\x40\x22\x80")
    assert [(f.codec, f.sample_rate) for f in parts.frames] == [(codec, rate)]


@pytest.mark.parametrize("rate", [48_000, 32_000, 16_000])
@pytest.mark.parametrize("content_type", ["audio/aac-lc", "audio/999kaac-lc"])
def test_aac_parts_that_name_no_rate_are_measured(content_type: str, rate: int) -> None:
    clip = Clip.load(f"aac_{rate // 1000}k_mono")
    parts = Parts()
    for unit in clip.units[:150]:
        parts.push(content_type, b"\0" + unit, clip.seconds_per_unit)
    is_of(parts.frames, f"aac_{rate // 1000}k_mono")
    assert [frame.data for frame in parts.frames] == list(clip.units[:150])
    assert [frame.pts for frame in parts.frames] == [1024 * n for n in range(150)]


def test_aac_parts_that_name_no_rate_and_stop() -> None:
    """Ten parts and silence: nothing can be measured, and nothing is held for ever."""
    parts = Parts()
    units = Clip.load("aac_48k_mono").units[:10]
    for unit in units:
        parts.push("audio/aac-lc", b"\0" + unit, 0.02)
    assert not parts.frames
    due = parts.demuxer.deadline
    assert due == pytest.approx(100 + audio.MAX_HELD)
    assert due is not None
    parts.demuxer.flush(due)
    parts.items += parts.demuxer.take()
    assert [frame.data for frame in parts.frames] == list(units)
    assert parts.demuxer.deadline is None


def test_parts_that_are_held_are_bounded() -> None:
    parts = Parts()
    tracemalloc.start()
    try:
        for number in range(300):
            parts.demuxer.push_part("audio/aac-lc", bytes([0, number & 255]) * 50_000, parts.now)
            parts.demuxer.take()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20
    assert parts.demuxer.counters().frames == 300


@pytest.mark.parametrize(
    ("content_type", "body", "reason"),
    [
        ("audio/48kaac-lc", b"", "malformed"),
        ("audio/48kaac-lc", b"\0", "malformed"),
        ("audio/opus", b"\0abc", "unknown audio"),
        ("audio/", b"\0abc", "unknown audio"),
    ],
)
def test_row_62_parts_that_are_none(content_type: str, body: bytes, reason: str) -> None:
    parts = Parts()
    parts.push(content_type, body)
    assert not parts.frames
    assert parts.demuxer.counters().dropped == {reason: 1}
    assert parts.demuxer.counters().malformed == 1


def test_parts_are_counted_in_samples_and_anchored_to_arrival() -> None:
    """Jitter under 200 ms changes nothing; a pause counts; bursts never turn pts back."""
    clip = Clip.load("aac_48k_mono")
    parts = Parts()
    random = Random(4)
    for number in range(100):
        parts.now = 100 + number * 1024 / 48_000 + random.uniform(0, 0.15)
        parts.push("audio/48kaac-lc", b"\0" + clip.units[number])
    assert [frame.pts for frame in parts.frames] == [1024 * n for n in range(100)]
    parts.now = 110.0
    parts.push("audio/48kaac-lc", b"\0" + clip.units[0])
    assert parts.frames[-1].pts == pytest.approx(10 * 48_000, abs=0.2 * 48_000)
    for _ in range(60):
        parts.push("audio/48kaac-lc", b"\0" + clip.units[0])
    pts = [frame.pts for frame in parts.frames]
    assert pts == sorted(set(pts))


@pytest.mark.parametrize(("before", "after"), [("48", "16"), ("16", "48")])
def test_row_63_parts_change_their_rate(before: str, after: str) -> None:
    """pts go on rising by 1024 a frame, not by one until the clock has caught up."""
    parts = Parts()
    for name in (before, after):
        clip = Clip.load(f"aac_{name}k_mono")
        for unit in clip.units[:150]:
            parts.push(f"audio/{name}kaac-lc", b"\0" + unit, clip.seconds_per_unit)
    frames = parts.frames
    assert len(frames) == 300
    steps = [b.pts - a.pts for a, b in zip(frames, frames[1:], strict=False)]
    assert steps[:149] == [1024] * 149
    assert steps[150:] == [1024] * 149
    assert steps[149] > 0
    told = [n for n, item in enumerate(parts.items) if isinstance(item, Discontinuity)]
    assert told == [150]


# Time


def test_time_of_parts_is_the_videos_clock_at_their_arrival() -> None:
    pipe = Pipe()
    clip = Clip.load("pcmu")
    for picture in Sender(Codec.H264).clip("h264", range(60), clock=RECORDER_TIME):
        pipe.push(*picture)
        pipe.demuxer.push_part("audio/g.711", b"\0" + clip.units[0], pipe.now)
        pipe.items += pipe.demuxer.take()
        pipe.wait(1 / 15)
    late = [frame for frame in pipe.audio if frame.time is not None][30:]
    start = pipe.frames[0].received_at
    for frame in late:
        assert frame.time is not None
        truth = datetime.fromtimestamp(RECORDER_TIME, UTC) + timedelta(
            seconds=frame.received_at - start
        )
        assert abs((frame.time - truth).total_seconds()) < 0.1
    times = [frame.time for frame in late]
    assert times == sorted(t for t in times if t is not None)


def talk_with_video(camera_offset: float, set_back: float) -> list[AudioFrame]:
    """G.711 whose camera clock is off, beside video whose recorder clock is set back half way."""
    pipe = Pipe()
    clip = Clip.load("pcmu")
    sender, video = Sender(Codec.AAC), Sender(Codec.H264)
    numbers = [n % 150 for n in range(600)]
    clock = float(RECORDER_TIME)
    nals = Clip.load("h264").nal_units
    from tests.rtp.stream import video_information

    for count, index in enumerate(numbers):
        if count == 300:
            clock -= set_back
        seconds = count / 15
        pipe.push(*video.picture(nals[index], 6000, extension=video_information(clock + seconds)))
        if count % 3 == 0:
            for at in range(5):
                pipe.push(
                    sender.one(
                        clip.units[0],
                        extension=audio_information(clock + camera_offset + seconds + at * 0.04),
                    )
                )
                sender.timestamp += 320
                pipe.wait(0.04)
    pipe.finish()
    pipe.check(clock=False)
    return pipe.audio


@pytest.mark.parametrize("offset", [0.0, 3600.0, -100.0])
def test_time_of_packets_is_the_cameras_clock_moved_to_the_recorders(offset: float) -> None:
    frames = [frame for frame in talk_with_video(offset, 0.0) if frame.time is not None]
    start = frames[0].received_at
    for frame in frames[100:]:
        assert frame.time is not None
        truth = RECORDER_TIME + (frame.received_at - start)
        assert abs(frame.time.timestamp() - truth) < 0.35


def test_time_follows_a_clock_that_is_set_back() -> None:
    frames = [frame for frame in talk_with_video(0.0, 3600.0) if frame.time is not None]
    last = frames[-1]
    assert last.time is not None
    truth = RECORDER_TIME - 3600 + (last.received_at - frames[0].received_at)
    assert abs(last.time.timestamp() - truth) < 1.0
    back = [
        (a.time - b.time).total_seconds()
        for a, b in zip(frames, frames[1:], strict=False)
        if a.time is not None and b.time is not None and b.time < a.time
    ]
    assert len(back) == 1
    assert back[0] > 3590


def test_a_packet_that_ends_at_its_headers() -> None:
    """Empty, it keeps its place: the change of sender that it brings is not forgotten."""
    talk = Talk()
    talk.say("pcmu", range(10))
    talk.sender = Sender(Codec.AAC, 5, 77, ssrc=0xB)
    talk.pipe.push(talk.sender.one(b""))
    talk.say("g726", range(10))
    frames = talk.finish()
    assert [frame.codec for frame in frames] == [Codec.PCMU] * 10 + [Codec.G726] * 10
    assert parse_packet(rtp(1, 1, b"")).payload == b""
