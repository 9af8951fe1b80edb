"""Audio that comes before the first picture: given behind it, since a stream begins with a picture."""

from __future__ import annotations

from collections import deque

from nvrclient.frames import AudioFrame

MAX_PIECES = 512
"""Pieces of audio held back: ten seconds of AAC."""


class EarlyAudio:
    """Holds pieces of audio back, at most `MAX_PIECES`; ``dropped`` counts the older ones."""

    def __init__(self) -> None:
        self.dropped = 0
        self._pieces: deque[AudioFrame] = deque()

    def hold(self, piece: AudioFrame) -> None:
        """Hold a piece; the oldest goes where there are too many."""
        self._pieces.append(piece)
        if len(self._pieces) > MAX_PIECES:
            self._pieces.popleft()
            self.dropped += 1

    def take(self) -> list[AudioFrame]:
        """Return what was held back, in order, and hold it no more."""
        pieces = list(self._pieces)
        self._pieces.clear()
        return pieces

    def drop(self) -> None:
        """Drop what is held: the try that brought it gave no picture."""
        self.dropped += len(self._pieces)
        self._pieces.clear()
