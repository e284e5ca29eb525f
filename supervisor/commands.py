"""What the commands do: find what a configuration names, run it or describe it, and say what came of it.

Everything that is wrong is found before a run begins, and is told at once: a ConfigError with one line a problem. What
breaks a run off later costs none of its outputs so far.
"""

from __future__ import annotations

import importlib.util
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from ..actors.errors import ConfigError, DataError, ExecutorFailed, StrategyError
from ..actors.model import Bars, as_datetime
from ..actors.strategy import Strategy
from ..config import InvalidSettings, Problem, Settings, describe, examine
from . import outputs
from .executor import BacktestExecutor, feed_of
from .presenting import Track, print_summary, progress_bar, shortened
from .result import BacktestResult, Summary
from .strategies import load_strategy, traceback_of

if TYPE_CHECKING:
    from ..adapters.bar_feed import BarFeed

LIBRARIES = ("polars", "rich", "empyrical")
NEEDED = {
    "data.path": "a CSV or Parquet file, or a folder of them, relative to the configuration's folder",
    "strategy.path": "file.py:Class, relative to the configuration's folder, or package.module:Class",
}
"""What `ordersmith backtest` cannot do without, though a configuration can: an embedding application hands these over itself."""

INTERRUPTED = 128 + int(signal.SIGINT)


class Found(NamedTuple):
    """What a configuration names, as far as it was found, and everything that is wrong with it."""

    settings: Settings
    strategy: Strategy | None
    feed: BarFeed | None
    problems: list[str]


def find(settings: Settings, noted: Sequence[Problem]) -> Found:
    """Look at the strategy and the data that the settings name, unless what names them is itself wrong."""
    problems = [str(problem) for problem in noted]
    wrong = {problem.path.partition(".")[0] for problem in noted}
    strategy = feed = None
    if settings.strategy.path is not None and "strategy" not in wrong:
        try:
            strategy = load_strategy(settings.strategy.path, settings.strategy.parameters, settings.base)
        except ConfigError as error:
            problems.append(str(error))
    if settings.data.path is not None and "data" not in wrong:
        try:
            feed = feed_of(settings)
        except (ConfigError, DataError) as error:
            problems.append(str(error))
    return Found(settings, strategy, feed, problems)


def _missing(settings: Settings) -> list[str]:
    """Return the paths of what a backtest needs and these settings leave open."""
    given = {"data.path": settings.data.path, "strategy.path": settings.strategy.path}
    return [path for path in NEEDED if given[path] is None]


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _tell(text: str) -> None:
    """Say what is no result on standard error."""
    sys.stderr.write(f"{text}\n")


# --- Backtest ----------------------------------------------------------------------------------------------------------


class Ending(NamedTuple):
    """How a run ended: the exit status, a sentence if it broke off, and the traceback behind that."""

    status: int = 0
    sentence: str = ""
    trace: str = ""


def backtest(config: str, overrides: Sequence[str], *, out: Path | None, as_json: bool) -> int:
    """Run a configuration's strategy through its data. Raises ConfigError for what is wrong before the run begins."""
    # Standard output is the object's alone: what a strategy prints goes elsewhere.
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        strategy, settings, feed = _runnable(config, overrides)
        _tell_all("warning: ", feed.warnings)
        if out is not None:
            outputs.prepare(out)
        interrupt = Interrupt()
        with interrupt, progress_bar(wanted=not as_json) as track:
            executor = BacktestExecutor(settings, strategy=strategy, feed=WatchedFeed(feed, track, interrupt))
            ending = _run(executor)
        result = executor.result()
        written: list[Path] = []
        if out is not None:
            written, ending = _write(out, result, ending, journal_kept=settings.journal.keep == "all")
        summary = result.summary
        _tell_all("warning: ", summary.warnings[len(feed.warnings) :])
    if as_json:
        _say(as_object(summary, ending, written))
    else:
        _say(f"Backtest of {config}{f', broken off on {summary.end}' if ending.status else ''}")
        print_summary(summary)
        _say(_where(out, written))
    sys.stdout.flush()  # what follows is to stand below it
    _tell_all("", filter(None, (ending.trace, ending.sentence)))
    return ending.status


def _runnable(config: str, overrides: Sequence[str]) -> tuple[Strategy, Settings, BarFeed]:
    """Return what a backtest needs, or raise ConfigError with everything that is wrong or missing."""
    absent = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if absent:
        raise ConfigError(f"a backtest needs {', '.join(absent)}: pip install 'ordersmith[backtest]'")
    settings, noted = examine(config, overrides)
    mode = settings.execution.mode
    if mode != "backtest":
        settings, noted = examine(config, [*overrides, "execution.mode=backtest"])
        _tell(f"{config}: execution.mode is {mode}; this is a backtest all the same, nothing is sent to a broker")
    found = find(settings, noted)
    problems = found.problems
    named = {problem.path for problem in noted}
    problems += [
        f"{config}: {path}: null, but a backtest needs one; accepted: {NEEDED[path]}"
        for path in _missing(settings)
        if path not in named and not _unreadable(noted)
    ]
    if problems or found.strategy is None or found.feed is None:
        raise ConfigError("\n".join(problems))
    return found.strategy, settings, found.feed


def _unreadable(noted: Sequence[Problem]) -> bool:
    """Whether the document as a whole could not be read, so that nothing can be said of what is missing in it."""
    return any(not problem.path for problem in noted)


def _run(executor: BacktestExecutor) -> Ending:
    """Run to the end of the data, or to whatever breaks the run off."""
    try:
        executor.run()
    except KeyboardInterrupt:
        return Ending(INTERRUPTED, "Interrupted.")
    except StrategyError as error:
        cause = error.__cause__ or error
        return Ending(1, f"The run broke off: {error}: {cause}", traceback_of(cause))
    except ExecutorFailed as error:
        return Ending(1, f"The run broke off: {error}", _whole(error.__cause__))
    except SystemExit as error:
        return Ending(1, f"The run broke off: the strategy called sys.exit({error.code!r})", traceback_of(error))
    except Exception as error:  # noqa: BLE001 - a defect of ours costs the run, and not what it has done
        return Ending(1, f"The run broke off on a defect of Ordersmith: {error!r}", _whole(error))
    return Ending()


def _whole(error: BaseException | None) -> str:
    return "" if error is None else "".join(traceback.format_exception(error)).rstrip()


def _write(out: Path, result: BacktestResult, ending: Ending, *, journal_kept: bool) -> tuple[list[Path], Ending]:
    try:
        return outputs.write(out, result, journal_kept=journal_kept), ending
    except OSError as error:
        sentence = f"The outputs are not complete: {error.filename or out} cannot be written: {error.strerror}"
        return [], Ending(ending.status or 1, " ".join(filter(None, (ending.sentence, sentence))), ending.trace)


def _where(out: Path | None, written: Sequence[Path]) -> str:
    if out is None:
        return "Orders, fills, equity and journal were not written: --out DIR does that."
    names = [file.name for file in written]
    lacking = [name for name in outputs.FILES if name not in names]
    why = f" Not written: {', '.join(lacking)}, since journal.keep is open." if names and lacking else ""
    return f"Outputs in {out}: {', '.join(names) or 'none'}.{why}"


def as_object(summary: Summary, ending: Ending, written: Sequence[Path]) -> str:
    """Return the summary as one JSON object. Money is a number with all its digits."""
    fields = {
        **msgspec.structs.asdict(summary),
        "finished": ending.status == 0,
        "error": ending.sentence or None,
        "outputs": [str(file) for file in written],
    }
    return msgspec.json.Encoder(decimal_format="number").encode(fields).decode()


def _tell_all(start: str, lines: Iterable[str]) -> None:
    for line in shortened(tuple(lines)):
        _tell(f"{start}{line}")


class Interrupt:
    """Ctrl-C during a run: the first lets the turn end, so that the books are whole, the second stops at once."""

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._ask)

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)


class WatchedFeed:
    """A feed whose steps the progress bar counts, and that raises KeyboardInterrupt between two of them when one was asked for."""

    def __init__(self, feed: BarFeed, track: Track, interrupt: Interrupt) -> None:
        self.symbols = feed.symbols
        self.step_count = feed.step_count
        self.start_ns = feed.start_ns
        self.warnings = feed.warnings
        self._feed = feed
        self._track = track
        self._interrupt = interrupt

    def __iter__(self) -> Iterator[Bars]:
        interrupt = self._interrupt
        for bars in self._track(iter(self._feed), self.step_count):
            if interrupt.asked:
                raise KeyboardInterrupt
            yield bars


# --- Check -------------------------------------------------------------------------------------------------------------


def check(config: str, overrides: Sequence[str]) -> int:
    """Say what would run. Raises ConfigError with everything that is wrong."""
    settings, noted = examine(config, overrides)
    found = find(settings, noted)
    if found.problems:
        raise ConfigError("\n".join(found.problems))
    _say(f"{config}: nothing is wrong.\n")
    for name, value in _described(found):
        _say(f"{name:<10}{value}")
    if not _missing(settings):
        words = ["ordersmith", "backtest", config, *(word for override in overrides for word in ("--set", override))]
        _say(f"{'run it':<10}{shlex.join(words)}")
    defaults = dict(describe(Settings()))
    changed = [(path, value) for path, value in describe(settings) if defaults.get(path) != value]
    _say("\nSettings that differ from their defaults:" if changed else "\nEvery setting has its default.")
    for path, value in changed:
        _say(f"  {path} = {value}")
    return 0


def _described(found: Found) -> Iterator[tuple[str, str]]:
    """Yield what would run, and what is missing for it."""
    settings, mode = found.settings, found.settings.execution.mode
    only = "" if mode == "backtest" else "; this version runs backtests only, `ordersmith backtest` sets the mode aside"
    yield "mode", f"{mode}{only}"
    if found.strategy is not None:
        yield "strategy", f"{settings.strategy.path}"
    if found.feed is not None:
        yield "data", _described_data(found.feed)
        yield from (("warning", line) for line in shortened(found.feed.warnings))
    yield from (
        ("missing", f"{path}: `ordersmith backtest` needs it; accepted: {NEEDED[path]}") for path in _missing(settings)
    )
    if mode != "backtest" and settings.execution.provider == "alpaca":
        yield from (("missing", line) for line in _unset_secrets(settings))


def _described_data(feed: BarFeed) -> str:
    symbols = ", ".join(feed.symbols[:10]) + (f" and {len(feed.symbols) - 10:,} more" if len(feed.symbols) > 10 else "")
    days = f"{as_datetime(feed.start_ns):%Y-%m-%d} to {as_datetime(feed.end_ns):%Y-%m-%d}"
    return f"{symbols}; {feed.sessions:,} sessions from {days}, {feed.bar_count:,} bars"


def _unset_secrets(settings: Settings) -> Iterator[str]:
    for secret in (settings.execution.alpaca.api_key, settings.execution.alpaca.api_secret):
        try:
            secret.reveal()
        except InvalidSettings as error:
            yield str(error)
