"""Alpaca's assets as trading rules."""

from __future__ import annotations

from decimal import Decimal

import pytest

from ordersmith.actors.model import Instrument
from ordersmith.adapters.alpaca.instruments import instruments

APPLE = {
    "id": "b0b6dd9d-8b9b-48a9-ba46-b9d54906e415",
    "class": "us_equity",
    "exchange": "NASDAQ",
    "symbol": "AAPL",
    "status": "active",
    "tradable": True,
    "marginable": True,
    "shortable": True,
    "easy_to_borrow": True,
    "fractionable": True,
    "min_order_size": None,
}
RULES = Instrument(
    lot=Decimal("0.000000001"),
    tick=Decimal("0.01"),
    tick_below_one=Decimal("0.0001"),
    tradable=True,
    shortable=True,
)


def rules_of(**fields: object) -> Instrument:
    return instruments([APPLE | fields])["AAPL"]


def test_a_stock_has_its_rules() -> None:
    """An active stock that is fractionable and easy to borrow may be traded in fractions and sold short."""
    assert instruments([APPLE]) == {"AAPL": RULES}


@pytest.mark.parametrize(
    ("fields", "name", "expected"),
    [
        ({"fractionable": False}, "lot", Decimal(1)),
        ({"fractionable": "yes"}, "lot", Decimal(1)),
        ({"tradable": False}, "tradable", False),
        ({"tradable": None}, "tradable", False),
        ({"status": "inactive"}, "tradable", False),
        ({"shortable": False}, "shortable", False),
        ({"easy_to_borrow": False}, "shortable", False),
        ({"min_trade_increment": "0.001", "min_order_size": "0.01"}, "lot", Decimal("0.001")),
        ({"min_order_size": "0.01"}, "lot", Decimal("0.01")),
        ({"min_order_size": "0"}, "lot", Decimal("0.000000001")),
        ({"min_trade_increment": "NaN"}, "lot", Decimal("0.000000001")),
        ({"price_increment": "0.05"}, "tick", Decimal("0.05")),
        ({"price_increment": "0.05"}, "tick_below_one", None),
        ({"price_increment": "none"}, "tick", Decimal("0.01")),
    ],
)
def test_a_field_of_the_wire_decides_its_rule(fields, name, expected) -> None:
    """What the wire says counts; what it does not say, or says strangely, is the careful default."""
    assert getattr(rules_of(**fields), name) == expected


def test_rows_that_are_no_assets_are_left_out() -> None:
    """A row without a symbol is no reason to fail, and of two rows of a symbol the tradable one counts."""
    retired = APPLE | {"tradable": False}
    for rows in ([retired, APPLE], [APPLE, retired]):
        assert instruments([{}, {"symbol": None}, {"symbol": ""}, *rows]) == {"AAPL": RULES}
