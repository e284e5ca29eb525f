"""Fills against quotes and along bars: who trades, at which price, and how much."""

from __future__ import annotations

from decimal import Decimal
from math import inf, nan
from typing import Any

import pytest
from alpaca_books_kit import CLOSE, MINUTE_NS, Books

from ordersmith.actors.bars import Bars


def filled(books: Books, order: dict[str, Any]) -> tuple[str, str | None]:
    row = books.broker.order(order["id"])
    return row["filled_qty"], row["filled_avg_price"]


# --- Quotes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "price"), [("buy", "100.01"), ("sell", "99.99")])
def test_who_takes_pays_the_far_side(side: str, price: str) -> None:
    """A market order buys at the ask and sells at the bid."""
    books = Books()
    assert filled(books, books.send(side=side)) == ("10", price)


@pytest.mark.parametrize(("limit", "price"), [("100", None), ("100.01", "100.01"), ("105", "100.01")])
def test_a_limit_buys_at_the_ask_or_not(limit: str, price: str | None) -> None:
    """A limit trades from the ask on, at the ask, which may be better than its own price."""
    books = Books()
    assert filled(books, books.rest(limit))[1] == price


def test_a_limit_waits_for_the_market() -> None:
    """A resting order fills with the first quote that comes to it."""
    books = Books()
    order = books.rest("99")
    books.quote(98.99, 99.01)
    assert filled(books, order) == ("0", None)
    books.quote(98.98, 99)
    assert filled(books, order) == ("10", "99")


def test_a_size_is_taken_once() -> None:
    """The orders share the size of a quote in the order of their arrival, and the next quote brings a new one."""
    books = Books()
    first, second = books.rest("99", qty="10"), books.rest("99", qty="10")
    books.quote(98.98, 99, 12)
    third = books.send(qty="5")
    assert [filled(books, each)[0] for each in (first, second, third)] == ["10", "2", "0"]
    books.quote(98.98, 99, 100)
    assert [filled(books, each)[0] for each in (first, second, third)] == ["10", "10", "5"]


def test_sizes_may_be_ignored() -> None:
    """Without the limit an order is filled whole, as Alpaca's paper engine does it."""
    books = Books(limited_by_size=False)
    books.quote(99.99, 100.01, 1)
    assert filled(books, books.send())[0] == "10"


@pytest.mark.parametrize("ask", [None, nan, inf, 0, -1, "NaN"])
def test_what_is_no_price_fills_nothing(ask: Any) -> None:
    """A side that is missing, zero, negative or not a number is no market."""
    books = Books()
    books.quote(99.99, ask)
    assert filled(books, books.send())[0] == "0"


def test_a_crossed_quote_fills_nothing() -> None:
    """A bid above the ask is a market at which nobody trades."""
    books = Books()
    books.quote(101, 100)
    assert filled(books, books.send())[0] == "0"


def test_a_halted_stock_takes_orders_and_does_not_trade() -> None:
    """Orders wait as long as the halt lasts, and cancels work."""
    books = Books()
    books.broker.set_asset("AAPL", halted=True)
    order, other = books.send(), books.send()
    books.quote(99, 99.02)
    books.cancel(other["id"])
    assert (books.status(order["id"]), books.status(other["id"])) == ("new", "canceled")
    books.broker.set_asset("AAPL", halted=False)
    books.quote(99, 99.02)
    assert filled(books, order) == ("10", "99.02")


def test_chance_cuts_fills_and_nothing_is_lost() -> None:
    """With partial fills an order fills in whole shares, a part with each quote, until it is full."""
    books = Books(partial_probability=1.0)
    order = books.send(qty="1000")
    for _ in range(40):
        books.quote(99.99, 100.01)
    parts = [Decimal(each["qty"]) for each in books.updates(order["id"]) if each["event"].endswith("fill")]
    assert books.status(order["id"]) == "filled"
    assert len(parts) > 1
    assert sum(parts) == 1000
    assert all(part == int(part) > 0 for part in parts)


def test_another_seed_is_another_chance() -> None:
    """The same seed has the same fills, another one others."""

    def story(seed: int) -> list[str]:
        books = Books(partial_probability=0.5, seed=seed)
        for _ in range(8):
            books.send(qty="100")
            books.quote(99.99, 100.01)
        return [str(each.get("qty")) for each in books.updates()]

    assert story(1) == story(1) != story(2)


def test_an_amount_buys_a_fraction() -> None:
    """A notional order has no quantity, and is filled with the nine digits that its amount is good for."""
    books = Books()
    order = books.send(notional="500")
    row = books.broker.order(order["id"])
    assert (row["notional"], row["qty"], row["filled_qty"], row["status"]) == ("500", None, "4.999500049", "filled")
    assert books.broker.activities()[0]["leaves_qty"] == "0"


def test_an_amount_fills_in_parts() -> None:
    """The size of a quote limits a notional order, too, and the rest of the amount buys at the next price."""
    books = Books()
    books.quote(99, 100, 2)
    order = books.send(notional="500")
    assert (books.status(order["id"]), filled(books, order)[0]) == ("partially_filled", "2")
    books.quote(119, 120, 50)
    assert (books.status(order["id"]), filled(books, order)[0]) == ("filled", "4.5")


# --- Stops --------------------------------------------------------------------------------------------------------------


def test_a_stop_sells_at_the_market_below_it() -> None:
    """It rests above its price, and is a market order once the bid has touched it."""
    books = Books()
    books.send()
    order = books.send(side="sell", type="stop", stop_price="95")
    books.quote(95.01, 95.03)
    assert filled(books, order)[0] == "0"
    books.quote(94.5, 94.52, 4)
    books.quote(96, 96.02)
    assert [each["price"] for each in books.updates(order["id"]) if each["event"].endswith("fill")] == ["94.5", "96"]


def test_a_stop_limit_keeps_its_limit() -> None:
    """Once touched it is a limit order, which waits where the market has jumped over it."""
    books = Books()
    books.send()
    order = books.send(side="sell", type="stop_limit", stop_price="95", limit_price="94.9")
    books.quote(94.5, 94.52)
    assert filled(books, order)[0] == "0"
    books.quote(94.95, 94.97)
    assert filled(books, order) == ("10", "94.95")


def test_a_trailing_stop_follows_one_way() -> None:
    """Its stop rises with the best bid, shows that, and does not come down again."""
    books = Books()
    books.send()
    order = books.send(side="sell", type="trailing_stop", trail_percent="2")
    seen = []
    for bid in (110, 109, 107.81, 107.8):
        books.quote(bid, bid + 0.02)
        row = books.broker.order(order["id"])
        seen.append((row["hwm"], row["stop_price"], row["status"]))
    assert seen == [("110", "107.8", "new")] * 3 + [("110", "107.8", "filled")]


def test_a_trailing_buy_follows_down() -> None:
    """The stop of a buy falls with the best ask."""
    books = Books()
    order = books.send(type="trailing_stop", trail_price="2")
    books.quote(89.98, 90)
    assert books.broker.order(order["id"])["stop_price"] == "92"
    books.quote(91.98, 92)
    assert filled(books, order) == ("10", "92")


# --- Bars ---------------------------------------------------------------------------------------------------------------


def test_a_market_order_gets_the_open() -> None:
    """What waits when a bar begins trades at its first price."""
    books = Books(quote=False)
    order = books.send()
    books.bar(50, 55, 45, 52)
    assert filled(books, order) == ("10", "50")


@pytest.mark.parametrize(("limit", "price"), [("51", "50"), ("47", "47"), ("45", "45"), ("44.99", None)])
def test_a_limit_gets_its_price_or_the_open(limit: str, price: str | None) -> None:
    """A limit inside of the bar trades at itself, one beyond the open at the open, one beyond the low not at all."""
    books = Books(quote=False)
    order = books.rest(limit)
    books.bar(50, 55, 45, 52)
    assert filled(books, order)[1] == price


@pytest.mark.parametrize(("stop", "price"), [("46", "46"), ("51", "50"), ("44", None)])
def test_a_stop_gets_its_price_or_the_open(stop: str, price: str | None) -> None:
    """A stop trades at itself where the bar passes it, and at the open where the bar begins beyond."""
    books = Books()
    books.send()
    order = books.send(side="sell", type="stop", stop_price=stop)
    books.bar(50, 55, 45, 52)
    assert filled(books, order)[1] == price


@pytest.mark.parametrize(("opened", "first"), [(48, "stop"), (52, "limit")])
def test_the_nearer_extreme_comes_first(opened: float, first: str) -> None:
    """A bar that reaches both exits of a bracket fills the one on the side of the extreme nearer to its open."""
    books = Books(quote=False)
    books.quote(49.99, 50.01)
    order = books.send(order_class="bracket", take_profit={"limit_price": "54"}, stop_loss={"stop_price": "46"})
    books.bar(opened, 55, 45, 50)
    assert books.leg(order, first)["status"] == "filled"
    assert books.position() == "0"


def test_a_leg_meets_only_what_comes_after_its_entry() -> None:
    """An entry in the fall of a bar arms a stop for what is left of the fall, and a profit for the rise after it."""
    books = Books(quote=False)
    order = books.rest("47", order_class="bracket", take_profit={"limit_price": "54"}, stop_loss={"stop_price": "40"})
    books.bar(49, 55, 45, 50)
    assert books.broker.order(order["id"])["filled_avg_price"] == "47"
    assert books.leg(order, "limit")["filled_avg_price"] == "54"


def test_a_trailing_stop_follows_a_bar() -> None:
    """It rises to the high of a bar and is reached on the way down from it."""
    books = Books(quote=False)
    books.quote(50, 50)
    books.send()
    order = books.send(side="sell", type="trailing_stop", trail_price="3")
    books.bar(50, 60, 49, 55)
    assert filled(books, order) == ("10", "57")


def test_a_bar_has_its_volume_and_no_more() -> None:
    """With a participation all orders of a bar share that part of its volume."""
    books = Books(quote=False, participation=Decimal("0.1"))
    first, second = books.rest("50", qty="60"), books.rest("47", qty="100")
    books.bar(50, 55, 45, 52, volume=1000)
    assert [filled(books, each)[0] for each in (first, second)] == ["60", "40"]


@pytest.mark.parametrize("row", [(nan, 55, 45, 52), (50, inf, 45, 52), (50, 55, 0, 52), (50, 55, 45, -1)])
def test_a_bar_that_is_none_fills_nothing(row: tuple[float, float, float, float]) -> None:
    """A bar with a price that is none is passed over."""
    books = Books(quote=False)
    order = books.send()
    books.bar(*row)
    assert filled(books, order)[0] == "0"


def test_the_last_bar_of_a_session_still_trades() -> None:
    """A bar that ends with the session belongs to it: what it fills is filled, and only the rest expires."""
    books = Books(CLOSE - MINUTE_NS, quote=False)
    bought, other = books.rest("50"), books.rest("40")
    bars = Bars(CLOSE - MINUTE_NS, CLOSE, 20_777, closes_session=True, rows={"AAPL": (50.0, 55.0, 45.0, 52.0, 100.0)})
    books.broker.on_bars(CLOSE, bars)
    assert [books.status(each["id"]) for each in (bought, other)] == ["filled", "expired"]
