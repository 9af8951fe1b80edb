"""A live stream on the recorder and the task that keeps it running; the consumers' buffers hang on it.

The task holds the source, the source holds buffers, and nobody here holds a caller's handle.
"""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import nullcontext
from typing import Literal, TypeAlias

import anyio

from nvrclient.codec.demuxer import Demuxer
from nvrclient.connection import Connection
from nvrclient.errors import (
    CommandError,
    ConnectionFailedError,
    NVRError,
    ProtocolError,
    SessionLimitError,
    StreamEndedError,
    StreamStalledError,
)
from nvrclient.frames import AudioFrame, Codec, StreamItem, VideoFrame
from nvrclient.live.alarm import Alarm
from nvrclient.live.buffer import FrameBuffer
from nvrclient.live.datagrams import Datagrams
from nvrclient.live.early_audio import EarlyAudio
from nvrclient.live.feed import Feed, HttpFeed, Space, UdpFeed
from nvrclient.live.held import HeldUid
from nvrclient.live.newest import NewestGop
from nvrclient.live.patience import Patience
from nvrclient.live.tries import FATAL, next_try, nothing_came, tries_for
from nvrclient.live.wanted import Transport, Wanted
from nvrclient.tasks import BugError, told
from nvrclient.uids import UidGoneError

logger = logging.getLogger("nvrclient.live")

State: TypeAlias = Literal["starting", "live", "waiting for key frame", "reconnecting", "closed"]

FIRST_BACKOFF, MAX_BACKOFF = 1.0, 15.0
"""Seconds between tries to bring a broken stream back, doubled each time, with jitter."""

MAX_SILENT_BACKOFF = 6.0
"""The same, after a try that was accepted and brought nothing: it has taken its time already."""

STOP_TIME = 1.0
"""Seconds for STOP; then the connection is closed all the same. With `ANSWER_TIME` it stays under 2 s."""

MAX_UIDS_GONE = 3
"""UIDs that may be lost one after the other before the first picture."""

_ANSWERS = StreamStalledError, CommandError, ProtocolError
"""What a camera that was set to another codec is answered by, or one that sends nothing over this transport any more."""

LATE_WAKE = 0.5
"""Seconds by which the event loop may wake this task late before a stall is looked at a second time: what came in
the meantime has not been read yet."""


class LiveSource:
    """See the module. `start` it once; each consumer `join`s with a buffer and `leave`s."""

    def __init__(self, connection: Connection, wanted: Wanted) -> None:
        self.wanted = wanted
        self.state: State = "starting"
        self.transport: Transport | None = None
        self.fallback: str | None = None
        self.reconnects = 0
        self.stalls = 0
        self.demuxer = Demuxer(
            wanted.camera,
            connection.host_time,
            audio_codec=wanted.audio_codec,
            law=connection.options.g711,
            aac_rate=connection.options.aac_rate,
            settle=wanted.transport != "http",
        )
        self._connection = connection
        self._buffers: list[FrameBuffer] = []
        self.datagrams = Datagrams()
        self._newest = NewestGop()
        self._feed: Feed | None = None
        self._uid = HeldUid(connection, wanted.camera)
        self._patience = Patience(connection.options.stall_timeout)
        self._audio = wanted.audio
        self._audio_codec = wanted.audio_codec
        self._accepted = False  # the START at hand was
        self._watching = False  # the feed at hand is live, not being stopped
        self._hearing: asyncio.Task[None] | None = None
        self._alarm = Alarm(connection.loop, self._on_alarm)
        # When pictures are missed that came before START's answer:
        self._quiet_at: float | None = None
        self.early_audio = EarlyAudio()
        self._first_frame_given = False
        self._out_since: float | None = None  # no picture was given since it broke
        self._pictures_before = 0  # of this START
        self._entered: asyncio.Future[None] = connection.loop.create_future()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    # Consumers

    async def entered(self) -> None:
        """Wait until the recorder has accepted START. Raises what it answered instead."""
        await asyncio.shield(self._entered)

    def start(self) -> None:
        """Start the task."""
        self._connection.streams.add(self)
        self._connection.count(streams=1)
        self._task = self._connection.spawn(self._main(), f"live camera {self.wanted.camera}")

    def serves(self, wanted: Wanted) -> bool:
        """Whether a stream that is wanted can hang on this source."""
        mine = self.wanted
        codec = self.demuxer.video.codec or (mine.codec if mine.codec_is_sure else None)
        if mine.codec_is_sure and codec is Codec.JPEG and wanted.codec is not Codec.JPEG:
            return False  # somebody wanted JPEG of all things: that is not the camera's stream
        return (
            mine.shared
            and wanted.shared
            and self.state != "closed"
            and not self._stopping
            and (wanted.camera, wanted.transport) == (mine.camera, mine.transport)
            and (not wanted.codec_is_sure or wanted.codec == codec)
            and (not self._audio or not wanted.audio or wanted.audio_codec == self._audio_codec)
        )

    def join(self, buffer: FrameBuffer, wanted: Wanted) -> None:
        """Give this buffer what comes from now on, and first the newest GOP held; have the audio too if asked."""
        if buffer.takes(self._newest.frames):
            for item in self._newest.frames:
                buffer.push(item)
        buffer.waits_for_keyframe = self._first_frame_given and not buffer.pushed
        self._buffers.append(buffer)
        if wanted.audio and not self._audio:
            self._audio = True
            self._audio_codec = wanted.audio_codec
            self.demuxer.audio.expect(wanted.audio_codec)
            self._start_hearing()

    async def leave(self, buffer: FrameBuffer) -> None:
        """Take a buffer off; without the last one the stream is stopped, without the last for audio the audio."""
        if buffer in self._buffers:
            self._buffers.remove(buffer)
        if not self._buffers:
            await self.aclose()
        elif self._audio and not any(other.wants_audio for other in self._buffers):
            self._audio = False
            hearing, self._hearing = self._hearing, None
            if hearing is not None and self._feed is not None:
                hearing.cancel()
                await asyncio.wait((hearing,))
                if not self._audio:  # nobody has asked for it again meanwhile
                    await self._feed.stop_audio()

    async def stopped(self, camera: int) -> None:
        """If this is of `camera` and being stopped, wait until it is."""
        if self._stopping and self.wanted.camera == camera and self._task is not None:
            await asyncio.wait((self._task,))

    async def aclose(self) -> None:
        """Stop the stream on the recorder and free everything; bounded in time. Safe to repeat."""
        if self._task is not None and not self._task.done():
            if not self._stopping:  # a second cancel would break off the STOP of the first
                self._stopping = True
                self._task.cancel()
            await asyncio.wait((self._task,))

    @property
    def is_out(self) -> bool:
        """Whether it is broken, after it gave pictures."""
        return self._out_since is not None

    @property
    def audio_problem(self) -> str | None:
        """Why there is no audio although it was asked for, or None."""
        return self._feed.audio_problem if self._feed is not None else None

    # The task

    async def _main(self) -> None:
        failure: NVRError | None = None
        try:
            await self._run()
        except NVRError as error:
            failure = error
        except Exception as bug:  # noqa: BLE001  it is logged
            failure = told(f"live camera {self.wanted.camera}", bug)
        finally:
            self.state = "closed"
            self._uid.give_back()
            self._alarm.set(None)
            self._connection.streams.discard(self)
            self._connection.count(streams=-1)
            if not self._entered.done():
                self._entered.set_exception(failure or NVRError("the stream was closed"))
                self._entered.exception()  # retrieved, also where nobody waits any more
            for buffer in self._buffers:
                buffer.end(failure)

    async def _run(self) -> None:
        """START, watch, STOP; again with the next codec or transport while nothing comes, and after a break."""
        tries = tries_for(self.wanted)
        at = uids_gone = 0
        backoff = FIRST_BACKOFF
        while True:
            transport, codec = tries[at]
            frames, logins = self.demuxer.video.frames, self._connection.stats.logins
            error: NVRError
            try:
                await self._once(transport, codec)
                raise AssertionError("a stream ends by an exception")
            except UidGoneError:
                # Only new ones count: old ones died with what was before.
                uids_gone += self._connection.stats.logins > logins
                error = StreamEndedError(
                    f"live camera {self.wanted.camera}: the recorder no longer knows the stream's"
                    " UID; it was restarted, or sixteen others were issued since"
                )
                if not self._first_frame_given:
                    if uids_gone < MAX_UIDS_GONE:
                        continue
                    raise SessionLimitError(
                        f"live camera {self.wanted.camera}: the recorder dropped {uids_gone} UIDs as"
                        " soon as they were issued; do other clients take all sixteen?",
                        retry_after=30.0,
                    ) from None
            except NVRError as failure:
                error = failure
            if not self._first_frame_given:
                following = next_try(error, tries, at, accepted=self._entered.done())
                if following is None:
                    if isinstance(error, StreamStalledError | StreamEndedError):
                        raise nothing_came(
                            error,
                            self.wanted.camera,
                            tries,
                            self.demuxer.counters().packets,
                            placeholder=bool(self.demuxer.video.dropped.get("placeholder")),
                        )
                    raise error
                at = following
                self._note_fallback(transport, tries[at][0], error)
                self.early_audio.drop()
                self.demuxer.interrupt("reconnect")
                continue
            if self._is_final(error):
                raise error
            guessed, stalled = tries[at] != tries[0], isinstance(error, StreamStalledError)
            if self.demuxer.video.frames > frames:
                proved = transport, self.demuxer.video.codec or codec
                tries, at = tries_for(self.wanted, proved), 0
                backoff, uids_gone = FIRST_BACKOFF, 0
            elif guessed or isinstance(error, _ANSWERS):
                at = (at + 1) % len(tries)
                self._note_fallback(transport, tries[at][0], error)
            self._interrupt(error)
            wait = FIRST_BACKOFF if guessed else backoff
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311  jitter
            # While nobody knows whether the recorder is there, the turns of `Reach` are what keeps the pace.
            unreached = self._connection.reach.is_doubted and not self._accepted
            longest = MAX_SILENT_BACKOFF if stalled else MAX_BACKOFF
            if not guessed:
                backoff = FIRST_BACKOFF if unreached else min(2 * backoff, longest)

    def _note_fallback(self, left: Transport, taken: Transport, error: NVRError) -> None:
        if taken != left:
            self.fallback = str(error) if left == "udp" else None

    def _is_final(self, error: NVRError) -> bool:
        """Whether a stream that has given pictures ends with this error."""
        return self._first_frame_given and (
            not self._connection.options.reconnect or isinstance(error, FATAL)
        )

    async def _once(self, transport: Transport, codec: Codec) -> None:
        """One START to one STOP. Returns only by an exception."""
        connection, patient = self._connection, self._first_frame_given
        self.transport = transport
        feed: Feed | None = None
        returns = self._accepted = False
        self._pictures_before = self.demuxer.video.frames
        try:
            async with connection.reach.turn() if patient else nullcontext():
                held = self._uid.slot
                while feed is None:
                    slot = await self._uid.take(patient=patient)
                    feed = (HttpFeed if transport == "http" else UdpFeed)(
                        connection,
                        slot,
                        self.wanted.camera,
                        codec,
                        self.demuxer,
                        self._arrived,
                        patient=patient,
                    )
                    feed.wants_audio = self._audio
                    try:
                        await feed.start()
                    except UidGoneError:
                        if slot is not held:
                            raise
                        await feed.aclose()  # it was gone with what broke the stream before
                        feed, held = None, None
            self._feed, self._accepted = feed, True
            self.datagrams.begin(feed)
            if not self._entered.done():
                self._entered.set_result(None)
            await self._watch(feed)
        except NVRError as error:
            returns = self._first_frame_given and not self._is_final(error)
            mine = self._uid.slot
            if mine is not None and self._out_since is not None and self._is_barren(error):
                connection.suspect(mine, self._out_since)
            raise
        finally:
            if feed is not None:
                await self._end(feed, returns=returns)

    def _is_barren(self, error: NVRError) -> bool:
        """Whether a START brought nothing, though the recorder is there: perhaps it does not know the UID."""
        starts_up = isinstance(error, SessionLimitError) and self._connection.reach.is_doubted
        brought = self.demuxer.video.frames > self._pictures_before
        return not (brought or starts_up or isinstance(error, ConnectionFailedError | BugError))

    async def _end(self, feed: Feed, *, returns: bool) -> None:
        """Send STOP, or leave it to the next START where the stream `returns`; free the feed."""
        try:
            if returns:
                feed.owe_stop()
            elif not self._uid.lost.done():
                with anyio.move_on_after(STOP_TIME, shield=True) as deadline:
                    await feed.stop()
                if deadline.cancelled_caught:
                    self._connection.reach.doubt()
        finally:
            self._feed = None
            self.datagrams.end(feed)
            await feed.aclose()

    async def _watch(self, feed: Feed) -> None:
        """Let the feed run; raise when it ends, when its UID is gone, or when no picture comes any more."""
        loop, patience = self._connection.loop, self._patience
        video = self.demuxer.video
        patience.start(loop.time())
        looked_again_at: float | None = -1.0
        running = self._connection.spawn(feed.run(), f"feed of camera {self.wanted.camera}")
        self._watching, self._quiet_at = True, None
        self._start_hearing()
        try:
            while True:
                due = patience.due(video.picture_at, video.interval)
                await asyncio.wait(
                    (running, self._uid.lost, feed.failed),
                    timeout=max(0.0, due - loop.time()),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                for ended in (feed.failed, running, self._uid.lost):
                    if ended.done():
                        ended.result()
                if self._uid.lost.done():
                    raise UidGoneError
                woken = loop.time()
                if any(buffer.is_full for buffer in self._buffers):
                    patience.began = woken  # the consumer holds the stream up, not the recorder
                elif woken > due + LATE_WAKE and looked_again_at != video.picture_at:
                    looked_again_at = video.picture_at  # once: the loop may wake late every time
                    patience.began = woken - patience.stall_time(video.interval) + LATE_WAKE
                elif woken >= patience.due(video.picture_at, video.interval):
                    raise self._stalled(woken)
        except NVRError as error:
            self._connection.reach.doubt()
            if self._is_final(error):
                self.state = "closed"  # nobody joins what only has its STOP before it
            raise
        finally:
            self._watching = False
            hearing, self._hearing = self._hearing, None
            with anyio.CancelScope(shield=True):
                # In this order: a START of the audio goes out before its video ends.
                for task in (hearing, running):
                    if task is not None:
                        task.cancel()
                        await asyncio.wait((task,))

    def _stalled(self, now: float) -> StreamStalledError:
        assert self.transport is not None
        return self._patience.stalled(
            self.wanted.camera,
            self.transport,
            now,
            self.demuxer.video.interval,
            self.demuxer.counters().packets,
            first=not self._first_frame_given,
        )

    def _start_hearing(self) -> None:
        """Have the audio of the feed at hand, if somebody wants it."""
        feed = self._feed
        if self._audio and self._watching and feed is not None and self._hearing is None:
            self._hearing = self._connection.spawn(
                feed.hear(), f"audio of camera {self.wanted.camera}"
            )
            self._hearing.add_done_callback(feed.heard_out)

    def _arrived(self) -> Space | None:
        """The demuxer has been fed: hand out what is ready. Returns what to wait for, if a consumer is full."""
        video = self.demuxer.video
        if self.demuxer.items:
            for item in self.demuxer.take():
                if isinstance(item, AudioFrame) and not self._first_frame_given:
                    self.early_audio.hold(item)
                    continue
                self._hold(item)
                self._give(item)
                for piece in self.early_audio.take() if self._first_frame_given else ():
                    self._give(piece)
        for buffer in self._buffers:
            buffer.poke()
        self._patience.wait_for_keyframe(self._connection.loop.time(), waiting=video.is_waiting)
        if self.state != "closed":
            if video.is_waiting:
                watched = self._first_frame_given and self._out_since is None
                if watched or video.frames > self._pictures_before:
                    self.state = "waiting for key frame"
            elif self._first_frame_given:
                self.state = "live"
        self._set_alarm()
        if len(self._buffers) == 1 and self._buffers[0].is_full:
            return self._buffers[0].space
        return None

    def _give(self, item: StreamItem) -> None:
        for buffer in self._buffers:
            buffer.push(item)

    def _set_alarm(self) -> None:
        """For whatever the demuxer waits for, and for silence while START has no answer."""
        due = self.demuxer.deadline
        if self._quiet_at is not None:
            due = self._quiet_at if due is None else min(due, self._quiet_at)
        self._alarm.set(due)

    def _on_alarm(self) -> None:
        now = self._connection.loop.time()
        try:
            self.demuxer.flush(now)
            if self._quiet_at is not None and now >= self._quiet_at:
                self._interrupt(self._stalled(now))
                return
        except Exception as bug:  # nobody awaits a timer: the feed's end tells it
            if self._feed is None:
                raise
            self._feed.fail(bug)
        else:
            self._arrived()

    def _hold(self, item: StreamItem) -> None:
        """Keep the newest GOP for those who join later."""
        self._patience.give(item)
        if isinstance(item, VideoFrame):
            self._out_since = self._quiet_at = None
            if self._entered.done() and not self._watching:  # START is sent again, and not answered
                interval = self.demuxer.video.interval
                self._quiet_at = item.received_at + self._patience.stall_time(interval)
            if self._uid.slot is not None:
                self._uid.slot.pictures_at = item.received_at
            if not self._first_frame_given:
                self._first_frame_given = True
                if item.codec is not Codec.JPEG or not self.wanted.codec_is_sure:
                    self._connection.codecs[self.wanted.camera] = item.codec
            self._newest.hold(item)

    def _interrupt(self, error: NVRError) -> None:
        logger.warning("live camera %d: %s; reconnecting", self.wanted.camera, error)
        if self._out_since is None:  # counted once, however many tries it takes
            self.reconnects += 1
            self._out_since = self._connection.loop.time()
        self.state = "reconnecting"
        self.stalls += isinstance(error, StreamStalledError)
        self._newest.clear()
        self._quiet_at = None
        self.demuxer.interrupt("reconnect")
        for item in self.demuxer.take():
            self._give(item)
