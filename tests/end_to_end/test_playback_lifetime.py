"""Playback through cancellation, lost UIDs, broken connections and damaged answers: every GOP once, STOP always sent."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

import nvrclient
from nvrclient import Discontinuity, NVRError, ProtocolError, Session, VideoFrame
from nvrclient.simulator import Fault, Nothing, PlaybackReadings, SimulatedRecorder
from tests.clock import run_simulated
from tests.end_to_end.recordings import (
    adds_up,
    are,
    at,
    frames_of,
    numbered_gops,
    pictures_of,
    playing,
    recorder_of,
    rest_of,
    rises,
    run_many,
    seconds_of,
    sent,
    take,
    timef,
)
from tests.secrets import PASSWORD


def stops_are_sent(recorder: SimulatedRecorder) -> bool:
    """Whether each UID that was started playing was stopped as the last thing, before it was logged out."""
    last: dict[str, str] = {}
    for request in recorder.requests:
        params = dict(request.params)
        if "PLAYCMD" in params and request.status == 200:
            last[params["UID"]] = params["PLAYCMD"]
    return set(last.values()) <= {"STOP"}


# Every way out


def test_every_way_out_of_the_block_sends_stop() -> None:
    async def scenario() -> None:
        recorder = recorder_of(numbered_gops(9, audio="pcmu"))
        async with playing(recorder) as nvr:

            async def leaves_by_break() -> None:
                async with nvr.camera(1).playback(at(0), audio=True) as playback:
                    async for _ in playback:
                        break

            async def leaves_by_exception() -> None:
                async with nvr.camera(1).playback(at(0)) as playback:
                    await take(playback, 6)
                    raise KeyError("mine")

            async def leaves_in_pause() -> None:
                async with nvr.camera(1).playback(at(0)) as playback:
                    await take(playback, 2)
                    await playback.next_frame()

            async def leaves_at_the_end() -> None:
                async with nvr.camera(1).playback(at(7), speed=None) as playback:
                    await rest_of(playback)

            async def leaves_without_a_look() -> None:
                async with nvr.camera(1).playback(at(0)):
                    pass

            for leaves in (
                leaves_by_break,
                leaves_by_exception,
                leaves_in_pause,
                leaves_at_the_end,
                leaves_without_a_look,
            ):
                since = len(recorder.requests)
                with suppress(KeyError):
                    await leaves()
                assert sent(recorder, since)[-1].startswith("STOP"), leaves
                (uid,) = recorder.uids
                assert uid.playback is not None
                assert not uid.playback.is_playing
            assert recorder.logins == 1

    run_simulated(scenario())


async def use(nvr: Session) -> None:
    """Everything a playback can do, with an await at each."""
    async with nvr.camera(1).playback(at(2), audio=True, speed=None) as playback:
        await take(playback, 5)
        await playback.pause()
        await playback.next_frame()
        await playback.previous_frame()
        await playback.resume()
        await take(playback, 5)
        await playback.reverse()
        await take(playback, 5)
        await playback.fast_forward()
        await take(playback, 2)
        await playback.seek(at(5))
        await take(playback, 5)


@pytest.mark.parametrize("times", [1, 2])
def test_row_70_cancelled_at_any_await(times: int) -> None:
    """Cancelled after k turns of the loop, for many k: STOP has gone out, and the UID plays the next one."""

    async def scenario() -> None:
        recorder = recorder_of(numbered_gops(20, audio="pcmu"))
        ended = False
        turns = 0
        async with playing(recorder) as nvr:
            while not ended:
                task = asyncio.create_task(use(nvr))
                for _ in range(turns):
                    await asyncio.sleep(0)
                ended = task.done()
                for _ in range(times):
                    task.cancel()
                    await asyncio.sleep(0)
                await asyncio.gather(task, return_exceptions=True)
                await settled(recorder)
                assert stops_are_sent(recorder), turns
                assert recorder.violations == [], turns
                turns += 1 if turns < 60 else 7
            assert turns > 150
            await use(nvr)
            assert len(recorder.uids) == 1

    run_many(scenario())


async def settled(recorder: SimulatedRecorder) -> None:
    """Wait until what was cancelled has closed in the background."""
    async with asyncio.timeout(5):
        while not stops_are_sent(recorder) or len(recorder.uids) > 1:
            await asyncio.sleep(0.05)


def test_a_cancelled_wait_for_an_item_loses_nothing() -> None:
    async def scenario() -> None:
        recorder = recorder_of(numbered_gops(6))
        async with playing(recorder) as nvr:
            async with nvr.camera(1).playback(at(0), speed=4.0) as playback:
                frames: list[VideoFrame] = []
                chosen = random.Random(1)
                while len(frames) < 24:
                    try:
                        async with asyncio.timeout(chosen.uniform(0, 0.05)):
                            frames += frames_of([await anext(playback)])
                    except TimeoutError:
                        continue
                assert are(frames, pictures_of(recorder.recording(1).gops()))
                assert adds_up(playback.stats)

    run_simulated(scenario())


def test_a_cancelled_control_call_is_carried_out() -> None:
    """The recorder is never left between two commands."""

    async def scenario() -> None:
        recorder = recorder_of(numbered_gops(30))
        async with playing(recorder) as nvr:
            for turns in range(0, 40, 3):
                async with nvr.camera(1).playback(at(0), speed=None) as playback:
                    await take(playback, 3)
                    task = asyncio.create_task(playback.seek(at(20)))
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
                    if not turns:
                        continue  # it was not even begun
                    items = await rest_of(playback)
                    frames = [frame for frame in frames_of(items) if seconds_of([frame])[0] >= 20]
                    assert are(frames, pictures_of(recorder.recording(1).gops(at(20))))

    run_many(scenario())


async def test_row_71_closing_while_an_answer_is_under_way() -> None:
    recorder = recorder_of(numbered_gops(9))
    async with playing(recorder) as nvr:
        playback = await nvr.camera(1).playback(at(0), speed=None)
        waiting = asyncio.create_task(rest_of(playback))
        await asyncio.sleep(0.001)
        await asyncio.gather(playback.aclose(), playback.aclose())
        await playback.aclose()
        await waiting
        assert playback.state == "closed"
        assert sent(recorder)[-1].startswith("STOP")
        with pytest.raises(RuntimeError, match="closed"):
            await playback.seek(at(0))


async def test_row_72_dropped_without_close() -> None:
    recorder = recorder_of(numbered_gops(9))
    async with playing(recorder) as nvr:
        playback = await nvr.camera(1).playback(at(0), speed=None)
        await take(playback, 1)
        with pytest.warns(ResourceWarning, match="aclose"):
            del playback
            gc.collect()
        async with asyncio.timeout(2):
            while not stops_are_sent(recorder):
                await asyncio.sleep(0.01)


async def test_the_session_closes_its_playbacks() -> None:
    recorder = recorder_of(numbered_gops(9))
    async with recorder:
        nvr = await nvrclient.connect(recorder.url, recorder.username, PASSWORD)
        playback = await nvr.camera(1).playback(at(0))
        await take(playback, 1)
        await nvr.aclose()
        assert stops_are_sent(recorder)
        assert recorder.uids == ()
        await playback.aclose()


# Breaks


def forgets(recorder: SimulatedRecorder) -> None:
    recorder.forget_uids()


def cuts(recorder: SimulatedRecorder) -> None:
    recorder.drop_connections()


def both(recorder: SimulatedRecorder) -> None:
    recorder.forget_uids()
    recorder.drop_connections()


def cuts_an_answer(recorder: SimulatedRecorder) -> None:
    recorder.playback_faults.append(Fault.CUT)


BREAKS = (forgets, cuts, both, cuts_an_answer)


@pytest.mark.parametrize("audio", [False, True])
@pytest.mark.parametrize("pace", [None, 4.0])
def test_row_61_every_gop_once_whatever_breaks_between_them(
    pace: float | None, audio: bool
) -> None:
    """UIDs forgotten and connections cut at random: what comes out is what is stored, in order, each once."""

    async def scenario() -> None:
        recorder = recorder_of(numbered_gops(40, audio="pcmu"))
        chosen = random.Random(2)
        async with playing(recorder) as nvr:
            async with nvr.camera(1).playback(at(0), speed=pace, audio=audio) as playback:
                items: list[object] = []
                async for item in playback:
                    items.append(item)
                    if chosen.random() < 0.1:
                        chosen.choice(BREAKS)(recorder)
                        await asyncio.sleep(chosen.choice((0, 0.01, 0.3)))
                assert adds_up(playback.stats)
        frames = frames_of(items)
        assert are(frames, pictures_of(recorder.recording(1).gops()))
        assert rises(frames)
        assert {item.reason for item in items if isinstance(item, Discontinuity)} <= {"reconnect"}

    run_simulated(scenario())


def test_row_61_it_goes_on_where_it_was_and_not_from_the_beginning() -> None:
    async def scenario() -> None:
        recorder = recorder_of(numbered_gops(40))
        async with playing(recorder) as nvr:
            async with nvr.camera(1).playback(at(0), speed=None) as playback:
                await take(playback, 80)
                since = len(recorder.requests)
                recorder.forget_uids()
                assert seconds_of(await take(playback, 8))[-1] == 21.75
        told = sent(recorder, since)
        places = [one for one in told if one.startswith("GOTODATE")]
        assert len(places) == 1
        assert timef(at(19)) <= places[0].split()[1] <= timef(at(21))
        assert told.count("camera.cgi") < 8

    run_simulated(scenario())


@pytest.mark.parametrize("way", ["reverse", "fast_forward", "fast_reverse"])
def test_row_61_other_motions_go_on_too(way: str) -> None:
    async def scenario() -> None:
        recorder = recorder_of(numbered_gops(60))
        async with playing(recorder) as nvr:
            async with nvr.camera(1).playback(at(30), speed=None) as playback:
                await take(playback, 2)
                await getattr(playback, way)()
                frames = await take(playback, 10)
                recorder.forget_uids()
                async for item in playback:
                    if isinstance(item, VideoFrame):
                        frames.append(item)
        starts = seconds_of(frame for frame in frames if frame.keyframe)
        assert len(set(starts)) == len(starts)
        assert starts == sorted(starts, reverse="reverse" in way)
        if way == "reverse":
            assert starts == [float(second) for second in range(29, -1, -1)]
        assert len(frames) == 4 * len(starts)

    run_simulated(scenario())


@pytest.mark.parametrize("breaks", BREAKS)
@pytest.mark.parametrize(
    "call", ["seek", "pause", "resume", "reverse", "fast_forward", "next_frame", "previous_frame"]
)
def test_row_61_a_control_call_outlives_a_break(call: str, breaks: Callable[..., None]) -> None:
    async def scenario() -> None:
        recorder = recorder_of(numbered_gops(40))
        async with playing(recorder) as nvr:
            async with nvr.camera(1).playback(at(10), speed=None) as playback:
                await take(playback, 6)
                if call in {"resume", "next_frame", "previous_frame"}:
                    await playback.pause()
                breaks(recorder)
                if call == "seek":
                    await playback.seek(at(20))
                    assert seconds_of(await take(playback, 3)) == [20, 20.25, 20.5]
                elif call in {"next_frame", "previous_frame"}:
                    frame = await getattr(playback, call)()
                    assert seconds_of([frame]) == [11.5 if call == "next_frame" else 11.0]
                else:
                    await getattr(playback, call)()
                    if call == "pause":
                        await playback.resume()
                    first = {"reverse": 10.0, "fast_forward": None}.get(call, 11.5)
                    frames = await take(playback, 2)
                    assert first is None or seconds_of(frames)[0] == first

    run_simulated(scenario())


def test_an_outage_is_told_at_once_and_when_it_is_over() -> None:
    async def scenario() -> None:
        recorder = recorder_of(numbered_gops(20))
        async with playing(recorder) as nvr:
            async with nvr.camera(1).playback(at(0), speed=4.0) as playback:
                await take(playback, 6)
                port = recorder.port
                await recorder.aclose()
                items: list[Any] = []
                while not (items and isinstance(items[-1], Discontinuity)):
                    items.append(await anext(playback))
                assert items[-1].reason == "reconnect"
                assert items[-1].until is None
                assert playback.state == "reconnecting"
                recorder.port = port
                await recorder.start()
                items += await rest_of(playback)
                assert playback.stats.reconnects == 1
                told = [item for item in items if isinstance(item, Discontinuity)]
                assert [one.reason for one in told] == ["reconnect", "reconnect"]
                assert told[1].until is not None
                assert are(frames_of(items), pictures_of(recorder.recording(1).gops())[6:])

    run_simulated(scenario())


def test_without_reconnect_a_break_raises() -> None:
    async def scenario() -> None:
        recorder = recorder_of(numbered_gops(20))
        async with playing(recorder, reconnect=False) as nvr:
            async with nvr.camera(1).playback(at(0), speed=None) as playback:
                await take(playback, 6)
                recorder.forget_uids()
                with pytest.raises(NVRError):
                    await rest_of(playback)
                await playback.seek(at(10))  # it can still be sought
                assert seconds_of(await take(playback, 2)) == [10.0, 10.25]

    run_simulated(scenario())


def test_a_uid_lives_while_it_is_paused() -> None:
    """The keep-alive goes on; ten minutes later the next picture is there."""

    async def scenario() -> None:
        recorder = recorder_of(numbered_gops(20))
        async with playing(recorder) as nvr:
            async with nvr.camera(1).playback(at(0)) as playback:
                await take(playback, 6)
                await playback.pause()
                await asyncio.sleep(600)
                assert seconds_of([await playback.next_frame()]) == [1.5]
                await playback.resume()
                await asyncio.sleep(600)
                assert seconds_of(await take(playback, 2)) == [1.75, 2.0]
            assert recorder.logins == 1

    run_simulated(scenario())


# Answers that are wrong


def with_zero_length(body: bytes) -> bytes:
    return body[:6] + b"\0\0" + body[8:]


def with_endless_length(body: bytes) -> bytes:
    return body[:6] + b"\xff\xff" + body[8:]


def with_endless_picture(body: bytes) -> bytes:
    place = body.index(b"\xff\x05", body.index(b"\xff\x06\x00\x44"))
    return body[: place + 4] + b"\x7f\xff\xff\xff" + body[place + 8 :]


def with_wrong_id(body: bytes) -> bytes:
    return b"\xff\x77" + body[2:]


DAMAGES = {
    "row 56, Length 0": with_zero_length,
    "row 57, Length past the end": with_endless_length,
    "row 57, a picture of 2 GiB": with_endless_picture,
    "row 59, wrong id": with_wrong_id,
    "row 60, HTML": Fault.HTML,
    "garbage": Fault.GARBAGE,
    "half": Fault.TRUNCATED,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_rows_56_to_60_a_damaged_answer_is_counted_and_told(damage: str) -> None:
    """One answer lost is one GOP lost, with its two ends told; everything else comes, and it can be sought."""

    async def scenario() -> None:
        recorder = recorder_of(numbered_gops(8))
        stored = list(recorder_gops(recorder))
        async with playing(recorder) as nvr:
            async with nvr.camera(1).playback(at(0), speed=None) as playback:
                recorder.playback_faults += [None, None, DAMAGES[damage]]  # type: ignore[list-item]
                items = await rest_of(playback)
                assert playback.stats.malformed == 1
                assert adds_up(playback.stats)
                losses = [item for item in items if isinstance(item, Discontinuity)]
                if damage == "row 60, HTML":  # the recorder gives the GOP when asked again
                    assert are(frames_of(items), pictures_of(stored))
                    assert [loss.reason for loss in losses] == ["loss"]
                else:
                    assert are(frames_of(items), pictures_of(stored[:2] + stored[3:]))
                    assert losses == [Discontinuity("loss", at(1.75), at(3), 1)]
                await playback.seek(at(2))
                assert seconds_of(await take(playback, 2)) == [2.0, 2.25]
            assert recorder.logins == 1

    run_simulated(scenario())


def recorder_gops(recorder: SimulatedRecorder) -> Any:
    recording = recorder.cameras[1].recording
    assert recording is not None
    return recording.gops()


@pytest.mark.parametrize("damage", ["row 59, wrong id", "garbage", "half"])
def test_row_59_nothing_but_damage_raises_and_can_be_sought(damage: str) -> None:
    async def scenario() -> None:
        recorder = recorder_of(numbered_gops(20))
        async with playing(recorder) as nvr:
            async with nvr.camera(1).playback(at(0), speed=None) as playback:
                await take(playback, 8)
                await asyncio.sleep(1)
                recorder.playback_faults += [DAMAGES[damage]] * 3  # type: ignore[list-item]
                with pytest.raises(ProtocolError):
                    await rest_of(playback)
                await playback.seek(at(12))
                assert seconds_of(await take(playback, 2)) == [12.0, 12.25]
                assert playback.stats.malformed == 3
            assert recorder.logins == 1, "damage says nothing of the UID"

    run_simulated(scenario())


def padded_short(body: bytes) -> bytes:
    return body[:-1]


def padded_double(body: bytes) -> bytes:
    return body + bytes(4096)


def padding_missing(body: bytes) -> bytes:
    return body.rstrip(b"\0")


def with_unknown_tlv(body: bytes) -> bytes:
    return body[:4] + bytes.fromhex("7777 0009 0102030405") + body[4:]


def with_garbage_behind(body: bytes) -> bytes:
    return body + b"\xa5" * 333


@pytest.mark.parametrize(
    "lie", [padded_short, padded_double, padding_missing, with_unknown_tlv, with_garbage_behind]
)
def test_rows_58_and_59_what_costs_nothing(lie: Callable[[bytes], bytes]) -> None:
    """Padding that is missing, short or double, unknown tags and bytes behind: every picture comes."""

    async def scenario() -> None:
        recorder = recorder_of(numbered_gops(4))
        async with playing(recorder) as nvr:
            async with nvr.camera(1).playback(at(0), speed=None) as playback:
                recorder.playback_faults += [lie] * 4
                items = await rest_of(playback)
                assert playback.stats.malformed == 0
        assert are(frames_of(items), pictures_of(recorder.recording(1).gops()))
        assert len(items) == len(frames_of(items))

    run_simulated(scenario())


@pytest.mark.parametrize("count", [1, 2])
def test_row_60_a_busy_recorder_is_asked_again(count: int) -> None:
    async def scenario() -> None:
        recorder = recorder_of(numbered_gops(6))
        async with playing(recorder) as nvr:
            async with nvr.camera(1).playback(at(0), speed=None) as playback:
                await take(playback, 5)
                recorder.playback_faults += [Fault.BUSY] * count
                frames = frames_of(await rest_of(playback))
                assert are(frames, pictures_of(recorder.recording(1).gops())[5:])

    run_simulated(scenario())


def test_row_60_the_same_gop_for_ever_ends_the_loop() -> None:
    """A recorder that repeats itself from the third second on: three answers are enough to know."""

    async def scenario() -> None:
        recorder = recorder_of(numbered_gops(6))
        bodies: list[bytes] = []

        def repeats(body: bytes) -> bytes:
            bodies.append(body)
            return bodies[min(len(bodies) - 1, 2)]

        async with playing(recorder) as nvr:
            async with nvr.camera(1).playback(at(0), speed=None) as playback:
                recorder.playback_faults += [repeats] * 50
                frames = frames_of(await rest_of(playback))
        assert are(frames, pictures_of(list(recorder.recording(1).gops())[:3]))
        assert sent(recorder).count("camera.cgi") <= 3 + 4

    run_simulated(scenario())


def test_row_60_time_that_goes_back_ends_the_loop() -> None:
    async def scenario() -> None:
        recorder = recorder_of(numbered_gops(6))
        bodies: list[bytes] = []

        def returns(body: bytes) -> bytes:
            bodies.append(body)
            return bodies[(len(bodies) - 1) % 3]

        async with playing(recorder) as nvr:
            async with nvr.camera(1).playback(at(0), speed=None) as playback:
                recorder.playback_faults += [returns] * 200
                frames = frames_of(await rest_of(playback))
        assert are(frames, pictures_of(list(recorder.recording(1).gops())[:3]))
        assert sent(recorder).count("camera.cgi") < 20

    run_simulated(scenario())


# UIDs


def test_more_playbacks_than_uids() -> None:
    async def scenario() -> None:
        recorder = recorder_of(numbered_gops(6))
        async with playing(recorder, max_uids=2) as nvr:
            async with nvr.camera(1).playback(at(0)), nvr.camera(1).playback(at(0)):
                with pytest.raises(nvrclient.SessionLimitError):
                    await nvr.camera(1).playback(at(0))
            async with nvr.camera(1).playback(at(0)) as playback:
                assert seconds_of(await take(playback, 1)) == [0.0]

    run_simulated(scenario())


def test_live_on_the_uid_of_a_playback_that_ended() -> None:
    """The UID is usable again: for live too, which is set up anew on it."""

    async def scenario() -> None:
        readings = PlaybackReadings(ends_live_setup=True, end=Nothing.REPEAT)
        recorder = recorder_of(numbered_gops(3), readings=readings)
        async with playing(recorder) as nvr:
            for _ in range(2):
                async with nvr.camera(1).playback(at(0), speed=None) as playback:
                    await take(playback, 2)
                async with nvr.camera(1).live("h264") as live:
                    async for _ in live.video():
                        break
            assert recorder.logins == 1

    run_simulated(scenario())
