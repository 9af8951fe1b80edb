"""When a picture is due: pictures are given at the pace of their times."""

from __future__ import annotations

from datetime import datetime

LATE = 1.0
"""Seconds by which a consumer may be behind and still catch up; later the pace goes on from where it is."""


class Pacer:
    """Paces at `speed` times the recording's; None gives everything at once."""

    def __init__(self, speed: float | None) -> None:
        self.speed = speed
        self._anchor: tuple[datetime, float] | None = (
            None  # a time of the recording, and when it was due
        )
        self._last: tuple[datetime, float] | None = None

    def restart(self) -> None:
        """What comes next is due at once."""
        self._anchor = self._last = None

    def due(self, time: datetime, now: float, *, jump: bool, interval: float) -> float:
        """Return when what was recorded at `time` is due, on the monotonic clock; `now` where it is late.

        `jump`: time does not go on from what came before; then it follows after one `interval` of pictures.
        """
        if self.speed is None:
            return now
        if self._anchor is None:
            return now
        if jump and self._last is not None:
            return max(now, self._last[1] + interval / self.speed)
        return max(now, self._at(time, self._anchor))

    def given(self, time: datetime, now: float, *, jump: bool, interval: float) -> None:
        """What was recorded at `time` is given now."""
        if self.speed is None:
            return
        if self._anchor is None or jump:
            due = now
            if jump and self._last is not None:
                due = max(self._last[1] + interval / self.speed, now - LATE)
            self._anchor = time, due
        else:
            due = self._at(time, self._anchor)
            if now - due > LATE:
                due = now
                self._anchor = time, now
        self._last = time, due

    def _at(self, time: datetime, anchor: tuple[datetime, float]) -> float:
        assert self.speed is not None
        return anchor[1] + (time - anchor[0]).total_seconds() / self.speed
