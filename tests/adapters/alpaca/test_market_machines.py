"""The pure parts of the feed: the board of quotes and the collector of minute bars."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordersmith.adapters.alpaca.bar_collector import WAIT_NS, BarCollector, Place, placing
from ordersmith.adapters.alpaca.latest import Latest
from ordersmith.adapters.alpaca.quote_board import BOARD_NS, SYMBOL_NS, QuoteBoard
from ordersmith.adapters.alpaca.stamps import MINUTE_NS, minute_before, session_day, stamp_ns
from ordersmith.adapters.calendar import SessionSchedule

SECOND = 10**9
T0 = stamp_ns(datetime(2026, 11, 20, 15, 0, tzinfo=UTC))
ROW = (1.0, 2.0, 0.5, 1.5, 10.0)


def anywhere(start_ns: int, end_ns: int) -> Place:
    return Place(0, regular=True, closes_session=False)


# --- Quotes ------------------------------------------------------------------------------------------------------------


def test_the_first_quote_is_told_at_once_and_the_next_ones_are_conflated() -> None:
    """A quiet symbol's change is told at once; of what follows within a quarter of a second only the newest."""
    board = QuoteBoard()
    board.quoted("A", 1.0, 2.0, 1, 1, T0, T0)
    assert [quote.bid for quote in board.due(T0)] == [1.0]
    for number in (2, 3, 4):
        board.quoted("A", float(number), 9.0, 1, 1, T0, T0 + number)
    assert board.due(T0 + BOARD_NS) == ()
    assert board.next_due_ns() == T0 + SYMBOL_NS
    assert [quote.bid for quote in board.due(T0 + SYMBOL_NS)] == [4.0]
    assert board.next_due_ns() is None


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.integers(1, 80_000_000)), min_size=1, max_size=200))
def test_no_symbol_is_told_more_than_four_times_a_second(steps) -> None:
    """Whatever comes however fast, a symbol's quotes are a quarter of a second apart, and the last one is told in the end."""
    board, now_ns, told = QuoteBoard(), T0, []
    for number, (symbol, wait_ns) in enumerate(steps):
        now_ns += wait_ns
        board.quoted(symbol, float(number), 9.0, 1, 1, T0, now_ns)
        told += [(now_ns, quote) for quote in board.due(now_ns)]
    while (due_ns := board.next_due_ns()) is not None:
        told += [(due_ns, quote) for quote in board.due(due_ns)]
    for symbol in "ABC":
        own = [(at_ns, quote.bid) for at_ns, quote in told if quote.symbol == symbol]
        assert all(later[0] - earlier[0] >= SYMBOL_NS for earlier, later in pairwise(own))
        last = [float(number) for number, step in enumerate(steps) if step[0] == symbol]
        assert [bid for _, bid in own][-1:] == last[-1:]


def test_an_old_answer_does_not_undo_the_stream() -> None:
    """Of an answer and the stream the later by the exchange counts, and a confirmation never makes a price older."""
    board = QuoteBoard()
    board.quoted("A", 5.0, 6.0, 1, 1, T0 + 10, T0 + 20)
    board.confirmed("A", Latest(1.0, 2.0, 1, 1, T0 + 5, 1.5, T0 + 5), asked_ns=T0)
    (quote,) = board.due(T0 + SECOND)
    assert (quote.bid, quote.last, quote.at_ns) == (5.0, 1.5, T0 + 20)


def test_a_confirmation_makes_a_price_fresh() -> None:
    """The same price confirmed later is told again, as of when it was asked for."""
    board = QuoteBoard()
    latest = Latest(1.0, 2.0, 3, 4, T0, 1.5, T0)
    for asked_ns in (T0, T0 + 15 * SECOND):
        board.confirmed("A", latest, asked_ns)
        (quote,) = board.due(asked_ns + SECOND)
        assert (quote.bid, quote.ask, quote.bid_size, quote.ask_size, quote.last) == (1.0, 2.0, 3, 4, 1.5)
        assert quote.at_ns == board.seen_ns("A") == asked_ns
    assert board.seen_ns("B") == 0


def test_a_stamp_in_the_future_does_not_keep_what_comes_after_it_away() -> None:
    """A quote and a trade stamped an hour ahead are replaced by the next answer, as any others are."""
    board = QuoteBoard()
    hour_ns = 3600 * SECOND
    board.quoted("A", 5.0, 6.0, 1, 1, T0 + hour_ns, T0)
    board.traded("A", 5.5, T0 + hour_ns, T0)
    later_ns = T0 + 15 * SECOND
    board.confirmed("A", Latest(1.0, 2.0, 1, 1, later_ns - SECOND, 1.5, later_ns - SECOND), later_ns)
    (quote,) = board.due(later_ns)
    assert (quote.bid, quote.last, quote.at_ns) == (1.0, 1.5, later_ns)
    board.confirmed("A", Latest(3.0, 4.0, 1, 1, later_ns + hour_ns, 3.5, later_ns + hour_ns), later_ns)
    board.quoted("A", 7.0, 8.0, 1, 1, later_ns + SECOND, later_ns + SECOND)
    board.confirmed(
        "A", Latest(7.1, 8.1, 1, 1, later_ns + 2 * SECOND, 7.5, later_ns + 2 * SECOND), later_ns + 3 * SECOND
    )
    (quote,) = board.due(later_ns + 4 * SECOND)
    assert (quote.bid, quote.last) == (7.1, 7.5)


# --- Bars --------------------------------------------------------------------------------------------------------------


def test_a_minute_waits_two_seconds_for_the_others() -> None:
    """Without the bars of all symbols a minute is told two seconds after its first one."""
    collector = BarCollector(anywhere)
    now_ns = T0 + MINUTE_NS
    collector.take("A", T0, ROW, now_ns)
    assert collector.due(now_ns + WAIT_NS - 1, 2) == []
    assert collector.next_due_ns() == now_ns + WAIT_NS
    (bars,) = collector.due(now_ns + WAIT_NS, 2)
    assert (bars.start_ns, bars.end_ns, bars.rows) == (T0, T0 + MINUTE_NS, {"A": ROW})
    assert collector.next_due_ns() is None


def test_what_is_late_is_not_told_and_a_repeated_bar_changes_nothing() -> None:
    """A bar of a minute that was told is late; of one minute and symbol the first bar counts."""
    collector = BarCollector(anywhere)
    collector.take("A", T0, ROW, T0)
    collector.take("A", T0, (9.0, 9.0, 9.0, 9.0, 9.0), T0)
    assert [bars.rows for bars in collector.due(T0, 1)] == [{"A": ROW}]
    collector.take("B", T0, ROW, T0)
    assert (collector.late, collector.due(T0 + WAIT_NS, 1)) == (1, [])


def test_a_held_collector_tells_nothing_and_then_all_in_order() -> None:
    """What comes while a gap is filled waits, and is told after what filled it."""
    collector = BarCollector(anywhere, told_ns=T0)
    collector.hold()
    collector.take("A", T0 + 2 * MINUTE_NS, ROW, T0)
    assert (collector.due(T0 + SECOND * 60, 1), collector.next_due_ns()) == ([], None)
    collector.take("A", T0, ROW, T0)
    collector.take("A", T0 + MINUTE_NS, ROW, T0)
    collector.release()
    assert [bars.start_ns for bars in collector.due(T0, 1)] == [T0, T0 + MINUTE_NS, T0 + 2 * MINUTE_NS]


def test_only_new_minutes_are_told_after_the_beginning() -> None:
    """The first connection tells minutes from about now on; a gap that is known is not forgotten by a later one."""
    collector = BarCollector(anywhere)
    collector.begin(T0 + 5)
    assert collector.told_ns == T0 - MINUTE_NS
    collector.begin(T0 + 60 * MINUTE_NS)
    assert collector.told_ns == T0 - MINUTE_NS


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 6), st.integers(0, 3 * SECOND)), max_size=60))
def test_minutes_are_told_in_order_and_once(steps) -> None:
    """However bars come, the ends of what is told increase strictly, and nothing that waited is lost."""
    collector, now_ns, told, taken = BarCollector(anywhere), T0, [], 0
    for symbol, minute, wait_ns in steps:
        now_ns += wait_ns
        collector.take(symbol, T0 + minute * MINUTE_NS, ROW, now_ns)
        told += collector.due(now_ns, 3)
        taken += 1
    told += collector.due(now_ns + WAIT_NS, 3)
    ends = [bars.end_ns for bars in told]
    assert ends == sorted(set(ends))
    rows = sum(len(bars.rows) for bars in told)
    assert rows + collector.late <= taken
    assert collector.next_due_ns() is None


AT_OPEN = stamp_ns(datetime(2026, 11, 27, 14, 30, tzinfo=UTC))  # the day after Thanksgiving: until 13:00


@pytest.mark.parametrize(
    ("hours", "by_clock", "by_calendar"),
    [
        (-1, (False, False), (False, False)),
        (0, (True, False), (True, False)),
        (3.5 - 1 / 60, (True, False), (True, True)),
        (3.5, (True, False), (False, False)),
        (6.5 - 1 / 60, (True, True), (False, False)),
        (6.5, (False, False), (False, False)),
    ],
)
def test_minutes_know_their_place_in_the_session(hours, by_clock, by_calendar) -> None:
    """With a calendar half days end when they end; without one the usual hours count."""
    session = date(2026, 11, 27).toordinal() - date(1970, 1, 1).toordinal()
    closes_ns = AT_OPEN + int(3.5 * 3600) * SECOND
    schedule = SessionSchedule("XNYS", "America/New_York", [(session, AT_OPEN, closes_ns)])
    start_ns = minute_before(AT_OPEN + round(hours * 60) * MINUTE_NS)
    assert placing(None)(start_ns, start_ns + MINUTE_NS) == (session, *by_clock)
    assert placing(schedule)(start_ns, start_ns + MINUTE_NS) == (session, *by_calendar)


def test_an_evening_belongs_to_the_day_in_new_york() -> None:
    """Half past midnight UTC is still the session of the day before."""
    evening_ns = stamp_ns(datetime(2026, 11, 20, 0, 30, tzinfo=UTC))
    assert session_day(evening_ns) == date(2026, 11, 19).toordinal() - date(1970, 1, 1).toordinal()
    assert not placing(SessionSchedule("X", "UTC", []))(evening_ns, evening_ns + MINUTE_NS).regular
