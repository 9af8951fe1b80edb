"""How long a live stream may bring no picture, or none to begin with, before it counts as stalled."""

from __future__ import annotations

from nvrclient.errors import StreamStalledError
from nvrclient.frames import Discontinuity, StreamItem, VideoFrame
from nvrclient.live.wanted import Transport

KEYFRAME_TIME = 30.0
"""Seconds for which pictures may come without a key frame, where nobody knows how long the GOPs are; three of them
otherwise. Doubled while none comes: a stream that is started anew has to begin somewhere, too."""

INTERVALS = 3.0
"""Pictures, or GOPs, that may be missing: slow cameras are no silent ones."""

FEW = 2
"""Pictures of one START that do not tell how far apart they come, where it then fell silent."""

MAX_SLOW_TIME = 120.0
"""Seconds without a picture that a stream is allowed at most where each START brought so few."""

MAX_ONCE_QUICK = 20.0
"""The same where it has brought more before: it may be off, and the recorder give its last picture to each START."""


class Patience:
    """See the module; times are the event loop's, in seconds. ``began`` is when the stream was started."""

    def __init__(self, stall_timeout: float) -> None:
        self.began = 0.0
        self._stall_timeout = stall_timeout
        self._keyframe_at: float | None = (
            None  # when the last one was complete, if nothing was lost since
        )
        self._gop_time: float | None = None  # from it to the one before
        self._times = 1.0  # as long as usual, for a key frame
        self._slow_times = 1.0  # as long as usual, for a picture: each START brought few
        self._given = 0  # pictures, since the start
        self._waits_since: float | None = None  # for a key frame

    def start(self, now: float) -> None:
        """The stream was started."""
        self.began, self._waits_since, self._given = now, None, 0

    def give(self, item: StreamItem) -> None:
        """An item is given."""
        if isinstance(item, VideoFrame):
            self._given += 1
            if self._given > FEW:
                self._slow_times = 1.0
        if isinstance(item, Discontinuity):
            self._keyframe_at = None
        elif isinstance(item, VideoFrame) and item.keyframe:
            if self._keyframe_at is not None:
                self._gop_time = item.received_at - self._keyframe_at
            self._keyframe_at = item.received_at
            self._times = 1.0

    def wait_for_keyframe(self, now: float, *, waiting: bool) -> None:
        """Pictures have come; without a key frame they are not given."""
        if not waiting:
            self._waits_since = None
        elif self._waits_since is None:
            self._waits_since = now

    def due(self, picture_at: float | None, interval: float) -> float:
        """Return when the stream counts as stalled, if nothing changes.

        `picture_at`: when the last picture was complete, decodable or not; `interval`: seconds between two.
        """
        due = max(self.began, picture_at or 0.0) + self.stall_time(interval)
        waits_since = self._waits_since
        return due if waits_since is None else min(due, waits_since + self._keyframe_time())

    def stall_time(self, interval: float) -> float:
        """Return the seconds without a picture after which the stream counts as stalled."""
        longest = MAX_ONCE_QUICK if interval else MAX_SLOW_TIME
        slow_time = min(self._slow_times * self._stall_timeout, longest)
        return max(self._stall_timeout, slow_time, INTERVALS * interval)

    def stalled(
        self,
        camera: int,
        transport: Transport,
        now: float,
        interval: float,
        packets: int,
        *,
        first: bool,
    ) -> StreamStalledError:
        """Return what to raise. `first`: no picture was ever given."""
        what = f"live camera {camera} over {transport.upper()}"
        waits = self._waits_since
        if waits is not None and now - waits >= self._keyframe_time():
            self._times *= 2
            return StreamStalledError(
                f"{what}: pictures come, but no key frame for {now - waits:.0f} s; how long are the"
                " camera's GOPs?"
            )
        waited = self.stall_time(interval)
        if 0 < self._given <= FEW:  # perhaps the next one was still to come
            self._slow_times *= 2
        came = f"{packets} packets came" if packets else "nothing came"
        hint = ""
        if first:
            hint = (
                ". Does a firewall drop UDP to this port? Is the codec the camera's?"
                if transport == "udp"
                else ". Is the codec the camera's? A wrong one is answered by silence"
            )
        return StreamStalledError(
            f"{what}: no complete picture for {waited:g} s ({came} in all){hint}"
        )

    def _keyframe_time(self) -> float:
        usual = KEYFRAME_TIME if self._gop_time is None else INTERVALS * self._gop_time
        return self._times * max(usual, self._stall_timeout)
