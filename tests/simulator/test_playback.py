"""Playback over HTTP: its commands and their rules, where they lead, and what comes."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest

from nvrclient.simulator import (
    CameraSetup,
    Clip,
    Doing,
    Fault,
    PlaybackFault,
    Readings,
    Recording,
    Regroup,
    Segment,
    SimulatedRecorder,
)
from tests.simulator.client import settle
from tests.simulator.player import (
    MIDNIGHT,
    TWO_SEGMENTS,
    playing,
    read,
    recorded,
    timef,
)

ALL = [*range(0, 20, 2), *range(60, 80, 2)]

# What comes


async def test_play_gives_all_that_is_recorded() -> None:
    async with playing(recorded()) as player:
        await player.does("PLAY")
        for gop in TWO_SEGMENTS.gops():
            seen = await player.gop()
            assert seen.pictures == [picture.data for picture in gop.pictures]
            assert seen.times == [picture.at - MIDNIGHT * 100 for picture in gop.pictures]
            assert seen.start == seen.times[0]
            assert seen.end == seen.times[-1]
            assert seen.information[0x000D][:2] == b"\x02\x00"
        end = await player.gop()
        assert (end.pictures, end.information[0x000C][:2]) == ([], b"\0\0")
        assert player.recorder.violations == []


async def test_sound_goes_beside_the_pictures() -> None:
    async with playing(recorded()) as player:
        await player.does(("GOTODATE", 5))
        assert await player.starts(3) == [4, 6, 8]
        sounds = list(TWO_SEGMENTS.sounds(MIDNIGHT + 4))
        for sound in sounds:
            assert await player.sound() == (sound.begins // 100 - MIDNIGHT, sound.data)
        assert (await player.sound())[1] == b""
        await player.does(("GOTODATE", 61))
        assert (await player.sound())[0] == 60  # asked for before the pictures
        assert await player.starts(1) == [60]
        await player.does(("GOTODATE", 500))
        assert (await player.sound())[1] == b""


async def test_jpeg_comes_picture_by_picture() -> None:
    recording = Recording((Segment(MIDNIGHT, "jpeg", "g726", duration=2),))
    async with playing(recorded(recording)) as player:
        await player.does("PLAY")
        seen = [await player.gop() for _ in range(10)]
        assert [picture for gop in seen for picture in gop.pictures] == list(
            Clip.load("jpeg").units[:10]
        )
        assert [gop.start for gop in seen] == list(range(0, 200, 20))
        assert (await player.sound())[1] == b"".join(Clip.load("g726").units[:25])


async def test_every_camera_has_its_own_place() -> None:
    cameras = {
        1: CameraSetup("h264"),
        2: CameraSetup("h264", recording=Recording((Segment(MIDNIGHT + 1, "h265", gops=3),))),
        300: CameraSetup("h264", recording=Recording(())),
    }
    recorder = SimulatedRecorder(cameras=cameras, recording=TWO_SEGMENTS)
    assert recorder.channels == 300
    async with playing(recorder, 1, 2, 300) as player:
        assert recorder.recording(2).segments[0].gops == 3
        await player.does(("GOTODATE", 4))
        assert await player.starts(2) == [4, 6]
        assert await player.starts(2, camera=2) == [3, 5]
        assert await player.starts(2) == [8, 10]
        assert await player.starts(1, camera=300) == [None]
        assert (await player.ask("playaudio.cgi", "CAM=300")).status_code == 204
        await player.does(("BPLAY", 4))
        assert await player.starts(2) == [2, 0]
        assert await player.starts(3, camera=2) == [1, None, None]
        assert await player.starts(1, camera=300) == [None]


async def test_two_uids_move_apart() -> None:
    async with playing(recorded()) as one:
        other = type(one)(one.recorder, one.http)
        await other.log_in()
        await other.mask(1)
        await one.does(("GOTODATE", 4))
        await other.does(("GOTODATE", 64))
        assert await one.starts(1) + await other.starts(1) == [4, 64]
        await other.does(("BPLAY", 64))
        assert await one.starts(1) + await other.starts(1) == [6, 62]
        assert [uid.playback and uid.playback.doing for uid in one.recorder.uids] == [
            Doing.PLAYBACK,
            Doing.REVERSE,
        ]


async def test_the_default_recording_plays() -> None:
    async with playing(SimulatedRecorder(pace=None)) as player:
        await player.does("PLAY")
        first = await player.gop()
        assert len(first.pictures) == 30
        [begun, _] = player.recorder.recording(1).segments
        assert 0 <= time.time() - 4 * 3600 - begun.start < 10
        assert (await player.ask("playaudio.cgi", "CAM=1")).content[:2] == b"\xff\x13"


async def test_a_recording_grows_while_the_clock_runs() -> None:
    now = MIDNIGHT + 3.0
    recording = Recording((Segment(MIDNIGHT, "h264", "pcmu"),))
    recorder = SimulatedRecorder(recording=recording, clock=lambda: now)
    async with playing(recorder) as player:
        await player.does("PLAY")
        assert await player.starts(2) == [0, None]
        assert [(await player.sound())[0] for _ in range(3)] == [0, 1, 2]
        assert (await player.sound())[1] == b""
        now += 1
        assert await player.starts(2) == [2, None]
        assert (await player.sound())[0] == 3
        now -= 4
        await player.does(("GOTODATE", 0))
        assert (await player.sound())[1] == b""  # nothing is whole yet
        assert await player.starts(1) == [None]


async def test_long_term_reference() -> None:
    recording = Recording((Segment(MIDNIGHT, "h264", duration=4, regroup=Regroup(12)),))
    async with playing(recorded(recording)) as player:
        await player.does(("GOTODATE", 1))
        gop = await player.gop()
        assert (gop.start, gop.times[:2]) == (80, [0, 80])
        assert gop.information[0x0028][:2] == b"\0\x11"
        assert gop.information[0x0029][:2] == b"\0\2"
        assert gop.information[0x0008][:2] == b"\0\x0d"
        assert gop.pictures[0] == Clip.load("h264").annex_b[0]
        assert (await player.gop()).times[:2] == [0, 160]  # the same IDR, again
    recorder = recorded(recording, hidden_idr_every_answer=False, hidden_idr_starts_gop=True)
    async with playing(recorder) as player:
        await player.does(("GOTODATE", 1))
        gop = await player.gop()
        assert (gop.start, gop.times[:2]) == (0, [0, 80])
        assert (await player.gop()).times[0] == 160
        assert (await player.gop()).times[0] == 200
        await player.does(("BPLAY", 4))
        assert [(await player.gop()).times[0] for _ in range(3)] == [
            200,
            200,
            0,
        ]  # each its own IDR


# Rules


@pytest.mark.parametrize(
    "query",
    [
        "PC=AS60&PLAYCMD=PLAY&2ND=OFF&TIMEF=23111500000000&NOTIME=ON",
        "PC=AS60&PLAYCMD=PLAY&2ND=OFF&NOTIME=ON&TIMEF=AS60_UNKNOWN",
        "PLAYCMD=PLAY&PC=AS60&2ND=OFF&TIMEF=AS60_UNKNOWN&NOTIME=ON",
        "PC=AS60&PLAYCMD=GOTODATE&2ND=OFF&TIMEF=AS60_UNKNOWN&SDBACKUP=0&NOTIME=ON",
        "PC=AS60&PLAYCMD=GOTODATE&2ND=OFF&TIMEF=23111500000000&NOTIME=ON",
        "PC=AS60&PLAYCMD=GOTODATE&2ND=OFF&TIMEF=231115000000&SDBACKUP=0&NOTIME=ON",
        "PC=AS60&PLAYCMD=GOTODATE&2ND=OFF&TIMEF=23111500000000&SMOOTH=OFF&NOTIME=ON",
        "PC=AS60&PLAYCMD=BPLAY&2ND=OFF&TIMEF=23111500000000&SMOOTH=OFF&NOTIME=ON",
        "PC=AS60&PLAYCMD=PAUSE&2ND=OFF&TIMEF=23111500000000&NOTIME=ON",
        "PC=AS60&PLAYCMD=STOP&2ND=OFF&TIMEF=23111500000000&NOTIME=ON",
        "PC=AS60&PLAYCMD=STOP&2ND=OFF",
        "MASK=1000000000000000&PC=AS60",
        "PC=AS60&MASK=2000000000000000",
        "PC=AS60&MASK=",
    ],
)
async def test_parameters_and_their_order(query: str) -> None:
    async with playing(recorded()) as player:
        assert await player.get("hdrctl.cgi", query) == 400
        [violation] = player.recorder.violations
        assert "parameters are not" in violation


@pytest.mark.parametrize(
    ("command", "time", "problem"),
    [
        ("GOTODATE", "23111500000001", "does not end in 00"),
        ("GOTODATE", "23023000000000", "no date"),
        ("GOTODATE", "23111524000000", "no date"),
        ("GOTODATE", "23001500000000", "no date"),
        ("STOP", "23111500000099", "does not end in 00"),
        ("PAUSE", 1.0, "while STOPPED, not while playing back"),
        ("BPLAY", 1.0, "while STOPPED, not while playing back"),
        ("FF", 1.0, "while STOPPED, not while playing back"),
        ("REW", 1.0, "while STOPPED, not while playing back"),
        ("NEXTFRAME", 1.0, "while STOPPED, not in pause"),
    ],
)
async def test_commands_that_do_not_fit(command: str, time: float | str, problem: str) -> None:
    async with playing(recorded()) as player:
        assert await player.control(command, time) == 400
        [violation] = player.recorder.violations
        assert problem in violation
        assert player.uid not in violation


async def test_the_order_of_commands() -> None:
    async with playing(recorded()) as player:
        broken = player.recorder.violations

        async def refused(command: str, problem: str) -> None:
            assert await player.control(command, 4) == 400
            assert problem in broken.pop()

        await player.does("PLAY")
        await refused("PREVFRAME", "not in pause")
        await player.does(("PAUSE", 2))
        for command in ("BPLAY", "FF", "REW", "PAUSE"):
            await refused(command, "while PAUSE, not while playing back")
        await player.does(("NEXTFRAME", 2.07), ("PREVFRAME", 2))
        await refused("BPLAY", "while PREVIOUS_IMAGE")
        await player.does("PLAY", ("FF", 2), ("REW", 2), ("BPLAY", 2), "PLAY", ("GOTODATE", 2))
        await player.does(("BPLAY", 2), ("PAUSE", 2), ("NEXTFRAME", 2.07), ("GOTODATE", 2))
        await player.does(("STOP", 2), ("STOP", 2), "PLAY", ("STOP", 2))
        await refused("PAUSE", "while STOPPED")
        assert await player.mask(2) == 200
        await player.does("PLAY")
        assert await player.mask(1) == 200
        await refused("FF", "while STOPPED")  # after MASK comes PLAY or GOTODATE
        assert broken == []


async def test_what_can_be_asked_for() -> None:
    async with playing(recorded(), 1, 9) as player:
        broken = player.recorder.violations

        async def refused(cgi: str, camera: int, problem: str) -> None:
            assert await player.get(cgi, f"CAM={camera}") == 400
            assert problem in broken.pop()

        await refused("camera.cgi", 1, "without PLAY or GOTODATE")
        await player.does("PLAY")
        await refused("camera.cgi", 2, "not in this UID's MASK")
        await refused("playaudio.cgi", 2, "not in this UID's MASK")
        assert await player.get("camera.cgi", "CAM=9") == 404  # in MASK, not there
        await player.starts(1)
        await player.does(("PAUSE", 0))
        await refused("camera.cgi", 1, "in pause")
        await player.does(("NEXTFRAME", 1.93))
        await player.starts(1)
        await refused("playaudio.cgi", 1, "while NEXT_IMAGE")
        for command in ("BPLAY", "FF", "REW"):
            await player.does("PLAY", (command, 4))
            await refused("playaudio.cgi", 1, "while ")
        await player.does(("STOP", 0))
        await refused("camera.cgi", 1, "since MASK or STOP")
        assert broken == []


async def test_masks() -> None:
    async with playing(recorded()) as player:
        recorder = player.recorder
        assert await player.mask(1, digits=32) == 400
        assert await player.mask(1, digits=9) == 400
        assert recorder.wrong_masks == [32, 9]
        assert recorder.violations == []
        assert await player.mask() == 400
        assert "no camera" in recorder.violations.pop()
        await player.log_in()
        assert await player.control("PLAY") == 400
        assert await player.control("GOTODATE", 3) == 400
        assert await player.get("camera.cgi", "CAM=1") == 400
        assert [text.partition(":")[2] for text in recorder.violations] == [
            " without MASK on this UID before",
            " without MASK on this UID before",
            " it is not in this UID's MASK",
        ]
    async with playing(SimulatedRecorder(channels=32)) as player:
        assert await player.mask(*range(1, 17), digits=32) == 200
        assert await player.mask(*range(1, 18), digits=32) == 400
        assert "more than 16" in player.recorder.violations[0]
        bare = (await player.http.get("/cgi-bin/as_getinfo.cgi?FILE=2")).text
        assert bare.count("CAM_CONNECT") == 32
    hidden = SimulatedRecorder(readings=Readings(getinfo_missing=True))
    async with playing(hidden) as player:
        assert await player.get("as_getinfo.cgi", "FILE=2") == 404


async def test_live_and_playback_do_not_share_a_uid() -> None:
    async with playing(recorded()) as player:
        broken = player.recorder.violations
        start = "CAM=2&CMD=START&COMP=H264&INTERNETMODE=ON"
        assert await player.get("hdrctl.cgi", "SCREEN=16X&PC=AS60") == 200
        await player.does("PLAY")
        assert await player.get("push.cgi", start) == 400
        assert "PLAYCMD=STOP comes first" in broken.pop()
        await player.does(("STOP", 0))
        async with player.live(2, "H264") as live:
            await live.parts(1)
            assert await player.mask(1) == 400
            assert await player.control("PLAY") == 400
            assert all("STOP of its streams comes first" in text for text in broken)
            assert len(broken) == 2
            assert await player.get("push.cgi", "CAM=2&CMD=STOP&COMP=H264") == 200
        broken.clear()
        assert await player.mask(1) == 200
        await player.does("PLAY")
        await player.starts(1)
        assert broken == []
    async with playing(recorded(ends_live_setup=True)) as player:
        await player.get("hdrctl.cgi", "SCREEN=16X&PC=AS60")
        await player.mask(1)
        assert await player.get("push.cgi", start) == 400
        assert "SCREEN=16X" in player.recorder.violations.pop()


async def test_unknown_uids() -> None:
    async with playing(recorded()) as player:
        player.recorder.forget_uids()
        assert await player.mask(1) == 401
        assert await player.control("PLAY") == 401
        assert await player.get("camera.cgi", "CAM=1") == 401
        assert await player.get("playaudio.cgi", "CAM=1") == 401
        assert player.recorder.violations == []


# Faults


async def test_faults() -> None:
    async with playing(recorded()) as player:
        faults = player.recorder.playback_faults
        await player.does("PLAY")
        whole = (await player.ask("camera.cgi", "CAM=1")).content
        await player.does(("GOTODATE", 0))
        faults += [Fault.BUSY, Fault.HTML]
        assert await player.get("camera.cgi", "CAM=1") == 503
        page = await player.ask("camera.cgi", "CAM=1")
        assert page.headers["content-type"] == "text/html"
        damaged: list[tuple[PlaybackFault | None, bytes]] = [
            (Fault.TRUNCATED, whole[: len(whole) // 2]),
            (lambda body: body[::-1], whole[::-1]),
            (None, whole),
        ]
        for fault, body in damaged:
            faults.append(fault)
            assert (await player.ask("camera.cgi", "CAM=1")).content == body
            await player.does(("GOTODATE", 0))
        faults.append(Fault.GARBAGE)
        garbage = (await player.ask("camera.cgi", "CAM=1")).content
        assert len(garbage) == len(whole)
        assert not garbage.startswith(b"\xff")
        faults.append(Fault.CUT)
        with pytest.raises(httpx.RemoteProtocolError):
            await player.ask("playaudio.cgi", "CAM=1")
        assert await player.starts(1) == [2]
        assert faults == []
        assert player.recorder.violations == []


async def test_a_uid_that_ends_takes_its_playback_along() -> None:
    async with playing(recorded()) as player:
        await player.does("PLAY")
        assert await player.get("logout.cgi", "") == 200
        await settle()
        assert await player.get("camera.cgi", "CAM=1") == 401
        assert player.recorder.uids == ()


async def test_many_ask_at_once() -> None:
    async with playing(recorded(cameras=16), *range(1, 17)) as player:
        await player.does(("GOTODATE", 4))
        asked = [player.ask("camera.cgi", f"CAM={n}") for n in range(1, 17) for _ in range(3)]
        seen = [read(answer.content) for answer in await asyncio.gather(*asked)]
        cameras = sorted((int.from_bytes(gop.information[4][:2], "big"), gop.start) for gop in seen)
        assert cameras == [(n, start) for n in range(1, 17) for start in (400, 600, 800)]


def test_times() -> None:
    assert timef(3600 + 1.05) == "23111501000105"
