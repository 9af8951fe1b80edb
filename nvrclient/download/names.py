"""File names from the network: which are used, and as what. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime

from nvrclient.errors import DownloadError, UnsafeFileNameError

SUFFIXES = frozenset({"mp4", "n3r", "n3a", "n3n"})
"""What recorders' files end in, in any case; to any other name .bin is added, so that nothing runs or opens it."""

MAX_SAME = 10_000
"""Files of one name in a folder; more is no clash but a flood."""

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)
_TIME = re.compile(r"[0-9]{1,5}_([0-9]{12})_")  # camera_yymmddhhmmss_…, as 6.3.1 prints it


def check_name(name: str) -> None:
    """Raise UnsafeFileNameError for a name of the recorder's that is not plain."""
    if not _PLAIN.fullmatch(name) or _DEVICE.fullmatch(name):
        raise UnsafeFileNameError(
            f"download: the recorder names a file {name[:80]!a}, which no file here will be called:"
            " names are 1 to 128 of A-Z a-z 0-9 . _ -, not beginning with a dot or hyphen, and no device's"
        )


def file_name(name: str) -> str:
    """Return the name to store a file under: the recorder's, with .bin where its suffix is none of a recorder's.

    Raises UnsafeFileNameError.
    """
    check_name(name)
    _, dot, suffix = name.rpartition(".")
    return name if dot and suffix.lower() in SUFFIXES else f"{name}.bin"


def free_name(name: str, taken: Callable[[str], bool]) -> str:
    """Return `name`, or with -2, -3 … before its suffix, the first that is not taken."""
    stem, dot, suffix = name.rpartition(".")
    for number in range(1, MAX_SAME):
        candidate = name if number == 1 else f"{stem}-{number}{dot}{suffix}"
        if not taken(candidate):
            return candidate
    raise DownloadError(f"download: {MAX_SAME} files are called {name} already")


def local_time(name: str) -> datetime | None:
    """Return the time in a name of the form that the specification prints: the recorder's local time, without a zone."""
    found = _TIME.match(name)
    if found is None:
        return None
    try:
        return datetime.strptime(found[1], "%y%m%d%H%M%S")  # noqa: DTZ007  it has no zone
    except ValueError:
        return None
