"""Logins, UIDs and the rules of section 1.3."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from nvrclient.simulator import (
    CameraSetup,
    Clip,
    PushAnswer,
    Readings,
    SimulatedRecorder,
)
from tests.simulator.client import PLAIN, Viewer, settle, viewing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def recorder() -> AsyncIterator[SimulatedRecorder]:
    threads = threading.active_count()
    async with SimulatedRecorder(pace=10) as opened:
        yield opened
        started = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - started < 1
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert threading.active_count() == threads


# Logging in


async def test_login_answers_html_with_a_uid(recorder: SimulatedRecorder) -> None:
    async with httpx.AsyncClient(base_url=recorder.url, verify=PLAIN) as http:
        viewer = Viewer(recorder, http)
        answer = await viewer.log_in()
    assert answer.headers["content-type"] == "text/html"
    assert "UID=-1" in answer.text[: answer.text.index(viewer.uid)]
    assert f"./hdrctl.cgi?UID={viewer.uid}&HTML=" in answer.text
    assert len(viewer.uid) == 19
    assert (recorder.credentials, recorder.wrong_credentials, recorder.logins) == (1, 0, 1)
    first, second = recorder.requests
    assert (first.status, first.credentials) == (401, False)
    assert (second.status, second.credentials) == (200, True)
    assert second.params == (("UID", "-1"),)


async def test_the_challenge_is_the_one_of_the_field(recorder: SimulatedRecorder) -> None:
    async with httpx.AsyncClient(base_url=recorder.url, verify=PLAIN) as http:
        answer = await http.get("/cgi-bin/dlogin.cgi?UID=-1")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith('Digest realm="Network disk recorder", ')


async def test_wrong_passwords_lock_the_account(recorder: SimulatedRecorder) -> None:
    async with httpx.AsyncClient(base_url=recorder.url, verify=PLAIN) as http:
        viewer = Viewer(recorder, http)
        for tried in range(1, 6):
            assert not recorder.is_locked
            assert (await viewer.log_in("wrong")).status_code == 401
            assert recorder.wrong_credentials == recorder.credentials == tried
        assert recorder.is_locked
        assert (await viewer.log_in()).status_code == 401
    assert recorder.uids == ()


@pytest.mark.parametrize("sha256", [False, True])
async def test_stale_nonces_and_algorithms(sha256: bool) -> None:
    readings = Readings(sha256=sha256, nonce_uses=1)
    async with SimulatedRecorder(readings=readings) as recorder:
        auth = httpx.DigestAuth(recorder.username, recorder.password)
        async with httpx.AsyncClient(base_url=recorder.url, auth=auth, verify=PLAIN) as http:
            for _ in range(3):  # httpx answers the new challenge by itself
                assert (await http.get("/cgi-bin/dlogin.cgi?UID=-1")).status_code == 200
        seen = [(request.credentials, request.status) for request in recorder.requests]
        assert seen == [(False, 401), (True, 200), *[(True, 401), (True, 200)] * 2]
        assert recorder.wrong_credentials == 0
        assert recorder.violations == []


async def test_a_nonce_grows_old() -> None:
    async with SimulatedRecorder(readings=Readings(nonce_lifetime=0.05)) as recorder:
        auth = httpx.DigestAuth(recorder.username, recorder.password)
        async with httpx.AsyncClient(base_url=recorder.url, auth=auth, verify=PLAIN) as http:
            assert (await http.get("/cgi-bin/dlogin.cgi?UID=-1")).status_code == 200
            await asyncio.sleep(0.1)
            assert (await http.get("/cgi-bin/dlogin.cgi?UID=-1")).status_code == 200
        assert [request.status for request in recorder.requests] == [401, 200, 401, 200]
        assert recorder.wrong_credentials == 0


async def test_a_count_used_twice_is_refused(recorder: SimulatedRecorder) -> None:
    async with httpx.AsyncClient(base_url=recorder.url, verify=PLAIN) as http:
        answer = await Viewer(recorder, http).log_in()
        again = {"authorization": answer.request.headers["authorization"]}
        refused = await http.get("/cgi-bin/dlogin.cgi?UID=-1", headers=again)
    assert refused.status_code == 401
    assert recorder.wrong_credentials == 0
    assert recorder.violations == ["a pair of nonce and nonce count was used twice"]


async def test_no_credential_before_the_login(recorder: SimulatedRecorder) -> None:
    async with httpx.AsyncClient(base_url=recorder.url, verify=PLAIN) as http:
        headers = {"authorization": "Digest nonsense"}
        answer = await http.get("/cgi-bin/status.cgi?UID=123&PC=AS60", headers=headers)
    assert answer.status_code == 401
    assert recorder.wrong_credentials == 1
    assert recorder.violations == ["a credential was sent before dlogin.cgi had accepted one"]


async def test_busy_logins(recorder: SimulatedRecorder) -> None:
    recorder.busy_logins = 1
    async with httpx.AsyncClient(base_url=recorder.url, verify=PLAIN) as http:
        viewer = Viewer(recorder, http)
        assert (await viewer.log_in()).status_code == 503
        assert (await viewer.log_in()).status_code == 200


# UIDs


@pytest.mark.parametrize(
    "command",
    [
        "status.cgi?UID=123&PC=AS60",
        "logout.cgi?UID=123",
        "hdrctl.cgi?UID=123&SCREEN=16X&PC=AS60",
        "push.cgi?UID=123&CAM=1&CMD=START&COMP=H264&INTERNETMODE=ON",
        "push.cgi?UID=123&CAM=1&CMD=STOP&COMP=H264&PORT=4000",
        "as_getinfo.cgi?UID=123&FILE=2",
    ],
)
async def test_unknown_uid(recorder: SimulatedRecorder, command: str) -> None:
    async with httpx.AsyncClient(base_url=recorder.url, verify=PLAIN) as http:
        answer = await http.get(f"/cgi-bin/{command}")
    assert answer.status_code == 401
    assert "www-authenticate" not in answer.headers
    assert recorder.violations == []


async def test_commands_keep_a_uid_alive_and_streams_do_not() -> None:
    slow = SimulatedRecorder(uid_lifetime=0.3, pace=10)
    async with slow as recorder, viewing(recorder) as viewer, viewer.live(1, "H264") as live:
        for _ in range(4):
            await asyncio.sleep(0.15)
            assert await viewer.get("status.cgi", "PC=AS60") == 200
        await live.parts(10)
        with pytest.raises(StopAsyncIteration):
            await live.parts(100_000)  # the stream ends with its UID
        assert (recorder.uids, recorder.streams) == ((), ())
        assert await viewer.get("status.cgi", "PC=AS60") == 401


async def test_lifetimes_follow_the_loops_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    real, ahead = loop.time, 0.0
    monkeypatch.setattr(loop, "time", lambda: real() + ahead)
    async with SimulatedRecorder() as recorder, viewing(recorder) as viewer:
        for _ in range(3):
            ahead += 89
            await settle()
            assert await viewer.get("status.cgi", "PC=AS60") == 200
        ahead += 91
        await settle()
        assert recorder.uids == ()
        assert await viewer.get("status.cgi", "PC=AS60") == 401


async def test_a_start_that_fails_leaves_nothing(recorder: SimulatedRecorder) -> None:
    second = SimulatedRecorder(port=recorder.port, tls=True, cameras=0)
    with pytest.raises(OSError, match="in use"):
        await second.start()
    assert second.certificate is None
    second.port = 0
    async with second as opened, viewing(opened) as viewer:
        bare = await viewer.http.get("/cgi-bin/as_getinfo.cgi?FILE=2")
        assert "CAM_CONNECT_16CH=0" in bare.text
        with pytest.raises(RuntimeError, match="already open"):
            await second.start()


async def test_the_oldest_uid_goes_first() -> None:
    async with SimulatedRecorder(max_uids=2) as recorder:
        async with (
            viewing(recorder) as first,
            viewing(recorder) as second,
            viewing(recorder) as third,
        ):
            assert await first.get("status.cgi", "PC=AS60") == 401
            assert await second.get("status.cgi", "PC=AS60") == 200
            assert await third.get("status.cgi", "PC=AS60") == 200
        assert [uid.number for uid in recorder.uids] == [2, 3]


async def test_a_full_recorder_can_be_busy() -> None:
    readings = Readings(full_is_busy=True, uid_digits=4)
    full = SimulatedRecorder(max_uids=1, readings=readings)
    async with full as recorder, viewing(recorder) as viewer:
        assert len(viewer.uid) == 4
        assert (await Viewer(recorder, viewer.http).log_in()).status_code == 503
        assert await viewer.get("status.cgi", "PC=AS60") == 200


async def test_forgotten_uids(recorder: SimulatedRecorder) -> None:
    async with viewing(recorder) as viewer, viewer.live(1, "H264") as live:
        await live.parts(3)
        recorder.forget_uids()
        assert await viewer.get("status.cgi", "PC=AS60") == 401
        with pytest.raises(StopAsyncIteration):
            await live.parts(100_000)


async def test_challenged_commands() -> None:
    readings = Readings(challenge_commands=True, nonce_uses=3, gone_uid_challenges=True)
    async with SimulatedRecorder(readings=readings) as recorder:
        auth = httpx.DigestAuth(recorder.username, recorder.password)
        async with httpx.AsyncClient(base_url=recorder.url, auth=auth, verify=PLAIN) as http:
            page = await http.get("/cgi-bin/dlogin.cgi?UID=-1")
            uid = re.findall(r"UID=(\d+)", page.text)[0]
            command = f"/cgi-bin/status.cgi?UID={uid}&PC=AS60"
            for _ in range(6):
                assert (await http.get(command)).status_code == 200
            statuses = [r.status for r in recorder.requests if r.cgi == "status.cgi"]
            assert statuses == [200, 200, 401, 200, 200, 200, 401, 200]
        async with httpx.AsyncClient(base_url=recorder.url, verify=PLAIN) as http:
            assert (await http.get(command)).status_code == 401
            gone = await http.get("/cgi-bin/status.cgi?UID=123&PC=AS60")
            assert "www-authenticate" in gone.headers
        assert recorder.wrong_credentials == 0


# Rules

START = "CMD=START&COMP=H264&INTERNETMODE=ON"


@pytest.mark.parametrize(
    ("cgi", "query"),
    [
        ("status.cgi", "PC=AS61"),
        ("status.cgi", ""),
        ("hdrctl.cgi", "PC=AS60&SCREEN=16X"),
        ("push.cgi", f"{START}&CAM=1"),
        ("push.cgi", f"CAM=1&{START}&PORT=4000"),
        ("push.cgi", "CAM=1&CMD=START&COMP=JPEG&PORT=4000"),
        ("push.cgi", "CAM=1&CMD=START&COMP=H264"),
        ("push.cgi", "CAM=1&CMD=START&COMP=H264&PORT=0"),
        ("push.cgi", "CAM=1&CMD=START&COMP=H264&PORT=70000"),
        ("push.cgi", "CAM=1&CMD=STOP&COMP=H264"),
        ("push.cgi", "CAM=1&CMD=START&COMP=AUDIO&INTERNETMODE=ON"),
        ("as_getinfo.cgi", "FILE=3"),
    ],
)
async def test_broken_rules(recorder: SimulatedRecorder, cgi: str, query: str) -> None:
    async with viewing(recorder) as viewer:
        assert await viewer.get(cgi, query) == 400
        [violation] = recorder.violations
        assert viewer.uid not in violation
        assert cgi in violation


async def test_set_up_comes_first(recorder: SimulatedRecorder) -> None:
    async with httpx.AsyncClient(base_url=recorder.url, verify=PLAIN) as http:
        viewer = Viewer(recorder, http)
        await viewer.log_in()
        assert await viewer.get("push.cgi", f"CAM=1&{START}") == 400
    assert "SCREEN=16X" in recorder.violations[0]


async def test_one_stream_of_a_camera_on_a_uid(recorder: SimulatedRecorder) -> None:
    async with viewing(recorder) as viewer, viewer.live(1, "H264") as live:
        await live.parts(1)
        assert await viewer.get("push.cgi", f"CAM=1&{START}") == 400
        assert "already" in recorder.violations[0]
        async with viewing(recorder) as other, other.live(1, "H264") as second:
            await second.parts(1)
            assert len(recorder.streams) == 2


async def test_sixteen_streams_on_a_uid() -> None:
    async with SimulatedRecorder(cameras=17) as recorder, viewing(recorder) as viewer:
        for camera in range(1, 18):
            query = f"CAM={camera}&CMD=START&COMP=H264&PORT=4000"
            assert await viewer.get("push.cgi", query) == (200 if camera < 17 else 400)
        assert "more than 16" in recorder.violations[0]


async def test_audio_stops_before_video(recorder: SimulatedRecorder) -> None:
    async with viewing(recorder) as viewer:
        for comp in ("H264", "AUDIO"):
            query = f"CAM=1&CMD=START&COMP={comp}&PORT=4000"
            assert await viewer.get("push.cgi", query) == 200
        assert await viewer.get("push.cgi", "CAM=1&CMD=STOP&COMP=H264&PORT=4000") == 400
        assert "before its audio" in recorder.violations[0]
        assert await viewer.get("push.cgi", "CAM=1&CMD=STOP&COMP=AUDIO&PORT=4001") == 400
        assert await viewer.get("push.cgi", "CAM=1&CMD=STOP&COMP=AUDIO&PORT=4000") == 200
        assert await viewer.get("push.cgi", "CAM=1&CMD=STOP&COMP=H264&PORT=4000") == 200
        assert await viewer.get("push.cgi", "CAM=1&CMD=STOP&COMP=H264&PORT=4000") == 200


@pytest.mark.parametrize("form", ["", "&INTERNETMODE=ON"])
async def test_both_printed_forms_of_stop(recorder: SimulatedRecorder, form: str) -> None:
    async with viewing(recorder) as viewer, viewer.live(1, "H264") as live:
        await live.parts(1)
        assert await viewer.get("push.cgi", f"CAM=1&CMD=STOP&COMP=H264{form}") == 200
        assert not recorder.streams
        with pytest.raises(StopAsyncIteration):
            await live.parts(100_000)
    assert recorder.violations == []


async def test_unknown_camera_and_command(recorder: SimulatedRecorder) -> None:
    async with viewing(recorder) as viewer:
        assert await viewer.get("push.cgi", f"CAM=9&{START}") == 404
        assert await viewer.get("unknown.cgi", "CAM=1") == 404
        assert (await viewer.http.get("/")).status_code == 404
        assert (await viewer.http.post("/cgi-bin/dlogin.cgi?UID=-1")).status_code == 404
    assert recorder.violations == []


async def test_push_answers_change_at_run_time(recorder: SimulatedRecorder) -> None:
    async with viewing(recorder) as viewer:
        for answer, status in (
            (PushAnswer.NO_CONTENT, 204),
            (PushAnswer.BUSY, 503),
            (PushAnswer.HTML, 200),
        ):
            recorder.push_answers[1] = answer
            assert await viewer.get("push.cgi", f"CAM=1&{START}") == status
            assert recorder.streams == ()
            assert await viewer.get("push.cgi", "CAM=1&CMD=STOP&COMP=H264") == 200
        recorder.push_answers[1] = PushAnswer.SILENT
        async with viewer.live(1, "H264") as live:
            assert live.response.headers["content-type"].startswith("multipart/")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(live.parts(1), 0.1)
            assert [s.camera for s in recorder.streams] == [1]
        await settle()
        assert not recorder.streams
        del recorder.push_answers[1]
        assert len(await viewer.parts(1, "H264", 3)) == 3
    assert recorder.violations == []


async def test_wrong_comp_is_silence(recorder: SimulatedRecorder) -> None:
    async with viewing(recorder) as viewer:
        async with viewer.live(1, "H265") as live:
            assert live.response.status_code == 200
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(live.parts(1), 0.1)
            assert await viewer.get("push.cgi", "CAM=1&CMD=STOP&COMP=H265") == 200
        assert len(await viewer.parts(1, "H264", 3)) == 3
    assert recorder.violations == []


async def test_cameras_are_listed(recorder: SimulatedRecorder) -> None:
    async with viewing(recorder) as viewer:
        bare = (await viewer.http.get("/cgi-bin/as_getinfo.cgi?FILE=2")).text.splitlines()
        assert "CAM_CONNECT_01CH=1" in bare
        assert "CAM_CONNECT_05CH=0" in bare
        assert len([line for line in bare if line.startswith("CAM_CONNECT")]) == 16
        assert await viewer.get("as_getinfo.cgi", "FILE=2") == 200
    shy = SimulatedRecorder(readings=Readings(bare_getinfo_empty=True))
    async with shy as other, viewing(other) as viewer:
        url = "/cgi-bin/as_getinfo.cgi?FILE=2"
        assert "CAM_CONNECT" not in (await viewer.http.get(url)).text
        assert "CAM_CONNECT" in (await viewer.http.get(f"{url}&UID={viewer.uid}")).text


# The recorder itself


async def test_connections_can_be_cut(recorder: SimulatedRecorder) -> None:
    async with viewing(recorder) as viewer, viewer.live(1, "H264") as live:
        await live.parts(3)
        recorder.drop_connections()
        with pytest.raises((StopAsyncIteration, httpx.ReadError)):
            await live.parts(100_000)
        await settle()
        assert recorder.streams == ()
        assert await viewer.get("status.cgi", "PC=AS60") == 200


async def test_closing_under_load_takes_no_time() -> None:
    recorder = await SimulatedRecorder(pace=None, tls=True).start()
    async with viewing(recorder) as viewer, viewer.live(1, "H264"), viewer.live(2, "H265"):
        await viewer.get("push.cgi", "CAM=3&CMD=START&COMP=H265&PORT=9")
        _, waiting = await asyncio.open_connection(
            recorder.host, recorder.port
        )  # never shakes hands
        await settle()  # nobody reads: both streams wait for room
        started = asyncio.get_running_loop().time()
        await recorder.aclose()
        assert asyncio.get_running_loop().time() - started < 0.5
        waiting.close()
        await recorder.aclose()  # twice is once
        with pytest.raises(RuntimeError):
            _ = recorder.url


async def test_only_tls_has_a_certificate(recorder: SimulatedRecorder) -> None:
    assert recorder.certificate is None
    with pytest.raises(RuntimeError, match="tls=True"):
        await recorder.replace_certificate()


async def test_the_certificate_can_be_replaced() -> None:
    async with SimulatedRecorder(tls=True) as recorder:
        first = recorder.certificate
        assert first
        folder = Path(first).parent
        assert "PRIVATE" not in Path(first).read_text()
        trusting = ssl.create_default_context(cafile=first)
        async with httpx.AsyncClient(base_url=recorder.url, verify=trusting) as http:
            assert (await http.get("/")).status_code == 404
            await recorder.replace_certificate()
            assert recorder.certificate != first
            assert (await http.get("/")).status_code == 404  # this connection is from before
        async with httpx.AsyncClient(base_url=recorder.url, verify=trusting) as http:
            with pytest.raises(httpx.ConnectError):
                await http.get("/")
        async with viewing(recorder):
            pass
        await recorder.replace_certificate(["recorder.invalid"], expired=True)
        pinned = ssl.create_default_context(cafile=recorder.certificate)
        for problem in ("IP address mismatch", "certificate has expired"):
            with pytest.raises(ssl.SSLCertVerificationError, match=problem):
                await asyncio.open_connection(recorder.host, recorder.port, ssl=pinned)
            pinned.check_hostname = False
    assert not folder.exists()
    assert recorder.certificate is None


async def test_not_http_at_all(recorder: SimulatedRecorder) -> None:
    for request in (b"hello\r\n\r\n", b"GET / HTTP/2\r\n\r\n", b"x" * 100_000, b"GET /"):
        reader, writer = await asyncio.open_connection(recorder.host, recorder.port)
        writer.write(request)
        writer.write_eof()
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


async def test_nothing_secret_is_told(
    recorder: SimulatedRecorder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "nvrclient.simulator")
    async with viewing(recorder) as viewer, viewer.live(1, "H264") as live:
        await live.parts(3)
        await viewer.get("status.cgi", "PC=AS61")
        shown = repr([recorder, recorder.requests, recorder.uids, recorder.streams])
        records = [r for r in caplog.records if r.name.startswith("nvrclient.simulator")]
        shown += "".join([r.getMessage() for r in records] + recorder.violations)
    assert "UID=…" in shown
    assert viewer.uid not in shown
    assert recorder.password not in shown
    assert ("UID", viewer.uid) in recorder.requests[-1].params


def test_setups_are_checked() -> None:
    async def start(setup: CameraSetup) -> None:
        await SimulatedRecorder(cameras={1: setup}).start()

    for setup in (
        CameraSetup("jpeg"),
        CameraSetup("h264", "h264"),
        CameraSetup("h264", None, "h264"),
        CameraSetup("h266"),
    ):
        with pytest.raises(ValueError, match=r"camera's|no clip"):
            asyncio.run(start(setup))


async def test_streams_end_after_so_many_units() -> None:
    clip = Clip.load("h264")
    cameras = {
        1: CameraSetup(clip, end_after=3),
        2: CameraSetup(clip, end_after=3, end_closes=True),
    }
    fast = SimulatedRecorder(cameras=cameras, pace=None)
    async with fast as recorder, viewing(recorder) as viewer:
        async with viewer.live(1, "H264") as live:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(live.parts(10_000), 0.2)
            assert recorder.streams[0].units_sent == 3
        async with viewer.live(2, "H264") as live:
            with pytest.raises(StopAsyncIteration):
                await live.parts(10_000)
        await settle()
        assert recorder.streams == ()
