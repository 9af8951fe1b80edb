"""Multipart bodies of live streams: whole parts, as fast as can be (specification 2.2); the form is drawn in `multipart`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nvrclient.container.multipart import MORE, Buffer, Head, Reader, State, cut, find

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MAX_PART_BYTES", "Part", "PartReader"]

MAX_PART_BYTES = 8 << 20
"""Largest live part. The largest picture of a 4K camera is under 4 MiB, and an RTP packet under 64 KiB."""

_MAX_CACHED_HEADS = 64  # per stream; nearly all RTP parts have the one length of a full packet
_MAX_CACHED_HEAD_BYTES = 256  # so that odd headers cannot make the cache large


@dataclass(slots=True)
class Part:
    """One whole part.

    ``headers`` has lower-case names and the values as sent (latin-1); parts with equal headers share it, so it
    is read only. ``content_type`` is the media type in lower case without parameters, empty if there is none.
    """

    headers: Mapping[str, str]
    content_type: str
    body: bytes = field(repr=False)


class PartReader(Reader[Part]):
    """Whole parts of an endless live body; a bad part is dropped, counted, and costs no other.

    A body of stated length is taken once CRLF and then the delimiter can follow it. It is given out when CRLF is
    there already, so that a picture's last packet does not wait for the next picture; only a body with the
    delimiter's text inside, which a length too great would have, waits for the delimiter itself.

    | counter | what it counts |
    |---|---|
    | parts | parts given |
    | desyncs | lengths that were not true: no plain number, over the cap, or no delimiter behind the body |
    | bad_parts | parts whose headers could not be read |
    | oversize | parts without a length that passed the cap |
    | bytes | bytes fed |

    ``max_part_bytes`` bounds a body and with it the memory held. Raises ProtocolError only when no delimiter comes
    at all.
    """

    __slots__ = (
        "_following",
        "_fronts",
        "_heads",
        "_max_digits",
        "_opening",
        "_spaced",
        "_suspect",
        "bad_parts",
        "desyncs",
        "oversize",
    )

    def __init__(self, *, max_part_bytes: int = MAX_PART_BYTES) -> None:
        super().__init__(max_part_bytes)
        self.desyncs = 0
        self.bad_parts = 0
        self.oversize = 0
        self._heads: dict[bytes, Head] = {}  # header blocks as sent; all have a length
        self._fronts: dict[bytes, Mapping[str, str]] = {}  # the same up to a length at the end
        self._max_digits = len(str(max_part_bytes))
        self._opening = b""
        self._following = b""
        self._spaced = False  # CRLF stands between bodies and delimiters
        self._suspect = False  # the body at hand holds the delimiter's text

    def _learned(self, delimiter: bytes) -> None:
        self._delimiter = delimiter
        self._opening = delimiter + b"\r\n"
        self._following = b"\r\n" + self._opening

    def _boundary(self, buffer: Buffer, pos: int, out: list[Part]) -> int:
        """Take whole parts in the usual form, with headers seen before, as fast as can be; the rest step by step."""
        opening, following = self._opening, self._following
        front, head = b"", self._head  # delimiter and headers of the part before
        while True:
            if front and buffer.startswith(front, pos):
                body = pos + len(front)
            elif buffer.startswith(opening, pos):
                start = pos + len(opening)
                blank = buffer.find(b"\r\n\r\n", start, start + _MAX_CACHED_HEAD_BYTES)
                block = bytes(buffer[start:blank]) if blank > 0 else b""
                known = self._heads.get(block) or self._like_another(block)
                if known is None:
                    return self._enter(State.HEADERS, start)
                head = known
                body = blank + 4
                front = bytes(buffer[pos:body])
            else:
                return super()._boundary(buffer, pos, out)
            assert head.length is not None
            end = body + head.length
            if not buffer.startswith(following, end):
                self._head = head
                self._suspect = False
                return self._enter(State.SIZED, body)
            out.append(Part(head.headers, head.content_type, cut(buffer, body, end)))
            self.parts += 1
            self._spaced = True
            pos = end + 2

    def _like_another(self, block: bytes) -> Head | None:
        """Read a header block that differs from one seen before in nothing but the length, its last word."""
        front, _, digits = block.rpartition(b" ")
        headers = self._fronts.get(front)
        if headers is None or len(digits) > self._max_digits or not digits.isdigit():
            return None
        length = int(digits)
        if length > self._max_body:
            return None
        head = Head({**headers, "content-length": digits.decode("ascii")}, length)
        self._remember(block, head)
        return head

    def _remember(self, block: bytes, head: Head) -> None:
        if len(self._heads) >= _MAX_CACHED_HEADS:
            self._heads.clear()
        self._heads[block] = head

    def _headerless(self, body: int, out: list[Part]) -> int:  # noqa: ARG002
        # A live part without a Content-Type is of no use: this is a doubled line end.
        return self._enter(State.HEADERS, body)

    def _begin(self, head: Head, block: bytes, out: list[Part]) -> None:  # noqa: ARG002
        self._suspect = False
        usual = block.endswith(b"\r") and len(block) < _MAX_CACHED_HEAD_BYTES
        if usual and head.length is not None:
            block = block[:-1]
            self._remember(block, head)
            front = block.rpartition(b" ")[0].lower()
            if front.endswith(b"\ncontent-length:") and front.count(b"content-length") == 1:
                if len(self._fronts) >= _MAX_CACHED_HEADS:
                    self._fronts.clear()
                self._fronts[block[: len(front)]] = head.headers

    def _sized(self, buffer: Buffer, pos: int, out: list[Part]) -> int:
        assert self._head.length is not None
        end = pos + self._head.length
        if len(buffer) < end:
            return self._wait(pos)
        at = self._delimiter_at(buffer, end)
        if at >= 0:
            # In step; but if other lengths did not count the line end and this one does, it is a lie.
            inside = at - end < 2 <= at - pos and buffer[at - 2 : at] == b"\r\n"
            if self._spaced and inside:
                return self._desync("", buffer, pos)
            return self._take(buffer, pos, end, out, at)
        if buffer.startswith(b"\r\n", end) and not self._suspect:
            self._suspect = find(buffer, self._delimiter, pos, end) >= 0
            if not self._suspect:
                return self._take(buffer, pos, end, out, end + 2)
        if at == MORE:
            return self._wait(pos)
        return self._desync("", buffer, pos)

    def _open(self, buffer: Buffer, pos: int, out: list[Part]) -> int:
        newline = self._open_end(buffer, pos)
        if newline == MORE:
            if self._scanned - pos <= self._max_body + 1:  # the cap and a CR
                return self._wait(pos)
            return self._oversize(pos)
        end = max(pos, newline)
        if end > pos and buffer[end - 1] == 0x0D:
            end -= 1
        if end - pos > self._max_body:
            return self._oversize(pos)
        return self._take(buffer, pos, end, out, newline + 1)

    def _oversize(self, pos: int) -> int:
        self.oversize += 1
        return self._resume(pos + self._max_body + 1)

    def _take(self, buffer: Buffer, pos: int, end: int, out: list[Part], then: int) -> int:
        out.append(Part(self._head.headers, self._head.content_type, cut(buffer, pos, end)))
        self.parts += 1
        self._spaced = self._spaced or buffer.startswith(b"\r\n", end)
        return self._enter(State.BOUNDARY, then)

    def _last(self, out: list[Part]) -> None:
        buffer, end = self._buffer, self._head.length or 0
        unclear = self._suspect or find(buffer, self._delimiter, 0, end) >= 0
        # Anything behind the body that cannot lead to a delimiter has been found out before.
        if not unclear:
            del buffer[: self._take(buffer, 0, end, out, end)]

    def _desync(self, message: str, buffer: Buffer, pos: int) -> int:  # noqa: ARG002
        self.desyncs += 1
        return self._resume(pos)

    def _bad_part(self, message: str, buffer: Buffer, pos: int) -> int:  # noqa: ARG002
        self.bad_parts += 1
        return self._resume(pos)

    def _resume(self, pos: int) -> int:
        if self.parts:
            return self._enter(State.SEEK, pos)
        # Nothing has come out yet: what was taken for the delimiter may have been a line of the preamble.
        self._preamble_left = self._max_body
        return self._enter(State.LEARN, pos)
