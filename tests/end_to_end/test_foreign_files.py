"""Downloads, camera control, logs and disks against a recorder that reads the open questions its own way."""

from __future__ import annotations

import asyncio
import fcntl
import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from nvrclient import (
    ConnectionFailedError,
    DownloadError,
    NoRecordingError,
    NVRError,
    RecorderBusyError,
    UnsupportedMediaError,
)
from nvrclient.download import folder
from tests.clock import run_simulated
from tests.end_to_end.foreign import Query
from tests.end_to_end.foreign_files import (
    MULTIPART,
    FilesRecorder,
    answer,
    kept,
    part,
    session,
    whole,
)
from tests.end_to_end.servers import reply

T = datetime(2023, 11, 15, tzinfo=UTC)
HOUR = timedelta(hours=1)
A, B = "001_231115000000_3000_7f_00_01", "001_231115003000_3000_7f_00_01"
AB = {f"{A}.mp4": b"first", f"{B}.mp4": b"second"}
END = part(temporary="", finished=f"{A}.mp4")
MIB = (1 << 20) - 200


def download(to: Path, *answers: bytes, error: type[NVRError] | None = None) -> FilesRecorder:
    """Download an hour whose first request is answered so; return the recorder."""
    recorder = FilesRecorder(*answers)

    async def run() -> None:
        async with session(recorder) as nvr:
            if error is None:
                paths = await nvr.camera(1).download(T, T + HOUR, to)
                assert {path.name for path in paths} == set(kept(to))
            else:
                with pytest.raises(error):
                    await nvr.camera(1).download(T, T + HOUR, to)

    run_simulated(run())
    return recorder


# Downloads


@pytest.mark.parametrize("again", [1, 2])
@pytest.mark.parametrize("closing", [b"--myboundary--\r\n", b""])
def test_the_two_names_in_parts_of_their_own(tmp_path: Path, again: int, closing: bytes) -> None:
    """X-Temp-FileName left out is not yet its being empty: the next part may bring it."""
    parts = [part(temporary=f"{A}.tmp"), part(b"first", status=None)]
    parts += [part(finished=f"{A}.mp4")] * again
    parts += [part(temporary=f"{B}.tmp"), part(b"second", status=None)]
    parts += [part(finished=f"{B}.mp4")] * again
    recorder = download(tmp_path, answer(*parts, closing=closing))
    assert kept(tmp_path) == AB
    assert len(recorder.downloads) == 1


@pytest.mark.parametrize(
    ("temporary", "finished"),
    [
        ('form-data; filename="{}"', 'form-data; filename="{}"'),
        ('filename="{}";', "filename={};"),
        ("filename = '{}'", "filename = ''"),
        ("FileName\t=\t{}", '""'),
    ],
)
def test_names_spelled_otherwise(tmp_path: Path, temporary: str, finished: str) -> None:
    first = part(
        b"first",
        f"X-Temp-FileName: {temporary.format(A + '.tmp')}",
        f"X-Prev-Filename: {finished.format('')}",
    )
    download(tmp_path, answer(first, END))
    assert kept(tmp_path) == {f"{A}.mp4": b"first"}


@pytest.mark.parametrize("status", ["00", "0 (Normal)", "0;"])
def test_status_0_spelled_otherwise(tmp_path: Path, status: str) -> None:
    first = part(b"first", temporary=f"{A}.tmp", finished="", status=status)
    download(tmp_path, answer(first, END))
    assert kept(tmp_path) == {f"{A}.mp4": b"first"}


@pytest.mark.parametrize("in_parts", [True, False])
@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("1", NoRecordingError),
        ("01: no recorded data", NoRecordingError),
        ("2", UnsupportedMediaError),
        ("03", RecorderBusyError),
        ("4", DownloadError),
        ("-1", DownloadError),
    ],
)
def test_a_status_in_a_part_or_in_the_answers_own_headers(
    tmp_path: Path, status: str, error: type[NVRError], *, in_parts: bool
) -> None:
    """Busy is not empty: an answer without a body must not pass for an hour without recording."""
    bare = reply("200 OK", b"", MULTIPART, f"X-RecData-Satus: {status}")
    download(tmp_path, answer(part(status=status)) if in_parts else bare, error=error)
    assert kept(tmp_path) == {}


def test_too_many_at_once_in_the_middle_of_a_file_is_tried_again(tmp_path: Path) -> None:
    cut = answer(part(b"fi", temporary=f"{A}.tmp", finished=""), part(status="3"))
    assert len(download(tmp_path, cut, whole(AB)).downloads) == 2
    assert kept(tmp_path) == AB


@pytest.mark.parametrize(
    ("number", "odd"),
    [('"bytes": 5', '"bytes": Infinity'), ("2023-11-15T00:00:00+00:00", "0001-01-01T00:00+23:59")],
)
def test_a_manifest_with_numbers_that_are_none(tmp_path: Path, number: str, odd: str) -> None:
    download(tmp_path, whole(AB))
    manifest = tmp_path / "nvrclient-manifest.json"
    manifest.write_text(manifest.read_text().replace(number, odd))
    assert odd in manifest.read_text()
    download(tmp_path, whole(AB), error=DownloadError)
    assert kept(tmp_path) == AB


def test_a_folder_in_the_place_of_the_manifest_costs_no_descriptor(tmp_path: Path) -> None:
    (tmp_path / "nvrclient-manifest.json").mkdir()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        download(tmp_path, whole(AB), error=DownloadError)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_times_at_the_ends_of_what_a_recorder_knows(tmp_path: Path) -> None:
    """Rounding up does not come out in the year 00; a time that has none in UTC is out of range like others."""
    last = datetime(2099, 12, 31, 23, 30, tzinfo=UTC)
    first = datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))

    async def run() -> None:
        async with session(FilesRecorder()) as nvr:
            for start, end in ((last, last + timedelta(seconds=1799)), (first, T)):
                with pytest.raises(ValueError, match="2000…2099"):
                    nvr.camera(1).open_download(start, end)

    run_simulated(run())


def test_an_async_progress_is_refused(tmp_path: Path) -> None:
    """It would never be awaited, and nobody would see why nothing is shown."""

    async def progress(_: object) -> None:
        raise AssertionError

    async def run() -> None:
        async with session(FilesRecorder(whole(AB))) as nvr:
            with pytest.raises(TypeError, match="progress"):
                await nvr.camera(1).download(T, T + HOUR, tmp_path, progress=progress)
            assert kept(tmp_path) == {}

    run_simulated(run())


def test_files_asked_for_their_bytes_after_the_download_has_ended() -> None:
    async def run() -> None:
        async with session(FilesRecorder(whole(AB))) as nvr:
            async with nvr.camera(1).open_download(T, T + HOUR) as files:
                for file in [file async for file in files]:
                    with pytest.raises(RuntimeError, match="passed over"):
                        await anext(file)

    run_simulated(run())


@pytest.mark.parametrize("link", [True, False])
def test_a_part_that_another_replaces_gets_no_final_name(tmp_path: Path, *, link: bool) -> None:
    class Swapping(FilesRecorder):
        async def files(self, query: Query, writer: asyncio.StreamWriter) -> bytes | None:
            data = whole(AB)
            writer.write(data[:300])
            while not (found := list(to.glob("*.part"))):
                await asyncio.sleep(0.01)
            found[0].unlink()
            if link:
                found[0].symlink_to(other)
            else:
                found[0].write_bytes(b"else")
            return data[300:]

    to, other = tmp_path / "to", tmp_path / "other"
    other.write_bytes(b"other")

    async def run() -> None:
        async with session(Swapping()) as nvr:
            with pytest.raises(DownloadError, match="replaced"):
                await nvr.camera(1).download(T, T + HOUR, to)
        assert not kept(to)
        assert other.read_bytes() == b"other"

    run_simulated(run())


def test_a_folder_that_another_program_keeps_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends: a thread that waited for ever could not be cancelled, and would hold up the interpreter's end."""
    monkeypatch.setattr(folder, "LOCK_TIME", 0.05)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        download(tmp_path, whole(AB), error=DownloadError)
    finally:
        os.close(descriptor)
    download(tmp_path, whole(AB))


def test_a_session_of_one_uid_downloads_one_after_the_other(tmp_path: Path) -> None:
    async def run() -> None:
        recorder = FilesRecorder(whole(AB))
        async with session(recorder, max_uids=1) as nvr:
            await asyncio.gather(
                *(nvr.camera(n).download(T, T + HOUR, tmp_path / f"{n}") for n in (1, 2, 3))
            )
        assert (recorder.most, len(recorder.downloads)) == (1, 3)

    run_simulated(run())


def test_a_session_closed_while_a_download_waits_to_try_again(tmp_path: Path) -> None:
    async def run() -> None:
        recorder = FilesRecorder(answer(part(b"fi", temporary=f"{A}.tmp", finished="")))
        async with session(recorder) as nvr:
            waiting = asyncio.ensure_future(nvr.camera(1).download(T, T + HOUR, tmp_path))
            while not recorder.downloads:
                await asyncio.sleep(0.1)
            await asyncio.sleep(1)
            await nvr.aclose()
            with pytest.raises(ConnectionFailedError, match="closed"):
                await waiting
        assert kept(tmp_path, but=()) == {}

    run_simulated(run())


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
                except NVRError:
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


def test_a_byte_order_mark_before_the_first_disk() -> None:
    async def run() -> None:
        async with session(Telling(b"\xef\xbb\xbfMAIN-1,4001GB,3710GB,,,,,,\r\n")) as nvr:
            assert [disk.name for disk in await nvr.disks()] == ["MAIN-1"]

    run_simulated(run())
