"""Plants one bug after the other in the product, and lets the storm look for each.

    python tests/kit/storm_mutants.py [MUTANT ...] [--hours 1000] [--seed 1] [--workers 2] [--list]

A bug is caught when the oracle finds a violation in a seed in which it finds none without the bug. An exception is none: a storm
that only breaks off proves nothing about the oracle. The exit status is 1 if one is not caught within so many broker-hours.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterable
from multiprocessing import get_context
from typing import NamedTuple

import storm_mutants_account  # noqa: F401 - each enters its bugs
import storm_mutants_orders  # noqa: F401
import storm_mutants_process  # noqa: F401
from storm_mutants_planting import MUTANTS, Mutant, planted, weather

from ordersmith.simulation.faults import Fault
from ordersmith.simulation.outcome import Outcome
from ordersmith.simulation.runs import BROKEN_OFF, Run, simulate

HOURS = 4
MOST_HOURS = 1_000


class Hunt(NamedTuple):
    """What came of looking for a bug.

    `caught_by` are the invariants that did not hold, none if it was not caught. `broken_off` seeds ended in an exception, `unsure` ones
    are violated without the bug as well.
    """

    name: str
    caught_by: tuple[str, ...]
    hours: int
    seed: int
    text: str
    broken_off: int
    unsure: int
    seconds: float


def hunt(name: str, most_hours: int, first_seed: int) -> Hunt:
    """Look for one bug, seed after seed."""
    bug, began = MUTANTS[name], time.perf_counter()
    hours = broken_off = unsure = 0
    text = ""
    for seed in range(first_seed, first_seed + most_hours // HOURS):
        hours += HOURS
        outcome = storm_with(bug, seed)
        found = invariants(outcome)
        if BROKEN_OFF in found:
            broken_off += 1
            text = text or outcome.violations[-1].text.splitlines()[-1]
        found = tuple(each for each in found if each != BROKEN_OFF)
        if found and storm(bug, seed).violations:
            unsure += 1  # the product has a bug of its own there
        elif found:
            first = next(each for each in outcome.violations if each.invariant != BROKEN_OFF)
            seconds = time.perf_counter() - began
            return Hunt(name, found, hours, seed, f"{first.invariant}: {first.text}", broken_off, unsure, seconds)
    return Hunt(name, (), hours, 0, text, broken_off, unsure, time.perf_counter() - began)


def storm(bug: Mutant, seed: int) -> Outcome:
    """Run a seed of the storm that shows a bug, without it."""
    with weather(bug):
        return simulate(Run(seed, bug.profile, HOURS, tuple(Fault[name].value for name in bug.faults)))


def storm_with(bug: Mutant, seed: int) -> Outcome:
    """Run a seed with a bug."""
    with planted(bug):
        return storm(bug, seed)


def invariants(outcome: Outcome) -> tuple[str, ...]:
    """Return which invariants did not hold, the first one first."""
    return tuple(dict.fromkeys(each.invariant for each in outcome.violations))


# --- Many ------------------------------------------------------------------------------------------------------------


def _hunt(task: tuple[str, int, int]) -> Hunt:
    return hunt(*task)


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def hunts(names: Iterable[str], most_hours: int, first_seed: int, workers: int) -> Iterable[Hunt]:
    """Yield what came of each bug, as it comes."""
    tasks = [(name, most_hours, first_seed) for name in names]
    if workers == 1:
        yield from map(_hunt, tasks)
        return
    with get_context("spawn").Pool(workers, _begin) as pool:
        yield from pool.imap_unordered(_hunt, tasks)


def row(found: Hunt) -> str:
    """Return a line of the table."""
    what = ", ".join(found.caught_by) or (f"{BROKEN_OFF} only ({found.broken_off})" if found.broken_off else "SURVIVES")
    if found.unsure:
        what += f" ({found.unsure} unsure)"
    seed = found.seed or "-"
    return (
        f"{found.name:<42} {what:<20} {found.hours:>6} {seed:>6} {found.seconds:>7.1f}  {MUTANTS[found.name].meaning}"
    )


def main() -> int:
    """Hunt the bugs that the command line names, all of them without names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mutants", nargs="*", metavar="MUTANT", help="names of bugs; all without any")
    parser.add_argument("--hours", type=int, default=MOST_HOURS, help="broker-hours after which a bug survives")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--texts", action="store_true", help="show what was seen")
    parser.add_argument("--list", action="store_true", help="show the bugs and what they are")
    asked = parser.parse_args()
    unknown = [name for name in asked.mutants if name not in MUTANTS]
    if unknown:
        parser.error(f"{', '.join(unknown)}: no such mutant; --list shows them")
    names = asked.mutants or list(MUTANTS)
    if asked.list:
        sys.stdout.writelines(f"{name:<42} {MUTANTS[name].meaning}\n" for name in names)
        return 0
    sys.stdout.write(f"{'mutant':<42} {'caught by':<20} {'hours':>6} {'seed':>6} {'seconds':>7}  what it is\n")
    alive = []
    for found in hunts(names, asked.hours, asked.seed, asked.workers):
        sys.stdout.write(row(found) + "\n")
        if asked.texts or not found.caught_by:
            sys.stdout.write(f"    {found.text}\n")
        sys.stdout.flush()
        if not found.caught_by:
            alive.append(found.name)
    sys.stdout.write(f"\n{len(names) - len(alive)} of {len(names)} mutants are caught")
    sys.stdout.write(f"; {', '.join(sorted(alive))} survive\n" if alive else "\n")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
