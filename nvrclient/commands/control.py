"""Camera control: pan, tilt, zoom, focus, iris, presets, auxiliary outputs (specification 4.2).

Each takes values from the ranges below and raises ValueError, or TypeError for what is no whole number.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from nvrclient.commands.command import Command, Uid

Steps: TypeAlias = Literal[16, 256]
"""The scale of pan and tilt speeds (4.2.1, 4.2.2). Nothing on the wire tells them apart."""

SCALES = (16, 256)
ZOOM = range(-4, 5)
POSITION = range(33)
PRESETS = range(1, 257)
AUXILIARIES = range(1, 9)
FOCUS = ("near", "far", "auto")
IRIS = ("open", "close", "reset")
AUX = ("open", "close")

_PC = ("PC", "AS60")
_START = ("CTRL", "START")


def move(
    uid: Uid,
    camera: int,
    *,
    pan: int | None = None,
    tilt: int | None = None,
    zoom: int | None = None,
    steps: Steps = 16,
) -> Command:
    """Pan, tilt and zoom at a speed (4.2.1, 4.2.2); an axis that is None is left out."""
    if steps not in SCALES:
        raise ValueError(f"steps: 16 or 256, not {steps!r}")
    speeds = range(-steps, steps + 1)
    axes = (("PAN", pan, speeds), ("TILT", tilt, speeds), ("ZOOM", zoom, ZOOM))
    query = tuple(
        (name, _number(name.lower(), value, allowed))
        for name, value, allowed in axes
        if value is not None
    )
    if not query:
        raise ValueError("move: give pan, tilt or zoom; stop() stops all three")
    return Command("directctrl.cgi", (("UID", uid.value), ("CH", str(camera)), *query, _PC))


def stop(uid: Uid, camera: int) -> Command:
    """Stop pan, tilt and zoom (4.1.1)."""
    return move(uid, camera, pan=0, tilt=0, zoom=0)


def center(uid: Uid, camera: int, x: int, y: int) -> Command:
    """Move the position x, y of the image to its centre (4.2.3)."""
    at = (("X", _number("x", x, POSITION)), ("Y", _number("y", y, POSITION)))
    return _control(uid, camera, "CENTERING", _START, *at)


def focus(uid: Uid, camera: int, way: str) -> Command:
    """Focus nearer, farther or automatically (4.2.4)."""
    return _control(uid, camera, "FOCUS", ("CTRL", _word("focus", way, FOCUS)), _START)


def iris(uid: Uid, camera: int, way: str) -> Command:
    """Open, close or reset the iris (4.2.5)."""
    return _control(uid, camera, "IRIS", ("CTRL", _word("iris", way, IRIS)), _START)


def save_preset(uid: Uid, camera: int, number: int) -> Command:
    """Register the camera's position as a preset (4.2.6)."""
    return _control(uid, camera, "PRESETPRG", ("NO", _number("preset", number, PRESETS)))


def go_to_preset(uid: Uid, camera: int, number: int) -> Command:
    """Move to a preset (4.2.7)."""
    return _control(uid, camera, "PRESET", ("NO", _number("preset", number, PRESETS)))


def aux(uid: Uid, camera: int, number: int, way: str) -> Command:
    """Open or close an auxiliary output (4.2.8)."""
    name = f"AUX{_number('aux', number, AUXILIARIES)}"
    return _control(uid, camera, name, ("CTRL", _word("aux", way, AUX)))


def _control(uid: Uid, camera: int, action: str, *more: tuple[str, str]) -> Command:
    query = (("UID", uid.value), ("CH", str(camera)), ("CMD", action))
    return Command("camctl.cgi", (*query, *more, _PC))


def _number(name: str, value: Any, allowed: range) -> str:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: a whole number, not {type(value).__name__}")
    if value not in allowed:
        raise ValueError(f"{name}: {allowed[0]}…{allowed[-1]}, not {value}")
    return str(int(value))


def _word(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        words = ", ".join(f'"{word}"' for word in allowed)
        raise ValueError(f"{name}: one of {words}, not {value!r}")
    return value.upper()
