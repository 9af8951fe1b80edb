"""Passwords that are wrong, challenges that are odd, nonces that go stale (docs/faults.md, rows 1 to 3), end to end.

The long form runs 24 hours instead of two and sends 10,000 commands:
NVRCLIENT_LONG=1 python -m pytest -n0 tests/faults/test_login.py
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Coroutine
from contextlib import suppress
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nvrclient
from nvrclient import LiveStream, NVRError
from nvrclient.simulator import Readings, SimulatedRecorder, light_cameras
from nvrclient.simulator.certificate import Certificate
from tests.clock import run_simulated, simulated_clock
from tests.end_to_end.foreign import ForeignRecorder, Query
from tests.end_to_end.servers import logs_in, reply, serving
from tests.secrets import PASSWORD

LONG = bool(os.environ.get("NVRCLIENT_LONG"))

# Row 1


async def watch_until_it_ends(stream: LiveStream) -> Exception | None:
    """Return what ended the stream."""
    try:
        async for _ in stream:
            pass
    except NVRError as error:
        return error
    return None


async def insist(nvr: nvrclient.Session, seconds: float) -> set[type[BaseException]]:
    """Use every feature again and again, as an application does that does not give up; what it meets."""
    met: set[type[BaseException]] = set()
    camera = nvr.camera(1)

    async def opened(stream: nvrclient.LiveStream | nvrclient.Playback) -> None:
        async with stream:
            await anext(stream)

    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while loop.time() < until:
        asked: list[Coroutine[Any, Any, object]] = [
            nvr.command("status.cgi", {"PC": "AS60"}),
            nvr.disks(),  # needs no login, and goes out
            nvr.event_log(),
            camera.move(pan=1),
            camera.snapshot(),
            opened(camera.playback()),
            *(opened(nvr.camera(n).live("h264", shared=False)) for n in range(1, 5)),
        ]
        for outcome in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(outcome, BaseException):
                met.add(type(outcome))
        await asyncio.sleep(600)
    return met


@pytest.mark.parametrize("when", ["at first", "while running"])
def test_row_1_one_wrong_password_is_on_the_wire_however_much_asks(when: str) -> None:
    """Sixteen streams, a playback, keep-alives; the recorder locks after five wrong tries, and saw one."""

    async def scenario() -> None:
        recorder = SimulatedRecorder(
            cameras=light_cameras(16),
            password="another" if when == "at first" else PASSWORD,
            readings=Readings(packet_size=700, lock_after=5),
            clock=simulated_clock().wall,
        )
        async with recorder:
            session = nvrclient.connect(recorder.url, "ADMIN", PASSWORD)
            if when == "at first":
                with pytest.raises(nvrclient.AuthenticationError):
                    await session
                with pytest.raises(RuntimeError, match="closed"):
                    await session.disks()
                await asyncio.sleep(3600)
            else:
                async with session as nvr:
                    streams = [
                        await nvr.camera(n).live(transport="udp" if n % 2 else "http")
                        for n in range(1, 17)
                    ]
                    watching = [asyncio.create_task(watch_until_it_ends(s)) for s in streams]
                    await asyncio.sleep(130)
                    assert (recorder.wrong_credentials, nvr.stats.keepalives) >= (0, 2)
                    right = recorder.credentials
                    recorder.password = "another"
                    recorder.faults.forget_uids()
                    met = await insist(nvr, (24 if LONG else 2) * 3600)
                    ended = await asyncio.gather(*watching)
                    assert {type(error) for error in ended} == {nvrclient.AuthenticationError}
                    assert met == {nvrclient.AuthenticationError}
                    assert recorder.credentials == right + 1
                    assert nvr.stats.credentials_sent == recorder.credentials
                    asked = len(recorder.requests)
                    await insist(nvr, 600)
                    more = {request.cgi for request in recorder.requests[asked:]}
                    assert more == {"recordedtime.cgi"}, "which needs no login"
                    for stream in streams:
                        await stream.aclose()
            assert recorder.wrong_credentials == 1
            recorder.password = PASSWORD  # a new session is not held by what the old one met
            async with nvrclient.connect(recorder.url, "ADMIN", PASSWORD) as nvr:
                assert nvr.is_open

    run_simulated(scenario(), debug=False)


async def test_row_1_a_stale_nonce_is_no_wrong_password() -> None:
    """Neither at a login nor at a command: it is answered with the new nonce, and nothing latches."""
    async with ChallengingRecorder(uses=1) as recorder:
        async with nvrclient.connect(recorder.url, "ADMIN", PASSWORD, command_interval=0) as nvr:
            for number in range(5):
                await nvr.command("status.cgi", {"PC": number})
            assert nvr.stats.uids_lost == 0
        assert (recorder.stale, recorder.wrong) == (5, 0)


# Row 2

QUESTIONS = {
    "unknown algorithm": ['Digest realm="r", nonce="n", algorithm=SHA-1, qop="auth"'],
    "only auth-int": ['Digest realm="r", nonce="n", qop="auth-int"'],
    "no equals sign": ["Digest realm nonce qop"],
    "no realm": ['Digest nonce="n", qop="auth"'],
    "20 kB nonce": [f'Digest realm="r", nonce="{"n" * 20_000}", qop="auth"'],
    "Basic only": ['Basic realm="r"'],
    "ten, of which none can be answered": [f'Scheme{n} realm="r"' for n in range(10)],
    "none at all": [],
    "NTLM": ["NTLM", "Negotiate"],
    "no text": ["Digest \x00\x01\xff"],
}


def challenging(values: list[str]) -> bytes:
    return reply("401 Unauthorized", b"", *(f"WWW-Authenticate: {value}" for value in values))


@pytest.mark.parametrize("question", QUESTIONS)
async def test_row_2_a_challenge_that_cannot_be_answered_is_not(question: str) -> None:
    """No credential is sent, least of all as Basic; the error is one of ours."""

    async def answer(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(challenging(QUESTIONS[question]))

    async with serving(answer) as (url, seen):
        with pytest.raises((nvrclient.AuthenticationError, nvrclient.ConnectionFailedError)):
            await nvrclient.connect(url, "ADMIN", PASSWORD)
    assert len(seen) == 1
    assert b"uthorization" not in seen[0]


async def test_row_2_a_good_challenge_among_ten_is_answered_once_by_digest() -> None:
    values = [*(f'Scheme{n} realm="r"' for n in range(8)), 'Basic realm="r"']
    values.insert(5, 'Digest realm="r", nonce="n", qop="auth"')

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        if b"uthorization" in request or b"dlogin" not in request:
            writer.write(logs_in(request) or b"")
        else:
            writer.write(challenging(values))

    async with serving(answer) as (url, seen):
        async with nvrclient.connect(url, "ADMIN", PASSWORD) as nvr:
            assert nvr.is_open
    sent = [request for request in seen if b"uthorization" in request]
    assert len(sent) == 1
    assert b"uthorization: Digest " in sent[0]


PIECES = st.sampled_from(
    [
        *("Digest ", "digest", "Basic ", "NTLM ", 'realm="r"', "realm=", "nonce=n", 'nonce="', '"'),
        *("algorithm=MD5", "algorithm=", "algorithm=SHA-512", 'qop="auth,auth-int"', "qop=auth"),
        *(", ", ",", "=", "\t", "\\", "stale=true", "userhash=true", "charset=UTF-8", "x" * 3000),
        *('opaque="o"', "\x7f", "\xe9", ";", "a==", "/"),
    ]
)


def test_row_2_any_challenge_ends_in_one_of_our_errors() -> None:
    """Header after header of any grammar at a real login: one answer at most, never Basic."""

    @settings(
        max_examples=1000 if LONG else 40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(st.lists(st.lists(PIECES, max_size=12).map("".join), max_size=10))
    def logs_in_with(values: list[str]) -> None:
        runner.run(attempt(values))

    async def attempt(values: list[str]) -> None:
        async def answer(_request: bytes, writer: asyncio.StreamWriter) -> None:
            heads = "".join(f"WWW-Authenticate: {value}\r\n" for value in values)
            head = f"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n{heads}\r\n"
            writer.write(head.encode("latin-1"))

        async with serving(answer) as (url, seen):
            with pytest.raises(NVRError) as caught:
                await nvrclient.connect(url, "ADMIN", PASSWORD)
            assert str(caught.value).isprintable()
        answers = [request for request in seen if b"uthorization:" in request]
        assert len(answers) <= (3 if any("stale" in value for value in values) else 1)
        assert all(b"uthorization: Digest " in request for request in answers)

    with asyncio.Runner(debug=True) as runner:
        logs_in_with()


@pytest.mark.parametrize("answer_to", ["the question", "the credential"])
async def test_row_2_https_is_not_left_for_http(answer_to: str) -> None:
    """A redirect to http:// before or after the credential: nothing is ever sent in the clear."""
    challenge = challenging(['Digest realm="r", nonce="n", qop="auth"'])
    asked: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while True:
                asked.append(await reader.readuntil(b"\r\n\r\n"))
                moves = answer_to == "the question" or b"uthorization" in asked[-1]
                moved = reply("302 Found", b"", f"Location: {elsewhere}/cgi-bin/dlogin.cgi?UID=-1")
                writer.write(moved if moves else challenge)
        writer.close()

    async def plain(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(challenge)

    certificate = Certificate()
    await certificate.renew(("127.0.0.1",))
    async with serving(plain) as (elsewhere, seen):
        server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=certificate.context)
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(nvrclient.ProtocolError, match="redirect"):
            await nvrclient.connect(url, "ADMIN", PASSWORD, verify=certificate.path or True)
        server.close()
        await server.wait_closed()
    await certificate.aclose()
    assert len(asked) == (1 if answer_to == "the question" else 2)
    assert seen == []


# Row 3


class ChallengingRecorder(ForeignRecorder):
    """Challenges every command; takes each pair of nonce and count once, and a nonce `uses` times."""

    def __init__(self, uses: int | None) -> None:
        super().__init__()
        self.uses = uses
        self.pairs: dict[str, list[int]] = {}
        self.stale = 0
        self._nonces = count()

    def challenge(self, *, stale: bool) -> bytes:
        nonce = f"n{next(self._nonces)}"
        self.pairs[nonce] = []
        value = f'Digest realm="Network disk recorder", nonce="{nonce}", qop="auth"'
        return challenging([value + (", stale=true" if stale else "")])

    async def _answer(
        self, name: str, query: Query, authorization: str | None, writer: asyncio.StreamWriter
    ) -> bytes | None:
        if authorization is None:
            return self.challenge(stale=False)
        field = dict(re.findall(r'(\w+)="?([^",]*)"?', authorization))
        counts = self.pairs[field["nonce"]]
        if not self.right(authorization) or int(field["nc"], 16) in counts:
            self.wrong += 1
            return self.challenge(stale=False)
        if self.uses is not None and len(counts) >= self.uses:
            self.stale += 1
            return self.challenge(stale=True)
        counts.append(int(field["nc"], 16))
        return await super()._answer(name, query, authorization, writer)


@pytest.mark.parametrize("uses", [1, 7, None])
async def test_row_3_commands_at_once_share_a_nonce_that_goes_stale(uses: int | None) -> None:
    """Each pair of nonce and count is used once, and sixteen at once share one; no UID is lost by it."""
    commands = 10_000 if LONG else 96
    async with ChallengingRecorder(uses) as recorder:
        async with nvrclient.connect(recorder.url, "ADMIN", PASSWORD, command_interval=0) as nvr:
            async with nvr.camera(1).live("h264") as stream:
                for start in range(0, commands, 16):
                    await asyncio.gather(
                        *(nvr.command("status.cgi", {"PC": start + n}) for n in range(16))
                    )
                await anext(stream)
                assert stream.stats.reconnects == 0
            assert (nvr.stats.uids_lost, nvr.stats.logins) == (0, 1)
        assert recorder.wrong == 0
        for counts in recorder.pairs.values():
            assert sorted(counts) == list(range(1, len(counts) + 1))
        if uses is None:
            assert max(map(len, recorder.pairs.values())) >= commands - 100


async def test_row_3_logins_that_meet_the_same_nonce_count_on() -> None:
    """A nonce that lives for minutes is met by every login of a session: each answers it with the next count."""

    class Recorder(ForeignRecorder):
        def __init__(self) -> None:
            super().__init__()
            self.counts: list[int] = []

        def right(self, authorization: str) -> bool:
            found = re.search(r"\bnc=([0-9a-f]{8})", authorization)
            assert found is not None
            self.counts.append(int(found[1], 16))
            return super().right(authorization) and self.counts.count(self.counts[-1]) == 1

    async with Recorder() as recorder:
        async with nvrclient.connect(recorder.url, "ADMIN", PASSWORD) as nvr:
            streams = [await nvr.camera(1).live("h264", shared=False) for _ in range(3)]
            for stream in streams:
                await anext(stream)
                await stream.aclose()
        assert recorder.counts == [1, 2, 3]
        assert recorder.wrong == 0
