"""Time frames of bars as Alpaca names them, and when the bar begins that an instant falls into."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, timedelta
from itertools import groupby
from typing import Literal, NamedTuple

from .market import Row, merged
from .stamps import NS, day_of, midnight_ns

Unit = Literal["Min", "Hour", "Day", "Week", "Month"]

ACCEPTED = "1Min to 59Min, 1Hour to 23Hour, 1Day, 1Week, or 1, 2, 3, 4, 6 or 12Month"
_TEXT = re.compile(r"(\d{1,2})(Min|T|Hour|H|Day|D|Week|W|Month|M)")
_UNITS: dict[str, Unit] = {"T": "Min", "H": "Hour", "D": "Day", "W": "Week", "M": "Month"}
_COUNTS: dict[Unit, Iterable[int]] = {
    "Min": range(1, 60),
    "Hour": range(1, 24),
    "Day": (1,),
    "Week": (1,),
    "Month": (1, 2, 3, 4, 6, 12),
}
_SECONDS: dict[Unit, int] = {"Min": 60, "Hour": 3600, "Day": 86400, "Week": 604800, "Month": 2592000}


class Frame(NamedTuple):
    """How long a bar is."""

    length: int
    unit: Unit

    @property
    def seconds(self) -> int:
        """About how long; a day is longer than its session."""
        return self.length * _SECONDS[self.unit]

    @property
    def intraday(self) -> bool:
        return self.unit in ("Min", "Hour")

    def begins_ns(self, at_ns: int) -> int:
        """Return when the bar begins that an instant falls into: days, weeks and months in New York."""
        if self.intraday:
            return at_ns - at_ns % (self.seconds * NS)
        day = day_of(at_ns)
        if self.unit == "Week":
            day -= timedelta(days=day.weekday())
        if self.unit == "Month":
            day = date(day.year, (day.month - 1) // self.length * self.length + 1, 1)
        return midnight_ns(day)

    def gathered(self, rows: Iterable[Row]) -> list[Row]:
        """Return the bars of this frame that shorter ones, in order of time, make."""
        return [merged(begins, parts) for begins, parts in groupby(rows, key=lambda row: self.begins_ns(row.at_ns))]


def frame_of(text: str) -> Frame:
    """Read a time frame. Raises ValueError."""
    match = _TEXT.fullmatch(text)
    if match is not None:
        count, unit = int(match[1]), _UNITS.get(match[2], match[2])
        if count in _COUNTS[unit]:  # type: ignore[index]
            return Frame(count, unit)  # type: ignore[arg-type]
    raise ValueError(f"invalid timeframe: {text!r}; accepted: {ACCEPTED}")


MINUTE = Frame(1, "Min")
DAY = Frame(1, "Day")
