"""The simulator's containers against answers typed by hand from the tables."""

from __future__ import annotations

from datetime import timedelta, timezone

import pytest

from nvrclient.frames import Codec
from nvrclient.simulator import PlaybackReadings, Readings, RecordedGop, RecordedSound, Unit
from nvrclient.simulator.gops import gop_chunk
from nvrclient.simulator.playaudio import sound_answer
from tests.simulator import golden_playback as golden


def gop_of(expected: golden.GoldenGop) -> RecordedGop:
    return RecordedGop(
        Codec(expected.codec),
        tuple(Unit(at, data) for at, data in expected.pictures),
        expected.end + 7,
        expected.fps,
        timezone(timedelta(minutes=expected.zone)),
        expected.summer_time,
        expected.hidden,
        expected.long_term,
        expected.idr_display,
    )


@pytest.mark.parametrize("name", golden.GOPS)
def test_gops(name: str) -> None:
    expected = golden.GOPS[name]
    readings = PlaybackReadings(
        camera_information=golden.CAMERA_INFORMATION if expected.camera_info else b""
    )
    gop = gop_of(expected)
    written = gop_chunk(
        gop,
        expected.camera,
        expected.operation,
        readings,
        step=expected.step,
        with_images=expected.has_image,
    )
    assert written == expected.body
    assert len(written) == 4096
    assert (gop.begins, gop.pictures[-1].at) == (expected.start, expected.end)


@pytest.mark.parametrize("name", golden.SOUNDS)
def test_sounds(name: str) -> None:
    expected = golden.SOUNDS[name]
    playback = PlaybackReadings(zero_byte=expected.zero_byte, au_header=expected.au_header)
    sound = RecordedSound(
        Codec(expected.codec),
        tuple(Unit(expected.start, piece) for piece in expected.pieces),
        expected.start,
        expected.end,
        zone=timezone(timedelta(minutes=expected.zone)),
        summer_time=expected.summer_time,
    )
    written = sound_answer(sound, expected.camera, Readings(playback=playback))
    assert written == expected.body
    assert len(written) == 4096
