"""Snapshots: one picture of a camera, as a JPEG file.

The picture is the first that a live stream gives: the camera's own JPEG (2.2, over HTTP) where there is such a stream,
otherwise a key frame of H.264 or H.265, decoded and encoded by PyAV. A stream that runs already is shared. What gave a
picture is remembered for each camera: a recorder answers a stream that a camera does not have by silence, and finding
that out takes `stall_timeout`.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from importlib.util import find_spec

from anyio import to_thread

from nvrclient.connection import Connection
from nvrclient.errors import (
    CommandError,
    ConnectionFailedError,
    NVRError,
    ProtocolError,
    RecorderBusyError,
    SessionLimitError,
    StreamEndedError,
    StreamStalledError,
    UnsupportedMediaError,
)
from nvrclient.frames import Codec, NalUnit, VideoFormat, VideoFrame
from nvrclient.live import LiveStream
from nvrclient.live.source import LiveSource
from nvrclient.live.tries import BAD_REQUEST
from nvrclient.live.wanted import Wanted
from nvrclient.tasks import bugs_told

logger = logging.getLogger("nvrclient.snapshot")

BUFFER = 16 << 20
"""Bytes of the newest GOP taken over from a running stream: as many as it holds at most."""

LOOK = 0.05
"""Seconds between two looks whether the placeholder for "no JPEG stream" comes; it is no picture, so nothing tells."""


async def take_snapshot(connection: Connection, owner: object, camera: int) -> bytes:
    """Return a picture of the camera as a JPEG file; see ``Camera.snapshot``."""
    connection.check_usable()
    with bugs_told(f"snapshot of camera {camera}"):
        return await _taken(connection, owner, camera)


async def _taken(connection: Connection, owner: object, camera: int) -> bytes:
    worked = connection.snapshot_codecs
    failures: dict[Codec, NVRError] = {}
    for codec in _order(connection, camera, worked.get(camera)):
        if codec is not Codec.JPEG and find_spec("av") is None:
            raise _media_is_missing(camera, failures.get(Codec.JPEG))
        wanted = _running(connection, camera).get(codec)
        if wanted is None:
            wanted = Wanted(camera, codec, True, "http", False, None, shared=True)
        try:
            jpeg = await _picture(connection, owner, wanted)
        except NVRError as error:
            if not _another_may_do(error, codec, _running(connection, camera)):
                raise
            failures[codec] = error
            logger.debug("snapshot of camera %d: %s", camera, error)
            continue
        if not isinstance(failures.get(Codec.JPEG), SessionLimitError | RecorderBusyError):
            worked[camera] = codec
        return jpeg
    raise _no_picture(camera, failures)


def _order(connection: Connection, camera: int, worked: Codec | None) -> list[Codec]:
    """Return the codecs to try: the camera's own JPEG before what has to be decoded, but first what worked last time."""
    codecs = [Codec.JPEG, Codec.H264, Codec.H265]
    runs = [codec for codec in _running(connection, camera) if codec is not Codec.JPEG]
    if runs:
        codecs = [Codec.JPEG, *runs]
    elif connection.codecs.get(camera) is Codec.H265:
        codecs = [Codec.JPEG, Codec.H265, Codec.H264]
    return sorted(codecs, key=lambda codec: codec is not worked)


def _running(connection: Connection, camera: int) -> dict[Codec, Wanted]:
    """Return what to want in order to share a live stream of the camera that runs already, by codec."""
    found: dict[Codec, Wanted] = {}
    for source in tuple(connection.streams):
        if not isinstance(source, LiveSource) or source.wanted.camera != camera:
            continue
        wanted = replace(source.wanted, audio=False, audio_codec=None)
        codec = source.demuxer.video.codec
        if codec is not None and source.serves(wanted):
            found.setdefault(codec, wanted)
    return found


def _another_may_do(error: NVRError, codec: Codec, running: dict[Codec, Wanted]) -> bool:
    """Whether another codec may give a picture where this one failed."""
    if isinstance(error, SessionLimitError):  # a stream that runs already needs no UID
        return codec is Codec.JPEG and any(one is not Codec.JPEG for one in running)
    if isinstance(error, CommandError):
        return error.status == BAD_REQUEST
    return isinstance(
        error,
        ProtocolError
        | RecorderBusyError
        | StreamEndedError
        | StreamStalledError
        | UnsupportedMediaError,
    )


async def _picture(connection: Connection, owner: object, wanted: Wanted) -> bytes:
    """Open the stream, return its first picture as a JPEG file, and close it."""
    options = connection.options
    seconds = max(options.timeout, options.stall_timeout + 1.0)
    stream = LiveStream(connection, owner, wanted, when_full="gop", buffer_bytes=BUFFER)
    async with stream:
        try:
            async with asyncio.timeout(seconds):
                return await _first_picture(stream)
        except TimeoutError:
            raise StreamStalledError(
                f"snapshot of camera {wanted.camera}: no key frame of {stream.codec} came within"
                f" {seconds:g} s, though its stream runs ({stream.state}); how long are its GOPs?"
            ) from None


async def _first_picture(stream: LiveStream) -> bytes:
    """Return the first picture that is whole, as a JPEG file; a damaged one is passed over, another will come."""
    while True:
        frame = await _next_picture(stream)
        if frame.codec is Codec.JPEG:
            return frame.data
        if frame.keyframe:
            try:
                return await to_thread.run_sync(_encoded, frame, stream.format)
            except ProtocolError as damage:
                logger.info("snapshot of camera %d: %s", frame.camera, damage)


async def _next_picture(stream: LiveStream) -> VideoFrame:
    """Return the stream's next picture. Raises UnsupportedMediaError as soon as a placeholder comes instead."""
    pictures = stream.video()
    while True:
        try:
            async with asyncio.timeout(LOOK):
                frame = await anext(pictures, None)
        except TimeoutError:
            if stream.stats.dropped.get("placeholder"):
                raise UnsupportedMediaError("a placeholder comes instead of its JPEG") from None
            continue
        if frame is None:
            raise ConnectionFailedError("snapshot: the session was closed meanwhile")
        return frame


def _encoded(frame: VideoFrame, known: VideoFormat | None) -> bytes:
    """Decode a key frame and encode it as JPEG: tens of milliseconds of CPU, for a worker thread.

    `known`: the stream's format; its parameter sets are the frame's where it brings none of its own.
    """
    from nvrclient.media.decode import VideoDecoder  # noqa: PLC0415  the extra is imported where it is needed

    if known is not None and not any(unit.is_parameter_set for unit in frame.nal_units):
        sets = (NalUnit(unit, frame.codec, 0, 0) for unit in known.parameter_sets)
        frame = replace(frame, nal_units=(*sets, *frame.nal_units))
    decoder = VideoDecoder()
    pictures = [*decoder.decode(frame), *decoder.flush()]
    if not pictures:
        raise ProtocolError(
            f"decoding {frame!r}: it gave no picture", reading=f"{frame.codec} picture"
        )
    return pictures[0].to_jpeg()


def _media_is_missing(camera: int, failure: NVRError | None) -> UnsupportedMediaError:
    why = f" ({failure})" if failure is not None else ""
    return UnsupportedMediaError(
        f"snapshot of camera {camera}: no JPEG comes from it{why}, and to make one of its H.264 or H.265"
        " takes PyAV: pip install 'nvrclient[media]'"
    )


def _no_picture(camera: int, failures: dict[Codec, NVRError]) -> NVRError:
    """Every codec was tried: say what came of each; another error than silence is raised as it is."""
    for error in failures.values():
        if not isinstance(error, StreamStalledError | StreamEndedError | UnsupportedMediaError):
            return error
    ended = [error for error in failures.values() if isinstance(error, StreamEndedError)]
    if len(ended) == len(failures):
        return ended[-1]
    tried = "; ".join(f"{codec}: {error}" for codec, error in failures.items())
    return UnsupportedMediaError(
        f"snapshot of camera {camera}: no picture with any codec; is it connected, and may this user watch"
        f" it? ({tried})"
    )
