"""The last prices: carried over what happens to shares, whatever a feed has said before."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest

from ordersmith.actors.bars import Bars, CorporateAction, CorporateActionKind
from ordersmith.supervisor.prices import Prices


def shown(*rows: tuple[float, ...], split: str | None = None) -> Prices:
    """Return prices that have seen these rows of A, the last with a split."""
    prices = Prices()
    for number, row in enumerate(rows):
        is_last = number == len(rows) - 1
        actions = ()
        if split is not None and is_last:
            action = CorporateAction(kind=CorporateActionKind.SPLIT, symbol="A", session=number, ratio=Decimal(split))
            actions = (action,)
        prices.show(Bars(number, number + 1, number, False, {} if is_last and split else {"A": row}, actions=actions))
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
