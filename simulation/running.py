"""What `ordersmith simulate` does: one seed to look at, or a storm of many, and what came of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import asdict, replace

from ..actors.errors import ConfigError
from .outcome import Outcome, Total
from .presenting import LAST_EVENTS, Watcher, at_once, failure, failures, summary, watching
from .runs import Run, WorkerLost, Workers, simulate

INTERRUPTED = 130
SEEDS_A_SECOND = 1000
"""How many seeds belong to each second of the clock: a storm that is given no start has seeds that nobody has run."""


class Storm(msgspec.Struct, frozen=True, kw_only=True):
    """Which seeds to run: so many, or new ones for so many seconds. Without a start the clock says where they begin."""

    start: int | None
    seeds: int | None
    seconds: int | None
    hours: int
    profile: str
    faults: tuple[str, ...]


# --- One seed ----------------------------------------------------------------------------------------------------------


def one_seed(run: Run, trace: Path | None, *, as_json: bool) -> int:
    """Run one seed with its events kept, and print what came of it."""
    if trace is not None:
        _write(trace, [])  # that it cannot be written is better known before
    began = time.perf_counter()
    outcome = simulate(run, keep_events=True)
    seconds = time.perf_counter() - began
    if trace is not None:
        _write(trace, outcome.last)
    if as_json:
        _say(_as_json(_fields(run, outcome)))
        return 1 if outcome.violations else 0
    total = Total()
    total.add(outcome)
    _say(f"Seed {run.seed}, profile {run.profile}, {run.hours} simulated hours\n")
    _say(summary(total, seconds, 1, outcome.trace_hash))
    if outcome.violations:
        _say(failure(run, outcome))
    return 1 if outcome.violations else 0


def _write(file: Path, events: Iterable[str]) -> None:
    try:
        with file.open("w", encoding="utf-8") as out:
            out.writelines(f"{event}\n" for event in events)
    except OSError as error:
        text = f"--trace {file}: it cannot be written: {error.strerror}; give a file in a folder that is there"
        raise ConfigError(text) from error


# --- Many seeds --------------------------------------------------------------------------------------------------------


def many_seeds(storm: Storm, processes: int, *, as_json: bool) -> int:
    """Run seeds side by side, and print the sum and what they found."""
    start = int(time.time()) * SEEDS_A_SECOND if storm.start is None else storm.start
    if not as_json:
        _say(f"Storm: seeds from {start} on, {storm.hours} simulated hours each, profile {storm.profile}\n")
        sys.stdout.flush()
    gathered = _Gathered()
    workers = Workers(processes)
    began = time.perf_counter()
    with watching(storm.seconds or storm.seeds or 1) as watcher:
        broken_off = gathered.all(workers, _runs(storm, start), watcher, by_time=storm.seconds is not None)
    seconds = time.perf_counter() - began
    total, found = gathered.total, gathered.found
    if as_json:
        options = {"start": start, "hours": storm.hours, "profile": storm.profile, "only": storm.faults}
        ending = {"finished": not broken_off, "found": [_fields(run, outcome) for run, outcome in found]}
        _say(_as_json({**options, **total.as_fields(seconds), **ending}))
    else:
        _say(summary(total, seconds, workers.count, total.trace_hash))
        if found:
            _say(failures(found))
    return broken_off or (1 if found else 0)


def _runs(storm: Storm, start: int) -> Iterator[Run]:
    """Yield what is to be run; the time is looked at before each."""
    seeds = count(start) if storm.seeds is None else iter(range(start, start + storm.seeds))
    until = time.monotonic() + (storm.seconds or 0)
    for seed in seeds:
        if storm.seconds is not None and time.monotonic() >= until:
            return
        yield Run(seed, storm.profile, storm.hours, storm.faults)


class _Gathered:
    """The sum of what has come so far, and the seeds that found something."""

    def __init__(self) -> None:
        self.total = Total()
        self.found: list[tuple[Run, Outcome]] = []

    def all(self, workers: Workers, runs: Iterable[Run], watcher: Watcher, *, by_time: bool) -> int:
        """Run everything. Return the exit status of what broke it off, 0 if nothing did."""
        began = time.monotonic()
        try:
            for run, outcome in workers.outcomes(runs):
                self._add(run, outcome, watcher)
                watcher.show(time.monotonic() - began if by_time else self.total.seeds, self.total)
        except KeyboardInterrupt:
            watcher.tell("Interrupted. Under way:")
            status = INTERRUPTED
        except WorkerLost:
            watcher.tell(
                "A process of the storm ended: it was killed, memory ran out, or the lines above say why. Under way:"
            )
            status = 1
        else:
            return 0
        for run in workers.under_way:
            watcher.tell(f"  {run.command}")
        return status

    def _add(self, run: Run, outcome: Outcome, watcher: Watcher) -> None:
        self.total.add(outcome)
        if outcome.violations:
            self.found.append((run, outcome))
            watcher.tell(at_once(run, outcome))


# --- Output ------------------------------------------------------------------------------------------------------------


def _fields(run: Run, outcome: Outcome) -> dict[str, Any]:
    """Return an outcome for JSON: with what runs it again, and no more events than a failure shows."""
    last = outcome.last[-LAST_EVENTS:] if outcome.violations else []
    return {"again": run.command, **asdict(replace(outcome, last=last))}


def _as_json(fields: dict[str, Any]) -> str:
    return msgspec.json.encode(fields).decode()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
