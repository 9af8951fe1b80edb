"""Streams of a recorder with moods: what comes instead of pictures, late, from elsewhere, or in HTTP written otherwise."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

import nvrclient
from nvrclient import Discontinuity, VideoFrame
from nvrclient.simulator import Clip
from tests.clock import simulated_clock
from tests.end_to_end.foreign import OK, Query
from tests.end_to_end.foreign_recovery import (
    AGAIN,
    ENDINGS,
    GOP,
    MANNERS,
    PICTURES,
    SOON,
    MoodyRecorder,
    Sender,
    all_live,
    connect,
    run,
    until,
    watching,
)


@pytest.mark.parametrize("manner", MANNERS)
def test_whatever_comes_instead_of_pictures_is_one_outage(manner: str) -> None:
    """The recorder is strict: it refuses a START whose stream was not stopped, though its connection is dead."""

    async def scenario() -> None:
        recorder = MoodyRecorder()
        async with recorder, connect(recorder) as nvr, watching(nvr, 2) as watches:
            recorder.manner = manner
            await recorder.cut()
            await asyncio.sleep(70)
            assert all(watch.is_out for watch in watches)
            recorder.manner = None
            await until(lambda: all_live(watches), 30)
            assert [watch.reasons for watch in watches] == [["reconnect", "reconnect"]] * 2
            assert nvr.stats.logins <= 2, "the UID may be what the recorder has forgotten: once"
        assert not recorder.broken
        assert not recorder.running

    run(scenario)


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("codec", ["h264", None])
def test_whatever_comes_instead_of_the_first_picture_is_told(
    manner: str, codec: str | None
) -> None:
    ended = manner in ENDINGS
    expected: type[nvrclient.NVRError] = nvrclient.UnsupportedMediaError
    if codec is not None:
        expected = nvrclient.StreamEndedError if ended else nvrclient.StreamStalledError

    async def scenario() -> None:
        recorder = MoodyRecorder()
        recorder.manner = manner
        async with recorder, connect(recorder) as nvr, nvr.camera(1).live(codec) as stream:
            async with asyncio.timeout(41):
                with pytest.raises(expected):
                    await anext(stream)
                with pytest.raises(expected):
                    await anext(stream)
            assert stream.state == "closed"
        assert not recorder.broken
        assert not recorder.running

    run(scenario)


@pytest.mark.parametrize(
    "ticks", ["same", "back to 0", "an hour back", "half the circle on", "any"]
)
def test_pts_go_on_whatever_rtp_numbers_a_stream_comes_back_with(
    ticks: str,
) -> None:
    class Recorder(MoodyRecorder):
        starts_seen = 0

        def sender(self, query: Query) -> Sender:
            self.starts_seen += 1
            rng = random.Random(self.starts_seen)
            offset = {
                "same": 0.0,
                "back to 0": -simulated_clock().time() * 90_000,
                "an hour back": -self.starts_seen * 90_000 * 3600.0,
                "half the circle on": self.starts_seen * 2.0**31,
                "any": rng.randrange(2**32),
            }[ticks]
            if ticks == "same":
                return Sender()
            return Sender(ssrc=rng.randrange(2**32), sequence=rng.randrange(2**16), ticks=offset)

    async def scenario() -> None:
        recorder = Recorder()
        async with recorder, connect(recorder) as nvr, watching(nvr, 1) as [watch]:
            for _ in range(4):
                await recorder.cut()
                await asyncio.sleep(9)
            assert watch.is_live
            assert len(watch.outages) == 4
            first = watch.frames[0]
            for frame in watch.frames:  # the gap counts
                assert abs(frame.pts / 90_000 - (frame.received_at - first.received_at)) < 1.5

    run(scenario)


def test_a_stream_that_comes_back_in_another_size_is_told_of_before_its_first_picture() -> None:
    class Recorder(MoodyRecorder):
        large = False

        def sender(self, query: Query) -> Sender:
            sender = Sender()
            if self.large:
                sender.clip = Clip.load("h264_large").with_short_gops(GOP, PICTURES)
            return sender

    async def scenario() -> None:
        recorder = Recorder()
        async with recorder, connect(recorder) as nvr, nvr.camera(1).live("h264") as stream:
            while not isinstance(await anext(stream), VideoFrame):
                pass
            recorder.large = True
            await recorder.cut()
            seen: list[Any] = []
            while len(seen) < 4:
                item = await anext(stream)
                if seen or isinstance(item, Discontinuity):
                    seen.append(item)
            assert [getattr(item, "reason", "") for item in seen] == [
                "reconnect",
                "reconnect",
                "format",
                "",
            ]
            assert [item.until is None for item in seen[:3]] == [True, False, False]
            assert seen[3].keyframe
            assert stream.format is not None
            assert (stream.format.width, stream.format.height) == (1280, 720)

    run(scenario)


def test_a_start_answered_after_nine_seconds_is_waited_for() -> None:
    class Recorder(MoodyRecorder):
        slow = 0.0

        async def start(self, query: Query, writer: asyncio.StreamWriter) -> bytes | None:
            await asyncio.sleep(self.slow)
            return await super().start(query, writer)

    async def scenario() -> None:
        recorder = Recorder()
        async with recorder, connect(recorder) as nvr, watching(nvr, 4) as watches:
            recorder.slow = 9.0
            await recorder.cut()
            await asyncio.sleep(1)
            await until(lambda: all_live(watches), 12)
            assert {watch.stream.stats.reconnects for watch in watches} == {1}
        assert not recorder.broken

    run(scenario)


def test_udp_that_moves_to_another_source_port_is_heard_again() -> None:
    """A socket that is tied to its sender hears nothing more: the stream stalls, and is started anew."""

    class Recorder(MoodyRecorder):
        moved = False

        async def send_video(self, query: Query) -> None:
            before = asyncio.ensure_future(super().send_video(query))
            await until(lambda: self.moved or before.done(), 1000)
            before.cancel()
            await asyncio.wait((before,))
            await super().send_video(query)  # from another port, where it was not stopped

    async def scenario() -> None:
        recorder = Recorder()
        async with recorder, connect(recorder) as nvr, watching(nvr, 2, "udp") as watches:
            await asyncio.sleep(5)
            recorder.moved = True
            await asyncio.sleep(12)
            assert all_live(watches)
            assert [len(watch.outages) for watch in watches] == [1, 1]
        assert not recorder.broken

    run(scenario)


# HTTP as others write it


class Shaped(MoodyRecorder):
    """Its answers are HTTP, written otherwise."""

    def __init__(self, shape: str) -> None:
        super().__init__()
        self.shape = shape

    async def answered(self, _writer: asyncio.StreamWriter) -> bool:
        return self.shape in {"closed after each", "HTTP/1.0"}

    async def put(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        step = 1 if self.shape == "byte by byte" else len(data)
        for at in range(0, len(data), 97 * step if step == 1 else step):
            await super().put(writer, data[at : at + (97 if step == 1 else step)])

    async def _answer(
        self, name: str, query: Query, authorization: str | None, writer: asyncio.StreamWriter
    ) -> bytes | None:
        answer = await super()._answer(name, query, authorization, writer)
        if answer is None:
            return None
        head, _, body = answer.partition(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
        bare = b"\r\n".join(lines)
        if self.shape == "byte by byte":
            for byte in answer[:-1]:
                writer.write(bytes((byte,)))
                await writer.drain()
            return answer[-1:]
        chunks = b"".join(b"1\r\n" + bytes((byte,)) + b"\r\n" for byte in body)
        return {
            "HTTP/1.0": bare.replace(b"HTTP/1.1", b"HTTP/1.0") + b"\r\n\r\n" + body,
            "chunked": bare + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n",
            "100 Continue": b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + answer,
            "blank lines behind": answer + b"\r\n\r\n",
            "another answer behind": answer + OK,
            "bytes behind": answer + b"garbage",
            "line feeds": head.replace(b"\r\n", b"\n") + b"\n\n" + body,
            "no reason": answer.replace(b"200 OK", b"200", 1),
            "length twice": head + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body,
        }.get(self.shape, answer)


@pytest.mark.parametrize(
    "shape",
    [
        "HTTP/1.0",
        "closed after each",
        "chunked",
        "100 Continue",
        "byte by byte",
        "blank lines behind",
        "another answer behind",
        "bytes behind",
        "line feeds",
        "no reason",
        "length twice",
    ],
)
def test_http_written_otherwise_loses_no_uid_and_no_command(shape: str) -> None:
    async def scenario() -> None:
        recorder = Shaped(shape)
        async with recorder, connect(recorder) as nvr, watching(nvr, 2) as watches:
            await asyncio.sleep(130)
            for _ in range(3):
                assert await nvr.command("status.cgi") == b"OK"
            assert nvr.stats.keepalives == 2
            assert nvr.stats.keepalives_failed == nvr.stats.uids_lost == 0
            recorder.forget_all()
            await asyncio.sleep(0.1)
            # An answer too many is taken for the next command's: that login is lost, and the next one waits.
            late = shape == "another answer behind"
            await until(lambda: all_live(watches), AGAIN if late else SOON)
        assert not recorder.uids
        assert not recorder.broken

    run(scenario)
