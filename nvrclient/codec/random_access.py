"""Where decoding can start: key pictures, the parameter sets they need, and what cannot be decoded behind them."""

from __future__ import annotations

from collections.abc import Iterable

from nvrclient.codec import h264, h265
from nvrclient.frames import Codec, NalUnit

SET_TYPES = {Codec.H264: (h264.SPS, h264.PPS), Codec.H265: (h265.VPS, h265.SPS, h265.PPS)}
"""NAL unit types of the parameter sets, in the order a decoder wants them."""

_KEY_TYPES = {
    Codec.H264: frozenset({h264.IDR}),
    Codec.H265: frozenset(range(h265.BLA_W_LP, h265.CRA + 1)),
}
_LEADING_TYPES = frozenset({h265.RASL_N, h265.RASL_R})


def is_key(nal_units: Iterable[NalUnit], codec: Codec) -> bool:
    """Whether a picture is a random access point: an IDR picture; in H.265 BLA and CRA too."""
    kinds = _KEY_TYPES[codec]
    return any(nal.type in kinds for nal in nal_units)


def is_leading(nal_units: Iterable[NalUnit], codec: Codec) -> bool:
    """Whether a picture refers to one before the CRA it belongs to (RASL, RFC 7798 1.1.4)."""
    return codec is Codec.H265 and any(nal.type in _LEADING_TYPES for nal in nal_units)
