"""Encoded pictures and sound, ready to be sent: the package's own clips, or a test's own access units."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NotRequired, TypedDict, cast

from nvrclient.frames import Codec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Clip", "loaded", "split_annex_b"]

_FOLDER = Path(__file__).parent / "clips"


class _Entry(TypedDict):
    """One clip in ``index.json``; see tools/make_clips.py, which writes it."""

    file: str
    codec: str
    sizes: list[int]
    fps: NotRequired[float]
    width: NotRequired[int]
    height: NotRequired[int]
    keyframes: NotRequired[list[int]]
    sample_rate: NotRequired[int]
    channels: NotRequired[int]


@dataclass(frozen=True, eq=False)
class Clip:
    """A piece of encoded video or audio that starts over when it ends.

    | field | meaning |
    |---|---|
    | name | for logs and reprs |
    | codec | of the data |
    | units | access units in Annex B, JPEG files, raw AAC frames, or the samples of one packet each |
    | fps | pictures a second; 0 for audio |
    | sample_rate, channels | of audio; 0 for video |
    | keyframes | indices of the units that decoding can start at (every unit of JPEG and audio) |
    | width, height | of the pictures in pixels, 0 where unknown |
    """

    name: str
    codec: Codec
    units: tuple[bytes, ...] = field(repr=False)
    fps: float = 0.0
    sample_rate: int = 0
    channels: int = 0
    keyframes: frozenset[int] = field(default=frozenset[int](), repr=False)
    width: int = 0
    height: int = 0

    @staticmethod
    def load(name: str) -> Clip:
        """Load one of the package's clips; ``Clip.names()`` lists them."""
        return _load(name)

    @staticmethod
    def names() -> tuple[str, ...]:
        """Name the clips of the package."""
        return tuple(_index())

    @staticmethod
    def video(
        codec: Codec | str,
        units: Iterable[bytes],
        fps: float,
        *,
        name: str = "video",
        width: int = 0,
        height: int = 0,
    ) -> Clip:
        """Make a clip of encoded pictures: access units in Annex B, or JPEG files."""
        codec, units = Codec(codec), tuple(units)
        if not codec.is_video or not units or fps <= 0:
            raise ValueError("a clip of pictures needs a codec of pictures, pictures and a rate")
        clip = Clip(name, codec, units, fps=fps, width=width, height=height)
        keyframes = {n for n in range(len(units)) if codec is Codec.JPEG or _starts(clip, n)}
        return Clip(name, codec, units, fps, 0, 0, frozenset(keyframes), width, height)

    @staticmethod
    def audio(
        codec: Codec | str,
        units: Iterable[bytes],
        sample_rate: int = 8000,
        channels: int = 1,
        *,
        name: str = "audio",
    ) -> Clip:
        """Make a clip of encoded sound: raw AAC frames of 1024 samples (no ADTS), or samples in pieces."""
        codec, units = Codec(codec), tuple(units)
        if codec.is_video or not units:
            raise ValueError("a clip of sound needs a codec of sound, and sound")
        keyframes = frozenset(range(len(units)))
        return Clip(name, codec, units, 0.0, sample_rate, channels, keyframes)

    @staticmethod
    def from_file(path: Path, sizes: Sequence[int], codec: Codec | str, fps: float) -> Clip:
        """Read a clip of pictures from one file, of which ``sizes`` are the lengths in order."""
        return Clip.video(codec, _cut(path.read_bytes(), sizes), fps, name=path.stem)

    def with_short_gops(self, pictures: int, fps: float) -> Clip:
        """Keep the first pictures of each GOP, and show them at another rate: light, and still what an encoder made.

        Only for clips whose GOPs are closed and whose pictures come in the order they are shown in.
        """
        starts = sorted(self.keyframes)
        kept = [n for start in starts for n in range(start, min(start + pictures, len(self)))]
        units = tuple(self.units[n] for n in kept)
        keyframes = frozenset(index for index, n in enumerate(kept) if n in self.keyframes)
        return replace(
            self,
            name=f"{self.name}, {pictures} a GOP",
            units=units,
            fps=fps,
            keyframes=keyframes,
        )

    @cached_property
    def nal_units(self) -> tuple[tuple[bytes, ...], ...]:
        """The NAL units of every access unit, without start codes; H.264 and H.265 only."""
        return tuple(split_annex_b(unit) for unit in self.units)

    @cached_property
    def annex_b(self) -> tuple[bytes, ...]:
        """Every picture as playback stores it: each NAL unit behind 00 00 00 01, JPEG files as they are."""
        if self.codec is Codec.JPEG:
            return self.units
        return tuple(b"".join(b"\0\0\0\1" + nal for nal in nals) for nals in self.nal_units)

    @cached_property
    def seconds_per_unit(self) -> float:
        """How long one unit lasts."""
        if self.codec.is_video:
            return 1 / self.fps
        return self.samples_per_unit / self.sample_rate

    @cached_property
    def samples_per_unit(self) -> int:
        """Samples of one audio unit per channel (the last, shorter unit of a clip counts as a full one)."""
        if self.codec is Codec.AAC:
            return 1024
        # G.726 at 32 kbit/s: 4 bits a sample.
        samples = len(self.units[0]) * (2 if self.codec is Codec.G726 else 1)
        return samples // self.channels

    def __len__(self) -> int:
        return len(self.units)


def loaded(clip: Clip | str) -> Clip:
    """Give a clip, one of the package's if named."""
    return Clip.load(clip) if isinstance(clip, str) else clip


def split_annex_b(data: bytes) -> tuple[bytes, ...]:
    """Split an Annex B byte stream into NAL units without start codes (H.264 annex B, H.265 annex B).

    Start codes are 00 00 01, or 00 00 00 01; zero bytes before one belong to no NAL unit.
    """
    units: list[bytes] = []
    start = data.find(b"\0\0\1")
    while start >= 0:
        end = data.find(b"\0\0\1", start + 3)
        units.append(data[start + 3 : end if end >= 0 else len(data)].rstrip(b"\0"))
        start = end
    return tuple(units)


def _starts(clip: Clip, number: int) -> bool:
    """Whether decoding can start at this access unit: an IDR, or in H.265 any IRAP (types 16…23)."""
    if clip.codec is Codec.H264:
        return any(nal[0] & 0x1F == 5 for nal in clip.nal_units[number])
    return any(16 <= nal[0] >> 1 & 0x3F <= 23 for nal in clip.nal_units[number])


def _cut(data: bytes, sizes: Sequence[int]) -> tuple[bytes, ...]:
    if sum(sizes) != len(data):
        raise ValueError(f"the sizes add up to {sum(sizes)}, the file has {len(data)} bytes")
    units: list[bytes] = []
    offset = 0
    for size in sizes:
        units.append(data[offset : offset + size])
        offset += size
    return tuple(units)


@cache
def _index() -> dict[str, _Entry]:
    return cast(
        "dict[str, _Entry]", json.loads((_FOLDER / "index.json").read_text(encoding="ascii"))
    )


@cache
def _load(name: str) -> Clip:
    entry = _index().get(name)
    if entry is None:
        raise ValueError(f"no clip is called {name!r}; there are {', '.join(_index())}")
    return Clip(
        name,
        Codec(entry["codec"]),
        _cut((_FOLDER / entry["file"]).read_bytes(), entry["sizes"]),
        fps=entry.get("fps", 0.0),
        sample_rate=entry.get("sample_rate", 0),
        channels=entry.get("channels", 0),
        keyframes=frozenset(entry.get("keyframes", range(len(entry["sizes"])))),
        width=entry.get("width", 0),
        height=entry.get("height", 0),
    )
