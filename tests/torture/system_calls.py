"""The operating system's calls that the client makes: numbered, and the one chosen fails.

They are taken at the socket and at `os`, so that nothing of the client is known here. Threads have no context of their
own: what they do to files counts where a frame of the client is among the callers.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable
from typing import Any, Self

from tests.torture.steps import PACKAGE, is_client, is_recorder

ON_SOCKETS: dict[str, int] = {
    "bind": errno.EADDRINUSE,
    "connect": errno.ECONNREFUSED,
    "send": errno.EPIPE,
    "sendto": errno.ECONNREFUSED,
    "recv": errno.ECONNRESET,
    "recv_into": errno.ECONNRESET,
    "recvfrom": errno.ECONNREFUSED,
    "recvfrom_into": errno.ECONNREFUSED,
}
"""Methods of a socket, and how each fails."""

ON_FILES: dict[str, int] = {
    "open": errno.EACCES,
    "write": errno.ENOSPC,
    "fsync": errno.EIO,
    "link": errno.EIO,
    "replace": errno.EIO,
}
"""Functions of `os`, and how each fails."""


class SystemCalls:
    """A context manager. `count` calls were made; call number `fail_at` (from 1; 0: none) failed, `hit` says which."""

    def __init__(self, fail_at: int = 0) -> None:
        self.count = 0
        self.hit: str | None = None
        self.lost_uid = False  # what failed can have been the answer to a login, or a logout
        self._fail_at = fail_at
        self._undo: list[Callable[[], None]] = []
        self._asked: dict[int, bytes] = {}  # what was last sent, by socket

    def __enter__(self) -> Self:
        for name, number in ON_SOCKETS.items():
            self._replace(socket.socket, name, self._on_socket(name, number))
        for name, number in ON_FILES.items():
            self._replace(os, name, self._on_file(name, number))
        return self

    def __exit__(self, *_: object) -> None:
        for undo in self._undo:
            undo()

    def _replace(self, owner: Any, name: str, new: Callable[..., Any]) -> None:
        had = name in vars(owner)
        old = getattr(owner, name)
        setattr(owner, name, new)
        self._undo.append(lambda: setattr(owner, name, old) if had else delattr(owner, name))

    def _on_socket(self, name: str, number: int) -> Callable[..., Any]:
        plain = getattr(socket.socket, name)

        def call(sock: socket.socket, *args: Any) -> Any:
            if sock.family in {socket.AF_INET, socket.AF_INET6} and not is_recorder():
                if name == "send":
                    self._asked[sock.fileno()] = bytes(args[0][:40])
                self._count(name, number, sock)
            return plain(sock, *args)

        return call

    def _on_file(self, name: str, number: int) -> Callable[..., Any]:
        plain = getattr(os, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            if not is_recorder() and _by_client():
                self._count(name, number, None)
            return plain(*args, **kwargs)

        return call

    def _count(self, name: str, number: int, sock: socket.socket | None) -> None:
        self.count += 1
        if self.count == self._fail_at:
            asked = self._asked.get(sock.fileno(), b"") if sock is not None else b""
            what = asked.partition(b".cgi")[0].rpartition(b"/")[2].decode("latin-1")
            # What goes through TLS cannot be read here; it may have been either.
            encrypted = asked[:1] in {b"\x16", b"\x17", b"\x14", b"\x15"}
            self.lost_uid = name == "connect" or encrypted or what in {"dlogin", "logout"}
            self.hit = f"{name} after {'TLS' if encrypted else what or 'nothing'} at {_here()}"
            raise OSError(number, os.strerror(number))


def _by_client() -> bool:
    """Whether a frame of the client is among the callers: Python itself opens files too."""
    frame = sys._getframe(2)
    for _ in range(6):
        if is_client(frame.f_code.co_filename):
            return True
        if frame.f_back is None:
            return False
        frame = frame.f_back
    return False


def _here() -> str:
    """Return the innermost frame of the client among the callers, or whatever called."""
    caller = frame = sys._getframe(3)
    while frame is not None and not is_client(frame.f_code.co_filename):
        frame = frame.f_back  # type: ignore[assignment]
    found = frame or caller
    return f"{found.f_code.co_filename.removeprefix(PACKAGE)}:{found.f_lineno}"
