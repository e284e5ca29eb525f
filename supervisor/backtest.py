"""The simulated-clock driver: the live system with a simulated clock and a simulated broker.

At one instant the exchange matches the bar that ends, then expires what ends with it, then everybody hears of the
fills, then the strategy sees the bar. Time jumps from bar to bar, stopping at timers between them.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal, localcontext
from typing import Any, Protocol

import msgspec

from ..actors.actor import ReplyTo
from ..actors.errors import ExecutorFailed, StrategyError
from ..actors.machines.breaker import BreakerRules
from ..actors.machines.position import Ledger
from ..actors.machines.risk import Limits
from ..actors.messages import Unknown
from ..actors.model import Bars, Instrument, Order, OrderState, Row, TimeInForce, exact
from ..actors.strategy import Start, Strategy
from ..adapters.memory_journal import MemoryJournal, StoreReader
from ..adapters.simulated.broker import SimulatedBroker
from ..adapters.simulated.exchange import SimulatedExchange
from ..adapters.simulated.rules import ExchangeRules
from ..config import Settings, nanoseconds
from .cell import Cell
from .dispatcher import ARITHMETIC, Dispatcher
from .lifecycle import Lifecycle
from .tree import Plan, build

ACCOUNT = "main"
SNAPSHOT_EVERY = 10_000


class Feed(Protocol):
    """Bars in time order; see `adapters.bar_feed.BarFeed`."""

    symbols: tuple[str, ...]
    step_count: int
    start_ns: int

    def __iter__(self) -> Iterator[Bars]: ...


class LastPrices:
    """`MarketData` of a feed: the closes of the last bars. A float becomes a Decimal when somebody asks, once a bar."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self._known: dict[str, tuple[float, Decimal]] = {}

    def last_price(self, symbol: str) -> Decimal | None:
        row = self.rows.get(symbol)
        if row is None:
            return None
        close = row[3]
        known = self._known.get(symbol)
        if known is not None and known[0] == close:
            return known[1]
        price = Decimal(repr(close))
        self._known[symbol] = (close, price)
        return price


class Backtest:
    """One run: the tree, the exchange, the clock. `start`, then `step` bar after bar."""

    def __init__(self, settings: Settings, feed: Feed, strategies: Sequence[tuple[str, Strategy]] = ()) -> None:
        self.settings = settings
        self.feed = feed
        self.prices = LastPrices()
        self.store = MemoryJournal(settings.journal.keep)
        self.dispatcher = Dispatcher(self.store, seed=settings.seed)
        self.account = ACCOUNT
        self.times = array("q")
        self.sessions = array("q")
        self.equity = array("d")
        self.steps = 0
        self.bars = 0
        self.last_bars: Bars | None = None
        self.left: dict[OrderState, int] = {}
        instruments = _instruments(settings, feed.symbols)
        with localcontext(ARITHMETIC):  # its constants are made now, and not with the host's precision
            self.exchange = SimulatedExchange(_rules(settings), instruments, ACCOUNT)
        self.lifecycle = Lifecycle(
            self.dispatcher,
            build(
                Plan(
                    account=ACCOUNT,
                    id_prefix=f"bt-{_epoch(settings.seed)}-",
                    limits=_limits(settings),
                    breaker=_breaker(settings),
                    instruments=instruments,
                    market=self.prices,
                    targets_time_in_force=TimeInForce(settings.execution.targets.time_in_force),
                    strategies=tuple(strategies),
                )
            ),
        )
        self.lifecycle.entity_left, self.lifecycle.entity_back = self._order_left, self._order_back
        self._hosts = [f"strategy/{name}" for name, _ in strategies]
        cells = self.dispatcher.cells
        self._market = cells["market"]
        self._connection = cells[f"connection/{ACCOUNT}"]
        self.dispatcher.ports["store"] = StoreReader(
            self.store, self.dispatcher.log.write, self.dispatcher.post, cells["journal"]
        )
        self.dispatcher.ports[f"broker/{ACCOUNT}"] = SimulatedBroker(
            self.exchange, self.dispatcher.post, self._connection, lambda: self.dispatcher.now_ns, self._epoch_now
        )
        self._outside_ids = 0
        self._id_prefix = f"bt-{_epoch(settings.seed)}-x"
        self._equity_of = _EquityOf(self.dispatcher, self.prices)

    # --- Run -----------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the tree at the beginning of the first bar, then the strategies."""
        dispatcher = self.dispatcher
        with localcontext(ARITHMETIC):
            dispatcher.now_ns = self.feed.start_ns
            self.lifecycle.start()
            dispatcher.pump(self.feed.start_ns)
            if not self.lifecycle.started:
                raise ExecutorFailed("the tree did not start: the broker's session did not become ready")
            for name in self._hosts:
                dispatcher.post(dispatcher.refer(name), Start())
            dispatcher.pump(self.feed.start_ns)
        self.check()

    def run(self, bars: Iterator[Bars], progress: Callable[[int], None] | None = None, every: int = 500) -> None:
        """Step through all bars, in one private decimal context."""
        step, check_every = self._step, every
        with localcontext(ARITHMETIC):
            for group in bars:
                step(group)
                if progress is not None and self.steps % check_every == 0:
                    progress(self.steps)

    def step(self, bars: Bars) -> None:
        """Advance to the end of `bars`."""
        with localcontext(ARITHMETIC):
            self._step(bars)

    def _step(self, bars: Bars) -> None:
        dispatcher, now_ns = self.dispatcher, bars.end_ns
        if dispatcher.timers.heap:
            self._timers_before(now_ns)
        dispatcher.now_ns = now_ns
        reports = self.exchange.on_bars(bars)
        self.prices.rows.update(bars.rows)
        if reports:
            for report in reports:
                dispatcher.post(self._connection, report)
            dispatcher.pump(now_ns)
        self.last_bars = bars
        dispatcher.post(self._market, bars)
        dispatcher.pump(now_ns)
        self.steps += 1
        self.bars += len(bars.rows)
        self.times.append(now_ns)
        self.sessions.append(bars.session)
        self.equity.append(self._equity_of())
        if len(dispatcher.log.records) >= SNAPSHOT_EVERY:
            dispatcher.snapshot()
        if self.lifecycle.down:
            self.check()

    def _timers_before(self, now_ns: int) -> None:
        deadline = self.dispatcher.timers.next_deadline_ns()
        while deadline is not None and deadline < now_ns:
            self.dispatcher.pump(deadline)
            deadline = self.dispatcher.timers.next_deadline_ns()

    def check(self) -> None:
        """Raise what ended the run: StrategyError for a strategy that raised, ExecutorFailed for a tree that gave up."""
        for name in self._hosts:
            error = self.lifecycle.down.get(name)
            if error is not None:
                raise StrategyError(f"{name} raised {type(error).__name__} {self._where(name)}") from error
        if self.lifecycle.halted:
            raise ExecutorFailed("the supervision tree gave up and trading was halted") from self.lifecycle.failure

    def _where(self, name: str) -> str:
        host = self.lifecycle.last_actor.get(name)
        doing = getattr(host, "doing", "a turn")
        bars = self.last_bars
        return f"in {doing}, " + (
            "before the first bar" if bars is None else f"on the bar of {bars.time:%Y-%m-%d %H:%M:%S} UTC"
        )

    # --- Ask -----------------------------------------------------------------------------------------------------------

    def ask(self, actor: str, request: Callable[[ReplyTo], Any]) -> Any:
        """Ask an actor and run until it has answered; time stands still."""
        answers: list[Any] = []
        dispatcher = self.dispatcher
        dispatcher.ask(dispatcher.refer(actor), request, answers.append)
        with localcontext(ARITHMETIC):
            dispatcher.pump(dispatcher.now_ns)
            if not answers:
                for answer, value in dispatcher.asks.give_up():
                    answer(value)
        self.check()
        return answers[0] if answers else Unknown()

    def with_id(self, order: Order) -> Order:
        """Return the order with an id of its own if it has none, and its numbers as Decimal.

        Raises ValueError for what is no number.
        """
        quantity, limit = exact(order.quantity, "quantity"), order.limit_price
        limit = None if limit is None else exact(limit, "limit_price")
        if quantity is not order.quantity or limit is not order.limit_price:
            order = msgspec.structs.replace(order, quantity=quantity, limit_price=limit)
        if order.client_order_id:
            return order
        self._outside_ids += 1
        return msgspec.structs.replace(order, client_order_id=f"{self._id_prefix}{self._outside_ids}")

    def stop(self) -> None:
        """Stop the tree: close the session, then every actor in reverse order."""
        dispatcher = self.dispatcher
        with localcontext(ARITHMETIC):
            self.lifecycle.stop()
            dispatcher.pump(dispatcher.now_ns)
            while not self.lifecycle.stopped and (deadline := dispatcher.timers.next_deadline_ns()) is not None:
                dispatcher.pump(deadline)

    # --- Look ----------------------------------------------------------------------------------------------------------

    def states(self) -> dict[str, int]:
        """Return how many orders are in each public state, those that left memory included."""
        counts = dict.fromkeys(OrderState, 0)
        for state, number in self.left.items():
            counts[state] += number
        for cell in self.dispatcher.cells.values():
            if cell.entity:
                counts[cell.actor.machine.state] += 1
        return {state.value: number for state, number in counts.items()}

    def _order_left(self, cell: Cell) -> None:
        state = cell.actor.machine.state
        self.left[state] = self.left.get(state, 0) + 1

    def _order_back(self, cell: Cell) -> None:
        self.left[cell.actor.machine.state] -= 1

    def _epoch_now(self) -> int | None:
        return None if self.lifecycle.halted else self.dispatcher.view("circuit_breaker").epoch


class _EquityOf:
    """Equity as a float, for the curve; the books themselves are Decimal."""

    def __init__(self, dispatcher: Dispatcher, prices: LastPrices) -> None:
        self._dispatcher = dispatcher
        self._rows = prices.rows
        self._version = -1
        self._cash = 0.0
        self._held: list[tuple[str, float]] = []

    def __call__(self) -> float:
        ledger: Ledger = self._dispatcher.view("positions")
        if ledger.version != self._version:
            account = ledger.accounts[ACCOUNT]
            self._version = ledger.version
            self._cash = float(account.cash)
            self._held = [
                (symbol, float(holding.quantity)) for symbol, holding in account.holdings.items() if holding.quantity
            ]
        total = self._cash
        rows = self._rows
        for symbol, quantity in self._held:
            row = rows.get(symbol)
            if row is not None:
                total += quantity * row[3]
        return total


def _epoch(seed: int) -> str:
    """Return this boot's part of the ids: in a backtest it comes from the seed."""
    return hashlib.sha256(f"epoch {seed}".encode()).hexdigest()[:6]


def _instruments(settings: Settings, symbols: Sequence[str]) -> dict[str, Instrument]:
    rules = {symbol: settings.instruments.of(symbol) for symbol in symbols}
    return {symbol: Instrument(lot=rule.lot, tick=rule.tick) for symbol, rule in rules.items()}


def _rules(settings: Settings) -> ExchangeRules:
    backtest = settings.execution.backtest
    return ExchangeRules(
        slippage=backtest.slippage,
        commission=backtest.commission,
        fill=backtest.fill,
        limit_fill=backtest.limit_fill,
        participation=backtest.participation,
        price_increment=backtest.price_increment,
        account_type=backtest.account.type,
        cash=backtest.account.cash,
        initial_margin=backtest.account.initial_margin,
    )


def _limits(settings: Settings) -> Limits:
    risk, account = settings.risk, settings.execution.backtest.account
    return Limits(
        max_order_quantity=risk.max_order_quantity,
        max_order_notional=risk.max_order_notional,
        max_position_quantity=risk.max_position_quantity,
        max_gross_exposure=risk.max_gross_exposure,
        price_collar=risk.price_collar,
        duplicate_window_ns=nanoseconds(settings.duplicate_window),
        account_type=account.type,
        initial_margin=account.initial_margin,
    )


def _breaker(settings: Settings) -> BreakerRules:
    rules = settings.breaker
    return BreakerRules(
        rejections=rules.rejections,
        window_ns=nanoseconds(rules.window),
        cooldown_ns=None if rules.cooldown is None else nanoseconds(rules.cooldown),
    )
