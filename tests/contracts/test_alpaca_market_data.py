"""What goes wrong with Alpaca's market data, through the real SDK's stream against the sandbox."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from alpaca_sandbox_kit import SandboxClient, running_sandbox

from ordersmith.adapters.alpaca.market_stream import TROUBLE, UP, MarketStream


async def first_words(sandbox: SandboxClient, symbols: int, words: int) -> list[tuple[str, Any]]:
    """Return the first things that a stream of so many symbols hands over."""
    said: list[tuple[str, Any]] = []
    enough = asyncio.Event()

    def hear(kind: str, what: Any) -> None:
        said.append((kind, what))
        if len(said) >= words:
            enough.set()

    stream = MarketStream(sandbox.access(), [f"S{number}" for number in range(symbols)], hear)
    task = asyncio.create_task(stream.serve())
    try:
        async with asyncio.timeout(5):
            await enough.wait()
    finally:
        while not task.done():  # Python 3.11's wait_for, in the SDK, loses a cancellation that comes with a message
            task.cancel()
            await asyncio.wait([task], timeout=0.1)
    return said


@pytest.mark.parametrize("symbols", [16, 20, 30, 40])
def test_more_symbols_than_the_plan_streams_are_no_outage(symbols: int) -> None:
    """With more symbols than the free plan streams, those that fit are streamed and the limit is said (405)."""
    with running_sandbox(prices="none", lists_anything=True) as sandbox:
        said = asyncio.run(first_words(sandbox, symbols, 2))
    assert [kind for kind, _ in said[:2]] == [UP, TROUBLE]
    assert len(said[0][1]) == 15
    assert "405" in said[1][1]
