"""Commands that are under way for a while: when they take effect, and what they do not overtake."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ordersmith.actors.bars import Bars
from ordersmith.actors.model import Instrument, Order, Terms
from ordersmith.actors.ports import (
    Accepted,
    Cancelled,
    CancelRefused,
    CancelRequest,
    Connect,
    Connected,
    Executed,
    NewOrder,
    NotSent,
    OrderFound,
    Replaced,
    ReplaceRequest,
    StatusRequest,
)
from ordersmith.adapters.simulated.broker import SimulatedBroker
from ordersmith.adapters.simulated.exchange import ExchangeRules, SimulatedExchange
from ordersmith.adapters.simulated.latency import DelayedBroker, broker_of

SECOND_NS = 1_000_000_000
BAR_NS = 60 * SECOND_NS


class Line:
    """An exchange at the end of a line: bars of a minute, and everything that was said, with its time in seconds."""

    def __init__(self, submit: int = 0, cancel: int = 0) -> None:
        rules = ExchangeRules(latency_submit_ns=submit * SECOND_NS, latency_cancel_ns=cancel * SECOND_NS)
        self.now_ns = 0
        self.epoch: int | None = 0
        self.said: list[tuple[int, Any]] = []
        self.exchange = SimulatedExchange(rules, {"A": Instrument()})
        self.broker: Any = broker_of(
            self.exchange, lambda to, report, cause: self._hear(report), None, lambda: self.now_ns, lambda: self.epoch
        )

    def _hear(self, report: Any) -> None:
        self.said.append((self.now_ns // SECOND_NS, report))

    def send(self, command: Any, at: int) -> None:
        self.pass_until(at)
        self.broker.accept(command, 0)

    def new(self, wire_id: str, at: int, **terms: Any) -> None:
        self.send(NewOrder(wire_id, Order.buy("A", 5, **terms), 1 << 62, 0), at)

    def pass_until(self, at: int, start_ns: int | None = None) -> None:
        while (due := self.broker.next_due_ns()) is not None and due <= at * SECOND_NS:
            self.now_ns = due
            self.broker.deliver(due, start_ns)
        self.now_ns = at * SECOND_NS

    def bar(self, *prices: float, start: int) -> None:
        start_ns = start * SECOND_NS
        self.pass_until(start + 59, start_ns)
        self.now_ns = start_ns + BAR_NS
        row = (*(prices if len(prices) == 4 else prices * 4), 1e6)
        for report in self.exchange.on_bars(Bars(start_ns, self.now_ns, 0, False, {"A": row})):
            self._hear(report)
        self.broker.deliver_late()
        self.broker.deliver(self.now_ns)

    def kinds(self) -> list[tuple[int, type]]:
        return [(at, type(report)) for at, report in self.said]


def test_without_latency_there_is_no_queue() -> None:
    """The endpoint of an exchange without latency is the plain one."""
    assert type(Line().broker) is SimulatedBroker
    assert type(Line(submit=1).broker) is DelayedBroker
    assert type(Line(cancel=1).broker) is DelayedBroker


@pytest.mark.parametrize(("arrives", "filled"), [(60, 60), (90, 120), (119, 120), (120, 120), (121, 180)])
def test_an_order_is_live_from_the_first_bar_after_its_arrival(arrives: int, filled: int) -> None:
    """An order that arrives at a bar's start meets it, one that arrives inside waits for the next."""
    line = Line(submit=30)
    line.bar(10.0, start=0)
    line.new("o1.1", at=arrives - 30)
    for start in (60, 120, 180):
        line.bar(10.0, start=start)
    (report,) = [report for _, report in line.said if isinstance(report, Executed)]
    assert report.fill.at_ns // SECOND_NS == filled
    assert (arrives, Accepted) in line.kinds()


@pytest.mark.parametrize(("sent", "outcome"), [(50, Cancelled), (51, Executed), (100, Executed)])
def test_a_cancel_under_way_does_not_protect_from_the_bar(sent: int, outcome: type) -> None:
    """A cancel that arrives at a bar's start protects from it; one that arrives inside is too late for what the bar did."""
    line = Line(cancel=10)
    line.bar(10.0, start=0)
    line.new("o1.1", at=40, limit_price="9.50")
    if sent < 60:
        line.send(CancelRequest("o1.1"), at=sent)
    else:
        line.pass_until(sent, BAR_NS)
        line.broker.accept(CancelRequest("o1.1"), 0)
    line.bar(10.0, 10.0, 9.0, 10.0, start=60)
    outcomes = [kind for _, kind in line.kinds() if kind is not Accepted]
    assert outcomes == ([Cancelled] if outcome is Cancelled else [Executed, CancelRefused])


def test_a_cancel_inside_a_bar_that_spares_the_order_holds_afterwards() -> None:
    """What the bar did not fill is cancelled once it has ended, before anybody can use the next one."""
    line = Line(cancel=10)
    line.bar(10.0, start=0)
    line.new("o1.1", at=40, limit_price="9.50")
    line.send(CancelRequest("o1.1"), at=55)
    line.bar(10.0, start=60)
    line.bar(9.0, start=120)
    assert line.kinds()[-1] == (120, Cancelled)
    assert [kind for _, kind in line.kinds()] == [Accepted, Cancelled]


def test_a_replacement_inside_a_bar_does_not_protect_from_it() -> None:
    """Until a replacement is there the order works as it was; the new leg is live from the next bar."""
    line = Line(submit=10)
    line.bar(10.0, start=0)
    line.new("o1.1", at=30, limit_price="9.50")
    line.send(ReplaceRequest("o1.1", "o1.2", Terms(Decimal(5), Decimal("9.00")), 1 << 62, 0), at=55)
    line.bar(10.0, 10.0, 9.2, 10.0, start=60)
    assert [kind for _, kind in line.kinds()][1] is Executed
    line = Line(submit=10)
    line.bar(10.0, start=0)
    line.new("o1.1", at=30, limit_price="9.00")
    line.send(ReplaceRequest("o1.1", "o1.2", Terms(Decimal(5), Decimal("9.50")), 1 << 62, 0), at=55)
    line.bar(10.0, 10.0, 9.2, 10.0, start=60)
    line.bar(10.0, 10.0, 9.2, 10.0, start=120)
    assert [kind for _, kind in line.kinds()] == [Accepted, Replaced, Executed]


def test_an_orders_commands_do_not_overtake_each_other() -> None:
    """A cancel with a shorter latency than its order arrives after it; another order's commands wait for neither."""
    line = Line(submit=30, cancel=1)
    line.bar(10.0, start=0)
    line.new("o1.1", at=60)
    line.send(CancelRequest("o1.1"), at=61)
    line.send(CancelRequest("o9.1"), at=62)
    line.pass_until(100)
    assert line.kinds() == [(63, CancelRefused), (90, Accepted), (90, Cancelled)]
    assert not line.broker.transit.last_due_ns  # nothing is kept of orders that have nothing under way


def test_a_status_that_follows_a_delayed_cancel_comes_after_it() -> None:
    """Whoever asks after a cancel that arrived inside a bar is answered once the bar has ended."""
    line = Line(cancel=5)
    line.bar(10.0, start=0)
    line.new("o1.1", at=40, limit_price="9.00")
    line.send(CancelRequest("o1.1"), at=58)
    line.pass_until(62, BAR_NS)
    line.broker.accept(StatusRequest("o1.1"), 0)
    line.bar(10.0, start=60)
    assert [kind for _, kind in line.kinds()] == [Accepted, Cancelled, OrderFound]


def test_commands_are_checked_when_they_are_sent() -> None:
    """Trading state and deadline count at the moment of sending: what is under way then is not called back."""
    line = Line(submit=30)
    line.bar(10.0, start=0)
    line.send(NewOrder("o1.1", Order.buy("A", 1), 70 * SECOND_NS, 0), at=60)
    line.epoch = 1
    line.send(NewOrder("o2.1", Order.buy("A", 1), 1 << 62, 0), at=61)
    line.send(NewOrder("o3.1", Order.buy("A", 1), 61 * SECOND_NS, 1), at=62)
    line.pass_until(200)
    assert line.kinds() == [(61, NotSent), (62, NotSent), (90, Accepted)]


def test_the_session_is_opened_at_once() -> None:
    """Connecting is not delayed."""
    line = Line(submit=30)
    line.broker.accept(Connect(), 0)
    assert [kind for _, kind in line.kinds()] == [Connected]
