"""FAULTS row 17 and section 1.3: whatever a caller does, in any order, no rule of UIDs is broken, and as few are taken as can be.

More steps, and others each time::

    NVRCLIENT_LONG=1 python -m pytest -q -n0 tests/recovery/test_uid_rules.py --timeout 1800 --show-capture=no
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from nvrclient import (
    CommandError,
    Download,
    LiveStream,
    NVRError,
    Playback,
    Session,
    SessionLimitError,
)
from nvrclient.simulator import AnswerFault, Readings, SimulatedRecorder, Uid, light_cameras
from tests.clock import SimulatedClockLoop, run_simulated
from tests.end_to_end.test_live_video import watching
from tests.recovery.viewer import codec_of, connect, light_recorder, viewing
from tests.secrets import PASSWORD

LONG = bool(os.environ.get("NVRCLIENT_LONG"))

CAMERAS = 40

MAX_STREAMS = 16
"""Live streams on one UID."""

IDLE = 12.0
"""Seconds after which a UID that only camera control used has been given back."""


def carries(uid: Uid) -> set[int]:
    """Return the cameras of this UID's live streams."""
    return {stream.camera for stream in uid.streams}


def is_used(uid: Uid) -> bool:
    """Whether anything hangs on the UID, as the recorder sees it."""
    return bool(uid.streams or uid.downloads or uid.playback is not None)


class UidRules(RuleBasedStateMachine):
    """A caller who does anything, against a recorder that notes every rule that is broken."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(debug=False, loop_factory=SimulatedClockLoop)
        self.live: list[tuple[int, LiveStream]] = []
        self.playbacks: list[Playback] = []
        self.downloads: list[Download] = []
        self.most = 0
        self.lost = False  # UIDs were, and perhaps nobody has noticed yet

    @property
    def takes_all(self) -> bool:
        """Whether all UIDs it may have are in use, or were until one was lost a moment ago."""
        return self.nvr.stats.uids == self.max_uids or self.lost

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    @initialize(max_uids=st.sampled_from([1, 2, 3, 8, 16]), full=st.booleans())
    def open(self, max_uids: int, full: bool) -> None:
        async def opens() -> None:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, SimulatedClockLoop)
            self.recorder = SimulatedRecorder(
                cameras=light_cameras(CAMERAS),
                password=PASSWORD,
                clock=loop.wall,
                readings=Readings(packet_size=1400, full_is_busy=full),
            )
            await self.recorder.start()
            self.nvr: Session = await connect(
                self.recorder, max_uids=max_uids, channels=CAMERAS, command_interval=3.0
            )

        self.max_uids = max_uids
        self.run(opens())

    # What a caller does

    @rule(
        cameras=st.lists(st.integers(1, CAMERAS), min_size=1, max_size=6),
        shared=st.booleans(),
        transport=st.sampled_from(["http", "udp"]),
        together=st.booleans(),
    )
    def watch(self, cameras: list[int], shared: bool, transport: str, together: bool) -> None:
        self.run(self._watch(cameras, shared=shared, transport=transport, together=together))

    @rule(first=st.integers(1, CAMERAS), count=st.integers(15, CAMERAS))
    def watch_many(self, first: int, count: int) -> None:
        cameras = [(first + index) % CAMERAS + 1 for index in range(count)]
        self.run(self._watch(cameras, shared=True, transport="http", together=True))

    async def _watch(
        self, cameras: list[int], *, shared: bool, transport: str, together: bool
    ) -> None:
        streams = [
            self.nvr.camera(number).live(codec_of(number), transport=transport, shared=shared)  # type: ignore[arg-type]
            for number in cameras
        ]
        logins = self.recorder.logins
        before = {uid.number: carries(uid) for uid in self.recorder.uids}
        if together:
            outcomes = await asyncio.gather(*streams, return_exceptions=True)
        else:
            outcomes = []
            for stream in streams:
                outcomes += await asyncio.gather(stream, return_exceptions=True)
        for number, stream, outcome in zip(cameras, streams, outcomes, strict=True):
            if isinstance(outcome, SessionLimitError):
                assert self.takes_all, outcome
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                self.live.append((number, stream))
        await asyncio.sleep(0.5)  # the first picture
        if self.recorder.logins > logins and not self.lost and len(set(cameras)) == len(cameras):
            # Another was needed: of those there before, none but a playback's or a download's had room for all.
            roomy = [
                uid
                for uid in self.recorder.uids
                if uid.number in before
                and len(before[uid.number]) + len(cameras) <= MAX_STREAMS
                and not set(cameras) & before[uid.number]
            ]
            assert len(roomy) <= len(self.playbacks) + len(self.downloads)

    @precondition(lambda self: self.live)
    @rule(data=st.data(), count=st.integers(1, 20))
    def leave(self, data: st.DataObject, count: int) -> None:
        leaving = [
            self.live.pop(data.draw(st.integers(0, len(self.live) - 1)))
            for _ in range(min(count, len(self.live)))
        ]

        async def leaves() -> None:
            await asyncio.gather(*[stream.aclose() for _, stream in leaving])

        self.run(leaves())

    @rule(cameras=st.sets(st.integers(1, CAMERAS), min_size=1, max_size=3))
    def play(self, cameras: set[int]) -> None:
        async def plays() -> None:
            now = datetime.fromtimestamp(self.recorder._clock(), UTC)
            playback = self.nvr.playback(sorted(cameras), now - timedelta(minutes=30))
            try:
                await playback
            except SessionLimitError:
                assert self.takes_all
                return
            self.playbacks.append(playback)
            async with asyncio.timeout(60):
                await anext(aiter(playback))

        self.run(plays())

    @precondition(lambda self: self.playbacks)
    @rule(data=st.data())
    def stop_playing(self, data: st.DataObject) -> None:
        playback = self.playbacks.pop(data.draw(st.integers(0, len(self.playbacks) - 1)))
        self.run(playback.aclose())

    @rule(camera=st.integers(1, CAMERAS))
    def download(self, camera: int) -> None:
        async def begins() -> None:
            now = datetime.fromtimestamp(self.recorder._clock(), UTC)
            begin = now - timedelta(minutes=30)
            download = self.nvr.camera(camera).open_download(begin, begin + timedelta(minutes=1))
            try:
                async with asyncio.timeout(5):  # a third one waits for its turn
                    await download
                    await anext(aiter(download))
            except SessionLimitError:
                assert self.takes_all
            except TimeoutError:
                pass
            else:
                self.downloads.append(download)
                return
            await download.aclose()

        self.run(begins())

    @precondition(lambda self: self.downloads)
    @rule(data=st.data())
    def stop_downloading(self, data: st.DataObject) -> None:
        download = self.downloads.pop(data.draw(st.integers(0, len(self.downloads) - 1)))
        self.run(download.aclose())

    @rule(camera=st.integers(1, CAMERAS))
    def move(self, camera: int) -> None:
        async def moves() -> None:
            try:
                await self.nvr.camera(camera).move(pan=3)
            except SessionLimitError:
                assert self.takes_all
            except CommandError as error:
                if not (error.status == 401 and self.lost):  # the UID got for it was lost as well
                    raise

        self.run(moves())

    @rule()
    def ask(self) -> None:
        self.run(self.nvr.error_log())

    # What happens to him

    @rule(data=st.data())
    def lose_uids(self, data: st.DataObject) -> None:
        uids = self.recorder.uids
        if uids:
            chosen = data.draw(st.sets(st.integers(0, len(uids) - 1), min_size=1))

            async def loses() -> None:
                for index in chosen:
                    self.recorder.faults.forget_uid(uids[index])
                await asyncio.sleep(0.01)

            self.lost = True
            self.run(loses())

    @rule(cgi=st.sampled_from(["push.cgi", "hdrctl.cgi", "camctl.cgi", "status.cgi", "logout.cgi"]))
    def lose_the_next(self, cgi: str) -> None:
        async def loses() -> None:
            self.recorder.faults.spoil(AnswerFault.UID_LOST, cgi, count=1, seconds=10)

        self.lost = True
        self.run(loses())

    @rule(seconds=st.one_of(st.floats(0, 2), st.just(IDLE)))
    def pass_time(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    @rule()
    def settle(self) -> None:
        """Leave it alone, and every stream runs, and no UID is kept that nothing needs."""

        async def settles() -> None:
            await asyncio.sleep(20)
            if self.lost:
                await asyncio.sleep(70)  # the next keep-alive tells what nobody has noticed
            self.lost = False
            idle = [uid for uid in self.recorder.uids if not is_used(uid)]
            # What a download that is held has sent may all be under way already.
            spare = max(len(self.downloads), len(idle) == len(self.recorder.uids))
            assert len(idle) <= spare, "a UID that nothing uses"
            for number, stream in tuple(self.live):
                if stream.state == "closed":
                    assert stream.stats.frames_received == 0, "a stream that ran is brought back"
                    self.live.remove((number, stream))
            if self.nvr.stats.uids == self.max_uids:
                # A playback may have taken the UID that a stream had lost; or all that have room carry its camera.
                return
            wanted = {number for number, _ in self.live}
            running = {camera for uid in self.recorder.uids for camera in carries(uid)}
            assert running == wanted
            assert {stream.state for _, stream in self.live} <= {"live"}

        self.run(settles())
        self.recorder.requests.clear()

    # What holds at every moment

    @invariant()
    def no_rule_is_broken(self) -> None:
        if hasattr(self, "nvr"):
            assert self.recorder.violations == [], self.recorder.violations
            assert len(self.recorder.uids) <= self.max_uids
            assert self.nvr.stats.uids <= self.max_uids

    def teardown(self) -> None:
        async def closes() -> None:
            if hasattr(self, "nvr"):
                await self.nvr.aclose()
                for _, stream in self.live:
                    await stream.aclose()
                for handle in (*self.playbacks, *self.downloads):
                    with suppress(NVRError):
                        await handle.aclose()
                await asyncio.sleep(0.1)
                left, violations = self.recorder.uids, self.recorder.violations
                await self.recorder.aclose()
                assert left == ()
                assert violations == [], violations

        try:
            self.run(closes())
        finally:
            self.runner.close()


def test_row_17_no_rule_of_uids_is_broken_whatever_a_caller_does() -> None:
    how = settings(
        max_examples=300 if LONG else 12,
        stateful_step_count=60 if LONG else 25,
        deadline=None,
        derandomize=not LONG,
        phases=list(Phase) if LONG else [Phase.generate],  # to shrink one takes minutes
    )
    run_state_machine_as_test(UidRules, settings=how)


def test_row_17_as_few_uids_as_possible_and_given_back() -> None:
    """Forty cameras take three; playback and download one each, a second stream of a camera none; what is left is one."""

    async def scenario() -> None:
        recorder = light_recorder(CAMERAS)
        async with watching(recorder, channels=CAMERAS) as nvr:
            async with viewing(nvr, CAMERAS, "http"):
                assert sorted(len(carries(uid)) for uid in recorder.uids) == [8, 16, 16]
                begin = datetime.fromtimestamp(recorder._clock(), UTC) - timedelta(minutes=30)
                async with (
                    nvr.playback([1, 2], begin) as playback,
                    nvr.camera(1).open_download(begin, begin + timedelta(minutes=1)) as download,
                    nvr.camera(1).live("h264", shared=False),
                ):
                    await anext(aiter(playback))
                    await anext(aiter(download))
                    await nvr.camera(40).move(pan=1)
                    # The second stream of camera 1 goes where camera 1 is not yet: no UID more.
                    assert len(recorder.uids) == 5
                await asyncio.sleep(1)
                assert len(recorder.uids) == 3
            await asyncio.sleep(IDLE)
            assert len(recorder.uids) == 1
            assert nvr.stats.uids == 1
        assert recorder.uids == ()

    run_simulated(scenario(), debug=False)
