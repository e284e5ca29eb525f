"""Restarts, poison, escalation and quarantine in a tree of puppets, told from their diary; and what a halt means to the broker."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from toy_tree import Broken, Do, Fails, PuppetEntity, ToyTree

from ordersmith.actors.actor import Record
from ordersmith.actors.errors import ExecutorFailed
from ordersmith.actors.events import (
    ActorQuarantined,
    ActorRestarted,
    Escalated,
    MessagePoisoned,
    TradingStateChanged,
    Undelivered,
)
from ordersmith.actors.messages import ApprovedOrder, CancelOrders, GetOrderStatus, PlaceOrder, QueryLeg, SubmitOrders
from ordersmith.actors.model import Order, OrderState, TimeInForce, TradingState
from ordersmith.actors.ports import CommandKind, NotSent, OrderAbsent
from ordersmith.actors.strategy import Strategy
from ordersmith.adapters.bar_feed import BarFeed
from ordersmith.config import Settings
from ordersmith.supervisor.backtest import Backtest
from ordersmith.supervisor.supervision import (
    Backoff,
    Intensity,
    Restart,
    RestartStrategy,
    SupervisorSpec,
)

SECOND = 1_000_000_000
PATIENT = Intensity(100)


# --- Who is restarted ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "failed", "expected"),
    [
        (RestartStrategy.ONE_FOR_ONE, "c1", ["c1"]),
        (RestartStrategy.ONE_FOR_ONE, "b", ["b"]),
        (RestartStrategy.ONE_FOR_ALL, "b", ["a", "b", "c1", "c2", "d"]),
        (RestartStrategy.REST_FOR_ONE, "a", ["a", "b", "c1", "c2", "d"]),
        (RestartStrategy.REST_FOR_ONE, "b", ["b", "c1", "c2", "d"]),
        (RestartStrategy.REST_FOR_ONE, "c1", ["c1", "c2"]),  # its own supervisor is rest_for_one as well, and decides
        (RestartStrategy.REST_FOR_ONE, "c2", ["c2"]),
        (RestartStrategy.REST_FOR_ONE, "d", ["d"]),
    ],
)
def test_a_strategy_restarts_exactly_the_right_actors(
    strategy: RestartStrategy, failed: str, expected: list[str]
) -> None:
    """The strategy of the failed actor's own supervisor says who is restarted, in the order of start, nested supervisors included."""
    tree = ToyTree()
    inner = RestartStrategy.REST_FOR_ONE if failed != "c1" or strategy is not RestartStrategy.ONE_FOR_ONE else strategy
    nested = SupervisorSpec(id="c", strategy=inner, children=(tree.child("c1"), tree.child("c2")))
    tree.grow("a", "b", nested, "d", strategy=strategy)
    assert tree.starts() == ["a", "b", "c1", "c2", "d"]
    tree.do(failed, Fails(1))
    assert tree.starts()[5:] == expected
    assert tree.events == [ActorRestarted(failed, 2, "Do", "ValueError('failure 1')")]
    incarnations = {name: tree.dispatcher.refer(name).incarnation for name in ("a", "b", "c1", "c2", "d")}
    assert incarnations == {name: 2 if name in expected else 1 for name in incarnations}


def test_siblings_that_are_gone_are_not_restarted() -> None:
    """A temporary child that has crashed stays gone when its siblings, or those of its supervisor, are restarted."""
    tree = ToyTree()
    nested = SupervisorSpec(id="c", children=(tree.child("c1", restart=Restart.TEMPORARY), tree.child("c2")))
    tree.grow("a", nested, tree.child("d", restart=Restart.TEMPORARY), strategy=RestartStrategy.ONE_FOR_ALL)
    tree.do("c1", Fails(1))
    tree.do("d", Fails(1))
    tree.do("a", Fails(1))
    assert tree.starts()[4:] == ["a", "c2"]


def test_dynamic_children_are_restarted_with_their_supervisors_siblings() -> None:
    """A dynamic supervisor that is restarted with its siblings restarts its children, each with its own state."""
    tree = ToyTree()
    template = tree.child("child", kind=PuppetEntity, restart=Restart.TRANSIENT)
    tree.grow("a", SupervisorSpec(id="pool", template=template), strategy=RestartStrategy.REST_FOR_ONE)
    tree.do("a", lambda a: (a.ctx.spawn("pool", "x"), a.ctx.spawn("pool", "y")))
    tree.do("x", lambda x: x.count())
    tree.do("a", Fails(1))
    assert tree.starts() == ["a", "child", "child", "a", "child", "child"]
    assert tree.puppet("x").state.numbers == [1]


def test_a_restarted_sibling_keeps_its_state_and_its_messages() -> None:
    """Siblings that are restarted have the fold of the journal, and what was queued for them is delivered."""
    tree = ToyTree().grow("a", "b", strategy=RestartStrategy.ONE_FOR_ALL)
    tree.do("b", lambda b: b.count(3))
    tree.post("a", Fails(1))
    tree.post("b", "queued")
    tree.run()
    assert tree.sums("b") == {"b": 3}
    assert tree.heard("b") == ["queued"]


# --- Crash and stop, by restart type ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("restart", "crash_restarts", "stop_restarts"),
    [
        (Restart.PERMANENT, True, True),
        (Restart.TRANSIENT, True, False),
        (Restart.TEMPORARY, False, False),
    ],
)
@pytest.mark.parametrize("how", ["crash", "stop"])
def test_the_restart_type_decides(restart: Restart, crash_restarts: bool, stop_restarts: bool, how: str) -> None:
    """Permanent children are always restarted, transient ones only after a crash, temporary ones never; who watches is told."""
    tree = ToyTree()
    tree.grow("w", tree.child("a", restart=restart))
    tree.do("w", lambda w: w.ctx.watch(w.ctx.refer("a")))
    tree.do("a", Fails(1) if how == "crash" else lambda a: a.ctx.stop(a.ctx.refer("a")))
    comes_back = crash_restarts if how == "crash" else stop_restarts
    assert tree.starts() == ["w", "a", "a"] if comes_back else ["w", "a"]
    assert ("a" in tree.dispatcher.cells) is comes_back
    assert f"w learns a {'down' if comes_back else 'gone'}" in tree.diary
    assert ("a stops" in tree.diary) is (how == "stop" and not comes_back)


def test_a_permanent_child_cannot_stop_for_ever() -> None:
    """A permanent child that stops again and again is beyond its intensity like one that crashes."""
    tree = ToyTree()
    tree.grow(tree.child("a", starting=lambda a: a.ctx.stop(a.ctx.refer("a"))), intensity=Intensity(3))
    assert tree.starts() == ["a"] * 4
    assert [event for event in tree.events if isinstance(event, Escalated)] == [
        Escalated("root", "ActorError('a permanent actor stopped')")
    ]


# --- Redelivery and poison -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backoff", [None, Backoff(first_ns=1, jitter=0.0)], ids=["at once", "after a backoff"])
@pytest.mark.parametrize(("failures", "calls"), [(0, 1), (1, 2), (2, 2), (99, 2)])
def test_a_message_is_delivered_once_more_and_never_again(failures: int, calls: int, backoff: Backoff | None) -> None:
    """A message that crashed its actor is handled once more; if it crashes again it is recorded as poison and dropped."""
    tree = ToyTree()
    tree.grow(tree.child("a", backoff=backoff), "b", intensity=PATIENT)
    fails = Fails(failures)
    tree.post("a", fails)
    tree.post("a", "next")
    tree.post("b", "untouched")
    tree.run()
    for now in range(1, 400):
        tree.run(now)
    assert fails.calls == calls
    poisoned = [event for event in tree.events if isinstance(event, MessagePoisoned)]
    assert poisoned == ([MessagePoisoned("a", "Do", "ValueError('failure 2')")] if failures > 1 else [])
    assert (tree.heard("a"), tree.heard("b")) == (["next"], ["untouched"])
    assert tree.starts().count("b") == 1
    assert not tree.lifecycle.halted


def test_the_crashing_message_comes_first_again() -> None:
    """The second try comes before the messages that waited behind the first."""
    tree = ToyTree().grow("a")
    fails = Fails(1)
    tree.post("a", lambda a: (a.diary.append("a hears the crashing one"), fails()))
    tree.post("a", "the one behind")
    tree.run()
    assert tree.heard("a") == ["the crashing one", "the crashing one", "the one behind"]


def test_poison_names_the_order_that_it_was_about() -> None:
    """The record of a poisoned message has the client order id that the message names, or that of the order whose actor it crashed."""
    tree = ToyTree()
    template = tree.child("child", kind=PuppetEntity, restart=Restart.TRANSIENT)
    tree.grow("a", SupervisorSpec(id="orders", template=template), intensity=PATIENT)
    tree.do("a", lambda a: a.ctx.spawn("orders", "order/o2"))
    tree.dispatcher.post(tree.dispatcher.refer("a"), Do(Fails(9), client_order_id="o1"))
    tree.do("order/o2", Fails(9))
    assert [event.client_order_id for event in tree.events if isinstance(event, MessagePoisoned)] == ["o1", "o2"]


def test_a_crash_between_turns_delivers_nothing_again() -> None:
    """An actor that is crashed from outside, between turns, is rebuilt, and no message comes twice."""
    tree = ToyTree().grow("a")
    tree.do("a", lambda a: (a.count(4), a.diary.append("a hears once")))
    tree.lifecycle.crash("a", ValueError("from outside"))
    tree.run()
    assert (tree.heard("a"), tree.sums("a"), tree.starts()) == (["once"], {"a": 4}, ["a", "a"])


# --- Beyond the intensity --------------------------------------------------------------------------------------------


def crash_often(tree: ToyTree, name: str, times: int) -> None:
    for _ in range(times):
        if tree.status(name) == "running":
            tree.lifecycle.crash(name, ValueError("again"))
            tree.run()


def test_escalation_stops_only_the_failing_subtree() -> None:
    """A supervisor beyond its intensity stops its children, is recorded and halts trading; everybody else lives on."""
    tree = ToyTree()
    group = SupervisorSpec(
        id="group",
        intensity=Intensity(2),
        children=(tree.child("b"), SupervisorSpec(id="sub", children=(tree.child("c"),)), tree.child("d")),
    )
    tree.grow("a", group, "e")
    tree.do("e", lambda e: [e.ctx.watch(e.ctx.refer(name)) for name in "bcd"])
    crash_often(tree, "d", 3)
    assert tree.events[-1] == Escalated("group", "ValueError('again')")
    assert tree.lifecycle.halted
    assert str(tree.lifecycle.failure) == "again"
    assert {name: tree.status(name) for name in "abcde"} == {
        **dict.fromkeys("ae", "running"),
        **dict.fromkeys("bcd", "stopped"),
    }
    assert {f"e learns {name} gone" for name in "bcd"} <= {*tree.diary}
    for name in "abcde":
        tree.post(name, "after the escalation")
    tree.run()
    assert [name for name in "abcde" if tree.heard(name)] == ["a", "e"]
    assert tree.events[-3:] == [Undelivered(name, "Hear") for name in "bcd"]


def test_a_second_escalation_stops_its_subtree_too() -> None:
    """Trading is halted once, for the first reason; a later failure is recorded and its subtree is stopped as well."""
    tree = ToyTree()
    groups = [SupervisorSpec(id=f"g{name}", intensity=Intensity(0), children=(tree.child(name),)) for name in "ab"]
    tree.grow(*groups, "c")
    for name in "ab":
        tree.lifecycle.crash(name, ValueError(f"from {name}"))
    tree.run()
    assert tree.events == [Escalated("ga", "ValueError('from a')"), Escalated("gb", "ValueError('from b')")]
    assert [tree.status(name) for name in "abc"] == ["stopped", "stopped", "running"]
    assert str(tree.lifecycle.failure) == "from a"


def test_an_escalated_actor_that_was_down_does_not_come_back() -> None:
    """The restart that an actor of a stopped subtree was waiting for is off, and what was held for it is recorded."""
    tree = ToyTree()
    group = SupervisorSpec(
        id="group",
        intensity=Intensity(1),
        children=(tree.child("a", backoff=Backoff(first_ns=10, jitter=0.0)), tree.child("b")),
    )
    tree.grow(group)
    tree.do("a", Fails(1))
    tree.do("a", "held")
    tree.do("b", Fails(1))
    tree.do("b", Fails(1))
    tree.run(100)
    assert [tree.status(name) for name in "ab"] == ["stopped", "stopped"]
    assert tree.starts() == ["a", "b", "b"]
    assert Undelivered("a", "Hear") in tree.events


def test_a_child_with_a_backoff_is_never_given_up() -> None:
    """The backoff is the bound: who waits for the outside world is started again however often it fails."""
    tree = ToyTree()
    group = SupervisorSpec(
        id="group", intensity=Intensity(1), children=(tree.child("a", backoff=Backoff(first_ns=1, longest_ns=1)),)
    )
    tree.grow(group)
    for at_ns in range(0, 100, 10):
        tree.do("a", Fails(1))
        tree.run(at_ns + 10)
    assert tree.status("a") == "running"
    assert tree.starts() == ["a"] * 11


@pytest.mark.parametrize("per_child", [False, True])
def test_a_dynamic_child_beyond_its_intensity(per_child: bool) -> None:
    """Counted per child it is quarantined and its siblings live on; counted together all children are stopped and trading halts."""
    tree = ToyTree()
    pool = SupervisorSpec(
        id="pool",
        per_child=per_child,
        intensity=Intensity(2),
        template=tree.child("child", kind=PuppetEntity, restart=Restart.TRANSIENT),
    )
    tree.grow("a", pool)
    tree.do("a", lambda a: (a.ctx.spawn("pool", "x"), a.ctx.spawn("pool", "y")))
    tree.do("a", lambda a: a.ctx.watch(a.ctx.refer("x")))
    crash_often(tree, "y", 2 if per_child else 0)
    crash_often(tree, "x", 3)
    assert tree.status("x") == ("quarantined" if per_child else "stopped")
    assert tree.status("y") == ("running" if per_child else "stopped")
    assert tree.lifecycle.halted is not per_child
    assert "a learns x gone" in tree.diary
    assert isinstance(tree.events[-1], ActorQuarantined if per_child else Escalated)
    tree.do("x", "in vain")
    assert tree.events[-1] == Undelivered("x", "Hear")


def test_a_quarantined_actor_shows_the_fold_of_its_records() -> None:
    """What readers see of an actor that was given up on contains nothing of the turn that crashed."""
    tree = ToyTree()
    template = tree.child("child", kind=PuppetEntity, restart=Restart.TRANSIENT)
    tree.grow("a", SupervisorSpec(id="pool", per_child=True, intensity=Intensity(0), template=template))
    tree.do("a", lambda a: a.ctx.spawn("pool", "x"))
    tree.do("x", lambda x: x.count(1))
    fails = Fails(9)
    tree.do("x", lambda x: (x.count(10), fails()))
    assert tree.status("x") == "quarantined"
    assert tree.dispatcher.view("x").sums == {"child": 1}


# --- Folds that raise ------------------------------------------------------------------------------------------------


def test_a_fold_that_raises_quarantines_and_escalates() -> None:
    """An actor that cannot fold a record is quarantined and its supervisor escalates; the record stands and nobody else is hurt."""
    tree = ToyTree()
    tree.grow("a", SupervisorSpec(id="group", children=(tree.child("b"), tree.child("c"))), "d")
    tree.do("a", lambda a: (a.count(), a.ctx.record(Broken(("b",))), a.count()))
    kinds = tree.kinds()
    assert kinds == ["Counted", "Broken", "Counted", "ActorQuarantined", "Escalated"]
    assert {name: tree.status(name) for name in "abcd"} == {
        "a": "running",
        "b": "quarantined",
        "c": "stopped",
        "d": "running",
    }
    assert tree.puppet("d").state.numbers == [1, 2, 3]
    assert "b cannot fold record 2" in tree.lifecycle.reports[-1]


def test_records_are_never_skipped() -> None:
    """An actor whose records cannot be folded when it is rebuilt is quarantined; it is not started with a state that lacks them."""
    tree = ToyTree().grow("a")
    tree.do("a", lambda a: a.count())
    tree.dispatcher.log.records.append(Record(2, 0, -1, Broken(("a",))))
    tree.lifecycle.crash("a", ValueError("now rebuild"))
    assert tree.status("a") == "quarantined"
    assert not tree.dispatcher.cells["a"].live
    assert tree.lifecycle.halted


def test_an_own_record_that_cannot_be_folded_is_a_crash() -> None:
    """A record that its own recorder cannot fold never becomes a record: the turn is dropped, the message is poison."""
    tree = ToyTree().grow("a", "b")
    tree.do("a", lambda a: a.ctx.record(Broken(("a",))))
    assert tree.kinds() == ["ActorRestarted", "MessagePoisoned", "ActorRestarted"]
    assert not tree.lifecycle.halted
    assert tree.status("a") == "running"


# --- In a backtest ---------------------------------------------------------------------------------------------------


def halted_backtest() -> Backtest:
    """Return a backtest with the order `resting` at its broker, in which the hosts' supervisor has just given up."""
    feed = BarFeed.from_rows({"A": [(date(2024, 1, day), 10, 11, 9, 10, 1e6) for day in (2, 3, 4)]})
    backtest = Backtest(Settings(), feed, [("main", Strategy())])
    backtest.start()
    backtest.step(next(iter(feed)))
    resting = Order.buy("A", 1, "9.75", client_order_id="resting", time_in_force=TimeInForce.GTC)
    (status,) = backtest.ask("desk", lambda to: SubmitOrders((resting,), reply_to=to))
    assert status.state is OrderState.SUBMITTED
    backtest.lifecycle._escalate(backtest.lifecycle._supervisors["hosted"], ValueError("too often"))
    backtest.dispatcher.run(backtest.dispatcher.now_ns)
    return backtest


def test_an_escalation_halts_trading() -> None:
    """The escalation is recorded, the breaker halts, the gate denies new orders, and whoever drives the run is told."""
    backtest, answers = halted_backtest(), list[Any]()
    dispatcher = backtest.dispatcher
    kinds = [type(record.event) for record in dispatcher.log.records]
    assert kinds[-2:] == [Escalated, TradingStateChanged]
    assert dispatcher.view("circuit_breaker").trading_state is TradingState.HALTED
    assert dispatcher.cells["strategy/main"].status == "stopped"
    order = Order.buy("A", 1, client_order_id="after")
    dispatcher.ask(dispatcher.refer("desk"), lambda to: SubmitOrders((order,), reply_to=to), answers.append)
    dispatcher.run(dispatcher.now_ns)
    ((status,),) = answers
    assert (status.state, status.filled_quantity) == (OrderState.REJECTED, 0)
    with pytest.raises(ExecutorFailed, match="the supervision tree gave up"):
        backtest.check()


def test_a_halted_port_sends_no_order_whoever_approved_it() -> None:
    """An order that got past the gate, under the epoch that holds, comes back from the port as NotSent and never is at the exchange."""
    backtest = halted_backtest()
    dispatcher = backtest.dispatcher
    epoch = dispatcher.view("circuit_breaker").epoch
    approved = ApprovedOrder(Order.buy("A", 1, client_order_id="past-the-gate"), 1 << 62, epoch)
    dispatcher.post(dispatcher.refer("connection/main"), PlaceOrder(approved, "past-the-gate.0"))
    dispatcher.post(dispatcher.refer("connection/main"), QueryLeg("past-the-gate.0"))
    dispatcher.run(dispatcher.now_ns)
    came = [message for cell, message, _ in dispatcher.ring if cell.name == "connection/main"]
    assert [message for message in came if isinstance(message, NotSent | OrderAbsent)] == [
        NotSent("past-the-gate.0", CommandKind.NEW, "trading was halted"),
        OrderAbsent("past-the-gate.0"),
    ]


def test_cancels_still_pass_after_a_halt() -> None:
    """A cancel after the halt is taken, reaches the exchange, and the order is cancelled."""
    backtest, answers = halted_backtest(), list[Any]()
    dispatcher = backtest.dispatcher
    dispatcher.ask(dispatcher.refer("desk"), lambda to: CancelOrders(("resting",), to), answers.append)
    dispatcher.run(dispatcher.now_ns)
    dispatcher.ask(dispatcher.refer("desk"), lambda to: GetOrderStatus(("resting",), to), answers.append)
    dispatcher.run(dispatcher.now_ns)
    assert answers[0] == [True]
    assert answers[1][0].state is OrderState.CANCELLED
