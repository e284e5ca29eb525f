"""Time stamps read in the wrong zone: bars at night, sessions that midnight cuts, opens that move when clocks change.

A file does not say that its stamps are UTC when it writes none. What the rows look like does: read in the zone that is configured they
miss most of the sessions' hours, and read as UTC they fill them. Where no calendar gives the hours, they are taken to be 09:30 to 16:00,
which an exchange of other hours, or one that never closes, fills by more than the half that is asked for here.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import NamedTuple

import polars as pl

from ..actors.errors import DataError
from .bar_sessions import SESSION_CLOSE, SESSION_OPEN, Hours

POOR, GOOD = 0.5, 0.8
"""Parts of the sessions' hours: bars that cover less than POOR are suspicious, and more than GOOD in another zone explains it."""

QUIET_HOURS = 6
"""Hours without a bar on any day that make a night."""

OTHER_ZONES = (
    *("UTC", "America/New_York", "America/Chicago", "Europe/London", "Europe/Berlin"),
    *("Asia/Kolkata", "Asia/Hong_Kong", "Asia/Tokyo", "Australia/Sydney"),
)
"""Zones tried where the hours of the sessions are known."""

_HOUR_NS = 3_600_000_000_000
_DAY_NS = 24 * _HOUR_NS
_USUAL_OPEN_NS = 9 * _HOUR_NS


class Stamps(NamedTuple):
    """The instants of intraday bars, UTC, and whether they came with their zone, or as numbers, or else in the configured one."""

    at: pl.Series
    zoned: bool


def check_zone(file: str, stamps: Stamps, hours: Hours) -> str | None:
    """Return what is odd about the zone of a file's stamps, None for nothing.

    Raises DataError where a calendar tells that most bars are outside of its sessions and in another zone would not be.
    """
    starts = stamps.at.unique().cast(pl.Datetime("ns", "UTC"))
    if hours.stamp == "close":
        starts = starts.dt.offset_by(f"-{hours.interval_ns}ns")
    here = hours.timezone
    covered = _covered(starts, hours)
    if covered < POOR and not stamps.zoned:
        written = starts.dt.convert_time_zone(here).dt.replace_time_zone(None)
        tried = OTHER_ZONES if hours.schedule is not None else ("UTC",)
        fits = {zone: _covered(_in_zone(written, zone), hours) for zone in tried if zone != here}
        best = max(fits, key=lambda zone: fits[zone], default=None)
        if best is not None and fits[best] > GOOD:
            return _misread(file, best, covered, fits[best], hours)
    if hours.schedule is not None and stamps.zoned:
        return None
    return _night_trade(file, starts, hours, stamps.zoned)


def _in_zone(written: pl.Series, zone: str) -> pl.Series:
    read = written.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return read.drop_nulls().dt.convert_time_zone("UTC")


def _covered(starts: pl.Series, hours: Hours) -> float:
    """Return how much of the hours of the days that have bars the bars cover."""
    schedule = hours.schedule
    local = starts.dt.convert_time_zone(hours.timezone if schedule is None else schedule.timezone)
    days = local.dt.date().unique().sort()
    if schedule is None:
        inside = int(((local.dt.time() >= SESSION_OPEN) & (local.dt.time() < SESSION_CLOSE)).sum())
        length = datetime.combine(date.min, SESSION_CLOSE) - datetime.combine(date.min, SESSION_OPEN)
        all_ns = len(days) * length.seconds * 1_000_000_000
    else:
        at = starts.dt.epoch("ns")
        index = pl.Series(schedule.opens, dtype=pl.Int64).search_sorted(at, side="right").cast(pl.Int64) - 1
        closes = pl.Series(schedule.closes, dtype=pl.Int64)[index.clip(0).cast(pl.UInt32)]
        inside = int(((index >= 0) & (at < closes)).sum())
        spans = [schedule.span(day) for day in days.cast(pl.Int32)]
        all_ns = sum(span[1] - span[0] for span in spans if span)
    return inside * hours.interval_ns / all_ns if all_ns else 0.0


def _misread(file: str, zone: str, covered: float, explained: float, hours: Hours) -> str:
    schedule = hours.schedule
    which = f"{SESSION_OPEN:%H:%M} to {SESSION_CLOSE:%H:%M}" if schedule is None else f"the sessions of {schedule.name}"
    text = (
        f"{file}: read in data.timezone, {hours.timezone}, the bars cover {covered:.0%} of {which}, and read in {zone} {explained:.0%};"
        f" time stamps without a zone seem to be {zone}: set data.timezone to {zone}"
    )
    if schedule is not None:
        raise DataError(text)
    return text


def _night_trade(file: str, starts: pl.Series, hours: Hours, zoned: bool) -> str | None:
    """Say that the bars of a day go on over midnight of the zone, which would make two sessions of one."""
    here = hours.timezone if hours.schedule is None else hours.schedule.timezone
    first, last = _day_of_bars(starts, here)
    if first <= last:
        return None
    if zoned:
        zone = min(OTHER_ZONES[1:], key=lambda zone: _strangeness(starts, zone))
        hint = f"set data.timezone to the zone of the exchange, such as {zone}"
    else:
        written = starts.dt.convert_time_zone(hours.timezone).dt.replace_time_zone(None)
        is_utc = _strangeness(_in_zone(written, "UTC"), here) < _DAY_NS
        hint = "set data.timezone to UTC" if is_utc else "set data.timezone to the zone of the time stamps"
    return (
        f"{file}: read in data.timezone, {hours.timezone}, bars go on over midnight, from {_clock(first)} to {_clock(last)} in {here}:"
        f" each session would be cut in two; {hint}"
    )


def _strangeness(starts: pl.Series, zone: str) -> int:
    """Return how far from an exchange's usual opening the bars of a day begin, in ns; a day where they go on over midnight."""
    first, last = _day_of_bars(starts, zone)
    return abs(first - _USUAL_OPEN_NS) if first <= last else _DAY_NS


def _day_of_bars(starts: pl.Series, zone: str) -> tuple[int, int]:
    """Return when the bars of a day begin and end, in ns after midnight; (0, 0) where there is no night without bars."""
    clock = starts.dt.convert_time_zone(zone).dt.time().cast(pl.Int64).unique().sort()
    if not len(clock):
        return 0, 0
    gaps = clock.diff().fill_null(0)
    longest = int(gaps.arg_max() or 0)
    over_midnight = _DAY_NS - clock[-1] + clock[0]
    if max(gaps[longest], over_midnight) < QUIET_HOURS * _HOUR_NS:
        return 0, 0
    return (clock[0], clock[-1]) if over_midnight >= gaps[longest] else (clock[longest], clock[longest - 1])


def _clock(ns: int) -> str:
    return f"{ns // _HOUR_NS:02}:{ns // (_HOUR_NS // 60) % 60:02}"
