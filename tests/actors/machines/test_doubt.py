"""The rules of doubt: when an order is looked for, what proves that it is not there, and when a person is called."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordersmith.actors.actor import Event, Record
from ordersmith.actors.doubt_events import OrderFoundAgain, OrderNeedsPerson, OrderNotFound
from ordersmith.actors.events import (
    Arrival,
    OrderAccepted,
    OrderCancelRequested,
    OrderInDoubt,
    OrderIntended,
    OrderReplaceRequested,
    OrderSubmitted,
)
from ordersmith.actors.machines.doubt import (
    PERSON_NS,
    SECOND_NS,
    after_boot,
    due_ns,
    given_up,
    needs_person,
    next_look_up_ns,
    overdue,
    replacement_given_up,
)
from ordersmith.actors.machines.order import OrderMachine
from ordersmith.actors.model import Order, Terms
from ordersmith.actors.ports import CommandKind

NEW, CANCEL, REPLACE = CommandKind.NEW, CommandKind.CANCEL, CommandKind.REPLACE
NOT_AFTER_S = 10
ANSWER_NS = 5 * SECOND_NS


def at(*events: tuple[int, Event]) -> OrderMachine:
    """Return the order `o` after these events, each with its second."""
    order = Order.buy("A", 10, "9", client_order_id="o")
    history = [Record(1, 0, 0, OrderSubmitted("o", order, Arrival(0, Decimal(9))))]
    history += [Record(number, second * SECOND_NS, 0, event) for number, (second, event) in enumerate(events, 2)]
    return OrderMachine.fold(history)


SENT = (0, OrderIntended("o", "o.0", NOT_AFTER_S * SECOND_NS))
WORKS = (1, OrderAccepted("o", "o.0", "b"))
IN_DOUBT = (5, OrderInDoubt("o", NEW, "no answer"))
REPLACING = (2, OrderReplaceRequested("o", "o.1", Terms(Decimal(20)), NOT_AFTER_S * SECOND_NS))


def absent(asked_s: int, *, complete: bool = False, leg: str = "o.0") -> tuple[int, Event]:
    return asked_s, OrderNotFound("o", leg, complete, asked_s * SECOND_NS)


@pytest.mark.parametrize(
    ("now_s", "next_s"), [(0, 1), (1, 3), (2, 3), (3, 7), (7, 15), (15, 31), (31, 61), (61, 91), (90, 91), (3600, 3601)]
)
def test_the_waits_between_look_ups_grow_to_half_a_minute(now_s: int, next_s: int) -> None:
    """An order is looked for 1, 3, 7, 15 and 31 s after the doubt began and every 30 s after that, whoever asks when."""
    assert next_look_up_ns(100 * SECOND_NS, (100 + now_s) * SECOND_NS) == (100 + next_s) * SECOND_NS


@given(st.integers(0, 10**13), st.integers(-(10**9), 10**13))
def test_the_next_look_up_is_soon_and_never_now(since_ns: int, passed_ns: int) -> None:
    """The next look-up is always in the future, and at most 30 s away once the doubt has begun."""
    now_ns = since_ns + passed_ns
    wait_ns = next_look_up_ns(since_ns, now_ns) - now_ns
    assert wait_ns > 0
    assert passed_ns < 0 or wait_ns <= 30 * SECOND_NS


PROOF = (absent(11), absent(15), absent(21, complete=True))


def test_three_look_ups_over_ten_seconds_and_a_complete_read_prove_it() -> None:
    """Then the order is given up, in a record that is no rejection by the broker and says what was looked up."""
    event = given_up(at(SENT, IN_DOUBT, *PROOF))
    assert event is not None
    assert (event.code, event.concluded) == ("NOT_FOUND", True)
    assert event.text == "3 look-ups over 10 s and a read of the whole account did not find it"


@pytest.mark.parametrize(
    "look_ups",
    [
        (),
        (absent(11), absent(21, complete=True)),
        (absent(11), absent(15), absent(20, complete=True)),
        (absent(11), absent(15), absent(21)),
        (absent(10), absent(15), absent(21, complete=True)),
        (absent(5, complete=True), absent(11), absent(15), absent(21)),
        (absent(11), absent(11), absent(21, complete=True), absent(21, complete=True)),
    ],
    ids=["none", "two", "nine seconds", "none complete", "one too early", "complete too early", "told twice"],
)
def test_anything_less_proves_nothing(look_ups: tuple[tuple[int, Event], ...]) -> None:
    """Too few, too close together, begun while it may have been on its way, told twice, or never complete: the order stays."""
    machine = at(SENT, IN_DOUBT, *look_ups)
    assert given_up(machine) is None
    assert machine.in_doubt


@given(st.permutations(PROOF[:2]), st.lists(st.sampled_from(PROOF[:2]), max_size=3))
def test_a_look_up_told_late_or_twice_never_adds_to_the_proof(
    order: list[tuple[int, Event]], again: list[tuple[int, Event]]
) -> None:
    """Two look-ups stay at most two, in any order and however often they are told."""
    assert at(SENT, IN_DOUBT, *order, *again).doubt.legs["o.0"].count <= 2  # type: ignore[union-attr]


def test_an_order_that_was_accepted_and_is_not_found_is_in_doubt_until_it_is_found() -> None:
    """What the broker worked and does not know any more is in doubt without a question of ours; found again, it is not."""
    machine = at(SENT, WORKS, absent(50))
    assert machine.status().in_doubt
    assert machine.status().pending == ()
    assert not at(SENT, WORKS, absent(50), (51, OrderFoundAgain("o", "o.0"))).in_doubt
    assert given_up(at(SENT, WORKS, absent(50), (51, OrderFoundAgain("o", "o.0")), *PROOF[1:])) is None
    assert given_up(at(SENT, WORKS, *PROOF)) is not None


def test_a_replacement_is_given_up_by_itself() -> None:
    """A leg that was to replace another and is not found is given up alone; the order only if no leg of it is found."""
    doubt = (7, OrderInDoubt("o", REPLACE, "no answer"))
    looked = [
        (second, OrderNotFound("o", "o.1", complete=False, asked_ns=second * SECOND_NS)) for second in (11, 15, 21)
    ]
    machine = at(SENT, WORKS, REPLACING, doubt, *looked)
    assert replacement_given_up(machine) is None
    machine = at(SENT, WORKS, REPLACING, doubt, *looked, absent(22, complete=True, leg="o.1"))
    refused = replacement_given_up(machine)
    assert refused is not None
    assert refused.code == "NOT_FOUND"
    assert given_up(machine) is None
    both = at(SENT, WORKS, REPLACING, doubt, *looked, absent(11), absent(15), absent(22, complete=True, leg="o.1"))
    assert given_up(both) is not None


def test_what_the_broker_says_makes_the_counting_begin_anew() -> None:
    """A fill of an order whose cancel is in doubt ends what was counted against it, not the doubt about the cancel."""
    doubt = (7, OrderInDoubt("o", CANCEL, "no answer"))
    machine = at(
        SENT, WORKS, (2, OrderCancelRequested("o")), doubt, *PROOF[:2], (20, OrderAccepted("o", "o.0", "b")), PROOF[2]
    )
    assert machine.in_doubt
    assert given_up(machine) is None


def test_a_deadline_begins_when_the_command_was_handed_over() -> None:
    """A cancel that waits for the order to be accepted has none before that."""
    waiting = at(SENT, (1, OrderCancelRequested("o")))
    assert overdue(waiting, ANSWER_NS, 5 * SECOND_NS) == [NEW]
    assert due_ns(waiting, ANSWER_NS, 0) == 5 * SECOND_NS
    handed_over = at(SENT, (1, OrderCancelRequested("o")), (3, OrderAccepted("o", "o.0", "b")))
    assert due_ns(handed_over, ANSWER_NS, 3 * SECOND_NS) == 8 * SECOND_NS
    assert overdue(handed_over, ANSWER_NS, 8 * SECOND_NS - 1) == []
    assert overdue(handed_over, ANSWER_NS, 8 * SECOND_NS) == [CANCEL]
    assert due_ns(at(SENT, WORKS), ANSWER_NS, 0) is None


def test_a_person_is_called_once() -> None:
    """After five minutes in doubt, with what was done so far; and the look-ups go on."""
    machine = at(SENT, IN_DOUBT, absent(11))
    called_ns = 5 * SECOND_NS + PERSON_NS
    assert needs_person(machine, called_ns - 1) is None
    assert due_ns(machine, ANSWER_NS, called_ns - 20 * SECOND_NS) == called_ns
    why = needs_person(machine, called_ns)
    assert why is not None
    assert "1 look-ups that count did not find it, none of them a complete read" in why
    called = at(SENT, IN_DOUBT, absent(11), (305, OrderNeedsPerson("o", why)))
    assert needs_person(called, 2 * called_ns) is None
    assert due_ns(called, ANSWER_NS, called_ns) == next_look_up_ns(5 * SECOND_NS, called_ns)


def test_after_a_boot_what_was_handed_over_is_in_doubt_and_what_was_not_never_will_be() -> None:
    """Each unanswered command is in doubt once, because of the boot; an order without an intent is closed as never sent."""
    (closed,) = after_boot(at())
    assert (closed.reason, closed.text) == ("NOT_SENT", "the process ended before it was sent")  # type: ignore[union-attr]
    (cancelled,) = after_boot(at((0, OrderCancelRequested("o"))))
    assert cancelled.reason == "REQUESTED"
    (new,) = after_boot(at(SENT, (1, OrderCancelRequested("o"))))
    assert new == OrderInDoubt("o", NEW, "the process ended before an answer came", booted=True)
    both = after_boot(at(SENT, WORKS, REPLACING, (3, OrderCancelRequested("o"))))
    assert [event.kind for event in both if isinstance(event, OrderInDoubt)] == [CANCEL, REPLACE]
    assert after_boot(at(SENT, WORKS)) == []
    assert after_boot(at(SENT, IN_DOUBT)) == []
