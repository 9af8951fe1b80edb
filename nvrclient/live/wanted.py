"""What a consumer asked for when it opened a live stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from nvrclient.frames import Codec

Transport: TypeAlias = Literal["http", "udp"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a consumer asked for.

    ``codec_is_sure``: the caller said it; a codec that is only remembered gives way to others when it is silent.
    ``shared``: others may hang on the same source.
    """

    camera: int
    codec: Codec | None
    codec_is_sure: bool
    transport: Literal["http", "udp", "auto"]
    audio: bool
    audio_codec: Codec | None
    shared: bool
