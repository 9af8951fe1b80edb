"""Audio payloads -> AudioFrame (specification 2.3.6 and 2.3.7).

Over RTP the codec is not named: AU headers that fit the payload exactly are AAC, one byte a tick is G.711, half a
byte a tick is G.726 at 32 kbit/s. Raw AAC names neither its rate nor its channels: channels stand in the frame,
the rate is measured. Until all is known, packets are held back (at most `MAX_HELD` seconds): a decoder given the
wrong rate fails on every frame.

Over HTTP the content type names the codec, for AAC with the rate. One 0x00 stands before the data of each part.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal

from nvrclient.codec import aac
from nvrclient.frames import AudioFrame, Codec, Discontinuity, RecorderInfo, StreamItem
from nvrclient.info import parse_info
from nvrclient.rtp.packet import RtpPacket
from nvrclient.rtp.reorder import Reorder
from nvrclient.rtp.timeline import CLOCK_SET, Timeline

PAYLOAD_TYPE = 97

MAX_HELD = 3.0
"""Seconds of audio held back while codec or rate are being found out; then 48 kHz is taken."""

MAX_HELD_FRAMES = 512
"""The same in packets, whatever the clocks say."""

MAX_HELD_BYTES = 1 << 20
"""The same in bytes: 3 s of the best AAC are a fifth of it."""

MAX_UNREADABLE = 3
"""Packets in a row without AU headers after which AAC is AAC no more."""

MEASURED_BY_CAMERA = 0.5
"""Seconds by the camera's clock (10 ms steps) that tell the AAC rates apart: 2 % of error, 8.8 % between two rates."""

MEASURED_BY_ARRIVAL = 2.0
"""Seconds by the time of arrival, which a network blurs."""

DEFAULT_AAC_RATE = 48_000
TELEPHONE_RATE = 8_000

REANCHOR = 0.2
"""Seconds that counted samples and the arrival of parts may be apart."""

_RATE_IN_NAME = re.compile(r"(\d{1,3}(?:\.\d+)?)\s*k|rate=\"?(\d{4,6})")


class _Held:
    """A packet's or part's data, waiting to be made into a frame."""

    __slots__ = ("arrived", "data", "info", "lost", "opens", "timestamp")

    def __init__(
        self, data: bytes, timestamp: int, arrived: float, lost: int, info: RecorderInfo | None
    ) -> None:
        self.opens = False  # a new sender, or a new codec, begins with it
        self.data = data
        self.timestamp = timestamp
        self.arrived = arrived
        self.lost = lost
        self.info = info


class AudioTrack:
    """The audio of one camera: RTP packets or HTTP parts in, AudioFrames out, appended to `items`.

    `codec` and `aac_rate` are what the caller knows (None: found out); `law` is what G.711 means here.
    `recorder_time` tells the recorder's time at a monotonic time, by the video, or None.
    """

    def __init__(
        self,
        camera: int,
        items: list[StreamItem],
        recorder_time: Callable[[float], datetime | None],
        *,
        codec: Codec | None,
        law: Literal["mulaw", "alaw"],
        aac_rate: int | None,
        settle: bool,
    ) -> None:
        self.reorder = Reorder(settle=settle)
        self.received = 0  # packets and parts
        self.frames = 0
        self.malformed = 0
        self.dropped: dict[str, int] = {}
        self.codec: Codec | None = None
        self._camera = camera
        self._items = items
        self._recorder_time = recorder_time
        self._asked_codec = codec
        self._law = Codec.PCMA if law == "alaw" else Codec.PCMU
        self._asked_rate = aac_rate
        self._settle = settle
        self._rate: int | None = aac_rate
        self._channels = 0
        self._held: list[_Held] = []
        self._held_bytes = 0
        self._opening = True  # the next packet is the first of its sender
        self._unreadable = 0  # packets in a row that do not fit the codec
        self._timeline: Timeline | None = None
        self._ticks_per_frame = aac.SAMPLES_PER_FRAME  # of AAC, in RTP ticks
        self._base = 0  # pts at which the timeline at hand begins
        self._last_pts = -1
        self._last_arrival = 0.0
        self._given: tuple[Codec, int, int] | None = None  # codec, rate and channels, as given last
        self._samples_end = 0  # pts after the last part, where samples are counted
        self._anchor = 0  # pts at the time of arrival that follows
        self._anchored_at: float | None = None
        self._rate_of_parts: int | None = None  # of AAC whose content type names none
        self._held_parts: list[tuple[str, bytes, float]] = []
        self._zero_starts = 0  # parts that began with 0x00
        self._other_starts = 0
        self._clock_offset: float | None = None  # recorder's clock minus camera's clock, seconds
        self._last_time: datetime | None = None
        self._lost = 0

    def expect(self, codec: Codec | None) -> None:
        """The caller says the codec, after the track was made."""
        self._asked_codec = codec

    # Over RTP

    def push(self, packet: RtpPacket, now: float) -> None:
        """Take one packet of payload type 97, as it came at monotonic time `now`."""
        self.received += 1
        for due in self.reorder.push(packet, now):
            self._take(due, now)

    def flush(self, now: float) -> None:
        """Do what is due by `now`: give up a gap, or the wait for a rate."""
        for due in self.reorder.flush(now):
            self._take(due, now)
        if self._held and now >= self._held[0].arrived + MAX_HELD:
            self._settle_for_default()
            self._release()
        if self._held_parts and now >= self._held_parts[0][2] + MAX_HELD:
            self._release_parts(DEFAULT_AAC_RATE)

    @property
    def deadline(self) -> float | None:
        """When `flush` has something to do, on the monotonic clock; None: nothing."""
        due = [self._held[0].arrived + MAX_HELD] if self._held else []
        if self._held_parts:
            due.append(self._held_parts[0][2] + MAX_HELD)
        if self.reorder.deadline is not None:
            due.append(self.reorder.deadline)
        return min(due, default=None)

    def interrupt(self) -> None:
        """The stream broke and will start over."""
        self.reorder.reset(settle=self._settle)
        self._drop_held("interrupted")
        self._drop("interrupted", len(self._held_parts))
        self._held_parts = []

    def _take(self, packet: RtpPacket, now: float) -> None:
        self._lost += packet.lost
        if packet.opens:
            self._start_over()
        if packet.start == packet.end:
            self.malformed += 1
            self._drop("malformed")
            return
        info = parse_info(packet.extension) if packet.extension is not None else None
        held = _Held(packet.payload, packet.timestamp, now, self._lost, info)
        self._lost = 0
        if self._is_of_another_codec(held.data):
            self._start_over()
        held.opens, self._opening = self._opening, False
        if self.codec is None or self._rate is None:
            self._held.append(held)
            self._held_bytes += len(held.data)
            self._find_out()
            if self.codec is None or self._rate is None:
                if len(self._held) < MAX_HELD_FRAMES and self._held_bytes < MAX_HELD_BYTES:
                    return
                self._settle_for_default()
            self._release()
        else:
            self._give_packet(held)

    def _start_over(self) -> None:
        """Another sender: codec and rate are found out anew; what differs is told as a change of format."""
        if self._held:
            self._settle_for_default()
            self._release()
        self.codec = None
        self._rate = self._asked_rate
        self._opening = True
        self._unreadable = 0

    def _is_of_another_codec(self, data: bytes) -> bool:
        """Whether the codec has changed: AU headers where there were none, or none for a while where there were."""
        if self.codec is None or self._asked_codec is not None:
            return False
        if (aac.access_units(data) is not None) == (self.codec is Codec.AAC):
            self._unreadable = 0
            return False
        self._unreadable += 1
        return self.codec is not Codec.AAC or self._unreadable > MAX_UNREADABLE

    def _find_out(self) -> None:
        """Tell codec and rate from what is held."""
        if self.codec is None:
            self.codec = self._codec_by_payload()
        if self.codec is Codec.AAC:
            if self._rate is None:
                self._rate = self._measured_rate()
        elif self.codec is not None:
            self._rate = TELEPHONE_RATE

    def _codec_by_payload(self) -> Codec | None:
        if self._asked_codec is not None:
            return self._asked_codec
        if aac.access_units(self._held[-1].data) is not None:
            return Codec.AAC
        for held, after in zip(self._held, self._held[1:], strict=False):
            ticks = (after.timestamp - held.timestamp) & 0xFFFFFFFF
            if after.lost == 0 and 0 < ticks < 0x80000000:
                bytes_per_tick = len(held.data) / ticks
                if 0.9 < bytes_per_tick < 1.1:
                    return self._law
                if 0.45 < bytes_per_tick < 0.55:
                    return Codec.G726
        return None

    def _measured_rate(self) -> int | None:
        """Return the rate of AAC: 1024 samples a frame, frames by time stamps, time by the best clock there is.

        Packets that a reorder step let go together have one time of arrival, which is the last one's.
        """
        first, last = self._held[0], self._held[-1]
        steps = [
            ticks
            for held, after in zip(self._held, self._held[1:], strict=False)
            if after.lost == 0
            and 0 < (ticks := (after.timestamp - held.timestamp) & 0xFFFFFFFF) < 0x80000000
        ]
        if not steps:
            return None
        per_packet = min(steps)
        in_packet = len(aac.access_units(first.data) or (b"",))
        self._ticks_per_frame = max(1, round(per_packet / in_packet))
        began, ended = _camera_seconds(first), _camera_seconds(last)
        if began is not None and ended is not None:
            elapsed, needed = ended - began, MEASURED_BY_CAMERA
        else:
            first = [held for held in self._held if held.arrived == first.arrived][-1]
            elapsed, needed = last.arrived - first.arrived, MEASURED_BY_ARRIVAL
        if elapsed < needed:
            return None
        frames = ((last.timestamp - first.timestamp) & 0xFFFFFFFF) / self._ticks_per_frame
        return aac.nearest_rate(frames * aac.SAMPLES_PER_FRAME / elapsed, 0.04)

    def _settle_for_default(self) -> None:
        if self.codec is None and self._asked_codec is None:
            self._drop_held("unknown audio")
        elif self._rate is None:
            self._rate = DEFAULT_AAC_RATE

    def _drop_held(self, reason: str) -> None:
        self._drop(reason, len(self._held))
        self._lost += sum(held.lost for held in self._held)
        self._held, self._held_bytes = [], 0

    def _release(self) -> None:
        held, self._held, self._held_bytes = self._held, [], 0
        for packet in held:
            self._give_packet(packet)

    def _give_packet(self, held: _Held) -> None:
        codec, rate = self.codec, self._rate
        assert codec is not None
        assert rate is not None
        time = self._time_of(held)
        if codec is not Codec.AAC:
            pts = self._pts_of(held, rate, rate)
            self._give(codec, held.data, None, pts, rate, 1, time, held)
            return
        frames = aac.access_units(held.data)
        if frames is None:
            self.malformed += 1
            self._drop("malformed")
            self._lost += held.lost
            return
        pts = self._pts_of(held, rate, rate * self._ticks_per_frame / aac.SAMPLES_PER_FRAME)
        for frame in frames:
            self._give_aac(frame, pts, rate, time, held)
            pts += aac.SAMPLES_PER_FRAME
            held.lost = 0

    def _pts_of(self, held: _Held, rate: int, clock_rate: float) -> int:
        """Return a packet's pts in samples; `clock_rate` is how fast its time stamps run."""
        if self._timeline is None or held.opens:
            self._timeline = Timeline(round(clock_rate))
            self._base = 0
            if self._last_pts >= 0:  # the gap counts
                gap = round((held.arrived - self._last_arrival) * rate)
                self._base = self._last_pts + max(1, gap)
        ticks = self._timeline.pts(held.timestamp, held.arrived)
        return self._base + (ticks if clock_rate == rate else round(ticks * rate / clock_rate))

    def _time_of(self, held: _Held) -> datetime | None:
        """Return the recorder's time of a packet: the camera's clock moved by the offset seen with the video."""
        recorder = self._recorder_time(held.arrived)
        camera = held.info.camera_time if held.info is not None else None
        if recorder is None or camera is None:
            return recorder
        offset = (recorder - camera).total_seconds()
        if self._clock_offset is None or abs(offset - self._clock_offset) > REANCHOR:
            self._clock_offset = offset
        return camera.astimezone(recorder.tzinfo) + timedelta(seconds=self._clock_offset)

    # Over HTTP

    def push_part(self, content_type: str, body: bytes, now: float) -> None:
        """Take one part of an audio/… content type."""
        self.received += 1
        self._take_part(content_type, body, now)

    def _take_part(self, content_type: str, body: bytes, now: float) -> None:
        codec, named_rate = self._codec_by_name(content_type)
        if body[:1] == b"\x00":
            self._zero_starts += 1
            # A recorder that puts no 0x00 in front sends other first bytes too; a damaged part is no such proof.
            data = body[1:] if self._zero_starts >= 4 * self._other_starts else body
        else:
            self._other_starts += 1
            data = body
        if codec is None or not data:
            self.malformed += 1
            self._drop("malformed" if codec is not None else "unknown audio")
            return
        rate = TELEPHONE_RATE
        samples = len(data) * (2 if codec is Codec.G726 else 1)
        if codec is Codec.AAC:
            known = self._asked_rate or named_rate or self._rate_by_arrival(content_type, body, now)
            if known is None:
                return
            rate, samples = known, aac.SAMPLES_PER_FRAME
        if self._anchored_at is None:
            self._anchored_at = now
        counted_at = self._given[1] if self._given is not None else rate
        pts = self._samples_end
        by_arrival = self._anchor + round((now - self._anchored_at) * counted_at)
        if abs(pts - by_arrival) > REANCHOR * counted_at:
            pts = by_arrival
        if rate != counted_at:  # samples are longer or shorter from here on; pts rise all the same
            pts = max(round(pts * rate / counted_at), self._last_pts + 1)
            self._anchor, self._anchored_at = pts, now
        pts = max(pts, self._last_pts + 1)
        self.codec, self._rate = codec, rate
        self._samples_end = pts + samples
        held = _Held(data, 0, now, 0, None)
        if codec is Codec.AAC:
            self._give_aac(data, pts, rate, self._recorder_time(now), held)
        else:
            self._give(codec, data, None, pts, rate, 1, self._recorder_time(now), held)

    def _rate_by_arrival(self, content_type: str, body: bytes, now: float) -> int | None:
        """Return the rate of AAC whose content type names none, by how fast parts come; None: held until that is known."""
        if self._rate_of_parts is None:
            held = self._held_parts
            elapsed = now - held[0][2] if held else 0.0
            size = len(body) + sum(len(earlier) for _, earlier, _ in held)
            if (
                elapsed < MEASURED_BY_ARRIVAL
                and len(held) + 1 < MAX_HELD_FRAMES
                and size < MAX_HELD_BYTES
            ):
                held.append((content_type, body, now))
                return None
            measured = len(held) * aac.SAMPLES_PER_FRAME / elapsed if elapsed > 0 else 0.0
            self._release_parts(aac.nearest_rate(measured, 0.04) or DEFAULT_AAC_RATE)
        return self._rate_of_parts

    def _release_parts(self, rate: int) -> None:
        self._rate_of_parts = rate
        held, self._held_parts = self._held_parts, []
        for content_type, body, arrived in held:
            self._take_part(content_type, body, arrived)

    def _codec_by_name(self, content_type: str) -> tuple[Codec | None, int | None]:
        name = content_type.partition(";")[0].strip().lower()
        if "aac" in name or "mp4a" in name or "mpeg4-generic" in name:
            rate = None
            if found := _RATE_IN_NAME.search(content_type.lower()):
                hertz = float(found[1]) * 1000 if found[1] else float(found[2])
                rate = aac.nearest_rate(hertz, 0.04)
            return Codec.AAC, rate
        if "726" in name:
            return Codec.G726, None
        if "alaw" in name or "a-law" in name or "pcma" in name:
            return Codec.PCMA, None
        if "ulaw" in name or "u-law" in name or "pcmu" in name or "basic" in name:
            return Codec.PCMU, None
        if "711" in name:
            return self._law, None
        return self._asked_codec, None

    # Out

    def _give_aac(
        self, data: bytes, pts: int, rate: int, time: datetime | None, held: _Held
    ) -> None:
        channels = aac.channels_of(data) or self._channels or 1
        self._channels = channels
        self._give(Codec.AAC, data, aac.config(rate, channels), pts, rate, channels, time, held)

    def _give(
        self,
        codec: Codec,
        data: bytes,
        config: bytes | None,
        pts: int,
        rate: int,
        channels: int,
        time: datetime | None,
        held: _Held,
    ) -> None:
        if time is not None and self._last_time is not None:
            back = (self._last_time - time).total_seconds()
            if 0 < back < CLOCK_SET:  # further back the clock has been set
                time = self._last_time
        if self._given not in {None, (codec, rate, channels)}:
            self._items.append(Discontinuity("format", since=self._last_time, until=time))
        self._given = (codec, rate, channels)
        self._last_time = time
        pts = max(pts, self._last_pts + 1)
        self._last_pts, self._last_arrival = pts, held.arrived
        self.frames += 1
        self._items.append(
            AudioFrame(
                camera=self._camera,
                codec=codec,
                data=data,
                config=config,
                pts=pts,
                sample_rate=rate,
                channels=channels,
                time=time,
                received_at=held.arrived,
                lost=held.lost,
            )
        )

    def _drop(self, reason: str, count: int = 1) -> None:
        self.frames += count
        if count:
            self.dropped[reason] = self.dropped.get(reason, 0) + count


def _camera_seconds(held: _Held) -> float | None:
    """Return the camera's clock in seconds, None where it is not known to 10 ms."""
    if held.info is None or held.info.camera_time is None or held.info.camera_frame_time is None:
        return None
    return held.info.camera_time.timestamp()
