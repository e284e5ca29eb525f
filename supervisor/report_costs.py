"""What trading cost, by kind and by period of time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby
from typing import NamedTuple

from ..actors.events import OrderFilled
from ..actors.model import ZERO
from ..actors.ports import CashKind
from .result import COSTS, INCOME

MOST_PERIODS = 48
EPOCH = date(1970, 1, 1)

OF_CASH = {
    CashKind.DIVIDEND: "dividends",
    CashKind.BORROW_FEE: "borrow_fees",
    CashKind.INTEREST: "interest",
    CashKind.FEE: "account_fees",
    CashKind.OTHER: "account_fees",
}
"""What the movements of cash are that cost or bring something; a transfer is neither."""


class Period(NamedTuple):
    """How time is cut: the first that leaves at most `MOST_PERIODS` pieces is taken."""

    name: str
    of: Callable[[date], str]


PERIODS = (
    Period("session", lambda day: day.isoformat()),
    Period("month", lambda day: f"{day:%Y-%m}"),
    Period("quarter", lambda day: f"{day.year} Q{(day.month + 2) // 3}"),
    Period("year", lambda day: str(day.year)),
)


class Costs:
    """Sums by period and kind. As in the summary, costs are positive where they were paid, and income where it came in."""

    def __init__(self, period: Period) -> None:
        self.period = period
        self.sums: dict[str, dict[str, Decimal]] = {}
        self._names: dict[int, str] = {}

    @classmethod
    def over(cls, sessions: Sequence[int]) -> Costs:
        """Return empty sums for every period that the sessions (days since 1970-01-01, in order) touch."""
        days = [day_of(session) for session, _ in groupby(sessions)]
        chosen = next((period for period in PERIODS if _pieces(period, days) <= MOST_PERIODS), PERIODS[-1])
        costs = cls(chosen)
        for day in days:
            costs.sums.setdefault(chosen.of(day), dict.fromkeys((*COSTS, *INCOME), ZERO))
        return costs

    def add_fill(self, session: int, event: OrderFilled) -> None:
        """Add the costs of a fill. Its commission contains the fees."""
        sums, fill = self._in(session), event.fill
        fees = ZERO if fill.revision else fill.fees
        sums["commission"] += event.commission - fees
        sums["fees"] += fees
        sums["slippage"] += fill.slippage
        sums["impact"] += fill.impact

    def add_cash(self, session: int, kind: CashKind, amount: Decimal) -> None:
        """Add a movement of cash."""
        name = OF_CASH.get(kind)
        if name is not None:
            self._in(session)[name] += amount if name in INCOME else -amount

    def _in(self, session: int) -> dict[str, Decimal]:
        name = self._names.get(session)
        if name is None:
            name = self._names[session] = self.period.of(day_of(session))
        return self.sums[name]


def day_of(session: int) -> date:
    """Return the date of a session."""
    return EPOCH + timedelta(days=session)


def _pieces(period: Period, days: Sequence[date]) -> int:
    return len({period.of(day) for day in days})
