"""The commands against a simulated recorder, run as programs of their own."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nvrclient import errors
from nvrclient.cli.exits import EXIT_CODES, exit_code
from nvrclient.cli.lines import json_line
from nvrclient.frames import Discontinuity
from nvrclient.simulator import PushAnswer, SimulatedRecorder
from tests.cli.programs import (
    Ended,
    Terminal,
    environment,
    interrupt,
    run,
    run_blocking,
    run_inside,
    started,
)
from tests.secrets import PASSWORD, secrets_in


@pytest.fixture
async def recorder() -> AsyncIterator[SimulatedRecorder]:
    async with SimulatedRecorder(password=PASSWORD) as simulated:
        yield simulated
        assert simulated.violations == []


def access(recorder: SimulatedRecorder, **changed: str) -> dict[str, str]:
    return {
        "NVR_URL": recorder.url,
        "NVR_USERNAME": recorder.username,
        "NVR_PASSWORD": recorder.password,
    } | changed


def lines(ended: Ended) -> list[dict[str, object]]:
    assert ended.code == 0, ended
    assert ended.err == ""
    return [json.loads(line) for line in ended.out.splitlines()]


async def left(recorder: SimulatedRecorder) -> list[object]:
    """What a program that has ended left on the recorder."""
    await asyncio.sleep(0.05)
    return [*recorder.streams, *recorder.uids]


# live


@pytest.mark.parametrize("transport", ["http", "udp"])
async def test_live_json(recorder: SimulatedRecorder, transport: str) -> None:
    options = ("--codec", "h264", "--transport", transport, "--frames", "20", "--json")
    frames = lines(await run("live", "1", *options, **access(recorder)))
    assert len(frames) == 20
    assert {one["kind"] for one in frames} == {"video"}
    assert {one["codec"] for one in frames} == {"H264"}
    assert [one["keyframe"] for one in frames] == [True] + [False] * 19
    assert [one["pts"] for one in frames] == [index * 6000 for index in range(20)]
    assert all(one["lost"] == 0 and one["size"] for one in frames)
    assert all(datetime.fromisoformat(str(one["time"])).tzinfo for one in frames)
    assert await left(recorder) == []


async def test_live_audio(recorder: SimulatedRecorder) -> None:
    options = ("--codec", "H265", "--audio", "--seconds", "1", "--json")
    frames = lines(await run("live", "2", *options, **access(recorder)))
    video = [one for one in frames if one["kind"] == "video"]
    audio = [one for one in frames if one["kind"] == "audio"]
    assert len(video) >= 5
    assert len(audio) >= 5
    assert {(one["codec"], one["clock_rate"], one["channels"]) for one in audio} == {
        ("PCMU", 8000, 1)
    }
    assert await left(recorder) == []


async def test_live_into_a_pipe(recorder: SimulatedRecorder) -> None:
    ended = await run("live", "1", "--codec", "H264", "--frames", "3", **access(recorder))
    assert ended.code == 0
    first, *rest = ended.out.splitlines()
    assert first.startswith("<VideoFrame keyframe H264 camera=1 pts=0 ")
    assert len(rest) == 2


def test_a_discontinuity_is_a_line() -> None:
    gap = Discontinuity("loss", since=datetime(2030, 1, 2, tzinfo=UTC), lost=3)
    assert json.loads(json_line(gap)) == {
        "kind": "discontinuity",
        "reason": "loss",
        "since": "2030-01-02T00:00:00.000+00:00",
        "until": None,
        "lost": 3,
    }


async def test_live_in_a_terminal(recorder: SimulatedRecorder) -> None:
    def use() -> str:
        options = ("--codec", "H264", "--audio")
        with closing(Terminal("live", "1", *options, **access(recorder))) as terminal:
            terminal.read_until(r"pictures\s+[1-9]\d*, [\d.]+ a second")
            terminal.read_until(r"audio\s+[1-9]\d* frames")
            terminal.type("\x03")
            assert terminal.ended() == 0, terminal.text
            return terminal.text

    text = await asyncio.to_thread(use)
    assert "H264 640x360" in text
    assert secrets_in(text) == []
    assert await left(recorder) == []


async def test_ctrl_c_ends_live(recorder: SimulatedRecorder) -> None:
    def use() -> tuple[Ended, float]:
        options = ("--codec", "H264", "--transport", "udp", "--json")
        with started("live", "1", *options, **access(recorder)) as process:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["kind"] == "video"
            return interrupt(process)

    ended, seconds = await asyncio.to_thread(use)
    assert ended.code == 0
    assert ended.err == ""
    assert seconds < 3
    assert all(json.loads(line) for line in ended.out.splitlines())  # no line is cut
    assert await left(recorder) == []


async def test_ctrl_c_ends_what_still_opens(recorder: SimulatedRecorder) -> None:
    def use(url: str) -> tuple[Ended, float]:
        variables = access(recorder, NVR_URL=url)
        with started("live", "1", "--codec", "H264", "--json", **variables) as process:
            connected.wait(10)
            return interrupt(process)

    connected = threading.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await reader.read(1)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        ended, seconds = await asyncio.to_thread(use, f"http://127.0.0.1:{port}")
    finally:
        server.close()
        await server.wait_closed()
    assert ended == Ended(130, "", "")
    assert seconds < 3


async def test_a_reader_that_goes_away_ends_live(recorder: SimulatedRecorder) -> None:
    def use() -> Ended:
        with started("live", "1", "--codec", "H264", "--json", **access(recorder)) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.readline()
            process.stdout.close()
            return Ended(process.wait(10), "", process.stderr.read())

    assert await asyncio.to_thread(use) == Ended(0, "", "")
    assert await left(recorder) == []


# cameras


async def test_cameras(recorder: SimulatedRecorder) -> None:
    found = lines(await run("cameras", "--json", **access(recorder)))
    assert found[:5] == [{"number": n, "connected": n < 5} for n in range(1, 6)]
    assert await left(recorder) == []


# Which recorder


async def test_a_wrong_password(recorder: SimulatedRecorder) -> None:
    wrong = "wrong-but-secret-too"
    for arguments, variables in (
        (("cameras",), access(recorder, NVR_PASSWORD=wrong)),
        (("live", "1", "--password", wrong), access(recorder)),
    ):
        sent = recorder.wrong_credentials
        ended = await run(*arguments, **variables)
        assert ended.code == 4
        assert ended.out == ""
        assert ended.err.startswith(f"nvrclient: login at {recorder.url}: ")
        assert len(ended.err.splitlines()) == 1
        assert wrong not in ended.err
        assert secrets_in(ended.err) == []
        assert recorder.wrong_credentials == sent + 1


async def test_a_password_is_not_in_the_list_of_processes(recorder: SimulatedRecorder) -> None:
    def use(*option: str) -> str:
        variables = access(recorder, NVR_PASSWORD="")
        with started("live", "1", "--codec", "H264", *option, **variables) as process:
            assert process.stdout is not None
            process.stdout.readline()
            listed = Path(f"/proc/{process.pid}/cmdline").read_text().replace("\0", " ")
            assert interrupt(process)[0].code == 0
            return listed

    for option in (("--password", PASSWORD), (f"--password={PASSWORD}",)):
        listed = await asyncio.to_thread(use, *option)
        assert "live 1 --codec H264 --password" in listed
        assert "*" * len(PASSWORD) in listed
        assert PASSWORD not in listed


def test_a_password_is_not_in_the_help() -> None:
    for command in ("live", "cameras"):
        ended = run_inside(command, "--help", NVR_PASSWORD=PASSWORD)
        assert ended.code == 0
        assert "NVR_PASSWORD" in ended.out
        assert "Exit codes" in ended.out
        assert PASSWORD not in ended.out + ended.err


async def test_a_password_is_asked_for(recorder: SimulatedRecorder) -> None:
    def use() -> str:
        with closing(Terminal("cameras", **access(recorder, NVR_PASSWORD=""))) as terminal:
            terminal.read_until("Password of ADMIN: ")
            terminal.type(PASSWORD + "\n")
            assert terminal.ended() == 0, terminal.text
            return terminal.text

    text = re.sub(r"\x1b\[[\d;?]*\w", "", await asyncio.to_thread(use))  # without colours
    assert PASSWORD not in text
    rows = [line.split() for line in text.splitlines()]
    assert ["camera", "connected"] in rows
    assert ["4", "yes"] in rows
    assert ["5", "no"] in rows


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"NVR_URL": ""}, "no url: give --url or set NVR_URL"),
        ({"NVR_USERNAME": ""}, "no username: give --username or set NVR_USERNAME"),
        ({"NVR_PASSWORD": ""}, "no password: set NVR_PASSWORD"),
        ({"NVR_URL": "192.0.2.10"}, "http://"),
        ({"NVR_VERIFY": "/no/such/file.pem"}, "/no/such/file.pem"),
        ({"NVR_VERIFY": "sha256:12"}, "sha256"),
    ],
)
def test_usage(changed: dict[str, str], said: str) -> None:
    variables = {"NVR_URL": "https://192.0.2.10", "NVR_USERNAME": "u", "NVR_PASSWORD": "p"}
    ended = run_inside("cameras", **(variables | changed))
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.startswith("nvrclient: ")
    assert said in ended.err
    assert len(ended.err.splitlines()) == 1


async def test_usage_of_live(recorder: SimulatedRecorder) -> None:
    for arguments in ([], ["0"], ["x"], ["1", "--codec", "AAC"], ["1", "--transport", "tcp"]):
        assert run_inside("live", *arguments, **access(recorder)).code == 2
    ended = await run("live", "1", "--codec", "jpeg", "--transport", "udp", **access(recorder))
    assert ended.code == 2
    assert "JPEG comes over HTTP only" in ended.err


async def test_no_recorder_there() -> None:
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    url = f"http://127.0.0.1:{port}"
    ended = await run("cameras", "--url", url, "-u", "ADMIN", NVR_PASSWORD=PASSWORD)
    assert ended.code == 3
    assert len(ended.err.splitlines()) == 1
    assert str(port) in ended.err


async def test_an_unknown_camera(recorder: SimulatedRecorder) -> None:
    ended = await run("live", "99", "--codec", "H264", **access(recorder))
    assert ended.code == 7
    assert "404" in ended.err
    assert secrets_in(ended.err) == []


async def test_a_recorder_without_a_free_stream(recorder: SimulatedRecorder) -> None:
    recorder.push_answers[1] = PushAnswer.BUSY
    ended = await run("live", "1", "--codec", "H264", "--json", **access(recorder))
    assert ended.code == 5, ended
    assert ended.out == ""
    assert len(ended.err.splitlines()) == 1
    assert await left(recorder) == []


async def test_https() -> None:
    async with SimulatedRecorder(tls=True, password=PASSWORD) as recorder:
        assert recorder.certificate is not None
        variables = access(recorder)
        ended = await run("cameras", **variables)
        assert ended.code == 3
        assert "sha256" in ended.err
        assert recorder.credentials == 0
        ended = await run("cameras", "--verify", recorder.certificate, "--json", **variables)
        assert len(lines(ended)) == 16
        ended = await run("cameras", "--json", **variables, NVR_VERIFY="off")
        assert ended.code == 0
        assert ended.err.startswith("nvrclient: warning: ")
        assert len(ended.err.splitlines()) == 1


def test_every_error_has_an_exit_code() -> None:
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.NVRError)
    ]
    codes = {kind.__name__: exit_code(kind.__new__(kind)) for kind in kinds}
    assert codes.pop("NVRError") == 1
    assert set(codes.values()) == {3, 4, 5, 6, 7, 8, 9}
    assert all(f"{code} " in EXIT_CODES for code in codes.values())


# simulate


@pytest.mark.parametrize("tls", [False, True])
def test_simulate_says_what_to_try(tls: bool) -> None:
    with started("simulate", "--port", "0", "--cameras", "2", *(["--tls"] * tls)) as process:
        assert process.stdout is not None
        said = ""
        while "nvrclient live" not in said:
            said += process.stdout.readline()
        exports = [line.split()[1] for line in said.splitlines() if line.startswith("  export ")]
        assert len(exports) == 3 + tls
        command = said.splitlines()[-1].split()[1:]
        assert command == ["live", "1"]
        variables = dict(export.split("=", 1) for export in exports)
        watched = run_blocking(*command, "--codec", "H264", "--frames", "2", **variables)
        assert watched.code == 0, watched
        assert watched.err == ""
        assert len(watched.out.splitlines()) == 2
        ended, seconds = interrupt(process)
    assert ended == Ended(0, "", "")
    assert seconds < 3
    if tls:
        assert not Path(variables["NVR_VERIFY"]).exists()


def test_simulate_json_and_a_port_in_use() -> None:
    with started("simulate", "--port", "0", "--json") as process:
        assert process.stdout is not None
        where = json.loads(process.stdout.readline())
        assert where["certificate"] is None
        assert where["cameras"] == {"1": "h264", "2": "h265", "3": "h265_slices", "4": "h264"}
        port = where["url"].rpartition(":")[2]
        second = run_blocking("simulate", "--port", port)
        assert second.code == 3
        assert second.out == ""
        assert f"port {port}" in second.err
        assert len(second.err.splitlines()) == 1
        process.terminate()  # SIGTERM ends it as well as Ctrl-C does
        assert process.wait(3) == 0


# The program


def test_version_and_help() -> None:
    ended = run_blocking("--version")
    assert ended == Ended(0, "nvrclient 0.1.0\n", "")
    ended = run_inside("--help")
    assert ended.code == 0
    assert all(name in ended.out for name in ("demo", "simulate", "cameras", "live", "Exit codes"))


@pytest.mark.parametrize(
    ("missing", "arguments", "extra"),
    [
        ("typer", [], "nvrclient[cli]"),
        ("rich", ["cameras"], "nvrclient[cli]"),
        ("av", ["demo"], "nvrclient[media]"),
        ("cryptography", ["simulate", "--tls"], "nvrclient[simulator]"),
    ],
)
def test_a_missing_extra_is_named(missing: str, arguments: list[str], extra: str) -> None:
    program = (
        f"import sys; sys.modules[{missing!r}] = None; import nvrclient.cli; nvrclient.cli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert f"pip install '{extra}'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
