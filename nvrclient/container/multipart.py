"""Multipart bodies, read step by step: what live streams and downloads share (specification 2.2, 6.3.1; RFC 2046).

One part on the wire::

    --myboundary CRLF                           the delimiter
    Content-type: application/octet-stream CRLF
    Content-Length: 1428 CRLF
    CRLF
    1428 bytes                                  the body
    CRLF                                        may be missing, or doubled

`live.PartReader` is for live streams: whole parts, a bad one dropped and counted, in step again at the next delimiter.
`parts.MultipartParser` is for downloads: bodies of any size piece by piece, and an error where a live stream would skip.

The delimiter is the first line that begins with ``--``, whatever the response's Content-Type declared:
recorders declare it with the two hyphens, quoted, or not at all.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from enum import Enum, auto
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from nvrclient.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_HEADER_BYTES = 8 << 10
"""Largest header block of a part; recorders send about 70 bytes."""

MAX_HEADERS = 32
"""Most header lines of a part; recorders send two, in a download five."""

MAX_PREAMBLE_BYTES = 64 << 10
"""Most bytes before the first delimiter. More is no multipart body but, say, a page of HTML."""

MAX_DELIMITER_BYTES = 16 << 10
"""Longest delimiter. RFC 2046 allows 72 bytes; the room is for equipment that does not care."""

MAX_BREAK_BYTES = 8
"""Most line-end bytes between a body and its delimiter: CRLF doubled, and doubled again."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.6.2
_DIGITS = re.compile(r"[0-9]+")  # int() also takes signs, underscores, other scripts' digits
_LINE_REST = re.compile(rb"--|[ \t]{0,64}\r?\n")  # behind a delimiter: closing mark, or line end
_LINE_REST_CUT = re.compile(rb"-|[ \t]{0,64}\r?")  # the beginning of either

NO = -1
MORE = -2  # the bytes so far do not tell

Buffer: TypeAlias = bytes | bytearray
_T = TypeVar("_T")


class State(Enum):
    """Where a reader is."""

    LEARN = auto()  # before the first delimiter
    HEADERS = auto()
    SIZED = auto()  # in a body with a Content-Length, which is never searched
    OPEN = auto()  # in a body without one, which ends at line end + delimiter
    BOUNDARY = auto()  # after a body: the delimiter must come
    SEEK = auto()  # out of step, or after the closing mark: look for the next delimiter


class Head:
    """A header block, read. ``length`` is None if there was no Content-Length."""

    __slots__ = ("content_type", "headers", "length")

    def __init__(self, headers: dict[str, str], length: int | None) -> None:
        self.headers: Mapping[str, str] = headers
        self.content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        self.length = length


class _BadHeadersError(ValueError):
    pass


class _BadLengthError(ValueError):
    pass


def find(buffer: Buffer, needle: bytes, start: int, end: int) -> int:
    """Search; every one that a hostile stream could make long passes here, so that tests can count the bytes looked at."""
    return buffer.find(needle, start, end)


def cut(buffer: Buffer, start: int, end: int) -> bytes:
    """Copy a piece, once."""
    if isinstance(buffer, bytes):
        return buffer[start:end]
    # A slice of a bytearray is another bytearray, which would be copied again.
    with memoryview(buffer) as view:
        return bytes(view[start:end])


def _parse_head(block: bytes, max_body: int) -> Head:
    """Read a header block without its blank line.

    Raises _BadHeadersError, or _BadLengthError for a Content-Length that is no plain number, is over
    ``max_body`` or is given twice with two values.
    """
    if block.count(b"\n") >= MAX_HEADERS or b"\x00" in block:
        raise _BadHeadersError
    headers: dict[str, str] = {}
    length: str | None = None
    for line in block.decode("latin-1").split("\n") if block else ():
        name, colon, value = line.partition(":")
        name = name.strip(" \t").lower()
        value = value.strip(" \t\r")
        if not colon or not _TOKEN.fullmatch(name):
            raise _BadHeadersError
        if name == "content-length":
            if length not in {None, value}:
                raise _BadLengthError
            length = value
        headers[name] = value
    if length is None:
        return Head(headers, None)
    too_long = (
        len(length) > len(str(max_body)) + 1
    )  # more than one leading zero, or over max_body in any case
    if too_long or not _DIGITS.fullmatch(length) or int(length) > max_body:
        raise _BadLengthError
    return Head(headers, int(length))


class Reader(ABC, Generic[_T]):
    """Delimiters and header blocks; what becomes of bodies and of faults is the subclass's."""

    __slots__ = (
        "_blankless",
        "_buffer",
        "_delimiter",
        "_fresh",
        "_head",
        "_hungry",
        "_max_body",
        "_preamble_left",
        "_scanned",
        "_state",
        "bytes",
        "completed",
        "parts",
        "truncated",
    )

    def __init__(self, max_body: int) -> None:
        self.bytes = 0
        self.parts = 0
        self.truncated = False
        self.completed: list[_T] = []  # by the bytes before an error, in the feed that raised it
        self._max_body = max_body
        self._buffer = bytearray()  # what came and is not used yet
        # Where in the buffer searches go on, so that none looks at the same bytes again and again:
        self._scanned = 0  # for a line or a delimiter
        self._blankless = 0  # for the blank line behind headers
        self._state = State.LEARN
        self._hungry = False
        self._delimiter = b""
        self._fresh = False  # an open body begins at the position: it may be empty
        self._head = Head({}, None)
        self._preamble_left = MAX_PREAMBLE_BYTES

    def feed(self, data: bytes) -> list[_T]:
        """Take the next bytes of the body and return what they complete, in order; often nothing."""
        self.bytes += len(data)
        buffer: Buffer = data
        if len(self._buffer) > len(data):
            self._buffer += data
            buffer = self._buffer
        elif self._buffer:
            # A small rest: many parts are in `data`, and bytes are cut faster than a bytearray.
            buffer = data = b"".join((self._buffer, data))
            self._buffer.clear()
        out: list[_T] = []
        pos = 0
        self._hungry = False
        try:
            while not self._hungry:
                pos = self._step(buffer, pos, out)
        except ProtocolError:
            self._buffer = bytearray()
            self.completed = out
            raise
        if buffer is data:
            self._buffer += data[pos:]
        else:
            del self._buffer[:pos]
        self._scanned = max(0, self._scanned - pos)
        self._blankless = max(0, self._blankless - pos)
        return out

    def close(self) -> list[_T]:
        """Say that the body has ended; ``truncated`` then tells whether it ended inside a part.

        A last part whose stated length had come, but not yet the delimiter behind it, is returned.
        """
        out: list[_T] = []
        if self._state is State.SIZED and len(self._buffer) >= (self._head.length or 0):
            self._last(out)
        inside = self._state in {State.HEADERS, State.SIZED, State.OPEN}
        between = self._state in {State.LEARN, State.BOUNDARY}
        self.truncated = inside or (between and bool(self._buffer.strip(b"\r\n")))
        self._buffer = bytearray()
        return out

    def _step(self, buffer: Buffer, pos: int, out: list[_T]) -> int:
        """Do one state's work from ``pos`` and return where the next begins; set ``_hungry`` to wait for data."""
        match self._state:
            case State.BOUNDARY:
                return self._boundary(buffer, pos, out)
            case State.HEADERS:
                return self._headers(buffer, pos, out)
            case State.SIZED:
                return self._sized(buffer, pos, out)
            case State.OPEN:
                return self._open(buffer, pos, out)
            case State.SEEK:
                return self._seek(buffer, pos)
            case State.LEARN:
                return self._learn(buffer, pos)

    def _wait(self, pos: int) -> int:
        self._hungry = True
        return pos

    def _enter(self, state: State, pos: int) -> int:
        self._state = state
        self._scanned = pos
        return pos

    def _error(self, message: str, buffer: Buffer, pos: int) -> ProtocolError:
        return ProtocolError(
            f"multipart body, {message}",
            reading="multipart body",
            offset=self.bytes - len(buffer) + pos,
            head=bytes(buffer[pos : pos + 32]),
        )

    def _learn(self, buffer: Buffer, pos: int) -> int:
        newline = find(buffer, b"\n", max(pos, self._scanned), len(buffer))
        end = len(buffer) if newline < 0 else newline + 1
        if end - pos > self._preamble_left:
            raise self._error("no delimiter found: is it multipart at all?", buffer, pos)
        if newline < 0:
            self._scanned = end
            return self._wait(pos)
        self._preamble_left -= end - pos
        line = bytes(buffer[pos:newline]).rstrip()
        if not line.startswith(b"--") or len(line) > MAX_DELIMITER_BYTES:
            return self._enter(State.LEARN, end)
        self._learned(line)
        return self._enter(State.HEADERS, end)

    def _learned(self, delimiter: bytes) -> None:
        self._delimiter = delimiter

    def _seek(self, buffer: Buffer, pos: int) -> int:
        delimiter = self._delimiter
        at = find(buffer, delimiter, max(pos, self._scanned), len(buffer))
        if at < 0:
            self._scanned = max(pos, len(buffer) - len(delimiter) + 1)
            return self._wait(self._scanned)
        rest = self._line_rest(buffer, at + len(delimiter))
        if rest == NO:
            self._scanned = at + 1
            return at + 1
        if rest == MORE:
            self._scanned = at
            return self._wait(at)
        return self._enter(State.BOUNDARY, at)

    def _line_rest(self, buffer: Buffer, pos: int) -> int:
        """Return where the delimiter's line ends, its text having ended at ``pos``; or NO, or MORE."""
        if rest := _LINE_REST.match(buffer, pos):
            return rest.end()
        return MORE if _LINE_REST_CUT.fullmatch(buffer, pos) else NO

    def _delimiter_at(self, buffer: Buffer, pos: int) -> int:
        """Return where a delimiter begins, ``pos`` or up to MAX_BREAK_BYTES of line ends later; or NO, or MORE."""
        delimiter = self._delimiter
        limit = min(pos + MAX_BREAK_BYTES, len(buffer))
        while pos < limit and buffer[pos] in b"\r\n":
            pos += 1
        if buffer.startswith(delimiter, pos):
            rest = self._line_rest(buffer, pos + len(delimiter))
            return rest if rest < 0 else pos
        left = len(buffer) - pos
        return MORE if left < len(delimiter) and delimiter.startswith(buffer[pos:]) else NO

    def _boundary(self, buffer: Buffer, pos: int, out: list[_T]) -> int:  # noqa: ARG002
        at = self._delimiter_at(buffer, pos)
        if at == MORE:
            return self._wait(pos)
        if at == NO:
            return self._desync("no delimiter where the last part's length ends", buffer, pos)
        text_end = at + len(self._delimiter)
        rest = self._line_rest(buffer, text_end)
        closing = buffer.startswith(b"--", text_end)
        return self._enter(State.SEEK if closing else State.HEADERS, rest)

    def _headers(self, buffer: Buffer, pos: int, out: list[_T]) -> int:
        if buffer.startswith((b"\r\n", b"\n"), pos):
            return self._headerless(pos + (2 if buffer[pos] == 0x0D else 1), out)
        if buffer.startswith(self._delimiter, pos):
            return self._enter(State.BOUNDARY, pos)  # an empty part, or the line sent twice
        # The blank line: a line end behind a line end, each CRLF or LF.
        limit = min(len(buffer), pos + MAX_HEADER_BYTES)
        start = max(pos, self._blankless)
        end = find(buffer, b"\n\r\n", start, limit)
        bare = find(buffer, b"\n\n", start, limit if end < 0 else end + 1)
        body = end + 3
        if bare >= 0:
            end, body = bare, bare + 2
        self._blankless = max(start, end if end >= 0 else limit - 2)
        if end < 0:
            if len(buffer) - pos >= MAX_HEADER_BYTES:
                return self._bad_part("a header block without an end", buffer, pos)
            return self._wait(pos)
        if find(buffer, self._delimiter, pos, end) >= 0:
            return self._bad_part("a header block without an end", buffer, pos)
        block = bytes(buffer[pos:end])
        try:
            head = _parse_head(block, self._max_body)
        except _BadHeadersError:
            return self._bad_part("headers that are none", buffer, pos)
        except _BadLengthError:
            return self._desync("a Content-Length that cannot be", buffer, body)
        self._begin(head, block, out)
        return self._enter_body(head, body)

    def _enter_body(self, head: Head, pos: int) -> int:
        self._head = head
        self._fresh = True
        return self._enter(State.OPEN if head.length is None else State.SIZED, pos)

    @abstractmethod
    def _headerless(self, body: int, out: list[_T]) -> int:
        """Deal with a blank line straight after the delimiter's."""

    @abstractmethod
    def _begin(self, head: Head, block: bytes, out: list[_T]) -> None:
        """Take note of a part's headers."""

    @abstractmethod
    def _sized(self, buffer: Buffer, pos: int, out: list[_T]) -> int:
        """Read a body of stated length."""

    @abstractmethod
    def _open(self, buffer: Buffer, pos: int, out: list[_T]) -> int:
        """Read a body that ends at its delimiter."""

    @abstractmethod
    def _last(self, out: list[_T]) -> None:
        """Decide on a body whose stated length had come when the stream ended."""

    @abstractmethod
    def _desync(self, message: str, buffer: Buffer, pos: int) -> int:
        """Deal with a length that was not true; ``pos`` is where to look for the next delimiter."""

    @abstractmethod
    def _bad_part(self, message: str, buffer: Buffer, pos: int) -> int:
        """Deal with headers that cannot be read."""

    def _open_end(self, buffer: Buffer, pos: int) -> int:
        """Return where the line end before an open body's delimiter is, ``pos`` - 1 for an empty body; or MORE.

        Behind MORE, ``_scanned`` is how far the body is certain not to have ended.
        """
        delimiter = self._delimiter
        if self._fresh and buffer.startswith(delimiter, pos):
            rest = self._line_rest(buffer, pos + len(delimiter))
            if rest != NO:
                return pos - 1 if rest >= 0 else MORE
        needle = b"\n" + delimiter
        at = find(buffer, needle, max(pos, self._scanned), len(buffer))
        while at >= 0:
            rest = self._line_rest(buffer, at + len(needle))
            if rest >= 0:
                return at
            if rest == MORE:
                self._scanned = at
                return MORE
            at = find(buffer, needle, at + 1, len(buffer))
        self._scanned = max(pos, len(buffer) - len(delimiter))
        return MORE
