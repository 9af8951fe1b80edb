"""What lies between the recorder and its clients now: shared by its server, its streams and its faults."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nvrclient.simulator.relay import PacketAccount, UdpFaults

if TYPE_CHECKING:
    from nvrclient.simulator.stream_faults import Trouble

__all__ = ["Conditions", "Path"]


class Path:
    """The network to the clients: alive, or dead without a word. Nothing is sent or heard on a dead one."""

    def __init__(self) -> None:
        self.is_dead = False
        self._alive = asyncio.Event()
        self._alive.set()

    def die(self) -> None:
        """Let nothing through."""
        self.is_dead = True
        self._alive.clear()

    def revive(self) -> None:
        """Let everything through again."""
        self.is_dead = False
        self._alive.set()

    async def alive(self) -> None:
        """Wait while it is dead."""
        if self.is_dead:
            await self._alive.wait()


@dataclass(slots=True)
class Conditions:
    """The path, what happens to datagrams, and what ails the streams that are started.

    ``troubles`` holds per camera what a stream that is started suffers from. ``accounts`` has one entry for each
    stream that was ever started, oldest first.
    """

    seed: int = 0
    path: Path = field(default_factory=Path)
    udp: UdpFaults | None = None
    troubles: dict[int, Trouble] = field(default_factory=dict[int, "Trouble"])
    accounts: list[PacketAccount] = field(default_factory=list[PacketAccount])
