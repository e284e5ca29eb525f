"""Counts what a run did: orders, fills, costs, income, denials. It only folds; the summary of a run reads it."""

from __future__ import annotations

from decimal import Decimal
from typing import Never

import msgspec

from .actor import Actor, Record, fold
from .events import CashMoved, CommandIgnored, MarginCalled, OrderDenied, OrderFilled, OrderSubmitted, PositionAdjusted
from .model import ZERO
from .ports import AdjustmentCause, CashKind

NOTES_KEPT = 100


class Totals(msgspec.Struct):
    """Sums over all orders and over what happened without one; money in the account's currency.

    `turnover` is the absolute notional of all fills. What an order costs is `commission` and `fees` (the regulatory
    part) together; a correction of a fill counts as commission. The other sums are signed as cash is: `borrow_fees` and
    `account_fees` are negative when they were paid. `notes` say what a person should know; the first hundred are kept.
    """

    orders: int = 0
    fills: int = 0
    turnover: Decimal = ZERO
    commission: Decimal = ZERO
    slippage: Decimal = ZERO
    impact: Decimal = ZERO
    denials: dict[str, int] = msgspec.field(default_factory=dict)
    fees: Decimal = ZERO
    dividends: Decimal = ZERO
    borrow_fees: Decimal = ZERO
    interest: Decimal = ZERO
    account_fees: Decimal = ZERO
    transfers: Decimal = ZERO
    margin_calls: int = 0
    notes: list[str] = msgspec.field(default_factory=list)


SUM_OF = {
    CashKind.DIVIDEND: "dividends",
    CashKind.BORROW_FEE: "borrow_fees",
    CashKind.INTEREST: "interest",
    CashKind.FEE: "account_fees",
    CashKind.TRANSFER: "transfers",
    CashKind.ADOPTED: "transfers",
    CashKind.OTHER: "account_fees",
}
"""The field of the totals that each kind of cash movement is added to."""


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
        if event.commission:
            totals.commission += event.commission
        if fill.fees and not fill.revision:
            totals.fees += fill.fees
            totals.commission -= fill.fees
        if fill.slippage:
            totals.slippage += fill.slippage
        if fill.impact:
            totals.impact += fill.impact

    @fold
    def _cash_moved(self, event: CashMoved, record: Record) -> None:
        name = SUM_OF[event.kind]
        setattr(self.state, name, getattr(self.state, name) + event.amount)

    @fold
    def _margin_called(self, event: MarginCalled, record: Record) -> None:
        self.state.margin_calls += 1

    @fold
    def _adjusted(self, event: PositionAdjusted, record: Record) -> None:
        if event.cause is AdjustmentCause.LIQUIDATION:
            self._note(event.text)

    @fold
    def _ignored(self, event: CommandIgnored, record: Record) -> None:
        self._note(f"a command of a strategy was refused: {event.text}")

    def _note(self, text: str) -> None:
        if len(self.state.notes) < NOTES_KEPT:
            self.state.notes.append(text)
