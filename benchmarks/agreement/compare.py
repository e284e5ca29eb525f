"""Compare fills and equity with other backtesters on one script of orders: same bars, costs and slippage off.

    PEERS_HOME=DIR python benchmarks/agreement/compare.py [--seeds N]

Each system runs in a process of its own, a peer in `$PEERS_HOME/NAME/venv` (`install_peers.sh` makes it). Exit status 1 for a
difference of a fill, or of a cent in the equity of any bar.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
PEERS = ("backtrader", "backtesting")
CENT = 0.01


class Outcome(NamedTuple):
    """What one system made of the script: fills by (bar, order) as (quantity, price or None), and the equity of each bar."""

    version: str
    fills: dict[tuple[int, int], tuple[int, float | None]]
    equity: list[float]


def python_of(peer: str) -> Path | None:
    """Return the interpreter that has the peer, None where it is not installed."""
    home = os.environ.get("PEERS_HOME")
    python = Path(home).expanduser() / peer / "venv" / "bin" / "python" if home else None
    return python if python is not None and python.exists() else None


def outcome(system: str, python: Path | str, seed: int) -> Outcome:
    """Run the script of a seed in one system."""
    done = subprocess.run(
        [str(python), str(HERE / f"in_{system}.py"), str(seed)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{system} failed:\n{done.stderr}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    fills = {(bar, number): (quantity, price) for bar, number, quantity, price in told["fills"]}
    return Outcome(told["version"], fills, told["equity"])


def differences(ours: Outcome, theirs: Outcome) -> list[str]:
    """Return what the two do not agree on, a sentence each."""
    found = []
    for bar, number in sorted(ours.fills.keys() | theirs.fills.keys()):
        mine, other = ours.fills.get((bar, number)), theirs.fills.get((bar, number))
        if mine is None or other is None:
            found.append(f"bar {bar}: order {number} fills {'here' if other is None else 'there'} only")
        elif mine[0] != other[0] or (None not in (mine[1], other[1]) and abs(mine[1] - other[1]) >= CENT / 2):
            found.append(f"bar {bar}: order {number} fills {mine} here and {other} there")
    if len(ours.equity) != len(theirs.equity):
        found.append(f"{len(ours.equity)} bars here and {len(theirs.equity)} there")
    found += [
        f"bar {bar}: equity {mine:.4f} here and {other:.4f} there"
        for bar, (mine, other) in enumerate(zip(ours.equity, theirs.equity, strict=False))
        if abs(mine - other) >= CENT / 2
    ]
    return found


def main() -> int:
    """Compare with every peer that is installed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=3, help="scripts to run (default: 3)")
    seeds = range(1, parser.parse_args().seeds + 1)
    found = {peer: python for peer in PEERS if (python := python_of(peer))}
    if not found:
        print(
            f"None of {', '.join(PEERS)} is installed: set PEERS_HOME, then benchmarks/install_peers.sh {' '.join(PEERS)}"
        )
        return 0
    wrong = 0
    for seed in seeds:
        ours = outcome("ordersmith", sys.executable, seed)
        for peer, python in found.items():
            theirs = outcome(peer, python, seed)
            told = differences(ours, theirs)
            wrong += len(told)
            verdict = f"{len(told)} differences" if told else "the same to the cent"
            print(
                f"script {seed}: {len(ours.fills)} fills, {len(ours.equity):,} bars, {peer} {theirs.version}: {verdict}"
            )
            for line in told[:10]:
                print(f"  {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
