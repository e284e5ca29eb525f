"""The account at the simulated exchange: cash, holdings, and what open orders claim of them.

All sums are running totals, so that an order costs the same with one open order as with a million; only a margin
account values every symbol that it holds. Cash moves by exactly quantity times price and commission: the books are exact.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from decimal import Decimal
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from ...actors.bars import Row
from ...actors.model import ZERO, as_datetime
from ...actors.ports import BrokerPosition
from .costs import as_decimal
from .rules import ExchangeRules, Refusal, RefusalCode, refusal

if TYPE_CHECKING:
    from .orders import WorkingOrder

WARNINGS_KEPT = 1000
"""The first so many warnings are kept. An account that needs more has said enough."""


class Holding:
    """One symbol in the account: its position, how far open orders may move it, and its last price.

    `most_long` is the position if all open buys fill and no sell does; `most_short` is how far short it is if all open
    sells fill and no buy does. Their sum is never negative, so the greater is the worst case, the greatest size that
    the position can have.

    The average price is `cost / basis`; reducing a position changes neither. `price` is the last close, None where that
    is no price; `mark` is what the symbol is valued at even then: the last price that was one, or (`is_guess`) its first limit.
    """

    __slots__ = ("basis", "cost", "is_guess", "mark", "most_long", "most_short", "price", "quantity", "row", "symbol")

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.quantity = ZERO
        self.most_long = ZERO
        self.most_short = ZERO
        self.cost = ZERO
        self.basis = ZERO
        self.price: Decimal | None = None
        self.mark = ZERO
        self.is_guess = True
        self.row: Row | None = None

    def fill(self, is_buy: bool, quantity: Decimal, notional: Decimal) -> None:
        """Move the position by what an open order bought or sold for `notional`."""
        if is_buy:
            moved = quantity
            self.most_short -= quantity
        else:
            moved = -quantity
            self.most_long -= quantity
        held = self.quantity
        if not held:
            self.quantity, self.cost, self.basis = moved, notional, quantity
            return
        self.quantity = after = held + moved
        was_long = held > ZERO
        if was_long is is_buy:
            size = abs(held)
            if self.basis != size:
                self.cost = self.cost * size / self.basis
            self.cost += notional
            self.basis = abs(after)
        elif after and was_long is not (after > ZERO):
            self.basis = abs(after)
            self.cost = notional * self.basis / quantity

    def move(self, change: Decimal) -> None:
        """Move the position by a signed quantity that no order traded. Cost stays with what is left."""
        self.quantity += change
        self.most_long += change
        self.most_short -= change

    def split(self, change: Decimal, ratio: Decimal) -> None:
        """Make `ratio` new shares of each old one, by which the position changes by `change`; it cost what it cost."""
        size = abs(self.quantity)
        if size and self.basis != size:
            self.cost = self.cost * size / self.basis
        self.move(change)
        self.basis = abs(self.quantity)
        self.mark /= ratio
        if self.price is not None:
            self.price /= ratio

    def take_over(self, other: Holding) -> None:
        """Add another holding's position, at its cost, and its price if this one never had any."""
        moved = other.quantity
        if moved:
            size = abs(moved)
            bought = moved > ZERO
            self.most_long += moved if bought else ZERO  # `fill` moves the other side
            self.most_short -= ZERO if bought else moved
            self.fill(bought, size, other.cost * size / other.basis)
            other.move(-moved)
        if self.is_guess and other.mark:
            self.price, self.mark, self.is_guess = other.price, other.mark, other.is_guess


class Deficit(NamedTuple):
    """Equity, and the greater amount that the positions must be covered with."""

    equity: Decimal
    required: Decimal


class Account(ABC):
    """Cash and holdings, exact. `rows` are the last bars by symbol, merged by the exchange: their closes are prices."""

    def __init__(self, rules: ExchangeRules) -> None:
        self.cash = rules.cash
        self.accrued = ZERO  # dividends declared and not yet paid; negative where shorts owe them
        self.holdings: dict[str, Holding] = {}
        self.rows: dict[str, Row] = {}
        self.warnings: list[str] = []

    def holding(self, symbol: str) -> Holding:
        """Return the holding of `symbol`, made when it is new."""
        return self.holdings.setdefault(symbol, Holding(symbol))

    def last_price(self, holding: Holding) -> Decimal | None:
        """Return the symbol's last close, None before its first or where it is no price: NaN, zero, negative."""
        row = self.rows.get(holding.symbol)
        if row is not holding.row and row is not None:
            holding.row = row
            close = row[3]
            if 0.0 < close < inf:
                holding.price = holding.mark = price = as_decimal(close)
                holding.is_guess = False
                return price
            holding.price = None
        return holding.price

    def positions(self) -> tuple[BrokerPosition, ...]:
        """Return what is held, by symbol."""
        held = [holding for _, holding in sorted(self.holdings.items()) if holding.quantity]
        return tuple(BrokerPosition(each.symbol, each.quantity, each.cost / each.basis) for each in held)

    def warn(self, text: str) -> None:
        """Tell what a person should know, unless enough was told."""
        if len(self.warnings) < WARNINGS_KEPT:
            self.warnings.append(text)

    def move(self, holding: Holding, change: Decimal, cash: Decimal = ZERO) -> None:
        """Change a position by a signed quantity that no order traded, and cash by what that brings."""
        holding.move(change)
        self.cash += cash

    def settle(self) -> Decimal | None:
        """Begin a session and return what of earlier sales may be spent from now on, None when there is nothing new."""
        return None

    def deficit(self) -> Deficit | None:
        """Return by how little the positions are covered, None when they are, or when nothing has to cover them."""
        return None

    @abstractmethod
    def buying_power(self) -> Decimal:
        """Return what new orders may cost, open orders already taken off."""

    @abstractmethod
    def hold(self, order: WorkingOrder, replaced: WorkingOrder | None = None, *, asks: bool = True) -> Refusal | None:
        """Set aside what an open order claims, or return why the account cannot carry it, and then nothing has changed.

        With `replaced`, the order takes the place of what is left of that one. One that does not ask is held in any case.
        """

    @abstractmethod
    def release(self, order: WorkingOrder) -> None:
        """Give back what is left of the order's claim."""

    @abstractmethod
    def book_fill(
        self, order: WorkingOrder, quantity: Decimal, notional: Decimal, commission: Decimal, at_ns: int
    ) -> None:
        """Book an execution and reduce the order's claim. The order's `remaining` is already what is left after it."""


class CashAccount(Account):
    """Buys are paid with what is there: open buys reserve price and commission. Nothing is sold that is not held.

    An order that opens far above its reservation still fills. Cash then goes below zero and a warning says so, once
    until it has recovered.
    """

    def __init__(self, rules: ExchangeRules) -> None:
        super().__init__(rules)
        self.reserved = ZERO

    def buying_power(self) -> Decimal:
        return self.cash - self.reserved

    def hold(self, order: WorkingOrder, replaced: WorkingOrder | None = None, *, asks: bool = True) -> Refusal | None:
        holding, quantity = order.listing.holding, order.remaining
        if order.is_buy:
            claim = quantity * order.claim_price + order.commission_due
            if asks:
                available = self.cash - self.reserved
                if replaced is not None:
                    available += replaced.claim
                if claim > available and (replaced is None or claim > replaced.claim):
                    text = f"buying {quantity} {holding.symbol} claims {claim}, available are {available}"
                    return refusal(RefusalCode.INSUFFICIENT_BUYING_POWER, f"{text} (cash {self.cash})")
            if replaced is not None:
                self.release(replaced)
            order.claim = claim
            self.reserved += claim
            holding.most_long += quantity
            return None
        most_short = holding.most_short if replaced is None else holding.most_short - replaced.remaining
        after = most_short + quantity
        if after > ZERO and asks:
            open_sells = holding.quantity + most_short
            text = f"selling {quantity} {holding.symbol} with {holding.quantity} held and {open_sells} in open sells"
            return refusal(RefusalCode.SHORT_SALE_NOT_ALLOWED, f"{text} would be short; a cash account cannot be")
        holding.most_short = after
        return None

    def release(self, order: WorkingOrder) -> None:
        if order.is_buy:
            self.reserved -= order.claim
            order.listing.holding.most_long -= order.remaining
        else:
            order.listing.holding.most_short -= order.remaining

    def book_fill(
        self, order: WorkingOrder, quantity: Decimal, notional: Decimal, commission: Decimal, at_ns: int
    ) -> None:
        is_buy = order.is_buy
        order.listing.holding.fill(is_buy, quantity, notional)
        before = self.cash
        cash = before - notional if is_buy else before + notional
        if commission:
            cash -= commission
        self.cash = cash
        if is_buy:
            part = order.claim
            if order.remaining:
                order.claim = claim = order.remaining * order.claim_price + order.commission_due
                part -= claim
            self.reserved -= part
        if cash < ZERO <= before:
            self._warn(order, quantity, notional, at_ns)

    def _warn(self, order: WorkingOrder, quantity: Decimal, notional: Decimal, at_ns: int) -> None:
        """Tell that the execution took cash below zero."""
        done = f"{order.base_id} {'bought' if order.is_buy else 'sold'} {quantity} {order.listing.symbol}"
        self.warn(f"cash went negative on {as_datetime(at_ns):%Y-%m-%d}: {self.cash} after {done} for {notional}")


class MarginAccount(Account):
    """Positions of either sign, as long as equity covers the initial margin of positions and open orders at the worst.

    Negative cash is the loan, so it is no warning. Commissions to come are not reserved. A symbol without a last price
    is valued at the limit of its first order. Dividends count from their declaration on.
    """

    def __init__(self, rules: ExchangeRules) -> None:
        super().__init__(rules)
        self.initial_margin = rules.initial_margin
        self.maintenance_margin = rules.maintenance_margin
        self.exposed: dict[str, Holding] = {}  # with a position or open orders

    def move(self, holding: Holding, change: Decimal, cash: Decimal = ZERO) -> None:
        super().move(holding, change, cash)
        if holding.quantity or holding.most_long or holding.most_short:
            self.exposed[holding.symbol] = holding
        else:
            self.exposed.pop(holding.symbol, None)

    def deficit(self) -> Deficit | None:
        equity, gross = self.cash + self.accrued, ZERO
        for holding in self.exposed.values():
            value = holding.quantity * (self.last_price(holding) or holding.mark)
            equity += value
            gross += abs(value)
        required = gross * self.maintenance_margin
        return Deficit(equity, required) if gross and equity < required else None

    def buying_power(self) -> Decimal:
        equity = self.cash + self.accrued
        worst_case = ZERO
        for holding in self.exposed.values():
            price = self.last_price(holding) or holding.mark
            equity += holding.quantity * price
            worst_case += max(holding.most_long, holding.most_short) * price
        return equity / self.initial_margin - worst_case

    def hold(self, order: WorkingOrder, replaced: WorkingOrder | None = None, *, asks: bool = True) -> Refusal | None:
        holding, quantity = order.listing.holding, order.remaining
        if order.is_buy:
            before, other = holding.most_long, holding.most_short
        else:
            before, other = holding.most_short, holding.most_long
        grown = before + quantity
        if replaced is not None:
            grown -= replaced.remaining
        if asks and grown > other and (replaced is None or grown > before):
            increase = grown - other if other > before else grown - before
            needed = increase * (self.last_price(holding) or holding.mark or order.claim_price)
            available = self.buying_power()
            if needed > available:
                text = f"{quantity} {holding.symbol} would add {increase} to the worst case; it needs {needed}"
                text = f"{text}, available are {available} (initial margin {self.initial_margin})"
                return refusal(RefusalCode.INSUFFICIENT_BUYING_POWER, text)
        if not holding.mark:
            holding.mark = order.claim_price
        self.exposed[holding.symbol] = holding
        if order.is_buy:
            holding.most_long = grown
        else:
            holding.most_short = grown
        return None

    def release(self, order: WorkingOrder) -> None:
        holding = order.listing.holding
        if order.is_buy:
            holding.most_long -= order.remaining
        else:
            holding.most_short -= order.remaining
        if not (holding.quantity or holding.most_long or holding.most_short):
            del self.exposed[holding.symbol]

    def book_fill(
        self, order: WorkingOrder, quantity: Decimal, notional: Decimal, commission: Decimal, at_ns: int
    ) -> None:
        holding = order.listing.holding
        is_buy = order.is_buy
        holding.fill(is_buy, quantity, notional)
        cash = self.cash - notional if is_buy else self.cash + notional
        if commission:
            cash -= commission
        self.cash = cash
        if not (holding.quantity or holding.most_long or holding.most_short):
            del self.exposed[holding.symbol]
