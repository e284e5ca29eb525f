"""Quotes: what a live feed says of a symbol at an instant. Like bars they are floats, which die where somebody asks for a price."""

from __future__ import annotations

from decimal import Decimal
from math import inf, nan

import msgspec
from msgspec.structs import replace


def as_price(value: float) -> Decimal | None:
    """Return a float of a quote as the price that it is, None where it is none."""
    return Decimal(repr(value)) if 0.0 < value < inf else None


class Quote(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The best bid and ask, how many shares stand there, and the last trade's price; NaN is what is not known.

    `at_ns` is when the feed saw this, or found that it still holds, by our own clock. A feed hands out what it gets: a quote
    may be crossed, zero, or no number.
    """

    symbol: str
    bid: float = nan
    ask: float = nan
    bid_size: float = nan
    ask_size: float = nan
    last: float = nan
    at_ns: int = 0

    @property
    def is_sane(self) -> bool:
        """Whether somebody could trade on it: both sides are prices, and not crossed."""
        return 0.0 < self.bid <= self.ask < inf

    @property
    def price(self) -> Decimal | None:
        """The last trade's price, or else the middle of a sane quote; None where there is neither."""
        last = as_price(self.last)
        if last is None and self.is_sane:
            return (Decimal(repr(self.bid)) + Decimal(repr(self.ask))) / 2
        return last

    def seen_by(self, now_ns: int) -> Quote:
        """Return it as seen now, if its stamp is ahead of our clock: it would be fresh for longer than a price may be."""
        return self if self.at_ns <= now_ns else replace(self, at_ns=now_ns)
