"""Playback of recordings (specification chapter 3)."""
