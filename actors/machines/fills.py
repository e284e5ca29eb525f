"""Which fills of an order count, and what they add up to.

A join over facts: whatever order they arrive in, and however often, the same facts end in the same fills and the same
totals.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import msgspec

from ..events import Cumulative
from ..model import ZERO, Fill

NOTIONAL_UNIT = Decimal("1E-8")
"""What an inferred fill's notional is rounded to, so that sums over it stay exact."""


class Totals(msgspec.Struct, frozen=True):
    """Filled quantity, the sum of quantity times price, commission."""

    quantity: Decimal = ZERO
    notional: Decimal = ZERO
    commission: Decimal = ZERO


def merged(
    fills: dict[str, Fill],
    covers: dict[str, Fill],
    known_cumulative: Cumulative | None,
    fill: Fill | None,
    cumulative: Cumulative | None,
) -> tuple[dict[str, Fill], dict[str, Fill], Cumulative | None]:
    """Return fills, covers and the cumulative statement with two facts more; the dicts given are not changed.

    A cumulative quantity may have been stated before a fill was revised. So what a revised fill covers of it is the
    most that any of its revisions said: its entry in `covers`.
    """
    if fill is not None and not fill.inferred:
        known = fills.get(fill.fill_key)
        if known is None or _fill_order(known) < _fill_order(fill):
            fills = {**fills, fill.fill_key: fill}
        if fill.revision or (known is not None and known.revision):
            largest = max((f for f in (covers.get(fill.fill_key), known, fill) if f is not None), key=_cover_order)
            covers = {**covers, fill.fill_key: largest}
    stated = max(
        [fact for fact in (known_cumulative, cumulative) if fact is not None], key=_cumulative_order, default=None
    )
    if stated is not None and stated.quantity <= _covered(fills, covers):
        stated = None  # it says nothing that the fills do not
    return fills, covers, stated


def totals(
    fills: dict[str, Fill], covers: dict[str, Fill], cumulative: Cumulative | None, fallback_price: Decimal
) -> Totals:
    """Return the sums, the gap below the cumulative quantity included: at the notional that was stated, else at the average price."""
    quantity = notional = commission = ZERO
    covered = covered_notional = covered_commission = ZERO
    for key, fill in fills.items():
        quantity += fill.quantity
        notional += fill.quantity * fill.price
        commission += fill.commission
        cover = covers.get(key, fill)
        covered += cover.quantity
        covered_notional += cover.quantity * cover.price
        covered_commission += cover.commission
    if cumulative is not None and cumulative.quantity > covered:
        gap = cumulative.quantity - covered
        stated = ZERO if cumulative.notional is None else cumulative.notional - covered_notional
        if stated <= 0:
            stated = gap * (covered_notional / covered if covered else fallback_price)
        quantity, notional = quantity + gap, notional + stated.quantize(NOTIONAL_UNIT, rounding=ROUND_HALF_EVEN)
        commission += max((cumulative.commission or ZERO) - covered_commission, ZERO)
    return Totals(quantity, notional, commission)


def _covered(fills: dict[str, Fill], covers: dict[str, Fill]) -> Decimal:
    return sum((covers.get(key, fill).quantity for key, fill in fills.items()), ZERO)


def _fill_order(fill: Fill) -> tuple[int, Decimal, Decimal, Decimal]:
    """Of two statements of one fill the later revision counts; of one revision told twice, the one that says more."""
    return (fill.revision, *_cover_order(fill))


def _cover_order(fill: Fill) -> tuple[Decimal, Decimal, Decimal]:
    return (fill.quantity, fill.price, fill.commission)


def _cumulative_order(fact: Cumulative) -> tuple[Decimal, Decimal, Decimal]:
    unsaid = Decimal(-1)
    return (
        fact.quantity,
        unsaid if fact.notional is None else fact.notional,
        unsaid if fact.commission is None else fact.commission,
    )
