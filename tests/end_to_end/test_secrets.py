"""Nothing secret leaves: the judge of the whole run finds a planted leak, and DEBUG shows the protocol without it."""

from __future__ import annotations

import logging

import pytest

import nvrclient
from nvrclient.simulator import Readings, SimulatedRecorder
from tests.conftest import WATCH
from tests.end_to_end.test_live_video import take
from tests.secrets import PASSWORD, SecretWatch, secrets_in


@pytest.mark.parametrize(
    "leak",
    [
        f"logging in with {PASSWORD}",
        "GET /cgi-bin/status.cgi?UID=13313&PC=AS60",
        'Digest username="ADMIN", response="0123456789abcdef0123456789abcdef"',
    ],
)
def test_row_4_a_planted_leak_is_found(leak: str) -> None:
    watch = SecretWatch()
    log = logging.Logger("planted")  # not one of the run's, or the run would fail
    log.addHandler(watch)
    log.debug("%s", leak)
    assert len(watch.leaks) == 1


async def test_row_4_nothing_secret_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    before = WATCH.records
    async with SimulatedRecorder(
        password=PASSWORD, pace=8.0, readings=Readings(challenge_commands=True, uid_digits=7)
    ) as recorder:
        async with nvrclient.connect(recorder.url, recorder.username, PASSWORD) as nvr:
            async with nvr.camera(1).live("h264", audio=True) as stream:
                await take(stream, 3)
                uid = recorder.uids[0].value
                shown = repr(nvr) + repr(stream) + repr(nvr.stats) + repr(stream.stats)
    assert WATCH.records > before
    text = "\n".join(record.getMessage() for record in caplog.records) + shown
    assert secrets_in(text) == []
    assert uid not in text
