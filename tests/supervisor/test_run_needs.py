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
SYMBOLS = "data.symbols: found none, but live prices come by symbol; accepted: a list of symbols such as [AAPL, MSFT]"
NO_ADAPTER = "execution.provider: found ib, which this version has no adapter for yet; accepted: {}"


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
                    "accepted by `ordersmith run`: paper, with execution.provider: simulated or alpaca, and live"
                )
            ],
        ),
        (["execution.provider=ib", "data.symbols=[A]"], [NO_ADAPTER.format("alpaca or simulated")]),
        (["execution={mode: live, provider: ib}", "data.symbols=[A]"], [NO_ADAPTER.format("alpaca")]),
        (["execution.provider=alpaca", "data.path=null"], [SYMBOLS]),
        (["execution.provider=alpaca", "data.symbols=[AAPL]", "data.path=null"], []),
        (["execution.market_data=alpaca", "data.path=null"], [SYMBOLS]),
        (["execution={mode: live, provider: alpaca, alpaca: {paper: false}}", "data.symbols=[AAPL]"], []),
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
    for use in ("execution.provider=alpaca", "execution.market_data=alpaca"):
        lines = missing_for_run(load(READY, [use, "data.symbols=[AAPL]"]))
        assert [line.split(":")[0] for line in lines] == ["execution.alpaca.api_key", "execution.alpaca.api_secret"]
    assert missing_for_run(load(READY)) == []
