"""Margin calls: what the broker closes by force when equity does not cover the positions.

A call is made with a session's last bars and, where the rules say `liquidate`, executed at the next open: whole positions,
the one that needs most first, until equity at those prices covers the rest. The open is slipped and charged as for any
order, but takes nothing of the bar's budget and has no impact: a broker in haste does not wait for volume. A symbol
without a bar waits for its next one; bars before the session's regular hours are not traded on.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from math import inf
from typing import TYPE_CHECKING

from ...actors.bars import Bars
from ...actors.model import ZERO
from ...actors.ports import AdjustmentCause, PositionAdjustment, Report
from .costs import Costs, as_decimal

if TYPE_CHECKING:
    from .account import Account, Holding
    from .charges import Charges
    from .open_orders import OpenOrders


class Liquidation:
    """Closes positions of one account."""

    def __init__(
        self, account: Account, orders: OpenOrders, costs: Costs, charges: Charges, next_id: Callable[[], str]
    ) -> None:
        self._account = account
        self._orders = orders
        self._costs = costs
        self._charges = charges
        self._next_id = next_id

    def execute(self, bars: Bars, margin: Decimal, reports: list[Report]) -> bool:
        """Close at the open of `bars` what has to be closed, and tell whether that was enough, or all there is."""
        account = self._account
        opens: dict[str, Decimal] = {}
        values: dict[str, Decimal] = {}
        for symbol, holding in sorted(account.holdings.items()):
            if not holding.quantity:
                continue
            row = bars.rows.get(symbol)
            if row is not None and 0.0 < row[0] < inf:
                opens[symbol] = as_decimal(row[0])
            values[symbol] = holding.quantity * (opens.get(symbol) or account.last_price(holding) or holding.mark)
        equity = account.cash + account.accrued + sum(values.values(), ZERO)
        tradable = sorted(opens, key=lambda symbol: (-abs(values[symbol]), symbol))
        for symbol in tradable:
            if equity >= _gross(values) * margin:
                return True
            before = account.cash
            self._close(account.holdings[symbol], opens[symbol], reports)
            equity += account.cash - before - values.pop(symbol)
        return not values or equity >= _gross(values) * margin

    def _close(self, holding: Holding, opened: Decimal, reports: list[Report]) -> None:
        symbol, held = holding.symbol, holding.quantity
        reports.extend(
            self._orders.drop(order, f"margin call: the position in {symbol} is closed")
            for order in self._orders.of(symbol)
        )
        is_buy, size = held < ZERO, abs(held)
        price = self._costs.market_price(opened, is_buy, None)
        notional = size * price
        charge = self._charges.single(is_buy, size, notional)
        cash = (-notional if is_buy else notional) - charge
        self._account.move(holding, -held, cash)
        done = "bought back" if is_buy else "sold"
        text = f"margin call: {size} {symbol} {done} at {price}, {charge} charged"
        cause = AdjustmentCause.LIQUIDATION
        reports.append(PositionAdjustment(self._next_id(), cause, symbol, -held, cash, text=text))


def _gross(values: dict[str, Decimal]) -> Decimal:
    return sum((abs(value) for value in values.values()), ZERO)
