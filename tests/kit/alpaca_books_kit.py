"""A sandbox broker with a clock of its own, in the middle of a session, and short words for what is done with it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ordersmith.adapters.sandbox.alpaca_broker import BrokerSettings, Refusal, SandboxBroker

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS


def at(text: str) -> int:
    """Return an instant, given in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND_NS


NOON = at("2026-11-20T17:00")
"""Friday, 12:00 in New York."""

CLOSE = at("2026-11-20T21:00")
MONDAY_OPEN = at("2026-11-23T14:30")

BRACKET: dict[str, Any] = {
    "order_class": "bracket",
    "take_profit": {"limit_price": "110"},
    "stop_loss": {"stop_price": "90"},
}


class Books:
    """A broker, what time it is, and every update that it has told."""

    def __init__(self, now_ns: int = NOON, *, quote: bool = True, **settings: Any) -> None:
        self.now_ns = now_ns
        self.broker = SandboxBroker(BrokerSettings(**settings), now_ns)
        self.told: list[dict[str, Any]] = []
        if quote:
            self.quote(99.99, 100.01)

    def quote(self, bid: Any, ask: Any, size: Any = None, symbol: str = "AAPL", ask_size: Any = None) -> None:
        self.broker.on_quote(self.now_ns, symbol, bid, ask, size, size if ask_size is None else ask_size)

    def send(self, **terms: Any) -> dict[str, Any]:
        """Send an order: a market order of the day to buy 10 AAPL, but for what is given. None leaves a field out."""
        body = {"symbol": "AAPL", "side": "buy", "type": "market", "time_in_force": "day", **terms}
        if "notional" not in terms:
            body = {"qty": "10", **body}
        return self.broker.submit(self.now_ns, {name: value for name, value in body.items() if value is not None})

    def rest(self, price: str = "50", **terms: Any) -> dict[str, Any]:
        """Send a limit order."""
        return self.send(type="limit", limit_price=price, **terms)

    def replace(self, order_id: str, **changes: Any) -> dict[str, Any]:
        return self.broker.replace(self.now_ns, order_id, changes)

    def cancel(self, order_id: str) -> None:
        self.broker.cancel(self.now_ns, order_id)

    def fill(self, order_id: str, qty: Any, price: Any = "50") -> dict[str, Any]:
        return self.broker.fill(self.now_ns, order_id, qty, price)

    def wait(self, ns: int) -> None:
        self.now_ns += ns
        self.broker.advance(self.now_ns)

    def wait_until(self, now_ns: int) -> None:
        self.wait(now_ns - self.now_ns)

    def bar(
        self, opened: float, high: float, low: float, close: float, volume: float = 1000, symbol: str = "AAPL"
    ) -> None:
        self.now_ns += MINUTE_NS
        self.broker.on_bars(self.now_ns, {symbol: (opened, high, low, close, volume)})

    def status(self, order_id: str) -> str:
        return str(self.broker.order(order_id)["status"])

    def updates(self, order_id: str | None = None) -> list[dict[str, Any]]:
        """Return all updates so far, or those of one order."""
        self.told += self.broker.take_updates()
        return [each for each in self.told if order_id in {None, each["order"]["id"]}]

    def events(self, order_id: str | None = None) -> list[str]:
        return [each["event"] for each in self.updates(order_id)]

    def position(self, symbol: str = "AAPL") -> str:
        return next((row["qty"] for row in self.broker.positions() if row["symbol"] == symbol), "0")

    def leg(self, order: dict[str, Any], kind: str) -> dict[str, Any]:
        """Return the leg of an order that is of this type now."""
        return next(leg for leg in self.broker.order(order["id"], nested=True)["legs"] if leg["type"] == kind)


def refusal(call: Any, *args: Any, **kwargs: Any) -> Refusal:
    """Return the refusal that a call ends with."""
    with pytest.raises(Refusal) as caught:
        call(*args, **kwargs)
    return caught.value


def code(call: Any, *args: Any, **kwargs: Any) -> tuple[int, int | None]:
    """Return status and code of the refusal that a call ends with."""
    refused = refusal(call, *args, **kwargs)
    return refused.status, refused.code
