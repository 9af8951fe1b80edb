"""RTP header and extension: bytes -> RtpPacket (RFC 3550 section 5.1; specification 2.3.1).

::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    | V |P|X|  CC   |M| payload type|        sequence number        |
    |                           time stamp                          |
    |                             SSRC                              |
    |                 CC x CSRC (the recorder sends none)           |
    |      defined by profile       |    length in 32-bit words     |  if X
    |             recorder information TLVs (chapter 7)             |
    |                            payload                            |
    |                           ...      | padding | padding length |  if P

The specification fixes P and CC at 0. Both are honoured all the same: a parser that ignores them reads garbage
from the first recorder that sets one.
"""

from __future__ import annotations

from struct import Struct

_unpack_fixed = Struct(">BBHII").unpack_from


class BadPacketError(ValueError):
    """Not an RTP packet; the only argument is a short reason, fit for a counter."""


class RtpPacket:
    """One packet. The payload is ``data[start:end]``, left uncopied until a depacketizer takes it.

    ``extension`` is the header extension's data (recorder information), or None. ``lost`` is how many packets
    are missing before this one and ``opens`` whether a new sequence begins with it; the reorder step sets both.
    """

    __slots__ = (
        "data",
        "end",
        "extension",
        "lost",
        "marker",
        "opens",
        "payload_type",
        "sequence_number",
        "ssrc",
        "start",
        "timestamp",
    )

    def __init__(
        self,
        data: bytes,
        payload_type: int,
        marker: bool,
        sequence_number: int,
        timestamp: int,
        ssrc: int,
        start: int,
        end: int,
        extension: bytes | None,
    ) -> None:
        self.data = data
        self.payload_type = payload_type
        self.marker = marker
        self.sequence_number = sequence_number
        self.timestamp = timestamp
        self.ssrc = ssrc
        self.start = start
        self.end = end
        self.extension = extension
        self.lost = 0
        self.opens = False

    @property
    def payload(self) -> bytes:
        """The payload's bytes."""
        return self.data[self.start : self.end]

    @property
    def is_padded(self) -> bool:
        """Whether padding stood behind the payload."""
        return self.end != len(self.data)

    def __repr__(self) -> str:
        return (
            f"<RtpPacket pt={self.payload_type} seq={self.sequence_number} ts={self.timestamp}"
            f"{' M' if self.marker else ''} {self.end - self.start} bytes>"
        )


def parse_packet(data: bytes) -> RtpPacket:
    """Read one RTP packet.

    Raises BadPacketError with the reason: "short", "version", "rtcp", "csrc", "extension" or "padding". A packet
    with nothing behind its headers is returned: it has a place in the sequence.
    """
    end = len(data)
    if end < 12:
        raise BadPacketError("short")
    first, second, sequence_number, timestamp, ssrc = _unpack_fixed(data)
    if first & 0xC0 != 0x80:
        raise BadPacketError("version")
    if 200 <= second <= 207:  # RTCP shares the port in RFC 5761; the recorder never mentions it
        raise BadPacketError("rtcp")
    start: int = 12
    extension = None
    if first != 0x80:
        start += 4 * (first & 0x0F)
        if start > end:
            raise BadPacketError("csrc")
        if first & 0x10:
            extension_start = start + 4
            if extension_start > end:
                raise BadPacketError("extension")
            start = extension_start + 4 * (data[start + 2] << 8 | data[start + 3])
            if start > end:
                raise BadPacketError("extension")
            extension = data[extension_start:start]
        if first & 0x20:
            padding = data[end - 1]
            if padding == 0 or start + padding > end:
                raise BadPacketError("padding")
            end -= padding
    return RtpPacket(
        data, second & 0x7F, second > 0x7F, sequence_number, timestamp, ssrc, start, end, extension
    )
