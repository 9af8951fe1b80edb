"""What a session counts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SessionStats:
    """What a session has done so far.

    ``logins`` (UIDs obtained), ``relogins`` (of these, after a UID was lost), ``credentials_sent``,
    ``keepalives`` (answered), ``keepalives_failed``, ``commands`` (sent), ``uids`` (held now),
    ``uids_lost``, ``streams`` (open now), ``loop_lag_max`` (the most seconds by which the event loop was late, which is
    how long something blocked it: past about 25 s keep-alives come too late).
    """

    logins: int = 0
    relogins: int = 0
    credentials_sent: int = 0
    keepalives: int = 0
    keepalives_failed: int = 0
    commands: int = 0
    uids: int = 0
    uids_lost: int = 0
    streams: int = 0
    loop_lag_max: float = 0.0
