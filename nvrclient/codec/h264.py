"""H.264 in RTP (RFC 6184): NAL unit types and the depacketizer.

::

    NAL unit header         FU-A (28)                              STAP-A (24)
    |F|NRI| type 5 bits |   |F|NRI|  28  | |S|E|R| type | data …   |F|NRI| 24 | size (2) | NAL unit | …
"""

from __future__ import annotations

from nvrclient.codec import annexb
from nvrclient.codec.depacketizer import BadPayloadError, Depacketizer, aggregated
from nvrclient.frames import Codec
from nvrclient.rtp.packet import RtpPacket

IDR = 5
SPS = 7
PPS = 8
ACCESS_UNIT_DELIMITER = 9
STAP_A = 24
FU_A = 28


class H264Depacketizer(Depacketizer):
    """See `nvrclient.codec.depacketizer`."""

    __slots__ = ()

    codec = Codec.H264

    def push(self, packet: RtpPacket) -> list[bytes]:
        """Take the next packet in sequence; return the NAL units it completes. Raises BadPayloadError."""
        data, start, end = packet.data, packet.start, packet.end
        if start == end:
            raise BadPayloadError("empty", damage=False)
        indicator = data[start]
        kind = indicator & 0x1F
        if kind == FU_A:
            if start + 2 > end:
                self.break_off()
                raise BadPayloadError("short fragment")
            flags = data[start + 1]
            unit_type = flags & 0x1F
            if not flags & 0x80:
                unit = self._fragment(flags, unit_type, b"", data[start + 2 : end])
            elif not 1 <= unit_type <= 23:
                self.break_off()
                raise BadPayloadError(f"unsupported type {unit_type}")
            else:
                header = bytes((indicator & 0xE0 | unit_type,))
                unit = self._fragment(flags, unit_type, header, data[start + 2 : end])
            return [] if unit is None else _units(unit)
        self._no_fragment()
        if 1 <= kind <= 23:
            return _units(data[start:end])
        if kind == STAP_A:
            units = aggregated(packet, 1)
            if any(not 1 <= unit[0] & 0x1F <= 23 for unit in units):
                raise BadPayloadError("aggregation nested")
            return units
        if annexb.has_start_code(data[start : start + 4]):
            return _units(data[start:end])
        # STAP-B, MTAP16, MTAP24, FU-B carry pieces of the picture; what types 30 and 31 carry nobody says
        raise BadPayloadError(f"unsupported type {kind}", damage=STAP_A < kind < 30)

    def middle_header(self, packet: RtpPacket) -> bytes:
        """Return the two bytes of an FU-A that goes on, or nothing."""
        data, start = packet.data, packet.start
        if not self.unfinished or start == packet.end or data[start] & 0x1F != FU_A:
            return b""
        return bytes((data[start], data[start + 1] & 0x3F))


def _units(unit: bytes) -> list[bytes]:
    """Take off start codes. The specification sends none in live video; cameras put some in all the same.

    A slice is looked at only at its front: searching every byte of every picture costs as much as all the rest
    of the depacketizer, and senders that join units with start codes begin with a parameter set.
    """
    kind = unit[0] & 0x1F
    if 1 <= kind <= IDR or (kind and b"\x00\x00\x01" not in unit):
        return [unit]
    return [piece for piece in annexb.split(unit) if piece[0] & 0x1F]
