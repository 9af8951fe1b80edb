"""Logging in: what is said to credentials, and the UIDs that dlogin.cgi issues (sections 1.3, 6.1.1)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nvrclient.simulator.digest import DigestGuard, Verdict
from nvrclient.simulator.http_server import Answer

if TYPE_CHECKING:
    from nvrclient.simulator.http_server import HttpRequest
    from nvrclient.simulator.readings import Readings
    from nvrclient.simulator.uids import UidTable

__all__ = ["LoginDesk"]


@dataclass(slots=True)
class LoginDesk:
    """Judges credentials and logs in. ``violations`` are put on record there.

    ``busy`` is the number of logins to be answered 503, ``locked`` locks the account whatever was sent.
    """

    guard: DigestGuard
    uids: UidTable
    max_uids: int
    readings: Readings
    violations: list[str]
    credentials: int = 0
    wrong_credentials: int = 0
    busy: int = 0
    locked: bool = False
    times: list[float] = field(default_factory=list[float])

    @property
    def is_locked(self) -> bool:
        """Whether the account is locked, by a fault or by too many wrong credentials."""
        limit = self.readings.lock_after
        return self.locked or (limit is not None and self.wrong_credentials >= limit)

    def judge(self, request: HttpRequest, *, login: bool) -> Answer | None:
        """Judge the credentials of a request: the refusal, or None where it may go on."""
        required = login or self.readings.challenge_commands
        authorization = request.headers.get("authorization")
        if authorization is None:
            return self.unauthorized() if required else None
        self.credentials += 1
        now = asyncio.get_running_loop().time()
        verdict = self.guard.judge(authorization, request.method, request.target, now)
        if verdict is Verdict.WRONG:
            self.wrong_credentials += 1
        elif verdict is Verdict.REPLAYED:
            self.violations.append("a pair of nonce and nonce count was used twice")
        if not (login or self.uids.issued):
            self.violations.append("a credential was sent before dlogin.cgi had accepted one")
        if not required or (verdict is Verdict.ACCEPTED and not self.is_locked):
            return None
        return self.unauthorized(stale=verdict is Verdict.STALE)

    def unauthorized(self, *, challenge: bool = True, stale: bool = False) -> Answer:
        """Answer 401."""
        if not challenge:
            return Answer(401)
        header = self.guard.challenge(asyncio.get_running_loop().time(), stale=stale)
        return Answer(401, headers=(f"WWW-Authenticate: {header}",))

    def log_in(self) -> Answer:
        """Issue a UID, unless the recorder is busy or full."""
        full = len(self.uids) >= self.max_uids
        if self.busy or (full and self.readings.full_is_busy):
            self.busy = max(self.busy - 1, 0)
            return Answer(503)
        if full:
            self.uids.drop(next(iter(self.uids)))
        uid = self.uids.issue()
        self.times.append(asyncio.get_running_loop().time())
        page = (
            "<html><head><title>Network disk recorder</title></head>\r\n"
            "<!-- /cgi-bin/dlogin.cgi?UID=-1 -->\r\n<frameset>"
            f'<frame src="./hdrctl.cgi?UID={uid.value}&HTML=live.html"></frameset></html>\r\n'
        )
        return Answer(200, page.encode("ascii"), "text/html")
