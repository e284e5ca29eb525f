"""What the gate believes is at stake: positions, and what every open order could still add to them. A fold of the records.

An order's reservation begins with its approval and ends by proof only: as it fills, or when it is cancelled, expired or rejected. A
replacement holds the larger of old and new until the broker has answered.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_CEILING, Decimal

import msgspec

from ..account_events import BooksDisagree, ExternalOrderGone, ExternalOrderSeen, SessionConnected, SymbolReleased
from ..doubt_events import OrderReserved
from ..events import (
    CashMoved,
    CashSettled,
    DividendAccrued,
    OrderApproved,
    OrderCancelled,
    OrderDenied,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    OrderReplaceRefused,
    OrderRestated,
    PositionAdjusted,
    SessionClosed,
    SessionOpened,
)
from ..model import ZERO, Side, Terms
from ..ports import AdjustmentCause, Capabilities, CashKind
from ..snapshots import ExternalOrder

INTENTS_KEPT = 1000
UNIT = Decimal("1E-8")
"""What a reservation that a restatement scales is rounded up to, so that sums over it stay exact."""

# Looked up once: a member of an enum costs more than what is done with it.
BUY = Side.BUY


def usable(price: Decimal | None) -> Decimal:
    """Return a last price as it is, 0 where there is none: nothing that is no positive number enters a sum."""
    return price if price is not None and price.is_finite() and price > 0 else ZERO


class SymbolRisk(msgspec.Struct, gc=False):
    """Signed position and the open quantities on both sides of one symbol."""

    position: Decimal = ZERO
    open_buy: Decimal = ZERO
    open_sell: Decimal = ZERO

    def worst(self) -> Decimal:
        """The larger of what the position could become, as an absolute quantity."""
        return max(abs(self.position + self.open_buy), abs(self.position - self.open_sell))


class Offer(msgspec.Struct, frozen=True, gc=False):
    """A replacement's terms while it is asked: its total, what of it is not filled, and the price of a share."""

    quantity: Decimal
    remaining: Decimal
    price: Decimal


class Reservation(msgspec.Struct, gc=False):
    """What one open order holds: `remaining` at `price`, and what is `offered` to it in a replacement's place."""

    account: str
    symbol: str
    side: Side
    quantity: Decimal
    remaining: Decimal
    price: Decimal
    offered: Offer | None = None

    def held(self) -> tuple[Decimal, Decimal]:
        """Quantity and currency that are reserved: the worst of old and new."""
        offered = self.offered
        if offered is None:
            return self.remaining, self.remaining * self.price
        cost = max(self.remaining * self.price, offered.remaining * offered.price)
        return max(self.remaining, offered.remaining), cost

    def at(self, terms: Terms, quantity: Decimal, price: Decimal, remaining: Decimal) -> Decimal:
        """Return the price to reserve at once `remaining` is open: the new limit, else what costs as much as `quantity` at `price`."""
        if terms.limit_price or not remaining:
            return terms.limit_price or price
        return price if remaining == quantity else _up(quantity * price / remaining)


def _up(value: Decimal) -> Decimal:
    return value.quantize(UNIT, rounding=ROUND_CEILING)


class AccountRisk(msgspec.Struct):
    """One account: cash, what open buys reserve of it, and the symbols.

    `accrued` are dividends declared and not paid yet. `unsettled` is what sales have brought and cannot be spent yet;
    it is counted only where sales settle later. `frozen` says by how much the broker's positions are above ours in the
    symbols whose books disagree. `externals` are open orders that are not ours; they count as ours do, a market order
    without the cash that nobody can know.
    """

    cash: Decimal = ZERO
    reserved: Decimal = ZERO
    symbols: dict[str, SymbolRisk] = msgspec.field(default_factory=dict)
    intents: dict[str, int] = msgspec.field(default_factory=dict)
    connected: bool = False
    known: bool = False
    capabilities: Capabilities | None = None
    accrued: Decimal = ZERO
    unsettled: Decimal = ZERO
    declares: bool = False
    frozen: dict[str, Decimal] = msgspec.field(default_factory=dict)
    externals: dict[str, ExternalOrder] = msgspec.field(default_factory=dict)

    @property
    def spendable(self) -> Decimal:
        """What new buys of a cash account may cost."""
        return self.cash - self.reserved - self.unsettled

    def equity(self, last_price: Callable[[str], Decimal | None]) -> Decimal:
        """Cash, accrued dividends, and positions at last prices."""
        total = self.cash + self.accrued
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

    def stakes(self, last_price: Callable[[str], Decimal | None], apart: str | None = None) -> tuple[Decimal, Decimal]:
        """Return the equity, and the sum of the symbols' worst cases but that of `apart`: one pass over the last prices."""
        equity, gross = self.cash + self.accrued, ZERO
        for symbol, risk in self.symbols.items():
            if risk.position or symbol != apart:
                price = usable(last_price(symbol))
                if risk.position:
                    equity += risk.position * price
                if symbol != apart:
                    gross += risk.worst() * price
        return equity, gross


class Exposure(msgspec.Struct):
    """All accounts, and the reservations of all open orders by client order id."""

    accounts: dict[str, AccountRisk] = msgspec.field(default_factory=dict)
    open: dict[str, Reservation] = msgspec.field(default_factory=dict)
    settles_later: bool = False

    def account(self, name: str) -> AccountRisk:
        """Return the account to be changed by a record, made on first use."""
        found = self.accounts.get(name)
        if found is None:
            found = self.accounts[name] = AccountRisk()
        return found

    def look(self, name: str) -> AccountRisk:
        """Return the account to be read: one that no record knows holds nothing, and is not remembered."""
        return self.accounts.get(name) or AccountRisk()

    def session_opened(self, event: SessionOpened) -> None:
        account = self.account(event.account)
        account.connected, account.capabilities = True, event.capabilities
        if not account.known:
            account.known, account.cash = True, event.cash
            for held in event.positions:
                self._symbol(account, held.symbol).position = held.quantity

    def session_ended(self, event: SessionClosed | SessionConnected) -> None:
        """Let nothing pass: a session that was lost, or is new, has to be reconciled."""
        self.account(event.account).connected = False

    def booted(self) -> None:
        """Let nothing pass until the session of this boot is reconciled."""
        for account in self.accounts.values():
            account.connected = False

    def approved(self, event: OrderApproved, at_ns: int) -> None:
        """Reserve for a new order, or for the worst of old and new of a replacement."""
        if event.intent:
            self._remember(self.account(event.account), event.intent, at_ns)
        if event.replaces:
            self._offer(event)
            return
        quantity, price = event.quantity, event.price
        self.open[event.client_order_id] = Reservation(
            event.account, event.symbol, event.side, quantity, quantity, price
        )
        try:
            account = self.accounts[event.account]
            risk = account.symbols[event.symbol]
        except KeyError:
            account, risk = self._first_use(event.account, event.symbol)
        if event.side is BUY:
            risk.open_buy += quantity
            account.reserved += quantity * price
        else:
            risk.open_sell += quantity

    def _offer(self, event: OrderApproved) -> None:
        reservation = self.open.get(event.client_order_id)
        if reservation is not None:
            filled = reservation.quantity - reservation.remaining
            left = max(event.quantity - filled, ZERO)
            self._change(reservation, offered=Offer(event.quantity, left, event.price))

    def reserved(self, event: OrderReserved) -> None:
        """Count what an order has open that was let go; what it still holds is part of that."""
        if event.client_order_id in self.open:
            self._release(event.client_order_id)
        again = (event.client_order_id, event.account, event.symbol, event.side, event.quantity, event.price)
        self.approved(OrderApproved(*again), 0)

    def _remember(self, account: AccountRisk, key: str, at_ns: int) -> None:
        """Remember an approved intent, by which duplicates are known; the oldest beyond the bound are forgotten."""
        account.intents.pop(key, None)
        account.intents[key] = at_ns
        if len(account.intents) > INTENTS_KEPT:
            del account.intents[next(iter(account.intents))]

    def filled(self, event: OrderFilled) -> None:
        order_id, quantity, is_buy = event.client_order_id, event.quantity, event.side is BUY
        try:
            account = self.accounts[event.account]
            risk = account.symbols[event.symbol]
        except KeyError:
            account, risk = self._first_use(event.account, event.symbol)
        if is_buy:
            account.cash -= event.notional + event.commission
            risk.position += quantity
        else:
            account.cash += event.notional - event.commission
            risk.position -= quantity
            if self.settles_later:
                account.unsettled += event.notional - event.commission
        reservation = self.open.get(order_id)
        if reservation is None:
            return
        offered, remaining = reservation.offered, reservation.remaining - quantity
        if offered is None and quantity > ZERO and remaining >= ZERO:
            # The plain case: what has filled is not open any more.
            if is_buy:
                risk.open_buy -= quantity
                account.reserved -= quantity * reservation.price
            else:
                risk.open_sell -= quantity
            reservation.remaining = remaining
            if not remaining:
                del self.open[order_id]
            return
        remaining = max(remaining, ZERO)
        if remaining or offered is not None:
            if offered is not None:
                offered = Offer(offered.quantity, max(offered.remaining - quantity, ZERO), offered.price)
            self._change(reservation, remaining=remaining, offered=offered)
        else:
            self._release(order_id)

    def closed(self, event: OrderCancelled | OrderRejected | OrderDenied) -> None:
        self._release(event.client_order_id)

    def replaced(self, event: OrderReplaced) -> None:
        reservation = self.open.get(event.client_order_id)
        if reservation is not None and reservation.offered is not None:
            offered, terms = reservation.offered, event.terms
            # Fills count against the offer; what the broker made of it may have another total, after a split.
            remaining = max(offered.remaining + terms.quantity - offered.quantity, ZERO)
            price = reservation.at(terms, offered.remaining, offered.price, remaining)
            self._change(reservation, remaining=remaining, price=price, quantity=terms.quantity, offered=None)
            if not remaining:
                self._release(event.client_order_id)

    def replace_refused(self, event: OrderReplaceRefused) -> None:
        reservation = self.open.get(event.client_order_id)
        if event.denied or reservation is None or reservation.offered is None:
            return
        self._change(reservation, offered=None)
        if not reservation.remaining:
            self._release(event.client_order_id)

    def restated(self, event: OrderRestated) -> None:
        """Reserve for the terms that the broker has made; a replacement that is asked, for the worst of before and after.

        Of an order that holds nothing any more there is nothing to change.
        """
        reservation = self.open.get(event.client_order_id)
        if reservation is None:
            return
        terms, before = event.terms, reservation.remaining
        remaining = max(before + terms.quantity - reservation.quantity, ZERO)
        price = reservation.at(terms, before, reservation.price, remaining)
        offered = reservation.offered
        if offered is not None and before:
            scaled = max(offered.remaining, _up(offered.remaining * remaining / before))
            cost = max(offered.remaining * offered.price, offered.remaining * price * remaining / before)
            total = offered.quantity + scaled - offered.remaining
            offered = Offer(total, scaled, _up(cost / scaled) if scaled else offered.price)
        self._change(reservation, remaining=remaining, price=price, quantity=terms.quantity, offered=offered)
        if not remaining and offered is None:
            self._release(event.client_order_id)

    # --- The account without an order --------------------------------------------------------------------------------

    def cash_moved(self, event: CashMoved) -> None:
        """Book cash; a dividend was accrued before, if the broker declares them at all."""
        account = self.account(event.account)
        account.cash += event.amount
        if event.kind is CashKind.DIVIDEND and account.declares:
            account.accrued -= event.amount

    def dividend_accrued(self, event: DividendAccrued) -> None:
        account = self.account(event.account)
        account.declares = True
        account.accrued += event.amount

    def cash_settled(self, event: CashSettled) -> None:
        account = self.account(event.account)
        account.unsettled -= event.amount

    def position_adjusted(self, event: PositionAdjusted) -> None:
        """Change or rename a position. Open orders stay where they are: the broker restates or cancels them."""
        account = self.account(event.account)
        risk = self._symbol(account, event.symbol)
        account.cash += event.cash
        if event.cause is not AdjustmentCause.SYMBOL_CHANGE:
            risk.position += event.quantity
            return
        if event.symbol in account.frozen:
            account.frozen[event.new_symbol] = account.frozen.pop(event.symbol)
        held, risk.position = risk.position, ZERO
        self._symbol(account, event.new_symbol).position += held
        if not (risk.position or risk.open_buy or risk.open_sell):
            del account.symbols[event.symbol]

    # --- What is not as it should be ---------------------------------------------------------------------------------

    def books_disagree(self, event: BooksDisagree) -> None:
        """Freeze a symbol."""
        self.account(event.account).frozen[event.symbol] = event.brokers - event.ours

    def symbol_released(self, event: SymbolReleased) -> None:
        self.account(event.account).frozen.pop(event.symbol, None)

    def external_seen(self, event: ExternalOrderSeen) -> None:
        """Count an order that is not ours with what is open of it now."""
        account, order = self.account(event.account), event.order
        self._uncount(account, order.broker_order_id)
        account.externals[order.broker_order_id] = order
        self._count(account, order, order.open_quantity)

    def external_gone(self, event: ExternalOrderGone) -> None:
        self._uncount(self.account(event.account), event.broker_order_id)

    def _uncount(self, account: AccountRisk, broker_order_id: str) -> None:
        order = account.externals.pop(broker_order_id, None)
        if order is not None:
            self._count(account, order, -order.open_quantity)

    def _count(self, account: AccountRisk, order: ExternalOrder, quantity: Decimal) -> None:
        risk = self._symbol(account, order.symbol)
        if order.side is BUY:
            risk.open_buy += quantity
            account.reserved += quantity * (order.limit_price or ZERO)
        else:
            risk.open_sell += quantity

    # --- Sums ----------------------------------------------------------------------------------------------------------

    def _symbol(self, account: AccountRisk, symbol: str) -> SymbolRisk:
        found = account.symbols.get(symbol)
        if found is None:
            found = account.symbols[symbol] = SymbolRisk()
        return found

    def _first_use(self, name: str, symbol: str) -> tuple[AccountRisk, SymbolRisk]:
        """Return an account and a symbol of it to be changed by a record, one or both made here."""
        account = self.account(name)
        return account, self._symbol(account, symbol)

    def _let_go(self, reservation: Reservation, quantity: Decimal, cost: Decimal) -> None:
        try:
            account = self.accounts[reservation.account]
            risk = account.symbols[reservation.symbol]
        except KeyError:
            account, risk = self._first_use(reservation.account, reservation.symbol)
        if reservation.side is BUY:
            risk.open_buy -= quantity
            account.reserved -= cost
        else:
            risk.open_sell -= quantity

    def _change(self, reservation: Reservation, **terms: object) -> None:
        before_quantity, before_cost = reservation.held()
        for name, value in terms.items():
            setattr(reservation, name, value)
        quantity, cost = reservation.held()
        self._let_go(reservation, before_quantity - quantity, before_cost - cost)

    def _release(self, client_order_id: str) -> None:
        reservation = self.open.pop(client_order_id, None)
        if reservation is not None:
            self._let_go(reservation, *reservation.held())
