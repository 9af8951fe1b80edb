"""Decoding of what the recorder sends (extra ``media``: PyAV)."""

from nvrclient.media.decode import AudioDecoder, Pcm, Picture, VideoDecoder
from nvrclient.media.pictures import Pictures, pictures

__all__ = ["AudioDecoder", "Pcm", "Picture", "Pictures", "VideoDecoder", "pictures"]
