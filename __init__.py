"""Ordersmith: the execution layer of an algorithmic trading system.

It stands between the portfolio and risk layers and the broker, turns target positions into orders, and looks after every order until it is
finished. The same code runs a backtest, a paper account and a live account.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .actors.actor import Record
from .actors.bars import Bar, Bars, CorporateAction, CorporateActionKind
from .actors.errors import (
    ActorError,
    BrokerAuthError,
    BrokerError,
    BrokerProtocolError,
    BrokerUnavailable,
    ConfigError,
    DataEnded,
    DataError,
    ExecutorClosed,
    ExecutorFailed,
    JournalError,
    OrderCommandError,
    OrdersmithError,
    Overloaded,
    StrategyError,
    TradingHalted,
    UsageError,
)
from .actors.executor import OrderExecutor
from .actors.machines.rebalance import generate_orders
from .actors.model import (
    AccountInfo,
    Fill,
    Instrument,
    Order,
    OrderState,
    OrderStatus,
    OrderType,
    Position,
    Purpose,
    Side,
    TimeInForce,
    TradingState,
)
from .actors.strategy import Strategy
from .config import Settings
from .supervisor.blocking import BlockingExecutor
from .supervisor.executor import BacktestExecutor
from .supervisor.opening import open_blocking_executor, open_executor, run_simulated
from .supervisor.result import BacktestResult, Summary

if TYPE_CHECKING:
    from .supervisor.blocking_live import BlockingLiveExecutor
    from .supervisor.live_executor import AlpacaLiveExecutor, AlpacaPaperExecutor, LiveExecutor, PaperExecutor

__version__ = "0.1.0"

__all__ = [
    "AccountInfo",
    "ActorError",
    "AlpacaLiveExecutor",
    "AlpacaPaperExecutor",
    "BacktestExecutor",
    "BacktestResult",
    "Bar",
    "Bars",
    "BlockingExecutor",
    "BlockingLiveExecutor",
    "BrokerAuthError",
    "BrokerError",
    "BrokerProtocolError",
    "BrokerUnavailable",
    "ConfigError",
    "CorporateAction",
    "CorporateActionKind",
    "DataEnded",
    "DataError",
    "ExecutorClosed",
    "ExecutorFailed",
    "Fill",
    "Instrument",
    "JournalError",
    "LiveExecutor",
    "Order",
    "OrderCommandError",
    "OrderExecutor",
    "OrderState",
    "OrderStatus",
    "OrderType",
    "OrdersmithError",
    "Overloaded",
    "PaperExecutor",
    "Position",
    "Purpose",
    "Record",
    "Settings",
    "Side",
    "Strategy",
    "StrategyError",
    "Summary",
    "TimeInForce",
    "TradingHalted",
    "TradingState",
    "UsageError",
    "generate_orders",
    "open_blocking_executor",
    "open_executor",
    "run_simulated",
]

_LATER = {
    "AlpacaLiveExecutor": "live_executor",
    "AlpacaPaperExecutor": "live_executor",
    "BlockingLiveExecutor": "blocking_live",
    "LiveExecutor": "live_executor",
    "PaperExecutor": "live_executor",
}
"""Names whose module loads an event loop's library, which a backtest does without: imported when somebody asks."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".supervisor.{_LATER[name]}", __name__), name)
