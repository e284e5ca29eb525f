"""Strategy: what a portfolio manager implements to be hosted, and the actor that hosts it.

A strategy is plain functions. Each call is one turn: what it submits is seen by the desk after it returns. It knows
neither the mode nor the clock: the same object runs in a backtest, on paper and live.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec
from msgspec.structs import replace

from .actor import Actor, handler
from .bars import Bar, Bars, CorporateAction
from .events import (
    OrderAccepted,
    OrderCancelled,
    OrderCancelRefused,
    OrderDenied,
    OrderEvent,
    OrderFilled,
    OrderInDoubt,
    OrderRejected,
    OrderReplaced,
    OrderReplaceRefused,
    OrderRestated,
)
from .given import by_symbol, id_given, ids_given
from .machines.order import OrderMachine
from .machines.rebalance import generate_orders
from .messages import CancelOrders, Change, ReplaceOrder, SetTargets, SubmitOrders
from .model import ID_ACCEPTED, ID_FORM, AccountInfo, Order, OrderStatus, Position, exact, exactly
from .positions import priced


class Strategy:
    """Subclass it and override what you need; what is not overridden costs nothing.

    Quantities and prices may be given as int, str or Decimal; a float is taken by its shortest decimal form.
    """

    _host: StrategyHost

    # --- Override ------------------------------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Run once, before the first bar; the account is known."""

    def on_bar(self, bar: Bar) -> None:
        """Run for every bar, symbol after symbol in the order of the configuration."""

    def on_bars(self, bars: Bars) -> None:
        """Run once for all bars that end at one instant, after `on_bar`."""

    def on_corporate_action(self, action: CorporateAction) -> None:
        """Run before the first bar of the session from which on a split, dividend or change of symbol is in force.

        Positions and open orders have been adjusted by then; prices that the strategy remembers have not.
        """

    def on_order(self, status: OrderStatus) -> None:
        """Run when something has happened to one of the orders; what happened at once is told once."""

    def update_positions(self, filled_orders: list[OrderStatus]) -> None:
        """Run before the next bar with every order that has filled since the last call, cumulative."""

    # --- Call ----------------------------------------------------------------------------------------------------------

    def submit(self, *orders: Order | Iterable[Order]) -> list[str]:
        """Submit orders and return their client order ids, in order. What becomes of them comes by `on_order`."""
        submit = self._host.submit
        ids: list[str] = []
        for entry in orders:
            if isinstance(entry, Order):
                ids.append(submit(entry))
            else:
                ids += map(submit, entry)
        return ids

    def cancel(self, *client_order_ids: str) -> None:
        """Cancel orders; one that is closed stays as it is."""
        self._host.tell_desk(CancelOrders(ids_given(client_order_ids)))

    def replace(
        self,
        client_order_id: str,
        quantity: Decimal | int | str | None = None,
        limit_price: Decimal | str | None = None,
        *,
        stop_price: Decimal | str | None = None,
        trail: Decimal | int | str | None = None,
    ) -> None:
        """Change an open order. `quantity` is the new total, fills included; `trail` is in the unit that the order has."""
        change = Change.given(quantity, limit_price, stop_price, trail)
        self._host.tell_desk(ReplaceOrder(id_given(client_order_id), change))

    def set_targets(self, targets: Mapping[str, Decimal | int | str], *, close_others: bool = False) -> None:
        """Trade towards target quantities: an absent symbol is left alone, 0 closes, `close_others` closes the rest.

        Orders that reduce a position go first; those that increase one wait for the cash.
        """
        self._host.set_targets(targets, close_others=close_others)

    def generate_orders(self, target_positions: Mapping[str, Decimal | int | str]) -> list[Order]:
        """Return the orders that lead from the present positions and open orders to the targets; submit them yourself."""
        return generate_orders(self.positions, target_positions, self.open_orders)

    @property
    def positions(self) -> dict[str, Position]:
        """Open positions by symbol."""
        return self._host.positions()

    @property
    def account(self) -> AccountInfo:
        """Balances at last prices."""
        return self._host.account()

    @property
    def open_orders(self) -> list[OrderStatus]:
        """Orders that are not closed, oldest first."""
        return self._host.open_orders()

    @property
    def now_ns(self) -> int:
        """The time of this turn, nanoseconds UTC."""
        return self._host.ctx.now_ns

    def status(self, client_order_id: str) -> OrderStatus | None:
        """Return what is known of an order, None if it is not in memory any more (or not yet)."""
        return self._host.status(id_given(client_order_id))


TOLD_KEPT = 1000
"""Orders whose last status is remembered: those of which several things may still be on their way."""


class Start(msgspec.Struct, frozen=True):
    """Run the strategy's `on_start`."""


OrderNews = (
    OrderAccepted
    | OrderRejected
    | OrderDenied
    | OrderFilled
    | OrderCancelled
    | OrderCancelRefused
    | OrderReplaced
    | OrderReplaceRefused
    | OrderRestated
    | OrderInDoubt
)
"""What `on_order` is told of."""


class StrategyHost(Actor[Start | Bars | OrderNews]):
    """Hosts one strategy.

    It is `temporary`: a strategy that raised is not started again, because its state is its own.
    """

    def __init__(self, strategy: Strategy, name: str, account: str, id_prefix: str, market: Any) -> None:
        kind = type(strategy)
        self._strategy = strategy
        self._name = name
        self._account = account
        self._id_prefix = id_prefix
        self._market = market
        self._submitted = 0
        self._filled: dict[str, None] = {}
        self._told: dict[str, int] = {}  # the last record of each order that was told
        self._on_bar = strategy.on_bar if kind.on_bar is not Strategy.on_bar else None
        self._on_bars = strategy.on_bars if kind.on_bars is not Strategy.on_bars else None
        acts = kind.on_corporate_action is not Strategy.on_corporate_action
        self._on_action = strategy.on_corporate_action if acts else None
        self._on_order = strategy.on_order if kind.on_order is not Strategy.on_order else None
        self._update = strategy.update_positions if kind.update_positions is not Strategy.update_positions else None
        self.doing = "on_start"
        strategy._host = self  # noqa: SLF001 - the two are one pair

    def reactions(self) -> list[type]:
        """Return the events that the strategy has overridden something for."""
        if self._on_order is not None:
            return [kind for kind in self.handlers if issubclass(kind, OrderEvent)]
        return [OrderFilled] if self._update is not None else []

    # --- Turns ---------------------------------------------------------------------------------------------------------

    @handler
    def start(self, message: Start) -> None:
        self._strategy.on_start()

    @handler
    def bars(self, message: Bars) -> None:
        if message.actions and self._on_action is not None:
            self.doing = "on_corporate_action"
            for action in message.actions:
                self._on_action(action)
        if self._filled and self._update is not None:
            self.doing = "update_positions"
            filled, self._filled = self._filled, {}
            self._update([status for order_id in filled if (status := self.status(order_id)) is not None])
        if self._on_bar is not None:
            self.doing = "on_bar"
            on_bar, start_ns, end_ns = self._on_bar, message.start_ns, message.end_ns
            for symbol, (open_, high, low, close, volume) in message.rows.items():
                on_bar(Bar(symbol, start_ns, end_ns, open_, high, low, close, volume))
        if self._on_bars is not None:
            self.doing = "on_bars"
            self._on_bars(message)

    @handler
    def order_changed(self, message: OrderNews) -> None:
        if self._update is not None and type(message) is OrderFilled:
            self._filled[message.client_order_id] = None
        if self._on_order is not None:
            status = self.status(message.client_order_id)
            if status is not None and self._is_news(status):
                self.doing = "on_order"
                self._on_order(status)

    def _is_news(self, status: OrderStatus) -> bool:
        """Tell whether this status was not told yet.

        Several things may have happened to an order before the first of them is told; the status tells all of them.
        """
        told, order_id = self._told, status.client_order_id
        if told.get(order_id) == status.last_record:
            return False
        told.pop(order_id, None)
        told[order_id] = status.last_record
        if len(told) > TOLD_KEPT:
            del told[next(iter(told))]
        return True

    # --- For the strategy ----------------------------------------------------------------------------------------------

    def submit(self, order: Order) -> str:
        order, ctx = exactly(order), self.ctx
        order_id = order.client_order_id
        fresh = not order_id
        if fresh:
            self._submitted += 1
            order_id = f"{self._id_prefix}{self._submitted}"
        elif not ID_FORM.fullmatch(order_id):
            raise ValueError(f"client_order_id: {order_id!r}; {ID_ACCEPTED}")
        order = replace(
            order,
            client_order_id=order_id,
            account=order.account or self._account,
            strategy=order.strategy or self._name,
        )
        ctx.tell(ctx.refer("desk"), SubmitOrders((order,), fresh))
        return order_id

    def set_targets(self, targets: Mapping[str, Decimal | int | str], *, close_others: bool) -> None:
        quantities = {symbol: exact(quantity, symbol) for symbol, quantity in by_symbol(targets, "targets").items()}
        self.ctx.tell(self.ctx.refer("rebalancer"), SetTargets(quantities, close_others, self._name))

    def tell_desk(self, message: Any) -> None:
        self.ctx.tell(self.ctx.refer("desk"), message)

    def positions(self) -> dict[str, Position]:
        return priced(self.ctx.view("positions"), self._account, self._market)

    def account(self) -> AccountInfo:
        info: AccountInfo = self.ctx.view("risk_gate").info(self._account, self._market)
        return info

    def open_orders(self) -> list[OrderStatus]:
        reserved = self.ctx.view("risk_gate").exposure.open  # also for a replacement of what has filled meanwhile
        statuses = [self.status(order_id) for order_id in reserved]
        return [status for status in statuses if status is not None and not status.is_closed]

    def status(self, client_order_id: str) -> OrderStatus | None:
        machine: OrderMachine | None = self.ctx.view("order/" + client_order_id)
        return None if machine is None else machine.status()
