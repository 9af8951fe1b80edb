"""The UID of one live stream: taken when it starts, kept over breaks, replaced when the recorder has forgotten it."""

from __future__ import annotations

import asyncio

from nvrclient.connection import Connection
from nvrclient.errors import NVRError
from nvrclient.uids import UidSlot


class HeldUid:
    """See the module. ``slot`` is what is held; ``lost`` is done when it is gone, by an error where that is final."""

    def __init__(self, connection: Connection, camera: int) -> None:
        self.slot: UidSlot | None = None
        self.lost: asyncio.Future[None] = connection.loop.create_future()
        self._connection = connection
        self._camera = camera

    async def take(self, *, patient: bool) -> UidSlot:
        """Return the UID, another where it is gone; raises as `Connection.lease_live`."""
        if self.slot is not None and not self.slot.gone:
            return self.slot
        self.give_back()
        self.lost = self._connection.loop.create_future()
        self.slot = await self._connection.lease_live(self._camera, patient=patient)
        self.slot.watchers.add(self._note_lost)
        return self.slot

    def give_back(self) -> None:
        """The stream is over, or its UID is gone. Safe to repeat."""
        slot, self.slot = self.slot, None
        if slot is not None:
            slot.watchers.discard(self._note_lost)
            self._connection.release(slot, self._camera)

    def _note_lost(self, error: NVRError | None) -> None:
        if self.lost.done():
            return
        if error is None:
            self.lost.set_result(None)
        else:
            self.lost.set_exception(error)
            self.lost.exception()  # retrieved, also where the stream is being stopped already
