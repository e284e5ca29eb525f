"""What `ordersmith doctor` finds, against a local Alpaca."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

import anyio
import msgspec
import pytest
from alpaca_sandbox_kit import SandboxClient, running_sandbox

from ordersmith.adapters.alpaca import examination_prices
from ordersmith.supervisor import cli
from ordersmith.supervisor.doctor import findings

ON_QUOTES = {
    "execution": {"provider": "simulated", "market_data": "alpaca"},
    "data": {"symbols": ["AAPL"], "calendar": "24/7"},
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxClient]:
    with running_sandbox(prices="walk", symbols=("AAPL", "MSFT")) as client:
        yield client


@pytest.fixture
def config(tmp_path, sandbox):
    """Return what writes a configuration for the sandbox, with changes by path."""

    def written(**changes):
        alpaca = {"api_key": sandbox.key, "api_secret": sandbox.secret, **msgspec.structs.asdict(sandbox.addresses)}
        alpaca |= changes.pop("alpaca", {})
        execution = {"mode": "paper", "provider": "alpaca", "alpaca": alpaca, **changes.pop("execution", {})}
        settings = {"execution": execution, "data": {"symbols": ["AAPL", "MSFT"]}, **changes}
        path = tmp_path / "config.yaml"
        path.write_text(json.dumps(settings), encoding="utf-8")
        return str(path)

    return written


def look(config, **options):
    async def all_of_them():
        return {finding.name: finding async for finding in findings(config, **options)}

    return anyio.run(partial(all_of_them))


def test_an_account_that_is_as_it_should_be_has_nothing_wrong(config, sandbox):
    """Keys, account, clock, both streams, prices, calendar and the far order are found right, and the order is gone afterwards."""
    found = look(config())
    assert not {name for name, finding in found.items() if finding.ok is False}
    for name in (
        "calendar",
        "keys",
        "account",
        "permissions",
        "rate limit",
        "clock",
        "trade updates",
        "market data",
        "prices",
    ):
        assert found[name].ok is True, found[name]
    assert found["far order"].ok is True
    orders = [order for order in sandbox.orders() if order["client_order_id"].startswith("doctor-")]
    assert orders
    assert {order["status"] for order in orders} == {"canceled"}


def test_a_wrong_secret_ends_the_examination_at_the_keys(config):
    """Nothing behind a door that stays shut is looked at, and it is said what to do."""
    found = look(config(alpaca={"api_secret": "wrong"}))
    assert found["keys"].ok is False
    assert "keys of the paper account" in found["keys"].to_do
    assert not {"account", "far order"} & set(found)


def test_the_secret_is_in_no_finding(config, sandbox):
    """What is found never holds the secret, right or wrong."""
    for secret in (sandbox.secret, "canary-secret-123"):
        text = repr(look(config(alpaca={"api_secret": secret})))
        assert secret not in text


def test_a_symbol_without_a_price_is_named(config):
    """A symbol that Alpaca does not know is wrong, and said which."""
    found = look(config(data={"symbols": ["AAPL", "QQQQX"]}))
    assert found["prices"].ok is False
    assert "QQQQX" in found["prices"].found


def test_a_broker_that_is_not_there_is_said_with_its_address(config):
    """Where nobody answers the address is in the finding."""
    found = look(config(alpaca={"base_url": "http://127.0.0.1:9"}))
    assert found["keys"].ok is False
    assert "127.0.0.1:9" in found["keys"].to_do


def test_a_slow_answer_to_the_far_order_is_looked_up(config, sandbox):
    """An order that was answered 504 is found by its id and cancelled: it is not left behind."""
    sandbox.fault("504_after_accept")
    found = look(config())
    assert found["far order"].ok is True, found["far order"]
    assert sandbox.orders(status="open") == []


def test_in_live_mode_no_order_is_placed_unless_told(config, sandbox):
    """The configuration of a live account is looked at, its account compared, and nothing is sent."""
    before = len(sandbox.orders())
    found = look(config(execution={"mode": "live"}, alpaca={"paper": False}), live="123")
    assert found["account"].ok is False
    assert found["far order"].ok is None
    assert len(sandbox.orders()) == before


def test_where_only_prices_come_from_alpaca_the_account_is_left_alone(config, sandbox):
    """Keys for data, latest prices, the data stream, history and calendar are looked at; nothing of an account or its orders."""
    requests = len(sandbox.log())
    found = look(config(**ON_QUOTES), place_order=True)
    names = ["keys", "prices", "market data", "history", "calendar"]
    assert list(found)[-5:] == names
    assert {found[name].ok for name in names} == {True}
    assert "journal sync" in found
    assert not {"account", "permissions", "trade updates", "far order", "clock", "rate limit"} & set(found)
    assert {each["path"].startswith("/v2/stocks/") for each in sandbox.log()[requests:]} == {True}


def test_where_only_prices_come_from_alpaca_a_refused_key_ends_it(config):
    """Nothing behind a door that stays shut is looked at, and the secret is not shown."""
    found = look(config(**ON_QUOTES, alpaca={"api_secret": "canary-secret-123"}))
    assert found["keys"].ok is False
    assert "canary" not in repr(found)
    assert not {"prices", "market data", "history"} & set(found)


def test_where_only_prices_come_from_alpaca_its_trading_address_does_not_matter(config):
    """An address of trading at which nobody answers is no concern of a mode that sends no orders there."""
    found = look(config(**ON_QUOTES, alpaca={"base_url": "http://127.0.0.1:9", "stream_url": "ws://127.0.0.1:9"}))
    assert not [finding for finding in found.values() if finding.ok is False]
    found = look(config(**ON_QUOTES, alpaca={"data_url": "http://127.0.0.1:9"}))
    assert found["keys"].ok is False
    assert "127.0.0.1:9" in found["keys"].to_do


@pytest.mark.parametrize(("calendar", "ok"), [("XNYS", None), ("24/7", True), ("XNYZ", False)])
def test_a_closed_market_is_worth_knowing(config, monkeypatch, calendar, ok):
    """On a Sunday it is said when the market opens, and what trades at any hour; an unknown calendar is wrong."""
    sunday = datetime(2026, 11, 22, 12, tzinfo=UTC)
    monkeypatch.setattr(examination_prices, "now_ns", lambda: int(sunday.timestamp()) * 10**9)
    finding = anyio.run(examination_prices._sessions, calendar)
    assert finding.ok is ok
    if ok is None:
        assert "opens at 2026-11-23 14:30 UTC" in finding.found
        assert '"24/7"' in finding.to_do


def test_a_configuration_with_problems_is_not_looked_into(tmp_path):
    """Every problem of the configuration is a finding, and nothing else is."""
    path = tmp_path / "config.yaml"
    path.write_text("execution: {mode: papr}\nrisk: {max_order_quantity: -1}\n", encoding="utf-8")
    found = look(str(path))
    assert [finding.ok for finding in found.values()] == [False]


def test_the_command_prints_a_table_and_its_status_says_whether_something_is_wrong(config, capsys):
    """Exit status 1 for a finding that is wrong, with its row in the table; JSON has a line for each."""
    path = config(alpaca={"api_secret": "wrong"})
    assert cli.main(["doctor", path]) == 1
    assert "✗" in capsys.readouterr().out
    assert cli.main(["doctor", path, "--json"]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[-1]["name"] == "keys"
    assert lines[-1]["ok"] is False
