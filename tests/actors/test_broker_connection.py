"""The connection: ready means that the account is known, nothing is sent before or after, and no report is dropped."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from actor_test_kit import ActorTestKit
from trading_world import World, accepted, executed

from ordersmith.actors.account_events import SessionConnected
from ordersmith.actors.broker_connection import BrokerConnection
from ordersmith.actors.events import (
    CashMoved,
    CashSettled,
    DividendAccrued,
    MarginCalled,
    OrderApproved,
    OrderFilled,
    PositionAdjusted,
    SessionClosed,
    SessionOpened,
)
from ordersmith.actors.machines import session
from ordersmith.actors.machines.exposure import Exposure
from ordersmith.actors.machines.position import Account, Holding, Ledger
from ordersmith.actors.messages import (
    ApprovedOrder,
    CancelLeg,
    ConnectAgain,
    LateReport,
    PlaceOrder,
    QueryLeg,
    ReplaceLeg,
)
from ordersmith.actors.model import Order, OrderState, Side, Terms
from ordersmith.actors.ports import (
    Accepted,
    AdjustmentCause,
    BrokerOrderState,
    Cancelled,
    CancelRequest,
    CashKind,
    CashMovement,
    CommandKind,
    Connect,
    Connected,
    Disconnect,
    Disconnected,
    DividendDeclared,
    MarginDeficit,
    NewOrder,
    NotSent,
    OrderAbsent,
    OrderFound,
    PositionAdjustment,
    ReplaceRequest,
    SaleSettled,
    StatusRequest,
)
from ordersmith.adapters.simulated.terms import CAPABILITIES

D = Decimal
ORDER = Order.buy("A", 10, "9", client_order_id="o", account="main")
APPROVED = ApprovedOrder(ORDER, 99, 7)
OPENED = SessionOpened("main", D(500), (), CAPABILITIES)


def connection(
    *history: Any, absent: tuple[str, ...] = (), views: dict[str, Any] | None = None, open_orders: tuple[str, ...] = ()
) -> ActorTestKit:
    """Return the kit; `open_orders` are ids for which the gate holds something."""
    exposure = Exposure()
    for order_id in open_orders:
        exposure.approved(OrderApproved(order_id, "main", "A", Side.BUY, D(10), D(9)), 0)
    gate = SimpleNamespace(exposure=exposure)
    seen = {"risk_gate": gate, "positions": Ledger(), **(views or {})}
    return ActorTestKit(BrokerConnection("main"), *history, absent=absent, views=seen)


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


# --- A lost session ----------------------------------------------------------------------------------------------------

SECOND_NS = 1_000_000_000
LOST = SessionClosed("main", "line lost")


def test_a_lost_session_is_asked_for_again_ever_more_slowly() -> None:
    """A loss is recorded, and a new session asked for until there is one; then nothing is asked any more."""
    kit = connection(OPENED)
    lost = kit.deliver(Disconnected("line lost"), now_ns=5 * SECOND_NS)
    assert (lost.recorded, lost.sent) == ([LOST], [])
    assert lost.timers == {"connect again": (6 * SECOND_NS, ConnectAgain(2))}
    for second, attempt, seconds in ((6, 2, 2), (8, 3, 4), (12, 4, 8)):
        again = kit.deliver(ConnectAgain(attempt), now_ns=second * SECOND_NS)
        assert again.sent == [("broker/main", Connect())]
        assert again.timers == {"connect again": ((second + seconds) * SECOND_NS, ConnectAgain(attempt + 1))}
    connected = kit.deliver(Connected("main", CAPABILITIES))
    assert connected.recorded == [SessionConnected("main", CAPABILITIES)]
    assert connected.cancelled_timers == ["connect again"]
    assert (kit.deliver(ConnectAgain()).sent, kit.deliver(CancelLeg("o.0")).sent) == (
        [],
        [("broker/main", CancelRequest("o.0"))],
    )


def test_a_session_that_cannot_be_opened_is_asked_for_ever_more_slowly() -> None:
    """Each refusal in a row doubles the wait, and one that was ready begins again at a second."""
    kit = connection(OPENED)
    for now, wait in ((1, 1), (2, 2), (4, 4)):
        lost = kit.deliver(Disconnected("no line"), now_ns=now * SECOND_NS)
        assert lost.timers["connect again"][0] == (now + wait) * SECOND_NS
    kit.learn(OPENED)
    assert kit.deliver(Disconnected("no line"), now_ns=0).timers["connect again"][0] == SECOND_NS


@pytest.mark.parametrize(("now_ns", "next_ns"), [(0, 10), (4, 10), (9, 10), (10, 20), (25, 30)])
def test_a_rebuilt_connection_goes_on_asking_at_the_same_times(now_ns: int, next_ns: int) -> None:
    """When it asks follows from when the session was lost, not from when the actor was rebuilt."""
    tenth = SECOND_NS // 10
    kit = connection(OPENED, LOST)
    kit.context.now_ns = now_ns * tenth
    started = kit.start()
    assert (started.sent, started.said) == ([], [])
    assert started.timers == {"connect again": (next_ns * tenth, ConnectAgain(2))}


def test_a_fill_that_nobody_told_of_is_found_after_the_loss() -> None:
    """An order that filled while the session was lost is FILLED once there is a new one, and new orders pass again."""
    world = World(scripted=True).bar()
    world.submit(ORDER)
    world.says(accepted("o.0"), Disconnected("lost"))
    world.broker.take()
    assert world.submit(Order.buy("A", 1, client_order_id="p"))[0].reason == "NOT_CONNECTED"
    world.wait(1.5)
    assert [command.wire_id for command in world.broker.take()] == ["o.0"]
    world.says(OrderFound("o.0", "b-o.0", BrokerOrderState.DONE, D(10), D(9), D(1)))
    assert world.status("o").state is OrderState.FILLED
    assert world.submit(Order.buy("A", 1, client_order_id="q"))[0].state is OrderState.SUBMITTED
    assert len(world.events(SessionOpened)) == 2


# --- What happens to the account ---------------------------------------------------------------------------------------

HELD = Ledger({"main": Account(D(0), {"A": Holding(D(15), D(300)), "B": Holding(D(-4), D(-40))})})


@pytest.mark.parametrize(
    ("report", "event"),
    [
        (
            CashMovement("1", CashKind.INTEREST, D(3), "A", "it"),
            CashMoved("main", "1", CashKind.INTEREST, D(3), "A", "it"),
        ),
        (DividendDeclared("1", "A", D(3), "it"), DividendAccrued("main", "1", "A", D(3), "it")),
        (SaleSettled("1", D(3)), CashSettled("main", "1", D(3))),
        (MarginDeficit("1", D(3), D(4), True, "it"), MarginCalled("main", "1", D(3), D(4), True, "it")),
        (
            PositionAdjustment("1", AdjustmentCause.TRANSFER, "A", D(5), text="JNLS", price=D(7)),
            PositionAdjusted("main", "1", AdjustmentCause.TRANSFER, "A", D(5), text="JNLS", price=D(7)),
        ),
        (
            PositionAdjustment("1", AdjustmentCause.CASH_IN_LIEU, "A", D(-1), D(7), "", "it"),
            PositionAdjusted("main", "1", AdjustmentCause.CASH_IN_LIEU, "A", D(-1), D(7), "", "it"),
        ),
        (
            PositionAdjustment("1", AdjustmentCause.SYMBOL_CHANGE, "A", D(-15), new_symbol="N"),
            PositionAdjusted("main", "1", AdjustmentCause.SYMBOL_CHANGE, "A", D(-15), new_symbol="N"),
        ),
        (
            PositionAdjustment("1", AdjustmentCause.SPLIT, "A", D("7.5")),
            PositionAdjusted("main", "1", AdjustmentCause.SPLIT, "A", D("7.5"), ratio=D("1.5")),
        ),
        (
            PositionAdjustment("1", AdjustmentCause.SPLIT, "B", D(2)),
            PositionAdjusted("main", "1", AdjustmentCause.SPLIT, "B", D(2), ratio=D("0.5")),
        ),
        (
            PositionAdjustment("1", AdjustmentCause.SPLIT, "C", D(2)),  # of what we do not hold, as far as we know
            PositionAdjusted("main", "1", AdjustmentCause.SPLIT, "C", D(2)),
        ),
    ],
)
def test_what_happens_to_the_account_is_recorded_once(report: Any, event: Any) -> None:
    """Each activity becomes its record, a split's with its ratio, however often it is told, a restart in between included."""
    kit = connection(OPENED, views={"positions": HELD})
    assert booked(kit, report) == [event]
    assert booked(kit, report) == []
    again = connection(OPENED, event, views={"positions": HELD})
    assert booked(again, report) == []
    assert booked(again, msgspec.structs.replace(report, activity_id="2")) != []
    other = msgspec.structs.replace(event, account="other")
    assert booked(connection(OPENED, other, views={"positions": HELD}), report) == [event]


def booked(kit: ActorTestKit, report: Any) -> list[Any]:
    """Return what is recorded of a report, which the connection takes in two turns."""
    (message,) = kit.deliver(report).told_to("connection/main")
    return kit.deliver(message).recorded


def test_what_was_reported_first_is_booked_first() -> None:
    """A fill that was reported before a split, in the same breath, is in the books before it."""
    world = World(scripted=True).bar()
    world.submit(ORDER)
    split = PositionAdjustment("1", AdjustmentCause.SPLIT, "A", D(4))
    world.says(accepted("o.0"), executed("o.0", "k", 4, 9, 4), split, executed("o.0", "k2", 1, 4, 5))
    assert [type(event) for event in world.events(OrderFilled, PositionAdjusted)] == [
        OrderFilled,
        PositionAdjusted,
        OrderFilled,
    ]
    assert world.events(PositionAdjusted)[0].ratio == 2


def test_activities_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the last activities are remembered, so that a long life needs no more memory than a short one."""
    monkeypatch.setattr(session, "ACTIVITIES_KEPT", 2)
    kit = connection(OPENED)
    for number in "123":
        booked(kit, SaleSettled(number, D(1)))
    assert list(kit.actor.state.activities) == ["2", "3"]


# --- Orders ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "command"),
    [
        (PlaceOrder(APPROVED, "o.0"), NewOrder("o.0", ORDER, 99, 7)),
        (CancelLeg("o.0"), CancelRequest("o.0")),
        (ReplaceLeg(APPROVED, "o.0", "o.1"), ReplaceRequest("o.0", "o.1", Terms(D(10), D(9)), 99, 7)),
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
    """A lost session stops new orders at the gate; a cancel that could not be sent is asked again, and the order stays as it is."""
    world = World(scripted=True).bar()
    world.submit(ORDER)
    world.says(accepted("o.0"), Disconnected("lost"))
    (status,) = world.submit(Order.buy("A", 1, client_order_id="p"))
    assert status.reason == "NOT_CONNECTED"
    world.broker.take()
    assert world.cancel("o") == [True]
    assert world.broker.take() == []
    assert (world.status("o").state, world.status("o").pending) == (OrderState.SUBMITTED, ("cancel",))
    assert world.exposure.open["o"].remaining == 10
