"""Row 33: headers that lie, by the million: each is what a slow reading of RFC 3550 5.1 makes of it, or counted as bad.

The long form reads 50 million, in some minutes:

    NVRCLIENT_LONG=1 python -m pytest -q -n0 tests/rtp/test_packets_at_random.py --timeout 3600
"""

from __future__ import annotations

from random import Random

from nvrclient.rtp.packet import BadPacketError, parse_packet
from tests.rtp.stream import LONG

COUNT = 50_000_000 if LONG else 50_000

REAL = (
    bytes.fromhex("90e2 1234 00010203 0a0b0c0d 0000 0007") + bytes(range(28)) + b"\x65" + bytes(40)
)
"""A packet in the recorder's form: an extension of 28 bytes, then the payload."""


def reading(data: bytes) -> str | tuple[int, bytes, bytes | None]:
    """Read a packet the slow way: the reason why not, or its payload type, payload and extension."""
    if len(data) < 12:
        return "short"
    bits = f"{int.from_bytes(data[:12], 'big'):096b}"
    if bits[:2] != "10":
        return "version"
    if int(bits[8:16], 2) in range(200, 208):
        return "rtcp"
    rest, extension = data[12:], None
    for _ in range(int(bits[4:8], 2)):
        if len(rest) < 4:
            return "csrc"
        rest = rest[4:]
    if bits[3] == "1":
        words = int.from_bytes(rest[2:4], "big")
        if len(rest) < 4 or len(rest) - 4 < 4 * words:
            return "extension"
        extension, rest = rest[4 : 4 + 4 * words], rest[4 + 4 * words :]
    if bits[2] == "1":
        padding = (
            rest[-1] if rest else data[-1]
        )  # padding that is not there lies, whatever stands there
        if padding not in range(1, len(rest) + 1):
            return "padding"
        rest = rest[:-padding]
    return int(bits[9:16], 2), rest, extension


def spoilt(random: Random) -> bytes:
    """Return a real packet with one or two of its fields changed, or cut off."""
    data = bytearray(REAL)
    for _ in range(random.choice((1, 1, 2))):
        where = random.randrange(9)
        if where < 4:
            data[0] = random.getrandbits(8) if where else 0x80 | random.getrandbits(6)
        elif where == 4:
            data[1] = random.getrandbits(8)
        elif where == 5:
            data[14:16] = random.choice((b"\xff\xff", b"\0\0", bytes([0, random.randrange(24)])))
        elif where == 6:
            data[-1] = random.choice((0, 1, 40, 41, 42, 255, random.getrandbits(8)))
        elif where == 7:
            del data[random.randrange(len(data) + 1) :]
            data = data or bytearray(1)
        else:
            data[random.randrange(len(data))] = random.getrandbits(8)
        if len(data) < 16:
            break
    return bytes(data)


def test_row_33_headers_at_random() -> None:
    random = Random(33)
    seen: dict[str, int] = {}
    for _ in range(COUNT):
        data = spoilt(random)
        try:
            packet = parse_packet(data)
        except BadPacketError as bad:
            found: object = bad.args[0]
            seen[str(found)] = seen.get(str(found), 0) + 1
        else:
            found = packet.payload_type, packet.payload, packet.extension
        assert found == reading(data), data.hex()
    assert set(seen) == {"short", "version", "rtcp", "csrc", "extension", "padding"}
