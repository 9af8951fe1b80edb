"""Steps from picture to picture, in pause (3.1.4).

A GOP is asked for only when the pictures of the one at hand are used up, in both directions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from nvrclient.connection import Connection
from nvrclient.errors import NoRecordingError
from nvrclient.frames import VideoFrame
from nvrclient.playback.deck import Deck
from nvrclient.playback.fetcher import Fetcher
from nvrclient.playback.lane import Lane

SEARCH = (2, 10, 60)
"""Seconds before the picture shown from which the recorder is read forward, where it does not step back by itself."""


class Stepper:
    """See the module.

    ``shown_lane`` is the lane of the picture given last, as long as it is in the GOP at hand there. ``again`` counts
    pictures that are given again. `given` is called for each picture that is given.
    """

    def __init__(
        self,
        connection: Connection,
        deck: Deck,
        fetcher: Fetcher,
        lanes: Sequence[Lane],
        given: Callable[[Lane, VideoFrame], None],
    ) -> None:
        self.shown_lane: Lane | None = None
        self.again = 0
        self._connection = connection
        self._deck = deck
        self._fetcher = fetcher
        self._lanes = lanes
        self._given = given

    async def forward(self, position: datetime) -> VideoFrame:
        """Return the picture shown after the one at `position`. Raises NoRecordingError behind the last."""
        await self._deck.step(position, forward=True)
        for lane in self._lanes:
            if lane.next_shown(position) is None and True not in lane.exhausted:
                await self._fetch_after(lane, position)
        following = [
            (frame.time, lane)
            for lane in self._lanes
            if (frame := lane.next_shown(position)) and frame.time
        ]
        if not following:
            raise NoRecordingError(f"{self._deck}: no picture after {position.isoformat()}")
        lane = min(following, key=lambda one: one[0])[1]
        frame = replace(lane.step_forward(position), shown=True)
        self._given(lane, frame)
        return frame

    async def back(self, position: datetime) -> VideoFrame:
        """Return the picture shown before the one at `position`. Raises NoRecordingError before the first."""
        await self._deck.step(position, forward=False)
        for lane in self._lanes:
            before_it = lane.shown_before(but_one=lane is self.shown_lane)
            if before_it is None and False not in lane.exhausted:
                await self._fetch_before(lane, position)
        before: list[tuple[datetime, Lane, int]] = []
        for lane in self._lanes:
            index = lane.shown_before(but_one=lane is self.shown_lane)
            if index is not None and lane.hand is not None:
                before.append((lane.hand.gop.frames[index].time or position, lane, index))
        if not before:
            raise NoRecordingError(f"{self._deck}: no picture before {position.isoformat()}")
        if self.shown_lane is not None:
            last = self.shown_lane.shown_before(but_one=False)
            self.again += self.shown_lane.go_back(last)
        _, lane, index = max(before, key=lambda one: one[0])
        self.again += lane.go_back(index + 1) + 1
        assert lane.hand is not None
        frame = replace(lane.hand.gop.frames[index], shown=True)
        self._given(lane, frame)
        return frame

    async def _fetch_after(self, lane: Lane, position: datetime) -> None:
        """Fetch the next GOP with a picture to show, if there is one."""
        lane.aim_step(position, forward=True, now=self._connection.loop.time())
        await self.ask(lane, lambda: lane.next_shown(position) is not None)
        if lane.next_shown(position) is None or lane.found_over_gap() is not None:
            # Perhaps the recorder repeats itself, or leaves out what it thinks was given, until told where it is.
            lane.aim_step(position, forward=True, now=self._connection.loop.time())
            await self._fetcher.place_forward(position)
            await self.ask(lane, lambda: lane.next_shown(position) is not None)
            await self._deck.pause(position)
        if lane.next_shown(position) is None:
            lane.exhausted.add(True)

    async def _fetch_before(self, lane: Lane, position: datetime) -> None:
        """Fetch the GOP before the one at hand, if there is one, and take it in hand at its end."""
        limit = lane.first_shown() or position
        lane.aim_step(position, forward=False, now=self._connection.loop.time())
        await self.ask(lane, lambda: lane.comes_before(limit))
        beginnings: list[datetime] = []
        if not lane.comes_before(limit):
            beginnings = [position - timedelta(seconds=seconds) for seconds in SEARCH]
        elif (found := lane.found_over_gap()) is not None:
            beginnings = [found]  # perhaps the recorder left out what it thinks was given
        for beginning in beginnings:
            lane.aim_search(self._connection.loop.time())
            await self._fetcher.place_forward(beginning)
            await self.ask(lane, lambda: lane.reaches(limit))
            lane.drop_from(limit)
            await self._deck.pause(position)
            if lane.comes_before(limit):
                break
        if lane.comes_before(limit):
            self.again -= lane.take_in_hand(limit)
            if lane is self.shown_lane:
                self.shown_lane = None  # the picture shown now is behind the GOP at hand
        else:
            lane.exhausted.add(False)

    async def ask(self, lane: Lane, is_enough: Callable[[], bool]) -> None:
        """Ask for GOPs until there is enough, or the recorder has no more."""
        while not is_enough() and not lane.is_over:
            await asyncio.sleep(max(0.0, lane.retry_at - self._connection.loop.time()))
            await self._fetcher.fetch_video(lane)
