"""Sessions on a paper account, at any speed and on both backends, that are written down and run again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from embedded import Driver, fast_folder, on_paper
from hypothesis import given, settings
from msgspec.structs import replace
from random_trading import ACTIONS_OF_COMPANIES, PLANS, SETTINGS, STEPS, RandomRun
from recorded_session import command

from ordersmith import LiveExecutor, Settings
from ordersmith.config import load
from ordersmith.supervisor.input_log import path_of
from ordersmith.supervisor.replay import replay as run_again

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
BACKENDS = ["asyncio", "trio"]


def recording(made: Settings, folder: Path, speed: Any = "max") -> Settings:
    on_account = on_paper(made, folder, speed)
    return replace(on_account, journal=replace(on_account.journal, record="inputs"))


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=8, deadline=None)
@given(SETTINGS, STEPS, PLANS, ACTIONS_OF_COMPANIES)
def test_a_drawn_program_replays(backend: str, drawn: dict[str, Any], steps: Any, plan: Any, actions: Any) -> None:
    """Whatever a program asks, and whatever the exchange says, replay makes the session's records."""
    run = RandomRun(drawn, steps, plan, actions)

    async def session(folder: Path) -> str:
        async with LiveExecutor(recording(run.settings, folder), data=run.feed) as executor:
            await Driver(plan).drive(executor)
        return executor._system.runtime.core.dispatcher.log.trace_hash

    with fast_folder() as folder:
        trace_hash = anyio.run(session, folder, backend=backend)
        outcome = run_again(path_of(folder / "journal.db", 1), folder / "journal.db")
    assert outcome.difference is None
    assert (outcome.trace_hash, outcome.notes) == (trace_hash, ())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("speed", "end"), [("max", "2005-06-30"), ("1000000", "2005-02-15")])
def test_the_demo_on_paper_replays_by_the_command(backend: str, speed: str, end: str) -> None:
    """The demo's strategy, loaded from its file again, in two boots, at full speed and at one at which data time is real."""
    demo = load(
        EXAMPLES / "rebalance.yaml",
        ["data.start=2005-01-01", f"data.end={end}", "strategy.parameters.sessions=5"],
    )

    async def session(folder: Path, bars: int) -> None:
        async with LiveExecutor(recording(demo, folder, speed)) as executor:
            market = executor.market()
            async for _ in market:
                bars -= 1
                if not bars:
                    break

    with fast_folder() as folder:
        for boot, bars in ((1, 12), (2, 1_000)):
            anyio.run(session, folder, bars, backend=backend)
            status, out, problems = command("replay", path_of(folder / "journal.db", boot))
            assert (status, problems) == (0, ""), out
            assert "identical: " in out
            assert int(out.partition("identical: ")[2].split()[0]) > 20
