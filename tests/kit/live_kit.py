"""A live runtime around the simulated exchange, on a real journal in a folder: for tests of the driver itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio

from ordersmith.actors.bars import Bars
from ordersmith.actors.machines.breaker import BreakerRules
from ordersmith.actors.machines.risk import Limits
from ordersmith.actors.messages import GetOrderStatus
from ordersmith.actors.model import Instrument, Order, Side, exactly
from ordersmith.adapters.clocks import WallClock
from ordersmith.adapters.io_actor import IoActor, Line
from ordersmith.adapters.journal_problems import JournalFault, JournalProblem
from ordersmith.adapters.journal_questions import JournalQuestions
from ordersmith.adapters.simulated.broker import SimulatedBroker
from ordersmith.adapters.simulated.exchange import ExchangeRules, SimulatedExchange
from ordersmith.adapters.sqlite_journal import SqliteJournal
from ordersmith.supervisor.core import Core
from ordersmith.supervisor.inputs import PricesMatched, PricesShown
from ordersmith.supervisor.live import Boot, LiveRuntime
from ordersmith.supervisor.tree import Plan

INSTRUMENTS = {"A": Instrument(), "B": Instrument()}
LIMITS = Limits(
    max_order_quantity=Decimal(100000),
    max_order_notional=Decimal(10**9),
    max_position_quantity=Decimal(10**9),
    max_gross_exposure=Decimal(10**12),
    price_collar=None,
    duplicate_window_ns=0,
    account_type="cash",
    initial_margin=Decimal(1),
    short_initial_margin=Decimal(1),
)


class ExchangePort(IoActor):
    """Hands commands to an exchange that outlives it, as a broker outlives a connection."""

    def __init__(self, exchange: SimulatedExchange) -> None:
        self.exchange = exchange
        self.taken: list[Any] = []

    async def run(self, line: Line) -> None:
        broker = SimulatedBroker(
            self.exchange, lambda _, report, cause: line.post(report, cause), None, lambda: line.now_ns, line.epoch
        )
        while True:
            command, cause = await line.receive()
            self.taken.append(command)
            broker.accept(command, cause)


class LiveWorld:
    """One broker, one journal, and as many runtimes one after the other as a test starts."""

    def __init__(self, folder: Path, *, cash: int = 1_000_000, clock: Any = None) -> None:
        self.folder = folder
        self.journal = folder / "journal.db"
        self.clock = clock or WallClock()
        self.exchange = SimulatedExchange(ExchangeRules(cash=Decimal(cash)), INSTRUMENTS)
        self.boots = 0
        self.ports: list[IoActor] = []
        self.strategies: tuple[Any, ...] = ()
        self.feed: Callable[[], IoActor] | None = None
        self.limits = LIMITS

    def port(self) -> IoActor:
        port = ExchangePort(self.exchange)
        self.ports.append(port)
        return port

    def runtime(self, **options: Any) -> LiveRuntime:
        self.boots += 1
        boot = Boot("os", f"b{self.boots}", "0")
        store = options.pop("store", None) or SqliteJournal(self.journal)

        def plan(prices: Any, backlog: Callable[[int], tuple[int, int]]) -> Plan:
            return Plan(
                account="main",
                id_prefix=f"os-{boot.epoch}-",
                limits=self.limits,
                breaker=BreakerRules(),
                instruments=INSTRUMENTS,
                market=prices.known,
                shown=prices.shown,
                strategies=self.strategies,
                port=self.port,
                feed=self.feed,
                backlog=backlog,
            )

        def questions(runtime: LiveRuntime) -> JournalQuestions:
            return JournalQuestions(
                store, last=runtime.last_record, post=runtime.post, failed=lambda fault: runtime.warn(str(fault))
            )

        return LiveRuntime(
            lambda last: Core(plan, store, last=last),
            store,
            self.clock,
            boot,
            account="main",
            questions=questions,
            **options,
        )

    @asynccontextmanager
    async def running(self, **options: Any) -> AsyncIterator[LiveRuntime]:
        """Run a runtime for the length of a block; stop it in order."""
        runtime = self.runtime(**options)
        async with anyio.create_task_group() as group:
            group.start_soon(runtime.run)
            with anyio.fail_after(10):
                await runtime.ready.wait()
            yield runtime
            await runtime.stop(5)

    async def trade(self, runtime: LiveRuntime, bars: Bars) -> None:
        """Let the market move once all is quiet, and wait until everybody has been told."""
        with anyio.fail_after(10):
            await runtime.idle()
        reports = self.exchange.on_bars(bars)
        runtime.put(PricesMatched(bars))
        for report in reports:
            runtime.post("connection/main", report)
        runtime.put(PricesShown(bars))
        with anyio.fail_after(10):
            await runtime.idle()


MINUTE_NS = 60_000_000_000


def bars(start_ns: int, price: float = 10.0) -> Bars:
    return Bars(start_ns, start_ns + MINUTE_NS, 1, False, {"A": (price, price + 1, price - 1, price, 1e6)})


def order(order_id="", **terms):
    return exactly(Order(symbol="A", side=Side.BUY, quantity=10, client_order_id=order_id, **terms))


async def ask(runtime, actor, request):
    with anyio.fail_after(10):
        return await runtime.ask(actor, request)


async def until(runtime, holds):
    """Wait for what some tick will bring."""
    with anyio.fail_after(10):
        while not holds():
            ticked = anyio.Event()
            runtime.on_tick = ticked.set
            await ticked.wait()


def connected(runtime):
    return runtime.core.dispatcher.view("risk_gate").exposure.account("main").connected


async def status_of(runtime, order_id):
    (status,) = await ask(runtime, "desk", GetOrderStatus((order_id,), None))
    return status


class FailingStore(SqliteJournal):
    """A journal whose commits fail as long as it is `broken`."""

    broken = False

    def _begin(self, batch):
        if self.broken:
            raise JournalFault(JournalProblem.DISK_FULL, self.path)
        return super()._begin(batch)
