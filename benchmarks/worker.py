"""Run one workload on one system, in that system's own interpreter, and print one line of JSON.

    python benchmarks/worker.py SYSTEM WORKLOAD --bars N --data DIR --scratch DIR

`SYSTEM` names a module with `run(job) -> Outcome`, and with `prepare(job)` where `WORKLOAD` is "prepare".
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
from dataclasses import asdict
from pathlib import Path

from harness import Job
from workloads import ORDERSMITH, WORKLOADS

MARKER = "RESULT "


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system")
    parser.add_argument("workload")
    parser.add_argument("--bars", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    arguments = parser.parse_args()
    module = importlib.import_module(
        "ordersmith_runner" if arguments.system == ORDERSMITH.name else f"peers.{arguments.system}"
    )
    if arguments.workload == "prepare":
        module.prepare(Job(WORKLOADS["W0"], arguments.bars, arguments.data, arguments.scratch))
        return
    job = Job(WORKLOADS[arguments.workload], arguments.bars, arguments.data, arguments.scratch)
    outcome = module.run(job)
    measured = {
        "cpu": job.watch.cpu,
        "wall": job.watch.wall,
        "steady": job.laps.per_bar,
        "process_cpu": job.watch.process_cpu,
        "peak_mb": job.watch.peak_mb,
        "python": platform.python_version(),
    }
    print(MARKER + json.dumps(asdict(outcome) | measured), flush=True)


if __name__ == "__main__":
    main()
