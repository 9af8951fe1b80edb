"""Time: 32-bit wrapping RTP time stamps -> pts -> wall clock (RFC 3550 section 5.1; specification 2.3, 7).

Two clocks are put together. The RTP time stamp is fine (90 kHz) and says nothing of the day; the recorder's TLV
0x0007 says the day and, in live video, only whole seconds.
"""

from __future__ import annotations

from datetime import datetime, timedelta

MAX_STEP_BACK = 10.0
"""Seconds a time stamp may stand behind the one before (pictures out of order) before it is a new time line."""

MAX_STEP_AHEAD = 60.0
"""Seconds a time stamp may run ahead of the time that really passed before it is a new time line."""

MAX_DELAY = 0.25
"""Seconds by which the first picture of a time line may come late: until it is known how its pictures end."""

TICKS_REMEMBERED = 64
"""Seconds of the recorder's clock over which the best estimate is kept: long against a picture interval, short
against the drift of two quartz clocks (64 s x 100 ppm = 6 ms)."""

CLOCK_SET = 2.0
"""A recorder's clock this many seconds off the estimate has been set: the estimate follows it, back too."""


class Timeline:
    """Turns the wrapping time stamps of one stream into pts: 0 at first, strictly rising for its whole life.

    A new sender, a jump of the time stamp and an outage do not restart it: the time that passed on the monotonic
    clock is added instead.
    """

    __slots__ = (
        "_arrived",
        "_base",
        "_last_pts",
        "_origin",
        "_restart",
        "_timestamp",
        "clock_rate",
    )

    def __init__(self, clock_rate: int) -> None:
        self.clock_rate = clock_rate
        self._timestamp = 0  # the newest time stamp, wrapped
        self._base = 0  # its place on the unwrapped line
        self._last_pts = -1
        self._arrived = 0.0
        self._origin = 0.0  # when pts was 0, as the first picture of the time line at hand says
        self._restart = True

    def restart(self) -> None:
        """The next time stamp belongs to another clock: go on from the time of its arrival."""
        self._restart = True

    def pts(self, timestamp: int, arrived: float) -> int:
        """Return the pts of a picture with `timestamp` that came at monotonic time `arrived`."""
        delta = (timestamp - self._timestamp) & 0xFFFFFFFF
        if delta >= 0x80000000:
            delta -= 0x100000000
        elapsed = arrived - self._arrived
        seconds = delta / self.clock_rate
        if not self._restart and -MAX_STEP_BACK <= seconds <= elapsed + MAX_STEP_AHEAD:
            pts = self._base + delta
        elif self._last_pts < 0:
            pts = delta = 0
            self._origin = arrived
        else:
            # From one first picture to the next: both come as late, so that no delay adds up over many breaks.
            by_origin = round((arrived - self._origin) * self.clock_rate)
            pts = self._last_pts + max(1, round(elapsed * self.clock_rate))
            if abs(by_origin - pts) <= MAX_DELAY * self.clock_rate:
                pts = max(by_origin, self._last_pts + 1)
            self._origin = arrived - pts / self.clock_rate
            delta = 0
        self._restart = False
        if delta >= 0:  # else out of order: the newest time stamp stays where it is on the line
            self._timestamp, self._base = timestamp, pts
        pts = max(pts, self._last_pts + 1)
        self._last_pts = pts
        self._arrived = arrived
        return pts


class WallClock:
    """Estimates the recorder's time of each picture from whole seconds now and then, and pts.

    At a picture of pts p with second s the true offset between the clocks lies in [s - p, s + 1 - p): the largest
    lower bound of the last minute is the estimate. It is exact to one picture interval once a second has changed.
    The estimate never runs backwards, unless the recorder's clock has been set back.
    """

    __slots__ = ("_bound", "_count", "_last", "_previous_bound", "_set_to", "_zone_time")

    def __init__(self) -> None:
        self._bound: float | None = None  # of the window at hand
        self._previous_bound: float | None = None  # of the window before it
        self._set_to: float | None = None  # a bound far off the estimate, told once
        self._count = 0
        self._last = 0.0
        self._zone_time: datetime | None = None

    def tell(self, told: datetime, seconds: float, *, exact: bool) -> None:
        """The recorder says that it was `told` at `seconds` of pts; `exact` with hundredths (TLV 0x000A)."""
        bound = told.timestamp() - seconds
        held = self._held()
        if held is None or not -(CLOCK_SET + (0.0 if exact else 1.0)) < bound - held < CLOCK_SET:
            # A clock that was set says so again with the next picture; a single stray value does not.
            if held is not None and (self._set_to is None or abs(bound - self._set_to) > CLOCK_SET):
                self._set_to = bound
                return
            self._bound, self._previous_bound, self._count = bound, None, 0
            self._last = 0.0
            self._set_to = None
            self._zone_time = told
            return
        self._set_to = None
        self._zone_time = told
        if exact:
            self._bound, self._previous_bound = bound, None
            return
        self._count += 1
        if self._count >= TICKS_REMEMBERED:
            self._previous_bound, self._bound, self._count = self._bound, bound, 0
        elif self._bound is None or bound > self._bound:
            self._bound = bound

    def time(self, seconds: float) -> datetime | None:
        """Return the recorder's time at `seconds` of pts, or None while the recorder has told none."""
        held = self._held()
        if held is None or self._zone_time is None:
            return None
        self._last = max(self._last, held + seconds)
        return self._zone_time + timedelta(seconds=self._last - self._zone_time.timestamp())

    def _held(self) -> float | None:
        if self._bound is None or self._previous_bound is None:
            return self._bound
        return max(self._bound, self._previous_bound)
