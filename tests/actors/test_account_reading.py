"""Reading the account: ready means reconciled, a failed read proves nothing, and what nobody explains waits for a person."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from actor_test_kit import ActorTestKit, Outcome
from hypothesis import given, settings
from hypothesis import strategies as st
from trading_world import World, accepted, executed

from ordersmith.actors.account_events import (
    AccountRead,
    BooksDisagree,
    BooksSuspected,
    CashDiffers,
    ExternalOrderGone,
    ExternalOrderSeen,
    ReadFailed,
    SessionConnected,
    SessionDenied,
    SessionRefused,
    SymbolJudged,
    SymbolReleased,
)
from ordersmith.actors.actor import Record, ReplyTo
from ordersmith.actors.broker_connection import BrokerConnection
from ordersmith.actors.events import (
    Arrival,
    Booted,
    CashMoved,
    OrderApproved,
    OrderFilled,
    OrderSubmitted,
    PositionAdjusted,
    SessionClosed,
    SessionOpened,
)
from ordersmith.actors.machines.exposure import Exposure
from ordersmith.actors.machines.order import OrderMachine
from ordersmith.actors.machines.position import Ledger
from ordersmith.actors.messages import (
    ApprovedOrder,
    CancelLeg,
    CommandRefused,
    ConnectAgain,
    LateReport,
    PlaceOrder,
    QueryLeg,
)
from ordersmith.actors.model import Order, OrderState, Side
from ordersmith.actors.ports import (
    BrokerOrderState,
    BrokerPosition,
    CancelRequest,
    CommandKind,
    Connect,
    Connected,
    ConnectRefused,
    Disconnect,
    Disconnected,
    Executed,
    NotSent,
    OrderAbsent,
    OrderFound,
    StatusRequest,
)
from ordersmith.actors.snapshots import (
    AccountSnapshot,
    AnswerDue,
    Difference,
    ExternalOrder,
    NotOurs,
    ReadAccount,
    ReadDue,
    ResolveSymbol,
    SnapshotFailed,
    SyncAccount,
)
from ordersmith.adapters.simulated.terms import CAPABILITIES

D = Decimal
SECOND_NS = 1_000_000_000
READ = "read the account"
ORDER = Order.buy("A", 10, "9", client_order_id="o", account="main")
CONNECTED = SessionConnected("main", CAPABILITIES)
OPENED = SessionOpened("main", D(500), (), CAPABILITIES)
TO_PORT = "broker/main"


class Session:
    """One connection by itself, with one order that is believed open if it is given when that last changed."""

    def __init__(self, *history: Any, order: int | None = None, **options: Any) -> None:
        self.ledger = Ledger()
        exposure = Exposure()
        views: dict[str, Any] = {"positions": self.ledger, "risk_gate": SimpleNamespace(exposure=exposure)}
        if order is not None:
            machine = OrderMachine.begin(Record(order, 1, 0, OrderSubmitted("o", ORDER, Arrival(1, D(9)))))
            machine.wire_id = "o.0"
            views["order/o"] = machine
            exposure.approved(OrderApproved("o", "main", "A", Side.BUY, D(10), D(9)), 0)
        self.kit = ActorTestKit(BrokerConnection("main", **options), *history, views=views)
        if any(isinstance(event, SessionOpened) for event in history):
            self.ledger.open(OPENED)

    def deliver(self, message: Any, now_ns: int | None = None) -> Outcome:
        return self.kit.deliver(message, now_ns)

    def read(self, message: Any, now_ns: int | None = None) -> Outcome:
        """Deliver a message and what the connection tells itself, to the end; return all that came out."""
        total = came = self.deliver(message, now_ns)
        while told := came.told_to("connection/main"):
            (message,) = told
            came = self.deliver(message)
            total = Outcome(
                [*total.told, *came.told],
                [*total.recorded, *came.recorded],
                [*total.sent, *came.sent],
                [*total.replied, *came.replied],
                total.timers | came.timers,
                [*total.cancelled_timers, *came.cancelled_timers],
                said=[*total.said, *came.said],
            )
        return total

    @property
    def now(self) -> int:
        """The number of the last record."""
        return len(self.kit.context.journal)


def snapshot(as_of: int, cash: int = 500, *held: tuple[str, int], **more: Any) -> AccountSnapshot:
    positions = tuple(BrokerPosition(symbol, D(quantity), D(9)) for symbol, quantity in held)
    return AccountSnapshot(as_of, D(cash), positions, **more)


# --- Ready means reconciled --------------------------------------------------------------------------------------------


def test_a_session_is_ready_once_the_account_was_judged() -> None:
    """A session that is open asks for the account; what it holds is adopted the first time, and then it is ready."""
    session = Session()
    assert session.kit.start().sent == [(TO_PORT, Connect())]
    opened = session.read(Connected("main", CAPABILITIES))
    assert (opened.recorded, opened.said) == ([CONNECTED], [])
    assert opened.sent == [(TO_PORT, SyncAccount(1, ""))]
    came = session.read(snapshot(1, 700, ("A", 3)))
    assert came.recorded == [SessionOpened("main", D(700), (BrokerPosition("A", D(3), D(9)),), CAPABILITIES)]
    assert came.said == ["ready"]
    assert came.timers == {}


@pytest.mark.parametrize(
    ("message", "sent"),
    [
        (PlaceOrder(ApprovedOrder(ORDER, 99, 7), "o.0"), []),
        (CancelLeg("o.0"), [(TO_PORT, CancelRequest("o.0"))]),
        (QueryLeg("o.0"), [(TO_PORT, StatusRequest("o.0"))]),
    ],
)
def test_before_it_is_reconciled_a_session_takes_no_new_risk(message: Any, sent: list[Any]) -> None:
    """While the account is read a new order is not sent; cancels and questions are."""
    session = Session(OPENED, SessionClosed("main", "lost"), CONNECTED)
    came = session.deliver(message)
    assert came.sent == sent
    assert [type(report) for report in came.told_to("order/o")] == ([] if sent else [NotSent])


def test_a_read_is_sent_after_what_was_told_before() -> None:
    """The question is as of what is known when it is decided, and goes out behind every order that is on its way by then."""
    session = Session(OPENED, order=1)
    (told,) = session.deliver(ReadDue()).told_to("connection/main")
    assert told == ReadAccount(1)
    assert session.deliver(told).sent == [(TO_PORT, SyncAccount(1, ""))]
    session.kit.context.views["order/o"].last_record = 7
    session.ledger.last_record = 5
    assert session.deliver(ReadDue()).told_to("connection/main") == [ReadAccount(7)]
    session.ledger.last_record = 9
    assert session.deliver(ReadDue()).told_to("connection/main") == [ReadAccount(9)]


def test_nothing_is_read_without_a_session() -> None:
    """Timers and answers that come after the loss of a session lead to nothing."""
    session = Session(OPENED, SessionClosed("main", "lost"))
    for message in (ReadDue(), AnswerDue(), ReadAccount(1), snapshot(9, 1), SnapshotFailed(1, "no")):
        came = session.read(message)
        assert (came.sent, came.recorded, came.said) == ([], [], [])


def test_a_restarted_connection_goes_on_reading() -> None:
    """One that was rebuilt while it read waits for the answer, and asks again; one that was ready reads soon if it reads at all."""
    for answer_ns, wait_ns in ((None, SECOND_NS), (5 * SECOND_NS, 5 * SECOND_NS)):
        syncing = Session(CONNECTED, answer_ns=answer_ns).kit.start()
        assert (syncing.said, syncing.told, syncing.timers) == ([], [], {READ: (wait_ns, ReadDue())})
    ready = Session(CONNECTED, OPENED).kit.start()
    assert (ready.said, ready.told, ready.timers) == (["ready"], [], {})
    for session in (
        Session(CONNECTED, OPENED, reconcile_ns=30 * SECOND_NS),
        Session(CONNECTED, OPENED, BooksSuspected("main", (Difference("A", D(1), D(2)),))),
    ):
        started = session.kit.start()
        assert (started.said, started.timers) == (["ready"], {READ: (SECOND_NS, ReadDue())})


def test_a_boot_begins_with_a_new_session() -> None:
    """After a boot nothing is open: the connection connects at once, and is ready only after it has read again."""
    session = Session(CONNECTED, OPENED, Booted(2, "i", "e", "0.1"))
    started = session.kit.start()
    assert (started.sent, started.said) == ([(TO_PORT, Connect())], [])
    assert session.deliver(PlaceOrder(ApprovedOrder(ORDER, 99, 7), "o.0")).sent == []


def test_nothing_passes_the_gate_from_a_boot_to_its_session() -> None:
    """The gate denies from the boot until the account was judged."""
    world = World(scripted=True).bar()
    world.broker.silent = True
    world.dispatcher.state(Booted(2, "i", "e", "0.1"))
    assert not world.exposure.account("main").connected
    assert world.submit(ORDER)[0].reason == "NOT_CONNECTED"
    world.says(Connected("main", CAPABILITIES))
    assert world.submit(Order.buy("A", 1, client_order_id="p"))[0].reason == "NOT_CONNECTED"
    world.says(world.broker.as_booked(world.broker.asked[-1]))
    assert world.submit(Order.buy("A", 1, client_order_id="q"))[0].state is OrderState.SUBMITTED


def test_a_new_session_of_a_port_that_is_ready_is_read_again() -> None:
    """A port that says once more that it is connected may have missed something: nothing passes until that is read."""
    world = World(scripted=True).bar()
    world.broker.silent = True
    world.says(Connected("main", CAPABILITIES))
    assert world.submit(ORDER)[0].reason == "NOT_CONNECTED"
    assert len(world.broker.asked) == 2


# --- An account of another name ----------------------------------------------------------------------------------------


def test_the_session_of_another_account_is_refused_for_good() -> None:
    """Of a session for another account than expected nothing is used: nothing is ever sent, and whoever asks hears why."""
    session = Session(expected_account="DU1")
    came = session.read(Connected("U1", CAPABILITIES))
    assert came.recorded == [SessionRefused("main", "U1", "DU1")]
    assert (came.sent, came.said, came.timers) == ([], [], {})
    for message in (Connected("DU1", CAPABILITIES), ConnectAgain(3), ReadDue(), CancelLeg("o.0"), QueryLeg("o.0")):
        assert session.read(message).sent == []
    (refused,) = session.deliver(PlaceOrder(ApprovedOrder(ORDER, 99, 7), "o.0")).told_to("order/o")
    assert refused == NotSent("o.0", CommandKind.NEW, "the broker's session is for account 'U1', not for 'DU1'")
    lost = session.deliver(Disconnected("bye"))
    assert (lost.timers, lost.said) == ({}, ["stopped"])
    assert session.kit.start().sent == []
    assert session.kit.stop().sent == [(TO_PORT, Disconnect())]


def test_the_expected_account_is_taken() -> None:
    """A session for the expected account is read like any other."""
    session = Session(expected_account="DU1")
    assert session.read(Connected("DU1", CAPABILITIES)).recorded == [CONNECTED]


# --- A broker that does not let us in -----------------------------------------------------------------------------------

DENIED = SessionDenied("main", "the key was not found")


def test_a_broker_that_does_not_let_us_in_is_not_asked_again() -> None:
    """A refusal that trying again would not mend ends the asking: nothing is sent, and whoever asks hears why."""
    session = Session(answer_ns=5 * SECOND_NS)
    assert "connect again" in session.kit.start().timers
    came = session.deliver(ConnectRefused("the key was not found"))
    assert came.recorded == [DENIED]
    assert (came.sent, came.said, came.timers, came.cancelled_timers) == ([], [], {}, ["connect again"])
    for message in (ConnectAgain(3), ReadDue(), CancelLeg("o.0"), QueryLeg("o.0"), ConnectRefused("no")):
        again = session.read(message)
        assert (again.sent, again.recorded) == ([], [])
    (refused,) = session.deliver(PlaceOrder(ApprovedOrder(ORDER, 99, 7), "o.0")).told_to("order/o")
    assert refused == NotSent("o.0", CommandKind.NEW, "the broker refuses the session: the key was not found")
    assert session.kit.start().sent == []
    lost = session.deliver(Disconnected("bye"))
    assert (lost.timers, lost.said) == ({}, ["stopped"])


def test_a_session_that_comes_all_the_same_is_taken() -> None:
    """Who was not let in and then is starts anew, and reads the account like any other."""
    session = Session(DENIED)
    opened = session.read(Connected("main", CAPABILITIES))
    assert opened.recorded == [CONNECTED]
    assert opened.sent == [(TO_PORT, SyncAccount(2, ""))]
    assert session.read(snapshot(2)).said == ["ready"]
    assert session.kit.actor.view().refusal == ""


def test_a_boot_asks_again_where_it_was_not_let_in() -> None:
    """The next process may have another key: it begins as if nobody had been refused."""
    session = Session(DENIED, Booted(2, "i", "e", "0.1"))
    assert session.kit.start().sent == [(TO_PORT, Connect())]
    assert session.kit.actor.view().refusal == ""


def test_a_refusal_does_not_lift_the_one_of_another_account() -> None:
    """A session of another account than expected stays refused, also where the broker lets somebody in later."""
    session = Session(expected_account="DU1")
    session.read(Connected("U1", CAPABILITIES))
    assert session.deliver(ConnectRefused("no")).recorded == []
    assert session.read(Connected("DU1", CAPABILITIES)).recorded == []


@pytest.mark.parametrize("history", [(CONNECTED,), (CONNECTED, OPENED)])
def test_a_refusal_during_a_session_is_its_loss(history: tuple[Any, ...]) -> None:
    """While a session is open a refusal is an outage: it is lost, and asked for again."""
    came = Session(*history).deliver(ConnectRefused("the key was revoked"), now_ns=0)
    assert came.recorded == [SessionClosed("main", "the key was revoked")]
    assert came.timers["connect again"][0] == SECOND_NS


# --- Reads that fail, and timers ---------------------------------------------------------------------------------------


def test_a_read_that_fails_is_made_again_ever_more_slowly() -> None:
    """A failure is recorded and proves nothing; the next reads follow after 1, 2, 4 seconds, and one success ends the count."""
    session = Session(CONNECTED)
    for seconds in (1, 2, 4):
        failed = session.read(SnapshotFailed(1, "page 2 timed out"), now_ns=0)
        assert failed.recorded == [ReadFailed("main", "page 2 timed out")]
        assert failed.timers == {READ: (seconds * SECOND_NS, ReadDue())}
        assert failed.said == []
        assert session.read(ReadDue()).sent == [(TO_PORT, SyncAccount(1, ""))]
    came = session.read(snapshot(1))
    assert [type(event) for event in came.recorded] == [AccountRead, SessionOpened]
    assert session.read(SnapshotFailed(1, "no"), now_ns=0).timers[READ][0] == SECOND_NS


def test_no_answer_is_a_failure() -> None:
    """With a deadline for answers a question that gets none is asked again, and one that is answered is not."""
    session = Session(CONNECTED, answer_ns=5 * SECOND_NS)
    asked = session.read(ReadDue(), now_ns=0)
    assert asked.timers == {READ: (5 * SECOND_NS, AnswerDue())}
    missed = session.read(AnswerDue(), now_ns=5 * SECOND_NS)
    assert missed.recorded == [ReadFailed("main", "no answer within 5 s")]
    assert missed.timers == {READ: (6 * SECOND_NS, ReadDue())}
    assert READ in session.read(snapshot(1)).cancelled_timers


def test_a_connect_without_an_answer_is_sent_again() -> None:
    """With a deadline for answers a session that does not come is asked for again, not sooner than that."""
    session = Session(answer_ns=5 * SECOND_NS)
    assert session.kit.start().timers == {"connect again": (5 * SECOND_NS, ConnectAgain(2))}
    again = session.deliver(ConnectAgain(5), now_ns=0)
    assert again.timers == {"connect again": (16 * SECOND_NS, ConnectAgain(6))}


def test_the_account_is_read_periodically() -> None:
    """With a period every good read is followed by the next; without one there is no timer."""
    session = Session(CONNECTED, reconcile_ns=30 * SECOND_NS)
    assert session.read(snapshot(1), now_ns=0).timers == {READ: (30 * SECOND_NS, ReadDue())}
    assert Session(CONNECTED).read(snapshot(1)).timers == {}


def test_the_cursor_is_kept_once_its_executions_are_booked() -> None:
    """The cursor of a good read is recorded when it is a new one, and the next question begins there."""
    session = Session(CONNECTED)
    assert session.read(snapshot(1, cursor="c1")).recorded[0] == AccountRead("main", "c1")
    assert session.read(ReadDue()).sent[0][1].executions_after == "c1"
    session.ledger.open(OPENED)
    assert session.read(snapshot(session.now, cursor="c1")).recorded == []


def test_a_read_that_was_overtaken_is_made_again() -> None:
    """A read as of before the last change of the books repairs orders, judges nothing, and is followed by another."""
    session = Session(CONNECTED, OPENED)
    session.ledger.last_record = 9
    late = executed("o.0", "k", 4, 9, 4)
    came = session.read(snapshot(8, 1, executions=(late,)))
    assert [type(report) for report in came.told_to("order/o")] == [Executed]
    assert (came.recorded, came.timers) == ([], {READ: (SECOND_NS, ReadDue())})


def test_an_answer_of_the_session_before_is_not_judged() -> None:
    """What was asked before the session was lost does not make the next one ready."""
    session = Session(CONNECTED, OPENED, SessionClosed("main", "lost"), CONNECTED)
    came = session.read(snapshot(1))
    assert (came.recorded, came.said) == ([], [])


# --- What happened meanwhile -------------------------------------------------------------------------------------------


def account(world: World, *orders: OrderFound, executions: tuple[Executed, ...] = (), **more: Any) -> None:
    """Let the broker have the account that is booked once `executions` are, and these open orders."""

    def answer(command: SyncAccount) -> AccountSnapshot:
        booked = world.broker.as_booked(command)
        held = {position.symbol: position.quantity for position in booked.positions}
        cash, known = booked.cash, world.machine("o").fills if world.machine("o") else {}
        for told in executions:
            if told.fill.fill_key not in known:
                cash -= told.fill.quantity * told.fill.price
                held["A"] = held.get("A", D(0)) + told.fill.quantity
        positions = tuple(BrokerPosition(symbol, quantity, D(9)) for symbol, quantity in held.items())
        return msgspec.structs.replace(
            booked, cash=cash, positions=positions, orders=orders, executions=executions, **more
        )

    world.broker.account = answer


def working(cumulative: int = 0) -> OrderFound:
    average = D(9) if cumulative else None
    return OrderFound("o.0", "b-o.0", BrokerOrderState.WORKING, D(cumulative), average)


def test_a_fill_that_nobody_told_of_is_recovered() -> None:
    """A fill during the loss is booked by the read, marked as recovered, before new orders pass again."""
    world = World(scripted=True).bar()
    world.submit(ORDER)
    world.says(accepted("o.0"), Disconnected("lost"))
    account(world, working(4), executions=(executed("o.0", "k", 4, 9, 4),))
    world.wait(1.5)
    (filled,) = world.events(OrderFilled)
    assert (filled.quantity, filled.fill.recovered, filled.fill.inferred) == (4, True, False)
    kinds = [type(event) for event in world.events(OrderFilled, SessionConnected, SessionOpened)]
    assert kinds == [SessionConnected, SessionOpened, SessionConnected, OrderFilled, SessionOpened]
    assert world.events(BooksSuspected) == []
    world.says(executed("o.0", "k", 4, 9, 4))
    assert len(world.events(OrderFilled)) == 1


def test_an_order_that_ended_meanwhile_is_found_by_its_id() -> None:
    """An order that is not listed is asked for before anything is believed, and its answer settles it."""
    world = World(scripted=True).bar()
    world.submit(ORDER)
    world.says(accepted("o.0"), Disconnected("lost"))
    world.broker.take()
    world.wait(1.5)
    assert [command.wire_id for command in world.broker.take()] == ["o.0"]
    assert world.status("o").state is OrderState.SUBMITTED
    world.says(OrderFound("o.0", "b-o.0", BrokerOrderState.CANCELLED, D(0), None))
    assert world.status("o").state is OrderState.CANCELLED


def test_absence_is_told_as_complete_only_if_the_books_agree() -> None:
    """An order that a complete read has no trace of hears so, unless the books differ, an execution is its, or it changed since."""

    def told(order: int, *read: Any, **more: Any) -> list[Any]:
        session = Session(CONNECTED, OPENED, order=order)
        return session.read(snapshot(2, *read, **more)).told_to("order/o")

    assert told(2, asked_ns=7) == [OrderAbsent("o.0", complete=True, asked_ns=7)]
    assert told(2, 499) == []
    assert told(3) == []
    assert [type(report) for report in told(2, executions=(executed("o.0", "k", 4, 9, 4),))] == [Executed]
    assert [type(report) for report in told(2, orders=(working(),))] == [OrderFound]
    assert Session(CONNECTED, OPENED, order=2).read(snapshot(2)).sent == [(TO_PORT, StatusRequest("o.0"))]


def test_a_report_on_an_order_that_nobody_looks_after_goes_to_the_desk() -> None:
    """What a read says of an order that is not in memory takes the way of every late report."""
    session = Session(CONNECTED, OPENED)
    session.kit.context.absent = ("order/x",)
    found = OrderFound("x.0", "b", BrokerOrderState.WORKING, D(0), None)
    assert session.read(snapshot(2, orders=(found,))).told_to("desk") == [LateReport("x", found)]


# --- Orders that are not ours ------------------------------------------------------------------------------------------


def test_an_order_that_is_not_ours_counts_and_is_left_alone() -> None:
    """An external order is recorded once, holds exposure and cash like ours, and is never cancelled."""
    world = World(scripted=True, cash="1000").bar()
    external = ExternalOrder("e", "B", Side.BUY, D(10), D(20))
    account(world, externals=(external,))
    for _ in range(2):
        world.post("connection/main", ReadDue())
        world.run()
    assert world.events(ExternalOrderSeen) == [ExternalOrderSeen("main", external)]
    risk = world.exposure.account("main")
    assert (risk.symbols["B"].open_buy, risk.reserved, risk.spendable) == (10, 200, 800)
    assert world.submit(Order.buy("A", 90, client_order_id="p"))[0].reason == "BUYING_POWER"
    account(world)
    world.post("connection/main", ReadDue())
    world.run()
    assert world.events(ExternalOrderGone) == [ExternalOrderGone("main", "e")]
    assert (risk.symbols["B"].open_buy, risk.reserved) == (0, 0)
    assert world.broker.take() == []


def test_an_order_that_the_store_does_not_know_either_is_external() -> None:
    """An order with an id of our form is looked up in the store before it counts as one that is not ours; its end is seen too."""
    world = World(scripted=True).bar()
    found = OrderFound("x.0", "b", BrokerOrderState.WORKING, D(1), D(9), D(0), "A", Side.SELL, D(4))
    account(world, found)
    for _ in range(2):
        world.post("connection/main", ReadDue())
        world.run()
    external = ExternalOrder("b", "A", Side.SELL, D(4))
    assert world.events(ExternalOrderSeen) == [ExternalOrderSeen("main", external)]
    assert world.exposure.account("main").symbols["A"].open_sell == 4
    assert world.broker.take() == []
    account(world)
    world.post("connection/main", ReadDue())
    world.run()
    assert world.events(ExternalOrderGone) == [ExternalOrderGone("main", "b")]
    assert world.exposure.account("main").symbols["A"].open_sell == 0


def test_what_the_desk_does_not_know_is_recorded_once() -> None:
    """The desk's word that an order is not ours is recorded, and not again while nothing of it has changed."""
    session = Session(CONNECTED, OPENED)
    found = OrderFound("x.0", "b", BrokerOrderState.WORKING, D(1), D(9), D(0), "A", Side.SELL, D(4))
    expected = ExternalOrderSeen("main", ExternalOrder("b", "A", Side.SELL, D(4)))
    assert session.deliver(NotOurs(found)).recorded == [expected]
    assert session.deliver(NotOurs(found)).recorded == []
    assert session.read(snapshot(2, orders=(found,))).told == session.read(snapshot(2, orders=(found,))).told


# --- Books that disagree -----------------------------------------------------------------------------------------------


def disagreeing() -> World:
    """Return a world in which the broker holds two shares of A more than we have booked, and 18 less of cash."""
    world = World(scripted=True).bar()
    world.submit(ORDER)
    world.says(accepted("o.0"), executed("o.0", "k", 10, 9, 10))
    actual = AccountSnapshot(0, D(100_000) - 108, (BrokerPosition("A", D(12), D(9)),))
    world.broker.account = lambda command: msgspec.structs.replace(actual, as_of=command.as_of)
    world.post("connection/main", ReadDue())
    world.run()
    return world


def submit_entry(world: World, name: str) -> Any:
    return world.submit(Order.buy("A", 1, client_order_id=name))[0]


def test_a_difference_needs_two_reads() -> None:
    """One read raises a suspicion; a second, a second later, that shows the same freezes the symbol and tells of the cash."""
    world = disagreeing()
    assert [len(event.differences) for event in world.events(BooksSuspected)] == [2]
    assert world.events(BooksDisagree, CashDiffers) == []
    world.wait(1.5)
    assert world.events(BooksDisagree) == [BooksDisagree("main", "A", D(10), D(12))]
    assert world.events(CashDiffers) == [CashDiffers("main", D(99_910), D(99_892))]
    world.resume()
    assert submit_entry(world, "p").reason == "SYMBOL_FROZEN"
    assert world.submit(Order.buy("B", 1, client_order_id="b"))[0].state is OrderState.SUBMITTED
    assert world.held() == {"A": 10}


def test_a_difference_that_passes_is_forgotten() -> None:
    """What the second read does not show any more freezes nothing."""
    world = disagreeing()
    world.broker.account = world.broker.as_booked
    world.wait(1.5)
    assert [len(event.differences) for event in world.events(BooksSuspected)] == [2, 0]
    assert world.events(BooksDisagree, CashDiffers) == []
    assert submit_entry(world, "p").state is OrderState.SUBMITTED


def test_the_same_answer_twice_is_one_read() -> None:
    """An answer that is delivered twice, or late, cannot confirm itself."""
    session = Session(CONNECTED, OPENED)
    assert [type(event) for event in session.read(snapshot(2, 1)).recorded] == [BooksSuspected]
    assert session.read(snapshot(2, 1)).recorded == []
    assert CashDiffers in [type(event) for event in session.read(snapshot(session.now, 1)).recorded]


def test_two_answers_at_the_same_instant_are_judged_once() -> None:
    """Of two answers that are under way together the second is not judged once the first was: it is read again instead."""
    session = Session(CONNECTED, OPENED)
    steps = [session.deliver(snapshot(2, 1)).told_to("connection/main")[0] for _ in range(2)]
    first, second = (session.deliver(step).told_to("connection/main")[0] for step in steps)
    assert [type(event) for event in session.deliver(first).recorded] == [BooksSuspected]
    late = session.deliver(second, now_ns=0)
    assert (late.recorded, late.timers) == ([], {READ: (SECOND_NS, ReadDue())})


def test_a_loss_ends_the_wait_for_an_answer() -> None:
    """Once the session is lost nothing of its account is waited for."""
    assert READ in Session(CONNECTED, answer_ns=SECOND_NS).deliver(Disconnected("lost")).cancelled_timers


def test_a_session_is_not_ready_while_its_books_are_suspected() -> None:
    """After a loss a difference is looked at twice before anything passes; then the frozen symbol alone is held back."""
    world = World(scripted=True).bar()
    world.says(Disconnected("lost"))
    actual = AccountSnapshot(0, D(100_000), (BrokerPosition("A", D(-5), D(9)),))
    world.broker.account = lambda command: msgspec.structs.replace(actual, as_of=command.as_of)
    world.wait(1.5)
    assert len(world.events(SessionOpened)) == 1
    assert submit_entry(world, "p").reason == "NOT_CONNECTED"
    world.wait(1)
    assert len(world.events(SessionOpened)) == 2
    world.resume()
    assert submit_entry(world, "q").reason == "SYMBOL_FROZEN"


def resolve(world: World, symbol: str, verdict: Any) -> Any:
    return world.ask("connection/main", lambda to: ResolveSymbol(symbol, verdict, "looked into it", "main", to))


def test_a_person_can_adopt_what_the_broker_says() -> None:
    """Adoption reads again and takes over position and cash as the broker has them; then the symbol trades again."""
    world = disagreeing()
    world.wait(1.5)
    assert resolve(world, "A", "adopt") is True
    assert world.events(SymbolJudged) == [SymbolJudged("main", "A", "adopt", "looked into it")]
    assert [(event.quantity, event.price) for event in world.events(PositionAdjusted)] == [(2, 9)]
    assert [event.amount for event in world.events(CashMoved)] == [-18]
    assert [event.symbol for event in world.events(SymbolReleased)] == ["A", ""]
    books = world.dispatcher.view("positions").accounts["main"]
    assert (world.held(), books.cash, books.transfers) == ({"A": 12}, 99_892, 0)
    assert (books.holdings["A"].cost, books.holdings["A"].realized_pnl) == (108, 0)
    risk = world.exposure.account("main")
    assert (risk.cash, risk.symbols["A"].position, risk.frozen) == (99_892, 12, {})
    world.resume()
    assert submit_entry(world, "p").state is OrderState.SUBMITTED


def test_a_release_needs_books_that_agree() -> None:
    """Released is only what the next read shows to agree again; else the symbol stays frozen, and that is said once more."""
    world = disagreeing()
    world.wait(1.5)
    assert resolve(world, "A", "release") is True
    assert len(world.events(BooksDisagree)) == 2
    assert world.events(SymbolReleased) == []
    world.broker.account = world.broker.as_booked
    assert resolve(world, "A", "release") is True
    assert resolve(world, "", "release") is True
    assert [event.symbol for event in world.events(SymbolReleased)] == ["A", ""]
    assert world.events(PositionAdjusted, CashMoved) == []


@pytest.mark.parametrize(
    ("symbol", "verdict", "words"),
    [
        ("B", "adopt", "symbol: B of account main is not in dispute; those that are: A"),
        ("", "adopt", "symbol: cash of account main is not in dispute; those that are: A"),
        ("A", "ignore", "verdict: 'ignore' is not known; give one of adopt, release"),
    ],
)
def test_what_cannot_be_resolved_is_refused(symbol: str, verdict: Any, words: str) -> None:
    """A symbol that is not frozen and a verdict that is none are refused, with what would be accepted."""
    session = Session(CONNECTED, OPENED, BooksDisagree("main", "A", D(1), D(2)))
    came = session.deliver(ResolveSymbol(symbol, verdict, "why", "main", ReplyTo(1)))
    assert came.replied == [(ReplyTo(1), CommandRefused(words))]
    assert came.recorded == []


def test_a_verdict_without_a_session_waits_for_one() -> None:
    """What a person decides while the session is lost is durable, and carried out by the first read of the next."""
    session = Session(CONNECTED, OPENED, BooksDisagree("main", "A", D(0), D(2)), SessionClosed("main", "lost"))
    came = session.read(ResolveSymbol("A", "adopt", "why", "main", ReplyTo(1)))
    assert (came.replied, came.sent) == ([(ReplyTo(1), True)], [])
    session.read(Connected("main", CAPABILITIES))
    adopted = session.read(snapshot(session.now, 500, ("A", 2)))
    assert [type(event) for event in adopted.recorded] == [PositionAdjusted, SymbolReleased, SessionOpened]


# --- Flapping ----------------------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.sampled_from(["fill unseen", "fill seen", "lose", "connect", "answer", "fail", "wait", "repeat"]), max_size=30
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_flapping_loses_nothing(steps: list[str]) -> None:
    """However often the session breaks, and wherever: every fill is booked once, and it is ready only after a whole read."""
    world = World(scripted=True).bar()
    world.submit(Order.buy("A", 1000, "9", client_order_id="o"))
    world.says(accepted("o.0"))
    world.broker.silent, connected = True, True
    done: list[Executed] = []

    def answer(command: SyncAccount) -> AccountSnapshot:
        filled = D(len(done))
        positions = (BrokerPosition("A", filled, D(9)),) if done else ()
        found = OrderFound("o.0", "b-o.0", BrokerOrderState.WORKING, filled, D(9) if done else None)
        return AccountSnapshot(command.as_of, D(100_000) - 9 * filled, positions, (found,), tuple(done))

    for step in steps:
        if step.startswith("fill"):
            done.append(executed("o.0", str(len(done)), 1, 9, len(done) + 1))
            if step == "fill seen" and connected:
                world.says(done[-1])
        elif step == "lose":
            world.says(Disconnected("lost"))
            connected = False
        elif step == "connect":
            world.says(Connected("main", CAPABILITIES))
            connected = True
        elif step == "answer" and connected and world.broker.asked:
            world.says(answer(world.broker.asked[-1]))
        elif step == "fail" and connected and world.broker.asked:
            world.says(SnapshotFailed(world.broker.asked[-1].as_of, "no"))
        elif step == "wait":
            world.wait(1)
        elif step == "repeat" and done and connected:
            world.says(done[-1])
    world.broker.silent, world.broker.account = False, answer
    world.says(Disconnected("once more"))
    world.wait(130)
    assert world.machine("o").filled_quantity == len(done)
    assert world.events(BooksDisagree, CashDiffers) == []
    books = world.dispatcher.view("positions").accounts["main"]
    assert books.cash == 100_000 - 9 * len(done)
    assert world.exposure.account("main").connected
    ready = False
    for event in world.events(SessionConnected, SessionClosed, SessionOpened):
        assert not (isinstance(event, SessionOpened) and ready)
        ready = isinstance(event, SessionOpened)
