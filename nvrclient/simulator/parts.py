"""Parts of the endless response (sections 2.3.3 to 2.3.5, 2.3.7): delimiter, headers, and the bodies of JPEG and audio."""

from __future__ import annotations

import struct

from nvrclient.frames import Codec
from nvrclient.simulator.readings import HeaderCase, Readings

__all__ = ["PartWriter", "audio_body", "audio_content_type", "jpeg_body", "multipart_type"]

_SOI = b"\xff\xd8"
_SOI_COMMENT = b"\xff\xd8\xff\xfe"


def multipart_type(readings: Readings) -> str:
    """Give the Content-Type of the whole response."""
    hyphens = "--" if readings.boundary_with_hyphens else ""
    return f"multipart/x-mixed-replace; boundary={hyphens}myboundary"


class PartWriter:
    """Writes the parts of one content type.

    ::

        --myboundary CRLF
        Content-type: application/octet-stream CRLF
        Content-Length: <n> CRLF
        CRLF
        <n bytes>  CRLF
    """

    def __init__(self, content_type: str, readings: Readings) -> None:
        # Sections 2.3.3 and 2.3.5 print "Content-type", section 2.3.7 prints "Content-Type".
        name = "Content-Type" if content_type.startswith("audio/") else "Content-type"
        head = f"{name}: {content_type}\r\nContent-Length: "
        names = {
            HeaderCase.TITLE: str.title,
            HeaderCase.LOWER: str.lower,
            HeaderCase.UPPER: str.upper,
        }
        change = names.get(readings.header_case)
        if change:
            for printed in (name, "Content-Length"):
                head = head.replace(printed, change(printed))
        self._head = f"--myboundary\r\n{head}".encode("ascii")
        self._tail = b"\r\n" if readings.crlf_after_body else b""

    def part(self, body: bytes) -> bytes:
        """Write one part."""
        return b"".join((self._head, b"%d\r\n\r\n" % len(body), body, self._tail))


def jpeg_body(
    jpeg: bytes,
    recorder: bytes,
    camera: bytes | None = None,
    *,
    soi: bool = True,
    length_counts_itself: bool = True,
) -> bytes:
    """Write the body of a live JPEG part: the recorder's chunk, the camera's where there is one, the picture.

    ::

        | FF D8 FF FE | Length (2) | recorder information TLVs |
        | FF D8 FF FE | Length (2) | camera information TLVs   |    may be missing
        | JPEG data                                            |    with or without its SOI

    Length counts itself, as in any JPEG segment; the specification does not say.
    """
    written: list[bytes] = []
    for information in (recorder, camera):
        if information is not None:
            length = len(information) + (2 if length_counts_itself else 0)
            written += (_SOI_COMMENT, struct.pack(">H", length), information)
    return b"".join((*written, jpeg if soi else jpeg.removeprefix(_SOI)))


def audio_body(data: bytes, *, zero_byte: bool = True) -> bytes:
    """Write the body of an audio part: one 0x00, then the AAC frame or the samples."""
    return b"\0" + data if zero_byte else data


def audio_content_type(codec: Codec, sample_rate: int, g711: str) -> str:
    """Give an audio part's content type; the specification leaves G.711's unsaid."""
    if codec is Codec.AAC:
        return f"audio/{sample_rate // 1000}kaac-lc"
    return "audio/g.726-32k" if codec is Codec.G726 else g711
