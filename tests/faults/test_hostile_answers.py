"""Answers to commands that are huge, endless, slow, damaged or foreign (docs/faults.md, rows 10 and 11).

The long form tries a thousand times as many texts and damages, and real ten seconds:
NVRCLIENT_LONG=1 python -m pytest -n0 tests/faults/test_hostile_answers.py
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
import tracemalloc
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nvrclient
from nvrclient import NVRError
from nvrclient.commands.cameras import parse_cameras
from nvrclient.commands.disks import parse_disks
from nvrclient.commands.login import parse_uid
from nvrclient.commands.logs import ERRORS, EVENTS, parse_log
from nvrclient.container.download import DownloadReader
from tests.end_to_end.foreign import ForeignRecorder, Query
from tests.end_to_end.servers import reply
from tests.secrets import PASSWORD

LONG = bool(os.environ.get("NVRCLIENT_LONG"))
FEW = 30_000 if LONG else 30
LATER = datetime(2024, 1, 1, tzinfo=UTC)

Use = Callable[[nvrclient.Session, Path], Coroutine[Any, Any, object]]


async def play(nvr: nvrclient.Session, _folder: Path) -> object:
    async with nvr.camera(1).playback() as playback:
        return await anext(playback)


async def watch(nvr: nvrclient.Session, _folder: Path) -> object:
    async with nvr.camera(1).live("h264") as stream:
        return await anext(stream)


USES: dict[str, Use] = {
    "status": lambda nvr, _: nvr.command("status.cgi", {"PC": "AS60"}),
    "as_getinfo": lambda nvr, _: nvr.cameras(),
    "loglist": lambda nvr, _: nvr.event_log(),
    "recordedtime": lambda nvr, _: nvr.disks(),
    "hdrctl": watch,
    "push": watch,
    "camera": play,
    "httpdl": lambda nvr, folder: nvr.camera(1).download(
        LATER, LATER + timedelta(minutes=1), folder
    ),
    "directctrl": lambda nvr, _: nvr.camera(1).move(pan=1),
    "camctl": lambda nvr, _: nvr.camera(1).goto_preset(1),
}
"""What sends a command of this name."""


class Odd(ForeignRecorder):
    """A good recorder but for one command, which `say` answers; None: the connection ends."""

    def __init__(
        self, name: str, say: Callable[[asyncio.StreamWriter], Coroutine[Any, Any, bytes | None]]
    ) -> None:
        super().__init__()
        self._odd, self._say = name, say

    async def _answer(
        self, name: str, query: Query, authorization: str | None, writer: asyncio.StreamWriter
    ) -> bytes | None:
        if name == self._odd and query.get("CMD") != "STOP" and query.get("PLAYCMD") != "STOP":
            return await self._say(writer)
        return await super()._answer(name, query, authorization, writer)


def connect(recorder: ForeignRecorder, **options: Any) -> nvrclient.Session:
    options = {"command_interval": 0, "reconnect": False, "stall_timeout": 0.3, **options}
    return nvrclient.connect(recorder.url, "ADMIN", PASSWORD, **options)


async def attempt(recorder: Odd, name: str, folder: Path, **options: Any) -> NVRError | None:
    """Open a session and have the command sent; promise 1: a value or one of our errors."""
    try:
        async with connect(recorder, **options) as nvr:
            async with asyncio.timeout(30):
                await USES[name](nvr, folder)
    except NVRError as error:
        return error
    return None


# Row 10


@pytest.mark.parametrize("stated", [True, False])
@pytest.mark.parametrize(
    "name", ["status", "as_getinfo", "loglist", "recordedtime", "hdrctl", "directctrl"]
)
async def test_row_10_a_hundred_megabytes_are_refused_at_one(
    name: str, stated: bool, tmp_path: Path
) -> None:
    """By the length it states, or by what comes; memory stays under 4 MiB more."""
    sent = 0

    async def flood(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        length = b"Content-Length: 100000000\r\n" if stated else b"Connection: close\r\n"
        writer.write(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n")
        piece = b"x" * 65536
        for _ in range(1526):
            writer.write(piece)
            sent += len(piece)
            await writer.drain()

    async with Odd(name, flood) as recorder, connect(recorder) as nvr:
        gc.collect()
        tracemalloc.start()
        try:
            with pytest.raises(nvrclient.ProtocolError, match="larger than") as caught:
                await USES[name](nvr, tmp_path)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert len(caught.value.head) <= 32
        assert nvr.is_open
    assert peak < 4 << 20
    assert sent < 40 << 20


NONSENSE = {
    "a page": reply("200 OK", b"<html><body>Welcome!</body></html>", "Content-Type: text/html"),
    "nothing": reply("200 OK", b""),
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "UTF-16": reply(
        "200 OK", "ERROR_LOG_NO=1".encode("utf-16"), "Content-Type: text/plain; charset=utf-16"
    ),
    "a charset that is none": reply(
        "200 OK", b"\xff\xfe\x80\x81", "Content-Type: text/html; charset=klingon"
    ),
    "XML that grows": reply(
        "200 OK",
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c SYSTEM "file:///etc/passwd">'
        + b"".join(b'<!ENTITY e%d "&b;&b;&b;&b;&b;&b;&b;&b;">' % n for n in range(50))
        + b"]><a>&e49;&c;</a>",
        "Content-Type: text/xml",
    ),
    "deep nesting": reply(
        "200 OK", b"[" * 500_000 + b"<a>" * 100_000, "Content-Type: application/json"
    ),
    "zeros": reply("200 OK", bytes(1 << 20)),
    "an unknown coding": reply("200 OK", b"x", "Content-Encoding: br"),
    "cut off": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc",
    "no status line": b"\x15\x03\x01\x00\x02\x02\x46",
    "status 999": b"HTTP/1.1 999 ?\r\nContent-Length: 0\r\n\r\n",
    "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nabcde",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    "a chunk that lies": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffff\r\nx\r\n",
    "a million headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300_000 + b"\r\n",
    "101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
}


@pytest.mark.parametrize("what", NONSENSE)
async def test_row_10_nonsense_with_status_200_is_one_of_our_errors_or_nothing(
    what: str, tmp_path: Path
) -> None:
    """For every command, login included; and the session lives on."""

    async def say(writer: asyncio.StreamWriter) -> bytes | None:
        writer.write(NONSENSE[what])
        await writer.drain()
        return b"" if b"Content-Length: 0" in NONSENSE[what] else None

    for name in USES:
        if (what, name) == ("204", "push") and not LONG:
            continue  # which is asked for again for fifteen seconds: row 24
        began = time.process_time()
        async with Odd(name, say) as recorder:
            error = await attempt(recorder, name, tmp_path, timeout=1.0)
        assert error is None or str(error).isprintable()
        assert time.process_time() - began < 2.0
    async with Odd("dlogin", say) as recorder:
        with pytest.raises(NVRError) as caught:
            await connect(recorder, timeout=1.0)
        assert str(caught.value).isprintable()


PARSERS: dict[str, Callable[[bytes], object]] = {
    "login": parse_uid,
    "cameras": parse_cameras,
    "error log": lambda body: parse_log(body, ERRORS),
    "event log": lambda body: parse_log(body, EVENTS),
    "disks": lambda body: parse_disks(body, None),
}
TOKENS = st.sampled_from(
    [
        *(b"ERROR_LOG_NO=", b"ERROR_LOG=", b"EVENT_LOG=", b"EVENT_LOG_NO=", b'"', b'","', b'"1"'),
        *(b'"2024/01/01 00:00:00"', b'"GMT+09:00"', b"GMT", b"UID=", b"name=UID ", b"value=", b">"),
        *(
            b"CAM_CONNECT_0",
            b"CH=",
            b"1",
            b"9" * 20,
            b"\r\n",
            b" ",
            b"\t",
            b"\0",
            b"\xff",
            b",",
            b"(",
        ),
        *(b")", b"Disk,Capacity", b"HDD-1,", b"1GB", b"24/01/01", b"UID%3D", b"&#61;", b"<", b"="),
    ]
)


@pytest.mark.parametrize("parser", PARSERS)
@settings(max_examples=FEW * 5, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=st.lists(TOKENS | st.binary(max_size=4), max_size=40).map(b"".join))
def test_row_10_any_body_gives_a_value_or_a_protocol_error(parser: str, body: bytes) -> None:
    refusal: nvrclient.ProtocolError | None = None
    try:
        PARSERS[parser](body)
    except nvrclient.ProtocolError as error:
        refusal = error
    if refusal is not None:
        assert refusal.offset is not None
        assert len(refusal.head) <= 32
        assert str(refusal).isprintable()


SIZE = 1 << (20 if LONG else 17)
REPEATED = (
    *(
        b"name=UID ",
        b'name="UID"\n',
        b"UID ",
        b"UID=",
        b'"',
        b'" ',
        b'"1" ',
        b'"1",',
        b"\r ",
        b"\n\t",
    ),
    *(
        b'"1","2024/01/01 00:00:00","0","',
        b'"x","GMT ',
        b"ERROR_LOG_NO= ",
        b"CAM_CONNECT_00",
        b"A-1,",
    ),
    *(b"A-1,1GB(x)", b"Disk ", b" ", b"0"),
)


@pytest.mark.parametrize("parser", PARSERS)
def test_row_10_a_large_body_of_anything_is_read_at_once(parser: str) -> None:
    """What is tried again from each of its places would take minutes, in the event loop."""
    for unit in REPEATED:
        for begin in (
            b"",
            b"ERROR_LOG=",
            b'EVENT_LOG="1","2024/01/01 00:00:00","0","',
            b"\nA-1,1GB ",
        ):
            began = time.process_time()
            with suppress(nvrclient.ProtocolError):
                PARSERS[parser](begin + unit * (SIZE // len(unit)))
            assert time.process_time() - began < 1.0, (begin, unit)


@pytest.mark.parametrize("header", ["X-Temp-FileName", "X-Prev-Filename", "X-RecData-Satus"])
def test_row_10_header_values_of_downloads_are_read_at_once(header: str) -> None:
    """The same for a value as long as its line may be."""
    for value in (
        "a;" + " " * 7900 + ";;x",
        "a" * 3900 + " " * 3900 + ";;",
        "filename" + " =" * 3900,
    ):
        body = f"--b\r\n{header}: {value}\r\nContent-Length: 3\r\n\r\nabc\r\n--b--\r\n".encode()
        began = time.process_time()
        with suppress(nvrclient.NVRError):
            reader = DownloadReader()
            list(reader.feed(body))
            list(reader.close())
        assert time.process_time() - began < 2.0


# Row 11


async def endless_1xx(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nX: y\r\n\r\n" * 20)
        await writer.drain()


async def slow_headers(writer: asyncio.StreamWriter) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.02)


async def slow_body(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b"y")
        await asyncio.sleep(0.02)


async def slow_chunks(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1;x\r\ny\r\n")
        await asyncio.sleep(0.02)


async def nothing(_writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


async def late(_writer: asyncio.StreamWriter) -> bytes:
    await asyncio.sleep(0.8 if not LONG else 10.5)
    return reply("200 OK", b"too late")


DEADLINE = 10.0 if LONG else 0.4
SLOW = {
    "1xx for ever": endless_1xx,
    "headers byte by byte": slow_headers,
    "body byte by byte": slow_body,
    "chunk by chunk": slow_chunks,
    "nothing": nothing,
    "too late": late,
}


@pytest.mark.parametrize("how", SLOW)
@pytest.mark.parametrize("name", ["dlogin", "status", "loglist", "camera", "directctrl"])
async def test_row_11_one_deadline_for_a_whole_command(how: str, name: str, tmp_path: Path) -> None:
    """Whatever comes meanwhile, and however little; real time."""
    async with Odd(name, SLOW[how]) as recorder:  # type: ignore[arg-type]
        began = time.monotonic()
        if name == "dlogin":
            with pytest.raises(nvrclient.ConnectionFailedError):
                await connect(recorder, timeout=DEADLINE)
            took = time.monotonic() - began
        else:
            async with connect(recorder, timeout=DEADLINE) as nvr:
                began = time.monotonic()
                with pytest.raises(
                    (
                        nvrclient.ConnectionFailedError,
                        nvrclient.CommandError,
                        nvrclient.StreamEndedError,
                    )
                ):
                    await USES[name](nvr, tmp_path)
                took = time.monotonic() - began
        assert DEADLINE * 0.9 < took < DEADLINE * 1.5 + 1.6


@pytest.mark.parametrize("how", ["1xx for ever", "headers byte by byte", "nothing"])
async def test_row_11_start_has_the_same_deadline(how: str, tmp_path: Path) -> None:
    async with Odd("push", SLOW[how]) as recorder:  # type: ignore[arg-type]
        async with connect(recorder, timeout=DEADLINE) as nvr:
            began = time.monotonic()
            with pytest.raises(nvrclient.ConnectionFailedError):
                await watch(nvr, tmp_path)
            assert time.monotonic() - began < DEADLINE * 1.5 + 1.6
