"""A program for Alpaca with nothing but Alpaca's own SDK, tried against the local Alpaca instead of the real one.

    pip install alpaca-py
    ordersmith sandbox --alpaca 8399          # in another terminal; it prints the two keys
    export APCA_API_KEY_ID=... APCA_API_SECRET_KEY=...
    python examples/alpaca_py_program.py http://127.0.0.1:8399

It reads bars, watches quotes, buys ten shares, hears of the fill, and closes the position. Only the four `url_override` make it a
program for the sandbox: without them it trades with the paper account at Alpaca that the keys are of.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.live import StockDataStream
from alpaca.data.requests import StockBarsRequest
from alpaca.data.timeframe import TimeFrame
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, TimeInForce
from alpaca.trading.requests import MarketOrderRequest
from alpaca.trading.stream import TradingStream

SYMBOL = "AAPL"
PATIENCE_S = 30
FINAL = ("fill", "canceled", "expired", "rejected")


def main() -> int:
    if len(sys.argv) != 2 or not sys.argv[1].startswith("http"):
        print(
            f"usage: {sys.argv[0]} http://127.0.0.1:PORT (where `ordersmith sandbox --alpaca PORT` is up)",
            file=sys.stderr,
        )
        return 2
    rest = sys.argv[1].rstrip("/")
    sockets = "ws" + rest.removeprefix("http")
    try:
        keys = os.environ["APCA_API_KEY_ID"], os.environ["APCA_API_SECRET_KEY"]
    except KeyError as missing:
        print(f"set {missing.args[0]} to the key that the sandbox prints", file=sys.stderr)
        return 2

    trading = TradingClient(*keys, paper=True, url_override=rest)
    history = StockHistoricalDataClient(*keys, url_override=rest)
    trade_updates = TradingStream(*keys, paper=True, url_override=f"{sockets}/stream")
    prices = StockDataStream(*keys, url_override=f"{sockets}/v2/iex")

    account: Any = trading.get_account()
    print(f"account {account.account_number}: cash {account.cash}")
    wanted = StockBarsRequest(
        symbol_or_symbols=SYMBOL, timeframe=TimeFrame.Minute, start=datetime.now(UTC) - timedelta(hours=1)
    )
    bars: Any = history.get_stock_bars(wanted)
    print(f"{len(bars.data.get(SYMBOL, []))} bars of the last hour")

    quotes: queue.Queue[Any] = queue.Queue()
    updates: queue.Queue[Any] = queue.Queue()

    async def on_quote(quote: Any) -> None:
        quotes.put(quote)

    async def on_update(update: Any) -> None:
        updates.put(update)

    prices.subscribe_quotes(on_quote, SYMBOL)
    trade_updates.subscribe_trade_updates(on_update)
    for stream in (prices, trade_updates):
        threading.Thread(target=stream.run, daemon=True).start()
    quote = quotes.get(timeout=PATIENCE_S)
    print(f"{SYMBOL}: bid {quote.bid_price}, ask {quote.ask_price}")
    time.sleep(1)  # the SDK does not say when the stream of trade updates listens

    order: Any = trading.submit_order(
        MarketOrderRequest(symbol=SYMBOL, qty=10, side=OrderSide.BUY, time_in_force=TimeInForce.DAY)
    )
    wait_for_end(updates, order)
    position: Any = trading.get_open_position(SYMBOL)
    print(f"position: {position.qty} {SYMBOL} at {position.avg_entry_price}")
    wait_for_end(updates, trading.close_position(SYMBOL))
    print(f"positions left: {len(trading.get_all_positions())}")
    prices.stop()
    trade_updates.stop()
    return 0


def wait_for_end(updates: queue.Queue[Any], order: Any) -> None:
    """Print what becomes of an order until it is over."""
    while True:
        update = updates.get(timeout=PATIENCE_S)
        if update.order.id == order.id:
            event = getattr(update.event, "value", update.event)
            print(f"{order.side.value} {order.qty} {order.symbol}: {event}")
            if event in FINAL:
                return


if __name__ == "__main__":
    sys.exit(main())
