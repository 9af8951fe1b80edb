"""What the status of an answer means: the error to raise, and how long to wait."""

from __future__ import annotations

from nvrclient.commands.command import Command
from nvrclient.errors import CommandError, RecorderBusyError, SessionLimitError
from nvrclient.transport.http import Body, Reply


def check(command: Command, reply: Reply | Body) -> None:
    """Raise for an answer that is an error: SessionLimitError (503), RecorderBusyError (204 is none here), CommandError."""
    status = reply.status
    if status < 400:
        return
    retry = retry_after(reply)
    if status == 503:
        raise SessionLimitError(
            f"{command}: no UID or stream is free on the recorder (HTTP 503). It gives at most 16"
            " UIDs at once; those of a program that died are free again after 90 s",
            retry_after=retry if retry is not None else 5.0,
        )
    if status == 429:
        raise RecorderBusyError(f"{command}: the recorder is busy (HTTP 429)", retry_after=retry)
    hint = {
        400: "it does not take this command or a value in it",
        401: "this user may not do that, or it asks for a login without saying how",
        403: "this user may not do that",
        404: "it does not know this command, or not this camera",
    }.get(status, "see its log")
    raise CommandError(
        f"{command}: the recorder answers HTTP {status}: {hint}",
        command=command.name,
        status=status,
    )


def retry_after(reply: Reply | Body) -> float | None:
    """Return the Retry-After of an answer in seconds, where it is a number."""
    value = reply.headers.get("retry-after", [""])[0].strip()
    return float(value) if value.isascii() and value.isdigit() and len(value) < 6 else None
