"""Which span and which session a row covers: by the hours of an exchange's calendar where one is given, else by the clock.

Without a calendar a date is 09:30 to 16:00 in the configured zone, and an instant belongs to the session of its date there.
With one, a daily bar spans its session as it really was, half days included, and an intraday bar is regular where it lies in
[open, close) of a session: by its start or its end, whichever its stamp tells. What sticks out of the session (an hourly bar
from 15:30 on) is cut off at the close.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, time
from typing import Literal, NamedTuple

import polars as pl

from ..actors.errors import DataError
from .calendar import SessionSchedule

SESSION_OPEN, SESSION_CLOSE = time(9, 30), time(16)
"""What a bar that carries a date only covers, in the configured zone, where no calendar says it."""

EPOCH_DAY = date(1970, 1, 1).toordinal()


class Hours(NamedTuple):
    """What spans rest on: the zone of sessions without a calendar, what a stamp and an intraday bar cover, and the calendar."""

    timezone: str
    stamp: Literal["open", "close"]
    interval_ns: int
    schedule: SessionSchedule | None = None


class Spanned(NamedTuple):
    """`rows` have start, end (ns UTC), session (days since 1970) and whether they are regular.

    `off` are rows (row, at, session, reason) of daily bars on a day that is no session.
    """

    rows: pl.DataFrame
    off: pl.DataFrame


def place(frame: pl.DataFrame, daily: bool, hours: Hours) -> Spanned:
    """Add its span to every row, by the instant or date in `at`."""
    if daily:
        return _daily(frame, hours)
    rows = frame.with_columns(*_clock_span(pl.col("at"), hours), pl.lit(value=True).alias("regular"))
    if hours.schedule is not None:
        rows = _in_schedule(rows, hours, hours.schedule)
    return Spanned(rows, _nothing_off(rows))


def session_of(frame: pl.DataFrame, daily: bool, hours: Hours) -> pl.DataFrame:
    """Add the session to rows that will not be used, as far as one can tell it: they are to be told for the range asked for."""
    if daily:
        return frame.with_columns(pl.col("at").cast(pl.Int32).alias("session"))
    return frame.with_columns(_clock_span(pl.col("at"), hours)[2])


def day_of(session: int) -> date:
    """Return the date of a session."""
    return date.fromordinal(session + EPOCH_DAY)


def _daily(frame: pl.DataFrame, hours: Hours) -> Spanned:
    at, schedule = pl.col("at"), hours.schedule
    session = at.cast(pl.Int32).alias("session")
    regular = pl.lit(value=True).alias("regular")
    if schedule is None:
        opens, closes = (_instant(at.dt.combine(hour), hours.timezone) for hour in (SESSION_OPEN, SESSION_CLOSE))
        rows = frame.with_columns(opens.alias("start"), closes.alias("end"), session, regular)
        return Spanned(rows, _nothing_off(rows))
    spans = pl.DataFrame(
        {"session": schedule.sessions, "start": schedule.opens, "end": schedule.closes},
        schema={"session": pl.Int32, "start": pl.Int64, "end": pl.Int64},
    )
    rows = (
        frame.with_columns(session).join(spans, on="session", how="left", maintain_order="left").with_columns(regular)
    )
    is_off = pl.col("start").is_null()
    reason = pl.format("{} is no session of {}", at.cast(pl.String), pl.lit(schedule.name)).alias("reason")
    return Spanned(rows.filter(~is_off), rows.filter(is_off).select("row", "at", "session", reason))


def _nothing_off(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.clear().select("row", "at", "session", pl.lit(None, dtype=pl.String).alias("reason"))


def _clock_span(at: pl.Expr, hours: Hours) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    start = at if hours.stamp == "open" else at - pl.duration(nanoseconds=hours.interval_ns)
    start_ns = start.dt.epoch("ns")
    session = start.dt.convert_time_zone(hours.timezone).dt.date().cast(pl.Int32)
    return start_ns.alias("start"), (start_ns + hours.interval_ns).alias("end"), session.alias("session")


def _instant(local: pl.Expr, zone: str) -> pl.Expr:
    return local.dt.replace_time_zone(zone, ambiguous="earliest").dt.epoch("ns")


def _in_schedule(rows: pl.DataFrame, hours: Hours, schedule: SessionSchedule) -> pl.DataFrame:
    """Set session and regular by the schedule, and cut what sticks out of the session; rows beyond the schedule lose their session."""
    spans = pl.DataFrame(
        {"session": schedule.sessions, "open": schedule.opens, "close": schedule.closes},
        schema={"session": pl.Int32, "open": pl.Int64, "close": pl.Int64},
    )
    # A stamp of the open tells where the bar starts, one of the close where it ends: (open, close] is [open, close) 1 ns earlier.
    told = rows["start"] if hours.stamp == "open" else rows["end"] - 1
    opened = spans["open"].search_sorted(told, side="right").cast(pl.Int64) - 1
    at = spans[opened.clip(0).cast(pl.UInt32)]
    regular = (opened >= 0) & (told < at["close"])
    rows = rows.with_columns(regular.alias("regular"), at["open"].alias("open_ns"), at["close"].alias("close_ns"))
    told_at = told.cast(pl.Datetime("ns", "UTC")).dt.convert_time_zone(schedule.timezone)
    outside = _session_outside(told_at.dt.date().cast(pl.Int32), told, spans)
    inside = pl.col("regular")
    return rows.with_columns(
        session=pl.when(inside).then(at["session"]).otherwise(outside),
        start=pl.when(inside).then(pl.max_horizontal("start", "open_ns")).otherwise("start"),
        end=pl.when(inside).then(pl.min_horizontal("end", "close_ns")).otherwise("end"),
    ).drop("open_ns", "close_ns")


def _session_outside(days: pl.Series, told: pl.Series, spans: pl.DataFrame) -> pl.Series:
    """Return the session that a bar before or after the regular hours belongs to: its date's, else the next one to open."""
    following = spans["open"].search_sorted(told, side="right")
    sessions = spans["session"].append(pl.Series([None], dtype=pl.Int32))
    return days.zip_with(days.is_in(spans["session"].implode()), sessions[following])


def regular_only(
    frames: Sequence[pl.DataFrame], keep_extended: bool, schedule: SessionSchedule | None, warnings: list[str]
) -> list[pl.DataFrame]:
    """Leave out the bars outside of the sessions, unless they are wanted, and those that belong to none; say how many."""
    if schedule is None:
        return list(frames)
    kept = [frame.filter(pl.col("session").is_not_null() & (pl.col("regular") | keep_extended)) for frame in frames]
    all_rows, left = sum(frame.height for frame in frames), sum(frame.height for frame in kept)
    if left == all_rows:
        return kept
    if not left and all_rows:
        raise DataError(
            f"data.calendar: none of the {all_rows:,} bars lies in a session of {schedule.name};"
            " give the calendar of their exchange, or the zone of their time stamps in data.timezone"
        )
    outside = pl.concat([frame.filter(~pl.col("regular")).select("start") for frame in frames])["start"].sort()
    at = outside.head(1).cast(pl.Datetime("ns", "UTC")).dt.convert_time_zone(schedule.timezone)
    what = "outside of all sessions" if keep_extended else f"outside of the sessions of {schedule.name}"
    hint = "" if keep_extended else "; data.extended_hours: true keeps them"
    warnings.append(
        f"{all_rows - left:,} of {all_rows:,} bars lie {what} and are left out"
        f" (first {at.dt.strftime('%Y-%m-%d %H:%M')[0]} {schedule.timezone}){hint}"
    )
    return kept


def sessions_without_bars(rows: pl.DataFrame, schedule: SessionSchedule | None) -> list[str]:
    """Say in how many sessions of the calendar, between the first and the last bar, no symbol has one."""
    if schedule is None:
        return []
    present = set(rows["session"].unique())
    first, last = min(present), max(present)
    missing = [session for session in schedule.sessions if first <= session <= last and session not in present]
    if not missing:
        return []
    count = "1 session" if len(missing) == 1 else f"{len(missing):,} sessions"
    return [f"{count} of {schedule.name} without any bar (first {day_of(missing[0])})"]
