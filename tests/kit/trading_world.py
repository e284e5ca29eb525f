"""A whole backtest in a few words: daily bars in memory, orders from outside, and a broker that says what the test tells it to say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from datetime import date, timedelta
from typing import Any

from ordersmith.actors.actor import Event, Record, ReplyTo
from ordersmith.actors.machines.order import OrderMachine
from ordersmith.actors.messages import (
    CancelOrders,
    Change,
    Flatten,
    GetFilledOrders,
    GetOrderStatus,
    HaltTrading,
    ReplaceOrder,
    ResumeTrading,
    SetTargets,
    SubmitOrders,
)
from ordersmith.actors.model import Fill, Order, OrderStatus, exact
from ordersmith.actors.ports import (
    Accepted,
    BrokerPosition,
    Connect,
    Connected,
    Disconnect,
    Disconnected,
    Executed,
    Report,
)
from ordersmith.actors.snapshots import AccountSnapshot, SyncAccount
from ordersmith.actors.strategy import Strategy
from ordersmith.adapters.bar_feed import BarFeed
from ordersmith.adapters.record_codec import decode_record
from ordersmith.adapters.simulated.terms import CAPABILITIES
from ordersmith.config import load
from ordersmith.supervisor.backtest import Backtest

MONDAY = date(2024, 1, 8)
PLENTY = 1e9


def bars(closes: dict[str, Iterable[float]], volume: float = PLENTY) -> BarFeed:
    """Return daily bars of one price each, session after session from a Monday on."""
    return BarFeed.from_rows(
        {
            symbol: [(session(number), price, price, price, price, volume) for number, price in enumerate(prices)]
            for symbol, prices in closes.items()
        }
    )


def session(number: int) -> date:
    """Return the number-th weekday."""
    return MONDAY + timedelta(days=number // 5 * 7 + number % 5)


class ScriptedBroker:
    """A broker port that connects by itself and else only listens: `take` is what it was sent since the last look.

    Its account is what our books say, with no order open, unless `account` makes another answer of a question about it.
    `silent` leaves those unanswered.
    """

    def __init__(self, world: World, cash: str) -> None:
        self._world = world
        self._cash = cash
        self.commands: list[Any] = []
        self.asked: list[SyncAccount] = []
        self.account: Callable[[SyncAccount], Report] = self.as_booked
        self.silent = False

    def accept(self, command: Any, cause: int) -> None:
        if isinstance(command, Connect):
            self.post(Connected("main", CAPABILITIES))
        elif isinstance(command, SyncAccount):
            self.asked.append(command)
            if not self.silent:
                self.post(self.account(command))
        elif isinstance(command, Disconnect):
            self.post(Disconnected("requested"))
        else:
            self.commands.append(command)

    def as_booked(self, command: SyncAccount) -> AccountSnapshot:
        """Return the account as our own books have it."""
        books = self._world.dispatcher.view("positions").accounts.get("main")
        if books is None:
            return AccountSnapshot(command.as_of, exact(self._cash, "cash"), (), asked_ns=command.asked_ns)
        held = tuple(
            BrokerPosition(symbol, holding.quantity, holding.cost / holding.quantity)
            for symbol, holding in books.holdings.items()
            if holding.quantity
        )
        return AccountSnapshot(command.as_of, books.cash, held, asked_ns=command.asked_ns)

    def post(self, *reports: Report) -> None:
        for report in reports:
            self._world.post("connection/main", report)

    def take(self) -> list[Any]:
        taken, self.commands = self.commands, []
        return taken


class World:
    """One backtest, started. With `scripted` the broker answers nothing but what `says` is given; `config` is a mapping of settings."""

    def __init__(
        self,
        closes: dict[str, Iterable[float]] | None = None,
        *,
        scripted: bool = False,
        cash: str = "100000",
        strategy: Strategy | None = None,
        volume: float = PLENTY,
        **config: Any,
    ) -> None:
        settings = load({"execution": {"backtest": {"account": {"cash": cash, **config.pop("account", {})}}}, **config})
        feed = bars(closes or {"A": [10.0] * 20, "B": [20.0] * 20, "C": [5.0] * 20}, volume)
        self.backtest = Backtest(settings, feed, () if strategy is None else (("main", strategy),))
        self.dispatcher = self.backtest.dispatcher
        self.broker = ScriptedBroker(self, cash)
        if scripted:
            self.dispatcher.ports["broker/main"] = self.broker
        self._bars = iter(feed)
        self.backtest.start()

    # --- Time and messages ---------------------------------------------------------------------------------------------

    def bar(self, number: int = 1) -> World:
        for _ in range(number):
            self.backtest.step(next(self._bars))
        return self

    def post(self, actor: str, message: Any) -> None:
        self.dispatcher.post(self.dispatcher.refer(actor), message)

    def run(self) -> None:
        self.dispatcher.run(self.dispatcher.now_ns)

    def wait(self, seconds: float) -> None:
        """Let time pass without a bar, stopping at every timer."""
        until = self.dispatcher.now_ns + int(seconds * 1_000_000_000)
        while (due := self.dispatcher.timers.next_deadline_ns()) is not None and due <= until:
            self.dispatcher.run(due)
        self.dispatcher.run(until)

    def says(self, *reports: Report) -> None:
        """Let the scripted broker say something, all in one tick."""
        self.broker.post(*reports)
        self.run()

    # --- Requests ------------------------------------------------------------------------------------------------------

    def ask(self, actor: str, request: Callable[[ReplyTo], Any]) -> Any:
        return self.backtest.ask(actor, request)

    def submit(self, *orders: Order) -> list[Any]:
        """Submit orders with ids of their own; return statuses, or CommandRefused."""
        answers: list[Any] = self.ask("desk", lambda to: SubmitOrders(orders, False, to))
        return answers

    def cancel(self, *ids: str) -> Any:
        return self.ask("desk", lambda to: CancelOrders(ids, to))

    def replace(
        self, order_id: str, quantity: Any = None, limit_price: Any = None, stop_price: Any = None, trail: Any = None
    ) -> Any:
        change = Change.given(quantity, limit_price, stop_price, trail)
        return self.ask("desk", lambda to: ReplaceOrder(order_id, change, to))

    def status(self, order_id: str) -> Any:
        return self.ask("desk", lambda to: GetOrderStatus((order_id,), to))[0]

    def filled(self, after: int = 0) -> list[OrderStatus]:
        statuses: list[OrderStatus] = self.ask("journal", lambda to: GetFilledOrders(after, to))
        return statuses

    def target(self, close_others: bool = False, **quantities: int) -> Any:
        targets = {symbol: exact(quantity, symbol) for symbol, quantity in quantities.items()}
        return self.ask("rebalancer", lambda to: SetTargets(targets, close_others, reply_to=to))

    def flatten(self) -> Any:
        return self.ask("rebalancer", Flatten)

    def halt(self, reason: str = "by hand") -> Any:
        return self.ask("circuit_breaker", lambda to: HaltTrading(reason, to))

    def resume(self, reason: str = "by hand") -> Any:
        return self.ask("circuit_breaker", lambda to: ResumeTrading(reason, to))

    # --- Looks ---------------------------------------------------------------------------------------------------------

    def records(self, *kinds: type[Event], order: str = "") -> list[Record]:
        """Return the records so far, of some kinds or of one order only."""
        self.dispatcher.log.write()
        found = [decode_record(data) for data in self.backtest.store.read()]
        return [
            record
            for record in found
            if (not kinds or isinstance(record.event, kinds))
            and (not order or getattr(record.event, "client_order_id", None) == order)
        ]

    def events(self, *kinds: type[Event], order: str = "") -> list[Any]:
        return [record.event for record in self.records(*kinds, order=order)]

    def machine(self, order_id: str) -> OrderMachine:
        machine: OrderMachine = self.dispatcher.view("order/" + order_id)
        return machine

    def held(self) -> dict[str, int]:
        """Return the signed open positions."""
        positions = self.dispatcher.view("positions").positions("main")
        return {symbol: int(position.quantity) for symbol, position in positions.items()}

    @property
    def exposure(self) -> Any:
        return self.dispatcher.view("risk_gate").exposure

    def orders(self) -> dict[str, OrderStatus]:
        """Return all orders in memory by id."""
        names = [name for name in self.dispatcher.cells if name.startswith("order/")]
        return {name.removeprefix("order/"): self.dispatcher.view(name).status() for name in names}


def executed(wire_id: str, key: str, quantity: Any, price: Any, cumulative: Any, **terms: Any) -> Executed:
    """Return the report of one execution."""
    fill = Fill(fill_key=key, quantity=exact(quantity, "quantity"), price=exact(price, "price"), at_ns=0, **terms)
    return Executed(wire_id, fill, exact(cumulative, "cumulative"))


def accepted(wire_id: str) -> Accepted:
    return Accepted(wire_id, "b-" + wire_id)


def wait_for(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run one call of an executor."""
    return asyncio.run(coroutine)
