"""Sessions of an exchange: when they open and close, half days and holidays included.

The hours are those of `exchange_calendars`, which is imported when a calendar is loaded and not before. What is kept of it
are plain numbers: a session is its date as days since 1970-01-01 and lasts [open, close), in ns UTC, a lunch break included.
"""

from __future__ import annotations

import difflib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

from ..actors.errors import DataError
from .simulated.hours import Session

MARGIN = timedelta(days=30)
"""How far a schedule goes beyond the data: an order sent after the last bar belongs to a session, too, and so does its settlement."""

EPOCH_DAY = date(1970, 1, 1).toordinal()


class SessionSchedule:
    """The sessions of an exchange over a range of dates."""

    def __init__(self, name: str, timezone: str, sessions: Iterable[tuple[int, int, int]]) -> None:
        """Take (session, open_ns, close_ns) in order of time, none overlapping another."""
        self.name = name
        self.timezone = timezone
        rows = tuple(sessions)
        self.sessions: Sequence[int] = tuple(row[0] for row in rows)
        self.opens: Sequence[int] = tuple(row[1] for row in rows)
        self.closes: Sequence[int] = tuple(row[2] for row in rows)
        self._index = {session: index for index, session in enumerate(self.sessions)}

    def span(self, session: int) -> tuple[int, int] | None:
        """Return when `session` opens and closes, None for a day that is no session."""
        index = self._index.get(session)
        return None if index is None else (self.opens[index], self.closes[index])

    def at(self, now_ns: int) -> Session | None:
        """Return the session that is open at this instant, else the next one to open; None beyond the last one known."""
        index = bisect_right(self.closes, now_ns)
        if index == len(self.sessions):
            return None
        return Session(self.sessions[index], self.opens[index], self.closes[index])

    def __repr__(self) -> str:
        return f"<SessionSchedule {self.name}, {len(self.sessions)} sessions>"


@lru_cache(maxsize=16)  # several runs over the same data share one
def load_schedule(name: str, first: date, last: date) -> SessionSchedule:
    """Return the sessions of an exchange from `first` to `last`, and some more on both sides.

    Raises DataError for a name that is no calendar's, and for a range that the calendar does not cover.
    """
    try:
        import exchange_calendars
    except ModuleNotFoundError as error:
        raise DataError(
            f"data.calendar: {error}; sessions are those of exchange_calendars: pip install 'ordersmith[calendar]'"
        ) from error
    names = exchange_calendars.get_calendar_names()
    if name not in names:
        raise DataError(f"data.calendar: {name!r} is no calendar of exchange_calendars{_nearest(name, names)}")
    for margin in (MARGIN, timedelta()):  # a calendar may end soon after the data
        try:
            calendar = exchange_calendars.get_calendar(name, start=first - margin, end=last + margin)
        except ValueError as error:
            reason = error
        else:
            return SessionSchedule(name, str(calendar.tz), _rows(calendar.schedule))
    raise DataError(
        f"data.calendar: {name} does not cover the data, {first} to {last}: {str(reason).rstrip('.')};"
        " change data.start or data.end, or leave the calendar out"
    )


def _nearest(name: str, names: Sequence[str]) -> str:
    folded = {known.casefold(): known for known in names}
    near = [folded[match] for match in difflib.get_close_matches(name.casefold(), folded, n=3)]
    return (
        f"; did you mean {' or '.join(near)}?"
        if near
        else "; give the exchange's code (ISO 10383), such as XNYS or XLON"
    )


def _rows(schedule: Any) -> Iterable[tuple[int, int, int]]:
    """Read the data frame of a calendar: its index are midnights of the dates, its times are UTC."""
    days = [day.toordinal() - EPOCH_DAY for day in schedule.index]
    opens, closes = (
        schedule[column].astype("datetime64[ns, UTC]").astype("int64").tolist() for column in ("open", "close")
    )
    return zip(days, opens, closes, strict=True)
