"""The plainest client of playback: commands as the tables print them, containers of the default reading by offset."""

from __future__ import annotations

import contextlib
import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx

from nvrclient.simulator import (
    CameraSetup,
    PlaybackReadings,
    Readings,
    Recording,
    Segment,
    SimulatedRecorder,
)
from tests.simulator.client import PLAIN, Viewer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

MIDNIGHT = 1_700_006_400

TAILS = {
    "PLAY": "&NOTIME=ON",
    "BPLAY": "&NOTIME=ON",
    "PAUSE": "&SMOOTH=OFF&NOTIME=ON",
    "NEXTFRAME": "&NOTIME=ON",
    "PREVFRAME": "&NOTIME=ON",
    "GOTODATE": "&SDBACKUP=0&NOTIME=ON",
    "FF": "&SMOOTH=OFF&NOTIME=ON",
    "REW": "&SMOOTH=OFF&NOTIME=ON",
    "STOP": "",
}


@dataclass(frozen=True)
class Seen:
    """What an answer of camera.cgi holds; times in hundredths of a second after midnight."""

    start: int
    end: int
    times: list[int]
    pictures: list[bytes]
    information: dict[int, bytes]


def read(body: bytes) -> Seen:
    """Read a container of the default reading; of JPEG too."""
    p = 6 if body.startswith(b"\xff\xd8") else 4
    information: dict[int, bytes] = {}
    while 0 < (tlv := struct.unpack(">HH", body[p : p + 4]))[0] < 0x100:
        information[tlv[0]] = body[p + 4 : p + tlv[1]]
        p += tlv[1]
    start = end = 0
    times: list[int] = []
    pictures: list[bytes] = []
    for _ in range(int.from_bytes(information[0x0008][:2], "big")):
        assert body[p + 12 : p + 16] == b"\xff\x06\x00\x44"
        end, start, time = (moment(body, p + offset) for offset in (32, 40, 64))
        assert body[p + 80 : p + 82] == b"\xff\x05"
        padding, length = struct.unpack(">HI", body[p + 82 : p + 88])
        times.append(time)
        pictures.append(body[p + 104 : p + 104 + length])
        p += 104 + length + padding
    assert len(body) % 4096 == 0
    assert not any(body[p:])
    return Seen(start, end, times, pictures, information)


def moment(body: bytes, offset: int) -> int:
    seconds, rest = struct.unpack(">IB", body[offset : offset + 5])
    return int((seconds - MIDNIGHT) * 100 + rest)


def timef(time: float) -> str:
    """A time after midnight, in seconds, as TIMEF."""
    hundredths = round(time * 100)
    return f"{datetime.fromtimestamp(MIDNIGHT + hundredths // 100, UTC):%y%m%d%H%M%S}{hundredths % 100:02}"


class Player(Viewer):
    """A client that plays back."""

    async def ask(self, cgi: str, query: str) -> httpx.Response:
        return await self.http.get(f"/cgi-bin/{cgi}?UID={self.uid}&{query}")

    async def mask(self, *cameras: int, digits: int = 16) -> int:
        mask = "".join(str(int(n in cameras)) for n in range(1, digits + 1))
        return await self.get("hdrctl.cgi", f"PC=AS60&MASK={mask}")

    async def control(self, command: str, time: float | str | None = None) -> int:
        """Send a PLAYCMD, TIMEF given in seconds after midnight."""
        shown = time if isinstance(time, str) else "AS60_UNKNOWN" if time is None else timef(time)
        query = f"PC=AS60&PLAYCMD={command}&2ND=OFF&TIMEF={shown}{TAILS[command]}"
        return await self.get("hdrctl.cgi", query)

    async def does(self, *commands: str | tuple[str, float]) -> None:
        """Send PLAYCMDs that must be right."""
        for command in commands:
            name, time = (command, None) if isinstance(command, str) else command
            assert await self.control(name, time) == 200, command

    async def gop(self, camera: int = 1) -> Seen:
        answer = await self.ask("camera.cgi", f"CAM={camera}")
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/octet-stream"
        return read(answer.content)

    async def starts(self, count: int, camera: int = 1) -> list[int | None]:
        """Take GOPs: when each starts, in whole seconds after midnight; None for an answer without pictures."""
        seen = [await self.gop(camera) for _ in range(count)]
        return [gop.start // 100 if gop.pictures else None for gop in seen]

    async def sound(self, camera: int = 1) -> tuple[int, bytes]:
        """Take a second of sound: its start after midnight, and what follows a header of G.711."""
        answer = await self.ask("playaudio.cgi", f"CAM={camera}")
        assert answer.status_code == 200, answer.text
        size, start = struct.unpack(">II", answer.content[4:12])
        return start - MIDNIGHT, answer.content[64 : 64 + size]


# GOPs of two seconds: from 00:00:00 to 00:00:20, and from 00:01:00 to 00:01:20.
TWO_SEGMENTS = Recording(
    (
        Segment(MIDNIGHT, "h264", "pcmu", duration=20),
        Segment(MIDNIGHT + 60, "h265", "pcmu", duration=20),
    )
)


def recorded(
    recording: Recording = TWO_SEGMENTS,
    *,
    cameras: int = 2,
    pace: float | None = None,
    **switches: object,
) -> SimulatedRecorder:
    """A recorder whose cameras have all recorded this."""
    return SimulatedRecorder(
        cameras={n: CameraSetup("h264") for n in range(1, cameras + 1)},
        recording=recording,
        readings=Readings(playback=PlaybackReadings(**switches)),  # type: ignore[arg-type]
        pace=pace,
    )


@contextlib.asynccontextmanager
async def playing(recorder: SimulatedRecorder, *cameras: int) -> AsyncGenerator[Player]:
    """A client that is logged in and has sent MASK, of a recorder opened for it."""
    async with (
        recorder,
        httpx.AsyncClient(base_url=recorder.url, verify=PLAIN, trust_env=False, timeout=5) as http,
    ):
        player = Player(recorder, http)
        await player.log_in()
        assert await player.mask(*(cameras or (1,)), digits=recorder.channels) == 200
        yield player
