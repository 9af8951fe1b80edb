"""Looks for passwords, UIDs and digests where they must not be."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

PASSWORD = "pw-9b1d-SENTINEL-of-the-tests"

_UID = re.compile(r"UID(?:=|%3D)[0-9]", re.IGNORECASE)
_DIGEST = re.compile(r"response=.{0,3}[0-9a-f]{32}", re.IGNORECASE)


def secrets_in(text: str) -> list[str]:
    """Return what kinds of secret stand in `text`."""
    found = ["password"] if PASSWORD in text else []
    found += ["UID"] if _UID.search(text) else []
    return found + (["digest"] if _DIGEST.search(text) else [])


class SecretWatch(logging.Handler):
    """Searches every log record of the run, at every level, of every library."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records = 0
        self.leaks: list[str] = []
        self.spared: Callable[[logging.LogRecord], bool] = lambda _record: False

    def emit(self, record: logging.LogRecord) -> None:
        self.records += 1
        if self.spared(record):
            return
        text = record.getMessage()
        if record.exc_info:
            text += logging.Formatter().formatException(record.exc_info)
        if found := secrets_in(text):
            self.leaks.append(f"{record.name} {record.levelname}: {', '.join(found)} in a record")
