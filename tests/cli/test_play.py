"""``nvrclient play`` against a simulated recorder, run as a program of its own, in a terminal and out of it."""

from __future__ import annotations

import asyncio
import json
import re
import termios
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest

from nvrclient.cli.times import read_time
from nvrclient.simulator import CameraSetup, Recording, Segment, SimulatedRecorder
from tests.cli.programs import Ended, Terminal, interrupt, run, run_inside, started
from tests.secrets import PASSWORD, secrets_in

START = datetime(2025, 1, 2, 3, 0, tzinfo=UTC)


@pytest.fixture
async def recorder() -> AsyncIterator[SimulatedRecorder]:
    first = Segment(START.timestamp(), "h264", "aac_48k_stereo", duration=60)
    second = Segment(START.timestamp() + 120, "h264", "aac_48k_stereo", duration=600)
    setups = {
        1: CameraSetup("h264", recording=Recording((first, second))),
        2: CameraSetup("h265", recording=Recording(())),
    }
    async with SimulatedRecorder(cameras=setups, password=PASSWORD) as simulated:
        yield simulated
        assert simulated.violations == []
        await asyncio.sleep(0.05)
        assert simulated.uids == ()


def access(recorder: SimulatedRecorder) -> dict[str, str]:
    return {
        "NVR_URL": recorder.url,
        "NVR_USERNAME": recorder.username,
        "NVR_PASSWORD": recorder.password,
    }


def at(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat()


def lines(ended: Ended) -> list[dict[str, object]]:
    assert ended.code == 0, ended
    assert ended.err == ""
    return [json.loads(line) for line in ended.out.splitlines()]


def times(items: list[dict[str, object]]) -> list[datetime]:
    return [datetime.fromisoformat(str(one["time"])) for one in items]


async def test_at_a_time(recorder: SimulatedRecorder) -> None:
    options = ("--start", at(10), "--end", at(13), "--speed", "max", "--audio", "--json")
    items = lines(await run("play", "1", *options, **access(recorder)))
    video = [one for one in items if one["kind"] == "video"]
    shown = times([one for one in video if one["shown"]])
    assert shown[0] == START + timedelta(seconds=10)
    assert shown[-1] == START + timedelta(seconds=13)
    assert len(shown) == 46
    assert {one["codec"] for one in video} == {"H264"}
    assert video[0]["keyframe"]
    assert all(one["size"] for one in video)
    assert [one for one in items if one["kind"] == "audio"]
    assert times(video) == sorted(times(video))


async def test_over_a_gap(recorder: SimulatedRecorder) -> None:
    options = ("--start", at(58), "--end", at(121), "--json")
    items = lines(await run("play", "1", *options, "--speed", "max", **access(recorder)))
    [gap] = [one for one in items if one["kind"] == "discontinuity"]
    assert gap["reason"] == "gap"
    assert datetime.fromisoformat(str(gap["until"])) == START + timedelta(seconds=120)


async def test_in_reverse(recorder: SimulatedRecorder) -> None:
    options = ("--start", at(20.5), "--reverse", "--speed", "max", "--frames", "90", "--json")
    items = lines(await run("play", "1", *options, **access(recorder)))
    keys = times([one for one in items if one["keyframe"]])
    assert keys[0] == START + timedelta(seconds=20)
    assert all(after < before for before, after in pairwise(keys))
    assert sum(bool(one["shown"]) for one in items) == 90


async def test_into_a_pipe(recorder: SimulatedRecorder) -> None:
    ended = await run("play", "1", "--frames", "3", **access(recorder))
    assert ended.code == 0
    assert ended.err == ""
    assert len(ended.out.splitlines()) == 3
    assert ended.out.startswith("<VideoFrame keyframe H264 camera=1 pts=0 2025-01-02T03:00:00.000")


async def test_seconds(recorder: SimulatedRecorder) -> None:
    options = ("--start", at(0), "--seconds", "0.5", "--speed", "0.5", "--json")
    items = lines(await run("play", "1", *options, **access(recorder)))
    assert 0 < len(items) < 30  # not the whole GOP that one answer brought


@pytest.mark.parametrize("arguments", [("2",), ("1", "--start", "2025-03-01T00:00Z")])
async def test_no_recording(recorder: SimulatedRecorder, arguments: tuple[str, ...]) -> None:
    ended = await run("play", *arguments, "--json", **access(recorder))
    assert ended.code == 8, ended
    assert ended.out == ""
    assert "nothing is recorded" in ended.err
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--start", "yesterday"), "--start"),
        (("--start", "-"), "--start"),
        (("--end", "25:00"), "--end"),
        (("--end", "-99999999d"), "--end"),
        (("--speed", "fast"), "--speed"),
        (("--speed", "0"), "speed"),
        (("--start", "-1m", "--end", "-2m"), "end: later than start"),
        (("--reverse", "--end", "-1m"), "--end is where playing forward ends"),
    ],
)
async def test_usage(recorder: SimulatedRecorder, options: tuple[str, ...], said: str) -> None:
    ended = await asyncio.to_thread(run_inside, "play", "1", *options, **access(recorder))
    assert ended.code == 2
    assert said in ended.err
    assert len(ended.err.splitlines()) == 1


def test_times() -> None:
    now = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
    tokyo = timezone(timedelta(hours=9))

    def read(text: str) -> datetime:
        when = read_time("--start", text, now)
        assert when is not None
        assert when.tzinfo is not None
        return when

    assert read("2026-01-31T14:30:00+09:00") == datetime(2026, 1, 31, 14, 30, tzinfo=tokyo)
    assert read("2026-01-31T05:30Z") == datetime(2026, 1, 31, 5, 30, tzinfo=UTC)
    assert read("-10m") == now - timedelta(minutes=10)
    assert read("-1d2h3m4s") == now - timedelta(days=1, hours=2, minutes=3, seconds=4)
    assert read("2026-01-31 14:30") == datetime(2026, 1, 31, 14, 30).astimezone()
    today = now.astimezone()
    assert read("14:30") == datetime(today.year, today.month, today.day, 14, 30).astimezone()


def modes(terminal: Terminal) -> list[object]:
    return termios.tcgetattr(terminal._fd)[:4]


def text_after(terminal: Terminal, key: str, pattern: str) -> str:
    """Press a key and wait for what the table then says."""
    terminal.text = ""
    terminal.type(key)
    terminal.read_until(pattern)
    match = re.search(pattern, terminal.text)
    assert match is not None
    return match[0]


async def test_keys(recorder: SimulatedRecorder) -> None:
    def use() -> str:
        with closing(Terminal("play", "1", "--start", at(30), **access(recorder))) as terminal:
            before = modes(terminal)
            terminal.read_until(r"H264 640x360(.|\n)*state\s+playing")
            assert modes(terminal) != before
            seen = terminal.text
            text_after(terminal, "?", r"← or ,\s+previous picture")
            text_after(terminal, " ", r"state\s+paused")
            picture = r"step\s+picture (\d+) of 30"
            stepped = [
                int(text_after(terminal, key, picture).split()[2])
                for key in ("\x1b[C", ".", "\x1bOD", ",", ".")
            ]
            text_after(terminal, "r", r"state\s+reverse")
            text_after(terminal, "f", r"state\s+fast forward")
            text_after(terminal, "b", r"state\s+fast reverse")
            text_after(terminal, "p", r"state\s+playing")
            terminal.type("q")
            assert terminal.ended() == 0, terminal.text
            first, *others = [(one - stepped[0]) % 30 for one in stepped]
            assert (first, others) == (0, [1, 0, 29, 0])
            assert modes(terminal) == before
            return seen + terminal.text

    assert secrets_in(await asyncio.to_thread(use)) == []


async def test_a_step_where_nothing_is_says_so(recorder: SimulatedRecorder) -> None:
    def use() -> None:
        options = ("--start", at(0), "--speed", "0.1")
        with closing(Terminal("play", "1", *options, **access(recorder))) as terminal:
            terminal.read_until(r"state\s+playing")
            text_after(terminal, " ", r"state\s+paused")
            terminal.type("," * 4)
            terminal.read_until(r"no picture before")
            terminal.type("q")
            assert terminal.ended() == 0, terminal.text

    await asyncio.to_thread(use)


async def test_the_terminal_is_restored_by_an_error_and_by_ctrl_c(
    recorder: SimulatedRecorder,
) -> None:
    def use(*arguments: str, key: str = "") -> int:
        with closing(Terminal("play", *arguments, **access(recorder))) as terminal:
            before = modes(terminal)
            if key:
                terminal.read_until(r"state\s+playing")
                assert modes(terminal) != before
                terminal.type(key)
            code = terminal.ended()
            assert modes(terminal) == before
            return code

    assert await asyncio.to_thread(use, "2") == 8
    assert await asyncio.to_thread(use, "1", key="\x03") == 0


async def test_ctrl_c_without_a_terminal(recorder: SimulatedRecorder) -> None:
    def use() -> tuple[Ended, float]:
        with started("play", "1", "--json", **access(recorder)) as process:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["kind"] == "video"
            return interrupt(process)

    ended, seconds = await asyncio.to_thread(use)
    assert ended.code == 0
    assert ended.err == ""
    assert seconds < 3
    assert all(json.loads(line) for line in ended.out.splitlines())
