"""Times as commands take them: UTC, two digits of year (specification 3.2.5, 6.3.2)."""

from __future__ import annotations

from datetime import UTC, datetime

FIRST_YEAR = 2000
"""yy counts from here; the specification ends at 2035, and a later year is sent all the same."""


def in_utc(when: datetime) -> datetime:
    """Return a time in UTC. Raises ValueError for one without a zone, and for a year that two digits cannot say."""
    if when.tzinfo is None or when.utcoffset() is None:
        raise ValueError(
            f"{when.isoformat()} has no time zone; give it one: when.astimezone() for this computer's,"
            ' when.replace(tzinfo=ZoneInfo("Europe/Rome")) for another'
        )
    near = FIRST_YEAR - 1 <= when.year <= FIRST_YEAR + 100
    utc = when.astimezone(UTC) if near else when  # the last hours of all years have no time in UTC
    if not FIRST_YEAR <= utc.year < FIRST_YEAR + 100:
        raise ValueError(
            f"{when.isoformat()}: a recorder is asked for {FIRST_YEAR}…{FIRST_YEAR + 99}"
        )
    return utc
