"""Crashes any actor at a chosen point of a chosen turn, without a line of it in the code under test.

The handler tables of the domain's actors are wrapped for the length of a test. Every first delivery of a message is one *reach* of its
handler; a crash is planned for a reach, or the next one at which its point exists (a turn without effects has no first effect).
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from crash_scenario import Run

from ordersmith.actors.broker_connection import BrokerConnection
from ordersmith.actors.circuit_breaker import CircuitBreaker
from ordersmith.actors.desk import Desk
from ordersmith.actors.events import OrderEvent, OrderSubmitted
from ordersmith.actors.journal import Journal
from ordersmith.actors.machines.order import OrderMachine
from ordersmith.actors.market import Market
from ordersmith.actors.order import Order
from ordersmith.actors.positions import Positions
from ordersmith.actors.rebalancer import Rebalancer
from ordersmith.actors.risk_gate import RiskGate
from ordersmith.simulation.crashes import AT_END, BEFORE, FIRST_EFFECT, Crash, Tripwire

ACTORS = (Journal, CircuitBreaker, Positions, Market, RiskGate, Desk, Rebalancer, BrokerConnection, Order)
"""The domain's actors that handle messages; the hosted strategy is not rebuilt, and the tally only folds."""

Key = tuple[str, str]
"""(actor class, message class)."""


class Plan(msgspec.Struct):
    """Crash `key` at its `reach`-th reach, or the next that has the point. Twice on one message makes the message poison."""

    key: Key
    reach: int
    point: str
    twice: bool = False
    fired: int = 0
    message: Any = None
    situation: frozenset[str] = frozenset()


class Injector:
    """What is to crash in one run, and how often each handler was reached."""

    def __init__(
        self, run: Run, plan: Plan | None = None, observe: Callable[[Key, Any, Any], None] | None = None
    ) -> None:
        self.run = run
        self.plan = plan
        self.reaches: Counter[Key] = Counter()
        self.situations: dict[Key, list[frozenset[str]]] = {}
        self._observe = observe
        self._watch = Situation(run) if plan is None else None
        self._seen: tuple[Any, Any] = (None, None)

    def deliver(self, key: Key, handler: Callable[[Any, Any], None], actor: Any, message: Any) -> None:
        """Run one turn, or as much of it as the plan lets it run."""
        plan = self.plan
        if is_scripted_poison(key, message):
            handler(actor, message)
            raise Crash("the message that nobody can handle")
        if plan is not None and message is plan.message and plan.twice and plan.fired < 2:
            plan.fired += 1
            raise Crash("again")
        if self._seen[0] != key or self._seen[1] is not message:
            self._seen = (key, message)
            self.reaches[key] += 1
            if self._watch is not None:
                self.situations.setdefault(key, []).append(self._watch.now())
                if self._observe is not None:
                    self._observe(key, actor, message)
        if plan is None or plan.fired or plan.key != key or self.reaches[key] < plan.reach:
            handler(actor, message)
        else:
            self._crash(plan, handler, actor, message)

    def _crash(self, plan: Plan, handler: Callable[[Any, Any], None], actor: Any, message: Any) -> None:
        if plan.point == FIRST_EFFECT:
            context, actor.ctx = actor.ctx, Tripwire(actor.ctx)
            try:
                handler(actor, message)
            except Crash:
                plan.fired, plan.message = 1, message
                raise
            actor.ctx = context
            return
        plan.fired, plan.message = 1, message
        if plan.point == BEFORE:
            raise Crash("before")
        handler(actor, message)
        if plan.point == AT_END:
            raise Crash("at end")
        dispatcher = actor.ctx
        dispatcher._effects.append((self.run.backtest.lifecycle.crash, (dispatcher._item[0].name, Crash("after"))))


class Situation:
    """In which states orders are at a moment of a run: a fold of the journal as far as it is written."""

    def __init__(self, run: Run) -> None:
        self._log = run.backtest.dispatcher.log
        self._machines: dict[str, OrderMachine] = {}
        self._folded = 0

    def now(self) -> frozenset[str]:
        for record in self._log.records[self._folded :]:
            event = record.event
            if type(event) is OrderSubmitted:
                self._machines[event.client_order_id] = OrderMachine.begin(record)
            elif isinstance(event, OrderEvent):
                self._machines[event.client_order_id].fold_in(record)
        self._folded = len(self._log.records)
        labels = set()
        for machine in self._machines.values():
            status = machine.status()
            labels.add("DENIED" if machine.proof == "DENIED" else str(status.state))
            labels |= {f"pending {what}" for what in status.pending}
            labels |= {status.reason} & {"EXPIRED"}
        return frozenset(labels)


EVERY_STATE = frozenset("SUBMITTED PARTIALLY_FILLED FILLED REJECTED DENIED CANCELLED EXPIRED".split()) | {
    "pending cancel",
    "pending replace",
}
"""What must be there together when a crash counts as one in the thick of it."""


def is_scripted_poison(key: Key, message: Any) -> bool:
    """Whether this is the fill of the order `poisoned`, on which the order's actor always crashes, in every run."""
    return key == ("Order", "Executed") and message.wire_id == "poisoned.0" and not message.fill.inferred


_current: list[Injector] = []


@contextlib.contextmanager
def wrapped_handlers() -> Iterator[None]:
    """Put the injector between the dispatcher and every handler of `ACTORS`."""
    tables = {kind: kind.handlers for kind in ACTORS}
    for kind, table in tables.items():
        kind.handlers = {message: _wrap((kind.__name__, message.__name__), method) for message, method in table.items()}
    try:
        yield
    finally:
        for kind, table in tables.items():
            kind.handlers = table


def _wrap(key: Key, method: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    def deliver(actor: Any, message: Any) -> None:
        _current[-1].deliver(key, method, actor, message)

    return deliver


@contextlib.contextmanager
def injected(injector: Injector) -> Iterator[Injector]:
    """Let `injector` decide while the block runs."""
    _current.append(injector)
    try:
        yield injector
    finally:
        _current.pop()


def handler_keys() -> list[Key]:
    """Return every (actor, message) that the tables name."""
    return [(kind.__name__, message.__name__) for kind in ACTORS for message in kind.handlers]
