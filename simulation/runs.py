"""Seeds, run one after the other or side by side in processes of their own.

A process is handed what to run and gives back what came of it; nothing else passes, so where a seed runs makes no difference.
An exception in a run is an outcome like any other: it has a seed that shows it again.
"""

from __future__ import annotations

import gc
import signal
import traceback
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from .faults import Fault
from .outcome import Outcome, Violated

if TYPE_CHECKING:
    from .world import World

BROKEN_OFF = "run"
"""Stands for the invariant where a run ended in an exception."""


class Run(Struct, frozen=True):
    """What is to be run: one seed and what goes with it. `faults` are those to have and no others, unless it is empty."""

    seed: int
    profile: str
    hours: int
    faults: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """The command line that runs it again."""
        only = f" --faults {','.join(spelled(Fault(fault)) for fault in self.faults)}" if self.faults else ""
        return f"ordersmith simulate --seed {self.seed} --profile {self.profile} --hours {self.hours}{only}"


def spelled(fault: Fault) -> str:
    """Write a fault as the command line has it."""
    return fault.name.lower().replace("_", "-")


def simulate(run: Run, *, keep_events: bool = False) -> Outcome:
    """Run one seed in this process."""
    from .world import World  # the whole system

    world: World | None = None
    try:
        world = World(run.seed, run.profile, run.hours, faults=run.faults, keep_events=keep_events)
        return world.run()
    except Exception:  # noqa: BLE001 - it is what the storm looks for
        return _broken_off(run, world, traceback.format_exc().rstrip())


def _broken_off(run: Run, world: World | None, trace: str) -> Outcome:
    """Return what came of a run that ended in an exception; it has not passed its hours."""
    return Outcome(
        seed=run.seed,
        profile=run.profile,
        hours=0,
        orders=0 if world is None else world.watch.orders,
        broker_events=0 if world is None else world.watch.broker_events,
        faults={},
        crashes={},
        boots=0,
        trace_hash="",
        violations=[Violated(BROKEN_OFF, 0 if world is None else world.schedule.now_ns, trace)],
        last=[] if world is None else world.watch.lines(),
        options={} if world is None else world.plan.rates,
    )


class WorkerLost(Exception):
    """A process ended that was running seeds; `Workers.under_way` has them."""


class Workers:
    """Runs seeds side by side. What is under way can be asked for: a seed that never ends is then known by name."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._waiting: dict[Any, Run] = {}

    @property
    def under_way(self) -> list[Run]:
        """What was begun and has not come back, oldest first."""
        return list(self._waiting.values())

    def outcomes(self, runs: Iterable[Run]) -> Iterator[tuple[Run, Outcome]]:
        """Yield what came of each, as it comes. Raises WorkerLost when a process is killed."""
        return self._here(runs) if self.count == 1 else self._side_by_side(iter(runs))

    def _here(self, runs: Iterable[Run]) -> Iterator[tuple[Run, Outcome]]:
        for run in runs:
            self._waiting[run] = run
            outcome = simulate(run)
            del self._waiting[run]
            yield run, outcome

    def _side_by_side(self, runs: Iterator[Run]) -> Iterator[tuple[Run, Outcome]]:
        pool = ProcessPoolExecutor(self.count, get_context("spawn"), initializer=_begin)
        waiting: dict[Future[Outcome], Run] = {}
        self._waiting = waiting
        try:
            while True:
                # One more than there are processes: the next is at hand when one is done, and few are left when time is up.
                for run in islice(runs, self.count + 1 - len(waiting)):
                    waiting[pool.submit(simulate, run)] = run
                if not waiting:
                    return
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in [future for future in waiting if future in done]:
                    outcome = future.result()
                    yield waiting.pop(future), outcome
        except BrokenProcessPool as error:
            raise WorkerLost from error
        finally:
            pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """Make a process ready: Ctrl-C ends it without a word, and the collector need not look at what it imported."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from . import world  # noqa: F401 - once, before the first seed

    gc.freeze()
