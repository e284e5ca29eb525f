"""What is checked when an actor's class is made, how its state is kept, and one actor of the domain by itself in the test kit."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any, Never

import msgspec
import pytest
from actor_test_kit import ActorTestKit
from toy_tree import Broken, Counted, Counts, Do, Hear, Puppet

from ordersmith.actors.account_events import SessionConnected
from ordersmith.actors.actor import Actor, Record, ReplyTo, fold, handler
from ordersmith.actors.broker_connection import BrokerConnection
from ordersmith.actors.errors import ActorError
from ordersmith.actors.events import SessionClosed, SessionOpened
from ordersmith.actors.journal import Journal
from ordersmith.actors.machines.exposure import Exposure
from ordersmith.actors.machines.position import Ledger
from ordersmith.actors.messages import CancelLeg, FilledFound, GetFilledOrders, LateReport, LookUpOrder
from ordersmith.actors.ports import (
    Accepted,
    CancelRequest,
    Capabilities,
    CommandKind,
    Connect,
    Connected,
    Disconnected,
    NotSent,
    ReadHistory,
)
from ordersmith.actors.snapshots import AccountSnapshot, SyncAccount


class Up(msgspec.Struct, frozen=True):
    pass


class Down(msgspec.Struct, frozen=True):
    pass


CAPABILITIES = Capabilities(order_types=(), times_in_force=())
OPENED = SessionOpened("main", Decimal(10), (), CAPABILITIES)


# --- When the class is made ------------------------------------------------------------------------------------------


def test_every_member_of_the_union_needs_a_handler() -> None:
    """A class that receives a message type without a handler for it cannot be made, and the error names the type."""
    with pytest.raises(ActorError, match=r"Lift receives Down and has no @handler"):

        class Lift(Actor[Up | Down]):
            @handler
            def up(self, message: Up) -> None: ...


def test_a_single_message_type_needs_a_handler_too() -> None:
    """The check holds for a union of one."""
    with pytest.raises(ActorError, match=r"Lift receives Up and has no @handler"):

        class Lift(Actor[Up]):
            pass


def test_a_handler_for_an_undeclared_type_is_an_error() -> None:
    """A class that handles what its union does not name cannot be made."""
    with pytest.raises(ActorError, match=r"Lift handles Down, which its message union does not name"):

        class Lift(Actor[Up]):
            @handler
            def up(self, message: Up) -> None: ...

            @handler
            def down(self, message: Down) -> None: ...


def test_never_declares_no_message() -> None:
    """An actor of Never may have no handler at all."""
    with pytest.raises(ActorError, match=r"Deaf handles Up"):

        class Deaf(Actor[Never]):
            @handler
            def up(self, message: Up) -> None: ...


@pytest.mark.parametrize("role", [handler, fold])
def test_two_methods_for_one_type_are_an_error(role: Any) -> None:
    """A type has one handler and one fold; the error names the second method."""
    with pytest.raises(ActorError, match=r"Twice.again: there is already a (handler|fold) for Counted"):

        class Twice(Actor[Counted]):
            @role
            def once(self, event: Counted, record: Record | None = None) -> None: ...

            @role
            def again(self, event: Counted, record: Record | None = None) -> None: ...


def test_one_method_may_take_several_types() -> None:
    """A handler whose argument is a union handles each of its members."""

    class Lift(Actor[Up | Down]):
        @handler
        def move(self, message: Up | Down) -> None: ...

    assert Lift.handlers == {Up: Lift.move, Down: Lift.move}


def test_a_subclass_is_checked_and_may_override() -> None:
    """A subclass replaces a handler by handling its type again, and cannot add what the union does not name."""

    class Quiet(Puppet):
        @handler
        def hear_nothing(self, message: Hear) -> None: ...

    assert Quiet.handlers[Hear] is Quiet.hear_nothing
    assert Quiet.handlers[Do] is Puppet.do
    assert Puppet.handlers[Hear] is Puppet.hear
    with pytest.raises(ActorError, match=r"Loud handles Up"):

        class Loud(Puppet):
            @handler
            def up(self, message: Up) -> None: ...


def test_a_type_may_be_handled_and_folded() -> None:
    """An event that is handled is a reaction, next to its fold."""

    class Echo(Actor[Counted]):
        @handler
        def react(self, message: Counted) -> None: ...

        @fold
        def _counted(self, event: Counted, record: Record) -> None: ...

    assert list(Echo().reactions()) == [Counted]
    assert list(Echo.folds) == [Counted]


# --- State -----------------------------------------------------------------------------------------------------------


def test_a_snapshot_restores_the_state() -> None:
    """What snapshot() returns gives another actor of the class the same state."""
    kit = ActorTestKit(Puppet("a", []), Counted("a", 3), Counted("b"), Broken(()))
    other = Puppet("a", [])
    other.restore(kit.actor.snapshot())
    assert other.state == kit.actor.state == Counts({"a": 3, "b": 1}, [1, 2, 3])


# --- The test kit, on actors of the domain ---------------------------------------------------------------------------


def test_the_connection_opens_its_session_when_it_starts() -> None:
    """A connection that starts asks its port to connect, then for the account, and is ready once that was judged."""
    views = {"positions": Ledger(), "risk_gate": SimpleNamespace(exposure=Exposure())}
    kit = ActorTestKit(BrokerConnection("main"), views=views)
    assert kit.start().sent == [("broker/main", Connect())]
    came = kit.deliver(Connected("main", CAPABILITIES))
    assert came.recorded == [SessionConnected("main", CAPABILITIES)]
    assert came.said == []
    (read,) = came.told_to("connection/main")
    assert kit.deliver(read).sent == [("broker/main", SyncAccount(1, ""))]
    came = kit.deliver(AccountSnapshot(1, Decimal(10), ()))
    while told := came.told_to("connection/main"):
        came = kit.deliver(told[0])
    assert came.recorded == [OPENED]
    assert came.said == ["ready"]


def test_a_restarted_connection_does_not_connect_again() -> None:
    """A connection whose records say that the session is open is ready at once."""
    came = ActorTestKit(BrokerConnection("main"), OPENED).start()
    assert came.said == ["ready"]
    assert not came.sent


def test_commands_need_an_open_session() -> None:
    """A cancel goes to the port while the session is open, and comes back as NotSent to its order while it is not."""
    kit = ActorTestKit(BrokerConnection("main"), OPENED)
    assert kit.deliver(CancelLeg("x.0")).sent == [("broker/main", CancelRequest("x.0"))]
    kit.learn(SessionClosed("main", "lunch"))
    came = kit.deliver(CancelLeg("x.0"))
    assert not came.sent
    assert came.told_to("order/x") == [NotSent("x.0", CommandKind.CANCEL, "the broker's session is not ready")]


def test_a_report_on_an_unknown_order_goes_to_the_desk() -> None:
    """A report for which no actor looks after the order is a LateReport to the desk."""
    kit = ActorTestKit(BrokerConnection("main"), OPENED, absent=("order/x",))
    report = Accepted("x.0", "b1")
    assert kit.deliver(report).told == [("desk", LateReport("x", report))]


def test_a_lost_session_is_recorded() -> None:
    """A disconnection is recorded, and ends the wait of a connection that is stopping."""
    came = ActorTestKit(BrokerConnection("main"), OPENED).deliver(Disconnected("lunch"))
    assert came.recorded == [SessionClosed("main", "lunch")]
    assert came.said == ["stopped"]


def test_the_journal_actor_asks_its_store() -> None:
    """A look-up becomes a read of the store, and an empty answer is an answer."""
    kit = ActorTestKit(Journal())
    then = CancelLeg("x.0")
    assert kit.deliver(LookUpOrder("x", then)).sent == [("store", ReadHistory("x", then))]
    assert kit.deliver(FilledFound((), ReplyTo(7))).replied == [(ReplyTo(7), [])]
    assert kit.deliver(GetFilledOrders(3, ReplyTo(8))).sent[0][1].after == 3


def test_the_kit_refuses_what_the_actor_does_not_receive() -> None:
    """A message outside the union is a mistake of the test, not silence."""
    with pytest.raises(AssertionError, match="Journal does not receive CancelLeg"):
        ActorTestKit(Journal()).deliver(CancelLeg("x.0"))


def test_a_handler_without_an_annotation_is_an_error() -> None:
    """A handler that does not say what it takes is refused by name when its class is made."""
    with pytest.raises(ActorError, match=r"Silent\.take must annotate"):

        class Silent(Actor[int]):
            @handler
            def take(self, message) -> None:  # type: ignore[no-untyped-def]
                pass
