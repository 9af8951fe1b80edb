"""Packets in the order they were sent: what is late, doubled, lost, or of another sender (RFC 3550 appendix A.1).

A packet goes straight through while sequence numbers follow each other. When one is missing, what comes after it
waits, at most ``MAX_WAITING`` packets and ``MAX_WAIT`` seconds; then the gap is given up and counted as lost.

A change of sender (SSRC or payload type), a jump of the sequence, and a time stamp far in the past all look like a
single stray packet at first. Such a packet is put on probation: the next one in its own sequence confirms it, and
both are passed on; a packet of the old sequence in between clears it.
"""

from __future__ import annotations

from nvrclient.rtp.packet import RtpPacket

MAX_WAITING = 32
"""Packets that may wait behind a missing one. A network that reorders deeper than this is counted as `late`."""

MAX_WAIT = 0.1
"""Seconds to wait for a missing packet: three pictures at 30 a second, less than an eye notices."""

MAX_DROPOUT = 3000
"""A larger gap is a jump of the sequence, not a loss (RFC 3550 A.1): a second and more of high-rate video. A packet
further behind is no copy but a jump back."""

MAX_REMEMBERED = 1024
"""Packets given up that are remembered, to tell a late one from a duplicate."""

STALE_TICKS = 900_000
"""A time stamp this far behind the newest (10 s of video) is of another time line, not of a picture out of order."""


class Reorder:
    """Puts packets in order and counts what is wrong with them.

    ``push`` and ``flush`` return the packets that are due now, in order, each with ``lost`` set, and ``opens`` on
    the first of a new sequence. With `settle` the very first packets wait too, since a datagram network may
    swap them; a byte stream needs none of that.

    Counters: ``lost`` (given up), ``reordered`` (came late but in time), ``late`` (came after it was given up),
    ``duplicates``, ``strays`` (dropped on probation), ``restarts``.
    """

    __slots__ = (
        "_expected",
        "_gap_since",
        "_given_up",
        "_newest",
        "_probation",
        "_sender",
        "_settling",
        "_waiting",
        "duplicates",
        "late",
        "lost",
        "reordered",
        "restarts",
        "strays",
    )

    def __init__(self, *, settle: bool = False) -> None:
        self.lost = 0
        self.reordered = 0
        self.late = 0
        self.duplicates = 0
        self.strays = 0
        self.restarts = 0
        self.reset(settle=settle)

    def reset(self, *, settle: bool = False) -> None:
        """Start over with the next packet, whoever sends it; the counters go on."""
        self._settling = settle
        self._sender = -1  # payload type and SSRC in one number
        self._expected = 0
        self._newest = 0  # the highest time stamp seen, on the 32-bit circle
        self._waiting: dict[int, RtpPacket] = {}
        self._gap_since = 0.0
        self._given_up: dict[int, int] = {}  # number -> time stamp after its gap, in order of age
        self._probation: RtpPacket | None = None

    @property
    def deadline(self) -> float | None:
        """When `flush` has something to do: the monotonic time at which the gap at hand is given up."""
        return self._gap_since + MAX_WAIT if self._waiting else None

    def follows(self, packet: RtpPacket) -> bool:
        """Whether it is of the sender whose packets are given, as far as its SSRC tells."""
        return self._sender == packet.payload_type << 32 | packet.ssrc

    @property
    def is_in_step(self) -> bool:
        """Whether nothing waits, and nothing is on probation: the next in sequence goes straight through."""
        return not self._waiting and self._probation is None

    def passed(self, count: int) -> None:
        """So many packets in sequence, of the time stamp of the last one, went straight through elsewhere."""
        self._expected = (self._expected + count) & 0xFFFF

    def push(self, packet: RtpPacket, now: float) -> list[RtpPacket]:
        """Take one packet as it came, at monotonic time `now`; return those that are due."""
        sequence_number = packet.sequence_number
        if self._sender != packet.payload_type << 32 | packet.ssrc:
            if self._sender == -1:
                if not self._settling:
                    return self._follow([packet])
                self._sender = packet.payload_type << 32 | packet.ssrc
                self._expected = (sequence_number - MAX_WAITING) & 0xFFFF
                self._newest = packet.timestamp
                return self._hold(packet, now)
            return self._suspect(packet)
        behind = (self._newest - packet.timestamp) & 0xFFFFFFFF
        if behind != 0:
            if behind >= 0x80000000:
                if sequence_number == self._expected:
                    self._newest = packet.timestamp
            elif behind > STALE_TICKS:
                return self._suspect(packet)
        if sequence_number == self._expected:
            self._expected = (sequence_number + 1) & 0xFFFF
            if self._probation is not None:
                self._clear_probation()
            if not self._waiting:
                return [packet]
            if self._settling:
                self._settling = False
                packet.opens = True
            self.reordered += 1
            due = [packet, *self._take_waiting(now)]
            if self._waiting:
                self._drop_far_ones()
            return due
        ahead = (sequence_number - self._expected) & 0xFFFF
        if ahead <= MAX_DROPOUT:
            return self._hold(packet, now)
        if ahead >= 0x10000 - MAX_DROPOUT:
            return self._behind(packet, behind)
        return self._suspect(packet)

    def flush(self, now: float) -> list[RtpPacket]:
        """Give up the gap at hand if its time is over at `now`; return the packets that waited behind it."""
        if self._waiting and now >= self._gap_since + MAX_WAIT:
            return self._give_up(now)
        return []

    def _hold(self, packet: RtpPacket, now: float) -> list[RtpPacket]:
        if packet.sequence_number in self._waiting:
            self.duplicates += 1
            return []
        if not self._waiting:
            self._gap_since = now
        self._clear_probation()
        self._waiting[packet.sequence_number] = packet
        if len(self._waiting) > MAX_WAITING or now >= self._gap_since + MAX_WAIT:
            return self._give_up(now)
        return []

    def _give_up(self, now: float) -> list[RtpPacket]:
        """Skip to the nearest waiting packet and count what is missing before it."""
        expected = self._expected
        nearest = min(self._waiting, key=lambda number: (number - expected) & 0xFFFF)
        missing = (nearest - expected) & 0xFFFF
        first = self._waiting[nearest]
        if self._settling:  # where the sequence began is not known: nothing is missing before it
            self._settling = False
            first.opens = True
        else:
            self.lost += missing
            first.lost = missing
            for number in range(max(0, missing - MAX_REMEMBERED), missing):
                self._given_up[(expected + number) & 0xFFFF] = first.timestamp
            while len(self._given_up) > MAX_REMEMBERED:
                del self._given_up[next(iter(self._given_up))]
        self._expected = nearest
        return self._take_waiting(now)

    def _take_waiting(self, now: float) -> list[RtpPacket]:
        """Take out the waiting packets that follow in sequence; a further gap starts its own wait."""
        due: list[RtpPacket] = []
        waiting = self._waiting
        while (packet := waiting.pop(self._expected, None)) is not None:
            due.append(packet)
            self._expected = (self._expected + 1) & 0xFFFF
            if (packet.timestamp - self._newest) & 0xFFFFFFFF < 0x80000000:
                self._newest = packet.timestamp
        self._gap_since = now
        return due

    def _drop_far_ones(self) -> None:
        """The sequence goes on where it was: what waits far ahead of it never belonged to it."""
        for number in list(self._waiting):
            if (number - self._expected) & 0xFFFF > MAX_WAITING:
                del self._waiting[number]
                self.strays += 1

    def _behind(self, packet: RtpPacket, behind: int) -> list[RtpPacket]:
        """Sort out a packet whose number has passed: late, doubled, or the sender started over."""
        number = packet.sequence_number
        if behind >= 0x80000000:  # newer than anything seen: no copy of an old packet
            return self._suspect(packet)
        after = self._given_up.pop(number, None)
        if after is not None and (after - packet.timestamp) & 0xFFFFFFFF < 0x80000000:
            self.late += 1
        else:
            self.duplicates += 1
        return []

    def _suspect(self, packet: RtpPacket) -> list[RtpPacket]:
        held = self._probation
        if held is not None:
            if (
                packet.ssrc == held.ssrc
                and packet.payload_type == held.payload_type
                and packet.sequence_number == (held.sequence_number + 1) & 0xFFFF
                and (packet.timestamp - held.timestamp) & 0xFFFFFFFF < STALE_TICKS
            ):
                self._probation = None
                return self._follow([held, packet])
            self.strays += 1
        self._probation = packet
        return []

    def _clear_probation(self) -> None:
        if self._probation is not None:
            self._probation = None
            self.strays += 1

    def _follow(self, packets: list[RtpPacket]) -> list[RtpPacket]:
        """Follow the sender of `packets` from here on; what still waited for the old one comes first."""
        last = packets[-1]
        if self._sender != -1:
            self.restarts += 1
        due: list[RtpPacket] = []
        expected = self._expected
        for number in sorted(self._waiting, key=lambda number: (number - expected) & 0xFFFF):
            waited = self._waiting[number]
            if self._settling:
                self._settling = False
                waited.opens = True
            else:
                waited.lost = (number - self._expected) & 0xFFFF
                self.lost += waited.lost
            self._expected = (number + 1) & 0xFFFF
            due.append(waited)
        self._waiting.clear()
        self._given_up.clear()
        self._sender = last.payload_type << 32 | last.ssrc
        self._expected = (last.sequence_number + 1) & 0xFFFF
        self._newest = last.timestamp
        self._settling = False
        packets[0].opens = True
        return due + packets
