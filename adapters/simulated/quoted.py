"""Quotes against the book: what trades on a live quote, at which price, and how much of it.

- An order trades at the far side (a buy at the ask, a sale at the bid), rounded to the increment against it, never beyond
  its limit, and at most as much as stands there; the rest stays open. Of orders of one symbol the first to arrive is the
  first to trade.
- What was taken of a side stays taken for as long as the side stays what it is, price and size: that a feed says the same
  again brings no new shares.
- A stop is triggered by the last trade or by the far side; a trailing stop follows the far side, which alone triggers it.
- IOC takes what there is and FOK all or nothing, of the first quote that somebody could trade on; what is left is
  cancelled. OPG does that at the session's first such quote, CLS at its last, and both expire.
- On a quote that is crossed, zero, no number, or older than `fresh_ns` nothing trades.
"""

from __future__ import annotations

from decimal import Decimal
from operator import attrgetter

from ...actors.model import ZERO, TimeInForce
from ...actors.ports import BrokerOrderState, Cancelled, Expired, Report
from ...actors.quotes import Quote, as_price
from .book import Book, Listing
from .executions import Executions
from .matching import AUCTIONS
from .orders import WorkingOrder

by_sequence = attrgetter("sequence")
CANCELLED, EXPIRED = BrokerOrderState.CANCELLED, BrokerOrderState.EXPIRED
FOK = TimeInForce.FOK


class Standing:
    """One side of a quote: a price, how many shares stand there, and how many of them orders have taken."""

    __slots__ = ("price", "size", "taken")

    def __init__(self) -> None:
        self.price = self.size = 0.0
        self.taken = ZERO

    def update(self, price: float, size: float) -> bool:
        """Take what a quote says, and tell whether shares that were taken are there again."""
        size = size if 0.0 < size < 1e15 else 0.0
        if (price, size) == (self.price, self.size):
            return False
        was_taken = bool(self.taken)
        self.price, self.size, self.taken = price, size, ZERO
        return was_taken


class Touch:
    """The newest quote of one symbol, and what stands on its two sides as of the last one that was sane."""

    __slots__ = ("ask", "bid", "quote")

    def __init__(self, quote: Quote) -> None:
        self.quote = quote
        self.bid, self.ask = Standing(), Standing()

    def update(self, quote: Quote) -> bool:
        """Take a newer quote, and tell whether shares that were taken are there again."""
        self.quote = quote
        if not quote.is_sane:
            return False
        back = self.bid.update(quote.bid, quote.bid_size)
        return self.ask.update(quote.ask, quote.ask_size) or back


class QuoteMatching:
    """Matches quotes with the orders in the book.

    `moved` says that something was done to an order or to what it waits for, reported or not: such a quote cannot be left
    out of what an account is made again from.
    """

    def __init__(self, book: Book, executions: Executions, fresh_ns: int) -> None:
        self._book = book
        self._executions = executions
        self._fresh_ns = fresh_ns
        self.touches: dict[str, Touch] = {}
        self.is_open = False
        self.moved = False

    def take(self, quote: Quote) -> Touch | None:
        """Make this the newest quote of its symbol; None if a newer one is known."""
        touch = self.touches.get(quote.symbol)
        if touch is None:
            touch = self.touches[quote.symbol] = Touch(quote)
        elif touch.quote.at_ns > quote.at_ns:
            return None
        if touch.update(quote):
            self.moved = True
        return touch

    def fresh(self, symbol: str, now_ns: int) -> Touch | None:
        """Return what somebody could trade on now, None for nothing."""
        touch = self.touches.get(symbol)
        if touch is None or not touch.quote.is_sane or now_ns - touch.quote.at_ns > self._fresh_ns:
            return None
        return touch

    def match(self, symbol: str, now_ns: int, reports: list[Report]) -> None:
        """Let the orders of a symbol meet its newest quote."""
        listing, touch = self._book.resting.get(symbol), self.fresh(symbol, now_ns)
        if listing is None or touch is None:
            return
        for order in _touched(listing, touch.quote):
            self.meet(order, touch, now_ns, reports)

    def meet(self, order: WorkingOrder, touch: Touch, now_ns: int, reports: list[Report]) -> None:
        """Do what the quote makes of one order."""
        if not (self.is_open or order.asked.extended_hours):
            return
        side = touch.ask if order.is_buy else touch.bid
        far = Decimal(repr(side.price))
        if order.moment is not None:
            self.try_once(order, side, now_ns, reports)
        elif order.stop is None:
            if order.accepts(far):
                self._execute(order, side, now_ns, reports)
        elif order.is_passed(far) or (not order.is_trailing and _is_passed(order, as_price(touch.quote.last))):
            self._book.trigger(order)
            self.moved = True
            if order.accepts(far):
                self._execute(order, side, now_ns, reports)
        elif order.is_trailing:
            mark = order.mark
            order.follow(far)
            self.moved = self.moved or order.mark != mark

    def try_once(self, order: WorkingOrder, side: Standing, now_ns: int, reports: list[Report]) -> None:
        """Execute what one moment gives an order, and end it with that."""
        far = Decimal(repr(side.price))
        if order.accepts(far):
            if order.moment is not FOK or self._room(order.listing, side, now_ns) >= order.remaining:
                self._execute(order, side, now_ns, reports)
                if not order.remaining:
                    return
            text = f"{side.size:g} stood at {far}"
        else:
            text = f"the market was at {far}"
        if order.moment in AUCTIONS:
            self._book.close(order, EXPIRED)
            reports.append(Expired(order.wire_id))
            return
        what = "all at once" if order.moment is FOK else f"the last {order.remaining} at once"
        self._book.close(order, CANCELLED)
        reports.append(Cancelled(order.wire_id, f"{order.moment}: not {what}; {text}"))

    def _execute(self, order: WorkingOrder, side: Standing, now_ns: int, reports: list[Report]) -> None:
        if self._room(order.listing, side, now_ns):
            self._executions.execute(order, None, order.listing.open, now_ns, reports)
            side.taken = order.listing.taken

    def _room(self, listing: Listing, side: Standing, now_ns: int) -> Decimal:
        """Make the side what the listing trades at, and return how much is left of it, in whole lots."""
        price = side.price
        listing.begin((price, price, price, price, side.size), now_ns)
        listing.taken = side.taken
        return self._executions.room(listing)


def _is_passed(order: WorkingOrder, last: Decimal | None) -> bool:
    return last is not None and order.is_passed(last)


def _touched(listing: Listing, quote: Quote) -> list[WorkingOrder]:
    """Return, in order of arrival, the orders that the quote may do something to, and maybe some more."""
    low = high = quote.last if as_price(quote.last) is not None else quote.bid
    touched = [*listing.unpriced.values()]
    listing.below.collect(min(low, quote.bid), touched)
    listing.above.collect(-max(high, quote.ask), touched)
    return sorted(touched, key=by_sequence)
