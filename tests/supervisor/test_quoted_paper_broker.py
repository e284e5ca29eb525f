"""A live system on paper whose prices are a live feed's quotes: from the settings to a fill, and over a restart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from live_kit import ask, connected, until

from ordersmith.actors.bars import Bars
from ordersmith.actors.errors import ConfigError
from ordersmith.actors.messages import GetAccountInfo, GetPositions, SubmitOrders
from ordersmith.actors.model import Order, OrderState, OrderStatus
from ordersmith.actors.quotes import Quote
from ordersmith.adapters.clocks import WallClock
from ordersmith.adapters.io_actor import IoActor, Line
from ordersmith.config import load
from ordersmith.supervisor import quoted_paper_broker
from ordersmith.supervisor.live_plan import LiveSystem, broker_of
from ordersmith.supervisor.price_source import LivePrices
from ordersmith.supervisor.quoted_paper_broker import QuotedPaperBroker, Told

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: Any) -> Any:
    return request.param


class Feed(IoActor):
    """A live feed that says what a test has it say."""

    def __init__(self, symbols: tuple[str, ...], told: Told) -> None:
        self.symbols, self.told = list(symbols), told

    def want(self, symbols: list[str]) -> None:
        self.symbols += symbols

    def quote(self, symbol: str, bid: float, ask: float, size: float = 100) -> None:
        self.told.quotes((Quote(symbol, bid, ask, size, size, bid, WallClock().now_ns()),))

    async def run(self, line: Line) -> None:
        await anyio.sleep_forever()


class Trading:
    """One live system and its feed."""

    def __init__(self, system: LiveSystem, feed: Feed) -> None:
        self.system, self.runtime, self.feed = system, system.runtime, feed

    async def submit(self, name: str, symbol: str, quantity: int, limit: str) -> OrderStatus:
        """Submit an order that trades at any hour, so that these tests do."""
        terms = {"extended_hours": True, "time_in_force": "GTC", "client_order_id": name}
        order = Order.buy(symbol, quantity, limit, **terms)
        (status,) = await ask(self.runtime, "desk", SubmitOrders((order,)))
        return status

    async def filled(self, name: str, quantity: int) -> OrderStatus:
        def view() -> Any:
            return self.runtime.core.dispatcher.view(f"order/{name}")

        await until(self.runtime, lambda: view() is not None and view().filled_quantity == quantity)
        return view().status()


@pytest.fixture
def feeds(monkeypatch: pytest.MonkeyPatch) -> list[Feed]:
    made: list[Feed] = []

    def feed_of(symbols: tuple[str, ...], told: Told, sessions: Any) -> Feed:
        assert sessions.name == "XNYS"
        made.append(Feed(symbols, told))
        return made[-1]

    monkeypatch.setattr(
        quoted_paper_broker,
        "paper_on_alpaca",
        lambda _: lambda settings, feed: QuotedPaperBroker(settings, feed, feed_of),
    )
    return made


@asynccontextmanager
async def trading(folder: Path, feeds: list[Feed]) -> AsyncIterator[Trading]:
    settings = load(
        {
            "execution": {
                "mode": "paper",
                "provider": "simulated",
                "market_data": "alpaca",
                "paper": {"file": str(folder / "paper.db")},
            },
            "data": {"symbols": ["A"]},
            "journal": {"path": str(folder / "journal.db")},
        }
    )
    system = LiveSystem(settings, LivePrices(("A",)), version="0")
    async with anyio.create_task_group() as group:
        group.start_soon(system.run)
        with anyio.fail_after(30):
            await system.runtime.ready.wait()
        await until(system.runtime, lambda: connected(system.runtime))
        yield Trading(system, feeds[-1])
        await system.runtime.stop(5)


async def test_orders_fill_at_the_quotes_of_the_feed(tmp_path: Path, feeds: list[Feed]) -> None:
    """The gate waits for a price; then it trades at the far side, as far as its size goes, and over a restart."""
    async with trading(tmp_path, feeds) as run:
        assert (await run.submit("early", "A", 10, "10.10")).reason == "NO_MARKET_DATA"
        run.feed.quote("A", 10.0, 10.1, 100)
        assert not (await run.submit("o1", "A", 150, "10.10")).reason
        status = await run.filled("o1", 100)
        assert (str(status.average_price), status.state) == ("10.1", OrderState.PARTIALLY_FILLED)
        bars = Bars(1, 2, 0, False, {"A": (10.0, 10.0, 10.0, 10.0, 1.0)})
        run.feed.told.bars(bars)  # which say nothing to an account on quotes
    async with trading(tmp_path, feeds) as run:
        run.feed.quote("A", 9.9, 10.0, 80)
        status = await run.filled("o1", 150)
        assert status.state is OrderState.FILLED
        (position,) = (await ask(run.runtime, "positions", GetPositions(None))).values()
        assert (position.symbol, position.quantity) == ("A", 150)
        info = await ask(run.runtime, "risk_gate", GetAccountInfo(None))
        assert info.cash == 100_000 - 1010 - 500
    assert len(feeds) == 2


async def test_a_symbol_that_is_wanted_later_can_be_traded(tmp_path: Path, feeds: list[Feed]) -> None:
    """The feed is asked for its prices, and the gate knows it from then on."""
    async with trading(tmp_path, feeds) as run:
        run.feed.quote("NEW", 20.0, 20.1)
        assert (await run.submit("n1", "NEW", 1, "20.10")).reason == "UNKNOWN_SYMBOL"
        run.system.broker.want(["A", "NEW"])  # type: ignore[attr-defined]
        assert run.feed.symbols == ["A", "NEW"]
        assert not (await run.submit("n2", "NEW", 1, "20.10")).reason
        await run.filled("n2", 1)


def test_the_settings_choose_quotes_or_bars(feeds: list[Feed]) -> None:
    """`execution.market_data` decides which paper broker it is."""
    paper: dict[str, Any] = {"mode": "paper", "provider": "simulated"}
    on_bars, _ = broker_of(load({"execution": paper}), None)
    on_quotes, _ = broker_of(load({"execution": {**paper, "market_data": "alpaca"}}), None)
    assert getattr(on_bars, "__name__", "") == "PaperBroker"
    assert isinstance(on_quotes(load({}), LivePrices()), QuotedPaperBroker)


async def test_a_calendar_that_is_none_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    """It is told before anything is traded, by the setting's name."""
    settings = load({"execution": {"mode": "paper", "provider": "simulated"}, "data": {"calendar": "XNYZ"}})
    broker = QuotedPaperBroker(settings, LivePrices(), lambda symbols, told, sessions: Feed(symbols, told))
    with pytest.raises(ConfigError, match=r"data\.calendar"):
        await broker.open(0)
    await broker.close()
