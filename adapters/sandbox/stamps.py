"""Times as the wire has them: RFC 3339 with nanoseconds in UTC, and dates in New York."""

from __future__ import annotations

import re
import time
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

NS = 1_000_000_000
NEW_YORK = ZoneInfo("America/New_York")

_STAMP = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2})?)(?:[.,](\d{1,9})\d*)?\s*(Z|z|[+-]\d{2}:?\d{2})?)?"
)


def now_ns() -> int:
    """Return the wall clock's time: a broker's day is everybody's day."""
    return time.time_ns()


def rfc3339(ns: int) -> str:
    seconds, rest = divmod(ns, NS)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:09d}".rstrip("0").rstrip(".") + "Z"


def parsed(text: str, *, end_of_day: bool = False) -> int:
    """Return the instant that a text says: RFC 3339, without an offset UTC; or a date, which is its midnight in New York.

    Raises ValueError for anything else.
    """
    # A plus sign that was not escaped in a query arrives as a space.
    match = _STAMP.fullmatch(re.sub(r"(?<=\d) (\d{2}:\d{2})$", r"+\1", text.strip()))
    if match is None:
        raise ValueError(f"{text!r} is no time; accepted: RFC 3339, as 2026-01-31T15:30:00Z, or a date")
    day, clock, fraction, offset = match.groups()
    if clock is None:
        return midnight_ns(date.fromisoformat(day) + timedelta(days=1 if end_of_day else 0))
    zone = "+00:00" if offset in (None, "Z", "z") else offset
    whole = datetime.fromisoformat(f"{day}T{clock if len(clock) > 5 else clock + ':00'}{zone}")
    return int(whole.timestamp()) * NS + int((fraction or "0").ljust(9, "0"))


@lru_cache(maxsize=10_000)
def midnight_ns(day: date) -> int:
    """Return when a date begins in New York."""
    return int(datetime(day.year, day.month, day.day, tzinfo=NEW_YORK).timestamp()) * NS


def day_of(ns: int) -> date:
    """Return the date in New York."""
    return datetime.fromtimestamp(ns // NS, NEW_YORK).date()
