"""How long a live system takes from the loss of Alpaca's stream until it is reconciled, with many open orders at a local sandbox.

    python benchmarks/reconnect.py [--orders 200] [--times 50] [--backend asyncio]

Each time the sandbox cuts the connection of trade updates, and the system loses its session, connects, reads the account, compares all
open orders and is ready. An order that is submitted in between must be refused, and none may reach the sandbox. The target: p99
under 5 s. A second of it is meant: nobody who is cut off comes back at once.

Exit status: 0, or 1 if the target is missed or an order came through.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
from journal import percentile

from ordersmith import AlpacaPaperExecutor, Order
from ordersmith.actors.events import SessionClosed, SessionOpened

TARGET_S = 5.0
PATIENCE_S = 60
BATCH = 20


@contextmanager
def sandbox():
    """Run `ordersmith sandbox`, without a rate limit to speak of; yield what it says of itself."""
    words = ["sandbox", "--alpaca", "0", "--json", "--symbols", "AAPL,MSFT", "--rate-limit", "1000000"]
    process = subprocess.Popen([sys.executable, "-m", "ordersmith", *words], stdout=subprocess.PIPE, text=True)
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.communicate()


def admin(about: dict, method: str, path: str, body: dict | None = None):
    """Ask the sandbox for what Alpaca has not."""
    connection = HTTPConnection(urlsplit(about["addresses"]["base_url"]).netloc, timeout=PATIENCE_S)
    try:
        connection.request(method, f"/sandbox{path}", None if body is None else json.dumps(body))
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def settings(about: dict, folder: Path) -> dict:
    keys = {"api_key": about["key"], "api_secret": about["secret"]}
    return {
        "execution": {"alpaca": {**keys, **about["addresses"]}},
        "journal": {"path": str(folder / "journal.db")},
        "risk": {"duplicate_window": 0},
    }


async def measure(about: dict, folder: Path, orders: int, times: int) -> tuple[list[float], int]:
    """Return the seconds from each cut until the session is open again, and how many orders came through in between."""
    found: list[float] = []
    through = 0
    async with AlpacaPaperExecutor(settings(about, folder)) as executor:
        for begun in range(0, orders, BATCH):
            far = [Order.buy("AAPL", 1, "100.00", time_in_force="GTC") for _ in range(min(BATCH, orders - begun))]
            last = await executor.submit_orders(far)
        while len(open_at(about)) < orders:  # noqa: ASYNC110 - it is in another process
            await anyio.sleep(0.05)
        events = executor.events(last[-1].last_record)
        for _ in range(times):
            cut_at = time.monotonic()
            await anyio.to_thread.run_sync(admin, about, "POST", "/faults", {"kind": "cut"})
            await first(events, SessionClosed)
            (refused,) = await executor.submit_orders([Order.buy("MSFT", 1, "100.00")])
            through += refused.reason != "NOT_CONNECTED"
            await first(events, SessionOpened)
            found.append(time.monotonic() - cut_at)
        through += len(open_at(about)) - orders
    return found, through


async def first(events, kind: type) -> None:
    """Return once there is a record of this kind."""
    with anyio.fail_after(PATIENCE_S):
        async for record in events:
            if isinstance(record.event, kind):
                return


def open_at(about: dict) -> list[dict]:
    return [order for order in admin(about, "GET", "/orders") if order["status"] == "new"]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    wanted = parser.parse_args()
    logging.getLogger("ordersmith").setLevel(logging.ERROR)  # that orders stay open at the broker is meant
    with sandbox() as about, tempfile.TemporaryDirectory() as name:
        found, through = anyio.run(measure, about, Path(name), wanted.orders, wanted.times, backend=wanted.backend)
    p50, p99 = percentile(found, 50), percentile(found, 99)
    print(
        f"{wanted.times} cuts with {wanted.orders} open orders, {wanted.backend}: from the cut to reconciled "
        f"p50 {p50:.2f} s, p99 {p99:.2f} s, longest {max(found):.2f} s; {through} orders came through in between"
    )
    return int(p99 >= TARGET_S or through > 0)


if __name__ == "__main__":
    sys.exit(main())
