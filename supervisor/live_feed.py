"""What a broker with live prices needs of a feed: whom it tells, the sessions that there are, and how each incarnation is made."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from ..actors.bars import Bars
from ..actors.errors import ConfigError, DataError
from ..actors.quotes import Quote
from ..adapters.calendar import SessionSchedule, load_schedule
from ..adapters.io_actor import IoActor
from ..config import Settings
from .price_source import access_of, require_keys

NO_CALENDAR = "XNYS"
"""The sessions of US stocks, where the settings name no others."""

FIRST = date(2025, 1, 1)
"""Sessions are known from here on; no account is older."""

AHEAD = timedelta(days=730)

Shown = Callable[[Bars], None]


class Told(NamedTuple):
    """What a live feed tells: quotes, bars, and what a person should know."""

    quotes: Callable[[tuple[Quote, ...]], None]
    bars: Callable[[Bars], None]
    trouble: Callable[[str], None]


FeedOf = Callable[[tuple[str, ...], Told, SessionSchedule], IoActor]
"""What makes each incarnation of a feed, from the symbols that it watches, whom it tells, and the sessions that there are."""


def alpaca_feed(settings: Settings) -> FeedOf:
    """Return what makes Alpaca's feed; incarnations share what must outlive them. Raises ConfigError without SDK or keys."""
    require_keys(settings)
    access = access_of(settings)
    from ..adapters.alpaca.feed import FeedMemory, LiveFeed, Surroundings

    memory = FeedMemory()

    def feed(symbols: tuple[str, ...], told: Told, sessions: SessionSchedule) -> IoActor:
        return LiveFeed(access, symbols, Surroundings(*told), memory=memory, schedule=sessions)

    return feed


def sessions_of(settings: Settings) -> SessionSchedule:
    """Return the sessions from the past year to the next one but one. Raises ConfigError for a calendar that there is not."""
    try:
        return load_schedule(settings.data.calendar or NO_CALENDAR, FIRST, datetime.now(UTC).date() + AHEAD)
    except DataError as error:
        raise ConfigError(str(error)) from error
