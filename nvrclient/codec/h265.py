"""H.265 in RTP (RFC 7798): NAL unit types and the depacketizer.

::

    NAL unit header (2)                    FU (49)                                  AP (48)
    |F| type 6 | layer 6 | TID 3 |         | header, type 49 | |S|E| type 6| data … | header, type 48 | size (2) | NAL unit | …

DONL fields are never there: they come only with sprop-max-don-diff > 0, which a recorder without SDP cannot say.
"""

from __future__ import annotations

from nvrclient.codec import annexb
from nvrclient.codec.depacketizer import BadPayloadError, Depacketizer, aggregated
from nvrclient.frames import Codec
from nvrclient.rtp.packet import RtpPacket

RASL_N = 8
RASL_R = 9
BLA_W_LP = 16
CRA = 21
VPS = 32
SPS = 33
PPS = 34
ACCESS_UNIT_DELIMITER = 35
AP = 48
FU = 49
PACI = 50


class H265Depacketizer(Depacketizer):
    """See `nvrclient.codec.depacketizer`."""

    __slots__ = ()

    codec = Codec.H265

    def push(self, packet: RtpPacket) -> list[bytes]:
        """Take the next packet in sequence; return the NAL units it completes. Raises BadPayloadError."""
        data, start, end = packet.data, packet.start, packet.end
        if start == end:
            raise BadPayloadError("empty", damage=False)
        if start + 2 > end:
            self.break_off()
            raise BadPayloadError("short NAL unit")
        first = data[start]
        kind = first >> 1 & 0x3F
        if kind == FU:
            if start + 3 > end:
                self.break_off()
                raise BadPayloadError("short fragment")
            flags = data[start + 2]
            unit_type = flags & 0x3F
            if not flags & 0x80:
                unit = self._fragment(flags, unit_type, b"", data[start + 3 : end])
            elif unit_type >= AP:
                self.break_off()
                raise BadPayloadError(f"unsupported type {unit_type}")
            else:
                header = bytes((first & 0x81 | unit_type << 1, data[start + 1]))
                unit = self._fragment(flags, unit_type, header, data[start + 3 : end])
            return [] if unit is None else _units(unit)
        self._no_fragment()
        if annexb.has_start_code(data[start : start + 4]):  # reads as type 0 otherwise: TRAIL_N
            return _units(data[start:end])
        if kind < AP:
            return _units(data[start:end])
        if kind == AP:
            units = aggregated(packet, 2)
            if any(unit[0] >> 1 & 0x3F >= AP for unit in units):
                raise BadPayloadError("aggregation nested")
            return units
        # PACI carries a piece of the picture; what types above it carry nobody says
        raise BadPayloadError(f"unsupported type {kind}", damage=kind == PACI)

    def middle_header(self, packet: RtpPacket) -> bytes:
        """Return the three bytes of an FU that goes on, or nothing."""
        data, start = packet.data, packet.start
        if not self.unfinished or start == packet.end or data[start] >> 1 & 0x3F != FU:
            return b""
        return bytes((data[start], data[start + 1], data[start + 2] & 0x3F))


def _units(unit: bytes) -> list[bytes]:
    """Take off start codes, as in H.264: everywhere but inside slices."""
    if not annexb.has_start_code(unit[:4]) and (
        unit[0] >> 1 & 0x3F < VPS or b"\x00\x00\x01" not in unit
    ):
        return [unit]
    return [piece for piece in annexb.split(unit) if len(piece) >= 2]
