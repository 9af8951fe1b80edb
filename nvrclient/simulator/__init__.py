"""A recorder that is not there: real encoded video and audio over HTTP(S) and UDP, for demo and tests.

Written from the specification, apart from the client, and sharing with it only ``nvrclient.frames`` and
``nvrclient.errors``: a misreading of the specification then shows as a failing test.
"""

from nvrclient.simulator.cameras import CameraSetup
from nvrclient.simulator.clips import Clip, split_annex_b
from nvrclient.simulator.control import CameraAction, CameraMove
from nvrclient.simulator.download_readings import DownloadFault, DownloadReadings, FileHeaders
from nvrclient.simulator.downloads import Download
from nvrclient.simulator.files import RecordedFile
from nvrclient.simulator.list_readings import ListReadings
from nvrclient.simulator.lists import DiskSlot, LoggedEntry
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
    "CameraAction",
    "CameraMove",
    "CameraSetup",
    "ChunkLength",
    "Clip",
    "DiskSlot",
    "Doing",
    "Download",
    "DownloadFault",
    "DownloadReadings",
    "Extension",
    "Fault",
    "FileHeaders",
    "Framing",
    "HeaderCase",
    "Landing",
    "ListReadings",
    "LoggedEntry",
    "Marker",
    "Nothing",
    "PlayStart",
    "Playback",
    "PlaybackFault",
    "PlaybackReadings",
    "PushAnswer",
    "Readings",
    "RecordedFile",
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
