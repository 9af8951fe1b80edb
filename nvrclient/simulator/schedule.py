"""A seeded schedule of faults: what befalls a recorder over hours, the same each time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import TYPE_CHECKING

from nvrclient.simulator.answer_faults import AnswerFault
from nvrclient.simulator.faults import FROZEN, ORDERLY, POWER_CUT, RESET
from nvrclient.simulator.http_server import Ending
from nvrclient.simulator.relay import UdpFaults
from nvrclient.simulator.stream_faults import StreamFault

if TYPE_CHECKING:
    from collections.abc import Collection

    from nvrclient.simulator.faults import Faults
    from nvrclient.simulator.incident import Incident
    from nvrclient.simulator.stream import Stream

__all__ = ["Kind", "Schedule"]


class Kind(Enum):
    """A kind of fault that a schedule plays; the value says what it is."""

    REBOOT_RESET = "a reboot: connections reset, refused, 503"
    REBOOT_ORDERLY = "a reboot: connections closed, refused, 503"
    REBOOT_FROZEN = "a reboot: silence, refused, 503"
    REBOOT_POWER_CUT = "a reboot: silence, reset when called, 503"
    BLACK_HOLE = "the path is dead"
    CONNECTIONS_CLOSED = "every TCP connection ends in order"
    CONNECTIONS_RESET = "every TCP connection is reset"
    CONNECTIONS_HALF_OPEN = "every TCP connection is forgotten and not closed"
    UID_LOST = "one UID is forgotten"
    UIDS_LOST = "all UIDs are forgotten"
    UIDS_STOLEN = "a UID dies at every other command, and one stream over HTTP is closed"
    STREAM_SILENT = "one stream falls silent"
    STREAM_EMPTY = "one stream sends no pictures, but parts or packets"
    STREAM_WITHOUT_KEYFRAMES = "one stream sends no key frames"
    STREAM_CLOSED = "one stream over HTTP is closed"
    STREAM_RESET = "one stream over HTTP is reset"
    STREAM_CUT = "one stream over HTTP is cut in the middle of a part"
    STREAM_FLOODS = "one stream over HTTP sends fifty times as fast"
    KEEPALIVE_LOST = "answers to status.cgi are lost"
    ANSWERS_LATE = "answers come late, and one stream over HTTP is closed"
    ANSWERS_GARBLED = "answers to status.cgi mean nothing"
    ANSWERS_BUSY = "every other command is answered 503, and one stream over HTTP is closed"
    LOGINS_BUSY = "one UID is forgotten, and the next logins are answered 503"
    START_REFUSED = "one stream is closed, and the next START is answered 204"
    UDP_BURST = "the next packets of every UDP stream are lost"
    UDP_SHAKEN = "datagrams are lost, repeated and reordered"
    UDP_BLOCKED = "no datagram arrives"


@dataclass(frozen=True, slots=True)
class Schedule:
    """Which faults a recorder plays by itself while it is open.

    One at a time: ``every`` seconds (least and most) after the last one was over, the next kind out of a shuffled
    bag that holds each kind once, so that every kind comes as often as the others, whatever the seed. ``lasting``
    is how long those last that last. A kind that nothing is there for (no UDP stream, no UID) waits in the bag.
    One that does not end by itself (a silent stream that nobody starts again) is healed after ``patience``.
    """

    seed: int = 0
    kinds: Collection[Kind] = tuple(Kind)
    every: tuple[float, float] = (60.0, 180.0)
    lasting: tuple[float, float] = (5.0, 40.0)
    patience: float = 300.0

    async def play(self, faults: Faults) -> None:
        """Play until cancelled. The incident of a kind has its name in ``kind``."""
        random = Random(self.seed)  # noqa: S311 - repeatable on purpose
        bag: list[Kind] = []
        while self.kinds:
            await asyncio.sleep(random.uniform(*self.every))
            if not bag:
                bag = random.sample(list(self.kinds), len(self.kinds))
            for kind in tuple(bag):
                hand = _Hand(faults, random, random.uniform(*self.lasting))
                incident = _PLAYS[kind](hand)
                if incident is not None:
                    bag.remove(kind)
                    incident.kind = kind.name
                    await _over(incident, self.patience)
                    break


async def _over(incident: Incident, patience: float) -> None:
    try:
        async with asyncio.timeout(patience):
            await incident.over()
    except TimeoutError:
        incident.heal()
        await incident.over()  # a reboot takes its time


@dataclass(slots=True)
class _Hand:
    """What a fault is played with."""

    faults: Faults
    random: Random
    seconds: float

    def stream(self, transport: str | None = None) -> list[Stream]:
        """Pick one video stream that nothing ails; empty: there is none."""
        streams = [
            stream
            for stream in self.faults.streams
            if not stream.is_audio
            and stream.source is not None
            and stream.trouble is None
            and transport in {None, stream.transport}
        ]
        return [self.random.choice(streams)] if streams else []

    def disturb(self, fault: StreamFault, transport: str | None = None) -> Incident | None:
        """Do this to one stream, until it is started again."""
        streams = self.stream(transport)
        return self.faults.disturb(fault, streams=streams, rate=50.0) if streams else None

    @property
    def has_uids(self) -> bool:
        """Whether a UID is in use."""
        return bool(self.faults.uids)

    @property
    def has_udp(self) -> bool:
        """Whether a stream goes over UDP."""
        return any(stream.transport == "udp" for stream in self.faults.streams)


def _flood(hand: _Hand) -> Incident | None:
    streams = hand.stream("http")
    if not streams:
        return None
    incident = hand.faults.disturb(StreamFault.FLOOD, streams=streams, rate=50.0)
    incident.heal_after(hand.seconds)
    return incident


def _logins_busy(hand: _Hand) -> Incident | None:
    if not hand.has_uids:
        return None
    lost = hand.faults.forget_uid()
    busy = hand.faults.spoil(AnswerFault.STATUS, "dlogin.cgi", count=2, seconds=hand.seconds)
    return _joined(hand, busy, lost)


def _start_refused(hand: _Hand) -> Incident | None:
    streams = hand.stream("http")
    if not streams:
        return None
    closed = hand.faults.disturb(StreamFault.FIN, streams=streams)
    return _joined(hand, hand.faults.refuse_starts(204, streams[0].camera), closed)


def _answers_spoiled(hand: _Hand, incident: Incident) -> Incident:
    """Have a stream started while answers are spoiled, so that something is asked for."""
    streams = hand.stream("http")
    if streams:
        _joined(hand, incident, hand.faults.disturb(StreamFault.FIN, streams=streams))
    return incident


def _joined(hand: _Hand, incident: Incident, other: Incident) -> Incident:
    """Make one incident of two."""
    hand.faults.log.remove(other)
    incident.cameras, incident.uids = other.cameras, other.uids
    return incident


_PLAYS: dict[Kind, Callable[[_Hand], Incident | None]] = {
    Kind.REBOOT_RESET: lambda hand: hand.faults.reboot(RESET),
    Kind.REBOOT_ORDERLY: lambda hand: hand.faults.reboot(ORDERLY),
    Kind.REBOOT_FROZEN: lambda hand: hand.faults.reboot(FROZEN),
    Kind.REBOOT_POWER_CUT: lambda hand: hand.faults.reboot(POWER_CUT),
    Kind.BLACK_HOLE: lambda hand: hand.faults.black_hole(hand.seconds),
    Kind.CONNECTIONS_CLOSED: lambda hand: hand.faults.drop_connections(Ending.FIN),
    Kind.CONNECTIONS_RESET: lambda hand: hand.faults.drop_connections(Ending.RST),
    Kind.CONNECTIONS_HALF_OPEN: lambda hand: hand.faults.drop_connections(Ending.SILENCE),
    Kind.UID_LOST: lambda hand: hand.faults.forget_uid() if hand.has_uids else None,
    Kind.UIDS_LOST: lambda hand: hand.faults.forget_uids() if hand.has_uids else None,
    Kind.UIDS_STOLEN: lambda hand: _answers_spoiled(hand, hand.faults.steal_uids(2, hand.seconds)),
    Kind.STREAM_SILENT: lambda hand: hand.disturb(StreamFault.SILENCE),
    Kind.STREAM_EMPTY: lambda hand: hand.disturb(
        hand.random.choice((StreamFault.BOUNDARIES, StreamFault.EMPTY_PARTS))
    ),
    Kind.STREAM_WITHOUT_KEYFRAMES: lambda hand: hand.disturb(StreamFault.NO_KEYFRAMES),
    Kind.STREAM_CLOSED: lambda hand: hand.disturb(StreamFault.FIN, "http"),
    Kind.STREAM_RESET: lambda hand: hand.disturb(StreamFault.RST, "http"),
    Kind.STREAM_CUT: lambda hand: hand.disturb(
        hand.random.choice((StreamFault.CUT, StreamFault.CUT_RST)), "http"
    ),
    Kind.STREAM_FLOODS: _flood,
    Kind.KEEPALIVE_LOST: lambda hand: hand.faults.spoil(
        hand.random.choice((AnswerFault.LOST_FIN, AnswerFault.LOST_RST, AnswerFault.LOST_SILENCE)),
        "status.cgi",
        count=1,
        seconds=120,
    ),
    Kind.ANSWERS_LATE: lambda hand: _answers_spoiled(
        hand,
        hand.faults.spoil(
            AnswerFault.SLOW, delay=hand.random.uniform(0.5, 3), seconds=hand.seconds
        ),
    ),
    Kind.ANSWERS_GARBLED: lambda hand: hand.faults.spoil(
        AnswerFault.GARBAGE, "status.cgi", count=1, seconds=120
    ),
    Kind.ANSWERS_BUSY: lambda hand: _answers_spoiled(
        hand, hand.faults.spoil(AnswerFault.STATUS, every=2, status=503, seconds=hand.seconds)
    ),
    Kind.LOGINS_BUSY: _logins_busy,
    Kind.START_REFUSED: _start_refused,
    Kind.UDP_BURST: lambda hand: (
        hand.faults.lose_packets(hand.random.randint(1, 200)) if hand.has_udp else None
    ),
    Kind.UDP_SHAKEN: lambda hand: (
        hand.faults.shake_udp(
            UdpFaults(loss=0.02, bursts=0.002, duplicate=0.02, reorder=0.02), hand.seconds
        )
        if hand.has_udp
        else None
    ),
    Kind.UDP_BLOCKED: lambda hand: hand.faults.block_udp(hand.seconds) if hand.has_udp else None,
}
