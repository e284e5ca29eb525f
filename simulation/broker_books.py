"""The exact books of one broker account: cash, holdings, executions, and what happened without an order.

Everything is kept with its time, so that they can be read as they were a moment ago.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from ..actors.model import ZERO
from ..actors.ports import AccountReport, BrokerPosition, Executed, Restated

DAY_NS = 86_400_000_000_000
"""How far back the broker tells executions and activities."""

AVERAGE_UNIT = Decimal("0.000001")


class BrokerBooks:
    """`executions` and `news` (activities, and orders that the broker has restated) only grow: a place in them is a cursor."""

    def __init__(self, cash: Decimal) -> None:
        self.cash = cash
        self.positions: dict[str, Decimal] = {}
        self.executions: list[tuple[int, Executed]] = []
        self.news: list[tuple[int, AccountReport | Restated]] = []
        self._averages: dict[str, Decimal] = {}
        self._moves: list[tuple[int, str, Decimal, Decimal]] = []

    def move(self, at_ns: int, symbol: str, quantity: Decimal, cash: Decimal, price: Decimal | None = None) -> None:
        """Change a holding and cash; `price` is that of a trade."""
        held = self.positions.get(symbol, ZERO)
        if quantity:
            after = held + quantity
            if price is not None:
                self._average(symbol, held, quantity, after, price)
            elif after:  # a split keeps the cost
                cost = self._averages.get(symbol, ZERO) * held
                self._averages[symbol] = (cost / after).quantize(AVERAGE_UNIT, ROUND_HALF_EVEN)
            self.positions[symbol] = after
        self.cash += cash
        self._moves.append((at_ns, symbol, quantity, cash))

    def _average(self, symbol: str, held: Decimal, quantity: Decimal, after: Decimal, price: Decimal) -> None:
        known = self._averages.get(symbol)
        if known is None or not held or (held > 0) is not (after > 0):
            self._averages[symbol] = price
        elif (held > 0) is (quantity > 0):
            cost = known * held + price * quantity
            self._averages[symbol] = (cost / after).quantize(AVERAGE_UNIT, ROUND_HALF_EVEN)

    def positions_at(self, at_ns: int) -> tuple[BrokerPosition, ...]:
        """Return the holdings as they were at an instant, those of nothing left out."""
        held = dict(self.positions)
        for since_ns, symbol, quantity, _ in reversed(self._moves):
            if since_ns <= at_ns:
                break
            if quantity:
                held[symbol] -= quantity
        averages = self._averages
        return tuple(
            BrokerPosition(symbol, quantity, averages.get(symbol, ZERO))
            for symbol, quantity in held.items()
            if quantity
        )

    def cash_at(self, at_ns: int) -> Decimal:
        """Return the cash as it was at an instant."""
        cash = self.cash
        for since_ns, _, _, change in reversed(self._moves):
            if since_ns <= at_ns:
                break
            cash -= change
        return cash

    def executions_after(self, cursor: str, at_ns: int) -> tuple[tuple[Executed, ...], str]:
        """Return the executions after a cursor, as known at an instant and for a day back, and the next cursor."""
        rows = self.executions
        first = last = min(int(cursor or 0), len(rows))
        end = len(rows)
        while end > last and rows[end - 1][0] > at_ns:
            end -= 1
        told = tuple(execution for since_ns, execution in rows[first:end] if since_ns > at_ns - DAY_NS)
        return told, str(max(end, last))
