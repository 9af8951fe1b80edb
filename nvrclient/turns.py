"""Turns: a few at a time, first come first served (a recorder gives two downloads at a time)."""

from __future__ import annotations

import asyncio
from collections import deque


class Turns:
    """Places that are waited for in the order of asking.

    A turn whose holder the recorder refuses, because others than this session have its places, keeps its place and
    holds up those behind it: whoever waits longest is served first.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._refused: set[Turn] = set()

    async def take(self) -> Turn:
        """Wait for a turn; end it by `Turn.end`. Cancelling it gives up the place in the queue."""
        if self._free and not self._waiting and not self._refused:
            self._free -= 1
            return Turn(self)
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():  # it came at the same moment
                self._free += 1
            self.advance()
            raise
        return Turn(self)

    def advance(self) -> None:
        """Give free places to those who wait."""
        while self._free and self._waiting and not self._refused:
            place = self._waiting.popleft()
            if not place.cancelled():
                self._free -= 1
                place.set_result(None)

    def hold(self, turn: Turn) -> None:
        """Let nobody in before `turn`."""
        self._refused.add(turn)

    def let(self, turn: Turn) -> None:
        """Let others in again, as far as `turn` goes."""
        self._refused.discard(turn)
        self.advance()

    def end(self, turn: Turn) -> None:
        """Free the place of `turn`."""
        self._free += 1
        self.let(turn)


class Turn:
    """One place taken."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._ended = False

    def refused(self) -> None:
        """The recorder has no place: nobody overtakes until `accepted` or `end`."""
        self._turns.hold(self)

    def accepted(self) -> None:
        """The recorder has given the place."""
        self._turns.let(self)

    def end(self) -> None:
        """Give the place back; safe to repeat."""
        if not self._ended:
            self._ended = True
            self._turns.end(self)
