"""What the summary of a run is summed from."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from actor_test_kit import ActorTestKit

from ordersmith.actors.events import CashMoved, MarginCalled, OrderFilled
from ordersmith.actors.model import Fill, OrderState, Side
from ordersmith.actors.ports import CashKind
from ordersmith.actors.tally import SUM_OF, Tally

D = Decimal


def filled(commission: str, fees: str = "0", **terms: Any) -> OrderFilled:
    fill = Fill(fill_key="k", quantity=D(10), price=D(9), at_ns=0, commission=D(commission), fees=D(fees), **terms)
    return OrderFilled("o", "main", "s", "A", Side.SELL, fill, D(10), D(90), D(commission), OrderState.FILLED)


def test_commission_and_fees_are_summed_apart() -> None:
    """What is charged for fills is commission and regulatory fees together; a correction of a fill is commission."""
    tally = Tally()
    kit = ActorTestKit(tally, filled("1.5", "0.5"), filled("2"), filled("0.25", "0.5", revision=1))
    assert (tally.state.commission, tally.state.fees) == (D("3.25"), D("0.5"))
    assert (tally.state.fills, tally.state.turnover) == (3, D(270))
    assert kit.actor.view() is tally.state


@pytest.mark.parametrize("kind", CashKind)
def test_every_kind_of_cash_has_its_sum(kind: CashKind) -> None:
    """Cash that came or went without a trade is added to the sum of its kind, signed, and to no other."""
    tally = Tally()
    ActorTestKit(tally, CashMoved("main", "1", kind, D(-3), "A"), CashMoved("main", "2", kind, D(1)))
    assert {name: getattr(tally.state, name) for name in SUM_OF.values()} == {
        name: D(-2) if name == SUM_OF[kind] else D(0) for name in SUM_OF.values()
    }


def test_margin_calls_are_counted() -> None:
    """Each margin call counts, whatever becomes of it."""
    tally = Tally()
    ActorTestKit(
        tally, MarginCalled("main", "1", D(1), D(2), False, ""), MarginCalled("main", "2", D(1), D(2), True, "")
    )
    assert tally.state.margin_calls == 2
