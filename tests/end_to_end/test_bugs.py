"""Row 73 of the catalogue of faults: a bug of the client's own in each kind of task and callback.

Whatever breaks, what hangs on it ends within a second by an NVRError that says that it is a bug, the log tells it once
with its traceback, and asyncio has nothing to tell of an exception that was never retrieved (tests/conftest.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import nvrclient
from nvrclient import LiveStream, NVRError, Playback, Session
from nvrclient.simulator import DownloadReadings, Readings, SimulatedRecorder
from tests.end_to_end.test_live_video import watching
from tests.secrets import PASSWORD

SECONDS = 1.0
"""Within which everything that hangs on what broke has ended."""


@dataclass
class Scene:
    """What a scenario has at hand; `break_it` injects the bug."""

    nvr: Session
    recorder: SimulatedRecorder
    folder: Path
    break_it: Callable[[], None]


def ago(minutes: float) -> datetime:
    return datetime.now(UTC) - timedelta(minutes=minutes)


async def consumed(stream: LiveStream | Playback) -> None:
    async for _ in stream:
        pass


async def http(scene: Scene) -> None:
    async with scene.nvr.camera(1).live("h264", audio=True) as stream:
        await anext(stream)
        scene.break_it()
        await consumed(stream)


async def udp(scene: Scene) -> None:
    async with scene.nvr.camera(1).live("h264", transport="udp", audio=True) as stream:
        await anext(stream)
        scene.break_it()
        await consumed(stream)


async def gap(scene: Scene) -> None:
    """Packets wait behind one that is lost, until their time is over."""
    async with scene.nvr.camera(1).live("h264", transport="udp") as stream:
        await anext(stream)
        scene.break_it()
        scene.recorder.faults.lose_packets(1)
        await consumed(stream)


async def joined(scene: Scene) -> None:
    """The second of two that share a stream, too."""
    async with scene.nvr.camera(1).live("h264") as first, scene.nvr.camera(1).live() as second:
        await anext(first)
        await anext(second)
        scene.break_it()
        with pytest.raises(NVRError, match="a bug in nvrclient"):
            await consumed(first)
        await consumed(second)


async def opening(scene: Scene) -> None:
    scene.break_it()
    async with scene.nvr.camera(1).live("h264") as stream:
        await consumed(stream)


async def hearing(scene: Scene) -> None:
    """The audio is broken before it is asked for."""
    async with scene.nvr.camera(1).live("h264") as stream:
        await anext(stream)
        scene.break_it()
        async with scene.nvr.camera(1).live("h264", audio=True) as with_sound:
            await consumed(with_sound)


async def relogin(scene: Scene) -> None:
    async with scene.nvr.camera(1).live("h264") as stream:
        await anext(stream)
        scene.break_it()
        scene.recorder.forget_uids()
        await consumed(stream)


async def logging_in(scene: Scene) -> None:
    scene.break_it()
    async with nvrclient.connect(scene.recorder.url, "ADMIN", PASSWORD):
        pass


async def played(scene: Scene) -> None:
    async with scene.nvr.camera(1).playback(ago(20), audio=True, speed=None) as playback:
        await anext(playback)
        scene.break_it()
        await consumed(playback)


async def sought(scene: Scene) -> None:
    async with scene.nvr.camera(1).playback(ago(20)) as playback:
        await anext(playback)
        scene.break_it()
        await playback.seek(ago(30))


async def stepped(scene: Scene) -> None:
    async with scene.nvr.camera(1).playback(ago(20)) as playback:
        await anext(playback)
        await playback.pause()
        scene.break_it()
        await playback.next_frame()


async def downloaded(scene: Scene) -> None:
    scene.break_it()
    await scene.nvr.camera(1).download(ago(60), ago(30), scene.folder)


async def fetched(scene: Scene) -> None:
    async with scene.nvr.camera(1).open_download(ago(60), ago(30)) as files:
        file = await anext(files)
        scene.break_it()
        async for _ in file:
            pass


async def controlled(scene: Scene) -> None:
    scene.break_it()
    await scene.nvr.camera(1).move(pan=3)


async def asked(scene: Scene) -> None:
    scene.break_it()
    await scene.nvr.disks()


async def snapped(scene: Scene) -> None:
    scene.break_it()
    await scene.nvr.camera(1).snapshot()


@dataclass(frozen=True)
class Bug:
    """Where the bug is, and what shows it."""

    where: str
    scenario: Callable[[Scene], Awaitable[None]]


BUGS = {
    "keep-alive": Bug("nvrclient.commands.login.keep_alive", http),
    "live source": Bug("nvrclient.live.patience.Patience.due", http),
    "live source, opening": Bug("nvrclient.live.source.tries_for", opening),
    "live source, shared": Bug("nvrclient.live.source.LiveSource._give", joined),
    "feed over http": Bug("nvrclient.codec.demuxer.parse_packet", http),
    "feed over udp": Bug("nvrclient.codec.demuxer.parse_packet", udp),
    "feed, opening": Bug("nvrclient.live.feed.check", opening),
    "timer": Bug("nvrclient.codec.demuxer.Demuxer.flush", gap),
    "hear": Bug("nvrclient.live.feed.Feed._hear_until_it_ends", hearing),
    "hear, inside": Bug("nvrclient.live.feed.HttpFeed._hear", hearing),
    "login": Bug("nvrclient.connection.log_in", logging_in),
    "login, again": Bug("nvrclient.connection.log_in", relogin),
    "playback fetcher": Bug("nvrclient.playback.fetcher.Fetcher._next_job", played),
    "playback request": Bug("nvrclient.playback.deck.Deck.video", played),
    "playback, what is read": Bug("nvrclient.playback.fetcher.Fetcher._admit", played),
    "playback control": Bug("nvrclient.playback.deck.Deck.place", sought),
    "playback step": Bug("nvrclient.playback.deck.Deck.step", stepped),
    "download": Bug("nvrclient.container.download.DownloadReader.feed", downloaded),
    "download, the disk's thread": Bug("nvrclient.download.folder.Folder.write", downloaded),
    "download, opening": Bug("nvrclient.download.transfer.Transfer._begin", downloaded),
    "download as it comes": Bug("nvrclient.container.download.DownloadReader.feed", fetched),
    "control": Bug("nvrclient.control.Controls._send_once", controlled),
    "information": Bug("nvrclient.information.check", asked),
    "snapshot": Bug("nvrclient.snapshot._encoded", snapped),
}


def recorder_of(pace: float = 2.0) -> SimulatedRecorder:
    readings = Readings(
        downloads=DownloadReadings(file_size=3_000_000, bytes_per_second=10e6),
    )
    return SimulatedRecorder(password=PASSWORD, pace=pace, readings=readings)


@pytest.mark.parametrize("name", BUGS)
async def test_row_73_a_bug_ends_what_hangs_on_it(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    bug, loop = BUGS[name], asyncio.get_running_loop()
    broken_at: list[float] = []

    def fails(*_: Any, **__: Any) -> Any:
        broken_at.append(loop.time())
        raise ZeroDivisionError("injected")

    recorder = recorder_of(0.5 if name == "timer" else 2.0)  # few packets, so that it runs out
    async with watching(recorder, keepalive=0.3, stall_timeout=0.6) as nvr:
        scene = Scene(nvr, recorder, tmp_path, lambda: monkeypatch.setattr(bug.where, fails))
        with caplog.at_level(logging.ERROR):
            with pytest.raises(NVRError, match="a bug in nvrclient"):
                async with asyncio.timeout(10):
                    await bug.scenario(scene)
        assert loop.time() - broken_at[0] < SECONDS
        monkeypatch.undo()
    told = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(told) == 1, [record.getMessage() for record in told]
    assert told[0].exc_info is not None
    assert isinstance(told[0].exc_info[1], ZeroDivisionError)
