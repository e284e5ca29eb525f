"""After a loss of Alpaca's stream: reconciled within seconds, with many open orders, and no new risk before."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

MEASURE = Path(__file__).parents[2] / "benchmarks" / "reconnect.py"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_it_is_reconciled_soon_and_takes_no_risk_before(backend: str) -> None:
    """With 200 open orders a cut stream is made good in under five seconds, and nothing is sent in between."""
    done = subprocess.run(
        [sys.executable, str(MEASURE), "--times", "2", "--backend", backend],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"2 cuts with 200 open orders, .* longest [0-4]\.\d+ s; 0 orders came through", done.stdout)
