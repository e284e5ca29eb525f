"""Ordersmith: the execution layer of an algorithmic trading system.

It stands between the portfolio and risk layers and the broker, turns target positions into orders, and looks after every order until it is
finished. The same code runs a backtest, a paper account and a live account.
"""

from __future__ import annotations

from .actors.errors import (
    ActorError,
    BrokerAuthError,
    BrokerError,
    BrokerProtocolError,
    BrokerUnavailable,
    ConfigError,
    DataError,
    ExecutorFailed,
    JournalError,
    OrderCommandError,
    OrdersmithError,
    Overloaded,
    StrategyError,
    TradingHalted,
)
from .actors.executor import OrderExecutor
from .actors.machines.rebalance import generate_orders
from .actors.model import (
    AccountInfo,
    Bar,
    Bars,
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
from .supervisor.executor import BacktestExecutor
from .supervisor.result import BacktestResult, Summary

__version__ = "0.1.0"

__all__ = [
    "AccountInfo",
    "ActorError",
    "BacktestExecutor",
    "BacktestResult",
    "Bar",
    "Bars",
    "BrokerAuthError",
    "BrokerError",
    "BrokerProtocolError",
    "BrokerUnavailable",
    "ConfigError",
    "DataError",
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
    "generate_orders",
]
