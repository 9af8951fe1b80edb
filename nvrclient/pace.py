"""How often a recorder may be asked (1.3: at least 3 s between commands that ask or start over and over)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from nvrclient.tasks import Tasks

_T = TypeVar("_T")

CONTROL_INTERVAL = 0.2
"""Seconds between two commands of camera control on one UID (1.3, 4.1), from the answer to one to the next."""

CONTROL_PATIENCE = 0.3
"""Seconds after which a command of camera control is not waited for any more before the next one on its UID."""

KEPT = 60.0
"""Seconds for which it is remembered when a START was sent."""


class Pace:
    """Spaces commands of one kind `interval` seconds apart."""

    def __init__(self, tasks: Tasks, interval: float) -> None:
        self._tasks = tasks
        self._interval = interval
        self._loop = asyncio.get_running_loop()
        self._asked_at: dict[str, float] = {}
        self._answers: dict[str, asyncio.Task[Any]] = {}  # under way
        self._started: dict[tuple[int, int, str], float] = {}  # when a START was last sent
        self._control: dict[int, _ControlTurns] = {}  # by UID

    async def inform(self, kind: str, ask: Callable[[], Awaitable[_T]]) -> _T:
        """Ask for information; callers that ask for the same kind while it is under way share its answer."""
        running = self._answers.get(kind)
        if running is None:

            async def paced() -> _T:
                asked_at = self._asked_at.get(kind)
                if asked_at is not None:
                    await asyncio.sleep(max(0.0, asked_at + self._interval - self._loop.time()))
                self._asked_at[kind] = self._loop.time()
                try:
                    return await ask()
                finally:  # a login may have come first: only now is it known to have gone out
                    self._asked_at[kind] = self._loop.time()

            oldest = self._loop.time() - self._interval
            for old in [key for key, when in self._asked_at.items() if when < oldest]:
                del self._asked_at[old]
            running = self._answers[kind] = self._tasks.spawn(paced(), "information command")
            running.add_done_callback(lambda _task: self._answers.pop(kind, None))
        answer: _T = await self._tasks.result(running)
        return answer

    async def start(self, uid_number: int, camera: int, comp: str) -> None:
        """Wait until a START of this UID, camera and COMP may be sent."""
        now = self._loop.time()
        for old in [key for key, when in self._started.items() if when < now - KEPT]:
            del self._started[old]
        last = self._started.get((uid_number, camera, comp))
        if last is not None:
            await asyncio.sleep(last + self._interval - now)

    def started(self, uid_number: int, camera: int, comp: str) -> None:
        """It goes out now."""
        self._started[uid_number, camera, comp] = self._loop.time()

    async def control(self, uid_number: int) -> Callable[[], None]:
        """Wait until a command of camera control may be sent on this UID, whatever the camera: first come, first served.

        Returns what to call when it is answered.
        """
        now = self._loop.time()
        for old in [key for key, turns in self._control.items() if turns.idle_at(now)]:
            del self._control[old]
        return await self._control.setdefault(uid_number, _ControlTurns()).take(self._loop)


class _ControlTurns:
    """The commands of camera control on one UID take turns.

    How long a connection takes to set up is not known beforehand: only an answer tells that a command was there.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._free_at = 0.0

    def idle_at(self, now: float) -> bool:
        return not self._lock.locked() and now > self._free_at

    async def take(self, loop: asyncio.AbstractEventLoop) -> Callable[[], None]:
        await self._lock.acquire()
        try:
            await asyncio.sleep(max(0.0, self._free_at - loop.time()))
        except BaseException:
            self._lock.release()
            raise
        ended = False

        def end() -> None:
            nonlocal ended
            if not ended:
                ended = True
                waiting.cancel()
                self._free_at = loop.time() + CONTROL_INTERVAL
                self._lock.release()

        waiting = loop.call_later(CONTROL_PATIENCE, end)
        return end


RELOGIN_INTERVAL = 5.0
"""Seconds between logins for UIDs that are lost again and again; one that had lived so long is replaced at once."""

SETTLED, YOUNG = 60.0, 2
"""Seconds after which a UID is no longer young; past so many in a row that replace lost ones and are lost young, the
interval doubles up to `MAX_REFUSAL`: clients that throw each other out must not do it at every turn."""

FIRST_REFUSAL, MAX_REFUSAL = 5.0, 15.0
"""Seconds to the next login in the background after one was refused, doubled each time."""


class LoginPace:
    """When the next login may go out; times are the event loop's."""

    def __init__(self) -> None:
        self._again = False  # UIDs were lost since the last login
        self._owed = 0  # logins that may go out at once: UIDs lost that had lived
        self._young = (
            0  # UIDs in a row that replaced lost ones and were lost before they had settled
        )
        self._last: float | None = None  # when UIDs lost were last replaced
        self._refusals = 0
        self._refused_until = 0.0

    def lost(self, lived: float, *, replaced: bool = False) -> None:
        """A UID was lost that had lived for so many seconds; `replaced`: it stood in for one that was lost before."""
        if lived >= SETTLED:
            self._young = 0
        else:
            self._young += replaced
        self._again = True
        if lived >= RELOGIN_INTERVAL:
            self._owed += 1

    def wait(self, now: float, *, patient: bool) -> float:
        """Return the seconds until a login may go out; whoever is not `patient` would rather be refused."""
        at = self._refused_until if patient else now
        if self._again and self._last is not None:
            if self._young > YOUNG:
                doubled = RELOGIN_INTERVAL * 2.0 ** min(self._young - YOUNG, 8)
                at = max(at, self._last + min(doubled, MAX_REFUSAL))
            elif not self._owed:
                at = max(at, self._last + RELOGIN_INTERVAL)
        return at - now

    def begin(self, now: float) -> bool:
        """A login goes out; return whether it replaces a UID that was lost."""
        if self._again:
            self._last = now
        return self._again

    def issued(self, now: float) -> None:
        """It brought a UID."""
        self._owed = max(0, self._owed - 1)
        self._again = self._owed > 0
        self._refusals = 0
        self._refused_until = now

    def refused(self, now: float) -> None:
        """The recorder had none free, or answered what makes no sense."""
        wait = min(FIRST_REFUSAL * 2.0**self._refusals, MAX_REFUSAL)
        self._refused_until = now + wait * random.uniform(0.8, 1.0)  # noqa: S311  jitter
        self._refusals += wait < MAX_REFUSAL
