"""Where the prices of a run come from."""

from __future__ import annotations

from datetime import date

import polars
import pytest

from ordersmith.actors.errors import ConfigError
from ordersmith.config import load
from ordersmith.supervisor import price_source
from ordersmith.supervisor.price_source import LivePrices, access_of, feed_of, is_live, lacks_past, past_prices


@pytest.mark.parametrize(
    ("overrides", "live"),
    [
        ([], False),
        (["execution.mode=paper", "execution.provider=simulated"], False),
        (["execution.mode=paper"], True),
        (["execution.mode=paper", "execution.provider=simulated", "execution.market_data=alpaca"], True),
        (["execution.market_data=alpaca"], False),
        (["execution={mode: live, alpaca: {paper: false}}"], True),
    ],
)
def test_live_prices_are_those_of_a_brokers_stream(overrides, live):
    """A backtest and the local paper broker live on past prices, unless the latter is told to take live ones."""
    assert is_live(load({}, overrides)) is live


@pytest.mark.parametrize(
    ("overrides", "path"),
    [
        ([], "data.path"),
        (["data.path=x"], ""),
        (["data.provider=alpaca"], "data.symbols"),
        (["data.provider=alpaca", "data.symbols=[A]"], "data.start"),
        (["data.provider=alpaca", "data.symbols=[A]", "data.start=2024-01-02"], ""),
    ],
)
def test_the_setting_that_past_prices_lack_is_named(overrides, path):
    """A file needs its path, a broker's history its symbols and its start."""
    assert lacks_past(load({}, overrides)) == path


def test_a_live_system_is_given_its_symbols_and_no_bars():
    """The feed of live trading has symbols and nothing to iterate over."""
    feed = feed_of(load({}, ["execution.mode=paper", "data.symbols=[AAPL, MSFT]"]))
    assert isinstance(feed, LivePrices)
    assert (feed.symbols, list(feed)) == (("AAPL", "MSFT"), [])


@pytest.mark.parametrize(
    ("overrides", "base", "stream"),
    [
        ([], "https://paper-api.alpaca.markets", "wss://paper-api.alpaca.markets/stream"),
        (["execution.alpaca.paper=false"], "https://api.alpaca.markets", "wss://api.alpaca.markets/stream"),
        (
            ["execution.alpaca.base_url=http://127.0.0.1:1"],
            "http://127.0.0.1:1",
            "wss://paper-api.alpaca.markets/stream",
        ),
    ],
)
def test_addresses_are_alpacas_own_unless_given(overrides, base, stream):
    """Paper and live have addresses of their own, and each can be set by itself."""
    found = access_of(load({}, overrides))
    assert (found.base_url, found.stream_url) == (base, stream)
    assert found.data_stream_url == "wss://stream.data.alpaca.markets/v2/iex"


def test_a_missing_sdk_is_a_sentence_with_the_command(monkeypatch):
    """Without the SDK installed the error says what to install."""
    monkeypatch.setattr(price_source, "find_spec", lambda name: None)
    with pytest.raises(price_source.ConfigError, match=r"pip install 'ordersmith\[alpaca\]'"):
        access_of(load({}))


def test_a_backtest_whose_bars_are_in_the_cache_needs_neither_keys_nor_sdk(tmp_path, monkeypatch):
    """What was read once is read from the disk, on a machine that has neither; what was not says what it lacks."""
    folder = tmp_path / "cache/alpaca/iex/1Day/split/2024-03-04_2024-03-08"
    folder.mkdir(parents=True)
    days = [date(2024, 3, day) for day in (4, 5, 6)]
    prices = {name: [10.0, 11.0, 12.0] for name in ("open", "high", "low", "close", "volume")}
    polars.DataFrame({"time": days, **prices}).write_parquet(folder / "A.parquet")
    for name in ("ALPACA_API_KEY", "ALPACA_API_SECRET"):
        monkeypatch.delenv(name, raising=False)
    data = {"provider": "alpaca", "symbols": ["A"], "start": "2024-03-04", "end": "2024-03-08"}
    settings = load({"data": {**data, "cache": str(tmp_path / "cache")}})
    other = load({"data": {**data, "symbols": ["A", "B"], "cache": str(tmp_path / "cache")}})
    with pytest.raises(ConfigError, match="ALPACA_API_KEY"):
        past_prices(other)
    monkeypatch.setattr(price_source, "find_spec", lambda name: None)
    assert past_prices(settings).bar_count == 3
    with pytest.raises(ConfigError, match="pip install"):
        past_prices(other)
