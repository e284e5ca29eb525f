"""How everything stands once the faults have been over for long enough: what the core believes beside what is true."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from ...actors.model import OrderStatus, Side, TradingState


class OpenOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order that works at the broker. One that is not ours has the wire id ""."""

    wire_id: str
    broker_order_id: str
    symbol: str
    side: Side
    open_quantity: Decimal


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """What the broker has: holdings that are not zero, cash, what works there, and what filled of each order of ours, over all legs."""

    positions: Mapping[str, Decimal]
    cash: Decimal
    open_orders: tuple[OpenOrder, ...]
    filled: Mapping[str, Decimal]


class HighWater(msgspec.Struct, frozen=True):
    """The most that a queue has held, and its bound."""

    most: int
    bound: int


class Rest(msgspec.Struct, frozen=True, kw_only=True):
    """What the core says of itself, and the truth.

    `statuses` are those of every order in its journal. `frozen` are the symbols that wait for a person, "" is cash.
    `externals` are the broker's ids of the open orders that it counts as not ours. `digests` are those of the actors'
    states, `folded` those of a fresh core that has only read the journal. `is_up` is false when the service has given up.
    """

    truth: Truth
    statuses: tuple[OrderStatus, ...]
    positions: Mapping[str, Decimal]
    cash: Decimal
    trading_state: TradingState
    session: str
    frozen: frozenset[str] = frozenset()
    externals: frozenset[str] = frozenset()
    digests: Mapping[str, str] = {}
    folded: Mapping[str, str] = {}
    queues: Mapping[str, HighWater] = {}
    is_up: bool = True
