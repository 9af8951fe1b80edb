"""Playback video (§3.3.1): the body of a camera.cgi answer in, recorded groups of pictures out.

A body is one chunk, perhaps several. A chunk::

    FF15 | FF16, Length (2)        chunk header: H.264 or H.265;  JPEG: FFD8 FFFE, Length (2)
    TLVs                           recorder information (chapter 7)
    once per picture:
      TLVs                         camera information; undocumented, may be missing
      12                           reserved
      FF06 0044                    stream header
      16, 4, 1 1 1 1, 4, 1 1 1 1   GOP information: reserved, end, its detail, start, its detail
      16, 4, 1, 3, 8               picture information: reserved, time, 10 ms, reserved
      FF05, P (2), L (4), 16       packet header: padding count, Length of the video data, reserved
      data                         Annex B, or one JPEG
      P zero bytes                 alignment to 4
    zero bytes                     alignment of the chunk to 4096

Times are Unix seconds; a detail is 10 ms (1), zone hours (1), zone minutes (1), TZ info (1). Integers are big-endian.

What the chunk's Length covers is unsaid, so it is never used. What L covers is unsaid too: three readings are
tried on the whole chunk, and the one under which most falls into place is taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from struct import Struct
from typing import NamedTuple, TypeAlias

from nvrclient.codec.jpeg import parse_live_jpeg
from nvrclient.errors import ProtocolError
from nvrclient.frames import Codec, RecorderInfo
from nvrclient.info import parse_info, walk_tlvs, zone_of

__all__ = [
    "MAX_PICTURE",
    "MAX_PICTURES",
    "GopAnswer",
    "GopReader",
    "RecordedGop",
    "RecordedPicture",
]

MAX_PICTURE = 8 << 20
"""Largest picture in bytes: the largest of a 4K camera is under 4 MiB."""

MAX_PICTURES = 4096
"""Most pictures of one GOP: a minute, the longest distance between key frames that cameras offer, at 60 a second."""

MAX_DAMAGED = 8
"""Most damaged chunks of one body: behind each the search goes on, and this bounds what it costs."""

_BLOCK = 4096
_TLV = Struct(">HH")
_STAMPS = Struct(">20x IBBBB IBBBB 16x IB")  # of a stream header: GOP end and start, picture time
_PACKET = Struct(">2xHI")
_PACKET_SIZE = 24
_STREAM_SIZE = 68
_RESERVED = 12  # bytes before a stream header
_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
_CHUNKS = ((b"\xff\x15", Codec.H264), (b"\xff\x16", Codec.H265), (b"\xff\xd8\xff\xfe", Codec.JPEG))
_RECORDER_IDS = range(1, 0x100)  # the documented ones end at 0x0029

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ZERO_PADDING = re.compile(rb"\x00*")
# A stream header with its packet header; the second half is what camera information does not have by chance.
_STREAM = re.compile(rb"\xff\x06\x00\x44.{64}\xff\x05.{22}", re.DOTALL)
# A packet header without one counts only with a picture's beginning behind it.
_BARE_PACKET = re.compile(rb"\xff\x05.{22}(?:\x00?\x00\x00\x01|\xff\xd8)", re.DOTALL)
# A stream header, or a chunk header with a TLV of the recorder's behind it.
_MARK = re.compile(
    rb"(?=%b|\xff(?:[\x15\x16]|\xd8\xff\xfe)..\x00[^\x00]\x00[\x04-\xff])\xff" % _STREAM.pattern,
    re.DOTALL,
)
_NEVER = 1 << 30  # flaws of a reading that cannot be


@dataclass(frozen=True, slots=True)
class RecordedPicture:
    """One picture as recorded.

    ``data`` is Annex B without the padding, or one JPEG file from SOI to EOI. ``time`` is aware, exact to 10 ms,
    in the recorder's zone; a picture that states none has that of the one before. ``info`` is the chunk's, with
    the camera's TLVs of this picture in ``camera_info``.
    """

    data: bytes = field(repr=False)
    time: datetime
    info: RecorderInfo = field(repr=False)


@dataclass(frozen=True, slots=True)
class RecordedGop:
    """One whole chunk. ``start`` and ``end`` are the GOP's by its own statement, else its first and last picture's."""

    codec: Codec
    start: datetime
    end: datetime
    info: RecorderInfo = field(repr=False)
    pictures: tuple[RecordedPicture, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class GopAnswer:
    """What one body held.

    ``gops`` are the whole chunks in order, none where nothing is recorded; ``damage`` is what could not be read
    first, None when all was read.
    """

    gops: tuple[RecordedGop, ...]
    damage: ProtocolError | None


class _Reading(Enum):
    """What a packet header's L covers; the default first."""

    DATA = auto()  # the data alone
    PADDED = auto()  # data and padding
    PACKET = auto()  # packet header, data and padding


class _Packet(NamedTuple):
    """Where a picture's information ends and its headers stand; ``stream`` is None if it has no stream header."""

    info_end: int
    stream: int | None
    header: int


# Where a picture's camera information, the stream header that holds for it, and its data stand.
_Picture: TypeAlias = tuple[slice, int, slice]


@dataclass(slots=True)
class _Chunk:
    """A chunk up to its first picture; ``first`` is None if it says that it has none."""

    codec: Codec
    start: int
    info: RecorderInfo
    camera: int  # where the first picture's camera information begins,
    is_odd: bool  # which is no TLVs
    first: _Packet | None


@dataclass(slots=True)
class _Walk:
    """A chunk's pictures under one reading, and what was odd about them."""

    reading: _Reading
    pictures: list[_Picture] = field(default_factory=list[_Picture])
    end: int = 0
    oddities: int = 0
    padding_bad: int = 0
    error: ProtocolError | None = None

    @property
    def flaws(self) -> int:
        return self.oddities + self.padding_bad

    def fail(self, error: ProtocolError, flaws: int = _NEVER) -> _Walk:
        self.error, self.oddities = error, self.oddities + flaws
        return self


class GopReader:
    """Reads the bodies of one recorder; which reading of L held is kept and tried first.

    ``padding_bad`` counts padding, of a picture or a chunk, that is missing, short, too long or not zero.
    """

    def __init__(self) -> None:
        self.padding_bad = 0
        self._reading = _Reading.DATA

    def read(self, body: bytes) -> GopAnswer:
        """Take a body apart. Never raises.

        A chunk is given whole or not at all: it is whole if it has as many pictures as its TLV 0x0008 says, and
        what follows them is padding whatever it holds. Without TLV 0x0008 it is whole if zero padding to 4096,
        another chunk, or a picture of the time at which the GOP ends is last. So of a body that was cut, the
        chunks before the cut come out and the one cut is damage; a cut inside the final padding loses nothing.
        Behind damage the next chunk is looked for behind zeros and at multiples of 4096 bytes.
        """
        gops: list[RecordedGop] = []
        damages: list[ProtocolError] = []
        scan = _Scan(body)
        start = scan.skip_zeros(0)
        while start < len(body) and len(damages) < MAX_DAMAGED:
            try:
                chunk = scan.open_chunk(start)
                end = chunk.camera
                if chunk.first is not None:
                    walk = self._choose(scan, chunk)
                    gops.append(_gop(body, chunk, walk))
                    end = walk.end
            except ProtocolError as error:
                damages.append(error)
                end = start + 1
            start = scan.next_chunk(start, end)
        return GopAnswer(tuple(gops), damages[0] if damages else None)

    def _choose(self, scan: _Scan, chunk: _Chunk) -> _Walk:
        """Return the walk with the fewest flaws; of equals the reading that held before, then the order above.

        A body that ends inside a picture is one flaw and no more, or a cut picture would come out by a reading
        that takes its last bytes for something else.
        """
        walks: list[_Walk] = []
        for reading in sorted(_Reading, key=lambda reading: reading is not self._reading):
            walks.append(scan.walk(chunk, reading))
            if not walks[-1].flaws:
                break
        # A JPEG shows its own end: a reading under which it is whole is right.
        is_jpeg = chunk.codec is Codec.JPEG
        best = min(walks, key=lambda walk: (walk.flaws, is_jpeg and walk.error is not None))
        if best.error is not None:
            raise best.error
        self._reading = best.reading
        self.padding_bad += best.padding_bad
        return best


class _Scan:
    """One body and the ways to move in it, all of them forwards."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        # Walks over hostile TLVs can overlap: all of them together are bounded.
        self._steps = len(body)

    def skip_zeros(self, at: int, limit: int | None = None) -> int:
        found = _ZERO_PADDING.match(self.body, at, len(self.body) if limit is None else limit)
        return found.end() if found else at

    def codec_at(self, at: int) -> Codec | None:
        return next((codec for head, codec in _CHUNKS if self.body.startswith(head, at)), None)

    def marks(self, start: int, at: int) -> Iterator[int]:
        """Find stream headers and, where chunks can stand, chunk headers, behind ``at`` in the chunk of ``start``."""
        for mark in _MARK.finditer(self.body, at):
            found = mark.start()
            can_stand = found == at or not self.body[found - 1] or (found - start) % _BLOCK == 0
            if can_stand or self.codec_at(found) is None:
                yield found

    def next_chunk(self, start: int, at: int) -> int:
        """Return where a chunk behind the one of ``start`` begins, not before ``at``; the body's end if nowhere."""
        found = self.skip_zeros(at)
        if self.codec_at(found):
            return found
        chunks = (mark for mark in self.marks(start, at) if self.codec_at(mark))
        return next(chunks, len(self.body))

    def packet_at(self, at: int) -> _Packet | None:
        for stream in (at, at + _RESERVED):
            if _STREAM.match(self.body, stream):
                return _Packet(at, stream, stream + _STREAM_SIZE)
        return _Packet(at, None, at) if _BARE_PACKET.match(self.body, at) else None

    def tlvs(self, at: int) -> tuple[list[tuple[int, int]], int, _Packet | None]:
        """Walk TLVs to the next packet: their ids and offsets, where the walk ended, and the packet if one is there."""
        found: list[tuple[int, int]] = []
        doubtful = None
        while self._steps:
            self._steps -= 1
            head = self.body[at : at + _TLV.size].ljust(_TLV.size, b"\0")
            tlv_id, length = _TLV.unpack(head)
            is_tlv = length >= _TLV.size and at + length <= len(self.body)
            packet = self.packet_at(at)
            if packet is not None and (packet.stream != at + _RESERVED or not is_tlv):
                return found, at, packet
            if packet is not None and doubtful is None:
                # Reserved bytes that look like a TLV, or a TLV with a picture's headers inside. It is the TLV if
                # another packet is found behind it.
                doubtful = found[:], at, packet
            if not is_tlv:
                break
            found.append((tlv_id, at))
            at += length
        return doubtful or (found, at, None)

    def open_chunk(self, start: int) -> _Chunk:
        """Read a chunk's header and information up to its first picture. Raises ProtocolError."""
        codec = self.codec_at(start)
        if codec is None:
            raise self.error("has no chunk header", start)
        begin = start + (6 if codec is Codec.JPEG else 4)
        tlvs, at, packet = self.tlvs(begin)
        # Nothing stands between recorder and camera information. The camera's begins with the first id that the
        # recorder would not use, or that comes again.
        seen: set[int] = set()
        camera = at
        for tlv_id, offset in tlvs:
            if tlv_id in seen or tlv_id not in _RECORDER_IDS:
                camera = offset
                break
            seen.add(tlv_id)
        broken = int.from_bytes(self.body[at : at + 2], "big")
        if packet is None and camera == at and broken in _RECORDER_IDS:
            raise self.error(f"has a recorder TLV {broken:#06x} of impossible Length", at)
        info = parse_info(self.body[begin:camera])
        is_odd = packet is None
        if is_odd:
            packet = self.resume(start, camera)
        if info.has_image is False or (packet is None and info.frame_count == 0):
            packet = None
        elif packet is None or packet.stream is None:
            raise self.error("has a chunk without a picture and its stream header", at)
        return _Chunk(codec, start, info, camera, is_odd, packet)

    def is_over(self, at: int) -> bool:
        """Whether nothing of a chunk is left: only zeros up to the next chunk or the body's end."""
        behind = self.skip_zeros(at)
        return behind == len(self.body) or self.codec_at(behind) is not None

    def is_padded(self, start: int, at: int) -> bool:
        """Whether zeros, one at least, fill the chunk's last block."""
        return 0 < (start - at) % _BLOCK <= self.skip_zeros(at) - at

    def is_whole(self, chunk: _Chunk, walk: _Walk) -> bool:
        """Whether a chunk that states no number of pictures has its last one."""
        _, stream, data = walk.pictures[-1]
        followed = self.is_padded(chunk.start, walk.end) or self.codec_at(self.skip_zeros(walk.end))
        # Behind a Length too great, which took zeros or pictures in, they prove nothing.
        if followed and self.body[data.stop - 1]:
            return True
        stamps = _STAMPS.unpack_from(self.body, stream)
        return self.is_over(walk.end) and stamps[:2] == stamps[10:]

    def resume(self, start: int, at: int) -> _Packet | None:
        """Return the chunk's next packet behind information that is no TLVs."""
        mark = None if self.is_over(at) else next(self.marks(start, at), None)
        if mark is None or self.codec_at(mark):
            return None
        return _Packet(mark, mark, mark + _STREAM_SIZE)

    def walk(self, chunk: _Chunk, reading: _Reading) -> _Walk:
        """Follow a chunk's pictures under one reading, with what is odd about them counted."""
        walk = _Walk(reading)
        # A JPEG chunk has one picture and no repetition, whatever it says.
        count = 1 if chunk.codec is Codec.JPEG else chunk.info.frame_count
        camera, stream, packet = chunk.camera, chunk.start, chunk.first
        while packet is not None:
            data = packet.header + _PACKET_SIZE
            padding, length = _PACKET.unpack_from(self.body, packet.header)
            if length > MAX_PICTURE:
                return walk.fail(self.error(f"has a picture of {length} bytes", packet.header))
            stated = (packet.header if reading is _Reading.PACKET else data) + length
            if stated > len(self.body):
                return walk.fail(self.error("ends inside a picture", packet.header), 1)
            # Where the count is not true, the zeros are.
            if reading is _Reading.DATA:
                end, behind = stated, stated + padding
                if self.skip_zeros(end, behind) < behind:
                    behind = end
            else:
                tail = self.body[max(data, stated - 3) : stated]
                end, behind = stated - len(tail) + len(tail.rstrip(b"\0")), stated
            walk.padding_bad += behind - end != padding or padding > 3
            if end <= data:
                return walk.fail(self.error("has a picture without data", packet.header))
            if chunk.codec is Codec.JPEG:
                if _jpeg(self.body[data:end]) is None:
                    return walk.fail(self.error("has a picture that is no whole JPEG", data))
                # What follows its end may be the next chunk's beginning, by a Length that is read too long.
                walk.oddities += not self.body[data:end].rstrip(b"\0").endswith(_EOI)
            # No NAL unit and no JPEG ends in 00, and none is padded to more than 4.
            walk.oddities += (not self.body[end - 1]) + (self.body[end - 4 : end] == bytes(4))
            stream = packet.stream or stream
            walk.pictures.append((slice(camera, packet.info_end), stream, slice(data, end)))
            walk.end = camera = behind
            if len(walk.pictures) == count:
                break
            if len(walk.pictures) == MAX_PICTURES:
                return walk.fail(self.error("has too many pictures in a chunk", behind))
            packet = self.next_packet(chunk, end, behind, walk)
        if count and len(walk.pictures) != count:
            return walk.fail(self.error(f"has {len(walk.pictures)} of {count} pictures", walk.end))
        if not count and not self.is_whole(chunk, walk):
            return walk.fail(self.error("has neither picture nor padding next", walk.end))
        next_at = walk.end + (chunk.start - walk.end) % _BLOCK
        followed = next_at == len(self.body) or self.codec_at(next_at)
        walk.padding_bad += not followed or self.skip_zeros(walk.end, next_at) < next_at
        return walk

    def next_packet(self, chunk: _Chunk, end: int, behind: int, walk: _Walk) -> _Packet | None:
        """Return the packet behind a picture whose data ends at ``end``; None if the chunk is over."""
        if self.is_over(behind):
            return None
        # Where the padding was miscounted, the information begins a few zeros before or behind.
        for at in (behind, *range(end, min(self.skip_zeros(end), behind + 3) + 1)):
            packet = self.tlvs(at)[2]
            if packet is not None:
                walk.padding_bad += at != behind
                return packet
        if self.is_padded(chunk.start, behind):
            return None
        # Only what begins as the first picture's information did is information; other bytes are left of a
        # picture whose Length is not true, or the reading is wrong.
        known = self.body[chunk.camera : chunk.camera + 2]
        if chunk.is_odd or (known != b"\0\0" and self.body.startswith(known, behind)):
            walk.oddities += 1
            return self.resume(chunk.start, behind)
        return None

    def error(self, what: str, at: int) -> ProtocolError:
        message, head = f"playback video of {len(self.body)} bytes {what}", self.body[at : at + 32]
        return ProtocolError(message, reading="playback video", offset=at, head=head)


def _jpeg(data: bytes) -> bytes | None:
    """Return the JPEG file from SOI to EOI, None if there is none; what its segments hold is the decoder's concern."""
    data = data if data.startswith(_SOI) else _SOI + data
    whole = data.rstrip(b"\0")
    if whole.startswith(_SOI + b"\xff") and whole.endswith(_EOI):
        return whole
    try:
        return parse_live_jpeg(data).jpeg  # something else follows its EOI
    except ProtocolError:
        return None


def _gop(body: bytes, chunk: _Chunk, walk: _Walk) -> RecordedGop:
    """Put together what a walk has found."""
    info = chunk.info
    first = last = _STAMPS.unpack_from(body, walk.pictures[0][1])
    # TLV 0x0007 is unambiguous. Of the TZ info it is unsaid which bit is the sign: 7 or 0.
    _, hours, minutes, tz_info = first[6:10] if first[5] else first[1:5]
    own_zone = zone_of(minus=bool(tz_info & 0x81), hours=hours, minutes=minutes)
    zone = info.time.tzinfo if info.time else own_zone

    def clock(seconds: int, hundredths: int) -> datetime | None:
        if not seconds:
            return None
        fraction = 10 * hundredths if hundredths < 100 else 0
        return (_EPOCH + timedelta(seconds=seconds, milliseconds=fraction)).astimezone(zone)

    start = clock(*first[5:7])
    time = info.time or start or _EPOCH
    pictures: list[RecordedPicture] = []
    for camera, stream, span in walk.pictures:
        last = _STAMPS.unpack_from(body, stream)
        time = clock(*last[10:]) or time
        data = (_jpeg(body[span]) or b"") if chunk.codec is Codec.JPEG else body[span]
        camera_info = dict(walk_tlvs(body[camera]))
        own = replace(info, camera_info=camera_info) if camera_info else info
        pictures.append(RecordedPicture(data, time, own))
    end = clock(*last[:2])
    return RecordedGop(chunk.codec, start or pictures[0].time, end or time, info, tuple(pictures))
