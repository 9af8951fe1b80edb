"""What a caller does with a recorder, one piece each: small, since each is run hundreds of times."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nvrclient
from nvrclient import AuthenticationError, Discontinuity, LiveStream, Playback, Session, VideoFrame
from nvrclient.simulator import CameraSetup, Readings, Recording, Segment, SimulatedRecorder
from tests.end_to_end.recordings import BEGIN, at, brief, take
from tests.secrets import PASSWORD


@dataclass
class Stage:
    """What a scenario has at hand. `nvr` was opened before, and is used again after it."""

    recorder: SimulatedRecorder
    folder: Path
    nvr: Session
    kept: list[LiveStream | Playback] = field(default_factory=list)

    def connect(self, password: str = PASSWORD) -> Session:
        """Return another session."""
        return connect(self.recorder, password)


def connect(recorder: SimulatedRecorder, password: str = PASSWORD) -> Session:
    """Return a session with a recorder, not yet open."""
    return nvrclient.connect(
        recorder.url, "ADMIN", password, verify=recorder.certificate or True, command_interval=0.01
    )


def make_recorder(**options: Any) -> SimulatedRecorder:
    """Return a recorder with two cameras, both with sound and half a minute of recordings; the second has JPEG."""
    recording = Recording((Segment(BEGIN, brief("h264"), "pcmu", 30.0),))
    return SimulatedRecorder(
        cameras={
            1: CameraSetup("h264", "pcmu", recording=recording),
            2: CameraSetup("h264", jpeg="jpeg", recording=recording),
        },
        password=PASSWORD,
        **options,
    )


@dataclass(frozen=True)
class Scenario:
    """`work` is what is tortured, after `before`. `ends_session`: the session does not outlive it.

    `akin`: others are much like it, and CI tries two points only.
    """

    name: str
    work: Callable[[Stage], Awaitable[object]]
    before: Callable[[Stage], Awaitable[object]] | None = None
    ends_session: bool = False
    akin: bool = False
    recorder: Mapping[str, Any] = field(default_factory=dict)


async def frames(stream: LiveStream, count: int) -> None:
    """Take so many pictures."""
    taken = 0
    async for item in stream:
        taken += isinstance(item, VideoFrame)
        if taken == count:
            break


async def _connects(stage: Stage) -> None:
    async with stage.connect() as nvr:
        await nvr.cameras()


async def _fails_to_log_in(stage: Stage) -> None:
    with suppress(AuthenticationError):
        async with stage.connect("not the password"):
            raise AssertionError("a wrong password was accepted")


async def _watches(stage: Stage) -> None:
    async with stage.nvr.camera(1).live("h264") as stream:
        await frames(stream, 3)


async def _watches_and_listens(stage: Stage) -> None:
    async with stage.nvr.camera(1).live("h264", audio=True) as stream:
        await _both(stream)


async def _watches_udp(stage: Stage) -> None:
    async with stage.nvr.camera(1).live("h264", transport="udp") as stream:
        await frames(stream, 3)


async def _watches_udp_with_audio(stage: Stage) -> None:
    async with stage.nvr.camera(1).live("h264", transport="udp", audio="pcmu") as stream:
        await _both(stream)


async def _both(stream: LiveStream) -> None:
    """Take items until there was a picture, and sound."""
    seen: set[type] = set()
    async for item in stream:
        seen.add(type(item))
        if len(seen - {Discontinuity}) == 2:
            break


async def _shares(stage: Stage) -> None:
    camera = stage.nvr.camera(1)
    async with camera.live("h264") as one:
        await frames(one, 1)
        async with camera.live("h264") as other:
            await frames(other, 2)
        await frames(one, 2)


async def _reconnects(stage: Stage) -> None:
    async with stage.nvr.camera(1).live("h264") as stream:
        await frames(stream, 2)
        stage.recorder.drop_connections()
        told = 0
        async for item in stream:
            told += isinstance(item, Discontinuity)
            if told >= 2 and isinstance(item, VideoFrame):
                break


async def _logs_in_again(stage: Stage) -> None:
    async with stage.nvr.camera(1).live("h264", transport="udp") as stream:
        await frames(stream, 2)
        stage.recorder.forget_uids()
        told = 0
        async for item in stream:
            told += isinstance(item, Discontinuity)
            if told >= 2 and isinstance(item, VideoFrame):
                break


async def _plays(stage: Stage) -> None:
    async with stage.nvr.camera(1).playback(at(2), audio=True, speed=None) as playback:
        await take(playback, 9)


async def _seeks(stage: Stage) -> None:
    async with stage.nvr.camera(1).playback(at(2), speed=None) as playback:
        await take(playback, 2)
        await playback.seek(at(20))
        await take(playback, 2)
        await playback.reverse()
        await take(playback, 2)


async def _steps(stage: Stage) -> None:
    async with stage.nvr.camera(1).playback(at(2), speed=None) as playback:
        await take(playback, 1)
        await playback.pause()
        for _ in range(4):
            await playback.next_frame()
        await playback.previous_frame()
        await playback.resume()
        await take(playback, 1)


async def _downloads(stage: Stage) -> None:
    files = await stage.nvr.camera(1).download(at(0), at(60), stage.folder)
    assert files
    assert all(file.is_file() for file in files)


async def _reads_chunks(stage: Stage) -> None:
    async with stage.nvr.camera(1).open_download(at(0), at(60)) as files:
        async for file in files:
            async for _ in file:
                pass


async def _asks(stage: Stage) -> None:
    assert await stage.nvr.event_log()
    assert await stage.nvr.disks()
    assert await stage.nvr.command("status.cgi", {"PC": "AS60"})


async def _holds_a_move(stage: Stage) -> None:
    async with stage.nvr.camera(1).moving(pan=3):
        await asyncio.sleep(2.5)


async def _takes_a_snapshot(stage: Stage) -> None:
    jpeg = await stage.nvr.camera(2).snapshot()
    assert jpeg[:2] == b"\xff\xd8"


async def _decodes_a_snapshot(stage: Stage) -> None:
    jpeg = await stage.nvr.camera(1).snapshot()
    assert jpeg[:2] == b"\xff\xd8"


async def _opens_streams(stage: Stage) -> None:
    one = await stage.nvr.camera(1).live("h264", transport="udp", audio="pcmu")
    other = await stage.nvr.camera(2).live("h264")
    playback = await stage.nvr.camera(1).playback(at(2), speed=None)
    await take(playback, 1)
    stage.kept += [one, other, playback]


async def _closes(stage: Stage) -> None:
    await stage.nvr.aclose()


TLS = {"tls": True}

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("connect", _connects),
        Scenario(
            "failed login", _fails_to_log_in, recorder={"readings": Readings(lock_after=None)}
        ),
        Scenario("connect by HTTPS", _connects, akin=True, recorder=TLS),
        Scenario("live HTTP", _watches),
        Scenario("live HTTPS", _watches, recorder=TLS),
        Scenario("live HTTP with audio", _watches_and_listens, akin=True),
        Scenario("live UDP", _watches_udp),
        Scenario("live UDP with audio", _watches_udp_with_audio),
        Scenario("shared stream", _shares),
        Scenario("reconnect", _reconnects),
        Scenario("UID lost", _logs_in_again, akin=True),
        Scenario("playback", _plays),
        Scenario("seek", _seeks),
        Scenario("step", _steps),
        Scenario("download", _downloads),
        Scenario("open download", _reads_chunks, akin=True),
        Scenario(
            "information",
            _asks,
            akin=True,
            recorder={"readings": Readings(information_interval=0)},
        ),
        Scenario("held PTZ", _holds_a_move),
        Scenario("snapshot", _takes_a_snapshot),
        Scenario("decoded snapshot", _decodes_a_snapshot, akin=True),
        Scenario("aclose", _closes, before=_opens_streams, ends_session=True),
    )
}
