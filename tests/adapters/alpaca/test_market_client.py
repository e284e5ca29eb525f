"""The hardened client of market data: time-outs, no proxies, questions asked again where that helps, errors that say what to do."""

from __future__ import annotations

import socket
import time
from datetime import UTC, datetime

import pytest
from scripted_alpaca_data import SECRET, scripted_data

from ordersmith.actors.errors import BrokerAuthError, BrokerProtocolError, BrokerUnavailable
from ordersmith.adapters.alpaca.bar_pages import BarsAsked, pages
from ordersmith.adapters.alpaca.data_client import LONGEST_PAUSE_S, DataClient, Declined
from ordersmith.adapters.alpaca.latest import read_latest

QUOTE = {"t": "2026-11-20T15:00:00.123456789Z", "bp": 1.0, "ap": 1.1, "bs": 2, "as": 3}


@pytest.fixture
def server():
    with scripted_data() as running:
        running.quotes["AAPL"] = QUOTE
        yield running


class Pauses(list):
    """Stands in for sleeping."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def ask(server, *, pauses: Pauses | None = None, timeout_s: tuple[float, float] = (3.0, 10.0), **options) -> dict:
    client = DataClient(server.access(), timeout_s=timeout_s, sleep=Pauses() if pauses is None else pauses)
    try:
        return client.get("/stocks/quotes/latest", {"symbols": "AAPL"}, dict, **options)
    finally:
        client.close()


def test_an_answer_comes_as_it_is(server) -> None:
    """The answer is the JSON of the wire, asked for with the key in the headers."""
    assert ask(server) == {"quotes": {"AAPL": QUOTE}}
    assert server.headers[0]["APCA-API-SECRET-KEY"] == SECRET


def test_a_failure_that_may_pass_is_asked_again(server) -> None:
    """Server errors are asked again after growing pauses, and the good answer counts."""
    server.answers.extend([(502, "<html>bad gateway</html>", {}), (504, {"message": "timeout"}, {})])
    pauses = Pauses()
    assert ask(server, pauses=pauses)["quotes"]
    assert len(server.asked) == 3
    assert pauses == sorted(pauses)


def test_the_limit_of_requests_is_waited_for(server) -> None:
    """A 429 is asked again when the limit is reset, as its header says, and never waits for longer than the limit can last."""
    later = {"X-RateLimit-Reset": str(int(time.time()) + 20)}
    absurd = {"X-RateLimit-Reset": str(int(time.time()) + 10**6)}
    server.answers.extend(
        [(429, {"message": "too many requests."}, later), (429, {}, absurd), (429, {}, {"X-RateLimit-Reset": "x"})]
    )
    pauses = Pauses()
    assert ask(server, pauses=pauses)["quotes"]
    assert 15 < pauses[0] <= 20
    assert max(pauses) <= LONGEST_PAUSE_S


def test_a_server_that_stays_broken_is_told(server) -> None:
    """After the last attempt the failure says what was asked and what was answered, in one line."""
    server.answers.extend([(502, "<html>\n<b>bad gateway</b></html>", {})] * 4)
    with pytest.raises(BrokerUnavailable, match=r"502: <html> <b>bad gateway") as caught:
        ask(server)
    assert not isinstance(caught.value, Declined)
    assert len(server.asked) == 4


def test_a_hanging_answer_is_given_up(server) -> None:
    """An answer that never comes ends with the time-out: the SDK has none."""
    server.answers.append("hang")
    began = time.monotonic()
    with pytest.raises(BrokerUnavailable, match="ReadTimeout"):
        ask(server, timeout_s=(1.0, 0.2), attempts=1)
    assert time.monotonic() - began < 5


def test_nobody_there_is_told(server) -> None:
    """A refused connection is unavailability, told without the library's address of the moment."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        access = server.access(port=unused.getsockname()[1])
        client = DataClient(access, sleep=Pauses())
        with pytest.raises(BrokerUnavailable, match=r"NewConnectionError \(Connection refused\) from http://127"):
            client.get("/stocks/bars", {}, dict, attempts=2)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_an_authentication_error(server, status) -> None:
    """A refused key is asked for once, and the error names the setting and not the secret."""
    server.answers.append((status, {"message": "forbidden."}, {}))
    with pytest.raises(BrokerAuthError, match=r"execution\.alpaca\.api_key") as caught:
        ask(server)
    assert len(server.asked) == 1
    assert SECRET not in str(caught.value)


def test_a_missing_subscription_names_the_feed(server) -> None:
    """A 403 for data beyond the plan says which setting to change, and does not blame the key."""
    server.answers.append((403, {"message": "subscription does not permit querying recent SIP data"}, {}))
    with pytest.raises(BrokerAuthError, match=r"execution\.alpaca\.feed: 'iex'.*15 minutes") as caught:
        ask(server)
    assert "api_key" not in str(caught.value)


def test_a_wrong_question_is_asked_once(server) -> None:
    """A question that Alpaca declines is not asked again."""
    server.answers.append((422, {"code": 1, "message": "bad timeframe"}, {}))
    with pytest.raises(Declined, match="422: bad timeframe"):
        ask(server)
    assert len(server.asked) == 1


def test_an_answer_that_is_not_understood_is_told(server) -> None:
    """A 200 with something else than was asked for is a protocol error that shows its beginning."""
    server.answers.append((200, "<html>welcome</html>", {}))
    with pytest.raises(BrokerProtocolError, match="welcome"):
        ask(server)


def test_the_environments_proxies_are_not_used(server, monkeypatch) -> None:
    """Neither a proxy nor a .netrc of the environment is used."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert ask(server)["quotes"]


def test_latest_prices_are_read_for_many_symbols(server) -> None:
    """Symbols are asked for in portions; stamps are right to the microsecond; one without a trade has no last price."""
    symbols = [f"S{number}" for number in range(250)]
    server.quotes = dict.fromkeys(symbols, QUOTE)
    server.trades = {"S3": {"t": "2026-11-20T15:00:01Z", "p": 1.05}}
    found, invalid = read_latest(DataClient(server.access()), [*symbols, "NONE"], "iex")
    assert (len(found), invalid) == (250, ())
    assert len(server.asked_of("quotes")) == 2
    latest = found["S3"]
    assert (latest.bid, latest.ask, latest.bid_size, latest.ask_size, latest.last) == (1.0, 1.1, 2.0, 3.0, 1.05)
    assert abs(latest.quoted_ns - 1_795_186_800_123_456_789) <= 1000
    assert found["S4"].traded_ns == 0


def test_an_invalid_symbol_does_not_spoil_the_others(server) -> None:
    """A symbol that makes Alpaca decline the whole question is left out and named; any other refusal is raised."""
    server.answers.append((400, {"message": "invalid symbol: A/B"}, {}))
    found, invalid = read_latest(DataClient(server.access()), ["A/B", "AAPL"], "iex")
    assert (list(found), invalid) == (["AAPL"], ("A/B",))
    server.answers.append((400, {"message": "invalid feed"}, {}))
    with pytest.raises(Declined, match="invalid feed"):
        read_latest(DataClient(server.access()), ["AAPL"], "iex")


def test_a_bar_that_begins_at_the_end_is_not_of_the_range(server) -> None:
    """Alpaca includes the end of a range; here a range ends before it, since what begins there is not complete."""
    server.bars["AAPL"] = [{"t": f"2026-11-20T15:0{n}:00Z", "o": 1, "h": 2, "l": 1, "c": n, "v": 5} for n in range(5)]
    asked = BarsAsked(
        symbols=["AAPL"],
        start=datetime(2026, 11, 20, 15, 1, tzinfo=UTC),
        end=datetime(2026, 11, 20, 15, 4, tzinfo=UTC),
        timeframe="1Min",
        feed="iex",
    )
    client = DataClient(server.access())
    assert [bar.c for page in pages(client, asked) for bar in page["AAPL"]] == [1.0, 2.0, 3.0]
