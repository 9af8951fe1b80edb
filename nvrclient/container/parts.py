"""Multipart bodies of downloads: of any size, piece by piece (specification 6.3.1); the form is drawn in `multipart`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from nvrclient.container.multipart import MORE, Buffer, Head, Reader, State

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Event", "MultipartParser", "PartBegin", "PartData", "PartEnd"]

_MAX_BYTES = 10**15  # a petabyte: past any disk, and int() of so few digits is fast


@dataclass(slots=True)
class PartBegin:
    """A part's headers, as in `Part`; ``content_length`` is None where the recorder stated none."""

    headers: Mapping[str, str]
    content_type: str
    content_length: int | None


@dataclass(slots=True)
class PartData:
    """A piece of the part's body, never empty."""

    data: bytes = field(repr=False)


@dataclass(slots=True)
class PartEnd:
    """The part is whole: its stated length has come, or its delimiter."""


Event: TypeAlias = PartBegin | PartData | PartEnd


class MultipartParser(Reader[Event]):
    """A finite body piece by piece: `PartBegin`, `PartData` as it comes, `PartEnd`.

    Bodies may have any size and none is held back. Raises ProtocolError where the body is not in order, since
    skipping to the next delimiter would make a short file look whole. ``parts`` counts parts that ended.
    """

    __slots__ = ("_left",)

    def __init__(self) -> None:
        super().__init__(_MAX_BYTES)
        self._left = 0

    @property
    def is_closed(self) -> bool:
        """Whether the closing mark has come."""
        return self._state is State.SEEK

    def _headerless(self, body: int, out: list[Event]) -> int:
        head = Head({}, None)
        self._begin(head, b"", out)
        return self._enter_body(head, body)

    def _begin(self, head: Head, block: bytes, out: list[Event]) -> None:  # noqa: ARG002
        self._left = head.length or 0
        out.append(PartBegin(head.headers, head.content_type, head.length))

    def _sized(self, buffer: Buffer, pos: int, out: list[Event]) -> int:
        end = min(len(buffer), pos + self._left)
        if end > pos:
            out.append(PartData(bytes(buffer[pos:end])))
            self._left -= end - pos
        return self._wait(end) if self._left else self._end(end, out)

    def _open(self, buffer: Buffer, pos: int, out: list[Event]) -> int:
        newline = self._open_end(buffer, pos)
        end = max(pos, self._scanned if newline == MORE else newline)
        data_end = end - 1 if end > pos and buffer[end - 1] == 0x0D else end
        if data_end > pos:
            out.append(PartData(bytes(buffer[pos:data_end])))
            self._fresh = False
        return self._wait(data_end) if newline == MORE else self._end(newline + 1, out)

    def _seek(self, buffer: Buffer, pos: int) -> int:
        """Go to the next delimiter behind a closing mark, over line ends only: else the mark was a file's own bytes."""
        then = super()._seek(buffer, pos)
        if buffer[pos:then].strip(b"\r\n"):
            raise self._error("more bytes behind its closing mark", buffer, pos)
        return then

    def _end(self, pos: int, out: list[Event]) -> int:
        self.parts += 1
        out.append(PartEnd())
        return self._enter(State.BOUNDARY, pos)

    def _last(self, out: list[Event]) -> None:
        """Do nothing: `_sized` ends a part with its last byte."""

    def _desync(self, message: str, buffer: Buffer, pos: int) -> int:
        raise self._error(message, buffer, pos)

    def _bad_part(self, message: str, buffer: Buffer, pos: int) -> int:
        raise self._error(message, buffer, pos)
