"""Golden answers of camera.cgi and playaudio.cgi, typed by hand from the tables of the specification's 3.3, a row a line.

The simulator's writers and the client's parsers are each checked against these, so that the two cannot share a
misreading. Beside each body stands what a reader should find in it. Times are hundredths of a second since the
Unix epoch, from 2023-11-15 00:00:00 UTC = 1 700 006 400 = 65 54 0A 00 on. Where the specification is open, the
bodies follow the likeliest reading.
"""

from __future__ import annotations

from dataclasses import dataclass, field

h = bytes.fromhex

MIDNIGHT = 1_700_006_400_00


@dataclass(frozen=True)
class GoldenGop:
    """An answer of camera.cgi. ``pictures`` are (time, data), hidden ones first; ``zone`` is in minutes."""

    body: bytes
    camera: int
    codec: str
    start: int
    end: int
    pictures: tuple[tuple[int, bytes], ...]
    zone: int = 0
    summer_time: bool = False
    fps: float = 15
    operation: int = 2
    step: int = 0
    hidden: int = 0
    long_term: int = 0
    idr_display: int = 0
    has_image: bool = True
    camera_info: dict[int, bytes] = field(default_factory=dict[int, bytes])


@dataclass(frozen=True)
class GoldenSound:
    """An answer of playaudio.cgi. ``pieces`` are bare: AAC frames without AU header, samples without a 0x00 in front."""

    body: bytes
    camera: int
    codec: str
    start: int
    end: int
    pieces: tuple[bytes, ...]
    zone: int = 0
    summer_time: bool = False
    zero_byte: bool = False
    au_header: bool = False


# H.264, camera 1, +09:00, two pictures 70 ms apart, the first an IDR with its sets.

H264_IDR = h("00000001 0910  00000001 6742C01E  00000001 68CE3C80  00000001 65888433FF")  # 31 bytes
H264_P = h("00000001 0930  00000001 419A2466")  # 14 bytes

H264 = GoldenGop(
    h(
        # chunk header: id 0xFF15, Length = 4 + 112
        "FF15 0074"
        # recorder information: 11 TLVs of 8 and 2 of 12 = 112 bytes
        "0004 0008 0001 0000"  # camera channel: 1
        "0005 0008 0003 0000"  # compression: 3 = H.264
        "0006 0008 0000002D"  # data size: 31 + 14 = 45
        "0007 000C 65540A00 00 09 00 00"  # time and date: seconds, +, 9 h, 0 min, no summer time
        "0008 0008 0002 0000"  # frame number: 2
        "0009 0008 0096 0000"  # frame rate: 10 x 15
        "000A 0008 0000 0000"  # frame time: 0 ms
        "000B 000C 0000000000000000"  # reserved
        "000C 0008 0001 0000"  # image data present: 1 = there
        "000D 0008 02 00 0000"  # status: playback, step undefined
        "0027 0008 0001 0000"  # start code: with
        "0028 0008 0000 0000"  # long-term reference P: none
        "0029 0008 0000 0000"  # IDR show/hide: other
        # first picture
        "00000000 00000000 00000000"  # 12 reserved
        "FF06 0044"  # stream header: Length 4 + 32 + 32
        "00000000 00000000 00000000 00000000"  # GOP information: 16 reserved
        "65540A00 07 09 00 00"  # end time; 70 ms, 9 h, 0 min, TZ info: +, no summer time
        "65540A00 00 09 00 00"  # start time; 0 ms, the same
        "00000000 00000000 00000000 00000000"  # picture information: 16 reserved
        "65540A00 00 000000"  # time; 0 ms, 3 reserved
        "00000000 00000000"  # 8 reserved
        "FF05 0001"  # packet header: 1 byte of zero padding
        "0000001F"  # Length of the video data: 31
        "00000000 00000000 00000000 00000000"  # 16 reserved
        "00000001 0910"  # video data: delimiter,
        "00000001 6742C01E"  # SPS,
        "00000001 68CE3C80"  # PPS,
        "00000001 65888433FF"  # slice of an IDR
        "00"  # zero padding to 4 bytes
        # second picture
        "00000000 00000000 00000000"
        "FF06 0044"
        "00000000 00000000 00000000 00000000"
        "65540A00 07 09 00 00"
        "65540A00 00 09 00 00"
        "00000000 00000000 00000000 00000000"
        "65540A00 07 000000"  # time; 70 ms
        "00000000 00000000"
        "FF05 0002"  # 2 bytes of zero padding
        "0000000E"  # 14
        "00000000 00000000 00000000 00000000"
        "00000001 0930"  # delimiter,
        "00000001 419A2466"  # slice of a P picture
        "0000"
    )
    # 4 + 112 + (104 + 31 + 1) + (104 + 14 + 2) = 372
    + bytes(4096 - 372),
    camera=1,
    codec="H264",
    start=MIDNIGHT,
    end=MIDNIGHT + 7,
    pictures=((MIDNIGHT, H264_IDR), (MIDNIGHT + 7, H264_P)),
    zone=9 * 60,
)

# H.265, camera 300, -03:30 with summer time, in fast forward step 3: an IDR in two tiles 10 ms before the second
# turns, and a P picture 30 ms after it.

H265_IDR = h(
    "00000001 460150  00000001 40010C01  00000001 4201010160  00000001 4401C172"
    "00000001 2601AF0940  00000001 2601000F127F"
)  # 7 + 8 + 9 + 8 + 9 + 10 = 51 bytes
H265_P = h("00000001 460150  00000001 0201D0097E")  # 7 + 9 = 16 bytes

H265 = GoldenGop(
    h(
        # chunk header: id 0xFF16, Length
        "FF16 0074"
        "0004 0008 012C 0000"  # camera channel: 300
        "0005 0008 0004 0000"  # compression: 4 = H.265
        "0006 0008 00000043"  # data size: 51 + 16 = 67
        "0007 000C 65540A00 01 03 1E 01"  # seconds; 1 = -, 3 h, 30 min, summer time
        "0008 0008 0002 0000"  # frame number: 2
        "0009 0008 00FA 0000"  # frame rate: 10 x 25
        "000A 0008 0063 0000"  # frame time: 990 ms
        "000B 000C 0000000000000000"  # reserved
        "000C 0008 0001 0000"  # image data present
        "000D 0008 04 03 0000"  # status: fast forward, step 3
        "0027 0008 0001 0000"  # start code: with
        "0028 0008 0000 0000"  # long-term reference P: none
        "0029 0008 0000 0000"  # IDR show/hide: other
        # first picture
        "00000000 00000000 00000000"
        "FF06 0044"
        "00000000 00000000 00000000 00000000"
        "65540A01 03 03 1E C0"  # end: 30 ms, 3 h, 30 min, TZ info: bit 7 = -, bit 6 = summer time
        "65540A00 63 03 1E C0"  # start: 990 ms
        "00000000 00000000 00000000 00000000"
        "65540A00 63 000000"
        "00000000 00000000"
        "FF05 0001"
        "00000033"  # 51
        "00000000 00000000 00000000 00000000"
        "00000001 460150"  # delimiter,
        "00000001 40010C01"  # VPS,
        "00000001 4201010160"  # SPS,
        "00000001 4401C172"  # PPS,
        "00000001 2601AF0940"  # first tile of the IDR,
        "00000001 2601000F127F"  # second tile
        "00"
        # second picture
        "00000000 00000000 00000000"
        "FF06 0044"
        "00000000 00000000 00000000 00000000"
        "65540A01 03 03 1E C0"
        "65540A00 63 03 1E C0"
        "00000000 00000000 00000000 00000000"
        "65540A01 03 000000"
        "00000000 00000000"
        "FF05 0000"  # no padding
        "00000010"  # 16
        "00000000 00000000 00000000 00000000"
        "00000001 460150"  # delimiter,
        "00000001 0201D0097E"  # slice of a P picture
    )
    # 4 + 112 + (104 + 51 + 1) + (104 + 16) = 392
    + bytes(4096 - 392),
    camera=300,
    codec="H265",
    start=MIDNIGHT + 99,
    end=MIDNIGHT + 103,
    pictures=((MIDNIGHT + 99, H265_IDR), (MIDNIGHT + 103, H265_P)),
    zone=-(3 * 60 + 30),
    summer_time=True,
    fps=25,
    operation=4,
    step=3,
)

# JPEG, camera 4, +01:00 with summer time. "0x0005 has no value for JPEG": it is missing.

PICTURE = h("FFD8 FFDB 0004 0102 FFD9")  # SOI, a segment, EOI: 10 bytes

JPEG = GoldenGop(
    h(
        # chunk header FF D8 FF FE (4) + Length (2) = 2 + 104, by JPEG's rule
        "FFD8 FFFE 006A"
        "0004 0008 0004 0000"  # camera channel: 4
        "0006 0008 0000000A"  # data size: 10
        "0007 000C 65540A00 00 01 00 01"  # time and date: +, 1 h, 0 min, summer time
        "0008 0008 0001 0000"  # frame number: 1
        "0009 0008 0032 0000"  # frame rate: 10 x 5
        "000A 0008 0014 0000"  # frame time: 200 ms
        "000B 000C 0000000000000000"  # reserved
        "000C 0008 0001 0000"  # image data present
        "000D 0008 08 00 0000"  # status: previous image
        "0027 0008 0001 0000"  # start code: fixed value
        "0028 0008 0000 0000"
        "0029 0008 0000 0000"
        # the picture
        "00000000 00000000 00000000"  # 12 reserved
        "FF06 0044"
        "00000000 00000000 00000000 00000000"
        "65540A00 14 01 00 40"  # end: 200 ms, 1 h, 0 min, TZ info: bit 6 = summer time
        "65540A00 14 01 00 40"  # start
        "00000000 00000000 00000000 00000000"
        "65540A00 14 000000"  # time
        "00000000 00000000"
        "FF05 0002"
        "0000000A"
        "00000000 00000000 00000000 00000000"
        "FFD8 FFDB 0004 0102 FFD9"  # JPEG data
        "0000"
    )
    # 6 + 104 + (104 + 10 + 2) = 226
    + bytes(4096 - 226),
    camera=4,
    codec="JPEG",
    start=MIDNIGHT + 20,
    end=MIDNIGHT + 20,
    pictures=((MIDNIGHT + 20, PICTURE),),
    zone=60,
    summer_time=True,
    fps=5,
    operation=8,
)

# H.264 again, UTC, with two TLVs of the camera's in front of each picture.

CAMERA_INFORMATION = h("8001 0008 00000001  8002 000C 0102030405060708")

H264_WITH_CAMERA_INFORMATION = GoldenGop(
    h(
        "FF15 0088"  # Length: 4 + 112 + 20
        "0004 0008 0001 0000"
        "0005 0008 0003 0000"
        "0006 0008 0000002D"
        "0007 000C 65540A00 00 00 00 00"
        "0008 0008 0002 0000"
        "0009 0008 0096 0000"
        "000A 0008 0000 0000"
        "000B 000C 0000000000000000"
        "000C 0008 0001 0000"
        "000D 0008 03 00 0000"  # status: reverse
        "0027 0008 0001 0000"
        "0028 0008 0000 0000"
        "0029 0008 0000 0000"
        # first picture
        "8001 0008 00000001"  # camera information: undocumented id, Length counts its own 4
        "8002 000C 0102030405060708"
        "00000000 00000000 00000000"  # 12 reserved
        "FF06 0044"
        "00000000 00000000 00000000 00000000"
        "65540A00 07 00 00 00"
        "65540A00 00 00 00 00"
        "00000000 00000000 00000000 00000000"
        "65540A00 00 000000"
        "00000000 00000000"
        "FF05 0001"
        "0000001F"
        "00000000 00000000 00000000 00000000"
        "00000001 0910  00000001 6742C01E  00000001 68CE3C80  00000001 65888433FF"
        "00"
        # second picture
        "8001 0008 00000001"
        "8002 000C 0102030405060708"
        "00000000 00000000 00000000"
        "FF06 0044"
        "00000000 00000000 00000000 00000000"
        "65540A00 07 00 00 00"
        "65540A00 00 00 00 00"
        "00000000 00000000 00000000 00000000"
        "65540A00 07 000000"
        "00000000 00000000"
        "FF05 0002"
        "0000000E"
        "00000000 00000000 00000000 00000000"
        "00000001 0930  00000001 419A2466"
        "0000"
    )
    # 372 + 2 x 20
    + bytes(4096 - 412),
    camera=1,
    codec="H264",
    start=MIDNIGHT,
    end=MIDNIGHT + 7,
    pictures=((MIDNIGHT, H264_IDR), (MIDNIGHT + 7, H264_P)),
    operation=3,
    camera_info={0x8001: h("00000001"), 0x8002: h("0102030405060708")},
)

# H.264 with long-term reference P: the IDR of 00:00:00.00 is there for decoding only, the P picture of
# 00:00:01.00 is the GOP.

H264_HIDDEN_IDR = GoldenGop(
    h(
        "FF15 0074"
        "0004 0008 0001 0000"
        "0005 0008 0003 0000"
        "0006 0008 0000002D"
        "0007 000C 65540A01 00 00 00 00"  # time of the picture to show
        "0008 0008 0002 0000"  # frame number: 2, the hidden one counted
        "0009 0008 0096 0000"
        "000A 0008 0000 0000"
        "000B 000C 0000000000000000"
        "000C 0008 0001 0000"
        "000D 0008 02 00 0000"
        "0027 0008 0001 0000"
        "0028 0008 0011 0000"  # long-term reference P: 0x0011 = this GOP has it
        "0029 0008 0002 0000"  # IDR show/hide: 2 = hide
        # the IDR
        "00000000 00000000 00000000"
        "FF06 0044"
        "00000000 00000000 00000000 00000000"
        "65540A01 00 00 00 00"  # end
        "65540A01 00 00 00 00"  # start
        "00000000 00000000 00000000 00000000"
        "65540A00 00 000000"  # its time, before the start
        "00000000 00000000"
        "FF05 0001"
        "0000001F"
        "00000000 00000000 00000000 00000000"
        "00000001 0910  00000001 6742C01E  00000001 68CE3C80  00000001 65888433FF"
        "00"
        # the P picture
        "00000000 00000000 00000000"
        "FF06 0044"
        "00000000 00000000 00000000 00000000"
        "65540A01 00 00 00 00"
        "65540A01 00 00 00 00"
        "00000000 00000000 00000000 00000000"
        "65540A01 00 000000"
        "00000000 00000000"
        "FF05 0002"
        "0000000E"
        "00000000 00000000 00000000 00000000"
        "00000001 0930  00000001 419A2466"
        "0000"
    )
    + bytes(4096 - 372),
    camera=1,
    codec="H264",
    start=MIDNIGHT + 100,
    end=MIDNIGHT + 100,
    pictures=((MIDNIGHT, H264_IDR), (MIDNIGHT + 100, H264_P)),
    hidden=1,
    long_term=0x0011,
    idr_display=2,
)

# Nothing there: information only. ``start``, ``end`` and ``pictures`` are those of what was sent before.

H264_NO_IMAGE = GoldenGop(
    h(
        "FF15 0074"
        "0004 0008 0001 0000"
        "0005 0008 0003 0000"
        "0006 0008 00000000"  # data size: 0
        "0007 000C 65540A00 00 00 00 00"
        "0008 0008 0000 0000"  # frame number: 0
        "0009 0008 0096 0000"
        "000A 0008 0000 0000"
        "000B 000C 0000000000000000"
        "000C 0008 0000 0000"  # image data present: 0 = not
        "000D 0008 02 00 0000"
        "0027 0008 0001 0000"
        "0028 0008 0000 0000"
        "0029 0008 0000 0000"
    )
    + bytes(4096 - 116),
    camera=1,
    codec="H264",
    start=MIDNIGHT,
    end=MIDNIGHT,
    pictures=((MIDNIGHT, H264_IDR),),
    has_image=False,
)

GOPS = {
    "H.264": H264,
    "H.265": H265,
    "JPEG": JPEG,
    "H.264 with camera information": H264_WITH_CAMERA_INFORMATION,
    "H.264 with a hidden IDR": H264_HIDDEN_IDR,
    "H.264 without images": H264_NO_IMAGE,
}

# G.711, camera 2, +09:00 with summer time: offsets of the rows in front.

SAMPLES = h("FF7F8000")

G711 = GoldenSound(
    h(
        "FF03 0002"  # 0: id, camera number
        "00000004"  # 4: audio data size
        "65540A00"  # 8: start time
        "00 09 00 40"  # 12: reserved, TZ hour, TZ minute, TZ info: bit 6 = summer time
        "65540A01"  # 16: end time
        "00000000"  # 20: reserved
        "00 09 00 01"  # 24: TZ sign, TZ hour, TZ minute, summer time
        "01 000000"  # 28: codec: 1 = G.711; reserved
        "00000000"  # 32: reserved
        "00000000 00000000 00000000 00000000 00000000 00000000 00000000"  # 36: 28 reserved
        "FF7F8000"  # 64: samples
    )
    + bytes(4096 - 68),
    camera=2,
    codec="PCMU",
    start=MIDNIGHT,
    end=MIDNIGHT + 100,
    pieces=(SAMPLES,),
    zone=9 * 60,
    summer_time=True,
)

# G.726, camera 300, -03:30, a 0x00 in front of the samples.

G726 = GoldenSound(
    h(
        "FF03 012C"
        "00000005"  # audio data size: 1 + 4
        "65540A00"
        "00 03 1E 80"  # reserved, 3 h, 30 min, TZ info: bit 7 = -
        "65540A01"
        "00000000"
        "01 03 1E 00"  # 1 = -, 3 h, 30 min, no summer time
        "00 000000"  # codec: 0 = G.726
        "00000000"
        "00000000 00000000 00000000 00000000 00000000 00000000 00000000"
        "00 FF7F8000"  # 0x00, samples
    )
    + bytes(4096 - 69),
    camera=300,
    codec="G726",
    start=MIDNIGHT,
    end=MIDNIGHT + 100,
    pieces=(SAMPLES,),
    zone=-(3 * 60 + 30),
    zero_byte=True,
)

# AAC-LC, camera 1, UTC: two blocks.

AAC_FRAMES = (h("01402280A37F"), h("014022A1"))

_AAC_TIMES = h(
    "65540A00"  # 12: start time
    "00 00 00 00"  # 16: reserved, TZ hour, TZ minute, TZ info
    "65540A01"  # 20: end time
    "00000000"  # 24: reserved
    "00 00 00 00"  # 28: TZ sign, TZ hour, TZ minute, summer time
    "00000000"  # 32: reserved (no codec)
    "00000000"  # 36: reserved
    "00000000 00000000 00000000 00000000 00000000 00000000 00000000"  # 40: 28 reserved
)

AAC_WITH_AU_HEADER = GoldenSound(
    h(
        "FF13 0001"  # 0: id, camera number
        "00000024"  # 4: audio data size: 20 + 16
        "FF12 003C"  # 8: Length 4 + 4 x 7 + 28
    )
    + _AAC_TIMES
    + h(
        "FF14 0014"  # block: Length 8 + 4 + 6 + 2
        "02 01 0000"  # padding size 2, AU info 1, reserved
        "0010 0030"  # AU header: 16 bits; size 6 (13 bits), index 0 (3 bits)
        "01402280A37F"  # frame
        "0000"  # zero padding
        "FF14 0010"  # block: Length 8 + 4 + 4
        "00 01 0000"
        "0010 0020"
        "014022A1"
    )
    # 68 + 36
    + bytes(4096 - 104),
    camera=1,
    codec="AAC",
    start=MIDNIGHT,
    end=MIDNIGHT + 100,
    pieces=AAC_FRAMES,
    au_header=True,
)

AAC_WITHOUT_AU_HEADER = GoldenSound(
    h(
        "FF13 0001"
        "0000001C"  # audio data size: 16 + 12
        "FF12 003C"
    )
    + _AAC_TIMES
    + h(
        "FF14 0010"  # Length 8 + 6 + 2
        "02 00 0000"  # padding size 2, AU info 0
        "01402280A37F"
        "0000"
        "FF14 000C"  # Length 8 + 4
        "00 00 0000"
        "014022A1"
    )
    # 68 + 28
    + bytes(4096 - 96),
    camera=1,
    codec="AAC",
    start=MIDNIGHT,
    end=MIDNIGHT + 100,
    pieces=AAC_FRAMES,
)

AAC_WITH_ZERO_BYTE = GoldenSound(
    h(
        "FF13 0001"
        "00000020"  # audio data size: 16 + 16
        "FF12 003C"
    )
    + _AAC_TIMES
    + h(
        "FF14 0010"  # Length 8 + 1 + 6 + 1
        "01 00 0000"
        "00 01402280A37F"  # 0x00, frame
        "00"
        "FF14 0010"  # Length 8 + 1 + 4 + 3
        "03 00 0000"
        "00 014022A1"
        "000000"
    )
    + bytes(4096 - 100),
    camera=1,
    codec="AAC",
    start=MIDNIGHT,
    end=MIDNIGHT + 100,
    pieces=AAC_FRAMES,
    zero_byte=True,
)

SOUNDS = {
    "G.711": G711,
    "G.726": G726,
    "AAC with AU header": AAC_WITH_AU_HEADER,
    "AAC without AU header": AAC_WITHOUT_AU_HEADER,
    "AAC with a leading 0x00": AAC_WITH_ZERO_BYTE,
}
