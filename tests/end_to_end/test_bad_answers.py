"""What goes wrong gives the typed error of the contract, at its point, and says what to do."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
import traceback
from pathlib import Path

import pytest

import nvrclient
from nvrclient import Discontinuity, VideoFrame
from nvrclient.simulator import CameraSetup, PushAnswer, Readings, SimulatedRecorder
from tests.clock import run_simulated
from tests.end_to_end.servers import logs_in, reply, serving
from tests.end_to_end.test_live_video import take, watching
from tests.secrets import PASSWORD, secrets_in


def recorder_of(**options: object) -> SimulatedRecorder:
    return SimulatedRecorder(password=PASSWORD, **{"pace": 8.0, **options})  # type: ignore[arg-type]


def assert_no_secret(error: BaseException) -> None:
    """Nothing secret in the error, its chain, or the local variables of the library's frames."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    lines: list[str] = []
    link: traceback.TracebackException | None = shown
    while link is not None:
        lines += link.format_exception_only()
        for frame in link.stack:
            if "/nvrclient/" in frame.filename and "/simulator/" not in frame.filename:
                lines += [f"{name}={value}" for name, value in (frame.locals or {}).items()]
        link = link.__cause__ or link.__context__
    assert secrets_in("\n".join(lines)) == []


# Login


async def test_row_1_a_wrong_password_is_sent_once() -> None:
    async with recorder_of() as recorder:
        session = nvrclient.connect(recorder.url, recorder.username, "not-" + PASSWORD)
        with pytest.raises(
            nvrclient.AuthenticationError, match="refuses user name or password"
        ) as e:
            await session
        assert recorder.wrong_credentials == recorder.credentials == 1
        assert_no_secret(e.value)
        assert not session.is_open


async def test_row_1_a_password_changed_while_running_is_sent_once() -> None:
    recorder = recorder_of(pace=4.0)
    async with recorder:
        async with nvrclient.connect(recorder.url, recorder.username, PASSWORD) as nvr:
            async with nvr.camera(1).live("h264") as first, nvr.camera(2).live("h265") as second:
                await take(first, 2)
                await take(second, 2)
                good = recorder.credentials
                recorder._guard._password = "another"  # the administrator's doing
                recorder.forget_uids()
                for stream in (first, second):
                    with pytest.raises(nvrclient.AuthenticationError):
                        async for _ in stream:
                            pass
                assert recorder.credentials == good + 1
                with pytest.raises(nvrclient.AuthenticationError):
                    await nvr.command("status.cgi", {"PC": "AS60"})
                assert recorder.credentials == good + 1


async def test_basic_authentication_is_refused() -> None:
    async def answer(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(reply("401 Unauthorized", b"", 'WWW-Authenticate: Basic realm="x"'))

    async with serving(answer) as (url, seen):
        with pytest.raises(nvrclient.AuthenticationError):
            await nvrclient.connect(url, "ADMIN", PASSWORD)
    assert len(seen) == 1
    assert b"uthorization" not in seen[0]


async def test_all_uids_taken() -> None:
    recorder = recorder_of(readings=Readings(full_is_busy=True), max_uids=1)
    async with recorder, nvrclient.connect(recorder.url, recorder.username, PASSWORD):
        with pytest.raises(nvrclient.SessionLimitError, match="503") as e:
            await nvrclient.connect(recorder.url, recorder.username, PASSWORD)
        assert e.value.retry_after


async def test_max_uids_of_the_session() -> None:
    recorder = recorder_of()
    async with (
        watching(recorder, max_uids=1) as nvr,
        nvr.camera(1).live("h264"),
        nvr.camera(2).live("h265"),
    ):
        with pytest.raises(nvrclient.SessionLimitError, match="max_uids"):
            await nvr.camera(1).live("h264", shared=False)


# Connections


async def test_nobody_there() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    with pytest.raises(nvrclient.ConnectionFailedError, match="refused") as e:
        await nvrclient.connect(f"http://127.0.0.1:{port}", "ADMIN", PASSWORD)
    assert_no_secret(e.value)


async def test_a_name_that_does_not_resolve() -> None:
    with pytest.raises(nvrclient.ConnectionFailedError):
        await nvrclient.connect("http://no-such-recorder.invalid", "ADMIN", PASSWORD)


async def test_https_to_a_plain_recorder() -> None:
    async with recorder_of() as recorder:
        with pytest.raises(nvrclient.ConnectionFailedError) as e:
            await nvrclient.connect(recorder.url.replace("http:", "https:"), "ADMIN", PASSWORD)
    assert_no_secret(e.value)


async def test_something_else_answers() -> None:
    async def page(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(reply("200 OK", b"<html>It works!</html>", "Content-Type: text/html"))

    async with serving(page) as (url, _):
        with pytest.raises(nvrclient.ProtocolError, match="is this an i-PRO recorder") as e:
            await nvrclient.connect(url, "ADMIN", PASSWORD)
        assert e.value.head.startswith(b"<html>")

    async def banner(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")

    async with serving(banner) as (url, _):
        with pytest.raises(nvrclient.ConnectionFailedError, match="not HTTP"):
            await nvrclient.connect(url, "ADMIN", PASSWORD)


async def test_row_5_redirects_are_not_followed() -> None:
    async def elsewhere(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(reply("302 Found", b"", "Location: http://127.0.0.1:9/"))

    async with serving(elsewhere) as (url, seen):
        with pytest.raises(nvrclient.ProtocolError, match="redirect"):
            await nvrclient.connect(url, "ADMIN", PASSWORD)
    assert len(seen) == 1


async def test_row_10_an_answer_that_does_not_end_in_size() -> None:
    async def flood(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        for _ in range(100):
            writer.write(b"x" * 65536)
            await writer.drain()

    async with serving(flood) as (url, _):
        with pytest.raises(nvrclient.ProtocolError, match="larger than"):
            await nvrclient.connect(url, "ADMIN", PASSWORD)


async def test_row_11_an_answer_that_does_not_end_in_time() -> None:
    async def trickle(_request: bytes, writer: asyncio.StreamWriter) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1000:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.05)

    async with serving(trickle) as (url, _):
        with pytest.raises(nvrclient.ConnectionFailedError, match=r"within 0\.5 s"):
            await nvrclient.connect(url, "ADMIN", PASSWORD, timeout=0.5)


async def test_row_47_a_compressed_bomb() -> None:
    import zlib

    bomb = zlib.compress(b"\0" * (8 << 20), 9)

    async def answer(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(reply("200 OK", bomb, "Content-Encoding: deflate"))

    async with serving(answer) as (url, _):
        with pytest.raises(nvrclient.ProtocolError, match="larger than"):
            await nvrclient.connect(url, "ADMIN", PASSWORD)


# Certificates


async def test_verify_in_all_its_forms() -> None:
    async with recorder_of(tls=True) as recorder:
        assert recorder.certificate
        pem = Path(recorder.certificate)
        der = ssl.PEM_cert_to_DER_cert(
            pem.read_text()[pem.read_text().index("-----BEGIN CERT") :].split(
                "-----END CERTIFICATE-----"
            )[0]
            + "-----END CERTIFICATE-----"
        )
        fingerprint = hashlib.sha256(der).hexdigest()
        context = ssl.create_default_context(cafile=str(pem))
        context.check_hostname = False
        for verify in (
            str(pem),
            pem,
            f"sha256:{fingerprint}",
            f"SHA256:{fingerprint.upper()}",
            context,
        ):
            async with nvrclient.connect(recorder.url, "ADMIN", PASSWORD, verify=verify) as nvr:  # type: ignore[arg-type]
                assert nvr.is_open
        with pytest.warns(UserWarning, match="verify=False"):
            session = nvrclient.connect(recorder.url, "ADMIN", PASSWORD, verify=False)
        async with session as nvr:
            assert nvr.is_open
        seen = len(recorder.requests)
        with pytest.raises(nvrclient.CertificateMismatchError, match=fingerprint) as e:
            await nvrclient.connect(recorder.url, "ADMIN", PASSWORD)
        assert 'verify="sha256:' in str(e.value)
        with pytest.raises(nvrclient.CertificateMismatchError, match=fingerprint):
            await nvrclient.connect(recorder.url, "ADMIN", PASSWORD, verify="sha256:" + "0" * 64)
        assert len(recorder.requests) == seen  # the pin was checked before any request


async def test_a_pem_pins_the_recorder_whatever_its_name() -> None:
    async with recorder_of(tls=True) as recorder:
        url = recorder.url.replace("127.0.0.1", "localhost")
        async with nvrclient.connect(url, "ADMIN", PASSWORD, verify=recorder.certificate) as nvr:  # type: ignore[arg-type]
            assert nvr.is_open


async def test_row_6_a_certificate_that_changes_is_found_before_any_credential() -> None:
    recorder = recorder_of(tls=True, pace=4.0)
    async with recorder:
        first = Path(recorder.certificate or "")
        pinned = first.with_name("pinned.pem")
        pinned.write_bytes(first.read_bytes())
        async with nvrclient.connect(recorder.url, "ADMIN", PASSWORD, verify=pinned) as nvr:
            async with nvr.camera(1).live("h264") as stream:
                await take(stream, 3)
                await recorder.replace_certificate()
                seen = len(recorder.requests)
                recorder.drop_connections()
                with pytest.raises(nvrclient.CertificateMismatchError):
                    async for _ in stream:
                        pass
                assert len(recorder.requests) == seen
        with pytest.raises(nvrclient.CertificateMismatchError):
            await nvrclient.connect(recorder.url, "ADMIN", PASSWORD, verify=pinned)


async def test_a_pem_file_that_is_none() -> None:
    for verify in ("/no/such/file.pem", __file__):
        with pytest.raises(nvrclient.ConnectionFailedError, match="PEM"):
            await nvrclient.connect("https://127.0.0.1:9", "ADMIN", PASSWORD, verify=verify)


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1",
        "ftp://127.0.0.1",
        "http://",
        "http://u:p@127.0.0.1",
        "http://h/x",
        "http://h:99999",
    ],
)
def test_urls_that_mean_nothing(url: str) -> None:
    with pytest.raises(ValueError, match=r"^url: "):
        nvrclient.connect(url, "ADMIN", PASSWORD)


@pytest.mark.parametrize(
    "options",
    [
        {"verify": "sha256:12"},
        {"timeout": 0},
        {"stall_timeout": -1},
        {"keepalive": float("nan")},
        {"max_uids": 17},
        {"g711": "xlaw"},
        {"aac_rate": 12345},
        {"rtp_ports": range(5)},
        {"command_interval": -1},
    ],
)
def test_options_that_mean_nothing(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        nvrclient.connect("https://127.0.0.1", "ADMIN", PASSWORD, **options)  # type: ignore[arg-type]


# START


async def test_unknown_camera() -> None:
    async with watching(recorder_of()) as nvr:
        with pytest.raises(nvrclient.CommandError, match="or not this camera") as e:
            await nvr.camera(99).live("h264")
        assert e.value.status == 404
        assert e.value.command == "push.cgi"
        assert_no_secret(e.value)
        with pytest.raises(ValueError, match="camera"):
            nvr.camera(0)


async def test_no_stream_free() -> None:
    recorder = recorder_of()
    async with watching(recorder) as nvr:
        recorder.push_answers[1] = PushAnswer.BUSY
        with pytest.raises(nvrclient.SessionLimitError, match="503"):
            await nvr.camera(1).live("h264")


@pytest.mark.parametrize("transport", ["http", "udp"])
def test_row_24_refused_for_now(transport: str) -> None:
    async def scenario() -> None:
        recorder = recorder_of()
        async with watching(recorder) as nvr:
            recorder.push_answers[1] = PushAnswer.NO_CONTENT
            with pytest.raises(nvrclient.RecorderBusyError, match="204") as e:
                await nvr.camera(1).live("h264", transport=transport)  # type: ignore[arg-type]
            assert e.value.retry_after
            times = [r.time for r in recorder.requests if ("CMD", "START") in r.params]
            assert len(times) == 5
            assert all(
                after - before >= 3.0 for before, after in zip(times, times[1:], strict=False)
            )
            recorder.push_answers[1] = PushAnswer.OK
            async with nvr.camera(1).live("h264", transport=transport) as stream:  # type: ignore[arg-type]
                await take(stream, 2)

    run_simulated(scenario())


async def test_html_instead_of_a_stream() -> None:
    recorder = recorder_of()
    async with watching(recorder) as nvr:
        recorder.push_answers[1] = PushAnswer.HTML
        with pytest.raises(nvrclient.ProtocolError, match="text/html") as e:
            await nvr.camera(1).live("h264")
        assert e.value.head


@pytest.mark.parametrize("transport", ["http", "udp"])
async def test_row_19_silence_is_raised_by_the_loop(transport: str) -> None:
    recorder = recorder_of()
    async with watching(recorder, stall_timeout=0.5) as nvr:
        recorder.push_answers[1] = PushAnswer.SILENT
        async with nvr.camera(1).live("h264", transport=transport) as stream:  # type: ignore[arg-type]
            assert stream.state == "starting"
            with pytest.raises(nvrclient.StreamStalledError, match="no complete picture"):
                await anext(stream)
            with pytest.raises(nvrclient.StreamStalledError):
                await anext(stream)
            assert stream.state == "closed"
        async with nvr.camera(1).live(transport=transport) as stream:  # type: ignore[arg-type]
            with pytest.raises(nvrclient.UnsupportedMediaError, match="H264, H265"):
                await anext(stream)


async def test_row_54_a_camera_without_jpeg() -> None:
    async with (
        watching(recorder_of(), stall_timeout=0.5) as nvr,
        nvr.camera(1).live("jpeg") as stream,
    ):
        with pytest.raises(nvrclient.UnsupportedMediaError, match="no JPEG"):
            await anext(stream)


async def test_auto_falls_back_to_http_and_says_why() -> None:
    recorder = recorder_of()
    # The recorder sends to the address it was asked from: nobody listens there.
    async with watching(recorder, stall_timeout=0.5, rtp_host="127.0.0.2") as nvr:
        async with nvr.camera(1).live("h264", transport="auto") as stream:
            await take(stream, 3)
            assert stream.stats.transport == "http"
            assert "UDP" in (stream.stats.fallback or "")


def test_auto_falls_back_when_udp_arrives_no_more() -> None:
    async def scenario() -> None:
        recorder = recorder_of(pace=1.0)
        async with (
            watching(recorder) as nvr,
            nvr.camera(1).live("h264", transport="auto") as stream,
        ):
            await take(stream, 3)
            assert stream.stats.transport == "udp"
            blocked = recorder.faults.block_udp()
            async with asyncio.timeout(40):
                while stream.stats.transport == "udp" or stream.state != "live":
                    await anext(stream)
            assert "UDP: no complete picture" in (stream.stats.fallback or "")
            blocked.heal()
            recorder.drop_connections()
            await take(stream, 50)
            assert stream.stats.transport == "http"  # what has worked last is tried first

    run_simulated(scenario())


# Streams that break


@pytest.mark.parametrize("closes", [True, False])
async def test_without_reconnect_every_end_raises(closes: bool) -> None:
    recorder = recorder_of(cameras={1: CameraSetup("h264", end_after=10, end_closes=closes)})
    async with (
        watching(recorder, reconnect=False, stall_timeout=0.5) as nvr,
        nvr.camera(1).live("h264") as stream,
    ):
        error = nvrclient.StreamEndedError if closes else nvrclient.StreamStalledError
        frames: list[VideoFrame] = []
        with pytest.raises(error):
            async for item in stream:
                assert isinstance(item, VideoFrame)
                frames.append(item)
        assert len(frames) >= 9


@pytest.mark.parametrize("transport", ["http", "udp"])
@pytest.mark.parametrize("fault", ["connections", "uids"])
async def test_row_13_a_broken_stream_comes_back(fault: str, transport: str) -> None:
    recorder = recorder_of(pace=4.0)
    async with (
        watching(recorder, stall_timeout=0.8, command_interval=0.1) as nvr,
        nvr.camera(1).live("h264", transport=transport) as stream,  # type: ignore[arg-type]
    ):
        await take(stream, 5)
        if fault == "uids":
            recorder.forget_uids()
        elif transport == "http":
            recorder.drop_connections()
        else:
            for running in recorder.streams:
                running.stop()
        told: list[Discontinuity] = []
        last = -1
        async with asyncio.timeout(15):
            async for item in stream:
                if isinstance(item, Discontinuity):
                    told.append(item)
                elif isinstance(item, VideoFrame):
                    assert item.pts > last
                    last = item.pts
                    if len(told) == 2:
                        assert item.keyframe
                        break
        assert [d.reason for d in told] == ["reconnect", "reconnect"]
        assert told[0].until is None
        assert told[1].until is not None
        assert told[0].since == told[1].since
        assert stream.stats.reconnects == 1
        assert stream.state == "live"


# Parts


async def test_rows_40_to_45_bad_parts_cost_no_other() -> None:
    """Lies, garbage and a foreign payload among good parts, written by hand."""
    from nvrclient.simulator import Clip

    clip = Clip.load("jpeg")
    pictures = clip.units[:4]
    stop = asyncio.Event()

    def part(body: bytes, kind: str = "image/jpeg", length: str | None = None) -> bytes:
        size = length if length is not None else str(len(body))
        return (
            f"--myboundary\r\nContent-type: {kind}\r\nContent-Length: {size}\r\n\r\n".encode()
            + body
            + b"\r\n"
        )

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        plain = logs_in(request)
        if plain is not None:
            writer.write(plain)
            return
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=--myboundary\r\n\r\n"
        )
        bad = [
            part(b"not a picture"),
            part(pictures[0], length=str(len(pictures[0]) + 5)),
            part(b"\x80\x62", "application/octet-stream"),
            part(b"?", "text/plain"),
            part(b"", length="-1"),
        ]
        for good, fault in zip(pictures, bad, strict=False):
            writer.write(part(good) + fault)
        writer.write(part(pictures[0]))
        await stop.wait()

    async with serving(answer) as (url, _), nvrclient.connect(url, "ADMIN", PASSWORD) as nvr:
        async with nvr.camera(1).live("jpeg") as stream:
            frames = await take(stream, 5)
            stats = stream.stats
        stop.set()
    assert [frame.data for frame in frames] == [*pictures, pictures[0]]
    assert stats.malformed >= 3
    assert stats.ignored["content type"] == 1
    assert stats.frames_received == 5 + sum(stats.dropped.values())


async def test_row_12_a_command_that_may_have_been_done_is_not_sent_again() -> None:
    done = 0

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal done
        if b"reboot.cgi" in request:
            done += 1
            writer.transport.abort()
            return
        writer.write(logs_in(request) or b"")

    async with serving(answer) as (url, _), nvrclient.connect(url, "ADMIN", PASSWORD) as nvr:
        await nvr.command("status.cgi", {"PC": "AS60"})  # its connection is used again
        with pytest.raises(nvrclient.CommandError, match="may have been") as caught:
            await nvr.command("reboot.cgi")
    assert caught.value.status is None
    assert done == 1
