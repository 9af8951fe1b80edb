"""Packets in order -> access units: where a picture begins and ends, and whether it is whole.

The marker bit ends a picture and a new time stamp does too, since the packet with the marker can be lost. Some
cameras set the marker early, or always: it is believed once a new time stamp has followed it directly, and no
more once the same time stamp has. Until then, and for good with such a camera, a picture ends with the next time
stamp or after a short silence.

After a loss a picture is whole only if its first packet was seen: it begins with an access unit delimiter, or
nothing is missing before it.
"""

from __future__ import annotations

from collections.abc import Iterable

from nvrclient.codec import h264, h265
from nvrclient.codec.depacketizer import BadPayloadError, Depacketizer
from nvrclient.codec.run import FragmentRun
from nvrclient.frames import Codec, NalUnit
from nvrclient.rtp.packet import RtpPacket

MAX_ACCESS_UNIT = 8 << 20
"""Bytes of one picture; more is a sender that never ends it."""

MAX_NAL_UNITS = 1024
"""NAL units of one picture: 4K in 600 slices is the most that level 6.2 of H.265 allows."""

SILENCE = 0.1
"""Seconds of silence after a marker that is not believed, before it ends the picture all the same."""

_DELIMITER = {Codec.H264: h264.ACCESS_UNIT_DELIMITER, Codec.H265: h265.ACCESS_UNIT_DELIMITER}


class AccessUnit:
    """One picture as it came.

    ``damage`` is empty for a whole picture, else the reason, fit for a counter. ``lost`` counts the packets
    missing in it and before it. ``extension`` is the last header extension in it, or None. ``opens``: a new sender
    begins with it. ``continues``: a marker had ended a picture of the same time stamp before.
    """

    __slots__ = (
        "continues",
        "damage",
        "extension",
        "has_slice",
        "lost",
        "nal_units",
        "opens",
        "timestamp",
    )

    def __init__(self, timestamp: int) -> None:
        self.timestamp = timestamp
        self.nal_units: list[NalUnit] = []
        self.damage = ""
        self.lost = 0
        self.extension: bytes | None = None
        self.has_slice = False
        self.opens = False
        self.continues = False


class Assembler:
    """Puts access units together; counts ``malformed`` payloads by reason."""

    __slots__ = (
        "_believed",
        "_bytes",
        "_confirmed",
        "_delimiter",
        "_depacketizer",
        "_ended_at",
        "_is_h264",
        "_lost",
        "_marked_at",
        "_unit",
        "codec",
        "malformed",
    )

    def __init__(self, depacketizer: Depacketizer) -> None:
        self._depacketizer = depacketizer
        self.codec = depacketizer.codec
        self._is_h264 = self.codec is Codec.H264
        self._delimiter = _DELIMITER[self.codec]
        self._unit: AccessUnit | None = None  # the picture in progress
        self._bytes = 0
        self._ended_at: int | None = (
            None  # time stamp of the last packet with a marker behind a slice
        )
        self._believed = True  # the marker never came early
        self._confirmed = False  # a new time stamp followed a marker directly
        self._marked_at: float | None = (
            None  # when a marker came that alone does not end the picture
        )
        self._lost = 0  # packets lost since the last picture that was handed on
        self.malformed: dict[str, int] = {}

    @property
    def in_progress(self) -> AccessUnit | None:
        """The picture being received, as far as it is there."""
        return self._unit

    @property
    def lost(self) -> int:
        """Packets missing since the last picture that was handed on."""
        return self._lost

    @property
    def deadline(self) -> float | None:
        """When `flush` has something to do, on the monotonic clock."""
        return None if self._marked_at is None else self._marked_at + SILENCE

    def push(self, packet: RtpPacket, now: float) -> list[AccessUnit]:
        """Take the next packet in order; return the access units that end with it (mostly none, at most two)."""
        done: list[AccessUnit] = []
        unit = self._unit
        timestamp = packet.timestamp
        first_seen = True
        if packet.lost or packet.opens:
            first_seen = packet.opens
            self._break_off(packet)
        if unit is None or unit.timestamp != timestamp or packet.opens:
            if unit is not None:
                self._finish(done)
            self._lost += packet.lost  # what was lost before a picture is no loss of the one before
            unit = self._begin(packet, first_seen=first_seen)
        elif not first_seen:
            self._lost += packet.lost
            unit.damage = "loss"
        self._marked_at = None
        if packet.extension is not None:
            unit.extension = packet.extension
        self._bytes += packet.end - packet.start
        if self._bytes > MAX_ACCESS_UNIT:
            self._oversize(unit)
        elif unit.damage != "oversize":
            try:
                units = self._depacketizer.push(packet)
            except BadPayloadError as bad:
                self._count(bad.reason)
                if bad.damage:
                    unit.damage = unit.damage or "malformed"
            else:
                if units:
                    self._add(unit, units)
        if packet.marker and unit.has_slice and not self._depacketizer.unfinished:
            self._ended_at = timestamp
            if self._believed and self._confirmed:
                self._finish(done)
            else:
                self._marked_at = now
        return done

    def run_after(self, packet: RtpPacket) -> FragmentRun | None:
        """Return the run of fragments that may follow the packet just pushed; None: its NAL unit is whole."""
        header = self._depacketizer.middle_header(packet)
        if not header or packet.is_padded:
            return None
        return FragmentRun(
            packet, header, min(MAX_ACCESS_UNIT - self._bytes, self._depacketizer.room)
        )

    def add(self, run: FragmentRun) -> None:
        """Take what came in a run."""
        size = self._depacketizer.add(run.fragments)
        self._bytes += size + len(run.fragments) * run.header_size

    def flush(self, now: float) -> list[AccessUnit]:
        """Return the picture that a marker and a silence have ended by `now`, if there is one."""
        done: list[AccessUnit] = []
        if self._marked_at is not None and now >= self._marked_at + SILENCE:
            self._finish(done)
        return done

    def close(self) -> list[AccessUnit]:
        """No more packets: return the picture in progress, whole only if a marker ended it."""
        done: list[AccessUnit] = []
        unit = self._unit
        if unit is not None:
            if self._marked_at is None:
                unit.damage = unit.damage or "interrupted"
            self._finish(done)
        return done

    def _begin(self, packet: RtpPacket, *, first_seen: bool) -> AccessUnit:
        unit = self._unit
        if (
            unit is None
        ):  # else it is a prefix without a slice: its parameter sets belong to this picture
            unit = self._unit = AccessUnit(packet.timestamp)
            self._bytes = 0
            if self._ended_at is not None:
                unit.continues = self._ended_at == packet.timestamp and not packet.opens
                if not unit.continues:
                    self._confirmed = self._confirmed or (first_seen and not packet.opens)
                    self._ended_at = None
        unit.timestamp = packet.timestamp
        unit.opens = unit.opens or packet.opens
        if not first_seen:
            unit.damage = "loss"  # taken back if a delimiter is found to begin it
        return unit

    def _break_off(self, packet: RtpPacket) -> None:
        """Packets are missing, or another sender begins: what is unfinished stays unfinished.

        A marker that is not believed says nothing about what is missing behind it; where another sender begins
        and nothing is known to be missing, it is taken at its word.
        """
        self._depacketizer.break_off()
        unit = self._unit
        if unit is not None and (packet.lost or self._marked_at is None):
            unit.damage = unit.damage or "loss"

    def _add(self, unit: AccessUnit, units: Iterable[bytes]) -> None:
        for data in units:
            kind = data[0] & 0x1F if self._is_h264 else data[0] >> 1 & 0x3F
            if kind == self._delimiter and not unit.nal_units and unit.damage == "loss":
                unit.damage = ""
            if len(unit.nal_units) >= MAX_NAL_UNITS:
                self._oversize(unit)
                return
            nal = NalUnit(data, self.codec, kind, unit.timestamp)
            unit.nal_units.append(nal)
            if nal.is_slice:
                if unit.opens and not unit.has_slice and not self._is_first_slice(data):
                    unit.damage = unit.damage or "loss"  # before the first packet of this sender
                unit.has_slice = True
                if self._ended_at == unit.timestamp:  # the marker came before the picture's end
                    self._believed = False
                    if unit.continues and not unit.damage:
                        unit.damage = "early marker"
                        self._count("early marker")

    def _oversize(self, unit: AccessUnit) -> None:
        """Too much for one picture: nothing of it is kept, and what still comes of it is not looked at."""
        if unit.damage != "oversize":
            unit.damage = "oversize"
            self._count("oversize")
            self._depacketizer.break_off()
            unit.nal_units.clear()

    def _is_first_slice(self, data: bytes) -> bool:
        """Whether a slice is the first of its picture.

        H.264: first_mb_in_slice = 0, as ue(v) one bit 1; H.265: first_slice_segment_in_pic_flag.
        """
        position = 1 if self._is_h264 else 2
        return len(data) > position and data[position] > 0x7F

    def _finish(self, done: list[AccessUnit]) -> None:
        """The picture in progress is over; one without a slice stays, as the front of the next."""
        unit = self._unit
        assert unit is not None
        self._marked_at = None
        if self._depacketizer.unfinished:
            self._depacketizer.break_off()
            self._count("fragment without end")
            unit.damage = unit.damage or "malformed"
        if not unit.has_slice and not unit.damage:
            return
        unit.lost, self._lost = self._lost, 0
        self._unit = None
        done.append(unit)

    def _count(self, reason: str) -> None:
        self.malformed[reason] = self.malformed.get(reason, 0) + 1
