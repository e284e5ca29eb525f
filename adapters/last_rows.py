"""Last prices carried over corporate actions."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from ..actors.bars import CorporateAction, CorporateActionKind, Row
from ..actors.model import ZERO


def carry_over(rows: dict[str, Row], actions: Iterable[CorporateAction]) -> None:
    """Put the last bars of symbols on the terms after `actions`: until a symbol's next bar there is nothing better."""
    for action in actions:
        row = rows.get(action.symbol)
        if row is None:
            continue
        if action.kind is CorporateActionKind.SYMBOL_CHANGE:
            rows.setdefault(action.new_symbol, row)
        else:  # a split has no amount, a dividend the ratio 1
            rows[action.symbol] = _adjusted(row, action.ratio, action.amount)


def _adjusted(row: Row, ratio: Decimal, amount: Decimal) -> Row:
    """Return a bar on the terms after a split or a dividend; what is paid out is never more than the price."""
    open_, high, low, close = (float(max(Decimal(repr(price)) - amount, ZERO) / ratio) for price in row[:4])
    return open_, high, low, close, row[4] * float(ratio)
