"""What can happen to a running recorder: ``recorder.faults``, and the log of what did.

Each fault is a method; each returns its `Incident`, which is in ``recorder.faults.log`` too::

    incident = recorder.faults.black_hole(30)      # begins at once
    await incident.over()                          # 30 seconds later; or incident.heal() to end it now

All times and durations are the event loop's seconds; nothing here reads another clock, so that it works under
a simulated one. ``seconds=None`` means until ``heal()``. Chance comes from the recorder's ``seed``.

| method | what happens |
|---|---|
| ``reboot(RESET)`` | a `Reboot` script: connections end, UIDs and streams are gone, then silence, refusal, 503, and well again |
| ``black_hole(seconds)`` | the path is dead: nothing sent (UDP neither), nothing heard, nothing closed; UIDs live on by their lifetime |
| ``drop_connections(ending)`` | every TCP connection ends by `Ending` FIN, RST, or SILENCE (half open: forgotten, never closed) |
| ``stall_connections(seconds)`` | new connections are accepted and never served; with TLS the handshake never ends |
| ``ignore_leaving(seconds)`` | clients that go away are not missed: their streams run on until STOP or the end of their UID |
| ``forget_uid(uid)``, ``forget_uids()`` | one UID (None: a random one), or all of them, become invalid; their streams end |
| ``steal_uids(every)`` | at every n-th command that carries a UID, this UID is invalid: 401 |
| ``spoil(fault, cgi, …)`` | answers are lost, late, garbage, 401, 503…: see `AnswerFault` and `AnswerRule` |
| ``refuse_starts(status, camera, count)`` | START is answered 204, 503, 400… |
| ``slow_starts(delay)`` | START is answered late; ``recorder.max_starts_seen`` counts those in flight |
| ``disturb(fault, camera, …)`` | streams fall silent, send no frames, flood, are closed, reset, cut: see `StreamFault` |
| ``shake_udp(UdpFaults(…), seconds)`` | datagrams are lost, repeated, reordered by chance, with an exact account |
| ``block_udp(seconds)`` | no datagram arrives: a firewall |
| ``lose_packets(count, camera)`` | the next packets of UDP streams are lost: one burst, exact |
| ``lock_account(seconds)`` | every login is refused (401), right credentials too |

A new password is ``recorder.password = "…"``; UIDs live on.

An account of each stream's packets, in ``recorder.faults.accounts`` and ``stream.account``, says what was made,
delivered, lost, duplicated and reordered: see `PacketAccount`. It stays when the stream has ended. In tests of
hours that weigh memory, clear ``recorder.requests``, ``recorder.faults.accounts`` and ``recorder.faults.log`` now
and then: they grow for ever.

Tests of hours: ``SimulatedRecorder(cameras=light_cameras(16), readings=Readings(packet_size=700))`` sends real
video of five pictures a GOP, a picture a second, about six packets each.

A `Schedule` plays these at random; give it to the recorder: ``SimulatedRecorder(faults=Schedule(seed=1))``.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Any

from nvrclient.simulator.answer_faults import AnswerFault, AnswerRule
from nvrclient.simulator.http_server import Answer, Ending, EndlessAnswer, Spoiled
from nvrclient.simulator.incident import Incident
from nvrclient.simulator.relay import UdpFaults
from nvrclient.simulator.stream_faults import StreamFault, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence

    from nvrclient.simulator.conditions import Conditions
    from nvrclient.simulator.http_server import HttpServer
    from nvrclient.simulator.logins import LoginDesk
    from nvrclient.simulator.relay import PacketAccount
    from nvrclient.simulator.schedule import Schedule
    from nvrclient.simulator.stream import Stream
    from nvrclient.simulator.uids import Uid, UidTable

__all__ = ["FROZEN", "ORDERLY", "POWER_CUT", "REBOOTS", "RESET", "Faults", "Reboot"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reboot:
    """How a recorder goes down and comes back, phase by phase, in seconds.

    | field | meaning |
    |---|---|
    | ending | how its connections end |
    | silent | the path is dead first: new connections are accepted by the kernel and never answered |
    | refused | then connections are refused |
    | busy | then every command is answered 503 |
    | counted | refused connections are accepted and reset, so that ``recorder.connection_times`` has them |
    """

    ending: Ending = Ending.RST
    silent: float = 0.0
    refused: float = 30.0
    busy: float = 10.0
    counted: bool = False


RESET = Reboot(Ending.RST)
ORDERLY = Reboot(Ending.FIN)
FROZEN = Reboot(Ending.SILENCE, silent=40.0)
POWER_CUT = Reboot(Ending.SILENCE, silent=15.0, refused=45.0, busy=20.0, counted=True)
REBOOTS: Mapping[str, Reboot] = {
    "RESET": RESET,
    "ORDERLY": ORDERLY,
    "FROZEN": FROZEN,
    "POWER_CUT": POWER_CUT,
}


class Faults:
    """See the module. Without an open recorder nothing can happen."""

    def __init__(
        self,
        *,
        server: HttpServer,
        uids: UidTable,
        logins: LoginDesk,
        conditions: Conditions,
        cameras: Collection[int],
        seed: int,
        schedule: Schedule | None = None,
    ) -> None:
        self._server, self._uids, self._logins = server, uids, logins
        self._conditions, self._cameras = conditions, cameras
        self._schedule = schedule
        self._random = Random(f"{seed} faults")  # noqa: S311 - repeatable on purpose
        self._tasks: set[asyncio.Task[None]] = set()
        self._rules: list[AnswerRule] = []
        self.log: list[Incident] = []
        self.is_booting = False
        self._starts = self.max_starts_seen = 0

    @property
    def accounts(self) -> list[PacketAccount]:
        """The account of every stream so far, oldest first."""
        return self._conditions.accounts

    @property
    def lasting(self) -> tuple[Incident, ...]:
        """What has begun and not ended."""
        return tuple(incident for incident in self.log if incident.ended is None)

    @property
    def uids(self) -> tuple[Uid, ...]:
        """The UIDs in use, oldest first."""
        return tuple(self._uids)

    @property
    def streams(self) -> tuple[Stream, ...]:
        """The streams in use."""
        return tuple(stream for uid in self._uids for stream in uid.streams)

    def heal(self) -> None:
        """End all that lasts, but a reboot."""
        for incident in self.lasting:
            incident.heal()

    def start(self) -> None:
        """Play the schedule, if there is one."""
        if self._schedule is not None:
            self._spawn(self._schedule.play(self))

    async def aclose(self) -> None:
        """End all, reboots and the schedule too."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.heal()

    # The whole recorder

    def reboot(self, script: Reboot = RESET) -> Incident:
        """Go down and come back. Over when it answers as ever."""
        incident = self._begin("reboot", self.streams, uids=self._uids)
        incident.can_be_healed = False
        was_dead = self._conditions.path.is_dead
        if script.silent or script.ending is Ending.SILENCE:
            self._conditions.path.die()
        # The connections go before the streams, or these would end their responses in order.
        self._server.end_connections(script.ending)
        for uid in self._uids:
            self._uids.drop(uid)
        self._spawn(self._come_back(script, incident, was_dead=was_dead))
        return incident

    async def _come_back(self, script: Reboot, incident: Incident, *, was_dead: bool) -> None:
        path, server = self._conditions.path, self._server
        try:
            await asyncio.sleep(script.silent)
            server.end_connections(Ending.SILENCE)  # those that came meanwhile
            if script.refused:
                server.refuse(counted=script.counted)
            if not was_dead:
                path.revive()
            await asyncio.sleep(script.refused)
            self.is_booting = True
            await server.accept_again()
            await asyncio.sleep(script.busy)
        finally:
            if path.is_dead and not was_dead:
                path.revive()
            self.is_booting = False
            incident.finish()

    def black_hole(self, seconds: float | None = None) -> Incident:
        """Lose the path: what is made meanwhile is lost, over HTTP too. What the kernel already has arrives."""
        path = self._conditions.path
        path.die()
        return self._begin("black_hole", self.streams, undo=path.revive, seconds=seconds)

    def drop_connections(self, ending: Ending = Ending.RST) -> Incident:
        """End every TCP connection, and with it the stream it carries. UIDs and UDP go on."""
        streams = [stream for stream in self.streams if stream.transport == "http"]
        self._server.end_connections(ending)
        return self._at_once(f"drop_connections {ending.name}", streams)

    def stall_connections(self, seconds: float | None = None) -> Incident:
        """Accept connections and serve none; those there are go on. Those accepted meanwhile are never served."""
        self._server.serves_new = False
        return self._begin(
            "stall_connections",
            undo=lambda: setattr(self._server, "serves_new", True),
            seconds=seconds,
        )

    def ignore_leaving(self, seconds: float | None = None) -> Incident:
        """Miss no client that goes away; one that went meanwhile is never missed."""
        self._server.notices_leaving = False
        return self._begin(
            "ignore_leaving",
            undo=lambda: setattr(self._server, "notices_leaving", True),
            seconds=seconds,
        )

    # Logins and UIDs

    def forget_uid(self, uid: Uid | None = None) -> Incident:
        """Make a UID invalid: the one given, or a random one. ``ValueError`` if there is none."""
        uids = [uid] if uid is not None else list(self._uids)
        if not uids:
            raise ValueError("there is no UID to forget")
        uid = uid or self._random.choice(uids)
        streams = tuple(uid.streams)
        self._uids.drop(uid)
        return self._at_once("forget_uid", streams, (uid,))

    def forget_uids(self) -> Incident:
        """Make every UID invalid."""
        streams, uids = self.streams, tuple(self._uids)
        for uid in uids:
            self._uids.drop(uid)
        return self._at_once("forget_uids", streams, uids)

    def steal_uids(self, every: int = 2, seconds: float | None = None) -> Incident:
        """Let the UID die that comes with every n-th command."""
        return self.spoil(AnswerFault.UID_LOST, every=every, seconds=seconds)

    def lock_account(self, seconds: float | None = None) -> Incident:
        """Refuse every login."""
        self._logins.locked = True
        return self._begin(
            "lock_account", undo=lambda: setattr(self._logins, "locked", False), seconds=seconds
        )

    # Answers

    def spoil(
        self,
        fault: AnswerFault,
        cgi: str | Iterable[str] = (),
        *,
        params: Mapping[str, str] | None = None,
        count: int | None = None,
        share: float = 1.0,
        every: int = 1,
        seconds: float | None = None,
        status: int = 503,
        delay: float = 5.0,
    ) -> Incident:
        """Spoil the answers of one or more commands (bare names; none: of all). See `AnswerRule`.

        It is over after ``seconds``, after ``count`` requests, or by ``heal()``.
        """
        names = frozenset([cgi] if isinstance(cgi, str) else cgi)
        rule = AnswerRule(fault, names, dict(params or {}), count, share, every, status, delay)
        self._rules.append(rule)
        incident = self._begin(fault.name, undo=lambda: self._rules.remove(rule), seconds=seconds)
        incident.rule = rule
        rule.spent = incident.heal
        return incident

    def refuse_starts(
        self, status: int = 204, camera: int | None = None, count: int | None = 1
    ) -> Incident:
        """Answer START with this status, so many times."""
        return self.spoil(
            AnswerFault.STATUS, "push.cgi", params=_start(camera), count=count, status=status
        )

    def slow_starts(
        self, delay: float, camera: int | None = None, seconds: float | None = None
    ) -> Incident:
        """Answer START late."""
        return self.spoil(
            AnswerFault.SLOW, "push.cgi", params=_start(camera), delay=delay, seconds=seconds
        )

    def answer(
        self,
        cgi: str,
        params: Sequence[tuple[str, str]],
        carry_out: Callable[[], Answer | EndlessAnswer],
    ) -> tuple[Answer | EndlessAnswer | Spoiled, AnswerFault | None]:
        """Have a request carried out, or not, and its answer spoiled, as the rules say."""
        if self.is_booting:
            return Answer(503), None
        rule = next((r for r in tuple(self._rules) if r.takes(cgi, params, self._random)), None)
        values = dict(params)
        starts = cgi == "push.cgi" and values.get("CMD") == "START"
        if starts:
            self.max_starts_seen = max(self.max_starts_seen, self._starts + 1)
        if rule is None:
            return carry_out(), None
        uid = self._uids.find(values.get("UID", ""))
        if uid is not None and rule.fault is AnswerFault.UID_LOST:
            self._uids.drop(uid)
        if rule.fault.is_carried_out:
            sent = rule.spoil(carry_out())
        else:
            sent = rule.spoil(None)
            if uid is not None and starts and values.get("CAM", "").isdecimal():
                # The client cannot know that it was never started: STOP is no broken rule.
                uid.started.add((int(values["CAM"]), values.get("COMP", "")))
        if starts and isinstance(sent, Spoiled) and sent.delay:
            self._starts += 1
            sent = replace(sent, over=self._started)
        return sent, rule.fault

    def _started(self) -> None:
        self._starts -= 1

    # Streams

    def disturb(
        self,
        fault: StreamFault,
        camera: int | None = None,
        *,
        pictures: int = 0,
        seconds: float | None = None,
        rate: float = 1000.0,
        streams: Iterable[Stream] | None = None,
    ) -> Incident:
        """Do this to the streams of a camera (None: of all), audio too, once so many more pictures were sent.

        Without ``seconds`` it befalls the streams that run now (or ``streams``), and a new START is well: it is
        over when they have ended. With ``seconds`` it befalls those that are started meanwhile as well; those
        that are still there go on afterwards. ``rate`` is FLOOD's, in pictures a second.
        """
        if streams is None:
            streams = [s for s in self.streams if camera in {None, s.camera}]
        streams = [stream for stream in streams if stream.source is not None]
        incident = self._begin(fault.name, streams, seconds=seconds)
        left = set(streams)
        for stream in streams:
            if stream.trouble is not None:
                stream.trouble.over()
            trouble = Trouble(fault, pictures, rate, lasts=lambda: incident.ended is None)
            stream.trouble = trouble
            if seconds is None:
                trouble.over = _leave(left, stream, incident)
        if seconds is not None:
            trouble = Trouble(fault, pictures, rate, lasts=lambda: incident.ended is None)
            cameras = self._cameras if camera is None else [camera]
            self._conditions.troubles |= dict.fromkeys(cameras, trouble)
        elif not left:
            incident.finish()
        return incident

    # Datagrams

    def shake_udp(self, faults: UdpFaults, seconds: float | None = None) -> Incident:
        """Lose, repeat, reorder datagrams by chance; a second call takes the place of the first."""
        self._conditions.udp = faults

        def undo() -> None:
            if self._conditions.udp is faults:
                self._conditions.udp = None

        return self._begin("shake_udp", self._over_udp(), undo=undo, seconds=seconds)

    def block_udp(self, seconds: float | None = None) -> Incident:
        """Let no datagram arrive."""
        incident = self.shake_udp(UdpFaults(loss=1.0), seconds)
        incident.kind = "block_udp"
        return incident

    def lose_packets(self, count: int, camera: int | None = None) -> Incident:
        """Lose the next packets of each UDP stream (of one camera): one burst."""
        streams = self._over_udp(camera)
        for stream in streams:
            if stream.relay is not None:
                stream.relay.lose_next = count
        return self._at_once("lose_packets", streams)

    def _over_udp(self, camera: int | None = None) -> list[Stream]:
        return [
            stream
            for stream in self.streams
            if stream.transport == "udp" and camera in {None, stream.camera}
        ]

    # The log

    def _begin(
        self,
        kind: str,
        streams: Iterable[Stream] = (),
        uids: Iterable[Uid] = (),
        *,
        undo: Callable[[], None] = lambda: None,
        seconds: float | None = None,
    ) -> Incident:
        loop = asyncio.get_running_loop()
        incident = Incident(
            kind,
            loop.time(),
            frozenset(stream.camera for stream in streams),
            tuple(uid.number for uid in uids),
            _undo=undo,
        )
        self.log.append(incident)
        _log.debug("%s begins", kind)
        if seconds is not None:
            incident.heal_after(seconds)
        return incident

    def _at_once(
        self, kind: str, streams: Iterable[Stream] = (), uids: Iterable[Uid] = ()
    ) -> Incident:
        incident = self._begin(kind, streams, uids)
        incident.finish()
        return incident

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _start(camera: int | None) -> dict[str, str]:
    return {"CMD": "START"} if camera is None else {"CMD": "START", "CAM": str(camera)}


def _leave(left: set[Stream], stream: Stream, incident: Incident) -> Callable[[], None]:
    """Make what ends an incident once the last of its streams has ended."""

    def over() -> None:
        left.discard(stream)
        if not left:
            incident.heal()

    return over
