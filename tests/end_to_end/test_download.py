"""Downloads from the simulated recorder into folders: what comes, and what becomes of what goes wrong."""

from __future__ import annotations

import asyncio
import errno
import gc
import json
import logging
import subprocess
import threading
import tracemalloc
import warnings
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import av
import pytest

import nvrclient
from nvrclient import (
    CommandError,
    ConnectionFailedError,
    DownloadError,
    DownloadProgress,
    NoRecordingError,
    RecorderBusyError,
    Session,
    StoredFile,
    TruncatedDownloadError,
    UnsafeFileNameError,
    UnsupportedMediaError,
)
from nvrclient.download.folder import Folder
from nvrclient.download.manifest import MANIFEST
from nvrclient.simulator import (
    CameraSetup,
    DownloadFault,
    DownloadReadings,
    FileHeaders,
    Readings,
    Recording,
    Segment,
    SimulatedRecorder,
)
from tests.clock import run_simulated
from tests.end_to_end.recordings import BEGIN, at, brief
from tests.secrets import PASSWORD

HOUR = 3600.0
ROME = ZoneInfo("Europe/Rome")


def recorder_of(
    *segments: Segment,
    downloads: DownloadReadings | None = None,
    cameras: int = 1,
    **options: Any,
) -> SimulatedRecorder:
    """Return a recorder all of whose cameras have recorded this; a day from `BEGIN` where nothing is said."""
    recording = Recording(segments or (Segment(BEGIN, brief("h264"), duration=24 * HOUR),))
    setup = CameraSetup("h264", recording=recording)
    return SimulatedRecorder(
        cameras=dict.fromkeys(range(1, cameras + 1), setup),
        password=PASSWORD,
        readings=Readings(downloads=downloads or DownloadReadings()),
        **options,
    )


@asynccontextmanager
async def session(recorder: SimulatedRecorder, **options: Any) -> AsyncGenerator[Session]:
    """A session that leaves the recorder nothing, and breaks none of its rules."""
    async with recorder:
        async with nvrclient.connect(recorder.url, recorder.username, PASSWORD, **options) as nvr:
            yield nvr
        async with asyncio.timeout(2):
            while recorder.uids or recorder.downloads:
                await asyncio.sleep(0.01)
        assert recorder.violations == []


def kept(folder: Path) -> dict[str, bytes]:
    """Return the files in a folder, without the manifest."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != MANIFEST}


def manifest(folder: Path) -> dict[str, Any]:
    content = json.loads((folder / MANIFEST).read_text())
    for entry in content["files"]:
        data = (folder / entry["file"]).read_bytes()
        assert (len(data), sha256(data).hexdigest()) == (entry["bytes"], entry["sha256"])
    assert [entry["file"] for entry in content["files"]] == sorted(
        {path.name for path in folder.iterdir()} - {MANIFEST},
        key=[entry["file"] for entry in content["files"]].index,
    )
    return content


def asked(recorder: SimulatedRecorder) -> list[str]:
    """Return STARTTIME of every httpdl.cgi."""
    return [
        dict(request.params)["STARTTIME"]
        for request in recorder.requests
        if request.cgi == "httpdl.cgi"
    ]


def expected(recorder: SimulatedRecorder, start: float, end: float, kind: str) -> dict[str, bytes]:
    files = recorder.download_files(1, at(start), at(end), kind)
    return {str(file.name): file.data for file in files}


@pytest.mark.parametrize("tls", [False, True])
async def test_byte_for_byte_and_frame_for_frame(tls: bool, tmp_path: Path) -> None:
    segment = Segment(BEGIN, "h264", "aac_48k_stereo", duration=60)
    recorder = recorder_of(segment, downloads=DownloadReadings(file_seconds=30), tls=tls)
    async with recorder:
        verify = recorder.certificate or True
        async with nvrclient.connect(recorder.url, "ADMIN", PASSWORD, verify=verify) as nvr:
            for kind, audio, word in (
                ("mp4", True, "MP4"),
                ("mp4", False, "MP4VO"),
                ("n3", True, "N3"),
                ("n3", False, "N3VO"),
                ("list", True, "LIST"),
            ):
                to = tmp_path / word
                paths = await nvr.camera(1).download(at(0), at(60), to, kind=kind, audio=audio)
                right = expected(recorder, 0, 60, word)
                assert kept(to) == right
                assert [path.name for path in paths] == list(right)
                assert {path.parent for path in paths} == {to}
                assert [entry["kind"] for entry in manifest(to)["files"]] == [word] * len(paths)
        assert recorder.violations == []
    pictures = sum(len(gop.pictures) for gop in recorder.recording(1).gops(at(0), at(60)))
    for word, streams in (("MP4", 2), ("MP4VO", 1)):
        frames = 0
        for path in sorted((tmp_path / word).glob("*.mp4")):
            with av.open(str(path)) as container:
                assert len(container.streams) == streams
                frames += sum(1 for _ in container.decode(video=0))
        assert frames == pictures


@pytest.mark.parametrize(
    "readings",
    [
        DownloadReadings(file_headers=FileHeaders.FIRST_PART, part_size=1000),
        DownloadReadings(file_headers=FileHeaders.OWN_PART, part_size=1000),
        DownloadReadings(file_headers=FileHeaders.EVERY_PART, part_size=999, content_length=False),
        DownloadReadings(file_headers=FileHeaders.FIRST_PART, part_size=None, content_length=False),
        DownloadReadings(temp_header="x-temp-filename", prev_header="X-PREV-FILENAME"),
        DownloadReadings(status_header="X-RecData-Status", value="filename={}"),
        DownloadReadings(status_header=None, value="{}", closing_delimiter=False),
    ],
)
async def test_every_reading(readings: DownloadReadings, tmp_path: Path) -> None:
    recorder = recorder_of(downloads=replace(readings, file_size=12_345, file_seconds=60))
    async with session(recorder) as nvr:
        await nvr.camera(1).download(at(0), at(180), tmp_path)
        assert kept(tmp_path) == expected(recorder, 0, 180, "mp4")
        assert len(kept(tmp_path)) == 3


def seconds_in(paths: Iterable[Path]) -> list[str]:
    """Return what the lists of a recording whose GOPs last a second each tell: a line for each."""
    return [line[:20] for path in paths for line in path.read_text().splitlines()]


async def test_five_hours_without_gap_or_overlap(tmp_path: Path) -> None:
    """Every second of the recording, once and in order; the start is no whole hour, and not even a whole minute."""
    recorder = recorder_of()
    async with session(recorder) as nvr:
        told: list[DownloadProgress] = []
        paths = await nvr.camera(1).download(
            at(2 * HOUR + 90), at(7 * HOUR + 90), tmp_path, kind="list", progress=told.append
        )
    assert len(paths) == 6
    assert asked(recorder)[0] == "231115020100"
    first, last = at(2 * HOUR + 60), at(7 * HOUR + 120)
    count = int((last - first).total_seconds())
    assert seconds_in(paths) == [
        f"{first + timedelta(seconds=n):%Y-%m-%dT%H:%M:%S}Z" for n in range(count)
    ]
    ranges = [tuple(entry["range"]) for entry in manifest(tmp_path)["files"]]
    assert ranges[0][0] == first.isoformat()
    assert ranges[-1][1] == last.isoformat()
    hours = list(dict.fromkeys(ranges))
    assert all(one[1] == other[0] for one, other in zip(hours, hours[1:], strict=False))
    assert [one.finished.file for one in told if one.finished] == [path.name for path in paths]
    assert told[-1].covered == told[-1].total == last - first
    covered = [one.covered for one in told]
    assert covered == sorted(covered)


@pytest.mark.parametrize("spring", [True, False])
async def test_both_changes_of_summer_time(spring: bool, tmp_path: Path) -> None:
    """Names tell local time: the hour that comes twice brings the same names twice, and both files are kept."""
    day = datetime(2024, 3, 31, tzinfo=ROME) if spring else datetime(2024, 10, 27, tzinfo=ROME)
    recorder = recorder_of(
        Segment(day.timestamp() - HOUR, brief("h264"), duration=8 * HOUR),
        downloads=DownloadReadings(zone=ROME),
    )
    async with session(recorder) as nvr:
        paths = await nvr.camera(1).download(day, day.replace(hour=5), tmp_path, kind="list")
    hours = 4 if spring else 6
    begin = day.astimezone(UTC)
    assert seconds_in(paths) == [
        f"{begin + timedelta(seconds=n):%Y-%m-%dT%H:%M:%S}Z" for n in range(int(hours * HOUR))
    ]
    names = [path.name[4:16] + path.stem[30:] for path in paths]
    if spring:
        assert names == [f"240331{hour:02}0000" for hour in (0, 1, 3, 4)]
    else:
        assert names == [f"241027{hour}" for hour in ("000000", "010000", "020000", "020000-2", "030000", "040000")]  # fmt: skip
    again = paths
    async with session(recorder_of(downloads=DownloadReadings(zone=ROME))) as nvr:
        paths = await nvr.camera(1).download(day, day.replace(hour=5), tmp_path, kind="list")
        assert paths == again


async def test_row_67_two_at_a_time_and_fair(tmp_path: Path) -> None:
    recorder = recorder_of(
        cameras=5, downloads=DownloadReadings(file_size=20_000, bytes_per_second=400_000)
    )
    async with session(recorder) as nvr:
        await asyncio.gather(
            *(nvr.camera(n).download(at(0), at(3 * HOUR), tmp_path / str(n)) for n in range(1, 6)),
            *(nvr.camera(n).download(at(4 * HOUR), at(5 * HOUR), tmp_path / str(n)) for n in range(1, 6)),
        )  # fmt: skip
        assert recorder.max_downloads_seen == 2
        assert nvr.stats.uids <= 2
    order = [
        int(dict(request.params)["CAM"])
        for request in recorder.requests
        if request.cgi == "httpdl.cgi"
    ]
    assert sorted(order[:10]) == sorted([*range(1, 6)] * 2)
    for n in range(1, 6):
        assert len(manifest(tmp_path / str(n))["files"]) == 4


def test_row_67_status_3_waits_and_tries_again(tmp_path: Path) -> None:
    async def run() -> None:
        recorder = recorder_of(cameras=3, downloads=DownloadReadings(file_size=2000))
        recorder.download_faults += [DownloadFault(status=3)] * 4
        async with session(recorder) as nvr:
            loop = asyncio.get_running_loop()
            began = loop.time()
            await nvr.camera(1).download(at(0), at(60), tmp_path)
            assert 3 + 4.5 + 7 + 10 <= loop.time() - began < 26
            assert len(asked(recorder)) == 5

            recorder.download_statuses[1] = 3
            began = loop.time()
            others = [
                asyncio.ensure_future(nvr.camera(2).download(at(0), at(60), tmp_path / "2")),
            ]
            with pytest.raises(RecorderBusyError, match="two downloads at a time") as caught:
                await nvr.camera(1).download(at(60), at(120), tmp_path)
            assert caught.value.retry_after == 10
            assert 290 <= loop.time() - began <= 301
            await asyncio.gather(*others)

    run_simulated(run())


def test_row_67_too_many_by_another_program(tmp_path: Path) -> None:
    """Two sessions and a recorder with one place: both come to an end."""

    async def run() -> None:
        readings = DownloadReadings(file_size=100_000, limit=1, bytes_per_second=20_000)
        recorder = recorder_of(downloads=readings)
        async with session(recorder) as nvr:
            async with nvrclient.connect(recorder.url, "ADMIN", PASSWORD) as other:
                await asyncio.gather(
                    nvr.camera(1).download(at(0), at(2 * HOUR), tmp_path / "1"),
                    other.camera(1).download(at(0), at(2 * HOUR), tmp_path / "2"),
                )
        assert (
            kept(tmp_path / "1") == kept(tmp_path / "2") == expected(recorder, 0, 2 * HOUR, "mp4")
        )

    run_simulated(run())


async def test_row_67_other_statuses(tmp_path: Path) -> None:
    recorder = recorder_of()
    async with session(recorder) as nvr:
        camera = nvr.camera(1)
        recorder.download_statuses[1] = 2
        with pytest.raises(UnsupportedMediaError, match=r"JPEG.*kind=\"n3\""):
            await camera.download(at(0), at(60), tmp_path)
        for status in (4, "-1", "busy"):
            recorder.download_statuses[1] = status
            with pytest.raises(DownloadError, match=f"status '{status}', which is not specified"):
                await camera.download(at(0), at(60), tmp_path)
        recorder.download_statuses[1] = 1
        with pytest.raises(NoRecordingError, match="nothing between 2023-11-15T00:00:00"):
            await camera.download(at(0), at(2 * HOUR), tmp_path)
        assert kept(tmp_path) == {}
        assert len(json.loads((tmp_path / MANIFEST).read_text())["gaps"]) == 2
        recorder.download_faults.append(DownloadFault(http_status=404))
        del recorder.download_statuses[1]
        with pytest.raises(CommandError) as caught:
            await camera.download(at(0), at(60), tmp_path)
        assert caught.value.status == 404
        with pytest.raises(CommandError):
            await nvr.camera(7).download(at(0), at(60), tmp_path)
        with pytest.raises(UnsupportedMediaError):
            recorder.download_statuses[1] = 2
            async with camera.open_download(at(0), at(60)) as files:
                await anext(files)


async def test_hours_without_recording_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hours = (Segment(BEGIN, brief("h264"), duration=HOUR), Segment(BEGIN + 3 * HOUR, brief("h264"), duration=HOUR))  # fmt: skip
    recorder = recorder_of(*hours, downloads=DownloadReadings(file_size=1000))
    gap = (at(HOUR), at(3 * HOUR))
    async with session(recorder) as nvr:
        told: list[DownloadProgress] = []
        with caplog.at_level(logging.WARNING, "nvrclient.download"):
            paths = await nvr.camera(1).download(
                at(0), at(4 * HOUR), tmp_path, progress=told.append
            )
        assert len(paths) == 2
        logged = [one for one in caplog.records if one.name == "nvrclient.download"]
        assert [one.getMessage().count("nothing is recorded") for one in logged] == [1, 1]
        assert (told[-1].gaps[0][0], told[-1].gaps[-1][1]) == gap
        assert [entry["range"] for entry in manifest(tmp_path)["gaps"]] == [
            [at(n * HOUR).isoformat(), at((n + 1) * HOUR).isoformat()] for n in (1, 2)
        ]
        async with nvr.camera(1).open_download(at(0), at(4 * HOUR)) as files:
            assert [file.bytes async for file in files] == [0, 0]  # passed over
            assert (files.gaps[0][0], files.gaps[-1][1]) == gap
            with pytest.raises(StopAsyncIteration):
                await anext(files)
        with pytest.raises(NoRecordingError):
            async with nvr.camera(1).open_download(*gap) as files:
                await anext(files)


def test_row_65_what_breaks_off_is_asked_for_again(tmp_path: Path) -> None:
    """Cut, closed as if whole, stalled, damaged: what is whole stays, and the request comes again."""

    async def run() -> None:
        recorder = recorder_of(
            downloads=DownloadReadings(file_size=200_000, file_seconds=1200, part_size=50_000)
        )
        recorder.download_faults += [
            DownloadFault(cut_at=100_000),
            DownloadFault(close_at=450_000),
            DownloadFault(stall_at=300_000),
            DownloadFault(lost_boundary=6),
            DownloadFault(without_end=True),
            DownloadFault(http_status=503),
            None,
            DownloadFault(cut_at=20),
        ]
        async with session(recorder) as nvr:
            await nvr.camera(1).download(at(0), at(2 * HOUR), tmp_path)
            assert kept(tmp_path) == expected(recorder, 0, 2 * HOUR, "mp4")
            assert [entry["number"] for entry in manifest(tmp_path)["files"]] == [1, 2, 3] * 2
            assert len(asked(recorder)) == 9
            # Nothing is fetched that is there.
            before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.mp4")}
            told: list[DownloadProgress] = []
            paths = await nvr.camera(1).download(
                at(0), at(2 * HOUR), tmp_path, progress=told.append
            )
            assert len(asked(recorder)) == 9
            assert set(paths) == set(before)
            assert before == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.mp4")}
            assert told[-1].covered == told[-1].total
            assert told[-1].bytes == 0
            # A file that has gone is fetched again, and the others of its hour are kept.
            paths[1].unlink()
            await nvr.camera(1).download(at(0), at(2 * HOUR), tmp_path)
            assert kept(tmp_path) == expected(recorder, 0, 2 * HOUR, "mp4")
            assert len(asked(recorder)) == 10

    run_simulated(run())


def test_row_65_it_does_not_try_for_ever(tmp_path: Path) -> None:
    async def run() -> None:
        recorder = recorder_of(downloads=DownloadReadings(file_size=200_000))
        recorder.download_faults += [DownloadFault(cut_at=100_000)] * 20
        async with session(recorder) as nvr:
            with pytest.raises(TruncatedDownloadError, match="2023-11-15 00:00 to 01:00 UTC"):
                await nvr.camera(1).download(at(0), at(HOUR), tmp_path)
            assert len(asked(recorder)) == 6
            assert kept(tmp_path) == {}

    run_simulated(run())


async def test_row_65_without_reconnect_it_raises_and_running_it_again_resumes(
    tmp_path: Path,
) -> None:
    recorder = recorder_of(downloads=DownloadReadings(file_size=200_000))
    recorder.download_faults += [None, DownloadFault(cut_at=100_000)]
    async with session(recorder, reconnect=False) as nvr:
        with pytest.raises(TruncatedDownloadError):
            await nvr.camera(1).download(at(0), at(3 * HOUR), tmp_path)
        assert kept(tmp_path) == expected(recorder, 0, HOUR, "mp4")
        await nvr.camera(1).download(at(0), at(3 * HOUR), tmp_path)
        assert kept(tmp_path) == expected(recorder, 0, 3 * HOUR, "mp4")
        assert [start[6:8] for start in asked(recorder)] == ["00", "01", "01", "02"]


async def test_what_is_still_being_recorded_is_asked_for_again(tmp_path: Path) -> None:
    """An hour that was not over when it was downloaded has more in it later."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    recorder = recorder_of(
        Segment(now.timestamp() - HOUR, brief("h264"), duration=2 * HOUR),
        downloads=DownloadReadings(contents=b"then"),
    )
    async with session(recorder) as nvr:
        span = (now - timedelta(minutes=10), now + timedelta(minutes=20))
        first = await nvr.camera(1).download(*span, tmp_path)
        second = await nvr.camera(1).download(*span, tmp_path)
        assert len(asked(recorder)) == 2
        assert [path.stem + "-2.mp4" for path in first] == [path.name for path in second]


def test_a_stall_ends_an_open_download(tmp_path: Path) -> None:
    async def run() -> None:
        recorder = recorder_of(downloads=DownloadReadings(file_size=200_000))
        recorder.download_faults.append(DownloadFault(stall_at=100_000))
        async with session(recorder, stall_timeout=2.0) as nvr:
            async with nvr.camera(1).open_download(at(0), at(HOUR)) as files:
                file = await anext(files)
                began = asyncio.get_running_loop().time()
                with pytest.raises(TruncatedDownloadError, match="not a byte came for 12 s"):
                    async for _ in file:
                        pass
                assert 12 <= asyncio.get_running_loop().time() - began <= 13
                assert file.name is None
                with pytest.raises(TruncatedDownloadError):
                    await anext(file)
                with pytest.raises(TruncatedDownloadError):
                    await anext(files)
                assert recorder.downloads == () or await gone(recorder)

    run_simulated(run())


async def gone(recorder: SimulatedRecorder) -> bool:
    async with asyncio.timeout(2):
        while recorder.downloads:
            await asyncio.sleep(0.01)
    return True


async def test_row_69_it_reads_no_faster_than_it_is_read() -> None:
    size = 64 << 20
    recorder = recorder_of(downloads=DownloadReadings(file_size=size))
    async with session(recorder) as nvr:
        async with nvr.camera(1).open_download(at(0), at(HOUR)) as files:
            async for file in files:
                got = 0
                async for chunk in file:
                    got += len(chunk)
                    if got > 1 << 20:
                        break
                await asyncio.sleep(0.3)
                [running] = recorder.downloads
                assert running.bytes_sent < got + (20 << 20)
                break
        assert await gone(recorder)


async def test_memory_is_constant(tmp_path: Path) -> None:
    size = 24 << 20
    recorder = recorder_of(downloads=DownloadReadings(file_size=size))
    async with session(recorder) as nvr:
        await nvr.camera(1).download(at(HOUR), at(HOUR + 60), tmp_path, max_bytes=size)
        next(tmp_path.glob("*.mp4")).unlink()
        tracemalloc.start()
        try:
            [path] = await nvr.camera(1).download(at(0), at(60), tmp_path)
            assert tracemalloc.get_traced_memory()[1] < 10 << 20
        finally:
            tracemalloc.stop()
        assert path.stat().st_size == size


async def test_open_download_gives_the_same_files(tmp_path: Path) -> None:
    recorder = recorder_of(
        downloads=DownloadReadings(file_size=100_000, file_seconds=1800, one_stamp=True, zone=ROME)
    )
    async with session(recorder) as nvr:
        got: dict[str | None, bytes] = {}
        async with nvr.camera(1).open_download(at(0), at(2 * HOUR)) as files:
            assert files.total == timedelta(hours=2)
            async for file in files:
                assert file.name is None
                assert file.temporary_name.endswith(".tmp")
                assert (file.range[1] - file.range[0]).total_seconds() == HOUR
                assert file.local_time == file.range[0].astimezone(ROME).replace(tzinfo=None)
                body = b"".join([chunk async for chunk in file])
                assert file.bytes == len(body) == 100_000
                assert [chunk async for chunk in file] == []
                got[file.name] = body
        assert got == expected(recorder, 0, 2 * HOUR, "mp4")


async def test_limits(tmp_path: Path) -> None:
    recorder = recorder_of(downloads=DownloadReadings(file_size=100_000, file_seconds=1200))
    async with session(recorder) as nvr:
        camera = nvr.camera(1)
        with pytest.raises(DownloadError, match=r"more than 2 files \(max_files\)"):
            await camera.download(at(0), at(HOUR), tmp_path, max_files=2)
        assert len(kept(tmp_path)) == 2
        with pytest.raises(DownloadError, match=r"more than 250000 bytes \(max_bytes\)"):
            await camera.download(at(0), at(HOUR), tmp_path / "b", max_bytes=250_000)
        assert len(kept(tmp_path / "b")) == 2
        for wrong in ({"max_files": 0}, {"max_bytes": -1}):
            with pytest.raises(ValueError, match="1 or more"):
                camera.open_download(at(0), at(HOUR), **wrong)


# --- names


async def test_row_64_unsafe_names_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    to = tmp_path / "to"
    recorder = recorder_of(downloads=DownloadReadings(file_size=1000))
    async with session(recorder) as nvr:
        for final, temporary in (
            ("../evil.mp4", "a.tmp"),
            ("a.mp4", "../evil.tmp"),
            ("/etc/evil.mp4", "a.tmp"),
            ("CON.mp4", "a.tmp"),
            (".hidden.mp4", "a.tmp"),
            ("-rf", "a.tmp"),
        ):
            recorder.rename_download = lambda name, f=final, t=temporary: (
                t if name.endswith(".tmp") else f
            )  # type: ignore[misc]
            with pytest.raises(UnsafeFileNameError):
                await nvr.camera(1).download(at(0), at(HOUR), to)
            with pytest.raises(UnsafeFileNameError):
                async with nvr.camera(1).open_download(at(0), at(HOUR)) as files:
                    async for file in files:
                        async for _ in file:
                            pass
            assert kept(to) == {}
            assert [path.name for path in tmp_path.iterdir()] == ["to"]
        recorder.rename_download = lambda name: name.replace(".mp4", ".exe")
        [path] = await nvr.camera(1).download(at(0), at(HOUR), to)
        assert path.name.endswith(".exe.bin")


async def test_row_64_nothing_existing_is_overwritten_and_links_are_not_followed(
    tmp_path: Path,
) -> None:
    outside, to = tmp_path / "outside", tmp_path / "to"
    to.mkdir()
    recorder = recorder_of(downloads=DownloadReadings(file_size=1000))
    async with session(recorder) as nvr:
        recorder.rename_download = lambda name: "a.tmp" if name.endswith(".tmp") else "a.mp4"
        (to / "a.mp4").write_text("mine")
        (to / "a-2.mp4").symlink_to(outside)
        [path] = await nvr.camera(1).download(at(0), at(HOUR), to)
        assert path.name == "a-3.mp4"
        assert (to / "a.mp4").read_text() == "mine"
        assert not outside.exists()

        part = to / "camera1-MP4-20231115T0100Z-20231115T0200Z.part"
        part.symlink_to(outside)
        with pytest.raises(DownloadError):
            await nvr.camera(1).download(at(HOUR), at(2 * HOUR), to)
        assert part.is_symlink()
        assert not outside.exists()
        part.unlink()

        content = (to / MANIFEST).read_bytes()
        (to / MANIFEST).unlink()
        outside.write_text("{}")
        (to / MANIFEST).symlink_to(outside)
        for _ in range(2):
            with pytest.raises(DownloadError, match=r"move it away|symbolic links"):
                await nvr.camera(1).download(at(HOUR), at(2 * HOUR), to)
            assert outside.read_text() == "{}"
            (to / MANIFEST).unlink()
            (to / MANIFEST).write_text('{"some": "body else\'s"}')
        (to / MANIFEST).write_bytes(content.replace(b"a-3.mp4", b"../x.mp4"))
        with pytest.raises(DownloadError, match="move it away"):
            await nvr.camera(1).download(at(0), at(HOUR), to)


async def test_one_download_of_a_range_into_a_folder_at_a_time(tmp_path: Path) -> None:
    readings = DownloadReadings(file_size=1_000_000, bytes_per_second=2e6)
    recorder = recorder_of(downloads=readings)
    async with session(recorder) as nvr:
        one = asyncio.ensure_future(nvr.camera(1).download(at(0), at(HOUR), tmp_path))
        while not list(tmp_path.glob("*.part")):
            await asyncio.sleep(0.001)
        with pytest.raises(DownloadError, match="another download of the same range"):
            await nvr.camera(1).download(at(0), at(HOUR), tmp_path)
        assert len(await one) == 1
        assert kept(tmp_path) == expected(recorder, 0, HOUR, "mp4")


async def test_many_downloads_into_one_folder_share_its_manifest(tmp_path: Path) -> None:
    recorder = recorder_of(cameras=4, downloads=DownloadReadings(file_size=1000, file_seconds=600))
    async with session(recorder) as nvr:
        await asyncio.gather(
            *(nvr.camera(n).download(at(0), at(HOUR), tmp_path) for n in range(1, 5))
        )
    assert len(manifest(tmp_path)["files"]) == 24
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".mp4") == [MANIFEST]


# --- disks


async def test_row_66_a_full_disk(tmp_path: Path) -> None:
    """A real one where this may mount one."""
    mounted = subprocess.run(
        ("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)), check=False, capture_output=True
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip("a disk to fill is mounted by root only")
    try:
        recorder = recorder_of(downloads=DownloadReadings(file_size=300_000))
        async with session(recorder) as nvr:
            async with nvr.camera(1).live("h264") as stream:
                with pytest.raises(DownloadError, match="no space left on device"):
                    await nvr.camera(1).download(at(0), at(6 * HOUR), tmp_path)
                async with asyncio.timeout(2):
                    await gone(recorder)
                whole = kept(tmp_path)
                assert whole == expected(recorder, 0, len(whole) * HOUR, "mp4")
                assert len(whole) == 3
                assert (await anext(stream)) is not None
        assert len(manifest(tmp_path)["files"]) == 3
    finally:
        subprocess.run(("umount", str(tmp_path)), check=True)


@pytest.mark.parametrize("call", ["write", "fsync", "open", "link"])
async def test_row_66_a_disk_that_fails(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise OSError(errno.EIO, "x" * 200)

    recorder = recorder_of(downloads=DownloadReadings(file_size=3_000_000))
    async with session(recorder) as nvr:
        with monkeypatch.context() as patched:
            patched.setattr(f"nvrclient.download.folder.os.{call}", fails)
            with pytest.raises(DownloadError, match=r"input/output error") as caught:
                await nvr.camera(1).download(at(0), at(HOUR), tmp_path)
            assert caught.value.__cause__ is None
            assert await gone(recorder)
        assert kept(tmp_path) == {}
        await nvr.camera(1).download(at(0), at(HOUR), tmp_path)
        assert kept(tmp_path) == expected(recorder, 0, HOUR, "mp4")
        manifest(tmp_path)


async def test_a_disk_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: Any, **__: Any) -> None:
        raise OSError(errno.EPERM, "")

    recorder = recorder_of(downloads=DownloadReadings(file_size=1000))
    async with session(recorder) as nvr:
        recorder.rename_download = lambda name: "a.tmp" if name.endswith(".tmp") else "a.mp4"
        monkeypatch.setattr("nvrclient.download.folder.os.link", refuses)
        (tmp_path / "a.mp4").write_text("mine")
        paths = await nvr.camera(1).download(at(0), at(2 * HOUR), tmp_path)
        assert [path.name for path in paths] == ["a-2.mp4", "a-3.mp4"]
        assert {path.stat().st_size for path in paths} == {1000}
        assert (tmp_path / "a.mp4").read_text() == "mine"
        # The name was taken, and then the program died.
        paths[1].write_bytes(b"")
        paths = await nvr.camera(1).download(at(0), at(2 * HOUR), tmp_path)
        assert [path.name for path in paths] == ["a-2.mp4", "a-3.mp4"]
        assert {path.stat().st_size for path in paths} == {1000}


async def test_folders_that_are_none(tmp_path: Path) -> None:
    recorder = recorder_of()
    async with session(recorder) as nvr:
        (tmp_path / "file").write_text("")
        for to in (tmp_path / "file", tmp_path / "file" / "below"):
            with pytest.raises(DownloadError, match="opening the folder"):
                await nvr.camera(1).download(at(0), at(60), to)
        assert asked(recorder) == []


# --- cancelling and closing


async def test_row_70_cancelled_at_any_moment(tmp_path: Path) -> None:
    """Cancelled after so many turns of the loop, once and twice; then the next download works."""
    recorder = recorder_of(downloads=DownloadReadings(file_size=300_000, file_seconds=1800))
    async with session(recorder) as nvr:
        points, right = 0, expected(recorder, 0, HOUR, "mp4")
        for number in range(400):
            to = tmp_path / str(number)
            task = asyncio.ensure_future(nvr.camera(1).download(at(0), at(HOUR), to))
            for _ in range(number * 9 // 2):
                await asyncio.sleep(0)
                if task.done():
                    break
            if task.done():
                break
            points += 1
            task.cancel()
            if number % 2:
                await asyncio.sleep(0)
                task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            if number % 2:  # the end goes on behind a second cancellation
                async with asyncio.timeout(5):
                    while any("nvrclient" in thread.name for thread in threading.enumerate()):
                        await asyncio.sleep(0.001)
            whole = kept(to) if to.exists() else {}
            assert whole.items() <= right.items(), number
        assert points > 10
        assert await gone(recorder)
        await nvr.camera(1).download(at(0), at(HOUR), tmp_path / "last")
        assert nvr.stats.uids_lost == 0


async def test_what_progress_raises_ends_it(tmp_path: Path) -> None:
    recorder = recorder_of(downloads=DownloadReadings(file_size=3_000_000))
    async with session(recorder) as nvr:

        def progress(told: DownloadProgress) -> None:
            if told.bytes > 1_000_000:
                raise KeyError("enough")

        with pytest.raises(KeyError, match="enough"):
            await nvr.camera(1).download(at(0), at(2 * HOUR), tmp_path, progress=progress)
        assert set(kept(tmp_path).items()) <= set(expected(recorder, 0, HOUR, "mp4").items())
        assert await gone(recorder)


async def test_progress_is_told_at_a_bounded_rate(tmp_path: Path) -> None:
    recorder = recorder_of(
        downloads=DownloadReadings(file_size=400_000, file_seconds=1800, bytes_per_second=1_000_000)
    )
    async with session(recorder) as nvr:
        told: list[tuple[float, DownloadProgress]] = []
        loop = asyncio.get_running_loop()
        await nvr.camera(1).download(
            at(0), at(HOUR), tmp_path, progress=lambda p: told.append((loop.time(), p))
        )
    between = [(when, one) for when, one in told if one.finished is None][:-1]
    assert 3 <= len(between) < 15
    assert all(b[0] - a[0] >= 0.0999 for a, b in zip(between, between[1:], strict=False))
    finished = [one.finished for _, one in told if one.finished is not None]
    assert all(isinstance(one, StoredFile) for one in finished)
    assert [one.bytes for one in finished] == [400_000, 400_000]
    assert told[-1][1].bytes == 800_000
    assert any(one.covered == timedelta(minutes=30) for _, one in told)


@pytest.mark.parametrize("waiting", ["for bytes", "for the turn", "to try again"])
async def test_closing_the_session_ends_it(waiting: str, tmp_path: Path) -> None:
    recorder = recorder_of(cameras=3, downloads=DownloadReadings(file_size=300_000))
    if waiting == "to try again":
        recorder.download_statuses[1] = 3
    else:
        recorder.download_faults += [DownloadFault(stall_at=100_000)] * 3
    async with recorder:
        nvr = await nvrclient.connect(recorder.url, "ADMIN", PASSWORD)
        count = 3 if waiting == "for the turn" else 1
        tasks = [
            asyncio.ensure_future(nvr.camera(n).download(at(0), at(HOUR), tmp_path / str(n)))
            for n in range(1, count + 1)
        ]
        await asyncio.sleep(0.2)
        async with asyncio.timeout(2):
            await nvr.aclose()
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                assert isinstance(outcome, ConnectionFailedError | TruncatedDownloadError), outcome
                assert "session was closed" in str(outcome)
        assert list(tmp_path.glob("*/*.part")) == []
        assert await gone(recorder)


async def test_a_handle_that_is_dropped_frees_the_recorder() -> None:
    recorder = recorder_of(downloads=DownloadReadings(file_size=3_000_000))
    async with session(recorder) as nvr:

        async def begin() -> None:
            files = await nvr.camera(1).open_download(at(0), at(HOUR))
            file = await anext(files)
            await anext(file)
            assert len(recorder.downloads) == 1

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            await begin()
            gc.collect()
        assert ["was dropped without aclose()" in str(one.message) for one in caught] == [True]
        assert await gone(recorder)


async def test_misuse() -> None:
    slow = DownloadReadings(file_size=3_000_000, file_seconds=1800, bytes_per_second=20e6)
    recorder = recorder_of(downloads=slow)
    async with session(recorder) as nvr:
        files = nvr.camera(1).open_download(at(0), at(HOUR))
        with pytest.raises(RuntimeError, match="not open: write"):
            await anext(files)
        async with files:
            with pytest.raises(RuntimeError, match="opened already"):
                await files
            first = await anext(files)
            waiting = asyncio.ensure_future(anext(first))
            await asyncio.sleep(0)
            while waiting.done():  # it was there already
                waiting = asyncio.ensure_future(anext(first))
                await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="one consumer"):
                await anext(first)
            await waiting
            second = await anext(files)
            with pytest.raises(RuntimeError, match="passed over"):
                await anext(first)
            await files.aclose()
            await files.aclose()
            with pytest.raises(RuntimeError, match="closed"):
                await anext(second)
            with pytest.raises(RuntimeError, match="closed"):
                await anext(files)
        with pytest.raises(RuntimeError, match="opened already"):
            await files
        recorder.download_faults.append(DownloadFault(stall_at=100_000))
        async with nvr.camera(1).open_download(at(0), at(HOUR)) as files:
            file = await anext(files)
            cancelled = asyncio.ensure_future(_all(file))
            await asyncio.sleep(0.1)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            with pytest.raises(DownloadError, match="was cancelled"):
                await anext(file)
            assert await gone(recorder)
    with pytest.raises(RuntimeError, match="closed"):
        await nvr.camera(1).download(at(0), at(HOUR), "x")


async def _all(file: nvrclient.IncomingFile) -> None:
    async for _ in file:
        pass


async def test_a_uid_lost_between_hours_costs_nothing(tmp_path: Path) -> None:
    recorder = recorder_of(downloads=DownloadReadings(file_size=1000))
    async with session(recorder) as nvr:

        def forget(told: DownloadProgress) -> None:
            if told.finished and told.covered == timedelta(0):
                recorder.forget_uids()

        await nvr.camera(1).download(at(0), at(2 * HOUR), tmp_path, progress=forget)
        assert kept(tmp_path) == expected(recorder, 0, 2 * HOUR, "mp4")


async def test_live_and_downloads_have_uids_apart(tmp_path: Path) -> None:
    recorder = recorder_of(downloads=DownloadReadings(file_size=1000))
    async with session(recorder) as nvr:
        async with nvr.camera(1).live("h264") as stream:
            await anext(stream)
            await nvr.camera(1).download(at(0), at(HOUR), tmp_path)
            await anext(stream)
        assert nvr.stats.logins == 2


async def test_messages_say_what_and_where(tmp_path: Path) -> None:
    recorder = recorder_of(downloads=DownloadReadings(file_size=200_000))
    recorder.download_faults.append(DownloadFault(close_at=100_000))
    async with session(recorder, reconnect=False) as nvr:
        with pytest.raises(TruncatedDownloadError) as caught:
            await nvr.camera(1).download(at(0), at(HOUR), tmp_path)
        assert "download of camera 1, 2023-11-15 00:00 to 01:00 UTC, as MP4" in str(caught.value)


def test_the_folder_is_closed_twice(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.open()
    folder.close()
    folder.close()
