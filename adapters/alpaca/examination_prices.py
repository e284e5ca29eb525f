"""What to look at where only prices come from Alpaca, and orders go to the local paper account: the data's addresses alone.

Nothing of the account that the keys belong to is read, and none of its streams opened: nothing here trades it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from time import time_ns as now_ns
from typing import TypeVar

import anyio
import anyio.to_thread

from ...actors.errors import BrokerAuthError, BrokerError, DataError
from ...actors.model import as_datetime
from ..calendar import load_schedule
from ..disk_checks import Finding
from .access import Access
from .bar_pages import BarsAsked, pages
from .data_client import DataClient
from .examination_streams import examine_data_stream
from .latest import Latest, read_latest
from .stamps import NEW_YORK, midnight

T = TypeVar("T")

PLAIN_SYMBOL = "SPY"
HISTORY = timedelta(days=14)
"""In so many days there always was a session."""

AHEAD = timedelta(days=30)


async def examine_prices(access: Access, *, symbols: Sequence[str], calendar: str) -> AsyncIterator[Finding]:
    """Yield what is found. Nothing is raised: what cannot be looked at is a finding."""
    symbols = symbols or (PLAIN_SYMBOL,)
    finding = await _keys(access)
    yield finding
    if finding.ok is False:
        return
    yield (await latest_prices(access, symbols))[1]
    yield await examine_data_stream(access, symbols)
    yield await _history(access, symbols[0])
    yield await _sessions(calendar)


async def _keys(access: Access) -> Finding:
    where = access.data_url
    try:
        await _asked(access, lambda client: read_latest(client, [PLAIN_SYMBOL], access.feed))
    except BrokerAuthError as error:
        return Finding(
            "keys", False, str(error), "take the keys of any account at Alpaca, paper or live, as they are now"
        )
    except BrokerError as error:
        return Finding("keys", False, str(error), f"see whether {where} can be reached from here, or try again later")
    return Finding("keys", True, f"{where} takes them for prices; the account itself is not traded, and not looked at")


async def latest_prices(access: Access, symbols: Sequence[str]) -> tuple[dict[str, Latest], Finding]:
    """Read the newest prices of symbols, and find whether each has one."""
    try:
        prices, invalid = await _asked(access, lambda client: read_latest(client, symbols, access.feed))
    except BrokerError as error:
        return {}, Finding("prices", False, str(error), "see what execution.alpaca.feed the account has")
    absent = [symbol for symbol in symbols if symbol not in prices]
    if invalid or absent:
        found = f"Alpaca knows no price of {', '.join(dict.fromkeys((*invalid, *absent)))}"
        return prices, Finding("prices", False, found, "correct data.symbols")
    newest_s = (now_ns() - max(max(latest.quoted_ns, latest.traded_ns) for latest in prices.values())) / 1e9
    return prices, Finding(
        "prices", True, f"{len(prices)} symbols by {access.feed}; the newest is {_span(newest_s)} old"
    )


def _span(seconds: float) -> str:
    return (
        f"{seconds:.1f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.0f} h"
    )


async def _history(access: Access, symbol: str) -> Finding:
    today = datetime.now(UTC).astimezone(NEW_YORK).date()
    asked = BarsAsked(
        symbols=(symbol,), start=midnight(today - HISTORY), end=midnight(today), timeframe="1Day", feed=access.feed
    )
    try:
        found = await _asked(
            access, lambda client: [bar for page in pages(client, asked) for bar in page.get(symbol, ())]
        )
    except BrokerError as error:
        return Finding("history", False, str(error), "see what execution.alpaca.feed the account has")
    if not found:
        text = f"Alpaca has no daily bars of {symbol} since {today - HISTORY}"
        return Finding("history", None, text, "live prices do without; a backtest of it would have no bars")
    return Finding("history", True, f"{len(found)} daily bars of {symbol}, the last of {found[-1].t:%Y-%m-%d}")


async def _sessions(calendar: str) -> Finding:
    at_ns = now_ns()
    today = as_datetime(at_ns).date()
    try:
        schedule = await anyio.to_thread.run_sync(load_schedule, calendar, today, today + AHEAD)
    except DataError as error:
        return Finding("calendar", False, str(error), "correct data.calendar")
    session = schedule.at(at_ns)
    if session is None:
        return Finding("calendar", False, f"{calendar} knows no session from now on", "correct data.calendar")
    if session.open_ns <= at_ns:
        return Finding("calendar", True, f"{calendar} is open until {as_datetime(session.close_ns):%Y-%m-%d %H:%M} UTC")
    opens = f"{as_datetime(session.open_ns):%Y-%m-%d %H:%M}"
    return Finding(
        "calendar",
        None,
        f"{calendar} is closed and opens at {opens} UTC: until then only orders with extended_hours trade",
        'wait, or trade at any hour with data.calendar: "24/7"',
    )


async def _asked(access: Access, ask: Callable[[DataClient], T]) -> T:
    """Ask in a thread, with a client for the question."""

    def asking() -> T:
        client = DataClient(access)
        try:
            return ask(client)
        finally:
            client.close()

    return await anyio.to_thread.run_sync(asking, abandon_on_cancel=True)
