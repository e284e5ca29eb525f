"""Orders by their worth: how many shares an amount of money buys."""

from __future__ import annotations

from decimal import Decimal

import anyio
import msgspec
import pytest
from alpaca_sandbox_kit import running_sandbox
from hypothesis import given
from hypothesis import strategies as st

from ordersmith import AlpacaPaperExecutor, Order, OrderCommandError, open_blocking_executor
from ordersmith.actors.machines.rebalance import quantity_worth

MONEY = st.decimals(min_value="0.01", max_value="1000000", places=2)
PRICES = st.decimals(min_value="0.0001", max_value="100000", places=4)
LOTS = st.sampled_from([Decimal(1), Decimal(100), Decimal("0.000000001")])


@given(MONEY, PRICES, LOTS)
def test_it_is_never_more_than_the_money_pays_for_and_less_by_no_lot(money, price, lot):
    """The quantity is in whole lots, costs no more than the money, and one lot more would."""
    quantity = quantity_worth(money, price, lot)
    assert quantity % lot == 0
    assert quantity * price <= money < (quantity + lot) * price


def test_a_backtest_buys_whole_lots_at_the_last_price(tmp_path):
    """At a close of 50, a thousand buy twenty shares; what has no price yet, and no amount at all, are refused in words."""
    rows = "date,open,high,low,close,volume\n2024-01-02,50,50,50,50,10000\n2024-01-03,50,50,50,50,10000\n"
    (tmp_path / "A.csv").write_text(rows, encoding="utf-8")
    with open_blocking_executor({"data": {"path": str(tmp_path)}}) as executor:
        with pytest.raises(OrderCommandError, match="no price yet"):
            executor.quantity_for("A", 1000)
        next(iter(executor.market()))
        assert executor.quantity_for("A", "1049.99") == 20
        assert executor.quantity_for("A", 49) == 0
        with pytest.raises(OrderCommandError, match="above 0"):
            executor.quantity_for("A", -1)
        with pytest.raises(OrderCommandError, match="not tradable"):
            executor.quantity_for("B", 1)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_at_alpaca_an_amount_buys_a_fraction_at_the_ask(tmp_path, backend):
    """A hundred dollars of a stock at 400.04 are a fraction of a share, which is sent and filled as it is."""

    async def main():
        alpaca = {"api_key": sandbox.key, "api_secret": sandbox.secret, **msgspec.structs.asdict(sandbox.addresses)}
        config = {"execution": {"alpaca": alpaca}, "journal": {"path": str(tmp_path / "journal.db")}}
        async with AlpacaPaperExecutor(config) as executor:
            quantity = await executor.quantity_for("AAPL", "100")
            [status] = await executor.submit_orders([Order.buy("AAPL", quantity)])
            with anyio.fail_after(20):
                while not status.is_closed:
                    await anyio.sleep(0.02)
                    [status] = await executor.get_order_status([status.client_order_id])
            return quantity, status

    with running_sandbox(prices="none", symbols=("AAPL",)) as sandbox:
        sandbox.quote("AAPL", 400.00, 400.04)
        quantity, status = anyio.run(main, backend=backend)
    assert quantity == Decimal("0.249975002")
    assert (status.state, status.filled_quantity) == ("FILLED", quantity)
