"""Decoding of what the recorder sends (extra ``media``: PyAV)."""

from nvrclient.media.decode import AudioDecoder, Pcm, Picture, VideoDecoder

__all__ = ["AudioDecoder", "Pcm", "Picture", "VideoDecoder"]
