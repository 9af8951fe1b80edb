"""`nvrclient demo` as a stranger runs it."""

from __future__ import annotations

import json
import re
import time
from contextlib import closing
from pathlib import Path

import av
import pytest

from nvrclient.simulator import read_number
from tests.cli.programs import Terminal, interrupt, run_blocking, run_inside, started

STREAMS = [(1, "H264", "http"), (2, "H265", "http"), (1, "H264", "udp"), (2, "H265", "udp")]


def number_in(path: Path) -> int:
    with av.open(str(path)) as container:
        [picture] = container.decode(video=0)
    luma = picture.planes[0]
    return read_number(bytes(luma), picture.width, picture.height, luma.line_size)


def test_it_writes_the_pictures_that_were_sent(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    ended = run_blocking("demo", "--seconds", "3", "--folder", str(folder), "--json")
    assert ended.code == 0, ended
    assert "Traceback" not in ended.err
    results = [json.loads(line) for line in ended.out.splitlines()]
    assert [(one["camera"], one["codec"], one["transport"]) for one in results] == STREAMS
    for one in results:
        assert one["ok"]
        assert one["lost"] == 0
        assert one["error"] is None
        assert one["received"] >= one["decoded"] >= 15
        # Streams begin with the clip's first picture: the last one decoded is known.
        assert one["expected"] == one["number"] == one["decoded"] - 1
        path = Path(one["file"])
        name = f"camera{one['camera']}-{one['codec']}-{one['transport']}-picture{one['number']}.jpg"
        assert path == folder / name
        assert number_in(path) == one["number"]
    assert len(list(folder.iterdir())) == 4


def test_without_a_terminal_it_writes_plain_lines_and_a_folder_of_its_own(tmp_path: Path) -> None:
    with started("demo", "--seconds", "60", TMPDIR=str(tmp_path)) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Simulated recorder at http://127.0.0.1:")
        time.sleep(2)
        ended, seconds = interrupt(process)
    assert ended.code == 0, ended
    assert seconds < 3
    assert ended.err == ""
    assert "\x1b" not in ended.out
    *lines, last = ended.out.splitlines()
    for line, (camera, codec, transport) in zip(lines, STREAMS, strict=True):
        name = rf"camera{camera}-{codec}-{transport}-picture(\d+)\.jpg"
        assert re.fullmatch(rf"{name} shows picture \1: right; \d+ decoded, 0 lost", line)
    [folder] = tmp_path.glob("nvrclient-demo-*")
    assert last == f"4 of 4 streams right; JPEG files in {folder}"
    assert len(list(folder.iterdir())) == 4


def test_in_a_terminal_it_shows_a_table_and_ends_by_ctrl_c(tmp_path: Path) -> None:
    with closing(Terminal("demo", "--seconds", "60", "--folder", str(tmp_path))) as terminal:
        row = r"\s+[\d.]+\s+\d+ kbit/s\s+0\s+[1-9]\d*\s+\d\d:\d\d:\d\d\.\d{3} UTC"
        for camera, codec, transport in STREAMS:
            terminal.read_until(rf"{camera}\s+{codec}\s+{transport}{row}")
        terminal.type("\x03")
        assert terminal.ended() == 0, terminal.text
    assert "wall clock" in terminal.text
    assert "4 of 4 streams right" in terminal.text
    assert terminal.text.rindex("\x1b[?25h") > terminal.text.rindex("\x1b[?25l")  # the cursor
    assert len(list(tmp_path.iterdir())) == 4


async def test_a_wrong_picture_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nvrclient.cli.demo as module
    from nvrclient.cli.demo import View
    from tests.media.test_decode import frames

    view = View(2, "udp")
    assert view.result(tmp_path)["ok"] is False  # no picture came
    assert "no picture" in module._sentence(view.result(tmp_path))

    from nvrclient.media import VideoDecoder

    decoder = VideoDecoder()
    pictures = [one for coded in frames(view.clip)[:8] for one in decoder.decode(coded)]
    view.picture = pictures[7]
    assert view.result(tmp_path)["ok"] is True
    view.error = "it broke"
    assert view.result(tmp_path)["ok"] is False
    assert "it broke" in module._sentence(view.result(tmp_path))
    view.error = None
    monkeypatch.setattr(module, "_number_in", lambda _path, _frame: 6)
    result = view.result(tmp_path)
    assert result["ok"] is False
    assert "shows picture 6: WRONG: it is 7" in module._sentence(result)


def test_what_it_takes() -> None:
    ended = run_inside("demo", "--folder", f"{__file__}/folder")
    assert ended.code == 2
    assert ended.err.startswith("nvrclient: --folder: ")
    for arguments in (["--seconds", "0"], ["--seconds", "x"], ["extra"]):
        assert run_inside("demo", *arguments).code == 2
