"""Orders made by hand, with words as plain text or values of another type."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ordersmith.actors.model import Order, OrderType, Purpose, Side, TimeInForce, exactly

D = Decimal


def order(**terms: Any) -> Order:
    return Order(**{"symbol": "A", "side": Side.BUY, "quantity": D(10), **terms})


@pytest.mark.parametrize(
    ("field", "text", "word"),
    [
        ("side", "BUY", Side.BUY),
        ("side", "SELL", Side.SELL),
        ("order_type", "LIMIT", OrderType.LIMIT),
        ("time_in_force", "GTC", TimeInForce.GTC),
        ("purpose", "exit", Purpose.EXIT),
    ],
)
def test_a_word_given_as_text_is_the_word(field, text, word):
    """The text "BUY" buys: it becomes the member that every decision compares with."""
    assert getattr(exactly(order(**{field: text})), field) is word


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("side", "HOLD", "none of BUY, SELL"),
        ("side", "buy", "none of BUY, SELL"),
        ("time_in_force", "FOREVER", "none of DAY, GTC"),
        ("extended_hours", "yes", "neither True nor False"),
        ("symbol", ["A"], "is no text"),
        ("client_order_id", 5, "is no text"),
        ("quantity", None, "is not a number"),
        ("stop_price", "high", "is not a number"),
    ],
)
def test_what_is_no_such_value_is_refused_by_name(field, value, says):
    """The error names the field and the value, and says what would be accepted."""
    with pytest.raises(ValueError, match=says) as caught:
        exactly(order(**{field: value}))
    assert str(caught.value).startswith(f"{field}: {value!r}")


@pytest.mark.parametrize("value", ["x", None, {"symbol": "A"}])
def test_what_is_no_order_is_refused(value):
    """Something else in a list of orders is told, and crashes nobody."""
    with pytest.raises(ValueError, match="is no order"):
        exactly(value)


def test_an_order_that_is_as_it_should_be_stays_itself():
    """Nothing is made anew that is right already."""
    for terms in ({}, {"limit_price": D(9), "order_type": OrderType.LIMIT}, {"purpose": Purpose.EXIT}):
        made = order(**terms)
        assert exactly(made) is made
