"""Where a playback is and where it goes: what the caller asked for last, and the picture given last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from nvrclient.frames import VideoFrame
from nvrclient.playback.motion import Motion


@dataclass(slots=True)
class Course:
    """See the module. `at`: where it was sent, None: where the recorder begins; `end`: where it ends, if anywhere."""

    at: datetime | None
    end: datetime | None
    motion: Motion = Motion.FORWARD
    steps: int = 1  # of fast motion
    shown: VideoFrame | None = (
        None  # the picture given last of those to show, since it was sent there
    )

    @property
    def position(self) -> datetime | None:
        """The time of the picture shown now, or the time it was sent to; None where the recorder begins."""
        return self.shown.time if self.shown is not None else self.at
