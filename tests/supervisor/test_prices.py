"""The last prices: carried over what happens to shares, whatever a feed has said before."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest

from ordersmith.actors.bars import Bars, CorporateAction, CorporateActionKind
from ordersmith.actors.quotes import Quote
from ordersmith.supervisor.prices import Prices

NOW = 10


def shown(*rows: tuple[float, ...], split: str | None = None) -> Prices:
    """Return prices that have seen these rows of A, the last with a split."""
    prices = Prices()
    for number, row in enumerate(rows):
        is_last = number == len(rows) - 1
        actions = ()
        if split is not None and is_last:
            action = CorporateAction(kind=CorporateActionKind.SPLIT, symbol="A", session=number, ratio=Decimal(split))
            actions = (action,)
        bars = Bars(number, number + 1, number, False, {} if is_last and split else {"A": row}, actions=actions)
        prices.show(bars, bars.end_ns)
    return prices


def test_a_split_carries_the_last_price_over() -> None:
    """Until the first bar of new shares, the old price on their terms is all there is."""
    row = (10.0, 12.0, 8.0, 10.0, 100.0)
    assert shown(row, row, split="2").known.rows["A"] == (5.0, 6.0, 4.0, 5.0, 200.0)


@pytest.mark.parametrize("price", [math.nan, math.inf, -math.inf])
def test_a_split_upon_what_is_no_price_leaves_it_none(price: float) -> None:
    """A bad tick before a split is still a bad tick after it, and breaks nothing."""
    row = (10.0, 12.0, 8.0, price, 100.0)
    close = shown(row, row, split="2").known.rows["A"][3]
    assert not math.isfinite(close)


def quoted(at_ns: int, last: float = math.nan, bid: float = 9.0, ask: float = 9.2) -> Quote:
    return Quote("A", bid, ask, 1.0, 1.0, last, at_ns)


def test_of_a_bar_and_a_quote_the_newer_says_the_price() -> None:
    """Everybody sees the same price of a symbol: that of what was seen last, a quote winning a tie."""
    prices = shown((10.0, 12.0, 8.0, 11.0, 100.0))  # it ends at 1
    prices.quote([quoted(0, 9.0)], NOW)
    assert prices.known.last_price("A") == prices.shown.last_price("A") == 11
    prices.quote([quoted(1, 9.5)], NOW)
    assert prices.known.last_price("A") == prices.shown.last_price("A") == Decimal("9.5")
    prices.show(Bars(1, 2, 1, False, {"A": (10.0, 12.0, 8.0, 10.5, 100.0)}), NOW)
    assert prices.known.last_price("A") == Decimal("10.5")
    assert prices.known.seen_ns("A") == 2
    prices.quote([quoted(3)], NOW)
    assert prices.known.last_price("A") == Decimal("9.1")
    assert prices.shown.seen_ns("A") == 3


def test_an_absurd_quote_is_seen_and_changes_no_price() -> None:
    """What it replaces is what a holding is valued by, and the gate can see that the quote is absurd."""
    prices = Prices()
    prices.quote([quoted(1, 9.5)], NOW)
    prices.quote([quoted(2, bid=9.4)], NOW)
    assert prices.known.last_price("A") == Decimal("9.5")
    assert prices.known.quotes["A"].at_ns == 2


def test_a_quote_that_comes_late_says_nothing() -> None:
    """One that was asked for may come after a newer one that was told."""
    prices = Prices()
    prices.quote([quoted(5, 9.5), quoted(4, 8.0)], NOW)
    assert prices.known.last_price("A") == Decimal("9.5")
    assert prices.known.seen_ns("A") == 5


def test_a_quote_stamped_ahead_of_our_clock_is_seen_now() -> None:
    """It is fresh for no longer than another, and what comes after it by our clock is newer."""
    prices = Prices()
    prices.quote([quoted(NOW + 60, 9.5)], NOW)
    assert prices.known.seen_ns("A") == prices.known.quotes["A"].at_ns == NOW
    prices.quote([quoted(NOW + 1, 9.6)], NOW + 1)
    assert prices.known.last_price("A") == Decimal("9.6")


def test_a_bar_that_ends_ahead_of_our_clock_is_seen_now() -> None:
    """A price is not fresh until a bar's end that is still to come, and a quote after the bar is newer than it."""
    prices = Prices()
    prices.show(Bars(NOW, NOW + 60, 1, False, {"A": (10.0, 12.0, 8.0, 10.5, 100.0)}), NOW)
    assert prices.known.seen_ns("A") == NOW
    prices.quote([quoted(NOW + 1, 9.6)], NOW + 1)
    assert prices.known.last_price("A") == Decimal("9.6")


def test_what_was_never_seen_has_neither_price_nor_time() -> None:
    """A symbol that nobody quotes is not known."""
    prices = Prices()
    assert prices.known.last_price("A") is None
    assert prices.known.seen_ns("A") is None
