"""Past bars from Alpaca: read page for page, kept in files that are complete or not there, and errors that say what to do."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from scripted_alpaca_data import SECRET, scripted_data

from ordersmith.actors.errors import BrokerAuthError, BrokerProtocolError, BrokerUnavailable, ConfigError, DataError
from ordersmith.adapters.alpaca import data_client
from ordersmith.adapters.alpaca.history import alpaca_bars
from ordersmith.adapters.market_data import load_bars
from ordersmith.config.settings import DataSettings

FIRST = date(2024, 3, 4)
TODAY = date(2024, 6, 3)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(data_client, "PAUSES_S", (0.0,))
    with scripted_data() as running:
        yield running


def daily(closes: list[float], first: date = FIRST) -> list[dict[str, Any]]:
    """Bars of successive days, stamped as Alpaca does: midnight in New York."""
    bars = []
    for number, close in enumerate(closes):
        day = first + timedelta(days=number)
        hour = 5 if day < date(2024, 3, 11) else 4
        bars.append({"t": f"{day}T{hour:02}:00:00Z", "o": close, "h": close + 1, "l": close - 1, "c": close, "v": 1000})
    return bars


def minutes(first: datetime, count: int) -> list[dict[str, Any]]:
    return [
        {"t": f"{first + timedelta(minutes=number):%Y-%m-%dT%H:%M:%SZ}", "o": 5, "h": 6, "l": 4, "c": 5, "v": 10}
        for number in range(count)
    ]


def settings(*symbols: str, **options: Any) -> DataSettings:
    return DataSettings(
        **{"provider": "alpaca", "symbols": symbols or ("AAPL",), "start": FIRST, "end": date(2024, 3, 8)} | options
    )


def read(server, cache: Path, *symbols: str, feed: str = "iex", **options: Any):
    return alpaca_bars(server.access(feed), settings(*symbols, **options), cache, today=lambda: TODAY)


def files(cache: Path) -> list[str]:
    return sorted(path.relative_to(cache).as_posix() for path in cache.rglob("*") if path.is_file())


def test_all_pages_of_all_symbols_are_read(server, tmp_path) -> None:
    """Bars are read to the last page, whatever the pages are, and come as sessions in order of time."""
    server.bars = {"AAPL": daily([10, 11, 12, 13, 14]), "MSFT": daily([20, 21, 22, 23, 24])}
    feed = read(server, tmp_path, "MSFT", "AAPL")
    assert feed.symbols == ("MSFT", "AAPL")
    assert [(bars.close("MSFT"), bars.close("AAPL")) for bars in feed] == [(20 + n, 10 + n) for n in range(5)]
    assert [bars.session for bars in feed] == [FIRST.toordinal() - 719163 + n for n in range(5)]
    query = server.asked[0][1]
    assert (query["timeframe"], query["adjustment"], query["feed"]) == ("1Day", "split", "iex")
    assert (query["start"], query["end"]) == ("2024-03-04T05:00:00.000000Z", "2024-03-09T05:00:00.000000Z")


def test_the_range_is_of_sessions_both_included(server, tmp_path) -> None:
    """The day after the last session is not part of the range, though Alpaca includes the instant where it begins."""
    server.bars = {"AAPL": daily([1.5] * 20)}
    feed = read(server, tmp_path, end=date(2024, 3, 14))
    assert feed.sessions == 11


def test_a_second_run_reads_no_network(server, tmp_path) -> None:
    """What is in the cache is not asked for again, and needs no key; the bars are the same."""
    server.bars = {"AAPL": daily([10, 11, 12, 13, 14])}
    first = [dict(bars.rows) for bars in read(server, tmp_path)]
    asked = len(server.asked)
    assert [dict(bars.rows) for bars in read(server, tmp_path)] == first
    assert len(server.asked) == asked
    assert files(tmp_path) == ["alpaca/iex/1Day/split/2024-03-04_2024-03-08/AAPL.parquet"]


def test_a_cached_range_is_a_folder_of_data(server, tmp_path) -> None:
    """The files of a range can be named as data of their own."""
    server.bars = {"AAPL": daily([10, 11, 12, 13, 14])}
    rows = [dict(bars.rows) for bars in read(server, tmp_path)]
    folder = (tmp_path / files(tmp_path)[0]).parent
    assert [dict(bars.rows) for bars in load_bars(folder)] == rows


@pytest.mark.parametrize(
    "change", [{"adjustment": "all"}, {"feed": "sip"}, {"end": date(2024, 3, 7)}, {"start": date(2024, 3, 5)}]
)
def test_other_bars_are_kept_apart(server, tmp_path, change) -> None:
    """Bars of another feed, adjustment or range are asked for anew, and do not touch what is kept."""
    server.bars = {"AAPL": daily([10, 11, 12, 13, 14])}
    read(server, tmp_path)
    before = (tmp_path / files(tmp_path)[0]).read_bytes()
    asked = len(server.asked)
    read(server, tmp_path, **change)
    assert len(server.asked) > asked
    assert len(files(tmp_path)) == 2
    assert before in [(tmp_path / name).read_bytes() for name in files(tmp_path)]


@pytest.mark.parametrize("end", [None, TODAY, TODAY + timedelta(days=30)])
def test_a_range_that_is_not_over_is_not_kept(server, tmp_path, end) -> None:
    """A range that ends today, or nowhere, is asked for each time: today's bars still change."""
    server.bars = {"AAPL": daily([10, 11], TODAY - timedelta(days=1))}
    for _ in range(2):
        assert read(server, tmp_path, start=TODAY - timedelta(days=1), end=end).bar_count == 2
    assert files(tmp_path) == []
    assert len(server.asked) == 2


def test_a_broken_read_leaves_complete_files_only(server, tmp_path) -> None:
    """A read that breaks off in the middle of a symbol keeps nothing of it, and the next one goes on with the rest."""
    server.bars = {
        "AAPL": minutes(datetime(2024, 3, 4, 15, tzinfo=UTC), 5),
        "MSFT": minutes(datetime(2024, 3, 4, 15, tzinfo=UTC), 5),
    }
    options = {"timeframe": "1Min", "end": FIRST}
    good = server._answer

    def break_off(path: str, query: Any) -> Any:
        if query["symbols"] == "MSFT" and "page_token" in query:
            server.answers.extend([(500, {"message": "broken"}, {})] * 4)
        return good(path, query)

    server._answer = break_off
    with pytest.raises(BrokerUnavailable, match="run it again"):
        read(server, tmp_path, "AAPL", "MSFT", **options)
    assert [name.rsplit("/", 1)[-1] for name in files(tmp_path)] == ["AAPL.parquet"]
    server._answer = good
    server.answers.clear()
    del server.asked[:]
    assert read(server, tmp_path, "AAPL", "MSFT", **options).bar_count == 10
    assert {query["symbols"] for _, query in server.asked} == {"MSFT"}


def test_a_full_disk_costs_a_warning_and_leaves_nothing(server, tmp_path, monkeypatch) -> None:
    """The bars are there; no half of a file is left, neither under its name nor under another, and the next run reads again."""
    server.bars = {"AAPL": daily([10, 11])}

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    for asked in (1, 2):
        feed = read(server, tmp_path)
        assert feed.bar_count == 2
        (warning,) = [text for text in feed.warnings if "data.cache" in text]
        assert f"data.cache: {tmp_path} cannot be written: No space left on device" in warning
        assert files(tmp_path) == []
        assert len(server.asked) == asked


def test_a_read_only_disk_costs_a_warning(server, tmp_path, monkeypatch) -> None:
    """A folder that cannot be made for want of a disk to write to keeps nobody from the bars."""
    server.bars = {"AAPL": daily([10, 11])}

    def read_only(path: Path, *_: Any, **__: Any) -> None:
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "mkdir", read_only)
    feed = read(server, tmp_path)
    assert feed.bar_count == 2
    assert any("data.cache" in text and "Read-only" in text for text in feed.warnings)


@pytest.mark.parametrize("below", ["", "folder"])
def test_a_cache_that_is_no_folder_is_told_before_anything_is_read(server, tmp_path, below) -> None:
    """The setting and the path are named, with what to do."""
    server.bars = {"AAPL": daily([10, 11])}
    (tmp_path / "file").touch()
    cache = tmp_path / "file" / below
    with pytest.raises(ConfigError, match=r"data\.cache: .*cannot be used as a folder: .*name a folder") as caught:
        read(server, cache)
    assert str(cache) in str(caught.value)
    assert server.asked == []


def test_a_cache_that_is_not_needed_may_be_no_folder(server, tmp_path) -> None:
    """A range that is not over is not kept, so that nothing is asked of the folder."""
    server.bars = {"AAPL": daily([10, 11], TODAY - timedelta(days=1))}
    (tmp_path / "file").touch()
    assert read(server, tmp_path / "file", start=TODAY - timedelta(days=1), end=None).bar_count == 2


def test_what_is_all_in_the_cache_needs_no_leave_to_read(server, tmp_path) -> None:
    """Whether there are keys is looked at when something is to be read, and not before."""
    server.bars = {"AAPL": daily([10, 11]), "MSFT": daily([20, 21])}

    def no_keys() -> None:
        raise ConfigError("no keys")

    read(server, tmp_path)
    for symbols, is_kept in ((("AAPL",), True), (("AAPL", "MSFT"), False)):
        data = settings(*symbols)
        if is_kept:
            assert alpaca_bars(server.access(), data, tmp_path, today=lambda: TODAY, may_read=no_keys).bar_count == 2
        else:
            with pytest.raises(ConfigError, match="no keys"):
                alpaca_bars(server.access(), data, tmp_path, today=lambda: TODAY, may_read=no_keys)


def test_how_far_a_download_is_only_ever_rises_to_the_whole(server, tmp_path, caplog) -> None:
    """Each page says how much of symbols and time is there, and a line of the log each request; the cache says nothing."""
    first = datetime(2024, 3, 4, 15, tzinfo=UTC)
    server.bars = {"AAPL": minutes(first, 9), "MSFT": minutes(first, 9)}
    options = {"timeframe": "1Min", "end": FIRST}
    caplog.set_level("INFO", "ordersmith")

    def told() -> list[tuple[float, str]]:
        said: list[tuple[float, str]] = []
        data = settings("AAPL", "MSFT", **options)
        alpaca_bars(server.access(), data, tmp_path, today=lambda: TODAY, reading=lambda *each: said.append(each))
        return said

    said = told()
    shares = [share for share, _ in said]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1], len(set(shares))) == (0.0, 1.0, 12)
    assert all(share < 0.5 for share, symbol in said if symbol == "AAPL")
    assert [line.getMessage() for line in caplog.records] == [
        f"1Min bars read from Alpaca: {done} of 2 symbols" for done in (1, 2)
    ]
    assert told() == []


def test_a_damaged_file_is_read_anew(server, tmp_path) -> None:
    """A file in the cache that is no Parquet file counts as missing."""
    server.bars = {"AAPL": daily([10, 11, 12, 13, 14])}
    read(server, tmp_path)
    file = tmp_path / files(tmp_path)[0]
    file.write_bytes(file.read_bytes()[:100])
    assert read(server, tmp_path).bar_count == 5
    assert file.stat().st_size > 100


def test_minute_bars_have_their_hours(server, tmp_path) -> None:
    """With a calendar bars before the open are left out or marked; without one a warning says that they are in."""
    before_open = datetime(2024, 3, 4, 14, 20, tzinfo=UTC)
    server.bars = {"AAPL": minutes(before_open, 20)}
    options = {"timeframe": "1Min", "end": FIRST}
    assert read(server, tmp_path, **options, calendar="XNYS").bar_count == 10
    extended = read(server, tmp_path, **options, calendar="XNYS", extended_hours=True)
    assert [bars.regular for bars in extended] == [False] * 10 + [True] * 10
    plain = read(server, tmp_path, **options)
    assert plain.bar_count == 20
    assert any("data.calendar" in warning for warning in plain.warnings)
    assert not any("data.calendar: None" in warning for warning in extended.warnings)


def test_a_few_bars_have_the_length_that_was_asked_for(server, tmp_path) -> None:
    """What a bar covers is what was asked for, though the bars of a quiet symbol are further apart."""
    server.bars = {"AAPL": minutes(datetime(2024, 3, 4, 15, tzinfo=UTC), 31)[::15]}
    feed = read(server, tmp_path, timeframe="5Min", end=FIRST)
    assert {bars.end_ns - bars.start_ns for bars in feed} == {300 * 10**9}


def test_corporate_actions_come_along(server, tmp_path) -> None:
    """The settings' file of corporate actions is used, relative to the configuration's folder."""
    server.bars = {"AAPL": daily([10, 11, 12, 13, 14])}
    (tmp_path / "actions.csv").write_text("date,symbol,type,amount\n2024-03-06,AAPL,dividend,0.5\n")
    data = settings(corporate_actions="actions.csv")
    feed = alpaca_bars(server.access(), data, tmp_path / "cache", base=tmp_path, today=lambda: TODAY)
    assert [len(bars.actions) for bars in feed] == [0, 0, 1, 0, 0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"symbols": ()}, r"data\.symbols: none.*\[AAPL, MSFT\]"),
        ({"symbols": ("BTC/USD",)}, r"data\.symbols: 'BTC/USD'.*BRK\.B"),
        ({"start": None}, r"data\.start: None.*2016"),
        ({"start": date(2024, 3, 9)}, r"data\.start: 2024-03-09 is after data\.end, 2024-03-08"),
        ({"start": TODAY + timedelta(days=1), "end": None}, r"data\.start: 2024-06-04 is after today"),
    ],
)
def test_settings_that_lack_something_are_told(server, tmp_path, options, said) -> None:
    """What is missing or wrong in the settings is named, with what would be accepted, before anything is asked."""
    data = DataSettings(
        **{"provider": "alpaca", "symbols": ("AAPL",), "start": FIRST, "end": date(2024, 3, 8)} | options
    )
    with pytest.raises(ConfigError, match=said):
        alpaca_bars(server.access(), data, tmp_path, today=lambda: TODAY)
    assert server.asked == []


def test_symbols_without_bars_are_named(server, tmp_path) -> None:
    """Symbols that Alpaca has no bars of are all named, and are not kept as if they were empty."""
    server.bars = {"AAPL": daily([10, 11])}
    with pytest.raises(DataError, match=r"no 1Day bars of MSFTT, aapl from 2024-03-04.*\(AAPL\?\)"):
        read(server, tmp_path, "AAPL", "MSFTT", "aapl")
    assert [name.rsplit("/", 1)[-1] for name in files(tmp_path)] == ["AAPL.parquet"]


def test_a_symbol_that_alpaca_calls_invalid_is_told(server, tmp_path) -> None:
    """What Alpaca says of a symbol is handed on with the setting's name."""
    server.answers.append((400, {"message": "invalid symbol: AA-PL"}, {}))
    with pytest.raises(DataError, match=r"data\.symbols: Alpaca says 'invalid symbol: AA-PL'"):
        read(server, tmp_path, "AA-PL")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"message": "subscription does not permit querying recent SIP data"}, r"execution\.alpaca\.feed: 'sip'"),
        ({"message": "forbidden."}, r"execution\.alpaca\.api_key"),
    ],
)
def test_a_refusal_is_for_a_person(server, tmp_path, answer, said) -> None:
    """A refused key and a missing subscription are authentication errors that name what to change."""
    server.answers.append((403, answer, {}))
    with pytest.raises(BrokerAuthError, match=said) as caught:
        read(server, tmp_path, feed="sip")
    assert SECRET not in str(caught.value)


def test_pages_that_never_end_are_noticed(server, tmp_path) -> None:
    """The same page token twice is an error and no endless loop."""
    page = {"bars": {"AAPL": daily([10])}, "next_page_token": "again"}
    server.answers.extend([(200, page, {})] * 5)
    with pytest.raises(BrokerProtocolError, match="same page twice"):
        read(server, tmp_path)
