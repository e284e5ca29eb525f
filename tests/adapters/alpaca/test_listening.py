"""The updates of the stream: what is no update ends nothing, and what must be asked first holds up nobody else's fill."""

from __future__ import annotations

import json
from typing import Any

import anyio.to_thread
import pytest
from scripted_alpaca import ScriptedAlpaca, Seen, order_row
from scripted_exits import ORDERS, PROFIT, STOP, Lists, entry, profit, stop
from scripted_world import SLOW, ScriptedWorld, ready

from ordersmith.actors.ports import Accepted, Executed
from ordersmith.actors.snapshots import ReadDue
from ordersmith.adapters.alpaca import listening

pytestmark = pytest.mark.anyio
ONE = "one.0"


def filled(name: str = ONE) -> dict[str, Any]:
    return {"event": "fill", "order": order_row(name, "filled", "10"), "price": "50", "qty": "10", "execution_id": "x"}


UNREADABLE = {
    "text": "x",
    "list": ["x"],
    "number": 3,
    "order is a text": {"event": "fill", "order": "x"},
    "event is a number": {"event": 3, "order": {"id": 4}},
    "id is empty": {"event": "fill", "order": {"id": ""}},
    **{
        f"{field} {bad}": {"event": "new", "order": {**order_row(ONE), "filled_avg_price": "50", field: bad}}
        for field in ("filled_qty", "filled_avg_price", "qty")
        for bad in ("NaN", "sNaN", "Infinity")
    },
}


@pytest.mark.parametrize("data", UNREADABLE.values(), ids=UNREADABLE)
async def test_what_is_no_update_ends_nothing(alpaca: ScriptedAlpaca, data: Any) -> None:
    """Data of another form, or with numbers that are none, make the account be read, and the next fill is told."""
    world = ScriptedWorld(alpaca)
    Lists(alpaca).open = [order_row(ONE)]
    async with world.host.running() as host:
        await ready(host)
        await host.read()
        alpaca.say(json.dumps({"stream": "trade_updates", "data": data}), filled())
        await host.told(Executed, ONE)
        await host.heard(ReadDue)


async def test_a_question_about_an_exit_holds_up_no_fill(alpaca: ScriptedAlpaca) -> None:
    """A simple order's fill behind events of an unknown bracket is told before the question about these is answered."""
    world = ScriptedWorld(alpaca, SLOW._replace(read_s=5.0, answer_s=8.0))
    lists = Lists(alpaca, entry(legs=[profit(), stop()]))
    lists.open = [order_row(ONE)]
    async with world.host.running() as host:
        await ready(host)
        answered: list[Seen] = []

        def page(seen: Seen) -> Any:
            answered.append(seen)
            return lists.all

        alpaca.only("GET", ORDERS, body=page, hang_s=1.5)
        alpaca.say({"event": "new", "order": profit()}, {"event": "held", "order": stop()}, filled())
        await host.told(Executed, ONE)
        assert answered == []
        await host.told(Accepted, PROFIT)
        await host.told(Accepted, STOP)
        assert len(answered) == 1


async def test_more_than_can_wait_for_questions_is_told_by_a_reading(
    alpaca: ScriptedAlpaca, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Updates that find no place beside the stream make the account be read, and are not waited for."""
    monkeypatch.setattr(listening, "ASIDE", 1)
    world = ScriptedWorld(alpaca)
    lists = Lists(alpaca)
    lists.open = [order_row(ONE)]
    async with world.host.running() as host:
        await ready(host)
        asked = len(alpaca.seen("GET", ORDERS))
        alpaca.only("GET", ORDERS, body=[], hang_s=0.3)
        alpaca.say({"event": "new", "order": profit(id="q0")})
        await anyio.to_thread.run_sync(alpaca.wait, lambda: len(alpaca.seen("GET", ORDERS)) > asked)
        alpaca.say(*({"event": "new", "order": profit(id=f"q{number}")} for number in range(1, 4)), filled())
        await host.told(Executed, ONE)
        await host.heard(ReadDue)


async def test_news_of_somebody_elses_orders_makes_the_account_be_read_once(alpaca: ScriptedAlpaca) -> None:
    """Orders that are not ours may be in the way of ours: a while after they have changed they are counted, all with one reading."""
    world = ScriptedWorld(alpaca, SLOW._replace(others_s=(0.3, 0.3)))
    Lists(alpaca).open = [order_row(ONE)]
    async with world.host.running() as host:
        await ready(host)
        host.reports.clear()
        for number in range(3):
            alpaca.say({"event": "new", "order": order_row(f"a person {number}")})
        await host.heard(ReadDue)
        assert len([report for report in host.reports if isinstance(report, ReadDue)]) == 1
        host.reports.clear()
        alpaca.say({"event": "canceled", "order": order_row("a person 1", "canceled")}, filled())
        await host.told(Executed, ONE)
        await host.heard(ReadDue)
