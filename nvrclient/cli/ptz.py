"""``nvrclient ptz``: a camera's pan, tilt, zoom, focus, iris, presets and auxiliary outputs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Annotated, Any, Literal, TypeAlias

import typer

import nvrclient
from nvrclient.camera import MAX_CAMERA
from nvrclient.cli import recorder
from nvrclient.cli.exits import USAGE, fail, run

Action: TypeAlias = Literal["move", "stop", "center", "focus", "iris", "preset", "aux"]

USAGES: dict[Action, str] = {
    "move": "move --pan 5 [--tilt -3] [--zoom 1] [--steps 256] [--for SECONDS]",
    "stop": "stop",
    "center": "center X Y [--mirror]",
    "focus": "focus near|far|auto",
    "iris": "iris open|close|reset",
    "preset": "preset save|goto NUMBER",
    "aux": "aux NUMBER open|close",
}


def ptz(
    camera: Annotated[
        int,
        typer.Argument(
            help="Its number in the recorder.", min=1, max=MAX_CAMERA, show_default=False
        ),
    ],
    action: Annotated[Action, typer.Argument(help="What to do.", show_default=False)],
    values: Annotated[
        list[str] | None, typer.Argument(help="With what; see above.", show_default=False)
    ] = None,
    url: recorder.Url = "",
    username: recorder.Username = "",
    password: recorder.Password = "",
    verify: recorder.Verify = "",
    pan: Annotated[
        int | None, typer.Option(help="-16 (left) … 16 (right), or -256 … 256.", show_default=False)
    ] = None,
    tilt: Annotated[
        int | None, typer.Option(help="-16 (up) … 16 (down), or -256 … 256.", show_default=False)
    ] = None,
    zoom: Annotated[
        int | None, typer.Option(help="-4 (wide) … 4 (tele).", show_default=False)
    ] = None,
    steps: Annotated[int, typer.Option(help="16 or 256: the scale of --pan and --tilt.")] = 16,
    seconds: Annotated[
        float | None,
        typer.Option(
            "--for",
            metavar="SECONDS",
            min=0.1,
            help="Hold the move so long, then stop; Ctrl-C stops too. Without it cameras stop by themselves after"
            " about two seconds.",
            show_default=False,
        ),
    ] = None,
    mirror: Annotated[bool, typer.Option("--mirror", help="Count X from the right.")] = False,
) -> None:
    """Move a camera.

    \b
    nvrclient ptz 1 move --pan 5 [--tilt -3] [--zoom 1] [--steps 256] [--for SECONDS]
    nvrclient ptz 1 stop
    nvrclient ptz 1 center X Y [--mirror]         0…32, (0, 0) is the top left
    nvrclient ptz 1 focus near|far|auto
    nvrclient ptz 1 iris open|close|reset
    nvrclient ptz 1 preset save|goto NUMBER       1…256
    nvrclient ptz 1 aux NUMBER open|close         1…8
    """  # noqa: D301  \b keeps the lines as they are
    session = recorder.session(url, username, password, verify)
    words: tuple[Any, ...] = tuple(values or ())  # the camera says which it takes
    speeds: dict[str, Any] = {"pan": pan, "tilt": tilt, "zoom": zoom, "steps": steps}

    async def hold(target: nvrclient.Camera) -> None:
        async with target.moving(**speeds):
            await asyncio.sleep(seconds or 0)

    def act(target: nvrclient.Camera) -> Awaitable[None]:
        match action, words:
            case "move", ():
                return target.move(**speeds) if seconds is None else hold(target)
            case "stop", ():
                return target.stop()
            case "center", (x, y):
                return target.center_on(_number(x), _number(y), mirror=mirror)
            case "focus", (way,):
                return target.focus(way)
            case "iris", (way,):
                return target.iris(way)
            case "preset", ("save", number):
                return target.save_preset(_number(number))
            case "preset", ("goto", number):
                return target.goto_preset(_number(number))
            case "aux", (number, way):
                return target.aux(_number(number), way)
            case _:
                raise ValueError(f"usage: nvrclient ptz {camera} {USAGES[action]}")

    async def command() -> None:
        try:
            async with session as nvr:
                await act(nvr.camera(camera))
        except ValueError as error:
            fail(error, USAGE)

    run(command)


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is no whole number") from None
