"""From settings to a live system: the one place where journal, core, broker and clock of paper and live mode are put together.

Nothing runs before `LiveSystem.run`, which belongs to a task of whoever wants it: an executor or the service. A broker is a
line in `PROVIDERS`.
"""

from __future__ import annotations

import base64
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from functools import partial
from math import inf
from typing import Protocol

import anyio
import anyio.to_thread

from ..actors.bars import Bars
from ..actors.errors import ConfigError
from ..actors.model import TimeInForce
from ..actors.ports import JournalStore
from ..actors.risk_gate import VALIDITY_NS
from ..actors.strategy import Strategy
from ..adapters.clocks import Clock
from ..adapters.io_actor import IoActor
from ..adapters.journal_questions import JournalQuestions
from ..adapters.paper.pace import Turns
from ..adapters.sqlite_journal import SqliteJournal
from ..config import Settings, nanoseconds
from .arming import Armed, PortFactories, arm, port_of
from .backlog import Backlog, paced
from .backtest import ACCOUNT, Feed
from .core import Core
from .from_settings import breaker_rules, instruments_of, limits
from .input_log import InputLog
from .inputs import Posted
from .live import LiveRuntime
from .live_parts import Boot
from .price_source import ALPACA, require_keys
from .prices import Prices
from .status import machines_of
from .tree import Plan
from .watchdog import WatchdogLimits

EPOCH_LENGTH = 6

AT_FULL_SPEED_NS = 30 * 86_400 * 1_000_000_000
"""At full speed the account is read every thirty days of the data: a start has to go through what came since the last time."""

PRICES_WITHIN_S = 3.0
"""How long an order waits for the first price of its symbol."""

VALIDITY = Decimal(VALIDITY_NS) / 1_000_000_000
"""Real seconds that an approval is good for."""

Shown = Callable[[Bars], None]
Hosted = Sequence[tuple[str, Strategy]]


class Broker(Protocol):
    """What a live system needs of a broker: its port, the clock that goes with it, and what is opened and closed with it.

    `turns` paces bars by who reads them, where there is such a thing. `speed` is how many seconds of the clock pass in one,
    None for as fast as can be. `feed` makes the `run()` actor of live prices, None where they come with the port. One
    `in_process` stands still when we do, so that nothing it says is ever missed. `address` is where it is, "" in our process.
    """

    in_process: bool

    @property
    def address(self) -> str: ...

    @property
    def clock(self) -> Clock: ...
    @property
    def turns(self) -> Turns | None: ...
    @property
    def speed(self) -> Decimal | None: ...
    @property
    def feed(self) -> Callable[[], IoActor] | None: ...
    def serve(self, runtime: LiveRuntime, shown: Shown, ended: Callable[[], None]) -> None: ...
    def port(self) -> IoActor: ...
    def want(self, symbols: Iterable[str]) -> None: ...
    async def open(self, last_ns: int) -> None: ...
    async def close(self) -> None: ...


BrokerOf = Callable[[Settings, Feed], Broker]


def _paper(settings: Settings) -> BrokerOf:
    if settings.execution.market_data == ALPACA:
        from .quoted_paper_broker import paper_on_alpaca

        return paper_on_alpaca(settings)
    from .paper_broker import PaperBroker  # it needs names from here

    return PaperBroker


def _alpaca(settings: Settings, armed: Armed | None = None) -> BrokerOf:
    from .alpaca_broker import AlpacaBroker

    require_keys(settings)
    if armed is None and not settings.execution.alpaca.paper:
        raise ConfigError(
            "execution.alpaca.paper: found false, but execution.mode is paper; accepted: true, or mode: live"
        )
    return AlpacaBroker


PROVIDERS: dict[str, PortFactories[BrokerOf]] = {
    "alpaca": PortFactories(paper=_alpaca, live=_alpaca),
    "simulated": PortFactories(paper=_paper),
}
"""Who can be traded with."""


def broker_of(settings: Settings, live: str | None) -> tuple[BrokerOf, Armed | None]:
    """Return what makes the broker that the settings name, and the right to trade live if `live` is the account for it.

    Raises ConfigError: a mode that is none of these, live mode that is not armed, a provider without an adapter.
    """
    execution = settings.execution
    if execution.mode == "backtest":
        raise ConfigError("execution.mode: backtest has no live system; accepted: paper, live")
    armed = arm(settings, live)
    if execution.provider not in PROVIDERS:
        raise ConfigError(
            f"execution.provider: {execution.provider}, but this version has no adapter for {execution.provider} yet; "
            f"accepted: {', '.join(PROVIDERS)}, with execution.mode: paper"
        )
    return port_of(settings, armed, PROVIDERS), armed


class LiveSystem:
    """All of one live system. `shown` and `ended` are called as prices come and end, `is_over` says that they have; `run` once.

    `loaded` says that the strategy is the one that the settings name, so that a replay can load it again.
    """

    def __init__(
        self,
        settings: Settings,
        feed: Feed,
        strategies: Hosted = (),
        *,
        live: str | None = None,
        version: str,
        loaded: bool = False,
    ) -> None:
        make, armed = broker_of(settings, live)
        self.settings = settings
        self.broker = make(settings, feed)
        self.journal = SqliteJournal(settings.resolve(settings.journal.path))
        self.shown: Shown = lambda _: None
        self.ended: Callable[[], None] = lambda: None
        self.is_over = False
        self._is_watching = False
        self._ticked: anyio.Event | None = None
        boot_of = partial(Boot, settings.instance, version=version)

        def core_of(last: int) -> Core:
            self.runtime.boot = boot = boot_of(new_epoch(self.journal.boot))
            plan = plan_of(settings, feed.symbols, boot, strategies, self.broker, armed)
            return core_from(plan, self.journal, settings, last)

        self.runtime = LiveRuntime(
            core_of,
            self.journal,
            self.broker.clock,
            boot_of("?"),
            account=ACCOUNT,
            questions=self._questions,
            input_log=InputLog(self.journal, settings, loaded=loaded) if settings.journal.record == "inputs" else None,
            snapshot_every=settings.journal.snapshot_every,
            limits=watchdog_limits(settings, self.broker),
        )
        self.runtime.on_open = self.broker.open
        self.runtime.on_tick = self._after_tick
        self.broker.serve(self.runtime, self._data_come, self._data_over)

    async def run(self) -> None:
        """Open everything, trade until the runtime is stopped, close everything. Raises JournalError or ConfigError."""
        try:
            await self.runtime.run()
        finally:
            await self.broker.close()

    async def prices_of(self, symbols: Iterable[str]) -> None:
        """Have the prices of these symbols watched, and wait a moment for those that nobody knows yet."""
        if self.broker.feed is None:
            return  # without a checkpoint: at a high speed even that is a while in the data's time
        wanted = tuple(dict.fromkeys(symbols))
        known = self.runtime.core.prices.known
        self.broker.want(wanted)
        with anyio.move_on_after(PRICES_WITHIN_S):
            await self.ticks(lambda: all(known.last_price(symbol) is not None for symbol in wanted))

    def _watch_what_is_held(self) -> None:
        """Once trading is possible, have the prices watched of what is held and of what is open."""
        core = self.runtime.core
        if self._is_watching or not core.started:
            return
        self._is_watching = True
        books = core.dispatcher.view("positions").accounts.get(ACCOUNT)
        held = [] if books is None else [symbol for symbol, holding in books.holdings.items() if holding.quantity]
        self.broker.want([*held, *(machine.order.symbol for machine in machines_of(core) if machine.may_be_open)])

    async def ticks(self, until: Callable[[], bool]) -> None:
        """Wait until something holds, which is looked at after each tick."""
        while not until():
            await self.tick()

    async def tick(self) -> None:
        """Return after the next tick."""
        if self._ticked is None:
            self._ticked = anyio.Event()
        await self._ticked.wait()

    def _after_tick(self) -> None:
        self._watch_what_is_held()
        if self._ticked is not None:
            ticked, self._ticked = self._ticked, None
            ticked.set()

    def _data_come(self, bars: Bars) -> None:
        self.shown(bars)

    def _data_over(self) -> None:
        self.is_over = True
        self.ended()

    def _questions(self, runtime: LiveRuntime) -> JournalQuestions:
        return JournalQuestions(
            self.journal,
            last=runtime.last_record,
            post=lambda actor, message, cause: runtime.put(Posted(actor, message, cause)),
            failed=lambda fault: runtime.warn(str(fault)),
        )


# --- Parts -------------------------------------------------------------------------------------------------------------


def new_epoch(boot: int) -> str:
    """Return this boot's part of the ids: never the same again, also if the journal is an old copy."""
    digest = hashlib.sha256(f"{boot} {time.time_ns()} ".encode() + os.urandom(16)).digest()
    return base64.b32encode(digest)[:EPOCH_LENGTH].decode().lower()


def core_from(plan: Callable[[Prices, Backlog], Plan], store: JournalStore, settings: Settings, last: int = 0) -> Core:
    """Return the core of a plan, over a journal that ends with the record `last`."""
    return Core(plan, store, seed=settings.seed, last=last)


def plan_of(
    settings: Settings,
    symbols: Sequence[str],
    boot: Boot,
    strategies: Hosted,
    broker: Broker,
    armed: Armed | None = None,
) -> Callable[[Prices, Backlog], Plan]:
    """Return what the tree is built from, once the core's prices and backlog are there."""
    execution = settings.execution

    def on_the_clock(seconds: Decimal | None) -> int | None:
        """Return real seconds in time of the clock; at full speed that stands still while somebody works, and none pass."""
        return None if seconds is None or broker.speed is None else nanoseconds(seconds * broker.speed)

    def plan(prices: Prices, backlog: Backlog) -> Plan:
        return Plan(
            account=ACCOUNT,
            id_prefix=f"{boot.instance}-{boot.epoch}-",
            limits=limits(settings),
            breaker=breaker_rules(settings),
            instruments=instruments_of(settings, symbols),
            market=prices.known,
            shown=prices.shown,
            targets_time_in_force=TimeInForce(execution.targets.time_in_force),
            strategies=tuple(strategies),
            port=broker.port,
            feed=broker.feed,
            answer_ns=on_the_clock(execution.answer_within),
            reconcile_ns=AT_FULL_SPEED_NS if broker.speed is None else on_the_clock(execution.reconcile_every),
            validity_ns=on_the_clock(VALIDITY) or VALIDITY_NS,
            expected_account=None if armed is None else armed.account,
            backlog=paced(backlog, broker.speed),
        )

    return plan


def watchdog_limits(settings: Settings, broker: Broker) -> WatchdogLimits:
    """Return how slow the process may be."""
    watchdog = settings.watchdog
    return WatchdogLimits(
        slow_handler_s=float(watchdog.slow_handler),
        loop_lag_s=float(watchdog.loop_lag),
        missed_after_s=inf if broker.in_process else float(watchdog.reconnect_after),
    )
