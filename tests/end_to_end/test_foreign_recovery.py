"""What a session survives, shown from outside against a recorder with moods that shares nothing with the simulator.

The long form of the chaos at the end takes more and longer runs:
``NVRCLIENT_LONG=1 python -m pytest -q -n0 tests/end_to_end/test_foreign_recovery.py -k chaos``.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
from contextlib import AsyncExitStack, suppress
from itertools import pairwise
from typing import Any

import pytest

import nvrclient
from nvrclient import NalUnit, VideoFrame
from tests.clock import simulated_clock
from tests.end_to_end.foreign import CHALLENGE, MULTIPART, NO, OK, Query, part
from tests.end_to_end.foreign_recovery import (
    AGAIN,
    MANNERS,
    SOON,
    MoodyRecorder,
    Sender,
    Watch,
    all_live,
    connect,
    run,
    until,
    watched,
    watching,
)
from tests.end_to_end.servers import reply

LONG = bool(os.environ.get("NVRCLIENT_LONG"))


# UIDs


@pytest.mark.parametrize("answer", [NO, reply("401 Unauthorized", b"", CHALLENGE)])
@pytest.mark.parametrize("deaf", ["push", "status"])
def test_a_uid_that_only_one_command_refuses_is_replaced_once_for_all_streams(
    answer: bytes, deaf: str
) -> None:
    class Recorder(MoodyRecorder):
        dead: frozenset[str] = frozenset()

        async def mood(self, name: str, query: Query) -> bytes | None:
            return answer if name == deaf and query.get("UID") in self.dead else None

    async def scenario() -> None:
        recorder = Recorder()
        async with recorder, connect(recorder) as nvr, watching(nvr, 3) as watches:
            recorder.dead = frozenset(recorder.uids)
            if deaf == "push":
                await recorder.cut()
            await until(lambda: nvr.stats.relogins == 1, 70)
            await until(lambda: all_live(watches), SOON)
            assert [len(watch.outages) for watch in watches] == [1, 1, 1]
            assert nvr.stats.logins == 2
        assert not recorder.broken

    run(scenario)


@pytest.mark.parametrize("uid", ["7", "0", "9" * 19, "0000013313"])
def test_a_uid_of_any_length_is_taken_as_it_is(uid: str) -> None:
    class Recorder(MoodyRecorder):
        def new_uid(self) -> str:
            return uid

    async def scenario() -> None:
        recorder = Recorder()
        async with recorder, connect(recorder) as nvr, watching(nvr, 2) as watches:
            recorder.forget_all()  # and the next login is answered by the same UID
            await asyncio.sleep(0.1)
            await until(lambda: all_live(watches), SOON)
            assert recorder.uids == {uid}
        assert not recorder.uids
        assert not recorder.broken

    run(scenario)


def test_a_restart_that_issues_the_same_uids_again_mixes_up_nobody() -> None:
    class Recorder(MoodyRecorder):
        issued = 0

        def new_uid(self) -> str:
            self.issued += 1
            return str(self.issued)

    async def scenario() -> None:
        recorder = Recorder()
        async with (
            recorder,
            connect(recorder) as nvr,
            watching(nvr, 2) as watches,
            watched(nvr.camera(1).live("h264", shared=False)) as own,
        ):
            for restarts in range(1, 4):
                await asyncio.sleep(70)  # UIDs that die young are replaced more slowly
                await recorder.down()
                recorder.issued = 0
                await asyncio.sleep(10)
                await recorder.up()
                await until(lambda: all_live([*watches, own]), AGAIN)
                assert {len(watch.outages) for watch in [*watches, own]} == {restarts}
            assert recorder.uids == {"1", "2"}
        assert not recorder.broken

    run(scenario)


@pytest.mark.parametrize("seconds", [3, 9])
def test_a_recorder_that_issues_uids_slowly_is_waited_for(seconds: float) -> None:
    class Recorder(MoodyRecorder):
        slow = False

        async def mood(self, name: str, query: Query) -> bytes | None:
            if self.slow and name == "dlogin":
                await asyncio.sleep(seconds)
            return None

    async def scenario() -> None:
        recorder = Recorder()
        async with recorder, connect(recorder) as nvr, watching(nvr, 3) as watches:
            recorder.slow = True
            recorder.forget_all()
            await asyncio.sleep(0.1)
            await until(lambda: all_live(watches), 2 * seconds + 2)
            assert nvr.stats.logins == 2

    run(scenario)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("Retry-After: 120", 120.0),
        ("Retry-After: soon", 5.0),
        ("Retry-After: Wed, 21 Oct 2026 07:28:00 GMT", 5.0),
        ("Retry-After: -1", 5.0),
        ("Retry-After: 99999999999999999999", 5.0),
        ("X: y", 5.0),
    ],
)
def test_a_full_recorder_says_when_to_try_again(header: str, seconds: float) -> None:
    class Recorder(MoodyRecorder):
        full = False

        async def mood(self, name: str, query: Query) -> bytes | None:
            return reply("503 Service Unavailable", b"", header) if self.full else None

    async def scenario() -> None:
        recorder = Recorder()
        async with recorder, connect(recorder) as nvr, watching(nvr, 1) as watches:
            recorder.full = True
            with pytest.raises(nvrclient.SessionLimitError) as e:
                await connect(recorder)
            assert e.value.retry_after == seconds
            with pytest.raises(nvrclient.SessionLimitError) as e:
                await nvr.camera(2).live("h264")
            assert e.value.retry_after == seconds
            recorder.forget_all()
            await asyncio.sleep(30)
            recorder.full = False
            await until(lambda: all_live(watches), AGAIN)

    run(scenario)


# Restarts


def test_after_a_restart_cameras_may_be_gone_and_come_back() -> None:
    async def scenario() -> None:
        recorder = MoodyRecorder()
        async with recorder, connect(recorder) as nvr, watching(nvr, 3) as watches:
            await recorder.down()
            await asyncio.sleep(20)
            recorder.cameras = 1
            await recorder.up()
            await until(lambda: watches[0].is_live, AGAIN)
            await asyncio.sleep(60)
            assert [watch.stream.state for watch in watches[1:]] == ["reconnecting"] * 2
            assert [len(watch.outages) for watch in watches] == [1, 1, 1]
            recorder.cameras = 3
            await until(lambda: all_live(watches), AGAIN)
            assert nvr.stats.relogins == 1

    run(scenario)


def test_after_a_restart_a_camera_may_have_another_codec() -> None:
    async def scenario() -> None:
        recorder = MoodyRecorder()
        async with (
            recorder,
            connect(recorder) as nvr,
            watched(nvr.camera(1).live()) as found_out,
            watched(nvr.camera(2).live("h264")) as said,
        ):
            await until(lambda: all_live([found_out, said]), 10)
            await recorder.down()
            recorder.codec = "h265"
            await recorder.up()
            await until(lambda: found_out.is_out, 1)
            await until(lambda: found_out.is_live, AGAIN)
            assert found_out.reasons == ["reconnect", "reconnect", "format"]
            assert found_out.stream.codec is nvrclient.Codec.H265
            assert said.is_out, "this one was to be H.264, and waits for it"
            await recorder.down()
            recorder.codec = "h264"
            await recorder.up()
            await until(lambda: found_out.is_out, 1)
            await until(lambda: all_live([found_out, said]), 60)
            assert found_out.reasons == ["reconnect", "reconnect", "format"] * 2
            assert said.reasons == ["reconnect"] * 2

    run(scenario)


def test_a_password_changed_during_a_restart_is_tried_once_by_sixteen_streams() -> None:
    class Recorder(MoodyRecorder):
        changed = False

        def right(self, authorization: str) -> bool:
            return super().right(authorization) and not self.changed

    async def scenario() -> None:
        recorder = Recorder()
        async with recorder, connect(recorder) as nvr, watching(nvr, 16) as watches:
            await recorder.down()
            await asyncio.sleep(20)
            recorder.changed = True
            await recorder.up()
            await asyncio.sleep(300)
            for watch in watches:
                assert isinstance(watch.error, nvrclient.AuthenticationError)
                assert watch.stream.state == "closed"
                assert watch.is_out
            for doing in (nvr.command("status.cgi"), nvr.camera(1).move(pan=1)):
                with pytest.raises(nvrclient.AuthenticationError):
                    await doing
            assert recorder.wrong == 1

    run(scenario)


# Callers


def test_a_hundred_consumers_of_one_camera_are_told_of_every_outage() -> None:
    async def scenario() -> None:
        recorder = MoodyRecorder()
        async with recorder, connect(recorder) as nvr, AsyncExitStack() as stack:
            watches = []
            for number in range(100):
                live = nvr.camera(1).live("h264", when_full=("gop", "latest", "error")[number % 3])  # type: ignore[arg-type]
                watches.append(await stack.enter_async_context(watched(live)))
                await asyncio.sleep(0.03)
            await until(lambda: all_live(watches), 10)
            for _ in range(3):
                recorder.forget_all()
                await asyncio.sleep(SOON)
            assert all_live(watches)
            assert {len(watch.outages) for watch in watches} == {3}
            assert recorder.starts("H264") == 4
            assert len(recorder.uids) == 1
        assert not recorder.running

    run(scenario)


@pytest.mark.parametrize("ill", ["silence", "close", "503", "302", "down"])
@pytest.mark.parametrize("transport", ["http", "udp"])
def test_aclose_takes_two_seconds_at_most_in_any_state_of_an_outage(
    ill: str, transport: str
) -> None:
    class Recorder(MoodyRecorder):
        ill = ""

        async def mood(self, name: str, query: Query) -> bytes | None:
            if self.ill == "silence":
                await asyncio.sleep(3600)
            return {
                "close": b"",
                "503": reply("503 Service Unavailable"),
                "302": reply("302 Found", b"", "Location: /"),
            }.get(self.ill)

    async def scenario() -> None:
        clock = simulated_clock()
        for outage in (0.0, 0.7, 9.0, 40.0):
            recorder = Recorder()
            async with recorder:
                nvr = await connect(recorder)
                streams = [
                    await nvr.camera(number).live("h264", transport=transport, shared=shared)  # type: ignore[arg-type]
                    for number, shared in ((1, True), (2, True), (1, False))
                ]
                for stream in streams:
                    await anext(stream)
                recorder.ill = ill
                if ill == "down":
                    await recorder.down()
                elif outage:
                    await recorder.cut()
                    recorder.running.clear()
                await asyncio.sleep(outage)
                began = clock.time()
                await streams[0].aclose()
                assert clock.time() - began <= 2.0
                began = clock.time()
                await nvr.aclose()
                assert clock.time() - began <= 2.0
                began = clock.time()
                await nvr.aclose()
                for stream in streams:
                    await stream.aclose()
                assert clock.time() == began, "a second time there is nothing to do"

    run(scenario)


def test_nal_units_and_pictures_are_the_same_over_outages() -> None:
    async def scenario() -> None:
        recorder = MoodyRecorder()
        units: list[NalUnit] = []
        frames: list[VideoFrame] = []

        async def count(items: Any, into: list[Any], stream: nvrclient.LiveStream) -> None:
            async for item in items:
                into.append(item)
                stats = stream.stats
                dropped = sum(stats.dropped.values())
                assert (
                    stats.frames_received == stats.frames_delivered + stats.frames_queued + dropped
                )

        async with recorder, connect(recorder) as nvr:
            async with nvr.camera(1).live("h264") as one, nvr.camera(1).live("h264") as other:
                counting = asyncio.gather(
                    count(one.nal_units(), units, one), count(other.video(), frames, other)
                )
                for _ in range(3):
                    await asyncio.sleep(7)
                    recorder.forget_all()
                await asyncio.sleep(7)
            await counting
        assert len(frames) > 30
        assert [unit.data for unit in units] == [u.data for f in frames for u in f.nal_units]

    run(scenario)


def test_clocks_that_jump_end_nothing() -> None:
    async def scenario() -> None:
        recorder, clock = MoodyRecorder(), simulated_clock()
        async with recorder, connect(recorder) as nvr, watching(nvr, 2) as watches:
            for wall in (clock.wall() - 3600, 0.0, 2.0**31 + 100, 2.0**32 - 5, clock.wall()):
                clock.set_wall(wall)
                await asyncio.sleep(10)
            assert not any(watch.outages for watch in watches)
            recorder.forget_all()
            clock.sleep(600)
            await asyncio.sleep(0.1)
            await until(lambda: all_live(watches), SOON)
            clock.advance(60)  # somebody blocked the loop
            await asyncio.sleep(10)
            assert all_live(watches)

    run(scenario)


def test_streams_cancelled_anywhere_leave_the_one_that_stays_alone() -> None:
    rng = random.Random(3)

    class Recorder(MoodyRecorder):
        async def mood(self, name: str, query: Query) -> bytes | None:
            await asyncio.sleep(rng.choice((0, 0.01, 0.3)))
            return None

    async def scenario() -> None:
        recorder = Recorder()

        async def watch_some(nvr: nvrclient.Session) -> None:
            live = nvr.camera(rng.choice((1, 1, 2))).live(
                "h264", shared=rng.random() < 0.5, transport=rng.choice(("http", "udp"))
            )
            async with live as stream:
                async for _ in stream:
                    pass

        async with recorder, connect(recorder) as nvr, watching(nvr, 1) as [stays]:
            for number in range(400 if LONG else 40):
                task = asyncio.create_task(watch_some(nvr))
                await asyncio.sleep(rng.choice((0, 0.05, 0.2, 0.5, 1, 1.3)))
                task.cancel()
                if number % 2:
                    await asyncio.sleep(rng.random() * 0.3)
                    task.cancel()
                await asyncio.wait((task,))
                assert task.cancelled()
            await asyncio.sleep(5)
            assert len(recorder.running) == len(recorder.uids) == nvr.stats.streams == 1
            assert stays.is_live
            assert not stays.outages
        assert not recorder.broken

    run(scenario)


# All of it


@pytest.mark.parametrize("seed", range(1, 9) if LONG else [1])
def test_chaos_ends_no_stream_and_breaks_no_rule(seed: int) -> None:
    rng = random.Random(seed)

    class Recorder(MoodyRecorder):
        ill = ""

        async def mood(self, name: str, query: Query) -> bytes | None:
            if self.ill == "slow":
                await asyncio.sleep(rng.choice((1, 3, 9)))
            if self.ill == "503":
                return reply("503 Service Unavailable", b"", "Retry-After: 7")
            if self.ill == "close" and rng.random() < 0.5:
                return b""
            refuses = self.ill in {"204", "429", "500"} and query.get("CMD") == "START"
            return reply(f"{self.ill} No") if refuses and rng.random() < 0.5 else None

        def sender(self, query: Query) -> Sender:
            camera, numbers = int(query["CAM"]), rng.randrange(2**32)
            return Sender("h264", camera, ssrc=numbers, sequence=numbers & 0xFFFF, ticks=numbers)

    ills = ("slow", "503", "close", "204", "429", "500")

    async def happen(recorder: Recorder) -> None:
        what = rng.choice((*MANNERS, "forget", "FIN", "RST", "down", "one UID", *ills))
        seconds = rng.choice((1, 8, 25))
        if what == "forget" and recorder.uids:
            recorder.forget(rng.choice(sorted(recorder.uids)))
        elif what == "down":
            await recorder.down()
            await asyncio.sleep(seconds)
            await recorder.up()
        elif what == "one UID":
            recorder.max_uids = 1
            await asyncio.sleep(seconds)
            recorder.max_uids = 16
        else:
            recorder.manner = what if what in MANNERS else None
            recorder.ill = what
            await recorder.cut(reset=what == "RST")
            await asyncio.sleep(seconds)
            recorder.manner, recorder.ill = None, ""

    async def scenario() -> None:
        recorder = Recorder()
        async with (
            recorder,
            connect(recorder) as nvr,
            watching(nvr, 3) as watches,
            watched(nvr.camera(1).live("h264", shared=False)) as own,
            watched(nvr.camera(1).live("h264")) as shared,
        ):
            everybody = [*watches, own, shared]
            await until(lambda: all_live(everybody), 10)
            for _ in range(200 if LONG else 25):
                await happen(recorder)
                await asyncio.sleep(rng.choice((0.1, 3, 20)))
            await until(lambda: all_live(everybody), 60)
            assert len(recorder.running) == 4
        assert not recorder.broken
        assert not recorder.uids
        assert recorder.wrong == 0

    run(scenario)


def test_row_31_dead_udp_streams_that_go_on_to_ports_in_use_again_mix_no_cameras() -> None:
    """Row 31: what they name tells whose they are, once a sender has named the camera that was asked for."""

    class Recorder(MoodyRecorder):
        def sender(self, query: Query) -> Sender:
            number = len(self.requests)
            return Sender(camera=int(query["CAM"]), ssrc=number, sequence=number * 977 % 65536)

        def sends_on(self, query: Query) -> bool:
            return True

    async def scenario() -> None:
        recorder = Recorder()
        async with (
            recorder,
            connect(recorder, rtp_ports=range(20_310, 20_312)) as nvr,
            watching(nvr, 2, "udp") as watches,
        ):
            for _ in range(8):  # each time the two take the ports as they like
                recorder.forget_all()
                await nvr.command("status.cgi")
                await asyncio.sleep(30)
            assert all_live(watches)
            for number, watch in enumerate(watches, 1):
                assert {frame.info.camera for frame in watch.frames} == {number}

    run(scenario)


# Silence


@pytest.mark.parametrize("transport", ["http", "udp", "auto"])
@pytest.mark.parametrize(
    "refusal", ["400 No", "403 No", "404 No", "500 No", "503 No", "page", "silence"]
)
def test_row_19_a_stream_of_unknown_codec_comes_back_as_what_it_was(
    transport: Any, refusal: str
) -> None:
    """Its camera falls silent for a while: other codecs are asked for as well, and do not keep it from coming back."""

    class Recorder(MoodyRecorder):
        is_silent = False

        async def video(self, query: Query, writer: asyncio.StreamWriter) -> None:
            await (asyncio.sleep(1e6) if self.is_silent else super().video(query, writer))

        async def send_video(self, query: Query) -> None:
            if not self.is_silent:
                await super().send_video(query)

        async def mood(self, name: str, query: Query) -> bytes | None:
            if query.get("CMD") != "START" or query["COMP"] == "H264" or refusal == "silence":
                return None
            page = reply("200 OK", b"<html>No</html>", "Content-Type: text/html")
            return page if refusal == "page" else reply(refusal)

    async def scenario() -> None:
        recorder = Recorder()
        async with (
            recorder,
            connect(recorder) as nvr,
            nvr.camera(1).live(transport=transport) as live,
        ):
            watch = Watch(live)
            await asyncio.sleep(10)
            recorder.is_silent = True
            await recorder.cut()
            recorder.running.clear()  # what goes over UDP
            await asyncio.sleep(40)
            recorder.is_silent = False
            await until(lambda: live.state == "live", 20)
            assert len(watch.outages) == 1
            assert not watch.broken
        await watch.task

    run(scenario)


@pytest.mark.parametrize("transport", ["http", "udp"])
@pytest.mark.parametrize("period", [6.0, 8.0, 12.0, 30.0])
def test_row_19_a_camera_with_seconds_between_pictures_is_not_silent(
    transport: Any, period: float
) -> None:
    """It is not known before two have come: after a few outages, fewer than pictures missed, there is none any more."""

    class Recorder(MoodyRecorder):
        interval = period

        async def video(self, query: Query, writer: asyncio.StreamWriter) -> None:
            sender = self.sender(query)
            while True:
                await self.put(writer, b"".join(part(packet) for packet in sender.picture()))
                await asyncio.sleep(self.interval)

        async def send_video(self, query: Query) -> None:
            sender = self.sender(query)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                while (query["UID"], query["CAM"]) in self.running:
                    for packet in sender.picture():
                        sock.sendto(packet, ("127.0.0.1", int(query["PORT"])))
                    await asyncio.sleep(self.interval)

    async def scenario() -> None:
        recorder = Recorder()
        async with (
            recorder,
            connect(recorder) as nvr,
            nvr.camera(1).live("h264", transport=transport) as live,
        ):
            watch = Watch(live)
            await asyncio.sleep(240)
            assert len(watch.outages) <= 3
            seen, outages = len(watch.frames), len(watch.outages)
            await asyncio.sleep(600)
            assert len(watch.outages) == outages
            assert len(watch.frames) - seen >= 600 / period - 1
            recorder.interval = 0.25  # usual again: so is the patience with it
            await asyncio.sleep(period + 60)
            recorder.interval = 1e6
            ended = asyncio.get_running_loop().time()
            await until(lambda: len(watch.outages) > outages, 7)
            assert watch.outages[-1][0] - ended <= 6
            assert not watch.broken
        await watch.task

    run(scenario)


@pytest.mark.parametrize("transport", ["http", "udp"])
@pytest.mark.parametrize("seconds", [0.8, 1.2, 2.0])
def test_row_19_silence_is_seen_where_the_loop_is_held_up_again_and_again(
    transport: Any, seconds: float
) -> None:
    """By another consumer's work on each of its pictures."""

    class Recorder(MoodyRecorder):
        is_silent = False

        def sender(self, query: Query) -> Sender:
            made = super().sender(query)
            if query["CAM"] == "1":
                picture = made.picture
                made.picture = lambda: [] if self.is_silent else picture()  # type: ignore[method-assign]
            return made

    async def work(nvr: nvrclient.Session) -> None:
        async with nvr.camera(2).live("h264", transport=transport) as stream:
            async for _ in stream.video():
                simulated_clock().advance(seconds)

    async def scenario() -> None:
        recorder = Recorder()
        async with recorder, connect(recorder) as nvr, watching(nvr, 1, transport) as [watch]:
            await until(lambda: all_live([watch]), SOON)
            working = asyncio.create_task(work(nvr))
            await asyncio.sleep(30)
            assert not watch.outages
            recorder.is_silent = True
            await asyncio.sleep(15)
            recorder.is_silent = False
            assert len(watch.outages) == 1
            working.cancel()
            await asyncio.wait((working,))
            await until(lambda: all_live([watch]), AGAIN)

    run(scenario)


# Answers


@pytest.mark.parametrize("behind", [b"\r\n", b"\r\n\r\n\0", reply("200 OK", b"UID=77")])
def test_what_stands_behind_an_answer_is_not_read_as_the_next_one(behind: bytes) -> None:
    """A length without the line end behind the body; or an answer that nobody asked for."""

    class Recorder(MoodyRecorder):
        async def _answer(
            self, name: str, query: Query, authorization: str | None, writer: asyncio.StreamWriter
        ) -> bytes | None:
            answer = await super()._answer(name, query, authorization, writer)
            if answer and name == "status" and "N" in query:
                answer = reply("200 OK", query["N"].encode())
            return answer + behind if answer else answer

    async def scenario() -> None:
        recorder = Recorder()
        async with recorder, connect(recorder, command_interval=0) as nvr:
            for number in range(5):
                assert await nvr.command("status.cgi", {"N": number}) == b"%d" % number
                await nvr.camera(1).move(pan=1)
                async with nvr.camera(1).live("h264", transport="udp") as stream:
                    await anext(stream)
            async with watching(nvr, 2) as watches:
                await until(lambda: all_live(watches), SOON)
        assert recorder.broken == []
        assert not recorder.uids

    run(scenario)


def test_row_1_nonces_that_are_all_stale_for_a_while_are_no_wrong_password() -> None:
    """Streams wait for it to heal; a session whose password was never right learns it at once."""

    class Recorder(MoodyRecorder):
        upset = True

        async def mood(self, name: str, query: Query) -> bytes | None:
            number = len(self.requests)
            value = f'Digest realm="r", nonce="n{number}", qop="auth", stale=true'
            upset = name == "dlogin" and self.upset
            return reply("401 No", b"", f"WWW-Authenticate: {value}") if upset else None

    async def scenario() -> None:
        recorder = Recorder()
        async with recorder:
            with pytest.raises(nvrclient.AuthenticationError):
                await connect(recorder)
            recorder.upset = False
            async with connect(recorder) as nvr, watching(nvr, 3) as watches:
                await until(lambda: all_live(watches), SOON)
                recorder.upset = True
                recorder.forget_all()
                await asyncio.sleep(60)
                assert not any(watch.task.done() for watch in watches)
                assert nvr.stats.credentials_sent <= 1 + 3 * 60 / 5
                recorder.upset = False
                await until(lambda: all_live(watches), AGAIN)

    run(scenario)


# Commands


@pytest.mark.parametrize("max_uids", [1, 8])
@pytest.mark.parametrize("lax", [False, True])
def test_a_command_that_this_user_may_not_send_costs_no_stream(*, lax: bool, max_uids: int) -> None:
    """Also where status.cgi takes any UID, so that only a new one can tell."""

    class Recorder(MoodyRecorder):
        async def mood(self, name: str, query: Query) -> bytes | None:
            if name == "secret":
                return NO
            return OK if lax and name == "status" else None

    async def scenario() -> None:
        recorder = Recorder()
        async with (
            recorder,
            connect(recorder, max_uids=max_uids) as nvr,
            watching(nvr, 3) as watches,
        ):
            for _ in range(5):
                with pytest.raises(nvrclient.CommandError, match="may not do that"):
                    await nvr.command("secret.cgi")
                await asyncio.sleep(10)
            assert all(not watch.outages for watch in watches)
            assert recorder.count("dlogin") <= 4
            await until(lambda: len(recorder.uids) == 1, 20)

    run(scenario)


def test_commands_go_on_where_status_cgi_takes_a_uid_that_is_gone() -> None:
    class Recorder(MoodyRecorder):
        async def mood(self, name: str, query: Query) -> bytes | None:
            return OK if name == "status" else None

    async def scenario() -> None:
        recorder = Recorder()
        async with recorder, connect(recorder) as nvr:
            await nvr.cameras()
            recorder.forget_all()
            await nvr.command("hdrctl.cgi", {"SCREEN": "16X"})
            assert nvr.stats.logins == 2
            await nvr.command("hdrctl.cgi", {"SCREEN": "16X"})
            assert nvr.stats.logins == 2

    run(scenario)


# What hangs


@pytest.mark.parametrize("streams", [16, 40])
def test_row_22_keepalives_go_out_while_push_cgi_hangs(streams: int) -> None:
    """The recorder answers everything else: no UID ends by our own doing, nor one that nothing is started on."""

    class Recorder(MoodyRecorder):
        cameras = 64
        hangs = False

        async def mood(self, name: str, query: Query) -> bytes | None:
            if self.hangs and name == "push":
                await asyncio.sleep(3600)
            return None

        def gaps(self, since: float) -> dict[str, float]:
            """Return for each UID the longest time without an answer under it."""
            now = asyncio.get_running_loop().time()
            found: dict[str, float] = {}
            for uid in self.uids:
                times = [
                    t for t, name, q in self.requests if name != "push" and q.get("UID") == uid
                ]
                times = [since, *(when for when in times if when > since), now]
                found[uid] = max(after - before for before, after in pairwise(times))
            return found

    async def scenario() -> None:
        recorder = Recorder()
        async with recorder, connect(recorder) as nvr, watching(nvr, streams) as watches:
            await until(lambda: all_live(watches), AGAIN)
            recorder.hangs = True
            began = asyncio.get_running_loop().time()
            await recorder.cut()
            await asyncio.sleep(400)
            assert max(recorder.gaps(began).values()) < 80
            assert nvr.stats.uids_lost == 0
            recorder.hangs = False
            await until(lambda: all_live(watches), AGAIN)

    run(scenario)


def test_row_11_uids_that_are_set_up_do_not_wait_for_each_other() -> None:
    """Each takes its own time where hdrctl.cgi hangs, not that of those before it as well."""

    class Recorder(MoodyRecorder):
        async def mood(self, name: str, query: Query) -> bytes | None:
            if name == "hdrctl":
                await asyncio.sleep(3600)
            return None

    async def scenario() -> None:
        recorder = Recorder()
        async with recorder, connect(recorder) as nvr:
            began = asyncio.get_running_loop().time()

            async def opened() -> None:
                with pytest.raises(nvrclient.ConnectionFailedError):
                    await nvr.camera(1).live("h264", shared=False)

            await asyncio.gather(*(opened() for _ in range(4)))
            assert asyncio.get_running_loop().time() - began < 12

    run(scenario)


def test_row_17_a_stream_does_not_wait_for_anothers_login() -> None:
    """There is a UID for it; the login that hangs is for a playback."""

    class Recorder(MoodyRecorder):
        hangs = False

        async def mood(self, name: str, query: Query) -> bytes | None:
            if self.hangs and name == "dlogin":
                await asyncio.sleep(3600)
            return None

    async def scenario() -> None:
        recorder = Recorder()
        async with recorder, connect(recorder) as nvr, watching(nvr, 1):
            recorder.hangs = True
            playing = asyncio.ensure_future(nvr.camera(1).playback())
            await asyncio.sleep(0.5)
            async with asyncio.timeout(2), nvr.camera(2).live("h264") as stream:
                await anext(stream)
            with pytest.raises(nvrclient.ConnectionFailedError):
                await playing

    run(scenario)


# Audio


@pytest.mark.parametrize("transport", ["http", "udp"])
def test_a_user_who_may_not_hear_sees_all_the_same(transport: Any) -> None:
    """The recorder says so by 401, as if the UID were gone; status.cgi knows better."""

    class Recorder(MoodyRecorder):
        async def mood(self, name: str, query: Query) -> bytes | None:
            return NO if (query.get("CMD"), query.get("COMP")) == ("START", "AUDIO") else None

    async def scenario() -> None:
        recorder = Recorder()
        async with (
            recorder,
            connect(recorder) as nvr,
            nvr.camera(1).live("h264", transport=transport, audio=True) as live,
        ):
            watch = Watch(live)
            await asyncio.sleep(120)
            assert nvr.stats.logins == 1
            assert live.state == "live"
            assert "401" in str(live.stats.audio_problem)
            assert not watch.outages
            assert not watch.broken
        await watch.task

    run(scenario)


def test_video_once_more_in_the_audios_answer_is_ignored() -> None:
    class Recorder(MoodyRecorder):
        async def audio(self, query: Query, writer: asyncio.StreamWriter) -> bytes | None:
            writer.write(MULTIPART)
            await self.video(query, writer)
            return None

    async def scenario() -> None:
        recorder = Recorder()
        async with (
            recorder,
            connect(recorder) as nvr,
            nvr.camera(1).live("h264", audio=True) as live,
        ):
            watch = Watch(live)
            await asyncio.sleep(30)
            assert watch.reasons == []
            assert live.stats.lost == live.stats.duplicates == 0
            assert live.stats.ignored["video in the audio's answer"] > 100
        await watch.task

    run(scenario)


# Passwords


def test_row_1_a_password_that_changes_is_refused_twice_where_commands_carry_it() -> None:
    """By one command, however many UIDs are kept, and by the login that follows."""

    class Recorder(MoodyRecorder):
        changed = False

        def right(self, authorization: str) -> bool:
            return super().right(authorization) and not self.changed

        async def _answer(
            self, name: str, query: Query, authorization: str | None, writer: asyncio.StreamWriter
        ) -> bytes | None:
            if name != "dlogin":
                if authorization is None:
                    return reply("401 Unauthorized", b"", CHALLENGE)
                if not self.right(authorization):
                    self.wrong += 1
                    return reply("401 Unauthorized", b"", CHALLENGE)
            return await super()._answer(name, query, authorization, writer)

    async def scenario() -> None:
        recorder = Recorder()
        async with recorder, connect(recorder) as nvr, AsyncExitStack() as stack:
            watches = [
                Watch(await stack.enter_async_context(nvr.camera(1).live("h264", shared=False)))
                for _ in range(6)
            ]
            await until(lambda: all_live(watches), SOON)
            recorder.changed = True
            await asyncio.sleep(200)
            assert recorder.wrong == 2
            assert all(isinstance(one.error, nvrclient.AuthenticationError) for one in watches)

    run(scenario)


def test_row_13_one_uid_lost_where_commands_carry_the_password_costs_one() -> None:
    """Whether the password is another is not known before a login: the other UIDs wait for it, and live on."""

    class Recorder(MoodyRecorder):
        is_full = False

        async def _answer(
            self, name: str, query: Query, authorization: str | None, writer: asyncio.StreamWriter
        ) -> bytes | None:
            if name == "dlogin" and self.is_full:
                return reply("503 Full")
            if name != "dlogin" and (authorization is None or not self.right(authorization)):
                self.wrong += authorization is not None
                return reply("401 Unauthorized", b"", CHALLENGE)
            answer = await super()._answer(name, query, authorization, writer)
            return reply("401 Unauthorized", b"", CHALLENGE) if answer == self.unknown else answer

    async def scenario() -> None:
        recorder = Recorder()
        async with recorder, connect(recorder) as nvr, AsyncExitStack() as stack:
            watches = [
                Watch(await stack.enter_async_context(nvr.camera(1).live("h264", shared=False)))
                for _ in range(5)
            ]
            await until(lambda: all_live(watches), SOON)
            recorder.is_full = True
            recorder.forget(min(recorder.uids))
            await asyncio.sleep(3)
            for _ in range(3):  # under another UID
                with suppress(nvrclient.NVRError):
                    await nvr.command("status.cgi")
            recorder.is_full = False
            await until(lambda: all_live(watches), AGAIN)
            await asyncio.sleep(120)
            assert nvr.stats.uids_lost == 1
            assert sum(len(watch.outages) for watch in watches) == 1
            assert recorder.wrong == 0

    run(scenario)
