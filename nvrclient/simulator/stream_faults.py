"""What can ail a live stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

__all__ = ["StreamFault", "Trouble"]


class StreamFault(Enum):
    """What happens to a live stream. A picture that is made and not sent takes its sequence numbers with it."""

    SILENCE = "no bytes"
    BOUNDARIES = "only lines of delimiters; over UDP packets without payload"
    EMPTY_PARTS = "only parts without a body; over UDP packets without payload"
    NO_KEYFRAMES = "every key picture is lost whole, the others are sent"
    FLOOD = "pictures at the rate given, whatever the clip's"
    FIN = "the response ends in order; over UDP nothing more comes, as with all that follow"
    RST = "the connection is reset"
    CUT = "half of a part, then the response's connection is closed"
    CUT_RST = "half of a part, then the connection is reset"

    @property
    def ends_it(self) -> bool:
        """Whether the stream is over after it."""
        return self in _ENDS


_ENDS = frozenset({StreamFault.FIN, StreamFault.RST, StreamFault.CUT, StreamFault.CUT_RST})


@dataclass(slots=True)
class Trouble:
    """What ails one stream: after so many ``pictures`` more, and while ``lasts()``."""

    kind: StreamFault
    pictures: int = 0
    rate: float = 1000.0
    lasts: Callable[[], bool] = field(default=lambda: True, repr=False)
    over: Callable[[], None] = field(default=lambda: None, repr=False)
