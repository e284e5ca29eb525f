"""One order as the broker has it, and what the broker would have said of it at any instant: readers may see an older one."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from ..actors.model import ZERO, Order, Side, Terms, TimeInForce
from ..actors.ports import BrokerOrderState, OrderFound
from ..actors.snapshots import ExternalOrder

WORKING = BrokerOrderState.WORKING
BUY = Side.BUY
IOC = TimeInForce.IOC


class Refusal(NamedTuple):
    """Why a leg cannot be cancelled or replaced."""

    code: str
    text: str


class BrokerOrder:
    """An order with all its legs. `left` is what may still trade, `filled` counts all legs; `terms` are the present leg's.

    The order of a human has the wire id "". `lost` is what was open when the order was cancelled.
    """

    __slots__ = (
        "broker_order_id",
        "client_id",
        "commission",
        "filled",
        "filled_legs",
        "is_buy",
        "is_changing",
        "left",
        "limit",
        "lost",
        "notional",
        "sequence",
        "state",
        "stop",
        "symbol",
        "terms",
        "versions",
        "wire_id",
        "wire_ids",
    )

    def __init__(self, wire_id: str, client_id: str, terms: Order, sequence: int) -> None:
        self.wire_id, self.client_id, self.sequence = wire_id, client_id, sequence
        self.broker_order_id = f"b{sequence}"
        self.symbol, self.is_buy = terms.symbol, terms.side is BUY
        self.wire_ids = [wire_id]
        self.state = WORKING
        self.filled = self.notional = self.commission = self.lost = ZERO
        self.is_changing = False
        self.versions: list[tuple[int, OrderFound]] = []
        self.take(terms, terms.quantity)
        self.stop = terms.stop_price

    def take(self, terms: Order, left: Decimal) -> None:
        """Take over the terms of a leg. An order whose stop was passed stays as it is then."""
        self.terms, self.left, self.limit = terms, left, terms.limit_price

    @property
    def is_open(self) -> bool:
        return self.state is WORKING

    @property
    def is_human(self) -> bool:
        return not self.wire_id

    @property
    def found(self) -> OrderFound:
        """What is said of it now."""
        return self.versions[-1][1]

    def accepts(self, price: Decimal) -> bool:
        """Tell whether it trades when the market is at `price`; a stop that is passed is gone."""
        if self.stop is not None:
            if (price < self.stop) if self.is_buy else (price > self.stop):
                return False
            self.stop = None
        limit = self.limit
        return limit is None or (price <= limit if self.is_buy else price >= limit)

    def price_at(self, market: Decimal) -> Decimal | None:
        """Return at what price it can trade now, at its own limit if need be; None while it waits for its stop."""
        if self.stop is not None:
            return None
        limit = self.limit
        if limit is None:
            return market
        return min(limit, market) if self.is_buy else max(limit, market)

    def next_leg(self, wire_id: str, broker_order_id: str, terms: Terms, left: Decimal) -> None:
        """Go on as another leg."""
        was_stopped = self.stop is not None
        self.wire_id, self.broker_order_id = wire_id, broker_order_id
        self.wire_ids.append(wire_id)
        self.take(terms.applied_to(self.terms), left)
        self.stop = terms.stop_price if was_stopped else None

    def keep(self, at_ns: int) -> None:
        """Take note of how it stands, after each change."""
        average = self.notional / self.filled if self.filled else None
        self.versions.append(
            (
                at_ns,
                OrderFound(
                    self.wire_id,
                    self.broker_order_id,
                    self.state,
                    self.filled,
                    average,
                    self.commission,
                    self.symbol,
                    self.terms.side,
                    self.left if self.is_open else ZERO,
                    self.limit,
                ),
            )
        )

    def seen_at(self, at_ns: int) -> OrderFound | None:
        """Return what was said of it at an instant, None before it came."""
        for since_ns, found in reversed(self.versions):
            if since_ns <= at_ns:
                return found
        return None


def external_of(found: OrderFound) -> ExternalOrder:
    """Return the order of a human as a list of open orders has it."""
    return ExternalOrder(found.broker_order_id, found.symbol, found.side or BUY, found.open_quantity, found.limit_price)
