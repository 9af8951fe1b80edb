"""The simulated recorder: logins and UIDs (section 1.3), its commands, and the live streams they start."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, timezone
from random import Random
from typing import TYPE_CHECKING, Self

from nvrclient.simulator.cameras import DEFAULT_CAMERAS, Camera, CameraSetup
from nvrclient.simulator.certificate import Certificate
from nvrclient.simulator.conditions import Conditions
from nvrclient.simulator.control import CameraControl, ControlDesk, motion
from nvrclient.simulator.digest import DigestGuard
from nvrclient.simulator.downloads import Download, DownloadDesk, FileNames
from nvrclient.simulator.faults import Faults
from nvrclient.simulator.http_server import (
    Answer,
    EndlessAnswer,
    HttpRequest,
    HttpServer,
    Spoiled,
)
from nvrclient.simulator.lists import (
    DEFAULT_DISKS,
    DEFAULT_ERRORS,
    DEFAULT_EVENTS,
    DiskSlot,
    Intervals,
    LoggedEntry,
    disk_list,
    log_list,
)
from nvrclient.simulator.live import LiveDesk, Outcome
from nvrclient.simulator.logins import LoginDesk
from nvrclient.simulator.playback import PlaybackDesk
from nvrclient.simulator.queries import parse_query, split_query
from nvrclient.simulator.readings import PushAnswer, Readings
from nvrclient.simulator.recording import Recording, default_recording
from nvrclient.simulator.request import Request
from nvrclient.simulator.sources import Origin
from nvrclient.simulator.uids import Uid, UidTable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from types import TracebackType

    from nvrclient.simulator.download_readings import DownloadFault
    from nvrclient.simulator.files import RecordedFile
    from nvrclient.simulator.playback import PlaybackFault
    from nvrclient.simulator.queries import Query
    from nvrclient.simulator.schedule import Schedule
    from nvrclient.simulator.stream import Stream

__all__ = ["SimulatedRecorder"]

_log = logging.getLogger(__name__)

DEFAULT_PASSWORD = "simulated"  # noqa: S105 - of a recorder that is not real


class SimulatedRecorder:
    """A recorder on this computer that sends real encoded video and audio, and keeps account.

    ``async with SimulatedRecorder() as recorder:`` or ``start()`` and ``aclose()``.

    | option | meaning |
    |---|---|
    | cameras | how many of the default cameras (H.264, H.265, H.265 in slices, H.264 with JPEG, and again), or camera number → setup |
    | tls | HTTPS with a certificate of its own (extra ``simulator``) |
    | uid_lifetime, max_uids | seconds a UID lives after a command, and how many there may be |
    | username, password | of the one account |
    | host, port | where to listen, and to send UDP from; port 0: any that is free |
    | pace | 1.0 = as recorded, 10.0 = ten times as fast, None = as fast as the transport takes it |
    | recording | what cameras whose setup says nothing have recorded; None: about four hours until now, with a gap |
    | channels | how many cameras it supports; None: 16, or as many as the highest camera number |
    | readings | how to read what the specification leaves open |
    | timezone, summer_time | what the time of a picture says of its zone |
    | clock | the recorder's wall clock, in Unix seconds |
    | faults | a ``Schedule`` of faults that it plays by itself while open; None: none but those a test asks for |
    | seed | of everything random: UIDs, nonces, sequence numbers, time stamps, SSRCs, chance of faults |

    For tests: ``requests`` (answered, in order), ``violations`` (rules of the specification that the client
    broke), ``credentials`` and ``wrong_credentials`` (seen), ``uids`` and ``streams`` (in use now), ``logins``
    and ``connections`` (so far), ``wrong_masks`` (lengths of MASK that were refused); ``recording(camera)`` is what
    a camera has recorded, and ``uids[n].playback`` what a UID plays back. At run time ``push_answers[camera]`` changes how START is answered, and
    ``busy_logins`` is the number of logins to be answered 503, and another ``password`` holds from the next
    credential on. ``playback_faults`` damages the next answers that
    bring a recording, one entry each; None leaves one whole.

    Faults: ``faults`` is everything else that can happen to it, from a reboot to a lost datagram, and the log of it;
    see `Faults`. ``connection_times`` and ``login_times`` say when, ``max_starts_seen`` how many START were in
    flight at once.

    Downloads: ``downloads`` run now, ``max_downloads_seen`` is the most there were at once (one that was refused
    counts), ``download_files(…)`` is what a client should end up with. ``download_faults`` damages the next
    downloads, ``download_statuses[camera]`` is what the status header says instead of files, and
    ``rename_download`` gives a file, final or temporary, another name.

    Camera control: ``camera_moves[camera]`` is what each was told, ``camera_motion(camera)`` how it moves now.
    Lists: ``error_log``, ``event_log`` and ``disks`` are what is answered, until a test says otherwise what the
    specification prints.
    """

    def __init__(
        self,
        *,
        cameras: int | Mapping[int, CameraSetup] = 4,
        tls: bool = False,
        uid_lifetime: float = 90.0,
        max_uids: int = 16,
        username: str = "ADMIN",
        password: str = DEFAULT_PASSWORD,
        host: str = "127.0.0.1",
        port: int = 0,
        pace: float | None = 1.0,
        recording: Recording | None = None,
        channels: int | None = None,
        readings: Readings = Readings(),  # noqa: B008 - frozen
        timezone: timezone = UTC,
        summer_time: bool = False,
        clock: Callable[[], float] = time.time,
        faults: Schedule | None = None,
        seed: int = 0,
    ) -> None:
        if isinstance(cameras, int):
            cycle = (DEFAULT_CAMERAS[n % len(DEFAULT_CAMERAS)] for n in range(cameras))
            cameras = dict(enumerate(cycle, 1))
        self.cameras = dict(cameras)
        self.username = username
        self.host, self.port = host, port
        self.readings = readings
        self.requests: list[Request] = []
        self.violations: list[str] = []
        self.wrong_masks: list[int] = []
        self.playback_faults: list[PlaybackFault | None] = []
        self.download_faults: list[DownloadFault | None] = []
        self.download_statuses: dict[int, int | str] = {}
        self.rename_download: FileNames | None = None
        self.camera_moves: dict[int, list[CameraControl]] = {n: [] for n in self.cameras}
        self.error_log: list[LoggedEntry] = list(DEFAULT_ERRORS)
        self.event_log: list[LoggedEntry] = list(DEFAULT_EVENTS)
        self.disks: list[DiskSlot] = list(DEFAULT_DISKS)
        self.channels = max((16, *self.cameras)) if channels is None else channels
        self.push_answers: dict[int, PushAnswer] = {}
        self._tls, self._pace, self._clock = tls, pace, clock
        self._zone, self._summer_time = timezone, summer_time
        self._random = Random(seed)  # noqa: S311 - repeatable on purpose
        self._guard = DigestGuard(
            username,
            password,
            self._random,
            sha256=readings.sha256,
            nonce_uses=readings.nonce_uses,
            nonce_lifetime=readings.nonce_lifetime,
        )
        self._uids = UidTable(uid_lifetime, self._random, readings.uid_digits)
        self._logins = LoginDesk(self._guard, self._uids, max_uids, readings, self.violations)
        self._conditions = Conditions(seed)
        self._server = HttpServer(self._answer, self._conditions.path)
        self.faults = Faults(
            server=self._server,
            uids=self._uids,
            logins=self._logins,
            conditions=self._conditions,
            cameras=self.cameras,
            seed=seed,
            schedule=faults,
        )
        self._live: LiveDesk | None = None
        self._recording = recording
        self._recordings: dict[int, Recording] = {}
        self._playback: PlaybackDesk | None = None
        self._control = ControlDesk(self.cameras, readings, self.camera_moves)
        self._intervals = Intervals(readings)
        self._downloads = DownloadDesk(
            recordings=self._recordings,
            readings=readings,
            clock=clock,
            faults=self.download_faults,
            statuses=self.download_statuses,
            rename=lambda: self.rename_download,
        )
        self._certificate = Certificate()
        self._is_open = False

    # Opening and closing

    async def start(self) -> Self:
        """Listen. A closed recorder can be started again; its record goes on."""
        if self._is_open:
            raise RuntimeError("this recorder is already open")
        self._live = LiveDesk(
            host=self.host,
            cameras={number: Camera(setup) for number, setup in self.cameras.items()},
            readings=self.readings,
            pace=self._pace,
            origin=self._origin,
            answers=self.push_answers,
            conditions=self._conditions,
        )
        self._playback = PlaybackDesk(
            recordings=self._record(),
            channels=self.channels,
            readings=self.readings,
            pace=self._pace,
            clock=self._clock,
            faults=self.playback_faults,
            wrong_masks=self.wrong_masks,
        )
        try:
            if self._tls:
                await self._certificate.renew((self.host, "localhost"))
            self.port = await self._server.start(self.host, self.port, self._certificate.context)
        except BaseException:
            await self.aclose()
            raise
        self._is_open = True
        self.faults.start()
        return self

    async def aclose(self) -> None:
        """Close: streams, connections, UIDs and the certificate's files. Takes less than a second."""
        self._is_open = False
        await self.faults.aclose()
        self.forget_uids()
        if self._live is not None:
            await self._live.aclose()
        await self._server.aclose()
        self._downloads.running.clear()  # one whose sending never began is still there
        await self._certificate.aclose()
        self._live = None

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        where = self.url if self._is_open else "closed"
        return f"<SimulatedRecorder {where} cameras={len(self.cameras)} uids={len(self._uids)}>"

    # What a client is told, and what a test wants to know

    @property
    def url(self) -> str:
        """Where a client connects to."""
        if not self._is_open:
            raise RuntimeError("the recorder is not open: enter it, or await start()")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    @property
    def certificate(self) -> str | None:
        """The path of the certificate shown, a PEM file; None without TLS."""
        return str(self._certificate.path) if self._certificate.path else None

    @property
    def uids(self) -> tuple[Uid, ...]:
        """The UIDs in use, oldest first."""
        return tuple(self._uids)

    @property
    def streams(self) -> tuple[Stream, ...]:
        """The live streams in use."""
        return tuple(stream for uid in self.uids for stream in uid.streams)

    def recording(self, camera: int) -> Recording:
        """What a camera has recorded; a recorder never started has recorded nothing."""
        return self._recordings[camera]

    @property
    def downloads(self) -> tuple[Download, ...]:
        """The downloads going on."""
        return tuple(self._downloads.running)

    @property
    def max_downloads_seen(self) -> int:
        """How many downloads were asked for at once, at most."""
        return self._downloads.most

    def download_files(
        self, camera: int, start: datetime, end: datetime, kind: str = "MP4"
    ) -> list[RecordedFile]:
        """List the files that a client should end up with: of one request, or hour by hour from ``start`` on."""
        return self._downloads.expected(camera, start, end, kind)

    def camera_motion(self, camera: int) -> tuple[int, int, int]:
        """How fast a camera pans, tilts and zooms now."""
        return motion(self.camera_moves[camera], asyncio.get_running_loop().time())

    @property
    def logins(self) -> int:
        """How many UIDs were issued so far."""
        return self._uids.issued

    @property
    def connections(self) -> int:
        """How many TCP connections were accepted so far."""
        return len(self.connection_times)

    @property
    def connection_times(self) -> list[float]:
        """When each of them was accepted, in the loop's time. What nothing listens for is not seen."""
        return self._server.connected_at

    @property
    def login_times(self) -> list[float]:
        """When each UID was issued, in the loop's time."""
        return self._logins.times

    @property
    def max_starts_seen(self) -> int:
        """How many START were in flight at once at most; more than one only while they are slow."""
        return self.faults.max_starts_seen

    @property
    def password(self) -> str:
        """The account's password. A change holds from the next credential on; UIDs live on."""
        return self._guard.password

    @password.setter
    def password(self, password: str) -> None:
        self._guard.password = password

    @property
    def credentials(self) -> int:
        """How many credentials were seen so far."""
        return self._logins.credentials

    @property
    def wrong_credentials(self) -> int:
        """How many of them were wrong."""
        return self._logins.wrong_credentials

    @property
    def is_locked(self) -> bool:
        """Whether the account is locked."""
        return self._logins.is_locked

    @property
    def busy_logins(self) -> int:
        """How many logins more are answered 503."""
        return self._logins.busy

    @busy_logins.setter
    def busy_logins(self, count: int) -> None:
        self._logins.busy = count

    # What can happen to a recorder

    def forget_uids(self) -> None:
        """Make every UID invalid, as a restart does; their streams end."""
        for uid in self.uids:
            self._uids.drop(uid)

    def drop_connections(self) -> None:
        """Cut every TCP connection. UIDs and streams over UDP live on."""
        self._server.drop_connections()

    async def replace_certificate(
        self, names: Sequence[str] | None = None, *, expired: bool = False
    ) -> None:
        """Show another certificate, with another key, from the next connection on.

        ``names`` are the host names and addresses it is good for (None: ``host`` and localhost).
        """
        if not (self._tls and self._is_open):
            raise RuntimeError("only an open recorder with tls=True has a certificate")
        await self._certificate.renew(names or (self.host, "localhost"), expired=expired)

    def _record(self) -> dict[int, Recording]:
        """Say what each camera has recorded; what a recorder was started with stays."""
        for number, setup in self.cameras.items():
            recording = setup.recording or self._recording
            if number not in self._recordings:
                self._recordings[number] = recording or default_recording(
                    setup.video, setup.audio, self._clock(), self._zone, self._summer_time
                )
        return self._recordings

    # Commands

    def _answer(self, request: HttpRequest) -> Answer | EndlessAnswer | Spoiled:
        """Answer a request and put it on record."""
        cgi = request.path.rpartition("/")[2]
        credentials = "authorization" in request.headers
        params = split_query(request.query)
        now = asyncio.get_running_loop().time()
        sent, fault = self.faults.answer(cgi, params, lambda: self._route(request, cgi))
        answer = sent.answer if isinstance(sent, Spoiled) else sent
        status = 0 if answer is None else answer.status
        self.requests.append(Request(now, cgi, params, credentials, status, fault))
        _log.debug("%r", self.requests[-1])
        return sent

    def _route(self, request: HttpRequest, cgi: str) -> Answer | EndlessAnswer:
        query = None
        doubled = cgi == "recordedtime.cgi" and self.readings.lists.doubled_path
        folder = "/cgi-bin//cgi-bin" if doubled else "/cgi-bin"
        if request.method == "GET" and request.path == f"{folder}/{cgi}":
            query = parse_query(cgi, request.query)
        if query is None:
            return Answer(404)
        if isinstance(query, str):
            return self._violation(f"{cgi}: {query}")
        if query.action == "log in":
            return self._logins.judge(request, login=True) or self._logins.log_in()
        value = query.values.get("UID")
        if value is None:  # as_getinfo.cgi, recordedtime.cgi
            return self._inform(query, request.peer)
        uid = self._uids.find(value)
        refusal = self._logins.judge(request, login=False)
        if refusal is not None:
            return refusal
        if uid is None:
            return self._logins.unauthorized(challenge=self.readings.gone_uid_challenges)
        self._uids.keep(uid)
        return self._act(uid, query, request)

    def _act(self, uid: Uid, query: Query, request: HttpRequest) -> Answer | EndlessAnswer:
        assert self._live is not None
        assert self._playback is not None
        taken = bool(uid.downloads) and not self.readings.downloads.any_uid
        if taken and query.action in {"start", "mask", "control"}:
            return self._violation(f"{query.action}: a download is going on on this UID")
        if query.action in {"mask", "control", "picture", "sound"}:
            return self._judged(self._playback.answer(uid, query))
        if query.action == "start":
            return self._judged(self._live.start(uid, query.values, request.peer))
        if query.action == "stop":
            return self._judged(self._live.stop(uid, query.values))
        if query.action in {"move", "center", "act", "preset"}:
            return self._judged(self._control.answer(uid, query))
        if query.action == "download":
            return self._judged(self._downloads.answer(uid, query))
        if query.action.startswith("list "):
            return self._inform(query, request.peer)
        if query.action == "log out":
            self._uids.drop(uid)
        elif query.action == "set up live":
            uid.is_set_up = True
        return Answer(200, b"OK\r\n")

    def _judged(self, outcome: Outcome) -> Answer | EndlessAnswer:
        return self._violation(outcome) if isinstance(outcome, str) else outcome

    def _origin(self, camera: int) -> Origin:
        """Say where and when a stream that starts now begins."""
        return Origin(
            camera, self._clock(), self._zone, self._summer_time, self.readings, self._random
        )

    def _inform(self, query: Query, peer: str) -> Answer:
        """Answer a command that asks for information."""
        kind, lists = query.values.get("KIND"), self.readings.lists
        with_uid = "UID" in query.values
        broken = self._intervals.ask(peer, query.action, kind or ("with UID" if with_uid else ""))
        if broken is not None:
            return self._violation(broken)
        if query.action == "list disks":
            return disk_list(self.disks, lists)
        if kind is not None:
            return log_list(kind, self.error_log if kind == "ERR" else self.event_log, lists)
        return self._list_cameras(shown=with_uid or not self.readings.bare_getinfo_empty)

    def _list_cameras(self, *, shown: bool) -> Answer:
        if self.readings.getinfo_missing:
            return Answer(404)
        channels = range(1, self.channels + 1) if shown else ()
        lines = [f"CAM_CONNECT_{n:02}CH={int(n in self.cameras)}" for n in channels]
        return Answer(200, "\r\n".join(("MODEL=SIMULATED", *lines, "")).encode("ascii"))

    def _violation(self, text: str) -> Answer:
        """Put a broken rule on record; ``text`` holds no UID."""
        _log.warning("the client broke a rule: %s", text)
        self.violations.append(text)
        return Answer(400, f"{text}\r\n".encode())
