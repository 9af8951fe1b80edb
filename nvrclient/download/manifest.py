"""The manifest beside downloaded files: what each is, in JSON, and what an earlier run finished. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from nvrclient.commands.download import Request
from nvrclient.errors import DownloadError

MANIFEST = "nvrclient-manifest.json"
"""Its name. No file of a recorder is called so: theirs end otherwise."""

FORM = "nvrclient download 1"
"""Its first field, so that no other program's file is taken for one."""

MAX_MANIFEST = 256 << 20
"""Bytes of a manifest that is read: half a million files."""

_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that is whole and on disk.

    ``file`` is its name in the folder; ``camera``, ``kind`` (KIND as sent) and ``range`` (at most an hour, UTC) the
    request it answers; ``bytes``, ``sha256`` its content; ``sent_name`` the recorder's name for it, ``number`` which of
    the request's files it is, from 1; ``is_last`` whether the request is complete with it; ``asked`` when it was asked
    for, by this computer's clock.
    """

    file: str
    camera: int
    kind: str
    range: tuple[datetime, datetime]
    bytes: int
    sha256: str
    sent_name: str
    number: int
    is_last: bool
    asked: datetime

    @property
    def is_settled(self) -> bool:
        """Whether its time was over when it was asked for: else more may have been recorded since."""
        return self.asked >= self.range[1]

    def answers(self, request: Request) -> bool:
        """Whether it is of this very request."""
        return (self.camera, self.kind, self.range) == (
            request.camera,
            request.kind,
            (request.start, request.end),
        )

    def as_dict(self) -> dict[str, object]:
        """Return the fields, for JSON."""
        return {
            "file": self.file,
            "camera": self.camera,
            "kind": self.kind,
            "range": [time.isoformat() for time in self.range],
            "bytes": self.bytes,
            "sha256": self.sha256,
            "sent_name": self.sent_name,
            "number": self.number,
            "is_last": self.is_last,
            "asked": self.asked.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class Gap:
    """A request in whose time nothing is recorded."""

    camera: int
    kind: str
    range: tuple[datetime, datetime]

    @classmethod
    def of(cls, request: Request) -> Gap:
        """Return the gap that is the whole of a request."""
        return cls(request.camera, request.kind, (request.start, request.end))


class Manifest:
    """Its content: files by name, and gaps."""

    def __init__(self, files: Iterable[StoredFile] = (), gaps: Iterable[Gap] = ()) -> None:
        self.files = {stored.file: stored for stored in files}
        self.gaps = dict.fromkeys(gaps)

    def of(self, request: Request) -> list[StoredFile]:
        """Return the files that answer a request, in the recorder's order."""
        found = [stored for stored in self.files.values() if stored.answers(request)]
        return sorted(found, key=lambda stored: stored.number)

    def encoded(self) -> bytes:
        """Return it as JSON."""
        content = {
            "form": FORM,
            "files": [stored.as_dict() for stored in self.files.values()],
            "gaps": [
                {
                    "camera": gap.camera,
                    "kind": gap.kind,
                    "range": [time.isoformat() for time in gap.range],
                }
                for gap in self.gaps
            ],
        }
        return json.dumps(content, indent=1).encode() + b"\n"


def parse_manifest(data: bytes) -> Manifest:
    """Read a manifest. Raises DownloadError for what is none: it is somebody else's, and is not written over."""
    try:
        content = json.loads(data)
        if content["form"] != FORM:
            raise ValueError
        return Manifest(map(_stored, content["files"]), map(_gap, content["gaps"]))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        raise DownloadError(
            f"download: {MANIFEST} in the folder is not what a download wrote; move it away, or"
            " download into another folder"
        ) from None


def _stored(entry: Any) -> StoredFile:
    if not _FILE.fullmatch(entry["file"]):
        raise ValueError
    return StoredFile(
        file=entry["file"],
        camera=int(entry["camera"]),
        kind=str(entry["kind"]),
        range=_range(entry["range"]),
        bytes=int(entry["bytes"]),
        sha256=str(entry["sha256"]),
        sent_name=str(entry["sent_name"]),
        number=int(entry["number"]),
        is_last=bool(entry["is_last"]),
        asked=_time(entry["asked"]),
    )


def _gap(entry: Any) -> Gap:
    return Gap(int(entry["camera"]), str(entry["kind"]), _range(entry["range"]))


def _range(pair: Any) -> tuple[datetime, datetime]:
    start, end = pair
    return _time(start), _time(end)


def _time(text: Any) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
