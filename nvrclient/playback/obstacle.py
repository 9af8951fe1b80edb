"""A place in a recording that the recorder does not get past, as where its disk is bad."""

from __future__ import annotations

from datetime import datetime, timedelta

from nvrclient.errors import NVRError
from nvrclient.playback.course import Course
from nvrclient.playback.deck import Deck
from nvrclient.uids import UidGoneError

FIRST_STEP, MAX_STEPS = 2.0, 5
"""Seconds to step over it, doubled each time that is not enough; so many times at most."""

PROOFS = 2
"""Times that it has to fail here and not behind."""

ANSWERS = 3
"""Answers in a row that show that nothing is in the way."""


async def step_over(
    deck: Deck, camera: int, front: datetime, course: Course, times: int
) -> datetime | None:
    """Return where to go on behind it; None: there is none, as far as can be told.

    Nothing is given up on suspicion: a recorder that gives what is behind has to fail at `front`, twice in turn.
    """
    step = timedelta(seconds=FIRST_STEP * 2 ** min(times, MAX_STEPS))
    behind = front - step if course.motion.is_backward else front + step
    for _ in range(PROOFS):
        if not await _gives(deck, camera, behind, course, 1):
            return None
        # At `front` it may begin with what is known already: what cannot be given comes after that.
        if await _gives(deck, camera, front, course, ANSWERS):
            return None
    return behind


async def _gives(deck: Deck, camera: int, position: datetime, course: Course, count: int) -> bool:
    """Whether the recorder gives so many answers in a row from a position on; they are not taken."""
    try:
        await deck.place(position, course.motion, course.steps)
        for _ in range(count):
            await deck.video(camera)
    except (NVRError, UidGoneError):
        return False
    return True
