"""The words of the domain: orders, fills, positions, accounts. Market data is in `bars.py`.

Everything here is a plain frozen value. Quantities, prices and money are `Decimal`. Times are integer nanoseconds UTC;
the public edge offers aware datetimes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

ZERO = Decimal(0)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def as_datetime(at_ns: int) -> datetime:
    """Return `at_ns` (nanoseconds UTC) as an aware datetime, rounded down to the microsecond."""
    return EPOCH + timedelta(microseconds=at_ns // 1000)


class Side(StrEnum):
    """FIX tag 54."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY


_BUY, _SELL = Side.BUY, Side.SELL


class OrderType(StrEnum):
    """FIX tag 40.

    Every type has its rules in the simulated exchange; a broker's capabilities say which of them it takes.
    """

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"
    STOP_LIMIT = "STOP_LIMIT"
    TRAILING_STOP = "TRAILING_STOP"


_MARKET, _LIMIT = OrderType.MARKET, OrderType.LIMIT


class TimeInForce(StrEnum):
    """FIX tag 59: how long an order stays open.

    DAY until its session's close, GTC until cancelled. IOC takes what there is at once and FOK all or nothing; OPG trades
    in the opening auction and CLS in the closing one.
    """

    DAY = "DAY"
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    OPG = "OPG"
    CLS = "CLS"


class OrderState(StrEnum):
    """The six public states of the design card."""

    PENDING = "PENDING"
    SUBMITTED = "SUBMITTED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"


CLOSED_STATES = frozenset({OrderState.FILLED, OrderState.REJECTED, OrderState.CANCELLED})


class Purpose(StrEnum):
    """What an order is for; it decides which checks of the risk gate apply."""

    ENTRY = "entry"
    CHILD = "child"
    EXIT = "exit"
    PROTECTIVE = "protective"
    LIQUIDATION = "liquidation"
    CANCEL = "cancel"


class TradingState(StrEnum):
    """ACTIVE: everything.

    REDUCING: nothing that increases the worst case. HALTED: only cancels and ticketed liquidation.
    """

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


class Order(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """An instruction to trade, as a portfolio manager writes it.

    A stop order becomes a market order, and a stop-limit order a limit order, once the market trades at `stop_price`. A
    trailing stop follows the market's best price since it arrived at a distance of `trail_amount` (currency) or
    `trail_percent` (5 is 5 %), never back. With `extended_hours` a limit order also works before and after the session.

    Leave `client_order_id` empty to have one made. With your own (at most 40 characters of letters, digits, `-`, `_`,
    `:`), submitting the same terms again returns the first order's status, and other terms under the same id are an
    error.
    """

    symbol: str
    side: Side
    quantity: Decimal
    order_type: OrderType = OrderType.MARKET
    limit_price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.DAY
    client_order_id: str = ""
    account: str = ""
    strategy: str = ""
    purpose: Purpose = Purpose.ENTRY
    parent: str = ""
    stop_price: Decimal | None = None
    trail_amount: Decimal | None = None
    trail_percent: Decimal | None = None
    extended_hours: bool = False

    @classmethod
    def buy(
        cls, symbol: str, quantity: Decimal | int | str, limit_price: Decimal | str | None = None, **terms: Any
    ) -> Order:
        """Return an order to buy.

        The prices given say its type: none is a market order, `limit_price` a limit order, `stop_price` a stop order,
        both a stop-limit order, `trail_amount` or `trail_percent` a trailing stop.
        """
        return cls._of(symbol, _BUY, quantity, limit_price, terms)

    @classmethod
    def sell(
        cls, symbol: str, quantity: Decimal | int | str, limit_price: Decimal | str | None = None, **terms: Any
    ) -> Order:
        """Return an order to sell, its type said by the prices given as for `buy`."""
        return cls._of(symbol, _SELL, quantity, limit_price, terms)

    @classmethod
    def _of(cls, symbol: str, side: Side, quantity: Any, limit_price: Any, terms: dict[str, Any]) -> Order:
        if limit_price is None and not terms:
            return cls(symbol=symbol, side=side, quantity=exact(quantity, "quantity"))
        for field, value in terms.items():
            if type(value) is not _WORDS.get(field):
                terms[field] = _term(value, field)
        if limit_price is not None:
            terms["limit_price"] = exact(limit_price, "limit_price")
        if "order_type" not in terms:
            terms["order_type"] = _type_by(terms)
        return cls(symbol=symbol, side=side, quantity=exact(quantity, "quantity"), **terms)


_WORDS: dict[str, type[StrEnum]] = {
    "side": Side,
    "order_type": OrderType,
    "time_in_force": TimeInForce,
    "purpose": Purpose,
}


_PRICES = frozenset({"stop_price", "trail_amount", "trail_percent"})
_ENTRY = Purpose.ENTRY
_TEXTS = ("symbol", "client_order_id", "account", "strategy", "parent")
_NUMBERS = ("quantity", "limit_price", "stop_price", "trail_amount", "trail_percent")


def _type_by(terms: Mapping[str, Any]) -> OrderType:
    """Return the order type that has these prices."""
    is_limited = terms.get("limit_price") is not None
    if not _PRICES.isdisjoint(terms):
        if terms.get("trail_amount") is not None or terms.get("trail_percent") is not None:
            return OrderType.TRAILING_STOP
        if terms.get("stop_price") is not None:
            return OrderType.STOP_LIMIT if is_limited else OrderType.STOP
    return _LIMIT if is_limited else _MARKET


def _term(value: Any, field: str) -> Any:
    """Return a term as it is kept: plain text such as "GTC" as the word that it is, a price as a Decimal."""
    if field in _PRICES:
        return None if value is None else exact(value, field)
    kind = _WORDS.get(field)
    if kind is None or type(value) is kind:
        return value
    try:
        return kind(value)
    except ValueError:
        raise ValueError(f"{field}: {value!r} is none of {', '.join(kind)}") from None


ID_FORM = re.compile(r"[A-Za-z0-9_:-]{1,40}")
ID_ACCEPTED = "1 to 40 letters, digits, '-', '_' or ':' are accepted"


def exact(value: Decimal | int | str | float, field: str) -> Decimal:
    """Return `value` as a Decimal.

    A float is taken by its shortest decimal form (0.1 is 0.1); what is no number raises ValueError.
    """
    if type(value) is int:
        return Decimal(value)
    if isinstance(value, Decimal) and not value.is_snan():  # which cannot even be compared
        return value
    if isinstance(value, bool):
        raise ValueError(f"{field}: {value!r} is a bool; give a number such as 10 or '10.25'")
    try:
        number = Decimal(repr(value) if isinstance(value, float) else value)
        return +number if number.is_snan() else number
    except (ArithmeticError, TypeError, ValueError):
        raise ValueError(f"{field}: {value!r} is not a number; give one such as 10 or '10.25'") from None


def exactly(order: Order) -> Order:
    """Return the order with its words and numbers as they are kept, itself when they are.

    A side given as the text "BUY" is not the word BUY, and would count as the other one. Raises ValueError for what is no
    order, no such word or no number.
    """
    if type(order) is not Order:
        raise ValueError(f"{order!r} is no order; make one, such as Order.buy('AAPL', 10)")
    quantity, limit = order.quantity, order.limit_price
    if (
        type(order.side) is Side
        and type(order.order_type) is OrderType
        and type(order.time_in_force) is TimeInForce
        and type(order.symbol) is str
        and type(order.client_order_id) is str
        and order.purpose is _ENTRY
        and order.extended_hours is False
        and type(quantity) is Decimal
        and not quantity.is_snan()
        and (limit is None or (type(limit) is Decimal and not limit.is_snan()))
        and order.stop_price is None
        and order.trail_amount is None
        and order.trail_percent is None
    ):
        return order  # the plain market or limit order, at once
    for name in _TEXTS:
        if not isinstance(getattr(order, name), str):
            raise ValueError(f"{name}: {getattr(order, name)!r} is no text")
    if not isinstance(order.extended_hours, bool):
        raise ValueError(f"extended_hours: {order.extended_hours!r} is neither True nor False")
    kept: dict[str, Any] = {name: _term(getattr(order, name), name) for name in _WORDS}
    kept["quantity"] = exact(quantity, "quantity")
    kept |= {name: exact(value, name) for name in _NUMBERS[1:] if (value := getattr(order, name)) is not None}
    if all(value is getattr(order, name) for name, value in kept.items()):
        return order
    return msgspec.structs.replace(order, **kept)


class Fill(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """One execution. `fill_key` is the same from every source; of one key the highest `revision` counts, and a bust has quantity 0.

    `commission`, `fees`, `slippage` and `impact` are currency for the whole fill. `commission` is all that is charged for it, and `fees`
    the regulatory part of that. Slippage and impact are contained in `price`.
    """

    fill_key: str
    quantity: Decimal
    price: Decimal
    at_ns: int
    commission: Decimal = ZERO
    slippage: Decimal = ZERO
    impact: Decimal = ZERO
    revision: int = 0
    recovered: bool = False
    inferred: bool = False
    fees: Decimal = ZERO


class Terms(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a replacement, or a corporate action, may change of an order. `quantity` is the total, fills included."""

    quantity: Decimal
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_amount: Decimal | None = None
    trail_percent: Decimal | None = None

    @classmethod
    def of(cls, order: Order) -> Terms:
        """Return the terms that an order has now."""
        return cls(order.quantity, order.limit_price, order.stop_price, order.trail_amount, order.trail_percent)

    def applied_to(self, order: Order) -> Order:
        """Return the order with these terms."""
        return msgspec.structs.replace(
            order,
            quantity=self.quantity,
            limit_price=self.limit_price,
            stop_price=self.stop_price,
            trail_amount=self.trail_amount,
            trail_percent=self.trail_percent,
        )


class OrderStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one order. `pending` lists what was asked and not answered; `in_doubt` means that an outcome is unknown.

    `notional` is the sum of quantity times price over the fills; `last_record` is the number of the order's last journal record.
    """

    client_order_id: str
    order: Order
    state: OrderState
    filled_quantity: Decimal = ZERO
    notional: Decimal = ZERO
    commission: Decimal = ZERO
    reason: str = ""
    text: str = ""
    broker_order_id: str = ""
    pending: tuple[str, ...] = ()
    in_doubt: bool = False
    quarantined: bool = False
    submitted_ns: int = 0
    updated_ns: int = 0
    last_record: int = 0

    @property
    def symbol(self) -> str:
        return self.order.symbol

    @property
    def side(self) -> Side:
        return self.order.side

    @property
    def quantity(self) -> Decimal:
        """Ordered quantity; after a replacement the new total, fills included."""
        return self.order.quantity

    @property
    def remaining_quantity(self) -> Decimal:
        """What may still fill: 0 once the order is closed."""
        return ZERO if self.is_closed else max(self.order.quantity - self.filled_quantity, ZERO)

    @property
    def average_price(self) -> Decimal | None:
        """Average fill price, None without fills."""
        return self.notional / self.filled_quantity if self.filled_quantity else None

    @property
    def is_closed(self) -> bool:
        return self.state in CLOSED_STATES


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """Holding of one symbol in one account: `quantity` is negative when short, `average_price` is its average cost."""

    account: str
    symbol: str
    quantity: Decimal
    average_price: Decimal
    realized_pnl: Decimal = ZERO
    market_price: Decimal | None = None

    @property
    def market_value(self) -> Decimal | None:
        return None if self.market_price is None else self.quantity * self.market_price

    @property
    def unrealized_pnl(self) -> Decimal | None:
        return None if self.market_price is None else self.quantity * (self.market_price - self.average_price)


class AccountInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Balances in the account's currency.

    `buying_power` is what new orders may still cost, open orders already taken off. `accrued` are dividends declared and
    not yet paid, negative where shorts owe them; `equity` contains it. `unsettled` is the part of `cash` that sales have
    brought and that is not settled yet.
    """

    account: str
    cash: Decimal
    equity: Decimal
    buying_power: Decimal
    gross_exposure: Decimal
    realized_pnl: Decimal
    commission: Decimal
    trading_state: TradingState
    accrued: Decimal = ZERO
    unsettled: Decimal = ZERO


class Instrument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Trading rules of a symbol: quantities are multiples of `lot`, order prices multiples of `tick`.

    Prices below 1 are multiples of `tick_below_one` where there is such a thing. `tradable` and `shortable` are what the
    broker says of the symbol today.
    """

    lot: Decimal = Decimal(1)
    tick: Decimal = Decimal("0.01")
    tradable: bool = True
    shortable: bool = True
    tick_below_one: Decimal | None = None

    def tick_at(self, price: Decimal) -> Decimal:
        """Return what an order's price of this size is a multiple of."""
        finer = self.tick_below_one
        return self.tick if finer is None or price >= 1 else finer
