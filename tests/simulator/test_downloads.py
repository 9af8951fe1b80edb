"""Downloads over HTTP: the rules, how many run at a time, what comes, and what goes wrong on request."""

from __future__ import annotations

import asyncio
import ssl
import tracemalloc
from datetime import timedelta

import httpx
import pytest

from nvrclient.simulator import (
    CameraSetup,
    DownloadFault,
    Framing,
    Readings,
    Recording,
    Segment,
    SimulatedRecorder,
)
from tests.simulator.client import settle
from tests.simulator.fetcher import (
    MIDNIGHT,
    SECONDS,
    Fetcher,
    fetching,
    files_of,
    parts_of,
    query,
    stored,
)

# What comes


@pytest.mark.parametrize("file_seconds", [None, 25])
async def test_files_come_whole_and_by_name(file_seconds: float | None) -> None:
    async with fetching(stored(file_seconds=file_seconds)) as fetcher:
        for kind in ("MP4", "MP4VO", "N3", "N3VO", "LIST"):
            answer = await fetcher.ask(query(0, 5, kind))
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "multipart/form-data; boundary=--myboundary"
            files = files_of(answer.content)
            assert files == fetcher.expected(0, 5, kind)
            assert all(data for _, data in files)
        await settle()
        assert fetcher.recorder.downloads == ()
        assert fetcher.recorder.max_downloads_seen == 1
        assert fetcher.recorder.violations == []


async def test_a_part_of_a_range_gives_what_there_is() -> None:
    async with fetching(stored()) as fetcher:
        (first,) = files_of((await fetcher.ask(query(0, 2))).content)
        (second,) = files_of((await fetcher.ask(query(1, 60))).content)
        assert (first[0][:17], second[0][:17]) == ("001_231115000000_", "001_231115000200_")
        assert await fetcher.status(query(1, 1)) == "1"
        assert await fetcher.status(query(60, 60)) == "1"
        assert fetcher.recorder.violations == []


@pytest.mark.parametrize("size", [None, 1 << 18, 100_000])
async def test_large_parts_and_one_part(size: int | None) -> None:
    async with fetching(stored(part_size=size)) as fetcher:
        answer = await fetcher.ask(query(0, 5))
        files = fetcher.expected(0, 5)
        assert files_of(answer.content) == files
        *parts, end = [len(part.body) for part in parts_of(answer.content)]
        assert end == 0
        assert max(parts) <= (size or 1 << 30)
        assert len(parts) == sum(-(-len(data) // (size or 1 << 30)) for _, data in files)


@pytest.mark.parametrize("framing", Framing)
async def test_every_framing_and_tls(framing: Framing) -> None:
    readings = Readings(framing=framing)
    recorder = SimulatedRecorder(tls=True, readings=readings, clock=lambda: SECONDS + 60)
    async with recorder:
        context = ssl.create_default_context(cafile=recorder.certificate)
        async with httpx.AsyncClient(base_url=recorder.url, verify=context) as http:
            fetcher = Fetcher(recorder, http)
            await fetcher.log_in()
            answer = await fetcher.ask(query(0, 1))
            assert files_of(answer.content) == fetcher.expected(0, 1)


async def test_what_is_not_recorded_yet_does_not_come() -> None:
    growing = Recording((Segment(SECONDS, "h264"),))
    recorder = SimulatedRecorder(recording=growing, clock=lambda: SECONDS + 7.9)
    async with fetching(recorder) as fetcher:
        ((name, data),) = files_of((await fetcher.ask(query(0, 1, "LIST"))).content)
        assert name.endswith(".n3n")
        assert [line[11:19] for line in data.decode().splitlines()] == [
            "00:00:00",  # GOPs of two seconds
            "00:00:02",
            "00:00:04",
        ]


async def test_generated_files() -> None:
    async with fetching(stored(file_size=1_000_000, file_seconds=30)) as fetcher:
        files = files_of((await fetcher.ask(query(0, 1))).content)
        assert [len(data) for _, data in files] == [1_000_000, 1_000_000]
        assert files == fetcher.expected(0, 1)
        assert files[0][1] != files[1][1]
        assert [
            file.size
            for file in fetcher.recorder.download_files(1, MIDNIGHT, MIDNIGHT + timedelta(hours=1))
        ] == [1_000_000] * 4
    async with fetching(stored(contents=b"\r\n--myboundary\r\n")) as fetcher:
        ((_, data),) = files_of((await fetcher.ask(query(0, 1))).content)
        assert data == b"\r\n--myboundary\r\n"
    async with fetching(stored(file_size=0, part_size=None)) as fetcher:
        ((_, data),) = files_of((await fetcher.ask(query(0, 1))).content)
        assert data == b""


async def test_a_gigabyte_waits_for_the_client_and_is_never_held() -> None:
    async with fetching(stored(file_size=1 << 30)) as fetcher:
        tracemalloc.start()
        try:
            async with fetcher.stream(query(0, 1)) as response:
                chunks = response.aiter_raw()
                for _ in range(20):
                    await anext(chunks)
                (download,) = fetcher.recorder.downloads
                sent = 0
                while sent != download.bytes_sent:  # until the socket's buffers are full
                    sent = download.bytes_sent
                    await settle()
                assert sent < 1 << 28
                assert tracemalloc.get_traced_memory()[1] < 8 << 20
                await chunks.aclose()  # type: ignore[attr-defined]
        finally:
            tracemalloc.stop()
        await settle()
        assert fetcher.recorder.downloads == ()


# Rules


async def test_times() -> None:
    async with fetching(stored()) as fetcher:
        for start, end, broken in (
            ("231115000000", "231115000000", "not after"),
            ("231115000100", "231115000000", "not after"),
            ("231115000000", "231115010100", "not after"),
            ("231115000001", "231115000100", "no dates"),
            ("231115000000", "231115000030", "no dates"),
            ("231315000000", "231115000100", "no dates"),
            ("231115000000", "231115006000", "no dates"),
            ("20231115000000", "20231115010000", "parameters"),
            ("2311150000", "2311150100", "parameters"),
        ):
            asked = f"STARTTIME={start}&ENDTIME={end}&KIND=MP4&CAM=1&PC=AS60"
            assert (await fetcher.ask(asked)).status_code == 400
            assert broken in fetcher.recorder.violations[-1]
        assert len(fetcher.recorder.violations) == 9


async def test_what_is_not_a_command() -> None:
    async with fetching(stored()) as fetcher:
        for wrong in (
            "STARTTIME=231115000000&ENDTIME=231115010000&CAM=1&KIND=MP4&PC=AS60",
            "ENDTIME=231115010000&STARTTIME=231115000000&KIND=MP4&CAM=1&PC=AS60",
            "STARTTIME=231115000000&ENDTIME=231115010000&KIND=AVI&CAM=1&PC=AS60",
            "STARTTIME=231115000000&ENDTIME=231115010000&KIND=MP4&CAM=1",
        ):
            assert (await fetcher.ask(wrong)).status_code == 400
        assert len(fetcher.recorder.violations) == 4


async def test_an_unknown_camera() -> None:
    async with fetching(stored()) as fetcher:
        assert (await fetcher.ask(query(camera=9))).status_code == 404
        assert fetcher.recorder.violations == []


@pytest.mark.parametrize("allowed", [False, True])
async def test_the_uid_carries_neither_live_nor_playback(allowed: bool) -> None:
    async with fetching(stored(any_uid=allowed)) as fetcher:
        status, recorder = 200 if allowed else 400, fetcher.recorder
        play = "PC=AS60&PLAYCMD=PLAY&2ND=OFF&TIMEF=AS60_UNKNOWN&NOTIME=ON"
        stop = "PC=AS60&PLAYCMD=STOP&2ND=OFF&TIMEF=23111500000000"
        assert await fetcher.get("hdrctl.cgi", "SCREEN=16X&PC=AS60") == 200
        async with fetcher.live(1, "H264") as live:
            await live.parts(1)
            assert (await fetcher.ask(query())).status_code == status
            assert await fetcher.get("push.cgi", "CAM=1&CMD=STOP&COMP=H264") == 200
        assert (await fetcher.ask(query())).status_code == 200
        assert await fetcher.get("hdrctl.cgi", f"PC=AS60&MASK={'1':0<16}") == 200
        assert await fetcher.get("hdrctl.cgi", play) == 200
        assert (await fetcher.ask(query())).status_code == status
        assert await fetcher.get("hdrctl.cgi", stop) == 200
        assert (await fetcher.ask(query())).status_code == 200
        assert len(recorder.violations) == (0 if allowed else 2)


@pytest.mark.parametrize("allowed", [False, True])
async def test_nothing_begins_beside_a_download(allowed: bool) -> None:
    async with fetching(stored(any_uid=allowed, file_size=1 << 30)) as fetcher:
        assert await fetcher.get("hdrctl.cgi", "SCREEN=16X&PC=AS60") == 200
        async with fetcher.stream(query()):
            mask = await fetcher.get("hdrctl.cgi", f"PC=AS60&MASK={'1':0<16}")
            push = await fetcher.get("push.cgi", "CAM=1&CMD=START&COMP=H264&PORT=9")
            assert (mask, push) == ((200, 200) if allowed else (400, 400))
        assert len(fetcher.recorder.violations) == (0 if allowed else 2)


async def test_two_at_a_time() -> None:
    async with fetching(stored(file_size=1 << 30)) as fetcher:
        recorder = fetcher.recorder
        async with fetcher.stream(query(camera=1)), fetcher.stream(query(2, camera=2)):
            assert [d.camera for d in recorder.downloads] == [1, 2]
            assert recorder.downloads[1].start == MIDNIGHT + timedelta(minutes=2)
            assert recorder.downloads[1].kind == "MP4"
            assert recorder.max_downloads_seen == 2
            assert await fetcher.status(query(camera=3)) == "3"
            assert recorder.max_downloads_seen == 3
        await settle()
        assert recorder.downloads == ()
        async with fetcher.stream(query()) as response:
            assert b"X-RecData-Satus: 0" in await anext(response.aiter_raw())
        assert recorder.violations == []


async def test_a_download_ends_with_its_uid() -> None:
    async with fetching(stored(file_size=1 << 30)) as fetcher:
        async with fetcher.stream(query()) as response:
            chunks = response.aiter_raw()
            await anext(chunks)
            assert await fetcher.get("logout.cgi", "") == 200
            taken = 0
            async for chunk in chunks:
                taken += len(chunk)
            assert taken < 1 << 28
        assert fetcher.recorder.downloads == ()


async def test_a_slow_recorder() -> None:
    async with fetching(
        stored(file_size=300_000, part_size=10_000, bytes_per_second=1e6)
    ) as fetcher:
        started = asyncio.get_running_loop().time()
        await fetcher.ask(query())
        assert 0.29 < asyncio.get_running_loop().time() - started < 2


# Status


async def test_jpeg_is_not_possible_as_mp4() -> None:
    recorder = SimulatedRecorder(
        cameras={1: CameraSetup("h264")},
        recording=Recording((Segment(SECONDS, "jpeg", duration=60),)),
    )
    async with fetching(recorder) as fetcher:
        assert await fetcher.status(query(kind="MP4")) == "2"
        assert await fetcher.status(query(kind="MP4VO")) == "2"
        assert files_of((await fetcher.ask(query(kind="N3"))).content) == fetcher.expected(
            kind="N3"
        )
        assert fetcher.expected(kind="MP4") == []


async def test_any_status_of_a_camera() -> None:
    async with fetching(stored()) as fetcher:
        for status in (1, 2, 3, 4, "99", "busy"):
            fetcher.recorder.download_statuses[2] = status
            assert await fetcher.status(query(camera=2)) == str(status)
        assert files_of((await fetcher.ask(query())).content)


async def test_a_status_in_a_later_part() -> None:
    async with fetching(stored(part_size=100_000)) as fetcher:
        fetcher.recorder.download_faults[:] = [DownloadFault(status=3, status_part=2)]
        first, second, third = parts_of((await fetcher.ask(query())).content)
        assert len(first.body) == len(second.body) == 100_000
        assert (third.names["X-RecData-Satus"], third.body) == ("3", b"")


# Names


async def test_names_on_request() -> None:
    def rename(name: str) -> str | bytes:
        return b"../\xff\x00" + name.encode() if name.endswith(".tmp") else f"ü/{name}"

    async with fetching(stored()) as fetcher:
        fetcher.recorder.rename_download = rename
        body = (await fetcher.ask(query())).content
        assert (
            b'X-Temp-FileName: filename = "../\xff\x00001_231115000000_1000_7f_00_01.tmp"\r\n'
            in body
        )
        assert (
            'X-Prev-Filename: filename = "ü/001_231115000000_1000_7f_00_01.mp4"\r\n'.encode()
            in body
        )
        (file,) = fetcher.recorder.download_files(1, MIDNIGHT, MIDNIGHT + timedelta(minutes=1))
        assert file.name == "ü/001_231115000000_1000_7f_00_01.mp4"


# What goes wrong


async def test_refused_for_now() -> None:
    async with fetching(stored()) as fetcher:
        fetcher.recorder.download_faults[:] = [
            DownloadFault(http_status=503, retry_after="2"),
            None,
            DownloadFault(http_status=429),
        ]
        answers = [await fetcher.ask(query()) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [503, 200, 429, 200]
        assert answers[0].headers["retry-after"] == "2"
        assert fetcher.recorder.violations == []


async def test_faults_find_their_download() -> None:
    async with fetching(stored()) as fetcher:
        fetcher.recorder.download_faults[:] = [
            DownloadFault(camera=2, http_status=503),
            DownloadFault(start=MIDNIGHT + timedelta(minutes=2), http_status=429),
        ]
        for asked, status in (
            (query(0), 200),
            (query(2), 429),
            (query(2), 200),
            (query(2, camera=2), 503),
            (query(2, camera=2), 200),
        ):
            assert (await fetcher.ask(asked)).status_code == status


@pytest.mark.parametrize("framing", [Framing.CLOSE, Framing.CHUNKED])
async def test_cut_and_closed_early(framing: Framing) -> None:
    async with fetching(stored(readings=Readings(framing=framing))) as fetcher:
        faults = fetcher.recorder.download_faults
        whole = (await fetcher.ask(query())).content
        for size in (0, 1, 100, 300_000):
            faults[:] = [DownloadFault(cut_at=size), DownloadFault(close_at=size)]
            taken = b""
            async with fetcher.stream(query()) as response:
                try:
                    async for chunk in response.aiter_raw():
                        taken += chunk
                    assert framing is Framing.CLOSE
                except httpx.RemoteProtocolError:
                    assert framing is Framing.CHUNKED
            assert taken == whole[:size]
            assert (await fetcher.ask(query())).content == whole[:size]
        await settle()
        assert fetcher.recorder.downloads == ()


async def test_a_stall_holds_its_place_until_the_client_goes() -> None:
    async with fetching(stored()) as fetcher:
        fetcher.recorder.download_faults[:] = [DownloadFault(stall_at=70_000)]
        async with fetcher.stream(query()) as response:
            taken = 0
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    async for chunk in response.aiter_raw():
                        taken += len(chunk)
            assert taken == 70_000
            assert fetcher.recorder.downloads[0].bytes_sent == 70_000
        await settle()
        assert fetcher.recorder.downloads == ()


async def test_a_lost_boundary_a_wrong_name_and_no_end() -> None:
    async with fetching(stored(part_size=400_000)) as fetcher:
        whole = (await fetcher.ask(query())).content
        fetcher.recorder.download_faults[:] = [
            DownloadFault(lost_boundary=1),
            DownloadFault(prev_name="another.mp4"),
            DownloadFault(without_end=True),
        ]
        lost = (await fetcher.ask(query())).content
        assert len(whole) - len(lost) == len("--myboundary\r\n")
        assert lost.count(b"--myboundary\r\n") == whole.count(b"--myboundary\r\n") - 1
        ((name, _),) = files_of((await fetcher.ask(query())).content)
        assert name == "another.mp4"
        endless = parts_of((await fetcher.ask(query())).content)
        assert endless == parts_of(whole)[:-1]
