"""Playback of recordings: what a caller steers and iterates, and the tasks behind it (specification chapter 3)."""

from nvrclient.playback.playback import Playback

__all__ = ["Playback"]
