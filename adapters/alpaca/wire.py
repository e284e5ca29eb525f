"""What Alpaca's trading API says, as it is on the wire: texts for numbers, most fields optional, unknown fields ignored.

The SDK's models are not used: they lose an update whose order has a status that they do not know, and take floats for money.
Words such as a status are plain text here; what they mean is a table's business.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from ...actors.errors import BrokerProtocolError

T = TypeVar("T")


class Wire(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers that are none ("NaN", "Infinity") make the whole of it unreadable: no sum can be made of them."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, Decimal) and not value.is_finite():
                raise ValueError(f"{name} {value} is no number")


class WireOrder(Wire, frozen=True, kw_only=True):
    """An order. `notional` orders have no `qty`. `legs` are the orders of a bracket, told when asked for `nested`."""

    id: str
    status: str
    client_order_id: str | None = None
    symbol: str | None = None
    side: str | None = None
    qty: Decimal | None = None
    notional: Decimal | None = None
    filled_qty: Decimal | None = None
    filled_avg_price: Decimal | None = None
    type: str | None = None
    order_type: str | None = None
    order_class: str | None = None
    time_in_force: str | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_price: Decimal | None = None
    trail_percent: Decimal | None = None
    extended_hours: bool | None = None
    submitted_at: str | None = None
    created_at: str | None = None
    replaced_by: str | None = None
    replaces: str | None = None
    legs: list[WireOrder] | None = None

    @property
    def filled(self) -> Decimal:
        return self.filled_qty or Decimal(0)


def with_exits(order: WireOrder) -> tuple[WireOrder, ...]:
    """Return an order and those that hang on it."""
    return (order, *(order.legs or ()))


class WireUpdate(Wire, frozen=True, kw_only=True):
    """One event of the stream of trade updates, with its order as it is after the event."""

    event: str
    order: WireOrder
    execution_id: str | None = None
    previous_execution_id: str | None = None
    timestamp: str | None = None
    at: str | None = None
    price: Decimal | None = None
    qty: Decimal | None = None
    reason: str | None = None


class WireActivity(Wire, frozen=True, kw_only=True):
    """A row of the account's activities: an execution (FILL), or anything else that moved cash or shares."""

    id: str
    activity_type: str
    activity_sub_type: str | None = None
    transaction_time: str | None = None
    date: str | None = None
    symbol: str | None = None
    side: str | None = None
    qty: Decimal | None = None
    price: Decimal | None = None
    cum_qty: Decimal | None = None
    order_id: str | None = None
    net_amount: Decimal | None = None
    per_share_amount: Decimal | None = None
    description: str | None = None
    status: str | None = None


class WirePosition(Wire, frozen=True, kw_only=True):
    """A holding. Alpaca writes a short one with a negative quantity."""

    symbol: str
    qty: Decimal
    side: str = "long"
    avg_entry_price: Decimal | None = None


class WireAccount(Wire, frozen=True, kw_only=True):
    """The account."""

    account_number: str
    cash: Decimal
    status: str = ""
    trading_blocked: bool = False
    account_blocked: bool = False
    trade_suspended_by_user: bool = False


def decode(body: bytes, kind: type[T], what: str) -> T:
    """Return an answer's JSON as a `kind`. Raises BrokerProtocolError, which names `what` was read."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError:
        pass
    try:
        return convert(msgspec.json.decode(body), kind, what)
    except msgspec.DecodeError as error:
        raise BrokerProtocolError(f"{what}: Alpaca's answer is not understood: {error}: {body[:120]!r}") from None


def convert(value: Any, kind: type[T], what: str) -> T:
    """Return decoded JSON as a `kind`; an empty text stands for what is not there. Raises BrokerProtocolError."""
    try:
        return msgspec.convert(_without_empty(value), kind, strict=False)
    except msgspec.ValidationError as error:
        raise BrokerProtocolError(f"{what}: Alpaca's answer is not understood: {error}: {str(value)[:120]}") from None


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_empty(each) for name, each in value.items() if each != "" and each is not None}
    if isinstance(value, list):
        return [_without_empty(each) for each in value]
    return value
