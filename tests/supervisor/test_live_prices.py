"""Live prices in a running core: quotes, the list of symbols, and the feed's own task."""

from __future__ import annotations

import logging
from math import nan
from typing import Any

import anyio
import anyio.lowlevel
import msgspec
import pytest
from live_kit import LIMITS, LiveWorld, ask, bars, connected, order, until
from recorded_session import RecordedWorld

from ordersmith.actors.errors import BrokerAuthError
from ordersmith.actors.events import OrderSubmitted, SessionClosed
from ordersmith.actors.messages import SubmitOrders
from ordersmith.actors.model import Instrument, OrderState
from ordersmith.actors.quotes import Quote
from ordersmith.adapters.io_actor import IoActor, Line
from ordersmith.supervisor.inputs import InstrumentsKnown, LimitsChanged, PricesQuoted
from ordersmith.supervisor.replay import replay

pytestmark = pytest.mark.anyio

STALE_NS = 60_000_000_000


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: Any) -> Any:
    return request.param


class Feed(IoActor):
    """A feed that ends when the test says so. It could speak to the connection, and still is no port of a broker's."""

    speaks_to = "connection/main"

    def __init__(self, lines: list[Line]) -> None:
        self.lines = lines
        self.dies = anyio.Event()
        self.why: Exception = ConnectionError("the stream was cut")

    async def run(self, line: Line) -> None:
        self.lines.append(line)
        await self.dies.wait()
        raise self.why


class FedWorld(LiveWorld):
    """A world with a feed, and a gate that looks at the age of prices."""

    def __init__(self, folder: Any) -> None:
        super().__init__(folder)
        self.lines: list[Line] = []
        self.feeds: list[Feed] = []
        self.feed = self._feed
        self.limits = msgspec.structs.replace(LIMITS, stale_after_ns=STALE_NS)

    def _feed(self) -> Feed:
        self.feeds.append(Feed(self.lines))
        return self.feeds[-1]


def quote(runtime: Any, symbol: str = "A", *, age_ns: int = 0, bid: float = 10.0, last: float = nan) -> PricesQuoted:
    return PricesQuoted((Quote(symbol, bid, 10.1, 500.0, 500.0, last, runtime.clock.now_ns() - age_ns),))


async def submitted(runtime: Any, name: str, **terms: Any) -> Any:
    (status,) = await ask(runtime, "desk", SubmitOrders((msgspec.structs.replace(order(name), **terms),), fresh=True))
    return status


def events(runtime: Any, kind: type) -> list[Any]:
    return [record.event for record in runtime.core.dispatcher.log.records if isinstance(record.event, kind)]


# --- Quotes ------------------------------------------------------------------------------------------------------------


async def test_an_order_notes_the_quote_that_it_arrived_in(tmp_path: Any) -> None:
    """Its record has bid and ask, by which its cost is judged later; with bars alone it has neither."""
    world = LiveWorld(tmp_path)
    async with world.running() as runtime:
        await until(runtime, lambda: connected(runtime))
        await world.trade(runtime, bars(1))
        await submitted(runtime, "one")
        runtime.put(quote(runtime))
        await submitted(runtime, "two")
        one, two = (each.arrival for each in events(runtime, OrderSubmitted))
        assert (one.last, one.bid, one.ask) == (10, None, None)
        assert (str(two.last), str(two.bid), str(two.ask)) == ("10.05", "10.0", "10.1")


@pytest.mark.parametrize(
    ("terms", "code"),
    [({}, ""), ({"age_ns": STALE_NS + 10**9}, "STALE_MARKET"), ({"bid": 10.2, "last": 10.0}, "NO_MARKET_DATA")],
)
async def test_new_risk_needs_a_fresh_price_and_a_sane_quote(tmp_path: Any, terms: Any, code: str) -> None:
    """The gate of a core with live prices refuses on an old or crossed quote, and says which it was."""
    async with FedWorld(tmp_path).running() as runtime:
        await until(runtime, lambda: connected(runtime))
        runtime.put(quote(runtime, **terms))
        status = await submitted(runtime, "o", limit_price=None)
        assert status.reason == code
        assert (status.state is OrderState.REJECTED) is bool(code)


# --- Symbols -----------------------------------------------------------------------------------------------------------


async def test_the_brokers_list_of_symbols_takes_the_place_of_the_plans(tmp_path: Any) -> None:
    """Who is on it can be traded and nobody else, also by a gate that is made anew later."""
    world = FedWorld(tmp_path)
    async with world.running() as runtime:
        await until(runtime, lambda: connected(runtime))
        runtime.put(
            PricesQuoted(tuple(Quote(each, 10.0, 10.1, 9.0, 9.0, 10.0, runtime.clock.now_ns()) for each in "ABC"))
        )
        assert (await submitted(runtime, "c1", symbol="C")).reason == "UNKNOWN_SYMBOL"
        known = {"B": Instrument(tradable=False), "A": Instrument()}
        runtime.put(InstrumentsKnown({"B": known["B"]}))
        assert (await submitted(runtime, "a1")).reason == "UNKNOWN_SYMBOL"
        assert (await submitted(runtime, "b1", symbol="B")).reason == "NOT_TRADABLE"
        runtime.put(InstrumentsKnown({**known, "C": Instrument()}))
        assert (await submitted(runtime, "c2", symbol="C")).reason != "UNKNOWN_SYMBOL"
        runtime.put(LimitsChanged(world.limits, runtime.core.plan.breaker))
        assert (await submitted(runtime, "b2", symbol="B")).reason == "NOT_TRADABLE"
        assert known == {"B": Instrument(tradable=False), "A": Instrument()}


# --- The feed's task ---------------------------------------------------------------------------------------------------


async def test_a_feed_that_dies_is_started_again_and_costs_no_session(tmp_path: Any) -> None:
    """Its crash is its own: the broker stays connected, and commands still go to the port alone."""
    world = FedWorld(tmp_path)
    async with world.running() as runtime:
        await until(runtime, lambda: connected(runtime))
        world.feeds[0].dies.set()
        await until(runtime, lambda: len(world.feeds) == 2)
        assert connected(runtime)
        assert not events(runtime, SessionClosed)
        runtime.put(quote(runtime))
        await submitted(runtime, "o")
        await until(runtime, lambda: any(type(each).__name__ == "NewOrder" for each in world.ports[0].taken))
        assert not any(line.waiting for line in world.lines)
        assert len(world.ports) == 1


async def test_a_refused_key_is_one_line_and_no_traceback(tmp_path: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A person is told what to correct, once, however often it is tried again; a defect of the feed shows where it was."""
    world = FedWorld(tmp_path)
    async with world.running() as runtime:
        for number in range(2):
            world.feeds[number].why = BrokerAuthError("check the key")
            world.feeds[number].dies.set()
            await until(runtime, lambda count=number + 2: len(world.feeds) == count)
        (line,) = [line for line in caplog.records if line.levelno >= logging.WARNING]
        assert (line.levelname, line.exc_info) == ("ERROR", None)
        assert line.getMessage() == "feed was refused, and is until the configuration is corrected: check the key"
        world.feeds[2].dies.set()
        await until(runtime, lambda: len(world.feeds) == 4)
    assert [line.getMessage() for line in caplog.records if line.exc_info] == ["feed crashed"]
    assert "the stream was cut" in caplog.text


async def test_a_feed_starts_before_the_gate_and_ends_with_the_tree(tmp_path: Any) -> None:
    """There are prices to come before anything is judged by them."""
    world = FedWorld(tmp_path)
    async with world.running() as runtime:
        names = list(runtime.core.dispatcher.cells)
        assert names.index("feed") < names.index("risk_gate")
        assert len(world.feeds) == 1
    assert len(world.feeds) == 1


# --- Replay ------------------------------------------------------------------------------------------------------------


async def test_a_session_with_live_prices_replays_to_the_same_hash(tmp_path: Any) -> None:
    """Quotes and symbols are inputs like any other, whatever numbers they have; so is the death of the feed."""
    world = RecordedWorld(tmp_path)
    feeds: list[Feed] = []

    def feed() -> Feed:
        feeds.append(Feed([]))
        return feeds[-1]

    world.feed = feed
    world.limits = msgspec.structs.replace(LIMITS, stale_after_ns=STALE_NS)
    async with world.recorded() as runtime:
        await until(runtime, lambda: connected(runtime))
        await world.bars(runtime, 10.0)
        runtime.put(InstrumentsKnown({"A": Instrument(), "B": Instrument(shortable=False)}))
        runtime.put(PricesQuoted((Quote("A", 10.0, 10.1, 1.0, nan, nan, runtime.clock.now_ns()), Quote("B"))))
        assert not (await submitted(runtime, "a1")).reason
        assert (await submitted(runtime, "b1", symbol="B")).reason == "NO_MARKET_DATA"
        feeds[0].dies.set()
        with anyio.fail_after(10):
            while len(feeds) < 2:
                await anyio.lowlevel.checkpoint()
                await world.pass_time(runtime, 1)
        await world.bars(runtime, 11.0)
    outcome = replay(world.log(), world.journal)
    assert outcome.difference is None, outcome
    assert outcome.trace_hash == world.hashes[1]
