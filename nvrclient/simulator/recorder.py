"""The simulated recorder: logins and UIDs (section 1.3), its commands, and the live streams they start."""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, timezone
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Self, TypeVar

from nvrclient.simulator.cameras import DEFAULT_CAMERAS, Camera, CameraSetup
from nvrclient.simulator.certificate import load_certificate, make_certificate
from nvrclient.simulator.digest import DigestGuard, Verdict
from nvrclient.simulator.http_server import Answer, EndlessAnswer, HttpRequest, HttpServer
from nvrclient.simulator.live import LiveDesk, Outcome
from nvrclient.simulator.playback import PlaybackDesk
from nvrclient.simulator.queries import parse_query, split_query
from nvrclient.simulator.readings import PushAnswer, Readings
from nvrclient.simulator.recording import Recording, default_recording
from nvrclient.simulator.request import Request
from nvrclient.simulator.sources import Origin
from nvrclient.simulator.uids import Uid, UidTable

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from nvrclient.simulator.playback import PlaybackFault
    from nvrclient.simulator.queries import Query
    from nvrclient.simulator.stream import Stream

__all__ = ["SimulatedRecorder"]

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

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
    | seed | of everything random: UIDs, nonces, sequence numbers, time stamps, SSRCs |

    For tests: ``requests`` (answered, in order), ``violations`` (rules of the specification that the client
    broke), ``credentials`` and ``wrong_credentials`` (seen), ``uids`` and ``streams`` (in use now), ``logins``
    and ``connections`` (so far), ``wrong_masks`` (lengths of MASK that were refused); ``recording(camera)`` is what
    a camera has recorded, and ``uids[n].playback`` what a UID plays back. At run time ``push_answers[camera]`` changes how START is answered, and
    ``busy_logins`` is the number of logins to be answered 503. ``playback_faults`` damages the next answers that
    bring a recording, one entry each; None leaves one whole.
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
        seed: int = 0,
    ) -> None:
        if isinstance(cameras, int):
            cycle = (DEFAULT_CAMERAS[n % len(DEFAULT_CAMERAS)] for n in range(cameras))
            cameras = dict(enumerate(cycle, 1))
        self.cameras = dict(cameras)
        self.username, self.password = username, password
        self.host, self.port = host, port
        self.readings = readings
        self.requests: list[Request] = []
        self.violations: list[str] = []
        self.credentials = self.wrong_credentials = 0
        self.busy_logins = 0
        self.wrong_masks: list[int] = []
        self.playback_faults: list[PlaybackFault | None] = []
        self.channels = max((16, *self.cameras)) if channels is None else channels
        self.push_answers: dict[int, PushAnswer] = {}
        self._tls, self._pace, self._clock, self._max_uids = tls, pace, clock, max_uids
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
        self._server: HttpServer | None = None
        self._live: LiveDesk | None = None
        self._recording = recording
        self._recordings: dict[int, Recording] = {}
        self._playback: PlaybackDesk | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._certificate: Path | None = None
        self._certificates = 0
        self._context: ssl.SSLContext | None = None
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
                await self._new_certificate()
            self._server = HttpServer(self._answer)
            self.port = await self._server.start(self.host, self.port, self._context)
        except BaseException:
            await self.aclose()
            raise
        self._is_open = True
        return self

    async def aclose(self) -> None:
        """Close: streams, connections, UIDs and the certificate's files. Takes less than a second."""
        self._is_open = False
        self.forget_uids()
        if self._live is not None:
            await self._live.aclose()
        if self._server is not None:
            await self._server.aclose()
        if self._folder is not None:
            await _in_thread(self._folder.cleanup)
        self._server = self._live = self._folder = self._certificate = self._context = None

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
        return str(self._certificate) if self._certificate else None

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
    def logins(self) -> int:
        """How many UIDs were issued so far."""
        return self._uids.issued

    @property
    def connections(self) -> int:
        """How many TCP connections were accepted so far."""
        return self._server.accepted if self._server else 0

    # What can happen to a recorder

    def forget_uids(self) -> None:
        """Make every UID invalid, as a restart does; their streams end."""
        for uid in self.uids:
            self._uids.drop(uid)

    def drop_connections(self) -> None:
        """Cut every TCP connection. UIDs and streams over UDP live on."""
        if self._server is not None:
            self._server.drop_connections()

    async def replace_certificate(
        self, names: Sequence[str] | None = None, *, expired: bool = False
    ) -> None:
        """Show another certificate, with another key, from the next connection on.

        ``names`` are the host names and addresses it is good for (None: ``host`` and localhost).
        """
        if not (self._tls and self._is_open):
            raise RuntimeError("only an open recorder with tls=True has a certificate")
        await self._new_certificate(names, expired=expired)

    async def _new_certificate(
        self, names: Sequence[str] | None = None, *, expired: bool = False
    ) -> None:
        if self._folder is None:
            self._folder = await _in_thread(lambda: tempfile.TemporaryDirectory(prefix="nvr-"))
        folder = Path(self._folder.name)
        self._certificates += 1
        path = folder / f"recorder-{self._certificates}.pem"
        good_for = (self.host, "localhost") if names is None else names
        await _in_thread(lambda: make_certificate(path, good_for, expired=expired))
        self._context = await _in_thread(lambda: load_certificate(path, self._context))
        self._certificate = path

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

    def _answer(self, request: HttpRequest) -> Answer | EndlessAnswer:
        """Answer a request and put it on record."""
        cgi = request.path.rpartition("/")[2]
        credentials = "authorization" in request.headers
        answer = self._route(request, cgi)
        params = split_query(request.query)
        now = asyncio.get_running_loop().time()
        self.requests.append(Request(now, cgi, params, credentials, answer.status))
        _log.debug("%r", self.requests[-1])
        return answer

    def _route(self, request: HttpRequest, cgi: str) -> Answer | EndlessAnswer:
        query = None
        if request.method == "GET" and request.path == f"/cgi-bin/{cgi}":
            query = parse_query(cgi, request.query)
        if query is None:
            return Answer(404)
        if isinstance(query, str):
            return self._violation(f"{cgi}: {query}")
        if query.action == "log in":
            return self._judge(request, login=True) or self._log_in()
        value = query.values.get("UID")
        if value is None:  # as_getinfo.cgi
            return self._list_cameras(shown=not self.readings.bare_getinfo_empty)
        uid = self._uids.find(value)
        refusal = self._judge(request, login=False)
        if refusal is not None:
            return refusal
        if uid is None:
            return self._unauthorized(challenge=self.readings.gone_uid_challenges)
        self._uids.keep(uid)
        return self._act(uid, query, request)

    def _act(self, uid: Uid, query: Query, request: HttpRequest) -> Answer | EndlessAnswer:
        assert self._live is not None
        assert self._playback is not None
        if query.action in {"mask", "control", "picture", "sound"}:
            answer = self._playback.answer(uid, query)
            return self._violation(answer) if isinstance(answer, str) else answer
        if query.action == "start":
            return self._judged(self._live.start(uid, query.values, request.peer))
        if query.action == "stop":
            return self._judged(self._live.stop(uid, query.values))
        if query.action == "list cameras":
            return self._list_cameras(shown=True)
        if query.action == "log out":
            self._uids.drop(uid)
        elif query.action == "set up live":
            uid.is_set_up = True
        return Answer(200, b"OK\r\n")

    def _judged(self, outcome: Outcome) -> Answer | EndlessAnswer:
        return self._violation(f"push.cgi {outcome}") if isinstance(outcome, str) else outcome

    def _origin(self, camera: int) -> Origin:
        """Say where and when a stream that starts now begins."""
        return Origin(
            camera, self._clock(), self._zone, self._summer_time, self.readings, self._random
        )

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

    # Logging in

    def _judge(self, request: HttpRequest, *, login: bool) -> Answer | None:
        """Judge the credentials of a request: the refusal, or None where it may go on."""
        required = login or self.readings.challenge_commands
        authorization = request.headers.get("authorization")
        if authorization is None:
            return self._unauthorized() if required else None
        self.credentials += 1
        now = asyncio.get_running_loop().time()
        verdict = self._guard.judge(authorization, request.method, request.target, now)
        if verdict is Verdict.WRONG:
            self.wrong_credentials += 1
        elif verdict is Verdict.REPLAYED:
            self.violations.append("a pair of nonce and nonce count was used twice")
        if not (login or self.logins):
            self.violations.append("a credential was sent before dlogin.cgi had accepted one")
        if not required or (verdict is Verdict.ACCEPTED and not self.is_locked):
            return None
        return self._unauthorized(stale=verdict is Verdict.STALE)

    @property
    def is_locked(self) -> bool:
        """Whether the account is locked, by too many wrong credentials."""
        limit = self.readings.lock_after
        return limit is not None and self.wrong_credentials >= limit

    def _unauthorized(self, *, challenge: bool = True, stale: bool = False) -> Answer:
        if not challenge:
            return Answer(401)
        header = self._guard.challenge(asyncio.get_running_loop().time(), stale=stale)
        return Answer(401, headers=(f"WWW-Authenticate: {header}",))

    def _log_in(self) -> Answer:
        full = len(self._uids) >= self._max_uids
        if self.busy_logins or (full and self.readings.full_is_busy):
            self.busy_logins = max(self.busy_logins - 1, 0)
            return Answer(503)
        if full:
            self._uids.drop(self.uids[0])
        uid = self._uids.issue()
        page = (
            "<html><head><title>Network disk recorder</title></head>\r\n"
            "<!-- /cgi-bin/dlogin.cgi?UID=-1 -->\r\n<frameset>"
            f'<frame src="./hdrctl.cgi?UID={uid.value}&HTML=live.html"></frameset></html>\r\n'
        )
        return Answer(200, page.encode("ascii"), "text/html")


async def _in_thread(work: Callable[[], _T]) -> _T:
    """Run blocking work in a thread that is gone afterwards (the loop's own executor keeps its threads)."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, "nvrclient-simulator") as executor:
        return await loop.run_in_executor(executor, work)
