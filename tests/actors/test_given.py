"""What a strategy or a program hands in where a list, a mapping or an id is wanted: a slip is said in words before anything is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from trading_world import bars

from ordersmith.actors.bars import Bars
from ordersmith.actors.errors import OrderCommandError, StrategyError
from ordersmith.actors.given import by_symbol, id_given, ids_given, orders_given, symbol_given
from ordersmith.actors.model import Order, OrderState, OrderStatus
from ordersmith.actors.strategy import Strategy
from ordersmith.supervisor.executor import BacktestExecutor

ORDER = Order.buy("AAPL", 10, client_order_id="mine")
STATUS = OrderStatus(client_order_id="mine", order=ORDER, state=OrderState.SUBMITTED)
ANY: Any = None


@pytest.mark.parametrize("ids", [["a", "b"], ("a", "b"), {"a": 1, "b": 2}, iter("ab")])
def test_a_list_of_ids_is_taken(ids: Any) -> None:
    """Whatever holds texts and is no text itself is a list."""
    assert ids_given(ids) == ("a", "b")


def test_a_list_of_orders_is_taken_once() -> None:
    """Orders may come from a generator, which can be gone through only once."""
    assert orders_given(order for order in [ORDER]) == (ORDER,)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ids_given("one-id"), ["order_ids: 'one-id' is not a list", "such as ['one-id']"]),
        (lambda: ids_given(b"one-id"), ["is not a list", "such as ['one-id']"]),
        (lambda: ids_given(ANY), ["order_ids: None is not a list", "such as ["]),
        (lambda: ids_given(STATUS), ["order_ids: this OrderStatus is not a list", "such as ['mine']"]),
        (lambda: ids_given(ORDER), ["order_ids: this Order is not a list", "such as ['mine']"]),
        (lambda: ids_given([STATUS]), ["this OrderStatus is not a client order id", "such as 'mine'"]),
        (lambda: ids_given([7]), ["order_id: 7 is not a client order id"]),
        (lambda: id_given(["one-id"]), ["order_id: ['one-id'] is not a client order id", "such as 'one-id'"]),
        (lambda: orders_given(ORDER), ["orders: this Order is not a list", "[Order.buy('AAPL', 10)]"]),
        (lambda: orders_given("AAPL"), ["orders: 'AAPL' is not a list", "[Order.buy('AAPL', 10)]"]),
        (lambda: orders_given({"AAPL": 10}), ["orders: {'AAPL': 10} is not a list"]),
        (lambda: symbol_given(["AAPL"]), ["symbol: ['AAPL'] is not a symbol", "such as 'AAPL'"]),
        (lambda: by_symbol("AAPL", "targets"), ["targets: 'AAPL' is not a mapping", "such as {'AAPL': 10}"]),
        (lambda: by_symbol([("AAPL", 10)], "targets"), ["targets: [('AAPL', 10)] is not a mapping"]),
        (lambda: by_symbol({1: 10}, "targets"), ["symbol: 1 is not a symbol"]),
    ],
)
def test_a_slip_is_said_with_what_to_give(call: Callable[[], Any], words: list[str]) -> None:
    """The message names what was given and shows what is wanted."""
    with pytest.raises(OrderCommandError) as raised:
        call()
    assert [part for part in words if part not in str(raised.value)] == []


@pytest.mark.parametrize(
    "slip",
    [
        lambda s: s.cancel(["a-1"]),
        lambda s: s.replace(["a-1"], 5),
        lambda s: s.status(["a-1"]),
        lambda s: s.set_targets("A"),
    ],
)
def test_a_strategy_that_slips_is_told_where(slip: Callable[[Strategy], Any]) -> None:
    """It is the strategy that has raised, at its line, and not an actor that got what it cannot read."""

    class Slipping(Strategy):
        def on_bars(self, bars: Bars) -> None:
            slip(self)

    executor = BacktestExecutor({}, strategy=Slipping(), feed=bars({"A": [10.0] * 3}))
    with pytest.raises(StrategyError) as raised:
        executor.run()
    assert isinstance(raised.value.__cause__, OrderCommandError)
