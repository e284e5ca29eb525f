"""The session's rules: how long to wait, and what a read of the account leads to."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordersmith.actors.account_events import (
    AccountRead,
    BooksDisagree,
    BooksSuspected,
    CashDiffers,
    ExternalOrderGone,
    ExternalOrderSeen,
    ReadFailed,
    SessionConnected,
    SessionRefused,
    SymbolJudged,
    SymbolReleased,
    SyncEvent,
)
from ordersmith.actors.actor import Event, Record, members
from ordersmith.actors.events import CashMoved, PositionAdjusted, SessionClosed, SessionOpened
from ordersmith.actors.machines import session as session_machine
from ordersmith.actors.machines.session import CHANGES, Judgement, Phase, Session, SessionChange, backoff_ns, judge
from ordersmith.actors.model import Side
from ordersmith.actors.ports import AdjustmentCause, CashKind
from ordersmith.actors.snapshots import Difference, ExternalOrder
from ordersmith.adapters.simulated.terms import CAPABILITIES

D = Decimal
SECOND_NS = 1_000_000_000
A, A_MORE, B = Difference("A", D(10), D(12), D(8)), Difference("A", D(10), D(13), D(8)), Difference("B", D(0), D(-1))
CASH = Difference("", D(500), D(400))
CONNECTED = SessionConnected("main", CAPABILITIES)
OPENED = SessionOpened("main", D(500), (), CAPABILITIES)
CLOSED = SessionClosed("main", "lost")
A_FROZEN, A_MORE_FROZEN = BooksDisagree("main", "A", D(10), D(12)), BooksDisagree("main", "A", D(10), D(13))
B_FROZEN, CASH_FROZEN = BooksDisagree("main", "B", D(0), D(-1)), CashDiffers("main", D(500), D(400))
ADOPT_A, RELEASE_A = SymbolJudged("main", "A", "adopt", "seen"), SymbolJudged("main", "A", "release", "seen")
ADOPT_CASH = SymbolJudged("main", "", "adopt", "seen")
A_FREE, CASH_FREE = SymbolReleased("main", "A"), SymbolReleased("main", "")


def session_after(*events: SessionChange) -> Session:
    session = Session()
    for number, event in enumerate(events, 1):
        session.apply(event, Record(number, number * SECOND_NS, 0, event))
    return session


def suspected(*differences: Difference) -> BooksSuspected:
    return BooksSuspected("main", differences)


def position(symbol: str, quantity: int, price: int) -> PositionAdjusted:
    text = session_machine.BY_HAND
    cause, change = AdjustmentCause.ADOPTED, D(quantity)
    return PositionAdjusted("main", f"adopted:{symbol}:7", cause, symbol, change, text=text, price=D(price))


def cash(amount: int) -> CashMoved:
    return CashMoved("main", "adopted::7", CashKind.ADOPTED, D(amount), text=session_machine.BY_HAND)


JUDGEMENTS: dict[str, tuple[tuple[SessionChange, ...], list[Difference], Judgement]] = {
    "the books agree": ((), [], Judgement()),
    "a first difference is suspected only": ((), [A], Judgement((suspected(A),), False, False)),
    "the second read agrees with the first": (
        (suspected(A),),
        [A],
        Judgement((A_FROZEN, suspected()), True, False),
    ),
    "by another price it is the same difference": (
        (suspected(A),),
        [Difference("A", D(11), D(13), D(1))],
        Judgement((BooksDisagree("main", "A", D(11), D(13)), suspected()), True, False),
    ),
    "the second read shows another difference": (
        (suspected(A),),
        [A_MORE],
        Judgement((suspected(A_MORE),), False, False),
    ),
    "the second read shows none": ((suspected(A),), [], Judgement((suspected(),), True, True)),
    "one is established, another is new": (
        (suspected(A),),
        [A, B],
        Judgement((A_FROZEN, suspected(B)), False, False),
    ),
    "cash that differs": ((suspected(CASH),), [CASH], Judgement((CASH_FROZEN, suspected()), True, False)),
    "what is frozen waits for a person": ((A_FROZEN, CASH_FROZEN), [A, CASH], Judgement((), True, False)),
    "a frozen symbol that differs by more is suspected anew": (
        (A_FROZEN,),
        [A_MORE],
        Judgement((suspected(A_MORE),), False, False),
    ),
    "a frozen symbol whose books agree again waits all the same": ((A_FROZEN,), [], Judgement()),
    "a person adopts": ((A_FROZEN, ADOPT_A), [A], Judgement((position("A", 2, 8), A_FREE), True, True)),
    "a person adopts what is more by now": (
        (A_FROZEN, ADOPT_A),
        [A_MORE],
        Judgement((position("A", 3, 8), A_FREE), True, True),
    ),
    "a person adopts what agrees by now": ((A_FROZEN, ADOPT_A), [], Judgement((A_FREE,), True, True)),
    "the last symbol takes the cash along": (
        (A_FROZEN, CASH_FROZEN, ADOPT_A),
        [A, CASH],
        Judgement((position("A", 2, 8), A_FREE, cash(-100), CASH_FREE), True, True),
    ),
    "cash is not taken along while another symbol is frozen": (
        (A_FROZEN, B_FROZEN, CASH_FROZEN, ADOPT_A),
        [A, B, CASH],
        Judgement((position("A", 2, 8), A_FREE), True, False),
    ),
    "cash alone is adopted": (
        (A_FROZEN, CASH_FROZEN, ADOPT_CASH),
        [A, CASH],
        Judgement((cash(-100), CASH_FREE), True, False),
    ),
    "a release of what agrees again": ((A_FROZEN, RELEASE_A), [], Judgement((A_FREE,), True, True)),
    "a release takes no cash along": (
        (A_FROZEN, CASH_FROZEN, RELEASE_A),
        [CASH],
        Judgement((A_FREE,), True, False),
    ),
    "a release of what still differs is not carried out": (
        (A_FROZEN, RELEASE_A),
        [A],
        Judgement((A_FROZEN,), True, False),
    ),
    "nor of what differs otherwise by now": ((A_FROZEN, RELEASE_A), [A_MORE], Judgement((A_MORE_FROZEN,), True, False)),
}


@pytest.mark.parametrize("name", JUDGEMENTS)
def test_what_a_read_leads_to(name: str) -> None:
    """Two reads must agree before a symbol is frozen, and only a person's word ends that, as far as the next read bears it out."""
    history, differences, expected = JUDGEMENTS[name]
    assert judge(session_after(*history), "main", differences, 7) == expected


offsets = st.dictionaries(st.sampled_from(["A", "B", ""]), st.integers(-2, 2).filter(bool), max_size=3)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(offsets, st.sampled_from(["", "adopt A", "adopt B", "adopt ", "release A", "release "])), max_size=12
    )
)
def test_nothing_is_frozen_by_one_read_nor_freed_by_itself(reads: list[tuple[dict[str, int], str]]) -> None:
    """Through any reads: a symbol freezes only when two in a row show the same, and is free only once a person has decided."""
    session, number, before = Session(), 0, {}
    for shown, words in reads:
        verdict, _, symbol = words.partition(" ")
        if verdict and symbol in session.frozen:
            number += 1
            told = SymbolJudged("main", symbol, verdict, "")  # type: ignore[arg-type]
            session.apply(told, Record(number, 0, 0, told))
        frozen, verdicts = dict(session.frozen), dict(session.verdicts)
        differences = [Difference(symbol, D(0), D(offset), D(1)) for symbol, offset in shown.items()]
        for event in judge(session, "main", differences, number).events:
            number += 1
            session.apply(event, Record(number, 0, 0, event))  # type: ignore[arg-type]
        for symbol, offset in session.frozen.items():
            if frozen.get(symbol) != offset:
                assert shown[symbol] == offset
                assert before.get(symbol) == offset or verdicts.get(symbol) == "release"
        for symbol in frozen:
            if symbol not in session.frozen:
                assert symbol in verdicts or (symbol == "" and "adopt" in verdicts.values())
        before = shown


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 1), (1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (8, 60), (10**9, 60)]
)
def test_the_backoff_doubles_up_to_a_minute(failures: int, seconds: int) -> None:
    """One second after the first failure, twice as long after each more, and never above a minute."""
    assert backoff_ns(failures) == seconds * SECOND_NS


# --- Fold --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "phase", "closures"),
    [
        ((), Phase.DISCONNECTED, 0),
        ((CONNECTED,), Phase.SYNCING, 0),
        ((CONNECTED, OPENED), Phase.READY, 0),
        ((CONNECTED, OPENED, CLOSED), Phase.DISCONNECTED, 1),
        ((CONNECTED, OPENED, CLOSED, CLOSED), Phase.DISCONNECTED, 2),
        ((CONNECTED, OPENED, CLOSED, CONNECTED, CLOSED), Phase.DISCONNECTED, 2),  # it was never ready
        ((CONNECTED, OPENED, CLOSED, CONNECTED, OPENED, CLOSED), Phase.DISCONNECTED, 1),
        ((CONNECTED, OPENED, CONNECTED), Phase.SYNCING, 0),  # the port has a new one
        ((SessionRefused("main", "x", "y"), CLOSED), Phase.REFUSED, 0),
    ],
)
def test_the_records_move_the_session(events: tuple[SessionChange, ...], phase: Phase, closures: int) -> None:
    """Each record moves the session on; losses in a row are counted from the last time that it was ready."""
    session = session_after(*events)
    assert (session.phase, session.closures) == (phase, closures)


def test_a_boot_begins_with_nothing_but_what_is_known_of_the_account() -> None:
    """A boot forgets the session, its failures and its suspicion; what is frozen, decided, seen and told stays."""
    external = ExternalOrder("e", "A", Side.BUY, D(1))
    events: list[Any] = [CONNECTED, OPENED, A_FROZEN, ADOPT_A, ExternalOrderSeen("main", external), cash(1)]
    events += [AccountRead("main", "c"), ReadFailed("main", "no"), suspected(B), CLOSED]
    session = session_after(*events)
    assert (session.failures, session.suspected) == (1, (B,))
    session.booted()
    assert (session.phase, session.lost_ns, session.closures, session.failures) == (Phase.DISCONNECTED, None, 0, 0)
    assert (session.suspected, session.frozen, session.verdicts) == ((), {"A": D(2)}, {"A": "adopt"})
    assert (session.externals, session.cursor, list(session.activities)) == ({"e": external}, "c", ["adopted::7"])


def test_a_freeze_follows_its_symbol_to_a_new_name() -> None:
    """What is frozen, and what was decided about it, goes by the new name from then on."""
    change = PositionAdjusted("main", "1", AdjustmentCause.SYMBOL_CHANGE, "A", D(-10), new_symbol="N")
    session = session_after(A_FROZEN, ADOPT_A, change)
    assert (session.frozen, session.verdicts) == ({"N": D(2)}, {"N": "adopt"})


def test_what_is_gone_is_forgotten() -> None:
    """An external order that is gone, and a symbol that is released, leave nothing behind."""
    external = ExternalOrder("e", "A", Side.BUY, D(1))
    session = session_after(
        ExternalOrderSeen("main", external), ExternalOrderGone("main", "e"), A_FROZEN, ADOPT_A, A_FREE
    )
    assert (session.externals, session.frozen, session.verdicts) == ({}, {}, {})


def test_every_change_has_its_rule() -> None:
    """The table folds exactly the records that it names, and those contain all that a read can cause."""
    named = set(members(SessionChange))
    assert named == CHANGES.keys()
    assert named >= set(members(SyncEvent))
    assert all(issubclass(kind, Event) for kind in named)
