"""Items of a stream as lines: one JSON object each."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from nvrclient.frames import AudioFrame, StreamItem, VideoFrame


def json_line(item: StreamItem) -> str:
    """Write an item as a JSON object; ``kind`` is video, audio or discontinuity."""
    values: dict[str, Any]
    if isinstance(item, VideoFrame):
        values = {
            "kind": "video",
            "camera": item.camera,
            "codec": item.codec,
            "pts": item.pts,
            "clock_rate": item.clock_rate,
            "time": _iso(item.time),
            "size": item.size,
            "keyframe": item.keyframe,
            "shown": item.shown,
            "lost": item.lost,
        }
    elif isinstance(item, AudioFrame):
        values = {
            "kind": "audio",
            "camera": item.camera,
            "codec": item.codec,
            "pts": item.pts,
            "clock_rate": item.sample_rate,
            "channels": item.channels,
            "time": _iso(item.time),
            "size": item.size,
            "lost": item.lost,
        }
    else:
        values = {
            "kind": "discontinuity",
            "reason": item.reason,
            "since": _iso(item.since),
            "until": _iso(item.until),
            "lost": item.lost,
        }
    return json.dumps(values)


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat(timespec="milliseconds")
