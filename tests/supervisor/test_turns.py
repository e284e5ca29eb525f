"""A turn of the dispatcher is atomic, turns have an order, and refs outlive what stands behind them."""

from __future__ import annotations

from typing import Any

import pytest
from toy_tree import Counted, Do, Fails, Hear, Puppet, PuppetEntity, Strange, ToyTree

from ordersmith.actors.actor import ReplyTo
from ordersmith.actors.errors import ActorError
from ordersmith.actors.events import Undelivered
from ordersmith.supervisor.supervision import Intensity, Restart, SupervisorSpec

SECOND = 1_000_000_000


def dynamic(tree: ToyTree, name: str = "pool", kind: type[Puppet] = PuppetEntity) -> SupervisorSpec:
    """Return a dynamic supervisor whose children are all called `child` in the diary."""
    template = tree.child("child", kind=kind, restart=Restart.TRANSIENT)
    return SupervisorSpec(id=name, template=template, per_child=True)


# --- A turn is atomic ------------------------------------------------------------------------------------------------


def everything(puppet: Puppet, to: ReplyTo | None = None) -> None:
    """Do all that a turn can do."""
    ctx = puppet.ctx
    puppet.say("b", "told")
    puppet.count()
    ctx.send("out", "sent")
    ctx.reply(to, "replied")
    ctx.set_timer("new", 5, Hear("new timer"))
    ctx.cancel_timer("old")
    ctx.spawn("pool", "spawned")
    ctx.stop(ctx.refer("c"))
    ctx.watch(ctx.refer("b"))


def effects_tree() -> ToyTree:
    tree = ToyTree()
    tree.grow("a", "b", tree.child("c", restart=Restart.TRANSIENT), dynamic(tree))
    tree.do("a", lambda a: a.ctx.set_timer("old", 10, Hear("old timer")))
    return tree


def test_a_turn_that_returns_has_all_its_effects() -> None:
    """What a handler does happens when it has returned: this is what the next test must not find."""
    tree = effects_tree()
    tree.ask("a", everything)
    tree.run()
    tree.do("b", lambda b: b.ctx.stop(b.ctx.refer("b")))
    tree.run(10)
    assert tree.events[0] == Counted("a")
    assert (tree.out.taken, tree.answers) == (["sent"], ["replied"])
    assert tree.heard("a") == ["new timer"]
    assert {"b hears told", "child starts", "c stops", "a learns b down"} <= {*tree.diary}


def test_a_turn_that_raises_leaves_nothing_behind() -> None:
    """Tells, records, sends, replies, timers, spawns, stops and watches of a turn that raises never happened, also in the second try."""
    tree = effects_tree()

    def raises(puppet: Puppet, to: ReplyTo) -> None:
        everything(puppet, to)
        assert puppet.state.sums == {"a": 1}, "the own record is folded at once"
        raise ValueError("at the very end")

    tree.ask("a", raises)
    tree.run()
    assert tree.kinds() == ["ActorRestarted", "MessagePoisoned", "ActorRestarted"]
    assert tree.sums("a") == tree.sums("b") == {}
    assert tree.out.taken == []
    assert "spawned" not in tree.dispatcher.cells
    assert tree.status("c") == "running"
    tree.do("b", lambda b: b.ctx.stop(b.ctx.refer("b")))
    tree.run(10)
    assert tree.heard("a") == tree.heard("b") == []
    assert not [entry for entry in tree.diary if "learns" in entry]
    assert [type(answer).__name__ for answer in tree.answers] == ["Unknown"]


def test_the_state_is_rebuilt_after_a_crash() -> None:
    """An actor that crashed after it changed its state by a record has the state of the journal again."""
    tree = ToyTree().grow("a", "b")
    tree.do("a", lambda a: a.count(5))
    fails = Fails(1)
    tree.do("a", lambda a: (a.count(100), fails()))
    assert tree.sums("a") == tree.sums("b") == {"a": 105}
    assert tree.puppet("a").state.numbers == [1, 3]


def test_the_second_try_starts_from_a_clean_turn() -> None:
    """The message is handled again against the state before it, so its effects are there exactly once."""
    tree = ToyTree().grow("a", "b")
    fails = Fails(1)

    def act(a: Puppet) -> None:
        assert a.state.sums == {}
        a.count()
        a.say("b", "once")
        fails()

    tree.do("a", act)
    assert tree.events.count(Counted("a")) == 1
    assert tree.heard("b") == ["once"]


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_drops_the_turn_and_is_raised(interrupt: type[BaseException]) -> None:
    """What is no Exception leaves nothing of the turn behind, is no crash, and reaches whoever runs the dispatcher."""
    tree = ToyTree().grow("a", "b")
    tree.do("a", lambda a: a.count(1))
    fails = Fails(1, interrupt())
    tree.post("a", lambda a: (a.count(10), a.say("b", "told"), a.ctx.send("out", "sent"), fails()))
    with pytest.raises(interrupt):
        tree.run()
    tree.run()
    assert tree.events == [Counted("a", 1)]
    assert tree.sums("a") == {"a": 1}, "the state is the fold of the records again"
    assert tree.heard("b") == tree.out.taken == []


def test_an_interrupt_loses_no_other_message() -> None:
    """What waited behind the interrupted turn is handled by the next run, and what was handled is not handled again."""
    tree = ToyTree().grow("a", "b")
    fails = Fails(1, KeyboardInterrupt())
    tree.post("b", "before")
    tree.post("a", fails)
    tree.post("b", "behind")
    with pytest.raises(KeyboardInterrupt):
        tree.run()
    assert tree.heard("b") == ["before"]
    tree.run()
    assert tree.heard("b") == ["before", "behind"]


def test_an_interrupted_actor_keeps_its_timers() -> None:
    """An interrupt is no crash: the timers of the actor that it hit are still due."""
    tree = ToyTree().grow("a")
    tree.do("a", lambda a: a.ctx.set_timer("t", 5, Hear("on time")))
    tree.post("a", Fails(1, KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        tree.run()
    tree.run(5)
    assert tree.heard("a") == ["on time"]


def test_an_interrupt_in_a_timer_drops_the_turn_too() -> None:
    """The turn of a fired timer is as atomic as any."""
    tree = ToyTree().grow("a")
    fails = Fails(1, KeyboardInterrupt())
    tree.do("a", lambda a: a.ctx.set_timer("t", 5, Do(lambda b: (b.count(), fails()))))
    with pytest.raises(KeyboardInterrupt):
        tree.run(5)
    assert tree.sums("a") == {}
    assert tree.events == []


# --- Order -----------------------------------------------------------------------------------------------------------


def test_a_turn_runs_to_its_end_before_the_next() -> None:
    """A message that is told waits behind those that are queued already."""
    tree = ToyTree().grow("a", "b")
    tree.post("a", lambda a: a.say("b", "third"))
    tree.post("b", "first")
    tree.post("b", "second")
    tree.run()
    assert tree.heard("b") == ["first", "second", "third"]


def test_records_are_folded_everywhere_before_the_next_message() -> None:
    """When a turn has ended, every state is the fold of the journal; within the turn only the recorder's own is."""
    tree = ToyTree().grow("a", "b")
    seen: list[Any] = []
    tree.post("a", lambda a: (a.count(), seen.append((dict(a.state.sums), dict(a.ctx.view("b").sums)))))
    tree.post("b", lambda b: seen.append(dict(b.state.sums)))
    tree.run()
    assert seen == [({"a": 1}, {}), {"a": 1}]


def test_an_entity_folds_its_own_records_only() -> None:
    """Two entities of one class do not see each other's facts, and each is rebuilt from its own."""
    tree = ToyTree()
    tree.grow("a", dynamic(tree))
    tree.do("a", lambda a: (a.ctx.spawn("pool", "x"), a.ctx.spawn("pool", "y")))
    tree.do("x", lambda x: x.count(2))
    tree.do("y", lambda y: y.count(3))
    tree.lifecycle.crash("x", ValueError("between turns"))
    tree.run()
    assert [tree.puppet(name).state.numbers for name in "xy"] == [[1], [2]]


def test_spawn_gives_history_to_the_child() -> None:
    """A spawned entity's state is the fold of the history that it was given, and messages told to it at once arrive."""
    tree = ToyTree()
    tree.grow("a", dynamic(tree))

    def act(a: Puppet) -> None:
        record = a.count(7)
        ref = a.ctx.spawn("pool", "x", (record,))
        a.ctx.tell(ref, Hear("welcome"))

    tree.do("a", act)
    assert tree.sums("x") == {"a": 7}
    assert tree.diary[-2:] == ["child starts", "child hears welcome"]


def test_a_name_is_spawned_once() -> None:
    """Spawning a name that is taken, or under no dynamic supervisor, is an error of the turn and harms nobody else."""
    tree = ToyTree()
    tree.grow("a", "b", dynamic(tree), intensity=Intensity(100))
    tree.do("a", lambda a: a.ctx.spawn("pool", "x"))
    for supervisor, name in (("pool", "x"), ("pool", "a"), ("root", "y"), ("nowhere", "y")):
        tree.do("b", lambda b, place=supervisor, name=name: b.ctx.spawn(place, name))
    poisoned = [event for event in tree.events if type(event).__name__ == "MessagePoisoned"]
    assert len(poisoned) == 4
    assert all("ActorError" in event.error for event in poisoned)
    assert tree.status("x") == tree.status("a") == "running"
    assert "y" not in tree.dispatcher.cells


def test_a_name_is_spawned_once_in_a_turn() -> None:
    """The second spawn of a name within one turn is an error, and the first did not happen either."""
    tree = ToyTree()
    tree.grow("a", dynamic(tree))
    tree.do("a", lambda a: (a.ctx.spawn("pool", "x"), a.ctx.spawn("pool", "x")))
    assert tree.kinds() == ["ActorRestarted", "MessagePoisoned", "ActorRestarted"]
    assert "x" not in tree.dispatcher.cells
    tree.do("a", lambda a: a.ctx.spawn("pool", "x"))
    assert tree.starts() == ["a", "a", "a", "child"]


def test_stopping_is_final() -> None:
    """A stopped child runs on_stop, is gone from the names, and what is sent to it is recorded as undelivered."""
    tree = ToyTree()
    tree.grow("a", dynamic(tree))
    tree.do("a", lambda a: a.ctx.spawn("pool", "x"))
    ref = tree.dispatcher.refer("x")
    tree.do("x", lambda x: x.ctx.stop(x.ctx.refer("x")))
    assert tree.diary[-1] == "child stops"
    assert tree.dispatcher.find("x") is None
    tree.dispatcher.post(ref, Hear("late"))
    tree.run()
    assert tree.events == [Undelivered("x", "Hear")]
    with pytest.raises(ActorError, match="there is no actor 'x'"):
        tree.dispatcher.refer("x")


def test_refs_stay_valid_over_a_restart() -> None:
    """A ref taken before a crash reaches the actor after it, and its incarnation counts up."""
    tree = ToyTree().grow("a", "b")
    ref = tree.dispatcher.refer("b")
    before = tree.puppet("b")
    assert ref.incarnation == 1
    tree.do("b", Fails(1))
    assert ref.incarnation == 2
    assert tree.puppet("b") is not before
    tree.do("a", lambda a: a.ctx.tell(ref, Hear("still there")))
    assert tree.heard("b") == ["still there"]


def test_what_nobody_takes_is_recorded() -> None:
    """A message of a type that its actor does not handle is recorded, with the input that brought it as cause."""
    tree = ToyTree().grow("a")
    tree.dispatcher.post(tree.dispatcher.refer("a"), Strange())
    tree.run()
    assert [(record.event, record.cause) for record in tree.records] == [(Undelivered("a", "Strange"), -1)]
