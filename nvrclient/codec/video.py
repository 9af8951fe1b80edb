"""Pictures as they came -> pictures to give: decodable ones only, with their time, information and format.

A decoder can start only at a key frame with its parameter sets. So nothing is given before the first key frame
that brings its own, and after a loss nothing before the next key frame whose sets are known. Data is never
altered. Pictures of an open GOP that refer to what was before it (RASL, RFC 7798 1.1.4) are left out where
decoding starts at its CRA: no decoder can show them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from nvrclient.codec import h264, h265
from nvrclient.codec.access_unit import AccessUnit, Assembler
from nvrclient.codec.depacketizer import Depacketizer
from nvrclient.codec.jpeg import parse_live_jpeg
from nvrclient.codec.parameter_sets import video_format
from nvrclient.codec.random_access import SET_TYPES, is_key, is_leading
from nvrclient.codec.run import FragmentRun
from nvrclient.errors import ProtocolError
from nvrclient.frames import (
    Codec,
    Discontinuity,
    DiscontinuityReason,
    NalUnit,
    StreamItem,
    VideoFormat,
    VideoFrame,
)
from nvrclient.info import NO_INFO, parse_info
from nvrclient.rtp.packet import RtpPacket
from nvrclient.rtp.reorder import Reorder
from nvrclient.rtp.timeline import Timeline, WallClock

CLOCK_RATE = 90_000
PAYLOAD_TYPES = {98: Codec.H264, 101: Codec.H265}

NO_PAUSE = 0.5
"""Seconds above two pictures' time within which another sender goes on without a picture missing in between."""

MAX_OTHERS = 16
"""Senders of other cameras that are remembered."""

_DEPACKETIZERS: dict[Codec, Callable[[], Depacketizer]] = {
    Codec.H264: h264.H264Depacketizer,
    Codec.H265: h265.H265Depacketizer,
}


class VideoTrack:
    """The video of one camera: RTP packets or JPEG parts in, frames and discontinuities out.

    Every item for the caller is appended to `items`. ``frames`` counts the pictures received, whole or not, and
    ``dropped`` those of them that are not given, by reason. `host_time` tells this computer's time, for outages
    of recorders that tell none.
    """

    def __init__(
        self,
        camera: int,
        items: list[StreamItem],
        host_time: Callable[[], datetime],
        *,
        settle: bool,
    ) -> None:
        self.codec: Codec | None = None
        self.format: VideoFormat | None = None
        self.frames = 0
        self.dropped: dict[str, int] = {}
        self.malformed: dict[str, int] = {}
        self.ssrc_changes = 0
        self.of_another_camera = 0  # packets that name another one, and were dropped
        # Takes packets that are like the last, before `push` is asked:
        self.run: FragmentRun | None = None
        self.picture_at: float | None = None  # when the last one, decodable or not, was complete
        self.interval = 0.0  # between pictures, seconds: the longest of late
        self._previous_at: float | None = None  # as picture_at, since the stream last broke
        self._gap = 0.0  # between the last two pictures
        self.reorder = Reorder(settle=settle)
        self._camera = camera
        self._items = items
        self._host_time = host_time
        self._settle = settle
        self._assembler: Assembler | None = None
        self._ssrc: int | None = None
        self._is_numbered = False  # a sender has named this very camera: names can be trusted
        self._others: dict[int, None] = {}  # SSRCs of other cameras, the oldest first
        self._extension: bytes | None = None
        self._info = NO_INFO
        self._timeline = Timeline(CLOCK_RATE)
        self._clock = WallClock()
        self._sets: dict[
            int, tuple[bytes, ...]
        ] = {}  # the parameter sets given so far, by NAL unit type
        self._waiting = True  # for a key frame
        self._skip_leading = False
        self._interruption: DiscontinuityReason | None = None  # to be told before the next frame
        self._lost = 0  # packets since the last frame given
        self._last: VideoFrame | None = None

    # Packets and parts in

    def push(self, packet: RtpPacket, now: float) -> None:
        """Take one packet of a payload type in `PAYLOAD_TYPES`, as it came at monotonic time `now`."""
        if packet.ssrc != self._ssrc and self._is_numbered and self._is_anothers(packet):
            self.of_another_camera += 1
            return
        self._end_run()
        due = self.reorder.push(packet, now)
        for one in due:
            self._take(one, now)
        if due and due[-1] is packet and self.reorder.is_in_step:
            assert self._assembler is not None
            self.run = self._assembler.run_after(packet)

    def push_jpeg(self, body: bytes, now: float) -> None:
        """Take one image/jpeg part (specification 2.3.5)."""
        self.frames += 1
        try:
            picture = parse_live_jpeg(body)
        except ProtocolError:
            self.malformed["jpeg"] = self.malformed.get("jpeg", 0) + 1
            self._drop("malformed")
            return
        if picture.is_placeholder:  # no picture: a camera without JPEG must not look alive
            self._drop("placeholder")
            return
        self._complete(now)
        self.codec = Codec.JPEG
        self._info = parse_info(picture.info_bytes, picture.camera_bytes)
        picture_format = VideoFormat(Codec.JPEG, picture.width, picture.height, "jpeg")
        self._waiting = False
        ticks = round(now * CLOCK_RATE) & 0xFFFFFFFF  # a JPEG part carries no time stamp of its own
        self._give((), picture.jpeg, ticks, picture_format, now, keyframe=True, told=True)

    def flush(self, now: float) -> None:
        """Do what is due by `now`: give up a gap, end a picture that silence has ended."""
        for due in self.reorder.flush(now):
            self._take(due, now)
        if self._assembler is not None and self.reorder.deadline is None:
            for unit in self._assembler.flush(now):
                self._finish(unit, now)

    @property
    def deadline(self) -> float | None:
        """When `flush` has something to do, on the monotonic clock; None: nothing."""
        if self.reorder.deadline is not None:  # no silence: packets wait behind a gap
            return self.reorder.deadline
        return self._assembler.deadline if self._assembler is not None else None

    @property
    def is_waiting(self) -> bool:
        """Whether nothing is given until the next key frame."""
        return self._waiting

    def interrupt(self, reason: DiscontinuityReason) -> None:
        """The stream broke and will start over: tell it now, and again before the next frame."""
        self._end_run()
        self.reorder.reset(settle=self._settle)
        for unit in self._assembler.close() if self._assembler is not None else ():
            self.frames += 1
            self._lost += unit.lost
            self._drop(unit.damage or "interrupted")
        self._retire_assembler()
        self._ssrc = None
        self._waiting = True
        self._previous_at, self._gap = None, 0.0  # an outage is no interval between pictures
        self._timeline.restart()
        if self._last is not None and self._interruption != reason:
            self._interruption = reason
            self._items.append(Discontinuity(reason, since=self._time_of_last()))

    def nal_units_so_far(self) -> list[NalUnit]:
        """Return the NAL units of the picture in progress, where they can be given before it is whole."""
        unit = self._assembler.in_progress if self._assembler is not None else None
        if self._assembler is None or unit is None or unit.damage or unit.continues:
            return []
        if self._waiting or self._assembler.lost or (unit.opens and self._last is not None):
            return unit.nal_units if self._can_start(unit) else []
        if self._skip_leading and (
            not unit.has_slice or is_leading(_types(unit), self._assembler.codec)
        ):
            return []
        return unit.nal_units

    def time_at(self, now: float) -> datetime | None:
        """Return the recorder's time at monotonic time `now`, or None while no picture has told it."""
        if self._last is None or self._last.time is None:
            return None
        return self._last.time + timedelta(seconds=now - self._last.received_at)

    # Pictures out

    def _end_run(self) -> None:
        """Hand on what came in a run; what comes next goes through every step again."""
        run, self.run = self.run, None
        if run is not None and run.fragments:
            assert self._assembler is not None
            self.reorder.passed(len(run.fragments))
            self._assembler.add(run)

    def _take(self, packet: RtpPacket, now: float) -> None:
        codec = PAYLOAD_TYPES[packet.payload_type]
        if self._assembler is None or self._assembler.codec is not codec:
            for unit in self._assembler.close() if self._assembler is not None else ():
                self._finish(unit, now)
            self._retire_assembler()
            self._assembler = Assembler(_DEPACKETIZERS[codec]())
            self._sets = {}
            packet.opens = True
        if packet.ssrc != self._ssrc:
            self.ssrc_changes += self._ssrc is not None
            self._ssrc = packet.ssrc
        for unit in self._assembler.push(packet, now):
            self._finish(unit, now)

    def _is_anothers(self, packet: RtpPacket) -> bool:
        """Whether its sender names another camera: a stream that was never stopped, on a port that is in use again.

        Asked only where the recorder is known to number cameras as the caller does: some may count otherwise.
        """
        if packet.extension is not None:
            named = parse_info(packet.extension).camera
            self._others.pop(packet.ssrc, None)
            if named not in {None, self._camera}:
                self._others[packet.ssrc] = None
                if len(self._others) > MAX_OTHERS:
                    del self._others[next(iter(self._others))]
        return packet.ssrc in self._others

    def _finish(self, unit: AccessUnit, now: float) -> None:
        """A picture is complete or has broken off: give it, or drop it and count why."""
        assert self._assembler is not None
        codec = self.codec = self._assembler.codec
        self.frames += 1
        self._lost += unit.lost
        if unit.extension is not None and unit.extension != self._extension:
            self._extension = unit.extension
            self._info = parse_info(unit.extension)
            self._is_numbered = self._is_numbered or self._info.camera == self._camera
        if unit.opens:
            self._timeline.restart()
            self._waiting = True
            if self._has_paused(now):  # no number tells what is missing between two senders
                self._interruption = self._interruption or "loss"
        if unit.lost or unit.damage:
            self._waiting = True
            self._interruption = self._interruption or "loss"
        if unit.damage:
            self._forget_stale_sets(unit)
            self._drop(unit.damage)
            return
        self._complete(now)
        if self._waiting:
            if not self._can_start(unit):
                self._forget_stale_sets(unit)
                self._interruption = self._interruption or "loss"
                self._drop("waiting for key frame")
                return
            self._waiting = False
            self._skip_leading = codec is Codec.H265
        elif self._skip_leading:
            if is_leading(_types(unit), codec):
                self._drop("leading")
                return
            self._skip_leading = not is_key(_types(unit), codec)
        self._give(
            tuple(unit.nal_units),
            b"",
            unit.timestamp,
            self._format_with(unit, codec),
            now,
            keyframe=is_key(_types(unit), codec),
            told=unit.extension is not None,
        )

    def _give(
        self,
        nal_units: tuple[NalUnit, ...],
        jpeg: bytes,
        timestamp: int,
        picture_format: VideoFormat | None,
        now: float,
        *,
        keyframe: bool,
        told: bool,
    ) -> None:
        assert self.codec is not None
        pts = self._timeline.pts(timestamp, now)
        if told and self._info.time is not None:
            exact = self._info.frame_time is not None
            self._clock.tell(self._info.time, pts / CLOCK_RATE, exact=exact)
        frame = VideoFrame(
            camera=self._camera,
            codec=self.codec,
            nal_units=nal_units,
            keyframe=keyframe,
            shown=True,
            pts=pts,
            clock_rate=CLOCK_RATE,
            time=self._clock.time(pts / CLOCK_RATE),
            received_at=now,
            lost=self._lost,
            info=self._info,
            jpeg=jpeg,
        )
        until = frame.time or self._host_time()
        if self._last is not None:
            if self._interruption is not None:
                self._items.append(
                    Discontinuity(self._interruption, self._time_of_last(), until, self._lost)
                )
            if self.format is not None and picture_format != self.format:
                self._items.append(Discontinuity("format", self._time_of_last(), until))
        self._interruption = None
        self.format = picture_format
        self._lost = 0
        self._last = frame
        self._items.append(frame)

    def _can_start(self, unit: AccessUnit) -> bool:
        """Whether decoding can start at this picture: a key frame with its sets, or with those given before."""
        codec = self._assembler.codec if self._assembler is not None else None
        if codec is None or not is_key(_types(unit), codec):
            return False
        present = {nal.type for nal in unit.nal_units}
        return all(kind in present or kind in self._sets for kind in SET_TYPES[codec])

    def _format_with(self, unit: AccessUnit, codec: Codec) -> VideoFormat | None:
        """Take the picture's parameter sets, if it has any; return the format from here on."""
        brought: dict[int, tuple[bytes, ...]] = {}
        for nal in unit.nal_units:
            if nal.is_parameter_set and nal.data not in brought.get(nal.type, ()):
                brought[nal.type] = (*brought.get(nal.type, ()), nal.data)
        if all(self._sets.get(kind) == sets for kind, sets in brought.items()):
            return self.format
        self._sets.update(brought)
        sets = [data for kind in SET_TYPES[codec] for data in self._sets.get(kind, ())]
        return video_format(codec, sets)

    def _forget_stale_sets(self, unit: AccessUnit) -> None:
        """A picture that is not given brings other sets: those given before no longer fit what follows."""
        for nal in unit.nal_units:
            if nal.is_parameter_set and nal.data not in self._sets.get(nal.type, ()):
                self._sets = {}
                return

    def _complete(self, now: float) -> None:
        if self._previous_at is not None:
            gap = now - self._previous_at
            twice, self._gap = min(gap, self._gap), gap  # one alone is a picture that came late
            self.interval = max(twice, self.interval + (twice - self.interval) / 8)
        self._previous_at = self.picture_at = now

    def _has_paused(self, now: float) -> bool:
        """Whether pictures are overdue by so much that some must be missing."""
        since = None if self._previous_at is None else now - self._previous_at
        return since is not None and since > 2 * self.interval + NO_PAUSE

    def _drop(self, reason: str) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + 1

    def _time_of_last(self) -> datetime:
        return (self._last.time if self._last is not None else None) or self._host_time()

    def _retire_assembler(self) -> None:
        if self._assembler is not None:
            self._lost += self._assembler.lost
            for reason, count in self._assembler.malformed.items():
                self.malformed[reason] = self.malformed.get(reason, 0) + count
            self._assembler = None

    @property
    def malformed_total(self) -> int:
        """Packets and parts that could not be used."""
        current = self._assembler.malformed.values() if self._assembler is not None else ()
        return sum(self.malformed.values()) + sum(current)


def _types(unit: AccessUnit) -> list[int]:
    return [nal.type for nal in unit.nal_units]
