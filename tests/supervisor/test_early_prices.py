"""Prices that come before anybody watches them: while the broker's session is still being opened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from driven import Hosted
from embedded import fast_folder, records_of
from live_kit import ExchangePort, LiveWorld, until

from ordersmith.actors.bars import Bars
from ordersmith.actors.events import Undelivered
from ordersmith.adapters.io_actor import IoActor, Line
from ordersmith.supervisor.inputs import PricesShown

ROW = (10.0, 11.0, 9.0, 10.0, 1000.0)


def minute(number: int) -> Bars:
    return Bars(number * 60, (number + 1) * 60, 0, False, {"A": ROW})


class LatePort(ExchangePort):
    """A broker that is there from when the test says so."""

    def __init__(self, exchange: Any, there: anyio.Event) -> None:
        super().__init__(exchange)
        self.there = there

    async def run(self, line: Line) -> None:
        await self.there.wait()
        await super().run(line)


@pytest.fixture
def folder() -> Iterator[Path]:
    with fast_folder() as found:
        yield found


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_bars_before_the_strategy_has_begun_are_no_news(folder: Path) -> None:
    """They are the last prices, and not told to a strategy that is not there yet, nor recorded as lost on the way to it."""
    there, strategy = anyio.Event(), Hosted()
    world = LiveWorld(folder)
    world.strategies = (("main", strategy),)

    def port() -> IoActor:
        return LatePort(world.exchange, there)

    world.port = port  # type: ignore[method-assign]
    with anyio.fail_after(20):
        runtime = world.runtime()
        async with anyio.create_task_group() as group:
            group.start_soon(runtime.run)
            for number in (1, 2):
                runtime.put(PricesShown(minute(number)))
            await until(runtime, lambda: hasattr(runtime, "core") and runtime.core.prices.known.last_price("A") == 10)
            assert not runtime.core.started
            there.set()
            await runtime.ready.wait()
            runtime.put(PricesShown(minute(3)))
            await runtime.idle()
            await runtime.stop(5)
    assert strategy.seen == [minute(3).end_ns]
    assert [record.event for record in records_of(world.journal) if isinstance(record.event, Undelivered)] == []
