"""A place in a recording that the recorder does not get past, as where its disk is bad."""

from __future__ import annotations

from datetime import datetime, timedelta

from nvrclient.errors import NVRError
from nvrclient.playback.course import Course
from nvrclient.playback.deck import Deck
from nvrclient.uids import UidGoneError

FIRST_STEP, MAX_STEPS = 2.0, 5
"""Seconds to step over it, doubled each time that is not enough; so many times at most."""

PATIENT_TIMES = 8
"""Tries, some two minutes, before the other cameras go on without one that only it is in the way of."""

PROOFS = 2
"""Times that the recorder has to fail here and not elsewhere."""

ANSWERS = 3
"""Answers in a row that show that nothing is in the way."""


class Obstacle:
    """What may be in the way of `camera` at `front`.

    Nothing is given up on suspicion: a recorder that gives something else has to fail here, twice in turn. What it
    answers is not taken.
    """

    def __init__(self, deck: Deck, course: Course, camera: int, front: datetime) -> None:
        self._deck = deck
        self._course = course
        self._camera = camera
        self._front = front

    async def end(self, times: int) -> datetime | None:
        """Return where to go on behind it, further each of so many times; None: there is none, as far as can be told.

        After `PATIENT_TIMES` that there is nothing behind it will do: the recording ends with it.
        """
        step = timedelta(seconds=FIRST_STEP * 2 ** min(times, MAX_STEPS))
        behind = self._front - step if self._course.motion.is_backward else self._front + step
        will_do = times >= PATIENT_TIMES
        return behind if await self._is_proved(self._camera, behind, or_nothing=will_do) else None

    async def is_passed_by(self, other: int) -> bool:
        """Whether it is in the way of this camera, and not of another."""
        return await self._is_proved(other, self._front)

    async def _is_proved(
        self, camera: int, position: datetime, *, or_nothing: bool = False
    ) -> bool:
        for _ in range(PROOFS):
            if not await self._gives(camera, position, 1, or_nothing=or_nothing):
                return False
            # At `front` it may begin with what is known already: what cannot be given comes after that.
            if await self._gives(self._camera, self._front, ANSWERS, or_nothing=True):
                return False
        return True

    async def _gives(
        self, camera: int, position: datetime, count: int, *, or_nothing: bool
    ) -> bool:
        """Whether the recorder gives so many answers in a row from a position on, `or_nothing` is there."""
        try:
            await self._deck.place(position, self._course.motion, self._course.steps)
            for _ in range(count):
                if not ((await self._deck.video(camera)).body or or_nothing):
                    return False
        except (NVRError, UidGoneError):
            return False
        return True
