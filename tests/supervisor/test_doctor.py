"""What `ordersmith doctor` finds, against a local Alpaca."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

import anyio
import msgspec
import pytest
from alpaca_sandbox_kit import SandboxClient, running_sandbox

from ordersmith.supervisor import cli
from ordersmith.supervisor.doctor import findings


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
