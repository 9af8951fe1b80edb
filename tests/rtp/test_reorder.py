"""The order of packets: late, doubled, lost, jumping, and of other senders (docs/faults.md rows 26 to 30)."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nvrclient.rtp.packet import RtpPacket
from nvrclient.rtp.reorder import MAX_WAIT, MAX_WAITING, Reorder
from tests.rtp.stream import LONG, packet

TICKS = 300  # a time stamp a packet: 300 packets a second


class Line:
    """A reorder step and a clock; packets are named by their place in the sender's sequence."""

    def __init__(self, *, start: int = 0, settle: bool = False, time_start: int = 0) -> None:
        self.reorder = Reorder(settle=settle)
        self.start, self.time_start = start, time_start
        self.now = 50.0
        self.out: list[int] = []
        self.due: list[RtpPacket] = []

    def push(self, number: int, *, step: float = 0.0) -> None:
        self.now += step
        self.take(self.made(number))

    def made(self, number: int) -> RtpPacket:
        return packet(
            self.start + number, self.time_start + number * TICKS, number.to_bytes(8, "big")
        )

    def take(self, one: RtpPacket) -> None:
        self.give(self.reorder.push(one, self.now))

    def give(self, due: list[RtpPacket]) -> None:
        self.due += due
        self.out += [int.from_bytes(one.payload, "big") for one in due]

    def wait(self, seconds: float = 1.0) -> None:
        until = self.now + seconds
        while (due := self.reorder.deadline) is not None and due <= until:
            self.now = max(due, self.now)
            self.give(self.reorder.flush(self.now))
        self.now = until

    def counts(self) -> dict[str, int]:
        names = ("lost", "reordered", "late", "duplicates", "strays", "restarts")
        return {name: value for name in names if (value := getattr(self.reorder, name))}

    def check(self) -> None:
        """The packets' own account of the gaps equals the counter; only a first one opens."""
        assert sum(one.lost for one in self.due) == self.reorder.lost
        assert not self.due or self.due[0].opens
        for before, after in zip(self.due, self.due[1:], strict=False):
            if not after.opens:
                gap = (after.sequence_number - before.sequence_number) & 0xFFFF
                assert after.lost == gap - 1


def displaced(count: int, distance: int, random: Random) -> list[int]:
    """A permutation in which nobody is more than `distance` places from home, and some are just that far."""
    order = sorted(range(count), key=lambda n: n + random.uniform(0, distance))
    assert all(abs(place - n) <= distance for place, n in enumerate(order))
    return order


@settings(max_examples=2000 if LONG else 150, deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    distance=st.integers(1, MAX_WAITING),
    start=st.integers(0, 0xFFFF) | st.integers(0xFFC0, 0xFFFF),
    time_start=st.sampled_from([0, 0xFFFFFFFF - 10 * TICKS]),
    settle=st.booleans(),
)
def test_row_27_bounded_reordering_loses_nothing(
    seed: int, distance: int, start: int, time_start: int, settle: bool
) -> None:
    random = Random(seed)
    line = Line(start=start, settle=settle, time_start=time_start)
    order = displaced(200, distance, random)
    if not settle:  # a byte stream: the first packet is the first
        order = [0, *[n for n in order if n]]
    for number in order:
        line.push(number, step=MAX_WAIT / 40)
    line.wait()
    assert line.out == list(range(200))
    line.check()
    assert not {"lost", "late", "duplicates", "strays", "restarts"} & set(line.counts())
    # And what comes after is judged as ever: one lost is one lost.
    line.push(201)
    line.wait()
    assert line.out[-1] == 201
    assert line.counts()["lost"] == 1
    line.check()


@pytest.mark.parametrize("distance", range(1, MAX_WAITING + 1))
def test_row_27_the_very_first_packet_comes_last(distance: int) -> None:
    line = Line(start=0xFFF0, settle=True)
    for number in (*range(1, distance), distance, 0):
        line.push(number)
    for number in range(distance + 1, distance + 5):
        line.push(number)
    line.wait()
    assert line.out == list(range(distance + 5))
    assert [one.opens for one in line.due] == [True] + [False] * (distance + 4)
    line.push(distance + 6)
    line.wait()
    assert line.reorder.lost == 1


@pytest.mark.parametrize("distance", [1, 31, 32])
def test_row_27_swapped_ends(distance: int) -> None:
    line = Line(settle=True)
    for number in (distance, *range(1, distance), 0, *range(distance + 1, distance + 40)):
        line.push(number)
    line.wait()
    assert line.out == list(range(distance + 40))
    assert not line.reorder.lost
    line.push(distance + 41)
    line.wait()
    assert line.reorder.lost == 1, "the opening does not swallow a later loss"
    line.check()


def test_row_27_deeper_than_the_window_is_late_and_never_out_of_order() -> None:
    line = Line()
    for number in (0, *range(2, 2 + MAX_WAITING + 1)):
        line.push(number)
    assert line.out == [0, *range(2, 35)]
    line.push(1)
    assert line.counts() == {"lost": 1, "late": 1}
    line.push(1)
    assert line.counts() == {"lost": 1, "late": 1, "duplicates": 1}
    line.check()


def test_row_27_later_than_the_wait() -> None:
    line = Line()
    line.push(0)
    line.push(2)
    assert line.reorder.deadline == pytest.approx(line.now + MAX_WAIT)
    line.wait(MAX_WAIT * 1.01)
    assert line.out == [0, 2]
    assert line.reorder.deadline is None
    line.push(1)
    assert line.counts() == {"lost": 1, "late": 1}
    # Without a timer the next packet notices.
    line.push(4)
    line.push(6, step=MAX_WAIT * 1.01)
    line.wait()
    assert line.out == [0, 2, 4, 6]
    line.check()


@settings(max_examples=1000 if LONG else 60, deadline=None)
@given(
    seed=st.integers(0, 1 << 30),
    rate=st.sampled_from([0.001, 0.01, 0.05]),
    burst=st.sampled_from([1, 3, 200]),
    start=st.integers(0, 0xFFFF),
)
def test_row_26_lost_equals_the_injected_loss(
    seed: int, rate: float, burst: int, start: int
) -> None:
    random = Random(seed)
    line = Line(start=start)
    kept = [0]
    number = 1
    while number < 3000:
        if random.random() < rate / burst:
            number += random.randint(1, burst)
        else:
            kept.append(number)
            number += 1
    for one in kept:
        line.push(one, step=0.001)
    line.wait()
    assert line.out == kept
    assert line.counts() == ({"lost": kept[-1] + 1 - len(kept)} if len(kept) <= kept[-1] else {})
    line.check()


@settings(max_examples=1000 if LONG else 60, deadline=None)
@given(seed=st.integers(0, 1 << 30), start=st.integers(0xFF00, 0xFFFF), settle=st.booleans())
def test_row_28_duplicates_change_nothing(seed: int, start: int, settle: bool) -> None:
    """Copies soon after, of packets that wait, and of lost ones' neighbours: each counted once."""
    random = Random(seed)
    plain, doubled = Line(start=start, settle=settle), Line(start=start, settle=settle)
    copies = 0
    window: list[int] = []
    for number in displaced(400, 8, random) if settle else range(400):
        if number and random.random() < 0.02:
            continue
        for line in (plain, doubled):
            line.push(number, step=0.001)
        window = [*window[-40:], number]
        for _ in range(random.choice([0, 0, 1, 3])):
            doubled.push(random.choice(window))
            copies += 1
    for line in (plain, doubled):
        line.wait()
        line.check()
    assert doubled.out == plain.out
    assert doubled.counts().get("duplicates", 0) + doubled.counts().get(
        "late", 0
    ) == copies + plain.counts().get("late", 0)


def test_row_28_copies_65536_packets_later() -> None:
    """The number is the expected one again, or the one just given; the time stamp tells."""
    line = Line(start=0xFFF0)
    for number in range(66_000):
        line.push(number)
        if number >= 65_536:
            line.push(number - 65_535 - number % 2)
    assert line.out == list(range(66_000))
    assert set(line.counts()) == {"strays"}
    assert line.reorder.strays + (line.reorder._probation is not None) == 66_000 - 65_536


def test_row_28_a_copy_of_a_packet_that_filled_a_number_given_up_a_lap_ago() -> None:
    line = Line()
    for number in range(65_700):
        if number != 100:
            line.push(number, step=0.003)
    line.push(65_536 + 100)
    assert line.counts() == {"lost": 1, "duplicates": 1}


def test_row_29_wraps_lose_nothing() -> None:
    """Numbers wrap every 65,536 packets, time stamps in between; 1,000 wraps in the long form."""
    reorder = Reorder()
    count = 65_536 * (1000 if LONG else 2)
    one = packet(0xFF00, 0xFFFF0000)
    for _ in range(count):
        assert reorder.push(one, 0.0) == [one]
        one.opens = False
        one.sequence_number = (one.sequence_number + 1) & 0xFFFF
        one.timestamp = (one.timestamp + 65_521) & 0xFFFFFFFF
    assert reorder.lost == reorder.strays == reorder.duplicates == reorder.reordered == 0
    assert reorder.restarts == 0


@pytest.mark.parametrize("start", [0xFFFF - 40, 0xFFFF, 0, 1])
@pytest.mark.parametrize("gap", [1, 31, 200, 2960])
def test_row_29_wrap_inside_a_burst(start: int, gap: int) -> None:
    line = Line(start=start, time_start=0xFFFFFFFF - 35 * TICKS)
    for number in range(30):
        line.push(number)
    for number in range(30 + gap, 30 + gap + 50):
        line.push(number)
    line.wait()
    assert line.out == [*range(30), *range(30 + gap, 80 + gap)]
    assert line.counts() == {"lost": gap}


@pytest.mark.parametrize("jump", [3002, 10_000, 32_767, 32_768, 40_000, 60_000, -2, -33, -3001])
@pytest.mark.parametrize("start", [0, 65_000])
def test_row_29_in_step_again_after_a_jump(jump: int, start: int) -> None:
    """Forward beyond any loss, or back: a new sequence with new time stamps (never 32,768 packets of silence)."""
    line = Line(start=start)
    for number in range(100):
        line.push(number)
    for number in range(100, 300):
        line.take(packet(start + number + jump, number * TICKS, number.to_bytes(8, "big")))
    line.wait()
    assert line.out[:100] == list(range(100))
    first = line.out[100]
    assert first <= 132
    assert line.out[100:] == list(range(first, 300))
    assert line.due[100].opens
    assert line.reorder.restarts == 1


@pytest.mark.parametrize("back", [900_001, 5_000_000, 1 << 31, 3 << 30])
def test_row_29_a_jump_of_the_time_stamp_alone_loses_nothing(back: int) -> None:
    line = Line(time_start=1 << 29)
    for number in range(100):
        line.push(number)
    line.time_start -= back
    for number in range(100, 200):
        line.push(number)
    assert line.out == list(range(200))
    assert line.reorder.lost == 0


@pytest.mark.parametrize("settle", [False, True])
def test_row_30_a_new_sender_is_followed_after_two_packets(settle: bool) -> None:
    line = Line(settle=settle)
    for number in range(50):
        line.push(number)
    line.wait()
    for sender in range(1, 1000 if LONG else 100):
        for number in range(4):
            line.take(
                packet(
                    77 * sender + number,
                    5 * sender,
                    (1000 + number).to_bytes(8, "big"),
                    ssrc=sender,
                )
            )
        assert line.out[-4:] == [1000, 1001, 1002, 1003]
        assert [one.opens for one in line.due[-4:]] == [True, False, False, False]
        assert line.reorder.restarts == sender
    assert line.counts() == {"restarts": line.reorder.restarts}


def test_row_30_what_waited_for_the_old_sender_comes_first() -> None:
    line = Line()
    for number in (0, 1, 3, 4, 6):
        line.push(number)
    for number in range(2):
        line.take(packet(9000 + number, 1, (100 + number).to_bytes(8, "big"), ssrc=9))
    assert line.out == [0, 1, 3, 4, 6, 100, 101]
    assert [one.lost for one in line.due] == [0, 0, 1, 0, 1, 0, 0]
    line.check()


@pytest.mark.parametrize("foreign", ["ssrc", "payload type", "number", "time stamp"])
def test_row_31_interleaved_strangers_never_capture_the_stream(foreign: str) -> None:
    line = Line()
    random = Random(3)
    strangers = 0
    for number in range(1000):
        line.push(number)
        if random.random() < 0.5:
            strangers += 1
            line.take(
                {
                    "ssrc": packet(strangers, number * TICKS, bytes(8), ssrc=99),
                    "payload type": packet(strangers, number * TICKS, bytes(8), payload_type=101),
                    "number": packet(30_000 + strangers, number * TICKS, bytes(8)),
                    "time stamp": packet(number + 2, number * TICKS - 2_000_000, bytes(8)),
                }[foreign]
            )
    line.push(1000)
    line.wait()
    assert line.out == list(range(1001))
    assert line.counts() == {"strays": strangers}


@pytest.mark.parametrize("ahead", [100, 300, 2999])
@pytest.mark.parametrize("gap", [False, True])
def test_row_31_a_wrong_number_a_little_ahead(ahead: int, gap: bool) -> None:
    """One packet with a damaged number, in place of the right one or beside it, does not wait to be in somebody's place."""
    line = Line()
    for number in range(4000):
        if number == 100:
            line.take(packet(100 + ahead, 100 * TICKS, (9999).to_bytes(8, "big")))
        if number != 100 or not gap:
            line.push(number, step=0.001)
    line.wait()
    assert line.out == [n for n in range(4000) if n != 100 or not gap]
    assert line.reorder.strays == 1
    assert line.reorder.lost == gap
    assert line.reorder.reordered <= 2
    line.check()


def test_row_31_a_stranger_first_of_all() -> None:
    """With settling it waits alone; the real sender's second packet shows which is which, and nothing is lost."""
    line = Line(settle=True)
    line.take(packet(500, 1, (7).to_bytes(8, "big"), ssrc=99))
    for number in range(100):
        line.push(number)
    line.wait()
    assert line.out == [7, *range(100)]
    assert line.reorder.lost == 0
    line.check()


@settings(max_examples=2000 if LONG else 200, deadline=None)
@given(st.data())
def test_row_55_anything_then_a_clean_sequence(data: st.DataObject) -> None:
    """Whatever came: at most 33 packets come out at once, and a clean run of another sender comes out whole."""
    reorder = Reorder(settle=data.draw(st.booleans()))
    now = 0.0
    out = 0
    opened = False
    wild = st.tuples(
        st.integers(0, 40) | st.integers(0xFFE0, 0xFFFF) | st.integers(0, 0xFFFF),
        st.sampled_from([0, 1, 90_000, 1_000_000, 1 << 31, 0xFFFFFFFF]),
        st.sampled_from([1, 1, 1, 2]),
        st.sampled_from([0.0, 0.0, 0.01, 0.2]),
    )
    last: RtpPacket | None = None
    packets = data.draw(st.lists(wild, max_size=60))
    for pushed, (number, timestamp, ssrc, step) in enumerate(packets, 1):
        now += step
        due = reorder.push(packet(number, timestamp, ssrc=ssrc), now)
        out += len(due)
        for one in due:
            assert one.opens or opened
            if not one.opens:
                assert last is not None
                assert (one.sequence_number - last.sequence_number) & 0xFFFF == one.lost + 1
            opened, last = True, one
        assert len(reorder._waiting) <= MAX_WAITING
        held = len(reorder._waiting) + (reorder._probation is not None)
        counted = reorder.duplicates + reorder.late + reorder.strays
        assert pushed == out + held + counted, "each packet is counted once"
    clean = [packet(200 + number, 7, ssrc=3) for number in range(40)]
    given_out = [one for sent in clean for one in reorder.push(sent, now)]
    given_out += reorder.flush(now + 1)
    assert [one for one in given_out if one.ssrc == 3] == clean


def test_reset_starts_over_and_keeps_the_counters() -> None:
    line = Line()
    for number in (0, 2, 3):
        line.push(number)
    line.wait()
    line.push(5)
    line.reorder.reset(settle=True)
    assert line.reorder.deadline is None
    for number in (41, 40, 42):
        line.push(number)
    line.wait()
    assert line.out == [0, 2, 3, 40, 41, 42]
    assert line.counts() == {"lost": 1}
