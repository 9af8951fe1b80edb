"""The outages of a playback: from what broke it to the first picture afterwards."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from datetime import datetime

from nvrclient.frames import Discontinuity

logger = logging.getLogger("nvrclient.playback")

FIRST_BACKOFF, MAX_BACKOFF = 1.0, 15.0
"""Seconds between tries to go on after a break, doubled each time, with jitter."""

LONG_AGO = 60.0
"""Seconds after which a break has nothing to do with the one before."""

START_UP = 120.0
"""Seconds from its beginning for which a refusal may come of a recorder that is starting up."""


class Outage:
    """See the module.

    ``told`` is for the caller at once, before whatever is queued. ``is_on`` from `begin` to `end`, ``count`` is how often
    it began. ``breaks`` counts what broke without anything new in between, ``stuck`` those of them at which the recorder
    had just been brought to its place, ``uids_gone`` UIDs lost without an answer.
    """

    def __init__(self, name: str) -> None:
        self.told: deque[Discontinuity] = deque()
        self.is_on = False
        self.count = 0
        self.breaks = 0
        self.stuck = 0
        self.uids_gone = 0
        self._name = name
        self._since: datetime | None = None
        self._broke_at = 0.0
        self._began_at = 0.0

    def begin(self, error: Exception, since: datetime | None) -> None:
        """Tell that it broke at `since`, in recorded time, by this error; once until it is over."""
        if self.is_on:
            return
        logger.warning("%s: %s; going on where it was", self._name, str(error) or "its UID is gone")
        self.is_on = True
        self._began_at = asyncio.get_running_loop().time()
        self.count += 1
        self._since = since
        self.told.append(Discontinuity("reconnect", since=since))

    @property
    def is_young(self) -> bool:
        """Whether the recorder may be starting up, and refuse what it will take in a minute."""
        return self.is_on and asyncio.get_running_loop().time() - self._began_at < START_UP

    def end(self, until: datetime | None) -> Discontinuity:
        """Return what is told before the first picture after it, which is of `until`."""
        self.is_on = False
        return Discontinuity("reconnect", self._since, until)

    def answered(self) -> None:
        """The recorder gave an answer on its UID."""
        self.uids_gone = 0

    def progressed(self) -> None:
        """It gave something new."""
        self.breaks = self.stuck = 0

    async def back_off(self) -> None:
        """Wait before the next try: not at all after the first break, longer each time."""
        now = asyncio.get_running_loop().time()
        if not self.is_on and now - self._broke_at > LONG_AGO:
            self.breaks = self.stuck = 0
        self._broke_at = now
        if self.breaks:
            backoff = min(FIRST_BACKOFF * 2 ** min(self.breaks - 1, 9), MAX_BACKOFF)
            await asyncio.sleep(backoff * random.uniform(0.5, 1.0))  # noqa: S311  jitter
