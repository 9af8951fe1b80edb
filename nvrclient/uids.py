"""Who may use which UID for what (specification 1.3), as one table. Pure: it sends nothing and reads no clock.

| rule | where |
|---|---|
| at most 16 live streams a UID | `MAX_STREAMS` |
| never the same camera twice on a UID; a camera's audio belongs to its video | `UidTable.for_live` |
| at most `max_uids` of ours at once, and 16 on the recorder, those included that it may still hold for us | `UidTable.is_full` |
| live and playback never together on a UID; position and direction belong to it, so each playback has its own | `UidTable.for_live`, `UidTable.unused` |
| what a download may share a UID with is not specified: it has its own | `UidTable.for_live`, `UidTable.unused` |
| cameras are controlled on the UID of their live stream (4.1.1), or on another that does not play | `UidTable.for_control` |
| a UID lives 90 s from the last command that carried it | `UidSlot.last_contact`, kept up by the keep-alive; `UidTable.abandon` |
| a stream is stopped before the same camera is started again | `UidSlot.unstopped` |
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from nvrclient.commands.command import Uid
from nvrclient.errors import NVRError

MAX_STREAMS = 16
"""Live streams on one UID (1.3)."""

MAX_UIDS = 16
"""UIDs on one recorder (1.3); past that it invalidates one, perhaps ours."""

UID_LIFETIME = 90.0
"""Seconds a UID lives after the last command that carried it (1.3)."""


class UidGoneError(Exception):
    """The recorder no longer knows the UID. Never reaches a caller."""


class UidSlot:
    """One UID of ours and what it is used for.

    ``number`` names it in logs, where the UID itself never stands. ``fresh`` until a command with it succeeded; ``gone``
    once it is no longer ours; ``replaces``: it was asked for because another was lost; ``pictures_at`` is when one of its
    streams last brought a picture.

    ``set_up`` once it was made a UID of live streams, ``plays`` while a playback moves it, ``downloads`` while a download
    has it. ``controls`` counts the commands of camera control under way on it, ``controlled_at`` is when the last one
    ended. ``unstopped`` holds, by camera, the COMP and port of streams whose STOP was not answered, ``refused_stops`` how
    often it was refused for now.

    `watchers` are called when it is lost, with the error that its users end with where it cannot be replaced.
    """

    __slots__ = (
        "cameras",
        "controlled_at",
        "controls",
        "downloads",
        "fresh",
        "gone",
        "issued_at",
        "last_contact",
        "number",
        "pictures_at",
        "plays",
        "refused_stops",
        "replaces",
        "set_up",
        "uid",
        "unstopped",
        "watchers",
    )

    def __init__(self, uid: Uid, number: int, now: float) -> None:
        self.uid = uid
        self.number = number
        self.issued_at = now
        self.last_contact = now
        self.pictures_at = now
        self.fresh = True
        self.gone = False
        self.replaces = False
        self.set_up = False
        self.plays = False
        self.downloads = False
        self.controls = 0
        self.controlled_at = now
        self.cameras: set[int] = set()
        self.unstopped: dict[int, list[tuple[str, int | None]]] = {}
        self.refused_stops: Counter[int] = Counter()
        self.watchers: set[Callable[[NVRError | None], None]] = set()

    def __repr__(self) -> str:
        use = f"cameras {sorted(self.cameras)}"
        if self.is_taken:
            use = "playback" if self.plays else "download"
        return f"<UID #{self.number}, {use}>"

    @property
    def alive_at(self) -> float:
        """When the recorder last showed that it knows the UID."""
        return max(self.last_contact, self.pictures_at)

    @property
    def is_taken(self) -> bool:
        """Whether it belongs to one playback or one download, and carries nothing else."""
        return self.plays or self.downloads

    @property
    def is_used(self) -> bool:
        """Whether anything hangs on it."""
        return self.is_taken or bool(self.cameras) or self.controls > 0


class UidTable:
    """The UIDs this session holds."""

    def __init__(self, max_uids: int) -> None:
        self._max_uids = max_uids
        self._slots: list[UidSlot] = []
        self._abandoned: list[float] = []  # when they end, soonest first
        self._issued = 0

    def __len__(self) -> int:
        return len(self._slots)

    def __iter__(self) -> Iterator[UidSlot]:
        return iter(tuple(self._slots))

    def __contains__(self, slot: UidSlot) -> bool:
        return slot in self._slots

    def is_full(self, now: float) -> bool:
        """Whether no further UID may be asked for: the recorder would take one back, perhaps ours."""
        self._forget_ended(now)
        held = len(self._slots)
        return held >= self._max_uids or held + len(self._abandoned) >= MAX_UIDS

    def free_in(self, now: float) -> float | None:
        """Return the seconds until one may be asked for without giving one back; None: not by waiting."""
        self._forget_ended(now)
        if len(self._slots) >= self._max_uids or not self._abandoned:
            return None
        return self._abandoned[0] - now

    def abandon(self, last_contact: float) -> None:
        """Count a UID that the recorder may still hold for us: it was not given back, or issued in an answer that was lost."""
        self._abandoned = sorted([*self._abandoned, last_contact + UID_LIFETIME])[-MAX_UIDS:]

    def _forget_ended(self, now: float) -> None:
        self._abandoned = [end for end in self._abandoned if end > now]

    def add(self, uid: Uid, now: float) -> UidSlot:
        """Enter a UID that was issued at monotonic time `now`."""
        self._issued += 1
        slot = UidSlot(uid, self._issued, now)
        self._slots.append(slot)
        return slot

    def remove(self, slot: UidSlot) -> None:
        """Forget a UID: it was lost, or is being released."""
        slot.gone = True
        if slot in self._slots:
            self._slots.remove(slot)

    def any(self) -> UidSlot | None:
        """Return a UID for a command that needs one, the oldest; None where there is none."""
        return self._slots[0] if self._slots else None

    def for_live(self, camera: int) -> UidSlot | None:
        """Return a UID that may carry a live stream of `camera`, the fullest first; None: another is needed."""
        fitting = [
            slot
            for slot in self._slots
            if not slot.is_taken and len(slot.cameras) < MAX_STREAMS and camera not in slot.cameras
        ]
        return max(fitting, key=lambda slot: len(slot.cameras), default=None)

    def for_control(self, camera: int, since: float) -> UidSlot | None:
        """Return the UID to control `camera` on, of those that the recorder knew at monotonic time `since`.

        That of its live stream comes first, then one set up for live, then any that does not play; None: another is
        needed.
        """
        fitting = [slot for slot in self._slots if not slot.is_taken and slot.last_contact >= since]
        return max(fitting, key=lambda slot: (camera in slot.cameras, slot.set_up), default=None)

    def unused(self) -> UidSlot | None:
        """Return a UID that nothing hangs on; None: another is needed."""
        return next((slot for slot in self._slots if not slot.is_used), None)

    def is_spare(self, slot: UidSlot) -> bool:
        """Whether nothing uses the UID and the session holds another."""
        return slot in self._slots and not slot.is_used and len(self._slots) > 1
