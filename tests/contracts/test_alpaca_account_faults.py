"""An account at Alpaca: keys that are refused, secrets that must not be seen, what is booked overnight, and other people in it.

The real SDK runs against the sandbox, which is told to misbehave. A naive adapter (SDK defaults, the answer is the truth)
fails each of these.
"""

from __future__ import annotations

import logging
from decimal import Decimal

import pytest
from port_worlds import SYMBOL, AlpacaWorld, new, ready, resting

from ordersmith.actors.model import OrderType
from ordersmith.actors.ports import (
    Cancelled,
    CashKind,
    CashMovement,
    Connect,
    ConnectRefused,
    Disconnected,
    Executed,
    OutcomeUnknown,
    PositionAdjustment,
    Restated,
)

pytestmark = pytest.mark.anyio


# --- Keys and secrets (A.4.1, M4) --------------------------------------------------------------------------------------


async def test_a_refused_key_is_said_within_seconds(world: AlpacaWorld) -> None:
    """A wrong secret is an authentication error at once, after one question, not an endless loop."""
    world.secret = "not-the-secret"
    async with world.host.running() as host:
        host.send(Connect())
        refused = await host.heard(ConnectRefused, within=5)
        assert "key" in refused.reason or "auth" in refused.reason
        assert "not-the-secret" not in refused.reason
        assert len(await world.log()) <= 3


async def test_a_key_that_is_refused_later_is_an_outage(world: AlpacaWorld) -> None:
    """After a session a refused key is a lost session, which may come back."""
    async with world.host.running() as host:
        await ready(host)
        await host.kill()
        host.reports.clear()
        await world.fault("unauthorized", count=2)
        await world.fault("refuse_key", method="GET", path="/v2/account", count=1)
        host.start()
        host.send(Connect())
        lost = await host.heard(Disconnected, within=5)
        assert "refused" in lost.reason
        assert not [report for report in host.reports if isinstance(report, ConnectRefused)]


@pytest.mark.parametrize("kind", ["a live key", "a live account"])
async def test_a_key_of_the_other_mode_is_refused(kind: str) -> None:
    """In paper mode a live key, or an account that is not a paper account, is refused with the reason."""
    world = AlpacaWorld(**({"account_number": "912345678"} if kind == "a live account" else {}))
    world.key = "AKLIVE00000000000" if kind == "a live key" else None
    await world.open()
    try:
        async with world.host.running() as host:
            host.send(Connect())
            assert "paper" in (await host.heard(ConnectRefused, within=5)).reason
    finally:
        await world.close()


async def test_the_secret_is_in_no_output(
    world: AlpacaWorld, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """At DEBUG, over a whole session with errors, the secret is in no log record, in no report and in no output (M4)."""
    caplog.set_level(logging.DEBUG)
    for name in ("websockets", "urllib3", "alpaca", "asyncio"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    async with world.host.running() as host:
        await ready(host)
        await resting(host, "one")
        await world.fault("502_html", method="POST", path="/v2/orders")
        host.send(new("two"))
        await host.told(OutcomeUnknown, "two.0")
        await world.fault("close_1011")
        await host.heard(Disconnected)
        host.send(Connect())
        await host.read(within=20)
    written = "".join(capfd.readouterr())
    said = "\n".join([repr(host.reports), *(record.getMessage() for record in caplog.records), caplog.text, written])
    assert world.sandbox.secret not in said
    assert len(said) > 1000


# --- Overnight (E8, E16, B13) ------------------------------------------------------------------------------------------


async def test_what_happened_overnight_explains_the_account(world: AlpacaWorld) -> None:
    """A split, a dividend and a fee are told before the account that they changed, and account for all of the change."""
    async with world.host.running() as host:
        await ready(host)
        await resting(host, "one", limit_price="50")
        await world.fill("one.0", 10)
        await host.heard(Executed)
        before = await host.read((await host.read()).cursor)
        await host.kill()
        await world.book("SPLIT", symbol=SYMBOL, qty="10", ratio="2")
        await world.book("DIV", symbol=SYMBOL, qty="20", per_share_amount="0.51", net_amount="10.20")
        await world.book("FEE", net_amount="-0.03")
        host.reports.clear()
        host.start()
        await host.connect()
        after = await host.read(before.cursor)
        until = host.reports[: host.reports.index(after)]
        cash = [report for report in until if isinstance(report, CashMovement)]
        moved = [report for report in until if isinstance(report, PositionAdjustment)]
        assert {report.kind for report in cash} == {CashKind.DIVIDEND, CashKind.FEE}
        assert sum(report.amount for report in cash) == after.cash - before.cash
        assert [(report.symbol, report.quantity) for report in moved] == [(SYMBOL, Decimal(10))]
        assert [(each.symbol, each.quantity) for each in after.positions] == [(SYMBOL, Decimal(20))]
        ids = [report.activity_id for report in (*cash, *moved)]
        assert len(set(ids)) == 3
        again = await host.read(before.cursor)
        assert again.cash == after.cash
        repeated = {report.activity_id for report in host.reports if isinstance(report, CashMovement)}
        assert repeated == {report.activity_id for report in cash}


async def test_the_past_of_an_adopted_account_is_not_told(world: AlpacaWorld) -> None:
    """The first read ever tells no activity from before it: the account as it is says all of it."""
    await world.book("CSD", net_amount="1000")
    await world.book("FEE", net_amount="-1")
    async with world.host.running() as host:
        cursor = await ready(host)
        assert [report for report in host.reports if isinstance(report, CashMovement)] == []
        await world.book("INT", net_amount="-2")
        await host.read(cursor)
        amounts = {report.amount for report in host.reports if isinstance(report, CashMovement)}
        assert amounts == {Decimal(-2)}


# --- People and other programs in the same account (D7) ----------------------------------------------------------------


async def test_orders_of_others_are_external(world: AlpacaWorld) -> None:
    """An order that bears no id of ours is in the account as an external one, and is left alone."""
    async with world.host.running() as host:
        await ready(host)
        await world.by_hand("place", qty="3", type="limit", limit_price="40")
        read = await host.read()
        assert read.orders == ()
        assert [(each.symbol, each.open_quantity, each.limit_price, each.order_type) for each in read.externals] == [
            (SYMBOL, Decimal(3), Decimal(40), OrderType.LIMIT)
        ]


async def test_an_order_that_a_person_cancels_is_cancelled(world: AlpacaWorld) -> None:
    """Our order that somebody cancels in the dashboard is told as cancelled and is not sent again."""
    async with world.host.running() as host:
        await ready(host)
        accepted = await resting(host, "one")
        await world.by_hand("cancel", accepted.broker_order_id)
        await host.told(Cancelled, "one.0")
        assert await world.posts("one.0") == 1


async def test_an_order_that_a_person_replaces_is_followed(world: AlpacaWorld) -> None:
    """Our order that somebody replaces in the dashboard goes on under our name, with its new terms (C12)."""
    async with world.host.running() as host:
        await ready(host)
        accepted = await resting(host, "one")
        replacement = await world.by_hand("replace", accepted.broker_order_id, limit_price="51")
        restated = await host.told(Restated, "one.0", within=15)
        assert (restated.terms.quantity, restated.terms.limit_price) == (10, 51)
        assert host.about("one", Cancelled) == []
        await world.fill_id(replacement["id"], 10, "51")
        filled = await host.heard(Executed, lambda report: report.cumulative_quantity == 10)
        assert filled.wire_id == "one.0"
