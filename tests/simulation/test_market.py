"""The prices of a storm: what the broker and the core are told of them, and what is bad."""

from __future__ import annotations

import math
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from outside_kit import START_NS, plan_of

from ordersmith.actors.bars import Bars, CorporateActionKind
from ordersmith.simulation.chance import Chance
from ordersmith.simulation.faults import Fault, FaultPlan
from ordersmith.simulation.market import SYMBOLS, Market, is_usable
from ordersmith.simulation.schedule import HOUR_NS, MINUTE_NS, Schedule

D = Decimal


class Watched:
    """A market, and everything that it tells."""

    def __init__(self, seed: int = 1, plan: FaultPlan | None = None) -> None:
        self.schedule = Schedule(START_NS)
        self.market = Market(self.schedule, Chance(seed).stream("market"), plan or plan_of(seed=seed))
        self.ticks: list[tuple[int, str, Decimal]] = []
        self.bars: list[Bars] = []
        self.bad: list[dict[str, bool]] = []
        self.told: list[str] = []
        self.market.listen(self._tick, self._bar)
        self.market.start()

    def _tick(self, symbol: str, price: Decimal) -> None:
        self.told.append("tick")
        self.ticks.append((self.schedule.now_ns, symbol, price))

    def _bar(self, bars: Bars, bad: dict[str, bool]) -> None:
        self.told.append("bar")
        self.bars.append(bars)
        self.bad.append(bad)

    def run(self, hours: float) -> Watched:
        self.schedule.run(self.schedule.now_ns + int(hours * HOUR_NS))
        return self


def test_a_bar_ends_with_its_last_tick() -> None:
    """The broker has every price of a bar before the core is shown the bar, and a bar has four prices of each symbol."""
    seen = Watched().run(0.1)
    assert seen.told == (["tick"] * 4 * len(SYMBOLS) + ["bar"]) * 6
    for bars in seen.bars:
        for symbol in bars:
            prices = [
                price for at_ns, name, price in seen.ticks if name == symbol and bars.start_ns < at_ns <= bars.end_ns
            ]
            bar = bars[symbol]
            assert bar.close == float(prices[-1])
            assert bar.high == max(bar.open, *map(float, prices))
            assert bar.low == min(bar.open, *map(float, prices))


def test_bars_follow_each_other() -> None:
    """Every bar begins where the last one ended, at the price at which it ended."""
    seen = Watched().run(1)
    assert len(seen.bars) == 60
    for before, after in zip(seen.bars, seen.bars[1:], strict=False):
        assert before.end_ns == after.start_ns == after.end_ns - MINUTE_NS
        assert all(after[symbol].open == before[symbol].close for symbol in after)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_prices_stay_where_they_belong(seed: int) -> None:
    """A price is whole cents, moves enough to reach a resting order, and is not far from where it began a day later."""
    seen = Watched(seed).run(24)
    for symbol, home in SYMBOLS.items():
        prices = [price for _, name, price in seen.ticks if name == symbol]
        assert all(price == price.quantize(D("0.01")) for price in prices)
        assert home / 2 < min(prices)
        assert max(prices) < home * 2
        assert max(prices[:240]) - min(prices[:240]) > home * D("0.004")


def test_a_session_is_a_day() -> None:
    """The last bar of a day closes its session, and no other does."""
    seen = Watched().run(26)
    assert [bars.end_ns % (24 * HOUR_NS) == 0 for bars in seen.bars] == [bars.closes_session for bars in seen.bars]
    assert {bars.session for bars in seen.bars} == {seen.bars[0].session, seen.bars[0].session + 1}


def test_a_bad_tick_is_the_cores_alone() -> None:
    """Bad prices of every kind come in bars, those that cannot be used are said to be, and the broker never sees one."""
    plan = plan_of(Fault.BAD_TICK)
    plan.chances[Fault.BAD_TICK] = 0.05
    seen = Watched(plan=plan).run(12)
    true_prices = {(at_ns, symbol): float(price) for at_ns, symbol, price in seen.ticks}
    spoiled = {
        (bars.end_ns, symbol): bars.close(symbol)
        for bars in seen.bars
        for symbol in bars
        if bars.close(symbol) != true_prices[bars.end_ns, symbol]
    }
    assert len(spoiled) == plan.counts[Fault.BAD_TICK] > 20
    shown = list(spoiled.values())
    assert any(math.isnan(price) for price in shown)
    assert any(price == 0 for price in shown)
    assert any(price < 0 for price in shown)
    assert any(price > 10_000 for price in shown)
    assert any(0 < price < 1 for price in shown)
    said = {
        (bars.end_ns, symbol) for bars, bad in zip(seen.bars, seen.bad, strict=True) for symbol in bad if bad[symbol]
    }
    assert said == {where for where, price in spoiled.items() if not is_usable(price)}


def test_no_tick_is_bad_once_it_is_quiet() -> None:
    """When the faults have ended every bar is true."""
    plan = plan_of(Fault.BAD_TICK)
    plan.quiet = True
    seen = Watched(plan=plan).run(24)
    assert not any(any(bad.values()) for bad in seen.bad)


def test_a_split_is_in_every_price_from_then_on() -> None:
    """After a split the broker is told the new price at once, and the next bar has no price of old shares and says why."""
    seen = Watched().run(0.095)
    before = seen.market.price("C")
    seen.market.split("C", D(2))
    assert abs(seen.ticks[-1][2] * 2 - before) <= D("0.02")
    (bars,) = seen.run(0.01).bars[5:]
    assert bars["C"].high < float(before) * 0.6
    assert [(each.kind, each.symbol, each.ratio) for each in bars.actions] == [(CorporateActionKind.SPLIT, "C", D(2))]
    seen.run(24)
    assert D(40) < seen.market.price("C") < D(75)
    assert all(not bars.actions for bars in seen.bars[6:])


def test_a_seed_has_its_own_prices() -> None:
    """One seed has the same prices twice, another has others."""
    assert Watched(7).run(1).ticks == Watched(7).run(1).ticks
    assert Watched(7).run(1).ticks != Watched(8).run(1).ticks
