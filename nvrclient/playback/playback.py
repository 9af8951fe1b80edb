"""Playback: what a caller opens, steers, iterates and closes. A thin handle on a `Player`."""

from __future__ import annotations

import asyncio
import warnings
import weakref
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Self

from nvrclient.commands.playback import time_field
from nvrclient.connection import Connection
from nvrclient.errors import ConnectionFailedError
from nvrclient.frames import (
    Codec,
    Gop,
    NalUnit,
    VideoFormat,
    VideoFrame,
)
from nvrclient.playback.motion import Motion
from nvrclient.playback.player import Player, State
from nvrclient.stream import ItemStream, Narrowed, StreamStats

MAX_CAMERAS = 16
"""Cameras played on one UID (1.3)."""


class Playback(ItemStream):
    """Recorded video, and audio if asked for; made by ``Camera.playback`` and ``Session.playback``.

    ``async with`` it, or ``await`` it and call `aclose`. Then iterate it: items are VideoFrame, AudioFrame and
    Discontinuity in the order of their times, at the pace of the recording. Pictures that only a decoder needs come
    with ``shown=False``. One consumer at a time; iterating a playback that is not open is a RuntimeError. The loop
    ends with the recording, or at `end`; it can be taken up again after `seek`, `resume` or a turn.

    Control calls may come from other tasks while a loop waits. After one returns, nothing of the mode before it is
    given. Cancelling one does not undo it: the recorder is never left between two commands.

    Opening raises SessionLimitError, CommandError, ConnectionFailedError, AuthenticationError. Iterating raises
    NoRecordingError where nothing is recorded, ProtocolError for answers that fit no reading of the specification
    (several in a row: single ones are counted and told), CommandError (unknown camera), and with reconnect=False
    what broke it. A playback that raised can still be sought. Cancelling the wait for an item loses nothing.
    """

    def __init__(
        self,
        connection: Connection,
        owner: object,
        cameras: Sequence[int],
        start: datetime | None,
        end: datetime | None,
        *,
        audio: bool,
        speed: float | None,
    ) -> None:
        for name, when in (("start", start), ("end", end)):
            if when is not None:
                _check_time(name, when)
        if start is not None and end is not None and end <= start:
            raise ValueError(f"end: later than start ({start.isoformat()}), not {end.isoformat()}")
        if speed is not None and not 0 < speed < float("inf"):
            raise ValueError(f"speed: more than 0, or None for as fast as it comes, not {speed}")
        if not 1 <= len(cameras) <= MAX_CAMERAS or len(set(cameras)) < len(cameras):
            raise ValueError(f"cameras: 1 to {MAX_CAMERAS} different numbers, not {list(cameras)}")
        self.cameras = tuple(cameras)
        self._connection = connection
        self._owner = owner  # the session's handle lives as long as this one
        self._options = (start, end, speed, audio)
        self._player: Player | None = None
        self._closed = False
        self._finalizer: weakref.finalize[..., Playback] | None = None

    def __repr__(self) -> str:
        numbers = ", ".join(map(str, self.cameras))
        return f"<Playback camera{'s'[: len(self.cameras) - 1]} {numbers} {self.state}>"

    async def _open(self) -> Self:
        self._connection.check_usable()
        if self._closed:
            raise RuntimeError("this playback is closed; make another with camera.playback(…)")
        if self._player is not None:
            raise RuntimeError("this playback is open already")
        start, end, speed, audio = self._options
        player = Player(self._connection, self.cameras, start, end, speed, audio=audio)
        self._player = player
        try:
            await player.open()
        except BaseException:
            await self.aclose()
            raise
        self._finalizer = weakref.finalize(self, _dropped, self._connection, player)
        self._finalizer.atexit = False  # the interpreter's end closes sockets by itself
        return self

    async def aclose(self) -> None:
        """Send STOP and free the UID; at most 2 s. Safe to repeat. A loop that waits in it ends.

        Cancelling it does not stop the closing.
        """
        self._connection.check_loop()
        self._closed = True
        if self._finalizer is not None:
            self._finalizer.detach()
        if self._player is not None:
            with suppress(ConnectionFailedError):  # the session is closed already
                await self._player.aclose()

    # Items

    def nal_units(self) -> NalUnits:
        """Iterate the NAL units of the pictures. JPEG has none."""
        return NalUnits(self.video())

    def gops(self) -> Gops:
        """Iterate whole GOPs, each when its first picture is due; in reverse motion too each is in recording order.

        What is left of a GOP that was begun is left out, and audio and discontinuities are.
        """
        return Gops(self, self._opened())

    # Control

    async def seek(self, when: datetime) -> None:
        """Go to a time and play forward from there (3.2.8): it begins with the GOP that holds it.

        Raises ValueError for a time without a zone; CommandError, ConnectionFailedError, SessionLimitError.
        """
        _check_time("seek", when)
        await self._opened().helm.seek(when)

    async def pause(self) -> None:
        """Stop at the picture given last (3.2.6); loops wait. In pause there are steps. Errors as `seek`."""
        await self._opened().helm.pause()

    async def resume(self) -> None:
        """Go on after a pause with the picture after the last one given, in the direction of before. Errors as `seek`."""
        await self._opened().helm.resume()

    async def forward(self) -> None:
        """Play forward from the picture given last. Errors as `seek`."""
        await self._opened().helm.turn(Motion.FORWARD)

    async def reverse(self) -> None:
        """Play backward (3.2.5): GOPs descend from the one before the picture given last.

        The pictures inside a GOP stay in decoding order. Errors as `seek`.
        """
        await self._opened().helm.turn(Motion.REVERSE)

    async def fast_forward(self) -> None:
        """Play fast (3.2.9): the recorder leaves GOPs out. Each further call is a step faster, up to 8. Errors as `seek`."""
        await self._opened().helm.turn(Motion.FAST_FORWARD)

    async def fast_reverse(self) -> None:
        """Play backward fast (3.2.9), as `reverse` and `fast_forward`."""
        await self._opened().helm.turn(Motion.FAST_REVERSE)

    async def next_frame(self) -> VideoFrame:
        """Return the next picture to show (3.1.4); pauses first where it plays.

        The pictures a decoder needs before it are in `gop`. Raises NoRecordingError behind the last picture; else as
        `seek`.
        """
        return await self._opened().helm.step(forward=True)

    async def previous_frame(self) -> VideoFrame:
        """Return the picture before the one given last; otherwise as `next_frame`."""
        return await self._opened().helm.step(forward=False)

    # What it tells of itself

    @property
    def codec(self) -> Codec | None:
        """The codec of the video, once the first picture has come; it may change in a recording."""
        return self._player.codec if self._player is not None else None

    @property
    def format(self) -> VideoFormat | None:
        """What a decoder must know, once the first picture has come."""
        return self._player.format if self._player is not None else None

    @property
    def gop(self) -> Gop | None:
        """The GOP that the picture given last is in; None before the first."""
        return self._player.gop if self._player is not None else None

    @property
    def position(self) -> datetime | None:
        """The time of the picture shown last, or the time sought; None where the recorder began by itself."""
        return self._player.course.position if self._player is not None else self._options[0]

    @property
    def speed(self) -> float | None:
        """The pace: 1.0 as recorded, None as fast as it comes."""
        return self._options[2]

    @property
    def state(self) -> State:
        """One of "starting", "playing", "reverse", "fast forward", "fast reverse", "paused", "reconnecting", "ended", "closed"."""
        if self._closed:
            return "closed"
        return self._player.state if self._player is not None else "starting"

    @property
    def stats(self) -> StreamStats:
        """The counters as they stand: ``packets`` counts answers; all zero before it is open."""
        return self._player.stats if self._player is not None else StreamStats()

    def _opened(self) -> Player:
        if self._player is None:
            raise RuntimeError(
                "this playback is not open: write `async with camera.playback(…) as playback:`"
                " around it"
            )
        if asyncio.get_running_loop() is not self._connection.loop:
            raise RuntimeError("this playback belongs to another event loop")
        return self._player


class NalUnits:
    """A playback narrowed to its NAL units."""

    def __init__(self, frames: Narrowed[VideoFrame]) -> None:
        self._frames = frames
        self._units: list[NalUnit] = []  # of the picture at hand, the next one last

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> NalUnit:
        while not self._units:
            self._units = list(reversed((await anext(self._frames)).nal_units))
        return self._units.pop()


class Gops:
    """A playback narrowed to whole GOPs."""

    def __init__(self, playback: Playback, player: Player) -> None:
        self._playback = playback  # it lives as long as somebody iterates it
        self._player = player

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Gop:
        return await self._player.get_gop()


def _check_time(name: str, when: datetime) -> None:
    if not isinstance(when, datetime):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"{name}: a datetime with a time zone, not {type(when).__name__}")
    try:
        time_field(when)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _dropped(connection: Connection, player: Player) -> None:
    """A playback's handle was dropped without being closed."""
    if not connection.is_open:  # it was closed with its session
        return
    if not connection.loop.is_closed():
        connection.loop.call_soon_threadsafe(
            lambda: connection.spawn(player.aclose(), f"close dropped {player}")
        )
    warnings.warn(f"{player} was dropped without aclose()", ResourceWarning, stacklevel=2)
