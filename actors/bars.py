"""Market data: bars, and the corporate actions that come with them.

Bars are floats, as their sources are; they are converted where they become a fill or a limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from .model import ZERO, as_datetime


class CorporateActionKind(StrEnum):
    """What a company does that changes its shares without a trade."""

    SPLIT = "SPLIT"
    DIVIDEND = "DIVIDEND"
    SYMBOL_CHANGE = "SYMBOL_CHANGE"


class CorporateAction(msgspec.Struct, frozen=True, kw_only=True):
    """A split, a cash dividend or a change of symbol, in force from the open of the session `session` (days since 1970-01-01).

    SPLIT: `ratio` new shares for one old (2 for 2:1, 0.1 for a reverse split 1:10). DIVIDEND: `amount` currency a share to
    who held at the close before the session (the ex-date), paid at the open of `pay_session`. SYMBOL_CHANGE: the shares
    are called `new_symbol` from then on.
    """

    kind: CorporateActionKind
    symbol: str
    session: int
    ratio: Decimal = Decimal(1)
    amount: Decimal = ZERO
    pay_session: int = 0
    new_symbol: str = ""


class Bar(msgspec.Struct, frozen=True, gc=False):
    """Prices of one symbol over [start_ns, end_ns).

    Floats: this is market data. `volume` is NaN where the source has none.
    """

    symbol: str
    start_ns: int
    end_ns: int
    open: float
    high: float
    low: float
    close: float
    volume: float

    @property
    def time(self) -> datetime:
        """When the bar was complete, aware, UTC."""
        return as_datetime(self.end_ns)


Row = tuple[float, float, float, float, float]
"""(open, high, low, close, volume) of one bar."""


class Bars(Mapping[str, Bar]):
    """All bars that end at one instant, by symbol. A `Bar` is made only for who looks at one.

    `rows` is the raw form; `session` is the trading date as days since 1970-01-01, and `closes_session` is true for the
    session's last bars. Bars before and after the session's regular hours are not `regular`. `actions` are the corporate
    actions that are in force from the start of these bars on. The mapping must not be changed.
    """

    __slots__ = ("actions", "closes_session", "end_ns", "regular", "rows", "session", "start_ns")

    def __init__(
        self,
        start_ns: int,
        end_ns: int,
        session: int,
        closes_session: bool,
        rows: dict[str, Row],
        actions: tuple[CorporateAction, ...] = (),
        regular: bool = True,
    ) -> None:
        self.start_ns = start_ns
        self.end_ns = end_ns
        self.session = session
        self.closes_session = closes_session
        self.rows = rows
        self.actions = actions
        self.regular = regular

    def __getitem__(self, symbol: str) -> Bar:
        return Bar(symbol, self.start_ns, self.end_ns, *self.rows[symbol])

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def close(self, symbol: str) -> float:
        """Return the closing price of `symbol`, without making a Bar."""
        return self.rows[symbol][3]

    @property
    def time(self) -> datetime:
        """When the bars were complete, aware, UTC."""
        return as_datetime(self.end_ns)

    def __repr__(self) -> str:
        return f"<Bars {self.time:%Y-%m-%d %H:%M} {', '.join(self.rows)}>"
