"""The square-root law: how large the impact is, and of what it is made."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from math import inf, nan, sqrt

import pytest

from ordersmith.adapters.simulated.impact import Impact

D = Decimal


def observed(
    sessions: Iterable[tuple[float, float]], coefficient: str = "1", window: int = 20, told: list[str] | None = None
) -> Impact:
    """Return the impact after sessions of one bar each: (close, volume)."""
    impact = Impact(D(coefficient), window, [].append if told is None else told.append)
    for close, volume in sessions:
        impact.end_session()
        impact.observe({"A": (close, close, close, close, volume)})
    impact.end_session()
    return impact


CLOSES = (100.0, 101.0, 99.0, 100.0)
RETURNS = (0.01, -2 / 101, 1 / 99)
SIGMA = sqrt(sum((each - sum(RETURNS) / 3) ** 2 for each in RETURNS) / 2)


def test_the_law() -> None:
    """It is coefficient * sigma * sqrt(quantity / mean volume of the sessions)."""
    impact = observed(zip(CLOSES, (1e6, 2e6, 3e6, 2e6), strict=True), "0.8")
    assert float(impact.of("A", D(5000))) == pytest.approx(0.8 * SIGMA * sqrt(5000 / 2e6), rel=1e-12)


def test_four_times_the_quantity_is_twice_the_impact() -> None:
    """Impact grows with the square root of the quantity."""
    impact = observed((close, 1e6) for close in CLOSES)
    assert float(impact.of("A", D(400)) / impact.of("A", D(100))) == pytest.approx(2, rel=1e-12)


def test_only_the_last_sessions_count() -> None:
    """What is older than the window is forgotten."""
    earlier = [(50.0, 9e9), (150.0, 9e9)]
    short = observed([*earlier, *((close, 1e6) for close in CLOSES)], window=3)
    assert short.of("A", D(100)) == observed((close, 1e6) for close in CLOSES).of("A", D(100))


def test_the_session_in_progress_does_not_count() -> None:
    """Bars of today change nothing before tomorrow, and a session's bars are one close and the sum of their volumes."""
    impact = observed((close, 1e6) for close in CLOSES)
    before = impact.of("A", D(100))
    impact.observe({"A": (1.0, 500.0, 1.0, 500.0, 3e6)})
    impact.observe({"A": (1.0, 102.0, 1.0, 102.0, 1e6)})
    assert impact.of("A", D(100)) == before
    impact.end_session()
    expected = observed([*((close, 1e6) for close in CLOSES), (102.0, 4e6)])
    assert impact.of("A", D(100)) == expected.of("A", D(100)) != before


def test_nothing_known_is_no_impact_and_one_warning() -> None:
    """Before the third close, and without volumes, the impact is zero; that is warned of once."""
    told: list[str] = []
    impact = observed([(100.0, 1e6), (101.0, 1e6)], told=told)
    assert [impact.of("A", D(100)), impact.of("A", D(100)), impact.of("B", D(1))] == [0, 0, 0]
    assert len(told) == 1
    assert "impact" in told[0]
    assert "3 sessions" in told[0]
    assert "A" in told[0]
    assert observed((close, nan) for close in CLOSES).of("A", D(100)) == 0


def test_prices_that_do_not_move_are_known() -> None:
    """A symbol without volatility has no impact, which is no reason to warn."""
    told: list[str] = []
    assert observed([(100.0, 1e6)] * 4, told=told).of("A", D(100)) == 0
    assert told == []


def test_what_is_no_price_is_left_out() -> None:
    """Closes that are NaN, zero or infinite are skipped."""
    broken = [(nan, 1e6), (0.0, 1e6), (inf, 1e6)]
    with_them = observed([(close, 1e6) for close in CLOSES] + broken)
    assert with_them.of("A", D(100)) > 0


def test_a_split_changes_nothing() -> None:
    """Twice as many shares at half the price have the same impact when twice as many are traded."""
    plain = observed((close, 1e6) for close in CLOSES)
    split = observed((close, 1e6) for close in CLOSES)
    split.split("A", D(2))
    assert float(split.of("A", D(200))) == pytest.approx(float(plain.of("A", D(100))), rel=1e-12)
    for impact, close, volume in ((plain, 102.0, 1e6), (split, 51.0, 2e6)):
        impact.observe({"A": (close, close, close, close, volume)})
        impact.end_session()
    assert float(split.of("A", D(200))) == pytest.approx(float(plain.of("A", D(100))), rel=1e-12)
    split.rename("A", "B")
    assert float(split.of("B", D(200))) == pytest.approx(float(plain.of("A", D(100))), rel=1e-12)
