"""LiveExecutor: the `OrderExecutor` interface over a live system, inside the host's own event loop.

    async with LiveExecutor("config.yaml") as executor:
        await executor.submit_orders([Order.buy("AAPL", 10)])

It installs no signal handler, configures no logging and has no state outside of itself: several at once know nothing of
each other. What it calls to trade is `LiveRuntime`; what it promises for the end of the block is `LiveBlock`.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from os import PathLike
from types import TracebackType
from typing import Any, Literal, Self

import anyio.lowlevel
import anyio.to_thread
import msgspec
from msgspec.structs import replace

from ..actors.actor import ReplyTo
from ..actors.errors import ExecutorClosed, UsageError
from ..actors.given import by_symbol, id_given, orders_given, symbol_given
from ..actors.messages import ResolveOrder
from ..actors.model import Instrument, Order, OrderStatus, TradingState, as_datetime, exact, exactly
from ..actors.ports import MarketData
from ..actors.snapshots import ResolveSymbol
from ..actors.strategy import Strategy
from ..adapters.market_data import feed_from
from ..config import Settings
from .announcing import Announcer
from .asking import NO_ANSWER, AskingExecutor, judged
from .backtest import Feed
from .events_stream import Events, Tail
from .executor import load_settings
from .interrupts import sheltered
from .live import LiveRuntime
from .live_block import LiveBlock
from .live_market import LiveMarket, Showing
from .live_plan import LiveSystem, broker_of
from .price_source import feed_of
from .status import open_ids
from .strategies import load_strategy

log = logging.getLogger("ordersmith")

CLOSED = "the executor was left with its `with` block; open another"
NOT_OPEN = "the executor is not open; use it inside of `async with executor:`"


class LiveExecutor(AskingExecutor):
    """Executes orders on paper or live, in the mode that the configuration names.

    `config` is a file, a mapping of the same form, or Settings; `strategy` is hosted instead of the one that it names;
    `data` replaces the data that it names. `live` is the account's id, typed for live mode. Making one raises ConfigError
    for a mode, a provider or an account that cannot be traded; entering it raises ConfigError, DataError or JournalError.

    It belongs to the event loop and the thread in which it was entered; there any number of tasks may use it. Leaving the
    block stops it in order, within `service.stop_within`, however the block is left. `left` are the orders that stayed
    open at the broker then.
    """

    def __init__(
        self,
        config: str | PathLike[str] | Mapping[str, Any] | Settings,
        *,
        strategy: Strategy | None = None,
        data: Any = None,
        live: str | None = None,
        name: str = "main",
    ) -> None:
        self.settings = self._as_meant(config if isinstance(config, Settings) else load_settings(config))
        broker_of(self.settings, live)
        self.left: tuple[OrderStatus, ...] = ()
        self._data, self._live = data, live
        self._strategy, self._name = strategy, name
        self._system: LiveSystem
        self._block: LiveBlock
        self._tail: Tail
        self._showing: Showing
        self._home: tuple[int, Any] | None = None
        self._closed = False
        self._outside_ids = 0

    @staticmethod
    def _as_meant(settings: Settings) -> Settings:
        return settings

    # --- Block ---------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._home is not None:
            raise UsageError("this executor was opened already; make another one")
        self._home = _here()
        try:
            await sheltered(self._open)()
        except BaseException:
            self._closed = True
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._closed = True
        try:
            return await sheltered(self._block.end)(error)
        finally:
            self._showing.close()
            self._tail.end()

    # --- Time and prices -----------------------------------------------------------------------------------------------

    @property
    def now_ns(self) -> int:
        """The time of the clock that orders are traded by, nanoseconds UTC: with a paper account, that of its data."""
        return self._runtime().clock.now_ns()

    @property
    def now(self) -> datetime:
        """The same, aware, UTC."""
        return as_datetime(self.now_ns)

    def market(self) -> LiveMarket:
        """Return an iterator over the bars as they are shown: `async for bars in executor.market()`.

        A paper account at `speed: max` waits for its reader, as a backtest does: the next bars come when they are asked
        for, and all that the last ones brought has happened by then. There time stands still until the first `market()`;
        with a hosted strategy it does so only if `market()` comes before anything is awaited. A reader that is closed
        lets the data go on. At other speeds up to 1,000 bars wait for their reader, then the oldest are dropped:
        `missed` counts them. Calling `market()` again goes on where the last one stopped and ends that one.
        """
        self._runtime()
        return self._showing.read()

    def events(self, after: int = 0) -> Events:
        """Return an iterator over the durable records above number `after`: first those that there are, then live.

        No record is left out and none comes twice. A reader that falls more than 10,000 records behind is given them from
        the journal's file until it has caught up.
        """
        self._runtime()
        return Events(self._tail, after)

    # --- AskingExecutor ------------------------------------------------------------------------------------------------

    async def submit_orders(self, orders: Sequence[Order]) -> list[OrderStatus]:
        self._runtime()
        given = orders_given(orders)
        await self._system.prices_of(order.symbol for order in given if isinstance(order, Order))
        return await super().submit_orders(given)

    async def set_targets(
        self, targets: Mapping[str, Decimal | int | str], *, close_others: bool = False
    ) -> list[OrderStatus]:
        self._runtime()
        await self._system.prices_of(by_symbol(targets, "targets"))
        return await super().set_targets(targets, close_others=close_others)

    async def resume(self, reason: str) -> TradingState:
        runtime = self._runtime()
        if runtime.fault:
            await runtime.mend()
        return await super().resume(reason)

    async def resolve_order(
        self,
        order_id: str,
        verdict: Literal["absent", "filled", "release"],
        reason: str,
        *,
        quantity: Decimal | int | str | None = None,
        price: Decimal | int | str | None = None,
    ) -> OrderStatus:
        """Say what became of an order that nobody can prove, and return its status.

        `absent`: the broker does not have it. `filled`: it filled all that was missing, or `quantity`, at `price` or else
        at its limit. `release`: a quarantined order is looked after again. Raises OrderCommandError for an order that is
        not in doubt.
        """
        order_id = id_given(order_id)
        amounts = (
            None if quantity is None else exact(quantity, "quantity"),
            None if price is None else exact(price, "price"),
        )
        status: OrderStatus = await self._ask(
            "desk", lambda to: ResolveOrder(order_id, verdict, reason, *amounts, reply_to=to)
        )
        return status

    async def resolve_symbol(self, symbol: str, verdict: Literal["adopt", "release"], reason: str) -> None:
        """End the disagreement with the broker about a symbol, or about cash (""), that has been looked into.

        `adopt` takes over what the broker says at the next reading, `release` trusts that the books agree by then. Raises
        OrderCommandError for what is not frozen.
        """
        symbol = symbol_given(symbol)
        connection = f"connection/{self._runtime().core.plan.account}"
        await self._ask(connection, lambda to: ResolveSymbol(symbol, verdict, reason, reply_to=to))

    async def _ask(self, actor: str, request: Callable[[ReplyTo], Any]) -> Any:
        runtime = self._runtime()
        answer = judged(actor, await runtime.ask(actor, request(NO_ANSWER)))
        if self._showing.turns is not None:
            await self._settled()
        return answer

    async def _market_of(self, symbol: str) -> tuple[MarketData, Instrument | None]:
        core = self._runtime().core
        await self._system.prices_of([symbol])
        return core.prices.known, core.plan.instruments.get(symbol)

    def _with_id(self, order: Order) -> Order:
        order = exactly(order)
        if order.client_order_id:
            return order
        boot = self._runtime().boot
        self._outside_ids += 1
        return msgspec.structs.replace(order, client_order_id=f"{boot.instance}-{boot.epoch}-x{self._outside_ids}")

    # --- Parts ---------------------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        strategies = self._strategies()
        feed = await anyio.to_thread.run_sync(self._feed, abandon_on_cancel=True)
        system = self._system = LiveSystem(
            self.settings, feed, strategies, live=self._live, version=_version(), loaded=self._strategy is None
        )
        self._tail = Tail(system.runtime, system.journal.path)
        Announcer(system.runtime)
        showing = self._showing = Showing(system.broker.turns, self._settled)
        system.shown, system.ended = showing.show, showing.end
        block = LiveBlock(system, go_on=showing.run_free, before_stop=self._note_what_is_left)
        await block.begin(showing.let_go if strategies else _nothing)
        self._block = block

    def _runtime(self) -> LiveRuntime:
        """Return what to ask. Raises UsageError or ExecutorClosed where and when nothing may be asked."""
        if self._closed:
            raise ExecutorClosed(CLOSED)
        if self._home is None:
            raise UsageError(NOT_OPEN)
        if threading.get_ident() != self._home[0]:
            raise UsageError(
                "the executor was called from another thread than the one that opened it; use open_blocking_executor, "
                "which may be called from any thread, or anyio.from_thread.run in a worker thread"
            )
        if (token := _token()) is not None and token != self._home[1]:
            raise UsageError(
                "the executor was called from another event loop than the one that opened it; open one there"
            )
        return self._system.runtime

    async def _settled(self) -> None:
        """At full speed: wait until all that was caused is done with, as nothing moves before that in a backtest."""
        await self._system.runtime.idle()

    def _strategies(self) -> tuple[tuple[str, Strategy], ...]:
        strategy, named = self._strategy, self.settings.strategy
        if strategy is None and named.path is not None:
            strategy = load_strategy(named.path, named.parameters, self.settings.base)
        return () if strategy is None else ((self._name, strategy),)

    def _feed(self) -> Feed:
        if self._data is None:
            return feed_of(self.settings)
        feed: Feed = feed_from(self._data, self.settings.data, base=self.settings.base)
        return feed

    def _note_what_is_left(self) -> None:
        core = self._system.runtime.core
        cells = core.dispatcher.cells
        self.left = tuple(cells[f"order/{order_id}"].actor.machine.status() for order_id in open_ids(core))
        if self.left:
            ids = ", ".join(status.client_order_id for status in self.left[:10])
            more = f" and {len(self.left) - 10} more" if len(self.left) > 10 else ""
            log.warning("the executor stops and leaves orders open at the broker: %s%s", ids, more)


class PaperExecutor(LiveExecutor):
    """A LiveExecutor on the local paper broker, whatever mode and provider the configuration names."""

    @staticmethod
    def _as_meant(settings: Settings) -> Settings:
        return replace(settings, execution=replace(settings.execution, mode="paper", provider="simulated"))


class AlpacaPaperExecutor(LiveExecutor):
    """A LiveExecutor on a paper account at Alpaca, whatever mode and provider the configuration names.

    Symbols need not be named before: who submits an order for one waits until its price is known.
    """

    @staticmethod
    def _as_meant(settings: Settings) -> Settings:
        return replace(settings, execution=replace(settings.execution, mode="paper", provider="alpaca"))


class AlpacaLiveExecutor(LiveExecutor):
    """A LiveExecutor on an account with real money at Alpaca; `live` is the account's number, typed by a person.

    The configuration must say `execution.alpaca.paper: false`: the class's name alone does not make an account live.
    """

    @staticmethod
    def _as_meant(settings: Settings) -> Settings:
        return replace(settings, execution=replace(settings.execution, mode="live", provider="alpaca"))


def _here() -> tuple[int, Any]:
    return threading.get_ident(), _token()


def _token() -> Any:
    """Return what tells the running event loop from others, None outside of one."""
    try:
        return anyio.lowlevel.current_token()
    except anyio.NoEventLoopError:
        return None


def _version() -> str:
    """Return the version of the package that this is part of, which stands above this floor."""
    return str(vars(sys.modules[__name__.partition(".")[0]])["__version__"])


def _nothing() -> None:
    """Let the data wait for their reader."""
