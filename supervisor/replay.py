"""Replay: a fresh core, fed with the inputs of a recorded session, must record what the journal of that session has.

The hosted strategies run again; ports do not, what they said is among the inputs. Every record is compared with the journal's
of that number, byte for byte, at the end of the tick that made it. The first difference ends the replay: what comes after one
says nothing.
"""

from __future__ import annotations

import hashlib
import platform
import traceback
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ..actors.errors import ConfigError, JournalError
from ..actors.strategy import Strategy
from ..adapters.input_codec import UnknownType
from ..adapters.io_actor import IoActor
from ..adapters.journal_format import Head
from ..adapters.journal_problems import JournalFault
from ..adapters.journal_reader import JournalReader
from ..adapters.record_codec import decode_record
from .backlog import Backlog, paced
from .cell import Cell
from .commit import ENCODER
from .core import Core
from .input_log import Beginning, InputLogReader, StrategySource, Tick, source_digest
from .inputs import Committed
from .prices import Prices
from .recovery import Memory, state_format
from .strategies import load_strategy
from .tree import Plan

SNAPSHOT_EVERY = 20_000


class Difference(NamedTuple):
    """Where a replay and the journal part: record `number`, made or missing in a tick. A record that is not there is None."""

    number: int
    tick: Tick
    journal: bytes | None
    replay: bytes | None
    text: str


class Outcome(NamedTuple):
    """What a replay found. `trace_hash` is that of the session if there is no difference; `notes` are what a person should know."""

    boot: int
    records: int
    ticks: int
    trace_hash: str
    difference: Difference | None
    notes: tuple[str, ...]


def replay(
    log: Path,
    journal: Path,
    *,
    strategies: Mapping[str, Strategy] | None = None,
    strategy_path: str | None = None,
    any_version: bool = False,
) -> Outcome:
    """Run the session of an input log again, and compare it with the journal.

    `strategies` are those that a host handed over, by name, fresh ones; `strategy_path` is where the one that the settings
    named lies now, where it was is the default. `any_version` also takes a log of other code than this.

    Raises JournalError for a log or a journal that cannot be read, or that do not belong together, and ConfigError for a strategy that
    cannot be made.
    """
    with InputLogReader(log) as logged, JournalReader(journal) as reader:
        _check_version(logged, any_version=any_version)
        _check_journal(logged, reader)
        try:
            beginning, ticks = logged.read()
            hosted, notes = _hosted(beginning.strategies, strategies or {}, strategy_path)
            session = _Replay(logged, beginning, reader, hosted)
            difference = session.run(ticks)
        except (UnknownType, msgspec.MsgspecError) as error:
            raise JournalError(f"{log}: it cannot be read: {error}") from error
        return Outcome(
            logged.header.boot,
            session.compared - logged.header.after,
            session.ticks,
            session.digest.hexdigest(),
            difference,
            (*_notes(logged), *notes, *session.notes),
        )


# --- Before ------------------------------------------------------------------------------------------------------------


def _check_version(logged: InputLogReader, *, any_version: bool) -> None:
    header = logged.header
    if header.state_format != state_format() and not any_version:
        raise JournalError(
            f"{logged.path}: Ordersmith {header.ordersmith} recorded it, with code {header.state_format}; this is other code, "
            f"{state_format()}, which may decide otherwise. Use the version that recorded it, or --any-version"
        )


def _check_journal(logged: InputLogReader, reader: JournalReader) -> None:
    header = logged.header
    begin = Head(header.after, header.link)
    if not (reader.header.link == begin.link if begin.number == 0 else reader.has(begin)):
        raise JournalError(
            f"{logged.path}: it is of another journal than {reader.path}: boot {header.boot} began after {begin}, "
            "through which this one does not go; name the journal that it lay beside"
        )


def _notes(logged: InputLogReader) -> Iterator[str]:
    header = logged.header
    if header.state_format != state_format():
        yield f"Ordersmith {header.ordersmith} recorded it, with other code ({header.state_format}, this is {state_format()})"
    if header.python.split(".")[:2] != platform.python_version().split(".")[:2]:
        yield f"Python {header.python} recorded it, this is {platform.python_version()}"


def _hosted(
    sources: tuple[StrategySource, ...], handed_over: Mapping[str, Strategy], path: str | None
) -> tuple[tuple[tuple[str, Strategy], ...], list[str]]:
    """Make the strategies anew, and say which are not what they were."""
    hosted, notes = [], []
    for source in sources:
        strategy = handed_over.get(source.name) or _loaded(source, path)
        if source_digest(type(strategy)) != source.digest:
            notes.append(f"the file of the strategy {source.kind} has changed since")
        hosted.append((source.name, strategy))
    return tuple(hosted), notes


def _loaded(source: StrategySource, path: str | None) -> Strategy:
    if path is None and source.path is None:
        raise ConfigError(
            f"the strategy {source.kind} was handed over by a program, not loaded from a file; say where it is: "
            "--strategy file.py:Class, or replay(..., strategies={...})"
        )
    base = Path.cwd() if path is not None else Path(source.base)
    return load_strategy(path or source.path or "", source.parameters, base)


# --- Replay ------------------------------------------------------------------------------------------------------------


class _Replay:
    """One core, and the records that the journal has of its session."""

    def __init__(
        self,
        logged: InputLogReader,
        beginning: Beginning,
        reader: JournalReader,
        hosted: tuple[tuple[str, Strategy], ...],
    ) -> None:
        header = logged.header
        self.compared = header.after
        self.ticks = 0
        self.digest = hashlib.sha256()
        self.notes: list[str] = []
        self._broken_off = ""
        self._logged = logged
        self._beginning = beginning
        self._after = header.after
        self._end = _end_of(reader, header.boot)
        self._expected = islice(reader.read(header.after), self._end - header.after)
        self._reader = reader
        self._core = self._made(hosted, header.seed)

    def _made(self, hosted: tuple[tuple[str, Strategy], ...], seed: int) -> Core:
        terms = self._beginning.plan

        def plan_of(prices: Prices, backlog: Backlog) -> Plan:
            made = {
                "port": IoActor if terms["port"] else None,
                "feed": IoActor if terms.get("feed") else None,
                "backlog": paced(backlog, *terms["backlog"]) if terms["backlog"] else None,
            }
            return Plan(**(terms | made), market=prices.known, shown=prices.shown, strategies=hosted)

        core = Core(plan_of, _NoStore(), seed=seed, last=self._after)
        core.lifecycle.run = _NoTask
        core.dispatcher.ports[f"broker/{core.plan.account}"] = core.dispatcher.ports["store"] = _Nowhere()
        return core

    def _memory(self) -> Memory:
        """Return what the session began with: of its snapshot, if this is the code that made it, else all records."""
        number, states = self._beginning.number, self._beginning.states
        if self._logged.header.state_format != state_format():
            number, states = 0, {}
        records = list(map(decode_record, islice(self._reader.read(number), self._after - number)))
        return Memory(number, states, records, self._history)

    def _history(self, client_order_id: str) -> list[bytes]:
        history = self._reader.history(client_order_id)
        return [data for data in history if decode_record(data).number <= self._after]

    def run(self, ticks: Iterator[Tick]) -> Difference | None:
        """Feed the ticks; return the first difference."""
        beginning, core = self._beginning, self._core
        tick = Tick(0, beginning.now_ns, [])
        difference = self._step(tick, core.begin, beginning.now_ns, beginning.booted, self._memory())
        while difference is None and (following := next(ticks, None)) is not None:
            if self._broken_off:
                return self._differ(tick, None, None, f"is not reached, replay broke off:\n{self._broken_off}")
            tick = following
            self.ticks = tick.number
            difference = self._before(tick) or self._step(tick, core.tick, tick.now_ns, tick.inputs)
            if len(core.dispatcher.log.records) > SNAPSHOT_EVERY:
                core.dispatcher.snapshot()  # so that a long session fits into the memory
        return difference or self._after_all(tick)

    def _before(self, tick: Tick) -> Difference | None:
        """Look whether the store is said to have what replay has not made, or what the journal does not have."""
        committed = max((made.number for made in tick.inputs if type(made) is Committed), default=0)
        if committed > self._end:
            return self._differ(tick, None, None, "was durable in the session, and the journal ends before it")
        if committed > self._core.dispatcher.log.last:
            return self._differ(tick, self._next(), None, "is not made by replay")
        return None

    def _step(self, tick: Tick, act: Callable[..., None], *arguments: Any) -> Difference | None:
        """Have a tick happen, and compare what it recorded."""
        try:
            act(*arguments)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the session may have ended so as well
            self._broken_off = "".join(traceback.format_exception(error)).rstrip()
        log = self._core.dispatcher.log
        for record in islice(log.records, self.compared - log.base, self._end - log.base):
            made = ENCODER.encode(record)
            try:
                expected = self._next()
            except JournalFault as fault:
                return self._differ(tick, None, made, f"cannot be compared: {fault}")
            if made != expected:
                return self._differ(tick, expected, made, "differs")
            self.digest.update(made)
            self.compared += 1
        return None

    def _after_all(self, tick: Tick) -> Difference | None:
        """Judge what is left when the log is over."""
        logged, left = self._logged, self._end - self.compared
        if logged.fault:
            return self._differ(tick, None, None, f"is not reached: {logged.path}: {logged.fault}")
        if left and logged.complete:
            text = (
                f"is not reached, replay broke off:\n{self._broken_off}"
                if self._broken_off
                else "is not made by replay"
            )
            return self._differ(tick, self._next(), None, text)
        if self._broken_off:
            self.notes.append(f"the session broke off in its last tick, as replay does:\n{self._broken_off}")
        if not logged.complete:
            more = f"; {left} more records of the session are not compared" if left else ""
            self.notes.append(f"the log has no end, the session was killed or goes on{more}")
        unsaved = self._core.dispatcher.log.last - self._end
        if unsaved > 0:
            self.notes.append(f"{unsaved} more records were made, and were not durable when the session ended")
        return None

    def _next(self) -> bytes | None:
        return next(self._expected, None)

    def _differ(self, tick: Tick, journal: bytes | None, replayed: bytes | None, text: str) -> Difference:
        return Difference(self.compared + 1, tick, journal, replayed, text)


def _end_of(reader: JournalReader, boot: int) -> int:
    """Return the last record of a boot."""
    found = {each.boot: each.after for each in reader.boots()}
    if boot not in found:
        raise JournalError(f"{reader.path}: the journal knows no boot {boot}; name the journal that the log lay beside")
    return found.get(boot + 1, reader.head().number)


class _NoStore:
    """Takes batches and says nothing: that they are durable is among the inputs."""

    volatile = False

    def append(self, first: int, data: bytes | bytearray, ends: list[int], committed: Callable[[int], None]) -> None:
        pass

    def history(self, client_order_id: str) -> list[bytes]:
        return []

    def read(self, after: int = 0) -> list[bytes]:
        return []


class _Nowhere:
    """A port that nobody listens at: what came of a command is among the inputs."""

    def accept(self, command: Any, cause: int) -> None:
        pass


class _NoTask:
    """What stands for the task of a `run()` actor."""

    def __init__(self, cell: Cell) -> None:
        pass

    def cancel(self) -> None:
        pass
