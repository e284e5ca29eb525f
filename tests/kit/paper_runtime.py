"""A drawn run of a backtest, once more as a live runtime on a paper account: a real journal, a real file, its own tasks."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import anyio
from random_trading import RandomRun, RandomTrader

from ordersmith.actors.actor import Record
from ordersmith.actors.events import OrderEvent
from ordersmith.actors.model import TimeInForce
from ordersmith.adapters.journal_questions import JournalQuestions
from ordersmith.adapters.paper.account import PaperAccount
from ordersmith.adapters.paper.pace import DataClock
from ordersmith.adapters.paper.port import PaperPort, Surroundings
from ordersmith.adapters.record_codec import decode_record
from ordersmith.adapters.sqlite_journal import SqliteJournal
from ordersmith.supervisor.core import Core
from ordersmith.supervisor.dispatcher import ARITHMETIC
from ordersmith.supervisor.from_settings import breaker_rules, exchange_rules, instruments_of, limits
from ordersmith.supervisor.inputs import PricesMatched, PricesShown
from ordersmith.supervisor.live import Boot, LiveRuntime
from ordersmith.supervisor.tree import Plan


class PaperRun:
    """The same program, strategy and data as a `RandomRun`, in a folder of its own."""

    def __init__(self, run: RandomRun, folder: Path, speed: Fraction | None = None) -> None:
        settings, feed = run.settings, run.feed
        instruments = instruments_of(settings, feed.symbols)
        self.account = PaperAccount(
            folder / "paper.account", exchange_rules(settings), instruments, feed, arithmetic=ARITHMETIC
        )
        self.store = SqliteJournal(folder / "run.journal", ballast_bytes=4096)
        self.clock = DataClock(feed.start_ns)
        self.ended = anyio.Event()
        self.events: list[tuple[int, Any]] = []
        self.cash = Decimal(0)
        trader = RandomTrader(run.plan, run.trader.exits)

        def plan(prices: Any, backlog: Callable[[int], tuple[int, int]]) -> Plan:
            return Plan(
                account="main",
                id_prefix=run.backtest._id_prefix.removesuffix("x"),
                limits=limits(settings),
                breaker=breaker_rules(settings),
                instruments=instruments,
                market=prices.known,
                shown=prices.shown,
                targets_time_in_force=TimeInForce(settings.execution.targets.time_in_force),
                strategies=(("main", trader),),
                port=lambda: PaperPort(self.account, self.clock, around, speed=speed),
                backlog=backlog,
            )

        def questions(runtime: LiveRuntime) -> JournalQuestions:
            return JournalQuestions(
                self.store, last=runtime.last_record, post=runtime.post, failed=lambda fault: runtime.warn(str(fault))
            )

        self.runtime = runtime = LiveRuntime(
            lambda last: Core(plan, self.store, seed=settings.seed, last=last),
            self.store,
            self.clock,
            Boot("paper", "b1", "0"),
            account="main",
            questions=questions,
        )
        self.clock.moved = runtime.look_again
        around = Surroundings(
            known=lambda bars: runtime.put(PricesMatched(bars)),
            matched=lambda bars: runtime.put(PricesMatched(bars)),
            shown=lambda bars: runtime.put(PricesShown(bars)),
            ended=self.ended.set,
            next_deadline_ns=lambda: runtime.core.next_deadline_ns(),  # noqa: PLW0108 - the core is made when it runs
        )

    async def to_the_end(self) -> PaperRun:
        """Run until the data are over, keep what the orders have come to, and stop in order."""
        await self.account.open()
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self.runtime.run)
                with anyio.fail_after(60):
                    await self.ended.wait()
                    await self.runtime.idle()
                self.events = order_events([decode_record(data) for data in self.store.read()])
                self.cash = self.account.venue.cash
                await self.runtime.stop(10)
        finally:
            await self.account.close()
        return self


def order_events(records: list[Record]) -> list[tuple[int, Any]]:
    """Return what orders have come to, in order: (time, event)."""
    return [(record.at_ns, record.event) for record in records if isinstance(record.event, OrderEvent)]
