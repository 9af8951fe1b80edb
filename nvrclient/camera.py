"""Camera: the caller's handle on one camera of a recorder."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from os import PathLike
from pathlib import Path
from typing import Any, Literal, get_args

from nvrclient.commands import control as commands
from nvrclient.commands.download import Kind, requests
from nvrclient.connection import Connection
from nvrclient.control import NOBODY, Controls, HeldMove
from nvrclient.download import Download, DownloadProgress, Limits, Store
from nvrclient.frames import Codec
from nvrclient.live import LiveStream
from nvrclient.live.buffer import POLICIES, WhenFull
from nvrclient.live.wanted import Wanted
from nvrclient.playback import Playback
from nvrclient.snapshot import take_snapshot

TransportOption = Literal["http", "udp", "auto"]

MAX_CAMERA = 0xFFFF
"""Camera numbers are 16 bits in the recorder's information (chapter 7, TLV 0x0004)."""


class Camera:
    """One camera of a recorder, by its number there. Making one sends nothing."""

    __slots__ = ("_connection", "_controls", "_owner", "number")

    def __init__(
        self, connection: Connection, owner: object, controls: Controls, number: int
    ) -> None:
        if isinstance(number, bool) or not isinstance(number, int):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"camera: a number, not {type(number).__name__}")
        if not 1 <= number <= MAX_CAMERA:
            raise ValueError(f"camera: 1…{MAX_CAMERA}, not {number}")
        self.number = number
        self._connection = connection
        self._controls = controls
        self._owner = owner

    def __reduce__(self) -> Any:
        raise TypeError(
            "a camera is neither pickled nor copied; pass the recorder's URL and the camera's number"
        )

    def __repr__(self) -> str:
        return f"<Camera {self.number} of {self._connection.address.url}>"

    def live(
        self,
        codec: Codec | str | None = None,
        *,
        transport: TransportOption = "http",
        audio: bool | Codec | str = False,
        when_full: WhenFull = "gop",
        buffer_bytes: int = 16 << 20,
        shared: bool = True,
    ) -> LiveStream:
        """Return a live stream, not yet open: ``async with`` it (specification chapter 2).

        `codec`: of the video; None tries H.264, H.265 and JPEG in turn, `stall_timeout` each, since a wrong one is
        answered by silence, and remembers what the camera sends.
        `transport`: "http", "udp" (RTP to a port of this computer), or "auto": UDP, and HTTP when no packet comes.
        `audio`: True to have it too; or its Codec, where UDP cannot tell it. It begins with the first picture. A
        camera without it costs no picture: ``stream.stats.audio_problem`` says why there is none.
        `when_full`: what happens when `buffer_bytes` of payload wait for the consumer. "gop" drops whole GOPs,
        oldest first; "latest" keeps only the newest GOP; "block" stops reading (HTTP; never shared; what one read of
        64 KiB brings comes on top); "error" raises BufferOverflowError. What is dropped is counted and told as ``Discontinuity("overflow")``.
        `shared`: streams that ask for the same share one on the recorder, each with its own buffer.

        Raises ValueError or TypeError for an option that can mean nothing.
        """
        wanted_codec = None if codec is None else _codec(codec, video=True)
        if transport not in get_args(TransportOption):
            raise ValueError(f'transport: "http", "udp" or "auto", not {transport!r}')
        if wanted_codec is Codec.JPEG and transport == "udp":
            raise ValueError('JPEG comes over HTTP only (specification 2.2): transport="http"')
        if when_full not in POLICIES:
            raise ValueError(f'when_full: "gop", "latest", "block" or "error", not {when_full!r}')
        if when_full == "block" and transport != "http":
            raise ValueError('when_full="block" needs transport="http": UDP cannot be held up')
        if not buffer_bytes > 0:
            raise ValueError(f"buffer_bytes: more than 0, not {buffer_bytes}")
        return LiveStream(
            self._connection,
            self._owner,
            Wanted(
                camera=self.number,
                codec=wanted_codec or self._connection.codecs.get(self.number),
                codec_is_sure=wanted_codec is not None,
                transport=transport,
                audio=bool(audio),
                audio_codec=None if isinstance(audio, bool) else _codec(audio, video=False),
                shared=shared and when_full != "block",
            ),
            when_full=when_full,
            buffer_bytes=buffer_bytes,
        )

    def playback(
        self,
        start: datetime | None = None,
        *,
        end: datetime | None = None,
        audio: bool = False,
        speed: float | None = 1.0,
    ) -> Playback:
        """Return a playback of this camera's recordings, not yet open: ``async with`` it (specification chapter 3).

        `start`, `end`: aware datetimes; without `start` it begins where the recorder does. It begins with the GOP that
        holds `start`, whose earlier pictures come with ``shown=False``; pictures after `end` are not given.
        `audio`: have it too, in the order of time. `speed`: 1.0 gives pictures at the pace they were recorded, 2.0 at
        twice that, None as fast as the recorder and the consumer are.

        It has a UID of its own. Raises ValueError or TypeError for an option that can mean nothing.
        """
        return Playback(
            self._connection, self._owner, (self.number,), start, end, audio=audio, speed=speed
        )

    async def download(
        self,
        start: datetime,
        end: datetime,
        to: str | PathLike[str],
        *,
        kind: Kind = "mp4",
        audio: bool = True,
        progress: Callable[[DownloadProgress], object] | None = None,
        max_files: int | None = None,
        max_bytes: int | None = None,
    ) -> list[Path]:
        """Download what is recorded between two times into the folder `to`; return the files in order (6.3).

        `start`, `end`: aware datetimes, any time apart; rounded outward to whole minutes, and asked for hour by hour.
        `kind`: "mp4"; "n3" (i-PRO's own N3R and N3A files); "list" (of what is recorded). `audio`: with its sound.
        `progress` is called with a DownloadProgress for each file that is whole, and up to ten times a second in
        between; what it raises ends the download. `max_files`, `max_bytes`: more is a DownloadError; when not given,
        1000 files and 64 GiB an hour.

        A file has its final name only when it is whole and on the disk; nothing existing is overwritten. The folder is
        made where it is missing, and ``nvrclient-manifest.json`` in it tells what each file is. Files that an earlier run
        finished for the same request are kept: a download that broke off or was cancelled resumes when it is run again.
        Answers that break off are asked for again (not with ``reconnect=False``). Hours without recording are logged,
        in the manifest and in `progress`.

        Two downloads of a session run at a time, request by request, in the order of asking; the others wait. One that
        waits 30 s for a byte (6 times `stall_timeout`), 120 s for the first, counts as broken off.

        Raises NoRecordingError where nothing at all is recorded; UnsupportedMediaError for MP4 of a JPEG recording;
        RecorderBusyError when others take up the recorder for five minutes; UnsafeFileNameError for a file name that
        could harm; TruncatedDownloadError, DownloadError (the disk, a limit), SessionLimitError, CommandError,
        ConnectionFailedError, ProtocolError; ValueError or TypeError for what can mean nothing. Cancelling it leaves
        the whole files and no other, and frees the recorder.
        """
        asked = requests(self.number, start, end, kind, audio=audio)
        limits = Limits(asked, max_files, max_bytes)
        self._connection.check_usable()
        store = Store(self._connection, self._owner, asked, limits, Path(to), progress)
        return await store.run()

    def open_download(
        self,
        start: datetime,
        end: datetime,
        *,
        kind: Kind = "mp4",
        audio: bool = True,
        max_files: int | None = None,
        max_bytes: int | None = None,
    ) -> Download:
        """Return the files of a range as they come, not yet open, for those who store them elsewhere.

        ::

            async with camera.open_download(start, end) as files:
                async for file in files:
                    async for chunk in file:
                        ...
                    print(file.name, "is whole")

        Options and errors as `download`; nothing is tried again. Raises ValueError or TypeError for what can mean
        nothing.
        """
        asked = requests(self.number, start, end, kind, audio=audio)
        limits = Limits(asked, max_files, max_bytes)
        return Download(self._connection, self._owner, asked, limits)

    async def snapshot(self) -> bytes:
        """Return the picture of now as a JPEG file.

        It is the camera's own JPEG, byte for byte, where the camera sends JPEG (2.2, over HTTP): the next that comes.
        Otherwise a key frame of its H.264 or H.265 is decoded and encoded in a worker thread (extra ``media``), at most
        a GOP old. A live stream of the camera that runs already is shared. Finding out that no JPEG comes can take
        `stall_timeout`, once: what worked is remembered. Without a running stream two snapshots of a camera are 3 s
        apart, since recorders want that between two STARTs (`command_interval`); for more, iterate ``live("jpeg")``.

        Raises UnsupportedMediaError when no codec gives a picture, or PyAV is missing; StreamStalledError when no key
        frame comes within `timeout`; what opening a live stream raises. Cancelling it stops the stream it started.
        """
        return await take_snapshot(self._connection, self._owner, self.number)

    async def move(
        self,
        pan: int | None = None,
        tilt: int | None = None,
        zoom: int | None = None,
        *,
        steps: Literal[16, 256] = 16,
    ) -> None:
        """Pan, tilt and zoom at a speed; i-PRO cameras move for about 2 s and stop (specification 4.2.1, 4.2.2).

        `pan`: -16 (left, fast) … 16 (right, fast), 0 stops it; `tilt`: -16 (up) … 16 (down); with ``steps=256`` both
        -256 … 256. `zoom`: -4 (wide) … 4 (tele). An axis that is None is left out: it goes on with what it does.

        This and the other commands below ride on the UID of the camera's live stream, where there is one. Those of one
        camera go out in the order of the calls, each when the one before is answered, and 0.2 s apart at least.

        Raises ValueError that names the range, or TypeError for what is no whole number, before anything is sent;
        CommandError where the recorder refuses, and with ``status`` None where no answer came: the command may have been
        done then, and was not sent again. SessionLimitError, ConnectionFailedError, AuthenticationError: it was not sent.
        Cancelling it takes back what was not sent yet.
        """
        await self._controls.send(
            self.number,
            lambda uid: commands.move(uid, self.number, pan=pan, tilt=tilt, zoom=zoom, steps=steps),
        )

    async def stop(self) -> None:
        """Stop pan, tilt and zoom (4.1.1), behind the commands called before; raises as `move`.

        A stop whose answer is lost is sent a second time. Cancelling it does not take it back.
        """
        await self._controls.stop(self.number)

    def moving(
        self,
        pan: int | None = None,
        tilt: int | None = None,
        zoom: int | None = None,
        *,
        steps: Literal[16, 256] = 16,
    ) -> HeldMove:
        """Return a move that is held while its block runs: ``async with camera.moving(pan=5): …``; values as `move`.

        It is sent again every second, and leaving the block stops the camera, whatever happens. Raises ValueError or
        TypeError; entering and leaving raise as `move`.
        """
        return HeldMove(
            self._controls,
            self.number,
            lambda uid: commands.move(uid, self.number, pan=pan, tilt=tilt, zoom=zoom, steps=steps),
        )

    async def center_on(self, x: int, y: int, *, mirror: bool = False) -> None:
        """Move what is at x, y of the image to about its centre (4.2.3); raises as `move`.

        `x`, `y`: 0…32, with (0, 0) at the top left [open: the specification's figure can be read as top right];
        `mirror` counts x from the other side.
        """
        commands.center(NOBODY, self.number, x, y)  # x is checked as it was given
        await self._controls.send(
            self.number,
            lambda uid: commands.center(
                uid, self.number, commands.POSITION[-1] - x if mirror else x, y
            ),
        )

    async def focus(self, way: Literal["near", "far", "auto"]) -> None:
        """Focus nearer, farther, or automatically (4.2.4); raises as `move`."""
        await self._controls.send(self.number, lambda uid: commands.focus(uid, self.number, way))

    async def iris(self, way: Literal["open", "close", "reset"]) -> None:
        """Open or close the iris, or put it back to its default (4.2.5); raises as `move`."""
        await self._controls.send(self.number, lambda uid: commands.iris(uid, self.number, way))

    async def save_preset(self, number: int) -> None:
        """Register the position the camera is in as preset 1…256 (4.2.6); raises as `move`."""
        await self._controls.send(
            self.number, lambda uid: commands.save_preset(uid, self.number, number)
        )

    async def goto_preset(self, number: int) -> None:
        """Move to preset 1…256 (4.2.7); raises as `move`."""
        await self._controls.send(
            self.number, lambda uid: commands.go_to_preset(uid, self.number, number)
        )

    async def aux(self, number: int, way: Literal["open", "close"]) -> None:
        """Open or close auxiliary output 1…8 (4.2.8); raises as `move`."""
        await self._controls.send(
            self.number, lambda uid: commands.aux(uid, self.number, number, way)
        )


def _codec(value: Codec | str, *, video: bool) -> Codec:
    names = ", ".join(codec for codec in Codec if codec.is_video == video)
    try:
        codec = Codec(value)
    except ValueError:
        raise ValueError(f"codec: one of {names}, not {value!r}") from None
    if codec.is_video != video:
        raise ValueError(f"codec: one of {names} here, not {codec}")
    return codec
