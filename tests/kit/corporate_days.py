"""Corporate actions in few words, and a market that holds a position when they come."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from ordersmith.actors.bars import CorporateAction, CorporateActionKind
from ordersmith.actors.ports import Report

EX_DAY = 1
"""The session of all actions here; positions are from session 0."""


def split(ratio: str | Decimal, symbol: str = "A") -> CorporateAction:
    return CorporateAction(kind=CorporateActionKind.SPLIT, symbol=symbol, session=EX_DAY, ratio=Decimal(ratio))


def dividend(amount: str, pay: int = EX_DAY, symbol: str = "A") -> CorporateAction:
    kind = CorporateActionKind.DIVIDEND
    return CorporateAction(kind=kind, symbol=symbol, session=EX_DAY, amount=Decimal(amount), pay_session=pay)


def renamed(new: str, symbol: str = "A") -> CorporateAction:
    return CorporateAction(kind=CorporateActionKind.SYMBOL_CHANGE, symbol=symbol, session=EX_DAY, new_symbol=new)


def holding(market: Any, quantity: int = 100, price: float = 10.0, **rules: Any) -> Any:
    """Return a market whose account holds so much of A (negative: short), bought in session 0."""
    m = market(**{"account_type": "margin", "cash": 10_000, "participation": None, **rules})
    m.bar(price)
    (m.buy if quantity > 0 else m.sell)(abs(quantity))
    m.bar(price)
    return m


def next_day(m: Any, *actions: CorporateAction, symbol: str = "B") -> list[Report]:
    """Let the next session begin with a bar of another symbol."""
    return m.bar(10.0, symbol=symbol, session=EX_DAY, actions=actions)  # type: ignore[no-any-return]


def of(kind: type, reports: list[Report]) -> list[Any]:
    return [report for report in reports if isinstance(report, kind)]
