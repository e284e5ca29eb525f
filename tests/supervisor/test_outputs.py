"""The files that a run leaves: each agrees with the result that it was written from."""

from __future__ import annotations

import csv
import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordersmith import BacktestExecutor, ConfigError, Order, Strategy, TimeInForce
from ordersmith.actors.actor import Record
from ordersmith.actors.events import Arrival, OrderCancelRequested, OrderSubmitted, TargetDropped
from ordersmith.actors.model import EPOCH, as_datetime
from ordersmith.adapters.bar_feed import BarFeed
from ordersmith.supervisor import outputs

DAYS = 6
ROWS = {
    symbol: [
        (date(2020, 1, 6) + timedelta(days=day), open_, open_ + 2, open_ - 2, open_ + 1, 1000) for day in range(DAYS)
    ]
    for symbol, open_ in (("A", 100), ("B", 50))
}
COSTS = {"slippage": "0.001", "commission": "1.5"}


class Busy(Strategy):
    """Leaves orders in every state that a backtest can leave them in."""

    def __init__(self):
        self.day = 0

    def on_bars(self, bars):
        self.day += 1
        if self.day == 1:
            self.far = self.submit(Order.buy("A", 5, limit_price="91", time_in_force=TimeInForce.GTC))[0]
            self.submit(Order.buy("B", 150))  # more than a tenth of the volume: it fills in part and its day ends
            self.submit(Order.buy("A", 10, limit_price="95"))  # too low: its day ends
            self.submit(Order.buy("A", 10_000_000))  # too much: denied
            self.submit(Order.buy("A", 30))
        if self.day == 3:
            self.cancel(self.far)
            self.submit(Order.sell("A", 7))
        if self.day == DAYS:
            self.submit(Order.sell("B", 1, client_order_id="mine"))


@pytest.fixture(scope="module")
def result():
    return run()


def run(**settings):
    settings = {"execution": {"backtest": COSTS}, **settings}
    return BacktestExecutor(settings, strategy=Busy(), feed=BarFeed.from_rows(ROWS)).run()


@pytest.fixture(scope="module")
def folder(result, tmp_path_factory):
    folder = tmp_path_factory.mktemp("outputs")
    outputs.write(folder, result)
    return folder


def table(folder, name):
    with (folder / name).open(newline="") as text:
        return list(csv.DictReader(text))


def test_orders_are_those_of_the_result(result, folder):
    """orders.csv has one row an order, in order of submission, with what its status says."""
    rows, statuses = table(folder, "orders.csv"), result.orders()
    assert len(statuses) == 7
    assert len({status.state for status in statuses}) == 4
    for row, status in zip(rows, statuses, strict=True):
        order, average = status.order, status.average_price
        assert row == {
            "client_order_id": status.client_order_id,
            "account": "main",
            "strategy": "main",
            "symbol": order.symbol,
            "side": order.side,
            "order_type": order.order_type,
            "time_in_force": order.time_in_force,
            "quantity": str(order.quantity),
            "limit_price": "" if order.limit_price is None else str(order.limit_price),
            "stop_price": "" if order.stop_price is None else str(order.stop_price),
            "trail_amount": "" if order.trail_amount is None else str(order.trail_amount),
            "trail_percent": "" if order.trail_percent is None else str(order.trail_percent),
            "extended_hours": str(order.extended_hours).lower(),
            "state": status.state,
            "filled_quantity": str(status.filled_quantity),
            "average_price": "" if average is None else row["average_price"],
            "commission": str(status.commission),
            "reason": status.reason,
            "text": status.text,
            "arrival_price": row["arrival_price"],
            "arrival_time": row["submitted_at"],
            "submitted_at": f"{as_datetime(status.submitted_ns):%Y-%m-%dT%H:%M:%SZ}",
            "updated_at": f"{as_datetime(status.updated_ns):%Y-%m-%dT%H:%M:%SZ}",
            "parent": order.parent,
            "last_record": str(status.last_record),
        }
        assert average is None or abs(Decimal(row["average_price"]) - average) < Decimal("0.000001")
        assert row["arrival_price"] == {"A": "101", "B": "51"}[order.symbol]


def test_fills_add_up_to_the_orders(folder):
    """The fills of fills.csv sum up, order by order, to the quantities and the commissions of orders.csv."""
    quantity, commission = Counter(), Counter()
    for fill in table(folder, "fills.csv"):
        quantity[fill["client_order_id"]] += Decimal(fill["quantity"])
        commission[fill["client_order_id"]] += Decimal(fill["commission"])
    orders = [row for row in table(folder, "orders.csv") if row["filled_quantity"] != "0"]
    assert len(orders) == 3
    for row in orders:
        assert quantity.pop(row["client_order_id"]) == Decimal(row["filled_quantity"])
        assert commission.pop(row["client_order_id"]) == Decimal(row["commission"])
    assert not quantity


def test_fills_point_to_their_records(result, folder):
    """Each row of fills.csv has the price and the costs of the journal's record that it names."""
    fills = {str(record.number): (record, event.fill) for record, event in result.fills()}
    rows = table(folder, "fills.csv")
    assert list(fills) == [row["record"] for row in rows]
    for row in rows:
        _, fill = fills[row["record"]]
        numbers = (fill.quantity, fill.price, fill.commission, fill.fees, fill.slippage, fill.impact)
        columns = "quantity price commission fees_in_commission slippage impact".split()
        assert tuple(Decimal(row[name]) for name in columns) == numbers
        assert datetime.fromisoformat(row["at"]) == as_datetime(fill.at_ns)
        assert (row["fill_key"], row["revision"], row["inferred"]) == (fill.fill_key, "0", "false")


def test_equity_is_the_curve(result, folder):
    """equity.csv has a row at the end of every bar time, the last with the summary's equity."""
    rows = table(folder, "equity.csv")
    assert [datetime.fromisoformat(row["time"]) for row in rows] == [as_datetime(at_ns) for at_ns, _ in result.equity]
    assert len(rows) == DAYS
    assert Decimal(rows[-1]["equity"]) == result.summary.final_equity


def test_the_journal_has_every_record(result, folder):
    """journal.jsonl has one object a record, numbered without a gap, with the event's name and fields."""
    lines = (folder / "journal.jsonl").read_text().splitlines()
    journal = [json.loads(line) for line in lines]
    assert [entry["number"] for entry in journal] == list(range(1, result.record_count + 1))
    assert [entry["event"] for entry in journal] == [type(record.event).__name__ for record in result.records()]
    assert journal[2]["order"]["symbol"] == "A"


def test_without_a_journal_the_equity_remains(tmp_path):
    """With `journal.keep: open` only the equity can be written and drawn, and an earlier run's other files are gone."""
    for name in outputs.FILES:
        (tmp_path / name).write_text("an earlier run's")
    outputs.prepare(tmp_path)
    written = outputs.write(tmp_path, run(journal={"keep": "open"}), journal_kept=False)
    assert (
        [file.name for file in written]
        == ["equity.csv", "report.html"]
        == sorted(file.name for file in tmp_path.iterdir())
    )
    assert len(table(tmp_path, "equity.csv")) == DAYS


def test_a_folder_is_cleared_of_our_files_only(tmp_path):
    """A folder that is there keeps everything but the five files, and one that is not there is made with those above it."""
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "orders.csv").write_text("an earlier run's")
    outputs.prepare(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]
    outputs.prepare(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("file", "file is a file; accepted: a folder"),
        ("file/below", "is a file; accepted: a folder"),
        ("folder", "orders.csv cannot be written: Is a directory; accepted: a folder that you may write to"),
    ],
)
def test_a_folder_that_cannot_be_written_is_refused(tmp_path, out, words):
    """What stands in the way is named, and nothing of it is touched."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder" / "orders.csv").mkdir(parents=True)
    with pytest.raises(ConfigError, match=words):
        outputs.prepare(tmp_path / out)
    assert (tmp_path / "file").read_text() == "mine"


@given(st.integers(0, 4 * 10**18))
def test_times_can_be_read_back(at_ns):
    """A time is ISO 8601 in UTC, exact to the microsecond."""
    text = outputs.time_text(at_ns)
    assert text.endswith("Z")
    assert datetime.fromisoformat(text) - EPOCH == timedelta(microseconds=at_ns // 1000)
    assert datetime.fromisoformat(text).tzinfo == UTC


@given(st.lists(st.integers(0, 5), max_size=40))
def test_orders_are_rows_in_order_of_submission(turns):
    """However the records of orders interleave, each order is one row, at its place, as of its last record."""
    order = Order.buy("A", 1)
    last_of: dict[str, int] = {}
    records = []
    for number, turn in enumerate(turns, 1):
        order_id = f"order-{turn}"
        begun = OrderSubmitted(order_id, order_of(order, order_id), Arrival(0, None))
        event = OrderCancelRequested(order_id) if order_id in last_of else begun
        last_of[order_id] = number
        records += [Record(number, number, 0, event), Record(number, number, 0, TargetDropped("plan", "A", ""))]
    rows = list(outputs._order_rows(iter(records), last_of))
    assert [(row[0], int(row[-1])) for row in rows] == list(last_of.items())


def order_of(order, order_id):
    return Order(symbol=order.symbol, side=order.side, quantity=order.quantity, client_order_id=order_id)
