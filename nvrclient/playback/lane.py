"""One camera of a playback: what it has at hand, what comes next, and how long it may be asked without news.

The GOP at `hand` stays until the next is needed, also when all its pictures were given: steps go back and forth in
it without a request.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime

from nvrclient.container.gop import RecordedGop
from nvrclient.errors import NVRError
from nvrclient.frames import AudioFrame, Codec, Discontinuity, Gop, StreamItem, VideoFrame
from nvrclient.playback.hearing import Hearing
from nvrclient.playback.motion import Motion
from nvrclient.playback.track import Group, PictureTrack, only_decodes

PICTURES_AHEAD = 10
"""JPEG pictures fetched ahead, each of which is an answer; of H.264 and H.265 one GOP is."""

TRIES = 3
"""Answers without anything new after which there is no more; and damaged ones in a row after which it is an error."""


class Lane:
    """See the module. Pictures and audio of one camera; ``unanswered`` counts answers without news."""

    def __init__(self, camera: int, law: Codec, aac_rate: int | None, *, audio: bool) -> None:
        self.camera = camera
        self.track = PictureTrack(camera)
        self.hearing = Hearing(camera, law, aac_rate, wanted=audio)
        self.groups: deque[Group] = deque()  # behind the one at hand
        self.hand: Group | None = None
        self.index = 0  # of the next picture of the GOP at hand
        self.tail: deque[Discontinuity] = deque()  # told when there is no more
        self.stash: list[RecordedGop] = []  # came, but an earlier one may be missing before it
        self.is_over = False  # no more pictures in this direction
        self.over_at: datetime | None = None  # where the others were then
        self._seen: tuple[datetime, datetime] | None = (
            None  # the GOP that came nearest since it was placed
        )
        self.unanswered = 0
        self.retry_at = 0.0  # on the monotonic clock
        self.news_at = 0.0
        self.is_placed = False  # the recorder was told a position, and nothing new has come since
        self.exhausted: set[bool] = (
            set()
        )  # where steps found nothing more: True forward, False back
        self.damaged = 0  # answers in a row that could not be read
        self.blank = 0  # of them no answers at all, since the recorder was told a position
        self.trouble: NVRError | None = None  # what was wrong with the last answer

    # Where it is aimed

    def aim(
        self, motion: Motion, *, at: datetime | None, now: float, hold: bool, rest: bool
    ) -> None:
        """Move: drop what is queued. `hold`: go on from the GOP at hand; `rest`: with what is left of it first."""
        self.drop_queued("moved", hand=not (hold and rest))
        if not hold:
            self.hand, self.index = None, 0
        behind = self.hand.gop if self.hand is not None else None
        self.track.aim(motion, behind=behind, at=at)
        self.hearing.aim(motion, at=at, hold=hold)
        self.is_over = False
        self.damaged = 0
        self.trouble = None
        self.stash.clear()
        self.tail.clear()
        self.exhausted.clear()
        self.placed(now)

    def placed(self, now: float) -> None:
        """The recorder was told a position."""
        self.unanswered = self.blank = 0
        self._seen = None
        self.retry_at = self.news_at = now
        self.is_placed = True

    def miss_unanswered(self) -> None:
        """What comes now goes on behind answers that were none: what they should have held may be missing."""
        for _ in range(self.blank):
            self.track.damage()
        self.blank = 0

    def comes_nearer(self, gop: RecordedGop, *, backward: bool) -> bool:
        """Whether the recorder, which begins near a position (3.2.1), is on its way to where the lane has got to."""
        nearest = self._seen
        if nearest is None:
            self._seen = gop.start, gop.end
            return self.is_placed
        nearer = gop.start < nearest[0] if backward else gop.end > nearest[1]
        if nearer:
            self._seen = gop.start, gop.end
        return nearer and self.is_placed

    @property
    def gop_length(self) -> float:
        """Seconds of the last GOP; 1 where none is known."""
        gop = self.groups[-1].gop if self.groups else self.gop
        if gop is None or not gop.start <= gop.end:
            return 1.0
        return max(0.2, (gop.end - gop.start).total_seconds() + self.track.interval)

    def drop_queued(self, reason: str, *, hand: bool) -> None:
        """Forget what waits for the caller; with `hand` the rest of the GOP at hand too."""
        if hand:
            self.drop_rest(reason)
        self.drop(reason, sum(len(group.gop.frames) for group in self.groups))
        self.groups.clear()
        self.hearing.drop_queued(reason)

    def drop_rest(self, reason: str) -> None:
        """Leave out what is left of the GOP at hand."""
        if self.hand is not None:
            self.drop(reason, len(self.hand.gop.frames) - self.index)
            self.index = len(self.hand.gop.frames)
            self.hand.before.clear()

    def drop(self, reason: str, count: int) -> None:
        """Count frames that are not given."""
        if count:
            self.track.dropped[reason] = self.track.dropped.get(reason, 0) + count

    # What comes next

    def following(self) -> Group | None:
        """Return the GOP that the next picture is in; None where it is not there yet."""
        if self.hand is not None and self.index < len(self.hand.gop.frames):
            return self.hand
        return self.groups[0] if self.groups else None

    def head(self) -> VideoFrame | None:
        """Return the next picture, where it is there."""
        group = self.following()
        if group is None:
            return None
        return group.gop.frames[self.index if group is self.hand else 0]

    def take(self) -> VideoFrame:
        """Take the next picture; the GOP it is in is at hand then."""
        group = self.following()
        assert group is not None
        if group is not self.hand:
            self.hand, self.index = self.groups.popleft(), 0
            self.exhausted.clear()
        self.index += 1
        return group.gop.frames[self.index - 1]

    def take_gop(self) -> None:
        """Take the next whole GOP; what is left of the one at hand is dropped."""
        self.drop_rest("not asked for")
        self.hand = self.groups.popleft()
        self.index = len(self.hand.gop.frames)

    def next_item(self) -> StreamItem:
        """Return what comes next by time, picture, audio or what is told before them; there is something."""
        frame, group = self.head(), self.following()
        sound = self.hearing.queue[0] if self.hearing.queue else None
        if sound is not None and (frame is None or _is_before(sound, frame)):
            return sound
        if frame is None or group is None:
            return self.tail[0]
        return group.before[0] if group.before else frame

    def take_item(self) -> StreamItem:
        """Take what `next_item` returns."""
        item = self.next_item()
        if isinstance(item, VideoFrame):
            return self.take()
        if self.hearing.queue and item is self.hearing.queue[0]:
            return self.hearing.take_item()
        group = self.following()
        (group.before if group is not None else self.tail).remove(item)  # type: ignore[arg-type]
        return item

    def next_time(self, *, backward: bool) -> datetime | None:
        """Return the time by which the next item is ordered among other cameras'; None where there is none."""
        group = self.following()
        if backward and group is not None:
            return group.gop.frames[-1].time
        sound = next(iter(self.hearing.frames), None)
        known = [item.time for item in (self.head(), sound) if item is not None and item.time]
        return min(known, default=None)

    @property
    def is_begun(self) -> bool:
        """Whether a part of the GOP at hand was given, and a part not."""
        return self.hand is not None and 0 < self.index < len(self.hand.gop.frames)

    @property
    def is_behind(self) -> bool:
        """Whether what comes next is not known yet: it has to be asked for."""
        frame = self.head()
        if frame is None:
            return not self.is_over or self.wants_audio()
        return self.hearing.is_missing_at(frame)

    def cut(self, end: datetime) -> None:
        """Leave out pictures after `end`."""
        frame = self.head()
        if frame is not None and frame.time is not None and frame.time > end:
            self.drop_rest("after end")
            self.drop("after end", sum(len(group.gop.frames) for group in self.groups))
            self.groups.clear()
            self.is_over = True

    @property
    def queued_video(self) -> int:
        """Pictures that wait for the caller."""
        left = len(self.hand.gop.frames) - self.index if self.hand is not None else 0
        return left + sum(len(group.gop.frames) for group in self.groups)

    @property
    def queued(self) -> int:
        """Pictures and audio frames that wait for the caller."""
        held = self.track.held + self.hearing.track.held
        return held + self.queued_video + len(self.hearing.frames)

    @property
    def queued_bytes(self) -> int:
        """Their payload."""
        frames = list(self.hand.gop.frames[self.index :]) if self.hand is not None else []
        frames += [frame for group in self.groups for frame in group.gop.frames]
        sounds = self.hearing.frames
        return sum(frame.size for frame in frames) + sum(sound.size for sound in sounds)

    @property
    def gop(self) -> Gop | None:
        """The GOP at hand."""
        return self.hand.gop if self.hand is not None else None

    # What to ask for

    def wants_video(self, now: float) -> bool:
        """Whether the next GOP is to be asked for."""
        if self.is_over or now < self.retry_at:
            return False
        if not self.groups:
            return True
        return (
            self.track.codec is Codec.JPEG
            and len(self.groups) < PICTURES_AHEAD
            and not self.unanswered
        )

    def wants_audio(self) -> bool:
        """Whether the next second of audio is to be asked for."""
        return self.hearing.is_wanted_for(self.video_until, is_last=self.is_over)

    @property
    def video_until(self) -> datetime | None:
        """The time of the last picture queued; None where none is."""
        for group in reversed(self.groups):
            return group.gop.frames[-1].time
        if self.hand is not None and self.index < len(self.hand.gop.frames):
            return self.hand.gop.frames[-1].time
        return None

    # Steps

    def aim_step(self, position: datetime, *, forward: bool, now: float) -> None:
        """Expect the GOP after or before the one at hand."""
        motion = Motion.FORWARD if forward else Motion.REVERSE
        behind = self.hand.gop if self.hand is not None else None
        self.drop_queued("moved", hand=False)
        self.track.aim(motion, behind=behind, at=position, hides=forward)
        self.is_over = False
        self.placed(now)

    def next_shown(self, position: datetime) -> VideoFrame | None:
        """Return the next picture to show, at `position` or after it, where it is there."""
        rest = list(self.hand.gop.frames[self.index :]) if self.hand is not None else []
        rest += [frame for group in self.groups for frame in group.gop.frames]
        return next((frame for frame in rest if _is_from(frame, position)), None)

    def step_forward(self, position: datetime) -> VideoFrame:
        """Take the next picture to show; hidden ones before it are left out."""
        while not _is_from(frame := self.take(), position):
            self.drop("not asked for", 1)
        return frame

    def shown_before(self, *, but_one: bool) -> int | None:
        """Return the index in the GOP at hand of the picture shown last; with `but_one` of the one before it."""
        frames = self.hand.gop.frames[: self.index] if self.hand is not None else ()
        shown = [index for index, frame in enumerate(frames) if not only_decodes(frame)]
        if but_one:
            shown = shown[:-1]
        return shown[-1] if shown else None

    def first_shown(self) -> datetime | None:
        """Return the time of the first picture to show of the GOP at hand."""
        frames = self.hand.gop.frames if self.hand is not None else ()
        return next((frame.time for frame in frames if not only_decodes(frame)), None)

    def comes_before(self, limit: datetime) -> bool:
        """Whether a GOP has come with a picture to show before `limit`."""
        return any(_up_to(group, limit) for group in self.groups)

    def found_over_gap(self) -> datetime | None:
        """Return the time of the earliest picture that has come, where one may be missing next to the GOP at hand."""
        if self.groups and (self.hand is None or any(group.apart for group in self.groups)):
            return min(_first_time(group) for group in self.groups)
        return None

    def aim_search(self, now: float) -> None:
        """Expect GOPs from wherever the recorder begins, forward."""
        self.drop_queued("moved", hand=False)
        self.track.aim(Motion.FORWARD)
        self.is_over = False
        self.placed(now)

    def reaches(self, limit: datetime) -> bool:
        """Whether the GOPs that have come reach `limit`."""
        last = self.groups[-1].gop.frames[-1].time if self.groups else None
        return last is not None and last >= limit

    def drop_from(self, limit: datetime) -> None:
        """Leave out GOPs that begin at `limit` or later."""
        while self.groups and not self.groups[-1].gop.frames[0].time < limit:  # type: ignore[operator]
            self.drop("not asked for", len(self.groups.pop().gop.frames))

    def go_back(self, index: int | None) -> int:
        """Have the picture at `index` come next again; returns how many were given before and come again."""
        if index is None or index >= self.index:
            return 0
        again, self.index = self.index - index, index
        return again

    def go_back_to(self, shown: VideoFrame) -> int:
        """Have what is left of the GOP at hand behind the picture `shown` come next, dropped or not; as `go_back`."""
        frames = self.hand.gop.frames if self.hand is not None else ()
        if shown.camera == self.camera:
            left = (index for index, frame in enumerate(frames, 1) if frame.pts == shown.pts)
        else:
            left = (
                index
                for index, frame in enumerate(frames)
                if frame.time and shown.time and frame.time > shown.time
            )
        return self.go_back(next(left, None))

    def take_in_hand(self, limit: datetime) -> int:
        """Take in hand the latest GOP that came with a picture before `limit`, at the last such picture.

        Returns how many of its pictures count as given by that.
        """
        group = max((group for group in self.groups if _up_to(group, limit)), key=_last_time)
        self.groups.remove(group)
        self.drop_rest("moved")
        self.drop("not asked for", sum(len(other.gop.frames) for other in self.groups))
        self.groups.clear()
        self.hand = group
        self.hand.before.clear()
        self.exhausted.clear()
        self.index = _up_to(group, limit)
        return self.index


def _up_to(group: Group, limit: datetime) -> int:
    """Return the number of a GOP's pictures up to the last one to show before `limit`; 0 where there is none."""
    frames = group.gop.frames
    shown = [n for n, frame in enumerate(frames, 1) if not only_decodes(frame)]
    return max((n for n in shown if (time := frames[n - 1].time) and time < limit), default=0)


def _first_time(group: Group) -> datetime:
    time = group.gop.frames[0].time
    assert time is not None
    return time


def _last_time(group: Group) -> datetime:
    time = group.gop.frames[-1].time
    assert time is not None
    return time


def _is_before(sound: AudioFrame | Discontinuity, frame: VideoFrame) -> bool:
    if isinstance(sound, Discontinuity) or sound.time is None or frame.time is None:
        return True
    return sound.time <= frame.time


def _is_from(frame: VideoFrame, position: datetime) -> bool:
    return not only_decodes(frame) and frame.time is not None and frame.time >= position
