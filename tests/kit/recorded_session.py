"""Live sessions that are written down as they run, with most of what can happen in one: for tests of the input log and of replay."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, redirect_stderr, redirect_stdout, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
from live_kit import ExchangePort, LiveWorld

from ordersmith.actors.bars import Bars
from ordersmith.actors.errors import JournalError
from ordersmith.actors.messages import CancelOrders, Change, GetOrderStatus, ReplaceOrder, ResumeTrading, SubmitOrders
from ordersmith.actors.model import Order, Side, exactly
from ordersmith.actors.ports import NewOrder
from ordersmith.adapters.asyncio_island import STOP_S
from ordersmith.adapters.io_actor import Line
from ordersmith.adapters.journal_problems import JournalFault, JournalProblem
from ordersmith.adapters.journal_reader import JournalReader
from ordersmith.adapters.simulated.broker import SimulatedBroker
from ordersmith.adapters.sqlite_journal import SqliteJournal
from ordersmith.config import load
from ordersmith.supervisor import cli
from ordersmith.supervisor.input_log import InputLog, path_of
from ordersmith.supervisor.live import LiveRuntime
from ordersmith.supervisor.strategies import load_strategy

START_NS = 1_700_000_000_000_000_000
SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS

STRATEGY = '''
from ordersmith import Order, Strategy


class Steady(Strategy):
    """Buys at every bar, and breaks at a price of 13."""

    def __init__(self, size=1):
        self.size = size

    def on_bar(self, bar):
        if bar.close == 13:
            raise ValueError("thirteen")
        if bar.symbol == "B":
            self.submit(Order.buy("B", self.size))
'''


class SetClock:
    """A clock that somebody sets."""

    def __init__(self) -> None:
        self.at_ns = START_NS

    def now_ns(self) -> int:
        return self.at_ns

    def seconds_until(self, deadline_ns: int) -> float | None:
        return None

    def stepped(self) -> float:
        return 0.0

    def go_on_from(self, now_ns: int) -> None:
        self.at_ns = max(self.at_ns, now_ns)


class MortalPort(ExchangePort):
    """Dies of the order `dies_of`, with it in its hand."""

    dies_of = "three"

    async def run(self, line: Line) -> None:
        broker = SimulatedBroker(
            self.exchange, lambda _, report, cause: line.post(report, cause), None, lambda: line.now_ns, line.epoch
        )
        while True:
            command, cause = await line.receive()
            if isinstance(command, NewOrder) and command.order.client_order_id == self.dies_of:
                raise ConnectionError("the wire was cut")
            broker.accept(command, cause)


class MortalStore(SqliteJournal):
    """A journal whose disk is full while it is `broken`, and that waits `patience_s` for it at the end."""

    broken = False
    patience_s = STOP_S

    async def close(self, deadline_s: float = STOP_S) -> bool:
        return await super().close(min(deadline_s, self.patience_s))

    def _begin(self, batch: Any) -> Any:
        if self.broken:
            raise JournalFault(JournalProblem.DISK_FULL, self.path)
        return super()._begin(batch)


class RecordedWorld(LiveWorld):
    """Runs sessions with an input log, hosting the strategy that lies in its folder."""

    def __init__(self, folder: Path) -> None:
        self.clock: SetClock
        super().__init__(folder, clock=SetClock())
        self.strategy = folder / "steady.py"
        self.strategy.write_text(STRATEGY)
        self.hashes: dict[int, str] = {}
        self.said: list[str] = []
        self.settings = load({"strategy": {"path": f"{self.strategy}:Steady", "parameters": {"size": 2}}})

    def port(self) -> MortalPort:
        port = MortalPort(self.exchange)
        self.ports.append(port)
        return port

    def log(self, boot: int = 1) -> Path:
        return path_of(self.journal, boot)

    @asynccontextmanager
    async def recorded(self, **options: Any) -> AsyncIterator[LiveRuntime]:
        """Run a session that is written down, and keep its trace hash."""
        named = self.settings.strategy
        assert named.path is not None
        self.strategies = (("steady", load_strategy(named.path, named.parameters, self.settings.base)),)
        store = MortalStore(self.journal)
        log = InputLog(store, self.settings, loaded=True, warn=self.said.append)
        async with self.running(store=store, input_log=log, **options) as runtime:
            yield runtime
        self.hashes[store.boot] = runtime.core.dispatcher.log.trace_hash

    async def bars(self, runtime: LiveRuntime, price: float) -> None:
        """Let a minute pass, at the end of which both symbols have this price."""
        await idle(runtime)
        start_ns, self.clock.at_ns = self.clock.at_ns, self.clock.at_ns + MINUTE_NS
        runtime.look_again()
        row = (price, price + 1, price - 1, price, 1e6)
        await self.trade(runtime, Bars(start_ns, start_ns + MINUTE_NS, 1, False, {"A": row, "B": row}))

    async def pass_time(self, runtime: LiveRuntime, seconds: int) -> None:
        """Let time pass in which nothing comes."""
        for _ in range(seconds):
            self.clock.at_ns += SECOND_NS
            runtime.look_again()
            await idle(runtime)


def order(order_id: str, **terms: Any) -> Order:
    return exactly(Order(symbol="A", side=Side.BUY, quantity=10, client_order_id=order_id, **terms))


async def idle(runtime: LiveRuntime) -> None:
    with anyio.fail_after(20):
        await runtime.idle()


async def ask(runtime: LiveRuntime, actor: str, request: Any) -> Any:
    with anyio.fail_after(20):
        return await runtime.ask(actor, request)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    with anyio.fail_after(20):
        while not await condition():
            await anyio.lowlevel.checkpoint()


# --- What happens ------------------------------------------------------------------------------------------------------


async def trade(world: RecordedWorld, runtime: LiveRuntime) -> None:
    """Orders that fill, change and are cancelled, the strategy's among them."""
    await world.bars(runtime, 10.0)
    await ask(runtime, "desk", SubmitOrders((order("one"), order("two", order_type="LIMIT", limit_price="5"))))
    await idle(runtime)
    await ask(runtime, "desk", ReplaceOrder("two", Change(quantity=Decimal(20))))
    await world.bars(runtime, 11.0)
    await ask(runtime, "desk", CancelOrders(("two", "nobody")))
    await world.bars(runtime, 10.5)


async def lose_the_port(world: RecordedWorld, runtime: LiveRuntime) -> None:
    """The port dies with an order in its hand, and is started again after its backoff."""
    await world.bars(runtime, 10.0)
    await ask(runtime, "desk", SubmitOrders((order("three"),)))

    async def port_is_gone() -> bool:
        (status,) = await ask(runtime, "desk", GetOrderStatus(("three",), None))
        return bool(status.in_doubt)

    await until(port_is_gone)
    await world.pass_time(runtime, 3)
    assert len(world.ports) >= 2
    await world.bars(runtime, 11.0)


async def lose_the_store(world: RecordedWorld, runtime: LiveRuntime) -> None:
    """The disk is full for a while, and a person resumes."""
    store = runtime.store
    assert isinstance(store, MortalStore)
    store.broken = True
    with suppress(JournalError):
        await ask(runtime, "desk", SubmitOrders((order("four"),)))
    store.broken = False
    with anyio.fail_after(20):
        await runtime.mend()
    await idle(runtime)
    await ask(runtime, "circuit_breaker", ResumeTrading("the disk has room again"))
    await ask(runtime, "desk", SubmitOrders((order("five"),)))
    await world.bars(runtime, 12.0)


async def break_the_strategy(world: RecordedWorld, runtime: LiveRuntime) -> None:
    await world.bars(runtime, 13.0)
    await world.bars(runtime, 12.0)


async def everything(world: RecordedWorld, runtime: LiveRuntime) -> None:
    for happens in (trade, lose_the_port, lose_the_store, break_the_strategy):
        await happens(world, runtime)


async def record(folder: Path, happens: Any = trade, **options: Any) -> RecordedWorld:
    world = RecordedWorld(folder)
    async with world.recorded(**options) as runtime:
        await happens(world, runtime)
    assert world.said == []
    return world


# --- The command -------------------------------------------------------------------------------------------------------


def command(*arguments: object) -> tuple[int, str, str]:
    """Run `ordersmith` and return its exit status and what it wrote to both outputs."""
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as problems:
        status = cli.main([str(argument) for argument in arguments], "0")
    return status, out.getvalue(), problems.getvalue()


def replayed(folder: Path, *more: object, boot: int = 1) -> tuple[int, str, str]:
    """Replay by the command, with the strategy in this folder."""
    strategy = ("--strategy", f"{folder / 'steady.py'}:Steady") if (folder / "steady.py").exists() else ()
    return command("replay", folder / f"journal.db.inputs-{boot}", "--journal", folder / "journal.db", *strategy, *more)


def records_in(journal: Path) -> int:
    with JournalReader(journal) as reader:
        return reader.head().number
