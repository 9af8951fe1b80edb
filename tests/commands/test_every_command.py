"""Every command, letter by letter: the specification's example, or its template filled in.

Most right-hand sides are copied from the specification's text, its full-width signs and line breaks taken out.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from nvrclient.commands import cameras, control, disks, download, live, login, logs, playback
from nvrclient.commands.command import Command, Uid
from nvrclient.commands.download import Kind

UID = Uid("7888")
AT = datetime(2022, 12, 1, 8, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
HTTPDL = "/cgi-bin/httpdl.cgi?UID=7888&STARTTIME=221201083000&ENDTIME=221201093000"
KINDS: list[tuple[Kind, bool, str]] = [
    ("mp4", True, "MP4"),
    ("mp4", False, "MP4VO"),
    ("n3", True, "N3"),
    ("n3", False, "N3VO"),
    ("list", True, "LIST"),
]
HDRCTL = "/cgi-bin/hdrctl.cgi?UID=7888&PC=AS60"

LOGIN = [
    (login.LOGIN, "/cgi-bin/dlogin.cgi?UID=-1"),  # 6.1.1
    (login.log_out(UID), "/cgi-bin/logout.cgi?UID=7888"),  # 6.1.2
    (login.keep_alive(UID), "/cgi-bin/status.cgi?UID=7888&PC=AS60"),  # 6.2
]

LIVE = [
    (live.set_up(UID), "/cgi-bin/hdrctl.cgi?UID=7888&SCREEN=16X&PC=AS60"),  # 2.1.2.1
    *(
        (
            live.start(UID, 1, comp, 20000),
            f"/cgi-bin/push.cgi?UID=7888&CAM=1&CMD=START&COMP={comp}&PORT=20000",
        )
        for comp in ("H264", "H265", "AUDIO")  # 2.1.2.2
    ),
    (
        live.stop(UID, 1, "H264", 20000)[0],
        "/cgi-bin/push.cgi?UID=7888&CAM=1&CMD=STOP&COMP=H264&PORT=20000",
    ),
    *(
        (
            live.start(UID, 1, comp, None),
            f"/cgi-bin/push.cgi?UID=7888&CAM=1&CMD=START&COMP={comp}&INTERNETMODE=ON",
        )
        for comp in ("H264", "H265", "JPEG", "AUDIO")  # 2.2.2.2
    ),
    # 2.2.1.1, and as the table of 2.2.2.2 has it
    (live.stop(UID, 1, "H265", None)[0], "/cgi-bin/push.cgi?UID=7888&CAM=1&CMD=STOP&COMP=H265"),
    (
        live.stop(UID, 1, "H265", None)[1],
        "/cgi-bin/push.cgi?UID=7888&CAM=1&CMD=STOP&COMP=H265&INTERNETMODE=ON",
    ),
]

PLAYBACK = [
    (playback.next_gop(UID, 2), "/cgi-bin/camera.cgi?UID=7888&CAM=2"),  # 3.2.1
    (playback.next_audio(UID, 2), "/cgi-bin/playaudio.cgi?UID=7888&CAM=2"),  # 3.2.2
    (playback.choose_cameras(UID, [2], 16), f"{HDRCTL}&MASK=0100000000000000"),  # 3.2.3
    (
        playback.play(UID),  # 3.2.4
        f"{HDRCTL}&PLAYCMD=PLAY&2ND=OFF&TIMEF=AS60_UNKNOWN&NOTIME=ON",
    ),
    (
        playback.reverse(UID, AT),  # 3.2.5
        f"{HDRCTL}&PLAYCMD=BPLAY&2ND=OFF&TIMEF=22120108300000&NOTIME=ON",
    ),
    (
        playback.pause(UID, AT),  # 3.2.6
        f"{HDRCTL}&PLAYCMD=PAUSE&2ND=OFF&TIMEF=22120108300000&SMOOTH=OFF&NOTIME=ON",
    ),
    *(
        (
            playback.step(UID, AT, forward=action == "NEXTFRAME"),  # 3.2.7
            f"{HDRCTL}&PLAYCMD={action}&2ND=OFF&TIMEF=22120108300000&NOTIME=ON",
        )
        for action in ("NEXTFRAME", "PREVFRAME")
    ),
    (
        playback.go_to(UID, AT),  # 3.2.8
        f"{HDRCTL}&PLAYCMD=GOTODATE&2ND=OFF&TIMEF=22120108300000&SDBACKUP=0&NOTIME=ON",
    ),
    *(
        (
            playback.fast(UID, AT, forward=action == "FF"),  # 3.2.9
            f"{HDRCTL}&PLAYCMD={action}&2ND=OFF&TIMEF=22120108300000&SMOOTH=OFF&NOTIME=ON",
        )
        for action in ("FF", "REW")
    ),
    (playback.stop(UID, AT), f"{HDRCTL}&PLAYCMD=STOP&2ND=OFF&TIMEF=22120108300000"),  # 3.2.10
]

CONTROL = [
    # 4.1.1: the whole sequence printed
    *(
        (
            control.move(UID, 1, pan=pan, tilt=tilt, zoom=zoom),
            f"/cgi-bin/directctrl.cgi?UID=7888&CH=1&PAN={pan}&TILT={tilt}&ZOOM={zoom}&PC=AS60",
        )
        for pan, tilt, zoom in ((15, 0, 0), (15, 1, 2), (15, 2, 2), (15, 1, 0), (0, 0, 0))
    ),
    (
        control.stop(UID, 1),
        "/cgi-bin/directctrl.cgi?UID=7888&CH=1&PAN=0&TILT=0&ZOOM=0&PC=AS60",
    ),
    # 4.2.1, 4.2.2: axes that do not move are left out
    (control.move(UID, 1, pan=-16), "/cgi-bin/directctrl.cgi?UID=7888&CH=1&PAN=-16&PC=AS60"),
    (
        control.move(UID, 1, tilt=256, zoom=-4, steps=256),
        "/cgi-bin/directctrl.cgi?UID=7888&CH=1&TILT=256&ZOOM=-4&PC=AS60",
    ),
    (
        control.center(UID, 1, 5, 32),  # 4.2.3
        "/cgi-bin/camctl.cgi?UID=7888&CH=1&CMD=CENTERING&CTRL=START&X=5&Y=32&PC=AS60",
    ),
    *(
        (
            control.focus(UID, 1, way.lower()),  # 4.2.4
            f"/cgi-bin/camctl.cgi?UID=7888&CH=1&CMD=FOCUS&CTRL={way}&CTRL=START&PC=AS60",
        )
        for way in ("FAR", "NEAR", "AUTO")
    ),
    *(
        (
            control.iris(UID, 1, way.lower()),  # 4.2.5
            f"/cgi-bin/camctl.cgi?UID=7888&CH=1&CMD=IRIS&CTRL={way}&CTRL=START&PC=AS60",
        )
        for way in ("OPEN", "CLOSE", "RESET")
    ),
    (
        control.save_preset(UID, 1, 256),  # 4.2.6
        "/cgi-bin/camctl.cgi?UID=7888&CH=1&CMD=PRESETPRG&NO=256&PC=AS60",
    ),
    (
        control.go_to_preset(UID, 1, 1),  # 4.2.7
        "/cgi-bin/camctl.cgi?UID=7888&CH=1&CMD=PRESET&NO=1&PC=AS60",
    ),
    *(
        (
            control.aux(UID, 1, number, way.lower()),  # 4.2.8
            f"/cgi-bin/camctl.cgi?UID=7888&CH=1&CMD=AUX{number}&CTRL={way}&PC=AS60",
        )
        for number in range(1, 9)
        for way in ("OPEN", "CLOSE")
    ),
]

INFORMATION = [
    (
        logs.log_list(UID, logs.ERRORS),  # 5.1.1
        "/cgi-bin/loglist.cgi?UID=7888&KIND=ERR&HTML=as_errorlog.html",
    ),
    (
        logs.log_list(UID, logs.EVENTS),  # 5.1.2
        "/cgi-bin/loglist.cgi?UID=7888&KIND=EVENT&HTML=as_eventlog.html",
    ),
    (disks.RECORDED_TIME, "/cgi-bin/recordedtime.cgi"),
    (disks.RECORDED_TIME_AS_PRINTED, "/cgi-bin//cgi-bin/recordedtime.cgi"),  # 5.2.1
    (cameras.BARE, "/cgi-bin/as_getinfo.cgi?FILE=2"),
    (cameras.with_uid(UID), "/cgi-bin/as_getinfo.cgi?UID=7888&FILE=2"),
]

DOWNLOAD = [
    *(
        (
            download.download(UID, download.requests(1, AT, AT + HOUR, kind, audio=audio)[0]),
            f"{HTTPDL}&KIND={word}&CAM=1&PC=AS60",
        )
        for kind, audio, word in KINDS  # 6.3.1, 6.3.2
    ),
]

COMMANDS = [*LOGIN, *LIVE, *PLAYBACK, *CONTROL, *INFORMATION, *DOWNLOAD]


@pytest.mark.parametrize(("command", "printed"), COMMANDS, ids=[printed for _, printed in COMMANDS])
def test_each_command_is_the_one_printed(command: Command, printed: str) -> None:
    assert command.target == printed
    assert "7888" not in f"{command} {command!r}"
