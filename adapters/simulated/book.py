"""The resting orders of one symbol, ordered by price, so that a bar meets only the orders that it touches.

Prices are ordered by their float, because bars are floats: rounding to a float keeps order, so two floats that differ
compare as their exact prices do. Equal floats may hide different prices; who fills decides those with exact numbers.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from decimal import Decimal
from math import ceil, inf
from typing import TYPE_CHECKING

from ...actors.bars import Row
from ...actors.model import ZERO, Instrument, TimeInForce
from ...actors.ports import BrokerOrderState, Instruments
from .account import Account, Holding
from .costs import as_decimal
from .orders import NOT_PRICED, OrderIndex, WorkingOrder

if TYPE_CHECKING:
    from .path import Walk

OPG, CLS = TimeInForce.OPG, TimeInForce.CLS


class Ladder:
    """The orders on one side of the market. The greatest key is the order that it reaches first, on either side.

    Below the market wait the buy limits and the sell stops, by price; above it the sell limits and the buy stops, by
    the negated price.
    """

    __slots__ = ("best", "keys", "levels")

    def __init__(self) -> None:
        self.best = NOT_PRICED
        self.keys: list[float] = []
        self.levels: dict[float, dict[int, WorkingOrder]] = {}

    def add(self, order: WorkingOrder) -> None:
        key = order.key
        level = self.levels.get(key)
        if level is not None:
            level[order.sequence] = order
            return
        self.levels[key] = {order.sequence: order}
        if key > self.best:
            self.keys.append(key)
            self.best = key
        else:
            insort(self.keys, key)

    def remove(self, order: WorkingOrder) -> None:
        key = order.key
        level = self.levels[key]
        del level[order.sequence]
        if level:
            return
        del self.levels[key]
        keys = self.keys
        if key == self.best:
            keys.pop()
            self.best = keys[-1] if keys else NOT_PRICED
        else:
            del keys[bisect_left(keys, key)]

    def collect(self, reached: float, orders: list[WorkingOrder]) -> None:
        """Add to `orders` those whose key is `reached` or greater, the best price first."""
        for key in reversed(self.keys):
            if key < reached:
                return
            orders.extend(self.levels[key].values())


class Auction(dict[int, "WorkingOrder"]):
    """The orders that wait for an auction, by sequence; no bar meets them before."""

    __slots__ = ()

    def add(self, order: WorkingOrder) -> None:
        self[order.sequence] = order

    def remove(self, order: WorkingOrder) -> None:
        del self[order.sequence]


class Listing:
    """All that the exchange has of one symbol: trading rules, holding, resting orders, and the bar that is matched.

    The `unpriced` meet the next bar whatever its prices, in order of arrival: market orders, trailing stops, and orders
    that have but one moment to trade. The others wait for a price. `walk` is the last bar that was followed along its
    path, and `ended_ns` when an order was last taken out that had not filled. Of the bar that ended at `bar_end_ns`, orders have
    `taken` so much; up to `ample`, which takes no exact arithmetic to know, that is certainly within its budget. What is
    ample in one bar is so in every bar of no less volume: it is kept for bars from `ample_from` on.
    """

    __slots__ = (
        "_sure_part",
        "_whole_lot",
        "ample",
        "ample_from",
        "above",
        "bar_end_ns",
        "below",
        "ended_ns",
        "holding",
        "instrument",
        "open",
        "row",
        "symbol",
        "taken",
        "unpriced",
        "walk",
    )

    def __init__(self, symbol: str, instrument: Instrument, holding: Holding, sure_part: float) -> None:
        self.symbol = symbol
        self.instrument = instrument
        self.holding = holding
        self.unpriced: dict[int, WorkingOrder] = {}
        self.below = Ladder()
        self.above = Ladder()
        self.walk: Walk | None = None
        self.ended_ns = -1
        self.bar_end_ns = -1
        self.row: Row = (0.0, 0.0, 0.0, 0.0, 0.0)
        self.open = ZERO
        self.taken = ZERO
        self.ample, self.ample_from = ZERO, inf
        self._sure_part = sure_part
        self._whole_lot = ceil(instrument.lot)

    def begin(self, row: Row, end_ns: int) -> None:
        """Make this bar the one that is matched; nobody has taken of it."""
        self.bar_end_ns = end_ns
        self.row = row
        self.open = as_decimal(row[0])
        self.taken = ZERO
        if not row[4] >= self.ample_from:  # a NaN is not
            self.ample, self.ample_from = ZERO, inf

    def is_ample(self, taken: Decimal) -> bool:
        """Tell whether the bar's budget is certainly enough for so much, by what is ample in this very bar."""
        volume = self.row[4]
        if 0.0 < volume < inf and volume != self.ample_from:
            self.ample = Decimal(int(volume * self._sure_part) - self._whole_lot)
            self.ample_from = volume
        return taken <= self.ample

    def reaches(self, order: WorkingOrder, limit: Decimal, at_touch: bool) -> bool:
        """Tell whether the bar trades through the limit of an order that it touches, or to it where that is enough."""
        extreme = self.row[2] if order.is_buy else self.row[1]
        if abs(order.key) != extreme:
            return True
        exact = as_decimal(extreme)
        return at_touch if limit == exact else (limit > exact) is order.is_buy

    def was_alone(self, order: WorkingOrder, end_ns: int) -> bool:
        """Tell whether no other order worked here while the bar traded that ended at `end_ns`, which is now."""
        if self.ended_ns == end_ns:
            return False
        waiting = [*self.unpriced.values()]
        self.below.collect(-inf, waiting)
        self.above.collect(-inf, waiting)
        return all(other is order or other.arrived_ns == end_ns for other in waiting)


class Book:
    """All working orders: by symbol and price, by the day or the auction that they end with, and by their ids."""

    __slots__ = ("_account", "_instruments", "_sure_part", "closing", "day", "listings", "opening", "orders", "resting")

    def __init__(self, account: Account, instruments: Instruments, sure_part: float, orders: OrderIndex) -> None:
        self._account = account
        self._instruments = instruments
        self._sure_part = sure_part
        self.orders = orders
        self.listings: dict[str, Listing] = {}
        self.resting: dict[str, Listing] = {}  # those with orders that bars meet, and some that no longer have any
        self.day: dict[int, WorkingOrder] = {}  # by sequence
        self.opening = Auction()
        self.closing = Auction()

    def list(self, symbol: str) -> Listing | None:
        """List a symbol that trades here when its first order comes."""
        instrument = self._instruments.get(symbol)
        if instrument is None:
            return None
        self.listings[symbol] = listing = Listing(symbol, instrument, self._account.holding(symbol), self._sure_part)
        return listing

    def place(self, order: WorkingOrder) -> None:
        """Set, from the terms of an order that does not rest, where it will wait."""
        order.key, order.queue = NOT_PRICED, None
        moment, price, is_below = order.moment, order.stop, not order.is_buy
        if moment is not None:
            order.queue = self.opening if moment is OPG else self.closing if moment is CLS else None
            return
        if price is None:
            price, is_below = order.limit, order.is_buy
        if price is not None and not order.is_trailing:
            order.key = float(price) if is_below else -float(price)
            order.queue = order.listing.below if is_below else order.listing.above

    def rest(self, order: WorkingOrder) -> None:
        """Put a leg of an order, the first or a replacement, where it waits. The account holds what it claims."""
        listing = order.listing
        queue = order.queue
        if queue is None:
            listing.unpriced[order.sequence] = order
        else:
            queue.add(order)
        self.resting[listing.symbol] = listing
        self.orders.open[order.base_id] = order
        if order.is_day:
            self.day[order.sequence] = order

    def withdraw(self, order: WorkingOrder) -> None:
        """Take a leg of an order out of the book."""
        queue = order.queue
        if queue is None:
            del order.listing.unpriced[order.sequence]
        else:
            queue.remove(order)
        if order.is_day:
            del self.day[order.sequence]

    def trigger(self, order: WorkingOrder) -> None:
        """Make a stop order the market or limit order that it becomes, at its place in the queue."""
        self.withdraw(order)
        order.stop, order.plain, order.triggered = None, True, True
        self.place(order)
        self.rest(order)

    def open_auction(self, session: int, start_ns: int) -> None:
        """Let the orders that came in time for the opening of this session meet the next bar of their symbol."""
        for order in list(self.opening.values()):
            if order.first_session <= session and order.arrived_ns <= start_ns:
                self.withdraw(order)
                order.queue, order.is_day = None, True
                self.rest(order)

    def finish(self, order: WorkingOrder, state: BrokerOrderState) -> None:
        """Take an order that has come to its end out of the book."""
        self.withdraw(order)
        self.orders.finish(order, state)

    def close(self, order: WorkingOrder, state: BrokerOrderState) -> None:
        """End an order before it is filled: give back what it claims and take it out of the book."""
        self._account.release(order)
        self.withdraw(order)
        self.orders.finish(order, state)
