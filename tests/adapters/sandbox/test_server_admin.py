"""What can be done to a running sandbox from outside, and what persists of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alpaca_sandbox_kit import Refused, SandboxClient, running_sandbox

from ordersmith.actors.errors import DataError
from ordersmith.adapters.sandbox.account_file import AccountFile
from ordersmith.adapters.sandbox.admin_routes import ROUTES


@pytest.fixture
def sandbox() -> Iterator[SandboxClient]:
    with running_sandbox(prices="none") as running:
        running.quote("AAPL", 99.99, 100.01)
        yield running


def limit(sandbox: SandboxClient, **terms: Any) -> Any:
    return sandbox.submit(
        **{"symbol": "AAPL", "qty": "10", "side": "buy", "type": "limit", "limit_price": "50"} | terms
    )


def test_it_tells_how_things_stand(sandbox: SandboxClient) -> None:
    """The state has the account, the connections and what faults have struck."""
    found = sandbox.state()
    assert (found["kind"], found["account"]["cash"], found["trade_links"]) == ("paper", "100000", [])
    sandbox.fault("500")
    with pytest.raises(Refused):
        sandbox.alpaca("GET", "/v2/clock")
    assert sandbox.state()["faults"] == {"500": 1}


def test_orders_are_filled_busted_and_corrected_by_hand(sandbox: SandboxClient) -> None:
    """A fill by hand, its correction and its bust are told as events and change the position."""
    order = limit(sandbox, client_order_id="mine")
    sandbox.admin("POST", "/fill", {"client_order_id": "mine", "qty": "4", "price": "49.5"})
    fill = sandbox.updates()[-1]
    assert (fill["event"], fill["qty"], fill["order"]["id"]) == ("partial_fill", "4", order["id"])
    sandbox.admin("POST", "/correct", {"execution_id": fill["execution_id"], "qty": 3, "price": 49})
    assert sandbox.alpaca("GET", "/v2/positions/AAPL")["qty"] == "3"
    sandbox.admin("POST", "/bust", {"execution_id": sandbox.updates()[-1]["execution_id"]})
    assert sandbox.alpaca("GET", "/v2/positions") == []
    assert [update["event"] for update in sandbox.updates()][-2:] == ["trade_correct", "trade_bust"]


def test_somebody_else_trades_in_the_account(sandbox: SandboxClient) -> None:
    """Orders, replaces and cancels by hand change the account, and are no requests of the client."""
    mine = limit(sandbox, client_order_id="mine")
    theirs = sandbox.admin(
        "POST", "/order", {"symbol": "AAPL", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}
    )
    newer = sandbox.admin("POST", "/replace", {"of_client_order_id": "mine", "limit_price": "51"})
    sandbox.admin("POST", "/cancel", {"order_id": newer["id"]})
    statuses = {order["id"]: order["status"] for order in sandbox.orders()}
    assert statuses == {mine["id"]: "replaced", theirs["id"]: "filled", newer["id"]: "canceled"}
    assert [entry["client_order_id"] for entry in sandbox.log(method="POST,PATCH,DELETE")] == ["mine"]


def test_things_are_booked_overnight(sandbox: SandboxClient) -> None:
    """A dividend, a fee, a split and a new name change cash and positions, and are activities."""
    sandbox.submit(symbol="AAPL", qty="10", side="buy")
    cash = float(sandbox.state()["account"]["cash"])
    sandbox.admin("POST", "/activity", {"activity_type": "DIV", "symbol": "AAPL", "per_share_amount": 0.5})
    sandbox.admin("POST", "/activity", {"activity_type": "FEE", "net_amount": -1.25, "description": "a fee"})
    assert float(sandbox.state()["account"]["cash"]) == pytest.approx(cash + 5 - 1.25)
    sandbox.admin("POST", "/activity", {"activity_type": "SPLIT", "symbol": "AAPL", "ratio": 3})
    assert sandbox.alpaca("GET", "/v2/positions/AAPL")["qty"] == "30"
    kinds = {row["activity_type"] for row in sandbox.alpaca("GET", "/v2/account/activities")}
    assert kinds == {"FILL", "DIV", "FEE", "SPLIT"}
    assert [row["activity_type"] for row in sandbox.alpaca("GET", "/v2/account/activities/FEE")] == ["FEE"]


def test_account_and_assets_have_flags(sandbox: SandboxClient) -> None:
    """A blocked account and an asset that is not tradable refuse orders."""
    sandbox.admin("POST", "/asset", {"symbol": "AAPL", "tradable": False})
    with pytest.raises(Refused):
        limit(sandbox)
    sandbox.admin("POST", "/asset", {"symbol": "AAPL", "tradable": True})
    sandbox.admin("POST", "/account", {"trading_blocked": True})
    with pytest.raises(Refused) as refused:
        limit(sandbox)
    assert refused.value.status == 403


def test_the_session_is_ended_by_hand(sandbox: SandboxClient) -> None:
    """At the close of the session an order of the day expires, one until cancelled stays."""
    day, gtc = limit(sandbox), limit(sandbox, time_in_force="gtc")
    sandbox.admin("POST", "/close_session")
    assert {order["id"]: order["status"] for order in sandbox.orders()} == {day["id"]: "expired", gtc["id"]: "new"}


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/quote", {"bid": 1, "ask": 2}, "symbol: is missing"),
        ("/quote", {"symbol": "AAPL"}, "bid and ask, or price"),
        ("/quote", {"symbol": "AAPL", "price": -1}, "a number above 0"),
        ("/quote", {"symbol": "AAPL", "prise": 1}, "price"),
        ("/quote", [], "a section"),
        ("/bar", {"symbol": "AAPL", "open": 1}, "high: is missing"),
        ("/bar", {"symbol": "A", "open": 1, "high": 1, "low": 1, "close": 1, "time": "noon"}, "RFC 3339"),
        ("/fill", {"qty": 1, "price": 1}, "order_id or client_order_id"),
        ("/fill", {"order_id": "x", "qty": 1}, "price: is missing"),
        ("/play", {"playing": "no"}, "true or false"),
        ("/account", {"trading_blocked": 1}, "true or false"),
        ("/asset", {"tradable": True}, "symbol: is missing"),
        ("/raw", {"stream": "news"}, "trade or data"),
    ],
)
def test_a_wrong_body_is_explained(sandbox: SandboxClient, path: str, body: Any, words: str) -> None:
    """An admin request that cannot be obeyed is a 422 that names the field and what would be accepted."""
    with pytest.raises(Refused) as refused:
        sandbox.admin("POST", path, body)
    assert refused.value.status == 422
    assert words in refused.value.body["message"]


READ_A_BODY = [path for method, path, _ in ROUTES if method == "POST" and path != "/sandbox/close_session"]


@pytest.mark.parametrize("path", READ_A_BODY)
@pytest.mark.parametrize("body", ["x", [1], 7, True, {"a": 1}])
def test_a_body_of_another_shape_is_explained(sandbox: SandboxClient, path: str, body: Any) -> None:
    """What is no object, or has no such fields, is a 422 with words about JSON, whatever the request."""
    status, headers, raw = sandbox.http("POST", path, body)
    assert (status, headers["content-type"].partition(";")[0]) == (422, "application/json")
    told = json.loads(raw)["message"]
    assert not any(word in told for word in ("NoneType", "iterable", "attribute", "unexpected keyword", "sequence"))


@pytest.mark.parametrize("raw", [b"{", b"\xff\xfe", b"nonsense", b'{"a":' + b"[" * 9000 + b"]" * 9000 + b"}"])
def test_a_body_that_is_no_json_is_explained(sandbox: SandboxClient, raw: bytes) -> None:
    """Text that cannot be read is a 400, of the admin requests and of Alpaca's; the sandbox goes on."""
    for path in ("/sandbox/order", "/sandbox/faults", "/v2/orders"):
        keys = {"APCA-API-KEY-ID": sandbox.key, "APCA-API-SECRET-KEY": sandbox.secret}
        status, _, told = sandbox.http("POST", path, raw, **keys)
        assert (status, "message" in json.loads(told)) == (400, True)
    with pytest.raises(Refused, match="a whole number"):
        sandbox.admin("GET", "/log", after="x")


def test_what_it_does_not_have_is_said_in_json(sandbox: SandboxClient) -> None:
    """A path of Alpaca's that is not here, and a method, are refused as Alpaca refuses, and the text names them."""
    told = {}
    for method, path in (("GET", "/v2/account/portfolio/history"), ("POST", "/v2/watchlists"), ("PUT", "/v2/account")):
        with pytest.raises(Refused) as refused:
            sandbox.alpaca(method, path)
        told[path] = refused.value.status, refused.value.body["code"], refused.value.body["message"]
    status, code, text = told["/v2/account/portfolio/history"]
    assert (status, code) == (404, 40410000)
    assert "GET /v2/account/portfolio/history; the sandbox does not have this path" in text
    assert told["/v2/watchlists"][:2] == (404, 40410000)
    assert told["/v2/account"] == (
        405,
        40510000,
        "method not allowed: PUT /v2/account; the sandbox has GET of this path",
    )
    assert [entry["status"] for entry in sandbox.log(path="/v2/watchlists")] == [404]


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Host": "evil.example:80"}])
def test_web_pages_are_refused(sandbox: SandboxClient, headers: dict[str, str]) -> None:
    """A request that some page in a browser may have made changes nothing."""
    status, _, _ = sandbox.http("POST", "/sandbox/faults", {"kind": "500"}, **headers)
    assert status == 403
    assert sandbox.admin("GET", "/faults")["standing"] == []


def test_only_loopback_is_bound(sandbox: SandboxClient) -> None:
    """Every socket that listens at the sandbox's port is bound to 127.0.0.1."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    bound = {
        local.partition(":")[0]
        for _, local, _, state, *_ in lines
        if state == "0A" and local.endswith(f":{sandbox.port:04X}")
    }
    assert bound == {"0100007F"}
    assert not [
        line
        for line in Path("/proc/net/tcp6").read_text().splitlines()[1:]
        if line.split()[1].endswith(f":{sandbox.port:04X}") and line.split()[3] == "0A"
    ]


# --- What persists -----------------------------------------------------------------------------------------------------------


def test_the_account_persists(tmp_path: Path) -> None:
    """Positions, open orders and activities are there after a stop and a start, and ids go on."""
    file = tmp_path / "account.json"
    with running_sandbox(prices="none", account=file) as sandbox:
        sandbox.quote("AAPL", 99.99, 100.01)
        sandbox.submit(symbol="AAPL", qty="10", side="buy", client_order_id="filled")
        resting = limit(sandbox, client_order_id="resting", time_in_force="gtc")
        before = sandbox.alpaca("GET", "/v2/account/activities")
        number = sandbox.state()["account"]["account_number"]
    with running_sandbox(prices="none", account=file) as sandbox:
        assert sandbox.state()["account"]["account_number"] == number
        assert sandbox.alpaca("GET", "/v2/positions/AAPL")["qty"] == "10"
        assert sandbox.alpaca("GET", f"/v2/orders/{resting['id']}")["status"] == "new"
        assert sandbox.alpaca("GET", "/v2/account/activities") == before
        with pytest.raises(Refused, match="unique"):
            limit(sandbox, client_order_id="resting")
        assert sandbox.updates() == []
        assert limit(sandbox)["id"] not in {order["id"] for order in sandbox.orders()[:2]}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["account.json", "account.json.lock"]


def test_what_was_answered_is_on_disk(tmp_path: Path) -> None:
    """When an answer is back, the order is in the file already, and so is a fill when it is told."""
    file = tmp_path / "account.json"
    with running_sandbox(prices="none", account=file) as sandbox:
        sandbox.quote("AAPL", 99.99, 100.01)
        limit(sandbox, client_order_id="mine-17")
        assert "mine-17" in file.read_text()
        sandbox.quote("AAPL", 49, 49.5)
        assert json.loads(file.read_text())["holdings"]


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("{", {}, "is no account of a sandbox"),
        ('{"no": 1}', {}, "is no account of a sandbox"),
        (None, {"kind": "live"}, "--kind paper"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str | None, options: dict[str, Any], words: str) -> None:
    """A file that is no account, or that of the other kind, stops the start and stays as it is."""
    file = tmp_path / "account.json"
    if text is None:
        with running_sandbox(prices="none", account=file) as sandbox:
            sandbox.admin("POST", "/close_session")
        text = file.read_text()
    else:
        file.write_text(text)
    with pytest.raises(DataError, match=words), running_sandbox(prices="none", account=file, **options):
        pass
    assert file.read_text() == text


def test_an_account_has_one_sandbox(tmp_path: Path) -> None:
    """A second sandbox is refused the file, is told who has it, and changes nothing; after the first's end it is let in."""
    file = tmp_path / "account.json"
    with running_sandbox(prices="none", account=file) as sandbox:
        sandbox.quote("AAPL", 99.99, 100.01)
        limit(sandbox, client_order_id="mine")
        kept = file.read_bytes()
        words = f"another sandbox has this account; stop it, or name another file .process {os.getpid()}"
        for _ in range(2):
            with pytest.raises(DataError, match=words), running_sandbox(prices="none", account=file):
                pass
        assert file.read_bytes() == kept
    with running_sandbox(prices="none", account=file) as sandbox:
        assert [order["client_order_id"] for order in sandbox.orders()] == ["mine"]


def test_a_start_that_fails_lets_go_of_the_account(tmp_path: Path, sandbox: SandboxClient) -> None:
    """Neither a file that is none nor a port that is taken keeps the account from the next try."""
    file = tmp_path / "account.json"
    file.write_text("{")
    with pytest.raises(DataError, match="is no account"), running_sandbox(prices="none", account=file):
        pass
    file.unlink()
    with pytest.raises(DataError, match="--alpaca"), running_sandbox(prices="none", account=file, port=sandbox.port):
        pass
    with running_sandbox(prices="none", account=file) as other:
        assert other.orders() == []


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a write breaks off, the file is what it was, and nothing is left beside it."""
    file = AccountFile(tmp_path / "account.json")
    file.write(b"old")

    def fails(number: int) -> None:
        raise OSError("full")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="full"):
        file.write(b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("account.json", b"old")]


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    """A file in a folder that is not there is refused before anything begins."""
    with (
        pytest.raises(DataError, match="make it first"),
        running_sandbox(prices="none", account=tmp_path / "no" / "account.json"),
    ):
        pass


def test_a_port_that_is_taken_is_said(sandbox: SandboxClient) -> None:
    """A port that another program has is an error that names it."""
    with pytest.raises(DataError, match=f"--alpaca {sandbox.port}"), running_sandbox(port=sandbox.port):
        pass
