"""What an embedding application imports: the public names, pinned."""

from __future__ import annotations

import subprocess
import sys

import ordersmith

NAMES = """
    AccountInfo ActorError AlpacaLiveExecutor AlpacaPaperExecutor
    BacktestExecutor BacktestResult Bar Bars BlockingExecutor BlockingLiveExecutor
    BrokerAuthError BrokerError BrokerProtocolError BrokerUnavailable ConfigError CorporateAction CorporateActionKind DataEnded DataError
    ExecutorClosed ExecutorFailed Fill Instrument JournalError LiveExecutor Order OrderCommandError OrderExecutor OrderState
    OrderStatus OrderType OrdersmithError Overloaded PaperExecutor Position Purpose Record Settings Side Strategy StrategyError Summary
    TimeInForce TradingHalted TradingState UsageError generate_orders open_blocking_executor open_executor
    run_simulated
""".split()


def test_the_public_names_are_these() -> None:
    """`__all__` is what is promised, and every name of it is there."""
    assert sorted(ordersmith.__all__) == sorted(NAMES)
    assert all(hasattr(ordersmith, name) for name in ordersmith.__all__)


def test_importing_it_loads_no_event_loop() -> None:
    """A program that only runs a backtest pays for neither asyncio nor anyio nor trio nor polars."""
    code = "import sys, ordersmith; print(*{'asyncio', 'anyio', 'trio', 'polars'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ""
