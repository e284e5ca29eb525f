"""Alpaca's list of assets as trading rules: what can be traded, sold short, in which lots and at which prices.

The list: GET /v2/assets with `ASSETS_QUERY`. Numbers are texts there, and the newer fields are missing or null for most assets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from ...actors.model import Instrument

ASSETS_PATH = "/assets"
ASSETS_QUERY = {"status": "active", "asset_class": "us_equity"}

WHOLE = Decimal(1)
FRACTION = Decimal("0.000000001")
"""Nine decimals: docs.alpaca.markets, "Fractional Trading"."""

TICK = Decimal("0.01")
TICK_BELOW_ONE = Decimal("0.0001")
"""SEC Rule 612; docs.alpaca.markets, "Orders at Alpaca", sub-penny increments."""


def instruments(assets: Iterable[Mapping[str, Any]]) -> dict[str, Instrument]:
    """Return the rules by symbol. A row without a symbol is left out; of two with the same one the tradable one counts."""
    found: dict[str, Instrument] = {}
    for asset in assets:
        symbol = asset.get("symbol")
        if not isinstance(symbol, str) or not symbol:
            continue
        instrument = _instrument(asset)
        if symbol not in found or instrument.tradable:
            found[symbol] = instrument
    return found


def _instrument(asset: Mapping[str, Any]) -> Instrument:
    smallest = FRACTION if asset.get("fractionable") is True else WHOLE
    increment = _number(asset, "price_increment")
    return Instrument(
        lot=_number(asset, "min_trade_increment") or _number(asset, "min_order_size") or smallest,
        tick=increment or TICK,
        tick_below_one=TICK_BELOW_ONE if increment is None else None,
        tradable=asset.get("tradable") is True and asset.get("status", "active") == "active",
        # Only shares that are easy to borrow can be sold short: docs.alpaca.markets, "Margin and Short Selling".
        shortable=asset.get("shortable") is True and asset.get("easy_to_borrow", True) is True,
    )


def _number(asset: Mapping[str, Any], name: str) -> Decimal | None:
    """Return a number above zero, None for what is none."""
    try:
        value = Decimal(str(asset.get(name)))
    except ArithmeticError:
        return None
    return value if value.is_finite() and value > 0 else None
