"""From a file, a mapping and `--set` to checked `Settings`, or to every problem at once."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from os import PathLike, fspath
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from .backtest_settings import CommissionSettings
from .problems import InvalidSettings, KeyPath, Problem, either, path_text, shown
from .schema import Reader, expanded, section_at
from .settings import Settings
from .yaml_reader import read

_OVERRIDE = "--set"
_NEXT_KEY = re.compile(r'(?:(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<plain>[^."=\s]+))(?P<end>[.=])')
_START_OF_PATH = re.compile(r'[\w."-]*')


def load(source: str | PathLike[str] | Mapping[str, Any], overrides: Sequence[str] = ()) -> Settings:
    """Read settings from a YAML file, or from a mapping of the same form, and check them.

    Each override is `path=value` with a YAML value, as `execution.backtest.slippage=0.001`; a key that contains a point
    is put in quotes (`instruments.symbols."BRK.B".lot=1`), and of two overrides of one path the last counts. Relative
    paths start at the file's folder, for a mapping at the current one.

    Raises `InvalidSettings` with every problem of the file, the overrides and their combination. An unset variable in a
    secret is none: secrets are read when they are used.
    """
    settings, problems = examine(source, overrides)
    if problems:
        raise InvalidSettings(problems)
    return settings


def examine(
    source: str | PathLike[str] | Mapping[str, Any], overrides: Sequence[str] = ()
) -> tuple[Settings, tuple[Problem, ...]]:
    """Do what `load` does, and return the problems with what could be read: a setting with a problem has its default.

    For who looks further than the configuration, at the files that it names; nobody runs settings with a problem.
    """
    loading = _Loading()
    if isinstance(source, Mapping):
        base, tree = Path.cwd(), _copied(source)
    else:
        base, tree = Path(source).absolute().parent, loading.file(source)
    for override in overrides:
        tree = loading.override(tree, override)
    settings = Reader(loading.note).section(Settings, tree, ())
    loading.note_contradictions(settings)
    return msgspec.structs.replace(settings, base=base), tuple(loading.problems)


class _Loading:
    """One call of `load`: where each value came from, and what is wrong."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._wrong: set[KeyPath] = set()
        self._origins: dict[KeyPath, str] = {(): ""}

    def note(self, path: KeyPath, value: object, message: str) -> None:
        """Note a problem at the line of its key, or of the nearest key above it."""
        where = next(self._origins[start] for start in _starts(path) if start in self._origins)
        self._note_at(where, path, value, message)

    def file(self, file: str | PathLike[str]) -> Any:
        """Read a file to plain values, null where it cannot be read."""
        self._origins[()] = name = fspath(file)
        try:
            text = Path(file).read_text(encoding="utf-8")
        except OSError as error:
            self.note((), None, f"cannot be read: {error.strerror}; accepted: the path of a YAML file")
            return None
        except UnicodeDecodeError as error:
            self.note((), None, f"is not UTF-8 text at byte {error.start}")
            return None
        document = read(text)
        self._origins.update({path: f"{name}:{line}" for path, line in document.lines.items()})
        for fault in document.faults:
            column = f":{fault.column}" if fault.column else ""
            self._note_at(f"{name}:{fault.line}{column}", fault.path, None, fault.message)
        return document.value

    def override(self, tree: Any, text: str) -> Any:
        """Put one override into the tree, or note what is wrong with it."""
        path, value_text = _split(text)
        if not path:
            # The value is left out: it may be a secret, and a path has none of the characters that end it here.
            start = _START_OF_PATH.match(text)
            found = shown(start[0] + ("…" if start[0] != text else "") if start else "")
            message = f"found {found}; accepted: path=value, such as execution.backtest.slippage=0.001"
            self.problems.append(Problem(path="", value=None, message=message, where=_OVERRIDE))
            return tree
        document = read(value_text)
        for fault in document.faults:
            self._note_at(_OVERRIDE, (*path, *fault.path), None, fault.message)
        if not document.readable:
            return tree
        for old in [known for known in self._origins if known[: len(path)] == path]:
            del self._origins[old]
        self._origins.update({(*path, *below): _OVERRIDE for below in ((), *document.lines)})
        return self._placed(tree, path, document.value, ())

    def note_contradictions(self, settings: Settings) -> None:
        """Note settings that cannot hold together, unless one of them is wrong by itself."""
        for rule in _CONTRADICTIONS:
            message = rule.message(settings)
            if message and not any(path[: len(wrong)] == wrong for path in rule.paths for wrong in self._wrong):
                # Where the first setting is a default, the line of one that was given helps more.
                given = [self._origins[path] for path in rule.paths if path in self._origins]
                where = given[0] if given else self._origins[()]
                self._note_at(where, rule.paths[0], _at(settings, rule.paths[0]), message)

    def _note_at(self, where: str, path: KeyPath, value: object, message: str) -> None:
        self._wrong.add(path)
        self.problems.append(Problem(path=path_text(path), value=value, message=message, where=where))

    def _placed(self, tree: Any, path: KeyPath, value: Any, above: KeyPath) -> Any:
        if not path:
            return value
        kind = section_at(above)
        if kind is not None and isinstance(tree, (str, int, float, Decimal)):
            tree = expanded(kind, tree) or tree  # the field joins what the plain value stands for
        if tree is not None and not isinstance(tree, dict):
            self.note(above, None, f"is no section, and {_OVERRIDE} {path_text((*above, *path))} needs one here")
            return tree
        key, *rest = path
        return {**(tree or {}), key: self._placed((tree or {}).get(key), tuple(rest), value, (*above, key))}


class _Contradiction(NamedTuple):
    """Settings that must agree; the message, empty when they do, is noted at the first path."""

    paths: tuple[KeyPath, ...]
    message: Callable[[Settings], str]


def _paper_or_live(settings: Settings) -> str:
    execution = settings.execution
    if execution.provider != "alpaca" or execution.mode == "backtest":
        return ""
    paper, needs_paper = execution.alpaca.paper, execution.mode == "paper"
    if paper == needs_paper:
        return ""
    other = "live" if needs_paper else "paper"
    return (
        f"found {shown(paper)}, but execution.mode is {execution.mode}; "
        f"accepted: {shown(needs_paper)}, or execution.mode: {other}"
    )


def _live_somewhere(settings: Settings) -> str:
    if settings.execution.mode != "live" or settings.execution.provider != "simulated":
        return ""
    return "found simulated, but execution.mode is live; accepted: alpaca or ib, or execution.mode: paper"


def _start_before_end(settings: Settings) -> str:
    start, end = settings.data.start, settings.data.end
    if start is None or end is None or start <= end:
        return ""
    return f"found {start}, but data.end is {end}; accepted: a date not after data.end"


def _latency_needs_time(settings: Settings) -> str:
    backtest = settings.execution.backtest
    if backtest.fill != "close" or not (backtest.latency.submit or backtest.latency.cancel):
        return ""
    return "found close, at which an order fills at once, but execution.backtest.latency is not 0; accepted: next_open, or latency: 0"


def _preset_or_numbers(settings: Settings) -> str:
    commission = settings.execution.backtest.commission
    if commission.preset is None or commission == CommissionSettings(preset=commission.preset):
        return ""
    own = [
        key
        for key in ("per_order", "per_share", "fraction", "minimum", "maximum")
        if getattr(commission, key) != getattr(_NO_COMMISSION, key)
    ]
    return f"found {commission.preset}, but {either(own)} is given too; accepted: a preset, or numbers of one's own"


def _maintenance_below_initial(settings: Settings) -> str:
    account = settings.execution.backtest.account
    short = account.short_initial_margin
    initial = account.initial_margin if short is None else min(short, account.initial_margin)
    if account.maintenance_margin <= initial:
        return ""
    return (
        f"found {shown(account.maintenance_margin)}, but an order needs only {shown(initial)} (initial_margin, short_initial_margin): "
        f"it would be followed by a margin call; accepted: a number above 0 and up to {shown(initial)}"
    )


def _extended_hours_of_a_calendar(settings: Settings) -> str:
    if not settings.data.extended_hours or settings.data.calendar is not None:
        return ""
    return "found true, but data.calendar is null, so that nothing tells a session's hours; accepted: false, or a calendar such as XNYS"


def _files_differ(settings: Settings) -> str:
    journal = settings.journal.path
    if settings.resolve(os.path.normpath(journal)) != settings.resolve(os.path.normpath(settings.execution.paper.file)):
        return ""
    return f"found {shown(journal)}, which is execution.paper.file too; accepted: a file of its own"


def _reconnect_after_warning(settings: Settings) -> str:
    watchdog = settings.watchdog
    if watchdog.reconnect_after >= watchdog.loop_lag:
        return ""
    return (
        f"found {shown(watchdog.reconnect_after)}, but watchdog.loop_lag is {shown(watchdog.loop_lag)}; "
        "accepted: a number of seconds not below watchdog.loop_lag"
    )


_NO_COMMISSION = CommissionSettings()
_BACKTEST = ("execution", "backtest")

_CONTRADICTIONS = (
    _Contradiction(
        (("execution", "alpaca", "paper"), ("execution", "mode"), ("execution", "provider")),
        _paper_or_live,
    ),
    _Contradiction((("execution", "provider"), ("execution", "mode")), _live_somewhere),
    _Contradiction((("data", "start"), ("data", "end")), _start_before_end),
    _Contradiction((("data", "extended_hours"), ("data", "calendar")), _extended_hours_of_a_calendar),
    _Contradiction(((*_BACKTEST, "fill"), (*_BACKTEST, "latency")), _latency_needs_time),
    _Contradiction(((*_BACKTEST, "commission", "preset"), (*_BACKTEST, "commission")), _preset_or_numbers),
    _Contradiction((("journal", "path"), ("execution", "paper", "file")), _files_differ),
    _Contradiction((("watchdog", "reconnect_after"), ("watchdog", "loop_lag")), _reconnect_after_warning),
    _Contradiction(
        tuple((*_BACKTEST, "account", key) for key in ("maintenance_margin", "initial_margin", "short_initial_margin")),
        _maintenance_below_initial,
    ),
)


def _split(text: str) -> tuple[KeyPath, str]:
    """Split `path=value`; the path is empty where there is none."""
    keys: list[str] = []
    position = 0
    while match := _NEXT_KEY.match(text, position):
        try:
            keys.append(json.loads(match["quoted"]) if match["quoted"] else match["plain"])
        except ValueError:
            break
        position = match.end()
        if match["end"] == "=":
            return tuple(keys), text[position:]
    return (), ""


def _starts(path: KeyPath) -> Iterator[KeyPath]:
    """Yield the path, then each shorter one above it."""
    for length in range(len(path), -1, -1):
        yield path[:length]


def _copied(value: Any) -> Any:
    return {key: _copied(item) for key, item in value.items()} if isinstance(value, Mapping) else value


def _at(settings: Settings, path: KeyPath) -> object:
    value: Any = settings
    for key in path:
        value = getattr(value, key)
    return value
