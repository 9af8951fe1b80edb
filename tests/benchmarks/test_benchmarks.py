"""The benchmarks run, check what they time, and never fail for being slow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import cameras
from benchmarks.measurement import Contender, Row, WrongOutputError, check, table

ROOT = Path(__file__).parents[2]

OTHERS = ("depacketizer", "multipart", "playback", "download")
"""All but the cameras, who take their time whatever is asked for."""


def test_a_short_run_prints_ratios() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *OTHERS, "--rounds", "1", "--seconds", "1", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    floors = {
        (row["benchmark"], row["case"]): row for row in rows if row["measured"].startswith("time")
    }
    assert set(floors) == {
        ("depacketizer", "H264"),
        ("depacketizer", "H265"),
        ("multipart", "packets, 20 a read"),
        ("multipart", "packets, 64 KiB a read"),
        ("multipart", "JPEG, 64 KiB a read"),
        ("playback", "H264"),
        ("playback", "H265"),
    }
    for row in rows:
        assert (row["ratio"] is None) == bool(row["skipped"])
        assert row["ratio"] is None or row["low"] <= row["ratio"] <= row["high"]
    assert all(row["ratio"] > 0 for row in floors.values())
    [memory] = [row for row in rows if row["measured"] == "MiB more memory"]
    assert memory["case"] == "256 MiB"
    assert memory["ratio"] < memory["must"]


def test_sixty_four_cameras_are_seen_for_a_second() -> None:
    said: list[str] = []
    rows = cameras.run(1, 1 / cameras.SECONDS_A_SECOND_OF_MEDIA, said.append)
    found = {(row.case, row.measured): row for row in rows}
    for transport in ("UDP", "HTTP"):
        case = f"64 x 4 Mbit/s, {transport}"
        for measured in ("share of a core", "CPU ÷ asyncio alone", "ms late, 99 of 100"):
            ratio = found[case, measured].ratio
            assert ratio is not None
            assert ratio > 0
        memory = found[case, "MiB more memory"]
        assert memory.ratio is not None
        assert memory.must is not None
        assert memory.ratio <= memory.must
    assert len(rows) == len(found) == 12


@pytest.mark.parametrize("given", [[b"one"], [b"one", b"2"], [b"one", b"two", b"three"]])
def test_wrong_output_is_not_timed(given: list[bytes]) -> None:
    contender = Contender("wrong", lambda sink: sink(given) and None)
    with pytest.raises(WrongOutputError, match=r"wrong: \d items came out, 2 were expected"):
        check(contender, [b"one", b"two"])


@pytest.mark.parametrize(
    ("better", "ratio", "verdict"),
    [
        ("small", 1.9, "aim met"),
        ("small", 2.4, "met"),
        ("small", 2.6, "MISSED"),
        ("large", 2.6, "aim met"),
        ("large", 2.1, "met"),
        ("large", 1.9, "MISSED"),
    ],
)
def test_targets_are_told_and_not_enforced(better: str, ratio: float, verdict: str) -> None:
    must, aim = (2.5, 2.0) if better == "small" else (2.0, 2.5)
    row = Row("name", "case", "what", better, ratio, ratio, ratio, must, aim, 700.0)  # type: ignore[arg-type]
    assert row.verdict == verdict
    assert verdict in table([row])


def test_a_peer_that_is_missing_is_told_with_its_reason() -> None:
    row = Row("name", "case", "speed ÷ peer", "large", skipped="not installed")
    assert table([row]).splitlines()[-1].split("  ") == [
        "case",
        "speed ÷ peer",
        "skipped: not installed",
    ]
