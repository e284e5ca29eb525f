"""How a program gets an executor: one that is open inside a `with` block, or inside a simulated trio program.

The configuration's mode decides which executor that is, here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from ..actors.errors import ConfigError, UsageError
from ..actors.strategy import Strategy
from ..config import Settings
from .arming import arm
from .blocking import BlockingExecutor
from .executor import BacktestExecutor, load_settings
from .strategies import load_strategy

if TYPE_CHECKING:
    from .blocking_live import BlockingLiveExecutor
    from .live_executor import LiveExecutor
    from .simulated_time import SimulatedExecutor

Config = str | PathLike[str] | Mapping[str, Any] | Settings
Kind = TypeVar("Kind", bound=BacktestExecutor)
T = TypeVar("T")

BACKTEST = "backtest"


def make_backtest(
    kind: type[Kind], config: Config, strategy: Strategy | None, data: Any, live: str | None = None
) -> Kind:
    """Return the backtest of a configuration, with the strategy that is handed over or else the one that it names.

    Raises ConfigError or DataError.
    """
    settings = config if isinstance(config, Settings) else load_settings(config)
    arm(settings, live)
    mode = settings.execution.mode
    if mode != BACKTEST:
        raise ConfigError(
            f"execution.mode: {mode} runs in real time; accepted here: {BACKTEST}. "
            "BacktestExecutor(config) and `ordersmith backtest` set the mode aside"
        )
    named = settings.strategy
    if strategy is None and named.path is not None:
        strategy = load_strategy(named.path, named.parameters, settings.base)
    return kind(settings, strategy=strategy, data=data)


def _make_backtest(settings: Settings, strategy: Strategy | None, data: Any, live: str | None) -> BacktestExecutor:
    return make_backtest(BacktestExecutor, settings, strategy, data, live)


def _make_live(settings: Settings, strategy: Strategy | None, data: Any, live: str | None) -> LiveExecutor:
    from .live_executor import LiveExecutor  # it needs an event loop's library, and a backtest does without

    return LiveExecutor(settings, strategy=strategy, data=data, live=live)


MODES: Mapping[str, Callable[[Settings, Strategy | None, Any, str | None], BacktestExecutor | LiveExecutor]] = {
    BACKTEST: _make_backtest,
    "paper": _make_live,
    "live": _make_live,
}
"""Which executor each mode has."""


def make(config: Config, strategy: Strategy | None, data: Any, live: str | None) -> BacktestExecutor | LiveExecutor:
    """Return the executor of a configuration, not opened yet. Raises ConfigError or DataError."""
    settings = config if isinstance(config, Settings) else load_settings(config)
    return MODES[settings.execution.mode](settings, strategy, data, live)


class _Opening:
    """What both `with` blocks share: one executor, made on entry."""

    def __init__(
        self, config: Config, *, strategy: Strategy | None = None, data: Any = None, live: str | None = None
    ) -> None:
        self._terms = (config, strategy, data, live)
        self._executor: Any = None

    def _make(self) -> BacktestExecutor | LiveExecutor:
        if self._executor is not None:
            raise UsageError("this executor was opened already; call the function again for another one")
        self._executor = executor = make(*self._terms)
        return executor


def _close(executor: BacktestExecutor, error: BaseException | None) -> None:
    """End a backtest; what goes wrong then does not hide why it was left."""
    try:
        executor.close(broken=error is not None)
    except Exception as failure:
        if error is None:
            raise
        error.add_note(f"Then the executor did not stop in order: {failure!r}")


class open_executor(_Opening):  # noqa: N801 - read as what it does, like the context managers of contextlib
    """`async with open_executor("config.yaml") as executor:`, on asyncio and on trio.

    `config` is a file, a mapping of the same form, or Settings; `strategy` is hosted instead of the one that it names;
    `data` replaces the data that it names, see `BacktestExecutor`; `live` is the account's id, which live mode is armed
    with. The mode decides what the executor is: a BacktestExecutor, or a LiveExecutor for paper and live. Entering raises
    ConfigError, DataError or JournalError. After the block every call raises ExecutorClosed; a backtest's `result()` stays.

    However the block is left, the executor is stopped in order: what is on its way to the journal gets there, and with
    `service.on_stop` open orders are left, cancelled, or all positions closed, within `service.stop_within`. If paper or
    live trading fails for good, the body is cancelled and ExecutorFailed leaves the block.
    """

    async def __aenter__(self) -> BacktestExecutor | LiveExecutor:
        executor = self._make()
        return executor if isinstance(executor, BacktestExecutor) else await executor.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        executor = self._executor
        if isinstance(executor, BacktestExecutor):
            _close(executor, error)
            return None
        left: bool = await executor.__aexit__(kind, error, trace)
        return left


class open_blocking_executor(_Opening):  # noqa: N801 - see above
    """`with open_blocking_executor("config.yaml") as executor:`: the same without `await`. See `open_executor`.

    A backtest runs in the caller's thread. Paper and live trading runs in a thread of its own and may be called from any
    other that has no event loop.
    """

    def __enter__(self) -> BlockingExecutor | BlockingLiveExecutor:
        executor = self._make()
        if isinstance(executor, BacktestExecutor):
            return BlockingExecutor(executor)
        from .blocking_live import BlockingLiveExecutor

        self._executor = blocking = BlockingLiveExecutor(executor)
        return blocking.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(self._executor, BacktestExecutor):
            _close(self._executor, error)
        else:
            self._executor.close(error)


def run_simulated(
    main: Callable[[SimulatedExecutor], Awaitable[T]],
    config: Config,
    *,
    strategy: Strategy | None = None,
    data: Any = None,
) -> T:
    """Run `await main(executor)` with trio on the clock of a backtest and return what it returns.

    `trio.sleep`, timeouts and `trio.current_time()` (seconds since 1970) follow the data: time passes only when all
    tasks wait, up to the earliest deadline or the end of the next bars, and at one instant the exchange comes first.
    With one task that uses the executor a run is the same every time; several that wake at one instant do so in trio's
    order, which is random.

    Raises what `main` raises; DataEnded if it still waits when the data are over; StrategyError and ExecutorFailed as
    `BacktestExecutor.run` does; UsageError if it waits for a thread or a socket, for which this time means nothing.
    """
    try:
        from .simulated_time import SimulatedExecutor, simulate
    except ModuleNotFoundError as error:
        raise ConfigError(f"run_simulated: {error}; it runs on trio: pip install 'ordersmith[trio]'") from error
    executor = make_backtest(SimulatedExecutor, config, strategy, data)
    return simulate(main, executor)
