"""A tape: the tracks of a recording one behind the other, its items numbered from the first on and made on demand."""

from __future__ import annotations

import sys
from bisect import bisect_right
from functools import cached_property
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Tape", "Track", "whole"]


class Item(Protocol):
    """Something recorded; times are hundredths of a second since the Unix epoch."""

    @property
    def begins(self) -> int:
        """When it begins."""
        ...

    @property
    def until(self) -> int:
        """When it is over."""
        ...


ItemT_co = TypeVar("ItemT_co", bound=Item, covariant=True)


class Track(Protocol[ItemT_co]):
    """A stretch without a gap, of items numbered from 0 without end."""

    def begins(self, number: int) -> int:
        """When an item begins."""
        ...

    def count(self, until: int) -> int:
        """Count the items that are over by a time."""
        ...

    def item(self, number: int) -> ItemT_co:
        """Make an item."""
        ...


def whole(begins: Callable[[int], int], most: int, until: int) -> int:
    """Count the items, of ``most`` at most, that are over by a time: an item is when the next begins."""
    return bisect_right(range(most), until, key=lambda number: begins(number + 1))


class Tape(Generic[ItemT_co]):
    """Tracks in order of time, each with when it ends; the last may have no end: it grows with the clock.

    ``now`` is the recorder's clock, as of which the tape is asked.
    """

    def __init__(self, tracks: Sequence[tuple[Track[ItemT_co], int | None]]) -> None:
        self._tracks = tracks

    @cached_property
    def _firsts(self) -> tuple[int, ...]:
        """The number of each track's first item."""
        firsts = [0]
        for track, end in self._tracks[:-1]:
            assert end is not None
            firsts.append(firsts[-1] + track.count(end))
        return tuple(firsts)

    @cached_property
    def _last_count(self) -> int | None:
        """How many items the last track has, if it has an end."""
        track, end = self._tracks[-1]
        return None if end is None else track.count(end)

    @property
    def is_blank(self) -> bool:
        """Whether nothing was ever recorded on it."""
        return not self._tracks

    @property
    def last_track(self) -> int:
        """The number of the first item of the last track."""
        return self._firsts[-1]

    def count(self, now: int) -> int:
        """Count the items that there are."""
        if not self._tracks:
            return 0
        last = self._last_count
        return self._firsts[-1] + (self._tracks[-1][0].count(now) if last is None else last)

    def begins(self, number: int) -> int:
        """When an item begins, even if there is none yet."""
        index = bisect_right(self._firsts, number) - 1
        return self._tracks[index][0].begins(number - self._firsts[index])

    def item(self, number: int) -> ItemT_co:
        """Make an item."""
        index = bisect_right(self._firsts, number) - 1
        return self._tracks[index][0].item(number - self._firsts[index])

    def last_begun(self, time: int, now: int) -> int:
        """Find the last item that begins at or before a time; -1 before the first."""
        return bisect_right(range(self.count(now)), time, key=self.begins) - 1

    def holding(self, time: int, now: int) -> int:
        """Find the item that holds a time, in a gap the one behind it; at the end there may be none yet."""
        number = self.last_begun(time, now)
        return number if number >= 0 and time < self.item(number).until else number + 1

    def between(self, since: int | None, until: int | None) -> Iterator[ItemT_co]:
        """Make the items that are not over at ``since`` and begin before ``until``."""
        if until is None and self._tracks and self._tracks[-1][1] is None:
            raise ValueError("a recording that grows has no end: say until when")
        until = sys.maxsize if until is None else until
        first = 0 if since is None else self.holding(since, until)
        for number in range(first, self.count(until)):
            if self.begins(number) >= until:
                return
            yield self.item(number)
