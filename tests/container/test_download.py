"""The answer to httpdl.cgi: every spelling, every split, every way to be incomplete (docs/faults.md rows 65, 68)."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvrclient.container.download import (
    DownloadReader,
    FileBegin,
    FileData,
    FileEnd,
    FileEvent,
    Refused,
)
from nvrclient.errors import DownloadError, NVRError, ProtocolError, TruncatedDownloadError

TEMP, PREV, STATUS = "X-Temp-FileName", "X-Prev-Filename", "X-RecData-Satus"


def part(body: bytes = b"", *headers: tuple[str, str], sized: bool = True) -> bytes:
    """Write one part; the boundary is written by hand, as everything here."""
    lines = ["--myboundary", "Content-Type: application/octet-stream"]
    lines += [f"{name}: {value}" for name, value in headers]
    lines += [f"Content-Length: {len(body)}"] if sized else []
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body + b"\r\n"


def named(temp: str, prev: str, status: str = "0") -> tuple[tuple[str, str], ...]:
    """Return the three headers as 6.3.1 prints them."""
    return (
        (TEMP, f'filename = "{temp}"'),
        (PREV, f'filename = "{prev}"'),
        (STATUS, status),
    )


A, B = "001_231115000000_3000_7f_00_01", "001_231115003000_2000_7f_00_01"
END = b"--myboundary--\r\n"

TWO_FILES = b"".join((
    part(b"one\r\n--mybound", *named(f"{A}.tmp", "")),
    part(b" and more", *named(f"{A}.tmp", "")),
    part(b"two", *named(f"{B}.tmp", f"{A}.mp4")),
    part(b"", *named("", f"{B}.mp4")),
    END,
))  # fmt: skip
TWO = [("1", b"one\r\n--mybound and more", f"{A}.mp4"), ("2", b"two", f"{B}.mp4")]


def read(data: bytes, size: int) -> tuple[list[FileEvent], NVRError | None]:
    """Feed an answer in pieces; return what came and what was raised."""
    reader = DownloadReader()
    events: list[FileEvent] = []
    try:
        for at in range(0, len(data), size):
            events += reader.feed(data[at : at + size])
        reader.close()
    except NVRError as error:
        return events, error
    return events, None


def files(events: Iterable[FileEvent]) -> list[tuple[bytes, str | None]]:
    """Join events to files; a file that is not whole has no name."""
    found: list[tuple[bytes, str | None]] = []
    for event in events:
        match event:
            case FileBegin():
                found.append((b"", None))
            case FileData(data):
                body, name = found[-1]
                assert name is None
                assert data
                found[-1] = (body + data, None)
            case FileEnd(name, _):
                assert found[-1][1] is None
                found[-1] = (found[-1][0], name)
            case _:
                raise AssertionError(event)
    return found


SPELLINGS = {
    "as printed": TWO_FILES,
    "Temp-Filename": TWO_FILES.replace(b"X-Temp-FileName", b"X-Temp-Filename"),
    "Prev-FileName": TWO_FILES.replace(b"X-Prev-Filename", b"X-Prev-FileName"),
    "status spelled right": TWO_FILES.replace(b"X-RecData-Satus", b"X-RecData-Status"),
    "no status": TWO_FILES.replace(b"X-RecData-Satus: 0\r\n", b""),
    "capitals": TWO_FILES.replace(b"X-Temp-FileName", b"X-TEMP-FILENAME").replace(b"filename", b"FILENAME"),
    "lower case": TWO_FILES.replace(b"X-Temp-FileName", b"x-temp-filename").replace(b"X-P", b"x-p"),
    "no spaces": TWO_FILES.replace(b"filename = ", b"filename="),
    "more spaces": TWO_FILES.replace(b"filename = ", b"  filename   =   "),
    "spaces inside the quotes": TWO_FILES.replace(b".tmp\"", b".tmp \"").replace(b".mp4\"", b".mp4 \""),
    "no quotes": TWO_FILES.replace(b"\"", b""),
    "nothing but the name": TWO_FILES.replace(b"filename = ", b""),
    "no quotes, no spaces": TWO_FILES.replace(b"\"", b"").replace(b" = ", b"="),
    "temporary name left out at the end": TWO_FILES.replace(b'X-Temp-FileName: filename = ""\r\n', b""),
    "previous name left out at first": TWO_FILES.replace(b'X-Prev-Filename: filename = ""\r\n', b""),
    "no lengths": b"".join((
        part(b"one\r\n--mybound", *named(f"{A}.tmp", ""), sized=False),
        part(b" and more", *named(f"{A}.tmp", ""), sized=False),
        part(b"two", *named(f"{B}.tmp", f"{A}.mp4"), sized=False),
        part(b"", *named("", f"{B}.mp4"), sized=False),
        END,
    )),
    "later parts without X- headers": b"".join((
        part(b"one\r\n--mybound", *named(f"{A}.tmp", "")),
        part(b" and more"),
        part(b"", *named(f"{B}.tmp", f"{A}.mp4")),
        b"--myboundary\r\n\r\ntwo\r\n",
        part(b"", *named("", f"{B}.mp4")),
    )),
    "a part that says nothing first": part() + TWO_FILES,
    "the name before told again in later parts": b"".join((
        part(b"one\r\n--mybound", *named(f"{A}.tmp", "")),
        part(b" and more", *named(f"{A}.tmp", "")),
        part(b"t", *named(f"{B}.tmp", f"{A}.mp4")),
        part(b"wo", *named(f"{B}.tmp", f"{A}.mp4")),
        part(b"", *named("", f"{B}.mp4")),
    )),
    "no closing mark": TWO_FILES.removesuffix(END),
    "more behind the end": TWO_FILES + b"<html>bye</html>",
    "line feeds": TWO_FILES.replace(b"one\r\n", b"one@").replace(b"\r\n", b"\n").replace(b"one@", b"one\r\n"),
}  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_row_68_every_spelling_at_every_split(spelling: str) -> None:
    data = SPELLINGS[spelling]
    for size in (len(data), 1, 2, 3, 7, 31):
        events, error = read(data, size)
        assert error is None, size
        assert files(events) == [(body, name) for _, body, name in TWO], size
    for cut in range(len(data)):
        reader = DownloadReader()
        events = reader.feed(data[:cut]) + reader.feed(data[cut:])
        assert files(events) == [(body, name) for _, body, name in TWO], cut
        reader.close()


def test_what_is_told_of_a_file() -> None:
    events, _ = read(TWO_FILES, len(TWO_FILES))
    assert [event for event in events if not isinstance(event, FileData)] == [
        FileBegin(f"{A}.tmp"),
        FileEnd(f"{A}.mp4", last=False),
        FileBegin(f"{B}.tmp"),
        FileEnd(f"{B}.mp4", last=True),
    ]


def test_one_temporary_name_for_file_after_file() -> None:
    """The recorder may call every file the same until it is whole, as it may in the hour that comes twice."""
    data = b"".join((
        part(b"one", *named("x.tmp", "")),
        part(b"two", *named("x.tmp", "x.mp4")),
        part(b"", *named("", "x.mp4")),
    ))  # fmt: skip
    assert files(read(data, 5)[0]) == [(b"one", "x.mp4"), (b"two", "x.mp4")]


def test_row_65_cut_at_every_byte_no_file_looks_whole_that_is_not() -> None:
    end = len(SPELLINGS["no closing mark"]) - 2  # the CRLF behind the last, empty, body
    for data in (TWO_FILES, SPELLINGS["no lengths"]):
        whole = data.index(b"X-Prev-Filename", data.index(B.encode() + b".mp4") - 40)
        for cut in range(len(data)):
            events, error = read(data[:cut], 64)
            found = files(events)
            for (body, name), (_, right, right_name) in zip(found, TWO, strict=False):
                assert name is None or (body, name) == (right, right_name), cut
            if cut < whole:
                assert error is not None, cut
                assert isinstance(error, TruncatedDownloadError | ProtocolError), cut
            if cut >= end:
                assert error is None, cut


@pytest.mark.parametrize("status", ["1", "2", "3", "4", "-1", "ja"])
@pytest.mark.parametrize("header", [STATUS, "X-RecData-Status", "x-recdata-satus"])
def test_row_67_a_status_ends_it_before_anything_else_of_its_part(status: str, header: str) -> None:
    first = part(b"data", *named(f"{A}.tmp", ""))
    refusal = part(b"", *named("", f"{A}.mp4")[:2], (header, status))
    for size in (1, 10, 1000):
        assert read(refusal, size) == ([Refused(status)], None)
        events, error = read(first + refusal + first, size)
        assert error is None
        assert events[-1] == Refused(status)
        assert files(events[:-1]) == [(b"data", None)]


def test_a_status_of_zeros_is_none() -> None:
    data = TWO_FILES.replace(b"Satus: 0", b"Satus: 00")
    assert len(files(read(data, 100)[0])) == 2


BROKEN: dict[str, tuple[bytes, type[NVRError], str]] = {
    "nothing": (b"", TruncatedDownloadError, "before its end"),
    "the beginning of a part": (TWO_FILES[:20], TruncatedDownloadError, "before its end"),
    "a page": (b"<html>not now</html>", ProtocolError, "no parts"),
    "no end": (part(b"data", *named(f"{A}.tmp", "")), TruncatedDownloadError, "in the middle of"),
    "closing mark without an end": (
        part(b"data", *named(f"{A}.tmp", "")) + END,
        TruncatedDownloadError,
        "in the middle of",
    ),
    "end without the last name": (
        part(b"data", *named(f"{A}.tmp", "")) + part(b"", *named("", "")) + END,
        TruncatedDownloadError,
        "in the middle of",
    ),
    "the next file begins and the first never ended": (
        part(b"data", *named(f"{A}.tmp", "")) + part(b"two", *named(f"{B}.tmp", "")),
        TruncatedDownloadError,
        "never ended",
    ),
    "an end without a file": (part(b"", *named("", f"{A}.mp4")), DownloadError, "did not begin"),
    "data of no file": (part(b"data"), DownloadError, "belongs to no file"),
    "a lost boundary": (
        TWO_FILES.replace(b"\r\n--myboundary", b"", 1),
        TruncatedDownloadError,
        "damaged at byte",
    ),
    "a length too great": (
        TWO_FILES.replace(b"Length: 9", b"Length: 99"),
        TruncatedDownloadError,
        "damaged at byte",
    ),
    "a length too small": (
        TWO_FILES.replace(b"Length: 9", b"Length: 8"),
        TruncatedDownloadError,
        "damaged at byte",
    ),
    "headers that are none": (
        TWO_FILES.replace(b"X-Prev-Filename: filename", b"X-Prev-Filename filename"),
        ProtocolError,
        "headers that are none",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_is_told_and_never_whole(what: str) -> None:
    data, kind, text = BROKEN[what]
    seen: list[tuple[list[tuple[bytes, str | None]], str]] = []
    for size in (1, 3, 50, max(1, len(data))):
        events, error = read(data, size)
        assert type(error) is kind, (size, error)
        assert text in str(error)
        seen.append((files(events), str(error)))
    assert seen == seen[:1] * len(seen)


def test_what_was_whole_before_the_damage_is_given_first() -> None:
    reader = DownloadReader()
    data = TWO_FILES.replace(b"Length: 3", b"Length: 2")
    assert files(reader.feed(data))[0] == TWO[0][1:]
    assert reader.failed
    for _ in range(2):
        with pytest.raises(TruncatedDownloadError):
            reader.feed(b"")
    with pytest.raises(TruncatedDownloadError):
        reader.close()


def test_names_in_messages_are_escaped() -> None:
    data = part(b"data", *named("\x1b[31m\xff" * 40 + ".tmp", "")) + END
    _, error = read(data, 1000)
    assert str(error).isascii()
    assert "\x1b" not in str(error)
    assert len(str(error)) < 500


NAMES = st.sampled_from(["", f"{A}.tmp", f"{B}.tmp", f"{A}.mp4", f"{B}.mp4", "../x", " "])
PARTS = st.tuples(NAMES, NAMES, st.sampled_from(["0", "0", "0", "1", ""]), st.binary(max_size=20))


@settings(max_examples=600, deadline=None)
@given(st.lists(PARTS, max_size=8), st.integers(1, 60), st.integers(0, 60), st.booleans())
def test_row_68_any_order_of_names_reads_alike_in_any_pieces(
    parts: list[tuple[str, str, str, bytes]], size: int, cut: int, sized: bool
) -> None:
    data = b"".join(
        part(body, *named(temp, prev, status), sized=sized) for temp, prev, status, body in parts
    )
    data = data[: len(data) - cut]
    once, first = read(data, max(1, len(data)))
    pieces, second = read(data, size)
    assert (type(first), str(first)) == (type(second), str(second))
    refused = [event for event in once if isinstance(event, Refused)]
    assert files(event for event in once if event not in refused) == files(
        event for event in pieces if event not in refused
    )


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.integers(1, 40))
def test_only_errors_of_ours_leave(noise: bytes, size: int) -> None:
    for data in (noise, part(b"data", *named(f"{A}.tmp", "")) + noise):
        assert read(data, size)[1] is not None


@pytest.mark.parametrize("sized", [True, False])
def test_memory_does_not_grow_with_the_file(sized: bool) -> None:
    reader = DownloadReader()
    head = part(
        b"",
        *named(f"{A}.tmp", ""),
        ("Content-Length", "99999999999") if sized else ("X", ""),
        sized=False,
    )
    reader.feed(head.removesuffix(b"\r\n"))
    piece = b"\r\n--myb\xff" * 8192
    tracemalloc.start()
    try:
        got = 0
        for _ in range(256):
            got += sum(
                len(event.data) for event in reader.feed(piece) if isinstance(event, FileData)
            )
        assert got > 255 * len(piece)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
