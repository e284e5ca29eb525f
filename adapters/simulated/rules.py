"""The settings of the simulated exchange, and the terms on which it refuses an order.

A refusal is a value: a code for programs and a text with the numbers for people.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Literal, NamedTuple

import msgspec

from ...actors.model import ZERO, Instrument, OrderType, TimeInForce
from ...actors.ports import Capabilities

ONE, INFINITY = Decimal(1), Decimal("Infinity")
MARKET, LIMIT = OrderType.MARKET, OrderType.LIMIT
DAY, GTC = TimeInForce.DAY, TimeInForce.GTC

CAPABILITIES = Capabilities(
    order_types=(MARKET, LIMIT),
    times_in_force=(DAY, GTC),
    native_replace=True,
)


class ExchangeRules(msgspec.Struct, frozen=True, kw_only=True):
    """How the exchange fills and what it charges. The defaults are the pessimistic choices, save that costs are zero.

    `slippage` is a fraction of the price, against the order; `commission` is currency an order, charged with its first
    fill. `participation` is the part of a bar's volume that all orders of its symbol may take together; None ignores
    volume altogether. Fill prices are multiples of `price_increment`, rounded against the order. `initial_margin`
    counts in a margin account alone.
    """

    slippage: Decimal = ZERO
    commission: Decimal = ZERO
    fill: Literal["next_open", "close"] = "next_open"
    limit_fill: Literal["through", "touch"] = "through"
    participation: Decimal | None = Decimal("0.1")
    price_increment: Decimal = Decimal("0.0001")
    account_type: Literal["cash", "margin"] = "cash"
    cash: Decimal = Decimal(100000)
    initial_margin: Decimal = Decimal("0.5")

    def __post_init__(self) -> None:
        participation = ONE if self.participation is None else self.participation
        for name, value, possible, wanted in (
            ("slippage", self.slippage, ZERO <= self.slippage < ONE, "a fraction from 0 up to, not including, 1"),
            ("commission", self.commission, ZERO <= self.commission < INFINITY, "0 or more currency an order"),
            ("fill", self.fill, self.fill in ("next_open", "close"), "next_open or close"),
            ("limit_fill", self.limit_fill, self.limit_fill in ("through", "touch"), "through or touch"),
            ("participation", participation, ZERO < participation <= ONE, "a fraction above 0 up to 1, or None"),
            ("price_increment", self.price_increment, ZERO < self.price_increment < INFINITY, "a step such as 0.0001"),
            ("account_type", self.account_type, self.account_type in ("cash", "margin"), "cash or margin"),
            ("cash", self.cash, self.cash.is_finite(), "an amount of currency"),
            ("initial_margin", self.initial_margin, ZERO < self.initial_margin <= ONE, "a fraction above 0 up to 1"),
        ):
            if not possible:
                raise ValueError(f"{name}: {value} is not possible; give {wanted}")


class RefusalCode(StrEnum):
    """Why the exchange refuses an order, a cancel or a replacement."""

    UNKNOWN_SYMBOL = "UNKNOWN_SYMBOL"
    UNSUPPORTED_ORDER_TYPE = "UNSUPPORTED_ORDER_TYPE"
    UNSUPPORTED_TIME_IN_FORCE = "UNSUPPORTED_TIME_IN_FORCE"
    BAD_QUANTITY = "BAD_QUANTITY"
    BAD_PRICE = "BAD_PRICE"
    INSUFFICIENT_BUYING_POWER = "INSUFFICIENT_BUYING_POWER"
    SHORT_SALE_NOT_ALLOWED = "SHORT_SALE_NOT_ALLOWED"
    DUPLICATE_ORDER_ID = "DUPLICATE_ORDER_ID"
    NO_MARKET_DATA = "NO_MARKET_DATA"
    TOO_LATE = "TOO_LATE"
    UNKNOWN_ORDER = "UNKNOWN_ORDER"


class Refusal(NamedTuple):
    """A code and a text that carries the numbers. The code is a plain string, as a broker would send it."""

    code: str
    text: str


def refusal(code: RefusalCode, text: str) -> Refusal:
    """Return the refusal with this code."""
    return Refusal(code.value, text)


def terms_refusal(
    instrument: Instrument, order_type: OrderType, time_in_force: TimeInForce, quantity: Decimal, limit: Decimal | None
) -> Refusal | None:
    """Return why these terms cannot be traded in `instrument`, None when they can.

    What is no finite number is refused, not raised.
    """
    if order_type is not MARKET and order_type is not LIMIT:
        return _unsupported(RefusalCode.UNSUPPORTED_ORDER_TYPE, "order_type", order_type, CAPABILITIES.order_types)
    if time_in_force is not DAY and time_in_force is not GTC:
        known = CAPABILITIES.times_in_force
        return _unsupported(RefusalCode.UNSUPPORTED_TIME_IN_FORCE, "time_in_force", time_in_force, known)
    try:
        whole_lots = quantity > ZERO and not quantity % instrument.lot
    except InvalidOperation:  # no finite number, or more lots than the context has digits
        whole_lots = False
    if not whole_lots:
        text = f"quantity: {quantity} is not a positive multiple of the lot {instrument.lot}"
        return refusal(RefusalCode.BAD_QUANTITY, text)
    if order_type is MARKET:
        if limit is None:
            return None
        return refusal(RefusalCode.BAD_PRICE, f"limit_price: a market order takes none, not {limit}")
    try:
        on_tick = limit is not None and limit > ZERO and not limit % instrument.tick
    except InvalidOperation:
        on_tick = False
    if not on_tick:
        text = f"limit_price: {limit} is not a positive multiple of the tick {instrument.tick}"
        return refusal(RefusalCode.BAD_PRICE, text)
    return None


def _unsupported(code: RefusalCode, field: str, value: str, known: tuple[str, ...]) -> Refusal:
    return refusal(code, f"{field}: {value} is not taken here; give one of {', '.join(known)}")
