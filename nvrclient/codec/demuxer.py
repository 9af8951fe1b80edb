"""The media path with no socket: datagrams or parts of one stream in, frames out.

::

    datagram ─ parse ─┬─ 98, 101 ─ reorder ─ depacketizer ─ access unit ─ VideoTrack ─┐
    octet-stream part ┘└ 97 ────── reorder ─ AudioTrack ──────────────────────────────┼─ items
    image/jpeg part ───────────────────────────────────────────────────── VideoTrack ─┤
    audio/… part ─────────────────────────── AudioTrack ──────────────────────────────┘

Nothing here raises for what a recorder sends: it is dropped and counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from nvrclient.codec import audio, video
from nvrclient.frames import Codec, DiscontinuityReason, StreamItem
from nvrclient.rtp.packet import BadPacketError, parse_packet


@dataclass(frozen=True, slots=True)
class MediaCounters:
    """What came and what became of it, since the demuxer was made.

    ``frames`` are pictures and pieces of audio, whole or not; ``dropped`` those of them that were not given, by
    reason. ``ignored`` counts packets and parts that belong to no track, by reason.
    """

    packets: int = 0
    bytes: int = 0
    frames: int = 0
    dropped: dict[str, int] = field(default_factory=dict[str, int])
    lost: int = 0
    reordered: int = 0
    late: int = 0
    duplicates: int = 0
    malformed: int = 0
    ignored: dict[str, int] = field(default_factory=dict[str, int])
    ssrc_changes: int = 0


class Demuxer:
    """One live stream of one camera: push what comes, take `items` out, call `flush` when `deadline` is over.

    `audio_codec`, `law` and `aac_rate` are what is known of the audio. `settle` says that the first packets may
    be out of order (datagrams). `host_time` tells this computer's time (see `VideoTrack`).
    """

    def __init__(
        self,
        camera: int,
        host_time: Callable[[], datetime],
        *,
        audio_codec: Codec | None = None,
        law: Literal["mulaw", "alaw"] = "mulaw",
        aac_rate: int | None = None,
        settle: bool = False,
    ) -> None:
        self.items: list[StreamItem] = []
        self.video = video.VideoTrack(camera, self.items, host_time, settle=settle)
        self.audio = audio.AudioTrack(
            camera,
            self.items,
            self.video.time_at,
            codec=audio_codec,
            law=law,
            aac_rate=aac_rate,
            settle=settle,
        )
        self.malformed_parts = (
            0  # parts that never got as far as this, counted by whoever reads them
        )
        self._packets = 0
        self._bytes = 0
        self._malformed = 0
        self._ignored: dict[str, int] = {}

    def push_packet(self, data: bytes, now: float) -> int | None:
        """Take one RTP packet: a datagram, or the body of an application/octet-stream part.

        Returns its payload type if it can be read and is of the sender that its track follows, else None.
        """
        self._packets += 1
        self._bytes += len(data)
        run = self.video.run
        if run is not None and run.take(data):
            return run.payload_type
        try:
            packet = parse_packet(data)
        except BadPacketError as bad:
            if bad.args[0] == "rtcp":
                self._ignore("RTCP")
            else:
                self._malformed += 1
            return None
        if packet.payload_type in video.PAYLOAD_TYPES:
            reorder = self.video.reorder
            self.video.push(packet, now)
        elif packet.payload_type == audio.PAYLOAD_TYPE:
            reorder = self.audio.reorder
            self.audio.push(packet, now)
        else:
            self._ignore("payload type")
            return None
        return packet.payload_type if reorder.follows(packet) else None

    def push_part(self, content_type: str, body: bytes, now: float, *, hears: bool = False) -> None:
        """Take one part of a multipart response, by its Content-Type wherever it comes.

        In the audio's own response (`hears`) video is ignored: it would be the same once more.
        """
        kind = content_type.partition(";")[0].strip().lower()
        if kind == "application/octet-stream":
            if hears and len(body) > 1 and body[1] & 0x7F in video.PAYLOAD_TYPES:
                self._packets += 1
                self._bytes += len(body)
                self._ignore("video in the audio's answer")
            else:
                self.push_packet(body, now)
            return
        self._packets += 1
        self._bytes += len(body)
        if kind in {"image/jpeg", "image/jpg"}:
            self.video.push_jpeg(body, now)
        elif kind.startswith("audio/"):
            self.audio.push_part(content_type, body, now)
        else:
            self._ignore("content type")

    def flush(self, now: float) -> None:
        """Do what is due by `now`."""
        self.video.flush(now)
        self.audio.flush(now)

    @property
    def deadline(self) -> float | None:
        """When `flush` has something to do, on the monotonic clock; None: nothing."""
        first, second = self.video.deadline, self.audio.deadline
        if first is None or second is None:
            return second if first is None else first
        return min(first, second)

    def interrupt(self, reason: DiscontinuityReason) -> None:
        """The stream broke and will start over with new packets."""
        self.video.interrupt(reason)
        self.audio.interrupt()

    def take(self) -> list[StreamItem]:
        """Return the items that are ready, and forget them."""
        items = self.items[:]
        self.items.clear()
        return items

    def counters(self, *, audio: bool = True) -> MediaCounters:
        """Return the counters as they stand; without `audio`, what became of audio is left out."""
        dropped = dict(self.video.dropped)
        for reason, count in self.audio.dropped.items() if audio else ():
            dropped[reason] = dropped.get(reason, 0) + count
        reorders = (self.video.reorder, *((self.audio.reorder,) if audio else ()))
        ignored = dict(self._ignored)
        if strays := sum(reorder.strays for reorder in reorders):
            ignored["stray"] = strays
        if self.video.of_another_camera:
            ignored["another camera"] = self.video.of_another_camera
        return MediaCounters(
            packets=self._packets,
            bytes=self._bytes,
            frames=self.video.frames + (self.audio.frames if audio else 0),
            dropped=dropped,
            lost=sum(reorder.lost for reorder in reorders),
            reordered=sum(reorder.reordered for reorder in reorders),
            late=sum(reorder.late for reorder in reorders),
            duplicates=sum(reorder.duplicates for reorder in reorders),
            malformed=self._malformed
            + self.malformed_parts
            + self.video.malformed_total
            + (self.audio.malformed if audio else 0),
            ignored=ignored,
            ssrc_changes=self.video.ssrc_changes,
        )

    def _ignore(self, reason: str) -> None:
        self._ignored[reason] = self._ignored.get(reason, 0) + 1
