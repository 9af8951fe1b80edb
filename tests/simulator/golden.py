"""Golden messages, typed by hand from the specification's tables, the row cited beside each.

The simulator's writers and the client's parsers are each checked against these, so that the two cannot share a
misreading. Times are 2023-11-15 00:00:00 UTC = 1 700 006 400 = 65 54 0A 00.
"""

from __future__ import annotations

h = bytes.fromhex

# Section 7: recorder information. id (2), Length (2, counts itself and the id), data.

CAMERA_CHANNEL = h("0004 0008 0001 0000")  # 0x0004: camera number (2) = 1, reserved (2)
CAMERA_CHANNEL_256 = h("0004 0008 0100 0000")  # the same: 256
COMPRESSION_H264 = h("0005 0008 0003 0000")  # 0x0005: 3 = H.264 (2), reserved (2)
COMPRESSION_H265 = h("0005 0008 0004 0000")  # 0x0005: 4 = H.265
DATA_SIZE = h("0006 0008 0001E240")  # 0x0006: size (4) = 123 456
TIME_AND_DATE_UTC = h(
    "0007 000C 65540A00 00 00 00 00"
)  # 0x0007: seconds (4), +, 0 h, 0 min, no summer time
TIME_AND_DATE_PLUS_9 = h("0007 000C 65540A00 00 09 00 00")  # 0x0007: +09:00
TIME_AND_DATE_MINUS_3_30_SUMMER = h(
    "0007 000C 65540A00 01 03 1E 01"
)  # 0x0007: 1 = -, 3 h, 30 min, summer time
FRAME_NUMBER = h("0008 0008 001E 0000")  # 0x0008: number of frames (2) = 30, reserved (2)
FRAME_RATE = h("0009 0008 0096 0000")  # 0x0009: 10 x images per second (2) = 150, reserved (2)
FRAME_TIME = h("000A 0008 0063 0000")  # 0x000A: 10 ms units (2) = 99, reserved (2)
RESERVED = h("000B 000C 0102030405060708")  # 0x000B: 8 bytes
IMAGE_DATA_PRESENT = h("000C 0008 0001 0000")  # 0x000C: 1 = there (2), reserved (2)
IMAGE_DATA_ABSENT = h("000C 0008 0000 0000")  # 0x000C: 0 = not
STATUS_LIVE = h("000D 0008 01 00 0000")  # 0x000D: operation (1) = live, step (1) = 0, reserved (2)
STATUS_FAST_FORWARD_3 = h("000D 0008 04 03 0000")  # 0x000D: fast forward, step 3
CAMERA_TIME_AND_DATE = h("0011 000C 65540A00 00 00 00 00")  # 0x0011: as 0x0007
CAMERA_FRAME_TIME = h("0012 0008 0032 0000")  # 0x0012: as 0x000A; 50 = 500 ms
START_CODE = h("0027 0008 0001 0000")  # 0x0027: 1 = NAL units have start codes (2), reserved (2)
LONG_TERM_REFERENCE = h("0028 0008 0011 0000")  # 0x0028: 0x0011 = this GOP has it (2), reserved (2)
IDR_HIDDEN = h("0029 0008 0002 0000")  # 0x0029: 2 = hide (2), reserved (2)

# What live video carries (section 3): 0x0004 (8) + 0x0007 (12) + 0x000D (8) = 28 bytes = 7 words.
VIDEO_INFORMATION = CAMERA_CHANNEL + TIME_AND_DATE_UTC + STATUS_LIVE
# What live audio carries (section 5): 0x0011 (12) + 0x0012 (8) = 20 bytes = 5 words.
AUDIO_INFORMATION = CAMERA_TIME_AND_DATE + CAMERA_FRAME_TIME

# Section 3: RTP. V=2 P=0 X CC=0 | M PT | sequence number | time stamp | SSRC.

SEQUENCE_NUMBER, TIMESTAMP, SSRC = 0xFFFE, 0x0A1B2C3D, 0xDEADBEEF

# "A real first packet: 90 65 …, extension of 7 words, so the payload starts at 44." PT 101 = H.265, M=0.
H265_FIRST_PACKET = h(
    "90 65 FFFE 0A1B2C3D DEADBEEF  0000 0007"
    "0004 0008 0001 0000  0007 000C 65540A00 00 00 00 00  000D 0008 01 00 0000"
    "46 01 50"  # access unit delimiter, type 35
)
# PT 98 = H.264, X=1, M=0.
H264_FIRST_PACKET = h(
    "90 62 FFFE 0A1B2C3D DEADBEEF  0000 0007"
    "0004 0008 0001 0000  0007 000C 65540A00 00 00 00 00  000D 0008 01 00 0000"
    "09 10"  # access unit delimiter, type 9
)
# PT 98, X=0, M=1 on the last packet of a picture: 80 | 80 + 62.
H264_LAST_PACKET = h("80 E2 FFFE 0A1B2C3D DEADBEEF  7C 45 33 FF")
# P and CC honoured (RFC 3550): two CSRC, no extension, 3 bytes of padding of which the last says 3.
H264_PADDED_PACKET = h("A2 62 FFFE 0A1B2C3D DEADBEEF  11111111 22222222  09 10  00 00 03")

# RFC 6184: FU-A = F, NRI and type 28 | S E R type. The IDR slice 65 …: 60 | 1C = 7C; 80 | 05, 40 | 05.
H264_SLICE = h("65 888400 33FF")
H264_FU_A = (h("7C 85 888400"), h("7C 45 33FF"))
# STAP-A = F, highest NRI and type 24, then size (2) and NAL unit each: 60 | 18 = 78.
H264_SPS, H264_PPS = h("67 42C01E"), h("68 CE3C80")
H264_STAP_A = h("78  0004 6742C01E  0004 68CE3C80")

# RFC 7798: FU = two-byte header with type 49 | S E type. The IDR slice 26 01 …, type 19: 49 << 1 = 62; 80 | 13, 40 | 13.
H265_SLICE = h("2601 AF09 4012")
H265_FU = (h("6201 93 AF09"), h("6201 53 4012"))
# AP = two-byte header with type 48, then size (2) and NAL unit each: 48 << 1 = 60.
H265_VPS, H265_SPS = h("4001 0C01"), h("4201 0101")
H265_AP = h("6001  0004 40010C01  0004 42010101")

# Section 4: parts. --myboundary, headers, blank line, body, CRLF.

H265_PART = (
    b"--myboundary\r\n"
    b"Content-type: application/octet-stream\r\n"
    b"Content-Length: 47\r\n"  # 44 + 3
    b"\r\n" + H265_FIRST_PACKET + b"\r\n"
)

JPEG = h("FFD8 FFDB 0004 0011 FFD9")  # SOI, a segment, EOI
# Live JPEG part: FF D8 FF FE (4), Length (2) = 2 + 28 = 1E, recorder information TLVs;
# FF D8 FF FE (4), Length (2) = 2 + 20 = 16, camera information TLVs (of unknown make); JPEG data.
RECORDER_CHUNK = h(
    "FFD8FFFE 001E  0004 0008 0001 0000  0007 000C 65540A00 00 00 00 00  000D 0008 01 00 0000"
)
CAMERA_INFORMATION = h("8001 0008 00000001  8002 000C 0102030405060708")
CAMERA_CHUNK = h("FFD8FFFE 0016  8001 0008 00000001  8002 000C 0102030405060708")
JPEG_BODY = RECORDER_CHUNK + CAMERA_CHUNK + JPEG
JPEG_BODY_WITHOUT_CAMERA_CHUNK = RECORDER_CHUNK + JPEG
JPEG_BODY_WITHOUT_SOI = RECORDER_CHUNK + CAMERA_CHUNK + JPEG[2:]
JPEG_PART = (
    b"--myboundary\r\n"
    b"Content-type: image/jpeg\r\n"
    b"Content-Length: 70\r\n"  # 34 + 26 + 10
    b"\r\n" + JPEG_BODY + b"\r\n"
)

AAC_FRAME = h("01 40 22 80 A3 7F")
SAMPLES = h("FF 7F 80 00")
# audio/48kaac-lc: one 0x00 byte, then AAC-LC; no RTP header, no AU header.
AAC_PART = (
    b"--myboundary\r\n"
    b"Content-Type: audio/48kaac-lc\r\n"
    b"Content-Length: 7\r\n"
    b"\r\n" + h("00 01 40 22 80 A3 7F") + b"\r\n"
)
# audio/g.726-32k: one 0x00 byte, then the samples.
G726_PART = (
    b"--myboundary\r\n"
    b"Content-Type: audio/g.726-32k\r\n"
    b"Content-Length: 5\r\n"
    b"\r\n" + h("00 FF 7F 80 00") + b"\r\n"
)

# Section 5: audio over RTP. PT 97 = 61, M=1: E1; the extension carries 0x0011 and 0x0012.

# G.711/G.726: samples straight after the RTP header.
G711_PACKET = h(
    "90 E1 FFFE 0A1B2C3D DEADBEEF  0000 0005"
    "0011 000C 65540A00 00 00 00 00  0012 0008 0032 0000"
    "FF 7F 80 00"
)
# AAC-LC: AU-headers-length (16 bits) = 16, size (13 bits) = 6 and index (3 bits) = 0: 0030; then the frame.
AAC_PACKET = h(
    "90 E1 FFFE 0A1B2C3D DEADBEEF  0000 0005"
    "0011 000C 65540A00 00 00 00 00  0012 0008 0032 0000"
    "0010 0030  01 40 22 80 A3 7F"
)
