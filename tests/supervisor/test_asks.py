"""Requests from outside: each has one answer, whatever becomes of those who owe it."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_tree import Broken, Do, Fails, Puppet, Strange, ToyTree

from ordersmith.actors.actor import ReplyTo
from ordersmith.actors.errors import ExecutorFailed, Overloaded
from ordersmith.actors.messages import GetOrderStatus, Unknown
from ordersmith.adapters.bar_feed import BarFeed
from ordersmith.config import Settings
from ordersmith.supervisor.asks import Asks
from ordersmith.supervisor.backtest import Backtest
from ordersmith.supervisor.supervision import Backoff, Intensity, Restart

SECOND = 1_000_000_000


def always(puppet: Puppet, to: ReplyTo) -> None:
    raise ValueError("again and again")


# --- The table -------------------------------------------------------------------------------------------------------


def test_an_ask_has_one_answer() -> None:
    """The first reply answers; a second one finds nothing to answer."""
    asks = Asks()
    answers: list[Any] = []
    to = asks.open(answers.append)
    assert asks.reply(to, "first") == (answers.append, "first")
    assert asks.reply(to, "second") is None
    assert len(asks) == 0


@given(st.permutations(range(4)), st.lists(st.integers(0, 3), max_size=8))
def test_a_split_answer_is_complete_with_its_last_part(order: list[int], again: list[int]) -> None:
    """Parts may come in any order and more than once: the first of each counts, and the list stands in the order of the request."""
    asks = Asks()
    to = asks.open(print)
    asks.split(to, 4)
    seen: dict[int, str] = {}
    complete = None
    for attempt, index in enumerate(
        [*order[:3], *[index for index in again if index in order[:3]], order[3], order[3]]
    ):
        assert complete is None or index == order[3]
        seen.setdefault(index, f"{index} at {attempt}")
        complete = complete or asks.reply(ReplyTo(to.ask, index), f"{index} at {attempt}")
    assert complete == (print, [seen[index] for index in range(4)])


def test_giving_up_answers_unknown_to_those_that_are_open() -> None:
    """Giving up answers the asks that are named, or all, and what is answered already is left alone."""
    asks = Asks()
    numbers = [asks.open(print).ask for _ in range(4)]
    asks.reply(ReplyTo(numbers[0]), "answered")
    assert asks.give_up([numbers[0], numbers[2], 99]) == [(print, Unknown())]
    assert asks.give_up() == [(print, Unknown())] * 2
    assert asks.give_up() == []


def test_the_bound_refuses_one_more() -> None:
    """At the bound an ask is Overloaded, says what to do, and changes nothing; an answer makes room."""
    asks = Asks(2)
    to = asks.open(print)
    asks.open(print)
    with pytest.raises(Overloaded, match="2 requests are open, the bound is 2; wait for answers and ask again"):
        asks.open(print)
    asks.reply(to, "done")
    asks.open(print)


# --- In the tree -----------------------------------------------------------------------------------------------------


def test_an_answer_is_given_exactly_once() -> None:
    """A second reply of the same turn or of a later one is dropped."""
    tree = ToyTree().grow("a")
    kept: list[ReplyTo] = []
    tree.ask("a", lambda a, to: (a.ctx.reply(to, 1), a.ctx.reply(to, 2), kept.append(to)))
    tree.run()
    tree.do("a", lambda a: a.ctx.reply(kept[0], 3))
    assert tree.answers == [1]


def test_a_split_request_is_answered_when_the_last_part_is() -> None:
    """Parts given by several actors in several turns are one list, in the order of the request."""
    tree = ToyTree().grow("a", "b")

    def act(a: Puppet, to: ReplyTo) -> None:
        slots = a.ctx.split(to, 3)
        a.ctx.reply(slots[2], "third")
        for index in (1, 0):
            reply = Do(lambda b, index=index: b.ctx.reply(slots[index], f"from b {index}"))
            a.ctx.tell(a.ctx.refer("b"), reply)

    tree.ask("a", act)
    tree.run()
    assert tree.answers == [["from b 0", "from b 1", "third"]]


def test_splitting_into_nothing_is_an_answer() -> None:
    """A request for no parts is answered with an empty list, and one that nobody asked has parts that nobody hears."""
    tree = ToyTree().grow("a")
    parts: list[Any] = []
    tree.ask("a", lambda a, to: (parts.append(a.ctx.split(to, 0)), parts.append(a.ctx.split(None, 2))))
    tree.do("a", lambda a: a.ctx.reply(None, "to nobody"))
    assert (tree.answers, parts) == ([[]], [[], [None, None]])


def test_a_crash_does_not_lose_the_asker() -> None:
    """A request whose first try crashed is answered by the second."""
    tree = ToyTree().grow("a")
    fails = Fails(1)
    tree.ask("a", lambda a, to: (a.ctx.reply(to, "answered"), fails()))
    tree.run()
    assert tree.answers == ["answered"]


def test_a_poisonous_request_is_answered_unknown() -> None:
    """A request that crashes its owner twice is answered Unknown, once."""
    tree = ToyTree().grow("a")
    tree.ask("a", always)
    tree.run()
    assert tree.answers == [Unknown()]


def test_one_poisonous_part_is_unknown_and_the_others_are_answered() -> None:
    """Of a split request only the part is Unknown whose message was poison."""
    tree = ToyTree().grow("a", "b")

    def act(a: Puppet, to: ReplyTo) -> None:
        first, second = a.ctx.split(to, 2)
        a.ctx.tell(a.ctx.refer("b"), Do(Fails(99), reply_to=first))
        a.ctx.tell(a.ctx.refer("b"), Do(lambda b: b.ctx.reply(second, "fine"), reply_to=second))

    tree.ask("a", act)
    tree.run()
    assert tree.answers == [[Unknown(), "fine"]]


def test_an_undeliverable_request_is_answered_unknown() -> None:
    """A request that its actor does not take, or whose actor is gone, is answered Unknown."""
    tree = ToyTree()
    tree.grow("a", tree.child("b", restart=Restart.TEMPORARY))
    ref = tree.dispatcher.refer("b")
    tree.dispatcher.ask(tree.dispatcher.refer("a"), Strange, tree.answers.append)
    tree.do("b", Fails(1))
    tree.dispatcher.ask(ref, Strange, tree.answers.append)
    tree.run()
    assert tree.answers == [Unknown(), Unknown()]


@pytest.mark.parametrize("restart", [Restart.PERMANENT, Restart.TEMPORARY])
def test_a_request_whose_owner_is_lost_is_answered_unknown(restart: Restart) -> None:
    """The request that ends its owner, and those that wait behind it, are answered Unknown."""
    tree = ToyTree()
    tree.grow(tree.child("a", restart=restart), intensity=Intensity(0))
    for _ in range(3):
        tree.ask("a", always)
    tree.run()
    assert tree.answers == [Unknown()] * 3


def test_a_request_to_a_quarantined_actor_is_answered_unknown() -> None:
    """An actor whose records cannot be folded answers nobody, so the runtime does."""
    tree = ToyTree().grow("a", "b")
    tree.post("a", lambda a: a.ctx.record(Broken(("b",))))
    tree.ask("b", lambda b, to: b.ctx.reply(to, "never"))
    tree.run()
    assert tree.answers == [Unknown()]


def test_a_request_waits_while_its_owner_is_down() -> None:
    """A request to an actor in its backoff is answered when the actor is back."""
    tree = ToyTree()
    tree.grow(tree.child("a", backoff=Backoff(first_ns=10, jitter=0.0)))
    tree.do("a", Fails(1))
    tree.ask("a", lambda a, to: a.ctx.reply(to, "late"))
    tree.run(9)
    assert tree.answers == []
    tree.run(10)
    assert tree.answers == ["late"]


def test_a_request_that_waits_for_an_owner_who_is_stopped_is_answered_unknown() -> None:
    """When an actor is stopped in its backoff, the requests that waited for it are answered Unknown."""
    tree = ToyTree()
    tree.grow(tree.child("a", backoff=Backoff(first_ns=10, jitter=0.0)))
    tree.do("a", Fails(1))
    tree.ask("a", lambda a, to: a.ctx.reply(to, "never"))
    tree.run(5)
    tree.lifecycle.stop()
    tree.run()
    assert tree.answers == [Unknown()]


def test_the_door_is_bounded() -> None:
    """At the bound the dispatcher refuses a request before it is posted; those that are open are answered as usual."""
    tree = ToyTree(ask_bound=2).grow("a")
    for number in range(2):
        tree.ask("a", lambda a, to, number=number: a.ctx.reply(to, number))
    with pytest.raises(Overloaded):
        tree.ask("a", lambda a, to: a.ctx.reply(to, "refused"))
    tree.run()
    assert tree.answers == [0, 1]
    tree.ask("a", lambda a, to: a.ctx.reply(to, "welcome again"))
    tree.run()
    assert tree.answers == [0, 1, "welcome again"]


def test_a_backtest_answers_even_when_the_owner_is_silent() -> None:
    """In a backtest, where nothing else can happen any more, an ask that is still open is given up."""
    feed = BarFeed.from_rows({"A": [(date(2024, 1, day), 10, 11, 9, 10, 1e6) for day in (2, 3)]})
    backtest = Backtest(Settings(), feed)
    backtest.start()
    assert backtest.ask("desk", lambda to: GetOrderStatus(("never-seen",), to)) == [None]
    backtest.dispatcher.cells["journal"].actor.look_up = None
    assert backtest.ask("positions", lambda to: "no message at all") == Unknown()
    backtest.lifecycle.halted = True
    with pytest.raises(ExecutorFailed):
        backtest.ask("desk", lambda to: GetOrderStatus(("never-seen",), to))
