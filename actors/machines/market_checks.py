"""The checks of what is known of a symbol's market: a last price, how old it is, and how far a limit is from it.

What is missing, zero or not finite never passes. New risk needs a fresh price and a quote that is none of these, nor crossed;
exits and protection pass on the last price that there was, since to hold them back could cost more.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from ..events import Denial
from ..model import ZERO, Side

if TYPE_CHECKING:
    from .risk import Case

BUY = Side.BUY
ONE = Decimal(1)
SECOND_NS = 1_000_000_000


def market_data(case: Case) -> Denial | None:
    last = case.last
    if last is not None and last.is_finite() and last > ZERO:
        return None
    return Denial("NO_MARKET_DATA", f"{case.order.symbol} has no usable last price ({last})", {"last": str(last)})


def price_collar(case: Case) -> Denial | None:
    limit = case.order.limit_price
    if limit is None:
        return None
    collar, last, stop = case.limits.price_collar, case.last, case.order.stop_price
    if collar is None or last is None:
        return None
    if case.order.side is BUY:
        bound = (last if stop is None else max(last, stop)) * (ONE + collar)  # it trades where its stop is, or later
        within = limit <= bound
    else:
        bound = (last if stop is None else min(last, stop)) * (ONE - collar)
        within = limit >= bound
    if within:
        return None
    numbers = {"limit_price": str(limit), "last": str(last), "collar": str(collar), "bound": str(bound)}
    return Denial(
        "PRICE_COLLAR", f"{case.order.side} at {limit} is beyond {bound}, {collar} from the last price {last}", numbers
    )


def stale_market(case: Case) -> Denial | None:
    """Judge a live price by its age, and the quote behind it by whether anybody could trade on it."""
    symbol, market, limit_ns = case.order.symbol, case.market, case.limits.stale_after_ns
    if limit_ns is None:
        return None
    quote = None if market is None else market.quotes.get(symbol)
    if quote is not None and not quote.is_sane:
        numbers = {"bid": repr(quote.bid), "ask": repr(quote.ask), "at_ns": str(quote.at_ns)}
        text = f"{symbol} has no usable quote (bid {quote.bid}, ask {quote.ask}); new risk waits for one"
        return Denial("NO_MARKET_DATA", text, numbers)
    seen_ns = None if market is None else market.seen_ns(symbol)
    if seen_ns is not None and case.now_ns - seen_ns <= limit_ns:
        return None
    if seen_ns is None:
        return Denial("STALE_MARKET", f"{symbol}'s price was not seen since the start; new risk waits for one", {})
    age_ns = case.now_ns - seen_ns
    text = f"{symbol}'s price was last seen {age_ns / SECOND_NS:.1f} s ago, more than {limit_ns / SECOND_NS:g} s (data.stale_after)"
    return Denial("STALE_MARKET", f"{text}; new risk waits for one", {"age_ns": str(age_ns), "limit_ns": str(limit_ns)})
