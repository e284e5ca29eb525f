"""What depends on the path that prices took inside a bar is found by comparing runs, order by order."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest

from ordersmith.actors.actor import Record
from ordersmith.actors.bars import Bars
from ordersmith.actors.events import Arrival, OrderFilled, OrderSubmitted
from ordersmith.actors.model import Fill, Order, OrderState, Side
from ordersmith.config import load
from ordersmith.supervisor import cli, outputs, paths
from ordersmith.supervisor.presenting import path_lines, path_rows
from ordersmith.supervisor.result import Summary

DAY_NS = 86_400 * 10**9


def summary(**fields):
    states = {"FILLED": fields.pop("filled", 0)}
    money = dict.fromkeys("initial_cash cash final_equity commission slippage impact".split(), Decimal(0))
    counts = dict.fromkeys("bars sessions orders fills records seed".split(), 0)
    floats = dict.fromkeys("total_return max_drawdown turnover elapsed_s bars_per_s orders_per_s".split(), 0.0)
    texts = dict.fromkeys("mode start end trace_hash".split(), "")
    given = {**money, **counts, **floats, **texts, "sharpe": None, "denials_by_code": {}, **fields}
    return Summary(orders_by_state=states, **given)


class Run:
    """A result made of orders, each (id, side, quantity, day) with its fills (day, price, quantity)."""

    def __init__(self, *orders, journal_kept=True, **fields):
        self.journal_kept = journal_kept
        self.summary = summary(orders=len(orders), **fields)
        self.events = []
        for order_id, side, quantity, day, *fills in orders:
            order = Order(symbol="A", side=Side(side), quantity=Decimal(quantity), client_order_id=order_id)
            self.events.append((day, OrderSubmitted(order_id, order, Arrival(0, None))))
            for at, price, size in fills:
                fill = Fill(fill_key=f"{order_id}{at}", quantity=Decimal(size), price=Decimal(price), at_ns=0)
                notional = fill.quantity * fill.price
                parts = (fill, fill.quantity, notional, Decimal(1), OrderState.FILLED)
                self.events.append((at, OrderFilled(order_id, "main", "s", "A", Side(side), *parts)))

    def records(self):
        for number, (day, event) in enumerate(self.events, 1):
            yield Record(number, day * DAY_NS, 0, event)


def feed(*closes):
    """Bars of A that end on days 1, 2 and so on."""
    for day, close in enumerate(closes, 1):
        yield Bars((day - 1) * DAY_NS, day * DAY_NS, day - 1, True, {"A": (close, close, close, close, 1.0)})


def compare(*runs, closes=(100.0, 100.0, 100.0, 100.0)):
    return paths.compare(dict(zip(paths.PATHS, runs, strict=False)), feed(*closes))


BOUGHT = ("entry", "BUY", 10, 0, (1, "100", 10))


def test_an_exit_that_depends_on_the_path_is_named():
    """Stop and target of one bar: each filled on one path alone, and its effect is what it gained at the bar's close."""
    stopped = Run(BOUGHT, ("stop", "SELL", 10, 1, (2, "95", 10)), ("target", "SELL", 10, 1))
    reached = Run(BOUGHT, ("stop", "SELL", 10, 1), ("target", "SELL", 10, 1, (2, "110", 10)))
    stop, target = compare(stopped, stopped, reached, closes=(100.0, 102.5, 100.0)).dependent
    assert (stop.client_order_id, stop.symbol, stop.side, stop.time) == ("stop", "A", "SELL", "1970-01-03T00:00:00Z")
    assert stop.fills["optimistic"] is None
    assert (stop.fills["pessimistic"].quantity, stop.fills["adaptive"].price) == (10, 95)
    # Sold at 95 what was worth 102.50 at the close, and paid 1; at 110, and paid 1.
    assert (stop.effect, target.effect) == (Decimal("76.00"), Decimal("74.00"))


def test_another_price_is_another_fill():
    """The effect of a price is its difference, whatever the close was."""
    runs = [Run(("o", "BUY", 10, 0, (1, price, 10))) for price in ("100.5", "100.25", "100")]
    (order,) = compare(*runs, closes=(7.0,)).dependent
    assert order.effect == Decimal("5.00")
    assert [filled.price for filled in order.fills.values()] == [Decimal("100.5"), Decimal("100.25"), Decimal(100)]


def test_parts_are_taken_together():
    """Two fills that come to the same as one in the same bars are no difference; in other bars they are one."""
    whole = Run(("o", "BUY", 10, 0, (1, "100", 10)))
    parts = Run(("o", "BUY", 10, 0, (1, "100", 4), (2, "100", 6)))
    (order,) = compare(whole, parts, whole).dependent
    assert (order.fills["adaptive"].first, order.fills["adaptive"].last) == (
        "1970-01-02T00:00:00Z",
        "1970-01-03T00:00:00Z",
    )
    assert order.effect == 1  # the second part's commission


def test_orders_are_in_order_of_time():
    """The first that parts the runs comes first, whenever it was submitted."""
    runs = [
        Run(("late", "BUY", 1, 0, (3, price, 1)), ("early", "BUY", 1, 0, (1, price, 1))) for price in ("1", "2", "3")
    ]
    assert [order.client_order_id for order in compare(*runs).dependent] == ["early", "late"]


def test_the_same_runs_depend_on_nothing():
    """Where nothing differs nothing is named, and the sentence says so."""
    compared = compare(Run(BOUGHT), Run(BOUGHT), Run(BOUGHT))
    assert (compared.dependent, compared.diverged) == ([], None)
    assert list(path_lines(compared)) == ["No order's fills depend on the path that prices took inside a bar."]


@pytest.mark.parametrize("other", [("next", "BUY", 7, 2), ("next", "SELL", 5, 2), ("next", "BUY", 5, 3)])
def test_an_id_that_names_another_order_is_not_compared(other):
    """Other terms or another time under one id are another decision: told from the first on, and counted on every path."""
    same, differs = (
        Run(BOUGHT, ("next", "BUY", 5, 2, (3, "1", 5))),
        Run(BOUGHT, (*other, (3, "9", 5)), ("more", "BUY", 1, 3)),
    )
    compared = compare(same, same, differs)
    assert compared.dependent == []
    assert compared.diverged.client_order_id == "next"
    assert compared.diverged.time == "1970-01-03T00:00:00Z"
    assert compared.diverged.orders == {"pessimistic": 1, "adaptive": 1, "optimistic": 2}
    said = " ".join(path_lines(compared))
    assert "From 1970-01-03T00:00:00Z on (order next) the strategy decided differently" in said
    assert "1 pessimistic, 1 adaptive, 2 optimistic" in said


def test_an_order_is_the_same_under_another_id():
    """Once ids have shifted, orders of the same time and terms are still compared, the second of two alike with the second."""
    twice = [("b", "BUY", 5, 2, (3, "1", 5)), ("c", "BUY", 5, 2, (3, "2", 5))]
    shifted = [("a", "SELL", 9, 1), ("x", "BUY", 5, 2, (3, "1", 5)), ("y", "BUY", 5, 2, (3, "4", 5))]
    compared = compare(Run(*twice), Run(*twice), Run(*shifted))
    (order,) = compared.dependent
    assert (order.client_order_id, order.fills["optimistic"].client_order_id, order.effect) == ("c", "y", 10)
    assert compared.diverged.orders == {"pessimistic": 0, "adaptive": 0, "optimistic": 1}
    assert compared.diverged.client_order_id == "a"


def test_without_a_journal_the_runs_alone_are_compared():
    """Which orders depend on the path is not known then, and it is said why."""
    compared = compare(Run(BOUGHT), Run(BOUGHT, journal_kept=False), Run(BOUGHT))
    assert compared.dependent is None
    assert "journal.keep is open" in " ".join(path_lines(compared))
    assert paths.fields_of(compared)["path_dependent_count"] is None


def test_the_spread_is_between_the_best_and_the_worst():
    """Each line has every path's value, and how far the outermost are apart."""
    runs = [
        Run(final_equity=Decimal(equity), total_return=change, filled=n)
        for equity, change, n in ((90, -0.1, 3), (80, -0.2, 4), (110, 0.1, 2))
    ]
    compared = compare(*runs)
    rows = {name: cells for name, *cells in path_rows(compared)}
    assert rows["Final equity"] == ["90.00", "80.00", "110.00", "30.00"]
    assert rows["Return"] == ["-10.00%", "-20.00%", "10.00%", "30.00%"]
    assert rows["Orders filled"] == ["3", "4", "2", "2"]
    assert paths.fields_of(compared)["spread"]["final_equity"] == 30


def test_a_path_changes_nothing_else():
    """The settings of a run are those of the configuration but for the path."""
    settings = load({"execution": {"backtest": {"slippage": "0.001"}}, "seed": 3})
    for path in paths.PATHS:
        changed = paths.on_path(settings, path)
        assert changed.execution.backtest.path == path
        assert paths.on_path(changed, settings.execution.backtest.path) == settings


# --- The command -------------------------------------------------------------------------------------------------------

CONFIG = """\
data: {path: A.csv}
strategy: {path: "hosted.py:Hosted"}
"""

# On the 8th the bar reaches both 108 and 95, and does not say which first; from the 9th on all bars are narrow.
PRICES = """\
date,open,high,low,close,volume
2020-01-06,100,101,99,100,1000000
2020-01-07,100,101,99,100,1000000
2020-01-08,100,112,92,104,1000000
2020-01-09,104,105,103,104,1000000
2020-01-10,104,105,103,104,1000000
"""

# A stop-limit order that is triggered at 108 and then wants to buy at 95: only where the high came before the low.
STRATEGY = """\
from ordersmith import Order, Strategy

class Hosted(Strategy):
    def __init__(self, fails=False):
        self.fails, self.bars = fails, 0

    def on_bars(self, bars):
        self.bars += 1
        if self.bars == 1:
            self.submit(Order.buy("A", 10, client_order_id="entry"))
        if self.bars == 2:
            terms = {"stop_price": "108", "limit_price": "95", "time_in_force": "GTC"}
            self.submit(Order.buy("A", 10, client_order_id="dip", **terms))
        if self.bars == 4 and self.fails:
            raise ValueError("no")
"""


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run the command in a folder of its own, and return its status and what it printed."""
    monkeypatch.chdir(tmp_path)
    for name, text in (("c.yaml", CONFIG), ("A.csv", PRICES), ("hosted.py", STRATEGY)):
        Path(name).write_text(text)

    def ran(*words):
        status = cli.main(["backtest", "c.yaml", "--paths", *words])
        out, err = capsys.readouterr()
        return SimpleNamespace(status=status, out=out, err=err)

    return ran


def test_the_order_that_depends_on_the_path_is_named(run):
    """The command runs three times and prints each outcome, their spread, and the order that is the reason."""
    ran = run()
    assert (ran.status, ran.err) == (0, "")
    words = ran.out.split()
    for word in ("pessimistic", "adaptive", "optimistic", "spread", "dip", "effect", "90.00"):
        assert word in words
    assert "The fills of 1 order depend on the path" in " ".join(words)


def test_json_has_every_run_and_every_order(run):
    """One object: a summary a path, the spread, and the orders whose fills differ."""
    ran = run("--json")
    given = json.loads(ran.out, parse_float=Decimal)
    assert (ran.status, given["finished"], given["path_dependent_count"]) == (0, True, 1)
    assert list(given["paths"]) == list(paths.PATHS)
    assert given["spread"]["final_equity"] == 90
    (order,) = given["path_dependent_orders"]
    assert (order["client_order_id"], order["symbol"], order["side"], order["effect"]) == ("dip", "A", "BUY", 90)
    assert order["time"].startswith("2020-01-08")
    assert (order["fills"]["pessimistic"], order["fills"]["adaptive"]) == (None, None)
    assert (order["fills"]["optimistic"]["quantity"], order["fills"]["optimistic"]["price"]) == (10, 95)


def test_every_path_has_a_folder(run):
    """With `--out` each run leaves its outputs in a folder of its name."""
    ran = run("--out", "out")
    assert ran.status == 0
    for path in paths.PATHS:
        folder = Path("out", path)
        assert f"Outputs in {folder}: " in ran.out
        assert {file.name for file in folder.iterdir()} == set(outputs.FILES)


def test_a_folder_that_cannot_be_made_is_told_before_any_run(run):
    """What stands in the way is named, with status 2."""
    Path("out").write_text("mine")
    ran = run("--out", "out")
    assert (ran.status, ran.out) == (2, "")
    assert "is a file; accepted: a folder" in ran.err


def test_a_run_that_broke_off_is_told_with_its_path(run):
    """The others run all the same; the status is that of the first that broke off, and its traceback is shown."""
    ran = run("--set", "strategy.parameters.fails=true")
    assert ran.status == 1
    assert "pessimistic: The run broke off: strategy/main raised ValueError" in ran.err
    assert "The fills of 1 order" in " ".join(ran.out.split())


def test_a_strategy_remembers_nothing_of_the_run_before(run):
    """Each run has a strategy of its own: all three submit the entry."""
    given = json.loads(run("--json").out)
    assert [one["orders"] for one in given["paths"].values()] == [2, 2, 2]
