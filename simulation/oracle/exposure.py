"""What is at stake at the worst (I7), and exits that would go beyond flat (I16), judged at the instant of writing.

At stake is what the journal holds, and of every order of ours that was written, all of it that is neither booked nor proved dead by
the broker itself: so what the core forgets is still counted here. The core counts more than that (externals, approvals that
wait), so it is never blamed for what it could not know. What changed a position between approval and writing in a way that
nobody could have reckoned with (a correction, an adoption, a split, a late fill) excuses it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from ...actors.model import ZERO, Purpose, Side, TradingState
from ...actors.ports import NewOrder, ReplaceRequest
from .broker_truth import BrokerTruth, TrueOrder, client_id_of
from .journal import Journal, Journaled
from .prices import Prices
from .violations import Violations
from .watch import OracleLimits

BUY = Side.BUY
NEW_RISK = frozenset({Purpose.ENTRY, Purpose.CHILD})
TOLERANCE = Decimal("1.001")
"""Of currency: a price is a float for the core, and is rounded."""


class Stake:
    """What our orders may still add to one symbol on either side, and the last approval of new risk on each."""

    __slots__ = ("buys", "entry_buy", "entry_sell", "sells")

    def __init__(self) -> None:
        self.buys = self.sells = ZERO
        self.entry_buy = self.entry_sell = 0


class Exposure:
    """Keeps sums by symbol, changed by whatever changes one order."""

    def __init__(
        self, limits: OracleLimits, journal: Journal, truth: BrokerTruth, prices: Prices, violations: Violations
    ) -> None:
        self._limits, self._journal, self._truth, self._prices = limits, journal, truth, prices
        self._violations = violations
        self._symbols: dict[str, Stake] = {}
        self._held: dict[str, Decimal] = {}  # by order: what it adds to the sums
        self._written: dict[str, None] = {}

    # --- Sums ----------------------------------------------------------------------------------------------------------------

    def refresh(self, client_order_id: str) -> None:
        """Count an order anew, after something about it has changed."""
        if client_order_id not in self._written:
            return
        order = self._journal.orders.get(client_order_id)
        if order is None:
            return
        held = ZERO
        if client_order_id not in self._journal.lost:
            held = at_stake(order, self._truth.order(client_order_id))
        before = self._held.get(client_order_id, ZERO)
        if held == before:
            return
        self._held[client_order_id] = held
        stake = self._stake(order.order.symbol)
        if order.order.side is BUY:
            stake.buys += held - before
        else:
            stake.sells += held - before

    def restored(self) -> None:
        """Count everything anew, after the journal was put back."""
        self._symbols.clear()
        self._held.clear()
        for client_order_id in self._written:
            self.refresh(client_order_id)

    def split(self, symbol: str) -> None:
        """Take in that the broker's quantities of a symbol are others now, which the journal has not heard of yet."""
        self._truth.unsettled[symbol] = None
        for client_order_id in self._written:
            order = self._journal.orders.get(client_order_id)
            if order is not None and order.order.symbol == symbol:
                self._truth.order(client_order_id).total = None
                self.refresh(client_order_id)

    def _stake(self, symbol: str) -> Stake:
        found = self._symbols.get(symbol)
        if found is None:
            found = self._symbols[symbol] = Stake()
        return found

    def approved(self, client_order_id: str, number: int) -> None:
        """Take in an approval of new risk."""
        order = self._journal.orders.get(client_order_id)
        if order is not None and order.order.purpose in NEW_RISK:
            stake = self._stake(order.order.symbol)
            if order.order.side is BUY:
                stake.entry_buy = number
            else:
                stake.entry_sell = number

    # --- Judgement -------------------------------------------------------------------------------------------------------------

    def written(self, command: Any) -> None:
        """Judge an order or a replacement that has left."""
        if type(command) is NewOrder:
            client_order_id = client_id_of(command.wire_id)
        elif type(command) is ReplaceRequest:
            client_order_id = client_id_of(command.new_wire_id)
        else:
            return
        self._written[client_order_id] = None
        self.refresh(client_order_id)
        order, symbol = self._journal.orders.get(client_order_id), ""
        if order is None or client_order_id in self._journal.lost:
            return
        symbol = order.order.symbol
        if symbol in self._truth.unsettled or self._journal.surprised.get(symbol, 0) > order.approved:
            return
        is_buy, held, stake = order.order.side is BUY, self._journal.positions.get(symbol, ZERO), self._stake(symbol)
        worst = held + stake.buys if is_buy else stake.sells - held  # in the direction of the order
        if worst > ZERO:
            self._judge(order, worst, command.trading_epoch)

    def _judge(self, order: Journaled, worst: Decimal, epoch: int) -> None:
        """Judge an order that could leave `worst` in its direction, which is more than flat."""
        purpose, terms = order.order.purpose, order.order
        most = self._limits.max_position_quantity
        what = f"{terms.side} {terms.symbol} of order {terms.client_order_id} ({purpose})"
        if purpose not in NEW_RISK:
            stake = self._stake(terms.symbol)
            later = stake.entry_buy if terms.side is BUY else stake.entry_sell
            if later < order.approved:
                self._violations.add("I16", f"{what} could go beyond flat by {worst}")
            return
        if self._journal.trading_state is TradingState.REDUCING and self._journal.epoch == epoch:
            self._violations.add("I14", f"{what} was written while trading is REDUCING; it could leave {worst}")
        if most is not None and worst > most:
            self._violations.add("I7", f"{what}: {worst} could be held, the limit is {most}")
        limit = self._limits.max_gross_exposure
        if limit is not None and self._journal.last_surprise <= order.approved and not self._truth.unsettled:
            gross = self._gross()
            if gross > limit * TOLERANCE:
                self._violations.add("I7", f"{what}: the gross exposure could reach {gross:.2f}, the limit is {limit}")

    def _gross(self) -> Decimal:
        """Return what all symbols are worth at their worst cases, at the lowest price that can have been reckoned with."""
        gross = ZERO
        for symbol in {**self._journal.positions, **self._symbols}:
            held, stake = self._journal.positions.get(symbol, ZERO), self._stake(symbol)
            worst = max(abs(held + stake.buys), abs(held - stake.sells))
            gross += worst * self._prices.lowest(symbol)
        return gross


def at_stake(order: Journaled, true: TrueOrder) -> Decimal:
    """Return how much of an order that was written may still be added to what the journal holds."""
    total = max(order.total, order.offered)
    if order.is_over and (not true.working or order.is_concluded or order.resolved or order.resurfaced):
        return ZERO
    if true.is_dead:
        return max(min(true.lower, total) - order.filled, ZERO)
    if true.total is not None:
        total = max(total, true.total)
    return max(total - order.filled, ZERO)
