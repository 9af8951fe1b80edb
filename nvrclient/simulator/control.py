"""Camera control (chapter 4): its rules, and what cameras were told."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from nvrclient.simulator.http_server import Answer

if TYPE_CHECKING:
    from nvrclient.simulator.queries import Query
    from nvrclient.simulator.readings import Readings
    from nvrclient.simulator.uids import Uid

__all__ = ["CameraAction", "CameraMove", "ControlDesk", "motion"]

MOVE_LASTS = 2.0
_TOLERANCE = 0.005
_RANGES = {
    "PAN": (-256, 256),
    "TILT": (-256, 256),
    "ZOOM": (-4, 4),
    "X": (0, 32),
    "Y": (0, 32),
    "NO": (1, 256),
}


@dataclass(frozen=True, slots=True)
class CameraMove:
    """A pan/tilt/zoom command; None: that axis was left out. ``time`` is the event loop's."""

    time: float
    pan: int | None
    tilt: int | None
    zoom: int | None


@dataclass(frozen=True, slots=True)
class CameraAction:
    """Any other camera-control command: CMD, and its value: a word, a number, or (X, Y)."""

    time: float
    command: str
    value: str | int | tuple[int, int]


CameraControl: TypeAlias = CameraMove | CameraAction


@dataclass(slots=True)
class ControlDesk:
    """Carries out directctrl.cgi and camctl.cgi. A string names the rule that was broken."""

    cameras: Collection[int]
    readings: Readings
    moves: dict[int, list[CameraControl]]

    def answer(self, uid: Uid, query: Query) -> Answer | str:
        """Carry out a command."""
        values, now = query.values, asyncio.get_running_loop().time()
        camera = int(values["CH"])
        text = f"{values.get('CMD', 'pan/tilt/zoom')} of camera {camera}: "
        numbers = {name: int(value) for name, value in values.items() if name in _RANGES}
        for name, number in numbers.items():
            low, high = _RANGES[name]
            if not low <= number <= high:
                return text + f"{name}={number} is not {low} to {high}"
        if query.action == "move" and not numbers:
            return text + "no axis"
        if uid.playback is not None and uid.playback.is_playing:
            return text + "live and playback on one UID: PLAYCMD=STOP comes first"
        if not uid.is_set_up:
            return text + "without hdrctl.cgi SCREEN=16X on this UID before"
        last, uid.controlled_at = uid.controlled_at, now
        if last is not None and now - last < self.readings.control_interval - _TOLERANCE:
            return text + f"{now - last:.3f} s after the one before on this UID"
        if camera not in self.cameras:
            return Answer(404)
        if self.readings.control_needs_stream and uid.stream(camera, audio=False) is None:
            return Answer(400)
        self.moves.setdefault(camera, []).append(_control(now, query, numbers))
        return Answer(200, b"OK\r\n")


def _control(now: float, query: Query, numbers: dict[str, int]) -> CameraControl:
    if query.action == "move":
        return CameraMove(now, numbers.get("PAN"), numbers.get("TILT"), numbers.get("ZOOM"))
    command = query.values["CMD"]
    if query.action == "center":
        return CameraAction(now, command, (numbers["X"], numbers["Y"]))
    if query.action == "preset":
        return CameraAction(now, command, numbers["NO"])
    return CameraAction(now, command, query.values["CTRL"])


def motion(controls: Collection[CameraControl], time: float) -> tuple[int, int, int]:
    """Say how fast a camera pans, tilts and zooms: as the last move said, for two seconds."""
    moves = [c for c in controls if isinstance(c, CameraMove) and c.time <= time]
    if not moves or time >= moves[-1].time + MOVE_LASTS:
        return 0, 0, 0
    return moves[-1].pan or 0, moves[-1].tilt or 0, moves[-1].zoom or 0
