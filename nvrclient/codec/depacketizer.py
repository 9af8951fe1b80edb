"""What the depacketizers of H.264 and H.265 share: how a fragmented NAL unit is put together.

| fragment | result |
|---|---|
| start, middle …, end | one NAL unit |
| start and end in one packet | one NAL unit: RFC 6184 5.8 forbids it, cameras send it |
| middle or end without a start | dropped, "fragment without start" |
| second start before the end | the first unit is dropped, "fragment without end"; the second goes on |
| another type in the middle | dropped whole, "fragment of another type" |
| the same, start and end in one packet | both are dropped |
| a whole NAL unit before the end | both are dropped, "fragment without end": the picture is damaged |
| a type that is no NAL unit's | dropped whole, "unsupported type" |
| no bytes behind the headers | accepted; the reserved bit too |
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from nvrclient.frames import Codec
from nvrclient.rtp.packet import RtpPacket

MAX_NAL_UNIT = 8 << 20
"""Bytes of one NAL unit. A 4K key frame at the highest quality stays under 4 MiB."""


class BadPayloadError(ValueError):
    """A payload that cannot be used; the argument is a short reason, fit for a counter.

    ``damage`` says whether a piece of a picture is missing with it.
    """

    def __init__(self, reason: str, *, damage: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.damage = damage


class Depacketizer(ABC):
    """RTP payloads in, whole NAL units out (bytes from the NAL header, no start code)."""

    __slots__ = ("_parts", "_size", "_type")

    codec: ClassVar[Codec]

    def __init__(self) -> None:
        self._parts: list[bytes] = []  # of the fragmented NAL unit at hand
        self._size = 0
        self._type = -1

    @property
    def unfinished(self) -> bool:
        """Whether a fragmented NAL unit has begun and not ended."""
        return self._type >= 0

    @property
    def room(self) -> int:
        """Bytes that the NAL unit at hand may still take."""
        return MAX_NAL_UNIT - self._size

    @abstractmethod
    def middle_header(self, packet: RtpPacket) -> bytes:
        """Return what a middle fragment begins with that follows this packet's, in the same NAL unit; empty: none does."""

    def add(self, fragments: list[bytes]) -> int:
        """Take middle fragments that are known to follow, without their headers; return their bytes."""
        size = sum(map(len, fragments))
        self._parts += fragments
        self._size += size
        return size

    def break_off(self) -> None:
        """Forget the fragmented NAL unit at hand: packets are missing."""
        self._parts = []
        self._size = 0
        self._type = -1

    @abstractmethod
    def push(self, packet: RtpPacket) -> list[bytes]:
        """Take the next packet in sequence; return the NAL units it completes. Raises BadPayloadError."""

    def _fragment(self, flags: int, unit_type: int, header: bytes, data: bytes) -> bytes | None:
        """Take one fragment; return the NAL unit that it ends, or None.

        `flags` holds the start bit (0x80) and the end bit (0x40); `header` is the rebuilt NAL unit header, of which
        a start has need.
        """
        broken = False
        if flags & 0x80:
            broken = self.unfinished
            self._parts = [header, data]
            self._size = len(data)
            self._type = unit_type
        elif unit_type != self._type:
            reason = "fragment of another type" if self.unfinished else "fragment without start"
            self.break_off()
            raise BadPayloadError(reason)
        else:
            self._size += len(data)
            if self._size > MAX_NAL_UNIT:
                self.break_off()
                raise BadPayloadError("oversize")
            self._parts.append(data)
        unit = None
        if flags & 0x40:
            unit = b"".join(self._parts)
            self.break_off()
        if broken:
            raise BadPayloadError("fragment without end")
        return unit

    def _no_fragment(self) -> None:
        """A whole NAL unit follows: a fragmented one must have ended."""
        if self.unfinished:
            self.break_off()
            raise BadPayloadError("fragment without end")


def aggregated(packet: RtpPacket, header_size: int) -> list[bytes]:
    """Return the NAL units of an aggregation packet (RFC 6184 5.7.1 STAP-A, RFC 7798 4.4.2 AP).

    ::

        | header | size (2) | NAL unit | size (2) | NAL unit | …

    All or nothing: a size of zero, one past the end, or an odd byte left over drops the packet.
    """
    data, position, end = packet.data, packet.start + header_size, packet.end
    units: list[bytes] = []
    while position + 2 <= end:
        size = data[position] << 8 | data[position + 1]
        position += 2
        if size < header_size or position + size > end:
            raise BadPayloadError("aggregation size")
        units.append(data[position : position + size])
        position += size
    if position != end or not units:
        raise BadPayloadError("aggregation size")
    return units
