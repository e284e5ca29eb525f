"""The account that a set of rules describes, with the kinds of account that only some rules need.

They are classes of their own so that an account which does not need them does not pay for them.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import TYPE_CHECKING

from ...actors.model import ZERO
from .account import Account, CashAccount, MarginAccount
from .rules import ExchangeRules, Refusal, RefusalCode, refusal

if TYPE_CHECKING:
    from .orders import WorkingOrder


def account_of(rules: ExchangeRules) -> Account:
    """Return a new account as the rules describe it."""
    if rules.account_type == "cash":
        return SettlingCashAccount(rules) if rules.settlement_days else CashAccount(rules)
    uneven = rules.short_initial_margin not in (None, rules.initial_margin)
    return UnevenMarginAccount(rules) if uneven else MarginAccount(rules)


class SettlingCashAccount(CashAccount):
    """A cash account in which what a sale brought, its costs off, may be spent some sessions later: T+n.

    What is not settled is a part of what is reserved. In the US it took three sessions until 2017-09-04, two until
    2024-05-27, and one since (SEC releases 34-80295 and 34-96930).
    """

    def __init__(self, rules: ExchangeRules) -> None:
        super().__init__(rules)
        self._days = rules.settlement_days
        self._today = ZERO
        self._sold_today = False
        self._earlier: deque[Decimal | None] = deque([None] * (rules.settlement_days - 1))

    def settle(self) -> Decimal | None:
        self._earlier.append(self._today if self._sold_today else None)
        self._today, self._sold_today = ZERO, False
        amount = self._earlier.popleft()
        if amount is not None:
            self.reserved -= amount
        return amount

    def book_fill(
        self, order: WorkingOrder, quantity: Decimal, notional: Decimal, commission: Decimal, at_ns: int
    ) -> None:
        super().book_fill(order, quantity, notional, commission, at_ns)
        if not order.is_buy:
            brought = notional - commission
            self._today += brought
            self._sold_today = True
            self.reserved += brought


class UnevenMarginAccount(MarginAccount):
    """A margin account whose short positions need another margin than its long ones.

    A symbol needs the greater of what its worst case needs on either side; equity has to cover all of them. Buying power
    is what a purchase may cost.
    """

    def __init__(self, rules: ExchangeRules) -> None:
        super().__init__(rules)
        self.short_margin = rules.initial_margin if rules.short_initial_margin is None else rules.short_initial_margin

    def required(self, most_long: Decimal, most_short: Decimal) -> Decimal:
        """Return what a symbol needs for each unit of its price."""
        return max(most_long * self.initial_margin, most_short * self.short_margin)

    def free(self) -> Decimal:
        """Return the equity that no position and no open order needs."""
        free = self.cash + self.accrued
        for holding in self.exposed.values():
            price = self.last_price(holding) or holding.mark
            free += (holding.quantity - self.required(holding.most_long, holding.most_short)) * price
        return free

    def buying_power(self) -> Decimal:
        return self.free() / self.initial_margin

    def hold(self, order: WorkingOrder, replaced: WorkingOrder | None = None, *, asks: bool = True) -> Refusal | None:
        refused = self._refusal(order, replaced) if asks else None
        return super().hold(order, replaced, asks=False) if refused is None else refused

    def _refusal(self, order: WorkingOrder, replaced: WorkingOrder | None) -> Refusal | None:
        holding, quantity = order.listing.holding, order.remaining
        added = quantity if replaced is None else quantity - replaced.remaining
        most_long, most_short = holding.most_long, holding.most_short
        before = self.required(most_long, most_short)
        more = (most_long + added, most_short) if order.is_buy else (most_long, most_short + added)
        after = self.required(*more)
        if after <= before:
            return None
        needed = (after - before) * (self.last_price(holding) or holding.mark or order.claim_price)
        available = self.free()
        if needed <= available:
            return None
        margins = f"initial margin {self.initial_margin}, short {self.short_margin}"
        text = f"{quantity} {holding.symbol} needs {needed} more of the equity, free are {available} ({margins})"
        return refusal(RefusalCode.INSUFFICIENT_BUYING_POWER, text)
