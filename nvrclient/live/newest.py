"""The newest GOP of a live stream, held for those who join later: they have a picture at once."""

from __future__ import annotations

from nvrclient.frames import VideoFrame

MAX_BYTES = 16 << 20
"""Bytes held; of a GOP that is larger nothing is."""


class NewestGop:
    """``frames`` since the newest key frame, in the order they came."""

    def __init__(self) -> None:
        self.frames: list[VideoFrame] = []
        self._bytes = 0

    def hold(self, frame: VideoFrame) -> None:
        """Take a frame that is given to those who watch now."""
        if frame.keyframe:
            self.clear()
        self._bytes += frame.size
        if (frame.keyframe or self.frames) and self._bytes <= MAX_BYTES:
            self.frames.append(frame)
        else:
            self.frames.clear()

    def clear(self) -> None:
        """What comes next does not go on from it."""
        self.frames.clear()
        self._bytes = 0
