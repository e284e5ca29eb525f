"""The resting orders of one symbol, ordered by price, so that a bar meets only the orders that it touches.

Prices are ordered by their float, because bars are floats: rounding to a float keeps order, so two floats that differ
compare as their exact prices do. Equal floats may hide different prices; who fills decides those with exact numbers.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from decimal import Decimal
from math import inf

from ...actors.model import ZERO, Instrument, Row
from .account import Holding

NOT_LIMITED = -inf


class WorkingOrder:
    """An order that works at the exchange, and what it still claims of the account.

    `quantity` and `filled` count all legs. `key` is the limit price as a float, negated for a sell. `sequence` is the
    place in the queue and `arrived_ns` the instant from which it is live; a replacement renews both. A buy in a cash
    account claims `claim`, made of `claim_price` a share and the commission due.
    """

    __slots__ = (
        "arrived_ns",
        "base_id",
        "broker_order_id",
        "claim",
        "claim_price",
        "commission",
        "commission_due",
        "earlier_wire_ids",
        "filled",
        "is_buy",
        "is_day",
        "key",
        "limit",
        "listing",
        "notional",
        "quantity",
        "remaining",
        "sequence",
        "wire_id",
    )

    def __init__(self, base_id: str, listing: Listing, is_buy: bool, is_day: bool, commission_due: Decimal) -> None:
        self.base_id = base_id
        self.listing = listing
        self.is_buy = is_buy
        self.is_day = is_day
        self.commission_due = commission_due
        self.commission = ZERO
        self.filled = ZERO
        self.notional = ZERO
        self.claim = ZERO
        self.earlier_wire_ids: tuple[str, ...] = ()

    def set_leg(
        self,
        wire_id: str,
        broker_order_id: str,
        sequence: int,
        now_ns: int,
        quantity: Decimal,
        limit: Decimal | None,
        claim_price: Decimal,
    ) -> None:
        """Take the terms of a leg, the first or a replacement; what is filled stays filled."""
        self.wire_id = wire_id
        self.broker_order_id = broker_order_id
        self.sequence = sequence
        self.arrived_ns = now_ns
        self.quantity = quantity
        self.remaining = quantity - self.filled if self.filled else quantity
        self.claim_price = claim_price
        self.limit = limit
        if limit is None:
            self.key = NOT_LIMITED
        else:
            self.key = float(limit) if self.is_buy else -float(limit)

    def record_fill(self, quantity: Decimal, notional: Decimal) -> Decimal:
        """Count an execution, which settles the commission, and return the cumulative quantity after it."""
        if quantity is self.remaining:
            self.filled = self.quantity
            self.remaining = ZERO
        else:
            self.filled += quantity
            self.remaining = self.quantity - self.filled
        self.notional += notional
        if self.commission_due:
            self.commission = self.commission_due
            self.commission_due = ZERO
        return self.filled


class Ladder:
    """The limit orders of one side. The greatest key is the order that the market reaches first, on either side."""

    __slots__ = ("best", "keys", "levels")

    def __init__(self) -> None:
        self.best = NOT_LIMITED
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
            self.best = keys[-1] if keys else NOT_LIMITED
        else:
            del keys[bisect_left(keys, key)]

    def collect(self, reached: float, orders: list[WorkingOrder]) -> None:
        """Add to `orders` those whose key is `reached` or greater, the best price first."""
        for key in reversed(self.keys):
            if key < reached:
                return
            orders.extend(self.levels[key].values())


class Book:
    """The resting orders of one symbol: market orders in order of arrival, limit orders by price."""

    __slots__ = ("asks", "bids", "markets")

    def __init__(self) -> None:
        self.markets: dict[int, WorkingOrder] = {}
        self.bids = Ladder()
        self.asks = Ladder()

    def add(self, order: WorkingOrder) -> None:
        if order.limit is None:
            self.markets[order.sequence] = order
        elif order.is_buy:
            self.bids.add(order)
        else:
            self.asks.add(order)

    def remove(self, order: WorkingOrder) -> bool:
        """Take the order out and tell whether others are left."""
        if order.limit is None:
            del self.markets[order.sequence]
        elif order.is_buy:
            self.bids.remove(order)
        else:
            self.asks.remove(order)
        return bool(self.markets or self.bids.keys or self.asks.keys)

    def touched_by(self, low: float, high: float) -> list[WorkingOrder]:
        """Return the orders that prices from `low` to `high` touch, in no particular order across prices."""
        orders = list(self.markets.values())
        if self.bids.best >= low:
            self.bids.collect(low, orders)
        if self.asks.best >= -high:
            self.asks.collect(-high, orders)
        return orders


class Listing:
    """All that the exchange has of one symbol: trading rules, book, holding, the bar being matched and its budget."""

    __slots__ = ("bar_end_ns", "book", "budget", "holding", "instrument", "open", "row", "symbol")

    def __init__(self, symbol: str, instrument: Instrument, holding: Holding) -> None:
        self.symbol = symbol
        self.instrument = instrument
        self.book = Book()
        self.holding = holding
        self.bar_end_ns = -1
        self.budget: Decimal | None = None
        self.row: Row = (0.0, 0.0, 0.0, 0.0, 0.0)
        self.open = ZERO
