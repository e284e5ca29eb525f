"""One execution: the bar's volume budget, the price, what it costs, the booking, and the order's end when that was all."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from ...actors.model import ZERO, Fill
from ...actors.ports import BrokerOrderState, Executed, Report
from .account import Account
from .book import Book, Listing
from .charges import Charges
from .commissions import UNIT
from .costs import Costs, DetailedCosts
from .impact import Impact
from .orders import WorkingOrder
from .rules import ExchangeRules

DONE = BrokerOrderState.DONE


class Executions:
    """Executes orders against the bar that their listing has begun."""

    __slots__ = ("_account", "_book", "_costs", "_orders")

    def __init__(self, account: Account, book: Book, costs: Costs) -> None:
        self._account = account
        self._book = book
        self._orders = book.orders
        self._costs = costs

    def room(self, listing: Listing) -> Decimal:
        """Return how much of the listing's bar is left for orders."""
        return self._costs.budget(listing.row[4], listing.instrument.lot) - listing.taken

    def execute(
        self, order: WorkingOrder, price: Decimal | None, reference: Decimal, at_ns: int, reports: list[Report]
    ) -> None:
        """Execute what is left of the order as far as the bar's budget goes, and finish the order if that was all.

        Without a `price` the fill is slipped and rounded from the `reference`.
        """
        listing = order.listing
        quantity = order.remaining
        taken = quantity if listing.taken is ZERO else listing.taken + quantity
        if taken > listing.ample and not listing.is_ample(taken):
            left = self._costs.budget(listing.row[4], listing.instrument.lot) - listing.taken
            quantity = min(quantity, left)  # of two equals the first, by which a full fill is told below
            if not quantity:
                return
            taken = listing.taken + quantity
        listing.taken = taken
        slippage = ZERO
        if price is None:
            price = self._costs.market_price(reference, order.is_buy, order.limit)
            if price is not reference:
                slippage = abs(price - reference) * quantity
        notional = quantity * price
        if quantity is order.remaining:
            order.remaining = ZERO
            cumulative = order.quantity
        else:
            cumulative = order.filled + quantity
            order.remaining = order.quantity - cumulative
        order.filled = cumulative
        order.notional += notional
        commission = order.commission_due
        if commission:
            order.commission = commission
            order.commission_due = ZERO
        self._account.book_fill(order, quantity, notional, commission, at_ns)
        fill = Fill(
            fill_key=f"{order.broker_order_id}:{cumulative!s}",
            quantity=quantity,
            price=price,
            at_ns=at_ns,
            commission=commission,
            slippage=slippage,
        )
        reports.append(Executed(order.wire_id, fill, cumulative))
        if not order.remaining:
            self._book.withdraw(order)
            self._orders.finish(order, DONE)


def executions_of(
    rules: ExchangeRules, account: Account, book: Book, costs: Costs, charges: Charges, impact: Impact | None
) -> Executions:
    """Return the plain way of execution where the rules allow it, the detailed one where they ask for more."""
    if isinstance(costs, DetailedCosts):
        return DetailedExecutions(account, book, costs, charges, impact)
    return Executions(account, book, costs)


class DetailedExecutions(Executions):
    """Executes orders under rules that the plain way does not know: slippage a share, market impact, charges by size, fees."""

    __slots__ = ("_charges", "_detailed_costs", "_impact")

    def __init__(
        self, account: Account, book: Book, costs: DetailedCosts, charges: Charges, impact: Impact | None
    ) -> None:
        super().__init__(account, book, costs)
        self._detailed_costs = costs
        self._charges = charges
        self._impact = impact

    def execute(
        self, order: WorkingOrder, price: Decimal | None, reference: Decimal, at_ns: int, reports: list[Report]
    ) -> None:
        listing = order.listing
        quantity = order.remaining
        taken = listing.taken + quantity
        if taken > listing.ample and not listing.is_ample(taken):
            budget = self._costs.budget(listing.row[4], listing.instrument.lot)
            quantity = min(quantity, budget - listing.taken)
            if not quantity:
                return
        listing.taken += quantity
        slippage = impact = ZERO
        if price is None:
            price, slippage, impact = self._price(order, reference, quantity)
        notional = quantity * price
        order.filled += quantity
        order.remaining = order.quantity - order.filled
        order.notional += notional
        commission, fees = self._charges.charge(order, quantity, notional)
        order.commission += commission
        order.commission_due = self._charges.still_due(order, order.remaining, order.claim_price)
        self._account.book_fill(order, quantity, notional, commission, at_ns)
        fill = Fill(
            fill_key=f"{order.broker_order_id}:{order.filled!s}",
            quantity=quantity,
            price=price,
            at_ns=at_ns,
            commission=commission,
            slippage=slippage,
            impact=impact,
            fees=fees,
        )
        reports.append(Executed(order.wire_id, fill, order.filled))
        if not order.remaining:
            self._book.finish(order, DONE)

    def _price(self, order: WorkingOrder, reference: Decimal, quantity: Decimal) -> tuple[Decimal, Decimal, Decimal]:
        """Return what a share costs where the market is at `reference`, and what slippage and impact cost in that.

        Where a limit keeps the price from them it is the slippage that becomes smaller, then the impact.
        """
        moved = ZERO
        if self._impact is not None:
            moved = reference * self._impact.of(order.listing.symbol, quantity)
        price = self._detailed_costs.market_price(reference, order.is_buy, order.limit, moved)
        cost = abs(price - reference) * quantity
        impact = min((moved * quantity).quantize(UNIT, rounding=ROUND_HALF_EVEN), cost) if moved else ZERO
        return price, cost - impact, impact
