"""What a session is opened with: the options of `nvrclient.connect`, and a password that shows itself nowhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Literal

from nvrclient.transport.tls import Verify


class Secret:
    """A password, or a callable that returns one; shown nowhere."""

    __slots__ = ("_value",)

    def __init__(self, value: str | Callable[[], str]) -> None:
        self._value = value

    def check(self) -> None:
        """Raise TypeError where it is neither a string nor a callable."""
        if not isinstance(self._value, str) and not callable(self._value):
            raise TypeError("password: a string, or a callable that returns one")

    def reveal(self) -> str:
        """Return the password. Raises TypeError where the callable returns none; what it raises is the caller's."""
        password = self._value if isinstance(self._value, str) else self._value()
        if isinstance(password, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            return password
        password = ""  # whatever it is, no traceback shows it
        raise TypeError("password: the callable returned no string")

    def __repr__(self) -> str:
        return "<secret>"

    def __reduce__(self) -> Any:
        raise TypeError("a password is not pickled")


@dataclass(frozen=True, slots=True)
class Options:
    """The options of `nvrclient.connect`; see there."""

    verify: Verify = True
    timeout: float = 10.0
    stall_timeout: float = 5.0
    keepalive: float = 60.0
    reconnect: bool = True
    max_uids: int = 8
    timezone: tzinfo | None = None
    channels: int | None = None
    rtp_host: str | None = None
    rtp_ports: range | None = None
    http2: bool = False
    g711: Literal["mulaw", "alaw"] = "mulaw"
    aac_rate: int | None = None
    command_interval: float = 3.0
