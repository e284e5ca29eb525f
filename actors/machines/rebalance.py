"""From target positions to orders: what is missing, what reduces first, what must wait for the cash.

A target is pursued until it is reached, replaced, or its order ends in a way that trying again would not mend. An order
that would cross zero is first only an order to close. Reducers go at once; an increaser goes when the buying power
covers it, or when nothing is left to wait for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from typing import Any

import msgspec

from ..model import ZERO, Order, OrderStatus, Position, Purpose, Side, TimeInForce, exact

SHARE_UNIT = Decimal("1E-9")
"""A ratio such as 1/3 is not exact: what it makes of a quantity is rounded to this before anything else."""


class Target(msgspec.Struct, frozen=True):
    """A wanted signed quantity, and the plan that wants it."""

    quantity: Decimal
    plan: str
    purpose: Purpose
    strategy: str


def scaled(target: Target, ratio: Decimal) -> Target:
    """Return the target after a split, cut off to the places that it had: fractions of shares are paid out."""
    places = Decimal(1).scaleb(min(int(target.quantity.as_tuple().exponent), 0))
    wanted = (target.quantity * ratio).quantize(SHARE_UNIT, rounding=ROUND_HALF_EVEN)
    return msgspec.structs.replace(target, quantity=wanted.quantize(places, rounding=ROUND_DOWN))


def quantity_worth(notional: Decimal, price: Decimal, lot: Decimal) -> Decimal:
    """Return how many shares `notional` currency pays for at a price: whole lots, never more than it pays for."""
    return notional // (price * lot) * lot


class Holding(msgspec.Struct, frozen=True):
    """One symbol as the plan sees it: signed `position`, and what all open orders would add if they filled."""

    position: Decimal = ZERO
    open_quantity: Decimal = ZERO
    price: Decimal = ZERO
    working: Decimal | None = None

    @property
    def projected(self) -> Decimal:
        return self.position + self.open_quantity


class Step(msgspec.Struct, frozen=True):
    """What to do now: signed quantities to send, symbols whose working order leads elsewhere, symbols that are there."""

    send: dict[str, Decimal]
    cancel: list[str]
    reached: list[str]
    waiting: list[str]


def plan_step(targets: Mapping[str, Target], holdings: Mapping[str, Holding], buying_power: Decimal) -> Step:
    """Return the next step from `holdings` towards `targets`.

    `working` is the signed rest of our own order in a symbol, None without one.
    """
    reducers: dict[str, Decimal] = {}
    increasers: dict[str, Decimal] = {}
    cancel: list[str] = []
    reached: list[str] = []
    outstanding = False
    for symbol, target in targets.items():
        held = holdings.get(symbol, Holding())
        missing = target.quantity - held.position
        if held.working is not None:
            if held.working * missing <= 0 or abs(held.working) > abs(missing):
                cancel.append(symbol)
            outstanding = outstanding or held.position * held.working < 0
            continue
        delta = target.quantity - held.projected
        if not delta:
            reached.append(symbol)
        elif held.position * delta < 0:
            reducers[symbol] = delta if abs(delta) <= abs(held.position) else -held.position
        else:
            increasers[symbol] = delta
    send, waiting = dict(reducers), []
    wait = outstanding or bool(reducers)
    for symbol, delta in increasers.items():
        cost = abs(delta) * holdings.get(symbol, Holding()).price
        if cost <= buying_power or not wait:
            send[symbol] = delta
            buying_power -= cost
        else:
            waiting.append(symbol)
    return Step(send, cancel, reached, waiting)


def make_order(symbol: str, quantity: Decimal, **terms: Any) -> Order:
    """Return the market order for a signed quantity."""
    return Order(symbol=symbol, side=Side.BUY if quantity > 0 else Side.SELL, quantity=abs(quantity), **terms)


def generate_orders(
    current_positions: Mapping[str, Position | Decimal | int | str],
    target_positions: Mapping[str, Decimal | int | str],
    open_orders: Iterable[Order | OrderStatus] | None = None,
    *,
    time_in_force: TimeInForce = TimeInForce.DAY,
) -> list[Order]:
    """Return the market orders that lead from the current to the target positions, those that reduce a position first.

    Symbols without a target are left alone; 0 closes. What is still open is taken off, so that calling it twice does
    not order twice. The orders have no ids yet. Raises ValueError for a quantity that is no finite number.
    """
    held = {symbol: _quantity(value, symbol) for symbol, value in current_positions.items()}
    coming: dict[str, Decimal] = {}
    for entry in open_orders or ():
        order, rest = (
            (entry.order, entry.remaining_quantity) if isinstance(entry, OrderStatus) else (entry, entry.quantity)
        )
        coming[order.symbol] = coming.get(order.symbol, ZERO) + (rest if order.side is Side.BUY else -rest)
    reducers: list[Order] = []
    increasers: list[Order] = []
    for symbol, wanted in target_positions.items():
        position = held.get(symbol, ZERO)
        delta = _quantity(wanted, symbol) - position - coming.get(symbol, ZERO)
        if delta:
            (reducers if position * delta < 0 else increasers).append(
                make_order(symbol, delta, time_in_force=time_in_force)
            )
    return reducers + increasers


def _quantity(value: Position | Decimal | int | str, symbol: str) -> Decimal:
    quantity = value.quantity if isinstance(value, Position) else exact(value, symbol)
    if not quantity.is_finite():
        raise ValueError(f"{symbol}: {quantity} is not a finite quantity; give a number such as 10, -5 or 0")
    return quantity
