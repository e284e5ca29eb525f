"""The benchmark's workloads, on few bars: each does what its reference says, and keeps the records that its figures are of."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
BARS = 400


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        import generate_data
        import measurement

        folder = tmp_path_factory.mktemp("bench")
        data = generate_data.ensure(folder / "bars", BARS)
        yield measurement.Bench(data, folder / "scratch", scale=BARS / 100_000)


@pytest.mark.parametrize("name", ["W0", "W1", "W2", "W3/100", "W4"])
def test_a_workload_does_what_it_is_measured_by(bench: Any, name: str) -> None:
    """Orders, fills and equity are the exact reference's, and the journal holds every record that the orders account for."""
    import measurement
    from workloads import ORDERSMITH, WORKLOADS

    ordersmith = measurement.Candidate(ORDERSMITH, "ordersmith", Path(sys.executable))
    measured = bench.once(WORKLOADS[name], ordersmith)
    assert measured.problem == ""
    assert measured.orders > 0 or name == "W0"
