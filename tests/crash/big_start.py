"""A start with the journal of a long time: how many seconds until trading is possible.

    python tests/crash/big_start.py JOURNAL [--cash 930000]

Prints a line of JSON: the seconds from the beginning of the process's own work to ready, the records that were there, and the peak
of resident memory. The journal is one that `tests/kit/big_journal.py` has made; the paper account beside it is new, with the cash
that the journal's orders have left.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kit"))

from big_journal import BEGIN_NS, SYMBOLS

from ordersmith.actors.bars import Bars
from ordersmith.config import load
from ordersmith.supervisor.live_plan import LiveSystem

DAY_NS = 86_400_000_000_000
LATER_NS = BEGIN_NS + 100 * DAY_NS


class OneDay:
    """Bars of one day, long after the journal's last record."""

    symbols = SYMBOLS
    start_ns = LATER_NS
    step_count = 1

    def __iter__(self) -> Iterator[Bars]:
        rows = dict.fromkeys(SYMBOLS, (100.0, 101.0, 99.0, 100.0, 1e6))
        yield Bars(LATER_NS, LATER_NS + DAY_NS, LATER_NS // DAY_NS, True, rows)


async def start(journal: Path, cash: str) -> None:
    settings = load(
        {
            "execution": {
                "mode": "paper",
                "provider": "simulated",
                "paper": {"speed": "max", "file": str(journal.with_name("paper.db"))},
                "backtest": {"account": {"cash": cash}},
            },
            "journal": {"path": str(journal)},
        }
    )
    began = time.perf_counter()
    system = LiveSystem(settings, OneDay(), version="big start")
    over = anyio.Event()
    system.ended = over.set
    async with anyio.create_task_group() as group:
        group.start_soon(system.run)
        await system.runtime.ready.wait()
        took_s = time.perf_counter() - began
        await over.wait()
        await system.runtime.idle()
        records = system.runtime.last_record()
        resident = psutil.Process().memory_info().rss
        state = system.runtime.core.dispatcher.view("circuit_breaker").trading_state
        print(
            json.dumps({"ready_s": round(took_s, 3), "records": records, "resident": resident, "state": state}),
            flush=True,
        )
        assert await system.runtime.stop(60)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("journal", type=Path)
    parser.add_argument("--cash", default="930000")
    wanted = parser.parse_args()
    anyio.run(start, wanted.journal, wanted.cash)


if __name__ == "__main__":
    main()
