"""Live over UDP: packets at a plain socket."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from typing import TYPE_CHECKING

import pytest

from nvrclient.simulator import CameraSetup, Clip, SimulatedRecorder
from tests.simulator.client import rtp_payload, settle, viewing
from tests.simulator.test_live_http import joined

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.simulator.client import Viewer


@contextlib.contextmanager
def receiver(host: str) -> Iterator[socket.socket]:
    """A socket with the system's default buffer: the recorder must not overrun one that is read."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        udp.bind((host, 0))
        udp.setblocking(False)
        yield udp


async def receive(udp: socket.socket, count: int) -> list[bytes]:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(10):
        return [await loop.sock_recv(udp, 2048) for _ in range(count)]


def push(viewer: Viewer, command: str, camera: int, comp: str, udp: socket.socket) -> str:
    return f"CAM={camera}&CMD={command}&COMP={comp}&PORT={udp.getsockname()[1]}"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize(
    ("camera", "comp", "payload_type"), [(1, "H264", 98), (2, "H265", 101), (3, "H265", 101)]
)
async def test_video_is_the_clip(host: str, camera: int, comp: str, payload_type: int) -> None:
    async with SimulatedRecorder(pace=None, host=host) as recorder, viewing(recorder) as viewer:
        with receiver(host) as udp:
            assert await viewer.get("push.cgi", push(viewer, "START", camera, comp, udp)) == 200
            packets = await receive(udp, 500)
            assert await viewer.get("push.cgi", push(viewer, "STOP", camera, comp, udp)) == 200
        clip = Clip.load(str(recorder.cameras[camera].video))
        read = joined(comp, packets)
        sent = [nal for unit in clip.nal_units for nal in unit][: len(read) - 1]
        assert read[:-1] == sent
        assert {packet[1] & 0x7F for packet in packets} == {payload_type}
        numbers = [int.from_bytes(packet[2:4], "big") for packet in packets]
        first = numbers[0]
        assert numbers == [(first + n) % 65536 for n in range(500)]
        assert len({packet[8:12] for packet in packets}) == 1
        # Time stamps rise by a picture's time after each marker, and nowhere else.
        stamps = [int.from_bytes(packet[4:8], "big") for packet in packets]
        for packet, now, after in zip(packets, stamps, stamps[1:], strict=False):
            assert (after - now) % 2**32 == (6000 if packet[1] & 0x80 else 0)
        await settle()
        assert recorder.streams == ()
        assert recorder.violations == []


async def test_a_large_key_frame_fits_a_default_socket_buffer() -> None:
    cameras = {1: CameraSetup("h264_large")}
    async with SimulatedRecorder(cameras=cameras) as recorder, viewing(recorder) as viewer:
        with receiver(recorder.host) as udp:
            await viewer.get("push.cgi", push(viewer, "START", 1, "H264", udp))
            read = joined("H264", await receive(udp, 240))
        assert max(map(len, read)) > 200_000


@pytest.mark.parametrize(
    ("clip", "header"),
    [("pcmu", 0), ("pcma", 0), ("g726", 0), ("aac_48k_stereo", 4), ("aac_16k_mono", 4)],
)
async def test_audio_on_a_port_of_its_own(clip: str, header: int) -> None:
    cameras = {7: CameraSetup("h264", clip)}
    async with SimulatedRecorder(cameras=cameras, pace=20) as recorder, viewing(recorder) as viewer:
        with receiver(recorder.host) as udp, receiver(recorder.host) as sound:
            await viewer.get("push.cgi", push(viewer, "START", 7, "H264", udp))
            assert await viewer.get("push.cgi", push(viewer, "START", 7, "AUDIO", sound)) == 200
            packets = await receive(sound, 20)
            assert await viewer.get("push.cgi", push(viewer, "STOP", 7, "AUDIO", sound)) == 200
            assert await viewer.get("push.cgi", push(viewer, "STOP", 7, "H264", udp)) == 200
        loaded = Clip.load(clip)
        assert [rtp_payload(p)[header:] for p in packets] == list(loaded.units[:20])
        assert all(packet[:2] == b"\x90\xe1" for packet in packets)
        stamps = [int.from_bytes(packet[4:8], "big") for packet in packets]
        step = loaded.samples_per_unit
        assert {(b - a) % 2**32 for a, b in itertools.pairwise(stamps)} == {step}
        assert recorder.violations == []


async def test_pace_is_kept_without_drift() -> None:
    async with SimulatedRecorder(pace=10) as recorder, viewing(recorder) as viewer:
        with receiver(recorder.host) as udp:
            await viewer.get("push.cgi", push(viewer, "START", 1, "H264", udp))
            started = asyncio.get_running_loop().time()
            await asyncio.sleep(1)
            [stream] = recorder.streams
            elapsed = asyncio.get_running_loop().time() - started
            assert abs(stream.units_sent - elapsed * 150) < 10


async def test_sound_flows_evenly() -> None:
    async with SimulatedRecorder(pace=2) as recorder, viewing(recorder) as viewer:
        with receiver(recorder.host) as udp, receiver(recorder.host) as sound:
            await viewer.get("push.cgi", push(viewer, "START", 2, "H265", udp))
            await viewer.get("push.cgi", push(viewer, "START", 2, "AUDIO", sound))
            times = []
            for _ in range(40):
                await receive(sound, 1)
                times.append(asyncio.get_running_loop().time())
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert sorted(gaps)[len(gaps) // 2] == pytest.approx(0.02, abs=0.005)
    assert max(gaps) < 0.1


async def test_the_recorder_sends_from_the_address_it_answers_on() -> None:
    async with SimulatedRecorder(pace=10) as recorder, viewing(recorder) as viewer:
        with receiver(recorder.host) as udp:
            await viewer.get("push.cgi", push(viewer, "START", 1, "H264", udp))
            _, source = await asyncio.get_running_loop().sock_recvfrom(udp, 2048)
            assert source[0] == recorder.host
