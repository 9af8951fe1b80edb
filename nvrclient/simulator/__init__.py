"""A recorder that is not there: real encoded video and audio over HTTP(S) and UDP, for demo and tests.

Written from the specification, apart from the client, and sharing with it only ``nvrclient.frames`` and
``nvrclient.errors``: a misreading of the specification then shows as a failing test.
"""

from nvrclient.simulator.cameras import CameraSetup
from nvrclient.simulator.clips import Clip, split_annex_b
from nvrclient.simulator.playback import Fault, PlaybackFault
from nvrclient.simulator.playback_readings import (
    NASTY_CAMERA_INFORMATION,
    BlockLength,
    ChunkLength,
    Landing,
    Nothing,
    PlaybackReadings,
    PlayStart,
    Resume,
    ReverseStart,
    SizeRow,
    StepStart,
    VideoLength,
    ZoneBits,
)
from nvrclient.simulator.positions import Doing, Playback
from nvrclient.simulator.readings import (
    Extension,
    Framing,
    HeaderCase,
    Marker,
    PushAnswer,
    Readings,
)
from nvrclient.simulator.recorder import SimulatedRecorder
from nvrclient.simulator.recording import (
    RecordedGop,
    RecordedSound,
    Recording,
    Regroup,
    Segment,
    Unit,
    default_recording,
)
from nvrclient.simulator.request import Request
from nvrclient.simulator.squares import read_number
from nvrclient.simulator.stream import Stream
from nvrclient.simulator.uids import Uid

__all__ = [
    "NASTY_CAMERA_INFORMATION",
    "BlockLength",
    "CameraSetup",
    "ChunkLength",
    "Clip",
    "Doing",
    "Extension",
    "Fault",
    "Framing",
    "HeaderCase",
    "Landing",
    "Marker",
    "Nothing",
    "PlayStart",
    "Playback",
    "PlaybackFault",
    "PlaybackReadings",
    "PushAnswer",
    "Readings",
    "RecordedGop",
    "RecordedSound",
    "Recording",
    "Regroup",
    "Request",
    "Resume",
    "ReverseStart",
    "Segment",
    "SimulatedRecorder",
    "SizeRow",
    "StepStart",
    "Stream",
    "Uid",
    "Unit",
    "VideoLength",
    "ZoneBits",
    "default_recording",
    "read_number",
    "split_annex_b",
]
