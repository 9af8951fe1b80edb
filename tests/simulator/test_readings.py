"""Every switch of ``Readings`` does to the wire what it says, and what is sent stays the clip."""

from __future__ import annotations

import re
from datetime import timedelta, timezone

import pytest

from nvrclient.simulator import (
    CameraSetup,
    Clip,
    Extension,
    Framing,
    HeaderCase,
    Marker,
    Readings,
    SimulatedRecorder,
)
from tests.simulator.client import viewing, watching
from tests.simulator.test_live_http import joined, show
from tests.simulator.test_live_udp import push, receive, receiver


async def packets(readings: Readings, count: int, clip: str = "h264") -> list[bytes]:
    comp = "H264" if clip.startswith("h264") else "H265"
    async with show(clip, readings=readings) as recorder, viewing(recorder) as viewer:
        return [body for _, body in await viewer.parts(1, comp, count)]


def sent(clip: str, units: int) -> list[bytes]:
    return [nal for unit in Clip.load(clip).nal_units[:units] for nal in unit]


@pytest.mark.parametrize("framing", Framing)
@pytest.mark.parametrize("crlf", [True, False])
async def test_framing(framing: Framing, crlf: bool) -> None:
    readings = Readings(framing=framing, crlf_after_body=crlf)
    async with watching(show("h264", readings=readings)) as viewer, viewer.live(1, "H264") as live:
        headers = live.response.headers
        parts = [body for _, body in await live.parts(200)]
        assert await viewer.get("push.cgi", "CAM=1&CMD=STOP&COMP=H264") == 200
        async for _ in live.chunks:
            pass  # with chunks, httpx would complain about a body that does not end
    assert joined("H264", parts)[:40] == sent("h264", 30)[:40]
    chunked = headers.get("transfer-encoding") == "chunked"
    assert chunked == (framing is not Framing.CLOSE)
    assert "content-length" not in headers


@pytest.mark.parametrize(
    ("case", "names"),
    [
        (HeaderCase.AS_PRINTED, {b"Content-type", b"Content-Length"}),
        (HeaderCase.TITLE, {b"Content-Type", b"Content-Length"}),
        (HeaderCase.LOWER, {b"content-type", b"content-length"}),
        (HeaderCase.UPPER, {b"CONTENT-TYPE", b"CONTENT-LENGTH"}),
    ],
)
async def test_header_case(case: HeaderCase, names: set[bytes]) -> None:
    readings = Readings(header_case=case)
    async with watching(show("h264", readings=readings)) as viewer, viewer.live(1, "H264") as live:
        live.raw = await anext(live.chunks)
        assert set(re.findall(rb"(?i)content-\w+", live.raw[:100])) == names


async def test_declared_boundary() -> None:
    for hyphens, declared in ((True, "--myboundary"), (False, "myboundary")):
        readings = Readings(boundary_with_hyphens=hyphens)
        async with (
            watching(show("h264", readings=readings)) as viewer,
            viewer.live(1, "H264") as live,
        ):
            assert live.response.headers["content-type"].endswith(f"boundary={declared}")
            await live.parts(1)  # the delimiter is --myboundary all the same


async def test_where_the_extension_stands() -> None:
    firsts = {}
    for where in Extension:
        read = await packets(Readings(extension=where), 300)
        ends = [bool(packet[1] & 0x80) for packet in read]
        is_first = [True, *ends[:-1]]
        has = [bool(packet[0] & 0x10) for packet in read]
        firsts[where] = sum(is_first)
        assert joined("H264", read)[:30] == sent("h264", 20)[:30]
        if where is Extension.EVERY_PACKET:
            assert all(has)
        elif where is Extension.EACH_PICTURE:
            assert has == is_first
        elif where is Extension.KEYFRAMES:
            pictures = [h for h, first in zip(has, is_first, strict=True) if first]
            keys = Clip.load("h264").keyframes
            assert pictures == [number in keys for number in range(len(pictures))]
            assert sum(has) == sum(pictures) > 1
        else:
            assert not any(has)


async def test_markers() -> None:
    read = await packets(Readings(marker=Marker.MISSING), 100)
    assert not any(packet[1] & 0x80 for packet in read)
    read = await packets(Readings(marker=Marker.EVERY_NAL_UNIT), 100)
    marked = sum(bool(packet[1] & 0x80) for packet in read)
    assert marked == len(joined("H264", read)) - (0 if read[-1][1] & 0x80 else 1)


async def test_padding_and_csrc() -> None:
    read = await packets(Readings(padding=4, csrc=2, extension=Extension.NONE), 50)
    assert {packet[0] for packet in read} == {0xA2}
    assert {packet[-4:] for packet in read} == {b"\0\0\0\4"}
    assert len({packet[12:20] for packet in read}) == 1
    bare = [packet[:-4] for packet in read]
    assert joined("H264", bare)[:10] == sent("h264", 10)[:10]


@pytest.mark.parametrize("clip", ["h264", "h265"])
async def test_aggregates(clip: str) -> None:
    read = await packets(Readings(aggregate=True), 60, clip)
    payload = read[0][44:]
    nals = Clip.load(clip).nal_units[0]
    header = 1 if clip == "h264" else 2
    assert (payload[0] & 0x1F if clip == "h264" else payload[0] >> 1) == (
        24 if clip == "h264" else 48
    )
    found = []
    while header < len(payload):
        size = int.from_bytes(payload[header : header + 2], "big")
        found.append(payload[header + 2 : header + 2 + size])
        header += 2 + size
    assert tuple(found) == nals[: len(found)]
    assert len(found) >= 4


async def test_slices_in_one_packet() -> None:
    read = await packets(Readings(single_slices=True), 200)
    kinds = [packet[44 if packet[0] & 0x10 else 12] & 0x1F for packet in read]
    assert {1, 28} <= set(kinds)
    assert joined("H264", read)[:30] == sent("h264", 20)[:30]


async def test_start_codes() -> None:
    read = await packets(Readings(start_codes=True), 5)
    assert [packet[44 if packet[0] & 0x10 else 12 :][:4] for packet in read] == [b"\0\0\0\1"] * 5


async def test_packet_size() -> None:
    read = await packets(Readings(packet_size=500), 100)
    assert max(len(packet) for packet in read) <= 12 + 4 + 28 + 500
    assert joined("H264", read)[:20] == sent("h264", 10)[:20]


async def test_start_at() -> None:
    read = await packets(Readings(start_at=29), 30)
    nals = Clip.load("h264").nal_units
    assert joined("H264", read)[:9] == [*nals[29], *nals[30]][:9]


async def test_audio_without_its_zero_and_g726_order() -> None:
    readings = Readings(audio_zero_byte=False, g726_low_bits_first=False)
    async with watching(show("h264", "g726", readings=readings)) as viewer, viewer.live(1, "H264"):
        [(_, body)] = await viewer.parts(1, "AUDIO", 1)
    unit = Clip.load("g726").units[0]
    assert body == bytes(int(f"{byte:02x}"[::-1], 16) for byte in unit)


async def test_zone_and_summer_time() -> None:
    recorder = SimulatedRecorder(
        cameras={300: CameraSetup("h264")},
        timezone=timezone(-timedelta(hours=9, minutes=30)),
        summer_time=True,
        clock=lambda: 1_700_006_400.75,
        pace=None,
    )
    async with recorder, viewing(recorder) as viewer:
        parts = await viewer.parts(300, "H264", 300)
    firsts = [body for _, body in parts if body[0] & 0x10]
    assert firsts[0][16:44] == bytes.fromhex(
        "0004 0008 012C 0000  0007 000C 65540A00 01 09 1E 01  000D 0008 01 00 0000"
    )
    # 15 pictures a second from .75 on: the second turns with the fourth picture after the first.
    seconds = [int.from_bytes(first[28:32], "big") - 0x65540A00 for first in firsts]
    assert seconds[:20] == [0] * 4 + [1] * 15 + [2]


async def test_stop_in_the_tables_form_only() -> None:
    readings = Readings(stop_needs_internetmode=True)
    async with show("h264", readings=readings) as recorder, viewing(recorder) as viewer:
        async with viewer.live(1, "H264"):
            assert await viewer.get("push.cgi", "CAM=1&CMD=STOP&COMP=H264") == 400
            query = "CAM=1&CMD=STOP&COMP=H264&INTERNETMODE=ON"
            assert await viewer.get("push.cgi", query) == 200
        assert recorder.violations == []


async def test_another_clock() -> None:
    read = await packets(Readings(video_clock=1000), 40)
    stamps = sorted({int.from_bytes(packet[4:8], "big") for packet in read})
    assert [stamp - stamps[0] for stamp in stamps[:4]] == [0, 67, 133, 200]


async def test_lengths_and_names_that_are_unsaid() -> None:
    readings = Readings(jpeg_length_counts_itself=False, g711_content_type="audio/g.711-64k")
    async with watching(show("h264", "pcma", "jpeg", readings=readings)) as viewer:
        [(_, picture)] = await viewer.parts(1, "JPEG", 1)
        async with viewer.live(1, "H264"):
            [(kind, _)] = await viewer.parts(1, "AUDIO", 1)
    assert picture[:6] == bytes.fromhex("FFD8FFFE 001C")
    assert picture[34:40] == bytes.fromhex("FFD8FFFE 0014")
    assert kind == "audio/g.711-64k"


async def test_audio_on_the_videos_port() -> None:
    readings = Readings(audio_to_video_port=True)
    async with watching(show("h264", "pcmu", readings=readings, pace=10)) as viewer:
        with receiver("127.0.0.1") as udp, receiver("127.0.0.1") as sound:
            await viewer.get("push.cgi", push(viewer, "START", 1, "H264", udp))
            await viewer.get("push.cgi", push(viewer, "START", 1, "AUDIO", sound))
            read = await receive(udp, 60)
            assert {packet[1] & 0x7F for packet in read} == {97, 98}
            with pytest.raises(BlockingIOError):
                sound.recv(2048)
