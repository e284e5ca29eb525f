"""The words of the domain, as a user writes them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from ordersmith import Order, TimeInForce
from ordersmith.actors.messages import Change
from ordersmith.actors.model import OrderType, Side, Terms, exactly

D = Decimal


def test_terms_may_be_plain_text() -> None:
    """A time in force written as text is the word that it names."""
    assert Order.buy("A", 1, time_in_force="GTC").time_in_force is TimeInForce.GTC


def test_an_unknown_word_is_refused_with_those_there_are() -> None:
    """A word that is none says which there are."""
    with pytest.raises(ValueError, match="time_in_force: 'FOREVER' is none of DAY, GTC"):
        Order.sell("A", 1, time_in_force="FOREVER")


def test_a_float_is_taken_by_its_shortest_form() -> None:
    """A limit price of 0.1 is 0.1, not its binary neighbour."""
    assert str(Order.buy("A", 1, limit_price=0.1).limit_price) == "0.1"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("prices", "kind"),
    [
        ({}, OrderType.MARKET),
        ({"limit_price": 9}, OrderType.LIMIT),
        ({"stop_price": "8.5"}, OrderType.STOP),
        ({"limit_price": 9, "stop_price": 8}, OrderType.STOP_LIMIT),
        ({"trail_amount": 1}, OrderType.TRAILING_STOP),
        ({"trail_percent": 5.5}, OrderType.TRAILING_STOP),
        ({"stop_price": None, "limit_price": 9}, OrderType.LIMIT),
        ({"limit_price": 9, "order_type": "STOP_LIMIT"}, OrderType.STOP_LIMIT),
    ],
)
def test_the_prices_say_the_type(prices: dict[str, Any], kind: OrderType) -> None:
    """An order is of the type that has the prices given, unless its type is given; its numbers are Decimals."""
    for make, side in ((Order.buy, Side.BUY), (Order.sell, Side.SELL)):
        order = make("A", 10, **prices)
        assert (order.order_type, order.side, order.quantity) == (kind, side, D(10))
        numbers = {name: getattr(order, name) for name in prices if name != "order_type"}
        assert numbers == {name: None if prices[name] is None else D(str(prices[name])) for name in numbers}
        assert all(value is None or type(value) is Decimal for value in numbers.values())


@pytest.mark.parametrize("field", ["quantity", "limit_price", "stop_price", "trail_amount", "trail_percent"])
def test_every_number_is_made_exact(field: str) -> None:
    """A float in any field becomes the Decimal that it is written as, and what is no number raises, naming the field."""
    order = Order(symbol="A", side=Side.BUY, quantity=D(1))
    assert exactly(order) is order
    odd = msgspec.structs.replace(order, **{field: 0.1})
    assert getattr(exactly(odd), field) == D("0.1")
    for nonsense in ("x", D("sNaN"), True):
        with pytest.raises((ValueError, ArithmeticError), match=f"{field}|sNaN|Invalid"):
            exactly(msgspec.structs.replace(order, **{field: nonsense}))


STOP_LIMIT = Terms(D(10), D(9), D(8))
BY_AMOUNT, BY_PERCENT = Terms(D(10), trail_amount=D(1)), Terms(D(10), trail_percent=D(5))


@pytest.mark.parametrize(
    ("terms", "change", "changed"),
    [
        (STOP_LIMIT, Change(), STOP_LIMIT),
        (STOP_LIMIT, Change(quantity=D(12)), Terms(D(12), D(9), D(8))),
        (STOP_LIMIT, Change(limit_price=D(7), stop_price=D(6)), Terms(D(10), D(7), D(6))),
        (BY_AMOUNT, Change(trail=D(2)), Terms(D(10), trail_amount=D(2))),
        (BY_PERCENT, Change(trail=D(2)), Terms(D(10), trail_percent=D(2))),
        (
            STOP_LIMIT,
            Change(trail=D(2)),
            Terms(D(10), D(9), D(8), D(2)),
        ),  # which no stop-limit order has: the gate says so
    ],
)
def test_a_change_leaves_what_it_does_not_name(terms: Terms, change: Change, changed: Terms) -> None:
    """What a change does not give stays, and a trail is changed in the unit that the order has."""
    order = terms.applied_to(Order.sell("A", 1))
    assert change.of(order) == changed
    assert Terms.of(changed.applied_to(order)) == changed
