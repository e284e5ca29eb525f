"""The same program, strategy and data in a backtest and on a local paper account at full speed: the same orders, one by one."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from paper_runtime import PaperRun, order_events
from random_trading import ACTIONS_OF_COMPANIES, OUTSIDE, PLANS, SETTINGS, STEPS, RandomRun

from ordersmith.adapters.record_codec import decode_record


def inside(plan: Any) -> Any:
    """Return the plan without what a person does between bars."""
    return [[action for action in actions if action[0] not in OUTSIDE] for actions in plan]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=25, deadline=None)
@given(SETTINGS, STEPS, PLANS, ACTIONS_OF_COMPANIES)
def test_orders_have_the_same_fate_one_by_one(
    backend: str, drawn: dict[str, Any], steps: Any, plan: Any, actions: Any
) -> None:
    """Every event of every order, with its time, and the broker's cash are those of the backtest."""
    run = RandomRun(drawn, steps, inside(plan), actions)
    for _ in run:
        pass
    run.backtest.dispatcher.log.write()
    expected = order_events([decode_record(data) for data in run.backtest.store.read()])
    memory = Path("/dev/shm")  # noqa: S108 - syncs would cost minutes
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:

        async def paper() -> PaperRun:
            return await PaperRun(run, Path(folder)).to_the_end()

        found = anyio.run(paper, backend=backend)
    assert found.events == expected
    assert found.cash == run.backtest.exchange.cash
