"""Every exception a caller can meet.

Misuse (a wrong argument, a closed session) is ``ValueError``, ``TypeError`` or ``RuntimeError``. Everything
else that goes wrong is an ``NVRError``, and nothing of httpx, ssl or OSError ever reaches a caller::

    NVRError
    ├── ConnectionFailedError        the recorder cannot be reached, or the connection broke
    │   └── CertificateMismatchError the recorder's certificate is not the one that was trusted
    ├── AuthenticationError          user name or password refused; never tried again by itself
    ├── SessionLimitError            no UID or stream is free; ``retry_after`` in seconds
    ├── CommandError                 the recorder answered a command with an error; ``command``, ``status``
    ├── RecorderBusyError            refused for now; ``retry_after`` in seconds
    ├── NoRecordingError             nothing is recorded at the time asked for
    ├── UnsupportedMediaError        the camera has no stream of the codec asked for
    ├── ProtocolError                an answer that fits no reading of the specification
    ├── StreamStalledError           a stream that gives no pictures
    ├── StreamEndedError             the recorder closed the stream
    ├── BufferOverflowError          the consumer was too slow and had asked for an error
    └── DownloadError                a download that cannot be stored, or contradicts itself
        ├── UnsafeFileNameError      the recorder names a file as no file may be named; nothing was written
        └── TruncatedDownloadError   it broke off; what is whole is kept, and running it again resumes

Messages name what was being done, to what, what came back and what to try. They never hold a password, a UID
or a digest.
"""

from __future__ import annotations

import re
from typing import Any

_UID = re.compile(rb"(UID)(=|%3D|&#61;|\"?\s*[:=]\s*\"?)[0-9]+", re.IGNORECASE)


class NVRError(Exception):
    """Base class: catch this to catch everything that a recorder or a network can do wrong."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception pickles by calling the class with args, which does not fit keyword-only fields.
        return (_restore, (type(self), self.args, self.__dict__.copy()))


def _restore(cls: type[NVRError], args: tuple[Any, ...], state: dict[str, Any]) -> NVRError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ConnectionFailedError(NVRError):
    """No connection: refused, unreachable, timed out, reset, or a TLS handshake that failed.

    ``sent`` is False where nothing of a command went out, so that it was not done.
    """

    def __init__(self, message: str, *, sent: bool = True) -> None:
        super().__init__(message)
        self.sent = sent


class CertificateMismatchError(ConnectionFailedError):
    """The certificate shown is not one that ``verify`` trusts; raised before any credential is sent."""


class AuthenticationError(NVRError):
    """The recorder refused the user name or password, or asks for a scheme other than digest.

    One wrong credential is sent, once; the session then sends no other until a new one is opened, since
    recorders lock accounts.
    """


class SessionLimitError(NVRError):
    """No UID or no stream is free on the recorder, or ``max_uids`` of this session are in use."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class CommandError(NVRError):
    """The recorder answered ``command`` with an error.

    ``status`` is the HTTP status, None where there was none.
    """

    def __init__(self, message: str, *, command: str, status: int | None) -> None:
        super().__init__(message)
        self.command = command
        self.status = status


class RecorderBusyError(NVRError):
    """The recorder refuses for now; trying again after ``retry_after`` seconds can succeed."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NoRecordingError(NVRError):
    """Nothing is recorded there: at the time asked for and after it, or before the first or behind the last picture."""


class UnsupportedMediaError(NVRError):
    """The camera does not send the codec asked for, or none of those this library knows."""


class ProtocolError(NVRError):
    """An answer fits no reading of the specification.

    ``reading`` is what was being read, ``offset`` where in the answer reading stopped, and ``head`` the first
    bytes there (at most 32), a UID in them masked.
    """

    def __init__(
        self, message: str, *, reading: str, offset: int | None = None, head: bytes = b""
    ) -> None:
        super().__init__(message)
        self.reading = reading
        self.offset = offset
        self.head = _UID.sub(rb"\1\2***", head)[:32]


class StreamStalledError(NVRError):
    """A stream gives no complete picture, although the recorder accepted it."""


class StreamEndedError(NVRError):
    """The recorder closed the stream."""


class BufferOverflowError(NVRError):
    """The consumer did not keep up and the stream was opened with ``when_full="error"``."""


class DownloadError(NVRError):
    """A download cannot go on: the folder or its disk refuses, a limit is passed, or the recorder contradicts itself."""


class UnsafeFileNameError(DownloadError):
    """The recorder sent a file name that could harm: a path, a device, hidden, too long, or of other characters."""


class TruncatedDownloadError(DownloadError):
    """A file broke off or came damaged. Nothing short is left under a final name; running it again resumes."""
