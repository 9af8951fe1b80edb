"""The commands this recorder understands: every query in full, parameters in the order the specification prints."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Query", "parse_query", "split_query"]


class Query(NamedTuple):
    """A command understood: what is to be done, with its values by parameter name."""

    action: str
    values: dict[str, str]


_UID = r"UID=(?P<UID>\d{1,19})"
_TIMEF = r"(?P<TIMEF>\d{14})"
_CH = r"&CH=(?P<CH>\d{1,3})"
_NUMBER = r"-?[1-9]\d{0,2}|0"
_PUSH = _UID + r"&CAM=(?P<CAM>\d{1,3})"


def _control(commands: str) -> str:
    return f"{_UID}&PC=AS60&PLAYCMD=(?P<PLAYCMD>{commands})&2ND=OFF"


def _camera(commands: str) -> str:
    return f"{_UID}{_CH}&CMD=(?P<CMD>{commands})"


# Each form of a command: name, whole query, what it asks for.
_FORMS = tuple(
    (cgi, re.compile(query, re.ASCII), action)
    for cgi, query, action in (
        ("dlogin.cgi", r"UID=-1", "log in"),  # 6.1.1
        ("logout.cgi", _UID, "log out"),  # 6.1.2
        ("status.cgi", _UID + "&PC=AS60", "keep alive"),  # 6.2
        ("hdrctl.cgi", _UID + "&SCREEN=16X&PC=AS60", "set up live"),  # 2.1.2.1
        (  # 2.1.2.2
            "push.cgi",
            _PUSH + r"&CMD=START&COMP=(?P<COMP>H264|H265|AUDIO)&PORT=(?P<PORT>\d{1,5})",
            "start",
        ),
        (
            "push.cgi",
            _PUSH + r"&CMD=STOP&COMP=(?P<COMP>H264|H265|AUDIO)&PORT=(?P<PORT>\d{1,5})",
            "stop",
        ),
        (  # 2.2.2.2
            "push.cgi",
            _PUSH + r"&CMD=START&COMP=(?P<COMP>H264|H265|JPEG|AUDIO)&INTERNETMODE=ON",
            "start",
        ),
        (  # the figure of 2.2.1.1 ends here, the table of 2.2.2.2 goes on
            "push.cgi",
            _PUSH
            + r"&CMD=STOP&COMP=(?P<COMP>H264|H265|JPEG|AUDIO)(&INTERNETMODE=(?P<INTERNETMODE>ON))?",
            "stop",
        ),
        ("hdrctl.cgi", _UID + "&PC=AS60&MASK=(?P<MASK>[01]+)", "mask"),  # 3.2.3
        (  # 3.2.4
            "hdrctl.cgi",
            _control("PLAY") + "&TIMEF=AS60_UNKNOWN&NOTIME=ON",
            "control",
        ),
        (  # 3.2.5, 3.2.7
            "hdrctl.cgi",
            _control("BPLAY|NEXTFRAME|PREVFRAME") + f"&TIMEF={_TIMEF}&NOTIME=ON",
            "control",
        ),
        (  # 3.2.6, 3.2.9
            "hdrctl.cgi",
            _control("PAUSE|FF|REW") + f"&TIMEF={_TIMEF}&SMOOTH=OFF&NOTIME=ON",
            "control",
        ),
        (  # 3.2.8
            "hdrctl.cgi",
            _control("GOTODATE") + f"&TIMEF={_TIMEF}&SDBACKUP=0&NOTIME=ON",
            "control",
        ),
        ("hdrctl.cgi", _control("STOP") + f"&TIMEF={_TIMEF}", "control"),  # 3.2.10
        ("camera.cgi", _UID + r"&CAM=(?P<CAM>\d{1,3})", "picture"),  # 3.2.1
        ("playaudio.cgi", _UID + r"&CAM=(?P<CAM>\d{1,3})", "sound"),  # 3.2.2
        (  # 4.2.1, 4.2.2: an axis that does not move can be left out
            "directctrl.cgi",
            _UID
            + _CH
            + f"(&PAN=(?P<PAN>{_NUMBER}))?(&TILT=(?P<TILT>{_NUMBER}))?(&ZOOM=(?P<ZOOM>{_NUMBER}))?&PC=AS60",
            "move",
        ),
        (  # 4.2.3
            "camctl.cgi",
            _camera("CENTERING") + f"&CTRL=START&X=(?P<X>{_NUMBER})&Y=(?P<Y>{_NUMBER})&PC=AS60",
            "center",
        ),
        # 4.2.4, 4.2.5: CTRL comes twice, the value first
        (
            "camctl.cgi",
            _camera("FOCUS") + "&CTRL=(?P<CTRL>FAR|NEAR|AUTO)&CTRL=START&PC=AS60",
            "act",
        ),
        (
            "camctl.cgi",
            _camera("IRIS") + "&CTRL=(?P<CTRL>OPEN|CLOSE|RESET)&CTRL=START&PC=AS60",
            "act",
        ),
        (  # 4.2.6, 4.2.7
            "camctl.cgi",
            _camera("PRESETPRG|PRESET") + f"&NO=(?P<NO>{_NUMBER})&PC=AS60",
            "preset",
        ),
        ("camctl.cgi", _camera("AUX[1-8]") + "&CTRL=(?P<CTRL>OPEN|CLOSE)&PC=AS60", "act"),  # 4.2.8
        (  # 5.1.1, 5.1.2
            "loglist.cgi",
            _UID + "&KIND=(?P<KIND>ERR)&HTML=as_errorlog[.]html",
            "list log",
        ),
        ("loglist.cgi", _UID + "&KIND=(?P<KIND>EVENT)&HTML=as_eventlog[.]html", "list log"),
        ("recordedtime.cgi", "", "list disks"),  # 5.2.1
        (  # 6.3.2
            "httpdl.cgi",
            _UID
            + r"&STARTTIME=(?P<STARTTIME>\d{12})&ENDTIME=(?P<ENDTIME>\d{12})"
            + r"&KIND=(?P<KIND>MP4|MP4VO|N3|N3VO|LIST)&CAM=(?P<CAM>\d{1,3})&PC=AS60",
            "download",
        ),
        # Not in the specification; with a UID the order is unknown, so both are taken.
        ("as_getinfo.cgi", f"FILE=2(&{_UID})?", "list cameras"),
        ("as_getinfo.cgi", f"{_UID}&FILE=2", "list cameras"),
    )
)


def parse_query(cgi: str, query: str) -> Query | str | None:
    """Understand a command: the query, or what is wrong with it; None for an unknown name."""
    known = False
    for name, form, action in _FORMS:
        if name != cgi:
            continue
        known = True
        match = form.fullmatch(query)
        if match:
            return Query(action, {k: v for k, v in match.groupdict().items() if v is not None})
    return "parameters are not those of the specification, in its order" if known else None


def split_query(query: str) -> tuple[tuple[str, str], ...]:
    """Split a query into its pairs as they came."""
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    return tuple((name, value) for name, _, value in pairs)
