"""A day with a recorder: sixteen cameras, half over HTTP and half over UDP, while everything goes wrong by a schedule.

One process, one loop on a simulated clock, real sockets. The client is untouched; the recorder plays `Schedule`.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field

import nvrclient
from nvrclient import Session
from nvrclient.simulator import CameraSetup, Incident, Readings, Schedule, SimulatedRecorder
from nvrclient.simulator.schedule import Kind
from tests.clock import simulated_clock
from tests.end_to_end.recordings import brief
from tests.secrets import PASSWORD
from tests.soak.heap import heap_bytes, slope
from tests.soak.watcher import Watcher
from tests.torture.rig import Base

CAMERAS = 16
GOP = 5
"""Pictures, one a second."""

PACKET = 700
"""Bytes of an RTP payload: two packets a picture at least, thirteen a key frame."""

TOLD_WITHIN = 8.0
"""Seconds after which an interruption is told: stall_timeout, one more (FAULTS), a picture, and a late answer."""

BACK_WITHIN = 25.0
"""Seconds after which a stream is back once nothing is wrong any more (row 18: 20 s, and a GOP)."""

LONG_ENOUGH = 8.0
"""Seconds from which on a silence interrupts every stream for sure."""

CONNECTS = 8
"""Connections a minute while the recorder is away (row 18)."""

STARTS = 4
"""START commands in flight at once (row 25)."""

MEMORY_EVERY = 600.0
"""Seconds between two measurements of the heap."""

SLOW_EVERY = 3600.0
"""Seconds between two occasions at which all streams start again while START is answered late."""

INTERRUPT_ALL = {
    Kind.REBOOT_RESET,
    Kind.REBOOT_ORDERLY,
    Kind.REBOOT_FROZEN,
    Kind.REBOOT_POWER_CUT,
    Kind.CONNECTIONS_CLOSED,
    Kind.CONNECTIONS_RESET,
    Kind.CONNECTIONS_HALF_OPEN,
    Kind.UID_LOST,
    Kind.UIDS_LOST,
    Kind.LOGINS_BUSY,
    Kind.STREAM_SILENT,
    Kind.STREAM_EMPTY,
    Kind.STREAM_CLOSED,
    Kind.STREAM_RESET,
    Kind.STREAM_CUT,
    Kind.START_REFUSED,
    Kind.ANSWERS_LATE,
    Kind.ANSWERS_BUSY,
}
"""Kinds that interrupt every stream they name."""

INTERRUPT_IF_LONG = {Kind.BLACK_HOLE, Kind.UDP_BLOCKED}
"""Kinds that do so if they last `LONG_ENOUGH`."""

SETTLED = 5.0
"""Seconds after a fault after which nothing of it is under way."""

REBOOTS = {
    Kind.REBOOT_RESET,
    Kind.REBOOT_ORDERLY,
    Kind.REBOOT_FROZEN,
    Kind.REBOOT_POWER_CUT,
}

LOSE_PACKETS = {Kind.UDP_BURST, Kind.UDP_SHAKEN}
"""Kinds after which the gaps the client counts are those that were made, exactly, in each stream that outlives them."""

UNHURT = {Kind.KEEPALIVE_LOST, Kind.ANSWERS_GARBLED, Kind.STREAM_FLOODS}
"""Kinds that interrupt nothing. (Lost packets do, where none is left of five seconds.)"""


@dataclass
class Report:
    """What a day came to."""

    seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    outages: int = 0
    frames: int = 0
    packets: int = 0
    lost: int = 0
    bursts_compared: int = 0
    logins: int = 0
    uids_lost: int = 0
    most_starts: int = 0
    most_connects: int = 0
    heap: list[tuple[float, int, int]] = field(default_factory=list)
    growth: tuple[float, float] | None = None
    real_seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        kinds = ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items()))
        growth = "not measured"
        if self.growth is not None:
            growth = " KiB, small objects alone ".join(f"{one / 1024:+.0f}" for one in self.growth)
            growth += f" KiB; {len(self.heap)} measurements"
        return "\n".join(
            (
                (
                    f"{self.seconds / 3600:.2f} h in {self.real_seconds:.0f} s: {self.frames} frames, {self.packets} packets,"
                    f" {self.lost} lost, {self.outages} outages told"
                ),
                f"faults: {sum(self.faults.values())}: {kinds}",
                (
                    f"losses compared exactly: {self.bursts_compared} streams; logins {self.logins}, UIDs lost"
                    f" {self.uids_lost}; most STARTs at once {self.most_starts}, most connects a minute while away"
                    f" {self.most_connects}"
                ),
                f"heap over the last half, for 12 h: {growth}",
                *self.problems,
            )
        )


@dataclass
class _Under:
    """A fault that is looked at: what there was when it began."""

    incident: Incident
    kind: Kind
    was_out: set[int]
    ended: float | None = None
    gaps: dict[int, tuple[object, int, int]] = field(default_factory=dict)


class Day:
    """Runs for `seconds`, and on until each kind of fault came `least` times."""

    def __init__(self, seed: int, seconds: float, least: int, schedule: Schedule) -> None:
        self._seed, self._seconds, self._least, self._schedule = seed, seconds, least, schedule
        clip = brief("h264", GOP, 2)
        assert len(set(clip.units)) == 2 * GOP
        self._clip = type(clip).video("h264", clip.units, 1, name="a picture a second")
        self.report = Report()
        self._under: deque[_Under] = deque()
        self._gaps_before: dict[int, tuple[object, int, int]] = {}
        self._seen = 0  # incidents of the log
        self._last: Incident | None = None
        self._slowed_at = 0.0  # when all streams were made to start again

    async def run(self) -> Report:
        """Run it; the report has what was wrong."""
        clock = simulated_clock()
        really, began = time.monotonic(), clock.time()
        base = Base.now()
        self._recorder = recorder = SimulatedRecorder(
            cameras={number: CameraSetup(self._clip) for number in range(1, CAMERAS + 1)},
            password=PASSWORD,
            readings=Readings(packet_size=PACKET),
            clock=clock.wall,
            seed=self._seed,
        )
        async with recorder:
            async with nvrclient.connect(recorder.url, "ADMIN", PASSWORD) as nvr:
                self._nvr = nvr
                self._watchers = await self._open(nvr)
                await asyncio.sleep(10)
                await self._play(began)
                await self._end(nvr)
            for watcher in self._watchers:
                await watcher.task
                await watcher.stream.aclose()
            await asyncio.sleep(2)
            self._wrong_unless(not recorder.uids, f"UIDs at the end: {recorder.uids}")
            self._wrong_unless(not recorder.violations, f"rules broken: {recorder.violations[:10]}")
            self.report.logins = recorder.logins
            self.report.most_starts = recorder.max_starts_seen
            self._judge_logins(nvr)
        del self._watchers, self._nvr, self._recorder, nvr, recorder, watcher
        gc.collect()
        await asyncio.sleep(1)
        self.report.problems += [f"left: {one}" for one in base.left()]
        self.report.seconds = clock.time() - began
        self.report.real_seconds = time.monotonic() - really
        return self.report

    async def _open(self, nvr: Session) -> list[Watcher]:
        pictures = {data: place for place, data in enumerate(self._clip.annex_b)}
        watchers: list[Watcher] = []
        for number in range(1, CAMERAS + 1):
            stream = await nvr.camera(number).live(
                "h264", transport="udp" if number % 2 else "http"
            )
            watchers.append(Watcher(number, stream, pictures))
        return watchers

    # While it runs

    async def _play(self, began: float) -> None:
        """Play the schedule, and look once a second."""
        clock, faults = simulated_clock(), self._recorder.faults
        playing = asyncio.create_task(self._schedule.play(faults), name="schedule")
        slow_at = began
        measures = self._seconds >= 3 * 3600
        until, memory_at = began + self._seconds, began + self._seconds / 2
        ticks = 0
        while True:
            await asyncio.sleep(1)
            ticks += 1
            now = clock.time()
            self._look(now)
            self._compare_losses(now)
            if now >= slow_at and not faults.lasting:
                # All sixteen start again at once while START takes its time: so it is seen how many are in flight.
                slow_at, self._slowed_at = now + SLOW_EVERY, now
                faults.slow_starts(1.0, seconds=20)
                faults.forget_uids()
            if ticks % 60 == 0:
                for watcher in self._watchers:
                    watcher.check()
                    watcher.forget(now - 900)
                self._forget_the_recorders_own()
            if measures and now >= memory_at and self._is_calm(now):
                memory_at += MEMORY_EVERY
                await self._measure(began)
            enough = all(
                self.report.faults[kind.name] >= self._least for kind in self._schedule.kinds
            )
            if now >= until and enough and not faults.lasting:
                break
            if now > began + 10 * self._seconds:
                self._wrong("the schedule does not come to its end")
                break
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)
        faults.heal()

    def _look(self, now: float) -> None:
        """Follow the log of faults, and judge each once its time is over."""
        log = self._recorder.faults.log
        for incident in log[self._seen :]:
            self._begin(incident)
        self._seen = len(log)
        if self._seen > 100 and all(one.ended is not None for one in log):
            log.clear()  # it would grow for the whole day
            self._seen = 0
        while self._under:
            under = self._under[0]
            if under.incident.ended is None:
                break
            if (
                now
                < max(under.incident.ended + BACK_WITHIN, under.incident.began + TOLD_WITHIN) + 2
            ):
                break
            self._judge(under)
            self._under.popleft()

    def _begin(self, incident: Incident) -> None:
        self._last = incident
        if incident.kind not in Kind.__members__:
            return  # a part of another one
        kind = Kind[incident.kind]
        self.report.faults[kind.name] += 1
        under = _Under(incident, kind, {w.camera for w in self._watchers if w.is_out})
        if kind in LOSE_PACKETS:
            under.gaps = self._gaps_before
        self._under.append(under)

    def _gaps(self) -> dict[int, tuple[object, int, int]]:
        """Return for each camera over UDP: its stream's account, the gaps in it, and those the client has counted.

        The client counts a gap when it gives the packet up, a tenth of a second later: so this is compared over times
        that begin and end without faults.
        """
        counted = {w.camera: w.stream.stats.lost for w in self._watchers}
        return {
            stream.camera: (stream.account, stream.account.gaps, counted[stream.camera])
            for stream in self._recorder.streams
            if stream.transport == "udp"
        }

    def _compare_losses(self, now: float) -> None:
        """Between two faults: what was lost in each stream over UDP that outlived the last one is what was counted."""
        last = self._last
        if last is not None and (last.ended is None or now < last.ended + SETTLED):
            return
        under = self._under[-1] if self._under else None
        if under is not None and under.incident is last:
            differing: dict[int, tuple[object, int, int]] = {}
            present = self._gaps()
            for camera, before in under.gaps.items():
                account, gaps, counted = present.get(camera, (None, 0, 0))
                if account is not before[0]:
                    continue  # it was started again meanwhile
                if gaps - before[1] == counted - before[2]:
                    self.report.bursts_compared += 1
                elif now < under.incident.ended + SETTLED + 2:  # type: ignore[operator]
                    differing[camera] = (
                        before  # a packet of this very moment is given up in a moment
                    )
                else:
                    self._wrong(
                        f"{under.kind.name} at {under.incident.began:.1f}: camera {camera}:"
                        f" {gaps - before[1]} packets lost, {counted - before[2]} counted"
                    )
            under.gaps = differing
        self._gaps_before = self._gaps()

    def _judge(self, under: _Under) -> None:
        incident, kind = under.incident, under.kind
        assert incident.ended is not None
        name = f"{kind.name} at {incident.began:.1f}"
        lasted = incident.ended - incident.began
        if kind in INTERRUPT_ALL or (kind in INTERRUPT_IF_LONG and lasted >= LONG_ENOUGH):
            cameras = incident.cameras
            if kind is Kind.UDP_BLOCKED:
                cameras = frozenset(w.camera for w in self._watchers if w.camera % 2)
            for watcher in self._watchers:
                if watcher.camera in cameras and watcher.camera not in under.was_out:
                    self._judge_outage(name, watcher, incident)
        elif kind in UNHURT:
            for watcher in self._watchers:
                told = watcher.was_told(incident.began, incident.ended)
                if told is not None and watcher.camera not in under.was_out:
                    self._wrong(f"{name}: camera {watcher.camera} was interrupted at {told:.1f}")
        if kind in REBOOTS and not under.was_out:  # else streams were being started when it began
            self._judge_connects(name, incident)
        alone = self._is_alone(incident)
        for watcher in self._watchers:
            if watcher.is_out and alone:
                self._wrong(
                    f"{name}: camera {watcher.camera} is not back {BACK_WITHIN:g} s after it"
                )

    def _is_alone(self, incident: Incident) -> bool:
        """Whether nothing else began after it by which a stream can be out."""
        return len(self._under) == 1 and self._slowed_at < incident.began

    def _judge_outage(self, name: str, watcher: Watcher, incident: Incident) -> None:
        assert incident.ended is not None
        told = watcher.was_told(incident.began, incident.began + TOLD_WITHIN)
        if told is None:
            self._wrong(f"{name}: camera {watcher.camera} was not told within {TOLD_WITHIN:g} s")
            return
        self.report.outages += 1
        back = watcher.is_back_by(told)
        alone = self._is_alone(incident)
        if alone and back is not None and back - max(incident.ended, incident.began) > BACK_WITHIN:
            self._wrong(
                f"{name}: camera {watcher.camera} was back after {back - incident.ended:.1f} s"
            )

    def _judge_connects(self, name: str, incident: Incident) -> None:
        """Count connections in every minute while the recorder is away."""
        assert incident.ended is not None
        times = [t for t in self._recorder.connection_times if incident.began < t < incident.ended]
        most = max((sum(t <= u < t + 60 for u in times) for t in times), default=0)
        self.report.most_connects = max(self.report.most_connects, most)
        self._wrong_unless(most <= CONNECTS, f"{name}: {most} connections in a minute")

    def _is_calm(self, now: float) -> bool:
        """Whether the client has had half a minute to itself: what it holds is then the same each time."""
        last = self._last
        return (
            (last is None or (last.ended is not None and now - last.ended > 30))
            and not self._recorder.faults.lasting
            and all(watcher.stream.state == "live" for watcher in self._watchers)
        )

    async def _measure(self, began: float) -> None:
        """Measure the heap: the least of a GOP's five seconds, once a command has closed what connections are idle."""
        await self._nvr.cameras()
        found: list[tuple[int, int]] = []
        for _ in range(GOP):
            await asyncio.sleep(1)
            found.append(heap_bytes())
        now, (both, small) = simulated_clock().time(), min(found)
        self.report.heap.append((now, both, small))
        if len(self.report.heap) % 6 == 1:
            print(f"  {(now - began) / 3600:.1f} h: heap of {both / 2**20:.2f} MiB", flush=True)

    def _forget_the_recorders_own(self) -> None:
        """The simulator keeps account of everything; here that would be taken for the client's memory."""
        recorder = self._recorder
        recorder.requests.clear()
        now = simulated_clock().time()
        recorder.connection_times[:] = [t for t in recorder.connection_times if t > now - 900]
        recorder.login_times.clear()
        live = {id(stream.account) for stream in recorder.streams}
        recorder.faults.accounts[:] = [a for a in recorder.faults.accounts if id(a) in live]

    # At its end

    async def _end(self, nvr: Session) -> None:
        """All sixteen are live again, and pictures come."""
        await asyncio.sleep(60)
        self._look(simulated_clock().time())
        before = [watcher.frames for watcher in self._watchers]
        await asyncio.sleep(20)
        for watcher, frames in zip(self._watchers, before, strict=True):
            watcher.finish()
            self.report.problems += watcher.problems
            stats = watcher.stream.stats
            self.report.frames += stats.frames_delivered
            self.report.packets += stats.packets
            self.report.lost += stats.lost
            self._wrong_unless(
                watcher.stream.state == "live", f"camera {watcher.camera} is {watcher.stream.state}"
            )
            new = watcher.frames - frames
            self._wrong_unless(new >= 19, f"camera {watcher.camera}: {new} pictures in 20 s")
        self._wrong_unless(nvr.stats.uids <= 2, f"{nvr.stats.uids} UIDs for 16 streams")
        heap = self.report.heap
        if len(heap) > 3:
            both = slope([(time, both) for time, both, _ in heap]) * 12 * 3600
            small = slope([(time, small) for time, _, small in heap]) * 12 * 3600
            self.report.growth = both, small
            self._wrong_unless(
                max(both, small) <= 1 << 20, f"the heap grows by {both:.0f} ({small:.0f}) in 12 h"
            )

    def _judge_logins(self, nvr: Session) -> None:
        """One login for each UID lost, and one more; one answered challenge each, none of them wrong."""
        recorder, stats = self._recorder, nvr.stats
        self.report.uids_lost = stats.uids_lost
        self._wrong_unless(recorder.wrong_credentials == 0, "a wrong credential was sent")
        self._wrong_unless(
            recorder.logins <= 1 + stats.uids_lost,
            f"{recorder.logins} logins for {stats.uids_lost} lost UIDs",
        )
        self._wrong_unless(
            recorder.max_starts_seen <= STARTS,
            f"{recorder.max_starts_seen} STARTs in flight at once",
        )

    def _wrong(self, what: str) -> None:
        if len(self.report.problems) < 200:
            self.report.problems.append(what)

    def _wrong_unless(self, right: bool, what: str) -> None:
        if not right:
            self._wrong(what)


def main(arguments: list[str]) -> int:
    """Run a day by hand: ``python -m tests.soak.day [seed [hours]]``."""
    from tests.soak.test_a_day import a_day

    seed = int(arguments[0]) if arguments else 1
    report = a_day(seed, float(arguments[1]) * 3600 if len(arguments) > 1 else 24 * 3600.0)
    print(report)
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
