"""The switches of playback: how this recorder reads what the specification leaves open in chapter 3."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = [
    "NASTY_CAMERA_INFORMATION",
    "BlockLength",
    "ChunkLength",
    "Landing",
    "Nothing",
    "PlayStart",
    "PlaybackReadings",
    "Resume",
    "ReverseStart",
    "SizeRow",
    "StepStart",
    "VideoLength",
    "ZoneBits",
]

# Two TLVs whose data looks like the headers a reader may search for: a stream header in the first, packet
# and chunk headers in the second.
NASTY_CAMERA_INFORMATION = bytes.fromhex(
    "8003 0018 FF15000000000000 FF060044 0000000000000000"
    "8004 0014 FF050000 00000004 FF16FFFF FF060044"
)


class Landing(Enum):
    """Which GOP is the first after GOTODATE; in a gap the next is the one behind it."""

    HOLDING = "the one that holds TIMEF"
    NEAREST = "the one whose start is nearest to TIMEF"
    NEXT = "the first one that starts at TIMEF or after it"
    BEFORE = "the one before the one that holds TIMEF"


class PlayStart(Enum):
    """Where PLAY begins when nothing was being played back."""

    OLDEST = "at the first GOP"
    LAST_SEGMENT = "at the first GOP of the recording's last segment"
    NEWEST = "at the last GOP"
    STOPPED = "at the TIMEF of the UID's last STOP; at the first GOP without one"


class Resume(Enum):
    """Where PLAY goes on when something was being played back."""

    AFTER_SENT = "at the GOP after the last one sent"
    AT_TIME = (
        "at the GOP that holds the last TIMEF given; at the one after the last sent without one"
    )


class ReverseStart(Enum):
    """Which GOP is the first after BPLAY; in a gap, the one that holds TIMEF is the one in front of it."""

    HOLDING = "the one that holds TIMEF"
    BEFORE = "the one before it"


class StepStart(Enum):
    """Which GOP is the first after NEXTFRAME and PREVFRAME."""

    BESIDE_SENT = "the one after, or before, the last one sent to this UID and camera"
    BESIDE_TIME = "the one after, or before, the one that holds TIMEF"
    HOLDING = "the one that holds TIMEF: it comes again"


class Nothing(Enum):
    """How a request is answered for which there is nothing new."""

    REPEAT = "the last one again"
    NO_IMAGE = "a container without pictures, its 0x000C 0 (audio: its size 0)"
    NO_CONTENT = "204"
    EMPTY = "200 and an empty body"


class ChunkLength(Enum):
    """What the Length of the chunk header counts, modulo 65536."""

    INFORMATION = "itself and the TLVs up to the first picture's reserved bytes"
    AFTER_HEADER = "all that follows the chunk header, but for the final padding"
    WHOLE = "the same and the chunk header"
    PADDED = "the whole body's chunk with its final padding"
    ZERO = "nothing: it is 0"


class VideoLength(Enum):
    """What the Length of the video data counts."""

    DATA = "the data"
    PADDED = "the data and its padding"
    FROM_HEADER = "the packet from its header (0xFF05) on, with data and padding"


class ZoneBits(Enum):
    """Which bits of TZ info are sign and summer time."""

    HIGH = "7 and 6"
    LOW = "0 and 1"


class SizeRow(Enum):
    """Which row of the audio header is the audio data size; the value is its offset for G.711 and AAC."""

    FIRST = (4, 4)
    MIDDLE = (20, 24)
    LAST = (32, 36)


class BlockLength(Enum):
    """What the Length of an AAC block counts."""

    WHOLE = "its 8-byte header, the frame and the padding"
    AFTER_ID = "the second row of the header, the frame and the padding"
    PADDED = "the frame and the padding"
    WITHOUT_PADDING = "its 8-byte header and the frame"
    FRAME = "the frame"


@dataclass(frozen=True, slots=True)
class PlaybackReadings:
    """One reading of every doubt about playback (specification 3.2, 3.3); the defaults are the likeliest.

    Positions and rules

    | switch | meaning |
    |---|---|
    | landing, play_start, resume, reverse_start, step_start | see the enumerations |
    | end | what comes at either end of the recording |
    | too_soon | what comes until the last GOP or second sent has passed, ``pace`` times as fast; None: no waiting |
    | gap_answers | answers without pictures that are given at a gap |
    | without_audio | what playaudio.cgi answers for a camera that has recorded none |
    | gops_per_answer | chunks in one body of camera.cgi |
    | hidden_idr_every_answer | a hidden IDR comes in every answer, not only when playback begins there |
    | ends_live_setup | after MASK, live on this UID needs SCREEN=16X again |

    Video containers

    | switch | meaning |
    |---|---|
    | chunk_length, video_length, zone_bits | see the enumerations |
    | time_and_date | TLV 0x0007 is there |
    | camera_time | TLVs 0x0011 and 0x0012, of live audio by the table, are there too |
    | camera_information | the camera's TLVs in front of every picture |
    | gop_end_is_next | a GOP's end is the next one's start, not its last picture's time |
    | hidden_idr_starts_gop | a GOP's start is the time of its hidden IDR |
    | jpeg_soi | a JPEG begins with its SOI |
    | jpeg_compression | what TLV 0x0005 says of JPEG; None: it is missing |

    Audio containers

    | switch | meaning |
    |---|---|
    | size_row, block_length | see the enumerations |
    | zero_byte | one 0x00 stands in front of the samples, or of what each AAC block holds |
    | au_header | an AU header stands in front of each AAC frame |
    | padding_two_bytes | the row of an AAC block is padding (2), AU info (1), reserved (1) |
    | end_is_last_piece | the end is the time of the last piece, not the next one's start |

    Both

    | switch | meaning |
    |---|---|
    | final_padding | bodies are padded to 4096 |
    | padding_fill, reserved_fill | the byte that the final padding, and what is reserved, is filled with |
    | trailing | bytes behind all that |
    """

    landing: Landing = Landing.HOLDING
    play_start: PlayStart = PlayStart.OLDEST
    resume: Resume = Resume.AFTER_SENT
    reverse_start: ReverseStart = ReverseStart.BEFORE
    step_start: StepStart = StepStart.BESIDE_SENT
    end: Nothing = Nothing.NO_IMAGE
    too_soon: Nothing | None = None
    gap_answers: int = 0
    without_audio: Nothing = Nothing.NO_CONTENT
    gops_per_answer: int = 1
    hidden_idr_every_answer: bool = True
    ends_live_setup: bool = False

    chunk_length: ChunkLength = ChunkLength.INFORMATION
    video_length: VideoLength = VideoLength.DATA
    zone_bits: ZoneBits = ZoneBits.HIGH
    time_and_date: bool = True
    camera_time: bool = False
    camera_information: bytes = b""
    gop_end_is_next: bool = False
    hidden_idr_starts_gop: bool = False
    jpeg_soi: bool = True
    jpeg_compression: int | None = None

    size_row: SizeRow = SizeRow.FIRST
    block_length: BlockLength = BlockLength.WHOLE
    zero_byte: bool = False
    au_header: bool = True
    padding_two_bytes: bool = False
    end_is_last_piece: bool = False

    final_padding: bool = True
    padding_fill: int = 0
    reserved_fill: int = 0
    trailing: bytes = b""
