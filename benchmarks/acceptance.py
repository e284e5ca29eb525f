"""What Ordersmith promises about its speed, as data, and the judgement of one run against it.

Each claim compares CPU costs taken in the same run. A peer that is not installed decides nothing; a wrong result of Ordersmith's own
fails whatever it cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from measurement import Measurement
from workloads import ORDERSMITH, PEERS, SYSTEMS, WORKLOADS

WITH_LIFECYCLE = tuple(peer.name for peer in PEERS if peer.lifecycle)


@dataclass(frozen=True)
class Claim:
    """On `workload` Ordersmith costs at most `limit` times what each of `peers` does (less than that, if `strictly`)."""

    workload: str
    limit: float
    peers: tuple[str, ...]
    strictly: bool = False


CLAIMS = (
    Claim("W0", 1.0, ("backtesting",), strictly=True),
    Claim("W1", 1.0, ("backtesting",), strictly=True),
    Claim("W2", 1.5, ("backtesting",)),
    Claim("W2", 1 / 3, WITH_LIFECYCLE),
    Claim("W4", 1 / 3, WITH_LIFECYCLE),
)
RESTING_LIMIT = 1.2
"""A bar over 10,000 resting orders costs at most so many times one over 100."""


@dataclass(frozen=True)
class Verdict:
    """`passed` is None where there was nothing to compare with."""

    passed: bool | None
    text: str

    def __str__(self) -> str:
        return f"{ {True: 'PASS', False: 'FAIL', None: '  --'}[self.passed] }  {self.text}"


def judge(rows: Sequence[Measurement]) -> Iterator[Verdict]:
    """Yield a verdict on each of Ordersmith's results, then on each claim, as far as their workloads were run."""
    for row in rows:
        if row.candidate.system is ORDERSMITH:
            done = f"{row.orders:,} orders, {row.fills:,} fills, equity {row.equity}, {row.records or 0:,} records"
            label = f"{row.workload.name:9} {row.candidate.label}"
            yield Verdict(
                not row.problem, f"{label} is exact: {done}" if not row.problem else f"{label}: {row.problem}"
            )
    ran = {row.workload.name for row in rows}
    for claim in CLAIMS:
        if claim.workload in ran:
            yield from (judge_claim(claim, peer, rows) for peer in claim.peers)
    if {"W3/100", "W3/10000"} <= ran:
        yield judge_resting(rows)


def judge_claim(claim: Claim, peer: str, rows: Sequence[Measurement]) -> Verdict:
    """Compare Ordersmith with one peer, on the peer's interpreter if Ordersmith ran there, too."""
    title, label = SYSTEMS[peer].title, f"{claim.workload:9}"
    theirs = find(rows, claim.workload, peer)
    if theirs is None:
        return Verdict(None, f"{label} {title} did not run")
    if theirs.cost is None or theirs.problem:
        return Verdict(None, f"{label} {title} has no valid figure: {theirs.problem}")
    ours = baseline(rows, theirs)
    if ours is None or ours.cost is None:
        return Verdict(None, f"{label} Ordersmith has no figure to compare with {title}")
    ratio = ours.cost / theirs.cost
    passed = ratio < claim.limit if claim.strictly else ratio <= claim.limit
    sign = "<" if claim.strictly else "≤"
    unit = f"µs/{WORKLOADS[claim.workload].cost}"
    note = "" if same_python(ours, theirs) else f" (Python {ours.python} against {theirs.python})"
    return Verdict(
        passed,
        f"{label} {ours.cost:.2f} {unit} {sign} {claim.limit:.2f} × {title} {theirs.cost:.2f}: {ratio:.3f}{note}",
    )


def judge_resting(rows: Sequence[Measurement]) -> Verdict:
    """Compare a bar over many resting orders with one over few."""
    few, many = (find(rows, name, ORDERSMITH.name) for name in ("W3/100", "W3/10000"))
    if few is None or many is None or few.cost is None or many.cost is None:
        return Verdict(None, "W3        Ordersmith has no figure")
    ratio = many.cost / few.cost
    text = f"W3        {many.cost:.2f} µs/bar at 10,000 resting ≤ {RESTING_LIMIT} × {few.cost:.2f} at 100: {ratio:.3f}"
    return Verdict(ratio <= RESTING_LIMIT, text)


def find(rows: Sequence[Measurement], workload: str, label: str) -> Measurement | None:
    """Return the row of a workload and a system's label, None if it did not run."""
    return next((row for row in rows if (row.workload.name, row.candidate.label) == (workload, label)), None)


def baseline(rows: Sequence[Measurement], row: Measurement) -> Measurement | None:
    """Return Ordersmith's row that another is compared with: on the same Python where there is one."""
    ours = [one for one in rows if one.workload is row.workload and one.candidate.system is ORDERSMITH]
    return next((one for one in ours if same_python(one, row)), ours[0] if ours else None)


def same_python(one: Measurement, other: Measurement) -> bool:
    return one.python.split(".")[:2] == other.python.split(".")[:2]
