"""How long silence is borne: for quick cameras, slow ones, and those that are off."""

from __future__ import annotations

from nvrclient.frames import Codec, VideoFrame
from nvrclient.info import NO_INFO
from nvrclient.live.patience import MAX_ONCE_QUICK, MAX_SLOW_TIME, Patience
from tests.rtp.stream import Pipe, Sender


def one_picture(at: float) -> VideoFrame:
    return VideoFrame(
        camera=1, codec=Codec.H264, nal_units=(), keyframe=True, shown=True, pts=0, clock_rate=90_000, time=None,
        received_at=at, lost=0, info=NO_INFO, jpeg=b"",
    )  # fmt: skip


def allowed(interval: float) -> list[float]:
    """Return the seconds allowed to each of ten STARTs that bring one picture and then nothing."""
    patience, times = Patience(5.0), []
    for _ in range(10):
        patience.start(0.0)
        patience.give(one_picture(0.0))
        times.append(patience.stall_time(interval))
        patience.stalled(1, "http", 0.0, interval, 1, first=False)
    return times


def test_row_19_each_start_that_brings_one_picture_is_given_twice_the_time() -> None:
    assert allowed(0.0) == [5.0, 10.0, 20.0, 40.0, 80.0, *[MAX_SLOW_TIME] * 5]


def test_row_19_a_camera_that_was_quick_is_asked_again_soon() -> None:
    """A recorder may give the last picture of a camera that is off to each START."""
    assert allowed(0.2) == [5.0, 10.0, *[MAX_ONCE_QUICK] * 8]


def test_row_19_one_late_picture_makes_no_slow_camera() -> None:
    """The next silence is seen as soon as ever; pictures that stay apart are learned."""
    pipe = Pipe()
    pictures = Sender(Codec.H264).clip("h264", range(40))

    def come(count: int, apart: float) -> None:
        for _ in range(count):
            pipe.push(*pictures.pop(0))
            pipe.wait(apart)

    come(10, 0.2)
    pipe.wait(10)
    come(3, 0.2)
    assert pipe.demuxer.video.interval < 1
    come(4, 8.0)
    assert pipe.demuxer.video.interval > 7
