"""The RTP receiver on real sockets: bursts, strangers, ports in use, and what the kernel dropped."""

from __future__ import annotations

import asyncio
import socket
import sys

import pytest

import nvrclient
from nvrclient.simulator import CameraSetup, Clip, SimulatedRecorder
from nvrclient.transport import udp
from nvrclient.transport.udp import RtpReceiver
from tests.end_to_end.media import nal_units, split
from tests.end_to_end.test_live_video import take, watching
from tests.secrets import PASSWORD


class Heard:
    """A receiver and what it has taken."""

    def __init__(self, peer: str = "127.0.0.1") -> None:
        self.packets: list[bytes] = []
        self.wakes = 0
        self.is_proved = False
        self.receiver = RtpReceiver(peer, self._take, self._taken, lambda: self.is_proved)

    def _take(self, data: bytes) -> bool:
        self.packets.append(data)
        return data != b"junk"

    def _taken(self) -> None:
        self.wakes += 1

    async def until(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.packets) + (self.receiver.kernel_dropped or 0) < count:
                await asyncio.sleep(0.005)


def sender(address: str = "127.0.0.1") -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, 0))
    return sock


@pytest.mark.skipif(sys.platform != "linux", reason="SO_MEMINFO is Linux's")
async def test_row_34_received_and_dropped_by_the_kernel_are_all_that_was_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(udp, "BUFFER_SIZE", 32 << 10)
    heard = Heard()
    await heard.receiver.open("127.0.0.1", None)
    with sender() as sock:
        for _ in range(500):  # in one go: the loop cannot read in between
            sock.sendto(bytes(1400), ("127.0.0.1", heard.receiver.port))
        await heard.until(500)
    assert heard.receiver.kernel_dropped
    assert len(heard.packets) + heard.receiver.kernel_dropped == 500
    heard.receiver.close()
    assert len(heard.packets) + (heard.receiver.kernel_dropped or 0) == 500


async def test_a_burst_is_drained_in_one_wake() -> None:
    heard = Heard()
    await heard.receiver.open(None, None)
    with sender() as sock:
        for number in range(100):
            sock.sendto(number.to_bytes(2, "big"), ("127.0.0.1", heard.receiver.port))
        await heard.until(100)
    assert [int.from_bytes(packet, "big") for packet in heard.packets] == list(range(100))
    assert heard.wakes <= 2
    heard.receiver.close()


async def test_row_31_strangers_are_not_heard() -> None:
    heard = Heard()
    await heard.receiver.open("127.0.0.1", None)
    port = heard.receiver.port
    with sender() as recorder, sender("127.0.0.2") as stranger, sender() as neighbour:
        stranger.sendto(b"stranger", ("127.0.0.1", port))
        recorder.sendto(b"one", ("127.0.0.1", port))
        await heard.until(1)
        assert heard.packets == [b"one"]
        assert heard.receiver.foreign == 1
        neighbour.sendto(b"junk", ("127.0.0.1", port))  # no good datagram: not the one to lock to
        await heard.until(2)
        del heard.packets[1:]
        heard.receiver.lock()
        assert heard.receiver.locked
        for _ in range(50):  # from the recorder's address, but another port: the kernel drops them
            neighbour.sendto(b"neighbour", ("127.0.0.1", port))
            stranger.sendto(b"stranger", ("127.0.0.1", port))
        recorder.sendto(b"two", ("127.0.0.1", port))
        await heard.until(2)
        await asyncio.sleep(0.05)
    assert heard.packets == [b"one", b"two"]
    heard.receiver.close()


async def test_row_31_another_port_that_comes_after_the_proof_is_no_sender() -> None:
    """Its datagrams are as good as the recorder's, and come before the socket is locked: they lock it."""
    heard = Heard()
    await heard.receiver.open("127.0.0.1", None)
    port = heard.receiver.port
    with sender() as recorder, sender() as neighbour:
        recorder.sendto(b"one", ("127.0.0.1", port))
        await heard.until(1)
        neighbour.sendto(
            b"two", ("127.0.0.1", port)
        )  # not proved yet: a recorder may change its port
        recorder.sendto(b"three", ("127.0.0.1", port))
        await heard.until(3)
        heard.is_proved = True
        for _ in range(50):
            neighbour.sendto(b"neighbour", ("127.0.0.1", port))
        await asyncio.sleep(0.05)
        recorder.sendto(b"four", ("127.0.0.1", port))
        await heard.until(4)
    assert heard.receiver.locked
    assert heard.packets == [b"one", b"two", b"three", b"four"]
    assert heard.receiver.foreign >= 1
    heard.receiver.close()


async def test_row_35_the_largest_datagram_is_whole() -> None:
    heard = Heard()
    await heard.receiver.open("127.0.0.1", None)
    with sender() as sock:
        for _ in range(2):
            sock.sendto(bytes(65507), ("127.0.0.1", heard.receiver.port))
        await heard.until(2)
    assert [len(packet) for packet in heard.packets] == [65507, 65507]
    heard.receiver.close()


async def test_row_36_ports_in_use() -> None:
    with sender() as sock:
        taken = sock.getsockname()[1]
        heard = Heard()
        with pytest.raises(nvrclient.ConnectionFailedError, match="rtp_ports"):
            await heard.receiver.open("127.0.0.1", range(taken, taken + 1))
        free = Heard()
        await free.receiver.open("127.0.0.1", [taken, 0])
        free.receiver.close()
    with pytest.raises(nvrclient.ConnectionFailedError, match="rtp_host"):
        await Heard().receiver.open("192.0.2.1", None)


async def test_an_ipv4_peer_is_heard_in_ipv6_clothes() -> None:
    heard = Heard("::ffff:127.0.0.1")
    await heard.receiver.open("127.0.0.1", None)
    with sender() as sock:
        sock.sendto(b"one", ("127.0.0.1", heard.receiver.port))
        await heard.until(1)
    heard.receiver.close()


async def test_row_34_large_key_frames_lose_nothing() -> None:
    """A key frame over 300 KB in one burst, sized by the buffer that was granted."""
    clip = Clip.load("h264_large")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, udp.BUFFER_SIZE)
        granted = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    recorder = SimulatedRecorder(
        cameras={1: CameraSetup(clip)}, password=PASSWORD, pace=4.0 if granted > 1 << 20 else 1.0
    )
    async with (
        watching(recorder) as nvr,
        nvr.camera(1).live("h264", transport="udp") as stream,
    ):
        frames = await take(stream, 20)
        assert stream.stats.lost == 0
        assert stream.stats.kernel_dropped == 0
    assert nal_units(frames) == [unit for au in clip.units[:20] for unit in split(au)]


async def test_row_31_a_flood_from_elsewhere_changes_nothing() -> None:
    """An attacker on another port and another address, while a stream runs."""
    clip = Clip.load("h264")
    recorder = SimulatedRecorder(cameras={1: CameraSetup(clip)}, password=PASSWORD, pace=8.0)
    async with watching(recorder, rtp_host="127.0.0.1") as nvr:
        async with nvr.camera(1).live("h264", transport="udp") as stream:
            frames = await take(stream, 5)
            port = next(
                int(value)
                for request in recorder.requests
                for key, value in request.params
                if key == "PORT"
            )
            with sender() as near, sender("127.0.0.3") as far:
                for number in range(40):
                    for sock in (near, far):
                        sock.sendto(b"\x80\x62" + bytes(1400), ("127.0.0.1", port))
                    if number % 10 == 0:
                        frames += await take(stream, 5)
            assert stream.stats.lost == 0
    assert nal_units(frames) == [unit for au in clip.units[:25] for unit in split(au)]
