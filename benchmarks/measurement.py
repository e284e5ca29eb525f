"""Run workers and keep what they measured."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from reference import expected
from worker import MARKER
from workloads import BARS, ORDERSMITH, PEERS, System, Workload

HERE = Path(__file__).resolve().parent
TIMEOUT_S = 900
FEWEST_BARS = 300
"""However small the scale: W3 needs two laps of 100 bars after its first."""

TOLERANCE = 0.05
TOLERATED_ORDERS = 5
"""How far the order count may be off of a system that skips minutes, and whose fills we therefore do not predict."""


@dataclass(frozen=True)
class Candidate:
    """A system on one interpreter. `label` tells the rows apart when Ordersmith runs on several."""

    system: System
    label: str
    interpreter: Path


def installed(peers_home: str | None) -> list[Candidate]:
    """Return Ordersmith on this interpreter, then whatever `peers_home` has: PEER/venv, and ordersmith-X.Y/venv."""
    found = [Candidate(ORDERSMITH, ORDERSMITH.name, Path(sys.executable))]
    if not peers_home:
        return found
    home = Path(peers_home)
    named = [(ORDERSMITH, folder.name) for folder in sorted(home.glob(f"{ORDERSMITH.name}-*"))]
    named += [(peer, peer.name) for peer in PEERS]
    for system, name in named:
        interpreter = home / name / "venv" / "bin" / "python"
        if interpreter.exists():
            found.append(Candidate(system, name, interpreter.absolute()))
    return found


@dataclass(frozen=True)
class Measurement:
    """Medians of a (workload, system) over its repeats, times in seconds; `problem` says what is wrong with it, "" if nothing is."""

    workload: Workload
    candidate: Candidate
    problem: str = ""
    bars: int = 0
    orders: int = 0
    fills: int = 0
    equity: str = ""
    records: int | None = None
    version: str = ""
    python: str = ""
    cpu: float = 0.0
    wall: float = 0.0
    steady: float | None = None
    process_cpu: float = 0.0
    peak_mb: float = 0.0

    @property
    def cost(self) -> float | None:
        """CPU microseconds a bar or an order, whichever the workload compares; None without a figure."""
        seconds = {
            "bar": self.cpu / self.bars if self.bars else None,
            "order": self.cpu / self.orders if self.orders else None,
            "steady bar": self.steady,
        }[self.workload.cost]
        return None if seconds is None else seconds * 1e6

    def as_json(self, **extra: Any) -> str:
        """Return one line for the results file."""
        own = {name: value for name, value in vars(self).items() if name not in ("workload", "candidate")}
        names = {"workload": self.workload.name, "system": self.candidate.label, "cost_us": self.cost}
        return json.dumps(extra | names | own)


class Bench:
    """Runs (workload, system) pairs, each in a process of its own, over the same bars."""

    def __init__(self, data: Path, scratch: Path, scale: float) -> None:
        self.data = data
        self.scratch = scratch
        self.scale = scale

    def bars(self, workload: Workload, system: System) -> int | None:
        """Return how many bars of each symbol the system gets, None where it does not run the workload."""
        share = system.share(workload)
        return None if share is None else max(round(workload.bars * share * self.scale), FEWEST_BARS)

    def prepare(self, candidate: Candidate) -> None:
        """Let a peer that wants its own copy of the bars ingest them, once. If it cannot, its runs will say so."""
        done = self.folder(candidate) / f"prepared-{self.data.name}"
        if not candidate.system.prepare or done.exists():
            return
        with contextlib.suppress(subprocess.CalledProcessError):
            self.work(candidate, "prepare", BARS)
            done.touch()

    def once(self, workload: Workload, candidate: Candidate) -> Measurement:
        """Run one workload on one system and check what it did against the reference."""
        bars = self.bars(workload, candidate.system)
        assert bars is not None
        try:
            output = self.work(candidate, workload.name, bars)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            return Measurement(workload, candidate, problem=last_words(error))
        (line,) = (line for line in output.splitlines() if line.startswith(MARKER))
        measured = Measurement(workload, candidate, **json.loads(line.removeprefix(MARKER)))
        return with_problem(measured, self.mismatch(measured))

    def mismatch(self, measured: Measurement) -> str:
        """Return how the run differs from the exact reference, "" if it does not."""
        workload, system = measured.workload, measured.candidate.system
        bars = measured.bars // len(workload.symbols)
        right = expected(workload, self.data, bars, system.fill, system.first_bar)
        if right.equity is None:
            off = abs(measured.orders - right.orders) > max(TOLERANCE * right.orders, TOLERATED_ORDERS)
            return f"{measured.orders} orders, expected about {right.orders}" if off else ""
        wrong = []
        if measured.orders != right.orders:
            wrong.append(f"{measured.orders} orders, expected {right.orders}")
        if measured.fills != right.fills:
            wrong.append(f"{measured.fills} fills, expected {right.fills}")
        if Decimal(measured.equity) != right.equity:
            wrong.append(f"equity {measured.equity}, expected {right.equity}")
        return "; ".join(wrong)

    def folder(self, candidate: Candidate) -> Path:
        folder = self.scratch / candidate.label
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def work(self, candidate: Candidate, workload: str, bars: int) -> str:
        """Run a worker and return what it printed."""
        folder = self.folder(candidate)
        arguments = [candidate.system.name, workload, "--bars", str(bars), "--data", self.data, "--scratch", folder]
        finished = subprocess.run(
            [candidate.interpreter, HERE / "worker.py", *arguments],
            cwd=folder,
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=True,
        )
        return finished.stdout


def last_words(error: subprocess.CalledProcessError | subprocess.TimeoutExpired) -> str:
    """Return the last line that a failed worker wrote."""
    if isinstance(error, subprocess.TimeoutExpired):
        return f"not finished after {TIMEOUT_S} s"
    lines = (error.stderr or error.stdout or "").strip().splitlines()
    return lines[-1] if lines else f"exit status {error.returncode}"


def with_problem(measured: Measurement, problem: str) -> Measurement:
    return Measurement(**vars(measured) | {"problem": problem})


def median(repeats: Iterable[Measurement]) -> Measurement:
    """Return the repeats as one measurement; a problem of any of them is the whole's, as is a difference in what they did."""
    runs = list(repeats)
    for run in runs:
        if run.problem:
            return run
    first = runs[0]
    facts = {(run.bars, run.orders, run.fills, run.equity, run.records) for run in runs}
    figures: dict[str, Any] = {
        name: statistics.median(getattr(run, name) for run in runs)
        for name in ("cpu", "wall", "process_cpu", "peak_mb")
    }
    steady = [run.steady for run in runs if run.steady is not None]
    figures["steady"] = statistics.median(steady) if steady else None
    figures["problem"] = "" if len(facts) == 1 else f"repeats differ: {sorted(map(str, facts))}"
    return Measurement(**vars(first) | figures)
