"""How long an order takes from `submit_orders` to the port, its intent durable, next to what the same disk does without us.

    python benchmarks/live.py [--orders 600] [--many 20000] [--folder DIR]

A local paper account whose data have ended, asyncio and trio. "one at a time" has the next order come when the one before is with the port;
"saturated" has 200 tasks that each submit the next order as soon as they are answered. The bare transactions are measured
before and after in the same run. The targets: one at a time, p50 at most twice a bare aiosqlite transaction; saturated, p99 under
50 ms, and 5 times aiosqlite's single commits or 5,000 orders a second, whichever is less.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import anyio
from journal import AIOSQLITE, Percentiles, baselines, percentiles

from ordersmith import Order
from ordersmith.actors.bars import Bars
from ordersmith.supervisor.live_executor import LiveExecutor
from ordersmith.supervisor.outlet import PortLine

BACKENDS = ("asyncio", "trio") if find_spec("trio") else ("asyncio",)
TASKS = 200
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


async def trade(folder: Path, orders: int, many: int) -> tuple[Percentiles, Percentiles, float]:
    """Return the times to the port, one at a time and saturated, and the saturated rate."""
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

            for _ in range(orders):
                await submit("one")
                await executor._system.runtime.idle()

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
        taken.restore()
    times: dict[str, list[float]] = {"one": [], "many": []}
    for order_id, (phase, start) in began.items():
        times[phase].append(taken.at[order_id] - start)
    return percentiles(times["one"]), percentiles(times["many"]), rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=600, help="submitted one at a time")
    parser.add_argument("--many", type=int, default=20_000, help="submitted by 200 tasks at once")
    parser.add_argument("--folder", type=Path, help="on the disk to measure; the default is the temporary folder's")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        bare = baselines(folder, arguments.orders // 2)
        print(f"{'to durable, or to the port':<28} {'p50 ms':>8} {'p99 ms':>8} {'a second':>9}  p50 / aiosqlite's")
        measured: dict[str, Percentiles] = {}
        for backend in BACKENDS:
            (folder / backend).mkdir()
            one, many, rate = anyio.run(trade, folder / backend, arguments.orders, arguments.many, backend=backend)
            measured[f"one at a time, {backend}"] = one
            measured[f"saturated, {backend}"] = Percentiles(many.p50, many.p99, rate)
        again = baselines(folder, arguments.orders // 2)
        reference = (bare[AIOSQLITE].p50 + again[AIOSQLITE].p50) / 2
        for label, own in [
            *bare.items(),
            *((f"{label}, again", own) for label, own in again.items()),
            *measured.items(),
        ]:
            print(
                f"{label:<28} {own.p50 * 1e3:>8.3f} {own.p99 * 1e3:>8.3f} {own.rate:>9,.0f}  {own.p50 / reference:.2f}"
            )
        judge(measured, reference, (bare[AIOSQLITE].rate + again[AIOSQLITE].rate) / 2)


def judge(measured: dict[str, Percentiles], bare_p50: float, bare_rate: float) -> None:
    """Say which targets were met; on a machine that does other work as well they mean little."""
    enough = min(5 * bare_rate, ENOUGH)
    for label, own in measured.items():
        if label.startswith("one"):
            verdicts = {f"p50 {own.p50 / bare_p50:.2f} of aiosqlite's, at most 2": own.p50 <= 2 * bare_p50}
        else:
            verdicts = {
                f"p99 {own.p99 * 1e3:.0f} ms, under 50": own.p99 < 0.05,
                f"{own.rate:,.0f} orders a second, at least {enough:,.0f}": own.rate >= enough,
            }
        for text, is_met in verdicts.items():
            print(f"{'met' if is_met else 'MISSED':<7} {label}: {text}")


if __name__ == "__main__":
    main()
