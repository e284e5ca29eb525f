"""What a broker charges for an order, and the price lists of some brokers.

A commission is an order's, not a fill's: each fill is charged what the fills so far come to, less what was charged
before. So a minimum is paid by the first fill, and the later ones pay only what goes beyond it.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import msgspec

from ...actors.model import ZERO
from .rules import ExchangeRules

UNIT = Decimal("0.0001")
"""Commissions by the share or by the notional are rounded, half up, to this part of the currency."""

CHECKED = "2026-11-22"

PRESETS: dict[str, dict[str, Decimal]] = {
    "alpaca": {},
    "ib_fixed": {
        "commission_per_share": Decimal("0.005"),
        "commission_minimum": Decimal("1.00"),
        "commission_maximum": Decimal("0.01"),
    },
    "ib_tiered": {
        "commission_per_share": Decimal("0.0035"),
        "commission_minimum": Decimal("0.35"),
        "commission_maximum": Decimal("0.01"),
    },
}
"""Fields of `ExchangeRules` by the name of a price list, for US stocks and ETFs, in US dollars, as last read on `CHECKED`.

alpaca: no commission (https://alpaca.markets/support/regulatory-fees names what is passed on instead). ib_fixed and
ib_tiered: Interactive Brokers' Fixed and the first tier (up to 300,000 shares a month) of its Tiered prices
(https://www.interactivebrokers.co.uk/en/pricing/commissions-stocks.php). Tiered accounts pay the fees of exchange and
clearing on top, which depend on the venue and are left out here. Regulatory fees are in `fees.py`.
"""


class Schedule(msgspec.Struct, frozen=True):
    """How an order's commission comes about.

    `maximum` is a fraction of the notional and wins over `minimum`: Interactive Brokers charges the smaller of the two
    where they contradict each other (a footnote of its price list).
    """

    per_order: Decimal
    per_share: Decimal
    fraction: Decimal
    minimum: Decimal
    maximum: Decimal | None

    @classmethod
    def of(cls, rules: ExchangeRules) -> Schedule:
        """Return the schedule that the rules describe."""
        return cls(
            rules.commission,
            rules.commission_per_share,
            rules.commission_fraction,
            rules.commission_minimum,
            rules.commission_maximum,
        )

    @property
    def is_flat(self) -> bool:
        """Whether an order costs `per_order`, whatever its size."""
        return not (self.per_share or self.fraction or self.minimum or self.maximum is not None)

    def total(self, quantity: Decimal, notional: Decimal) -> Decimal:
        """Return what an order costs once `quantity` has filled for `notional` altogether. It never falls as they grow."""
        charge = max(self.per_order + self.per_share * quantity + self.fraction * notional, self.minimum)
        if self.maximum is not None:
            charge = min(charge, self.maximum * notional)
        return charge.quantize(UNIT, rounding=ROUND_HALF_UP) if quantity else ZERO
