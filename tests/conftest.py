"""What every test is held to: nothing is left behind, and no secret reaches a log."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from nvrclient import NVRError
from tests.secrets import SecretWatch, secrets_in

WATCH = SecretWatch()


def _checked(error: NVRError, *args: object) -> None:
    """Every error of the library that is made in the whole run shows no secret."""
    Exception.__init__(error, *args)
    if found := secrets_in(" ".join(map(str, args))):
        WATCH.leaks.append(f"{type(error).__name__}: {', '.join(found)} in an error")


def pytest_configure() -> None:
    NVRError.__init__ = _checked  # type: ignore[method-assign, assignment]
    logging.getLogger().addHandler(WATCH)
    logging.getLogger().setLevel(logging.DEBUG)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        test = inspect.unwrap(getattr(item, "obj", item))
        if inspect.iscoroutinefunction(test) and "nothing_is_left" not in item.fixturenames:  # type: ignore[attr-defined]
            item.fixturenames.insert(0, "nothing_is_left")  # type: ignore[attr-defined]


def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:  # a worker: the process that started it judges
        output["secrets"] = (WATCH.records, WATCH.leaks)
    elif WATCH.leaks:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker of pytest-xdist has ended: take over what it found."""
    records, leaks = getattr(node, "workeroutput", {}).get("secrets", (0, []))
    WATCH.records += records
    WATCH.leaks += leaks


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if WATCH.leaks:
        terminalreporter.section("secrets in the log", red=True)
        for leak in WATCH.leaks[:20]:
            terminalreporter.line(leak)
    terminalreporter.line(f"{WATCH.records} log records at DEBUG were searched for secrets")


@pytest.fixture
async def nothing_is_left() -> AsyncIterator[None]:
    """No task, socket or thread outlives the test; nothing went wrong unseen in the event loop."""
    loop = asyncio.get_running_loop()
    unseen: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _loop, context: unseen.append(context))
    before, threads = open_sockets(), set(threading.enumerate())
    mine = asyncio.all_tasks()
    yield
    for _ in range(5):  # asyncio closes what was aborted in a later turn of the loop
        await asyncio.sleep(0)
    gc.collect()
    await asyncio.sleep(0)
    tasks = {task.get_name() for task in asyncio.all_tasks() - mine if not task.done()}
    tasks.discard(getattr(asyncio.current_task(), "get_name", str)())
    left = {
        "tasks": tasks,
        "sockets": open_sockets() - before,
        "threads": {
            thread.name
            for thread in set(threading.enumerate()) - threads
            if not thread.name.startswith(("asyncio_", "AnyIO worker"))  # the loop's own pools
        },
        "unseen": {str(context) for context in unseen},
    }
    assert not any(left.values()), {what: found for what, found in left.items() if found}


def open_sockets() -> set[str]:
    """Return the sockets this process has open, by their inodes."""
    found: set[str] = set()
    for fd in Path("/proc/self/fd").iterdir():
        try:
            target = str(fd.readlink())
        except OSError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


@pytest.fixture
def caught_up() -> Iterator[None]:
    """Collect garbage before and after, so that another test's remains are not this one's."""
    gc.collect()
    yield
    gc.collect()
