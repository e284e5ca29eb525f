"""The dispatcher: timers, ticks, watch, bounds, the ring buffer, the decimal context. Turns have a file of their own."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Context, Decimal, Inexact, getcontext, localcontext
from typing import Any

import pytest
from toy_tree import Broken, Do, Fails, Hear, Puppet, PuppetEntity, Sink, ToyTree

from ordersmith.actors.errors import ExecutorFailed
from ordersmith.supervisor import dispatcher as dispatcher_module
from ordersmith.supervisor.supervision import Restart, SupervisorSpec

SECOND = 1_000_000_000


def dynamic(tree: ToyTree, name: str = "pool", kind: type[Puppet] = PuppetEntity) -> SupervisorSpec:
    """Return a dynamic supervisor whose children are all called `child` in the diary."""
    template = tree.child("child", kind=kind, restart=Restart.TRANSIENT)
    return SupervisorSpec(id=name, template=template, per_child=True)


# --- Timers ----------------------------------------------------------------------------------------------------------


def arm(tree: ToyTree, key: str, delay_ns: int, text: str, name: str = "a") -> None:
    tree.do(name, lambda a: a.ctx.set_timer(key, delay_ns, Hear(text)))


def test_a_timer_is_delivered_once_at_its_time() -> None:
    """A timer is not delivered before its deadline, at the first tick at or after it, and never again."""
    tree = ToyTree().grow("a")
    arm(tree, "t", 10, "now")
    tree.run(9)
    assert tree.heard("a") == []
    tree.run(11)
    tree.run(30)
    assert tree.heard("a") == ["now"]


def test_a_timer_of_the_same_key_is_replaced() -> None:
    """Only the last of two timers of one key is delivered, whichever is due first."""
    tree = ToyTree().grow("a")
    arm(tree, "later", 10, "old")
    arm(tree, "later", 20, "new")
    arm(tree, "sooner", 20, "old")
    arm(tree, "sooner", 10, "new")
    tree.run(10)
    assert tree.heard("a") == ["new"]
    tree.run(20)
    assert tree.heard("a") == ["new", "new"]


def test_keys_are_the_actors_own() -> None:
    """Two actors may use the same key."""
    tree = ToyTree().grow("a", "b")
    arm(tree, "t", 10, "for a")
    arm(tree, "t", 10, "for b", "b")
    tree.run(10)
    assert (tree.heard("a"), tree.heard("b")) == (["for a"], ["for b"])


def test_a_cancelled_timer_is_not_delivered() -> None:
    """Cancelling forgets a timer, and cancelling what is not there does nothing."""
    tree = ToyTree().grow("a")
    arm(tree, "t", 10, "never")
    tree.do("a", lambda a: (a.ctx.cancel_timer("t"), a.ctx.cancel_timer("unheard of")))
    tree.run(10)
    assert tree.heard("a") == []


def test_a_timer_that_has_fired_can_still_be_cancelled() -> None:
    """A timer that fired in the same tick, but is not delivered yet, is forgotten when its key is cancelled or replaced."""
    tree = ToyTree().grow("a")
    tree.do("a", lambda a: a.ctx.set_timer("first", 10, Do(lambda b: b.ctx.cancel_timer("second"))))
    arm(tree, "second", 10, "cancelled")
    tree.do("a", lambda a: a.ctx.set_timer("third", 10, Do(lambda b: b.ctx.set_timer("fourth", 5, Hear("new")))))
    arm(tree, "fourth", 10, "replaced")
    tree.run(10)
    assert tree.heard("a") == []
    tree.run(15)
    assert tree.heard("a") == ["new"]


def test_timers_die_with_their_incarnation() -> None:
    """A crash forgets the timers of the old incarnation, also those that have fired; on_start arms them anew."""
    tree = ToyTree()
    tree.grow(tree.child("a", starting=lambda a: a.ctx.set_timer("own", 10, Hear(f"life {len(tree.starts())}"))))
    arm(tree, "old", 10, "stale")
    tree.lifecycle.crash("a", ValueError("between turns"))
    tree.run(9)
    arm(tree, "old", 1, "stale")
    tree.do("a", lambda a: a.ctx.set_timer("crash", 0, Do(Fails(1))))
    tree.run(10)
    tree.run(60)
    assert "stale" not in tree.heard("a")
    assert tree.heard("a") == ["life 3"]


def test_a_fired_timer_dies_with_its_incarnation() -> None:
    """A timer that fired behind the message that crashes its actor is not delivered to the next incarnation."""
    tree = ToyTree().grow("a")
    tree.do("a", lambda a: a.ctx.set_timer("crash", 10, Do(Fails(1), "the crashing turn")))
    arm(tree, "behind", 10, "stale")
    tree.run(10)
    assert tree.diary.count("a does the crashing turn") == 2, "the crashing timer itself is delivered once more"
    assert tree.heard("a") == []


def test_timers_fire_by_deadline_then_number() -> None:
    """Timers that are due in one tick are delivered by deadline, and of one deadline in the order in which they were set."""
    tree = ToyTree().grow("a", "b")
    for key, delay in (("z", 30), ("y", 10), ("x", 20), ("w", 10)):
        arm(tree, key, delay, key, "b" if key == "x" else "a")
    tree.run(99)
    assert [entry.split()[-1] for entry in tree.diary if "hears" in entry] == ["y", "w", "x", "z"]


def test_the_next_deadline_skips_forgotten_timers() -> None:
    """The dispatcher says when the next timer is due that will really be delivered."""
    tree = ToyTree().grow("a")
    assert tree.dispatcher.timers.next_deadline_ns() is None
    arm(tree, "t", 10, "soon")
    arm(tree, "u", 25, "late")
    assert tree.dispatcher.timers.next_deadline_ns() == 10
    tree.do("a", lambda a: a.ctx.cancel_timer("t"))
    assert tree.dispatcher.timers.next_deadline_ns() == 25


def test_a_timer_set_without_delay_waits_for_the_next_tick() -> None:
    """A timer of delay 0 is delivered at the same time, after the tick that set it."""
    tree = ToyTree().grow("a")
    tree.post("a", lambda a: a.ctx.set_timer("t", 0, Hear("timer")))
    tree.post("a", "input")
    tree.run(3)
    assert tree.heard("a") == ["input", "timer"]


# --- Ticks -----------------------------------------------------------------------------------------------------------


def test_inputs_posted_while_draining_wait_for_the_next_tick() -> None:
    """An input that arrives during a tick is handled after everything that the tick itself set going."""
    tree = ToyTree().grow("a", "b")

    def act(a: Puppet) -> None:
        tree.post("b", "input of the next tick")
        a.say("b", "told")

    tree.do("a", act)
    assert tree.heard("b") == ["told", "input of the next tick"]


def test_timers_come_before_inputs() -> None:
    """In a tick the timers that are due are delivered first, then the inputs in the order of their arrival."""
    tree = ToyTree().grow("a")
    arm(tree, "t", 10, "timer")
    tree.post("a", "first")
    tree.post("a", "second")
    tree.run(10)
    assert tree.heard("a") == ["timer", "first", "second"]


def test_time_stands_still_within_a_tick() -> None:
    """All turns and records of a tick have the time that was handed in."""
    tree = ToyTree().grow("a", "b")
    times: list[int] = []
    tree.do("a", lambda a: a.ctx.set_timer("t", 5, Do(lambda b: times.append(b.ctx.now_ns))))
    tree.post("a", lambda a: (times.append(a.ctx.now_ns), a.count(), a.ctx.tell(a.ctx.refer("b"), Do(look))))

    def look(b: Puppet) -> None:
        times.append(b.ctx.now_ns)
        b.count()

    tree.run(77)
    assert times == [77, 77, 77]
    assert [record.at_ns for record in tree.records] == [77, 77]


def test_what_is_told_outside_of_a_tick_is_handled_by_the_next_run() -> None:
    """A message told by an on_start before the first tick needs no input to be delivered."""
    tree = ToyTree()
    tree.grow("b", tree.child("a", starting=lambda a: a.say("b", "hello from on_start")))
    assert tree.heard("b") == ["hello from on_start"]


# --- Watch -----------------------------------------------------------------------------------------------------------


def watching() -> ToyTree:
    tree = ToyTree()
    tree.grow("a", "b", tree.child("c", restart=Restart.TEMPORARY))
    for name in "bc":
        tree.do("a", lambda a, name=name: a.ctx.watch(a.ctx.refer(name)))
    return tree


def test_a_watcher_hears_of_a_restart_and_of_the_end() -> None:
    """A watcher is told once of each crash, and whether it was the end."""
    tree = watching()
    tree.do("a", lambda a: a.ctx.watch(a.ctx.refer("b")))
    tree.do("b", Fails(1))
    tree.do("c", Fails(1))
    assert [entry for entry in tree.diary if "learns" in entry] == ["a learns b down", "a learns c gone"]


def test_watching_what_is_gone_is_answered_at_once() -> None:
    """A ref that is dead already gives its watcher an ActorDown."""
    tree = watching()
    ref = tree.dispatcher.refer("c")
    tree.do("c", Fails(1))
    tree.do("b", lambda b: b.ctx.watch(ref))
    assert tree.diary[-1] == "b learns c gone"


# --- Bounds and reports ----------------------------------------------------------------------------------------------


def test_the_queue_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Actors that feed each other without end stop the run with the last dispatches in the error, and what was handled stays handled."""
    monkeypatch.setattr(dispatcher_module, "QUEUE_BOUND", 500)
    tree = ToyTree().grow("a", "b")
    rounds: list[str] = []

    def serve(puppet: Puppet) -> None:
        rounds.append(puppet.name)
        if len(rounds) < 5000:
            other = "b" if puppet.name == "a" else "a"
            puppet.ctx.tell(puppet.ctx.refer(other), Do(serve))

    tree.post("a", serve)
    with pytest.raises(ExecutorFailed, match=r"actors feed each other; the last were\n(  [ab] <- Do \(cause -1\)\n?)+"):
        tree.run()
    assert 490 < len(rounds) < 510
    assert rounds[:4] == ["a", "b", "a", "b"]


def test_the_ring_remembers_the_last_dispatches() -> None:
    """The ring holds the last 256 dispatches, oldest first."""
    tree = ToyTree().grow("a", "b")
    for number in range(300):
        tree.post("b" if number == 299 else "a", f"message {number}")
    tree.run()
    lines = tree.dispatcher.last_dispatches().splitlines()
    assert len(lines) == dispatcher_module.RING_LENGTH == 256
    assert (lines[0], lines[-1]) == ("  a <- Hear (cause -45)", "  b <- Hear (cause -300)")


def test_a_crash_is_reported_with_all_that_a_person_needs() -> None:
    """The report has the actor, the message with its fields, the traceback with its cause, and the last dispatches."""
    tree = ToyTree().grow("a", "b")
    tree.post("b", "just before")

    def crashing_function(puppet: Puppet) -> None:
        try:
            {}["no such key"]
        except KeyError as error:
            raise ValueError("the reason") from error

    tree.post("a", crashing_function, "the text of the message")
    tree.post("b", "not dispatched yet")
    tree.run()
    first, second = tree.lifecycle.reports
    for report in (first, second):
        assert report.startswith("a crashed on Do: Do(")
        assert "the text of the message" in report
        assert "in crashing_function" in report
        assert "KeyError: 'no such key'" in report
        assert "ValueError: the reason" in report
        assert report.endswith("last dispatches:\n  b <- Hear (cause -1)\n  a <- Do (cause -2)")


# --- Decimal context -------------------------------------------------------------------------------------------------


def test_a_turn_runs_under_the_private_decimal_context() -> None:
    """Turns calculate with 34 digits, half-even, whatever the host has set, and the host's context is neither used nor changed."""
    tree = ToyTree().grow("a")
    results: list[Any] = []

    def divide(puppet: Puppet) -> None:
        here = getcontext()
        results.append((here.prec, here.rounding, Decimal(1) / Decimal(3)))
        here.prec = 5  # an actor that misbehaves does not change the host either

    for host in (Context(prec=6, rounding=ROUND_DOWN), Context(prec=50)):
        with localcontext(host) as own:
            before = repr(own)
            tree.do("a", divide)
            assert repr(getcontext()) == before
            assert getcontext() is own
            assert not own.flags[Inexact]
    assert results == [(34, ROUND_HALF_EVEN, Decimal("0." + "3" * 34))] * 2


def test_the_hosts_context_survives_an_interrupt() -> None:
    """An exception that leaves the dispatcher leaves the private context as well."""
    tree = ToyTree().grow("a")
    with localcontext(Context(prec=6)) as own:
        tree.post("a", Fails(1, KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            tree.run()
        assert getcontext() is own


def test_ports_may_post_while_they_take_a_command() -> None:
    """What a port posts on taking a command is an input of the same run, and its cause is the command's."""
    tree = ToyTree().grow("a")

    class Echo(Sink):
        def accept(self, command: Any, cause: int) -> None:
            super().accept(command, cause)
            tree.dispatcher.post(tree.dispatcher.refer("a"), Do(lambda a: a.count()), cause)

    tree.dispatcher.ports["out"] = Echo()
    tree.do("a", lambda a: (a.count(), a.ctx.send("out", "ping")))
    assert [(record.number, record.cause) for record in tree.records] == [(1, -1), (2, 1)]


def test_a_fold_of_a_foreign_record_that_raises_does_not_undo_the_turn() -> None:
    """The turn that recorded it stands, everybody else folds the record, and the one that cannot is quarantined."""
    tree = ToyTree().grow("a", "b", "c")
    tree.do("a", lambda a: a.ctx.record(Broken(("b",))))
    assert tree.kinds() == ["Broken", "ActorQuarantined", "Escalated"]
    assert tree.status("b") == "quarantined"
    assert tree.puppet("c").state.numbers == [1]
