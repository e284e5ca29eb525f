"""Compare Ordersmith with other backtesters: CPU time of the same workloads over the same bars, one process each, in one run.

    python benchmarks/run.py [WORKLOAD...] [--systems NAME,...] [--scale X] [--repeat N]

Runs Ordersmith alone, and each peer that has an environment at $PEERS_HOME/NAME/venv. See benchmarks/README.md for how to read the table.
Exit status 1 if Ordersmith is wrong or slower than promised.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import generate_data
from acceptance import baseline, judge
from measurement import Bench, Candidate, Measurement, installed, median
from workloads import SYSTEMS, WORKLOADS, Workload

OUTPUT = Path(__file__).resolve().parent.parent / "bench-out"


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse(argv)
    chosen = [workload for workload in WORKLOADS.values() if selected(workload, arguments.workloads)]
    candidates = [one for one in installed(os.environ.get("PEERS_HOME")) if wanted(one, arguments.systems)]
    if not candidates:
        print(f"none of {arguments.systems} is installed; see benchmarks/README.md", file=sys.stderr)
        return 2
    bench = Bench(generate_data.ensure(), OUTPUT / "scratch", arguments.scale)
    for candidate in candidates:
        progress(f"preparing {candidate.label}")
        bench.prepare(candidate)
    load = os.getloadavg()[0]
    rows = measure(bench, chosen, candidates, arguments.repeat)
    record(rows, scale=arguments.scale, repeat=arguments.repeat, load=round(load, 2))
    print(table(rows))
    print(f"\n{machine()}, load at the start {load:.1f}, scale {arguments.scale:g}, median of {arguments.repeat}\n")
    verdicts = list(judge(rows))
    print("\n".join(map(str, verdicts)))
    return int(any(verdict.passed is False for verdict in verdicts))


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, prog="benchmarks/run.py"
    )
    parser.add_argument(
        "workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(WORKLOADS)}; W3 is both of its own"
    )
    parser.add_argument("--systems", type=names, help=f"of {','.join(SYSTEMS)}; default: all that are installed")
    parser.add_argument("--scale", type=fraction, default=1.0, help="part of the bars to run (default: 1)")
    parser.add_argument("--repeat", type=count, default=1, help="take the median of so many rounds (default: 1)")
    arguments = parser.parse_args(argv)
    known = {*WORKLOADS, *(workload.kind for workload in WORKLOADS.values())}
    for unknown in [name for name in arguments.workloads if name not in known]:
        parser.error(f"unknown workload {unknown!r}; one of {', '.join(sorted(known))}")
    for unknown in [name for name in arguments.systems or () if name.partition("-")[0] not in SYSTEMS]:
        parser.error(f"unknown system {unknown!r}; one of {', '.join(SYSTEMS)}")
    return arguments


def names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def fraction(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and up to 1")
    return value


def count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1")
    return value


def selected(workload: Workload, chosen: Sequence[str]) -> bool:
    return not chosen or workload.name in chosen or workload.kind in chosen


def wanted(candidate: Candidate, chosen: Sequence[str] | None) -> bool:
    return chosen is None or candidate.label in chosen or candidate.system.name in chosen


def measure(
    bench: Bench, workloads: Sequence[Workload], candidates: Sequence[Candidate], repeat: int
) -> list[Measurement]:
    """Run everything in rounds, so that a noisy minute of the machine hits all systems alike, and return the medians."""
    pairs = [
        (workload, candidate)
        for workload in workloads
        for candidate in candidates
        if bench.bars(workload, candidate.system) is not None
    ]
    runs: list[list[Measurement]] = [[] for _ in pairs]
    for turn in range(repeat):
        for (workload, candidate), done in zip(pairs, runs, strict=True):
            progress(f"round {turn + 1} of {repeat}: {workload.name} {candidate.label}")
            done.append(bench.once(workload, candidate))
    progress("")
    return [median(done) for done in runs]


def progress(text: str) -> None:
    """Show what runs now; only where someone looks."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def table(rows: Sequence[Measurement]) -> str:
    """Return the rows as a Markdown table, each cost also as a multiple of Ordersmith's."""
    lines = [
        "| workload | system | Python | bars | orders | µs/bar | µs/order | × Ordersmith | run CPU s | process CPU s | peak MB | result |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|---|",
    ]
    for row in rows:
        name = f"{row.candidate.system.title} {row.version}".strip()
        if not row.bars:
            lines.append(f"| {row.workload.name} | {name} | | | | | | | | | | failed: {row.problem} |")
            continue
        per_bar = row.steady if row.workload.cost == "steady bar" else row.cpu / row.bars
        per_order = row.cpu / row.orders if row.orders and row.workload.cost == "order" else None
        cells = [
            row.workload.name,
            name,
            row.python,
            f"{row.bars:,}",
            f"{row.orders:,}",
            microseconds(per_bar),
            microseconds(per_order),
            multiple(row, rows),
            f"{row.cpu:.2f}",
            f"{row.process_cpu:.2f}",
            f"{row.peak_mb:.0f}",
            row.problem or ("exact" if row.candidate.system.fill else "as expected"),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def microseconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds * 1e6:,.2f}"


def multiple(row: Measurement, rows: Sequence[Measurement]) -> str:
    ours = baseline(rows, row)
    if ours is None or not ours.cost or not row.cost:
        return "–"
    return f"{row.cost / ours.cost:,.2f}"


def record(rows: Sequence[Measurement], **circumstances: float) -> None:
    """Append the rows to bench-out/results.jsonl."""
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with (OUTPUT / "results.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(row.as_json(at=when, machine=machine(), **circumstances) + "\n" for row in rows)


def machine() -> str:
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"


if __name__ == "__main__":
    sys.exit(main())
