"""Opening, living and closing: keep-alives on time, nothing left behind, whatever the caller and the peer do."""

from __future__ import annotations

import asyncio
import copy
import pickle

import pytest

import nvrclient
from nvrclient import LiveStream, VideoFrame
from nvrclient.simulator import Readings, SimulatedRecorder
from tests.clock import run_simulated
from tests.end_to_end.test_live_video import take, watching
from tests.secrets import PASSWORD


def recorder_of(**options: object) -> SimulatedRecorder:
    return SimulatedRecorder(password=PASSWORD, **{"pace": 8.0, **options})  # type: ignore[arg-type]


def keepalives(recorder: SimulatedRecorder) -> list[float]:
    return [request.time for request in recorder.requests if request.cgi == "status.cgi"]


# Keep-alive


def test_row_21_keepalives_are_on_time_while_the_consumer_sleeps() -> None:
    async def scenario() -> None:
        recorder = recorder_of(pace=0.1)
        async with watching(recorder) as nvr, nvr.camera(1).live("h264") as stream:
            began = asyncio.get_running_loop().time()
            await take(stream, 3)
            await asyncio.sleep(100)
            assert [round(at - began) for at in keepalives(recorder)] == [60]
            await asyncio.sleep(100)
            assert [round(at - began) for at in keepalives(recorder)] == [60, 120, 180]
            assert len(recorder.uids) == 1
            frame = (await take(stream, 1))[0]
            assert isinstance(frame, VideoFrame)
        assert recorder.logins == 1

    run_simulated(scenario())


def test_keepalives_of_every_uid() -> None:
    async def scenario() -> None:
        recorder = recorder_of(pace=0.1)
        async with (
            watching(recorder) as nvr,
            nvr.camera(1).live("h264"),
            nvr.camera(1).live("h264", shared=False),
        ):
            await asyncio.sleep(130)
            assert len(keepalives(recorder)) == 4
            assert len(recorder.uids) == 2

    run_simulated(scenario())


async def test_row_21_keepalives_really() -> None:
    recorder = recorder_of(uid_lifetime=9.0, pace=1.0)
    async with watching(recorder, keepalive=6.0) as nvr, nvr.camera(1).live("h264") as stream:
        await take(stream, 2)
        await asyncio.sleep(10)
        assert len(keepalives(recorder)) == 1
        await take(stream, 2)
        assert stream.stats.reconnects == 0
    assert recorder.logins == 1


def test_row_22_a_lost_keepalive_changes_nothing() -> None:
    async def scenario() -> None:
        recorder = recorder_of(pace=0.1)
        async with watching(recorder) as nvr, nvr.camera(1).live("h264", transport="udp"):
            await asyncio.sleep(59)
            server = recorder._server
            assert server is not None
            recorder._route, route = lambda *_: nothing(), recorder._route  # type: ignore[method-assign, assignment]

            def nothing() -> object:
                raise ConnectionResetError

            await asyncio.sleep(3)
            recorder._route = route  # type: ignore[method-assign]
            await asyncio.sleep(60)
            assert nvr.stats.keepalives_failed >= 1
            assert nvr.stats.relogins == 0
            assert recorder.logins == 1

    run_simulated(scenario())


# Opening and closing


async def test_opened_in_one_task_closed_in_another() -> None:
    async with recorder_of() as recorder:
        made: list[nvrclient.Session] = []
        streams: list[LiveStream] = []

        async def opens() -> None:
            made.append(await nvrclient.connect(recorder.url, "ADMIN", PASSWORD))
            streams.append(await made[0].camera(1).live("h264"))

        await asyncio.create_task(opens())
        await take(streams[0], 3)
        await asyncio.create_task(streams[0].aclose())
        await asyncio.create_task(made[0].aclose())
        await made[0].aclose()
        assert recorder.uids == ()
        assert not made[0].is_open
        with pytest.raises(RuntimeError, match="closed"):
            made[0].camera(1)


async def test_every_way_out_of_the_block_stops_the_stream() -> None:
    recorder = recorder_of()
    async with watching(recorder, command_interval=0) as nvr:

        def stops() -> int:
            return sum(("CMD", "STOP") in request.params for request in recorder.requests)

        async def leaves_by_exception() -> None:
            async with nvr.camera(1).live("h264") as stream:
                await take(stream, 1)
                raise KeyError("mine")

        async def leaves_by_break() -> None:
            async with nvr.camera(1).live("h264") as stream:
                async for _ in stream:
                    break

        async def waits() -> None:
            async with nvr.camera(1).live("h264") as stream:
                async for _ in stream:
                    pass

        with pytest.raises(KeyError, match="mine"):
            await leaves_by_exception()
        assert recorder.streams == ()
        await leaves_by_break()
        assert recorder.streams == ()
        for times in (1, 2):
            task = asyncio.create_task(waits())
            while not recorder.streams:
                await asyncio.sleep(0.01)
            for _ in range(times):
                task.cancel()
                await asyncio.sleep(0)
            with pytest.raises(asyncio.CancelledError):
                await task
            async with asyncio.timeout(2):
                while (
                    recorder.streams or stops() < 2 + times
                ):  # its connection may end before STOP comes
                    await asyncio.sleep(0.01)
        assert stops() == 4


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("way", ["http", "https", "udp"])
async def test_row_70_cancelled_while_opening_at_many_points(way: str, times: int) -> None:
    """Cancel connect and live after k turns of the loop, for many k: nothing is left, and the next one works."""
    async with recorder_of(tls=way == "https") as recorder:
        transport = "udp" if way == "udp" else "http"

        async def uses() -> None:
            async with nvrclient.connect(
                recorder.url, "ADMIN", PASSWORD, verify=recorder.certificate or True
            ) as nvr:
                async with nvr.camera(1).live("h264", transport=transport) as stream:  # type: ignore[arg-type]
                    await take(stream, 5)

        for turns in range(0, 120, 4):
            task = asyncio.create_task(uses())
            for _ in range(turns):
                await asyncio.sleep(0)
            for _ in range(times):
                task.cancel()
                await asyncio.sleep(0)
            await asyncio.gather(task, return_exceptions=True)
        await uses()
        async with asyncio.timeout(3):  # what was cancelled closes in the background
            while len(asyncio.all_tasks()) > 1 + _of(recorder) or recorder.streams:
                await asyncio.sleep(0.02)
        assert recorder.violations == []
        assert recorder.uids == ()


def _of(recorder: SimulatedRecorder) -> int:
    """The recorder's own tasks, besides those of connections, which end with the client's."""
    names = {task.get_name() for task in asyncio.all_tasks()}
    return sum(1 for name in names if "nvrclient " not in name) - 1


@pytest.mark.parametrize("transport", ["http", "udp"])
async def test_row_73_a_bug_ends_the_stream_with_a_typed_error(
    transport: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        watching(recorder_of()) as nvr,
        nvr.camera(1).live("h264", transport=transport) as stream,
    ):
        await take(stream, 2)

        def bug(*_: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr("nvrclient.codec.demuxer.parse_packet", bug)
        with pytest.raises(nvrclient.NVRError, match="a bug in nvrclient"):
            async for _ in stream:
                pass
    assert sum("a bug in nvrclient" in record.getMessage() for record in caplog.records) == 1


# Misuse


async def test_an_unopened_stream_cannot_be_iterated() -> None:
    async with watching(recorder_of()) as nvr:
        stream = nvr.camera(1).live("h264")
        with pytest.raises(RuntimeError, match="async with"):
            async for _ in stream:
                pass
        with pytest.raises(RuntimeError, match="async with"):
            stream.video()
        async with stream:
            with pytest.raises(RuntimeError, match="open already"):
                await stream
        with pytest.raises(RuntimeError, match="closed"):
            await stream
        with pytest.raises(RuntimeError, match="not open"):
            nvrclient.connect("http://127.0.0.1:9", "ADMIN", PASSWORD).camera(1)


async def test_one_consumer_at_a_time() -> None:
    async with watching(recorder_of(pace=1.0)) as nvr, nvr.camera(1).live("h264") as stream:
        await take(stream, 1)

        async def other() -> None:
            async for _ in stream:
                pass

        task = asyncio.create_task(other())
        await asyncio.sleep(0.3)
        with pytest.raises(RuntimeError, match="one consumer"):
            async for _ in stream:
                pass
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_row_78_a_session_belongs_to_its_loop() -> None:
    async def opens(url: str) -> nvrclient.Session:
        return await nvrclient.connect(url, "ADMIN", PASSWORD)

    async def uses(nvr: nvrclient.Session) -> None:
        with pytest.raises(RuntimeError, match="another event loop"):
            nvr.camera(1)

    async def scenario() -> None:
        async with recorder_of() as recorder:
            nvr = await opens(recorder.url)
            await asyncio.to_thread(lambda: asyncio.run(uses(nvr)))
            await nvr.aclose()

    asyncio.run(scenario())


async def test_row_78_a_session_belongs_to_its_process() -> None:
    async with watching(recorder_of()) as nvr:
        nvr._connection._pid += 1  # type: ignore[union-attr]
        with pytest.raises(RuntimeError, match="fork"):
            nvr.camera(1)
        nvr._connection._pid -= 1  # type: ignore[union-attr]


async def test_values_pickle_and_sessions_refuse() -> None:
    async with watching(recorder_of()) as nvr, nvr.camera(1).live("h264") as stream:
        (frame,) = await take(stream, 1)
        assert pickle.loads(pickle.dumps(frame)) == frame
        assert pickle.loads(pickle.dumps(stream.stats)).packets >= 1
        with pytest.raises(TypeError, match=r"nvrclient\.connect"):
            pickle.dumps(nvr)
        for handle in (stream, nvr.camera(1)):
            for copied in (pickle.dumps, copy.copy, copy.deepcopy):
                with pytest.raises(TypeError, match="neither pickled nor copied"):
                    copied(handle)
        error = nvrclient.CommandError("message", command="push.cgi", status=404)
        other = pickle.loads(pickle.dumps(error))
        assert (str(other), other.command, other.status) == ("message", "push.cgi", 404)
        assert PASSWORD not in repr(nvr) + repr(stream) + repr(nvr.camera(1)) + repr(frame)


# Commands


async def test_commands_under_the_sessions_uid() -> None:
    recorder = recorder_of()
    async with watching(recorder, command_interval=0) as nvr:
        assert await nvr.command("status.cgi", {"PC": "AS60"}) == b"OK\r\n"
        assert await nvr.command("/cgi-bin/status.cgi", [("PC", "AS60")]) == b"OK\r\n"
        with pytest.raises(nvrclient.CommandError) as e:
            await nvr.command("nothing.cgi")
        assert e.value.status == 404
        with pytest.raises(ValueError, match="URL"):
            await nvr.command("status.cgi", {"PC": "AS60\r\nX: y"})
        assert await nvr.command("cgi-bin/status.cgi", {"PC": "AS60"}) == b"OK\r\n"
        for name in ("@127.0.0.2/x.cgi", "//127.0.0.2/x.cgi", "\\x.cgi", "cgi-bin/", ""):
            with pytest.raises(ValueError, match="bare name"):
                await nvr.command(name)
        recorder.forget_uids()
        assert await nvr.command("status.cgi", {"PC": "AS60"}) == b"OK\r\n"
        assert nvr.stats.relogins == 1


@pytest.mark.parametrize("readings", [Readings(), Readings(bare_getinfo_empty=True)])
def test_cameras_share_one_answer(readings: Readings) -> None:
    async def scenario() -> None:
        recorder = recorder_of(readings=readings)
        async with watching(recorder) as nvr:
            answers = await asyncio.gather(*[nvr.cameras() for _ in range(5)])
            assert [c.number for c in answers[0] if c.connected] == [1, 2, 3, 4]
            assert all(answer == answers[0] for answer in answers)
            loop = asyncio.get_running_loop()
            before = loop.time()
            await nvr.cameras()
            assert loop.time() - before == pytest.approx(3.0, abs=0.1)
        asked = [request for request in recorder.requests if request.cgi == "as_getinfo.cgi"]
        assert len(asked) == (4 if readings.bare_getinfo_empty else 2)

    run_simulated(scenario())


async def test_row_8_the_environment_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/file")
    async with recorder_of(tls=True) as recorder:
        async with nvrclient.connect(
            recorder.url, "ADMIN", PASSWORD, verify=recorder.certificate or True
        ) as nvr:
            assert nvr.is_open


async def test_the_password_can_be_asked_for() -> None:
    asked: list[int] = []

    def password() -> str:
        asked.append(1)
        return PASSWORD

    async with recorder_of() as recorder:
        async with nvrclient.connect(recorder.url, "ADMIN", password) as nvr:
            assert nvr.is_open
    assert asked == [1]
