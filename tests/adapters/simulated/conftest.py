"""A small market to test the exchange in: a clock that moves with the bars, and orders in few words."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from ordersmith.actors.bars import Bars, CorporateAction, Row
from ordersmith.actors.model import Instrument, Order, Terms
from ordersmith.actors.ports import CancelRequest, NewOrder, ReplaceRequest, Report, StatusRequest
from ordersmith.adapters.simulated.exchange import ExchangeRules, SimulatedExchange

MINUTE_NS = 60_000_000_000
PLENTY = 1_000_000.0


class Market:
    """One exchange with the symbols A and B (lot 1, tick 0.01) and L (lot 10); bars follow each other without a gap."""

    def __init__(self, sessions: Any = None, **rules: Any) -> None:
        numbers = {
            key: Decimal(value) if key in DECIMALS and value is not None else value for key, value in rules.items()
        }
        instruments = {"A": Instrument(), "B": Instrument(), "L": Instrument(lot=Decimal(10))}
        self.exchange = SimulatedExchange(ExchangeRules(**numbers), instruments, sessions=sessions)
        self.now_ns = 0
        self.sent = 0

    def bar(self, *prices: float, symbol: str = "A", volume: float = PLENTY, **session: Any) -> list[Report]:
        """Let the next minute pass with a bar of one symbol: its open, high, low and close, or one price for all."""
        row = (*(prices if len(prices) == 4 else prices * 4), volume)
        return self.bars({symbol: row}, **session)

    def bars(
        self,
        rows: dict[str, Row],
        session: int = 0,
        closes: bool = False,
        actions: tuple[CorporateAction, ...] = (),
        regular: bool = True,
    ) -> list[Report]:
        start_ns, self.now_ns = self.now_ns, self.now_ns + MINUTE_NS
        return self.exchange.on_bars(Bars(start_ns, self.now_ns, session, closes, rows, actions, regular))

    def buy(self, quantity: int | str, limit: str | None = None, symbol: str = "A", **terms: Any) -> list[Report]:
        return self.send(Order.buy(symbol, quantity, limit, **terms))

    def sell(self, quantity: int | str, limit: str | None = None, symbol: str = "A", **terms: Any) -> list[Report]:
        return self.send(Order.sell(symbol, quantity, limit, **terms))

    def send(self, order: Order, wire_id: str = "", not_after_ns: int = 1 << 62) -> list[Report]:
        """Send an order; the n-th is called o<n>.1 unless it has a name."""
        self.sent += 1
        return self.exchange.handle(NewOrder(wire_id or f"o{self.sent}.1", order, not_after_ns, 0), self.now_ns)

    def cancel(self, wire_id: str) -> list[Report]:
        return self.exchange.handle(CancelRequest(wire_id), self.now_ns)

    def replace(
        self,
        wire_id: str,
        new_wire_id: str,
        quantity: int | str,
        limit: str | None = None,
        not_after_ns: int = 1 << 62,
        **prices: str,
    ) -> list[Report]:
        price = None if limit is None else Decimal(limit)
        others = {name: Decimal(value) for name, value in prices.items()}
        command = ReplaceRequest(wire_id, new_wire_id, Terms(Decimal(quantity), price, **others), not_after_ns, 0)
        return self.exchange.handle(command, self.now_ns)

    def status(self, wire_id: str) -> Report:
        (report,) = self.exchange.handle(StatusRequest(wire_id), self.now_ns)
        return report


DECIMALS = (
    *("slippage", "slippage_fixed", "participation", "price_increment", "impact", "cash", "borrow_rate"),
    *("commission", "commission_per_share", "commission_fraction", "commission_minimum", "commission_maximum"),
    *("initial_margin", "maintenance_margin", "short_initial_margin"),
)


@pytest.fixture
def market() -> Callable[..., Market]:
    """Return the maker of markets; its arguments are the rules."""
    return Market
