"""`ordersmith simulate`: many seeds side by side, or one seed to look at.

Exit status: 0 if every invariant held, 1 if one did not, 2 for wrong usage, 130 for Ctrl-C, which sums up what has run. The
result goes to standard output, everything else to standard error.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..actors.errors import ConfigError

SEEDS = 100
HOURS = 4
START = 0
PROFILE = "storm"

ALONE = ("seeds", "start", "seconds", "workers")
"""What says how many seeds to run, which means nothing for one."""

EPILOG = """\
A broker-hour is one simulated hour of one account: 60 orders or more, 600 events of the broker or more, 20 faults or more. After
the hours the faults end, and everything must come to rest.

exit status:
  0    every invariant held
  1    an invariant did not hold; what runs the seed again is printed
  2    wrong usage
  130  Ctrl-C; what has run is summed up

examples:
  ordersmith simulate                                 100 seeds of 4 hours
  ordersmith simulate --seconds 60                    new seeds for a minute
  ordersmith simulate --seed 17 --trace events.txt    one seed, and every event of it
"""


def add_parser(commands: Any) -> None:
    """Add `simulate` to the subparsers of the command line; it sets `run`, from what was chosen to an exit status."""
    parser = commands.add_parser(
        "simulate",
        help="run the live system under simulated faults and check what must always hold",
        description="Run the live system in simulated time, with a broker, a disk and a process that fail as each seed says, and "
        "check what must always hold.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--seeds", metavar="N", type=_whole(1), help=f"how many seeds (default: {SEEDS})")
    add("--start", metavar="S", type=_whole(0), help=f"the first of them (default: {START}; with --seconds a new one)")
    add(
        "--seconds", metavar="T", type=_whole(1), help="run new seeds until so much time has passed, instead of --seeds"
    )
    add("--hours", metavar="H", type=_whole(1), default=HOURS, help=f"simulated hours of each (default: {HOURS})")
    add(
        "--profile",
        metavar="NAME",
        default=PROFILE,
        help="which faults, how often: calm, broker, process, storm, hurricane",
    )
    add("--faults", metavar="A,B", default="", help="these faults and no others, as answer-lost,killed")
    add("--workers", metavar="N", type=_whole(1), help="how many processes (default: one for each processor)")
    add("--seed", metavar="S", type=_whole(0), help="run this seed alone")
    add("--trace", metavar="FILE", type=Path, help="with --seed: write every event there, one a line")
    add("--json", action="store_true", help="print the result as one JSON object")
    parser.set_defaults(run=run)


def _whole(least: int) -> Callable[[str], int]:
    """Return what reads a whole number from `least` on."""

    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not accepted; give a whole number from {least} on")
        return int(text)

    return read


def run(chosen: argparse.Namespace) -> int:
    """Run what was chosen and print what came of it. Raises ConfigError for wrong usage."""
    _refuse_contradictions(chosen)
    from .running import Storm, many_seeds, one_seed  # the whole system, and `--help` does not need it
    from .runs import Run

    profile, faults = _profile(chosen.profile), _faults(chosen.faults)
    if chosen.seed is not None:
        return one_seed(Run(chosen.seed, profile, chosen.hours, faults), chosen.trace, as_json=chosen.json)
    storm = Storm(
        start=START if chosen.start is None and not chosen.seconds else chosen.start,
        seeds=None if chosen.seconds else chosen.seeds or SEEDS,
        seconds=chosen.seconds,
        hours=chosen.hours,
        profile=profile,
        faults=faults,
    )
    return many_seeds(storm, chosen.workers or os.cpu_count() or 1, as_json=chosen.json)


# --- What may be said --------------------------------------------------------------------------------------------------


def _refuse_contradictions(chosen: argparse.Namespace) -> None:
    given = [name for name in ALONE if getattr(chosen, name) is not None]
    if chosen.seed is not None and given:
        raise ConfigError(
            f"--{given[0]} {getattr(chosen, given[0])}: --seed runs one seed alone; leave one of the two out"
        )
    if chosen.seed is None and chosen.trace is not None:
        raise ConfigError(f"--trace {chosen.trace}: only one seed's events are written; say which with --seed S")
    if chosen.seeds is not None and chosen.seconds is not None:
        raise ConfigError(f"--seconds {chosen.seconds}: --seeds says how many already; leave one of the two out")


def _profile(name: str) -> str:
    from .faults import PROFILES

    if name not in PROFILES:
        raise ConfigError(f"--profile {name}: there is no such profile; accepted: {', '.join(PROFILES)}")
    return name


def _faults(text: str) -> tuple[str, ...]:
    """Return the values of the faults that are named, in the order of their table."""
    from .faults import Fault
    from .runs import spelled

    known = {spelled(fault): fault for fault in Fault}
    named = [name.strip().lower().replace("_", "-") for name in text.split(",") if name.strip()]
    for name in named:
        if name not in known:
            raise ConfigError(f"--faults {name}: there is no such fault; accepted: {', '.join(known)}")
    return tuple(fault.value for name, fault in known.items() if name in named)
