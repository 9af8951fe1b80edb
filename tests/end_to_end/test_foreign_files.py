"""Downloads, camera control, logs and disks against a recorder that reads the open questions its own way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

import nvrclient
from tests.clock import run_simulated
from tests.end_to_end.foreign import Query
from tests.end_to_end.foreign_files import FilesRecorder, session
from tests.end_to_end.servers import reply

MIB = (1 << 20) - 200

# Logs, disks, cameras


class Telling(FilesRecorder):
    """Tells this, whatever it is asked."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.body = reply("200 OK", body)

    async def log(self, query: Query) -> bytes:
        return self.body

    async def recorded(self) -> bytes:
        return self.body

    async def getinfo(self, query: Query) -> bytes:
        return self.body


ENTRY = b'ERROR_LOG="001","2021/11/14 14:10:00","0",'


@pytest.mark.parametrize(
    "body",
    [
        b"\n" * MIB,
        b"\r\n" * (MIB // 2),
        b"ERROR_LOG_NO=" + b" " * MIB,
        b'ERROR_LOG="001"' + b" " * MIB,
        ENTRY + b'"A' + b" " * MIB + b'B","GMT+03:00"',
        ENTRY + b'"A' + b" \n" * (MIB // 2) + b'B","GMT+03:00"',
        b"MAIN-1,1" + b" " * MIB + b"GB",
    ],
)
def test_a_megabyte_of_blanks_does_not_stop_the_loop(body: bytes) -> None:
    """The time to read it grows with its length: with the square of it, these would take hours."""

    async def run() -> None:
        async with session(Telling(body)) as nvr:
            for ask in (nvr.error_log, nvr.disks, nvr.cameras):
                try:
                    await ask()
                except nvrclient.NVRError:
                    continue

    run_simulated(run())


def test_numbers_without_their_zeros_are_read() -> None:
    """As 5.1 spaces them they have two digits; an hour of one digit is as clear."""

    async def run() -> None:
        body = b'ERROR_LOG_NO=1\rERROR_LOG="1","2024/4/5 9:05:00","0","DISK","GMT-3:30"\r'
        async with session(Telling(body)) as nvr:
            (entry,) = await nvr.error_log()
            assert entry.time == datetime(2024, 4, 5, 12, 35, tzinfo=UTC)
            assert entry.zone.utcoffset(None) == -timedelta(hours=3, minutes=30)

    run_simulated(run())
