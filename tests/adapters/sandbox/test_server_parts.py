"""The parts of the sandbox's server that need no server: rules of faults, the limit, time frames, the walk."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordersmith.adapters.sandbox.fault_book import FaultBook
from ordersmith.adapters.sandbox.fault_kinds import KINDS, NAMES
from ordersmith.adapters.sandbox.fault_profile import FaultProfile, FaultRule, load_profile
from ordersmith.adapters.sandbox.frames import frame_of
from ordersmith.adapters.sandbox.market import Market, merged, row
from ordersmith.adapters.sandbox.rate_limit import RateLimit
from ordersmith.adapters.sandbox.stamps import NS, day_of, midnight_ns, parsed, rfc3339
from ordersmith.adapters.sandbox.walk_tape import WalkTape

START = 1_767_623_400 * NS


def strikes(seed: int, *rules: FaultRule, occasions: int = 2000) -> list[str | None]:
    book = FaultBook()
    book.start(FaultProfile(seed=seed, faults=rules), START)
    found = [book.at_request(START, "POST", "/v2/orders") for _ in range(occasions)]
    return [None if each is None else each.name for each in found]


def test_every_name_has_a_kind() -> None:
    """The names that are accepted and the table of what they do are the same."""
    assert tuple(KINDS) == NAMES


def test_faults_follow_from_the_seed() -> None:
    """The same seed strikes the same occasions, another seed others, about as often as the rate says."""
    rule = FaultRule(kind="500", rate=Decimal("0.1"))
    first = strikes(1, rule)
    assert first == strikes(1, rule)
    assert first != strikes(2, rule)
    assert 140 < Counter(first)["500"] < 260


def test_one_more_rule_does_not_change_the_others() -> None:
    """A rule draws for itself: one behind it strikes where it would have, unless the older one strikes there."""
    rule, more = FaultRule(kind="500", rate=Decimal("0.1")), FaultRule(kind="429", rate=Decimal("0.1"))
    alone, both = strikes(1, rule), strikes(1, rule, more)
    assert [name if name == "500" else None for name in both] == alone
    assert "429" in both


def test_a_profile_may_begin_quietly() -> None:
    """No fault strikes in the seconds of `quiet_first`, not even one that waits for a connection."""
    book = FaultBook()
    rules = (
        FaultRule(kind="500"),
        FaultRule(kind="mute"),
        FaultRule(kind="drop_frame"),
        FaultRule(kind="unauthorized"),
    )
    book.start(FaultProfile(quiet_first=Decimal(10), faults=rules), START)
    for at, struck in ((START + 10 * NS - 1, False), (START + 10 * NS, True)):
        assert (book.at_request(at, "GET", "/v2/clock") is not None) == struck
        assert (book.at_frame(at, "trade", "fill") is not None) == struck
        assert (book.at_connect(at, "trade") is not None) == struck
        assert bool(book.waiting_for_link(at, "trade")) == struck


def test_faults_of_one_stream_leave_the_other_alone() -> None:
    """A fault of trade updates does not befall market data, and the other way round."""
    book = FaultBook()
    kinds = ("mute", "silence", "unauthorized", "data_unauthorized", "drop_frame", "bad_quote")
    book.start(FaultProfile(faults=tuple(FaultRule(kind=kind) for kind in kinds)), START)
    for stream, names in (
        ("trade", ["mute", "unauthorized", "drop_frame"]),
        ("data", ["silence", "data_unauthorized", "bad_quote"]),
    ):
        (link,) = book.waiting_for_link(START, stream)
        connect, frame = book.at_connect(START, stream), book.at_frame(START, stream, "fill")
        assert [link.name, connect and connect.name, frame and frame.name] == names


@pytest.mark.parametrize("count", [1, 3])
def test_a_count_is_kept(count: int) -> None:
    """A rule strikes as often as its count says and is then gone."""
    rule = FaultRule(kind="500", rate=Decimal("0.5"), count=count)
    assert Counter(strikes(1, rule))["500"] == count


def test_a_profile_is_read_with_all_its_fields(tmp_path: Path) -> None:
    """Everything that a profile says arrives, numbers exactly, and 429 and 500 need no quotes."""
    file = tmp_path / "storm.yaml"
    file.write_text(
        "seed: 7\nquiet_first: 2.5\nfaults:\n"
        "  - {kind: 500, rate: 0.03, method: PATCH, path: /v2/orders, count: 4}\n"
        "  - {kind: drop_frame, event: fill}\n  - {kind: mute, per_hour: 12, seconds: 40}\n"
    )
    assert load_profile(file) == FaultProfile(
        seed=7,
        quiet_first=Decimal("2.5"),
        faults=(
            FaultRule(kind="500", rate=Decimal("0.03"), method="PATCH", path="/v2/orders", count=4),
            FaultRule(kind="drop_frame", event="fill"),
            FaultRule(kind="mute", per_hour=Decimal(12), seconds=Decimal(40)),
        ),
    )


def test_the_limit_counts_a_window_of_each_key() -> None:
    """A window begins with its first request; the reset that is told is when the next request passes."""
    limit = RateLimit(3)
    assert [limit.take("a", START + n).passes for n in range(5)] == [True, True, True, False, False]
    assert limit.take("b", START).passes
    told = limit.take("a", START + 30 * NS)
    assert (told.passes, told.remaining, told.reset_s) == (False, 0, START // NS + 60)
    assert limit.take("a", told.reset_s * NS).remaining == 2


@given(st.integers(min_value=0, max_value=4 * 10**18))
def test_a_stamp_is_read_as_it_was_written(ns: int) -> None:
    """Every instant survives its text."""
    assert parsed(rfc3339(ns)) == ns


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-03-09", "2026-03-09T04:00:00Z"),
        ("2026-01-05T09:30:00-05:00", "2026-01-05T14:30:00Z"),
        ("2026-01-05T14:30", "2026-01-05T14:30:00Z"),
        ("2026-01-05T14:30:00+00:00", "2026-01-05T14:30:00Z"),
        ("2026-01-05T14:30:00 00:00", "2026-01-05T14:30:00Z"),
        ("2026-01-05T14:30:00.123456789Z", "2026-01-05T14:30:00.123456789Z"),
    ],
)
def test_times_are_understood(text: str, instant: str) -> None:
    """A date is its midnight in New York; a plus sign that became a space on its way is one still."""
    assert rfc3339(parsed(text)) == instant


@pytest.mark.parametrize("text", ["", "noon", "2026-13-01", "2026-01-05T25:00:00Z", "05.01.2026"])
def test_other_times_are_refused(text: str) -> None:
    """What is no time is an error."""
    with pytest.raises(ValueError):  # noqa: PT011 (the message is Python's for some)
        parsed(text)


@pytest.mark.parametrize(
    ("frame", "at", "begins"),
    [
        ("1Min", "2026-01-07T15:31:59Z", "2026-01-07T15:31:00Z"),
        ("15Min", "2026-01-07T15:31:59Z", "2026-01-07T15:30:00Z"),
        ("1H", "2026-01-07T15:31:59Z", "2026-01-07T15:00:00Z"),
        ("1Day", "2026-01-08T03:00:00Z", "2026-01-07T05:00:00Z"),
        ("1Day", "2026-07-08T04:00:00Z", "2026-07-08T04:00:00Z"),
        ("1Week", "2026-01-07T15:31:59Z", "2026-01-05T05:00:00Z"),
        ("3Month", "2026-06-30T15:31:59Z", "2026-04-01T04:00:00Z"),
    ],
)
def test_a_bar_begins_where_alpaca_says(frame: str, at: str, begins: str) -> None:
    """Minutes and hours begin on the clock, days and longer at midnight in New York."""
    assert rfc3339(frame_of(frame).begins_ns(parsed(at))) == begins


@pytest.mark.parametrize("text", ["", "60Min", "0Min", "24Hour", "2Day", "5Month", "1Year", "min"])
def test_other_frames_are_refused(text: str) -> None:
    """A frame that Alpaca does not have is an error that lists those it has."""
    with pytest.raises(ValueError, match="accepted: 1Min"):
        frame_of(text)


@given(st.lists(st.tuples(st.floats(1, 9), st.floats(1, 9), st.integers(0, 99)), min_size=1))
def test_bars_are_merged_without_loss(parts: list[tuple[float, float, int]]) -> None:
    """A merged bar opens as the first, closes as the last, spans all, and its average lies within."""
    rows = [row(n, a, max(a, b), min(a, b), b, v) for n, (a, b, v) in enumerate(parts)]
    bar = merged(7, rows)
    assert (bar.at_ns, bar.open, bar.close) == (7, parts[0][0], parts[-1][1])
    assert (bar.high, bar.low) == (max(r.high for r in rows), min(r.low for r in rows))
    assert bar.volume == sum(v for _, _, v in parts)
    assert bar.low - 1e-5 <= bar.average <= bar.high + 1e-5


def test_the_walk_follows_from_its_seed() -> None:
    """The same seed is the same walk, another seed or symbol another one, and it moves like a share: 0.5 to 4 % a day."""
    one, same, other = WalkTape(("AAPL", "XYZ"), 1), WalkTape(("AAPL",), 1), WalkTape(("AAPL",), 2)
    hours = [START / NS + 3600 * n for n in range(2000)]
    prices = [one.price("AAPL", at) for at in hours]
    assert prices == [same.price("AAPL", at) for at in hours]
    assert prices != [other.price("AAPL", at) for at in hours]
    moves = [abs(a / b - 1) for a, b in zip(prices, prices[24:], strict=False)]
    assert 0.005 < sum(moves) / len(moves) < 0.04
    assert all(100 < price < 500 for price in prices)


def test_what_was_live_is_the_past_of_the_walk() -> None:
    """The bars that were played are within those that the past tells of the same minutes, and meet them at their ends."""
    tape = WalkTape(("AAPL",), 1)
    begins = START - START % (60 * NS)
    spans = tape.spans(begins, 60)
    past = tape.history("AAPL", frame_of("1Min"), begins, begins + 600 * NS, 10)
    for bar, span in zip(past, spans, strict=False):
        assert span.path[-1]["AAPL"] == bar.close == span.bars["AAPL"][3]
        assert span.path[29]["AAPL"] <= span.bars["AAPL"][1]


def test_quotes_are_never_crossed() -> None:
    """A quote around any price has its bid below its ask, in cents, or in hundredths of one below a dollar."""
    market = Market(0)
    for price in (0.0103, 0.5, 0.99995, 1.0, 1.004, 99.999, 230.05, 512345.67):
        quote = market.around(price, START)
        assert 0 < quote.bid < quote.ask
        assert round(quote.bid, 2 if price >= 1 else 4) == quote.bid


def test_a_new_day_begins_a_new_daily_bar() -> None:
    """The day's bar grows with each minute; at midnight in New York it becomes that of the day before."""
    market = Market(0)
    evening = midnight_ns(day_of(START)) + 86_340 * NS
    for n, close in enumerate((1.0, 3.0, 2.0)):
        market.bar("A", row(evening + (n - 1) * 60 * NS, close, close, close, close, 100.0))
    assert (market.last_days["A"].high, market.last_days["A"].close) == (3.0, 3.0)
    assert (market.days["A"].open, market.days["A"].volume) == (2.0, 100.0)
    assert datetime.fromtimestamp(market.days["A"].at_ns / NS, UTC).hour in (4, 5)
