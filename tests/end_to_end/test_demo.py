"""The command in a process of its own: the demo on real prices, and runs that break off."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
DEMO = str(EXAMPLES / "rebalance.yaml")

BROKEN = """\
import os, signal
from ordersmith import Bars, Order, Strategy

class Broken(Strategy):
    def __init__(self, how: str) -> None:
        self.how = how
        self.sessions = 0

    def on_bars(self, bars: Bars) -> None:
        self.sessions += 1
        if self.sessions == 1:
            self.submit(Order.buy("IBM", 10), Order.buy("AAPL", 10, limit_price="1"))
        if self.sessions == 100:
            self.give_up(list(bars))

    def give_up(self, symbols: list[str]) -> None:
        if self.how == "raise":
            raise LookupError(f"no more of {symbols[-1]}")
        os.kill(os.getpid(), signal.SIGINT)
"""


def ordersmith(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ordersmith", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def table(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as text:
        return list(csv.DictReader(text))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def demo(folder: Path) -> dict[str, object]:
    """Run the demo and return its summary, its numbers exact."""
    ran = ordersmith("backtest", DEMO, "--json", "--out", str(folder))
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    summary: dict[str, object] = json.loads(ran.stdout, parse_float=Decimal, parse_int=Decimal)
    return summary


def test_the_demo_trades(demo) -> None:
    """Targets become orders on thirteen years of four symbols; all but the last session's are filled, and nothing is denied."""
    assert (demo["start"], demo["end"]) == ("2000-03-01", "2013-03-01")
    assert demo["bars"] == 3 * 3270 + 2148
    states = {state: number for state, number in demo["orders_by_state"].items() if number}
    assert demo["fills"] == states["FILLED"] > 500
    assert set(states) <= {"FILLED", "SUBMITTED"}
    assert demo["denials_by_code"] == {}
    assert demo["warnings"] == []


@pytest.fixture(scope="module")
def books(demo, folder: Path) -> list[tuple[Decimal, Counter]]:
    """Fold the journal by hand: the cash and the positions after every fill, payment and split."""
    cash, positions, after = demo["initial_cash"], Counter(), []
    for line in (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines():
        event = json.loads(line, parse_float=Decimal)
        match event["event"]:
            case "OrderFilled":
                fill, sign = event["fill"], 1 if event["side"] == "BUY" else -1
                positions[event["symbol"]] += sign * Decimal(fill["quantity"])
                cash -= sign * Decimal(fill["quantity"]) * Decimal(fill["price"]) + Decimal(fill["commission"])
            case "CashMoved":
                cash += Decimal(event["amount"])
            case "PositionAdjusted":
                positions[event["symbol"]] += Decimal(event["quantity"])
                cash += Decimal(event["cash"])
            case _:
                continue
        after.append((cash, Counter(positions)))
    return after


def test_the_books_balance(demo, books, folder: Path) -> None:
    """From fills, dividends and splits follow, to the last digit, the cash, the costs and, with the last closes, the final equity."""
    cash, positions = books[-1]
    costs = Counter()
    for fill in table(folder / "fills.csv"):
        for cost in ("commission", "slippage", "impact"):
            costs[cost] += Decimal(fill[cost])
    assert cash == demo["cash"]
    assert {cost: demo[cost] for cost in costs} == costs
    closes = {symbol: table(EXAMPLES / "data" / f"{symbol}.csv")[-1]["close"] for symbol in positions}
    assert len(closes) == 4
    assert demo["final_equity"] == cash + sum(positions[symbol] * Decimal(close) for symbol, close in closes.items())
    assert demo["final_equity"] == Decimal(table(folder / "equity.csv")[-1]["equity"])
    assert float(demo["total_return"]) == pytest.approx(float(demo["final_equity"] / demo["initial_cash"]) - 1)


def test_the_demo_stays_invested_without_borrowing(demo, books) -> None:
    """Cash is never negative on the way, and targets hold most of the equity in stocks."""
    lowest = min(cash for cash, _ in books)
    assert 0 <= lowest < demo["initial_cash"] / 20
    assert 0 < demo["cash"] / demo["final_equity"] < Decimal("0.1")


def test_the_demo_has_one_trace(demo, folder: Path) -> None:
    """A second run, in another process and as a table, has the trace hash of the first, and its summary fits what it has."""
    ran = ordersmith("backtest", DEMO)
    assert ran.returncode == 0
    assert demo["trace_hash"][:12] in ran.stdout
    assert f"{demo['final_equity']:,.2f}, from 100,000.00" in ran.stdout
    assert "--out DIR" in ran.stdout
    assert ran.stderr == ""


@pytest.mark.parametrize(
    ("how", "status", "first", "last"),
    [
        (
            "raise",
            1,
            "Traceback (most recent call last):",
            "The run broke off: strategy/main raised LookupError in on_bars, on the bar of 2005-07-21 20:00:00 UTC: no more of IBM",
        ),
        ("interrupt", 130, "Interrupted.", "Interrupted."),
    ],
)
def test_a_run_that_breaks_off_leaves_what_it_did(tmp_path: Path, how: str, status: int, first: str, last: str) -> None:
    """A strategy that raises, and Ctrl-C, end the run with their status and their reason; the outputs so far are there and named."""
    (tmp_path / "broken.py").write_text(BROKEN, encoding="utf-8")
    data = f"{{path: {json.dumps(str(EXAMPLES / 'data'))}, symbols: [AAPL, IBM], start: 2005-03-01}}"
    strategy = f"{{path: broken.py:Broken, parameters: {{how: {how}}}}}"
    (tmp_path / "c.yaml").write_text(f"data: {data}\nstrategy: {strategy}\n", encoding="utf-8")
    out = tmp_path / "out"
    ran = ordersmith("backtest", str(tmp_path / "c.yaml"), "--out", str(out))
    assert ran.returncode == status
    assert (ran.stderr.splitlines()[0], ran.stderr.splitlines()[-1]) == (first, last)
    assert "dispatcher.py" not in ran.stderr
    assert "broken off on 2005-07-21" in ran.stdout
    assert f"Outputs in {out}: orders.csv, fills.csv, equity.csv, journal.jsonl, report.html." in ran.stdout
    assert [row["state"] for row in table(out / "orders.csv")] == ["FILLED", "CANCELLED"]
    assert len(table(out / "fills.csv")) == 1
    assert len(table(out / "equity.csv")) == 100


def test_a_reader_that_goes_away_is_no_error_of_ours() -> None:
    """When whatever reads the output closes it early, as `head` does, there is no traceback."""
    command = [sys.executable, "-m", "ordersmith", "check", DEMO]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), said) == (1, "")
