"""Memory grows only with what the user asked to keep."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator

import pytest

from ordersmith.actors import desk
from ordersmith.actors.bars import Bars
from ordersmith.actors.model import Order, TimeInForce
from ordersmith.actors.strategy import Strategy
from ordersmith.config import load
from ordersmith.supervisor import backtest as backtest_module
from ordersmith.supervisor.backtest import Backtest

DAY_NS = 86_400_000_000_000
ORDERS_A_BAR = 10
SHORT = 80
"""Bars of the short run; the long one has three times as many."""

RECORDS_AN_ORDER = 5
"""Submitted, approved, intended, accepted, and filled or expired."""


class EndlessFeed:
    """Bars that are made when they are asked for, so that the data takes no room."""

    symbols = ("A", "B")
    start_ns = DAY_NS

    def __init__(self, steps: int) -> None:
        self.step_count = steps

    def __iter__(self) -> Iterator[Bars]:
        for index in range(1, self.step_count + 1):
            price = 100.0 + (index % 50) * 0.25
            rows = dict.fromkeys(self.symbols, (price, price + 1, price - 1, price, 1e6))
            yield Bars(index * DAY_NS, (index + 1) * DAY_NS, index, True, rows)


class Busy(Strategy):
    """Buys and sells in turns, so that nothing piles up but history: every order fills or expires on the next bar."""

    def __init__(self) -> None:
        self.bar = 0

    def on_bars(self, bars: Bars) -> None:
        self.bar += 1
        side = Order.buy if self.bar % 2 else Order.sell
        self.submit([side(symbol, 5) for symbol in ("A", "B") for _ in range(ORDERS_A_BAR // 2 - 1)])
        self.submit([Order.buy(symbol, 5, "50", time_in_force=TimeInForce.DAY) for symbol in ("A", "B")])


@pytest.fixture(autouse=True)
def _little_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let closed orders leave memory, and records go into snapshots, early enough to matter in a short run."""
    monkeypatch.setattr(desk, "KEPT_CLOSED", 50)
    monkeypatch.setattr(desk, "LEAVING_AT_ONCE", 10)
    monkeypatch.setattr(backtest_module, "SNAPSHOT_EVERY", 500)


def live_memory(bars: int, keep: str) -> tuple[int, Backtest]:
    """Run, and return how many bytes are still allocated of what the run allocated, the equity curve taken off."""
    gc.collect()
    tracemalloc.start()
    try:
        options = {"execution": {"mode": "backtest"}, "journal": {"keep": keep}}
        feed = EndlessFeed(bars)
        backtest = Backtest(load(options), feed, (("main", Busy()),))
        backtest.exchange._orders._size = 50  # the exchange remembers this many finished orders
        backtest.start()
        backtest.run(iter(feed))
        gc.collect()
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    curve = sum(len(column) * column.itemsize for column in (backtest.times, backtest.sessions, backtest.equity))
    assert backtest.store.count >= bars * ORDERS_A_BAR * RECORDS_AN_ORDER * 0.9
    return size - curve, backtest


def test_a_run_that_keeps_nothing_stays_small() -> None:
    """With `journal.keep: open` three times as many orders leave the same live memory behind."""
    live_memory(SHORT, "open")  # caches fill once
    short, _ = live_memory(SHORT, "open")
    long, _ = live_memory(3 * SHORT, "open")
    assert abs(long - short) < 20_000, (short, long)


def test_what_is_kept_is_the_encoded_records() -> None:
    """With `journal.keep: all` memory grows by the bytes of the encoded records and little more."""
    live_memory(SHORT, "all")
    short, first = live_memory(SHORT, "all")
    long, second = live_memory(3 * SHORT, "all")
    records = second.store.count - first.store.count
    encoded = sum(map(len, second.store.read())) - sum(map(len, first.store.read()))
    assert long - short < encoded * 1.25 + records * 16
    assert encoded / records < 200, f"{encoded / records:.0f} bytes a record"


def test_no_actor_and_no_record_piles_up() -> None:
    """What is alive at the end is the tree, the orders that may still be asked for, and the records since the last snapshot."""
    _, backtest = live_memory(3 * SHORT, "open")
    orders = [cell for cell in backtest.dispatcher.cells.values() if cell.entity]
    assert len(orders) <= 50 + 10 + 2 * ORDERS_A_BAR
    assert len(backtest.dispatcher.log.records) < 500 + ORDERS_A_BAR * RECORDS_AN_ORDER
    assert not backtest.dispatcher.view("risk_gate").exposure.open.keys() - {cell.name[6:] for cell in orders}
    assert sum(backtest.states().values()) == 3 * SHORT * ORDERS_A_BAR
