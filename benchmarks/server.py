"""A server in a process of its own: its work is on the other core, and not what is measured."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import closing
from typing import Self


class Server:
    """Runs ``python -m module FD argument …``, where FD is the number of a listening socket; `url` while it runs.

    What is in `data` it can read from its standard input.
    """

    def __init__(self, module: str, *arguments: str, data: bytes = b"") -> None:
        self._command = module, arguments
        self._data = data

    def __enter__(self) -> Self:
        module, arguments = self._command
        with closing(socket.create_server(("127.0.0.1", 0), backlog=256)) as listener:
            port = listener.getsockname()[1]
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, str(listener.fileno()), *arguments],
                pass_fds=[listener.fileno()],
                stdin=subprocess.PIPE,
            )
        assert self._process.stdin is not None
        self._process.stdin.write(self._data)
        self._process.stdin.close()
        self.url = f"http://127.0.0.1:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
