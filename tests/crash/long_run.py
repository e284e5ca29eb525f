"""A local paper account that trades for a long time: how much memory it takes meanwhile, and whether it still knows its first order.

    python tests/crash/long_run.py FOLDER [--orders 200000] [--trace]

Writes a line of JSON after each quarter of the orders (`orders`, and `rss`, the resident bytes), and one at the end: what the questions
about the first order were answered. `--trace` adds where the memory of the second half was allocated.
"""

from __future__ import annotations

import argparse
import gc
import json
import tracemalloc
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import psutil

from ordersmith.actors.bars import Bars
from ordersmith.actors.events import OrderFilled
from ordersmith.actors.messages import CommandRefused, GetOrderStatus, GetPositions, SubmitOrders
from ordersmith.actors.model import Order, OrderStatus, TimeInForce
from ordersmith.actors.ports import Executed
from ordersmith.actors.strategy import Strategy
from ordersmith.adapters.record_codec import decode_record
from ordersmith.config import load
from ordersmith.supervisor.live import NO_ANSWER
from ordersmith.supervisor.live_plan import LiveSystem

DAY_NS = 86_400_000_000_000
ORDERS_A_BAR = 100
EXPIRING = 5
SYMBOLS = ("A", "B")
FIRST = "the-first"


class EndlessFeed:
    """Bars that are made when they are asked for, so that the data takes no room."""

    symbols = SYMBOLS
    start_ns = DAY_NS

    def __init__(self, steps: int) -> None:
        self.step_count = steps

    def __iter__(self) -> Iterator[Bars]:
        for index in range(1, self.step_count + 1):
            price = 100.0 + (index % 50) * 0.25
            rows = dict.fromkeys(SYMBOLS, (price, price + 1, price - 1, price, 1e6))
            yield Bars(index * DAY_NS, (index + 1) * DAY_NS, index, True, rows)


class Busy(Strategy):
    """Buys and sells in turns: every order fills or expires on the next bar, so that nothing piles up but history."""

    def __init__(self) -> None:
        self.bar = 0

    def on_bars(self, bars: Bars) -> None:
        self.bar += 1
        side = Order.buy if self.bar % 2 else Order.sell
        orders = [side(SYMBOLS[number % 2], 5) for number in range(ORDERS_A_BAR - EXPIRING)]
        if self.bar == 1:
            orders[0] = first_order()
        self.submit(orders)
        self.submit([Order.buy("A", 5, "50", time_in_force=TimeInForce.DAY) for _ in range(EXPIRING)])


def first_order(quantity: int = 5) -> Order:
    return Order.buy("A", quantity, client_order_id=FIRST, account="main", strategy="main")


async def trade(folder: Path, orders: int, trace: bool) -> None:
    settings = load(
        {
            "execution": {
                "mode": "paper",
                "provider": "simulated",
                "paper": {"speed": "max", "file": str(folder / "paper.db")},
                "backtest": {"participation": None, "account": {"cash": 10**9}},
            },
            "risk": {"duplicate_window": 0, "max_gross_exposure": 10**9},
            "journal": {"path": str(folder / "journal.db")},
        }
    )
    bars = orders // ORDERS_A_BAR
    system = LiveSystem(settings, EndlessFeed(bars + 2), [("main", Busy())], version="long run")
    over, shown, process = anyio.Event(), 0, psutil.Process()

    def show(_: Bars) -> None:
        nonlocal shown
        shown += 1
        if shown % (bars // 4) == 0:
            gc.collect()
            print(json.dumps({"orders": shown * ORDERS_A_BAR, "rss": process.memory_info().rss}), flush=True)
            if trace and shown == bars // 2:
                tracemalloc.start(12)
            if trace and shown == bars:
                _tell_memory()

    system.ended, system.shown = over.set, show
    async with anyio.create_task_group() as group:
        group.start_soon(system.run)
        await over.wait()
        await system.runtime.idle()
        print(json.dumps(await ask_about_the_first(system)), flush=True)
        assert await system.runtime.stop(20)


async def ask_about_the_first(system: LiveSystem) -> dict[str, Any]:
    """Ask everything that needs the first order, and return the answers."""
    runtime = system.runtime
    assert runtime.core.dispatcher.view("order/" + FIRST) is None, "it was to have left memory"
    statuses: list[OrderStatus] = await runtime.ask("desk", GetOrderStatus((FIRST,), NO_ANSWER))
    (status,) = statuses
    (again,) = await runtime.ask("desk", SubmitOrders((first_order(),), False, NO_ANSWER))
    (other,) = await runtime.ask("desk", SubmitOrders((first_order(6),), False, NO_ANSWER))
    history = [decode_record(data).event for data in system.journal.history(FIRST)]
    (filled,) = [event for event in history if isinstance(event, OrderFilled)]
    before = await runtime.ask("positions", GetPositions(NO_ANSWER))
    records = runtime.last_record()
    runtime.post("connection/main", Executed(f"{FIRST}.0", filled.fill, Decimal(5)))
    await runtime.idle()
    after = await runtime.ask("positions", GetPositions(NO_ANSWER))
    return {
        "state": status.state,
        "filled": str(status.filled_quantity),
        "again": isinstance(again, OrderStatus) and again.last_record == status.last_record,
        "other terms": isinstance(other, CommandRefused),
        "late fill changes nothing": before == after,
        "recorded since": [str(decode_record(data).event) for data in system.journal.read(records)],
        "records of it": len(history),
    }


def _tell_memory() -> None:
    for statistic in tracemalloc.take_snapshot().statistics("traceback")[:12]:
        print(f"# {statistic.size >> 10} KiB in {statistic.count}")
        for line in statistic.traceback.format()[-8:]:
            print("#", line)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--orders", type=int, default=200_000)
    parser.add_argument("--trace", action="store_true")
    wanted = parser.parse_args()
    anyio.run(trade, wanted.folder, wanted.orders, wanted.trace)


if __name__ == "__main__":
    main()
