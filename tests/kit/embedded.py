"""Paper accounts in a folder of the test's own, programs that drive an executor, and what a run came to, to be compared with another."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from ordersmith import AccountInfo, BacktestExecutor, Bars, LiveExecutor, OrderExecutor, Settings
from ordersmith.actors.actor import Record
from ordersmith.actors.events import OrderEvent
from ordersmith.adapters.journal_reader import JournalReader
from ordersmith.adapters.record_codec import as_json, decode_record
from ordersmith.config import load

MEMORY = Path("/dev/shm")  # noqa: S108 - syncs of a disk would cost minutes


@contextmanager
def fast_folder() -> Iterator[Path]:
    """Make a folder whose files are not synced to a disk, where there is such a thing."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder)


def paper(folder: Path, speed: Any = "max", **execution: Any) -> dict[str, Any]:
    """Return the configuration of a paper account in a folder."""
    return {
        "execution": {
            "mode": "paper",
            "provider": "simulated",
            "paper": {"speed": speed, "file": str(folder / "paper.db")},
            **execution,
        },
        "journal": {"path": str(folder / "journal.db")},
        "service": {"stop_within": 10},
    }


def on_paper(settings: Settings, folder: Path, speed: Any = "max") -> Settings:
    """Return the settings of a backtest as those of a paper account at full speed, its files in a folder."""
    files = paper(folder, speed)
    loaded = load({"execution": files["execution"], "journal": files["journal"]})
    execution = replace(loaded.execution, backtest=settings.execution.backtest, targets=settings.execution.targets)
    return replace(settings, execution=execution, journal=loaded.journal)


def records_of(journal: Path) -> list[Record]:
    """Return what a journal holds."""
    with JournalReader(journal) as reader:
        return [decode_record(data) for data in reader.read()]


def fates(records: list[Record], prefix: str) -> list[tuple[int, bytes]]:
    """Return what has become of all orders, in order: (time, event), with ids that do not know who made them."""
    lines = []
    for record in records:
        if isinstance(record.event, OrderEvent):
            line = as_json(replace(record, number=0, cause=0)).replace(prefix.encode(), b"")
            lines.append((record.at_ns, line))
    return lines


def fates_of_backtest(executor: BacktestExecutor) -> list[tuple[int, bytes]]:
    """Return the fates of a backtest's orders."""
    return fates(list(executor.result().records()), executor._backtest._id_prefix.removesuffix("x"))


def fates_on_paper(executor: LiveExecutor, before: int = 0) -> list[tuple[int, bytes]]:
    """Return the fates of the orders of a live executor that was left."""
    boot = executor._system.runtime.boot
    records = records_of(executor.settings.resolve(executor.settings.journal.path))
    return fates([record for record in records if record.number > before], f"{boot.instance}-{boot.epoch}-")


class Driver:
    """A program that does at the end of each bar what a plan of `random_trading` says, by an executor's methods."""

    def __init__(self, plan: list[list[tuple[Any, ...]]]) -> None:
        self.plan = plan
        self.ids: list[str] = []
        self.closes: dict[str, float] = {}
        self.answers: list[Any] = []

    async def drive(self, executor: OrderExecutor) -> AccountInfo:
        """Go through all bars; return the account at their end."""
        index = 0
        async for bars in executor.market():
            await self.on_bars(executor, bars, self.plan[index] if index < len(self.plan) else [])
            index += 1
        return await executor.get_account_info()

    async def on_bars(self, executor: OrderExecutor, bars: Bars, actions: list[tuple[Any, ...]]) -> None:
        self.closes |= {symbol: bars.close(symbol) for symbol in bars}
        for name, *terms in actions:
            await getattr(self, "_" + name)(executor, *terms)
        self.answers.append(await executor.get_positions())

    def _price(self, symbol: str, ticks: int | None) -> Decimal | None:
        if ticks is None:
            return None
        return Decimal(repr(self.closes.get(symbol, 10.0))) + Decimal(ticks).scaleb(-2)

    async def _order(
        self, executor: OrderExecutor, symbol: str, side: str, quantity: str, prices: Any, tif: Any, *more: Any
    ) -> None:
        from ordersmith import Order

        purpose, extended = more
        make = Order.buy if side == "BUY" else Order.sell
        terms = {name: self._price(symbol, at) if isinstance(at, int) else at for name, at in prices.items()}
        order = make(symbol, quantity, time_in_force=tif, purpose=purpose, extended_hours=extended, **terms)
        (status,) = await executor.submit_orders([order])
        self.ids.append(status.client_order_id)
        self.answers.append(status.state)

    async def _pick(self, executor: OrderExecutor, ordinal: int) -> Any:
        """Return one of the open orders, or a closed one if none is open."""
        statuses = await executor.get_order_status(self.ids)
        ours = [status for status in statuses if not status.is_closed] or statuses
        return ours[ordinal % len(ours)] if ours else None

    async def _cancel(self, executor: OrderExecutor, ordinal: int) -> None:
        status = await self._pick(executor, ordinal)
        if status is not None:
            self.answers.append(await executor.cancel_orders([status.client_order_id]))

    async def _replace(self, executor: OrderExecutor, ordinal: int, quantity: str | None, ticks: int) -> None:
        from ordersmith import OrderCommandError

        status = await self._pick(executor, ordinal)
        if status is None:
            return
        price = self._price(status.symbol, ticks)
        limited, stopped = status.order.limit_price is not None, status.order.stop_price is not None
        try:
            answer: Any = await executor.replace_order(
                status.client_order_id,
                quantity=quantity,
                limit_price=price if limited else None,
                stop_price=price if stopped else None,
            )
            self.answers.append(answer.state)
        except OrderCommandError as refusal:
            self.answers.append(str(refusal).replace(status.client_order_id, "the order"))

    async def _targets(self, executor: OrderExecutor, targets: dict[str, int], close_others: bool) -> None:
        made = await executor.set_targets(targets, close_others=close_others)
        self.ids += [status.client_order_id for status in made]

    async def _flatten(self, executor: OrderExecutor) -> None:
        made = await executor.flatten()
        self.ids += [status.client_order_id for status in made]

    async def _halt(self, executor: OrderExecutor) -> None:
        self.answers.append(await executor.halt("drawn"))

    async def _resume(self, executor: OrderExecutor) -> None:
        self.answers.append(await executor.resume("drawn"))
