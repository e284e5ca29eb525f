"""Run the demo and a seed of the storm on every installed Python that we support and compare the trace hashes.

One execution, one trace: the same configuration and seed must give the same hash everywhere. Each interpreter gets an
environment of its own, `.ci-venv-<version>`, made by `make install`, so that this runs what constraints.txt names. The exit
status is 0 when all hashes agree. With one interpreter there is nothing to compare, and the last line says so.

Needs only the standard library: `make trace`, or `python tests/trace_across_pythons.py`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
VERSIONS = ("3.11", "3.12", "3.13")
COMMANDS = (
    ("backtest", "examples/rebalance.yaml", "--json"),
    ("simulate", "--seed", "1", "--hours", "4", "--json"),
)
FROM_A_MAKE_ABOVE = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL"}  # they would hand down its VENV and PYTHON


class Trace(NamedTuple):
    """What one interpreter made of the commands: their hashes, or the reason why there are none."""

    python: str
    hash: str = ""
    failure: str = ""
    seconds: float = 0.0


def main() -> int:
    """Print a table of the traces and return the exit status."""
    traces = []
    for version in VERSIONS:
        interpreter = find_interpreter(version)
        if interpreter is None:
            print(f"{version:<9} not installed", flush=True)
            continue
        trace = run_all(version, interpreter)
        print(f"{trace.python:<9} {trace.hash or 'FAILED'}  {trace.seconds:6.2f} s", flush=True)
        if trace.failure:
            print(trace.failure, file=sys.stderr, flush=True)
        traces.append(trace)
    problem, verdict = judge(traces)
    print(verdict)
    return 1 if problem else 0


def judge(traces: list[Trace]) -> tuple[bool, str]:
    """Return whether something is wrong, and the sentence that says what was found."""
    if not traces:
        return True, f"No Python {', '.join(VERSIONS)} was found."
    failed = [trace.python for trace in traces if trace.failure]
    if failed:
        return True, f"A command failed on Python {', '.join(failed)}."
    hashes = {trace.hash for trace in traces}
    if len(hashes) > 1:
        return True, f"{len(hashes)} different traces: the determinism contract is broken."
    if len(traces) == 1:
        return False, f"Only Python {traces[0].python} is installed: nothing to compare."
    return False, f"One trace on {len(traces)} Pythons."


def find_interpreter(version: str) -> str | None:
    """Return the first interpreter of `version` that runs: on PATH, then among pyenv's, newest first."""
    for candidate in candidates(version):
        probe = _run([candidate, "-c", "import sys; print(sys.executable, *sys.version_info[:2])"])
        if probe.returncode == 0 and probe.stdout.split()[-2:] == version.split("."):
            return probe.stdout.rsplit(maxsplit=2)[0]
    return None


def candidates(version: str) -> Iterator[str]:
    """Yield the paths where an interpreter of `version` may be. A shim on PATH may be there and not run."""
    on_path = shutil.which(f"python{version}")
    if on_path:
        yield on_path
    homes = dict.fromkeys((Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv"), Path.home() / ".pyenv"))
    for home in homes:
        patches = home.glob(f"versions/{version}.*/bin/python")
        yield from map(str, sorted(patches, key=_patch, reverse=True))


def run_all(version: str, interpreter: str) -> Trace:
    """Install the package for `interpreter` and run the commands with it."""
    environment = f".ci-venv-{version}"
    installed = _run(["make", "--no-print-directory", "install", f"VENV={environment}", f"PYTHON={interpreter}"])
    if installed.returncode:
        return Trace(version, failure=installed.stdout + installed.stderr)
    python = ROOT / environment / "bin" / "python"
    full_version = _run([str(python), "-c", "import platform; print(platform.python_version())"]).stdout.strip()
    began, hashes = time.perf_counter(), []
    for command in COMMANDS:
        run = _run([str(python.with_name("ordersmith")), *command])
        seconds = time.perf_counter() - began
        if run.returncode:
            return Trace(full_version, failure=run.stdout + run.stderr, seconds=seconds)
        try:
            hashes.append(json.loads(run.stdout)["trace_hash"])
        except (ValueError, KeyError, TypeError) as error:
            failure = f"no trace_hash in the output ({error!r}):\n{run.stdout[:1000]}"
            return Trace(full_version, failure=failure, seconds=seconds)
    return Trace(full_version, hash=" ".join(hashes), seconds=seconds)


def _patch(interpreter: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in interpreter.parent.parent.name.split(".") if part.isdigit())


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in FROM_A_MAKE_ABOVE}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main())
