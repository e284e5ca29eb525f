"""How long an order takes from `submit_orders` to the port, its intent durable, next to what the same disk does without us.

    python benchmarks/live.py [--orders 600] [--many 20000] [--folder DIR]

A local paper account whose data have ended, asyncio and trio. "one at a time" has the next order come when the one before is
with the port; "saturated" has 50 tasks that each submit the next order as soon as they are answered. The bare transactions are
measured before and after in the same run; "the same transaction" is what the journal has of one order when it is sent (three
rows and their index), written through bare aiosqlite, in turns with the orders: the disk's mood changes from second to second.
The collector is told to leave alone what was imported, as `ordersmith run` does. The targets: one at a time, p50 at most twice
the same transaction's; saturated, p99 under 50 ms, and 5 times aiosqlite's single commits or 5,000 orders a second, whichever
is less.
"""

from __future__ import annotations

import argparse
import gc
import sqlite3
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import aiosqlite
import anyio
from journal import AIOSQLITE, SETUP, WARM_UP, Percentiles, baselines, percentiles

from ordersmith import Order
from ordersmith.actors.bars import Bars
from ordersmith.adapters.journal_format import SCHEMA
from ordersmith.supervisor.live_executor import LiveExecutor
from ordersmith.supervisor.outlet import PortLine

BACKENDS = ("asyncio", "trio") if find_spec("trio") else ("asyncio",)
TASKS = 50
TURN = 100
ENOUGH = 5_000
MINUTE_NS = 60_000_000_000
START_NS = 1_700_000_000_000_000_000 // MINUTE_NS * MINUTE_NS


def settings(folder: Path) -> dict:
    return {
        "execution": {
            "mode": "paper",
            "provider": "simulated",
            "paper": {"speed": 3600, "file": str(folder / "paper.db")},
            "backtest": {"account": {"cash": 10**12}},
        },
        "journal": {"path": str(folder / "journal.db")},
        "risk": {"max_gross_exposure": 10**12, "max_position_quantity": 10**9, "duplicate_window": 0},
    }


class Taken:
    """When the port took each order."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}
        take = PortLine._take

        def noting(line):
            entry = take(line)
            order = getattr(entry[0], "order", None)
            if order is not None:
                self.at[order.client_order_id] = time.perf_counter()
            return entry

        PortLine._take = noting
        self.restore = lambda: setattr(PortLine, "_take", take)


INSERT = "INSERT INTO records (number, type, client_order_id, data, boot, chain) VALUES (?, ?, ?, ?, ?, ?)"
SENT = ("OrderSubmitted", "OrderApproved", "OrderIntended")


def rows_of_an_order(journal: Path) -> list[tuple]:
    """Return what the journal has of its last order when that is sent."""
    with sqlite3.connect(journal) as database:
        (order_id,) = database.execute(
            "SELECT max(client_order_id) FROM records WHERE type = 'OrderIntended'"
        ).fetchone()
        rows = database.execute(
            "SELECT type, client_order_id, data FROM records WHERE client_order_id = ? ORDER BY number", (order_id,)
        )
        return [row for row in rows if row[0] in SENT]


async def same_transaction(path: Path, rows: list[tuple], commits: int) -> list[float]:
    """Return how long bare aiosqlite takes for the rows of an order, in a table like the journal's, in seconds."""
    times: list[float] = []
    async with aiosqlite.connect(path) as database:
        await database.executescript(SETUP)
        for statement in SCHEMA:
            if "TRIGGER" not in statement:
                await database.execute(statement)
        await database.commit()
        number = 0
        for commit in range(commits + WARM_UP):
            batch = []
            for kind, order_id, data in rows:
                number += 1
                last = len(batch) == len(rows) - 1
                batch.append(
                    (number, kind, f"{order_id}{commit}", data, 1 if last else None, b"x" * 32 if last else None)
                )
            began = time.perf_counter()
            await database.executemany(INSERT, batch)
            await database.commit()
            times.append(time.perf_counter() - began)
    return times[WARM_UP:]


async def trade(folder: Path, orders: int, many: int) -> tuple[Percentiles, Percentiles, Percentiles, float]:
    """Return the times of the same transaction, those to the port, one at a time and saturated, and the saturated rate."""
    bars = [
        Bars(
            START_NS + n * MINUTE_NS,
            START_NS + (n + 1) * MINUTE_NS,
            19_000,
            n == 9,
            {"A": (10.0, 11.0, 9.0, 10.0, 1e9)},
        )
        for n in range(10)
    ]
    taken, began = Taken(), {}
    try:
        async with LiveExecutor(settings(folder), data=bars) as executor:
            async for _ in executor.market():
                pass

            async def submit(phase: str) -> None:
                start = time.perf_counter()
                [status] = await executor.submit_orders([Order(symbol="A", side="BUY", quantity=1)])
                began[status.client_order_id] = phase, start

            same: list[float] = []
            for number in range(orders + WARM_UP):
                await submit("one" if number >= WARM_UP else "warm")
                await executor._system.runtime.idle()
                if number % TURN == WARM_UP:
                    rows = rows_of_an_order(folder / "journal.db")
                    same += await in_a_thread(same_transaction, folder / f"same-{number}.db", rows, TURN)
            gc.collect()
            gc.freeze()

            async def keep_submitting(first: int) -> None:
                for _ in range(first, many, TASKS):
                    await submit("many")

            start = time.perf_counter()
            async with anyio.create_task_group() as group:
                for first in range(TASKS):
                    group.start_soon(keep_submitting, first)
            rate = many / (time.perf_counter() - start)
            await executor._system.runtime.idle()
    finally:
        gc.unfreeze()
        taken.restore()
    times: dict[str, list[float]] = {"warm": [], "one": [], "many": []}
    for order_id, (phase, start) in began.items():
        times[phase].append(taken.at[order_id] - start)
    return percentiles(same), percentiles(times["one"]), percentiles(times["many"]), rate


async def in_a_thread(function, *arguments):
    """Run a coroutine function of asyncio's in a thread of its own, from any backend."""
    return await anyio.to_thread.run_sync(anyio.run, function, *arguments)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=600, help="submitted one at a time")
    parser.add_argument("--many", type=int, default=20_000, help="submitted by 50 tasks at once")
    parser.add_argument("--folder", type=Path, help="on the disk to measure; the default is the temporary folder's")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        bare = baselines(folder, arguments.orders // 2)
        print(
            f"{'to durable, or to the port':<32} {'p50 ms':>8} {'p99 ms':>8} {'a second':>9}  p50 / the same transaction's"
        )
        measured: dict[str, Percentiles] = {}
        references: dict[str, float] = {}
        for backend in BACKENDS:
            (folder / backend).mkdir()
            same, one, many, rate = anyio.run(
                trade, folder / backend, arguments.orders, arguments.many, backend=backend
            )
            measured[f"one at a time, {backend}"] = one
            measured[f"saturated, {backend}"] = Percentiles(many.p50, many.p99, rate)
            bare[f"the same transaction, {backend}"] = same
            references[f"one at a time, {backend}"] = same.p50
        again = baselines(folder, arguments.orders // 2)
        for label, own in [
            *bare.items(),
            *((f"{label}, again", own) for label, own in again.items()),
            *measured.items(),
        ]:
            ratio = f"  {own.p50 / references[label]:.2f}" if label in references else ""
            print(f"{label:<32} {own.p50 * 1e3:>8.3f} {own.p99 * 1e3:>8.3f} {own.rate:>9,.0f}{ratio}")
        judge(measured, references, (bare[AIOSQLITE].rate + again[AIOSQLITE].rate) / 2)


def judge(measured: dict[str, Percentiles], references: dict[str, float], bare_rate: float) -> None:
    """Say which targets were met; on a machine that does other work as well they mean little."""
    enough = min(5 * bare_rate, ENOUGH)
    for label, own in measured.items():
        if label.startswith("one"):
            bare_p50 = references[label]
            verdicts = {f"p50 {own.p50 / bare_p50:.2f} of the same transaction's, at most 2": own.p50 <= 2 * bare_p50}
        else:
            verdicts = {
                f"p99 {own.p99 * 1e3:.0f} ms, under 50": own.p99 < 0.05,
                f"{own.rate:,.0f} orders a second, at least {enough:,.0f}": own.rate >= enough,
            }
        for text, is_met in verdicts.items():
            print(f"{'met' if is_met else 'MISSED':<7} {label}: {text}")


if __name__ == "__main__":
    main()
