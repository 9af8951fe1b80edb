"""Middle fragments of a NAL unit, taken without being parsed one by one.

Most packets of a picture differ from the one before in their sequence number and their payload alone. Once a fragment
has gone through every step, those that follow it directly and are like it go straight to its NAL unit: a quarter of
the work.
"""

from __future__ import annotations

import struct

from nvrclient.rtp.packet import RtpPacket

MAX_PACKETS = 1024
"""Packets of one run: far from a sequence number that comes twice."""

_unpack_fixed = struct.Struct("!HHQ").unpack_from


class FragmentRun:
    """The packets that go on like `packet`: in sequence, as long, and with the same headers.

    `header` is what a middle fragment begins with, behind the headers of RTP. ``fragments`` are the payloads taken,
    without it; of `room` bytes at most.
    """

    __slots__ = (
        "_behind_fixed",
        "_body",
        "_end",
        "_first",
        "_length",
        "_next",
        "_sender",
        "fragments",
        "header_size",
        "payload_type",
    )

    def __init__(self, packet: RtpPacket, header: bytes, room: int) -> None:
        data = packet.data
        self.fragments: list[bytes] = []
        self.payload_type = packet.payload_type
        self.header_size = len(header)
        self._length = len(data)
        self._body = packet.start + len(header)
        self._behind_fixed = data[12 : packet.start] + header
        self._first, number, self._sender = _unpack_fixed(data)  # time stamp and SSRC in one number
        self._next = number + 1 & 0xFFFF
        self._end = self._next + min(room // self._length, MAX_PACKETS) & 0xFFFF

    def take(self, data: bytes) -> bool:
        """Take a packet if it goes on so; otherwise nothing has happened."""
        if len(data) != self._length:
            return False
        first, number, sender = _unpack_fixed(data)
        body = self._body
        if (
            number != self._next
            or sender != self._sender
            or first != self._first
            or data[12:body] != self._behind_fixed
            or number == self._end
        ):
            return False
        self._next = number + 1 & 0xFFFF
        self.fragments.append(data[body:])
        return True
