"""Where decoding can start: key pictures, the parameter sets they need, and what cannot be decoded behind them."""

from __future__ import annotations

from collections.abc import Iterable

from nvrclient.codec import h264, h265
from nvrclient.frames import Codec

SET_TYPES = {Codec.H264: (h264.SPS, h264.PPS), Codec.H265: (h265.VPS, h265.SPS, h265.PPS)}
"""NAL unit types of the parameter sets, in the order a decoder wants them."""

_KEY_TYPES = {
    Codec.H264: frozenset({h264.IDR}),
    Codec.H265: frozenset(range(h265.BLA_W_LP, h265.CRA + 1)),
}
_SLICE_TYPES = {Codec.H264: frozenset(range(1, 6)), Codec.H265: frozenset(range(32))}
_LEADING_TYPES = frozenset({h265.RASL_N, h265.RASL_R})


def is_key(types: Iterable[int], codec: Codec) -> bool:
    """Whether a picture of NAL units of these types is a random access point: IDR; in H.265 BLA and CRA too."""
    return not _KEY_TYPES[codec].isdisjoint(types)


def is_leading(types: Iterable[int], codec: Codec) -> bool:
    """Whether a picture refers to one before the CRA it belongs to (RASL, RFC 7798 1.1.4)."""
    return codec is Codec.H265 and not _LEADING_TYPES.isdisjoint(types)


def has_slice(types: Iterable[int], codec: Codec) -> bool:
    """Whether NAL units of these types hold coded picture data."""
    return not _SLICE_TYPES[codec].isdisjoint(types)
