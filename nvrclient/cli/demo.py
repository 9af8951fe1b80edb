"""``nvrclient demo``: live pictures of a simulated recorder, decoded, shown and checked."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from anyio import to_thread
from rich.console import Console
from rich.table import Table

import nvrclient
from nvrclient.cli.exits import USAGE, fail, first_of, run, until_told
from nvrclient.cli.meter import Meter
from nvrclient.cli.tables import bits, clock, keep_showing, plain_table
from nvrclient.errors import NVRError, ProtocolError
from nvrclient.frames import Codec, Discontinuity, VideoFrame
from nvrclient.simulator import Clip, SimulatedRecorder, read_number

if TYPE_CHECKING:
    from nvrclient.media import Picture

CLIPS = {1: "h264", 2: "h265"}
"""What the first cameras of a simulated recorder show."""


def demo(
    seconds: Annotated[float, typer.Option(min=0.5, help="How long to watch.")] = 10.0,
    folder: Annotated[
        Path | None,
        typer.Option(help="Where the JPEG files go; a new temporary folder when not given."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="The result on stdout: one JSON object a stream.")
    ] = False,
) -> None:
    """Watch a simulated recorder: H.264 and H.265, over HTTP and UDP at once.

    Every picture is decoded. At the end one JPEG of each stream is written, and the number that is drawn in it as
    black and white squares is read back and compared with the picture it was made from: exit code 1 if they differ.
    """
    if find_spec("av") is None:
        fail("demo decodes pictures, which needs PyAV: pip install 'nvrclient[media]'", USAGE)
    where = _made(folder)
    console = Console(stderr=as_json, highlight=False)
    views = [View(camera, transport) for transport in ("http", "udp") for camera in CLIPS]

    async def command() -> None:
        await _watch(views, seconds, console)
        results = [await to_thread.run_sync(view.result, where) for view in views]
        for result in results:
            if as_json:
                typer.echo(json.dumps(result))
            else:
                console.print(_sentence(result), markup=False, soft_wrap=True)
        right = sum(result["ok"] for result in results)
        verdict = f"{right} of {len(results)} streams right; JPEG files in {where}"
        console.print(verdict, markup=False, soft_wrap=True)
        if right < len(results):
            raise typer.Exit(1)

    run(command)


async def _watch(views: list[View], seconds: float, console: Console) -> None:
    """Run a recorder and watch it, for some seconds or until Ctrl-C."""
    async with (
        SimulatedRecorder() as recorder,
        nvrclient.connect(recorder.url, recorder.username, recorder.password) as nvr,
    ):
        console.print(f"Simulated recorder at {recorder.url}, {seconds:g} s; Ctrl-C ends it")
        with until_told() as told:
            endings: list[Awaitable[object]] = [told.wait()]
            endings.append(asyncio.gather(*[view.watch(nvr) for view in views]))
            if console.is_terminal:
                endings.append(keep_showing(console, lambda: _table(views)))
            await first_of(*endings, seconds=seconds)


@dataclass(eq=False)
class View:
    """One camera watched over one transport."""

    camera: int
    transport: Literal["http", "udp"]
    clip: Clip = field(init=False)
    meter: Meter = field(default_factory=Meter)
    stream: nvrclient.LiveStream | None = None
    picture: Picture | None = None
    decoded: int = 0
    error: str | None = None

    def __post_init__(self) -> None:
        self.clip = Clip.load(CLIPS[self.camera])

    @property
    def lost(self) -> int:
        """Packets lost so far."""
        return self.stream.stats.lost if self.stream is not None else 0

    async def watch(self, nvr: nvrclient.Session) -> None:
        """Take and decode pictures until cancelled; what ends the stream before is kept in `error`."""
        from nvrclient.media import VideoDecoder

        decoder = VideoDecoder()
        live = nvr.camera(self.camera).live(self.clip.codec, transport=self.transport)
        try:
            async with live as self.stream:
                async for item in live:
                    self.meter.take(item)
                    if isinstance(item, Discontinuity):
                        decoder.reset()
                    elif isinstance(item, VideoFrame):
                        for picture in await decoder.decode_async(item):
                            self.decoded += 1
                            self.picture = picture
        except NVRError as error:
            self.error = str(error)

    def result(self, folder: Path) -> dict[str, Any]:
        """Write the last picture as a JPEG and check the number in the file. Blocking."""
        fps, bit_rate = self.meter.averages()
        result: dict[str, Any] = {
            "camera": self.camera,
            "codec": self.clip.codec.value,
            "transport": self.transport,
            "received": self.meter.pictures,
            "decoded": self.decoded,
            "fps": round(fps, 2),
            "bit_rate": round(bit_rate),
            "lost": self.lost,
            "error": self.error,
            "file": None,
            "expected": None,
            "number": None,
            "ok": False,
        }
        if self.picture is not None:
            expected = self._number_of(self.picture.frame)
            name = f"camera{self.camera}-{self.clip.codec}-{self.transport}-picture{expected}.jpg"
            path = folder / name
            path.write_bytes(self.picture.to_jpeg())
            number = _number_in(path, self.picture.frame)
            result |= {"file": str(path), "expected": expected, "number": number}
            result["ok"] = number is not None and number == expected and self.error is None
        return result

    def _number_of(self, frame: VideoFrame) -> int | None:
        """Find the picture among those the encoder made, byte for byte; None where it is none of them."""
        coded = tuple([nal.data for nal in frame.nal_units])
        return self.clip.nal_units.index(coded) if coded in self.clip.nal_units else None


def _number_in(path: Path, frame: VideoFrame) -> int | None:
    """Decode a JPEG file and read the number in it."""
    from nvrclient.media import VideoDecoder

    jpeg = replace(
        frame, codec=Codec.JPEG, nal_units=(), keyframe=True, shown=True, jpeg=path.read_bytes()
    )
    try:
        [picture] = VideoDecoder().decode(jpeg)
        return read_number(picture.luma, picture.width, picture.height, picture.stride)
    except (ProtocolError, ValueError):
        return None


def _table(views: list[View]) -> Table:
    numbers = ("fps", "bit rate", "lost", "decoded")
    table = plain_table("camera", "codec", "transport", *numbers, "wall clock", right=numbers)
    now = asyncio.get_running_loop().time()
    for view in views:
        fps, bit_rate = view.meter.rates(now)
        last = view.meter.last
        table.add_row(
            str(view.camera),
            view.clip.codec,
            view.transport,
            f"{fps:.1f}",
            bits(bit_rate),
            str(view.lost),
            str(view.decoded),
            clock(last.time if last is not None else None),
        )
    return table


def _sentence(result: dict[str, Any]) -> str:
    """Say how one stream did."""
    rest = f"{result['decoded']} decoded, {result['lost']} lost"
    stream = f"camera {result['camera']} {result['codec']} over {result['transport']}"
    if result["error"] is not None:
        return f"{stream}: WRONG: {result['error']}; {rest}"
    if result["file"] is None:
        return f"{stream}: WRONG: no picture; {rest}"
    name, number = Path(result["file"]).name, result["number"]
    if result["ok"]:
        return f"{name} shows picture {number}: right; {rest}"
    return f"{name} shows picture {number}: WRONG: it is {result['expected']}; {rest}"


def _made(folder: Path | None) -> Path:
    """Make the folder, or a temporary one; exit where that cannot be."""
    try:
        if folder is None:
            return Path(tempfile.mkdtemp(prefix="nvrclient-demo-"))
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"--folder: cannot make it: {error}", USAGE)
    return folder
