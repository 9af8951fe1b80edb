"""The audio of one camera of a playback: what waits for the caller, how far it reaches, and whether more comes.

Whatever is wrong with audio costs no picture: the pictures go without it.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime

from nvrclient.container.audio import AudioReader
from nvrclient.frames import AudioFrame, Codec, Discontinuity, VideoFrame
from nvrclient.playback.motion import Motion
from nvrclient.playback.pages import is_text
from nvrclient.playback.sound import SoundTrack, duration

TRIES = 3
"""Answers in a row that bring nothing but trouble, after which there is no more audio."""

AHEAD = 512
"""Audio frames queued, at most: ten seconds of AAC. Pictures do not wait for more."""


class Hearing:
    """See the module. Without `wanted` there is none.

    ``queue`` waits for the caller, ``heard_until`` is the end of the frame given last. ``is_over``: no more comes;
    ``problem``: why there is none, or None.
    """

    def __init__(self, camera: int, law: Codec, aac_rate: int | None, *, wanted: bool) -> None:
        self.track = SoundTrack(camera, aac_rate)
        self.queue: deque[AudioFrame | Discontinuity] = deque()
        self.heard_until: datetime | None = None
        self.is_over = not wanted
        self.problem: str | None = None
        self._reader = AudioReader(law)
        self._is_wanted = wanted
        self._troubles = 0  # in a row
        self._quiet_for: datetime | None = None  # pictures up to here go without waiting for it

    def aim(self, motion: Motion, *, at: datetime | None, hold: bool) -> None:
        """Expect audio from where the playback moves; `hold`: from where it was heard, unless pictures went on without."""
        if not hold or motion is not Motion.FORWARD:
            self.heard_until = None  # there is no audio in reverse and fast motion
        heard = self.heard_until
        stepped = heard is not None and at is not None and at > heard
        self.track.aim(at if heard is None or stepped else heard)
        self.is_over = not self._is_wanted or motion is not Motion.FORWARD
        self.problem = self._quiet_for = None
        self._troubles = 0

    # What waits

    @property
    def frames(self) -> list[AudioFrame]:
        """What waits, without what is told."""
        return [item for item in self.queue if isinstance(item, AudioFrame)]

    def take_item(self) -> AudioFrame | Discontinuity:
        """Take what waits first."""
        item = self.queue.popleft()
        if isinstance(item, AudioFrame) and item.time is not None:
            self.heard_until = item.time + duration(item)
        return item

    def drop_queued(self, reason: str) -> None:
        """Leave out what waits."""
        self.track.drop(reason, len(self.frames))
        self.queue.clear()

    # What to ask for

    def is_wanted_for(self, until: datetime | None, *, is_last: bool) -> bool:
        """Whether the next second is to be asked for: as far as pictures are queued, which is `until`.

        `is_last`: no more of them come.
        """
        if self.is_over or len(self.queue) >= AHEAD:
            return False
        if until is None or (self._quiet_for is not None and until <= self._quiet_for):
            return is_last and until is None
        return self._is_short_of(until)

    def is_missing_at(self, frame: VideoFrame) -> bool:
        """Whether this picture has to wait, since audio of its time is still to come."""
        if self.is_over or self.queue:
            return False
        if self._quiet_for is not None and frame.time and frame.time <= self._quiet_for:
            return False
        return frame.time is None or self._is_short_of(frame.time, or_at=True)

    def _is_short_of(self, time: datetime, *, or_at: bool = False) -> bool:
        until = self.track.until
        if self.track.held > 0 or until is None:
            return True
        return until <= time if or_at else until < time

    # What comes

    def take(
        self, body: bytes, now: float, *, asked_for: datetime | None, end: datetime | None
    ) -> bool:
        """Take an answer that came at monotonic time `now`; return whether it could be read.

        `asked_for`: up to here pictures were queued. `end`: where the playback ends.
        """
        answer = self._reader.read(body)
        if answer.damage is not None and is_text(body):
            self.refused(str(answer.damage), asked_for)
            return False
        news = False
        for piece in answer.pieces:
            taken = self.track.take(piece, now)
            news = news or taken is not None
            self.queue.extend(taken or ())
        if answer.damage is not None:
            self._troubles += not answer.pieces
            self.queue.append(self.track.damage())
            if self._troubles >= TRIES:
                self._end(str(answer.damage))
        elif news:
            self._troubles, self.problem = 0, None
        else:
            self.queue.extend(self.track.finish())
            self._rest(asked_for)
        if end is not None and self.track.until is not None and self.track.until > end:
            self.queue.extend(self.track.finish())
            self.is_over = True
            late = [frame for frame in self.frames if frame.time and frame.time > end]
            for frame in late:
                self.queue.remove(frame)
            self.track.drop("after end", len(late))
        return answer.damage is None

    def refused_for_now(self, why: str, asked_for: datetime | None) -> None:
        """The recorder is busy: the pictures at hand go without, with the next it is asked again."""
        self.problem = why
        self._rest(asked_for)

    def refused(self, why: str, asked_for: datetime | None) -> None:
        """There is none, or the recorder has forgotten the UID, which pictures tell: as `refused_for_now`, a few times."""
        self.refused_for_now(why, asked_for)
        self.broke_off(why)

    def broke_off(self, why: str) -> None:
        """What was asked for never came; after a few times in a row it is over."""
        self._troubles += 1
        if self._troubles >= TRIES:
            self._end(why)

    def _rest(self, asked_for: datetime | None) -> None:
        self._quiet_for = asked_for
        self.is_over = asked_for is None

    def _end(self, why: str) -> None:
        self.problem = why
        self.is_over = True
