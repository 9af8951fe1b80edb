"""Parameter sets: picture size and codec string out of VPS, SPS and PPS (ITU-T H.264 and H.265, ISO/IEC 14496-15).

Only the beginning of the SPS is read, up to the cropping; everything in it has a variable length. ``u(n)`` is n
bits, ``ue`` and ``se`` are Exp-Golomb codes, ``[…]`` is there only under the condition before it.

H.264 (§7.3.2.1.1)::

    NAL header u(8) | profile_idc u(8) | constraint flags u(8) | level_idc u(8) | id ue
    [high profiles:  chroma_format_idc ue | [3: separate_colour_plane u(1)] | bit depths ue ue | u(1)
                     | scaling_matrix u(1) | [scaling lists]]
    log2_max_frame_num ue | pic_order_cnt_type ue | [0: ue] [1: u(1) se se | n ue | n se]
    max_num_ref_frames ue | u(1) | width in macroblocks - 1 ue | height in map units - 1 ue
    frame_mbs_only u(1) | [0: u(1)] | u(1) | cropping u(1) | [left, right, top, bottom ue]

H.265 (§7.3.2.2, §7.3.3)::

    NAL header u(16) | u(4) | max_sub_layers - 1 u(3) | u(1)
    profile_space u(2) | tier u(1) | profile_idc u(5) | compatibility u(32) | constraints u(48) | level_idc u(8)
    [sub-layers:     profile, level present 2 u(1) each, filled up to 8 | profile u(88), level u(8) each]
    id ue | chroma_format_idc ue | [3: separate_colour_plane u(1)] | width ue | height ue
    conformance_window u(1) | [left, right, top, bottom ue]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nvrclient.frames import Codec, VideoFormat

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MAX_DIMENSION", "video_format"]

MAX_DIMENSION = 16_888
"""Largest width or height that any level of H.264 or H.265 allows; more is damage."""

_TYPES = {Codec.H264: (7, 8), Codec.H265: (32, 33, 34)}  # SPS, PPS; VPS, SPS, PPS

_HIGH_PROFILES = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244})
_CHROMA_STEP = (
    (1, 1),
    (2, 2),
    (2, 1),
    (1, 1),
)  # by chroma_format_idc: luma samples to one of chroma, across and down
_MAX_REF_FRAMES_IN_CYCLE = 255  # num_ref_frames_in_pic_order_cnt_cycle, §7.4.2.1.1


class _UnreadableError(ValueError):
    pass


class _Bits:
    """Reads an RBSP bit by bit. Every method raises _UnreadableError at its end."""

    __slots__ = ("_at", "_data")

    def __init__(self, nal: bytes) -> None:
        self._data = nal.replace(b"\x00\x00\x03", b"\x00\x00")  # emulation prevention
        self._at = 0

    def u(self, count: int) -> int:
        end = self._at + count
        if end > 8 * len(self._data):
            raise _UnreadableError
        taken = int.from_bytes(self._data[self._at // 8 : -(-end // 8)], "big")
        self._at = end
        return taken >> (-end % 8) & (1 << count) - 1

    def ue(self) -> int:
        zeros = 0
        while not self.u(1):
            zeros += 1
            if zeros > 31:  # no element has more than 32 bits
                raise _UnreadableError
        return (1 << zeros | self.u(zeros)) - 1

    def se(self) -> int:
        code = self.ue()
        return (code + 1) // 2 if code % 2 else -(code // 2)


def video_format(codec: Codec, parameter_sets: Iterable[bytes]) -> VideoFormat | None:
    """Return what the parameter sets say, or None if one is missing, damaged, or the codec has none.

    ``parameter_sets`` are NAL units without start codes in any order; other NAL units among them are left out.
    Of several SPS the first is read. Raises nothing, whatever the bytes.
    """
    types = _TYPES.get(codec)
    if types is None:
        return None
    sets = sorted(
        (nal for nal in parameter_sets if nal and _nal_type(codec, nal) in types),
        key=lambda nal: _nal_type(codec, nal),
    )
    by_type = {_nal_type(codec, nal): nal for nal in reversed(sets)}
    if len(by_type) < len(types):
        return None
    try:
        if codec is Codec.H264:
            width, height, codec_string = _read_h264(by_type[7])
        else:
            width, height, codec_string = _read_h265(by_type[33])
    except _UnreadableError:
        return None
    if not (0 < width <= MAX_DIMENSION and 0 < height <= MAX_DIMENSION):
        return None
    return VideoFormat(codec, width, height, codec_string, tuple(sets))


def _nal_type(codec: Codec, nal: bytes) -> int:
    return nal[0] & 0x1F if codec is Codec.H264 else nal[0] >> 1 & 0x3F


def _read_h264(sps: bytes) -> tuple[int, int, str]:
    bits = _Bits(sps)
    bits.u(8)
    profile, constraints, level = bits.u(8), bits.u(8), bits.u(8)
    bits.ue()
    chroma_format = 1
    if profile in _HIGH_PROFILES:
        chroma_format = bits.ue()
        if chroma_format > 3:
            raise _UnreadableError
        if chroma_format == 3:
            bits.u(1)
        bits.ue()
        bits.ue()
        bits.u(1)
        if bits.u(1):
            for index in range(12 if chroma_format == 3 else 8):
                if bits.u(1):
                    _skip_scaling_list(bits, 16 if index < 6 else 64)
    bits.ue()
    order_type = bits.ue()
    if order_type == 0:
        bits.ue()
    elif order_type == 1:
        bits.u(1)
        bits.se()
        bits.se()
        count = bits.ue()
        if count > _MAX_REF_FRAMES_IN_CYCLE:
            raise _UnreadableError
        for _ in range(count):
            bits.se()
    bits.ue()
    bits.u(1)
    width, map_units = 16 * (bits.ue() + 1), 16 * (bits.ue() + 1)
    frame_mbs_only = bits.u(1)
    if not frame_mbs_only:
        bits.u(1)
    bits.u(1)
    fields = 2 - frame_mbs_only  # a map unit is a macroblock of a frame, or one of each field
    across, down = _CHROMA_STEP[chroma_format]
    width, height = _crop(bits, width, map_units * fields, across, down * fields)
    return width, height, f"avc1.{profile:02X}{constraints:02X}{level:02X}"


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    scale = 8
    for _ in range(size):
        scale = (scale + bits.se()) % 256
        if not scale:  # the rest is as it was
            break


def _read_h265(sps: bytes) -> tuple[int, int, str]:
    bits = _Bits(sps)
    bits.u(20)
    sub_layers = bits.u(3)
    bits.u(1)
    space, tier, profile = bits.u(2), bits.u(1), bits.u(5)
    compatibility, constraints, level = bits.u(32), bits.u(48), bits.u(8)
    present = [(bits.u(1), bits.u(1)) for _ in range(sub_layers)]
    if present:
        bits.u(2 * (8 - sub_layers))
    for has_profile, has_level in present:
        bits.u(88 * has_profile + 8 * has_level)
    bits.ue()
    chroma_format = bits.ue()
    if chroma_format > 3:
        raise _UnreadableError
    if chroma_format == 3:
        bits.u(1)
    width, height = _crop(bits, bits.ue(), bits.ue(), *_CHROMA_STEP[chroma_format])
    # ISO/IEC 14496-15 Annex E: compatibility flags from the last to the first, constraint bytes up to the last set.
    flags = int(f"{compatibility:032b}"[::-1], 2)
    bytes_set = constraints.to_bytes(6, "big").rstrip(b"\x00")
    words = ["hvc1", f"{['', 'A', 'B', 'C'][space]}{profile}", f"{flags:X}", f"{'LH'[tier]}{level}"]
    return width, height, ".".join(words + [f"{byte:X}" for byte in bytes_set])


def _crop(bits: _Bits, width: int, height: int, across: int, down: int) -> tuple[int, int]:
    """Read a cropping or conformance window in units of ``across`` by ``down`` samples; return what it leaves."""
    if bits.u(1):
        left, right, top, bottom = bits.ue(), bits.ue(), bits.ue(), bits.ue()
        width -= across * (left + right)
        height -= down * (top + bottom)
    return width, height
