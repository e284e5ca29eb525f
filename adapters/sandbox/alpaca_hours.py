"""When the market is open: sessions with their extended hours, the clock and the calendar.

Extended hours are 04:00 to the open and the close to 20:00 in New York (docs.alpaca.markets, "Extended Hours Trading").
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple, Protocol
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS

PRE_OPEN, POST_CLOSE = time(4), time(20)
REGULAR_OPEN, REGULAR_CLOSE = time(9, 30), time(16)


class Session(NamedTuple):
    """One trading day, in ns UTC: [starts, opens, closes, ends), the outer two with its extended hours."""

    day: str
    starts_ns: int
    opens_ns: int
    closes_ns: int
    ends_ns: int

    def is_regular(self, now_ns: int) -> bool:
        return self.opens_ns <= now_ns < self.closes_ns

    def is_extended(self, now_ns: int) -> bool:
        """Tell whether orders for extended hours trade, which they do in the regular ones, too."""
        return self.starts_ns <= now_ns < self.ends_ns


class Hours(Protocol):
    """The sessions of an exchange."""

    def at(self, now_ns: int) -> Session:
        """Return the session whose extended hours have not ended, be it under way or the next one."""
        ...

    def between(self, first: date, last: date) -> list[Session]:
        """Return the sessions of these dates, both included."""
        ...


class Weekdays:
    """09:30 to 16:00 in New York from Monday to Friday: no holidays, which is what `sessions` is for."""

    def at(self, now_ns: int) -> Session:
        day = local_date(now_ns)
        while (session := self._of(day)) is None or session.ends_ns <= now_ns:
            day += timedelta(days=1)
        return session

    def between(self, first: date, last: date) -> list[Session]:
        days = (first + timedelta(days=offset) for offset in range((last - first).days + 1))
        return [session for day in days if (session := self._of(day)) is not None]

    def _of(self, day: date) -> Session | None:
        if day.weekday() > 4:
            return None
        return _session(day, instant_ns(day, REGULAR_OPEN), instant_ns(day, REGULAR_CLOSE))


class AlwaysOpen:
    """Every date in New York is a session that is open from midnight to midnight, whatever the calendar says."""

    def __init__(self, calendar: Hours) -> None:
        self._calendar = calendar

    def at(self, now_ns: int) -> Session:
        return self._of(local_date(now_ns))

    def between(self, first: date, last: date) -> list[Session]:
        return self._calendar.between(first, last)

    def _of(self, day: date) -> Session:
        opens, closes = instant_ns(day, time()), instant_ns(day + timedelta(days=1), time())
        return Session(day.isoformat(), opens, opens, closes, closes)


class Scheduled:
    """The sessions that are given, and the weekdays' where those have ended."""

    def __init__(self, rows: tuple[tuple[str, int, int], ...]) -> None:
        self._sessions = [_session(date.fromisoformat(day), opens, closes) for day, opens, closes in rows]
        self._ends = [session.ends_ns for session in self._sessions]
        self._weekdays = Weekdays()

    def at(self, now_ns: int) -> Session:
        index = bisect_right(self._ends, now_ns)
        return self._sessions[index] if index < len(self._sessions) else self._weekdays.at(now_ns)

    def between(self, first: date, last: date) -> list[Session]:
        return [session for session in self._sessions if first.isoformat() <= session.day <= last.isoformat()]


def hours_of(kind: str, sessions: tuple[tuple[str, int, int], ...]) -> Hours:
    """Return the hours that the settings name."""
    exchange = Scheduled(sessions) if sessions else Weekdays()
    return AlwaysOpen(exchange) if kind == "always" else exchange


def clock_row(hours: Hours, now_ns: int) -> dict[str, Any]:
    """Return what GET /v2/clock answers: times of New York."""
    session = hours.at(now_ns)
    after = hours.at(session.ends_ns)
    is_open = session.is_regular(now_ns)
    next_open = session.opens_ns if now_ns < session.opens_ns else after.opens_ns
    next_close = session.closes_ns if now_ns < session.closes_ns else after.closes_ns
    return {
        "timestamp": local_time(now_ns).isoformat(),
        "is_open": is_open,
        "next_open": local_time(next_open).isoformat(),
        "next_close": local_time(next_close).isoformat(),
    }


def calendar_rows(hours: Hours, first: date, last: date) -> list[dict[str, Any]]:
    """Return what GET /v2/calendar answers: local times of New York, without their zone."""
    return [
        {
            "date": session.day,
            "open": f"{local_time(session.opens_ns):%H:%M}",
            "close": f"{local_time(session.closes_ns):%H:%M}",
            "session_open": f"{local_time(session.starts_ns):%H%M}",
            "session_close": f"{local_time(session.ends_ns):%H%M}",
            "settlement_date": hours.at(session.ends_ns).day,
        }
        for session in hours.between(first, last)
    ]


def local_time(at_ns: int) -> datetime:
    """Return an instant in New York, to the microsecond."""
    return (
        datetime.fromtimestamp(at_ns // SECOND_NS, UTC) + timedelta(microseconds=at_ns % SECOND_NS // 1000)
    ).astimezone(NEW_YORK)


def local_date(at_ns: int) -> date:
    return local_time(at_ns).date()


def instant_ns(day: date, at: time) -> int:
    """Return the instant of a time of day in New York."""
    return int(datetime.combine(day, at, NEW_YORK).timestamp()) * SECOND_NS


def _session(day: date, opens_ns: int, closes_ns: int) -> Session:
    starts, ends = instant_ns(day, PRE_OPEN), instant_ns(day, POST_CLOSE)
    return Session(day.isoformat(), min(starts, opens_ns), opens_ns, closes_ns, max(ends, closes_ns))
