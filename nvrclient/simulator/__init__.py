"""A recorder that is not there: real encoded video and audio over HTTP(S) and UDP, for demo and tests.

Written from the specification, apart from the client, and sharing with it only ``nvrclient.frames`` and
``nvrclient.errors``: a misreading of the specification then shows as a failing test.
"""

from nvrclient.simulator.answer_faults import AnswerFault, AnswerRule
from nvrclient.simulator.cameras import CameraSetup, light_cameras
from nvrclient.simulator.clips import Clip, split_annex_b
from nvrclient.simulator.control import CameraAction, CameraMove
from nvrclient.simulator.download_readings import DownloadFault, DownloadReadings, FileHeaders
from nvrclient.simulator.downloads import Download
from nvrclient.simulator.faults import (
    FROZEN,
    ORDERLY,
    POWER_CUT,
    REBOOTS,
    RESET,
    Faults,
    Reboot,
)
from nvrclient.simulator.files import RecordedFile
from nvrclient.simulator.http_server import Ending
from nvrclient.simulator.incident import Incident
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
from nvrclient.simulator.relay import PacketAccount, UdpFaults
from nvrclient.simulator.request import Request
from nvrclient.simulator.schedule import Kind, Schedule
from nvrclient.simulator.squares import read_number
from nvrclient.simulator.stream import Stream
from nvrclient.simulator.stream_faults import StreamFault
from nvrclient.simulator.uids import Uid

__all__ = [
    "FROZEN",
    "NASTY_CAMERA_INFORMATION",
    "ORDERLY",
    "POWER_CUT",
    "REBOOTS",
    "RESET",
    "AnswerFault",
    "AnswerRule",
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
    "Ending",
    "Extension",
    "Fault",
    "Faults",
    "FileHeaders",
    "Framing",
    "HeaderCase",
    "Incident",
    "Kind",
    "Landing",
    "ListReadings",
    "LoggedEntry",
    "Marker",
    "Nothing",
    "PacketAccount",
    "PlayStart",
    "Playback",
    "PlaybackFault",
    "PlaybackReadings",
    "PushAnswer",
    "Readings",
    "Reboot",
    "RecordedFile",
    "RecordedGop",
    "RecordedSound",
    "Recording",
    "Regroup",
    "Request",
    "Resume",
    "ReverseStart",
    "Schedule",
    "Segment",
    "SimulatedRecorder",
    "SizeRow",
    "StepStart",
    "Stream",
    "StreamFault",
    "UdpFaults",
    "Uid",
    "Unit",
    "VideoLength",
    "ZoneBits",
    "default_recording",
    "light_cameras",
    "read_number",
    "split_annex_b",
]
