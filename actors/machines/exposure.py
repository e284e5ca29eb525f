"""What the gate believes is at stake: positions, and what every open order could still add to them. A fold of the records.

An order's reservation begins with its approval and ends by proof only: as it fills, or when it is cancelled, expired or rejected. A
replacement holds the larger of old and new until the broker has answered.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec

from ..events import (
    OrderApproved,
    OrderCancelled,
    OrderDenied,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    OrderReplaceRefused,
    SessionClosed,
    SessionOpened,
)
from ..model import ZERO, Side
from ..ports import Capabilities

INTENTS_KEPT = 1000

# Looked up once: a member of an enum costs more than what is done with it.
BUY = Side.BUY


def usable(price: Decimal | None) -> Decimal:
    """Return a last price as it is, 0 where there is none: nothing that is no positive number enters a sum."""
    return price if price is not None and price.is_finite() and price > 0 else ZERO


class SymbolRisk(msgspec.Struct):
    """Signed position and the open quantities on both sides of one symbol."""

    position: Decimal = ZERO
    open_buy: Decimal = ZERO
    open_sell: Decimal = ZERO

    def worst(self) -> Decimal:
        """The larger of what the position could become, as an absolute quantity."""
        return max(abs(self.position + self.open_buy), abs(self.position - self.open_sell))


class Reservation(msgspec.Struct):
    """What one open order holds: `remaining` at `price`.

    `offered` is a replacement's terms (remaining, price) while it is asked.
    """

    account: str
    symbol: str
    side: Side
    quantity: Decimal
    remaining: Decimal
    price: Decimal
    offered: tuple[Decimal, Decimal] | None = None

    def held(self) -> tuple[Decimal, Decimal]:
        """Quantity and currency that are reserved: the worst of old and new."""
        if self.offered is None:
            return self.remaining, self.remaining * self.price
        remaining, price = self.offered
        return max(self.remaining, remaining), max(self.remaining * self.price, remaining * price)


class AccountRisk(msgspec.Struct):
    """One account: cash, what open buys reserve of it, and the symbols."""

    cash: Decimal = ZERO
    reserved: Decimal = ZERO
    symbols: dict[str, SymbolRisk] = msgspec.field(default_factory=dict)
    intents: dict[str, int] = msgspec.field(default_factory=dict)
    connected: bool = False
    known: bool = False
    capabilities: Capabilities | None = None

    def equity(self, last_price: Callable[[str], Decimal | None]) -> Decimal:
        """Cash and positions at last prices."""
        total = self.cash
        for symbol, risk in self.symbols.items():
            if risk.position:
                total += risk.position * usable(last_price(symbol))
        return total

    def gross(self, last_price: Callable[[str], Decimal | None]) -> Decimal:
        """Sum of the absolute positions at last prices."""
        total = ZERO
        for symbol, risk in self.symbols.items():
            if risk.position:
                total += abs(risk.position) * usable(last_price(symbol))
        return total

    def worst_gross(self, last_price: Callable[[str], Decimal | None]) -> Decimal:
        """Sum of the symbols' worst cases at last prices."""
        total = ZERO
        for symbol, risk in self.symbols.items():
            total += risk.worst() * usable(last_price(symbol))
        return total


class Exposure(msgspec.Struct):
    """All accounts, and the reservations of all open orders by client order id."""

    accounts: dict[str, AccountRisk] = msgspec.field(default_factory=dict)
    open: dict[str, Reservation] = msgspec.field(default_factory=dict)

    def account(self, name: str) -> AccountRisk:
        """Return the account, made on first use."""
        found = self.accounts.get(name)
        if found is None:
            found = self.accounts[name] = AccountRisk()
        return found

    def session_opened(self, event: SessionOpened) -> None:
        account = self.account(event.account)
        account.connected, account.capabilities = True, event.capabilities
        if not account.known:
            account.known, account.cash = True, event.cash
            for held in event.positions:
                self._symbol(account, held.symbol).position = held.quantity

    def session_closed(self, event: SessionClosed) -> None:
        self.account(event.account).connected = False

    def approved(self, event: OrderApproved, at_ns: int) -> None:
        """Reserve for a new order, or for the worst of old and new of a replacement."""
        if event.intent:
            self._remember(self.account(event.account), event.intent, at_ns)
        if event.replaces:
            reservation = self.open.get(event.client_order_id)
            if reservation is not None:
                filled = reservation.quantity - reservation.remaining
                self._change(reservation, offered=(max(event.quantity - filled, ZERO), event.price))
            return
        quantity, price = event.quantity, event.price
        self.open[event.client_order_id] = Reservation(
            event.account, event.symbol, event.side, quantity, quantity, price
        )
        account = self.accounts.get(event.account) or self.account(event.account)
        risk = account.symbols.get(event.symbol) or self._symbol(account, event.symbol)
        if event.side is BUY:
            risk.open_buy += quantity
            account.reserved += quantity * price
        else:
            risk.open_sell += quantity

    def _remember(self, account: AccountRisk, key: str, at_ns: int) -> None:
        """Remember an approved intent, by which duplicates are known; the oldest beyond the bound are forgotten."""
        account.intents.pop(key, None)
        account.intents[key] = at_ns
        if len(account.intents) > INTENTS_KEPT:
            del account.intents[next(iter(account.intents))]

    def filled(self, event: OrderFilled) -> None:
        account = self.accounts.get(event.account) or self.account(event.account)
        risk = account.symbols.get(event.symbol) or self._symbol(account, event.symbol)
        quantity, is_buy = event.quantity, event.side is BUY
        if is_buy:
            account.cash -= event.notional + event.commission
            risk.position += quantity
        else:
            account.cash += event.notional - event.commission
            risk.position -= quantity
        reservation = self.open.get(event.client_order_id)
        if reservation is None:
            return
        remaining = reservation.remaining - quantity
        if reservation.offered is None and quantity > ZERO and remaining >= ZERO:
            # The plain case: what has filled is not open any more.
            if is_buy:
                risk.open_buy -= quantity
                account.reserved -= quantity * reservation.price
            else:
                risk.open_sell -= quantity
            reservation.remaining = remaining
            if not remaining:
                del self.open[event.client_order_id]
            return
        remaining = max(remaining, ZERO)
        offered = reservation.offered
        if remaining or offered is not None:
            if offered is not None:
                offered = (max(offered[0] - event.quantity, ZERO), offered[1])
            self._change(reservation, remaining=remaining, offered=offered)
        else:
            self._release(event.client_order_id)

    def closed(self, event: OrderCancelled | OrderRejected | OrderDenied) -> None:
        self._release(event.client_order_id)

    def replaced(self, event: OrderReplaced) -> None:
        reservation = self.open.get(event.client_order_id)
        if reservation is not None and reservation.offered is not None:
            remaining, price = reservation.offered
            self._change(reservation, remaining=remaining, price=price, quantity=event.quantity, offered=None)
            if not remaining:
                self._release(event.client_order_id)

    def replace_refused(self, event: OrderReplaceRefused) -> None:
        reservation = self.open.get(event.client_order_id)
        if event.denied or reservation is None or reservation.offered is None:
            return
        self._change(reservation, offered=None)
        if not reservation.remaining:
            self._release(event.client_order_id)

    def _symbol(self, account: AccountRisk, symbol: str) -> SymbolRisk:
        found = account.symbols.get(symbol)
        if found is None:
            found = account.symbols[symbol] = SymbolRisk()
        return found

    def _hold(self, reservation: Reservation, quantity: Decimal, cost: Decimal) -> None:
        account = self.accounts.get(reservation.account) or self.account(reservation.account)
        risk = account.symbols.get(reservation.symbol) or self._symbol(account, reservation.symbol)
        if reservation.side is BUY:
            risk.open_buy += quantity
            account.reserved += cost
        else:
            risk.open_sell += quantity

    def _change(self, reservation: Reservation, **terms: object) -> None:
        before_quantity, before_cost = reservation.held()
        for name, value in terms.items():
            setattr(reservation, name, value)
        quantity, cost = reservation.held()
        self._hold(reservation, quantity - before_quantity, cost - before_cost)

    def _release(self, client_order_id: str) -> None:
        reservation = self.open.pop(client_order_id, None)
        if reservation is not None:
            quantity, cost = reservation.held()
            self._hold(reservation, -quantity, -cost)
