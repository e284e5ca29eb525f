"""What a configuration that is right still needs before the service can run it."""

from __future__ import annotations

import pytest

from ordersmith.config import load
from ordersmith.supervisor.run_needs import missing_for_run

READY = {
    "execution": {"mode": "paper", "provider": "simulated"},
    "data": {"path": "prices"},
    "strategy": {"path": "hosted.py:Hosted"},
}
DATA = (
    "data.path: found null, but a simulated broker trades at the prices of a file; "
    "accepted: a CSV or Parquet file, or a folder of them, relative to the configuration's folder"
)
STRATEGY = (
    "strategy.path: found null, but a service has orders from its strategy only; "
    "accepted: file.py:Class, relative to the configuration's folder, or package.module:Class"
)
NO_ADAPTER = "execution.provider: found {}, which this version has no adapter for yet; accepted: simulated{}"


@pytest.mark.parametrize(
    ("overrides", "lines"),
    [
        ([], []),
        (["data.path=null"], [DATA]),
        (["data.path=null", "strategy.path=null"], [DATA, STRATEGY]),
        (
            ["execution.mode=backtest"],
            [
                (
                    "execution.mode: found backtest, which `ordersmith backtest` runs; "
                    "accepted by `ordersmith run`: paper, with execution.provider: simulated"
                )
            ],
        ),
        (["execution.provider=ib", "data.path=null"], [NO_ADAPTER.format("ib", "")]),
        (["execution.provider=alpaca"], [NO_ADAPTER.format("alpaca", "")]),
        (
            ["execution={mode: live, provider: alpaca, alpaca: {paper: false}}"],
            [NO_ADAPTER.format("alpaca", ", with execution.mode: paper")],
        ),
    ],
    ids=lambda value: " ".join(value) if value and isinstance(value[0], str) and "=" in value[0] else "",
)
def test_what_is_missing_is_a_line_each(monkeypatch, overrides, lines):
    """Mode, broker, prices and strategy are asked for in these words, and nothing where all is there."""
    monkeypatch.setenv("ALPACA_API_KEY", "key")
    monkeypatch.setenv("ALPACA_API_SECRET", "secret")
    assert missing_for_run(load(READY, overrides)) == lines


def test_keys_are_asked_for_where_they_are_used(monkeypatch):
    """A broker's keys that are not set are named, and another broker needs none."""
    for name in ("ALPACA_API_KEY", "ALPACA_API_SECRET"):
        monkeypatch.delenv(name, raising=False)
    lines = missing_for_run(load(READY, ["execution.provider=alpaca"]))
    assert [line.split(":")[0] for line in lines] == [
        "execution.provider",
        "execution.alpaca.api_key",
        "execution.alpaca.api_secret",
    ]
    assert missing_for_run(load(READY)) == []
