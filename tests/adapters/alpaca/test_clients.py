"""The SDK's own client, hardened: each danger is shown with the SDK as it comes, and then with ours."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from alpaca.trading.client import TradingClient
from scripted_alpaca import SECRET, ScriptedAlpaca, order_row

from ordersmith.adapters.alpaca.access import access
from ordersmith.adapters.alpaca.answers import Answer, Unanswered, Unsent
from ordersmith.adapters.alpaca.clients import Passage, TradingRest
from ordersmith.config.secrets import Secret

BODY = {"symbol": "A", "qty": "10", "side": "buy", "type": "market", "time_in_force": "day", "client_order_id": "one.0"}
ORDERS = "/v2/orders"


@pytest.fixture
def rest(alpaca: ScriptedAlpaca) -> Iterator[TradingRest]:
    made = TradingRest(alpaca.access(), (0.5, 0.5))
    yield made
    made.close()


def test_an_order_is_posted_once_on_504(alpaca: ScriptedAlpaca, rest: TradingRest) -> None:
    """The SDK posts an order again when it is answered 504; ours is posted once (M1)."""
    alpaca.answer("POST", ORDERS, 504, body="<html>")
    naive: Any = TradingClient("PK1", "s", url_override=alpaca.access().base_url, raw_data=True)
    naive._retry, naive._retry_wait = 1, 0
    with pytest.raises(Exception, match="html"):
        naive.post("/orders", BODY)
    assert len(alpaca.seen("POST")) == 2
    outcome = rest.ask("POST", "/orders", BODY)
    assert isinstance(outcome, Answer)
    assert (outcome.status, outcome.code) == (504, None)
    assert len(alpaca.seen("POST")) == 3


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_no_status_makes_a_second_request(alpaca: ScriptedAlpaca, rest: TradingRest, status: int) -> None:
    """Of no answer is anything sent again, whatever the method."""
    for method, path in (("POST", ORDERS), ("DELETE", "/v2/orders/x"), ("GET", "/v2/account")):
        alpaca.only(method, path, status, body={"message": "no"})
        assert isinstance(rest.ask(method, path.removeprefix("/v2")), Answer)
        assert len(alpaca.seen(method)) == 1


def test_a_server_that_says_nothing_is_not_waited_for(alpaca: ScriptedAlpaca, rest: TradingRest) -> None:
    """A hung answer is unanswered after the time-out, and the request counts as written (M2)."""
    alpaca.answer("POST", ORDERS, hang_s=30)
    begin = time.monotonic()
    outcome = rest.ask("POST", "/orders", BODY)
    assert isinstance(outcome, Unanswered)
    assert time.monotonic() - begin < 3
    assert len(alpaca.seen("POST")) == 1


def test_a_connection_that_is_cut_leaves_the_outcome_open(alpaca: ScriptedAlpaca, rest: TradingRest) -> None:
    """A request that was written and whose connection broke is unanswered, and not sent again."""
    alpaca.answer("POST", ORDERS, drop=True)
    assert isinstance(rest.ask("POST", "/orders", BODY), Unanswered)
    assert len(alpaca.seen("POST")) == 1


def test_nobody_there_means_that_nothing_was_written() -> None:
    """A refused connection, a name that does not exist and an address that is none are certain: nothing was sent."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}", "http://nobody.invalid", "nonsense://x"):
        rest = TradingRest(access(Secret("PK1"), Secret("s"), paper=True, base_url=url), (0.5, 0.5))
        outcome = rest.ask("POST", "/orders", BODY)
        assert isinstance(outcome, Unsent), outcome
        assert outcome.reason


def test_tls_that_fails_means_that_nothing_was_written(alpaca: ScriptedAlpaca) -> None:
    """A server that speaks no TLS gets no order."""
    secure = alpaca.access(base_url=alpaca.access().base_url.replace("http:", "https:"))
    rest = TradingRest(secure, (0.5, 0.5))
    assert isinstance(rest.ask("POST", "/orders", BODY), Unsent)
    assert alpaca.requests == []


def test_what_must_not_be_written_is_not(alpaca: ScriptedAlpaca, rest: TradingRest) -> None:
    """An objection at the moment of the write, or a request that nobody waits for any more, sends nothing."""
    assert rest.ask("POST", "/orders", BODY, Passage(lambda: "too late")) == Unsent("too late")
    withdrawn = Passage()
    assert withdrawn.withdraw("nobody waits")
    assert rest.ask("POST", "/orders", BODY, withdrawn) == Unsent("nobody waits")
    assert alpaca.requests == []


def test_the_moment_of_the_write_comes_after_the_connection(alpaca: ScriptedAlpaca) -> None:
    """The objection is asked for when the connection stands, not before the seconds that connecting may take."""
    rest = TradingRest(access(Secret("PK1"), Secret("s"), paper=True, base_url="http://127.0.0.1:9"), (0.5, 0.5))
    asked: list[int] = []
    passage = Passage(lambda: asked.append(1))  # type: ignore[func-returns-value]
    assert isinstance(rest.ask("POST", "/orders", BODY, passage), Unsent)
    assert asked == []
    assert not passage.is_passed


def test_what_was_written_can_not_be_withdrawn(alpaca: ScriptedAlpaca, rest: TradingRest) -> None:
    """After the write a withdrawal says that it comes too late."""
    alpaca.answer("POST", ORDERS, body=order_row())
    passage = Passage()
    rest.ask("POST", "/orders", BODY, passage)
    assert not passage.withdraw("late")


def test_numbers_and_the_rate_limit_come_as_they_are(alpaca: ScriptedAlpaca, rest: TradingRest) -> None:
    """The body is posted as it is given, and the headers of the rate limit are read; nonsense in them is nothing."""
    headers = {"X-RateLimit-Limit": "200", "X-RateLimit-Remaining": "17", "X-RateLimit-Reset": "1795335069"}
    alpaca.answer("POST", ORDERS, body=order_row(), headers=headers)
    alpaca.answer("POST", ORDERS, body=order_row(), headers={"X-RateLimit-Remaining": "many"})
    answer = rest.ask("POST", "/orders", {**BODY, "qty": "0.123456789"})
    assert isinstance(answer, Answer)
    assert (answer.limit, answer.remaining, answer.reset_s) == (200, 17, 1795335069)
    assert alpaca.seen("POST")[0].body["qty"] == "0.123456789"
    other = rest.ask("POST", "/orders", BODY)
    assert isinstance(other, Answer)
    assert other.remaining is None


def test_an_idle_connection_is_not_used_for_an_order(alpaca: ScriptedAlpaca) -> None:
    """A connection is used again while it is young, and closed when it was idle for too long."""
    for idle_s, connections in ((20.0, 1), (0.0, 3)):
        rest = TradingRest(alpaca.access(), (0.5, 0.5), idle_s)
        pools: Any = rest._client._session.get_adapter("http://x").poolmanager.pools
        opened = []
        for _ in range(3):
            rest.ask("GET", "/account")
            (pool,) = (pools[key] for key in pools.keys())  # noqa: SIM118 - not a mapping
            opened.append(pool.pool.queue[-1].sock.getsockname())
        assert len(set(opened)) == connections
        rest.close()


def test_the_environment_has_no_say(alpaca: ScriptedAlpaca, rest: TradingRest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that the environment names is not used."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(requests.exceptions.ProxyError):
        TradingClient("PK1", "s", url_override=alpaca.access().base_url).get("/account")
    assert isinstance(rest.ask("GET", "/account"), Answer)


def test_the_secret_is_in_no_log_of_a_request(
    alpaca: ScriptedAlpaca, rest: TradingRest, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """At DEBUG, and with the debugging of http.client switched on, the secret is written nowhere."""
    import http.client

    caplog.set_level(logging.DEBUG)
    monkey = pytest.MonkeyPatch()
    monkey.setattr(http.client.HTTPConnection, "debuglevel", 1)
    try:
        outcome = rest.ask("GET", "/account")
    finally:
        monkey.undo()
    assert isinstance(outcome, Answer)
    assert caplog.records
    assert SECRET[-12:] not in caplog.text + "".join(capfd.readouterr()) + repr(outcome)
