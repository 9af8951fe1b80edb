"""Playback: the rules of its commands (sections 1.3, 3.1, 3.2), and what they bring."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from nvrclient.frames import Codec
from nvrclient.simulator.gops import gop_chunk
from nvrclient.simulator.http_server import Answer
from nvrclient.simulator.playaudio import sound_answer
from nvrclient.simulator.playback_readings import Nothing
from nvrclient.simulator.positions import Doing, Playback, Reel
from nvrclient.simulator.recording import (
    RecordedGop,
    RecordedSound,
    Recording,
    Unit,
    hundredths,
)

if TYPE_CHECKING:
    from nvrclient.simulator.queries import Query
    from nvrclient.simulator.readings import Readings
    from nvrclient.simulator.tape import Tape
    from nvrclient.simulator.uids import Uid

__all__ = ["Fault", "PlaybackDesk", "PlaybackFault"]

CAMERAS_PER_UID = 16
_DONE = Answer(200, b"OK\r\n")

_T = TypeVar("_T", RecordedGop, RecordedSound)


class Fault(Enum):
    """What is wrong with an answer that would bring a recording. After BUSY and HTML it can be asked for again."""

    BUSY = "503"
    HTML = "200 with a page of HTML"
    GARBAGE = "200 with bytes that are no container"
    TRUNCATED = "half of the body, as if that were all"
    CUT = "half of the body, then the connection breaks"


PlaybackFault: TypeAlias = Fault | Callable[[bytes], bytes]  # a callable changes the body


@dataclass(slots=True)
class PlaybackDesk:
    """Carries out hdrctl.cgi of playback, camera.cgi and playaudio.cgi. A string names the rule that was broken."""

    recordings: dict[int, Recording]
    channels: int
    readings: Readings
    pace: float | None
    clock: Callable[[], float]
    faults: list[PlaybackFault | None]
    wrong_masks: list[int]

    def answer(self, uid: Uid, query: Query) -> Answer | str:
        """Carry out a command."""
        if query.action == "mask":
            return self._mask(uid, query.values["MASK"])
        if query.action == "control":
            return self._control(uid, query.values["PLAYCMD"], query.values.get("TIMEF"))
        return self._send(uid, int(query.values["CAM"]), audio=query.action == "sound")

    def _mask(self, uid: Uid, mask: str) -> Answer | str:
        cameras = frozenset(n for n, digit in enumerate(mask, 1) if digit == "1")
        if uid.streams:
            return "MASK: live and playback on one UID: STOP of its streams comes first"
        if len(mask) != self.channels:
            self.wrong_masks.append(len(mask))
            return Answer(400)
        if len(cameras) > CAMERAS_PER_UID:
            return f"MASK: more than {CAMERAS_PER_UID} cameras on one UID"
        if not cameras:
            return "MASK: no camera"
        stopped_at = uid.playback.stopped_at if uid.playback else None
        uid.playback = Playback(cameras, stopped_at=stopped_at)
        if self.readings.playback.ends_live_setup:
            uid.is_set_up = False
        return _DONE

    def _control(self, uid: Uid, command: str, timef: str | None) -> Answer | str:
        time = None
        if timef is not None:
            time = _time(timef)
            if time is None:
                return f"{command}: TIMEF={timef} is no date and time"
            if time % 100 and command not in {"NEXTFRAME", "PREVFRAME"}:
                return f"{command}: TIMEF={timef} does not end in 00"
        if uid.playback is None:
            return f"{command}: without MASK on this UID before"
        if uid.streams:
            return f"{command}: live and playback on one UID: STOP of its streams comes first"
        broken = uid.playback.follow(command, time, self.readings.playback)
        return _DONE if broken is None else f"{command} {broken}"

    def _send(self, uid: Uid, number: int, *, audio: bool) -> Answer | str:
        """Answer camera.cgi or playaudio.cgi."""
        text = f"{'playaudio.cgi' if audio else 'camera.cgi'} of camera {number}: "
        playback = uid.playback
        if playback is None or number not in playback.cameras:
            return text + "it is not in this UID's MASK"
        if not playback.is_playing:
            return text + "without PLAY or GOTODATE since MASK or STOP"
        if playback.doing is Doing.PAUSE:
            return text + "in pause, without NEXTFRAME or PREVFRAME since"
        if audio and playback.doing is not Doing.PLAYBACK:
            return text + f"while {playback.doing.name}"
        recording = self.recordings.get(number)
        if recording is None:
            return Answer(404)
        fault = self.faults.pop(0) if self.faults else None
        if fault is Fault.BUSY:
            return Answer(503)
        if fault is Fault.HTML:
            return Answer(200, b"<html><body>Please wait.</body></html>\r\n", "text/html")
        body = (self._sound if audio else self._pictures)(recording, number, playback)
        return Answer(204) if body is None else _damaged(body, fault)

    def _pictures(self, recording: Recording, camera: int, playback: Playback) -> bytes | None:
        """Write what camera.cgi brings; None: nothing at all."""
        readings, tape, now = self.readings.playback, recording.video, hundredths(self.clock())
        reel = playback.reel(camera)
        chunks: list[bytes] = []
        for _ in range(readings.gops_per_answer):
            last = reel.sent if reel.next is not None else None  # after a command there is none
            playback.begin(reel, tape, now)
            gop = self._next(tape, reel, playback.stride, now)
            if isinstance(gop, Nothing) and chunks:
                break
            with_images = True
            if isinstance(gop, Nothing):
                if gop is Nothing.NO_CONTENT:
                    return None
                if gop is Nothing.EMPTY:
                    return b""
                with_images = gop is Nothing.REPEAT and tape.count(now) > 0
                gop = _again(tape, reel, now) or RecordedGop(Codec.H264, (Unit(now, b""),), now)
            elif (
                last is not None and reel.sent == last + 1 and not readings.hidden_idr_every_answer
            ):
                gop = gop.without_hidden()
            chunks.append(
                gop_chunk(
                    gop,
                    camera,
                    playback.doing,
                    readings,
                    step=playback.step,
                    with_images=with_images,
                )
            )
        return b"".join((*chunks, readings.trailing))

    def _sound(self, recording: Recording, camera: int, playback: Playback) -> bytes | None:
        """Write what playaudio.cgi brings; None: nothing at all."""
        readings, tape, now = self.readings.playback, recording.audio, hundredths(self.clock())
        reel = playback.reel(camera, audio=True)
        sound: RecordedSound | Nothing = readings.without_audio
        if not tape.is_blank:
            if reel.next is None:  # sound begins where the video did, or will
                video = playback.reel(camera)
                playback.begin(video, recording.video, now)
                reel.next = tape.holding(recording.video.begins(max(video.first, 0)), now)
            sound = self._next(tape, reel, 1, now)
        if sound is Nothing.NO_CONTENT:
            return None
        if sound is Nothing.EMPTY:
            return b""
        with_sound = True
        if isinstance(sound, Nothing):
            with_sound = sound is Nothing.REPEAT and tape.count(now) > 0
            sound = _again(tape, reel, now) or RecordedSound(Codec.PCMU, (), now, now)
        return sound_answer(sound, camera, self.readings, with_sound=with_sound) + readings.trailing

    def _next(self, tape: Tape[_T], reel: Reel, stride: int, now: int) -> _T | Nothing:
        """Take the next item of a reel, and wind it on."""
        readings, number = self.readings.playback, reel.next
        assert number is not None
        if not 0 <= number < tape.count(now):
            return readings.end
        item = tape.item(number)
        loop_time = asyncio.get_running_loop().time()
        if readings.too_soon is not None and reel.ready is not None and loop_time < reel.ready:
            return readings.too_soon
        if (
            reel.sent is not None
            and reel.sent + stride == number
            and reel.waits < readings.gap_answers
        ):
            one, other = sorted((tape.item(reel.sent), item), key=lambda item: item.begins)
            if one.until < other.begins:
                reel.waits += 1
                return Nothing.NO_IMAGE
        if self.pace:
            begun = loop_time if reel.ready is None else reel.ready
            reel.ready = begun + (item.until - item.begins) / 100 / self.pace
        reel.sent, reel.next, reel.waits = number, number + stride, 0
        return item


def _again(tape: Tape[_T], reel: Reel, now: int) -> _T | None:
    """Give the item that a reel brought last, or would have; None where nothing was recorded."""
    count = tape.count(now)
    number = reel.next if reel.sent is None else reel.sent
    if number is None or not count:
        return None
    return tape.item(min(max(number, 0), count - 1))


def _damaged(body: bytes, fault: PlaybackFault | None) -> Answer:
    answered, cut = body, None
    if fault is Fault.GARBAGE:
        answered = bytes(n * 151 & 0xFF for n in range(len(body)))
    elif fault is Fault.TRUNCATED:
        answered = body[: len(body) // 2]
    elif fault is Fault.CUT:
        cut = len(body) // 2
    elif fault is not None and not isinstance(fault, Fault):
        answered = fault(body)
    headers = ("Cache-Control: no-cache",)
    return Answer(200, answered, "application/octet-stream", headers, cut)


def _time(timef: str) -> int | None:
    """Read yymmddhhmmssff, UTC, in hundredths of a second; None where there is no such time."""
    year, month, day, hour, minute, second, rest = (int(timef[n : n + 2]) for n in range(0, 14, 2))
    try:
        moment = datetime(2000 + year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return hundredths(moment) + rest
