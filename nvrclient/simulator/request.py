"""The record of a request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nvrclient.simulator.answer_faults import AnswerFault

__all__ = ["Request"]


@dataclass(frozen=True, slots=True)
class Request:
    """One request that was answered; a repr hides the UID and shows whether there was one.

    ``time`` is the event loop's; ``cgi`` the bare name; ``params`` the pairs in order, raw. ``fault`` is what
    befell it by ``recorder.faults``; with a status of 0 it was neither carried out nor answered.
    """

    time: float
    cgi: str
    params: tuple[tuple[str, str], ...] = field(repr=False)
    credentials: bool
    status: int
    fault: AnswerFault | None = None

    def __repr__(self) -> str:
        shown = "&".join(f"{k}={'…' if k == 'UID' else v}" for k, v in self.params)
        carried = " with credentials" if self.credentials else ""
        befell = f" {self.fault.name}" if self.fault else ""
        return f"<Request {self.time:.3f} {self.cgi}?{shown}{carried} -> {self.status}{befell}>"
