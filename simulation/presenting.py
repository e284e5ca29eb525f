"""What a person sees of a storm: the progress bar, the table that sums it up, and a seed that found something."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, TextIO

from ..supervisor.journal_commands import as_time
from .outcome import Outcome, Total, rate
from .runs import Run

if TYPE_CHECKING:
    from rich.progress import Progress

LAST_EVENTS = 100
VIOLATIONS_SHOWN = 10
SEEDS_SHOWN = 5
"""Of how many seeds everything is printed; of the others what runs them again."""

POINTS = ("before", "first effect", "at end", "after")


# --- Progress ----------------------------------------------------------------------------------------------------------


class Watcher:
    """Is told how far a storm has come, and says at once what it finds."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def show(self, done: float, total: Total) -> None:
        """Show how far it is."""

    def tell(self, line: str) -> None:
        """Say something above of what is shown."""
        self._out.write(f"{line}\n")
        self._out.flush()


class Bar(Watcher):
    """Shows it as a bar."""

    def __init__(self, out: TextIO, progress: Progress, name: str, whole: float) -> None:
        super().__init__(out)
        self._progress = progress
        self._task = progress.add_task(name, total=whole, told="")

    def show(self, done: float, total: Total) -> None:
        told = f"{total.hours:,} broker-hours, {total.violations:,} violations"
        self._progress.update(self._task, completed=done, told=told)

    def tell(self, line: str) -> None:
        self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def watching(whole: float) -> Iterator[Watcher]:
    """Draw a progress bar on standard error if that is a terminal and rich is there; `whole` is where it is full."""
    if not sys.stderr.isatty() or find_spec("rich") is None:
        yield Watcher(sys.stderr)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = ("Storm", BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[told]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield Bar(sys.stderr, progress, "Storm", whole)


# --- The table ---------------------------------------------------------------------------------------------------------


def summary(total: Total, seconds: float, workers: int, trace_hash: str) -> str:
    """Write the table that sums up a storm."""
    processes = f"{workers} {'process' if workers == 1 else 'processes'}"
    seeds = f"{total.seeds:,} {'seed' if total.seeds == 1 else 'seeds'}"
    rows = {
        "Broker-hours": f"{total.hours:,}, of {seeds}",
        "Orders": f"{total.orders:,}",
        "Broker events": f"{total.broker_events:,}",
        "Faults": f"{total.faults.total():,}, of {len(+total.faults)} kinds",
        "Crashes": f"{total.crashes.total():,}",
        "Boots": f"{total.boots:,}",
        "Violations": f"{total.violations:,}" if total.violations else "none",
        "Rate": f"{rate(total.hours, seconds):,.0f} broker-hours an hour, {seconds:,.1f} s on {processes}",
        "Trace hash": trace_hash,
    }
    lines = [f"  {name:<14}{value}" for name, value in rows.items()]
    return "\n".join([*lines, *_faults(total.faults), *_crashes(total.crashes)]) + "\n"


def _faults(faults: Mapping[str, int]) -> Iterator[str]:
    if not faults:
        return
    yield "\n  Faults by kind"
    width = max(map(len, faults)) + 2
    for kind, number in sorted(faults.items(), key=lambda item: (-item[1], item[0])):
        yield f"    {kind:<{width}}{number:>10,}"


def _crashes(crashes: Mapping[str, int]) -> Iterator[str]:
    """Write a row for each actor and a column for each point."""
    if not crashes:
        return
    pairs = {tuple(key.partition(" ")[::2]): number for key, number in crashes.items()}
    found = {point for _, point in pairs}
    points = [*(point for point in POINTS if point in found), *sorted(found - set(POINTS))]
    actors = sorted({actor for actor, _ in pairs})
    width = max(map(len, actors)) + 2
    yield "\n  Crashes by actor and point"
    yield f"    {'':<{width}}" + "".join(f"{point:>14}" for point in points)
    for actor in actors:
        yield f"    {actor:<{width}}" + "".join(f"{pairs.get((actor, point), 0):>14,}" for point in points)


# --- What was found ----------------------------------------------------------------------------------------------------


def at_once(run: Run, outcome: Outcome) -> str:
    """Say in a line that a seed found something."""
    return f"seed {run.seed}: {_invariants(outcome)} violated: {run.command}"


def failures(found: list[tuple[Run, Outcome]]) -> str:
    """Write everything about the first seeds that found something, and of the others what runs them again."""
    in_order = sorted(found, key=lambda pair: pair[0].seed)
    told = [failure(run, outcome) for run, outcome in in_order[:SEEDS_SHOWN]]
    told += [at_once(run, outcome) + "\n" for run, outcome in in_order[SEEDS_SHOWN:]]
    return "\n".join(told)


def failure(run: Run, outcome: Outcome) -> str:
    """Write what a seed found, what it ran with, and what happened last."""
    violations = outcome.violations
    lines = [f"Seed {run.seed}: {_invariants(outcome)} violated", f"  again: {run.command} --trace FILE"]
    lines += [f"  {one.invariant} at {as_time(one.at_ns)}: {one.text}" for one in violations[:VIOLATIONS_SHOWN]]
    if len(violations) > VIOLATIONS_SHOWN:
        lines.append(f"  and {len(violations) - VIOLATIONS_SHOWN:,} more")
    if outcome.options:
        lines.append("  options: " + ", ".join(f"{name} {value}" for name, value in outcome.options.items()))
    last = outcome.last[-LAST_EVENTS:]
    if last:
        lines += [f"  the last {len(last)} events:", *(f"    {event}" for event in last)]
    return "\n".join(lines) + "\n"


def _invariants(outcome: Outcome) -> str:
    return ", ".join(dict.fromkeys(one.invariant for one in outcome.violations))
