"""What the commands do: find what a configuration names, run it or describe it, and say what came of it.

Everything that is wrong is found before a run begins, and is told at once: a ConfigError with one line a problem. What
breaks a run off later costs none of its outputs so far.
"""

from __future__ import annotations

import importlib.util
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from ..actors.errors import BrokerError, ConfigError, DataError
from ..actors.model import as_datetime
from ..actors.strategy import Strategy
from ..config import Problem, Settings, describe, examine
from . import outputs, paths
from .one_run import INTERRUPTED, Ending, Ran, run_once, where
from .presenting import print_paths, print_summary, reading_bar, shortened
from .price_source import ALPACA, LivePrices, is_live, lacks_past, past_prices
from .result import as_fields
from .run_needs import DATA, STRATEGY, missing_for_run
from .strategies import load_strategy

if TYPE_CHECKING:
    from ..adapters.bar_feed import BarFeed

LIBRARIES = ("polars", "rich", "empyrical")
NEEDED = {
    "data.path": DATA,
    "data.symbols": "a list of symbols such as [AAPL, MSFT]",
    "data.start": "the first session, such as 2024-01-02",
    "strategy.path": STRATEGY,
}
"""What `ordersmith backtest` cannot do without, though a configuration can: an embedding application hands these over itself."""


class Found(NamedTuple):
    """What a configuration names, as far as it was found, and everything that is wrong with it."""

    settings: Settings
    strategy: Strategy | None
    feed: BarFeed | LivePrices | None
    problems: list[str]


def find(settings: Settings, noted: Sequence[Problem], *, remote: bool = True) -> Found:
    """Look at the strategy and the data that the settings name, unless what names them is itself wrong.

    Without `remote` nothing is fetched from a broker.
    """
    problems = [str(problem) for problem in noted]
    wrong = {problem.path.partition(".")[0] for problem in noted}
    strategy = None
    if settings.strategy.path is not None and "strategy" not in wrong:
        try:
            strategy = load_strategy(settings.strategy.path, settings.strategy.parameters, settings.base)
        except ConfigError as error:
            problems.append(str(error))
    feed: BarFeed | LivePrices | None = None
    if is_live(settings):
        feed = LivePrices(settings.data.symbols)
    elif "data" not in wrong and not lacks_past(settings) and (remote or settings.data.provider != ALPACA):
        try:
            with reading_bar() as reading:
                feed = past_prices(settings, reading)
        except (BrokerError, ConfigError, DataError) as error:
            problems.append(str(error))
    return Found(settings, strategy, feed, problems)


def _missing(settings: Settings) -> list[str]:
    """Return the paths of what a backtest needs and these settings leave open."""
    prices = lacks_past(settings)
    return [*([prices] if prices else []), *(["strategy.path"] if settings.strategy.path is None else [])]


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _tell(text: str) -> None:
    """Say what is no result on standard error."""
    sys.stderr.write(f"{text}\n")


# --- Backtest ----------------------------------------------------------------------------------------------------------


def backtest(config: str, overrides: Sequence[str], *, out: Path | None, as_json: bool) -> int:
    """Run a configuration's strategy through its data. Raises ConfigError for what is wrong before the run begins."""
    # Standard output is the object's alone: what a strategy prints goes elsewhere.
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        strategy, settings, feed = _runnable(config, overrides)
        told = tuple(feed.warnings)
        _tell_all("warning: ", told)
        if out is not None:
            outputs.prepare(out)
        ran = run_once(settings, strategy, feed, out=out, progress="" if as_json else "Backtest")
        _tell_all("warning: ", (line for line in ran.warnings if line not in told))
    summary, ending = ran.result.summary, ran.ending
    if as_json:
        _say_object({**as_fields(summary), **_ended(ending, ran.written)})
    else:
        _say(f"Backtest of {config}{f', broken off on {summary.end}' if ending.status else ''}")
        print_summary(summary)
        _say(where(out, ran.written))
    sys.stdout.flush()  # what follows is to stand below it
    _tell_all("", filter(None, (ending.trace, ending.sentence)))
    return ending.status


def compare_paths(config: str, overrides: Sequence[str], *, out: Path | None, as_json: bool) -> int:
    """Run a configuration once for every order in which a bar's prices may have come, and show what depends on it.

    Raises ConfigError for what is wrong before the runs begin.
    """
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        strategy, settings, feed = _runnable(config, overrides)
        told = tuple(feed.warnings)
        _tell_all("warning: ", told)
        folders = {path: None if out is None else out / path for path in paths.PATHS}
        for made in filter(None, folders.values()):
            outputs.prepare(made)
        rans: dict[str, Ran] = {}
        for number, (path, folder) in enumerate(folders.items()):
            if number:
                strategy = _fresh(settings)
            progress = "" if as_json else f"{path:<{max(map(len, folders))}}"
            rans[path] = run_once(paths.on_path(settings, path), strategy, feed, out=folder, progress=progress)
            _tell_all(f"warning: {path}: ", (line for line in rans[path].warnings if line not in told))
            if rans[path].ending.status == INTERRUPTED:
                break
        compared = paths.compare({path: ran.result for path, ran in rans.items()}, feed)
    ending = _ending_of_all(rans)
    if as_json:
        _say_object(
            {**paths.fields_of(compared), **_ended(ending, [file for ran in rans.values() for file in ran.written])}
        )
    else:
        _say(f"Backtest of {config} on {len(rans)} paths through its bars{', broken off' if ending.status else ''}")
        print_paths(compared)
        for path, ran in rans.items():
            _say(where(folders[path], ran.written))
            if out is None:
                break
    sys.stdout.flush()
    _tell_all("", filter(None, (ending.trace, ending.sentence)))
    return ending.status


def _fresh(settings: Settings) -> Strategy:
    """Return the strategy as it is before a run: one that has run remembers."""
    assert settings.strategy.path is not None  # _runnable has found it
    return load_strategy(settings.strategy.path, settings.strategy.parameters, settings.base)


def _ending_of_all(rans: Mapping[str, Ran]) -> Ending:
    """Return the ending of the first run that broke off."""
    return next(
        (
            Ending(ran.ending.status, f"{path}: {ran.ending.sentence}", ran.ending.trace)
            for path, ran in rans.items()
            if ran.ending.status
        ),
        Ending(),
    )


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
    if problems or found.strategy is None or found.feed is None or isinstance(found.feed, LivePrices):
        raise ConfigError("\n".join(problems))
    return found.strategy, settings, found.feed


def _unreadable(noted: Sequence[Problem]) -> bool:
    """Whether the document as a whole could not be read, so that nothing can be said of what is missing in it."""
    return any(not problem.path for problem in noted)


def _ended(ending: Ending, written: Sequence[Path]) -> dict[str, Any]:
    return {
        "finished": ending.status == 0,
        "error": ending.sentence or None,
        "outputs": [str(file) for file in written],
    }


def _say_object(fields: Mapping[str, Any]) -> None:
    """Print one JSON object. Money is a number with all its digits."""
    _say(msgspec.json.Encoder(decimal_format="number").encode(fields).decode())


def _tell_all(start: str, lines: Iterable[str]) -> None:
    for line in shortened(tuple(lines)):
        _tell(f"{start}{line}")


# --- Check -------------------------------------------------------------------------------------------------------------


def check(config: str, overrides: Sequence[str]) -> int:
    """Say what would run. Raises ConfigError with everything that is wrong."""
    settings, noted = examine(config, overrides)
    found = find(settings, noted, remote=False)
    if found.problems:
        raise ConfigError("\n".join(found.problems))
    _say(f"{config}: nothing is wrong.\n")
    for name, value in _described(found):
        _say(f"{name:<10}{value}")
    for command in _commands(settings):
        words = ["ordersmith", command, config, *(word for override in overrides for word in ("--set", override))]
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
    aside = f", at {settings.execution.provider}; `ordersmith backtest` sets the mode aside"
    yield "mode", f"{mode}{'' if mode == 'backtest' else aside}"
    if mode == "live":
        yield "armed", "at every start, by the account's id: ordersmith run CONFIG --live ACCOUNT"
    if found.strategy is not None:
        yield "strategy", f"{settings.strategy.path}"
    if isinstance(found.feed, LivePrices):
        yield (
            "data",
            f"live, from {settings.execution.provider if mode == 'live' else ALPACA}: {_listed(found.feed.symbols)}",
        )
    elif found.feed is None and settings.data.provider == ALPACA and not lacks_past(settings):
        yield "data", f"{_listed(settings.data.symbols)} from Alpaca's history, fetched when it runs"
    elif found.feed is not None:
        yield "data", _described_data(found.feed)
        yield from (("warning", line) for line in shortened(found.feed.warnings))
    needed_to_run = [] if mode == "backtest" else missing_for_run(settings)
    yield from (("missing", line) for line in needed_to_run)
    named = {line.partition(":")[0] for line in needed_to_run}
    for path in _missing(settings):
        if path not in named:
            yield "missing", f"{path}: `ordersmith backtest` needs it; accepted: {NEEDED[path]}"


def _commands(settings: Settings) -> Iterator[str]:
    """Yield the commands that can run these settings as they are, the one for their mode first."""
    if not missing_for_run(settings):
        yield "run"
    if not _missing(settings):
        yield "backtest"


def _described_data(feed: BarFeed) -> str:
    days = f"{as_datetime(feed.start_ns):%Y-%m-%d} to {as_datetime(feed.end_ns):%Y-%m-%d}"
    return f"{_listed(feed.symbols)}; {feed.sessions:,} sessions from {days}, {feed.bar_count:,} bars"


def _listed(symbols: Sequence[str]) -> str:
    return ", ".join(symbols[:10]) + (f" and {len(symbols) - 10:,} more" if len(symbols) > 10 else "")
