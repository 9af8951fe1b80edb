"""The commands of chapter 3, letter by letter as the specification prints them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nvrclient.commands import playback
from nvrclient.commands.command import Command, Uid

UID = Uid("7888")
CGI = "/cgi-bin/hdrctl.cgi?UID=7888&PC=AS60"


def at(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("command", "printed"),
    [
        # 3.1.1, 3.2.3: camera 2 of 16
        (playback.choose_cameras(UID, [2], 16), f"{CGI}&MASK=0100000000000000"),
        (
            playback.play(UID),
            f"{CGI}&PLAYCMD=PLAY&2ND=OFF&TIMEF=AS60_UNKNOWN&NOTIME=ON",
        ),
        (playback.next_gop(UID, 2), "/cgi-bin/camera.cgi?UID=7888&CAM=2"),
        (playback.next_audio(UID, 2), "/cgi-bin/playaudio.cgi?UID=7888&CAM=2"),
        # 3.1.2
        (
            playback.reverse(UID, at("2022-12-01 08:30:00.0")),
            f"{CGI}&PLAYCMD=BPLAY&2ND=OFF&TIMEF=22120108300000&NOTIME=ON",
        ),
        # 3.1.3
        (
            playback.pause(UID, at("2022-12-01 08:30:10.99")),
            f"{CGI}&PLAYCMD=PAUSE&2ND=OFF&TIMEF=22120108301000&SMOOTH=OFF&NOTIME=ON",
        ),
        # 3.1.4: five pictures 200 ms apart; ff carries over into the seconds
        *(
            (
                playback.step(UID, at(f"2022-11-14 12:00:{seconds}"), forward=True),
                f"{CGI}&PLAYCMD=NEXTFRAME&2ND=OFF&TIMEF=221114120000{printed}&NOTIME=ON",
            )
            for seconds, printed in (("00.2", "20"), ("00.4", "40"), ("00.6", "60"), ("00.8", "80"))
        ),
        (
            playback.step(UID, at("2022-11-14 12:00:01.0"), forward=True),
            f"{CGI}&PLAYCMD=NEXTFRAME&2ND=OFF&TIMEF=22111412000100&NOTIME=ON",
        ),
        (
            playback.step(UID, at("2022-11-14 12:00:01.2"), forward=False),
            f"{CGI}&PLAYCMD=PREVFRAME&2ND=OFF&TIMEF=22111412000120&NOTIME=ON",
        ),
        # 3.1.5
        (
            playback.go_to(UID, at("2022-12-01 09:20:15.5")),
            f"{CGI}&PLAYCMD=GOTODATE&2ND=OFF&TIMEF=22120109201500&SDBACKUP=0&NOTIME=ON",
        ),
        # 3.1.6
        (
            playback.fast(UID, at("2022-12-01 10:30:00.0"), forward=True),
            f"{CGI}&PLAYCMD=FF&2ND=OFF&TIMEF=22120110300000&SMOOTH=OFF&NOTIME=ON",
        ),
        (
            playback.fast(UID, at("2022-12-01 10:30:00.0"), forward=False),
            f"{CGI}&PLAYCMD=REW&2ND=OFF&TIMEF=22120110300000&SMOOTH=OFF&NOTIME=ON",
        ),
        # 3.1.7
        (
            playback.stop(UID, at("2022-12-01 11:23:14.0")),
            f"{CGI}&PLAYCMD=STOP&2ND=OFF&TIMEF=22120111231400",
        ),
    ],
)
def test_each_command_is_the_one_printed(command: Command, printed: str) -> None:
    assert command.target == printed
    assert "7888" not in str(command)


def test_the_mask_has_a_digit_for_each_camera_supported() -> None:
    masks = {
        (cameras, channels): playback.choose_cameras(UID, cameras, channels).query[-1][1]
        for cameras, channels in (((1,), 4), ((4, 1), 4), ((24,), 24), ((33,), 64))
    }
    assert masks == {
        ((1,), 4): "1000",
        ((4, 1), 4): "1001",
        ((24,), 24): "0" * 23 + "1",
        ((33,), 64): "0" * 32 + "1" + "0" * 31,
    }


@given(
    st.datetimes(datetime(2000, 1, 2), datetime(2099, 12, 30)),  # noqa: DTZ001  the zone comes from the other
    st.integers(-14 * 60, 14 * 60),
    st.booleans(),
)
def test_time_is_sent_in_utc_rounded_down(when: datetime, minutes: int, hundredths: bool) -> None:
    aware = when.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    text = playback.time_field(aware, hundredths=hundredths)
    sent = datetime.strptime(text[:12], "%y%m%d%H%M%S").replace(tzinfo=UTC)
    if sent.year < 2000:  # strptime reads 69…99 as the century before
        sent = sent.replace(year=sent.year + 100)
    sent += timedelta(milliseconds=10 * int(text[12:]))
    assert timedelta(0) <= aware - sent < timedelta(seconds=0.01 if hundredths else 1)
    assert hundredths or text.endswith("00")


def test_the_hour_that_comes_twice_is_told_apart() -> None:
    rome = ZoneInfo("Europe/Rome")
    first = datetime(2022, 10, 30, 2, 30, tzinfo=rome)
    assert playback.time_field(first) == "22103000300000"
    assert playback.time_field(first.replace(fold=1)) == "22103001300000"


def test_a_time_without_a_zone_is_refused_with_a_way_out() -> None:
    with pytest.raises(ValueError, match=r"no time zone.*astimezone\(\).*ZoneInfo"):
        playback.time_field(datetime(2022, 12, 1))  # noqa: DTZ001  on purpose


@pytest.mark.parametrize("year", [1999, 2100])
def test_a_year_that_two_digits_cannot_say_is_refused(year: int) -> None:
    with pytest.raises(ValueError, match=r"2000…2099"):
        playback.time_field(datetime(year, 6, 1, tzinfo=UTC))
