"""The ranges of camera control: what is outside is refused, with the range in the message."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from nvrclient.commands import control
from nvrclient.commands.command import Command, Uid

UID = Uid("7888")


def given(function: Callable[..., Command], name: str | None, **fixed: Any) -> Callable[[Any], Any]:
    """A command of one value, by name or as the only one."""
    if name is None:
        return lambda value: function(UID, 1, value, **fixed)
    return lambda value: function(UID, 1, **{name: value}, **fixed)


NUMBERS = [
    (given(control.move, "pan"), -16, 16),
    (given(control.move, "tilt"), -16, 16),
    (given(control.move, "zoom"), -4, 4),
    (given(control.move, "pan", steps=256), -256, 256),
    (given(control.move, "tilt", steps=256), -256, 256),
    (given(control.move, "zoom", steps=256), -4, 4),
    (given(control.center, "x", y=0), 0, 32),
    (given(control.center, "y", x=0), 0, 32),
    (given(control.save_preset, None), 1, 256),
    (given(control.go_to_preset, None), 1, 256),
    (lambda number: control.aux(UID, 1, number, "open"), 1, 8),
]


@pytest.mark.parametrize(("command", "first", "last"), NUMBERS)
def test_ranges(command: Callable[[Any], Command], first: int, last: int) -> None:
    for value in {first, 0 if first < 0 else first + 1, last}:
        assert f"{value}" in command(value).target
    for value in (first - 1, last + 1, 10**30, -(10**30)):
        with pytest.raises(ValueError, match=rf": {first}…{last}, not {value}$"):
            command(value)
    for wrong in (True, 1.0, "1", object()):
        with pytest.raises(TypeError, match=f"a whole number, not {type(wrong).__name__}"):
            command(wrong)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (partial(control.focus, UID, 1), ("near", "far", "auto")),
        (partial(control.iris, UID, 1), ("open", "close", "reset")),
        (partial(control.aux, UID, 1, 1), ("open", "close")),
    ],
)
def test_words(command: Callable[[Any], Command], words: tuple[str, ...]) -> None:
    for word in words:
        assert f"CTRL={word.upper()}" in command(word).target
    for wrong in ("", "stop", "OPEN&UID=1", 1, None):
        with pytest.raises(ValueError, match=f'one of "{words[0]}", '):
            command(wrong)


@pytest.mark.parametrize("steps", [0, 15, 64, "16", None])
def test_scales(steps: Any) -> None:
    with pytest.raises(ValueError, match="steps: 16 or 256, not"):
        control.move(UID, 1, pan=1, steps=steps)


def test_a_move_that_moves_nothing() -> None:
    with pytest.raises(ValueError, match="give pan, tilt or zoom"):
        control.move(UID, 1)
