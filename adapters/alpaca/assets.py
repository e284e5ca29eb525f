"""Alpaca's list of stocks as the trading rules of their symbols."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from ...actors.model import Instrument
from .wire import WireAsset

SHARE = Decimal(1)
FRACTION = Decimal("0.000000001")
"""The least part of a share: nine decimals (docs.alpaca.markets, "Fractional Trading")."""

CENT = Decimal("0.01")
SUB_PENNY = Decimal("0.0001")
"""The least step of a price below a dollar: Rule 612 of Regulation NMS."""


def instruments_of(assets: Iterable[WireAsset]) -> dict[str, Instrument]:
    """Return the rules by symbol. Only what is easy to borrow can be sold short (docs.alpaca.markets, "Margin and Short Selling")."""
    kinds: dict[tuple[bool, bool, bool], Instrument] = {}
    found: dict[str, Instrument] = {}
    for asset in assets:
        kind = (
            asset.tradable and asset.status == "active",
            asset.shortable and asset.easy_to_borrow,
            asset.fractionable,
        )
        instrument = kinds.get(kind)
        if instrument is None:
            tradable, shortable, fractionable = kind
            instrument = kinds[kind] = Instrument(
                lot=FRACTION if fractionable else SHARE,
                tick=CENT,
                tick_below_one=SUB_PENNY,
                tradable=tradable,
                shortable=shortable,
            )
        found[asset.symbol] = instrument
    return found
