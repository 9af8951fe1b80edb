"""Recorders other than the simulator: each a reading, a habit or a fault of its own."""

from __future__ import annotations

import asyncio
import logging
import socket
import time

import pytest

import nvrclient
from nvrclient import AudioFrame, Discontinuity, LiveStream, VideoFrame
from tests.end_to_end.foreign import (
    INTERVAL,
    MULTIPART,
    NO,
    OK,
    ForeignRecorder,
    Query,
    packets,
    part,
)
from tests.end_to_end.media import nal_units, split
from tests.end_to_end.servers import reply
from tests.end_to_end.test_live_video import take
from tests.secrets import PASSWORD, secrets_in


def connect(recorder: ForeignRecorder, **options: object) -> nvrclient.Session:
    return nvrclient.connect(
        recorder.url,
        "ADMIN",
        PASSWORD,
        **{"stall_timeout": 1.0, "command_interval": 0.2, **options},  # type: ignore[arg-type]
    )


async def both(stream: LiveStream, seconds: float) -> tuple[int, int]:
    """Count pictures and audio for some seconds."""
    pictures = sounds = 0
    until = time.monotonic() + seconds
    async for item in stream:
        pictures += isinstance(item, VideoFrame)
        sounds += isinstance(item, AudioFrame)
        if time.monotonic() > until:
            break
    return pictures, sounds


@pytest.mark.parametrize("transport", ["http", "udp"])
async def test_a_foreign_recorder(transport: str) -> None:
    async with ForeignRecorder() as recorder, connect(recorder) as nvr:
        async with nvr.camera(1).live("h264", transport=transport) as stream:  # type: ignore[arg-type]
            frames = await take(stream, 60)
            assert stream.stats.lost == 0
    assert nal_units(frames) == [u for au in recorder.clip.units[:60] for u in split(au)]
    assert recorder.uids == set()


async def test_pictures_before_start_is_answered() -> None:
    class Recorder(ForeignRecorder):
        async def start(self, query: Query, writer: asyncio.StreamWriter) -> bytes | None:
            answer = await super().start(query, writer)
            await asyncio.sleep(0.3)
            return answer

    async with Recorder() as recorder, connect(recorder) as nvr:
        async with asyncio.timeout(3), nvr.camera(1).live("h264", transport="udp") as stream:
            assert (await take(stream, 1))[0].keyframe


@pytest.mark.parametrize(
    "refusal", [NO, reply("401 Unauthorized", b"", 'WWW-Authenticate: Basic realm="x"')]
)
async def test_row_1_a_refusal_without_a_challenge_latches_too(refusal: bytes) -> None:
    class Recorder(ForeignRecorder):
        def refuses(self) -> bytes:
            return refusal

    async with Recorder() as recorder:
        with pytest.raises(nvrclient.AuthenticationError):
            await nvrclient.connect(recorder.url, "ADMIN", "wrong")
        assert recorder.wrong == 1
        async with connect(recorder) as nvr:
            streams = [await nvr.camera(n).live("h264") for n in range(1, 6)]
            for stream in streams:
                await take(stream, 1)
            recorder.right = lambda authorization: False  # type: ignore[method-assign]
            recorder.uids.clear()
            await asyncio.gather(
                *[nvr.command("status.cgi", {"PC": f"{n}"}) for n in range(4)],
                return_exceptions=True,
            )
            for stream in streams:
                if nvr.is_open and stream.state != "closed":
                    await stream.aclose()
            assert recorder.wrong == 2


async def test_row_18_a_recorder_that_starts_up_is_no_refusal() -> None:
    class Recorder(ForeignRecorder):
        booting = False

        def dlogin(self, authorization: str | None) -> bytes:
            if self.booting:
                return reply("403 Forbidden") if len(self.asked) % 2 else NO
            return super().dlogin(authorization)

        async def video(self, query: Query, writer: asyncio.StreamWriter) -> None:
            for picture in packets(self.clip):
                if query["UID"] not in self.uids:
                    return
                writer.write(b"".join(part(packet) for packet in picture))
                await writer.drain()
                await asyncio.sleep(INTERVAL)

    async with Recorder() as recorder, connect(recorder) as nvr:
        async with nvr.camera(1).live("h264") as stream:
            await take(stream, 2)
            recorder.booting = True
            recorder.uids.clear()
            await asyncio.sleep(2)
            recorder.booting = False
            async with asyncio.timeout(20):
                told = [item async for item in _until_back(stream)]
            assert [item.reason for item in told] == ["reconnect", "reconnect"]


async def _until_back(stream: LiveStream):  # type: ignore[no-untyped-def]
    told = 0
    async for item in stream:
        if isinstance(item, Discontinuity):
            told += 1
            yield item
        elif told == 2:
            return


async def test_the_list_of_cameras_costs_no_uid() -> None:
    class Recorder(ForeignRecorder):
        async def getinfo(self, query: Query) -> bytes:
            return await super().getinfo(query) if "UID" in query else NO

    async with Recorder() as recorder, connect(recorder) as nvr:
        async with nvr.camera(1).live("h264") as stream:
            cameras = await nvr.cameras()
            assert [(camera.number, camera.connected) for camera in cameras] == [
                (1, True),
                (2, False),
            ]
            await take(stream, 3)
            assert nvr.stats.uids_lost == 0
            assert stream.stats.reconnects == 0


async def test_a_model_without_a_list_of_cameras() -> None:
    class Recorder(ForeignRecorder):
        async def getinfo(self, query: Query) -> bytes:
            return reply("404 Not Found")

    async with Recorder() as recorder, connect(recorder) as nvr:
        with pytest.raises(nvrclient.CommandError) as e:
            await nvr.cameras()
        assert e.value.status == 404


async def test_block_holds_up_video_and_audio_alike() -> None:
    async with ForeignRecorder() as recorder, connect(recorder) as nvr:
        async with nvr.camera(1).live(
            "h264", audio=True, when_full="block", buffer_bytes=20_000
        ) as stream:
            await asyncio.sleep(1.5)
            assert stream.stats.bytes_queued < 20_000 + 2 * 65_536
            pictures, sounds = await both(stream, 2.0)
            assert pictures > 20
            assert sounds > 20
            assert sum(stream.stats.dropped.values()) == 0
            assert stream.stats.reconnects == 0


async def test_connections_that_close_unannounced() -> None:
    class Recorder(ForeignRecorder):
        async def answered(self, _writer: asyncio.StreamWriter) -> bool:
            await asyncio.sleep(0.003)
            return True

    async with Recorder() as recorder:
        for _ in range(5):
            async with connect(recorder) as nvr:
                for n in range(5):
                    assert await nvr.command("status.cgi", {"PC": str(n)}) == b"OK"
                    await asyncio.sleep(0.001 * n)
        assert recorder.wrong == 0


async def test_row_31_junk_from_another_port_does_not_take_the_stream() -> None:
    class Recorder(ForeignRecorder):
        async def send_video(self, query: Query) -> None:
            to = ("127.0.0.1", int(query["PORT"]))
            with (
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as junk,
            ):
                for picture in packets(self.clip):
                    for packet in picture:
                        sock.sendto(packet, to)
                    junk.sendto(b"junk", to)
                    await asyncio.sleep(INTERVAL)

    async with Recorder() as recorder, connect(recorder) as nvr:
        async with nvr.camera(1).live("h264", transport="udp") as stream:
            frames = await take(stream, 40)
            assert stream.stats.reconnects == 0
    assert nal_units(frames) == [u for au in recorder.clip.units[:40] for u in split(au)]


async def test_audio_on_the_videos_port_from_another_source() -> None:
    class Recorder(ForeignRecorder):
        async def audio(self, query: Query, writer: asyncio.StreamWriter) -> bytes | None:
            self.spawn(self.send_audio())
            return OK

        async def send_video(self, query: Query) -> None:
            self.video_port = int(query["PORT"])
            await super().send_video(query)

        async def send_audio(self) -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                for n in range(10_000):
                    head = (
                        b"\x80\xe1" + n.to_bytes(2, "big") + (160 * n).to_bytes(4, "big") + b"abcd"
                    )
                    sock.sendto(head + b"\xff" * 160, ("127.0.0.1", self.video_port))
                    await asyncio.sleep(0.02)

    async with Recorder() as recorder, connect(recorder) as nvr:
        async with nvr.camera(1).live("h264", transport="udp", audio=True) as stream:
            pictures, sounds = await both(stream, 1.5)
            assert pictures > 20
            assert sounds > 20


async def test_streams_of_a_camera_share_whatever_they_know() -> None:
    async with ForeignRecorder() as recorder, connect(recorder) as nvr:
        camera = nvr.camera(1)
        async with camera.live("h264") as known:
            await take(known, 2)
            async with camera.live() as found_out, camera.live("h264", audio=True) as heard:
                assert (await take(found_out, 1))[0].keyframe
                assert min(await both(heard, 1.0)) > 10
                frames = [await anext(known) for _ in range(50)]
                assert not any(isinstance(frame, AudioFrame) for frame in frames)
        assert recorder.starts("H264") == 1
        assert recorder.starts("AUDIO") == 1
        assert nvr.stats.logins == 1
    stops = [query["COMP"] for _, query in recorder.asked if query.get("CMD") == "STOP"]
    assert stops == ["AUDIO", "H264"]


@pytest.mark.parametrize("answer", ["204", "404", "silence"])
async def test_audio_that_is_refused_costs_no_picture(
    answer: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where the recorder sends the audio in the video's answer all the same."""

    class Recorder(ForeignRecorder):
        async def audio(self, query: Query, writer: asyncio.StreamWriter) -> bytes | None:
            if answer == "silence":
                await asyncio.sleep(3600)
            return reply("204 No Content" if answer == "204" else "404 Not Found")

        async def video(self, query: Query, writer: asyncio.StreamWriter) -> None:
            for picture in packets(self.clip):
                writer.write(b"".join(part(packet) for packet in picture))
                writer.write(part(b"\0" + b"\xff" * 160, "audio/g.711"))
                await writer.drain()
                await asyncio.sleep(INTERVAL)

    async with Recorder() as recorder, connect(recorder) as nvr:
        began = time.monotonic()
        async with nvr.camera(1).live("h264", audio=True) as stream:
            assert time.monotonic() - began < 1.0
            pictures, sounds = await both(stream, 1.0)
            assert pictures > 20
            assert sounds > 20
            if answer == "404":
                assert "404" in (stream.stats.audio_problem or "")
                assert any("audio of camera 1" in record.getMessage() for record in caplog.records)
        began = time.monotonic()
    assert time.monotonic() - began < 2.0


async def test_audio_not_asked_for_is_not_given() -> None:
    class Recorder(ForeignRecorder):
        async def video(self, query: Query, writer: asyncio.StreamWriter) -> None:
            for picture in packets(self.clip):
                writer.write(part(b"\0" + b"\xff" * 160, "audio/g.711"))
                writer.write(b"".join(part(packet) for packet in picture))
                await writer.drain()
                await asyncio.sleep(INTERVAL)

    async with Recorder() as recorder, connect(recorder) as nvr:
        async with nvr.camera(1).live("h264") as stream:
            assert all([isinstance(await anext(stream), VideoFrame) for _ in range(20)])


@pytest.mark.parametrize("ending", ["chunked", "reset", "uid"])
async def test_without_reconnect_an_end_is_an_end(ending: str) -> None:
    class Recorder(ForeignRecorder):
        async def start(self, query: Query, writer: asyncio.StreamWriter) -> bytes | None:
            chunked = ending == "chunked"
            writer.write(
                MULTIPART.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
                if chunked
                else MULTIPART
            )
            for number, picture in enumerate(packets(self.clip)):
                data = b"".join(part(packet) for packet in picture)
                writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n" if chunked else data)
                await writer.drain()
                await asyncio.sleep(INTERVAL)
                if number == 5 and ending != "uid":
                    writer.transport.abort()
                    return None
            return None

    async with Recorder() as recorder, connect(recorder, reconnect=False, keepalive=0.3) as nvr:
        async with nvr.camera(1).live("h264") as stream:
            await take(stream, 2)
            if ending == "uid":
                recorder.uids.clear()
                recorder.status = lambda _query: _no()  # type: ignore[method-assign]
            with pytest.raises(nvrclient.StreamEndedError):
                async for _ in stream:
                    pass


async def _no() -> bytes:
    return NO


@pytest.mark.parametrize(
    "answer",
    [
        reply("302 Found", b"", "Location: http://127.0.0.1:9/"),
        reply("200 OK"),
        reply(
            "200 OK", b"<p>UID=5550000000000000001 is not allowed</p>", "Content-Type: text/html"
        ),
    ],
)
async def test_what_is_no_stream_is_raised_on_entering_and_shows_no_uid(answer: bytes) -> None:
    class Recorder(ForeignRecorder):
        async def start(self, query: Query, writer: asyncio.StreamWriter) -> bytes | None:
            return answer

    async with Recorder() as recorder, connect(recorder) as nvr:
        with pytest.raises(nvrclient.ProtocolError) as e:
            await nvr.camera(1).live("h264")
        assert secrets_in(f"{e.value} {e.value.head!r}") == []


async def test_row_24_a_long_retry_after_is_not_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nvrclient.live.feed.MAX_WAIT", 0.1)

    class Recorder(ForeignRecorder):
        async def start(self, query: Query, writer: asyncio.StreamWriter) -> bytes | None:
            return reply("204 No Content", b"", "Retry-After: 86400")

    async with Recorder() as recorder, connect(recorder) as nvr:
        with pytest.raises(nvrclient.RecorderBusyError):
            await nvr.camera(1).live("h264")


async def test_row_22_bad_keepalives_leave_a_running_stream_alone() -> None:
    class Recorder(ForeignRecorder):
        async def status(self, _query: Query) -> bytes:
            return reply("503 Service Unavailable")

    async with Recorder() as recorder, connect(recorder, keepalive=0.2) as nvr:
        async with nvr.camera(1).live("h264") as stream:
            await both(stream, 1.5)
            assert stream.stats.reconnects == 0
            assert nvr.stats.keepalives_failed > 2
            assert nvr.stats.uids_lost == 0


async def test_a_stream_that_says_text() -> None:
    class Recorder(ForeignRecorder):
        async def start(self, query: Query, writer: asyncio.StreamWriter) -> bytes | None:
            writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n")
            await self.video(query, writer)
            return None

    async with Recorder() as recorder, connect(recorder) as nvr:
        async with nvr.camera(1).live("h264") as stream:
            frames = await take(stream, 10)
    assert nal_units(frames) == [u for au in recorder.clip.units[:10] for u in split(au)]


async def test_auto_leaves_udp_that_is_refused() -> None:
    class Recorder(ForeignRecorder):
        async def start(self, query: Query, writer: asyncio.StreamWriter) -> bytes | None:
            return (
                reply("400 Bad Request") if "PORT" in query else await super().start(query, writer)
            )

    async with Recorder() as recorder, connect(recorder) as nvr:
        async with nvr.camera(1).live(transport="auto") as stream:
            await take(stream, 3)
            assert stream.stats.transport == "http"
            assert "400" in (stream.stats.fallback or "")


async def test_ports_of_a_range_are_not_used_again_at_once() -> None:
    async with ForeignRecorder() as recorder:
        async with connect(recorder, rtp_ports=range(42_000, 42_100)) as nvr:
            streams = [
                await nvr.camera(n).live("h264", transport="udp", audio=True) for n in range(1, 13)
            ]
            for stream in streams:
                await take(stream, 1)
            await streams[0].aclose()
            async with nvr.camera(1).live("h264", transport="udp") as again:
                await take(again, 1)
            for stream in streams:
                await stream.aclose()
        ports = [query["PORT"] for _, query in recorder.asked if query.get("CMD") == "START"]
        assert len(set(ports)) == len(ports)


async def test_row_4_cookies_and_locations_are_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    class Recorder(ForeignRecorder):
        async def status(self, query: Query) -> bytes:
            return reply(
                "200 OK",
                b"",
                f"Set-Cookie: UID={query['UID']}",
                f"Content-Location: /x?UID={query['UID']}",
            )

    async with Recorder() as recorder, connect(recorder) as nvr:
        await nvr.command("status.cgi", {"PC": "AS60"})
    assert any(record.name == "httpcore.http11" for record in caplog.records)
    assert secrets_in("\n".join(record.getMessage() for record in caplog.records)) == []
    assert logging.getLogger("httpcore.http11").filters


@pytest.mark.parametrize(
    "html",
    [
        '<input type="hidden" name="UID" value="{uid}">',
        "location='hdrctl.cgi?UID%3D{uid}'",
        "var UID = '{uid}';",
        "<body>UID=-1 UID={uid}</body>",
    ],
)
async def test_forms_of_the_uid(html: str) -> None:
    class Recorder(ForeignRecorder):
        def dlogin(self, authorization: str | None) -> bytes:
            answer = super().dlogin(authorization)
            if authorization is None:
                return answer
            return reply("200 OK", html.format(uid=next(iter(self.uids))).encode())

    async with Recorder() as recorder, connect(recorder) as nvr:
        assert await nvr.command("status.cgi", {"PC": "AS60"}) == b"OK"
    assert recorder.uids == set()


async def test_a_camera_set_to_another_codec_comes_back() -> None:
    class Recorder(ForeignRecorder):
        codec = "H265"

        async def start(self, query: Query, writer: asyncio.StreamWriter) -> bytes | None:
            writer.write(MULTIPART)
            if query["COMP"] == self.codec:
                await self.video(query, writer)
            await asyncio.sleep(3600)
            return None

        async def video(self, query: Query, writer: asyncio.StreamWriter) -> None:
            for picture in packets(self.clip):
                if query["COMP"] != self.codec:
                    return
                writer.write(b"".join(part(packet) for packet in picture))
                await writer.drain()
                await asyncio.sleep(INTERVAL)

    async with Recorder() as recorder, connect(recorder, stall_timeout=0.4) as nvr:
        async with nvr.camera(1).live() as stream:
            await take(stream, 2)
            recorder.codec = "JPEG"
            recorder.codec = "H264"
            async with asyncio.timeout(15):
                assert len([item async for item in _until_back(stream)]) == 2


# Closing, sharing and audio, beside each other


async def test_a_caller_beside_a_closing_session_is_not_cancelled() -> None:
    class Recorder(ForeignRecorder):
        async def status(self, _query: Query) -> bytes:
            await asyncio.sleep(3600)
            return OK

    async with Recorder() as recorder:
        nvr = await connect(recorder)
        waiting = asyncio.create_task(nvr.command("status.cgi", {"PC": "AS60"}))
        await asyncio.sleep(0.1)
        await nvr.aclose()
        with pytest.raises(nvrclient.NVRError, match="closed"):
            await waiting


async def test_a_slow_login_that_was_cancelled_gives_its_uid_back() -> None:
    class Recorder(ForeignRecorder):
        slow = False

        async def _answer(
            self, name: str, query: Query, authorization: str | None, writer: asyncio.StreamWriter
        ) -> bytes | None:
            if self.slow and name == "dlogin" and authorization:
                await asyncio.sleep(0.8)
            return await super()._answer(name, query, authorization, writer)

    async with Recorder() as recorder:
        async with connect(recorder) as nvr:
            async with nvr.camera(1).live("h264"):
                recorder.slow = True
                opening = asyncio.ensure_future(nvr.camera(1).live("h264", shared=False)._open())
                await asyncio.sleep(0.2)
                opening.cancel()
                await asyncio.gather(opening, return_exceptions=True)
        assert recorder.uids == set()


async def test_answers_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ForeignRecorder() as recorder, connect(recorder) as nvr:
        for n in range(20):
            await nvr.command("status.cgi", {"PC": n})
        connection = nvr._connection
        assert connection is not None
        assert connection.pace._answers == {}
        await asyncio.sleep(0.3)
        await nvr.command("status.cgi", {"PC": "x"})
        assert len(connection.pace._asked_at) == 1
        with pytest.raises(ValueError, match="characters of parameters"):
            await nvr.command("x.cgi", {"a": "x" * 70_000})


async def test_row_1_a_credential_is_not_sent_again_when_its_answer_is_lost() -> None:
    class Recorder(ForeignRecorder):
        async def _answer(
            self, name: str, query: Query, authorization: str | None, writer: asyncio.StreamWriter
        ) -> bytes | None:
            if name == "dlogin" and authorization:
                self.credentials += 1
                return None  # and the connection is gone
            return await super()._answer(name, query, authorization, writer)

    async with Recorder() as recorder:
        with pytest.raises(nvrclient.ConnectionFailedError):
            await connect(recorder)
        assert recorder.credentials == 1


async def test_audio_that_falls_silent_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nvrclient.live.feed.FIRST_AUDIO_WAIT", 0.2)

    class Recorder(ForeignRecorder):
        async def audio(self, query: Query, writer: asyncio.StreamWriter) -> bytes | None:
            writer.write(MULTIPART)
            for _ in range(20):
                writer.write(part(b"\0" + b"\xff" * 160, "audio/g.711"))
                await writer.drain()
                await asyncio.sleep(0.02)
            await asyncio.sleep(3600)
            return None

    async with Recorder() as recorder, connect(recorder, stall_timeout=0.5) as nvr:
        async with nvr.camera(1).live("h264", audio=True) as stream:
            _, sounds = await both(stream, 2.5)
            assert sounds >= 40
            assert stream.stats.reconnects == 0
    comps = [(q["CMD"], q["COMP"]) for _, q in recorder.asked if "COMP" in q]
    assert comps[:4] == [
        ("START", "H264"),
        ("START", "AUDIO"),
        ("STOP", "AUDIO"),
        ("START", "AUDIO"),
    ]


async def test_audio_is_stopped_with_its_last_listener() -> None:
    async with ForeignRecorder() as recorder, connect(recorder) as nvr:
        async with nvr.camera(1).live("h264") as watching:
            async with nvr.camera(1).live("h264", audio="pcma") as listening:
                async for frame in listening.audio():
                    assert frame.codec == "PCMU"  # named by the content type here
                    break
            stops = [q["COMP"] for _, q in recorder.asked if q.get("CMD") == "STOP"]
            assert stops == ["AUDIO"]
            await take(watching, 5)
            stats = watching.stats
            assert stats.frames_received == (
                stats.frames_delivered + stats.frames_queued + sum(stats.dropped.values())
            )
            async with nvr.camera(1).live("h264", audio=True) as again:
                assert min(await both(again, 1.0)) > 10


async def test_a_held_gop_that_does_not_fit_is_no_overflow() -> None:
    async with ForeignRecorder() as recorder, connect(recorder) as nvr:
        async with nvr.camera(1).live("h264") as first:
            await take(first, 25)
            async with nvr.camera(1).live("h264", when_full="error", buffer_bytes=12_000) as late:
                assert (await take(late, 3))[0].keyframe


async def test_narrowed_streams_keep_the_stream() -> None:
    async with ForeignRecorder() as recorder, connect(recorder) as nvr:
        frames = (await nvr.camera(1).live("h264")).video()
        got = [await anext(frames) for _ in range(5)]
        assert got[0].keyframe
        await frames._stream.aclose()


async def test_closed_and_opened_again_on_one_uid() -> None:
    class Recorder(ForeignRecorder):
        async def _answer(
            self, name: str, query: Query, authorization: str | None, writer: asyncio.StreamWriter
        ) -> bytes | None:
            if query.get("CMD") == "STOP":
                await asyncio.sleep(0.3)
            return await super()._answer(name, query, authorization, writer)

    async with Recorder() as recorder, connect(recorder, max_uids=1) as nvr:
        stream = await nvr.camera(1).live("h264")
        await take(stream, 2)
        closing = asyncio.create_task(stream.aclose())
        await asyncio.sleep(0.05)
        async with nvr.camera(1).live("h264") as again:
            assert (await take(again, 1))[0].keyframe
        await closing
        assert nvr.stats.logins == 1
