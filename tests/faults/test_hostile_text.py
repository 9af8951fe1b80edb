"""Text from the network is shown escaped, wherever it is shown (docs/faults.md, row 9).

A recorder puts control characters, terminal sequences, text that runs backwards and line breaks where text can
stand. Data fields hold it as it came; messages, reprs and log records are one printable line each. The long form
tries a thousand times as many texts: NVRCLIENT_LONG=1 python -m pytest -n0 tests/faults/test_hostile_text.py
"""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import nvrclient
from nvrclient import NVRError
from nvrclient.commands.disks import parse_disks
from nvrclient.commands.logs import ERRORS, parse_log
from tests.end_to_end.foreign import ForeignRecorder, Query, part
from tests.faults.test_hostile_answers import USES
from tests.secrets import PASSWORD

LONG = bool(os.environ.get("NVRCLIENT_LONG"))

NASTY = "\x1b[31mred\x07\u202eevil\u2066\u200b\r\nX: injected\x00\x85\u2028end\x7f\\"
TEXT = st.text(
    st.sampled_from(
        "\x1b\x07\x00\r\n\t\x7f\x85\u202e\u2066\u200b\u2028\ufeff\ud7ff\\'\"<>%{}=;, [31m"
    )
    | st.characters(codec="utf-8"),
    max_size=40,
)


def is_plain(text: str) -> bool:
    """Whether a terminal shows it as it is, in one line: no control, format, separator or unassigned character."""
    return all(c == " " or unicodedata.category(c)[0] not in "CZ" for c in text)


class Records(logging.Handler):
    """What was logged by anybody, as a log file would have it, without tracebacks."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith(("nvrclient", "httpcore", "httpx", "hpack")):
            self.lines.append(record.getMessage())


@contextmanager
def log_lines() -> Iterator[list[str]]:
    """Collect log records of the library and of what it stands on."""
    records = Records()
    logging.getLogger().addHandler(records)
    try:
        yield records.lines
    finally:
        logging.getLogger().removeHandler(records)


class Writer(ForeignRecorder):
    """Puts one text wherever text can stand, in what one command is answered (`name`; "": nothing is wrong)."""

    def __init__(self, text: str, name: str, status: int) -> None:
        super().__init__()
        self._text, self._name, self._status = text, name, status

    async def _answer(
        self, name: str, query: Query, authorization: str | None, writer: asyncio.StreamWriter
    ) -> bytes | None:
        if name == self._name and query.get("CMD") != "STOP":
            raw = self._text.encode("utf-8", "surrogatepass")
            line = b"".join(bytes([c]) for c in raw if c not in b"\r\n\0")
            body = raw + b'<html>"' + raw
            if name == "httpdl":
                temporary = b'X-Temp-FileName: filename = "' + line + b'"\r\n'
                finished = b"X-Prev-Filename: " + line + b"\r\n"
                # A file that begins and ends under this name, or one that ends and never began.
                heads = (temporary, finished) if len(self._text) % 2 else (temporary + finished,)
                rest = b"Content-Length: 3\r\n\r\nabc\r\n"
                body = b"".join(b"--b\r\n" + head + rest for head in heads) + b"--b--\r\n"
                kind = b"multipart/x-mixed-replace; boundary=b"
            elif name == "push" and self._status == 200:
                kind = b"multipart/x-mixed-replace; boundary=--myboundary"
                body = part(b"?", self._text.replace("\r", "").replace("\n", ""))
            else:
                kind = b"text/" + line
            # h11 refuses control characters in a head; what it lets through is shown by nobody
            return (
                b"HTTP/1.1 %d " % self._status
                + (line if line.isascii() and line.decode().isprintable() else b"X")
                + b"\r\nContent-Length: %d\r\nContent-Type: %s\r\n" % (len(body), kind)
                + b"Content-Encoding: identity\r\nRetry-After: "
                + line
                + b"\r\n\r\n"
                + body
            )
        return await super()._answer(name, query, authorization, writer)


async def provoke(text: str, name: str, status: int) -> list[str]:
    """Have it answered so; return all that is shown: messages, reprs, log records."""
    shown: list[str] = []
    with log_lines() as lines, tempfile.TemporaryDirectory() as folder:
        async with Writer(text, name, status) as recorder:
            options: dict[str, Any] = {"command_interval": 0, "reconnect": False, "timeout": 1.0}
            session = nvrclient.connect(
                recorder.url, "ADMIN", PASSWORD, stall_timeout=0.1, **options
            )
            try:
                async with session as nvr:
                    await USES[name](nvr, Path(folder))
            except NVRError as error:
                link: BaseException | None = error
                while link is not None:
                    shown += [str(link), *getattr(link, "__notes__", ())]
                    link = link.__cause__ or link.__context__
            assert not [p for p in Path(folder).rglob("*") if not is_plain(p.name)]
    return shown + lines


def test_row_9_text_of_answers_is_escaped_where_it_is_shown() -> None:
    """For each command, with good and bad status; one log record is one line."""
    provoked = 0

    @settings(
        max_examples=5000 if LONG else 25,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(TEXT, st.sampled_from(sorted({*USES} - {"status"})), st.sampled_from([200, 404, 500]))
    @example(NASTY, "httpdl", 200)
    @example(NASTY + "x", "httpdl", 200)
    @example(NASTY, "loglist", 200)
    @example(NASTY, "push", 200)
    @example(NASTY, "camera", 200)
    def judge(text: str, name: str, status: int) -> None:
        nonlocal provoked
        shown = runner.run(provoke(text, name, status))
        provoked += len(shown)
        for line in shown:
            assert is_plain(line), (name, ascii(line))

    with asyncio.Runner() as runner:
        judge()
    assert provoked > 50


@settings(max_examples=20_000 if LONG else 100, deadline=None)
@given(TEXT)
@example(NASTY)
def test_row_9_data_keeps_the_text_and_its_repr_escapes_it(text: str) -> None:
    """Kinds of log entries, names and flags of disks: raw in the field, plain in the repr."""
    kind = text.replace('"', "")
    body = f'ERROR_LOG="1","2024/01/01 00:00:00","0","{kind}","GMT+09:00"'.encode()
    for entry in parse_log(body, ERRORS).entries:
        if not {"\r", "\n"} & {*kind}:  # line breaks are layout there (5.1.2)
            assert entry.kind == kind
        assert is_plain(repr(entry))
    flag = "".join(c for c in text if c not in "(),\r\n")[:16]
    for disk in parse_disks(f"HDD-1,1GB({flag}),1GB,,,,,,\r\n".encode(), None).disks:
        assert is_plain(repr(disk))


def test_row_9_the_judge_finds_each_kind() -> None:
    for bad in ("\x1b[31m", "a\nb", "\u202e", "\u2028", "\x85", "\x00", "\u200b"):
        assert not is_plain(f"x {bad} y")
    assert is_plain("camera 1: 'caf\\xe9' \u2026 \u00e9")
