"""What a bar and an order cost in a full book, counted in operations, not in time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest

from ordersmith.actors.model import TimeInForce
from ordersmith.adapters.simulated.costs import KEPT, SHORTEST, as_decimal

MARGIN = {"account_type": "margin", "cash": 10_000_000, "participation": None}
GTC = {"time_in_force": TimeInForce.GTC}


class Counting:
    """Counts the looks into a container."""

    looks = 0

    def __getitem__(self, key: Any) -> Any:
        Counting.looks += 1
        return super().__getitem__(key)  # type: ignore[misc]

    def __iter__(self) -> Iterator[Any]:
        for item in super().__iter__():  # type: ignore[misc]
            Counting.looks += 1
            yield item

    def __reversed__(self) -> Iterator[Any]:
        for item in super().__reversed__():  # type: ignore[misc]
            Counting.looks += 1
            yield item

    def values(self) -> Any:
        Counting.looks += len(self)  # type: ignore[arg-type]
        return super().values()  # type: ignore[misc]

    def items(self) -> Any:
        Counting.looks += len(self)  # type: ignore[arg-type]
        return super().items()  # type: ignore[misc]


class CountingList(Counting, list):  # type: ignore[type-arg]
    pass


class CountingDict(Counting, dict):  # type: ignore[type-arg]
    pass


def crowded(market: Callable[..., Any], resting: int) -> Any:
    """Return a market with so many orders on each side, far from its price of 500, in containers that count."""
    m = market(**MARGIN)
    m.bar(500.0)
    for n in range(resting):
        m.buy(1, str(Decimal(1 + n) / 100), time_in_force=TimeInForce.GTC if n % 2 else TimeInForce.DAY)
        m.sell(1, str(Decimal(90_000 + n) / 100), **GTC)
    exchange = m.exchange
    book = exchange._book
    for ladder in (book.listings["A"].below, book.listings["A"].above):
        ladder.keys, ladder.levels = CountingList(ladder.keys), CountingDict(ladder.levels)
    exchange._orders.open = CountingDict(exchange._orders.open)
    exchange._day = book.day = CountingDict(book.day)
    return m


@contextmanager
def counted() -> Iterator[dict[str, int]]:
    """Count our own lines that run and the looks into the counting containers.

    Others' lines come and go, as with a garbage collection in between; and a price that is remembered costs less than a new one.
    """
    SHORTEST.clear()
    count = {"lines": 0, "looks": 0}

    def trace(frame: Any, event: str, argument: Any) -> Any:
        if not frame.f_globals.get("__name__", "").startswith("ordersmith."):
            return None
        count["lines"] += event == "line"
        return trace

    before, Counting.looks = sys.gettrace(), 0
    sys.settrace(trace)
    try:
        yield count
    finally:
        sys.settrace(before)
        count["looks"] = Counting.looks


def cost_of_a_bar(m: Any, *prices: float) -> dict[str, int]:
    with counted() as count:
        m.bar(*prices)
    return count


def test_a_bar_costs_the_same_however_many_orders_it_misses(market: Any) -> None:
    """Resting orders that a bar does not touch cost it nothing: the same lines run and no container of orders is read."""
    few, many = crowded(market, 100), crowded(market, 3000)
    assert cost_of_a_bar(few, 500.0) == cost_of_a_bar(many, 500.0)
    assert cost_of_a_bar(many, 500.0)["looks"] == 0


def test_a_bar_that_touches_an_order_reads_no_other(market: Any) -> None:
    """Filling one order among many costs the same in a small and in a large book."""
    costs = []
    for m in (crowded(market, 100), crowded(market, 3000)):
        m.buy(1)
        m.buy(1, "499.00")
        costs.append(cost_of_a_bar(m, 500.0, 500.0, 498.0, 499.0))
        assert m.exchange.positions == {"A": 2}
    assert costs[0] == costs[1]


@pytest.mark.parametrize("price", ["0.50", "15.005"])
def test_placing_and_cancelling_look_at_few(market: Any, price: str) -> None:
    """An order finds its place in a book of thousands by halving."""
    m = crowded(market, 3000)
    with counted() as count:
        m.buy(1, price[:5])
        m.cancel("o6001.1")
    assert 0 < count["looks"] < 40


def test_touched_orders_come_from_both_sides_and_all_levels(market: Any) -> None:
    """A wide bar fills every order in its range, in the order in which its path reaches them, and no other."""
    m = market(**MARGIN)
    m.bar(100.0)
    for limit in ("99.00", "97.00", "98.00", "99.00", "95.00"):
        m.buy(1, limit, **GTC)
    for limit in ("101.00", "103.00", "102.00", "101.00", "105.00"):
        m.sell(1, limit, **GTC)
    reports = m.bar(100.0, 103.5, 96.5, 100.0)
    assert [report.wire_id for report in reports] == [f"o{n}.1" for n in (6, 9, 8, 7, 1, 4, 3, 2)]
    assert m.bar(100.0, 104.0, 96.0, 100.0) == []
    assert [report.wire_id for report in m.bar(100.0, 106.0, 90.0, 100.0)] == ["o10.1", "o5.1"]


def test_an_emptied_side_touches_nothing(market: Any) -> None:
    """Once the last order of a side is gone, a bar at its price reads the book no further than before it came."""
    fresh, emptied = market(**MARGIN), market(**MARGIN)
    for m in (fresh, emptied):
        m.bar(500.0)
        m.sell(1, "900.00", **GTC)
    emptied.buy(1, "499.00", **GTC)
    emptied.cancel("o2.1")
    assert cost_of_a_bar(emptied, 490.0) == cost_of_a_bar(fresh, 490.0)


def test_a_price_is_the_same_number_whatever_came_before() -> None:
    """A price is the shortest decimal of its float, also when it is given as a whole number first, or kept no longer."""
    SHORTEST.clear()
    assert str(as_decimal(7)) == str(as_decimal(7.0)) == "7.0"
    for n in range(KEPT + 10):
        assert as_decimal(n / 8) == Decimal(repr(n / 8))
    assert len(SHORTEST) <= KEPT
    assert str(as_decimal(10.1)) == "10.1"
