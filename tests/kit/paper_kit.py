"""Paper accounts without a runtime: a feed in memory, exchanges to compare with, and a line that a test speaks through."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Iterator
from decimal import Context, Decimal, localcontext
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel

from ordersmith.actors.bars import Bars
from ordersmith.actors.model import Instrument
from ordersmith.adapters.paper.account import PaperAccount
from ordersmith.adapters.paper.venue import PaperVenue
from ordersmith.adapters.simulated.exchange import ExchangeRules, SimulatedExchange
from ordersmith.adapters.simulated.latency import broker_of
from ordersmith.adapters.simulated.orders import OrderSummary
from ordersmith.adapters.simulated.sending import not_to_be_sent

ARITHMETIC = Context(prec=34)
INSTRUMENTS = {"A": Instrument(), "L": Instrument(lot=Decimal(5))}
MINUTE_NS = 60_000_000_000


class GrowingFeed:
    """A feed whose bars are there from the start, or come while a run goes on: who has read it to its end sees them too."""

    symbols = ("A", "L")
    start_ns = 0

    def __init__(self, bars: list[Bars] | None = None) -> None:
        self.bars = [] if bars is None else bars

    def __iter__(self) -> Iterator[Bars]:
        return _Reading(self.bars)


class _Reading(Iterator[Bars]):
    def __init__(self, bars: list[Bars]) -> None:
        self._bars = bars
        self._index = 0

    def __next__(self) -> Bars:
        if self._index >= len(self._bars):
            raise StopIteration
        self._index += 1
        return self._bars[self._index - 1]


def minute_bars(*closes: float, symbol: str = "A") -> GrowingFeed:
    """Return a session of bars of a minute, each of one price and much volume."""
    last = len(closes) - 1
    return GrowingFeed(
        [
            Bars(index * MINUTE_NS, (index + 1) * MINUTE_NS, 0, index == last, {symbol: (price,) * 4 + (1e9,)})
            for index, price in enumerate(closes)
        ]
    )


def are_shown(bars: Bars) -> bool:
    """Whether, in random runs, orders come only after these bars were shown; answers to fills come before."""
    return bars.end_ns // MINUTE_NS % 2 == 0


class NoArchive:
    """For runs that are shorter than the exchange's memory."""

    def find(self, base_id: str, upto: int) -> OrderSummary | None:
        return None


class Inline:
    """The exchange as a backtest has it, moved as a backtest moves it; what it says comes back from the call."""

    def __init__(self, rules: ExchangeRules, instruments: Any = INSTRUMENTS, epoch: int | None = 0) -> None:
        self.exchange = SimulatedExchange(rules, instruments)
        self.epoch = epoch
        self.now_ns = self.begun_ns = 0
        self.said: list[Any] = []
        self.broker: Any = broker_of(
            self.exchange,
            lambda to, report, cause: self.said.append(report),
            None,
            lambda: self.now_ns,
            lambda: self.epoch,
        )
        self._delayed = hasattr(self.broker, "deliver")

    def handle(self, command: Any, now_ns: int) -> list[Any]:
        self._pass(now_ns, self.begun_ns)
        self.now_ns = now_ns
        self.broker.accept(command, 0)
        return self._taken()

    def on_bars(self, bars: Bars) -> list[Any]:
        self._pass(bars.end_ns, bars.start_ns)
        self.now_ns = self.begun_ns = bars.end_ns
        reports = self.exchange.on_bars(bars)
        self.said += reports
        if reports and are_shown(bars):
            self.exchange.shown = bars
        if self._delayed:
            self.broker.deliver_late()
            self.broker.deliver(bars.end_ns)
        return self._taken()

    def _pass(self, until_ns: int, start_ns: int) -> None:
        while self._delayed and (due_ns := self.broker.next_due_ns()) is not None and due_ns < until_ns:
            self.now_ns = due_ns
            self.broker.deliver(due_ns, start_ns)

    def _taken(self) -> list[Any]:
        said, self.said = self.said, []
        return said


class OnVenue:
    """A paper venue that is moved as the port moves it."""

    def __init__(self, venue: PaperVenue, epoch: int | None = 0) -> None:
        self.venue = venue
        self.epoch = epoch
        self.begun_ns = 0

    def handle(self, command: Any, now_ns: int) -> list[Any]:
        said = self._pass(now_ns, self.begun_ns)
        refused = not_to_be_sent(command, self.epoch, now_ns)
        return said + ([refused] if refused else self.command(command, now_ns))

    def command(self, command: Any, now_ns: int) -> list[Any]:
        return [report for report, _ in self.venue.command(command, 0, now_ns)]

    def on_bars(self, bars: Bars) -> list[Any]:
        said = self._pass(bars.end_ns, bars.start_ns)
        self.begun_ns = bars.end_ns
        matched = self.match(bars)
        if matched and are_shown(bars):
            self.venue.shown(bars)
        return said + matched + [report for report, _ in self.venue.deliver_late(bars.end_ns)]

    def match(self, bars: Bars) -> list[Any]:
        return [report for report, _ in self.venue.bars(bars)]

    def _pass(self, until_ns: int, start_ns: int) -> list[Any]:
        said: list[Any] = []
        while (due_ns := self.venue.next_due_ns()) is not None and due_ns < until_ns:
            said += [report for report, _ in self.venue.deliver(due_ns, start_ns)]
        return said


def paper_account(path: Path, rules: ExchangeRules, feed: Any, **options: Any) -> PaperAccount:
    return PaperAccount(path, rules, options.pop("instruments", INSTRUMENTS), feed, arithmetic=ARITHMETIC, **options)


class OnAccount(OnVenue):
    """A paper account with its file, moved as the port moves it, without its threads."""

    def __init__(self, path: Path, rules: ExchangeRules, **options: Any) -> None:
        self.path, self.rules, self.options = path, rules, options
        self.feed = options.pop("feed", None) or GrowingFeed()
        self.lives = 0
        self.account = paper_account(path, rules, self.feed, **options)
        self.account._open()
        super().__init__(self.account.venue)

    def command(self, command: Any, now_ns: int) -> list[Any]:
        return [report for report, _ in self.account._handle([(command, 0, None)], now_ns)]

    def match(self, bars: Bars) -> list[Any]:
        self.feed.bars.append(bars)
        assert self.account.next_bars() is bars
        said = [report for report, _ in self.account.match(bars)]
        if said:
            self.account._commit()
        return said

    def on_bars(self, bars: Bars) -> list[Any]:
        said = super().on_bars(bars)
        self.account._commit()
        return said

    def _pass(self, until_ns: int, start_ns: int) -> list[Any]:
        said = super()._pass(until_ns, start_ns)
        self.account._commit()
        return said

    def power_cut(self) -> None:
        """Go on with what lies on the disk, in another file: nothing of this account is written down any more."""
        self.lives += 1
        path = copy_of(self.path, f"life-{self.lives}")
        self.account._file.close()
        self.path = path
        self.account = paper_account(path, self.rules, self.feed, **self.options)
        self.account._open()
        self.venue = self.account.venue

    def close(self) -> None:
        self.account._close()


def copy_of(path: Path, name: str) -> Path:
    """Copy a database as it lies on the disk, with the log that SQLite has not carried over."""
    copy = path.with_name(name)
    for suffix in ("", "-wal"):
        file = path.with_name(path.name + suffix)
        if file.exists():
            shutil.copyfile(file, copy.with_name(copy.name + suffix))
    return copy


def state_of(venue: Any) -> dict[str, Any]:
    """Return what a venue is: its money, its orders, and what is on its way to it."""
    exchange = venue.exchange
    transit = getattr(venue, "_transit", None) or getattr(venue, "transit", None)
    with localcontext(ARITHMETIC):
        return {
            "cash": exchange.cash,
            "positions": exchange.positions,
            "accrued": exchange.accrued,
            "shown": None if exchange.shown is None else exchange.shown.end_ns,
            "buying power": exchange.buying_power(),
            "open": {name: _summary(order) for name, order in exchange._orders.open.items()},
            "on the way": []
            if transit is None
            else [(each.due_ns, each.command) for each in sorted(transit.under_way)],
            "late": [] if transit is None else [(each.due_ns, each.command) for each in transit.late],
        }


def _summary(order: Any) -> tuple[Any, ...]:
    terms = (
        order.wire_id,
        order.broker_order_id,
        order.quantity,
        order.filled,
        order.limit,
        order.stop,
        order.notional,
    )
    return (*terms, order.commission, order.sequence, order.arrived_ns, order.earlier_wire_ids, order.claim)


class Wall:
    """A wall clock that is moved by who waits for it; what is `due` happens then, in order of time."""

    def __init__(self) -> None:
        self.ns = 1_000_000
        self.due: list[tuple[int, Any]] = []

    def __call__(self) -> int:
        return self.ns

    def sleep(self, seconds: float | None) -> None:
        assert seconds is not None, "waiting does not bring that time"
        until_ns = self.ns + max(round(seconds * 1_000_000_000), 1)
        self.ns = min([until_ns, *(at_ns for at_ns, _ in self.due)]) if self.due else until_ns


class FakeLine:
    """A runtime of a few lines: what the port posts goes to `on_post`, which may send commands; idle is an empty channel.

    `happens` is everything in order. With a reader outside, `waiting` tells that the port waits for a command.
    """

    def __init__(self, clock: Any, wall: Wall | None = None) -> None:
        self.clock = clock
        self.wall = wall
        self.happens: list[tuple[int, Any]] = []
        self.queue: deque[tuple[Any, int]] = deque()
        self.in_hand: list[Any] = []
        self.trading_epoch: int | None = 0
        self.on_post: Any = lambda report: None
        self.on_shown: Any = lambda bars: None
        self.timers: dict[int, Any] = {}
        self.ended = anyio.Event()
        self.waiting = anyio.Event()
        self._came = anyio.Event()

    # --- As the runtime ------------------------------------------------------------------------------------------------

    def send(self, command: Any, cause: int = 0) -> None:
        self.queue.append((command, cause))
        self._came.set()

    def note(self, what: Any) -> None:
        self.happens.append((self.now_ns, what))

    def shown(self, bars: Bars) -> None:
        self.note(("shown", bars.end_ns))
        self.on_shown(bars)

    def next_deadline_ns(self) -> int | None:
        return min(self.timers, default=None)

    def reports(self, *kinds: type) -> list[Any]:
        return [
            what for _, what in self.happens if not isinstance(what, tuple) and (not kinds or isinstance(what, kinds))
        ]

    def surroundings(self) -> Any:
        from ordersmith.adapters.paper.port import Surroundings

        return Surroundings(
            known=lambda bars: self.note(("known", bars.end_ns, dict(bars.rows))),
            matched=lambda bars: self.note(("matched", bars.end_ns)),
            shown=self.shown,
            ended=self.ended.set,
            next_deadline_ns=self.next_deadline_ns,
        )

    # --- As the line ---------------------------------------------------------------------------------------------------

    @property
    def now_ns(self) -> int:
        return int(self.clock.now_ns())

    def epoch(self) -> int | None:
        return self.trading_epoch

    def standstill(self) -> str:
        return "" if self.trading_epoch is not None else "trading was halted"

    def hold(self, command: Any) -> None:
        self.in_hand.append(command)

    def done(self, command: Any) -> None:
        self.in_hand.remove(command)

    def post(self, report: Any, cause: int = 0) -> None:
        self.note(report)
        self.on_post(report)

    def post_to(self, actor: str, message: Any, cause: int = 0) -> None:
        raise AssertionError("the port speaks to its connection alone")

    async def receive(self) -> tuple[Any, int]:
        while not self.queue:
            self._came = anyio.Event()
            self.waiting.set()
            await self._came.wait()
        return self.queue.popleft()

    async def receive_or_idle(self) -> tuple[Any, int] | None:
        await anyio.lowlevel.checkpoint()
        self._fire()
        return self.queue.popleft() if self.queue else None

    def _fire(self) -> None:
        while (due_ns := self.next_deadline_ns()) is not None and due_ns <= self.now_ns:
            self.timers.pop(due_ns)()

    async def receive_until(self, deadline_ns: int) -> tuple[Any, int] | None:
        await anyio.lowlevel.checkpoint()
        while not self.queue and self.now_ns < deadline_ns:
            assert self.wall is not None, "time stands still at full speed: nobody may wait for it"
            self.wall.sleep(self.clock.seconds_until(min(deadline_ns, self.next_deadline_ns() or deadline_ns)))
            self._fire()
            while self.wall.due and self.wall.due[0][0] <= self.wall.ns:
                self.wall.due.pop(0)[1]()
        return self.queue.popleft() if self.queue else None
