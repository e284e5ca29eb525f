"""A stream of events under asyncio's own cancellation, which does not wait for the thread that reads."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from driven import feed, orders_on
from embedded import fast_folder, paper

from ordersmith import PaperExecutor
from ordersmith.supervisor import events_stream
from ordersmith.supervisor.events_stream import Events


async def trade_all(executor: PaperExecutor) -> None:
    async for bars in executor.market():
        await executor.submit_orders(orders_on(bars))


def test_a_read_that_asyncio_calls_off_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """`asyncio.wait_for` leaves the reading thread behind; what it has read then is read again by the next."""
    monkeypatch.setattr(events_stream, "PIECE", 20)
    begun, go_on = threading.Event(), threading.Event()
    read_piece = Events._piece

    def slowly(*arguments: Any) -> Any:
        piece = read_piece(*arguments)
        begun.set()
        go_on.wait(10)
        return piece

    async def follow(folder: Path) -> list[int]:
        async with PaperExecutor(paper(folder), data=feed()) as executor:
            await trade_all(executor)
            durable = executor._system.runtime.store.durable
            events = executor.events()
            monkeypatch.setattr(Events, "_piece", slowly)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(events), 0.2)
            assert begun.is_set()
            monkeypatch.setattr(Events, "_piece", read_piece)
            go_on.set()
            return [(await anext(events)).number for _ in range(durable)]

    with fast_folder() as folder:
        numbers = asyncio.run(follow(folder))
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > 40
