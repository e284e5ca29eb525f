"""The words of the domain: orders, fills, positions, accounts, bars.

Everything here is a plain frozen value. Quantities, prices and money are `Decimal`; market data alone is float, and is
converted where it becomes a fill or a limit. Times are integer nanoseconds UTC; the public edge offers aware datetimes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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


class TimeInForce(StrEnum):
    """FIX tag 59: how long an order stays open."""

    DAY = "DAY"
    GTC = "GTC"


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

    @classmethod
    def buy(
        cls, symbol: str, quantity: Decimal | int | str, limit_price: Decimal | str | None = None, **terms: Any
    ) -> Order:
        """Return an order to buy: at market, or at `limit_price` or better."""
        return cls._of(symbol, _BUY, quantity, limit_price, terms)

    @classmethod
    def sell(
        cls, symbol: str, quantity: Decimal | int | str, limit_price: Decimal | str | None = None, **terms: Any
    ) -> Order:
        """Return an order to sell: at market, or at `limit_price` or better."""
        return cls._of(symbol, _SELL, quantity, limit_price, terms)

    @classmethod
    def _of(cls, symbol: str, side: Side, quantity: Any, limit_price: Any, terms: dict[str, Any]) -> Order:
        if terms:
            terms = {field: _word(value, field) for field, value in terms.items()}
        if limit_price is not None:
            terms = {"order_type": OrderType.LIMIT, "limit_price": exact(limit_price, "limit_price"), **terms}
        return cls(symbol=symbol, side=side, quantity=exact(quantity, "quantity"), **terms)


_WORDS: dict[str, type[StrEnum]] = {"order_type": OrderType, "time_in_force": TimeInForce, "purpose": Purpose}


def _word(value: Any, field: str) -> Any:
    """Return a term that may be given as plain text, such as "GTC", as the word that it is."""
    kind = _WORDS.get(field)
    if kind is None or type(value) is kind:
        return value
    try:
        return kind(value)
    except ValueError:
        raise ValueError(f"{field}: {value!r} is none of {', '.join(kind)}") from None


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


class Fill(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """One execution. `fill_key` is the same from every source; of one key the highest `revision` counts, and a bust has quantity 0.

    `commission`, `slippage` and `impact` are currency for the whole fill. The last two are contained in `price`, commission is not.
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

    `buying_power` is what new orders may still cost, open orders already taken off.
    """

    account: str
    cash: Decimal
    equity: Decimal
    buying_power: Decimal
    gross_exposure: Decimal
    realized_pnl: Decimal
    commission: Decimal
    trading_state: TradingState


class Instrument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Trading rules of a symbol: quantities are multiples of `lot`, order prices multiples of `tick`."""

    lot: Decimal = Decimal(1)
    tick: Decimal = Decimal("0.01")


class Bar(msgspec.Struct, frozen=True, gc=False):
    """Prices of one symbol over [start_ns, end_ns).

    Floats: this is market data. `volume` is NaN where the source has none.
    """

    symbol: str
    start_ns: int
    end_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float

    @property
    def time(self) -> datetime:
        """When the bar was complete, aware, UTC."""
        return as_datetime(self.end_ns)


Row = tuple[float, float, float, float, float]
"""(open, high, low, close, volume) of one bar."""


class Bars(Mapping[str, Bar]):
    """All bars that end at one instant, by symbol. A `Bar` is made only for who looks at one.

    `rows` is the raw form; `session` is the trading date as days since 1970-01-01, and `closes_session` is true for the
    session's last bars. The mapping must not be changed.
    """

    __slots__ = ("closes_session", "end_ns", "rows", "session", "start_ns")

    def __init__(self, start_ns: int, end_ns: int, session: int, closes_session: bool, rows: dict[str, Row]) -> None:
        self.start_ns = start_ns
        self.end_ns = end_ns
        self.session = session
        self.closes_session = closes_session
        self.rows = rows

    def __getitem__(self, symbol: str) -> Bar:
        return Bar(symbol, self.start_ns, self.end_ns, *self.rows[symbol])

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def close(self, symbol: str) -> float:
        """Return the closing price of `symbol`, without making a Bar."""
        return self.rows[symbol][3]

    @property
    def time(self) -> datetime:
        """When the bars were complete, aware, UTC."""
        return as_datetime(self.end_ns)

    def __repr__(self) -> str:
        return f"<Bars {self.time:%Y-%m-%d %H:%M} {', '.join(self.rows)}>"
