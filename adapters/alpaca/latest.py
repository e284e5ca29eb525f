"""The latest quotes and trades by REST: what makes a quiet symbol's price fresh, since it was confirmed and not only not contradicted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from math import nan
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from .stamps import stamp_ns

if TYPE_CHECKING:
    from .data_client import DataClient

SYMBOLS_A_REQUEST = 200
"""So that an address stays short enough for every proxy."""

_INVALID = re.compile(r"invalid symbol:?\s*'?([^\s',]+)", re.IGNORECASE)


class Latest(NamedTuple):
    """The last quote and trade of a symbol, with the exchange's stamps; NaN and 0 for what there is not."""

    bid: float = nan
    ask: float = nan
    bid_size: float = nan
    ask_size: float = nan
    quoted_ns: int = 0
    last: float = nan
    traded_ns: int = 0


class _Quote(msgspec.Struct):
    t: datetime
    bp: float = nan
    ap: float = nan
    bs: float = nan
    ask_size: float = msgspec.field(name="as", default=nan)


class _Trade(msgspec.Struct):
    t: datetime
    p: float = nan


class _Quotes(msgspec.Struct):
    quotes: dict[str, _Quote] | None = None


class _Trades(msgspec.Struct):
    trades: dict[str, _Trade] | None = None


def read_latest(
    client: DataClient, symbols: Sequence[str], feed: str, *, attempts: int = 1
) -> tuple[dict[str, Latest], tuple[str, ...]]:
    """Return the latest prices by symbol, and the symbols that Alpaca calls invalid. One that it does not know is in neither.

    Blocks. Raises what `DataClient.get` raises.
    """
    found: dict[str, Latest] = {}
    invalid: list[str] = []
    for at in range(0, len(symbols), SYMBOLS_A_REQUEST):
        _read(client, list(symbols[at : at + SYMBOLS_A_REQUEST]), feed, attempts, found, invalid)
    return found, tuple(invalid)


def _read(
    client: DataClient, symbols: list[str], feed: str, attempts: int, found: dict[str, Latest], invalid: list[str]
) -> None:
    from .data_client import Declined

    while symbols:
        query = {"symbols": ",".join(symbols), "feed": feed}
        try:
            quotes = client.get("/stocks/quotes/latest", query, _Quotes, attempts=attempts).quotes or {}
            trades = client.get("/stocks/trades/latest", query, _Trades, attempts=attempts).trades or {}
        except Declined as declined:  # one bad symbol spoils the answer for all of them
            named = _INVALID.search(declined.text)
            if named is None or named[1] not in symbols:
                raise
            symbols.remove(named[1])
            invalid.append(named[1])
            continue
        for symbol in symbols:
            if symbol in quotes or symbol in trades:
                found[symbol] = _joined(quotes.get(symbol), trades.get(symbol))
        return


def _joined(quote: _Quote | None, trade: _Trade | None) -> Latest:
    latest = Latest()
    if quote is not None:
        latest = Latest(quote.bp, quote.ap, quote.bs, quote.ask_size, stamp_ns(quote.t))
    return latest if trade is None else latest._replace(last=trade.p, traded_ns=stamp_ns(trade.t))
