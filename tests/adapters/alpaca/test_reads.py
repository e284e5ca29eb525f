"""Reading the account: to the end of every list, with parts that fit together, and with everybody's orders."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from port_host import PortHost
from scripted_alpaca import ScriptedAlpaca, Seen, order_row
from scripted_world import ScriptedWorld, ready

from ordersmith.actors.model import Side
from ordersmith.actors.ports import CashKind, CashMovement
from ordersmith.actors.snapshots import AccountSnapshot, SnapshotFailed
from ordersmith.adapters.alpaca.activities import begin, text_of

pytestmark = pytest.mark.anyio
FILLS, OTHERS, ORDERS = "/v2/account/activities/FILL", "/v2/account/activities", "/v2/orders"


def stamp(second: int) -> str:
    return f"2026-11-22T08:{second // 60 % 60:02d}:{second % 60:02d}Z"


async def read(host: PortHost, after: str = "") -> AccountSnapshot:
    answer = await host.read_once(after)
    assert isinstance(answer, AccountSnapshot), answer
    return answer


async def test_open_orders_are_read_to_the_end(alpaca: ScriptedAlpaca) -> None:
    """More open orders than a page has are all read, also where a page ends between two of one instant (D3)."""
    rows = [order_row(f"o{number}.0", submitted_at=stamp(number // 3)) for number in range(1201)]

    def page(seen: Seen) -> list[dict[str, Any]]:
        after = seen.query.get("after", "")
        found = [row for row in rows if not after or row["submitted_at"] > after[:19] + "Z" or _is_later(row, after)]
        return found[: int(seen.query["limit"])]

    alpaca.only("GET", ORDERS, body=page)
    async with ScriptedWorld(alpaca).host.running() as host:
        await ready(host)
        assert len((await read(host)).orders) == 1201


def _is_later(row: dict[str, Any], after: str) -> bool:
    return str(row["submitted_at"]).replace("Z", ".000000Z") > after


async def test_a_list_that_does_not_move_on_is_no_list(alpaca: ScriptedAlpaca) -> None:
    """Pages that repeat themselves are a failed reading and not an endless one."""
    rows = [order_row(f"o{number}.0") for number in range(500)]
    async with ScriptedWorld(alpaca).host.running() as host:
        await ready(host)
        alpaca.only("GET", ORDERS, body=rows)
        assert isinstance(await host.read_once(), SnapshotFailed)


async def test_activities_are_read_to_the_end(alpaca: ScriptedAlpaca) -> None:
    """More activities than a page has are all told, each with its amount."""
    rows = [
        {"id": f"a{number:04}", "activity_type": "FEE", "date": "2026-11-22", "net_amount": "-1"}
        for number in range(250)
    ]

    def page(seen: Seen) -> list[dict[str, Any]]:
        token = seen.query.get("page_token", "")
        return [row for row in rows if row["id"] > token][:100]

    alpaca.only("GET", OTHERS, body=page)
    world = ScriptedWorld(alpaca)
    async with world.host.running() as host:
        await ready(host)
        await read(host, text_of(begin(world.clock.now_ns())))
        assert len({report.activity_id for report in host.reports if isinstance(report, CashMovement)}) == 250


async def test_an_activity_of_an_unknown_type_is_told_and_noted_once(
    alpaca: ScriptedAlpaca, caplog: pytest.LogCaptureFixture
) -> None:
    """A type that nobody knows moves its cash as OTHER, and is in the log once, however often it is listed."""
    alpaca.only("GET", OTHERS, body=[{"id": "n1", "activity_type": "NEWWORD", "date": "2026-11-22", "net_amount": "5"}])
    world = ScriptedWorld(alpaca)
    async with world.host.running() as host:
        await ready(host)
        first = await read(host, text_of(begin(world.clock.now_ns())))
        await read(host, first.cursor)
        (moved,) = [report for report in host.reports if isinstance(report, CashMovement)]
        assert (moved.kind, moved.amount) == (CashKind.OTHER, 5)
        assert caplog.text.count("unknown type") == 1


async def test_a_fill_while_the_account_is_read_makes_it_be_read_again(alpaca: ScriptedAlpaca) -> None:
    """A snapshot has the positions from after the fills that it tells, and not from before."""
    fill = {
        "id": "f1",
        "activity_type": "FILL",
        "transaction_time": "2026-11-22T08:11:09Z",
        "order_id": "id-one.0",
        "cum_qty": "4",
        "qty": "4",
        "price": "50",
    }
    position = {"symbol": "A", "qty": "4", "side": "long", "avg_entry_price": "50"}
    world = ScriptedWorld(alpaca)
    async with world.host.running() as host:
        await ready(host)
        alpaca.only("GET", f"{ORDERS}/id-one.0", body=order_row(filled="4"))
        alpaca.only("GET", FILLS, body=[fill])
        alpaca.answer("GET", FILLS, body=[], first=True)
        alpaca.only("GET", "/v2/positions", body=[position])
        alpaca.answer("GET", "/v2/positions", body=[], first=True)
        snapshot = await read(host, text_of(begin(world.clock.now_ns())))
        assert [each.quantity for each in snapshot.positions] == [4]
        assert [each.cumulative_quantity for each in snapshot.executions] == [4]


async def test_short_positions_and_the_orders_of_others(alpaca: ScriptedAlpaca) -> None:
    """A short position is negative; a stranger's bracket counts with its legs that work, an amount of money as that amount."""
    bracket = order_row(
        "5f5e-4b",
        id="b",
        legs=[order_row("leg-1", id="l1", side="sell", status="new"), order_row("leg-2", id="l2", status="held")],
    )
    money = order_row("77-aa", id="m", qty=None, notional="250.5", limit_price=None)
    async with ScriptedWorld(alpaca).host.running() as host:
        await ready(host)
        alpaca.only("GET", ORDERS, body=[bracket, money, order_row("ours.0")])
        rows = [{"symbol": "A", "qty": "-3", "side": "short"}, {"symbol": "B", "qty": "2", "side": "short"}]
        alpaca.only("GET", "/v2/positions", body=rows)
        snapshot = await read(host)
        assert [(each.symbol, each.quantity) for each in snapshot.positions] == [("A", -3), ("B", -2)]
        found = {each.broker_order_id: (each.side, each.open_quantity, each.limit_price) for each in snapshot.externals}
        assert found == {
            "b": (Side.BUY, 10, 50),
            "l1": (Side.SELL, 10, 50),
            "m": (Side.BUY, Decimal("250.5"), 1),
        }
        assert [each.wire_id for each in snapshot.orders] == ["ours.0"]


async def test_many_strange_fills_are_attributed_by_one_list(alpaca: ScriptedAlpaca) -> None:
    """The orders of many executions are looked up together, not one by one against the rate limit."""
    fills = [
        {
            "id": f"f{number}",
            "activity_type": "FILL",
            "transaction_time": stamp(number),
            "order_id": f"id-n{number}.0",
            "cum_qty": "10",
            "qty": "10",
            "price": "50",
        }
        for number in range(60)
    ]
    rows = [order_row(f"n{number}.0", "filled", "10") for number in range(60)]
    world = ScriptedWorld(alpaca)
    async with world.host.running() as host:
        await ready(host)
        alpaca.only("GET", FILLS, body=fills)
        alpaca.only("GET", ORDERS, body=lambda seen: rows if seen.query["status"] == "all" else [])
        before = len(alpaca.requests)
        snapshot = await read(host, text_of(begin(world.clock.now_ns())))
        assert len(snapshot.executions) == 60
        assert len(alpaca.requests) - before < 12
