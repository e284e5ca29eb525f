"""Every executor refuses a text, or one order, where it wants a list: what no type checker can see would otherwise do nothing, silently."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from driven import SETTINGS, feed
from embedded import fast_folder, paper

from ordersmith import (
    BlockingExecutor,
    BlockingLiveExecutor,
    LiveExecutor,
    Order,
    OrderCommandError,
    OrderExecutor,
    OrderState,
    open_blocking_executor,
    open_executor,
)

SLIPS: list[tuple[Callable[[Any], Any], str]] = [
    (lambda executor: executor.submit_orders(Order.buy("A", 1)), "give a list of orders"),
    (lambda executor: executor.submit_orders("A"), "give a list of orders"),
    (lambda executor: executor.get_order_status("mine"), r"give a list of ids, such as \['mine'\]"),
    (lambda executor: executor.cancel_orders("mine"), r"give a list of ids, such as \['mine'\]"),
    (lambda executor: executor.replace_order(["mine"], quantity=2), "give its text, such as 'mine'"),
    (lambda executor: executor.set_targets("A"), "give quantities by symbol"),
    (lambda executor: executor.set_targets(["A"]), "give quantities by symbol"),
    (lambda executor: executor.quantity_for(["A"], 500), "give one text"),
]
LIVE_SLIPS: list[tuple[Callable[[Any], Any], str]] = [
    (lambda executor: executor.resolve_order(["mine"], "absent", "looked"), "give its text, such as 'mine'"),
    (lambda executor: executor.resolve_symbol(["A"], "adopt", "looked"), "give one text"),
]


@pytest.fixture
def folder() -> Iterator[Path]:
    with fast_folder() as found:
        yield found


async def slips_are_refused(executor: OrderExecutor) -> None:
    resting = Order.buy("A", 1, "50", client_order_id="mine")
    (status,) = await executor.submit_orders(order for order in [resting])  # type: ignore[arg-type]
    assert status.state is OrderState.SUBMITTED
    for slip, words in SLIPS + (LIVE_SLIPS if isinstance(executor, LiveExecutor) else []):
        with pytest.raises(OrderCommandError, match=words):
            await slip(executor)
    assert [status.quantity for status in await executor.get_order_status(["mine"])] == [1]
    assert await executor.cancel_orders(["mine"]) == [True]


def slips_are_refused_at_once(executor: BlockingExecutor | BlockingLiveExecutor) -> None:
    executor.submit_orders([Order.buy("A", 1, "50", client_order_id="mine")])
    for slip, words in SLIPS + (LIVE_SLIPS if isinstance(executor, BlockingLiveExecutor) else []):
        with pytest.raises(OrderCommandError, match=words):
            slip(executor)
    assert executor.cancel_orders(["mine"]) == [True]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
@pytest.mark.parametrize("mode", ["backtest", "paper"])
async def test_a_text_is_not_a_list(mode: str, folder: Path) -> None:
    """The call raises, says what to give, and has done nothing; the executor goes on."""
    with anyio.fail_after(30):
        async with open_executor(SETTINGS if mode == "backtest" else paper(folder), data=feed()) as executor:
            await anext(executor.market())
            await slips_are_refused(executor)


@pytest.mark.parametrize("mode", ["backtest", "paper"])
def test_a_text_is_not_a_list_without_await(mode: str, folder: Path) -> None:
    """So it is where the methods are plain functions."""
    with open_blocking_executor(SETTINGS if mode == "backtest" else paper(folder), data=feed()) as executor:
        next(executor.market())
        slips_are_refused_at_once(executor)
