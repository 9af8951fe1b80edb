"""The relay that a stream's datagrams pass on their way out: it loses, repeats and reorders them, by a seed.

It stands inside the recorder and not between two sockets: a client hears packets from the recorder's address
only, and here what was done to each packet is known exactly.
"""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from random import Random

__all__ = ["PacketAccount", "UdpFaults", "UdpRelay"]


@dataclass(frozen=True, slots=True)
class UdpFaults:
    """What happens to datagrams. Shares are of all packets, 0.0…1.0.

    | field | meaning |
    |---|---|
    | loss | share lost, each by itself; 1.0 is a firewall |
    | bursts | share at which a burst of loss begins |
    | burst | packets of a burst, least and most |
    | duplicate | share sent twice, one right behind the other |
    | reorder | share held back |
    | distance | how many later packets overtake one held back, at most |
    | hold | seconds until one held back goes out in any case |
    """

    loss: float = 0.0
    bursts: float = 0.0
    burst: tuple[int, int] = (2, 20)
    duplicate: float = 0.0
    reorder: float = 0.0
    distance: int = 8
    hold: float = 0.02


@dataclass(slots=True, eq=False)
class PacketAccount:
    """What became of the packets of one stream, exactly; over HTTP one packet is one part.

    | field | meaning |
    |---|---|
    | camera, comp, transport, uid | of the stream; ``uid`` is the number of its UID |
    | ssrc, first_number | of its packets; None where they have no RTP header |
    | made | packets made: each took a sequence number, the n-th (from 0) ``first_number`` + n |
    | delivered | different packets that went out; what is held back has not yet |
    | duplicated, reordered | packets that went out twice; after a later one |
    | lost_at | the numbers n of those that never went out, rising |
    """

    camera: int
    comp: str
    transport: str
    uid: int = 0
    ssrc: int | None = None
    first_number: int | None = None
    made: int = 0
    delivered: int = 0
    duplicated: int = 0
    reordered: int = 0
    lost_at: array[int] = field(default_factory=lambda: array("Q"), repr=False)
    first_delivered: int | None = field(default=None, repr=False)
    last_delivered: int = field(default=-1, repr=False)

    @property
    def lost(self) -> int:
        """How many packets never went out."""
        return len(self.lost_at)

    @property
    def gaps(self) -> int:
        """How many of the lost a receiver of all the others can know of: one went out before it, and one after."""
        if self.first_delivered is None:
            return 0
        lost = self.lost_at
        return bisect_left(lost, self.last_delivered) - bisect_left(lost, self.first_delivered)

    def deliver(self, count: int) -> None:
        """Note that the next packets went out, in order."""
        if self.first_delivered is None:
            self.first_delivered = self.made
        self.made += count
        self.delivered += count
        self.last_delivered = self.made - 1

    def lose(self, count: int) -> None:
        """Note that the next packets never go out."""
        self.lost_at.extend(range(self.made, self.made + count))
        self.made += count


class UdpRelay:
    """Sends the datagrams of one stream, as the faults that hold at the moment say.

    ``lose_next`` packets more are lost. ``close()`` loses what is held back.
    """

    def __init__(
        self,
        sender: socket.socket,
        address: tuple[str, int],
        account: PacketAccount,
        random: Random,
    ) -> None:
        self._sender, self._address = sender, address
        self._account, self._random = account, random
        self._held: deque[tuple[int, bytes, int, asyncio.TimerHandle]] = deque()
        self.lose_next = 0

    def send(self, datagram: bytes, faults: UdpFaults | None) -> None:
        """Pass a datagram on. One that the system does not take is lost, and counted so."""
        if faults is None and not self.lose_next and not self._held:
            self._put(datagram)
            return
        account, chance = self._account, self._random.random
        if faults is not None and not self.lose_next:
            if chance() < faults.bursts:
                self.lose_next = self._random.randint(*faults.burst)
            elif chance() < faults.loss:
                self.lose_next = 1
        if self.lose_next:
            self.lose_next -= 1
            account.lose(1)
        elif faults is not None and chance() < faults.reorder:
            self._hold(datagram, faults)
        elif faults is not None and chance() < faults.duplicate:
            self._put(datagram)
            if self._out(datagram):
                account.duplicated += 1
        else:
            self._put(datagram)
        while self._held and self._held[0][2] <= account.made:
            self._release(self._held[0])

    def close(self) -> None:
        """Send nothing more."""
        for held in tuple(self._held):
            self._forget(held)
        self._sender.close()

    def _put(self, datagram: bytes) -> None:
        if self._out(datagram):
            self._account.deliver(1)
        else:
            self._account.lose(1)

    def _out(self, datagram: bytes) -> bool:
        try:
            self._sender.sendto(datagram, self._address)
        except OSError:  # no room, no route, nobody there: what a network does to a datagram
            return False
        return True

    def _hold(self, datagram: bytes, faults: UdpFaults) -> None:
        number = self._account.made
        self._account.made += 1
        until = number + 1 + self._random.randint(1, faults.distance)
        entry: list[tuple[int, bytes, int, asyncio.TimerHandle]] = []
        timer = asyncio.get_running_loop().call_later(faults.hold, lambda: self._release(entry[0]))
        entry.append((number, datagram, until, timer))
        self._held.append(entry[0])

    def _release(self, held: tuple[int, bytes, int, asyncio.TimerHandle]) -> None:
        number, datagram, _, timer = held
        timer.cancel()
        account = self._account
        if not self._out(datagram):
            self._forget(held)
            return
        self._held.remove(held)
        account.delivered += 1
        if account.first_delivered is None or number < account.first_delivered:
            account.first_delivered = number
        if number < account.last_delivered:
            account.reordered += 1
        else:
            account.last_delivered = number

    def _forget(self, held: tuple[int, bytes, int, asyncio.TimerHandle]) -> None:
        """Count one held back as lost: it stands before others that are lost already."""
        number, _, _, timer = held
        timer.cancel()
        self._held.remove(held)
        lost = self._account.lost_at
        lost.insert(bisect_left(lost, number), number)
