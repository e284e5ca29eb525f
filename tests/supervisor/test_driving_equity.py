"""The equity curve over corporate actions: no jump that nobody gained or lost."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from driven import DAY_NS

from ordersmith import Bars, Order, open_blocking_executor
from ordersmith.actors.bars import CorporateAction, CorporateActionKind, Row
from ordersmith.actors.model import ZERO

SPLIT, DIVIDEND, SYMBOL_CHANGE = CorporateActionKind
DAYS = 8
CASH = 100_000


def row(price: float) -> Row:
    return price, price, price, price, 1_000_000.0


class ActionFeed:
    """A at 100 until its action on day 4 and at `after` from day `back` on; B trades every day, so that no day is without bars."""

    step_count = DAYS
    start_ns = 0

    def __init__(self, action: CorporateAction, after: float, back: int) -> None:
        self.symbols = tuple(dict.fromkeys(("A", "B", action.new_symbol or "A")))
        self._action = action
        self._after = after
        self._back = back

    def __iter__(self) -> Iterator[Bars]:
        for day in range(DAYS):
            rows = {"B": row(50.0)}
            if day < 4:
                rows["A"] = row(100.0)
            elif day >= self._back:
                rows[self._action.new_symbol or "A"] = row(self._after)
            actions = (self._action,) if day == 4 else ()
            yield Bars(day * DAY_NS, (day + 1) * DAY_NS, day, True, rows, actions)


CASES = {
    "split": (CorporateAction(kind=SPLIT, symbol="A", session=4, ratio=Decimal(2)), 50.0),
    "three for two": (CorporateAction(kind=SPLIT, symbol="A", session=4, ratio=Decimal("1.5")), 100 / 1.5),
    "reverse split": (CorporateAction(kind=SPLIT, symbol="A", session=4, ratio=Decimal("0.1")), 1000.0),
    "dividend": (CorporateAction(kind=DIVIDEND, symbol="A", session=4, amount=Decimal(3), pay_session=6), 97.0),
    "symbol change": (CorporateAction(kind=SYMBOL_CHANGE, symbol="A", session=4, new_symbol="C"), 100.0),
}


@pytest.mark.parametrize("back", [4, 6], ids=["a bar at once", "a bar two days later"])
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("order", [Order.buy("A", 30), Order.sell("A", 30)], ids=["long", "short"])
def test_the_curve_does_not_jump(name: str, back: int, order: Order) -> None:
    """What a company does to its shares moves neither the curve nor the account's equity, and the two are the same."""
    action, after = CASES[name]
    free = {"slippage": 0, "commission": 0, "account": {"type": "margin", "cash": CASH}}
    feed = ActionFeed(action, after, back)
    settings = {"execution": {"backtest": free}, "risk": {"price_collar": None}}
    with open_blocking_executor(settings, data=feed) as executor:
        for day, _ in enumerate(executor.market()):
            if day == 0:
                executor.submit_orders([order])
            at_ns, equity = executor.result().equity[-1]
            info = executor.get_account_info()
            assert at_ns == executor.now_ns
            assert equity == pytest.approx(float(info.equity), abs=1e-6), day
            assert equity == pytest.approx(CASH, abs=0.01), day
            if name == "dividend":
                sign = 1 if order.side == "BUY" else -1
                assert info.accrued == (90 * sign if day in {4, 5} else ZERO)
        held = executor.get_positions()
        (position,) = held.values()
        assert position.symbol == (action.new_symbol or "A")
        assert abs(position.quantity) == 30 * action.ratio
