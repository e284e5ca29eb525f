"""A message that crashes its actor twice is poison: it is recorded, it is dropped, and it harms nobody else.

Every order has a symbol of its own and money for all is there, so that no order can notice what became of another.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from books import disagreements
from crash_injection import Injector, Key, Plan, handler_keys, injected, wrapped_handlers
from crash_scenario import Outcome, Run, Script

from ordersmith.actors import desk
from ordersmith.actors.events import MessagePoisoned
from ordersmith.actors.messages import Unknown
from ordersmith.actors.model import OrderState, OrderStatus
from ordersmith.simulation.crashes import BEFORE
from ordersmith.supervisor.asks import Asks

QUIET_BAR = 12
"""A bar (the 12th) at whose end the strategy does nothing: that it never hears of it changes no order."""

NO_SESSION = (("BrokerConnection", "Connected"), ("BrokerConnection", "AccountSnapshot"))
"""Without one of these there is no session and the run fails at its start, loudly: there is nobody to harm."""

UNDER_THE_BREAKER = frozenset("halted-1 halted-2 refused-1 refused-2 refused-3".split())
"""Orders whose fate is the breaker's: when a halt or a resume is dropped, they are rightly treated otherwise."""

READING = tuple(("BrokerConnection", name) for name in ("ReadAccount", "Reconcile", "JudgeBooks"))
"""The steps of reading the account. Without one of them at the start there is no session either; the one of the reconnect is
dropped, and the account is read again a second later."""

LOST = frozenset({"unconnected", "resting"})
IN_BETWEEN = {
    **dict.fromkeys([("BrokerConnection", "Disconnected"), ("BrokerConnection", "ConnectAgain"), *READING], LOST),
    ("BrokerConnection", "ReadDue"): frozenset({"unsent-cancel"}),  # a read finds it open, and it is asked again then
}
"""What is submitted and cancelled while the session is lost: had nobody heard of the loss, both would have been sent."""

ABOUT_ALL = ("Rebalancer", "Flatten")
"""A flatten is about every order: when it is dropped nothing is cancelled, as its asker is told."""

NOT_SUBMITTED = frozenset("SubmitOrders LookUpOrder HistoryFound".split())
"""When these are dropped, the order may never have come to be; its asker is told that it is unknown."""


class Reach(msgspec.Struct):
    """One delivery of a message: the how manieth of its handler, and the orders that it is about."""

    number: int
    about: frozenset[str]


class Baseline:
    def __init__(self) -> None:
        self.reaches: dict[Key, list[Reach]] = {}
        run = Run(Script(spread=True))
        with injected(Injector(run, observe=self._observe)):
            self.outcome = run.play()

    def _observe(self, key: Key, actor: Any, message: Any) -> None:
        reaches = self.reaches.setdefault(key, [])
        own = frozenset({actor.machine.order.client_order_id}) if actor.entity else None
        reaches.append(Reach(len(reaches) + 1, own or orders_of(message)))

    def reach(self, key: Key) -> Reach:
        """Choose a delivery that is about an order of the script's, where there is one."""
        if key == ("Market", "Bars"):
            return Reach(QUIET_BAR, frozenset())
        reaches = self.reaches[key]
        if key in READING:
            return reaches[-1]
        return next((r for r in reaches if r.about and not r.about & {"poisoned", "ghost"}), reaches[0])


def orders_of(message: Any) -> frozenset[str]:
    """Return the ids of the orders that a message is about."""
    if hasattr(message, "wire_id"):
        return frozenset({message.wire_id.rpartition(".")[0]})
    if hasattr(message, "client_order_ids"):
        return frozenset(message.client_order_ids)
    if hasattr(message, "orders"):
        return frozenset(order.client_order_id for order in message.orders)
    for part in (message, getattr(message, "order", None), getattr(getattr(message, "approved", None), "order", None)):
        if getattr(part, "client_order_id", ""):
            return frozenset({part.client_order_id})
    return frozenset()


@pytest.fixture(scope="module")
def baseline() -> Iterator[Baseline]:
    """Wrap the handlers for this module, let orders leave memory early, and play the scenario once."""
    with pytest.MonkeyPatch.context() as patch, wrapped_handlers():
        patch.setattr(desk, "KEPT_CLOSED", 4)
        patch.setattr(desk, "LEAVING_AT_ONCE", 2)
        patch.setattr(Asks, "give_up", nobody_gives_up)
        yield Baseline()


def nobody_gives_up(asks: Asks) -> list[Any]:
    raise AssertionError(f"{len(asks)} requests were never answered")


def fates(outcome: Outcome, without: frozenset[str]) -> dict[str, OrderStatus]:
    """Return how the orders ended that somebody submitted; the broker's numbering depends on who else was there."""
    return {
        order_id: msgspec.structs.replace(status, broker_order_id="")
        for order_id, status in outcome.orders.items()
        if not status.order.parent and order_id not in without
    }


def planned(outcome: Outcome, without: frozenset[str]) -> list[Any]:
    """Return what became of the targets, but for the symbols of the orders `without`."""
    return [
        (status.symbol, status.side, status.quantity, status.state, status.filled_quantity, status.notional)
        for status in sorted(outcome.orders.values(), key=lambda s: (s.symbol, s.submitted_ns))
        if status.order.parent and status.symbol not in without
    ]


@pytest.mark.parametrize("key", [key for key in handler_keys() if key not in NO_SESSION], ids=" ".join)
def test_poison_harms_nobody_else(baseline: Baseline, key: Key) -> None:
    """The message is recorded and dropped; every other order ends as without it, and what we believe is what the broker says."""
    reach = baseline.reach(key)
    run = Run(Script(spread=True))
    plan = Plan(key, reach.number, BEFORE, twice=True)
    with injected(Injector(run, plan)):
        outcome = run.play()
    poisoned = [record.event for record in run.records() if type(record.event) is MessagePoisoned]
    assert plan.fired == 2
    assert [event.received for event in poisoned if event.actor != "order/poisoned"] == [key[1]]
    without = reach.about | IN_BETWEEN.get(key, frozenset())
    without |= UNDER_THE_BREAKER if key[0] == "CircuitBreaker" else frozenset()
    if key != ABOUT_ALL:
        assert fates(outcome, without) == fates(baseline.outcome, without)
    if key[0] != "Rebalancer":
        assert planned(outcome, without) == planned(baseline.outcome, without)
    if key[1] not in NOT_SUBMITTED:
        assert reach.about & baseline.outcome.orders.keys() <= outcome.orders.keys()
    held = {symbol: position.quantity for symbol, position in outcome.positions.items()}
    settled = [status for status in outcome.orders.values() if status.client_order_id != "late"]  # corrected by hand
    assert not disagreements(run.backtest.exchange, outcome.cash, held, settled)
    if getattr(plan.message, "reply_to", None) is not None:
        assert any(isinstance(answer, Unknown) for answer in flat(outcome.answers))


def flat(answers: list[Any]) -> list[Any]:
    return [part for answer in answers for part in (answer if isinstance(answer, list) else [answer])]


def test_a_poisoned_fill_is_inferred(baseline: Baseline) -> None:
    """The order whose fill nobody could handle is asked for at the broker, and filled by what is found."""
    status = baseline.outcome.orders["poisoned"]
    (fill,) = [event.fill for _, event in baseline.outcome.fills if event.client_order_id == "poisoned"]
    assert status.state is OrderState.FILLED
    assert fill.inferred
    assert (fill.quantity, fill.commission) == (Decimal(10), Decimal(1))
