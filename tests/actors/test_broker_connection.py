"""The connection: ready means that the account is known, nothing is sent before or after, and no report is dropped."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from actor_test_kit import ActorTestKit
from trading_world import World, accepted, executed

from ordersmith.actors.broker_connection import BrokerConnection
from ordersmith.actors.events import SessionClosed, SessionOpened
from ordersmith.actors.messages import ApprovedOrder, CancelLeg, LateReport, PlaceOrder, QueryLeg, ReplaceLeg
from ordersmith.actors.model import Order, OrderState
from ordersmith.actors.ports import (
    Accepted,
    BrokerPosition,
    Cancelled,
    CancelRequest,
    CommandKind,
    Connect,
    Connected,
    Disconnect,
    Disconnected,
    NewOrder,
    NotSent,
    OrderAbsent,
    ReplaceRequest,
    StatusRequest,
)
from ordersmith.adapters.simulated.rules import CAPABILITIES

D = Decimal
ORDER = Order.buy("A", 10, "9", client_order_id="o", account="main")
APPROVED = ApprovedOrder(ORDER, 99, 7)
OPENED = SessionOpened("main", D(500), (), CAPABILITIES)


def connection(*history: Any, absent: tuple[str, ...] = ()) -> ActorTestKit:
    return ActorTestKit(BrokerConnection("main"), *history, absent=absent)


def test_it_connects_when_it_starts_and_is_ready_once_the_account_is_known() -> None:
    """A start asks for the session; only the broker's account makes it ready, and becomes a record."""
    kit = connection()
    started = kit.start()
    assert started.sent == [("broker/main", Connect())]
    assert started.said == []
    held = (BrokerPosition("A", D(3), D(10)),)
    opened = kit.deliver(Connected("main", D(500), held, CAPABILITIES))
    assert opened.recorded == [SessionOpened("main", D(500), held, CAPABILITIES)]
    assert opened.said == ["ready"]


def test_after_a_crash_the_session_is_still_open() -> None:
    """An actor rebuilt from records that say so does not connect again."""
    kit = connection(OPENED)
    started = kit.start()
    assert (started.sent, started.said) == ([], ["ready"])


def test_it_disconnects_when_it_stops() -> None:
    """A stop closes the session, and the broker's answer ends the wait."""
    kit = connection(OPENED)
    assert kit.stop().sent == [("broker/main", Disconnect())]
    closed = kit.deliver(Disconnected("requested"))
    assert closed.recorded == [SessionClosed("main", "requested")]
    assert closed.said == ["stopped"]


@pytest.mark.parametrize(
    ("message", "command"),
    [
        (PlaceOrder(APPROVED, "o.0"), NewOrder("o.0", ORDER, 99, 7)),
        (CancelLeg("o.0"), CancelRequest("o.0")),
        (ReplaceLeg(APPROVED, "o.0", "o.1"), ReplaceRequest("o.0", "o.1", D(10), D(9), 99, 7)),
        (QueryLeg("o.0"), StatusRequest("o.0")),
    ],
)
def test_a_command_goes_to_the_port_with_its_deadline_and_epoch(message: Any, command: Any) -> None:
    """While the session is ready every command becomes what the broker takes, nothing added or left out."""
    assert connection(OPENED).deliver(message).sent == [("broker/main", command)]


@pytest.mark.parametrize("history", [(), (OPENED, SessionClosed("main", "lost"))])
@pytest.mark.parametrize(
    ("message", "wire_id", "kind"),
    [
        (PlaceOrder(APPROVED, "o.0"), "o.0", CommandKind.NEW),
        (CancelLeg("o.0"), "o.0", CommandKind.CANCEL),
        (ReplaceLeg(APPROVED, "o.0", "o.1"), "o.1", CommandKind.REPLACE),
    ],
)
def test_nothing_is_sent_without_a_session(history: tuple[Any, ...], message: Any, wire_id: str, kind: Any) -> None:
    """Before the session and after it a command is certainly not sent, and its order is told so."""
    outcome = connection(*history).deliver(message)
    assert outcome.sent == []
    (report,) = outcome.told_to("order/o")
    assert isinstance(report, NotSent)
    assert (report.wire_id, report.kind) == (wire_id, kind)


def test_a_question_without_a_session_waits_for_the_next() -> None:
    """A look-up that cannot be made is dropped; it proves nothing."""
    outcome = connection().deliver(QueryLeg("o.0"))
    assert (outcome.sent, outcome.told) == ([], [])


def test_the_session_of_another_account_is_not_ours() -> None:
    """Records of other accounts neither open nor close this session."""
    other = SessionOpened("other", D(1), (), CAPABILITIES)
    assert connection(other).deliver(CancelLeg("o.0")).sent == []
    assert connection(OPENED, SessionClosed("other", "bye")).deliver(CancelLeg("o.0")).sent


@pytest.mark.parametrize(
    "report",
    [Accepted("a-b_1.0", "b"), executed("a-b_1.3", "k", 1, 1, 1), Cancelled("a-b_1.0"), OrderAbsent("a-b_1.12")],
)
def test_a_report_goes_to_its_order_or_to_the_desk(report: Any) -> None:
    """The order is found by the id before the leg's number; one that nobody looks after is the desk's to bring back."""
    assert connection(OPENED).deliver(report).told == [("order/a-b_1", report)]
    lost = connection(OPENED, absent=("order/a-b_1",)).deliver(report)
    assert lost.told == [("desk", LateReport("a-b_1", report))]


def test_reports_count_whether_or_not_the_session_is_ready() -> None:
    """A fill that comes after the session is lost is booked like any other."""
    world = World(scripted=True).bar()
    world.submit(ORDER)
    world.says(accepted("o.0"), Disconnected("lost"), executed("o.0", "k", 10, 9, 10))
    assert world.status("o").state is OrderState.FILLED
    assert world.held() == {"A": 10}


def test_without_a_session_the_gate_lets_nothing_pass() -> None:
    """A lost session stops new orders at the gate; a cancel is refused as not sent, and the order stays as it is."""
    world = World(scripted=True).bar()
    world.submit(ORDER)
    world.says(accepted("o.0"), Disconnected("lost"))
    (status,) = world.submit(Order.buy("A", 1, client_order_id="p"))
    assert status.reason == "NOT_CONNECTED"
    world.broker.take()
    assert world.cancel("o") == [True]
    assert world.broker.take() == []
    assert (world.status("o").state, world.status("o").pending) == (OrderState.SUBMITTED, ())
    assert world.exposure.open["o"].remaining == 10
