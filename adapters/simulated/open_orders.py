"""The open orders, for those who change them unasked: corporate actions and margin calls.

What they do is done as by the broker: reported, at the order's place in the queue, and without a check of buying power.
"""

from __future__ import annotations

from decimal import Decimal
from operator import attrgetter

from ...actors.model import ZERO, Instrument, OrderType, Terms, TimeInForce
from ...actors.ports import BrokerOrderState, Cancelled, Report, Restated
from .account import Account
from .book import Book
from .charges import Charges
from .orders import WorkingOrder

CANCELLED = BrokerOrderState.CANCELLED
MARKET, LIMIT = OrderType.MARKET, OrderType.LIMIT
GTC = TimeInForce.GTC
by_sequence = attrgetter("sequence")


class OpenOrders:
    """The open orders of one exchange."""

    __slots__ = ("_account", "_book", "_charges")

    def __init__(self, account: Account, book: Book, charges: Charges) -> None:
        self._account = account
        self._book = book
        self._charges = charges

    def instrument(self, symbol: str) -> Instrument:
        """Return the trading rules of a symbol; the usual ones where it is not traded here."""
        listing = self._book.listings.get(symbol) or self._book.list(symbol)
        return Instrument() if listing is None else listing.instrument

    def of(self, symbol: str) -> list[WorkingOrder]:
        """Return the open orders of a symbol, in order of arrival."""
        orders = [order for order in self._book.orders.open.values() if order.listing.symbol == symbol]
        return sorted(orders, key=by_sequence)

    def drop(self, order: WorkingOrder, text: str) -> Report:
        """Cancel an order and return what is reported of it."""
        self._book.close(order, CANCELLED)
        return Cancelled(order.wire_id, text)

    def restate(self, order: WorkingOrder, terms: Terms, mark: Decimal, text: str) -> Report:
        """Give an order other terms, and a trailing stop another `mark`, and return what is reported of it."""
        book, account = self._book, self._account
        account.release(order)
        book.withdraw(order)
        order.asked = terms.applied_to(order.asked)
        order.quantity = terms.quantity
        order.remaining = terms.quantity - order.filled
        order.limit = terms.limit_price
        if order.is_trailing:
            order.mark = mark
            order.stop = order.trailing_stop()
        elif order.stop is not None:
            order.stop = terms.stop_price
        order.claim_price = price = self._claim_price(order)
        if not self._charges.schedule.is_flat:
            order.commission_due = self._charges.still_due(order, order.remaining, price)
        book.place(order)
        account.hold(order, asks=False)
        book.rest(order)
        return Restated(order.wire_id, terms, text)

    def _claim_price(self, order: WorkingOrder) -> Decimal:
        """Return what a share of the order may cost: its limit, else the last price, or the stop where that is higher."""
        if order.limit is not None:
            return order.limit
        last = self._account.last_price(order.listing.holding)
        return max(last or ZERO, order.stop or ZERO) or order.claim_price


def type_of(order: WorkingOrder) -> OrderType:
    """Return what kind of order it is by now: a stop that was triggered is a market or a limit order."""
    if not order.triggered:
        return order.asked.order_type
    return MARKET if order.limit is None else LIMIT


def terms_of(order: WorkingOrder) -> Terms:
    """Return the terms that an order has."""
    asked = order.asked
    return Terms(order.quantity, order.limit, asked.stop_price, asked.trail_amount, asked.trail_percent)


def lasts(order: WorkingOrder) -> bool:
    """Tell whether an order stays open beyond its day."""
    return order.asked.time_in_force is GTC
