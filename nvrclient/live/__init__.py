"""Live streams: what a caller iterates, and the tasks behind it."""

from nvrclient.live.stream import LiveStream

__all__ = ["LiveStream"]
