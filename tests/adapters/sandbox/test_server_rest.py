"""The sandbox's trading API, through the real SDK and as raw HTTP."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from alpaca.common.exceptions import APIError
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, QueryOrderStatus, TimeInForce
from alpaca.trading.requests import GetOrdersRequest, LimitOrderRequest, MarketOrderRequest, ReplaceOrderRequest
from alpaca_sandbox_kit import Refused, SandboxClient, running_sandbox


@pytest.fixture
def sandbox() -> Iterator[SandboxClient]:
    with running_sandbox(prices="none") as running:
        running.quote("AAPL", 99.99, 100.01)
        yield running


def sdk(sandbox: SandboxClient, *, key: str | None = None, secret: str | None = None) -> TradingClient:
    client = TradingClient(key or sandbox.key, secret or sandbox.secret, url_override=sandbox.addresses.base_url)
    client._retry = 0
    client._session.trust_env = False
    return client


def test_the_sdk_trades(sandbox: SandboxClient) -> None:
    """A market order of the SDK fills at the quote and becomes a position, an activity and cash."""
    client = sdk(sandbox)
    taken = client.submit_order(
        MarketOrderRequest(
            symbol="AAPL", qty=10, side=OrderSide.BUY, time_in_force=TimeInForce.DAY, client_order_id="mine-1"
        )
    )
    assert taken.status.value == "pending_new"
    assert client.get_order_by_client_id("mine-1").status.value == "filled"
    assert client.get_order_by_id(taken.id).filled_avg_price == "100.01"
    (position,) = client.get_all_positions()
    assert (position.symbol, position.qty) == ("AAPL", "10")
    (fill,) = client.get("/account/activities/FILL", {})
    assert (fill["order_id"], fill["cum_qty"], fill["price"]) == (str(taken.id), "10", "100.01")
    assert float(client.get_account().cash) == 100000 - 1000.1


def test_the_sdk_replaces_and_cancels(sandbox: SandboxClient) -> None:
    """A replace makes a new order with a new id, and a cancelled order is among the closed ones."""
    client = sdk(sandbox)
    resting = client.submit_order(
        LimitOrderRequest(symbol="AAPL", qty=10, side=OrderSide.BUY, time_in_force=TimeInForce.GTC, limit_price=90)
    )
    newer = client.replace_order_by_id(resting.id, ReplaceOrderRequest(limit_price=91))
    assert newer.id != resting.id
    assert str(client.get_order_by_id(resting.id).replaced_by) == str(newer.id)
    client.cancel_order_by_id(newer.id)
    closed = client.get_orders(GetOrdersRequest(status=QueryOrderStatus.CLOSED))
    assert {(str(order.id), order.status.value) for order in closed} == {
        (str(resting.id), "replaced"),
        (str(newer.id), "canceled"),
    }


def test_the_sdk_reads_assets_clock_and_calendar(sandbox: SandboxClient) -> None:
    """Assets, the clock and the calendar are what the SDK's models accept."""
    client = sdk(sandbox)
    assert client.get_asset("AAPL").tradable
    assert {"AAPL", "SPY"} <= {asset.symbol for asset in client.get_all_assets()}
    assert client.get_clock().is_open
    assert client.get_calendar()


@pytest.mark.parametrize(
    ("key", "secret", "status", "message"),
    [
        ("", "", 401, "unauthorized"),
        ("PKSANDBOX", "wrong", 403, "forbidden."),
        ("AKSANDBOX", "sandbox-secret", 403, "forbidden."),
        ("PKANYOTHER", "sandbox-secret", 200, ""),
    ],
)
def test_keys_are_checked_as_alpaca_does(
    sandbox: SandboxClient, key: str, secret: str, status: int, message: str
) -> None:
    """Absent keys are 401, wrong ones and those of the other kind 403, both without a code."""
    headers = {"APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": secret}
    found, _, body = sandbox.http("GET", "/v2/account", **headers)
    assert found == status
    if message:
        assert json.loads(body) == {"message": message}


def test_a_live_sandbox_takes_live_keys() -> None:
    """A sandbox of the live kind refuses paper keys, and its account number is none of paper's."""
    with running_sandbox(prices="none", kind="live") as sandbox:
        assert sandbox.key.startswith("AK")
        assert not sdk(sandbox).get_account().account_number.startswith("PA")
        with pytest.raises(APIError) as refused:
            sdk(sandbox, key="PKSANDBOX").get_account()
        assert refused.value.status_code == 403


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/v2/orders/61e69015-8549-4bfd-b9c3-01e75843f47d", None, 404, 40410000),
        ("GET", "/v2/orders:by_client_order_id?client_order_id=none", None, 404, 40410000),
        ("GET", "/v2/positions/SPY", None, 404, 40410000),
        ("GET", "/v2/orders?limit=501", None, 422, 40010001),
        ("GET", "/v2/orders?limit=many", None, 422, 40010001),
        ("GET", "/v2/orders?status=some", None, 422, 40010001),
        ("GET", "/v2/account/activities?page_size=101", None, 422, 40010001),
        ("POST", "/v2/orders", b"{", 400, 40010000),
        ("POST", "/v2/orders", b"[1]", 400, 40010000),
        ("POST", "/v2/orders", b"\xff\xfe\x00", 400, 40010000),
        ("POST", "/v2/orders", {"symbol": "AAPL", "qty": "1", "side": "up", "type": "market"}, 422, None),
    ],
)
def test_what_cannot_be_is_refused(
    sandbox: SandboxClient, method: str, path: str, body: Any, status: int, code: int | None
) -> None:
    """A request that cannot be is answered with Alpaca's status and code, and the log says that nothing was done."""
    with pytest.raises(Refused) as refused:
        sandbox.alpaca(method, path, body)
    assert refused.value.status == status
    if code is not None:
        assert refused.value.body["code"] == code
    assert sandbox.log()[-1]["acted"] in ("no", "refused")


def test_the_limit_is_200_a_minute(sandbox: SandboxClient) -> None:
    """Request 201 of a minute is answered 429, the headers count down to it, and it is not acted upon."""
    keys = {"APCA-API-KEY-ID": sandbox.key, "APCA-API-SECRET-KEY": sandbox.secret}
    remaining = []
    for _ in range(200):
        status, headers, _ = sandbox.http("GET", "/v2/clock", **keys)
        assert status == 200
        remaining.append(int(headers["x-ratelimit-remaining"]))
    assert remaining == list(range(199, -1, -1))
    assert headers["x-ratelimit-limit"] == "200"
    order = {"symbol": "AAPL", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}
    status, headers, body = sandbox.http("POST", "/v2/orders", order, **keys)
    assert (status, json.loads(body)) == (429, {"message": "too many requests."})
    assert 0 < int(headers["x-ratelimit-reset"]) - time.time() <= 61
    assert sandbox.orders() == []
    other = {**keys, "APCA-API-KEY-ID": "PKOTHER"}
    assert sandbox.http("GET", "/v2/clock", **other)[0] == 200
    assert sandbox.http("GET", "/v2/stocks/quotes/latest?symbols=AAPL", **keys)[0] == 200


def test_the_exchange_has_its_holidays() -> None:
    """With the exchange's hours the calendar has its holidays and half days, and the clock agrees with it."""
    with running_sandbox(prices="none", hours="exchange") as sandbox:
        this_year = datetime.now(UTC).year
        days = sandbox.alpaca("GET", f"/v2/calendar?start={this_year}-01-01&end={this_year}-12-31")
        known = {day["date"] for day in days}
        assert f"{this_year}-12-25" not in known
        assert {day["close"] for day in days} >= {"13:00", "16:00"}
        clock = sandbox.alpaca("GET", "/v2/clock")
        assert clock["next_close"][:10] in known


def test_a_limit_of_zero_is_none() -> None:
    """Without a limit any number of requests passes."""
    with running_sandbox(prices="none", rate_limit=0) as sandbox:
        for _ in range(250):
            sandbox.alpaca("GET", "/v2/clock")


def test_positions_are_closed(sandbox: SandboxClient) -> None:
    """One position is closed by an order, all of them with a 207, and all orders are cancelled with one."""
    sandbox.submit(symbol="AAPL", qty="4", side="buy")
    part = sandbox.alpaca("DELETE", "/v2/positions/AAPL?qty=1")
    assert (part["side"], part["qty"]) == ("sell", "1")
    resting = sandbox.submit(symbol="AAPL", qty="1", side="buy", type="limit", limit_price="50")
    rows = sandbox.alpaca("DELETE", "/v2/orders")
    assert [(row["id"], row["status"]) for row in rows] == [(resting["id"], 200)]
    status, _, body = sandbox.http(
        "DELETE", "/v2/positions", **{"APCA-API-KEY-ID": sandbox.key, "APCA-API-SECRET-KEY": sandbox.secret}
    )
    assert (status, [row["symbol"] for row in json.loads(body)]) == (207, ["AAPL"])
    assert sandbox.alpaca("GET", "/v2/positions") == []


def test_orders_are_paged_to_the_end(sandbox: SandboxClient) -> None:
    """A client that pages by the time of arrival sees each order once."""
    sent = [sandbox.submit(symbol="AAPL", qty="1", side="buy", type="limit", limit_price="50") for _ in range(7)]
    seen: list[str] = []
    after = ""
    while page := sandbox.alpaca("GET", f"/v2/orders?status=all&limit=3&direction=asc&after={after}"):
        seen += [order["id"] for order in page]
        after = page[-1]["submitted_at"]
    assert seen == [order["id"] for order in sent]


def test_the_log_has_what_was_written(sandbox: SandboxClient) -> None:
    """The log names every request with its client order id, its answer, and what the broker did."""
    sandbox.submit(symbol="AAPL", qty="1", side="buy", client_order_id="c-1")
    with pytest.raises(Refused):
        sandbox.submit(symbol="AAPL", qty="1", side="buy", client_order_id="c-1")
    first, second = sandbox.log(method="POST,PATCH,DELETE")
    assert (first["client_order_id"], first["status"], first["acted"]) == ("c-1", 200, "yes")
    assert (second["client_order_id"], second["status"], second["code"], second["acted"]) == (
        "c-1",
        422,
        40010001,
        "refused",
    )
    assert sandbox.log(method="POST", after=first["number"]) == [second]
    assert sandbox.log(client_order_id="c-2") == []
    sandbox.admin("DELETE", "/log")
    assert sandbox.log() == []


def test_delays_of_the_broker_pass_by_themselves() -> None:
    """An order that is new only after a while becomes so without another request."""
    with running_sandbox(prices="none", new_delay_ns=50_000_000) as sandbox:
        sandbox.quote("AAPL", 99.99, 100.01)
        order = sandbox.submit(symbol="AAPL", qty="1", side="buy")
        assert order["status"] in ("accepted", "pending_new")
        sandbox.wait_for(lambda client: client.orders()[0]["status"] == "filled")
        assert [update["event"] for update in sandbox.updates()][-1] == "fill"


def test_a_client_that_is_gone_in_the_middle_of_a_request_is_no_news(
    sandbox: SandboxClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is done, nothing is said of it, and who comes next is served."""
    with socket.create_connection(("127.0.0.1", sandbox.port)) as half:
        half.sendall(b'POST /v2/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99\r\n\r\n{"symbol": "AAPL"')
        sandbox.state()
    sandbox.state()
    taken = sandbox.submit(symbol="AAPL", qty="1", side="buy")
    assert [order["id"] for order in sandbox.orders()] == [taken["id"]]
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
