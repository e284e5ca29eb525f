"""Backoff, start, stop and rebuild of a tree of puppets, told from their diary."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_tree import Counted, Do, Fails, Hear, PuppetEntity, SlowPuppet, ToyTree, rest_for_one

from ordersmith.actors.actor import Actor
from ordersmith.actors.errors import ActorError
from ordersmith.actors.events import Escalated, Undelivered
from ordersmith.supervisor import lifecycle as lifecycle_module
from ordersmith.supervisor.supervision import (
    Backoff,
    ChildSpec,
    Intensity,
    Restart,
    SupervisorSpec,
    backoff_ns,
)

SECOND = 1_000_000_000
PATIENT = Intensity(100)


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
        deadline = tree.dispatcher.timers.next_deadline_ns()
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
    tree = ToyTree()
    tree.grow(tree.child("a", kind=SlowPuppet), "b")
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
    assert tree.dispatcher.timers.next_deadline_ns() is None


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
    assert tree.dispatcher.timers.next_deadline_ns() is None


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


@settings(deadline=None)
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


def test_the_backoff_begins_anew_after_a_long_life() -> None:
    """An actor that has lived well beyond the longest backoff waits as if it crashed for the first time."""
    backoff = Backoff(first_ns=1000, longest_ns=4000, jitter=0.0)
    tree = ToyTree()
    tree.grow(tree.child("a", backoff=backoff), intensity=PATIENT)
    waits = []
    for lives_ns in (0, 0, 100_000):
        tree.run(tree.dispatcher.now_ns + lives_ns)
        before = tree.dispatcher.now_ns
        tree.do("a", lambda a: a.ctx.tell(a.ctx.refer("a"), Do(Fails(1))))
        deadline = tree.dispatcher.timers.next_deadline_ns()
        assert deadline is not None
        waits.append(deadline - before)
        tree.run(deadline)
    assert waits == [1000, 2000, 1000]
