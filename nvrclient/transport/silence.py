"""Keeps what libraries log of our own requests out of the log: it holds the UID and the digest.

hpack logs header blocks at DEBUG; httpcore logs the headers of answers, where cookies and locations stand. Records about
the application's other clients are none of our business, and stay.
"""

from __future__ import annotations

import contextvars
import logging

OURS: contextvars.ContextVar[bool] = contextvars.ContextVar("nvrclient_request", default=False)
"""Set while a request of ours is under way."""


def _not_ours(record: logging.LogRecord) -> bool:
    return not OURS.get() or (
        record.name.startswith("httpcore")
        and "receive_response_headers.complete" not in str(record.msg)
    )


for _name in ("hpack.hpack", "hpack.table", "httpcore.http11", "httpcore.http2"):
    logging.getLogger(_name).addFilter(_not_ours)
