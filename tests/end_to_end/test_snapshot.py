"""Snapshots: the camera's own JPEG byte for byte, or a key frame of its video; shared, bounded, remembered."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import av
import pytest

import nvrclient
from nvrclient import CommandError, NVRError, SessionLimitError, UnsupportedMediaError
from nvrclient.simulator import CameraSetup, Clip, PushAnswer, SimulatedRecorder
from nvrclient.simulator.live import LiveDesk
from tests.cli.programs import environment as environment_of
from tests.cli.programs import run, run_inside
from tests.clock import run_simulated
from tests.end_to_end.test_live_video import take, watching
from tests.secrets import PASSWORD

CAMERAS = {
    1: CameraSetup("h264"),
    2: CameraSetup("h265"),
    3: CameraSetup("h264", jpeg="jpeg"),
}


def recorder_of(**options: object) -> SimulatedRecorder:
    return SimulatedRecorder(cameras=CAMERAS, password=PASSWORD, **{"pace": 4.0, **options})  # type: ignore[arg-type]


def size(jpeg: bytes) -> tuple[int, int]:
    """Decode a JPEG file by FFmpeg; return its width and height."""
    with av.open(io.BytesIO(jpeg), "r", format="jpeg_pipe") as container:
        (picture,) = container.decode(video=0)
        return picture.width, picture.height


def starts(recorder: SimulatedRecorder) -> list[str]:
    """What was asked for by START, in order."""
    sent = [dict(request.params) for request in recorder.requests if request.cgi == "push.cgi"]
    return [params["COMP"] for params in sent if params["CMD"] == "START"]


async def test_the_cameras_own_jpeg_byte_for_byte() -> None:
    recorder = recorder_of()
    async with watching(recorder) as nvr:
        jpeg = await nvr.camera(3).snapshot()
        assert recorder.streams == ()
    clip = Clip.load("jpeg")
    assert jpeg in clip.units
    assert size(jpeg) == (clip.width, clip.height)
    assert starts(recorder) == ["JPEG"]


@pytest.mark.parametrize(("camera", "name"), [(1, "h264"), (2, "h265")])
def test_a_key_frame_of_a_camera_without_jpeg(camera: int, name: str) -> None:
    """The placeholder is seen as such: it is not waited for a silence, only H.264 of an H.265 camera is one."""

    async def scenario() -> None:
        recorder = recorder_of()
        async with watching(recorder, stall_timeout=20.0) as nvr:
            began = asyncio.get_running_loop().time()
            jpeg = await nvr.camera(camera).snapshot()
            took = asyncio.get_running_loop().time() - began
            assert recorder.streams == ()
        clip = Clip.load(name)
        assert size(jpeg) == (clip.width, clip.height)
        assert took < 15.0 if camera == 1 else 20.0 <= took < 35.0

    run_simulated(scenario())


@pytest.fixture
def silent_jpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recorder answers START of JPEG by 200 and silence."""
    source = LiveDesk._source
    monkeypatch.setattr(
        LiveDesk,
        "_source",
        lambda desk, camera, push: None if push.comp == "JPEG" else source(desk, camera, push),
    )


@pytest.mark.usefixtures("silent_jpeg")
def test_what_worked_is_remembered() -> None:
    """A recorder that is silent where a camera has no JPEG costs the stall time once, a wrong codec too."""

    async def scenario() -> None:
        recorder = recorder_of(pace=1.0)
        async with watching(recorder, stall_timeout=4.0) as nvr:
            loop = asyncio.get_running_loop()
            took: list[float] = []
            for _ in range(3):
                await asyncio.sleep(10)  # the 3 s between two STARTs are not what is measured
                began = loop.time()
                assert size(await nvr.camera(2).snapshot()) == (640, 360)
                took.append(loop.time() - began)
        assert starts(recorder) == ["JPEG", "H264", "H265", "H265", "H265"]
        assert 8.0 <= took[0] < 11.0
        assert max(took[1:]) < 3.0

    run_simulated(scenario())


@pytest.mark.usefixtures("silent_jpeg")
def test_it_is_bounded_and_says_what_was_tried() -> None:
    async def scenario() -> None:
        recorder = recorder_of(pace=1.0)
        recorder.push_answers[2] = PushAnswer.SILENT
        async with watching(recorder, stall_timeout=2.0) as nvr:
            loop = asyncio.get_running_loop()
            began = loop.time()
            with pytest.raises(UnsupportedMediaError, match=r"JPEG: .*H264: .*H265: ") as caught:
                await nvr.camera(2).snapshot()
            assert loop.time() - began < 8.0
            assert "watch it?" in str(caught.value)
            with pytest.raises(CommandError) as unknown:
                await nvr.camera(9).snapshot()
            assert unknown.value.status == 404
            recorder.push_answers[1] = PushAnswer.BUSY
            with pytest.raises(SessionLimitError):
                await nvr.camera(1).snapshot()
            assert recorder.streams == ()

    run_simulated(scenario())


def test_no_key_frame_is_bounded() -> None:
    """P pictures alone are no silence: the session's timeout ends the wait."""

    async def scenario() -> None:
        clip = Clip.load("h264")
        units = tuple(unit for at, unit in enumerate(clip.units) if at not in clip.keyframes)
        only_p = Clip.video("h264", units, clip.fps)
        recorder = SimulatedRecorder(cameras={1: CameraSetup(only_p)}, password=PASSWORD)
        async with watching(recorder, timeout=7.0) as nvr:
            loop = asyncio.get_running_loop()
            began = loop.time()
            with pytest.raises(UnsupportedMediaError, match="no key frame of H264 came within 7 s"):
                await nvr.camera(1).snapshot()
            assert loop.time() - began < 20.0

    run_simulated(scenario())


async def test_a_damaged_key_frame_is_passed_over() -> None:
    clip = Clip.load("h264")
    first = bytearray(clip.units[0])
    first[-3000:] = bytes(value ^ 0x55 for value in first[-3000:])
    damaged = Clip.video("h264", (bytes(first), *clip.units[1:]), clip.fps)
    recorder = SimulatedRecorder(cameras={1: CameraSetup(damaged)}, password=PASSWORD, pace=8.0)
    async with watching(recorder) as nvr:
        assert size(await nvr.camera(1).snapshot()) == (640, 360)


async def test_concurrent_snapshots_share_one_stream() -> None:
    recorder = recorder_of()
    async with watching(recorder) as nvr:
        jpegs = await asyncio.gather(*[nvr.camera(3).snapshot() for _ in range(5)])
        assert all(jpeg in Clip.load("jpeg").units for jpeg in jpegs)
        assert starts(recorder) == ["JPEG"]
        jpegs = await asyncio.gather(*[nvr.camera(1).snapshot() for _ in range(5)])
        assert [size(jpeg) for jpeg in jpegs] == [(640, 360)] * 5
        assert starts(recorder) == ["JPEG", "JPEG", "H264"]
        assert (
            recorder.logins <= 2
        )  # while the JPEG is being stopped the camera is taken on its UID


@pytest.mark.parametrize("transport", ["http", "udp"])
def test_a_running_stream_is_shared(transport: str) -> None:
    """The newest GOP held comes at once: neither START nor a UID is needed, even where none is left to look for JPEG."""

    async def scenario() -> None:
        recorder = recorder_of(pace=1.0)
        async with (
            watching(recorder, max_uids=1) as nvr,
            nvr.camera(2).live(transport=transport) as stream,  # type: ignore[arg-type]
        ):
            await take(stream, 3)
            before = starts(recorder)
            began = asyncio.get_running_loop().time()
            assert size(await nvr.camera(2).snapshot()) == (640, 360)
            assert asyncio.get_running_loop().time() - began < 1.0  # a GOP lasts two
            assert starts(recorder) == before
            assert stream.state == "live"
            await take(stream, 3)

    run_simulated(scenario())


async def test_a_running_jpeg_stream_is_shared() -> None:
    recorder = recorder_of()
    async with watching(recorder) as nvr, nvr.camera(3).live("jpeg") as stream:
        frames = await take(stream, 2)
        assert await nvr.camera(3).snapshot() in [frame.data for frame in frames] + list(
            Clip.load("jpeg").units
        )
        assert starts(recorder) == ["JPEG"]
        assert len(await take(stream, 3)) == 3


async def test_beside_a_live_stream_the_jpeg_takes_a_uid_of_its_own() -> None:
    recorder = recorder_of()
    async with watching(recorder) as nvr, nvr.camera(3).live("h264") as stream:
        await take(stream, 2)
        assert await nvr.camera(3).snapshot() in Clip.load("jpeg").units
        assert recorder.logins == 2
        async with asyncio.timeout(2):
            while len(recorder.uids) > 1:
                await asyncio.sleep(0.01)
        assert len(await take(stream, 3)) == 3


@pytest.mark.parametrize("turns", [1, 10, 30, 60, 90, 120])
async def test_cancelled_it_leaves_nothing(turns: int) -> None:
    recorder = recorder_of()
    async with watching(recorder) as nvr:
        for camera in (1, 3):
            task = asyncio.create_task(nvr.camera(camera).snapshot())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            async with asyncio.timeout(2):
                while recorder.streams or nvr.stats.streams:
                    await asyncio.sleep(0.01)


async def test_a_session_that_is_closed_meanwhile() -> None:
    async with recorder_of() as recorder:
        recorder.push_answers[1] = PushAnswer.SILENT
        nvr = await nvrclient.connect(recorder.url, "ADMIN", PASSWORD)
        task = asyncio.create_task(nvr.camera(1).snapshot())
        async with asyncio.timeout(2):
            while not recorder.streams:
                await asyncio.sleep(0.01)
        await nvr.aclose()
        with pytest.raises(NVRError):
            await task


async def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    recorder = recorder_of()
    async with watching(recorder) as nvr:
        assert await nvr.camera(3).snapshot() in Clip.load("jpeg").units
        with pytest.raises(UnsupportedMediaError, match=r"pip install 'nvrclient\[media\]'"):
            await nvr.camera(1).snapshot()
        assert recorder.streams == ()


# The command


@pytest.fixture
async def recorder() -> AsyncIterator[SimulatedRecorder]:
    async with recorder_of() as simulated:
        yield simulated
        assert simulated.violations == []
        assert simulated.uids == ()


async def test_the_command(recorder: SimulatedRecorder, tmp_path: Path) -> None:
    access = {
        "NVR_URL": recorder.url,
        "NVR_USERNAME": recorder.username,
        "NVR_PASSWORD": recorder.password,
    }
    file = tmp_path / "front.jpg"
    file.write_bytes(b"yesterday's")
    ended = await run("snapshot", "3", str(file), **access)
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert file.read_bytes() in Clip.load("jpeg").units
    assert list(tmp_path.iterdir()) == [file]


async def test_the_command_writes_to_a_pipe(recorder: SimulatedRecorder) -> None:
    command = (sys.executable, "-m", "nvrclient", "snapshot", "1")
    environment = environment_of(NVR_URL=recorder.url, NVR_USERNAME="ADMIN", NVR_PASSWORD=PASSWORD)
    child = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await child.communicate()
    assert child.returncode == 0
    assert size(out) == (640, 360)


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    ended = run_inside("snapshot", "1", str(tmp_path), NVR_URL="http://127.0.0.1:9")
    assert ended.code == 2
    assert "is a folder" in ended.err


async def test_live_beside_a_snapshot_has_its_own_codec() -> None:
    recorder = recorder_of()
    async with watching(recorder) as nvr:
        camera = nvr.camera(3)

        async def watched() -> str:
            async with camera.live() as stream:
                return (await take(stream, 1))[0].codec

        snapshot = asyncio.create_task(camera.snapshot())
        async with asyncio.timeout(2):
            while not recorder.streams:
                await asyncio.sleep(0)
        assert await watched() == "H264"
        await snapshot
        assert await watched() == "H264"
