"""H.264 in RTP (RFC 6184), against a slow reference and tables of cases (docs/faults.md rows 49 to 51)."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvrclient.codec.depacketizer import MAX_NAL_UNIT, BadPayloadError
from nvrclient.codec.h264 import H264Depacketizer
from tests.codec.foreign import H264 as FORM
from tests.codec.foreign import Reference
from tests.rtp.stream import LONG, fragments, packet
from tests.simulator import golden

BODY = bytes(range(2, 256))  # no zero byte: start codes have a table of their own


class Both:
    """The client and the reference side by side."""

    def __init__(self) -> None:
        self.client = H264Depacketizer()
        self.reference = Reference(FORM)

    def push(self, payload: bytes) -> list[bytes]:
        """Push to both; they agree on what comes out, on what is an error, and on what is unfinished."""
        units, error = self.reference.push(payload)
        try:
            got, failed = self.client.push(packet(0, 0, payload)), False
        except BadPayloadError:
            got, failed = [], True
        assert (got, failed) == ([] if failed else units, error), payload.hex()
        assert self.client.unfinished == (self.reference.open is not None)
        return got


KINDS = [1, 5, 7, 6]


def nal_header(kind: int) -> bytes:
    return bytes([0x60 | kind])


def fu_header(random: Random) -> bytes:
    return bytes([random.choice([0x7C, 0x7C, 0x5C, 0xFC])])


def aggregate(*units: bytes) -> bytes:
    return b"\x78" + b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)


UNIT = b"\x65" + BODY
START, MIDDLE, END = b"\x7c\x81" + BODY[:3], b"\x7c\x01" + BODY[3:6], b"\x7c\x41" + BODY[6:9]
BOTH = b"\x7c\xe1" + BODY[9:12]  # and the reserved bit
OTHER_MIDDLE = b"\x7c\x05" + BODY[3:6]
WHOLE = b"\x61" + BODY[:4]
AGGREGATE = aggregate(WHOLE, b"\x67\x42")
CASES = [
    START, MIDDLE, END, BOTH, OTHER_MIDDLE, WHOLE, AGGREGATE, b"", b"\x7c", b"\x7c\x81", b"\x7c\x41",
    b"\x7c\x85\x07", b"\x7c\x45\x07", b"\x7c\x9c\x07", b"\x7c\x80\x07", b"\x7c\x98", b"\x78", b"\x78\0\0",
    b"\x79\0\0", b"\x7d\x81\0\0", b"\x1f", b"\x1e\x22", b"\x60", aggregate(b"\x7c\x81"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "kind", "damage"),
    [
        (0x79, 25, True),  # STAP-B
        (0x7A, 26, True),  # MTAP16
        (0x7B, 27, True),  # MTAP24
        (0x7D, 29, True),  # FU-B
        (0x1E, 30, False),
        (0x1F, 31, False),
        (0x60, 0, False),
    ],
)
def test_row_51_unsupported(first: int, kind: int, damage: bool) -> None:
    """Types that carry pieces of the picture break it; what nobody has defined does not."""
    with pytest.raises(BadPayloadError) as caught:
        H264Depacketizer().push(packet(0, 0, bytes([first]) + BODY[:20]))
    assert (caught.value.reason, caught.value.damage) == (f"unsupported type {kind}", damage)


@pytest.mark.parametrize("kind", [0, 24, 28, 31])
def test_row_51_fragments_of_what_is_no_nal_unit(kind: int) -> None:
    client = H264Depacketizer()
    with pytest.raises(BadPayloadError, match=f"unsupported type {kind}"):
        client.push(packet(0, 0, bytes([0x7C, 0x80 | kind, 2, 3])))
    assert not client.unfinished


@pytest.mark.parametrize(
    ("data", "units"),
    [
        ("00000001 65 8884", ["65 8884"]),
        ("000001 65 8884", ["65 8884"]),
        ("00000001 67 42 00000001 68 ce", ["67 42", "68 ce"]),
        ("67 42 000001 68 ce 00000001 65 88", ["67 42", "68 ce", "65 88"]),
        ("67 42 00000001", ["67 42"]),
        ("09 10 00000001 65 88 000003 01", ["09 10", "65 88 000003 01"]),
        ("00000001", []),
        ("000001 000001", []),
        ("65 88 000003 01 000003 00", ["65 88 000003 01 000003 00"]),
    ],
)
def test_row_51_start_codes(data: str, units: list[str]) -> None:
    got = H264Depacketizer().push(packet(0, 0, bytes.fromhex(data)))
    assert got == [bytes.fromhex(unit) for unit in units]


def payload(random: Random) -> bytes:
    """A payload of any shape; fragments are the most."""
    body = bytes(random.choices(BODY, k=random.choice([0, 0, 1, 2, 5])))
    shape = random.random()
    if shape < 0.7:
        flags = random.choice([0x80, 0x40, 0, 0, 0xC0, 0x20 & 255])
        kind = random.choice([*KINDS, *KINDS, *KINDS, random.randrange(32)])
        return fu_header(random) + bytes([flags | kind]) + body
    if shape < 0.75:
        return (fu_header(random) + b"\x80")[: random.randrange(2)]
    if shape < 0.85:
        units = [
            nal_header(random.choice([*KINDS, *KINDS, random.randrange(32)]))
            + body[: random.randrange(4)]
            for _ in range(random.randrange(4))
        ]
        joined = aggregate(*units)
        return joined[: len(joined) - random.choice([0, 0, 0, 1, 2])] + bytes(
            random.choice([0, 0, 0, 1])
        )
    return nal_header(random.choice([*KINDS, random.randrange(32)])) + body


def test_row_49_100_000_payloads_as_the_reference() -> None:
    random, both = Random(264), Both()
    out = 0
    for _ in range(10_000_000 if LONG else 100_000):
        data = payload(random)
        if FORM.codec.name == "H265" and data[:2] == b"\0\0":
            continue
        out += len(both.push(data))
    assert out > 1000
    # Row 55: a clean unit comes out byte-exact whatever went before.
    both.client.break_off()
    assert not both.client.unfinished
    for piece in fragments(FORM.codec, UNIT, 3):
        got = both.client.push(packet(0, 0, piece))
    assert got == [UNIT]


@settings(max_examples=5000 if LONG else 300, deadline=None)
@given(st.lists(st.sampled_from(CASES), min_size=1, max_size=7))
def test_row_49_small_cases(cases: list[bytes]) -> None:
    both = Both()
    for data in cases:
        both.push(data)


@pytest.mark.parametrize(
    ("reason", "pieces"),
    [
        ("fragment without start", [MIDDLE]),
        ("fragment without start", [END]),
        ("fragment without end", [START, START]),
        ("fragment without end", [START, BOTH]),
        ("fragment without end", [START, WHOLE]),
        ("fragment without end", [START, AGGREGATE]),
        ("fragment of another type", [START, OTHER_MIDDLE]),
        ("short fragment", [START[:1]]),
        ("short fragment", [START, START[:1]]),
        ("empty", [b""]),
        ("aggregation nested", [aggregate(aggregate(WHOLE))]),
        ("aggregation nested", [aggregate(WHOLE, START)]),
        ("aggregation size", [aggregate()]),
        ("aggregation size", [aggregate(WHOLE) + b"\0"]),
        ("aggregation size", [aggregate(WHOLE) + b"\0\0"]),
        ("aggregation size", [aggregate(WHOLE)[:-1]]),
        ("aggregation size", [aggregate(WHOLE, b"", WHOLE)]),
    ],
)
def test_row_49_50_reasons(reason: str, pieces: list[bytes]) -> None:
    """All good but the last; a fresh unit comes out whole afterwards."""
    client = H264Depacketizer()
    for piece in pieces[:-1]:
        assert client.push(packet(0, 0, piece)) == []
    with pytest.raises(BadPayloadError) as caught:
        client.push(packet(0, 0, pieces[-1]))
    assert caught.value.reason == reason
    assert caught.value.damage == (reason != "empty")
    units = [unit for piece in fragments(FORM.codec, UNIT, 2) for unit in push(client, piece)]
    assert units == [UNIT]


def push(client: H264Depacketizer, data: bytes) -> list[bytes]:
    try:
        return client.push(packet(0, 0, data))
    except BadPayloadError:
        return []


def test_row_49_an_empty_packet_in_between_harms_nothing() -> None:
    client = H264Depacketizer()
    client.push(packet(0, 0, START))
    assert push(client, b"") == []
    [unit] = client.push(packet(0, 0, END))
    assert unit == nal_header(KINDS[0]) + BODY[:3] + BODY[6:9]


def test_row_49_start_and_end_in_one_and_the_reserved_bit() -> None:
    client = H264Depacketizer()
    assert client.push(packet(0, 0, BOTH)) == [nal_header(KINDS[0]) + BODY[9:12]]


def test_row_50_a_thousand_tiny_ones() -> None:
    units = [nal_header(KINDS[0]) + bytes([2 + n % 250]) for n in range(1000)]
    assert H264Depacketizer().push(packet(0, 0, aggregate(*units))) == units


def test_row_52_an_endless_unit_is_given_up_at_eight_mebibytes() -> None:
    client = H264Depacketizer()
    client.push(packet(0, 0, START))
    piece = MIDDLE[:2] + bytes(1 << 16)
    reasons = []
    for _ in range(300):
        try:
            client.push(packet(0, 0, piece))
        except BadPayloadError as bad:
            reasons.append(bad.reason)
    assert reasons[0] == "oversize"
    assert set(reasons[1:]) == {"fragment without start"}
    assert 300 - len(reasons) <= MAX_NAL_UNIT >> 16
    assert [u for p in fragments(FORM.codec, UNIT, 9) for u in client.push(packet(0, 0, p))] == [
        UNIT
    ]


def test_golden() -> None:
    client = H264Depacketizer()
    first, last = golden.H264_FU_A
    assert client.push(packet(0, 0, first)) == []
    assert client.push(packet(0, 0, last)) == [golden.H264_SLICE]
    assert client.push(packet(0, 0, golden.H264_STAP_A)) == [golden.H264_SPS, golden.H264_PPS]


def test_padding_and_headers_are_not_payload() -> None:
    client = H264Depacketizer()
    got = client.push(packet(0, 0, WHOLE, extension=bytes(8), csrc=2, padding=5))
    assert got == [WHOLE]
