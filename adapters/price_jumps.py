"""Prices that jump overnight, held against the corporate actions.

A split without its action is a false gain or loss, and so is a split of prices that are adjusted for it already. Nothing is corrected
here. What does not fit is told, with the symbol, the date and what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from math import log
from typing import NamedTuple

import polars as pl

from ..actors.bars import CorporateAction, CorporateActionKind
from .bar_sessions import day_of

RATIOS = tuple(Fraction(*pair) for pair in ((3, 2), (2, 1), (5, 2), (3, 1), *((n, 1) for n in range(4, 51))))
"""Ratios that companies split by; the smaller ones are too much like an ordinary bad night to be told from it."""

TOLERANCE = 0.04
"""How far, relatively, an opening price may be from the previous close divided by the ratio."""

CALM = 0.15
"""How far the session after it may close from there: a split changes nothing for a holder, while a crash goes on or is taken back."""

JUDGED_FROM = 1.25
"""Splits of a smaller ratio than this, either way, move the price less than news do: whether they are in the prices cannot be seen."""

SHOWN = 5


class _Night(NamedTuple):
    """A symbol's last close of a session, and the first open and last close of its next one."""

    symbol: str
    session: int
    before: float
    opened: float
    closed: float


def jump_warnings(rows: pl.DataFrame, actions: Sequence[CorporateAction]) -> list[str]:
    """Say where prices look split without an action, and where a split's prices do not look split."""
    nights = _nights(rows)
    splits = {
        (action.symbol, night.session): (action, night)
        for action in actions
        if action.kind is CorporateActionKind.SPLIT and (night := _night_of(action, nights)) is not None
    }
    jumps = [_Night(*row) for row in nights.filter(_is_jump()).iter_rows()]
    unexplained = [
        f"{night.symbol} on {day_of(night.session)} ({_ratio_text(ratio)}: {night.before:g} to {night.opened:g})"
        for night in jumps
        if (night.symbol, night.session) not in splits and (ratio := _ratio_of(night)) is not None
    ]
    warnings = []
    if unexplained:
        more = f" and {len(unexplained) - SHOWN:,} more" if len(unexplained) > SHOWN else ""
        warnings.append(
            f"prices jump overnight as by a split: {', '.join(unexplained[:SHOWN])}{more}; if these are splits, list them in the file of"
            " data.corporate_actions, else every position jumps in value"
        )
    return warnings + list(_misfits(splits.values()))


def _nights(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row for each symbol and session but its first, as `_Night`."""
    by_symbol = rows.filter("regular") if rows["regular"].any() else rows
    sessions = (
        by_symbol.group_by("symbol", "session", maintain_order=True)  # rows are in order of time
        .agg(pl.col("open").first().alias("opened"), pl.col("close").last().alias("closed"))
        .with_columns(pl.col("symbol").cast(pl.String))
        .sort("symbol", "session")
    )
    before = pl.col("closed").shift(1).over("symbol").alias("before")
    return sessions.with_columns(before).drop_nulls("before").select(_Night._fields)


def _is_jump() -> pl.Expr:
    change = pl.col("opened") / pl.col("before")
    return (change < 0.72) | (change > 1.4)


def _ratio_of(night: _Night) -> Fraction | None:
    """Return the simple ratio that explains a jump, the closest one, or None."""
    change = night.before / night.opened
    ratio = min((r if change > 1 else 1 / r for r in RATIOS), key=lambda r: abs(change / float(r) - 1))
    fits = abs(change / float(ratio) - 1) <= TOLERANCE
    calm = abs(night.closed * float(ratio) / night.before - 1) <= CALM
    return ratio if fits and calm else None


def _ratio_text(ratio: Fraction) -> str:
    return f"{ratio.numerator}:{ratio.denominator}"


def _night_of(action: CorporateAction, nights: pl.DataFrame) -> _Night | None:
    """Return the night before the symbol's first session under the action."""
    own = nights.filter((pl.col("symbol") == action.symbol) & (pl.col("session") >= action.session)).head(1)
    return _Night(*own.row(0)) if own.height else None


def _misfits(splits: Iterable[tuple[CorporateAction, _Night]]) -> Iterator[str]:
    for action, night in splits:
        expected, seen = -log(float(action.ratio)), log(night.opened / night.before)
        if abs(expected) < log(JUDGED_FROM) or abs(seen - expected) <= abs(seen):
            continue
        day = day_of(action.session)
        found = f"{action.symbol}: a split of ratio {action.ratio:f} on {day}, but prices go from {night.before:g} to {night.opened:g}"
        if abs(seen) < abs(expected) / 2:
            yield f"{found}: they look adjusted for it; use unadjusted prices, or leave the split out of data.corporate_actions"
        else:
            yield f"{found}: that fits neither the ratio nor adjusted prices; check the ratio (new shares for one old) and the date"
