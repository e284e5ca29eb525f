"""The output commit: nothing leaves before what it rests on is durable; and what a record says of its cause."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_tree import Counted, Do, FailingStore, Fails, Hear, LateStore, Puppet, ToyTree

from ordersmith.actors.account_events import SessionConnected
from ordersmith.actors.errors import JournalError
from ordersmith.actors.events import (
    OrderAccepted,
    OrderApproved,
    OrderFilled,
    OrderIntended,
    OrderSubmitted,
    SessionOpened,
)
from ordersmith.actors.model import Order
from ordersmith.actors.strategy import Strategy
from ordersmith.adapters.bar_feed import BarFeed
from ordersmith.adapters.memory_journal import MemoryJournal
from ordersmith.config import Settings
from ordersmith.supervisor.backtest import Backtest
from ordersmith.supervisor.commit import CommitLog
from ordersmith.supervisor.supervision import Backoff


def late() -> tuple[ToyTree, LateStore]:
    store = LateStore()
    return ToyTree(store).grow("a", "b"), store


# --- Nothing leaves before the commit --------------------------------------------------------------------------------


def test_commands_and_replies_wait_for_the_commit() -> None:
    """A command and a reply leave when the store has said that the records of their turn are durable, not before."""
    tree, store = late()
    tree.ask("a", lambda a, to: (a.ctx.send("out", "command"), a.ctx.reply(to, "reply"), a.count()))
    tree.run()
    tree.run()
    assert (tree.out.taken, tree.answers, store.batches) == ([], [], [(1,)])
    store.commit()
    assert (tree.out.taken, tree.answers) == ([], []), "the answer is an input: it takes effect at the next run"
    tree.run()
    assert (tree.out.taken, tree.answers) == (["command"], ["reply"])


def test_what_is_known_to_be_durable_leaves_and_the_batch_is_under_way_until_the_answer_is_taken() -> None:
    """Between ticks a shell may let out what a commit allows; who asks whether the store writes must not see a gap."""
    tree, store = late()
    tree.do("a", lambda a: (a.ctx.send("out", "command"), a.count()))
    log = tree.dispatcher.log
    log.reached(1)
    log.release()
    assert (tree.out.taken, log.writing, store.batches) == (["command"], True, [(1,)])
    store.commit()
    tree.run()
    assert not log.writing


def test_a_record_after_the_send_in_the_same_turn_counts() -> None:
    """A command waits for all records of its turn, also for those that come after it in the handler."""
    tree, store = late()
    tree.do("a", lambda a: (a.count(), a.ctx.send("out", "between"), a.count()))
    store.commit()
    tree.run()
    assert tree.out.taken == ["between"]
    assert store.batches == [(1, 2)]


def test_what_rests_on_nothing_new_leaves_at_once() -> None:
    """While everything is durable, a turn without records waits for nobody."""
    tree, store = late()
    tree.do("a", lambda a: a.ctx.send("out", "free"))
    assert (tree.out.taken, store.batches) == (["free"], [])


def test_the_outbox_is_first_in_first_out() -> None:
    """What is behind in the outbox leaves behind, even if it rests on nothing of its own."""
    tree, store = late()
    tree.post("a", lambda a: (a.count(), a.ctx.send("out", 1)))
    tree.post("b", lambda b: b.ctx.send("out", 2))
    tree.post("a", lambda a: (a.count(), a.ctx.send("out", 3), a.ctx.send("out", 4)))
    tree.run()
    assert tree.out.taken == []
    store.commit()
    tree.run()
    assert tree.out.taken == [1, 2, 3, 4]


def test_one_batch_is_in_flight_and_the_rest_is_grouped() -> None:
    """While the writer is busy records collect; when it is done it gets all of them as one batch."""
    tree, store = late()
    for _ in range(4):
        tree.do("a", lambda a: (a.count(), a.count()))
        assert store.busy == 1
    assert store.batches == [(1, 2)]
    store.commit()
    tree.run()
    assert store.batches == [(1, 2), (3, 4, 5, 6, 7, 8)]
    assert store.busy == 1


def test_only_what_is_durable_is_released() -> None:
    """An answer for n releases what rests on records up to n, and what rests on a later one stays."""
    tree, store = late()
    tree.do("a", lambda a: (a.count(), a.ctx.send("out", "on 1")))
    tree.do("a", lambda a: (a.count(), a.ctx.send("out", "on 2")))
    tree.do("b", lambda b: b.ctx.send("out", "on 2 as well"))
    store.commit()
    tree.run()
    assert tree.out.taken == ["on 1"]
    assert not tree.dispatcher.log.settled
    store.commit()
    tree.run()
    assert tree.out.taken == ["on 1", "on 2", "on 2 as well"]
    assert tree.dispatcher.log.settled


def test_turns_go_on_while_the_store_writes() -> None:
    """Messages, timers and folds do not wait for the store."""
    tree, store = late()
    tree.do("a", lambda a: (a.count(), a.say("b", "told"), a.ctx.set_timer("t", 5, Hear("timer"))))
    tree.run(5)
    assert (tree.heard("b"), tree.heard("a"), tree.sums("b")) == (["told"], ["timer"], {"a": 1})
    assert store.busy == 1


@pytest.mark.parametrize("fails_at", [1, 2])
def test_a_store_that_fails_releases_nothing_more(fails_at: int) -> None:
    """When a batch fails, whoever runs the dispatcher hears of it, and what rests on it or on anything later never leaves."""
    store = FailingStore(fails_at)
    tree = ToyTree(store).grow("a")
    ran = 0
    for number in range(1, 5):
        tree.post("a", lambda a, number=number: (a.count(), a.ctx.send("out", number)))
        try:
            tree.run()
            ran += 1
        except JournalError as error:
            assert str(error) == "the disk is full"  # noqa: PT017 - the runs that raise nothing are checked as well
    assert tree.out.taken == list(range(1, fails_at))
    assert ran < 4
    assert not tree.dispatcher.log.settled


def test_a_crash_does_not_touch_the_outbox() -> None:
    """What committed turns have sent leaves, whatever becomes of the actor that sent it."""
    tree, store = late()
    tree.do("a", lambda a: (a.count(), a.ctx.send("out", "sent before")))
    tree.lifecycle.crash("a", ValueError("between turns"))
    for _ in range(2):
        tree.run()
        store.commit()
    tree.run()
    assert tree.out.taken == ["sent before"]


def test_a_snapshot_needs_a_settled_journal() -> None:
    """Records are forgotten only when they are durable and nothing waits to leave."""
    tree, store = late()
    tree.do("a", lambda a: (a.count(), a.ctx.send("out", "x")))
    tree.dispatcher.snapshot()
    assert len(tree.records) == 1
    store.commit()
    tree.run()
    tree.dispatcher.snapshot()
    assert tree.records == []
    tree.do("a", lambda a: a.count())
    assert [record.number for record in tree.records] == [2]


def test_a_snapshot_waits_for_an_actor_that_is_down() -> None:
    """While an actor is down for its backoff the records that it has not folded are kept."""
    tree = ToyTree()
    tree.grow("a", tree.child("b", backoff=Backoff(first_ns=10, jitter=0.0)))
    tree.do("b", lambda b: b.count())
    tree.do("b", Fails(1))
    tree.do("a", lambda a: a.count(7))
    tree.dispatcher.snapshot()
    tree.run(10)
    assert tree.sums("b") == tree.sums("a") == {"a": 7, "b": 1}


# --- The trace hash --------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.sampled_from(["record", "send", "run", "commit"]), max_size=30))
def test_the_trace_does_not_depend_on_the_batches(steps: list[str]) -> None:
    """However the store is asked and answers, the hash over the records is that of a store that answers at once."""
    store = LateStore()
    slow, fast = ToyTree(store).grow("a"), ToyTree().grow("a")
    for step in steps:
        if step == "commit":
            if store.busy:
                store.commit()
        elif step == "run":
            slow.run()
        else:
            act = (lambda a: a.count()) if step == "record" else (lambda a: a.ctx.send("out", 1))
            slow.post("a", act)
            fast.do("a", act)
    slow.run()
    while store.busy:
        store.commit()
        slow.run()
    assert slow.dispatcher.log.trace_hash == fast.dispatcher.log.trace_hash
    assert len(slow.out.taken) == len(fast.out.taken) == steps.count("send")
    assert list(store.kept.read()) == _stored(fast)


def _stored(tree: ToyTree) -> list[bytes]:
    store: Any = tree.dispatcher.log._store
    return list(store.read())


def test_the_trace_depends_on_every_field() -> None:
    """Another number, time, cause or content is another trace."""
    hashes = set()
    for time, inputs, by in ((5, 1, 1), (6, 1, 1), (5, 2, 1), (5, 1, 2)):
        tree = ToyTree().grow("a")
        tree.dispatcher.now_ns = time
        for _ in range(inputs - 1):
            tree.post("a", "only to count inputs")
        tree.do("a", lambda a, by=by: a.count(by))
        hashes.add(tree.dispatcher.log.trace_hash)
    assert len(hashes) == 4


def test_a_log_goes_on_where_the_last_one_ended() -> None:
    """Numbers continue above the last number that was found in the store."""
    store = MemoryJournal()
    store.count = 41
    log = CommitLog(store, last=41)
    assert (log.last, log.durable, log.settled) == (41, 41, True)


# --- Causes ----------------------------------------------------------------------------------------------------------


def causes(tree: ToyTree) -> list[tuple[int, int]]:
    return [(record.number, record.cause) for record in tree.records]


def test_a_record_is_caused_by_its_input() -> None:
    """The records of the turn of input n have the cause -n, all of them."""
    tree = ToyTree().grow("a")
    tree.post("a", "the first input")
    tree.do("a", lambda a: (a.count(), a.count()))
    assert causes(tree) == [(1, -2), (2, -2)]


def test_a_message_is_caused_by_the_last_record_before_it() -> None:
    """What is told after a record is caused by that record, and what is told before any by what caused the turn."""
    tree = ToyTree().grow("a", "b")
    count = Do(lambda b: b.count())

    def act(a: Puppet) -> None:
        a.ctx.tell(a.ctx.refer("b"), count)
        a.count()
        a.ctx.tell(a.ctx.refer("b"), count)
        a.count()
        a.ctx.send("out", "caused by record 2")
        a.ctx.set_timer("t", 5, count)

    tree.do("a", act)
    tree.run(5)
    assert causes(tree) == [(1, -1), (2, -1), (3, -1), (4, 1), (5, 2)]
    assert tree.out.causes == [2]


def test_a_timer_carries_the_cause_of_its_turn() -> None:
    """A record made on a timer that a turn without records has set is caused by what caused that turn."""
    tree = ToyTree().grow("a")
    tree.do("a", lambda a: a.ctx.set_timer("t", 5, Do(lambda b: b.count())))
    tree.post("a", "another input")
    tree.run(5)
    assert causes(tree) == [(1, -1)]


def test_a_crash_does_not_break_the_chain() -> None:
    """The second try of a message has the cause of the first, and so has all that follows from it."""
    tree = ToyTree().grow("a", "b")
    fails = Fails(1)

    def act(a: Puppet) -> None:
        a.ctx.tell(a.ctx.refer("b"), Do(lambda b: b.ctx.record(Counted("by b"))))
        a.count()
        fails()

    tree.do("a", act)
    assert {record.cause for record in tree.records} == {-1}
    assert [type(record.event).__name__ for record in tree.records] == ["ActorRestarted", "Counted", "Counted"]


class BuyOnce(Strategy):
    def on_bars(self, bars: Any) -> None:
        if not self.open_orders and not self.positions:
            self.submit(Order.buy("A", 5))


def test_the_way_from_the_bar_to_the_fill_can_be_followed() -> None:
    """In a backtest each record of an order names the one before it, back to the bar; a fill is caused by the bar that filled it."""
    feed = BarFeed.from_rows({"A": [(date(2024, 1, day), 10, 11, 9, 10, 1e6) for day in (2, 3, 4)]})
    backtest = Backtest(Settings(), feed, [("main", BuyOnce())])
    backtest.start()
    backtest.run(iter(feed))
    records = {type(record.event): record for record in backtest.dispatcher.log.records}
    submitted, filled = records[OrderSubmitted], records[OrderFilled]
    assert records[SessionConnected].cause == -1
    assert records[SessionOpened].cause == records[SessionConnected].number
    assert records[OrderAccepted].cause == records[OrderIntended].number
    assert records[OrderIntended].cause == records[OrderApproved].number
    assert records[OrderApproved].cause == submitted.number
    assert submitted.cause < -1
    assert filled.cause < submitted.cause, "a later input: the next bar"
    assert submitted.at_ns < filled.at_ns
