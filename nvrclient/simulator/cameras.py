"""The cameras behind the recorder, and what each of them shows."""

from __future__ import annotations

from dataclasses import dataclass

from nvrclient.frames import Codec
from nvrclient.simulator.clips import Clip, loaded
from nvrclient.simulator.recording import Recording

__all__ = ["DEFAULT_CAMERAS", "Camera", "CameraSetup", "light_cameras"]


@dataclass(frozen=True)
class CameraSetup:
    """A camera: what it shows, and what it lets be heard. Clips are given as such or by name.

    ``recording`` is what it has recorded, None what the recorder says. ``end_after`` ends each of its streams after so many units (pictures, pieces of audio): silently, or with
    ``end_closes`` by closing.
    """

    video: Clip | str
    audio: Clip | str | None = None
    jpeg: Clip | str | None = None
    end_after: int | None = None
    end_closes: bool = False
    recording: Recording | None = None


DEFAULT_CAMERAS = (
    CameraSetup("h264", "aac_48k_stereo"),
    CameraSetup("h265", "pcmu"),
    CameraSetup("h265_slices", "aac_16k_mono"),
    CameraSetup("h264", "g726", "jpeg"),
)


def light_cameras(count: int, fps: float = 1.0) -> dict[int, CameraSetup]:
    """Make cameras for tests of hours: H.264 (odd numbers) and H.265 by turns, GOPs of five pictures, no sound.

    At 1 picture a second and ``Readings(packet_size=700)`` a camera sends about six packets a second.
    """
    clips = [Clip.load(name).with_short_gops(5, fps) for name in ("h264", "h265")]
    return {number: CameraSetup(clips[(number - 1) % 2]) for number in range(1, count + 1)}


class Camera:
    """A camera with its clips loaded."""

    def __init__(self, setup: CameraSetup) -> None:
        self.setup = setup
        self.video = loaded(setup.video)
        self.audio = None if setup.audio is None else loaded(setup.audio)
        self.jpeg = Clip.load("placeholder") if setup.jpeg is None else loaded(setup.jpeg)
        if self.video.codec not in {Codec.H264, Codec.H265}:
            raise ValueError("a camera's video is H.264 or H.265")
        if self.audio is not None and self.audio.codec.is_video:
            raise ValueError("a camera's audio is AAC, G.711 or G.726")
        if self.jpeg.codec is not Codec.JPEG:
            raise ValueError("a camera's JPEG is a clip of JPEG files")
