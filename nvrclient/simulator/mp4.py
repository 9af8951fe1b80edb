"""MP4 files (ISO/IEC 14496-12, -14, -15) of what was recorded: H.264 or H.265, and AAC beside it.

A file is written in one pass and never held: ``ftyp``, an ``mdat`` for each GOP and for each second of sound,
and behind them all ``moov``, the only thing that knows how long they were. So a file cut short opens nowhere.
"""

from __future__ import annotations

import struct
from array import array
from dataclasses import dataclass, field
from functools import lru_cache
from heapq import merge
from itertools import groupby, pairwise
from operator import attrgetter
from sys import byteorder
from typing import TYPE_CHECKING

from nvrclient.frames import Codec
from nvrclient.simulator.clips import split_annex_b
from nvrclient.simulator.recording import RecordedGop

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nvrclient.simulator.clips import Clip
    from nvrclient.simulator.recording import RecordedSound

__all__ = ["mp4_pieces"]

_TICKS = 900  # of the video's clock, 90 kHz, in a hundredth of a second
_SINCE_1904 = 2_082_844_800  # what MP4 counts seconds from
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)


def mp4_pieces(
    clip: Clip, gops: Iterable[RecordedGop], sounds: Iterable[RecordedSound] = ()
) -> Iterator[bytes]:
    """Write a file, piece by piece: GOPs of one clip, and the AAC recorded with them."""
    written = _box(b"ftyp", b"isom", struct.pack(">I", 512), b"isomiso2mp41")
    offset = len(written)
    yield written
    video = _Track(is_video=True, clock=90_000, width=clip.width, height=clip.height)
    audio: _Track | None = None
    items: Iterator[RecordedGop | RecordedSound] = merge(gops, sounds, key=attrgetter("begins"))
    for item in items:
        if isinstance(item, RecordedGop):
            track = video
            samples = [_sample(item.codec, picture.data) for picture in item.pictures]
            times = [*(picture.at for picture in item.pictures), item.until]
            durations = [(after - at) * _TICKS for at, after in pairwise(times)]
        else:
            if audio is None:
                audio = _Track(is_video=False, clock=item.sample_rate, entry=_mp4a(item))
            track = audio
            samples = [piece.data for piece in item.pieces]
            durations = [1024] * len(samples)
        track.add(item.begins, offset + 8, samples, durations)
        written = _box(b"mdat", *samples)
        offset += len(written)
        yield written
    video.entry = (_avc1 if clip.codec is Codec.H264 else _hvc1)(clip)
    yield _moov([video] if audio is None else [video, audio])


def _box(kind: bytes, *parts: bytes) -> bytes:
    return b"".join((struct.pack(">I", 8 + sum(map(len, parts))), kind, *parts))


def _full(kind: bytes, *parts: bytes, flags: int = 0) -> bytes:
    """Write a box of version 0 with flags."""
    return _box(kind, struct.pack(">I", flags), *parts)


def _numbers(values: array[int]) -> bytes:
    swapped = array(values.typecode, values)
    if byteorder == "little":
        swapped.byteswap()
    return swapped.tobytes()


@dataclass(slots=True)
class _Track:
    """What ``moov`` has to say of a track. A chunk is a GOP, or a second of sound."""

    is_video: bool
    clock: int
    entry: bytes = b""
    width: int = 0
    height: int = 0
    begins: int = 0
    sizes: array[int] = field(default_factory=lambda: array("I"))
    durations: array[int] = field(default_factory=lambda: array("I"))
    offsets: array[int] = field(default_factory=lambda: array("Q"))
    counts: array[int] = field(default_factory=lambda: array("I"))

    def add(self, begins: int, offset: int, samples: list[bytes], durations: list[int]) -> None:
        """Add a chunk."""
        if not self.offsets:
            self.begins = begins
        self.offsets.append(offset)
        self.counts.append(len(samples))
        self.sizes.extend(map(len, samples))
        self.durations.extend(durations)

    @property
    def duration(self) -> int:
        """How long it is, by its own clock."""
        return sum(self.durations)

    def table(self) -> bytes:
        """Write ``stbl``: how long, how large and where each sample is."""
        runs = [(len(list(run)), ticks) for ticks, run in groupby(self.durations)]
        stts = b"".join(struct.pack(">II", *run) for run in runs)
        changes = [n for n, c in enumerate(self.counts) if not n or c != self.counts[n - 1]]
        stsc = b"".join(struct.pack(">III", n + 1, self.counts[n], 1) for n in changes)
        boxes = [
            _full(b"stsd", struct.pack(">I", 1), self.entry),
            _full(b"stts", struct.pack(">I", len(runs)), stts),
            _full(b"stsc", struct.pack(">I", len(changes)), stsc),
            _full(b"stsz", struct.pack(">II", 0, len(self.sizes)), _numbers(self.sizes)),
            _full(b"co64", struct.pack(">I", len(self.offsets)), _numbers(self.offsets)),
        ]
        if self.is_video:  # decoding can begin at the first picture of each chunk
            keys, number = array("I"), 1
            for count in self.counts:
                keys.append(number)
                number += count
            boxes.append(_full(b"stss", struct.pack(">I", len(keys)), _numbers(keys)))
        return _box(b"stbl", *boxes)


def _moov(tracks: list[_Track]) -> bytes:
    """Write ``moov``; times of the whole film count milliseconds."""
    begins = tracks[0].begins
    created = begins // 100 + _SINCE_1904
    lengths = [track.duration * 1000 // track.clock for track in tracks]
    lateness = [max(track.begins - begins, 0) * 10 for track in tracks]
    total = max(map(sum, zip(lengths, lateness, strict=True)))
    mvhd = struct.pack(">IIIIIHxxxxxxxxxx", created, created, 1000, total, 0x10000, 0x0100)
    boxes = [_full(b"mvhd", mvhd, _MATRIX, bytes(24), struct.pack(">I", len(tracks) + 1))]
    for number, (track, length, late) in enumerate(zip(tracks, lengths, lateness, strict=True), 1):
        tkhd = struct.pack(
            ">IIIxxxxIxxxxxxxxxxxxHxx",
            created,
            created,
            number,
            late + length,
            0 if track.is_video else 0x0100,
        )
        size = struct.pack(">II", track.width << 16, track.height << 16)
        edits = b""
        if late:  # nothing for so long, then all of it
            elst = struct.pack(">IIiIIiI", 2, late, -1, 0x10000, length, 0, 0x10000)
            edits = _box(b"edts", _full(b"elst", elst))
        handler = b"vide" if track.is_video else b"soun"
        mdhd = struct.pack(">IIIIHxx", created, created, track.clock, track.duration, 0x55C4)
        media_header = (
            _full(b"vmhd", bytes(8), flags=1) if track.is_video else _full(b"smhd", bytes(4))
        )
        own_file = _full(b"dref", struct.pack(">I", 1), _full(b"url ", flags=1))
        boxes.append(
            _box(
                b"trak",
                _full(b"tkhd", tkhd, _MATRIX, size, flags=3),
                edits,
                _box(
                    b"mdia",
                    _full(b"mdhd", mdhd),
                    _full(b"hdlr", bytes(4), handler, bytes(13)),
                    _box(b"minf", media_header, _box(b"dinf", own_file), track.table()),
                ),
            )
        )
    return _box(b"moov", *boxes)


# Samples and their descriptions


def _is_set(codec: Codec, nal: bytes) -> bool:
    """Whether this is a parameter set: SPS, PPS of H.264, VPS, SPS, PPS of H.265."""
    if codec is Codec.H264:
        return nal[0] & 0x1F in {7, 8}
    return nal[0] >> 1 & 0x3F in {32, 33, 34}


@lru_cache(maxsize=1024)
def _sample(codec: Codec, picture: bytes) -> bytes:
    """Write a picture as avc1 and hvc1 want it: NAL units behind their lengths, parameter sets left out."""
    nals = [nal for nal in split_annex_b(picture) if not _is_set(codec, nal)]
    return b"".join(struct.pack(">I", len(nal)) + nal for nal in nals)


def _sets(clip: Clip) -> list[bytes]:
    """Find the clip's parameter sets, each kind once, in the order of their types."""
    found: dict[int, bytes] = {}
    for nal in clip.nal_units[0]:
        if _is_set(clip.codec, nal):
            found.setdefault(nal[0] & 0x1F if clip.codec is Codec.H264 else nal[0] >> 1, nal)
    if len(found) != (2 if clip.codec is Codec.H264 else 3):
        raise ValueError("a clip that does not begin with its parameter sets cannot be an MP4 file")
    return [found[kind] for kind in sorted(found)]


def _visual(kind: bytes, clip: Clip, configuration: bytes) -> bytes:
    size = struct.pack(">HHIIIH", clip.width, clip.height, 0x480000, 0x480000, 0, 1)
    depth = struct.pack(">32xHh", 24, -1)
    return _box(kind, struct.pack(">6xH16x", 1), size, depth, configuration)


def _avc1(clip: Clip) -> bytes:
    sps, pps = _sets(clip)
    written = [b"\x01", sps[1:4], b"\xff\xe1", struct.pack(">H", len(sps)), sps]
    written += [b"\x01", struct.pack(">H", len(pps)), pps]
    if sps[1] in {100, 110, 122, 144}:
        written.append(b"\xfd\xf8\xf8\x00")  # 4:2:0, 8 bits
    return _visual(b"avc1", clip, _box(b"avcC", *written))


def _hvc1(clip: Clip) -> bytes:
    vps, sps, pps = _sets(clip)
    # NAL header (2), ids and layers (1), then profile, tier, compatibility, constraints, level: 12 bytes.
    profile = sps.replace(b"\0\0\3", b"\0\0")[3:15]
    layers = (sps[2] >> 1 & 7) + 1 << 3 | (sps[2] & 1) << 2
    # No minimal spatial segmentation, 4:2:0, 8 bits, no average rate, lengths of four bytes.
    rest = b"\xf0\x00\xfc\xfd\xf8\xf8\x00\x00" + bytes([layers | 3])
    arrays = b"".join(
        struct.pack(">BHH", 0x80 | nal[0] >> 1, 1, len(nal)) + nal for nal in (vps, sps, pps)
    )
    return _visual(b"hvc1", clip, _box(b"hvcC", b"\x01", profile, rest, b"\x03", arrays))


def _mp4a(sound: RecordedSound) -> bytes:
    rate = _AAC_RATES.index(sound.sample_rate)
    configuration = struct.pack(">H", 2 << 11 | rate << 7 | sound.channels << 3)  # AAC-LC
    decoder = _descriptor(4, b"\x40\x15", bytes(11), _descriptor(5, configuration))
    esds = _full(b"esds", _descriptor(3, bytes(3), decoder, _descriptor(6, b"\x02")))
    head = struct.pack(">6xH8xHHxxxxI", 1, sound.channels, 16, sound.sample_rate << 16)
    return _box(b"mp4a", head, esds)


def _descriptor(tag: int, *parts: bytes) -> bytes:
    return b"".join((bytes([tag, sum(map(len, parts))]), *parts))
