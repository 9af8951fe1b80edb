"""What can befall an answer, or the request before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from nvrclient.simulator.http_server import Answer, Ending, EndlessAnswer, Spoiled

if TYPE_CHECKING:
    from random import Random

__all__ = ["AnswerFault", "AnswerRule"]

GARBAGE = b"\0\xff<html>\r\n=&=\x1b[31m--myboundary\r\nUID=\r\n"


class AnswerFault(Enum):
    """What befalls a request. The first five are never carried out, the others are."""

    STATUS = "answered with the status given"
    CUT_FIN = "not answered: the connection closes"
    CUT_RST = "not answered: the connection is reset"
    CUT_SILENCE = "not answered: the connection stays, silent"
    UID_LOST = "its UID dies before it is carried out: 401"
    LOST_FIN = "carried out, not answered: the connection closes"
    LOST_RST = "carried out, not answered: the connection is reset"
    LOST_SILENCE = "carried out, not answered: the connection stays, silent"
    SLOW = "carried out at once, answered after the delay given"
    GARBAGE = "carried out, answered 200 with bytes that mean nothing"

    @property
    def is_carried_out(self) -> bool:
        """Whether the recorder does what was asked."""
        return self not in _NOT_CARRIED_OUT


_NOT_CARRIED_OUT = frozenset(
    {
        AnswerFault.STATUS,
        AnswerFault.CUT_FIN,
        AnswerFault.CUT_RST,
        AnswerFault.CUT_SILENCE,
    }
)
_ENDINGS = {
    AnswerFault.CUT_FIN: Ending.FIN,
    AnswerFault.CUT_RST: Ending.RST,
    AnswerFault.CUT_SILENCE: Ending.SILENCE,
    AnswerFault.LOST_FIN: Ending.FIN,
    AnswerFault.LOST_RST: Ending.RST,
    AnswerFault.LOST_SILENCE: Ending.SILENCE,
}


@dataclass(slots=True, eq=False)
class AnswerRule:
    """Which requests suffer, and from what; ``hits`` did so far, of ``seen`` that the rule was about.

    | field | meaning |
    |---|---|
    | fault, status, delay | what befalls them; ``status`` of STATUS, ``delay`` in seconds of SLOW |
    | cgi | bare names; empty: every command |
    | params | parameters they must have, such as ``{"CMD": "START", "CAM": "3"}`` |
    | count | how many more suffer; None: no end |
    | share | which part of them suffers, 0.0…1.0, drawn by the seed |
    | every | every n-th suffers, counted together over all it is about |
    """

    fault: AnswerFault
    cgi: frozenset[str] = frozenset()
    params: Mapping[str, str] = field(default_factory=dict[str, str])
    count: int | None = None
    share: float = 1.0
    every: int = 1
    status: int = 503
    delay: float = 0.0
    hits: int = 0
    seen: int = 0
    spent: Callable[[], None] = field(default=lambda: None, repr=False)

    def takes(self, cgi: str, params: Sequence[tuple[str, str]], random: Random) -> bool:
        """Whether this request suffers; counts it."""
        if self.count == 0 or (self.cgi and cgi not in self.cgi):
            return False
        if not self.params.items() <= set(params):
            return False
        if self.fault is AnswerFault.UID_LOST and ("UID", "-1") in params:
            return False
        self.seen += 1
        if self.seen % self.every or (self.share < 1.0 and random.random() >= self.share):
            return False
        self.hits += 1
        if self.count is not None:
            self.count -= 1
            if not self.count:
                self.spent()
        return True

    def spoil(self, answer: Answer | EndlessAnswer | None) -> Answer | EndlessAnswer | Spoiled:
        """Do to an answer what the rule says; None stands for a request that was not carried out."""
        fault = self.fault
        if answer is None or fault in _ENDINGS:
            if fault is AnswerFault.STATUS:
                return Answer(self.status)
            return Spoiled(answer, ending=_ENDINGS[fault])
        if fault is AnswerFault.SLOW:
            return Spoiled(answer, self.delay)
        if fault is AnswerFault.GARBAGE:
            if isinstance(answer, EndlessAnswer):
                answer.abandon()
            return Answer(200, GARBAGE, "text/html")
        return answer
