"""The paper venue on live quotes: made again from the quotes that were taken down, and no others are."""

from __future__ import annotations

from decimal import Decimal, localcontext
from math import nan
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paper_kit import ARITHMETIC, INSTRUMENTS, NoArchive, state_of
from quote_kit import CLOSE, DAY, FOREVER, OPEN, SECOND, DaySessions, fills, kinds, quote

from ordersmith.actors.model import Order, Terms
from ordersmith.actors.ports import CancelRequest, NewOrder, ReplaceRequest
from ordersmith.adapters.paper.inputs import AnyInput, Quoted, SessionBegan, SessionOver, Stepped
from ordersmith.adapters.paper.quoted_venue import QuotedVenue
from ordersmith.adapters.paper.venue import PaperVenue
from ordersmith.adapters.simulated.rules import ExchangeRules

FRESH = 60 * SECOND
CASH = Decimal(1_000_000)


def venue_of(rules: ExchangeRules = ExchangeRules(cash=CASH)) -> QuotedVenue:  # noqa: B008 - frozen
    return QuotedVenue(rules, INSTRUMENTS, NoArchive(), DaySessions(), fresh_ns=FRESH)


def made_again(kept: list[bytes], rules: ExchangeRules) -> QuotedVenue:
    venue = venue_of(rules)
    for data in kept:
        for made in msgspec.msgpack.decode(data, type=list[AnyInput]):
            venue.again(made, lambda: pytest.fail("there are no bars"))
    return venue


def whole_state(venue: QuotedVenue) -> dict[str, Any]:
    """Return all that a venue's later answers depend on. What stands of a quote that is gone counts where it was taken."""
    exchange = venue.exchange
    touches = {
        symbol: (each.quote, *((side.price, side.size, side.taken) for side in (each.bid, each.ask) if side.taken))
        for symbol, each in sorted(exchange._quotes.touches.items())
    }
    marks = {name: order.mark for name, order in exchange._orders.open.items()}
    counted = (venue.now_ns, venue.told, exchange.session, exchange._overnight.has_called)
    return {**state_of(venue), "touches": repr(touches), "marks": marks, "counted": counted}


# --- Made again --------------------------------------------------------------------------------------------------------

cents = st.integers(950, 1050)
quotes = st.builds(
    lambda symbol, bid, spread, size, last: quote(symbol, bid / 100, (bid + spread) / 100, size, last=last / 100),
    st.sampled_from(["A", "L"]),
    cents,
    st.integers(-1, 6),
    st.integers(0, 12).map(lambda each: each * 5),
    st.one_of(cents, st.just(nan)),
)
limit = st.integers(950, 1050).map(lambda each: f"{each / 100:.2f}")
orders = st.builds(
    lambda make, symbol, lots, terms: make(symbol, lots * 5, **terms),
    st.sampled_from([Order.buy, Order.sell]),
    st.sampled_from(["A", "L"]),
    st.integers(1, 12),
    st.one_of(
        st.just({}),
        limit.map(lambda at: {"limit_price": at}),
        limit.map(lambda at: {"limit_price": at, "extended_hours": True, "time_in_force": "GTC"}),
        limit.map(lambda at: {"stop_price": at, "time_in_force": "GTC"}),
        st.tuples(limit, limit).map(lambda both: {"limit_price": both[0], "stop_price": both[1]}),
        st.sampled_from(["0.05", "0.20"]).map(lambda by: {"trail_amount": by}),
        st.sampled_from(["IOC", "FOK", "OPG", "CLS"]).map(lambda word: {"time_in_force": word}),
    ),
)
steps = st.one_of(
    st.lists(quotes, min_size=1, max_size=3),
    st.lists(quotes, min_size=1, max_size=3),
    orders,
    st.tuples(st.sampled_from(["cancel", "replace"]), st.integers(0, 30), limit),
    st.sampled_from([1, 30, 100, 9_000, 40_000, 86_400]),  # seconds that pass
)
rules_of = st.sampled_from(
    [
        ExchangeRules(cash=CASH, account_type="margin"),
        ExchangeRules(cash=Decimal(3_000), account_type="margin", margin_call="liquidate", borrow_rate=Decimal("0.1")),
        ExchangeRules(cash=CASH, settlement_days=1, commission_per_share=Decimal("0.01")),
        ExchangeRules(cash=CASH, account_type="margin", latency_submit_ns=2 * SECOND, latency_cancel_ns=SECOND),
    ]
)


class Driven:
    """A venue that is moved as the port moves it."""

    def __init__(self, venue: QuotedVenue, now_ns: int = OPEN - 100 * SECOND) -> None:
        self.venue = venue
        self.now_ns = now_ns
        self.said = self.pass_time(0)

    def pass_time(self, seconds: int) -> list[Any]:
        self.now_ns += seconds * SECOND
        said: list[Any] = []
        while (due_ns := self.venue.next_due_ns()) is not None and due_ns <= self.now_ns:
            said += self.venue.pass_time(due_ns) + self.venue.deliver(due_ns)
        return said + self.venue.pass_time(self.now_ns)

    def step(self, number: int, step: Any) -> list[Any]:
        if isinstance(step, int):
            return self.pass_time(step)
        if isinstance(step, list):
            seen = [msgspec.structs.replace(each, at_ns=self.now_ns) for each in step]
            return self.venue.quotes(seen, self.now_ns)
        if isinstance(step, Order):
            return self.venue.command(NewOrder(f"o{number}.1", step, FOREVER, 0), number, self.now_ns)
        word, of, at = step
        if word == "cancel":
            return self.venue.command(CancelRequest(f"o{of}.1"), number, self.now_ns)
        terms = Terms(Decimal(40), Decimal(at))
        return self.venue.command(ReplaceRequest(f"o{of}.1", f"o{of}.2", terms, FOREVER, 0), number, self.now_ns)


@settings(max_examples=250, deadline=None)
@given(rules_of, st.lists(steps, max_size=40), st.lists(steps, max_size=10))
def test_a_venue_is_made_again_from_what_was_taken_down(
    rules: ExchangeRules, before: list[Any], after: list[Any]
) -> None:
    """All that its answers depend on is what it was, and it says the same of whatever comes then."""
    kept: list[bytes] = []
    with localcontext(ARITHMETIC):
        driven = Driven(venue_of(rules))
        for number, step in enumerate(before):
            driven.step(number, step)
            kept.append(msgspec.msgpack.encode(driven.venue.log))
            driven.venue.taken_down()
        driven.venue._take_down(driven.venue.now_ns)  # as the next order would
        kept.append(msgspec.msgpack.encode(driven.venue.log))
        again = Driven(made_again(kept, rules), driven.now_ns)
        again.venue.now_ns = driven.venue.now_ns  # quotes that did nothing have moved it
        assert whole_state(again.venue) == whole_state(driven.venue)
        for number, step in enumerate(after, len(before)):
            told = [[report for report, _ in each.step(number, step)] for each in (again, driven)]
            assert told[0] == told[1]
        assert whole_state(again.venue) == whole_state(driven.venue)


# --- What is taken down ------------------------------------------------------------------------------------------------


def opened(rules: ExchangeRules = ExchangeRules(cash=CASH)) -> QuotedVenue:  # noqa: B008 - frozen
    venue = venue_of(rules)
    assert not venue.pass_time(OPEN)
    assert [type(each) for each in venue.log] == [SessionBegan]
    venue.quotes([quote(), quote("L")], OPEN)
    return venue


def test_quotes_that_do_nothing_are_not_taken_down() -> None:
    """A limit order may wait through any number of them; then comes the one that fills it."""
    venue = opened()
    venue.command(NewOrder("o.1", Order.buy("A", 5, "9.00"), FOREVER, 0), 1, OPEN)
    assert [type(each).__name__ for each in venue.log] == ["SessionBegan", "Quoted", "NewSent"]
    for number in range(1_000):
        venue.quotes([quote(bid=9.5 + number / 10_000, at_ns=OPEN + number)], OPEN + number)
    assert len(venue.log) == 3
    assert fills([report for report, _ in venue.quotes([quote(bid=8.9, ask=8.95, at_ns=OPEN + 2_000)], OPEN + 2_000)])
    last = venue.log[-1]
    assert isinstance(last, Quoted)
    assert [(each.symbol, each.ask) for each in last.quotes] == [("A", 8.95)]


def test_what_a_trailing_stop_has_followed_is_taken_down() -> None:
    """A quote that raises its stop tells nobody anything, and without it a later one would not trigger it."""
    venue = opened()
    with localcontext(ARITHMETIC):
        venue.command(NewOrder("b.1", Order.buy("A", 5), FOREVER, 0), 1, OPEN)
        venue.command(NewOrder("s.1", Order.sell("A", 5, trail_amount="0.50"), FOREVER, 0), 1, OPEN)
        for number, bid in enumerate((10.4, 10.3, 10.8, 10.5), 1):
            venue.quotes([quote(bid=bid, ask=11.0, at_ns=OPEN + number)], OPEN + number)
        followed = [each.quotes[0].bid for each in venue.log if isinstance(each, Quoted)]
        assert followed == [10.0, 10.4, 10.8]
        again = made_again([msgspec.msgpack.encode(venue.log)], venue.exchange.rules)
        last = [quote(bid=10.3, ask=11.0, at_ns=OPEN + 9)]
        assert fills([report for report, _ in again.quotes(last, OPEN + 9)]) == [("s.1", "5", "10.3")]


def test_shares_that_are_there_again_are_taken_down() -> None:
    """That others stood there in between is what makes the same size new shares."""
    venue = opened()
    with localcontext(ARITHMETIC):
        venue.command(NewOrder("b.1", Order.buy("A", 100), FOREVER, 0), 1, OPEN)
        venue.quotes([quote(size=90, at_ns=OPEN + 1)], OPEN + 1)
        venue.quotes([quote(size=100, at_ns=OPEN + 2)], OPEN + 2)
        again = made_again([msgspec.msgpack.encode(venue.log)], venue.exchange.rules)
        for each in (again, venue):
            said = each.command(NewOrder("c.1", Order.buy("A", 60), FOREVER, 0), 1, OPEN + 3)
            assert fills([report for report, _ in each.quotes([quote(size=100, at_ns=OPEN + 3)], OPEN + 3)]) == []
            assert fills([report for report, _ in said]) == [("c.1", "60", "10.1")]


def test_a_price_outlives_the_absurd_quote_that_comes_after_it() -> None:
    """A market order is reserved at the last price that there was, also by the venue that is made again."""
    venue = opened()
    with localcontext(ARITHMETIC):
        for number in (1, 2):
            venue.quotes([quote(bid=10.3, at_ns=OPEN + number)], OPEN + number)
        said = venue.command(NewOrder("b.1", Order.buy("A", 5), FOREVER, 0), 1, OPEN + 3)
        assert kinds([report for report, _ in said]) == ["Accepted"]
        again = made_again([msgspec.msgpack.encode(venue.log)], venue.exchange.rules)
        assert whole_state(again) == whole_state(venue)
        assert again.exchange.buying_power() == CASH - Decimal("50.25")


def test_an_order_that_was_under_way_meets_the_quote_of_its_arrival() -> None:
    """That quote did nothing when it came, and is taken down when the order is there."""
    venue = opened(ExchangeRules(cash=CASH, latency_submit_ns=SECOND))
    with localcontext(ARITHMETIC):
        venue.command(NewOrder("b.1", Order.buy("A", 5), FOREVER, 0), 1, OPEN)
        venue.quotes([quote(ask=10.2, at_ns=OPEN + 1)], OPEN + 1)
        assert fills([report for report, _ in venue.deliver(OPEN + SECOND)]) == [("b.1", "5", "10.2")]
        again = made_again([msgspec.msgpack.encode(venue.log)], ExchangeRules(cash=CASH, latency_submit_ns=SECOND))
        assert again.cash == venue.cash == CASH - 51


def test_an_order_takes_down_the_last_quotes_of_all_symbols_once() -> None:
    """What it is judged by may be any price; a second order at the same quotes takes down nothing."""
    venue = opened()
    venue.quotes([quote(bid=9.8, at_ns=OPEN + 1)], OPEN + 1)
    for number in range(2):
        venue.command(NewOrder(f"o{number}.1", Order.buy("A", 5, "9.00"), FOREVER, 0), 1, OPEN + 2)
    names = [type(each).__name__ for each in venue.log]
    assert names == ["SessionBegan", "Quoted", "NewSent", "NewSent"]
    assert {each.symbol: each.bid for each in venue.log[1].quotes} == {"L": 10.0, "A": 9.8}  # type: ignore[union-attr]


def test_a_cancel_takes_down_no_quotes() -> None:
    """It looks at none."""
    venue = opened()
    venue.command(CancelRequest("o.1"), 1, OPEN)
    assert [type(each).__name__ for each in venue.log] == ["SessionBegan", "CancelSent"]


# --- Sessions ----------------------------------------------------------------------------------------------------------


def test_sessions_that_nobody_was_here_for_open_and_close_one_after_the_other() -> None:
    """A DAY order from before a weekend away has expired at its own close."""
    venue = opened()
    venue.command(NewOrder("o.1", Order.buy("A", 5, "9.00"), FOREVER, 0), 1, OPEN)
    assert venue.next_session_ns() == CLOSE
    said = venue.pass_time(2 * DAY + OPEN + 5)
    assert kinds([report for report, _ in said]) == ["Expired"]
    assert [type(each) for each in venue.log[-4:]] == [SessionOver, SessionBegan, SessionOver, SessionBegan]
    assert venue.exchange.session is not None
    assert venue.next_session_ns() == 2 * DAY + CLOSE


def test_a_venue_on_bars_knows_no_quotes() -> None:
    """Their inputs are of another kind of account."""
    venue = PaperVenue(ExchangeRules(), INSTRUMENTS, NoArchive())
    with pytest.raises(TypeError, match="Quoted"):
        venue.again(Quoted((), 1), lambda: pytest.fail("no bars"))
    assert not [each for each in venue.log if isinstance(each, Stepped)]
