"""Trade for a minute on a local Alpaca: `make demo-paper`.

It starts `ordersmith sandbox` and `ordersmith run`, each in a process of its own, shows what happens, and ends with a table of orders,
fills and positions: ours, from the journal, beside those that the broker states.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from alpaca.trading.client import TradingClient
from alpaca.trading.requests import GetOrdersRequest
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

ORDERSMITH = (sys.executable, "-m", "ordersmith")
EXAMPLE = Path(__file__).with_name("alpaca-paper.yaml")
SYMBOLS = ("AAPL", "MSFT", "NVDA")
ORDERS_SHOWN = 12
LOOK_EVERY_S = 10
BAR_S = 3
"""How long a bar lasts that stands for a minute. An order a symbol and bar, and what is asked about them, is well within 200 requests."""
BARS = 4
"""How many of them the strategy takes its means over: it trades from the fourth on."""

WHY: dict[str, Callable[[dict[str, Any]], str]] = {
    "OrderDenied": lambda record: f"refused before it was sent: {record['denial'][1]}",
    "OrderRejected": lambda record: f"rejected: {record['text']}",
    "OrderCancelled": lambda record: f"never sent: {record['text'] or record['reason']}",
    "OrderInDoubt": lambda record: f"in doubt: {record['reason']}",
}
"""What our journal says of an order that the broker does not know."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long to trade (default: 60)")
    chosen = parser.parse_args()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    with tempfile.TemporaryDirectory() as folder, sandbox(Path(folder)) as broker:
        config, journal = Path(folder, "demo.yaml"), Path(folder, "journal.db")
        config.write_text(json.dumps(settings(broker, journal)), encoding="utf-8")  # JSON is YAML
        console.print(f"A local Alpaca is up at {broker['addresses']['base_url']}, and the service starts.")
        with Path(folder, "service.log").open("w", encoding="utf-8") as log:
            service = subprocess.Popen([*ORDERSMITH, "run", str(config)], stdout=subprocess.PIPE, stderr=log, text=True)
            watch(console, config, service, chosen.seconds)
            service.send_signal(signal.SIGTERM)
            summed_up, _ = service.communicate(timeout=60)
        if service.returncode:
            console.print(Path(folder, "service.log").read_text(encoding="utf-8"))
        show(console, journal, broker)
        console.print(summed_up.strip(), soft_wrap=True)
    return service.returncode


@contextmanager
def sandbox(folder: Path) -> Iterator[dict[str, Any]]:
    """Run a local Alpaca, whose bars are short, and yield what it says of itself."""
    words = ["sandbox", "--alpaca", "0", "--json", "--speed", str(60 // BAR_S), "--symbols", ",".join(SYMBOLS)]
    words += ["--account", str(folder / "account.json"), "--partial-fills", "0.3"]
    process = subprocess.Popen([*ORDERSMITH, *words], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(timeout=20)


def settings(broker: dict[str, Any], journal: Path) -> dict[str, Any]:
    """Return the settings of alpaca-paper.yaml, with the addresses of the sandbox in place of Alpaca's."""
    import yaml

    read: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    read["execution"]["alpaca"] = {"api_key": broker["key"], "api_secret": broker["secret"], **broker["addresses"]}
    read["data"] = {"symbols": list(SYMBOLS)}
    read["strategy"]["path"] = str(EXAMPLE.with_name("reversion.py")) + ":MeanReversion"
    read["strategy"]["parameters"]["bars"] = BARS
    read["journal"]["path"] = str(journal)
    read["service"] = {"on_stop": "cancel"}
    return read


def watch(console: Console, config: Path, service: subprocess.Popen[str], seconds: float) -> None:
    """Say now and then how the service is, until the time is over or it has ended by itself."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and service.poll() is None:
        time.sleep(min(LOOK_EVERY_S, left))
        done = subprocess.run([*ORDERSMITH, "status", str(config)], capture_output=True, text=True, check=False)
        lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
        told = [line for line in lines if line.startswith(("trading", "session", "orders"))]
        console.print(" · ".join(told) or done.stderr.strip(), soft_wrap=True)


def show(console: Console, journal: Path, broker: dict[str, Any]) -> None:
    """Print what came of it: by our journal, and by the broker, who is asked as any program for Alpaca would ask."""
    client = TradingClient(broker["key"], broker["secret"], url_override=broker["addresses"]["base_url"], raw_data=True)
    listed = client.get_orders(GetOrdersRequest(status="all", limit=500))
    theirs = {order["client_order_id"].rpartition(".")[0]: order for order in listed}  # without the number of the leg
    orders: dict[str, dict[str, Any]] = {}
    for record in records(journal):
        if record["event"] == "OrderSubmitted":
            begun = {"fills": 0, "filled": Decimal(0), "paid": Decimal(0), "why": "it was not sent yet"}
            orders[record["client_order_id"]] = {**record["order"], **begun}
        elif record["event"] == "OrderFilled":
            order = orders[record["client_order_id"]]
            order["fills"] += 1
            order["filled"] += Decimal(record["quantity"])
            order["paid"] += Decimal(record["notional"])
        elif record["event"] in WHY:
            orders[record["client_order_id"]]["why"] = WHY[record["event"]](record)
    unsent = sum(order_id not in theirs for order_id in orders)
    title = f"{len(orders)} orders, {unsent} of them not sent; the last {min(len(orders), ORDERS_SHOWN)}"
    table = Table(box=SIMPLE, title=title, title_justify="left")
    for heading in ("order", "side", "symbol", "quantity", "fills", "filled", "at", "the broker says"):
        table.add_column(heading, justify="right" if heading in {"quantity", "fills", "filled", "at"} else "left")
    for order_id, order in list(orders.items())[-ORDERS_SHOWN:]:
        filled = order["filled"]
        price = f"{order['paid'] / filled:.4f}" if filled else ""
        told = theirs.get(order_id)
        said = order["why"] if told is None else f"{told['status']}, {told['filled_qty']} filled"
        cells = (order_id, order["side"], order["symbol"], order["quantity"], order["fills"], filled, price)
        table.add_row(*map(str, cells), said)
    console.print(table)
    table = Table(box=SIMPLE, title="Positions at the broker", title_justify="left")
    for heading in ("symbol", "quantity", "average price", "unrealized"):
        table.add_column(heading, justify="left" if heading == "symbol" else "right")
    for position in client.get_all_positions():
        table.add_row(*(str(position[key]) for key in ("symbol", "qty", "avg_entry_price", "unrealized_pl")))
    console.print(table)


def records(journal: Path) -> Iterator[dict[str, Any]]:
    """Yield the journal's records as JSON objects."""
    done = subprocess.run([*ORDERSMITH, "journal", "export", str(journal)], capture_output=True, text=True, check=True)
    yield from map(json.loads, done.stdout.splitlines())


if __name__ == "__main__":
    sys.exit(main())
