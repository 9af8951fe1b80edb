"""Asyncio client for i-PRO network disk recorders.

::

    async with nvrclient.connect("https://192.0.2.10", "ADMIN", "secret", verify="recorder.pem") as nvr:
        async with nvr.camera(1).live() as stream:
            async for item in stream:
                print(item)
"""

from nvrclient.camera import Camera
from nvrclient.download import Download, DownloadProgress, IncomingFile, StoredFile
from nvrclient.errors import (
    AuthenticationError,
    BufferOverflowError,
    CertificateMismatchError,
    CommandError,
    ConnectionFailedError,
    DownloadError,
    NoRecordingError,
    NVRError,
    ProtocolError,
    RecorderBusyError,
    SessionLimitError,
    StreamEndedError,
    StreamStalledError,
    TruncatedDownloadError,
    UnsafeFileNameError,
    UnsupportedMediaError,
)
from nvrclient.frames import (
    AudioFrame,
    CameraStatus,
    Codec,
    Discontinuity,
    Disk,
    Gop,
    LogEntry,
    NalUnit,
    Operation,
    RecorderInfo,
    StreamItem,
    VideoFormat,
    VideoFrame,
)
from nvrclient.live import LiveStream
from nvrclient.playback import Playback
from nvrclient.session import Session, connect
from nvrclient.stats import SessionStats
from nvrclient.stream import StreamStats

__version__ = "0.1.0"

__all__ = [
    "AudioFrame",
    "AuthenticationError",
    "BufferOverflowError",
    "Camera",
    "CameraStatus",
    "CertificateMismatchError",
    "Codec",
    "CommandError",
    "ConnectionFailedError",
    "Discontinuity",
    "Disk",
    "Download",
    "DownloadError",
    "DownloadProgress",
    "Gop",
    "IncomingFile",
    "LiveStream",
    "LogEntry",
    "NVRError",
    "NalUnit",
    "NoRecordingError",
    "Operation",
    "Playback",
    "ProtocolError",
    "RecorderBusyError",
    "RecorderInfo",
    "Session",
    "SessionLimitError",
    "SessionStats",
    "StoredFile",
    "StreamEndedError",
    "StreamItem",
    "StreamStalledError",
    "StreamStats",
    "TruncatedDownloadError",
    "UnsafeFileNameError",
    "UnsupportedMediaError",
    "VideoFormat",
    "VideoFrame",
    "__version__",
    "connect",
]
