"""The answer to httpdl.cgi: bytes in, files out (specification 6.3.1).

Each part of the multipart body carries, in any spelling, perhaps none of them::

    X-Temp-FileName: filename = "001_231115000000_3000_7f_00_01.tmp"    the file that this body belongs to
    X-Prev-Filename: filename = "001_231115000000_3000_7f_00_01.mp4"    the file before it is whole; its name
    X-RecData-Satus: 0                                                  (sic) 0 normal; else there is no data

For each part, in this order: a status that is not 0 ends the download; X-Prev-Filename ends the open file under that
name; X-Temp-FileName, if it differs from the open one, opens the next; then the body is appended. X-Prev-Filename
with an empty X-Temp-FileName is the end of the download: without it nothing is complete. Where X-Temp-FileName is left out it
may yet come in the next part, and what ends the answer ends the download.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from nvrclient.container.parts import Event, MultipartParser, PartBegin, PartData
from nvrclient.errors import DownloadError, ProtocolError, TruncatedDownloadError

__all__ = ["DownloadReader", "FileBegin", "FileData", "FileEnd", "FileEvent", "Refused", "refusal"]

_TEMPORARY = "x-temp-filename"
_FINISHED = "x-prev-filename"
_STATUS = ("x-recdata-satus", "x-recdata-status")
# What one part has taken is never given back, so that hostile values cost no more than their length.
_VALUE = re.compile(r"\s*+(?:[a-z-]++\s*+;\s*+)?(?:filename\s*+=)?([^;]*+);?\s*+", re.IGNORECASE)
_NUMBER = re.compile(r"0*([0-9]*)")


@dataclass(frozen=True, slots=True)
class FileBegin:
    """A file begins; ``temporary`` is the recorder's name for it until it is whole."""

    temporary: str


@dataclass(
    slots=True
)  # not frozen: it would take thrice as long to make, and a gigabyte has thousands
class FileData:
    """The next bytes of the open file, never empty."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class FileEnd:
    """The open file is whole, under this name; ``last`` where the download ends with it."""

    name: str
    last: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """The recorder gives no data, and nothing follows: the number in X-RecData-Satus, or what it is if not a number."""

    status: str


FileEvent: TypeAlias = FileBegin | FileData | FileEnd | Refused


class DownloadReader:
    """One answer. ``finished`` once its end, or a status that is not 0, has come: what follows is not looked at.

    Raises ProtocolError for an answer that has no parts at all; TruncatedDownloadError where a file is cut or damaged, so that
    it can be asked for again; DownloadError for names that contradict each other. What was complete before comes
    first: the error is raised by the next call, whatever pieces the bytes come in.
    """

    def __init__(self) -> None:
        self.finished = False
        self._parser = MultipartParser()
        self._open: str | None = None  # the open file's temporary name
        self._last_finished: str | None = None
        self._unfollowed: str | None = None  # the name of a file behind which no other is named yet
        self._failure: ProtocolError | DownloadError | None = None
        self._head = b""

    @property
    def failed(self) -> bool:
        """Whether the next call raises."""
        return self._failure is not None

    @property
    def open_file(self) -> str | None:
        """The temporary name of the file that has begun and is not whole."""
        return self._open

    def feed(self, data: bytes) -> list[FileEvent]:
        """Take the next bytes of the answer and return what they bring."""
        if self._failure is not None:
            raise self._failure
        if self.finished:
            return []
        if len(self._head) < 32:
            self._head = (self._head + data)[:32]
        broken: ProtocolError | None = None
        try:
            events = self._parser.feed(data)
        except ProtocolError as error:
            events, broken = self._parser.completed, error
        out: list[FileEvent] = []
        try:
            self._take(events, out)
            if self._parser.is_closed and self._unfollowed is not None:
                self._follow(out, last=True)
            if broken is not None and not self.finished:
                raise self._damaged(broken)
        except (ProtocolError, DownloadError) as error:
            self._failure = error
            if not out:
                raise
        return out

    def close(self) -> list[FileEvent]:
        """Say that the answer has ended, and return what that completes; raises unless it was complete."""
        if self._failure is not None:
            raise self._failure
        out: list[FileEvent] = []
        if self._unfollowed is not None:
            self._follow(out, last=True)
        if self.finished:
            return out
        self._parser.close()
        if not b"--".startswith(self._head.lstrip(b"\r\n")[:2]):
            raise ProtocolError(
                "the answer has no parts; is it multipart at all?",
                reading="the answer to httpdl.cgi",
                offset=0,
                head=self._head,
            )
        what = f"in the middle of {self._open[:80]!a}" if self._open else "before its end was told"
        raise TruncatedDownloadError(f"the answer ended {what}")

    def _take(self, events: list[Event], out: list[FileEvent]) -> None:
        for event in events:
            if self.finished:
                return
            if isinstance(event, PartData):
                if self._open is None:
                    raise DownloadError("the recorder sends data that belongs to no file")
                out.append(FileData(event.data))
            elif isinstance(event, PartBegin):
                self._part(event.headers, out)

    def _part(self, headers: Mapping[str, str], out: list[FileEvent]) -> None:
        if status := refusal(headers):
            if self._unfollowed is not None:
                self._follow(out, last=False)
            self.finished = True
            out.append(Refused(status))
            return
        finished, temporary = _value(headers, _FINISHED), _value(headers, _TEMPORARY)
        if self._unfollowed is not None:
            if finished == self._unfollowed:
                finished = ""
            if _TEMPORARY in headers:
                self._follow(out, last=not temporary)
                if self.finished:
                    return
        # A header repeated in a file's later parts still names the file before it.
        repeated = bool(temporary) and (temporary, finished) == (self._open, self._last_finished)
        if finished and not repeated:
            if self._open is None:
                raise DownloadError(
                    f"the recorder ends a file, {finished[:80]!a}, that it did not begin"
                )
            self._open, self._last_finished, self._unfollowed = None, finished, finished
            if temporary or _TEMPORARY in headers:
                self._follow(out, last=not temporary)
        if temporary and temporary != self._open:
            if self._open is not None:
                raise TruncatedDownloadError(
                    f"{self._open[:80]!a} was never ended: the next file began"
                )
            self._open = temporary
            out.append(FileBegin(temporary))

    def _follow(self, out: list[FileEvent], *, last: bool) -> None:
        """It is known whether a file follows the one that ended."""
        assert self._unfollowed is not None
        out.append(FileEnd(self._unfollowed, last))
        self._unfollowed, self.finished = None, last

    def _damaged(self, error: ProtocolError) -> ProtocolError | DownloadError:
        if not self._parser.parts and self._open is None:
            return error
        return TruncatedDownloadError(f"the answer is damaged at byte {error.offset}: {error}")


def refusal(headers: Mapping[str, str]) -> str:
    """Return the status in these headers, as `Refused` has it; empty where it is 0 or there is none."""
    return next((value for name in _STATUS if (value := _status(_value(headers, name)))), "")


def _value(headers: Mapping[str, str], name: str) -> str:
    """Return a header's value: what stands behind ``filename =``, quoted or not; empty if there is none."""
    found = _VALUE.fullmatch(headers.get(name, ""))
    return found[1].strip().strip("\"'").strip() if found else headers.get(name, "")


def _status(value: str) -> str:
    """Return a status without zeros before it and words behind it, empty for 0; as sent if it is no number."""
    number = _NUMBER.match(value)
    return number[1] if number is not None and number[0] else value
