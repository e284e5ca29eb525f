"""The gate at a broker with rules: what it would refuse never leaves, and a broker without any is asked for nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import trading_world
from trading_world import World, accepted, executed

from ordersmith.actors.errors import ActorError
from ordersmith.actors.events import OrderDenied, OrderReplaceRefused
from ordersmith.actors.model import Order, OrderState, Purpose, TimeInForce
from ordersmith.actors.ports import Cancelled, NewOrder
from ordersmith.adapters.alpaca.rules import CAPABILITIES, FORBIDDEN

D = Decimal
OPEN, REJECTED = OrderState.SUBMITTED, OrderState.REJECTED


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a world at Alpaca with ten shares of A."""
    monkeypatch.setattr(trading_world, "CAPABILITIES", CAPABILITIES)
    made = World(scripted=True, account={"type": "margin"}).bar()
    made.submit(buy("first"))
    made.says(accepted("first.0"), executed("first.0", "k", 10, 10, 10))
    made.broker.take()
    return made


def buy(order_id: str, quantity: Any = 10, limit: Any = None, **terms: Any) -> Order:
    return Order.buy(terms.pop("symbol", "A"), quantity, limit, client_order_id=order_id, **terms)


def sell(order_id: str, quantity: Any = 10, limit: Any = None, **terms: Any) -> Order:
    return Order.sell(terms.pop("symbol", "A"), quantity, limit, client_order_id=order_id, **terms)


def denied(world: World, order: Order) -> Any:
    """Submit an order that must not leave; return its denial."""
    (status,) = world.submit(order)
    assert status.state is REJECTED
    assert world.broker.take() == []
    return world.events(OrderDenied)[-1].denial


def test_an_exit_that_could_meet_an_entry_is_denied_until_that_is_gone(world: World) -> None:
    """The denial has the broker's code and names our own order that is in the way; once that is cancelled the exit passes."""
    world.submit(buy("entry", 5, "9"))
    world.says(accepted("entry.0"))
    world.broker.take()
    denial = denied(world, sell("exit", 10, purpose=Purpose.EXIT))
    assert denial.code == FORBIDDEN
    assert "potential wash trade detected" in denial.text
    assert "the open order entry (LIMIT at 9) is in the way; cancel it first" in denial.text
    assert denial.numbers["existing_order_id"] == "entry"
    world.says(Cancelled("entry.0"))
    assert world.submit(sell("again", 10, purpose=Purpose.EXIT))[0].state is OPEN
    assert [type(command) for command in world.broker.take()] == [NewOrder]


def test_limits_that_cannot_meet_go_together(world: World) -> None:
    """A bid below our own offer passes, and one that reaches it does not; other symbols are none of its business."""
    world.submit(sell("offer", 5, "11"))
    assert world.submit(buy("low", 5, "10.99"))[0].state is OPEN
    assert world.submit(buy("other", 5, symbol="B"))[0].state is OPEN
    world.broker.take()
    assert denied(world, buy("high", 5, "11")).numbers["existing_order_id"] == "offer"


def test_a_replacement_is_checked_like_a_new_order(world: World) -> None:
    """An order may be changed up to where it could meet our own other side; it is not in its own way."""
    world.submit(sell("offer", 5, "11"), buy("bid", 5, "9"))
    world.says(accepted("offer.0"), accepted("bid.0"))
    world.replace("bid", None, "10.50")
    world.broker.take()
    world.replace("offer", None, "10.40")  # nobody knows yet which of its limits the bid has
    (refused,) = world.events(OrderReplaceRefused)
    assert (refused.client_order_id, refused.code, refused.denied) == ("offer", FORBIDDEN, True)
    world.replace("offer", None, "10.60")
    assert [command.terms.limit_price for command in world.broker.take()] == [D("10.60")]


def test_what_is_being_sold_cannot_be_sold_again(world: World) -> None:
    """A sale is for what no other order is selling; what opens nothing is never turned into a short sale with it."""
    world.submit(sell("part", 6, "12"))
    world.broker.take()
    denial = denied(world, sell("more", 5, "13"))
    assert (denial.code, denial.numbers["available"]) == (FORBIDDEN, "4")
    assert world.submit(sell("rest", 4, "13"))[0].state is OPEN


@pytest.mark.parametrize(
    ("order", "code", "sentence"),
    [
        (buy("o", 1, stop_price="12", time_in_force=TimeInForce.OPG), "42210000", "opg and cls orders must be"),
        (buy("o", 1, extended_hours=True), "42210000", "extended hours order must be DAY or GTC limit orders"),
        (sell("o", 1, trail_amount="1", time_in_force=TimeInForce.IOC), "42210000", "trailing stop orders must be"),
        (buy("o", 1, "0.99"), "40310000", "cost basis must be >= minimal amount of order 1"),
    ],
)
def test_terms_that_the_broker_does_not_take_are_denied_with_its_words(
    world: World, order: Order, code: str, sentence: str
) -> None:
    """What the broker would answer is what the denial says, before anything is sent."""
    denial = denied(world, order)
    assert denial.code == code
    assert sentence in denial.text


def test_the_rules_outlive_the_gate(world: World) -> None:
    """A gate that was rebuilt knows the rules of the session from its records."""
    world.submit(buy("entry", 5, "9"))
    world.backtest.lifecycle.crash("risk_gate", ActorError("a bug"))
    world.broker.take()
    assert denied(world, sell("exit", 10, purpose=Purpose.EXIT)).code == FORBIDDEN


def test_a_broker_without_rules_is_asked_for_nothing() -> None:
    """Where there are none the gate does not even look for what is open on the other side."""
    plain = World(scripted=True).bar()
    plain.submit(buy("a", 10))
    plain.says(accepted("a.0"), executed("a.0", "k", 10, 10, 10))
    plain.submit(buy("entry", 5, "9"))
    gate = plain.dispatcher.cells["risk_gate"].actor
    assert gate._case(sell("exit"), D(10)).resting is None
    assert plain.submit(sell("exit", 10, purpose=Purpose.EXIT))[0].state is OPEN
