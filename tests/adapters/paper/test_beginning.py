"""How a paper account begins with a runtime that has to read it twice, and what a read says of its time."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import anyio
import pytest
from paper_kit import MINUTE_NS, FakeLine, NoArchive, minute_bars, paper_account

from ordersmith.actors.ports import Connect
from ordersmith.actors.snapshots import AccountSnapshot, SyncAccount
from ordersmith.adapters.paper.pace import DataClock, Turns
from ordersmith.adapters.paper.port import PaperPort
from ordersmith.adapters.paper.venue import PaperVenue
from ordersmith.adapters.simulated.exchange import ExchangeRules

pytestmark = pytest.mark.anyio

RULES = ExchangeRules(cash=Decimal(10**9))
SECOND_NS = 1_000_000_000


@pytest.mark.parametrize("has_reader", [False, True])
async def test_time_goes_on_for_a_beginning_that_waits_for_it(tmp_path: Path, *, has_reader: bool) -> None:
    """A second read of the account, a second after the first, comes before any bars, and before anybody asks for bars."""
    account = paper_account(tmp_path / "paper.account", RULES, minute_bars(10.0))
    await account.open()
    line = FakeLine(DataClock(0))
    begun: list[int] = []
    turns = Turns()
    if has_reader:
        turns.attach()

    def heard(report: object) -> None:
        if isinstance(report, AccountSnapshot):
            if report.as_of == 2:
                begun.append(line.now_ns)
                turns.ask()
            else:
                line.timers[SECOND_NS] = lambda: line.send(SyncAccount(2, ""))

    line.on_post = heard
    line.send(Connect())
    line.send(SyncAccount(1, ""))
    around = line.surroundings()._replace(has_begun=lambda: bool(begun))
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(PaperPort(account, line.clock, around, turns=turns).run, line)
            await line.ended.wait()
            group.cancel_scope.cancel()
    await account.close()
    assert begun == [SECOND_NS]
    assert [what for _, what in line.happens if isinstance(what, tuple)][-1] == ("shown", MINUTE_NS)


async def test_a_read_says_when_it_was_asked_for() -> None:
    """Whoever counts what is not in the account needs to know since when."""
    venue = PaperVenue(RULES, {}, NoArchive())
    assert venue.snapshot(SyncAccount(7, "", asked_ns=123), ()).asked_ns == 123
