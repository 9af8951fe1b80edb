"""The simulator's writers against messages typed by hand from the tables."""

from __future__ import annotations

from datetime import timedelta, timezone
from random import Random

from nvrclient.frames import Codec
from nvrclient.simulator.information import (
    audio_information,
    camera_channel,
    camera_frame_time,
    status,
    time_and_date,
    video_information,
)
from nvrclient.simulator.packets import Packing, RtpWriter, aac_payload, payload_type, payloads
from nvrclient.simulator.parts import PartWriter, audio_body, audio_content_type, jpeg_body
from nvrclient.simulator.readings import HeaderCase, Readings
from nvrclient.simulator.sources import CAMERA_INFORMATION
from tests.simulator import golden

SECONDS = 1_700_006_400


def writer(codec: Codec, **options: int) -> RtpWriter:
    """A writer whose random start is the golden one."""
    written = RtpWriter(payload_type(codec), Random(), **options)
    written.sequence_number = golden.SEQUENCE_NUMBER
    written.first_timestamp = golden.TIMESTAMP - 6000
    written.ssrc = golden.SSRC
    return written


def test_recorder_information() -> None:
    assert camera_channel(1) == golden.CAMERA_CHANNEL
    assert camera_channel(256) == golden.CAMERA_CHANNEL_256
    assert time_and_date(SECONDS) == golden.TIME_AND_DATE_UTC
    assert time_and_date(SECONDS, timezone(timedelta(hours=9))) == golden.TIME_AND_DATE_PLUS_9
    west = timezone(-timedelta(hours=3, minutes=30))
    minus = time_and_date(SECONDS, west, summer_time=True)
    assert minus == golden.TIME_AND_DATE_MINUS_3_30_SUMMER
    assert status() == golden.STATUS_LIVE
    assert status(4, 3) == golden.STATUS_FAST_FORWARD_3
    assert time_and_date(SECONDS, of_camera=True) == golden.CAMERA_TIME_AND_DATE
    assert camera_frame_time(50) == golden.CAMERA_FRAME_TIME
    assert video_information(1, SECONDS + 0.99) == golden.VIDEO_INFORMATION
    assert audio_information(SECONDS + 0.5) == golden.AUDIO_INFORMATION


def test_rtp_header_and_extension() -> None:
    first = writer(Codec.H265)
    packet = first.packet(6000, b"\x46\x01\x50", marker=False, information=golden.VIDEO_INFORMATION)
    assert packet == golden.H265_FIRST_PACKET
    packet = writer(Codec.H264).packet(
        6000, b"\x09\x10", marker=False, information=golden.VIDEO_INFORMATION
    )
    assert packet == golden.H264_FIRST_PACKET
    last = writer(Codec.H264).packet(6000, golden.H264_FU_A[1], marker=True)
    assert last == golden.H264_LAST_PACKET


def test_sequence_number_and_time_stamp_wrap() -> None:
    first = writer(Codec.H264)
    numbers = [int.from_bytes(first.packet(0, b"x", marker=False)[2:4], "big") for _ in range(3)]
    assert numbers == [0xFFFE, 0xFFFF, 0]
    first.first_timestamp = 0xFFFFFFFF
    assert first.packet(1, b"x", marker=False)[4:8] == bytes(4)


def test_padding_and_csrc() -> None:
    padded = writer(Codec.H264, csrc=2, padding=3)
    padded._csrc = bytes.fromhex("1111111122222222")
    assert padded.packet(6000, b"\x09\x10", marker=False) == golden.H264_PADDED_PACKET


def test_fragments_and_aggregates() -> None:
    def packed(codec: Codec, *nals: bytes, **switches: bool) -> tuple[bytes, ...]:
        return tuple(p.data for p in payloads(codec, nals, Packing(**switches)))

    assert packed(Codec.H264, golden.H264_SLICE) == golden.H264_FU_A
    assert packed(Codec.H265, golden.H265_SLICE) == golden.H265_FU
    sets = golden.H264_SPS, golden.H264_PPS
    assert packed(Codec.H264, *sets) == sets
    assert packed(Codec.H264, *sets, aggregate=True) == (golden.H264_STAP_A,)
    one = packed(Codec.H264, golden.H264_SPS, golden.H264_SLICE, aggregate=True)
    assert one == (golden.H264_SPS, *golden.H264_FU_A)  # nothing to put together
    sets = golden.H265_VPS, golden.H265_SPS
    assert packed(Codec.H265, *sets) == sets
    assert packed(Codec.H265, *sets, aggregate=True) == (golden.H265_AP,)
    assert packed(Codec.H264, golden.H264_SLICE, single_slices=True) == (golden.H264_SLICE,)
    assert packed(Codec.H264, golden.H264_SPS, start_codes=True) == (b"\0\0\0\1" + golden.H264_SPS,)


def test_a_large_slice_fills_its_packets() -> None:
    nal = b"\x65" + Random(1).randbytes(5000)
    sizes = [len(p.data) for p in payloads(Codec.H264, [nal], Packing())]
    assert sizes == [1400, 1400, 1400, 5000 - 3 * 1398 + 2]


def test_parts() -> None:
    readings = Readings()
    part = PartWriter("application/octet-stream", readings).part
    assert part(golden.H265_FIRST_PACKET) == golden.H265_PART
    assert golden.CAMERA_INFORMATION == CAMERA_INFORMATION
    body = jpeg_body(golden.JPEG, golden.VIDEO_INFORMATION, golden.CAMERA_INFORMATION)
    assert body == golden.JPEG_BODY
    assert PartWriter("image/jpeg", readings).part(body) == golden.JPEG_PART
    alone = jpeg_body(golden.JPEG, golden.VIDEO_INFORMATION)
    assert alone == golden.JPEG_BODY_WITHOUT_CAMERA_CHUNK
    body = jpeg_body(golden.JPEG, golden.VIDEO_INFORMATION, golden.CAMERA_INFORMATION, soi=False)
    assert body == golden.JPEG_BODY_WITHOUT_SOI


def test_part_switches() -> None:
    bare = PartWriter("image/jpeg", Readings(crlf_after_body=False)).part(b"x")
    assert bare.endswith(b"\r\n\r\nx")
    for case, name in (
        (HeaderCase.TITLE, b"Content-Type:"),
        (HeaderCase.LOWER, b"content-type:"),
        (HeaderCase.UPPER, b"CONTENT-TYPE:"),
    ):
        assert name in PartWriter("image/jpeg", Readings(header_case=case)).part(b"x")


def test_audio() -> None:
    information = golden.AUDIO_INFORMATION
    packet = writer(Codec.PCMU).packet(6000, golden.SAMPLES, marker=True, information=information)
    assert packet == golden.G711_PACKET
    packet = writer(Codec.AAC).packet(
        6000, aac_payload(golden.AAC_FRAME), marker=True, information=information
    )
    assert packet == golden.AAC_PACKET
    aac = PartWriter(audio_content_type(Codec.AAC, 48000, ""), Readings())
    assert aac.part(audio_body(golden.AAC_FRAME)) == golden.AAC_PART
    g726 = PartWriter(audio_content_type(Codec.G726, 8000, ""), Readings())
    assert g726.part(audio_body(golden.SAMPLES)) == golden.G726_PART
    assert audio_content_type(Codec.AAC, 16000, "") == "audio/16kaac-lc"
    assert audio_content_type(Codec.PCMA, 8000, "audio/g.711") == "audio/g.711"
