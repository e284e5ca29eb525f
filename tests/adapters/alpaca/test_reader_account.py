"""What a hostile reader found about the account and the session: readings that would say what Alpaca has not."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from scripted_alpaca import ScriptedAlpaca, Seen, order_row
from scripted_world import ScriptedWorld, ready

from ordersmith.actors.ports import BrokerOrderState, Disconnect, Disconnected
from ordersmith.actors.snapshots import AccountSnapshot, ReadDue, SnapshotFailed, SyncAccount
from ordersmith.adapters.alpaca.budget import Budget, Priority
from ordersmith.adapters.alpaca.polling import SECOND_NS, Polling

pytestmark = pytest.mark.anyio

ORDERS, FILLS = "/v2/orders", "/v2/account/activities/FILL"
MINUTE_NS = 60_000_000_000


async def test_an_open_order_with_an_unknown_status_is_in_the_account(alpaca: ScriptedAlpaca) -> None:
    """An order that is listed as open with a word that nobody knows is there: left out, it would be given up as not found (A5)."""
    alpaca.only("GET", ORDERS, body=[order_row(status="a_new_word", filled="4")])
    world = ScriptedWorld(alpaca)
    async with world.host.running() as host:
        await host.connect()
        (found,) = (await host.read()).orders
        assert (found.wire_id, found.state, found.cumulative_quantity) == ("one.0", BrokerOrderState.WORKING, 4)
        assert found.open_quantity == 6


async def test_an_account_that_does_not_hold_still_is_not_adopted(alpaca: ScriptedAlpaca) -> None:
    """The first reading of all fails while executions come between its parts, and succeeds when they cease."""
    rows: list[dict[str, Any]] = []

    def more(seen: Seen) -> list[dict[str, Any]]:
        number = len(rows) + 1
        row = {"id": f"f{number}", "activity_type": "FILL", "order_id": "theirs", "symbol": "A", "side": "buy"}
        rows.append(
            {**row, "transaction_time": "2026-11-22T08:11:09Z", "qty": "1", "price": "5", "cum_qty": str(number)}
        )
        return rows

    alpaca.only("GET", FILLS, body=more)
    async with ScriptedWorld(alpaca).host.running() as host:
        await host.connect()
        with anyio.fail_after(10):
            while "changed" not in (failed := await host.read_once()).reason:  # type: ignore[union-attr]
                assert isinstance(failed, SnapshotFailed)
        alpaca.only("GET", FILLS, body=rows)
        assert isinstance(await host.read_once(), AccountSnapshot)


async def test_a_session_that_is_opened_again_waits_for_its_own_stream(alpaca: ScriptedAlpaca) -> None:
    """After Disconnect the stream of the session before proves nothing: the account is read when the new one listens."""
    world = ScriptedWorld(alpaca)
    async with world.host.running() as host:
        await ready(host)
        host.send(Disconnect())
        await host.heard(Disconnected)
        host.reports.clear()
        alpaca.acknowledges = False
        await host.connect()
        assert isinstance(await host.read_once(), SnapshotFailed)
        alpaca.acknowledges = True
        await host.heard(ReadDue)
        await host.read()


async def test_a_burst_of_questions_is_one_reading(alpaca: ScriptedAlpaca) -> None:
    """Thirty readings that are asked for at once cost the requests of two, and the last of them is answered."""
    world = ScriptedWorld(alpaca)
    async with world.host.running() as host:
        await ready(host)
        before = len(alpaca.requests)
        await host.read_once()
        cost = len(alpaca.requests) - before
        for number in range(30):
            host.send(SyncAccount(100 + number, ""))
        await host.heard(AccountSnapshot, lambda report: report.as_of == 129)
        assert len(alpaca.requests) - before <= 3 * cost


def test_a_limit_that_no_header_states_is_kept() -> None:
    """Without headers no more than the limit goes out in a minute, also while some request is always under way."""
    budget = Budget(10)
    budget.sent(0)
    now_ns, sent = MINUTE_NS + 1, 0
    while budget.wait_ns(Priority.CANCEL, now_ns) == 0 and sent < 100:
        budget.sent(now_ns)
        budget.ended(now_ns)
        sent += 1
    assert sent <= 10


def test_one_gap_that_two_polls_have_seen_is_missed_once() -> None:
    """Facts of one moment that two polls saw, one shortly after the other, are no proof that the stream is mute; a later one is."""
    polling = Polling(2 * SECOND_NS)
    polling.saw(["a"], SECOND_NS)
    polling.saw(["b"], SECOND_NS + SECOND_NS // 2)
    assert polling.missed(3 * SECOND_NS) == (("a",), False)
    assert polling.missed(3 * SECOND_NS + SECOND_NS // 2) == (("b",), False)
    polling.saw(["c"], 6 * SECOND_NS)
    assert polling.missed(8 * SECOND_NS) == (("c",), True)
