"""Multipart bodies: recorder forms, lies, cuts and floods (docs/faults.md rows 38 to 48)."""

from __future__ import annotations

import os
import random
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvrclient.container import live, multipart
from nvrclient.container.live import MAX_PART_BYTES, Part, PartReader
from nvrclient.container.parts import MultipartParser, PartBegin, PartData, PartEnd
from nvrclient.errors import ProtocolError

LONG = bool(os.environ.get("NVRCLIENT_LONG"))
"""The long form of the tests: three times the examples."""

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

RTP = "application/octet-stream"
BODIES = (bytes.fromhex("9065 0001 0000 0000 0000 0001 0000 0000 2742"), b"\r\n--\r\n\x00", b"")


def part(
    body: bytes,
    length: str | None = "",
    *,
    eol: bytes = b"\r\n",
    delimiter: bytes = b"--myboundary",
) -> bytes:
    """Write one part as a WJ-NU101 does; ``length`` is the text of Content-Length, None to leave it out."""
    lines = [delimiter, b"Content-type: application/octet-stream"]
    if length is not None:
        lines.append(b"Content-Length: " + (length or str(len(body))).encode())
    return eol.join([*lines, b"", body, b""])


def whole(bodies: Iterable[bytes] = BODIES) -> bytes:
    return b"".join(part(body) for body in bodies)


def pieces(data: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    at = 0
    for size in sizes:
        if at >= len(data):
            return
        yield data[at : at + size]
        at += size
    yield data[at:]


def read(data: bytes, size: int | None = None, reader: PartReader | None = None) -> list[bytes]:
    reader = reader or PartReader()
    found: list[Part] = []
    for at in range(0, len(data), size or len(data) or 1):
        found += reader.feed(data[at : at + (size or len(data))])
    return [item.body for item in found]


def feed_all(reader: PartReader | MultipartParser, data: bytes, size: int) -> None:
    for at in range(0, len(data), size):
        reader.feed(data[at : at + size])


def state(reader: PartReader) -> tuple[int, ...]:
    return reader.parts, reader.desyncs, reader.bad_parts, reader.oversize, reader.bytes


END = b"--myboundary--\r\n"

# Each form of body that real equipment sends, and the parts that are in it. The delimiter behind the last part is
# that of a part not yet sent, as in an endless stream.
FORMS: dict[str, bytes] = {
    "as a WJ-NU101 sends it": whole() + b"--myboundary\r\n",
    "headers in capitals": whole().replace(b"Content-", b"CONTENT-") + END,
    "headers in lower case": whole().replace(b"Content-", b"content-") + END,
    "boundary with more hyphens": whole().replace(b"--myb", b"----myb") + b"----myboundary--\r\n",
    "boundary that ends in hyphens": whole().replace(b"ary\r\n", b"ary--\r\n") + b"--myboundary--\r\n",
    "boundary of a browser": whole().replace(b"--myboundary", b"--WebKit'()+_,-./:=?x") + b"--WebKit'()+_,-./:=?x\r\n",
    "boundary with spaces in it": whole().replace(b"--myboundary", b"--my boundary") + b"--my boundary\r\n",
    "boundary with a colon": whole().replace(b"--myboundary", b"--my:boundary") + b"--my:boundary\r\n",
    "spaces behind the delimiter": whole().replace(b"ary\r\n", b"ary \t\r\n") + END,
    "empty boundary": part(BODIES[0], delimiter=b"--") + part(b"", delimiter=b"--") + b"--\r\n",
    "boundary of 10 kB": whole().replace(b"--myboundary", b"--" + b"x" * 10_000) + b"--" + b"x" * 10_000 + b"\r\n",
    "line feeds only": b"".join(part(body, eol=b"\n") for body in BODIES) + b"--myboundary\n",
    "line feed behind the body": whole().replace(b"\r\n--myb", b"\n--myb") + END,
    "no line end behind the body": b"".join(part(body)[:-2] for body in BODIES) + END,
    "line end behind the body twice": b"".join(part(body) + b"\r\n" for body in BODIES) + END,
    "line end behind the delimiter twice": whole().replace(b"ary\r\n", b"ary\r\n\r\n") + b"--myboundary\r\n",
    "delimiter twice": b"--myboundary\r\n" + b"--myboundary\r\n".join(part(body) for body in BODIES) + END,
    "line end before the first delimiter": b"\r\n" + whole() + END,
    "preamble": b"This is a multipart message.\r\n- not this\r\n\r\n" + whole() + END,
    "preamble with hyphens": b"-- camera 1 --\r\nHello\r\n" + whole() + END,
    "closing mark behind each part": b"".join(part(body) + END for body in BODIES),
    "closing mark without a line end": b"".join(part(body) + b"--myboundary--" for body in BODIES),
    "text behind the closing mark": b"".join(part(body) + END + b"bye\r\n--my\r\n" for body in BODIES),
    "no lengths": b"".join(part(body, None) for body in BODIES) + END,
    "no lengths, line feeds only": b"".join(part(body, None, eol=b"\n") for body in (BODIES[0], b"", b"x")) + b"--myboundary\n",
    "no lengths, nothing for an empty body": part(BODIES[0], None) + part(b"", None)[:-2] + part(b"x", None) + END,
    "lengths on some": part(BODIES[0], None) + part(BODIES[1]) + part(BODIES[2], None) + END,
    "spaces round the colon": whole().replace(b": ", b" :\t ") + END,
    "no space behind the colon": whole().replace(b": ", b":") + END,
    "leading zero": whole().replace(b"Length: ", b"Length: 0") + END,
    "length twice": part(BODIES[0]).replace(b"Content-L", b"Content-Length: 18\r\nContent-L") + whole(BODIES[1:]) + END,
    "more headers": whole().replace(b"Content-L", b"X-Camera: \xfc\r\nX-Empty:\r\nContent-L") + END,
    "type with parameters": whole().replace(b"octet-stream", b"Octet-Stream; charset=x") + END,
}  # fmt: skip
FORM_BODIES = {
    "empty boundary": (BODIES[0], b""),
    "no lengths, line feeds only": (BODIES[0], b"", b"x"),
    "no lengths, nothing for an empty body": (BODIES[0], b"", b"x"),
}


@pytest.mark.parametrize("form", FORMS)
def test_row_38_row_42_every_form_at_every_split(form: str) -> None:
    data, bodies = FORMS[form], list(FORM_BODIES.get(form, BODIES))
    once = PartReader()
    parts = once.feed(data)
    assert [item.body for item in parts] == bodies
    assert {item.content_type for item in parts} == {RTP}
    assert once.desyncs == once.oversize == 0
    assert once.bad_parts == (form == "preamble with hyphens")
    bytewise = PartReader()
    assert read(data, 1, bytewise) == bodies
    assert state(bytewise) == state(once)
    for at in range(0, len(data), 97 if len(data) > 20_000 else 1):
        reader = PartReader()
        assert [item.body for item in reader.feed(data[:at]) + reader.feed(data[at:])] == bodies, at
        assert state(reader) == state(once)


GUESSED = {
    "preamble with hyphens",
    "line end behind the delimiter twice",
    "text behind the closing mark",
}  # a download does not guess


@pytest.mark.parametrize("form", [form for form in FORMS if form not in GUESSED])
def test_row_38_downloads_read_every_form_at_every_split(form: str) -> None:
    data, bodies = FORMS[form], list(FORM_BODIES.get(form, BODIES))
    for size in (1, 2, 3, 7, len(data)):
        assert joined(data, size) == bodies, size
    if len(data) < 20_000:
        for at in range(len(data)):
            parser = MultipartParser()
            assert join(parser.feed(data[:at]) + parser.feed(data[at:])) == bodies, at


def join(events: Iterable[object]) -> list[bytes]:
    bodies: list[bytes] = []
    body: bytearray | None = None
    for event in events:
        match event:
            case PartBegin():
                assert body is None
                body = bytearray()
            case PartData(data):
                assert body is not None
                assert data
                body += data
            case PartEnd():
                assert body is not None
                bodies.append(bytes(body))
                body = None
            case _:
                raise AssertionError(event)
    return bodies


def joined(data: bytes, size: int) -> list[bytes]:
    parser = MultipartParser()
    return join(
        event for at in range(0, len(data), size) for event in parser.feed(data[at : at + size])
    )


def test_headers_are_kept_with_lower_case_names() -> None:
    data = b'--b\r\nX-Temp-FileName: filename = "a.tmp"\r\nCONTENT-TYPE: Image/JPEG; q="A"\r\nContent-Length: 1\r\n\r\nx\r\n'
    [found] = PartReader().feed(data)
    assert found.content_type == "image/jpeg"
    assert found.headers == {
        "x-temp-filename": 'filename = "a.tmp"',
        "content-type": 'Image/JPEG; q="A"',
        "content-length": "1",
    }
    assert found.body == b"x"
    assert "b'x'" not in repr(found)
    begin, *_ = MultipartParser().feed(data)
    assert begin == PartBegin(found.headers, "image/jpeg", 1)


def test_a_part_without_a_type_is_given() -> None:
    [found] = PartReader().feed(b"--b\r\nContent-Length: 1\r\n\r\nx\r\n--b\r\n")
    assert found.content_type == ""


def test_a_part_is_given_before_the_next_begins() -> None:
    """The last packet of a picture must not wait for the next picture."""
    reader = PartReader()
    for body in BODIES * 3:
        assert [item.body for item in reader.feed(part(body))] == [body]


def test_row_38_random_read_sizes() -> None:
    rng = random.Random(38)
    bodies = [rng.randbytes(rng.choice((0, 1, 28, 1440, 1440, 1440, 9000))) for _ in range(400)]
    data = whole(bodies)
    for top in (1, 20, 1500, 65_536):
        reader = PartReader()
        sizes = [rng.randint(1, top) for _ in range(2 * len(data) // top + 1)]
        found = [item.body for piece in pieces(data, sizes) for item in reader.feed(piece)]
        assert found == bodies
        assert state(reader) == (len(bodies), 0, 0, 0, len(data))


# What a hostile or broken stream is made of.
TOKENS = st.sampled_from([
    b"--myboundary", b"--myboundary\r\n", b"--myboundary--", b"\r\n--myb", b"\r\n", b"\n", b"\r", b"-", b"--", b"\r\n\r\n",
    b"Content-Length: ", b"Content-Length: 5\r\n\r\n", b"Content-Length: 70\r\n\r\n", b"Content-Length: 99999999\r\n\r\n",
    b"Content-type: application/octet-stream\r\n", b"\x00", b":", b" ", b"12345", part(b"12345"), part(b"12345", None),
    part(b"12345", "4"), part(b"12345", "6"), part(b"12345", "7"), part(b"12345", "-5"), b"x" * 300,
])  # fmt: skip
GARBAGE = st.lists(TOKENS | st.binary(max_size=8), max_size=24).map(b"".join)


@settings(max_examples=1500 if LONG else 500, deadline=None)
@given(GARBAGE, st.lists(st.integers(1, 90), max_size=60))
def test_row_38_row_55_any_bytes_read_alike_in_any_pieces_and_good_parts_follow(
    data: bytes, sizes: list[int]
) -> None:
    """Garbage may hide what stands in the cap's bytes behind it, and no more."""
    good = [b"good %d" % number for number in range(24)]
    stream = part(b"first") + data + b"\r\n" + whole(good)
    readers = [PartReader(max_part_bytes=400) for _ in range(3)]
    once = read(stream, None, readers[0])
    assert read(stream, 1, readers[1]) == once
    assert [item.body for piece in pieces(stream, sizes) for item in readers[2].feed(piece)] == once
    assert state(readers[0]) == state(readers[1]) == state(readers[2])
    assert once[0] == b"first"
    assert once[-12:] == good[-12:]


@settings(max_examples=800 if LONG else 300, deadline=None)
@given(GARBAGE, st.lists(st.integers(1, 90), max_size=60))
def test_row_43_only_protocol_error_leaves(data: bytes, sizes: list[int]) -> None:
    for reader in (PartReader(max_part_bytes=400), MultipartParser()):
        caught: ProtocolError | None = None
        try:
            for piece in pieces(data, sizes):
                reader.feed(piece)
            reader.close()
        except ProtocolError as error:
            caught = error
        if caught:
            assert caught.reading == "multipart body"
            assert caught.offset is not None
            assert 0 <= caught.offset <= len(data)
            assert data[caught.offset :].startswith(caught.head)


@settings(max_examples=400 if LONG else 200, deadline=None)
@given(
    st.lists(st.binary(max_size=40), min_size=1, max_size=6),
    st.lists(st.integers(1, 30), max_size=60),
    st.booleans(),
)
def test_row_38_good_streams_of_any_bodies(
    bodies: list[bytes], sizes: list[int], sized: bool
) -> None:
    if not sized:
        bodies = [body.replace(b"--myboundary", b"") for body in bodies]
    data = b"".join(part(body, "" if sized else None) for body in bodies) + END
    for feed in (PartReader().feed, None):
        if feed:
            assert [item.body for piece in pieces(data, sizes) for item in feed(piece)] == bodies
        else:
            parser = MultipartParser()
            assert (
                join(event for piece in pieces(data, sizes) for event in parser.feed(piece))
                == bodies
            )


# --- lengths that are not true


LIES = ["+5", "-1", "1_0", "\u0663", "0x5", "5.0", "5 5", "", " ", "1" * 20, "0" * 20, "2147483648", "9" * 8, str(MAX_PART_BYTES + 1)]  # fmt: skip


@pytest.mark.parametrize("lie", [lie for lie in LIES if lie.strip()])
@pytest.mark.parametrize("size", [None, 1, 7])
def test_row_40_a_length_that_is_no_number_loses_its_part_only(lie: str, size: int | None) -> None:
    reader = PartReader()
    data = part(b"one") + part(b"12345", lie) + part(b"two") + part(b"three")
    assert read(data, size, reader) == [b"one", b"two", b"three"]
    assert state(reader) == (3, 1, 0, 0, len(data))


def test_row_40_an_empty_length_and_two_lengths() -> None:
    for line in (
        b"Content-Length:\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5, 5\r\n",
    ):
        reader = PartReader()
        data = part(b"one") + b"--myboundary\r\n" + line + b"\r\n12345\r\n" + part(b"two")
        assert read(data, None, reader) == [b"one", b"two"]
        assert reader.desyncs == 1


@pytest.mark.parametrize("size", [None, 1, 11])
@pytest.mark.parametrize("position", [0, 1, 4])
def test_row_40_a_length_too_small_or_great_loses_its_part_only(
    position: int, size: int | None
) -> None:
    bodies = [bytes([0x90, 0x62, index]) * 30 for index in range(8)]
    for error in [*range(-90, 0), *range(1, 300)]:
        data = b"".join(
            part(body, str(len(body) + error) if index == position else "")
            for index, body in enumerate(bodies)
        )
        reader = PartReader()
        found = read(data, size, reader)
        expected = bodies[:position] + bodies[position + 1 :]
        beyond = error % len(part(bodies[0])) if error > 0 else -1
        if beyond == 0:
            continue  # the length of several parts: nothing shows that it is not one
        if position == 0 and beyond in {1, 2}:
            # The first part of a stream teaches whether lengths count the line end.
            assert found[1:] == expected[error // len(part(bodies[0])) :]
            continue
        assert found == expected, error
        assert reader.desyncs == 1
        assert reader.bad_parts == 0


def test_row_40_a_length_too_great_that_ends_at_a_line_end_of_the_next_part() -> None:
    """The line end there must not pass for the one behind the body."""
    body = b"x" * 20
    following = part(b"two")
    for at in range(len(following)):
        if following.startswith(b"\r\n", at):
            reader = PartReader()
            found = read(
                part(b"one") + part(body, str(len(body) + 2 + at)) + following + part(b"three"),
                1,
                reader,
            )
            if at + 2 < len(following):
                assert found == [b"one", b"two", b"three"]
                assert reader.desyncs == 1


def test_row_40_the_first_part_lies() -> None:
    for lie in ("4", "30", "x", "99999999"):
        reader = PartReader()
        assert read(part(b"12345", lie) + whole() + END, 3, reader) == list(BODIES)
        assert reader.desyncs == 1


def test_row_41_a_huge_length_reserves_nothing() -> None:
    reader = PartReader()
    tracemalloc.start()
    try:
        for _ in range(100):
            reader.feed(part(b"x" * 1000, "2147483648"))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert reader.desyncs == 100
    assert [item.body for item in reader.feed(whole() + END)] == list(BODIES)


@pytest.mark.parametrize("text", [b"\xb2", b"5" * 5000, b"000000005", b"0" * 5000])
def test_row_40_digits_that_int_would_choke_on(text: bytes) -> None:
    reader = PartReader()
    data = part(b"one") + part(b"12345").replace(b"Length: 5", b"Length: " + text) + part(b"two")
    assert read(data, None, reader) == [b"one", b"two"]
    assert reader.desyncs == 1


@pytest.mark.parametrize("values", [("5", "6"), ("6", "5"), ("5", "+5"), ("5", "05")])
def test_row_40_two_lengths_that_differ(values: tuple[str, str]) -> None:
    reader = PartReader()
    both = "\r\nContent-Length: ".join(values).encode()
    data = part(b"one") + part(b"12345").replace(b"Length: 5", b"Length: " + both) + part(b"two")
    assert read(data, None, reader) == [b"one", b"two"]
    assert (reader.desyncs, reader.bad_parts) == (1, 0)


# --- headers


BAD_HEADERS = {
    "no colon": b"Content-Length 5\r\n\r\n12345",
    "no name": b": 5\r\n\r\n12345",
    "space in the name": b"Content Length: 5\r\n\r\n12345",
    "NUL": b"Content-Length: 5\r\nX: \x00\r\n\r\n12345",
    "name not ASCII": b"Cont\xebnt: 5\r\n\r\n12345",
    "folded": b"Content-Length: 5\r\n folded\r\n\r\n12345",
    "33 headers": b"X-A: b\r\n" * 33 + b"\r\n12345",
    "a million headers": b"X-A: b\r\n" * 1_000_000 + b"\r\n12345",
    "a line of 1 MB": b"X-A: " + b"b" * 1_000_000 + b"\r\n\r\n12345",
    "no blank line": b"Content-Length: 5\r\n12345",
    "no blank line and long": b"\x80" * 20_000,
}


@pytest.mark.parametrize("name", BAD_HEADERS)
def test_row_43_bad_headers_cost_their_part_only(name: str) -> None:
    data = part(b"one") + b"--myboundary\r\n" + BAD_HEADERS[name] + b"\r\n" + whole() + END
    for size in (None, 1 if len(data) < 50_000 else 4096):
        reader = PartReader()
        assert read(data, size, reader) == [b"one", *BODIES]
        assert (reader.bad_parts, reader.desyncs, reader.oversize) == (1, 0, 0)
    with pytest.raises(ProtocolError):
        joined(data, 4096)


def test_row_43_32_headers_and_8_kib_are_read() -> None:
    assert (
        len(
            PartReader().feed(
                b"--b\r\n" + b"X-A: b\r\n" * 31 + b"Content-Length: 0\r\n\r\n\r\n--b\r\n"
            )
        )
        == 1
    )
    for over in (0, 1):
        block = b"X-A: " + b"b" * (8192 - 5 - 23 + over) + b"\r\nContent-Length: 0\r\n\r\n"
        assert len(block) == 8192 + over
        reader = PartReader()
        assert len(reader.feed(part(b"") + b"--myboundary\r\n" + block + b"\r\n")) == 2 - over
        assert reader.bad_parts == over


# --- the delimiter inside bodies


def test_row_44_a_body_with_a_length_is_never_searched() -> None:
    rng = random.Random(44)
    for delimiter in (
        b"--myboundary\r\n",
        b"\r\n--myboundary\r\n",
        b"\r\n--myboundary--\r\n",
        part(b"trap"),
        b"\n--myboundary",
    ):
        for at in range(60):
            body = rng.randbytes(at) + delimiter + rng.randbytes(60 - at)
            for size in (None, 1, 13):
                reader = PartReader()
                assert read(whole([b"one", body, body, b"two"]) + END, size, reader) == [
                    b"one",
                    body,
                    body,
                    b"two",
                ]
                assert state(reader)[:4] == (4, 0, 0, 0)
            assert joined(whole([b"one", body, b"two"]) + END, 9) == [b"one", body, b"two"]


def test_row_44_without_a_length_the_delimiter_counts_at_the_beginning_of_a_line_only() -> None:
    bodies = [
        b"--myboundaryx",
        b"ab--myboundary\r\ncd",
        b"\r--myboundary--\r\n",
        b"a\r\n--myboundaryx\r\n--myboundar",
    ]
    data = b"".join(part(body, None) for body in bodies) + END
    for at in range(len(data)):
        reader, parser = PartReader(), MultipartParser()
        assert [item.body for item in reader.feed(data[:at]) + reader.feed(data[at:])] == bodies
        assert join(parser.feed(data[:at]) + parser.feed(data[at:])) == bodies
    assert joined(data, 1) == bodies


def test_row_43_headers_cut_by_the_next_delimiter() -> None:
    """Also where the delimiter's line could pass for a header."""
    for delimiter in (b"--myboundary", b"--my:boundary"):
        cut = delimiter + b"\r\nContent-type: image/jpeg\r\n"
        data = part(b"one", delimiter=delimiter) + cut + part(b"two", delimiter=delimiter)
        for size in (None, 1):
            reader = PartReader()
            assert read(data, size, reader) == [b"one", b"two"]
            assert (reader.bad_parts, reader.desyncs) == (1, 0)


# --- ends


def test_row_45_cut_at_every_byte() -> None:
    data = whole([b"one", b"two--", b"three"]) + END
    starts = [len(whole([b"one", b"two--", b"three"][:count])) for count in range(4)]
    for cut in range(len(data) + 1):
        reader, parser = PartReader(), MultipartParser()
        found = [item.body for item in reader.feed(data[:cut]) + reader.close()]
        complete = [b"one", b"two--", b"three"][: sum(cut >= start - 2 for start in starts[1:])]
        assert found == complete, cut
        at_boundary = (
            any(start - 2 <= cut <= start for start in starts[1:])
            or cut >= len(data) - 2
            or cut == 0
        )
        assert reader.truncated is not at_boundary, cut
        events = parser.feed(data[:cut]) + parser.close()
        assert sum(isinstance(event, PartEnd) for event in events) == len(complete)
        assert parser.truncated is reader.truncated


def test_row_45_a_body_without_a_length_is_cut_by_the_end() -> None:
    for data in (part(b"one", None), part(b"one", None) + b"--mybou"):
        reader = PartReader()
        assert reader.feed(data) + reader.close() == []
        assert reader.truncated


def test_row_45_a_last_body_that_may_be_longer_than_it_should_is_not_given() -> None:
    reader = PartReader()
    assert reader.feed(part(b"x" * 10, "100") + b"--myboundary\r\n" + b"y" * 200)[:0] == []
    reader = PartReader()
    data = part(b"x" * 10, "40") + b"--myboundary\r\n" + b"y" * 14
    assert len(data) - data.index(b"x") == 40
    assert reader.feed(data) + reader.close() == []
    assert reader.truncated


# --- floods: memory and work


FLOODS: dict[str, Callable[[int], bytes]] = {
    "CR": lambda size: b"\r" * size,
    "LF": lambda size: b"\n" * size,
    "hyphens": lambda size: b"-" * size,
    "half delimiters": lambda size: b"\r\n--mybound" * (size // 11),
    "delimiters without line ends": lambda size: b"\r\n--myboundaryx" * (size // 15),
    "closing marks": lambda size: b"--myboundary--" * (size // 14),
    "delimiters and no headers": lambda size: b"--myboundary\r\nX\r\n" * (size // 17),
    "delimiters and no headers, then a blank line": lambda size: (
        (b"--myboundary\r\nX\r\n" * 400 + b"\r\n") * (size // 6802)
    ),
    "delimiters": lambda size: b"--myboundary\r\n" * (size // 14),
    "padded delimiters": lambda size: (b"\n--myboundary" + b" " * 70) * (size // 83),
    "empty parts": lambda size: part(b"") * (size // len(part(b""))),
    "nested lengths": lambda size: b"--myboundary\r\nContent-Length: 40000\r\n\r\n" * (size // 39),
    "nested lengths before line ends": lambda size: (
        b"--myboundary\r\nContent-Length: 35\r\n\r\n\r\n" * (size // 38)
    ),
    "headers without end": lambda size: b"A: b\r\n" * (size // 6),
}
LEADS = {
    "in step": part(b"one"),
    "in a body without a length": part(b"one") + b"--myboundary\r\nX: y\r\n\r\n",
    "in headers": part(b"one") + b"--myboundary\r\n",
    "in a broken body": part(b"one") + part(b"12345", "3"),
}


@pytest.mark.parametrize("lead", LEADS)
@pytest.mark.parametrize("flood", FLOODS)
def test_row_39_work_is_linear(flood: str, lead: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not timed: bytes that searches look at, and steps taken, for each byte fed."""
    looked = steps = 0

    def find(buffer: bytes | bytearray, needle: bytes, start: int, end: int) -> int:
        nonlocal looked, steps
        at = buffer.find(needle, start, end)
        looked += (end if at < 0 else at + len(needle)) - start
        steps += 1
        return at

    for module in (multipart, live):
        monkeypatch.setattr(module, "find", find)
    for size in (65_536, 4096, 61, 1):
        work: list[float] = []
        for length in (1 << 13, 1 << 15) if size == 1 else (1 << 15, 1 << 18):
            looked = steps = 0
            reader = PartReader(max_part_bytes=1 << 16)
            data = LEADS[lead] + FLOODS[flood](length)
            read(data, size, reader)
            work.append((looked + 16 * steps) / len(data))
        assert work[1] <= work[0] * 1.5 + 8, (size, work)
        assert work[1] < (120 if size == 1 else 20), (size, work)
        found = [item.body for item in reader.feed(b"\r\n" + whole([b"x" * 60] * 1400))]
        assert found[-300:] == [b"x" * 60] * 300


@pytest.mark.parametrize("lead", LEADS)
@pytest.mark.parametrize(
    "flood", ["CR", "hyphens", "half delimiters", "delimiters without line ends"]
)
def test_row_39_memory_is_bounded_and_the_stream_goes_on(flood: str, lead: str) -> None:
    piece = FLOODS[flood](65_536)
    reader = PartReader(max_part_bytes=1 << 19)
    reader.feed(LEADS[lead])
    tracemalloc.start()
    try:
        for _ in range(32):
            reader.feed(piece)
        assert tracemalloc.get_traced_memory()[1] < 5 << 18
    finally:
        tracemalloc.stop()
    assert [item.body for item in reader.feed(b"\r\n" + END + whole())][-3:] == list(BODIES)
    assert reader.oversize == (lead == "in a body without a length")


def test_row_39_a_delimiter_just_past_the_cap_is_found_alike_in_any_pieces() -> None:
    for over in range(-3, 20):
        body = b"x" * (100 + over)
        data = part(b"one") + part(body, None)[:-2] + part(b"12345") + part(b"two") + END
        once, bytewise = PartReader(max_part_bytes=100), PartReader(max_part_bytes=100)
        assert read(data, None, once) == read(data, 1, bytewise)
        assert state(once) == state(bytewise)


def test_row_39_a_body_that_holds_the_delimiter_is_searched_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked = 0

    def find(buffer: bytes | bytearray, needle: bytes, start: int, end: int) -> int:
        nonlocal looked
        looked += end - start
        return buffer.find(needle, start, end)

    for module in (multipart, live):
        monkeypatch.setattr(module, "find", find)
    delimiter = b"--" + b"x" * 2000
    body = b"y" * 50_000 + delimiter
    data = part(body, delimiter=delimiter) + part(b"two", delimiter=delimiter)
    reader = PartReader()
    assert read(part(b"one", delimiter=delimiter), None, reader) == [b"one"]
    first = len(delimiter) + len(body)
    assert [item.body for item in reader.feed(data[:first])] == []
    assert read(data[first:], 1, reader) == [body, b"two"]
    assert looked < 4 * len(data)


def test_row_39_the_cap_itself() -> None:
    for eol in (b"\r\n", b"\n"):
        for over in (-1, 0, 1, 2):
            stream = (
                part(b"one", eol=eol)
                + part(b"x" * (100 + over), None, eol=eol)
                + part(b"two", eol=eol)
                + END
            )
            for size in (None, 1):
                reader = PartReader(max_part_bytes=100)
                found = read(stream, size, reader)
                assert found == (
                    [b"one", b"x" * (100 + over), b"two"] if over <= 0 else [b"one", b"two"]
                )
                assert reader.oversize == (over > 0)


def test_row_39_what_is_no_multipart_body_is_an_error() -> None:
    page = b"<html><body>" + b"<p>Not authorised</p>\r\n" * 4000
    for reader in (PartReader(), MultipartParser()):
        with pytest.raises(ProtocolError, match="multipart") as caught:
            feed_all(reader, page, 1000)
        assert caught.value.offset is not None
        assert caught.value.offset <= 1 << 16
        assert caught.value.head
    with pytest.raises(ProtocolError):
        PartReader().feed(b"-" * 70_000)


def test_row_48_memory_of_remembered_headers_is_bounded() -> None:
    reader = PartReader()
    for number in range(20):
        reader.feed(whole())
        reader.feed(
            b"".join(
                part(b"x").replace(b"Content-L", b"X-%d-%d: y\r\nContent-L" % (number, n))
                for n in range(200)
            )
        )
    assert reader.parts == 20 * 203
    assert reader.desyncs == reader.bad_parts == 0
    assert len(reader._heads) <= 64
    reader.feed(part(b"x").replace(b"Content-L", b"X: " + b"y" * 4000 + b"\r\nContent-L"))
    reader.feed(part(b"x", eol=b"\n") + whole())
    assert reader.desyncs == reader.bad_parts == 0
    assert max(map(len, reader._heads)) < 256
    assert all(head[-1:].isdigit() for head in reader._heads)


# --- downloads


def test_a_download_streams_bodies_of_any_size() -> None:
    parser = MultipartParser()
    [begin] = parser.feed(b"--b\r\nContent-Length: 99999999999\r\n\r\n")
    assert begin == PartBegin({"content-length": "99999999999"}, "", 99_999_999_999)
    tracemalloc.start()
    try:
        for _ in range(200):
            assert parser.feed(b"x" * 65_536) == [PartData(b"x" * 65_536)]
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert parser.close() == []
    assert parser.truncated


def test_a_download_without_lengths_holds_back_a_delimiter_s_length_only() -> None:
    parser = MultipartParser()
    parser.feed(b"--myboundary\r\nX-RecData-Satus: 0\r\n\r\n")
    tracemalloc.start()
    try:
        sent = got = 0
        for _ in range(100):
            sent += 65_536
            for event in parser.feed(b"\r\n--mybounda" * 5461 + b"xxxx"):
                assert isinstance(event, PartData)
                got += len(event.data)
            assert sent - got < 32
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_download_part_without_headers() -> None:
    assert joined(b"--b\r\n\r\ndata\r\n--b--", 1) == [b"data"]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_download_never_skips_from_a_closing_mark_to_the_next_part(size: int) -> None:
    data = part(b"one\r\n--myboundary--two", None) + part(b"three")
    with pytest.raises(ProtocolError, match="behind its closing mark"):
        feed_all(MultipartParser(), data, size)


@pytest.mark.parametrize("error", [-1, 3, 4])
def test_a_download_never_skips(error: int) -> None:
    data = part(b"one") + part(b"12345", str(5 + error)) + part(b"two") + part(b"three")
    parser = MultipartParser()
    with pytest.raises(ProtocolError, match="no delimiter") as caught:
        parser.feed(data)
    assert caught.value.offset is not None
    assert data[caught.value.offset :].startswith(caught.value.head)
