"""Playback audio: the answer to playaudio.cgi -> RecordedAudio (specification 3.3.2).

A chunk is about a second of audio. G.711 and G.726 (3.3.2.1), AAC-LC (3.3.2.2) with one more row in its header::

    G.7xx  AAC  size
    0      0    4     id 0xFF03 / 0xFF13 (2), camera number (2)
    4      4    4     audio data size (?)
           8    4     id 0xFF12 (2), Length 0x003C (2)
    8      12   4     start, Unix seconds
    12     16   4     reserved (1), zone hours (1), minutes (1), TZ info (1)
    16     20   4     end, Unix seconds
    20     24   4     reserved, or the size (?)
    24     28   4     zone sign 0 = + 1 = - (1), hours (1), minutes (1), summer time (1)
    28     32   4     codec 0 = G.726, 1 = G.711 (1), reserved (3); AAC: reserved
    32     36   4     reserved, or the size (?)
    36     40   28    reserved
    64     68   size  audio data; then zeros to a multiple of 4096, and perhaps the next chunk

AAC data is blocks of 1024 samples, one after the other::

    0      2     id 0xFF14 (printed once as 0xFF04)
    2      2     Length (?)
    4      4     padding size P (1), AU info (1), reserved (2); or P (2), AU info (1), reserved (1)
    8      0, 1  0x00, "unnecessary data"
           0, 4  AU header, where AU info is 1: 00 10, size of the frame (13 bits), index (3 bits)
           …     one raw AAC frame
           P     zeros, so that the block is a multiple of 4 bytes

What the specification leaves open (?) is found out from each answer: the right reading is the one under which each
block is followed by another and the last ends where the data size says. Integers are big-endian.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import NamedTuple

from nvrclient.errors import ProtocolError
from nvrclient.frames import Codec
from nvrclient.info import zone_of

__all__ = ["MAX_AUDIO", "MAX_BLOCKS", "MAX_CHUNKS", "AudioAnswer", "AudioReader", "RecordedAudio"]

MAX_AUDIO = 1 << 20
"""Largest answer in bytes. A second of the best AAC is 40 kB, of G.711 8 kB."""

MAX_BLOCKS = 512
"""Most AAC frames in a chunk: 5 s at 96 kHz, where about one second comes."""

MAX_CHUNKS = 16
"""Most chunks in an answer; the specification shows one."""

_ALIGNMENT = 4096
_SAMPLES, _FRAMES, _STREAM = b"\xff\x03", b"\xff\x13", b"\xff\x12"
_BLOCKS = (b"\xff\x14", b"\xff\x04")
_FRONT = Struct(">2xHI")  # camera number, the first row that may be the size
_ROWS = Struct(">I4BII4BB3xI")  # start … the row after the codec
_BLOCK = Struct(">2xHBBB")
_ZEROS = re.compile(rb"\0*")
_EPOCH = datetime.fromtimestamp(0, UTC)
_AU_HEADER = b"\x00\x10"  # AU-headers-length in bits: one header (RFC 3640 3.2.1)
# Of a raw frame: SCE or CPE with tag 0 and one more bit; else DSE, PCE or FIL, 3 bits each.
_FIRST_BYTES = (b"\x00", b"\x01", b"\x20", b"\x21")
_OTHER_FIRST_BYTES = [bytes((byte,)) for byte in range(0x80, 0xE0)]


@dataclass(frozen=True, slots=True)
class RecordedAudio:
    """About a second of recorded audio.

    | field | meaning |
    |---|---|
    | camera | camera number |
    | codec | ``Codec.AAC``, ``G726``, or for G.711 the law the reader was given |
    | start, end | as the recorder states them: whole seconds, aware, in the recorder's zone; may be equal |
    | blocks | AAC: raw frames of 1024 samples, without AU header or ADTS; else one piece of samples |
    """

    camera: int
    codec: Codec
    start: datetime
    end: datetime
    blocks: tuple[bytes, ...] = field(repr=False)

    def __repr__(self) -> str:
        return (
            f"<RecordedAudio {self.codec} camera={self.camera} {self.start.isoformat()}"
            f" {len(self.blocks)} blocks, {sum(map(len, self.blocks))} bytes>"
        )


@dataclass(frozen=True, slots=True)
class AudioAnswer:
    """What one answer held. ``damage`` says what could not be read of it; ``pieces`` are good all the same."""

    pieces: tuple[RecordedAudio, ...] = ()
    damage: ProtocolError | None = None


class _Header(NamedTuple):
    camera: int
    codec: Codec
    start: datetime
    end: datetime
    at: int  # of the chunk
    data: int  # offset of the audio data
    sizes: tuple[int, int, int]  # the rows that may hold the data size


class _Tail(NamedTuple):
    """What follows audio data."""

    next: int  # the next chunk, or the end of the body
    zeros: bool  # nothing but zeros before it
    aligned: bool  # as many as bring it to a multiple of 4096


class _Reading(NamedTuple):
    """How a block is read: bytes that Length leaves out, whether it counts the padding, whether P has two bytes."""

    left_out: int
    padding_counted: bool
    wide: bool


# Length counts the 8 bytes before the data, or not, or only the last 4; with 12 not the AU header either.
_READINGS = tuple(
    _Reading(left_out, counted, wide)
    for left_out in (0, 8, 4, 12)
    for counted in (True, False)
    for wide in (False, True)
)


class _Block(NamedTuple):
    offset: int
    data: bytes  # the frame, empty where there is none; where `raw`, perhaps behind a 0x00
    raw: bool = False  # no AU header says where the frame begins
    padding_zero: bool = True
    likely: bool = True  # what is read agrees with itself


class _Walk(NamedTuple):
    """The blocks that one reading finds from the first one on."""

    blocks: list[_Block]
    end: int
    row: int | None  # the row whose size is where they end
    followed: bool  # at `end` another block begins, which is not whole

    @property
    def proven(self) -> int:
        """Blocks behind which another begins: their end is certain."""
        return len(self.blocks) if self.followed else max(0, len(self.blocks) - 1)

    @property
    def likely(self) -> int:
        """Blocks in which all agrees."""
        return sum(block.likely for block in self.blocks)


class _Chunk(NamedTuple):
    header: _Header | None
    blocks: list[_Block]
    next: int
    damage: ProtocolError | None = None


class AudioReader:
    """Reads one recorder's answers for one camera, and tries first what held before.

    `law` is what G.711 means here, the specification does not say: ``Codec.PCMU`` or ``Codec.PCMA``. ``padding_bad``
    counts chunks whose padding was short, too long or not zero, which costs nothing.
    """

    def __init__(self, law: Codec = Codec.PCMU) -> None:
        self.padding_bad = 0
        self._law = law
        self._row: int | None = None  # which row held the data size
        self._reading = _READINGS[0]
        self._extra_zero: bool | None = None  # whether a 0x00 stands before raw frames

    def read(self, body: bytes) -> AudioAnswer:
        """Return what `body` holds; nothing where it is empty, only padding, or says size 0. Never raises.

        Of an answer cut short, AAC frames are given whose block is followed by another: nothing half is. Samples
        have nothing but their count to say where they end, so a cut chunk of G.711 or G.726 is dropped whole. After
        damage that leaves unknown where the next chunk begins, the rest is not read.
        """
        if not body.strip(b"\0"):
            return AudioAnswer()
        if len(body) > MAX_AUDIO:
            return AudioAnswer((), _damage(f"{len(body)} bytes of audio", body, MAX_AUDIO))
        chunks: list[_Chunk] = []
        at = 0
        damage: ProtocolError | None = None
        while at < len(body) and len(chunks) < MAX_CHUNKS:
            chunk = self._chunk(body, at)
            chunks.append(chunk)
            damage = damage or chunk.damage
            at = chunk.next
        if at < len(body):
            damage = damage or _damage(f"more than {MAX_CHUNKS} chunks of audio", body, at)
        raw = [block.data for chunk in chunks for block in chunk.blocks if block.raw]
        extra_zero = self._vote(raw, whole=damage is None)
        pieces: list[RecordedAudio] = []
        for header, blocks, _, _ in chunks:
            known = [block for block in blocks if not block.raw or extra_zero is not None]
            if header is not None and known:
                frames = tuple(
                    [block.data[1 if block.raw and extra_zero else 0 :] for block in known]
                )
                pieces.append(RecordedAudio(*header[:4], frames))
        return AudioAnswer(tuple(pieces), damage)

    def _chunk(self, body: bytes, at: int) -> _Chunk:
        header = self._header(body, at)
        if isinstance(header, ProtocolError):
            return _Chunk(None, [], len(body), header)
        tail = _tail(body, at, header.data)
        # An unused row need not be zero: once the right one is known, it alone says that there is nothing.
        told = self._row is not None and not header.sizes[self._row] and tail.zeros
        if (told or not any(header.sizes)) and body[header.data : header.data + 2] not in _BLOCKS:
            return self._padded(header, [], tail)
        if header.codec is Codec.AAC:
            return self._frames(body, header)
        return self._samples(body, header)

    def _header(self, body: bytes, at: int) -> _Header | ProtocolError:
        chunk_id = body[at : at + 2]
        if chunk_id not in {_SAMPLES, _FRAMES}:
            return _damage("this is no chunk of audio", body, at)
        is_aac = chunk_id == _FRAMES
        rows = at + (12 if is_aac else 8)
        data = rows + 56
        if data > len(body):
            return _damage("the header of the audio is cut", body, at)
        if is_aac and body[at + 8 : at + 10] != _STREAM:
            return _damage("the header of AAC lacks 0xFF12", body, at + 8)
        start, *tz, end, second, sign, hours, minutes, _, kind, third = _ROWS.unpack_from(
            body, rows
        )
        if sign > 1 or hours > 14 or minutes > 59:  # no zone of this world: then the start's row
            # Which bit of TZ info is the sign is open: 7, or counted from the other end, 0.
            _, hours, minutes, info = tz
            sign = info & 0x81
        zone = zone_of(minus=bool(sign), hours=hours, minutes=minutes)
        if not is_aac and kind > 1:
            return _damage(f"codec {kind} is neither G.726 (0) nor G.711 (1)", body, rows + 20)
        camera, first = _FRONT.unpack_from(body, at)
        codec = Codec.AAC if is_aac else self._law if kind else Codec.G726
        begin, finish = [(_EPOCH + timedelta(seconds=s)).astimezone(zone) for s in (start, end)]
        return _Header(camera, codec, begin, finish, at, data, (first, second, third))

    def _rows(self) -> list[int]:
        """Return the rows of the size, the one that held first."""
        return sorted(range(3), key=lambda row: row != self._row)

    def _padded(self, header: _Header, blocks: list[_Block], tail: _Tail) -> _Chunk:
        if not (tail.zeros and tail.aligned and all(block.padding_zero for block in blocks)):
            self.padding_bad += 1
        return _Chunk(header, blocks, tail.next)

    # G.711 and G.726

    def _samples(self, body: bytes, header: _Header) -> _Chunk:
        inside = [
            (row, header.data + size, _tail(body, header.at, header.data + size))
            for row in self._rows()
            if 0 < (size := header.sizes[row]) <= len(body) - header.data
        ]
        if not inside:
            message = f"audio data of {header.sizes[0]} bytes in an answer of {len(body)}"
            return _Chunk(None, [], len(body), _damage(message, body, header.at))
        row, end, tail = next((found for found in inside if found[2].zeros), inside[0])
        if tail.zeros:
            self._row = row
        samples = body[header.data : end]
        # A first sample can be 0x00 too. A second holds an even number of bytes, at 8 kHz and at all rates of
        # G.726, and so does a packet: one byte more than that is odd.
        if samples[0] == 0 and len(samples) % 2 and len(samples) > 1:
            samples = samples[1:]
        return self._padded(header, [_Block(header.data, samples)], tail)

    # AAC

    def _frames(self, body: bytes, header: _Header) -> _Chunk:
        walk = self._best_walk(body, header)
        blocks, damage, tail = walk.blocks, None, _tail(body, header.at, walk.end)
        if walk.row is None:
            damage = _damage("AAC blocks do not end where the data ends", body, walk.end)
            # The count is wrong or the answer is cut. Padding to 4096 shows the end of the last block as well as a
            # count; the end of the body does not, nor do zeros before it, which a frame can hold.
            ended = tail.zeros and tail.aligned and tail.next > walk.end
            if not (ended and blocks and blocks[-1].likely):
                blocks, tail = blocks[: walk.proven], _Tail(len(body), zeros=True, aligned=True)
        whole = [block for block in blocks if block.data]
        for lacking in (block for block in blocks if not block.data):
            damage = damage or _damage("an AAC block holds no frame", body, lacking.offset)
        return self._padded(header, whole, tail)._replace(damage=damage)

    def _best_walk(self, body: bytes, header: _Header) -> _Walk:
        targets = {row: header.data + header.sizes[row] for row in self._rows()}
        tried: list[tuple[_Walk, _Reading]] = []
        for reading in (self._reading, *_READINGS):
            walk = _walk(body, header.data, targets, reading)
            tried.append((walk, reading))
            if walk.row is not None and walk.likely == len(walk.blocks):
                break
        else:
            tried.sort(key=lambda one: (one[0].row is None, -one[0].proven, -one[0].likely))
            walk, reading = tried[0]
        if walk.row is not None:
            self._row, self._reading = walk.row, reading
        return walk

    def _vote(self, raw: list[bytes], *, whole: bool) -> bool | None:
        """Return whether the 0x00 that raw frames begin with is extra; None where no frame of a damaged answer tells.

        A frame of one channel begins with 00 or 01 by itself, so all blocks of an answer vote: with an extra zero,
        a frame's own first byte follows in each. An encoder's first frame begins with another element, and
        where one does, 00 and that could as well be a frame of one channel: those do not vote.
        """
        if any(frame[0] for frame in raw):
            return False
        voters = [frame for frame in raw[1:] if frame[1:2] not in _OTHER_FIRST_BYTES]
        if not voters and (self._extra_zero is not None or not whole):
            return self._extra_zero
        extra = all(frame[1:2] in _FIRST_BYTES for frame in voters or raw)
        if voters:
            self._extra_zero = extra
        return extra


def _walk(body: bytes, at: int, targets: dict[int, int], reading: _Reading) -> _Walk:
    blocks: list[_Block] = []
    ends: dict[int, int] = {}  # -> blocks up to there
    while (followed := body[at : at + 2] in _BLOCKS) and at + 8 <= len(body):
        length, *info = _BLOCK.unpack_from(body, at)
        padding, au_info = (info[0] << 8 | info[1], info[2]) if reading.wide else info[:2]
        end = at + length + reading.left_out + (0 if reading.padding_counted else padding)
        data_end = end - padding
        if data_end < at + 8 or end > len(body) or len(blocks) == MAX_BLOCKS:
            break
        data = body[at + 8 : data_end]
        frame = data if au_info == 0 else _behind_au_header(data) if au_info == 1 else b""
        padding_zero = not any(body[data_end:end])
        # A raw frame ends in the element END, 111, and bits up to a whole byte: never in 00.
        likely = padding_zero and frame[-1:] not in {b"", b"\0"}
        if not reading.wide and info[2] == 1:  # reserved then: this is AU info of the other order
            likely = False
        blocks.append(_Block(at, frame, not au_info, padding_zero, likely))
        at = end
        ends[at] = len(blocks)
    for row, target in targets.items():
        if target in ends:  # blocks behind it are leavings in the padding
            count = ends[target]
            return _Walk(blocks[:count], target, row, followed=count < len(blocks))
    return _Walk(blocks, at, None, followed)


def _behind_au_header(data: bytes) -> bytes:
    """Return the frame behind an AU header, which stands first or behind a 0x00; empty where none fits."""
    start = 0 if data.startswith(_AU_HEADER) else 1
    if data[:start].strip(b"\0") or data[start : start + 2] != _AU_HEADER:
        return b""
    size = int.from_bytes(data[start + 2 : start + 4], "big") >> 3
    rest = data[start + 4 :]
    if size + 1 == len(rest) and rest[0] == 0 != rest[-1]:  # the 0x00 may stand here as well
        return rest[1:]
    return rest[:size] if size <= len(rest) and not any(rest[size:]) else b""


def _tail(body: bytes, at: int, end: int) -> _Tail:
    """Look for the chunk after the one at `at`, whose data ends at `end`."""
    aligned = end + (at - end) % _ALIGNMENT
    match = _ZEROS.match(body, end)
    assert match is not None
    following = match.end()
    if following == len(body) or body[following : following + 2] in {_SAMPLES, _FRAMES}:
        return _Tail(following, zeros=True, aligned=following == aligned)
    if body[aligned : aligned + 2] in {_SAMPLES, _FRAMES}:
        return _Tail(aligned, zeros=False, aligned=True)
    return _Tail(len(body), zeros=False, aligned=False)


def _damage(message: str, body: bytes, offset: int) -> ProtocolError:
    return ProtocolError(
        f"{message} (offset {offset})",
        reading="playback audio",
        offset=offset,
        head=body[offset : offset + 32],
    )
