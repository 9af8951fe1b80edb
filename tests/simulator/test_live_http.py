"""Live over HTTP: what is sent is the clip, byte for byte."""

from __future__ import annotations

import pytest

from nvrclient.simulator import Clip, SimulatedRecorder
from tests.simulator.client import rtp_payload, settle, viewing


def joined(codec: str, packets: list[bytes]) -> list[bytes]:
    """NAL units out of RTP packets that come in order and complete: single ones, and FU-A or FU."""
    units: list[bytes] = []
    for payload in map(rtp_payload, packets):
        if codec == "H264" and payload[0] & 0x1F == 28:
            header, flags, body = bytes([payload[0] & 0xE0 | payload[1] & 0x1F]), payload[1], 2
        elif codec == "H265" and payload[0] >> 1 == 49:
            header = bytes([payload[0] & 0x81 | (payload[2] & 0x3F) << 1, payload[1]])
            flags, body = payload[2], 3
        else:
            units.append(payload)
            continue
        if flags & 0x80:
            units.append(header)
        units[-1] += payload[body:]
    return units


@pytest.mark.parametrize("options", [{}, {"tls": True}, {"host": "::1"}])
async def test_h264_is_the_clip(options: dict[str, object]) -> None:
    async with SimulatedRecorder(pace=None, **options) as recorder:  # type: ignore[arg-type]
        async with viewing(recorder) as viewer:
            parts = await viewer.parts(1, "H264", 400)
            assert {kind for kind, _ in parts} == {"application/octet-stream"}
            sent = [nal for unit in Clip.load("h264").nal_units for nal in unit]
            read = joined("H264", [body for _, body in parts])
            assert read[:200] == sent[:200]
            await settle()
            assert recorder.streams == ()
            assert await viewer.get("logout.cgi", "") == 200
        assert recorder.violations == []
        assert recorder.uids == ()
        assert recorder.credentials == 1
