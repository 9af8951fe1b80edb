"""A recorder with a disk that is not the simulator: raw asyncio, its own containers, and a strict reading of 3.1.

What the specification leaves open is an attribute (a `Landing`, how it ends, what it does in pause); what a test
wants otherwise is a method to override. ``broken`` collects every command that section 3.1 does not allow there.
"""

from __future__ import annotations

import asyncio
import re
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from nvrclient import Codec
from nvrclient.simulator import Clip
from tests.end_to_end.foreign import NO, OK, ForeignRecorder, Query
from tests.end_to_end.media import split
from tests.end_to_end.servers import reply

T0 = 1_700_000_000_00
"""Hundredths of a second since 1970 at which most recordings here begin: 14 November 2023, 22:13:20 UTC."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CLIPS = {Codec.H264: "h264", Codec.H265: "h265", Codec.JPEG: "jpeg"}
OCTETS = "Content-Type: application/octet-stream"
Step = Literal["beside", "holding", "cursor"]


def at(hundredths: int) -> datetime:
    """Return the time of a stamp of the recorder."""
    return EPOCH + timedelta(milliseconds=10 * hundredths)


def stamp(when: datetime) -> int:
    return round((when - EPOCH).total_seconds() * 100)


@dataclass(frozen=True)
class Picture:
    stamp: int
    data: bytes


@dataclass(frozen=True)
class Group:
    """What one answer holds. ``zone``: minutes east of UTC."""

    pictures: tuple[Picture, ...]
    codec: Codec = Codec.H264
    zone: int = 540
    summer: bool = False
    display: int = 0
    reference: int = 0
    rate: int = 0  # ten times the pictures a second
    until: int | None = None  # the stated end; None: the last picture's time
    more: bytes = b""  # TLVs

    @property
    def start(self) -> int:
        return self.pictures[self.display == 2].stamp if len(self.pictures) > 1 else self.first

    @property
    def first(self) -> int:
        return self.pictures[0].stamp

    @property
    def end(self) -> int:
        return self.pictures[-1].stamp if self.until is None else self.until

    def body(self, camera: int = 1, operation: int = 2) -> bytes:
        """Write it as the specification's 3.3 has it, in the likeliest readings."""
        number = {Codec.H264: 3, Codec.H265: 4, Codec.JPEG: 0}[self.codec]
        head = _tlv(4, struct.pack(">HH", camera, 0))
        if number:
            head += _tlv(5, struct.pack(">HH", number, 0))
        hours, minutes = divmod(abs(self.zone), 60)
        sign = self.zone < 0
        head += _tlv(7, struct.pack(">I4B", self.start // 100, sign, hours, minutes, self.summer))
        head += _tlv(8, struct.pack(">HH", len(self.pictures), 0))
        if self.rate:
            head += _tlv(9, struct.pack(">HH", self.rate, 0))
        head += _tlv(10, struct.pack(">HH", self.start % 100, 0))
        head += _tlv(12, struct.pack(">HH", 1, 0)) + _tlv(13, bytes((operation, 0, 0, 0)))
        head += _tlv(0x28, struct.pack(">HH", self.reference, 0))
        head += _tlv(0x29, struct.pack(">HH", self.display, 0)) + self.more
        chunk = {Codec.H264: b"\xff\x15", Codec.H265: b"\xff\x16", Codec.JPEG: b"\xff\xd8\xff\xfe"}
        out = bytearray(chunk[self.codec] + struct.pack(">H", len(head) & 0xFFFF) + head)
        info = 0x80 * sign | 0x40 * self.summer
        for picture in self.pictures:
            padding = -len(picture.data) % 4
            out += bytes(12) + b"\xff\x06\x00\x44" + bytes(16)
            for edge in (self.end, self.start):
                out += struct.pack(">I4B", edge // 100, edge % 100, hours, minutes, info)
            out += bytes(16) + struct.pack(">IB", picture.stamp // 100, picture.stamp % 100)
            out += bytes(11) + struct.pack(">HHI", 0xFF05, padding, len(picture.data)) + bytes(16)
            out += picture.data + bytes(padding)
        return bytes(out) + bytes(-len(out) % 4096)


def record(
    count: int,
    *,
    start: int = T0,
    pictures: int = 5,
    interval: int = 20,
    codec: Codec = Codec.H264,
    camera: int = 1,
) -> list[Group]:
    """Return `count` groups of an encoder's pictures; no two pictures have the same bytes."""
    clip = Clip.load(CLIPS[codec])
    if codec is Codec.JPEG:
        pictures = 1
    groups: list[Group] = []
    for index in range(count):
        made: list[Picture] = []
        for place in range(pictures):
            when = start + (index * pictures + place) * interval
            source = clip.units[place if codec is not Codec.JPEG else index % len(clip)]
            made.append(Picture(when, named(source, codec, f"camera {camera} at {when}")))
        groups.append(Group(tuple(made), codec))
    return groups


def named(source: bytes, codec: Codec, name: str) -> bytes:
    """Return a picture that says its name: in an SEI message behind it, or in a comment."""
    text = name.encode()
    if codec is Codec.JPEG:
        return source[:2] + b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text + source[2:]
    source = b"".join(b"\x00\x00\x00\x01" + unit for unit in split(source))
    suffix = b"\x06" if codec is Codec.H264 else b"\x50\x01"
    message = b"\x05" + bytes((16 + len(text),)) + b"nvrclient-tests!" + text + b"\x80"
    return source + b"\x00\x00\x00\x01" + suffix + message


def shift(group: Group, by: int) -> Group:
    """Return the group as recorded `by` hundredths later."""
    pictures = tuple(replace(one, stamp=one.stamp + by) for one in group.pictures)
    return replace(group, pictures=pictures)


def _tlv(number: int, data: bytes) -> bytes:
    return struct.pack(">HH", number, len(data) + 4) + data


# Where a recorder begins that was told a time: an index into its groups, len(groups) = nothing there

Landing = Callable[[Sequence[Group], int], int]


def holding(groups: Sequence[Group], when: int) -> int:
    index = bisect_right([group.first for group in groups], when) - 1
    if index >= 0 and (index + 1 == len(groups) or when <= groups[index].end + 100):
        return index if when <= groups[index].end + 100 else len(groups)
    return index + 1


def following(groups: Sequence[Group], when: int) -> int:
    return bisect_left([group.first for group in groups], when)


def nearest(groups: Sequence[Group], when: int) -> int:
    return min(range(len(groups)), key=lambda index: abs(groups[index].first - when))


def before(count: int) -> Landing:
    return lambda groups, when: max(0, holding(groups, when) - count)


def after(count: int) -> Landing:
    return lambda groups, when: min(len(groups), holding(groups, when) + count)


def late(hundredths: int) -> Landing:
    return lambda groups, when: holding(groups, when + hundredths)


@dataclass
class Deck:
    """What the recorder knows of one UID."""

    mask: str = ""
    doing: str = ""  # "", PLAY, BPLAY, FF, REW, PAUSE
    steps: int = 0
    told: int | None = None  # TIMEF
    next: dict[int, int] = field(default_factory=dict[int, int])
    next_sound: dict[int, int] = field(default_factory=dict[int, int])
    stepping: str = ""
    busy: int = 0
    stopped: bool = False


class DiskRecorder(ForeignRecorder):
    """`async with` it; ``disk`` has the groups of each camera, ``sounds`` the bodies of its audio with their starts."""

    landing: Landing = staticmethod(holding)
    reverse_landing: Landing = staticmethod(before(1))
    stepping: Step = "beside"
    at_end: Literal["204", "empty", "no image", "repeat", "wrap", "404"] = "204"
    goes_on_after_pause = True
    strict_pause = False  # GOTODATE is not taken in pause
    asks_reset_by_login = True

    def __init__(self, *groups: Group, **cameras: Sequence[Group]) -> None:
        super().__init__()
        self.disk: dict[int, list[Group]] = {1: list(groups)} if groups else {}
        for name, recorded in cameras.items():
            self.disk[int(name.removeprefix("camera"))] = list(recorded)
        self.sounds: dict[int, list[tuple[int, bytes]]] = {}
        self.decks: dict[str, Deck] = {}
        self.broken: list[str] = []
        self.raw: list[str] = []
        self.channels = 16
        self.clock: Callable[[], float] | None = None

    def sent(self, pattern: str = "") -> list[str]:
        """Return the commands received, without their UID."""
        lines = [re.sub(r"UID=-?\d+&?", "", line).rstrip("?&") for line in self.raw]
        return [line for line in lines if re.search(pattern, line)]

    def moves(self) -> list[str]:
        """Return the movements received, in short: GOTODATE 22:13:20.00."""
        found: list[str] = []
        for line in self.raw:
            if "PLAYCMD" in line:
                query = dict(pair.split("=") for pair in line.partition("?")[2].split("&"))
                when = query["TIMEF"]
                short = f"{when[6:8]}:{when[8:10]}:{when[10:12]}.{when[12:]}"
                found.append(query["PLAYCMD"] + (f" {short}" if when.isdigit() else ""))
        return found

    def breaks(self, what: str) -> None:
        self.broken.append(what)

    async def getinfo(self, query: Query) -> bytes:
        lines = [f"CAM_CONNECT_{number:02}CH=1" for number in range(1, self.channels + 1)]
        return reply("200 OK", "\r\n".join(lines).encode())

    async def before_answer(self, name: str, query: Query) -> bytes | None:
        """Override to answer otherwise."""
        return None

    async def _answer(
        self, name: str, query: Query, authorization: str | None, writer: asyncio.StreamWriter
    ) -> bytes | None:
        self.raw.append(f"{name}?" + "&".join(f"{key}={value}" for key, value in query.items()))
        uid = query.get("UID", "")
        if name not in {"hdrctl", "camera", "playaudio"}:
            if name == "push" and self.decks.get(uid, Deck()).doing:
                self.breaks("live on a UID that plays")
            return await super()._answer(name, query, authorization, writer)
        if uid not in self.uids:
            return NO
        deck = self.decks.setdefault(uid, Deck())
        if deck.busy:
            self.breaks(f"{name} {query} beside another command of its UID")
        deck.busy += 1
        try:
            other = await self.before_answer(name, query)
            if other is not None:
                return None if other == b"cut" else other
            if name == "hdrctl":
                return self.control(deck, query)
            camera = int(query["CAM"])
            if camera > self.channels:
                return reply("404 Not Found")
            if not deck.doing:
                self.breaks(f"{name} before anything plays")
                return reply("400 Bad Request")
            if deck.mask[camera - 1] != "1":
                self.breaks(f"{name} of camera {camera}, which is not in MASK")
            if name == "camera":
                return self.video_answer(deck, camera)
            return self.audio_answer(deck, camera)
        finally:
            deck.busy -= 1

    def control(self, deck: Deck, query: Query) -> bytes:
        """Take hdrctl.cgi as 3.1 and 3.2 have it."""
        if "SCREEN" in query:
            if deck.doing:
                self.breaks("SCREEN while it plays")
            return OK
        if "MASK" in query:
            if len(query["MASK"]) != self.channels:
                return reply("400 Bad Request")
            deck.mask = query["MASK"]
            return OK
        doing, when = query["PLAYCMD"], query["TIMEF"]
        if not deck.mask:
            self.breaks(f"{doing} before MASK")
        told = None
        if doing == "PLAY":
            if when != "AS60_UNKNOWN":
                self.breaks(f"PLAY with TIMEF={when}")
        else:
            if not re.fullmatch(r"\d{14}", when):
                self.breaks(f"TIMEF={when}")
                return reply("400 Bad Request")
            seconds = datetime.strptime(f"20{when[:12]}+0000", "%Y%m%d%H%M%S%z").timestamp()
            told = round(seconds) * 100 + int(when[12:])
            if when[12:] != "00" and doing not in {"NEXTFRAME", "PREVFRAME"}:
                self.breaks(f"{doing} with hundredths")
        if doing not in {"NEXTFRAME", "PREVFRAME"}:
            deck.stepping = ""
        if doing in {"PLAY", "GOTODATE"}:
            if self.strict_pause and deck.doing == "PAUSE" and doing == "GOTODATE":
                self.breaks("GOTODATE in pause")
            deck.stopped = False
            deck.doing, deck.steps, deck.told = "PLAY", 0, told
            for camera, groups in self.disk.items():
                deck.next[camera] = 0 if told is None else self.landing(groups, told)
                starts = [start for start, _ in self.sounds.get(camera, ())]
                deck.next_sound[camera] = (
                    0 if told is None else max(0, bisect_right(starts, told) - 1)
                )
            return OK
        if not deck.doing:
            self.breaks(f"{doing} before anything plays")
            return reply("400 Bad Request")
        assert told is not None
        if doing in {"NEXTFRAME", "PREVFRAME"}:
            if deck.doing != "PAUSE":
                self.breaks(f"{doing} while it is not paused")
            self.step(deck, doing, told)
        elif doing == "BPLAY":
            deck.doing, deck.told, deck.steps = doing, told, 0
            for camera, groups in self.disk.items():
                index = self.reverse_landing(groups, told)
                if groups and told < groups[0].first:
                    index = -1
                deck.next[camera] = index
        elif doing in {"FF", "REW"}:
            deck.steps = deck.steps + 1 if deck.doing == doing else 1
            if deck.doing != doing:
                for camera, groups in self.disk.items():
                    deck.next[camera] = self.landing(groups, told) + (1 if doing == "FF" else -1)
            deck.doing = doing
        elif doing == "PAUSE":
            deck.doing, deck.told = doing, told
        elif doing == "STOP":
            deck.doing, deck.stopped = "", True
        return OK

    def step(self, deck: Deck, doing: str, told: int) -> None:
        deck.stepping = doing
        for camera, groups in self.disk.items():
            if self.stepping == "beside":
                if doing == "NEXTFRAME":
                    index = next(
                        (i for i, g in enumerate(groups) if g.pictures[-1].stamp > told),
                        len(groups),
                    )
                else:
                    index = max((i for i, g in enumerate(groups) if g.first < told), default=-1)
                deck.next[camera] = index
            elif self.stepping == "holding":
                deck.next[camera] = holding(groups, told)

    def video_answer(self, deck: Deck, camera: int) -> bytes:
        groups = self.disk.get(camera, [])
        index = deck.next.get(camera, 0)
        if deck.doing == "PAUSE" and not deck.stepping:
            self.breaks("camera.cgi in pause without a step")
            return reply("204 No Content")
        backward = deck.doing in {"BPLAY", "REW"} or deck.stepping == "PREVFRAME"
        if deck.doing == "PAUSE" and self.stepping != "cursor":
            move = 0
        else:
            move = (-1 if backward else 1) * (2**deck.steps if deck.steps else 1)
        if not 0 <= index < len(groups):
            return self.nothing(groups, backward=backward, camera=camera, deck=deck)
        deck.next[camera] = index + move
        operation = {"PLAY": 2, "BPLAY": 3, "FF": 4, "REW": 5, "PAUSE": 6}[deck.doing]
        return self.given(groups[index], camera, operation)

    def given(self, group: Group, camera: int, operation: int) -> bytes:
        return reply("200 OK", group.body(camera, operation), OCTETS)

    def nothing(self, groups: Sequence[Group], *, backward: bool, camera: int, deck: Deck) -> bytes:
        """What camera.cgi answers behind the last group."""
        if self.at_end == "404":
            return reply("404 Not Found")
        if self.at_end == "204" or (not groups and self.at_end in {"repeat", "wrap"}):
            return reply("204 No Content")
        if self.at_end == "empty":
            return reply("200 OK", b"", OCTETS)
        if self.at_end == "no image":
            head = _tlv(4, struct.pack(">HH", camera, 0)) + _tlv(12, bytes(4))
            body = b"\xff\x15" + struct.pack(">H", len(head)) + head
            return reply("200 OK", body + bytes(-len(body) % 4096), OCTETS)
        if self.at_end == "wrap":
            deck.next[camera] = len(groups) - 2 if backward else 1
            return self.given(groups[-1 if backward else 0], camera, 2)
        return self.given(groups[0 if backward else -1], camera, 2)

    def audio_answer(self, deck: Deck, camera: int) -> bytes:
        sounds = self.sounds.get(camera, [])
        index = deck.next_sound.get(camera, 0)
        if not 0 <= index < len(sounds):
            return reply("204 No Content")
        deck.next_sound[camera] = index + 1
        return reply("200 OK", sounds[index][1], OCTETS)


# Audio


def speech(start: int, end: int, data: bytes, *, codec: int = 1, camera: int = 1) -> bytes:
    """Write a G.711 (1) or G.726 (0) answer; times in whole seconds."""
    head = struct.pack(">HHII4B", 0xFF03, camera, len(data), start, 0, 9, 0, 0)
    head += struct.pack(">II4B", end, 0, 0, 9, 0, 0) + bytes((codec, 0, 0, 0)) + bytes(32)
    body = head + data
    return body + bytes(-len(body) % 4096)


def aac(start: int, end: int, frames: Sequence[bytes], *, camera: int = 1) -> bytes:
    """Write an AAC answer without AU headers; times in whole seconds."""
    data = b""
    for frame in frames:
        padding = -len(frame) % 4
        length = 8 + len(frame) + padding
        data += struct.pack(">HHBBH", 0xFF14, length, padding, 0, 0) + frame + bytes(padding)
    head = struct.pack(">HHI", 0xFF13, camera, len(data)) + b"\xff\x12\x00\x3c"
    head += struct.pack(">I4BII4B", start, 0, 9, 0, 0, end, 0, 0, 9, 0, 0) + bytes(36)
    assert len(head) == 68
    body = head + data
    return body + bytes(-len(body) % 4096)
