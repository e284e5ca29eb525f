"""Orders in doubt in the system: deadlines, look-ups, proof, boots, crashes, what turns up after all, and a person's word."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trading_world import World, accepted, executed

from ordersmith.actors.doubt_events import OrderNeedsPerson, OrderNotFound, OrderResolved, OrderResurfaced, Verdict
from ordersmith.actors.doubt_messages import AnswerMissing, RecoverOrders, ResolveOrder
from ordersmith.actors.events import (
    ActorQuarantined,
    OrderCancelled,
    OrderFilled,
    OrderInDoubt,
    OrderRejected,
    OrderSubmitted,
    TradingStateChanged,
)
from ordersmith.actors.machines.doubt import BOOTED, SECOND_NS
from ordersmith.actors.messages import CommandRefused
from ordersmith.actors.model import Order, OrderState
from ordersmith.actors.order import Order as OrderActor
from ordersmith.actors.order_watch import WatchedOrder
from ordersmith.actors.ports import (
    BrokerOrderState,
    Cancelled,
    CancelRefused,
    CancelRequest,
    CommandKind,
    Expired,
    NewOrder,
    OrderAbsent,
    OrderFound,
    OutcomeUnknown,
    Rejected,
    StatusRequest,
)
from ordersmith.adapters.io_actor import IoActor
from ordersmith.supervisor import tree
from ordersmith.supervisor.supervision import SupervisorSpec

D = Decimal
ORDER = Order.buy("A", 10, "9", client_order_id="o")
NEW, CANCEL, REPLACE = CommandKind.NEW, CommandKind.CANCEL, CommandKind.REPLACE
UNKNOWN = OutcomeUnknown("o.0", NEW, "504")
WORKING = BrokerOrderState.WORKING


@pytest.fixture
def watched() -> Iterator[None]:
    """Give the broker five seconds for each answer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tree, "_order", lambda plan: lambda: WatchedOrder(5 * SECOND_NS))
        yield


def sent(*reports: Any) -> World:
    world = World(scripted=True).bar()
    world.submit(ORDER)
    world.broker.take()
    if reports:
        world.says(*reports)
    return world


def seconds(world: World, since_ns: int) -> list[float]:
    """Return when the order was looked for, in seconds since then."""
    asked = [command for command in world.broker.take() if isinstance(command, StatusRequest)]
    return [(command.asked_ns - since_ns) / SECOND_NS for command in asked]


def absent(world: World, *, complete: bool = False, leg: str = "o.0") -> OrderAbsent:
    return OrderAbsent(leg, complete, world.dispatcher.now_ns)


def given_up() -> World:
    """Return a world in which three look-ups over ten seconds and a complete read have not found the order."""
    world = sent(UNKNOWN)
    world.wait(11)
    world.says(absent(world))
    world.wait(5)
    world.says(absent(world))
    world.wait(5)
    world.says(absent(world, complete=True))
    world.broker.take()
    return world


def resolve(world: World, verdict: str, reason: str = "called them", **terms: Any) -> Any:
    return world.ask("desk", lambda to: ResolveOrder("o", verdict, reason, **terms, reply_to=to))


# --- Deadlines ---------------------------------------------------------------------------------------------------------


def test_without_a_deadline_nothing_waits() -> None:
    """A backtest's orders have no timer: no answer is waited for, nothing is asked again."""
    world = sent()
    assert world.dispatcher.cells["order/o"].timers == {}
    world.wait(1000)
    assert world.broker.take() == []


def test_no_answer_in_time_is_doubt_and_a_look_up(watched: None) -> None:
    """After five seconds the order is in doubt, and is looked for at once and then at growing intervals; it is never sent again."""
    world = sent()
    start_ns = world.dispatcher.now_ns
    world.wait(4.9)
    assert not world.status("o").in_doubt
    world.wait(100)
    (event,) = world.events(OrderInDoubt)
    assert (event.kind, event.reason, event.booted) == (NEW, "no answer within 5 s", False)
    assert world.exposure.open["o"].remaining == 10
    assert seconds(world, start_ns) == [5, 6, 8, 12, 20, 36, 66, 96]


def test_a_live_order_without_a_deadline_is_looked_for_all_the_same() -> None:
    """No answer is no doubt, but what is in doubt is looked for, until the broker says something."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tree, "_order", lambda plan: lambda: WatchedOrder(None))
        world = sent()
    world.wait(100)
    assert world.dispatcher.cells["order/o"].timers == {}
    world.says(UNKNOWN)
    start_ns = world.dispatcher.now_ns
    world.wait(10)
    assert seconds(world, start_ns) == [0, 1, 3, 7]
    world.says(accepted("o.0"))
    world.wait(100)
    assert world.broker.take() == []
    assert world.dispatcher.cells["order/o"].timers == {}


@pytest.mark.parametrize("report", [accepted("o.0"), executed("o.0", "k", 10, 9, 10), Rejected("o.0", "NO", "no")])
def test_an_answer_ends_the_wait(watched: None, report: Any) -> None:
    """Whatever the broker answers, no timer is left and nothing is looked up."""
    world = sent(report)
    assert world.dispatcher.cells["order/o"].timers == {}
    world.wait(100)
    assert world.broker.take() == []
    assert world.events(OrderInDoubt) == []


@pytest.mark.parametrize("crash_after", [0, 3, 5.5, 7, 40])
def test_a_rebuilt_order_looks_at_the_same_instants(watched: None, crash_after: float) -> None:
    """A crash at any time moves no deadline and no look-up."""
    world = sent()
    start_ns = world.dispatcher.now_ns
    world.wait(crash_after)
    world.backtest.lifecycle.crash("order/o", RuntimeError("between turns"))
    world.run()
    world.wait(70 - crash_after)
    assert seconds(world, start_ns) == [5, 6, 8, 12, 20, 36, 66]
    assert len(world.events(OrderInDoubt)) == 1


def test_cancels_and_replacements_have_their_deadlines(watched: None) -> None:
    """Each is in doubt five seconds after it was handed over, and the doubt about a replacement is looked into at both legs."""
    world = sent(accepted("o.0"))
    world.replace("o", 20)
    world.wait(2)
    world.cancel("o")
    world.broker.take()
    world.wait(5)
    assert [event.kind for event in world.events(OrderInDoubt)] == [REPLACE, CANCEL]
    asked = [command.wire_id for command in world.broker.take() if isinstance(command, StatusRequest)]
    assert asked[:2] == ["o.1", "o.0"]


def test_a_person_is_called_after_five_minutes(watched: None) -> None:
    """The alarm is raised once, the exposure stays reserved, and the order is looked for on and on."""
    world = sent()
    world.wait(304)
    assert world.events(OrderNeedsPerson) == []
    world.wait(10)
    world.broker.take()
    world.wait(1000)
    assert len(world.events(OrderNeedsPerson)) == 1
    assert world.status("o").in_doubt
    assert "o" in world.exposure.open
    assert len(world.broker.take()) == pytest.approx(33, abs=1)


@pytest.mark.parametrize(
    ("answer_ns", "port", "kind"), [(None, None, OrderActor), (5, None, WatchedOrder), (None, IoActor, WatchedOrder)]
)
def test_the_tree_watches_live_orders(answer_ns: int | None, port: Any, kind: type) -> None:
    """With a deadline for answers, or a port behind a task, orders have a timer; in a backtest none has."""
    spec = tree.build(a_plan(answer_ns, port))
    (orders,) = (child for child in spec.children if child.id == "orders")
    assert isinstance(orders, SupervisorSpec)
    assert orders.template is not None
    assert type(orders.template.factory()) is kind


def a_plan(answer_ns: int | None, port: Any) -> tree.Plan:
    nothing: Any = None
    return tree.Plan(
        account="main",
        id_prefix="x",
        limits=nothing,
        breaker=nothing,
        instruments={},
        market=nothing,
        shown=nothing,
        answer_ns=answer_ns,
        port=port,
    )


# --- Proof -------------------------------------------------------------------------------------------------------------


def test_an_order_is_given_up_by_proof_only() -> None:
    """Then it is REJECTED as NOT_FOUND, in a record that does not count as a rejection, and its exposure is free."""
    world = given_up()
    status = world.status("o")
    assert (status.state, status.reason, status.in_doubt, status.pending) == (
        OrderState.REJECTED,
        "NOT_FOUND",
        False,
        (),
    )
    assert world.exposure.open == {}
    assert [event.concluded for event in world.events(OrderRejected)] == [True]
    assert world.dispatcher.view("circuit_breaker").rejections == []


def test_a_look_up_from_before_the_deadline_proves_nothing() -> None:
    """While the order may still be on its way, no number of negative look-ups counts; one is written down, the first."""
    world = sent(UNKNOWN)
    for _ in range(10):
        world.says(absent(world, complete=True))
        world.wait(1)
    world.says(OrderAbsent("o.0"), OrderAbsent("o.0"))
    assert world.status("o").in_doubt
    assert len(world.events(OrderNotFound)) == 1


def test_the_proof_that_only_a_complete_read_is_short_of_asks_for_one(watched: None) -> None:
    """Once there are enough look-ups the account is read, and as our books agree with it the order is given up without a person."""
    world = sent()
    reads = len(world.broker.asked)
    while (
        not world.status("o").is_closed and world.dispatcher.now_ns < world.machine("o").submitted_ns + 200 * SECOND_NS
    ):
        world.wait(1)
        world.says(
            *(OrderAbsent(c.wire_id, asked_ns=c.asked_ns) for c in world.broker.take() if type(c) is StatusRequest)
        )
        enough = world.machine("o").doubt is not None and world.machine("o").doubt.legs["o.0"].suffice  # type: ignore[union-attr]
        assert enough or world.status("o").is_closed or len(world.broker.asked) == reads
    assert world.status("o").reason == "NOT_FOUND"
    assert world.events(OrderNeedsPerson) == []


def test_a_look_up_that_overtakes_the_send_is_no_doubt() -> None:
    """Before the send's deadline the order may be on its way still, so that nobody knows it proves not even a doubt."""
    world = sent()
    world.says(absent(world), absent(world, complete=True))
    assert world.events(OrderInDoubt, OrderNotFound) == []
    world.wait(11)
    world.says(absent(world))
    assert world.status("o").in_doubt


def test_reads_for_a_proof_are_paced(watched: None) -> None:
    """Where our books disagree, so that no read proves anything, the account is not read again with every look-up that fails."""
    world = sent()
    world.broker.account = lambda command: msgspec.structs.replace(world.broker.as_booked(command), cash=D(1))
    reads = len(world.broker.asked)
    for _ in range(200):
        asked = [command for command in world.broker.take() if type(command) is StatusRequest]
        world.wait(1)  # an answer takes a second, so each is news
        world.says(*(OrderAbsent(command.wire_id, asked_ns=command.asked_ns) for command in asked))
    assert not world.status("o").is_closed
    assert 2 <= len(world.broker.asked) - reads < 15


def test_a_look_up_that_does_not_say_when_it_began_proves_nothing() -> None:
    """However often it is told, complete or not."""
    world = sent(UNKNOWN)
    for _ in range(5):
        world.wait(30)
        world.says(OrderAbsent("o.0"), OrderAbsent("o.0", complete=True))
    assert world.status("o").in_doubt


def test_a_cancel_in_doubt_is_asked_again_until_it_is_answered(watched: None) -> None:
    """Each time that the order is found working the cancel goes out once more."""
    world = sent(accepted("o.0"))
    world.cancel("o")
    world.wait(5)
    world.broker.take()
    for _ in range(2):
        world.says(OrderFound("o.0", "b-o.0", WORKING, D(0), None))
        assert world.broker.take() == [CancelRequest("o.0")]
    assert world.status("o").in_doubt
    world.says(Cancelled("o.0"))
    assert (world.status("o").state, world.status("o").in_doubt) == (OrderState.CANCELLED, False)


def test_a_replacement_that_is_not_found_is_refused_once_the_leg_before_it_is() -> None:
    """The order keeps its terms, and what was reserved for the replacement is free."""
    world = sent(accepted("o.0"))
    world.replace("o", 20)
    world.says(OutcomeUnknown("o.1", REPLACE, "504"))
    found = OrderFound("o.0", "b-o.0", WORKING, D(0), None)
    for wait in (11, 5, 5):
        world.says(found)
        assert world.status("o").in_doubt
        world.wait(wait)
        world.says(absent(world, leg="o.1"))
    world.says(absent(world, leg="o.1", complete=True))
    assert world.exposure.open["o"].held()[0] == 20
    world.says(found)
    status = world.status("o")
    assert (status.quantity, status.in_doubt, status.pending, status.state) == (D(10), False, (), OrderState.SUBMITTED)
    assert world.exposure.open["o"].held()[0] == 10


def test_an_order_whose_replacement_was_lost_is_over_with_the_leg_before_it() -> None:
    """It was there, and is open no more: that is a cancel, and the broker's word of it later is no alarm."""
    world = sent(accepted("o.0"))
    world.replace("o", 20)
    world.says(executed("o.0", "k", 4, 9, 4), OutcomeUnknown("o.1", REPLACE, "504"))
    for wait in (11, 5, 5):
        world.wait(wait)
        world.says(absent(world, leg="o.1", complete=True))
    status = world.status("o")
    assert (status.state, status.reason, status.in_doubt) == (OrderState.CANCELLED, "BROKER", False)
    assert "its replacement" in status.text
    assert world.exposure.open == {}
    world.says(Cancelled("o.0"))
    assert world.events(OrderResurfaced) == []
    assert world.events(TradingStateChanged) == []


def test_a_replacement_that_is_found_was_made() -> None:
    """The broker names the new leg: the order has the new terms."""
    world = sent(accepted("o.0"))
    world.replace("o", 20)
    world.says(OutcomeUnknown("o.1", REPLACE, "504"), OrderFound("o.1", "b-o.1", WORKING, D(0), None))
    assert (world.status("o").quantity, world.status("o").in_doubt) == (D(20), False)


def test_an_accepted_order_that_is_not_found_is_in_doubt_until_it_is_seen() -> None:
    """One negative look-up puts it in doubt, and the next positive one ends that; its exposure stays all the time."""
    world = sent(accepted("o.0"))
    world.says(absent(world))
    assert (world.status("o").state, world.status("o").in_doubt) == (OrderState.SUBMITTED, True)
    world.says(OrderFound("o.0", "b-o.0", WORKING, D(0), None))
    assert not world.status("o").in_doubt
    assert world.exposure.open["o"].remaining == 10
    assert world.broker.take() == []


# --- Found after all -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("report", "left"),
    [
        (accepted("o.0"), 10),
        (executed("o.0", "k", 4, 9, 4), 6),
        (OrderFound("o.0", "b-o.0", WORKING, D(4), D(9)), 6),
        (OrderFound("o.0", "b-o.0", BrokerOrderState.DONE, D(10), D(9)), None),
        (executed("o.0", "k", 10, 9, 10), None),
        (Cancelled("o.0"), None),
        (Expired("o.0"), None),
    ],
)
def test_what_was_given_up_and_turns_up_is_taken_back(report: Any, left: int | None) -> None:
    """One alarm, trading halts until a person resumes, fills are booked, and what is open is reserved again and cancelled at once."""
    world = given_up()
    world.says(report, report)
    assert len(world.events(OrderResurfaced)) == 1
    (halt,) = world.events(TradingStateChanged)
    assert halt.reason == "ORDER_RESURFACED"
    world.wait(10_000)
    assert world.dispatcher.view("circuit_breaker").trading_state == "HALTED"
    cancels = [command for command in world.broker.take() if isinstance(command, CancelRequest)]
    if left is None:
        assert cancels == []
        assert world.exposure.open == {}
        return
    assert cancels[:1] == [CancelRequest("o.0")]
    assert world.exposure.open["o"].remaining == left
    assert world.held() == ({"A": 10 - left} if left < 10 else {})
    world.says(Cancelled("o.0"))
    assert world.status("o").state == OrderState.CANCELLED
    assert world.exposure.open == {}


def test_a_refused_cancel_of_what_turned_up_is_asked_again_when_it_is_seen() -> None:
    """It stays reserved until the broker has proved its end."""
    world = given_up()
    world.says(accepted("o.0"), CancelRefused("o.0", "BUSY", "later"))
    world.broker.take()
    world.says(OrderFound("o.0", "b-o.0", WORKING, D(0), None))
    assert world.broker.take() == [CancelRequest("o.0")]
    assert world.exposure.open["o"].remaining == 10


def test_the_cancel_of_what_turned_up_is_not_forgotten(watched: None) -> None:
    """Without an answer to it, or after a boot, it is in doubt, looked into and asked again, although the order had been closed."""
    world = given_up()
    world.says(accepted("o.0"))
    assert world.broker.take() == [CancelRequest("o.0")]
    world.wait(5)
    assert (world.events(OrderInDoubt)[-1].kind, world.status("o").in_doubt) == (CANCEL, True)
    assert [command.wire_id for command in world.broker.take()] == ["o.0"]
    world.says(OrderFound("o.0", "b-o.0", WORKING, D(0), None))
    assert world.broker.take() == [CancelRequest("o.0")]
    booted = given_up()
    booted.says(accepted("o.0"))
    booted.post("desk", RecoverOrders())
    booted.run()
    assert booted.events(OrderInDoubt)[-1] == OrderInDoubt("o", CANCEL, BOOTED, booted=True)


def test_that_the_broker_had_refused_it_is_no_alarm() -> None:
    """A rejection that comes late says that it never worked, as we had concluded."""
    world = given_up()
    world.says(Rejected("o.0", "NO_MONEY", "not enough"))
    assert world.status("o").reason == "NO_MONEY"
    assert world.events(OrderResurfaced) == []


def test_what_turns_up_long_after_is_taken_back_too() -> None:
    """An order that has left memory is brought back by the late report, and treated like any other."""
    world = given_up()
    cells = world.dispatcher.cells
    world.dispatcher.turn(cells["desk"], lambda: world.dispatcher.stop(cells["order/o"]))
    assert "order/o" not in cells
    world.says(executed("o.0", "k", 4, 9, 4))
    assert len(world.events(OrderResurfaced)) == 1
    assert world.broker.take() == [CancelRequest("o.0")]
    assert (world.held(), world.exposure.open["o"].remaining) == ({"A": 4}, 6)


# --- Boot ----------------------------------------------------------------------------------------------------------------


def test_after_a_boot_every_open_order_is_told() -> None:
    """Those with exposure without being named, once; an order that was never sent is named, and is closed."""
    world = sent()
    world.submit(Order.buy("B", 1, client_order_id="p"))
    world.says(accepted("p.0"))
    world.cancel("p")
    submitted = world.records(OrderSubmitted, order="o")[0]
    event = OrderSubmitted("q", Order.buy("C", 1, client_order_id="q", account="main"), submitted.event.arrival)
    world.dispatcher.state(event)
    world.dispatcher.turn(
        world.dispatcher.cells["desk"],
        lambda: world.dispatcher.spawn("orders", "order/q", (world.dispatcher.log.records[-1],)),
    )
    for _ in range(2):
        world.post("desk", RecoverOrders(("q", "never")))
        world.run()
    doubts = world.events(OrderInDoubt)
    assert [(event.client_order_id, event.kind, event.booted) for event in doubts] == [
        ("o", NEW, True),
        ("p", CANCEL, True),
    ]
    assert (world.status("q").state, world.status("q").reason) == (OrderState.CANCELLED, "NOT_SENT")


def test_doubt_after_a_boot_does_not_halt() -> None:
    """Five orders without an answer at a boot are no sign of a broker that is losing orders."""
    world = World(scripted=True).bar()
    world.submit(*(Order.buy("A", 1, client_order_id=f"o{number}") for number in range(6)))
    world.post("desk", RecoverOrders())
    world.run()
    assert len(world.events(OrderInDoubt)) == 6
    assert world.events(TradingStateChanged) == []


# --- A person's word -------------------------------------------------------------------------------------------------------


def test_a_person_says_that_it_is_absent() -> None:
    """The order is REJECTED with the reason given, which the journal keeps, and its exposure is free."""
    world = sent(UNKNOWN)
    status = resolve(world, "absent")
    assert (status.state, status.reason, status.text) == (
        OrderState.REJECTED,
        "NOT_FOUND",
        "resolved by hand: called them",
    )
    assert world.events(OrderResolved) == [OrderResolved("o", Verdict.ABSENT, "called them")]
    assert world.exposure.open == {}


def test_a_person_says_that_it_filled() -> None:
    """What was missing is booked at the limit or the price given; the broker's own executions replace it if they come, without an alarm."""
    world = sent(UNKNOWN, executed("o.0", "k1", 4, 9, 4))
    world.cancel("o")
    world.says(OutcomeUnknown("o.0", CANCEL, "504"), accepted("o.0"), OutcomeUnknown("o.0", CANCEL, "504"))
    status = resolve(world, "filled", price=D("8.5"))
    assert (status.state, status.filled_quantity, status.notional) == (OrderState.FILLED, D(10), D(87))
    assert world.events(OrderFilled)[-1].fill.fill_key == "by-hand:1"
    assert (world.held(), world.exposure.open) == ({"A": 10}, {})
    world.says(executed("o.0", "k2", 6, "8.4", 10))
    assert world.status("o").notional == D("86.4")
    assert (world.held(), world.events(OrderResurfaced)) == ({"A": 10}, [])


def test_a_person_says_that_a_part_filled() -> None:
    """The part is booked at the order's limit and nothing is open any more."""
    world = sent(UNKNOWN)
    status = resolve(world, "filled", quantity=D(3))
    assert (status.state, status.filled_quantity, status.notional) == (OrderState.CANCELLED, D(3), D(27))
    assert (world.held(), world.exposure.open) == ({"A": 3}, {})


@pytest.mark.parametrize(
    ("verdict", "terms", "says"),
    [
        ("gone", {}, "give one of absent, filled, release"),
        ("release", {}, "cannot be resolved as release, only as absent or filled"),
        ("absent", {"price": D(1)}, "for the verdict filled only"),
        ("absent", {"reason": " "}, "say why"),
        ("filled", {"quantity": D(11)}, "above 0 and up to 10"),
        ("filled", {"quantity": D(0)}, "above 0 and up to 10"),
        ("filled", {"quantity": D("NaN")}, "above 0 and up to 10"),
        ("filled", {"price": D(-1)}, "give a price above 0"),
    ],
)
def test_a_word_that_does_not_fit_is_refused(verdict: str, terms: dict[str, Any], says: str) -> None:
    """The answer says what would be accepted, and nothing is written."""
    world = sent(UNKNOWN)
    before = len(world.records())
    answer = resolve(world, verdict, **terms)
    assert isinstance(answer, CommandRefused)
    assert says in answer.text
    assert len(world.records()) == before


def test_a_market_order_needs_the_price_that_it_filled_at() -> None:
    """Nobody guesses a price."""
    world = World(scripted=True).bar()
    world.submit(Order.buy("A", 10, client_order_id="o"))
    world.says(UNKNOWN)
    assert "give the price that it filled at" in resolve(world, "filled").text


def test_only_what_is_in_doubt_can_be_resolved() -> None:
    """A working order, a closed one, one that has left memory and one that never was are refused."""
    world = sent(accepted("o.0"))
    assert "neither in doubt nor quarantined" in resolve(world, "absent").text
    world.says(Cancelled("o.0"))
    assert "it" in resolve(world, "absent").text
    world.dispatcher.turn(
        world.dispatcher.cells["desk"], lambda: world.dispatcher.stop(world.dispatcher.cells["order/o"])
    )
    assert "is CANCELLED and neither in doubt" in resolve(world, "absent").text
    never = world.ask("desk", lambda to: ResolveOrder("never", "absent", "why", reply_to=to))
    assert never == CommandRefused("order never is not known")
    assert world.events(OrderResolved) == []


def quarantined(*reports: Any) -> World:
    world = sent(*reports)
    for _ in range(6):
        world.backtest.lifecycle.crash("order/o", RuntimeError("a bug"))
    world.run()
    assert len(world.events(ActorQuarantined)) == 1
    assert world.status("o").quarantined
    return world


def test_a_quarantined_order_is_released() -> None:
    """It has an actor again, asks the broker where it stands, and goes on with what it had."""
    world = quarantined(accepted("o.0"), executed("o.0", "k", 4, 9, 4))
    world.broker.take()
    status = resolve(world, "release")
    assert (status.state, status.quarantined, status.filled_quantity) == (OrderState.PARTIALLY_FILLED, False, D(4))
    assert [command.wire_id for command in world.broker.take()] == ["o.0"]
    world.says(executed("o.0", "k2", 6, 9, 10))
    assert (world.status("o").state, world.status("o").quarantined) == (OrderState.FILLED, False)
    assert (world.held(), world.exposure.open) == ({"A": 10}, {})


@pytest.mark.parametrize(
    ("verdict", "state", "held"), [("absent", "CANCELLED", {"A": 4}), ("filled", "FILLED", {"A": 10})]
)
def test_a_quarantined_order_is_closed_by_hand(verdict: str, state: str, held: dict[str, int]) -> None:
    """Its actor takes no messages, so the desk writes it down; the exposure is free and the status is the new one."""
    world = quarantined(accepted("o.0"), executed("o.0", "k", 4, 9, 4))
    status = resolve(world, verdict)
    assert (status.state, status.quarantined) == (state, False)
    assert world.status("o") == status
    assert (world.held(), world.exposure.open) == (held, {})
    assert "only as" in resolve(quarantined(Cancelled("o.0")), verdict).text


@pytest.mark.parametrize(
    ("reports", "verdict"),
    [((accepted("o.0"), Cancelled("o.0")), "release"), ((accepted("o.0"),), "absent"), ((accepted("o.0"),), "filled")],
)
def test_a_closed_order_that_a_person_resolved_stays_in_memory(reports: tuple[Any, ...], verdict: str) -> None:
    """It leaves when other closed ones do, as after a boot that folds the same records, and nothing is asked about it."""
    world = quarantined(*reports)
    world.broker.take()
    resolve(world, verdict)
    desk = world.dispatcher.cells["desk"].actor.state
    assert ("o" in desk.closed, "order/o" in world.dispatcher.cells) == (True, True)
    assert world.broker.take() == []


def test_an_order_that_resurfaced_and_filled_is_not_cancelled_by_a_late_acceptance() -> None:
    """Of an order that was given up and has filled since, nothing is open: a late word that it works asks for no cancel."""
    world = given_up()
    world.says(executed("o.0", "k", 10, 9, 10))
    world.broker.take()
    world.says(accepted("o.0"))
    assert (world.status("o").state, world.status("o").pending) == (OrderState.FILLED, ())
    assert [type(command) for command in world.broker.take()] == []


# --- Any interleaving ------------------------------------------------------------------------------------------------------

NOISE = ("unknown", "absent", "complete", "boot", "look", "crash", "wait")
ENDS = (Cancelled("o.0"), Expired("o.0"), executed("o.0", "k2", 6, 9, 10))
FACTS = (accepted("o.0"), executed("o.0", "k1", 4, 9, 4))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_interleaving_changes_the_end_frees_what_may_be_open_or_sends_twice(data: st.DataObject) -> None:
    """The same facts end in the same order, whatever crashes, boots or is looked up; doubt keeps its exposure, nothing is sent twice."""
    end = data.draw(st.sampled_from(ENDS), "end")
    told = [*FACTS, end, *data.draw(st.lists(st.sampled_from([*FACTS, end]), max_size=2), "again")]
    steps = data.draw(
        st.permutations([*told, *data.draw(st.lists(st.sampled_from(NOISE), max_size=14), "noise")]), "steps"
    )
    world = World(scripted=True).bar()
    world.submit(ORDER)
    crashes = 0
    for step in steps:
        if step == "crash":
            crashes += 1
            if crashes < 5:
                world.backtest.lifecycle.crash("order/o", RuntimeError("between turns"))
            world.run()
        else:
            act(world, step)
        machine = world.machine("o")
        if machine.may_be_open:
            assert world.exposure.open["o"].remaining == 10 - machine.filled_quantity
        assert not (machine.in_doubt and machine.is_closed and not machine.resurfaced)
    plain = sent(*FACTS, end)
    status, expected = world.status("o"), plain.status("o")
    assert (status.state, status.filled_quantity, status.notional) == (
        expected.state,
        expected.filled_quantity,
        expected.notional,
    )
    assert (status.in_doubt, status.pending) == (False, ())
    assert (world.held(), world.exposure.open) == (plain.held(), {})
    assert world.exposure.account("main").cash == plain.exposure.account("main").cash
    assert [type(command) for command in world.broker.commands].count(NewOrder) == 1
    if not world.events(OrderResurfaced):
        assert (status.reason, status.text) == (expected.reason, expected.text)
    assert len(world.events(OrderCancelled)) <= 1


def act(world: World, step: Any) -> None:
    if step == "unknown":
        world.says(UNKNOWN)
    elif step in ("absent", "complete"):
        world.says(absent(world, complete=step == "complete"))
    elif step == "boot":
        world.post("desk", RecoverOrders(("o",)))
        world.run()
    elif step == "look":
        world.post("order/o", AnswerMissing())
        world.run()
    elif step == "wait":
        world.wait(11)
    else:
        world.says(step)
