"""The simulated exchange on live quotes: the far side, its size, and what becomes of each kind of order."""

from __future__ import annotations

from decimal import Decimal
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quote_kit import CLOSE, DAY, OPEN, SECOND, QuotedMarket, fills, kinds, quote

from ordersmith.actors.model import Order, OrderType, Side, Terms, TimeInForce
from ordersmith.actors.ports import Executed
from ordersmith.adapters.simulated.hours import Session
from ordersmith.adapters.simulated.quoted_exchange import FRESH_NS

NEXT = Session(1, DAY + OPEN, DAY + CLOSE)


def market(*quotes: Any, **rules: Any) -> QuotedMarket:
    made = QuotedMarket(**rules)
    made.quote(*quotes)
    return made


# --- The far side ------------------------------------------------------------------------------------------------------


def test_a_market_order_trades_at_the_far_side_as_much_as_stands_there() -> None:
    """A buy pays the ask and a sale gets the bid; what is more than its size waits."""
    made = market(quote(size=100))
    assert fills(made.buy("b.1", 150)) == [("b.1", "100", "10.1")]
    assert fills(made.sell("s.1", 60)) == [("s.1", "60", "10.0")]
    assert fills(made.quote(quote(ask=10.2, size=30))) == [("b.1", "30", "10.2")]
    assert fills(made.quote(quote(ask=10.3, size=300))) == [("b.1", "20", "10.3")]


def test_what_was_taken_stays_taken_while_the_quote_stands() -> None:
    """That the same is confirmed, or the other side moves, brings no new shares; another size or price does."""
    made = market(quote(size=100))
    made.buy("b.1", 500)
    assert not fills(made.quote(quote(size=100, at_ns=OPEN + 1)))
    assert not fills(made.quote(quote(bid=9.9, size=100, at_ns=OPEN + 2)))
    assert fills(made.quote(quote(size=120, at_ns=OPEN + 3))) == [("b.1", "120", "10.1")]
    assert fills(made.quote(quote(ask=10.2, size=120, at_ns=OPEN + 4))) == [("b.1", "120", "10.2")]


def test_orders_share_a_side_in_order_of_arrival() -> None:
    """The first to arrive is the first to trade, whatever its price."""
    made = market(quote(ask=11.0, size=100))
    made.buy("b1.1", 60, "10.5")
    made.buy("b2.1", 60, "10.9")
    assert fills(made.quote(quote(ask=10.4, size=100))) == [("b1.1", "60", "10.4"), ("b2.1", "40", "10.4")]


def test_a_quote_stamped_ahead_of_our_clock_grows_old_as_any_other() -> None:
    """It counts as seen now: nothing trades on it once it is older than a quote may be."""
    made = market(quote(at_ns=OPEN + 3600 * SECOND))
    made.now_ns = OPEN + FRESH_NS
    assert fills(made.buy("b.1", 10)) == [("b.1", "10", "10.1")]
    made.now_ns += 1
    assert not fills(made.buy("b.2", 10))


def test_a_limit_waits_until_the_far_side_crosses_it() -> None:
    """A touch of the ask is enough for a buy, and it pays what is asked and not its limit."""
    made = market(quote(ask=10.1))
    assert not fills(made.buy("b.1", 10, "10.05"))
    assert not fills(made.quote(quote(bid=10.04, ask=10.06)))
    assert fills(made.quote(quote(bid=10.0, ask=10.05))) == [("b.1", "10", "10.05")]
    assert not fills(made.sell("s.1", 10, "10.2"))
    assert fills(made.quote(quote(bid=10.3, ask=10.4))) == [("s.1", "10", "10.3")]


@pytest.mark.parametrize(
    "bad",
    [
        quote(bid=10.2, ask=10.1),
        quote(bid=nan),
        quote(ask=nan),
        quote(bid=0.0),
        quote(ask=0.0),
        quote(ask=inf),
        quote(size=0),
        quote(size=nan),
        quote(size=inf),
    ],
)
def test_nothing_trades_on_a_quote_that_is_none(bad: Any) -> None:
    """Crossed, zero, infinite, no number, or without a size: the order waits for the next one."""
    made = market(quote(last=10.0))
    made.quote(bad)
    assert kinds(made.buy("b.1", 10)) == ["Accepted"]
    assert fills(made.quote(quote(ask=10.2, at_ns=OPEN + 1))) == [("b.1", "10", "10.2")]


def test_nothing_trades_on_an_old_quote() -> None:
    """A feed that fell silent does not fill an order, not even an exit; its next word does."""
    made = market(quote())
    made.now_ns = OPEN + 61 * SECOND
    assert kinds(made.buy("b.1", 10)) == ["Accepted"]
    assert fills(made.quote(quote(at_ns=made.now_ns))) == [("b.1", "10", "10.1")]


def test_an_older_quote_that_comes_late_is_ignored() -> None:
    """An answer that was under way does not undo what the stream said since."""
    made = market()
    made.quote(quote(ask=10.5, at_ns=OPEN + 5), now_ns=OPEN + 5)
    made.buy("b.1", 10, "10.1")
    assert not made.quote(quote(ask=10.0, bid=9.9, at_ns=OPEN + 4))


def test_without_any_price_a_market_order_is_refused() -> None:
    """There is nothing that it could be reserved at."""
    made = market()
    (told,) = made.buy("b.1", 10)
    assert told.code == "NO_MARKET_DATA"


def test_slippage_and_participation_count_for_nothing() -> None:
    """They stand for the spread and the liquidity of bars, which a quote has itself."""
    made = market(quote(), slippage=Decimal("0.01"), participation=Decimal("0.1"))
    assert fills(made.buy("b.1", 100)) == [("b.1", "100", "10.1")]


def test_charges_are_those_of_the_rules() -> None:
    """A commission a share is charged on quotes as it is on bars."""
    made = market(quote(), commission_per_share=Decimal("0.01"))
    (told,) = (each for each in made.buy("b.1", 100) if isinstance(each, Executed))
    assert told.fill.commission == 1
    assert made.exchange.cash == 1_000_000 - 1010 - 1


# --- Times in force ----------------------------------------------------------------------------------------------------


def test_ioc_takes_what_there_is() -> None:
    """The rest is cancelled at once."""
    made = market(quote(size=40))
    told = made.buy("b.1", 100, time_in_force="IOC")
    assert fills(told) == [("b.1", "40", "10.1")]
    assert kinds(told) == ["Accepted", "Executed", "Cancelled"]
    assert "the last 60" in told[-1].text


def test_fok_is_all_or_nothing() -> None:
    """A share too few and nothing trades; enough and all does."""
    made = market(quote(size=100))
    assert kinds(made.buy("b1.1", 101, time_in_force="FOK")) == ["Accepted", "Cancelled"]
    assert fills(made.buy("b2.1", 100, time_in_force="FOK")) == [("b2.1", "100", "10.1")]
    assert kinds(made.buy("b3.1", 1, time_in_force="FOK")) == ["Accepted", "Cancelled"]


def test_ioc_beyond_the_market_is_cancelled() -> None:
    """Its limit is not at the far side, and it does not wait for it."""
    assert kinds(market(quote()).buy("b.1", 10, "10.05", time_in_force="IOC")) == ["Accepted", "Cancelled"]


def test_ioc_without_a_usable_quote_waits_for_the_first() -> None:
    """Its moment is the first quote that somebody could trade on."""
    made = market(quote(bid=10.3, last=10.0))
    assert kinds(made.buy("b.1", 200, time_in_force="IOC")) == ["Accepted"]
    assert kinds(made.quote(quote(at_ns=OPEN + 1))) == ["Executed", "Cancelled"]


# --- Stops -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "stop", "trigger"),
    [
        (Side.BUY, "10.5", quote(bid=10.4, ask=10.5)),
        (Side.BUY, "10.5", quote(last=10.5)),
        (Side.SELL, "9.5", quote(bid=9.5, ask=9.6)),
        (Side.SELL, "9.5", quote(last=9.5)),
    ],
)
def test_a_stop_is_triggered_by_the_far_side_or_the_last_trade(side: Side, stop: str, trigger: Any) -> None:
    """A touch is enough, and it trades at the far side of the quote that triggered it."""
    made = market(quote())
    order = Order(symbol="A", side=side, quantity=Decimal(10), order_type=OrderType.STOP, stop_price=Decimal(stop))
    assert kinds(made.send("x.1", order)) == ["Accepted"]
    far = trigger.ask if side is Side.BUY else trigger.bid
    assert fills(made.quote(trigger)) == [("x.1", "10", str(far))]


def test_a_stop_limit_becomes_a_limit_order() -> None:
    """Triggered beyond its limit it waits there, and is not triggered a second time."""
    made = market(quote())
    made.sell("s.1", 10, "9.45", stop_price="9.5")
    assert not made.quote(quote(bid=9.4, ask=9.5))
    assert made.exchange.has_moved()
    assert fills(made.quote(quote(bid=9.46, ask=9.6))) == [("s.1", "10", "9.46")]


def test_a_trailing_stop_follows_the_side_that_it_would_trade_at() -> None:
    """A wide spread does not trigger it as it arrives; it rises with the bid, never back, and sells when the bid falls."""
    made = market(quote(bid=10.0, ask=11.0, last=10.9))
    made.buy("b.1", 10)
    assert kinds(made.sell("s.1", 10, trail_amount="0.5")) == ["Accepted"]
    assert not made.quote(quote(bid=10.8, ask=11.0))
    assert not made.quote(quote(bid=10.31, ask=11.0, last=10.2))
    assert fills(made.quote(quote(bid=10.3, ask=11.0))) == [("s.1", "10", "10.3")]


# --- Replacement and cancel --------------------------------------------------------------------------------------------


def test_a_replacement_meets_the_quote_that_stands() -> None:
    """Its new limit is as good as a new order's."""
    made = market(quote())
    made.buy("b.1", 10, "9.0")
    told = made.replace("b.1", "b.2", Terms(Decimal(10), Decimal("10.1")))
    assert fills(told) == [("b.2", "10", "10.1")]


def test_what_is_cancelled_does_not_trade() -> None:
    """The quote that would have filled it comes too late."""
    made = market(quote())
    made.buy("b.1", 10, "9.0")
    assert kinds(made.cancel("b.1")) == ["Cancelled"]
    assert not made.quote(quote(bid=8.8, ask=8.9))


# --- Sessions ----------------------------------------------------------------------------------------------------------


def test_between_sessions_only_extended_hours_trade() -> None:
    """A DAY order sent then belongs to the next session, and trades with the first quote in it."""
    made = QuotedMarket(is_open=False)
    made.quote(quote())
    assert kinds(made.buy("b1.1", 10)) == ["Accepted"]
    assert fills(made.buy("b2.1", 10, "10.1", extended_hours=True)) == [("b2.1", "10", "10.1")]
    assert not made.exchange.open_session(NEXT)
    assert fills(made.quote(quote(ask=10.2, at_ns=NEXT.open_ns), now_ns=NEXT.open_ns)) == [("b1.1", "10", "10.2")]


def test_a_day_order_ends_with_its_session_and_a_gtc_order_does_not() -> None:
    """At the close; one with extended hours lasts until the next open."""
    made = market(quote())
    made.buy("day.1", 10, "9.0")
    made.buy("gtc.1", 10, "9.0", time_in_force="GTC")
    made.buy("ext.1", 10, "9.0", extended_hours=True)
    closed = made.exchange.close_session()
    assert [(type(each).__name__, each.wire_id) for each in closed] == [("Expired", "day.1")]
    opened = made.exchange.open_session(NEXT)
    assert [(type(each).__name__, each.wire_id) for each in opened] == [("Expired", "ext.1")]
    assert made.exchange.snapshot(1).orders[0].wire_id == "gtc.1"


def test_auction_orders_trade_at_the_first_and_the_last_quote_of_a_session() -> None:
    """OPG at the first quote after the open, CLS at the one that stands at the close; what is left expires."""
    made = QuotedMarket(is_open=False)
    made.quote(quote())
    made.now_ns = OPEN - 3600 * SECOND
    made.buy("opg.1", 150, time_in_force="OPG")
    made.buy("cls.1", 150, time_in_force="CLS")
    assert not made.exchange.open_session(Session(0, OPEN, CLOSE))
    told = made.quote(quote(ask=10.2, size=100), now_ns=OPEN)
    assert fills(told) == [("opg.1", "100", "10.2")]
    assert kinds(told) == ["Executed", "Expired"]
    made.quote(quote(ask=10.3, size=70, at_ns=CLOSE - SECOND), now_ns=CLOSE - SECOND)
    told = made.exchange.close_session()
    assert fills(told) == [("cls.1", "70", "10.3")]
    assert kinds(told) == ["Executed", "Expired"]


def test_a_margin_call_is_carried_out_at_the_next_sessions_quotes() -> None:
    """What is long is sold at the bid, once there is one."""
    made = market(quote(size=10_000), cash=Decimal(10_000), margin_call="liquidate")
    made.buy("b.1", 1900)
    made.quote(quote(bid=5.0, ask=5.1, last=5.0, at_ns=CLOSE - 1), now_ns=CLOSE - 1)
    assert kinds(made.exchange.close_session()) == ["MarginDeficit"]
    assert not made.exchange.open_session(NEXT)
    assert not made.quote(quote("B", at_ns=NEXT.open_ns), now_ns=NEXT.open_ns)
    (closed,) = made.quote(quote(bid=4.9, ask=5.2, at_ns=NEXT.open_ns), now_ns=NEXT.open_ns)
    assert (closed.quantity, closed.cash) == (-1900, Decimal("9310.0"))
    assert not made.exchange.positions


# --- Never -------------------------------------------------------------------------------------------------------------

cents = st.integers(900, 1100).map(lambda each: each / 100)
odd = st.sampled_from([nan, 0.0, -1.0, inf])
prices = st.one_of(cents, cents, cents, odd)
sizes = st.one_of(st.integers(0, 50).map(float), odd)
any_quote = st.builds(
    lambda bid, spread, ask, bid_size, ask_size, last: quote(
        bid=bid, ask=round(bid + spread, 2) if ask is None else ask, bid_size=bid_size, ask_size=ask_size, last=last
    ),
    prices,
    st.integers(0, 10).map(lambda each: each / 100),
    st.one_of(st.none(), st.none(), prices),
    sizes,
    sizes,
    prices,
)
price_text = st.integers(900, 1100).map(lambda each: f"{each / 100:.2f}")


@st.composite
def any_order(draw: Any) -> Order:
    kind = draw(st.sampled_from(OrderType))
    terms: dict[str, Any] = {}
    if kind in (OrderType.LIMIT, OrderType.STOP_LIMIT):
        terms["limit_price"] = draw(price_text)
    if kind in (OrderType.STOP, OrderType.STOP_LIMIT):
        terms["stop_price"] = draw(price_text)
    if kind is OrderType.TRAILING_STOP:
        terms["trail_amount"] = draw(st.sampled_from(["0.01", "0.25", "1.00"]))
    if kind in (OrderType.MARKET, OrderType.LIMIT):
        terms["time_in_force"] = draw(st.sampled_from(TimeInForce))
    make = draw(st.sampled_from([Order.buy, Order.sell]))
    return make("A", draw(st.integers(1, 120)), **terms)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(any_quote, any_order(), st.integers(0, 20)), max_size=40))
def test_never_more_than_the_size_never_worse_than_the_limit(steps: list[Any]) -> None:
    """Whatever is sent and quoted: fills are at the far side of a sane quote, within its size and the limit; FOK is whole."""
    made = QuotedMarket(cash=Decimal(10**9))
    made.quote(quote())
    now = quote()
    sent: dict[str, Order] = {}
    taken = {Side.BUY: Decimal(0), Side.SELL: Decimal(0)}
    standing = {Side.BUY: (now.ask, now.ask_size), Side.SELL: (now.bid, now.bid_size)}
    for number, step in enumerate(steps):
        if isinstance(step, Order):
            sent[f"o{number}"] = step
            told = made.send(f"o{number}.1", step)
        elif isinstance(step, int):
            told = made.cancel(f"o{step}.1")
        else:
            now = step
            if now.is_sane:
                for side, after in ((Side.BUY, (now.ask, now.ask_size)), (Side.SELL, (now.bid, now.bid_size))):
                    if after != standing[side]:
                        standing[side], taken[side] = after, Decimal(0)
            told = made.quote(now)
        for each in told:
            if not isinstance(each, Executed):
                continue
            order, fill = sent[each.wire_id.rpartition(".")[0]], each.fill
            assert now.is_sane
            price, size = standing[order.side]
            assert fill.price == Decimal(repr(price))
            taken[order.side] += fill.quantity
            assert taken[order.side] <= Decimal(repr(size))
            if order.limit_price is not None:
                assert fill.price <= order.limit_price if order.side is Side.BUY else fill.price >= order.limit_price
            assert order.time_in_force is not TimeInForce.FOK or fill.quantity == order.quantity
            assert each.cumulative_quantity <= order.quantity
