"""Names of new orders that are those of exits: Alpaca, which gives exits ids of its own, would take both orders."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from port_host import PortHost
from scripted_alpaca import ScriptedAlpaca, Seen, order_row
from scripted_exits import ENTRY, ORDERS, PROFIT, STOP, Lists, entry, profit, stop
from scripted_world import ScriptedWorld, ready

from ordersmith.actors.model import Order
from ordersmith.actors.order_class import Exits, OrderClass
from ordersmith.actors.ports import Accepted, NewOrder, OutcomeUnknown, Rejected

pytestmark = pytest.mark.anyio
FOREVER_NS = 1 << 62


def taken(seen: Seen) -> dict[str, Any]:
    if seen.body.get("order_class") == "bracket":
        return entry("new", "0", legs=[profit("held"), stop()])
    return order_row(seen.body["client_order_id"])


def simple(name: str) -> NewOrder:
    return NewOrder(name, Order.buy("A", 10, "50"), FOREVER_NS, 0)


def bracket() -> NewOrder:
    exits = Exits.of(OrderClass.BRACKET, ENTRY, take_profit=Decimal(60), stop_loss=Decimal(40))
    return NewOrder(ENTRY, Order.buy("A", 10, "50"), FOREVER_NS, 0, exits)


async def begun(alpaca: ScriptedAlpaca, host: PortHost) -> None:
    await ready(host)
    Lists(alpaca)
    alpaca.only("POST", ORDERS, body=taken)


def posted(alpaca: ScriptedAlpaca) -> list[str]:
    return [seen.body["client_order_id"] for seen in alpaca.seen("POST", ORDERS)]


@pytest.mark.parametrize("name", [PROFIT, STOP])
async def test_the_name_of_an_exit_is_no_other_orders(alpaca: ScriptedAlpaca, name: str) -> None:
    """A simple order of the name that an exit bears is refused and not posted; one whose name is only like it is sent."""
    world = ScriptedWorld(alpaca)
    async with world.host.running() as host:
        await begun(alpaca, host)
        host.send(bracket())
        await host.told(Accepted, name)
        host.send(simple(name))
        host.send(simple("c-tp.0"))
        assert "give this one another" in (await host.told(Rejected, name)).text
        await host.told(Accepted, "c-tp.0")
        assert posted(alpaca) == [ENTRY, "c-tp.0"]


async def test_a_bracket_whose_exit_would_bear_anothers_name_is_refused(alpaca: ScriptedAlpaca) -> None:
    """With a simple order `b-tp` there is no bracket `b`: each of its orders hears that."""
    world = ScriptedWorld(alpaca)
    async with world.host.running() as host:
        await begun(alpaca, host)
        host.send(simple(PROFIT))
        await host.told(Accepted, PROFIT)
        host.send(bracket())
        assert repr(PROFIT) in (await host.told(Rejected, ENTRY)).text
        await host.told(Rejected, STOP)
        assert posted(alpaca) == [PROFIT]


async def test_a_bracket_that_is_there_is_never_said_to_be_refused(alpaca: ScriptedAlpaca) -> None:
    """The names of its own exits are no objection to a bracket: Alpaca's word that its id is taken leaves it in doubt."""
    world = ScriptedWorld(alpaca)
    async with world.host.running() as host:
        await begun(alpaca, host)
        host.send(bracket())
        await host.told(Accepted, STOP)
        alpaca.only("POST", ORDERS, 422, body={"code": 40010001, "message": "client_order_id must be unique"})
        host.send(bracket())
        await host.told(OutcomeUnknown, STOP)
        assert host.about("b", Rejected) == []
