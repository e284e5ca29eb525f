"""The ledger: cash and holdings per account, a fold of the fills and of what happens without an order.

Cash is exact: every fill moves it by its notional and its commission. What comes or goes without a trade is income, or
a transfer, and no part of the realized P&L. Cost is carried as a sum and the average price
derived; where a fill closes part of a holding, the cost that leaves is rounded once, and the rest stays, so that cash +
cost - realized P&L + commission - income - transfers never drifts.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import msgspec

from ..events import CashMoved, OrderFilled, PositionAdjusted, SessionOpened
from ..model import ZERO, Position, Side
from ..ports import AdjustmentCause, CashKind

COST_UNIT = Decimal("1E-8")

# Looked up once: a member of an enum costs more than what is done with it.
BUY = Side.BUY


class Holding(msgspec.Struct):
    """`quantity` is signed; `cost` is what the open quantity was bought for (negative: what it was sold short for)."""

    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    realized_pnl: Decimal = ZERO


class Account(msgspec.Struct):
    """Cash and holdings by symbol.

    `commission` is what was paid since the session opened first, `income` what dividends, interest and fees have
    brought (or cost) since then, and `transfers` what was paid in or out.
    """

    cash: Decimal
    holdings: dict[str, Holding] = msgspec.field(default_factory=dict)
    commission: Decimal = ZERO
    income: Decimal = ZERO
    transfers: Decimal = ZERO


class Ledger(msgspec.Struct):
    """All accounts by name. `version` counts the changes, `last_record` is the number of the last record booked."""

    accounts: dict[str, Account] = msgspec.field(default_factory=dict)
    version: int = 0
    last_record: int = 0

    def open(self, event: SessionOpened) -> None:
        """Adopt what the broker holds for us, the first time; later differences are the business of reconciliation."""
        if event.account in self.accounts:
            return
        holdings = {p.symbol: Holding(p.quantity, p.quantity * p.average_price) for p in event.positions}
        self.accounts[event.account] = Account(event.cash, holdings)
        self.version += 1

    def fill(self, event: OrderFilled) -> None:
        """Book the changes of one fill record, corrections included."""
        account = self.accounts[event.account]
        holding = account.holdings.get(event.symbol)
        if holding is None:
            holding = account.holdings[event.symbol] = Holding()
        quantity, notional, commission = event.quantity, event.notional, event.commission
        if event.side is not BUY:
            quantity, notional = -quantity, -notional
        if commission:
            account.cash -= notional + commission
            account.commission += commission
        else:
            account.cash -= notional
        book(holding, quantity, notional)
        self.version += 1

    def move_cash(self, event: CashMoved) -> None:
        """Book cash that came or went without a trade. What moved before the account was opened is in what it opens with."""
        account = self.accounts.get(event.account)
        if account is None:
            return
        account.cash += event.amount
        if event.kind is CashKind.TRANSFER or event.kind is CashKind.ADOPTED:
            account.transfers += event.amount
        else:
            account.income += event.amount
        self.version += 1

    def adjust(self, event: PositionAdjusted) -> None:
        """Book a change of a holding without a trade: a split keeps its cost, cash makes it a sale or a purchase.

        What is adopted was traded by somebody else, and counts as paid in (or out) at its price; the cash that it has moved
        is adopted by itself. What is transferred out leaves at its cost: that is no sale. What changed before the account was
        opened is in what it opens with.
        """
        account = self.accounts.get(event.account)
        if account is None:
            return
        account.cash += event.cash
        holding = account.holdings.setdefault(event.symbol, Holding())
        if event.cause is AdjustmentCause.SPLIT:
            split(holding, event.quantity)
        elif event.cause is AdjustmentCause.SYMBOL_CHANGE:
            del account.holdings[event.symbol]
            renamed = account.holdings.setdefault(event.new_symbol, Holding())
            book(renamed, holding.quantity, holding.cost)
            renamed.realized_pnl += holding.realized_pnl
        elif event.cause is AdjustmentCause.ADOPTED or event.cause is AdjustmentCause.TRANSFER:
            notional = event.quantity * event.price
            if event.cause is AdjustmentCause.TRANSFER and _only_closes(holding.quantity, event.quantity):
                notional = -_leaving(holding, event.quantity)
            book(holding, event.quantity, notional)
            account.transfers += notional
        else:
            book(holding, event.quantity, -event.cash)
        self.version += 1

    def positions(self, account: str) -> dict[str, Position]:
        """Return the open positions of an account by symbol, in the order in which the symbols were first held."""
        held = self.accounts[account].holdings if account in self.accounts else {}
        return {
            symbol: Position(
                account=account,
                symbol=symbol,
                quantity=holding.quantity,
                average_price=holding.cost / holding.quantity,
                realized_pnl=holding.realized_pnl,
            )
            for symbol, holding in held.items()
            if holding.quantity
        }

    def quantity(self, account: str, symbol: str) -> Decimal:
        """Return the signed holding of one symbol."""
        known = self.accounts.get(account)
        holding = None if known is None else known.holdings.get(symbol)
        return ZERO if holding is None else holding.quantity


def split(holding: Holding, quantity: Decimal) -> None:
    """Change a holding's quantity at the same cost; a holding that is gone then has lost it."""
    holding.quantity += quantity
    if not holding.quantity:
        holding.realized_pnl -= holding.cost
        holding.cost = ZERO


def book(holding: Holding, quantity: Decimal, notional: Decimal) -> None:
    """Add a signed quantity bought for a signed notional to a holding."""
    held = holding.quantity
    after = held + quantity
    if not held and not quantity:
        holding.realized_pnl -= notional  # the price of a fill was corrected after the holding had been closed
        return
    if not held or not quantity or (is_long := held > ZERO) is (quantity > ZERO):
        holding.cost += notional
    elif not after or (after > ZERO) is is_long:  # no more than is held
        leaving = _share(holding.cost, -quantity, held) if after else holding.cost
        holding.realized_pnl -= notional + leaving
        holding.cost -= leaving
    else:
        closing = _share(notional, -held, quantity)
        holding.realized_pnl -= closing + holding.cost
        holding.cost = notional - closing
    holding.quantity = after


def _only_closes(held: Decimal, quantity: Decimal) -> bool:
    return bool(held) and (held > ZERO) is not (quantity > ZERO) and abs(quantity) <= abs(held)


def _leaving(holding: Holding, quantity: Decimal) -> Decimal:
    """Return the cost that leaves a holding with a signed quantity that closes part of it, or all."""
    return holding.cost if quantity == -holding.quantity else _share(holding.cost, -quantity, holding.quantity)


def _share(whole: Decimal, part: Decimal, of: Decimal) -> Decimal:
    return (whole * part / of).quantize(COST_UNIT, rounding=ROUND_HALF_EVEN)
