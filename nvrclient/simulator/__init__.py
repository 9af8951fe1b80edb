"""A recorder that is not there: real encoded video and audio over HTTP(S) and UDP, for demo and tests.

Written from the specification, apart from the client, and sharing with it only ``nvrclient.frames`` and
``nvrclient.errors``: a misreading of the specification then shows as a failing test.
"""

from nvrclient.simulator.cameras import CameraSetup
from nvrclient.simulator.clips import Clip, split_annex_b
from nvrclient.simulator.readings import (
    Extension,
    Framing,
    HeaderCase,
    Marker,
    PushAnswer,
    Readings,
)
from nvrclient.simulator.recorder import Request, SimulatedRecorder
from nvrclient.simulator.squares import read_number
from nvrclient.simulator.stream import Stream
from nvrclient.simulator.uids import Uid

__all__ = [
    "CameraSetup",
    "Clip",
    "Extension",
    "Framing",
    "HeaderCase",
    "Marker",
    "PushAnswer",
    "Readings",
    "Request",
    "SimulatedRecorder",
    "Stream",
    "Uid",
    "read_number",
    "split_annex_b",
]
