"""AAC over HTTP whose content type names no rate: measured by arrival, held until then."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from nvrclient import AudioFrame
from nvrclient.codec.demuxer import Demuxer
from nvrclient.simulator import Clip


@pytest.mark.parametrize("name", ["aac_48k_stereo", "aac_32k_mono", "aac_16k_mono"])
def test_the_rate_is_measured(name: str) -> None:
    clip = Clip.load(name)
    demuxer = Demuxer(1, lambda: datetime.now(UTC))
    interval = 1024 / clip.sample_rate
    for number, unit in enumerate(clip.units[:120]):
        demuxer.push_part("audio/aac-lc", b"\0" + unit, 50 + number * interval)
    frames = demuxer.take()
    assert len(frames) == 120
    for frame, unit in zip(frames, clip.units, strict=False):
        assert isinstance(frame, AudioFrame)
        assert (frame.data, frame.sample_rate) == (unit, clip.sample_rate)
    assert isinstance(frames[-1], AudioFrame)
    assert abs(frames[-1].pts - 119 * 1024) < 1024


def test_the_rate_can_stand_in_a_parameter() -> None:
    clip = Clip.load("aac_16k_mono")
    demuxer = Demuxer(1, lambda: datetime.now(UTC))
    demuxer.push_part('audio/mpeg4-generic; rate="16000"', b"\0" + clip.units[0], 1.0)
    (frame,) = demuxer.take()
    assert isinstance(frame, AudioFrame)
    assert frame.sample_rate == 16_000
