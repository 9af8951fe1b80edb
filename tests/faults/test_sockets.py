"""What kernel and strangers do to RTP over UDP, on real sockets and through the public API (docs/faults.md, rows 31 to 36).

The long form is attacked for a minute: NVRCLIENT_LONG=1 python -m pytest -n0 tests/faults/test_sockets.py
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

import nvrclient
from nvrclient import LiveStream
from nvrclient.simulator import CameraSetup, Clip, SimulatedRecorder
from nvrclient.transport import udp
from tests.end_to_end.foreign import INTERVAL, ForeignRecorder, Query, packets
from tests.end_to_end.media import nal_units, split
from tests.end_to_end.test_live_video import take, watching
from tests.secrets import PASSWORD

LONG = bool(os.environ.get("NVRCLIENT_LONG"))


def rtp_port(recorder: SimulatedRecorder) -> int:
    """Return the port of the stream that was started last."""
    [*_, port] = (value for r in recorder.requests for key, value in r.params if key == "PORT")
    return int(port)


# Row 31


@contextmanager
def attack(port: int, sources: list[str], rate: int = 10_000) -> Iterator[list[int]]:
    """Have a thread send datagrams from other ports and addresses; yields how many so far."""
    sent, over = [0], threading.Event()

    def run() -> None:
        chance = random.Random(31)
        with ExitStack() as stack:
            senders = [
                stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                for _ in range(2 * len(sources))
            ]
            for number, sender in enumerate(senders):
                sender.bind((sources[number % len(sources)], 0))
            began = time.monotonic()
            while not over.is_set():
                while sent[0] < rate * (time.monotonic() - began):
                    head = struct.pack(
                        ">BBHII", 0x80, chance.choice((98, 226, 101, 50, 97)),
                        chance.getrandbits(16), chance.getrandbits(32), chance.choice((7, 99)),
                    )  # fmt: skip
                    senders[sent[0] % len(senders)].sendto(
                        head + b"\x65attack" * 20, ("127.0.0.1", port)
                    )
                    sent[0] += 1
                over.wait(0.002)

    thread = threading.Thread(target=run, name="attacker")
    thread.start()
    try:
        yield sent
    finally:
        over.set()
        thread.join()


async def test_row_31_ten_thousand_datagrams_a_second_from_strangers() -> None:
    """Other ports of the recorder's address, and another address: the kernel drops them, every picture comes."""
    clip = Clip.load("h264")
    recorder = SimulatedRecorder(cameras={1: CameraSetup(clip)}, password=PASSWORD, pace=4.0)
    pictures = 3000 if LONG else 90
    async with watching(recorder, rtp_host="127.0.0.1") as nvr:
        async with nvr.camera(1).live("h264", transport="udp") as stream:
            frames = await take(stream, 2)
            with attack(rtp_port(recorder), ["127.0.0.1", "127.0.0.4"]) as sent:
                frames += await take(stream, pictures)
            stats = stream.stats
    assert sent[0] > 5000
    assert (stats.lost, stats.malformed, stats.reconnects, stats.kernel_dropped) == (0, 0, 0, 0)
    assert stats.ssrc_changes == 0
    assert stats.foreign <= 10, "since the first good packet nobody else is heard"
    expected = [unit for n in range(len(frames)) for unit in split(clip.units[n % len(clip)])]
    assert nal_units(frames) == expected


async def test_row_31_a_stranger_on_another_address_before_the_first_packet() -> None:
    """Then the socket is open to all: they are counted as foreign, and do not take the stream."""

    class Recorder(ForeignRecorder):
        async def send_video(self, query: Query) -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                stranger.bind(("127.0.0.5", 0))
                picture = next(packets(self.clip, ssrc=666))
                for _ in range(20):
                    for packet in picture:
                        stranger.sendto(packet, ("127.0.0.1", int(query["PORT"])))
            await asyncio.sleep(0.1)
            await super().send_video(query)

    async with Recorder() as recorder:
        async with nvrclient.connect(recorder.url, "ADMIN", PASSWORD) as nvr:
            async with nvr.camera(1).live("h264", transport="udp") as stream:
                frames = await take(stream, 10)
                assert stream.stats.foreign >= 20
                assert (stream.stats.lost, stream.stats.reconnects) == (0, 0)
    assert nal_units(frames) == [u for au in recorder.clip.units[:10] for u in split(au)]


async def test_row_31_spoofed_from_the_recorders_own_address_and_port() -> None:
    """Another sender's numbers between the right ones: no picture is harmed, and the stream not taken."""

    class Recorder(ForeignRecorder):
        async def send_video(self, query: Query) -> None:
            chance = random.Random(1)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                for picture in packets(self.clip):
                    for packet in picture:
                        sock.sendto(packet, ("127.0.0.1", int(query["PORT"])))
                        wrong = struct.pack(">HII", chance.getrandbits(16), chance.getrandbits(32), chance.getrandbits(32))  # fmt: skip
                        sock.sendto(
                            b"\x80\x62" + wrong + packet[12:], ("127.0.0.1", int(query["PORT"]))
                        )
                    await asyncio.sleep(INTERVAL)

    async with Recorder() as recorder:
        async with nvrclient.connect(recorder.url, "ADMIN", PASSWORD) as nvr:
            async with nvr.camera(1).live("h264", transport="udp") as stream:
                frames = await take(stream, 60)
                stats = stream.stats
    assert nal_units(frames) == [u for au in recorder.clip.units[:60] for u in split(au)]
    assert stats.ignored["stray"] > 60
    assert (stats.lost, stats.reconnects) == (0, 0)


# Rows 32 and 33


async def test_row_32_33_what_is_no_video_is_counted_by_its_reason() -> None:
    """RTCP, STUN, payload type 50, short and empty datagrams between the packets of a stream."""
    strange = [
        bytes([0x80, 200, 0, 6]) + bytes(24),  # RTCP
        bytes.fromhex("0001 0000 2112a442") + bytes(12),  # STUN
        b"\x80\x32" + bytes(30),  # payload type 50
        b"\x80",
        b"",
        b"\x40" + bytes(40),  # version 1
        b"\x90\x62" + bytes(12) + b"\xff\xff",  # an extension of 65,535 words
        b"\xa0\x62" + bytes(10) + b"\xff",  # more padding than payload
    ]

    class Recorder(ForeignRecorder):
        rounds = 0

        async def send_video(self, query: Query) -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                for picture in packets(self.clip):
                    for packet in (*strange, *picture):
                        sock.sendto(packet, ("127.0.0.1", int(query["PORT"])))
                    self.rounds += 1
                    await asyncio.sleep(INTERVAL)

    async with Recorder() as recorder:
        async with nvrclient.connect(recorder.url, "ADMIN", PASSWORD) as nvr:
            async with nvr.camera(1).live("h264", transport="udp") as stream:
                frames = await take(stream, 30)
                rounds, stats = recorder.rounds, stream.stats
    assert nal_units(frames) == [u for au in recorder.clip.units[:30] for u in split(au)]
    assert stats.ignored == {"RTCP": rounds, "payload type": rounds}
    assert stats.malformed == rounds * (len(strange) - 2)
    assert stats.lost == 0


# Row 34


@pytest.mark.skipif(sys.platform != "linux", reason="SO_MEMINFO is Linux's")
async def test_row_34_received_and_dropped_are_all_that_was_sent_by_the_streams_own_counters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A socket buffer of 64 KiB, a loop that stands still while key frames come: the account is exact."""
    monkeypatch.setattr(udp, "BUFFER_SIZE", 64 << 10)
    clip = Clip.load("h264_large")

    class Recorder(ForeignRecorder):
        sent = 0

        async def send_video(self, query: Query) -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                for number, picture in enumerate(packets(clip)):
                    # Five pictures in one go: nobody can read in between.
                    for packet in picture:
                        sock.sendto(packet, ("127.0.0.1", int(query["PORT"])))
                        self.sent += 1
                    if number % 5 == 4:
                        await asyncio.sleep(INTERVAL)
                    if number == 60:
                        return

    async with Recorder() as foreign:
        async with nvrclient.connect(foreign.url, "ADMIN", PASSWORD) as nvr:
            async with nvr.camera(1).live("h264", transport="udp", when_full="latest") as stream:
                before = -1
                while foreign.sent > before:
                    before = foreign.sent
                    await asyncio.sleep(0.3)
                stats = stream.stats
                assert stats.kernel_dropped
                assert stats.packets + stats.kernel_dropped == foreign.sent
                assert stats.lost <= stats.kernel_dropped
                check = stats.frames_delivered + stats.frames_queued + sum(stats.dropped.values())
                assert stats.frames_received == check
            assert stream.stats.packets + (stream.stats.kernel_dropped or 0) == foreign.sent


async def test_row_34_a_loop_that_stands_still_for_50_ms_loses_nothing() -> None:
    """With the buffer that was granted, while key frames of the large clip come."""
    clip = Clip.load("h264")
    recorder = SimulatedRecorder(cameras={1: CameraSetup(clip)}, password=PASSWORD, pace=4.0)
    async with watching(recorder) as nvr:
        async with nvr.camera(1).live("h264", transport="udp") as stream:
            frames = []
            for _ in range(6):
                frames += await take(stream, 10)
                time.sleep(0.05)  # a consumer that blocks the loop
            assert (stream.stats.lost, stream.stats.kernel_dropped) == (0, 0)
    assert nal_units(frames) == [u for au in clip.units[:60] for u in split(au)]


# Row 35


async def test_row_35_a_datagram_of_the_largest_size_is_never_read_in_part() -> None:
    """65,507 bytes are seen whole, and counted as what they are: the buffer is larger than any datagram."""

    class Recorder(ForeignRecorder):
        async def send_video(self, query: Query) -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                for n, picture in enumerate(packets(self.clip)):
                    if (
                        n < 5
                    ):  # padding says 255 of 65,507 bytes, and the last byte is there to say so
                        huge = b"\xa0\x32" + bytes(65_507 - 3) + b"\xff"
                        sock.sendto(huge, ("127.0.0.1", int(query["PORT"])))
                    for packet in picture:
                        sock.sendto(packet, ("127.0.0.1", int(query["PORT"])))
                    await asyncio.sleep(INTERVAL)

    assert udp.MAX_DATAGRAM > 65_507
    async with Recorder() as recorder:
        async with nvrclient.connect(recorder.url, "ADMIN", PASSWORD) as nvr:
            async with nvr.camera(1).live("h264", transport="udp") as stream:
                await take(stream, 20)
                assert stream.stats.ignored == {"payload type": 5}
                assert (stream.stats.malformed, stream.stats.lost) == (0, 0)
                assert stream.stats.bytes > 5 * 65_507


# Row 36


@contextmanager
def occupied(count: int) -> Iterator[range]:
    """Take so many UDP ports in a row; the next two after them are free."""
    for first in range(42_000, 60_000, count + 2):
        with ExitStack() as stack:
            try:
                for port in range(first, first + count + 2):
                    sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                    sock.bind(("0.0.0.0", port))
                    if port >= first + count:
                        sock.close()
            except OSError:
                continue
            yield range(first, first + count + 2)
            return
    raise AssertionError("no ports")


async def test_row_36_fifteen_ports_in_use_the_sixteenth_is_taken() -> None:
    recorder = SimulatedRecorder(cameras=1, password=PASSWORD, pace=8.0)
    with occupied(15) as ports:
        async with watching(recorder, rtp_ports=ports) as nvr:
            async with nvr.camera(1).live("h264", transport="udp") as stream:
                await take(stream, 2)
            assert rtp_port(recorder) == ports[15]


@pytest.mark.parametrize("reconnect", [True, False])
async def test_row_36_sixteen_ports_in_use_are_enough_to_give_up(reconnect: bool) -> None:
    recorder = SimulatedRecorder(cameras=1, password=PASSWORD, pace=8.0)
    with occupied(17) as ports:
        async with watching(recorder, rtp_ports=ports, reconnect=reconnect) as nvr:
            with pytest.raises(nvrclient.ConnectionFailedError, match="rtp_ports") as caught:
                await nvr.camera(1).live("h264", transport="udp")
            assert f"{ports[0]}…{ports[15]}" in str(caught.value)
            assert not recorder.streams
            async with nvr.camera(1).live(
                "h264", transport="auto"
            ) as stream:  # allowed to do without
                await take(stream, 2)
                assert stream.stats.transport == "http"
                assert "rtp_ports" in (stream.stats.fallback or "")


async def test_row_36_a_firewall_is_named_in_the_hint() -> None:
    """No packet at all: raised within stall_timeout and a second, real time."""
    recorder = SimulatedRecorder(cameras=1, password=PASSWORD, pace=8.0)
    async with watching(recorder, stall_timeout=0.5) as nvr:
        recorder.faults.block_udp()
        async with nvr.camera(1).live("h264", transport="udp") as stream:
            began = time.monotonic()
            with pytest.raises(nvrclient.StreamStalledError, match="firewall"):
                await anext(stream)
            assert time.monotonic() - began < 1.5


async def test_row_31_one_forged_packet_before_the_first_does_not_take_the_stream() -> None:
    """From the recorder's address, another port: whoever brings no picture does not get the socket."""

    class Forged(ForeignRecorder):
        async def send_video(self, query: Query) -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forger:
                forger.bind(("127.0.0.1", 0))
                packet = next(packets(self.clip, ssrc=666))[0]
                forger.sendto(packet, ("127.0.0.1", int(query["PORT"])))
                await asyncio.sleep(0.1)
            await super().send_video(query)

    async with Forged() as recorder:
        async with nvrclient.connect(recorder.url, "ADMIN", PASSWORD, stall_timeout=1.0) as nvr:
            async with nvr.camera(1).live("h264", transport="udp") as stream:
                await take(stream, 5)
                assert receiver_of(stream).locked
                assert stream.stats.reconnects == 0


async def test_row_36_the_receiver_outlives_what_icmp_says() -> None:
    """A locked socket that hears of a closed port goes on when packets come again."""
    recorder = SimulatedRecorder(cameras=1, password=PASSWORD, pace=8.0)
    async with watching(recorder) as nvr:
        async with nvr.camera(1).live("h264", transport="udp") as stream:
            await take(stream, 2)
            receiver = receiver_of(stream)
            for error in (ConnectionRefusedError(111, "refused"), OSError(101, "unreachable")):
                receiver.error_received(error)
            await take(stream, 20)
            assert stream.stats.reconnects == 0


def receiver_of(stream: LiveStream) -> udp.RtpReceiver:
    source = stream._source
    assert source is not None
    feed = source._feed
    receivers: dict[str, udp.RtpReceiver] = feed.receivers  # type: ignore[union-attr]
    return receivers["H264"]
