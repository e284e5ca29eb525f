"""The example of a program that knows nothing of Ordersmith: it trades against the sandbox as it would with Alpaca."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

from alpaca_sandbox_kit import running_sandbox

PROGRAM = Path(__file__).resolve().parents[2] / "examples" / "alpaca_py_program.py"


def run(*words: str, **keys: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("APCA_")} | keys
    command = [sys.executable, str(PROGRAM), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_it_trades_against_the_sandbox() -> None:
    """It reads bars, hears quotes and fills, and leaves no position; the sandbox has seen two orders, filled."""
    with running_sandbox(symbols=("AAPL",), speed=60.0) as sandbox:
        ran = run(sandbox.addresses.base_url, APCA_API_KEY_ID=sandbox.key, APCA_API_SECRET_KEY=sandbox.secret)
        assert ran.returncode == 0, ran.stderr
        orders = [(order["side"], order["qty"], order["status"]) for order in sandbox.orders()]
    assert orders == [("buy", "10", "filled"), ("sell", "10", "filled")]
    lines = ran.stdout.splitlines()
    assert lines[0].endswith("cash 100000")
    assert not lines[1].startswith("0 bars")
    assert [line for line in lines if line.endswith(": fill")] == ["buy 10 AAPL: fill", "sell 10 AAPL: fill"]
    assert lines[-1] == "positions left: 0"


def test_wrong_usage_is_said() -> None:
    """Without an address, or keys, it says what is missing."""
    assert (run().returncode, "ordersmith sandbox" in run().stderr) == (2, True)
    told = run("http://127.0.0.1:1", APCA_API_KEY_ID="PK")
    assert (told.returncode, "APCA_API_SECRET_KEY" in told.stderr) == (2, True)


def test_it_knows_nothing_of_ordersmith() -> None:
    """All that it imports is Python's and Alpaca's."""
    tree = ast.parse(PROGRAM.read_text("utf-8"))
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    tops = {module.partition(".")[0] for module in modules}
    assert tops - set(sys.stdlib_module_names) == {"alpaca"}
