"""Starting, restarting, escalating and stopping a tree of puppets, told from their diary."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_tree import Broken, Counted, Do, Fails, Hear, Puppet, PuppetEntity, SlowPuppet, ToyTree, rest_for_one

from ordersmith.actors.actor import Actor
from ordersmith.actors.errors import ActorError
from ordersmith.actors.events import ActorQuarantined, ActorRestarted, Escalated, MessagePoisoned, Undelivered
from ordersmith.supervisor import lifecycle as lifecycle_module
from ordersmith.supervisor.supervision import (
    Backoff,
    ChildSpec,
    Intensity,
    Restart,
    RestartStrategy,
    SupervisorSpec,
    backoff_ns,
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
    """The record of a poisoned message has the client order id of the message, or of the order in it."""

    class AboutOrder(Do, frozen=True):
        client_order_id: str = ""
        order: Any = None

    class Careful(Puppet):
        handlers = Puppet.handlers

    tree = ToyTree().grow("a", intensity=PATIENT)
    tree.dispatcher.cells["a"].handlers = {**Puppet.handlers, AboutOrder: Puppet.do}
    Puppet.handlers[AboutOrder] = Puppet.do
    try:
        for message in (
            AboutOrder(Fails(9), client_order_id="o1"),
            AboutOrder(Fails(9), order=AboutOrder(Fails(9), client_order_id="o2")),
        ):
            tree.dispatcher.post(tree.dispatcher.refer("a"), message)
        tree.run()
    finally:
        del Puppet.handlers[AboutOrder]
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
    tree.run(100)
    assert [tree.status(name) for name in "ab"] == ["stopped", "stopped"]
    assert tree.starts() == ["a", "b"]
    assert Undelivered("a", "Hear") in tree.events


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
    tree = ToyTree().grow("a", SupervisorSpec(id="group", children=()))
    tree.do("a", lambda a: a.count())
    dispatcher = tree.dispatcher
    tree.puppet("a").ctx.log.records.append(
        tree.puppet("a").ctx.log.records[0].__class__(2, 0, -1, Broken(("a",)))
    )
    tree.lifecycle.crash("a", ValueError("now rebuild"))
    assert tree.status("a") == "quarantined"
    assert not dispatcher.cells["a"].live
    assert tree.lifecycle.halted


def test_an_own_record_that_cannot_be_folded_is_a_crash() -> None:
    """A record that its own recorder cannot fold never becomes a record: the turn is dropped, the message is poison."""
    tree = ToyTree().grow("a", "b")
    tree.do("a", lambda a: a.ctx.record(Broken(("a",))))
    assert tree.kinds() == ["ActorRestarted", "MessagePoisoned", "ActorRestarted"]
    assert not tree.lifecycle.halted
    assert tree.status("a") == "running"


# --- Backoff ---------------------------------------------------------------------------------------------------------

SLOW = Backoff(first_ns=10, longest_ns=40, jitter=0.0)


def test_an_actor_that_is_down_gets_its_messages_when_it_is_back() -> None:
    """While an actor is down its messages are held; back, it gets the one that crashed it, then the others in order, then later ones."""
    tree = ToyTree()
    tree.grow("b", tree.child("a", backoff=SLOW))
    fails = Fails(1)
    tree.post("a", lambda a: (a.diary.append("a hears the crashing one"), fails()))
    tree.post("a", "1")
    tree.run()
    tree.do("b", lambda b: b.say("a", "2"))
    tree.run(9)
    assert (tree.status("a"), tree.heard("a"), tree.starts()) == ("down", ["the crashing one"], ["b", "a"])
    tree.post("a", "3, an input of the tick in which it comes back")
    tree.run(10)
    assert tree.status("a") == "running"
    assert tree.heard("a")[1:] == ["the crashing one", "1", "2", "3, an input of the tick in which it comes back"]
    assert "Undelivered" not in tree.kinds()


def test_the_backoff_is_seeded_and_grows() -> None:
    """The n-th restart waits as long as the seed, the actor and n say."""
    backoff = Backoff(first_ns=1000, longest_ns=4000, jitter=0.5)
    tree = ToyTree(seed=3)
    tree.grow(tree.child("a", backoff=backoff), intensity=PATIENT)
    waits = []
    for _ in range(4):
        before = tree.dispatcher.now_ns
        tree.do("a", lambda a: a.ctx.tell(a.ctx.refer("a"), Do(Fails(1))))
        deadline = tree.dispatcher.next_deadline_ns()
        assert deadline is not None
        waits.append(deadline - before)
        tree.run(deadline)
        assert tree.status("a") == "running"
    assert waits == [backoff_ns(backoff, 3, "a", attempt) for attempt in range(4)]


def test_what_on_start_records_after_a_backoff_is_folded_once() -> None:
    """A record made by the on_start of an actor that comes back is folded once by everybody, as any other."""
    tree = ToyTree()
    tree.grow("b", tree.child("a", starting=lambda a: a.count(), backoff=SLOW))
    tree.do("a", Fails(1))
    tree.run(10)
    assert tree.sums("a") == tree.sums("b") == {"a": 2}
    assert tree.kinds().count("Counted") == 2


def test_a_held_message_keeps_its_cause() -> None:
    """What follows from a message that waited for its actor is caused by what caused the message."""
    tree = ToyTree()
    tree.grow(tree.child("a", backoff=SLOW))
    tree.post("a", Fails(1))
    tree.post("a", lambda a: a.count())
    tree.run()
    tree.run(10)
    assert [(record.cause, record.event) for record in tree.records if isinstance(record.event, Counted)] == [
        (-2, Counted("a"))
    ]


def test_siblings_restart_with_an_actor_that_comes_back() -> None:
    """After a backoff, too, the strategy says who is restarted."""
    tree = ToyTree()
    tree.grow("a", rest_for_one("group", tree.child("b", backoff=SLOW), tree.child("c")))
    tree.do("b", Fails(1))
    tree.run(10)
    assert tree.starts() == ["a", "b", "c", "b", "c"]


def test_the_mailbox_of_an_actor_that_is_down_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """More messages than its mailbox holds escalate; none of them is dropped in silence."""
    monkeypatch.setattr(lifecycle_module, "MAILBOX_BOUND", 3)
    tree = ToyTree()
    tree.grow("b", SupervisorSpec(id="group", children=(tree.child("a", backoff=SLOW),)))
    tree.do("a", Fails(1))
    for number in range(4):
        tree.do("a", f"message {number}")
    assert tree.lifecycle.halted
    assert "3 messages wait for it" in str(tree.lifecycle.failure)
    assert tree.events.count(Undelivered("a", "Hear")) == 4
    assert tree.status("a") == "stopped"


# --- Start -----------------------------------------------------------------------------------------------------------


def test_children_start_in_order_each_when_the_one_before_is_ready() -> None:
    """A child that starts slowly holds back those after it until it says that it is ready."""
    tree = ToyTree()
    slow = rest_for_one("group", tree.child("b", kind=SlowPuppet), tree.child("c"))
    tree.grow("a", slow, "d")
    assert tree.starts() == ["a", "b"]
    assert not tree.lifecycle.started
    tree.do("b", "not yet")
    assert tree.starts() == ["a", "b"]
    tree.do("b", lambda b: b.ctx.ready())
    assert tree.starts() == ["a", "b", "c", "d"]
    assert tree.lifecycle.started


def test_readiness_is_an_effect_of_a_turn() -> None:
    """A turn that says it is ready and then raises was not ready."""
    tree = ToyTree().grow(tree_child := ToyTree().child("a", kind=SlowPuppet), "b")
    assert tree_child.id == "a"
    tree.do("a", lambda a: (a.ctx.ready(), Fails(1)()))
    assert not tree.lifecycle.started
    tree.do("a", lambda a: a.ctx.ready())
    assert tree.lifecycle.started


def test_a_crash_in_on_start_is_a_crash() -> None:
    """An actor that crashes once in on_start is restarted, and the start goes on."""
    tree = ToyTree()
    fails = Fails(2)
    tree.grow(tree.child("a", starting=lambda a: (a.count(), fails())), "b")
    assert tree.starts() == ["a", "a", "a", "b"]
    assert tree.sums("a") == tree.sums("b") == {"a": 1}
    assert tree.lifecycle.started


def test_an_actor_that_cannot_start_stops_the_start() -> None:
    """An actor that crashes in on_start beyond the intensity escalates, and those after it are not started."""
    tree = ToyTree()
    tree.grow(tree.child("a", starting=Fails(99)), "b", intensity=Intensity(2))
    assert tree.starts() == ["a", "a", "a"]
    assert tree.lifecycle.halted
    assert not tree.lifecycle.started
    assert tree.events[-1] == Escalated("root", "ValueError('failure 3')")


def test_a_start_goes_on_after_a_backoff() -> None:
    """An actor with a backoff that crashes in on_start is tried again later, and then the start goes on."""
    tree = ToyTree()
    tree.grow(tree.child("a", starting=Fails(1), backoff=SLOW), "b")
    assert tree.starts() == ["a"]
    tree.run(10)
    assert tree.starts() == ["a", "a", "b"]
    assert tree.lifecycle.started


def test_a_factory_that_raises_stops_the_start() -> None:
    """What a factory raises is reported, and the tree is not started."""

    def factory() -> Actor[Any]:
        raise ValueError("no such file")

    tree = ToyTree().grow(ChildSpec(id="a", factory=factory), "b")
    assert tree.lifecycle.halted
    assert not tree.lifecycle.started
    assert "no such file" in tree.lifecycle.reports[-1]


@pytest.mark.parametrize("twice", ["a", "group"])
def test_names_are_unique(twice: str) -> None:
    """Two actors of one name, or two supervisors, or one of each, are an error when the tree is made."""
    tree = ToyTree()
    children = (tree.child(twice), SupervisorSpec(id="group", children=(tree.child("a"),)))
    with pytest.raises(ActorError, match=f"there is already .* {twice!r}; names are unique in a tree"):
        tree.grow(*children)


# --- Stop ------------------------------------------------------------------------------------------------------------


def stops(tree: ToyTree) -> list[str]:
    return [entry.split()[0] for entry in tree.diary if entry.endswith(" stops")]


def test_a_tree_stops_in_reverse() -> None:
    """The last to start is the first to stop, and all are gone then."""
    tree = ToyTree()
    tree.grow("a", SupervisorSpec(id="group", children=(tree.child("b"), tree.child("c"))), "d")
    tree.lifecycle.stop()
    tree.run()
    assert stops(tree) == ["d", "c", "b", "a"]
    assert tree.lifecycle.stopped
    assert not tree.dispatcher.cells


def test_the_ladder_waits_for_who_stops_slowly() -> None:
    """An actor with a shutdown deadline still gets messages, and those before it are asked when it says that it has stopped."""
    tree = ToyTree()
    tree.grow("a", tree.child("b", shutdown_ns=100), "c")
    tree.lifecycle.stop()
    tree.run()
    assert stops(tree) == ["c", "b"]
    tree.post("b", "the last word")
    tree.run(99)
    assert (stops(tree), tree.heard("b")) == (["c", "b"], ["the last word"])
    tree.do("b", lambda b: b.ctx.stopped())
    assert stops(tree) == ["c", "b", "a"]
    assert tree.lifecycle.stopped
    assert tree.dispatcher.next_deadline_ns() is None


def test_the_deadline_forces() -> None:
    """An actor that has not stopped by its deadline is dropped, that is reported, and the ladder goes on."""
    tree = ToyTree()
    tree.grow(tree.child("a", stopping=lambda a: a.count()), "w", tree.child("b", shutdown_ns=100))
    tree.lifecycle.stop()
    tree.run(99)
    assert stops(tree) == ["b"]
    tree.run(100)
    assert stops(tree) == ["b", "w", "a"]
    assert tree.lifecycle.stopped
    assert tree.lifecycle.reports[-1] == "b did not stop within its deadline and was dropped"
    assert tree.events == [Counted("a")]


def test_what_on_stop_records_after_a_deadline_is_folded_once() -> None:
    """A record made by an on_stop that comes after a deadline is folded once by those who are still there."""
    tree = ToyTree()
    first = tree.child("first")
    tree.grow(first, tree.child("a", stopping=lambda a: a.count()), tree.child("b", shutdown_ns=100))
    keeper = tree.puppet("first")
    tree.lifecycle.stop()
    tree.run(100)
    assert keeper.state.sums == {"a": 1}


def test_stopping_at_once_needs_no_deadline() -> None:
    """An actor that says in on_stop itself that it has stopped is not waited for."""
    tree = ToyTree()
    tree.grow("a", tree.child("b", stopping=lambda b: b.ctx.stopped(), shutdown_ns=100), "c")
    tree.lifecycle.stop()
    tree.run()
    assert stops(tree) == ["c", "b", "a"]
    assert tree.lifecycle.stopped
    assert tree.dispatcher.next_deadline_ns() is None


def test_a_crash_in_on_stop_does_not_stop_the_ladder() -> None:
    """An on_stop that raises leaves nothing behind but a report, and the others are stopped."""
    tree = ToyTree()
    fails = Fails(9)
    tree.grow("a", tree.child("b", stopping=lambda b: (b.count(), fails()), shutdown_ns=100))
    tree.lifecycle.stop()
    tree.run()
    assert stops(tree) == ["b", "a"]
    assert tree.lifecycle.stopped
    assert tree.events == []
    assert "failure 1" in tree.lifecycle.reports[-1]


def test_a_crash_while_stopping_is_dealt_with() -> None:
    """An actor that crashes while it is stopping has a clean state for the second try, is not started again, and the ladder goes on."""
    tree = ToyTree()
    tree.grow("a", tree.child("b", shutdown_ns=100))
    tree.lifecycle.stop()
    tree.run()
    fails = Fails(1)
    sums: list[Any] = []
    tree.do("b", lambda b: (sums.append(dict(b.state.sums)), b.count(), fails(), b.ctx.stopped()))
    assert sums == [{}, {}]
    assert tree.starts() == ["a", "b"]
    assert tree.lifecycle.stopped


def test_who_goes_during_the_stop_is_not_stopped_again() -> None:
    """An actor that is gone before its turn in the ladder comes is skipped."""
    tree = ToyTree()
    tree.grow("a", tree.child("t", restart=Restart.TEMPORARY), tree.child("b", shutdown_ns=100))
    tree.lifecycle.stop()
    tree.run()
    tree.do("t", Fails(1))
    tree.do("b", lambda b: b.ctx.stopped())
    assert stops(tree) == ["b", "a"]
    assert tree.lifecycle.stopped


def test_an_actor_in_its_backoff_is_stopped_at_once() -> None:
    """Stopping does not wait for an actor that is down, and its restart is off."""
    tree = ToyTree()
    tree.grow("a", tree.child("b", backoff=SLOW, shutdown_ns=100))
    tree.do("b", Fails(1))
    tree.lifecycle.stop()
    tree.run(500)
    assert tree.lifecycle.stopped
    assert tree.starts() == ["a", "b"]


# --- Rebuilt is as good as new ---------------------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "x", "y"]), st.sampled_from(["count", "snapshot", "crash", "poison"])),
        max_size=40,
    )
)
def test_an_actor_rebuilt_from_a_snapshot_equals_the_fold_from_the_beginning(steps: list[tuple[str, str]]) -> None:
    """At any time, whatever crashed and was snapshotted in between, each state is the fold of all records (an entity's: of its own)."""
    tree = ToyTree()
    template = tree.child("child", kind=PuppetEntity, restart=Restart.TRANSIENT)
    pool = SupervisorSpec(id="pool", template=template, intensity=PATIENT)
    tree.grow("a", "b", pool, intensity=PATIENT)
    tree.do("a", lambda a: (a.ctx.spawn("pool", "x"), a.ctx.spawn("pool", "y")))
    own: dict[str, int] = {}
    for by, (name, step) in enumerate(steps, 1):
        if step == "snapshot":
            tree.dispatcher.snapshot()
        elif step == "crash":
            tree.lifecycle.crash(name, ValueError("between turns"))
        elif step == "poison":
            tree.do(name, lambda puppet: (puppet.count(10**6), Fails(1)()))
        else:
            tree.do(name, lambda puppet, by=by: puppet.count(by))
            own[name] = own.get(name, 0) + by
        tree.run()
        everything = {"child" if name in "xy" else name: 0 for name in own}
        for name, total in own.items():
            everything["child" if name in "xy" else name] += total
        assert tree.sums("a") == tree.sums("b") == everything
        for name in "xy":
            assert tree.sums(name) == ({"child": own[name]} if name in own else {})


def test_timers_that_on_start_arms_make_a_restart_invisible() -> None:
    """An actor that arms its timers from its state in on_start does the same with and without a crash."""

    def run(crash_at: int | None) -> list[str]:
        tree = ToyTree()
        tree.grow(tree.child("a", starting=lambda a: a.ctx.set_timer("end", 50 - a.ctx.now_ns, Hear("the end"))))
        for now in range(0, 60, 10):
            if now == crash_at:
                tree.lifecycle.crash("a", ValueError("between turns"))
            tree.run(now)
        return tree.heard("a")

    assert run(None) == run(20) == run(50) == ["the end"]
