"""Live JPEG (§2.3.5): a part's body in, the recorder's and the camera's information and one valid JPEG out.

A body::

    FF D8 FF FE | Length (2) | recorder information TLVs     recorder chunk
    FF D8 FF FE | Length (2) | camera information TLVs       camera chunk; may be missing
    JPEG data, which begins with FF D8 or with its first segment

Each chunk is a JPEG's beginning: SOI and a comment segment. The three are told apart by walking, never by
searching: the bytes FF D8 can stand in any of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from nvrclient.errors import ProtocolError

__all__ = ["MAX_DIMENSION", "LiveJpeg", "parse_live_jpeg"]

MAX_DIMENSION = 16_384
"""Largest width or height believed: four times that of a 4K camera. JPEG's own limit of 65 535 costs a decoder 12 GiB."""

_PLACEHOLDER_SIZE = {39, 37}  # [field] sent in every part by a camera that has no JPEG stream
_PLACEHOLDER_BYTES = 2048  # [field] it has about 700

_SOI = b"\xff\xd8"
_COMMENT = b"\xff\xfe"
_EOI, _SOS = 0xD9, 0xDA
_BARE_MARKERS = frozenset({0x01, *range(0xD0, 0xD8)})  # TEM and RST0…7: no length, no content
# SOF0…15 without DHT, JPG and DAC.
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

# In coded data FF 00 is a stuffed byte, FF D0…D7 a restart, FF FF fill: anything else ends it.
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class LiveJpeg:
    """A live JPEG part taken apart.

    ``jpeg`` is one JPEG file from SOI to EOI, its size ``width`` by ``height`` pixels. ``info_bytes`` and
    ``camera_bytes`` are the TLVs of the recorder's and the camera's chunk, empty where there was none.
    ``is_placeholder`` tells that the recorder sent its little picture that stands for "no JPEG stream".
    """

    jpeg: bytes = field(repr=False)
    info_bytes: bytes = field(repr=False)
    camera_bytes: bytes = field(repr=False)
    width: int
    height: int
    is_placeholder: bool


def parse_live_jpeg(body: bytes) -> LiveJpeg:
    """Take the chunks off a live JPEG part; a JPEG without chunks is fine too.

    What follows the image's EOI, padding or another image, is left out. Raises ProtocolError if the body holds no
    whole JPEG, or one without a frame header, without a scan, or of a size that cannot be (0 or over MAX_DIMENSION).
    """
    if not body.startswith(_SOI):
        raise _error("does not begin with FF D8" if body else "is empty", body, 0)
    chunks = [b"", b""]
    image_at = 2  # behind the SOI
    for index in range(len(chunks)):
        end = _comment_end(body, image_at)
        content = body[image_at + 4 : end]
        another_soi = body.startswith(_SOI, end)
        # A comment that an SOI follows is a chunk whatever it holds: no image has an SOI inside.
        if not end or not (another_soi or _is_tlvs(content)):
            break
        chunks[index] = content
        image_at = end + 2 if another_soi else end
    image_end, width, height = _walk(body, image_at)
    jpeg = _SOI + body[image_at:image_end]
    return LiveJpeg(
        jpeg=jpeg,
        info_bytes=chunks[0],
        camera_bytes=chunks[1],
        width=width,
        height=height,
        is_placeholder={width, height} == _PLACEHOLDER_SIZE and len(jpeg) < _PLACEHOLDER_BYTES,
    )


def _comment_end(body: bytes, at: int) -> int:
    """Return where the comment segment at ``at`` ends, or 0 if there is none or nothing that can follow one.

    By JPEG's rule Length counts itself. That the recorder keeps to it is unsaid, so the other reading is taken
    if it alone ends where a marker stands, or if it alone holds TLVs.
    """
    if not body.startswith(_COMMENT, at) or len(body) < at + 4:
        return 0
    length = int.from_bytes(body[at + 2 : at + 4], "big")
    ends = [end for end in (at + 2 + length, at + 4 + length) if _is_marker(body, end)]
    for end in ends:
        if _is_tlvs(body[at + 4 : end]):
            return end
    return ends[0] if ends else 0


def _is_marker(body: bytes, at: int) -> bool:
    return len(body) >= at + 2 and body[at] == 0xFF and body[at + 1] not in {0x00, 0xFF}


def _is_tlvs(content: bytes) -> bool:
    """Whether the content is one or more TLVs and nothing else: id (2), Length (2) that counts its own 4, data."""
    at = 0
    while at + 4 <= len(content):
        length = int.from_bytes(content[at + 2 : at + 4], "big")
        if length < 4:
            return False
        at += length
    return 0 < at == len(content)


def _walk(body: bytes, at: int) -> tuple[int, int, int]:
    """Walk an image's segments from behind its SOI to its EOI; return where it ends, its width and height.

    A segment::

        FF, once or more | marker (1) | Length (2), counts itself | content
        SOFn's content:  precision (1) | height (2) | width (2) | …
        SOS's content is followed by coded data up to the next marker
    """
    size: tuple[int, int] | None = None
    scans = 0
    while True:
        marker_at = at
        while body.startswith(b"\xff\xff", at):
            at += 1
        if not _is_marker(body, at):
            what = (
                "has no EOI"
                if at + 1 >= len(body)
                else "has no marker where a segment should begin"
            )
            raise _error(what, body, marker_at)
        marker = body[at + 1]
        at += 2
        if marker == _EOI:
            break
        if marker in _BARE_MARKERS:
            continue
        length = int.from_bytes(body[at : at + 2], "big")
        if marker == _SOI[1] or length < 2 or at + length > len(body):
            raise _error(f"has a broken segment FF {marker:02X}", body, marker_at)
        if marker in _FRAME_HEADERS and size is None:
            if length < 7:
                raise _error("has a frame header that is too short", body, marker_at)
            height, width = (
                int.from_bytes(body[at + 3 : at + 5], "big"),
                int.from_bytes(body[at + 5 : at + 7], "big"),
            )
            if not (0 < width <= MAX_DIMENSION and 0 < height <= MAX_DIMENSION):
                raise _error(f"claims {width} x {height} pixels", body, marker_at)
            size = width, height
        at += length
        if marker == _SOS:
            scans += 1
            after = _AFTER_SCAN.search(body, at)
            if after is None:
                raise _error("has no EOI", body, len(body))
            at = after.start()
    if size is None or not scans:
        raise _error("has no frame header" if size is None else "has no scan", body, at)
    return at, *size


def _error(what: str, body: bytes, at: int) -> ProtocolError:
    return ProtocolError(
        f"live JPEG of {len(body)} bytes {what}",
        reading="live JPEG",
        offset=at,
        head=body[at : at + 32],
    )
