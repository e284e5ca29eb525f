"""What waits for a tick: in order, nothing lost, and of quotes the newest alone."""

from __future__ import annotations

from ordersmith.actors.quotes import Quote
from ordersmith.supervisor.inbox import Inbox
from ordersmith.supervisor.inputs import Committed, Input, Posted, PricesQuoted, StoreFailed


def quoted(*quotes: tuple[str, int]) -> PricesQuoted:
    return PricesQuoted(tuple(Quote(symbol, at_ns=at_ns) for symbol, at_ns in quotes))


def inbox(*inputs: Input) -> Inbox:
    box = Inbox()
    for made in inputs:
        box.put(made)
    return box


def test_inputs_are_taken_in_the_order_in_which_they_came() -> None:
    """All of them, once."""
    inputs = [Posted("a", 1), Committed(1), Posted("b", 2)]
    box = inbox(*inputs)
    assert len(box) == 3
    assert box.take() == inputs
    assert box.take() == []


def test_of_each_symbol_the_newest_quote_waits() -> None:
    """However many come before the next tick, it has one input of them; those of the next are another."""
    box = inbox(quoted(("A", 1), ("B", 1)), Posted("a", 1), quoted(("A", 2)), quoted(("C", 3), ("A", 4)))
    assert box.take() == [quoted(("A", 4), ("B", 1), ("C", 3)), Posted("a", 1)]
    box.put(quoted(("A", 5)))
    assert box.take() == [quoted(("A", 5))]


def test_what_is_not_taken_waits_on_in_its_order() -> None:
    """The store's answers may overtake everything else; quotes go on being one."""
    box = inbox(Posted("a", 1), Committed(1), quoted(("A", 1)), StoreFailed("full"), Posted("b", 2))
    assert box.take_only(frozenset({Committed, StoreFailed})) == [Committed(1), StoreFailed("full")]
    box.put(quoted(("A", 2)))
    assert box.take() == [Posted("a", 1), quoted(("A", 2)), Posted("b", 2)]
