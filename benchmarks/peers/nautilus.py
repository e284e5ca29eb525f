"""nautilus_trader: an event-driven engine in Cython; one callback a symbol-bar, market orders at the same bar's close.

Three settings in its favour: logging and the run's analysis are off; the submit-rate limit is raised, because W3 sends its resting orders
on one bar; and the analyzer's record of each closed position is patched out: it concatenates a pandas Series a position, whose cost is
quadratic in a run's orders, and is no part of an order's life.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import nautilus_trader
from harness import FLAT, Job, Outcome
from nautilus_trader.analysis.analyzer import PortfolioAnalyzer
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.common.config import LoggingConfig
from nautilus_trader.config import CacheConfig, ExecEngineConfig, RiskEngineConfig
from nautilus_trader.indicators import SimpleMovingAverage
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide, TimeInForce
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import Equity
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.persistence.wranglers import BarDataWrangler
from nautilus_trader.trading.strategy import Strategy
from workloads import INITIAL_CASH

VENUE = Venue("SIM")
ONE, HUNDRED = Quantity.from_int(1), Quantity.from_int(100)
UNLIMITED = "10000000/00:00:01"


def bar_type(symbol: str) -> BarType:
    return BarType.from_str(f"{symbol}.{VENUE}-1-MINUTE-LAST-EXTERNAL")


class Workload(Strategy):
    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job
        self.types = [bar_type(symbol) for symbol in job.workload.symbols]
        self.sent = self.bar = 0
        self.order = None

    def on_start(self) -> None:
        for one in self.types:
            self.subscribe_bars(one)

    def trade(self, instrument: InstrumentId, side: int, quantity: Quantity) -> None:
        order = self.order_factory.market(instrument, OrderSide.BUY if side > 0 else OrderSide.SELL, quantity)
        self.submit_order(order)
        self.sent += 1

    def rest(self, price: Price) -> Any:
        order = self.order_factory.limit(self.types[0].instrument_id, OrderSide.BUY, ONE, price, TimeInForce.GTC)
        self.submit_order(order)
        return order


class W0(Workload):
    def on_bar(self, bar: Any) -> None:
        pass


class W1(Workload):
    def on_start(self) -> None:
        self.pairs = {one: (SimpleMovingAverage(10), SimpleMovingAverage(50)) for one in self.types}
        self.sides = dict.fromkeys(self.types, 0)
        for one, averages in self.pairs.items():
            for average in averages:
                self.register_indicator_for_bars(one, average)
        super().on_start()

    def on_bar(self, bar: Any) -> None:
        fast, slow = self.pairs[bar.bar_type]
        if not slow.initialized:
            return
        difference = fast.value - slow.value
        if -FLAT < difference < FLAT:
            return
        before, side = self.sides[bar.bar_type], 1 if difference > 0 else -1
        self.sides[bar.bar_type] = side
        if before and before != side:
            self.trade(bar.bar_type.instrument_id, side, HUNDRED)


class W2(Workload):
    def on_bar(self, bar: Any) -> None:
        self.trade(self.types[0].instrument_id, -1 if self.sent & 1 else 1, ONE)


class W3(Workload):
    def on_bar(self, bar: Any) -> None:
        if self.bar == 0:
            for price in self.job.resting_prices():
                self.rest(Price.from_str(f"{price:.2f}"))
        if self.bar % 100 == 0:
            self.job.laps.note(self.bar)
            self.trade(self.types[0].instrument_id, -1 if self.sent & 1 else 1, ONE)
        self.bar += 1


class W4(Workload):
    def on_start(self) -> None:
        super().on_start()
        self.limit = Price.from_str("1.00")

    def on_bar(self, bar: Any) -> None:
        if self.order is not None:
            self.cancel_order(self.order)
        self.order = self.rest(self.limit)
        self.sent += 1


def run(job: Job) -> Outcome:
    for recording in ("record_trade", "add_trade", "add_position_return"):
        setattr(PortfolioAnalyzer, recording, lambda *_, **__: None)
    engine = BacktestEngine(
        BacktestEngineConfig(
            trader_id="BENCH-001",
            logging=LoggingConfig(bypass_logging=True),
            run_analysis=False,
            risk_engine=RiskEngineConfig(max_order_submit_rate=UNLIMITED, max_order_modify_rate=UNLIMITED),
            cache=CacheConfig(tick_capacity=100, bar_capacity=100),
            exec_engine=ExecEngineConfig(snapshot_orders=False),
        )
    )
    engine.add_venue(
        VENUE,
        OmsType.NETTING,
        AccountType.MARGIN,
        [Money(INITIAL_CASH, USD)],
        base_currency=USD,
        default_leverage=Decimal(10),
    )
    closes = {symbol: add_symbol(engine, job, symbol) for symbol in job.workload.symbols}
    engine.sort_data()
    engine.add_strategy({"W0": W0, "W1": W1, "W2": W2, "W3": W3, "W4": W4}[job.workload.kind](job))
    with job.watch:
        engine.run()
    equity = float(engine.portfolio.account(VENUE).balance_total(USD).as_double())
    for position in engine.cache.positions_open():
        equity += position.signed_qty * (closes[position.instrument_id.symbol.value] - position.avg_px_open)
    return Outcome.of(
        bars=len(job.workload.symbols) * job.bars,
        orders=engine.cache.orders_total_count(),
        fills=sum(order.filled_qty > 0 for order in engine.cache.orders()),
        equity=equity,
        version=nautilus_trader.__version__,
    )


def add_symbol(engine: BacktestEngine, job: Job, symbol: str) -> float:
    """Add a symbol's instrument and bars and return its last close."""
    instrument = Equity(
        instrument_id=InstrumentId(Symbol(symbol), VENUE),
        raw_symbol=Symbol(symbol),
        currency=USD,
        price_precision=2,
        price_increment=Price.from_str("0.01"),
        lot_size=ONE,
        ts_event=0,
        ts_init=0,
    )
    engine.add_instrument(instrument)
    frame = job.frame(symbol)
    engine.add_data(BarDataWrangler(bar_type(symbol), instrument).process(frame), sort=False)
    return float(frame.close.iloc[-1])
