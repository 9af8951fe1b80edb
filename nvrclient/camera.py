"""Camera: the caller's handle on one camera of a recorder."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, get_args

from nvrclient.connection import Connection
from nvrclient.frames import Codec
from nvrclient.live import LiveStream
from nvrclient.live.buffer import POLICIES, WhenFull
from nvrclient.live.wanted import Wanted
from nvrclient.playback import Playback

TransportOption = Literal["http", "udp", "auto"]

MAX_CAMERA = 0xFFFF
"""Camera numbers are 16 bits in the recorder's information (chapter 7, TLV 0x0004)."""


class Camera:
    """One camera of a recorder, by its number there. Making one sends nothing."""

    __slots__ = ("_connection", "_owner", "number")

    def __init__(self, connection: Connection, owner: object, number: int) -> None:
        if isinstance(number, bool) or not isinstance(number, int):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"camera: a number, not {type(number).__name__}")
        if not 1 <= number <= MAX_CAMERA:
            raise ValueError(f"camera: 1…{MAX_CAMERA}, not {number}")
        self.number = number
        self._connection = connection
        self._owner = owner

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


def _codec(value: Codec | str, *, video: bool) -> Codec:
    names = ", ".join(codec for codec in Codec if codec.is_video == video)
    try:
        codec = Codec(value)
    except ValueError:
        raise ValueError(f"codec: one of {names}, not {value!r}") from None
    if codec.is_video != video:
        raise ValueError(f"codec: one of {names} here, not {codec}")
    return codec
