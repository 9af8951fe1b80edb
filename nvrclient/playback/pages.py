"""Answers that are none: a page or a word where a recording was asked for, or the way to another address.

A recorder that has forgotten a UID may give them instead of 401. A recording that came damaged is something else.
"""

from __future__ import annotations

from nvrclient.errors import ProtocolError


def is_text(body: bytes) -> bool:
    """Whether a body, which is not empty, is text: containers are full of zero bytes (3.3), a text has none."""
    return b"\0" not in body


def is_redirect(error: Exception | None) -> bool:
    """Whether a command was sent elsewhere: of such an answer no byte was read, so it has no offset."""
    return isinstance(error, ProtocolError) and error.offset is None
