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
from .blocking import BlockingExecutor
from .executor import BacktestExecutor, load_settings
from .strategies import load_strategy

if TYPE_CHECKING:
    from .simulated_time import SimulatedExecutor

Config = str | PathLike[str] | Mapping[str, Any] | Settings
Kind = TypeVar("Kind", bound=BacktestExecutor)
T = TypeVar("T")

BACKTEST = "backtest"
"""The modes that work. Paper and live get an executor of their own, and `make` a table by mode."""


def make(kind: type[Kind], config: Config, strategy: Strategy | None, data: Any) -> Kind:
    """Return the executor of a configuration, with the strategy that is handed over or else the one that it names.

    Raises ConfigError or DataError.
    """
    settings = config if isinstance(config, Settings) else load_settings(config)
    mode = settings.execution.mode
    if mode != BACKTEST:
        raise ConfigError(
            f"execution.mode: {mode} cannot be opened by this version, which has no broker but the simulated one; "
            f"accepted: {BACKTEST}. BacktestExecutor(config) and `ordersmith backtest` set the mode aside"
        )
    named = settings.strategy
    if strategy is None and named.path is not None:
        strategy = load_strategy(named.path, named.parameters, settings.base)
    return kind(settings, strategy=strategy, data=data)


class _Opening:
    """What both `with` blocks share: one executor, made on entry and closed on the way out."""

    def __init__(self, config: Config, *, strategy: Strategy | None = None, data: Any = None) -> None:
        self._terms = (config, strategy, data)
        self._executor: BacktestExecutor | None = None

    def _open(self) -> BacktestExecutor:
        if self._executor is not None:
            raise UsageError("this executor was opened already; call the function again for another one")
        self._executor = make(BacktestExecutor, *self._terms)
        return self._executor

    def _leave(self, error: BaseException | None) -> None:
        assert self._executor is not None
        try:
            self._executor.close(broken=error is not None)
        except Exception as failure:
            if error is None:
                raise
            error.add_note(f"Then the executor did not stop in order: {failure!r}")


class open_executor(_Opening):  # noqa: N801 - read as what it does, like the context managers of contextlib
    """`async with open_executor("config.yaml") as executor:`, on asyncio and on trio.

    `config` is a file, a mapping of the same form, or Settings; `strategy` is hosted instead of the one that it names;
    `data` replaces the data that it names, see `BacktestExecutor`. Entering raises ConfigError or DataError. After the
    block every call raises ExecutorClosed; `result()` stays. When the body raises or is cancelled, the tree is stopped
    in order.
    """

    async def __aenter__(self) -> BacktestExecutor:
        return self._open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(error)


class open_blocking_executor(_Opening):  # noqa: N801 - see above
    """`with open_blocking_executor("config.yaml") as executor:`: the same without `await`. See `open_executor`."""

    def __enter__(self) -> BlockingExecutor:
        return BlockingExecutor(self._open())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(error)


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
    executor = make(SimulatedExecutor, config, strategy, data)
    return simulate(main, executor)
