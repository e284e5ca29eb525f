"""Alpaca's time stamps as nanoseconds UTC, and the trading date that an instant belongs to."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ...actors.model import EPOCH, as_datetime

NEW_YORK = ZoneInfo("America/New_York")
MINUTE_NS = 60_000_000_000
EPOCH_DAY = date(1970, 1, 1).toordinal()
AHEAD_NS = 5_000_000_000
"""How far an exchange's clock may be ahead of ours. A stamp beyond that is wrong, its or ours, and says nothing of what is newer."""
_MICROSECOND = timedelta(microseconds=1)


def stamp_ns(at: datetime) -> int:
    """Return a stamp of a REST answer, which names its zone, as nanoseconds UTC."""
    return (at - EPOCH) // _MICROSECOND * 1000


def wire_ns(stamp: Any) -> int:
    """Return a stamp of the stream, a msgpack Timestamp, as nanoseconds UTC; 0 for what is none."""
    seconds, nanoseconds = getattr(stamp, "seconds", None), getattr(stamp, "nanoseconds", None)
    if not isinstance(seconds, int) or not isinstance(nanoseconds, int):
        return 0
    return seconds * 1_000_000_000 + nanoseconds


def believed_ns(stamp_ns: int, now_ns: int) -> int:
    """Return a stamp of the exchange, or now where it lies in the future: nothing that comes then would be newer."""
    return stamp_ns if stamp_ns <= now_ns + AHEAD_NS else now_ns


def session_day(at_ns: int) -> int:
    """Return the date in New York, as days since 1970-01-01."""
    return as_datetime(at_ns).astimezone(NEW_YORK).toordinal() - EPOCH_DAY


def midnight(day: date) -> datetime:
    """Return when a day begins in New York, as UTC."""
    return datetime.combine(day, time(), NEW_YORK).astimezone(UTC)


def wire_text(at: datetime) -> str:
    """Write an instant as Alpaca's REST reads it."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def minute_before(at_ns: int) -> int:
    """Return the start of the minute that the instant lies in."""
    return at_ns - at_ns % MINUTE_NS
