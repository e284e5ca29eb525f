"""The simulated-clock driver: the live system with a simulated clock and a simulated broker.

At one instant the exchange matches the bar that ends, then expires what ends with it, then everybody hears of the
fills, then the strategy sees the bar. Time jumps from bar to bar, stopping at timers between them.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from decimal import Context, Decimal, getcontext, localcontext, setcontext
from typing import Any, Protocol

import msgspec

from ..actors.actor import ReplyTo
from ..actors.bars import Bars
from ..actors.errors import ExecutorFailed, StrategyError, UsageError
from ..actors.machines.position import Ledger
from ..actors.messages import Unknown
from ..actors.model import Order, OrderState, TimeInForce, exactly
from ..actors.ports import Report
from ..actors.strategy import Start, Strategy
from ..adapters.memory_journal import MemoryJournal, StoreReader
from ..adapters.simulated.exchange import SimulatedExchange
from ..adapters.simulated.latency import DelayedBroker, broker_of
from ..config import Settings
from .cell import Cell
from .dispatcher import ARITHMETIC, Dispatcher
from .from_settings import breaker_rules, exchange_rules, instruments_of, limits
from .lifecycle import Lifecycle
from .prices import LastPrices
from .tree import Plan, build

ACCOUNT = "main"
SNAPSHOT_EVERY = 10_000


class Feed(Protocol):
    """Bars in time order; see `adapters.bar_feed.BarFeed`. A stream does not know how many steps it has: None."""

    @property
    def symbols(self) -> tuple[str, ...]: ...
    @property
    def step_count(self) -> int | None: ...
    @property
    def start_ns(self) -> int: ...

    def __iter__(self) -> Iterator[Bars]: ...


class Moving:
    """The private decimal context, entered by one caller at a time: who is inside a turn cannot ask for another."""

    def __init__(self) -> None:
        self._outer: Context | None = None

    def refuse_a_second(self) -> None:
        """Raise UsageError inside of `with`."""
        if self._outer is not None:
            raise UsageError(
                "the executor was called while it moves; a hosted strategy has self.submit, self.cancel, self.positions "
                "and so on, and what reports progress or yields bars must not call"
            )

    def __enter__(self) -> None:
        self.refuse_a_second()
        self._outer = getcontext()
        setcontext(ARITHMETIC.copy())

    def __exit__(self, *_: object) -> None:
        outer, self._outer = self._outer, None
        if outer is not None:
            setcontext(outer)


class Backtest:
    """One run: the tree, the exchange, the clock. `start`, then `step` bar after bar."""

    def __init__(self, settings: Settings, feed: Feed, strategies: Sequence[tuple[str, Strategy]] = ()) -> None:
        self.settings = settings
        self.feed = feed
        self.prices = LastPrices()
        self._shown = LastPrices(self.prices.rows)
        self.store = MemoryJournal(settings.journal.keep)
        self.dispatcher = Dispatcher(self.store, seed=settings.seed)
        self.account = ACCOUNT
        self.times = array("q")
        self.sessions = array("q")
        self.equity = array("d")
        self.bars = 0
        self.last_bars: Bars | None = None
        self.left = dict.fromkeys(OrderState, 0)
        self.instruments = instruments = instruments_of(settings, feed.symbols)
        with localcontext(ARITHMETIC):  # its constants are made now, and not with the host's precision
            sessions = getattr(feed, "schedule", None)  # a host's own feed need not know any
            self.exchange = SimulatedExchange(exchange_rules(settings), instruments, ACCOUNT, sessions)
        self.lifecycle = Lifecycle(
            self.dispatcher,
            build(
                Plan(
                    account=ACCOUNT,
                    id_prefix=f"bt-{_epoch(settings.seed)}-",
                    limits=limits(settings),
                    breaker=breaker_rules(settings),
                    instruments=instruments,
                    market=self.prices,
                    shown=self._shown,
                    targets_time_in_force=TimeInForce(settings.execution.targets.time_in_force),
                    strategies=tuple(strategies),
                )
            ),
        )
        self.lifecycle.entity_left, self.lifecycle.entity_back = self._order_left, self._order_back
        self._hosts = [f"strategy/{name}" for name, _ in strategies]
        cells = self.dispatcher.cells
        self._market = cells["market"]
        self._breaker = cells["circuit_breaker"]
        self._connection = cells[f"connection/{ACCOUNT}"]
        self.dispatcher.ports["store"] = StoreReader(
            self.store, self.dispatcher.log.write, self.dispatcher.post, cells["journal"]
        )
        broker = broker_of(
            self.exchange, self.dispatcher.post, self._connection, lambda: self.dispatcher.now_ns, self._epoch_now
        )
        self.dispatcher.ports[f"broker/{ACCOUNT}"] = broker
        self._delayed = broker if isinstance(broker, DelayedBroker) else None
        self._outside_ids = 0
        self._id_prefix = f"bt-{_epoch(settings.seed)}-x"
        self.moving = Moving()
        self._equity_of = _EquityOf(self.dispatcher, self.prices)

    # --- Run -----------------------------------------------------------------------------------------------------------

    @property
    def steps(self) -> int:
        """How many instants have passed at which bars ended."""
        return len(self.times)

    def start(self) -> None:
        """Start the tree at the beginning of the first bar, then the strategies."""
        dispatcher = self.dispatcher
        with self.moving:
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
        with self.moving:
            for group in bars:
                step(group)
                if progress is not None and self.steps % check_every == 0:
                    progress(self.steps)

    def step(self, bars: Bars) -> None:
        """Advance to the end of `bars`."""
        with self.moving:
            self._step(bars)

    def _step(self, bars: Bars) -> None:
        dispatcher, now_ns = self.dispatcher, bars.end_ns
        if dispatcher.timers.heap or self._delayed is not None:
            self._timers_before(now_ns, bars.start_ns)
        reports = self.exchange.on_bars(bars)
        if bars.actions:
            self.prices.adjust(bars)
            self._equity_of.forget()
        if reports:
            self._tell(reports, bars)
        else:
            self.prices.rows.update(bars.rows)
        if self._delayed is not None:
            dispatcher.now_ns = now_ns
            self._delayed.deliver_late()
            self._delayed.deliver(now_ns)
            dispatcher.pump(now_ns)
        self.last_bars = bars
        dispatcher.post(self._market, bars)
        dispatcher.pump(now_ns)
        self.bars += len(bars.rows)
        self.times.append(now_ns)
        self.sessions.append(bars.session)
        self.equity.append(self._equity_of())
        if len(dispatcher.log.records) >= SNAPSHOT_EVERY:
            dispatcher.snapshot()
        if self.lifecycle.down:
            self.check()

    def _tell(self, reports: list[Report], bars: Bars) -> None:
        """Tell everybody what the bars have brought the orders.

        Who answers that, with an exit say, could have done so inside of the bars: strategies still see the prices from
        before them, and once they see the new ones nothing trades in these bars any more.
        """
        dispatcher, rows = self.dispatcher, self.prices.rows
        self._shown.rows = rows.copy()
        rows.update(bars.rows)
        for report in reports:
            dispatcher.post(self._connection, report)
        dispatcher.pump(bars.end_ns)
        self._shown.rows = rows
        self.exchange.shown = bars

    def advance_to(self, now_ns: int, start_ns: int | None = None) -> None:
        """Advance to an instant before the next bars end, which begin at `start_ns`: what is due happens, in order of time."""
        with self.moving:
            self._timers_before(now_ns, start_ns)
            if self._delayed is not None:
                self.dispatcher.now_ns = now_ns
                self._delayed.deliver(now_ns, start_ns)
            self.dispatcher.pump(now_ns)
        self.check()

    def next_deadline_ns(self) -> int | None:
        """Return when the next timer or command is due, None when nothing is."""
        deadline = self.dispatcher.timers.next_deadline_ns()
        due = None if self._delayed is None else self._delayed.next_due_ns()
        return due if deadline is None or (due is not None and due < deadline) else deadline

    def _timers_before(self, now_ns: int, start_ns: int | None = None) -> None:
        """Let pass what is due before `now_ns`, in order of time; the next bars to end begin at `start_ns`."""
        deadline = self.next_deadline_ns()
        while deadline is not None and deadline < now_ns:
            if self._delayed is not None:
                self.dispatcher.now_ns = deadline
                self._delayed.deliver(deadline, start_ns)
            self.dispatcher.pump(deadline)
            deadline = self.next_deadline_ns()

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
        with self.moving:
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
        order = exactly(order)
        if order.client_order_id:
            return order
        self._outside_ids += 1
        return msgspec.structs.replace(order, client_order_id=f"{self._id_prefix}{self._outside_ids}")

    def stop(self) -> None:
        """Stop the tree: close the session, then every actor in reverse order. What they knew stays to be looked at."""
        dispatcher = self.dispatcher
        known = {name: cell for name, cell in dispatcher.cells.items() if not cell.entity}
        with self.moving:
            self.lifecycle.stop()
            dispatcher.pump(dispatcher.now_ns)
            while not self.lifecycle.stopped and (deadline := dispatcher.timers.next_deadline_ns()) is not None:
                dispatcher.pump(deadline)
        dispatcher.cells.update(known)

    # --- Look ----------------------------------------------------------------------------------------------------------

    def states(self) -> dict[str, int]:
        """Return how many orders are in each public state, those that left memory included."""
        counts = self.left.copy()
        for cell in self.dispatcher.cells.values():
            if cell.entity:
                counts[cell.actor.machine.state] += 1
        return {state.value: number for state, number in counts.items()}

    def _order_left(self, cell: Cell) -> None:
        self.left[cell.actor.machine.state] += 1

    def _order_back(self, cell: Cell) -> None:
        self.left[cell.actor.machine.state] -= 1

    def _epoch_now(self) -> int | None:
        return None if self.lifecycle.halted else self._breaker.actor.view().epoch


class _EquityOf:
    """Equity as a float, for the curve; the books themselves are Decimal."""

    def __init__(self, dispatcher: Dispatcher, prices: LastPrices) -> None:
        self._dispatcher = dispatcher
        self._positions = dispatcher.cells["positions"]
        self._rows = prices.rows
        self._version = -1
        self._cash = 0.0
        self._held: list[tuple[str, float]] = []
        self._is_owed = False

    def forget(self) -> None:
        """Look at the books anew: a dividend that is declared changes what is owed to us and not the ledger."""
        self._version = -1
        self._is_owed = True

    def __call__(self) -> float:
        ledger: Ledger = self._positions.actor.view()
        if ledger.version != self._version:
            account = ledger.accounts[ACCOUNT]
            self._version = ledger.version
            self._cash = float(account.cash + self._accrued() if self._is_owed else account.cash)
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

    def _accrued(self) -> Decimal:
        accrued: Decimal = self._dispatcher.view("risk_gate").exposure.accounts[ACCOUNT].accrued
        return accrued


def _epoch(seed: int) -> str:
    """Return this boot's part of the ids: in a backtest it comes from the seed."""
    return hashlib.sha256(f"epoch {seed}".encode()).hexdigest()[:6]
