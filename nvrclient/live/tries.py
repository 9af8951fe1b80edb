"""What is tried until a camera's first picture comes: over which transport, as which codec (a wrong COMP is silence)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from nvrclient.errors import (
    AuthenticationError,
    CertificateMismatchError,
    CommandError,
    ConnectionFailedError,
    NVRError,
    StreamEndedError,
    StreamStalledError,
    UnsupportedMediaError,
)
from nvrclient.frames import Codec
from nvrclient.live.wanted import Transport, Wanted
from nvrclient.tasks import BugError

Try: TypeAlias = tuple[Transport, Codec]

BAD_REQUEST = 400
"""The status of a START whose COMP or PORT the recorder does not take."""

FATAL = (AuthenticationError, CertificateMismatchError, BugError)
"""What another try does not heal."""


def tries_for(wanted: Wanted, proved: Try | None = None) -> list[Try]:
    """Return what to try, in order.

    With `proved`, what has given pictures, the camera may have been set to another codec since, or the way be closed: each
    other try, its codec over another transport first, stands between two of the proved one. JPEG is none of them: cameras
    have it beside their video.
    """
    codecs = [Codec.H264, Codec.H265, Codec.JPEG]
    likely = proved[1] if proved is not None else wanted.codec
    if likely is not None:
        codecs = [likely] if wanted.codec_is_sure else sorted(codecs, key=lambda c: c != likely)
    transports: list[Transport] = ["udp", "http"]
    if wanted.transport != "auto":
        transports = [wanted.transport]
    tries: list[Try] = [
        (transport, codec)
        for transport in transports
        for codec in codecs
        if not (transport == "udp" and codec is Codec.JPEG)  # JPEG comes over HTTP only (2.2)
    ]
    if proved is None:
        return tries
    others = [one for one in tries if one != proved and one[1] is not Codec.JPEG]
    others.sort(key=lambda one: one[1] != proved[1])
    return [one for other in others for one in (proved, other)] or [proved]


def next_try(error: NVRError, tries: Sequence[Try], at: int, *, accepted: bool) -> int | None:
    """Return the try that makes sense after `error`, before any picture has come; None: there is none.

    `accepted`: a START was, so that a refusal says something of this one only.
    """
    left = range(at + 1, len(tries))
    if isinstance(error, StreamStalledError | StreamEndedError) or (
        isinstance(error, CommandError) and (error.status == BAD_REQUEST or accepted)
    ):
        return next(iter(left), None)
    if isinstance(error, CommandError | ConnectionFailedError) and not isinstance(error, FATAL):
        return next((index for index in left if tries[index][0] != tries[at][0]), None)
    return None


def nothing_came(
    error: NVRError, camera: int, tries: Sequence[Try], packets: int, *, placeholder: bool
) -> NVRError:
    """Return what to raise where nothing decodable ever came: it says what was tried."""
    codecs = sorted({codec for _, codec in tries})
    if len(codecs) > 1:
        return UnsupportedMediaError(
            f"live camera {camera}: no picture with any codec tried ({', '.join(codecs)};"
            f" {packets} packets came in all); is the camera connected, and may this user watch it?"
        )
    if placeholder:
        return UnsupportedMediaError(
            f"live camera {camera}: it has no JPEG stream (the recorder sends a placeholder picture"
            " instead); ask for H264 or H265"
        )
    return error
