"""The paper venue against the exchange of a backtest, on random runs; and made again from its inputs."""

from __future__ import annotations

from decimal import localcontext
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paper_kit import ARITHMETIC, INSTRUMENTS, Inline, NoArchive, OnVenue, state_of
from random_exchange import ACTIONS, RULES, Run

from ordersmith.actors.bars import Bars
from ordersmith.actors.model import Order
from ordersmith.actors.ports import Connect, Connected, NewOrder, NotSent, OrderAbsent, OrderFound, StatusRequest
from ordersmith.adapters.paper.inputs import AnyInput
from ordersmith.adapters.paper.venue import PaperVenue
from ordersmith.adapters.simulated.exchange import ExchangeRules

SECOND_NS = 1_000_000_000
DELAY = st.sampled_from([0, 1, 20, 45, 90]).map(lambda seconds: seconds * SECOND_NS)


@st.composite
def delayed_rules(draw: Any) -> ExchangeRules:
    """Return rules with latencies, or without."""
    rules = draw(RULES)
    if rules.fill == "close" or draw(st.booleans()):
        return rules
    return msgspec.structs.replace(rules, latency_submit_ns=draw(DELAY), latency_cancel_ns=draw(DELAY))


def venue_of(rules: ExchangeRules) -> PaperVenue:
    return PaperVenue(rules, INSTRUMENTS, NoArchive())


@settings(max_examples=80, deadline=None)
@given(delayed_rules(), ACTIONS)
def test_the_venue_says_what_the_exchange_of_a_backtest_says(rules: ExchangeRules, actions: list[Any]) -> None:
    """Every report, in order, and the state at the end are those of the simulated broker inline."""
    with localcontext(ARITHMETIC):
        inline, venue = Inline(rules), OnVenue(venue_of(rules))
        assert Run(venue).play(actions).reports == Run(inline).play(actions).reports
        assert state_of(venue.venue) == state_of(inline.broker)


@settings(max_examples=80, deadline=None)
@given(delayed_rules(), ACTIONS, st.integers(0, 1 << 32))
def test_a_venue_is_made_again_from_its_inputs(rules: ExchangeRules, actions: list[Any], seed: int) -> None:
    """After every few inputs a venue that is fed the log, as it was decoded, is the venue, and goes on like it."""
    draw = Random(seed)
    kept: list[bytes] = []
    with localcontext(ARITHMETIC):
        runner = OnVenue(venue_of(rules))
        run = Run(runner)

        def replaced() -> None:
            if runner.venue.log and draw.random() < 0.3:
                kept.append(msgspec.msgpack.encode(runner.venue.log))
                runner.venue.taken_down()
                bars = iter(run.bars)
                again = venue_of(rules)
                for data in kept:
                    for made in msgspec.msgpack.decode(data, type=list[AnyInput]):
                        again.again(made, lambda: next(bars))
                assert state_of(again) == state_of(runner.venue)
                assert (again.now_ns, again.steps, again.told) == (
                    runner.venue.now_ns,
                    runner.venue.steps,
                    runner.venue.told,
                )
                again.taken_down()
                runner.venue = again

        keep = run.keep

        def keep_and_replace(reports: list[Any]) -> None:
            keep(reports)
            replaced()

        run.keep = keep_and_replace  # type: ignore[method-assign]
        assert run.play(actions).reports == Run(Inline(rules)).play(actions).reports


def test_bars_without_orders_are_one_entry_of_the_log() -> None:
    """A thousand steps in which nothing is sent are written down as their number."""
    venue = venue_of(ExchangeRules())
    for number in range(1000):
        venue.bars(Bars(number, number + 1, 0, False, {"A": (1.0, 1.0, 1.0, 1.0, 1.0)}))
    assert [msgspec.structs.asdict(made) for made in venue.log] == [{"count": 1000}]


@pytest.mark.parametrize(("delay", "kept"), [(0, 0), (5, 1)])
def test_questions_are_kept_only_where_they_take_their_place_in_a_queue(delay: int, kept: int) -> None:
    """Without latency a status request and a connect change nothing and are not in the log."""
    venue = venue_of(ExchangeRules(latency_submit_ns=delay))
    assert [type(report) for report, _ in venue.command(Connect(), 3, 0)] == [Connected]
    said = venue.command(StatusRequest("x.1"), 4, 0) + venue.deliver(10)
    assert [(type(report), cause) for report, cause in said] == [(OrderAbsent, 4)]
    assert sum(type(made).__name__ == "StatusAsked" for made in venue.log) == kept


def test_the_cause_of_a_command_comes_back_with_its_answer() -> None:
    """What answers a command carries its cause, also after a latency; what a bar brings has none."""
    venue = venue_of(ExchangeRules(latency_submit_ns=5))
    with localcontext(ARITHMETIC):
        venue.bars(Bars(0, 60, 0, False, {"A": (10.0, 10.0, 10.0, 10.0, 1e6)}))
        assert venue.command(NewOrder("o.1", Order.buy("A", 5), 1 << 62, 0), 7, 60) == []
        assert venue.next_due_ns() == 65
        assert [cause for _, cause in venue.deliver(65, 60)] == [7]
        assert [cause for _, cause in venue.bars(Bars(120, 180, 0, False, {"A": (10.0, 10.0, 10.0, 10.0, 1e6)}))] == [0]
        assert venue.told == len(venue.activities) == 1
        (found,) = [report for report, _ in venue.command(StatusRequest("o.1"), 0, 180) + venue.deliver(185)]
        assert isinstance(found, OrderFound)
        assert found.cumulative_quantity == 5


def test_a_late_order_is_not_sent() -> None:
    """A command that comes after its deadline is answered with NotSent by the venue too."""
    venue = venue_of(ExchangeRules())
    ((report, _),) = venue.command(NewOrder("o.1", Order.buy("A", 5), 10, 0), 0, 11)
    assert isinstance(report, NotSent)
    assert report.reason == "1 ns after its deadline 10"
