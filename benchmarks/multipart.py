"""The body of an endless response to its parts.

| contender | what it does |
|---|---|
| ours | `PartReader.feed` |
| slices | slicing at offsets known beforehand; a part that came in several reads is joined once |
| python-multipart | its MultipartParser, with callbacks that gather bodies and look at no header |
| aiohttp | its MultipartReader on a StreamReader that holds everything already: it never waits |

| case | reads |
|---|---|
| packets, 20 a read | RTP packets of the H.264 video as parts of 1.4 KB, whole parts in every read: a paced stream |
| packets, 64 KiB a read | the same, cut anywhere: a stream that comes as fast as it can |
| JPEG, 64 KiB a read | parts of several hundred KB, cut anywhere |
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib import import_module

from benchmarks import media
from benchmarks.measurement import Contender, Row, Sink, check, compare
from nvrclient import Codec
from nvrclient.container.live import PartReader

NAME = "multipart"

READ = 64 << 10
"""Bytes of a read where reads cut parts anywhere."""

PARTS = 20
"""Parts of a read where they do not."""


def run(rounds: int, seconds: float, say: Callable[[str], None]) -> list[Row]:
    """Make the media, check every contender, time them."""
    video = media.rtp(media.encode(Codec.H264, round(seconds * media.FPS)))
    jpegs = media.jpeg_parts(media.encode(Codec.JPEG, max(8, round(seconds * media.FPS / 8))))
    packets = [packet for picture in video.pictures for packet in picture]
    say(f"{len(packets)} parts of RTP, {len(jpegs)} of JPEG, {len(jpegs[0]) // 1000} KB each")
    rtp = media.multipart("application/octet-stream", packets)
    cases = (
        (f"packets, {PARTS} a read", packets, _by_parts(rtp)),
        ("packets, 64 KiB a read", packets, _by_bytes(rtp)),
        ("JPEG, 64 KiB a read", jpegs, _by_bytes(media.multipart("image/jpeg", jpegs))),
    )
    rows: list[Row] = []
    for case, bodies, reads in cases:
        contenders = ours(reads), floor(reads, bodies)
        peers = python_multipart(reads), aiohttp(reads)
        check(_bodies_of(contenders[0]), bodies)
        for contender in (contenders[1], *peers):
            if isinstance(contender, Contender):
                check(contender, bodies)
        rows += compare(
            NAME,
            case,
            *contenders,
            [(peer, None) for peer in peers],
            floor_target=None,
            items=len(bodies),
            rounds=rounds,
        )
    return rows


def _by_parts(parts: list[bytes]) -> list[bytes]:
    return [b"".join(parts[at : at + PARTS]) for at in range(0, len(parts), PARTS)]


def _by_bytes(parts: list[bytes]) -> list[bytes]:
    body = b"".join(parts)
    return [body[at : at + READ] for at in range(0, len(body), READ)]


def ours(reads: list[bytes]) -> Contender:
    """The library's reader of live parts."""

    def run(sink: Sink) -> None:
        feed = PartReader().feed
        for data in reads:
            sink(feed(data))

    return Contender("nvrclient", run)


def _bodies_of(contender: Contender) -> Contender:
    """Make a contender of parts one of their bodies."""

    def run(sink: Sink) -> None:
        contender.run(lambda parts: sink([part.body for part in parts]))

    return Contender(contender.name, run)


def floor(reads: list[bytes], bodies: list[bytes]) -> Contender:
    """Slices only, at offsets that are looked up here, before anything is timed.

    A plan for each read: the slice that ends a body begun before it (or None), the bodies wholly in it, and the
    slice that begins one (or None).
    """
    plans = _plans(reads, bodies)

    def run(sink: Sink) -> None:
        begun: list[bytes] = []
        for data, (rest, whole, front) in plans:
            out: list[bytes] = []
            if rest is not None:
                begun.append(data[: rest[1]])
                if rest[0]:
                    out.append(b"".join(begun))
                    begun = []
            out += [data[start:end] for start, end in whole]
            if front is not None:
                begun.append(data[front:])
            sink(out)

    return Contender("slices", run)


_Plan = tuple[tuple[bool, int] | None, list[tuple[int, int]], int | None]


def _plans(reads: list[bytes], bodies: list[bytes]) -> list[tuple[bytes, _Plan]]:
    """Find every body in the stream, then cut it as the reads cut it."""
    stream, at = b"".join(reads), 0
    spans: list[tuple[int, int]] = []
    for body in bodies:
        at = stream.index(b"\r\n\r\n", at) + 4
        spans.append((at, at + len(body)))
        at += len(body)
    plans: list[tuple[bytes, _Plan]] = []
    start = number = 0
    for data in reads:
        end = start + len(data)
        rest: tuple[bool, int] | None = None
        whole: list[tuple[int, int]] = []
        front: int | None = None
        while number < len(spans) and spans[number][0] < end:
            first, last = spans[number]
            if first < start:
                rest = (last <= end, min(last, end) - start)
            elif last <= end:
                whole.append((first - start, last - start))
            else:
                front = first - start
            if last > end:
                break
            number += 1
        plans.append((data, (rest, whole, front)))
        start = end
    return plans


def python_multipart(reads: list[bytes]) -> Contender | str:
    """The peer, or why it is not there."""
    try:
        module = import_module("python_multipart.multipart")
    except ImportError as error:
        return f"python-multipart: not installed ({error})"

    def run(sink: Sink) -> None:
        pieces: list[bytes] = []
        out: list[bytes] = []

        def on_part_data(data: bytes, start: int, end: int) -> None:
            pieces.append(data[start:end])

        def on_part_end() -> None:
            out.append(b"".join(pieces))
            pieces.clear()

        parser = module.MultipartParser(
            b"myboundary", {"on_part_data": on_part_data, "on_part_end": on_part_end}
        )
        for data in reads:
            parser.write(data)
            sink(out)
            out.clear()

    return Contender("python-multipart", run)


def aiohttp(reads: list[bytes]) -> Contender | str:
    """The peer, or why it is not there."""
    try:
        module = import_module("aiohttp")
        base_protocol = import_module("aiohttp.base_protocol")
    except ImportError as error:
        return f"aiohttp: not installed ({error})"
    headers = {"Content-Type": "multipart/x-mixed-replace; boundary=myboundary"}

    async def read(sink: Sink) -> None:
        loop = asyncio.get_running_loop()
        stream = module.StreamReader(base_protocol.BaseProtocol(loop), 1 << 30, loop=loop)
        for data in reads:
            stream.feed_data(data)
        stream.feed_eof()
        reader = module.MultipartReader(headers, stream)
        while (part := await reader.next()) is not None:
            sink([await part.read()])

    return Contender("aiohttp", lambda sink: asyncio.run(read(sink)))
