"""What has come of a stream: rates over the last seconds, and counts."""

from __future__ import annotations

from collections import deque

from nvrclient.frames import AudioFrame, StreamItem, VideoFrame

WINDOW = 3.0
"""Seconds that rates are taken over: longer than the usual GOP, or the rate would swing with the key frames."""


class Meter:
    """Counts the items of one stream."""

    def __init__(self) -> None:
        self.pictures = 0
        self.sounds = 0
        self.bytes = 0
        self.first: VideoFrame | None = None
        self.last: VideoFrame | None = None
        self._recent: deque[tuple[float, int]] = deque()

    def take(self, item: StreamItem, now: float | None = None) -> None:
        """Count one item; its picture came at `now`, where not when it was received."""
        if isinstance(item, AudioFrame):
            self.sounds += 1
        elif isinstance(item, VideoFrame):
            self.pictures += 1
            self.bytes += item.size
            self.first = self.first or item
            self.last = item
            came = item.received_at if now is None else now
            self._recent.append((came, item.size))
            while self._recent[0][0] < came - WINDOW:
                self._recent.popleft()

    def rates(self, now: float) -> tuple[float, float]:
        """Return pictures and bits a second over the last seconds before `now`, by the monotonic clock."""
        recent = [arrival for arrival in self._recent if arrival[0] >= now - WINDOW]
        seconds = recent[-1][0] - recent[0][0] if recent else 0.0
        if seconds <= 0:
            return 0.0, 0.0
        return (len(recent) - 1) / seconds, 8 * sum([size for _, size in recent[1:]]) / seconds

    def averages(self) -> tuple[float, float]:
        """Return pictures and bits a second over all that came."""
        if self.first is None or self.last is None:
            return 0.0, 0.0
        seconds = self.last.received_at - self.first.received_at
        if seconds <= 0:
            return 0.0, 0.0
        return (self.pictures - 1) / seconds, 8 * (self.bytes - self.first.size) / seconds
