"""A TIME on the command line: ISO 8601, a time of today, or so much before now."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta

from nvrclient.cli.exits import USAGE, fail

_BEFORE_NOW = re.compile(r"-(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)


def read_time(option: str, text: str | None, now: datetime) -> datetime | None:
    """Read a TIME; exit where it is none."""
    if text is None:
        return None
    try:
        relative = _BEFORE_NOW.fullmatch(text)
        if relative is not None and len(text) > 1:
            days, hours, minutes, seconds = (int(part or 0) for part in relative.groups())
            return now - timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        if re.match(r"\d\d:", text):
            when = datetime.combine(now.astimezone().date(), time.fromisoformat(text))
        else:
            when = datetime.fromisoformat(text)
        return when if when.tzinfo is not None else when.astimezone()
    except (ValueError, OverflowError):
        fail(
            f"{option}: a time such as 2026-01-31T14:30:00+09:00, 14:30 or -10m, not {text!r}",
            USAGE,
        )
