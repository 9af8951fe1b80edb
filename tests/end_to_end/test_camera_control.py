"""Camera control (chapter 4) against a raw recorder: order, pace, UIDs, held moves, lost answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import nvrclient
from nvrclient import Camera, CommandError, Session
from nvrclient.commands.command import Command
from tests.clock import run_simulated
from tests.end_to_end.foreign import NO, OK, ForeignRecorder, Query
from tests.end_to_end.servers import reply
from tests.end_to_end.test_foreign_recorder import connect
from tests.secrets import secrets_in

REFUSED = reply("400 Bad Request")
CUT = b""


class Recorder(ForeignRecorder):
    """Notes what it is told to do with cameras, and when."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[float, str, Query]] = []
        self.live: set[tuple[str, str]] = set()  # UID and camera

    async def control(self, name: str, query: Query) -> bytes:
        """Answer a command; `CUT` breaks the connection."""
        return OK

    async def start(self, query: Query, writer: asyncio.StreamWriter) -> bytes | None:
        self.live.add((query["UID"], query["CAM"]))
        return await super().start(query, writer)

    async def video(self, query: Query, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1000)  # nobody watches

    async def _answer(
        self, name: str, query: Query, authorization: str | None, writer: asyncio.StreamWriter
    ) -> bytes | None:
        if name in {"directctrl", "camctl"} and query.get("UID") in self.uids:
            self.told.append((asyncio.get_running_loop().time(), name, query))
            return await self.control(name, query) or None
        if query.get("CMD") == "STOP":
            self.live.discard((query["UID"], query["CAM"]))
        return await super()._answer(name, query, authorization, writer)

    @property
    def moves(self) -> list[str]:
        """The commands in short: ``PAN=5``."""
        return [
            " ".join(
                f"{key}={value}" for key, value in query.items() if key not in {"UID", "CH", "PC"}
            )
            for _, _, query in self.told
        ]

    @property
    def gaps(self) -> list[float]:
        times = [when for when, _, _ in self.told]
        return [after - before for before, after in zip(times, times[1:], strict=False)]

    def asked_for(self, name: str) -> int:
        return sum(one == name for one, _ in self.asked)


STOP = "PAN=0 TILT=0 ZOOM=0"


def with_recorder(
    use: Callable[[Recorder, Session], Awaitable[None]],
    kind: type[Recorder] = Recorder,
    **options: Any,
) -> None:
    """Run `use` on the simulated clock."""

    async def main() -> None:
        async with kind() as recorder:
            async with connect(recorder, **options) as nvr:
                await use(recorder, nvr)
            assert recorder.uids == set()

    run_simulated(main())


def test_every_command_as_the_caller_writes_it() -> None:
    async def use(recorder: Recorder, nvr: Session) -> None:
        camera = nvr.camera(3)
        await camera.move(5, -6, 4)
        await camera.move(pan=-256, tilt=0, steps=256)
        await camera.move(zoom=-4)
        await camera.stop()
        await camera.center_on(5, 30)
        await camera.center_on(5, 30, mirror=True)
        await camera.focus("near")
        await camera.iris("reset")
        await camera.save_preset(1)
        await camera.goto_preset(256)
        await camera.aux(8, "close")
        assert recorder.moves == [
            "PAN=5 TILT=-6 ZOOM=4",
            "PAN=-256 TILT=0",
            "ZOOM=-4",
            STOP,
            "CMD=CENTERING CTRL=START X=5 Y=30",
            "CMD=CENTERING CTRL=START X=27 Y=30",
            "CMD=FOCUS CTRL=START",  # of two CTRL the query's dict keeps the last
            "CMD=IRIS CTRL=START",
            "CMD=PRESETPRG NO=1",
            "CMD=PRESET NO=256",
            "CMD=AUX8 CTRL=CLOSE",
        ]
        assert {query["CH"] for _, _, query in recorder.told} == {"3"}
        assert min(recorder.gaps) >= 0.2 - 1e-9
        assert nvr.stats.logins == 1
        assert recorder.asked_for("hdrctl") == 1
        assert recorder.asked_for("push") == 0

    with_recorder(use)


MISUSE: list[Callable[[Camera], Any]] = [
    lambda camera: camera.move(),
    lambda camera: camera.move(17),
    lambda camera: camera.move(tilt=-17),
    lambda camera: camera.move(zoom=5),
    lambda camera: camera.move(257, steps=256),
    lambda camera: camera.move(1, steps=32),  # type: ignore[arg-type]
    lambda camera: camera.center_on(33, 0),
    lambda camera: camera.center_on(-1, 0, mirror=True),
    lambda camera: camera.focus("nearer"),  # type: ignore[arg-type]
    lambda camera: camera.iris("auto"),  # type: ignore[arg-type]
    lambda camera: camera.save_preset(0),
    lambda camera: camera.goto_preset(257),
    lambda camera: camera.aux(9, "open"),
    lambda camera: camera.aux(1, "auto"),  # type: ignore[arg-type]
]


def test_misuse_is_told_before_anything_is_sent() -> None:
    async def use(recorder: Recorder, nvr: Session) -> None:
        camera = nvr.camera(1)
        before = len(recorder.asked)
        for call in MISUSE:
            with pytest.raises(ValueError, match=r"…|one of|16 or 256|give pan"):
                await call(camera)
        for value in (True, 1.0, "1"):
            with pytest.raises(TypeError, match="whole number"):
                await camera.move(value)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="whole number"):
                await camera.save_preset(value)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="-16…16"):
            camera.moving(17)
        with pytest.raises(ValueError, match="x: 0…32, not 33"):  # as it was given
            await camera.center_on(33, 0, mirror=True)
        assert len(recorder.asked) == before

    with_recorder(use)


def test_commands_ride_on_the_uid_of_the_live_stream() -> None:
    async def use(recorder: Recorder, nvr: Session) -> None:
        async with nvr.camera(1).live("h264"), nvr.camera(1).live("h264", shared=False):
            async with nvr.camera(2).live("h264"):
                for number in (2, 1, 2):
                    await nvr.camera(number).move(1)
                for _, _, query in recorder.told:
                    assert (query["UID"], query["CH"]) in recorder.live
        assert nvr.stats.logins == 2

    with_recorder(use)


def test_the_uid_is_that_of_the_camera_among_several() -> None:
    async def use(recorder: Recorder, nvr: Session) -> None:
        one, two = nvr.camera(1), nvr.camera(2)
        async with one.live("h264"), one.live("h264", shared=False):  # two UIDs
            first = await two.live("h264")
            async with two.live("h264", shared=False):
                await first.aclose()
                await two.move(1)
                (_, _, query), *_ = recorder.told
                assert (query["UID"], "2") in recorder.live

    with_recorder(use)


def test_a_uid_that_plays_is_left_alone() -> None:
    class Slow(Recorder):
        async def control(self, name: str, query: Query) -> bytes:
            await asyncio.sleep(1.0)
            return OK

    async def use(recorder: Recorder, nvr: Session) -> None:
        connection = nvr._opened()
        playing = await connection.lease_playback()
        await nvr.camera(1).move(1)
        (_, _, query), *_ = recorder.told
        assert query["UID"] != playing.uid.value
        assert nvr.stats.logins == 2
        moving = asyncio.create_task(nvr.camera(1).move(1))
        await asyncio.sleep(0.5)
        other = await connection.lease_playback()  # not the one that a command is under way on
        assert other.uid.value not in {playing.uid.value, query["UID"]}
        await moving
        third = await connection.lease_playback()  # now it may
        assert third.uid.value == query["UID"]
        for slot in (playing, other, third):
            connection.release_playback(slot)

    with_recorder(use, Slow)


def test_a_uid_for_control_alone_is_given_back_when_idle() -> None:
    async def use(recorder: Recorder, nvr: Session) -> None:
        playing = await nvr._opened().lease_playback()
        for _ in range(5):
            await nvr.camera(1).move(1)
            await nvr.camera(2).move(1)
            await asyncio.sleep(8)
            assert len(recorder.uids) == 2
        await asyncio.sleep(3)
        assert len(recorder.uids) == 1
        assert nvr.stats.logins == 2
        nvr._opened().release_playback(playing)

    with_recorder(use)


def test_without_a_uid_to_spare_it_says_so() -> None:
    async def use(recorder: Recorder, nvr: Session) -> None:
        playing = await nvr._opened().lease_playback()
        with pytest.raises(nvrclient.SessionLimitError, match=r"control of camera 1.*max_uids"):
            await nvr.camera(1).move(1)
        nvr._opened().release_playback(playing)
        await nvr.camera(1).move(1)

    with_recorder(use, max_uids=1)


# Order and pace


def test_the_order_of_the_calls_is_kept_and_other_cameras_do_not_wait() -> None:
    class Slow(Recorder):
        async def control(self, name: str, query: Query) -> bytes:
            await asyncio.sleep(0.65 if query["CH"] == "1" else 0.0)
            return OK

    async def use(recorder: Recorder, nvr: Session) -> None:
        one, same, two = nvr.camera(1), nvr.camera(1), nvr.camera(2)
        calls = [one.move(1), same.move(2), one.stop(), two.move(9), two.stop()]
        began = asyncio.get_running_loop().time()
        tasks = [asyncio.create_task(call) for call in calls]  # type: ignore[arg-type]
        await asyncio.gather(*tasks[3:])
        assert asyncio.get_running_loop().time() - began < 1.0
        await asyncio.gather(*tasks)
        first = [
            move
            for move, (_, _, query) in zip(recorder.moves, recorder.told, strict=True)
            if query["CH"] == "1"
        ]
        assert first == ["PAN=1", "PAN=2", STOP]
        assert min(recorder.gaps) >= 0.2 - 1e-9

    with_recorder(use, Slow)


def test_a_joystick_at_full_speed_keeps_the_pace() -> None:
    async def use(recorder: Recorder, nvr: Session) -> None:
        await asyncio.gather(*(nvr.camera(1 + n % 3).move(pan=n - 16) for n in range(33)))
        assert recorder.moves == [f"PAN={n}" for n in range(-16, 17)]
        assert min(recorder.gaps) >= 0.2 - 1e-9
        assert max(recorder.gaps) < 0.21

    with_recorder(use)


def test_a_command_that_is_cancelled_before_it_is_sent_is_not_sent() -> None:
    class Slow(Recorder):
        async def control(self, name: str, query: Query) -> bytes:
            await asyncio.sleep(0.65)
            return OK

    async def use(recorder: Recorder, nvr: Session) -> None:
        camera = nvr.camera(1)
        first = asyncio.create_task(camera.move(1))
        second = asyncio.create_task(camera.move(2))
        await asyncio.sleep(0.1)
        second.cancel()
        third = asyncio.create_task(camera.move(3))
        await asyncio.gather(first, third)
        assert recorder.moves == ["PAN=1", "PAN=3"]
        last = asyncio.create_task(camera.move(4))
        await asyncio.sleep(0.1)
        last.cancel()  # it is on its way: the stop waits half a second for its answer
        await camera.stop()
        assert recorder.moves == ["PAN=1", "PAN=3", "PAN=4", STOP]
        assert 0.59 < recorder.gaps[-1] < 0.62

    with_recorder(use, Slow)


def test_a_stop_that_is_cancelled_goes_out_all_the_same() -> None:
    async def use(recorder: Recorder, nvr: Session) -> None:
        camera = nvr.camera(1)
        await camera.move(1)
        stopping = asyncio.create_task(camera.stop())
        await asyncio.sleep(0.05)
        stopping.cancel()
        await asyncio.sleep(1)
        assert recorder.moves == ["PAN=1", STOP]

    with_recorder(use)


# Held moves


def test_a_held_move_goes_on_and_stops() -> None:
    async def use(recorder: Recorder, nvr: Session) -> None:
        async with nvr.camera(1).moving(pan=5, zoom=-1):
            await asyncio.sleep(10.5)
        assert recorder.moves == ["PAN=5 ZOOM=-1"] * 11 + [STOP]
        assert max(recorder.gaps) < 1.3
        await asyncio.sleep(5)
        assert len(recorder.told) == 12

    with_recorder(use)


def test_a_held_move_stops_after_an_exception() -> None:
    async def use(recorder: Recorder, nvr: Session) -> None:
        with pytest.raises(KeyError, match="mine"):
            async with nvr.camera(1).moving(200, steps=256):
                await asyncio.sleep(1.5)
                raise KeyError("mine")
        assert recorder.moves == ["PAN=200", "PAN=200", STOP]

    with_recorder(use)


@pytest.mark.parametrize("times", [1, 2, 5])
@pytest.mark.parametrize("after", [0.0, 0.05, 0.5, 1.0, 1.05])
def test_a_held_move_stops_after_a_cancellation(times: int, after: float) -> None:
    class Slow(Recorder):
        async def control(self, name: str, query: Query) -> bytes:
            await asyncio.sleep(0.1)
            return OK

    async def use(recorder: Recorder, nvr: Session) -> None:
        async def hold() -> None:
            async with nvr.camera(1).moving(pan=5):
                await asyncio.sleep(100)

        task = asyncio.create_task(hold())
        await asyncio.sleep(after)
        while not recorder.told:  # it logs in and sets the UID up first
            await asyncio.sleep(0)
        began = asyncio.get_running_loop().time()
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0.02)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.get_running_loop().time() - began <= 1.5
        assert recorder.moves[-1] == STOP
        assert set(recorder.moves[:-1]) == {"PAN=5"}
        await asyncio.sleep(5)
        assert recorder.moves[-1] == STOP

    with_recorder(use, Slow)


def test_a_held_move_that_was_cancelled_before_it_began_sends_nothing() -> None:
    class SlowLogin(Recorder):
        async def control(self, name: str, query: Query) -> bytes:
            await asyncio.sleep(1.0)
            return OK

    async def use(recorder: Recorder, nvr: Session) -> None:
        async def hold() -> None:
            async with nvr.camera(1).moving(pan=5):
                raise AssertionError("never entered")

        other = asyncio.create_task(nvr.camera(1).focus("auto"))
        await asyncio.sleep(0.1)
        task = asyncio.create_task(hold())
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await other
        await asyncio.sleep(3)
        assert len(recorder.told) == 1

    with_recorder(use, SlowLogin)


def test_a_sending_that_fails_is_made_again(caplog: pytest.LogCaptureFixture) -> None:
    class Moody(Recorder):
        async def control(self, name: str, query: Query) -> bytes:
            number = len(self.told)
            if number == 3:
                return CUT
            if number == 4:
                await asyncio.sleep(30)
            return REFUSED if number == 5 else OK

    async def use(recorder: Recorder, nvr: Session) -> None:
        async with nvr.camera(1).live("h264"), nvr.camera(1).moving(pan=5):
            await asyncio.sleep(8.5)
        assert recorder.moves[-1] == STOP
        assert set(recorder.moves[:-1]) == {"PAN=5"}
        assert 8 <= len(recorder.told) <= 11
        assert max(recorder.gaps) < 1.3  # a camera never stands still

    with caplog.at_level(logging.WARNING, "nvrclient.control"):
        with_recorder(use, Moody)
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "held move of camera 1"
    ]


@pytest.mark.parametrize("fails", [False, True])
def test_a_stop_without_an_answer_is_told_in_time(
    fails: bool, caplog: pytest.LogCaptureFixture
) -> None:
    class Deaf(Recorder):
        async def control(self, name: str, query: Query) -> bytes:
            if query.get("PAN") == "0":
                await asyncio.sleep(300)
            return OK

    async def use(recorder: Recorder, nvr: Session) -> None:
        kind = KeyError if fails else CommandError
        began = 0.0
        with pytest.raises(kind) as caught:
            async with nvr.camera(1).moving(pan=5):
                await asyncio.sleep(0.5)
                began = asyncio.get_running_loop().time()
                if fails:
                    raise KeyError
        assert asyncio.get_running_loop().time() - began <= 1.6
        if isinstance(caught.value, CommandError):
            assert caught.value.status is None
            assert "no answer to stop within 1.5 s" in str(caught.value)
        await asyncio.sleep(0.5)
        assert recorder.moves == ["PAN=5", STOP, STOP]

    with caplog.at_level(logging.WARNING, "nvrclient.control"):
        with_recorder(use, Deaf)
    assert "camera 1 may still be moving" in caplog.text


def test_a_lost_stop_is_sent_again() -> None:
    class Cutting(Recorder):
        async def control(self, name: str, query: Query) -> bytes:
            return CUT if len(self.told) == 2 else OK

    async def use(recorder: Recorder, nvr: Session) -> None:
        await nvr.camera(1).move(1)
        await nvr.camera(1).stop()
        assert recorder.moves == ["PAN=1", STOP, STOP]

    with_recorder(use, Cutting)


def test_a_stop_that_did_not_go_out_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def use(recorder: Recorder, nvr: Session) -> None:
        client = nvr._opened().client
        get = client.get
        failures = [nvrclient.ConnectionFailedError("no connection within 0.7 s")]

        async def failing(command: Command, *args: Any, **options: Any) -> Any:
            if command.name == "directctrl.cgi" and failures:
                raise failures.pop()
            return await get(command, *args, **options)

        monkeypatch.setattr(client, "get", failing)
        await nvr.camera(1).stop()
        assert recorder.moves == [STOP]

    with_recorder(use)


def test_closing_the_session_stops_a_held_move() -> None:
    async def use(recorder: Recorder, nvr: Session) -> None:
        async with nvr.camera(1).moving(pan=5):
            await nvr.aclose()
            assert recorder.moves == ["PAN=5", STOP]
            await asyncio.sleep(5)
        assert recorder.moves == ["PAN=5", STOP]
        with pytest.raises(RuntimeError, match="closed"):
            await nvr.camera(1).move(1)

    with_recorder(use)


def test_a_held_move_is_entered_once() -> None:
    async def use(recorder: Recorder, nvr: Session) -> None:
        move = nvr.camera(1).moving(pan=5)
        assert repr(move) == "<HeldMove camera=1>"
        async with move:
            with pytest.raises(RuntimeError, match="once"):
                await move.__aenter__()
        with pytest.raises(RuntimeError, match="once"):
            await move.__aenter__()
        assert recorder.moves == ["PAN=5", STOP]

    with_recorder(use)


def test_a_held_move_that_is_refused_is_not_entered() -> None:
    class Refusing(Recorder):
        async def control(self, name: str, query: Query) -> bytes:
            return REFUSED

    async def use(recorder: Recorder, nvr: Session) -> None:
        with pytest.raises(CommandError) as caught:
            async with nvr.camera(1).live("h264"), nvr.camera(1).moving(pan=5):
                raise AssertionError("never entered")
        assert caught.value.status == 400
        assert recorder.moves == ["PAN=5"]

    with_recorder(use, Refusing)


# Faults


@pytest.mark.parametrize("silent", [False, True])
def test_row_12_a_command_whose_answer_is_lost_is_not_sent_twice(silent: bool) -> None:
    class Losing(Recorder):
        async def control(self, name: str, query: Query) -> bytes:
            if len(self.told) > 1:
                if silent:
                    await asyncio.sleep(300)
                return CUT
            return OK

    async def use(recorder: Recorder, nvr: Session) -> None:
        camera = nvr.camera(1)
        await camera.move(1)  # so that the connection is one used before
        with pytest.raises(CommandError, match="may have been done") as caught:
            await camera.save_preset(7)
        assert caught.value.status is None
        assert caught.value.command == "camctl.cgi"
        assert "camctl.cgi CH=1 CMD=PRESETPRG NO=7" in str(caught.value)
        assert not secrets_in(str(caught.value))
        await asyncio.sleep(30)
        assert recorder.moves == ["PAN=1", "CMD=PRESETPRG NO=7"]

    with_recorder(use, Losing)


def test_a_command_that_did_not_go_out_is_another_error() -> None:
    async def use(recorder: Recorder, nvr: Session) -> None:
        await nvr.camera(1).move(1)
        recorder._server.close()
        for task in tuple(recorder._tasks):
            task.cancel()
        await asyncio.sleep(0.1)
        with pytest.raises(nvrclient.ConnectionFailedError):
            await nvr.camera(1).save_preset(1)
        assert recorder.moves == ["PAN=1"]
        recorder.uids.clear()

    with_recorder(use)


def test_a_connection_closed_in_between_costs_no_command() -> None:
    class Closing(Recorder):
        async def answered(self, _writer: asyncio.StreamWriter) -> bool:
            return True

    async def use(recorder: Recorder, nvr: Session) -> None:
        for number in range(1, 6):
            await nvr.camera(1).save_preset(number)
        assert recorder.moves == [f"CMD=PRESETPRG NO={number}" for number in range(1, 6)]

    with_recorder(use, Closing)


def test_a_uid_that_is_gone_is_replaced_once() -> None:
    async def use(recorder: Recorder, nvr: Session) -> None:
        camera = nvr.camera(1)
        await camera.move(1)
        recorder.uids.clear()
        await camera.save_preset(3)
        assert recorder.moves == ["PAN=1", "CMD=PRESETPRG NO=3"]
        assert nvr.stats.uids_lost == 1

    with_recorder(use)


def test_after_a_restart_no_second_dead_uid_is_tried() -> None:
    async def use(recorder: Recorder, nvr: Session) -> None:
        connection = nvr._opened()
        leases = [await connection.lease_live(1) for _ in range(3)]  # three UIDs
        await asyncio.sleep(1)
        recorder.uids.clear()
        await nvr.camera(1).move(1)
        assert recorder.moves == ["PAN=1"]
        for slot in leases:
            connection.lose(slot)

    with_recorder(use)


def test_a_recorder_that_takes_no_uid_for_control() -> None:
    class Never(Recorder):
        async def control(self, name: str, query: Query) -> bytes:
            return NO

    async def use(recorder: Recorder, nvr: Session) -> None:
        with pytest.raises(CommandError, match="has just issued") as caught:
            await nvr.camera(1).move(1)
        assert caught.value.status == 401
        assert len(recorder.told) == 2
        assert recorder.asked_for("push") == 0
        recorder.uids.clear()

    with_recorder(use, Never)


class WantsStream(Recorder):
    """It takes commands only on the UID of a live stream of the camera."""

    async def control(self, name: str, query: Query) -> bytes:
        return OK if (query["UID"], query["CH"]) in self.live else REFUSED


def test_a_recorder_that_wants_a_live_stream_gets_one_for_the_time_being() -> None:
    async def use(recorder: Recorder, nvr: Session) -> None:
        camera = nvr.camera(1)
        await camera.move(1)
        await camera.stop()
        assert recorder.moves == ["PAN=1", "PAN=1", STOP]
        assert recorder.starts("H264") == 1
        await asyncio.sleep(8)
        await camera.move(2)
        assert recorder.starts("H264") + recorder.starts("H265") + recorder.starts("JPEG") <= 3
        await asyncio.sleep(11)
        assert recorder.live == set()
        assert nvr.stats.streams == 0
        await nvr.camera(2).move(3)  # it is known by now: no try without
        assert recorder.moves == ["PAN=1", "PAN=1", STOP, "PAN=2", "PAN=3"]
        starts = recorder.starts("H264")
        async with camera.moving(pan=4):
            await asyncio.sleep(30)
        assert set(recorder.moves[5:-1]) == {"PAN=4"}
        assert recorder.starts("H264") == starts + 1
        await asyncio.sleep(11)
        async with camera.live("h264"):
            await camera.move(5)
        assert recorder.live == set()  # the caller's served: none was borrowed

    with_recorder(use, WantsStream, stall_timeout=60.0)


def test_a_stream_of_the_callers_serves_and_stays() -> None:
    async def use(recorder: Recorder, nvr: Session) -> None:
        async with nvr.camera(1).live("h264"):
            await nvr.camera(1).move(1)
            assert recorder.moves == ["PAN=1"]
        assert recorder.starts("H264") == 1

    with_recorder(use, WantsStream)


def test_a_command_refused_with_a_stream_too_is_refused() -> None:
    class Refusing(Recorder):
        async def control(self, name: str, query: Query) -> bytes:
            return reply("404 Not Found")

    async def use(recorder: Recorder, nvr: Session) -> None:
        with pytest.raises(CommandError, match="HTTP 404") as caught:
            await nvr.camera(1).move(1)
        assert caught.value.command == "directctrl.cgi"
        assert recorder.moves == ["PAN=1", "PAN=1"]
        await asyncio.sleep(11)
        assert recorder.live == set()

    with_recorder(use, Refusing)


def test_a_camera_that_can_neither_be_watched_nor_controlled() -> None:
    class Refusing(WantsStream):
        async def start(self, query: Query, writer: asyncio.StreamWriter) -> bytes | None:
            return reply("403 Forbidden")

    async def use(recorder: Recorder, nvr: Session) -> None:
        with pytest.raises(CommandError, match=r"directctrl.cgi CH=1 PAN=1: .* HTTP 400"):
            await nvr.camera(1).move(1)
        assert recorder.moves == ["PAN=1"]

    with_recorder(use, Refusing)


def test_a_full_recorder_is_no_refusal() -> None:
    class Full(Recorder):
        async def control(self, name: str, query: Query) -> bytes:
            return reply("503 Service Unavailable")

    async def use(recorder: Recorder, nvr: Session) -> None:
        with pytest.raises(nvrclient.SessionLimitError):
            await nvr.camera(1).move(1)
        assert recorder.asked_for("push") == 0

    with_recorder(use, Full)


class Frozen(Recorder):
    """Takes every move and answers none; a stop it answers."""

    async def control(self, name: str, query: Query) -> bytes:
        if query.get("PAN") != "0":
            await asyncio.sleep(1000)
        return OK


def test_a_stop_waits_only_shortly_for_the_answer_to_a_move() -> None:
    async def use(recorder: Recorder, nvr: Session) -> None:
        camera = nvr.camera(1)
        moves = [asyncio.create_task(camera.move(pan)) for pan in (5, 6, 7)]
        await asyncio.sleep(0.1)
        began = asyncio.get_running_loop().time()
        await camera.stop()
        assert asyncio.get_running_loop().time() - began < 1.5
        assert recorder.moves == ["PAN=5", STOP]  # what had not gone out is taken back
        results = await asyncio.gather(*moves, return_exceptions=True)
        assert isinstance(results[0], CommandError)
        assert results[0].status is None
        for result in results[1:]:
            assert isinstance(result, nvrclient.ConnectionFailedError)
            assert "stop" in str(result)
        await asyncio.sleep(30)
        assert recorder.moves == ["PAN=5", STOP]

    with_recorder(use, Frozen)


def test_a_session_that_is_closed_stops_what_never_answered_and_logs_out() -> None:
    async def use(recorder: Recorder, nvr: Session) -> None:
        entering = asyncio.create_task(nvr.camera(1).moving(pan=5).__aenter__())
        await asyncio.sleep(0.2)
        await nvr.aclose()
        await asyncio.gather(entering, return_exceptions=True)
        assert recorder.moves == ["PAN=5", STOP]

    with_recorder(use, Frozen)
