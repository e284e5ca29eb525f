"""Bars by REST, page for page. The SDK would read them all into one list first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import msgspec

from ...actors.errors import BrokerProtocolError
from .stamps import wire_text

if TYPE_CHECKING:
    from .data_client import DataClient

PAGE = 10_000
"""Bars of one answer, the most that Alpaca gives."""


class WireBar(msgspec.Struct, gc=False):
    """A bar as the answer has it; `t` is its start."""

    t: datetime
    o: float
    h: float
    l: float  # noqa: E741 - Alpaca's name
    c: float
    v: float


class _Page(msgspec.Struct):
    bars: dict[str, list[WireBar]] | None = None
    next_page_token: str | None = None


class BarsAsked(msgspec.Struct, frozen=True, kw_only=True):
    """Which bars: those that start from `start` on and before `end`."""

    symbols: Sequence[str]
    start: datetime
    end: datetime
    timeframe: str
    feed: str
    adjustment: Literal["raw", "split", "dividend", "all"] = "raw"


def pages(client: DataClient, asked: BarsAsked, *, attempts: int = 1) -> Iterator[dict[str, list[WireBar]]]:
    """Yield the bars by symbol, to the last page; a symbol may be on several. Blocks. Raises what `DataClient.get` raises."""
    query = {
        "symbols": ",".join(asked.symbols),
        "timeframe": asked.timeframe,
        "start": wire_text(asked.start),
        "end": wire_text(asked.end),
        "limit": PAGE,
        "adjustment": asked.adjustment,
        "feed": asked.feed,
        "sort": "asc",
    }
    seen: set[str] = set()
    while True:
        page = client.get("/stocks/bars", query, _Page, attempts=attempts)
        if page.bars:
            # Alpaca includes `end`, where the next range begins.
            yield {symbol: [bar for bar in bars if bar.t < asked.end] for symbol, bars in page.bars.items()}
        token = page.next_page_token
        if not token:
            return
        if token in seen:
            raise BrokerProtocolError("GET /stocks/bars: Alpaca gave the same page twice, the bars would never end")
        seen.add(token)
        query["page_token"] = token
