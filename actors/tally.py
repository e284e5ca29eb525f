"""Counts what a run did: orders, fills, costs, denials. It only folds; the summary of a run reads it."""

from __future__ import annotations

from decimal import Decimal
from typing import Never

import msgspec

from .actor import Actor, Record, fold
from .events import OrderDenied, OrderFilled, OrderSubmitted
from .model import ZERO


class Totals(msgspec.Struct):
    """Sums over all orders; money in the account's currency, `turnover` is the absolute notional of all fills."""

    orders: int = 0
    fills: int = 0
    turnover: Decimal = ZERO
    commission: Decimal = ZERO
    slippage: Decimal = ZERO
    impact: Decimal = ZERO
    denials: dict[str, int] = msgspec.field(default_factory=dict)


class Tally(Actor[Never]):
    """Folds events into totals and receives no messages."""

    state: Totals

    def __init__(self) -> None:
        self.state = Totals()

    def view(self) -> Totals:
        """Return the totals so far."""
        return self.state

    @fold
    def _submitted(self, event: OrderSubmitted, record: Record) -> None:
        self.state.orders += 1

    @fold
    def _denied(self, event: OrderDenied, record: Record) -> None:
        code = event.denial.code
        self.state.denials[code] = self.state.denials.get(code, 0) + 1

    @fold
    def _filled(self, event: OrderFilled, record: Record) -> None:
        totals, fill = self.state, event.fill
        totals.fills += 1
        totals.turnover += event.notional
        totals.commission += event.commission
        if fill.slippage:
            totals.slippage += fill.slippage
        if fill.impact:
            totals.impact += fill.impact
