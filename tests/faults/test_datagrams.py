"""A path that harms datagrams, end to end (docs/faults.md, rows 26 to 30 and 37).

The recorder keeps an exact account of what it did to each datagram; pictures are compared with the encoder's. The
long form watches fifteen times as long, and a thousand senders:
NVRCLIENT_LONG=1 python -m pytest -n0 tests/faults/test_datagrams.py
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise

import pytest

import nvrclient
from nvrclient import Discontinuity, StreamStats, VideoFrame
from nvrclient.simulator import (
    CameraSetup,
    Clip,
    PacketAccount,
    Readings,
    SimulatedRecorder,
    UdpFaults,
)
from nvrclient.simulator.relay import UdpRelay
from tests.clock import run_simulated, simulated_clock
from tests.secrets import PASSWORD

LONG = bool(os.environ.get("NVRCLIENT_LONG"))
PICTURES = 6000 if LONG else 400
GOP = 5
CLIPS = ("h264", "h265_slices")

Rewrite = Callable[[int, bytes], bytes | None]
"""What becomes of the n-th datagram on its way; None: it is lost."""


@cache
def clip_of(name: str) -> Clip:
    """Return a clip in short GOPs, fifteen pictures a second, of two packets and more each."""
    return Clip.load(name).with_short_gops(GOP, 15)


@dataclass
class Watched:
    """What a consumer was given, and the counters at the end."""

    items: list[VideoFrame | Discontinuity] = field(default_factory=list)
    stats: StreamStats = field(default_factory=StreamStats)
    account: PacketAccount | None = None

    @property
    def frames(self) -> list[VideoFrame]:
        return [item for item in self.items if isinstance(item, VideoFrame)]

    @property
    def told(self) -> list[Discontinuity]:
        return [item for item in self.items if isinstance(item, Discontinuity)]

    @property
    def gaps(self) -> int:
        """Packets lost between two that arrived, by the recorder's account."""
        assert self.account is not None
        return self.account.gaps


def watch(
    name: str,
    faults: UdpFaults | None = None,
    *,
    seed: int = 1,
    pictures: int = PICTURES,
    rewrite: Rewrite | None = None,
) -> Watched:
    """Watch so many pictures over UDP while datagrams suffer, and the next thirty over a path that is well again."""
    clip, seen = clip_of(name), Watched()
    sent = 0

    def rewriting(relay: UdpRelay, datagram: bytes, faults: UdpFaults | None) -> None:
        nonlocal sent
        assert rewrite is not None
        changed = rewrite(sent, datagram)
        sent += 1
        if changed is None:
            relay._account.lose(1)
        else:
            send(relay, changed, faults)

    async def scenario() -> None:
        recorder = SimulatedRecorder(
            cameras={1: CameraSetup(clip)},
            password=PASSWORD,
            readings=Readings(packet_size=700),
            clock=simulated_clock().wall,
            seed=seed,
        )
        async with recorder, nvrclient.connect(recorder.url, "ADMIN", PASSWORD) as nvr:
            shaking = recorder.faults.shake_udp(faults) if faults is not None else None
            async with nvr.camera(1).live(clip.codec, transport="udp") as stream:
                came = 0
                async for item in stream:
                    assert isinstance(item, VideoFrame | Discontinuity)
                    seen.items.append(item)
                    came += isinstance(item, VideoFrame)
                    check_account(stream.stats)
                    if came == pictures and shaking is not None:
                        shaking.heal()
                    if came >= pictures + 30:
                        break
                await asyncio.sleep(0.5)  # what was lost just now is given up
                seen.stats, seen.account = stream.stats, recorder.streams[0].account
        assert recorder.violations == []

    send = UdpRelay.send
    with pytest.MonkeyPatch.context() as patch:
        if rewrite is not None:
            patch.setattr(UdpRelay, "send", rewriting)
        run_simulated(scenario(), debug=False)
    return seen


def check_account(stats: StreamStats) -> None:
    """Promise 3: what was received is delivered, dropped with a reason, or queued."""
    assert stats.frames_received == (
        stats.frames_delivered + stats.frames_queued + sum(stats.dropped.values())
    )


def judge(seen: Watched, name: str, *, first_delimited: bool = True) -> list[int]:
    """Return which pictures were given: each one of the encoder's, byte for byte, and with what it refers to.

    The first may lack its access unit delimiter, which says nothing, if it is not `first_delimited`.
    """
    clip = clip_of(name)
    place = {units: index for index, units in enumerate(clip.nal_units)}
    given = [tuple(nal.data for nal in frame.nal_units) for frame in seen.frames]
    if not first_delimited:
        given[0] = (clip.nal_units[0][0], *given[0])
    numbers = [place.get(picture, -1) for picture in given]
    assert -1 not in numbers, "a picture that the encoder did not make"
    assert numbers[0] in clip.keyframes
    for before, after in pairwise(numbers):
        assert after in clip.keyframes or after == before + 1, "its reference was not given"
    for frame, number in zip(seen.frames, numbers, strict=True):
        assert frame.keyframe == (number in clip.keyframes)
    for earlier, later in pairwise(seen.frames):
        assert later.pts > earlier.pts
    for told, following in pairwise(seen.items):
        if isinstance(told, Discontinuity) and isinstance(following, VideoFrame):
            assert following.keyframe, "it goes on at a key frame"
    whole = numbers[-25:]
    assert all((after - before) % len(clip) == 1 for before, after in pairwise(whole)), (
        "well again at the next key frame"
    )
    return numbers


def is_unbroken(numbers: list[int], name: str) -> bool:
    """Whether no picture is missing."""
    return all((b - a) % len(clip_of(name)) == 1 for a, b in pairwise(numbers))


# Row 26


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize(
    "faults",
    [
        UdpFaults(loss=0.001),
        UdpFaults(loss=0.01),
        UdpFaults(loss=0.05),
        UdpFaults(bursts=0.002, burst=(1, 200)),
        UdpFaults(loss=0.01, bursts=0.001, duplicate=0.05, reorder=0.05, distance=8),
    ],
)
def test_row_26_every_gap_is_counted_and_no_picture_is_made_of_two(
    name: str, faults: UdpFaults
) -> None:
    seen = watch(name, faults, seed=3)
    judge(seen, name)
    assert seen.stats.lost == seen.gaps
    assert seen.gaps > 0
    assert seen.stats.late == 0
    assert set(seen.stats.dropped) <= {"loss", "waiting for key frame"}
    assert {told.reason for told in seen.told} == {"loss"}
    assert sum(told.lost for told in seen.told) == seen.gaps


# Rows 27 and 28


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("distance", [1, 8, 31])
def test_row_27_what_is_overtaken_within_the_window_is_not_lost(name: str, distance: int) -> None:
    seen = watch(name, UdpFaults(reorder=0.1, distance=distance, hold=0.09))
    assert is_unbroken(judge(seen, name), name)
    stats = seen.stats
    assert (stats.lost, stats.late, stats.duplicates, seen.told) == (0, 0, 0, [])
    assert stats.reordered > 50
    assert not stats.dropped


def test_row_27_what_is_later_is_counted_and_never_given_out_of_order() -> None:
    seen = watch("h264", UdpFaults(reorder=0.01, distance=100, hold=0.5))
    judge(seen, "h264")
    assert seen.stats.late > 0
    assert seen.stats.lost == seen.stats.late
    assert {told.reason for told in seen.told} == {"loss"}


@pytest.mark.parametrize("name", CLIPS)
def test_row_28_copies_change_nothing(name: str) -> None:
    plain, copied = watch(name), watch(name, UdpFaults(duplicate=0.2))
    assert [(f.data, f.pts) for f in copied.frames] == [(f.data, f.pts) for f in plain.frames]
    assert copied.account is not None
    assert copied.stats.duplicates == copied.account.duplicated > 100
    assert (copied.stats.lost, copied.told) == (0, [])


# Rows 29 and 30


def shifted(datagram: bytes, numbers: int, ticks: int = 0, ssrc: int | None = None) -> bytes:
    """Return it with another sequence number, time stamp and sender (RFC 3550 §5.1)."""
    number = (int.from_bytes(datagram[2:4], "big") + numbers) & 0xFFFF
    time = (int.from_bytes(datagram[4:8], "big") + ticks) & 0xFFFFFFFF
    sender = datagram[8:12] if ssrc is None else ssrc.to_bytes(4, "big")
    head = datagram[:2] + number.to_bytes(2, "big") + time.to_bytes(4, "big")
    return head + sender + datagram[12:]


class Begins:
    """Moves numbers and time stamps so that the stream begins with these."""

    def __init__(self, number: int, time: int) -> None:
        self._wanted = number, time
        self._by: tuple[int, int] | None = None

    def __call__(self, _n: int, datagram: bytes) -> bytes:
        if self._by is None:
            first = int.from_bytes(datagram[2:4], "big"), int.from_bytes(datagram[4:8], "big")
            self._by = self._wanted[0] - first[0], self._wanted[1] - first[1]
        return shifted(datagram, *self._by)


@pytest.mark.parametrize("ahead", [0, 1, 5, 40])
def test_row_29_both_wraps_lose_nothing(ahead: int) -> None:
    """The number wraps after `ahead` packets, the time stamp after as many pictures."""
    begins = Begins(0x10000 - ahead, 0x1_0000_0000 - ahead * 6000)
    seen = watch("h264", pictures=60, rewrite=begins)
    assert is_unbroken(judge(seen, "h264"), "h264")
    assert (seen.stats.lost, seen.told, dict(seen.stats.dropped)) == (0, [], {})
    assert [after.pts - before.pts for before, after in pairwise(seen.frames)] == [6000] * 89


@pytest.mark.parametrize("jump", [3200, 20_000, 40_000, -500])
def test_row_29_in_step_again_after_a_jump(jump: int) -> None:
    """At most 32 packets, and the rest of the GOP they are in."""
    at = 200
    seen = watch(
        "h264", pictures=90, rewrite=lambda n, d: shifted(d, jump, 90_000) if n >= at else d
    )
    numbers = judge(seen, "h264")
    breaks = [i for i, (a, b) in enumerate(pairwise(numbers)) if (b - a) % 25 != 1]
    assert len(breaks) <= 1
    missing = sum((b - a - 1) % 25 for a, b in pairwise(numbers))
    assert missing <= 3 * GOP
    assert seen.stats.reconnects == 0


def test_row_30_another_sender_at_every_key_frame() -> None:
    """Each with numbers of its own: all GOPs are given, with one timeline."""
    gops = 1000 if LONG else 100
    last_time = b""
    picture = -1

    def rewrite(_n: int, datagram: bytes) -> bytes:
        nonlocal last_time, picture
        if datagram[4:8] != last_time:
            last_time = datagram[4:8]
            picture += 1
        sender = picture // GOP
        return shifted(datagram, 7919 * sender, 1_000_003 * sender, 5000 + sender)

    seen = watch("h264", pictures=gops * GOP, rewrite=rewrite)
    assert is_unbroken(judge(seen, "h264"), "h264")
    assert seen.stats.ssrc_changes in range(gops, gops + 10)
    assert (seen.stats.lost, seen.stats.reconnects) == (0, 0)
    assert not seen.stats.dropped


# Row 37


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("lost", range(10))
def test_row_37_one_of_the_first_ten_packets_is_lost(name: str, lost: int) -> None:
    """Whatever it held, the first picture given is a key frame with its parameter sets, and whole."""
    seen = watch(name, pictures=20, rewrite=lambda n, d: None if n == lost else d)
    first = seen.frames[0]
    assert first.keyframe
    sets = {nal.type for nal in first.nal_units if nal.is_parameter_set}
    assert sets >= ({7, 8} if name == "h264" else {32, 33, 34})
    assert seen.stats.lost == seen.gaps
    judge(seen, name, first_delimited=lost > 0)


@pytest.mark.parametrize("name", CLIPS)
def test_row_37_the_whole_first_gop_is_damaged(name: str) -> None:
    """Its beginning is lost: what is left of it is counted as waiting for a key frame."""
    seen = watch(name, pictures=20, rewrite=lambda n, d: None if n < 9 else d)
    numbers = judge(seen, name)
    assert numbers[0] > 0
    assert seen.stats.dropped.get("waiting for key frame", 0) > 0
