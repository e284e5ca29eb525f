"""The resting orders of one symbol, ordered by price, so that a bar meets only the orders that it touches.

Prices are ordered by their float, because bars are floats: rounding to a float keeps order, so two floats that differ
compare as their exact prices do. Equal floats may hide different prices; who fills decides those with exact numbers.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from decimal import Decimal
from math import ceil, inf
from typing import TYPE_CHECKING

from ...actors.model import ZERO, Instrument, Row
from .account import Holding
from .costs import as_decimal

if TYPE_CHECKING:
    from .orders import WorkingOrder

NOT_LIMITED = -inf


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


class Listing:
    """All that the exchange has of one symbol: trading rules, holding, resting orders, and the bar that is matched.

    Market orders are in order of arrival, limit orders by price. Of the bar that ended at `bar_end_ns`, orders have
    `taken` so much; up to `ample`, which takes no exact arithmetic to know, that is certainly within its budget.
    """

    __slots__ = (
        "_sure_part",
        "_whole_lot",
        "ample",
        "asks",
        "bar_end_ns",
        "bids",
        "holding",
        "instrument",
        "markets",
        "open",
        "row",
        "symbol",
        "taken",
    )

    def __init__(self, symbol: str, instrument: Instrument, holding: Holding, sure_part: float) -> None:
        self.symbol = symbol
        self.instrument = instrument
        self.holding = holding
        self.markets: dict[int, WorkingOrder] = {}
        self.bids = Ladder()
        self.asks = Ladder()
        self.bar_end_ns = -1
        self.row: Row = (0.0, 0.0, 0.0, 0.0, 0.0)
        self.open = ZERO
        self.taken = ZERO
        self.ample = 0
        self._sure_part = sure_part
        self._whole_lot = ceil(instrument.lot)

    def begin(self, row: Row, end_ns: int) -> None:
        """Make this bar the one that is matched; nobody has taken of it."""
        self.bar_end_ns = end_ns
        self.row = row
        self.open = as_decimal(row[0])
        self.taken = ZERO
        volume = row[4]
        self.ample = int(volume * self._sure_part) - self._whole_lot if 0.0 < volume < inf else 0

    def reaches(self, order: WorkingOrder, limit: Decimal, at_touch: bool) -> bool:
        """Tell whether the bar trades through the limit of an order that it touches, or to it where that is enough."""
        extreme = self.row[2] if order.is_buy else self.row[1]
        if abs(order.key) != extreme:
            return True
        exact = as_decimal(extreme)
        return at_touch if limit == exact else (limit > exact) is order.is_buy
