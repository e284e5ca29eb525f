"""Alpaca by configuration alone: executors and the service, paper and live, against a local Alpaca."""

from __future__ import annotations

import logging
from functools import partial

import anyio
import msgspec
import pytest
from alpaca_sandbox_kit import running_sandbox

from ordersmith import (
    AlpacaLiveExecutor,
    AlpacaPaperExecutor,
    BrokerAuthError,
    ConfigError,
    ExecutorFailed,
    Order,
    open_blocking_executor,
    open_executor,
)
from ordersmith.actors.account_events import ExternalOrderGone, ExternalOrderSeen
from ordersmith.actors.events import TargetDropped
from ordersmith.adapters.alpaca import port
from ordersmith.adapters.alpaca.session import Timing

BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])
SYMBOLS = ("AAPL", "MSFT")


@pytest.fixture(scope="module")
def paper():
    """Return a paper account whose prices stand still."""
    with running_sandbox(prices="none", symbols=SYMBOLS) as client:
        client.quote("AAPL", 99.99, 100.01)
        client.quote("MSFT", 199.99, 200.01)
        yield client


@pytest.fixture(scope="module")
def real():
    """Return an account that is not of paper."""
    with running_sandbox(prices="none", symbols=SYMBOLS, kind="live") as client:
        client.quote("AAPL", 99.99, 100.01)
        yield client


@pytest.fixture
def settings(tmp_path):
    """Return what makes the settings for a sandbox."""

    def of(sandbox, *, mode="paper", journal="journal.db", instance="os", **alpaca):
        keys = {"api_key": sandbox.key, "api_secret": sandbox.secret, "paper": mode == "paper"}
        keys |= {**msgspec.structs.asdict(sandbox.addresses), **alpaca}
        return {
            "execution": {"mode": mode, "provider": "alpaca", "alpaca": keys},
            "journal": {"path": str(tmp_path / journal)},
            "instance": instance,
        }

    return of


async def settled(executor, ids, until):
    """Return the orders' statuses once all are as wanted."""
    with anyio.fail_after(20):
        while True:
            statuses = await executor.get_order_status(ids)
            if all(map(until, statuses)):
                return statuses
            await anyio.sleep(0.02)


def is_over(status):
    return status.is_closed


@BACKENDS
def test_a_paper_account_trades_without_a_symbol_named_before(paper, settings, backend):
    """A market order fills, a resting one is replaced and cancelled, and the position is there, on both event loops."""

    async def main():
        async with AlpacaPaperExecutor(settings(paper, journal=f"{backend}.db", instance=backend[:6])) as executor:
            before = await executor.get_positions()
            [bought, rests] = await executor.submit_orders([Order.buy("AAPL", 10), Order.buy("MSFT", 3, "150.00")])
            [filled] = await settled(executor, [bought.client_order_id], is_over)
            assert (filled.state, filled.filled_quantity, str(filled.average_price)) == ("FILLED", 10, "100.01")
            await settled(executor, [rests.client_order_id], lambda status: status.broker_order_id)
            await executor.replace_order(rests.client_order_id, quantity=5, limit_price="151.00")
            [replaced] = await settled(executor, [rests.client_order_id], lambda s: not s.pending)
            assert (replaced.quantity, str(replaced.order.limit_price)) == (5, "151.00")
            assert await executor.cancel_orders([rests.client_order_id]) == [True]
            [ended] = await settled(executor, [rests.client_order_id], is_over)
            assert ended.state == "CANCELLED"
            held = (await executor.get_positions())["AAPL"].quantity
            assert held - (before["AAPL"].quantity if before else 0) == 10
            return rests.client_order_id

    order_id = anyio.run(main, backend=backend)
    legs = [order for order in paper.orders() if order["client_order_id"].startswith(order_id)]
    assert [leg["status"] for leg in legs] == ["canceled", "canceled"]


def test_the_configuration_alone_chooses(paper, settings):
    """The same program runs against Alpaca when mode and provider say so, with and without await."""

    async def main():
        async with open_executor(settings(paper, journal="a.db", instance="a1")) as executor:
            [status] = await executor.submit_orders([Order.buy("AAPL", 1)])
            await settled(executor, [status.client_order_id], is_over)

    anyio.run(main)
    with open_blocking_executor(settings(paper, journal="b.db", instance="b1")) as executor:
        [status] = executor.submit_orders([Order.sell("AAPL", 1)])
        assert status.state in {"SUBMITTED", "FILLED"}
        assert executor.get_account_info().cash > 0


def test_an_order_that_filled_while_nobody_ran_is_found(paper, settings):
    """What happened at the broker between two runs is booked by the second one, before it trades."""
    config = settings(paper, journal="away.db", instance="away")

    async def place():
        async with AlpacaPaperExecutor(config) as executor:
            [status] = await executor.submit_orders([Order.buy("MSFT", 4, "190.00", time_in_force="GTC")])
            await settled(executor, [status.client_order_id], lambda s: s.broker_order_id)
            return status.client_order_id

    order_id = anyio.run(place)
    paper.quote("MSFT", 189.90, 189.95)
    paper.wait_for(
        lambda client: [o for o in client.orders(status="closed") if o["client_order_id"].startswith(order_id)]
    )

    async def look():
        async with AlpacaPaperExecutor(config) as executor:
            return await executor.get_order_status([order_id]), await executor.get_positions()

    [status], positions = anyio.run(look)
    assert (status.state, status.filled_quantity) == ("FILLED", 4)
    assert positions["MSFT"].quantity >= 4
    paper.quote("MSFT", 199.99, 200.01)


def test_a_flatten_that_somebody_elses_order_stops_says_so(paper, settings, caplog, monkeypatch):
    """Alpaca's refusal, and then the gate's, name the order that is in the way; once it is gone the position is closed."""

    async def found(events, kind):
        while True:
            record = await anext(events)
            if isinstance(record.event, kind) and getattr(record.event, "reason", "") != "REACHED":
                return record.event

    async def main():
        async with AlpacaPaperExecutor(settings(paper, journal="wash.db", instance="wash")) as executor:
            events = executor.events()
            held = (await executor.get_positions()).get("AAPL")
            [bought] = await executor.submit_orders([Order.buy("AAPL", 50)])
            await settled(executor, [bought.client_order_id], is_over)
            quantity = 50 + (held.quantity if held else 0)
            bid = {
                "symbol": "AAPL",
                "qty": "1",
                "side": "buy",
                "type": "limit",
                "limit_price": "90",
                "time_in_force": "gtc",
            }
            bid_id = (await anyio.to_thread.run_sync(paper.alpaca, "POST", "/v2/orders", bid))["id"]

            statuses = await executor.flatten()  # nobody has told us of the bid yet
            [sale] = [status for status in statuses if status.symbol == "AAPL"]
            [refused] = await settled(executor, [sale.client_order_id], is_over)
            assert (refused.state, refused.reason) == ("REJECTED", "40310000")
            assert f"existing_order_id {bid_id}" in refused.text
            dropped = await found(events, TargetDropped)
            assert (dropped.symbol, dropped.held, dropped.missing) == ("AAPL", quantity, -quantity)
            [line] = [r.getMessage() for r in caplog.records if "target.dropped" in r.getMessage()]
            assert f"symbol=AAPL reason=40310000 held={quantity} missing=-{quantity} " in line
            assert bid_id in line

            await found(events, ExternalOrderSeen)
            sent = len(paper.log(method="POST"))
            [denied] = [status for status in await executor.flatten() if status.symbol == "AAPL"]
            assert (denied.state, denied.reason) == ("REJECTED", "40310000")
            assert f"{bid_id} (LIMIT at 90, which is not ours) is in the way" in denied.text
            assert len(paper.log(method="POST")) == sent

            await anyio.to_thread.run_sync(paper.alpaca, "DELETE", f"/v2/orders/{bid_id}")
            await found(events, ExternalOrderGone)  # the stream says so, and the account is read
            await settled(executor, [status.client_order_id for status in await executor.flatten()], is_over)
            assert "AAPL" not in await executor.get_positions()

    monkeypatch.setattr(port, "Timing", lambda: Timing(others_s=(1.0, 0.5)))
    with caplog.at_level(logging.WARNING):
        anyio.run(main)


def account_of(sandbox):
    return sandbox.alpaca("GET", "/v2/account")["account_number"]


async def one_order(config, live):
    async with AlpacaLiveExecutor(config, live=live) as executor:
        [status] = await executor.submit_orders([Order.buy("AAPL", 1)])
        return await settled(executor, [status.client_order_id], is_over)


def test_a_live_account_trades_when_it_is_armed_for_it(real, settings):
    """With mode live, the account typed, and Alpaca reporting it, an order goes out."""
    config = settings(real, mode="live")
    [status] = anyio.run(one_order, config, account_of(real))
    assert status.state == "FILLED"


def test_another_account_than_the_one_typed_is_refused(real, settings):
    """Keys of another account than the one that was typed send nothing, and the error names both."""
    before = len(real.log(method="POST"))
    with pytest.raises((BrokerAuthError, ExecutorFailed), match="999999") as raised:
        anyio.run(one_order, settings(real, mode="live"), "999999")
    assert account_of(real) in str(raised.value)
    assert len(real.log(method="POST")) == before


@pytest.mark.parametrize(
    ("sandbox", "mode", "words"),
    [("paper", "live", "paper account"), ("real", "paper", "live account")],
)
def test_keys_of_the_other_kind_of_account_are_refused(request, settings, sandbox, mode, words):
    """Paper keys in live mode, and live keys in paper mode, are refused in words that say so, before anything is sent."""
    found = request.getfixturevalue(sandbox)
    before = len(found.log(method="POST"))

    async def main():
        make = AlpacaPaperExecutor if mode == "paper" else partial(AlpacaLiveExecutor, live="123")
        async with make(settings(found, mode=mode)):
            pass

    with pytest.raises((BrokerAuthError, ExecutorFailed), match=words):
        anyio.run(main)
    assert len(found.log(method="POST")) == before


@BACKENDS
def test_a_refused_key_is_an_error_within_seconds(paper, settings, backend, caplog):
    """A wrong secret ends the start with BrokerAuthError, not with tries for ever, and is in no line of the log."""
    caplog.set_level(logging.DEBUG)

    async def main():
        with anyio.fail_after(8):
            async with AlpacaPaperExecutor(settings(paper, api_secret="wrong-canary-secret")):
                pass

    with pytest.raises(BrokerAuthError):
        anyio.run(main, backend=backend)
    assert "wrong-canary-secret" not in caplog.text


def test_live_mode_without_an_account_or_for_paper_is_a_configuration_error(settings, real):
    """The class's name arms nothing: the account must be typed, and the configuration must not say paper."""
    with pytest.raises(ConfigError, match="type the id of the account"):
        AlpacaLiveExecutor(settings(real, mode="live"))
    with pytest.raises(ConfigError, match=r"execution\.alpaca\.paper"):
        AlpacaLiveExecutor(settings(real, mode="live", paper=True), live="123")
    with pytest.raises(ConfigError, match=r"execution\.alpaca\.paper"):
        AlpacaPaperExecutor(settings(real, mode="paper", paper=False))
