"""How a command ends: exit codes by kind of error, one line instead of a traceback, and Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, NoReturn

import typer

from nvrclient.errors import (
    AuthenticationError,
    BufferOverflowError,
    CommandError,
    ConnectionFailedError,
    DownloadError,
    NoRecordingError,
    NVRError,
    ProtocolError,
    RecorderBusyError,
    SessionLimitError,
    StreamEndedError,
    StreamStalledError,
    UnsupportedMediaError,
)

EXIT_CODES = (
    "Exit codes: 0 done, also when Ctrl-C ends demo, simulate, live or play; 1 anything else; 2 usage;"
    " 3 no connection; 4 user name or password refused; 5 recorder busy or full;"
    " 6 stream or media; 7 an answer that is an error or makes no sense; 8 nothing recorded there; 9 a download that broke off or cannot be stored; 130 cut short by Ctrl-C."
)

USAGE, CONNECTION, INTERRUPTED = 2, 3, 130

_BY_KIND: tuple[tuple[type[NVRError], int], ...] = (
    (ConnectionFailedError, CONNECTION),
    (AuthenticationError, 4),
    (SessionLimitError, 5),
    (RecorderBusyError, 5),
    (UnsupportedMediaError, 6),
    (StreamStalledError, 6),
    (StreamEndedError, 6),
    (BufferOverflowError, 6),
    (ProtocolError, 7),
    (CommandError, 7),
    (NoRecordingError, 8),
    (DownloadError, 9),
)


def exit_code(error: NVRError) -> int:
    """Return the exit code for an error."""
    return next((code for kind, code in _BY_KIND if isinstance(error, kind)), 1)


def fail(message: object, code: int) -> NoReturn:
    """Print one line on stderr and exit."""
    line = " ".join(str(message).split())
    typer.echo(f"nvrclient: {line}", err=True)
    raise typer.Exit(code)


def run(command: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a command in an event loop; what goes wrong with the recorder is one line and an exit code."""
    try:
        asyncio.run(command())
    except NVRError as error:
        fail(error, exit_code(error))
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:  # `nvrclient live 1 --json | head`
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def until_told() -> Generator[asyncio.Event]:
    """Give an event that the first Ctrl-C or SIGTERM sets, so that the command ends in good order."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler or signal.SIG_DFL)

    def tell() -> None:
        told.set()
        restore()  # a second Ctrl-C does not wait

    try:
        for number in before:
            loop.add_signal_handler(number, tell)
    except NotImplementedError:  # Windows: Ctrl-C cancels, and the exit code is 130
        yield told
        return
    try:
        yield told
    finally:
        restore()


async def first_of(*endings: Awaitable[object], seconds: float | None = None) -> None:
    """Wait until one is done or the time is up, and cancel the others; raises what that one raised."""
    tasks = [asyncio.ensure_future(ending) for ending in endings]
    try:
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def show_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Print a warning as one line on stderr; for ``warnings.showwarning``."""
    typer.echo(f"nvrclient: warning: {message}", err=True)
