"""The body of a download (section 6.3.1): files as parts of ``multipart/form-data``.

::

    --myboundary CRLF
    Content-Type: application/octet-stream CRLF
    Content-Length: <n> CRLF
    X-Temp-FileName: filename = "<the file that begins, or goes on>" CRLF
    X-Prev-Filename: filename = "<the file that has ended>" CRLF
    X-RecData-Satus: 0 CRLF
    CRLF
    <n bytes> CRLF

The last part is empty: its X-Temp-FileName is "", its X-Prev-Filename the last file.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from nvrclient.simulator.download_readings import DownloadFault, DownloadReadings, FileHeaders

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nvrclient.simulator.files import RecordedFile

__all__ = ["form_data", "status_part"]

_WHOLE = DownloadFault()


def status_part(status: int | str, readings: DownloadReadings) -> bytes:
    """Write the answer that brings no file and says why."""
    writer = _Writer(readings, _WHOLE)
    return b"".join((writer.head(0, ("", ""), status), b"\r\n", writer.close()))


def form_data(
    files: Sequence[RecordedFile],
    readings: DownloadReadings,
    fault: DownloadFault | None = None,
    *,
    crlf_after_body: bool = True,
) -> Iterator[bytes]:
    """Write the body, piece by piece."""
    fault = fault or _WHOLE
    writer = _Writer(readings, fault)
    tail = b"\r\n" if crlf_after_body or not readings.content_length else b""
    where = readings.file_headers
    previous: str | bytes = ""
    for file in files:
        parts: Iterator[tuple[int, Iterable[bytes]]] = _parts(file, readings)
        if where is FileHeaders.OWN_PART:
            parts = chain(((0, ()),), parts)
        for number, (size, pieces) in enumerate(parts):
            names = None
            if not number or where is FileHeaders.EVERY_PART:
                names = (file.temp_name, "" if number else previous)
            yield writer.head(size, names)
            if writer.is_over:
                yield tail + writer.close()
                return
            yield from pieces
            yield tail
        previous = file.name
    if not fault.without_end:
        yield writer.head(0, ("", previous)) + tail
    yield writer.close()


def _parts(file: RecordedFile, readings: DownloadReadings) -> Iterator[tuple[int, Iterable[bytes]]]:
    """Part a file: how long each part is, and what is in it."""
    if readings.part_size is None:
        yield file.size if readings.content_length else 0, file.pieces()
        return
    held = bytearray()
    is_empty = True
    for piece in file.pieces():
        held += piece
        while len(held) >= readings.part_size:
            yield readings.part_size, (bytes(held[: readings.part_size]),)
            del held[: readings.part_size]
            is_empty = False
    if held or is_empty:
        yield len(held), (bytes(held),)


class _Writer:
    """Writes what stands between bodies."""

    def __init__(self, readings: DownloadReadings, fault: DownloadFault) -> None:
        self._readings, self._fault = readings, fault
        self._parts = 0
        self.is_over = False  # by the status of the part begun last

    def head(
        self,
        size: int,
        names: tuple[str | bytes, str | bytes] | None = None,
        status: int | str = 0,
    ) -> bytes:
        """Write a part's delimiter and headers; without ``names`` none of the file's."""
        readings, fault = self._readings, self._fault
        number, self._parts = self._parts, self._parts + 1
        if fault.status is not None and number == fault.status_part:
            names, status, size = names or ("", ""), fault.status, 0
            self.is_over = True
        lines = [b"Content-Type: application/octet-stream"]
        if number != fault.lost_boundary:
            lines.insert(0, f"--{readings.boundary}".encode("ascii"))
        if readings.content_length:
            lines.append(b"Content-Length: %d" % size)
        if names is not None:
            temp, previous = names
            if previous and fault.prev_name is not None:
                previous = fault.prev_name
            lines.append(self._header(readings.temp_header, temp))
            lines.append(self._header(readings.prev_header, previous))
            if readings.status_header is not None:
                lines.append(f"{readings.status_header}: {status}".encode("ascii"))
        return b"\r\n".join((*lines, b"", b""))

    def _header(self, name: str, value: str | bytes) -> bytes:
        written = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
        form = self._readings.value.encode("ascii")
        return name.encode("ascii") + b": " + form.replace(b"{}", written)

    def close(self) -> bytes:
        """Write what stands behind the last part."""
        if not self._readings.closing_delimiter:
            return b""
        return f"--{self._readings.boundary}--\r\n".encode("ascii")
