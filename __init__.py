"""Ordersmith: the execution layer of an algorithmic trading system.

It stands between the portfolio and risk layers and the broker, turns target positions into orders, and looks after every order until it is
finished. The same code runs a backtest, a paper account and a live account.
"""

from __future__ import annotations

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

__version__ = "0.1.0"

__all__ = [
    "AccountInfo",
    "ActorError",
    "BacktestExecutor",
    "BacktestResult",
    "Bar",
    "Bars",
    "BlockingExecutor",
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
    "Order",
    "OrderCommandError",
    "OrderExecutor",
    "OrderState",
    "OrderStatus",
    "OrderType",
    "OrdersmithError",
    "Overloaded",
    "Position",
    "Purpose",
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
