"""The words of the domain, as a user writes them."""

from __future__ import annotations

import pytest

from ordersmith import Order, TimeInForce


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
