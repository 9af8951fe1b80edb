"""How a playback moves through the recording."""

from __future__ import annotations

from enum import Enum


class Motion(Enum):
    """The direction and kind of a playback's movement; the value is its name in ``Playback.state``."""

    FORWARD = "playing"
    REVERSE = "reverse"
    FAST_FORWARD = "fast forward"
    FAST_REVERSE = "fast reverse"

    @property
    def is_backward(self) -> bool:
        """Whether GOPs come in descending order."""
        return self in {Motion.REVERSE, Motion.FAST_REVERSE}

    @property
    def is_fast(self) -> bool:
        """Whether the recorder leaves GOPs out."""
        return self in {Motion.FAST_FORWARD, Motion.FAST_REVERSE}
