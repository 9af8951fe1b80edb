"""What can happen to a recorder, driven by plain sockets under a simulated clock."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest

from nvrclient.simulator import (
    FROZEN,
    ORDERLY,
    POWER_CUT,
    RESET,
    AnswerFault,
    CameraSetup,
    Ending,
    Kind,
    PacketAccount,
    Readings,
    Reboot,
    Schedule,
    SimulatedRecorder,
    StreamFault,
    UdpFaults,
    light_cameras,
)
from tests.clock import run_simulated
from tests.simulator.client import settle
from tests.simulator.wire import (
    LONG,
    bodies,
    logged_in,
    receiving,
    start,
    status,
    stop,
    wired,
)

Scenario = Callable[[SimulatedRecorder], Coroutine[Any, Any, None]]


def play(scenario: Scenario, recorder: SimulatedRecorder | None = None) -> SimulatedRecorder:
    """Run a scenario against an open recorder on a simulated clock; nothing of it is left."""
    recorder = recorder or SimulatedRecorder(cameras=2, readings=Readings(packet_size=700))

    async def run() -> None:
        async with recorder:
            await scenario(recorder)
        await asyncio.sleep(1)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert recorder.streams == ()

    run_simulated(
        run(), debug=False
    )  # debug mode takes four times as long; the other tests here have it
    return recorder


def now() -> float:
    return asyncio.get_running_loop().time()


# Reboots


@pytest.mark.parametrize("script", [RESET, ORDERLY, FROZEN, POWER_CUT])
def test_a_reboot_goes_through_its_phases(script: Reboot) -> None:
    async def scenario(recorder: SimulatedRecorder) -> None:
        uid = await logged_in(recorder)
        with receiving() as udp:
            async with wired(recorder) as live, wired(recorder) as idle:
                await live.ask(start(uid, 1))
                assert await status(recorder, start(uid, 2, udp.port, "H265")) == 200
                await asyncio.sleep(1)
                incident, began = recorder.faults.reboot(script), now()
                assert (recorder.uids, recorder.streams, udp.packets != []) == ((), (), True)
                udp.packets.clear()
                expected = {Ending.RST: "reset", Ending.FIN: "closed", Ending.SILENCE: "open"}
                assert (await live.drain(5))[1] == expected[script.ending]
                assert await idle.fate(5) == expected[script.ending]
                async with wired(recorder) if script.silent else nothing() as early:
                    if early:  # the kernel takes it, the recorder never answers
                        await early.ask("status.cgi")
                    await asyncio.sleep(began + script.silent + 1 - now())
                    attempts = recorder.connections
                    assert await status(recorder, "dlogin.cgi?UID=-1") == -1
                    assert recorder.connections == attempts + script.counted
                    await asyncio.sleep(began + script.silent + script.refused + 1 - now())
                    for command in (f"status.cgi?UID={uid}&PC=AS60", "dlogin.cgi?UID=-1"):
                        assert await status(recorder, command) == 503
                    if early:
                        assert await early.fate() == "reset"
                await incident.over()
                total = script.silent + script.refused + script.busy
                assert now() - began == pytest.approx(total, abs=0.01)
                assert incident.ended == now()
                assert await status(recorder, f"status.cgi?UID={uid}&PC=AS60") == 401
                if script.ending is Ending.SILENCE:
                    assert await idle.fate(5) == "open"  # nobody told it
                    await idle.ask("status.cgi")
                    assert await idle.fate() == "reset"
            assert await logged_in(recorder) != uid
            assert (incident.cameras, incident.uids) == ({1, 2}, (1,))
            assert udp.packets == []

    play(scenario)


@contextlib.asynccontextmanager
async def nothing() -> Any:
    yield None


def test_a_recorder_that_reboots_can_be_closed_and_opened_again() -> None:
    async def scenario(recorder: SimulatedRecorder) -> None:
        for seconds in (5, 35):
            recorder.faults.reboot(Reboot(silent=10, refused=10, busy=30))
            await asyncio.sleep(seconds)
            await recorder.aclose()
            assert recorder.faults.lasting == ()
            await recorder.start()
            assert await logged_in(recorder)

    play(scenario)


# The path


def test_a_black_hole_forgets_nothing() -> None:
    async def scenario(recorder: SimulatedRecorder) -> None:
        uid = await logged_in(recorder)
        with receiving() as udp:
            async with (
                wired(recorder) as live,
                wired(recorder) as command,
                wired(recorder) as leaver,
            ):
                await live.ask(start(uid, 1))
                assert await status(recorder, start(uid, 2, udp.port, "H265")) == 200
                before, fate = await live.drain(5)
                assert fate == "open"
                incident = recorder.faults.black_hole(20)
                await command.ask(f"status.cgi?UID={uid}&PC=AS60")
                leaver.writer.write_eof()
                heard = len(udp.packets)
                async with wired(recorder) as late:
                    await late.ask(f"status.cgi?UID={uid}&PC=AS60")
                    assert await late.fate(10) == "open"
                    assert await live.drain(9) == (b"", "open")
                    assert len(udp.packets) == heard
                    assert await leaver.fate(0.5) == "open"
                    await incident.over()
                    assert await leaver.fate() == "closed"
                    assert await command.answer() == (200, b"OK\r\n")
                    assert (await late.answer())[0] == 200
                after, fate = await live.drain(5)
                assert fate == "open"
                for account, numbers in zip(
                    recorder.faults.accounts,
                    ([number(body) for body in bodies(before + after)], udp.numbers),
                    strict=True,
                ):
                    assert account.first_number == numbers[0]
                    assert gaps(numbers) == account.lost == account.gaps > 20 * 15
            assert len(recorder.uids) == 1
            assert incident.cameras == {1, 2}

    play(scenario)


def test_a_uid_dies_of_old_age_in_a_black_hole() -> None:
    async def scenario(recorder: SimulatedRecorder) -> None:
        uid = await logged_in(recorder)
        recorder.faults.black_hole()
        await asyncio.sleep(95)
        recorder.faults.heal()
        assert await status(recorder, f"status.cgi?UID={uid}&PC=AS60") == 401

    play(scenario)


def test_a_client_that_leaves_in_a_black_hole_is_missed_afterwards() -> None:
    async def scenario(recorder: SimulatedRecorder) -> None:
        uid = await logged_in(recorder)
        async with wired(recorder) as live:
            await live.ask(start(uid, 1))
            await live.drain(2)
            recorder.faults.black_hole(10)
        await asyncio.sleep(5)
        assert len(recorder.streams) == 1
        await asyncio.sleep(6)
        assert recorder.streams == ()

    play(scenario)


@pytest.mark.parametrize("ending", list(Ending))
def test_connections_end_in_three_ways(ending: Ending) -> None:
    async def scenario(recorder: SimulatedRecorder) -> None:
        uid = await logged_in(recorder)
        with receiving() as udp:
            async with wired(recorder) as live:
                await live.ask(start(uid, 1))
                assert await status(recorder, start(uid, 2, udp.port, "H265")) == 200
                await live.drain(1)
                incident = recorder.faults.drop_connections(ending)
                _, fate = await live.drain(2)
                assert fate == {"FIN": "closed", "RST": "reset", "SILENCE": "open"}[ending.name]
                assert [stream.camera for stream in recorder.streams] == [2]
                assert (incident.cameras, incident.uids) == ({1}, ())
                if ending is Ending.SILENCE:
                    await live.ask("status.cgi")
                    assert await live.fate() == "reset"
        assert await status(recorder, f"status.cgi?UID={uid}&PC=AS60") == 200

    play(scenario)


@pytest.mark.parametrize("tls", [False, True])
def test_a_new_connection_is_never_served(tls: bool) -> None:
    async def scenario(recorder: SimulatedRecorder) -> None:
        incident = recorder.faults.stall_connections(60)
        async with wired(recorder) as wire:
            if tls:
                wire.writer.write(bytes.fromhex("1603010005"))  # a handshake begins
            else:
                await wire.ask("status.cgi")
            assert await wire.fate() == "open"
            await incident.over()
            assert await wire.fate() == "open"
        assert recorder.connections == 1

    play(scenario, SimulatedRecorder(cameras=1, tls=tls))


def test_a_client_that_leaves_is_not_missed() -> None:
    async def scenario(recorder: SimulatedRecorder) -> None:
        uid = await logged_in(recorder)
        recorder.faults.ignore_leaving()
        for _ in range(2):
            async with wired(recorder) as live:
                await live.ask(start(uid, 1))
                await live.drain(1)
            await asyncio.sleep(5)
            [stream] = recorder.streams
            assert stream.units_sent > 80
            assert await status(recorder, stop(uid, 1)) == 200
            assert recorder.streams == ()

    play(scenario)


def test_a_client_that_leaves_a_full_connection_is_not_missed() -> None:
    async def scenario(recorder: SimulatedRecorder) -> None:
        uid = await logged_in(recorder)
        recorder.faults.ignore_leaving()
        async with wired(recorder) as live:
            await live.ask(start(uid, 1))
            await asyncio.sleep(1)
            recorder.faults.disturb(StreamFault.FLOOD, rate=1000)
            await asyncio.sleep(20)  # nobody reads: the recorder waits for room
            sent = recorder.streams[0].units_sent
            await asyncio.sleep(1)
            assert recorder.streams[0].units_sent == sent
        await asyncio.sleep(1)
        assert recorder.streams[0].units_sent > sent

    play(scenario, SimulatedRecorder(cameras={1: CameraSetup("h264_large")}))


# UIDs, logins


def test_one_uid_is_forgotten() -> None:
    async def scenario(recorder: SimulatedRecorder) -> None:
        uids = [await logged_in(recorder) for _ in range(3)]
        assert await status(recorder, start(uids[1], 2, 9, "H265")) == 200
        incident = recorder.faults.forget_uid(recorder.uids[1])
        assert (incident.uids, incident.cameras, incident.ended) == ((2,), {2}, now())
        assert [uid.number for uid in recorder.uids] == [1, 3]
        recorder.faults.forget_uid()
        assert len(recorder.uids) == 1
        assert recorder.faults.forget_uids().uids in {(1,), (3,)}
        with pytest.raises(ValueError, match="no UID"):
            recorder.faults.forget_uid()

    play(scenario)


def test_uids_are_stolen_at_every_second_command() -> None:
    async def scenario(recorder: SimulatedRecorder) -> None:
        incident = recorder.faults.steal_uids(2)
        seen = []
        for _ in range(3):
            uid = await logged_in(recorder)  # the UID's first command sets it up
            seen.append(await status(recorder, f"status.cgi?UID={uid}&PC=AS60"))
        assert seen == [401] * 3
        assert recorder.uids == ()
        assert incident.rule
        assert (incident.rule.seen, incident.rule.hits) == (6, 3)
        incident.heal()
        uid = await logged_in(recorder)
        for _ in range(3):
            assert await status(recorder, f"status.cgi?UID={uid}&PC=AS60") == 200

    play(scenario)


def test_the_password_changes_and_the_account_locks() -> None:
    async def scenario(recorder: SimulatedRecorder) -> None:
        uid = await logged_in(recorder)
        old = recorder.password
        recorder.password = "another"
        assert await logged_in(recorder)
        recorder._guard.password, recorder.password = "another", old
        incident = recorder.faults.lock_account(60)
        assert recorder.is_locked
        with pytest.raises(AssertionError):
            await logged_in(recorder)
        assert await status(recorder, f"status.cgi?UID={uid}&PC=AS60") == 200
        await incident.over()
        assert not recorder.is_locked
        assert await logged_in(recorder)
        assert recorder.wrong_credentials == 0
        assert len(recorder.login_times) == 3

    play(scenario)


# Answers


@pytest.mark.parametrize(
    ("fault", "seen", "carried_out"),
    [
        (AnswerFault.STATUS, 418, False),
        (AnswerFault.CUT_FIN, 0, False),
        (AnswerFault.CUT_RST, -1, False),
        (AnswerFault.CUT_SILENCE, -2, False),
        (AnswerFault.UID_LOST, 401, False),
        (AnswerFault.LOST_FIN, 0, True),
        (AnswerFault.LOST_RST, -1, True),
        (AnswerFault.LOST_SILENCE, -2, True),
        (AnswerFault.SLOW, 200, True),
        (AnswerFault.GARBAGE, 200, True),
    ],
)
def test_an_answer_is_spoiled(fault: AnswerFault, seen: int, carried_out: bool) -> None:
    async def scenario(recorder: SimulatedRecorder) -> None:
        uid = await logged_in(recorder)
        command = f"hdrctl.cgi?UID={uid}&PC=AS60&MASK={'1':0<16}"
        incident = recorder.faults.spoil(fault, "hdrctl.cgi", count=1, status=418, delay=7)
        [used] = recorder.uids
        assert await status(recorder, f"status.cgi?UID={uid}&PC=AS60") == 200
        began = now()
        assert await status(recorder, command) == seen
        assert (used.playback is not None) == carried_out
        if fault is AnswerFault.SLOW:
            assert now() - began == pytest.approx(7, abs=0.01)
        assert incident.rule
        assert (incident.rule.hits, incident.ended is not None) == (1, True)
        assert recorder.requests[-1].fault is fault
        cut = fault.name.startswith("CUT")
        assert recorder.requests[-1].status == (0 if cut else 200 if carried_out else seen)
        if fault is not AnswerFault.UID_LOST:
            assert await status(recorder, command) == 200

    play(scenario)


@pytest.mark.parametrize("fault", list(AnswerFault))
def test_a_start_that_is_spoiled_leaves_no_stream(fault: AnswerFault) -> None:
    async def scenario(recorder: SimulatedRecorder) -> None:
        uid = await logged_in(recorder)
        recorder.faults.spoil(fault, "push.cgi", count=1, delay=1)
        async with wired(recorder) as wire:
            await wire.ask(start(uid, 1))
            with contextlib.suppress(TimeoutError, ConnectionResetError):
                async with asyncio.timeout(5):
                    await wire.answer()
        await asyncio.sleep(1)
        assert recorder.streams == ()
        if fault is not AnswerFault.UID_LOST:
            assert await status(recorder, stop(uid, 1)) == 200
            async with wired(recorder) as wire:
                await wire.ask(start(uid, 1))
                assert len(bodies((await wire.drain(3))[0])) > 100
        assert recorder.violations == []

    play(scenario)


def test_a_share_of_answers_is_lost() -> None:
    hits = []

    async def scenario(recorder: SimulatedRecorder) -> None:
        uid = await logged_in(recorder)
        incident = recorder.faults.spoil(
            AnswerFault.LOST_FIN, ("status.cgi", "logout.cgi"), share=0.3, seconds=1000
        )
        command = f"status.cgi?UID={uid}&PC=AS60"
        seen = [await status(recorder, command) for _ in range(100)]
        assert incident.rule
        assert Counter(seen) == {0: incident.rule.hits, 200: 100 - incident.rule.hits}
        hits.append(incident.rule.hits)

    for _ in range(2):
        play(scenario)
    assert 20 < hits[0] == hits[1] < 40


def test_starts_are_refused_and_slow() -> None:
    async def scenario(recorder: SimulatedRecorder) -> None:
        uid = await logged_in(recorder)
        recorder.faults.refuse_starts(204, 1, count=2)
        seen = [await status(recorder, start(uid, 1, 9)) for _ in range(3)]
        assert seen == [204, 204, 200]
        assert recorder.max_starts_seen == 1
        recorder.faults.slow_starts(3)
        uids = [await logged_in(recorder) for _ in range(4)]
        began = now()
        asked = [
            status(recorder, start(uid, camera, 9, comp)) for uid in uids for camera, comp in TWO
        ]
        assert await asyncio.gather(*asked) == [200] * 8
        assert now() - began == pytest.approx(3, abs=0.01)
        assert recorder.max_starts_seen == 8
        assert recorder.violations == []

    play(scenario)


TWO = ((1, "H264"), (2, "H265"))

# Streams


@pytest.mark.parametrize("fault", list(StreamFault))
def test_a_stream_over_http_ails_until_it_is_started_again(fault: StreamFault) -> None:
    async def scenario(recorder: SimulatedRecorder) -> None:
        uid = await logged_in(recorder)
        async with wired(recorder) as wire, wired(recorder) as other:
            await wire.ask(start(uid, 1))
            await other.ask(start(uid, 2, comp="H265"))
            await wire.drain(1)
            incident = recorder.faults.disturb(fault, 1, pictures=5, rate=150)
            data, fate = await wire.drain(5)
            ends = {"FIN": "closed", "CUT": "closed", "RST": "reset", "CUT_RST": "reset"}
            assert fate == ends.get(fault.name, "open")
            pictures = len({body[4:8] for body in bodies(data)})
            rest = data[data.rindex(b"--myboundary") :] if data else b""
            if fault is StreamFault.FLOOD:
                assert pictures == pytest.approx(5 + 150 * (5 - 5 / 15), abs=5)
            elif fault is StreamFault.NO_KEYFRAMES:
                assert pictures in {72, 73}  # of 75: a GOP is two seconds
                assert (
                    gaps([number(body) for body in bodies(data)])
                    == recorder.streams[0].account.gaps
                )
            elif fault is StreamFault.EMPTY_PARTS:
                assert data.count(b"Content-Length: 0\r\n\r\n\r\n--myb") > 60
            elif fault is StreamFault.BOUNDARIES:
                assert data.split(b"--myboundary\r\n").count(b"") > 60
            elif fault is not StreamFault.RST:
                assert pictures == 5
                whole = re_whole(rest)
                assert whole == (fault not in {StreamFault.CUT, StreamFault.CUT_RST})
            running = [stream.camera for stream in recorder.streams]
            assert running == ([2] if fault.ends_it else [1, 2])
            assert (incident.cameras, incident.ended is None) == ({1}, not fault.ends_it)
            assert await status(recorder, stop(uid, 1)) == 200
            assert incident.ended is not None
            async with wired(recorder) as again:
                await again.ask(start(uid, 1))
                found = bodies((await again.drain(2))[0])
                assert len({body[4:8] for body in found}) in {30, 31}
                assert gaps([number(body) for body in found]) == 0
            data, _ = await other.drain(1)
            assert gaps([number(body) for body in bodies(data)]) == 0
        assert recorder.violations == []

    play(scenario)


def re_whole(rest: bytes) -> bool:
    """Whether the last part is whole."""
    return len(bodies(rest)) == 1


@pytest.mark.parametrize("fault", list(StreamFault))
def test_a_stream_over_udp_ails_until_the_time_is_up(fault: StreamFault) -> None:
    async def scenario(recorder: SimulatedRecorder) -> None:
        uid = await logged_in(recorder)
        with receiving() as udp, receiving() as later:
            assert await status(recorder, start(uid, 2, udp.port, "H265")) == 200
            await asyncio.sleep(1)
            incident = recorder.faults.disturb(fault, 2, seconds=10, rate=150)
            udp.packets.clear()
            await asyncio.sleep(4.9)
            pictures = {packet[4:8] for packet in udp.packets if len(packet) > 12}
            if fault is StreamFault.FLOOD:
                assert len(pictures) == pytest.approx(4.9 * 150, abs=15)
            elif fault is StreamFault.NO_KEYFRAMES:
                assert 65 < len(pictures) < 75
            else:
                assert len(pictures) == 0
            husks = fault in {StreamFault.BOUNDARIES, StreamFault.EMPTY_PARTS}
            assert (len([p for p in udp.packets if len(p) == 12]) > 100) == husks
            assert len(recorder.streams) == (not fault.ends_it)
            other = await logged_in(recorder)
            assert await status(recorder, start(other, 2, later.port, "H265")) == 200
            await asyncio.sleep(1)
            if fault is StreamFault.SILENCE:
                assert later.packets == []
            await incident.over()
            udp.packets.clear()
            await asyncio.sleep(2)
            assert len({packet[4:8] for packet in udp.packets}) == (0 if fault.ends_it else 30)
            assert len({p[4:8] for p in later.packets if len(p) > 12}) >= 30 * (not fault.ends_it)

    play(scenario)


def test_riding_audio_ends_without_the_video() -> None:
    async def scenario(recorder: SimulatedRecorder) -> None:
        uid = await logged_in(recorder)
        async with wired(recorder) as wire:
            await wire.ask(start(uid, 1))
            await wire.drain(0.5)
            async with wired(recorder) as sound:
                await sound.ask(start(uid, 1, comp="AUDIO"))
                await wire.drain(0.5)
                audio = [stream for stream in recorder.streams if stream.is_audio]
                recorder.faults.disturb(StreamFault.RST, streams=audio)
                data, fate = await wire.drain(2)
            assert (fate, data.count(b"audio/")) == ("open", 0)
            assert [stream.is_audio for stream in recorder.streams] == [False]

    readings = Readings(audio_in_video=True)
    play(scenario, SimulatedRecorder(cameras={1: CameraSetup("h264", "pcmu")}, readings=readings))


# Datagrams


def number(packet: bytes) -> int:
    return int.from_bytes(packet[2:4], "big")


def unwrapped(numbers: list[int], first: int) -> list[int]:
    """How far each sequence number is from the first, wrapping."""
    found: list[int] = []
    last = 0
    for one in numbers:
        last += (one - first - last + 0x8000) % 0x10000 - 0x8000
        found.append(last)
    return found


def gaps(numbers: list[int]) -> int:
    """How many numbers are missing between the first and the last."""
    seen = unwrapped(numbers, numbers[0])
    return max(seen) - min(seen) + 1 - len(set(seen))


def overtaken(seen: list[int]) -> list[int]:
    """For each packet that came after a later one, how many later ones did."""
    return [
        count
        for index, one in enumerate(seen)
        if (count := sum(other > one for other in seen[max(0, index - 40) : index]))
    ]


@pytest.mark.parametrize(
    "faults",
    [
        UdpFaults(loss=0.05),
        UdpFaults(bursts=0.01, burst=(1, 200)),
        UdpFaults(duplicate=0.1),
        UdpFaults(reorder=0.1),
        UdpFaults(loss=0.3, reorder=0.3, distance=30, hold=5),
        UdpFaults(loss=0.02, bursts=0.005, duplicate=0.05, reorder=0.05, distance=5, hold=1),
    ],
)
def test_what_was_done_to_datagrams_is_known_exactly(faults: UdpFaults) -> None:
    outcome: list[tuple[list[int], PacketAccount]] = []

    async def scenario(recorder: SimulatedRecorder) -> None:
        uid = await logged_in(recorder)
        incident = recorder.faults.shake_udp(faults)
        with receiving() as udp:
            assert await status(recorder, start(uid, 1, udp.port)) == 200
            await asyncio.sleep(60)
            if faults.hold < 5:  # else what is held back when the stream ends is lost
                incident.heal()
                await asyncio.sleep(2)
            stopped = f"push.cgi?UID={uid}&CAM=1&CMD=STOP&COMP=H264&PORT={udp.port}"
            assert await status(recorder, stopped) == 200
            await asyncio.sleep(1)
            udp.take()  # what came in this very moment
            [account] = recorder.faults.accounts
            assert account.first_number is not None
            outcome.append((unwrapped(udp.numbers, account.first_number), account))

    def again() -> tuple[list[int], PacketAccount]:
        play(scenario)
        return outcome[-1]

    seen, account = again()
    assert account.made > 3000
    once = set(seen)
    assert sorted(set(range(account.made)) - once) == list(account.lost_at)
    assert account.delivered == len(once)
    assert account.duplicated == len(seen) - len(once)
    assert account.gaps == max(once) - min(once) + 1 - len(once)
    first_time = list(dict.fromkeys(seen))
    late = overtaken(first_time)
    assert account.reordered == len(late)
    assert max(late, default=0) <= faults.distance
    assert (account.lost > 0) == (faults.loss + faults.bursts > 0)
    assert (account.duplicated > 0) == (faults.duplicate > 0)
    assert (account.reordered > 0) == (faults.reorder > 0)
    if faults.loss and not faults.bursts + faults.reorder:
        assert account.lost == pytest.approx(account.made * faults.loss, rel=0.3)
    same, _ = again()
    assert same == seen


def test_a_burst_and_a_firewall() -> None:
    async def scenario(recorder: SimulatedRecorder) -> None:
        uid = await logged_in(recorder)
        with receiving() as udp:
            assert await status(recorder, start(uid, 1, udp.port)) == 200
            await asyncio.sleep(5)
            assert recorder.faults.lose_packets(17).cameras == {1}
            await asyncio.sleep(5)
            assert gaps(udp.numbers) == 17
            incident = recorder.faults.block_udp(5)
            came = len(udp.packets)
            await asyncio.sleep(4.9)
            assert len(udp.packets) == came
            await incident.over()
            await asyncio.sleep(1)
            [account] = recorder.faults.accounts
            assert gaps(udp.numbers) == account.lost > 17
            assert [i.kind for i in recorder.faults.log] == ["lose_packets", "block_udp"]

    play(scenario)


# Schedules, and hours


def test_a_schedule_plays_the_same_each_time() -> None:
    async def scenario(recorder: SimulatedRecorder) -> None:
        uid = ""
        while len(recorder.faults.log) < len(Kind) + 5:
            await asyncio.sleep(1)
            with receiving() as udp:
                if await status(recorder, f"status.cgi?UID={uid}&PC=AS60") != 200:
                    with contextlib.suppress(httpx.TransportError, AssertionError):
                        uid = await logged_in(recorder)
                with contextlib.suppress(OSError):
                    async with wired(recorder) as wire:
                        await status(recorder, start(uid, 2, udp.port, "H265"))
                        await wire.ask(start(uid, 1))
                        await wire.drain(20)
                        await status(
                            recorder, f"push.cgi?UID={uid}&CAM=2&CMD=STOP&COMP=H265&PORT={udp.port}"
                        )
        await recorder.aclose()

    logs = []
    for _ in range(2):
        recorder = SimulatedRecorder(
            cameras=light_cameras(2),
            faults=Schedule(seed=3, every=(5, 15), lasting=(3, 9), patience=60),
        )
        log = play(scenario, recorder).faults.log
        logs.append([(incident.kind, incident.began, incident.cameras) for incident in log])
        assert all(count in {1, 2} for count in Counter(i.kind for i in log).values())
        assert {incident.kind for incident in log} == {kind.name for kind in Kind}
        for one, other in itertools.pairwise(log):
            assert one.ended is not None
            assert other.began - one.ended >= 5
    assert [kind for kind, *_ in logs[0]] == [kind for kind, *_ in logs[1]]


def test_light_cameras_are_what_an_encoder_made() -> None:
    import av

    for setup in light_cameras(2).values():
        clip = setup.video
        assert not isinstance(clip, str)
        decoder: Any = av.CodecContext.create(clip.codec.value.lower().replace("h265", "hevc"), "r")
        pictures = [p for unit in clip.units for p in decoder.decode(av.Packet(unit))]
        pictures += decoder.decode(None)
        assert len(pictures) == len(clip) == 25
        assert not any(picture.is_corrupt for picture in pictures)
        assert sorted(clip.keyframes) == [0, 5, 10, 15, 20]


def test_hours_of_sixteen_cameras_are_sent_in_seconds() -> None:
    async def scenario(recorder: SimulatedRecorder) -> None:
        uid = await logged_in(recorder)
        with contextlib.ExitStack() as stack:
            receivers = [stack.enter_context(receiving()) for _ in range(16)]
            for camera, udp in enumerate(receivers, 1):
                comp = "H264" if camera % 2 else "H265"
                assert await status(recorder, start(uid, camera, udp.port, comp)) == 200
            await asyncio.sleep(79.5)
            made = [account.made for account in recorder.faults.accounts]
            assert [len(udp.packets) for udp in receivers] == made
            assert sum(made) / 80 / 16 == pytest.approx(6, abs=1)

    readings = Readings(packet_size=700)
    play(scenario, SimulatedRecorder(cameras=light_cameras(16), readings=readings))


async def test_without_a_simulated_clock() -> None:
    async with SimulatedRecorder(cameras=1, pace=10) as recorder:
        uid = await logged_in(recorder)
        async with wired(recorder) as live:
            await live.ask(start(uid, 1))
            await live.drain(0.2)
            incident = recorder.faults.reboot(Reboot(silent=0.1, refused=0.1, busy=0.1))
            await incident.over()
            await settle()
            assert (await live.drain(LONG))[1] == "reset"
        assert await logged_in(recorder)
