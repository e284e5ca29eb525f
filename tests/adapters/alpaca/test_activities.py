"""What happened to the account besides its orders, and how far it was read."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordersmith.actors.errors import BrokerProtocolError
from ordersmith.actors.model import as_datetime
from ordersmith.actors.ports import AdjustmentCause, CashKind, CashMovement, PositionAdjustment
from ordersmith.adapters.alpaca.activities import (
    FILL_OVERLAP_NS,
    SECOND_NS,
    begin,
    cursor_from,
    digest,
    news,
    text_of,
    told,
)
from ordersmith.adapters.alpaca.wire import WireActivity

NOW = 1_795_335_069_000_000_000
DAY = "2026-11-22"


def row(kind: str, **fields: Any) -> WireActivity:
    numbers = {name: Decimal(fields.pop(name)) for name in ("qty", "net_amount", "price") if name in fields}
    return WireActivity(**{"id": f"20261122::{kind}", "activity_type": kind, "date": DAY, **numbers, **fields})


def fill(number: int, at_ns: int) -> WireActivity:
    at = as_datetime(at_ns).isoformat().replace("+00:00", "Z")
    return WireActivity(id=f"f{number}", activity_type="FILL", transaction_time=at)


@pytest.mark.parametrize(
    ("kind", "amount", "expected"),
    [
        ("DIV", "10.20", CashKind.DIVIDEND),
        ("DIVNRA", "-1.53", CashKind.DIVIDEND),
        ("DIVFEE", "-0.01", CashKind.FEE),
        ("FEE", "-0.03", CashKind.FEE),
        ("PTC", "-1", CashKind.FEE),
        ("INT", "-2", CashKind.INTEREST),
        ("CSD", "1000", CashKind.TRANSFER),
        ("CSW", "-1000", CashKind.TRANSFER),
        ("TRANS", "5", CashKind.TRANSFER),
        ("JNLC", "5", CashKind.TRANSFER),
        ("NEWWORD", "7", CashKind.OTHER),
        ("CIL", "4.20", CashKind.OTHER),
    ],
)
def test_cash_that_moved(kind: str, amount: str, expected: CashKind) -> None:
    """Each type of activity that moves cash is told with its kind, an unknown one as OTHER."""
    said = told([row(kind, net_amount=amount, symbol="A")])
    (report,) = said.reports
    assert isinstance(report, CashMovement)
    assert (report.kind, report.amount, report.symbol) == (expected, Decimal(amount), "A")
    assert bool(said.notes) is (kind == "NEWWORD")


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        ("SPLIT", {"qty": "10"}, (AdjustmentCause.SPLIT, Decimal(10), Decimal(0))),
        ("SSP", {"qty": "-90"}, (AdjustmentCause.SPLIT, Decimal(-90), Decimal(0))),
        ("SPIN", {"qty": "4"}, (AdjustmentCause.SPINOFF, Decimal(4), Decimal(0))),
        ("JNLS", {"qty": "4", "price": "9"}, (AdjustmentCause.TRANSFER, Decimal(4), Decimal(0))),
        ("MA", {"qty": "-10", "net_amount": "250"}, (AdjustmentCause.LIQUIDATION, Decimal(-10), Decimal(250))),
        ("CIL", {"qty": "-0.5", "net_amount": "4"}, (AdjustmentCause.CASH_IN_LIEU, Decimal("-0.5"), Decimal(4))),
    ],
)
def test_shares_that_moved(kind: str, fields: dict[str, str], expected: tuple[Any, ...]) -> None:
    """Each type of activity that moves shares is told with its cause, the shares and the cash."""
    (report,) = told([row(kind, symbol="A", **fields)]).reports
    assert isinstance(report, PositionAdjustment)
    assert (report.cause, report.quantity, report.cash) == expected
    assert report.symbol == "A"


@pytest.mark.parametrize("sign", [1, -1])
def test_a_change_of_name_is_two_rows(sign: int) -> None:
    """Shares that leave one symbol and come under another are one change of name, for a short position too."""
    rows = [
        row("NC", id="1", symbol="OLD", qty=str(-8 * sign)),
        row("NC", id="2", symbol="NEW", qty=str(8 * sign)),
    ]
    for shuffled in (rows, rows[::-1]):
        (report,) = told(shuffled, {"NEW"}).reports
    assert isinstance(report, PositionAdjustment)
    assert report.cause is AdjustmentCause.SYMBOL_CHANGE
    assert (report.symbol, report.quantity, report.new_symbol) == (
        ("OLD", -8, "NEW") if sign > 0 else ("OLD", 8, "NEW")
    )


def test_a_merger_for_other_shares_is_a_change_of_name_and_a_split() -> None:
    """Ten shares of one company that become four of another are told in these two steps."""
    rows = [row("MA", id="1", symbol="OLD", qty="-10"), row("MA", id="2", symbol="BIG", qty="4")]
    first, second = told(rows).reports
    assert isinstance(first, PositionAdjustment)
    assert isinstance(second, PositionAdjustment)
    assert (first.cause, first.new_symbol) == (AdjustmentCause.SYMBOL_CHANGE, "BIG")
    assert (second.cause, second.symbol, second.quantity) == (AdjustmentCause.SPLIT, "BIG", -6)


def test_half_of_a_change_waits_for_the_other() -> None:
    """A row whose other half is not there yet is not told and not seen: the next read brings both."""
    half = row("NC", id="1", symbol="OLD", qty="-8")
    said = told([half])
    assert (said.reports, said.waiting) == ((), ("1",))
    first = news(begin(NOW), [], [half], said.waiting)
    assert first.others == ()
    rows = [half, row("NC", id="2", symbol="NEW", qty="8")]
    assert [each.id for each in news(first.cursor, [], rows, told(rows).waiting).others] == ["1", "2"]


def test_what_alpaca_cancelled_is_not_booked() -> None:
    """A cancelled activity is noted and moves nothing."""
    said = told([row("FEE", net_amount="-1", status="canceled")])
    assert said.reports == ()
    assert said.notes


def test_the_fills_among_all_activities_are_no_cash() -> None:
    """An execution is told by its order and never as cash."""
    assert told([row("FILL", net_amount="100", qty="1")]).reports == ()


def test_what_was_seen_is_not_new_again() -> None:
    """Rows come again with the overlap of each read; those that were seen are not new, one that is dated back is."""
    rows = [row("FEE", id="1", net_amount="-1")]
    first = news(begin(NOW), [fill(1, NOW)], rows)
    assert [len(first.fills), len(first.others)] == [1, 1]
    backdated = row("DIV", id="2", net_amount="1", date="2026-11-20")
    second = news(
        cursor_from(text_of(first.cursor)) or begin(0), [fill(1, NOW), fill(2, NOW - SECOND_NS)], [*rows, backdated]
    )
    assert [each.id for each in second.fills] == ["f2"]
    assert [each.id for each in second.others] == ["2"]


def test_a_cursor_stands_still_where_nothing_happens() -> None:
    """Reading the same again gives the same cursor, so that nothing need be written down."""
    fills, others = [fill(1, NOW), fill(2, NOW + SECOND_NS)], [row("FEE", net_amount="-1")]
    first = news(begin(NOW), fills, others).cursor
    assert news(first, fills, others).cursor == first


@given(st.lists(st.integers(0, 5_000), min_size=1, max_size=40), st.data())
def test_every_fill_is_new_exactly_once(seconds: list[int], data: st.DataObject) -> None:
    """Reads that go on from each other's cursor tell each fill once, if it is listed within the overlap of the newest."""
    rows = [fill(number, NOW + at * SECOND_NS) for number, at in enumerate(sorted(seconds))]
    cursor, told_ids, index = begin(NOW), [], 0
    while index < len(rows):
        index = data.draw(st.integers(index + 1, len(rows)))
        after = cursor.fills_after_ns
        listed = [each for each, at in zip(rows[:index], sorted(seconds), strict=False) if NOW + at * SECOND_NS > after]
        read = news(cursor, listed, [])
        told_ids += [each.id for each in read.fills]
        cursor = read.cursor
    assert sorted(told_ids) == sorted(each.id for each in rows)
    assert len(cursor.fills) <= sum(NOW + at * SECOND_NS > cursor.fills_after_ns for at in seconds)
    assert cursor.fills_after_ns >= NOW + max(seconds) * SECOND_NS - FILL_OVERLAP_NS


def test_a_cursor_of_somebody_else_is_an_error() -> None:
    """A text that is no cursor of ours is refused, not read as the beginning; the empty one is the beginning."""
    assert cursor_from("") is None
    with pytest.raises(BrokerProtocolError, match="cursor"):
        cursor_from("12345")
    assert digest("a") != digest("b")
