"""H.265 in RTP (RFC 7798), against a slow reference and tables of cases (docs/faults.md rows 49 to 51)."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvrclient.codec.depacketizer import MAX_NAL_UNIT, BadPayloadError
from nvrclient.codec.h265 import H265Depacketizer
from tests.codec.foreign import H265 as FORM
from tests.codec.foreign import Reference
from tests.rtp.stream import LONG, fragments, packet
from tests.simulator import golden

BODY = bytes(range(2, 256))  # no zero byte: start codes have a table of their own


class Both:
    """The client and the reference side by side."""

    def __init__(self) -> None:
        self.client = H265Depacketizer()
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


KINDS = [1, 19, 33, 39]


def nal_header(kind: int) -> bytes:
    return bytes([kind << 1, 1])


def fu_header(random: Random) -> bytes:
    return random.choice([b"\x62\x01", b"\x62\x01", b"\x62\x02", b"\xe3\x09"])


def aggregate(*units: bytes) -> bytes:
    return b"\x60\x01" + b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)


UNIT = b"\x26\x01" + BODY
START, MIDDLE, END = (
    b"\x62\x01\x81" + BODY[:3],
    b"\x62\x01\x01" + BODY[3:6],
    b"\x62\x01\x41" + BODY[6:9],
)
BOTH = b"\x62\x01\xc1" + BODY[9:12]
OTHER_MIDDLE = b"\x62\x01\x13" + BODY[3:6]
WHOLE = b"\x02\x01" + BODY[:4]
AGGREGATE = aggregate(WHOLE, b"\x42\x01\x42")
CASES = [
    START, MIDDLE, END, BOTH, OTHER_MIDDLE, WHOLE, AGGREGATE, b"", b"\x62", b"\x62\x01", b"\x62\x01\x81",
    b"\x62\x01\x41", b"\x62\x01\x93\x07", b"\x62\x01\x53\x07", b"\x62\x01\xb1\x07", b"\x62\x01\x80\x07",
    b"\x62\x01\xb0", b"\x60\x01", b"\x60\x01\0\0", b"\x60", b"\x64\x01\0\0", b"\x7e\x01", b"\x26",
    aggregate(b"\x62\x01\x81"), aggregate(b"\x26"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "kind", "damage"), [(0x64, 50, True), (0x66, 51, False), (0x7E, 63, False)]
)
def test_row_51_unsupported(first: int, kind: int, damage: bool) -> None:
    """PACI carries a piece of the picture; what nobody has defined does not."""
    with pytest.raises(BadPayloadError) as caught:
        H265Depacketizer().push(packet(0, 0, bytes([first, 1]) + BODY[:20]))
    assert (caught.value.reason, caught.value.damage) == (f"unsupported type {kind}", damage)


@pytest.mark.parametrize("data", [b"\x26", b"\x64", b"\x62"])
def test_row_51_one_byte(data: bytes) -> None:
    client = H265Depacketizer()
    client.push(packet(0, 0, START))
    with pytest.raises(BadPayloadError, match="short NAL unit"):
        client.push(packet(0, 0, data))
    assert not client.unfinished


@pytest.mark.parametrize("kind", [48, 49, 50, 63])
def test_row_51_fragments_of_what_is_no_nal_unit(kind: int) -> None:
    client = H265Depacketizer()
    with pytest.raises(BadPayloadError, match=f"unsupported type {kind}"):
        client.push(packet(0, 0, bytes([0x62, 1, 0x80 | kind, 2, 3])))
    assert not client.unfinished


@pytest.mark.parametrize(
    ("data", "units"),
    [
        ("00000001 2601 8884", ["2601 8884"]),
        ("000001 2601 8884", ["2601 8884"]),
        ("00000001 4001 0c 00000001 4201 01", ["4001 0c", "4201 01"]),
        ("4001 0c 000001 4201 01 00000001 2601 88", ["4001 0c", "4201 01", "2601 88"]),
        ("4601 50 00000001", ["4601 50"]),
        ("00000001", []),
        ("2601 88 000003 01", ["2601 88 000003 01"]),
    ],
)
def test_row_51_start_codes(data: str, units: list[str]) -> None:
    got = H265Depacketizer().push(packet(0, 0, bytes.fromhex(data)))
    assert got == [bytes.fromhex(unit) for unit in units]


def payload(random: Random) -> bytes:
    """A payload of any shape; fragments are the most."""
    body = bytes(random.choices(BODY, k=random.choice([0, 0, 1, 2, 5])))
    shape = random.random()
    if shape < 0.7:
        flags = random.choice([0x80, 0x40, 0, 0, 0xC0, 0x20 & 0])
        kind = random.choice([*KINDS, *KINDS, *KINDS, random.randrange(64)])
        return fu_header(random) + bytes([flags | kind]) + body
    if shape < 0.75:
        return (fu_header(random) + b"\x80")[: random.randrange(3)]
    if shape < 0.85:
        units = [
            nal_header(random.choice([*KINDS, *KINDS, random.randrange(64)]))
            + body[: random.randrange(4)]
            for _ in range(random.randrange(4))
        ]
        joined = aggregate(*units)
        return joined[: len(joined) - random.choice([0, 0, 0, 1, 2])] + bytes(
            random.choice([0, 0, 0, 1])
        )
    return nal_header(random.choice([*KINDS, random.randrange(64)])) + body


def test_row_49_100_000_payloads_as_the_reference() -> None:
    random, both = Random(265), Both()
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
        ("short fragment", [START[:2]]),
        ("short fragment", [START, START[:2]]),
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
    client = H265Depacketizer()
    for piece in pieces[:-1]:
        assert client.push(packet(0, 0, piece)) == []
    with pytest.raises(BadPayloadError) as caught:
        client.push(packet(0, 0, pieces[-1]))
    assert caught.value.reason == reason
    assert caught.value.damage == (reason != "empty")
    units = [unit for piece in fragments(FORM.codec, UNIT, 2) for unit in push(client, piece)]
    assert units == [UNIT]


def push(client: H265Depacketizer, data: bytes) -> list[bytes]:
    try:
        return client.push(packet(0, 0, data))
    except BadPayloadError:
        return []


def test_row_49_an_empty_packet_in_between_harms_nothing() -> None:
    client = H265Depacketizer()
    client.push(packet(0, 0, START))
    assert push(client, b"") == []
    [unit] = client.push(packet(0, 0, END))
    assert unit == nal_header(KINDS[0]) + BODY[:3] + BODY[6:9]


def test_row_49_start_and_end_in_one_and_the_reserved_bit() -> None:
    client = H265Depacketizer()
    assert client.push(packet(0, 0, BOTH)) == [nal_header(KINDS[0]) + BODY[9:12]]


def test_row_50_a_thousand_tiny_ones() -> None:
    units = [nal_header(KINDS[0]) + bytes([2 + n % 250]) for n in range(1000)]
    assert H265Depacketizer().push(packet(0, 0, aggregate(*units))) == units


def test_row_52_an_endless_unit_is_given_up_at_eight_mebibytes() -> None:
    client = H265Depacketizer()
    client.push(packet(0, 0, START))
    piece = MIDDLE[:3] + bytes(1 << 16)
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
    got = H265Depacketizer().push(packet(0, 0, golden.H265_AP))
    assert got == [golden.H265_VPS, golden.H265_SPS]


def test_padding_and_headers_are_not_payload() -> None:
    client = H265Depacketizer()
    got = client.push(packet(0, 0, WHOLE, extension=bytes(8), csrc=2, padding=5))
    assert got == [WHOLE]
