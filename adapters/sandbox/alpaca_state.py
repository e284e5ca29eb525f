"""Everything that the sandbox's broker remembers: plain structs, so that a dump is their JSON and nothing is forgotten."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Any

import msgspec

from ...actors.model import ZERO
from .alpaca_settings import Listed

Json = dict[str, Any]

ARITHMETIC = Context(prec=34)
"""The context of every computation: sums and products of prices and quantities are exact in it."""

OPEN = frozenset(
    ("new", "partially_filled", "accepted", "pending_new", "held", "pending_cancel", "pending_replace", "done_for_day")
)
"""The statuses of an order that may still trade."""

REPLACEABLE = frozenset(("new", "partially_filled", "held"))
"""The statuses in which an order takes a PATCH: docs.alpaca.markets, reference of "Replace order by ID"."""


class Order(msgspec.Struct, kw_only=True):
    """One order, as Alpaca knows it. Times are nanoseconds, None where the thing has not happened.

    `group` is the id of the first order of a bracket, OCO or OTO, kept by what replaces it. `role` tells what the order is in
    its group. An order is `armed` when it may trade: a leg is not before its entry is filled, nor is an order that waits
    for a session or replaces another. A stop is `triggered` once the market has touched it. `busted` counts what was filled
    and taken back, which does not trade again.
    """

    id: str
    client_order_id: str
    number: int
    asset_id: str
    symbol: str
    side: str
    type: str
    time_in_force: str
    order_class: str = ""
    qty: Decimal | None = None
    notional: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_price: Decimal | None = None
    trail_percent: Decimal | None = None
    hwm: Decimal | None = None
    extended_hours: bool = False
    position_intent: str = ""
    status: str = "pending_new"
    filled_qty: Decimal = ZERO
    filled_value: Decimal = ZERO
    busted: Decimal = ZERO
    group: str = ""
    role: str = "simple"
    legs: list[str] = msgspec.field(default_factory=list)
    armed: bool = False
    triggered: bool = False
    queued: bool = False
    replaces: str | None = None
    replaced_by: str | None = None
    created_ns: int = 0
    updated_ns: int = 0
    submitted_ns: int = 0
    filled_ns: int | None = None
    expired_ns: int | None = None
    expires_ns: int | None = None
    canceled_ns: int | None = None
    failed_ns: int | None = None
    replaced_ns: int | None = None

    @property
    def is_buy(self) -> bool:
        return self.side == "buy"

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    @property
    def leaves(self) -> Decimal:
        """What is still to trade of a quantity; zero for a notional order, whose quantity the market decides."""
        return ZERO if self.qty is None else self.qty - self.filled_qty - self.busted

    @property
    def leaves_notional(self) -> Decimal:
        """What is still to trade of an amount of money."""
        return ZERO if self.notional is None else self.notional - self.filled_value


class Execution(msgspec.Struct, kw_only=True):
    """One fill. `execution_id` changes with every correction; `activity_id` is the fill's own."""

    execution_id: str
    activity_id: str
    order_id: str
    symbol: str
    side: str
    at_ns: int
    qty: Decimal
    price: Decimal
    cum_qty: Decimal
    leaves_qty: Decimal
    order_status: str
    is_busted: bool = False


class Booking(msgspec.Struct, kw_only=True):
    """One activity that is no trade."""

    activity_id: str
    type: str
    date: str
    net_amount: Decimal = ZERO
    symbol: str | None = None
    qty: Decimal | None = None
    per_share_amount: Decimal | None = None
    price: Decimal | None = None
    description: str = ""


class Holding(msgspec.Struct, kw_only=True):
    """A position: its average price is `cost / basis`, which reducing it does not change."""

    qty: Decimal = ZERO
    cost: Decimal = ZERO
    basis: Decimal = ZERO


class Quote(msgspec.Struct, kw_only=True):
    """The last quote of a symbol: None where a side is not known, a size of None where it does not limit.

    What has been taken of a size is gone until the next quote.
    """

    at_ns: int
    bid: Decimal | None = None
    ask: Decimal | None = None
    bid_size: Decimal | None = None
    ask_size: Decimal | None = None


class Asset(msgspec.Struct, kw_only=True):
    """A listed stock. One that is `halted` is not traded, though orders for it are taken."""

    id: str
    terms: Listed
    status: str = "active"
    halted: bool = False


class Due(msgspec.Struct, kw_only=True, order=True):
    """Something that happens to an order later; of two at one time the one that was arranged first."""

    at_ns: int
    number: int
    what: str
    order_id: str


class Flags(msgspec.Struct, kw_only=True):
    """What blocks an account."""

    trading_blocked: bool = False
    account_blocked: bool = False
    transfers_blocked: bool = False
    trade_suspended_by_user: bool = False
    shorting_enabled: bool = True


class State(msgspec.Struct, kw_only=True):
    """The whole memory of a broker. `made` counts ids, `drawn` chances: both are what the seed is mixed with."""

    now_ns: int
    created_ns: int
    cash: Decimal
    account_id: str = ""
    account_number: str = ""
    made: int = 0
    drawn: int = 0
    numbered: int = 0
    orders: dict[str, Order] = msgspec.field(default_factory=dict)
    open_ids: dict[str, None] = msgspec.field(default_factory=dict)
    by_client_id: dict[str, str] = msgspec.field(default_factory=dict)
    executions: dict[str, Execution] = msgspec.field(default_factory=dict)
    bookings: list[Booking] = msgspec.field(default_factory=list)
    holdings: dict[str, Holding] = msgspec.field(default_factory=dict)
    quotes: dict[str, Quote] = msgspec.field(default_factory=dict)
    last_prices: dict[str, Decimal] = msgspec.field(default_factory=dict)
    day_prices: dict[str, Decimal] = msgspec.field(default_factory=dict)
    last_equity: Decimal = ZERO
    assets: dict[str, Asset] = msgspec.field(default_factory=dict)
    symbols_by_id: dict[str, str] = msgspec.field(default_factory=dict)
    due: list[Due] = msgspec.field(default_factory=list)
    updates: list[Json] = msgspec.field(default_factory=list)
    flags: Flags = msgspec.field(default_factory=Flags)
