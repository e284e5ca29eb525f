"""Quotes, sessions, and an exchange on them, for tests."""

from __future__ import annotations

from decimal import Decimal
from math import nan
from typing import Any

from ordersmith.actors.model import Instrument, Order, Terms
from ordersmith.actors.ports import CancelRequest, Executed, NewOrder, ReplaceRequest, Report
from ordersmith.actors.quotes import Quote
from ordersmith.adapters.simulated.hours import Session
from ordersmith.adapters.simulated.quoted_exchange import QuotedExchange
from ordersmith.adapters.simulated.rules import ExchangeRules

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
FOREVER = 1 << 62
OPEN, CLOSE = 50_000 * SECOND, 70_000 * SECOND
"""Of a day; `DaySessions` has one every day."""


class DaySessions:
    """A session every day."""

    name = "EVERY"

    def at(self, now_ns: int) -> Session | None:
        day = now_ns // DAY
        if now_ns >= day * DAY + CLOSE:
            day += 1
        return Session(day, day * DAY + OPEN, day * DAY + CLOSE)


def quote(symbol: str = "A", bid: float = 10.0, ask: float = 10.1, size: float = 100, **terms: Any) -> Quote:
    """Return a quote with the same size on both sides, seen at the open unless `at_ns` says otherwise."""
    known = {"bid_size": float(size), "ask_size": float(size), "last": nan, "at_ns": OPEN}
    return Quote(symbol, bid, ask, **{**known, **terms})


class QuotedMarket:
    """An exchange on quotes whose session is open; every report is kept."""

    def __init__(self, *, is_open: bool = True, **rules: Any) -> None:
        amounts = {"account_type": "margin", "cash": Decimal(1_000_000), **rules}
        self.exchange = QuotedExchange(
            ExchangeRules(**amounts), {"A": Instrument(), "B": Instrument()}, "main", DaySessions()
        )
        self.now_ns = OPEN
        self.told: list[Report] = []
        if is_open:
            self.told += self.exchange.open_session(Session(0, OPEN, CLOSE))

    def quote(self, *quotes: Quote, now_ns: int | None = None) -> list[Report]:
        self.now_ns = self.now_ns if now_ns is None else now_ns
        return self._told(self.exchange.on_quotes(quotes, self.now_ns))

    def send(self, wire_id: str, order: Order) -> list[Report]:
        return self._told(self.exchange.handle(NewOrder(wire_id, order, FOREVER, 0), self.now_ns))

    def buy(self, wire_id: str, quantity: int, limit: str | None = None, **terms: Any) -> list[Report]:
        return self.send(wire_id, Order.buy(terms.pop("symbol", "A"), quantity, limit, **terms))

    def sell(self, wire_id: str, quantity: int, limit: str | None = None, **terms: Any) -> list[Report]:
        return self.send(wire_id, Order.sell(terms.pop("symbol", "A"), quantity, limit, **terms))

    def cancel(self, wire_id: str) -> list[Report]:
        return self._told(self.exchange.handle(CancelRequest(wire_id), self.now_ns))

    def replace(self, wire_id: str, new_wire_id: str, terms: Terms) -> list[Report]:
        return self._told(self.exchange.handle(ReplaceRequest(wire_id, new_wire_id, terms, FOREVER, 0), self.now_ns))

    def _told(self, reports: list[Report]) -> list[Report]:
        self.told += reports
        return reports


def fills(reports: list[Report]) -> list[tuple[str, str, str]]:
    """Return the executions among reports: order, quantity, price."""
    return [
        (each.wire_id, str(each.fill.quantity), str(each.fill.price)) for each in reports if isinstance(each, Executed)
    ]


def kinds(reports: list[Report]) -> list[str]:
    """Return what the reports are."""
    return [type(each).__name__ for each in reports]
