"""UIDs and how long they live (section 1.3)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nvrclient.simulator.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from nvrclient.simulator.downloads import Download
    from nvrclient.simulator.positions import Playback

__all__ = ["Uid", "UidTable"]


@dataclass(slots=True, eq=False)
class Uid:
    """A UID in use. ``number`` counts the UIDs issued; it stands for the value in logs and reprs."""

    value: str = field(repr=False)
    number: int
    is_set_up: bool = False
    streams: list[Stream] = field(default_factory=list[Stream])
    started: set[tuple[int, str]] = field(default_factory=set[tuple[int, str]], repr=False)
    playback: Playback | None = None
    downloads: list[Download] = field(default_factory=list["Download"])
    controlled_at: float | None = field(default=None, repr=False)
    timer: asyncio.TimerHandle | None = field(default=None, repr=False)

    @property
    def is_busy(self) -> bool:
        """Whether it carries live or playback."""
        return bool(self.streams) or (self.playback is not None and self.playback.is_playing)

    def stream(self, camera: int, *, audio: bool) -> Stream | None:
        """Find the camera's video, or its audio."""
        for stream in self.streams:
            if stream.camera == camera and stream.is_audio == audio:
                return stream
        return None

    def end(self, stream: Stream) -> None:
        """Stop a stream and the audio that rides in it. Ending one twice does nothing."""
        if stream in self.streams:
            self.streams.remove(stream)
        stream.stop()
        for rider in stream.riders:
            if rider in self.streams:
                self.end(rider)


class UidTable:
    """The UIDs in use, oldest first. Each lives ``lifetime`` seconds from its last command."""

    def __init__(self, lifetime: float, random: Random, digits: int) -> None:
        self._lifetime, self._random, self._digits = lifetime, random, digits
        self._uids: dict[str, Uid] = {}
        self.issued = 0

    def __len__(self) -> int:
        return len(self._uids)

    def __iter__(self) -> Iterator[Uid]:
        return iter(tuple(self._uids.values()))

    def find(self, value: str) -> Uid | None:
        """Find a UID that is still alive."""
        return self._uids.get(value)

    def issue(self) -> Uid:
        """Issue another UID."""
        value = ""
        while not value or value in self._uids:
            value = str(self._random.randrange(10 ** (self._digits - 1), 10**self._digits))
        self.issued += 1
        uid = self._uids[value] = Uid(value, self.issued)
        self.keep(uid)
        return uid

    def keep(self, uid: Uid) -> None:
        """Give a UID its full lifetime again."""
        if uid.timer is not None:
            uid.timer.cancel()
        uid.timer = asyncio.get_running_loop().call_later(self._lifetime, self.drop, uid)

    def drop(self, uid: Uid) -> None:
        """End a UID, its streams and its downloads."""
        if uid.timer is not None:
            uid.timer.cancel()
        self._uids.pop(uid.value, None)
        for stream in tuple(uid.streams):
            uid.end(stream)
        for download in uid.downloads:
            download.stop()
        uid.downloads.clear()
