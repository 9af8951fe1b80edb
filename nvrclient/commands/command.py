"""A CGI command: its name and its query, in the order the specification prints it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Uid:
    """A user ID that the recorder issued (1.3): who knows it can command the recorder, so a repr hides it."""

    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Command:
    """``GET /cgi-bin/<name>?<query>``. The query is pairs, since some commands repeat a parameter (4.2.4)."""

    name: str
    query: tuple[tuple[str, str], ...] = ()
    directory: str = "/cgi-bin/"

    @property
    def target(self) -> str:
        """The request target, as it goes on the wire; holds the UID."""
        query = "&".join(f"{key}={value}" for key, value in self.query)
        return f"{self.directory}{self.name}" + (f"?{query}" if query else "")

    def __str__(self) -> str:
        """The command in words fit for a message or a log."""
        shown = " ".join(
            f"{key}={value}" for key, value in self.query if key.upper() not in {"UID", "PC"}
        )
        return f"{self.name} {shown}".rstrip()

    def __repr__(self) -> str:
        return f"<Command {self}>"
