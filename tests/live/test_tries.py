"""What is tried, in which order, until a first picture comes and when a stream comes back."""

from __future__ import annotations

from nvrclient.frames import Codec
from nvrclient.live.tries import tries_for
from nvrclient.live.wanted import Wanted

H264, H265, JPEG = Codec.H264, Codec.H265, Codec.JPEG


def wanted(transport: str, codec: Codec | None = None) -> Wanted:
    return Wanted(
        1, codec, codec is not None, transport, audio=False, audio_codec=None, shared=True
    )  # type: ignore[arg-type]


def test_what_gave_pictures_stands_between_two_others() -> None:
    assert tries_for(wanted("http"), ("http", H264)) == [("http", H264), ("http", H265)]
    assert tries_for(wanted("auto"), ("udp", H265)) == [
        ("udp", H265),
        ("http", H265),
        ("udp", H265),
        ("udp", H264),
        ("udp", H265),
        ("http", H264),
    ]


def test_jpeg_beside_a_cameras_video_is_no_guess() -> None:
    """Cameras have both: the stream would turn into the slow one for good."""
    for transport in ("http", "auto"):
        assert JPEG not in [codec for _, codec in tries_for(wanted(transport), ("http", H264))]
    assert JPEG in [codec for _, codec in tries_for(wanted("http"))]
    assert tries_for(wanted("http"), ("http", JPEG))[0] == ("http", JPEG)


def test_what_the_caller_said_is_all_there_is() -> None:
    assert tries_for(wanted("udp", H264), ("udp", H264)) == [("udp", H264)]
    assert tries_for(wanted("auto", H264)) == [("udp", H264), ("http", H264)]
