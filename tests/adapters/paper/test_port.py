"""The paper port on a line that the test holds: the order of a step, the pace, and what is left when it dies."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest
from paper_kit import ARITHMETIC, MINUTE_NS, FakeLine, GrowingFeed, Inline, Wall, minute_bars, paper_account, state_of

from ordersmith.actors.bars import Bars
from ordersmith.actors.model import Order, Purpose, Terms
from ordersmith.actors.ports import (
    Accepted,
    CancelRequest,
    Connect,
    Connected,
    Executed,
    NewOrder,
    NotSent,
    ReplaceRequest,
)
from ordersmith.actors.snapshots import AccountSnapshot, SyncAccount
from ordersmith.adapters.paper.account import PaperAccount
from ordersmith.adapters.paper.pace import DataClock, Turns
from ordersmith.adapters.paper.port import PaperPort
from ordersmith.adapters.simulated.exchange import ExchangeRules

pytestmark = pytest.mark.anyio

FOREVER_NS = 1 << 62
FREE = ExchangeRules(cash=Decimal(10**9), participation=None)
DELAYED = ExchangeRules(
    cash=Decimal(10**9),
    latency_submit_ns=MINUTE_NS * 3 // 4,
    latency_cancel_ns=MINUTE_NS // 3,
    slippage=Decimal("0.001"),
)


def buy(name: str, epoch: int = 0, not_after_ns: int = FOREVER_NS, **terms: Any) -> NewOrder:
    return NewOrder(f"{name}.1", Order.buy("A", 5, **{"limit_price": "20.00", **terms}), not_after_ns, epoch)


@asynccontextmanager
async def opened(path: Path, feed: Any, rules: ExchangeRules = FREE) -> AsyncIterator[PaperAccount]:
    account = paper_account(path, rules, feed)
    await account.open()
    try:
        yield account
    finally:
        await account.close()


async def run_to_the_end(
    account: PaperAccount, line: FakeLine, *, speed: Fraction | None = None, turns: Turns | None = None
) -> None:
    """Run a port until the data are over and everything is answered."""
    port = PaperPort(account, line.clock, line.surroundings(), speed=speed, turns=turns)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(port.run, line)
            await line.ended.wait()
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()


# --- The same fate as in a backtest ------------------------------------------------------------------------------------


class Trader:
    """Sends orders when bars are shown, answers fills, and sets timers: at random, and the same for the same seed."""

    def __init__(self, seed: int, send: Callable[[Any], None], timers: dict[int, Any]) -> None:
        self.draw, self.send, self.timers = Random(seed), send, timers
        self.legs: list[str] = []
        self.now_ns: Callable[[], int] = lambda: 0

    def shown(self, bars: Bars) -> None:
        for _ in range(self.draw.randrange(4)):
            self.act(bars.close("A"))
        if self.draw.random() < 0.5:  # too late for what was left of the bars
            self.order(
                f"y{len(self.legs)}", Order.sell("A", 5, stop_price=bars.close("A") + 0.05, purpose=Purpose.EXIT)
            )
        if self.draw.random() < 0.5:
            self.timers[self.now_ns() + self.draw.randrange(1, 2 * MINUTE_NS)] = lambda: self.act(bars.close("A"))

    def heard(self, report: Any) -> None:
        if isinstance(report, Executed) and self.draw.random() < 0.5:
            name = f"x{len(self.legs)}"
            terms = Order.sell(
                "A", report.fill.quantity, stop_price=report.fill.price - Decimal("0.05"), purpose=Purpose.PROTECTIVE
            )
            self.order(name, terms)

    def act(self, close: float) -> None:
        choice = self.draw.random()
        price = Decimal(round(close * 100) + self.draw.randrange(-15, 15)) / 100
        if choice < 0.6 or not self.legs:
            side = Order.buy if self.draw.random() < 0.7 else Order.sell
            self.order(f"o{len(self.legs)}", side("A", self.draw.choice([5, 10, 400]), limit_price=price))
        elif choice < 0.8:
            self.send(CancelRequest(self.draw.choice(self.legs[-4:])))
        else:
            leg = self.draw.choice(self.legs[-4:])
            name, _, number = leg.rpartition(".")
            self.legs.append(f"{name}.{int(number) + 1}")
            self.send(ReplaceRequest(leg, self.legs[-1], Terms(Decimal(15), price), FOREVER_NS, 0))

    def order(self, name: str, order: Order) -> None:
        self.legs.append(f"{name}.1")
        self.send(NewOrder(self.legs[-1], order, FOREVER_NS, 0))


def random_bars(seed: int) -> list[Bars]:
    draw = Random(seed)
    bars = []
    for index in range(40):
        cents = sorted(draw.randrange(980, 1020) for _ in range(4))
        opened, closed = draw.sample(cents, 2)
        row = (opened / 100, cents[3] / 100, cents[0] / 100, closed / 100, draw.choice([100.0, 5000.0]))
        bars.append(Bars(index * MINUTE_NS, (index + 1) * MINUTE_NS, index // 10, index % 10 == 9, {"A": row}))
    return bars


def as_a_backtest(rules: ExchangeRules, bars_of_run: list[Bars], seed: int) -> tuple[list[tuple[int, Any]], Any]:
    """Return what a backtest's driver makes of the same trader: (time, report) in order; see `supervisor/backtest.py`."""
    happens: list[tuple[int, Any]] = []
    queue: deque[Any] = deque()
    timers: dict[int, Any] = {}
    inline = Inline(rules)
    broker = inline.broker
    trader = Trader(seed, queue.append, timers)
    trader.now_ns = lambda: inline.now_ns

    def pump(now_ns: int) -> None:
        inline.now_ns = now_ns
        while True:
            while timers and min(timers) <= now_ns:
                timers.pop(min(timers))()
            said, inline.said = inline.said, []
            for report in said:
                happens.append((now_ns, report))
                trader.heard(report)
            if not (queue or inline.said):
                return
            while queue:
                broker.accept(queue.popleft(), 0)

    delayed = broker if hasattr(broker, "deliver") else None
    for bars in bars_of_run:
        while True:
            due = [*timers, *([delayed.next_due_ns()] if delayed and delayed.next_due_ns() is not None else [])]
            if not due or min(due) >= bars.end_ns:
                break
            inline.now_ns = min(due)
            if delayed:
                delayed.deliver(inline.now_ns, bars.start_ns)
            pump(inline.now_ns)
        inline.now_ns = bars.end_ns
        inline.said += inline.exchange.on_bars(bars)
        if inline.said:
            pump(bars.end_ns)
            inline.exchange.shown = bars
        if delayed:
            delayed.deliver_late()
            delayed.deliver(bars.end_ns)
            pump(bars.end_ns)
        happens.append((bars.end_ns, ("shown", bars.end_ns)))
        trader.shown(bars)
        pump(bars.end_ns)
    return happens, broker


@pytest.mark.parametrize("speed", [None, Fraction(1)])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rules", [FREE, DELAYED, ExchangeRules(cash=Decimal(9000), fill="close")])
async def test_orders_have_the_fate_that_they_have_in_a_backtest(
    tmp_path: Path, rules: ExchangeRules, seed: int, speed: Fraction | None
) -> None:
    """Every report comes in the same order at the same instant, at full speed and at any other, and the account is the same."""
    bars = random_bars(seed)
    with localcontext(ARITHMETIC):
        expected, broker = as_a_backtest(rules, bars, seed)
    wall = Wall()
    async with opened(tmp_path / "paper.account", GrowingFeed(bars), rules) as account:
        line = FakeLine(DataClock(0, wall), wall)
        trader = Trader(seed, line.send, line.timers)
        trader.now_ns = lambda: line.now_ns
        line.on_post, line.on_shown = trader.heard, trader.shown
        await run_to_the_end(account, line, speed=speed)
        happened = [
            (at_ns, what) for at_ns, what in line.happens if not (isinstance(what, tuple) and what[0] == "matched")
        ]
        assert len([what for _, what in expected if isinstance(what, Executed)]) > 3
        if speed is not None:  # then time goes on after the data, and what is under way arrives
            happened = [(at_ns, what) for at_ns, what in happened if at_ns <= bars[-1].end_ns]
        assert happened == expected
        assert speed is not None or state_of(account.venue) == state_of(broker)


# --- A step ------------------------------------------------------------------------------------------------------------


async def test_the_parts_of_a_step_come_in_order(tmp_path: Path) -> None:
    """Bars are matched and their reports told, then what answers them is dealt with, then everybody sees the bars."""
    async with opened(tmp_path / "paper.account", minute_bars(10.0, 10.0)) as account:
        line = FakeLine(DataClock(0))
        line.send(Connect())
        line.send(buy("o1"))
        line.on_post = lambda report: isinstance(report, Executed) and line.send(buy("o2", limit_price="9.00"))
        await run_to_the_end(account, line)
        kinds = [what[0] if isinstance(what, tuple) else type(what).__name__ for _, what in line.happens]
        assert kinds == [
            "Connected",
            "Accepted",
            "matched",
            "Executed",
            "Accepted",
            "shown",
            "matched",
            "Expired",
            "shown",
        ]
        assert [at_ns // MINUTE_NS for at_ns, _ in line.happens] == [0, 0, 1, 1, 1, 1, 2, 2, 2]
        assert line.in_hand == []


async def test_after_the_end_the_broker_goes_on_answering(tmp_path: Path) -> None:
    """When the data are over no bars come, and who asks still gets an answer at the last instant."""
    async with opened(tmp_path / "paper.account", minute_bars(10.0)) as account:
        line = FakeLine(DataClock(0))
        port = PaperPort(account, line.clock, line.surroundings())
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                group.start_soon(port.run, line)
                await line.ended.wait()
                line.send(SyncAccount(3, ""))
                answered = anyio.Event()
                line.on_post = lambda report: answered.set()
                await answered.wait()
                group.cancel_scope.cancel()
        assert [(at_ns, type(what)) for at_ns, what in line.happens[-1:]] == [(MINUTE_NS, AccountSnapshot)]


@pytest.mark.parametrize(
    ("epoch", "deadline_ns", "reason"),
    [
        (1, FOREVER_NS, "the trading state changed after the order was approved"),
        (None, FOREVER_NS, "trading was halted"),
        (0, -1, "1 ns after its deadline -1"),
    ],
)
async def test_what_must_not_be_sent_is_not(tmp_path: Path, epoch: int | None, deadline_ns: int, reason: str) -> None:
    """An order of another epoch or after its deadline is not given to the venue and not written down; a cancel always is."""
    async with opened(tmp_path / "paper.account", minute_bars()) as account:
        line = FakeLine(DataClock(0))
        line.trading_epoch = epoch
        line.send(buy("o1", not_after_ns=deadline_ns))
        line.send(ReplaceRequest("o1.1", "o1.2", Terms(Decimal(5)), deadline_ns, 0))
        line.send(CancelRequest("o1.1"))
        await run_to_the_end(account, line)
        first, second, third = line.reports()
        assert [(first.wire_id, first.reason), (second.wire_id, second.reason)] == [("o1.1", reason), ("o1.2", reason)]
        assert isinstance(first, NotSent)
        assert third.code == "UNKNOWN_ORDER"
        assert [[type(made).__name__ for made in inputs] for inputs, _ in account._file.groups()] == [["CancelSent"]]


async def test_commands_that_wait_together_are_one_transaction(tmp_path: Path) -> None:
    """A group commit: what has come by the time that the port looks is made durable at once, and told after it."""
    async with opened(tmp_path / "paper.account", minute_bars()) as account:
        line = FakeLine(DataClock(0))
        for number in range(20):
            line.send(buy(f"o{number}"), cause=number)
        groups: list[int] = []
        line.on_post = lambda report: groups.append(account._file._groups)
        await run_to_the_end(account, line)
        assert groups == [1] * 20
        assert len(line.reports(Accepted)) == 20


# --- Pace --------------------------------------------------------------------------------------------------------------


async def test_a_reader_paces_the_bars_at_full_speed(tmp_path: Path) -> None:
    """While somebody reads, bars come when they are asked for, and commands are answered all the same."""
    turns = Turns()
    turns.attach()
    async with opened(tmp_path / "paper.account", minute_bars(10.0, 10.0, 10.0)) as account:
        line = FakeLine(DataClock(0))
        port = PaperPort(account, line.clock, line.surroundings(), turns=turns)
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                group.start_soon(port.run, line)
                await line.waiting.wait()
                assert line.happens == []
                answered = anyio.Event()
                line.on_post = lambda report: answered.set()
                line.send(Connect())
                await answered.wait()
                for number in (1, 2):
                    shown = anyio.Event()
                    line.on_shown = lambda bars, shown=shown: shown.set()
                    turns.ask()
                    await shown.wait()
                    await anyio.wait_all_tasks_blocked()
                    assert line.now_ns == number * MINUTE_NS
                assert not line.ended.is_set()
                turns.detach()
                await line.ended.wait()
                group.cancel_scope.cancel()
        assert [type(report) for report in line.reports()] == [Connected]


async def test_bars_come_as_fast_as_the_speed_says(tmp_path: Path) -> None:
    """At a speed of 60 a bar of a minute takes a second, and what is sent between bars is sent at data time."""
    wall = Wall()
    begun_ns = wall.ns
    async with opened(tmp_path / "paper.account", minute_bars(10.0, 10.0, 10.0)) as account:
        line = FakeLine(DataClock(0, wall), wall)
        line.on_shown = lambda bars: line.note(("wall", wall.ns - begun_ns))
        wall.due = [(begun_ns + 1_500_000_000, lambda: line.send(buy("o1")))]
        await run_to_the_end(account, line, speed=Fraction(60))
        walls = [what[1] / 1e9 for _, what in line.happens if isinstance(what, tuple) and what[0] == "wall"]
        assert walls == pytest.approx([1.0, 2.0, 3.0], abs=1e-6)
        (accepted_ns,) = [at_ns for at_ns, what in line.happens if isinstance(what, Accepted)]
        (executed_ns,) = [at_ns for at_ns, what in line.happens if isinstance(what, Executed)]
        assert accepted_ns == pytest.approx(1.5 * MINUTE_NS, abs=100)
        assert executed_ns == 3 * MINUTE_NS
        assert line.clock.seconds_until(4 * MINUTE_NS) is not None  # after the last bar time goes on


# --- Lives -------------------------------------------------------------------------------------------------------------


async def test_another_port_goes_on_where_one_died(tmp_path: Path) -> None:
    """A port that dies with a report untold is followed by one whose venue has what was written down, and the next bars."""
    feed = minute_bars(10.0, 10.0, 10.0, 10.0)

    class Broken(Exception):
        pass

    def break_at(report: Any) -> None:
        if isinstance(report, Executed):
            raise Broken

    async with opened(tmp_path / "paper.account", feed) as account:
        line = FakeLine(DataClock(0))
        line.on_post = break_at
        line.on_shown = lambda bars: bars is feed.bars[0] and line.send(buy("o1"))
        with pytest.raises(Broken):
            await PaperPort(account, line.clock, line.surroundings()).run(line)
        assert line.clock.seconds_until(line.now_ns + 10) is not None  # time runs on without a port
        other = FakeLine(line.clock)
        other.send(Connect())
        other.send(SyncAccount(1, ""))
        await run_to_the_end(account, other)
        known, connected, snapshot, *_ = (what for _, what in other.happens)
        assert known == ("known", 2 * MINUTE_NS, dict(feed.bars[1].rows))
        assert isinstance(connected, Connected)
        assert [each.wire_id for each in snapshot.executions] == ["o1.1"]
        shown = [what[1] // MINUTE_NS for _, what in other.happens if isinstance(what, tuple) and what[0] == "shown"]
        assert shown == [3, 4]


async def test_an_account_outlives_its_process(tmp_path: Path) -> None:
    """Closed and opened again, an account has its orders and goes on with the bars after its last ones."""
    feed = minute_bars(10.0, 10.0, 9.0, 10.0)
    path = tmp_path / "paper.account"
    async with opened(path, GrowingFeed(feed.bars[:2])) as account:
        line = FakeLine(DataClock(account.now_ns))
        line.send(buy("o1", limit_price="9.50"))
        await run_to_the_end(account, line)
        assert line.reports(Executed) == []
    async with opened(path, feed) as account:
        assert account.now_ns == 2 * MINUTE_NS
        line = FakeLine(DataClock(account.now_ns))
        await run_to_the_end(account, line)
        assert [(at_ns, type(what)) for at_ns, what in line.happens if isinstance(what, Executed)] == [
            (3 * MINUTE_NS, Executed)
        ]
