"""Alpaca's market data by HTTP: bars of the past with the files' own dates, then those that were live; and the newest of everything.

docs.alpaca.markets, "Historical Stock Data": results are sorted by symbol, then by time; `limit` counts over all symbols of a page, and
`page_token` goes on behind its last row.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

from .alpaca_refusal import Refusal
from .frames import DAY, MINUTE, Frame, frame_of
from .http_front import Act, Answer, Call
from .market import Quote, Row, Trade, worded
from .office import Office
from .stamps import NS, day_of, midnight_ns, parsed

DEFAULT_LIMIT, MOST = 1000, 10_000

T = TypeVar("T", Row, Quote, Trade)
Fetch = Callable[[str, int, int, int], list[T]]
"""Returns the first rows of a symbol from a time on, until another, so many at most."""


class Asked(NamedTuple):
    """What every question about the past has."""

    symbols: list[str]
    start_ns: int
    end_ns: int
    limit: int
    from_symbol: str
    from_ns: int
    newest_first: bool


async def bars(office: Office, call: Call) -> Answer:
    try:
        frame = frame_of(call.query.get("timeframe") or "1Min")
    except ValueError as error:
        raise Refusal(400, None, str(error)) from None
    asked = _asked(call)
    # What was live is copied here; the rest is looked up, or made up, in a thread: it may be much.
    live = {symbol: list(office.market.bars.get(symbol, ())) for symbol in asked.symbols}
    first_live = {symbol: rows[0].at_ns if rows else office.started_ns for symbol, rows in live.items()}

    def fetch(symbol: str, start_ns: int, end_ns: int, at_most: int) -> list[Row]:
        begun = first_live[symbol]
        past = office.tape.history(symbol, frame, start_ns, min(end_ns, begun - 1), at_most)
        return _joined(past, _live(frame, live[symbol], start_ns, end_ns))[:at_most]

    return Answer(200, await asyncio.to_thread(_page, "bars", asked, fetch))


def _live(frame: Frame, rows: list[Row], start_ns: int, end_ns: int) -> list[Row]:
    """Return what was live in a frame. A minute's bars are what was sent, though they were played at another speed."""
    found = rows if frame == (1, "Min") else frame.gathered(rows)
    return [row for row in found if start_ns <= row.at_ns <= end_ns]


def _joined(past: list[Row], live: list[Row]) -> list[Row]:
    """Return both, where they meet in one bar the newer."""
    if past and live and past[-1].at_ns >= live[0].at_ns:
        past = [row for row in past if row.at_ns < live[0].at_ns]
    return past + live


def quotes(office: Office, call: Call) -> Answer:
    kept = office.market.quotes
    return Answer(200, _page("quotes", _asked(call), lambda *of: _between(kept.get(of[0], ()), *of[1:])))


def trades(office: Office, call: Call) -> Answer:
    kept = office.market.trades
    return Answer(200, _page("trades", _asked(call), lambda *of: _between(kept.get(of[0], ()), *of[1:])))


def _between(rows: Iterable[T], start_ns: int, end_ns: int, at_most: int) -> list[T]:
    return [row for row in rows if start_ns <= row.at_ns <= end_ns][:at_most]


# --- Pages -----------------------------------------------------------------------------------------------------------------


def _asked(call: Call) -> Asked:
    """Read what is asked for. Raises Refusal."""
    symbols = _symbols(call)
    try:
        start, end = call.query.get("start"), call.query.get("end")
        start_ns = parsed(start) if start else midnight_ns(day_of(call.now_ns))
        end_ns = parsed(end, end_of_day=True) if end else call.now_ns
        token = call.query.get("page_token")
        symbol, behind = _read_token(token) if token else ("", 0)
    except ValueError as error:
        raise Refusal(400, None, str(error)) from None
    newest_first = call.query.get("sort") == "desc"
    limit = call.whole("limit", DEFAULT_LIMIT, MOST)
    return Asked(symbols, start_ns, end_ns, limit, symbol, behind, newest_first)


def _symbols(call: Call) -> list[str]:
    symbols = sorted(set(call.listed("symbols")))
    if not symbols:
        raise Refusal(400, None, "symbols is missing; give one or more, as symbols=AAPL,MSFT")
    return symbols


def _page(name: str, asked: Asked, fetch: Fetch[T]) -> dict[str, Any]:
    """Return one page, and the token of the next one if there is more."""
    found: dict[str, list[dict[str, Any]]] = {}
    left = asked.limit
    for symbol in asked.symbols:
        if symbol < asked.from_symbol:
            continue
        begun = symbol == asked.from_symbol
        if left == 0:
            return {name: found, "next_page_token": _token(symbol, None)}
        rows, more = _rows(asked, fetch, symbol, asked.from_ns if begun else None, left)
        if rows:
            found[symbol] = [worded(row.told()) for row in rows]
            left -= len(rows)
        if more:
            return {name: found, "next_page_token": _token(symbol, rows[-1].at_ns)}
    return {name: found, "next_page_token": None}


def _rows(asked: Asked, fetch: Fetch[T], symbol: str, behind: int | None, left: int) -> tuple[list[T], bool]:
    """Return a symbol's rows of this page, and whether it has more. `behind` is the time of the last row before them."""
    if not asked.newest_first:
        start = asked.start_ns if not behind else max(behind + 1, asked.start_ns)
        rows = fetch(symbol, start, asked.end_ns, left + 1)
        return rows[:left], len(rows) > left
    end = asked.end_ns if not behind else min(behind - 1, asked.end_ns)
    rows = fetch(symbol, asked.start_ns, end, MOST * 100)[::-1]
    return rows[:left], len(rows) > left


def _token(symbol: str, at_ns: int | None) -> str:
    return base64.urlsafe_b64encode(f"{symbol}|{at_ns or 0}".encode()).decode()


def _read_token(text: str) -> tuple[str, int]:
    try:
        symbol, _, at = base64.urlsafe_b64decode(text.encode()).decode().partition("|")
        return symbol, int(at)
    except (binascii.Error, UnicodeError, ValueError):
        raise ValueError(f"page_token {text!r} is none that was given out") from None


# --- The newest ------------------------------------------------------------------------------------------------------------


def _latest(name: str, look: Callable[[Office, str], Row | Quote | Trade | None]) -> Act:
    def act(office: Office, call: Call) -> Answer:
        found = {symbol: look(office, symbol) for symbol in _symbols(call)}
        return Answer(200, {name: {symbol: worded(row.told()) for symbol, row in found.items() if row is not None}})

    return act


def _last_bar(office: Office, symbol: str) -> Row | None:
    """Return the newest minute bar: the last one that was live, or that of the past."""
    return office.market.last_bar(symbol) or _before(office, symbol, MINUTE, office.started_ns, 3 * MINUTE.seconds)


def _before(office: Office, symbol: str, frame: Frame, until_ns: int, within_s: int) -> Row | None:
    rows = office.tape.history(symbol, frame, until_ns - within_s * NS, until_ns - frame.seconds * NS, MOST)
    return rows[-1] if rows else None


def _snapshot(office: Office, symbol: str) -> dict[str, Any]:
    market, today = office.market, midnight_ns(day_of(office.started_ns))
    parts = {
        "latestTrade": market.last_trade(symbol),
        "latestQuote": market.last_quote(symbol),
        "minuteBar": _last_bar(office, symbol),
        "dailyBar": market.days.get(symbol),
        "prevDailyBar": market.last_days.get(symbol) or _before(office, symbol, DAY, today, 10 * DAY.seconds),
    }
    return {name: worded(part.told()) for name, part in parts.items() if part is not None}


def snapshots(office: Office, call: Call) -> Answer:
    found = {symbol: _snapshot(office, symbol) for symbol in _symbols(call)}
    return Answer(200, {symbol: snapshot for symbol, snapshot in found.items() if snapshot})


ROUTES: tuple[tuple[str, str, Act], ...] = (
    ("GET", "/v2/stocks/bars", bars),
    ("GET", "/v2/stocks/quotes", quotes),
    ("GET", "/v2/stocks/trades", trades),
    ("GET", "/v2/stocks/bars/latest", _latest("bars", _last_bar)),
    ("GET", "/v2/stocks/quotes/latest", _latest("quotes", lambda office, symbol: office.market.last_quote(symbol))),
    ("GET", "/v2/stocks/trades/latest", _latest("trades", lambda office, symbol: office.market.last_trade(symbol))),
    ("GET", "/v2/stocks/snapshots", snapshots),
)
