"""The orders of the exchange: what one is, those that work, and a short memory of those that are finished.

A broker remembers an id after the order is gone: it refuses the id a second time and still answers for it.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from math import inf
from operator import attrgetter
from typing import TYPE_CHECKING, ClassVar

import msgspec

from ...actors.model import ZERO, Order, OrderType, TimeInForce
from ...actors.ports import BrokerOrderState, OrderFound
from .rules import Refusal, RefusalCode, refusal
from .terms import trail_of

if TYPE_CHECKING:
    from .book import Auction, Ladder, Listing

REMEMBERED = 10_000
"""The last so many finished orders are always remembered; at most twice as many are held."""

NOT_PRICED = -inf
"""The key of an order that waits for no price."""

TRAILING_STOP = OrderType.TRAILING_STOP

REJECTED = BrokerOrderState.REJECTED


def base_id_of(wire_id: str) -> str:
    """Return the part that all legs of an order share: what stands before the last `.n`."""
    return wire_id.rpartition(".")[0] or wire_id


class OrderSummary(msgspec.Struct, eq=False, gc=False):
    """What is remembered of a finished order. `wire_id` is its last leg."""

    wire_id: str
    state: BrokerOrderState
    broker_order_id: str = ""
    earlier_wire_ids: tuple[str, ...] = ()
    filled: Decimal = ZERO
    notional: Decimal = ZERO
    commission: Decimal = ZERO

    def report(self) -> OrderFound:
        """Return this as an answer to a status request."""
        average = self.notional / self.filled if self.filled else None
        return OrderFound(self.wire_id, self.broker_order_id, self.state, self.filled, average, self.commission)


class WorkingOrder(msgspec.Struct, eq=False):
    """The last leg of an order at the exchange, and what it still claims of the account. A replacement makes another.

    `asked` are its terms. `quantity` and `filled` count all legs. `sequence` is the place in the queue and `arrived_ns`
    the instant from which the leg is live. A `plain` order is a market or limit order that is DAY or GTC, or a stop
    order that was triggered and so became one. Of the others, `stop` is the price that triggers, None for ever
    afterwards, and of a trailing stop follows `mark`, the market's best price so far; `moment` says of an IOC, FOK, OPG or
    CLS order when alone it may trade, and an OPG order's first session is `first_session`. `queue` and `key` are where
    the order waits in the book. A buy in a cash account claims `claim`,
    made of `claim_price` a share and the commission due. `charged` is the commission so far where that depends on more
    than the order.
    """

    state: ClassVar[BrokerOrderState] = BrokerOrderState.WORKING

    wire_id: str
    broker_order_id: str
    base_id: str
    asked: Order
    listing: Listing
    is_buy: bool
    is_day: bool
    quantity: Decimal
    remaining: Decimal
    limit: Decimal | None
    claim_price: Decimal
    commission_due: Decimal
    sequence: int
    arrived_ns: int
    key: float = NOT_PRICED
    queue: Ladder | Auction | None = None
    earlier_wire_ids: tuple[str, ...] = ()
    filled: Decimal = ZERO
    notional: Decimal = ZERO
    commission: Decimal = ZERO
    claim: Decimal = ZERO
    charged: Decimal = ZERO
    plain: bool = True
    triggered: bool = False
    stop: Decimal | None = None
    mark: Decimal = ZERO
    moment: TimeInForce | None = None
    first_session: int = 0

    def report(self) -> OrderFound:
        """Return this as an answer, with what is open of it."""
        terms = (self.listing.symbol, self.asked.side, self.remaining, self.limit)
        average = self.notional / self.filled if self.filled else None
        return OrderFound(self.wire_id, self.broker_order_id, self.state, self.filled, average, self.commission, *terms)

    @property
    def is_trailing(self) -> bool:
        """Whether it is a trailing stop that has not been triggered."""
        return self.stop is not None and self.asked.order_type is TRAILING_STOP

    def accepts(self, price: Decimal) -> bool:
        """Tell whether the order may trade at `price`, as far as its limit goes."""
        limit = self.limit
        return limit is None or (price <= limit if self.is_buy else price >= limit)

    def is_passed(self, price: Decimal) -> bool:
        """Tell whether `price` triggers the order: a touch is enough."""
        stop = self.stop
        return stop is not None and (price >= stop if self.is_buy else price <= stop)

    def follow(self, price: Decimal) -> None:
        """Let a trailing stop follow the market to `price`, never back."""
        if price < self.mark if self.is_buy else price > self.mark:
            self.mark = price
            self.stop = self.trailing_stop()

    def trailing_stop(self) -> Decimal:
        """Return where the stop of a trailing order stands, on the tick away from the market.

        So the distance is never less than was asked for: rounding must not make an order trigger that would not have.
        """
        tick, trail = self.listing.instrument.tick, trail_of(self.asked, self.mark)
        exact, rounding = (self.mark + trail, ROUND_CEILING) if self.is_buy else (self.mark - trail, ROUND_FLOOR)
        return (exact / tick).to_integral_value(rounding) * tick


def leg_refusal(order: WorkingOrder, wire_id: str) -> Refusal | None:
    """Return why the order's next leg cannot have this id, None when it can."""
    if base_id_of(wire_id) != order.base_id:
        return refusal(RefusalCode.UNKNOWN_ORDER, f"new_wire_id: {wire_id} is not a leg of {order.base_id}")
    if wire_id in (order.wire_id, order.base_id, *order.earlier_wire_ids):
        return refusal(RefusalCode.DUPLICATE_ORDER_ID, f"new_wire_id: the leg {wire_id} was made before")
    return None


def trigger_refusal(order: WorkingOrder, asked: Order) -> Refusal | None:
    """Return why a replacement may not ask for these terms of an order that was triggered, None where it was not."""
    was = order.asked
    if not order.triggered:
        return None
    for field in ("stop_price", "trail_amount", "trail_percent"):
        value = getattr(asked, field)
        if value != getattr(was, field):
            text = f"{field}: the order was triggered before; give {getattr(was, field)} as it was, not {value}"
            return refusal(RefusalCode.TOO_LATE, text)
    return None


class OrderIndex:
    """Orders by base id. The finished are kept in two generations: when the younger is full, the elder is forgotten.

    So remembering costs the same at any size, and an id passes as new only after `size` more orders have finished.
    """

    __slots__ = ("_elder", "_size", "_younger", "open")

    def __init__(self, size: int = REMEMBERED) -> None:
        self.open: dict[str, WorkingOrder] = {}
        self._size = size
        self._younger: dict[str, OrderSummary] = {}
        self._elder: dict[str, OrderSummary] = {}

    def knows(self, base_id: str) -> bool:
        """Tell whether the id was used, as far as is remembered."""
        return base_id in self.open or base_id in self._younger or base_id in self._elder

    def working(self, wire_id: str) -> WorkingOrder | Refusal:
        """Return the order whose working leg this is, or why there is none."""
        order = self.open.get(wire_id.rpartition(".")[0] or wire_id)
        if order is not None and order.wire_id == wire_id:
            return order
        found = self.summary(wire_id)
        if found is None or wire_id not in (found.wire_id, *found.earlier_wire_ids):
            return refusal(RefusalCode.UNKNOWN_ORDER, f"wire_id: no order {wire_id} is known")
        if found.wire_id != wire_id:
            return refusal(RefusalCode.TOO_LATE, f"wire_id: {wire_id} was replaced, its last leg is {found.wire_id}")
        return refusal(RefusalCode.TOO_LATE, f"wire_id: {wire_id} is {found.state}, with {found.filled} filled")

    def summary(self, asked: str) -> OrderSummary | WorkingOrder | None:
        """Return what is known of the order with this base id or leg, None for an id or a leg that never was."""
        base_id = base_id_of(asked)
        found: OrderSummary | WorkingOrder | None = self.open.get(base_id)
        found = found or self._younger.get(base_id) or self._elder.get(base_id)
        if found is None or asked not in (base_id, found.wire_id, *found.earlier_wire_ids):
            return None
        return found

    def listed(self) -> tuple[OrderFound, ...]:
        """Return what is told of the open orders, in order of arrival."""
        return tuple(order.report() for order in sorted(self.open.values(), key=attrgetter("sequence")))

    def finish(self, order: WorkingOrder, state: BrokerOrderState) -> None:
        """Take the order off the open ones and remember how it ended."""
        base_id = order.base_id
        del self.open[base_id]
        if len(self._younger) >= self._size:
            self._elder, self._younger = self._younger, {}
        # Not the order itself: thousands of them would cost the garbage collector more than their summaries cost here.
        self._younger[base_id] = OrderSummary(
            order.wire_id,
            state,
            order.broker_order_id,
            order.earlier_wire_ids,
            order.filled,
            order.notional,
            order.commission,
        )

    def reject(self, base_id: str, wire_id: str) -> None:
        """Remember an order that never worked."""
        if len(self._younger) >= self._size:
            self._elder, self._younger = self._younger, {}
        self._younger[base_id] = OrderSummary(wire_id, REJECTED)
