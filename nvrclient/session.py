"""Session: the caller's handle on one recorder, and `connect`, which makes it."""

from __future__ import annotations

import asyncio
import ssl
import warnings
import weakref
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, Literal, Self, cast

from nvrclient import asked
from nvrclient.answers import check
from nvrclient.camera import Camera
from nvrclient.codec.aac import SAMPLE_RATES as AAC_RATES
from nvrclient.commands.command import Command, Uid
from nvrclient.commands.logs import ERRORS, EVENTS
from nvrclient.connection import Connection
from nvrclient.control import Controls
from nvrclient.frames import CameraStatus, Disk, LogEntry
from nvrclient.information import list_disks, read_log
from nvrclient.options import Options, Secret
from nvrclient.playback import Playback
from nvrclient.registered import registered_cameras
from nvrclient.stats import SessionStats
from nvrclient.stream import Openable
from nvrclient.transport import tls
from nvrclient.transport.address import Address, parse_address
from nvrclient.uids import MAX_UIDS

MAX_QUERY = 4096
"""Characters of parameters of a command; what servers commonly take is 8 KiB of URL."""


def connect(
    url: str,
    username: str,
    password: str | Callable[[], str],
    *,
    verify: bool | str | Path | ssl.SSLContext = True,
    timeout: float = 10.0,
    stall_timeout: float = 5.0,
    keepalive: float = 60.0,
    reconnect: bool = True,
    max_uids: int = 8,
    timezone: tzinfo | None = None,
    channels: int | None = None,
    rtp_host: str | None = None,
    rtp_ports: range | None = None,
    http2: bool = False,
    g711: Literal["mulaw", "alaw"] = "mulaw",
    aac_rate: int | None = None,
    command_interval: float = 3.0,
) -> Session:
    """Return a session with the recorder at `url`, not yet open.

    ``async with nvrclient.connect(…) as nvr:`` opens and closes it; so does ``nvr = await nvrclient.connect(…)``
    and later ``await nvr.aclose()``, also from another task.

    `url`: ``https://host`` or ``http://host``, with a port where it is not the usual one.
    `password`: a string, or a callable that returns one.
    `verify`: True trusts public authorities; a PEM path trusts the recorder's own certificate (whatever its host
    name and dates) or the CA in it; an ``ssl.SSLContext``; ``"sha256:<hex>"`` pins a certificate; False trusts
    anyone, with a warning.
    `timeout`: seconds for one command, whole.
    `stall_timeout`: seconds without a complete picture before a stream counts as stalled.
    `keepalive`: seconds between keep-alives of a UID; recorders forget one after 90 s.
    `reconnect`: streams come back by themselves; the first login is never repeated.
    `max_uids`: UIDs this session may hold at once, 1…16.
    `timezone`: the recorder's zone, for times that it gives without one.
    `channels`: cameras the recorder supports, for playback; None: found out.
    `rtp_host`, `rtp_ports`: address and range of ports on which RTP over UDP is received.
    `http2`: offer HTTP/2 on https.
    `g711`: which law G.711 means. `aac_rate`: the rate of raw AAC in Hz; None: found out.
    `command_interval`: seconds between information commands of one kind, and between tries of one START.

    Raises ValueError or TypeError for an option that can mean nothing; opening raises NVRErrors.
    """
    password = secret = Secret(password)  # type: ignore[assignment]  # pyright: ignore  no traceback shows it
    secret.check()
    address = parse_address(url)
    if not isinstance(username, str) or not username:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError("username: a name, as registered in the recorder")
    tls.check_verify(verify)
    for name, seconds in (
        ("timeout", timeout),
        ("stall_timeout", stall_timeout),
        ("keepalive", keepalive),
    ):
        if not 0 < seconds < float("inf"):
            raise ValueError(f"{name}: seconds, more than 0, not {seconds}")
    if not 0 <= command_interval < float("inf"):
        raise ValueError(f"command_interval: seconds, 0 or more, not {command_interval}")
    if not 1 <= max_uids <= MAX_UIDS:
        raise ValueError(f"max_uids: 1…{MAX_UIDS}, not {max_uids}: a recorder has no more")
    if g711 not in {"mulaw", "alaw"}:
        raise ValueError(f'g711: "mulaw" or "alaw", not {g711!r}')
    if aac_rate is not None and aac_rate not in AAC_RATES:
        raise ValueError(f"aac_rate: one of {', '.join(map(str, AAC_RATES))}, not {aac_rate}")
    if rtp_ports is not None and not (
        len(rtp_ports) and 0 < min(rtp_ports) <= max(rtp_ports) < 65536
    ):
        raise ValueError("rtp_ports: a range of ports between 1 and 65535")
    if channels is not None and not 1 <= channels <= 1024:
        raise ValueError(f"channels: the number of cameras the recorder supports, not {channels}")
    tls.warn_if_unverified(verify)
    return Session(
        address,
        username,
        secret,
        Options(
            verify=verify,
            timeout=timeout,
            stall_timeout=stall_timeout,
            keepalive=keepalive,
            reconnect=reconnect,
            max_uids=max_uids,
            timezone=timezone,
            channels=channels,
            rtp_host=rtp_host,
            rtp_ports=rtp_ports,
            http2=http2,
            g711=g711,
            aac_rate=aac_rate,
            command_interval=command_interval,
        ),
    )


class Session(Openable):
    """A session with one recorder; made by `connect`.

    It logs in when opened, keeps its UIDs alive in the background whatever the caller is doing, and logs out when
    closed. It belongs to the event loop and the process that opened it.

    Opening raises AuthenticationError (one wrong credential is sent, never another), ConnectionFailedError,
    CertificateMismatchError, SessionLimitError, ProtocolError or CommandError. Cancelling it closes what was opened.
    """

    def __init__(self, address: Address, username: str, password: Secret, options: Options) -> None:
        self._address = address
        self._username = username
        self._password = password
        self._options = options
        self._connection: Connection | None = None
        self._controls: Controls | None = None
        self._finalizer: weakref.finalize[..., Session] | None = None

    def __repr__(self) -> str:
        return f"<Session {self._address.url} {'open' if self.is_open else 'closed'}>"

    def __reduce__(self) -> Any:
        raise TypeError(
            "a session is not pickled; pass the recorder's URL and call nvrclient.connect there"
        )

    @property
    def url(self) -> str:
        """The recorder's URL."""
        return self._address.url

    @property
    def is_open(self) -> bool:
        """Whether it is logged in and usable."""
        return self._connection is not None and self._connection.is_open

    @property
    def stats(self) -> SessionStats:
        """What it has done so far."""
        return self._connection.snapshot() if self._connection is not None else SessionStats()

    async def aclose(self) -> None:
        """Stop every stream, log out and free everything: at most 2 s whatever the recorder does. Safe to repeat.

        Loops over its streams end. Cancelling it does not stop the closing, which is waited for all the same; a second
        cancellation leaves at once. Raises RuntimeError in another event loop or process than its own.
        """
        if self._connection is not None:
            self._connection.check_loop()
        if self._finalizer is not None:
            self._finalizer.detach()
        if self._connection is not None:
            await self._connection.aclose()

    def camera(self, number: int) -> Camera:
        """Return the camera with this number in the recorder; sends nothing.

        Raises ValueError for a number that no recorder can have, RuntimeError when the session is not open.
        """
        connection = self._opened()
        if self._controls is None:
            self._controls = Controls(connection)
        return Camera(connection, self, self._controls, number)

    def playback(
        self,
        cameras: Iterable[int],
        start: datetime | None = None,
        *,
        end: datetime | None = None,
        audio: bool = False,
        speed: float | None = 1.0,
    ) -> Playback:
        """Return a playback of up to 16 cameras that move in step, on one UID; otherwise as ``Camera.playback``.

        Items come in the order of their times; ``item.camera`` says whose they are.
        """
        numbers = [self.camera(number).number for number in cameras]
        return Playback(self._opened(), self, numbers, start, end, audio=audio, speed=speed)

    async def cameras(self) -> list[CameraStatus]:
        """Return the cameras registered in the recorder (as_getinfo.cgi: seen on recorders, not specified).

        Asked at most once in `command_interval` seconds; callers that ask together share one answer. Raises
        CommandError where the model does not tell.
        """
        return list(await registered_cameras(self._opened()))

    async def error_log(self) -> list[LogEntry]:
        """Return the recorder's error log, by time; at most 1000 entries (specification 5.1.1).

        ``entry.time`` is the local time less the zone the recorder states with it; summer time is taken to be part of
        the local time already [open]. Damaged entries are left out, and a count that disagrees is told in the log
        ``nvrclient.information``.

        Asked at most once in `command_interval` seconds; callers that ask together share one answer. Raises
        ProtocolError where the answer is no log at all, CommandError, SessionLimitError, ConnectionFailedError.
        """
        return list(await read_log(self._opened(), ERRORS))

    async def event_log(self) -> list[LogEntry]:
        """Return the recorder's event log (5.1.2); otherwise as `error_log`."""
        return list(await read_log(self._opened(), EVENTS))

    async def disks(self) -> list[Disk]:
        """Return all disk slots, also the empty ones (specification 5.2).

        The times of the recordings are the recorder's local time: aware with the session's option `timezone`, naive
        without it. Asked and raising as `error_log`.
        """
        return list(await list_disks(self._opened()))

    async def command(
        self, name: str, params: Iterable[tuple[str, str | int]] | Mapping[str, str | int] = ()
    ) -> bytes:
        """Send any CGI command under the session's UID and return the answer's body, at most 1 MiB.

        `name` is bare ("status.cgi") or a path; `params` follow UID in the order given, and may repeat. The same
        command is sent at most once in `command_interval` seconds; callers that send it together share one answer.
        Raises CommandError (``status`` None: it went out and no answer came; it may have been done, and is not sent again),
        SessionLimitError, ConnectionFailedError, ProtocolError; ValueError for what no URL can hold.
        """
        connection = self._opened()
        pairs = [(str(key), str(value)) for key, value in _pairs(params)]
        directory, _, bare = name.rpartition("/")
        if not bare or "//" in name or "\\" in name or "@" in name:
            raise ValueError(f'command: a bare name ("status.cgi") or a path, not {name!r}')
        for text in (name, *(text for pair in pairs for text in pair)):
            if not text.isascii() or not text.isprintable() or set(text) & set(" #?&"):
                raise ValueError(f"command: {text!r} cannot stand in a URL; percent-encode it")

        if sum(len(key) + len(value) for key, value in pairs) > MAX_QUERY:
            raise ValueError(f"command: more than {MAX_QUERY} characters of parameters")

        def command(uid: Uid) -> Command:
            return Command(
                bare,
                (("UID", uid.value), *pairs),
                f"/{directory.strip('/')}/" if directory.strip("/") else "/cgi-bin/",
            )

        async def ask() -> bytes:
            # What it does is not known here, so it goes out once: it may reboot the recorder.
            reply = await asked.ask(connection, command, once=True)
            check(Command(bare, tuple(pairs)), reply)
            return reply.body

        return await connection.pace.inform(f"{name} {pairs}", ask)

    async def _open(self) -> Self:
        if self._connection is not None:
            raise RuntimeError(
                "this session was opened already; make another with nvrclient.connect"
            )
        connection = Connection(self._address, self._username, self._password, self._options)
        self._connection = connection
        try:
            await connection.shielded(connection.open(), "login")
        except BaseException:
            await connection.aclose()
            raise
        self._finalizer = weakref.finalize(self, _dropped, connection)
        self._finalizer.atexit = False  # the interpreter's end closes sockets by itself
        return self

    def _opened(self) -> Connection:
        if self._connection is None:
            raise RuntimeError(
                "the session is not open: `async with nvrclient.connect(…) as nvr:`, or"
                " `nvr = await nvrclient.connect(…)`"
            )
        self._connection.check_usable()
        return self._connection


def _pairs(
    params: Iterable[tuple[str, str | int]] | Mapping[str, str | int],
) -> Iterable[tuple[str, str | int]]:
    """Return pairs, from pairs or from a mapping."""
    if isinstance(params, Mapping):
        return cast("Mapping[str, str | int]", params).items()
    return params


def _dropped(connection: Connection) -> None:
    """A session's handle was dropped without being closed."""
    if not connection.loop.is_closed():
        connection.loop.call_soon_threadsafe(
            lambda: asyncio.ensure_future(connection.aclose(), loop=connection.loop)
        )
    warnings.warn(
        f"session with {connection.address.url} was dropped without aclose()",
        ResourceWarning,
        stacklevel=2,
    )
