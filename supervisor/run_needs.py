"""What `ordersmith run` cannot do without, though a configuration can: an embedding application hands these over itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..actors.errors import ConfigError
from ..config import InvalidSettings, Settings
from .logs import secrets_of
from .price_source import is_live, require_sdk

PROVIDERS: Sequence[str] = ("alpaca", "simulated")
"""The brokers that this version has an adapter for."""

DATA = "a CSV or Parquet file, or a folder of them, relative to the configuration's folder"
STRATEGY = "file.py:Class, relative to the configuration's folder, or package.module:Class"


def missing_for_run(settings: Settings) -> list[str]:
    """Return a line for each thing that a run of these settings still needs; none means that `ordersmith run` can start.

    A line names the setting, what was found, and what would be accepted. The account of live mode is not looked at here:
    see `arming.arm`.
    """
    return [line for need in _NEEDS for line in need(settings)]


def _mode(settings: Settings) -> Iterator[str]:
    if settings.execution.mode == "backtest":
        yield (
            "execution.mode: found backtest, which `ordersmith backtest` runs; "
            "accepted by `ordersmith run`: paper, with execution.provider: simulated or alpaca, and live"
        )


def _provider(settings: Settings) -> Iterator[str]:
    mode, provider = settings.execution.mode, settings.execution.provider
    if mode == "backtest" or provider in PROVIDERS:
        return
    instead = "alpaca" if mode == "live" else " or ".join(PROVIDERS)
    yield f"execution.provider: found {provider}, which this version has no adapter for yet; accepted: {instead}"


def _data(settings: Settings) -> Iterator[str]:
    data = settings.data
    if settings.execution.mode != "backtest" and is_live(settings):
        if not data.symbols:
            yield "data.symbols: found none, but live prices come by symbol; accepted: a list of symbols such as [AAPL, MSFT]"
    elif settings.execution.provider == "simulated" and data.provider == "file" and data.path is None:
        yield f"data.path: found null, but a simulated broker trades at the prices of a file; accepted: {DATA}"


def _strategy(settings: Settings) -> Iterator[str]:
    if settings.strategy.path is None:
        yield f"strategy.path: found null, but a service has orders from its strategy only; accepted: {STRATEGY}"


def _keys(settings: Settings) -> Iterator[str]:
    execution = settings.execution
    if execution.mode == "backtest" or "alpaca" not in (execution.provider, execution.market_data):
        return
    try:
        require_sdk()
    except ConfigError as error:
        yield str(error)
    for secret in secrets_of(settings):
        try:
            secret.reveal()
        except InvalidSettings as error:
            yield str(error)


_NEEDS: Sequence[Callable[[Settings], Iterator[str]]] = (_mode, _provider, _data, _strategy, _keys)
