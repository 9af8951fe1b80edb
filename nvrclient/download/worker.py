"""The one thread of a download: everything that touches the disk runs in it, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

BATCH = 1 << 20
"""Bytes handed to the thread at once: fewer would cost a change of threads each, more would only be memory.

They are gathered in two buffers that are used in turn: to hand over pieces as they came would have the thread ask for
the interpreter's lock for each, and every time hold up the loop.
"""


class Worker:
    """See the module. What is cancelled while it runs goes on in the thread, and what comes after it waits for it."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="nvrclient download")
        self._writing: asyncio.Future[None] | None = None
        self._filling, self._other = bytearray(BATCH), bytearray(BATCH)
        self._filled = 0

    async def run(self, work: Callable[[*_Ts], _T], *args: *_Ts) -> _T:
        """Run `work` in the thread and return what it returns."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)

    async def write(self, data: bytes, write: Callable[[memoryview], None]) -> None:
        """Have `data` written; waits only while the batch before is not written. Raises what writing raised."""
        start = self._filled
        self._filled += len(data)
        self._filling[start : self._filled] = data
        if self._filled >= BATCH:
            await self._hand_over(write)

    async def flush(self, write: Callable[[memoryview], None]) -> None:
        """Wait until everything is written; raises what writing raised."""
        await self._hand_over(write)
        await self._written()

    async def _hand_over(self, write: Callable[[memoryview], None]) -> None:
        await self._written()
        batch = memoryview(self._filling)[: self._filled]
        self._filling, self._other, self._filled = self._other, self._filling, 0
        self._writing = asyncio.get_running_loop().run_in_executor(self._threads, write, batch)

    async def _written(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing

    async def drop(self) -> None:
        """Forget what is not written yet; what is being written is, and nobody is told how that ended."""
        self._filled = 0
        writing, self._writing = self._writing, None
        if writing is not None:
            await asyncio.wait((writing,))
            if not writing.cancelled():
                writing.exception()

    async def close(self, last: Callable[[], None]) -> None:
        """Run `last` in the thread, behind everything else, and end it. Cancelling it changes nothing in the thread."""
        ending = asyncio.get_running_loop().run_in_executor(self._threads, last)
        self._threads.shutdown(wait=False)
        await self.drop()
        await asyncio.shield(ending)
        self._threads.shutdown()  # it has nothing left to do
