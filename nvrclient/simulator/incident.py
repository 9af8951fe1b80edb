"""One thing that happened to a recorder: an entry of ``recorder.faults.log``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nvrclient.simulator.answer_faults import AnswerRule

__all__ = ["Incident"]


@dataclass(slots=True, eq=False)
class Incident:
    """One thing that happened.

    | field | meaning |
    |---|---|
    | kind | the method, or the name of the fault given to it |
    | began, ended | the loop's time; ``ended`` is None while it lasts |
    | cameras | whose streams it interrupts; empty where none need be |
    | uids | the numbers of the UIDs it ended |
    | can_be_healed | False of a reboot, which takes its time |
    | rule | of ``spoil()`` and its like: counts ``hits`` |
    """

    kind: str
    began: float
    cameras: frozenset[int] = frozenset()
    uids: tuple[int, ...] = ()
    ended: float | None = None
    rule: AnswerRule | None = None
    can_be_healed: bool = field(default=True, repr=False)
    _undo: Callable[[], None] = field(default=lambda: None, repr=False)
    _ended: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    _timer: asyncio.TimerHandle | None = field(default=None, repr=False)

    def heal(self) -> None:
        """End it now. Ending it twice does nothing, nor does ending what cannot be healed."""
        if self.ended is None and self.can_be_healed:
            self._undo()
            self.finish()

    def heal_after(self, seconds: float) -> None:
        """Heal it later, if it lasts so long."""
        self._timer = asyncio.get_running_loop().call_later(seconds, self.heal)

    def finish(self) -> None:
        """Note that it is over."""
        if self.ended is None:
            self.ended = asyncio.get_running_loop().time()
            self._ended.set()
        if self._timer is not None:
            self._timer.cancel()

    async def over(self) -> None:
        """Wait until it is over. Cancelling the wait leaves it as it is."""
        await self._ended.wait()
