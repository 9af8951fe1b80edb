"""RTP headers, against messages typed by hand and against every way to be wrong (docs/faults.md rows 32, 33)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvrclient.rtp.packet import BadPacketError, RtpPacket, parse_packet
from tests.rtp.stream import rtp
from tests.simulator import golden


def header(packet: RtpPacket) -> tuple[int, bool, int, int, int]:
    return (
        packet.payload_type,
        packet.marker,
        packet.sequence_number,
        packet.timestamp,
        packet.ssrc,
    )


NUMBERS = (0xFFFE, 0x0A1B2C3D, 0xDEADBEEF)


@pytest.mark.parametrize(
    ("data", "payload_type", "marker", "payload", "extension"),
    [
        (golden.H265_FIRST_PACKET, 101, False, "460150", golden.VIDEO_INFORMATION),
        (golden.H264_FIRST_PACKET, 98, False, "0910", golden.VIDEO_INFORMATION),
        (golden.H264_LAST_PACKET, 98, True, "7c4533ff", None),
        (golden.H264_PADDED_PACKET, 98, False, "0910", None),
        (golden.G711_PACKET, 97, True, "ff7f8000", golden.AUDIO_INFORMATION),
        (golden.AAC_PACKET, 97, True, "00100030 0140 2280 a37f", golden.AUDIO_INFORMATION),
    ],
)
def test_golden(
    data: bytes, payload_type: int, marker: bool, payload: str, extension: bytes | None
) -> None:
    packet = parse_packet(data)
    assert header(packet) == (payload_type, marker, *NUMBERS)
    assert packet.payload == bytes.fromhex(payload)
    assert packet.extension == extension
    assert (packet.lost, packet.opens) == (0, False)


def test_the_first_packet_of_a_real_recorder_has_its_payload_at_44() -> None:
    assert parse_packet(golden.H265_FIRST_PACKET).start == 44


@given(
    numbers=st.tuples(
        st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF)
    ),
    payload=st.binary(max_size=40),
    payload_type=st.integers(0, 127),
    marker=st.booleans(),
    extension=st.none() | st.integers(0, 5).map(lambda words: bytes(range(4 * words))),
    csrc=st.integers(0, 15),
    padding=st.integers(0, 255),
)
def test_every_field(
    numbers: tuple[int, int, int],
    payload: bytes,
    payload_type: int,
    marker: bool,
    extension: bytes | None,
    csrc: int,
    padding: int,
) -> None:
    data = rtp(
        numbers[0],
        numbers[1],
        payload,
        marker=marker,
        payload_type=payload_type,
        ssrc=numbers[2],
        extension=extension,
        csrc=csrc,
        padding=padding,
    )
    if marker and 72 <= payload_type <= 79:  # second byte 200…207
        with pytest.raises(BadPacketError, match="rtcp"):
            parse_packet(data)
        return
    packet = parse_packet(data)
    assert header(packet) == (payload_type, marker, *numbers)
    assert packet.payload == payload
    assert packet.extension == extension


GOOD = rtp(1, 2, b"payload", extension=bytes(8), csrc=1, padding=4)


@pytest.mark.parametrize(
    ("reason", "data"),
    [
        ("short", b""),
        ("short", GOOD[:11]),
        ("version", b"\x00" + GOOD[1:]),
        ("version", b"\x40" + GOOD[1:]),
        ("version", b"\xc0" + GOOD[1:]),
        ("version", bytes.fromhex("0001 0000 2112A442") + bytes(12)),  # STUN
        ("rtcp", bytes([0x80, 200]) + bytes(26)),
        ("rtcp", bytes([0x81, 207]) + bytes(26)),
        ("csrc", b"\x8f" + rtp(1, 2, bytes(59))[1:]),
        ("extension", b"\x90" + rtp(1, 2, b"abc")[1:]),
        ("extension", b"\x90" + rtp(1, 2, bytes.fromhex("0000 ffff") + bytes(100))[1:]),
        ("extension", b"\x90" + rtp(1, 2, bytes.fromhex("0000 0002") + bytes(7))[1:]),
        ("padding", b"\xa0" + rtp(1, 2, b"payload\x00")[1:]),
        ("padding", b"\xa0" + rtp(1, 2, b"payload\x09")[1:]),
        ("padding", b"\xa0" + rtp(1, 2, b"")[1:]),
    ],
)
def test_row_33_reasons(reason: str, data: bytes) -> None:
    with pytest.raises(BadPacketError) as caught:
        parse_packet(data)
    assert caught.value.args == (reason,)


@pytest.mark.parametrize(
    "data",
    [
        rtp(1, 2, b""),
        rtp(1, 2, b"", extension=bytes(4)),
        rtp(1, 2, b"", extension=b""),
        rtp(1, 2, b"", padding=4),
        rtp(1, 2, b"", csrc=15),
    ],
)
def test_row_33_nothing_behind_the_headers_is_a_packet(data: bytes) -> None:
    assert parse_packet(data).payload == b""


@given(st.binary(max_size=80))
def test_row_33_any_bytes(data: bytes) -> None:
    """Either a reason, or a payload inside the data."""
    try:
        packet = parse_packet(data)
    except BadPacketError as bad:
        reason = bad.args[0]
    else:
        assert 12 <= packet.start <= packet.end <= len(data)
        return
    assert reason in {"short", "version", "rtcp", "csrc", "extension", "padding"}


def test_repr_shows_no_payload() -> None:
    assert repr(parse_packet(rtp(7, 8, b"secret", marker=True))) == (
        "<RtpPacket pt=98 seq=7 ts=8 M 6 bytes>"
    )
