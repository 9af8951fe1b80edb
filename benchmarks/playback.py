"""Playback's containers to frames.

| contender | what it does |
|---|---|
| ours | `GopReader.read`, then `PictureTrack.take`: frames with NAL units, times and information |
| split | ``bytes.split`` on the start codes of the same containers, nothing looked at |

Speed, so the ratio is split's time over ours. The project wants half of that at least: a recorder's disk is then the
slower one by far.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks import media
from benchmarks.measurement import Contender, Row, Sink, Target, check, compare
from nvrclient import Codec
from nvrclient.container.gop import GopReader
from nvrclient.playback.motion import Motion
from nvrclient.playback.track import PictureTrack
from nvrclient.simulator import PlaybackReadings, Recording, Segment
from nvrclient.simulator.gops import final_padding, gop_chunk

NAME = "playback"

PLAYING = 0x02
"""The operation that TLV 0x000D names."""

TARGET = Target(must=0.5, aim=0.8)


def run(rounds: int, seconds: float, say: Callable[[str], None]) -> list[Row]:
    """Make the media, check that every picture comes out, time both."""
    rows: list[Row] = []
    for codec in (Codec.H264, Codec.H265):
        clip = media.encode(codec, round(seconds * media.FPS))
        recording = Recording((Segment(media.STARTED, clip, duration=seconds),))
        gops = list(recording.gops())
        readings = PlaybackReadings()
        bodies = []
        for gop in gops:
            chunk = gop_chunk(gop, 1, PLAYING, readings)
            bodies.append(chunk + final_padding(len(chunk), readings))
        pictures = [unit.data for gop in gops for unit in gop.pictures]
        say(f"{codec}: {len(bodies)} GOPs, {sum(map(len, bodies)) / 1e6:.1f} MB")
        contender = ours(bodies)
        check(_data_of(contender), pictures)
        rows += compare(
            NAME,
            str(codec),
            contender,
            split(bodies),
            [(split(bodies), TARGET)],
            floor_target=None,
            items=len(pictures),
            rounds=rounds,
        )
    return rows


def ours(bodies: list[bytes]) -> Contender:
    """The library's way from an answer to frames."""

    def run(sink: Sink) -> None:
        reader, track = GopReader(), PictureTrack(1)
        track.aim(Motion.FORWARD)
        for body in bodies:
            for gop in reader.read(body).gops:
                for group in track.take(gop, 0.0).groups:
                    sink(list(group.gop.frames))

    return Contender("nvrclient", run)


def _data_of(contender: Contender) -> Contender:
    """Make a contender of frames one of their bytes."""
    return Contender(
        contender.name,
        lambda sink: contender.run(lambda frames: sink([frame.data for frame in frames])),
    )


def split(bodies: list[bytes]) -> Contender:
    """Nothing but the search for start codes and the copies it makes."""

    def run(sink: Sink) -> None:
        for body in bodies:
            sink(body.split(b"\x00\x00\x01"))

    return Contender("split", run)
