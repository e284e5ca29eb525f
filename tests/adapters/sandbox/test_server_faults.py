"""Faults of requests: each decides whether the broker acts and what the client sees, and both are certain."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from alpaca.common.exceptions import APIError
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, TimeInForce
from alpaca.trading.requests import MarketOrderRequest
from alpaca_sandbox_kit import Refused, SandboxClient, running_sandbox

ORDER = {"symbol": "AAPL", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}


@pytest.fixture
def sandbox() -> Iterator[SandboxClient]:
    with running_sandbox(prices="none") as running:
        running.quote("AAPL", 99.99, 100.01)
        yield running


def raw(sandbox: SandboxClient, method: str, path: str, body: Any = None) -> tuple[int, dict[str, str], bytes]:
    keys = {"APCA-API-KEY-ID": sandbox.key, "APCA-API-SECRET-KEY": sandbox.secret}
    return sandbox.http(method, path, body, **keys)


@pytest.mark.parametrize(
    ("kind", "status", "acted"),
    [
        ("504_before_accept", 504, False),
        ("504_after_accept", 504, True),
        ("502_html", 502, False),
        ("502_html_after", 502, True),
        ("500", 500, False),
        ("500_after", 500, True),
        ("429", 429, False),
        ("refuse_key", 403, False),
        ("garbage", 200, True),
        ("slow", 200, True),
        ("unknown_status_answer", 200, True),
    ],
)
def test_a_fault_acts_or_not_and_answers_so(sandbox: SandboxClient, kind: str, status: int, acted: bool) -> None:
    """An order is at the broker exactly when the fault's name says so, and the answer is the fault's; once."""
    sandbox.fault(kind, method="POST", **({"seconds": 0.1} if kind == "slow" else {}))
    assert raw(sandbox, "POST", "/v2/orders", ORDER)[0] == status
    assert len(sandbox.orders()) == acted
    (entry,) = sandbox.log(method="POST")
    assert (entry["fault"], entry["status"], entry["acted"]) == (kind, status, "yes" if acted else "no")
    assert raw(sandbox, "POST", "/v2/orders", ORDER)[0] == 200
    assert sandbox.admin("GET", "/faults") == {"standing": [], "struck": {kind: 1}}


@pytest.mark.parametrize(("kind", "acted"), [("drop_before", False), ("drop_after", True)])
def test_a_dropped_connection_is_cut(sandbox: SandboxClient, kind: str, acted: bool) -> None:
    """The client gets no byte of an answer, and the log has none."""
    sandbox.fault(kind, method="POST")
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        raw(sandbox, "POST", "/v2/orders", ORDER)
    assert len(sandbox.orders()) == acted
    assert sandbox.log(method="POST")[0]["status"] is None


@pytest.mark.parametrize(("kind", "acted"), [("hang_before", False), ("hang_after", True)])
def test_a_hung_request_is_never_answered(sandbox: SandboxClient, kind: str, acted: bool) -> None:
    """A client with a time-out runs into it, others pass meanwhile, and a late one is cut off when the seconds are over."""
    sandbox.fault(kind, method="POST", seconds=60)
    with requests.Session() as session:
        session.trust_env = False
        session.headers.update({"APCA-API-KEY-ID": sandbox.key, "APCA-API-SECRET-KEY": sandbox.secret})
        with pytest.raises(requests.exceptions.ReadTimeout):
            session.post(f"{sandbox.addresses.base_url}/v2/orders", json=ORDER, timeout=0.3)
    assert len(sandbox.orders()) == acted
    sandbox.end_faults()
    sandbox.fault(kind, method="POST", seconds=0.1)
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        raw(sandbox, "POST", "/v2/orders", ORDER)


def test_an_order_may_be_accepted_after_its_504(sandbox: SandboxClient) -> None:
    """Who looks at once does not find the order, and it is there a little later."""
    sandbox.fault("504_then_accept", seconds=0.3)
    order = {**ORDER, "client_order_id": "late"}
    began = time.monotonic()
    assert raw(sandbox, "POST", "/v2/orders", order)[0] == 504
    with pytest.raises(Refused):
        sandbox.alpaca("GET", "/v2/orders:by_client_order_id?client_order_id=late")
    assert sandbox.log(method="POST")[0]["acted"] == "late"
    sandbox.wait_for(lambda client: client.orders(client_order_id="late"))
    assert time.monotonic() - began >= 0.3
    assert sandbox.log(method="POST")[0]["acted"] == "yes"


def test_reads_can_be_absent_or_empty(sandbox: SandboxClient) -> None:
    """An order that is there is not found, and a list that is not empty is empty: absence is no proof."""
    order = sandbox.submit(**ORDER)
    sandbox.fault("not_found", path="/v2/orders/")
    assert raw(sandbox, "GET", f"/v2/orders/{order['id']}")[0] == 404
    sandbox.fault("empty", path="/v2/positions")
    assert raw(sandbox, "GET", "/v2/positions")[2] == b"[]"
    assert len(sandbox.alpaca("GET", "/v2/positions")) == 1


def test_the_answers_look_like_alpacas(sandbox: SandboxClient) -> None:
    """Gateways answer in HTML, the limit with its headers, half a body is no JSON, and a status may be unknown."""
    sandbox.fault("502_html")
    status, headers, body = raw(sandbox, "GET", "/v2/account")
    assert (status, headers["content-type"].partition(";")[0]) == (502, "text/html")
    assert b"Bad Gateway" in body
    sandbox.fault("429", seconds=7)
    status, headers, body = raw(sandbox, "GET", "/v2/account")
    assert (status, json.loads(body), headers["x-ratelimit-remaining"]) == (429, {"message": "too many requests."}, "0")
    assert 4 <= int(headers["x-ratelimit-reset"]) - time.time() <= 8
    sandbox.fault("garbage")
    with pytest.raises(json.JSONDecodeError):
        json.loads(raw(sandbox, "GET", "/v2/account")[2])
    sandbox.submit(**ORDER)
    sandbox.fault("unknown_status_answer")
    (order,) = json.loads(raw(sandbox, "GET", "/v2/orders?status=all")[2])
    assert order["status"] == "mystery_of_tomorrow"


def test_the_sdk_sends_an_order_again(sandbox: SandboxClient) -> None:
    """The SDK as it comes makes two live orders of one call when the broker accepts and then answers 504."""
    client = TradingClient(sandbox.key, sandbox.secret, url_override=sandbox.addresses.base_url)
    client._session.trust_env = False
    client._retry_wait = 0
    sandbox.fault("504_after_accept")
    client.submit_order(MarketOrderRequest(symbol="AAPL", qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.DAY))
    assert len(sandbox.orders()) == 2


def test_the_sdk_reports_a_live_order_as_refused(sandbox: SandboxClient) -> None:
    """With a client order id the second send of the SDK is refused as a duplicate, and the order is live."""
    client = TradingClient(sandbox.key, sandbox.secret, url_override=sandbox.addresses.base_url)
    client._session.trust_env = False
    client._retry_wait = 0
    sandbox.fault("504_after_accept")
    request = MarketOrderRequest(
        symbol="AAPL", qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.DAY, client_order_id="once"
    )
    with pytest.raises(APIError) as refused:
        client.submit_order(request)
    assert (refused.value.status_code, refused.value.code) == (422, 40010001)
    assert len(sandbox.orders()) == 1


def test_rules_choose_their_requests(sandbox: SandboxClient) -> None:
    """A rule strikes only its method and path, as often as its count says, and the oldest one first."""
    sandbox.fault("500", method="GET", path="*/account", count=2)
    sandbox.fault("502_html", path="/v2/account")
    assert raw(sandbox, "GET", "/v2/clock")[0] == 200
    assert [raw(sandbox, "GET", "/v2/account")[0] for _ in range(4)] == [500, 500, 502, 200]


def test_a_rule_keeps_to_its_method(sandbox: SandboxClient) -> None:
    """A rule with a method waits for it; what speaks of accepting an order waits for a POST by itself."""
    sandbox.fault("504_after_accept")
    sandbox.fault("500", method="DELETE")
    assert raw(sandbox, "GET", "/v2/orders")[0] == 200
    assert raw(sandbox, "DELETE", "/v2/orders")[0] == 500
    assert raw(sandbox, "POST", "/v2/orders", ORDER)[0] == 504


def test_a_rate_of_one_strikes_always(sandbox: SandboxClient) -> None:
    """Who says a rate means every occasion, also with 1; who says none means once."""
    assert (
        sandbox.fault("500", rate=1, path="/v2/clock")["left"],
        sandbox.fault("500", path="/v2/account")["left"],
    ) == (
        None,
        1,
    )
    assert [raw(sandbox, "GET", "/v2/clock")[0] for _ in range(4)] == [500] * 4
    assert [raw(sandbox, "GET", "/v2/account")[0] for _ in range(2)] == [500, 200]
    assert [rule["struck"] for rule in sandbox.admin("GET", "/faults")["standing"]] == [4]


def test_rules_can_be_taken_back(sandbox: SandboxClient) -> None:
    """A rule is taken back by its number, and who gives a wrong one is told which there are."""
    rule = sandbox.fault("500", rate=0.5)
    assert rule["left"] is None
    with pytest.raises(Refused, match=f"in force: {rule['id']}"):
        sandbox.admin("DELETE", "/faults/99")
    sandbox.admin("DELETE", f"/faults/{rule['id']}")
    assert sandbox.admin("GET", "/faults")["standing"] == []


@pytest.mark.parametrize(
    ("body", "path", "words"),
    [
        ({}, "kind", "504_before_accept"),
        ({"kind": "504"}, "kind", "504_after_accept"),
        ({"kind": "500", "rate": 0}, "rate", "above 0 and up to 1"),
        ({"kind": "500", "rate": 2}, "rate", "above 0 and up to 1"),
        ({"kind": "500", "count": 0}, "count", "from 1"),
        ({"kind": "500", "sconds": 1}, "sconds", "seconds"),
        ({"kind": "500", "method": "PUT"}, "method", "GET, POST, PATCH or DELETE"),
        ({"kind": "500", "path": "v2"}, "path", "/v2/orders"),
        ({"kind": "mute", "method": "GET"}, "method", "means nothing for mute"),
        ({"kind": "mute", "rate": 0.5}, "rate", "per_hour"),
        ({"kind": "500", "event": "fill"}, "event", "drop_frame"),
        ({"kind": "drop_frame", "per_hour": 2}, "per_hour", "half_open"),
        ([{"kind": "500"}, {"kind": "no"}], "[1].kind", "504"),
        ([1], "[0]", "section"),
    ],
)
def test_a_wrong_rule_is_explained(sandbox: SandboxClient, body: Any, path: str, words: str) -> None:
    """A rule that cannot be is refused with the field's name and what would be accepted, and none of it is in force."""
    with pytest.raises(Refused) as refused:
        sandbox.admin("POST", "/faults", body)
    assert refused.value.status == 422
    told = {problem["path"]: problem["message"] for problem in refused.value.body["problems"]}
    assert words in told[path]
    assert sandbox.admin("GET", "/faults")["standing"] == []
