"""What the tests of the simulated broker and its wire share: a watcher that remembers, a port's line, a world without a core."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from ordersmith.actors.model import Fill, Order
from ordersmith.actors.ports import Command, Connect, Connected, NewOrder, Report, StatusRequest
from ordersmith.actors.snapshots import AccountSnapshot, SyncAccount
from ordersmith.simulation.broker import Broker
from ordersmith.simulation.chance import Chance
from ordersmith.simulation.faults import Fault, FaultPlan
from ordersmith.simulation.schedule import HOUR_NS, SECOND_NS, Schedule
from ordersmith.simulation.venue_events import VenueEvents
from ordersmith.simulation.wire import Wire

START_NS = 1_772_323_200_000_000_000 + 12 * HOUR_NS
CASH = Decimal(100_000)
PRICES = {"A": Decimal(50), "B": Decimal(20)}
D = Decimal


class Notes:
    """Implements the broker's and the wire's part of `Watch`: writes down what is said, by name."""

    def __init__(self) -> None:
        self.said: list[tuple[str, tuple[Any, ...]]] = []
        self.fills: dict[str, tuple[str, Fill]] = {}
        self.adjusted_cash = Decimal(0)
        self.manual_cash = Decimal(0)

    def of(self, name: str) -> list[tuple[Any, ...]]:
        return [arguments for each, arguments in self.said if each == name]

    def executed(self, wire_id: str, fill: Fill) -> None:
        self.said.append(("executed", (wire_id, fill)))
        known = self.fills.get(fill.fill_key)
        assert known is None or known[1].revision < fill.revision
        self.fills[fill.fill_key] = (wire_id, fill)

    def adjusted(self, symbol: str, quantity: Decimal, cash: Decimal, ratio: Decimal) -> None:
        self.said.append(("adjusted", (symbol, quantity, cash, ratio)))
        self.adjusted_cash += cash

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self.said.append((name, arguments))


class FakeLine:
    """Implements `Line`, and keeps what is posted."""

    def __init__(self, schedule: Schedule) -> None:
        self.posted: list[tuple[int, Report]] = []
        self.in_hand: list[Command] = []
        self.present_epoch: int | None = 1
        self._schedule = schedule

    @property
    def now_ns(self) -> int:
        return self._schedule.now_ns

    def post(self, report: Report, cause: int = 0) -> None:
        self.posted.append((self._schedule.now_ns, report))

    def epoch(self) -> int | None:
        return self.present_epoch

    def standstill(self) -> str:
        return "" if self.present_epoch is not None else "trading was halted"

    def done(self, command: Command) -> None:
        self.in_hand = [each for each in self.in_hand if each is not command]

    def of(self, *kinds: type) -> list[Any]:
        return [report for _, report in self.posted if isinstance(report, kinds)]


class Setup:
    """A broker, a wire, and a port that is connected from the beginning if it can be."""

    def __init__(self, *faults: Fault, seed: int = 1, rate: float = 1.0, storm: bool = False) -> None:
        """Have these faults, each at every occasion unless a `rate` says how often; or those of a storm."""
        chance = Chance(seed)
        self.schedule = Schedule(START_NS)
        self.plan = FaultPlan("storm", chance.stream("faults"), faults)
        if not storm:
            named = dict.fromkeys(faults, rate)
            self.plan.chances = {fault: named[fault] for fault in self.plan.chances if fault in named}
            self.plan.an_hour = {fault: named[fault] * 60 for fault in self.plan.an_hour if fault in named}
        self.notes = Notes()
        self.random = chance.stream("test")
        self.broker = Broker(self.schedule, chance.stream("broker"), self.plan, self.notes, "main", CASH, PRICES)
        self.events = VenueEvents(self.broker)
        self.wire = Wire(self.schedule, chance.stream("wire"), self.plan, self.broker, self.notes)
        self.line = FakeLine(self.schedule)
        self.wire.open(self.line)

    def take(self, command: Command, wait_s: float = 0.2) -> list[Report]:
        """Hand a command to the port; return what it says from now on for a while."""
        before = len(self.line.posted)
        self.line.in_hand.append(command)
        self.wire.take(command, 0)
        self.wait(wait_s)
        return [report for _, report in self.line.posted[before:]]

    def connect(self) -> None:
        assert any(isinstance(report, Connected) for report in self.take(Connect()))

    def wait(self, seconds: float) -> None:
        self.schedule.run(self.schedule.now_ns + int(seconds * SECOND_NS))

    def new(self, name: str, order: Order, wait_s: float = 0.2) -> list[Report]:
        return self.take(new_order(name, order, self.schedule.now_ns), wait_s)

    def look_up(self, wire_id: str) -> list[Report]:
        return self.take(StatusRequest(wire_id, self.schedule.now_ns))

    def sync(self, after: str = "") -> AccountSnapshot:
        [snapshot] = [each for each in self.take(SyncAccount(7, after, 3)) if isinstance(each, AccountSnapshot)]
        return snapshot

    def assert_books_are_exact(self) -> None:
        """Cash and holdings are the sum of what was told to whoever watches."""
        cash, held = CASH + self.notes.adjusted_cash, dict.fromkeys(PRICES, Decimal(0))
        for symbol, quantity, _, _ in self.notes.of("adjusted"):
            if symbol:
                held[symbol] += quantity
        for symbol, quantity, _ in self.notes.of("manual"):
            held[symbol] += quantity
        for wire_id, fill in self.notes.fills.values():
            order = self.broker.find(wire_id) if wire_id else None
            if order is not None:
                sign = 1 if order.is_buy else -1
                cash -= sign * fill.quantity * fill.price + fill.commission
                held[order.symbol] += sign * fill.quantity
        assert self.broker.cash == cash + self.by_hand()
        assert {symbol: self.broker.positions.get(symbol, Decimal(0)) for symbol in PRICES} == held

    def by_hand(self) -> Decimal:
        """Return what humans have paid and got, commissions included: their executions have no wire id."""
        commissions = sum((fill.commission for wire_id, fill in self.notes.fills.values() if not wire_id), D(0))
        trades = sum((-quantity * price for _, quantity, price in self.notes.of("manual")), D(0))
        return trades - commissions


def new_order(name: str, order: Order, now_ns: int) -> NewOrder:
    return NewOrder(name, order, now_ns + 10 * SECOND_NS, 1)


def buy(quantity: int, limit: str | None = None, symbol: str = "A", **terms: Any) -> Order:
    return Order.buy(symbol, quantity, limit, **terms)


def sell(quantity: int, limit: str | None = None, symbol: str = "A", **terms: Any) -> Order:
    return Order.sell(symbol, quantity, limit, **terms)


def kinds(reports: Iterable[Report]) -> list[str]:
    return [type(report).__name__ for report in reports]
