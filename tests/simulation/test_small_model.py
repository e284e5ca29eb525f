"""The exhaustive small model: it leaves nothing out, nothing in it breaks a rule, and it notices bugs that are planted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from ordersmith.actors import order_doubt
from ordersmith.actors.broker_connection import BrokerConnection
from ordersmith.actors.doubt_messages import AnswerMissing
from ordersmith.actors.events import CancelReason, OrderCancelled, OrderRejected
from ordersmith.actors.machines import order_changes
from ordersmith.actors.messages import ApprovedOrder, PlaceOrder
from ordersmith.actors.order_watch import WatchedOrder
from ordersmith.actors.ports import (
    Accepted,
    Cancelled,
    CancelRefused,
    CancelRequest,
    Executed,
    NewOrder,
    OrderAbsent,
    OrderFound,
    OutcomeUnknown,
    Rejected,
    StatusRequest,
)
from ordersmith.actors.snapshots import AccountSnapshot, SnapshotFailed, SyncAccount
from ordersmith.simulation.small_broker import Truth
from ordersmith.simulation.small_core import CASH, ORDER_ID, WIRE_ID, Folded, SmallCore
from ordersmith.simulation.small_model import Explored, SmallModel, main
from ordersmith.simulation.small_rules import books_are_wrong, not_at_rest
from ordersmith.simulation.small_state import Bounds, State, with_one, without
from ordersmith.simulation.small_telling import told
from ordersmith.simulation.small_world import SmallWorld

CALM = Bounds(lost=0, doubled=0, crashes=0, cancels=0, seconds=5)
NO_CRASH = Bounds(lost=1, doubled=1, crashes=0, cancels=1, under_way=1, seconds=4)
ONE_CRASH = Bounds(lost=1, doubled=0, crashes=1, cancels=1, under_way=0, seconds=2)


SAID = {
    *(NewOrder, CancelRequest, StatusRequest, SyncAccount, Accepted, Rejected, Executed, Cancelled, CancelRefused),
    *(OrderFound, OrderAbsent, OutcomeUnknown, AccountSnapshot, AnswerMissing),
}


def explored(bounds: Bounds, at_most: int | None = None) -> Explored:
    return SmallModel(bounds).explore(at_most)


# --- The product ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bounds", "states"), [(NO_CRASH, 70_000), (ONE_CRASH, 80_000)])
def test_every_state_of_the_model_is_visited_and_none_breaks_a_rule(bounds: Bounds, states: int) -> None:
    """With a loss, a cancel and a duplicate or a crash, nothing that can be reached breaks I1 to I3 or I8."""
    model = SmallModel(bounds)
    found = model.explore()
    assert not found.broken, str(found)
    assert found.is_complete
    assert found.states >= states
    assert found.rests > 100
    assert {type(word) for word in model.world.core.words.things} >= SAID


def test_what_is_visited_does_not_depend_on_the_run() -> None:
    """Two explorations within the same bounds count the same states, transitions and turns."""
    assert explored(CALM) == explored(CALM)


def test_what_the_model_forgets_makes_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """With every dead value, record number and delay kept, the same is seen of the order, the session and the broker."""
    bounds = Bounds(lost=1, doubled=0, crashes=0, cancels=1, under_way=0, seconds=5)
    short, few = seen(bounds)
    monkeypatch.setattr(Folded, "tidy", lambda folded: None)
    monkeypatch.setattr(
        SmallCore, "renumber", lambda core, folded, as_of: (folded, {number: number for number in as_of})
    )
    monkeypatch.setattr(SmallWorld, "_hurried", lambda world, state: state)
    long, many = seen(bounds)
    assert short == long
    assert many > 2 * few


def seen(bounds: Bounds) -> tuple[set[str], int]:
    """Return what can be told of all states, without what is about to leave, and how many states there are."""
    lines: set[str] = set()

    class Telling(SmallModel):
        def _badly_ended(self, state: State) -> str:
            lines.add(told(self.world, state._replace(port=(), waiting=(), wire=(), reports=())))
            return super()._badly_ended(state)

    found = Telling(bounds).explore()
    assert not found.broken, str(found)
    assert found.is_complete
    return lines, found.states


def test_more_faults_make_more_states() -> None:
    """Each bound that is raised reaches states that were not there before."""
    calm = explored(CALM)
    for field in ("lost", "doubled", "cancels", "disconnects"):
        assert explored(msgspec.structs.replace(CALM, **{field: 1}), at_most=3 * calm.states).states > calm.states


def test_an_order_is_given_up_within_the_bounds_of_time() -> None:
    """When time passes for long enough, what was lost on its way is given up as not found: the rule that allows it is reached."""
    given_up: set[str] = set()

    class Watching(SmallModel):
        def _badly_ended(self, state: State) -> str:
            order = self.world.core.state(state.folded).order
            given_up.add("" if order is None else order.proof.value)
            return super()._badly_ended(state)

    bounds = Bounds(lost=1, doubled=0, crashes=0, cancels=0, under_way=0, seconds=25)
    found = Watching(bounds).explore()
    assert not found.broken, str(found)
    assert found.is_complete
    assert "NOT_FOUND" in given_up


def test_the_command_prints_the_counts(capsys: pytest.CaptureFixture[str]) -> None:
    """The command explores within the bounds that it is given and says how much that was."""
    assert main(["--lost", "0", "--doubled", "0", "--crashes", "0", "--cancels", "0", "--seconds", "0"]) == 0
    said = capsys.readouterr().out
    assert "states" in said
    assert "all hold" in said


def test_an_exploration_that_was_stopped_says_so() -> None:
    """A bound on the count leaves states out, and the outcome does not claim otherwise."""
    found = explored(NO_CRASH, at_most=100)
    assert not found.is_complete
    assert "there are more" in str(found)


# --- Planted bugs -----------------------------------------------------------------------------------------------------------

Plant = Callable[[pytest.MonkeyPatch], None]


def _handler(patch: pytest.MonkeyPatch, kind: type, handle: Callable[[Any, Any], None]) -> None:
    patch.setitem(WatchedOrder.handlers, kind, handle)


def resends_after_a_timeout(patch: pytest.MonkeyPatch) -> None:
    look = WatchedOrder.handlers[AnswerMissing]

    def looks_and_resends(order: Any, message: Any) -> None:
        look(order, message)
        if order.machine.in_doubt and not order.machine.is_closed:
            again = ApprovedOrder(order.machine.order, order.ctx.now_ns + 10**12, 0)
            order.ctx.tell(order.ctx.refer("connection/main"), PlaceOrder(again, WIRE_ID))

    _handler(patch, AnswerMissing, looks_and_resends)


def reads_not_found_as_rejected(patch: pytest.MonkeyPatch) -> None:
    def absent(order: Any, message: Any) -> None:
        if not order.machine.is_closed:
            order.ctx.record(OrderRejected(ORDER_ID, "NOT_FOUND", "", True))

    _handler(patch, OrderAbsent, absent)


def reads_unknown_as_rejected(patch: pytest.MonkeyPatch) -> None:
    def unknown(order: Any, message: Any) -> None:
        if order.machine.new is order_changes.Pending.ASKED:
            order.ctx.record(OrderRejected(ORDER_ID, "TIMEOUT", ""))

    _handler(patch, OutcomeUnknown, unknown)


def reads_a_timeout_as_not_sent(patch: pytest.MonkeyPatch) -> None:
    def look(order: Any, message: Any) -> None:
        if not order.machine.is_closed:
            order.ctx.record(OrderCancelled(ORDER_ID, CancelReason.NOT_SENT))

    _handler(patch, AnswerMissing, look)


def books_a_fill_twice(patch: pytest.MonkeyPatch) -> None:
    executed = WatchedOrder.handlers[Executed]

    def each_is_new(order: Any, message: Any) -> None:
        key = f"{message.fill.fill_key}/{len(order.machine.fills)}"
        executed(order, msgspec.structs.replace(message, fill=msgspec.structs.replace(message.fill, fill_key=key)))

    _handler(patch, Executed, each_is_new)


def reads_cancel_refused_as_cancelled(patch: pytest.MonkeyPatch) -> None:
    def refused(order: Any, message: Any) -> None:
        order.ctx.record(OrderCancelled(ORDER_ID, CancelReason.REQUESTED))

    _handler(patch, CancelRefused, refused)


def takes_cancelled_as_final(patch: pytest.MonkeyPatch) -> None:
    executed = WatchedOrder.handlers[Executed]

    def not_when_closed(order: Any, message: Any) -> None:
        if not order.machine.is_closed:
            executed(order, message)

    _handler(patch, Executed, not_when_closed)


def forgets_the_intent_at_a_boot(patch: pytest.MonkeyPatch) -> None:
    def never_sent(machine: Any) -> list[Any]:
        return [] if machine.is_closed else [OrderCancelled(ORDER_ID, CancelReason.NOT_SENT, "")]

    patch.setattr(order_doubt, "after_boot", never_sent)


def folds_the_intent_away(patch: pytest.MonkeyPatch) -> None:
    intended = order_changes._intended

    def without_its_id(machine: Any, event: Any, at_ns: int) -> None:
        intended(machine, event, at_ns)
        machine.wire_id = ""

    patch.setitem(order_changes.CHANGES, order_changes.OrderIntended, without_its_id)


def releases_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    def at_once(self: Any, state: State, ticked: Any) -> Any:
        waiting = (*state.waiting, (ticked.folded, ())) if ticked.recorded else state.waiting
        return waiting, state.port + ticked.commands

    patch.setattr(SmallWorld, "let_out", at_once)


def keeps_what_is_no_record(patch: pytest.MonkeyPatch) -> None:
    refused = WatchedOrder.handlers[CancelRefused]

    def remembers(order: Any, message: Any) -> None:
        refused(order, message)
        order.machine.leg += 1

    _handler(patch, CancelRefused, remembers)


def has_no_deadlines(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(order_doubt, "overdue", lambda machine, answer_ns, now_ns: [])


def reads_a_failed_read_as_empty(patch: pytest.MonkeyPatch) -> None:
    read = BrokerConnection.handlers[AccountSnapshot]

    def empty(connection: Any, message: SnapshotFailed) -> None:
        read(connection, AccountSnapshot(message.as_of, CASH, (), asked_ns=connection.ctx.now_ns))

    patch.setitem(BrokerConnection.handlers, SnapshotFailed, empty)


CANCEL = Bounds(lost=0, doubled=0, crashes=0, cancels=1, seconds=5)
LOSS = Bounds(lost=1, doubled=0, crashes=0, cancels=0, under_way=1, seconds=5)
CRASH = Bounds(lost=0, doubled=0, crashes=1, cancels=0, under_way=1, seconds=5)
CANCELLED_IN_VAIN = msgspec.structs.replace(LOSS, cancels=1)
UNREADABLE = msgspec.structs.replace(LOSS, lost=2, reads=1)
DOUBLE = Bounds(lost=0, doubled=1, crashes=0, cancels=0, under_way=1, seconds=5)

PLANTED: list[tuple[Plant, Bounds, str]] = [
    (resends_after_a_timeout, LOSS, "I1"),
    (reads_not_found_as_rejected, LOSS, "I2"),
    (reads_unknown_as_rejected, LOSS, "I2"),
    (reads_a_timeout_as_not_sent, LOSS, "I2"),
    (books_a_fill_twice, DOUBLE, "I3"),
    (reads_cancel_refused_as_cancelled, CANCEL, "I2"),
    (takes_cancelled_as_final, CANCEL, "I6"),
    (forgets_the_intent_at_a_boot, CRASH, "I2"),
    (folds_the_intent_away, CALM, "I8"),
    (releases_before_the_commit, CRASH, "I8"),
    (keeps_what_is_no_record, CANCEL, "I11"),
    (has_no_deadlines, CANCELLED_IN_VAIN, "I18"),
    (reads_a_failed_read_as_empty, UNREADABLE, "I6"),
]


@pytest.mark.parametrize(("plant", "bounds", "invariant"), PLANTED, ids=[plant.__name__ for plant, _, _ in PLANTED])
def test_a_planted_bug_is_found_with_a_trace(
    plant: Plant, bounds: Bounds, invariant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each bug breaks the invariant that forbids it, within few states, and the steps that lead to it are told."""
    plant(monkeypatch)
    found = explored(bounds, at_most=200_000)
    assert found.broken.startswith(invariant), str(found)
    assert len(found.trace) >= 2
    assert found.broken in str(found)
    assert "begin" in found.trace[0]


# --- The rules themselves -----------------------------------------------------------------------------------------------------


def test_a_state_in_which_the_broker_has_what_nobody_wrote_down_breaks_the_rules() -> None:
    """The rules are about the broker's truth: change that alone, and books that were right are wrong."""
    model = SmallModel(CALM)
    world, begin = model.world, model.world.begin()
    assert model.rules.broken(begin) == ""
    unknown = begin._replace(truth=world.truths.number(Truth(True, "WORKING")))
    assert model.rules.broken(unknown).startswith("I2")
    assert model.rules.broken(begin._replace(written=2)).startswith("I1")


def test_books_at_rest_are_the_brokers_or_a_person_was_called() -> None:
    """An order of which the broker says one thing and we another is not at rest, however long nothing happens."""
    world = SmallWorld(CALM)
    folded = world.core.state(world.begin().folded)
    assert not_at_rest(folded, Truth(True, "WORKING")).startswith("I2")
    assert not_at_rest(folded, Truth(True, "DONE", (1, 1))).startswith("I2")
    assert books_are_wrong(folded, Truth(True, "WORKING"), is_coming=False) == ""


def test_a_bag_keeps_what_is_in_it_twice() -> None:
    """Two messages that are the same are two: one that arrives leaves the other on its way."""
    assert with_one((1, 2), 1) == (1, 1, 2)
    assert without((1, 1, 2), 1) == (1, 2)
